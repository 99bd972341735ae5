//! The figure `accuracy_voltage`: mean accuracy against supply voltage, bit error rates above.

use super::curves::{self, accuracy_point, Curve};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::series::{series_over_voltage, Series};
use super::MemoryCurve;
use crate::analysis::Summary;
use crate::units::VoltageUnit;

/// Draws the figure: panels for each voltage unit. `memories` tell where the measured span begins.
pub fn accuracy_voltage(summaries: &[Summary], memories: &[MemoryCurve]) -> String {
    let all = series_over_voltage(summaries);
    let shown = (curves::has_bands(&all), curves::has_whiskers(&all));
    let mut legend = Legend::of(&all);
    let (mut panels, mut contents) = (Vec::new(), Vec::new());
    for unit in curves::units(summaries) {
        let points: Vec<&Summary> = summaries
            .iter()
            .filter(|s| s.design.voltage_unit == unit)
            .collect();
        let x = curves::voltage_axis(unit, points.iter().filter_map(|s| s.design.voltage));
        let edge = curves::extrapolated_below(&points, memories);
        let curves = curves_of(&all, unit, shown);
        let axes = curves::accuracy_panels(&curves);
        let count = axes.len();
        for (i, (y, height)) in axes.into_iter().enumerate() {
            let above = (i == 0).then(|| curves::rates_above(&points)).flatten();
            panels.push(Panel {
                x: x.clone(),
                y,
                height,
                labelled: i + 1 == count,
                above,
            });
            contents.push((curves.clone(), edge));
        }
    }
    let every: Vec<Curve> = contents
        .iter()
        .flat_map(|(curves, _)| curves.clone())
        .collect();
    curves::explain(
        &mut legend,
        &every,
        "95 % interval of the mean",
        "5 to 95 % of chips",
    );
    if contents.iter().any(|(_, edge)| edge.is_some()) {
        legend.add(Sample::Hatch, "below the measured span");
    }
    layout(
        "Accuracy against supply voltage",
        panels,
        28.0,
        &legend,
        |canvas, axes, i| {
            curves::hatch_below(canvas, axes, contents[i].1);
            curves::draw(canvas, axes, &contents[i].0, |_| ());
        },
    )
}

fn curves_of(all: &[Series<'_>], unit: VoltageUnit, (bands, whiskers): (bool, bool)) -> Vec<Curve> {
    let curve = |s: &Series<'_>| {
        let points = s.points.iter().filter(|p| p.design.voltage_unit == unit);
        let run = points
            .filter_map(|p| Some(accuracy_point(p, p.design.voltage?, bands, whiskers)))
            .collect();
        Curve {
            style: s.style,
            runs: vec![run],
        }
    };
    all.iter().map(curve).collect()
}
