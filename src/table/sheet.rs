//! A table as it was read: every cell checked against the columns it should have, rows taken one by one.

use super::csv;
use super::parquet::{Parquet, ABSENT};
use super::record::{cells, columns_of, Cell, Column, Columns, Kind, Record};
use super::{OLDEST, SCHEMA};
use crate::error::{Error, Result};
use polars::prelude::{NamedFrom, Series};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A column in memory, to be read or written. Its cells are checked.
pub(super) enum Data {
    Text(Vec<Option<Arc<str>>>),
    Count(Vec<Option<u64>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
}

impl Data {
    /// A column of nulls.
    pub(super) fn nulls(kind: &Kind, rows: usize) -> Self {
        match kind {
            Kind::Text | Kind::Word(_) => Self::Text(vec![None; rows]),
            Kind::Count => Self::Count(vec![None; rows]),
            Kind::Integer => Self::Integer(vec![None; rows]),
            Kind::Number(_) => Self::Number(vec![None; rows]),
        }
    }

    /// Appends a cell; one of another kind counts as a null.
    pub(super) fn push(&mut self, cell: Cell<'_>) {
        match self {
            Self::Text(cells) => cells.push(match cell {
                Cell::Text(text) => Some(text.into()),
                _ => None,
            }),
            Self::Count(cells) => cells.push(match cell {
                Cell::Count(count) => Some(count),
                _ => None,
            }),
            Self::Integer(cells) => cells.push(match cell {
                Cell::Integer(integer) => Some(integer),
                _ => None,
            }),
            Self::Number(cells) => cells.push(match cell {
                Cell::Number(number) => Some(number),
                _ => None,
            }),
        }
    }

    /// The column of a data frame.
    pub(super) fn into_series(self, name: &str) -> Series {
        let name = name.into();
        match self {
            Self::Text(cells) => {
                let texts: Vec<Option<&str>> = cells.iter().map(Option::as_deref).collect();
                Series::new(name, texts)
            }
            Self::Count(cells) => Series::new(name, cells),
            Self::Integer(cells) => Series::new(name, cells),
            Self::Number(cells) => Series::new(name, cells),
        }
    }

    fn cell(&self, row: usize) -> Cell<'_> {
        let cell = match self {
            Self::Text(cells) => cells[row].as_deref().map(|text| Cell::Text(text.into())),
            Self::Count(cells) => cells[row].map(Cell::Count),
            Self::Integer(cells) => cells[row].map(Cell::Integer),
            Self::Number(cells) => cells[row].map(Cell::Number),
        };
        cell.unwrap_or(Cell::Null)
    }
}

/// A checked table.
pub(super) struct Sheet {
    path: PathBuf,
    rows: usize,
    columns: BTreeMap<&'static str, Data>,
    /// Lines of the rows in a text file.
    lines: Option<Vec<usize>>,
}

/// The column of the schema version, the first of every table.
const SCHEMA_COLUMN: Column = Column {
    name: "schema",
    kind: Kind::Count,
    optional: false,
    since: OLDEST,
    rare: false,
};

/// The columns of a table, the schema version first.
///
/// # Errors
/// As [`columns_of`].
pub(super) fn wanted<R: Record>() -> Result<Vec<Column>> {
    let mut columns = vec![SCHEMA_COLUMN];
    columns.extend(columns_of::<R>()?);
    Ok(columns)
}

/// The columns of a table of these rows with their places among all of them: without the rare ones that no row fills.
///
/// # Errors
/// As [`columns_of`] and [`cells`].
pub(super) fn filled<R: Record>(rows: &[R]) -> Result<Vec<(usize, Column)>> {
    let mut columns = Vec::new();
    for (place, column) in wanted::<R>()?.into_iter().enumerate() {
        let mut rows = if column.rare { rows } else { &[] }.iter();
        let mut fills = !column.rare;
        while let (false, Some(row)) = (fills, rows.next()) {
            fills = cells(row)?[place] != Cell::Null;
        }
        if fills {
            columns.push((place, column));
        }
    }
    Ok(columns)
}

/// What is expected and found of a table of another version of the columns; `None` for those that are read.
fn other_version(version: u64) -> Option<(String, String)> {
    let expected = format!("version {OLDEST} to {SCHEMA}");
    if version < OLDEST {
        let again = "the same `sweep` with `--fresh` computes and writes it anew";
        Some((format!("{expected} ({again})"), version.to_string()))
    } else if version > SCHEMA {
        Some((expected, format!("{version} (of a newer program)")))
    } else {
        None
    }
}

