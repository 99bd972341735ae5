//! Measurements of a memory as a foreign table: counts of failing cells, or rates, at rising voltages. What curve they
//! follow is the fit's affair.
//!
//! A count or rate is of cells that fail at all, so it may be anything up to all cells; columns of flipped bits, of which
//! more than half would say the opposite of what was stored, go up to one half.

mod columns;

use crate::error::{Error, Result};
use crate::stats::mean;
use crate::store::{decode_text, excerpt, read_bytes, sha256, ForeignRow, ForeignTable, Size};
use crate::units::{Ber, Voltage, VoltageUnit};
use columns::{Columns, Rates, HEADER};
use std::path::{Path, PathBuf};

/// Largest file of measurements, in bytes.
const LARGEST: u64 = 1 << 22;
/// Most cells: counts stay exact as `f64`.
const MAX_CELLS: u64 = 1 << 53;

/// What was measured at one voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Supply voltage, in the unit of the file.
    pub voltage: Voltage,
    /// Fraction of cells that fail.
    pub ber: Ber,
    /// Number of cells that fail; `None` where the file gives rates alone.
    pub faults: Option<u64>,
    /// Number of cells that were looked at; `None` where the file gives rates alone.
    pub cells: Option<u64>,
    /// Energy of an access, above 0, in the unit of [`Measurements::energy_in_pj`]; `None` where it was not measured.
    pub energy: Option<f64>,
}

/// How the rows of a file belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampling {
    /// The same cells counted once at each voltage, never more of them failing at a higher one.
    SameCells,
    /// Counts that cannot be, or need not be, of the same cells: other numbers of cells, voltages measured again,
    /// numbers that rise with the voltage.
    Independent,
    /// Rates without numbers of cells.
    Rates,
}

/// A file of measurements, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurements {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub checksum: String,
    /// Its rows, by rising voltage; never empty.
    pub readings: Vec<Measurement>,
    /// By rising voltage, no voltage twice: of readings at one voltage counts are added, and the means of rates and of
    /// energies are taken.
    pub rows: Vec<Measurement>,
    /// Cells that each reading looked at; `None` where the file gives rates alone or they differ.
    pub cells: Option<u64>,
    /// How the rows belong together.
    pub sampling: Sampling,
    /// True where energies are in picojoules per bit, false where only their course counts.
    pub energy_in_pj: bool,
    /// Unit of the voltages, where the file says it.
    pub unit: Option<VoltageUnit>,
    /// What the user should know of the reading: columns that were not read, rows that were put together.
    pub remarks: Vec<String>,
}

impl Measurements {
    /// Reads a table; rows may stand in any order.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Input`] with line and column for everything that is wrong: a header without the
    /// columns, more failing cells than cells, a number that has two readings.
    pub fn read(path: &Path) -> Result<Self> {
        let expected = "measurements as CSV";
        let bytes = read_bytes(path, expected, LARGEST)?;
        let checksum = sha256(&bytes);
        let text = decode_text(path, expected, bytes)?;
        Ok(Self {
            checksum,
            ..Self::parse(path, &text)?
        })
    }

    /// Reads the text of a file; `path` is for errors and provenance.
    ///
    /// # Errors
    /// As [`Measurements::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let table = ForeignTable::new(path, text, HEADER)?;
        let columns = Columns::of(&table)?;
        let mut readings = Vec::new();
        for row in table.rows() {
            readings.push(reading(&table, &row?, &columns)?);
        }
        // stable: readings of a voltage stay in the order of the file
        readings.sort_by(|a, b| a.voltage.get().total_cmp(&b.voltage.get()));
        let Some(first) = readings.first() else {
            return Err(Error::input(path, "at least one row", "none"));
        };
        let cells = first
            .cells
            .filter(|_| readings.iter().all(|r| r.cells == first.cells));
        let rows = pooled(&readings).ok_or_else(|| {
            Error::input(
                path,
                format!("at most {MAX_CELLS} cells at a voltage"),
                "more",
            )
        })?;
        let rises = rows.windows(2).any(|pair| pair[1].ber > pair[0].ber);
        let sampling = match (first.faults, cells) {
            (None, _) => Sampling::Rates,
            (Some(_), Some(_)) if rows.len() == readings.len() && !rises => Sampling::SameCells,
            _ => Sampling::Independent,
        };
        Ok(Self {
            path: path.to_owned(),
            checksum: sha256(text.as_bytes()),
            remarks: remarks(&columns, &readings, &rows),
            readings,
            rows,
            cells,
            sampling,
            energy_in_pj: columns.energy_in_pj(),
            unit: columns.voltage.unit(),
        })
    }

    /// Rows at which some cell fails, by rising voltage.
    pub fn with_failures(&self) -> impl DoubleEndedIterator<Item = &Measurement> {
        self.rows.iter().filter(|row| row.ber.get() > 0.0)
    }

    /// The first pair of voltages of which the higher one has more failures.
    pub fn rise(&self) -> Option<(&Measurement, &Measurement)> {
        let mut pairs = self.rows.windows(2);
        let pair = pairs.find(|pair| pair[1].ber > pair[0].ber)?;
        Some((&pair[0], &pair[1]))
    }
}

