//! Trials of a comparison: which are owed, each on its own chip, in parallel, until enough chips have spoken.

use super::activations::ActivationSide;
use super::energy::energy;
use super::point::{DesignPoint, Setup};
use super::row::{Design, EnergyRow, StoppedBy, Trial, TrialStatus};
use super::shard::Part;
use super::stopping::Stopping;
use crate::code::Word;
use crate::engine::{Evaluator, Images, Reads, Score, WeightReads};
use crate::error::{refuse, Error, Result};
use crate::fault::ActivationReads;
use crate::memory::{EnergySpec, Faults, MemoryModel};
use crate::seed::Seed;
use crate::units::ChipId;
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::Mutex;

/// Chips before a tolerance may stop a comparison.
const LEAST_CHIPS: u32 = 16;
/// Chips added at a time under a tolerance.
const CHIP_BATCH: u32 = 8;
/// Least number of chips by which shards go on under a tolerance, where so many are allowed: what is beyond the end
/// that one process comes to is dropped.
pub(super) const ROUND: u32 = 64;

/// A model in a comparison.
#[derive(Clone, Debug)]
pub struct SweptModel<'a> {
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
#[derive(Clone, Copy, Debug)]
pub struct Comparison<'a> {
    /// The models.
    pub swept_models: &'a [SweptModel<'a>],
    /// The memory.
    pub memory: &'a MemoryModel,
    /// How its cells fail.
    pub faults: &'a Faults,
    /// The memory of stored activations, where design points have one.
    pub activations: Option<&'a ActivationSide>,
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
    /// Images of the test set, of which the models' are all or a subset.
    pub test_images: u64,
    /// Seconds since any moment, for the times of trials.
    pub clock: fn() -> f64,
}

/// What a comparison came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Trials of every design point on chips 0 to n-1, sorted by design and chip.
    pub trials: Vec<Trial>,
    /// Why no more chips were added.
    pub stopped_by: StoppedBy,
    /// Trials that other parts owe, by design point and chip: empty where all is done. Under a tolerance they are
    /// those of the next round.
    pub owed: Vec<(String, ChipId)>,
}

impl Outcome {
    pub(super) fn of(trials: Trials, chips: u32, stopped_by: StoppedBy) -> Self {
        Self {
            trials: trials
                .into_values()
                .filter(|trial| trial.chip.0 < chips)
                .collect(),
            stopped_by,
            owed: Vec::new(),
        }
    }

    /// The outcome of a part of what is owed, and what others owe.
    pub(super) fn of_part(trials: Trials, others: &[Task]) -> Self {
        let key = |task: &Task| (task.design_id.to_owned(), task.chip);
        Self {
            trials: trials.into_values().collect(),
            stopped_by: StoppedBy::Chips,
            owed: others.iter().map(key).collect(),
        }
    }
}

/// Finished trials by design point and chip.
pub(super) type Trials = BTreeMap<(String, ChipId), Trial>;

/// Takes each trial as it ends.
pub(super) type Sink<'a> = dyn FnMut(&Trial) -> Result<()> + Send + 'a;

/// One trial that is owed.
pub(super) struct Task<'a> {
    pub(super) setup: &'a Setup<'a>,
    pub(super) design_id: &'a str,
    pub(super) chip: ChipId,
}

