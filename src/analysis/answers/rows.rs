//! The rows of `answers.csv`, and the file.

use super::super::pareto_file::{by_id, known_summary, point_columns, UP_TO_ONE};
use super::super::row::{self, Summary};
use crate::error::Result;
use crate::fault::{ArrayLabel, Protection};
use crate::quant::MethodLabel;
use crate::sweep::ActivationSupply;
use crate::table::{read_each, words, Columns, Part, Record, FRACTION, FROM_ZERO, VOLTAGE};
use crate::units::{Bits, VoltageUnit};
use std::ops::RangeInclusive;
use std::path::Path;

/// Design points that differ in their supply voltage alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VoltageSeries {
    /// The model.
    pub model: String,
    /// Its method.
    pub method: MethodLabel,
    /// Its bits per weight; `None` where layers differ.
    pub bits: Option<Bits>,
    /// The memory model.
    pub memory: String,
    /// The array.
    pub array: ArrayLabel,
    /// The protection.
    pub protection: Protection,
    /// Supply of stored activations, where they have one of their own.
    pub activations: Option<ActivationSupply>,
    /// Unit of the voltages.
    pub unit: VoltageUnit,
    /// Accuracy floor of its yields, a fraction in [0, 1].
    pub floor: f64,
    /// Lowest swept voltage whose rate is not extrapolated; `None` where there is none.
    pub lowest: Option<f64>,
    /// Highest such voltage.
    pub highest: Option<f64>,
}

/// What is asked of a series. All are fractions in [0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Question {
    /// The lowest voltage that keeps the mean accuracy.
    Loss {
        /// Accuracy that may be lost.
        loss: f64,
        /// Mean accuracy that must be reached.
        target: f64,
    },
    /// The lowest voltage at which enough chips are good.
    Yield {
        /// Fraction of chips that must reach the floor.
        fraction: f64,
        /// The floor.
        floor: f64,
    },
}

/// Where the answer lies in the grid of swept voltages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    /// Above the lowest one.
    Found,
    /// It is the lowest one: the grid ends before the cliff, and the truth may lie below.
    AtOrBelow,
    /// Not even the highest one holds.
    #[default]
    NotReached,
}

words!(Reach: Found "found", AtOrBelow "at_or_below", NotReached "not_reached");

/// The ends of a 95 % interval on a grid; `None` where the end lies beyond the grid, or where there is no interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ends {
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// The answer to a question for a series.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What it is about.
    pub series: VoltageSeries,
    /// What was asked.
    pub question: Question,
    /// Where in the grid it lies.
    pub reach: Reach,
    /// The design point at the lowest voltage that holds; `None` where none does.
    pub point: Option<Summary>,
    /// Interval of the voltage, in swept voltages. The lower end `None`: no swept voltage holds; the upper end `None`:
    /// it lies above the highest, or the chips are too few to show the yield at any.
    pub voltage_ends: Ends,
    /// Relative energies at the ends of the voltage's interval.
    pub energy_ends: Ends,
    /// Method that is the baseline; `None` where it was not swept in this memory and array, and for yields.
    pub baseline: Option<MethodLabel>,
    /// `1 - energy / energy of the baseline's cheapest answer to the same question`.
    pub saving_to_baseline: Option<f64>,
    /// Its interval, over paired resamples; an end is `None` where one of both is not reached there.
    pub saving_to_baseline_ends: Ends,
    /// One-sided 95 % lower bound of the yield at the point, for yields.
    pub yield_lower: Option<f64>,
    /// Whether that bound reaches the yield asked for.
    pub supported: Option<bool>,
    /// Guard band, for yields: this voltage less the lowest one at which the mean accuracy reaches the floor.
    pub guard_voltage: Option<f64>,
    /// The same in relative energy.
    pub guard_energy: Option<f64>,
}

impl Default for Question {
    fn default() -> Self {
        Self::Yield {
            fraction: 1.0,
            floor: 0.0,
        }
    }
}

impl Answer {
    /// `1 - energy_relative`: saving against 8 bits at the error-free voltage.
    pub fn saving_to_reference(&self) -> Option<f64> {
        self.point
            .as_ref()
            .map(|point| 1.0 - point.design.energy_relative)
    }

    /// Its interval.
    pub fn saving_to_reference_ends(&self) -> Ends {
        let saving = |energy: f64| 1.0 - energy;
        Ends {
            low: self.energy_ends.high.map(saving),
            high: self.energy_ends.low.map(saving),
        }
    }

    /// The loss that was asked for; `None` of a yield.
    pub fn loss(&self) -> Option<f64> {
        match self.question {
            Question::Loss { loss, .. } => Some(loss),
            Question::Yield { .. } => None,
        }
    }
}

/// What a row of `answers.csv` asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum AnswerKind {
    #[default]
    Loss,
    Yield,
}

words!(AnswerKind: Loss "loss", Yield "yield");

