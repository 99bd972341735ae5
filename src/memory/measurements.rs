//! Measurements of a memory as CSV: counts of failing cells, or rates, at rising voltages. What curve they follow
//! is the fit's affair.

use super::HIGHEST_BER;
use crate::error::{Error, Result};
use crate::store::{read_text, sha256};
use crate::units::{Ber, Voltage};
use std::path::{Path, PathBuf};

/// Largest file of measurements, in bytes.
const LARGEST: u64 = 1 << 20;
/// Most rows of a file.
const MAX_ROWS: usize = 10_000;
/// Most cells: counts stay exact as `f64`.
const MAX_CELLS: u64 = 1 << 53;
/// What the header may be, for messages.
const HEADER: &str =
    "the columns `voltage, faults, cells` or `voltage, ber`, and perhaps `energy` (in any unit) or \
                      `access_energy_pj`";

/// What was measured at one voltage.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measurement {
    /// Supply voltage, in the unit of the file.
    pub voltage: Voltage,
    /// Share of cells that fail, in [0, 0.5].
    pub ber: Ber,
    /// Number of cells that fail; `None` where the file gives rates alone.
    pub faults: Option<u64>,
    /// Energy of an access, above 0, in the unit of [`Measurements::energy_in_pj`]; `None` where it was not measured.
    pub energy: Option<f64>,
}

/// A file of measurements, checked: by rising voltage, the number of failing cells never rises.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurements {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of the file.
    pub checksum: String,
    /// By rising voltage, no voltage twice; never empty.
    pub rows: Vec<Measurement>,
    /// Cells that were looked at, the same ones at each voltage; `None` where the file gives rates alone.
    pub cells: Option<u64>,
    /// True where energies are in picojoules per bit, false where only their course counts.
    pub energy_in_pj: bool,
}

/// Places of the columns in a record.
struct Columns {
    voltage: usize,
    rates: RateColumns,
    energy: Option<usize>,
    energy_in_pj: bool,
}

/// Places of what was counted, or of the rates alone.
enum RateColumns {
    Counts { faults: usize, cells: usize },
    Ber(usize),
}

/// One row with its line.
struct Line {
    line: usize,
    row: Measurement,
    cells: Option<u64>,
}

impl Measurements {
    /// Reads a CSV file. Lines that begin with `#` are left out; rows may stand in any order.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Input`] with line and column for everything that is wrong: other columns, cells
    /// that differ from row to row (then they are not the same cells), a rate above 0.5, a voltage twice, more
    /// failing cells at a higher voltage (the same cells would have recovered).
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path, &read_text(path, "measurements as CSV", LARGEST)?)
    }

    /// Reads the text of a file; `path` is for errors and provenance.
    ///
    /// # Errors
    /// As [`Measurements::read`].
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut columns = None;
        let mut lines: Vec<Line> = Vec::new();
        for record in reader.records() {
            let record = record.map_err(|e| Error::input(path, "CSV", e.to_string()))?;
            let line = record
                .position()
                .map_or(0, |position| position.line() as usize);
            match &columns {
                None => columns = Some(columns_of(path, line, &record)?),
                Some(_) if lines.len() == MAX_ROWS => {
                    return Err(wrong(
                        path,
                        line,
                        None,
                        &format!("at most {MAX_ROWS} rows"),
                        "more",
                    ));
                }
                Some(columns) => lines.push(line_of(path, line, &record, columns)?),
            }
        }
        let columns = columns.ok_or_else(|| Error::input(path, HEADER, "no header"))?;
        let cells = check(path, &mut lines)?;
        Ok(Self {
            path: path.to_owned(),
            checksum: sha256(text.as_bytes()),
            rows: lines.into_iter().map(|line| line.row).collect(),
            cells,
            energy_in_pj: columns.energy_in_pj,
        })
    }

    /// Rows at which some cell fails, by rising voltage.
    pub fn with_failures(&self) -> impl DoubleEndedIterator<Item = &Measurement> {
        self.rows.iter().filter(|row| row.ber.get() > 0.0)
    }
}

