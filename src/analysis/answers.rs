//! Answers from stored tables: the lowest voltage of each model at an accuracy loss or a yield, what it saves, how sure.

mod rows;
mod shown;
#[cfg(test)]
mod tests;

pub use rows::{read_answers, Answer, Ends, Question, Reach, VoltageSeries};
pub use shown::{SeriesPoints, Shown};

use super::pareto::{baseline_of, best_clean, Points, SAVING_LOSSES};
use super::row::Summary;
use crate::error::{refuse, Result};
use crate::fault::{ArrayLabel, FaultLabel, Protection};
use crate::quant::MethodLabel;
use crate::seed::{Purpose, Seed};
use crate::stats::{self, Interval, ROUNDING};
use crate::sweep::{ActivationSupply, TrialRow};
use crate::units::Bits;
use std::collections::BTreeMap;

/// Shares of chips at or above the floor that answers are given for.
pub const YIELD_TARGETS: [f64; 2] = [0.9, 0.99];
/// One-sided confidence with which a yield counts as supported.
const CONFIDENCE: f64 = 0.95;
/// First index of the stream of the choice of images.
const STREAM: u64 = 2;

/// What is asked of every series.
#[derive(Clone, Debug, PartialEq)]
pub struct Questions {
    /// Accuracy losses, as fractions in [0, 1].
    pub losses: Vec<f64>,
    /// Yields, above 0 and below 1.
    pub yields: Vec<f64>,
}

impl Default for Questions {
    /// [`SAVING_LOSSES`] and [`YIELD_TARGETS`].
    fn default() -> Self {
        Self {
            losses: SAVING_LOSSES.to_vec(),
            yields: YIELD_TARGETS.to_vec(),
        }
    }
}

/// Answers by question (losses, then yields) and series, from the design points of `summaries`, whose trials must be in
/// `trials`.
///
/// A voltage series is one model in one memory with one array, protection and floor at several voltages; points whose rate is
/// extrapolated are no levels of it; points with a voltage for each domain are in none. Its answer is the lowest swept voltage from which on, upward, every swept voltage
/// holds: voltages between are not interpolated, and the ends of intervals are swept voltages too.
///
/// Loss: a voltage holds where its mean accuracy reaches the best clean accuracy of the baseline's models (of all models
/// without a baseline) less the loss, as in [`pareto`](super::pareto()). Intervals are 95 % percentiles of
/// 1000 paired resamples of the chips that all points share, the same for all points and methods; none with one
/// such chip. Where a random subset of the test images was used, its choice moves all means of a resample by
/// one normal deviate, each by its own [`variance`](stats::ImageSample::variance); the target is a given number.
///
/// Yield: a voltage holds where its fraction of chips at or above the floor reaches the yield. The ends of the interval are
/// the answers by the upper and by the lower end of the 95 % Clopper-Pearson intervals of the fractions; at an
/// error-free voltage the fraction is known.
/// None of a yield where a design point was sampled in two levels: that sees too little of each chip.
///
/// # Errors
/// [`crate::error::Error::Argument`]: a loss or yield outside its range; as [`pareto`](super::pareto()).
pub fn answers(
    summaries: &[Summary],
    trials: &[TrialRow],
    questions: &Questions,
    seed: Seed,
) -> Result<Vec<Answer>> {
    let wrong = |what: &str, expected: &str, found: &f64| refuse(what, expected, found);
    let mut losses = questions.losses.iter();
    if let Some(loss) = losses.find(|loss| !(0.0..=1.0).contains(*loss)) {
        return wrong("accuracy loss", "a number from 0 to 1", loss);
    }
    let mut yields = questions.yields.iter();
    if let Some(fraction) = yields.find(|own| !(**own > 0.0 && **own < 1.0)) {
        return wrong("yield", "a number above 0 and below 1", fraction);
    }
    let points = Points::new(summaries, trials)?;
    let table = Table::new(summaries);
    let mut answers = table.by_loss(&questions.losses, &points, seed);
    let whole = summaries.iter().all(|summary| summary.quantiles.is_some());
    for &fraction in questions.yields.iter().filter(|_| whole) {
        answers.extend((0..table.all_series.len()).map(|series| table.by_yield(series, fraction)));
    }
    Ok(answers)
}

