//! A user's measured fault map: the failing cells of chips at each voltage, from CSV or NumPy files.
//!
//! CSV: comment lines `# cells: N` (required: the size of the memory; addresses are 0 to N-1),
//! `# unit: vmin|volt` and `# voltages: V, ...` (those at which nothing failed have no row); then a header
//! and rows `voltage,address` with the columns `chip` (from 0, default 0) and `reads` (0 or 1: the cell reads that
//! value; without the column it inverts its bit) as wanted. NumPy: one file for each voltage, a boolean or `u1`
//! array of shape (rows, columns) or (chips, rows, columns), not 0 where a cell fails; cell (row, column) has the
//! address `row·columns + column`, and failing cells invert their bit.

use super::pattern::FaultKind;
use super::FailingCell;
use crate::error::{Error, Result};
use crate::store;
use crate::units::{Ber, Share, Voltage, VoltageUnit};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Largest file, in bytes.
const LARGEST: u64 = 1 << 26;
/// Most cells of a map.
const MOST_CELLS: u64 = 1 << 36;
/// Most chips of a map.
const MOST_CHIPS: u64 = 10_000;

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
    /// By rising voltage: failing cells of each chip by address.
    points: Vec<(Voltage, Arc<Vec<Vec<FailingCell>>>)>,
}

/// Failing cells of each chip, by voltage.
type Points = Vec<(Voltage, Vec<Vec<FailingCell>>)>;

impl FaultMap {
    /// Reads a map: one CSV file, or `VOLTAGE=FILE.npy` for each voltage.
    ///
    /// # Errors
    /// [`Error::Missing`]; [`Error::Input`] with line for what is wrong in a file, a cell outside the memory or
    /// named twice among it; [`Error::Argument`] for entries that are neither.
    pub fn read(entries: &[String]) -> Result<Self> {
        match entries {
            [one] if !one.contains('=') => read_csv(Path::new(one)),
            many => read_arrays(many),
        }
    }

    /// Voltages of the map, rising.
    pub fn voltages(&self) -> Vec<Voltage> {
        self.points.iter().map(|(voltage, _)| *voltage).collect()
    }

    /// Share of failing cells over all chips at a voltage, and the cells of each chip.
    ///
    /// # Errors
    /// [`Error::Argument`] for a voltage that the map does not hold, with those that it does.
    pub fn at(&self, voltage: Voltage) -> Result<(Ber, Arc<Vec<Vec<FailingCell>>>)> {
        let Some((_, chips)) = self.points.iter().find(|(known, _)| *known == voltage) else {
            let known: Vec<String> = self
                .points
                .iter()
                .map(|(voltage, _)| voltage.to_string())
                .collect();
            let expected = format!("a voltage of the fault map: {}", known.join(", "));
            return Err(Error::argument("voltage", expected, voltage.to_string()));
        };
        let failing: usize = chips.iter().map(Vec::len).sum();
        let ber = Ber::new(failing as f64 / (self.cells as f64 * f64::from(self.chips)))?;
        Ok((ber, Arc::clone(chips)))
    }

    fn new(
        cells: u64,
        unit: Option<VoltageUnit>,
        kind: FaultKind,
        checksum: String,
        points: Points,
    ) -> Self {
        let chips = points
            .iter()
            .map(|(_, chips)| chips.len())
            .max()
            .unwrap_or(1);
        let pad = |(voltage, mut of): (Voltage, Vec<Vec<FailingCell>>)| {
            of.resize(chips, Vec::new());
            (voltage, Arc::new(of))
        };
        let points = points.into_iter().map(pad).collect();
        Self {
            cells,
            chips: chips as u32,
            unit,
            kind,
            checksum,
            points,
        }
    }
}

/// The lines before the header of a CSV map.
#[derive(Default)]
struct Head {
    cells: Option<u64>,
    unit: Option<VoltageUnit>,
    voltages: BTreeSet<Key>,
}

/// A voltage as a key: positive numbers sort like their bits.
type Key = u64;

fn key(voltage: Voltage) -> Key {
    voltage.get().to_bits()
}