fn wrong(path: &Path, line: usize, key: Option<&str>, expected: &str, found: &str) -> Error {
    let (path, key) = (path.to_owned(), key.map(str::to_owned));
    Error::Input {
        path,
        line: Some(line),
        key,
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn columns_of(path: &Path, line: usize, header: &csv::StringRecord) -> Result<Columns> {
    let place = |name: &str| header.iter().position(|column| column == name);
    let refused = || {
        wrong(
            path,
            line,
            None,
            HEADER,
            &format!("`{}`", header.iter().collect::<Vec<_>>().join(", ")),
        )
    };
    let (energy, energy_pj) = (place("energy"), place("access_energy_pj"));
    let (rates, width) = match (place("faults"), place("cells"), place("ber")) {
        (Some(faults), Some(cells), None) => (RateColumns::Counts { faults, cells }, 2),
        (None, None, Some(ber)) => (RateColumns::Ber(ber), 1),
        _ => return Err(refused()),
    };
    let columns = Columns {
        voltage: place("voltage").ok_or_else(refused)?,
        rates,
        energy: energy.or(energy_pj),
        energy_in_pj: energy_pj.is_some(),
    };
    let known = 1 + width + usize::from(columns.energy.is_some());
    // a column of another name, or one that stands twice, makes the header longer
    if (energy.is_some() && energy_pj.is_some()) || header.len() != known {
        return Err(refused());
    }
    Ok(columns)
}

fn line_of(
    path: &Path,
    line: usize,
    record: &csv::StringRecord,
    columns: &Columns,
) -> Result<Line> {
    let cell = |at: usize, key: &str, expected: &str| -> Result<&str> {
        record
            .get(at)
            .filter(|cell| !cell.is_empty())
            .ok_or_else(|| wrong(path, line, Some(key), expected, "nothing"))
    };
    let refused = |key: &str, expected: &str, found: &str| {
        wrong(path, line, Some(key), expected, &format!("`{found}`"))
    };
    let number =
        |at: usize, key: &str, expected: &str, fits: &dyn Fn(f64) -> bool| -> Result<f64> {
            let text = cell(at, key, expected)?;
            text.parse()
                .ok()
                .filter(|x| fits(*x))
                .ok_or_else(|| refused(key, expected, text))
        };
    let count = |at: usize, key: &str, most: u64| -> Result<u64> {
        let expected = format!("a whole number up to {most}");
        let text = cell(at, key, &expected)?;
        text.parse()
            .ok()
            .filter(|n| *n <= most)
            .ok_or_else(|| refused(key, &expected, text))
    };
    let volts = number(
        columns.voltage,
        "voltage",
        "a number above 0 and at most 100",
        &|v| Voltage::new(v).is_ok(),
    )?;
    let (ber, faults, cells) = match columns.rates {
        RateColumns::Counts { faults, cells } => {
            let cells = count(cells, "cells", MAX_CELLS)?;
            if cells == 0 {
                return Err(wrong(path, line, Some("cells"), "at least 1", "0"));
            }
            let faults = count(faults, "faults", cells / 2)?;
            (faults as f64 / cells as f64, Some(faults), Some(cells))
        }
        RateColumns::Ber(at) => {
            let fits = |p: f64| (0.0..=HIGHEST_BER).contains(&p);
            (
                number(at, "ber", "a bit error rate from 0 to 0.5", &fits)?,
                None,
                None,
            )
        }
    };
    let energy = match columns
        .energy
        .filter(|at| record.get(*at).is_some_and(|cell| !cell.is_empty()))
    {
        None => None,
        Some(at) => {
            let key = if columns.energy_in_pj {
                "access_energy_pj"
            } else {
                "energy"
            };
            Some(number(at, key, "a number above 0, or nothing", &|e| {
                e > 0.0 && e.is_finite()
            })?)
        }
    };
    Ok(Line {
        line,
        row: Measurement {
            voltage: Voltage::new(volts)?,
            ber: Ber::new(ber)?,
            faults,
            energy,
        },
        cells,
    })
}

/// Sorts the rows and checks them against each other; returns the number of cells.
fn check(path: &Path, lines: &mut [Line]) -> Result<Option<u64>> {
    lines.sort_by(|a, b| a.row.voltage.get().total_cmp(&b.row.voltage.get()));
    let Some(first) = lines.first() else {
        return Err(Error::input(path, "at least one row", "none"));
    };
    let cells = first.cells;
    if let Some(line) = lines.iter().find(|line| line.cells != cells) {
        let (many, other) = (cells.unwrap_or(0), line.cells.unwrap_or(0));
        let expected = format!(
            "{many} as at {}: the same cells counted at every voltage",
            first.row.voltage
        );
        return Err(wrong(
            path,
            line.line,
            Some("cells"),
            &expected,
            &other.to_string(),
        ));
    }
    for pair in lines.windows(2) {
        let (below, above) = (&pair[0], &pair[1]);
        if below.row.voltage == above.row.voltage {
            let found = format!("{} on line {} too", above.row.voltage, below.line);
            return Err(wrong(
                path,
                above.line,
                Some("voltage"),
                "each voltage once",
                &found,
            ));
        }
        if above.row.ber > below.row.ber {
            let key = if cells.is_some() { "faults" } else { "ber" };
            let value = |line: &Line| {
                line.row
                    .faults
                    .map_or(line.row.ber.to_string(), |n| n.to_string())
            };
            let expected = format!(
                "at most {} as at {}: a cell that fails also fails at every lower voltage",
                value(below),
                below.row.voltage
            );
            return Err(wrong(path, above.line, Some(key), &expected, &value(above)));
        }
    }
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Measurements> {
        Measurements::parse(Path::new("m.csv"), text)
    }

    #[test]
    fn counts_are_read_in_any_order_with_spaces_and_remarks() {
        let read =
            parse("# a chip\nvoltage, faults, cells\n0.60, 4, 1000\n0.54, 20, 1000\n").unwrap();
        assert_eq!(read.cells, Some(1000));
        let rows: Vec<_> = read
            .rows
            .iter()
            .map(|r| (r.voltage.get(), r.faults, r.ber.get(), r.energy))
            .collect();
        assert_eq!(
            rows,
            [(0.54, Some(20), 0.02, None), (0.60, Some(4), 0.004, None)]
        );
    }

    #[test]
    fn rates_and_energies_are_read_and_a_missing_energy_is_none() {
        let read = parse("voltage,ber,access_energy_pj\n0.8,1e-3,\n0.7,0.1,0.25\n").unwrap();
        assert_eq!((read.cells, read.energy_in_pj), (None, true));
        assert_eq!(read.rows[0].energy, Some(0.25));
        assert_eq!((read.rows[1].energy, read.rows[1].faults), (None, None));
        assert_eq!(read.rows[1].ber.get(), 1e-3);
    }

    #[test]
    fn everything_that_is_wrong_is_named_with_its_line() {
        let counts = |rows: &str| format!("voltage,faults,cells\n{rows}");
        for (text, message) in [
            (String::new(), "m.csv: expected the columns"),
            (
                "voltage,faults\n1,2\n".into(),
                "m.csv:1: expected the columns",
            ),
            (
                "voltage,ber,energy,access_energy_pj\n".into(),
                "m.csv:1: expected the columns",
            ),
            ("voltage,ber,note\n".into(), "m.csv:1: expected the columns"),
            ("voltage,ber,ber\n".into(), "m.csv:1: expected the columns"),
            (counts(""), "m.csv: expected at least one row, found none"),
            (
                counts("0,1,9\n"),
                "m.csv:2: `voltage`: expected a number above 0 and at most 100, found `0`",
            ),
            (counts("1,1\n"), "m.csv:2: `cells`: expected a whole number"),
            (
                counts("1,1,0\n"),
                "m.csv:2: `cells`: expected at least 1, found 0",
            ),
            (
                counts("1,6,10\n"),
                "m.csv:2: `faults`: expected a whole number up to 5, found `6`",
            ),
            (
                counts("1,1.5,10\n"),
                "m.csv:2: `faults`: expected a whole number up to 5, found `1.5`",
            ),
            (
                counts("1,1,10\n2,1,11\n"),
                "m.csv:3: `cells`: expected 10 as at 1: the same cells",
            ),
            (
                counts("1,1,10\n1,1,10\n"),
                "m.csv:3: `voltage`: expected each voltage once, found 1 on line 2 too",
            ),
            (
                counts("1,1,10\n2,2,10\n"),
                "m.csv:3: `faults`: expected at most 1 as at 1: a cell that fails",
            ),
            (
                "voltage,ber\n1,0.6\n".into(),
                "m.csv:2: `ber`: expected a bit error rate from 0 to 0.5, found `0.6`",
            ),
            (
                "voltage,ber\n1,nan\n".into(),
                "m.csv:2: `ber`: expected a bit error rate from 0 to 0.5, found `nan`",
            ),
            (
                "voltage,ber,energy\n1,0,-1\n".into(),
                "m.csv:2: `energy`: expected a number above 0",
            ),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().starts_with(message),
                "{text}: {error}"
            );
        }
    }
}
