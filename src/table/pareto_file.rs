//! `pareto.csv`: one long table of hypervolumes, frontiers and savings, told apart by its column `kind`.
//!
//! `of_method` says whose frontier or saving a row is; null for all methods together. `hypervolume`
//! rows (one per frontier: `hypervolume`, `chance`) are each followed by the `frontier` rows of that
//! frontier by rising energy (the keys and costs of the design point, `mean`, `probability`); then
//! come the `saving` rows by loss and method (`baseline`, `loss`, `target`; the cheapest design point
//! and its `mean`, `saving_to_baseline`, `saving_to_reference` where there is one). Columns that a
//! kind does not use are null.

use super::columns::{design_costs, design_keys};
use super::csv::to_csv;
use super::field::{number, optional_number, optional_text, records, text, Field, SHARE};
use super::file::{read, write};
use super::read::Row;
use super::row::{Frontier, FrontierPoint, Pareto, Saving, Summary};
use crate::error::{Error, Result};
use crate::sweep::Design;
use std::collections::BTreeMap;
use std::path::Path;

const HYPERVOLUME: &str = "hypervolume";
const FRONTIER: &str = "frontier";
const SAVING: &str = "saving";

/// One row of the long table.
#[derive(Default)]
struct Line {
    kind: &'static str,
    method: Option<String>,
    summary: Option<Summary>,
    probability: Option<f64>,
    hypervolume: Option<f64>,
    chance: Option<f64>,
    baseline: Option<String>,
    loss: Option<f64>,
    target: Option<f64>,
    saving_to_baseline: Option<f64>,
    saving_to_reference: Option<f64>,
}

fn fields() -> Vec<Field<Line>> {
    let up_to_one = f64::MIN..=1.0;
    let of_design = |field: Field<Design>| {
        field.of_option(|line: &Line| line.summary.as_ref().map(|summary| &summary.design))
    };
    let mut fields = vec![
        text("kind", |line: &Line| line.kind),
        optional_text("of_method", |line| line.method.as_deref()),
    ];
    fields.extend(
        design_keys()
            .into_iter()
            .chain(design_costs())
            .map(of_design),
    );
    fields.push(
        number("mean", SHARE, |s: &Summary| s.mean).of_option(|line: &Line| line.summary.as_ref()),
    );
    fields.extend([
        optional_number("probability", SHARE, |line: &Line| line.probability),
        optional_number("hypervolume", SHARE, |line| line.hypervolume),
        optional_number("chance", SHARE, |line| line.chance),
        optional_text("baseline", |line| line.baseline.as_deref()),
        optional_number("loss", SHARE, |line| line.loss),
        optional_number("target", SHARE, |line| line.target),
        optional_number("saving_to_baseline", up_to_one.clone(), |line| {
            line.saving_to_baseline
        }),
        optional_number("saving_to_reference", up_to_one, |line| {
            line.saving_to_reference
        }),
    ]);
    fields
}

fn lines(pareto: &Pareto) -> Vec<Line> {
    let mut lines = Vec::new();
    for frontier in &pareto.frontiers {
        lines.push(Line {
            kind: HYPERVOLUME,
            method: frontier.method.clone(),
            hypervolume: Some(frontier.hypervolume),
            chance: Some(pareto.chance),
            ..Line::default()
        });
        lines.extend(frontier.points.iter().map(|point| Line {
            kind: FRONTIER,
            method: frontier.method.clone(),
            summary: Some(point.summary.clone()),
            probability: Some(point.probability),
            ..Line::default()
        }));
    }
    lines.extend(pareto.savings.iter().map(|saving| Line {
        kind: SAVING,
        method: Some(saving.method.clone()),
        summary: saving.cheapest.clone(),
        baseline: pareto.baseline.clone(),
        loss: Some(saving.loss),
        target: Some(saving.target),
        saving_to_baseline: saving.saving_to_baseline,
        saving_to_reference: saving.saving_to_reference,
        ..Line::default()
    }));
    lines
}

/// The text of `pareto.csv`.
///
/// # Errors
/// [`Error::Argument`] that names the column of a value outside its range.
pub fn pareto_csv_string(pareto: &Pareto) -> Result<String> {
    to_csv(&fields(), &lines(pareto))
}

