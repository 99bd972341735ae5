//! The interactive Pareto figure: its place in the page, its data, script and style. The script draws from the
//! data alone; without it the section stays hidden, and the page is whole.

use super::words::{accuracy, bit_error_rate, energy, source, span, voltage};
use super::Report;
use crate::analysis::{groups_of, metric, Group, Summary};
use crate::figure::{
    capital, interval, number, percent, rate, series_styles, shown_points, voltage_label,
    SeriesStyle,
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The script, without a library.
pub(super) const SCRIPT: &str = include_str!("interactive.js");

/// What stands on its axis of energies.
const ENERGY: &str = "Weight-memory energy";

/// The script with a name of energies.
pub(super) fn script(energy_scope: &str) -> String {
    SCRIPT.replace(ENERGY, &capital(energy_scope))
}

/// What the script draws.
#[derive(Serialize)]
struct Data {
    /// What stands on the axis of accuracies.
    measured: String,
    series: Vec<SeriesStyle>,
    points: Vec<Point>,
    /// Places in `points` of the frontier of all methods, by rising energy.
    frontier: Vec<usize>,
    /// Place in `points` of the answer, which is selected at first.
    answer: Option<usize>,
}

/// One design point; accuracies in per cent.
#[derive(Serialize)]
struct Point {
    /// Place of its series; a series is one model under one protection in one memory and array.
    series: usize,
    name: String,
    energy: f64,
    mean: f64,
    /// Ends of the 95 % interval of the mean.
    interval: Option<(f64, f64)>,
    voltage: Option<f64>,
    voltage_label: String,
    extrapolated: bool,
    /// Everything known of it, in words: name and value.
    settings: Vec<(&'static str, String)>,
}

/// The data as JSON, for the end of the page; `answer` is the name of the point that is selected at first.
pub(super) fn data(report: &Report, answer: Option<&str>) -> String {
    // Plain numbers and texts: nothing here that JSON cannot hold.
    inert(&serde_json::to_string(&drawn(report, answer)).unwrap_or_default())
}

/// The policy of a page with this script and these styles: nothing is loaded, nothing else runs.
pub(super) fn policy(script: &str, style: &str) -> String {
    use base64::prelude::{Engine, BASE64_STANDARD};
    use sha2::{Digest, Sha256};
    let hash = |text: &str| {
        format!(
            "'sha256-{}'",
            BASE64_STANDARD.encode(Sha256::digest(text.as_bytes()))
        )
    };
    format!(
        "default-src 'none'; script-src {}; style-src {}; img-src data:; base-uri 'none'; form-action 'none'",
        hash(script),
        hash(style)
    )
}

/// JSON that no HTML parser reads as a tag: letters with a meaning there become JSON escapes.
fn inert(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for letter in json.chars() {
        match letter {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out += &format!("\\u{:04x}", u32::from(letter))
            }
            other => out.push(other),
        }
    }
    out
}

fn drawn(report: &Report, answer: Option<&str>) -> Data {
    let shown = shown_points(&report.summaries);
    let names = groups_of(&report.summaries);
    let summaries: Vec<Summary> = shown
        .iter()
        .map(|&place| report.summaries[place].clone())
        .collect();
    let (series, places) = series_styles(&summaries);
    let points = summaries.iter().zip(places).zip(&shown);
    let points = points.map(|((s, series), &place)| Point {
        series,
        name: s.design.design_id.clone(),
        energy: s.design.energy_relative,
        mean: 100.0 * s.mean,
        interval: interval(s).map(|i| (100.0 * i.low, 100.0 * i.high)),
        voltage: s.design.voltage,
        voltage_label: voltage_label(s.design.voltage_unit),
        extrapolated: s.is_extrapolated(),
        settings: settings(report, s, &names[place]),
    });
    let mut places = BTreeMap::new();
    for (place, s) in summaries.iter().enumerate() {
        places.entry(s.design.design_id.as_str()).or_insert(place);
    }
    let frontiers = report.pareto.frontiers.iter();
    let of_all = frontiers.filter(|f| f.method.is_none()).take(1);
    let on = of_all.flat_map(|frontier| &frontier.points);
    Data {
        measured: metric(&summaries).title(),
        series,
        points: points.collect(),
        frontier: on
            .filter_map(|p| places.get(p.summary.design.design_id.as_str()).copied())
            .collect(),
        answer: answer.and_then(|name| places.get(name).copied()),
    }
}

/// In how many resamples a point is on the frontier of a method, or of all, in words.
fn on_frontier(report: &Report, method: Option<&Group>, point: &Summary) -> Option<String> {
    let mut frontiers = report.pareto.frontiers.iter();
    let frontier = frontiers.find(|f| f.method.as_ref() == method)?;
    let id = &point.design.design_id;
    let mut points = frontier.points.iter();
    let found = points.find(|p| p.summary.design.design_id == *id)?;
    Some(format!("{} % of resamples", percent(found.probability)))
}

/// All settings and results of a point in words.
fn settings(report: &Report, s: &Summary, group: &Group) -> Vec<(&'static str, String)> {
    let d = &s.design;
    let bits = d.bits.map(|bits| bits.to_string());
    let of_domains = d.domain_voltages.iter();
    let of_domains: Vec<String> = of_domains
        .map(|own| format!("{} {}", own.domain, number(own.voltage)))
        .collect();
    let mut mean = format!("{} %", accuracy(s.mean));
    if let Some(i) = interval(s) {
        mean += &format!(" ({})", span(i.low, i.high));
    }
    let own = if s.is_two_level() {
        "of its own each"
    } else {
        "each"
    };
    let good = s.quantiles.map(|quantiles| {
        let (fraction, ends) = (percent(quantiles.yield_share), quantiles.yield_interval);
        let (low, high) = (percent(ends.low), percent(ends.high));
        format!(
            "{fraction} % ({low} to {high}) of at least {} %",
            percent(s.floor)
        )
    });
    let all = [
        ("Model", Some(d.model.clone())),
        ("Method", Some(d.method.to_string())),
        ("Bits", Some(bits.unwrap_or("different by layer".into()))),
        ("Protection", Some(d.protection.to_string())),
        ("Array", Some(d.array.to_string())),
        ("Memory", Some(format!("{} ({})", d.memory, d.fault_kind))),
        ("Voltage", Some(voltage(s))),
        (
            "Bit error rate",
            Some(format!("{}, {}", bit_error_rate(s), source(s))),
        ),
        (
            "Activations",
            d.activations
                .as_ref()
                .map(|own| format!("bit error rate {} in {}", rate(own.ber), own.memory)),
        ),
        (
            "Energy",
            Some(format!("{} of 8 bit at the error-free voltage", energy(s))),
        ),
        (
            "Voltage by domain",
            Some(of_domains.join(", ")).filter(|text| !text.is_empty()),
        ),
        (
            "Energy per inference",
            d.energy_pj.map(|energy| format!("{energy:.1} pJ")),
        ),
        (
            "Area",
            Some(format!("{} of 8 bit", number(d.area_relative))),
        ),
        ("Accuracy", Some(mean)),
        (
            "Without faults",
            Some(format!("{} %", accuracy(d.clean_accuracy.get()))),
        ),
        (
            "Chips",
            Some(format!("{}, {} images {own}", s.chips, s.images)),
        ),
        ("Yield", good),
        ("Frontier of all", on_frontier(report, None, s)),
        ("Frontier of group", on_frontier(report, Some(group), s)),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
