//! The figure `energy_terms`: what an inference costs over the supply voltage, accesses and leakage apart, over its accuracy.

use super::axes::Axis;
use super::canvas::{Color, Stroke};
use super::curves::{percent_label, voltage_axis};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::Shape;
use super::palette::PALETTE;
use super::Figure;
use crate::analysis::{Objectives, Summary};
use crate::sweep::{Design, EnergyRow};

/// Share of the chips below which a point is drawn grey.
const HALF: f64 = 0.5;

/// A number of a point.
type Of = fn(&Point) -> f64;

/// One voltage of the model that is drawn.
struct Point {
    voltage: f64,
    access: f64,
    leakage: f64,
    mean: f64,
    unbeaten: f64,
}

/// The energies of the model and protection that need the least, where they are known in picojoules with their leakage;
/// `None` where they are not, or at one voltage alone.
pub fn energy_terms(
    summaries: &[Summary],
    energies: &[EnergyRow],
    objectives: &[Objectives],
) -> Option<Figure> {
    let cheapest = objectives
        .iter()
        .min_by(|a, b| a.energy_pj.total_cmp(&b.energy_pj))?;
    let of = &summaries.get(cheapest.place)?.design;
    let mut points: Vec<Point> = Vec::new();
    for own in objectives {
        let point = summaries.get(own.place)?;
        let design = &point.design;
        let Some(voltage) = design.voltage else {
            continue;
        };
        let same = design.protection == of.protection
            && [&design.model, &design.memory] == [&of.model, &of.memory]
            && (&design.array, &design.fault_kind) == (&of.array, &of.fault_kind);
        if !same {
            continue;
        }
        let rows = energies
            .iter()
            .filter(|row| row.design_id == design.design_id);
        let (mut access, mut leakage) = (0.0, 0.0);
        for row in rows {
            access += row.term.access_pj.unwrap_or(0.0);
            leakage += row.term.leakage_pj.unwrap_or(0.0);
        }
        points.push(Point {
            voltage,
            access,
            leakage,
            mean: point.mean,
            unbeaten: own.unbeaten,
        });
    }
    points.sort_by(|a, b| a.voltage.total_cmp(&b.voltage));
    if points.len() < 2 {
        return None;
    }
    Some(Figure {
        name: "energy_terms",
        title: "Energy of an inference by term".into(),
        caption: format!(
            "Energy of the weight memory, {}, for {}, protection {}: accesses (with the logic of SECDED where it is counted), leakage \
             (with the rest of the chip where it is counted) and their sum, at every swept voltage; beneath, the mean accuracy. Grey: on more than half of the chips another \
             swept point is at least as good in accuracy, energy and time, and better in one.",
            of.memory, of.model, of.protection
        ),
        svg: drawn(&points, of),
    })
}

fn drawn(points: &[Point], of: &Design) -> String {
    let sums: [(&str, Of); 3] = [
        ("sum", |point| point.access + point.leakage),
        ("accesses", |point| point.access),
        ("leakage", |point| point.leakage),
    ];
    let colors = [Color::INK, PALETTE[0], PALETTE[1]];
    let mut legend = Legend::default();
    for ((name, _), color) in sums.iter().zip(colors) {
        legend.name(Sample::Line(Stroke::solid(color, 2.4)), *name);
    }
    let mark = |color| Sample::Marker(Shape::Circle, color, false);
    legend.add(mark(Color::INK), "mean accuracy");
    let beaten = "beaten on more than half of the chips";
    legend.add(mark(Color::GREY.at(0.5)), beaten);
    let x = voltage_axis(of.voltage_unit, points.iter().map(|point| point.voltage), 9);
    let highest = points.iter().map(sums[0].1).fold(0.0, f64::max);
    let energies = Axis::rounded("Energy (pJ)", 0.0, highest, 5, (0.0, f64::MAX));
    let accuracy: Of = |point| 100.0 * point.mean;
    let lowest = points.iter().map(accuracy).fold(100.0, f64::min);
    let best = points.iter().map(accuracy).fold(0.0, f64::max);
    let accuracies = Axis::rounded(&percent_label(of.metric), lowest, best, 5, (0.0, 100.0));
    let panels = vec![
        Panel::new(x.clone(), energies, 300.0).unlabelled(),
        Panel::new(x, accuracies, 190.0),
    ];
    let title = "Energy of an inference by term, and accuracy";
    layout(title, panels, 28.0, &legend, |canvas, axes, i| {
        let line = |of: Of| -> Vec<(f64, f64)> {
            let places = points.iter().map(|point| (point.voltage, of(point)));
            places.collect()
        };
        if i == 0 {
            for ((_, of), color) in sums.iter().zip(colors) {
                axes.line(canvas, &line(*of), Stroke::solid(color, 2.4));
            }
            return;
        }
        axes.line(canvas, &line(accuracy), Stroke::solid(Color::GREY, 1.4));
        for point in points {
            let color = if point.unbeaten < HALF {
                Color::GREY.at(0.5)
            } else {
                Color::INK
            };
            let at = (point.voltage, accuracy(point));
            axes.marker(canvas, at, (Shape::Circle, color), 5.0, false);
        }
    })
}
