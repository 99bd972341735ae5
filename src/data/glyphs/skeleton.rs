//! The strokes of the ten digits, each in the ways people write it; pose and ink are for others.

/// A point: x to the right, y down, the digit in about [-0.3, 0.3] x [-0.5, 0.5].
pub(super) type Point = (f64, f64);

/// One stroke of the pen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stroke {
    /// Straight from point to point.
    Line(&'static [Point]),
    /// A smooth curve through the points (Catmull-Rom).
    Curve(&'static [Point]),
}

use Stroke::{Curve, Line};

/// The ways in which each digit is written.
#[rustfmt::skip]
pub(super) const DIGITS: [&[&[Stroke]]; 10] = [
    // 0: an oval; a narrow oval
    &[
        &[Curve(&[
            (0.02, -0.5), (-0.2, -0.38), (-0.29, 0.0), (-0.2, 0.38), (0.0, 0.5), (0.2, 0.38), (0.29, 0.0),
            (0.2, -0.38), (0.02, -0.5),
        ])],
        &[Curve(&[
            (0.08, -0.5), (-0.12, -0.34), (-0.2, 0.05), (-0.12, 0.4), (0.02, 0.5), (0.16, 0.34), (0.21, 0.0),
            (0.16, -0.36), (0.0, -0.48),
        ])],
    ],
    // 1: a bare stem; with a flag; with a flag and a foot
    &[
        &[Line(&[(0.0, -0.5), (0.0, 0.5)])],
        &[Line(&[(-0.17, -0.29), (0.04, -0.5), (0.04, 0.5)])],
        &[Line(&[(-0.15, -0.32), (0.02, -0.5), (0.02, 0.5)]), Line(&[(-0.19, 0.5), (0.22, 0.5)])],
    ],
    // 2: with a straight foot; with a loop at the foot
    &[
        &[
            Curve(&[
                (-0.26, -0.27), (-0.17, -0.44), (0.03, -0.5), (0.22, -0.4), (0.25, -0.19), (0.12, 0.05),
                (-0.1, 0.29), (-0.28, 0.5),
            ]),
            Line(&[(-0.28, 0.5), (0.3, 0.49)]),
        ],
        &[Curve(&[
            (-0.24, -0.3), (-0.13, -0.46), (0.06, -0.49), (0.2, -0.36), (0.19, -0.13), (0.04, 0.15),
            (-0.14, 0.38), (-0.27, 0.43), (-0.26, 0.31), (-0.13, 0.31), (0.06, 0.45), (0.29, 0.44),
        ])],
    ],
    // 3: two bows; a flat top and a bow
    &[
        &[
            Curve(&[(-0.24, -0.39), (-0.04, -0.5), (0.17, -0.42), (0.19, -0.2), (-0.05, -0.04)]),
            Curve(&[(-0.05, -0.04), (0.18, 0.05), (0.26, 0.26), (0.12, 0.46), (-0.1, 0.5), (-0.28, 0.38)]),
        ],
        &[
            Line(&[(-0.24, -0.49), (0.22, -0.49), (-0.04, -0.11)]),
            Curve(&[(-0.04, -0.11), (0.17, -0.04), (0.26, 0.2), (0.13, 0.45), (-0.09, 0.5), (-0.28, 0.4)]),
        ],
    ],
    // 4: open at the top; closed; open with a round corner
    &[
        &[Line(&[(-0.2, -0.48), (-0.28, 0.1), (0.29, 0.1)]), Line(&[(0.14, -0.4), (0.1, 0.5)])],
        &[Line(&[(0.12, 0.5), (0.12, -0.5), (-0.3, 0.17), (0.31, 0.17)])],
        &[
            Curve(&[(-0.22, -0.46), (-0.26, -0.12), (-0.14, 0.06), (0.08, 0.0), (0.2, -0.14)]),
            Curve(&[(0.22, -0.5), (0.18, -0.05), (0.13, 0.5)]),
        ],
    ],
    // 5: with corners; in one swing
    &[
        &[
            Line(&[(0.25, -0.5), (-0.19, -0.5), (-0.22, -0.07)]),
            Curve(&[
                (-0.22, -0.07), (0.0, -0.14), (0.21, -0.02), (0.26, 0.2), (0.12, 0.44), (-0.1, 0.5),
                (-0.28, 0.4),
            ]),
        ],
        &[
            Curve(&[(0.28, -0.47), (0.08, -0.46), (-0.13, -0.45)]),
            Curve(&[
                (-0.13, -0.45), (-0.2, -0.24), (-0.08, -0.1), (0.13, 0.02), (0.2, 0.22), (0.08, 0.43),
                (-0.12, 0.49), (-0.26, 0.4),
            ]),
        ],
    ],
    // 6: a bent stem; a straight stem
    &[
        &[Curve(&[
            (0.2, -0.47), (-0.04, -0.36), (-0.21, -0.07), (-0.24, 0.25), (-0.1, 0.48), (0.12, 0.46),
            (0.23, 0.25), (0.12, 0.05), (-0.08, 0.06), (-0.22, 0.24),
        ])],
        &[
            Line(&[(0.1, -0.5), (-0.2, 0.1)]),
            Curve(&[
                (-0.2, 0.1), (-0.25, 0.3), (-0.1, 0.49), (0.12, 0.46), (0.22, 0.27), (0.1, 0.08),
                (-0.1, 0.12), (-0.22, 0.3),
            ]),
        ],
    ],
    // 7: with a corner; with a bar; with a serif and a bent stem
    &[
        &[Line(&[(-0.28, -0.48), (0.27, -0.48), (-0.06, 0.5)])],
        &[Line(&[(-0.26, -0.48), (0.28, -0.48), (-0.04, 0.5)]), Line(&[(-0.15, 0.03), (0.25, 0.0)])],
        &[
            Line(&[(-0.28, -0.33), (-0.26, -0.47)]),
            Curve(&[(-0.26, -0.47), (0.0, -0.44), (0.27, -0.48)]),
            Curve(&[(0.27, -0.48), (0.1, -0.15), (0.0, 0.18), (-0.03, 0.5)]),
        ],
    ],
    // 8: in one stroke; two rings
    &[
        &[Curve(&[
            (0.19, -0.38), (0.0, -0.5), (-0.19, -0.4), (-0.18, -0.2), (0.0, -0.04), (0.2, 0.13), (0.22, 0.36),
            (0.0, 0.5), (-0.22, 0.36), (-0.19, 0.13), (0.02, -0.05), (0.19, -0.2), (0.19, -0.38),
        ])],
        &[
            Curve(&[
                (0.0, -0.5), (-0.15, -0.42), (-0.19, -0.27), (-0.13, -0.1), (0.0, -0.04), (0.13, -0.1),
                (0.19, -0.27), (0.15, -0.42), (0.0, -0.5),
            ]),
            Curve(&[
                (0.0, -0.04), (-0.17, 0.05), (-0.24, 0.24), (-0.16, 0.43), (0.0, 0.5), (0.16, 0.43),
                (0.24, 0.24), (0.17, 0.05), (0.0, -0.04),
            ]),
        ],
    ],
    // 9: a straight stem; a bent stem; a hook
    &[
        &[
            Curve(&[
                (0.21, -0.28), (0.1, -0.48), (-0.11, -0.47), (-0.23, -0.27), (-0.13, -0.06), (0.07, -0.06),
                (0.21, -0.28),
            ]),
            Line(&[(0.22, -0.42), (0.16, 0.5)]),
        ],
        &[Curve(&[
            (0.22, -0.26), (0.12, -0.06), (-0.1, -0.05), (-0.22, -0.25), (-0.12, -0.46), (0.09, -0.48),
            (0.22, -0.28), (0.21, 0.05), (0.08, 0.34), (-0.17, 0.49),
        ])],
        &[
            Curve(&[
                (0.2, -0.32), (0.06, -0.49), (-0.14, -0.44), (-0.22, -0.25), (-0.11, -0.08), (0.09, -0.12),
                (0.2, -0.32),
            ]),
            Curve(&[(0.22, -0.42), (0.22, 0.0), (0.17, 0.36), (0.0, 0.5), (-0.18, 0.42)]),
        ],
    ],
];

impl Stroke {
    /// The points that the stroke goes through.
    pub(super) fn points(self) -> &'static [Point] {
        match self {
            Line(points) | Curve(points) => points,
        }
    }

    /// The stroke through `points`, which stand in place of its own, as a fine chain of straight
    /// pieces: `pieces` of them between two points.
    pub(super) fn chain(self, points: &[Point], pieces: usize) -> Vec<Point> {
        let mut chain = Vec::with_capacity(points.len() * pieces + 1);
        let closed = matches!(self, Curve(own) if own.len() > 2 && own.first() == own.last());
        for place in 1..points.len() {
            for piece in 0..pieces {
                let t = piece as f64 / pieces as f64;
                chain.push(match self {
                    Line(_) => blend(points[place - 1], points[place], t),
                    Curve(_) => curve_point(points, closed, place, t),
                });
            }
        }
        chain.extend(points.last());
        chain
    }
}

