//! `normal`: the step from the largest weight of the layer; the baseline without any clipping.

use super::layer::max_abs;
use crate::code::CodeFormat;

/// `max|w| / 2^(b-1)`, unsigned `max|w| / (2^b - 1)`; 0 for an all-zero layer.
pub(super) fn step(weights: &[f32], format: CodeFormat) -> f32 {
    super::wcat::step(max_abs(weights), format)
}
