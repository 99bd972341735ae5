//! The clean network on the test images of a sweep, and what the choice of images means for its results.

use super::journal::Replay;
use super::kept::KeptAnswers;
use super::models::{Loaded, TestImages};
use crate::analysis::Summary;
use crate::engine::{Answers, Score};
use crate::error::Result;
use crate::stats::{self, ImageSample};
use crate::sweep::Sampling;
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
    /// As [`Loaded::check_finite`]; a failure of an evaluation; [`crate::error::Error::Interrupted`].
    pub(super) fn of(
        models: &[Loaded],
        images: &TestImages,
        sampling: Sampling,
        replay: &Replay,
        kept: &KeptAnswers,
        cancel: &AtomicBool,
    ) -> Result<Self> {
        let unknown = |correct| Score {
            images: images.count,
            correct,
            not_finite: 0,
            loss: f64::NAN,
        };
        let score = |(i, model): (usize, &Loaded)| match replay
            .designs
            .iter()
            .find(|design| design.model == model.name)
        {
            Some(design) => Ok(unknown(
                (design.clean_accuracy.get() * images.count as f64).round() as u64,
            )),
            None => {
                let answers = match kept.read(model)? {
                    Some(answers) => answers,
                    None => model.evaluator.clean_answers(images.of(i), cancel)?,
                };
                model.check_finite(answers.not_finite, images.count)?;
                Ok(unknown(answers.correct()))
            }
        };
        let models = models.par_iter().enumerate();
        if sampling == Sampling::AllImages {
            return Ok(Self {
                scores: models.map(score).collect::<Result<_>>()?,
                answers: Vec::new(),
            });
        }
        let answer = |(i, model): (usize, &Loaded)| {
            let answers = match kept.read(model)? {
                Some(answers) => answers,
                None => model.evaluator.clean_answers(images.of(i), cancel)?,
            };
            model.check_finite(answers.not_finite, images.count)?;
            Ok(answers)
        };
        let answers: Vec<Answers> = models.map(answer).collect::<Result<_>>()?;
        Ok(Self {
            scores: answers.iter().map(Answers::correct).map(unknown).collect(),
            answers,
        })
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
