//! Axes and the plane between them: scales, ticks, grid, and clipped lines, bands and markers.
//! Which data are drawn is left to the figures.

use super::canvas::{Canvas, Color, Stroke, TextAnchor};
use super::marker::{marker, Shape};
use super::text;
use crate::stats::{ends, probit};

/// Font size of tick labels in pixels.
pub(super) const TICK_SIZE: f64 = 16.0;
/// Font size of axis labels in pixels.
pub(super) const LABEL_SIZE: f64 = 17.0;

/// Fraction of a logarithmic axis that is set aside for 0 where 0 is on it.
const ZERO_SHARE: f64 = 0.10;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Scale {
    Linear,
    Logarithmic { zero: bool },
}

/// A labelled axis from `low` to `high`, in the unit of its label.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// What is on it, with its unit.
    pub(super) label: String,
    low: f64,
    high: f64,
    scale: Scale,
    ticks: Vec<(f64, String)>,
    minor: Vec<f64>,
}

impl Axis {
    /// A linear axis over exactly this span (widened where it is empty), with about `count` ticks.
    pub(super) fn linear(label: &str, low: f64, high: f64, count: usize) -> Self {
        let (low, high) = if high - low > 1e-9 * high.abs().max(1e-3) {
            (low, high)
        } else {
            let pad = (0.05 * low.abs()).max(1e-3);
            (low - pad, high + pad)
        };
        let step = step(high - low, count);
        let decimals = decimals(step);
        let (first, last) = (
            (low / step - 1e-6).ceil() as i64,
            (high / step + 1e-6).floor() as i64,
        );
        let ticks = (first..=last).take(100).map(|i| {
            let value = i as f64 * step;
            let label =
                format!("{:.decimals$}", if i == 0 { 0.0 } else { value }).replace('-', "−");
            (value, label)
        });
        let ticks = ticks.collect();
        Self {
            label: label.into(),
            low,
            high,
            scale: Scale::Linear,
            ticks,
            minor: Vec::new(),
        }
    }

    /// A linear axis of rows with these names, from the first one down; they are 1 high.
    pub(super) fn of_rows(label: &str, names: &[&str]) -> Self {
        let count = names.len();
        let rows = names.iter().enumerate();
        let ticks = rows.map(|(i, name)| (middle_of_row(i, count), (*name).to_owned()));
        Self {
            ticks: ticks.collect(),
            ..Self::linear(label, 0.0, count as f64, 1).bare()
        }
    }

    /// The same axis without ticks, for places that have names.
    pub(super) fn bare(self) -> Self {
        Self {
            ticks: Vec::new(),
            minor: Vec::new(),
            ..self
        }
    }

    /// A linear axis that ends on ticks, inside `within`.
    pub(super) fn rounded(
        label: &str,
        low: f64,
        high: f64,
        count: usize,
        within: (f64, f64),
    ) -> Self {
        let span = if high > low {
            high - low
        } else {
            (0.02 * high.abs()).max(1.0)
        };
        let step = step(span, count);
        // an end that lies on a tick but for a rounding error stays there
        let mut low_end = (((low / step + 1e-6).floor()) * step).max(within.0);
        let mut high_end = (((high / step - 1e-6).ceil()) * step).min(within.1);
        if high_end - low_end < 0.5 * step {
            (low_end, high_end) = (
                (low_end - step).max(within.0),
                (high_end + step).min(within.1),
            );
        }
        Self::linear(label, low_end, high_end, count)
    }

