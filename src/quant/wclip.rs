//! `wclip`: weight clipping at one fixed range for all layers (Stutz et al., MLSys 2021).

use super::scheme::Slopes;
use super::wcat;

/// To `w` 1 where `|w| ≤ α`, else 0; nothing is learned.
pub(super) fn slopes(weights: &[f32], range: f32) -> Slopes {
    Slopes {
        weight: Some(weights.iter().map(|&w| wcat::inside(w, range)).collect()),
        range: None,
    }
}
