//! Fault maps as tables: a row for each failing cell.
//!
//! Comment lines say `# cells: N` (the size of the memory, or `# rows: N` and `# columns: N`; addresses are 0 to N-1) and,
//! as wanted, `# unit: vmin|volt`, `# voltages: V, ...` (those at which nothing failed have no row) and `# chips: N` or a
//! list of their names (those on which nothing failed have no row). The header has `voltage` and `address`, or `row` and
//! `column`, and, as wanted, `chip`, `reads` (0 or 1: the cell reads that value; without the column it inverts its bit)
//! and `fails` (0: the cell does not fail).

use super::super::pattern::FaultKind;
use super::{key, ArraySpec, FailingCell, FaultMap, Key, Points, LARGEST, MOST_CELLS, MOST_CHIPS};
use crate::error::{Error, Result};
use crate::store::{self, excerpt, word, ForeignRow, ForeignTable, Size, VoltageColumn, Words};
use crate::units::{Fraction, Voltage, VoltageUnit};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const WHAT: &str = "a fault map (CSV)";
const NO_TABLE: &str =
    "a line `# cells: N` with the size of the memory, and a header `voltage,address`";
const HEADER: &str = "a header of voltage, address (or row and column) and, as wanted, chip, reads";

const ADDRESSES: Words =
    Words("address addr bitaddress celladdress cellindex bitindex cellid index cellnumber");
const ROWS: Words = Words("row rows rowindex wordline wl");
const COLUMNS: Words = Words("column columns col cols colindex columnindex bitline bl");
const CHIPS: Words = Words("chip chips chipid die dieid device deviceid dut sample board");
const READS: Words = Words("reads read stuckat stuckvalue readvalue");
const FLAGS: Words =
    Words("fail fails failed failing faulty fault faults error errors isfaulty failcount errorcount flips flip");
/// Words for parts of an address that this program does not put together.
const PLACES: Words = Words(
    "bank block bram macro array subarray word byte bit bitposition plane page way set x y z layer instance segment \
     tile lane offset cell",
);

/// Name of a chip: numbers in their order, then words in theirs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum ChipName {
    Number(u64),
    Word(String),
}

