//! Protections side by side: for each model the cheapest point of each at equal accuracy, as a table and in
//! words. Nothing here rests on an extrapolated bit error rate.

use super::tables::{accuracy, bit_error_rate, column_voltage, head, points, row, span, Cell};
use crate::analysis::{Summary, SAVING_LOSSES};
use crate::fault::Protection;
use crate::figure::{escape, extrapolated, interval, number, percent};
use std::collections::BTreeMap;

/// The loss that the sentences are about.
const SAID: f64 = 0.01;
/// Rounding that a mean may fall short of a target by.
const ROUNDING: f64 = 1e-12;
/// Energies closer than this are written as equal.
const SAME: f64 = 5e-5;

/// The points of one model in one memory, by protection.
struct Compared<'a> {
    name: String,
    clean: f64,
    protections: BTreeMap<Protection, Vec<&'a Summary>>,
}

impl<'a> Compared<'a> {
    /// The protections, none first.
    fn names(&self) -> Vec<Protection> {
        let mut names: Vec<Protection> = self.protections.keys().copied().collect();
        names.sort_by_key(|name| (*name != Protection::None, *name));
        names
    }

    fn target(&self, loss: f64) -> f64 {
        (self.clean - loss).max(0.0)
    }

    /// The cheapest point under a protection that reaches a target, on measured ground or beyond it.
    fn cheapest(&self, protection: Protection, loss: f64, beyond: bool) -> Option<&'a Summary> {
        let target = self.target(loss) - ROUNDING;
        let own = self.protections.get(&protection)?.iter().copied();
        own.filter(|s| s.mean >= target && extrapolated(s) == beyond)
            .min_by(|a, b| {
                let energies = a
                    .design
                    .energy_relative
                    .total_cmp(&b.design.energy_relative);
                energies.then(b.mean.total_cmp(&a.mean))
            })
    }

    /// True where a cheaper point would reach the target at an extrapolated rate.
    fn is_open(&self, protection: Protection, loss: f64) -> bool {
        let limit = self
            .cheapest(protection, loss, false)
            .map_or(f64::INFINITY, |s| s.design.energy_relative);
        self.cheapest(protection, loss, true)
            .is_some_and(|s| s.design.energy_relative < limit)
    }
}

/// Models of which several protections were swept at one voltage for the whole memory.
fn compared(summaries: &[Summary]) -> Vec<Compared<'_>> {
    let mut models = BTreeMap::<_, Vec<&Summary>>::new();
    for s in summaries.iter().filter(|s| s.design.voltage.is_some()) {
        let d = &s.design;
        models
            .entry((&d.model, &d.memory, &d.fault_kind, &d.array))
            .or_default()
            .push(s);
    }
    let distinct = |of: fn(&Summary) -> &str| summaries.windows(2).any(|w| of(&w[0]) != of(&w[1]));
    let memories = distinct(|s| &s.design.memory);
    let arrays = distinct(|s| s.design.array.as_str());
    let mut all = Vec::new();
    for ((model, memory, _, array), points) in models {
        let mut name = model.clone();
        for (part, several) in [(memory.as_str(), memories), (array.as_str(), arrays)] {
            if several {
                name += &format!(", {part}");
            }
        }
        let mut protections = BTreeMap::<Protection, Vec<&Summary>>::new();
        for &point in &points {
            protections
                .entry(point.design.protection)
                .or_default()
                .push(point);
        }
        let clean = points
            .iter()
            .map(|s| s.design.clean_accuracy.get())
            .fold(0.0, f64::max);
        if protections.len() > 1 {
            all.push(Compared {
                name,
                clean,
                protections,
            });
        }
    }
    all
}

/// A protection in words.
fn words(protection: Protection) -> String {
    match protection {
        Protection::None => "no protection".into(),
        Protection::Secded => "SECDED".into(),
        Protection::ParityZero => "parity with zeroing".into(),
        Protection::Msb(1) => "protection of the most significant bit".into(),
        Protection::Msb(bits) => format!("protection of the {bits} most significant bits"),
    }
}

