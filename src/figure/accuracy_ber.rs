//! The figure `accuracy_ber`: mean accuracy against bit error rate, with its own place for no error.

use super::axes::Axis;
use super::curves::{self, accuracy_points, Curve, Intervals, Plot, Point};
use super::label;
use super::layout::{sheet, Heading};
use super::legend::Legend;
use super::scene::Scene;
use super::series::Series;

/// Draws the figure; a rate of 0 has a place of its own left of the axis break.
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
        curves: facet.series.iter().map(|s| curve(s, intervals)).collect(),
    });
    let plots: Vec<Plot> = plots.collect();
    let mut legend = Legend::default();
    curves::explain(&mut legend, &plots, intervals);
    let (rows, places) = curves::accuracy_rows(&plots, scene.metric());
    let heading = Heading {
        title: &format!("{} against bit error rate", scene.metric().title()),
        about: &scene.about,
    };
    sheet(heading, rows, 28.0, &legend, |canvas, axes, i| {
        let curves = &plots[places[i]].curves;
        curves::draw(canvas, axes, curves, |_| ());
        label::draw(canvas, axes, &curves::named(axes, curves));
    })
}

/// Points without a fault stand apart: no line joins 0 with a place on a logarithmic axis.
fn curve(series: &Series<'_>, intervals: Intervals) -> Curve {
    let mut points = accuracy_points(series, intervals, |s| Some(s.design.ber?.max(0.0)));
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let (mut error_free, rates): (Vec<Point>, Vec<Point>) =
        points.into_iter().partition(|s| s.x == 0.0);
    error_free.dedup_by(|a, b| a.y == b.y);
    let runs = error_free
        .into_iter()
        .map(|point| vec![point])
        .chain([rates]);
    Curve::of(series, runs.filter(|run| !run.is_empty()).collect())
}
