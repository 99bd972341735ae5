//! Numbers that check themselves while they are read: rates, widths, voltages, accuracies, chips; and what accuracies
//! count.

mod metric;

pub use metric::Metric;

use crate::error::{refuse, Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Declares a checked `f64`: constructor, accessor, text and serde forms.
macro_rules! checked_f64 {
    ($(#[$doc:meta])* $name:ident, $what:literal, $expected:literal, |$x:ident| $test:expr) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, PartialOrd, ::serde::Serialize, ::serde::Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Checks the value.
            ///
            /// # Errors
            /// [`Error::Argument`](crate::error::Error::Argument) outside the range of the type; NaN is outside every range.
            pub fn new($x: f64) -> $crate::error::Result<Self> {
                if $test { Ok(Self($x)) } else { Err($crate::error::Error::argument($what, $expected, $x.to_string())) }
            }

            /// The plain number.
            pub fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = $crate::error::Error;
            fn try_from(value: f64) -> $crate::error::Result<Self> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::error::Error;
            fn from_str(text: &str) -> $crate::error::Result<Self> {
                let value: f64 =
                    text.trim().parse().map_err(|_| $crate::error::Error::argument($what, $expected, format!("`{text}`")))?;
                Self::new(value)
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                ::std::fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

pub(crate) use checked_f64;

/// Declares the words of an enum in files and tables: `ALL`, `WORDS`, `name` and `Display`; with the name of what they
/// say also `FromStr`, whose error lists them.
macro_rules! words {
    ($type:ident: $($value:ident $word:literal),+) => {
        #[allow(dead_code, unreachable_pub)] // no enum needs all of them
        impl $type {
            /// Every value, in the order of [`Self::WORDS`].
            pub const ALL: [Self; Self::WORDS.len()] = [$(Self::$value),+];
            /// Their words.
            pub const WORDS: &[&str] = &[$($word),+];

            /// The word of files and tables.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$value => $word),+
                }
            }
        }

        impl ::std::fmt::Display for $type {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
    ($type:ident, $what:literal: $($value:ident $word:literal),+) => {
        $crate::units::words!($type: $($value $word),+);

        impl ::std::str::FromStr for $type {
            type Err = $crate::error::Error;
            fn from_str(text: &str) -> $crate::error::Result<Self> {
                let known = Self::ALL.into_iter().find(|known| known.name() == text);
                known.ok_or_else(|| {
                    let expected = format!("one of {}", Self::WORDS.join(", "));
                    $crate::error::Error::argument($what, expected, format!("`{text}`"))
                })
            }
        }
    };
}

pub(crate) use words;

/// `String` to and from a type with `Display` and `FromStr`, for serde.
macro_rules! text_form {
    ($type:ident) => {
        impl TryFrom<String> for $type {
            type Error = $crate::error::Error;
            fn try_from(text: String) -> $crate::error::Result<Self> {
                text.parse()
            }
        }

        impl From<$type> for String {
            fn from(value: $type) -> Self {
                value.to_string()
            }
        }
    };
}

pub(crate) use text_form;

checked_f64!(
    /// Bit error rate: the fraction of stored bits that fail, in [0, 1].
    Ber, "bit error rate", "a number from 0 to 1", |x| (0.0..=1.0).contains(&x)
);
checked_f64!(
    /// Supply voltage in the unit of its memory model (volts, or a multiple of `Vmin`), above 0 and at most 100.
    Voltage, "voltage", "a number above 0 and at most 100", |x| x > 0.0 && (0.0..=100.0).contains(&x)
);
checked_f64!(
    /// Fraction of a whole, in [0, 1].
    Fraction, "fraction", "a number from 0 to 1", |x| (0.0..=1.0).contains(&x)
);
checked_f64!(
    /// Fraction of images classified correctly, in [0, 1].
    #[derive(Default)]
    Accuracy, "accuracy", "a number from 0 to 1", |x| (0.0..=1.0).contains(&x)
);
checked_f64!(
    /// A finite number above 0.
    Positive, "number", "a number above 0", |x| x > 0.0 && x.is_finite()
);

impl Ber {
    /// No bit fails.
    pub const ZERO: Self = Self(0.0);
}

/// Most characters of a name.
pub const LONGEST_NAME: usize = 64;

/// Checks what a model, a memory or a data set is called: it stands in tables, figures, reports and file names.
///
/// # Errors
/// What is expected, and what was found.
pub fn check_name(name: &str) -> Result<(), (String, String)> {
    let begins = name
        .chars()
        .next()
        .is_some_and(|c| c.is_alphanumeric() || c == '_');
    // what is not printable is escaped; quotes and backslashes are too
    let plain: String = name.chars().filter(|c| !"\"'\\".contains(*c)).collect();
    let printable = plain.escape_debug().eq(plain.chars());
    if begins && printable && name.chars().count() <= LONGEST_NAME {
        return Ok(());
    }
    let expected = format!(
        "a name of 1 to {LONGEST_NAME} printable characters that begins with a letter, a digit or `_`"
    );
    let length = name.chars().count();
    let short: String = name.chars().take(LONGEST_NAME).collect();
    let found = if length > LONGEST_NAME {
        format!("`{}...` of {length} characters", short.escape_debug())
    } else {
        format!("`{}`", short.escape_debug())
    };
    Err((expected, found))
}

/// A number of things as people read it.
///
/// ```
/// use wcat_explore::units::count_of;
/// assert_eq!(count_of(1100, "trial"), "1,100 trials");
/// assert_eq!(count_of(1, "trial"), "1 trial");
/// ```
pub fn count_of(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(&count.to_string()))
}

/// Digits with a comma between thousands.
pub(crate) fn thousands(digits: &str) -> String {
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Width of a stored weight in bits: 1 to 8, or 32 for weights that are not quantised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Bits(u8);

impl Bits {
    /// Weights stay 32-bit floats: no quantiser, no stored codes.
    pub const FLOAT: Self = Self(32);

    /// Checks the width.
    ///
    /// # Errors
    /// [`Error::Argument`] for anything but 1 to 8 and 32.
    pub fn new(bits: u64) -> Result<Self> {
        match bits {
            1..=8 | 32 => Ok(Self(bits as u8)),
            _ => refuse("bits", "1 to 8, or 32 for no quantisation", bits),
        }
    }

    /// The plain number.
    pub fn get(self) -> u32 {
        u32::from(self.0)
    }

    /// True for 32: no quantisation.
    pub fn is_float(self) -> bool {
        self.0 == 32
    }
}

/// No quantisation.
impl Default for Bits {
    fn default() -> Self {
        Self::FLOAT
    }
}

impl TryFrom<u64> for Bits {
    type Error = Error;
    fn try_from(value: u64) -> Result<Self> {
        Self::new(value)
    }
}

impl From<Bits> for u64 {
    fn from(value: Bits) -> u64 {
        u64::from(value.0)
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of one simulated chip, from 0. Chip `n` is the same silicon in every run of a seed.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default,
)]
#[serde(transparent)]
pub struct ChipId(pub u32);

impl fmt::Display for ChipId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Unit of a supply voltage.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum VoltageUnit {
    /// Multiples of the lowest voltage at which no failure was seen.
    #[default]
    Vmin,
    /// Volts.
    Volt,
}

words!(VoltageUnit: Vmin "vmin", Volt "volt");

impl VoltageUnit {
    /// The symbol used on axes and in tables.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Vmin => "V/Vmin",
            Self::Volt => "V",
        }
    }
}

/// Where a bit error rate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BerSource {
    /// Inside the measured span: interpolated in probit space.
    #[default]
    Measured,
    /// Between the lowest measured rate and the error-free voltage: the probit line continued.
    Censored,
    /// At or above the error-free voltage: 0.
    ErrorFree,
    /// Below the measured span: the last slope continued.
    Extrapolated,
}

impl BerSource {
    /// How doubtful a rate of it is.
    pub fn doubt(&self) -> u8 {
        match self {
            Self::ErrorFree => 0,
            Self::Measured => 1,
            Self::Censored => 2,
            Self::Extrapolated => 3,
        }
    }
}

words!(
    BerSource:
    Measured "measured",
    Censored "censored",
    ErrorFree "error_free",
    Extrapolated "extrapolated"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_printable_and_begin_plainly() {
        let longest = "\u{e9}".repeat(LONGEST_NAME);
        for name in [
            "a",
            "_a",
            "1.0-b c|d*'\"\\",
            "\u{6a21}\u{578b}",
            longest.as_str(),
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        let long = "a".repeat(LONGEST_NAME + 1);
        for name in [
            "",
            " a",
            "-a",
            ".a",
            "a\n",
            "a\u{1b}",
            "a\u{202e}",
            "a\u{200b}",
            "a\u{a0}",
            long.as_str(),
        ] {
            let (_, found) = check_name(name).unwrap_err();
            assert!(
                found.len() < 100 && !found.contains(['\n', '\u{1b}', '\u{202e}']),
                "{found}"
            );
        }
    }

    #[test]
    fn nan_and_infinity_are_outside_every_range() {
        for x in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.1, 1.1] {
            assert!(Ber::new(x).is_err(), "{x}");
            assert!(Accuracy::new(x).is_err(), "{x}");
        }
        for x in [f64::NAN, f64::INFINITY, 0.0, -1.0, 101.0] {
            assert!(Voltage::new(x).is_err(), "{x}");
        }
    }

    #[test]
    fn text_that_is_no_number_is_named_in_the_error() {
        let error = "abc".parse::<Voltage>().unwrap_err().to_string();
        assert_eq!(
            error,
            "voltage: expected a number above 0 and at most 100, found `abc`"
        );
    }

    #[test]
    fn widths_are_one_to_eight_or_thirty_two() {
        let good: Vec<u64> = (0..64).filter(|&b| Bits::new(b).is_ok()).collect();
        assert_eq!(good, [1, 2, 3, 4, 5, 6, 7, 8, 32]);
        assert!(Bits::FLOAT.is_float());
    }
}
