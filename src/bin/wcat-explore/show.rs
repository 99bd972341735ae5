//! Results on standard output, failures on standard error; the only file that prints results.

use crate::args::Format;
use anyhow::Context;
use serde_json::Value;
use std::io::Write;
use std::process::ExitCode;
use wcat_explore::error::Error;

/// Exit code where nothing is wrong and the same command goes on.
pub(crate) const GOES_ON: u8 = 75;

/// A column of a printed table: header and how a row's cell is written.
pub(crate) struct Column<'a> {
    pub header: &'a str,
    pub cells: Vec<String>,
    /// Numbers stand to the right.
    pub right: bool,
}

impl<'a> Column<'a> {
    pub(crate) fn text<T>(header: &'a str, rows: &[T], cell: impl Fn(&T) -> String) -> Self {
        Self {
            header,
            cells: rows.iter().map(cell).collect(),
            right: false,
        }
    }

    pub(crate) fn number<T>(header: &'a str, rows: &[T], cell: impl Fn(&T) -> String) -> Self {
        Self {
            header,
            cells: rows.iter().map(cell).collect(),
            right: true,
        }
    }
}

/// A value, or a dash where there is none.
pub(crate) fn optional<T: std::fmt::Display>(value: Option<T>) -> String {
    value.map_or("-".into(), |value| value.to_string())
}

/// Prints an aligned table.
pub(crate) fn table(columns: &[Column]) -> anyhow::Result<()> {
    let rows = columns
        .iter()
        .map(|column| column.cells.len())
        .max()
        .unwrap_or(0);
    let width = |column: &Column| {
        let cells = column.cells.iter().map(|cell| cell.chars().count());
        cells
            .chain([column.header.chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = columns.iter().map(width).collect();
    let line = |cell: &dyn Fn(&Column) -> String| {
        let parts = columns
            .iter()
            .zip(&widths)
            .map(|(column, &width)| match column.right {
                true => format!("{:>width$}", cell(column)),
                false => format!("{:<width$}", cell(column)),
            });
        parts.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    let mut text = line(&|column| column.header.to_owned());
    for row in 0..rows {
        text.push('\n');
        text += &line(&|column| column.cells.get(row).cloned().unwrap_or_default());
    }
    result(&text)
}

/// Prints records: as an array of objects, or as comma-separated values with the keys of the first as header.
pub(crate) fn records(records: &Value, format: Format) -> anyhow::Result<()> {
    if format == Format::Json {
        return result(&serde_json::to_string_pretty(records)?);
    }
    let rows = records.as_array().map(Vec::as_slice).unwrap_or_default();
    let keys: Vec<&String> = rows
        .first()
        .and_then(Value::as_object)
        .map(|o| o.keys().collect())
        .unwrap_or_default();
    let mut lines = csv::Writer::from_writer(Vec::new());
    lines.write_record(&keys)?;
    for row in rows {
        lines.write_record(keys.iter().map(|key| cell(&row[key.as_str()])))?;
    }
    result(String::from_utf8(lines.into_inner()?)?.trim_end())
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Prints a result. A closed standard output (`| head`) ends the program without a word.
pub(crate) fn result(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// A fraction as per cent.
pub(crate) fn percent(x: f64) -> String {
    format!("{:.2}", 100.0 * x)
}

/// Prints a failure, one line per cause, and gives its exit code.
pub(crate) fn failure(error: &anyhow::Error) -> ExitCode {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "error: {}", first_line(&error.to_string()));
    for cause in error.chain().skip(1) {
        let _ = writeln!(err, "  caused by: {}", first_line(&cause.to_string()));
    }
    ExitCode::from(match error.downcast_ref::<Error>() {
        Some(error) if error.is_wrong_input() => 2,
        Some(error) if error.can_go_on() => GOES_ON,
        _ => 1,
    })
}

/// Causes from the tensor library drag a backtrace behind them.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
