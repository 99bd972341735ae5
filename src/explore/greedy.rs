//! The cheapest assignments where losses of domains are taken to add up: the Lagrangian greedy along the convex hull of
//! each domain, for each choice of rails.

use super::space::{rails_of, Levels, Space};

/// Most choices of rails of one size that are all tried.
const MOST_CHOICES: usize = 3_000;

/// Loss of each domain (outer) at each level (inner) with faults in it alone; `None` where not measured, as at lower
/// voltages than one that lost too much.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Losses(Vec<Vec<Option<f64>>>);

impl Losses {
    /// Measured losses, made monotone: cells that fail at a voltage fail at every lower one, so a loss that falls with
    /// the voltage, or lies below 0, is chance; the greatest loss at this or a higher voltage is taken, at least 0.
    pub(super) fn of_measured(measured: &[Vec<Option<f64>>]) -> Self {
        let monotone = |of_domain: &Vec<Option<f64>>| {
            let mut out = vec![None; of_domain.len()];
            let mut most = 0f64;
            for (level, loss) in of_domain.iter().enumerate().rev() {
                let Some(loss) = loss else { break };
                most = most.max(*loss);
                out[level] = Some(most);
            }
            out
        };
        Self(measured.iter().map(monotone).collect())
    }

    /// Sum of the losses of the domains at their levels; `None` where one was not measured.
    pub(super) fn sum(&self, levels: &[usize]) -> Option<f64> {
        self.0
            .iter()
            .zip(levels)
            .map(|(losses, level)| losses[*level])
            .sum()
    }
}

/// An assignment with the sum of its domains' losses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Estimated {
    pub(super) levels: Levels,
    pub(super) loss: f64,
    pub(super) cost: f64,
}

/// For each number of rails that is worth it, the cheapest assignment found whose summed loss is at most `limit`; the
/// cheapest first.
pub(super) fn cheapest(space: &Space, losses: &Losses, limit: f64) -> Vec<Estimated> {
    let grid: Vec<usize> = (0..space.voltages.len()).collect();
    let most = space.most_rails.min(grid.len()).min(space.domains.len());
    let mut found: Vec<Estimated> = Vec::new();
    let mut last: Vec<usize> = Vec::new();
    for count in 1..=most {
        let choices = if choices(grid.len(), count) <= MOST_CHOICES {
            subsets(&grid, count)
        } else {
            extended(&grid, &last)
        };
        let solved = choices
            .iter()
            .filter_map(|rails| Some((on_rails(space, losses, rails, limit)?, rails)));
        let best =
            solved.min_by(|(a, _), (b, _)| a.cost.total_cmp(&b.cost).then(a.levels.cmp(&b.levels)));
        if let Some((best, rails)) = best {
            last.clone_from(rails);
            if !found.iter().any(|known| known.levels == best.levels) {
                found.push(best);
            }
        }
    }
    found.sort_by(|a, b| a.cost.total_cmp(&b.cost).then(a.levels.cmp(&b.levels)));
    found
}

/// A domain that goes from its level to a lower one.
struct Step {
    domain: usize,
    to: usize,
    saved: f64,
    lost: f64,
}

/// The greedy where only these levels are allowed; `None` where even the least loss is above the limit.
fn on_rails(space: &Space, losses: &Losses, rails: &[usize], limit: f64) -> Option<Estimated> {
    let allowed = |domain: usize| {
        rails
            .iter()
            .copied()
            .filter(move |rail| losses.0[domain][*rail].is_some())
    };
    let loss = |domain: usize, level: usize| losses.0[domain][level].unwrap_or(f64::INFINITY);
    let mut levels: Levels = (0..space.domains.len())
        .map(|d| allowed(d).max())
        .collect::<Option<_>>()?;
    let mut sum = losses.sum(&levels).filter(|sum| *sum <= limit)?;
    let step = |domain: usize, from: usize, to: usize| Step {
        domain,
        to,
        saved: space.energy[domain][from] - space.energy[domain][to],
        lost: loss(domain, to) - loss(domain, from),
    };
    let gain = |step: &Step| step.saved / step.lost.max(f64::MIN_POSITIVE);
    let mut steps = Vec::new();
    for (domain, start) in levels.iter().enumerate() {
        let mut at = *start;
        // along the hull: always to the level that saves most per loss, of equals the lowest
        while let Some(best) = allowed(domain)
            .filter(|to| *to < at)
            .map(|to| step(domain, at, to))
            .max_by(|a, b| gain(a).total_cmp(&gain(b)).then(b.to.cmp(&a.to)))
        {
            at = best.to;
            steps.push(best);
        }
    }
    steps.sort_by(|a, b| {
        gain(b)
            .total_cmp(&gain(a))
            .then(a.domain.cmp(&b.domain))
            .then(b.to.cmp(&a.to))
    });
    let mut stopped = vec![false; levels.len()];
    for step in steps {
        stopped[step.domain] |= sum + step.lost > limit;
        if !stopped[step.domain] {
            levels[step.domain] = step.to;
            sum += step.lost;
        }
    }
    // the rest of the limit is filled up with what still fits, the greatest saving first
    loop {
        let fits = (0..levels.len()).flat_map(|domain| {
            let from = levels[domain];
            allowed(domain)
                .filter(move |to| *to < from)
                .map(move |to| (domain, from, to))
        });
        let best = fits
            .map(|(domain, from, to)| step(domain, from, to))
            .filter(|step| step.saved > 0.0 && sum + step.lost <= limit)
            .max_by(|a, b| a.saved.total_cmp(&b.saved).then(b.domain.cmp(&a.domain)));
        let Some(best) = best else { break };
        levels[best.domain] = best.to;
        sum += best.lost;
    }
    let loss = losses.sum(&levels)?;
    Some(Estimated {
        cost: space.cost(&levels),
        levels,
        loss,
    })
}

