//! Training of a network: optimisers, schedules and the loop; what is finished goes to an observer, not to disk.

mod batches;
mod floors;
mod history;
mod optimizer;
mod schedule;
mod spec;
mod state;
#[cfg(test)]
mod tests;
mod training_loop;

pub use history::{history_csv_string, read_history, write_history};
pub use optimizer::Optimizer;
pub use schedule::{Schedule, ScheduleSpec};
pub use spec::{ActivationRanges, OptimizerName, OptimizerSpec, TrainerSpec};
pub use state::{EpochRow, StateParts, TrainState};
pub use training_loop::{train, Observer, StepProgress, Trainer};
