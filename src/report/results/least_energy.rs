//! The table of a document of results that says at which energy each method keeps an accuracy.

use super::super::grid::Grid;
use super::super::words::{four_decimals, width};
use super::Place;
use crate::analysis::{Answer, Ends, Question, Reach, BASELINE};
use crate::fault::Protection;
use crate::figure::number;
use crate::stats;
use crate::units::Bits;
use std::collections::{BTreeMap, BTreeSet};

/// Place, width, and method or model.
type Line<'a> = (Place<'a>, Option<Bits>, &'a str);

/// Answers at a loss, as the bits of a number that is not negative.
type ByLoss<'a> = BTreeMap<u64, Vec<&'a Answer>>;

/// Lowest voltages at losses, over the trainings of each method, or for each model; `None` without any.
pub(super) fn least_energy(answers: &[Answer], by_model: bool) -> Option<Grid> {
    let mut losses: BTreeSet<u64> = BTreeSet::new();
    let mut lines: BTreeMap<Line<'_>, ByLoss<'_>> = BTreeMap::new();
    let mut normal: BTreeMap<Line<'_>, ByLoss<'_>> = BTreeMap::new();
    for answer in answers {
        let Question::Loss { loss, .. } = answer.question else {
            continue;
        };
        let series = &answer.series;
        let place = Place {
            array: series.array.as_str(),
            protection: series.protection,
        };
        let name = if by_model {
            series.model.as_str()
        } else {
            series.method.name()
        };
        let line = (place, series.bits, name);
        losses.insert(loss.to_bits());
        add(&mut lines, line, loss, answer);
        if series.method == BASELINE {
            add(
                &mut normal,
                (place, series.bits, BASELINE.name()),
                loss,
                answer,
            );
        }
    }
    if lines.is_empty() {
        return None;
    }
    let lines: Vec<(Line<'_>, ByLoss<'_>)> = lines.into_iter().collect();
    let mut grid = Grid::of(&lines)
        .text(
            if by_model { "Model" } else { "Method" },
            |((.., name), _)| *name,
        )
        .text("Width", |((_, bits, _), _)| width(*bits))
        .text("Array", |((place, ..), _)| match place.protection {
            Protection::None => place.array.to_owned(),
            other => format!("{}, {other}", place.array),
        });
    for loss in losses {
        let points = number(100.0 * f64::from_bits(loss));
        grid = grid
            .number(format!("Energy, loss ≤ {points}"), |(_, own)| {
                energies(at(Some(own), loss))
            })
            .number("Saving to normal (%)", |(_, own)| {
                savings(at(Some(own), loss))
            })
            .number("to normal of this width (%)", |((place, bits, _), own)| {
                let base = normal.get(&(*place, *bits, BASELINE.name()));
                savings_at_width(at(Some(own), loss), at(base, loss))
            });
    }
    Some(grid.grid())
}

fn add<'a>(
    lines: &mut BTreeMap<Line<'a>, ByLoss<'a>>,
    line: Line<'a>,
    loss: f64,
    answer: &'a Answer,
) {
    let of_line = lines.entry(line).or_default();
    of_line.entry(loss.to_bits()).or_default().push(answer);
}

fn at<'a>(by_loss: Option<&'a ByLoss<'a>>, loss: u64) -> &'a [&'a Answer] {
    let found = by_loss.and_then(|by_loss| by_loss.get(&loss));
    found.map_or(&[], Vec::as_slice)
}

fn energy(answer: &Answer) -> Option<f64> {
    Some(answer.point.as_ref()?.design.energy_relative)
}

fn energies(of: &[&Answer]) -> Option<String> {
    let text = over_trainings(of, energy, |answer| answer.energy_ends, four_decimals)?;
    let below = of.iter().any(|answer| answer.reach == Reach::AtOrBelow);
    Some(if below { format!("≤ {text}") } else { text })
}

fn savings(of: &[&Answer]) -> Option<String> {
    let ends = |answer: &Answer| answer.saving_to_baseline_ends;
    over_trainings(of, |answer| answer.saving_to_baseline, ends, percent)
}

/// Savings to the mean energy of the baseline's trainings; none where one of them reaches no voltage.
fn savings_at_width(of: &[&Answer], base: &[&Answer]) -> Option<String> {
    let base: Option<Vec<f64>> = base.iter().map(|answer| energy(answer)).collect();
    let base = stats::mean(&base?)?;
    let saving = |answer: &Answer| Some(1.0 - energy(answer)? / base);
    over_trainings(of, saving, |_| Ends::default(), percent)
}

/// The value of one training with its interval, or the mean of several with the least and the most, and how many of all
/// have one where not all do.
fn over_trainings(
    of: &[&Answer],
    value: impl Fn(&Answer) -> Option<f64>,
    ends: fn(&Answer) -> Ends,
    write: fn(f64) -> String,
) -> Option<String> {
    let found: Vec<f64> = of.iter().filter_map(|answer| value(answer)).collect();
    let sorted = stats::sorted(&found);
    let (mean, low, high) = (stats::mean(&found)?, *sorted.first()?, *sorted.last()?);
    let mut text = write(mean);
    let span = match of {
        [one] => ends(one).low.zip(ends(one).high),
        _ => Some((low, high)).filter(|_| low < high),
    };
    if let Some((low, high)) = span {
        text += &format!(" ({} to {})", write(low), write(high));
    }
    if found.len() < of.len() {
        text += &format!(", {} of {}", found.len(), of.len());
    }
    Some(text)
}

/// A fraction in per cent with one decimal, without the sign of a rounded 0.
fn percent(fraction: f64) -> String {
    match format!("{:.1}", 100.0 * fraction) {
        zero if zero == "-0.0" => "0.0".into(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::tests::compared;
    use super::*;
    use crate::figure::tests::two_methods;
    use crate::quant::MethodLabel;

    #[test]
    fn savings_are_to_the_baseline_at_any_width_and_at_the_same() {
        let (answers, _) = compared(&two_methods());
        let text = least_energy(&answers, false).unwrap().markdown().0;
        let row = |method: &str| {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("| {method} |")))
                .unwrap();
            line.split(" | ")
                .map(|cell| cell.trim_matches(['|', ' ']).to_owned())
                .collect::<Vec<_>>()
        };
        let (normal, wcat) = (row("normal"), row("wcat"));
        let energy = |cells: &[String]| cells[9].split(' ').next().unwrap().parse::<f64>().unwrap();
        let expected = format!("{:.1}", 100.0 * (1.0 - energy(&wcat) / energy(&normal)));
        // one width: both savings are the same
        assert_eq!(
            (wcat[11].as_str(), normal[11].as_str()),
            (expected.as_str(), "0.0"),
            "{text}"
        );
        assert!(wcat[10].starts_with(&expected), "{text}");
        // without the baseline there is nothing to compare with
        let alone: Vec<Answer> = answers
            .into_iter()
            .filter(|a| a.series.method == MethodLabel::Wcat)
            .collect();
        assert!(least_energy(&alone, false)
            .unwrap()
            .markdown()
            .0
            .lines()
            .any(|line| line.ends_with("| – |")));
    }
}
