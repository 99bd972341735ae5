//! Tables on disk: Parquet with a checksum and CSV, written whole, read with sizes checked first. Columns come
//! from the caller.

use super::csv::{from_csv, to_csv};
use super::field::{frame, Field};
use super::parquet::Parquet;
use super::read::{check_names, check_version, Row, Sheet};
use super::{MAX_BYTES, MAX_ROWS};
use crate::error::{Error, Result};
use crate::store;
use polars::frame::DataFrame;
use polars::prelude::{KeyValueMetadata, ParquetCompression, ParquetWriter, StatisticsOptions};
use std::borrow::Borrow;
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

/// Writes rows as CSV where the name ends in `.csv`, as Parquet elsewhere.
///
/// # Errors
/// [`Error::Argument`] for a value that its column does not allow, [`Error::Io`] with the path.
pub(super) fn write<T: 'static, R: Borrow<T>>(
    path: &Path,
    fields: &[Field<T>],
    rows: &[R],
) -> Result<()> {
    if is_csv(path) {
        return store::write_bytes(path, to_csv(fields, rows)?.as_bytes());
    }
    store::write_bytes(path, &to_parquet(path, &mut frame(fields, rows)?)?)
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
/// version, and values outside their range.
pub(super) fn read<T, V>(
    path: &Path,
    expected: &str,
    fields: &[Field<T>],
    row: impl Fn(Row<'_>) -> Result<V>,
) -> Result<Vec<V>> {
    let sheet = if is_csv(path) {
        let text = store::read_text(path, expected, MAX_BYTES)?;
        let (header, records) = from_csv(path, &text, |names| {
            check_names(path, fields, names)
                .or_else(|other| check_version(path, csv_version(&text)).and(Err(other)))
        })?;
        Sheet::from_records(path, fields, &header, records)?
    } else {
        from_parquet(path, fields, store::read_bytes(path, expected, MAX_BYTES)?)?
    };
    sheet.rows().map(row).collect()
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
fn from_parquet<T>(path: &Path, fields: &[Field<T>], mut bytes: Vec<u8>) -> Result<Sheet> {
    let not_read = |found: String| Error::input(path, "a Parquet table", found);
    if bytes.is_empty() {
        return Err(not_read("an empty file".into()));
    }
    let whole = bytes.len() >= 12 && bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1");
    if whole && !is_sealed(&mut bytes) {
        return Err(not_read("a damaged file (its checksum is another)".into()));
    }
    let mut parquet = Parquet::open(&bytes).map_err(not_read)?;
    if let Err(other) = check_names(path, fields, &parquet.names()) {
        return check_version(path, parquet_version(&mut parquet)).and(Err(other));
    }
    Sheet::from_parquet(path, fields, &mut parquet)
}