    /// A logarithmic axis that holds the positive `values`, and a place for 0 where `zero` is set.
    /// Without a positive value it spans 10⁻⁶ to 1.
    pub(super) fn logarithmic(label: &str, values: impl Iterator<Item = f64>, zero: bool) -> Self {
        let (mut low, mut high) = ends(values.filter(|v| *v > 0.0 && v.is_finite()));
        if low > high {
            (low, high) = (1e-6, 1.0);
        }
        (low, high) = (round_down(low.max(1e-15)), round_up(high.max(2e-15)));
        if high / low < 10.0 {
            (low, high) = (low / 3.0, (high * 3.0).min(high.max(1.0)));
        }
        let decades: Vec<i32> =
            ((low.log10() - 1e-9).ceil() as i32..=(high.log10() + 1e-9).floor() as i32).collect();
        let every = decades.len().div_ceil(9).max(1);
        let mut ticks = Vec::new();
        if zero {
            ticks.push((0.0, "0".to_owned()));
        }
        // Counted from the top, so that the largest decade always has its label.
        for exponent in decades.iter().rev().step_by(every).rev() {
            ticks.push((10f64.powi(*exponent), text::power_of_ten(*exponent)));
        }
        let minor = |exponent: i32| (2..10).map(move |m| f64::from(m) * 10f64.powi(exponent));
        let minor = decades
            .iter()
            .flat_map(|e| minor(*e))
            .chain(minor(decades.first().map_or(0, |e| e - 1)));
        let minor: Vec<f64> = minor.filter(|v| (low..=high).contains(v)).collect();
        if decades.len() < 2 {
            let more = minor.iter().filter(|v| [2.0, 5.0].contains(&mantissa(**v)));
            ticks.extend(more.map(|v| (*v, text::rate(*v))));
        }
        let minor = if decades.len() > 7 { Vec::new() } else { minor };
        Self {
            label: label.into(),
            low,
            high,
            scale: Scale::Logarithmic { zero },
            ticks,
            minor,
        }
    }

    /// An axis of rates in (0, 1) that is linear in `Φ⁻¹`, on which a normal distribution is a straight line: places
    /// are asked for by probit. Ticks are powers of ten, and 0.5.
    pub(super) fn probit(label: &str, rates: impl Iterator<Item = f64>) -> Self {
        let (low, high) = ends(rates.map(probit).filter(|z| z.is_finite()));
        let pad = 0.04 * (high - low);
        let mut axis = Self::linear(label, low - pad, high + pad, 6);
        let within = |(z, _): &(f64, String)| (axis.low..=axis.high).contains(z);
        let named = (1..=15).map(|e| (probit(10f64.powi(-e)), text::power_of_ten(-e)));
        let decades: Vec<_> = named
            .chain([(0.0, "0.5".to_owned())])
            .filter(within)
            .collect();
        let finer = (1..=15).flat_map(|e| [1.0, 2.0, 5.0].map(|m| m * 10f64.powi(-e)));
        let finer = finer
            .map(|rate| (probit(rate), text::rate(rate)))
            .filter(within);
        axis.ticks = if decades.len() < 2 {
            finer.collect()
        } else {
            decades
        };
        axis
    }

    /// Place of a value along the axis: 0 at its lower end, 1 at its upper end.
    pub(super) fn place(&self, value: f64) -> f64 {
        match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Logarithmic { zero } => {
                let start = if zero { ZERO_SHARE } else { 0.0 };
                if value <= 0.0 {
                    return if zero { 0.35 * ZERO_SHARE } else { -1.0 };
                }
                start + (1.0 - start) * (value / self.low).log10() / (self.high / self.low).log10()
            }
        }
    }

    /// Labelled places.
    pub(super) fn ticks(&self) -> &[(f64, String)] {
        &self.ticks
    }

    /// The lower and the upper end.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }

    /// Width of the widest tick label in pixels.
    pub(super) fn tick_width(&self) -> f64 {
        self.ticks
            .iter()
            .map(|(_, label)| text::width(label, TICK_SIZE))
            .fold(0.0, f64::max)
    }
}

/// Place of a row on an axis of so many, from the first one down.
pub(super) fn middle_of_row(row: usize, count: usize) -> f64 {
    count as f64 - row as f64 - 0.5
}

/// A round step (1, 2 or 5 times a power of ten) that divides a span into about `count` parts.
fn step(span: f64, count: usize) -> f64 {
    let raw = span / count.max(1) as f64;
    // a step that is too small by a rounding error alone is not passed over for one of twice its size
    let power = 10f64.powf(raw.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|m| m * power)
        .find(|s| *s >= 0.999 * raw)
        .unwrap_or(10.0 * power)
}

