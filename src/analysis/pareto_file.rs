//! `pareto.csv`: one long table of hypervolumes, frontiers and savings, told apart by its column `kind`.
//!
//! `of_method` says whose frontier or saving a row is; null for all methods together. `hypervolume`
//! rows (one per frontier: `hypervolume`, `chance`) are each followed by the `frontier` rows of that
//! frontier by rising energy (the keys and costs of the design point, `mean`, `probability`); then
//! come the `saving` rows by loss and method (`baseline`, `loss`, `target`; the cheapest design point
//! and its `mean`, `saving_to_baseline`, `saving_to_reference` where there is one). Columns that a
//! kind does not use are null.

use super::row::{Frontier, FrontierPoint, Group, Pareto, Saving, Summary};
use crate::error::{Error, Result};
use crate::quant::MethodLabel;
use crate::table::{read_each, words, Columns, Part, Record, Row, FRACTION};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::Path;

/// Savings: fractions of an energy, below 0 where more is used.
pub(super) const UP_TO_ONE: RangeInclusive<f64> = f64::MIN..=1.0;

/// What a row of `pareto.csv` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ParetoKind {
    /// The area that a frontier dominates; its points follow.
    #[default]
    Hypervolume,
    /// A point of the frontier before it.
    Frontier,
    /// The least energy of a method at an accuracy loss.
    Saving,
}

words!(ParetoKind: Hypervolume "hypervolume", Frontier "frontier", Saving "saving");

/// One row of the long table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ParetoRow {
    kind: ParetoKind,
    method: Option<Group>,
    point: Option<Summary>,
    probability: Option<f64>,
    hypervolume: Option<f64>,
    chance: Option<f64>,
    baseline: Option<MethodLabel>,
    loss: Option<f64>,
    target: Option<f64>,
    saving_to_baseline: Option<f64>,
    saving_to_reference: Option<f64>,
}

impl Record for ParetoRow {
    const WHAT: &'static str = "a table of frontiers; a finished sweep or `pareto` writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        c.column("kind", &mut self.kind)?;
        c.column("of_method", &mut self.method)?;
        point_columns(c, &mut self.point, |_, _| Ok(()))?;
        c.number("probability", FRACTION, &mut self.probability)?;
        c.number("hypervolume", FRACTION, &mut self.hypervolume)?;
        c.number("chance", FRACTION, &mut self.chance)?;
        c.column("baseline", &mut self.baseline)?;
        c.number("loss", FRACTION, &mut self.loss)?;
        c.number("target", FRACTION, &mut self.target)?;
        let saving = &mut self.saving_to_baseline;
        c.number("saving_to_baseline", UP_TO_ONE, saving)?;
        let saving = &mut self.saving_to_reference;
        c.number("saving_to_reference", UP_TO_ONE, saving)
    }
}

