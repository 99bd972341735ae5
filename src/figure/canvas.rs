//! The drawing surface: lines, polygons, markers' outlines and text in pixels, written as SVG
//! through plotters. What is drawn where is left to the planes and figures.

use super::text;
use plotters::prelude::{DrawingBackend, SVGBackend, ShapeStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontFamily, FontStyle, FontTransform, RGBAColor, TextStyle};

/// Width of figures in pixels.
pub(super) const WIDTH: f64 = 960.0;
/// Steps per pixel: plotters takes whole numbers, so everything is drawn on a finer grid.
const FINE: f64 = 20.0;
/// Fonts asked for, the embedded one first.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// A colour with its opacity in (0, 1].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Color(pub(super) u8, pub(super) u8, pub(super) u8, pub(super) f64);

impl Color {
    pub(super) const BLACK: Self = Self(0, 0, 0, 1.0);
    pub(super) const INK: Self = Self(40, 40, 40, 1.0);
    pub(super) const GREY: Self = Self(110, 110, 110, 1.0);
    pub(super) const GRID: Self = Self(225, 225, 225, 1.0);
    pub(super) const WHITE: Self = Self(255, 255, 255, 1.0);

    /// The same colour at another opacity.
    pub(super) fn at(self, alpha: f64) -> Self {
        Self(self.0, self.1, self.2, alpha)
    }
}

/// How a line is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stroke {
    /// Colour.
    pub(super) color: Color,
    /// Width in pixels.
    pub(super) width: f64,
    /// Lengths of dash and gap in pixels, in turn; empty for a solid line.
    pub(super) dash: &'static [f64],
}

impl Stroke {
    /// A solid line.
    pub(super) const fn solid(color: Color, width: f64) -> Self {
        Self::dashed(color, width, &[])
    }

    /// A line of dashes and gaps of these lengths.
    pub(super) const fn dashed(color: Color, width: f64, dash: &'static [f64]) -> Self {
        Self { color, width, dash }
    }
}

/// Where a text hangs on its point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum TextAnchor {
    /// Starts at the point.
    Left,
    /// Is centred on the point.
    Center,
    /// Ends at the point.
    Right,
    /// Is centred on the point and reads upwards.
    Upward,
}

/// The style in plotters' terms; `width` in steps of the fine grid.
fn pen(color: Color, width: u32) -> ShapeStyle {
    ShapeStyle {
        color: rgba(color),
        filled: true,
        stroke_width: width,
    }
}

fn rgba(color: Color) -> RGBAColor {
    RGBAColor(color.0, color.1, color.2, color.3)
}

/// A surface of some width and height, in pixels from the upper left corner.
/// It writes into a string, which cannot fail: the back end's results carry nothing and are dropped.
pub(super) struct Canvas<'a> {
    backend: SVGBackend<'a>,
}