/// The points at one voltage; several where runs were merged.
struct Level {
    voltage: f64,
    points: Vec<usize>,
}

/// What tells a voltage series from others: method, width, model, architecture, memory with faults, array and protection,
/// floor, supply of activations.
type SeriesKey<'a> = (
    MethodLabel,
    Option<Bits>,
    [&'a str; 2],
    (&'a str, &'a FaultLabel, &'a ArrayLabel, Protection),
    u64,
    Option<&'a ActivationSupply>,
);

/// The series that a design point is of.
fn series_key(point: &Summary) -> SeriesKey<'_> {
    let d = &point.design;
    let memory = (d.memory.as_str(), &d.fault_kind, &d.array, d.protection);
    let names = [d.model.as_str(), d.architecture.as_str()];
    let floor = point.floor.to_bits();
    (
        d.method,
        d.bits,
        names,
        memory,
        floor,
        d.activations.as_ref(),
    )
}

/// Voltage series of design points.
struct Table<'a> {
    summaries: &'a [Summary],
    baseline: Option<MethodLabel>,
    /// Each with its levels by rising voltage.
    all_series: Vec<(VoltageSeries, Vec<Level>)>,
    /// By series: those of the baseline that it is compared with.
    bases: Vec<Vec<usize>>,
}

/// What resamples gave for one question and series.
#[derive(Clone, Default)]
struct Resampled {
    /// Levels; the number of levels where none held.
    levels: Vec<usize>,
    /// Savings to the baseline, infinite where one of both does not hold anywhere.
    savings: Vec<f64>,
}

impl<'a> Table<'a> {
    fn new(summaries: &'a [Summary]) -> Self {
        let mut grouped: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (i, s) in summaries.iter().enumerate() {
            if s.design.voltage.is_some() {
                grouped.entry(series_key(s)).or_default().push(i);
            }
        }
        let series = |points: Vec<usize>| {
            let (d, floor) = (&summaries[points[0]].design, summaries[points[0]].floor);
            let mut levels: Vec<Level> = Vec::new();
            let mut known: Vec<(f64, usize)> = points
                .into_iter()
                .filter(|&i| !summaries[i].is_extrapolated())
                .filter_map(|i| summaries[i].design.voltage.map(|voltage| (voltage, i)))
                .collect();
            known.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (voltage, i) in known {
                match levels.last_mut() {
                    Some(level) if level.voltage == voltage => level.points.push(i),
                    _ => levels.push(Level {
                        voltage,
                        points: vec![i],
                    }),
                }
            }
            let series = VoltageSeries {
                model: d.model.clone(),
                method: d.method,
                bits: d.bits,
                memory: d.memory.clone(),
                array: d.array.clone(),
                protection: d.protection,
                activations: d.activations.clone(),
                unit: d.voltage_unit,
                floor,
                lowest: levels.first().map(|level| level.voltage),
                highest: levels.last().map(|level| level.voltage),
            };
            (series, levels)
        };
        let all_series: Vec<(VoltageSeries, Vec<Level>)> =
            grouped.into_values().map(series).collect();
        let baseline = baseline_of(summaries);
        let bases = all_series
            .iter()
            .map(|(own, _)| bases(own, &all_series, baseline))
            .collect();
        Self {
            summaries,
            baseline,
            all_series,
            bases,
        }
    }

    /// The lowest level of a series from which on, upward, every point holds.
    fn lowest(&self, series: usize, holds: impl Fn(usize) -> bool) -> Option<usize> {
        let levels = &self.all_series[series].1;
        let held = levels
            .iter()
            .rev()
            .take_while(|level| level.points.iter().all(|&i| holds(i)))
            .count();
        (held > 0).then(|| levels.len() - held)
    }

    /// Answers of all series by mean accuracy.
    fn by_mean(&self, means: &[f64], target: f64) -> Vec<Option<usize>> {
        let of = |series| self.lowest(series, |i| means[i] >= target - ROUNDING);
        (0..self.all_series.len()).map(of).collect()
    }

