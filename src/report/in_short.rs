//! The first table of a document of results: at how many bit error rates the first method is better or worse than
//! each other one, network by network and memory by memory.

use super::answer::width;
use super::results::{first_less_others, places, shown, table, texts, Results, FIRST};
use crate::sweep::TestSplit;
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
    let mut lines: Vec<([String; 4], BTreeMap<&str, Tally>)> = Vec::new();
    for group in results.groups.iter().filter(|group| group.split == TestSplit::Test) {
        for sweep in &group.sweeps {
            for place in places(sweep) {
                let mut by_width: BTreeMap<Option<u32>, BTreeMap<&str, Tally>> = BTreeMap::new();
                for difference in first_less_others(sweep, &place) {
                    let Some(interval) = shown(difference) else { continue };
                    let own = by_width.entry(difference.setting.bits).or_default();
                    let tally = own.entry(difference.other.as_str()).or_default();
                    tally.all += 1;
                    tally.better += usize::from(interval.low > 0.0);
                    tally.worse += usize::from(interval.high < 0.0);
                    others.insert(&difference.other);
                }
                lines.extend(by_width.into_iter().map(|(bits, tallies)| {
                    let network = format!("{}, {}", group.architecture, group.dataset);
                    ([network, format!("`{}`", sweep.run), place.words(), width(bits)], tallies)
                }));
            }
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut head = texts(&["Network", "Run", "Cells", "Width"]);
    head.extend(others.iter().map(|other| format!("{FIRST} against {other}")));
    let cell = |tally: Option<&Tally>| tally.map_or("–".into(), |tally| tally.words());
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|(words, tallies)| {
            words.iter().cloned().chain(others.iter().map(|other| cell(tallies.get(other)))).collect()
        })
        .collect();
    format!(
        "\n## In short\n\nIs {FIRST} better than the others? At how many of the swept bit error rates above 0 the 95 % \
         interval of the paired difference in mean accuracy lies above 0 (better) or below 0 (worse); at the rest the \
         two are not told apart. Where a run has several trainings of a method, the intervals are for any training, \
         else for these two networks only. One interval in twenty misses a true difference of 0 by chance, and \
         neighbouring rates share their chips.\n{}",
        table(&head, 4 + others.len(), &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_says_what_was_found_and_of_how_many() {
        let words = |better, worse| Tally { better, worse, all: 9 }.words();
        assert_eq!(words(0, 0), "not told apart at 9");
        assert_eq!(words(7, 0), "better at 7 of 9");
        assert_eq!(words(0, 2), "worse at 2 of 9");
        assert_eq!(words(1, 2), "better at 1, worse at 2 of 9");
    }
}
