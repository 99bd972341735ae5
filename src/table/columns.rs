//! The columns of designs, trials, summaries and times: rows to tables and back. Files are handled elsewhere.

use super::csv::to_csv;
use super::field::{
    count, frame, number, optional_count, optional_number, optional_text, optional_words, records,
    text, Field, FINITE, FROM_ZERO, SHARE,
};
use super::file::{read, write};
use super::read::Row;
use super::row::{Spread, Summary, Timing, TrialRow};
use crate::error::{Error, Result};
use crate::stats::Interval;
use crate::sweep::{CleanAnswers, Design, DomainVoltage, StoppedBy, TrialStatus};
use crate::units::{Accuracy, BerSource, Bits, ChipId, Voltage, VoltageUnit};
use polars::frame::DataFrame;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::path::Path;

/// Units of voltages.
pub(super) const UNITS: [VoltageUnit; 2] = [VoltageUnit::Vmin, VoltageUnit::Volt];
const SOURCES: [BerSource; 4] = [
    BerSource::Measured,
    BerSource::Censored,
    BerSource::ErrorFree,
    BerSource::Extrapolated,
];
const STATUSES: [TrialStatus; 2] = [TrialStatus::Evaluated, TrialStatus::FaultFree];
const STOPS: [StoppedBy; 3] = [StoppedBy::Chips, StoppedBy::Tolerance, StoppedBy::Images];

/// The keys of a design point, in every table that has design points.
pub(super) fn design_keys() -> Vec<Field<Design>> {
    vec![
        text("design_id", |d: &Design| &d.design_id),
        text("model", |d| &d.model),
        text("architecture", |d| &d.architecture),
        text("dataset", |d| &d.dataset),
        text("method", |d| &d.method),
        optional_count("bits", |d| d.bits.map(u64::from)),
        optional_count("training_seed", |d| d.training_seed),
        text("memory", |d| &d.memory),
        text("fault_kind", |d| &d.fault_kind),
        text("array", |d| &d.array),
        text("protection", |d| &d.protection),
        optional_number("voltage", 0.0..=100.0, |d| d.voltage),
        text("voltage_unit", |d| d.voltage_unit.name()),
        optional_number("ber", 0.0..=0.5, |d| d.ber),
        text("ber_source", |d| d.ber_source.name()),
        optional_words("domain_voltages", domain_voltages),
    ]
}

/// `conv1=0.8;fc=0.9`; `None` where there is one voltage.
fn domain_voltages(design: &Design) -> Option<String> {
    join_domain_voltages(&design.domain_voltages)
}

/// `conv1=0.8;fc=0.9`; `None` for none.
pub(super) fn join_domain_voltages(voltages: &[DomainVoltage]) -> Option<String> {
    let one = |domain: &DomainVoltage| format!("{}={:?}", domain.domain, domain.voltage);
    let all: Vec<String> = voltages.iter().map(one).collect();
    (!all.is_empty()).then(|| all.join(";"))
}

/// The same read back.
fn parse_domain_voltages(row: Row<'_>) -> Result<Vec<DomainVoltage>> {
    let name = "domain_voltages";
    let one = |text: &str| {
        let wrong = || {
            row.wrong(
                name,
                "domain=voltage, several after semicolons",
                format!("`{text}`"),
            )
        };
        let (domain, voltage) = text.split_once('=').ok_or_else(wrong)?;
        let voltage: Voltage = voltage.parse().map_err(|_| wrong())?;
        Ok(DomainVoltage {
            domain: domain.to_owned(),
            voltage: voltage.get(),
        })
    };
    row.optional_text(name)
        .map_or(Ok(Vec::new()), |text| text.split(';').map(one).collect())
}

/// Energy and area of a design point.
pub(super) fn design_costs() -> Vec<Field<Design>> {
    vec![
        number("energy_relative", FROM_ZERO, |d: &Design| d.energy_relative),
        optional_number("energy_pj", FROM_ZERO, |d| d.energy_pj),
        number("area_relative", FROM_ZERO, |d| d.area_relative),
    ]
}

fn clean_accuracy() -> Field<Design> {
    number("clean_accuracy", SHARE, |d: &Design| d.clean_accuracy.get())
}

