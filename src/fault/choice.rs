//! Which memory arrays a user asked for, as text: the memory model's own, an independent one, or correlations.

use super::ArraySpec;
use crate::error::{Error, Result};

/// An array, relative to that of the memory model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum ArrayChoice {
    /// The memory model's own.
    Model,
    /// Its shape without correlation.
    Independent,
    /// Its shape with these correlations.
    Correlated { column: f64, bank: f64 },
}

/// Reads `independent`, `model` and `column=R,bank=R` (without `bank`: 0), each text one or several after commas.
///
/// # Errors
/// [`Error::Argument`] that names `faults.arrays`.
pub(super) fn parse_arrays(texts: &[String]) -> Result<Vec<ArrayChoice>> {
    let wrong = |found: &str| {
        let expected = "independent, model, or column=R,bank=R with correlations from 0 to below 1";
        Error::argument("faults.arrays", expected, format!("`{found}`"))
    };
    let mut choices: Vec<ArrayChoice> = Vec::new();
    for text in texts {
        let mut open = false;
        for part in text.split(',').map(str::trim) {
            let number = |text: &str| text.parse::<f64>().map_err(|_| wrong(part));
            match (part, part.split_once('=')) {
                ("independent", _) => choices.push(ArrayChoice::Independent),
                ("model", _) => choices.push(ArrayChoice::Model),
                (_, Some(("column", column))) => {
                    choices.push(ArrayChoice::Correlated {
                        column: number(column)?,
                        bank: 0.0,
                    });
                    open = true;
                    continue;
                }
                (_, Some(("bank", value))) if open => match choices.last_mut() {
                    Some(ArrayChoice::Correlated { bank, .. }) => *bank = number(value)?,
                    _ => return Err(wrong(part)),
                },
                _ => return Err(wrong(part)),
            }
            open = false;
        }
    }
    Ok(choices)
}

impl ArrayChoice {
    /// The array, with the shape of the memory model's own.
    ///
    /// # Errors
    /// [`Error::Argument`] for correlations outside their range.
    pub(super) fn of(self, own: &ArraySpec) -> Result<ArraySpec> {
        let with = |column_correlation, bank_correlation| ArraySpec {
            column_correlation,
            bank_correlation,
            ..*own
        };
        let array = match self {
            Self::Model => *own,
            Self::Independent => with(0.0, 0.0),
            Self::Correlated { column, bank } => with(column, bank),
        };
        array.check().map_err(|error| match error {
            Error::Argument {
                what,
                expected,
                found,
            } => Error::argument("faults.arrays", format!("a {what} of {expected}"), found),
            other => other,
        })?;
        Ok(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(texts: &[&str]) -> Result<Vec<ArrayChoice>> {
        parse_arrays(
            &texts
                .iter()
                .map(|text| (*text).to_owned())
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn lists_hold_names_and_correlations() {
        use ArrayChoice::{Correlated, Independent, Model};
        let all = [
            Independent,
            Model,
            Correlated {
                column: 0.5,
                bank: 0.05,
            },
            Correlated {
                column: 0.3,
                bank: 0.0,
            },
        ];
        assert_eq!(
            parse(&["independent,model", "column=0.5,bank=0.05,column=0.3"]).unwrap(),
            all
        );
        assert_eq!(parse(&["column=0.5, bank=0.05"]).unwrap(), [all[2]]);
        assert_eq!(
            parse(&["column=0.5,bank=0.05,independent"]).unwrap(),
            [all[2], Independent]
        );
    }

    #[test]
    fn what_is_no_array_is_named_with_what_would_be() {
        for text in [
            "",
            "weak",
            "bank=0.1",
            "column=x",
            "independent,bank=0.1",
            "column=0.5,bank=0.1,bank=0.2",
        ] {
            let error = parse(&[text]).unwrap_err().to_string();
            assert!(
                error.starts_with("faults.arrays: expected independent, model, or column=R,bank=R"),
                "{error}"
            );
        }
        let own = ArraySpec {
            rows: 8,
            columns: 4,
            word_bits: 4,
            column_correlation: 0.0,
            bank_correlation: 0.0,
        };
        for (column, bank) in [(1.0, 0.0), (f64::NAN, 0.0), (0.2, 0.3), (0.2, -0.1)] {
            assert!(ArrayChoice::Correlated { column, bank }.of(&own).is_err());
        }
    }
}