/// Draws on a new white surface of [`WIDTH`] and returns the SVG file. `title` is its accessible name.
pub(super) fn drawn(height: f64, title: &str, draw: impl FnOnce(&mut Canvas<'_>)) -> String {
    drawn_on((WIDTH, height), title, draw)
}

/// The same on a surface of this width and height in pixels.
pub(super) fn drawn_on(
    (width, height): (f64, f64),
    title: &str,
    draw: impl FnOnce(&mut Canvas<'_>),
) -> String {
    let fine = (fine(width) as u32, fine(height) as u32);
    let mut svg = String::new();
    let mut canvas = Canvas {
        backend: SVGBackend::with_string(&mut svg, fine),
    };
    canvas.polygon(
        &[(0.0, 0.0), (width, 0.0), (width, height), (0.0, height)],
        Color::WHITE,
    );
    draw(&mut canvas);
    drop(canvas);
    let title = text::escape(title);
    joined(&svg).replacen(
        &format!("<svg width=\"{}\" height=\"{}\"", fine.0, fine.1),
        &format!("<svg width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\""),
        1,
    )
}

/// The same picture in a smaller file: neighbouring lines of one style, such as the dashes of a line, as one path.
fn joined(svg: &str) -> String {
    let mut out = String::with_capacity(svg.len());
    let lines: Vec<&str> = svg.lines().collect();
    for run in lines.chunk_by(|a, b| {
        parts(a)
            .zip(parts(b))
            .is_some_and(|((a, _), (b, _))| a == b)
    }) {
        match (run, parts(run[0])) {
            ([_, _, ..], Some((style, _))) => {
                let pieces = run
                    .iter()
                    .filter_map(|line| parts(line))
                    .map(|(_, points)| format!("M{points}"));
                out += &format!("<path {style} d=\"{}\"/>\n", pieces.collect::<String>());
            }
            _ => run.iter().for_each(|line| out.extend([line, "\n"])),
        }
    }
    out
}

/// Attributes and points of a line in an SVG file.
fn parts(line: &str) -> Option<(&str, &str)> {
    let (style, points) = line
        .strip_prefix("<polyline ")?
        .strip_suffix("\"/>")?
        .split_once(" points=\"")?;
    Some((style, points.trim_end()))
}

fn fine(pixels: f64) -> i32 {
    (pixels * FINE).round() as i32
}

fn point((x, y): (f64, f64)) -> (i32, i32) {
    (fine(x), fine(y))
}

impl Canvas<'_> {
    /// A filled polygon.
    pub(super) fn polygon(&mut self, points: &[(f64, f64)], color: Color) {
        if points.len() > 2 {
            self.backend
                .fill_polygon(points.iter().copied().map(point), &pen(color, 0))
                .ok();
        }
    }

    /// The outline of a polygon.
    pub(super) fn outline(&mut self, points: &[(f64, f64)], color: Color, width: f64) {
        // The first two corners again, so that the joint of the last corner is mitred as well.
        let closed: Vec<_> = points
            .iter()
            .chain(points.iter().take(2))
            .copied()
            .collect();
        self.polyline(&closed, Stroke::solid(color, width));
    }

    /// An open line through the points.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], stroke: Stroke) {
        let pen = pen(stroke.color, fine(stroke.width).max(1) as u32);
        for piece in dashes(points, stroke.dash) {
            if piece.len() > 1 {
                self.backend
                    .draw_path(piece.into_iter().map(point), &pen)
                    .ok();
            }
        }
    }

    /// A straight line.
    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), stroke: Stroke) {
        self.polyline(&[from, to], stroke);
    }

    /// One line of text in ink, centred in height on the point.
    pub(super) fn text(&mut self, at: (f64, f64), what: &str, size: f64, anchor: TextAnchor) {
        self.colored(at, what, size, Color::INK, anchor);
    }

    /// The same in another colour.
    pub(super) fn colored(
        &mut self,
        at: (f64, f64),
        what: &str,
        size: f64,
        color: Color,
        anchor: TextAnchor,
    ) {
        self.write(at, what, (size, FontStyle::Normal), color, anchor);
    }

    /// One line of bold text that starts at the point.
    pub(super) fn bold(&mut self, at: (f64, f64), what: &str, size: f64, color: Color) {
        self.write(at, what, (size, FontStyle::Bold), color, TextAnchor::Left);
    }

    fn write(
        &mut self,
        at: (f64, f64),
        what: &str,
        (size, weight): (f64, FontStyle),
        color: Color,
        anchor: TextAnchor,
    ) {
        let h = match anchor {
            TextAnchor::Left => HPos::Left,
            TextAnchor::Center | TextAnchor::Upward => HPos::Center,
            TextAnchor::Right => HPos::Right,
        };
        let turn = if anchor == TextAnchor::Upward {
            FontTransform::Rotate270
        } else {
            FontTransform::None
        };
        // plotters divides the size by 1.24 when it writes the file.
        let font =
            plotters::style::FontDesc::new(FontFamily::Name(FAMILY), size * FINE * 1.24, weight)
                .transform(turn);
        let ink = rgba(color);
        let style = TextStyle::from(font)
            .color(&ink)
            .pos(Pos::new(h, VPos::Center));
        self.backend.draw_text(what, &style, point(at)).ok();
    }

    /// Diagonal lines over a rectangle, without its outline.
    pub(super) fn hatch(&mut self, (x0, y0): (f64, f64), (x1, y1): (f64, f64), color: Color) {
        const STEP: f64 = 9.0;
        let (width, height) = (x1 - x0, y1 - y0);
        if width <= 0.0 || height <= 0.0 {
            return;
        }
        // Lines x + y = c, rising to the right, with the corner (x0, y0) at c = 0.
        let mut c = STEP;
        while c < width + height {
            let from = if c < height {
                (x0, y0 + c)
            } else {
                (x0 + c - height, y1)
            };
            let to = if c < width {
                (x0 + c, y0)
            } else {
                (x1, y0 + c - width)
            };
            self.line(from, to, Stroke::solid(color, 0.8));
            c += STEP;
        }
    }
}