/// The keys, costs and mean of a design point that a row may lack, then what `more` has of it. Of a row that is read
/// only these are known; [`known_summary`] has the rest.
pub(super) fn point_columns<C: Columns>(
    c: &mut C,
    point: &mut Option<Summary>,
    more: impl FnOnce(&mut Part<'_, C>, &mut Summary) -> Result<()>,
) -> Result<()> {
    let present = point.is_some();
    let mut found = point.take().unwrap_or_default();
    let mut part = Part {
        columns: c,
        present,
    };
    found.design.keys(&mut part)?;
    found.design.costs(&mut part)?;
    part.number("mean", FRACTION, &mut found.mean)?;
    more(&mut part, &mut found)?;
    *point = (!found.design.design_id.is_empty()).then_some(found);
    Ok(())
}

impl Pareto {
    /// The rows of `pareto.csv`.
    pub fn rows(&self) -> Vec<ParetoRow> {
        let mut rows = Vec::new();
        for frontier in &self.frontiers {
            rows.push(ParetoRow {
                kind: ParetoKind::Hypervolume,
                method: frontier.method.clone(),
                hypervolume: Some(frontier.hypervolume),
                chance: Some(self.chance),
                ..ParetoRow::default()
            });
            rows.extend(frontier.points.iter().map(|point| ParetoRow {
                kind: ParetoKind::Frontier,
                method: frontier.method.clone(),
                point: Some(point.summary.clone()),
                probability: Some(point.probability),
                ..ParetoRow::default()
            }));
        }
        rows.extend(self.savings.iter().map(|saving| ParetoRow {
            kind: ParetoKind::Saving,
            method: Some(saving.method.clone()),
            point: saving.cheapest.clone(),
            baseline: self.baseline,
            loss: Some(saving.loss),
            target: Some(saving.target),
            saving_to_baseline: saving.saving_to_baseline,
            saving_to_reference: saving.saving_to_reference,
            ..ParetoRow::default()
        }));
        rows
    }
}

/// Reads `pareto.csv`. Its design points are looked up by `design_id` in the summaries that it
/// was made from.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with line and column for a file that is empty, truncated
/// or damaged, columns or values that do not fit, a design point that is not among `summaries`, no
/// frontier at all.
pub fn read_pareto(path: &Path, summaries: &[Summary]) -> Result<Pareto> {
    let by_id = by_id(summaries);
    let mut pareto = Pareto {
        frontiers: Vec::new(),
        savings: Vec::new(),
        baseline: None,
        chance: f64::NAN,
    };
    for part in read_each(path, |line, row| part(line, row, &by_id))? {
        match part {
            Piece::Hypervolume(frontier, chance) => {
                pareto.chance = chance;
                pareto.frontiers.push(frontier);
            }
            Piece::Point(method, point) => match pareto.frontiers.last_mut() {
                Some(frontier) if frontier.method == method => frontier.points.push(point),
                _ => {
                    return Err(Error::input(
                        path,
                        "points after their `hypervolume` row",
                        "others",
                    ))
                }
            },
            Piece::Saving(saving, baseline) => {
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
enum Piece {
    Hypervolume(Frontier, f64),
    Point(Option<Group>, FrontierPoint),
    Saving(Saving, Option<MethodLabel>),
}

/// Summaries by their design point.
pub(super) fn by_id(summaries: &[Summary]) -> BTreeMap<&str, &Summary> {
    summaries
        .iter()
        .map(|summary| (summary.design.design_id.as_str(), summary))
        .collect()
}

/// The summary of a design point that a row has, whose mean must be that of the row.
pub(super) fn known_summary(
    row: &Row<'_>,
    by_id: &BTreeMap<&str, &Summary>,
    point: &Summary,
) -> Result<Summary> {
    let id = point.design.design_id.as_str();
    let Some(summary) = by_id.get(id) else {
        let expected = "a design point of the summary";
        return Err(row.wrong("design_id", expected, format!("`{id}`")));
    };
    if point.mean != summary.mean {
        let expected = format!("{} as in the summary", summary.mean);
        return Err(row.wrong("mean", expected, point.mean.to_string()));
    }
    Ok((*summary).clone())
}

/// A value that a row of this kind has.
fn some<V>(row: &Row<'_>, name: &str, value: Option<V>) -> Result<V> {
    value.ok_or_else(|| row.wrong(name, "a value", "nothing"))
}

fn part(line: ParetoRow, row: &Row<'_>, by_id: &BTreeMap<&str, &Summary>) -> Result<Piece> {
    let point = line.point.as_ref();
    let point = point
        .map(|point| known_summary(row, by_id, point))
        .transpose()?;
    Ok(match line.kind {
        ParetoKind::Hypervolume => {
            let frontier = Frontier {
                method: line.method,
                points: Vec::new(),
                hypervolume: some(row, "hypervolume", line.hypervolume)?,
            };
            Piece::Hypervolume(frontier, some(row, "chance", line.chance)?)
        }
        ParetoKind::Frontier => {
            let point = FrontierPoint {
                summary: some(row, "design_id", point)?,
                probability: some(row, "probability", line.probability)?,
            };
            Piece::Point(line.method, point)
        }
        ParetoKind::Saving => {
            let saving = Saving {
                method: some(row, "of_method", line.method)?,
                loss: some(row, "loss", line.loss)?,
                target: some(row, "target", line.target)?,
                cheapest: point,
                saving_to_baseline: line.saving_to_baseline,
                saving_to_reference: line.saving_to_reference,
            };
            Piece::Saving(saving, line.baseline)
        }
    })
}
