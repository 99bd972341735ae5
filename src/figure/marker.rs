//! Marker shapes, filled for measured ground and hollow for extrapolated.

use super::canvas::{Canvas, Color};

/// Radius of the marker of a design point in pixels.
pub(super) const MARKER: f64 = 5.5;

/// A marker's shape; neighbours in [`Shape::ALL`] differ most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Shape {
    Circle,
    Square,
    Triangle,
    Diamond,
    TriangleDown,
    Cross,
    Star,
    Plus,
    Hexagon,
    TriangleLeft,
    Hourglass,
    TriangleRight,
}

impl Shape {
    /// Every shape, in the order in which series take them.
    pub(super) const ALL: [Self; 12] = [
        Self::Circle,
        Self::Square,
        Self::Triangle,
        Self::Diamond,
        Self::TriangleDown,
        Self::Cross,
        Self::Star,
        Self::Plus,
        Self::Hexagon,
        Self::TriangleLeft,
        Self::Hourglass,
        Self::TriangleRight,
    ];

    /// Corners round (0, 0), of about equal area at equal `radius`.
    fn corners(self, radius: f64) -> Vec<(f64, f64)> {
        let turned = |n: usize, from: f64, radii: &[f64]| -> Vec<(f64, f64)> {
            (0..n)
                .map(|i| {
                    let angle = (from + 360.0 * i as f64 / n as f64).to_radians();
                    let r = radius * radii[i % radii.len()];
                    (r * angle.cos(), r * angle.sin())
                })
                .collect()
        };
        match self {
            Self::Circle => turned(32, 0.0, &[1.0]),
            Self::Square => turned(4, 45.0, &[1.25]),
            Self::Triangle => turned(3, -90.0, &[1.4]),
            Self::Diamond => turned(4, 0.0, &[1.35]),
            Self::TriangleDown => turned(3, 90.0, &[1.4]),
            Self::TriangleLeft => turned(3, 180.0, &[1.4]),
            Self::TriangleRight => turned(3, 0.0, &[1.4]),
            Self::Star => turned(10, -90.0, &[1.5, 0.65]),
            Self::Hexagon => turned(6, 0.0, &[1.15]),
            Self::Hourglass => {
                let r = 1.15 * radius;
                vec![
                    (-r, -r),
                    (r, -r),
                    (0.25 * r, 0.0),
                    (r, r),
                    (-r, r),
                    (-0.25 * r, 0.0),
                ]
            }
            Self::Plus => plus(radius, 0.0),
            Self::Cross => plus(radius, 45.0),
        }
    }

    /// The outline round (0, 0) as the path of an SVG, to a hundredth of a pixel.
    pub(super) fn path(self, radius: f64) -> String {
        let corners = self.corners(radius);
        let corners: Vec<String> = corners
            .iter()
            .map(|(x, y)| format!("{x:.2} {y:.2}"))
            .collect();
        format!("M{}Z", corners.join("L"))
    }
}

/// A plus sign of thick bars, turned by some degrees.
fn plus(radius: f64, turn: f64) -> Vec<(f64, f64)> {
    let (long, short) = (1.35 * radius, 0.45 * radius);
    let quarter = [(short, -long), (short, -short), (long, -short)];
    (0..4)
        .flat_map(|i| {
            let (sin, cos) = (turn + 90.0 * f64::from(i)).to_radians().sin_cos();
            quarter.map(|(x, y)| (x * cos - y * sin, x * sin + y * cos))
        })
        .collect()
}

/// Draws a marker: filled in its colour with a white edge, or hollow.
pub(super) fn marker(
    canvas: &mut Canvas<'_>,
    (x, y): (f64, f64),
    shape: Shape,
    radius: f64,
    color: Color,
    hollow: bool,
) {
    let corners: Vec<_> = shape
        .corners(radius)
        .into_iter()
        .map(|(dx, dy)| (x + dx, y + dy))
        .collect();
    if hollow {
        canvas.polygon(&corners, Color::WHITE);
        canvas.outline(&corners, color, 1.8);
    } else {
        canvas.outline(&corners, Color::WHITE, 2.0);
        canvas.polygon(&corners, color);
    }
}
