//! The words of tables for arrays and for what failing cells do.

use super::{KindName, Profile};
use crate::error::{refuse, Error, Result};
use crate::table::text_value;
use crate::units::text_form;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Which cells fail together, in the words of the column `array`. Variants are in the order of their words.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ArrayLabel {
    /// Those of a column and of a bank, with both correlations (`column 0.5 bank 0.05`), or what else a table says.
    Dependent(String),
    /// None.
    #[default]
    Independent,
    /// Those of a measured fault map.
    Map,
}

impl ArrayLabel {
    /// The words.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Dependent(words) => words,
            Self::Independent => "independent",
            Self::Map => "map",
        }
    }
}

impl fmt::Display for ArrayLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ArrayLabel {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "independent" => Self::Independent,
            "map" => Self::Map,
            other => Self::Dependent(other.to_owned()),
        })
    }
}

text_form!(ArrayLabel);
text_value!(ArrayLabel);

/// What a failing cell does, then what else was asked of faults, in the words of the column `fault_kind`. Ordered by
/// them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct FaultLabel {
    words: String,
    kind: Option<KindName>,
}

/// The first word of faults with the statistics of a profiled chip.
const PROFILE: &str = "profile";

/// What the words have where stored activations alone fail, and where they do at the voltage of the weights.
const ALONE: &str = "; activations alone";
const BOTH: &str = "; activations too";

impl FaultLabel {
    /// Faults of a kind, or of a profiled chip; `more` is what else was asked.
    pub fn new(kind: KindName, profile: Option<&Profile>, more: &str) -> Self {
        match profile {
            Some(chip) => Self {
                words: format!("{PROFILE} {}{more}", chip.name),
                kind: None,
            },
            None => Self {
                words: format!("{kind}{more}"),
                kind: Some(kind),
            },
        }
    }

    /// The same in stored activations, where those of weights do not fail; `more` is what else was asked of them.
    pub fn of_activations(mut self, more: &str) -> Self {
        self.words += &format!("{ALONE}{more}");
        self
    }

    /// The same in weights and in stored activations at one voltage.
    pub fn of_both(mut self, more: &str) -> Self {
        self.words += &format!("{BOTH}{more}");
        self
    }

    /// The words without which memories have cells that fail.
    pub fn of_cells(&self) -> &str {
        let end = [ALONE, BOTH]
            .iter()
            .find_map(|words| self.words.find(words));
        &self.words[..end.unwrap_or(self.words.len())]
    }

    /// True where stored activations alone fail.
    pub fn is_of_activations(&self) -> bool {
        self.words.contains(ALONE)
    }

    /// True where weights and stored activations have one voltage.
    pub fn is_of_both(&self) -> bool {
        self.words.contains(BOTH)
    }

    /// What a failing cell does; `None` for a profiled chip, of whose statistics it is a part.
    pub fn kind(&self) -> Option<KindName> {
        self.kind
    }

    /// The words.
    pub fn as_str(&self) -> &str {
        &self.words
    }
}

impl fmt::Display for FaultLabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl FromStr for FaultLabel {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        let first = text.split([' ', ';']).next().unwrap_or_default();
        let kind = KindName::ALL.into_iter().find(|kind| kind.name() == first);
        if kind.is_none() && first != PROFILE {
            let expected = format!(
                "{} or {PROFILE}, then what else was asked",
                KindName::WORDS.join(", ")
            );
            return refuse("kind of fault", expected, format!("`{text}`"));
        }
        Ok(Self {
            words: text.to_owned(),
            kind,
        })
    }
}

text_form!(FaultLabel);
text_value!(FaultLabel);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Cell, Value};

    #[test]
    fn words_of_arrays_read_back_in_their_order() {
        let words = [
            "column 0.5 bank 0",
            "column 0.51 bank 0.05",
            "independent",
            "map",
        ];
        let read = words.map(|text| text.parse::<ArrayLabel>().unwrap());
        assert!(read.is_sorted() && read[2] == ArrayLabel::Independent);
        assert_eq!(read.each_ref().map(ArrayLabel::as_str), words);
    }

    #[test]
    fn the_first_word_of_faults_says_their_kind_and_the_rest_is_kept() {
        for (text, kind) in [
            ("flip", Some(KindName::Flip)),
            ("flip map", Some(KindName::Flip)),
            ("flip; layers conv* fc", Some(KindName::Flip)),
            ("stuck 0.25; persistent 0.25", Some(KindName::Stuck)),
            ("biased 0.8", Some(KindName::Biased)),
            ("profile chip2; msb only", None),
        ] {
            let label: FaultLabel = text.parse().unwrap();
            assert_eq!((label.as_str(), label.kind()), (text, kind));
        }
        let error = FaultLabel::of(Cell::Text("flips".into())).unwrap_err();
        assert_eq!(
            error,
            "flip, stuck, biased or profile, then what else was asked"
        );
    }
}
