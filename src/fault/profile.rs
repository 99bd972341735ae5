//! Three profiled 14 nm chips: measured statistics of their bit errors, without a voltage.
//!
//! Source: Stutz et al., Bit Error Robustness for Energy-Efficient DNN Accelerators, MLSys 2021, supplement.
//! Per measurement, in fractions of all bits: bit error rate `p`; the errors that turned 0 into 1 and 1 into 0;
//! the persistent ones, which were there in every read. The two directions of chip 2 at 4.707 % do not sum
//! to it in the source either: only their ratio is used.

use super::{ArraySpec, FaultKind};
use crate::error::{Error, Result};
use crate::units::{Ber, Fraction};

/// Statistics of a chip.
#[derive(Debug, PartialEq)]
pub struct Profile {
    /// Name on the command line.
    pub name: &'static str,
    /// Correlation of cells in a column: the middle of the span given for chip 2 (0.42 to 0.60); 0 for chip 1
    /// (0.01 measured) and for chip 3, of which none is given.
    pub column_correlation: f64,
    /// What was measured, the highest rate first.
    pub measured: &'static [ProfilePoint],
}

/// One measurement, in fractions of all bits.
#[derive(Debug, PartialEq)]
pub struct ProfilePoint {
    /// Bit error rate.
    pub ber: f64,
    /// Bits that held 0 and read 1.
    pub zero_to_one: f64,
    /// Bits that held 1 and read 0.
    pub one_to_zero: f64,
    /// Errors that were there in every read.
    pub persistent: f64,
}

const fn point(ber: f64, zero_to_one: f64, one_to_zero: f64, persistent: f64) -> ProfilePoint {
    ProfilePoint {
        ber,
        zero_to_one,
        one_to_zero,
        persistent,
    }
}

static CHIPS: [Profile; 3] = [
    Profile {
        name: "chip1",
        column_correlation: 0.0,
        measured: &[
            point(0.02744, 0.0127, 0.0147, 0.01223),
            point(0.00866, 0.0038, 0.0049, 0.00393),
        ],
    },
    Profile {
        name: "chip2",
        column_correlation: 0.51,
        measured: &[
            point(0.04707, 0.03443, 0.01091, 0.00627),
            point(0.0101, 0.0082, 0.0019, 0.00105),
            point(0.00136, 0.00115, 0.00021, 0.0001),
        ],
    },
    Profile {
        name: "chip3",
        column_correlation: 0.0,
        measured: &[
            point(0.02297, 0.0181, 0.0048, 0.00204),
            point(0.00597, 0.00496, 0.000995, 0.00206),
        ],
    },
];

impl Profile {
    /// A profile by its name.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown name, with the known ones.
    pub fn named(name: &str) -> Result<&'static Self> {
        CHIPS
            .iter()
            .find(|profile| profile.name == name)
            .ok_or_else(|| {
                let known: Vec<&str> = CHIPS.iter().map(|profile| profile.name).collect();
                let expected = format!("one of {}", known.join(", "));
                Error::argument("faults.profile", expected, format!("`{name}`"))
            })
    }

    /// The measurement at a bit error rate.
    ///
    /// # Errors
    /// [`Error::Argument`] where the chip was not measured at that rate, with the rates that it was.
    pub fn at(&self, ber: Ber) -> Result<&ProfilePoint> {
        self.measured
            .iter()
            .find(|point| point.ber == ber.get())
            .ok_or_else(|| {
                let known = self.measured.iter().map(|point| point.ber.to_string());
                let known = known.collect::<Vec<_>>().join(", ");
                let expected = format!("a rate at which {} was measured: {known}", self.name);
                Error::argument("bit error rate", expected, ber.to_string())
            })
    }

    /// The array of the chip, with the shape of a memory model's own.
    pub fn array(&self, own: &ArraySpec) -> ArraySpec {
        ArraySpec {
            column_correlation: self.column_correlation,
            bank_correlation: 0.0,
            ..*own
        }
    }
}

impl ProfilePoint {
    /// Flips with the bias of the measurement, `zero_to_one / (zero_to_one + one_to_zero)`.
    ///
    /// # Errors
    /// None for the profiles here.
    pub fn kind(&self) -> Result<FaultKind> {
        let zero_to_one_share =
            Fraction::new(self.zero_to_one / (self.zero_to_one + self.one_to_zero))?;
        Ok(FaultKind::Biased { zero_to_one_share })
    }

    /// Fraction of the errors that are there in every read.
    ///
    /// # Errors
    /// None for the profiles here.
    pub fn persistent_share(&self) -> Result<Fraction> {
        Fraction::new(self.persistent / self.ber)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directions_sum_to_the_rate_but_for_the_one_that_does_not_in_the_source() {
        for profile in &CHIPS {
            for point in profile.measured {
                let sum = point.zero_to_one + point.one_to_zero;
                let known_gap = profile.name == "chip2" && point.ber == 0.04707;
                assert_eq!(
                    (sum / point.ber - 1.0).abs() > 0.01,
                    known_gap,
                    "{} {sum}",
                    profile.name
                );
                assert!(point.persistent_share().unwrap().get() < 0.5);
                point.kind().unwrap();
            }
            assert_eq!(Profile::named(profile.name).unwrap(), profile);
        }
    }

    #[test]
    fn a_rate_that_was_not_measured_is_refused_with_those_that_were() {
        let chip = Profile::named("chip1").unwrap();
        assert!(chip.at(Ber::new(0.00866).unwrap()).is_ok());
        let error = chip.at(Ber::new(0.01).unwrap()).unwrap_err().to_string();
        assert!(
            error.contains("chip1 was measured: 0.02744, 0.00866, found 0.01"),
            "{error}"
        );
    }
}