fn access_energy() -> Field<Design> {
    optional_number("access_energy_relative", FROM_ZERO, |d: &Design| {
        d.access_energy_relative
    })
}

fn design_fields() -> Vec<Field<Design>> {
    let mut fields = design_keys();
    fields.extend([clean_accuracy(), access_energy()]);
    fields.extend(design_costs());
    fields
}

fn summary_fields() -> Vec<Field<Summary>> {
    let of_design = |field: Field<Design>| field.of(|s: &Summary| &s.design);
    let mut fields: Vec<Field<Summary>> = design_keys().into_iter().map(of_design).collect();
    fields.extend([
        count("chips", |s: &Summary| s.chips),
        number("mean", SHARE, |s| s.mean),
        optional_number("std", FROM_ZERO, |s| s.std),
        optional_number("ci_low", FINITE, |s| s.student.map(|i| i.low)),
        optional_number("ci_high", FINITE, |s| s.student.map(|i| i.high)),
        optional_number("boot_low", SHARE, |s| s.bootstrap.map(|i| i.low)),
        optional_number("boot_high", SHARE, |s| s.bootstrap.map(|i| i.high)),
        optional_number("min", SHARE, |s| s.spread.map(|spread| spread.min)),
        optional_number("p05", SHARE, |s| s.spread.map(|spread| spread.p05)),
        optional_number("median", SHARE, |s| s.spread.map(|spread| spread.median)),
        optional_number("p95", SHARE, |s| s.spread.map(|spread| spread.p95)),
        optional_number("max", SHARE, |s| s.spread.map(|spread| spread.max)),
        number("floor", SHARE, |s| s.floor),
        optional_number("yield", SHARE, |s| {
            s.spread.map(|spread| spread.yield_share)
        }),
        optional_number("yield_low", SHARE, |s| {
            s.spread.map(|spread| spread.yield_interval.low)
        }),
        optional_number("yield_high", SHARE, |s| {
            s.spread.map(|spread| spread.yield_interval.high)
        }),
    ]);
    fields.extend(design_costs().into_iter().map(of_design));
    fields.extend([
        text("stopped_by", |s: &Summary| s.stopped_by.name()),
        count("images", |s| s.images),
        count("test_images", |s| s.test_images),
        optional_number("image_half_width", FROM_ZERO, |s| s.image_half_width),
        count("image_evaluations", |s| s.image_evaluations),
        optional_number("image_std", FROM_ZERO, |s| s.image_std),
    ]);
    fields.extend([clean_accuracy(), access_energy()].map(of_design));
    fields.push(optional_count("not_finite", |s: &Summary| s.not_finite).since(4));
    fields
}

fn trial_fields() -> Vec<Field<TrialRow>> {
    vec![
        text("design_id", |t: &TrialRow| &t.design_id),
        count("chip", |t| t.chip.0.into()),
        count("faults", |t| t.faults),
        count("images", |t| t.images),
        count("correct", |t| t.correct),
        number("accuracy", SHARE, |t| t.correct as f64 / t.images as f64),
        text("status", |t| t.status.name()),
        optional_count("clean_correct", |t| t.clean.map(|clean| clean.correct)),
        optional_count("changed", |t| t.clean.map(|clean| clean.changed)),
        optional_count("not_finite", |t: &TrialRow| t.not_finite).since(4),
    ]
}

fn timing_fields() -> Vec<Field<Timing>> {
    vec![
        optional_text("design_id", |t: &Timing| t.design_id.as_deref()),
        optional_count("chip", |t| t.chip.map(|chip| chip.0.into())),
        text("phase", |t| &t.phase),
        number("seconds", FROM_ZERO, |t| t.seconds),
    ]
}