/// Sentences and table; empty where no model was swept under several protections.
pub(super) fn protections(summaries: &[Summary]) -> String {
    let models = compared(summaries);
    if models.is_empty() {
        return String::new();
    }
    let mut out = String::from("<ul>\n");
    for model in &models {
        let sentences: Vec<String> = model
            .names()
            .into_iter()
            .filter(|p| *p != Protection::None)
            .map(|p| sentence(model, p))
            .collect();
        out += &format!(
            "<li><b>{}</b>: {}</li>\n",
            escape(&model.name),
            escape(&sentences.join(" "))
        );
    }
    out + "</ul>\n" + &table(&models)
}

/// A protection against none, or what it reaches where none was not swept.
fn sentence(model: &Compared<'_>, protection: Protection) -> String {
    let name = capital(&words(protection));
    let loss = format!("at a loss of at most {}", points(SAID));
    let none = words(Protection::None);
    let own = model.cheapest(protection, SAID, false);
    let Some(plain) = model
        .protections
        .contains_key(&Protection::None)
        .then(|| model.cheapest(Protection::None, SAID, false))
    else {
        return match own {
            Some(own) => format!(
                "{name} needs energy {} {loss}.",
                number(own.design.energy_relative)
            ),
            None => format!("{name}: no point of a measured bit error rate stays {loss}."),
        };
    };
    let open = match (model.is_open(protection, SAID), model.is_open(Protection::None, SAID)) {
        (false, false) => "",
        _ => " At extrapolated bit error rates cheaper points would reach it, which may turn this round.",
    };
    let text = match (own, plain) {
        (Some(own), Some(plain)) => {
            let (own, plain) = (own.design.energy_relative, plain.design.energy_relative);
            let verdict = match own - plain {
                difference if difference.abs() < SAME => "costs as much energy as",
                difference if difference > 0.0 => "costs more energy than",
                _ => "costs less energy than",
            };
            let (own, plain) = (number(own), number(plain));
            format!("{name} {verdict} {none} at equal accuracy: {own} against {plain} {loss}.")
        }
        (None, Some(plain)) => format!(
            "{name} reaches no equal accuracy at a measured bit error rate {loss}; {none} does at energy {}.",
            number(plain.design.energy_relative)
        ),
        (Some(own), None) => format!(
            "{name} stays {loss} at energy {}; {none} does at no point of a measured bit error rate.",
            number(own.design.energy_relative)
        ),
        (None, None) => {
            format!("{name} stays {loss} at no point of a measured bit error rate, nor does {none}.")
        }
    };
    text + open
}

/// The text with a capital at its start.
fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    })
}

