//! Stratified images in two-level sampling: each chip is seen through a few images of every stratum of the test set.
//!
//! A stratum has `N` of the `M` test images, of which a chip is seen through `n`, each subset equally likely. With `c`
//! of them right, the sum of `N/M · c/n` over the strata estimates the accuracy of the chip on all images without bias,
//! whatever the numbers `n` are, so long as nothing that the chip shows decides them (Cochran, Sampling Techniques,
//! 3rd ed., 1977, section 5.3). Within a stratum the clean network is right on all images or on none, so its answers
//! as a control variate would change nothing: the best coefficient is taken, whatever it is.

use super::two_level::{Difference, Split, LEAST_CHIPS};
use super::{cautious_deviation, mean, probit, sorted, standard_deviation};

/// Step between planned numbers of images of a chip.
const GRANULE: u64 = 8;
/// Least number of images of a stratum, so that each chip shows the variance within it.
const LEAST_IMAGES: u64 = 2;

/// One stratum of the test images, as a chip was seen through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stratum {
    /// Test images in it, at least 1.
    pub all: u64,
    /// Those that were looked at, at least 1.
    pub images: u64,
    /// Those of them that were right on the chip.
    pub correct: u64,
}

impl Stratum {
    /// `1/n - 1/N`: 0 where all images were looked at.
    fn unseen(self) -> f64 {
        unseen(self.images, self.all)
    }

    /// Sum of squares of right (1) or wrong (0) around its mean.
    fn squares(self) -> f64 {
        let correct = self.correct as f64;
        correct - correct * correct / self.images as f64
    }
}

fn unseen(images: u64, all: u64) -> f64 {
    1.0 / images as f64 - 1.0 / all as f64
}

/// Estimated accuracy of a chip on all test images.
pub fn accuracy(strata: &[Stratum]) -> f64 {
    let right = |s: &Stratum| s.all as f64 * s.correct as f64 / s.images as f64;
    let all: f64 = strata.iter().map(|s| s.all as f64).sum();
    strata.iter().map(right).sum::<f64>() / all
}

/// Variance components of right or wrong at a design point.
#[derive(Clone, Debug, PartialEq)]
pub struct StratifiedComponents {
    /// Variance between chips of the accuracy on all images; never below 0.
    pub chips: f64,
    /// Of each stratum: its fraction of the images, and the variance over its images on a chip, mean over chips.
    pub strata: Vec<(f64, f64)>,
}

impl StratifiedComponents {
    /// Estimates from chips seen through the same strata: within them the pooled variance, between chips what the
    /// variance of their accuracies has beyond that of the choice of images. `None` below two chips.
    pub fn of<S: AsRef<[Stratum]>>(chips: &[S]) -> Option<Self> {
        let accuracies: Vec<f64> = chips.iter().map(|chip| accuracy(chip.as_ref())).collect();
        let between = standard_deviation(&accuracies)?.powi(2);
        let first = chips.first()?.as_ref();
        let all: u64 = first.iter().map(|s| s.all).sum();
        let (mut strata, mut of_images) = (Vec::new(), 0.0);
        for (place, stratum) in first.iter().enumerate() {
            let of_chips = || chips.iter().filter_map(|chip| chip.as_ref().get(place));
            let freedom: u64 = of_chips().map(|s| s.images - 1).sum();
            let squares: f64 = of_chips().map(|s| s.squares()).sum();
            let fraction = stratum.all as f64 / all as f64;
            let within = squares / freedom.max(1) as f64;
            let shown: f64 = of_chips().map(|s| s.unseen()).sum();
            of_images += fraction * fraction * within * shown / chips.len() as f64;
            strata.push((fraction, within));
        }
        Some(Self {
            chips: (between - of_images).max(0.0),
            strata,
        })
    }

    /// Variance over the images of a chip within their strata.
    pub fn images(&self) -> f64 {
        self.strata
            .iter()
            .map(|(fraction, within)| fraction * within)
            .sum()
    }

    /// Variance of the accuracy of one chip from the choice of its images.
    fn of_images(&self, allocation: &Allocation) -> f64 {
        let parts = self.strata.iter().zip(&allocation.strata);
        parts
            .map(|((_, within), part)| within * part.fraction.powi(2) * part.unseen(part.images))
            .sum()
    }
}

