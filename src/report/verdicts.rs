//! The answer to how far the voltage can fall: its sentences, for terminal and page, and its page.

mod sentences;

pub use sentences::answer_sentences;

use super::grid::Grid;
use super::interactive;
use super::page::style;
use super::words::signed;
use crate::answer::{AnswerRow, EvidenceRow, PartKind, PartLoss};
use crate::figure::{rate, Figure};
use crate::sweep::ActivationSupply;
use askama::Template;
use sentences::{by_energy, points};

const STYLE: &str = include_str!("style.css");

/// What the page of an answer is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct AnswerReport {
    /// Name of the run.
    pub run: String,
    /// Title of the page.
    pub title: String,
    /// Version of the program that computed the run.
    pub version: String,
    /// Command lines that compute the run again, in order.
    pub commands: Vec<String>,
    /// The resolved configuration as YAML.
    pub configuration: String,
    /// Remarks of the run, such as warnings.
    pub notes: Vec<String>,
    /// Where energies are least, of memories with a macro, a sentence or more each.
    pub least_energy: Vec<String>,
    /// Figures in the order of the page.
    pub figures: Vec<Figure>,
    /// A verdict for each candidate.
    pub rows: Vec<AnswerRow>,
    /// What the check showed of each voltage.
    pub evidence: Vec<EvidenceRow>,
    /// Losses of parts; none where they were not asked for.
    pub parts: Vec<PartLoss>,
}

/// The page as its template reads it.
#[derive(Template)]
#[template(path = "verdicts.html")]
struct Page<'a> {
    report: &'a AnswerReport,
    style: String,
    policy: String,
    sentences: Vec<String>,
    /// Which memories energies are of.
    accessed: &'static str,
    verdicts: Grid,
    evidence: Grid,
    parts: Grid,
}

/// The answer as one HTML page that asks for nothing outside itself. Same input, same bytes.
pub fn answer_html(report: &AnswerReport) -> String {
    let style = style(STYLE, &report.figures);
    let page = Page {
        policy: interactive::policy(interactive::SCRIPT, &style),
        style,
        sentences: answer_sentences(&report.rows, &report.parts),
        accessed: if report.rows.iter().any(|row| row.activations.is_some()) {
            "the memories of weights and stored activations"
        } else {
            "the weight memory"
        },
        verdicts: verdicts(&report.rows),
        evidence: evidence(&report.evidence),
        parts: parts(&report.parts),
        report,
    };
    page.to_string() + "\n"
}

/// Every candidate, savings and bounds first, the one of least energy on top.
pub fn verdicts(rows: &[AnswerRow]) -> Grid {
    let rows = by_energy(rows);
    let unit = rows
        .first()
        .map_or("voltage", |row| row.voltage_unit.symbol());
    let yields = rows.iter().any(|row| row.yield_share.is_some());
    Grid::of(&rows)
        .text("model", |row| &row.model)
        .text("protection", |row| row.protection)
        .text("activations at", |row| supply(row.activations.as_ref()))
        .only_if(rows.iter().any(|row| row.activations.is_some()))
        .text("verdict", |row| row.verdict.name().replace('_', " "))
        .number("saving %", |row| row.saving_low.map(points))
        .number("at most", |row| row.saving_high.map(points))
        .number(unit, |row| row.voltage)
        .number("shown to fail at", |row| row.voltage_failing)
        .number("bit error rate", |row| row.ber.map(rate))
        .number("loss", |row| row.loss.map(points))
        .only_if(!yields)
        .number("at most", |row| row.loss_high.map(points))
        .only_if(!yields)
        .number("yield %", |row| row.yield_share.map(points))
        .only_if(yields)
        .number("at least", |row| row.yield_low.map(points))
        .only_if(yields)
        .number("failing chips", |row| row.failing_chips)
        .only_if(yields)
        .number("energy", |row| {
            row.energy_relative.map(|energy| format!("{energy:.4}"))
        })
        .number("clean accuracy %", |row| points(row.clean_accuracy))
        .number("chips", |row| row.chips)
        .number("image evaluations", |row| row.evaluations)
        .grid()
}

/// Voltage of stored activations.
fn supply(activations: Option<&ActivationSupply>) -> Option<String> {
    activations.map(|own| format!("{} {}", own.voltage, own.voltage_unit.symbol()))
}

fn evidence(rows: &[EvidenceRow]) -> Grid {
    Grid::of(rows)
        .text("model", |row| &row.model)
        .text("protection", |row| row.protection)
        .text("activations at", |row| supply(row.activations.as_ref()))
        .only_if(rows.iter().any(|row| row.activations.is_some()))
        .number("voltage", |row| row.voltage)
        .number("bit error rate", |row| rate(row.ber))
        .text("verdict", |row| row.verdict.name().replace('_', " "))
        .number("%", |row| points(row.value))
        .number("at least", |row| points(row.value_low))
        .number("at most", |row| points(row.value_high))
        .number("to be reached", |row| points(row.goal))
        .number("chips", |row| row.chips)
        .number("image evaluations", |row| row.evaluations)
        .grid()
}

/// Losses of parts, at each voltage the greatest first.
fn parts(rows: &[PartLoss]) -> Grid {
    let mut rows: Vec<&PartLoss> = rows.iter().collect();
    rows.sort_by(|a, b| {
        let place = |row: &PartLoss| (row.kind as u8, row.ber.to_bits());
        let loss = |row: &PartLoss| row.loss;
        place(a).cmp(&place(b)).then(loss(b).total_cmp(&loss(a)))
    });
    let unit = rows
        .first()
        .map_or("voltage", |row| row.voltage_unit.symbol());
    Grid::of(&rows)
        .text("part", |row| match row.kind {
            PartKind::All => "all of the network",
            _ => row.part.as_str(),
        })
        .number(unit, |row| row.voltage)
        .number("bit error rate", |row| rate(row.ber))
        .number("loss", |row| signed(row.loss))
        .text("95 % interval", |row| {
            format!("{} to {}", signed(row.loss_low), signed(row.loss_high))
        })
        .number("rank", |row| row.rank)
        .number("chips", |row| row.chips)
        .number("image evaluations", |row| row.evaluations)
        .grid()
}
