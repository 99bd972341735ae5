//! Densities of a layer's weights, float and as they are stored: steps of a histogram, and a smooth curve. How they
//! are drawn is the figures' affair.

use super::canvas::Color;
use super::palette::PALETTE;
use crate::net::LayerWeights;
use crate::stats::{ends, quantile, sorted};

/// Colour of float weights.
pub(super) const FLOAT: Color = PALETTE[0];
/// Colour of stored weights.
pub(super) const STORED: Color = PALETTE[1];

/// A bar: its ends, and the fraction of weights in it divided by its width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bar {
    pub(super) low: f64,
    pub(super) high: f64,
    pub(super) density: f64,
}

/// Distance between neighbouring stored weights; `None` for a float layer, one that is all zero, and one whose output
/// channels have their own steps.
pub(super) fn spacing(layer: &LayerWeights) -> Option<f64> {
    let stored = layer.stored.as_ref()?;
    let step = stored.step()?;
    let format = stored.format;
    // signed 1-bit codes are -1 and +1
    let codes = if format.signed() && format.bits() == 1 {
        2.0
    } else {
        1.0
    };
    Some(codes * f64::from(step)).filter(|spacing| *spacing > 0.0 && spacing.is_finite())
}

/// Bars over weights that have no common step.
const BARS: f64 = 60.0;

/// Bars of equal width from the lowest weight to the highest.
pub(super) fn plain_bars(values: &[f32]) -> Vec<Bar> {
    let (low, high) = ends(values.iter().map(|w| f64::from(*w)));
    // in the precision of the weights, as their bars lie
    float_bars(values, low, f64::from(high as f32 - low as f32) / BARS)
}

/// One bar for each code of a layer, around its weight; plain bars where output channels have their own steps; empty
/// for a float layer and one that is all zero.
pub(super) fn stored_bars(layer: &LayerWeights) -> Vec<Bar> {
    let Some(stored) = &layer.stored else {
        return Vec::new();
    };
    if stored.step().is_none() {
        return plain_bars(&stored.values());
    }
    let Some(spacing) = spacing(layer) else {
        return Vec::new();
    };
    let format = stored.format;
    let mut counts = vec![0u64; format.patterns()];
    stored
        .words
        .iter()
        .for_each(|word| counts[usize::from(*word)] += 1);
    let mut bars: Vec<Bar> = (0..format.patterns())
        .map(|word| {
            let middle = f64::from(stored.value(0, word as u8));
            let fraction = counts[word] as f64 / stored.words.len().max(1) as f64;
            Bar {
                low: middle - 0.5 * spacing,
                high: middle + 0.5 * spacing,
                density: fraction / spacing,
            }
        })
        .collect();
    bars.sort_by(|a, b| a.low.total_cmp(&b.low));
    bars
}

/// Neighbouring bars joined to bars of `many` each.
pub(super) fn joined(bars: &[Bar], many: usize) -> Vec<Bar> {
    let join = |bars: &[Bar]| {
        let (low, high) = (bars.first()?.low, bars.last()?.high);
        let fraction: f64 = bars.iter().map(|b| b.density * (b.high - b.low)).sum();
        Some(Bar {
            low,
            high,
            density: fraction / (high - low),
        })
    };
    bars.chunks(many.max(1)).filter_map(join).collect()
}

/// Bars of equal width over float weights, with an edge at `origin`; every weight is in one.
pub(super) fn float_bars(values: &[f32], origin: f64, width: f64) -> Vec<Bar> {
    let place = |w: f32| ((f64::from(w) - origin) / width).floor();
    let (low, high) = values
        .iter()
        .map(|w| place(*w))
        .fold((f64::MAX, f64::MIN), |(l, h), p| (l.min(p), h.max(p)));
    if !((0.0..100_000.0).contains(&(high - low)) && width > 0.0) {
        return Vec::new();
    }
    let mut counts = vec![0u64; (high - low) as usize + 1];
    values
        .iter()
        .for_each(|w| counts[(place(*w) - low) as usize] += 1);
    let fraction = |count: u64| count as f64 / values.len() as f64;
    let bar = |(i, count): (usize, &u64)| {
        let at = origin + (low + i as f64) * width;
        Bar {
            low: at,
            high: at + width,
            density: fraction(*count) / width,
        }
    };
    counts.iter().enumerate().map(bar).collect()
}

