//! The rows of `answers.csv`, and the file.

use super::super::columns::{design_costs, design_keys, UNITS};
use super::super::csv::to_csv;
use super::super::field::{
    number, optional_count, optional_number, optional_text, records, text, Field, FINITE,
    FROM_ZERO, SHARE,
};
use super::super::file::{read, write};
use super::super::pareto_file::known_summary;
use super::super::read::Row;
use super::super::row::Summary;
use crate::error::Result;
use crate::sweep::Design;
use crate::units::{Bits, VoltageUnit};
use std::collections::BTreeMap;
use std::path::Path;

/// Design points that differ in their supply voltage alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Ladder {
    /// The model.
    pub model: String,
    /// Its method.
    pub method: String,
    /// Its bits per weight; `None` where layers differ.
    pub bits: Option<u32>,
    /// The memory model.
    pub memory: String,
    /// The array.
    pub array: String,
    /// The protection.
    pub protection: String,
    /// Unit of the voltages.
    pub unit: VoltageUnit,
    /// Accuracy floor of its yields, a fraction in [0, 1].
    pub floor: f64,
    /// Lowest swept voltage whose rate is not extrapolated; `None` where there is none.
    pub lowest: Option<f64>,
    /// Highest such voltage.
    pub highest: Option<f64>,
}

/// What is asked of a ladder. All are fractions in [0, 1].
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
        /// Share of chips that must reach the floor.
        share: f64,
        /// The floor.
        floor: f64,
    },
}

/// Where the answer lies in the grid of swept voltages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Above the lowest one.
    Found,
    /// It is the lowest one: the grid ends before the cliff, and the truth may lie below.
    AtOrBelow,
    /// Not even the highest one holds.
    NotReached,
}

impl Reach {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Found, Self::AtOrBelow, Self::NotReached];

    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Found => "found",
            Self::AtOrBelow => "at_or_below",
            Self::NotReached => "not_reached",
        }
    }
}

/// The ends of a 95 % interval on a grid; `None` where the end lies beyond the grid, or where there is no interval.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Ends {
    /// Lower end.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
}

/// The answer to a question for a ladder.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// What it is about.
    pub ladder: Ladder,
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
    pub baseline: Option<String>,
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
    pub(in crate::table) fn loss(&self) -> Option<f64> {
        match self.question {
            Question::Loss { loss, .. } => Some(loss),
            Question::Yield { .. } => None,
        }
    }

    fn share(&self) -> Option<f64> {
        match self.question {
            Question::Loss { .. } => None,
            Question::Yield { share, .. } => Some(share),
        }
    }
}

const LOSS: &str = "loss";
const YIELD: &str = "yield";
/// Voltages, as in all tables.
const VOLTS: std::ops::RangeInclusive<f64> = 0.0..=100.0;

fn fields() -> Vec<Field<Answer>> {
    let up_to_one = || f64::MIN..=1.0;
    let of_design = |field: Field<Design>| {
        field.of_option(|answer: &Answer| answer.point.as_ref().map(|point| &point.design))
    };
    let of_point = |field: Field<Summary>| field.of_option(|answer: &Answer| answer.point.as_ref());
    let mut fields = vec![
        text(
            "kind",
            |a: &Answer| if a.loss().is_some() { LOSS } else { YIELD },
        ),
        text("of_model", |a| &a.ladder.model),
        text("of_method", |a| &a.ladder.method),
        optional_count("of_bits", |a| a.ladder.bits.map(u64::from)),
        text("of_memory", |a| &a.ladder.memory),
        text("of_array", |a| &a.ladder.array),
        text("of_protection", |a| &a.ladder.protection),
        text("of_unit", |a| a.ladder.unit.name()),
        optional_number("grid_low", VOLTS, |a| a.ladder.lowest),
        optional_number("grid_high", VOLTS, |a| a.ladder.highest),
        optional_number("loss", SHARE, |a| a.loss()),
        optional_number("target", SHARE, |a| match a.question {
            Question::Loss { target, .. } => Some(target),
            Question::Yield { .. } => None,
        }),
        optional_number("yield_target", SHARE, |a| a.share()),
        number("floor", SHARE, |a| a.ladder.floor),
        text("reach", |a| a.reach.name()),
    ];
    fields.extend(
        design_keys()
            .into_iter()
            .chain(design_costs())
            .map(of_design),
    );
    let of_summary = vec![
        number("mean", SHARE, |s: &Summary| s.mean),
        optional_number("yield", SHARE, |s| {
            s.spread.map(|spread| spread.yield_share)
        }),
        optional_number("yield_low", SHARE, |s| {
            s.spread.map(|spread| spread.yield_interval.low)
        }),
        optional_number("yield_high", SHARE, |s| {
            s.spread.map(|spread| spread.yield_interval.high)
        }),
    ];
    fields.extend(of_summary.into_iter().map(of_point));
    fields.extend([
        optional_number("yield_lower", SHARE, |a: &Answer| a.yield_lower),
        optional_text("supported", |a| {
            a.supported.map(|yes| if yes { "true" } else { "false" })
        }),
        optional_number("voltage_low", VOLTS, |a| a.voltage_ends.low),
        optional_number("voltage_high", VOLTS, |a| a.voltage_ends.high),
        optional_number("energy_low", FROM_ZERO, |a| a.energy_ends.low),
        optional_number("energy_high", FROM_ZERO, |a| a.energy_ends.high),
        optional_number(
            "saving_to_reference",
            up_to_one(),
            Answer::saving_to_reference,
        ),
        optional_number("saving_to_reference_low", up_to_one(), |a| {
            a.saving_to_reference_ends().low
        }),
        optional_number("saving_to_reference_high", up_to_one(), |a| {
            a.saving_to_reference_ends().high
        }),
        optional_text("baseline", |a| a.baseline.as_deref()),
        optional_number("saving_to_baseline", up_to_one(), |a| a.saving_to_baseline),
        optional_number("saving_to_baseline_low", up_to_one(), |a| {
            a.saving_to_baseline_ends.low
        }),
        optional_number("saving_to_baseline_high", up_to_one(), |a| {
            a.saving_to_baseline_ends.high
        }),
        optional_number("guard_voltage", FINITE, |a| a.guard_voltage),
        optional_number("guard_energy", FINITE, |a| a.guard_energy),
    ]);
    fields
}

