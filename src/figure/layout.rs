//! The layout of a figure: title, panels one under the other, legend; heights follow the content.

use super::axes::{Axes, Axis, LABEL_SIZE, TICK_SIZE};
use super::canvas::{drawn, Canvas, Color, Stroke, TextAnchor, WIDTH};
use super::legend::Legend;
use super::text;

const TITLE: f64 = 42.0;
const ABOVE: f64 = 52.0;
const BELOW: f64 = 62.0;
const BETWEEN: f64 = 24.0;

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
}

/// Draws a figure: `draw` is called for each panel, between its grid and its frame. `right` is the
/// room kept at the right edge, in pixels.
pub(super) fn layout(
    title: &str,
    panels: Vec<Panel>,
    right: f64,
    legend: &Legend,
    draw: impl Fn(&mut Canvas<'_>, &Axes, usize),
) -> String {
    let ticks = panels.iter().map(|p| p.y.tick_width()).fold(0.0, f64::max);
    let left = 12.0 + LABEL_SIZE / 2.0 + 18.0 + ticks + 10.0;
    let below = |panel: &Panel| if panel.labelled { BELOW } else { BETWEEN };
    let above = |panel: &Panel| if panel.above.is_some() { ABOVE } else { 0.0 };
    let body: f64 = panels.iter().map(|p| above(p) + p.height + below(p)).sum();
    let height = (TITLE + body + legend.height() + 14.0).round();
    drawn(height, title, |canvas| {
        canvas.bold((left, 20.0), title, 18.0, Color::BLACK, TextAnchor::Left);
        let mut top = TITLE;
        for (i, panel) in panels.into_iter().enumerate() {
            top += above(&panel);
            let area = (left, top, WIDTH - right, top + panel.height);
            top += panel.height + below(&panel);
            let axes = Axes {
                x: panel.x,
                y: panel.y,
                area,
            };
            axes.grid(canvas);
            draw(canvas, &axes, i);
            axes.frame(canvas, panel.labelled, ticks);
            if let Some(marks) = &panel.above {
                upper_marks(canvas, &axes, marks);
            }
        }
        legend.draw(canvas, top);
    })
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