impl Difference {
    /// The mean accuracy of stratified chips, each counting alike. `None` below two chips.
    ///
    /// Its variance counts one more changed image in every stratum, as Agresti and Coull count two more of each kind
    /// (The American Statistician 52(2), 1998): where few images change, those seen may all have been spared. The
    /// interval is shifted for the skewness of the chips (Johnson, JASA 73, 1978).
    pub fn of_strata<S: AsRef<[Stratum]>>(chips: &[S]) -> Option<Self> {
        let accuracies: Vec<f64> = chips.iter().map(|chip| accuracy(chip.as_ref())).collect();
        let (first, n) = (chips.first()?.as_ref(), chips.len() as f64);
        let all = first.iter().map(|s| s.all).sum::<u64>() as f64;
        let cautious = cautious_deviation(&sorted(&accuracies), 1.0 / all)?;
        let mut one_more = 0.0;
        for (place, stratum) in first.iter().enumerate() {
            let of_chips = chips.iter().filter_map(|chip| chip.as_ref().get(place));
            let weight: f64 = of_chips.map(|s| s.unseen()).sum::<f64>() / n;
            one_more += (stratum.all as f64 / all * weight).powi(2);
        }
        let middle = mean(&accuracies)?;
        Some(Self {
            mean: middle,
            deviation: (cautious.powi(2) + one_more / n).sqrt(),
            chips: chips.len(),
            shift: skewness_shift(&accuracies, middle),
        })
    }
}

/// Johnson's shift of a 95 % interval: `m3 / (6 s² n) · (1 + 2 t²)`, with the third central moment `m3`.
fn skewness_shift(xs: &[f64], middle: f64) -> f64 {
    let n = xs.len() as f64;
    let moment = |power| xs.iter().map(|x| (x - middle).powi(power)).sum::<f64>() / n;
    let (second, third) = (moment(2), moment(3));
    if second > 0.0 {
        third / (6.0 * second * n) * (1.0 + 2.0 * probit(0.975).powi(2))
    } else {
        0.0
    }
}

/// A stratum, and how many of its images a chip is to be seen through.
#[derive(Clone, Copy, Debug)]
struct Part {
    all: u64,
    /// Of all images.
    fraction: f64,
    /// Variance over its images on a chip that images are given by.
    within: f64,
    images: u64,
}

impl Part {
    fn unseen(&self, images: u64) -> f64 {
        unseen(images, self.all)
    }

    /// What one more image takes from the variance of the mean, one more changed image in each stratum counted.
    fn gain(&self) -> f64 {
        if self.images == self.all {
            return 0.0;
        }
        let (now, then) = (self.unseen(self.images), self.unseen(self.images + 1));
        let changed = (now.powi(2) - then.powi(2)) / LEAST_CHIPS as f64;
        self.fraction.powi(2) * (self.within * (now - then) + changed)
    }
}

/// Images of a chip for one model.
#[derive(Clone, Debug)]
struct Allocation {
    strata: Vec<Part>,
}

impl Allocation {
    /// The least images of strata of these sizes; `designs` are the design points of the model.
    fn least(sizes: &[u64], designs: &[StratifiedComponents]) -> Self {
        let all = sizes.iter().sum::<u64>() as f64;
        let within = |place: usize| {
            let of_designs = designs.iter().filter_map(|d| d.strata.get(place));
            let of_designs: Vec<f64> = of_designs.map(|(_, within)| *within).collect();
            mean(&of_designs).unwrap_or(0.0)
        };
        let part = |(place, size): (usize, &u64)| Part {
            all: *size,
            fraction: *size as f64 / all,
            within: within(place),
            images: LEAST_IMAGES.min(*size),
        };
        Self {
            strata: sizes.iter().enumerate().map(part).collect(),
        }
    }

    fn images(&self) -> u64 {
        self.strata.iter().map(|part| part.images).sum()
    }

