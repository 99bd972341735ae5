//! The figure `overview`: what a lower voltage costs in accuracy and saves in energy, in at most three curves.

use super::axes::{Axes, Axis, LABEL_SIZE};
use super::canvas::drawn_on;
use super::curves::{self, accuracy_points, percent_label, Curve, Intervals};
use super::label;
use super::layout::{heading, upper_marks, Above};
use super::series::{series_over_voltage, Series, DASHES};
use super::text::capital;
use crate::analysis::{energy_scope, metric, Summary, BASELINE};
use crate::fault::Protection;
use crate::quant::MethodLabel;
use crate::stats::ends;
use crate::units::VoltageUnit;

/// Width and height in pixels: smaller than other figures at the same size of letters, so that these can be read
/// where a page shows the figure on a narrow screen.
const SIZE: (f64, f64) = (640.0, 450.0);
/// Top and bottom of the plane, and its distance from the right edge.
const TOP: f64 = 120.0;
const BOTTOM: f64 = SIZE.1 - 62.0;
const RIGHT: f64 = 24.0;

/// Draws the curves of [`highlighted`] points, whose energies stand above; the second line of the title is plain.
pub(super) fn overview(points: &[Summary], unit: VoltageUnit, title: [&str; 2]) -> String {
    let mut all = series_over_voltage(points);
    // the last one is drawn over the others, and often lies on one of them: dashed, it lets that be seen
    if let [_, _, last] = all.as_mut_slice() {
        last.style.dash = DASHES[1];
    }
    for one in &mut all {
        // the width is in the title
        one.name = one.points[0].design.method.to_string();
    }
    let curves: Vec<Curve> = all.iter().map(curve).collect();
    let drawn_points: Vec<&Summary> = points.iter().collect();
    let (low, high) = accuracy_span(&curves);
    let y = Axis::rounded(&percent_label(metric(points)), low, high, 6, (0.0, 100.0));
    let left = 12.0 + LABEL_SIZE / 2.0 + 18.0 + y.tick_width() + 10.0;
    let voltages = points.iter().filter_map(|p| p.design.voltage);
    let axes = Axes {
        x: curves::voltage_axis(unit, voltages, 9),
        y,
        area: (left, TOP, SIZE.0 - RIGHT, BOTTOM),
    };
    drawn_on(SIZE, &title.join(" "), |canvas| {
        heading(canvas, (left, 22.0), title, SIZE.0 - RIGHT - left);
        axes.grid(canvas);
        let edge = curves::extrapolated_below(&drawn_points, &[]);
        curves::hatch_below(canvas, &axes, edge);
        curves::draw(canvas, &axes, &curves, |_| ());
        axes.frame(canvas, true, axes.y.tick_width());
        upper_marks(canvas, &axes, &energies_above(&all));
        label::draw(canvas, &axes, &curves::named(&axes, &curves));
    })
}

/// The points of at most three methods at the narrowest width of the method `first`, unprotected and on one array: of
/// `first`, of the baseline, and of the other with the highest mean accuracy over its voltages. Empty where fewer
/// than two methods are left.
pub(super) fn highlighted(points: &[Summary], first: MethodLabel) -> Vec<Summary> {
    let mut plain = points.to_vec();
    plain.retain(|p| p.design.protection == Protection::None && p.design.bits.is_some());
    let all = series_over_voltage(&plain);
    let of_first = all.iter().filter(|s| s.points[0].design.method == first);
    let Some(first_series) = of_first.min_by_key(|s| s.points[0].design.bits) else {
        return Vec::new();
    };
    let method = |s: &Series<'_>| s.points[0].design.method;
    let comparable = all
        .iter()
        .filter(|s| method(s) != first && are_comparable(s, first_series));
    let (of_baseline, others): (Vec<_>, Vec<_>) = comparable.partition(|s| method(s) == BASELINE);
    let best = |a: &&&Series<'_>, b: &&&Series<'_>| mean_accuracy(a).total_cmp(&mean_accuracy(b));
    let mut chosen = vec![first_series];
    chosen.extend(of_baseline.first());
    chosen.extend(others.iter().max_by(best));
    if chosen.len() < 2 {
        return Vec::new();
    }
    let points = chosen.iter().flat_map(|s| s.points.iter().copied());
    points.cloned().collect()
}

