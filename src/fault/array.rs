//! Shape and correlations of a memory array. Which of its cells fail is the chip's affair.

use super::ArrayLabel;
use crate::error::{refuse, Result};
use serde::{Deserialize, Serialize};

/// Largest bank, in cells.
const MOST_CELLS: u64 = 1 << 26;

/// One bank of a memory array, repeated as often as the network needs.
///
/// Cell (bank, row, column) has the address `bank·rows·columns + row·columns + column`. Bit `i` of
/// weight `n`, counted over all layers, lies at address `n·b + i`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArraySpec {
    /// Cells on one bit line, at least 1.
    pub rows: u32,
    /// Bit lines of a bank, at least 1; rows · columns is at most 2^26.
    pub columns: u32,
    /// Bits read together; divides the columns or is a multiple of them.
    pub word_bits: u32,
    /// Correlation of the Gaussian thresholds of two cells of one column, in [0, 1).
    pub column_correlation: f64,
    /// Correlation of those of two cells of one bank, in [0, column_correlation].
    pub bank_correlation: f64,
}

impl ArraySpec {
    /// Checks every number.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] that names the field.
    pub fn check(&self) -> Result<()> {
        let (rows, columns, word) = (self.rows, self.columns, self.word_bits);
        let cells = u64::from(rows) * u64::from(columns);
        if rows == 0 || cells > MOST_CELLS {
            let expected = "at least 1, with rows · columns at most 67108864";
            return refuse(
                "rows",
                expected,
                format!("{rows} rows of {columns} columns"),
            );
        }
        if columns == 0 {
            return refuse("columns", "at least 1", "0");
        }
        if word == 0 || (columns % word != 0 && word % columns != 0) {
            let expected = format!("a divisor or a multiple of the {columns} columns");
            return refuse("word_bits", expected, word);
        }
        let (column, bank) = (self.column_correlation, self.bank_correlation);
        if !(0.0..1.0).contains(&column) {
            return refuse("column_correlation", "0 or more and below 1", column);
        }
        if !(0.0..=column).contains(&bank) {
            let expected = format!("0 to the column correlation {column}");
            return refuse("bank_correlation", expected, bank);
        }
        Ok(())
    }

    /// Cells of one bank.
    pub fn bank_cells(&self) -> u64 {
        u64::from(self.rows) * u64::from(self.columns)
    }

    /// Banks that hold `cells` cells.
    pub fn banks(&self, cells: u64) -> u64 {
        cells.div_ceil(self.bank_cells().max(1))
    }

    /// True where cells fail independently of each other.
    pub fn is_independent(&self) -> bool {
        self.column_correlation == 0.0
    }

    /// The words of result tables.
    pub fn label(&self) -> ArrayLabel {
        if self.is_independent() {
            return ArrayLabel::Independent;
        }
        let (column, bank) = (self.column_correlation, self.bank_correlation);
        ArrayLabel::Dependent(format!("column {column} bank {bank}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: ArraySpec = ArraySpec {
        rows: 512,
        columns: 64,
        word_bits: 64,
        column_correlation: 0.5,
        bank_correlation: 0.05,
    };

    #[test]
    fn every_wrong_number_is_named() {
        assert!(GOOD.check().is_ok());
        let wrong = [
            ("rows", ArraySpec { rows: 0, ..GOOD }),
            (
                "rows",
                ArraySpec {
                    rows: 1 << 21,
                    ..GOOD
                },
            ),
            (
                "rows",
                ArraySpec {
                    rows: u32::MAX,
                    columns: u32::MAX,
                    ..GOOD
                },
            ),
            ("columns", ArraySpec { columns: 0, ..GOOD }),
            (
                "word_bits",
                ArraySpec {
                    word_bits: 0,
                    ..GOOD
                },
            ),
            (
                "word_bits",
                ArraySpec {
                    word_bits: 48,
                    ..GOOD
                },
            ),
            (
                "column_correlation",
                ArraySpec {
                    column_correlation: 1.0,
                    ..GOOD
                },
            ),
            (
                "column_correlation",
                ArraySpec {
                    column_correlation: f64::NAN,
                    ..GOOD
                },
            ),
            (
                "bank_correlation",
                ArraySpec {
                    bank_correlation: 0.6,
                    ..GOOD
                },
            ),
            (
                "bank_correlation",
                ArraySpec {
                    bank_correlation: -0.1,
                    ..GOOD
                },
            ),
            (
                "bank_correlation",
                ArraySpec {
                    bank_correlation: f64::NAN,
                    ..GOOD
                },
            ),
        ];
        for (field, array) in wrong {
            let error = array.check().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{field}: expected ")), "{error}");
        }
    }

    #[test]
    fn words_divide_columns_or_span_rows() {
        for word_bits in [1, 8, 64, 128] {
            assert!(ArraySpec { word_bits, ..GOOD }.check().is_ok());
        }
    }

    #[test]
    fn banks_cover_the_cells_and_no_more() {
        let cells = GOOD.bank_cells();
        assert_eq!(
            [0, 1, cells, cells + 1].map(|n| GOOD.banks(n)),
            [0, 1, 1, 2]
        );
    }

    #[test]
    fn labels_say_what_is_correlated() {
        assert_eq!(GOOD.label().as_str(), "column 0.5 bank 0.05");
        assert_eq!(
            ArraySpec {
                column_correlation: 0.0,
                bank_correlation: 0.0,
                ..GOOD
            }
            .label(),
            ArrayLabel::Independent
        );
    }
}