fn blend(a: Point, b: Point, t: f64) -> Point {
    (a.0 + (b.0 - a.0) * t, a.1 + (b.1 - a.1) * t)
}

/// Uniform Catmull-Rom spline (Catmull and Rom 1974) between `points[place - 1]` and `points[place]`.
fn curve_point(points: &[Point], closed: bool, place: usize, t: f64) -> Point {
    let last = points.len() - 1;
    let before = match place {
        1 if closed => points[last - 1],
        1 => points[0],
        _ => points[place - 2],
    };
    let after = match place {
        _ if place < last => points[place + 1],
        _ if closed => points[1],
        _ => points[last],
    };
    let (a, b) = (points[place - 1], points[place]);
    let axis = |p0: f64, p1: f64, p2: f64, p3: f64| {
        0.5 * (2.0 * p1
            + t * ((p2 - p0)
                + t * ((2.0 * p0 - 5.0 * p1 + 4.0 * p2 - p3) + t * (3.0 * (p1 - p2) + p3 - p0))))
    };
    (
        axis(before.0, a.0, b.0, after.0),
        axis(before.1, a.1, b.1, after.1),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stroke_lies_in_the_box_of_the_digits() {
        for stroke in DIGITS
            .iter()
            .flat_map(|ways| ways.iter())
            .flat_map(|way| way.iter())
        {
            assert!(stroke.points().len() > 1);
            for (x, y) in stroke.chain(stroke.points(), 6) {
                assert!(
                    (-0.34..=0.34).contains(&x) && (-0.54..=0.54).contains(&y),
                    "{x} {y}"
                );
            }
        }
    }

    #[test]
    fn a_chain_goes_through_its_points_and_lines_are_straight() {
        let curve = DIGITS[2][1][0];
        let chain = curve.chain(curve.points(), 4);
        for (place, point) in curve.points().iter().enumerate() {
            let (x, y) = chain[place * 4];
            assert!((x - point.0).abs() < 1e-12 && (y - point.1).abs() < 1e-12);
        }
        let line = DIGITS[1][0][0];
        assert!(line
            .chain(line.points(), 5)
            .iter()
            .all(|point| point.0 == 0.0));
    }
}
