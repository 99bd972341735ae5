//! What counts as a right answer on an input: its own class, one of five, or the class without faults.

use super::words;
use serde::{Deserialize, Serialize};

/// What the share of right answers is a share of. Every metric is 0 or 1 for an input, and higher is better.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// The class of the greatest logit is the input's.
    #[default]
    Top1,
    /// The input's class is among those of the five greatest logits.
    Top5,
    /// The class of the greatest logit is that of the same network, with the same codes, without faults. Needs no labels.
    Agreement,
}

words!(Metric: Top1 "top1", Top5 "top5", Agreement "agreement");

impl Metric {
    /// Greatest logits of any metric among which the class may be.
    pub const MOST: usize = 5;

    /// Greatest logits among which the class must be.
    pub fn places(self) -> usize {
        match self {
            Self::Top1 | Self::Agreement => 1,
            Self::Top5 => Self::MOST,
        }
    }

    /// What stands on axes and over columns of such shares.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Top1 => "Accuracy",
            Self::Top5 => "Top-5 accuracy",
            Self::Agreement => "Agreement",
        }
    }

    /// What to tell of accuracies by it, unless it is the usual.
    pub fn note(self) -> Option<String> {
        let counted = match self {
            Self::Top1 => return None,
            Self::Top5 => "whose class is among those of the five greatest logits",
            Self::Agreement => {
                "that are given the class that the same network gives them without faults, whatever class is right"
            }
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
        self.places() as f64 / classes as f64
    }

    /// True where right answers are told by the classes of the data set.
    pub fn needs_labels(self) -> bool {
        self != Self::Agreement
    }
}
