//! Two-level sampling of a mean accuracy: chips, and on each chip random test images; estimate, interval, split.
//!
//! A chip is seen through a random subset of the `M` test images, drawn for it alone, in which every image is equally
//! likely. On each image the answer of the faulty network is right or wrong, and so is that of the clean network,
//! which is known on all images. With `d` = right on the chip less right without faults, in {-1, 0, 1}, the estimate
//! of the mean accuracy over chips on all test images is the clean accuracy plus the mean over chips of the mean of
//! `d` over the chip's images. It is unbiased, and the clean answers are a control variate: `d` is 0 where faults
//! change nothing (Cochran, Sampling Techniques, 3rd ed., 1977, sections 7.2 and 10.3).

use super::{
    cautious_deviation, mean, mean_half_width, normal_half_width, sorted, standard_deviation,
};

/// Least number of images of a chip, and the step between planned numbers.
const GRANULE: u64 = 32;
/// Chips are added in multiples of this.
const BATCH: u64 = 8;
/// Least number of chips whose interval may end the sampling. A stop at the first interval that happens to be narrow
/// favours samples of too small a deviation: near an accuracy cliff, where chips are skewed, 95 % intervals then hold
/// the truth in 90 % of cases from 16 chips on, and in 92 to 95 % from 128 on (simulations as those of the tests). As a
/// chip costs few images, so many cost less than one evaluation of a test set of 10,000.
pub const LEAST_CHIPS: u64 = 128;

/// What a chip showed on its images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChipDifference {
    /// Images looked at, at least 1.
    pub images: u64,
    /// Images right on the chip less images right without faults.
    pub gain: i64,
    /// Images right on the chip and wrong without faults, or the other way round.
    pub changed: u64,
}

impl ChipDifference {
    /// Mean of `d` over the images, in [-1, 1].
    pub fn mean(self) -> f64 {
        self.gain as f64 / self.images.max(1) as f64
    }

    /// Sum of squares of `d` around its mean.
    fn squares(self) -> f64 {
        self.changed as f64 - self.gain as f64 * self.mean()
    }
}

/// Variance components of `d`: one-way random effects, chips drawn at random and images drawn without replacement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Components {
    /// Variance between chips of the mean of `d` over all images; never below 0.
    pub chips: f64,
    /// Variance of `d` over the images of a chip, mean over chips.
    pub images: f64,
}

impl Components {
    /// Estimates from chips on random subsets of `all` images: within chips the pooled variance, between chips what
    /// the variance of the chip means has beyond `images · (1/m - 1/M)`. `None` below two chips, or where no chip
    /// has two images.
    pub fn of(chips: &[ChipDifference], all: u64) -> Option<Self> {
        let freedom: u64 = chips.iter().map(|chip| chip.images.saturating_sub(1)).sum();
        let between = standard_deviation(&means(chips))
            .filter(|_| freedom > 0)?
            .powi(2);
        let images = chips.iter().map(|chip| chip.squares()).sum::<f64>() / freedom as f64;
        let fractions: Vec<f64> = chips.iter().map(|chip| unseen(chip.images, all)).collect();
        Some(Self {
            chips: (between - images * mean(&fractions)?).max(0.0),
            images,
        })
    }

    /// Variance of the mean of one chip on `images` of `all` images.
    pub fn of_chip(self, images: u64, all: u64) -> f64 {
        self.chips + self.images * unseen(images, all)
    }
}

/// `1/m - 1/M`: 0 where all images are seen.
fn unseen(images: u64, all: u64) -> f64 {
    (1.0 / images.max(1) as f64 - 1.0 / all.max(1) as f64).max(0.0)
}

fn means(chips: &[ChipDifference]) -> Vec<f64> {
    chips.iter().map(|chip| chip.mean()).collect()
}

/// Mean over chips of `d`, or of the accuracy where images are stratified, with what its interval needs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Difference {
    /// The mean, in [-1, 1].
    pub mean: f64,
    /// How far the middle of the interval is from the mean; not 0 only where images are stratified.
    pub shift: f64,
    /// Standard deviation of the chip means, choice of images included; where fewer than three chips differ
    /// from the rest it is the cautious one of [`cautious_deviation`], a chip deviating by at least one image. Of
    /// stratified images see [`Difference::of_strata`].
    pub deviation: f64,
    /// Chips.
    pub chips: usize,
}

