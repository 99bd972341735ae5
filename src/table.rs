//! Rows to and from journal, CSV and Parquet; summaries; the Pareto frontier.
//!
//! Every table has the schema version as its first column. A missing value is a null (nothing
//! between two commas in CSV), never 0 and never NaN. The same rows give the same bytes.

mod answers;
mod attack;
mod averaged;
mod columns;
#[cfg(test)]
mod coverage;
mod csv;
mod differences;
mod energy;
mod explore;
mod fault_count;
mod field;
mod file;
mod frontier;
mod history;
mod journal;
mod methods;
mod pareto;
mod pareto_file;
mod parquet;
mod read;
mod row;
mod run;
mod settings;
mod summary;
#[cfg(test)]
mod tests;
mod thrift;

pub use answers::{
    answer_records, answers, answers_csv_string, read_answers, write_answers, Answer, Ends, Ladder,
    Question, Questions, Reach, YIELD_TARGETS,
};
#[cfg(test)]
pub(crate) use attack::tests as attack_tests;
pub use attack::{
    attack_summary_csv_string, attack_summary_records, read_attacks, read_flips, summarize_attacks,
    write_attack_summary, write_attacks, write_flips, AttackSummary, FlipRow, Flipper,
};
pub use averaged::{average_trainings, undominated, Averaged};
pub use columns::{
    design_records, designs_frame, designs_in_order, read_designs, read_summary, read_timing,
    read_trials, summary_csv_string, summary_frame, summary_records, trials_frame, write_designs,
    write_summary, write_timing, write_trials,
};
pub use differences::{
    differences_csv_string, method_differences, write_differences, MethodDifference,
};
pub use energy::{read_energies, write_energies};
pub use explore::{
    evidence_records, explored_records, write_evidence, write_explored, write_sensitivities,
    ExploredPoint, Sensitivity, VoltageEvidence,
};
pub use fault_count::{cells_key, fault_counts, FaultCount};
pub use history::{history_csv_string, read_history, write_history};
pub use journal::{replay, Journal, Replay, SearchEvaluation};
pub use methods::{method_means, methods_csv_string, write_methods, MethodMean};
pub use pareto::{frontier_probabilities, groups_of, pareto, BASELINE, RESAMPLES, SAVING_LOSSES};
pub use pareto_file::{pareto_csv_string, pareto_records, read_pareto, write_pareto};
pub use polars::frame::DataFrame;
pub use row::{
    Frontier, FrontierPoint, Outcome, Pareto, Saving, Spread, Summary, Timing, TrialRow,
};
pub use run::{comparison_warnings, merge, read_run, run_name, Merged, Run};
pub use settings::Setting;
pub use summary::{summarize, FloorSpec};

/// Version of the columns of all tables that are written; the first column, `schema`, of each of them.
pub const SCHEMA: u64 = 4;

/// The oldest version of the columns that is read: 4 added `not_finite`, which is null where an older table lacks it.
const OLDEST: u64 = 3;

/// Most rows of a table that is written or read.
pub const MAX_ROWS: usize = 1 << 24;

/// Largest table file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// Names of the files of a run folder.
pub mod names {
    /// Trials as they end.
    pub const JOURNAL: &str = "trials.journal";
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
    /// What was seen of yields.
    pub const YIELDS_CSV: &str = "yields.csv";
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
    pub const TABLES: [&str; 19] = [
        TRIALS,
        DESIGNS,
        DESIGNS_CSV,
        SUMMARY,
        SUMMARY_CSV,
        ENERGY_CSV,
        EXPLORED_CSV,
        SENSITIVITY_CSV,
        YIELDS_CSV,
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
