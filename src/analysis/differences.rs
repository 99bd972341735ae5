//! Paired differences between methods at the same bits, voltage, array and protection: over the chips that both
//! share, and over trainings where there are several. Rows, and the table of them.

use super::methods::TRAININGS_ENDS;
use super::row::{interval, Summary};
use super::settings::{by_setting, Crossed, Setting, Training, Trainings};
use crate::error::Result;
use crate::quant::MethodLabel;
use crate::seed::{Purpose, Seed};
use crate::stats::{self, Interval};
use crate::sweep::TrialRow;
use crate::table::{Columns, Record, FINITE, FRACTION};

/// Bootstrap resamples of the mean difference.
const RESAMPLES: usize = 2000;
/// First index of the bootstrap streams of differences; summaries and frontiers have others.
const STREAM: u64 = 2;
/// The method that is compared with all others, and the one that all are compared with.
const FIRST: MethodLabel = MethodLabel::Wcat;
const LAST: MethodLabel = MethodLabel::Normal;

/// One method less another at a setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodDifference {
    /// What both have in common.
    pub setting: Setting,
    /// The method.
    pub method: MethodLabel,
    /// The one it is compared with.
    pub other: MethodLabel,
    /// Trainings that both have, paired by seed.
    pub trainings: u64,
    /// Chips that all of them share.
    pub chips: u64,
    /// Mean accuracy of the method over those trainings and chips, as a fraction.
    pub mean: f64,
    /// That of the other.
    pub other_mean: f64,
    /// Mean less other mean.
    pub difference: f64,
    /// 95 % interval of the difference for these trainings: Student's over chips, paired, of the differences averaged
    /// over trainings; where the images are a subset, with their choice as if each method had seen its own (the same
    /// images mostly cancel: it is a bound); where they are stratified, as cautious as [`stats::Difference::cautious`],
    /// of both methods. `None` for one chip.
    pub student: Option<Interval>,
    /// The same by percentile bootstrap over chips.
    pub bootstrap: Option<Interval>,
    /// 95 % interval of the difference between the methods, trainings as a random effect: see
    /// [`stats::two_way_half_width`]. `None` for one training, which says nothing about another one.
    pub of_trainings: Option<Interval>,
}

/// What an interval of a difference says of the first method.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It lies above 0.
    Better,
    /// It lies below 0.
    Worse,
    /// It holds 0.
    Indistinguishable,
}

impl MethodDifference {
    /// The interval that statements rest on: of the methods where there are several trainings, else of these trainings.
    pub fn interval(&self) -> Option<Interval> {
        self.of_trainings.or(self.student)
    }

    /// What that interval says; `None` without one.
    pub fn verdict(&self) -> Option<Verdict> {
        let interval = self.interval()?;
        Some(if interval.low > 0.0 {
            Verdict::Better
        } else if interval.high < 0.0 {
            Verdict::Worse
        } else {
            Verdict::Indistinguishable
        })
    }
}

/// The difference of every two methods at every setting that both were swept at: `wcat` less each other method, each
/// other method less `normal`, the rest by name. Trainings are paired by seed, chips by number. Models with several
/// voltages are left out, and seeds under which a method has two models.
///
/// # Errors
/// As [`summarize`](super::summarize) for trials that do not go with the summaries.
pub fn method_differences(
    summaries: &[Summary],
    trials: &[TrialRow],
    seed: Seed,
) -> Result<Vec<MethodDifference>> {
    let mut rows = Vec::new();
    for (setting, methods) in by_setting(summaries, trials)? {
        for (method, own) in &methods {
            for (against, other) in &methods {
                if rank(*method) < rank(*against) {
                    let number = rows.len() as u64;
                    rows.extend(difference(&setting, own, other, seed, number));
                }
            }
        }
    }
    Ok(rows)
}

/// Of two methods the one of the lower rank is compared with the other.
fn rank(method: MethodLabel) -> (u8, MethodLabel) {
    let class = match method {
        FIRST => 0,
        LAST => 2,
        _ => 1,
    };
    (class, method)
}

