//! What the figures of design points share: curves with band, whiskers and markers, the panels of an
//! accuracy axis, and the voltage axis with its bit error rates. What is on the axes is the figures' affair.

use super::axes::{Axes, Axis};
use super::canvas::{Canvas, Color, Stroke};
use super::facet::Facet;
use super::label::Named;
use super::layout::{Above, Panel};
use super::legend::{Legend, Sample};
use super::marker::{Shape, MARKER};
use super::palette::OTHERS;
use super::series::{interval, Series, Style};
use super::text;
use super::MemoryCurve;
use crate::analysis::Summary;
use crate::stats::{ends, probit};
use crate::units::Metric;
use crate::units::VoltageUnit;
use std::collections::BTreeSet;

/// More series than this are not told apart even by their names in a legend.
const MOST_SERIES: usize = 18;
/// Bands that take more than this part of the height of the curves would fill the panel.
const FULL: f64 = 0.12;
/// More names than this of curves that do not stand out are not listed.
const MOST_NAMES: usize = 12;
/// Radius of the marker of a curve that does not stand out.
const OTHER_MARKER: f64 = 2.4;
/// Points of a curve that have a bar where there are bars in place of bands.
const BARS: usize = 6;
/// Accuracies in per cent that span more than this have an enlargement of the best so many points.
const WIDE: f64 = 12.0;
const ENLARGED_POINTS: f64 = 4.0;
/// Enlargements side by side share their axis where their best accuracies are no further apart, in points.
const ALIKE: f64 = 2.0;

/// One point of a curve, in the units of the axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    /// Ends of the band.
    pub(super) band: Option<(f64, f64)>,
    /// Ends of the whisker.
    pub(super) whisker: Option<(f64, f64)>,
    /// Drawn hollow: the point's bit error rate is extrapolated.
    pub(super) hollow: bool,
}

/// A series as it is drawn.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    /// Its name on the panel.
    pub(super) name: String,
    pub(super) style: Style,
    /// In colour, with its name, its intervals and markers.
    pub(super) strong: bool,
    /// By rising `x`, in runs that are joined by lines.
    pub(super) runs: Vec<Vec<Point>>,
}

impl Curve {
    pub(super) fn of(series: &Series<'_>, runs: Vec<Vec<Point>>) -> Self {
        Self {
            name: series.name.clone(),
            style: series.style,
            strong: series.strong,
            runs,
        }
    }
}

/// How the intervals of means are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intervals {
    /// Shaded, with the quantiles over chips as whiskers where they are wanted.
    Bands { whiskers: bool },
    /// A bar at some points: bands would fill the panel.
    Bars,
}

