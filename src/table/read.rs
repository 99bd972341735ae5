//! A table as it was read: every cell checked against the columns it should have, rows taken by name.

use super::csv::Record;
use super::field::{Field, Kind};
use super::parquet::{Parquet, ABSENT};
use super::{OLDEST, SCHEMA};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A column in memory. Its cells are checked.
enum Data {
    Text(Vec<Option<Arc<str>>>),
    Count(Vec<Option<u64>>),
    Integer(Vec<Option<i64>>),
    Number(Vec<Option<f64>>),
}

/// A checked table.
pub(super) struct Sheet {
    path: PathBuf,
    rows: usize,
    columns: BTreeMap<&'static str, Data>,
    /// Lines of the rows in a text file.
    lines: Option<Vec<usize>>,
}

/// What a table should have in one column.
struct Wanted {
    name: &'static str,
    kind: Kind,
    optional: bool,
    /// The first version of the columns that has it.
    since: u64,
}

impl Wanted {
    /// True where every table that is read has it.
    fn is_always_there(&self) -> bool {
        self.since <= OLDEST
    }
}

/// The columns of a table, the schema version first.
fn wanted<T>(fields: &[Field<T>]) -> Vec<Wanted> {
    let schema = Wanted {
        name: "schema",
        kind: Kind::Count,
        optional: false,
        since: OLDEST,
    };
    let of_field = |field: &Field<T>| Wanted {
        name: field.name,
        kind: field.kind.clone(),
        optional: field.optional,
        since: field.since,
    };
    std::iter::once(schema)
        .chain(fields.iter().map(of_field))
        .collect()
}

/// A column of nulls.
fn nulls(kind: &Kind, rows: usize) -> Data {
    match kind {
        Kind::Text => Data::Text(vec![None; rows]),
        Kind::Count => Data::Count(vec![None; rows]),
        Kind::Integer => Data::Integer(vec![None; rows]),
        Kind::Number(_) => Data::Number(vec![None; rows]),
    }
}

