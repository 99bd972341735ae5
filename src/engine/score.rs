//! Counting of right answers and losses.

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly. Where a logit is not finite the image counts as wrong.
    pub correct: u64,
    /// Images of which a logit is not finite.
    pub not_finite: u64,
    /// Mean cross-entropy in nats; not finite where a logit is not.
    pub loss: f64,
}

impl Score {
    /// Fraction of images classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

/// Result of an evaluation image by image.
#[derive(Clone, Debug, PartialEq)]
pub struct Answers {
    /// Whether each image was classified correctly; not where a logit is not finite.
    pub right: Vec<bool>,
    /// Logit of each image's label less the greatest of the others: how far its answer is from the other kind. Negative
    /// infinity where a logit is not finite.
    pub margins: Vec<f32>,
    /// Images of which a logit is not finite.
    pub not_finite: u64,
}

impl Answers {
    /// Images classified correctly.
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
    margin: f32,
    finite: bool,
    loss: f64,
}

impl Answer {
    pub(super) fn new(logits: &[f32], label: u32) -> Self {
        let predicted = predicted(logits);
        Self {
            right: predicted == Some(label as usize),
            margin: predicted.map_or(f32::NEG_INFINITY, |_| margin(logits, label as usize)),
            finite: predicted.is_some(),
            loss: cross_entropy(logits, label as usize),
        }
    }
}

/// Counts and sums over images seen so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    images: u64,
    /// Whether each image was classified correctly.
    right: Vec<bool>,
    margins: Vec<f32>,
    correct: u64,
    not_finite: u64,
    loss: f64,
}

impl Tally {
    /// One more image.
    pub(super) fn add(&mut self, logits: &[f32], label: u32) {
        self.count(Answer::new(logits, label));
    }

    /// Of answers in their order: the losses of `run` images are added before they join the sum.
    pub(super) fn of(answers: &[Answer], run: usize) -> Self {
        let mut all = Self::default();
        for answers in answers.chunks(run) {
            let mut tally = Self::default();
            answers.iter().for_each(|answer| tally.count(*answer));
            all = all.plus(tally);
        }
        all
    }

    /// One more image that was answered.
    pub(super) fn count(&mut self, answer: Answer) {
        self.images += 1;
        self.right.push(answer.right);
        self.margins.push(answer.margin);
        self.correct += u64::from(answer.right);
        self.not_finite += u64::from(!answer.finite);
        self.loss += answer.loss;
    }

    /// This and then the other.
    pub(super) fn plus(mut self, other: Self) -> Self {
        self.right.extend(other.right);
        self.margins.extend(other.margins);
        Self {
            right: self.right,
            margins: self.margins,
            images: self.images + other.images,
            correct: self.correct + other.correct,
            not_finite: self.not_finite + other.not_finite,
            loss: self.loss + other.loss,
        }
    }

    pub(super) fn score(self) -> Score {
        let loss = self.loss / self.images.max(1) as f64;
        Score {
            images: self.images,
            correct: self.correct,
            not_finite: self.not_finite,
            loss,
        }
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

/// Class of the greatest logit, the first of equals; `None` where one is not finite.
fn predicted(logits: &[f32]) -> Option<usize> {
    if logits.iter().any(|x| !x.is_finite()) {
        return None;
    }
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    Some(best)
}

/// Logit of the label less the greatest of the others; negative infinity for a label outside.
fn margin(logits: &[f32], label: usize) -> f32 {
    let others = logits
        .iter()
        .enumerate()
        .filter(|(class, _)| *class != label);
    let other = others.fold(f32::MIN, |most, (_, logit)| most.max(*logit));
    logits
        .get(label)
        .map_or(f32::NEG_INFINITY, |own| own - other)
}

/// `log Σ exp(l) - l[label]` in f64.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let max = logits.iter().fold(f32::NEG_INFINITY, |max, x| max.max(*x));
    let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
    sum.ln() + f64::from(max) - logits.get(label).map_or(f64::NAN, |x| f64::from(*x))
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
        assert_eq!(margin(&[1.0, 3.0, 2.5], 1), 0.5);
        assert_eq!(margin(&[1.0, 3.0, 2.5], 0), -2.0);
        assert_eq!(margin(&[1.0, 3.0], 2), f32::NEG_INFINITY);
        assert!((cross_entropy(&[0.0, 0.0], 1) - 2f64.ln()).abs() < 1e-12);
        assert!((cross_entropy(&[1e30, -1e30], 0)).abs() < 1e-12);
    }
}