/// A smooth density of float weights between two quantiles: Gaussian kernels of Silverman's width (Density
/// Estimation, 1986, eq. 3.31), at 161 places. Empty without spread.
pub(super) fn smooth(values: &[f32], tail: f64) -> Vec<(f64, f64)> {
    const PLACES: usize = 161;
    const CELLS: usize = 1024;
    let values: Vec<f64> = sorted(&values.iter().map(|w| f64::from(*w)).collect::<Vec<_>>());
    let q = |fraction: f64| quantile(&values, fraction).unwrap_or(0.0);
    let (low, high, middle) = (q(tail), q(1.0 - tail), q(0.75) - q(0.25));
    let spread = crate::stats::standard_deviation(&values).unwrap_or(0.0);
    let spread = if middle > 0.0 {
        spread.min(middle / 1.34)
    } else {
        spread
    };
    let width = 0.9 * spread * (values.len() as f64).powf(-0.2);
    if !(width > 0.0 && high > low) {
        return Vec::new();
    }
    // kernels stand on a fine grid: their number is that of its cells, not of the weights
    let (start, end) = (low - 4.0 * width, high + 4.0 * width);
    let cell = (end - start) / CELLS as f64;
    let mut counts = vec![0u64; CELLS];
    for w in values.iter().filter(|w| (start..end).contains(*w)) {
        counts[(((w - start) / cell) as usize).min(CELLS - 1)] += 1;
    }
    let scale = 1.0 / (values.len() as f64 * width * (2.0 * std::f64::consts::PI).sqrt());
    let density = |x: f64| -> f64 {
        let kernel = |(i, n): (usize, &u64)| {
            let z = (start + (i as f64 + 0.5) * cell - x) / width;
            *n as f64 * (-0.5 * z * z).exp()
        };
        scale
            * counts
                .iter()
                .enumerate()
                .filter(|(_, n)| **n > 0)
                .map(kernel)
                .sum::<f64>()
    };
    let place = |i: usize| low + (high - low) * i as f64 / (PLACES - 1) as f64;
    (0..PLACES).map(|i| (place(i), density(place(i)))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::layer_of_values as layer;
    use crate::quant::Scale;

    fn fraction(bars: &[Bar]) -> f64 {
        bars.iter().map(|b| b.density * (b.high - b.low)).sum()
    }

    #[test]
    fn bars_of_codes_are_as_by_hand_and_hold_every_weight() {
        // step 0.5: codes -2, -2, 0, 1, 1
        let bars = stored_bars(&layer("a", 2, &[-1.5, -1.0, 0.0, 0.5, 0.75], 1.0));
        let expected = [
            (-1.25, -0.75, 0.8),
            (-0.75, -0.25, 0.0),
            (-0.25, 0.25, 0.4),
            (0.25, 0.75, 0.8),
        ];
        let found: Vec<_> = bars.iter().map(|b| (b.low, b.high, b.density)).collect();
        assert_eq!(found, expected);
        let two = joined(&bars, 2);
        assert_eq!(two.len(), 2);
        for (found, expected) in [
            (two[0].density, 0.4),
            (two[1].density, 0.6),
            (fraction(&two), 1.0),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} {expected}");
        }
        let signs = stored_bars(&layer("a", 1, &[-0.1, 0.1, 0.2, 0.3], 1.0));
        let found: Vec<_> = signs.iter().map(|b| (b.low, b.high, b.density)).collect();
        assert_eq!(found, [(-2.0, 0.0, 0.125), (0.0, 2.0, 0.375)]);
        assert!(stored_bars(&layer("a", 4, &[0.0], 0.0)).is_empty());
    }

    #[test]
    fn channels_with_their_own_steps_have_plain_bars_of_what_is_stored() {
        let mut wide = layer("a", 2, &[-1.0, 0.5, -1.0, 0.5], 1.0);
        let stored = wide.stored.as_mut().unwrap();
        stored.scales = vec![Scale::of_step(0.5), Scale::of_step(1.0)];
        // -1, 0.5, -2, 1
        let bars = stored_bars(&wide);
        assert_eq!(spacing(&wide), None);
        assert_eq!((bars.len(), bars[0].low), (61, -2.0));
        assert!((fraction(&bars) - 1.0).abs() < 1e-12);
        let filled: Vec<f64> = bars
            .iter()
            .filter(|b| b.density > 0.0)
            .map(|b| b.low)
            .collect();
        assert_eq!(filled.len(), 4);
    }

    #[test]
    fn bars_of_float_weights_begin_at_the_origin_and_hold_every_weight() {
        let bars = float_bars(&[-0.1, 0.1, 0.2, 0.9], 0.0, 0.25);
        let found: Vec<_> = bars.iter().map(|b| (b.low, b.density)).collect();
        assert_eq!(
            found,
            [
                (-0.25, 1.0),
                (0.0, 2.0),
                (0.25, 0.0),
                (0.5, 0.0),
                (0.75, 1.0)
            ]
        );
        assert_eq!(fraction(&bars), 1.0);
        assert!(float_bars(&[], 0.0, 1.0).is_empty());
    }

    #[test]
    fn the_smooth_density_of_normal_weights_is_normal() {
        let normal = |i: usize| crate::stats::probit((i as f64 + 0.5) / 20_000.0) as f32;
        let curve = smooth(&(0..20_000).map(normal).collect::<Vec<_>>(), 0.001);
        assert_eq!(curve.len(), 161);
        for (x, density) in curve {
            let exact = (-0.5 * x * x).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((density - exact).abs() < 0.01, "{x}: {density} {exact}");
        }
        assert!(smooth(&[0.5; 10], 0.0).is_empty() && smooth(&[], 0.0).is_empty());
    }
}
