//! Where the limit of a candidate lies, by bisection on few chips and more of them near it. Claims nothing.

use super::curve::{Curve, Seen};
use super::{Candidate, Chips, Phase, Place, Target};
use crate::error::Result;
use crate::stats::{self, even_images, StratifiedComponents, Stratum};

/// Chips of a look, and images of each.
pub(super) const CHIPS: u32 = 16;
pub(super) const IMAGES: u64 = 64;
/// The same where a yield is asked for: it hangs on how chips scatter, which few images hide.
const IMAGES_OF_YIELD: u64 = 1024;
/// Looks near the limit after the bisection.
const FURTHER: usize = 4;
/// Standard errors from the limit at which what an earlier run saw is not looked at again.
const DISTANCE: f64 = 3.0;
/// Least and greatest square of the deviation of chips over their mean loss.
const SCATTER: (f64, f64) = (0.01, 4.0);

/// What a search came to.
#[derive(Clone, Debug)]
pub(super) struct Searched {
    target: Target,
    /// Allowed loss of accuracy.
    allowed: f64,
    /// Mean losses by rate.
    curve: Curve,
    /// Square of the deviation of chips over their mean loss.
    scatter: f64,
    /// The level that was looked at most, what it showed, and on how many chips.
    pub(super) reference: Option<(usize, StratifiedComponents, usize)>,
    /// Evaluations of an image.
    pub(super) evaluations: u64,
}

impl Searched {
    /// Mean loss of accuracy at a rate.
    pub(super) fn mean_loss(&self, ber: f64) -> f64 {
        self.curve.loss(ber)
    }

    /// What is lost at a rate: accuracy, or a fraction of the chips.
    pub(super) fn loss(&self, ber: f64) -> f64 {
        let loss = self.curve.loss(ber);
        match self.target {
            Target::Mean(_) => loss,
            Target::Yield { .. } => failing(self.allowed, loss, self.scatter),
        }
    }

    /// Loss of accuracy of the chip of this rank, from 0 (the best) to 1, at a rate.
    pub(super) fn chip_loss(&self, ber: f64, rank: f64) -> f64 {
        let deviation = self.scatter.ln_1p().sqrt();
        self.curve.loss(ber) * (deviation * stats::probit(rank) - deviation.powi(2) / 2.0).exp()
    }
}

/// Fraction of chips beyond a loss where they scatter log-normally around a mean.
fn failing(allowed: f64, mean: f64, scatter: f64) -> f64 {
    if mean <= 0.0 {
        return 0.0;
    }
    let deviation = scatter.ln_1p().sqrt();
    1.0 - stats::normal_cdf((allowed / mean).ln() / deviation + deviation / 2.0)
}

/// Most evaluations of an image that a search takes.
pub(super) fn most_evaluations(candidate: &Candidate) -> u64 {
    let levels = candidate.levels.len();
    let looks = u64::from(levels.next_power_of_two().trailing_zeros()) + FURTHER as u64;
    looks * u64::from(CHIPS) * images_of_look(candidate).iter().sum::<u64>()
}

/// Images of each stratum that a chip is seen through.
fn images_of_look(candidate: &Candidate) -> Vec<u64> {
    let images = match candidate.target {
        Target::Mean(_) => IMAGES,
        Target::Yield { .. } => IMAGES_OF_YIELD,
    };
    even_images(std::slice::from_ref(&candidate.strata), images).concat()
}

