//! The figure `yield_voltage`: the fraction of chips at or above an accuracy floor against supply voltage.

use super::axes::{Axes, Axis};
use super::curves::{self, Curve, Point};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::series::{series_over_voltage, Series};
use super::{text, MemoryCurve};
use crate::analysis::Summary;
use crate::units::VoltageUnit;

/// Draws the figure: a panel for each voltage unit. `memories` tell where the measured span begins.
pub fn yield_voltage(summaries: &[Summary], memories: &[MemoryCurve]) -> String {
    let mut all = series_over_voltage(summaries);
    for one in &mut all {
        one.label = format!("{}: floor {}", one.label, floors(&one.points));
    }
    let whiskers = curves::has_whiskers(&all);
    let mut legend = Legend::of(&all);
    let (mut panels, mut contents) = (Vec::new(), Vec::new());
    for unit in curves::units(summaries) {
        let points: Vec<&Summary> = summaries
            .iter()
            .filter(|s| s.design.voltage_unit == unit)
            .collect();
        let x = curves::voltage_axis(unit, points.iter().filter_map(|s| s.design.voltage));
        let y = Axis::linear("Yield (% of chips)", -3.0, 103.0, 6);
        panels.push(Panel {
            x,
            y,
            height: 440.0,
            labelled: true,
            above: curves::rates_above(&points),
        });
        let curves: Vec<Curve> = all.iter().map(|s| curve(s, unit, whiskers)).collect();
        contents.push((curves, curves::extrapolated_below(&points, memories)));
    }
    let every: Vec<Curve> = contents
        .iter()
        .flat_map(|(curves, _)| curves.clone())
        .collect();
    curves::explain(&mut legend, &every, "", "95 % interval of the yield");
    if contents.iter().any(|(_, edge)| edge.is_some()) {
        legend.add(Sample::Hatch, "below the measured span");
    }
    layout(
        "Yield against supply voltage",
        panels,
        28.0,
        &legend,
        |canvas, axes, i| {
            curves::hatch_below(canvas, axes, contents[i].1);
            for (k, curve) in contents[i].0.iter().enumerate() {
                // Whole series side by side where they have bars: most yields are 0 or 1, and bars would hide each other.
                let (left, top, right, bottom) = axes.area;
                let shift = if whiskers {
                    curves::shift(k, all.len())
                } else {
                    0.0
                };
                let axes = Axes {
                    area: (left + shift, top, right + shift, bottom),
                    ..axes.clone()
                };
                curves::draw(canvas, &axes, std::slice::from_ref(curve), |_| ());
            }
        },
    )
}

/// `92.0 %`, or the span of several floors.
fn floors(points: &[&Summary]) -> String {
    let low = points.iter().map(|p| p.floor).fold(f64::INFINITY, f64::min);
    let high = points
        .iter()
        .map(|p| p.floor)
        .fold(f64::NEG_INFINITY, f64::max);
    match (text::percent(low), text::percent(high)) {
        (low, high) if low == high => format!("{low} %"),
        (low, high) => format!("{low} to {high} %"),
    }
}

fn curve(series: &Series<'_>, unit: VoltageUnit, whiskers: bool) -> Curve {
    let point = |p: &&Summary| {
        let quantiles = p.quantiles?;
        Some(Point {
            x: p.design.voltage?,
            y: 100.0 * quantiles.yield_share,
            band: None,
            whisker: whiskers.then_some((
                100.0 * quantiles.yield_interval.low,
                100.0 * quantiles.yield_interval.high,
            )),
            hollow: p.is_extrapolated(),
        })
    };
    let run = series
        .points
        .iter()
        .filter(|p| p.design.voltage_unit == unit)
        .filter_map(point)
        .collect();
    Curve {
        style: series.style,
        runs: vec![run],
    }
}