impl Record for Answer {
    const WHAT: &'static str = "a table of answers; a finished sweep writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        let mut kind = self.loss().map_or(AnswerKind::Yield, |_| AnswerKind::Loss);
        let (mut loss, mut target, mut fraction) = match self.question {
            Question::Loss { loss, target } => (Some(loss), Some(target), None),
            Question::Yield { fraction, .. } => (None, None, Some(fraction)),
        };
        let series = &mut self.series;
        c.column("kind", &mut kind)?;
        c.column("of_model", &mut series.model)?;
        c.column("of_method", &mut series.method)?;
        c.column("of_bits", &mut series.bits)?;
        c.column("of_memory", &mut series.memory)?;
        c.column("of_array", &mut series.array)?;
        c.column("of_protection", &mut series.protection)?;
        c.column("of_unit", &mut series.unit)?;
        let mut of_activations = series.activations.as_ref().map(ActivationSupply::in_words);
        c.rare("of_activations", &mut of_activations)?;
        c.number("grid_low", VOLTAGE, &mut series.lowest)?;
        c.number("grid_high", VOLTAGE, &mut series.highest)?;
        c.number("loss", FRACTION, &mut loss)?;
        c.number("target", FRACTION, &mut target)?;
        c.number("yield_target", FRACTION, &mut fraction)?;
        c.number("floor", FRACTION, &mut series.floor)?;
        let floor = series.floor;
        c.column("reach", &mut self.reach)?;
        point_columns(c, &mut self.point, yield_columns)?;
        c.number("yield_lower", FRACTION, &mut self.yield_lower)?;
        c.column("supported", &mut self.supported)?;
        self.voltage_ends
            .columns(c, ["voltage_low", "voltage_high"], VOLTAGE)?;
        self.energy_ends
            .columns(c, ["energy_low", "energy_high"], FROM_ZERO)?;
        // what follows from the point and the ends
        let mut saving = self.saving_to_reference();
        c.number("saving_to_reference", UP_TO_ONE, &mut saving)?;
        let names = ["saving_to_reference_low", "saving_to_reference_high"];
        self.saving_to_reference_ends()
            .columns(c, names, UP_TO_ONE)?;
        c.column("baseline", &mut self.baseline)?;
        let saving = &mut self.saving_to_baseline;
        c.number("saving_to_baseline", UP_TO_ONE, saving)?;
        let names = ["saving_to_baseline_low", "saving_to_baseline_high"];
        self.saving_to_baseline_ends.columns(c, names, UP_TO_ONE)?;
        c.column("guard_voltage", &mut self.guard_voltage)?;
        c.column("guard_energy", &mut self.guard_energy)?;
        self.question = match (kind, loss, target, fraction) {
            (AnswerKind::Loss, Some(loss), Some(target), _) => Question::Loss { loss, target },
            (AnswerKind::Yield, _, _, Some(fraction)) => Question::Yield { fraction, floor },
            (AnswerKind::Loss, None, ..) => return Err(c.wrong("loss", "a value", "nothing")),
            (AnswerKind::Loss, ..) => return Err(c.wrong("target", "a value", "nothing")),
            (AnswerKind::Yield, ..) => {
                return Err(c.wrong("yield_target", "a value", "nothing"));
            }
        };
        Ok(())
    }

    fn check<C: Columns>(&self, c: &C) -> Result<()> {
        if self.point.is_none() != (self.reach == Reach::NotReached) {
            let found = self.point.as_ref().map_or("none", |_| "one");
            let expected = format!("what `{}` has", self.reach.name());
            return Err(c.wrong("design_id", expected, found));
        }
        Ok(())
    }
}

/// The yield of the point of an answer.
fn yield_columns<C: Columns>(c: &mut Part<'_, C>, point: &mut Summary) -> Result<()> {
    let quantiles = point.quantiles;
    let mut interval = quantiles.map(|quantiles| quantiles.yield_interval);
    let mut share = quantiles.map(|quantiles| quantiles.yield_share);
    c.number("yield", FRACTION, &mut share)?;
    row::interval(c, row::YIELD_ENDS, FRACTION, &mut interval)
}

impl Ends {
    fn columns(
        &mut self,
        c: &mut impl Columns,
        [low, high]: [&'static str; 2],
        range: RangeInclusive<f64>,
    ) -> Result<()> {
        c.number(low, range.clone(), &mut self.low)?;
        c.number(high, range, &mut self.high)
    }
}

/// Reads `answers.csv`. Its design points are looked up by `design_id` in the summaries that it was made from.
///
/// # Errors
/// [`Error::Missing`](crate::error::Error::Missing); [`Error::Input`](crate::error::Error::Input) with line and column
/// for a file that is empty, truncated or damaged, columns or values that do not fit, a design point that is not
/// among `summaries`, an answer without its design point.
pub fn read_answers(path: &Path, summaries: &[Summary]) -> Result<Vec<Answer>> {
    let by_id = by_id(summaries);
    read_each(path, |answer: Answer, row| {
        let point = answer.point.as_ref();
        Ok(Answer {
            point: point
                .map(|point| known_summary(row, &by_id, point))
                .transpose()?,
            ..answer
        })
    })
}
