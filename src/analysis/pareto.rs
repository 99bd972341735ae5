//! Frontiers of accuracy against energy, how sure they are, and the savings at given accuracy losses.

use super::cheapest::cheapest;
use super::chips::{ChipTable, Chips};
use super::frontier::{by_energy, frontier, hypervolume};
use super::row::{Frontier, FrontierPoint, Group, Pareto, Saving, Summary};
use crate::error::{refuse, Result};
use crate::fault::Protection;
use crate::quant::MethodLabel;
use crate::seed::{Purpose, Seed};
use crate::sweep::{Design, TrialRow};
use std::collections::{BTreeMap, BTreeSet};

/// Accuracy losses at which savings are reported, as fractions.
pub const SAVING_LOSSES: [f64; 3] = [0.005, 0.01, 0.02];
/// Paired bootstrap resamples of chips.
pub const RESAMPLES: usize = 1000;
/// The method that others are compared with.
pub const BASELINE: MethodLabel = MethodLabel::Normal;
/// First index of the bootstrap stream of frontiers; summaries have another.
const STREAM: u64 = 1;

/// Frontiers, hypervolumes and savings of the design points of `summaries`, whose trials must be
/// in `trials`. `chance` is the accuracy of guessing.
///
/// A point's probability is the fraction of 1000 resamples of chips, the same chips for all points,
/// in which it is on the frontier; it rests on the chips that all points share (with one chip it
/// is 0 or 1 by construction). Frontiers hold extrapolated points too; savings never rest on one.
///
/// # Errors
/// [`crate::error::Error::Argument`]: no summary, a design point twice, a chance outside [0, 1), trials that are
/// missing, have gaps, or do not give the mean of the summary.
pub fn pareto(
    summaries: &[Summary],
    trials: &[TrialRow],
    chance: f64,
    seed: Seed,
) -> Result<Pareto> {
    if !(0.0..1.0).contains(&chance) {
        let (expected, found) = ("a number from 0 to below 1", chance.to_string());
        return refuse("chance accuracy", expected, found);
    }
    let points = Points::new(summaries, trials)?;
    let names = groups_of(summaries);
    let mut groups: Vec<(Option<&Group>, Vec<usize>)> = vec![(None, points.order.clone())];
    for group in names.iter().collect::<BTreeSet<_>>() {
        let own = points.order.iter().copied().filter(|&i| names[i] == *group);
        groups.push((Some(group), own.collect()));
    }
    let orders: Vec<&[usize]> = groups.iter().map(|(_, order)| order.as_slice()).collect();
    let fractions = points.probabilities(&orders, seed);
    let means: Vec<f64> = summaries.iter().map(|s| s.mean).collect();
    let mut frontiers = Vec::new();
    for ((method, order), fractions) in groups.iter().zip(&fractions) {
        let mut on = Vec::new();
        frontier(&points.energies, &means, order, |i| {
            on.push(FrontierPoint {
                summary: summaries[i].clone(),
                probability: fractions[i],
            });
        });
        let corners: Vec<_> = on
            .iter()
            .map(|point| (point.summary.design.energy_relative, point.summary.mean))
            .collect();
        frontiers.push(Frontier {
            method: method.cloned(),
            points: on,
            hypervolume: hypervolume(&corners, chance),
        });
    }
    let baseline = baseline_of(summaries);
    let savings = savings(summaries, &names, baseline);
    Ok(Pareto {
        frontiers,
        savings,
        baseline,
        chance,
    })
}

/// The group of each summary.
pub fn groups_of(summaries: &[Summary]) -> Vec<Group> {
    let designs = || {
        summaries
            .windows(2)
            .map(|pair| [&pair[0].design, &pair[1].design])
    };
    let protections = designs().any(|[a, b]| a.protection != b.protection);
    let arrays = designs().any(|[a, b]| a.array != b.array);
    let group = |Summary { design, .. }: &Summary| Group {
        method: design.method,
        protection: Some(design.protection).filter(|own| protections && *own != Protection::None),
        array: arrays.then(|| design.array.clone()),
    };
    summaries.iter().map(group).collect()
}

/// The method that others are compared with, where it was swept.
pub(super) fn baseline_of(summaries: &[Summary]) -> Option<MethodLabel> {
    let swept = summaries.iter().any(|s| s.design.method == BASELINE);
    swept.then_some(BASELINE)
}

