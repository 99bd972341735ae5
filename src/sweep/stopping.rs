//! When the chips of a comparison are enough: half-widths of means within a tolerance.

use super::monte_carlo::Trials;
use super::row::{Design, StoppedBy, Trial};
use crate::stats::{self, ImageSample};
use crate::units::ChipId;
use std::collections::BTreeMap;
use std::ops::Range;

/// A half-width from counts differs from the exact one by the rounding of sums, which is far less than this.
const ROUNDING: f64 = 1e-9;

/// The stopping rule, which looks at each trial once: the exact rule is asked only where counts cannot deny it.
pub(super) struct Stopping<'a> {
    tolerance: f64,
    /// Images of the test set, of which trials use all or a subset.
    test_images: u64,
    designs: &'a [Design],
    tallies: Vec<Tally>,
}

impl<'a> Stopping<'a> {
    pub(super) fn new(tolerance: f64, test_images: u64, designs: &'a [Design]) -> Self {
        Self {
            tolerance,
            test_images,
            designs,
            tallies: vec![Tally::default(); designs.len()],
        }
    }

    /// Takes in the trials of further chips.
    pub(super) fn add(&mut self, chips: Range<u32>, trials: &Trials) {
        for (design, tally) in self.designs.iter().zip(&mut self.tallies) {
            for trial in of_chips(design, chips.clone(), trials) {
                tally.images = trial.images;
                *tally.counts.entry(trial.correct).or_default() += 1;
            }
        }
    }

    /// Why the first `chips` chips, all of which were taken in, are enough, where they are.
    pub(super) fn enough(&self, chips: u32, trials: &Trials) -> Option<StoppedBy> {
        let (tolerance, all) = (self.tolerance, self.test_images);
        let is_wide =
            |(design, tally): (&Design, &Tally)| design.can_fail() && tally.is_wide(tolerance, all);
        if self.designs.iter().zip(&self.tallies).any(is_wide) {
            return None;
        }
        enough(tolerance, all, self.designs, chips, trials)
    }

    /// Chips that the widest design point seems to need.
    pub(super) fn needed(&self) -> u64 {
        let needed = |tally: &Tally| {
            let half = tally.half_width(self.tolerance, self.test_images)?.0;
            Some((tally.chips() as f64 * (half / self.tolerance).powi(2)).ceil() as u64)
        };
        self.tallies.iter().filter_map(needed).max().unwrap_or(0)
    }
}

/// How many chips of a design point gave so many correct answers.
#[derive(Clone, Debug, Default)]
struct Tally {
    images: u64,
    counts: BTreeMap<u64, u64>,
}

impl Tally {
    fn chips(&self) -> u64 {
        self.counts.values().sum()
    }

    /// True where the half-width is certainly above the tolerance.
    fn is_wide(&self, tolerance: f64, test_images: u64) -> bool {
        self.half_width(tolerance, test_images)
            .is_some_and(|(half, clear)| clear && half > tolerance * (1.0 + ROUNDING))
    }

    /// The half-width as [`enough`] has it, up to rounding, and whether it is clear which part of the images counts;
    /// `None` below two chips.
    fn half_width(&self, tolerance: f64, test_images: u64) -> Option<(f64, bool)> {
        let (chips, images) = (self.chips(), self.images.max(1) as f64);
        let mut all = self
            .counts
            .iter()
            .map(|(&c, &n)| (c as f64 / images, n as f64));
        let mean = all.clone().map(|(x, n)| x * n).sum::<f64>() / chips as f64;
        let squares: f64 = all.clone().map(|(x, n)| n * (x - mean).powi(2)).sum();
        let std = (squares / chips.checked_sub(1)? as f64).sqrt();
        let last = chips - 1;
        let median =
            (self.of_rank(last / 2)? + self.of_rank(last.div_ceil(2))?) as f64 / 2.0 / images;
        let greatest = all
            .clone()
            .map(|(x, _)| (x - median).abs())
            .fold(tolerance, f64::max);
        let at_median = all.find(|(x, _)| *x == median).map_or(0.0, |(_, n)| n);
        // as in `stats::cautious_deviation`
        let deviation = if chips as f64 - at_median < 3.0 {
            std.max((3.0 / chips as f64).sqrt() * greatest)
        } else {
            std
        };
        let sample = ImageSample {
            used: self.images,
            all: test_images,
        };
        let variance = sample.variance(mean);
        let of_images = stats::normal_half_width(variance);
        let clear = (of_images - tolerance).abs() > ROUNDING * tolerance;
        let counted = if of_images > tolerance { 0.0 } else { variance };
        Some((
            stats::mean_half_width(deviation, chips as usize, counted)?,
            clear,
        ))
    }

