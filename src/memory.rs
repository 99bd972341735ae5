//! Memory models: supply voltage to bit error rate, energy and kind of fault. Which cells fail
//! at a rate is the fault room's affair.

mod builtin;
mod cacti;
mod characteristic;
mod combine;
mod curve;
mod dataflow;
mod energy;
mod faults;
mod file;
mod fit;
mod fitted;
mod import;
mod liberty;
mod macro_file;
mod measurements;
mod sram;
mod voltages;

pub use builtin::{builtin, load, macro_names, names, open, Memory};
pub use cacti::CactiChoice;
pub use characteristic::{Basis, CharacterisedPoint, Characteristic, Law, Standing};
pub use combine::{assumptions, Combination, VoltageMap};
pub use dataflow::{Dataflow, LayerProduct, ProcessingArray};
pub use energy::{
    minimum, weight_memory_energy, ActivationAccess, CellAccess, CellKind, Clock, Energy,
    EnergySpec, EnergyTerm, LayerAccess, Minimum, Place, TensorAccess, Unused,
};
pub use faults::{ArrayVariant, Faults};
pub use fit::{Fit, FitMethod, FittedPoint, Goodness, Parameter};
pub use fitted::{FittedCurve, FittedModel};
pub use import::{import, ImportSpec, Naming};
pub use liberty::{Corner, Traced};
pub use macro_file::{MacroFile, MacroModel};
pub use measurements::{Measurement, Measurements, Sampling};
pub use sram::{Laws, MacroPoint, SramMacro, Variant};
pub use voltages::{parse_voltage, parse_voltages};

use crate::error::{refuse, Error, Result};
use crate::fault::{ArraySpec, FaultKind};
use crate::units::{checked_f64, Ber, BerSource, Fraction, Positive, Voltage, VoltageUnit};
use curve::Curve;
use serde::{Deserialize, Serialize};

/// Highest bit error rate of a memory model: beyond it a bit says the opposite of what was stored.
const HIGHEST_BER: f64 = 0.5;

/// A memory: what its file says, checked. Voltages are in [`MemoryModel::unit`].
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryModel {
    /// Short name, as in tables.
    pub name: String,
    /// One line for people.
    pub title: String,
    /// Where the numbers come from.
    pub source: String,
    /// What was measured, on how many cells.
    pub measured: Option<String>,
    /// What is inferred or assumed.
    pub inferred: Option<String>,
    /// Terms of use of the numbers.
    pub license: Option<String>,
    /// Unit of every voltage of the model.
    pub unit: VoltageUnit,
    /// Lowest voltage at which no bit fails.
    pub error_free: Voltage,
    /// What the unit is relative to, in words.
    pub voltage_reference: String,
    /// Energy of an access.
    pub access: AccessEnergy,
    /// Leakage power, where the file gives it; never without an absolute energy of an access.
    pub leakage: Option<Leakage>,
    /// The macro that makes up the memory, where the file gives one: it takes the place of [`Self::access`].
    pub sram: Option<SramMacro>,
    /// What a failing cell does.
    pub fault_kind: FaultKind,
    /// Fraction of the bit error rate that is there in every access; the rest is drawn again in each.
    pub persistent_share: Fraction,
    /// Shape and correlations of the array.
    pub array: ArraySpec,
    /// A cell that does not fail, where the file gives one.
    pub robust_cell: Option<RobustCell>,
    /// The logic of SECDED, where the file gives it beside a macro.
    pub secded: Option<SecdedLogic>,
    /// Where macros rest between accesses, where the file says it beside a macro.
    pub standby: Option<Standby>,
    /// SHA-256 of the file.
    pub checksum: String,
    /// The file as it was read.
    pub text: String,
    curve: Curve,
}

