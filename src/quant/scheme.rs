//! One layer's quantisation as plain arithmetic on slices: step, codes, values and slopes of every method.

use super::{lsq, normal, spec::ClipGradient, spec::Method, wcat, wclip};
use crate::code::CodeFormat;

/// Method and format of a layer. The *range* that its functions take is the learned or fixed number of the
/// method: the step for `lsq`, `α` for `wcat`, `wclip` and `plclip`; `normal` ignores it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scheme {
    /// Method.
    pub method: Method,
    /// Width and sign of the codes.
    pub format: CodeFormat,
    /// Gradient of `wcat` beyond the range.
    pub clip_gradient: ClipGradient,
    /// Whether the gradient of a learned range is scaled.
    pub grad_scale: bool,
}

/// Codes of a layer and the step that makes weights of them: `w ≈ code · step`.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    /// One code per weight.
    pub codes: Vec<i16>,
    /// The step `Δ`, 0 for an all-zero layer.
    pub step: f32,
}

impl Quantized {
    /// Dequantised weights.
    pub fn values(&self) -> Vec<f32> {
        self.codes.iter().map(|&code| f32::from(code) * self.step).collect()
    }
}

/// Derivatives of the dequantised weights, element by element.
#[derive(Clone, Debug, PartialEq)]
pub struct Slopes {
    /// With respect to the weight itself; `None` means 1 everywhere.
    pub weight: Option<Vec<f32>>,
    /// With respect to the learned range, its gradient scale included; `None` without a learned range.
    pub range: Option<Vec<f32>>,
}

impl Scheme {
    /// True where the range is a parameter of the training.
    pub fn learns_range(&self) -> bool {
        matches!(self.method, Method::Wcat | Method::Lsq)
    }

    /// The step `Δ` of weights under a range.
    pub fn step(&self, weights: &[f32], range: f32) -> f32 {
        match self.method {
            Method::Normal => normal::step(weights, self.format),
            Method::Lsq => range,
            Method::Wcat | Method::Wclip | Method::Plclip => wcat::step(range, self.format),
        }
    }

    /// Codes and step of weights under a range.
    pub fn quantize(&self, weights: &[f32], range: f32) -> Quantized {
        let step = self.step(weights, range);
        let codes = match self.method {
            Method::Normal | Method::Lsq => weights.iter().map(|&w| self.nearest(w, step)).collect(),
            Method::Wcat | Method::Wclip | Method::Plclip => {
                weights.iter().map(|&w| self.nearest(w.clamp(-range, range), step)).collect()
            }
        };
        Quantized { codes, step }
    }

    /// Slopes of the dequantised weights under a range.
    pub fn slopes(&self, weights: &[f32], range: f32) -> Slopes {
        match self.method {
            Method::Normal => Slopes { weight: None, range: None },
            Method::Lsq => lsq::slopes(self, weights, range),
            Method::Wcat => wcat::slopes(self, weights, range),
            Method::Wclip | Method::Plclip => wclip::slopes(weights, range),
        }
    }

    /// Code nearest to a weight: `clamp(round(w / step))`, halves to even; signed 1-bit codes take the sign.
    pub(super) fn nearest(&self, weight: f32, step: f32) -> i16 {
        if self.is_sign() {
            return if weight >= 0.0 { 1 } else { -1 };
        }
        if step <= 0.0 {
            return 0;
        }
        let (low, high) = (f32::from(self.format.min()), f32::from(self.format.max()));
        (weight / step).clamp(low, high).round_ties_even() as i16
    }

    /// True for signed 1-bit codes, which store a sign alone.
    pub(super) fn is_sign(&self) -> bool {
        self.format.signed() && self.format.bits() == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bits;

    fn schemes() -> Vec<Scheme> {
        let mut all = Vec::new();
        for method in Method::ALL {
            for bits in 1..=8 {
                for signed in [true, false] {
                    let format = CodeFormat::new(Bits::new(bits).unwrap(), signed).unwrap();
                    all.push(Scheme { method, format, clip_gradient: ClipGradient::Mad, grad_scale: true });
                }
            }
        }
        all
    }

    #[test]
    fn an_all_zero_layer_dequantises_to_zero_without_a_range_gradient() {
        for scheme in schemes() {
            for range in [0.0, 0.5] {
                let weights = [0.0f32; 5];
                let values = scheme.quantize(&weights, range).values();
                let sign = scheme.is_sign() && range > 0.0 && scheme.method != Method::Normal;
                if !sign {
                    assert!(values.iter().all(|&v| v == 0.0), "{scheme:?} {range}");
                }
                if let Some(slopes) = scheme.slopes(&weights, range).range {
                    assert!(slopes.iter().all(|&s| s == 0.0) || sign, "{scheme:?} {range}");
                }
            }
        }
    }

    #[test]
    fn codes_stay_in_their_format_and_values_survive_storage() {
        let weights: Vec<f32> = (-50..=50).map(|i| i as f32 * 0.037).collect();
        for scheme in schemes() {
            let quantized = scheme.quantize(&weights, 0.7);
            for &code in &quantized.codes {
                assert_eq!(scheme.format.decode(scheme.format.encode(code)), code, "{scheme:?}");
            }
        }
    }

    #[test]
    fn halves_round_to_even() {
        let format = CodeFormat::new(Bits::new(4).unwrap(), true).unwrap();
        let scheme =
            Scheme { method: Method::Lsq, format, clip_gradient: ClipGradient::Ste, grad_scale: true };
        assert_eq!(
            scheme.quantize(&[0.5, 1.5, 2.5, -0.5, -1.5, 99.0, -99.0], 1.0).codes,
            [0, 2, 2, 0, -2, 7, -8]
        );
    }
}
