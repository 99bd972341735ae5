//! Trials of a comparison: which are owed, each on its own chip, in parallel, until enough chips have spoken.

use super::energy::energy;
use super::point::{DesignPoint, Setup};
use super::row::{Design, EnergyRow, StoppedBy, Trial, TrialStatus};
use crate::code::Word;
use crate::engine::{Evaluator, Images, Score};
use crate::error::{Error, Result};
use crate::memory::{EnergySpec, Faults, MemoryModel};
use crate::seed::Seed;
use crate::stats::{self, ImageSample};
use crate::units::ChipId;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::Instant;

/// Chips before a tolerance may stop a comparison.
const LEAST_CHIPS: u32 = 16;
/// Chips added at a time under a tolerance.
const CHIP_BATCH: u32 = 8;

/// A model in a comparison.
#[derive(Debug)]
pub struct Subject<'a> {
    /// Its name, unique in the comparison.
    pub name: String,
    /// Title of the data set the accuracy is measured on.
    pub dataset: String,
    /// Seed of its training, where known.
    pub training_seed: Option<u64>,
    /// The network with its memory.
    pub evaluator: &'a Evaluator,
    /// The test images, normalised for this model.
    pub images: &'a Images,
    /// Its score without faults on these images.
    pub clean: Score,
}

/// Design points of one or more models on the same chips.
#[derive(Debug)]
pub struct Comparison<'a> {
    /// The models.
    pub subjects: &'a [Subject<'a>],
    /// The memory.
    pub memory: &'a MemoryModel,
    /// How its cells fail.
    pub faults: &'a Faults,
    /// How weights are read in an inference.
    pub energy: &'a EnergySpec,
    /// The design points; each stands for one of every array of `faults`.
    pub points: &'a [DesignPoint],
    /// Seed of the chips.
    pub seed: Seed,
    /// Chips per design point; at most so many under a tolerance.
    pub chips: u32,
    /// Greatest half-width of a mean that is good enough.
    pub tolerance: Option<f64>,
    /// Images of the test set, of which the subjects' are all or a subset.
    pub test_images: u64,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Trials of every design point on chips 0 to n-1, sorted by design and chip.
    pub trials: Vec<Trial>,
    /// Why no more chips were added.
    pub stopped_by: StoppedBy,
}

/// One trial that is owed.
struct Task<'a> {
    setup: &'a Setup<'a>,
    design_id: &'a str,
    chip: ChipId,
}