/// What is expected and found of a table of another version of the columns; `None` for those that are read.
fn other_version(version: u64) -> Option<(String, String)> {
    let expected = format!("version {OLDEST} or {SCHEMA}");
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
pub(super) fn check_version(path: &Path, version: Option<u64>) -> Result<()> {
    match version.and_then(other_version) {
        None => Ok(()),
        Some((expected, found)) => {
            let key = Some("schema".to_owned());
            Err(Error::Input {
                path: path.to_owned(),
                line: None,
                key,
                expected,
                found,
            })
        }
    }
}

/// Checks the names of the columns; their order does not matter.
///
/// # Errors
/// [`Error::Input`] that names the first missing, extra or repeated column.
pub(super) fn check_names<T>(path: &Path, fields: &[Field<T>], found: &[&str]) -> Result<()> {
    let wrong = |key: &str, expected: &str, found: &str| Error::Input {
        path: path.to_owned(),
        line: None,
        key: Some(key.to_owned()),
        expected: expected.to_owned(),
        found: found.to_owned(),
    };
    let wanted = wanted(fields);
    let missing = |column: &&Wanted| column.is_always_there() && !found.contains(&column.name);
    if let Some(column) = wanted.iter().find(missing) {
        return Err(wrong(column.name, "a column of this name", "none"));
    }
    if let Some(extra) = found
        .iter()
        .find(|name| !wanted.iter().any(|column| column.name == **name))
    {
        return Err(wrong(
            extra,
            "only the columns of this table",
            "a column of this name",
        ));
    }
    match found
        .iter()
        .enumerate()
        .find(|(i, name)| found[..*i].contains(name))
    {
        Some((_, twice)) => Err(wrong(twice, "one column of this name", "two")),
        None => Ok(()),
    }
}

impl Sheet {
    /// Reads and checks the cells of a Parquet file whose names are checked.
    ///
    /// # Errors
    /// [`Error::Input`] with the column: a wrong type, damage, a null, a number outside its range, another schema
    /// version.
    pub(super) fn from_parquet<T>(
        path: &Path,
        fields: &[Field<T>],
        parquet: &mut Parquet<'_>,
    ) -> Result<Self> {
        let mut sheet = Self {
            path: path.to_owned(),
            rows: parquet.rows(),
            columns: BTreeMap::new(),
            lines: None,
        };
        let wanted = wanted(fields);
        for column in &wanted {
            let (name, kind) = (column.name, &column.kind);
            let found = parquet.holds(name);
            if found == ABSENT && !column.is_always_there() {
                sheet.columns.insert(name, nulls(kind, sheet.rows));
                continue;
            }
            let (holds, words) = match kind {
                Kind::Text => ("str", "text"),
                Kind::Count => ("u64", "unsigned 64-bit integers"),
                Kind::Integer => ("i64", "signed 64-bit integers"),
                Kind::Number(_) => ("f64", "64-bit floats"),
            };
            if found != holds {
                return Err(sheet.of_file(
                    name,
                    format!("a column of {words}"),
                    format!("one of {found}"),
                ));
            }
            let data = match kind {
                Kind::Text => parquet.texts(name).map(Data::Text),
                Kind::Count => parquet.counts(name).map(Data::Count),
                Kind::Integer => parquet.integers(name).map(Data::Integer),
                Kind::Number(_) => parquet.numbers(name).map(Data::Number),
            };
            let data = data.map_err(|found| sheet.of_file(name, "a Parquet table", found))?;
            sheet.check(name, kind, column.optional, &data)?;
            sheet.columns.insert(name, data);
        }
        sheet.check_schema(&wanted, |name| parquet.holds(name) != ABSENT)?;
        Ok(sheet)
    }

    /// Parses and checks the cells of CSV records whose header is checked.
    ///
    /// # Errors
    /// As [`Sheet::from_parquet`], with the line.
    pub(super) fn from_records<T>(
        path: &Path,
        fields: &[Field<T>],
        header: &[String],
        mut records: Vec<Record>,
    ) -> Result<Self> {
        let lines = records.iter().map(|record| record.line).collect();
        let mut sheet = Self {
            path: path.to_owned(),
            rows: records.len(),
            columns: BTreeMap::new(),
            lines: Some(lines),
        };
        let wanted = wanted(fields);
        for column in &wanted {
            let (name, kind) = (column.name, &column.kind);
            let Some(place) = header.iter().position(|found| found == name) else {
                if column.is_always_there() {
                    return Err(sheet.wrong(0, name, "a column of this name", "none"));
                }
                sheet.columns.insert(name, nulls(kind, sheet.rows));
                continue;
            };
            let cells = records.iter_mut().map(|record| record.cells[place].take());
            let cells: Vec<Option<String>> = cells.collect();
            let data = match kind {
                Kind::Text => {
                    Data::Text(cells.into_iter().map(|cell| cell.map(Arc::from)).collect())
                }
                Kind::Count => Data::Count(sheet.parse(name, kind, &cells)?),
                Kind::Integer => Data::Integer(sheet.parse(name, kind, &cells)?),
                Kind::Number(_) => Data::Number(sheet.parse(name, kind, &cells)?),
            };
            sheet.check(name, kind, column.optional, &data)?;
            sheet.columns.insert(name, data);
        }
        sheet.check_schema(&wanted, |name| header.iter().any(|found| found == name))?;
        Ok(sheet)
    }

    fn parse<V: std::str::FromStr>(
        &self,
        name: &str,
        kind: &Kind,
        cells: &[Option<String>],
    ) -> Result<Vec<Option<V>>> {
        let parse = |(row, cell): (usize, &Option<String>)| match cell {
            None => Ok(None),
            Some(text) => match text.parse() {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(self.wrong(row, name, kind.expected(), format!("`{text}`"))),
            },
        };
        cells.iter().enumerate().map(parse).collect()
    }

    /// Checks nulls and ranges of one column.
    fn check(&self, name: &str, kind: &Kind, optional: bool, data: &Data) -> Result<()> {
        let null = match data {
            Data::Text(cells) => cells.iter().position(Option::is_none),
            Data::Count(cells) => cells.iter().position(Option::is_none),
            Data::Integer(cells) => cells.iter().position(Option::is_none),
            Data::Number(cells) => cells.iter().position(Option::is_none),
        };
        if let Some(row) = null.filter(|_| !optional) {
            return Err(self.wrong(row, name, kind.expected(), "nothing"));
        }
        let bad = match (data, kind) {
            (Data::Number(cells), Kind::Number(range)) => {
                cells.iter().enumerate().find_map(|(row, cell)| {
                    cell.filter(|x| !range.contains(x))
                        .map(|x| (row, x.to_string()))
                })
            }
            (Data::Text(cells), _) => cells
                .iter()
                .position(|cell| cell.as_ref().is_some_and(|text| text.is_empty()))
                .map(|row| (row, "an empty text".to_owned())),
            _ => None,
        };
        match bad {
            Some((row, found)) => Err(self.wrong(row, name, kind.expected(), found)),
            None => Ok(()),
        }
    }

    /// Checks that all rows are of one version that is read, and that the table `has` the columns of that one.
    fn check_schema(&self, wanted: &[Wanted], has: impl Fn(&str) -> bool) -> Result<()> {
        let Some(first) = self.rows().next() else {
            return Ok(());
        };
        let of_table = first.count("schema")?;
        for row in self.rows() {
            let version = row.count("schema")?;
            if let Some((expected, found)) = other_version(version) {
                return Err(row.wrong("schema", expected, found));
            }
            if version != of_table {
                let expected = format!("version {of_table}, as in the first row");
                return Err(row.wrong("schema", expected, version.to_string()));
            }
        }
        let other = |column: &&Wanted| has(column.name) != (column.since <= of_table);
        let Some(column) = wanted.iter().find(other) else {
            return Ok(());
        };
        let expected = format!("a column of tables of version {} on", column.since);
        let found = if has(column.name) { "it" } else { "none" };
        let found = format!("{found} in one of version {of_table}");
        Err(first.wrong(column.name, expected, found))
    }

    /// An error in a column as a whole.
    fn of_file(&self, name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
        Error::Input {
            path: self.path.clone(),
            line: None,
            key: Some(name.to_owned()),
            expected: expected.into(),
            found: found.into(),
        }
    }

    fn wrong(
        &self,
        row: usize,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        let line = self
            .lines
            .as_ref()
            .and_then(|lines| lines.get(row))
            .copied();
        let found = found.into();
        Error::Input {
            path: self.path.clone(),
            line,
            key: Some(name.to_owned()),
            expected: expected.into(),
            found: if line.is_some() {
                found
            } else {
                format!("{found} in row {}", row + 1)
            },
        }
    }

    /// The rows in order.
    pub(super) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        (0..self.rows).map(|index| Row { sheet: self, index })
    }
}