fn design(row: Row<'_>) -> Result<Design> {
    let checked = |name, wrong: Error| match wrong {
        Error::Argument {
            expected, found, ..
        } => row.wrong(name, expected, found),
        other => other,
    };
    let domain_voltages = parse_domain_voltages(row)?;
    let voltage = row.optional_number("voltage");
    if voltage.is_some() != domain_voltages.is_empty() {
        let expected = "a voltage, or one for each domain in `domain_voltages`";
        let found = if voltage.is_some() { "both" } else { "nothing" };
        return Err(row.wrong("voltage", expected, found));
    }
    for name in ["ber", "access_energy_relative"] {
        if row.optional_number(name).is_some() != voltage.is_some() {
            return Err(row.wrong(
                name,
                "a value exactly where `voltage` has one",
                "the contrary",
            ));
        }
    }
    Ok(Design {
        design_id: row.text("design_id")?.to_owned(),
        model: row.text("model")?.to_owned(),
        architecture: row.text("architecture")?.to_owned(),
        dataset: row.text("dataset")?.to_owned(),
        method: row.text("method")?.to_owned(),
        bits: match row.optional_count("bits") {
            Some(bits) => Some(Bits::new(bits).map_err(|e| checked("bits", e))?.get()),
            None => None,
        },
        training_seed: row.optional_count("training_seed"),
        memory: row.text("memory")?.to_owned(),
        fault_kind: row.text("fault_kind")?.to_owned(),
        array: row.text("array")?.to_owned(),
        protection: row.text("protection")?.to_owned(),
        voltage: match voltage {
            Some(voltage) => Some(
                Voltage::new(voltage)
                    .map_err(|e| checked("voltage", e))?
                    .get(),
            ),
            None => None,
        },
        voltage_unit: row.word("voltage_unit", &UNITS, VoltageUnit::name)?,
        ber: row.optional_number("ber"),
        ber_source: row.word("ber_source", &SOURCES, BerSource::name)?,
        access_energy_relative: row.optional_number("access_energy_relative"),
        energy_relative: row.number("energy_relative")?,
        energy_pj: row.optional_number("energy_pj"),
        area_relative: row.number("area_relative")?,
        clean_accuracy: Accuracy::new(row.number("clean_accuracy")?)
            .map_err(|e| checked("clean_accuracy", e))?,
        domain_voltages,
    })
}

fn interval(row: Row<'_>, low: &str, high: &str) -> Result<Option<Interval>> {
    match (row.optional_number(low), row.optional_number(high)) {
        (None, None) => Ok(None),
        (Some(low), Some(high)) if low <= high => Ok(Some(Interval { low, high })),
        found => Err(row.wrong(
            low,
            format!("both ends, `{low}` and `{high}`, or neither"),
            format!("{found:?}"),
        )),
    }
}

/// All of it, or nothing under two-level sampling.
fn spread(row: Row<'_>) -> Result<Option<Spread>> {
    let names = ["min", "p05", "median", "p95", "max", "yield"];
    let found = names.map(|name| row.optional_number(name));
    match (found, interval(row, "yield_low", "yield_high")?) {
        ([None, None, None, None, None, None], None) => Ok(None),
        (
            [Some(min), Some(p05), Some(median), Some(p95), Some(max), Some(yield_share)],
            Some(yield_interval),
        ) => Ok(Some(Spread {
            min,
            p05,
            median,
            p95,
            max,
            yield_share,
            yield_interval,
        })),
        (found, yields) => {
            let expected = format!(
                "values of {} and the interval of the yield, or of none",
                names.join(", ")
            );
            Err(row.wrong("min", expected, format!("{found:?} and {yields:?}")))
        }
    }
}

fn summary(row: Row<'_>) -> Result<Summary> {
    let summary = Summary {
        design: design(row)?,
        chips: row.count("chips")?,
        images: row.count("images")?,
        image_evaluations: row.count("image_evaluations")?,
        not_finite: row.optional_count("not_finite"),
        test_images: row.count("test_images")?,
        mean: row.number("mean")?,
        std: row.optional_number("std"),
        image_std: row.optional_number("image_std"),
        student: interval(row, "ci_low", "ci_high")?,
        bootstrap: interval(row, "boot_low", "boot_high")?,
        image_half_width: row.optional_number("image_half_width"),
        floor: row.number("floor")?,
        spread: spread(row)?,
        stopped_by: row.word("stopped_by", &STOPS, StoppedBy::name)?,
    };
    match (summary.chips, summary.images) {
        (0, _) => Err(row.wrong("chips", "at least 1", "0")),
        (_, 0) => Err(row.wrong("images", "at least 1", "0")),
        _ if summary.not_finite > Some(summary.image_evaluations) => {
            let expected = format!(
                "at most the {} of `image_evaluations`",
                summary.image_evaluations
            );
            let found = format!("{:?}", summary.not_finite);
            Err(row.wrong("not_finite", expected, found))
        }
        (_, images) if images > summary.test_images => {
            let expected = format!("at least the {images} of `images`");
            Err(row.wrong("test_images", expected, summary.test_images.to_string()))
        }
        _ => Ok(summary),
    }
}

