//! Weight-memory energy of an inference, term by term: every energy of the program goes through here. How a voltage
//! changes the energy of one access, and the leakage, is the memory model's affair.

mod activations;
mod macros;
mod minimum;
mod spec;

pub use activations::{ActivationAccess, TensorAccess};
pub use minimum::{minimum, Minimum, Place};
pub use spec::{Clock, EnergySpec, Unused};

use super::dataflow::LayerProduct;
use super::{MemoryModel, OperatingPoint};
use crate::error::{refuse, Error, Result};
use crate::table::words;

/// Bits of a weight in the reference of relative energies.
const REFERENCE_BITS: f64 = 8.0;

/// A kind of cell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CellKind {
    /// Cells that fail as the memory model says.
    #[default]
    Usual,
    /// Cells that do not fail, with the factors of the memory model's `protection.robust_cell`.
    Robust,
    /// Those of stored activations.
    Activations,
}

words!(CellKind: Usual "usual", Robust "robust", Activations "activations");

/// A part of the cells of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CellAccess {
    /// Bits of each weight that lie in them.
    pub bits: f64,
    /// What a protection stores in them beside each weight, in bits per weight; 0 without.
    pub overhead_bits: f64,
    /// What they are.
    pub kind: CellKind,
    /// Their supply voltage with its access energy.
    pub point: OperatingPoint,
}

/// How a layer's weights are stored and what is computed with them.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerAccess {
    /// Name of the layer.
    pub layer: String,
    /// Stored weights.
    pub weights: u64,
    /// The layer as a matrix product.
    pub product: LayerProduct,
    /// True where its bits lie in words of SECDED.
    pub has_secded: bool,
    /// Where the bits lie; together the bits of a weight, with their overhead.
    pub cells: Vec<CellAccess>,
}

/// One term of an energy: some cells of one layer, or a stored tensor of activations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnergyTerm {
    /// Name of the layer.
    pub layer: String,
    /// What the cells are.
    pub cells: CellKind,
    /// Weights of the layer, or elements of a tensor.
    pub weights: u64,
    /// Bits of each weight in these cells, or of the word of an element.
    pub bits: f64,
    /// Bits of the protection beside each weight in these cells.
    pub overhead_bits: f64,
    /// Reads of each weight per inference; of an element reads, and the one write.
    pub reads: f64,
    /// Supply voltage in the memory model's unit.
    pub voltage: f64,
    /// Energy of one bit access relative to the error-free voltage, in a usual cell.
    pub access_energy_relative: f64,
    /// Factor on it: 1, or that of the robust cell.
    pub energy_factor: f64,
    /// Accesses and leakage relative to the energy of the reference.
    pub energy_relative: f64,
    /// Energy of the accesses in picojoules, where the memory model gives an absolute energy.
    pub access_pj: Option<f64>,
    /// Energy of the leakage in picojoules, where the memory model gives leakage.
    pub leakage_pj: Option<f64>,
}

impl EnergyTerm {
    /// Some cells of a layer, without energies.
    fn of(layer: &LayerAccess, cells: &CellAccess, reads: f64, energy_factor: f64) -> Self {
        Self {
            layer: layer.layer.clone(),
            cells: cells.kind,
            weights: layer.weights,
            bits: cells.bits,
            overhead_bits: cells.overhead_bits,
            reads,
            voltage: cells.point.voltage.get(),
            access_energy_relative: cells.point.access_energy_relative,
            energy_factor,
            ..Self::default()
        }
    }

    /// Accesses and leakage in picojoules, where the memory model gives an absolute energy.
    pub fn picojoule(&self) -> Option<f64> {
        self.access_pj
            .map(|access| access + self.leakage_pj.unwrap_or(0.0))
    }
}

