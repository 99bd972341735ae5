//! Energy of the memory of stored activations: each element is written once, and read as often as the dataflow says.

use super::{
    factors, relative_beside_absolute, CellKind, Energy, EnergySpec, EnergyTerm, Unit,
    REFERENCE_BITS,
};
use crate::error::{Error, Result};
use crate::memory::dataflow::LayerProduct;
use crate::memory::{MemoryModel, OperatingPoint};

/// Name of the term of what all words leak.
const LEAKAGE: &str = "activation memory";

/// A stored tensor of activations.
#[derive(Clone, Debug, PartialEq)]
pub struct TensorAccess {
    /// The layer that reads it first, or another name.
    pub name: String,
    /// Elements, one word each.
    pub elements: u64,
    /// Layers that read it, each with its groups of channels.
    pub layers: Vec<(LayerProduct, u64)>,
    /// Operations that read each element once.
    pub others: u64,
}

/// What an inference does with stored activations.
#[derive(Clone, Debug)]
pub struct ActivationAccess<'a> {
    /// Their memory.
    pub memory: &'a MemoryModel,
    /// Its supply voltage with its access energy.
    pub point: OperatingPoint,
    /// Bits of a word.
    pub word_bits: f64,
    /// Bits of a code that lie in cells that do not fail.
    pub robust_bits: f64,
    /// Check bits beside a word.
    pub overhead_bits: f64,
    /// Words of the memory; all of them leak.
    pub words: u64,
    /// The tensors.
    pub tensors: Vec<TensorAccess>,
}

impl Energy {
    /// The same with that of stored activations, beside weights in the memory `weights`. The reference has both at 8 bits and
    /// their error-free voltages. A write costs what a read does.
    ///
    /// # Errors
    /// [`Error::Argument`] for memories with a macro, and for two of which one has only relative energies; as
    /// [`weight_memory_energy`](super::weight_memory_energy).
    pub fn with_activations(
        mut self,
        access: &ActivationAccess,
        weights: &MemoryModel,
        spec: &EnergySpec,
    ) -> Result<Self> {
        let unit = common_unit(weights, access.memory, spec)?;
        let robust = if access.robust_bits > 0.0 {
            factors(access.memory, CellKind::Robust)?
        } else {
            (1.0, 1.0)
        };
        let usual_bits = access.word_bits - access.robust_bits + access.overhead_bits;
        let (mut reference, mut sum, mut terms) = (0.0, 0.0, Vec::new());
        for tensor in &access.tensors {
            let mut reads = (tensor.others * tensor.elements) as f64;
            for (layer, groups) in &tensor.layers {
                reads += spec
                    .accelerator()
                    .input_reads(*layer, *groups, tensor.elements);
            }
            let accesses = tensor.elements as f64 + reads;
            reference += accesses * REFERENCE_BITS * unit.access;
            let relative = access.point.access_energy_relative;
            let bits = usual_bits + access.robust_bits * robust.0;
            let own = accesses * bits * relative * unit.access;
            sum += own;
            terms.push(EnergyTerm {
                layer: format!("input of {}", tensor.name),
                cells: CellKind::Activations,
                weights: tensor.elements,
                bits: access.word_bits,
                overhead_bits: access.overhead_bits,
                reads: accesses / tensor.elements as f64,
                voltage: access.point.voltage.get(),
                access_energy_relative: relative,
                energy_factor: bits / (access.word_bits + access.overhead_bits),
                energy_relative: own,
                access_pj: unit.is_absolute.then_some(own),
                ..EnergyTerm::default()
            });
        }
        if unit.leaks {
            let of_bits = |bits: f64, voltage: f64| {
                access.words as f64 * bits * unit.leakage(access.memory, voltage)
            };
            reference += of_bits(REFERENCE_BITS, access.memory.error_free.get());
            let bits = usual_bits + access.robust_bits * robust.1;
            let own = of_bits(bits, access.point.voltage.get());
            sum += own;
            terms.push(EnergyTerm {
                layer: LEAKAGE.into(),
                cells: CellKind::Activations,
                weights: access.words,
                bits: access.word_bits,
                overhead_bits: access.overhead_bits,
                voltage: access.point.voltage.get(),
                access_energy_relative: access.point.access_energy_relative,
                energy_factor: 1.0,
                energy_relative: own,
                leakage_pj: Some(own),
                ..EnergyTerm::default()
            });
        }
        let both = self.reference + reference;
        for term in &mut self.terms {
            term.energy_relative *= self.reference / both;
        }
        terms
            .iter_mut()
            .for_each(|term| term.energy_relative /= both);
        self.terms.extend(terms);
        Ok(Self {
            relative: (self.relative * self.reference + sum) / both,
            picojoule: self.picojoule.map(|weights| weights + sum),
            reference: both,
            ..self
        })
    }
}

/// In what the energies of both memories are counted.
fn common_unit(weights: &MemoryModel, own: &MemoryModel, spec: &EnergySpec) -> Result<Unit> {
    for memory in [weights, own] {
        if memory.sram.is_some() {
            let what = format!("memory model `{}`", memory.name);
            let expected = "one without a macro beside stored activations, whose accesses share no clock with the weights'";
            return Err(Error::argument(what, expected, "one with a macro"));
        }
    }
    let units = [Unit::new(weights, spec)?, Unit::new(own, spec)?];
    let [of_weights, unit] = units;
    if weights.checksum != own.checksum {
        for (memory, unit) in [(weights, &of_weights), (own, &unit)] {
            if !unit.is_absolute {
                return Err(relative_beside_absolute(&memory.name));
            }
        }
    }
    Ok(unit)
}
