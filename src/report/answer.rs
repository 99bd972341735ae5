//! The answer in plain words, computed from the rows: how far each method's voltage can fall, and
//! what that saves. No saving named here rests on an extrapolated bit error rate.

use super::tables::{bit_error_rate, points, voltage};
use super::{answers, Report};
use crate::analysis::{groups_of, Pareto, Saving, Summary};
use crate::figure::{escape, extrapolated, number, percent};
use crate::units::Bits;

/// The point that a saving may rest on: the cheapest one, unless its rate is extrapolated.
pub(super) fn ground(saving: &Saving) -> Option<&Summary> {
    saving.cheapest.as_ref().filter(|s| !extrapolated(s))
}

/// The cheapest point of a saving's method that would reach its target on extrapolated ground only.
pub(super) fn beyond<'a>(saving: &'a Saving, summaries: &'a [Summary]) -> Option<&'a Summary> {
    let limit = ground(saving).map_or(f64::INFINITY, |s| s.design.energy_relative);
    let names = groups_of(summaries);
    let own = summaries
        .iter()
        .zip(names)
        .filter(|(_, name)| *name == saving.method)
        .map(|(s, _)| s);
    let reaches = |s: &&Summary| {
        extrapolated(s) && s.mean >= saving.target && s.design.energy_relative < limit
    };
    let all = own.chain(saving.cheapest.as_ref()).filter(reaches);
    all.min_by(|a, b| {
        a.design
            .energy_relative
            .total_cmp(&b.design.energy_relative)
    })
}

/// Lead sentence, tables by loss and by yield, and what stands on extrapolated ground.
pub(super) fn answer(report: &Report) -> String {
    let (summaries, pareto) = (&report.summaries, &report.pareto);
    if summaries.is_empty() {
        return "<p>The run holds no design point, so there is nothing to answer yet.</p>\n".into();
    }
    if pareto.savings.is_empty() {
        return "<p>No target accuracy was set, so no voltage can be named; see the figures.</p>\n"
            .into();
    }
    let mut out = format!("<p class=\"lead\">{}</p>\n", escape(&lead(pareto)));
    out += &answers::losses(report);
    out += &answers::yields(report);
    let noted: Vec<String> = pareto
        .savings
        .iter()
        .filter_map(|saving| beyond(saving, summaries).map(|point| warning(saving, point)))
        .map(|text| format!("<li>{}</li>\n", escape(&text)))
        .collect();
    if !noted.is_empty() {
        out += &format!(
            "<p>Marked with †: cheaper points reach the target too, but at a bit error rate that was extrapolated \
             below the measured span, so no saving is claimed for them:</p>\n<ul>\n{}</ul>\n",
            noted.concat()
        );
    }
    out
}

/// The best method at a loss of one point, or at the loss nearest to it.
fn lead(pareto: &Pareto) -> String {
    let off = |s: &Saving| (s.loss - 0.01).abs();
    let Some(nearest) = pareto
        .savings
        .iter()
        .min_by(|a, b| off(a).total_cmp(&off(b)))
    else {
        return String::new();
    };
    let loss = nearest.loss;
    let same = pareto.savings.iter().filter(|s| s.loss == loss);
    let reached = same.filter_map(|s| ground(s).map(|point| (s, point)));
    let best = reached.min_by(|(_, a), (_, b)| {
        let energy = a
            .design
            .energy_relative
            .total_cmp(&b.design.energy_relative);
        energy.then(b.mean.total_cmp(&a.mean))
    });
    let target = match &pareto.baseline {
        Some(baseline) => format!(
            "{} accuracy ({} less than {baseline} without faults)",
            per_cent(nearest.target),
            points(loss)
        ),
        None => format!("{} accuracy", per_cent(nearest.target)),
    };
    let Some((saving, point)) = best else {
        return format!(
            "No method keeps {target} at any swept voltage whose bit error rate was measured."
        );
    };
    let mut text = format!(
        "{} at {} keeps {target} down to {} (bit error rate {}): {} of weight-memory energy against 8 bit at the error-free voltage",
        saving.method,
        width(point.design.bits),
        voltage(point),
        bit_error_rate(point),
        change(1.0 - point.design.energy_relative)
    );
    if let (Some(baseline), Some(share)) = (&pareto.baseline, saving.saving_to_baseline) {
        if *baseline != point.design.method {
            text += &match share {
                share if share.abs() < 5e-4 => {
                    format!(", as much as the cheapest {baseline} point that keeps it")
                }
                share => {
                    format!(
                        ", and {} against the cheapest {baseline} point that keeps it",
                        change(share)
                    )
                }
            };
        }
    }
    text + "."
}

/// `a saving of 59.3 %`, or what it costs.
fn change(saving: f64) -> String {
    if saving >= 0.0 {
        format!("a saving of {}", per_cent(saving))
    } else {
        format!("an extra cost of {}", per_cent(-saving))
    }
}

fn per_cent(fraction: f64) -> String {
    format!("{} %", percent(fraction))
}

/// `4 bit`, of bits per weight.
pub(super) fn width(bits: Option<Bits>) -> String {
    match bits {
        Some(Bits::FLOAT) => "32-bit float".into(),
        Some(bits) => format!("{bits} bit"),
        None => "mixed bits".into(),
    }
}

fn warning(saving: &Saving, point: &Summary) -> String {
    format!(
        "{}, loss of {}: {}, {} (energy {}, bit error rate {}, extrapolated).",
        saving.method,
        points(saving.loss),
        width(point.design.bits),
        voltage(point),
        number(point.design.energy_relative),
        bit_error_rate(point)
    )
}
