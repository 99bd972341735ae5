//! The Monte-Carlo voltage sweep.

mod row;

pub use row::{Design, StoppedBy, Trial, TrialStatus};
