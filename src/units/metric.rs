//! What counts as a right answer on an input: its own class, one of five, or what the network says without faults.

use super::text_form;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What the share of right answers is a share of. Every metric is 0 or 1 for an input, and higher is better.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub enum Metric {
    /// The class of the greatest logit is the input's.
    #[default]
    Top1,
    /// The input's class is among those of the five greatest logits.
    Top5,
    /// The class of the greatest logit is that of the same network, with the same codes, without faults. Needs no labels.
    Agreement,
    /// The outputs are those of the same network without faults, but for an error of at least so many decibels less power.
    /// For outputs that are no classes; needs no labels.
    Snr(u8),
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Top1 => f.write_str("top1"),
            Self::Top5 => f.write_str("top5"),
            Self::Agreement => f.write_str("agreement"),
            Self::Snr(decibels) => write!(f, "snr:{decibels}"),
        }
    }
}

impl FromStr for Metric {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let metric = match text.split_once(':') {
            None if text == "top1" => Some(Self::Top1),
            None if text == "top5" => Some(Self::Top5),
            None if text == "agreement" => Some(Self::Agreement),
            Some(("snr", decibels)) => decibels
                .parse()
                .ok()
                .filter(|decibels| (1..=Self::MOST_DECIBELS).contains(decibels))
                .map(Self::Snr),
            _ => None,
        };
        metric.ok_or_else(|| {
            let expected = format!(
                "top1, top5, agreement, or snr:DECIBELS of 1 to {}",
                Self::MOST_DECIBELS
            );
            Error::argument("metric", expected, format!("`{text}`"))
        })
    }
}

text_form!(Metric);

impl Metric {
    /// Greatest logits of any metric among which the class may be.
    pub const MOST: usize = 5;
    /// More decibels are beyond what 32-bit floats hold.
    const MOST_DECIBELS: u8 = 120;

    /// Greatest logits among which the class must be; `None` where outputs are no classes.
    pub fn places(self) -> Option<usize> {
        match self {
            Self::Top1 | Self::Agreement => Some(1),
            Self::Top5 => Some(Self::MOST),
            Self::Snr(_) => None,
        }
    }

    /// What stands on axes and over columns of such shares.
    pub fn title(self) -> String {
        match self {
            Self::Top1 => "Accuracy".into(),
            Self::Top5 => "Top-5 accuracy".into(),
            Self::Agreement => "Agreement".into(),
            Self::Snr(decibels) => format!("Inputs within {decibels} dB"),
        }
    }

    /// The same within a sentence.
    pub fn words(self) -> String {
        let title = self.title();
        let (first, rest) = title.split_at(1);
        first.to_lowercase() + rest
    }

    /// What to tell of accuracies by it, unless it is the usual.
    pub fn note(self) -> Option<String> {
        let counted = match self {
            Self::Top1 => return None,
            Self::Top5 => "whose class is among those of the five greatest logits".into(),
            Self::Agreement => {
                "that are given the class that the same network gives them without faults, whatever class is right"
                    .into()
            }
            Self::Snr(decibels) => format!(
                "whose outputs are those of the same network without faults, but for an error that has at most \
                 10^(-{decibels}/10) of their power"
            ),
        };
        Some(format!(
            "accuracy is `{self}` here: the share of inputs {counted}"
        ))
    }

    /// True for the metric of whoever says none.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Share of right answers of a network that guesses among so many classes.
    pub fn chance(self, classes: usize) -> f64 {
        self.places().unwrap_or(0) as f64 / classes as f64
    }

    /// True where right answers are told by the classes of the data set.
    pub fn needs_labels(self) -> bool {
        matches!(self, Self::Top1 | Self::Top5)
    }
}
