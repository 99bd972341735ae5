//! The figure `range_history`: the quantisation range of each layer over the epochs of a training.

use super::axes::Axis;
use super::canvas::{Color, Stroke};
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::Shape;
use super::palette::PALETTE;
use super::series::DASHES;
use super::Figure;
use crate::stats::ends;
use crate::train::EpochRow;

/// Places of the colour map viridis (Smith and van der Walt, matplotlib), without its yellow, which is faint on white.
const DEPTH: [(f64, f64, f64); 5] = [
    (68.0, 1.0, 84.0),
    (59.0, 82.0, 139.0),
    (33.0, 145.0, 140.0),
    (94.0, 201.0, 98.0),
    (181.0, 205.0, 46.0),
];

/// Draws the figure; `quantity` says what the history's ranges are ("Quantisation range" or "Step"). `None` where no
/// layer has one.
pub fn range_history(model: &str, quantity: &str, history: &[EpochRow]) -> Option<Figure> {
    let layers = history.first().map_or(0, |row| row.ranges.len());
    // float layers have a range of 0
    let value = |row: &EpochRow, layer: usize| {
        row.ranges
            .get(layer)
            .map(|r| f64::from(r.1))
            .filter(|r| *r > 0.0)
    };
    let drawn: Vec<usize> = (0..layers)
        .filter(|layer| history.iter().any(|row| value(row, *layer).is_some()))
        .collect();
    if drawn.is_empty() {
        return None;
    }
    let all = || {
        drawn
            .iter()
            .flat_map(|layer| history.iter().filter_map(|row| value(row, *layer)))
    };
    let (low, high) = ends(all());
    let y = if high > 10.0 * low {
        Axis::logarithmic(quantity, all(), false)
    } else {
        Axis::rounded(quantity, 0.0, 1.02 * high, 6, (0.0, f64::MAX))
    };
    let (first, last) = (history.first()?.epoch as f64, history.last()?.epoch as f64);
    // whole epochs alone have ticks
    let count = ((last - first).max(1.0) as usize).min(9);
    let pad = if last > first {
        0.02 * (last - first)
    } else {
        0.5
    };
    let x = Axis::linear("Epoch", first - pad, last + pad, count);
    let strokes: Vec<Stroke> = (0..drawn.len()).map(|i| stroke(i, drawn.len())).collect();
    let mut legend = Legend::default();
    for (layer, stroke) in drawn.iter().zip(&strokes) {
        legend.name(Sample::Line(*stroke), history[0].ranges[*layer].0.clone());
    }
    let title = format!("{quantity}s of {model}");
    let panel = Panel::new(x, y, 400.0);
    let svg = layout(&title, vec![panel], 28.0, &legend, |canvas, axes, _| {
        for (layer, stroke) in drawn.iter().zip(&strokes) {
            let points = history
                .iter()
                .filter_map(|row| Some((row.epoch as f64, value(row, *layer)?)));
            let points: Vec<_> = points.collect();
            axes.line(canvas, &points, *stroke);
            if let [only] = points.as_slice() {
                axes.marker(canvas, *only, (Shape::Circle, stroke.color), 4.5, false);
            }
        }
    });
    let caption =
        format!("{quantity} of each layer after each epoch of the training, from its history.");
    Some(Figure {
        name: "range_history",
        title,
        caption,
        svg,
    })
}

/// Colours of the palette for few layers, a colour for the depth of many; dashes tell neighbours apart.
fn stroke(i: usize, count: usize) -> Stroke {
    if count <= PALETTE.len() {
        return Stroke::solid(PALETTE[i], 2.2);
    }
    let place = i as f64 / (count - 1) as f64 * (DEPTH.len() - 1) as f64;
    let from = (place as usize).min(DEPTH.len() - 2);
    let fraction = place - from as f64;
    let (a, b) = (DEPTH[from], DEPTH[from + 1]);
    let mix = |a: f64, b: f64| (a + (b - a) * fraction).round() as u8;
    let color = Color(mix(a.0, b.0), mix(a.1, b.1), mix(a.2, b.2), 1.0);
    Stroke::dashed(color, 2.0, DASHES[i % DASHES.len()])
}
