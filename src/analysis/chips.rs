//! What the chips of design points showed, sorted out of their trials.

use crate::error::{Error, Result};
use crate::stats::{Caution, ChipDifference};
use crate::sweep::{Strata, TrialRow};
use std::collections::BTreeMap;

/// What chips 0, 1, ... of a design point showed.
pub(super) enum Chips {
    /// On the same images each: how many, then correct answers.
    Alike { images: u64, correct: Vec<u64> },
    /// On images of their own: how many, and the accuracy that each estimates, beside that of the clean network
    /// where images are not stratified.
    Own {
        images: Vec<u64>,
        estimates: Vec<f64>,
        views: Views,
    },
}

/// How chips were seen through images of their own.
pub(super) enum Views {
    TwoLevel(Vec<ChipDifference>),
    Stratified(Vec<Strata>),
}

impl Views {
    /// What is to be taken from estimates for differences to the given clean accuracy.
    fn base(&self, clean: f64) -> f64 {
        match self {
            Self::TwoLevel(_) => 0.0,
            Self::Stratified(_) => clean,
        }
    }
}

impl Chips {
    pub(super) fn count(&self) -> usize {
        match self {
            Self::Alike { correct, .. } => correct.len(),
            Self::Own { images, .. } => images.len(),
        }
    }

    /// Images per chip, of the last where they differ.
    pub(super) fn images(&self) -> u64 {
        match self {
            Self::Alike { images, .. } => *images,
            Self::Own { images, .. } => images.last().copied().unwrap_or(0),
        }
    }

    /// Images looked at, over all chips.
    pub(super) fn image_evaluations(&self) -> u64 {
        match self {
            Self::Alike { images, correct } => images * correct.len() as u64,
            Self::Own { images, .. } => images.iter().sum(),
        }
    }

    /// Accuracy on each chip, of a network of the given clean accuracy; under two-level sampling its estimate.
    pub(super) fn accuracies(&self, clean: f64) -> Vec<f64> {
        match self {
            Self::Alike { images, correct } => correct
                .iter()
                .map(|correct| *correct as f64 / *images as f64)
                .collect(),
            Self::Own {
                estimates, views, ..
            } => {
                let base = clean - views.base(clean);
                estimates.iter().map(|estimate| base + estimate).collect()
            }
        }
    }

    /// What intervals of stratified images count beside the scatter of chips.
    pub(super) fn caution(&self) -> Option<Caution> {
        match self {
            Self::Own {
                views: Views::Stratified(chips),
                ..
            } => Caution::of(chips),
            _ => None,
        }
    }

    /// Mean accuracy of a network of the given clean accuracy.
    pub(super) fn mean(&self, clean: f64) -> f64 {
        self.mean_of(clean, &vec![1; self.count()])
    }

    /// Mean accuracy where chips 0, 1, ... are taken so many times each.
    pub(super) fn mean_of(&self, clean: f64, times: &[u64]) -> f64 {
        let all = times.iter().sum::<u64>() as f64;
        match self {
            // whole numbers, so that equal results are equal means whatever the number of chips
            Self::Alike { images, correct } => {
                let sum: u64 = times
                    .iter()
                    .zip(correct)
                    .map(|(times, correct)| times * correct)
                    .sum();
                sum as f64 / (*images as f64 * all)
            }
            Self::Own {
                estimates, views, ..
            } => {
                let base = views.base(clean);
                let sum: f64 = times
                    .iter()
                    .zip(estimates)
                    .map(|(times, estimate)| *times as f64 * (estimate - base))
                    .sum();
                (clean + sum / all).clamp(0.0, 1.0)
            }
        }
    }
}

/// The chips of design points.
pub(super) struct ChipTable<'a> {
    /// By design point.
    pub(super) chips: BTreeMap<&'a str, Chips>,
    /// Images of which a logit is not finite, over the chips of a design point; `None` where not all were counted.
    pub(super) not_finite: BTreeMap<&'a str, Option<u64>>,
}

