//! The voltage at which an inference takes the least energy, and where it lies: the same formula as every energy, at every
//! voltage of a grid, whether a network is swept there or not.

use super::macros::{count, Piece, LOGIC};
use super::{EnergySpec, EnergyTerm};
use crate::error::{Error, Result};
use crate::memory::{assumptions, Characteristic, MemoryModel, Variant};
use crate::units::{thousands, Voltage};

/// Volts between the voltages that are compared.
const STEP: f64 = 0.02;
/// Share above the least energy within which voltages are as good, where the laws do not say how far they miss.
const NEAR: f64 = 0.01;

/// Where the energy of an inference is least.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// What kind of minimum it is.
    pub place: Place,
    /// Its voltage.
    pub voltage: f64,
    /// Lowest and highest voltage around it whose energy is within [`Self::within`] of it.
    pub near: [f64; 2],
    /// Share above the least energy: how far the fitted laws miss their points, else 1 %.
    pub within: f64,
    /// True where it is that of the fitted laws.
    pub is_of_laws: bool,
    /// Energy of the accesses there, in picojoules.
    pub access_pj: f64,
    /// Energy of the leakage there, and of the rest of the chip, in picojoules.
    pub leakage_pj: f64,
    /// Its energy over that at the error-free voltage.
    pub over_error_free: f64,
}

/// Where a minimum lies in the voltages that the energy is known at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Inside: energy rises on both sides.
    Inside,
    /// At the lowest voltage that is known: it falls all the way down.
    Lowest,
    /// At the lowest voltage whose delay a fixed clock allows.
    Feasible,
    /// At the highest voltage that is known.
    Highest,
}

/// The least energy of the weight memory whose terms these are, over the voltage of the cells that lie at `lowered`; the
/// others stay. Compared are all multiples of 0.02 V at which the macro is known. `None` for memory models without one.
///
/// # Errors
/// As [`super::weight_memory_energy`].
pub fn minimum(
    terms: &[EnergyTerm],
    lowered: f64,
    memory: &MemoryModel,
    spec: &EnergySpec,
) -> Result<Option<Minimum>> {
    let Some(sram) = &memory.sram else {
        return Ok(None);
    };
    let cells = terms.iter().filter(|term| term.weights > 0);
    let pieces: Vec<Piece> = cells
        .map(|term| Piece {
            voltage: term.voltage,
            kind: term.cells,
            stored: term.weights as f64 * (term.bits + term.overhead_bits),
            reads: term.reads,
        })
        .collect();
    // the same at every voltage
    let logic = terms.iter().filter(|term| term.layer == LOGIC);
    let logic: f64 = logic.filter_map(|term| term.access_pj).sum();
    let at = |voltage: f64| {
        let mut pieces = pieces.clone();
        for piece in pieces.iter_mut().filter(|piece| piece.voltage == lowered) {
            piece.voltage = voltage;
        }
        let (access, leakage) = count(&pieces, memory, sram, spec)?.sums();
        Ok::<_, Error>((access + logic, leakage))
    };
    let variant = sram.variant(None)?;
    let [low, high] = variant.reach(true);
    let mut energies: Vec<(f64, f64, f64)> = Vec::new();
    let mut infeasible = false;
    let mut place = (low / STEP - 1e-9).ceil();
    while place * STEP <= high + 1e-9 {
        // without the rounding of the product
        let voltage = ((place * STEP * 1e6).round() / 1e6).clamp(low, high);
        place += 1.0;
        if spec.is_too_slow(variant.delay_ns.value(voltage)) {
            infeasible = true;
            continue;
        }
        let (access, leakage) = at(voltage)?;
        energies.push((voltage, access, leakage));
    }
    let sum = |row: &(f64, f64, f64)| row.1 + row.2;
    let least = energies
        .iter()
        .enumerate()
        .min_by(|(_, a), (_, b)| sum(a).total_cmp(&sum(b)));
    let Some((at_least, &(voltage, access_pj, leakage_pj))) = least else {
        return Ok(None);
    };
    let least = access_pj + leakage_pj;
    let missed = missed(variant);
    let within = missed.unwrap_or(NEAR);
    let is_near = |row: &(f64, f64, f64)| sum(row) <= least * (1.0 + within);
    let from = energies[..at_least]
        .iter()
        .rposition(|row| !is_near(row))
        .map_or(0, |i| i + 1);
    let to = energies[at_least..]
        .iter()
        .position(|row| !is_near(row))
        .map_or(energies.len(), |i| at_least + i)
        - 1;
    let (access, leakage) = at(memory.error_free.get())?;
    Ok(Some(Minimum {
        place: match at_least {
            0 if infeasible => Place::Feasible,
            0 => Place::Lowest,
            last if last + 1 == energies.len() => Place::Highest,
            _ => Place::Inside,
        },
        voltage,
        near: [energies[from].0, energies[to].0],
        within,
        is_of_laws: missed.is_some(),
        access_pj,
        leakage_pj,
        over_error_free: least / (access + leakage),
    }))
}

