//! The lowest voltage of a fine grid at which a target holds, searched on some chips and verified on others.
//!
//! A voltage holds where a one-sided 95 % bound over the search chips says so, and only evaluations at that voltage
//! count. That fewer cells fail at a higher voltage is used to guess where to look and which chips to try first,
//! never as a proof: a network may lose by one fault less.

#[cfg(test)]
mod tests;

use crate::error::{Error, Result};
use crate::stats::{self, ImageSample, Interval, Target};
use crate::table::words;
use crate::units::{ChipId, Voltage};
use std::collections::BTreeMap;

/// One-sided confidence of every verdict.
pub const CONFIDENCE: f64 = 0.95;
/// Chips on which the search first guesses where the cliff is.
const SCREEN: u32 = 16;
/// Chips of the first look at a mean: of fewer, Student's interval is too sure where losses are skewed.
const FIRST_LOOK: u32 = 32;
/// Chips that are evaluated at a time: a voltage is abandoned between two batches.
const BATCH: usize = 16;

/// Correct answers of chips at a voltage, in the order of the chips.
pub type Evaluate<'a> = dyn FnMut(Voltage, &[ChipId]) -> Result<Vec<u64>> + 'a;

/// What is searched, and on how many chips.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The grid: voltages in rising order, each once.
    pub voltages: Vec<Voltage>,
    /// What must hold.
    pub target: Target,
    /// Chips of the search, numbers 0 to one less; at most so many for a mean. At least 2, for a yield at least
    /// [`least_without_failure`](stats::least_without_failure).
    pub chips: u32,
    /// Chips of each verification, at least 2; their numbers follow those of the search.
    pub fresh_chips: u32,
    /// Images that every chip is evaluated on, within the test set.
    pub images: ImageSample,
}

/// What evaluations at a voltage say of the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The lower bound reaches the target.
    Holds,
    /// The upper bound is below it, or so many chips failed that the lower bound cannot reach it.
    Fails,
    /// Neither: not shown on these chips.
    #[default]
    Open,
}

words!(Verdict: Holds "holds", Fails "fails", Open "open");

/// What was seen at a voltage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evidence {
    /// The voltage.
    pub voltage: f64,
    /// Chips evaluated.
    pub chips: u64,
    /// Of these, chips at or above the floor; `None` where the target is a mean.
    pub good: Option<u64>,
    /// Mean accuracy, or fraction of good chips; `None` where the voltage was abandoned, because likely failures are
    /// tried first and the fraction of those tried says nothing of the rest.
    pub value: Option<f64>,
    /// Lower and upper bound of the value, each of one-sided confidence [`CONFIDENCE`] (of a mean in a search higher,
    /// as it is looked at several times). Student's for a mean, the choice of images included where they are a
    /// subset; Clopper and Pearson's for a yield, which is that on the images used.
    pub bounds: Option<Interval>,
    /// What follows.
    pub verdict: Verdict,
}

/// The answer, and what it rests on.
#[derive(Clone, Debug, PartialEq)]
pub struct Lowest {
    /// The lowest voltage of the grid at which the search chips show the target and fresh chips do not refute it;
    /// `None` where no voltage of the grid is such. It is a voltage of the grid: the truth may lie up to a step below.
    pub voltage: Option<Voltage>,
    /// True where it is the lowest of the grid, so that the target may hold below too.
    pub at_or_below: bool,
    /// The voltages tested on the search chips, in order.
    pub search: Vec<Evidence>,
    /// Verifications, each on chips that nothing before has seen; the last is that of the answer, those before it were
    /// refuted. It is open, not false, where there are too few fresh chips to show the target once more.
    pub checks: Vec<Evidence>,
    /// Evaluations of a chip at a voltage, all of them.
    pub evaluations: u64,
}

