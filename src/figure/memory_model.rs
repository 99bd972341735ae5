//! The figure `memory_model`: bit error rate and access energy against supply voltage.

use super::axes::{Axes, Axis};
use super::canvas::{Canvas, Color, Stroke};
use super::curves::voltage_axis;
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::{marker, Shape};
use super::palette::PALETTE;
use super::series::Style;
use super::{CurvePoint, MemoryCurve};
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
            Sample::Series(Style {
                color,
                shape,
                dash: &[],
            })
        };
        legend.name(sample, curve.name.clone());
    }
    if let Some(i) = curves.iter().position(|c| !c.measured.is_empty()) {
        let (shape, color) = if curves.len() == 1 {
            (style(i).1, style(i).0)
        } else {
            (Shape::Circle, Color::INK)
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
        let x = voltage_axis(
            unit,
            points().map(|p| p.voltage).chain(measured().map(|m| m.0)),
            9,
        );
        let rates = points().map(|p| p.ber).chain(measured().map(|m| m.1));
        let y = Axis::logarithmic("Bit error rate", rates.filter(|rate| *rate > 1e-12), false);
        panels.push(Panel {
            x: x.clone(),
            y,
            height: 300.0,
            labelled: false,
            above: None,
            name: String::new(),
        });
        let energies = || {
            points()
                .map(|p| p.access_energy_relative)
                .filter(|e| e.is_finite())
        };
        let low = energies().fold(f64::INFINITY, f64::min).min(1.0);
        let high = energies().fold(1.0, f64::max);
        let y = Axis::rounded(
            "Relative access energy",
            low,
            high + 0.02,
            5,
            (0.0, f64::MAX),
        );
        panels.push(Panel {
            x,
            y,
            height: 190.0,
            labelled: true,
            above: None,
            name: String::new(),
        });
        units.push(unit);
    }
    layout(
        "Memory model: bit error rate and access energy",
        panels,
        28.0,
        &legend,
        |canvas, axes, i| {
            for (k, curve) in curves
                .iter()
                .enumerate()
                .filter(|(_, c)| c.voltage_unit == units[i / 2])
            {
                let (color, shape) = style(k);
                if i % 2 == 0 {
                    rates(canvas, axes, curve, color, shape);
                } else {
                    energies(canvas, axes, curve, color);
                }
            }
        },
    )
}

fn style(i: usize) -> (Color, Shape) {
    (PALETTE[i % PALETTE.len()], Shape::ALL[i % Shape::ALL.len()])
}

/// Legend entries for the dashes that occur.
fn explain(legend: &mut Legend, curves: &[MemoryCurve]) {
    let occurs = |source| {
        curves
            .iter()
            .flat_map(|c| &c.points)
            .any(|p| p.source == source)
    };
    let sample = |dash| {
        Sample::Line(Stroke {
            color: Color::INK,
            width: 2.2,
            dash,
        })
    };
    let dashes: [(BerSource, &'static [f64], &str); 4] = [
        (BerSource::Measured, &[], "inside the measured span"),
        (
            BerSource::Censored,
            CENSORED,
            "censored: fitted line continued",
        ),
        (BerSource::Extrapolated, EXTRAPOLATED, "extrapolated"),
        (BerSource::ErrorFree, ERROR_FREE, "error-free voltage"),
    ];
    for (source, dash, name) in dashes {
        if occurs(source) {
            let stroke = Stroke {
                color: Color::GREY,
                width: 1.4,
                dash,
            };
            let sample = if source == BerSource::ErrorFree {
                Sample::Line(stroke)
            } else {
                sample(dash)
            };
            legend.add(sample, name);
        }
    }
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
        let run = points[from..=to]
            .iter()
            .filter(|p| p.ber > 0.0)
            .map(|p| (p.voltage, p.ber));
        axes.line(
            canvas,
            &run.collect::<Vec<_>>(),
            Stroke {
                color,
                width: 2.4,
                dash: style,
            },
        );
        from = to;
    }
    if let [only] = points.as_slice() {
        lone(canvas, axes, (only.voltage, only.ber), color);
    }
    if let Some(first) = points.iter().find(|p| p.source == BerSource::ErrorFree) {
        error_free(canvas, axes, first.voltage, color);
    }
    for at in curve
        .measured
        .iter()
        .filter(|m| m.1 > 0.0)
        .map(|m| axes.at(*m))
    {
        if axes.holds(at) {
            marker(canvas, at, shape, 5.5, color, false);
        }
    }
}

fn energies(canvas: &mut Canvas<'_>, axes: &Axes, curve: &MemoryCurve, color: Color) {
    let points = sorted(curve);
    let line: Vec<_> = points
        .iter()
        .map(|p| (p.voltage, p.access_energy_relative))
        .collect();
    axes.line(canvas, &line, Stroke::solid(color, 2.4));
    if let [only] = line.as_slice() {
        lone(canvas, axes, *only, color);
    }
    if let Some(first) = points.iter().find(|p| p.source == BerSource::ErrorFree) {
        error_free(canvas, axes, first.voltage, color);
    }
}

/// A curve of one point.
fn lone(canvas: &mut Canvas<'_>, axes: &Axes, point: (f64, f64), color: Color) {
    let at = axes.at(point);
    if axes.holds(at) {
        marker(canvas, at, Shape::Circle, 4.0, color, true);
    }
}

fn error_free(canvas: &mut Canvas<'_>, axes: &Axes, voltage: f64, color: Color) {
    let (left, top, right, bottom) = axes.area;
    let x = left + (right - left) * axes.x.place(voltage);
    canvas.line(
        (x, top),
        (x, bottom),
        Stroke {
            color,
            width: 1.4,
            dash: ERROR_FREE,
        },
    );
}
