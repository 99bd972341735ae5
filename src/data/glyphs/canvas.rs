//! Round pen strokes and dots with soft edges on a small square of ink; what is drawn is for others.

use super::skeleton::Point;

/// Rows and columns of the square.
pub(super) const SIDE: usize = 28;

/// Coverage with ink, 0 to 1, row after row.
#[derive(Clone, Debug)]
pub(super) struct Canvas {
    ink: [f64; SIDE * SIDE],
}

/// The pen: a disc of this radius whose edge fades over `softness`, both in pixels.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pen {
    pub(super) radius: f64,
    pub(super) softness: f64,
    /// Coverage in the middle of the stroke, 0 to 1.
    pub(super) strength: f64,
}

impl Canvas {
    pub(super) fn new() -> Self {
        Self {
            ink: [0.0; SIDE * SIDE],
        }
    }

    /// Coverage of each pixel.
    pub(super) fn ink(&self) -> &[f64; SIDE * SIDE] {
        &self.ink
    }

    /// Draws straight pieces from point to point, in pixels (the middle of the first pixel is (0.5, 0.5)).
    /// `pen` gives the pen of each piece. Ink does not add up: the strongest piece counts.
    pub(super) fn chain(&mut self, points: &[Point], pen: impl Fn(usize) -> Pen) {
        for (place, ends) in points.windows(2).enumerate() {
            let pen = pen(place);
            self.paint(ends[0], ends[1], pen, |ink, cover| {
                ink.max(cover * pen.strength)
            });
        }
    }

    /// Takes ink away in a disc.
    pub(super) fn rub_out(&mut self, at: Point, pen: Pen) {
        self.paint(at, at, pen, |ink, cover| ink * (1.0 - cover * pen.strength));
    }

    /// Changes every pixel near the piece `a` to `b`, by its present ink and the pen's coverage of it.
    fn paint(&mut self, a: Point, b: Point, pen: Pen, change: impl Fn(f64, f64) -> f64) {
        let reach = pen.radius + 0.5 * pen.softness;
        let span = |low: f64, high: f64| {
            let first = (low - reach - 0.5).ceil().clamp(0.0, SIDE as f64) as usize;
            let end = ((high + reach - 0.5).floor() + 1.0).clamp(0.0, SIDE as f64) as usize;
            first..end
        };
        for row in span(a.1.min(b.1), a.1.max(b.1)) {
            for column in span(a.0.min(b.0), a.0.max(b.0)) {
                let distance = distance((column as f64 + 0.5, row as f64 + 0.5), a, b);
                let t = ((reach - distance) / pen.softness).clamp(0.0, 1.0);
                let pixel = &mut self.ink[row * SIDE + column];
                *pixel = change(*pixel, t * t * (3.0 - 2.0 * t));
            }
        }
    }
}

/// Distance of a point from the straight piece `a` to `b`.
fn distance(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.0 - a.0, b.1 - a.1);
    let length = dx * dx + dy * dy;
    let along = if length > 0.0 {
        ((p.0 - a.0) * dx + (p.1 - a.1) * dy) / length
    } else {
        0.0
    };
    let t = along.clamp(0.0, 1.0);
    ((p.0 - a.0 - t * dx).powi(2) + (p.1 - a.1 - t * dy).powi(2)).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_covers_what_its_radius_reaches() {
        let mut canvas = Canvas::new();
        let pen = Pen {
            radius: 1.5,
            softness: 0.2,
            strength: 0.8,
        };
        canvas.chain(&[(5.5, 10.5), (20.5, 10.5)], |_| pen);
        let at = |row: usize, column: usize| canvas.ink()[row * SIDE + column];
        assert_eq!(at(10, 12), 0.8);
        assert_eq!(at(11, 12), 0.8);
        assert_eq!(at(12, 12), 0.0);
        assert_eq!((at(10, 4), at(10, 3)), (0.8, 0.0));
        let covered = canvas.ink().iter().filter(|&&ink| ink > 0.0).count();
        assert_eq!(covered, 3 * 18);
    }

    #[test]
    fn strokes_outside_leave_no_ink_and_rubbing_out_takes_it_away() {
        let mut canvas = Canvas::new();
        let pen = Pen {
            radius: 1.0,
            softness: 1.0,
            strength: 1.0,
        };
        canvas.chain(&[(-50.0, -9.0), (90.0, -3.0)], |_| pen);
        assert!(canvas.ink().iter().all(|&ink| ink == 0.0));
        canvas.chain(&[(14.0, -50.0), (14.0, 90.0)], |_| pen);
        assert!((0..SIDE).all(|row| canvas.ink()[row * SIDE + 14] > 0.4));
        canvas.rub_out((14.0, 14.0), Pen { radius: 3.0, ..pen });
        assert_eq!(canvas.ink()[14 * SIDE + 14], 0.0);
        assert!(canvas.ink()[2 * SIDE + 14] > 0.4);
    }

    #[test]
    fn distance_is_to_the_piece_not_to_its_line() {
        assert_eq!(distance((0.0, 3.0), (-1.0, 0.0), (1.0, 0.0)), 3.0);
        assert_eq!(distance((4.0, 4.0), (-1.0, 0.0), (1.0, 0.0)), 5.0);
        assert_eq!(distance((3.0, 4.0), (0.0, 0.0), (0.0, 0.0)), 5.0);
    }
}