/// The rows of `pareto.csv` as JSON objects, null where a value is missing.
///
/// # Errors
/// As [`pareto_csv_string`].
pub fn pareto_records(pareto: &Pareto) -> Result<serde_json::Value> {
    records(&fields(), &lines(pareto))
}

/// Writes `pareto.csv` (Parquet where the name does not end in `.csv`).
///
/// # Errors
/// As [`pareto_csv_string`], or [`Error::Io`] with the path.
pub fn write_pareto(path: &Path, pareto: &Pareto) -> Result<()> {
    write(path, &fields(), &lines(pareto))
}

/// Reads `pareto.csv`. Its design points are looked up by `design_id` in the summaries that it
/// was made from.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with line and column for a file that is empty, truncated
/// or damaged, columns or values that do not fit, a design point that is not among `summaries`, no
/// frontier at all.
pub fn read_pareto(path: &Path, summaries: &[Summary]) -> Result<Pareto> {
    let by_id: BTreeMap<&str, &Summary> = summaries
        .iter()
        .map(|summary| (summary.design.design_id.as_str(), summary))
        .collect();
    let expected = "a table of frontiers; a finished sweep or `pareto` writes it";
    let lines = read(path, expected, &fields(), |row| part(row, &by_id))?;
    let mut pareto = Pareto {
        frontiers: Vec::new(),
        savings: Vec::new(),
        baseline: None,
        chance: f64::NAN,
    };
    for part in lines {
        match part {
            Part::Hypervolume(frontier, chance) => {
                pareto.chance = chance;
                pareto.frontiers.push(frontier);
            }
            Part::Point(method, point) => match pareto.frontiers.last_mut() {
                Some(frontier) if frontier.method == method => frontier.points.push(point),
                _ => {
                    return Err(Error::input(
                        path,
                        "points after their `hypervolume` row",
                        "others",
                    ))
                }
            },
            Part::Saving(saving, baseline) => {
                pareto.baseline = baseline;
                pareto.savings.push(saving);
            }
        }
    }
    if pareto.frontiers.is_empty() {
        return Err(Error::input(path, "at least one `hypervolume` row", "none"));
    }
    Ok(pareto)
}

/// What a row adds.
enum Part {
    Hypervolume(Frontier, f64),
    Point(Option<String>, FrontierPoint),
    Saving(Saving, Option<String>),
}

/// The summary of a design point that a row names, whose mean must be that of the row.
pub(super) fn known_summary(
    row: Row<'_>,
    by_id: &BTreeMap<&str, &Summary>,
    id: &str,
) -> Result<Summary> {
    match by_id.get(id) {
        None => Err(row.wrong(
            "design_id",
            "a design point of the summary",
            format!("`{id}`"),
        )),
        Some(summary) => match row.number("mean")? {
            mean if mean == summary.mean => Ok((*summary).clone()),
            other => Err(row.wrong(
                "mean",
                format!("{} as in the summary", summary.mean),
                other.to_string(),
            )),
        },
    }
}

fn part(row: Row<'_>, by_id: &BTreeMap<&str, &Summary>) -> Result<Part> {
    let method = row.optional_text("of_method").map(str::to_owned);
    let summary = |id: &str| known_summary(row, by_id, id);
    match row.text("kind")? {
        HYPERVOLUME => {
            let hypervolume = row.number("hypervolume")?;
            Ok(Part::Hypervolume(
                Frontier {
                    method,
                    points: Vec::new(),
                    hypervolume,
                },
                row.number("chance")?,
            ))
        }
        FRONTIER => {
            let summary = summary(row.text("design_id")?)?;
            Ok(Part::Point(
                method,
                FrontierPoint {
                    summary,
                    probability: row.number("probability")?,
                },
            ))
        }
        SAVING => {
            let saving = Saving {
                method: row.text("of_method")?.to_owned(),
                loss: row.number("loss")?,
                target: row.number("target")?,
                cheapest: row.optional_text("design_id").map(summary).transpose()?,
                saving_to_baseline: row.optional_number("saving_to_baseline"),
                saving_to_reference: row.optional_number("saving_to_reference"),
            };
            Ok(Part::Saving(
                saving,
                row.optional_text("baseline").map(str::to_owned),
            ))
        }
        other => {
            let known = format!("one of {HYPERVOLUME}, {FRONTIER}, {SAVING}");
            Err(row.wrong("kind", known, format!("`{other}`")))
        }
    }
}
