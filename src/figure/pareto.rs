//! The figure `pareto`: mean accuracy against weight-memory energy, with the frontier of all methods.

use super::axes::{Axes, Axis, TICK_SIZE};
use super::canvas::{Canvas, Color, Stroke, TextAnchor};
use super::curves::{self, accuracy_points, Curve, Intervals, Plot};
use super::label::{self, Named};
use super::layout::sheet;
use super::legend::{Legend, Sample};
use super::marker::Shape;
use super::scene::Scene;
use super::series::Series;
use super::text::{self, capital};
use crate::analysis::{energy_scope, undominated, Pareto, Summary};
use crate::stats::ends;

const FRONTIER: Stroke = Stroke::solid(Color(0, 0, 0, 0.85), 2.8);
const TARGET: Stroke = Stroke::dashed(Color(90, 90, 90, 1.0), 1.2, &[5.0, 4.0]);
/// The axis reaches to the reference energy 1 where the data reach at least this far.
const NEAR_REFERENCE: f64 = 0.7;

/// Draws the figure with the frontier of these points, voltages above where all points of a plot share them. `pareto`
/// gives the target accuracies and chance.
pub(super) fn pareto(scene: &Scene<'_>, pareto: &Pareto) -> String {
    let facets = scene.facets();
    let intervals = curves::intervals(&facets, false);
    let steps: Vec<(f64, f64)> = frontier(scene.summaries);
    let ticks = curves::tick_count(facets.len());
    let plots = facets.iter().map(|facet| {
        let points: Vec<&Summary> = facet.series.iter().flat_map(|s| s.points.clone()).collect();
        Plot {
            name: facet.name.clone(),
            x: energy_axis(&points, ticks),
            above: curves::voltages_above(&points),
            edge: None,
            curves: facet.series.iter().map(|s| curve(s, intervals)).collect(),
        }
    });
    let plots: Vec<Plot> = plots.collect();
    let (rows, places) = curves::accuracy_rows(&plots, scene.metric());
    let upper = rows.first().into_iter().flatten();
    let upper: Vec<Axis> = upper.map(|panel| panel.y.clone()).collect();
    let mut targets = targets(pareto);
    targets.retain(|(_, target)| {
        let within = |y: &Axis| (0.0..=1.0).contains(&y.place(*target));
        upper.iter().any(within)
    });
    let reference = rows
        .iter()
        .flatten()
        .any(|panel| panel.y.ends().0 <= 100.0 * pareto.chance && panel.x.ends().1 >= 1.0);
    // where plots have an enlargement, it alone has the targets
    let has_targets: Vec<bool> = (0..places.len())
        .map(|i| !places[..i].contains(&places[i]))
        .collect();

    let mut legend = Legend::default();
    if !steps.is_empty() {
        legend.add(Sample::Line(FRONTIER), "frontier of all methods");
    }
    curves::explain(&mut legend, &plots, intervals);
    if !targets.is_empty() {
        legend.add(Sample::Line(TARGET), "points below the clean baseline");
    }
    if reference {
        legend.add(
            Sample::Marker(Shape::Cross, Color::BLACK, false),
            "reference point (energy 1, chance)",
        );
    }
    let right = if targets.is_empty() { 28.0 } else { 62.0 };
    let (measured, energy) = (scene.metric().title(), scene.energy_scope());
    let title = format!("{measured} against {energy}");
    sheet(
        [&title, &scene.about],
        rows,
        right,
        &legend,
        |canvas, axes, i| {
            let curves = &plots[places[i]].curves;
            if has_targets[i] {
                draw_targets(canvas, axes, &targets);
            }
            let corners = corners(axes, &steps);
            curves::draw(canvas, axes, curves, |canvas| {
                axes.line(canvas, &corners, FRONTIER)
            });
            if reference {
                let (at, look) = ((1.0, 100.0 * pareto.chance), (Shape::Cross, Color::BLACK));
                axes.marker(canvas, at, look, 7.0, false);
            }
            let mut named = curves::named(axes, curves);
            named.push(Named {
                name: String::new(),
                color: FRONTIER.color,
                strong: true,
                lines: vec![corners.iter().map(|corner| axes.at(*corner)).collect()],
            });
            label::draw(canvas, axes, &named);
        },
    )
}

/// No line joins points that have a voltage for each domain.
fn curve(series: &Series<'_>, intervals: Intervals) -> Curve {
    // in the order of the voltages: leakage may make a lower one dearer
    let run = accuracy_points(series, intervals, |s| Some(s.design.energy_relative));
    let runs = if series.is_over_voltage() {
        vec![run]
    } else {
        run.into_iter().map(|s| vec![s]).collect()
    };
    Curve::of(series, runs)
}

/// Corners of the frontier of all methods in (energy, per cent), by rising energy.
fn frontier(summaries: &[Summary]) -> Vec<(f64, f64)> {
    let points: Vec<(f64, f64)> = summaries
        .iter()
        .map(|s| (s.design.energy_relative, 100.0 * s.mean))
        .collect();
    undominated(&points)
        .into_iter()
        .map(|i| points[i])
        .collect()
}

/// Names (`−0.5`) and accuracies in per cent of the targets, the least loss first.
fn targets(pareto: &Pareto) -> Vec<(String, f64)> {
    let mut targets: Vec<(f64, f64)> = pareto.savings.iter().map(|s| (s.loss, s.target)).collect();
    targets.sort_by(|a, b| a.0.total_cmp(&b.0));
    targets.dedup_by(|a, b| a.0 == b.0);
    targets
        .into_iter()
        .map(|(loss, target)| (text::number(-100.0 * loss), 100.0 * target))
        .collect()
}

fn energy_axis(summaries: &[&Summary], ticks: usize) -> Axis {
    let energies = summaries.iter().map(|s| s.design.energy_relative);
    let (mut low, mut high) = ends(energies.filter(|e| e.is_finite()));
    if low > high {
        (low, high) = (0.0, 1.0);
    }
    if (NEAR_REFERENCE..1.0).contains(&high) {
        high = 1.0;
    }
    let pad = if high > low {
        0.035 * (high - low)
    } else {
        0.05 * high.abs()
    };
    let scope = capital(energy_scope(summaries.iter().copied()));
    let label = format!("{scope} per inference, relative to 8 bit at the error-free voltage");
    Axis::linear(&label, (low - pad).max(0.0), high + pad, ticks)
}

/// Dashed lines with their names right of the plane; a name that would touch its neighbour is left out.
fn draw_targets(canvas: &mut Canvas<'_>, axes: &Axes, targets: &[(String, f64)]) {
    let (left, _, right, _) = axes.area;
    let mut last = f64::NEG_INFINITY;
    for (name, target) in targets {
        let (_, y) = axes.at((axes.x.ends().0, *target));
        if !axes.holds((left, y)) {
            continue;
        }
        canvas.line((left, y), (right, y), TARGET);
        if y - last >= TICK_SIZE {
            canvas.text((right + 8.0, y), name, TICK_SIZE, TextAnchor::Left);
            last = y;
        }
    }
}

/// Corners of the edge of the dominated area: up at each point, then level to the next, then to the right edge.
fn corners(axes: &Axes, points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return Vec::new();
    };
    let mut corners = vec![(first.0, axes.y.ends().0)];
    for pair in points.windows(2) {
        corners.extend([pair[0], (pair[1].0, pair[0].1)]);
    }
    corners.extend([*last, (axes.x.ends().1, last.1)]);
    corners
}
