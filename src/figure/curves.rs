//! What the figures of design points share: curves with band, whiskers and markers, the panels of an
//! accuracy axis, and the voltage axis with its bit error rates. What is on the axes is the figures' affair.

use super::axes::{Axes, Axis};
use super::canvas::{Canvas, Color, Stroke};
use super::layout::Above;
use super::legend::{Legend, Sample};
use super::marker::{marker, Shape, MARKER};
use super::series::{interval, Series, Style};
use super::text;
use super::MemoryCurve;
use crate::analysis::Summary;
use crate::stats::probit;
use crate::units::VoltageUnit;

/// More series than this get no whiskers: they would hide each other.
const WHISKERS: usize = 6;
/// More series than this get no bands either.
const BANDS: usize = 18;
/// Label of the upper of two accuracy panels.
pub(super) const ENLARGED: &str = "Accuracy (%), enlarged";

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
    pub(super) style: Style,
    /// By rising `x`, in runs that are joined by lines.
    pub(super) runs: Vec<Vec<Point>>,
}

/// Mean accuracy in per cent, its 95 % interval where `bands`, and the 5 to 95 % quantiles over chips where
/// `whiskers`, against `x`.
pub(super) fn accuracy_point(summary: &Summary, x: f64, bands: bool, whiskers: bool) -> Point {
    Point {
        x,
        y: 100.0 * summary.mean,
        band: interval(summary)
            .filter(|_| bands)
            .map(|i| (100.0 * i.low, 100.0 * i.high)),
        whisker: summary
            .quantiles
            .filter(|_| whiskers && summary.chips > 1)
            .map(|s| (100.0 * s.p05, 100.0 * s.p95)),
        hollow: summary.is_extrapolated(),
    }
}