/// Searches one candidate whose clean accuracy is above the floor.
pub(super) fn search(
    candidate: &Candidate,
    place: usize,
    chips: &mut dyn Chips,
) -> Result<Searched> {
    let failing = candidate.levels.iter().filter(|level| level.ber > 0.0);
    let mut search = Search {
        candidate,
        place,
        target: candidate.target,
        failing: failing.count(),
        images: images_of_look(candidate),
        looks: vec![Vec::new(); candidate.levels.len()],
        evaluations: 0,
    };
    let (mut low, mut high) = search.bracket();
    while low < high {
        let middle = low + (high - low) / 2;
        search.look(middle, chips)?;
        if search.seems_to_hold(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    for _ in 0..FURTHER {
        let Some(level) = search.next() else {
            break;
        };
        search.look(level, chips)?;
    }
    Ok(search.result())
}

/// A search under way.
struct Search<'a> {
    candidate: &'a Candidate,
    place: usize,
    target: Target,
    /// Levels at which cells fail.
    failing: usize,
    /// Images of each stratum that a chip is seen through.
    images: Vec<u64>,
    /// What each chip showed, by level.
    looks: Vec<Vec<Vec<Stratum>>>,
    evaluations: u64,
}

impl Search<'_> {
    /// Levels between which the limit lies, as far as an earlier run shows: losses rise with the rate.
    fn bracket(&self) -> (usize, usize) {
        let levels = &self.candidate.levels[..self.failing];
        let (mut low, mut high) = (0, self.failing);
        for seen in &self.candidate.known {
            if seen.loss - DISTANCE * seen.error > self.allowed() {
                low = low.max(levels.partition_point(|level| level.ber >= seen.ber));
            } else if seen.loss + DISTANCE * seen.error < self.allowed()
                && matches!(self.target, Target::Mean(_))
            {
                high = high.min(levels.partition_point(|level| level.ber > seen.ber));
            }
        }
        // losses scatter: what was seen at two rates may contradict each other
        (low.min(high), high)
    }

    /// Looks at further chips at a level.
    fn look(&mut self, level: usize, chips: &mut dyn Chips) -> Result<()> {
        let place = Place {
            candidate: self.place,
            level,
        };
        let known = self.looks[level].len() as u32;
        let seen = chips.see(place, Phase::Search, known..known + CHIPS, &self.images)?;
        self.evaluations += u64::from(CHIPS) * self.images.iter().sum::<u64>();
        self.looks[level].extend(seen);
        Ok(())
    }

    /// Mean loss of accuracy at a level.
    fn loss(&self, level: usize) -> f64 {
        let look = &self.looks[level];
        let sum: f64 = look.iter().map(|chip| stats::accuracy(chip)).sum();
        self.candidate.clean - sum / look.len() as f64
    }

    fn allowed(&self) -> f64 {
        self.candidate.clean - self.target.floor()
    }

    fn seems_to_hold(&self, level: usize) -> bool {
        let loss = self.loss(level);
        match self.target {
            Target::Mean(_) => loss <= self.allowed(),
            Target::Yield { fraction, .. } => {
                failing(self.allowed(), loss, self.scatter()) <= 1.0 - fraction
            }
        }
    }

    /// Square of the deviation of chips over their mean loss, over levels where it shows.
    fn scatter(&self) -> f64 {
        let (mut variance, mut square) = (0.0, 0.0);
        for (level, look) in self.looks.iter().enumerate() {
            let Some(components) = StratifiedComponents::of(look) else {
                continue;
            };
            let loss = self.loss(level);
            if (0.1 * self.allowed()..0.5 * self.candidate.clean).contains(&loss) {
                let chips = look.len() as f64;
                variance += chips * components.chips() / loss.powi(2);
                square += chips;
            }
        }
        if square > 0.0 {
            (variance / square).clamp(SCATTER.0, SCATTER.1)
        } else {
            1.0
        }
    }

    fn result(&self) -> Searched {
        let mut seen = self.candidate.known.clone();
        for (level, look) in self.looks.iter().enumerate() {
            let Some(components) = StratifiedComponents::of(look) else {
                continue;
            };
            // a look at which nothing changed is not a certain one
            let image = self.candidate.clean / self.images.iter().sum::<u64>() as f64;
            seen.push(Seen {
                ber: self.candidate.levels[level].ber,
                loss: self.loss(level),
                error: ((components.shown + image * image) / look.len() as f64).sqrt(),
            });
        }
        let rates = self.candidate.rates().unwrap_or((1e-6, 1e-1));
        let most = self.candidate.clean - self.candidate.chance;
        let reference = (0..self.failing).max_by_key(|level| self.looks[*level].len());
        Searched {
            target: self.target,
            allowed: self.allowed(),
            curve: Curve::fit(&seen, self.allowed(), most, rates),
            scatter: self.scatter(),
            reference: reference.and_then(|level| {
                let look = &self.looks[level];
                Some((level, StratifiedComponents::of(look)?, look.len()))
            }),
            evaluations: self.evaluations,
        }
    }

    /// The level at the limit, or the one below it where that was looked at less.
    fn next(&self) -> Option<usize> {
        let (result, levels) = (self.result(), &self.candidate.levels[..self.failing]);
        let allowed = self.candidate.allowed();
        let within = levels.partition_point(|level| result.loss(level.ber) > allowed);
        let nearest = within.min(self.failing.checked_sub(1)?);
        [nearest, nearest.saturating_sub(1)]
            .into_iter()
            .min_by_key(|level| self.looks[*level].len())
    }
}
