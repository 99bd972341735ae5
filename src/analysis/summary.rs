//! Trials to summaries: the statistics of each design point over its chips.

use super::chips::{ChipTable, Chips, Views};
use super::row::{Quantiles, Summary};
use crate::error::{refuse, Error, Result};
use crate::seed::{Purpose, Seed};
use crate::stats::{self, Components, Difference, ImageSample, Interval, StratifiedComponents};
use crate::store;
use crate::sweep::{Design, StoppedBy, TrialRow};
use crate::units::Accuracy;
use serde::{Deserialize, Serialize};

/// Bootstrap resamples of the mean of a design point.
const RESAMPLES: usize = 2000;
/// First index of the bootstrap streams of summaries; frontiers have another.
const STREAM: u64 = 0;

/// Accuracy floor of the yield.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FloorSpec {
    /// The same for all design points.
    Fixed(Accuracy),
    /// The clean accuracy of the model less this, a fraction in [0, 1]; not below 0.
    BelowClean(f64),
}

impl Default for FloorSpec {
    /// Five points below the clean accuracy.
    fn default() -> Self {
        Self::BelowClean(0.05)
    }
}

impl FloorSpec {
    /// Floor of a model of the given clean accuracy.
    fn of(self, clean: f64) -> Result<f64> {
        match self {
            Self::Fixed(floor) => Ok(floor.get()),
            Self::BelowClean(x) if (0.0..=1.0).contains(&x) => Ok((clean - x).max(0.0)),
            Self::BelowClean(x) => {
                let (what, expected) = ("floor below the clean accuracy", "a number from 0 to 1");
                refuse(what, expected, x)
            }
        }
    }
}

/// Summaries of all design points, by model, protection and rising voltage. Intervals are at
/// 95 %; the bootstrap has 2000 resamples and depends on the seed and the design point alone, so
/// that further design points change no row.
///
/// Intervals of the mean are those of the mean accuracy on all `test_images`: where the trials used a
/// random subset, they include its choice (see [`ImageSample::variance`]); where they used all, they are over
/// chips alone. Chips that all give the same result have a standard deviation of 0, and then intervals of
/// width 0. All else is about the images that were used.
///
/// Trials of two-level sampling have images of their own on each chip: mean and Student's interval are those of
/// [`Difference`], and what a partial look at each chip cannot tell is left out.
///
/// # Errors
/// [`Error::Argument`]: a trial of no design point, a design point twice or without trial, chips
/// that are not 0, 1, ... without gap, different numbers of images, more images than `test_images`, a floor
/// outside [0, 1].
pub fn summarize(
    designs: &[Design],
    trials: &[TrialRow],
    floor: FloorSpec,
    stopped_by: StoppedBy,
    test_images: u64,
    seed: Seed,
) -> Result<Vec<Summary>> {
    let mut table = ChipTable::new(trials)?;
    let mut sorted: Vec<&Design> = designs.iter().collect();
    sorted.sort_by(|a, b| a.design_id.cmp(&b.design_id));
    let mut pairs = sorted.windows(2);
    if let Some(twice) = pairs.find(|pair| pair[0].design_id == pair[1].design_id) {
        let found = format!("`{}` twice", twice[0].design_id);
        return refuse("design points", "each once", found);
    }
    let known = |id: &str| {
        sorted
            .binary_search_by(|design| design.design_id.as_str().cmp(id))
            .is_ok()
    };
    if let Some(id) = table.chips.keys().find(|id| !known(id)) {
        let expected = "of a known design point";
        return refuse("trials", expected, format!("of `{id}`"));
    }
    sorted.sort_by(|a, b| Design::in_order(a, b));
    let summaries: Vec<Summary> = sorted
        .into_iter()
        .map(|design| {
            let chips = table.take(&design.design_id)?;
            let not_finite = table.not_finite.get(design.design_id.as_str());
            let summary = summary(design, &chips, test_images, floor, stopped_by, seed)?;
            Ok(Summary {
                not_finite: not_finite.copied().flatten(),
                ..summary
            })
        })
        .collect::<Result<_>>()?;
    let images = summaries.first().map_or(0, |first| first.images);
    if images > test_images {
        let expected = format!("at least the {images} used");
        let found = test_images.to_string();
        return refuse("test images", expected, found);
    }
    if let Some(other) = summaries.iter().find(|summary| summary.images != images) {
        let (own, id) = (other.images, &other.design.design_id);
        let found = format!("{images}, and {own} for `{id}`");
        let expected = "the same for all design points";
        return refuse("images of a run", expected, found);
    }
    Ok(summaries)
}

