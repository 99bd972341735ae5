//! The figures `part_losses` and `part_map`: what is lost where faults reach one layer, one bit plane, or one bit plane of
//! one layer alone.

use super::axes::{middle_of_row, Axes, Axis, LABEL_SIZE, TICK_SIZE};
use super::canvas::{drawn, Canvas, Color, Stroke, TextAnchor, WIDTH};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::{Shape, MARKER};
use super::palette::PALETTE;
use super::{rate, text, Figure};
use crate::answer::{PartKind, PartLoss};

/// Pixels of a row.
const ROW: f64 = 24.0;
const TOP: f64 = 90.0;
const RIGHT: f64 = 24.0;

/// Intervals of the losses of layers and of bit planes, a panel each; `None` without any.
pub fn part_losses(rows: &[PartLoss]) -> Option<Figure> {
    let whole: Vec<&PartLoss> = of_kind(rows, PartKind::All);
    let voltages: Vec<f64> = whole.iter().map(|row| row.voltage).collect();
    let kinds = [PartKind::Layer, PartKind::BitPlane];
    let drawn: Vec<Vec<&PartLoss>> = kinds.iter().map(|kind| of_kind(rows, *kind)).collect();
    let all = || drawn.iter().flatten();
    let low = all().map(|row| 100.0 * row.loss_low).fold(0.0, f64::min);
    let high = all().map(|row| 100.0 * row.loss_high).fold(0.5, f64::max);
    let mut panels = Vec::new();
    let mut places = Vec::new();
    for (kind, rows) in kinds.iter().zip(&drawn) {
        let mut names: Vec<&str> = Vec::new();
        for row in rows {
            if !names.contains(&row.part.as_str()) {
                names.push(&row.part);
            }
        }
        let label = match kind {
            PartKind::Layer => "Layer",
            _ => "Bit plane",
        };
        panels.push(Panel::new(
            Axis::rounded("Loss of accuracy (points)", low, high, 8, (-100.0, 100.0)),
            Axis::of_rows(label, &names),
            ROW * names.len().max(1) as f64 + 12.0,
        ));
        places.push(names);
    }
    all().next()?;
    let mut legend = Legend::default();
    for (place, row) in whole.iter().enumerate() {
        let name = format!(
            "{} {}, bit error rate {}",
            row.voltage,
            row.voltage_unit.symbol(),
            rate(row.ber)
        );
        legend.name(
            Sample::Marker(Shape::ALL[place], PALETTE[place], false),
            name,
        );
    }
    let title = format!("Faults in one part alone: {}", rows.first()?.model);
    let svg = layout(&title, panels, RIGHT, &legend, |canvas, axes, panel| {
        for row in &drawn[panel] {
            let place = voltages.iter().position(|voltage| *voltage == row.voltage);
            let name = places[panel].iter().position(|name| *name == row.part);
            let (Some(place), Some(name)) = (place, name) else {
                continue;
            };
            let middle = middle_of_row(name, places[panel].len());
            let y = middle + 0.18 - 0.36 * place as f64;
            let ends = [(100.0 * row.loss_low, y), (100.0 * row.loss_high, y)];
            axes.line(canvas, &ends, Stroke::solid(PALETTE[place], 2.0));
            let (at, look) = ((100.0 * row.loss, y), (Shape::ALL[place], PALETTE[place]));
            axes.marker(canvas, at, look, MARKER, false);
        }
    });
    Some(Figure {
        name: "part_losses",
        title: "What faults in one layer or one bit plane alone cost".to_owned(),
        caption: "Mean loss over chips where the cells of one part alone fail, its codes unprotected, on the same chips for \
                  all parts; plane0 is the most significant bit. Bars: 95 % intervals, planned for ± 0.3 points."
            .to_owned(),
        svg,
    })
}

fn of_kind(rows: &[PartLoss], kind: PartKind) -> Vec<&PartLoss> {
    rows.iter().filter(|row| row.kind == kind).collect()
}