/// One row of the table.
fn reading(
    table: &ForeignTable<'_>,
    row: &ForeignRow<'_>,
    columns: &Columns,
) -> Result<Measurement> {
    let wrong = |at: usize, expected: &str, found: &str| {
        table.wrong(row.line, Some(&table.columns()[at]), expected, found)
    };
    let cell =
        |at: usize, expected: &str| row.cell(at).ok_or_else(|| wrong(at, expected, "nothing"));
    let count = |at: usize, most: u64| -> Result<u64> {
        let expected = format!("a whole number up to {most}");
        let text = cell(at, &expected)?;
        let number = table
            .number(text, Size::Count)
            .map_err(|why| wrong(at, why, &excerpt(text)))?;
        let whole = number.whole(most).filter(|_| number.unit.is_empty());
        whole.ok_or_else(|| wrong(at, &expected, &excerpt(text)))
    };
    let cells = |at: usize| match count(at, MAX_CELLS)? {
        0 => Err(wrong(at, "at least 1", "0")),
        cells => Ok(cells),
    };
    let expected = "a number above 0 and at most 100";
    let text = cell(columns.voltage_at, expected)?;
    let voltage = columns
        .voltage
        .read(table, text)
        .map_err(|(expected, found)| wrong(columns.voltage_at, &expected, &found))?;
    let (ber, faults, cells) = match columns.rates {
        Rates::Counts { faults, cells: at } => {
            let cells = cells(at)?;
            let most = if columns.flips { cells / 2 } else { cells };
            let faults = count(faults, most).map_err(|error| columns.above_half(error))?;
            (faults as f64 / cells as f64, Some(faults), Some(cells))
        }
        Rates::Ber {
            at,
            power,
            cells: of,
        } => {
            let text = cell(at, columns.rate_expected())?;
            let rate = columns
                .rate(table, text, power)
                .ok_or_else(|| wrong(at, columns.rate_expected(), &excerpt(text)))?;
            match of {
                None => (rate, None, None),
                Some(of) => {
                    let cells = cells(of)?;
                    // a measured rate is that of a whole number of cells
                    let faults = (rate * cells as f64).round();
                    (faults / cells as f64, Some(faults as u64), Some(cells))
                }
            }
        }
    };
    let energy = match columns
        .energy
        .and_then(|energy| Some((energy, row.cell(energy.at)?)))
    {
        None => None,
        Some((energy, text)) => {
            let number = table
                .number(text, Size::Any)
                .ok()
                .filter(|n| n.unit.is_empty());
            let value = number
                .and_then(|n| n.times_ten_to(energy.power))
                .filter(|e| *e > 0.0);
            let expected = "a number above 0, or nothing";
            Some(value.ok_or_else(|| wrong(energy.at, expected, &excerpt(text)))?)
        }
    };
    Ok(Measurement {
        voltage,
        ber: Ber::new(ber)?,
        faults,
        cells,
        energy,
    })
}

/// Readings of each voltage as one; they lie by voltage. `None` where a sum of cells passes 2^53.
fn pooled(readings: &[Measurement]) -> Option<Vec<Measurement>> {
    let mut rows = Vec::new();
    for of in readings.chunk_by(|a, b| a.voltage == b.voltage) {
        let [one] = of else {
            rows.push(together(of)?);
            continue;
        };
        rows.push(*one);
    }
    Some(rows)
}

/// Several readings of one voltage as one.
fn together(of: &[Measurement]) -> Option<Measurement> {
    let sum = |count: fn(&Measurement) -> Option<u64>| -> Option<u64> {
        of.iter().try_fold(0u64, |sum, reading| {
            sum.checked_add(count(reading)?)
                .filter(|sum| *sum <= MAX_CELLS)
        })
    };
    let energies: Vec<f64> = of.iter().filter_map(|reading| reading.energy).collect();
    let first = of.first()?;
    let (faults, cells, ber) = match first.cells {
        Some(_) => {
            let (faults, cells) = (sum(|r| r.faults)?, sum(|r| r.cells)?);
            (Some(faults), Some(cells), faults as f64 / cells as f64)
        }
        None => {
            let rates: Vec<f64> = of.iter().map(|reading| reading.ber.get()).collect();
            (None, None, mean(&rates)?)
        }
    };
    Some(Measurement {
        voltage: first.voltage,
        ber: Ber::new(ber).ok()?,
        faults,
        cells,
        energy: mean(&energies),
    })
}

fn remarks(columns: &Columns, readings: &[Measurement], rows: &[Measurement]) -> Vec<String> {
    let mut remarks = columns.remarks();
    if readings.len() > rows.len() {
        let how = match readings[0].cells {
            Some(_) => "their counts are added",
            None => "the means of their rates are taken",
        };
        remarks.push(format!(
            "{} rows at {} voltages: where a voltage stands more than once {how}",
            readings.len(),
            rows.len()
        ));
    }
    let above = readings
        .iter()
        .filter(|reading| reading.ber.get() > super::HIGHEST_BER);
    let above = above.count();
    if above > 0 {
        remarks.push(format!(
            "{above} of {} rows have more than half of the cells failing: they are taken as cells that fail at all, not as \
             bits that read wrongly; a memory model goes up to a rate of 0.5",
            readings.len()
        ));
    }
    remarks
}

#[cfg(test)]
mod tests;
