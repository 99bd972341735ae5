//! The first tables of a document of results, network by network and memory by memory: at how many bit error rates the
//! first method is better or worse than each other one, and who holds the frontier of accuracy against energy.

use super::super::grid::{Cell, Grid};
use super::super::words::width;
use super::{first_less_others, has_curves, means_at, places, Place, ResultSweep, Results, FIRST};
use crate::analysis::{undominated, Verdict};
use crate::sweep::TestSplit;
use crate::units::{BerSource, Bits};
use std::collections::{BTreeMap, BTreeSet};

/// Both tables; empty where the first method was compared with none.
#[derive(Default)]
pub(super) struct InShort {
    pub(super) verdicts: Grid,
    pub(super) frontiers: Grid,
}

/// A sweep on test images at one place.
struct Tested<'a> {
    network: String,
    sweep: &'a ResultSweep,
    place: Place<'a>,
}

/// Rates at which the first method is better than another, worse, and all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    better: usize,
    worse: usize,
    all: usize,
}

impl Tally {
    fn words(&self) -> String {
        let Self { better, worse, all } = self;
        match (better, worse) {
            (0, 0) => format!("indistinguishable at {all}"),
            (better, 0) => format!("better at {better} of {all}"),
            (0, worse) => format!("worse at {worse} of {all}"),
            (better, worse) => format!("better at {better}, worse at {worse} of {all}"),
        }
    }
}

impl InShort {
    pub(super) fn of(results: &Results) -> Self {
        let tested = tested(results);
        let mut others: BTreeSet<&str> = BTreeSet::new();
        let mut lines: Vec<(&Tested<'_>, Option<Bits>, BTreeMap<&str, Tally>)> = Vec::new();
        for at in &tested {
            let mut by_width: BTreeMap<Option<Bits>, BTreeMap<&str, Tally>> = BTreeMap::new();
            for difference in first_less_others(at.sweep, &at.place) {
                let Some(verdict) = difference.verdict() else {
                    continue;
                };
                let of_width = by_width.entry(difference.setting.bits).or_default();
                let tally = of_width.entry(difference.other.name()).or_default();
                tally.all += 1;
                tally.better += usize::from(verdict == Verdict::Better);
                tally.worse += usize::from(verdict == Verdict::Worse);
                others.insert(difference.other.name());
            }
            let of_widths = by_width.into_iter();
            lines.extend(of_widths.map(|(bits, tallies)| (at, bits, tallies)));
        }
        if lines.is_empty() {
            return Self::default();
        }
        let mut verdicts = Grid::of(&lines)
            .text("Network", |(at, ..)| &at.network)
            .text("Run", |(at, ..)| Cell::Code(at.sweep.run.clone()))
            .text("Cells", |(at, ..)| at.place.name())
            .text("Width", |(_, bits, _)| width(*bits));
        for other in others {
            verdicts = verdicts.text(format!("{FIRST} against {other}"), |(.., tallies)| {
                tallies.get(other).map(Tally::words)
            });
        }
        Self {
            verdicts: verdicts.grid(),
            frontiers: frontiers(&tested),
        }
    }
}

fn tested(results: &Results) -> Vec<Tested<'_>> {
    let mut all = Vec::new();
    for group in &results.groups {
        let sweeps = group.sweeps.iter();
        for sweep in sweeps.filter(|_| group.split == TestSplit::Test) {
            let of_places = places(sweep).into_iter().map(|place| Tested {
                network: format!("{}, {}", group.architecture, group.dataset),
                sweep,
                place,
            });
            all.extend(of_places);
        }
    }
    all
}

/// Who is on the frontier of each sweep, means of methods taken for points.
fn frontiers(tested: &[Tested<'_>]) -> Grid {
    let mut rows: Vec<(&Tested<'_>, usize, String)> = Vec::new();
    let curves = tested.iter().filter(|at| has_curves(&at.sweep.summaries));
    for at in curves {
        let mut means = means_at(at.sweep, &at.place);
        means.retain(|mean| mean.setting.ber_source != BerSource::Extrapolated);
        let points: Vec<(f64, f64)> = means
            .iter()
            .map(|mean| (mean.energy_relative, mean.mean))
            .collect();
        let on = undominated(&points);
        let mut counts: BTreeMap<(Option<Bits>, &str), usize> = BTreeMap::new();
        for &i in &on {
            let kind = (means[i].setting.bits, means[i].method.name());
            *counts.entry(kind).or_default() += 1;
        }
        let held = counts
            .iter()
            .map(|((bits, method), n)| format!("{method} {}: {n}", width(*bits)));
        let held: Vec<String> = held.collect();
        rows.push((at, on.len(), held.join(", ")));
    }
    Grid::of(&rows)
        .text("Network", |(at, ..)| &at.network)
        .text("Run", |(at, ..)| Cell::Code(at.sweep.run.clone()))
        .text("Cells", |(at, ..)| at.place.name())
        .text("Points", |(_, points, _)| *points)
        .text("Of which", |(.., held)| held)
        .grid()
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
        assert_eq!(words(0, 0), "indistinguishable at 9");
        assert_eq!(words(7, 0), "better at 7 of 9");
        assert_eq!(words(0, 2), "worse at 2 of 9");
        assert_eq!(words(1, 2), "better at 1, worse at 2 of 9");
    }
}
