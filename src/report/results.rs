//! The results of several runs as one Markdown document: what was compared, how each method does, what can be said
//! of the first of them, and how to compute it again. Figures are files beside it.

use super::answer::width;
use super::in_short::in_short;
use super::least_energy::least_energy;
use super::markdown::{cell, code, fence, remark, target, words};
use super::tables::accuracy;
use crate::analysis::{Answer, MethodDifference, MethodMean, Setting, Summary};
use crate::attack::AttackSummary;
use crate::fault::Protection;
use crate::figure::{number, rate};
use crate::quant::MethodLabel;
use crate::stats::Interval;
use crate::sweep::TestSplit;
use crate::units::{BerSource, Bits};
use std::collections::{BTreeMap, BTreeSet};

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
    pub method: String,
    /// Bits per stored weight.
    pub bits: Option<Bits>,
    /// Seed of the training.
    pub training_seed: Option<u64>,
    /// How it was trained, as Markdown; `None` where its file is not there.
    pub training: Option<String>,
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

/// The document as Markdown. Same input, same text.
pub fn results_markdown(results: &Results) -> String {
    let mut text = format!(
        "# {}\n\nMade from the stored tables of the runs named below by {} (wcat-explore {}); no number is typed in. \
         Accuracies are in per cent. Energies are those of accesses to the weight memory, relative to \
         the same network at 8 bits and the error-free voltage. Intervals are at 95 %.\n",
        words(&results.title),
        code(&results.command),
        words(&results.version)
    );
    if !results.preface.is_empty() {
        text += &format!("\n{}\n", results.preface.trim());
    }
    text += &in_short(results);
    for group in &results.groups {
        text += &format!(
            "\n## {} on {}\n",
            words(&group.architecture),
            words(&group.dataset)
        );
        text += &models(group);
        for sweep in &group.sweeps {
            text += &match group.split {
                TestSplit::Test => sweep_text(sweep),
                TestSplit::Validation => tuning_text(sweep),
            };
        }
        for attack in &group.attacks {
            text += &attack_text(attack);
        }
    }
    text
}

/// A Markdown table of cells that are Markdown; the first `left` columns to the left, the others to the right.
pub(super) fn table(head: &[String], left: usize, rows: &[Vec<String>]) -> String {
    let line = |cells: &[String]| {
        let cells: Vec<String> = cells.iter().map(|text| cell(text)).collect();
        format!("| {} |\n", cells.join(" | "))
    };
    let rule: Vec<&str> = (0..head.len())
        .map(|i| if i < left { "---" } else { "---:" })
        .collect();
    let mut text = format!("\n{}|{}|\n", line(head), rule.join("|"));
    rows.iter().for_each(|row| text += &line(row));
    text
}

/// Cells of their own.
pub(super) fn texts(cells: &[&str]) -> Vec<String> {
    cells.iter().map(|cell| (*cell).to_owned()).collect()
}

fn models(group: &ResultGroup) -> String {
    let rows: Vec<Vec<String>> = group
        .models
        .iter()
        .map(|model| {
            let name = match &model.card {
                Some(card) => format!("[{}]({})", words(&model.name), target(card)),
                None => words(&model.name),
            };
            vec![
                name,
                words(&model.method),
                width(model.bits),
                model
                    .training_seed
                    .map_or("–".into(), |seed| seed.to_string()),
                model
                    .training
                    .clone()
                    .unwrap_or("the file is not here".into()),
                model.validation.map_or("–".into(), accuracy),
                accuracy(model.clean),
            ]
        })
        .collect();
    let measured = match group.split {
        TestSplit::Test => "Test, no faults",
        TestSplit::Validation => "No faults",
    };
    let head = texts(&[
        "Model",
        "Method",
        "Width",
        "Seed",
        "Training",
        "Validation",
        measured,
    ]);
    format!("\n### Models\n{}", table(&head, 5, &rows))
}

