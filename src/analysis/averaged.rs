//! Design points as figures by method show them: the trainings of a method at a setting as one point.

use super::frontier::{by_energy, frontier};
use super::methods::mean;
use super::row::{Quantiles, Summary};
use super::settings::{by_setting, Setting, Trainings};
use super::summary::quantiles;
use crate::error::Result;
use crate::quant::MethodLabel;
use crate::stats::{self, Interval};
use crate::sweep::{Design, TrialRow};
use crate::units::Accuracy;
use std::collections::BTreeSet;

/// Design points, trainings of a method averaged.
#[derive(Clone, Debug, PartialEq)]
pub struct Averaged {
    /// One for each method at a setting that has several trainings, and all other points as they were.
    pub summaries: Vec<Summary>,
    /// Most trainings that one of them is the mean of; 1 where nothing was averaged.
    pub trainings: u64,
}

impl Averaged {
    /// Design points as they are, each training for itself.
    pub fn none(summaries: Vec<Summary>) -> Self {
        Self {
            summaries,
            trainings: 1,
        }
    }

    /// The points that `keep` holds for.
    pub fn only(&self, keep: impl Fn(&Summary) -> bool) -> Self {
        let summaries = self
            .summaries
            .iter()
            .filter(|summary| keep(summary))
            .cloned()
            .collect();
        Self {
            summaries,
            trainings: self.trainings,
        }
    }
}

/// Takes the trainings of a method at a setting for one point, as [`method_means`](super::method_means) does. Left as
/// they are: points with a voltage for each domain, methods with one training, and those with two models of one
/// training seed, which are no trainings of one method.
///
/// In a point of several trainings `mean` is over trainings and chips, and `student` is the interval of the mean of
/// the method with trainings as a random effect. Quantiles are of all chips of all trainings, each of which has a
/// yield by a floor of its own: `yield_share` and `floor` are means over trainings, and `yield_interval` reaches from the
/// lowest to the highest end of their intervals. `design` has mean clean accuracy, no training seed, and the
/// method for a model. There is no standard deviation and no bootstrap.
///
/// # Errors
/// As [`summarize`](super::summarize) for trials that do not go with the summaries.
pub fn average_trainings(summaries: &[Summary], trials: &[TrialRow]) -> Result<Averaged> {
    let (mut averages, mut most) = (Vec::new(), 1);
    let mut replaced: BTreeSet<&str> = BTreeSet::new();
    for (setting, methods) in by_setting(summaries, trials)? {
        for (method, trainings) in methods {
            if trainings.len() < 2 || trainings.values().any(Option::is_none) {
                continue;
            }
            let of = trainings.values().flatten();
            replaced.extend(of.map(|own| own.summary.design.design_id.as_str()));
            averages.extend(average(&setting, method, &trainings)?);
            most = most.max(trainings.len() as u64);
        }
    }
    let kept = summaries
        .iter()
        .filter(|s| !replaced.contains(s.design.design_id.as_str()));
    Ok(Averaged {
        summaries: kept.cloned().chain(averages).collect(),
        trainings: most,
    })
}

fn average(
    setting: &Setting,
    method: MethodLabel,
    trainings: &Trainings<'_>,
) -> Result<Option<Summary>> {
    let known: Vec<_> = trainings.values().flatten().collect();
    let (Some(first), Some(mean)) = (known.first(), mean(setting, method, trainings)) else {
        return Ok(None);
    };
    let first = first.summary;
    let over = |of: fn(&Summary) -> f64| {
        stats::mean(&known.iter().map(|own| of(own.summary)).collect::<Vec<_>>()).unwrap_or(0.0)
    };
    let accuracies: Vec<f64> = known
        .iter()
        .flat_map(|own| own.accuracies.iter().copied())
        .collect();
    let all_quantiles: Option<Vec<Quantiles>> =
        known.iter().map(|own| own.summary.quantiles).collect();
    let design = Design {
        design_id: format!("{} trainings of {}", known.len(), first.design.design_id),
        model: method.to_string(),
        training_seed: None,
        clean_accuracy: Accuracy::new(mean.clean)?,
        ..first.design.clone()
    };
    Ok(Some(Summary {
        design,
        chips: mean.chips,
        image_evaluations: known.iter().map(|own| own.summary.image_evaluations).sum(),
        not_finite: known.iter().map(|own| own.summary.not_finite).sum(),
        mean: mean.mean,
        std: None,
        image_std: None,
        student: mean.of_trainings.or(mean.student),
        bootstrap: None,
        image_half_width: stats::image_half_width(mean.mean, first.image_sample().used),
        floor: over(|summary| summary.floor),
        quantiles: all_quantiles
            .map(|all_quantiles| pooled(&all_quantiles, &accuracies))
            .transpose()?,
        ..first.clone()
    }))
}