/// Searches the grid of `plan`, then verifies. `evaluate` gives the correct answers of the given chips at a voltage, in
/// their order.
///
/// Yield: of `n` search chips at most `k` may fail, the most with which the Clopper-Pearson lower bound of 95 % reaches
/// the fraction. Whether they do is one look at a fixed number of chips, however early the voltage is abandoned, so a
/// voltage that misses the fraction is taken for good in at most 5 % of searches, as are all below it where fewer
/// cells fail at a higher voltage. Mean: chips are doubled until the interval decides; the confidence is split
/// over the looks (Bonferroni). Where it never decides, the voltage does not count as holding.
///
/// The same plan and evaluations give the same answer.
///
/// # Errors
/// [`Error::Argument`] for a plan outside the ranges of its fields, too few chips for the yield whatever they do,
/// results that are not one for each chip or more than the images; what `evaluate` returns.
pub fn lowest_voltage(plan: &Plan, evaluate: &mut Evaluate<'_>) -> Result<Lowest> {
    plan.check()?;
    let mut search = Search {
        plan,
        evaluate,
        seen: vec![BTreeMap::new(); plan.voltages.len()],
        failures: vec![0; plan.chips as usize],
        tested: Vec::new(),
        evaluations: 0,
    };
    let found = search.find()?;
    let (place, checks) = search.verify(found)?;
    Ok(Lowest {
        voltage: place.map(|place| plan.voltages[place]),
        at_or_below: place == Some(0),
        search: search.tested,
        checks,
        evaluations: search.evaluations,
    })
}

impl Plan {
    fn check(&self) -> Result<()> {
        let wrong = |what: &str, expected: String, found: String| {
            Err(Error::argument(what, expected, found))
        };
        if self.voltages.is_empty() || self.voltages.windows(2).any(|pair| pair[0] >= pair[1]) {
            let all: Vec<String> = self.voltages.iter().map(Voltage::to_string).collect();
            return wrong(
                "voltages",
                "at least one, in rising order".into(),
                format!("`{}`", all.join(", ")),
            );
        }
        if self.chips.min(self.fresh_chips) < 2 {
            return wrong(
                "chips",
                "at least 2".into(),
                self.chips.min(self.fresh_chips).to_string(),
            );
        }
        let fraction_of = |x: f64| (0.0..=1.0).contains(&x);
        match self.target {
            Target::Mean(accuracy) if !fraction_of(accuracy) => wrong(
                "target accuracy",
                "a number from 0 to 1".into(),
                accuracy.to_string(),
            ),
            Target::Yield { floor, .. } if !fraction_of(floor) => {
                wrong("floor", "a number from 0 to 1".into(), floor.to_string())
            }
            Target::Yield { fraction, .. } if !(fraction > 0.0 && fraction < 1.0) => wrong(
                "yield",
                "a number above 0 and below 1".into(),
                fraction.to_string(),
            ),
            Target::Yield { fraction, .. } => {
                match stats::least_without_failure(fraction, CONFIDENCE) {
                    least if u64::from(self.chips) < least => {
                        let why = format!(
                        "at least {least}: fewer cannot show a yield of {fraction} even if none fails"
                    );
                        wrong("chips", why, self.chips.to_string())
                    }
                    _ => Ok(()),
                }
            }
            Target::Mean(_) => Ok(()),
        }
    }

    fn accuracy(&self, correct: u64) -> f64 {
        correct as f64 / self.images.used as f64
    }

