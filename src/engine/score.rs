//! Counting of right answers and losses.

use super::images::Goal;
use crate::units::Metric;

/// Class of an input that has none, or of logits that are not finite.
pub(super) const NO_CLASS: u32 = u32::MAX;

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Images evaluated.
    pub images: u64,
    /// Images with a right answer, by the metric of the images. Where a logit is not finite the answer is wrong.
    pub correct: u64,
    /// Images of which a logit is not finite.
    pub not_finite: u64,
    /// Mean cross-entropy in nats; not finite where a logit is not, or where images have no classes.
    pub loss: f64,
}

impl Score {
    /// Fraction of images with a right answer.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

/// Result of an evaluation image by image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Whether the answer on each image was right; not where a logit is not finite.
    pub right: Vec<bool>,
    /// Logit of each image's label less the greatest of the others (top 5: the fifth): how far its answer is from the
    /// other kind. Negative infinity where a logit is not finite.
    pub margins: Vec<f32>,
    /// Images of which a logit is not finite.
    pub not_finite: u64,
}

impl Answers {
    /// Images with a right answer.
    pub fn correct(&self) -> u64 {
        self.right.iter().filter(|right| **right).count() as u64
    }

    /// Their numbers; the loss, which answers do not say, is NaN.
    pub fn score(&self) -> Score {
        Score {
            images: self.right.len() as u64,
            correct: self.correct(),
            not_finite: self.not_finite,
            loss: f64::NAN,
        }
    }
}

/// What a network made of one image.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer {
    right: bool,
    class: u32,
    margin: f32,
    finite: bool,
    loss: f64,
}

impl Answer {
    /// Of these logits. There is no loss where the goal says no class of the data: outputs may then be no classes, and many.
    #[inline(always)]
    pub(super) fn new(logits: &[f32], goal: Goal) -> Self {
        let predicted = predicted(logits);
        let (right, margin, loss) = match goal {
            _ if predicted.is_none() => (false, f32::NEG_INFINITY, f64::NAN),
            Goal::Class(label, metric) => {
                let (own, places) = (label as usize, metric.places().unwrap_or(1));
                let loss = metric.needs_labels().then(|| cross_entropy(logits, own));
                let right = match places {
                    1 => predicted == Some(own),
                    _ => rank(logits, own) < places,
                };
                let margin = margin(logits, own, places);
                (right, margin, loss.unwrap_or(f64::NAN))
            }
            Goal::Outputs(expected, share) => {
                let left = share * power(expected) - error(logits, expected);
                (left >= 0.0, left as f32, f64::NAN)
            }
        };
        Self {
            right,
            class: predicted.map_or(NO_CLASS, |class| class as u32),
            margin,
            finite: predicted.is_some(),
            loss,
        }
    }
}

/// Counts and sums over images seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Whether the answer on each image was right.
    right: Vec<bool>,
    classes: Vec<u32>,
    margins: Vec<f32>,
    not_finite: u64,
    loss: f64,
}

impl Tally {
    /// One more image.
    #[inline(always)]
    pub(super) fn add(&mut self, logits: &[f32], goal: Goal) {
        self.count(Answer::new(logits, goal));
    }

    /// Of answers in their order: the losses of `run` images are added before they join the sum.
    pub(super) fn of(answers: &[Answer], run: usize) -> Self {
        let mut all = Self::default();
        for answers in answers.chunks(run) {
            let mut tally = Self::default();
            answers.iter().for_each(|answer| tally.count(*answer));
            all.add_all(tally);
        }
        all
    }

    /// One more image that was answered.
    pub(super) fn count(&mut self, answer: Answer) {
        self.right.push(answer.right);
        self.classes.push(answer.class);
        self.margins.push(answer.margin);
        self.not_finite += u64::from(!answer.finite);
        self.loss += answer.loss;
    }

    /// The images of another after these; the sum of its losses is added as one.
    pub(super) fn add_all(&mut self, other: Self) {
        self.right.extend(other.right);
        self.classes.extend(other.classes);
        self.margins.extend(other.margins);
        self.not_finite += other.not_finite;
        self.loss += other.loss;
    }

    pub(super) fn score(self) -> Score {
        Score {
            loss: self.loss / self.right.len().max(1) as f64,
            ..self.answers().score()
        }
    }

    /// Class of the greatest logit of each image; [`NO_CLASS`] where one is not finite.
    pub(super) fn classes(self) -> Vec<u32> {
        self.classes
    }

    /// Image by image, in the order in which they were seen.
    pub(super) fn answers(self) -> Answers {
        Answers {
            right: self.right,
            margins: self.margins,
            not_finite: self.not_finite,
        }
    }
}

/// Sum of the squares of outputs.
fn power(outputs: &[f32]) -> f64 {
    outputs.iter().map(|x| f64::from(*x).powi(2)).sum()
}

/// Sum of the squares of differences.
fn error(outputs: &[f32], expected: &[f32]) -> f64 {
    let pairs = outputs.iter().zip(expected);
    pairs
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2))
        .sum()
}

