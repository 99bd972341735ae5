//! The figure `memory_model`: bit error rate and access energy against supply voltage.

use super::axes::{Axes, Axis};
use super::canvas::{Canvas, Color, Stroke};
use super::curves::voltage_axis;
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::{Shape, MARKER};
use super::palette::PALETTE;
use super::series::Style;
use super::{CurvePoint, MemoryCurve};
use crate::stats::ends;
use crate::units::{BerSource, VoltageUnit};

const CENSORED: &[f64] = &[9.0, 5.0];
const EXTRAPOLATED: &[f64] = &[2.5, 4.0];
const ERROR_FREE: &[f64] = &[12.0, 4.0, 2.5, 4.0];

/// Draws the figure: for each voltage unit a panel of rates over one of energies.
pub fn memory_model(curves: &[MemoryCurve]) -> String {
    let mut legend = Legend::default();
    for (i, curve) in curves.iter().enumerate() {
        let (color, shape) = style(i);
        let sample = if curve.measured.is_empty() {
            Sample::Line(Stroke::solid(color, 2.4))
        } else {
            let dash = &[];
            Sample::Series(Style { color, shape, dash })
        };
        legend.name(sample, curve.name.clone());
    }
    if let Some(i) = curves.iter().position(|c| !c.measured.is_empty()) {
        let (color, shape) = match curves {
            [_] => style(i),
            _ => (Color::INK, Shape::Circle),
        };
        legend.add(Sample::Marker(shape, color, false), "measured points");
    }
    explain(&mut legend, curves);
    let (mut panels, mut units) = (Vec::new(), Vec::new());
    for unit in [VoltageUnit::Vmin, VoltageUnit::Volt] {
        let own: Vec<&MemoryCurve> = curves.iter().filter(|c| c.voltage_unit == unit).collect();
        if own.is_empty() {
            continue;
        }
        let points = || own.iter().flat_map(|c| &c.points);
        let measured = || own.iter().flat_map(|c| &c.measured);
        let voltages = points().map(|p| p.voltage).chain(measured().map(|m| m.0));
        let x = voltage_axis(unit, voltages, 9);
        let rates = points().map(|p| p.ber).chain(measured().map(|m| m.1));
        let y = Axis::logarithmic("Bit error rate", rates.filter(|rate| *rate > 1e-12), false);
        panels.push(Panel::new(x.clone(), y, 300.0).unlabelled());
        let energies = points().map(|p| p.access_energy_relative);
        let (low, high) = ends(energies.filter(|e| e.is_finite()).chain([1.0]));
        let label = "Relative access energy";
        let y = Axis::rounded(label, low, high + 0.02, 5, (0.0, f64::MAX));
        panels.push(Panel::new(x, y, 190.0));
        units.push(unit);
    }
    let title = "Memory model: bit error rate and access energy";
    layout(title, panels, 28.0, &legend, |canvas, axes, i| {
        let own = curves.iter().enumerate();
        for (k, curve) in own.filter(|(_, c)| c.voltage_unit == units[i / 2]) {
            let (color, shape) = style(k);
            if i % 2 == 0 {
                rates(canvas, axes, curve, color, shape);
            } else {
                energies(canvas, axes, curve, color);
            }
        }
    })
}

fn style(i: usize) -> (Color, Shape) {
    (PALETTE[i % PALETTE.len()], Shape::ALL[i % Shape::ALL.len()])
}

/// Legend entries for the dashes that occur.
fn explain(legend: &mut Legend, curves: &[MemoryCurve]) {
    let part = |dash| Stroke::dashed(Color::INK, 2.2, dash);
    let censored = "censored: fitted line continued";
    let error_free = Stroke::dashed(Color::GREY, 1.4, ERROR_FREE);
    for (source, stroke, name) in [
        (BerSource::Measured, part(&[]), "inside the measured span"),
        (BerSource::Censored, part(CENSORED), censored),
        (BerSource::Extrapolated, part(EXTRAPOLATED), "extrapolated"),
        (BerSource::ErrorFree, error_free, "error-free voltage"),
    ] {
        if occurs(curves, source) {
            legend.add(Sample::Line(stroke), name);
        }
    }
}

/// True where a rate of any curve comes from this source.
pub(super) fn occurs(curves: &[MemoryCurve], source: BerSource) -> bool {
    let mut points = curves.iter().flat_map(|curve| &curve.points);
    points.any(|point| point.source == source)
}

/// Points by rising voltage.
fn sorted(curve: &MemoryCurve) -> Vec<CurvePoint> {
    let mut points = curve.points.clone();
    points.sort_by(|a, b| a.voltage.total_cmp(&b.voltage));
    points
}

/// The dash between two points: that of the less certain one.
fn dash(a: BerSource, b: BerSource) -> &'static [f64] {
    match (a, b) {
        (BerSource::Extrapolated, _) | (_, BerSource::Extrapolated) => EXTRAPOLATED,
        (BerSource::Censored, _) | (_, BerSource::Censored) => CENSORED,
        _ => &[],
    }
}

fn rates(canvas: &mut Canvas<'_>, axes: &Axes, curve: &MemoryCurve, color: Color, shape: Shape) {
    let points = sorted(curve);
    let mut from = 0;
    while from + 1 < points.len() {
        let style = dash(points[from].source, points[from + 1].source);
        let mut to = from + 1;
        while to + 1 < points.len() && dash(points[to].source, points[to + 1].source) == style {
            to += 1;
        }
        let run = points[from..=to].iter().filter(|p| p.ber > 0.0);
        let run: Vec<_> = run.map(|p| (p.voltage, p.ber)).collect();
        axes.line(canvas, &run, Stroke::dashed(color, 2.4, style));
        from = to;
    }
    let all: Vec<_> = points.iter().map(|p| (p.voltage, p.ber)).collect();
    marks(canvas, axes, &points, &all, color);
    for at in curve.measured.iter().filter(|m| m.1 > 0.0) {
        axes.marker(canvas, *at, (shape, color), MARKER, false);
    }
}

fn energies(canvas: &mut Canvas<'_>, axes: &Axes, curve: &MemoryCurve, color: Color) {
    let points = sorted(curve);
    let line: Vec<_> = points
        .iter()
        .map(|p| (p.voltage, p.access_energy_relative))
        .collect();
    axes.line(canvas, &line, Stroke::solid(color, 2.4));
    marks(canvas, axes, &points, &line, color);
}

/// The marker of a curve of one point, and the line of its error-free voltage.
fn marks(
    canvas: &mut Canvas<'_>,
    axes: &Axes,
    points: &[CurvePoint],
    line: &[(f64, f64)],
    color: Color,
) {
    if let [only] = line {
        axes.marker(canvas, *only, (Shape::Circle, color), 4.0, true);
    }
    if let Some(first) = points.iter().find(|p| p.source == BerSource::ErrorFree) {
        let stroke = Stroke::dashed(color, 1.4, ERROR_FREE);
        axes.vertical(canvas, first.voltage, stroke);
    }
}
