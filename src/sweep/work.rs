//! What a chip and an image cost, from counted work: no clock decides how images are planned.
//!
//! Nanoseconds on one thread, rounded from `cargo bench --bench evaluation`; only their ratios count, and the cost of a
//! plan is flat around its least.

use crate::engine::Evaluator;
use crate::error::Result;

/// A chip: its streams opened, its images chosen, its trial written down.
const CHIP: f64 = 300_000.0;
/// A faulty word: its cell drawn, its weight put in and taken out.
const WORD: f64 = 125.0;
/// A row of 16 kernels that is transformed anew.
const ROW: f64 = 800.0;
/// An image, whatever the network: laid out, its logits compared.
const IMAGE: f64 = 5_000.0;
/// A multiplication of an image by direct convolutions, and by Winograd's, which take a quarter of them.
const DIRECT: f64 = 0.018;
const WINOGRAD: f64 = 0.0075;

/// A chip with so many faulty words, beside its images. No more rows are touched than there are words or rows.
pub(super) fn of_chip(evaluator: &Evaluator, words: f64) -> f64 {
    let rows = words.min(evaluator.transformed_rows() as f64);
    CHIP + WORD * words + ROW * rows
}

/// An image.
pub(super) fn of_image(evaluator: &Evaluator) -> Result<f64> {
    let shapes = evaluator.network().layer_shapes()?;
    let multiplications: u64 = shapes.iter().map(|shape| shape.multiplications()).sum();
    let each = if evaluator.transformed_rows() > 0 {
        WINOGRAD
    } else {
        DIRECT
    };
    Ok(IMAGE + each * multiplications as f64)
}