/// The rows of `answers.csv` as JSON objects, null where a value is missing.
///
/// # Errors
/// [`Error::Argument`](crate::error::Error::Argument) that names the column of a value outside its range.
pub fn answer_records(answers: &[Answer]) -> Result<serde_json::Value> {
    records(&fields(), answers)
}

/// The text of `answers.csv`.
///
/// # Errors
/// As [`answer_records`].
pub fn answers_csv_string(answers: &[Answer]) -> Result<String> {
    to_csv(&fields(), answers)
}

/// Writes `answers.csv` (Parquet where the name does not end in `.csv`).
///
/// # Errors
/// As [`answer_records`], or [`Error::Io`](crate::error::Error::Io) with the path.
pub fn write_answers(path: &Path, answers: &[Answer]) -> Result<()> {
    write(path, &fields(), answers)
}

/// Reads `answers.csv`. Its design points are looked up by `design_id` in the summaries that it was made from.
///
/// # Errors
/// [`Error::Missing`](crate::error::Error::Missing); [`Error::Input`](crate::error::Error::Input) with line and column
/// for a file that is empty, truncated or damaged, columns or values that do not fit, a design point that is not
/// among `summaries`, an answer without its design point.
pub fn read_answers(path: &Path, summaries: &[Summary]) -> Result<Vec<Answer>> {
    let by_id: BTreeMap<&str, &Summary> = summaries
        .iter()
        .map(|summary| (summary.design.design_id.as_str(), summary))
        .collect();
    read(
        path,
        "a table of answers; a finished sweep writes it",
        &fields(),
        |row| answer(row, &by_id),
    )
}

fn answer(row: Row<'_>, by_id: &BTreeMap<&str, &Summary>) -> Result<Answer> {
    let bits = row.optional_count("of_bits").map(Bits::new).transpose();
    let floor = row.number("floor")?;
    let question = match row.text("kind")? {
        LOSS => Question::Loss {
            loss: row.number("loss")?,
            target: row.number("target")?,
        },
        YIELD => Question::Yield {
            share: row.number("yield_target")?,
            floor,
        },
        other => {
            return Err(row.wrong(
                "kind",
                format!("one of {LOSS}, {YIELD}"),
                format!("`{other}`"),
            ))
        }
    };
    let reach = row.word("reach", &Reach::ALL, Reach::name)?;
    let point = row
        .optional_text("design_id")
        .map(|id| known_summary(row, by_id, id))
        .transpose()?;
    if point.is_none() != (reach == Reach::NotReached) {
        let found = if point.is_none() { "none" } else { "one" };
        return Err(row.wrong("design_id", format!("what `{}` has", reach.name()), found));
    }
    let ends = |low, high| Ends {
        low: row.optional_number(low),
        high: row.optional_number(high),
    };
    Ok(Answer {
        ladder: Ladder {
            model: row.text("of_model")?.to_owned(),
            method: row.text("of_method")?.to_owned(),
            bits: bits
                .map_err(|e| row.wrong("of_bits", "a width", e.to_string()))?
                .map(Bits::get),
            memory: row.text("of_memory")?.to_owned(),
            array: row.text("of_array")?.to_owned(),
            protection: row.text("of_protection")?.to_owned(),
            unit: row.word("of_unit", &UNITS, VoltageUnit::name)?,
            floor,
            lowest: row.optional_number("grid_low"),
            highest: row.optional_number("grid_high"),
        },
        question,
        reach,
        point,
        voltage_ends: ends("voltage_low", "voltage_high"),
        energy_ends: ends("energy_low", "energy_high"),
        baseline: row.optional_text("baseline").map(str::to_owned),
        saving_to_baseline: row.optional_number("saving_to_baseline"),
        saving_to_baseline_ends: ends("saving_to_baseline_low", "saving_to_baseline_high"),
        yield_lower: row.optional_number("yield_lower"),
        supported: match row.optional_text("supported") {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(other) => {
                return Err(row.wrong("supported", "true or false", format!("`{other}`")))
            }
        },
        guard_voltage: row.optional_number("guard_voltage"),
        guard_energy: row.optional_number("guard_energy"),
    })
}
