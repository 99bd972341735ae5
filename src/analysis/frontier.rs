//! The geometry of frontiers: which points are on one, and the area they dominate. Numbers in, numbers out.

/// Places of the points by rising energy; equal energies in the order given.
pub(super) fn by_energy(energies: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..energies.len()).collect();
    order.sort_by(|&a, &b| energies[a].total_cmp(&energies[b]));
    order
}

/// Calls `on` for each point that no other dominates: none has both lower-or-equal energy and
/// higher-or-equal score, one of them strictly. Equal points are both on. `order` lists the
/// points to compare by rising energy. Time linear in its length.
pub(super) fn frontier(
    energies: &[f64],
    scores: &[f64],
    order: &[usize],
    mut on: impl FnMut(usize),
) {
    let mut best = f64::NEG_INFINITY;
    for group in order.chunk_by(|&a, &b| energies[a] == energies[b]) {
        let top = group
            .iter()
            .map(|&i| scores[i])
            .fold(f64::NEG_INFINITY, f64::max);
        if top > best {
            group
                .iter()
                .copied()
                .filter(|&i| scores[i] == top)
                .for_each(&mut on);
            best = top;
        }
    }
}

/// Area between the step frontier of `points` (energy, accuracy) and the reference point
/// (energy 1, accuracy `chance`): the part of energies from 0 to 1 and accuracies above `chance`
/// that some point dominates. The points need not be on the frontier nor in order.
pub(super) fn hypervolume(points: &[(f64, f64)], chance: f64) -> f64 {
    let mut points: Vec<(f64, f64)> = points
        .iter()
        .copied()
        .filter(|p| p.0 < 1.0 && p.1 > chance)
        .collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut area, mut top) = (0.0, chance);
    for (energy, accuracy) in points {
        if accuracy > top {
            area += (1.0 - energy) * (accuracy - top);
            top = accuracy;
        }
    }
    area
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};

    fn on_frontier(points: &[(f64, f64)]) -> Vec<usize> {
        let (energies, scores): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
        let mut on = Vec::new();
        frontier(&energies, &scores, &by_energy(&energies), |i| on.push(i));
        on.sort_unstable();
        on
    }

    fn brute_force(points: &[(f64, f64)]) -> Vec<usize> {
        let dominated = |p: (f64, f64)| {
            points
                .iter()
                .any(|q| q.0 <= p.0 && q.1 >= p.1 && (q.0 < p.0 || q.1 > p.1))
        };
        (0..points.len())
            .filter(|&i| !dominated(points[i]))
            .collect()
    }

    #[test]
    fn frontiers_are_those_of_the_definition() {
        let mut stream = Seed(7).stream(Purpose::Test, &[]);
        for round in 0..300 {
            // coarse grids make ties of one and of both coordinates
            let grid = [3, 10, 1 << 30][round % 3];
            let mut coordinate = || stream.below(grid) as f64 / grid as f64;
            let points: Vec<_> = (0..60).map(|_| (coordinate(), coordinate())).collect();
            assert_eq!(on_frontier(&points), brute_force(&points), "{points:?}");
        }
    }

    #[test]
    fn equal_points_are_both_on_the_frontier() {
        assert_eq!(
            on_frontier(&[(0.5, 0.9), (0.5, 0.9), (0.5, 0.8), (0.6, 0.9)]),
            [0, 1]
        );
    }

    #[test]
    fn hypervolume_by_hand() {
        // steps at 0.5 (0.6) and 0.8 (0.9) over chance 0.1
        let points = [(0.8, 0.9), (0.5, 0.6)];
        let area: f64 = 0.3 * 0.5 + 0.2 * 0.8;
        assert!((hypervolume(&points, 0.1) - area).abs() < 1e-12);
        assert_eq!(
            hypervolume(&[(1.0, 0.9), (1.2, 0.95), (0.3, 0.1)], 0.1),
            0.0
        );
        assert_eq!(hypervolume(&[(0.0, 1.0)], 0.0), 1.0);
    }

    #[test]
    fn dominated_points_add_nothing_to_the_hypervolume() {
        let mut stream = Seed(8).stream(Purpose::Test, &[]);
        let points: Vec<_> = (0..100)
            .map(|_| (stream.uniform() * 1.2, stream.uniform()))
            .collect();
        let frontier: Vec<_> = on_frontier(&points)
            .into_iter()
            .map(|i| points[i])
            .collect();
        assert!((hypervolume(&points, 0.1) - hypervolume(&frontier, 0.1)).abs() < 1e-12);
        // and it is the fraction of random places that some point dominates
        let inside = (0..20_000).filter(|_| {
            let (energy, accuracy) = (stream.uniform(), stream.between(0.1, 1.0));
            points.iter().any(|p| p.0 <= energy && p.1 >= accuracy)
        });
        assert!((inside.count() as f64 / 20_000.0 * 0.9 - hypervolume(&points, 0.1)).abs() < 0.01);
    }
}
