//! Design points sorted into series: which belong together, the name and the style of a series.

use super::canvas::Color;
use super::marker::{Shape, MARKER};
use crate::analysis::{Summary, BASELINE};
use crate::fault::Protection;
use crate::quant::MethodLabel;
use crate::stats::Interval;
use crate::units::Bits;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// Colours of Okabe and Ito (2008) that tell on white, also to colour-blind readers.
pub(super) const PALETTE: [Color; 7] = [
    Color(0, 114, 178, 1.0),
    Color(213, 94, 0, 1.0),
    Color(0, 158, 115, 1.0),
    Color(204, 121, 167, 1.0),
    Color(230, 159, 0, 1.0),
    Color(86, 180, 233, 1.0),
    Color(90, 90, 90, 1.0),
];
/// Dashes of lines that share a colour, or neighbouring ones.
pub(super) const DASHES: [&[f64]; 4] = [&[], &[9.0, 5.0], &[2.5, 4.0], &[12.0, 4.0, 2.5, 4.0]];

/// The style of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Style {
    /// Colour of line, band and marker.
    pub(super) color: Color,
    /// Shape of the marker.
    pub(super) shape: Shape,
    /// Dash of the line.
    pub(super) dash: &'static [f64],
}

/// The design points of one model under one protection in one memory, by rising voltage.
#[derive(Clone, Debug)]
pub(super) struct Series<'a> {
    /// Name in legends.
    pub(super) label: String,
    /// Its style.
    pub(super) style: Style,
    /// Its points; never empty.
    pub(super) points: Vec<&'a Summary>,
}

impl Series<'_> {
    /// False where the points have a voltage for each domain, so that none lies between two others.
    pub(super) fn is_over_voltage(&self) -> bool {
        self.points.iter().all(|p| p.design.voltage.is_some())
    }
}

/// What two points of a series have in common, in the order of the legend: `normal` first, then by
/// name; many bits before few.
type Key<'a> = (
    bool,
    MethodLabel,
    std::cmp::Reverse<Option<Bits>>,
    [&'a str; 7],
    Option<u64>,
    &'a str,
);

/// What the names of series with a voltage for each domain have.
const DOMAINS: &str = "voltage domains";

fn key(summary: &Summary) -> Key<'_> {
    let d = &summary.design;
    let domains = if d.voltage.is_none() { DOMAINS } else { "" };
    // Empty for none: unprotected points come first, and only a protection is named.
    let protection = match d.protection {
        Protection::None => "",
        other => other.name(),
    };
    let rest = [
        protection,
        domains,
        &d.architecture,
        &d.dataset,
        &d.memory,
        d.array.as_str(),
        d.fault_kind.as_str(),
    ];
    let (later, method) = method_order(d.method);
    (
        later,
        method,
        std::cmp::Reverse(d.bits),
        rest,
        d.training_seed,
        &d.model,
    )
}

/// By what methods are sorted in legends and get their colours: `normal` first, then by name.
pub(super) fn method_order(method: MethodLabel) -> (bool, MethodLabel) {
    (method != BASELINE, method)
}

/// Sorts design points into series, in the order of the legend.
pub(super) fn series(summaries: &[Summary]) -> Vec<Series<'_>> {
    let mut groups = BTreeMap::<Key<'_>, Vec<&Summary>>::new();
    for summary in summaries {
        groups.entry(key(summary)).or_default().push(summary);
    }
    let labels = labels(&groups.keys().copied().collect::<Vec<_>>());
    let styles = styles(&groups.keys().copied().collect::<Vec<_>>());
    let named = groups.into_values().zip(labels.into_iter().zip(styles));
    named
        .map(|(mut points, (label, style))| {
            points.sort_by(|a, b| a.design.by_voltage(&b.design));
            Series {
                label,
                style,
                points,
            }
        })
        .collect()
}

/// Places of design points by series, then rising voltage.
pub(super) fn in_series_order(summaries: &[Summary]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..summaries.len()).collect();
    order.sort_by(|&a, &b| {
        let (a, b) = (&summaries[a], &summaries[b]);
        key(a)
            .cmp(&key(b))
            .then_with(|| a.design.by_voltage(&b.design))
    });
    order
}

/// The series of points with one voltage, called and drawn as among all.
pub(super) fn series_over_voltage(summaries: &[Summary]) -> Vec<Series<'_>> {
    let mut all = series(summaries);
    all.retain(|s| s.is_over_voltage());
    all
}

