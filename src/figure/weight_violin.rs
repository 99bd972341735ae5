//! The figure `weight_violin`: the distribution of each layer's weights beside the others', float on the left and as
//! the memory holds them on the right, in units of the layer's range.

use super::axes::{Axes, Axis, LABEL_SIZE, TICK_SIZE};
use super::canvas::{drawn, Canvas, Color, Stroke, TextAnchor, WIDTH};
use super::legend::{Legend, Sample};
use super::text;
use super::weight_density::{joined, smooth, stored_bars, Bar, FLOAT, STORED};
use super::Figure;
use crate::net::LayerWeights;
use crate::quant::{max_abs, StoredWeight};
use crate::stats::ends;

const TITLE: f64 = 44.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 92.0;
const RIGHT: f64 = 24.0;
/// Most layers of a row.
const MOST: usize = 20;
/// Fraction of the weights beyond each end of a float violin.
const TAIL: f64 = 5e-4;

/// One layer in units of its range.
#[derive(Default)]
struct Violin {
    float: Vec<(f64, f64)>,
    stored: Vec<Bar>,
}

/// Draws the figure: layers in memory order, in rows of up to 20.
pub fn weight_violin(model: &str, layers: &[LayerWeights]) -> Figure {
    let violins: Vec<Violin> = layers.iter().map(violin).collect();
    let stored = layers.iter().any(|layer| layer.stored.is_some());
    let label = if stored {
        "Weight / quantisation range"
    } else {
        "Weight / largest weight"
    };
    let edge = if stored { 1.0 } else { 0.0 };
    let drawn_weights = violins.iter().flat_map(|v| v.float.iter().map(|p| p.0));
    let (low, high) = ends(drawn_weights.chain([-edge, edge]));
    let all = (f64::MIN, f64::MAX);
    let y = Axis::rounded(label, low - 0.06, high + 0.06, 6, all);
    let rows = layers.len().div_ceil(MOST).max(1);
    let per_row = layers.len().div_ceil(rows).max(1);
    let slot = (WIDTH - LEFT - RIGHT) / per_row as f64;
    let widest = layers
        .iter()
        .map(|l| text::width(&l.name, TICK_SIZE))
        .fold(0.0, f64::max)
        .min(180.0);
    let upright = widest > slot - 8.0;
    let below = 14.0 + if upright { widest } else { TICK_SIZE } + 14.0;
    let mut legend = Legend::default();
    legend.add(
        Sample::Patch(FLOAT.at(0.75)),
        if stored { "float weights" } else { "weights" },
    );
    if stored {
        legend.add(Sample::Patch(STORED.at(0.75)), "dequantised weights");
    }
    let body = TITLE + rows as f64 * (HEIGHT + below);
    let title = format!("Weights of {model}");
    let height = (body + 26.0 + legend.height() + 12.0).round();
    let svg = drawn(height, &title, |canvas| {
        let shown = text::shortened(&title, 18.0, WIDTH - 120.0);
        canvas.bold((LEFT, 20.0), &shown, 18.0, Color::BLACK);
        let rows = layers.chunks(per_row).zip(violins.chunks(per_row));
        for (row, (layers, violins)) in rows.enumerate() {
            let top = TITLE + row as f64 * (HEIGHT + below);
            let x = Axis::linear("", 0.0, per_row as f64, 1).bare();
            let axes = Axes {
                x,
                y: y.clone(),
                area: (LEFT, top, WIDTH - RIGHT, top + HEIGHT),
            };
            axes.grid(canvas);
            for (i, violin) in violins.iter().enumerate() {
                draw(canvas, &axes, violin, i as f64 + 0.5, 0.45);
            }
            axes.frame(canvas, false, axes.y.tick_width());
            for (i, layer) in layers.iter().enumerate() {
                let name = text::shortened(&layer.name, TICK_SIZE, widest.max(slot - 8.0));
                let x = LEFT + (i as f64 + 0.5) * slot;
                let half = text::width(&name, TICK_SIZE) / 2.0;
                let (y, anchor) = if upright {
                    (top + HEIGHT + 10.0 + half, TextAnchor::Upward)
                } else {
                    (top + HEIGHT + 18.0, TextAnchor::Center)
                };
                canvas.text((x, y), &name, TICK_SIZE, anchor);
            }
        }
        let middle = ((LEFT + WIDTH - RIGHT) / 2.0, body + 6.0);
        canvas.text(middle, "Layer", LABEL_SIZE, TextAnchor::Center);
        legend.draw(canvas, body + 22.0);
    });
    Figure {
        name: "weight_violin",
        title,
        caption: caption(stored),
        svg,
    }
}