checked_f64!(
    /// Power of the voltage in the energy of an access, above 0 and at most 10; 2 for charging a capacitance.
    AccessExponent, "exponent", "a number above 0 and at most 10", |x| x > 0.0 && x <= 10.0
);
checked_f64!(
    /// Power of the voltage in the leakage power, above 0 and at most 20.
    LeakageExponent, "exponent", "a number above 0 and at most 20", |x| x > 0.0 && x <= 20.0
);
checked_f64!(
    /// Energy or area of a robust cell over that of a usual one, 1 to 100.
    CostFactor, "factor", "a number from 1 to 100", |x| (1.0..=100.0).contains(&x)
);
checked_f64!(
    /// Leakage power of a robust cell over that of a usual one, above 0 and at most 100.
    LeakageFactor, "factor", "a number above 0 and at most 100", |x| x > 0.0 && x <= 100.0
);

/// Energy of one bit access, `e(V) = e(at) · (V / at)^exponent`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessEnergy {
    /// Voltage of the absolute energy.
    pub at: Voltage,
    /// Power of the voltage.
    pub exponent: AccessExponent,
    /// Absolute energy at that voltage, where it is known.
    #[serde(deserialize_with = "file::required")]
    pub picojoule_per_bit: Option<Positive>,
    /// Where the absolute energy comes from; there is one wherever there is the energy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// Leakage power of a stored bit, `P(V) = P(at) · (V / at)^exponent`: supply voltage times a leakage current that
/// itself falls with the voltage. A power law is a fit around `at`, not a device model: 1 is a constant current, a
/// current that falls with the voltage (drain-induced barrier lowering) gives more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leakage {
    /// Voltage of the power.
    pub at: Voltage,
    /// Power of a bit at that voltage.
    pub picowatt_per_bit: Positive,
    /// Power of the voltage.
    pub exponent: LeakageExponent,
    /// Where the numbers come from.
    pub source: String,
}

impl Leakage {
    /// Power of a bit in picowatts at a voltage.
    pub fn picowatt(&self, voltage: f64) -> f64 {
        self.picowatt_per_bit.get() * (voltage / self.at.get()).powf(self.exponent.get())
    }
}

/// Cost of a cell that does not fail, relative to the usual one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RobustCell {
    /// Energy of an access.
    pub energy_factor: CostFactor,
    /// Area.
    pub area_factor: CostFactor,
    /// Leakage power, where the model gives leakage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leakage_factor: Option<LeakageFactor>,
    /// Where the factors come from.
    pub source: String,
}

/// Energy of the logic of SECDED, for a word of 64 data and 8 check bits. It does not follow the voltage of the array.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecdedLogic {
    /// Encoding a word that is written, in picojoules.
    pub encode_pj: Positive,
    /// Checking, and perhaps correcting, a word that is read, in picojoules.
    pub check_pj: Positive,
    /// Where the numbers come from.
    pub source: String,
}

/// Drowsy standby: below the error-free voltage a macro without an access rests at a retention voltage, or at its own
/// where that is lower. It leaks less there, and some cells lose their bit, beside those that fail anyway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Standby {
    /// Retention voltage in volts.
    pub at: Voltage,
    /// Fraction of the cells that lose their bit there, 0 to 0.5: one point of the curve of hold failures.
    pub hold_failures: Ber,
    /// Where voltage and fraction come from.
    pub source: String,
}

impl Standby {
    /// What it means, in a sentence.
    pub fn in_words(&self) -> String {
        format!(
            "Below the error-free voltage macros rest at {} V between accesses, where {:.1e} of the cells lose their bit ({}); \
             savings against the error-free voltage, at which they do not rest, are of both. Energy and time of waking up are \
             not included.",
            self.at,
            self.hold_failures.get(),
            self.source
        )
    }
}

impl RobustCell {
    /// What stands in words where protection `msb:k` needs a robust cell and the memory model has none.
    pub fn missing(memory: &MemoryModel) -> String {
        let leaks = if memory.leakage.is_some() {
            ", leakage_factor: H"
        } else {
            ""
        };
        format!(
            "a robust cell in the file of the memory model, as this line with numbers from 1 to 100 in the place of F and G{}: \
             `protection: {{ robust_cell: {{ energy_factor: F, area_factor: G{leaks}, source: \"...\" }} }}`; \
             `memory fit` writes it with `--robust-energy F --robust-area G`",
            if leaks.is_empty() { "" } else { ", and one above 0 for H" }
        )
    }
}

