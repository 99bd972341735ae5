//! Names of curves, each beside its curve where it hides least.

use super::axes::{within, Axes};
use super::canvas::{Canvas, Color, Stroke, TextAnchor};
use super::text;

/// Font size of the name of a highlighted curve in pixels.
const SIZE: f64 = 16.0;
/// Font size of that of another one.
const SMALL: f64 = 14.0;
/// Height of a line of letters over their size.
const LINE: f64 = 1.15;
/// Pixels between two places of a curve at which its name is tried.
const STEP: f64 = 14.0;
/// Distances of a name from its curve that are tried, in pixels.
const DISTANCES: [f64; 4] = [9.0, 22.0, 42.0, 70.0];
/// A name nearer than this has no leader.
const NEAR: f64 = 12.0;
/// What a name may hide: a curve that is not highlighted, a highlighted one, another name.
const HIDES_OTHER: f64 = 5.0;
const HIDES_STRONG: f64 = 14.0;
const HIDES_NAME: f64 = 400.0;
/// Most names of curves that are not highlighted in a panel.
const MOST_OTHERS: usize = 4;

type Spot = (f64, f64);

/// A curve in pixels, with its name.
#[derive(Clone, Debug)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) color: Color,
    /// Highlighted: named in any case; others only where their names hide nothing.
    pub(super) strong: bool,
    /// Its lines; a single place is a line of one.
    pub(super) lines: Vec<Vec<Spot>>,
}

/// A rectangle: left, top, right, bottom.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rectangle(f64, f64, f64, f64);

impl Rectangle {
    fn around((x, y): Spot, width: f64, height: f64) -> Self {
        Self(
            x - width / 2.0,
            y - height / 2.0,
            x + width / 2.0,
            y + height / 2.0,
        )
    }

    fn overlaps(self, other: Self) -> bool {
        self.0 < other.2 && other.0 < self.2 && self.1 < other.3 && other.1 < self.3
    }

    fn is_within(self, (left, top, right, bottom): (f64, f64, f64, f64)) -> bool {
        self.0 >= left && self.1 >= top && self.2 <= right && self.3 <= bottom
    }

    /// The place in it that is nearest to another one.
    fn nearest(self, (x, y): Spot) -> Spot {
        (x.clamp(self.0, self.2), y.clamp(self.1, self.3))
    }

    fn away(self, at: Spot) -> f64 {
        distance(self.nearest(at), at)
    }

    /// True where a segment runs through it.
    fn is_crossed(self, (from, to): (Spot, Spot)) -> bool {
        within((self.0, self.1, self.2, self.3), from, to).is_some()
    }
}

fn distance(a: Spot, b: Spot) -> f64 {
    (a.0 - b.0).hypot(a.1 - b.1)
}

/// A name where it will stand.
#[derive(Clone, Copy, Debug)]
struct Place {
    rectangle: Rectangle,
    anchor: Spot,
    cost: f64,
}

/// Draws the names of curves on a panel: all of highlighted ones, and of others a few that hide nothing. What has no
/// name is not to be hidden.
pub(super) fn draw(canvas: &mut Canvas<'_>, axes: &Axes, curves: &[Named]) {
    let mut taken: Vec<Rectangle> = Vec::new();
    let mut others = 0;
    let named = curves
        .iter()
        .enumerate()
        .filter(|(_, c)| !c.name.is_empty());
    let (strong, weak): (Vec<_>, Vec<_>) = named.partition(|(_, curve)| curve.strong);
    for (own, curve) in strong.into_iter().chain(weak) {
        let place = best(axes, curves, own, &taken);
        let wanted =
            |place: &Place| curve.strong || (place.cost < HIDES_OTHER && others < MOST_OTHERS);
        let Some(place) = place.filter(wanted) else {
            continue;
        };
        others += usize::from(!curve.strong);
        taken.push(place.rectangle);
        write(canvas, curve, place);
    }
}