/// True where two series differ in their method alone: then they have the same energy at the same voltage.
fn are_comparable(a: &Series<'_>, b: &Series<'_>) -> bool {
    let (a, b) = (&a.points[0].design, &b.points[0].design);
    a.bits == b.bits
        && (&a.architecture, &a.dataset) == (&b.architecture, &b.dataset)
        && (&a.memory, &a.array, &a.fault_kind) == (&b.memory, &b.array, &b.fault_kind)
        && a.activations == b.activations
}

fn mean_accuracy(series: &Series<'_>) -> f64 {
    let sum: f64 = series.points.iter().map(|p| p.mean).sum();
    sum / series.points.len() as f64
}

fn curve(series: &Series<'_>) -> Curve {
    let bands = Intervals::Bands { whiskers: false };
    Curve::of(
        series,
        vec![accuracy_points(series, bands, |s| s.design.voltage)],
    )
}

/// Lowest and highest end of the bands in per cent, with a little room above.
fn accuracy_span(curves: &[Curve]) -> (f64, f64) {
    let (mut low, mut high) = (100.0_f64, 0.0_f64);
    for point in curves.iter().flat_map(|c| c.runs.iter().flatten()) {
        let (least, most) = point.band.unwrap_or((point.y, point.y));
        (low, high) = (low.min(least), high.max(most));
    }
    (low, high + 0.02 * (high - low))
}

/// Round energies at the voltages that have them. Between two swept voltages the energy is taken for a straight line
/// over the square of the voltage, which it is where accesses take all of it.
fn energies_above(all: &[Series<'_>]) -> Above {
    let mut known: Vec<(f64, f64)> = Vec::new();
    for point in all.iter().flat_map(|s| &s.points) {
        if let Some(voltage) = point.design.voltage {
            known.push((voltage, point.design.energy_relative));
        }
    }
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    known.dedup_by(|a, b| a.0 == b.0);
    let (low, high) = ends(known.iter().map(|k| k.1));
    let axis = Axis::linear("", low, high.max(0.0), 5);
    let at = |energy: f64, [(v0, e0), (v1, e1)]: [(f64, f64); 2]| {
        let part = || (energy - e0) / (e1 - e0);
        let squared = || v0 * v0 + part() * (v1 * v1 - v0 * v0);
        (e0 < e1 && (e0..=e1).contains(&energy)).then(|| squared().sqrt())
    };
    let ticks = curves::between(&known, axis.ticks().iter().cloned(), at);
    let points = all.iter().flat_map(|s| s.points.iter().copied());
    let scope = capital(energy_scope(points));
    Above {
        label: format!("{scope} (1 = 8 bit at the error-free voltage)"),
        ticks,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{sweep, two_methods};
    use super::super::{overview as figure, png};
    use super::*;
    use crate::analysis::Averaged;

    #[test]
    fn the_first_method_stands_beside_the_baseline_and_the_best_other_at_the_narrowest_width() {
        let summaries = sweep(
            &[
                ("normal", 8, 0.97, 0.3),
                ("wcat", 8, 0.97, 0.8),
                ("lsq", 4, 0.97, 0.2),
                ("normal", 4, 0.97, 0.1),
                ("plclip", 4, 0.97, 0.9),
                ("wcat", 4, 0.96, 0.7),
            ],
            0.75,
        );
        let figure = figure(&Averaged::none(summaries), MethodLabel::Wcat, "a memory").unwrap();
        for part in [
            "normal",
            "plclip",
            "wcat",
            "in a memory",
            "lenet on glyphs, 4-bit weights",
        ] {
            assert!(figure.svg.contains(part), "{part}");
        }
        assert!(!figure.svg.contains("lsq"));
        png(&figure.svg).unwrap();
    }

    #[test]
    fn a_method_alone_and_a_protected_one_have_no_overview() {
        let mut summaries = two_methods();
        let without = |points: &[Summary]| highlighted(points, MethodLabel::Plclip).is_empty();
        assert!(without(&summaries) && !highlighted(&summaries, MethodLabel::Wcat).is_empty());
        for point in &mut summaries {
            point.design.protection = Protection::Secded;
        }
        assert!(highlighted(&summaries, MethodLabel::Wcat).is_empty());
    }

    #[test]
    fn energies_stand_at_the_voltages_that_have_them() {
        let summaries = two_methods();
        let above = energies_above(&series_over_voltage(&summaries));
        assert!(above.ticks.len() > 2);
        for (voltage, name) in above.ticks {
            let energy: f64 = name.parse().unwrap();
            assert!((0.5 * voltage * voltage - energy).abs() < 1e-9, "{name}");
        }
    }
}
