//! The Monte-Carlo voltage sweep: trials of simulated chips, spread over cores; rows go to a sink, not to disk.

mod activations;
mod energy;
mod list;
mod monte_carlo;
mod point;
mod row;
mod shard;
mod sight;
mod spec;
mod stopping;
mod strata;
mod two_level;
mod work;

pub use activations::{ActivationSide, ActivationSpec, ActivationSupply, SuppliedRows};
pub use monte_carlo::{Comparison, Outcome, SweptModel};
pub use point::{exposed_cells, exposure, layout, protected, DesignPoint, Domain, Supply};
pub use row::{
    CleanAnswers, Design, DomainVoltage, EnergyRow, Phase, StoppedBy, Timing, Trial, TrialRow,
    TrialStatus,
};
pub use shard::{shards_of, Part, Shard};
pub use sight::Sight;
pub use spec::{Sampling, SweepSpec, TestSplit};
pub use strata::Strata;
pub use two_level::TwoLevel;
