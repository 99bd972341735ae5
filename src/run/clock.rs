//! The clock of a run, for the wall times that it records; no number depends on it.

use std::sync::OnceLock;
use std::time::Instant;

/// Seconds since the first call in this process.
pub(super) fn seconds() -> f64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_secs_f64()
}