fn read_csv(path: &Path) -> Result<FaultMap> {
    let text = store::read_text(path, "a fault map (CSV)", LARGEST)?;
    let wrong = |line: usize, expected: &str, found: &str| Error::Input {
        path: path.to_owned(),
        line: Some(line),
        key: None,
        expected: expected.to_owned(),
        found: if found.is_empty() {
            "nothing".into()
        } else {
            format!("`{found}`")
        },
    };
    let mut head = Head::default();
    let mut columns: Option<Columns> = None;
    let mut cells: BTreeMap<Key, BTreeMap<u64, BTreeMap<u64, f64>>> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let fail = |(expected, found): (String, String)| wrong(number, &expected, &found);
        if let Some(comment) = line.strip_prefix('#') {
            head.read(comment).map_err(fail)?;
        } else if line.is_empty() {
        } else if let Some(columns) = &columns {
            let Some(size) = head.cells else {
                return Err(wrong(
                    number,
                    "`# cells: N` before the rows, the size of the memory",
                    "",
                ));
            };
            let row = columns.row(line, size).map_err(fail)?;
            let of = cells
                .entry(key(row.voltage))
                .or_default()
                .entry(row.chip)
                .or_default();
            if of.insert(row.address, row.polarity).is_some() {
                return Err(wrong(number, "each cell once at a voltage", line));
            }
        } else {
            columns = Some(Columns::read(line).map_err(fail)?);
        }
    }
    let (Some(columns), Some(size)) = (columns, head.cells) else {
        let expected =
            "a line `# cells: N` with the size of the memory, and a header `voltage,address`";
        return Err(Error::input(path, expected, "a file without"));
    };
    head.voltages.extend(cells.keys());
    if head.voltages.is_empty() {
        return Err(Error::input(path, "at least one voltage", "none"));
    }
    let points = head.voltages.iter().map(|voltage| {
        let chips = cells.remove(voltage).unwrap_or_default();
        let count = chips.keys().next_back().map_or(1, |last| last + 1);
        let mut of = vec![Vec::new(); count as usize];
        for (chip, cells) in chips {
            let cell = |(address, polarity)| FailingCell { address, polarity };
            of[chip as usize] = cells.into_iter().map(cell).collect();
        }
        Ok((Voltage::new(f64::from_bits(*voltage))?, of))
    });
    let points = points.collect::<Result<Points>>()?;
    Ok(FaultMap::new(
        size,
        head.unit,
        columns.kind()?,
        store::sha256(text.as_bytes()),
        points,
    ))
}