fn trial(row: Row<'_>) -> Result<TrialRow> {
    let trial = TrialRow {
        design_id: row.text("design_id")?.to_owned(),
        chip: ChipId(row.small_count("chip")?),
        faults: row.count("faults")?,
        images: row.count("images")?,
        correct: row.count("correct")?,
        not_finite: row.optional_count("not_finite"),
        clean: match (
            row.optional_count("clean_correct"),
            row.optional_count("changed"),
        ) {
            (None, None) => None,
            (Some(correct), Some(changed)) => Some(CleanAnswers { correct, changed }),
            found => {
                return Err(row.wrong(
                    "changed",
                    "a value beside `clean_correct`, or neither",
                    format!("{found:?}"),
                ))
            }
        },
        status: row.word("status", &STATUSES, TrialStatus::name)?,
    };
    if trial.images == 0 || trial.correct > trial.images {
        let expected = format!("at most the {} images, of which at least 1", trial.images);
        return Err(row.wrong("correct", expected, trial.correct.to_string()));
    }
    let wrong = trial.images - trial.correct;
    if let Some(count) = trial.not_finite.filter(|count| *count > wrong) {
        let expected = format!("at most the {wrong} images that are wrong");
        return Err(row.wrong("not_finite", expected, count.to_string()));
    }
    if let Some(clean) = trial
        .clean
        .filter(|clean| clean.difference(trial.images, trial.correct).is_none())
    {
        let expected = format!(
            "numbers that go with {} of {} images",
            trial.correct, trial.images
        );
        return Err(row.wrong("changed", expected, format!("{clean:?}")));
    }
    let (found, share) = (
        row.number("accuracy")?,
        trial.correct as f64 / trial.images as f64,
    );
    if (found - share).abs() > 1e-9 {
        return Err(row.wrong(
            "accuracy",
            format!("correct / images = {share}"),
            found.to_string(),
        ));
    }
    Ok(trial)
}

fn timing(row: Row<'_>) -> Result<Timing> {
    let chip = row
        .optional_count("chip")
        .map(|_| row.small_count("chip").map(ChipId))
        .transpose()?;
    Ok(Timing {
        design_id: row.optional_text("design_id").map(str::to_owned),
        chip,
        phase: row.text("phase")?.to_owned(),
        seconds: row.number("seconds")?,
    })
}

/// Order of design points in tables: model, protection, rising voltage; then memory and identifier.
pub fn designs_in_order(a: &Design, b: &Design) -> Ordering {
    (&a.model, &a.protection)
        .cmp(&(&b.model, &b.protection))
        .then_with(|| a.by_voltage(b))
        .then_with(|| (&a.memory, &a.design_id).cmp(&(&b.memory, &b.design_id)))
}

/// Refuses rows of one key.
fn check_distinct<K: Ord + std::fmt::Debug>(
    path: &Path,
    what: &str,
    keys: impl Iterator<Item = K>,
) -> Result<()> {
    let mut seen = BTreeSet::new();
    for key in keys {
        if seen.contains(&key) {
            return Err(Error::input(
                path,
                format!("one row for each {what}"),
                format!("two for {key:?}"),
            ));
        }
        seen.insert(key);
    }
    Ok(())
}

/// Design points as a data frame, in the given order.
///
/// # Errors
/// [`Error::Argument`] that names the column of a value outside its range, or for too many rows.
pub fn designs_frame(designs: &[Design]) -> Result<DataFrame> {
    frame(&design_fields(), designs)
}

/// Design points as JSON objects with the names of the columns.
///
/// # Errors
/// As [`designs_frame`].
pub fn design_records(designs: &[Design]) -> Result<serde_json::Value> {
    records(&design_fields(), designs)
}

/// Writes design points in order of [`designs_in_order`]: CSV where the name ends in `.csv`,
/// Parquet elsewhere.
///
/// # Errors
/// As [`designs_frame`], or [`Error::Io`] with the path.
pub fn write_designs(path: &Path, designs: &[Design]) -> Result<()> {
    let mut rows: Vec<&Design> = designs.iter().collect();
    rows.sort_by(|a, b| designs_in_order(a, b));
    write(path, &design_fields(), &rows)
}

