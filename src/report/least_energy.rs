//! The table of a document of results that says at which energy each method keeps an accuracy.

use super::answer::width;
use super::markdown::words;
use super::results::{table, texts};
use crate::analysis::{Answer, Question, Reach, BASELINE};
use crate::fault::Protection;
use crate::figure::number;
use crate::stats;
use crate::units::Bits;
use std::collections::{BTreeMap, BTreeSet};

/// Array, protection, bits, method or model.
type Line<'a> = (&'a str, Protection, Option<Bits>, &'a str);

/// Array, protection, bits, loss.
type Base<'a> = (&'a str, Protection, Option<Bits>, u64);

/// Lowest voltages at losses, over the trainings of each method, or for each model.
pub(super) fn least_energy(answers: &[Answer], by_model: bool) -> String {
    let mut losses: BTreeSet<u64> = BTreeSet::new();
    let mut lines: BTreeMap<Line<'_>, BTreeMap<u64, Vec<&Answer>>> = BTreeMap::new();
    let mut normal: BTreeMap<Base<'_>, Vec<&Answer>> = BTreeMap::new();
    for answer in answers {
        let Question::Loss { loss, .. } = answer.question else {
            continue;
        };
        let ladder = &answer.ladder;
        losses.insert(loss.to_bits());
        if ladder.method == BASELINE {
            let at = (
                ladder.array.as_str(),
                ladder.protection,
                ladder.bits,
                loss.to_bits(),
            );
            normal.entry(at).or_default().push(answer);
        }
        lines
            .entry((
                ladder.array.as_str(),
                ladder.protection,
                ladder.bits,
                if by_model {
                    &ladder.model
                } else {
                    ladder.method.name()
                },
            ))
            .or_default()
            .entry(loss.to_bits())
            .or_default()
            .push(answer);
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut head = texts(&[if by_model { "Model" } else { "Method" }, "Width", "Array"]);
    for loss in &losses {
        let points = number(100.0 * f64::from_bits(*loss));
        head.push(format!("Energy, loss ≤ {points}"));
        head.extend(texts(&[
            "Saving to normal (%)",
            "to normal of this width (%)",
        ]));
    }
    let rows: Vec<Vec<String>> = lines
        .iter()
        .map(|((array, protection, bits, method), by_loss)| {
            let place = match *protection {
                Protection::None => (*array).to_owned(),
                other => format!("{array}, {other}"),
            };
            let mut cells = vec![words(method), width(*bits), words(&place)];
            for loss in &losses {
                let of = by_loss.get(loss).map_or(&[][..], Vec::as_slice);
                let base = normal
                    .get(&(*array, *protection, *bits, *loss))
                    .map_or(&[][..], Vec::as_slice);
                cells.extend([energies(of), savings(of), savings_at_width(of, base)]);
            }
            cells
        })
        .collect();
    format!(
        "\n#### Least energy at an accuracy loss\n{}\nThe loss is taken from the best accuracy of `normal` without faults, \
         or of all models where it was not swept. Lowest swept voltage from which on, upward, every mean holds; no \
         extrapolated point counts. The first saving is to the least energy of `normal` at any width, the second to that at \
         the same width (mean over its trainings). With several trainings: mean (least to most); with one: with its interval over \
         chips. `≤`: the lowest swept voltage holds, the truth may lie below. \
         `–`: no swept voltage holds.\n",
        table(&head, 3, &rows)
    )
}

fn energies(of: &[&Answer]) -> String {
    let found: Vec<f64> = of
        .iter()
        .filter_map(|a| a.point.as_ref())
        .map(|point| point.design.energy_relative)
        .collect();
    let below = if of.iter().any(|a| a.reach == Reach::AtOrBelow) {
        "≤ "
    } else {
        ""
    };
    let write = |x: f64| format!("{x:.4}");
    match (of, found.as_slice()) {
        (_, []) => "–".into(),
        ([one], [energy]) => {
            let ends = match (one.energy_ends.low, one.energy_ends.high) {
                (Some(low), Some(high)) => format!(" ({} to {})", write(low), write(high)),
                _ => String::new(),
            };
            format!("{below}{}{ends}", write(*energy))
        }
        (all, found) => format!(
            "{below}{}{}",
            several(found, write),
            reached(found.len(), all.len())
        ),
    }
}

fn savings(of: &[&Answer]) -> String {
    let found: Vec<f64> = of.iter().filter_map(|a| a.saving_to_baseline).collect();
    match (of, found.as_slice()) {
        (_, []) => "–".into(),
        ([one], [saving]) => {
            let ends = match (
                one.saving_to_baseline_ends.low,
                one.saving_to_baseline_ends.high,
            ) {
                (Some(low), Some(high)) => format!(" ({} to {})", write(low), write(high)),
                _ => String::new(),
            };
            format!("{}{ends}", write(*saving))
        }
        (all, found) => format!(
            "{}{}",
            several(found, write),
            reached(found.len(), all.len())
        ),
    }
}

/// A share in per cent with one decimal, without the sign of a rounded 0.
fn write(share: f64) -> String {
    match format!("{:.1}", 100.0 * share) {
        zero if zero == "-0.0" => "0.0".into(),
        other => other,
    }
}

/// Savings to the mean energy of the baseline's trainings; none where one of them reaches no voltage.
fn savings_at_width(of: &[&Answer], base: &[&Answer]) -> String {
    let energy = |answer: &&Answer| {
        answer
            .point
            .as_ref()
            .map(|point| point.design.energy_relative)
    };
    let base: Option<Vec<f64>> = base.iter().map(energy).collect();
    let Some(base) = base.and_then(|energies| stats::mean(&energies)) else {
        return "–".into();
    };
    let found: Vec<f64> = of
        .iter()
        .filter_map(energy)
        .map(|own| 1.0 - own / base)
        .collect();
    match found.is_empty() {
        true => "–".into(),
        false => several(&found, write) + &reached(found.len(), of.len()),
    }
}

fn several(found: &[f64], write: impl Fn(f64) -> String) -> String {
    let sorted = stats::sorted(found);
    let mean = stats::mean(found).unwrap_or(0.0);
    match (sorted.first(), sorted.last()) {
        (Some(low), Some(high)) if low < high => {
            format!("{} ({} to {})", write(mean), write(*low), write(*high))
        }
        _ => write(mean),
    }
}

/// How many trainings of how many hold, where not all do.
fn reached(found: usize, all: usize) -> String {
    if found == all {
        return String::new();
    }
    format!(", {found} of {all}")
}

#[cfg(test)]
mod tests {
    use super::super::tests::compared;
    use super::*;
    use crate::figure::tests::two_methods;
    use crate::quant::MethodLabel;

    #[test]
    fn savings_are_to_the_baseline_at_any_width_and_at_the_same() {
        let (answers, _) = compared(&two_methods());
        let text = least_energy(&answers, false);
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
            .filter(|a| a.ladder.method == MethodLabel::Wcat)
            .collect();
        assert!(least_energy(&alone, false)
            .lines()
            .any(|line| line.ends_with("| – |")));
    }
}