/// The highest clean accuracy of the baseline's models, or of all models where there is no baseline.
pub(super) fn best_clean(summaries: &[Summary], baseline: Option<MethodLabel>) -> f64 {
    summaries
        .iter()
        .filter(|s| baseline.is_none_or(|baseline| s.design.method == baseline))
        .map(|s| s.design.clean_accuracy.get())
        .fold(0.0, f64::max)
}

/// Design points with their results by chip.
pub(super) struct Points {
    energies: Vec<f64>,
    /// All points by rising energy.
    order: Vec<usize>,
    /// Clean accuracies with the results by chip.
    results: Vec<(f64, Chips)>,
    /// Chips that all points share: 0 to one less.
    pub(super) chips: usize,
}

impl Points {
    pub(super) fn new(summaries: &[Summary], trials: &[TrialRow]) -> Result<Self> {
        let mut table = ChipTable::new(trials)?;
        let mut seen = BTreeSet::new();
        let mut results = Vec::new();
        for summary in summaries {
            let id = summary.design.design_id.as_str();
            let wrong = |expected: String, found: String| {
                let what = format!("design point `{id}`");
                refuse(what, expected, found)
            };
            if !seen.insert(id) {
                return wrong("one summary".into(), "two".into());
            }
            let energy = summary.design.energy_relative;
            if !(0.0..=f64::MAX).contains(&energy) {
                return wrong("a relative energy from 0".into(), energy.to_string());
            }
            let (clean, of_chips) = (summary.design.clean_accuracy.get(), table.take(id)?);
            let (chips, images) = (of_chips.count() as u64, of_chips.images());
            let mean = of_chips.mean(clean);
            let same_mean = (mean - summary.mean).abs() < 1e-9;
            if chips != summary.chips || images != summary.images || !same_mean {
                return wrong(
                    format!("trials of {} chips, mean {}", summary.chips, summary.mean),
                    format!("{chips} chips, mean {mean}"),
                );
            }
            results.push((clean, of_chips));
        }
        let Some(chips) = results.iter().map(|(_, chips)| chips.count()).min() else {
            let expected = "at least one summary";
            return refuse("design points", expected, "none");
        };
        let energies: Vec<f64> = summaries.iter().map(|s| s.design.energy_relative).collect();
        Ok(Self {
            order: by_energy(&energies),
            energies,
            results,
            chips,
        })
    }

    /// Calls `each` with the mean accuracies of all points, in the order of the summaries, once for each resample of
    /// the shared chips.
    pub(super) fn resample(&self, seed: Seed, mut each: impl FnMut(&[f64])) {
        let mut stream = seed.stream(Purpose::Bootstrap, &[STREAM]);
        let mut scores = vec![0.0; self.results.len()];
        for _ in 0..RESAMPLES {
            let mut times = vec![0u64; self.chips];
            for _ in 0..self.chips {
                times[stream.below(self.chips as u64) as usize] += 1;
            }
            for (score, (clean, chips)) in scores.iter_mut().zip(&self.results) {
                *score = chips.mean_of(*clean, &times);
            }
            each(&scores);
        }
    }

    /// For each group of points (by rising energy) the fraction of resamples in which each point is
    /// on the frontier of the group; all groups see the same resamples.
    fn probabilities(&self, groups: &[&[usize]], seed: Seed) -> Vec<Vec<f64>> {
        let mut counts = vec![vec![0u32; self.results.len()]; groups.len()];
        self.resample(seed, |scores| {
            for (counts, order) in counts.iter_mut().zip(groups) {
                frontier(&self.energies, scores, order, |i| counts[i] += 1);
            }
        });
        let fraction = |count: u32| f64::from(count) / RESAMPLES as f64;
        counts
            .into_iter()
            .map(|counts| counts.into_iter().map(fraction).collect())
            .collect()
    }
}

