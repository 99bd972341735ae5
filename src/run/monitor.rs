//! What a run tells of itself while it goes.

use crate::train::{EpochRow, StepProgress};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// A stage of a command, such as the trainings before a sweep.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stage<'a> {
    /// Number of the stage, from 1.
    pub number: usize,
    /// Stages of the command.
    pub of: usize,
    /// What is done in it, such as `1,100 trials`.
    pub what: &'a str,
    /// Trainings or attacks in it, of which each tells how far it is; else 1.
    pub tasks: usize,
}

/// Where a sweep stands, in trials, or an answer, in evaluations of an image.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SweepProgress {
    /// Those finished in this call.
    pub done: usize,
    /// Those owed at its start; fewer may be needed under a tolerance, or by an answer.
    pub owed: usize,
}

/// Where an attack stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AttackProgress<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Number of the attack on it, from 0.
    pub restart: u32,
    /// False for the bit search, true for the random flips after it.
    pub random: bool,
    /// Bits flipped.
    pub flips: u64,
    /// Most that will be.
    pub most: u64,
    /// Accuracy now, where it was measured.
    pub accuracy: Option<f64>,
}

/// Hears what happens; called from several threads.
pub trait Monitor: Sync {
    /// A remark.
    fn note(&self, message: &str);
    /// Something that may spoil the result.
    fn warn(&self, message: &str);
    /// Several such things.
    fn warn_all(&self, messages: &[String]) {
        messages.iter().for_each(|message| self.warn(message));
    }
    /// A stage begins, and with it the one before has ended.
    fn stage(&self, _: &Stage) {}
    /// A training step is done.
    fn step(&self, _model: &str, _: &StepProgress) {}
    /// An epoch is done and saved.
    fn epoch(&self, _model: &str, _: &EpochRow) {}
    /// A training ended or was left.
    fn trained(&self, _model: &str) {}
    /// A trial is done and in the journal.
    fn trial(&self, _: &SweepProgress) {}
    /// An attack made a step.
    fn flip(&self, _: &AttackProgress) {}
    /// An attack ended or was left.
    fn attacked(&self, _model: &str, _restart: u32) {}
    /// Raised when the user asks to stop.
    fn cancel(&self) -> &AtomicBool;
}

/// A monitor that keeps silent and never cancels.
#[derive(Debug, Default)]
pub struct Quiet(AtomicBool);

impl Monitor for Quiet {
    fn note(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn cancel(&self) -> &AtomicBool {
        &self.0
    }
}

/// Announces the stages of a command, one after the other.
pub(super) struct Stages<'a> {
    monitor: &'a dyn Monitor,
    of: usize,
    begun: AtomicUsize,
}

impl<'a> Stages<'a> {
    pub(super) fn new(monitor: &'a dyn Monitor, of: usize) -> Self {
        let begun = AtomicUsize::new(0);
        Self { monitor, of, begun }
    }

    /// Begins the next stage, of so many tasks.
    pub(super) fn begin(&self, what: &str, tasks: usize) {
        let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
        self.monitor.stage(&Stage {
            number,
            of: self.of,
            what,
            tasks,
        });
    }
}
