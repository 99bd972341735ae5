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

/// The lines over a figure.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heading<'a> {
    /// What is on the axes.
    pub(super) title: &'a str,
    /// Network, data set and memory; may be empty.
    pub(super) about: &'a str,
}

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

/// Draws a figure of panels one under the other: `draw` is called for each panel, between its grid and its frame.
/// `right` is the room kept at the right edge, in pixels.
pub(super) fn layout(
    title: &str,
    panels: Vec<Panel>,
    right: f64,
    legend: &Legend,
    draw: impl Fn(&mut Canvas<'_>, &Axes, usize),
) -> String {
    let heading = Heading { title, about: "" };
    let rows = panels.into_iter().map(|panel| vec![panel]).collect();
    sheet(heading, rows, right, legend, draw)
}

/// The same with rows of panels side by side, as wide as each other; the panels of a row are alike in height and in
/// what stands over and under them. Panels are counted row by row.
pub(super) fn sheet(
    heading: Heading<'_>,
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
    let top = TITLE + if heading.about.is_empty() { 0.0 } else { ABOUT };
    let body: f64 = rows
        .iter()
        .map(|row| over(row) + height(row) + under(row))
        .sum();
    let whole = (top + body + legend.height() + 14.0).round();
    let name = [heading.title, heading.about].join(" ");
    drawn(whole, name.trim(), |canvas| {
        head(canvas, heading, left);
        let (mut top, mut count) = (top, 0);
        for row in rows {
            let (plane, next) = (
                top + over(&row),
                top + over(&row) + height(&row) + under(&row),
            );
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
                    canvas.bold(at, &panel.name, LABEL_SIZE, Color::BLACK, TextAnchor::Left);
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
                canvas.text(middle, &label, LABEL_SIZE, Color::INK, TextAnchor::Center);
            }
            top = next;
        }
        legend.draw(canvas, top);
    })
}

fn head(canvas: &mut Canvas<'_>, heading: Heading<'_>, left: f64) {
    let room = WIDTH - left - 12.0;
    // bold letters are about a tenth wider than those whose widths are known
    let title = text::shortened(heading.title, 1.1 * TITLE_SIZE, room);
    canvas.bold(
        (left, 20.0),
        &title,
        TITLE_SIZE,
        Color::BLACK,
        TextAnchor::Left,
    );
    if !heading.about.is_empty() {
        let about = text::shortened(heading.about, TICK_SIZE, room);
        canvas.text(
            (left, 46.0),
            &about,
            TICK_SIZE,
            Color::INK,
            TextAnchor::Left,
        );
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
            canvas.text(
                (x, top - 17.0),
                label,
                TICK_SIZE,
                Color::INK,
                TextAnchor::Center,
            );
            free = x + half + 8.0;
        }
    }
    canvas.text(
        ((left + right) / 2.0, top - 40.0),
        &marks.label,
        LABEL_SIZE,
        Color::INK,
        TextAnchor::Center,
    );
}
