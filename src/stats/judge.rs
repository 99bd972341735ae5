//! What chips must reach, and whether one does on all test images, from as few of them as are needed.

use super::{clopper_pearson_at, Interval};
use serde::{Deserialize, Serialize};
use statrs::distribution::{DiscreteCDF, Hypergeometric};

/// Images of the first look, as a fraction of all; each look takes twice as many as the one before.
const FIRST: f64 = 1.0 / 32.0;

/// Shares of a risk of what is lost among the right images, and of what is gained among the others, which is less.
const SPLIT: [f64; 2] = [0.9, 0.1];
/// Most probability that a chip that misses the accuracy is judged good, where a yield is asked for: the less certain each
/// chip, the fewer images it takes and the more chips.
const OF_GOOD: f64 = 0.1;

/// What must hold at a voltage. Accuracies are fractions in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Target {
    /// The mean accuracy over chips is at least this.
    Mean(f64),
    /// At least a fraction of the chips has at least this accuracy.
    Yield {
        /// The fraction, above 0 and below 1.
        fraction: f64,
        /// The accuracy.
        floor: f64,
    },
}

impl Target {
    /// The accuracy that must be reached, by the mean or by single chips.
    pub fn floor(self) -> f64 {
        match self {
            Self::Mean(floor) | Self::Yield { floor, .. } => floor,
        }
    }

    /// What must be reached: a mean accuracy, or a fraction of chips.
    pub fn goal(self) -> f64 {
        match self {
            Self::Mean(goal) | Self::Yield { fraction: goal, .. } => goal,
        }
    }
}

/// What a chip was judged to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Judged {
    /// Whether it reaches the accuracy.
    pub good: bool,
    /// Images that it took.
    pub images: u64,
}

/// How often chips may be misjudged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Risks {
    /// Most probability that a chip that misses the accuracy is judged good, above 0.
    pub of_good: f64,
    /// Most probability that a chip that reaches it is judged bad, above 0.
    pub of_bad: f64,
}

impl Risks {
    /// Those of a yield of this fraction: they move it by a tenth of what may fail.
    pub fn of_yield(fraction: f64) -> Self {
        Self {
            of_good: OF_GOOD,
            of_bad: 0.1 * (1.0 - fraction),
        }
    }

    /// One-sided bounds of a yield, each of a confidence, where so many of the chips were judged good. With a yield `y`,
    /// the probability of that is at most `y + (1 - y) of_good` and at least `y (1 - of_bad)`.
    pub fn bounds(self, confidence: f64, good: u64, chips: u64) -> Interval {
        let judged = clopper_pearson_at(confidence, good, chips);
        Interval {
            low: ((judged.low - self.of_good) / (1.0 - self.of_good)).max(0.0),
            high: (judged.high / (1.0 - self.of_bad)).min(1.0),
        }
    }
}

/// What is to be judged: among the test images those that the clean network has right, and those that it has wrong.
///
/// A look is at the first images of a random order of either kind, so that those seen are drawn without replacement, and
/// exact bounds of a hypergeometric number hold for what is lost among the right ones and gained among the wrong ones.
/// Each risk is split over the looks, and unevenly over both kinds.
///
/// A wrong judgement biases a yield by little: of chips of a yield `y`, at most `y + (1 - y) of_good` are judged good and
/// at least `y (1 - of_bad)`, so that chips need few images each (compare [`Risks::bounds`]).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// Test images that the clean network has right.
    pub right: u64,
    /// Those that it has wrong.
    pub wrong: u64,
    /// Accuracy to be reached, in [0, 1].
    pub floor: f64,
    /// How often it may be wrong.
    pub risks: Risks,
}

impl Judgement {
    /// Images of either kind, right and wrong, look by look; the last has all.
    pub fn looks(&self) -> Vec<(u64, u64)> {
        let mut looks = Vec::new();
        let mut fraction = FIRST;
        while fraction < 0.9 {
            let of = |all: u64| (all as f64 * fraction).ceil() as u64;
            looks.push((of(self.right), of(self.wrong)));
            fraction *= 2.0;
        }
        looks.push((self.right, self.wrong));
        looks
    }

    /// Images that it takes where every look shows what is to be expected of a chip of this loss of accuracy.
    pub fn expected_images(&self, loss: f64) -> u64 {
        let all = self.right + self.wrong;
        for (right, wrong) in self.looks() {
            let lost = loss * all as f64 * right as f64 / self.right as f64;
            if self
                .of_look((right, wrong), lost.round().min(right as f64) as u64, 0)
                .is_some()
            {
                return right + wrong;
            }
        }
        all
    }