/// True where few enough series are drawn for bands.
pub(super) fn has_bands(series: &[Series<'_>]) -> bool {
    series.len() <= BANDS
}

/// True where few enough series are drawn for whiskers.
pub(super) fn has_whiskers(series: &[Series<'_>]) -> bool {
    series.len() <= WHISKERS
        && series
            .iter()
            .flat_map(|s| &s.points)
            .any(|p| p.chips > 1 && p.quantiles.is_some())
}

/// Pixels by which a series is moved to the right when several stand side by side.
pub(super) fn shift(index: usize, count: usize) -> f64 {
    (index as f64 - (count as f64 - 1.0) / 2.0) * (48.0 / count as f64).min(10.0)
}

/// Draws bands, lines, whiskers, then whatever `between` draws, then the markers.
pub(super) fn draw(
    canvas: &mut Canvas<'_>,
    axes: &Axes,
    curves: &[Curve],
    between: impl FnOnce(&mut Canvas<'_>),
) {
    for curve in curves {
        for run in &curve.runs {
            let band = run.iter().map(|s| {
                (
                    s.x,
                    s.band.map_or(s.y, |b| b.0),
                    s.band.map_or(s.y, |b| b.1),
                )
            });
            axes.band(canvas, &band.collect::<Vec<_>>(), curve.style.color.at(0.2));
            if let [point] = run.as_slice() {
                lone_band(canvas, axes, point, curve.style.color);
            }
        }
    }
    for curve in curves {
        let stroke = Stroke {
            color: curve.style.color,
            width: 2.2,
            dash: curve.style.dash,
        };
        for run in &curve.runs {
            axes.line(
                canvas,
                &run.iter().map(|s| (s.x, s.y)).collect::<Vec<_>>(),
                stroke,
            );
        }
    }
    for (i, curve) in curves.iter().enumerate() {
        // Side by side, so that whiskers of several series at one place can be told apart.
        let shift = shift(i, curves.len());
        for point in curve
            .runs
            .iter()
            .flatten()
            .filter(|s| axes.holds(axes.at((s.x, s.y))))
        {
            whisker(canvas, axes, point, shift, curve.style.color);
        }
    }
    between(canvas);
    for curve in curves {
        for point in curve.runs.iter().flatten() {
            let at = axes.at((point.x, point.y));
            if axes.holds(at) {
                marker(
                    canvas,
                    at,
                    curve.style.shape,
                    MARKER,
                    curve.style.color,
                    point.hollow,
                );
            }
        }
    }
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

/// The vertical axes of the panels of an accuracy figure, from above, with their heights in pixels:
/// one, or where the spots span more than 12 points an enlargement of the best 4 points over the whole.
pub(super) fn accuracy_panels(curves: &[Curve]) -> Vec<(Axis, f64)> {
    const WITHIN: (f64, f64) = (0.0, 100.0);
    let points = || curves.iter().flat_map(|c| c.runs.iter().flatten());
    let ends = |s: &Point| {
        let (band, whisker) = (
            s.band.unwrap_or((s.y, s.y)),
            s.whisker.unwrap_or((s.y, s.y)),
        );
        (
            s.y.min(band.0).min(whisker.0),
            s.y.max(band.1).max(whisker.1),
        )
    };
    let low = points().map(|s| ends(s).0).fold(f64::INFINITY, f64::min);
    let high = points()
        .map(|s| ends(s).1)
        .fold(f64::NEG_INFINITY, f64::max);
    if !(low.is_finite() && high.is_finite()) {
        return vec![(Axis::rounded("Accuracy (%)", 0.0, 100.0, 6, WITHIN), 440.0)];
    }
    // Accuracies that are all alike get an axis of about one point, not of their rounding errors.
    let narrow = (0.5 - (high - low) / 2.0).max(0.0);
    let (low, high) = (low - narrow, high + narrow);
    // A little room above, so that markers do not sit on the frame.
    let pad = |span: f64| 0.03 * span.max(0.5);
    let whole = |name| Axis::rounded(name, low, high + pad(high - low), 6, WITHIN);
    let enlarged = points().filter(|s| s.y >= high - 4.0).count();
    if high - low <= 12.0 || enlarged < 3 {
        return vec![(whole("Accuracy (%)"), 440.0)];
    }
    let best = points().map(|s| s.y).fold(f64::NEG_INFINITY, f64::max);
    let top = (best + 0.4).min(high + 0.15).max(best + 0.15);
    let close = Axis::rounded(ENLARGED, best - 3.7, top, 5, WITHIN);
    vec![(close, 240.0), (whole("Accuracy (%)"), 300.0)]
}

/// The legend entries that explain how design points are drawn.
pub(super) fn explain(legend: &mut Legend, curves: &[Curve], band: &str, whisker: &str) {
    let points = || curves.iter().flat_map(|c| c.runs.iter().flatten());
    if points().any(|s| s.band.is_some()) {
        legend.add(Sample::Band, band);
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
}

/// The label of a voltage axis.
pub(super) fn voltage_label(unit: VoltageUnit) -> String {
    match unit {
        VoltageUnit::Vmin => "Supply voltage (V/Vmin)".into(),
        VoltageUnit::Volt => "Supply voltage (V)".into(),
    }
}

/// A voltage axis over these voltages, with some room on both sides.
pub(super) fn voltage_axis(unit: VoltageUnit, voltages: impl Iterator<Item = f64>) -> Axis {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for voltage in voltages.filter(|v| v.is_finite()) {
        (low, high) = (low.min(voltage), high.max(voltage));
    }
    if low > high {
        (low, high) = (0.5, 1.0);
    }
    let pad = 0.035 * (high - low);
    Axis::linear(&voltage_label(unit), low - pad, high + pad, 9)
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
    let decades: Vec<f64> = (1..=15).map(|e| 10f64.powi(-e)).collect();
    let mut ticks = placed(&known, &decades);
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

/// Voltages at which these falling rates are reached.
fn placed(known: &[(f64, f64)], rates: &[f64]) -> Vec<(f64, String)> {
    let mut ticks = Vec::new();
    for rate in rates {
        for pair in known.windows(2) {
            let ((v0, p0), (v1, p1)) = (pair[0], pair[1]);
            if p0 >= *rate && *rate >= p1 && p1 > 0.0 && p0 > p1 {
                let (z0, z1) = (probit(p0), probit(p1));
                let fraction = (probit(*rate) - z0) / (z1 - z0);
                ticks.push((
                    v0 + fraction * (v1 - v0),
                    text::power_of_ten(rate.log10().round() as i32),
                ));
                break;
            }
        }
    }
    ticks
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
    canvas.polygon(
        &[(left, top), (x, top), (x, bottom), (left, bottom)],
        Color::GREY.at(0.06),
    );
    canvas.hatch((left, top), (x, bottom), Color::GREY.at(0.35));
    canvas.line(
        (x, top),
        (x, bottom),
        Stroke::solid(Color::GREY.at(0.6), 1.0),
    );
}