    /// The point of a level; of several the one of least accuracy.
    fn point(&self, series: usize, level: usize) -> Option<&'a Summary> {
        let level = self.all_series[series].1.get(level)?;
        let points = level.points.iter().map(|&i| &self.summaries[i]);
        points.min_by(|a, b| a.mean.total_cmp(&b.mean))
    }

    fn energy(&self, series: usize, level: usize) -> Option<f64> {
        self.point(series, level)
            .map(|point| point.design.energy_relative)
    }

    /// `1 - energy / energy of the baseline's cheapest answer`; minus infinity where the series has no answer,
    /// infinity where only the baseline has none. `None` where nothing is to be compared with.
    fn saving_to_baseline(&self, series: usize, found: &[Option<usize>]) -> Option<f64> {
        if self.bases[series].is_empty() {
            return None;
        }
        let energy_of = |series: usize| found[series].and_then(|level| self.energy(series, level));
        let base = self.bases[series]
            .iter()
            .filter_map(|&base| energy_of(base))
            .reduce(f64::min);
        match (energy_of(series), base) {
            (None, _) => Some(f64::NEG_INFINITY),
            (Some(_), None) => Some(f64::INFINITY),
            (Some(own), Some(base)) => (base > 0.0).then(|| 1.0 - own / base),
        }
    }

    fn by_loss(&self, losses: &[f64], points: &Points, seed: Seed) -> Vec<Answer> {
        let clean = best_clean(self.summaries, self.baseline);
        let targets: Vec<f64> = losses.iter().map(|loss| (clean - loss).max(0.0)).collect();
        let means: Vec<f64> = self.summaries.iter().map(|s| s.mean).collect();
        let deviation = |s: &Summary| s.image_sample().variance(s.mean).sqrt();
        let deviations: Vec<f64> = self.summaries.iter().map(deviation).collect();
        let subset = deviations.iter().any(|&deviation| deviation > 0.0);
        let mut resampled = vec![vec![Resampled::default(); self.all_series.len()]; targets.len()];
        let mut of_images = seed.stream(Purpose::Bootstrap, &[STREAM]);
        let mut each = |scores: &[f64]| {
            let z = if subset { of_images.normal() } else { 0.0 };
            let moved: Vec<f64> = scores
                .iter()
                .zip(&deviations)
                .map(|(x, deviation)| (x + z * deviation).clamp(0.0, 1.0))
                .collect();
            for (&target, of_all) in targets.iter().zip(&mut resampled) {
                let found = self.by_mean(&moved, target);
                for (series, of) in of_all.iter_mut().enumerate() {
                    of.levels
                        .push(found[series].unwrap_or(self.all_series[series].1.len()));
                    of.savings.extend(self.saving_to_baseline(series, &found));
                }
            }
        };
        if points.chips > 1 {
            points.resample(seed, &mut each);
        }
        let mut answers = Vec::new();
        for ((&loss, &target), of_all) in losses.iter().zip(&targets).zip(resampled) {
            let found = self.by_mean(&means, target);
            for (series, mut of) in of_all.into_iter().enumerate() {
                of.levels.sort_unstable();
                of.savings.sort_by(f64::total_cmp);
                let levels = percentiles(&of.levels);
                let savings = percentiles(&of.savings);
                let question = Question::Loss { loss, target };
                let mut answer = self.answer(series, question, found[series], levels);
                let finite = |x: f64| x.is_finite().then_some(x);
                answer.saving_to_baseline =
                    self.saving_to_baseline(series, &found).and_then(finite);
                answer.saving_to_baseline_ends = Ends {
                    low: savings.and_then(|(low, _)| finite(low)),
                    high: savings.and_then(|(_, high)| finite(high)),
                };
                answer.baseline = self.baseline.filter(|_| !self.bases[series].is_empty());
                answers.push(answer);
            }
        }
        answers
    }

    fn by_yield(&self, series: usize, fraction: f64) -> Answer {
        let floor = self.all_series[series].0.floor;
        let by = |value: fn(&Summary) -> Option<f64>| {
            self.lowest(series, |i| {
                value(&self.summaries[i]).is_some_and(|value| value >= fraction)
            })
        };
        let found = by(|s| Some(s.quantiles?.yield_share));
        let none = self.all_series[series].1.len();
        let ends = (
            by(|s| Some(known_yield(s)?.high)).unwrap_or(none),
            by(|s| Some(known_yield(s)?.low)).unwrap_or(none),
        );
        let question = Question::Yield { fraction, floor };
        let mut answer = self.answer(series, question, found, Some(ends));
        answer.yield_lower = answer.point.as_ref().and_then(yield_lower);
        answer.supported = answer.yield_lower.map(|lower| lower >= fraction);
        let by_mean = self.lowest(series, |i| self.summaries[i].mean >= floor - ROUNDING);
        if let (Some(own), Some(mean)) = (found, by_mean) {
            let levels = &self.all_series[series].1;
            answer.guard_voltage = Some(levels[own].voltage - levels[mean].voltage);
            answer.guard_energy = self
                .energy(series, own)
                .zip(self.energy(series, mean))
                .map(|(own, mean)| own - mean);
        }
        answer
    }

    fn answer(
        &self,
        series: usize,
        question: Question,
        found: Option<usize>,
        ends: Option<(usize, usize)>,
    ) -> Answer {
        let levels = &self.all_series[series].1;
        let point = found.and_then(|level| self.point(series, level));
        let of_ends = |of: &dyn Fn(usize) -> Option<f64>| Ends {
            low: ends.and_then(|(low, _)| of(low)),
            high: ends.and_then(|(_, high)| of(high)),
        };
        Answer {
            series: self.all_series[series].0.clone(),
            question,
            reach: match found {
                None => Reach::NotReached,
                Some(0) => Reach::AtOrBelow,
                Some(_) => Reach::Found,
            },
            point: point.cloned(),
            voltage_ends: of_ends(&|level| levels.get(level).map(|level| level.voltage)),
            energy_ends: of_ends(&|level| self.energy(series, level)),
            ..Answer::default()
        }
    }
}

