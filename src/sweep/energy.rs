//! Weight-memory energy of a design point where faults may reach a part of the layers only.

use crate::engine::Evaluator;
use crate::error::Result;
use crate::fault::Exposure;
use crate::memory::{weight_memory_energy, Energy, LayerAccess, MemoryModel, OperatingPoint};

/// Energy of an inference. Layers that faults do not reach lie in a memory of their own at the error-free voltage and
/// cost its energy; the part that is lowered and the part that is not add up.
///
/// # Errors
/// As [`weight_memory_energy`].
pub(super) fn energy(
    evaluator: &Evaluator,
    exposure: &Exposure,
    memory: &MemoryModel,
    point: &OperatingPoint,
) -> Result<Energy> {
    let (mut lowered, mut kept, mut start) = (Vec::new(), Vec::new(), 0);
    for layer in evaluator.stored().iter().flatten() {
        let weights = layer.words.len() as u64;
        let access = LayerAccess { weights, bits: layer.scheme.format.bits(), reads: 1.0 };
        if exposure.holds_word(start) { &mut lowered } else { &mut kept }.push(access);
        start += weights;
    }
    let low = weight_memory_energy(&lowered, memory, point, 0.0)?;
    if kept.is_empty() {
        return Ok(low);
    }
    let high = weight_memory_energy(&kept, memory, &memory.at(memory.error_free)?, 0.0)?;
    // each part is relative to 8 bits of its own weights
    let count = |layers: &[LayerAccess]| layers.iter().map(|layer| layer.weights as f64).sum::<f64>();
    let (of_low, of_high) = (count(&lowered), count(&kept));
    Ok(Energy {
        relative: (low.relative * of_low + high.relative * of_high) / (of_low + of_high),
        picojoule: low.picojoule.zip(high.picojoule).map(|(low, high)| low + high),
    })
}
