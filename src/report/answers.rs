//! The tables of lowest voltages: at accuracy losses with what they save, and at yields with their guard band.

use super::grid::Grid;
use super::tables::{is_least, mark};
use super::words::{bit_error_rate, energy, four_decimals, mean, points, voltage, width};
use crate::analysis::{metric, Answer, Ends, Question, Reach, Saving, SeriesPoints, Summary};
use crate::figure::{number, percent};
use crate::quant::MethodLabel;
use crate::stats;

/// A saving, and the cheaper point that would keep its accuracy on extrapolated ground only.
pub(super) type Open<'a> = (&'a Saving, &'a Summary);

/// An answer with what was asked: loss and target accuracy, or yield and floor.
type Asked<'a> = (&'a Answer, f64, f64);

/// What distinguishes a series from the others of the page: `wcat at 4 bit`, then the model, memory, array and protection
/// where they are needed to tell them apart.
pub(super) fn label(answer: &Answer, all: &[Answer]) -> String {
    let own = &answer.series;
    let mut text = format!("{} at {}", own.method, width(own.bits));
    let alike = all
        .iter()
        .filter(|other| (&other.series.method, other.series.bits) == (&own.method, own.bits));
    if alike
        .into_iter()
        .any(|other| other.series.model != own.model)
    {
        text += &format!(", {}", own.model);
    }
    let parts: [fn(&Answer) -> &str; 3] = [
        |answer| &answer.series.memory,
        |answer| answer.series.array.as_str(),
        |answer| answer.series.protection.name(),
    ];
    for of in parts {
        if all.iter().any(|other| of(other) != of(answer)) {
            text += &format!(", {}", of(answer));
        }
    }
    if let Some(activations) = &own.activations {
        text += &format!(", {}", activations.in_words());
    }
    text
}

/// `0.85 V/Vmin`, `at or below 0.75 V/Vmin`, `not reached`.
fn place(answer: &Answer) -> String {
    match (&answer.point, answer.reach) {
        (Some(point), Reach::AtOrBelow) => format!("at or below {}", voltage(point)),
        (Some(point), _) => voltage(point),
        (None, _) => "not reached".into(),
    }
}

/// `0.825 to 0.85`; an end beyond the grid is a dash.
fn span(ends: Ends, below: &str, write: fn(f64) -> String) -> Option<String> {
    match (ends.low, ends.high) {
        (None, None) => None,
        (Some(low), Some(high)) if low == high => Some(format!("{below}{}", write(low))),
        (low, high) => {
            let low = low.map_or("–".into(), |low| format!("{below}{}", write(low)));
            Some(format!("{low} to {}", high.map_or("–".into(), write)))
        }
    }
}

fn volts(answer: &Answer) -> Option<String> {
    let ends = answer.voltage_ends;
    let at_end = ends.low.is_some() && ends.low == answer.series.lowest;
    span(ends, if at_end { "≤ " } else { "" }, number)
}

/// Lowest voltage of each model at each accuracy loss, with intervals.
pub(super) fn losses(answers: &[Answer], series: &SeriesPoints<'_>, open: &[Open<'_>]) -> Grid {
    let asked = answers.iter().filter_map(|answer| match answer.question {
        Question::Loss { loss, target } => Some((answer, loss, target)),
        Question::Yield { .. } => None,
    });
    let asked = by_energy(asked.collect());
    let measured = metric(asked.iter().filter_map(|(a, ..)| a.point.as_ref()));
    let baseline = answers.iter().find_map(|answer| answer.baseline);
    let baseline = baseline.map_or("baseline", MethodLabel::name);
    Grid::of(&asked)
        .groups(|(_, loss, _)| loss.to_bits())
        .marked(|row| is_least(&asked, row, |a, b| a.1 == b.1, energy_of))
        .text("Method", |(a, ..)| label(a, answers))
        .number("Loss", |(_, loss, _)| points(*loss))
        .number("Saving to 8 bit (%)", |(a, ..)| {
            a.saving_to_reference().map(percent)
        })
        .number("95 % interval", |(a, ..)| {
            span(a.saving_to_reference_ends(), "", percent)
        })
        .number(format!("Saving to {baseline} (%)"), |(a, ..)| {
            a.saving_to_baseline.map(percent)
        })
        .number("95 % interval", |(a, ..)| {
            span(a.saving_to_baseline_ends, "", percent)
        })
        .text("Lowest voltage", |(a, loss, _)| {
            place(a) + mark(is_open(open, a, *loss))
        })
        .number("95 % interval", |(a, ..)| volts(a))
        .number("Shown down to", |(a, ..)| {
            series.shown(a).map(|shown| voltage(shown.holding))
        })
        .number("Energy", |(a, ..)| a.point.as_ref().map(energy))
        .number(format!("{} (%)", measured.title()), |(a, ..)| {
            a.point.as_ref().map(mean)
        })
        .number(
            format!("Target {} (%)", measured.words()),
            |(.., target)| percent(*target),
        )
        .number("Bit error rate", |(a, ..)| {
            a.point.as_ref().map(bit_error_rate)
        })
        .grid()
}