fn size(curve: &Named) -> f64 {
    if curve.strong {
        SIZE
    } else {
        SMALL
    }
}

fn write(canvas: &mut Canvas<'_>, curve: &Named, place: Place) {
    let Rectangle(left, top, right, bottom) = place.rectangle;
    let end = place.rectangle.nearest(place.anchor);
    if distance(end, place.anchor) > NEAR {
        canvas.line(end, place.anchor, Stroke::solid(curve.color, 1.0));
    }
    let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
    canvas.polygon(&corners, Color::WHITE.at(0.8));
    canvas.colored(
        ((left + right) / 2.0, (top + bottom) / 2.0),
        &curve.name,
        size(curve),
        curve.color.text(),
        TextAnchor::Center,
    );
}

/// The place of least cost; `None` where the panel holds no place of the curve, or is too narrow for the name.
fn best(axes: &Axes, curves: &[Named], own: usize, taken: &[Rectangle]) -> Option<Place> {
    let curve = &curves[own];
    let width = text::width(&curve.name, size(curve)) + 6.0;
    let height = LINE * size(curve) + 2.0;
    let mut best: Option<Place> = None;
    for anchor in anchors(axes, curve) {
        for turn in 0..8 {
            let angle = f64::from(turn) * std::f64::consts::FRAC_PI_4;
            let (sin, cos) = angle.sin_cos();
            for away in DISTANCES {
                // the middle of an edge, or a corner, lies so far from the curve
                let middle = (
                    anchor.0 + cos * away + sign(cos) * width / 2.0,
                    anchor.1 + sin * away + sign(sin) * height / 2.0,
                );
                let rectangle = Rectangle::around(middle, width, height);
                if !rectangle.is_within(axes.area) {
                    continue;
                }
                let cost = 0.08 * away + cost(rectangle, anchor, curves, own, taken);
                if best.is_none_or(|best| cost < best.cost) {
                    best = Some(Place {
                        rectangle,
                        anchor,
                        cost,
                    });
                }
            }
        }
    }
    best
}

/// -1, 0 or 1.
fn sign(x: f64) -> f64 {
    if x.abs() < 1e-6 {
        0.0
    } else {
        x.signum()
    }
}

/// Places along a curve on the panel.
fn anchors(axes: &Axes, curve: &Named) -> Vec<Spot> {
    let mut all = Vec::new();
    for line in &curve.lines {
        if let [only] = line.as_slice() {
            all.push(*only);
        }
        for pair in line.windows(2) {
            let (from, to) = (pair[0], pair[1]);
            // a few, where the curve has very many places
            let parts = (distance(from, to) / STEP).ceil().clamp(1.0, 40.0);
            for part in 0..=parts as usize {
                let t = part as f64 / parts;
                all.push((from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)));
            }
        }
    }
    all.retain(|at| axes.holds(*at));
    let every = all.len().div_ceil(120).max(1);
    all.into_iter().step_by(every).collect()
}

fn cost(
    rectangle: Rectangle,
    anchor: Spot,
    curves: &[Named],
    own: usize,
    taken: &[Rectangle],
) -> f64 {
    let names = taken
        .iter()
        .filter(|other| other.overlaps(rectangle))
        .count();
    let mut cost = HIDES_NAME * names as f64;
    let leader = (rectangle.nearest(anchor), anchor);
    let to_own = distance(leader.0, leader.1);
    for (i, curve) in curves.iter().enumerate() {
        let weight = if curve.strong {
            HIDES_STRONG
        } else {
            HIDES_OTHER
        };
        let mut nearest = f64::INFINITY;
        for line in &curve.lines {
            for pair in line.windows(2) {
                if rectangle.is_crossed((pair[0], pair[1])) {
                    cost += weight;
                }
                if i != own && crosses(leader, (pair[0], pair[1])) {
                    cost += weight / 2.0;
                }
            }
            for spot in line {
                nearest = nearest.min(rectangle.away(*spot));
            }
        }
        // nearer to another highlighted curve than to its own: it would be read as the name of that one
        if i != own && curve.strong && nearest < to_own + 6.0 {
            cost += 6.0;
        }
    }
    cost
}

