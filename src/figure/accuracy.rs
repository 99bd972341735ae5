//! The figures `accuracy_voltage` and `accuracy_ber`: mean accuracy against supply voltage, bit error rates above, and
//! against bit error rate, with its own place for no error.

use super::axes::Axis;
use super::curves::{self, accuracy_points, Curve, Intervals, Plot, Point};
use super::label;
use super::layout::sheet;
use super::legend::Legend;
use super::scene::Scene;
use super::series::Series;
use crate::analysis::Summary;
use crate::units::VoltageUnit;

/// Draws `accuracy_voltage`: plots for each voltage unit, in which the memories of the scene tell where the measured span
/// begins.
pub(super) fn accuracy_voltage(scene: &Scene<'_>) -> String {
    let facets = scene.facets_over_voltage(|s| s.name.clone());
    let intervals = curves::intervals(&facets, true);
    let plots = scene.plots_over_voltage(&facets, |s, unit| over_voltage(s, unit, intervals));
    drawn(scene, "supply voltage", &plots, intervals)
}

/// Draws `accuracy_ber`; a rate of 0 has a place of its own left of the axis break.
pub(super) fn accuracy_ber(scene: &Scene<'_>) -> String {
    let facets = scene.facets_over_voltage(|s| s.name.clone());
    let intervals = curves::intervals(&facets, true);
    let zero = scene.summaries.iter().any(|s| s.design.ber == Some(0.0));
    let rates = scene.summaries.iter().filter_map(|s| s.design.ber);
    let x = Axis::logarithmic("Bit error rate", rates, zero);
    let plots = facets.iter().map(|facet| Plot {
        name: facet.name.clone(),
        x: x.clone(),
        above: None,
        edge: None,
        curves: facet
            .series
            .iter()
            .map(|s| over_rate(s, intervals))
            .collect(),
    });
    let plots: Vec<Plot> = plots.collect();
    drawn(scene, "bit error rate", &plots, intervals)
}

fn drawn(scene: &Scene<'_>, against: &str, plots: &[Plot], intervals: Intervals) -> String {
    let mut legend = Legend::default();
    curves::explain(&mut legend, plots, intervals);
    let (rows, places) = curves::accuracy_rows(plots, scene.metric());
    let title = format!("{} against {against}", scene.metric().title());
    sheet(
        [&title, &scene.about],
        rows,
        28.0,
        &legend,
        |canvas, axes, i| {
            let plot = &plots[places[i]];
            curves::hatch_below(canvas, axes, plot.edge);
            curves::draw(canvas, axes, &plot.curves, |_| ());
            label::draw(canvas, axes, &curves::named(axes, &plot.curves));
        },
    )
}

fn over_voltage(series: &Series<'_>, unit: VoltageUnit, intervals: Intervals) -> Curve {
    let voltage = |s: &Summary| {
        let own = s.design.voltage_unit == unit;
        s.design.voltage.filter(|_| own)
    };
    Curve::of(series, vec![accuracy_points(series, intervals, voltage)])
}

/// Points without a fault stand apart: no line joins 0 with a place on a logarithmic axis.
fn over_rate(series: &Series<'_>, intervals: Intervals) -> Curve {
    let mut points = accuracy_points(series, intervals, |s| Some(s.design.ber?.max(0.0)));
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let (mut error_free, rates): (Vec<Point>, Vec<Point>) =
        points.into_iter().partition(|s| s.x == 0.0);
    error_free.dedup_by(|a, b| a.y == b.y);
    let alone = error_free.into_iter().map(|point| vec![point]);
    let runs = alone.chain([rates]).filter(|run| !run.is_empty());
    Curve::of(series, runs.collect())
}