impl Difference {
    /// Takes chips of any numbers of images, each counting alike. `None` below two chips.
    pub fn of(chips: &[ChipDifference]) -> Option<Self> {
        let means = means(chips);
        let one_image = chips
            .iter()
            .map(|chip| 1.0 / chip.images.max(1) as f64)
            .fold(0.0, f64::max);
        let deviation = cautious_deviation(&sorted(&means), one_image)?;
        Some(Self {
            mean: mean(&means)?,
            shift: 0.0,
            deviation,
            chips: means.len(),
        })
    }

    /// Half-width of the 95 % Student interval over chips, `t s / √n`. As each chip has images of its own the choice
    /// of images is in `s`. `None` below two chips.
    pub fn half_width(self) -> Option<f64> {
        mean_half_width(self.deviation, self.chips, 0.0)
    }

    /// Chips with which these design points of a comparison, all on the same chips, should go on; `None` where each
    /// has a half-width of at most `half_width` on [`LEAST_CHIPS`] chips or more. As many more as the widest seems to
    /// need, but at most twice those there are, as it may only seem so; in batches of 8.
    pub fn more_chips(designs: &[Self], half_width: f64) -> Option<u64> {
        let chips = designs.iter().map(|design| design.chips as u64).min()?;
        if chips < LEAST_CHIPS {
            return Some(LEAST_CHIPS);
        }
        let needed = designs
            .iter()
            .filter(|design| design.half_width().is_none_or(|half| half > half_width))
            .map(|d| chips_for(d.deviation.powi(2), half_width))
            .max()?;
        Some(needed.clamp(chips + 1, 2 * chips).next_multiple_of(BATCH))
    }
}

/// Least number of chips, 2 or more, at which chip means of a variance have a Student half-width of at most
/// `half_width`.
fn chips_for(variance: f64, half_width: f64) -> u64 {
    // Student's quantile is above the normal one and falls with n, so the normal number is a start from below
    let start = (normal_half_width(variance) / half_width)
        .powi(2)
        .ceil()
        .clamp(2.0, 1e9) as u64;
    let half = |n: u64| mean_half_width(variance.sqrt(), n as usize, 0.0);
    // and adds a handful of chips to it
    (start..start + 64)
        .find(|n| half(*n).is_some_and(|half| half <= half_width))
        .unwrap_or(start + 64)
}

/// Images per chip and chips of a design.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    /// Images of each chip.
    pub images: u64,
    /// Chips.
    pub chips: u64,
}

impl Split {
    /// Standard error of a variance over so many chips, as a fraction of it.
    fn error(chips: u64) -> f64 {
        (2.0 / chips.saturating_sub(1).max(1) as f64).sqrt()
    }

    /// The cheapest split that brings every design point of a comparison to a half-width on common chips and images:
    /// of the numbers of images 32, 64, ... and all, the one for which chips times (`chip_cost` + images) is least;
    /// the first of equals. `chip_cost` is what a chip costs beside its images, in evaluations of an image. For one
    /// design point and many images it is the classical `m = √(chip_cost · images variance / chips variance)` (Cochran,
    /// section 10.6).
    ///
    /// The chips of `pilot` gave the components. So that a variance between chips that came out as 0
    /// by chance does not ask for all images, it counts as at least one standard error of its estimate.
    pub fn plan(
        designs: &[Components],
        pilot: Self,
        chip_cost: f64,
        all: u64,
        half_width: f64,
    ) -> Self {
        let error = Self::error(pilot.chips);
        let floored = designs.iter().map(|design| {
            let floor = error * design.of_chip(pilot.images, all);
            Components {
                chips: design.chips.max(floor),
                ..*design
            }
        });
        let floored: Vec<Components> = floored.collect();
        let split = |images: u64| {
            let widest = floored
                .iter()
                .map(|d| d.of_chip(images, all))
                .fold(0.0, f64::max);
            Self {
                images,
                chips: chips_for(widest, half_width).max(LEAST_CHIPS),
            }
        };
        let cost = |split: &Self| split.chips as f64 * (chip_cost + split.images as f64);
        let some = (1..)
            .map(|k| k * GRANULE)
            .take_while(|images| *images < all)
            .map(split);
        some.fold(split(all), |best, next| {
            if cost(&next) < cost(&best) {
                next
            } else {
                best
            }
        })
    }
}

#[cfg(test)]
mod tests;
