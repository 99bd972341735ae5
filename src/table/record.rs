//! Rows that say their columns once: the same list writes, reads, checks and documents a table.

use super::{MAX_ROWS, OLDEST, SCHEMA};
use crate::error::{refuse, Error, Result};
use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

/// Shares and accuracies.
pub const FRACTION: RangeInclusive<f64> = 0.0..=1.0;
/// Finite numbers from 0.
pub const FROM_ZERO: RangeInclusive<f64> = 0.0..=f64::MAX;
/// Every finite number.
pub const FINITE: RangeInclusive<f64> = f64::MIN..=f64::MAX;
/// Supply voltages.
pub const VOLTAGE: RangeInclusive<f64> = 0.0..=100.0;
/// Bit error rates.
pub const RATE: RangeInclusive<f64> = 0.0..=0.5;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// UTF-8 text, not empty.
    Text,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Unsigned integer.
    Count,
    /// Integer of either sign.
    Integer,
    /// Finite number in a range.
    Number(RangeInclusive<f64>),
}

impl Kind {
    /// For messages: what a value of this kind is.
    pub fn expected(&self) -> String {
        match self {
            Self::Text => "a text that is not empty".into(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Count => "a whole number from 0".into(),
            Self::Integer => "a whole number".into(),
            Self::Number(range) if *range == FINITE => "a finite number".into(),
            Self::Number(range) if *range == FROM_ZERO => "a finite number from 0".into(),
            Self::Number(range) if *range.start() == f64::MIN => {
                format!("a finite number up to {}", range.end())
            }
            Self::Number(range) => format!("a number from {} to {}", range.start(), range.end()),
        }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell<'a> {
    /// Not measured, or not applicable.
    Null,
    /// Of [`Kind::Text`] and [`Kind::Word`].
    Text(Cow<'a, str>),
    /// Of [`Kind::Count`].
    Count(u64),
    /// Of [`Kind::Integer`].
    Integer(i64),
    /// Of [`Kind::Number`].
    Number(f64),
}

impl Cell<'_> {
    fn into_owned(self) -> Cell<'static> {
        match self {
            Self::Null => Cell::Null,
            Self::Text(text) => Cell::Text(Cow::Owned(text.into_owned())),
            Self::Count(n) => Cell::Count(n),
            Self::Integer(n) => Cell::Integer(n),
            Self::Number(x) => Cell::Number(x),
        }
    }
}

/// For messages.
impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("nothing"),
            Self::Text(text) if text.is_empty() => f.write_str("an empty text"),
            Self::Text(text) => write!(f, "`{text}`"),
            Self::Count(n) => n.fmt(f),
            Self::Integer(n) => n.fmt(f),
            Self::Number(x) => x.fmt(f),
        }
    }
}

/// A column of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// True where a null is allowed.
    pub optional: bool,
    /// The first version of the columns that has it.
    pub since: u64,
    /// True where a table has it only for a row that has a value.
    pub rare: bool,
}

impl Column {
    /// True where every table that is read has it.
    pub(super) fn is_always_there(&self) -> bool {
        self.since <= OLDEST && !self.rare
    }

    /// True for a cell that the column may hold.
    pub(super) fn allows(&self, cell: &Cell<'_>) -> bool {
        match (&self.kind, cell) {
            (_, Cell::Null) => self.optional,
            (Kind::Text, Cell::Text(text)) => !text.is_empty(),
            (Kind::Word(words), Cell::Text(text)) => words.contains(&text.as_ref()),
            (Kind::Count, Cell::Count(_)) | (Kind::Integer, Cell::Integer(_)) => true,
            (Kind::Number(range), Cell::Number(x)) => range.contains(x),
            _ => false,
        }
    }
}

/// A type whose values stand in cells.
pub trait Value: Sized {
    /// True where a null is one of them.
    const OPTIONAL: bool = false;

    /// What the cells hold.
    fn kind() -> Kind;

    /// The cell of a value.
    fn cell(&self) -> Cell<'_>;

    /// The value of a cell of this kind.
    ///
    /// # Errors
    /// What is expected, where the cell holds none.
    fn of(cell: Cell<'_>) -> Result<Self, String>;
}

/// Numbers whose range the column says: `f64` and `Option<f64>`.
pub trait Number: Value {}

/// A row of a table.
pub trait Record: Clone + Default {
    /// For messages: what a file of these rows is.
    const WHAT: &'static str;
    /// Columns whose values no two rows have in common; none for tables with repeated rows.
    const KEY: &'static str = "";

    /// Hands over every column, in the order of the table: its name, and the field of its values.
    ///
    /// # Errors
    /// As [`Columns::column`], and where values of one row contradict each other.
    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()>;

    /// Refuses a row that was read, or is about to be written, whose values contradict each other.
    ///
    /// # Errors
    /// By [`Columns::wrong`].
    fn check<C: Columns>(&self, _: &C) -> Result<()> {
        Ok(())
    }

