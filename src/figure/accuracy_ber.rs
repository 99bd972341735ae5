//! The figure `accuracy_ber`: mean accuracy against bit error rate on a logarithmic axis with a
//! place for 0.

use super::axes::Axis;
use super::curves::{self, accuracy_point, Curve, Point};
use super::layout::{layout, Panel};
use super::legend::Legend;
use super::series::{series_over_voltage, Series};
use crate::analysis::Summary;

/// Draws the figure. Points at the error-free voltage or above stand at 0, once per series.
pub fn accuracy_ber(summaries: &[Summary]) -> String {
    let all = series_over_voltage(summaries);
    let shown = (curves::has_bands(&all), curves::has_whiskers(&all));
    let curves: Vec<Curve> = all.iter().map(|s| curve(s, shown)).collect();
    let zero = summaries.iter().any(|s| s.design.ber == Some(0.0));
    let x = Axis::logarithmic(
        "Bit error rate",
        summaries.iter().filter_map(|s| s.design.ber),
        zero,
    );
    let mut legend = Legend::of(&all);
    curves::explain(
        &mut legend,
        &curves,
        "95 % interval of the mean",
        "5 to 95 % of chips",
    );
    let axes = curves::accuracy_panels(&curves);
    let count = axes.len();
    let panels = axes.into_iter().enumerate().map(|(i, (y, height))| {
        let labelled = i + 1 == count;
        Panel {
            x: x.clone(),
            y,
            height,
            labelled,
            above: None,
        }
    });
    layout(
        "Accuracy against bit error rate",
        panels.collect(),
        28.0,
        &legend,
        |canvas, axes, _| {
            curves::draw(canvas, axes, &curves, |_| ());
        },
    )
}

/// One run at 0 and one of the positive rates: no line crosses the break of the axis.
fn curve(series: &Series<'_>, (bands, whiskers): (bool, bool)) -> Curve {
    let point = |p: &&Summary| Some(accuracy_point(p, p.design.ber?.max(0.0), bands, whiskers));
    let mut points: Vec<Point> = series.points.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let (mut error_free, rates): (Vec<Point>, Vec<Point>) =
        points.into_iter().partition(|s| s.x == 0.0);
    error_free.dedup_by(|a, b| a.y == b.y);
    let runs = error_free
        .into_iter()
        .map(|point| vec![point])
        .chain([rates]);
    Curve {
        style: series.style,
        runs: runs.filter(|run| !run.is_empty()).collect(),
    }
}
