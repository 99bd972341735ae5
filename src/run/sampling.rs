//! The clean network on the test images of a sweep, and what the choice of images means for its results.

use super::journal::Replay;
use super::kept::KeptAnswers;
use super::models::Loaded;
use super::prepared::Prepared;
use crate::analysis::Summary;
use crate::engine::{Answers, Score};
use crate::error::Result;
use crate::stats::{self, ImageSample};
use crate::sweep::{Comparison, Outcome, Part, Sampling, Trial, TwoLevel};
use crate::units::ChipId;
use rayon::prelude::*;
use std::sync::atomic::AtomicBool;

/// The models without faults.
pub(super) struct Clean {
    /// Score of each model.
    pub(super) scores: Vec<Score>,
    /// Answers of each model image by image, under two-level sampling; else empty.
    pub(super) answers: Vec<Answers>,
}

impl Clean {
    /// Evaluates the models, but takes known scores from the journal where scores are enough, and answers that
    /// `--prepare` has kept in `kept`.
    ///
    /// # Errors
    /// As [`KeptAnswers::answers`].
    pub(super) fn of(
        prepared: &Prepared,
        replay: &Replay,
        kept: &KeptAnswers,
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let images = &prepared.images;
        let unknown = |correct| Score {
            images: images.count,
            correct,
            not_finite: 0,
            loss: f64::NAN,
        };
        let answer = |(i, model): (usize, &Loaded)| kept.answers(model, images.of(i), cancel);
        let score = |(i, model): (usize, &Loaded)| {
            // the journal knows how many answers were right, not which: enough where nothing is sampled by them
            let mut designs = replay.designs.iter();
            let correct = match designs.find(|design| design.model == model.name) {
                Some(design) => (design.clean_accuracy.get() * images.count as f64).round() as u64,
                None => answer((i, model))?.correct(),
            };
            Ok(unknown(correct))
        };
        let models = prepared.models.par_iter().enumerate();
        if !prepared.experiment.sweep.sampling.is_two_level() {
            return Ok(Self {
                scores: models.map(score).collect::<Result<_>>()?,
                answers: Vec::new(),
            });
        }
        let answers: Vec<Answers> = models.map(answer).collect::<Result<_>>()?;
        Ok(Self {
            scores: answers.iter().map(Answers::correct).map(unknown).collect(),
            answers,
        })
    }
}

/// The trials of a comparison, whichever images their chips are seen through.
pub(super) enum Sampled<'a> {
    /// The same for all.
    AllImages(&'a Comparison<'a>),
    /// Some of its own for each chip.
    TwoLevel(TwoLevel<'a>),
}

impl Sampled<'_> {
    /// How many are owed beyond `done`; of two-level sampling at least, as its first chips tell how many more follow.
    ///
    /// # Errors
    /// As [`Comparison::designs`].
    pub(super) fn owed(&self, done: &[Trial]) -> Result<usize> {
        match self {
            Self::AllImages(comparison) => comparison.count_owed(done),
            Self::TwoLevel(sampled) => sampled.least_owed(done),
        }
    }

    /// Those that all shards together owe: under a tolerance those of the next round.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) fn owed_by_all(&self, done: &[Trial]) -> Result<Vec<(String, ChipId)>> {
        let never = AtomicBool::new(false);
        Ok(self.run(Part::Nothing, done, &never, &mut |_| Ok(()))?.owed)
    }

    /// Computes a part of them.
    ///
    /// # Errors
    /// As [`Comparison::run`] and [`TwoLevel::run`].
    pub(super) fn run(
        &self,
        part: Part,
        done: &[Trial],
        cancel: &AtomicBool,
        sink: &mut (dyn FnMut(&Trial) -> Result<()> + Send),
    ) -> Result<Outcome> {
        match self {
            Self::AllImages(comparison) => comparison.run_part(part, done, cancel, sink),
            Self::TwoLevel(sampled) => sampled.run_part(part, done, cancel, sink),
        }
    }
}

/// What to tell where the choice of a shared subset of images alone puts some of these mean accuracies beyond the
/// tolerance.
pub(super) fn beyond_tolerance(
    tolerance: f64,
    sample: ImageSample,
    means: impl Iterator<Item = f64>,
) -> Option<String> {
    let half = |mean: f64| stats::normal_half_width(sample.variance(mean));
    let widest = means.max_by(|a, b| half(*a).total_cmp(&half(*b)))?;
    (half(widest) > tolerance).then(|| {
        format!(
            "more chips cannot bring every mean within the tolerance of {tolerance}: at an accuracy of {:.4} the \
             choice of {} of {} test images alone leaves {:.4}; at least {} images would be needed",
            widest,
            sample.used,
            sample.all,
            half(widest),
            ImageSample::least(widest, tolerance, sample.all)
        )
    })
}

/// What to tell where faults made logits that are not finite.
pub(super) fn not_finite(summaries: &[Summary]) -> Option<String> {
    let answers: u64 = summaries.iter().filter_map(|s| s.not_finite).sum();
    let evaluations: u64 = summaries.iter().map(|s| s.image_evaluations).sum();
    (answers > 0).then(|| {
        format!(
            "faults made logits that are not finite numbers in {answers} of {evaluations} answers: they count as \
             wrong (column `not_finite`)"
        )
    })
}

/// What two-level sampling looked at, and what spread it found.
pub(super) fn two_level(summaries: &[Summary], sampling: Sampling) -> Option<String> {
    let sampled: Vec<&Summary> = summaries.iter().filter(|s| s.is_two_level()).collect();
    let first = sampled.first()?;
    let looked: u64 = sampled.iter().map(|s| s.image_evaluations).sum();
    let all: u64 = sampled.iter().map(|s| s.chips * s.test_images).sum();
    let widest = |of: fn(&Summary) -> Option<f64>| {
        let all = sampled.iter().filter_map(|s| of(s));
        all.reduce(f64::max).map_or("unknown".to_owned(), |std| {
            format!("{:.2} points", 100.0 * std)
        })
    };
    let strata = if sampling == Sampling::Stratified {
        " Images are stratified by the clean answers of each model, and most lie where faults change answers; the \
         interval is shifted for the skewness of the chips."
    } else {
        ""
    };
    Some(format!(
        "Two-level sampling: each chip was seen through images of its own ({} of {} after the pilot), beside the clean \
         network on the same images. {looked} image evaluations were made, where all images on as many chips would \
         be {all}. A mean is the clean accuracy on all images plus the mean change that faults made; its interval is \
         Student's over chips and includes the choice of images. Greatest standard deviations: {} between chips (the \
         choice of images taken out), {} between the images of a chip. Quantiles over chips and yields need all \
         images of a chip, and are left out.{strata}",
        first.images,
        first.test_images,
        widest(|s| s.std),
        widest(|s| s.image_std)
    ))
}
