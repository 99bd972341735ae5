//! What a user may ask of a sweep, checked.

use crate::error::{Error, Result};
use crate::units::Accuracy;
use serde::{Deserialize, Serialize};

/// A sweep of the supply voltage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SweepSpec {
    /// Voltages as on the command line (`0.75:1.0:0.025`, `0.8,0.9`); absent: eleven over the memory's curve.
    pub voltages: Option<String>,
    /// Chips per design point, 1 to 1,000,000; with a tolerance, at most so many.
    pub chips: u32,
    /// Test images per trial, a seeded, stratified subset; absent: all.
    pub images: Option<u64>,
    /// Chips are added until every 95 % half-width is at most this; absent: all chips.
    pub tolerance: Option<f64>,
    /// Accuracy floor of the yield; absent: clean accuracy less 0.05.
    pub floor: Option<Accuracy>,
}

impl Default for SweepSpec {
    fn default() -> Self {
        Self { voltages: None, chips: 50, images: None, tolerance: None, floor: None }
    }
}

impl SweepSpec {
    /// Checks every value.
    ///
    /// # Errors
    /// [`Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: String| {
            Err(Error::argument(format!("sweep.{key}"), expected, found))
        };
        if !(1..=1_000_000).contains(&self.chips) {
            return wrong("chips", "1 to 1000000", self.chips.to_string());
        }
        if self.images == Some(0) {
            return wrong("images", "at least 1", "0".into());
        }
        match self.tolerance {
            Some(t) if !(1e-6..=0.5).contains(&t) => {
                wrong("tolerance", "a number from 1e-6 to 0.5", t.to_string())
            }
            _ => Ok(()),
        }
    }
}
