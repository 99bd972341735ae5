//! Searches over designs that call sweeps: voltages for the domains of a weight memory, found by estimates and kept only
//! after a verification on fresh chips. Rows go to a sink, not to disk.

mod domains;
mod greedy;
mod groups;
mod local;
mod oracle;
mod precision;
mod row;
mod search;
mod simulation;
mod space;
mod spec;
mod table;
#[cfg(test)]
mod tests;

pub use domains::{DomainSpec, Group, Part, MEMORIES};
pub use groups::groups;
pub use oracle::{Oracle, Reference};
pub use precision::{PrecisionSearch, Widths};
pub use row::{Answer, Estimate, Evaluation, ExplorePoint, PointKind, PointStatus, SensitivityRow};
pub use search::{explore, Outcome, Sink};
pub use simulation::{check_arrays, ActivationDomain, Simulation, TrialSink, Verified};
pub use space::{Levels, Space, Supplied};
pub use spec::{ExploreSpec, FORMER_KEYS};
pub use table::{ExploredPoint, Sensitivity};
