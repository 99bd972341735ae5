//! Tables on disk: Parquet with a checksum and CSV, written whole, read with sizes checked first; and the same rows as
//! data frame, CSV text and JSON.

use super::csv::{from_csv, Lines};
use super::parquet::Parquet;
use super::record::{cells, check_rows, Cell, Column, Record};
use super::sheet::{check_names, check_version, filled, wanted, Data, Row, Sheet};
use super::{MAX_BYTES, MAX_ROWS};
use crate::error::{Error, Result};
use crate::store;
use polars::frame::DataFrame;
use polars::prelude::{KeyValueMetadata, ParquetCompression, ParquetWriter, StatisticsOptions};
use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;

/// Metadata of Parquet files that the checksum follows: CRC-32 of the file with [`OPEN`] in its place.
const SEAL: &str = "CRC-32 of this file with zeros here: ";
/// What stands in place of the checksum while it is computed.
const OPEN: &str = "00000000";

/// True for names that end in `.csv`.
fn is_csv(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("csv"))
}

/// The rows as CSV, the schema version first. Numbers are the shortest text that reads back as
/// the same number.
///
/// # Errors
/// [`Error::Argument`] that names the column of a value outside its range, or for too many rows.
pub fn csv_string<R: Record>(rows: &[R]) -> Result<String> {
    let mut lines = Lines::new();
    let columns = filled(rows)?;
    lines.push(columns.iter().map(|(_, column)| column.name))?;
    check_rows(rows.len())?;
    for row in rows {
        lines.push(chosen(&columns, cells(row)?).map(csv_text))?;
    }
    lines.finish()
}

/// The cells of a row that belong to some of all columns.
fn chosen<'a>(
    columns: &'a [(usize, Column)],
    mut cells: Vec<Cell<'static>>,
) -> impl Iterator<Item = Cell<'static>> + 'a {
    let mut take = move |place: usize| std::mem::replace(&mut cells[place], Cell::Null);
    columns.iter().map(move |(place, _)| take(*place))
}

fn csv_text(cell: Cell<'_>) -> String {
    match cell {
        Cell::Null => String::new(),
        Cell::Text(text) => text.into_owned(),
        Cell::Count(n) => n.to_string(),
        Cell::Integer(n) => n.to_string(),
        Cell::Number(x) => format!("{x:?}"),
    }
}

/// The rows as an array of JSON objects with the column names, null where a value is missing.
///
/// # Errors
/// As [`csv_string`].
pub fn json<R: Record>(rows: &[R]) -> Result<serde_json::Value> {
    let columns = filled(rows)?;
    let mut objects = Vec::with_capacity(rows.len());
    check_rows(rows.len())?;
    for row in rows {
        let names = columns.iter().map(|(_, column)| column.name.to_owned());
        let values = chosen(&columns, cells(row)?).map(json_value);
        objects.push(names.zip(values).collect::<serde_json::Map<_, _>>().into());
    }
    Ok(serde_json::Value::Array(objects))
}

fn json_value(cell: Cell<'_>) -> serde_json::Value {
    match cell {
        Cell::Null => serde_json::Value::Null,
        Cell::Text(text) => text.into_owned().into(),
        Cell::Count(n) => n.into(),
        Cell::Integer(n) => n.into(),
        Cell::Number(x) => x.into(),
    }
}

/// The rows as a data frame of one chunk, the schema version first.
///
/// # Errors
/// As [`csv_string`].
pub fn frame<R: Record>(rows: &[R]) -> Result<DataFrame> {
    let columns = filled(rows)?;
    let none = columns
        .iter()
        .map(|(_, column)| Data::nulls(&column.kind, 0));
    let mut data: Vec<Data> = none.collect();
    check_rows(rows.len())?;
    for row in rows {
        for (column, cell) in data.iter_mut().zip(chosen(&columns, cells(row)?)) {
            column.push(cell);
        }
    }
    let series = columns.iter().zip(data);
    let series = series.map(|((_, column), data)| data.into_series(column.name).into());
    DataFrame::new(rows.len(), series.collect())
        .map_err(|e| Error::argument("columns of a table", "distinct names", e.to_string()))
}

/// Writes rows in the given order: as CSV where the name ends in `.csv`, as Parquet elsewhere.
///
/// # Errors
/// As [`csv_string`], or [`Error::Io`] with the path.
pub fn write<R: Record>(path: &Path, rows: &[R]) -> Result<()> {
    let bytes = if is_csv(path) {
        csv_string(rows)?.into_bytes()
    } else {
        to_parquet(path, &mut frame(rows)?)?
    };
    store::write_bytes(path, &bytes)
}

