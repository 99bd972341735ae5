//! Two-level sampling of a comparison: each chip is seen through test images of its own, until intervals are narrow.

use super::monte_carlo::{
    by_key, compute, known, owed, split, Comparison, Outcome, Sink, Task, Trials, ROUND,
};
use super::point::Setup;
use super::row::{CleanAnswers, Design, StoppedBy, Trial};
use super::shard::Part;
use super::sight::answers_on;
use super::strata::{Partition, Strata};
use super::work;
use crate::engine::Answers;
use crate::error::{refuse, Error, Result};
use crate::seed::{Purpose, Seed};
use crate::stats::{
    even_images, plan_images, ChipDifference, Components, Difference, Split, StratifiedComponents,
    StratifiedModel, LEAST_CHIPS,
};
use crate::units::ChipId;
use std::sync::atomic::AtomicBool;

/// Chips of the pilot and images of each, from which the number of images of the other chips is planned.
const PILOT: Split = Split {
    images: 128,
    chips: 16,
};
/// The same where images are stratified: each of them tells more.
const STRATIFIED_PILOT: u64 = 64;
/// What a chip costs beside its images (its faults drawn and applied, its trial written down), in evaluations of an
/// image: with direct convolutions 2.5 on a ResNet-20 and 26 on a LeNet-5 at a bit error rate of 1e-2, 0.4 and 3 at 1e-4.
/// A constant, so that no clock decides; the cost of a split is flat around its least. Stratified images count the work
/// of a chip instead.
const CHIP_COST: f64 = 8.0;
/// Most chips of a comparison.
const MOST_CHIPS: u64 = 1_000_000;

/// A comparison by two-level sampling; see [`Difference`] for the estimate. Chip `c` has the same images for all
/// design points, so that differences between them are paired. Where they are stratified, by the clean answers of each
/// model, it has the same for all design points of a model, and for other models those that their strata share.
///
/// A tolerance is needed: chips are added, the same for all design points, until every half-width is at most that.
/// A comparison of `chips` chips makes at most as many image evaluations as so many chips with all images would.
#[derive(Debug)]
pub struct TwoLevel<'a> {
    /// What to compare. Its models have all test images.
    pub comparison: &'a Comparison<'a>,
    /// For each model, its answers without faults.
    pub clean: &'a [Answers],
    /// Whether images are stratified.
    pub stratified: bool,
}

/// Images of a chip from each stratum, for each model; a single stratum where they are not stratified.
type Numbers = Vec<Vec<u64>>;