fn difference(
    setting: &Setting,
    own: &Trainings<'_>,
    other: &Trainings<'_>,
    seed: Seed,
    number: u64,
) -> Option<MethodDifference> {
    let pairs: Vec<(&Training<'_>, &Training<'_>)> = own
        .iter()
        .filter_map(|(seed, own)| Some((own.as_ref()?, other.get(seed)?.as_ref()?)))
        .collect();
    let chips = pairs
        .iter()
        .map(|(own, other)| own.accuracies.len().min(other.accuracies.len()))
        .min()?;
    let of_chips: Vec<Vec<f64>> = pairs
        .iter()
        .map(|(own, other)| {
            own.accuracies
                .iter()
                .zip(&other.accuracies)
                .take(chips)
                .map(|(a, b)| a - b)
                .collect()
        })
        .collect();
    let cautions = pairs
        .iter()
        .flat_map(|(own, other)| [own.caution, other.caution])
        .flatten();
    let crossed = Crossed::new(&of_chips, cautions);
    let (mut means, mut other_means) = (Vec::new(), Vec::new());
    for (own, other) in &pairs {
        means.push(stats::mean(&own.accuracies[..chips])?);
        other_means.push(stats::mean(&other.accuracies[..chips])?);
    }
    let (mean, other_mean) = (stats::mean(&means)?, stats::mean(&other_means)?);
    let (first, against) = (pairs.first()?.0.summary, pairs.first()?.1.summary);
    let images = first.image_sample().variance(mean) + against.image_sample().variance(other_mean);
    let middle = mean - other_mean;
    let mut stream = seed.stream(Purpose::Bootstrap, &[STREAM, number]);
    Some(MethodDifference {
        setting: setting.clone(),
        method: first.design.method,
        other: against.design.method,
        trainings: pairs.len() as u64,
        chips: chips as u64,
        mean,
        other_mean,
        difference: middle,
        student: crossed.student(middle, images),
        bootstrap: stats::bootstrap_mean(
            &crossed.chips,
            -1.0..=1.0,
            RESAMPLES,
            images,
            &mut stream,
        ),
        of_trainings: crossed.of_trainings(middle, images),
    })
}

impl Record for MethodDifference {
    const WHAT: &'static str = "a table of differences; a finished sweep writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        self.setting.columns(c)?;
        c.column("method", &mut self.method)?;
        c.column("other", &mut self.other)?;
        c.column("trainings", &mut self.trainings)?;
        c.column("chips", &mut self.chips)?;
        c.number("mean", FRACTION, &mut self.mean)?;
        c.number("other_mean", FRACTION, &mut self.other_mean)?;
        c.number("difference", -1.0..=1.0, &mut self.difference)?;
        interval(c, ["ci_low", "ci_high"], FINITE, &mut self.student)?;
        interval(c, ["boot_low", "boot_high"], FINITE, &mut self.bootstrap)?;
        interval(c, TRAININGS_ENDS, FINITE, &mut self.of_trainings)
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::{summarize, FloorSpec};
    use super::super::tests::{design, trials};
    use super::*;
    use crate::sweep::{Design, StoppedBy, TrialRow};
    use crate::units::Bits;

    fn swept(points: &[(Design, &[u64])], all: u64) -> (Vec<Summary>, Vec<TrialRow>) {
        let designs: Vec<Design> = points.iter().map(|(design, _)| design.clone()).collect();
        let trials: Vec<TrialRow> = points
            .iter()
            .flat_map(|(design, correct)| trials(design, 1000, correct))
            .collect();
        let summaries = summarize(
            &designs,
            &trials,
            FloorSpec::default(),
            StoppedBy::Chips,
            all,
            Seed(1),
        )
        .unwrap();
        (summaries, trials)
    }

    fn trained(name: &str, method: &str, seed: u64) -> Design {
        Design {
            training_seed: Some(seed),
            ..design(name, method, 0.8)
        }
    }

    #[test]
    fn chips_are_paired_so_that_what_they_share_cancels() {
        // the chips differ much, the methods by 40 of 1000 on each
        let (summaries, trials) = swept(
            &[
                (trained("n", "normal", 1), &[500, 700, 900, 600][..]),
                (trained("w", "wcat", 1), &[540, 740, 940, 640][..]),
            ],
            1000,
        );
        let rows = method_differences(&summaries, &trials, Seed(1)).unwrap();
        let [row] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!((row.method.name(), row.other.name()), ("wcat", "normal"));
        assert_eq!((row.trainings, row.chips), (1, 4));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(
            near(row.difference, 0.04) && near(row.mean, 0.715) && near(row.other_mean, 0.675),
            "{row:?}"
        );
        let student = row.student.unwrap();
        assert!(
            near(student.low, 0.04) && near(student.high, 0.04),
            "{student:?}"
        );
        assert_eq!(row.of_trainings, None);
        // a subset of the test images says less
        let (summaries, trials) = swept(
            &[
                (trained("n", "normal", 1), &[500, 700][..]),
                (trained("w", "wcat", 1), &[540, 740][..]),
            ],
            10_000,
        );
        let rows = method_differences(&summaries, &trials, Seed(1)).unwrap();
        assert!(rows[0].student.unwrap().low < 0.0, "{rows:?}");
    }