/// Parquet of a data frame: one row group, Zstandard, no time and no name in it, sealed.
fn to_parquet(path: &Path, frame: &mut DataFrame) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let open = KeyValueMetadata::from_static(vec![("checksum".into(), format!("{SEAL}{OPEN}"))]);
    let failed = |message: String| Error::Table {
        path: path.to_owned(),
        message,
    };
    ParquetWriter::new(&mut bytes)
        .with_compression(ParquetCompression::Zstd(None))
        .with_statistics(StatisticsOptions::default())
        .with_row_group_size(Some(MAX_ROWS))
        .with_key_value_metadata(Some(open))
        .set_parallel(false)
        .finish(frame)
        .map_err(|e| failed(e.to_string()))?;
    let place = seal_place(&bytes).ok_or_else(|| failed("no place for the checksum".into()))?;
    let seal = format!("{:08x}", crc32fast::hash(&bytes));
    bytes[place].copy_from_slice(seal.as_bytes());
    Ok(bytes)
}

/// Where the checksum of a Parquet file stands; `None` in files of other writers.
fn seal_place(bytes: &[u8]) -> Option<Range<usize>> {
    let start = bytes
        .windows(SEAL.len())
        .rposition(|window| window == SEAL.as_bytes())?
        + SEAL.len();
    let place = start..start + OPEN.len();
    bytes.get(place.clone()).map(|_| place)
}

/// True where a Parquet file holds the checksum of its bytes, or none.
fn is_sealed(bytes: &mut [u8]) -> bool {
    let Some(place) = seal_place(bytes) else {
        return true;
    };
    let found = bytes[place.clone()].to_vec();
    bytes[place].copy_from_slice(OPEN.as_bytes());
    found == format!("{:08x}", crc32fast::hash(bytes)).as_bytes()
}

/// Reads rows from CSV where the name ends in `.csv`, from Parquet elsewhere.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with column (and line in CSV) for a file that is empty,
/// truncated, damaged or too large, for missing, extra or wrongly typed columns, another schema
/// version, values outside their range, rows that contradict themselves, and two rows of one key.
pub fn read<R: Record>(path: &Path) -> Result<Vec<R>> {
    read_each(path, |record, _| Ok(record))
}

/// The same, each record as `convert` makes it of its row; errors of the row are made by
/// [`Columns::wrong`](super::Columns::wrong).
///
/// # Errors
/// As [`read`], and those of `convert`.
pub fn read_each<R: Record, V>(
    path: &Path,
    convert: impl Fn(R, &Row<'_>) -> Result<V>,
) -> Result<Vec<V>> {
    let wanted = wanted::<R>()?;
    let sheet = if is_csv(path) {
        let text = store::read_text(path, R::WHAT, MAX_BYTES)?;
        let (header, records) = from_csv(path, &text, |names| {
            check_names(path, &wanted, names)
                .or_else(|other| check_version(path, csv_version(&text)).and(Err(other)))
        })?;
        Sheet::from_records(path, &wanted, &header, records)?
    } else {
        from_parquet(path, &wanted, store::read_bytes(path, R::WHAT, MAX_BYTES)?)?
    };
    let mut keys = BTreeSet::new();
    let mut values = Vec::new();
    for mut row in sheet.rows() {
        let record: R = row.record()?;
        if !R::KEY.is_empty() && !keys.insert(record.key()) {
            let expected = format!("one row for each {}", R::KEY);
            return Err(Error::input(
                path,
                expected,
                format!("two for {:?}", record.key()),
            ));
        }
        values.push(convert(record, &row)?);
    }
    Ok(values)
}

/// Version of the columns in the first row of CSV text.
fn csv_version(text: &str) -> Option<u64> {
    let mut lines = text.lines();
    lines
        .next()
        .filter(|header| header.starts_with("schema,"))?;
    lines.next()?.split(',').next()?.parse().ok()
}

/// Version of the columns in the first row of a Parquet file.
fn parquet_version(parquet: &mut Parquet<'_>) -> Option<u64> {
    parquet.counts("schema").ok()?.first().copied().flatten()
}

/// The cells of a Parquet file whose size is checked. Checksum, names and number of rows are checked before columns
/// are read.
fn from_parquet(path: &Path, wanted: &[Column], mut bytes: Vec<u8>) -> Result<Sheet> {
    let not_read = |found: String| Error::input(path, "a Parquet table", found);
    if bytes.is_empty() {
        return Err(not_read("an empty file".into()));
    }
    let whole = bytes.len() >= 12 && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1");
    if whole && !is_sealed(&mut bytes) {
        return Err(not_read("a damaged file (its checksum is another)".into()));
    }
    let mut parquet = Parquet::open(&bytes).map_err(not_read)?;
    if let Err(other) = check_names(path, wanted, &parquet.names()) {
        return check_version(path, parquet_version(&mut parquet)).and(Err(other));
    }
    Sheet::from_parquet(path, wanted, &mut parquet)
}