impl Task<'_> {
    /// What `work` makes of what the chip reads, failing cells of the weights, and whether any bit read otherwise.
    pub(super) fn evaluate<R>(
        &self,
        seed: Seed,
        work: impl FnOnce(Reads) -> Result<R>,
    ) -> Result<(R, u64, TrialStatus)> {
        let reads = self.setup.chip(seed, self.chip)?;
        let activations = match &self.setup.activations {
            Some(activations) => activations.on(seed, self.chip)?,
            None => None,
        };
        let of_activations = activations.as_ref().map(ActivationReads::faults);
        let (faults, any) = (AtomicU64::new(0), AtomicBool::new(activations.is_some()));
        let access = |access| {
            let read = reads.access(access)?;
            faults.fetch_add(read.failing_cells, Ordering::Relaxed);
            any.fetch_or(!read.words.is_empty(), Ordering::Relaxed);
            Ok(read.words)
        };
        let words;
        let weights = if self.setup.is_transient() {
            WeightReads::ByAccess(&access)
        } else {
            words = access(0)?;
            WeightReads::Always(&words)
        };
        let result = work(Reads {
            weights,
            activations: of_activations.as_deref(),
        })?;
        let status = if any.into_inner() {
            TrialStatus::Evaluated
        } else {
            TrialStatus::FaultFree
        };
        Ok((result, faults.into_inner(), status))
    }
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

    /// True where a chip reads the same words of weights for every image at every design point, and nothing else other than it
    /// is stored.
    ///
    /// # Errors
    /// As [`Self::designs`].
    pub fn reads_words_alone(&self) -> Result<bool> {
        let words_alone = |setup: &Setup| {
            let activations = setup.activations.as_ref();
            !setup.is_transient() && activations.is_none_or(|own| !own.can_fail())
        };
        Ok(self.setups()?.iter().all(words_alone))
    }

    /// Words that read other than stored, as the engine takes them, for each (design point, chip), where accesses do not
    /// differ: what a trial of it evaluates. The place of a design point is that in [`Self::designs`].
    ///
    /// # Errors
    /// As [`Self::designs`]; [`Error::Argument`] for a design point that is not there; what reading a chip returns.
    pub fn read(&self, places: &[(usize, ChipId)]) -> Result<Vec<Vec<(usize, Word)>>> {
        let setups = self.setups()?;
        let read = |(place, chip): &(usize, ChipId)| {
            Ok(setup_at(&setups, *place)?
                .chip(self.seed, *chip)?
                .access(0)?
                .words)
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
            let energy = energy(setup, self.memory, self.energy)?;
            rows.extend(energy.terms.into_iter().map(row));
        }
        Ok(rows)
    }

    pub(super) fn setups(&self) -> Result<Vec<Setup<'_>>> {
        let mut setups = Vec::new();
        for point in self.points {
            let swept = self.swept_models.get(point.model).ok_or_else(|| {
                let expected = format!("one of {} models", self.swept_models.len());
                Error::argument("model of a design point", expected, point.model.to_string())
            })?;
            setups.extend(Setup::of_point(swept, point, self)?);
        }
        if self.faults.reach_msb_only()
            && !setups.is_empty()
            && setups.iter().all(|s| s.layout.is_binary())
        {
            let expected = "`random`: codes of 1 bit have no bit but the most significant";
            return refuse("faults.noise", expected, "`msb`");
        }
        Ok(setups)
    }

    pub(super) fn designs_of(&self, setups: &[Setup]) -> Result<Vec<Design>> {
        let designs = setups.iter().map(|setup| setup.design(self));
        let designs: Vec<Design> = designs.collect::<Result<_>>()?;
        let ids: BTreeSet<&str> = designs.iter().map(|d| d.design_id.as_str()).collect();
        if ids.len() != designs.len() {
            let names: Vec<&str> = self.swept_models.iter().map(|s| s.name.as_str()).collect();
            let (what, expected) = ("models of a sweep", "a name for each of its own");
            return refuse(what, expected, names.join(", "));
        }
        Ok(designs)
    }

    /// Computes what is owed beyond `done` and hands each finished trial to the sink, in the order in which they
    /// end. Trials fill the threads; where fewer are left, free threads take images of those that run. A raised `cancel`
    /// is noticed within a group of images, and nothing is kept of trials that run.
    ///
    /// # Errors
    /// What the sink returns, [`Error::Interrupted`], or a failure of a trial.
    pub fn run(&self, done: &[Trial], cancel: &AtomicBool, sink: &mut Sink<'_>) -> Result<Outcome> {
        self.run_part(Part::Everything, done, cancel, sink)
    }

    /// [`Self::run`] for a part of the trials. Under a tolerance the parts together compute a round: more chips than
    /// are asked for at a time by one process, which changes no outcome, as chips beyond its end do not count.
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
        let setups = self.setups()?;
        let designs = self.designs_of(&setups)?;
        let mut trials = known(&designs, done);
        let mut stopping = self
            .tolerance
            .map(|tolerance| Stopping::new(tolerance, self.test_images, &designs));
        let (mut complete, mut chips) = (0, self.chips);
        if stopping.is_some() {
            chips = chips.min(LEAST_CHIPS);
        }
        let stopped_by = loop {
            let mut tasks = owed(&setups, &designs, complete..chips, &trials);
            let partial = part != Part::Everything && !tasks.is_empty();
            if let Some(stopping) = stopping.as_ref().filter(|_| partial) {
                let seems = (stopping.needed() as f64 * 1.1) as u32;
                let round = chips.max(complete.saturating_add(ROUND)).max(seems);
                tasks = owed(&setups, &designs, complete..round.min(self.chips), &trials);
            }
            let (own, others) = split(tasks, part);
            let trial = |task: &Task| self.trial(task, cancel);
            trials.extend(by_key(compute(&own, &trial, cancel, sink)?));
            if partial {
                return Ok(Outcome::of_part(trials, &others));
            }
            if let Some(stopping) = &mut stopping {
                stopping.add(complete..chips, &trials);
                if let Some(reason) = stopping.enough(chips, &trials) {
                    break reason;
                }
            }
            if chips == self.chips {
                break StoppedBy::Chips;
            }
            complete = chips;
            chips = (chips + CHIP_BATCH).min(self.chips);
        };
        Ok(Outcome::of(trials, chips, stopped_by))
    }

    /// Number of trials that [`Self::run`] would compute if no tolerance stopped it.
    ///
    /// # Errors
    /// As [`Self::designs`].
    pub fn count_owed(&self, done: &[Trial]) -> Result<usize> {
        let setups = self.setups()?;
        let designs = self.designs_of(&setups)?;
        Ok(owed(&setups, &designs, 0..self.chips, &known(&designs, done)).len())
    }

    fn trial(&self, task: &Task, cancel: &AtomicBool) -> Result<Trial> {
        let started = (self.clock)();
        let swept = task.setup.swept;
        let evaluated = |reads: Reads| {
            if reads.is_clean() {
                return Ok(swept.clean);
            }
            let answers = swept.evaluator.answers(reads, swept.images, cancel);
            answers.map(|answers| answers.score())
        };
        let (score, faults, status) = task.evaluate(self.seed, evaluated)?;
        Ok(Trial {
            design_id: task.design_id.to_owned(),
            chip: task.chip,
            faults,
            images: score.images,
            correct: score.correct,
            not_finite: score.not_finite,
            clean: None,
            strata: None,
            status,
            seconds: (self.clock)() - started,
        })
    }
}