    #[test]
    fn several_trainings_are_a_random_effect_and_are_paired_by_seed() {
        let (summaries, trials) = swept(
            &[
                (trained("n1", "normal", 1), &[500, 502, 498][..]),
                (trained("n2", "normal", 2), &[500, 501, 499][..]),
                (trained("n3", "normal", 3), &[400, 401, 399][..]),
                (trained("w1", "wcat", 1), &[600, 602, 599][..]),
                (trained("w2", "wcat", 2), &[520, 521, 519][..]),
                (trained("x", "wcat", 9), &[100, 100, 100][..]),
            ],
            1000,
        );
        let rows = method_differences(&summaries, &trials, Seed(1)).unwrap();
        let [row] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!(row.trainings, 2);
        assert!((row.difference - 0.0601667).abs() < 1e-6, "{row:?}");
        let (chips, both) = (row.student.unwrap(), row.of_trainings.unwrap());
        assert!(chips.low > 0.05, "{chips:?}");
        assert!(
            both.low < 0.0 && both.high > 0.12,
            "two trainings 8 points apart cannot tell: {both:?}"
        );
    }

    #[test]
    fn differences_and_means_of_stratified_images_are_as_cautious_as_those_of_a_design_point() {
        // strata of 100 and 900 images; `right` of 10 in the second
        let design_trials = |name: &str, method: &str, right: &[u64]| {
            let design = trained(name, method, 1);
            let correct: Vec<u64> = right.iter().map(|right| 1 + right).collect();
            let mut trials = trials(&design, 12, &correct);
            for (trial, right) in trials.iter_mut().zip(right) {
                trial.strata = Some(format!("1/2/100;{right}/10/900").parse().unwrap());
            }
            (design, trials)
        };
        let rows = |own: &[u64], other: &[u64]| {
            let (a, mut all) = design_trials("n", "normal", other);
            let (b, more) = design_trials("w", "wcat", own);
            all.extend(more);
            let (floor, by) = (FloorSpec::default(), StoppedBy::Tolerance);
            let summaries = summarize(&[a, b], &all, floor, by, 1000, Seed(1)).unwrap();
            let methods = super::super::method_means(&summaries, &all).unwrap();
            for method in &methods {
                let mut of_method = summaries
                    .iter()
                    .filter(|s| s.design.method == method.method);
                let summary = of_method.next().unwrap();
                let (own, of_design) = (method.student.unwrap(), summary.student.unwrap());
                assert!(
                    (own.low - of_design.low).abs() < 1e-12,
                    "{own:?} {of_design:?}"
                );
                assert!(
                    (own.high - of_design.high).abs() < 1e-12,
                    "{own:?} {of_design:?}"
                );
            }
            method_differences(&summaries, &all, Seed(1))
                .unwrap()
                .remove(0)
        };
        // one more changed image in every stratum of either: 0.1 (1/2 - 1/100) and 0.9 (1/10 - 1/900) for 4 chips
        let one_more = 2.0 * (0.049f64.powi(2) + 0.089f64.powi(2)) / 4.0;
        // fewer than three chips differ: 3/4 of them may, by one image
        let least = (3.0f64 / 4.0).sqrt() / 1000.0;
        let half = 3.182446 * (one_more + least * least).sqrt() / 2.0;
        let alike = rows(&[9, 9, 9, 9], &[8, 8, 8, 8]);
        let student = alike.student.unwrap();
        assert!((alike.difference - 0.09).abs() < 1e-12, "{alike:?}");
        assert!(
            (student.half_width() - half).abs() < 1e-6,
            "{student:?} {half}"
        );
        // chips with a long lower tail: the middle lies below the difference
        let skewed = rows(&[9, 9, 9, 9, 9, 9, 9, 2], &[9, 9, 8, 8, 9, 8, 9, 8]);
        let student = skewed.student.unwrap();
        assert!(
            0.5 * (student.low + student.high) < skewed.difference,
            "{skewed:?}"
        );
    }

    #[test]
    fn only_what_is_alike_is_compared_and_wcat_goes_first_and_normal_last() {
        let other_bits = Design {
            bits: Bits::new(2).ok(),
            ..trained("w2", "wcat", 1)
        };
        let (summaries, trials) = swept(
            &[
                (trained("l", "lsq", 1), &[500, 510][..]),
                (trained("n", "normal", 1), &[500, 500][..]),
                (trained("w", "wcat", 1), &[510, 510][..]),
                (trained("twin", "plclip", 1), &[510, 510][..]),
                (trained("twin2", "plclip", 1), &[510, 510][..]),
                (other_bits, &[510, 510][..]),
            ],
            1000,
        );
        let rows = method_differences(&summaries, &trials, Seed(1)).unwrap();
        let pairs: Vec<(&str, &str)> = rows
            .iter()
            .map(|row| (row.method.name(), row.other.name()))
            .collect();
        assert_eq!(
            pairs,
            [("lsq", "normal"), ("wcat", "lsq"), ("wcat", "normal")]
        );
        assert_eq!(
            rows,
            method_differences(&summaries, &trials, Seed(1)).unwrap()
        );
        let csv = crate::table::csv_string(&rows).unwrap();
        assert!(
            csv.starts_with("schema,architecture,") && csv.lines().count() == 4,
            "{csv}"
        );
    }
}