/// A memory at one supply voltage.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct OperatingPoint {
    /// Supply voltage.
    pub voltage: Voltage,
    /// Bit error rate, in [0, 0.5].
    pub ber: Ber,
    /// Where the rate comes from.
    pub ber_source: BerSource,
    /// Energy of one bit access relative to the error-free voltage.
    pub access_energy_relative: f64,
}

impl MemoryModel {
    /// Bit error rate, its source and the access energy at a voltage.
    ///
    /// # Errors
    /// [`Error::Argument`] where the rate would pass 0.5; the message says from which voltage on the
    /// model can be used. As [`Self::check_reach`].
    pub fn at(&self, voltage: Voltage) -> Result<OperatingPoint> {
        self.check_reach(voltage)?;
        let v = voltage.get();
        let (ber, ber_source) = if voltage >= self.error_free {
            (Ber::ZERO, BerSource::ErrorFree)
        } else {
            (Ber::new(self.rate(v))?, self.source_below_error_free(v))
        };
        if ber.get() > HIGHEST_BER {
            let (lowest, unit) = (self.voltage_of(HIGHEST_BER), self.unit.symbol());
            let expected = format!(
                "at least {lowest:.4} {unit} (below, the bit error rate of {} passes 0.5)",
                self.name
            );
            return refuse("voltage", expected, format!("{voltage} {unit}"));
        }
        Ok(OperatingPoint {
            voltage,
            ber,
            ber_source,
            access_energy_relative: self.access_energy(voltage),
        })
    }

    /// True where more than half of the bits fail.
    pub(super) fn is_lost(&self, voltage: Voltage) -> bool {
        voltage < self.error_free && self.rate(voltage.get()) > HIGHEST_BER
    }

    /// Rate below the error-free voltage: of cells that fail in an access or, independently, while they rest.
    fn rate(&self, voltage: f64) -> f64 {
        let accessed = self.curve.rate(voltage);
        match &self.standby {
            None => accessed,
            Some(standby) => accessed + (1.0 - accessed) * standby.hold_failures.get(),
        }
    }

    /// The lowest voltage below the error-free one with a rate of at most `rate`; infinite where there is none.
    fn voltage_of(&self, rate: f64) -> f64 {
        match &self.standby {
            None => self.curve.voltage(rate),
            Some(standby) => {
                let hold = standby.hold_failures.get();
                // `rate` the other way round: what is left for accesses beside the cells that lose their bit
                let accessed = (rate - hold) / (1.0 - hold);
                if accessed > 0.0 {
                    self.curve.voltage(accessed)
                } else {
                    f64::INFINITY
                }
            }
        }
    }

    /// The lowest voltage whose bit error rate is at most `ber`: the error-free one for rates below
    /// any that the model gives.
    ///
    /// # Errors
    /// [`Error::Argument`] above 0.5, and where the curve never rises to `ber`.
    pub fn voltage_at_ber(&self, ber: Ber) -> Result<Voltage> {
        if ber.get() > HIGHEST_BER {
            return refuse("bit error rate", "0 to 0.5", ber);
        }
        if ber == Ber::ZERO {
            return Ok(self.error_free);
        }
        let voltage = self.voltage_of(ber.get());
        if voltage >= self.error_free.get() {
            return Ok(self.error_free);
        }
        Voltage::new(voltage).map_err(|_| {
            let expected = format!("a rate that {} reaches at some voltage above 0", self.name);
            Error::argument("bit error rate", expected, ber.to_string())
        })
    }

    /// Refuses voltages at which the energies and the delay of the macro are not known.
    ///
    /// # Errors
    /// [`Error::Argument`] with the voltages at which they are.
    pub fn check_reach(&self, voltage: Voltage) -> Result<()> {
        match &self.sram {
            Some(sram) => sram.variant(None)?.check_reach(voltage, true),
            None => Ok(()),
        }
    }