impl TwoLevel<'_> {
    /// As [`Comparison::run`]; trials say what the clean network answers on the images of their chip.
    ///
    /// # Errors
    /// As [`Comparison::run`]; [`Error::Argument`] without a tolerance, for clean answers or images that are not those
    /// of the whole test set, or for finished trials of another sampling.
    pub fn run(&self, done: &[Trial], cancel: &AtomicBool, sink: &mut Sink<'_>) -> Result<Outcome> {
        self.run_part(Part::Everything, done, cancel, sink)
    }

    /// [`Self::run`] for a part of the trials: rounds are the numbers of chips that one process goes through, the pilot
    /// first.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn run_part(
        &self,
        part: Part,
        done: &[Trial],
        cancel: &AtomicBool,
        sink: &mut Sink<'_>,
    ) -> Result<Outcome> {
        let comparison = self.comparison;
        let tolerance = self.check()?;
        let setups = comparison.setups()?;
        let designs = comparison.designs_of(&setups)?;
        let mut trials = known(&designs, done);
        let partitions: Vec<Partition> = if self.stratified {
            self.clean.iter().map(Partition::of).collect()
        } else {
            Vec::new()
        };
        let pilot = self.pilot(&partitions);
        let mut numbers = pilot.clone();
        let mut most = self.most_chips(images_of(&pilot));
        let mut chips = u64::from(most).min(PILOT.chips) as u32;
        let mut complete = 0;
        let stopped_by = loop {
            let of_chip = |chip: ChipId| {
                if u64::from(chip.0) < PILOT.chips {
                    &pilot
                } else {
                    &numbers
                }
            };
            self.check_known(&trials, (&setups, &designs), &partitions, chips, of_chip)?;
            // of the pilot the images of further chips follow
            let round = if complete == 0 || part == Part::Everything {
                chips
            } else {
                chips.max(complete + ROUND).min(most)
            };
            let mut tasks = owed(&setups, &designs, complete..chips, &trials);
            if !tasks.is_empty() {
                tasks = owed(&setups, &designs, complete..round, &trials);
            }
            let (own, others) = split(tasks, part);
            let trial = |task: &Task| self.trial(task, &partitions, of_chip(task.chip), cancel);
            trials.extend(by_key(compute(&own, &trial, cancel, sink)?));
            if !others.is_empty() || (part != Part::Everything && !own.is_empty()) {
                return Ok(Outcome::of_part(trials, &others));
            }
            let failing: Vec<(&Setup<'_>, &Design)> = setups
                .iter()
                .zip(&designs)
                .filter(|(_, design)| design.can_fail())
                .collect();
            if u64::from(chips) == PILOT.chips {
                numbers = if self.stratified {
                    self.plan_strata(&trials, &failing, &partitions, &pilot, tolerance)?
                } else {
                    let images = self.plan(&trials, &failing, tolerance)?;
                    vec![vec![images]; self.clean.len()]
                };
            }
            let found: Vec<Option<Difference>> = failing
                .iter()
                .map(|(_, design)| {
                    Ok(if self.stratified {
                        Difference::of_strata(&strata(&trials, design, chips)?)
                    } else {
                        Difference::of(&differences(&trials, design, chips)?)
                    })
                })
                .collect::<Result<_>>()?;
            let found: Vec<Difference> = found.into_iter().flatten().collect();
            most = self.most_chips(images_of(&numbers));
            let more = match Difference::more_chips(&found, tolerance) {
                None if found.len() == failing.len() => break StoppedBy::Tolerance,
                more => more.unwrap_or(LEAST_CHIPS),
            };
            if chips >= most {
                break StoppedBy::Chips;
            }
            complete = chips;
            chips = more.min(u64::from(most)) as u32;
        };
        Ok(Outcome::of(trials, chips, stopped_by))
    }

    /// Trials that the least number of chips takes, beyond `done`: more follow where intervals are wide.
    ///
    /// # Errors
    /// As [`Comparison::designs`].
    pub fn least_owed(&self, done: &[Trial]) -> Result<usize> {
        let setups = self.comparison.setups()?;
        let designs = self.comparison.designs_of(&setups)?;
        let images = self.pilot_split().images;
        let chips = u64::from(self.most_chips(images)).min(LEAST_CHIPS) as u32;
        Ok(owed(&setups, &designs, 0..chips, &known(&designs, done)).len())
    }

    /// The tolerance, where all goes together.
    fn check(&self) -> Result<f64> {
        let comparison = self.comparison;
        let all = comparison.test_images;
        let wrong = |expected: String, found: String| refuse("two-level sampling", expected, found);
        let models = comparison.swept_models.len();
        if self.clean.len() != models {
            let expected = format!("the clean answers of {models} models");
            return wrong(expected, self.clean.len().to_string());
        }
        for (swept, clean) in comparison.swept_models.iter().zip(self.clean) {
            let (images, answers) = (swept.images.len(), clean.right.len() as u64);
            if images != all || answers != all {
                let expected = format!("all {all} test images and the clean answers on them");
                return wrong(expected, format!("{images} images and {answers} answers"));
            }
        }
        let expected = "a tolerance, to know when to stop";
        let tolerance = comparison.tolerance;
        tolerance.ok_or_else(|| Error::argument("two-level sampling", expected, "none"))
    }

    fn pilot_split(&self) -> Split {
        let images = if self.stratified {
            STRATIFIED_PILOT
        } else {
            PILOT.images
        };
        Split {
            images: images.min(self.comparison.test_images),
            chips: PILOT.chips,
        }
    }

    /// Images of a chip of the pilot.
    fn pilot(&self, partitions: &[Partition]) -> Numbers {
        let images = self.pilot_split().images;
        if !self.stratified {
            return vec![vec![images]; self.clean.len()];
        }
        let sizes: Vec<Vec<u64>> = partitions.iter().map(|own| own.sizes.clone()).collect();
        even_images(&sizes, images)
    }

    /// Images of a chip after the pilot, all alike.
    fn plan(
        &self,
        trials: &Trials,
        failing: &[(&Setup<'_>, &Design)],
        tolerance: f64,
    ) -> Result<u64> {
        let all = self.comparison.test_images;
        let mut components = Vec::new();
        for (_, design) in failing {
            let shown = differences(trials, design, PILOT.chips as u32)?;
            components.extend(Components::of(&shown, all));
        }
        let pilot = self.pilot_split();
        Ok(Split::plan(&components, pilot, CHIP_COST, all, tolerance).images)
    }

    /// Images of a chip after the pilot, stratified: one plan from the pilots of all models.
    fn plan_strata(
        &self,
        trials: &Trials,
        failing: &[(&Setup<'_>, &Design)],
        partitions: &[Partition],
        pilot: &[Vec<u64>],
        tolerance: f64,
    ) -> Result<Numbers> {
        let of_model = |partition: &Partition| StratifiedModel {
            sizes: partition.sizes.clone(),
            designs: Vec::new(),
        };
        let mut models: Vec<StratifiedModel> = partitions.iter().map(of_model).collect();
        let (mut chip, mut image) = (0.0, 0.0);
        for (setup, design) in failing {
            let shown = strata(trials, design, PILOT.chips as u32)?;
            models[setup.place()]
                .designs
                .extend(StratifiedComponents::of(&shown));
            let faults = (0..PILOT.chips as u32)
                .filter_map(|chip| trials.get(&(design.design_id.clone(), ChipId(chip))))
                .map(|trial| trial.faults)
                .sum::<u64>() as f64
                / PILOT.chips as f64;
            chip += work::of_chip(setup.swept.evaluator, faults);
            image += work::of_image(setup.swept.evaluator)?;
        }
        if failing.is_empty() {
            return Ok(pilot.to_vec());
        }
        Ok(plan_images(&models, PILOT.chips, chip / image, tolerance).images)
    }

    /// Chips that the image evaluations of `chips` chips on all images are enough for, `images` for each after the
    /// pilot.
    fn most_chips(&self, images: u64) -> u32 {
        let pilot = self.pilot_split();
        let budget = u64::from(self.comparison.chips).saturating_mul(self.comparison.test_images);
        let chips = match budget.checked_sub(pilot.chips * pilot.images) {
            Some(rest) => pilot.chips + rest / images.max(1),
            None => (budget / pilot.images.max(1)).max(1),
        };
        self.comparison.faults.chips(chips.min(MOST_CHIPS) as u32)
    }

    /// Refuses finished trials on other images than these chips are seen through.
    fn check_known<'n>(
        &self,
        trials: &Trials,
        (setups, designs): (&[Setup<'_>], &[Design]),
        partitions: &[Partition],
        chips: u32,
        numbers: impl Fn(ChipId) -> &'n Numbers,
    ) -> Result<()> {
        for trial in trials.values().filter(|trial| trial.chip.0 < chips) {
            let place = designs
                .iter()
                .position(|design| design.design_id == trial.design_id);
            let model = place.map_or(0, |place| setups[place].place());
            let numbers = &numbers(trial.chip)[model];
            let images: u64 = numbers.iter().sum();
            let same_strata = match (partitions.get(model), &trial.strata) {
                (Some(own), Some(strata)) => strata.have(&own.sizes, numbers),
                (own, strata) => own.is_none() && strata.is_none(),
            };
            if trial.images == images && trial.clean.is_some() && same_strata {
                continue;
            }
            let what = format!(
                "finished trial of `{}` on chip {}",
                trial.design_id, trial.chip
            );
            let expected = format!("{images} images of two-level sampling");
            let found = format!("{} images of another", trial.images);
            return refuse(what, expected, found);
        }
        Ok(())
    }

    fn trial(
        &self,
        task: &Task,
        partitions: &[Partition],
        numbers: &Numbers,
        cancel: &AtomicBool,
    ) -> Result<Trial> {
        let started = (self.comparison.clock)();
        let (comparison, swept) = (self.comparison, task.setup.swept);
        let (model, partition) = (task.setup.place(), partitions.get(task.setup.place()));
        let numbers = &numbers[model];
        let places = match partition {
            Some(partition) => partition.places(comparison.seed, task.chip, numbers),
            None => {
                let images = numbers.iter().sum();
                chip_images(comparison.seed, task.chip, swept.images.labels(), images)
            }
        };
        let clean: Vec<bool> = places
            .iter()
            .map(|place| self.clean[model].right[*place as usize])
            .collect();
        let (answers, faults, status) =
            answers_on(comparison, task, &self.clean[model], &places, cancel)?;
        let changed = answers
            .right
            .iter()
            .zip(&clean)
            .filter(|(faulty, clean)| faulty != clean)
            .count() as u64;
        Ok(Trial {
            design_id: task.design_id.to_owned(),
            chip: task.chip,
            faults,
            images: answers.right.len() as u64,
            correct: answers.correct(),
            not_finite: answers.not_finite,
            clean: Some(CleanAnswers {
                correct: clean.iter().filter(|right| **right).count() as u64,
                changed,
            }),
            strata: partition.map(|partition| partition.shown(&places, &answers.right)),
            status,
            seconds: (comparison.clock)() - started,
        })
    }
}

/// Images of a chip, the same for every model.
fn images_of(numbers: &Numbers) -> u64 {
    numbers.first().map_or(0, |own| own.iter().sum())
}

/// What the chips of a design point showed.
fn differences(trials: &Trials, design: &Design, chips: u32) -> Result<Vec<ChipDifference>> {
    let expected = ["a result beside the clean network's", "none that fits"];
    let difference = |trial: &Trial| trial.clean?.difference(trial.images, trial.correct);
    of_chips(trials, design, chips, difference, expected)
}

/// What the chips of a design point showed in each stratum.
fn strata(trials: &Trials, design: &Design, chips: u32) -> Result<Vec<Strata>> {
    let expected = ["a result in each stratum", "none"];
    of_chips(
        trials,
        design,
        chips,
        |trial| trial.strata.clone(),
        expected,
    )
}

fn of_chips<T>(
    trials: &Trials,
    design: &Design,
    chips: u32,
    shown: impl Fn(&Trial) -> Option<T>,
    [expected, found]: [&str; 2],
) -> Result<Vec<T>> {
    let of_chip = |chip| {
        let trial = trials.get(&(design.design_id.clone(), ChipId(chip)));
        trial.and_then(&shown).ok_or_else(|| {
            let what = format!("trial of `{}` on chip {chip}", design.design_id);
            Error::argument(what, expected, found)
        })
    };
    (0..chips).map(of_chip).collect()
}

/// Ascending places of `images` images with these labels, for one chip. Every image is equally likely, and classes keep
/// their proportion: images in random order within their class, class after class, are taken at even distances from a
/// random start (systematic sampling; Cochran, Sampling Techniques, 3rd ed., 1977, section 8.1).
fn chip_images(seed: Seed, chip: ChipId, labels: &[u32], images: u64) -> Vec<u32> {
    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    if images >= labels.len() as u64 {
        return order;
    }
    let mut stream = seed.stream(Purpose::ChipImages, &[chip.0.into()]);
    stream.shuffle(&mut order);
    order.sort_by_key(|place| labels[*place as usize]);
    let (start, distance) = (stream.uniform(), labels.len() as f64 / images as f64);
    let at = |i: u64| (((i as f64 + start) * distance) as usize).min(labels.len() - 1);
    let mut places: Vec<u32> = (0..images).map(|i| order[at(i)]).collect();
    places.sort_unstable();
    places
}

#[cfg(test)]
mod tests;
