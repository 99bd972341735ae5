//! The voltage at which an inference takes the least energy, and where it lies: the same formula as every energy, at every
//! voltage of a grid, whether a network is swept there or not.

use super::{weight_memory_energy, EnergySpec, LayerAccess};
use crate::error::Result;
use crate::memory::{MemoryModel, OperatingPoint};
use crate::units::{Ber, BerSource, Voltage};

/// Volts between the voltages that are compared.
const STEP: f64 = 0.02;
/// Share above the least energy within which voltages are as good.
const NEAR: f64 = 0.01;

/// Where the energy of an inference is least.
#[derive(Clone, Debug, PartialEq)]
pub struct Minimum {
    /// What kind of minimum it is.
    pub place: Place,
    /// Its voltage.
    pub voltage: f64,
    /// Lowest and highest voltage around it whose energy is within 1 % of it.
    pub near: [f64; 2],
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

/// The least energy of the weight memory over the voltage of the cells that lie at `lowered` in `layers`; the others
/// stay. Compared are multiples of 0.02 V up to the error-free voltage, or to the highest that is known where the energy
/// still falls there. `None` for memory models without a macro.
///
/// # Errors
/// As [`weight_memory_energy`].
pub fn minimum(
    layers: &[LayerAccess],
    lowered: Voltage,
    memory: &MemoryModel,
    spec: &EnergySpec,
) -> Result<Option<Minimum>> {
    let Some(sram) = &memory.sram else {
        return Ok(None);
    };
    let variant = sram.variant(None)?;
    let [low, high] = variant.reach(true);
    let mut energies: Vec<(f64, f64, f64)> = Vec::new();
    let mut infeasible = false;
    let mut place = (low / STEP - 1e-9).ceil();
    while place * STEP <= high + 1e-9 {
        let voltage = (place * STEP * 1e6).round() / 1e6;
        place += 1.0;
        let slow = variant.delay_ns.value(voltage);
        if spec.period_ns.is_some_and(|period| slow > period.get()) {
            infeasible = true;
            continue;
        }
        let (access, leakage) = at(layers, lowered, Voltage::new(voltage)?, memory, spec)?;
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
    let is_near = |row: &(f64, f64, f64)| sum(row) <= least * (1.0 + NEAR);
    let from = energies[..at_least]
        .iter()
        .rposition(|row| !is_near(row))
        .map_or(0, |i| i + 1);
    let to = energies[at_least..]
        .iter()
        .position(|row| !is_near(row))
        .map_or(energies.len(), |i| at_least + i)
        - 1;
    let (access, leakage) = at(layers, lowered, memory.error_free, memory, spec)?;
    Ok(Some(Minimum {
        place: match at_least {
            0 if infeasible => Place::Feasible,
            0 => Place::Lowest,
            last if last + 1 == energies.len() => Place::Highest,
            _ => Place::Inside,
        },
        voltage,
        near: [energies[from].0, energies[to].0],
        access_pj,
        leakage_pj,
        over_error_free: least / (access + leakage),
    }))
}

/// Energies of accesses and leakage with the lowered cells at another voltage.
fn at(
    layers: &[LayerAccess],
    lowered: Voltage,
    voltage: Voltage,
    memory: &MemoryModel,
    spec: &EnergySpec,
) -> Result<(f64, f64)> {
    // the rate is of no account here, and may not be known
    let point = OperatingPoint {
        voltage,
        ber: Ber::ZERO,
        ber_source: BerSource::ErrorFree,
        access_energy_relative: memory.access_energy(voltage),
    };
    let mut layers = layers.to_vec();
    for cells in layers.iter_mut().flat_map(|layer| &mut layer.cells) {
        if cells.point.voltage == lowered {
            cells.point = point;
        }
    }
    let energy = weight_memory_energy(&layers, memory, spec)?;
    let sum =
        |of: fn(&super::EnergyTerm) -> Option<f64>| energy.terms.iter().filter_map(of).sum::<f64>();
    Ok((sum(|term| term.access_pj), sum(|term| term.leakage_pj)))
}