/// Cuts a line into its dashes; the whole line where `pattern` is empty.
fn dashes(points: &[(f64, f64)], pattern: &[f64]) -> Vec<Vec<(f64, f64)>> {
    let Some(&first) = points.first() else {
        return Vec::new();
    };
    if pattern.is_empty() || pattern.iter().any(|length| *length <= 0.0) {
        return vec![points.to_vec()];
    }
    let (mut index, mut left, mut pieces, mut piece) = (0, pattern[0], Vec::new(), vec![first]);
    for pair in points.windows(2) {
        let (mut at, to) = (pair[0], pair[1]);
        let mut rest = (to.0 - at.0).hypot(to.1 - at.1);
        while rest > left {
            let fraction = left / rest;
            at = (
                at.0 + (to.0 - at.0) * fraction,
                at.1 + (to.1 - at.1) * fraction,
            );
            rest -= left;
            if index % 2 == 0 {
                piece.push(at);
                pieces.push(std::mem::take(&mut piece));
            } else {
                piece = vec![at];
            }
            index = (index + 1) % pattern.len();
            left = pattern[index];
        }
        left -= rest;
        if index % 2 == 0 {
            piece.push(to);
        }
    }
    if index % 2 == 0 {
        pieces.push(piece);
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dashes_cover_their_share_of_the_line_round_corners() {
        let pieces = dashes(&[(0.0, 0.0), (5.0, 0.0), (5.0, 7.0)], &[2.0, 2.0]);
        let expected = vec![
            vec![(0.0, 0.0), (2.0, 0.0)],
            vec![(4.0, 0.0), (5.0, 0.0), (5.0, 1.0)],
            vec![(5.0, 3.0), (5.0, 5.0)],
        ];
        assert_eq!(pieces, expected);
        assert_eq!(dashes(&[(0.0, 0.0), (1.0, 0.0)], &[]).len(), 1);
    }

    #[test]
    fn lines_of_one_look_are_joined_and_the_picture_is_the_same() {
        let svg = drawn(40.0, "t", |canvas| {
            let dashed = Stroke {
                color: Color::INK,
                width: 2.0,
                dash: &[4.0, 3.0],
            };
            canvas.polyline(&[(0.0, 3.0), (30.0, 20.0), (60.0, 10.0)], dashed);
            canvas.line((0.0, 30.0), (50.0, 30.0), Stroke::solid(Color::GREY, 1.0));
            canvas.text((20.0, 20.0), "a < b", 12.0, TextAnchor::Left);
        });
        assert_eq!(
            (
                svg.matches("<path ").count(),
                svg.matches("<polyline ").count()
            ),
            (1, 1),
            "{svg}"
        );
        let apart = svg.lines().map(|line| match line.strip_prefix("<path ") {
            None => format!("{line}\n"),
            Some(path) => {
                let (style, pieces) = path.trim_end_matches("\"/>").split_once(" d=\"M").unwrap();
                pieces
                    .split('M')
                    .map(|points| format!("<polyline {style} points=\"{points} \"/>\n"))
                    .collect()
            }
        });
        let apart: String = apart.collect();
        assert!(apart.matches("<polyline ").count() > 9 && joined(&apart) == svg);
        assert!(super::super::png(&apart).unwrap() == super::super::png(&svg).unwrap());
    }

    #[test]
    fn hatching_stays_inside_its_rectangle() {
        let svg = drawn(100.0, "t", |canvas| {
            canvas.hatch((20.0, 10.0), (50.0, 90.0), Color::GREY)
        });
        let path = svg
            .split(" d=\"M")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        let mut lines = 0;
        for points in path.split('M') {
            for pair in points.split_whitespace() {
                let (x, y) = pair.split_once(',').unwrap();
                let (x, y): (f64, f64) = (x.parse().unwrap(), y.parse().unwrap());
                assert!(
                    (400.0..=1000.0).contains(&x) && (200.0..=1800.0).contains(&y),
                    "{pair}"
                );
            }
            lines += 1;
        }
        assert_eq!(lines, 12);
    }
}