/// What the comments say.
#[derive(Default)]
struct Head<'t> {
    cells: Option<u64>,
    rows: Option<u64>,
    columns: Option<u64>,
    unit: Option<VoltageUnit>,
    /// With their lines: what they mean depends on the columns and rows.
    voltages: Option<(usize, &'t str)>,
    chips: Option<(usize, &'t str)>,
}

/// Expected and found, for an error.
type Refusal = (String, String);

fn refused(expected: impl Into<String>, found: &str) -> Refusal {
    (expected.into(), excerpt(found))
}

pub(super) fn read(path: &Path, bytes: Vec<u8>, memory: &ArraySpec) -> Result<FaultMap> {
    if bytes.len() as u64 > LARGEST {
        let expected = format!("{WHAT} of at most {LARGEST} bytes");
        return Err(Error::input(
            path,
            expected,
            format!("{} bytes", bytes.len()),
        ));
    }
    if store::is_npy(&bytes) {
        let expected = "VOLTAGE=FILE.npy for an array: its voltage is not in the file";
        return Err(Error::input(path, expected, "a NumPy array alone"));
    }
    let checksum = store::sha256(&bytes);
    let text = store::decode_text(path, WHAT, bytes)?;
    let table = ForeignTable::new(path, &text, NO_TABLE)?;
    let mut head = Head::default();
    for &(line, comment) in table.comments() {
        head.read(line, comment)
            .map_err(|(expected, found)| table.wrong(line, None, &expected, &found))?;
    }
    let columns = Columns::of(&table)
        .map_err(|found| table.wrong(table.header_line(), None, HEADER, &found))?;
    let shape = Shape::of(&head, &columns, memory);
    let mut voltages = head.voltages(&table, &columns)?;
    let mut names = BTreeSet::new();
    let mut cells: BTreeMap<Key, BTreeMap<ChipName, BTreeMap<u64, f64>>> = BTreeMap::new();
    for row in table.rows() {
        let row = row?;
        let wrong = |expected: &str, found: &str| table.wrong(row.line, None, expected, found);
        let Some(shape) = &shape else {
            let expected = "`# cells: N` before the rows, the size of the memory";
            return Err(wrong(expected, "nothing"));
        };
        let row_of = columns
            .row(&table, &row, shape)
            .map_err(|(expected, found)| wrong(&expected, &found))?;
        if !names.contains(&row_of.chip) {
            names.insert(row_of.chip.clone());
            if names.len() > MOST_CHIPS {
                return Err(wrong(&format!("at most {MOST_CHIPS} chips"), "more"));
            }
        }
        voltages.insert(key(row_of.voltage));
        let Some(polarity) = row_of.polarity else {
            continue;
        };
        let of = cells
            .entry(key(row_of.voltage))
            .or_default()
            .entry(row_of.chip)
            .or_default();
        if of.insert(row_of.address, polarity).is_some() {
            let found = excerpt(&row.cells.join(","));
            return Err(wrong("each cell once at a voltage", &found));
        }
    }
    let Some(shape) = shape else {
        return Err(Error::input(path, NO_TABLE, "a file without"));
    };
    if voltages.is_empty() {
        return Err(Error::input(path, "at least one voltage", "none"));
    }
    let unit = unit(path, head.unit, columns.voltage.unit())?;
    let mut remarks = columns.remarks(&shape);
    let names = head.chips(&table, names, columns.chip.is_some(), &mut remarks)?;
    let mut points = Points::new();
    for voltage in voltages {
        let mut chips = cells.remove(&voltage).unwrap_or_default();
        let cell = |(address, polarity)| FailingCell { address, polarity };
        let of = names.iter().map(|name| {
            let cells = chips.remove(name).unwrap_or_default();
            cells.into_iter().map(cell).collect()
        });
        points.push((Voltage::new(f64::from_bits(voltage))?, of.collect()));
    }
    Ok(FaultMap::new(
        shape.cells,
        unit,
        columns.kind()?,
        checksum,
        points,
        remarks,
    ))
}

/// The unit of a comment and that of the header, which must not be two.
fn unit(
    path: &Path,
    said: Option<VoltageUnit>,
    header: Option<VoltageUnit>,
) -> Result<Option<VoltageUnit>> {
    match (said, header) {
        (Some(said), Some(header)) if said != header => {
            let expected = format!("the unit of the header, `{header}`, in `# unit:` too");
            Err(Error::input(path, expected, format!("`{said}`")))
        }
        _ => Ok(said.or(header)),
    }
}

impl<'t> Head<'t> {
    fn read(&mut self, line: usize, comment: &'t str) -> Result<(), Refusal> {
        let Some((name, value)) = comment.split_once([':', '=']) else {
            return Ok(());
        };
        let value = value.trim();
        match word(name).as_str() {
            "cells" | "ncells" | "numbercells" | "totalcells" | "memorycells" => {
                self.cells = Some(size(value, "cells")?);
            }
            "rows" | "nrows" | "numberrows" => self.rows = Some(size(value, "rows")?),
            "columns" | "ncolumns" | "numbercolumns" | "cols" | "ncols" => {
                self.columns = Some(size(value, "columns")?);
            }
            "unit" | "units" | "voltageunit" => {
                self.unit = Some(match value.to_lowercase().as_str() {
                    "vmin" => VoltageUnit::Vmin,
                    "volt" | "v" | "volts" => VoltageUnit::Volt,
                    _ => return Err(refused("vmin or volt", value)),
                });
            }
            "voltages" => self.voltages = Some((line, value)),
            "chips" | "nchips" | "numberchips" => self.chips = Some((line, value)),
            _ => {}
        }
        Ok(())
    }

    /// Voltages that are named without a row.
    fn voltages(&self, table: &ForeignTable<'_>, columns: &Columns) -> Result<BTreeSet<Key>> {
        let Some((line, list)) = self.voltages else {
            return Ok(BTreeSet::new());
        };
        let mut voltages = BTreeSet::new();
        for voltage in items(list) {
            let voltage = columns.voltage.read(table, voltage);
            let voltage =
                voltage.map_err(|_| table.wrong(line, None, "voltages above 0", &excerpt(list)))?;
            voltages.insert(key(voltage));
        }
        Ok(voltages)
    }

    /// The chips in the order of their names: those that the comment says, else those that have a row, else one.
    fn chips(
        &self,
        table: &ForeignTable<'_>,
        mut named: BTreeSet<ChipName>,
        has_column: bool,
        remarks: &mut Vec<String>,
    ) -> Result<Vec<ChipName>> {
        match self.chips {
            Some((line, value)) => {
                let wrong = |(expected, found): Refusal| table.wrong(line, None, &expected, &found);
                let said = chips_said(value, &named).map_err(wrong)?;
                if let Some(other) = named.difference(&said).next() {
                    let expected = format!("`# chips:` with every chip of the rows, so with {}", other.shown());
                    return Err(table.wrong(line, None, &expected, &excerpt(value)));
                }
                named = said;
            }
            None if has_column && !named.is_empty() => remarks.push(format!(
                "chips of the fault map are the {} that its rows name; a line `# chips: N` counts those without failing cells \
                 too",
                named.len()
            )),
            None => {}
        }
        if named.is_empty() {
            named.insert(ChipName::Number(0));
        }
        let names: Vec<ChipName> = named.into_iter().collect();
        let plain = (0..)
            .zip(&names)
            .all(|(i, name)| *name == ChipName::Number(i));
        if !plain {
            let shown: Vec<String> = names.iter().take(8).map(ChipName::shown).collect();
            let more = if names.len() > 8 { ", ..." } else { "" };
            remarks.push(format!(
                "chips are numbered from 0 in the order of their names in the fault map: {}{more}",
                shown.join(", ")
            ));
        }
        Ok(names)
    }
}

/// The chips of a comment: a number of chips, counted from 0 or, where the rows do so, from 1; or a list of names and
/// spans `1-20`.
fn chips_said(value: &str, named: &BTreeSet<ChipName>) -> Result<BTreeSet<ChipName>, Refusal> {
    let wrong = || {
        let expected = format!("a number of chips up to {MOST_CHIPS}, or a list of their names");
        refused(expected, value)
    };
    let is_list = value.contains([',', ';']);
    let items: Vec<&str> = items(value).collect();
    if let ([one], false) = (items.as_slice(), is_list) {
        if let Ok(count) = one.parse::<u64>() {
            if count == 0 || count > MOST_CHIPS as u64 {
                return Err(wrong());
            }
            let from = u64::from(named.contains(&ChipName::Number(count)));
            return Ok((from..from + count).map(ChipName::Number).collect());
        }
    }
    let mut said = BTreeSet::new();
    for item in items {
        let span = item
            .split_once('-')
            .and_then(|(a, b)| Some((a.trim().parse().ok()?, b.trim().parse().ok()?)));
        match span {
            Some((first, last)) if first <= last && last - first < MOST_CHIPS as u64 => {
                said.extend((first..=last).map(ChipName::Number));
            }
            Some(_) => return Err(wrong()),
            None => {
                said.insert(ChipName::of(item));
            }
        }
    }
    if said.is_empty() || said.len() > MOST_CHIPS {
        Err(wrong())
    } else {
        Ok(said)
    }
}

/// Items of a list in a comment, parted by semicolons or, where there are none, by commas or blanks.
fn items(list: &str) -> impl Iterator<Item = &str> {
    let list = list.trim_matches(['[', ']', '(', ')', '{', '}']);
    let only_semicolons = list.contains(';');
    let parts = move |c: char| c == ';' || (!only_semicolons && (c == ',' || c.is_whitespace()));
    list.split(parts)
        .map(str::trim)
        .filter(|item| !item.is_empty())
}

fn size(value: &str, of: &str) -> Result<u64, Refusal> {
    let plain = value.replace(['_', '\''], "");
    let size = plain
        .parse()
        .ok()
        .filter(|size| (1..=MOST_CELLS).contains(size));
    size.ok_or_else(|| refused(format!("1 to {MOST_CELLS} {of}"), value))
}

impl ChipName {
    fn of(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Self::Number(number),
            Err(_) => Self::Word(text.to_owned()),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Word(word) => excerpt(word),
        }
    }
}

