//! Energy, time and leakage of an inference of a weight memory that macros make up: words are read and written, one in a
//! cycle, and whole macros leak.
//!
//! `E = R·e_read(V) + W·e_write(V) + (M·P_leak(V) + P_rest(V))·t`, with `R` and `W` words read and written, `M` macros and
//! the time `t` of an inference: `(R + W)` periods, or the seconds that are given at the error-free voltage, which then
//! grow with the delay where the clock follows it. 1 mW · 1 ns is 1 pJ. With a standby macros leak as at its voltage, but for
//! one in each period of an access.

use super::{
    check_bits, factors, nothing_read, CellKind, Energy, EnergySpec, EnergyTerm, LayerAccess,
    Unused, REFERENCE_BITS,
};
use crate::error::{refuse, Result};
use crate::fault::secded::DATA_BITS;
use crate::memory::{MemoryModel, SramMacro, Standby, Variant};
use crate::units::{Fraction, Voltage};

/// Name of the term of what is not the memory.
const REST: &str = "rest of the chip";

/// Name of the term of the logic of SECDED.
pub(super) const LOGIC: &str = "logic of SECDED";

/// Picojoules of a nanowatt over a nanosecond.
const PJ_PER_NW_NS: f64 = 1e-6;

/// Bits of cells of one kind at one voltage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) voltage: f64,
    pub(super) kind: CellKind,
    pub(super) stored: f64,
    /// Reads of each bit.
    pub(super) reads: f64,
}

/// What lies at one voltage, in bits.
#[derive(Clone, Copy, Debug, Default)]
struct Part {
    voltage: f64,
    stored: f64,
    read: f64,
}

/// A part as words of macros.
#[derive(Clone, Copy, Debug)]
struct Filled {
    part: Part,
    words_read: f64,
    words_written: f64,
    read_pj: f64,
    write_pj: f64,
    /// Leakage of all its macros while they rest.
    leakage_nw: f64,
    /// What the macro of an access leaks beyond that.
    awake_nw: f64,
    delay_ns: f64,
}

/// Energy of an inference in picojoules.
#[derive(Debug)]
pub(super) struct Counted {
    /// Accesses and leakage of each piece.
    pub(super) pieces: Vec<(f64, f64)>,
    /// Rest of the chip.
    pub(super) rest: f64,
    pub(super) nanoseconds: f64,
}

impl Counted {
    /// Accesses; leakage with the rest of the chip.
    pub(super) fn sums(&self) -> (f64, f64) {
        let of = |pick: fn(&(f64, f64)) -> f64| self.pieces.iter().map(pick).sum::<f64>();
        (of(|piece| piece.0), of(|piece| piece.1) + self.rest)
    }
}

/// Bits in words of SECDED.
#[derive(Default)]
struct Checked {
    stored: f64,
    read: f64,
}

impl Checked {
    /// Energy of encoding and checking their words, where the memory model gives it.
    fn logic_pj(&self, memory: &MemoryModel, spec: &EnergySpec) -> f64 {
        let Some(logic) = &memory.secded else {
            return 0.0;
        };
        let words = |bits: f64| ceil(bits / f64::from(DATA_BITS));
        let written = words(self.stored * spec.writes.unwrap_or(0.0));
        words(self.read) * logic.check_pj.get() + written * logic.encode_pj.get()
    }
}

