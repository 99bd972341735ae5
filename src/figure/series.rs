//! Design points sorted into series: which belong together, the name and the style of a series.

use super::canvas::Color;
use super::marker::{Shape, MARKER};
use super::palette::PALETTE;
use crate::analysis::{Summary, BASELINE};
use crate::fault::Protection;
use crate::quant::MethodLabel;
use crate::stats::Interval;
use crate::sweep::ActivationSupply;
use crate::units::Bits;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

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
    /// Name among those of its panel.
    pub(super) name: String,
    /// Name of its panel, a width or a protection; empty where all series share one.
    pub(super) facet: String,
    /// Drawn in colour, over the others.
    pub(super) strong: bool,
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
    Option<&'a ActivationSupply>,
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
        d.activations.as_ref(),
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
    let keys: Vec<Key<'_>> = groups.keys().copied().collect();
    let split = Split::of(&keys);
    let named = labels(&keys, split).into_iter().zip(styles(&keys));
    let mut all = Vec::new();
    for ((key, mut points), (name, style)) in groups.into_iter().zip(named) {
        points.sort_by(|a, b| a.design.by_voltage(&b.design));
        all.push(Series {
            name,
            facet: split.facet(&key),
            strong: true,
            style,
            points,
        });
    }
    all
}

/// By what series are put into panels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    None,
    Width,
    Protection,
}

impl Split {
    /// By width where several series of several widths are compared, else by protection; few series share a panel.
    fn of(keys: &[Key<'_>]) -> Self {
        let splits = |split: Self| {
            let panels = distinct(keys, &|k| split.facet(k)).len();
            let rest = distinct(keys, &|k| format!("{:?}", split.without(k))).len();
            keys.len() > 3 && panels > 1 && rest > 1 && keys.len() >= 2 * panels
        };
        let mut all = [Self::Width, Self::Protection].into_iter();
        all.find(|split| splits(*split)).unwrap_or(Self::None)
    }

    /// Name of the panel of a series.
    fn facet(self, key: &Key<'_>) -> String {
        match self {
            Self::None => String::new(),
            Self::Width => width(key),
            Self::Protection if key.3[0].is_empty() => "no protection".into(),
            Self::Protection => key.3[0].to_owned(),
        }
    }

    /// What series of different panels may have in common: the model is not, as it has one width.
    fn without<'a>(self, key: &Key<'a>) -> Key<'a> {
        let mut key = *key;
        match self {
            Self::None => {}
            Self::Width => (key.2, key.6) = (std::cmp::Reverse(None), ""),
            Self::Protection => key.3[0] = "",
        }
        key
    }
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

fn width(key: &Key<'_>) -> String {
    match key.2 .0 {
        Some(Bits::FLOAT) => "float".into(),
        Some(bits) => format!("{bits} bit"),
        None => "mixed bits".into(),
    }
}

/// `method, b bit`, then whatever else tells one series from another; without what names their panels.
fn labels(keys: &[Key<'_>], split: Split) -> Vec<String> {
    let varies = |i: usize| keys.iter().any(|other| other.3[i] != keys[0].3[i]);
    let varying: Vec<bool> = (0..7).map(|i| !keys.is_empty() && varies(i)).collect();
    let widths = distinct(keys, &width).len();
    let mut labels: Vec<String> = keys
        .iter()
        .map(|key| {
            let mut label = key.1.to_string();
            if split == Split::None || (split == Split::Protection && widths > 1) {
                label = format!("{label}, {}", width(key));
            }
            for (i, part) in key.3.iter().enumerate() {
                // Protection and domains come first: they are always said, where there are any.
                let said = if i < 2 { !part.is_empty() } else { varying[i] };
                if said && !(i == 0 && split == Split::Protection) {
                    label = format!("{label}, {part}");
                }
            }
            if let Some(own) = key.4 {
                label = format!("{label}, {}", own.in_words());
            }
            label
        })
        .collect();
    for part in [
        |k: &Key<'_>| k.5.map(|seed| format!("seed {seed}")),
        |k: &Key<'_>| Some(k.6.to_owned()),
    ] {
        let mut times = BTreeMap::<(String, String), usize>::new();
        for (label, key) in labels.iter().zip(keys) {
            let panel = (split.facet(key), label.clone());
            *times.entry(panel).or_default() += 1;
        }
        for (label, key) in labels.iter_mut().zip(keys) {
            let panel = (split.facet(key), label.clone());
            let twice = times.get(&panel).is_some_and(|times| *times > 1);
            if let Some(part) = part(key).filter(|_| twice) {
                *label = format!("{label}, {part}");
            }
        }
    }
    labels
}

/// One colour for what may stand in every panel, while the palette lasts, else one for each method; protections of one
/// model share its colour, unless nothing else differs. Dashes tell those of one colour apart, shapes all of them.
fn styles(keys: &[Key<'_>]) -> Vec<Style> {
    let split = Split::of(keys);
    let unprotected = |k: &Key<'_>| {
        let mut k = split.without(k);
        (k.3[0], k.3[1]) = ("", "");
        format!("{k:?}")
    };
    let whole = |k: &Key<'_>| format!("{k:?}");
    let of_width = |k: &Key<'_>| format!("{}/{:?}", k.1, k.2 .0);
    let method = |k: &Key<'_>| k.1.to_string();
    let first: &dyn Fn(&Key<'_>) -> String = if distinct(keys, &unprotected).len() == 1 {
        &whole
    } else {
        &unprotected
    };
    let by: [&dyn Fn(&Key<'_>) -> String; 4] = [first, &unprotected, &of_width, &method];
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
        && colors.len() < keys.len()
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
    /// Its colour on a dark page.
    pub dark: String,
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
        color: style.color.hex().to_lowercase(),
        dark: style.color.dark().hex().to_lowercase(),
        dash: style
            .dash
            .iter()
            .map(f64::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        marker: style.shape.path(MARKER),
    };
    let all = labels(&keys, Split::None)
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
    let known = summary.student.or(summary.bootstrap);
    known.map(Interval::of_fraction)
}
