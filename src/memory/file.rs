//! A memory-model file: its form, both ways, and what is checked across its keys. Every error names file, line and key.

use super::characteristic::tidy;
use super::curve::{Curve, Exponential, Gaussian, Point};
use super::{
    parse_voltage, AccessEnergy, AccessExponent, Leakage, MemoryModel, RobustCell, SecdedLogic,
    SramMacro, Standby, HIGHEST_BER,
};
use crate::error::{refuse, Error, Result};
use crate::fault::{ArraySpec, FaultKind, KindName};
use crate::store::sha256;
use crate::units::{check_name, Ber, Fraction, Positive, Voltage, VoltageUnit};
use crate::yaml::{resolve, resolve_to, to_yaml, Layer};
use serde::{Deserialize, Deserializer, Serialize};
use std::num::NonZeroU64;
use std::path::Path;

/// What the file holds, each value checked by its type.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelFile {
    pub(super) name: String,
    pub(super) title: String,
    pub(super) source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) measured: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) inferred: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) license: Option<String>,
    pub(super) voltage: VoltagePart,
    pub(super) bit_error_rate: RatePart,
    pub(super) energy: EnergyPart,
    pub(super) faults: FaultPart,
    pub(super) array: ArraySpec,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) protection: Option<ProtectionPart>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) standby: Option<Standby>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VoltagePart {
    pub(super) unit: VoltageUnit,
    pub(super) error_free: Voltage,
    pub(super) reference: String,
}

/// Exactly one of them.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RatePart {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) points: Option<Vec<(Voltage, f64)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) counts: Option<CountPart>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) gaussian: Option<Gaussian>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) exponential: Option<Exponential>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountPart {
    pub(super) cells: NonZeroU64,
    pub(super) faults: Vec<(Voltage, u64)>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnergyPart {
    pub(super) access: AccessEnergy,
    #[serde(deserialize_with = "required")]
    pub(super) leakage: Option<Leakage>,
    /// Takes the place of the relative energy of `access`.
    #[serde(rename = "macro", default, skip_serializing_if = "Option::is_none")]
    pub(super) sram: Option<SramMacro>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FaultPart {
    pub(super) kind: KindName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) zero_to_one_share: Option<Fraction>,
    pub(super) persistent_share: Fraction,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProtectionPart {
    pub(super) robust_cell: Option<RobustCell>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) secded: Option<SecdedLogic>,
}

/// A key that must be written, though it may be null.
pub(super) fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(input)
}

impl MemoryModel {
    /// Reads the text of a memory-model file; `path` is for errors alone.
    ///
    /// # Errors
    /// [`Error::Input`] with path, line and key for everything that is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        Self::of_layer(Layer::text(path, text)?, text)
    }

    pub(super) fn of_layer(layer: Layer, text: &str) -> Result<Self> {
        resolve_to(&[layer], |file: ModelFile| file.model(text))
    }

    /// The same memory whose cells all fail earlier by a voltage, with or without unit: its failure curve moves, what a
    /// voltage costs stays. Its name, text and checksum say so.
    ///
    /// # Errors
    /// [`Error::Argument`] for what is no voltage in the model's unit, and where the curve has none to move.
    pub fn with_margin(&self, margin: &str) -> Result<Self> {
        let parsed = parse_voltage(margin).and_then(|(own, unit)| self.voltage_in_unit(own, unit));
        let margin = parsed.map_err(|error| {
            Error::argument(
                "--margin (faults.margin)",
                error.expected(),
                format!("`{margin}`"),
            )
        })?;
        let mut file: ModelFile = resolve(&[Layer::text(Path::new(&self.name), &self.text)?])?;
        file.move_failures(1.0, margin.get())?;
        file.name = format!("{}-margin-{margin}", self.name);
        let said = of_margin(margin.get(), self.unit.symbol());
        let inferred = file.inferred.take().unwrap_or_default();
        file.inferred = Some(format!("{} {said}", inferred.trim()).trim().to_owned());
        Self::parse(Path::new(&file.name), &to_yaml(&file)?)
    }
}