/// As [`super::weight_memory_energy`], of a memory with a macro.
pub(super) fn energy(
    layers: &[LayerAccess],
    memory: &MemoryModel,
    sram: &SramMacro,
    spec: &EnergySpec,
) -> Result<Energy> {
    let error_free = memory.error_free.get();
    let (mut pieces, mut plain, mut terms) = (Vec::new(), Vec::new(), Vec::new());
    let mut checked = Checked::default();
    for layer in layers {
        let weights = layer.weights as f64;
        let bits: f64 = layer.cells.iter().map(|cells| cells.bits).sum();
        let reads = spec.reads(layer.product, bits)?;
        plain.push(Piece {
            voltage: error_free,
            kind: CellKind::Usual,
            stored: weights * REFERENCE_BITS,
            reads: spec.reads(layer.product, REFERENCE_BITS)?,
        });
        if layer.has_secded {
            checked.stored += weights * bits;
            checked.read += weights * bits * reads;
        }
        for cells in &layer.cells {
            check_bits(layer, cells)?;
            pieces.push(Piece {
                voltage: cells.point.voltage.get(),
                kind: cells.kind,
                stored: weights * (cells.bits + cells.overhead_bits),
                reads,
            });
            let energy_factor = factors(memory, cells.kind)?.0;
            terms.push(EnergyTerm::of(layer, cells, reads, energy_factor));
        }
    }
    if plain.iter().map(|piece| piece.stored).sum::<f64>() <= 0.0 {
        return Err(nothing_read(layers));
    }
    // macros that were asked for stand for the memory at hand, not for the reference
    let of_reference = EnergySpec {
        macros: None,
        ..spec.clone()
    };
    let (access, leakage) = count(&plain, memory, sram, &of_reference)?.sums();
    let reference = access + leakage;
    let counted = count(&pieces, memory, sram, spec)?;
    for (term, (access, leakage)) in terms.iter_mut().zip(&counted.pieces) {
        (term.access_pj, term.leakage_pj) = (Some(*access), Some(*leakage));
        term.energy_relative = (access + leakage) / reference;
    }
    let logic = checked.logic_pj(memory, spec);
    for (name, access, leakage) in [(LOGIC, logic, 0.0), (REST, 0.0, counted.rest)] {
        if access + leakage > 0.0 {
            terms.push(EnergyTerm {
                layer: name.into(),
                voltage: error_free,
                access_energy_relative: 1.0,
                energy_factor: 1.0,
                energy_relative: (access + leakage) / reference,
                access_pj: Some(access),
                leakage_pj: Some(leakage),
                ..EnergyTerm::default()
            });
        }
    }
    let (access, leakage) = counted.sums();
    let access = access + logic;
    Ok(Energy {
        relative: (access + leakage) / reference,
        picojoule: Some(access + leakage),
        reference,
        seconds: Some(counted.nanoseconds * 1e-9),
        terms,
    })
}

/// The energy of pieces of a memory.
///
/// # Errors
/// [`crate::error::Error::Argument`] at voltages that are not known or too slow for a fixed clock, for fewer macros than are needed,
/// and where a factor of the robust cell is lacking.
pub(super) fn count(
    pieces: &[Piece],
    memory: &MemoryModel,
    sram: &SramMacro,
    spec: &EnergySpec,
) -> Result<Counted> {
    let mut parts: Vec<Part> = Vec::new();
    for piece in pieces {
        let (stored, read) = (piece.stored, piece.stored * piece.reads);
        match parts.iter_mut().find(|part| part.voltage == piece.voltage) {
            Some(part) => (part.stored, part.read) = (part.stored + stored, part.read + read),
            None => parts.push(Part {
                voltage: piece.voltage,
                stored,
                read,
            }),
        }
    }
    let variant = sram.variant(None)?;
    let model = Model {
        sram,
        variant,
        spec,
        error_free: memory.error_free.get(),
        standby: memory.standby.as_ref(),
    };
    let filled = model.fill(&parts)?;
    let period = model.period(&filled);
    let nanoseconds = model.nanoseconds(&filled, period)?;
    let mut counted = Vec::new();
    for piece in pieces {
        let Some(filled) = filled
            .iter()
            .find(|filled| filled.part.voltage == piece.voltage)
        else {
            continue;
        };
        let (energy_factor, leakage_factor) = factors(memory, piece.kind)?;
        let share = |own: f64, all: f64| if all > 0.0 { own / all } else { 0.0 };
        let stored = share(piece.stored, filled.part.stored);
        let read = share(piece.stored * piece.reads, filled.part.read)
            * filled.words_read
            * filled.read_pj;
        let written = stored * filled.words_written * filled.write_pj;
        // one macro at a time is awake, for one period an access
        let busy = (filled.words_read + filled.words_written) * period;
        let leaked = stored * filled.leakage_nw * nanoseconds * PJ_PER_NW_NS
            + stored * filled.awake_nw * busy.min(nanoseconds) * PJ_PER_NW_NS;
        counted.push(((read + written) * energy_factor, leaked * leakage_factor));
    }
    Ok(Counted {
        pieces: counted,
        rest: model.rest(&parts) * nanoseconds,
        nanoseconds,
    })
}

struct Model<'a> {
    sram: &'a SramMacro,
    variant: &'a Variant,
    spec: &'a EnergySpec,
    error_free: f64,
    standby: Option<&'a Standby>,
}