/// The answers of each question by rising energy, those that reach nothing last.
fn by_energy(mut asked: Vec<Asked<'_>>) -> Vec<Asked<'_>> {
    let mut questions: Vec<u64> = Vec::new();
    for (_, wanted, _) in &asked {
        if !questions.contains(&wanted.to_bits()) {
            questions.push(wanted.to_bits());
        }
    }
    asked.sort_by(|a, b| {
        let question = |row: &Asked<'_>| questions.iter().position(|q| *q == row.1.to_bits());
        question(a)
            .cmp(&question(b))
            .then(energy_of(a).total_cmp(&energy_of(b)))
    });
    asked
}

fn energy_of((answer, ..): &Asked<'_>) -> f64 {
    let point = answer.point.as_ref();
    point.map_or(f64::INFINITY, |point| point.design.energy_relative)
}

fn is_open(open: &[Open<'_>], answer: &Answer, loss: f64) -> bool {
    let own = &answer.series;
    let at = open.iter().filter(|(saving, _)| saving.loss == loss);
    at.into_iter().any(|(_, point)| {
        let d = &point.design;
        (&d.model, &d.memory, &d.array, &d.protection, &d.activations)
            == (
                &own.model,
                &own.memory,
                &own.array,
                &own.protection,
                &own.activations,
            )
    })
}

/// Lowest voltage of each model at each yield.
pub(super) fn yields(answers: &[Answer]) -> Grid {
    let asked = answers.iter().filter_map(|answer| match answer.question {
        Question::Yield { fraction, floor } => Some((answer, fraction, floor)),
        Question::Loss { .. } => None,
    });
    let asked = by_energy(asked.collect());
    Grid::of(&asked)
        .groups(|(_, fraction, _)| fraction.to_bits())
        .marked(|row| is_least(&asked, row, |a, b| a.1 == b.1, energy_of))
        .text("Method", |(a, ..)| label(a, answers))
        .number("Yield wanted (%)", |(_, fraction, _)| percent(*fraction))
        .number("Saving to 8 bit (%)", |(a, ..)| {
            a.saving_to_reference().map(percent)
        })
        .number("Yield there (%)", |(a, ..)| {
            Some(percent(a.point.as_ref()?.quantiles?.yield_share))
        })
        .number("95 % interval", |(a, ..)| {
            let interval = a.point.as_ref()?.quantiles?.yield_interval;
            let (low, high) = (Some(interval.low), Some(interval.high));
            span(Ends { low, high }, "", percent)
        })
        .text("Shown", |(a, fraction, _)| {
            let needed = stats::least_without_failure(*fraction, 0.95);
            Some(if a.supported? {
                "yes".into()
            } else {
                format!("no (needs {needed} chips or more)")
            })
        })
        .text("Lowest voltage", |(a, ..)| place(a))
        .number("95 % interval", |(a, ..)| volts(a))
        .number("Energy", |(a, ..)| a.point.as_ref().map(energy))
        .number("Floor (%)", |(.., floor)| percent(*floor))
        .number("Guard band, voltage", |(a, ..)| a.guard_voltage.map(number))
        .number("Guard band, energy", |(a, ..)| {
            a.guard_energy.map(four_decimals)
        })
        .grid()
}
