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
        self.codes
            .iter()
            .map(|&code| f32::from(code) * self.step)
            .collect()
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
        self.method.learns_range()
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
        let rounding = self.rounding(range, step);
        Quantized {
            codes: weights.iter().map(|&w| rounding.code(w) as i16).collect(),
            step,
        }
    }

    /// How weights become codes under a range and its step.
    pub(super) fn rounding(&self, range: f32, step: f32) -> Rounding {
        let clip = match self.method {
            Method::Normal | Method::Lsq => f32::INFINITY,
            Method::Wcat | Method::Wclip | Method::Plclip => range,
        };
        Rounding {
            sign: self.is_sign(),
            clip,
            divisor: if step <= 0.0 { f32::INFINITY } else { step },
            low: f32::from(self.format.min()),
            high: f32::from(self.format.max()),
        }
    }

    /// Slopes of the dequantised weights under a range.
    pub fn slopes(&self, weights: &[f32], range: f32) -> Slopes {
        match self.method {
            Method::Normal => Slopes {
                weight: None,
                range: None,
            },
            Method::Lsq => lsq::slopes(self, weights, range),
            Method::Wcat => wcat::slopes(self, weights, range),
            Method::Wclip | Method::Plclip => wclip::slopes(weights, range),
        }
    }

    /// Code nearest to a weight: `clamp(round(w / step))`, halves to even; signed 1-bit codes take the sign.
    pub(super) fn nearest(&self, weight: f32, step: f32) -> i16 {
        self.rounding(f32::INFINITY, step).code(weight) as i16
    }

    /// True for signed 1-bit codes, which store a sign alone.
    pub(super) fn is_sign(&self) -> bool {
        self.format.signed() && self.format.bits() == 1
    }
}

/// `clamp(round(clip(w) / step))`, free of branches on the weight so that loops over weights run on vectors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounding {
    /// Signed 1-bit codes: the sign alone.
    sign: bool,
    /// Weights are clipped to ± this.
    clip: f32,
    /// The step; infinite for a step of 0, which makes every code 0.
    divisor: f32,
    low: f32,
    high: f32,
}

impl Rounding {
    /// Code of a weight as a whole number; NaN for NaN.
    #[inline(always)]
    pub(super) fn code(&self, weight: f32) -> f32 {
        let weight = between(weight, -self.clip, self.clip);
        if self.sign {
            return if weight >= 0.0 { 1.0 } else { -1.0 };
        }
        nearest_integer(between(weight / self.divisor, self.low, self.high))
    }
}

/// `clamp` that lets NaN pass, also as a bound.
#[inline(always)]
fn between(x: f32, low: f32, high: f32) -> f32 {
    let x = if x < low { low } else { x };
    if x > high {
        high
    } else {
        x
    }
}

/// Rounds numbers of magnitude up to 2^22, halves to even: `f32::round_ties_even` is a call for each number on
/// machines that the compiler knows no instruction for. The sum with 1.5 · 2^23 has no bits for fractions.
#[inline(always)]
fn nearest_integer(x: f32) -> f32 {
    const SHIFT: f32 = 12_582_912.0;
    (x + SHIFT) - SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Bits;

    #[test]
    fn the_shift_rounds_as_round_ties_even_does() {
        let mut x = -300.0f32;
        while x <= 300.0 {
            for x in [x, x.next_up(), x.next_down()] {
                assert_eq!(nearest_integer(x), x.round_ties_even(), "{x}");
            }
            x += 0.125;
        }
        assert!(nearest_integer(f32::NAN).is_nan());
    }

    fn schemes() -> Vec<Scheme> {
        let mut all = Vec::new();
        for method in Method::ALL {
            for bits in 1..=8 {
                for signed in [true, false] {
                    let format = CodeFormat::new(Bits::new(bits).unwrap(), signed).unwrap();
                    all.push(Scheme {
                        method,
                        format,
                        clip_gradient: ClipGradient::Mad,
                        grad_scale: true,
                    });
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
                    assert!(
                        slopes.iter().all(|&s| s == 0.0) || sign,
                        "{scheme:?} {range}"
                    );
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
                assert_eq!(
                    scheme.format.decode(scheme.format.encode(code)),
                    code,
                    "{scheme:?}"
                );
            }
        }
    }

    #[test]
    fn halves_round_to_even() {
        let format = CodeFormat::new(Bits::new(4).unwrap(), true).unwrap();
        let scheme = Scheme {
            method: Method::Lsq,
            format,
            clip_gradient: ClipGradient::Ste,
            grad_scale: true,
        };
        assert_eq!(
            scheme
                .quantize(&[0.5, 1.5, 2.5, -0.5, -1.5, 99.0, -99.0], 1.0)
                .codes,
            [0, 2, 2, 0, -2, 7, -8]
        );
    }
}
