//! Single chips of a design point, each seen through test images of its own.

use super::monte_carlo::{Comparison, SweptModel, Task};
use super::point::Setup;
use super::row::TrialStatus;
use super::strata::{Partition, Strata};
use super::work;
use crate::engine::{Answers, Reads};
use crate::error::{refuse, Result};
use crate::stats::{Judged, Judgement};
use crate::units::ChipId;
use std::sync::atomic::AtomicBool;

/// A comparison of one design point, beside the answers of its model without faults.
#[derive(Debug)]
pub struct Sight<'a> {
    comparison: &'a Comparison<'a>,
    setup: Setup<'a>,
    clean: &'a Answers,
    /// Strata by margin.
    strata: Partition,
    /// Images that are right without faults, and the others.
    kinds: Partition,
}

impl<'a> Sight<'a> {
    /// Of a model with all test images and its answers on them.
    ///
    /// # Errors
    /// As [`Comparison::designs`]; [`crate::error::Error::Argument`] for another number of design points than one.
    pub fn new(comparison: &'a Comparison<'a>, clean: &'a Answers) -> Result<Self> {
        let mut setups = comparison.setups()?;
        let (Some(setup), true) = (setups.pop(), setups.is_empty()) else {
            let (what, found) = ("design points (one for each array)", setups.len() + 1);
            return refuse(what, "one", found);
        };
        Ok(Self {
            comparison,
            setup,
            clean,
            strata: Partition::of(clean),
            kinds: Partition::by_answer(clean),
        })
    }

    /// Test images of each stratum; those that are right without faults come first.
    pub fn sizes(&self) -> &[u64] {
        &self.strata.sizes
    }

    /// What a chip costs beside its images, in evaluations of an image, where so many words fail.
    ///
    /// # Errors
    /// A network whose layers have no shape.
    pub fn chip_cost(&self, words: f64) -> Result<f64> {
        let evaluator = self.setup.swept.evaluator;
        Ok(work::of_chip(evaluator, words) / work::of_image(evaluator)?)
    }

    /// What a chip shows through so many images of each stratum, the first ones of a random order of its own.
    ///
    /// # Errors
    /// A failure of an evaluation; [`crate::error::Error::Interrupted`].
    pub fn see(&self, chip: ChipId, numbers: &[u64], cancel: &AtomicBool) -> Result<Strata> {
        let places = self.strata.places(self.comparison.seed, chip, numbers);
        let task = self.task(chip);
        let (answers, ..) = answers_on(self.comparison, &task, self.clean, &places, cancel)?;
        Ok(self.strata.shown(&places, &answers.right))
    }

    /// Whether a chip reaches an accuracy, from as few images as are needed, the first ones of a random order of its own.
    ///
    /// # Errors
    /// As [`Self::see`].
    pub fn judge(
        &self,
        chip: ChipId,
        judgement: &Judgement,
        cancel: &AtomicBool,
    ) -> Result<Judged> {
        let judged = |reads: Reads| self.judged(chip, judgement, reads, cancel);
        let (judged, ..) = self.task(chip).evaluate(self.comparison.seed, judged)?;
        Ok(judged)
    }

    /// Looks at more and more images until they decide.
    fn judged(
        &self,
        chip: ChipId,
        judgement: &Judgement,
        reads: Reads,
        cancel: &AtomicBool,
    ) -> Result<Judged> {
        let (mut lost, mut gained, mut seen) = (0, 0, Vec::new());
        for look in judgement.looks() {
            let numbers = self.kinds.numbers(look);
            let places = self.kinds.places(self.comparison.seed, chip, &numbers);
            let mut new = places.clone();
            new.retain(|place| seen.binary_search(place).is_err());
            let answers = answers_at(self.setup.swept, reads, self.clean, &new, cancel)?;
            for (place, right) in new.iter().zip(&answers.right) {
                let clean = self.clean.right[*place as usize];
                lost += u64::from(clean && !right);
                gained += u64::from(!clean && *right);
            }
            seen = places;
            if let Some(good) = judgement.of_look(look, lost, gained) {
                let images = seen.len() as u64;
                return Ok(Judged { good, images });
            }
        }
        let what = "test images of a chip";
        refuse(what, "at least one", "none")
    }

    fn task(&self, chip: ChipId) -> Task<'_> {
        Task {
            setup: &self.setup,
            design_id: "",
            chip,
        }
    }
}

/// Answers of a network that reads so on the test images at these places.
fn answers_at(
    swept: &SweptModel,
    reads: Reads,
    clean: &Answers,
    places: &[u32],
    cancel: &AtomicBool,
) -> Result<Answers> {
    if reads.is_clean() {
        let right = places.iter().map(|place| clean.right[*place as usize]);
        return Ok(Answers {
            right: right.collect(),
            margins: Vec::new(),
            not_finite: 0,
        });
    }
    let images = swept.images.select(places)?;
    swept.evaluator.answers(reads, &images, cancel)
}

/// Answers of a chip on the test images at these places, failing cells, and whether any bit read otherwise.
pub(super) fn answers_on(
    comparison: &Comparison<'_>,
    task: &Task,
    clean: &Answers,
    places: &[u32],
    cancel: &AtomicBool,
) -> Result<(Answers, u64, TrialStatus)> {
    let swept = task.setup.swept;
    let answered = |reads: Reads| answers_at(swept, reads, clean, places, cancel);
    task.evaluate(comparison.seed, answered)
}
