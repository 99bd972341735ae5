//! The layout of a figure: title, panels one under the other, legend; heights follow the content.

use super::axes::{Axes, Axis, LABEL_SIZE, TICK_SIZE};
use super::canvas::{drawn, Canvas, Color, Stroke, TextAnchor, WIDTH};
use super::legend::Legend;
use super::text;

const TITLE: f64 = 42.0;
/// Height of the second line of the title.
const ABOUT: f64 = 24.0;
const NAME: f64 = 26.0;
const ABOVE: f64 = 52.0;
const BELOW: f64 = 62.0;
const BETWEEN: f64 = 24.0;
/// Room between two columns, besides the labels of ticks.
const COLUMNS: f64 = 26.0;
const TITLE_SIZE: f64 = 18.0;

/// Marks along the upper edge of a panel: a second reading of its horizontal axis.
#[derive(Clone, Debug)]
pub(super) struct Above {
    /// What is on it, with its unit.
    pub(super) label: String,
    /// Places on the horizontal axis, with their names.
    pub(super) ticks: Vec<(f64, String)>,
}

/// One panel.
#[derive(Clone, Debug)]
pub(super) struct Panel {
    /// Horizontal axis.
    pub(super) x: Axis,
    /// Vertical axis.
    pub(super) y: Axis,
    /// Height of the plane in pixels.
    pub(super) height: f64,
    /// False where the panel below has the same horizontal axis and its labels.
    pub(super) labelled: bool,
    /// Marks along the upper edge.
    pub(super) above: Option<Above>,
    /// What stands over it; empty for nothing.
    pub(super) name: String,
}

impl Panel {
    /// A panel with the labels of its horizontal axis, and nothing over it.
    pub(super) fn new(x: Axis, y: Axis, height: f64) -> Self {
        Self {
            x,
            y,
            height,
            labelled: true,
            above: None,
            name: String::new(),
        }
    }

    /// The same over a panel that has the labels.
    pub(super) fn unlabelled(self) -> Self {
        Self {
            labelled: false,
            ..self
        }
    }
}

/// Draws a figure of panels one under the other: `draw` is called for each panel, between its grid and its frame.
/// `right` is the room kept at the right edge, in pixels.
pub(super) fn layout(
    title: &str,
    panels: Vec<Panel>,
    right: f64,
    legend: &Legend,
    draw: impl Fn(&mut Canvas<'_>, &Axes, usize),
) -> String {
    let rows = panels.into_iter().map(|panel| vec![panel]).collect();
    sheet([title, ""], rows, right, legend, draw)
}

/// The same under a title and a second line, which may be empty, with rows of panels side by side, as wide as each other;
/// the panels of a row are alike in height and in what stands over and under them. Panels are counted row by row.
pub(super) fn sheet(
    [title, about]: [&str; 2],
    rows: Vec<Vec<Panel>>,
    right: f64,
    legend: &Legend,
    draw: impl Fn(&mut Canvas<'_>, &Axes, usize),
) -> String {
    let ticks = rows.iter().flatten().map(|p| p.y.tick_width());
    let ticks = ticks.fold(0.0, f64::max);
    let left = 12.0 + LABEL_SIZE / 2.0 + 18.0 + ticks + 10.0;
    let columns = rows.iter().map(Vec::len).max().unwrap_or(1) as f64;
    let between = right.max(COLUMNS) + 10.0 + ticks;
    let width = (WIDTH - left - right - (columns - 1.0) * between) / columns;
    let top = TITLE + if about.is_empty() { 0.0 } else { ABOUT };
    let body: f64 = rows
        .iter()
        .map(|row| over(row) + height(row) + under(row))
        .sum();
    let whole = (top + body + legend.height() + 14.0).round();
    let name = [title, about].join(" ");
    drawn(whole, name.trim(), |canvas| {
        heading(canvas, (left, 20.0), [title, about], WIDTH - left - 12.0);
        let (mut top, mut count) = (top, 0);
        for row in rows {
            let plane = top + over(&row);
            let next = plane + height(&row) + under(&row);
            let shared = columns > 1.0 && row[0].labelled;
            let label = row[0].x.label.clone();
            for (column, mut panel) in row.into_iter().enumerate() {
                let from = left + column as f64 * (width + between);
                if column > 0 {
                    panel.y.label.clear();
                }
                if shared {
                    panel.x.label.clear();
                }
                let axes = Axes {
                    x: panel.x,
                    y: panel.y,
                    area: (from, plane, from + width, plane + panel.height),
                };
                if !panel.name.is_empty() {
                    let at = (from, top + NAME / 2.0);
                    canvas.bold(at, &panel.name, LABEL_SIZE, Color::BLACK);
                }
                axes.grid(canvas);
                draw(canvas, &axes, count);
                axes.frame(canvas, panel.labelled, ticks);
                if let Some(marks) = &panel.above {
                    upper_marks(canvas, &axes, marks);
                }
                count += 1;
            }
            if shared {
                let middle = ((left + WIDTH - right) / 2.0, next - BELOW + 42.0);
                canvas.text(middle, &label, LABEL_SIZE, TextAnchor::Center);
            }
            top = next;
        }
        legend.draw(canvas, top);
    })
}

/// A title and a second line, which may be empty, shortened to a width in pixels.
pub(super) fn heading(
    canvas: &mut Canvas<'_>,
    (left, top): (f64, f64),
    [title, about]: [&str; 2],
    room: f64,
) {
    // bold letters are about a tenth wider than those whose widths are known
    let title = text::shortened(title, 1.1 * TITLE_SIZE, room);
    canvas.bold((left, top), &title, TITLE_SIZE, Color::BLACK);
    if !about.is_empty() {
        let about = text::shortened(about, TICK_SIZE, room);
        canvas.text((left, top + 26.0), &about, TICK_SIZE, TextAnchor::Left);
    }
}

fn over(row: &[Panel]) -> f64 {
    let of = |panel: &Panel| {
        let name = if panel.name.is_empty() { 0.0 } else { NAME };
        name + if panel.above.is_some() { ABOVE } else { 0.0 }
    };
    row.iter().map(of).fold(0.0, f64::max)
}

fn height(row: &[Panel]) -> f64 {
    row.iter().map(|panel| panel.height).fold(0.0, f64::max)
}

fn under(row: &[Panel]) -> f64 {
    let of = |panel: &Panel| if panel.labelled { BELOW } else { BETWEEN };
    row.iter().map(of).fold(0.0, f64::max)
}

/// Ticks and labels along the upper edge; a label that would touch its neighbour is left out.
pub(super) fn upper_marks(canvas: &mut Canvas<'_>, axes: &Axes, marks: &Above) {
    let (left, top, right, _) = axes.area;
    let mut free = f64::NEG_INFINITY;
    for (value, label) in &marks.ticks {
        let place = axes.x.place(*value);
        if !(-1e-9..=1.0 + 1e-9).contains(&place) {
            continue;
        }
        let x = left + (right - left) * place;
        canvas.line((x, top - 6.0), (x, top), Stroke::solid(Color::INK, 1.2));
        let half = text::width(label, TICK_SIZE) / 2.0;
        if x - half > free {
            canvas.text((x, top - 17.0), label, TICK_SIZE, TextAnchor::Center);
            free = x + half + 8.0;
        }
    }
    let middle = ((left + right) / 2.0, top - 40.0);
    canvas.text(middle, &marks.label, LABEL_SIZE, TextAnchor::Center);
}