/// The memory that the addresses are of.
struct Shape {
    cells: u64,
    /// Columns of rows, where the table has rows and columns.
    columns: Option<u64>,
    /// The columns are those of the memory model.
    assumed: bool,
}

impl Shape {
    /// `None` where nothing says the size.
    fn of(head: &Head<'_>, columns: &Columns, memory: &ArraySpec) -> Option<Self> {
        let product = || {
            head.rows?
                .checked_mul(head.columns?)
                .filter(|cells| *cells <= MOST_CELLS)
        };
        let cells = head.cells.or_else(product)?;
        let said = head.columns.or_else(|| Some(cells.div_ceil(head.rows?)));
        let by_rows = matches!(columns.cell, Cell::Grid { .. });
        Some(Self {
            cells,
            columns: by_rows.then(|| said.unwrap_or(u64::from(memory.columns))),
            assumed: by_rows && said.is_none(),
        })
    }
}

/// Where a row says its cell.
enum Cell {
    Address(usize),
    Grid { row: usize, column: usize },
}

/// Places of the columns.
struct Columns {
    count: usize,
    voltage_at: usize,
    voltage: VoltageColumn,
    cell: Cell,
    chip: Option<usize>,
    reads: Option<usize>,
    fails: Option<usize>,
    /// Names of the columns that are not read.
    unread: Vec<String>,
}