impl<'a> ChipTable<'a> {
    /// Sorts trials by design point and chip.
    ///
    /// # Errors
    /// [`Error::Argument`] where the chips of a design point are not 0, 1, ... without gap or
    /// repetition, where its trials differ in images or in the way of sampling, or where a trial contradicts itself.
    pub(super) fn new(trials: &'a [TrialRow]) -> Result<Self> {
        let mut sorted: BTreeMap<&str, BTreeMap<u32, &TrialRow>> = BTreeMap::new();
        let wrong = |id: &str, expected: &str, found: String| {
            Error::argument(format!("trials of design point `{id}`"), expected, found)
        };
        for trial in trials {
            let (id, images, correct) = (trial.design_id.as_str(), trial.images, trial.correct);
            if images == 0 || correct > images {
                let found = format!("{correct} of {images}");
                return Err(wrong(id, "images, and at most all of them correct", found));
            }
            let of_design = sorted.entry(id).or_default();
            if of_design.insert(trial.chip.0, trial).is_some() {
                let found = format!("chip {} twice", trial.chip);
                return Err(wrong(id, "each chip once", found));
            }
        }
        let (mut chips, mut not_finite) = (BTreeMap::new(), BTreeMap::new());
        for (id, trials) in sorted {
            not_finite.insert(id, trials.values().map(|trial| trial.not_finite).sum());
            let mut chips_of = trials.keys().enumerate();
            if let Some((place, chip)) = chips_of.find(|(i, chip)| *i != **chip as usize) {
                let found = format!("chip {chip} in place of {place}");
                return Err(wrong(id, "chips without a gap from 0", found));
            }
            let trials: Vec<&TrialRow> = trials.into_values().collect();
            let images: Vec<u64> = trials.iter().map(|trial| trial.images).collect();
            let of_design = if trials.iter().any(|trial| trial.strata.is_some()) {
                let chips = trials.iter().map(|trial| trial.strata.clone());
                let chips: Option<Vec<Strata>> = chips.collect();
                let alike = chips
                    .filter(|chips| chips.windows(2).all(|pair| pair[0].are_those_of(&pair[1])));
                let expected = "the same strata on every chip";
                let chips = alike.ok_or_else(|| wrong(id, expected, "others".into()))?;
                Chips::Own {
                    images,
                    estimates: chips.iter().map(Strata::accuracy).collect(),
                    views: Views::Stratified(chips),
                }
            } else if trials.iter().any(|trial| trial.clean.is_some()) {
                let difference = |t: &&TrialRow| t.clean?.difference(t.images, t.correct);
                let all: Option<Vec<ChipDifference>> = trials.iter().map(difference).collect();
                let expected =
                    "answers of the clean network, that go with those of the chip, on every chip";
                let chips = all.ok_or_else(|| wrong(id, expected, "others".into()))?;
                Chips::Own {
                    images,
                    estimates: chips.iter().map(|chip| chip.mean()).collect(),
                    views: Views::TwoLevel(chips),
                }
            } else {
                let first = images.first().copied().unwrap_or(0);
                if let Some(other) = images.iter().find(|other| **other != first) {
                    let found = format!("{first} and {other}");
                    return Err(wrong(id, "the same images on every chip", found));
                }
                Chips::Alike {
                    images: first,
                    correct: trials.iter().map(|trial| trial.correct).collect(),
                }
            };
            chips.insert(id, of_design);
        }
        Ok(Self { chips, not_finite })
    }

    /// The chips of a design point; can be taken once.
    ///
    /// # Errors
    /// [`Error::Argument`] where it has no trial.
    pub(super) fn take(&mut self, design_id: &str) -> Result<Chips> {
        self.chips.remove(design_id).ok_or_else(|| {
            let what = format!("trials of design point `{design_id}`");
            Error::argument(what, "at least one", "none")
        })
    }
}