fn decimals(step: f64) -> usize {
    (-(step.log10() + 1e-9).floor()).clamp(0.0, 9.0) as usize
}

fn mantissa(value: f64) -> f64 {
    (value / 10f64.powf((value.log10() + 1e-9).floor())).round()
}

fn round_up(value: f64) -> f64 {
    let power = 10f64.powf((value.log10() + 1e-9).floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|m| m * power)
        .find(|v| *v >= 0.9999 * value)
        .unwrap_or(10.0 * power)
}

fn round_down(value: f64) -> f64 {
    let power = 10f64.powf((value.log10() + 1e-9).floor());
    [5.0, 2.0]
        .into_iter()
        .map(|m| m * power)
        .find(|v| *v <= 1.0001 * value)
        .unwrap_or(power)
}

/// The plane between two axes, on a rectangle of the canvas.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// Horizontal axis.
    pub(super) x: Axis,
    /// Vertical axis.
    pub(super) y: Axis,
    /// Left, top, right, bottom in pixels.
    pub(super) area: (f64, f64, f64, f64),
}

impl Axes {
    /// Pixels of a point.
    pub(super) fn at(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.across(x), self.up(y))
    }

    /// Pixels from the left edge of the canvas of a value on the horizontal axis.
    pub(super) fn across(&self, x: f64) -> f64 {
        let (left, _, right, _) = self.area;
        left + (right - left) * self.x.place(x)
    }

    /// Pixels from the upper edge of the canvas of a value on the vertical axis.
    fn up(&self, y: f64) -> f64 {
        let (_, top, _, bottom) = self.area;
        bottom - (bottom - top) * self.y.place(y)
    }

    /// True where pixels lie on the plane, its edge included.
    pub(super) fn holds(&self, (x, y): (f64, f64)) -> bool {
        let (left, top, right, bottom) = self.area;
        (left - 0.01..=right + 0.01).contains(&x) && (top - 0.01..=bottom + 0.01).contains(&y)
    }

    /// Grid lines, under the data.
    pub(super) fn grid(&self, canvas: &mut Canvas<'_>) {
        let (left, _, right, _) = self.area;
        let stroke = Stroke::solid(Color::GRID, 1.0);
        for (value, _) in &self.x.ticks {
            self.vertical(canvas, *value, stroke);
        }
        for (value, _) in &self.y.ticks {
            let y = self.up(*value);
            canvas.line((left, y), (right, y), stroke);
        }
    }

    /// A line over the whole height at a value of the horizontal axis.
    pub(super) fn vertical(&self, canvas: &mut Canvas<'_>, x: f64, stroke: Stroke) {
        let (_, top, _, bottom) = self.area;
        let x = self.across(x);
        canvas.line((x, top), (x, bottom), stroke);
    }

    /// A line over the whole width at a value of the vertical axis; none where the plane does not hold it.
    pub(super) fn horizontal(&self, canvas: &mut Canvas<'_>, y: f64, stroke: Stroke) {
        self.line(canvas, &[(self.x.low, y), (self.x.high, y)], stroke);
    }

    /// A marker of a data point; none where the plane does not hold it.
    pub(super) fn marker(
        &self,
        canvas: &mut Canvas<'_>,
        point: (f64, f64),
        (shape, color): (Shape, Color),
        radius: f64,
        hollow: bool,
    ) {
        let at = self.at(point);
        if self.holds(at) {
            marker(canvas, at, shape, radius, color, hollow);
        }
    }

    /// Frame, ticks and labels, over the data. `bottom_labels` is false for a panel whose horizontal
    /// axis is labelled by the panel below; `tick_width` is the widest vertical tick label of all panels.
    pub(super) fn frame(&self, canvas: &mut Canvas<'_>, bottom_labels: bool, tick_width: f64) {
        let (left, top, right, bottom) = self.area;
        let ink = Stroke::solid(Color::INK, 1.2);
        let corners = [(left, top), (right, top), (right, bottom), (left, bottom)];
        canvas.outline(&corners, Color::INK, 1.2);
        for value in &self.x.minor {
            let x = self.across(*value);
            canvas.line((x, bottom), (x, bottom + 3.0), ink);
        }
        for value in &self.y.minor {
            let y = self.up(*value);
            canvas.line((left - 3.0, y), (left, y), ink);
        }
        for (value, label) in &self.x.ticks {
            let x = self.across(*value);
            canvas.line((x, bottom), (x, bottom + 6.0), ink);
            if bottom_labels {
                canvas.text((x, bottom + 18.0), label, TICK_SIZE, TextAnchor::Center);
            }
        }
        for (value, label) in &self.y.ticks {
            let y = self.up(*value);
            canvas.line((left - 6.0, y), (left, y), ink);
            canvas.text((left - 10.0, y), label, TICK_SIZE, TextAnchor::Right);
        }
        if bottom_labels && !self.x.label.is_empty() {
            let middle = ((left + right) / 2.0, bottom + 42.0);
            canvas.text(middle, &self.x.label, LABEL_SIZE, TextAnchor::Center);
        }
        if !self.y.label.is_empty() {
            let x = (left - 10.0 - tick_width - 18.0).max(12.0);
            let middle = (x, (top + bottom) / 2.0);
            canvas.text(middle, &self.y.label, LABEL_SIZE, TextAnchor::Upward);
        }
        if self.x.scale == (Scale::Logarithmic { zero: true }) {
            self.break_marks(canvas);
        }
    }

    /// Two slanted strokes over a gap of the lower and the upper edge: the axis is broken between 0
    /// and its positive part.
    fn break_marks(&self, canvas: &mut Canvas<'_>) {
        let (left, top, right, bottom) = self.area;
        let x = left + (right - left) * 0.72 * ZERO_SHARE;
        for y in [top, bottom] {
            let corners = [
                (x - 5.0, y + 7.0),
                (x + 1.0, y - 7.0),
                (x + 5.0, y - 7.0),
                (x - 1.0, y + 7.0),
            ];
            canvas.polygon(&corners, Color::WHITE);
            canvas.line(corners[0], corners[1], Stroke::solid(Color::INK, 1.2));
            canvas.line(corners[3], corners[2], Stroke::solid(Color::INK, 1.2));
        }
    }

    /// A line through data points, cut off at the edges.
    pub(super) fn line(&self, canvas: &mut Canvas<'_>, points: &[(f64, f64)], stroke: Stroke) {
        let mut run: Vec<(f64, f64)> = Vec::new();
        for pair in points.windows(2) {
            let Some((from, to)) = self.clipped(self.at(pair[0]), self.at(pair[1])) else {
                continue;
            };
            if run.last() != Some(&from) {
                canvas.polyline(&run, stroke);
                run = vec![from];
            }
            run.push(to);
        }
        canvas.polyline(&run, stroke);
    }

    /// The area between two curves over the same abscissae (`(x, low, high)`), cut off at the edges.
    pub(super) fn band(&self, canvas: &mut Canvas<'_>, points: &[(f64, f64, f64)], color: Color) {
        let lower = points.iter().map(|(x, low, _)| self.at((*x, *low)));
        let upper = points.iter().rev().map(|(x, _, high)| self.at((*x, *high)));
        let (left, top, right, bottom) = self.area;
        let mut corners: Vec<_> = lower.chain(upper).collect();
        for inside in [
            &(|p: (f64, f64)| p.0 - left) as &dyn Fn((f64, f64)) -> f64,
            &|p| right - p.0,
            &|p| p.1 - top,
            &|p| bottom - p.1,
        ] {
            corners = half_plane(&corners, inside);
        }
        canvas.polygon(&corners, color);
    }

    /// The part of a segment that lies on the plane.
    fn clipped(&self, from: (f64, f64), to: (f64, f64)) -> Option<((f64, f64), (f64, f64))> {
        let (start, end) = within(self.area, from, to)?;
        let on = |t: f64| {
            // the very end, without a rounding error: the next segment begins there
            if t == 1.0 {
                return to;
            }
            (from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1))
        };
        Some((on(start), on(end)))
    }
}

