//! Stratified images in two-level sampling: each chip is seen through a few images of every stratum of the test set.
//!
//! A stratum has `N` of the `M` test images, of which a chip is seen through `n`, each subset equally likely. With `c`
//! of them right, the sum of `N/M · c/n` over the strata estimates the accuracy of the chip on all images without bias,
//! whatever the numbers `n` are, so long as nothing that the chip shows decides them (Cochran, Sampling Techniques,
//! 3rd ed., 1977, section 5.3). Within a stratum the clean network is right on all images or on none, so its answers
//! as a control variate would change nothing: the best coefficient is taken, whatever it is.

use super::two_level::{Difference, LEAST_CHIPS};
use super::{
    cautious_deviation, mean, mean_half_width_at, probit, sorted, standard_deviation, Interval,
};
use statrs::function::gamma::gamma_lr;

/// Step between planned numbers of images of a chip.
const GRANULE: u64 = 8;
/// Least number of images of a stratum on a chip of the pilot, so that each shows the variance within it.
const PILOT_IMAGES: u64 = 2;
/// The same on other chips: intervals are from their scatter, and need no variance within.
const LEAST_IMAGES: u64 = 1;

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
    let all: f64 = strata.iter().map(|s| s.all as f64).sum();
    let right: f64 = strata
        .iter()
        .map(|s| s.all as f64 * s.correct as f64 / s.images as f64)
        .sum();
    right / all
}

fn accuracies<S: AsRef<[Stratum]>>(chips: &[S]) -> Vec<f64> {
    chips.iter().map(|chip| accuracy(chip.as_ref())).collect()
}

/// Variance components of right or wrong at a design point.
#[derive(Clone, Debug, PartialEq)]
pub struct StratifiedComponents {
    /// Variance of the estimated accuracies of chips.
    pub shown: f64,
    /// What of it the choice of images gives.
    pub of_images: f64,
    /// Of each stratum: its fraction of the images, and the variance over its images on a chip, mean over chips.
    pub strata: Vec<(f64, f64)>,
}

impl StratifiedComponents {
    /// Estimates from chips seen through the same strata, within them the pooled variance. `None` below two chips.
    pub fn of<S: AsRef<[Stratum]>>(chips: &[S]) -> Option<Self> {
        let shown = standard_deviation(&accuracies(chips))?.powi(2);
        let first = chips.first()?.as_ref();
        let all: u64 = first.iter().map(|s| s.all).sum();
        let (mut strata, mut of_images) = (Vec::new(), 0.0);
        for (place, stratum) in first.iter().enumerate() {
            let of_chips = || chips.iter().filter_map(|chip| chip.as_ref().get(place));
            let freedom: u64 = of_chips().map(|s| s.images - 1).sum();
            let squares: f64 = of_chips().map(|s| s.squares()).sum();
            let fraction = stratum.all as f64 / all as f64;
            let within = squares / freedom.max(1) as f64;
            let unseen: f64 = of_chips().map(|s| s.unseen()).sum();
            of_images += fraction * fraction * within * unseen / chips.len() as f64;
            strata.push((fraction, within));
        }
        Some(Self {
            shown,
            of_images,
            strata,
        })
    }

    /// Variance between chips of the accuracy on all images; never below 0.
    pub fn chips(&self) -> f64 {
        (self.shown - self.of_images).max(0.0)
    }

    /// The same as a plan takes it, from so many chips, 4 at least: the cost of a plan is linear in it, so it is the mean
    /// of what the pilot leaves possible. Accuracies nearly normal, of a variance that may be anything from that of the
    /// choice of images on, all orders of magnitude alike: that is an inverse gamma distribution cut off below (Gelman
    /// et al., Bayesian Data Analysis, 3rd ed., 2014, section 3.2).
    fn expected_chips(&self, chips: u64) -> f64 {
        let shape = (chips as f64 - 1.0) / 2.0;
        let scale = shape * self.shown.max(1e-6 * self.of_images);
        let mean = scale / (shape - 1.0);
        if self.of_images == 0.0 {
            return mean;
        }
        let cut = scale / self.of_images;
        mean * gamma_lr(shape - 1.0, cut) / gamma_lr(shape, cut) - self.of_images
    }

    /// What a point of so many times the loss shows, where losses are small: images change as often as much is lost, and
    /// chips scatter in proportion.
    pub fn scaled(&self, times: f64) -> Self {
        let of_images = self.of_images * times;
        let of_strata = |(fraction, within): &(f64, f64)| (*fraction, (within * times).min(0.25));
        Self {
            shown: of_images + self.chips() * times * times,
            of_images,
            strata: self.strata.iter().map(of_strata).collect(),
        }
    }

