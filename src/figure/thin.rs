//! Which design points are drawn where there are more than a page can show.

use super::series::in_series_order;
use crate::analysis::{undominated, Averaged, Summary};
use std::collections::BTreeSet;

/// Most design points of a figure, and most rows of a table of a page; of more, a part is shown, and it is said.
pub const MOST_SHOWN: usize = 1000;

/// Places of at most `most` of `count` things, evenly spread, the first and the last among them.
pub fn evenly(count: usize, most: usize) -> Vec<usize> {
    if count <= most || most < 2 {
        return (0..count.min(most)).collect();
    }
    (0..most).map(|i| i * (count - 1) / (most - 1)).collect()
}

/// Places of the design points that are shown: all, or the frontier of all and others that are evenly spread over the
/// voltages of each series.
pub fn shown_points(summaries: &[Summary]) -> Vec<usize> {
    if summaries.len() <= MOST_SHOWN {
        return (0..summaries.len()).collect();
    }
    let points: Vec<(f64, f64)> = summaries
        .iter()
        .map(|s| (s.design.energy_relative, s.mean))
        .collect();
    let frontier = undominated(&points);
    let mut shown: BTreeSet<usize> = evenly(frontier.len(), MOST_SHOWN / 2)
        .into_iter()
        .map(|place| frontier[place])
        .collect();
    let order = in_series_order(summaries);
    let others = evenly(order.len(), MOST_SHOWN - shown.len());
    shown.extend(others.into_iter().map(|place| order[place]));
    shown.into_iter().collect()
}

/// The points that figures show, and what is said where they are not all.
pub(super) fn thinned(points: &Averaged) -> (Averaged, Option<String>) {
    let all = points.summaries.len();
    let shown = shown_points(&points.summaries);
    if shown.len() == all {
        return (points.clone(), None);
    }
    let said = format!(
        "Drawn are {} of {all} design points: those on the frontier, and others evenly spread over each series; all \
         are in summary.csv of the run.",
        shown.len()
    );
    let part = Averaged {
        summaries: shown
            .into_iter()
            .map(|place| points.summaries[place].clone())
            .collect(),
        trainings: points.trainings,
    };
    (part, Some(said))
}

#[cfg(test)]
mod tests {
    use super::super::tests::{frontiers, two_methods};
    use super::*;
    use crate::figure::all;

    /// So many design points of one series, the last of which is best.
    fn many(count: usize) -> Averaged {
        let first = two_methods().remove(0);
        let point = |i: usize| {
            let mut point = first.clone();
            point.design.design_id = format!("p{i}");
            let fraction = i as f64 / count as f64;
            point.design.voltage = Some(0.5 + 0.5 * fraction);
            point.design.energy_relative = 0.25 + 0.5 * fraction;
            point.mean = 0.1 + 0.8 * ((i * 7919) % count) as f64 / count as f64;
            point
        };
        Averaged::none((0..count).map(point).collect())
    }

    #[test]
    fn the_first_and_the_last_are_among_the_evenly_spread() {
        assert_eq!(evenly(3, 5), [0, 1, 2]);
        assert_eq!(evenly(11, 3), [0, 5, 10]);
        let places = evenly(45_010, 1000);
        assert_eq!((places.len(), places[999]), (1000, 45_009));
    }

    #[test]
    fn few_points_are_all_drawn_and_of_many_the_frontier_and_a_part_which_is_said() {
        let few = many(MOST_SHOWN);
        assert_eq!(thinned(&few), (few, None));
        let many = many(20_000);
        let (part, said) = thinned(&many);
        assert!(part.summaries.len() <= MOST_SHOWN && part.summaries.len() > MOST_SHOWN / 2);
        let points: Vec<_> = many
            .summaries
            .iter()
            .map(|s| (s.design.energy_relative, s.mean))
            .collect();
        for place in undominated(&points) {
            assert!(part.summaries.contains(&many.summaries[place]), "{place}");
        }
        let said = said.unwrap();
        assert!(said.contains("of 20000 design points"), "{said}");
        let figures = all(&many, &frontiers(&many.summaries[..10]), &[]);
        assert!(figures.iter().all(|figure| figure.caption.contains(&said)));
        let bytes: usize = figures.iter().map(|figure| figure.svg.len()).sum();
        assert!(bytes < 5_000_000, "{bytes}");
    }
}