struct MapRow {
    voltage: Voltage,
    chip: ChipName,
    address: u64,
    /// `None` where the row says that the cell does not fail.
    polarity: Option<f64>,
}

impl Columns {
    /// # Errors
    /// What was found.
    fn of(table: &ForeignTable<'_>) -> Result<Self, String> {
        let names = table.columns();
        let words: Vec<String> = names.iter().map(|name| word(name)).collect();
        let whole = || excerpt(&names.join(","));
        let mut read = BTreeSet::new();
        let mut one = |known: Words| -> Result<Option<usize>, String> {
            let mut found = (0..names.len()).filter(|at| known.has(&words[*at]));
            let first = found.next();
            read.extend(first);
            match found.next() {
                None => Ok(first),
                Some(_) => Err(format!("two columns of one meaning in {}", whole())),
            }
        };
        let cell = match (one(ADDRESSES)?, one(ROWS)?, one(COLUMNS)?) {
            (Some(address), ..) => Cell::Address(address),
            (None, Some(row), Some(column)) => Cell::Grid { row, column },
            _ => return Err(whole()),
        };
        let (chip, reads, fails) = (one(CHIPS)?, one(READS)?, one(FLAGS)?);
        let mut voltages = (0..)
            .zip(names)
            .filter_map(|(at, name)| Some((at, VoltageColumn::of(name)?)));
        let (voltage_at, voltage) = voltages.next().ok_or_else(whole)?;
        if let Some((other, _)) = voltages.next() {
            let [a, b] = [voltage_at, other].map(|at| excerpt(&names[at]));
            return Err(format!("two columns of voltages, {a} and {b}"));
        }
        read.insert(voltage_at);
        let unread: Vec<usize> = (0..names.len()).filter(|at| !read.contains(at)).collect();
        let place = unread.iter().find(|at| PLACES.has(&words[**at]));
        if let Some(place) = place {
            let name = excerpt(&names[*place]);
            return Err(format!(
                "{name}, a part of the address: put it into the address"
            ));
        }
        Ok(Self {
            count: names.len(),
            voltage_at,
            voltage,
            cell,
            chip,
            reads,
            fails,
            unread: unread.into_iter().map(|at| excerpt(&names[at])).collect(),
        })
    }