/// Savings by loss, then group. The target is the highest clean accuracy of the baseline's
/// models, or of all models where there is no baseline, less the loss. A group is compared with the baseline in
/// the same array: the unprotected one, or where that was not swept, the one under the same protection.
fn savings(summaries: &[Summary], names: &[Group], baseline: Option<MethodLabel>) -> Vec<Saving> {
    let designs = || names.iter().zip(summaries.iter().map(|s| &s.design));
    let groups: BTreeMap<&Group, &Design> = designs().collect();
    let base_of = |group: &Design| {
        let under = |protection| {
            let mut all = designs().filter(|(_, d)| baseline == Some(d.method));
            all.find(|(_, d)| d.array == group.array && d.protection == protection)
                .map(|(name, _)| name)
        };
        under(Protection::None).or_else(|| under(group.protection))
    };
    let clean = best_clean(summaries, baseline);
    let energy = |s: &Summary| s.design.energy_relative;
    let cheapest = |group: &Group, target: f64| {
        let named = summaries.iter().zip(names);
        let own = named.filter(|(s, name)| *name == group && !s.is_extrapolated());
        cheapest(own.map(|(s, _)| s), target)
    };
    let mut savings = Vec::new();
    for loss in SAVING_LOSSES {
        let target = (clean - loss).max(0.0);
        for (&method, &design) in &groups {
            let base = base_of(design)
                .and_then(|name| cheapest(name, target))
                .map(energy);
            let cheapest = cheapest(method, target);
            let own = cheapest.map(energy);
            savings.push(Saving {
                method: method.clone(),
                loss,
                target,
                cheapest: cheapest.cloned(),
                saving_to_baseline: own
                    .zip(base.filter(|&base| base > 0.0))
                    .map(|(own, base)| 1.0 - own / base),
                saving_to_reference: own.map(|own| 1.0 - own),
            });
        }
    }
    savings
}

#[cfg(test)]
mod tests {
    use super::super::summary::{summarize, FloorSpec};
    use super::super::tests::{design, trials};
    use super::*;
    use crate::sweep::{StoppedBy, TrialRow};

    /// Summaries and trials of design points with the given correct answers of 1000 on each chip.
    fn swept(points: &[(Design, Vec<u64>)]) -> (Vec<Summary>, Vec<TrialRow>) {
        let designs: Vec<Design> = points.iter().map(|(design, _)| design.clone()).collect();
        let trials: Vec<TrialRow> = points
            .iter()
            .flat_map(|(design, correct)| trials(design, 1000, correct))
            .collect();
        let floor = FloorSpec::default();
        (
            summarize(&designs, &trials, floor, StoppedBy::Chips, 1000, Seed(1)).unwrap(),
            trials,
        )
    }

    fn probability(summaries: &[Summary], trials: &[TrialRow], id: &str) -> f64 {
        let place = summaries
            .iter()
            .position(|s| s.design.design_id == id)
            .unwrap();
        let points = Points::new(summaries, trials).unwrap();
        points.probabilities(&[&points.order], Seed(3))[0][place]
    }

    #[test]
    fn clear_winners_are_sure_and_dominated_points_out() {
        let points = [
            (design("good", "wcat", 0.8), vec![900, 910, 905]),
            (design("bad", "wcat", 0.9), vec![500, 510, 505]),
            (design("best", "normal", 1.0), vec![950; 3]),
        ];
        let (summaries, trials) = swept(&points);
        assert_eq!(probability(&summaries, &trials, "good@0.8vmin"), 1.0);
        assert_eq!(probability(&summaries, &trials, "bad@0.9vmin"), 0.0);
        assert_eq!(probability(&summaries, &trials, "best@1vmin"), 1.0);
    }

    #[test]
    fn noisy_twins_share_the_frontier_and_paired_noise_cancels() {
        let mut stream = Seed(11).stream(Purpose::Test, &[]);
        let noise: Vec<u64> = (0..50).map(|_| 800 + stream.below(100)).collect();
        let mut other = noise.clone();
        stream.shuffle(&mut other);
        let twin = |model: &str| design(model, "wcat", 0.8);
        let better: Vec<u64> = noise.iter().map(|x| x + 1).collect();
        // same mean, independent noise: which one leads is a coin toss
        let (summaries, trials) = swept(&[(twin("a"), noise.clone()), (twin("b"), other)]);
        let (a, b) = (
            probability(&summaries, &trials, "a@0.8vmin"),
            probability(&summaries, &trials, "b@0.8vmin"),
        );
        assert!(
            (0.4..0.6).contains(&a) && (0.4..0.6).contains(&b),
            "{a} {b}"
        );
        // one image better on every chip: always ahead, though chips scatter by 100 images
        let (summaries, trials) = swept(&[(twin("a"), noise.clone()), (twin("b"), better)]);
        assert_eq!(probability(&summaries, &trials, "a@0.8vmin"), 0.0);
        assert_eq!(probability(&summaries, &trials, "b@0.8vmin"), 1.0);
        // the same results: both on it
        let (summaries, trials) = swept(&[(twin("a"), noise.clone()), (twin("b"), noise)]);
        assert_eq!(probability(&summaries, &trials, "a@0.8vmin"), 1.0);
    }

