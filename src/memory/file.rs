//! Reading a memory-model file: YAML to a checked model. Every error names file, line and key.

use super::curve::{Curve, Point};
use super::{AccessEnergy, Leakage, MemoryModel, RobustCell, HIGHEST_BER};
use crate::error::{Error, Result};
use crate::fault::{ArraySpec, FaultKind, KindName};
use crate::store::line::{nearest_line, yaml_error};
use crate::store::sha256;
use crate::store::yaml::{check_nesting, read_yaml, Fault};
use crate::units::{check_name, Share, Voltage, VoltageUnit};
use serde::{Deserialize, Deserializer};
use std::path::Path;

/// The file as it is written, numbers unchecked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelFile {
    name: String,
    title: String,
    source: String,
    measured: Option<String>,
    inferred: Option<String>,
    license: Option<String>,
    voltage: VoltagePart,
    bit_error_rate: RatePart,
    energy: EnergyPart,
    faults: FaultPart,
    array: ArraySpec,
    protection: Option<ProtectionPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoltagePart {
    unit: VoltageUnit,
    error_free: f64,
    reference: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RatePart {
    points: Option<Vec<(f64, f64)>>,
    counts: Option<CountPart>,
    gaussian: Option<GaussianPart>,
    exponential: Option<ExponentialPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountPart {
    cells: u64,
    faults: Vec<(f64, u64)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GaussianPart {
    mu: f64,
    sigma: f64,
    measured_span: Option<[f64; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExponentialPart {
    a: f64,
    reference: f64,
    measured_span: Option<[f64; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EnergyPart {
    access: AccessPart,
    #[serde(deserialize_with = "required")]
    leakage: Option<LeakagePart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LeakagePart {
    at: f64,
    picowatt_per_bit: f64,
    exponent: f64,
    source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessPart {
    at: f64,
    exponent: f64,
    #[serde(deserialize_with = "required")]
    picojoule_per_bit: Option<f64>,
    source: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultPart {
    kind: KindName,
    zero_to_one_share: Option<f64>,
    persistent_share: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProtectionPart {
    robust_cell: Option<RobustPart>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RobustPart {
    energy_factor: f64,
    area_factor: f64,
    leakage_factor: Option<f64>,
    source: String,
}

/// A key that must be written, though it may be null.
fn required<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    input: D,
) -> Result<Option<T>, D::Error> {
    Option::deserialize(input)
}

/// Where a text comes from, for errors.
struct Origin<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Origin<'_> {
    fn read(&self) -> Result<ModelFile> {
        check_nesting(self.text).map_err(|fault| self.fault(fault))?;
        // serde_yaml knows lines, but no merge keys: only a text with these goes by way of a plain value
        if !self.text.contains("<<") {
            return serde_yaml::from_str(self.text).map_err(|error| {
                let line = error.location().map(|place| place.line());
                yaml_error(self.path, &error.to_string(), line)
            });
        }
        let value = read_yaml(self.text).map_err(|fault| self.fault(fault))?;
        serde_path_to_error::deserialize(value).map_err(|error| {
            let place = error.path().to_string();
            let keys: Vec<&str> = place.split('.').collect();
            let message = format!("{place}: {}", error.inner());
            yaml_error(self.path, &message, nearest_line(self.text, &keys))
        })
    }

    fn fault(&self, fault: Fault) -> Error {
        let keys: Vec<&str> = fault.key.iter().map(String::as_str).collect();
        Error::Input {
            path: self.path.to_owned(),
            line: fault.line.or_else(|| nearest_line(self.text, &keys)),
            key: (!keys.is_empty()).then(|| keys.join(".")),
            expected: fault.expected,
            found: fault.found,
        }
    }

    /// A value that parsed but is wrong; `key` in the form `bit_error_rate.points.3`, on the line of the
    /// nearest part of it that is written.
    fn wrong(&self, key: &str, expected: impl Into<String>, found: impl ToString) -> Error {
        let parts: Vec<&str> = key.split('.').collect();
        let line = nearest_line(self.text, &parts);
        let (path, key) = (self.path.to_owned(), Some(key.to_owned()));
        Error::Input {
            path,
            line,
            key,
            expected: expected.into(),
            found: found.to_string(),
        }
    }

    /// A finite number above 0.
    fn positive(&self, key: &str, value: f64) -> Result<f64> {
        if value > 0.0 && value.is_finite() {
            return Ok(value);
        }
        Err(self.wrong(key, "a number above 0", value))
    }

    fn voltage(&self, key: &str, value: f64) -> Result<Voltage> {
        Voltage::new(value).map_err(|_| self.wrong(key, "a number above 0 and at most 100", value))
    }

    fn share(&self, key: &str, value: f64) -> Result<Share> {
        Share::new(value).map_err(|_| self.wrong(key, "a number from 0 to 1", value))
    }

    fn word(&self, key: &str, value: String) -> Result<String> {
        if value.trim().is_empty() {
            return Err(self.wrong(key, "some text", "none"));
        }
        Ok(value)
    }
}

impl MemoryModel {
    /// Reads the text of a memory-model file; `path` is for errors alone.
    ///
    /// # Errors
    /// [`Error::Input`] with path, line and key for everything that is wrong.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let origin = Origin { path, text };
        let file = origin.read()?;
        let error_free = origin.voltage("voltage.error_free", file.voltage.error_free)?;
        let access = access(&origin, file.energy.access)?;
        let leakage = leakage(&origin, file.energy.leakage, &access)?;
        Ok(Self {
            name: name(&origin, file.name)?,
            title: origin.word("title", file.title)?,
            source: origin.word("source", file.source)?,
            measured: file.measured,
            inferred: file.inferred,
            license: file.license,
            unit: file.voltage.unit,
            error_free,
            voltage_reference: origin.word("voltage.reference", file.voltage.reference)?,
            robust_cell: robust_cell(&origin, file.protection, leakage.is_some())?,
            curve: curve(
                &origin,
                file.bit_error_rate,
                error_free.get(),
                access.exponent,
            )?,
            access,
            leakage,
            fault_kind: fault_kind(&origin, &file.faults)?,
            persistent_share: origin
                .share("faults.persistent_share", file.faults.persistent_share)?,
            array: array(&origin, file.array)?,
            checksum: sha256(text.as_bytes()),
            text: text.to_owned(),
        })
    }
}

fn name(origin: &Origin, name: String) -> Result<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if check_name(&name).is_err() || !name.chars().all(is_plain) {
        let expected = "1 to 64 letters, digits, `-`, `_` or `.`, a letter, a digit or `_` first: it becomes part of \
                        names of results";
        return Err(origin.wrong("name", expected, format!("`{name}`")));
    }
    Ok(name)
}

fn access(origin: &Origin, access: AccessPart) -> Result<AccessEnergy> {
    if !(access.exponent > 0.0 && access.exponent <= 10.0) {
        return Err(origin.wrong(
            "energy.access.exponent",
            "a number above 0 and at most 10",
            access.exponent,
        ));
    }
    let key = "energy.access.source";
    let source = access
        .source
        .map(|source| origin.word(key, source))
        .transpose()?;
    if access.picojoule_per_bit.is_some() && source.is_none() {
        let expected = "where the absolute energy `picojoule_per_bit` comes from";
        return Err(origin.wrong(key, expected, "none"));
    }
    let picojoule = |pj| origin.positive("energy.access.picojoule_per_bit", pj);
    Ok(AccessEnergy {
        at: origin.voltage("energy.access.at", access.at)?,
        exponent: access.exponent,
        picojoule_per_bit: access.picojoule_per_bit.map(picojoule).transpose()?,
        source,
    })
}

fn leakage(
    origin: &Origin,
    leakage: Option<LeakagePart>,
    access: &AccessEnergy,
) -> Result<Option<Leakage>> {
    let Some(leakage) = leakage else {
        return Ok(None);
    };
    if access.picojoule_per_bit.is_none() {
        let expected =
            "a number beside `energy.leakage`: leakage is absolute and cannot be added to accesses whose \
                        energy is only relative";
        return Err(origin.wrong("energy.access.picojoule_per_bit", expected, "null"));
    }
    let key = |name: &str| format!("energy.leakage.{name}");
    if !(leakage.exponent > 0.0 && leakage.exponent <= 20.0) {
        return Err(origin.wrong(
            &key("exponent"),
            "a number above 0 and at most 20",
            leakage.exponent,
        ));
    }
    Ok(Some(Leakage {
        at: origin.voltage(&key("at"), leakage.at)?,
        picowatt_per_bit: origin.positive(&key("picowatt_per_bit"), leakage.picowatt_per_bit)?,
        exponent: leakage.exponent,
        source: origin.word(&key("source"), leakage.source)?,
    }))
}

fn fault_kind(origin: &Origin, faults: &FaultPart) -> Result<FaultKind> {
    let key = "faults.zero_to_one_share";
    let found = faults
        .zero_to_one_share
        .map_or("none".into(), |share| share.to_string());
    let share = faults
        .zero_to_one_share
        .map(|share| origin.share(key, share))
        .transpose()?;
    FaultKind::new(faults.kind, share).map_err(|expected| origin.wrong(key, expected, found))
}

fn array(origin: &Origin, array: ArraySpec) -> Result<ArraySpec> {
    match array.check() {
        Ok(()) => Ok(array),
        Err(Error::Argument {
            what,
            expected,
            found,
        }) => Err(origin.wrong(&format!("array.{what}"), expected, found)),
        Err(other) => Err(other),
    }
}

fn robust_cell(
    origin: &Origin,
    protection: Option<ProtectionPart>,
    leaks: bool,
) -> Result<Option<RobustCell>> {
    let Some(cell) = protection.and_then(|protection| protection.robust_cell) else {
        return Ok(None);
    };
    let key = |name: &str| format!("protection.robust_cell.{name}");
    for (name, factor) in [
        ("energy_factor", cell.energy_factor),
        ("area_factor", cell.area_factor),
    ] {
        if !(1.0..=100.0).contains(&factor) {
            return Err(origin.wrong(&key(name), "a number from 1 to 100", factor));
        }
    }
    let leakage_key = key("leakage_factor");
    if let Some(factor) = cell.leakage_factor {
        if !leaks {
            return Err(origin.wrong(
                &leakage_key,
                "no such key beside `energy.leakage: null`",
                factor,
            ));
        }
        if factor > 100.0 {
            return Err(origin.wrong(&leakage_key, "a number above 0 and at most 100", factor));
        }
    }
    Ok(Some(RobustCell {
        energy_factor: cell.energy_factor,
        area_factor: cell.area_factor,
        leakage_factor: cell
            .leakage_factor
            .map(|f| origin.positive(&leakage_key, f))
            .transpose()?,
        source: origin.word(&key("source"), cell.source)?,
    }))
}

fn curve(origin: &Origin, rate: RatePart, error_free: f64, exponent: f64) -> Result<Curve> {
    match rate {
        RatePart {
            points: Some(points),
            counts: None,
            gaussian: None,
            exponential: None,
        } => points_curve(origin, "bit_error_rate.points", &points, error_free),
        RatePart {
            points: None,
            counts: Some(counts),
            gaussian: None,
            exponential: None,
        } => counts_curve(origin, &counts, error_free),
        RatePart {
            points: None,
            counts: None,
            gaussian: Some(gaussian),
            exponential: None,
        } => gaussian_curve(origin, &gaussian, error_free),
        RatePart {
            points: None,
            counts: None,
            gaussian: None,
            exponential: Some(exponential),
        } => exponential_curve(origin, &exponential, error_free, exponent),
        RatePart {
            points,
            counts,
            gaussian,
            exponential,
        } => {
            let all = [
                ("points", points.is_some()),
                ("counts", counts.is_some()),
                ("gaussian", gaussian.is_some()),
                ("exponential", exponential.is_some()),
            ];
            let given: Vec<&str> = all
                .iter()
                .filter(|(_, is_given)| *is_given)
                .map(|(name, _)| *name)
                .collect();
            let found = if given.is_empty() {
                "none of them".into()
            } else {
                given.join(" and ")
            };
            let expected = "exactly one of points, counts, gaussian, exponential";
            Err(origin.wrong("bit_error_rate", expected, found))
        }
    }
}

fn counts_curve(origin: &Origin, counts: &CountPart, error_free: f64) -> Result<Curve> {
    if counts.cells == 0 {
        return Err(origin.wrong("bit_error_rate.counts.cells", "at least 1", 0));
    }
    let cells = counts.cells as f64;
    let rates: Vec<(f64, f64)> = counts
        .faults
        .iter()
        .map(|&(v, n)| (v, n as f64 / cells))
        .collect();
    points_curve(origin, "bit_error_rate.counts.faults", &rates, error_free)
}

/// Rates of 0, where no failure was seen, are checked but are not points: a measurement of no failure
/// gives no rate.
fn points_curve(
    origin: &Origin,
    key: &str,
    rates: &[(f64, f64)],
    error_free: f64,
) -> Result<Curve> {
    for (i, &(voltage, rate)) in rates.iter().enumerate() {
        let key = format!("{key}.{i}");
        origin.voltage(&key, voltage)?;
        if !(0.0..=HIGHEST_BER).contains(&rate) {
            return Err(origin.wrong(&key, "a bit error rate from 0 to 0.5", rate));
        }
        if rate > 0.0 && voltage >= error_free {
            let expected = format!("a voltage below the error-free one ({error_free})");
            return Err(origin.wrong(&key, expected, voltage));
        }
        let Some(&(below, more)) = i.checked_sub(1).map(|before| &rates[before]) else {
            continue;
        };
        if voltage <= below {
            return Err(origin.wrong(
                &key,
                format!("voltages in rising order, so above {below}"),
                voltage,
            ));
        }
        if rate > more {
            let expected =
                format!("a bit error rate that does not rise with the voltage, so at most {more}");
            return Err(origin.wrong(&key, expected, rate));
        }
    }
    let points: Vec<Point> = rates
        .iter()
        .filter(|(_, rate)| *rate > 0.0)
        .map(|&(voltage, rate)| Point::new(voltage, rate))
        .collect();
    if points.len() < 2 {
        return Err(origin.wrong(key, "at least two voltages with failures", points.len()));
    }
    Ok(Curve::Points(points))
}

fn gaussian_curve(origin: &Origin, gaussian: &GaussianPart, error_free: f64) -> Result<Curve> {
    let key = |name: &str| format!("bit_error_rate.gaussian.{name}");
    let curve = Curve::Gaussian {
        mu: origin.voltage(&key("mu"), gaussian.mu)?.get(),
        sigma: origin.positive(&key("sigma"), gaussian.sigma)?,
        span: span(
            origin,
            &key("measured_span"),
            gaussian.measured_span,
            error_free,
        )?,
    };
    checked_formula(origin, "bit_error_rate.gaussian", curve, error_free)
}

fn exponential_curve(
    origin: &Origin,
    exponential: &ExponentialPart,
    error_free: f64,
    exponent: f64,
) -> Result<Curve> {
    let key = |name: &str| format!("bit_error_rate.exponential.{name}");
    let curve = Curve::Exponential {
        a: origin.positive(&key("a"), exponential.a)?,
        reference: origin
            .voltage(&key("reference"), exponential.reference)?
            .get(),
        exponent,
        span: span(
            origin,
            &key("measured_span"),
            exponential.measured_span,
            error_free,
        )?,
    };
    checked_formula(origin, "bit_error_rate.exponential", curve, error_free)
}

fn span(
    origin: &Origin,
    key: &str,
    span: Option<[f64; 2]>,
    error_free: f64,
) -> Result<Option<[f64; 2]>> {
    let Some([low, high]) = span else {
        return Ok(None);
    };
    if low > 0.0 && low < high && high <= error_free {
        return Ok(span);
    }
    let expected = format!("two rising voltages up to the error-free one ({error_free})");
    Err(origin.wrong(key, expected, format!("[{low}, {high}]")))
}

/// A formula must leave voltages to use: at most 0.5 at the error-free voltage, and in the whole span.
fn checked_formula(origin: &Origin, key: &str, curve: Curve, error_free: f64) -> Result<Curve> {
    if let Some([low, _]) = curve
        .span()
        .filter(|[low, _]| curve.rate(*low) > HIGHEST_BER)
    {
        let key = format!("{key}.measured_span");
        return Err(origin.wrong(
            &key,
            "voltages with a bit error rate up to 0.5",
            format!("{}", curve.rate(low)),
        ));
    }
    let rate = curve.rate(error_free);
    if rate < HIGHEST_BER {
        return Ok(curve);
    }
    let expected = format!("a bit error rate below 0.5 at the error-free voltage ({error_free})");
    Err(origin.wrong(key, expected, rate))
}

#[cfg(test)]
mod tests;
