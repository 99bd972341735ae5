//! Verdicts on designs: how far the voltage of each candidate can fall within a limit, searched on some chips and claimed
//! on fresh ones alone.
//!
//! The search may use any heuristic and claims nothing. What is claimed comes from the check: chips of a stream of their
//! own, how many and through how many images fixed before it begins. The level is split over the candidates, and for each
//! over two questions: which voltage holds, and which does not. Each begins with the voltage that most likely is the limit,
//! and falls back on safer ones with shares of their own. What follows from all of these statements together, such as
//! which candidate is cheapest, costs nothing further.

mod check;
mod curve;
mod part_loss;
mod row;
mod search;
mod spec;
#[cfg(test)]
mod tests;
mod verdict;

pub use check::Evidence;
pub use curve::Seen;
pub use part_loss::{rank_parts, PartKind, PartLoss, SeePart, PART_HALF_WIDTH};
pub use row::{AnswerRow, EvidenceRow, Rank};
pub use spec::{AnswerSpec, Finding, LossFrom};
pub use verdict::{answer, most_search_evaluations, Answer, Cheapest, Found, Verdict};

use crate::error::Result;
pub use crate::stats::Target;
use crate::stats::{Judged, Judgement, Stratum};
use std::ops::Range;

/// One model under one protection at the voltages of a memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Candidate {
    /// Accuracy without faults on all test images, in [0, 1].
    pub clean: f64,
    /// Accuracy of guessing, in [0, 1].
    pub chance: f64,
    /// Test images of each stratum.
    pub strata: Vec<u64>,
    /// Voltages with what they do, by rising voltage; the highest is free of errors.
    pub levels: Vec<Level>,
    /// What a chip costs beside its images, in evaluations of an image.
    pub chip_cost: f64,
    /// What must hold.
    pub target: Target,
    /// What an earlier run saw: it guides the search and claims nothing.
    pub known: Vec<Seen>,
}

/// A voltage of a candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Level {
    /// Bit error rate.
    pub ber: f64,
    /// Failing cells expected on a chip.
    pub faults: f64,
    /// Energy of an inference, relative to the same network at 8 bits and the error-free voltage.
    pub energy: f64,
}

/// A level of a candidate, both by place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Place of the candidate.
    pub candidate: usize,
    /// Place of its level.
    pub level: usize,
}

/// What chips are seen for. Those of one phase are never those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// To find where to look.
    Search,
    /// To claim.
    Check,
}

/// What is asked of every candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Question {
    /// Probability with which any statement of the answer may be wrong, in (0, 0.5).
    pub risk: f64,
    /// How far from the goal a mean accuracy or a fraction of chips is to be told from it, above 0.
    pub resolution: f64,
    /// Most evaluations of an image.
    pub evaluations: u64,
}

/// Simulated chips, or a formula in a test.
pub trait Chips {
    /// A phase begins. It takes so many evaluations of an image at most, and hardly ever far fewer.
    fn begin(&mut self, phase: Phase, evaluations: u64);

    /// What each chip shows through so many images of each stratum, in the order of the chips. The first images of a
    /// stratum on a chip are always the same.
    ///
    /// # Errors
    /// As the implementation says.
    fn see(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        images: &[u64],
    ) -> Result<Vec<Vec<Stratum>>>;

    /// Whether each chip reaches an accuracy on all test images, in the order of the chips.
    ///
    /// # Errors
    /// As the implementation says.
    fn judge(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        judgement: &Judgement,
    ) -> Result<Vec<Judged>>;
}
