//! Energy of the memory of stored activations: each element is written once, and read as often as the dataflow says.

use super::{
    factors, only_relative, CellKind, Energy, EnergySpec, EnergyTerm, Unit, REFERENCE_BITS,
};
use crate::error::{refuse, Result};
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
    /// Layers that read it, each with its groups of channels and the elements that it reads.
    pub layers: Vec<(LayerProduct, u64, u64)>,
    /// Elements that other operations read.
    pub others: u64,
    /// False where no fault reaches it: then it lies at the error-free voltage.
    pub is_lowered: bool,
}

/// What an inference does with stored activations.
#[derive(Clone, Debug)]
pub struct ActivationAccess<'a> {
    /// Their memory.
    pub memory: &'a MemoryModel,
    /// Its supply voltage with its access energy.
    pub point: OperatingPoint,
    /// Its error-free voltage, where what no fault reaches lies.
    pub error_free: OperatingPoint,
    /// Energy of an access of a bit over that of the weights, each at its error-free voltage, where both are only relative.
    pub energy_ratio: Option<f64>,
    /// Bits of a word.
    pub word_bits: f64,
    /// Bits of a code that lie in cells that do not fail.
    pub robust_bits: f64,
    /// Other bits of a word that faults reach.
    pub lowered_bits: f64,
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
    /// [`crate::error::Error::Argument`] for memories with a macro, and for two of which one has only relative energies; as
    /// [`weight_memory_energy`](super::weight_memory_energy).
    pub fn with_activations(
        mut self,
        access: &ActivationAccess,
        weights: &MemoryModel,
        spec: &EnergySpec,
    ) -> Result<Self> {
        let unit = common_unit(weights, access, spec)?;
        let (lowered, kept) = (access.pieces(true)?, access.pieces(false)?);
        let (mut reference, mut sum, mut terms) = (0.0, 0.0, Vec::new());
        for tensor in &access.tensors {
            let mut reads = tensor.others as f64;
            for (layer, groups, read) in &tensor.layers {
                reads += spec.input_reads(*layer, *groups, *read);
            }
            let accesses = tensor.elements as f64 + reads;
            reference += accesses * REFERENCE_BITS * unit.access;
            let pieces = if tensor.is_lowered { &lowered } else { &kept };
            for piece in pieces {
                let own = accesses * piece.energy() * unit.access;
                sum += own;
                terms.push(EnergyTerm {
                    layer: format!("input of {}", tensor.name),
                    weights: tensor.elements,
                    reads: accesses / tensor.elements as f64,
                    energy_relative: own,
                    access_pj: unit.is_absolute.then_some(own),
                    ..piece.term()
                });
            }
        }
        if unit.leaks {
            let of_bits = |bits: f64, voltage: f64| {
                access.words as f64 * bits * unit.leakage(access.memory, voltage)
            };
            reference += of_bits(REFERENCE_BITS, access.memory.error_free.get());
            for piece in &lowered {
                let own = of_bits(piece.leaking(), piece.point.voltage.get());
                sum += own;
                terms.push(EnergyTerm {
                    layer: LEAKAGE.into(),
                    weights: access.words,
                    energy_relative: own,
                    leakage_pj: Some(own),
                    ..piece.term()
                });
            }
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

/// Bits of each word that are alike.
struct Piece {
    bits: f64,
    overhead_bits: f64,
    /// On the energy of an access and on leakage.
    factors: (f64, f64),
    point: OperatingPoint,
}

impl Piece {
    /// Energy of an access of a word, in accesses of a bit at the error-free voltage.
    fn energy(&self) -> f64 {
        let bits = self.bits + self.overhead_bits;
        bits * self.factors.0 * self.point.access_energy_relative
    }

    /// Bits of usual cells that leak as much.
    fn leaking(&self) -> f64 {
        (self.bits + self.overhead_bits) * self.factors.1
    }

    /// What a term says of it.
    fn term(&self) -> EnergyTerm {
        EnergyTerm {
            cells: CellKind::Activations,
            bits: self.bits,
            overhead_bits: self.overhead_bits,
            voltage: self.point.voltage.get(),
            access_energy_relative: self.point.access_energy_relative,
            energy_factor: self.factors.0,
            ..EnergyTerm::default()
        }
    }
}

impl ActivationAccess<'_> {
    /// The bits of a word of a tensor that faults reach, or of another.
    fn pieces(&self, is_lowered: bool) -> Result<Vec<Piece>> {
        let usual_bits = self.word_bits - self.robust_bits;
        let (lowered_bits, point) = if is_lowered {
            (self.lowered_bits, self.point)
        } else {
            (usual_bits, self.error_free)
        };
        let piece = |bits, overhead_bits, kind, point| -> Result<Piece> {
            let factors = factors(self.memory, kind)?;
            Ok(Piece {
                bits,
                overhead_bits,
                factors,
                point,
            })
        };
        let usual = CellKind::Usual;
        let mut all = vec![piece(lowered_bits, self.overhead_bits, usual, point)?];
        if self.robust_bits > 0.0 {
            all.push(piece(self.robust_bits, 0.0, CellKind::Robust, point)?);
        }
        let rest = usual_bits - lowered_bits;
        if rest > 0.0 {
            all.push(piece(rest, 0.0, usual, self.error_free)?);
        }
        Ok(all)
    }
}

/// In what the energies of both memories are counted.
fn common_unit(weights: &MemoryModel, own: &ActivationAccess, spec: &EnergySpec) -> Result<Unit> {
    for memory in [weights, own.memory] {
        if memory.sram.is_some() {
            let what = format!("memory model `{}`", memory.name);
            let expected = "one without a macro beside stored activations, whose accesses share no clock with the weights'";
            return refuse(what, expected, "one with a macro");
        }
    }
    let (of_weights, unit) = (Unit::new(weights, spec)?, Unit::new(own.memory, spec)?);
    let are_absolute = of_weights.is_absolute && unit.is_absolute;
    match own.energy_ratio {
        Some(ratio) if of_weights.is_absolute || unit.is_absolute => refuse(
            "activations.energy_ratio",
            "to be left out: a memory model gives an absolute energy",
            ratio,
        ),
        Some(access) => Ok(Unit { access, ..unit }),
        None if weights.checksum == own.memory.checksum || are_absolute => Ok(unit),
        None => {
            let relative = if of_weights.is_absolute {
                own.memory
            } else {
                weights
            };
            let expected = "a number, one memory model for weights and activations, or `activations.energy_ratio`: energies of \
                            two that are only relative cannot be added";
            Err(only_relative(relative, expected))
        }
    }
}
