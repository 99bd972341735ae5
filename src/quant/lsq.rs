//! `lsq`: learned step size quantisation (Esser et al., ICLR 2020).

use super::layer::mean_abs;
use super::scheme::{Rounding, Scheme, Slopes};
use crate::code::CodeFormat;

/// Initial step `2 mean|w| / √(2^(b-1) - 1)`, 1 under the root for 1 bit.
pub(super) fn initial_step(weights: &[f32], format: CodeFormat) -> f32 {
    2.0 * mean_abs(weights) / root_of_levels(format)
}

/// `√(2^(b-1) - 1)`, 1 for 1 bit.
pub(super) fn root_of_levels(format: CodeFormat) -> f32 {
    (((1u32 << (format.bits() - 1)) - 1).max(1) as f32).sqrt()
}

/// Slopes of a layer of `n` weights, one weight at a time. With `v = w/Δ`: to `w` 1 where `Qn ≤ v ≤ Qp`, else 0;
/// to `Δ` `code - v` inside, `Qn` below, `Qp` above, all of it scaled by `1/√(n Qp)`.
#[derive(Clone, Copy)]
pub(super) struct Slope {
    rounding: Rounding,
    step: f32,
    low: f32,
    high: f32,
    scale: f32,
}

impl Slope {
    /// `step` is above 0.
    pub(super) fn new(scheme: &Scheme, n: usize, step: f32) -> Self {
        let (low, high) = (
            f32::from(scheme.format.min()),
            f32::from(scheme.format.max()),
        );
        let scale = if scheme.grad_scale {
            1.0 / (n as f32 * high).sqrt()
        } else {
            1.0
        };
        Self {
            rounding: scheme.rounding(step, step),
            step,
            low,
            high,
            scale,
        }
    }

    #[inline(always)]
    pub(super) fn to_weight(self, weight: f32) -> f32 {
        let v = weight / self.step;
        if v < self.low || v > self.high {
            0.0
        } else {
            1.0
        }
    }

    #[inline(always)]
    pub(super) fn to_step(self, weight: f32) -> f32 {
        let v = weight / self.step;
        let inside = (self.rounding.code(weight) - v) * self.scale;
        let low = if v < self.low {
            self.low * self.scale
        } else {
            inside
        };
        if v > self.high {
            self.high * self.scale
        } else {
            low
        }
    }
}

/// Slopes of all weights; the step has none where it is 0.
pub(super) fn slopes(scheme: &Scheme, weights: &[f32], step: f32) -> Slopes {
    if step <= 0.0 {
        return Slopes {
            weight: None,
            range: Some(vec![0.0; weights.len()]),
        };
    }
    let slope = Slope::new(scheme, weights.len(), step);
    Slopes {
        weight: Some(weights.iter().map(|&w| slope.to_weight(w)).collect()),
        range: Some(weights.iter().map(|&w| slope.to_step(w)).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::{ClipGradient, Method};
    use crate::units::Bits;

    #[test]
    fn slopes_follow_the_rule_inside_at_and_outside_the_bounds() {
        let format = CodeFormat::new(Bits::new(3).unwrap(), true).unwrap();
        let scheme = Scheme {
            method: Method::Lsq,
            format,
            clip_gradient: ClipGradient::Ste,
            grad_scale: false,
        };
        let slopes = slopes(&scheme, &[0.75, 3.0, 3.5, -4.0, -4.5], 1.0);
        assert_eq!(slopes.weight.unwrap(), [1.0, 1.0, 0.0, 1.0, 0.0]);
        assert_eq!(slopes.range.unwrap(), [0.25, 0.0, 3.0, 0.0, -4.0]);
    }

    #[test]
    fn the_whole_step_gradient_is_scaled() {
        let format = CodeFormat::new(Bits::new(3).unwrap(), true).unwrap();
        let scheme = |grad_scale| Scheme {
            method: Method::Lsq,
            format,
            clip_gradient: ClipGradient::Ste,
            grad_scale,
        };
        let weights = [0.75, 3.5, -4.5, 0.2];
        let plain = slopes(&scheme(false), &weights, 1.0).range.unwrap();
        let scaled = slopes(&scheme(true), &weights, 1.0).range.unwrap();
        let factor = 1.0 / (4.0f32 * 3.0).sqrt();
        assert!(plain
            .iter()
            .zip(&scaled)
            .all(|(p, s)| (p * factor - s).abs() < 1e-7));
    }
}