    /// What a word of the macro costs at a voltage; `None` without macro, and where it is not known.
    pub fn sram_at(&self, voltage: Voltage) -> Option<MacroPoint> {
        self.sram.as_ref()?.variants.first()?.at(voltage).ok()
    }

    /// Energy of one bit access relative to the error-free voltage.
    pub fn access_energy(&self, voltage: Voltage) -> f64 {
        if let Some(variant) = self.sram.as_ref().and_then(|sram| sram.variants.first()) {
            return variant.read_pj.value(voltage.get())
                / variant.read_pj.value(self.error_free.get());
        }
        (voltage.get() / self.error_free.get()).powf(self.access.exponent.get())
    }

    /// Energy of one bit access in picojoules, where the model gives an absolute energy.
    pub fn access_energy_pj(&self, voltage: Voltage) -> Option<f64> {
        let relative = (voltage.get() / self.access.at.get()).powf(self.access.exponent.get());
        self.access.picojoule_per_bit.map(|pj| pj.get() * relative)
    }

    /// `n` (at least 2) operating points for a figure, evenly spaced from a little below the measured span,
    /// but no rate above 0.5, to a little above the error-free voltage.
    ///
    /// # Errors
    /// None that is known: every point lies where the model can be used.
    pub fn curve(&self, n: usize) -> Result<Vec<OperatingPoint>> {
        let top = self.error_free.get();
        // just inside 0.5, which rounding must not pass
        let lowest = self.voltage_of(HIGHEST_BER).max(0.0);
        let lowest = lowest + 1e-9 * (top - lowest);
        let low = match self.curve.span() {
            Some([low, _]) => (low - 0.25 * (top - low)).max(lowest),
            None => lowest,
        }
        .max(0.01 * top);
        let mut high = top + 0.05 * (top - low);
        let mut low = low;
        if let Some(sram) = &self.sram {
            let [from, to] = sram.variant(None)?.reach(true);
            (low, high) = (low.max(from), high.min(to));
        }
        let last = n.max(2) - 1;
        // rounding must not pass the end
        let place = |i: usize| (low + (high - low) * i as f64 / last as f64).min(high);
        (0..=last)
            .map(|i| self.at(Voltage::new(place(i))?))
            .collect()
    }

    /// The measured rates by rising voltage; none for models that are given by a formula.
    pub fn measured_points(&self) -> Vec<(Voltage, Ber)> {
        match &self.curve {
            Curve::Points(points) => points.iter().map(|p| (p.voltage, p.rate)).collect(),
            Curve::Gaussian(_) | Curve::Exponential(..) => Vec::new(),
        }
    }

    /// A voltage that the user gave in a unit, or in none, in the model's unit.
    ///
    /// # Errors
    /// [`Error::Argument`] where the unit is not the model's: units are never mixed silently.
    pub fn voltage_in_unit(&self, voltage: Voltage, unit: Option<VoltageUnit>) -> Result<Voltage> {
        match unit {
            Some(other) if other != self.unit => refuse(
                "unit of voltage",
                format!(
                    "`{}`, that of {} ({})",
                    self.unit.name(),
                    self.name,
                    self.voltage_reference
                ),
                format!("{voltage} `{}`", other.name()),
            ),
            _ => Ok(voltage),
        }
    }

    /// A list as the user typed it, see [`parse_voltages`], in the model's unit: by rising
    /// value, without duplicates.
    ///
    /// # Errors
    /// As [`parse_voltages`] and [`MemoryModel::voltage_in_unit`].
    pub fn voltages(&self, text: &str) -> Result<Vec<Voltage>> {
        let mut voltages = parse_voltages(text)?
            .into_iter()
            .map(|(voltage, unit)| self.voltage_in_unit(voltage, unit))
            .collect::<Result<Vec<_>>>()?;
        voltages.dedup();
        Ok(voltages)
    }

    fn source_below_error_free(&self, voltage: f64) -> BerSource {
        match self.curve.span() {
            Some([low, _]) if voltage < low => BerSource::Extrapolated,
            Some([_, high]) if voltage > high => BerSource::Censored,
            _ => BerSource::Measured,
        }
    }
}

#[cfg(test)]
mod tests;
