//! What a search asks: the right answers of chips whose domains have some voltages.

use super::space::{Levels, Supplied};
use crate::error::Result;

/// Images that are evaluated, with the right answers of the network without faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reference {
    /// Images.
    pub images: u64,
    /// Those answered correctly without faults.
    pub correct: u64,
    /// Images of the test set, of which these are all or a random subset.
    pub all: u64,
}

/// Evaluates assignments: simulated chips, or a formula in a test.
pub trait Oracle {
    /// Images of the search.
    fn search_images(&self) -> Reference;

    /// Images of the verification.
    fn verification_images(&self) -> Reference;

    /// For each of these supplies the right answers on each search chip, always the same chips.
    ///
    /// # Errors
    /// As the implementation says.
    fn search(&mut self, supplied: &[Supplied]) -> Result<Vec<Vec<u64>>>;

    /// The right answers on each verification chip, always the same chips, none of which the search sees.
    ///
    /// # Errors
    /// As the implementation says.
    fn verify(&mut self, levels: &Levels) -> Result<Vec<u64>>;
}
