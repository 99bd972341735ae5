//! The figure `accuracy_voltage`: mean accuracy against supply voltage, bit error rates above.

use super::curves::{self, accuracy_points, Curve, Intervals};
use super::label;
use super::layout::{sheet, Heading};
use super::legend::{Legend, Sample};
use super::scene::Scene;
use super::series::Series;
use crate::analysis::Summary;
use crate::units::VoltageUnit;

/// Draws the figure: plots for each voltage unit, in which the memories of the scene tell where the measured span begins.
pub(super) fn accuracy_voltage(scene: &Scene<'_>) -> String {
    let facets = scene.facets_over_voltage(|s| s.name.clone());
    let intervals = curves::intervals(&facets, true);
    let (plots, edges) = scene.plots_over_voltage(&facets, |s, unit| curve(s, unit, intervals));
    let mut legend = Legend::default();
    curves::explain(&mut legend, &plots, intervals);
    if edges.iter().any(Option::is_some) {
        legend.add(Sample::Hatch, "below the measured span");
    }
    let (rows, places) = curves::accuracy_rows(&plots, scene.metric());
    let heading = Heading {
        title: &format!("{} against supply voltage", scene.metric().title()),
        about: &scene.about,
    };
    sheet(heading, rows, 28.0, &legend, |canvas, axes, i| {
        let plot = &plots[places[i]];
        curves::hatch_below(canvas, axes, edges[places[i]]);
        curves::draw(canvas, axes, &plot.curves, |_| ());
        label::draw(canvas, axes, &curves::named(axes, &plot.curves));
    })
}

fn curve(series: &Series<'_>, unit: VoltageUnit, intervals: Intervals) -> Curve {
    let voltage = |s: &Summary| {
        let own = s.design.voltage_unit == unit;
        s.design.voltage.filter(|_| own)
    };
    Curve::of(series, vec![accuracy_points(series, intervals, voltage)])
}
