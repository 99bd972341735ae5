//! The interactive Pareto figure: its place in the page, its data, script and style. The script draws from the
//! data alone; without it the section stays hidden, and the page is whole.

use super::tables::{accuracy, bit_error_rate, source, voltage};
use super::Report;
use crate::analysis::{groups_of, FrontierPoint, Group, Summary};
use crate::figure::{
    extrapolated, interval, number, percent, series_looks, shown_points, SeriesLook,
};
use crate::units::VoltageUnit;
use serde::Serialize;
use std::collections::BTreeMap;

/// Style of the section.
pub(super) const STYLE: &str = include_str!("interactive.css");
/// The script, without a library.
const SCRIPT: &str = include_str!("interactive.js");

/// What the script draws.
#[derive(Serialize)]
struct Data {
    series: Vec<SeriesLook>,
    points: Vec<Point>,
    /// Places in `points` of the frontier of all methods, by rising energy.
    frontier: Vec<usize>,
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
    voltage_label: &'static str,
    extrapolated: bool,
    /// Everything known of it, in words: name and value.
    settings: Vec<(&'static str, String)>,
}

/// Content of the section, to be filled and shown by the script.
pub(super) fn section(summaries: &[Summary]) -> String {
    let (shown, all) = (shown_points(summaries).len(), summaries.len());
    let part = match shown < all {
        true => format!(
            "<p>Shown are {shown} of {all} design points: those on the frontier, and others evenly spread over each \
             series; all are in <code>summary.csv</code> of the run.</p>\n"
        ),
        false => String::new(),
    };
    part + "<p>Point at a design point, or walk with Tab and the arrow keys, to see its settings. Click it, or press Enter, \
     for its accuracy over voltage; click it again, or press Escape, to let it go. The names below switch their \
     series off and on.</p>\n\
     <div class=\"tools\"><div id=\"explore-legend\"></div>\
     <button type=\"button\" id=\"explore-zoom\" aria-pressed=\"false\">Enlarge the best 4 points of accuracy</button></div>\n\
     <div class=\"plots\">\n<div id=\"explore-pareto\" class=\"plot\"><h3>Accuracy against weight-memory energy</h3>\
     <p class=\"note\">The heavy line is the frontier of all methods.</p><svg></svg></div>\n<div id=\"explore-curve\" class=\"plot\"><h3>Accuracy against supply voltage</h3>\
     <p class=\"note\" id=\"explore-note\">No design point is selected.</p><svg></svg></div>\n</div>\n\
     <p class=\"caption\">Bars: 95 % interval of the mean over chips. Hollow: the bit error rate is extrapolated.</p>\n\
     <div id=\"explore-tip\" role=\"status\" hidden></div>\n"
}

/// Data and script, for the end of the page.
pub(super) fn scripts(report: &Report) -> String {
    // Plain numbers and texts: nothing here that JSON cannot hold.
    let data = serde_json::to_string(&data(report)).unwrap_or_default();
    format!(
        "<script type=\"application/json\" id=\"explore-data\">{}</script>\n<script>{SCRIPT}</script>\n",
        inert(&data)
    )
}

/// The policy of a page with this script and these styles: nothing is loaded, nothing else runs.
pub(super) fn policy(style: &str) -> String {
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
        hash(SCRIPT),
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

fn data(report: &Report) -> Data {
    let shown = shown_points(&report.summaries);
    let names = groups_of(&report.summaries);
    let groups: Vec<&Group> = shown.iter().map(|&place| &names[place]).collect();
    let summaries: Vec<Summary> = shown
        .into_iter()
        .map(|place| report.summaries[place].clone())
        .collect();
    let (series, places) = series_looks(&summaries);
    let on_frontiers = on_frontiers(report);
    let points = summaries
        .iter()
        .zip(places)
        .zip(&groups)
        .map(|((s, series), group)| Point {
            series,
            name: s.design.design_id.clone(),
            energy: s.design.energy_relative,
            mean: 100.0 * s.mean,
            interval: interval(s).map(|i| (100.0 * i.low, 100.0 * i.high)),
            voltage: s.design.voltage,
            voltage_label: match s.design.voltage_unit {
                VoltageUnit::Vmin => "Supply voltage (V/Vmin)",
                VoltageUnit::Volt => "Supply voltage (V)",
            },
            extrapolated: extrapolated(s),
            settings: settings(&on_frontiers, s, group),
        });
    let mut places = BTreeMap::new();
    for (place, s) in summaries.iter().enumerate() {
        places.entry(s.design.design_id.as_str()).or_insert(place);
    }
    let frontier = report.pareto.frontiers.iter().find(|f| f.method.is_none());
    let frontier: &[FrontierPoint] = frontier.map(|f| f.points.as_slice()).unwrap_or_default();
    let place = |p: &FrontierPoint| places.get(p.summary.design.design_id.as_str()).copied();
    Data {
        series,
        points: points.collect(),
        frontier: frontier.iter().filter_map(place).collect(),
    }
}

/// Shares of resamples in which points are on a frontier, by its method (`None`: of all) and design point.
type OnFrontiers<'a> = BTreeMap<(Option<&'a Group>, &'a str), f64>;

fn on_frontiers(report: &Report) -> OnFrontiers<'_> {
    let mut all = OnFrontiers::new();
    for frontier in &report.pareto.frontiers {
        for point in &frontier.points {
            let key = (
                frontier.method.as_ref(),
                point.summary.design.design_id.as_str(),
            );
            all.entry(key).or_insert(point.probability);
        }
    }
    all
}

/// All settings and results of a point in words.
fn settings(
    on_frontiers: &OnFrontiers<'_>,
    s: &Summary,
    group: &Group,
) -> Vec<(&'static str, String)> {
    let d = &s.design;
    let with = |text: String, low: f64, high: f64| {
        format!("{text} ({} to {})", accuracy(low), accuracy(high))
    };
    let mut all = vec![
        ("Model", d.model.clone()),
        ("Method", d.method.to_string()),
        (
            "Bits",
            d.bits
                .map_or("different by layer".into(), |bits| bits.to_string()),
        ),
        ("Protection", d.protection.to_string()),
        ("Array", d.array.to_string()),
        ("Memory", format!("{} ({})", d.memory, d.fault_kind)),
        ("Voltage", voltage(s)),
        (
            "Bit error rate",
            format!("{}, {}", bit_error_rate(s), source(d.ber_source)),
        ),
        (
            "Energy",
            format!(
                "{:.4} of 8 bit at the error-free voltage",
                d.energy_relative
            ),
        ),
    ];
    if !d.domain_voltages.is_empty() {
        let each = d
            .domain_voltages
            .iter()
            .map(|d| format!("{} {}", d.domain, number(d.voltage)));
        all.push(("Voltage by domain", each.collect::<Vec<_>>().join(", ")));
    }
    if let Some(absolute) = d.energy_pj {
        all.push(("Energy per inference", format!("{absolute:.1} pJ")));
    }
    let mean = format!("{} %", accuracy(s.mean));
    all.extend([
        ("Area", format!("{} of 8 bit", number(d.area_relative))),
        (
            "Accuracy",
            interval(s).map_or(mean.clone(), |i| with(mean, i.low, i.high)),
        ),
        (
            "Without faults",
            format!("{} %", accuracy(d.clean_accuracy.get())),
        ),
        (
            "Chips",
            format!(
                "{}, {} images {}",
                s.chips,
                s.images,
                if s.is_two_level() {
                    "of its own each"
                } else {
                    "each"
                }
            ),
        ),
    ]);
    if let Some(spread) = s.spread {
        let (low, high) = (spread.yield_interval.low, spread.yield_interval.high);
        let of = format!(
            "{} % ({} to {})",
            percent(spread.yield_share),
            percent(low),
            percent(high)
        );
        all.push(("Yield", format!("{of} of at least {} %", percent(s.floor))));
    }
    for (name, of) in [
        ("Frontier of all", None),
        ("Frontier of group", Some(group)),
    ] {
        if let Some(probability) = on_frontiers.get(&(of, d.design_id.as_str())) {
            all.push((name, format!("{} % of resamples", percent(*probability))));
        }
    }
    all
}