/// `method, b bit`, then whatever else tells one series from another.
fn labels(keys: &[Key<'_>]) -> Vec<String> {
    let varies = |i: usize| keys.iter().any(|other| other.3[i] != keys[0].3[i]);
    let varying: Vec<bool> = (0..7).map(|i| !keys.is_empty() && varies(i)).collect();
    let mut labels: Vec<String> = keys
        .iter()
        .map(|key| {
            let width = match key.2 .0 {
                Some(Bits::FLOAT) => "float".into(),
                Some(bits) => format!("{bits} bit"),
                None => "mixed bits".into(),
            };
            let mut label = format!("{}, {width}", key.1);
            for (i, part) in key.3.iter().enumerate() {
                // Protection and domains come first: they are always said, where there are any.
                let said = if i < 2 { !part.is_empty() } else { varying[i] };
                if said {
                    label = format!("{label}, {part}");
                }
            }
            label
        })
        .collect();
    for part in [
        |k: &Key<'_>| k.4.map(|seed| format!("seed {seed}")),
        |k: &Key<'_>| Some(k.5.to_owned()),
    ] {
        let mut times = BTreeMap::<String, usize>::new();
        for label in &labels {
            *times.entry(label.clone()).or_default() += 1;
        }
        for (label, key) in labels.iter_mut().zip(keys) {
            let twice = times.get(label).is_some_and(|times| *times > 1);
            if let Some(part) = part(key).filter(|_| twice) {
                *label = format!("{label}, {part}");
            }
        }
    }
    labels
}

/// One colour per method and width while the palette lasts, else one per method; protections of one
/// model share its colour. Dashes tell those of one colour apart, shapes all of them.
fn styles(keys: &[Key<'_>]) -> Vec<Style> {
    let unprotected = |k: &Key<'_>| {
        let mut k = *k;
        (k.3[0], k.3[1]) = ("", "");
        format!("{k:?}")
    };
    let width = |k: &Key<'_>| format!("{}/{:?}", k.1, k.2 .0);
    let method = |k: &Key<'_>| k.1.to_string();
    let by: [&dyn Fn(&Key<'_>) -> String; 3] = [&unprotected, &width, &method];
    let by = by
        .into_iter()
        .find(|of| distinct(keys, *of).len() <= PALETTE.len())
        .unwrap_or(&method);
    let colors = distinct(keys, by);
    let protection = |k: &Key<'_>| k.3[..2].join(" ");
    let protections = distinct(keys, &protection);
    let fraction = |color: &String| keys.iter().filter(|k| by(k) == *color).count();
    // One dash per protection, unless widths or models share its colour too.
    let by_protection = protections.len() > 1
        && colors.iter().all(|color| {
            let own: Vec<Key<'_>> = keys.iter().filter(|k| by(k) == *color).copied().collect();
            distinct(&own, &protection).len() == fraction(color)
        });
    let mut used = vec![0; colors.len()];
    keys.iter()
        .enumerate()
        .map(|(i, key)| {
            let color = place(&colors, &by(key));
            used[color] += 1;
            let dash = if by_protection {
                place(&protections, &protection(key))
            } else {
                used[color] - 1
            };
            Style {
                color: PALETTE[color % PALETTE.len()],
                shape: Shape::ALL[i % Shape::ALL.len()],
                dash: DASHES[dash % DASHES.len()],
            }
        })
        .collect()
}

/// The different names of the keys, as they first occur.
fn distinct(keys: &[Key<'_>], of: &dyn Fn(&Key<'_>) -> String) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let names = keys.iter().map(of);
    names.filter(|name| seen.insert(name.clone())).collect()
}

fn place(names: &[String], name: &str) -> usize {
    names.iter().position(|other| other == name).unwrap_or(0)
}

/// How a series of design points is called and looks, for a figure that is drawn by other means.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SeriesStyle {
    /// Name in legends.
    pub label: String,
    /// Colour as `#rrggbb`.
    pub color: String,
    /// Lengths of dash and gap in pixels after blanks; empty for a solid line.
    pub dash: String,
    /// Outline of the marker round (0, 0): the path of an SVG, about 11 pixels wide.
    pub marker: String,
}

/// The series of these design points in the order of the legend, and for each summary the place of
/// its series there.
pub fn series_styles(summaries: &[Summary]) -> (Vec<SeriesStyle>, Vec<usize>) {
    let mut keys: Vec<_> = summaries.iter().map(key).collect();
    keys.sort();
    keys.dedup();
    let style = |(label, style): (String, Style)| SeriesStyle {
        label,
        color: format!(
            "#{:02x}{:02x}{:02x}",
            style.color.0, style.color.1, style.color.2
        ),
        dash: style
            .dash
            .iter()
            .map(f64::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        marker: style.shape.path(MARKER),
    };
    let all = labels(&keys)
        .into_iter()
        .zip(styles(&keys))
        .map(style)
        .collect();
    // Every key is found: the list was made from them.
    let place = |summary| keys.binary_search(&key(summary)).unwrap_or_default();
    (all, summaries.iter().map(place).collect())
}

/// Names of the series of these design points, one per summary in its order: the words used in
/// legends, for tables that stand beside the figures.
pub fn series_labels(summaries: &[Summary]) -> Vec<String> {
    let (all, places) = series_styles(summaries);
    places
        .into_iter()
        .filter_map(|place| all.get(place).map(|style| style.label.clone()))
        .collect()
}

/// The 95 % interval of the mean: Student's, else the bootstrap's, kept inside [0, 1].
pub fn interval(summary: &Summary) -> Option<Interval> {
    let kept = |i: Interval| Interval {
        low: i.low.clamp(0.0, 1.0),
        high: i.high.clamp(0.0, 1.0),
    };
    summary.student.or(summary.bootstrap).map(kept)
}
