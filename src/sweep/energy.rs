//! Weight-memory energy of a design point: its parts at their voltages, robust cells, check bits, and what no fault
//! reaches.

use super::point::Setup;
use crate::error::Result;
use crate::memory::{weight_memory_energy, Energy, LayerAccess, MemoryModel, OperatingPoint};

/// Energy of an inference. What no lowered supply reaches lies at the error-free voltage and costs its energy; check
/// bits lie beside the bits they check, robust cells cost the factor that the memory model gives.
///
/// # Errors
/// As [`weight_memory_energy`].
pub(super) fn energy(setup: &Setup, memory: &MemoryModel) -> Result<Energy> {
    let protection = setup.protection();
    let robust_factor = memory.robust_cell.as_ref().map_or(1.0, |cell| cell.energy_factor);
    let error_free = memory.at(memory.error_free)?;
    let (mut relative, mut picojoule, mut start) = (0.0, Some(0.0), 0);
    let mut add = |weights: u64, bits: f64, point: &OperatingPoint| -> Result<()> {
        if bits > 0.0 {
            let access = [LayerAccess { weights, bits: 0, reads: 1.0 }];
            let energy = weight_memory_energy(&access, memory, point, bits)?;
            relative += energy.relative * weights as f64;
            picojoule = picojoule.zip(energy.picojoule).map(|(sum, own)| sum + own);
        }
        Ok(())
    };
    for layer in setup.subject.evaluator.stored().iter().flatten() {
        let (weights, bits) = (layer.words.len() as u64, layer.scheme.format.bits());
        let robust = protection.robust_bits(bits);
        let mut kept = bits;
        for supplied in setup.supplied.iter().filter(|supplied| supplied.part.holds_word(start)) {
            let held = |planes: std::ops::Range<u32>| {
                planes.filter(|plane| supplied.part.holds_plane(*plane)).count() as f64
            };
            // one parity or check bit belongs to the whole code: such codes have one supply
            let overhead = protection.overhead_bits(bits);
            let cells = held(robust..bits) + robust_factor * held(0..robust) + overhead;
            add(weights, cells, &supplied.point)?;
            kept -= held(0..bits) as u32;
        }
        add(weights, f64::from(kept), &error_free)?;
        start += weights;
    }
    Ok(Energy { relative: relative / start as f64, picojoule })
}