impl Comparison<'_> {
    /// The design points in words and numbers, each with every array.
    ///
    /// # Errors
    /// [`Error::Argument`] for a float model, which stores no codes, for two design points of one name, for fault
    /// options that do not go with a model, or a protection that does not go with them, the memory or the codes.
    pub fn designs(&self) -> Result<Vec<Design>> {
        self.designs_of(&self.setups()?)
    }

    /// True where accesses differ at a design point.
    ///
    /// # Errors
    /// As [`Self::designs`].
    pub fn is_transient(&self) -> Result<bool> {
        Ok(self.setups()?.iter().any(Setup::is_transient))
    }

    /// Words that read other than stored, as the engine takes them, for each (design point, chip), where accesses do not
    /// differ: what a trial of it evaluates. The place of a design point is that in [`Self::designs`].
    ///
    /// # Errors
    /// As [`Self::designs`]; [`Error::Argument`] for a design point that is not there; what reading a chip returns.
    pub fn read(&self, places: &[(usize, ChipId)]) -> Result<Vec<Vec<(usize, Word)>>> {
        let setups = self.setups()?;
        let read = |(place, chip): &(usize, ChipId)| {
            let setup = setups.get(*place).ok_or_else(|| {
                let expected = format!("one of {}", setups.len());
                Error::argument("design point to read", expected, place.to_string())
            })?;
            Ok(setup.chip(self.seed, *chip)?.access(0)?.words)
        };
        places.par_iter().map(read).collect()
    }

    /// Every term of the energy of every design point.
    ///
    /// # Errors
    /// As [`Self::designs`].
    pub fn energies(&self) -> Result<Vec<EnergyRow>> {
        let setups = self.setups()?;
        let mut rows = Vec::new();
        for (setup, design) in setups.iter().zip(self.designs_of(&setups)?) {
            let row = |term| EnergyRow {
                design_id: design.design_id.clone(),
                voltage_unit: design.voltage_unit,
                term,
            };
            rows.extend(energy(setup, self.memory, self.energy)?.terms.into_iter().map(row));
        }
        Ok(rows)
    }

    fn setups(&self) -> Result<Vec<Setup<'_>>> {
        let mut setups = Vec::new();
        for point in self.points {
            let subject = self.subjects.get(point.subject).ok_or_else(|| {
                let expected = format!("one of {} models", self.subjects.len());
                Error::argument("model of a design point", expected, point.subject.to_string())
            })?;
            setups.extend(Setup::of_point(subject, point, self.memory, self.faults)?);
        }
        if self.faults.reach_msb_only() && !setups.is_empty() && setups.iter().all(|s| s.layout.is_binary()) {
            let expected = "`random`: codes of 1 bit have no bit but the most significant";
            return Err(Error::argument("faults.noise", expected, "`msb`"));
        }
        Ok(setups)
    }

    fn designs_of(&self, setups: &[Setup]) -> Result<Vec<Design>> {
        let design = |setup: &Setup| setup.design(self.memory, self.faults, self.energy);
        let designs: Vec<Design> = setups.iter().map(design).collect::<Result<_>>()?;
        let ids: BTreeMap<&str, ()> = designs.iter().map(|d| (d.design_id.as_str(), ())).collect();
        if ids.len() != designs.len() {
            let names: Vec<&str> = self.subjects.iter().map(|s| s.name.as_str()).collect();
            return Err(Error::argument("models of a sweep", "a name for each of its own", names.join(", ")));
        }
        Ok(designs)
    }

    /// Computes what is owed beyond `done` and hands each finished trial to the sink, in the order in which they
    /// end. A raised `cancel` lets running trials end and returns [`Error::Interrupted`].
    ///
    /// # Errors
    /// What the sink returns, [`Error::Interrupted`], or a failure of a trial.
    pub fn run(
        &self,
        done: &[Trial],
        cancel: &AtomicBool,
        sink: &mut (dyn FnMut(&Trial) -> Result<()> + Send),
    ) -> Result<Outcome> {
        let setups = self.setups()?;
        let designs = self.designs_of(&setups)?;
        let mut trials: BTreeMap<(String, ChipId), Trial> = done
            .iter()
            .filter(|trial| designs.iter().any(|design| design.design_id == trial.design_id))
            .map(|trial| ((trial.design_id.clone(), trial.chip), trial.clone()))
            .collect();
        let mut chips = if self.tolerance.is_some() { LEAST_CHIPS.min(self.chips) } else { self.chips };
        let stopped_by = loop {
            let new = self.batch(&setups, &designs, chips, &trials, cancel, sink)?;
            trials.extend(new.into_iter().map(|trial| ((trial.design_id.clone(), trial.chip), trial)));
            if let Some(reason) = self.tolerance.and_then(|t| self.enough(t, &designs, chips, &trials)) {
                break reason;
            }
            if chips == self.chips {
                break StoppedBy::Chips;
            }
            chips = (chips + CHIP_BATCH).min(self.chips);
        };
        let trials = trials.into_values().filter(|trial| trial.chip.0 < chips).collect();
        Ok(Outcome { trials, stopped_by })
    }

    fn batch(
        &self,
        setups: &[Setup],
        designs: &[Design],
        chips: u32,
        done: &BTreeMap<(String, ChipId), Trial>,
        cancel: &AtomicBool,
        sink: &mut (dyn FnMut(&Trial) -> Result<()> + Send),
    ) -> Result<Vec<Trial>> {
        let owed = owed(setups, designs, chips, done);
        let sink = Mutex::new(sink);
        let run = |task: &Task| {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let trial = self.trial(task)?;
            // a panicked sink has no more to say: its lock is as good as any
            let mut sink = sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            sink(&trial)?;
            Ok(trial)
        };
        owed.par_iter().with_max_len(1).map(run).collect()
    }

    /// Number of trials that [`Self::run`] would compute if no tolerance stopped it.
    ///
    /// # Errors
    /// As [`Self::designs`].
    pub fn count_owed(&self, done: &[Trial]) -> Result<usize> {
        let done = done.iter().map(|t| ((t.design_id.clone(), t.chip), t.clone())).collect();
        let setups = self.setups()?;
        Ok(owed(&setups, &self.designs_of(&setups)?, self.chips, &done).len())
    }

    fn trial(&self, task: &Task) -> Result<Trial> {
        let started = Instant::now();
        let setup = task.setup;
        let subject = setup.subject;
        let reads = setup.chip(self.seed, task.chip)?;
        let (mut faults, mut any) = (0, false);
        let mut access = |access| {
            let read = reads.access(access)?;
            faults += read.failing_cells;
            any |= !read.words.is_empty();
            Ok(read.words)
        };
        let score = match setup.is_transient() {
            true => subject.evaluator.faulty_by_access(subject.images, access)?,
            false => match access(0)? {
                words if words.is_empty() => subject.clean,
                words => subject.evaluator.faulty(&words, subject.images)?,
            },
        };
        let status = if any { TrialStatus::Evaluated } else { TrialStatus::FaultFree };
        Ok(Trial {
            design_id: task.design_id.to_owned(),
            chip: task.chip,
            faults,
            images: score.images,
            correct: score.correct,
            status,
            seconds: started.elapsed().as_secs_f64(),
        })
    }

    /// Why these chips are enough, where they are: the half-width of every design point is at most the
    /// tolerance. Where the choice of images alone leaves more, no number of chips can bring it there, and the
    /// part of the chips must be within the tolerance instead.
    fn enough(
        &self,
        tolerance: f64,
        designs: &[Design],
        chips: u32,
        trials: &BTreeMap<(String, ChipId), Trial>,
    ) -> Option<StoppedBy> {
        let mut reason = StoppedBy::Tolerance;
        for design in designs {
            let of_chip = |chip| trials.get(&(design.design_id.clone(), ChipId(chip)));
            let of_design: Vec<&Trial> = (0..chips).filter_map(of_chip).collect();
            let sorted = stats::sorted(&of_design.iter().map(|trial| trial.accuracy()).collect::<Vec<_>>());
            let used = of_design.first()?.images;
            let images = ImageSample { used, all: self.test_images }.variance(stats::mean(&sorted)?);
            let limited = stats::normal_half_width(images) > tolerance;
            if limited {
                reason = StoppedBy::Images;
            }
            let images = if limited { 0.0 } else { images };
            // without faults all chips are alike
            let wide = || {
                stats::mean_half_width(stats::cautious_deviation(&sorted, tolerance)?, sorted.len(), images)
            };
            if design.can_fail() && wide()? > tolerance {
                return None;
            }
        }
        Some(reason)
    }
}

/// Trials that are owed, chip after chip: an interrupted sweep has whole chips.
fn owed<'a>(
    setups: &'a [Setup<'a>],
    designs: &'a [Design],
    chips: u32,
    done: &BTreeMap<(String, ChipId), Trial>,
) -> Vec<Task<'a>> {
    let mut owed = Vec::new();
    for chip in (0..chips).map(ChipId) {
        for (setup, design) in setups.iter().zip(designs) {
            if !done.contains_key(&(design.design_id.clone(), chip)) {
                owed.push(Task { setup, design_id: &design.design_id, chip });
            }
        }
    }
    owed
}

#[cfg(test)]
mod tests;