/// One row of a checked table.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    sheet: &'a Sheet,
    index: usize,
}

impl<'a> Row<'a> {
    /// An error in a column of this row.
    pub(super) fn wrong(
        &self,
        name: &str,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Error {
        self.sheet.wrong(self.index, name, expected, found)
    }

    fn some<V>(&self, name: &str, value: Option<V>) -> Result<V> {
        value.ok_or_else(|| self.wrong(name, "a value", "nothing"))
    }

    /// Text, where there is one.
    pub(super) fn optional_text(&self, name: &str) -> Option<&'a str> {
        match self.sheet.columns.get(name) {
            Some(Data::Text(cells)) => cells[self.index].as_deref(),
            _ => None,
        }
    }

    /// Text.
    pub(super) fn text(&self, name: &str) -> Result<&'a str> {
        self.some(name, self.optional_text(name))
    }

    /// A count, where there is one.
    pub(super) fn optional_count(&self, name: &str) -> Option<u64> {
        match self.sheet.columns.get(name) {
            Some(Data::Count(cells)) => cells[self.index],
            _ => None,
        }
    }

    /// A count.
    pub(super) fn count(&self, name: &str) -> Result<u64> {
        self.some(name, self.optional_count(name))
    }

    /// An integer of at most 16 bits.
    pub(super) fn small_integer(&self, name: &str) -> Result<i16> {
        let integer = match self.sheet.columns.get(name) {
            Some(Data::Integer(cells)) => cells[self.index],
            _ => None,
        };
        let integer = self.some(name, integer)?;
        i16::try_from(integer).map_err(|_| {
            self.wrong(
                name,
                format!("{} to {}", i16::MIN, i16::MAX),
                integer.to_string(),
            )
        })
    }

    /// A count of at most `u32::MAX`.
    pub(super) fn small_count(&self, name: &str) -> Result<u32> {
        let count = self.count(name)?;
        u32::try_from(count)
            .map_err(|_| self.wrong(name, format!("at most {}", u32::MAX), count.to_string()))
    }

    /// A number, where there is one.
    pub(super) fn optional_number(&self, name: &str) -> Option<f64> {
        match self.sheet.columns.get(name) {
            Some(Data::Number(cells)) => cells[self.index],
            _ => None,
        }
    }

    /// A number.
    pub(super) fn number(&self, name: &str) -> Result<f64> {
        self.some(name, self.optional_number(name))
    }

    /// The one of some values whose name stands in a column.
    pub(super) fn word<V: Copy>(
        &self,
        name: &str,
        all: &[V],
        word: fn(V) -> &'static str,
    ) -> Result<V> {
        let text = self.text(name)?;
        all.iter()
            .copied()
            .find(|&value| word(value) == text)
            .ok_or_else(|| {
                let known: Vec<_> = all.iter().map(|&value| word(value)).collect();
                self.wrong(
                    name,
                    format!("one of {}", known.join(", ")),
                    format!("`{text}`"),
                )
            })
    }
}