/// From where to where a segment lies in a rectangle, as fractions of its length (Liang and Barsky); `None` where it
/// misses it.
pub(super) fn within(
    (left, top, right, bottom): (f64, f64, f64, f64),
    from: (f64, f64),
    to: (f64, f64),
) -> Option<(f64, f64)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut start, mut end) = (0.0_f64, 1.0_f64);
    for (p, q) in [
        (-dx, from.0 - left),
        (dx, right - from.0),
        (-dy, from.1 - top),
        (dy, bottom - from.1),
    ] {
        if p == 0.0 {
            if q < 0.0 {
                return None;
            }
        } else if p < 0.0 {
            start = start.max(q / p);
        } else {
            end = end.min(q / p);
        }
    }
    (start <= end).then_some((start, end))
}

/// The part of a polygon where `inside` is not negative (Sutherland and Hodgman).
fn half_plane(corners: &[(f64, f64)], inside: &dyn Fn((f64, f64)) -> f64) -> Vec<(f64, f64)> {
    let mut kept = Vec::new();
    for (i, &to) in corners.iter().enumerate() {
        let from = corners[(i + corners.len() - 1) % corners.len()];
        let (a, b) = (inside(from), inside(to));
        if (a < 0.0) != (b < 0.0) {
            let t = a / (a - b);
            kept.push((from.0 + t * (to.0 - from.0), from.1 + t * (to.1 - from.1)));
        }
        if b >= 0.0 {
            kept.push(to);
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_inside() {
        assert_eq!(
            labels(&Axis::linear("V", 0.74, 1.01, 6)),
            ["0.75", "0.80", "0.85", "0.90", "0.95", "1.00"]
        );
        let axis = Axis::rounded("%", 43.0, 97.2, 6, (0.0, 100.0));
        assert_eq!(axis.ends(), (40.0, 100.0));
        assert_eq!(labels(&axis), ["40", "50", "60", "70", "80", "90", "100"]);
    }

    #[test]
    fn an_empty_span_still_has_an_axis() {
        for value in [0.0, 0.1, 1.0, 97.0, 100.0] {
            for axis in [
                Axis::linear("x", value, value, 6),
                Axis::rounded("x", value, value, 6, (0.0, 100.0)),
                Axis::logarithmic("x", std::iter::once(value), true),
            ] {
                let (low, high) = axis.ends();
                assert!(
                    low < high && low.is_finite() && high.is_finite(),
                    "{value}: {low} to {high}"
                );
                assert!((-1e-9..=1.0 + 1e-9).contains(&axis.place(value)), "{value}");
                assert!(!axis.ticks.is_empty());
            }
        }
    }

    #[test]
    fn zero_has_its_own_place_left_of_every_rate() {
        let axis = Axis::logarithmic("BER", [0.0, 1e-6, 0.2].into_iter(), true);
        assert!(axis.place(0.0) > 0.0 && axis.place(0.0) < axis.place(1e-6));
        assert_eq!(
            labels(&axis),
            ["0", "10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹"]
        );
        assert!((axis.place(0.2) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn lines_and_bands_are_cut_at_the_edges() {
        let axes = Axes {
            x: Axis::linear("x", 0.0, 10.0, 5),
            y: Axis::linear("y", 0.0, 10.0, 5),
            area: (0.0, 0.0, 100.0, 100.0),
        };
        assert_eq!(
            axes.clipped((-50.0, 50.0), (50.0, 50.0)),
            Some(((0.0, 50.0), (50.0, 50.0)))
        );
        assert_eq!(axes.clipped((-50.0, 50.0), (-10.0, 50.0)), None);
        let square = [(-10.0, -10.0), (10.0, -10.0), (10.0, 10.0), (-10.0, 10.0)];
        let half = half_plane(&square, &|p| p.0);
        assert!(half.len() == 4 && half.iter().all(|p| p.0 >= 0.0));
    }
}