/// What a margin stands for.
pub(super) fn of_margin(margin: f64, unit: &str) -> String {
    format!("Margin: each cell is taken to fail {margin} {unit} earlier.")
}

impl ModelFile {
    /// The model that the file describes, which has this text.
    fn model(self, text: &str) -> Result<MemoryModel> {
        self.check_texts()?;
        self.check_energy()?;
        self.check_macro()?;
        let (faults, access) = (&self.faults, &self.energy.access);
        let found = faults
            .zero_to_one_share
            .map_or("none".into(), |fraction| fraction.to_string());
        let fault_kind = FaultKind::new(faults.kind, faults.zero_to_one_share)
            .or_else(|expected| refuse("faults.zero_to_one_share", expected, found))?;
        self.array.check().map_err(|error| match error {
            Error::Argument {
                what,
                expected,
                found,
            } => Error::argument(format!("array.{what}"), expected, found),
            other => other,
        })?;
        let error_free = self.voltage.error_free;
        let protection = self.protection.unwrap_or_default();
        Ok(MemoryModel {
            name: self.name,
            title: self.title,
            source: self.source,
            measured: self.measured,
            inferred: self.inferred,
            license: self.license,
            unit: self.voltage.unit,
            error_free,
            voltage_reference: self.voltage.reference,
            robust_cell: protection.robust_cell,
            secded: protection.secded,
            standby: self.standby,
            curve: self.bit_error_rate.curve(error_free, access.exponent)?,
            access: self.energy.access,
            leakage: self.energy.leakage,
            sram: self.energy.sram,
            fault_kind,
            persistent_share: self.faults.persistent_share,
            array: self.array,
            checksum: sha256(text.as_bytes()),
            text: text.to_owned(),
        })
    }

    /// Carries the voltages of the failure curve over as `scale` times them, and adds a margin; energies stay.
    ///
    /// # Errors
    /// [`Error::Argument`] for a margin on a law that no voltage shifts, and voltages out of range.
    pub(super) fn move_failures(&mut self, scale: f64, margin: f64) -> Result<()> {
        let volts = |voltage: &mut Voltage| -> Result<()> {
            *voltage = Voltage::new(tidy(voltage.get() * scale + margin))?;
            Ok(())
        };
        volts(&mut self.voltage.error_free)?;
        let rates = &mut self.bit_error_rate;
        for (voltage, _) in rates.points.iter_mut().flatten() {
            volts(voltage)?;
        }
        if let Some(counts) = &mut rates.counts {
            for (voltage, _) in &mut counts.faults {
                volts(voltage)?;
            }
        }
        if let Some(gaussian) = &mut rates.gaussian {
            volts(&mut gaussian.mu)?;
            gaussian.sigma = Positive::new(tidy(gaussian.sigma.get() * scale))?;
            for voltage in gaussian.measured_span.iter_mut().flatten() {
                volts(voltage)?;
            }
        }
        if let Some(exponential) = &mut rates.exponential {
            if margin != 0.0 {
                let expected = "0 for a law of the energy, which has no voltage to shift";
                return refuse("--margin", expected, margin);
            }
            volts(&mut exponential.reference)?;
            for voltage in exponential.measured_span.iter_mut().flatten() {
                volts(voltage)?;
            }
        }
        Ok(())
    }

    fn robust_cell(&self) -> Option<&RobustCell> {
        self.protection.as_ref()?.robust_cell.as_ref()
    }

    fn secded(&self) -> Option<&SecdedLogic> {
        self.protection.as_ref()?.secded.as_ref()
    }