/// Title of a sweep, and how much was simulated.
fn sweep_head(sweep: &ResultSweep, split: TestSplit) -> String {
    let kind = split.images();
    let (used, all) = sweep.images;
    let chips = sweep
        .summaries
        .iter()
        .map(|summary| summary.chips)
        .max()
        .unwrap_or(0);
    let own = sweep.summaries.iter().any(Summary::is_two_level);
    let images = match (used < all, own) {
        (true, true) => format!(
            "each seen through {used} of the {all} {kind}, drawn for it alone. Means are those on all of them, and \
             intervals include the choice of images."
        ),
        (true, false) => format!("{used} of {all} {kind} in each trial. Intervals include the choice of images."),
        (false, _) => format!("all {all} {kind}."),
    };
    format!(
        "\n### {}: {}\n\n{chips} simulated chips, {images}\n",
        words(&sweep.memory),
        code(&sweep.run)
    )
}

/// A sweep on images held out of the training: what a choice between models was made by.
fn tuning_text(sweep: &ResultSweep) -> String {
    let mut text = sweep_head(sweep, TestSplit::Validation);
    text += &match has_variants(&sweep.summaries) {
        true => by_model(&sweep.summaries),
        false => places(sweep)
            .iter()
            .map(|place| by_rate(place, &means_at(sweep, place)))
            .collect(),
    };
    text + &reproduce(&sweep.commands, &sweep.notes)
}

fn sweep_text(sweep: &ResultSweep) -> String {
    let mut text = sweep_head(sweep, TestSplit::Test);
    for figure in &sweep.figures {
        text += &format!(
            "\n![{}]({})\n\n*{}.* {}\n",
            words(&figure.title),
            target(&figure.path),
            words(&figure.title),
            words(&figure.caption)
        );
    }
    let variants = has_variants(&sweep.summaries);
    if has_curves(&sweep.summaries) {
        text += &least_energy(&sweep.answers, variants);
    }
    for place in places(sweep) {
        let means = means_at(sweep, &place);
        if !means.is_empty() {
            text += &by_rate(&place, &means);
        }
        text += &compared(&place, &first_less_others(sweep, &place));
    }
    if variants {
        text += &by_model(&sweep.summaries);
    }
    text + &reproduce(&sweep.commands, &sweep.notes)
}

/// The differences of the first method to each other one, where there are faults.
pub(super) fn first_less_others<'a>(
    sweep: &'a ResultSweep,
    place: &Place<'_>,
) -> Vec<&'a MethodDifference> {
    let wanted =
        |d: &&MethodDifference| place.holds(&d.setting) && d.method == FIRST && d.setting.ber > 0.0;
    sweep.differences.iter().filter(wanted).collect()
}

/// The interval of a difference that a document shows: of the methods where there are several trainings.
pub(super) fn shown(difference: &MethodDifference) -> Option<Interval> {
    difference.of_trainings.or(difference.student)
}

/// The means of methods at a place.
pub(super) fn means_at<'a>(sweep: &'a ResultSweep, place: &Place<'_>) -> Vec<&'a MethodMean> {
    sweep
        .means
        .iter()
        .filter(|mean| place.holds(&mean.setting))
        .collect()
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
    let of = |Summary { design, .. }: &Summary| {
        (
            design.method,
            design.bits,
            design.training_seed,
            design.model.clone(),
        )
    };
    let models: Vec<_> = summaries
        .iter()
        .map(of)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    models
        .windows(2)
        .any(|pair| (pair[0].0, pair[0].1, pair[0].2) == (pair[1].0, pair[1].1, pair[1].2))
}

/// The method that the document is about.
pub const FIRST: MethodLabel = MethodLabel::Wcat;

/// An array under a protection.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place<'a> {
    array: &'a str,
    protection: Protection,
}

impl Place<'_> {
    fn holds(&self, setting: &Setting) -> bool {
        (self.array, self.protection) == (setting.array.as_str(), setting.protection)
    }

    /// Array and protection.
    pub(super) fn words(&self) -> String {
        let array = words(self.array);
        match self.protection {
            Protection::None => format!("{array} array"),
            other => format!("{array} array, protection {}", words(other.name())),
        }
    }
}

/// The places of a sweep.
pub(super) fn places(sweep: &ResultSweep) -> BTreeSet<Place<'_>> {
    sweep
        .means
        .iter()
        .map(|mean| Place {
            array: mean.setting.array.as_str(),
            protection: mean.setting.protection,
        })
        .collect()
}

