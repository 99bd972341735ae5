//! Searches that call sweeps: which voltages to look at, on which chips, and what the answer rests on.

mod lowest_voltage;

pub use lowest_voltage::{lowest_voltage, Evidence, Lowest, Plan, Target, Verdict, CONFIDENCE};
