//! The history of a training as CSV: one row per epoch, the range of every layer in a column of its own.

use super::SCHEMA;
use crate::error::Result;
use crate::store;
use crate::train::EpochRow;
use std::fmt::Write;
use std::path::Path;

/// Writes `history.csv`. Columns: `schema, epoch, learning_rate, training_loss, training_accuracy,
/// validation_loss, validation_accuracy, best, seconds`, then `range.<layer>` in memory order (the step for
/// `lsq`). Missing values are empty.
///
/// # Errors
/// [`crate::error::Error::Io`] with the path.
pub fn write_history(path: &Path, history: &[EpochRow]) -> Result<()> {
    store::write_bytes(path, history_csv_string(history).as_bytes())
}

/// The text of `history.csv`.
pub fn history_csv_string(history: &[EpochRow]) -> String {
    let mut text = String::from(
        "schema,epoch,learning_rate,training_loss,training_accuracy,validation_loss,validation_accuracy,best,seconds",
    );
    for (layer, _) in history.first().map(|row| row.ranges.as_slice()).unwrap_or_default() {
        // layer names are letters, digits and dots: nothing to quote. Writing to a String cannot fail.
        let _ = write!(text, ",range.{layer}");
    }
    text.push('\n');
    let optional = |x: Option<f64>| x.map(|x| x.to_string()).unwrap_or_default();
    for row in history {
        let _ = write!(
            text,
            "{SCHEMA},{},{},{},{},{},{},{},{:.3}",
            row.epoch,
            row.learning_rate,
            row.training_loss,
            row.training_accuracy,
            optional(row.validation_loss),
            optional(row.validation_accuracy),
            row.best,
            row.seconds
        );
        for (_, range) in &row.ranges {
            let _ = write!(text, ",{range}");
        }
        text.push('\n');
    }
    text
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
        let text = history_csv_string(&[row]);
        let mut lines = text.lines();
        assert!(lines.next().unwrap().ends_with(",seconds,range.conv1,range.layer1.0.conv1"));
        assert_eq!(lines.next(), Some("1,1,0.1,2.5,0.25,,,true,1.235,0.5,0.25"));
        assert_eq!(lines.next(), None);
    }
}