    #[test]
    fn frontiers_of_methods_and_of_all() {
        let points = [
            (design("n", "normal", 0.9), vec![900; 2]),
            (design("n", "normal", 1.0), vec![950; 2]),
            (design("w", "wcat", 0.8), vec![920; 2]),
            (design("w", "wcat", 1.0), vec![940; 2]),
        ];
        let (summaries, trials) = swept(&points);
        let found = pareto(&summaries, &trials, 0.1, Seed(1)).unwrap();
        let ids: Vec<(Option<String>, Vec<&str>)> = found
            .frontiers
            .iter()
            .map(|f| {
                let ids = f
                    .points
                    .iter()
                    .map(|p| p.summary.design.design_id.as_str())
                    .collect();
                (f.method.as_ref().map(Group::to_string), ids)
            })
            .collect();
        assert_eq!(ids[0], (None, vec!["w@0.8vmin", "n@1vmin"]));
        assert_eq!(
            ids[1],
            (Some("normal".into()), vec!["n@0.9vmin", "n@1vmin"])
        );
        assert_eq!(ids[2], (Some("wcat".into()), vec!["w@0.8vmin", "w@1vmin"]));
        assert!((found.frontiers[0].hypervolume - (1.0 - 0.64) * 0.82).abs() < 1e-12);
        assert!((found.frontiers[1].hypervolume - (1.0 - 0.81) * 0.8).abs() < 1e-12);
    }

    #[test]
    fn savings_rest_on_measured_points_and_the_baselines_target() {
        let mut guess = (design("w", "wcat", 0.7), vec![949; 2]);
        guess.0.ber_source = crate::units::BerSource::Extrapolated;
        let points = [
            (design("n", "normal", 0.95), vec![940; 2]),
            (design("n", "normal", 1.0), vec![950; 2]),
            guess,
            (design("w", "wcat", 0.8), vec![931; 2]),
            (design("w", "wcat", 0.9), vec![945; 2]),
            (design("bad", "lsq", 0.9), vec![500; 2]),
        ];
        let (summaries, trials) = swept(&points);
        let found = pareto(&summaries, &trials, 0.1, Seed(1)).unwrap();
        assert_eq!(found.baseline, Some(MethodLabel::Normal));
        let of = |method: &str, loss: f64| {
            found
                .savings
                .iter()
                .find(|s| s.method.to_string() == method && s.loss == loss)
                .unwrap()
        };
        let id = |s: &Saving| s.cheapest.as_ref().map(|s| s.design.design_id.clone());
        // clean 0.95: targets 0.945, 0.94 and 0.93, each reached exactly or just so
        assert_eq!(id(of("wcat", 0.005)).as_deref(), Some("w@0.9vmin"));
        assert_eq!(id(of("normal", 0.005)).as_deref(), Some("n@1vmin"));
        assert_eq!(id(of("normal", 0.01)).as_deref(), Some("n@0.95vmin"));
        assert_eq!(id(of("wcat", 0.02)).as_deref(), Some("w@0.8vmin"));
        assert!(
            (of("wcat", 0.02).saving_to_baseline.unwrap() - (1.0 - 0.64 / 0.9025)).abs() < 1e-12
        );
        assert!((of("wcat", 0.02).saving_to_reference.unwrap() - 0.36).abs() < 1e-12);
        assert_eq!(of("normal", 0.01).saving_to_baseline, Some(0.0));
        let none = of("lsq", 0.02);
        assert_eq!(
            (
                &none.cheapest,
                none.saving_to_baseline,
                none.saving_to_reference
            ),
            (&None, None, None)
        );
        let order: Vec<_> = found
            .savings
            .iter()
            .map(|s| (s.loss, s.method.method.name()))
            .collect();
        assert_eq!(
            order[..4],
            [
                (0.005, "lsq"),
                (0.005, "normal"),
                (0.005, "wcat"),
                (0.01, "lsq")
            ]
        );
    }

