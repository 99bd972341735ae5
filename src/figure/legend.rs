//! The legend under a figure: samples with their names, in columns, never over data.

use super::canvas::{Canvas, Color, Hang, Stroke, WIDTH};
use super::marker::{marker, Shape};
use super::series::{Look, Series};
use super::text;

const SIZE: f64 = 16.0;
const ROW: f64 = 26.0;
const SAMPLE: f64 = 40.0;
const GAP: f64 = 26.0;
const SIDE: f64 = 24.0;

/// What stands before a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sample {
    /// Line and marker of a series.
    Series(Look),
    /// A line.
    Line(Stroke),
    /// A marker alone, hollow or filled.
    Marker(Shape, Color, bool),
    /// A hatched patch.
    Hatch,
    /// A shaded patch.
    Band,
    /// A thin bar with ends.
    Whisker,
}

/// Samples and names.
#[derive(Clone, Debug, Default)]
pub(super) struct Legend {
    entries: Vec<(Sample, String)>,
}

impl Legend {
    /// A legend that begins with the series.
    pub(super) fn of(series: &[Series<'_>]) -> Self {
        Self { entries: series.iter().map(|s| (Sample::Series(s.look), s.label.clone())).collect() }
    }

    /// Adds an entry.
    pub(super) fn add(&mut self, sample: Sample, name: impl Into<String>) {
        self.entries.push((sample, name.into()));
    }

    /// Columns, and their width in pixels.
    fn columns(&self) -> (usize, f64) {
        let widest = self.entries.iter().map(|(_, name)| text::width(name, SIZE)).fold(0.0, f64::max);
        let usable = WIDTH - 2.0 * SIDE;
        let width = (SAMPLE + 8.0 + widest + GAP).min(usable);
        // The last column needs no gap after it.
        let count = (((usable + GAP) / width).floor() as usize).clamp(1, self.entries.len().max(1));
        (count, width)
    }

    /// Height in pixels.
    pub(super) fn height(&self) -> f64 {
        self.entries.len().div_ceil(self.columns().0) as f64 * ROW
    }

    /// Draws the legend from this height downwards, row after row.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: f64) {
        let (count, width) = self.columns();
        let left = (WIDTH - count as f64 * width + GAP).max(2.0 * SIDE) / 2.0;
        for (i, (sample, name)) in self.entries.iter().enumerate() {
            let x = left + (i % count) as f64 * width;
            let y = top + ((i / count) as f64 + 0.5) * ROW;
            draw_sample(canvas, *sample, x, y);
            let name = text::shortened(name, SIZE, WIDTH - SIDE - x - SAMPLE - 8.0);
            canvas.text((x + SAMPLE + 8.0, y), &name, SIZE, Color::INK, Hang::Left);
        }
    }
}

fn draw_sample(canvas: &mut Canvas<'_>, sample: Sample, x: f64, y: f64) {
    let (right, middle) = (x + SAMPLE, x + SAMPLE / 2.0);
    let (top, bottom) = (y - 8.0, y + 8.0);
    let patch = [(x, top), (right, top), (right, bottom), (x, bottom)];
    match sample {
        Sample::Series(look) => {
            let stroke = Stroke { color: look.color, width: 2.2, dash: look.dash };
            canvas.line((x, y), (right, y), stroke);
            marker(canvas, (middle, y), look.shape, 5.5, look.color, false);
        }
        Sample::Line(stroke) => canvas.line((x, y), (right, y), stroke),
        Sample::Marker(shape, color, hollow) => marker(canvas, (middle, y), shape, 5.5, color, hollow),
        Sample::Hatch => {
            canvas.hatch((x, top), (right, bottom), Color::GREY.at(0.6));
            canvas.outline(&patch, Color::GREY.at(0.6), 1.0);
        }
        Sample::Band => canvas.polygon(&patch, Color::GREY.at(0.35)),
        Sample::Whisker => {
            let thin = Stroke::solid(Color::INK, 1.2);
            canvas.line((middle, top), (middle, bottom), thin);
            canvas.line((middle - 5.0, top), (middle + 5.0, top), thin);
            canvas.line((middle - 5.0, bottom), (middle + 5.0, bottom), thin);
        }
    }
}
