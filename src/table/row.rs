//! The rows that are computed from trials: summaries of design points, frontiers, savings.

use crate::stats::Interval;
use crate::sweep::{Design, StoppedBy};

/// Accuracy of one design point over its chips. Accuracies are fractions in [0, 1].
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The design point.
    pub design: Design,
    /// Chips evaluated.
    pub chips: u64,
    /// Images per chip.
    pub images: u64,
    /// Mean accuracy over chips.
    pub mean: f64,
    /// Standard deviation over chips, divisor n-1; `None` for one chip.
    pub std: Option<f64>,
    /// 95 % Student-t interval of the mean over chips.
    pub student: Option<Interval>,
    /// 95 % percentile bootstrap interval of the mean over chips.
    pub bootstrap: Option<Interval>,
    /// Half-width of the 95 % interval of the mean that comes from the sampling of test images.
    pub image_half_width: Option<f64>,
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
    /// Accuracy floor of the yield.
    pub floor: f64,
    /// Share of chips at or above the floor.
    pub yield_share: f64,
    /// 95 % Clopper-Pearson interval of the yield.
    pub yield_interval: Interval,
    /// Why no more chips were added.
    pub stopped_by: StoppedBy,
}

/// A design point on a frontier.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontierPoint {
    /// The design point with its accuracy.
    pub summary: Summary,
    /// Share of paired bootstrap resamples of chips in which the point is on this frontier.
    pub probability: f64,
}

/// The frontier of one method, or of all methods together.
#[derive(Clone, Debug, PartialEq)]
pub struct Frontier {
    /// The method; `None` for all together.
    pub method: Option<String>,
    /// Its points by rising energy.
    pub points: Vec<FrontierPoint>,
    /// Area dominated in the (relative energy, accuracy) plane against the reference point
    /// (energy 1, chance accuracy).
    pub hypervolume: f64,
}

/// The least energy of a method at an accuracy loss.
#[derive(Clone, Debug, PartialEq)]
pub struct Saving {
    /// The method.
    pub method: String,
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
    pub baseline: Option<String>,
    /// Accuracy of guessing.
    pub chance: f64,
}