    #[test]
    fn protections_are_groups_and_are_compared_with_the_unprotected_baseline() {
        let with = |model: &str, method: &str, voltage, protection: &str| {
            let mut design = design(model, method, voltage);
            design.protection = protection.parse().unwrap();
            design.design_id += protection;
            design
        };
        let mut points = vec![
            (with("n", "normal", 1.0, "none"), vec![950; 2]),
            (with("n", "normal", 0.9, "secded"), vec![950; 2]),
            (with("w", "wcat", 0.8, "none"), vec![950; 2]),
            (with("w", "wcat", 0.9, "secded"), vec![950; 2]),
        ];
        let found = |points: &[(Design, Vec<u64>)]| {
            let (summaries, trials) = swept(points);
            let groups = groups_of(&summaries);
            (
                groups.iter().map(Group::to_string).collect::<Vec<_>>(),
                pareto(&summaries, &trials, 0.1, Seed(1)).unwrap(),
            )
        };
        let (names, frontiers) = found(&points);
        assert_eq!(names, ["normal", "normal, secded", "wcat", "wcat, secded"]);
        let saved = frontiers
            .savings
            .iter()
            .find(|s| s.method.to_string() == "wcat, secded")
            .unwrap();
        assert!((saved.saving_to_baseline.unwrap() - (1.0 - 0.81)).abs() < 1e-12);
        // The baseline was swept under the same protection only.
        points.remove(0);
        let (names, frontiers) = found(&points);
        assert_eq!(names, ["normal, secded", "wcat", "wcat, secded"]);
        let saving = |of: &str| {
            frontiers
                .savings
                .iter()
                .find(|s| s.method.to_string() == of)
                .unwrap()
                .saving_to_baseline
        };
        assert_eq!((saving("wcat, secded"), saving("wcat")), (Some(0.0), None));
        // One protection is not worth a name.
        points.remove(1);
        assert_eq!(found(&points).0, ["normal", "wcat"]);
    }

    #[test]
    fn without_a_baseline_the_best_clean_accuracy_sets_the_target() {
        let mut better = design("x", "lsq", 1.0);
        better.clean_accuracy = crate::units::Accuracy::new(0.97).unwrap();
        let (summaries, trials) = swept(&[
            (better, vec![970; 2]),
            (design("w", "wcat", 1.0), vec![950; 2]),
        ]);
        let found = pareto(&summaries, &trials, 0.1, Seed(1)).unwrap();
        assert_eq!(found.baseline, None);
        assert!(found.savings.iter().all(|s| s.saving_to_baseline.is_none()));
        assert!(found
            .savings
            .iter()
            .all(|s| (s.target - (0.97 - s.loss)).abs() < 1e-12));
        assert_eq!(
            found
                .savings
                .iter()
                .filter(|s| s.cheapest.is_some())
                .count(),
            4
        );
    }

    #[test]
    fn inputs_that_contradict_each_other_are_refused() {
        let (summaries, trials) = swept(&[(design("w", "wcat", 0.9), vec![900, 920])]);
        let message = |summaries: &[Summary], trials: &[TrialRow], chance: f64| {
            pareto(summaries, trials, chance, Seed(1))
                .unwrap_err()
                .to_string()
        };
        assert!(message(&[], &trials, 0.1).contains("at least one summary"));
        assert!(message(&summaries, &trials[..1], 0.1)
            .contains("trials of 2 chips, mean 0.91, found 1 chips"));
        assert!(message(&summaries, &[], 0.1).contains("expected at least one, found none"));
        assert!(message(&summaries, &trials, f64::NAN).starts_with("chance accuracy"));
        let twice = [summaries[0].clone(), summaries[0].clone()];
        assert!(message(&twice, &trials, 0.1).contains("expected one summary, found two"));
        let mut wrong = summaries.clone();
        wrong[0].mean = 0.5;
        assert!(message(&wrong, &trials, 0.1).contains("mean 0.5"));
    }

    #[test]
    fn thousands_of_design_points_take_seconds() {
        let mut stream = Seed(12).stream(Purpose::Test, &[]);
        let points: Vec<(Design, Vec<u64>)> = (0..3000)
            .map(|i| {
                let design = design(
                    &format!("m{i}"),
                    ["normal", "wcat"][i % 2],
                    0.5 + i as f64 / 6000.0,
                );
                (design, (0..50).map(|_| stream.below(1000)).collect())
            })
            .collect();
        let (summaries, trials) = swept(&points);
        let start = std::time::Instant::now();
        let found = pareto(&summaries, &trials, 0.1, Seed(1)).unwrap();
        assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
        assert_eq!(found.frontiers.len(), 3);
    }
}
