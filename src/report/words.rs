//! Numbers and names of the report as they are written in tables and sentences.

use crate::analysis::Summary;
use crate::figure::{escape, interval, number, percent, rate};
use crate::stats::ends;
use crate::units::{BerSource, Bits};
use askama::filters::Escaper;
use std::fmt;

/// Makes every text in a template of HTML stand as what it is.
#[derive(Clone, Copy)]
pub(super) struct Html;

impl Escaper for Html {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        out.write_str(&escape(text))
    }
}

/// `0.85 V/Vmin`; `0.8 to 0.9 V/Vmin` where domains have their own.
pub(super) fn voltage(summary: &Summary) -> String {
    voltages(summary, number)
}

/// The voltage with three decimals, so that a column lines up.
pub(super) fn column_voltage(summary: &Summary) -> String {
    voltages(summary, |voltage| format!("{voltage:.3}"))
}

fn voltages(summary: &Summary, text: impl Fn(f64) -> String) -> String {
    let design = &summary.design;
    let unit = design.voltage_unit.symbol();
    let of_domains = design.domain_voltages.iter().map(|domain| domain.voltage);
    let (low, high) = ends(design.voltage.into_iter().chain(of_domains));
    let own = if low < high {
        format!("{} to {} {unit}", text(low), text(high))
    } else {
        format!("{} {unit}", text(low))
    };
    match &design.activations {
        Some(activations) => {
            let unit = activations.voltage_unit.symbol();
            format!("{own}, activations {} {unit}", text(activations.voltage))
        }
        None => own,
    }
}

/// A bit error rate in words.
pub(super) fn bit_error_rate(summary: &Summary) -> String {
    let own = summary.design.ber.map_or("by domain".into(), rate);
    match &summary.design.activations {
        Some(activations) => format!("{own}, activations {}", rate(activations.ber)),
        None => own,
    }
}

/// Where the rate comes from, in a word.
pub(super) fn source(summary: &Summary) -> &'static str {
    source_name(summary.design.source())
}

/// A source of rates, in a word.
pub(super) fn source_name(source: BerSource) -> &'static str {
    match source {
        BerSource::ErrorFree => "error-free",
        other => other.name(),
    }
}

/// The energy of a point relative to its reference.
pub(super) fn energy(summary: &Summary) -> String {
    four_decimals(summary.design.energy_relative)
}

/// A relative energy.
pub(super) fn four_decimals(energy: f64) -> String {
    format!("{energy:.4}")
}

/// The mean accuracy of a point.
pub(super) fn mean(summary: &Summary) -> String {
    accuracy(summary.mean)
}

/// The ends of the interval of the mean.
pub(super) fn mean_interval(summary: &Summary) -> Option<String> {
    interval(summary).map(|i| span(i.low, i.high))
}

/// The ends of an interval of accuracies.
pub(super) fn span(low: f64, high: f64) -> String {
    format!("{} to {}", accuracy(low), accuracy(high))
}

/// `59.3 to 60.1 %`, or one number where both are written alike.
pub(super) fn percents(low: f64, high: f64) -> String {
    match (percent(low), percent(high)) {
        (low, high) if low == high => format!("{low} %"),
        (low, high) => format!("{low} to {high} %"),
    }
}

/// An accuracy in per cent with two decimals: intervals of many chips are narrower than a tenth.
pub(super) fn accuracy(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// A difference of accuracies in points, with its sign.
pub(super) fn signed(difference: f64) -> String {
    format!("{:+.2}", 100.0 * difference)
}

/// `0.5 points`.
pub(super) fn points(loss: f64) -> String {
    let value = number(100.0 * loss);
    if value == "1" {
        "1 point".into()
    } else {
        format!("{value} points")
    }
}

/// `4 bit`, of bits per weight.
pub(super) fn width(bits: Option<Bits>) -> String {
    match bits {
        Some(Bits::FLOAT) => "32-bit float".into(),
        Some(bits) => format!("{bits} bit"),
        None => "mixed bits".into(),
    }
}

/// The energy of a point relative to its reference, without trailing zeros.
pub(super) fn energy_number(summary: &Summary) -> String {
    number(summary.design.energy_relative)
}