    /// Verdict on chips that were all evaluated, from bounds of the given one-sided confidence.
    fn judge(&self, voltage: Voltage, correct: &[u64], confidence: f64) -> Evidence {
        let chips = correct.len() as u64;
        let (target, good, value, bounds) = match self.target {
            Target::Mean(target) => {
                let sum: u64 = correct.iter().sum();
                let mean = sum as f64 / (self.images.used * chips) as f64;
                (
                    target,
                    None,
                    mean,
                    self.mean_bounds(correct, mean, target, confidence),
                )
            }
            Target::Yield { fraction, floor } => {
                let good = correct
                    .iter()
                    .filter(|&&correct| self.accuracy(correct) >= floor)
                    .count() as u64;
                let bounds = stats::clopper_pearson_at(confidence, good, chips);
                (
                    fraction,
                    Some(good),
                    good as f64 / chips as f64,
                    Some(bounds),
                )
            }
        };
        let verdict = match bounds {
            Some(bounds) if bounds.low >= target => Verdict::Holds,
            Some(bounds) if bounds.high < target => Verdict::Fails,
            _ => Verdict::Open,
        };
        Evidence {
            voltage: voltage.get(),
            chips,
            good,
            value: Some(value),
            bounds,
            verdict,
        }
    }

    /// Student's bounds of a mean. Where few chips differ, as many more may be as far off as the target is, or as
    /// the farthest one seen.
    fn mean_bounds(
        &self,
        correct: &[u64],
        mean: f64,
        target: f64,
        confidence: f64,
    ) -> Option<Interval> {
        let all: Vec<f64> = correct
            .iter()
            .map(|&correct| self.accuracy(correct))
            .collect();
        let std = stats::cautious_deviation(&stats::sorted(&all), (mean - target).abs())?;
        let half =
            stats::mean_half_width_at(confidence, std, all.len(), self.images.variance(mean))?;
        Some(Interval {
            low: mean - half,
            high: mean + half,
        })
    }
}

/// A search under way.
struct Search<'a> {
    plan: &'a Plan,
    evaluate: &'a mut Evaluate<'a>,
    /// By place in the grid: correct answers of the search chips that were evaluated there.
    seen: Vec<BTreeMap<u32, u64>>,
    /// By search chip: voltages at which it was below the floor.
    failures: Vec<u32>,
    tested: Vec<Evidence>,
    evaluations: u64,
}

