//! A configuration to folders: trains, evaluates, sweeps and attacks, resumes what was begun, writes tables, figures and report.
//!
//! What happens meanwhile goes to a [`Monitor`]; nothing is printed here.

mod activations;
mod answering;
mod attacking;
mod checked;
mod clock;
mod difference;
mod evaluation;
mod exploring;
mod export;
mod folder;
mod identity;
mod journal;
mod kept;
mod least_energy;
mod models;
mod monitor;
mod normalization;
mod numerics;
mod packing;
mod prepared;
mod preparing;
mod publish;
mod quantization;
mod record;
mod redraw;
mod request;
mod sampling;
mod sealed;
mod sharding;
mod start;
mod sweeping;
mod training;
mod trainings;
mod widths;

pub use answering::{answer, findings, plan_answer, AnswerPlan, AnswerResult};
pub use attacking::{attack, attack_shard, AttackResult};
pub use evaluation::{evaluate, EvaluationRow, FaultSetting, WeightFaults};
pub use exploring::{explore, plan_explore, ExplorePlan, ExploreResult};
pub use export::export;
pub use journal::{
    replay, Asked, Attempt, Journal, Replay, ReplayedAttempt, SearchEvaluation, SeenChip,
};
pub use monitor::{AttackProgress, Monitor, Quiet, Stage, SweepProgress};
pub use numerics::numerics;
pub use packing::{pack, PackedRow};
pub use preparing::{prepare_run, PrepareResult};
pub use publish::{publish, PublishRequest, Published};
pub use quantization::{
    quantize, Calibration, QuantizationRequest, QuantizationResult, QuantizationRow, QuantizedLayer,
};
pub use redraw::{holds_answer, redraw, redraw_answer, Drawn, DrawnAnswer};
pub use request::RunRequest;
pub use sharding::{explore_shard, sweep_shard, ShardResult};
pub use sweeping::{plan, sweep, SweepPlan, SweepResult};
pub use training::{TrainedModel, Workshop, BEST, HISTORY, LAST};
pub use trainings::TrainingRow;

#[cfg(test)]
mod tests {
    mod documentation;
}
