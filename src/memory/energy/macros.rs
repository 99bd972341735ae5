//! Energy, time and leakage of an inference of a weight memory that macros make up: words are read and written, one in a
//! cycle, and whole macros leak.
//!
//! `E = R·e_read(V) + W·e_write(V) + (M·P_leak(V) + P_rest(V))·t`, with `R` and `W` words read and written, `M` macros and
//! the time `t` of an inference: `(R + W)` periods, or the seconds that are given at the error-free voltage, which then
//! grow with the delay where the clock follows it. 1 mW · 1 ns is 1 pJ.

use super::{
    check_bits, factors, nothing_read, Energy, EnergySpec, EnergyTerm, LayerAccess, Unused,
    REFERENCE_BITS,
};
use crate::error::{Error, Result};
use crate::memory::{MemoryModel, SramMacro, Variant};
use crate::units::Voltage;

/// Name of the term of what is not the memory.
const REST: &str = "rest of the chip";

/// Picojoules of a nanowatt over a nanosecond.
const PJ_PER_NW_NS: f64 = 1e-6;

/// What lies at one voltage, in bits; weighted by the factors of the cells where they cost more.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    voltage: f64,
    stored: f64,
    read: f64,
    written: f64,
}

/// A part as words of macros.
#[derive(Clone, Copy, Debug)]
struct Filled {
    part: Part,
    words_read: f64,
    words_written: f64,
    read_pj: f64,
    write_pj: f64,
    /// Leakage of all its macros.
    leakage_nw: f64,
    delay_ns: f64,
}

/// Energies of parts: accesses and leakage, in picojoules, over so many seconds.
struct Whole {
    parts: Vec<Filled>,
    rest_pj: f64,
    nanoseconds: f64,
}

/// As [`super::weight_memory_energy`], of a memory with a macro.
pub(super) fn energy(
    layers: &[LayerAccess],
    memory: &MemoryModel,
    variant: &Variant,
    spec: &EnergySpec,
) -> Result<Energy> {
    let Some(sram) = &memory.sram else {
        return Err(nothing_read(layers));
    };
    let accelerator = spec.accelerator();
    let writes = spec.writes.unwrap_or(0.0);
    let error_free = memory.error_free.get();
    let mut reference = Part {
        voltage: error_free,
        ..Part::default()
    };
    let (mut parts, mut terms): (Vec<Part>, Vec<EnergyTerm>) = (Vec::new(), Vec::new());
    for layer in layers {
        let weights = layer.weights as f64;
        let bits = layer.cells.iter().map(|cells| cells.bits).sum();
        let reads = accelerator.reads(layer.product, bits)?;
        let plain = weights * REFERENCE_BITS;
        reference.add(
            plain,
            accelerator.reads(layer.product, REFERENCE_BITS)?,
            writes,
        );
        for cells in &layer.cells {
            check_bits(layer, cells)?;
            let voltage = cells.point.voltage.get();
            let at = match parts.iter().position(|part| part.voltage == voltage) {
                Some(at) => at,
                None => {
                    parts.push(Part {
                        voltage,
                        ..Part::default()
                    });
                    parts.len() - 1
                }
            };
            parts[at].add(weights * (cells.bits + cells.overhead_bits), reads, writes);
            terms.push(EnergyTerm {
                layer: layer.layer.clone(),
                cells: cells.kind,
                weights: layer.weights,
                bits: cells.bits,
                overhead_bits: cells.overhead_bits,
                reads,
                voltage,
                access_energy_relative: cells.point.access_energy_relative,
                energy_factor: factors(memory, cells.kind)?.0,
                ..EnergyTerm::default()
            });
        }
    }
    if reference.read <= 0.0 {
        return Err(nothing_read(layers));
    }
    let model = Model {
        sram,
        variant,
        spec,
        error_free,
    };
    let reference = model.whole(&[reference], false)?;
    let reference = reference
        .parts
        .iter()
        .map(|part| part.access() + part.leakage(reference.nanoseconds))
        .sum::<f64>()
        + reference.rest_pj;
    let whole = model.whole(&parts, true)?;
    for term in &mut terms {
        let Some(filled) = whole
            .parts
            .iter()
            .find(|filled| filled.part.voltage == term.voltage)
        else {
            continue;
        };
        let (energy_factor, leakage_factor) = factors(memory, term.cells)?;
        let stored = term.weights as f64 * (term.bits + term.overhead_bits);
        let of = |all: f64, own: f64| if all > 0.0 { own / all } else { 0.0 };
        let read = of(filled.part.read, stored * term.reads) * filled.words_read * filled.read_pj;
        let written =
            of(filled.part.written, stored * writes) * filled.words_written * filled.write_pj;
        let leaked = of(filled.part.stored, stored) * filled.leakage(whole.nanoseconds);
        let (access, leakage) = ((read + written) * energy_factor, leaked * leakage_factor);
        (term.access_pj, term.leakage_pj) = (Some(access), Some(leakage));
        term.energy_relative = (access + leakage) / reference;
    }
    if whole.rest_pj > 0.0 {
        terms.push(EnergyTerm {
            layer: REST.into(),
            voltage: error_free,
            access_energy_relative: 1.0,
            energy_factor: 1.0,
            energy_relative: whole.rest_pj / reference,
            access_pj: Some(0.0),
            leakage_pj: Some(whole.rest_pj),
            ..EnergyTerm::default()
        });
    }
    let picojoule = terms.iter().filter_map(EnergyTerm::picojoule).sum::<f64>();
    Ok(Energy {
        relative: picojoule / reference,
        picojoule: Some(picojoule),
        seconds: Some(whole.nanoseconds * 1e-9),
        terms,
    })
}