/// The losses of bit planes of layers at the lower voltage as a map; `None` where they were not asked for.
pub fn part_map(rows: &[PartLoss]) -> Option<Figure> {
    let cells = of_kind(rows, PartKind::LayerBitPlane);
    let first = cells.iter().max_by(|a, b| a.ber.total_cmp(&b.ber))?;
    let (voltage, unit, ber) = (first.voltage, first.voltage_unit, first.ber);
    let of_voltage = |row: &&PartLoss| row.voltage == voltage;
    let cells: Vec<&PartLoss> = cells.into_iter().filter(of_voltage).collect();
    let layers = of_kind(rows, PartKind::Layer);
    let layers: Vec<&str> = layers
        .into_iter()
        .filter(of_voltage)
        .map(|row| row.part.as_str())
        .collect();
    let planes = of_kind(rows, PartKind::BitPlane)
        .into_iter()
        .filter(of_voltage)
        .count();
    let widest = layers
        .iter()
        .map(|name| text::width(name, TICK_SIZE))
        .fold(0.0, f64::max);
    let left = widest.min(260.0) + 30.0;
    let bottom = TOP + ROW * layers.len() as f64;
    let most = cells.iter().map(|row| row.loss).fold(1e-3, f64::max);
    let title = format!(
        "Faults in one bit plane of one layer alone: {}",
        cells.first()?.model
    );
    let svg = drawn(bottom + 20.0, &title, |canvas| {
        let size = text::shortened(&title, 18.0, WIDTH - 60.0);
        canvas.bold((24.0, 20.0), &size, 18.0, Color::BLACK);
        let axes = Axes {
            x: Axis::linear("", 0.0, planes as f64, 1).bare(),
            y: Axis::linear("", 0.0, layers.len() as f64, 1).bare(),
            area: (left, TOP, WIDTH - RIGHT, bottom),
        };
        for plane in 0..planes {
            let (x, _) = axes.at((plane as f64 + 0.5, 0.0));
            let name = format!("plane{plane}");
            canvas.text((x, TOP - 14.0), &name, TICK_SIZE, TextAnchor::Center);
        }
        for (line, layer) in layers.iter().enumerate() {
            let y = layers.len() as f64 - line as f64;
            let (_, middle) = axes.at((0.0, y - 0.5));
            let name = text::shortened(layer, TICK_SIZE, left - 20.0);
            canvas.text((left - 10.0, middle), &name, TICK_SIZE, TextAnchor::Right);
            for plane in 0..planes {
                let part = format!("{layer}/plane{plane}");
                if let Some(row) = cells.iter().find(|row| row.part == part) {
                    cell(canvas, &axes, (plane as f64, y), row, most);
                }
            }
        }
        let label = "Bit plane (0: the most significant)";
        let at = ((left + WIDTH - RIGHT) / 2.0, TOP - 34.0);
        canvas.text(at, label, LABEL_SIZE, TextAnchor::Center);
    });
    Some(Figure {
        name: "part_map",
        title: "What faults in one bit plane of one layer alone cost".to_owned(),
        caption: format!(
            "Loss in points at {voltage} {} (bit error rate {}), mean over chips; a dot where it is surely below 0.3.",
            unit.symbol(),
            rate(ber)
        ),
        svg,
    })
}

/// One cell of the map, its upper left corner at these places: the darker, the greater the loss.
fn cell(canvas: &mut Canvas<'_>, axes: &Axes, (x, y): (f64, f64), row: &PartLoss, most: f64) {
    let depth = (row.loss / most).clamp(0.0, 1.0).sqrt();
    let corners = [(x, y), (x + 1.0, y), (x + 1.0, y - 1.0), (x, y - 1.0)].map(|at| axes.at(at));
    canvas.polygon(&corners, PALETTE[0].at(0.9 * depth));
    let ink = if depth > 0.6 {
        Color::WHITE
    } else {
        Color::INK
    };
    let words = if row.is_negligible() {
        "·".to_owned()
    } else {
        format!("{:.1}", 100.0 * row.loss)
    };
    let at = axes.at((x + 0.5, y - 0.5));
    canvas.colored(at, &words, TICK_SIZE - 2.0, ink, TextAnchor::Center);
}