fn table(models: &[Compared<'_>]) -> String {
    let head = head(&[
        ("Model", true),
        ("Loss", false),
        ("Target (%)", false),
        ("Protection", true),
        ("Voltage", false),
        ("Bit error rate", false),
        ("Accuracy (%)", false),
        ("95 % interval (%)", false),
        ("Energy", false),
        ("Area", false),
    ]);
    let mut rows = Vec::new();
    let mut marked = false;
    for model in models {
        for loss in SAVING_LOSSES {
            for (i, protection) in model.names().into_iter().enumerate() {
                let open = model.is_open(protection, loss);
                marked |= open;
                let mark = if open { " †" } else { "" };
                let point = model.cheapest(protection, loss, false);
                let of = |f: &dyn Fn(&Summary) -> Cell| point.map_or(Cell::None, f);
                let at = match point {
                    Some(point) => column_voltage(point),
                    None => Cell::Number(format!("not reached{mark}")),
                };
                let cells = [
                    Cell::Text(model.name.clone()),
                    Cell::Number(points(loss)),
                    Cell::Number(percent(model.target(loss))),
                    Cell::Text(protection.to_string()),
                    at,
                    of(&|p| Cell::Number(bit_error_rate(p))),
                    of(&|p| Cell::Number(accuracy(p.mean))),
                    of(&|p| interval(p).map_or(Cell::None, |i| span(i.low, i.high))),
                    of(&|p| Cell::Number(format!("{:.4}{mark}", p.design.energy_relative))),
                    of(&|p| Cell::Number(number(p.design.area_relative))),
                ];
                rows.push(row(&cells, i == 0 && !rows.is_empty()));
            }
        }
    }
    let mut caption = "For each model the cheapest swept point of each protection whose mean accuracy is at most the \
        loss below the model's own accuracy without faults. Only points whose bit error rate was not extrapolated \
        count. Energy and area hold the check bits and are relative to the same architecture at 8 bits, unprotected, \
        energy at the error-free voltage. The voltages are those swept, so a finer sweep may find cheaper points."
        .to_owned();
    if marked {
        caption +=
            " † : a cheaper point reaches the target, but at an extrapolated bit error rate.";
    }
    super::tables::table(&head, &rows, &caption)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figure::tests::{sweep, two_methods};

    /// Two methods, unprotected, and the same points with a protection: energy times `factor`, mean raised.
    fn with(protection: Protection, factor: f64, gain: f64) -> Vec<Summary> {
        let mut all = two_methods();
        let more: Vec<Summary> = all.clone();
        all.extend(more.into_iter().map(|mut s| {
            s.design.protection = protection;
            s.design.design_id += protection.name();
            s.design.energy_relative *= factor;
            s.design.area_relative *= factor;
            s.mean = (s.mean + gain).min(s.design.clean_accuracy.get());
            s
        }));
        all
    }

    /// The least energy of a model's points under a protection at a loss, found by trying all.
    fn least(summaries: &[Summary], model: &str, protection: Protection, loss: f64) -> f64 {
        let own = summaries
            .iter()
            .filter(|s| s.design.model == model && s.design.protection == protection);
        own.filter(|s| s.mean + loss >= s.design.clean_accuracy.get() && !extrapolated(s))
            .map(|s| s.design.energy_relative)
            .fold(f64::INFINITY, f64::min)
    }

    #[test]
    fn a_protection_that_does_not_help_costs_more_and_the_page_says_so() {
        let summaries = with(Protection::Secded, 1.125, 0.0);
        let html = protections(&summaries);
        let (own, plain) = (
            least(&summaries, "wcat4", Protection::Secded, 0.01),
            least(&summaries, "wcat4", Protection::None, 0.01),
        );
        assert!(own > plain && own.is_finite());
        let said = format!(
            "SECDED costs more energy than no protection at equal accuracy: {} against {} at a loss of at most 1 point.",
            number(own),
            number(plain)
        );
        assert!(html.contains(&format!("<b>wcat4</b>: {said}")), "{html}");
        assert_eq!(html.matches("<td class=\"text\">secded</td>").count(), 6);
        let cheapest = format!(
            "<td>{:.4}</td>",
            least(&summaries, "normal4", Protection::Secded, 0.02)
        );
        assert!(html.contains(&cheapest), "{cheapest}");
    }

    #[test]
    fn a_protection_that_helps_costs_less() {
        let html = protections(&with(Protection::Msb(1), 1.02, 0.05));
        assert!(
            html.contains("Protection of the most significant bit costs less energy"),
            "{html}"
        );
    }

    #[test]
    fn extrapolated_points_are_no_ground_and_are_marked() {
        let mut summaries = sweep(&[("wcat", 4, 0.968, 0.75)], 0.9);
        let mut protected = summaries.clone();
        for s in &mut protected {
            s.design.protection = Protection::ParityZero;
            s.mean = 0.5;
        }
        summaries.extend(protected);
        let html = protections(&summaries);
        assert!(
            html.contains("Parity with zeroing reaches no equal accuracy at a measured"),
            "{html}"
        );
        assert!(html.contains("†") && html.contains("cheaper points would reach it"));
        let least = least(&summaries, "wcat4", Protection::None, 0.01);
        assert!(html.contains(&format!("{least:.4} †")), "{html}");
    }

    #[test]
    fn one_protection_is_no_comparison() {
        assert_eq!(protections(&two_methods()), "");
    }
}
