//! What trials come to: summaries of design points, frontiers, savings.

use crate::error::{Error, Result};
use crate::fault::{ArrayLabel, Protection};
use crate::quant::MethodLabel;
use crate::stats::{ImageSample, Interval};
use crate::sweep::{Design, StoppedBy};
use crate::table::{text_value, Columns, Record, FINITE, FRACTION, FROM_ZERO};
use crate::units::Metric;
use std::ops::RangeInclusive;
use std::{fmt, str::FromStr};

/// Accuracy of one design point over its chips. Accuracies are fractions in [0, 1].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// The design point.
    pub design: Design,
    /// Chips evaluated.
    pub chips: u64,
    /// Images per chip; under two-level sampling, of the chips after the pilot.
    pub images: u64,
    /// Images looked at, over all chips.
    pub image_evaluations: u64,
    /// Of these, images of which a logit is not finite, counted as wrong; `None` in tables of schema 3, which do not
    /// count them.
    pub not_finite: Option<u64>,
    /// Images of the test set, of which `images` are all or a random subset.
    pub test_images: u64,
    /// Mean accuracy over chips; under two-level sampling its estimate (see
    /// [`Difference`](crate::stats::Difference)), kept in [0, 1].
    pub mean: f64,
    /// Standard deviation over chips, divisor n-1; `None` for one chip. Under two-level sampling the square root of
    /// the variance component between chips, the choice of images taken out.
    pub std: Option<f64>,
    /// Standard deviation over the images of a chip of right on the chip less right without faults: the other variance
    /// component of two-level sampling; else `None`.
    pub image_std: Option<f64>,
    /// 95 % interval of the mean accuracy on all test images: Student's over chips, the choice of images
    /// included where they are a subset; see [`mean_half_width`](crate::stats::mean_half_width).
    pub student: Option<Interval>,
    /// The same by percentile bootstrap; see [`bootstrap_mean`](crate::stats::bootstrap_mean).
    pub bootstrap: Option<Interval>,
    /// Half-width of the 95 % interval of the mean, as an estimate of that on images outside the test set, from
    /// the sampling of images alone.
    pub image_half_width: Option<f64>,
    /// Accuracy floor of the yield.
    pub floor: f64,
    /// The single chips; `None` under two-level sampling, which sees too little of each.
    pub quantiles: Option<Quantiles>,
    /// Why no more chips were added.
    pub stopped_by: StoppedBy,
}

/// How the accuracies of single chips lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantiles {
    /// Least accuracy of a chip.
    pub min: f64,
    /// 5 % quantile.
    pub p05: f64,
    /// Median.
    pub median: f64,
    /// 95 % quantile.
    pub p95: f64,
    /// Greatest accuracy of a chip.
    pub max: f64,
    /// Fraction of chips at or above the floor.
    pub yield_share: f64,
    /// 95 % Clopper-Pearson interval of the yield.
    pub yield_interval: Interval,
}

/// What accuracies of design points are the share of: runs that are drawn together have one.
pub fn metric<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> Metric {
    let first = summaries.into_iter().next();
    first.map_or(Metric::default(), |summary| summary.design.metric)
}

/// True where the energies of these design points hold those of stored activations.
pub fn counts_activations<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> bool {
    let mut designs = summaries.into_iter().map(|summary| &summary.design);
    designs.any(Design::counts_activations)
}

/// What the energies of these design points are called.
pub fn energy_scope<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> &'static str {
    if counts_activations(summaries) {
        "energy of weights and activations"
    } else {
        "weight-memory energy"
    }
}

/// Which memory's accesses they are of.
pub fn accessed<'a>(summaries: impl IntoIterator<Item = &'a Summary>) -> &'static str {
    if counts_activations(summaries) {
        "the memories of weights and stored activations"
    } else {
        "the weight memory"
    }
}

impl Record for Summary {
    const WHAT: &'static str = "a summary table; a finished sweep writes it";
    const KEY: &'static str = "design_id";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        self.design.keys(c)?;
        c.column("chips", &mut self.chips)?;
        c.number("mean", FRACTION, &mut self.mean)?;
        c.number("std", FROM_ZERO, &mut self.std)?;
        interval(c, ["ci_low", "ci_high"], FINITE, &mut self.student)?;
        interval(c, ["boot_low", "boot_high"], FRACTION, &mut self.bootstrap)?;
        let of_chips = ["min", "p05", "median", "p95", "max", "yield"];
        let mut found = self
            .quantiles
            .map_or([None; 6], |quantiles| quantiles.numbers().map(Some));
        let mut yields = self.quantiles.map(|quantiles| quantiles.yield_interval);
        for (name, number) in of_chips.into_iter().zip(&mut found).take(5) {
            c.number(name, FRACTION, number)?;
        }
        c.number("floor", FRACTION, &mut self.floor)?;
        c.number("yield", FRACTION, &mut found[5])?;
        interval(c, YIELD_ENDS, FRACTION, &mut yields)?;
        self.quantiles = Quantiles::of(found, yields);
        if self.quantiles.is_none() && (found != [None; 6] || yields.is_some()) {
            let names = of_chips.join(", ");
            let expected = format!("values of {names} and the interval of the yield, or of none");
            return Err(c.wrong("min", expected, format!("{found:?} and {yields:?}")));
        }
        self.design.costs(c)?;
        c.column("stopped_by", &mut self.stopped_by)?;
        c.column("images", &mut self.images)?;
        c.column("test_images", &mut self.test_images)?;
        c.number("image_half_width", FROM_ZERO, &mut self.image_half_width)?;
        c.column("image_evaluations", &mut self.image_evaluations)?;
        c.number("image_std", FROM_ZERO, &mut self.image_std)?;
        self.design.clean(c)?;
        c.since(4, "not_finite", &mut self.not_finite)
    }

    fn check<C: Columns>(&self, c: &C) -> Result<()> {
        self.design.check(c)?;
        if self.chips == 0 {
            return Err(c.wrong("chips", "at least 1", "0"));
        }
        if self.images == 0 {
            return Err(c.wrong("images", "at least 1", "0"));
        }
        if self.not_finite > Some(self.image_evaluations) {
            let expected = format!(
                "at most the {} of `image_evaluations`",
                self.image_evaluations
            );
            return Err(c.wrong("not_finite", expected, format!("{:?}", self.not_finite)));
        }
        if self.images > self.test_images {
            let expected = format!("at least the {} of `images`", self.images);
            return Err(c.wrong("test_images", expected, self.test_images.to_string()));
        }
        Ok(())
    }

    fn key(&self) -> String {
        self.design.key()
    }
}

