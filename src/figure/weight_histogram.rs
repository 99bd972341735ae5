//! The figure `weight_histogram`: for each layer the density of its float weights and of those that the memory
//! holds.

use super::axes::{Axes, Axis, LABEL_SIZE};
use super::canvas::{drawn, Canvas, Color, Stroke, TextAnchor, WIDTH};
use super::legend::{Legend, Sample};
use super::text;
use super::weight_density::{
    float_bars, joined, plain_bars, spacing, stored_bars, Bar, FLOAT, STORED,
};
use super::Figure;
use crate::net::LayerWeights;
use crate::stats::ends;

const TITLE: f64 = 44.0;
const HEIGHT: f64 = 150.0;
const ABOVE: f64 = 26.0;
const BELOW: f64 = 34.0;
const LEFT: f64 = 42.0;
const GAP: f64 = 58.0;
const RIGHT: f64 = 24.0;
/// Most bars of a panel: fewer pixels than that would hide them.
const MOST_BARS: f64 = 80.0;
const LIMIT: Stroke = Stroke::dashed(Color::GREY, 1.4, &[5.0, 4.0]);

/// Bars of one layer.
struct Bars {
    float: Vec<Bar>,
    stored: Vec<Bar>,
}

/// Draws the figure: one panel per layer, in memory order.
pub fn weight_histogram(model: &str, layers: &[LayerWeights]) -> Figure {
    let stored = layers.iter().any(|layer| layer.stored.is_some());
    let columns = layers.len().clamp(1, 3);
    let rows = layers.len().div_ceil(columns);
    let pitch = ABOVE + HEIGHT + BELOW;
    let mut legend = Legend::default();
    let name = if stored { "float weights" } else { "weights" };
    legend.add(Sample::Line(Stroke::solid(FLOAT, 2.0)), name);
    if stored {
        legend.add(Sample::Patch(STORED.at(0.55)), "dequantised weights");
        legend.add(Sample::Line(LIMIT), "lowest and highest code");
    }
    let body = TITLE + rows as f64 * pitch;
    let height = (body + 34.0 + legend.height() + 12.0).round();
    let title = format!("Weights of {model}");
    let svg = drawn(height, &title, |canvas| {
        let width = (WIDTH - LEFT - RIGHT - columns as f64 * GAP) / columns as f64;
        let shown = text::shortened(&title, 18.0, WIDTH - 60.0);
        canvas.bold((LEFT, 20.0), &shown, 18.0, Color::BLACK);
        for (i, layer) in layers.iter().enumerate() {
            let left = LEFT + GAP + (i % columns) as f64 * (width + GAP);
            let top = TITLE + (i / columns) as f64 * pitch + ABOVE;
            panel(canvas, layer, (left, top, left + width, top + HEIGHT));
        }
        let density = "Probability density (1 / weight)";
        let middle = (18.0, (TITLE + body) / 2.0);
        canvas.text(middle, density, LABEL_SIZE, TextAnchor::Upward);
        let below = (WIDTH / 2.0, body + 12.0);
        canvas.text(below, "Weight", LABEL_SIZE, TextAnchor::Center);
        legend.draw(canvas, body + 30.0);
    });
    let caption = if stored {
        "Densities of the weights of each layer in memory order; each has an area of 1. Over each panel the \
             fraction of float weights beyond the lowest or highest code."
    } else {
        "Densities of the weights of each layer; each has an area of 1."
    };
    Figure {
        name: "weight_histogram",
        title,
        caption: caption.into(),
        svg,
    }
}

fn panel(canvas: &mut Canvas<'_>, layer: &LayerWeights, area: (f64, f64, f64, f64)) {
    let bars = bars(layer);
    let all = || bars.float.iter().chain(&bars.stored);
    let (low, high) = ends(all().flat_map(|b| [b.low, b.high]));
    let top = all().map(|b| b.density).fold(0.0, f64::max);
    let (low, high) = if low < high { (low, high) } else { (-1.0, 1.0) };
    let pad = 0.03 * (high - low);
    let axes = Axes {
        x: Axis::linear("", low - pad, high + pad, 4),
        y: Axis::linear("", 0.0, if top > 0.0 { 1.06 * top } else { 1.0 }, 3),
        area,
    };
    axes.grid(canvas);
    for bar in bars.stored.iter().filter(|bar| bar.density > 0.0) {
        let (from, to) = (axes.at((bar.low, 0.0)), axes.at((bar.high, bar.density)));
        let corners = [from, (to.0, from.1), to, (from.0, to.1)];
        canvas.polygon(&corners, STORED.at(0.55));
        if to.0 - from.0 > 5.0 {
            canvas.outline(&corners, Color::WHITE, 0.8);
        }
    }
    let outline = bars
        .float
        .iter()
        .flat_map(|b| [(b.low, b.density), (b.high, b.density)]);
    let ends = bars.float.first().map(|b| (b.low, 0.0)).into_iter();
    let ends = ends
        .chain(outline)
        .chain(bars.float.last().map(|b| (b.high, 0.0)));
    axes.line(canvas, &ends.collect::<Vec<_>>(), Stroke::solid(FLOAT, 1.8));
    let limits = layer
        .limits()
        .map(|(low, high)| [f64::from(low), f64::from(high)]);
    for limit in limits.into_iter().flatten() {
        axes.vertical(canvas, limit, LIMIT);
    }
    axes.frame(canvas, true, 0.0);
    let clipped = layer
        .clipped_share()
        .map(|fraction| format!("{} % clipped", text::percent(fraction)));
    let beside = clipped
        .as_ref()
        .map_or(0.0, |clipped| text::width(clipped, 14.0) + 10.0);
    // bold letters are wider
    let name = text::shortened(&layer.name, 15.0, (area.2 - area.0 - beside) / 1.12);
    canvas.bold((area.0, area.1 - 12.0), &name, 15.0, Color::INK);
    canvas.colored(
        (area.2, area.1 - 12.0),
        &clipped.unwrap_or_default(),
        14.0,
        Color::GREY,
        TextAnchor::Right,
    );
}

/// With one step, float bars are a power of two of the step wide, so that their edges are those of the codes.
fn bars(layer: &LayerWeights) -> Bars {
    let values: Vec<f32> = layer
        .values
        .iter()
        .copied()
        .filter(|w| w.is_finite())
        .collect();
    let codes = stored_bars(layer);
    let Some(spacing) = spacing(layer) else {
        return Bars {
            float: plain_bars(&values),
            stored: codes,
        };
    };
    let (low, high) = ends(values.iter().map(|w| f64::from(*w)));
    let first = codes.first().map_or(0.0, |b| b.low);
    let last = codes.last().map_or(0.0, |b| b.high);
    let span = high.max(last) - low.min(first);
    let power = (span / spacing / MOST_BARS).log2().ceil();
    let float = float_bars(&values, first, spacing * power.exp2());
    Bars {
        float,
        stored: joined(&codes, power.max(0.0).exp2() as usize),
    }
}