/// Energy of one inference: of the weight memory, and of that of stored activations where they were added.
#[derive(Clone, Debug, PartialEq)]
pub struct Energy {
    /// Relative to the reference: the same layers at 8 bits, without protection, at the error-free voltage, with the
    /// reads that 8 bits need on the same accelerator.
    pub relative: f64,
    /// Picojoules, where the memory model gives an absolute energy.
    pub picojoule: Option<f64>,
    /// The reference, in picojoules, or where those are not known in accesses of a bit at the error-free voltage.
    pub reference: f64,
    /// Seconds of an inference, where the memory model has a macro, whose delay tells it.
    pub seconds: Option<f64>,
    /// Its terms in the order of the layers; their sums are the values above.
    pub terms: Vec<EnergyTerm>,
}

/// Two energies in one unit.
#[derive(Clone, Copy, Debug, Default)]
struct Amount {
    access: f64,
    leakage: f64,
}

impl Amount {
    fn sum(self) -> f64 {
        self.access + self.leakage
    }
}

/// `Σ_l n_l · (b_l + overhead_l) · r_l · e(V_l) + leakage(V)·t`: layer `l` has `n_l` weights of `b_l` bits, each read
/// `r_l` times per inference as `spec` says; `e(V)` is the energy of one bit access, `leakage(V)` the leakage power
/// of all stored bits and `t` the seconds of an inference.
///
/// Without leakage the accesses are weighed by their relative energy. With leakage, which is absolute (1 pW · 1 s is
/// 1 pJ), everything is in picojoules, and the relative energy is their quotient.
///
/// # Errors
/// [`Error::Argument`] where no weight is read, a number is negative or not finite, leakage would be added to
/// energies that are only relative, leakage or the time of an inference stands alone, or the memory model lacks a
/// factor of the robust cell.
pub fn weight_memory_energy(
    layers: &[LayerAccess],
    memory: &MemoryModel,
    spec: &EnergySpec,
) -> Result<Energy> {
    spec.check_memory(memory)?;
    if let Some(sram) = &memory.sram {
        return macros::energy(layers, memory, sram, spec);
    }
    let unit = Unit::new(memory, spec)?;
    let (mut amounts, mut terms) = (Vec::new(), Vec::new());
    let (mut reference, mut total) = (Amount::default(), Total::default());
    for layer in layers {
        let weights = layer.weights as f64;
        let bits = layer.cells.iter().map(|cells| cells.bits).sum();
        let reads = spec.reads(layer.product, bits)?;
        let reference_bits = weights * REFERENCE_BITS;
        reference.access +=
            reference_bits * spec.reads(layer.product, REFERENCE_BITS)? * unit.access;
        reference.leakage += reference_bits * unit.leakage(memory, memory.error_free.get());
        for cells in &layer.cells {
            check_bits(layer, cells)?;
            let (energy_factor, leakage_factor) = factors(memory, cells.kind)?;
            let (stored, point) = (weights * (cells.bits + cells.overhead_bits), cells.point);
            let leakage = stored * leakage_factor * unit.leakage(memory, point.voltage.get());
            let read = stored * energy_factor * reads;
            total.add(read, point.access_energy_relative, leakage);
            amounts.push(Amount {
                access: read * point.access_energy_relative * unit.access,
                leakage,
            });
            terms.push(EnergyTerm {
                leakage_pj: unit.leaks.then_some(leakage),
                ..EnergyTerm::of(layer, cells, reads, energy_factor)
            });
        }
    }
    let reference = reference.sum();
    if reference <= 0.0 {
        return Err(nothing_read(layers));
    }
    for (term, amount) in terms.iter_mut().zip(&amounts) {
        term.energy_relative = amount.sum() / reference;
        term.access_pj = unit.is_absolute.then_some(amount.access);
    }
    let relative = total.over(reference, unit.access);
    let picojoule = unit.is_absolute.then(|| total.over(1.0, unit.access));
    Ok(Energy {
        relative,
        picojoule,
        reference,
        seconds: None,
        terms,
    })
}

