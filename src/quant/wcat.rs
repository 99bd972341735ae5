//! `wcat`: weight clipping-aware training, the range `α` is learned (Chitsaz et al., TMLR 2023).

use super::scheme::{Scheme, Slopes};
use super::spec::ClipGradient;
use crate::code::CodeFormat;

/// `α / 2^(b-1)` signed, `α / (2^b - 1)` unsigned; not differentiated.
pub(super) fn step(range: f32, format: CodeFormat) -> f32 {
    let levels = if format.signed() {
        1u32 << (format.bits() - 1)
    } else {
        (1 << format.bits()) - 1
    };
    range / levels as f32
}

/// To `w` by the clip gradient, bounds inclusive; to `α` by [`side`].
pub(super) fn slopes(scheme: &Scheme, weights: &[f32], range: f32) -> Slopes {
    let scale = scale(scheme, weights.len());
    let weight = match scheme.clip_gradient {
        ClipGradient::Ste => None,
        ClipGradient::Pwl => Some(weights.iter().map(|&w| inside(w, range)).collect()),
        ClipGradient::Mad => Some(weights.iter().map(|&w| fading(w, range)).collect()),
    };
    Slopes {
        weight,
        range: Some(weights.iter().map(|&w| side(w, range, scale)).collect()),
    }
}

/// `1/√n`, or 1 where gradients are not scaled.
pub(super) fn scale(scheme: &Scheme, n: usize) -> f32 {
    if scheme.grad_scale {
        1.0 / (n as f32).sqrt()
    } else {
        1.0
    }
}

/// `1[w > α] - 1[w < -α]`, scaled.
#[inline(always)]
pub(super) fn side(weight: f32, range: f32, scale: f32) -> f32 {
    let above = if weight > range { scale } else { 0.0 };
    if weight < -range {
        -scale
    } else {
        above
    }
}

/// 1 where `|w| ≤ α`, else 0.
#[inline(always)]
pub(super) fn inside(weight: f32, range: f32) -> f32 {
    if weight.abs() <= range {
        1.0
    } else {
        0.0
    }
}

/// 1 where `|w| ≤ α`, else `α/|w|`.
#[inline(always)]
pub(super) fn fading(weight: f32, range: f32) -> f32 {
    if weight.abs() <= range {
        1.0
    } else {
        range / weight.abs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::Method;
    use crate::units::Bits;

    const WEIGHTS: [f32; 6] = [0.0, 0.25, 0.5, 1.0, -0.5, -2.0];

    fn run(clip_gradient: ClipGradient, grad_scale: bool) -> Slopes {
        let format = CodeFormat::new(Bits::new(4).unwrap(), true).unwrap();
        slopes(
            &Scheme {
                method: Method::Wcat,
                format,
                clip_gradient,
                grad_scale,
            },
            &WEIGHTS,
            0.5,
        )
    }

    #[test]
    fn weight_slopes_follow_the_clip_gradient_with_inclusive_bounds() {
        assert_eq!(run(ClipGradient::Ste, true).weight, None);
        assert_eq!(
            run(ClipGradient::Pwl, true).weight.unwrap(),
            [1.0, 1.0, 1.0, 0.0, 1.0, 0.0]
        );
        assert_eq!(
            run(ClipGradient::Mad, true).weight.unwrap(),
            [1.0, 1.0, 1.0, 0.5, 1.0, 0.25]
        );
    }

    #[test]
    fn the_range_is_pulled_by_weights_beyond_it_alone() {
        assert_eq!(
            run(ClipGradient::Ste, false).range.unwrap(),
            [0.0, 0.0, 0.0, 1.0, 0.0, -1.0]
        );
        let scale = 1.0 / 6.0f32.sqrt();
        assert_eq!(
            run(ClipGradient::Ste, true).range.unwrap(),
            [0.0, 0.0, 0.0, scale, 0.0, -scale]
        );
    }
}