/// How far the laws of a variant miss their points, at most: of accesses, or of leakage and the time that it lasts.
/// `None` where one is assumed or has no residual left.
fn missed(variant: &Variant) -> Option<f64> {
    let residual = |number: &Characteristic| number.law.as_ref()?.worst_residual;
    let accesses = residual(&variant.read_pj)?.max(residual(&variant.write_pj)?);
    Some(accesses.max(residual(&variant.leakage_nw)? + residual(&variant.delay_ns)?))
}

impl Minimum {
    /// Where the minimum lies, against the first failing cell too, and why; then what is assumed. The sentence begins
    /// with what it is of, such as the names of models.
    pub fn in_words(&self, of: &str, memory: &MemoryModel, spec: &EnergySpec) -> String {
        let (volt, [from, to]) = (self.voltage, self.near);
        let is_fixed = spec.has_fixed_clock();
        let leakage = match spec.rest_of_chip_mw {
            Some(_) => "leakage and the rest of the chip",
            None => "leakage",
        };
        let terms = format!(
            "{} pJ of accesses and {} pJ of {leakage}",
            in_words(self.access_pj),
            in_words(self.leakage_pj)
        );
        let share = 100.0 * self.leakage_pj / (self.access_pj + self.leakage_pj);
        let sure = if self.is_of_laws {
            let missed = 100.0 * self.within;
            format!("{missed:.2} % more, which is how far the fitted laws miss their points")
        } else {
            "1 % more (no residual of the laws says how sure it is)".into()
        };
        let faults = self.against_faults(memory);
        let mut text = match self.place {
            Place::Inside => format!(
                "{of}: the minimum-energy voltage is {volt} V, {faults}. Below it leakage over a longer time costs more than \
                 cheaper accesses save; there it takes {terms}, and from {from} to {to} V at most {sure}"
            ),
            Place::Feasible => format!(
                "{of}: with a fixed clock accesses and leakage both fall with the voltage, so there is no inner minimum: the \
                 lowest feasible voltage, {volt} V, is the cheapest ({terms}), {faults}. Below it the delay exceeds the period"
            ),
            Place::Lowest if is_fixed => format!(
                "{of}: with a fixed clock accesses and leakage both fall with the voltage, so there is no inner minimum: the \
                 lowest voltage at which the macro is known, {volt} V, is the cheapest ({terms}), {faults}"
            ),
            Place::Lowest => format!(
                "{of}: no minimum-energy voltage down to {volt} V, the lowest at which the macro is known: {leakage} is \
                 {share:.2} % of the energy there ({terms}), so lower is always cheaper; it is {faults}"
            ),
            Place::Highest => format!(
                "{of}: no minimum-energy voltage up to {volt} V, the highest at which the macro is known: the energy falls \
                 all the way up, as leakage over a longer time costs more than cheaper accesses save; it is {faults}"
            ),
        };
        text += &format!(
            ". That is {:.1} % of the energy at the error-free voltage",
            100.0 * self.over_error_free
        );
        let variant = memory.sram.as_ref().and_then(|sram| sram.variants.first());
        if let Some(assumed) = variant.and_then(assumptions) {
            text += &format!(". Assumed: {assumed}");
        }
        if let Some(standby) = &memory.standby {
            text += &format!(". {}", standby.in_words().trim_end_matches('.'));
        }
        if spec.rest_of_chip_mw.is_none() {
            text += ". This is of the weight memory alone";
            text += if is_fixed {
                ""
            } else {
                "; a slower clock also makes the rest of the chip leak longer"
            };
        }
        text + "."
    }

    /// Its place against the first failing cell.
    fn against_faults(&self, memory: &MemoryModel) -> String {
        let error_free = memory.error_free;
        if self.voltage >= error_free.get() {
            return "where no cell fails: tolerating faults buys nothing here".into();
        }
        let at = Voltage::new(self.voltage).and_then(|voltage| memory.at(voltage));
        let rate = at.map_or("more than half of the bits fail".into(), |point| {
            format!("the bit error rate is {:.1e}", point.ber.get())
        });
        format!("below the first failing cell ({error_free} V), where {rate}")
    }
}

/// Picojoules with commas between thousands.
fn in_words(picojoule: f64) -> String {
    let whole = format!("{:.1}", picojoule);
    let (digits, rest) = whole.split_once('.').unwrap_or((&whole, "0"));
    format!("{}.{rest}", thousands(digits))
}