fn summary(
    design: &Design,
    chips: &Chips,
    test_images: u64,
    floor: FloorSpec,
    stopped_by: StoppedBy,
    seed: Seed,
) -> Result<Summary> {
    let clean = design.clean_accuracy.get();
    let mean = chips.mean(clean);
    let floor = floor.of(clean)?;
    let of_all = ImageSample {
        used: match chips {
            Chips::Alike { images, .. } => *images,
            Chips::Own { .. } => test_images,
        },
        all: test_images,
    };
    let Estimate {
        xs,
        std,
        image_std,
        half,
        shift,
        of_images,
        quantiles,
    } = match chips {
        Chips::Alike { correct, .. } => Estimate::alike(of_all, correct, mean, floor)?,
        Chips::Own { views, .. } => {
            Estimate::own(design, chips.accuracies(clean), views, test_images)
        }
    };
    let student = half.map(|half| Interval::around(mean + shift, half));
    let bootstrap = if half == Some(0.0) {
        student
    } else {
        let mut stream = seed.stream(Purpose::Bootstrap, &[STREAM, key(&design.design_id)]);
        let found = stats::bootstrap_mean(&xs, 0.0..=1.0, RESAMPLES, of_images, &mut stream);
        found.map(Interval::of_fraction)
    };
    Ok(Summary {
        design: design.clone(),
        chips: chips.count() as u64,
        images: chips.images(),
        image_evaluations: chips.image_evaluations(),
        not_finite: None,
        test_images,
        mean,
        std,
        image_std,
        student,
        bootstrap,
        image_half_width: stats::image_half_width(mean, of_all.used),
        floor,
        quantiles,
        stopped_by,
    })
}

/// The parts of a summary that depend on the way of sampling.
struct Estimate {
    /// Accuracy of each chip.
    xs: Vec<f64>,
    std: Option<f64>,
    image_std: Option<f64>,
    /// Student's half-width.
    half: Option<f64>,
    /// How far the middle of Student's interval is from the mean.
    shift: f64,
    /// Variance of the mean from a choice of images that all chips share.
    of_images: f64,
    quantiles: Option<Quantiles>,
}

impl Estimate {
    fn alike(sample: ImageSample, correct: &[u64], mean: f64, floor: f64) -> Result<Self> {
        let xs: Vec<f64> = correct
            .iter()
            .map(|&correct| correct as f64 / sample.used as f64)
            .collect();
        let of_images = sample.variance(mean);
        let same = correct.iter().all(|&x| x == correct[0]);
        let std = stats::standard_deviation(&xs).map(|std| if same { 0.0 } else { std });
        let good = xs.iter().filter(|&&x| x >= floor).count();
        let fraction = good as f64 / xs.len() as f64;
        let interval = stats::clopper_pearson(good as u64, xs.len() as u64);
        let quantiles = quantiles(&xs, fraction, interval)?;
        let half = std.and_then(|std| stats::mean_half_width(std, xs.len(), of_images));
        Ok(Self {
            xs,
            std,
            image_std: None,
            half,
            shift: 0.0,
            of_images,
            quantiles: Some(quantiles),
        })
    }