/// Refuses a table whose first row has another version of the columns: it may have other names.
///
/// # Errors
/// [`Error::Input`] in the column `schema`.
pub(crate) fn check_version(path: &Path, version: Option<u64>) -> Result<()> {
    match version.and_then(other_version) {
        None => Ok(()),
        Some((expected, found)) => {
            let key = Some(SCHEMA_COLUMN.name);
            Err(Error::input_at(path, None, key, expected, found))
        }
    }
}

/// Checks the names of the columns; their order does not matter.
///
/// # Errors
/// [`Error::Input`] that names the first missing, extra or repeated column.
pub(super) fn check_names(path: &Path, wanted: &[Column], found: &[&str]) -> Result<()> {
    let wrong = |key: &str, expected: &str, found: &str| {
        Error::input_at(path, None, Some(key), expected, found)
    };
    for column in wanted {
        if column.is_always_there() && !found.contains(&column.name) {
            return Err(wrong(column.name, "a column of this name", "none"));
        }
    }
    for (i, name) in found.iter().enumerate() {
        if !wanted.iter().any(|column| column.name == *name) {
            let expected = "only the columns of this table";
            return Err(wrong(name, expected, "a column of this name"));
        }
        if found[..i].contains(name) {
            return Err(wrong(name, "one column of this name", "two"));
        }
    }
    Ok(())
}

impl Sheet {
    /// Reads and checks the cells of a Parquet file whose names are checked.
    ///
    /// # Errors
    /// [`Error::Input`] with the column: a wrong type, damage, a null, a number outside its range, another schema
    /// version.
    pub(super) fn from_parquet(
        path: &Path,
        wanted: &[Column],
        parquet: &mut Parquet<'_>,
    ) -> Result<Self> {
        let mut sheet = Self {
            path: path.to_owned(),
            rows: parquet.rows(),
            columns: BTreeMap::new(),
            lines: None,
        };
        for column in wanted {
            let name = column.name;
            let found = parquet.holds(name);
            if found == ABSENT && !column.is_always_there() {
                let nulls = Data::nulls(&column.kind, sheet.rows);
                sheet.columns.insert(name, nulls);
                continue;
            }
            let (holds, words) = match column.kind {
                Kind::Text | Kind::Word(_) => ("str", "text"),
                Kind::Count => ("u64", "unsigned 64-bit integers"),
                Kind::Integer => ("i64", "signed 64-bit integers"),
                Kind::Number(_) => ("f64", "64-bit floats"),
            };
            if found != holds {
                let (expected, found) = (format!("a column of {words}"), format!("one of {found}"));
                return Err(sheet.of_file(name, expected, found));
            }
            let data = match column.kind {
                Kind::Text | Kind::Word(_) => parquet.texts(name).map(Data::Text),
                Kind::Count => parquet.counts(name).map(Data::Count),
                Kind::Integer => parquet.integers(name).map(Data::Integer),
                Kind::Number(_) => parquet.numbers(name).map(Data::Number),
            };
            let data = data.map_err(|found| sheet.of_file(name, "a Parquet table", found))?;
            sheet.insert(column, data)?;
        }
        sheet.check_schema(wanted, |name| parquet.holds(name) != ABSENT)?;
        Ok(sheet)
    }

    /// Parses and checks the cells of CSV records whose header is checked.
    ///
    /// # Errors
    /// As [`Sheet::from_parquet`], with the line.
    pub(super) fn from_records(
        path: &Path,
        wanted: &[Column],
        header: &[String],
        mut records: Vec<csv::Record>,
    ) -> Result<Self> {
        let lines = records.iter().map(|record| record.line).collect();
        let mut sheet = Self {
            path: path.to_owned(),
            rows: records.len(),
            columns: BTreeMap::new(),
            lines: Some(lines),
        };
        for column in wanted {
            let (name, kind) = (column.name, &column.kind);
            let Some(place) = header.iter().position(|found| found == name) else {
                sheet.columns.insert(name, Data::nulls(kind, sheet.rows));
                continue;
            };
            let cells = records.iter_mut().map(|record| record.cells[place].take());
            let cells: Vec<Option<String>> = cells.collect();
            let data = match kind {
                Kind::Text | Kind::Word(_) => {
                    Data::Text(cells.into_iter().map(|cell| cell.map(Arc::from)).collect())
                }
                Kind::Count => Data::Count(sheet.parse(name, kind, &cells)?),
                Kind::Integer => Data::Integer(sheet.parse(name, kind, &cells)?),
                Kind::Number(_) => Data::Number(sheet.parse(name, kind, &cells)?),
            };
            sheet.insert(column, data)?;
        }
        sheet.check_schema(wanted, |name| header.iter().any(|found| found == name))?;
        Ok(sheet)
    }

