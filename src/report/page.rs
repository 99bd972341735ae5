//! The page: what fills its template in.

use super::answers::{self, Open};
use super::grid::Grid;
use super::lead::Lead;
use super::protection::{self, Protected};
use super::remarks::Remarks;
use super::tables::{self, MemoryRates};
use super::words::{self, points};
use super::{interactive, Report};
use crate::analysis::{
    accessed, counts_activations, energy_scope, groups_of, metric, protections, Group, Saving,
    SeriesPoints, Summary,
};
use crate::fault::Protection;
use crate::figure::{self, shown_points, Figure};
use crate::quant::MethodLabel;
use crate::sweep::EnergyRow;
use askama::Template;

const STYLE: &str = concat!(include_str!("style.css"), include_str!("interactive.css"));
/// Rows of differences that stand open on the page; longer tables are folded.
const OPEN_ROWS: usize = 40;
const FORMULA: &str =
    "E = Σ n · (b + c) · r · f · e(V), with leakage + Σ n · (b + c) · g · P(V) · t";

/// The page as its template reads it.
#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    report: &'a Report,
    style: String,
    policy: String,
    lead: Option<Lead<'a>>,
    losses: Grid,
    yields: Grid,
    open: Vec<Open<'a>>,
    subset: bool,
    interactive: usize,
    /// What accuracies are called.
    measured: String,
    /// What energies are of.
    scope: &'static str,
    /// Which memories they are of.
    accessed: &'static str,
    both: bool,
    script: String,
    data: String,
    savings: Grid,
    protected: Vec<Protected<'a>>,
    protections: Grid,
    open_protections: bool,
    differences: Grid,
    trainings: u64,
    chips: u64,
    frontiers: Vec<Grid>,
    memories: Vec<MemoryRates<'a>>,
    of_activations: Grid,
    drawn: Grid,
    held: usize,
    energies: Vec<Terms<'a>>,
    objectives: Grid,
    remarks: Remarks,
    points: Grid,
}

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let (summaries, savings) = (&report.summaries, &report.pareto.savings);
    let open: Vec<Open<'_>> = savings
        .iter()
        .filter_map(|saving| Some((saving, saving.beyond(summaries)?)))
        .collect();
    let with_faults = report.differences.iter().filter(|d| d.setting.ber > 0.0);
    let differences: Vec<_> = with_faults.collect();
    let protections = protections(summaries);
    let frontiers = &report.pareto.frontiers;
    let most = tables::most_of_each(frontiers);
    let style = style(STYLE, &report.figures);
    let scope = energy_scope(summaries);
    let script = interactive::script(scope);
    let series = SeriesPoints::of(summaries);
    let lead = Lead::of(report, &series);
    let answer = lead.as_ref().and_then(|lead| lead.point);
    let answer = answer.map(|point| point.design.design_id.as_str());
    let page = Page {
        policy: interactive::policy(&script, &style),
        data: interactive::data(report, answer),
        style,
        lead,
        losses: answers::losses(&report.answers, &series, &open),
        yields: answers::yields(&report.answers),
        open,
        subset: summaries.iter().any(|s| !s.image_sample().is_whole()),
        interactive: shown_points(summaries).len(),
        measured: metric(summaries).title(),
        scope,
        accessed: accessed(summaries),
        both: counts_activations(summaries),
        script,
        savings: tables::savings(report),
        protected: protection::protected(&protections),
        open_protections: protections.iter().any(|row| row.beyond.is_some()),
        protections: tables::protections(&protections),
        differences: tables::differences(&differences),
        trainings: differences.iter().map(|d| d.trainings).max().unwrap_or(1),
        chips: differences.iter().map(|d| d.chips).max().unwrap_or(1),
        frontiers: frontiers
            .iter()
            .map(|f| tables::frontier(f, most))
            .collect(),
        memories: tables::memories(summaries),
        of_activations: tables::of_activations(summaries),
        drawn: tables::drawn(report),
        held: report
            .fault_counts
            .iter()
            .filter(|count| count.holds())
            .count(),
        energies: energies(report),
        objectives: tables::objectives(report),
        remarks: Remarks::of(summaries),
        points: tables::summaries(summaries),
        report,
    };
    page.to_string() + "\n"
}

/// The style of a page, and of its figures where it is dark.
pub(super) fn style(usual: &str, figures: &[Figure]) -> String {
    let svgs = figures.iter().map(|figure| figure.svg.as_str());
    let rules = figure::dark_rules(svgs, "figure ");
    format!("{usual}@media screen and (prefers-color-scheme: dark) {{\n{rules}\n}}\n")
}

/// The savings at a loss of one point, or at the loss nearest to it.
pub(super) fn usual_loss(report: &Report) -> Vec<&Saving> {
    let savings = &report.pareto.savings;
    let off = |saving: &Saving| (saving.loss - 0.01).abs();
    let nearest = savings.iter().min_by(|a, b| off(a).total_cmp(&off(b)));
    let same = |saving: &&Saving| nearest.is_some_and(|nearest| nearest.loss == saving.loss);
    savings.iter().filter(same).collect()
}

/// The terms of the energy of a design point.
struct Terms<'a> {
    title: String,
    id: &'a str,
    grid: Grid,
}

/// Those of the baseline at the error-free voltage, and of the cheapest point of each method at the usual loss.
fn energies(report: &Report) -> Vec<Terms<'_>> {
    let mut chosen: Vec<(String, &Summary)> = Vec::new();
    if let Some(baseline) = report.pareto.baseline {
        let title = format!("{baseline} at the error-free voltage");
        chosen.extend(reference(report, baseline).map(|point| (title, point)));
    }
    for saving in usual_loss(report) {
        let Some(point) = saving.ground() else {
            continue;
        };
        let id = &point.design.design_id;
        if chosen
            .iter()
            .all(|(_, known)| known.design.design_id != *id)
        {
            let loss = points(saving.loss);
            let title = format!("{}, cheapest point at a loss of {loss}", saving.method);
            chosen.push((title, point));
        }
    }
    let mut all = Vec::new();
    for (title, point) in chosen {
        let id = point.design.design_id.as_str();
        let of_point = report.energy_terms.iter().filter(|row| row.design_id == id);
        let own: Vec<&EnergyRow> = of_point.collect();
        if !own.is_empty() {
            let grid = tables::terms(&own);
            all.push(Terms { title, id, grid });
        }
    }
    all
}

/// The baseline's point of most bits, unprotected at its lowest voltage without failing cells.
fn reference(report: &Report, baseline: MethodLabel) -> Option<&Summary> {
    let named = report.summaries.iter().zip(groups_of(&report.summaries));
    let plain = Group {
        method: baseline,
        protection: None,
        array: None,
    };
    let free = named
        .filter(|(s, group)| {
            *group == plain && s.design.protection == Protection::None && !s.design.can_fail()
        })
        .map(|(point, _)| point);
    free.max_by(|a, b| {
        let bits = a.design.bits.cmp(&b.design.bits);
        bits.then_with(|| b.design.by_voltage(&a.design))
    })
}
