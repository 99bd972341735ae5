//! What the rows of a run come to: summaries of design points, Pareto frontiers, savings, lowest voltages, means and
//! differences of methods; and several runs put together.

mod answers;
mod averaged;
mod cheapest;
mod chips;
#[cfg(test)]
mod coverage;
mod differences;
mod fault_count;
mod frontier;
mod methods;
mod objectives;
mod pareto;
mod pareto_file;
mod row;
mod run;
mod settings;
mod summary;
#[cfg(test)]
pub(crate) mod tests;

pub use answers::{
    answers, read_answers, Answer, Ends, Question, Questions, Reach, SeriesPoints, Shown,
    VoltageSeries, YIELD_TARGETS,
};
pub use averaged::{average_trainings, undominated, Averaged};
pub use cheapest::{protections, ProtectedLoss};
pub use differences::{method_differences, MethodDifference, Verdict};
pub use fault_count::{cells_key, fault_counts, FaultCount};
pub use methods::{method_means, MethodMean};
pub use objectives::{objectives, Objectives};
pub use pareto::{groups_of, pareto, BASELINE, RESAMPLES, SAVING_LOSSES};
pub use pareto_file::{read_pareto, ParetoRow};
pub use row::{
    accessed, counts_activations, energy_scope, metric, Frontier, FrontierPoint, Group, Pareto,
    Quantiles, Saving, Summary,
};
pub use run::{comparison_warnings, merge, read_run, run_name, Merged, Run};
pub use settings::Setting;
pub use summary::{summarize, FloorSpec};

use crate::error::Result;
use crate::seed::Seed;
use crate::sweep::TrialRow;

/// What follows from the design points and trials of a run, or of several.
#[derive(Clone, Debug, PartialEq)]
pub struct Analysis {
    /// Frontiers and savings.
    pub pareto: Pareto,
    /// Lowest voltages at the usual losses and yields.
    pub answers: Vec<Answer>,
    /// Mean accuracy of methods.
    pub means: Vec<MethodMean>,
    /// Paired differences between methods.
    pub differences: Vec<MethodDifference>,
}

impl Analysis {
    /// Computes all of it. `chance` is the accuracy of guessing, `seed` that of the run.
    ///
    /// # Errors
    /// Trials that do not go with the summaries.
    pub fn of(summaries: &[Summary], trials: &[TrialRow], chance: f64, seed: Seed) -> Result<Self> {
        Ok(Self {
            pareto: pareto(summaries, trials, chance, seed)?,
            answers: answers(summaries, trials, &Questions::default(), seed)?,
            means: method_means(summaries, trials)?,
            differences: method_differences(summaries, trials, seed)?,
        })
    }
}

/// Names of the files of a run folder.
pub mod names {
    /// Trials as they end.
    pub const JOURNAL: &str = "trials.journal";
    /// Folder of the journals of shards.
    pub const JOURNALS: &str = "journals";
    /// Damaged lines of the journal, kept.
    pub const DAMAGED: &str = "trials.damaged";
    /// All trials, sorted by key.
    pub const TRIALS: &str = "trials.parquet";
    /// Design points.
    pub const DESIGNS: &str = "designs.parquet";
    /// Design points as text.
    pub const DESIGNS_CSV: &str = "designs.csv";
    /// Accuracy of each design point over its chips.
    pub const SUMMARY: &str = "summary.parquet";
    /// The same as text.
    pub const SUMMARY_CSV: &str = "summary.csv";
    /// Terms of the energy of each design point.
    pub const ENERGY_CSV: &str = "energy.csv";
    /// Points of an exploration, verified or refuted.
    pub const EXPLORED_CSV: &str = "explored.csv";
    /// Losses of single domains.
    pub const SENSITIVITY_CSV: &str = "sensitivity.csv";
    /// Verdicts of an answer.
    pub const VERDICTS_CSV: &str = "verdicts.csv";
    /// Losses with faults in parts of a network alone.
    pub const PART_LOSSES_CSV: &str = "part_losses.csv";
    /// What its check showed of each voltage.
    pub const EVIDENCE_CSV: &str = "evidence.csv";
    /// Frontiers, hypervolumes, savings.
    pub const PARETO_CSV: &str = "pareto.csv";
    /// Lowest voltages at accuracy losses and yields.
    pub const ANSWERS_CSV: &str = "answers.csv";
    /// Mean accuracy of methods over trainings and chips.
    pub const METHODS_CSV: &str = "methods.csv";
    /// Paired differences between methods.
    pub const DIFFERENCES_CSV: &str = "differences.csv";
    /// Every flip of every attack.
    pub const FLIPS: &str = "flips.parquet";
    /// The same as text.
    pub const FLIPS_CSV: &str = "flips.csv";
    /// What became of each attack.
    pub const ATTACKS: &str = "attacks.parquet";
    /// The same as text.
    pub const ATTACKS_CSV: &str = "attacks.csv";
    /// Attacks on each model taken together.
    pub const ATTACK_SUMMARY: &str = "attack_summary.parquet";
    /// The same as text.
    pub const ATTACK_SUMMARY_CSV: &str = "attack_summary.csv";
    /// Wall seconds per trial and phase.
    pub const TIMING_CSV: &str = "timing.csv";
    /// Tables that equal runs have equal.
    pub const TABLES: [&str; 18] = [
        TRIALS,
        DESIGNS,
        DESIGNS_CSV,
        SUMMARY,
        SUMMARY_CSV,
        ENERGY_CSV,
        EXPLORED_CSV,
        SENSITIVITY_CSV,
        PARETO_CSV,
        ANSWERS_CSV,
        METHODS_CSV,
        DIFFERENCES_CSV,
        FLIPS,
        FLIPS_CSV,
        ATTACKS,
        ATTACKS_CSV,
        ATTACK_SUMMARY,
        ATTACK_SUMMARY_CSV,
    ];
}