    fn parse<V: std::str::FromStr>(
        &self,
        name: &str,
        kind: &Kind,
        cells: &[Option<String>],
    ) -> Result<Vec<Option<V>>> {
        let mut values = Vec::with_capacity(cells.len());
        for (row, cell) in cells.iter().enumerate() {
            let value = cell.as_deref().map(str::parse).transpose();
            values.push(value.map_err(|_| {
                let found = Cell::Text(cell.as_deref().unwrap_or_default().into());
                self.wrong(row, name, kind.expected(), found.to_string())
            })?);
        }
        Ok(values)
    }

    /// Takes a column whose cells are what it may hold.
    fn insert(&mut self, column: &Column, data: Data) -> Result<()> {
        for row in 0..self.rows {
            let cell = data.cell(row);
            if !column.allows(&cell) {
                let expected = column.kind.expected();
                return Err(self.wrong(row, column.name, expected, cell.to_string()));
            }
        }
        self.columns.insert(column.name, data);
        Ok(())
    }

    /// Checks that all rows are of one version that is read, and that the table `has` the columns of that one.
    fn check_schema(&self, wanted: &[Column], has: impl Fn(&str) -> bool) -> Result<()> {
        let Some(Data::Count(versions)) = self.columns.get(SCHEMA_COLUMN.name) else {
            return Ok(());
        };
        let Some(of_table) = versions.first().copied().flatten() else {
            return Ok(());
        };
        for (row, version) in versions.iter().enumerate() {
            let version = version.unwrap_or(of_table);
            if let Some((expected, found)) = other_version(version) {
                return Err(self.wrong(row, SCHEMA_COLUMN.name, expected, found));
            }
            if version != of_table {
                let expected = format!("version {of_table}, as in the first row");
                return Err(self.wrong(row, SCHEMA_COLUMN.name, expected, version.to_string()));
            }
        }
        for column in wanted.iter().filter(|column| !column.rare) {
            if has(column.name) != (column.since <= of_table) {
                let expected = format!("a column of tables of version {} on", column.since);
                let found = if has(column.name) { "it" } else { "none" };
                let found = format!("{found} in one of version {of_table}");
                return Err(self.wrong(0, column.name, expected, found));
            }
        }
        Ok(())
    }

    /// An error in a column as a whole.
    fn of_file(&self, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::input_at(&self.path, None, Some(name), expected, found)
    }

    fn wrong(
        &self,
        row: usize,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        let line = self.lines.as_ref().and_then(|lines| lines.get(row));
        let mut found = found.into();
        if line.is_none() {
            found += &format!(" in row {}", row + 1);
        }
        Error::input_at(&self.path, line.copied(), Some(name), expected, found)
    }

    /// The rows in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows).map(|index| Row { sheet: self, index })
    }
}

/// One row of a checked table.
pub struct Row<'a> {
    sheet: &'a Sheet,
    index: usize,
}

impl Row<'_> {
    /// The record of the row.
    ///
    /// # Errors
    /// [`Error::Input`] with line and column, where a value does not fit.
    pub(super) fn record<R: Record>(&mut self) -> Result<R> {
        let mut record = R::default();
        record.columns(self)?;
        record.check(self)?;
        Ok(record)
    }
}

impl Columns for Row<'_> {
    fn exchange(&mut self, column: Column, _: Cell<'_>) -> Result<Option<Cell<'_>>> {
        let data = self.sheet.columns.get(column.name);
        Ok(data.map(|data| data.cell(self.index)))
    }

    fn wrong(&self, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        self.sheet.wrong(self.index, name, expected, found)
    }
}
