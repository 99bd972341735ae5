//! Weight-memory energy of a design point where faults may reach a part of the layers only.

use crate::engine::Evaluator;
use crate::error::Result;
use crate::fault::Exposure;
use crate::memory::{
    weight_memory_energy, CellAccess, CellKind, Energy, EnergySpec, LayerAccess, LayerProduct, MemoryModel,
    OperatingPoint,
};

/// Energy of an inference. Layers that faults do not reach lie in a memory of their own at the error-free voltage and
/// cost its energy.
///
/// # Errors
/// As [`weight_memory_energy`].
pub(super) fn energy(
    evaluator: &Evaluator,
    exposure: &Exposure,
    memory: &MemoryModel,
    point: &OperatingPoint,
) -> Result<Energy> {
    let error_free = memory.at(memory.error_free)?;
    let (mut layers, mut start) = (Vec::new(), 0);
    for (shape, stored) in evaluator.network().layer_shapes()?.into_iter().zip(evaluator.stored()) {
        let Some(stored) = stored else { continue };
        let weights = stored.words.len() as u64;
        let point = if exposure.holds_word(start) { *point } else { error_free };
        let bits = f64::from(stored.scheme.format.bits());
        let product =
            LayerProduct { filters: shape.filters(), window: shape.window(), outputs: shape.outputs() };
        let cells = vec![CellAccess { bits, overhead_bits: 0.0, kind: CellKind::Usual, point }];
        layers.push(LayerAccess { layer: shape.name, weights, product, cells });
        start += weights;
    }
    weight_memory_energy(&layers, memory, &EnergySpec::default())
}