impl Part {
    fn add(&mut self, stored: f64, reads: f64, writes: f64) {
        self.stored += stored;
        self.read += stored * reads;
        self.written += stored * writes;
    }
}

impl Filled {
    fn access(&self) -> f64 {
        self.words_read * self.read_pj + self.words_written * self.write_pj
    }

    fn leakage(&self, nanoseconds: f64) -> f64 {
        self.leakage_nw * nanoseconds * PJ_PER_NW_NS
    }
}

struct Model<'a> {
    sram: &'a SramMacro,
    variant: &'a Variant,
    spec: &'a EnergySpec,
    error_free: f64,
}

impl Model<'_> {
    /// Parts as words of macros, and the time that all of them take. Macros that were asked for beyond those needed lie
    /// beside the first part, where they are `counted`.
    fn whole(&self, parts: &[Part], counted: bool) -> Result<Whole> {
        let (word, capacity) = (f64::from(self.sram.bits), self.sram.capacity_bits());
        let needed: f64 = parts.iter().map(|part| ceil(part.stored / capacity)).sum();
        let surplus = match self.spec.macros {
            Some(macros) if counted && f64::from(macros) < needed => {
                let expected = format!("at least the {needed} macros that the weights fill");
                return Err(Error::argument(
                    "energy.macros",
                    expected,
                    macros.to_string(),
                ));
            }
            Some(macros) if counted && self.spec.unused.unwrap_or_default() == Unused::Leak => {
                f64::from(macros) - needed
            }
            _ => 0.0,
        };
        let mut filled = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let point = self.variant.at(Voltage::new(part.voltage)?)?;
            let Some(delay_ns) = point.delay_ns else {
                let expected = format!(
                    "a voltage at which the delay of `{}` is known",
                    self.variant.name
                );
                return Err(Error::argument(
                    "voltage",
                    expected,
                    part.voltage.to_string(),
                ));
            };
            if let Some(period) = self.spec.period_ns.filter(|period| delay_ns > period.get()) {
                let expected =
                    format!("at least {delay_ns:.4} ns, the delay at {} V", part.voltage);
                return Err(Error::argument(
                    "energy.period_ns",
                    expected,
                    period.to_string(),
                ));
            }
            let macros = ceil(part.stored / capacity) + if i == 0 { surplus } else { 0.0 };
            filled.push(Filled {
                part: *part,
                words_read: ceil(part.read / word),
                words_written: ceil(part.written / word),
                read_pj: point.read_pj,
                write_pj: point.write_pj,
                leakage_nw: macros * point.leakage_nw,
                delay_ns,
            });
        }
        let nanoseconds = self.nanoseconds(&filled)?;
        let lowest = parts
            .iter()
            .map(|part| part.voltage)
            .fold(self.error_free, f64::min);
        let rest = self.spec.rest_of_chip_mw.map_or(0.0, |power| {
            let exponent = self.spec.rest_exponent.unwrap_or(0.0);
            power.get() * (lowest / self.error_free).powf(exponent) * nanoseconds
        });
        Ok(Whole {
            parts: filled,
            rest_pj: rest,
            nanoseconds,
        })
    }

    /// Time of an inference; one clock drives all parts, and the slowest of them sets it.
    fn nanoseconds(&self, parts: &[Filled]) -> Result<f64> {
        let accesses: f64 = parts
            .iter()
            .map(|part| part.words_read + part.words_written)
            .sum();
        let slowest = parts.iter().map(|part| part.delay_ns).fold(0.0, f64::max);
        Ok(match (self.spec.period_ns, self.spec.inference_seconds) {
            (Some(_), Some(seconds)) => seconds * 1e9,
            (Some(period), None) => accesses * period.get(),
            (None, None) => accesses * slowest,
            (None, Some(seconds)) => {
                let at = self.variant.at(Voltage::new(self.error_free)?)?;
                seconds * 1e9 * slowest / at.delay_ns.unwrap_or(slowest)
            }
        })
    }
}

/// Whole words or macros, but for the rounding of sums.
fn ceil(number: f64) -> f64 {
    (number - 1e-9).ceil()
}