    /// A plain name, and no text without a word.
    fn check_texts(&self) -> Result<()> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if check_name(&self.name).is_err() || !self.name.chars().all(is_plain) {
            let expected = "1 to 64 letters, digits, `-`, `_` or `.`, a letter, a digit or `_` first: it becomes part \
                            of names of results";
            return refuse("name", expected, format!("`{}`", self.name));
        }
        let leakage = self.energy.leakage.as_ref();
        for (key, text) in [
            ("title", Some(&self.title)),
            ("source", Some(&self.source)),
            ("voltage.reference", Some(&self.voltage.reference)),
            ("energy.access.source", self.energy.access.source.as_ref()),
            ("energy.leakage.source", leakage.map(|part| &part.source)),
            (
                "protection.robust_cell.source",
                self.robust_cell().map(|cell| &cell.source),
            ),
            (
                "standby.source",
                self.standby.as_ref().map(|standby| &standby.source),
            ),
            (
                "protection.secded.source",
                self.secded().map(|logic| &logic.source),
            ),
        ] {
            if text.is_some_and(|text| text.trim().is_empty()) {
                return refuse(key, "some text", "none");
            }
        }
        Ok(())
    }

    /// An absolute energy has a source, and leakage is not added to what is only relative.
    fn check_energy(&self) -> Result<()> {
        let (access, leakage) = (&self.energy.access, &self.energy.leakage);
        if access.picojoule_per_bit.is_some() && access.source.is_none() {
            let expected = "where the absolute energy `picojoule_per_bit` comes from";
            return refuse("energy.access.source", expected, "none");
        }
        if access.picojoule_per_bit.is_none() && leakage.is_some() {
            let expected = "a number beside `energy.leakage`: leakage is absolute and cannot be added to accesses whose \
                            energy is only relative";
            return refuse("energy.access.picojoule_per_bit", expected, "null");
        }
        match self.robust_cell().and_then(|cell| cell.leakage_factor) {
            Some(factor) if leakage.is_none() && self.energy.sram.is_none() => refuse(
                "protection.robust_cell.leakage_factor",
                "no such key beside `energy.leakage: null`",
                factor,
            ),
            _ => Ok(()),
        }
    }
}

impl ModelFile {
    /// A macro is in volts, is known at the error-free voltage, and stands beside no other absolute energy.
    fn check_macro(&self) -> Result<()> {
        let Some(sram) = &self.energy.sram else {
            for (key, is_given) in [
                ("protection.secded", self.secded().is_some()),
                ("standby", self.standby.is_some()),
            ] {
                if is_given {
                    let expected =
                        "no such key without `energy.macro`, which has the energies to go with it";
                    return refuse(key, expected, "a value");
                }
            }
            return Ok(());
        };
        sram.check("energy.macro")?;
        if self.voltage.unit != VoltageUnit::Volt {
            let expected = "`volt` beside `energy.macro`, whose voltages are volts";
            return refuse("voltage.unit", expected, self.voltage.unit.name());
        }
        if self.energy.access.picojoule_per_bit.is_some() {
            let expected = "null beside `energy.macro`, which has energies of its own";
            return refuse("energy.access.picojoule_per_bit", expected, "a number");
        }
        if self.energy.leakage.is_some() {
            let expected = "null beside `energy.macro`, which has a leakage of its own";
            return refuse("energy.leakage", expected, "a value");
        }
        let variant = sram.variant(None)?;
        if let Some(standby) = &self.standby {
            let [low, _] = variant.reach(false);
            let (at, lost) = (standby.at, standby.hold_failures.get());
            if at >= self.voltage.error_free || at.get() < low {
                let (high, expected) = (self.voltage.error_free, "at which the macro is known");
                return refuse(
                    "standby.at",
                    format!("a voltage from {low:.4}, {expected}, to below {high}"),
                    at,
                );
            }
            if lost >= HIGHEST_BER {
                return refuse("standby.hold_failures", "a fraction below 0.5", lost);
            }
        }
        let [low, high] = variant.reach(true);
        let error_free = self.voltage.error_free.get();
        if !(low..=high).contains(&error_free) {
            let expected = format!(
                "a voltage from {low:.4} to {high:.4}, at which the first variant of `energy.macro` is known"
            );
            return refuse("voltage.error_free", expected, error_free);
        }
        Ok(())
    }
}

