//! How stored codes are protected against failing cells, as a user names it; addresses are the layout's affair.

use super::secded::{CHECK_BITS, DATA_BITS};
use crate::error::{refuse, Error, Result};
use crate::table::text_value;
use crate::units::text_form;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Protection of the stored codes: a design point of its own. Variants are in the order of their words.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum Protection {
    /// The so many most significant bits of each code, 1 to 8, lie in cells that do not fail.
    Msb(u32),
    /// None.
    #[default]
    None,
    /// One parity bit for each code; a code whose parity fails reads as zero.
    ParityZero,
    /// Words of 64 data and 8 check bits, see [`super::secded`].
    Secded,
}

const MSB: [&str; 8] = [
    "msb:1", "msb:2", "msb:3", "msb:4", "msb:5", "msb:6", "msb:7", "msb:8",
];

impl Protection {
    /// The word of tables and of the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Msb(bits) => MSB[bits.clamp(1, 8) as usize - 1],
            Self::None => "none",
            Self::ParityZero => "parity_zero",
            Self::Secded => "secded",
        }
    }

    /// Bits stored beside each weight, in bits per weight of `bits` bits.
    pub fn overhead_bits(self, bits: u32) -> f64 {
        match self {
            Self::None | Self::Msb(_) => 0.0,
            Self::Secded => f64::from(bits) * f64::from(CHECK_BITS) / f64::from(DATA_BITS),
            Self::ParityZero => 1.0,
        }
    }

    /// Bits of a code of `bits` bits that lie in cells that do not fail.
    pub fn robust_bits(self, bits: u32) -> u32 {
        match self {
            Self::Msb(robust) => robust.min(bits),
            _ => 0,
        }
    }

    /// Reads protections after commas, each once.
    ///
    /// # Errors
    /// [`Error::Argument`] for an unknown word, or one that stands twice.
    pub fn parse_list(texts: &[String]) -> Result<Vec<Self>> {
        let mut all = Vec::new();
        for text in texts.iter().flat_map(|text| text.split(',')) {
            let protection: Self = text.trim().parse()?;
            if all.contains(&protection) {
                let found = format!("`{protection}` twice");
                return refuse("sweep.protection", "each protection once", found);
            }
            all.push(protection);
        }
        Ok(all)
    }
}

impl fmt::Display for Protection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Protection {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let msb = || {
            text.strip_prefix("msb:")?
                .parse::<u32>()
                .ok()
                .filter(|bits| (1..=8).contains(bits))
        };
        match text {
            "none" => Ok(Self::None),
            "secded" => Ok(Self::Secded),
            "parity_zero" => Ok(Self::ParityZero),
            _ => msb().map(Self::Msb).ok_or_else(|| {
                let expected =
                    "none, msb:k (k most significant bits, 1 to 8), secded or parity_zero";
                Error::argument("sweep.protection", expected, format!("`{text}`"))
            }),
        }
    }
}

text_form!(Protection);
text_value!(Protection);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_read_back_in_their_order_and_unknown_ones_list_the_known() {
        let all = [
            Protection::Msb(1),
            Protection::Msb(8),
            Protection::None,
            Protection::ParityZero,
            Protection::Secded,
        ];
        assert!(all.is_sorted() && all.map(Protection::name).is_sorted());
        for protection in all {
            assert_eq!(
                protection.to_string().parse::<Protection>().unwrap(),
                protection
            );
        }
        for bad in ["ecc", "msb", "msb:0", "msb:9", "msb:-1", ""] {
            let error = bad.parse::<Protection>().unwrap_err().to_string();
            assert!(
                error.contains("none, msb:k") && error.ends_with(&format!("`{bad}`")),
                "{error}"
            );
        }
    }

    #[test]
    fn lists_hold_each_protection_once() {
        let list = |text: &str| Protection::parse_list(&[text.to_owned()]);
        assert_eq!(
            list("none, msb:2,secded").unwrap(),
            [Protection::None, Protection::Msb(2), Protection::Secded]
        );
        assert!(list("none,none")
            .unwrap_err()
            .to_string()
            .contains("`none` twice"));
    }

    #[test]
    fn overheads_are_those_of_the_codes() {
        let overheads = |bits| {
            [
                Protection::None,
                Protection::Msb(1),
                Protection::Secded,
                Protection::ParityZero,
            ]
            .map(|protection| protection.overhead_bits(bits))
        };
        assert_eq!(overheads(8), [0.0, 0.0, 1.0, 1.0]);
        assert_eq!(overheads(4), [0.0, 0.0, 0.5, 1.0]);
        assert_eq!(
            [1, 4, 8].map(|bits| Protection::Msb(4).robust_bits(bits)),
            [1, 4, 4]
        );
    }
}
