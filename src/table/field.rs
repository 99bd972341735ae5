//! Columns as values: name, kind, range and how to take the cell from a row. Which columns a table has
//! is said elsewhere.

use super::{MAX_ROWS, OLDEST, SCHEMA};
use crate::error::{Error, Result};
use polars::frame::DataFrame;
use polars::prelude::{Column, NamedFrom, Series};
use std::borrow::{Borrow, Cow};
use std::ops::RangeInclusive;

/// Shares and accuracies.
pub(super) const SHARE: RangeInclusive<f64> = 0.0..=1.0;
/// Finite numbers from 0.
pub(super) const FROM_ZERO: RangeInclusive<f64> = 0.0..=f64::MAX;
/// Every finite number.
pub(super) const FINITE: RangeInclusive<f64> = f64::MIN..=f64::MAX;

/// What a column holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    /// UTF-8 text, not empty.
    Text,
    /// Unsigned integer.
    Count,
    /// Integer of either sign.
    Integer,
    /// Finite number in a range.
    Number(RangeInclusive<f64>),
}

impl Kind {
    /// For messages: what a value of this kind is.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Text => "a text that is not empty".into(),
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
pub(super) enum Cell<'a> {
    /// Not measured, or not applicable.
    Null,
    /// See [`Kind::Text`].
    Text(Cow<'a, str>),
    /// See [`Kind::Count`].
    Count(u64),
    /// See [`Kind::Integer`].
    Integer(i64),
    /// See [`Kind::Number`].
    Number(f64),
}

type Getter<T> = Box<dyn for<'a> Fn(&'a T) -> Cell<'a>>;

/// One column of a table of rows `T`.
pub(super) struct Field<T> {
    /// Name of the column.
    pub(super) name: &'static str,
    /// True where a null is allowed.
    pub(super) optional: bool,
    /// What it holds.
    pub(super) kind: Kind,
    /// The first version of the columns that has it.
    pub(super) since: u64,
    get: Getter<T>,
}

/// A column of text.
pub(super) fn text<T: 'static>(name: &'static str, get: fn(&T) -> &str) -> Field<T> {
    Field {
        name,
        optional: false,
        kind: Kind::Text,
        since: OLDEST,
        get: Box::new(move |row| Cell::Text(get(row).into())),
    }
}

/// A column of text or nulls.
pub(super) fn optional_text<T: 'static>(
    name: &'static str,
    get: fn(&T) -> Option<&str>,
) -> Field<T> {
    let get: Getter<T> =
        Box::new(move |row| get(row).map_or(Cell::Null, |text| Cell::Text(text.into())));
    Field {
        name,
        optional: true,
        kind: Kind::Text,
        since: OLDEST,
        get,
    }
}

/// A column of text that is made for the table, or nulls.
pub(super) fn optional_words<T: 'static>(
    name: &'static str,
    get: fn(&T) -> Option<String>,
) -> Field<T> {
    let get: Getter<T> =
        Box::new(move |row| get(row).map_or(Cell::Null, |text| Cell::Text(text.into())));
    Field {
        name,
        optional: true,
        kind: Kind::Text,
        since: OLDEST,
        get,
    }
}

/// A column of counts.
pub(super) fn count<T: 'static>(name: &'static str, get: fn(&T) -> u64) -> Field<T> {
    Field {
        name,
        optional: false,
        kind: Kind::Count,
        since: OLDEST,
        get: Box::new(move |row| Cell::Count(get(row))),
    }
}

/// A column of counts or nulls.
pub(super) fn optional_count<T: 'static>(
    name: &'static str,
    get: fn(&T) -> Option<u64>,
) -> Field<T> {
    let get: Getter<T> = Box::new(move |row| get(row).map_or(Cell::Null, Cell::Count));
    Field {
        name,
        optional: true,
        kind: Kind::Count,
        since: OLDEST,
        get,
    }
}

/// A column of integers.
pub(super) fn integer<T: 'static>(name: &'static str, get: fn(&T) -> i64) -> Field<T> {
    Field {
        name,
        optional: false,
        kind: Kind::Integer,
        since: OLDEST,
        get: Box::new(move |row| Cell::Integer(get(row))),
    }
}

/// A column of numbers in a range.
pub(super) fn number<T: 'static>(
    name: &'static str,
    range: RangeInclusive<f64>,
    get: fn(&T) -> f64,
) -> Field<T> {
    let get: Getter<T> = Box::new(move |row| Cell::Number(get(row)));
    Field {
        name,
        optional: false,
        kind: Kind::Number(range),
        since: OLDEST,
        get,
    }
}

/// A column of numbers in a range, or nulls.
pub(super) fn optional_number<T: 'static>(
    name: &'static str,
    range: RangeInclusive<f64>,
    get: fn(&T) -> Option<f64>,
) -> Field<T> {
    let get: Getter<T> = Box::new(move |row| get(row).map_or(Cell::Null, Cell::Number));
    Field {
        name,
        optional: true,
        kind: Kind::Number(range),
        since: OLDEST,
        get,
    }
}

