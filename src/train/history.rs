//! The history of a training as CSV: one row per epoch, the range of every layer in a column of its own.

use super::state::EpochRow;
use crate::error::{Error, Result};
use crate::store;
use crate::table::{check_version, from_csv, Lines, MAX_BYTES, SCHEMA};
use std::path::Path;
use std::str::FromStr;

/// Columns before those of the layers.
const COLUMNS: [&str; 9] = [
    "schema",
    "epoch",
    "learning_rate",
    "training_loss",
    "training_accuracy",
    "validation_loss",
    "validation_accuracy",
    "best",
    "seconds",
];

/// Writes `history.csv`. Columns: `schema, epoch, learning_rate, training_loss, training_accuracy,
/// validation_loss, validation_accuracy, best, seconds`, then `range.<layer>` in memory order (the step for
/// `lsq`). Missing values are empty.
///
/// # Errors
/// [`crate::error::Error::Io`] with the path.
pub fn write_history(path: &Path, history: &[EpochRow]) -> Result<()> {
    store::write_bytes(path, history_csv_string(history)?.as_bytes())
}

/// The text of `history.csv`.
///
/// # Errors
/// [`crate::error::Error::Argument`] where rows have different layers.
pub fn history_csv_string(history: &[EpochRow]) -> Result<String> {
    let layers = history
        .first()
        .map(|row| row.ranges.as_slice())
        .unwrap_or_default();
    let mut lines = Lines::new();
    let ranges = layers.iter().map(|(layer, _)| format!("range.{layer}"));
    lines.push(COLUMNS.into_iter().map(str::to_owned).chain(ranges))?;
    let optional = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    for row in history {
        let cells = [
            SCHEMA.to_string(),
            row.epoch.to_string(),
            row.learning_rate.to_string(),
            row.training_loss.to_string(),
            row.training_accuracy.to_string(),
            optional(row.validation_loss),
            optional(row.validation_accuracy),
            row.best.to_string(),
            format!("{:.3}", row.seconds),
        ];
        lines.push(
            cells
                .into_iter()
                .chain(row.ranges.iter().map(|(_, range)| range.to_string())),
        )?;
    }
    lines.finish()
}

/// Reads `history.csv`; epochs must rise.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with line and column for another header, another version of the columns or
/// a cell that is not of its column, and where the `checksums` beside it say that it is damaged.
pub fn read_history(path: &Path) -> Result<Vec<EpochRow>> {
    store::check_beside(path)?;
    history_of_csv(
        path,
        &store::read_text(path, "the history of a training", MAX_BYTES)?,
    )
}

fn history_of_csv(path: &Path, text: &str) -> Result<Vec<EpochRow>> {
    let (header, records) = from_csv(path, text, |header| {
        let named = header.len() >= COLUMNS.len()
            && header
                .iter()
                .zip(COLUMNS)
                .all(|(name, known)| *name == known);
        if named
            && header[COLUMNS.len()..]
                .iter()
                .all(|name| name.starts_with("range."))
        {
            return Ok(());
        }
        let expected = format!("the columns {}, then `range.<layer>`", COLUMNS.join(", "));
        Err(Error::input(path, expected, header.join(", ")))
    })?;
    let mut history: Vec<EpochRow> = Vec::new();
    for record in records {
        let cell = |at: usize| record.cells[at].as_deref();
        let wrong = |at: usize, expected: &str| {
            let found = cell(at).map_or("nothing".into(), |cell| format!("`{cell}`"));
            Error::input_at(path, Some(record.line), Some(&header[at]), expected, found)
        };
        let number = |at: usize| finite(cell(at)).ok_or_else(|| wrong(at, "a finite number"));
        let optional = |at: usize| cell(at).map(|_| number(at)).transpose();
        check_version(path, parsed(cell(0)))?;
        let row = EpochRow {
            epoch: parsed(cell(1)).ok_or_else(|| wrong(1, "a whole number"))?,
            learning_rate: number(2)?,
            training_loss: number(3)?,
            training_accuracy: number(4)?,
            validation_loss: optional(5)?,
            validation_accuracy: optional(6)?,
            best: parsed(cell(7)).ok_or_else(|| wrong(7, "`true` or `false`"))?,
            seconds: number(8)?,
            ranges: (COLUMNS.len()..header.len())
                .map(|at| Ok((header[at]["range.".len()..].to_owned(), number(at)? as f32)))
                .collect::<Result<_>>()?,
        };
        if history.last().is_some_and(|last| last.epoch >= row.epoch) {
            return Err(wrong(1, "epochs in rising order"));
        }
        history.push(row);
    }
    Ok(history)
}