/// True where two segments cross.
fn crosses((a, b): (Spot, Spot), (c, d): (Spot, Spot)) -> bool {
    let side = |p: Spot, q: Spot, r: Spot| (q.0 - p.0) * (r.1 - p.1) - (q.1 - p.1) * (r.0 - p.0);
    side(a, b, c) * side(a, b, d) < 0.0 && side(c, d, a) * side(c, d, b) < 0.0
}

#[cfg(test)]
mod tests {
    use super::super::axes::Axis;
    use super::super::canvas::drawn;
    use super::*;

    fn axes() -> Axes {
        Axes {
            x: Axis::linear("x", 0.0, 1.0, 5),
            y: Axis::linear("y", 0.0, 1.0, 5),
            area: (50.0, 50.0, 650.0, 450.0),
        }
    }

    fn curve(name: &str, strong: bool, line: &[Spot]) -> Named {
        Named {
            name: name.into(),
            color: Color::INK,
            strong,
            lines: vec![line.to_vec()],
        }
    }

    #[test]
    fn a_name_stands_beside_its_curve_and_hides_no_curve_and_no_name() {
        let curves = [
            curve(
                "one",
                true,
                &[(60.0, 400.0), (300.0, 120.0), (640.0, 100.0)],
            ),
            curve(
                "two",
                true,
                &[(60.0, 420.0), (380.0, 130.0), (640.0, 104.0)],
            ),
            curve(
                "three",
                true,
                &[(60.0, 440.0), (460.0, 140.0), (640.0, 108.0)],
            ),
        ];
        let mut taken = Vec::new();
        for own in 0..3 {
            let place = best(&axes(), &curves, own, &taken).unwrap();
            assert!(place.cost < HIDES_OTHER, "{place:?}");
            assert!(place.rectangle.away(place.anchor) < 30.0);
            taken.push(place.rectangle);
        }
    }

    #[test]
    fn other_curves_are_named_where_it_hides_nothing_and_else_left_out() {
        let strong = curve("strong", true, &[(60.0, 100.0), (640.0, 100.0)]);
        let free = curve("free", false, &[(60.0, 300.0), (640.0, 300.0)]);
        let crowd = (0..60).map(|i| {
            let y = 330.0 + 2.0 * f64::from(i);
            curve(&format!("other {i}"), false, &[(60.0, y), (640.0, y)])
        });
        let curves: Vec<Named> = [strong, free].into_iter().chain(crowd).collect();
        let svg = drawn(500.0, "t", |canvas| draw(canvas, &axes(), &curves));
        assert!(svg.contains("strong") && svg.contains("free"));
        assert!(!svg.contains("other 30") && svg.matches("other ").count() < MOST_OTHERS);
        // none on a curve that does not reach the panel
        let outside = curve("outside", true, &[(900.0, 900.0), (990.0, 900.0)]);
        assert!(best(&axes(), &[outside], 0, &[]).is_none());
    }

    #[test]
    fn segments_through_a_rectangle_are_found() {
        let square = Rectangle(0.0, 0.0, 10.0, 10.0);
        assert!(square.is_crossed(((-5.0, 5.0), (15.0, 5.0))));
        assert!(square.is_crossed(((2.0, 2.0), (3.0, 3.0))));
        assert!(!square.is_crossed(((-5.0, 12.0), (15.0, 12.0))));
        assert!(crosses(((0.0, 0.0), (2.0, 2.0)), ((0.0, 2.0), (2.0, 0.0))));
        assert!(!crosses(((0.0, 0.0), (1.0, 1.0)), ((3.0, 0.0), (3.0, 9.0))));
    }
}