/// Cells by line, then bit error rate.
struct ByRate<K> {
    heads: BTreeMap<u64, String>,
    lines: BTreeMap<K, BTreeMap<u64, String>>,
}

impl<K: Ord> ByRate<K> {
    fn new() -> Self {
        Self {
            heads: BTreeMap::new(),
            lines: BTreeMap::new(),
        }
    }

    fn add(&mut self, line: K, (ber, source): (f64, BerSource), cell: String) {
        let mark = match source {
            BerSource::Extrapolated => " †",
            _ => "",
        };
        // rates are not negative: their bits sort like the numbers
        self.heads
            .insert(ber.to_bits(), format!("{}{mark}", rate(ber)));
        self.lines
            .entry(line)
            .or_default()
            .insert(ber.to_bits(), cell);
    }

    /// The table, with two words for each line under `names`.
    fn table(&self, names: [&str; 2], named: impl Fn(&K) -> [String; 2]) -> String {
        let head: Vec<String> = texts(&names)
            .into_iter()
            .chain(self.heads.values().cloned())
            .collect();
        let cell =
            |cells: &BTreeMap<u64, String>, rate| cells.get(rate).cloned().unwrap_or("–".into());
        let rows: Vec<Vec<String>> = self
            .lines
            .iter()
            .map(|(line, cells)| {
                named(line)
                    .into_iter()
                    .chain(self.heads.keys().map(|rate| cell(cells, rate)))
                    .collect()
            })
            .collect();
        let extrapolated = match self.heads.values().any(|text| text.ends_with('†')) {
            true => "\n†: beyond the measured span of the memory, extrapolated.\n",
            false => "",
        };
        format!("{}{extrapolated}", table(&head, 2, &rows))
    }
}

/// A mean with half of its interval.
fn plus_minus(mean: f64, interval: Option<Interval>) -> String {
    let half = |i: Interval| format!(" ± {}", accuracy((i.high - i.low) / 2.0));
    format!("{}{}", accuracy(mean), interval.map_or(String::new(), half))
}

/// Mean accuracy of each model by bit error rate.
fn by_model(summaries: &[Summary]) -> String {
    let mut cells = ByRate::new();
    for Summary {
        design,
        mean,
        student,
        ..
    } in summaries
    {
        let Some(ber) = design.ber else { continue };
        let line = (design.model.as_str(), design.array.as_str());
        cells.add(line, (ber, design.ber_source), plus_minus(*mean, *student));
    }
    let named = |(model, array): &(&str, &str)| [words(model), words(array)];
    format!(
        "\n#### Mean accuracy of each model by bit error rate\n{}",
        cells.table(["Model", "Array"], named)
    )
}

/// Width, method.
type Kind<'a> = (Option<Bits>, &'a str);

fn kind_words((bits, method): &Kind<'_>) -> [String; 2] {
    [words(method), width(*bits)]
}

/// Means of methods by bit error rate.
fn by_rate(place: &Place<'_>, means: &[&MethodMean]) -> String {
    let mut cells = ByRate::new();
    for mean in means {
        let setting = &mean.setting;
        let text = plus_minus(mean.mean, mean.of_trainings.or(mean.student));
        cells.add(
            (setting.bits, mean.method.name()),
            (setting.ber, setting.ber_source),
            text,
        );
    }
    let what = match means.iter().map(|mean| mean.trainings).max().unwrap_or(1) {
        1 => {
            "One training of each: the interval is over chips (and the choice of images), not over trainings."
                .into()
        }
        n => {
            format!("Up to {n} trainings of each; the interval takes trainings and chips as random effects.")
        }
    };
    format!(
        "\n#### Mean accuracy by bit error rate, {}\n{}\n{what}\n",
        place.words(),
        cells.table(["Method", "Width"], kind_words)
    )
}