impl Model<'_> {
    /// Parts as words of macros. Macros that were asked for beyond those needed lie beside the first part.
    fn fill(&self, parts: &[Part]) -> Result<Vec<Filled>> {
        let (word, capacity) = (f64::from(self.sram.bits), self.sram.capacity_bits());
        let needed: f64 = parts.iter().map(|part| ceil(part.stored / capacity)).sum();
        let macros = self.spec.macros.map_or(needed, f64::from);
        if macros < needed {
            let expected = format!("at least the {needed} macros that the weights fill");
            return refuse("energy.macros", expected, macros);
        }
        let gated = self.spec.unused == Some(Unused::Gated);
        let mut surplus = if gated { 0.0 } else { macros - needed };
        let nominal = self.variant.at(Voltage::new(self.error_free)?)?;
        // what has no rail of its own stays at the error-free voltage
        let shared = |share: Option<Fraction>, lowered: f64, nominal: f64| match share {
            Some(share) => share.get() * lowered + (1.0 - share.get()) * nominal,
            None => lowered,
        };
        let (energy, leakage) = (self.spec.array_energy_share, self.spec.array_leakage_share);
        let mut filled = Vec::new();
        for part in parts {
            let point = self.variant.at(Voltage::new(part.voltage)?)?;
            let Some(delay_ns) = point.delay_ns else {
                let expected = format!(
                    "a voltage at which the delay of `{}` is known",
                    self.variant.name
                );
                return refuse("voltage", expected, part.voltage);
            };
            if let Some(period) = self
                .spec
                .period_ns
                .filter(|_| self.spec.is_too_slow(delay_ns))
            {
                let expected =
                    format!("at least {delay_ns:.4} ns, the delay at {} V", part.voltage);
                return refuse("energy.period_ns", expected, period);
            }
            let macros = ceil(part.stored / capacity) + std::mem::take(&mut surplus);
            let leakage_nw = shared(leakage, point.leakage_nw, nominal.leakage_nw);
            let standby = self.standby.filter(|standby| {
                standby.at.get() < part.voltage && part.voltage < self.error_free
            });
            let resting_nw = match standby {
                Some(standby) => {
                    let resting = self.variant.at(standby.at)?.leakage_nw;
                    shared(leakage, resting, nominal.leakage_nw)
                }
                None => leakage_nw,
            };
            filled.push(Filled {
                part: *part,
                words_read: ceil(part.read / word),
                words_written: ceil(part.stored * self.spec.writes.unwrap_or(0.0) / word),
                read_pj: shared(energy, point.read_pj, nominal.read_pj),
                write_pj: shared(energy, point.write_pj, nominal.write_pj),
                leakage_nw: macros * resting_nw,
                awake_nw: leakage_nw - resting_nw,
                delay_ns,
            });
        }
        Ok(filled)
    }

    /// Power of the rest of the chip in milliwatts, which follows the lowest voltage where it follows one.
    fn rest(&self, parts: &[Part]) -> f64 {
        let lowest = parts
            .iter()
            .map(|part| part.voltage)
            .fold(self.error_free, f64::min);
        let exponent = self.spec.rest_exponent.unwrap_or(0.0);
        let power = self.spec.rest_of_chip_mw.map_or(0.0, |power| power.get());
        power * (lowest / self.error_free).powf(exponent)
    }

    /// Nanoseconds of an access; one clock drives all parts, and the slowest of them sets it.
    fn period(&self, parts: &[Filled]) -> f64 {
        let slowest = parts.iter().map(|part| part.delay_ns).fold(0.0, f64::max);
        self.spec.period_ns.map_or(slowest, |period| period.get())
    }

    /// Time of an inference.
    fn nanoseconds(&self, parts: &[Filled], period: f64) -> Result<f64> {
        let accesses: f64 = parts
            .iter()
            .map(|part| part.words_read + part.words_written)
            .sum();
        Ok(match (self.spec.period_ns, self.spec.inference_seconds) {
            (Some(_), Some(seconds)) => seconds * 1e9,
            (_, None) => accesses * period,
            (None, Some(seconds)) => {
                let at = self.variant.at(Voltage::new(self.error_free)?)?;
                seconds * 1e9 * period / at.delay_ns.unwrap_or(period)
            }
        })
    }
}

/// Whole words or macros, but for the rounding of sums.
fn ceil(number: f64) -> f64 {
    (number - 1e-9).ceil()
}

#[cfg(test)]
mod tests;
