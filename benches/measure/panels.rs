//! The scaling figure: small panels beside each other, drawn from measured points.
#![allow(clippy::unwrap_used)] // drawing into a string cannot fail

use plotters::coord::Shift;
use plotters::prelude::*;

const SIZE: (u32, u32) = (960, 600);
const COLUMNS: usize = 3;
const FONT: &str = "DejaVu Sans, Verdana, sans-serif";
const CPU: RGBColor = RGBColor(0, 90, 160);
const WALL: RGBColor = RGBColor(200, 90, 0);
const GREY: RGBColor = RGBColor(110, 110, 110);
const GRID: RGBColor = RGBColor(228, 228, 228);

/// Measured points of one kind of time.
pub(crate) struct Curve {
    /// (number of the factor, seconds).
    pub(crate) points: Vec<(f64, f64)>,
    /// A word beside each point; none where the points are joined instead.
    pub(crate) names: Vec<String>,
    /// Wall time, not CPU time.
    pub(crate) wall: bool,
}

/// One panel.
pub(crate) struct Panel {
    pub(crate) title: &'static str,
    pub(crate) axis: &'static str,
    /// Draws the line from the origin that fits best.
    pub(crate) proportional: bool,
    /// Marks whole numbers alone.
    pub(crate) whole: bool,
    pub(crate) curves: Vec<Curve>,
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// The SVG file; `notes` stand beside the key in the last place.
pub(crate) fn drawn(panels: &[Panel], notes: &[String]) -> String {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE).unwrap();
        let rows = (panels.len() + 1).div_ceil(COLUMNS);
        let areas = root.split_evenly((rows, COLUMNS));
        areas
            .iter()
            .zip(panels)
            .for_each(|(area, panel)| draw(area, panel));
        key(&areas[panels.len()], notes);
        root.present().unwrap();
    }
    svg
}

fn font(size: i32, color: &RGBColor) -> TextStyle<'static> {
    (FONT, size).into_font().color(color)
}

fn draw(area: &Area, panel: &Panel) {
    let points = || panel.curves.iter().flat_map(|curve| curve.points.iter());
    let most = |of: fn(&(f64, f64)) -> f64| points().map(of).fold(0.0, f64::max);
    let (x, y) = (most(|p| p.0) * 1.08, most(|p| p.1) * 1.15);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title, font(18, &BLACK))
        .margin(10)
        .margin_right(18)
        .x_label_area_size(42)
        .y_label_area_size(48)
        .build_cartesian_2d(0.0..x, 0.0..y)
        .unwrap();
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(GREY)
        .x_labels(if panel.whole { x as usize + 1 } else { 5 })
        .y_labels(5)
        .x_label_formatter(&|x| number(*x))
        .y_label_formatter(&|y| number(*y))
        .label_style(font(14, &GREY))
        .axis_desc_style(font(15, &BLACK))
        .x_desc(panel.axis)
        .y_desc("seconds")
        .draw()
        .unwrap();
    if panel.proportional {
        let sums = points().fold((0.0, 0.0), |(xy, xx), p| (xy + p.0 * p.1, xx + p.0 * p.0));
        let line = [(0.0, 0.0), (x, x * sums.0 / sums.1)];
        chart
            .draw_series(LineSeries::new(line, GREY.stroke_width(1)))
            .unwrap();
    }
    for curve in &panel.curves {
        let color = if curve.wall { WALL } else { CPU };
        if curve.names.is_empty() && !panel.proportional {
            chart
                .draw_series(LineSeries::new(
                    curve.points.iter().copied(),
                    color.stroke_width(2),
                ))
                .unwrap();
        }
        let dots = curve
            .points
            .iter()
            .map(|point| Circle::new(*point, 4, color.filled()));
        chart.draw_series(dots).unwrap();
        let right = |at: f64| at > 0.6 * x;
        let names = curve
            .names
            .iter()
            .zip(&curve.points)
            .enumerate()
            .map(|(i, (name, point))| {
                let width = 7 * name.len() as i32;
                // points near the axis lie close together: their names stand on two lines
                let (across, up) = match (right(point.0), point.1 < 0.1 * y && i % 2 == 1) {
                    (true, _) => (-width - 10, -8),
                    (false, true) => (-12, -26),
                    (false, false) => (8, -8),
                };
                EmptyElement::at(*point) + Text::new(name.clone(), (across, up), font(13, &BLACK))
            });
        chart.draw_series(names).unwrap();
    }
}

fn key(area: &Area, notes: &[String]) {
    let left = 40;
    let mut top = 34;
    for (color, text) in [(CPU, "CPU time, all threads together"), (WALL, "wall time")] {
        area.draw(&Circle::new((left + 10, top + 6), 4, color.filled()))
            .unwrap();
        area.draw(&Text::new(text, (left + 32, top), font(15, &BLACK)))
            .unwrap();
        top += 24;
    }
    area.draw(&PathElement::new(
        vec![(left, top + 6), (left + 22, top + 6)],
        GREY.stroke_width(1),
    ))
    .unwrap();
    area.draw(&Text::new(
        "exactly in proportion",
        (left + 32, top),
        font(15, &BLACK),
    ))
    .unwrap();
    top += 36;
    for note in notes {
        area.draw(&Text::new(note.clone(), (left, top), font(14, &GREY)))
            .unwrap();
        top += 21;
    }
}

/// As short as it can be said.
fn number(x: f64) -> String {
    let text = format!("{x:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
