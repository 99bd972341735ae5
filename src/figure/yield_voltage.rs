//! The figure `yield_voltage`: the fraction of chips at or above an accuracy floor against supply voltage.

use super::axes::{Axes, Axis};
use super::curves::{self, Curve, Plot, Point};
use super::label;
use super::layout::sheet;
use super::legend::Legend;
use super::scene::Scene;
use super::series::Series;
use super::text;
use crate::analysis::Summary;
use crate::stats::ends;
use crate::units::VoltageUnit;

/// Draws the figure: plots for each voltage unit.
pub(super) fn yield_voltage(scene: &Scene<'_>) -> String {
    let facets = scene.facets_over_voltage(|s| {
        if s.strong {
            format!("{}: floor {}", s.name, floors(&s.points))
        } else {
            s.name.clone()
        }
    });
    let plots = scene.plots_over_voltage(&facets, curve);
    let mut legend = Legend::default();
    curves::explain_as(&mut legend, &plots, "", "95 % interval of the yield");
    let height = if plots.len() > 1 { 340.0 } else { 440.0 };
    let (mut rows, mut places) = (Vec::new(), Vec::new());
    for side in curves::sides(&plots) {
        let y = Axis::linear("Yield (% of chips)", -3.0, 103.0, 6);
        let panels = side
            .iter()
            .map(|&i| curves::panel(&plots[i], y.clone(), height, true, true));
        rows.push(panels.collect());
        places.extend(side);
    }
    let headings = ["Yield against supply voltage", &scene.about];
    sheet(headings, rows, 28.0, &legend, |canvas, axes, i| {
        let Plot { curves, edge, .. } = &plots[places[i]];
        curves::hatch_below(canvas, axes, *edge);
        let strong = curves.iter().filter(|c| c.strong).count();
        let mut named = Vec::new();
        let mut before = 0;
        for curve in curves {
            // Whole series side by side: most yields are 0 or 1, and bars would hide each other.
            let (left, top, right, bottom) = axes.area;
            let mut shift = 0.0;
            if curve.strong {
                shift = curves::shift(before, strong);
                before += 1;
            }
            let axes = Axes {
                area: (left + shift, top, right + shift, bottom),
                ..axes.clone()
            };
            let curve = std::slice::from_ref(curve);
            curves::draw(canvas, &axes, curve, |_| ());
            named.extend(curves::named(&axes, curve));
        }
        label::draw(canvas, axes, &named);
    })
}

fn floors(points: &[&Summary]) -> String {
    let (low, high) = ends(points.iter().map(|p| p.floor));
    match (text::percent(low), text::percent(high)) {
        (low, high) if low == high => format!("{low} %"),
        (low, high) => format!("{low} to {high} %"),
    }
}

fn curve(series: &Series<'_>, unit: VoltageUnit) -> Curve {
    let point = |p: &&Summary| {
        let quantiles = p.quantiles?;
        Some(Point {
            x: p.design.voltage?,
            y: 100.0 * quantiles.yield_share,
            band: None,
            whisker: series.strong.then_some((
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
    Curve::of(series, vec![run])
}
