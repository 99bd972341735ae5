//! The history of a training as CSV: one row per epoch, the range of every layer in a column of its own.

use super::csv::Lines;
use super::SCHEMA;
use crate::error::Result;
use crate::store;
use crate::train::EpochRow;
use std::path::Path;

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
    let layers = history.first().map(|row| row.ranges.as_slice()).unwrap_or_default();
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
        lines.push(cells.into_iter().chain(row.ranges.iter().map(|(_, range)| range.to_string())))?;
    }
    lines.finish()
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
        assert!(lines.next().unwrap().ends_with(",seconds,range.conv1,range.layer1.0.conv1"));
        assert_eq!(lines.next(), Some("2,1,0.1,2.5,0.25,,,true,1.235,0.5,0.25"));
        assert_eq!(lines.next(), None);
    }
}
