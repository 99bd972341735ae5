//! Tables of an exploration: points that were verified, losses of single domains, lowest voltages for a yield.

use super::columns::join_domain_voltages;
use super::field::{
    count, number, optional_number, optional_words, records, text, Field, FINITE, FROM_ZERO, SHARE,
};
use super::file::write;
use crate::error::Result;
use crate::explore::{Evidence, ExplorePoint, SensitivityRow, Verdict};
use std::path::Path;

/// A verified, or refuted, point of a model.
#[derive(Clone, Debug, PartialEq)]
pub struct ExploredPoint {
    /// The model.
    pub model: String,
    /// The point.
    pub point: ExplorePoint,
}

/// A loss of a model with faults in one domain.
#[derive(Clone, Debug, PartialEq)]
pub struct Sensitivity {
    /// The model.
    pub model: String,
    /// The loss.
    pub row: SensitivityRow,
}

/// What was seen of a yield, or a mean, at a voltage.
#[derive(Clone, Debug, PartialEq)]
pub struct VoltageEvidence {
    /// The model.
    pub model: String,
    /// Protection of its codes.
    pub protection: String,
    /// What had to hold, in words.
    pub target: String,
    /// `search`, or `verification` on fresh chips.
    pub phase: &'static str,
    /// What was seen.
    pub evidence: Evidence,
    /// Weight-memory energy at the voltage, relative to 8 bits at the error-free voltage.
    pub energy_relative: f64,
}

fn point_fields() -> Vec<Field<ExploredPoint>> {
    vec![
        text("model", |p: &ExploredPoint| &p.model),
        number("max_loss", SHARE, |p| p.point.max_loss),
        text("kind", |p| p.point.kind.name()),
        count("attempt", |p| p.point.attempt.into()),
        text("status", |p| p.point.status.name()),
        optional_words("domain_voltages", |p| {
            join_domain_voltages(&p.point.domain_voltages)
        }),
        count("rails", |p| p.point.rails.into()),
        number("energy_relative", FROM_ZERO, |p| p.point.energy_relative),
        number("rail_energy_relative", FROM_ZERO, |p| {
            p.point.rail_energy_relative
        }),
        number("cost_relative", FROM_ZERO, |p| p.point.cost_relative),
        optional_number("estimated_loss", FINITE, |p| p.point.estimated_loss),
        optional_number("search_loss", FINITE, |p| p.point.search_loss),
        count("search_chips", |p| p.point.search_chips.into()),
        number("verified_loss", FINITE, |p| p.point.verified_loss.mean),
        optional_number("verified_loss_low", FINITE, |p| p.point.verified_loss.low),
        optional_number("verified_loss_high", FINITE, |p| p.point.verified_loss.high),
        count("verification_chips", |p| p.point.verified_loss.chips.into()),
    ]
}

fn sensitivity_fields() -> Vec<Field<Sensitivity>> {
    vec![
        text("model", |s: &Sensitivity| &s.model),
        text("domain", |s| &s.row.domain),
        number("voltage", 0.0..=100.0, |s| s.row.voltage),
        number("estimated_loss", FINITE, |s| s.row.loss.mean),
        optional_number("estimated_loss_low", FINITE, |s| s.row.loss.low),
        optional_number("estimated_loss_high", FINITE, |s| s.row.loss.high),
        count("search_chips", |s| s.row.loss.chips.into()),
    ]
}

fn evidence_fields() -> Vec<Field<VoltageEvidence>> {
    vec![
        text("model", |e: &VoltageEvidence| &e.model),
        text("protection", |e| &e.protection),
        text("target", |e| &e.target),
        text("phase", |e| e.phase),
        number("voltage", 0.0..=100.0, |e| e.evidence.voltage.get()),
        number("energy_relative", FROM_ZERO, |e| e.energy_relative),
        count("chips", |e| e.evidence.chips),
        super::field::optional_count("good_chips", |e| e.evidence.good),
        optional_number("value", SHARE, |e| e.evidence.value),
        optional_number("value_low", FINITE, |e| {
            e.evidence.bounds.map(|bounds| bounds.low)
        }),
        optional_number("value_high", FINITE, |e| {
            e.evidence.bounds.map(|bounds| bounds.high)
        }),
        text("verdict", |e| match e.evidence.verdict {
            Verdict::Holds => "holds",
            Verdict::Fails => "fails",
            Verdict::Open => "open",
        }),
    ]
}

/// Writes explored points: CSV where the name ends in `.csv`, Parquet elsewhere.
///
/// # Errors
/// [`crate::error::Error::Argument`] for a value outside the range of its column, [`crate::error::Error::Io`].
pub fn write_explored(path: &Path, points: &[ExploredPoint]) -> Result<()> {
    write(path, &point_fields(), points)
}

/// Explored points as JSON objects with the names of the columns.
///
/// # Errors
/// As [`write_explored`].
pub fn explored_records(points: &[ExploredPoint]) -> Result<serde_json::Value> {
    records(&point_fields(), points)
}

/// Writes losses of single domains.
///
/// # Errors
/// As [`write_explored`].
pub fn write_sensitivities(path: &Path, rows: &[Sensitivity]) -> Result<()> {
    write(path, &sensitivity_fields(), rows)
}

/// Writes what was seen at voltages.
///
/// # Errors
/// As [`write_explored`].
pub fn write_evidence(path: &Path, rows: &[VoltageEvidence]) -> Result<()> {
    write(path, &evidence_fields(), rows)
}

/// What was seen at voltages as JSON objects with the names of the columns.
///
/// # Errors
/// As [`write_explored`].
pub fn evidence_records(rows: &[VoltageEvidence]) -> Result<serde_json::Value> {
    records(&evidence_fields(), rows)
}
