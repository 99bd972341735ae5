//! The legend under a figure: samples with their names, in columns, never over data.

use super::canvas::{Canvas, Color, Stroke, TextAnchor, WIDTH};
use super::marker::{marker, Shape, MARKER};
use super::series::Style;
use super::text;

const SIZE: f64 = 16.0;
const ROW: f64 = 26.0;
/// Width of a sample in pixels.
const SAMPLE: f64 = 40.0;
const GAP: f64 = 26.0;
const SIDE: f64 = 24.0;
const USABLE: f64 = WIDTH - 2.0 * SIDE;

/// What stands before a name.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sample {
    /// Line and marker of a series.
    Series(Style),
    /// A line.
    Line(Stroke),
    /// A marker alone, hollow or filled.
    Marker(Shape, Color, bool),
    /// A hatched patch.
    Hatch,
    /// A patch of a colour.
    Patch(Color),
    /// A thin bar with ends.
    Whisker,
}

/// Samples and names.
#[derive(Clone, Debug, Default)]
pub(super) struct Legend {
    names: Vec<(Sample, String)>,
    notes: Vec<(Sample, String)>,
}

impl Legend {
    /// Adds the name of a curve: names stand in columns.
    pub(super) fn name(&mut self, sample: Sample, name: impl Into<String>) {
        self.names.push((sample, name.into()));
    }

    /// Adds an explanation: these follow the names, one after the other.
    pub(super) fn add(&mut self, sample: Sample, note: impl Into<String>) {
        self.notes.push((sample, note.into()));
    }

    /// Rows of (x, sample, name).
    fn rows(&self) -> Vec<Row<'_>> {
        let mut rows = Vec::new();
        let widths = self.names.iter().map(|(_, name)| entry_width(name));
        let column = widths.fold(1.0, f64::max);
        let fit = (((USABLE + GAP) / column).floor() as usize).max(1);
        // As many columns as keep the rows equally full: 12 names in 4 columns rather than 5.
        let count = self.names.len();
        let columns = count.div_ceil(count.div_ceil(fit).max(1)).max(1);
        let left = (WIDTH - columns as f64 * column + GAP).max(2.0 * SIDE) / 2.0;
        for names in self.names.chunks(columns) {
            rows.push(row(names, left, |_| column));
        }
        let mut rest = self.notes.as_slice();
        while !rest.is_empty() {
            let mut width = 0.0;
            let fits = |entry: &&(Sample, String)| {
                width += entry_width(&entry.1);
                width <= USABLE + GAP
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (notes, others) = rest.split_at(count);
            let width: f64 = notes.iter().map(|(_, note)| entry_width(note)).sum();
            let left = (WIDTH - width + GAP).max(2.0 * SIDE) / 2.0;
            rows.push(row(notes, left, entry_width));
            rest = others;
        }
        rows
    }

    /// Height in pixels.
    pub(super) fn height(&self) -> f64 {
        self.rows().len() as f64 * ROW
    }

    /// Draws the legend from this height downwards, row after row.
    pub(super) fn draw(&self, canvas: &mut Canvas<'_>, top: f64) {
        for (i, row) in self.rows().into_iter().enumerate() {
            let y = top + (i as f64 + 0.5) * ROW;
            for (x, sample, name) in row {
                draw_sample(canvas, sample, x, y);
                let name = text::shortened(name, SIZE, WIDTH - SIDE - x - SAMPLE - 8.0);
                canvas.text((x + SAMPLE + 8.0, y), &name, SIZE, TextAnchor::Left);
            }
        }
    }
}

/// Entries of a row with their places.
type Row<'a> = Vec<(f64, Sample, &'a str)>;

fn entry_width(name: &str) -> f64 {
    (SAMPLE + 8.0 + text::width(name, SIZE) + GAP).min(USABLE)
}

fn row(entries: &[(Sample, String)], left: f64, width: impl Fn(&str) -> f64) -> Row<'_> {
    let (mut x, mut row) = (left, Vec::new());
    for (sample, name) in entries {
        row.push((x, *sample, name.as_str()));
        x += width(name);
    }
    row
}

/// Draws a sample from `x` to the right, centred in height on `y`.
fn draw_sample(canvas: &mut Canvas<'_>, sample: Sample, x: f64, y: f64) {
    let (right, middle) = (x + SAMPLE, x + SAMPLE / 2.0);
    let (top, bottom) = (y - 8.0, y + 8.0);
    let patch = [(x, top), (right, top), (right, bottom), (x, bottom)];
    match sample {
        Sample::Series(style) => {
            let stroke = Stroke::dashed(style.color, 2.2, style.dash);
            canvas.line((x, y), (right, y), stroke);
            marker(canvas, (middle, y), style.shape, MARKER, style.color, false);
        }
        Sample::Line(stroke) => canvas.line((x, y), (right, y), stroke),
        Sample::Marker(shape, color, hollow) => {
            marker(canvas, (middle, y), shape, MARKER, color, hollow)
        }
        Sample::Hatch => {
            canvas.hatch((x, top), (right, bottom), Color::GREY.at(0.6));
            canvas.outline(&patch, Color::GREY.at(0.6), 1.0);
        }
        Sample::Patch(color) => canvas.polygon(&patch, color),
        Sample::Whisker => {
            let thin = Stroke::solid(Color::INK, 1.2);
            canvas.line((middle, top), (middle, bottom), thin);
            canvas.line((middle - 5.0, top), (middle + 5.0, top), thin);
            canvas.line((middle - 5.0, bottom), (middle + 5.0, bottom), thin);
        }
    }
}