fn setup_at<'s, 'a>(setups: &'s [Setup<'a>], place: usize) -> Result<&'s Setup<'a>> {
    let expected = || format!("one of {}", setups.len());
    setups
        .get(place)
        .ok_or_else(|| Error::argument("design point to read", expected(), place.to_string()))
}

pub(super) fn by_key(trials: Vec<Trial>) -> impl Iterator<Item = ((String, ChipId), Trial)> {
    trials
        .into_iter()
        .map(|trial| ((trial.design_id.clone(), trial.chip), trial))
}

/// The finished trials of these design points.
pub(super) fn known(designs: &[Design], done: &[Trial]) -> Trials {
    let ours = |trial: &&Trial| {
        designs
            .iter()
            .any(|design| design.design_id == trial.design_id)
    };
    by_key(done.iter().filter(ours).cloned().collect()).collect()
}

/// Computes tasks on all threads and hands each trial to the sink as it ends.
pub(super) fn compute(
    owed: &[Task],
    trial: &(dyn Fn(&Task) -> Result<Trial> + Sync),
    cancel: &AtomicBool,
    sink: &mut Sink<'_>,
) -> Result<Vec<Trial>> {
    let sink = Mutex::new(sink);
    let run = |task: &Task| {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let trial = trial(task)?;
        // a panicked sink has no more to say: its lock is as good as any
        let mut sink = sink.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        sink(&trial)?;
        Ok(trial)
    };
    owed.par_iter().with_max_len(1).map(run).collect()
}

/// Trials that are owed, chip after chip: an interrupted sweep has whole chips.
pub(super) fn owed<'a>(
    setups: &'a [Setup<'a>],
    designs: &'a [Design],
    chips: Range<u32>,
    done: &Trials,
) -> Vec<Task<'a>> {
    let mut owed = Vec::new();
    for chip in chips.map(ChipId) {
        for (setup, design) in setups.iter().zip(designs) {
            if !done.contains_key(&(design.design_id.clone(), chip)) {
                owed.push(Task {
                    setup,
                    design_id: &design.design_id,
                    chip,
                });
            }
        }
    }
    owed
}

/// What a part computes of some tasks, and what it leaves to others.
pub(super) fn split(tasks: Vec<Task<'_>>, part: Part) -> (Vec<Task<'_>>, Vec<Task<'_>>) {
    tasks
        .into_iter()
        .partition(|task| part.has(task.design_id, task.chip))
}

#[cfg(test)]
pub(super) mod tests;