    /// What a failing cell does: with the column `reads` the value there, by its polarity.
    fn kind(&self) -> Result<FaultKind> {
        Ok(match self.reads {
            Some(_) => FaultKind::Stuck {
                zero_to_one_share: Fraction::new(0.5)?,
            },
            None => FaultKind::Flip,
        })
    }

    fn remarks(&self, shape: &Shape) -> Vec<String> {
        let mut remarks = Vec::new();
        if !self.unread.is_empty() {
            let named = self.unread[..self.unread.len().min(10)].join(", ");
            remarks.push(format!(
                "columns of the fault map that are not read: {named}"
            ));
        }
        if let (true, Some(columns)) = (shape.assumed, shape.columns) {
            remarks.push(format!(
                "a row of the fault map is taken to have {columns} columns, as the memory's array has; `# columns: N` says it"
            ));
        }
        remarks
    }

    fn row(
        &self,
        table: &ForeignTable<'_>,
        row: &ForeignRow<'_>,
        shape: &Shape,
    ) -> Result<MapRow, Refusal> {
        if row.cells.len() < self.count {
            let expected = format!("{} fields", self.count);
            return Err(refused(expected, &row.cells.join(",")));
        }
        let text = |at: usize| row.cell(at).unwrap_or_default();
        let below = |at: usize, size: u64, expected: String| {
            let number = whole(table, text(at), size.saturating_sub(1));
            number.ok_or_else(|| refused(expected, text(at)))
        };
        let cells = shape.cells;
        let outside = |what: &str| format!("{what} below the {cells} cells of the map's memory");
        let address = match self.cell {
            Cell::Address(at) => below(at, cells, outside("an address"))?,
            Cell::Grid { row, column } => {
                let columns = shape.columns.unwrap_or(cells);
                let rows = cells.div_ceil(columns);
                let expected = format!("a row below the {rows} rows of the map's memory");
                let row = below(row, rows, expected)?;
                let expected = format!("a column below the {columns} columns of the map's memory");
                let column = below(column, columns, expected)?;
                let address = row * columns + column;
                if address >= cells {
                    return Err(refused(outside("a row and column"), &address.to_string()));
                }
                address
            }
        };
        let chip = match self.chip {
            None => ChipName::Number(0),
            Some(at) => self.chip_name(table, text(at))?,
        };
        let fails = match self.fails {
            None => true,
            Some(at) => {
                let expected = "0 for a cell that does not fail, else more";
                below(at, u64::MAX >> 11, expected.into())? > 0
            }
        };
        // the polarity of a cell that reads 1 lies below the fraction of those that do
        let polarity = match self.reads {
            None => 0.0,
            Some(at) => match below(at, 2, "0 or 1, what the cell reads".into())? {
                1 => 0.0,
                _ => 1.0,
            },
        };
        Ok(MapRow {
            voltage: self.voltage.read(table, text(self.voltage_at))?,
            chip,
            address,
            polarity: fails.then_some(polarity),
        })
    }

    fn chip_name(&self, table: &ForeignTable<'_>, text: &str) -> Result<ChipName, Refusal> {
        if let Some(number) = whole(table, text, u64::MAX >> 11) {
            return Ok(ChipName::Number(number));
        }
        if text.starts_with(char::is_alphabetic) {
            Ok(ChipName::Word(text.to_owned()))
        } else {
            Err(refused("the number or name of a chip", text))
        }
    }
}

/// A whole number from 0 to `most`, decimal or, after `0x`, hexadecimal.
fn whole(table: &ForeignTable<'_>, text: &str, most: u64) -> Option<u64> {
    let hexadecimal = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"));
    if let Some(digits) = hexadecimal {
        return u64::from_str_radix(digits, 16).ok().filter(|n| *n <= most);
    }
    let number = table.number(text, Size::Count).ok()?;
    number.whole(most).filter(|_| number.unit.is_empty())
}