/// The greatest of some numbers, none of which is NaN; of none the least number.
#[inline(always)]
fn greatest(numbers: &[f32]) -> f32 {
    // lane by lane: so many comparisons at once
    let mut lanes = [f32::MIN; 16];
    let mut blocks = numbers.chunks_exact(lanes.len());
    let rest = blocks.remainder();
    for block in blocks.by_ref().chain([rest]) {
        for (lane, number) in lanes.iter_mut().zip(block) {
            *lane = if number > lane { *number } else { *lane };
        }
    }
    lanes.into_iter().fold(f32::MIN, f32::max)
}

/// How many numbers are like this: all are looked at, several at once.
#[inline(always)]
fn count(numbers: &[f32], like: impl Fn(f32) -> bool) -> usize {
    let count: u32 = numbers.iter().map(|number| u32::from(like(*number))).sum();
    count as usize
}

/// Class of the greatest logit, the first of equals; `None` where one is not finite.
#[inline(always)]
fn predicted(logits: &[f32]) -> Option<usize> {
    if count(logits, f32::is_finite) < logits.len() {
        return None;
    }
    let greatest = greatest(logits);
    logits.iter().position(|logit| *logit == greatest)
}

/// Classes before the label by their logits, of equals the first; all for a label outside.
#[inline(always)]
fn rank(logits: &[f32], label: usize) -> usize {
    let Some(&own) = logits.get(label) else {
        return logits.len();
    };
    count(logits, |logit| logit > own) + count(&logits[..label], |logit| logit == own)
}

/// Logit of the label less the greatest of the others, or the one at that many `places`; negative infinity for a label
/// outside.
#[inline(always)]
fn margin(logits: &[f32], label: usize, places: usize) -> f32 {
    let Some(own) = logits.get(label) else {
        return f32::NEG_INFINITY;
    };
    if places == 1 {
        return own - greatest(&logits[..label]).max(greatest(&logits[label + 1..]));
    }
    let mut greatest = [f32::MIN; Metric::MOST];
    for (class, logit) in logits.iter().enumerate() {
        let mut rest = *logit;
        for kept in greatest.iter_mut().take(places).filter(|_| class != label) {
            (*kept, rest) = (kept.max(rest), kept.min(rest));
        }
    }
    own - greatest[places - 1]
}

/// `log Σ exp(l) - l[label]` in f64; NaN for a label outside, which costs nothing.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let Some(&own) = logits.get(label) else {
        return f64::NAN;
    };
    let max = logits.iter().fold(f32::NEG_INFINITY, |max, x| max.max(*x));
    let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
    sum.ln() + f64::from(max) - f64::from(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_the_first_class_and_what_is_not_finite_has_none() {
        assert_eq!(predicted(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(predicted(&[f32::NAN, 3.0]), None);
        assert_eq!(predicted(&[f32::NEG_INFINITY, 3.0]), None);
        assert_eq!(predicted(&[1.0, f32::INFINITY]), None);
        assert_eq!(margin(&[1.0, 3.0, 2.5], 1, 1), 0.5);
        assert_eq!(margin(&[1.0, 3.0, 2.5], 0, 1), -2.0);
        assert_eq!(margin(&[1.0, 3.0], 2, 1), f32::NEG_INFINITY);
        assert!((cross_entropy(&[0.0, 0.0], 1) - 2f64.ln()).abs() < 1e-12);
        assert!((cross_entropy(&[1e30, -1e30], 0)).abs() < 1e-12);
    }

    #[test]
    fn the_five_greatest_are_right_for_top_5_ties_going_to_the_first() {
        let logits = [0.0, 7.0, 2.0, 2.0, 5.0, 2.0, 9.0];
        let right = |metric| -> Vec<u32> {
            let all = 0..logits.len() as u32 + 1;
            all.filter(|label| Answer::new(&logits, Goal::Class(*label, metric)).right)
                .collect()
        };
        assert_eq!(right(Metric::Top1), [6]);
        assert_eq!(right(Metric::Top5), [1, 2, 3, 4, 6]);
        // the fifth of the others: 2 for what is among the five, and for what is not
        for (label, expected) in [(6, 7.0), (2, 0.0), (5, 0.0), (0, -2.0)] {
            assert_eq!(margin(&logits, label, 5), expected, "{label}");
        }
        assert!(!Answer::new(&[f32::NAN; 7], Goal::Class(1, Metric::Top5)).right);
        let answer = |label, metric| Answer::new(&logits, Goal::Class(label, metric));
        assert_eq!(answer(NO_CLASS, Metric::Top1).class, 6);
        let loss = |label, metric| answer(label, metric).loss;
        assert!(loss(NO_CLASS, Metric::Top1).is_nan() && loss(1, Metric::Agreement).is_nan());
        assert!(loss(1, Metric::Top5).is_finite());
    }

    #[test]
    fn outputs_are_right_up_to_their_share_of_the_power_of_those_expected() {
        let expected = [3.0, 0.0, 4.0];
        let answer = |outputs: &[f32], share| Answer::new(outputs, Goal::Outputs(&expected, share));
        // an error of 1 in 25
        let near = [3.0, 1.0, 4.0];
        assert!(answer(&near, 0.04).right && !answer(&near, 0.039).right);
        assert_eq!(answer(&near, 0.08).margin, 1.0);
        assert!(answer(&expected, 0.0).right && answer(&expected, 0.1).loss.is_nan());
        let broken = answer(&[3.0, f32::INFINITY, 4.0], 1.0);
        assert!(!broken.right && !broken.finite && broken.margin == f32::NEG_INFINITY);
    }
}
