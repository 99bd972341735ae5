//! What a chip and an image cost, from counted work: no clock decides how images are planned.
//!
//! Nanoseconds on one Zen 4 thread, from the tables of faults and evaluations in `docs/performance.md` (a ResNet-20); only
//! their ratios count, and the cost of a plan is flat around its least.

use crate::engine::Evaluator;
use crate::error::Result;
use crate::kernel::Arithmetic;

/// A chip: its streams opened, its images chosen, its trial written down.
const CHIP: f64 = 300_000.0;
/// A faulty word: its cell drawn, its weight put in and taken out.
const WORD: f64 = 85.0;
/// A kernel of 3x3 weights that is transformed anew, twice.
const KERNEL: f64 = 320.0;

/// A multiplication of an image.
fn multiplication(arithmetic: Arithmetic) -> f64 {
    match arithmetic {
        Arithmetic::Winograd => 0.0075,
        Arithmetic::Direct => 0.018,
    }
}

/// A chip with so many faulty words, beside its images. No more kernels are touched than there are words or kernels.
pub(super) fn of_chip(evaluator: &Evaluator, words: f64) -> f64 {
    let kernels = match Arithmetic::current() {
        Arithmetic::Winograd => words.min(evaluator.words().len() as f64 / 9.0),
        Arithmetic::Direct => 0.0,
    };
    CHIP + WORD * words + KERNEL * kernels
}

/// An image.
pub(super) fn of_image(evaluator: &Evaluator) -> Result<f64> {
    let shapes = evaluator.network().layer_shapes()?;
    let multiplications: u64 = shapes.iter().map(|shape| shape.multiplications()).sum();
    Ok(multiplication(Arithmetic::current()) * multiplications.max(1) as f64)
}