    /// Gives images one by one, each to the stratum in which it takes most from the variance: Neyman's allocation in
    /// whole numbers (Wright, The American Statistician 66(4), 2012).
    fn grow(&mut self, images: u64) {
        for _ in self.images()..images {
            let mut best = 0;
            for (place, part) in self.strata.iter().enumerate() {
                if part.gain() > self.strata[best].gain() {
                    best = place;
                }
            }
            self.strata[best].images += 1;
        }
    }

    /// What counts one more changed image in every stratum: its square, over the square of the chips, is a variance.
    fn one_more(&self) -> f64 {
        let of_part = |part: &Part| (part.fraction * part.unseen(part.images)).powi(2);
        self.strata.iter().map(of_part).sum()
    }

    fn numbers(&self) -> Vec<u64> {
        self.strata.iter().map(|part| part.images).collect()
    }
}

/// A model of a comparison: the sizes of its strata, and what its design points showed in a pilot.
#[derive(Clone, Debug)]
pub struct StratifiedModel {
    /// Test images of each stratum.
    pub sizes: Vec<u64>,
    /// Of each design point that can fail.
    pub designs: Vec<StratifiedComponents>,
}

/// Images of each stratum for each model that make `images` a chip, where nothing is known of the strata.
pub fn even_images(models: &[Vec<u64>], images: u64) -> Vec<Vec<u64>> {
    let of_model = |sizes: &Vec<u64>| {
        let mut allocation = Allocation::least(sizes, &[]);
        allocation.grow(images.min(sizes.iter().sum()));
        allocation.numbers()
    };
    models.iter().map(of_model).collect()
}

/// Images of each stratum for each model: as many in all for every model, so that chips times (`chip_cost` + images) is
/// least, the first of equals, with as many chips as bring every design point to a half-width. `chip_cost` is what a
/// chip costs beside its images, in evaluations of an image.
///
/// The images of a model go by the mean over its design points of the variance within each stratum, so that all its
/// design points are seen through the same images. As in [`Split::plan`] a variance between chips counts as at
/// least one standard error of its estimate from a pilot.
pub fn plan_images(
    models: &[StratifiedModel],
    pilot: &[Vec<u64>],
    pilot_chips: u64,
    chip_cost: f64,
    half_width: f64,
) -> Vec<Vec<u64>> {
    let mut allocations = Vec::new();
    let mut between: Vec<Vec<f64>> = Vec::new();
    for (model, pilot) in models.iter().zip(pilot) {
        let mut seen = Allocation::least(&model.sizes, &model.designs);
        allocations.push(seen.clone());
        for (part, images) in seen.strata.iter_mut().zip(pilot) {
            part.images = *images;
        }
        let floored = |design: &StratifiedComponents| {
            let shown = design.chips + design.of_images(&seen);
            design.chips.max(Split::error(pilot_chips) * shown)
        };
        between.push(model.designs.iter().map(floored).collect());
    }
    let all: u64 = models.first().map_or(0, |model| model.sizes.iter().sum());
    let least = allocations.iter().map(Allocation::images).max();
    let mut images = least.unwrap_or(0).next_multiple_of(GRANULE).min(all);
    let mut best = (f64::INFINITY, Vec::new());
    // more images than these cost more, whatever the chips
    while LEAST_CHIPS as f64 * (chip_cost + images as f64) < best.0 {
        let mut chips = LEAST_CHIPS as f64;
        for ((model, between), own) in models.iter().zip(&between).zip(&mut allocations) {
            own.grow(images);
            for (design, between) in model.designs.iter().zip(between) {
                let variance = between + design.of_images(own);
                chips = chips.max(chips_for(variance, own.one_more(), half_width));
            }
        }
        let cost = chips * (chip_cost + images as f64);
        if cost < best.0 {
            let numbers = allocations.iter().map(Allocation::numbers).collect();
            best = (cost, numbers);
        }
        if images == all {
            break;
        }
        images = (images + GRANULE).min(all);
    }
    best.1
}

/// Chips at which `1.96² (variance / chips + one_more / chips²)` is the square of the half-width.
fn chips_for(variance: f64, one_more: f64, half_width: f64) -> f64 {
    let goal = (half_width / probit(0.975)).powi(2);
    let chips = (variance + (variance * variance + 4.0 * goal * one_more).sqrt()) / (2.0 * goal);
    chips.ceil()
}

#[cfg(test)]
mod tests;