    /// What a look at so many images says, of which so many that were right are wrong on the chip, and so many that were
    /// wrong right; `None` where it says nothing.
    pub fn of_look(&self, images: (u64, u64), lost: u64, gained: u64) -> Option<bool> {
        let needed = self.floor * (self.right + self.wrong) as f64 - 1e-9;
        if images == (self.right, self.wrong) {
            return Some((self.right - lost + gained) as f64 >= needed);
        }
        let looks = (self.looks().len() - 1) as f64;
        let [of_lost, of_gained] = SPLIT.map(|share| share * self.risks.of_good / looks);
        let most_lost = most(self.right, images.0, lost, of_lost);
        let least_gained = least(self.wrong, images.1, gained, of_gained);
        if (self.right - most_lost + least_gained) as f64 >= needed {
            return Some(true);
        }
        let [of_lost, of_gained] = SPLIT.map(|share| share * self.risks.of_bad / looks);
        let least_lost = least(self.right, images.0, lost, of_lost);
        let most_gained = most(self.wrong, images.1, gained, of_gained);
        let most_right = self.right - least_lost + most_gained;
        ((most_right as f64) < needed).then_some(false)
    }
}

/// Upper bound, of a confidence of 1 less the risk, of how many of `all` have a property that `found` of `drawn` have,
/// drawn without replacement.
fn most(all: u64, drawn: u64, found: u64, risk: f64) -> u64 {
    // the greatest number of which so few are found with more than the risk
    let (mut low, mut high) = (found, all - (drawn - found));
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let probability =
            Hypergeometric::new(all, middle, drawn).map_or(1.0, |number| number.cdf(found));
        if probability > risk {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// Lower bound of it. What is rare is found in few terms of the sum.
fn least(all: u64, drawn: u64, found: u64, risk: f64) -> u64 {
    let Some(fewer) = found.checked_sub(1) else {
        return 0;
    };
    let (mut low, mut high) = (found, all - (drawn - found));
    while low < high {
        let middle = low + (high - low) / 2;
        let probability =
            Hypergeometric::new(all, middle, drawn).map_or(1.0, |number| 1.0 - number.cdf(fewer));
        if probability > risk {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};

    #[test]
    fn bounds_are_exact_in_small_cases() {
        // of 10, 5 drawn, none found: 4 others are missed with C(6,5)/C(10,5) = 6/252, 3 with 21/252
        assert_eq!(most(10, 5, 0, 0.05), 3);
        assert_eq!(most(10, 5, 0, 0.02), 4);
        assert_eq!(most(10, 10, 4, 0.05), 4);
        assert_eq!(most(0, 0, 0, 0.05), 0);
        assert_eq!(least(10, 5, 5, 0.05), 10 - most(10, 5, 0, 0.05));
        assert_eq!(least(10, 5, 0, 0.05), 0);
    }

    #[test]
    fn chips_are_misjudged_as_seldom_as_the_risk_says() {
        let (right, wrong, risk) = (920u64, 80u64, 0.1);
        let mut stream = Seed(5).stream(Purpose::Test, &[]);
        for (lost, gained) in [(22u64, 2u64), (14, 3), (10, 0), (30, 10)] {
            let judgement = Judgement {
                right,
                wrong,
                floor: 0.9,
                risks: Risks {
                    of_good: risk,
                    of_bad: risk,
                },
            };
            let truth = right - lost + gained >= 900;
            let (mut misjudged, mut images) = (0, 0);
            for _ in 0..400 {
                let mut of_right: Vec<bool> = (0..right).map(|i| i < lost).collect();
                let mut of_wrong: Vec<bool> = (0..wrong).map(|i| i < gained).collect();
                stream.shuffle(&mut of_right);
                stream.shuffle(&mut of_wrong);
                let count = |all: &[bool], n: u64| all[..n as usize].iter().filter(|x| **x).count();
                for look in judgement.looks() {
                    let seen = (
                        count(&of_right, look.0) as u64,
                        count(&of_wrong, look.1) as u64,
                    );
                    if let Some(good) = judgement.of_look(look, seen.0, seen.1) {
                        misjudged += u64::from(good != truth);
                        images += look.0 + look.1;
                        break;
                    }
                }
            }
            assert!(misjudged <= 40, "{lost} {gained}: {misjudged}");
            assert!(images <= 400 * (right + wrong));
        }
    }
}