/// A sum of terms, voltage by voltage: with one voltage and no leakage it is a ratio of whole numbers times the access
/// energy, and 1 exactly where it should be.
#[derive(Default)]
struct Total {
    /// Relative energy of an access, and how many bits are read at it.
    read: Vec<(f64, f64)>,
    leakage: f64,
}

impl Total {
    fn add(&mut self, read: f64, access_energy: f64, leakage: f64) {
        match self
            .read
            .iter_mut()
            .find(|(known, _)| *known == access_energy)
        {
            Some((_, sum)) => *sum += read,
            None => self.read.push((access_energy, read)),
        }
        self.leakage += leakage;
    }

    /// The sum over a reference, where an access at the error-free voltage costs `access`.
    fn over(&self, reference: f64, access: f64) -> f64 {
        let accesses: f64 = self
            .read
            .iter()
            .map(|(energy, read)| read / reference * energy * access)
            .sum();
        accesses + self.leakage / reference
    }
}

/// In what energies are counted.
struct Unit {
    /// One bit access at the error-free voltage: picojoules where they are known, else 1.
    access: f64,
    /// True for picojoules.
    is_absolute: bool,
    leaks: bool,
    seconds: f64,
}

impl Unit {
    fn new(memory: &MemoryModel, spec: &EnergySpec) -> Result<Self> {
        let picojoule = memory.access_energy_pj(memory.error_free);
        let leaks = memory.leakage.is_some();
        if leaks && picojoule.is_none() {
            let expected = "a number beside `energy.leakage`: leakage is absolute and cannot be added to accesses whose energy \
                            is only relative";
            return Err(only_relative(memory, expected));
        }
        Ok(Self {
            access: picojoule.unwrap_or(1.0),
            is_absolute: picojoule.is_some(),
            leaks,
            seconds: spec.inference_seconds.unwrap_or(0.0),
        })
    }

    /// Leakage of a bit over an inference, in picojoules.
    fn leakage(&self, memory: &MemoryModel, voltage: f64) -> f64 {
        memory
            .leakage
            .as_ref()
            .map_or(0.0, |leakage| leakage.picowatt(voltage) * self.seconds)
    }
}

fn nothing_read(layers: &[LayerAccess]) -> Error {
    let found = format!("{} layers without a weight", layers.len());
    Error::argument("weight memory", "at least one weight that is read", found)
}

/// What is wrong with a memory model without an absolute energy.
fn only_relative(memory: &MemoryModel, expected: &str) -> Error {
    let name = &memory.name;
    let what = format!("energy.access.picojoule_per_bit of memory model `{name}`");
    Error::argument(what, expected, "null")
}

fn check_bits(layer: &LayerAccess, cells: &CellAccess) -> Result<()> {
    for (what, bits) in [("bits", cells.bits), ("overhead bits", cells.overhead_bits)] {
        if !(0.0..f64::INFINITY).contains(&bits) {
            return refuse(
                format!("{what} of layer `{}`", layer.layer),
                "0 or more",
                bits,
            );
        }
    }
    Ok(())
}

/// Factors of a cell on the energy of an access and on leakage.
fn factors(memory: &MemoryModel, kind: CellKind) -> Result<(f64, f64)> {
    if kind != CellKind::Robust {
        return Ok((1.0, 1.0));
    }
    let missing = |key: &str| {
        let what = format!(
            "protection.robust_cell{key} of memory model `{}`",
            memory.name
        );
        Error::argument(
            what,
            "a value, for a protection with cells that do not fail",
            "none",
        )
    };
    let cell = memory.robust_cell.as_ref().ok_or_else(|| missing(""))?;
    let leakage = match memory.leakage {
        None if memory.sram.is_none() => 1.0,
        _ => cell
            .leakage_factor
            .ok_or_else(|| missing(".leakage_factor"))?
            .get(),
    };
    Ok((cell.energy_factor.get(), leakage))
}

#[cfg(test)]
mod tests;