/// Voltage series of the baseline that a series is compared with: in the same memory and array, unprotected, or where that was
/// not swept, under its own protection.
fn bases(
    own: &VoltageSeries,
    all_series: &[(VoltageSeries, Vec<Level>)],
    baseline: Option<MethodLabel>,
) -> Vec<usize> {
    let under = |protection| -> Vec<usize> {
        let fits = |place: &usize| {
            let other = &all_series[*place].0;
            baseline == Some(other.method)
                && (&other.memory, &other.array) == (&own.memory, &own.array)
                && (other.protection, &other.activations) == (protection, &own.activations)
        };
        (0..all_series.len()).filter(fits).collect()
    };
    let unprotected = under(Protection::None);
    if unprotected.is_empty() {
        under(own.protection)
    } else {
        unprotected
    }
}

/// The yield's interval; where no cell can fail, every chip is like those that were seen.
fn known_yield(summary: &Summary) -> Option<Interval> {
    let quantiles = summary.quantiles?;
    Some(if summary.design.can_fail() {
        quantiles.yield_interval
    } else {
        Interval::around(quantiles.yield_share, 0.0)
    })
}

/// One-sided lower bound of the yield.
fn yield_lower(summary: &Summary) -> Option<f64> {
    let fraction = summary.quantiles?.yield_share;
    let good = (fraction * summary.chips as f64).round() as u64;
    Some(if summary.design.can_fail() {
        stats::clopper_pearson_at(CONFIDENCE, good, summary.chips).low
    } else {
        fraction
    })
}

/// The 95 % percentiles of a sorted sample of resamples, both values of the sample, outward; `None` without one.
fn percentiles<T: Copy>(sorted: &[T]) -> Option<(T, T)> {
    let last = sorted.len().checked_sub(1)?;
    let place = |q: f64| q * last as f64;
    Some((
        sorted[place(0.025).floor() as usize],
        sorted[place(0.975).ceil() as usize],
    ))
}
