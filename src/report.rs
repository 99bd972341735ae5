//! The report of a run: one self-contained page with answer, figures, tables, configuration and
//! commands; documents of results, cards of models, and every printed table. Figures are drawn and rows computed on
//! the floors below; the program writes the file. The texts stand in `report/templates/`.

mod answers;
mod card;
mod grid;
mod interactive;
mod lead;
mod markdown;
mod page;
mod protection;
mod remarks;
mod results;
mod tables;
#[cfg(test)]
mod tests;
mod verdicts;
mod words;

pub use card::{card_markdown, ModelCard};
pub use grid::{Cell, Grid, Rows};
pub use results::{
    has_curves, results_markdown, LinkedFigure, ResultAttack, ResultGroup, ResultModel,
    ResultSweep, Results, FIRST,
};
pub use verdicts::{answer_html, answer_sentences, verdicts, AnswerReport};

use crate::analysis::{
    Answer, FaultCount, MethodDifference, Objectives, Pareto, SeriesPoints, Summary,
};
use crate::figure::Figure;
use crate::sweep::EnergyRow;

/// What a report is made of.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
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
    /// Remarks of the run, such as warnings; each a sentence or more of plain text.
    pub notes: Vec<String>,
    /// Figures in the order of the page.
    pub figures: Vec<Figure>,
    /// Design points.
    pub summaries: Vec<Summary>,
    /// Failing cells as counted, beside the rates they were drawn at; none where that is not known.
    pub fault_counts: Vec<FaultCount>,
    /// Terms of the energies of design points; none where the run does not hold them.
    pub energy_terms: Vec<EnergyRow>,
    /// How energies were counted and where their numbers come from, a sentence or more each.
    pub energy_basis: Vec<String>,
    /// Where energies are least, of memories with a macro, a sentence or more each.
    pub least_energy: Vec<String>,
    /// Design points by accuracy, energy and time of an inference; none where the last is not known.
    pub objectives: Vec<Objectives>,
    /// Frontiers and savings of the design points.
    pub pareto: Pareto,
    /// Lowest voltages of the design points at accuracy losses and yields.
    pub answers: Vec<Answer>,
    /// Paired differences between methods.
    pub differences: Vec<MethodDifference>,
}

/// The report as one HTML page that asks for nothing outside itself. Same input, same bytes.
pub fn html(report: &Report) -> String {
    page::page(report)
}

/// What is shown of the design of least energy at a loss of one point, or what would show it, in words: the first sentence
/// of the page. `None` where no loss was asked for.
pub fn lead(report: &Report) -> Option<String> {
    let series = SeriesPoints::of(&report.summaries);
    lead::Lead::of(report, &series).map(|lead| lead.sentence)
}
