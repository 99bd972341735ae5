//! The figure `pareto`: mean accuracy against weight-memory energy, with the frontier of all methods.

use super::axes::{Axes, Axis, TICK_SIZE};
use super::canvas::{Canvas, Color, Stroke, TextAnchor};
use super::curves::{self, accuracy_point, Curve};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::{marker, Shape};
use super::series::series;
use super::text;
use crate::analysis::{undominated, Pareto, Summary};

const FRONTIER: Stroke = Stroke {
    color: Color(0, 0, 0, 0.85),
    width: 2.8,
    dash: &[],
};
const TARGET: Stroke = Stroke {
    color: Color(90, 90, 90, 1.0),
    width: 1.2,
    dash: &[5.0, 4.0],
};
/// The axis reaches to the reference energy 1 where the data reach at least this far.
const NEAR_REFERENCE: f64 = 0.55;

/// Draws the figure with the frontier of these points. `pareto` gives the target accuracies and chance.
pub fn pareto(summaries: &[Summary], pareto: &Pareto) -> String {
    let all = series(summaries);
    let bands = curves::has_bands(&all);
    let curves = all.iter().map(|s| {
        let mut run: Vec<_> = s
            .points
            .iter()
            .map(|p| accuracy_point(p, p.design.energy_relative, bands, false))
            .collect();
        run.sort_by(|a, b| a.x.total_cmp(&b.x));
        // No line joins points that have a voltage for each domain.
        let runs = if s.is_over_voltage() {
            vec![run]
        } else {
            run.into_iter().map(|s| vec![s]).collect()
        };
        Curve {
            style: s.style,
            runs,
        }
    });
    let curves: Vec<Curve> = curves.collect();
    let steps: Vec<(f64, f64)> = frontier(summaries);
    let x = energy_axis(summaries);
    let panels = curves::accuracy_panels(&curves);
    let mut targets = targets(pareto);
    targets.retain(|(_, target)| {
        panels
            .first()
            .is_some_and(|(y, _)| (0.0..=1.0).contains(&y.place(*target)))
    });
    let count = panels.len();
    let reaches = |axis: &Axis| axis.ends().0 <= 100.0 * pareto.chance && x.ends().1 >= 1.0;
    let reference = panels.iter().any(|(y, _)| reaches(y));

    let mut legend = Legend::of(&all);
    if !steps.is_empty() {
        legend.add(Sample::Line(FRONTIER), "frontier of all methods");
    }
    curves::explain(
        &mut legend,
        &curves,
        "95 % interval of the mean",
        "5 to 95 % of chips",
    );
    if !targets.is_empty() {
        legend.add(Sample::Line(TARGET), "points below the clean baseline");
    }
    if reference {
        legend.add(
            Sample::Marker(Shape::Cross, Color::BLACK, false),
            "reference point (energy 1, chance)",
        );
    }
    let panels = panels.into_iter().enumerate().map(|(i, (y, height))| {
        let labelled = i + 1 == count;
        Panel {
            x: x.clone(),
            y,
            height,
            labelled,
            above: None,
        }
    });
    let right = if targets.is_empty() { 28.0 } else { 62.0 };
    layout(
        "Accuracy against weight-memory energy",
        panels.collect(),
        right,
        &legend,
        |canvas, axes, i| {
            if i == 0 {
                draw_targets(canvas, axes, &targets);
            }
            curves::draw(canvas, axes, &curves, |canvas| {
                draw_frontier(canvas, axes, &steps)
            });
            let at = axes.at((1.0, 100.0 * pareto.chance));
            if reference && axes.holds(at) {
                marker(canvas, at, Shape::Cross, 7.0, Color::BLACK, false);
            }
        },
    )
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

fn energy_axis(summaries: &[Summary]) -> Axis {
    let energies = || {
        summaries
            .iter()
            .map(|s| s.design.energy_relative)
            .filter(|e| e.is_finite())
    };
    let (mut low, mut high) = energies().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), e| {
        (l.min(e), h.max(e))
    });
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
    let label = "Weight-memory energy per inference, relative to 8 bit at the error-free voltage";
    Axis::linear(label, (low - pad).max(0.0), high + pad, 9)
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
            canvas.text(
                (right + 8.0, y),
                name,
                TICK_SIZE,
                Color::INK,
                TextAnchor::Left,
            );
            last = y;
        }
    }
}

/// The edge of the dominated area: up at each point, then level to the next, then to the right edge.
fn draw_frontier(canvas: &mut Canvas<'_>, axes: &Axes, points: &[(f64, f64)]) {
    let (Some(first), Some(last)) = (points.first(), points.last()) else {
        return;
    };
    let mut corners = vec![(first.0, axes.y.ends().0)];
    for pair in points.windows(2) {
        corners.extend([pair[0], (pair[1].0, pair[0].1)]);
    }
    corners.extend([*last, (axes.x.ends().1, last.1)]);
    axes.line(canvas, &corners, FRONTIER);
}
