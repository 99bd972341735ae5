//! What energies are made of: the formula, where its numbers come from, and every term for a few design points.

use super::tables::{energy, head, row, Cell};
use super::{answer, Report};
use crate::analysis::{groups_of, Summary};
use crate::fault::Protection;
use crate::figure::{escape, number};
use crate::sweep::EnergyRow;

const FORMULA: &str =
    "E = Σ n · (b + c) · r · f · e(V), with leakage + Σ n · (b + c) · g · P(V) · t";

/// Formula, sources and terms.
pub(super) fn energies(report: &Report) -> String {
    let mut out = format!("<p><b>{}</b></p>\n", escape(FORMULA));
    out += "<p>summed over layers and the kinds of their cells: n weights; b bits and c check or parity bits of each \
            weight in these cells; r reads of each weight from the weight memory per inference; f factor of the cell \
            (1 unless robust); e(V) energy of one bit access. Leakage is counted where the memory model gives it: g \
            factor of the cell, P(V) power of a bit, t seconds of an inference. Relative energies are E over that of \
            the same architecture at 8 bits, unprotected, at the error-free voltage, with the reads that 8 bits need \
            on the same accelerator. Not in it: arithmetic, activation memory, the weight buffer, encoders and decoders \
            of protections, periphery, level shifters, and leakage where the memory model gives none.</p>\n";
    let basis: String = report
        .energy_basis
        .iter()
        .map(|text| format!("<li>{}</li>\n", escape(text)))
        .collect();
    if !basis.is_empty() {
        out += &format!("<ul>\n{basis}</ul>\n");
    }
    let chosen = chosen(report);
    out += &chosen
        .iter()
        .filter_map(|(title, summary)| terms(report, title, summary))
        .collect::<String>();
    out + "<p>The terms of every design point are in <code>energy.csv</code> of the run.</p>\n"
}

/// The baseline at the error-free voltage, and the cheapest point of each method at a loss of one point, or at the
/// loss nearest to it.
fn chosen(report: &Report) -> Vec<(String, &Summary)> {
    let mut chosen: Vec<(String, &Summary)> = Vec::new();
    if let Some(baseline) = &report.pareto.baseline {
        let own = report.summaries.iter().zip(groups_of(&report.summaries));
        let free = own
            .filter(|(s, name)| {
                (name.method, &name.protection, &name.array) == (*baseline, &None, &None)
                    && s.design.protection == Protection::None
                    && !s.design.can_fail()
            })
            .map(|(summary, _)| summary);
        let dearest = free.max_by(|a, b| {
            let bits = a.design.bits.cmp(&b.design.bits);
            bits.then_with(|| b.design.by_voltage(&a.design))
        });
        chosen.extend(
            dearest.map(|summary| (format!("{baseline} at the error-free voltage"), summary)),
        );
    }
    let off = |loss: f64| (loss - 0.01).abs();
    let savings = &report.pareto.savings;
    let Some(loss) = savings
        .iter()
        .map(|s| s.loss)
        .min_by(|a, b| off(*a).total_cmp(&off(*b)))
    else {
        return chosen;
    };
    for saving in savings.iter().filter(|saving| saving.loss == loss) {
        let Some(summary) = answer::ground(saving) else {
            continue;
        };
        if chosen
            .iter()
            .all(|(_, known)| known.design.design_id != summary.design.design_id)
        {
            let title = format!(
                "{}, cheapest point at a loss of {}",
                saving.method,
                super::tables::points(loss)
            );
            chosen.push((title, summary));
        }
    }
    chosen
}

/// The terms of a design point with their sum; `None` where the run does not hold them.
fn terms(report: &Report, title: &str, summary: &Summary) -> Option<String> {
    let id = &summary.design.design_id;
    let own: Vec<&EnergyRow> = report
        .energy_terms
        .iter()
        .filter(|row| row.design_id == *id)
        .collect();
    let first = own.first()?;
    let absolute = first.term.access_pj.is_some();
    let leaks = first.term.leakage_pj.is_some();
    let mut titles = vec![
        ("Layer", true),
        ("Cells", true),
        ("n", false),
        ("b", false),
        ("c", false),
        ("r", false),
        ("V", false),
        ("e(V)", false),
        ("f", false),
        ("Energy", false),
    ];
    titles.extend(absolute.then_some(("Accesses (pJ)", false)));
    titles.extend(leaks.then_some(("Leakage (pJ)", false)));
    let pj = |value: Option<f64>| match value {
        None => Cell::None,
        // four decimals would show it as 0
        Some(pj) if pj < 1e-3 => Cell::Number(format!("{pj:.2e}")),
        Some(pj) => Cell::Number(number(pj)),
    };
    let optional = |access, leakage| {
        let cells = [(absolute, access), (leaks, leakage)];
        cells
            .into_iter()
            .filter(|(shown, _)| *shown)
            .map(|(_, value)| pj(value))
            .collect::<Vec<_>>()
    };
    let line = |row_: &&EnergyRow| {
        let term = &row_.term;
        let mut cells = vec![
            Cell::Text(term.layer.clone()),
            Cell::Text(term.cells.name().into()),
            Cell::Number(term.weights.to_string()),
            Cell::Number(number(term.bits)),
            Cell::Number(number(term.overhead_bits)),
            Cell::Number(number(term.reads)),
            Cell::Number(format!(
                "{} {}",
                number(term.voltage),
                row_.voltage_unit.symbol()
            )),
            energy(term.access_energy_relative),
            Cell::Number(number(term.energy_factor)),
            energy(term.energy_relative),
        ];
        cells.extend(optional(term.access_pj, term.leakage_pj));
        row(&cells, false)
    };
    let sum =
        |of: fn(&EnergyRow) -> Option<f64>| own.iter().map(|row| of(row)).sum::<Option<f64>>();
    let mut total = vec![Cell::Text("sum".into())];
    total.extend(std::iter::repeat_n(Cell::None, 8));
    total.push(energy(own.iter().map(|row| row.term.energy_relative).sum()));
    total.extend(optional(
        sum(|row| row.term.access_pj),
        sum(|row| row.term.leakage_pj),
    ));
    let rows: String = own.iter().map(line).collect();
    Some(format!(
        "<details><summary>{}: <code>{}</code></summary>\n<div class=\"scroll\"><table>\n{}{rows}{}</table></div>\n\
         </details>\n",
        escape(title),
        escape(id),
        head(&titles),
        row(&total, true)
    ))
}