/// Columns of the interval of a yield.
pub(super) const YIELD_ENDS: [&str; 2] = ["yield_low", "yield_high"];

/// The two ends of an interval: both, or neither.
pub(super) fn interval(
    c: &mut impl Columns,
    [low, high]: [&'static str; 2],
    range: RangeInclusive<f64>,
    interval: &mut Option<Interval>,
) -> Result<()> {
    let mut ends = (interval.map(|own| own.low), interval.map(|own| own.high));
    c.number(low, range.clone(), &mut ends.0)?;
    c.number(high, range, &mut ends.1)?;
    *interval = match ends {
        (None, None) => None,
        (Some(low), Some(high)) if low <= high => Some(Interval { low, high }),
        found => {
            let expected = format!("both ends, `{low}` and `{high}`, or neither");
            return Err(c.wrong(low, expected, format!("{found:?}")));
        }
    };
    Ok(())
}

impl Quantiles {
    /// Of all of these numbers, in the order of [`Self::numbers`], with the interval of the yield.
    fn of(numbers: [Option<f64>; 6], yields: Option<Interval>) -> Option<Self> {
        let [min, p05, median, p95, max, share] = numbers;
        Some(Self {
            min: min?,
            p05: p05?,
            median: median?,
            p95: p95?,
            max: max?,
            yield_share: share?,
            yield_interval: yields?,
        })
    }

    /// From the least accuracy to the greatest, then the yield.
    fn numbers(self) -> [f64; 6] {
        [
            self.min,
            self.p05,
            self.median,
            self.p95,
            self.max,
            self.yield_share,
        ]
    }
}

impl Summary {
    /// The images that all chips share within the test set: all of them where each chip has its own.
    pub fn image_sample(&self) -> ImageSample {
        let used = if self.is_two_level() {
            self.test_images
        } else {
            self.images
        };
        ImageSample {
            used,
            all: self.test_images,
        }
    }

    /// True where each chip has test images of its own, and single chips are not known.
    pub fn is_two_level(&self) -> bool {
        self.quantiles.is_none()
    }
}

/// A design point on a frontier.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontierPoint {
    /// The design point with its accuracy.
    pub summary: Summary,
    /// Fraction of paired bootstrap resamples of chips in which the point is on this frontier.
    pub probability: f64,
}

/// What has a frontier and savings of its own. Groups are in the order of their words.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    /// The method.
    pub method: MethodLabel,
    /// The protection, where several are compared and it is not none.
    pub protection: Option<Protection>,
    /// The array, where several are compared: points of one say nothing about another.
    pub array: Option<ArrayLabel>,
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.method)?;
        if let Some(protection) = self.protection {
            write!(f, ", {protection}")?;
        }
        if let Some(array) = &self.array {
            write!(f, ", {array}")?;
        }
        Ok(())
    }
}

impl FromStr for Group {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let (method, rest) = text.split_once(", ").unwrap_or((text, ""));
        let (first, after) = rest.split_once(", ").unwrap_or((rest, ""));
        let protection = first.parse().ok();
        let array = if protection.is_some() { after } else { rest };
        Ok(Self {
            method: method.parse()?,
            protection,
            array: (!array.is_empty()).then(|| array.parse()).transpose()?,
        })
    }
}

text_value!(Group);

/// The frontier of one method, or of all methods together.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontier {
    /// Whose it is; `None` for all together.
    pub method: Option<Group>,
    /// Its points by rising energy.
    pub points: Vec<FrontierPoint>,
    /// Area dominated in the (relative energy, accuracy) plane against the reference point
    /// (energy 1, chance accuracy).
    pub hypervolume: f64,
}

/// The least energy of a method at an accuracy loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Saving {
    /// Whose it is.
    pub method: Group,
    /// Accuracy that may be lost, as a fraction (0.01 is one point).
    pub loss: f64,
    /// Mean accuracy that must be reached: the baseline's clean accuracy less the loss.
    pub target: f64,
    /// The cheapest design point that reaches it on measured ground; `None` where none does.
    pub cheapest: Option<Summary>,
    /// `1 - energy / energy of the baseline's cheapest point`; `None` where either is missing.
    pub saving_to_baseline: Option<f64>,
    /// `1 - energy_relative`: saving against 8 bits at the error-free voltage.
    pub saving_to_reference: Option<f64>,
}

/// Everything of `pareto.csv`.
#[derive(Clone, Debug, PartialEq)]
pub struct Pareto {
    /// All methods together first, then each method by name.
    pub frontiers: Vec<Frontier>,
    /// By loss, then method.
    pub savings: Vec<Saving>,
    /// Method the savings are relative to: `normal` where it was swept.
    pub baseline: Option<MethodLabel>,
    /// Accuracy of guessing.
    pub chance: f64,
}