/// Number of choices of `count` of `of`, at most [`usize::MAX`].
fn choices(of: usize, count: usize) -> usize {
    (0..count).fold(1usize, |product, i| {
        product.saturating_mul(of - i) / (i + 1)
    })
}

/// Every choice of `count` of these levels, in lexical order.
fn subsets(levels: &[usize], count: usize) -> Vec<Vec<usize>> {
    if count == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (at, first) in levels.iter().enumerate() {
        for mut rest in subsets(&levels[at + 1..], count - 1) {
            rest.insert(0, *first);
            all.push(rest);
        }
    }
    all
}

/// A choice with one more level, every one that it lacks.
fn extended(levels: &[usize], rails: &[usize]) -> Vec<Vec<usize>> {
    let more = levels.iter().filter(|level| !rails.contains(level));
    more.map(|level| rails_of(&[rails, &[*level]].concat()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::{every_assignment, space, Additive};
    use super::*;

    #[test]
    fn losses_rise_as_voltages_fall_and_end_where_none_was_measured() {
        let measured = vec![vec![None, Some(0.2), Some(0.01), Some(0.03), Some(-0.01)]];
        let losses = Losses::of_measured(&measured);
        assert_eq!(
            losses.0[0],
            [None, Some(0.2), Some(0.03), Some(0.03), Some(0.0)]
        );
        assert_eq!((losses.sum(&[1]), losses.sum(&[0])), (Some(0.2), None));
    }

    #[test]
    fn choices_are_counted_and_listed() {
        assert_eq!(subsets(&[0, 1, 2, 3], 2).len(), choices(4, 2));
        assert_eq!(subsets(&[0, 1, 2], 2), [[0, 1], [0, 2], [1, 2]]);
        assert_eq!(choices(40, 4), 91_390);
        assert_eq!(extended(&[0, 1, 2], &[1]), [[0, 1], [1, 2]]);
    }

    #[test]
    fn estimates_keep_the_limit_and_lie_within_one_step_of_the_optimum() {
        for seed in 0..30 {
            let world = Additive::new(seed, 4, 5);
            for (most_rails, limit) in [(4, 0.01), (2, 0.02), (1, 0.03), (4, 100.0)] {
                let space = space(&world, 0.004, most_rails);
                let losses = world.losses();
                let best = every_assignment(4, 5)
                    .into_iter()
                    .filter(|l| {
                        space.rails(l) <= most_rails
                            && losses.sum(l).is_some_and(|sum| sum <= limit)
                    })
                    .map(|levels| space.cost(&levels))
                    .fold(f64::INFINITY, f64::min);
                let found = &cheapest(&space, &losses, limit)[0];
                assert!(found.loss <= limit && space.rails(&found.levels) <= most_rails);
                assert!(found.cost >= best - 1e-12, "{seed}: better than the best");
                // the greedy misses the optimum by less than the energy of one domain's step
                let step = space.energy.iter().map(|e| e[4] - e[0]).fold(0.0, f64::max);
                assert!(
                    found.cost < best + step,
                    "{seed} {limit}: {} {best}",
                    found.cost
                );
                if limit == 100.0 || most_rails == 1 {
                    assert!(
                        (found.cost - best).abs() < 1e-12,
                        "{seed} {most_rails} {limit}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_limit_that_no_assignment_keeps_gives_none() {
        let losses = Losses::of_measured(&vec![vec![Some(0.2), Some(0.1)]; 2]);
        let space = Space {
            domains: vec!["a".into(), "b".into()],
            voltages: vec![0.8, 0.9],
            error_free: 2,
            energy: vec![vec![0.1, 0.2]; 2],
            fixed: 0.0,
            rail_energy: 0.0,
            most_rails: 2,
        };
        assert_eq!(cheapest(&space, &losses, 0.1), []);
        assert_eq!(cheapest(&space, &losses, 0.2)[0].levels, [1, 1]);
    }
}