    fn own(design: &Design, xs: Vec<f64>, views: &Views, test_images: u64) -> Self {
        let (found, variances) = match views {
            Views::TwoLevel(chips) => {
                let components = Components::of(chips, test_images);
                let variances = components.map(|own| (own.chips, own.images));
                (Difference::of(chips), variances)
            }
            Views::Stratified(chips) => {
                let components = StratifiedComponents::of(chips);
                let variances = components.map(|own| (own.chips(), own.images()));
                (Difference::of_strata(chips), variances)
            }
        };
        let (half, shift) = if design.can_fail() {
            let half = found.and_then(Difference::half_width);
            (half, found.map_or(0.0, |found| found.shift))
        } else {
            // every chip is the clean network, whatever images it is seen through
            (Some(0.0), 0.0)
        };
        Self {
            xs,
            std: variances.map(|(chips, _)| chips.sqrt()),
            image_std: variances.map(|(_, images)| images.sqrt()),
            half,
            shift,
            of_images: 0.0,
            quantiles: None,
        }
    }
}

/// Quantiles of accuracies, with a yield.
///
/// # Errors
/// [`Error::Argument`] without accuracies.
pub(super) fn quantiles(
    accuracies: &[f64],
    yield_share: f64,
    yield_interval: Interval,
) -> Result<Quantiles> {
    let sorted = stats::sorted(accuracies);
    let quantile = |q| {
        stats::quantile(&sorted, q).ok_or_else(|| Error::argument("chips", "at least 1", "none"))
    };
    Ok(Quantiles {
        min: quantile(0.0)?,
        p05: quantile(0.05)?,
        median: quantile(0.5)?,
        p95: quantile(0.95)?,
        max: quantile(1.0)?,
        yield_share,
        yield_interval,
    })
}

