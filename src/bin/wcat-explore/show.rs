//! Results on standard output, failures on standard error; the only file that prints results.

use crate::args::{taken_over, Format};
use anyhow::Context;
use clap::builder::Styles;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use wcat_explore::error::{printable, printable_path, Error};
use wcat_explore::report::Grid;
use wcat_explore::units::Metric;

/// Most characters of a name, of a line of text, and of a message or one of its causes.
const LONGEST_NAME: usize = 300;
const LONGEST_LINE: usize = 2_000;
const LONGEST_MESSAGE: usize = 1_900;
const LONGEST_CAUSE: usize = 500;

/// Exit code where nothing is wrong and the same command goes on.
pub(crate) const GOES_ON: u8 = 75;

/// Exit code where a merge lacks what shards owe.
const OWED: u8 = 3;

/// Exit code of an answer that establishes nothing.
pub(crate) const NOT_ESTABLISHED: u8 = 4;

/// Prints a table.
pub(crate) fn table(grid: &Grid) -> anyhow::Result<()> {
    result(&grid.terminal())
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

/// Prints sentences, foreign text in them as messages show it.
pub(crate) fn text(text: &str) -> anyhow::Result<()> {
    let lines: Vec<_> = text
        .split('\n')
        .map(|line| printable(line, LONGEST_LINE))
        .collect();
    result(&lines.join("\n"))
}

/// Prints a path: as it is for a script, as messages show it on a terminal.
pub(crate) fn path(path: &Path) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    if out.is_terminal() {
        drop(out);
        return result(&printable_path(path, usize::MAX));
    }
    let mut bytes = path.as_os_str().as_encoded_bytes().to_vec();
    bytes.push(b'\n');
    match out.write_all(&bytes) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => Ok(other?),
    }
}

/// Prints a result as it is. A closed standard output (`| head`) ends the program without a word.
pub(crate) fn result(text: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{text}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("cannot write to standard output"),
    }
}

/// How long so many evaluations of an image take, each so many seconds: `12 s`.
pub(crate) fn duration(evaluations: u64, seconds: f64) -> String {
    format!("{:.0} s", evaluations as f64 * seconds)
}

/// A fraction as per cent.
pub(crate) fn percent(x: f64) -> String {
    format!("{:.2}", 100.0 * x)
}

/// `accuracy %`, or what else is counted: the name of a column of [`percent`].
pub(crate) fn measured(metric: Metric) -> String {
    format!("{} %", metric.words())
}

/// A line of `error` or `warning` in the colours of clap's own messages, for a stream that takes them out again where
/// nobody sees them (a pipe, `NO_COLOR`).
pub(crate) fn labelled(label: &str, text: &str) -> String {
    let styles = Styles::styled();
    let style = if label == "error" {
        styles.get_error()
    } else {
        styles.get_invalid()
    };
    format!("{style}{label}:{style:#} {text}")
}

/// Prints a failure, one line per cause, and gives its exit code. A setting that is wrong may come from one of the
/// `sources`, files whose content is settings.
pub(crate) fn failure(error: anyhow::Error, sources: &[PathBuf]) -> ExitCode {
    let error = match error.downcast() {
        // of a command within a command
        Ok(typed) => return usage(typed),
        Err(error) => error,
    };
    let message = error.to_string();
    let message = printable(first_line(&message), LONGEST_MESSAGE);
    complain(&labelled("error", &message));
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        let cause = printable(first_line(&cause), LONGEST_CAUSE);
        complain(&format!("  caused by: {cause}"));
    }
    let error = error.downcast_ref::<Error>();
    if matches!(error, Some(Error::Argument { .. })) && !sources.is_empty() {
        let shown: Vec<_> = sources
            .iter()
            .map(|path| printable_path(path, LONGEST_NAME))
            .collect();
        complain(&format!("  settings were read from {}", shown.join(", ")));
    }
    ExitCode::from(match error {
        Some(error) if error.is_wrong_input() => 2,
        Some(error) if error.can_go_on() => GOES_ON,
        Some(Error::Owed { .. }) => OWED,
        _ => 1,
    })
}

/// Prints a line on standard error in one write: a storage that fails in between loses one line of a message, not all.
fn complain(line: &str) {
    let _ = anstream::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Prints what is wrong with the command line, or the help that was asked for, and gives the exit code.
pub(crate) fn usage(mut error: clap::Error) -> ExitCode {
    let code = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
    if error.kind() == ErrorKind::InvalidUtf8 {
        let foreign: Vec<String> = std::env::args_os()
            .filter(|argument| argument.to_str().is_none())
            .map(|argument| printable_path(Path::new(&argument), LONGEST_NAME))
            .collect();
        let message = format!(
            "{}: expected text in UTF-8, which the record of the run keeps, found other bytes; a link or another name \
             helps",
            foreign.join(", ")
        );
        complain(&labelled("error", &message));
        return code;
    }
    if let Some(error) = taken_over(&error) {
        complain(&labelled("error", &error.to_string()));
        return code;
    }
    let typed = |(kind, value): (ContextKind, &ContextValue)| match value {
        ContextValue::String(text) => Some((kind, printable(text, LONGEST_NAME).into_owned())),
        _ => None,
    };
    let typed: Vec<(ContextKind, String)> = error.context().filter_map(typed).collect();
    for (kind, text) in typed {
        error.insert(kind, ContextValue::String(text));
    }
    let _ = error.print();
    code
}

/// Causes from the tensor library drag a backtrace behind them.
fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
