//! The table of paired differences between methods.

use super::answer::width;
use super::tables::{accuracy, head, row, table, Cell};
use super::Report;
use crate::analysis::MethodDifference;
use crate::figure::{number, rate};
use crate::stats::Interval;

/// Rows that stand open on the page; longer tables are folded.
const OPEN: usize = 40;

/// The table; empty where no two methods were swept at one setting with faults.
pub(super) fn differences(report: &Report) -> String {
    let shown: Vec<&MethodDifference> = report
        .differences
        .iter()
        .filter(|row| row.setting.ber > 0.0)
        .collect();
    let Some(first) = shown.first() else {
        return String::new();
    };
    let several = |of: fn(&MethodDifference) -> &str| shown.iter().any(|row| of(row) != of(first));
    let places: Vec<fn(&MethodDifference) -> &str> = [
        (|row| row.setting.memory.as_str()) as fn(&MethodDifference) -> &str,
        |row| row.setting.array.as_str(),
        |row| row.setting.protection.name(),
    ]
    .into_iter()
    .filter(|of| several(*of))
    .collect();
    let head = head(&[
        ("Setting", true),
        ("Bits", false),
        ("Voltage", false),
        ("Bit error rate", false),
        ("Methods", true),
        ("Accuracies (%)", false),
        ("Difference (points)", false),
        ("95 %, chips", false),
        ("95 %, chips and trainings", false),
    ]);
    let mut rows = Vec::new();
    let mut last = None;
    for difference in &shown {
        let setting: Vec<&str> = places.iter().map(|of| of(difference)).collect();
        let group = (
            setting.clone(),
            difference.setting.bits,
            difference.setting.voltage.to_bits(),
        );
        let begins = last.as_ref().is_some_and(|last| *last != group);
        last = Some(group);
        let cells = [
            if setting.is_empty() {
                Cell::None
            } else {
                Cell::Text(setting.join(", "))
            },
            Cell::Number(width(difference.setting.bits)),
            Cell::Number(format!(
                "{} {}",
                number(difference.setting.voltage),
                difference.setting.voltage_unit.symbol()
            )),
            Cell::Number(rate(difference.setting.ber)),
            Cell::Text(format!("{} less {}", difference.method, difference.other)),
            Cell::Number(format!(
                "{} and {}",
                accuracy(difference.mean),
                accuracy(difference.other_mean)
            )),
            Cell::Number(signed(difference.difference)),
            span(difference.student),
            span(difference.of_trainings),
        ];
        rows.push(row(&cells, begins));
    }
    let trainings = shown.iter().map(|row| row.trainings).max().unwrap_or(1);
    let chips = shown.iter().map(|row| row.chips).max().unwrap_or(1);
    let mut caption = format!(
        "Mean accuracy of a method less that of another at the same bits and voltage, on the same {chips} chips: what \
         a chip does to both cancels. "
    );
    caption += &match trainings {
        1 => "Each method was trained once: the differences are those of these trainings, and another training of the \
              same method may differ by more than the interval says."
            .to_owned(),
        n => format!(
            "Up to {n} trainings of each method, paired by seed; the last column takes trainings and chips as random \
             effects, the one before it holds for these trainings alone."
        ),
    };
    let table = table(&head, &rows, &caption);
    match shown.len() > OPEN {
        true => format!(
            "<details><summary>{} differences</summary>\n{table}</details>\n",
            shown.len()
        ),
        false => table,
    }
}

fn signed(difference: f64) -> String {
    format!("{:+.2}", 100.0 * difference)
}

fn span(interval: Option<Interval>) -> Cell {
    let text = |i: Interval| format!("{} to {}", signed(i.low), signed(i.high));
    interval.map_or(Cell::None, |i| Cell::Number(text(i)))
}