/// The chips of all trainings, with their mean yield between the ends of all their intervals.
fn pooled(all_quantiles: &[Quantiles], accuracies: &[f64]) -> Result<Quantiles> {
    let fractions: Vec<f64> = all_quantiles
        .iter()
        .map(|quantiles| quantiles.yield_share)
        .collect();
    let ends = all_quantiles
        .iter()
        .map(|quantiles| quantiles.yield_interval);
    let none = Interval {
        low: 1.0,
        high: 0.0,
    };
    let hull = ends.fold(none, |all, i| Interval {
        low: all.low.min(i.low),
        high: all.high.max(i.high),
    });
    quantiles(accuracies, stats::mean(&fractions).unwrap_or(0.0), hull)
}

/// Places of the points (energy, accuracy) that no other dominates: none has both at most their energy and at least
/// their accuracy, one of them strictly. By rising energy.
pub fn undominated(points: &[(f64, f64)]) -> Vec<usize> {
    let (energies, accuracies): (Vec<f64>, Vec<f64>) = points.iter().copied().unzip();
    let mut on = Vec::new();
    frontier(&energies, &accuracies, &by_energy(&energies), |i| {
        on.push(i)
    });
    on
}

#[cfg(test)]
mod tests {
    use super::super::summary::{summarize, FloorSpec};
    use super::super::tests::{design, trials};
    use super::*;
    use crate::seed::Seed;
    use crate::sweep::{StoppedBy, TrialRow};

    fn swept(points: &[(&str, &str, u64, f64, [u64; 3])]) -> (Vec<Summary>, Vec<TrialRow>) {
        let named: Vec<(Design, [u64; 3])> = points
            .iter()
            .map(|&(name, method, seed, voltage, correct)| {
                (
                    Design {
                        training_seed: Some(seed),
                        ..design(name, method, voltage)
                    },
                    correct,
                )
            })
            .collect();
        let designs: Vec<Design> = named.iter().map(|(design, _)| design.clone()).collect();
        let trials: Vec<TrialRow> = named
            .iter()
            .flat_map(|(d, correct)| trials(d, 1000, correct))
            .collect();
        let floor = FloorSpec::Fixed(Accuracy::new(0.85).unwrap());
        (
            summarize(&designs, &trials, floor, StoppedBy::Chips, 1000, Seed(1)).unwrap(),
            trials,
        )
    }

    #[test]
    fn trainings_become_one_point_and_all_else_stays() {
        let (summaries, trials) = swept(&[
            ("a", "wcat", 1, 0.8, [900, 902, 898]),
            ("b", "wcat", 2, 0.8, [800, 802, 860]),
            ("c", "normal", 1, 0.8, [700; 3]),
            // one seed twice: no trainings of one method
            ("d", "lsq", 1, 0.8, [600; 3]),
            ("e", "lsq", 1, 0.8, [500; 3]),
        ]);
        let averaged = average_trainings(&summaries, &trials).unwrap();
        assert_eq!((averaged.summaries.len(), averaged.trainings), (4, 2));
        let of = |method: &str| -> Vec<&Summary> {
            averaged
                .summaries
                .iter()
                .filter(|s| s.design.method.name() == method)
                .collect()
        };
        let kept: Vec<&Summary> = summaries
            .iter()
            .filter(|s| s.design.method != MethodLabel::Wcat)
            .collect();
        assert!(kept.iter().all(|s| averaged.summaries.contains(s)));
        let [point] = of("wcat")[..] else {
            panic!("one point")
        };
        assert!(
            (point.mean - (0.9 + 0.8206666667) / 2.0).abs() < 1e-9,
            "{}",
            point.mean
        );
        assert_eq!(
            (
                point.chips,
                point.design.training_seed,
                point.image_evaluations
            ),
            (3, None, 6000)
        );
        let (quantiles, own) = (point.quantiles.unwrap(), |name: &str| {
            summaries
                .iter()
                .find(|s| s.design.model == name)
                .unwrap()
                .quantiles
                .unwrap()
        });
        assert_eq!((quantiles.min, quantiles.max), (0.8, 0.902));
        // all three chips of the one, one of three of the other
        assert!((quantiles.yield_share - 2.0 / 3.0).abs() < 1e-12);
        let (low, high) = (own("b").yield_interval.low, own("a").yield_interval.high);
        assert_eq!(quantiles.yield_interval, Interval { low, high });
        let interval = point.student.unwrap();
        assert!(interval.low < 0.8206 && interval.high > 0.9, "{interval:?}");
    }

    #[test]
    fn without_repeated_trainings_nothing_changes() {
        let (summaries, trials) = swept(&[
            ("a", "wcat", 1, 0.8, [900; 3]),
            ("b", "normal", 1, 0.9, [910; 3]),
        ]);
        let averaged = average_trainings(&summaries, &trials).unwrap();
        assert_eq!(averaged, Averaged::none(summaries.clone()));
        // the dearer point is better, so both are undominated; with less accuracy it would not be
        assert_eq!(undominated(&[(0.5, 0.8), (0.4, 0.7)]), [1, 0]);
        assert_eq!(undominated(&[(0.5, 0.6), (0.4, 0.7)]), [1]);
    }
}