/// The first method less each other one by bit error rate, and what that shows.
fn compared(place: &Place<'_>, differences: &[&MethodDifference]) -> String {
    if differences.is_empty() {
        return String::new();
    }
    let signed = |x: f64| format!("{:+.2}", 100.0 * x);
    let mut cells = ByRate::new();
    let mut lines: BTreeMap<Kind<'_>, Vec<&MethodDifference>> = BTreeMap::new();
    for difference in differences {
        let line = (difference.setting.bits, difference.other.name());
        let span = |i: Interval| format!(" ({} to {})", signed(i.low), signed(i.high));
        let text = signed(difference.difference) + &shown(difference).map_or(String::new(), span);
        cells.add(
            line,
            (difference.setting.ber, difference.setting.ber_source),
            text,
        );
        lines.entry(line).or_default().push(difference);
    }
    let mut text = format!(
        "\n#### {FIRST} less each other method, in points, paired chip by chip, {}\n{}\n",
        place.words(),
        cells.table(["Compared with", "Width"], kind_words)
    );
    for ((bits, other), of) in &mut lines {
        of.sort_by(|a, b| a.setting.ber.total_cmp(&b.setting.ber));
        let listed = |wanted: fn(Interval) -> bool| -> String {
            let rates: Vec<String> = of
                .iter()
                .filter(|d| shown(d).is_some_and(wanted))
                .map(|d| rate(d.setting.ber))
                .collect();
            rates.join(", ")
        };
        let (better, worse) = (listed(|i| i.low > 0.0), listed(|i| i.high < 0.0));
        let open = listed(|i| i.low <= 0.0 && i.high >= 0.0);
        let mut parts = Vec::new();
        for (verdict, rates) in [
            ("better at", better),
            ("worse at", worse),
            ("not told apart at", open),
        ] {
            if !rates.is_empty() {
                parts.push(format!("{verdict} {rates}"));
            }
        }
        text += &format!(
            "- {FIRST} against {}, {}: {}.\n",
            words(other),
            width(*bits),
            parts.join("; ")
        );
    }
    let trainings = differences.iter().map(|d| d.trainings).min().unwrap_or(1);
    if trainings < 2 {
        text += "\nThese are statements on single trainings: another training of the same method may differ by more \
                 than the interval says.\n";
    }
    text
}

fn attack_text(attack: &ResultAttack) -> String {
    let rows: Vec<Vec<String>> = attack
        .summaries
        .iter()
        .map(|s| {
            let bound = if s.reached < s.restarts { "≥ " } else { "" };
            let std = s
                .flips_std
                .map_or(String::new(), |std| format!(" ± {std:.1}"));
            vec![
                words(&s.first.model),
                words(s.first.method.name()),
                width(Some(s.first.bits)),
                format!("{} of {}", s.reached, s.restarts),
                format!("{bound}{:.1}{std}", s.flips_mean),
                accuracy(s.clean_mean),
                accuracy(s.accuracy_mean),
                accuracy(s.random_mean),
            ]
        })
        .collect();
    let head = texts(&[
        "Model",
        "Method",
        "Width",
        "Reached",
        "Flips (mean ± deviation)",
        "Clean",
        "In the end",
        "After as many random flips",
    ]);
    let first = attack.summaries.first().map(|s| &s.first);
    let setting = first.map_or(String::new(), |first| {
        format!(
            "Progressive bit search (BFA) on batches of {} {} images, until the accuracy on {} test images is at \
             most {} % or {} bits are flipped. `≥`: not every attack got there, so the mean is a lower bound.",
            first.batch,
            first.attack_data.name(),
            first.images,
            number(100.0 * first.target),
            first.most_flips
        )
    });
    let figure = format!(
        "![Accuracy under bit-flip attack]({})\n\n*Accuracy under bit-flip attack.* Thin: each attack; thick: their mean as \
         far as all of them go; dashed: as many flips of random bits.",
        target(&attack.figure)
    );
    format!(
        "\n### Bit-flip attack: {}\n\n{setting}\n\n{figure}\n{}",
        code(&attack.run),
        table(&head, 4, &rows)
    ) + &reproduce(&attack.commands, &[])
}

fn reproduce(commands: &[String], notes: &[String]) -> String {
    let mut text = String::new();
    if !notes.is_empty() {
        text += "\nRemarks of the run:\n\n";
        for note in notes {
            text += &format!("- {}\n", remark(note));
        }
    }
    if !commands.is_empty() {
        text += &format!("\nComputed by:\n\n{}", fence("sh", &commands.join("\n")));
    }
    text
}
