//! The results of several runs as one Markdown document: what was compared, how each method does, what can be said
//! of the first of them, and how to compute it again. Figures are files beside it.

mod by_rate;
mod in_short;
mod least_energy;

use super::grid::{Cell, Grid};
use super::markdown;
use super::words::{accuracy, width};
use crate::analysis::{Answer, MethodDifference, MethodMean, Setting, Summary};
use crate::attack::{AttackRow, AttackSummary};
use crate::fault::Protection;
use crate::figure;
use crate::quant::MethodLabel;
use crate::sweep::TestSplit;
use crate::units::Bits;
use askama::Template;
use by_rate::{Means, RateTable};
use in_short::InShort;
use least_energy::least_energy;
use std::collections::BTreeSet;

/// The method that the document is about.
pub const FIRST: MethodLabel = MethodLabel::Wcat;

/// Remarks of an attack.
const NO_NOTES: &[String] = &[];

/// A document of results.
#[derive(Clone, Debug, PartialEq)]
pub struct Results {
    /// Title of the document.
    pub title: String,
    /// Version of the program that computed the runs.
    pub version: String,
    /// Markdown under the title; may be empty.
    pub preface: String,
    /// The command that makes the document.
    pub command: String,
    /// Networks on data sets.
    pub groups: Vec<ResultGroup>,
}

/// The runs of one network on one data set.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultGroup {
    /// Data set.
    pub dataset: String,
    /// Architecture.
    pub architecture: String,
    /// What its accuracies were measured on.
    pub split: TestSplit,
    /// Models of the runs, each once.
    pub models: Vec<ResultModel>,
    /// Sweeps.
    pub sweeps: Vec<ResultSweep>,
    /// Attacks.
    pub attacks: Vec<ResultAttack>,
}

/// A model of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultModel {
    /// Name in the tables.
    pub name: String,
    /// Method.
    pub method: MethodLabel,
    /// Bits per stored weight.
    pub bits: Option<Bits>,
    /// Seed of the training.
    pub training_seed: Option<u64>,
    /// How it was trained; `None` where its file is not there.
    pub training: Option<Cell>,
    /// Accuracy on the validation split.
    pub validation: Option<f64>,
    /// Accuracy without faults on the images of the runs.
    pub clean: f64,
    /// Path of its card from the document.
    pub card: Option<String>,
}

/// A figure beside the document.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkedFigure {
    /// Its path from the document.
    pub path: String,
    /// One line.
    pub title: String,
    /// What is shown.
    pub caption: String,
}

/// A sweep of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultSweep {
    /// Name of the run.
    pub run: String,
    /// Title of the memory model.
    pub memory: String,
    /// Images per trial, and of the whole set.
    pub images: (u64, u64),
    /// Design points.
    pub summaries: Vec<Summary>,
    /// Means of methods.
    pub means: Vec<MethodMean>,
    /// Paired differences.
    pub differences: Vec<MethodDifference>,
    /// Lowest voltages at losses.
    pub answers: Vec<Answer>,
    /// Command lines that compute it.
    pub commands: Vec<String>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Figures.
    pub figures: Vec<LinkedFigure>,
}

/// An attack of the results.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultAttack {
    /// Name of the run.
    pub run: String,
    /// By model.
    pub summaries: Vec<AttackSummary>,
    /// Command lines that compute it.
    pub commands: Vec<String>,
    /// Path of its figure from the document.
    pub figure: String,
}

/// The document as its template reads it.
#[derive(Template)]
#[template(path = "results.md")]
struct Document<'a> {
    results: &'a Results,
    short: InShort,
    groups: Vec<Group<'a>>,
}

/// A network on a data set.
struct Group<'a> {
    of: &'a ResultGroup,
    models: Grid,
    sweeps: Vec<Sweep<'a>>,
    attacks: Vec<Attack<'a>>,
}

/// A sweep: all of a test, and of a tuning what the choice was made by.
struct Sweep<'a> {
    of: &'a ResultSweep,
    images: &'static str,
    least_energy: Option<Grid>,
    by_model: Option<RateTable>,
    places: Vec<Means<'a>>,
}

/// An attack.
struct Attack<'a> {
    of: &'a ResultAttack,
    first: Option<&'a AttackRow>,
    models: Grid,
}

/// The document as Markdown. Same input, same text.
pub fn results_markdown(results: &Results) -> String {
    let document = Document {
        results,
        short: InShort::of(results),
        groups: results.groups.iter().map(Group::of).collect(),
    };
    document.to_string() + "\n"
}

impl<'a> Group<'a> {
    fn of(group: &'a ResultGroup) -> Self {
        Self {
            of: group,
            models: models(group),
            sweeps: group
                .sweeps
                .iter()
                .map(|sweep| Sweep::of(sweep, group.split))
                .collect(),
            attacks: group.attacks.iter().map(Attack::of).collect(),
        }
    }
}

