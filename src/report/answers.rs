//! The tables of lowest voltages: at accuracy losses with what they save, and at yields with their guard band.

use super::answer::{beyond, width};
use super::tables::{accuracy, bit_error_rate, energy, head, points, row, table, voltage, Cell};
use super::Report;
use crate::analysis::{Answer, Ends, Question, Reach, Spread, Summary};
use crate::figure::{number, percent};
use crate::quant::MethodLabel;
use crate::stats;

/// What distinguishes a ladder from the others of the page: `wcat at 4 bit`, then the model, array and protection where
/// they are needed to tell them apart.
fn label(answer: &Answer, all: &[Answer]) -> String {
    let own = &answer.ladder;
    let alike =
        |other: &&Answer| (&other.ladder.method, other.ladder.bits) == (&own.method, own.bits);
    let differ = |of: fn(&Answer) -> &str| all.iter().any(|other| of(other) != of(answer));
    let mut text = format!("{} at {}", own.method, width(own.bits));
    if all
        .iter()
        .filter(alike)
        .any(|other| other.ladder.model != own.model)
    {
        text += &format!(", {}", own.model);
    }
    for of in [
        (|a| a.ladder.memory.as_str()) as fn(&Answer) -> &str,
        |a| a.ladder.array.as_str(),
        |a| a.ladder.protection.name(),
    ] {
        if differ(of) {
            text += &format!(", {}", of(answer));
        }
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

/// `0.825 to 0.85`; an end beyond the grid is `lower` or `above`.
fn span(ends: Ends, lower: bool, write: impl Fn(f64) -> String) -> Cell {
    let below = if lower { "≤ " } else { "" };
    match (ends.low, ends.high) {
        (None, None) => Cell::None,
        (Some(low), Some(high)) if low == high => Cell::Number(format!("{below}{}", write(low))),
        (low, high) => {
            let low = low.map_or("–".into(), |x| format!("{below}{}", write(x)));
            Cell::Number(format!("{low} to {}", high.map_or("–".into(), write)))
        }
    }
}

fn volts(answer: &Answer) -> Cell {
    let at_end =
        answer.voltage_ends.low.is_some() && answer.voltage_ends.low == answer.ladder.lowest;
    span(answer.voltage_ends, at_end, number)
}

fn share(share: Option<f64>) -> Cell {
    share.map_or(Cell::None, |share| Cell::Number(percent(share)))
}

/// Lowest voltage of each model at each accuracy loss, with intervals.
pub(super) fn losses(report: &Report) -> String {
    let answers = &report.answers;
    let asked = answers.iter().filter_map(|answer| match answer.question {
        Question::Loss { loss, target } => Some((answer, loss, target)),
        Question::Yield { .. } => None,
    });
    let baseline = answers
        .iter()
        .find_map(|answer| answer.baseline)
        .map_or("baseline", MethodLabel::name);
    let to = format!("Saving to {baseline} (%)");
    let head = head(&[
        ("Method", true),
        ("Loss", false),
        ("Target accuracy (%)", false),
        ("Lowest voltage", true),
        ("95 % interval", false),
        ("Bit error rate", false),
        ("Accuracy (%)", false),
        ("Energy", false),
        ("Saving to 8 bit (%)", false),
        ("95 % interval", false),
        (&to, false),
        ("95 % interval", false),
    ]);
    let open = beyond_savings(report);
    let (mut rows, mut last) = (Vec::new(), None);
    for (answer, loss, target) in asked {
        let first = last.is_some_and(|last| last != loss);
        last = Some(loss);
        let of = |f: &dyn Fn(&Summary) -> Cell| answer.point.as_ref().map_or(Cell::None, f);
        let mark = if is_marked(&open, answer, loss) {
            " †"
        } else {
            ""
        };
        let per_cent = |ends| span(ends, false, percent);
        let cells = [
            Cell::Text(label(answer, answers)),
            Cell::Number(points(loss)),
            Cell::Number(percent(target)),
            Cell::Text(format!("{}{mark}", place(answer))),
            volts(answer),
            of(&|p| Cell::Number(bit_error_rate(p))),
            of(&|p| Cell::Number(accuracy(p.mean))),
            of(&|p| energy(p.design.energy_relative)),
            share(answer.saving_to_reference()),
            per_cent(answer.saving_to_reference_ends()),
            share(answer.saving_to_baseline),
            per_cent(answer.saving_to_baseline_ends),
        ];
        rows.push(row(&cells, first));
    }
    if rows.is_empty() {
        return String::new();
    }
    let subset = report
        .summaries
        .iter()
        .any(|s| !s.image_sample().is_whole());
    let caption = format!(
        "The lowest swept voltage from which on, upward, every swept voltage keeps the mean accuracy. Voltages between \
         the swept ones are not guessed, so the ends of the intervals are swept voltages too; \"at or below\" and ≤ say \
         that the swept voltages end before the accuracy falls. Intervals: paired bootstrap, the same resampled chips \
         for all rows{}. – : not reached, or that end lies above the highest swept voltage, or one chip.",
        if subset { ", with the choice of test images included" } else { "" }
    );
    table(&head, &rows, &caption)
}

/// Losses with the point of each method that would reach them on extrapolated ground only.
fn beyond_savings(report: &Report) -> Vec<(f64, &Summary)> {
    let mut open = Vec::new();
    for saving in &report.pareto.savings {
        open.extend(beyond(saving, &report.summaries).map(|point| (saving.loss, point)));
    }
    open
}

/// Whether a cheaper point of the same ladder reaches the same target on extrapolated ground.
fn is_marked(open: &[(f64, &Summary)], answer: &Answer, loss: f64) -> bool {
    let own = &answer.ladder;
    open.iter().filter(|(at, _)| *at == loss).any(|(_, point)| {
        let d = &point.design;
        (&d.model, &d.memory, &d.array, &d.protection)
            == (&own.model, &own.memory, &own.array, &own.protection)
    })
}

/// Lowest voltage of each model at each yield.
pub(super) fn yields(report: &Report) -> String {
    let answers = &report.answers;
    let asked = answers.iter().filter_map(|answer| match answer.question {
        Question::Yield { share, floor } => Some((answer, share, floor)),
        Question::Loss { .. } => None,
    });
    let head = head(&[
        ("Method", true),
        ("Yield wanted (%)", false),
        ("Floor (%)", false),
        ("Lowest voltage", true),
        ("95 % interval", false),
        ("Yield there (%)", false),
        ("95 % interval", false),
        ("Shown", true),
        ("Energy", false),
        ("Saving to 8 bit (%)", false),
        ("Guard band, voltage", false),
        ("Guard band, energy", false),
    ]);
    let (mut rows, mut last) = (Vec::new(), None);
    for (answer, asked, floor) in asked {
        let first = last.is_some_and(|last| last != asked);
        last = Some(asked);
        let of = |f: &dyn Fn(&Summary) -> Cell| answer.point.as_ref().map_or(Cell::None, f);
        let needed = stats::least_without_failure(asked, 0.95);
        let shown = match answer.supported {
            Some(true) => Cell::Text("yes".into()),
            Some(false) => Cell::Text(format!("no (needs {needed} chips or more)")),
            None => Cell::None,
        };
        let of_yield = |f: &dyn Fn(Spread) -> Cell| of(&|p| p.spread.map_or(Cell::None, f));
        let interval = |s: Spread| Ends {
            low: Some(s.yield_interval.low),
            high: Some(s.yield_interval.high),
        };
        let cells = [
            Cell::Text(label(answer, answers)),
            Cell::Number(percent(asked)),
            Cell::Number(percent(floor)),
            Cell::Text(place(answer)),
            volts(answer),
            of_yield(&|s| Cell::Number(percent(s.yield_share))),
            of_yield(&|s| span(interval(s), false, percent)),
            shown,
            of(&|p| energy(p.design.energy_relative)),
            share(answer.saving_to_reference()),
            answer
                .guard_voltage
                .map_or(Cell::None, |v| Cell::Number(number(v))),
            answer.guard_energy.map_or(Cell::None, energy),
        ];
        rows.push(row(&cells, first));
    }
    if rows.is_empty() {
        return String::new();
    }
    let caption = "The lowest swept voltage from which on, upward, at least the wanted share of chips reaches the \
                   floor. Its interval holds the voltages that the Clopper-Pearson intervals of the yields do not rule \
                   out. Shown: whether the one-sided 95 % lower bound of the yield there reaches what is wanted; with \
                   fewer chips than said it cannot, even if none fails. Guard band: what the yield costs beyond the \
                   lowest voltage at which the mean accuracy reaches the same floor, in swept voltages and in relative \
                   energy.";
    table(&head, &rows, caption)
}