impl Head {
    fn read(&mut self, comment: &str) -> Result<(), (String, String)> {
        let Some((name, value)) = comment.split_once(':') else {
            return Ok(());
        };
        let value = value.trim();
        let wrong = |expected: String| (expected, value.to_owned());
        match name.trim() {
            "cells" => {
                let cells = value
                    .parse()
                    .ok()
                    .filter(|cells| (1..=MOST_CELLS).contains(cells));
                self.cells = Some(cells.ok_or_else(|| wrong(format!("1 to {MOST_CELLS} cells")))?);
            }
            "unit" => {
                let units = [VoltageUnit::Vmin, VoltageUnit::Volt];
                let unit = units.into_iter().find(|unit| unit.name() == value);
                self.unit = Some(unit.ok_or_else(|| wrong("vmin or volt".into()))?);
            }
            "voltages" => {
                for voltage in value.split(',') {
                    let voltage: Voltage = voltage
                        .parse()
                        .map_err(|_| wrong("voltages above 0".into()))?;
                    self.voltages.insert(key(voltage));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Places of the columns.
struct Columns {
    count: usize,
    voltage: usize,
    address: usize,
    chip: Option<usize>,
    reads: Option<usize>,
}

struct MapRow {
    voltage: Voltage,
    chip: u64,
    address: u64,
    polarity: f64,
}

impl Columns {
    fn read(header: &str) -> Result<Self, (String, String)> {
        let names: Vec<&str> = header.split(',').map(str::trim).collect();
        let place = |name: &str| names.iter().position(|other| *other == name);
        let known = ["voltage", "address", "chip", "reads"];
        let distinct = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        match (place("voltage"), place("address")) {
            (Some(voltage), Some(address))
                if distinct && names.iter().all(|name| known.contains(name)) =>
            {
                Ok(Self {
                    count: names.len(),
                    voltage,
                    address,
                    chip: place("chip"),
                    reads: place("reads"),
                })
            }
            _ => Err((
                "a header of voltage, address and, as wanted, chip, reads".into(),
                header.into(),
            )),
        }
    }

    /// What a failing cell does: with the column `reads` the value there, by its polarity.
    fn kind(&self) -> Result<FaultKind> {
        Ok(match self.reads {
            Some(_) => FaultKind::Stuck {
                zero_to_one_share: Share::new(0.5)?,
            },
            None => FaultKind::Flip,
        })
    }

    fn row(&self, line: &str, cells: u64) -> Result<MapRow, (String, String)> {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        if fields.len() != self.count {
            return Err((format!("{} fields", self.count), line.to_owned()));
        }
        let wrong = |expected: String, at: usize| (expected, fields[at].to_owned());
        let address = fields[self.address]
            .parse()
            .ok()
            .filter(|address| *address < cells);
        let chip = |at: usize| {
            let chip = fields[at].parse().ok().filter(|chip| *chip < MOST_CHIPS);
            chip.ok_or_else(|| wrong(format!("a chip from 0 to {}", MOST_CHIPS - 1), at))
        };
        let polarity = |at: usize| match fields[at] {
            "1" => Ok(0.0),
            "0" => Ok(1.0),
            _ => Err(wrong("0 or 1, what the cell reads".into(), at)),
        };
        Ok(MapRow {
            voltage: fields[self.voltage]
                .parse()
                .map_err(|_| wrong("a voltage above 0".into(), self.voltage))?,
            chip: self.chip.map_or(Ok(0), chip)?,
            address: address.ok_or_else(|| {
                wrong(
                    format!("an address below the {cells} cells of the map's memory"),
                    self.address,
                )
            })?,
            polarity: self.reads.map_or(Ok(0.0), polarity)?,
        })
    }
}

fn read_arrays(entries: &[String]) -> Result<FaultMap> {
    let mut found: BTreeMap<Key, Vec<Vec<FailingCell>>> = BTreeMap::new();
    let (mut shape, mut checksums) = (None, String::new());
    for entry in entries {
        let expected = "one CSV file, or VOLTAGE=FILE.npy for each voltage";
        let wrong = || Error::argument("faults.map", expected, format!("`{entry}`"));
        let (voltage, path) = entry.split_once('=').ok_or_else(wrong)?;
        let (voltage, path): (Voltage, &Path) =
            (voltage.parse().map_err(|_| wrong())?, Path::new(path));
        let bytes = store::read_bytes(path, "a fault map (NumPy)", LARGEST)?;
        let array = store::parse_npy(path, &bytes)?;
        let [chips, rows, columns] = match array.shape[..] {
            [rows, columns] => [1, rows, columns],
            [chips, rows, columns] => [chips, rows, columns],
            _ => {
                let expected = "an array of (rows, columns) or (chips, rows, columns)";
                return Err(Error::input(path, expected, format!("{:?}", array.shape)));
            }
        };
        let known = *shape.get_or_insert([chips, rows, columns]);
        let cells = rows * columns;
        if known != [chips, rows, columns] || cells == 0 || chips == 0 || chips as u64 > MOST_CHIPS
        {
            let expected = format!(
                "arrays of one shape, not empty, of at most {MOST_CHIPS} chips ({known:?})"
            );
            return Err(Error::input(path, expected, format!("{:?}", array.shape)));
        }
        let failing = |values: &[u8]| {
            let cells = (0..).zip(values).filter(|(_, value)| **value != 0);
            cells
                .map(|(address, _)| FailingCell {
                    address,
                    polarity: 0.0,
                })
                .collect()
        };
        if found
            .insert(
                key(voltage),
                array.values.chunks(cells).map(failing).collect(),
            )
            .is_some()
        {
            return Err(Error::argument(
                "faults.map",
                "each voltage once",
                format!("{voltage} twice"),
            ));
        }
        checksums += &format!("{voltage} {}\n", store::sha256(&bytes));
    }
    let points = found
        .into_iter()
        .map(|(voltage, cells)| Ok((Voltage::new(f64::from_bits(voltage))?, cells)));
    let points = points.collect::<Result<Points>>()?;
    let cells = shape.map_or(0, |[_, rows, columns]| rows as u64 * columns as u64);
    Ok(FaultMap::new(
        cells,
        None,
        FaultKind::Flip,
        store::sha256(checksums.as_bytes()),
        points,
    ))
}

#[cfg(test)]
mod tests;
