//! The figure `memory_fit`: measured bit error rates and the fitted probit line, on an axis on which the line is
//! straight, and how far the measurements lie from it.

use super::axes::{Axes, Axis};
use super::canvas::{Canvas, Color, Stroke};
use super::curves::voltage_axis;
use super::layout::{layout, Panel};
use super::legend::{Legend, Sample};
use super::marker::{marker, Shape};
use super::palette::PALETTE;
use super::Figure;
use crate::memory::{Fit, FittedPoint};
use crate::stats::probit;
use crate::units::VoltageUnit;

const LINE: Color = PALETTE[1];
const MEASURED: Color = PALETTE[0];

/// Draws the figure of a fit of the memory model `name`.
pub fn memory_fit(name: &str, unit: VoltageUnit, fit: &Fit) -> Figure {
    let symbol = if unit == VoltageUnit::Volt {
        "V"
    } else {
        "Vmin"
    };
    let shown: Vec<&FittedPoint> = fit.points.iter().filter(|p| upper(p).is_some()).collect();
    let x = voltage_axis(unit, shown.iter().map(|p| p.voltage), 9);
    let (low, high) = x.ends();
    let rates = shown
        .iter()
        .flat_map(|p| [Some(p.fitted), upper(p), lower(p)])
        .flatten();
    let rates = rates
        .chain([fit.rate(high), fit.rate(low)])
        .filter(|r| *r > 1e-14);
    let ratios = shown
        .iter()
        .flat_map(|p| [upper(p), lower(p)].map(|end| Some(end? / p.fitted)))
        .flatten();
    let y = Axis::probit("Bit error rate", rates);
    let (_, top) = y.ends();
    let ratios = Axis::logarithmic("Measured / fitted", ratios.chain([1.0]), false);
    let panels = vec![
        Panel::new(x.clone(), y, 320.0).unlabelled(),
        Panel::new(x, ratios, 180.0),
    ];
    let mut legend = Legend::default();
    let digits = |p: &crate::memory::Parameter| match p.interval {
        Some(i) => format!("{:.4} ({:.4} to {:.4}) {symbol}", p.value, i.low, i.high),
        None => format!("{:.4} {symbol}", p.value),
    };
    let (mu, sigma) = (digits(&fit.mu), digits(&fit.sigma));
    let fitted = format!("fitted: μ = {mu}, σ = {sigma}");
    legend.add(Sample::Line(Stroke::solid(LINE, 2.4)), fitted);
    legend.add(Sample::Marker(Shape::Circle, MEASURED, false), "measured");
    if shown.iter().any(|p| p.interval.is_some()) {
        legend.add(Sample::Whisker, "95 % interval of the measured rate");
    }
    if shown.iter().any(|p| p.measured <= 0.0) {
        let sample = Sample::Marker(Shape::TriangleDown, MEASURED, true);
        legend.add(sample, "no failure seen: upper end of the interval");
    }
    let (title, line) = (format!("Fit of {name}"), Stroke::solid(LINE, 2.4));
    let svg = layout(&title, panels, 28.0, &legend, |canvas, axes, i| {
        if i == 0 {
            let (mu, sigma) = (fit.mu.value, fit.sigma.value);
            // where all cells fail the probit is infinite: the upper edge
            let ends = [low.max(mu - sigma * top), high].map(|v| (v, (mu - v) / sigma));
            axes.line(canvas, &ends, line);
        } else {
            axes.horizontal(canvas, 1.0, line);
        }
        for p in &shown {
            point(canvas, axes, p, |rate| match i {
                0 => probit(rate).min(top),
                _ => rate / p.fitted,
            });
        }
    });
    Figure {
        name: "memory_fit",
        title,
        caption: caption(fit),
        svg,
    }
}

fn caption(fit: &Fit) -> String {
    let intervals = if fit.mu.interval.is_some() {
        " Bars: 95 % Wilson intervals."
    } else {
        ""
    };
    format!(
        "Measured bit error rates against the supply voltage and the fitted line, straight on a probit axis; below, \
         measured over fitted rate.{intervals}"
    )
}

/// Upper end of what was measured; `None` where no failure was seen among an unknown number of cells.
fn upper(point: &FittedPoint) -> Option<f64> {
    point
        .interval
        .map(|i| i.high)
        .or((point.measured > 0.0).then_some(point.measured))
}

/// Lower end of what was measured, where it is above 0.
fn lower(point: &FittedPoint) -> Option<f64> {
    point
        .interval
        .map(|i| i.low)
        .or(Some(point.measured))
        .filter(|low| *low > 0.0)
}

fn point(canvas: &mut Canvas<'_>, axes: &Axes, point: &FittedPoint, scale: impl Fn(f64) -> f64) {
    let at = |rate: f64| axes.at((point.voltage, scale(rate)));
    let Some(top) = upper(point).map(&at) else {
        return;
    };
    let thin = Stroke::solid(MEASURED, 1.4);
    let cap =
        |canvas: &mut Canvas<'_>, (x, y): (f64, f64)| canvas.line((x - 5.0, y), (x + 5.0, y), thin);
    if point.measured <= 0.0 {
        marker(canvas, top, Shape::TriangleDown, 5.5, MEASURED, true);
        return;
    }
    let (middle, bottom) = (
        at(point.measured),
        lower(point).map(&at).unwrap_or(at(point.measured)),
    );
    if bottom.1 - top.1 > 2.0 {
        canvas.line(bottom, top, thin);
        cap(canvas, top);
        cap(canvas, bottom);
    }
    marker(canvas, middle, Shape::Circle, 5.5, MEASURED, false);
}
