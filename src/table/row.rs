//! The rows of the tables: stored trials and times, summaries of design points, frontiers, savings.

use crate::stats::{ImageSample, Interval};
use crate::sweep::{CleanAnswers, Design, StoppedBy, Trial, TrialStatus};
use crate::units::ChipId;

/// Accuracy of one design point over its chips. Accuracies are fractions in [0, 1].
#[derive(Clone, Debug, PartialEq)]
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
    pub spread: Option<Spread>,
    /// Why no more chips were added.
    pub stopped_by: StoppedBy,
}

/// How the accuracies of single chips lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
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
    /// Share of chips at or above the floor.
    pub yield_share: f64,
    /// 95 % Clopper-Pearson interval of the yield.
    pub yield_interval: Interval,
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
        self.spread.is_none()
    }
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

/// A row of `trials.parquet`: a trial without the time it took, which is in `timing.csv`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialRow {
    /// The design point.
    pub design_id: String,
    /// The chip.
    pub chip: ChipId,
    /// Failing cells that hold a bit of the network.
    pub faults: u64,
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly.
    pub correct: u64,
    /// Images of which a logit is not finite, counted as wrong; `None` in tables of schema 3, which do not count them.
    pub not_finite: Option<u64>,
    /// The clean network on the same images, under two-level sampling.
    pub clean: Option<CleanAnswers>,
    /// How the trial ended.
    pub status: TrialStatus,
}

impl From<&Trial> for TrialRow {
    fn from(trial: &Trial) -> Self {
        Self {
            design_id: trial.design_id.clone(),
            chip: trial.chip,
            faults: trial.faults,
            images: trial.images,
            correct: trial.correct,
            not_finite: Some(trial.not_finite),
            clean: trial.clean,
            status: trial.status,
        }
    }
}

impl From<&TrialRow> for TrialRow {
    fn from(row: &TrialRow) -> Self {
        row.clone()
    }
}

/// What summaries and frontiers need of a trial: fresh from a sweep or read from a table.
pub trait Outcome {
    /// The design point.
    fn design_id(&self) -> &str;
    /// The chip.
    fn chip(&self) -> ChipId;
    /// Images evaluated.
    fn images(&self) -> u64;
    /// Images classified correctly.
    fn correct(&self) -> u64;
    /// Images of which a logit is not finite; `None` where they were not counted.
    fn not_finite(&self) -> Option<u64>;
    /// The clean network on the same images, under two-level sampling.
    fn clean(&self) -> Option<CleanAnswers>;
}

/// [`Outcome`] of a struct with fields of the same names.
macro_rules! outcome {
    ($row:ty) => {
        impl Outcome for $row {
            fn design_id(&self) -> &str {
                &self.design_id
            }
            fn chip(&self) -> ChipId {
                self.chip
            }
            fn images(&self) -> u64 {
                self.images
            }
            fn correct(&self) -> u64 {
                self.correct
            }
            fn not_finite(&self) -> Option<u64> {
                self.not_finite.into()
            }
            fn clean(&self) -> Option<CleanAnswers> {
                self.clean
            }
        }
    };
}

outcome!(Trial);
outcome!(TrialRow);

/// A row of `timing.csv`: wall seconds of one trial, or of another phase of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Timing {
    /// The design point, where the phase belongs to one.
    pub design_id: Option<String>,
    /// The chip, where the phase belongs to one.
    pub chip: Option<ChipId>,
    /// What was done; `trial` for a trial.
    pub phase: String,
    /// Wall seconds.
    pub seconds: f64,
}

impl From<&Trial> for Timing {
    fn from(trial: &Trial) -> Self {
        Self {
            design_id: Some(trial.design_id.clone()),
            chip: Some(trial.chip),
            phase: "trial".into(),
            seconds: trial.seconds,
        }
    }
}
