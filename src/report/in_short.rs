//! The first tables of a document of results, network by network and memory by memory: at how many bit error rates the
//! first method is better or worse than each other one, and who holds the frontier of accuracy against energy.

use super::answer::width;
use super::markdown::{self, code};
use super::results::{
    first_less_others, has_curves, means_at, places, shown, table, texts, Place, ResultSweep,
    Results, FIRST,
};
use crate::analysis::undominated;
use crate::sweep::TestSplit;
use crate::units::{BerSource, Bits};
use std::collections::{BTreeMap, BTreeSet};

/// Rates at which an interval lies above 0, below 0, and all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    better: usize,
    worse: usize,
    all: usize,
}

impl Tally {
    fn words(self) -> String {
        let Self { better, worse, all } = self;
        match (better, worse) {
            (0, 0) => format!("not told apart at {all}"),
            (better, 0) => format!("better at {better} of {all}"),
            (0, worse) => format!("worse at {worse} of {all}"),
            (better, worse) => format!("better at {better}, worse at {worse} of {all}"),
        }
    }
}

/// Empty where the first method was compared with none.
pub(super) fn in_short(results: &Results) -> String {
    let mut others: BTreeSet<&str> = BTreeSet::new();
    let mut lines: Vec<(Vec<String>, BTreeMap<&str, Tally>)> = Vec::new();
    for (words, sweep, place) in tested(results) {
        let mut by_width: BTreeMap<Option<Bits>, BTreeMap<&str, Tally>> = BTreeMap::new();
        for difference in first_less_others(sweep, &place) {
            let Some(interval) = shown(difference) else {
                continue;
            };
            let own = by_width.entry(difference.setting.bits).or_default();
            let tally = own.entry(difference.other.name()).or_default();
            tally.all += 1;
            tally.better += usize::from(interval.low > 0.0);
            tally.worse += usize::from(interval.high < 0.0);
            others.insert(difference.other.name());
        }
        let named = |bits| words.iter().cloned().chain([width(bits)]).collect();
        lines.extend(
            by_width
                .into_iter()
                .map(|(bits, tallies)| (named(bits), tallies)),
        );
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut head = texts(&["Network", "Run", "Cells", "Width"]);
    head.extend(
        others
            .iter()
            .map(|other| format!("{FIRST} against {}", markdown::words(other))),
    );
    let cell = |tally: Option<&Tally>| tally.map_or("–".into(), |tally| tally.words());
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|(words, tallies)| {
            words
                .iter()
                .cloned()
                .chain(others.iter().map(|other| cell(tallies.get(other))))
                .collect()
        })
        .collect();
    format!(
        "\n## In short\n\nIs {FIRST} better than the others? At how many of the swept bit error rates above 0 the 95 % \
         interval of the paired difference in mean accuracy lies above 0 (better) or below 0 (worse); at the rest the \
         two are not told apart. Where a run has several trainings of a method, the intervals are for any training, \
         else for these two networks only. Where all chips of a run were seen through the same subset of the test \
         images, the interval counts the choice of images for each network as if it had images of its own, which is a \
         bound: that two are not told apart there may be due to the subset. One interval in twenty misses a true \
         difference of 0 by chance, and neighbouring rates share their chips.\n{}",
        table(&head, 4 + others.len(), &rows)
    ) + &frontiers(results)
}

/// The sweeps on test images by place: network, run and place in words, then both.
fn tested(results: &Results) -> Vec<([String; 3], &ResultSweep, Place<'_>)> {
    let groups = results
        .groups
        .iter()
        .filter(|group| group.split == TestSplit::Test);
    let sweeps = groups.flat_map(|group| group.sweeps.iter().map(move |sweep| (group, sweep)));
    sweeps
        .flat_map(|(group, sweep)| {
            places(sweep)
                .into_iter()
                .map(move |place| (group, sweep, place))
        })
        .map(|(group, sweep, place)| {
            let network = format!("{}, {}", group.architecture, group.dataset);
            let network = markdown::words(&network);
            ([network, code(&sweep.run), place.words()], sweep, place)
        })
        .collect()
}

/// Who is on the frontier of each sweep, means of methods taken for points.
fn frontiers(results: &Results) -> String {
    let mut rows: Vec<Vec<String>> = Vec::new();
    for (words, sweep, place) in tested(results) {
        if !has_curves(&sweep.summaries) {
            continue;
        }
        let mut means = means_at(sweep, &place);
        means.retain(|mean| mean.setting.ber_source != BerSource::Extrapolated);
        let points: Vec<(f64, f64)> = means
            .iter()
            .map(|mean| (mean.energy_relative, mean.mean))
            .collect();
        let mut counts: BTreeMap<(Option<Bits>, &str), usize> = BTreeMap::new();
        let on = undominated(&points);
        for &i in &on {
            *counts
                .entry((means[i].setting.bits, means[i].method.name()))
                .or_default() += 1;
        }
        let held = counts.iter().map(|((bits, method), n)| {
            format!("{} {}: {n}", markdown::words(method), width(*bits))
        });
        let held = held.collect::<Vec<_>>().join(", ");
        rows.push(
            words
                .into_iter()
                .chain([on.len().to_string(), held])
                .collect(),
        );
    }
    if rows.is_empty() {
        return String::new();
    }
    let head = texts(&["Network", "Run", "Cells", "Points", "Of which"]);
    format!(
        "\nWho holds the frontier of mean accuracy against weight-memory energy, by method and width, on measured ground; \
         neighbouring points often lie within each other's intervals:\n{}",
        table(&head, 5, &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_what_was_found_and_of_how_many() {
        let words = |better, worse| {
            Tally {
                better,
                worse,
                all: 9,
            }
            .words()
        };
        assert_eq!(words(0, 0), "not told apart at 9");
        assert_eq!(words(7, 0), "better at 7 of 9");
        assert_eq!(words(0, 2), "worse at 2 of 9");
        assert_eq!(words(1, 2), "better at 1, worse at 2 of 9");
    }
}