fn caption(stored: bool) -> String {
    let tail = "0.05 % of them lie beyond each end";
    if !stored {
        return format!(
            "Smoothed densities of the weights, in units of the layer's largest one; {tail}."
        );
    }
    format!(
        "Densities of the weights, in units of the layer's quantisation range: left the float weights, smoothed ({tail}); \
         right what the memory holds, one bar for each code (above 6 bits for every four). Both halves of a violin have the same scale. Layers that \
         stay float are in units of their largest weight."
    )
}

fn violin(layer: &LayerWeights) -> Violin {
    let unit = match layer.limits() {
        Some((low, high)) => f64::from(low.abs().max(high.abs())),
        None => f64::from(max_abs(&layer.values)),
    };
    if !(unit > 0.0 && unit.is_finite()) {
        return Violin::default();
    }
    let bar = |b: Bar| Bar {
        low: b.low / unit,
        high: b.high / unit,
        density: b.density * unit,
    };
    let float = smooth(&layer.values, TAIL).into_iter();
    // a bar for each of more codes would be about a pixel thick
    let is_fine = |s: &StoredWeight| s.format.bits() > 6 && s.step().is_some();
    let many = match &layer.stored {
        Some(stored) if is_fine(stored) => 4,
        _ => 1,
    };
    let stored = joined(&stored_bars(layer), many).into_iter();
    Violin {
        float: float
            .map(|(x, density)| (x / unit, density * unit))
            .collect(),
        stored: stored.map(bar).collect(),
    }
}

/// Draws a violin around `middle`, at most `half` wide on each side.
fn draw(canvas: &mut Canvas<'_>, axes: &Axes, violin: &Violin, middle: f64, half: f64) {
    let float = violin.float.iter().map(|p| p.1);
    let widest = float
        .chain(violin.stored.iter().map(|b| b.density))
        .fold(0.0, f64::max);
    if widest <= 0.0 {
        return;
    }
    let (left, right) = if violin.stored.is_empty() {
        (1.0, 1.0)
    } else {
        (1.0, 0.0)
    };
    let side = |sign: f64| {
        violin
            .float
            .iter()
            .map(move |&(y, density)| (y, middle + sign * half * density / widest))
    };
    let shape: Vec<_> = side(-left)
        .chain(side(right).rev())
        .map(|(y, x)| axes.at((x, y)))
        .collect();
    canvas.polygon(&shape, FLOAT.at(0.75));
    for bar in violin.stored.iter().filter(|bar| bar.density > 0.0) {
        let (from, to) = (
            axes.at((middle, bar.low)),
            axes.at((middle + half * bar.density / widest, bar.high)),
        );
        // a gap between bars where they are thick enough to show it
        let gap = if from.1 - to.1 > 4.0 { 0.5 } else { 0.0 };
        let (bottom, top) = (from.1 - gap, to.1 + gap);
        canvas.polygon(
            &[(from.0, bottom), (to.0, bottom), (to.0, top), (from.0, top)],
            STORED.at(0.75),
        );
    }
    let (x, top) = axes.at((middle, axes.y.ends().1));
    let bottom = axes.at((middle, axes.y.ends().0)).1;
    let axis = Stroke::solid(Color::GREY.at(0.5), 0.8);
    canvas.line((x, bottom), (x, top), axis);
}