    /// The values of [`KEY`](Self::KEY).
    fn key(&self) -> String {
        String::new()
    }
}

/// What is done with the columns of a row: they are written, read or listed.
pub trait Columns {
    /// Takes the cell of a row that is written, or gives that of a row that is read. Fields go through
    /// [`column`](Self::column) and its kin.
    ///
    /// # Errors
    /// Where the cell is not what the column holds; the column is named.
    fn exchange(&mut self, column: Column, cell: Cell<'_>) -> Result<Option<Cell<'_>>>;

    /// An error in a column of this row; one that is read also says where it stands.
    fn wrong(&self, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::argument(format!("column `{name}`"), expected, found)
    }

    /// What a checked type says of a value of this row, in the column of that value.
    ///
    /// # Errors
    /// By [`wrong`](Self::wrong), where the type refuses it.
    fn fits<T>(&self, name: &str, checked: Result<T>) -> Result<()> {
        match checked {
            Ok(_) => Ok(()),
            Err(Error::Argument {
                expected, found, ..
            }) => Err(self.wrong(name, expected, found)),
            Err(other) => Err(other),
        }
    }

    /// A column of every value of a type.
    ///
    /// # Errors
    /// Where the value, or the cell, is not what the column holds; the column is named.
    fn column<V: Value>(&mut self, name: &'static str, value: &mut V) -> Result<()> {
        field(self, usual::<V>(name, V::kind(), OLDEST), value)
    }

    /// The same, which tables have since this version of the columns. Of an older table a field whose type has no null
    /// keeps what it holds.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn since<V: Value>(&mut self, version: u64, name: &'static str, value: &mut V) -> Result<()> {
        field(self, usual::<V>(name, V::kind(), version), value)
    }

    /// A column that a table has only where one of its rows has a value.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn rare<V: Value>(&mut self, name: &'static str, value: &mut Option<V>) -> Result<()>
    where
        Option<V>: Value,
    {
        field(self, rare(name, V::kind()), value)
    }

    /// The same of numbers in a range.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn rare_number(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
        value: &mut Option<f64>,
    ) -> Result<()> {
        field(self, rare(name, Kind::Number(range)), value)
    }

    /// A column of numbers in a range.
    ///
    /// # Errors
    /// As [`column`](Self::column).
    fn number<V: Number>(
        &mut self,
        name: &'static str,
        range: RangeInclusive<f64>,
        value: &mut V,
    ) -> Result<()> {
        field(self, usual::<V>(name, Kind::Number(range), OLDEST), value)
    }
}

fn usual<V: Value>(name: &'static str, kind: Kind, since: u64) -> Column {
    Column {
        name,
        kind,
        optional: V::OPTIONAL,
        since,
        rare: false,
    }
}

fn rare(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        optional: true,
        since: OLDEST,
        rare: true,
    }
}

fn field<V: Value>(
    columns: &mut (impl Columns + ?Sized),
    column: Column,
    value: &mut V,
) -> Result<()> {
    let (name, is_new) = (column.name, column.since > OLDEST);
    let read = match columns.exchange(column, value.cell())? {
        None => return Ok(()),
        Some(Cell::Null) if is_new && !V::OPTIONAL => return Ok(()),
        Some(cell) => V::of(cell.clone()).map_err(|expected| (expected, cell.to_string())),
    };
    *value = read.map_err(|(expected, found)| columns.wrong(name, expected, found))?;
    Ok(())
}

/// Columns of a part that a row may lack: all of them are null then.
pub struct Part<'a, C> {
    /// Where the columns go.
    pub columns: &'a mut C,
    /// True where the row that is written has the part.
    pub present: bool,
}

impl<C: Columns> Columns for Part<'_, C> {
    fn exchange(&mut self, mut column: Column, cell: Cell<'_>) -> Result<Option<Cell<'_>>> {
        column.optional = true;
        let cell = if self.present { cell } else { Cell::Null };
        let read = self.columns.exchange(column, cell)?;
        // a part that is missing keeps what its fields hold
        Ok(read.filter(|cell| *cell != Cell::Null))
    }

    fn wrong(&self, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        self.columns.wrong(name, expected, found)
    }
}

/// The columns of a table, without a row.
struct List(Vec<Column>);

impl Columns for List {
    fn exchange(&mut self, column: Column, _: Cell<'_>) -> Result<Option<Cell<'_>>> {
        self.0.push(column);
        Ok(None)
    }
}

/// The columns of a table in order; `schema`, the first of every table, is not among them.
///
/// # Errors
/// Those of [`Record::columns`] for the row of default values.
pub fn columns_of<R: Record>() -> Result<Vec<Column>> {
    let mut list = List(Vec::new());
    R::default().columns(&mut list)?;
    Ok(list.0)
}

/// The cells of a row that is written.
struct Cells(Vec<Cell<'static>>);

impl Columns for Cells {
    fn exchange(&mut self, column: Column, cell: Cell<'_>) -> Result<Option<Cell<'_>>> {
        if !column.allows(&cell) {
            return Err(self.wrong(column.name, column.kind.expected(), cell.to_string()));
        }
        self.0.push(cell.into_owned());
        Ok(None)
    }
}

/// The cells of a row: the schema version, then those of its columns in their order.
///
/// # Errors
/// [`Error::Argument`] that names the column of a value that no reader would take.
pub(super) fn cells<R: Record>(row: &R) -> Result<Vec<Cell<'static>>> {
    let mut cells = Cells(vec![Cell::Count(SCHEMA)]);
    row.clone().columns(&mut cells)?;
    row.check(&cells)?;
    Ok(cells.0)
}

/// Refuses tables that no reader would take.
///
/// # Errors
/// [`Error::Argument`] above [`MAX_ROWS`].
pub(super) fn check_rows(rows: usize) -> Result<()> {
    if rows <= MAX_ROWS {
        return Ok(());
    }
    refuse("rows of a table", format!("at most {MAX_ROWS}"), rows)
}