impl RatePart {
    fn curve(self, error_free: Voltage, exponent: AccessExponent) -> Result<Curve> {
        let all = [
            ("points", self.points.is_some()),
            ("counts", self.counts.is_some()),
            ("gaussian", self.gaussian.is_some()),
            ("exponential", self.exponential.is_some()),
        ];
        let given = all.iter().filter(|(_, is_given)| *is_given);
        let given: Vec<&str> = given.map(|(name, _)| *name).collect();
        match (self.points, self.counts, self.gaussian, self.exponential) {
            (Some(points), None, None, None) => {
                points_curve("bit_error_rate.points", &points, error_free)
            }
            (None, Some(counts), None, None) => {
                let cells = counts.cells.get() as f64;
                let faults = counts.faults.iter();
                let rates: Vec<_> = faults.map(|&(v, n)| (v, n as f64 / cells)).collect();
                points_curve("bit_error_rate.counts.faults", &rates, error_free)
            }
            (None, None, Some(gaussian), None) => formula_curve(
                "bit_error_rate.gaussian",
                Curve::Gaussian(gaussian),
                error_free,
            ),
            (None, None, None, Some(exponential)) => formula_curve(
                "bit_error_rate.exponential",
                Curve::Exponential(exponential, exponent),
                error_free,
            ),
            _ => {
                let expected = "exactly one of points, counts, gaussian, exponential";
                let found = if given.is_empty() {
                    "none of them".to_owned()
                } else {
                    given.join(" and ")
                };
                refuse("bit_error_rate", expected, found)
            }
        }
    }
}

/// Rates of 0, where no failure was seen, are checked but are not points: a measurement of no failure
/// gives no rate.
fn points_curve(key: &str, rates: &[(Voltage, f64)], error_free: Voltage) -> Result<Curve> {
    let mut points = Vec::new();
    let mut before: Option<(Voltage, f64)> = None;
    for (i, &(voltage, rate)) in rates.iter().enumerate() {
        let key = format!("{key}.{i}");
        if !(0.0..=HIGHEST_BER).contains(&rate) {
            return refuse(key, "a bit error rate from 0 to 0.5", rate);
        }
        if rate > 0.0 && voltage >= error_free {
            let expected = format!("a voltage below the error-free one ({error_free})");
            return refuse(key, expected, voltage);
        }
        if let Some((below, more)) = before {
            if voltage <= below {
                let expected = format!("voltages in rising order, so above {below}");
                return refuse(key, expected, voltage);
            }
            if rate > more {
                let expected = format!(
                    "a bit error rate that does not rise with the voltage, so at most {more}"
                );
                return refuse(key, expected, rate);
            }
        }
        before = Some((voltage, rate));
        if rate > 0.0 {
            points.push(Point::new(voltage, Ber::new(rate)?));
        }
    }
    if points.len() < 2 {
        return refuse(key, "at least two voltages with failures", points.len());
    }
    Ok(Curve::Points(points))
}

/// A formula must leave voltages to use: at most 0.5 at the error-free voltage, and in the whole span.
fn formula_curve(key: &str, curve: Curve, error_free: Voltage) -> Result<Curve> {
    let error_free = error_free.get();
    if let Some([low, high]) = curve.span() {
        let key = format!("{key}.measured_span");
        if low >= high || high > error_free {
            let expected = format!("two rising voltages up to the error-free one ({error_free})");
            return refuse(key, expected, format!("[{low}, {high}]"));
        }
        if curve.rate(low) > HIGHEST_BER {
            let expected = "voltages with a bit error rate up to 0.5";
            return refuse(key, expected, curve.rate(low));
        }
    }
    let rate = curve.rate(error_free);
    if rate >= HIGHEST_BER {
        let expected =
            format!("a bit error rate below 0.5 at the error-free voltage ({error_free})");
        return refuse(key, expected, rate);
    }
    Ok(curve)
}

#[cfg(test)]
mod tests;