impl Intervals {
    /// Bands, unless those of one series take much of the height of the curves, or of their best points where these are
    /// enlarged.
    fn of(strong: &[&Series<'_>], whiskers: bool) -> Self {
        let points = strong.iter().flat_map(|series| &series.points);
        let (low, high) = ends(points.map(|point| point.mean));
        let is_enlarged = 100.0 * (high - low) > WIDE;
        let best = high - ENLARGED_POINTS / 100.0;
        let fills = strong.iter().any(|series| {
            mean_height(series, low) > FULL * (high - low).max(0.02)
                || (is_enlarged && 100.0 * mean_height(series, best) > 2.0 * FULL * ENLARGED_POINTS)
        });
        if fills {
            Self::Bars
        } else {
            Self::Bands { whiskers }
        }
    }
}

/// Mean height of the intervals of those points of a series whose mean is at least this.
fn mean_height(series: &Series<'_>, least: f64) -> f64 {
    let shown = series.points.iter().filter(|point| point.mean >= least);
    let heights: Vec<f64> = shown
        .map(|point| interval(point).map_or(0.0, |i| i.high - i.low))
        .collect();
    heights.iter().sum::<f64>() / heights.len().max(1) as f64
}

/// How the intervals of these series are drawn.
pub(super) fn intervals(facets: &[Facet<'_>], whiskers: bool) -> Intervals {
    let series = facets.iter().flat_map(|facet| &facet.series);
    let strong: Vec<&Series<'_>> = series.filter(|s| s.strong).collect();
    Intervals::of(&strong, whiskers)
}

/// The points of a series in per cent against what `x` says of them; those that it says nothing of are left out.
pub(super) fn accuracy_points(
    series: &Series<'_>,
    intervals: Intervals,
    x: impl Fn(&Summary) -> Option<f64>,
) -> Vec<Point> {
    let per_cent = |(low, high): (f64, f64)| (100.0 * low, 100.0 * high);
    let every = series.points.len().div_ceil(BARS).max(1);
    let points = series.points.iter().enumerate();
    let points = points.filter_map(|(i, summary)| {
        let own = interval(summary)
            .filter(|_| series.strong)
            .map(|i| per_cent((i.low, i.high)));
        let chips = summary
            .quantiles
            .filter(|_| series.strong && summary.chips > 1)
            .map(|of| per_cent((of.p05, of.p95)));
        let (band, whisker) = match intervals {
            Intervals::Bands { whiskers } => (own, chips.filter(|_| whiskers)),
            Intervals::Bars => (None, own.filter(|_| i % every == 0)),
        };
        Some(Point {
            x: x(summary)?,
            y: 100.0 * summary.mean,
            band,
            whisker,
            hollow: summary.is_extrapolated(),
        })
    });
    points.collect()
}

/// True where few enough series are drawn to be told apart.
pub(super) fn is_legible(series: &[Series<'_>]) -> bool {
    series.len() <= MOST_SERIES
}

/// Pixels by which a series is moved to the right when several stand side by side.
pub(super) fn shift(index: usize, count: usize) -> f64 {
    (index as f64 - (count as f64 - 1.0) / 2.0) * (30.0 / count as f64).min(7.0)
}

/// Draws bands, lines, whiskers, then whatever `between` draws, then the markers; what stands out over the others.
pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    axes: &Axes,
    curves: &[Curve],
    between: impl FnOnce(&mut Canvas<'_>),
) {
    let (strong, others): (Vec<&Curve>, Vec<&Curve>) = curves.iter().partition(|c| c.strong);
    for curve in others {
        lines(canvas, axes, curve, 1.3);
        markers(canvas, axes, curve, OTHER_MARKER);
    }
    for curve in &strong {
        for run in &curve.runs {
            let band = run.iter().map(|s| {
                let (low, high) = s.band.unwrap_or((s.y, s.y));
                (s.x, low, high)
            });
            axes.band(canvas, &band.collect::<Vec<_>>(), curve.style.color.at(0.2));
            if let [point] = run.as_slice() {
                lone_band(canvas, axes, point, curve.style.color);
            }
        }
    }
    for curve in &strong {
        lines(canvas, axes, curve, 2.4);
    }
    for (i, curve) in strong.iter().enumerate() {
        // Side by side, so that whiskers of several series at one place can be told apart.
        let shift = 0.5 * shift(i, strong.len());
        let points = curve.runs.iter().flatten();
        for point in points.filter(|s| axes.holds(axes.at((s.x, s.y)))) {
            whisker(canvas, axes, point, shift, curve.style.color);
        }
    }
    between(canvas);
    for curve in strong {
        markers(canvas, axes, curve, MARKER);
    }
}

fn lines(canvas: &mut Canvas<'_>, axes: &Axes, curve: &Curve, width: f64) {
    let stroke = Stroke::dashed(curve.style.color, width, curve.style.dash);
    for run in &curve.runs {
        let places: Vec<_> = run.iter().map(|s| (s.x, s.y)).collect();
        axes.line(canvas, &places, stroke);
    }
}

fn markers(canvas: &mut Canvas<'_>, axes: &Axes, curve: &Curve, radius: f64) {
    let Style { color, shape, .. } = curve.style;
    for point in curve.runs.iter().flatten() {
        let at = (point.x, point.y);
        axes.marker(canvas, at, (shape, color), radius, point.hollow);
    }
}

/// Curves in pixels with their names, to be written over what is drawn.
pub(super) fn named(axes: &Axes, curves: &[Curve]) -> Vec<Named> {
    let in_pixels = |run: &Vec<Point>| run.iter().map(|s| axes.at((s.x, s.y))).collect();
    let named = curves.iter().map(|curve| Named {
        name: curve.name.clone(),
        color: curve.style.color,
        strong: curve.strong,
        lines: curve.runs.iter().map(in_pixels).collect(),
    });
    named.collect()
}

/// The band of a point without neighbours: a strip as wide as its marker.
fn lone_band(canvas: &mut Canvas<'_>, axes: &Axes, point: &Point, color: Color) {
    let Some((low, high)) = point.band else {
        return;
    };
    let (_, top, _, bottom) = axes.area;
    let ((x, y0), (_, y1)) = (axes.at((point.x, low)), axes.at((point.x, high)));
    let (y0, y1) = (y0.clamp(top, bottom), y1.clamp(top, bottom));
    canvas.polygon(
        &[(x - 9.0, y0), (x + 9.0, y0), (x + 9.0, y1), (x - 9.0, y1)],
        color.at(0.3),
    );
}

fn whisker(canvas: &mut Canvas<'_>, axes: &Axes, point: &Point, shift: f64, color: Color) {
    let Some((low, high)) = point.whisker else {
        return;
    };
    let (from, to) = (axes.at((point.x, low)), axes.at((point.x, high)));
    if from.1 - to.1 < 2.0 {
        return;
    }
    let (_, top, _, bottom) = axes.area;
    let stroke = Stroke::solid(color, 1.2);
    let (x, y0, y1) = (from.0 + shift, from.1.min(bottom), to.1.max(top));
    if y0 <= y1 {
        return;
    }
    canvas.line((x, y0), (x, y1), stroke);
    for (end, y) in [(from, y0), (to, y1)] {
        // No bar where the whisker goes on beyond the edge.
        if end.1 == y {
            canvas.line((x - 3.5, y), (x + 3.5, y), stroke);
        }
    }
}

/// Ends of the points of curves with their bands and whiskers, in per cent; `None` without a point.
fn span(curves: &[&Curve]) -> Option<(f64, f64)> {
    let points = curves.iter().flat_map(|c| c.runs.iter().flatten());
    let spans = points.flat_map(|s| [Some((s.y, s.y)), s.band, s.whisker]);
    let (low, high) = ends(spans.flatten().flat_map(|(from, to)| [from, to]));
    // Accuracies that are all alike get an axis of about one point, not of their rounding errors.
    let narrow = (0.5 - (high - low) / 2.0).max(0.0);
    (low.is_finite() && high.is_finite()).then_some((low - narrow, high + narrow))
}

const WITHIN: (f64, f64) = (0.0, 100.0);

/// A vertical axis over all of these curves of shares by a metric.
pub(super) fn whole_axis(curves: &[&Curve], metric: Metric) -> Axis {
    let label = percent_label(metric);
    let Some((low, high)) = span(curves) else {
        return Axis::rounded(&label, 0.0, 100.0, 6, WITHIN);
    };
    // A little room above, so that markers do not sit on the frame.
    let pad = 0.03 * (high - low).max(0.5);
    Axis::rounded(&label, low, high + pad, 6, WITHIN)
}

/// What ends the label of the upper of two panels of accuracies.
pub(super) const ENLARGED: &str = ", enlarged";

/// `Accuracy (%)`, or what else the metric says.
pub(super) fn percent_label(metric: Metric) -> String {
    format!("{} (%)", metric.title())
}

/// Lower and upper end of an axis over the best 4 points of accuracy; `None` where the spots span no more than 12, or
/// hardly any lies there.
fn enlarged(curves: &[Curve]) -> Option<(f64, f64)> {
    let (low, high) = span(&curves.iter().collect::<Vec<_>>())?;
    let points = || curves.iter().flat_map(|c| c.runs.iter().flatten());
    let count = points().filter(|s| s.y >= high - ENLARGED_POINTS).count();
    if high - low <= WIDE || count < 3 {
        return None;
    }
    let best = points().map(|s| s.y).fold(f64::NEG_INFINITY, f64::max);
    let top = (best + 0.4).min(high + 0.15).max(best + 0.15);
    Some((best - 3.7, top))
}

/// The axes of enlargements side by side; `None` where one of the plots has none.
fn enlarged_axes(plots: &[&Plot], metric: Metric) -> Option<Vec<Axis>> {
    let spans: Vec<(f64, f64)> = plots
        .iter()
        .map(|plot| enlarged(&plot.curves))
        .collect::<Option<_>>()?;
    let (low, high) = ends(spans.iter().flat_map(|(low, high)| [*low, *high]));
    let is_alike = spans.iter().all(|own| own.0 - low <= ALIKE);
    let label = percent_label(metric) + ENLARGED;
    let axis = |&own: &(f64, f64)| {
        let (low, high) = if is_alike { (low, high) } else { own };
        Axis::rounded(&label, low, high, 5, WITHIN)
    };
    Some(spans.iter().map(axis).collect())
}

/// The curves of a facet, and the horizontal axis and the marks above it.
pub(super) struct Plot {
    /// What stands over it; empty for nothing.
    pub(super) name: String,
    pub(super) x: Axis,
    pub(super) above: Option<Above>,
    /// The voltage below which rates are extrapolated, where there is one.
    pub(super) edge: Option<f64>,
    pub(super) curves: Vec<Curve>,
}

/// The panels of an accuracy figure by row, and the plot of each panel counted row by row: one row for each two plots of
/// one horizontal label, or where the spots of one span more than 12 points an enlargement of the best 4 points over it.
pub(super) fn accuracy_rows(plots: &[Plot], metric: Metric) -> (Vec<Vec<Panel>>, Vec<usize>) {
    let every: Vec<&Curve> = plots.iter().flat_map(|plot| &plot.curves).collect();
    let whole = whole_axis(&every, metric);
    let (mut rows, mut places) = (Vec::new(), Vec::new());
    for side in sides(plots) {
        let of_side: Vec<&Plot> = side.iter().map(|&i| &plots[i]).collect();
        let close = enlarged_axes(&of_side, metric);
        let is_enlarged = close.is_some();
        let heights = match (plots.len() > 1, is_enlarged) {
            (true, true) => (220.0, 260.0),
            (true, false) => (0.0, 320.0),
            (false, true) => (250.0, 300.0),
            (false, false) => (0.0, 440.0),
        };
        if let Some(axes) = close {
            let panels = of_side.iter().zip(axes);
            let panels = panels.map(|(plot, y)| panel(plot, y, heights.0, true, false));
            rows.push(panels.collect());
            places.extend(&side);
        }
        let panels = side
            .iter()
            .map(|&i| panel(&plots[i], whole.clone(), heights.1, !is_enlarged, true));
        rows.push(panels.collect());
        places.extend(&side);
    }
    (rows, places)
}

/// Places of plots that stand side by side: two of one horizontal label.
pub(super) fn sides(plots: &[Plot]) -> Vec<Vec<usize>> {
    let all: Vec<usize> = (0..plots.len()).collect();
    let alike = all.chunk_by(|&a, &b| plots[a].x.label == plots[b].x.label);
    alike
        .flat_map(|of| of.chunks(2))
        .map(<[usize]>::to_vec)
        .collect()
}

/// A panel of a plot: the upper one has its name and the marks, the lower one the labels.
pub(super) fn panel(plot: &Plot, y: Axis, height: f64, upper: bool, labelled: bool) -> Panel {
    let mut panel = Panel::new(plot.x.clone(), y, height);
    panel.labelled = labelled;
    if upper {
        panel.above = plot.above.clone();
        panel.name = plot.name.clone();
    }
    panel
}

/// The legend entries that explain how means are drawn, and what is grey.
pub(super) fn explain(legend: &mut Legend, plots: &[Plot], intervals: Intervals) {
    let mean = "95 % interval of the mean";
    match intervals {
        Intervals::Bands { .. } => explain_as(legend, plots, mean, "5 to 95 % of chips"),
        Intervals::Bars => explain_as(legend, plots, "", mean),
    }
}

/// The same with other words for bands and bars.
pub(super) fn explain_as(legend: &mut Legend, plots: &[Plot], band: &str, whisker: &str) {
    let curves = || plots.iter().flat_map(|plot| &plot.curves);
    let points = || {
        curves()
            .filter(|c| c.strong)
            .flat_map(|c| c.runs.iter().flatten())
    };
    if points().any(|s| s.band.is_some()) {
        legend.add(Sample::Patch(Color::GREY.at(0.35)), band);
    }
    if points().any(|s| s.whisker.is_some()) {
        legend.add(Sample::Whisker, whisker);
    }
    if points().any(|s| s.hollow) {
        legend.add(
            Sample::Marker(Shape::Circle, Color::INK, true),
            "extrapolated bit error rate",
        );
    }
    let others: BTreeSet<&str> = curves()
        .filter(|c| !c.strong)
        .map(|c| c.name.as_str())
        .collect();
    if !others.is_empty() {
        let sample = Sample::Line(Stroke::solid(OTHERS, 1.6));
        let names: Vec<&str> = others.iter().copied().collect();
        let names = if names.len() > MOST_NAMES {
            format!("{} others, see the table", names.len())
        } else {
            format!("others: {}", names.join("; "))
        };
        legend.add(sample, names);
    }
    if plots.iter().any(|plot| plot.edge.is_some()) {
        legend.add(Sample::Hatch, "below the measured span");
    }
}

/// The label of a voltage axis.
pub fn voltage_label(unit: VoltageUnit) -> String {
    format!("Supply voltage ({})", unit.symbol())
}

/// Labels on a horizontal axis of a figure of so many plots.
pub(super) fn tick_count(plots: usize) -> usize {
    if plots > 1 {
        5
    } else {
        9
    }
}

/// A voltage axis over these voltages, with some room on both sides and about so many ticks.
pub(super) fn voltage_axis(
    unit: VoltageUnit,
    voltages: impl Iterator<Item = f64>,
    ticks: usize,
) -> Axis {
    let (mut low, mut high) = ends(voltages.filter(|v| v.is_finite()));
    if low > high {
        (low, high) = (0.5, 1.0);
    }
    let pad = 0.035 * (high - low);
    Axis::linear(&voltage_label(unit), low - pad, high + pad, ticks)
}

/// Units of the voltages of the design points, `V/Vmin` first.
pub(super) fn units(summaries: &[Summary]) -> Vec<VoltageUnit> {
    [VoltageUnit::Vmin, VoltageUnit::Volt]
        .into_iter()
        .filter(|unit| {
            summaries
                .iter()
                .any(|s| s.design.voltage_unit == *unit && s.design.voltage.is_some())
        })
        .collect()
}

/// Bit error rates along the upper edge of a voltage axis: round rates where they lie between the
/// swept voltages (probit interpolation, as in the memory models), and 0 from the error-free voltage.
/// `None` where the points do not share one memory.
pub(super) fn rates_above(points: &[&Summary]) -> Option<Above> {
    let first = points.first()?;
    if points
        .iter()
        .any(|p| p.design.memory != first.design.memory)
    {
        return None;
    }
    let mut known: Vec<(f64, f64)> = points
        .iter()
        .filter_map(|p| p.design.voltage.zip(p.design.ber))
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    known.dedup_by(|a, b| a.0 == b.0);
    let decades = (1..=15).map(|e| (10f64.powi(-e), text::power_of_ten(-e)));
    let at = |rate: f64, [(v0, p0), (v1, p1)]: [(f64, f64); 2]| {
        let between = p0 >= rate && rate >= p1 && p1 > 0.0 && p0 > p1;
        let part = || (probit(rate) - probit(p0)) / (probit(p1) - probit(p0));
        between.then(|| v0 + part() * (v1 - v0))
    };
    let mut ticks = between(&known, decades, at);
    if ticks.len() < 2 {
        ticks = known
            .iter()
            .filter(|(_, ber)| *ber > 0.0)
            .map(|(v, ber)| (*v, text::rate(*ber)))
            .collect();
    }
    ticks.extend(
        known
            .iter()
            .find(|(_, ber)| *ber <= 0.0)
            .map(|(v, _)| (*v, "0".to_owned())),
    );
    Some(Above {
        label: "Bit error rate".into(),
        ticks,
    })
}

/// Round voltages along the upper edge of an axis of energies, where all points at a voltage have the same energy and it
/// rises with the voltage; between two swept voltages the energy is taken for a straight line over the square of the
/// voltage, which it is where accesses take all of it. `None` elsewhere.
pub(super) fn voltages_above(points: &[&Summary]) -> Option<Above> {
    let unit = points.first()?.design.voltage_unit;
    let mut known: Vec<(f64, f64)> = Vec::new();
    for design in points.iter().map(|p| &p.design) {
        let voltage = design.voltage.filter(|_| design.voltage_unit == unit)?;
        known.push((voltage, design.energy_relative));
    }
    known.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    known.dedup_by(|a, b| a.0 == b.0 && (a.1 - b.1).abs() <= 1e-6 * b.1.abs());
    if known
        .windows(2)
        .any(|pair| pair[0].0 == pair[1].0 || pair[0].1 >= pair[1].1)
    {
        return None;
    }
    let (low, high) = (known.first()?.0, known.last()?.0);
    let axis = Axis::linear("", low, high, 5);
    let ticks = between(
        &known,
        axis.ticks().iter().cloned(),
        |voltage, [(v0, e0), (v1, e1)]| {
            let part = || (voltage * voltage - v0 * v0) / (v1 * v1 - v0 * v0);
            (v0..=v1)
                .contains(&voltage)
                .then(|| e0 + part() * (e1 - e0))
        },
    );
    let label = voltage_label(unit);
    (ticks.len() > 1).then_some(Above { label, ticks })
}

/// Places of named values, each where the first two neighbours that `at` gives one between have it.
pub(super) fn between(
    known: &[(f64, f64)],
    values: impl Iterator<Item = (f64, String)>,
    at: impl Fn(f64, [(f64, f64); 2]) -> Option<f64>,
) -> Vec<(f64, String)> {
    let place = |(value, name)| {
        let mut pairs = known.windows(2);
        let found = pairs.find_map(|pair| at(value, [pair[0], pair[1]]));
        found.map(|place| (place, name))
    };
    values.filter_map(place).collect()
}

/// The voltage below which at least one memory of the points is extrapolated: the lowest measured
/// voltage of its curve, or without the curve the middle between the nearest two points.
pub(super) fn extrapolated_below(points: &[&Summary], curves: &[MemoryCurve]) -> Option<f64> {
    let mut edge: Option<f64> = None;
    for point in points.iter().filter(|p| p.is_extrapolated()) {
        let Some(v) = point.design.voltage else {
            continue;
        };
        let next = points
            .iter()
            .filter(|p| p.design.memory == point.design.memory && !p.is_extrapolated())
            .filter_map(|p| p.design.voltage)
            .filter(|u| *u > v);
        let next = next.fold(f64::INFINITY, f64::min);
        let curve = curves.iter().find(|c| c.name == point.design.memory);
        let measured = curve.and_then(|c| c.measured.iter().map(|m| m.0).min_by(f64::total_cmp));
        let own = match measured.filter(|m| *m >= v) {
            Some(measured) => measured,
            None if next.is_finite() => (v + next) / 2.0,
            None => f64::INFINITY,
        };
        edge = Some(edge.map_or(own, |e| e.max(own)));
    }
    edge
}

/// Hatches a panel up to a voltage.
pub(super) fn hatch_below(canvas: &mut Canvas<'_>, axes: &Axes, edge: Option<f64>) {
    let Some(edge) = edge else { return };
    let (left, top, right, bottom) = axes.area;
    let x = axes.x.place(edge).clamp(0.0, 1.0) * (right - left) + left;
    let corners = [(left, top), (x, top), (x, bottom), (left, bottom)];
    canvas.polygon(&corners, Color::GREY.at(0.06));
    canvas.hatch((left, top), (x, bottom), Color::GREY.at(0.35));
    let edge = Stroke::solid(Color::GREY.at(0.6), 1.0);
    canvas.line((x, top), (x, bottom), edge);
}