    /// Variance over the images of a chip within their strata.
    pub fn images(&self) -> f64 {
        self.strata
            .iter()
            .map(|(fraction, within)| fraction * within)
            .sum()
    }

    /// Variance of the accuracy of one chip from the choice of its images, as planned.
    fn of_planned(&self, allocation: &Allocation) -> f64 {
        let strata = self.strata.iter().zip(&allocation.strata);
        strata
            .map(|((_, within), part)| within * part.fraction.powi(2) * part.unseen(part.images))
            .sum()
    }
}

/// What intervals count beside the scatter of stratified chips, so that they hold where few images change.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Caution {
    /// What one image makes of an accuracy on all images.
    image: f64,
    /// What one more changed image in every stratum makes of the accuracy of a chip, squared and added up.
    one_more: f64,
}

impl Caution {
    /// Of chips seen through the same strata; `None` without chips.
    pub fn of<S: AsRef<[Stratum]>>(chips: &[S]) -> Option<Self> {
        let first = chips.first()?.as_ref();
        let all = first.iter().map(|s| s.all).sum::<u64>() as f64;
        let mut one_more = 0.0;
        for (place, stratum) in first.iter().enumerate() {
            let of_chips = chips.iter().filter_map(|chip| chip.as_ref().get(place));
            let weight: f64 = of_chips.map(|s| s.unseen()).sum::<f64>() / chips.len() as f64;
            one_more += (stratum.all as f64 / all * weight).powi(2);
        }
        Some(Self {
            image: 1.0 / all,
            one_more,
        })
    }

    /// That of a sum or a difference.
    pub fn plus(self, other: Self) -> Self {
        Self {
            image: self.image.max(other.image),
            one_more: self.one_more + other.one_more,
        }
    }

    /// That of the mean of `n`, where this is that of their sum.
    pub fn over(self, n: usize) -> Self {
        Self {
            image: self.image / n as f64,
            one_more: self.one_more / (n * n) as f64,
        }
    }
}

impl Difference {
    /// The mean accuracy of stratified chips, each counting alike. `None` below two chips.
    pub fn of_strata<S: AsRef<[Stratum]>>(chips: &[S]) -> Option<Self> {
        Self::cautious(&accuracies(chips), Caution::of(chips)?)
    }

    /// The mean of accuracies of stratified chips, of differences between such, or of means of either. `None` below two
    /// chips.
    ///
    /// Its variance counts one more changed image in every stratum, as Agresti and Coull count two more of each kind
    /// (The American Statistician 52(2), 1998): where few images change, those seen may all have been spared. The
    /// interval is shifted for the skewness of the chips (Johnson, JASA 73, 1978).
    pub fn cautious(of_chips: &[f64], caution: Caution) -> Option<Self> {
        let cautious = cautious_deviation(&sorted(of_chips), caution.image)?;
        let middle = mean(of_chips)?;
        Some(Self {
            mean: middle,
            deviation: (cautious.powi(2) + caution.one_more / of_chips.len() as f64).sqrt(),
            chips: of_chips.len(),
            shift: skewness_shift(of_chips, middle, 0.975),
        })
    }

    /// One-sided bounds of the mean, each of `confidence` in (0.5, 1), of the mean of stratified chips as
    /// [`Self::of_strata`] takes it. `None` below two chips.
    pub fn bounds_of_strata<S: AsRef<[Stratum]>>(chips: &[S], confidence: f64) -> Option<Interval> {
        let of_chips = accuracies(chips);
        let own = Self::cautious(&of_chips, Caution::of(chips)?)?;
        let middle = own.mean + skewness_shift(&of_chips, own.mean, confidence);
        let half = mean_half_width_at(confidence, own.deviation, own.chips, 0.0)?;
        Some(Interval::around(middle, half))
    }
}

/// Johnson's shift of an interval whose ends are bounds of `confidence`: `m3 / (6 s² n) · (1 + 2 t²)`, with the third
/// central moment `m3`.
fn skewness_shift(xs: &[f64], middle: f64, confidence: f64) -> f64 {
    let n = xs.len() as f64;
    let moment = |power| xs.iter().map(|x| (x - middle).powi(power)).sum::<f64>() / n;
    let (second, third) = (moment(2), moment(3));
    if second > 0.0 {
        third / (6.0 * second * n) * (1.0 + 2.0 * probit(confidence).powi(2))
    } else {
        0.0
    }
}

