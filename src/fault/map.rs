//! A user's measured fault map: the failing cells of chips at each voltage, from a table or from NumPy arrays. The cells
//! that fail at a voltage are, but for noise, among those that fail at every lower one.

mod arrays;
mod csv;

use super::pattern::FaultKind;
use super::{ArraySpec, FailingCell};
use crate::error::{refuse, Result};
use crate::store;
use crate::units::{Ber, Voltage, VoltageUnit};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// Largest file, in bytes.
const LARGEST: u64 = 1 << 26;
/// Most cells of a map.
const MOST_CELLS: u64 = 1 << 36;
/// Most chips of a map.
const MOST_CHIPS: usize = 10_000;
/// More failing cells at a higher voltage by this factor are an error, where they are no chance.
const MUCH_MORE: f64 = 1.1;
/// Quantile of the normal distribution of one in a thousand.
const NO_CHANCE: f64 = 3.09;
/// Fewer failing cells say nothing about how they are nested.
const FEW: usize = 10;

/// A fault map.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultMap {
    /// Cells of the memory of each chip.
    pub cells: u64,
    /// Chips.
    pub chips: u32,
    /// Unit of the voltages, where the map says it.
    pub unit: Option<VoltageUnit>,
    /// What a failing cell does.
    pub kind: FaultKind,
    /// SHA-256 over the files and their voltages.
    pub checksum: String,
    /// What the user should know of the map: which chips it has, what was not read, what is odd.
    pub remarks: Vec<String>,
    /// By rising voltage: failing cells of each chip by address.
    points: Vec<(Voltage, Arc<Vec<Vec<FailingCell>>>)>,
}

/// Failing cells of each chip, by voltage.
type Points = Vec<(Voltage, Vec<Vec<FailingCell>>)>;

impl FaultMap {
    /// Reads a map: one CSV file, `VOLTAGE=FILE.npy` for each voltage, or one `.npz` file of arrays named by voltage.
    /// `shape` is the memory's array, whose columns a table of rows and columns has where it does not say its own.
    ///
    /// # Errors
    /// [`crate::error::Error::Missing`]; [`crate::error::Error::Input`] with line for what is wrong in a file, a cell outside the memory or
    /// named twice among it; [`crate::error::Error::Argument`] for entries that are neither, and for a map of which far more cells
    /// fail at a higher voltage.
    pub fn read(entries: &[String], shape: &ArraySpec) -> Result<Self> {
        let mut map = match entries {
            [one] if !one.contains('=') || Path::new(one).is_file() => {
                let bytes =
                    store::read_bytes(Path::new(one), "a fault map (CSV)", arrays::LARGEST)?;
                if store::is_npz(&bytes) {
                    arrays::read_archive(Path::new(one), &bytes, shape)?
                } else {
                    csv::read(Path::new(one), bytes, shape)?
                }
            }
            many => arrays::read(many, shape)?,
        };
        map.check_nesting()?;
        Ok(map)
    }

    /// Voltages of the map, rising.
    pub fn voltages(&self) -> Vec<Voltage> {
        self.points.iter().map(|(voltage, _)| *voltage).collect()
    }

    /// Fraction of failing cells over all chips at a voltage, and the cells of each chip.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a voltage that the map does not hold, with those that it does.
    pub fn at(&self, voltage: Voltage) -> Result<(Ber, Arc<Vec<Vec<FailingCell>>>)> {
        let Some((_, chips)) = self.points.iter().find(|(known, _)| *known == voltage) else {
            let known: Vec<String> = self
                .points
                .iter()
                .map(|(voltage, _)| voltage.to_string())
                .collect();
            let expected = format!("a voltage of the fault map: {}", known.join(", "));
            return refuse("voltage", expected, voltage);
        };
        let failing: usize = chips.iter().map(Vec::len).sum();
        let ber = Ber::new(failing as f64 / (self.cells as f64 * f64::from(self.chips)))?;
        Ok((ber, Arc::clone(chips)))
    }

    /// Refuses a map whose failing cells become far more as the voltage rises; smaller rises, and cells that fail at
    /// the higher voltage alone, are remarks.
    fn check_nesting(&mut self) -> Result<()> {
        for pair in self.points.windows(2) {
            let [(low, below), (high, above)] = pair else {
                continue;
            };
            let Nesting { both, below, above } = Nesting::of(below, above);
            let (only_below, only_above) = (below - both, above - both);
            // a sign test of the cells that fail at one of the two alone (McNemar, Psychometrika 12(2), 1947)
            let excess = only_above as f64 - only_below as f64 - 1.0;
            let no_chance = excess > NO_CHANCE * ((only_above + only_below) as f64).sqrt();
            let found = format!("{above} failing cells at {high} and {below} at {low}");
            if no_chance && above as f64 > MUCH_MORE * below as f64 {
                let expected = "a fault map whose cells fail at every lower voltage too";
                let found = found + ": are the voltages swapped?";
                return refuse("faults.map", expected, found);
            }
            if above > below {
                self.remarks.push(format!(
                    "fault map: {found}, though a cell that fails should fail at every lower voltage too"
                ));
            } else if above >= FEW && 2 * both < above {
                self.remarks.push(format!(
                    "fault map: of {above} cells that fail at {high} only {both} fail at {low} too: do the files and chips \
                     belong together?"
                ));
            }
        }
        Ok(())
    }

    /// A map of points by rising voltage, each with the same chips.
    fn new(
        cells: u64,
        unit: Option<VoltageUnit>,
        kind: FaultKind,
        checksum: String,
        points: Points,
        remarks: Vec<String>,
    ) -> Self {
        let chips = points.first().map_or(1, |(_, chips)| chips.len());
        let points = points
            .into_iter()
            .map(|(voltage, of)| (voltage, Arc::new(of)));
        Self {
            cells,
            chips: chips as u32,
            unit,
            kind,
            checksum,
            remarks,
            points: points.collect(),
        }
    }
}

/// Failing cells of two voltages over all chips.
struct Nesting {
    both: usize,
    below: usize,
    above: usize,
}

impl Nesting {
    fn of(below: &[Vec<FailingCell>], above: &[Vec<FailingCell>]) -> Self {
        let mut both = 0;
        for (below, above) in below.iter().zip(above) {
            let known: BTreeSet<u64> = below.iter().map(|cell| cell.address).collect();
            both += above
                .iter()
                .filter(|cell| known.contains(&cell.address))
                .count();
        }
        let count = |chips: &[Vec<FailingCell>]| chips.iter().map(Vec::len).sum();
        Self {
            both,
            below: count(below),
            above: count(above),
        }
    }
}

/// A voltage as a key: positive numbers sort like their bits.
type Key = u64;

fn key(voltage: Voltage) -> Key {
    voltage.get().to_bits()
}

#[cfg(test)]
mod tests;
