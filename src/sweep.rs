//! The Monte-Carlo voltage sweep: trials of simulated chips, spread over cores; rows go to a sink, not to disk.

mod energy;
mod procedure;
mod row;
mod spec;

pub use procedure::{exposure, Comparison, Outcome, Subject};
pub use row::{CleanAnswers, Design, StoppedBy, Trial, TrialStatus};
pub use spec::SweepSpec;