/// Reads design points, from CSV where the name ends in `.csv`, from Parquet elsewhere.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with column for a file that is empty, truncated, damaged or
/// too large, for missing, extra or wrongly typed columns, another schema version, values outside
/// their range, two rows for one design point.
pub fn read_designs(path: &Path) -> Result<Vec<Design>> {
    let designs = read(
        path,
        "a table of design points; a sweep writes it",
        &design_fields(),
        design,
    )?;
    check_distinct(path, "design_id", designs.iter().map(|d| &d.design_id))?;
    Ok(designs)
}

/// Trials as a data frame, in the given order.
///
/// # Errors
/// As [`designs_frame`].
pub fn trials_frame(trials: &[TrialRow]) -> Result<DataFrame> {
    frame(&trial_fields(), trials)
}

/// Writes trials sorted by design point and chip: CSV where the name ends in `.csv`, Parquet elsewhere.
///
/// # Errors
/// As [`designs_frame`], or [`Error::Io`] with the path.
pub fn write_trials<'a, T>(path: &Path, trials: &'a [T]) -> Result<()>
where
    TrialRow: From<&'a T>,
{
    super::field::check_rows(trials.len())?;
    let mut rows: Vec<TrialRow> = trials.iter().map(TrialRow::from).collect();
    rows.sort_by(|a, b| (&a.design_id, a.chip).cmp(&(&b.design_id, b.chip)));
    write(path, &trial_fields(), &rows)
}

/// Reads trials; see [`read_designs`].
///
/// # Errors
/// As [`read_designs`]; also where `correct`, `images` and `accuracy` contradict each other.
pub fn read_trials(path: &Path) -> Result<Vec<TrialRow>> {
    let trials = read(
        path,
        "a table of trials; a finished sweep writes it",
        &trial_fields(),
        trial,
    )?;
    check_distinct(
        path,
        "design_id and chip",
        trials.iter().map(|t| (&t.design_id, t.chip.0)),
    )?;
    Ok(trials)
}

/// Summaries as a data frame, in the given order.
///
/// # Errors
/// As [`designs_frame`].
pub fn summary_frame(summaries: &[Summary]) -> Result<DataFrame> {
    frame(&summary_fields(), summaries)
}

/// Summaries as JSON objects with the names of the columns, null where a value is missing.
///
/// # Errors
/// As [`designs_frame`].
pub fn summary_records(summaries: &[Summary]) -> Result<serde_json::Value> {
    records(&summary_fields(), summaries)
}

/// The text of `summary.csv`.
///
/// # Errors
/// As [`designs_frame`].
pub fn summary_csv_string(summaries: &[Summary]) -> Result<String> {
    to_csv(&summary_fields(), summaries)
}

/// Writes summaries in the given order: CSV where the name ends in `.csv`, Parquet elsewhere.
///
/// # Errors
/// As [`designs_frame`], or [`Error::Io`] with the path.
pub fn write_summary(path: &Path, summaries: &[Summary]) -> Result<()> {
    write(path, &summary_fields(), summaries)
}

/// Reads summaries; see [`read_designs`].
///
/// # Errors
/// As [`read_designs`]; also for an interval with one end and for rows of no chip or image.
pub fn read_summary(path: &Path) -> Result<Vec<Summary>> {
    let summaries = read(
        path,
        "a summary table; a finished sweep writes it",
        &summary_fields(),
        summary,
    )?;
    check_distinct(
        path,
        "design_id",
        summaries.iter().map(|s| &s.design.design_id),
    )?;
    Ok(summaries)
}

/// Writes times in the given order: CSV where the name ends in `.csv`, Parquet elsewhere.
///
/// # Errors
/// As [`designs_frame`], or [`Error::Io`] with the path.
pub fn write_timing(path: &Path, timings: &[Timing]) -> Result<()> {
    write(path, &timing_fields(), timings)
}

/// Reads times; see [`read_designs`].
///
/// # Errors
/// As [`read_designs`].
pub fn read_timing(path: &Path) -> Result<Vec<Timing>> {
    read(
        path,
        "a table of times; a sweep writes it",
        &timing_fields(),
        timing,
    )
}