fn parsed<T: FromStr>(cell: Option<&str>) -> Option<T> {
    cell?.parse().ok()
}

fn finite(cell: Option<&str>) -> Option<f64> {
    parsed(cell).filter(|x: &f64| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_layer_has_a_column_and_missing_values_are_empty() {
        let row = EpochRow {
            epoch: 1,
            learning_rate: 0.1,
            training_loss: 2.5,
            training_accuracy: 0.25,
            validation_loss: None,
            validation_accuracy: None,
            best: true,
            seconds: 1.23456,
            ranges: vec![("conv1".into(), 0.5), ("layer1.0.conv1".into(), 0.25)],
        };
        let text = history_csv_string(&[row]).unwrap();
        let mut lines = text.lines();
        assert!(lines
            .next()
            .unwrap()
            .ends_with(",seconds,range.conv1,range.layer1.0.conv1"));
        assert_eq!(lines.next(), Some("5,1,0.1,2.5,0.25,,,true,1.235,0.5,0.25"));
        assert_eq!(lines.next(), None);
    }

    fn rows() -> Vec<EpochRow> {
        let row = |epoch: usize| EpochRow {
            epoch,
            learning_rate: 0.1 / epoch as f64,
            training_loss: 2.5,
            training_accuracy: 0.1 * epoch as f64,
            validation_loss: (epoch > 1).then_some(1.0 / 3.0),
            validation_accuracy: None,
            best: epoch == 2,
            seconds: 1.5,
            ranges: vec![
                ("conv1".into(), 0.1 * epoch as f32),
                ("layer1.0.conv1".into(), 1e-7),
            ],
        };
        (1..4).map(row).collect()
    }

    #[test]
    fn a_history_reads_back_as_it_was() {
        let text = history_csv_string(&rows()).unwrap();
        assert_eq!(history_of_csv(Path::new("h.csv"), &text).unwrap(), rows());
    }

    #[test]
    fn a_damaged_history_is_refused_with_line_and_column() {
        let text = history_csv_string(&rows()).unwrap();
        for (old, new, message) in [
            (
                "learning_rate",
                "rate",
                "h.csv: expected the columns schema, epoch",
            ),
            (
                ",range.conv1",
                ",conv1",
                "h.csv: expected the columns schema, epoch",
            ),
            (
                "5,2,",
                "5,x,",
                "h.csv:3: `epoch`: expected a whole number, found `x`",
            ),
            (
                "5,2,",
                "5,1,",
                "h.csv:3: `epoch`: expected epochs in rising order, found `1`",
            ),
            ("5,2,", "1,2,", "h.csv: `schema`: expected version 3 to 5"),
            (
                "2.5",
                "nan",
                "h.csv:2: `training_loss`: expected a finite number, found `nan`",
            ),
            (
                "true",
                "yes",
                "h.csv:3: `best`: expected `true` or `false`, found `yes`",
            ),
            (
                ",0.1,0.0000001\n",
                ",,0.0000001\n",
                "h.csv:2: `range.conv1`: expected a finite number, found nothing",
            ),
        ] {
            assert!(text.contains(old), "{old}: {text}");
            let error = history_of_csv(Path::new("h.csv"), &text.replacen(old, new, 1))
                .unwrap_err()
                .to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