    /// Correct answers of the chip of a rank, from 0 for the fewest.
    fn of_rank(&self, rank: u64) -> Option<u64> {
        let mut below = 0;
        for (&correct, &count) in &self.counts {
            below += count;
            if rank < below {
                return Some(correct);
            }
        }
        None
    }
}

/// Why these chips are enough, where they are: the half-width of every design point is at most the tolerance. Where the
/// choice of images alone leaves more, no number of chips can bring it there, and the part of the chips must be within
/// the tolerance instead.
fn enough(
    tolerance: f64,
    test_images: u64,
    designs: &[Design],
    chips: u32,
    trials: &Trials,
) -> Option<StoppedBy> {
    let mut reason = StoppedBy::Tolerance;
    for design in designs {
        let accuracies: Vec<f64> = of_chips(design, 0..chips, trials)
            .map(Trial::accuracy)
            .collect();
        let sorted = stats::sorted(&accuracies);
        let used = of_chips(design, 0..chips, trials).next()?.images;
        let images = ImageSample {
            used,
            all: test_images,
        }
        .variance(stats::mean(&sorted)?);
        let limited = stats::normal_half_width(images) > tolerance;
        if limited {
            reason = StoppedBy::Images;
        }
        let images = if limited { 0.0 } else { images };
        // without faults all chips are alike
        if !design.can_fail() {
            continue;
        }
        let deviation = stats::cautious_deviation(&sorted, tolerance)?;
        if stats::mean_half_width(deviation, sorted.len(), images)? > tolerance {
            return None;
        }
    }
    Some(reason)
}

/// The trials of a design point on these chips, in their order.
fn of_chips<'t>(
    design: &'t Design,
    chips: Range<u32>,
    trials: &'t Trials,
) -> impl Iterator<Item = &'t Trial> {
    let key = |chip| (design.design_id.clone(), ChipId(chip));
    let own = trials.range(key(chips.start)..key(chips.end));
    own.map(|(_, trial)| trial)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use crate::sweep::TrialStatus;
    use crate::units::BerSource;

    /// A design point whose cells can fail.
    fn design(id: &str) -> Design {
        Design {
            design_id: id.to_owned(),
            ber_source: BerSource::Measured,
            ..Design::default()
        }
    }

    /// Its trials on chips 0, 1, ...
    fn of_design(design: &Design, images: u64, correct: &[u64]) -> Vec<Trial> {
        let trial = |(chip, &correct): (usize, &u64)| Trial {
            design_id: design.design_id.clone(),
            chip: ChipId(chip as u32),
            faults: 1,
            images,
            correct,
            not_finite: 0,
            clean: None,
            strata: None,
            status: TrialStatus::Evaluated,
            seconds: 0.0,
        };
        correct.iter().enumerate().map(trial).collect()
    }

    /// Trials of a design point by key.
    fn by_key(all: Vec<Trial>) -> Trials {
        let key = |trial: &Trial| (trial.design_id.clone(), trial.chip);
        all.into_iter().map(|trial| (key(&trial), trial)).collect()
    }

    #[test]
    fn looking_at_each_trial_once_gives_the_exact_rule() {
        let designs = [design("a"), design("b")];
        let mut stream = Seed(3).stream(Purpose::ChipImages, &[]);
        for test in 0..60 {
            let images = [50, 1000][test % 2];
            let spread = [1, 2, 5, 40][test / 2 % 4];
            let rare = test % 3 == 0;
            let mut correct = || -> Vec<u64> {
                let one = |_| {
                    let lost = stream.below(spread);
                    if rare && stream.uniform() < 0.97 {
                        40
                    } else {
                        40 - lost.min(40)
                    }
                };
                (0..400).map(one).collect()
            };
            let both = designs
                .iter()
                .flat_map(|d| of_design(d, images, &correct()));
            let trials = by_key(both.collect());
            for tolerance in [0.002, 0.01, 0.05] {
                for all in [images, 10_000] {
                    let mut stopping = Stopping::new(tolerance, all, &designs);
                    let mut before = 0;
                    for chips in (16..=400).step_by(8) {
                        stopping.add(before..chips, &trials);
                        before = chips;
                        let exact = enough(tolerance, all, &designs, chips, &trials);
                        assert_eq!(stopping.enough(chips, &trials), exact, "{test} {chips}");
                        for (design, tally) in designs.iter().zip(&stopping.tallies) {
                            let own = enough(
                                tolerance,
                                all,
                                std::slice::from_ref(design),
                                chips,
                                &trials,
                            );
                            let (half, clear) = tally.half_width(tolerance, all).unwrap();
                            assert!(!clear || (half <= tolerance) == own.is_some(), "{half}");
                        }
                    }
                }
            }
        }
    }
}
