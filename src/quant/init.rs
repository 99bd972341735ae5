//! The initial range of a learned range: from the largest weight, from statistics, or by a search.

use super::layer::{max_abs, mean_abs};
use super::lsq;
use super::scheme::Scheme;
use super::search::Search;
use super::spec::{Init, Method};
use crate::error::{refuse, Result};

/// An initial range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InitialRange {
    /// The step for `lsq`, `α` for `wcat`.
    pub value: f32,
    /// True where `sawb` came out at 0 or below and `max_abs` was taken instead: warn the user.
    pub fell_back: bool,
}

/// Initial range of a layer's weights. `bit_error_rate` is what `noisy_mse` expects.
///
/// # Errors
/// [`crate::error::Error::Argument`] for `sawb` at other widths than 2, 4 and 8 bits, or for a method that learns no range.
pub fn initial_range(
    scheme: &Scheme,
    weights: &[f32],
    init: Init,
    bit_error_rate: f64,
) -> Result<InitialRange> {
    let value = match (scheme.method, init) {
        (Method::Lsq, _) => lsq::initial_step(weights, scheme.format),
        (Method::Wcat, Init::MaxAbs) => max_abs(weights),
        (Method::Wcat, Init::Sawb) => {
            let value = sawb(weights, scheme.format.bits())?;
            if value <= 0.0 {
                return Ok(InitialRange {
                    value: max_abs(weights),
                    fell_back: true,
                });
            }
            value
        }
        (Method::Wcat, Init::Mse | Init::NoisyMse) => {
            let noisy = init == Init::NoisyMse;
            let search = Search {
                scheme,
                weights,
                bit_error_rate: if noisy { bit_error_rate } else { 0.0 },
            };
            search.minimum().0
        }
        (method, _) => {
            return refuse(
                "initial range",
                "a method that learns one",
                format!("`{method}`"),
            )
        }
    };
    Ok(InitialRange {
        value,
        fell_back: false,
    })
}

/// `c1 std(w) - c2 mean|w|` with `c1 = 1/z0`, `c2 = z1/z0` (Choi et al., 2018, constants of the method page).
fn sawb(weights: &[f32], bits: u32) -> Result<f32> {
    let (z0, z1) = match bits {
        2 => (0.311, 0.678),
        4 => (0.077, 1.013),
        8 => (0.027, 1.114),
        _ => {
            let found = format!("{bits} bits");
            return refuse("quantizer.init", "`sawb` with 2, 4 or 8 bits only", found);
        }
    };
    let n = weights.len() as f64;
    let mean = weights.iter().map(|&w| f64::from(w)).sum::<f64>() / n;
    let squares: f64 = weights.iter().map(|&w| (f64::from(w) - mean).powi(2)).sum();
    let std = (squares / (n - 1.0).max(1.0)).sqrt();
    Ok(((std - z1 * f64::from(mean_abs(weights))) / z0) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::CodeFormat;
    use crate::quant::ClipGradient;
    use crate::units::Bits;

    fn wcat(bits: u64) -> Scheme {
        let format = CodeFormat::new(Bits::new(bits).unwrap(), true).unwrap();
        Scheme {
            method: Method::Wcat,
            format,
            clip_gradient: ClipGradient::Ste,
            grad_scale: true,
        }
    }

    #[test]
    fn sawb_falls_back_where_it_is_not_positive() {
        // all weights ±1: std is just above mean|w|, so z1 > 1 makes it negative at 8 bits
        let weights = [1.0f32, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        let range = initial_range(&wcat(8), &weights, Init::Sawb, 0.0).unwrap();
        assert_eq!(
            range,
            InitialRange {
                value: 1.0,
                fell_back: true
            }
        );
        let two_bits = initial_range(&wcat(2), &weights, Init::Sawb, 0.0).unwrap();
        assert!(!two_bits.fell_back);
        // std = √(8/7), c1 = 1/0.311, c2 = 0.678/0.311
        assert!((two_bits.value - (1.069045 - 0.678) / 0.311).abs() < 1e-5);
    }

    #[test]
    fn lsq_starts_at_its_papers_step() {
        let scheme = Scheme {
            method: Method::Lsq,
            ..wcat(4)
        };
        let range = initial_range(&scheme, &[0.5, -1.5], Init::MaxAbs, 0.0).unwrap();
        assert!((range.value - 2.0 / 7f32.sqrt()).abs() < 1e-7);
    }
}