/// A number that depends on the text alone: the first 64 bits of its SHA-256.
fn key(text: &str) -> u64 {
    let digits = store::sha256(text.as_bytes());
    u64::from_str_radix(&digits[..16], 16).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{design, trials};
    use super::*;
    use crate::sweep::TrialRow;

    fn near(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-6, "{a} is not {b}");
    }

    fn one(design: &Design, trials: &[TrialRow], floor: FloorSpec) -> Result<Vec<Summary>> {
        let all = trials.iter().map(|trial| trial.images).max().unwrap_or(1);
        of(all, design, trials, floor)
    }

    /// Where the images are those of a test set of `all` images, or a subset.
    fn of(
        all: u64,
        design: &Design,
        trials: &[TrialRow],
        floor: FloorSpec,
    ) -> Result<Vec<Summary>> {
        summarize(
            std::slice::from_ref(design),
            trials,
            floor,
            StoppedBy::Chips,
            all,
            Seed(1),
        )
    }

    #[test]
    fn a_summary_by_hand() {
        let design = design("m", "wcat", 0.8);
        let trials = trials(&design, 100, &[80, 90, 100, 70]);
        let s = one(&design, &trials, FloorSpec::default())
            .unwrap()
            .remove(0);
        assert_eq!((s.chips, s.images, s.mean), (4, 100, 0.85));
        near(s.std.unwrap(), (0.05f64 / 3.0).sqrt());
        let student = s.student.unwrap();
        near(student.low, 0.85 - 3.182446 * (0.05f64 / 3.0).sqrt() / 2.0);
        near(student.high - 0.85, 0.85 - student.low);
        let bootstrap = s.bootstrap.unwrap();
        assert!(
            0.7 < bootstrap.low
                && bootstrap.low < 0.8
                && 0.9 < bootstrap.high
                && bootstrap.high < 1.0
        );
        near(
            s.image_half_width.unwrap(),
            1.959964 * (0.85f64 * 0.15 / 100.0).sqrt(),
        );
        let quantiles = s.quantiles.unwrap();
        for (found, expected) in [
            quantiles.min,
            quantiles.p05,
            quantiles.median,
            quantiles.p95,
            quantiles.max,
        ]
        .into_iter()
        .zip([0.7, 0.715, 0.85, 0.985, 1.0])
        {
            near(found, expected);
        }
        near(s.floor, 0.9);
        near(quantiles.yield_share, 0.5);
        near(quantiles.yield_interval.low, 0.067586);
        near(quantiles.yield_interval.high, 0.932414);
    }

    #[test]
    fn the_floor_counts_chips_that_reach_it_exactly() {
        let design = design("m", "wcat", 0.8);
        let trials = trials(&design, 100, &[80, 90, 100, 70]);
        let fraction = |floor| {
            one(&design, &trials, floor).unwrap()[0]
                .quantiles
                .unwrap()
                .yield_share
        };
        assert_eq!(fraction(FloorSpec::Fixed(Accuracy::new(0.9).unwrap())), 0.5);
        assert_eq!(
            fraction(FloorSpec::Fixed(Accuracy::new(0.90001).unwrap())),
            0.25
        );
        assert_eq!(fraction(FloorSpec::BelowClean(1.0)), 1.0);
        assert!(one(&design, &trials, FloorSpec::BelowClean(f64::NAN)).is_err());
    }

    #[test]
    fn fault_free_chips_have_width_zero_but_images_still_count() {
        let design = design("m", "wcat", 1.0);
        for correct in 1..300 {
            let s = one(
                &design,
                &trials(&design, 307, &vec![correct; 49]),
                FloorSpec::default(),
            )
            .unwrap();
            let clean = correct as f64 / 307.0;
            assert_eq!((s[0].mean, s[0].std), (clean, Some(0.0)));
            assert_eq!(
                s[0].student,
                Some(Interval {
                    low: clean,
                    high: clean
                })
            );
            assert_eq!(s[0].bootstrap, s[0].student);
            assert!(s[0].image_half_width.unwrap() > 0.0);
        }
    }

    #[test]
    fn the_choice_of_images_is_in_the_intervals_of_the_mean_and_in_nothing_else() {
        let design = design("m", "wcat", 0.8);
        let trials = trials(&design, 100, &[80, 90, 100, 70]);
        let with = |all| {
            of(all, &design, &trials, FloorSpec::default())
                .unwrap()
                .remove(0)
        };
        let (whole, subset) = (with(100), with(400));
        let chips = 3.182446 * (0.05f64 / 3.0).sqrt() / 2.0;
        let p: f64 = (85.0 + 2.0) / 104.0;
        let images = 1.959964 * (p * (1.0 - p) / 99.0 * 0.75).sqrt();
        near(
            subset.student.unwrap().half_width(),
            (chips * chips + images * images).sqrt(),
        );
        let bootstrap = |s: &Summary| s.bootstrap.unwrap().half_width();
        assert!(
            bootstrap(&subset) > bootstrap(&whole),
            "{} {}",
            bootstrap(&subset),
            bootstrap(&whole)
        );
        let rest = Summary {
            test_images: 100,
            student: whole.student,
            bootstrap: whole.bootstrap,
            ..subset.clone()
        };
        assert_eq!(rest, whole);
        assert_eq!(with(400), subset);
    }

    #[test]
    fn chips_all_alike_on_a_subset_of_images_have_an_interval() {
        let design = design("m", "wcat", 1.0);
        for correct in [0, 97, 100] {
            let trials = trials(&design, 100, &[correct; 8]);
            let s = of(400, &design, &trials, FloorSpec::default())
                .unwrap()
                .remove(0);
            assert_eq!(s.std, Some(0.0));
            let (student, bootstrap) = (s.student.unwrap(), s.bootstrap.unwrap());
            assert!(
                student.half_width() > 0.01 && bootstrap.half_width() > 0.01,
                "{correct}"
            );
            assert!(0.0 <= bootstrap.low && bootstrap.high <= 1.0);
        }
        let error = of(
            99,
            &design,
            &trials(&design, 100, &[97]),
            FloorSpec::default(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "test images: expected at least the 100 used, found 99"
        );
    }

    #[test]
    fn one_chip_has_no_spread() {
        let design = design("m", "wcat", 0.8);
        let s = one(&design, &trials(&design, 100, &[80]), FloorSpec::default()).unwrap();
        assert_eq!((s[0].std, s[0].student, s[0].bootstrap), (None, None, None));
    }

    #[test]
    fn further_design_points_change_no_row_and_the_order_is_fixed() {
        let mut designs = vec![
            design("m", "wcat", 0.9),
            design("m", "wcat", 0.8),
            design("k", "lsq", 1.0),
        ];
        let mut all = trials(&designs[0], 50, &[40, 45, 50, 31, 37, 48, 22, 41]);
        let first = one(&designs[0], &all, FloorSpec::default()).unwrap();
        all.extend(trials(&designs[1], 50, &[40, 45, 50, 31, 37, 48, 22, 41]));
        all.extend(trials(&designs[2], 50, &[49; 8]));
        designs[1].protection = crate::fault::Protection::Secded;
        let s = summarize(
            &designs,
            &all,
            FloorSpec::default(),
            StoppedBy::Chips,
            50,
            Seed(1),
        )
        .unwrap();
        let ids: Vec<&str> = s.iter().map(|s| s.design.design_id.as_str()).collect();
        assert_eq!(ids, ["k@1vmin", "m@0.9vmin", "m@0.8vmin"]);
        assert_eq!(s[1], first[0]);
        let other = summarize(
            &designs,
            &all,
            FloorSpec::default(),
            StoppedBy::Chips,
            50,
            Seed(2),
        )
        .unwrap();
        assert_eq!(other[1].student, s[1].student);
        assert_ne!(other[1].bootstrap, s[1].bootstrap);
    }

    #[test]
    fn trials_that_do_not_fit_are_refused() {
        let design = design("m", "wcat", 0.8);
        let whole = trials(&design, 100, &[80, 90, 100]);
        let message = |change: &dyn Fn(&mut Vec<TrialRow>)| {
            let mut trials = whole.clone();
            change(&mut trials);
            one(&design, &trials, FloorSpec::default())
                .unwrap_err()
                .to_string()
        };
        let of = "trials of design point `m@0.8vmin`: expected";
        let gap = message(&|t| drop(t.remove(1)));
        assert_eq!(
            gap,
            format!("{of} chips without a gap from 0, found chip 2 in place of 1")
        );
        let twice = message(&|t| t.push(t[1].clone()));
        assert_eq!(twice, format!("{of} each chip once, found chip 1 twice"));
        let images = message(&|t| t[2].images = 200);
        assert_eq!(
            images,
            format!("{of} the same images on every chip, found 100 and 200")
        );
        assert_eq!(
            message(&|t| t.clear()),
            format!("{of} at least one, found none")
        );
        let more = message(&|t| t[0].correct = 101);
        assert_eq!(
            more,
            format!("{of} images, and at most all of them correct, found 101 of 100")
        );
        let unknown = message(&|t| t.iter_mut().for_each(|t| t.design_id = "x".into()));
        assert_eq!(
            unknown,
            "trials: expected of a known design point, found of `x`"
        );
    }

    #[test]
    fn design_points_of_different_images_are_refused() {
        let designs = [design("m", "wcat", 0.8), design("m", "wcat", 0.9)];
        let mut all = trials(&designs[0], 100, &[80, 90]);
        all.extend(trials(&designs[1], 200, &[80, 90]));
        let error = summarize(
            &designs,
            &all,
            FloorSpec::default(),
            StoppedBy::Chips,
            200,
            Seed(1),
        )
        .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("found 100, and 200 for `m@0.9vmin`"),
            "{error}"
        );
    }
}