fn models(group: &ResultGroup) -> Grid {
    let measured = match group.split {
        TestSplit::Test => "Test, no faults",
        TestSplit::Validation => "No faults",
    };
    Grid::of(&group.models)
        .text("Model", |m| match &m.card {
            Some(card) => Cell::Link(m.name.clone(), card.clone()),
            None => Cell::from(&m.name),
        })
        .text("Method", |m| m.method)
        .text("Width", |m| width(m.bits))
        .text("Seed", |m| m.training_seed)
        .text("Training", |m| {
            let known = m.training.clone();
            known.unwrap_or("the file is not here".into())
        })
        .number("Validation", |m| m.validation.map(accuracy))
        .number(measured, |m| accuracy(m.clean))
        .grid()
}

impl<'a> Sweep<'a> {
    fn of(sweep: &'a ResultSweep, split: TestSplit) -> Self {
        let tested = split == TestSplit::Test;
        let variants = has_variants(&sweep.summaries);
        let shown = if variants && !tested {
            BTreeSet::new()
        } else {
            places(sweep)
        };
        let curves = tested && has_curves(&sweep.summaries);
        Self {
            of: sweep,
            images: split.images(),
            least_energy: curves
                .then(|| least_energy(&sweep.answers, variants))
                .flatten(),
            by_model: variants.then(|| by_rate::by_model(&sweep.summaries)),
            places: shown
                .iter()
                .map(|place| Means::of(sweep, place, tested))
                .collect(),
        }
    }

    fn chips(&self) -> u64 {
        let chips = self.of.summaries.iter().map(|summary| summary.chips);
        chips.max().unwrap_or(0)
    }

    fn uses_all_images(&self) -> bool {
        let (used, all) = self.of.images;
        used >= all
    }

    fn is_two_level(&self) -> bool {
        self.of.summaries.iter().any(Summary::is_two_level)
    }
}

impl<'a> Attack<'a> {
    fn of(attack: &'a ResultAttack) -> Self {
        let models = Grid::of(&attack.summaries)
            .text("Model", |s| &s.first.model)
            .text("Method", |s| s.first.method)
            .text("Width", |s| width(Some(s.first.bits)))
            .text("Reached", |s| format!("{} of {}", s.reached, s.restarts))
            .number("Flips (mean ± deviation)", flips)
            .number("Clean", |s| accuracy(s.clean_mean))
            .number("In the end", |s| accuracy(s.accuracy_mean))
            .number("After as many random flips", |s| accuracy(s.random_mean))
            .grid();
        Self {
            of: attack,
            first: attack.summaries.first().map(|of| &of.first),
            models,
        }
    }
}

fn flips(of: &AttackSummary) -> String {
    let bound = if of.reached < of.restarts { "≥ " } else { "" };
    let std = of.flips_std.map(|std| format!(" ± {std:.1}"));
    format!("{bound}{:.1}{}", of.flips_mean, std.unwrap_or_default())
}

/// True where design points stand at three voltages or more: two have no curve, and nothing to search.
pub fn has_curves(summaries: &[Summary]) -> bool {
    let voltages = summaries
        .iter()
        .filter_map(|s| Some((&s.design.memory, s.design.voltage?.to_bits())));
    voltages.collect::<BTreeSet<_>>().len() > 2
}

/// True where several models of one method, width and seed were swept, which are no trainings of one method.
fn has_variants(summaries: &[Summary]) -> bool {
    let models = summaries.iter().map(|Summary { design, .. }| {
        let trained = (&design.method, design.bits, design.training_seed);
        (trained, &design.model)
    });
    let models: Vec<_> = models.collect::<BTreeSet<_>>().into_iter().collect();
    models.windows(2).any(|pair| pair[0].0 == pair[1].0)
}

/// An array under a protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place<'a> {
    array: &'a str,
    protection: Protection,
}

impl Place<'_> {
    fn holds(&self, setting: &Setting) -> bool {
        (self.array, self.protection) == (setting.array.as_str(), setting.protection)
    }

    /// Array and protection in words.
    fn name(&self) -> String {
        match self.protection {
            Protection::None => format!("{} array", self.array),
            other => format!("{} array, protection {other}", self.array),
        }
    }
}

/// The places of a sweep.
fn places(sweep: &ResultSweep) -> BTreeSet<Place<'_>> {
    let settings = sweep.means.iter().map(|mean| &mean.setting);
    settings
        .map(|setting| Place {
            array: setting.array.as_str(),
            protection: setting.protection,
        })
        .collect()
}

/// The means of methods at a place.
fn means_at<'a>(sweep: &'a ResultSweep, place: &Place<'_>) -> Vec<&'a MethodMean> {
    let means = sweep.means.iter();
    means.filter(|mean| place.holds(&mean.setting)).collect()
}

/// The differences of the first method to each other one at a place, where there are faults.
fn first_less_others<'a>(sweep: &'a ResultSweep, place: &Place<'_>) -> Vec<&'a MethodDifference> {
    let wanted =
        |d: &&MethodDifference| place.holds(&d.setting) && d.method == FIRST && d.setting.ber > 0.0;
    sweep.differences.iter().filter(wanted).collect()
}