/// A stratum, and how many of its images a chip is to be seen through.
#[derive(Clone, Copy, Debug)]
struct Planned {
    all: u64,
    /// Of all images.
    fraction: f64,
    /// Variance over its images on a chip that images are given by.
    within: f64,
    images: u64,
}

impl Planned {
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
    strata: Vec<Planned>,
}

impl Allocation {
    /// So many images of each stratum of these sizes, or all; `designs` are the design points of the model.
    fn least(sizes: &[u64], designs: &[StratifiedComponents], images: u64) -> Self {
        let all = sizes.iter().sum::<u64>() as f64;
        let mut strata = Vec::with_capacity(sizes.len());
        for (place, &size) in sizes.iter().enumerate() {
            let of_designs = designs.iter().filter_map(|d| d.strata.get(place));
            let of_designs: Vec<f64> = of_designs.map(|(_, within)| *within).collect();
            strata.push(Planned {
                all: size,
                fraction: size as f64 / all,
                within: mean(&of_designs).unwrap_or(0.0),
                images: images.min(size),
            });
        }
        Self { strata }
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
        let strata = self.strata.iter();
        strata
            .map(|part| (part.fraction * part.unseen(part.images)).powi(2))
            .sum()
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

/// How chips are to be seen, and how many of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StratifiedPlan {
    /// Images of each stratum for each model.
    pub images: Vec<Vec<u64>>,
    /// Chips that bring every design point to the half-width.
    pub chips: u64,
}

/// Images of each stratum for each model that make `images` a chip of a pilot: nothing is known of the strata yet.
pub fn even_images(models: &[Vec<u64>], images: u64) -> Vec<Vec<u64>> {
    let mut numbers = Vec::with_capacity(models.len());
    for sizes in models {
        let mut allocation = Allocation::least(sizes, &[], PILOT_IMAGES);
        allocation.grow(images.min(sizes.iter().sum()));
        numbers.push(allocation.numbers());
    }
    numbers
}

/// Images of each stratum for each model: as many in all for every model, so that chips times (`chip_cost` + images) is
/// least, the first of equals, with as many chips as bring every design point to a half-width. `chip_cost` is what a
/// chip costs beside its images, in evaluations of an image.
///
/// The images of a model go by the mean over its design points of the variance within each stratum, so that all its
/// design points are seen through the same images. The design points were seen on `pilot_chips` chips, 4 at least.
pub fn plan_images(
    models: &[StratifiedModel],
    pilot_chips: u64,
    chip_cost: f64,
    half_width: f64,
) -> StratifiedPlan {
    let mut allocations = Vec::new();
    let mut between: Vec<Vec<f64>> = Vec::new();
    for model in models {
        let (sizes, designs) = (&model.sizes, &model.designs);
        allocations.push(Allocation::least(sizes, designs, LEAST_IMAGES));
        let expected = |design: &StratifiedComponents| design.expected_chips(pilot_chips);
        between.push(designs.iter().map(expected).collect());
    }
    let all: u64 = models.first().map_or(0, |model| model.sizes.iter().sum());
    let least = allocations.iter().map(Allocation::images).max();
    let mut images = least.unwrap_or(0).next_multiple_of(GRANULE).min(all);
    let mut least_cost = f64::INFINITY;
    let mut best = StratifiedPlan::default();
    // more images than these cost more, whatever the chips
    while LEAST_CHIPS as f64 * (chip_cost + images as f64) < least_cost {
        let mut chips = LEAST_CHIPS as f64;
        for ((model, between), own) in models.iter().zip(&between).zip(&mut allocations) {
            own.grow(images);
            for (design, between) in model.designs.iter().zip(between) {
                let variance = between + design.of_planned(own);
                chips = chips.max(chips_for(variance, own.one_more(), half_width));
            }
        }
        let cost = chips * (chip_cost + images as f64);
        if cost < least_cost {
            least_cost = cost;
            best = StratifiedPlan {
                images: allocations.iter().map(Allocation::numbers).collect(),
                chips: chips as u64,
            };
        }
        if images == all {
            break;
        }
        images = (images + GRANULE).min(all);
    }
    best
}

/// Chips at which `1.96² (variance / chips + one_more / chips²)` is the square of the half-width.
fn chips_for(variance: f64, one_more: f64, half_width: f64) -> f64 {
    let goal = (half_width / probit(0.975)).powi(2);
    let chips = (variance + (variance * variance + 4.0 * goal * one_more).sqrt()) / (2.0 * goal);
    chips.ceil()
}

#[cfg(test)]
mod tests;