impl<T: 'static> Field<T> {
    /// The same column, which tables have since this version of the columns.
    pub(super) fn since(self, version: u64) -> Self {
        Self {
            since: version,
            ..self
        }
    }

    /// The same column of rows that contain a `T`.
    pub(super) fn of<S: 'static>(self, part: fn(&S) -> &T) -> Field<S> {
        let get = self.get;
        let get: Getter<S> = Box::new(move |row| get(part(row)));
        Field {
            name: self.name,
            optional: self.optional,
            kind: self.kind,
            since: self.since,
            get,
        }
    }

    /// The same column of rows that may contain a `T`; null where they do not.
    pub(super) fn of_option<S: 'static>(self, part: fn(&S) -> Option<&T>) -> Field<S> {
        let get = self.get;
        let get: Getter<S> = Box::new(move |row| part(row).map_or(Cell::Null, &get));
        Field {
            name: self.name,
            optional: true,
            kind: self.kind,
            since: self.since,
            get,
        }
    }

    /// The cell of a row, checked: what a reader would refuse is not written.
    pub(super) fn cell<'a>(&self, row: &'a T) -> Result<Cell<'a>> {
        let cell = (self.get)(row);
        let good = match (&self.kind, &cell) {
            (_, Cell::Null) => self.optional,
            (Kind::Text, Cell::Text(text)) => !text.is_empty(),
            (Kind::Count, Cell::Count(_)) | (Kind::Integer, Cell::Integer(_)) => true,
            (Kind::Number(range), Cell::Number(x)) => range.contains(x),
            _ => false,
        };
        if good {
            return Ok(cell);
        }
        Err(Error::argument(
            format!("column `{}`", self.name),
            self.kind.expected(),
            format!("{cell:?}"),
        ))
    }

    /// The column of all rows.
    fn column<R: Borrow<T>>(&self, rows: &[R]) -> Result<Column> {
        let name = self.name.into();
        let series = match self.kind {
            Kind::Text => Series::new(
                name,
                self.collect(rows, |cell| match cell {
                    Cell::Text(text) => Some(text),
                    _ => None,
                })?,
            ),
            Kind::Count => Series::new(
                name,
                self.collect(rows, |cell| match cell {
                    Cell::Count(n) => Some(n),
                    _ => None,
                })?,
            ),
            Kind::Integer => Series::new(
                name,
                self.collect(rows, |cell| match cell {
                    Cell::Integer(n) => Some(n),
                    _ => None,
                })?,
            ),
            Kind::Number(_) => Series::new(
                name,
                self.collect(rows, |cell| match cell {
                    Cell::Number(x) => Some(x),
                    _ => None,
                })?,
            ),
        };
        Ok(series.into())
    }

    fn collect<'a, R: Borrow<T>, V>(
        &self,
        rows: &'a [R],
        take: fn(Cell<'a>) -> Option<V>,
    ) -> Result<Vec<Option<V>>> {
        rows.iter()
            .map(|row| self.cell(row.borrow()).map(take))
            .collect()
    }
}

/// Refuses tables that no reader would take.
///
/// # Errors
/// [`Error::Argument`] above [`MAX_ROWS`].
pub(super) fn check_rows(rows: usize) -> Result<()> {
    if rows <= MAX_ROWS {
        return Ok(());
    }
    Err(Error::argument(
        "rows of a table",
        format!("at most {MAX_ROWS}"),
        rows.to_string(),
    ))
}

/// The rows as a data frame of one chunk, the schema version first.
///
/// # Errors
/// [`Error::Argument`] that names the column of a value outside its range, or for too many rows.
pub(super) fn frame<T: 'static, R: Borrow<T>>(
    fields: &[Field<T>],
    rows: &[R],
) -> Result<DataFrame> {
    check_rows(rows.len())?;
    let mut columns = vec![Series::new("schema".into(), vec![SCHEMA; rows.len()]).into()];
    for field in fields {
        columns.push(field.column(rows)?);
    }
    DataFrame::new(rows.len(), columns)
        .map_err(|e| Error::argument("columns of a table", "distinct names", e.to_string()))
}

/// The rows as an array of JSON objects with the column names, null where a value is missing.
///
/// # Errors
/// As [`frame`].
pub(super) fn records<T: 'static, R: Borrow<T>>(
    fields: &[Field<T>],
    rows: &[R],
) -> Result<serde_json::Value> {
    check_rows(rows.len())?;
    let object = |row: &R| {
        let mut object = serde_json::Map::new();
        object.insert("schema".into(), SCHEMA.into());
        for field in fields {
            let value = match field.cell(row.borrow())? {
                Cell::Null => serde_json::Value::Null,
                Cell::Text(text) => text.into_owned().into(),
                Cell::Count(n) => n.into(),
                Cell::Integer(n) => n.into(),
                Cell::Number(x) => x.into(),
            };
            object.insert(field.name.into(), value);
        }
        Ok(serde_json::Value::Object(object))
    };
    rows.iter()
        .map(object)
        .collect::<Result<Vec<_>>>()
        .map(Into::into)
}
