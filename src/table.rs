//! Rows to and from CSV and Parquet. What a table's columns are is said by its rows, in the rooms that own them.
//!
//! Every table has the schema version as its first column. A missing value is a null (nothing
//! between two commas in CSV), never 0 and never NaN. The same rows give the same bytes.

mod csv;
mod file;
mod parquet;
mod record;
mod sheet;
mod thrift;
mod value;

pub(crate) use csv::{from_csv, Lines};
pub use file::{csv_string, frame, json, read, read_each, write};
pub use polars::frame::DataFrame;
pub use record::{
    columns_of, Cell, Column, Columns, Kind, Number, Part, Record, Value, FINITE, FRACTION,
    FROM_ZERO, RATE, VOLTAGE,
};
pub(crate) use sheet::check_version;
pub use sheet::Row;
pub(crate) use value::{text_value, word_value, words};

/// Version of the columns of all tables that are written; the first column, `schema`, of each of them.
pub const SCHEMA: u64 = 5;

/// The oldest version of the columns that is read: 4 added `not_finite`, which is null where an older table lacks it; 5
/// added `metric`, which is top 1 there.
const OLDEST: u64 = 3;

/// Most rows of a table that is written or read.
pub const MAX_ROWS: usize = 1 << 24;

/// Largest table file that is read, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;