impl Search<'_> {
    /// The lowest place of the grid at which the target is shown, the one below it tested too.
    fn find(&mut self) -> Result<Option<usize>> {
        let last = self.plan.voltages.len() - 1;
        let mut place = self.guess()?.min(last);
        if self.holds(place)? {
            while place > 0 && self.holds(place - 1)? {
                place -= 1;
            }
            return Ok(Some(place));
        }
        while place < last {
            place += 1;
            if self.holds(place)? {
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    /// Where the target seems to begin to hold, by bisection on a few chips.
    fn guess(&mut self) -> Result<usize> {
        let few: Vec<u32> = (0..SCREEN.min(self.plan.chips)).collect();
        let (mut low, mut high) = (0, self.plan.voltages.len());
        while low < high {
            let middle = low + (high - low) / 2;
            let correct = self.correct(middle, &few)?;
            let seen = self
                .plan
                .judge(self.plan.voltages[middle], &correct, CONFIDENCE);
            let target = self.plan.target.goal();
            if seen.value.is_some_and(|value| value >= target) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        Ok(low)
    }

    /// Whether the search chips show the target at a place.
    fn holds(&mut self, place: usize) -> Result<bool> {
        let evidence = match self.plan.target {
            Target::Mean(_) => self.mean(place)?,
            Target::Yield { fraction, floor } => self.good_chips(place, fraction, floor)?,
        };
        self.tested.push(evidence);
        Ok(evidence.verdict == Verdict::Holds)
    }

    /// Chips are doubled until the interval decides.
    fn mean(&mut self, place: usize) -> Result<Evidence> {
        let most = self.plan.chips;
        let looks: Vec<u32> = std::iter::successors(Some(FIRST_LOOK.min(most)), |&n| {
            (n < most).then(|| (2 * n).min(most))
        })
        .collect();
        let confidence = 1.0 - (1.0 - CONFIDENCE) / looks.len() as f64;
        let mut evidence = None;
        for chips in looks {
            let correct = self.correct(place, &(0..chips).collect::<Vec<_>>())?;
            let seen = self
                .plan
                .judge(self.plan.voltages[place], &correct, confidence);
            evidence = Some(seen);
            if seen.verdict != Verdict::Open {
                break;
            }
        }
        evidence.ok_or_else(|| Error::argument("chips", "at least 2", most.to_string()))
    }

    /// Chips that failed elsewhere first; abandoned when more have failed than may.
    fn good_chips(&mut self, place: usize, fraction: f64, floor: f64) -> Result<Evidence> {
        let (plan, voltage) = (self.plan, self.plan.voltages[place]);
        let n = u64::from(plan.chips);
        let shown = |bad: &u64| stats::clopper_pearson_at(CONFIDENCE, n - bad, n).low >= fraction;
        let allowed = (0..n).take_while(shown).count().saturating_sub(1);
        let mut order: Vec<u32> = (0..plan.chips).collect();
        order.sort_by_key(|&chip| (u32::MAX - self.failures[chip as usize], chip));
        let (mut all, mut bad) = (Vec::new(), 0);
        for chips in order.chunks(BATCH) {
            let correct = self.correct(place, chips)?;
            for (&chip, &correct) in chips.iter().zip(&correct) {
                if plan.accuracy(correct) < floor {
                    bad += 1;
                    self.failures[chip as usize] += 1;
                }
            }
            all.extend(correct);
            if bad > allowed {
                break;
            }
        }
        let seen = plan.judge(voltage, &all, CONFIDENCE);
        Ok(match bad > allowed {
            true if all.len() < order.len() => Evidence {
                value: None,
                bounds: None,
                verdict: Verdict::Fails,
                ..seen
            },
            true => Evidence {
                verdict: Verdict::Fails,
                ..seen
            },
            false => seen,
        })
    }

    /// Fresh chips at the place that was found; where they refute it, others one step higher, and so on.
    fn verify(&mut self, found: Option<usize>) -> Result<(Option<usize>, Vec<Evidence>)> {
        let plan = self.plan;
        let (mut checks, mut first) = (Vec::new(), plan.chips);
        let Some(found) = found else {
            return Ok((None, checks));
        };
        for place in found..plan.voltages.len() {
            let last = first.checked_add(plan.fresh_chips).ok_or_else(|| {
                Error::argument(
                    "fresh chips",
                    "numbers of chips below 2^32",
                    plan.fresh_chips.to_string(),
                )
            })?;
            let correct = self.evaluated(place, &(first..last).collect::<Vec<_>>())?;
            let check = plan.judge(plan.voltages[place], &correct, CONFIDENCE);
            checks.push(check);
            if check.verdict != Verdict::Fails {
                return Ok((Some(place), checks));
            }
            first = last;
        }
        Ok((None, checks))
    }

    /// Correct answers of search chips at a place; each is evaluated there once.
    fn correct(&mut self, place: usize, chips: &[u32]) -> Result<Vec<u64>> {
        let new: Vec<u32> = chips
            .iter()
            .copied()
            .filter(|chip| !self.seen[place].contains_key(chip))
            .collect();
        if !new.is_empty() {
            let correct = self.evaluated(place, &new)?;
            self.seen[place].extend(new.into_iter().zip(correct));
        }
        Ok(chips
            .iter()
            .filter_map(|chip| self.seen[place].get(chip))
            .copied()
            .collect())
    }

    fn evaluated(&mut self, place: usize, chips: &[u32]) -> Result<Vec<u64>> {
        let (voltage, images) = (self.plan.voltages[place], self.plan.images.used);
        let ids: Vec<ChipId> = chips.iter().copied().map(ChipId).collect();
        let correct = (self.evaluate)(voltage, &ids)?;
        self.evaluations += ids.len() as u64;
        if correct.len() != ids.len() || correct.iter().any(|&correct| correct > images) {
            let expected = format!("{} results of at most {images} images", ids.len());
            return Err(Error::argument(
                "evaluated chips",
                expected,
                format!("{correct:?}"),
            ));
        }
        Ok(correct)
    }
}
