//! The card of a model as Markdown: what it is, how it was made, what it was measured to do, what it is not for.

use super::grid::{Cell, Grid};
use super::markdown;
use super::words::{accuracy, four_decimals, span};
use crate::analysis::MethodMean;
use crate::figure::rate;
use askama::Template;

/// What a card says.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Name in the tables.
    pub name: String,
    /// File name of the model, beside the card.
    pub file: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file.
    pub checksum: String,
    /// Architecture.
    pub architecture: String,
    /// Method.
    pub method: String,
    /// Bits per stored weight, in words.
    pub width: String,
    /// Weights that are stored as codes.
    pub stored_weights: u64,
    /// Title and checksum of the training data, where known.
    pub data: Option<(String, String)>,
    /// Channels, height, width of the input.
    pub input_shape: [usize; 3],
    /// Seed, epoch of the weights and accuracy on the validation split, where known.
    pub training: (Option<u64>, Option<usize>, Option<f64>),
    /// How it was trained.
    pub summary: Option<Cell>,
    /// The resolved configuration of the training as YAML, where known.
    pub configuration: Option<String>,
    /// Accuracy without faults, where measured.
    pub clean: Option<(String, f64)>,
    /// Rows of the sweeps that the model was in: run, then means.
    pub measured: Vec<(String, Vec<MethodMean>)>,
}

/// The card as its template reads it.
#[derive(Template)]
#[template(path = "card.md")]
struct Card<'a> {
    card: &'a ModelCard,
    inspect: String,
    facts: Grid,
}

/// The card as Markdown. Same input, same text.
pub fn card_markdown(card: &ModelCard) -> String {
    let card = Card {
        inspect: markdown::code(&format!("wcat-explore inspect --model {}", card.file)),
        facts: facts(card),
        card,
    };
    card.to_string() + "\n"
}

/// What is known of the file, its training and its accuracy.
fn facts(card: &ModelCard) -> Grid {
    let (seed, epoch, validation) = card.training;
    let [channels, height, columns] = card.input_shape;
    let mut how: Vec<Cell> = card.summary.iter().cloned().collect();
    how.extend(seed.map(|seed| format!("seed {seed}").into()));
    how.extend(
        epoch.map(|epoch| {
            format!("weights of epoch {epoch}, the best on the validation split").into()
        }),
    );
    let file = Cell::Joined(vec![
        Cell::Code(card.file.clone()),
        format!(", {} bytes, SHA-256 ", card.bytes).into(),
        Cell::Code(card.checksum.clone()),
    ]);
    let mut facts: Vec<(String, Cell)> = vec![
        ("file".into(), file),
        ("stored weights".into(), card.stored_weights.into()),
        (
            "input".into(),
            format!("{channels} x {height} x {columns}").into(),
        ),
    ];
    facts.extend(card.data.as_ref().map(|(title, checksum)| {
        let images = format!("{title}, SHA-256 of the training images ");
        let parts = vec![images.into(), Cell::Code(checksum.clone())];
        ("trained on".into(), Cell::Joined(parts))
    }));
    if !how.is_empty() {
        facts.push(("training".into(), Cell::listed(how, "; ")));
    }
    let percent = |accuracy_: f64| Cell::from(format!("{} %", accuracy(accuracy_)));
    facts.extend(validation.map(|own| ("accuracy, validation split".into(), percent(own))));
    facts.extend(
        card.clean
            .as_ref()
            .map(|(images, clean)| (format!("accuracy, {images}, no faults"), percent(*clean))),
    );
    Grid::of(&facts)
        .text("", |(name, _)| name)
        .text("", |(_, fact)| fact.clone())
        .grid()
}

/// The means of the model in one sweep.
fn measured(means: &[MethodMean]) -> Grid {
    Grid::of(means)
        .text("Array", |mean| &mean.setting.array)
        .number("Bit error rate", |mean| rate(mean.setting.ber))
        .number("Energy", |mean| four_decimals(mean.energy_relative))
        .number("Accuracy (%)", |mean| accuracy(mean.mean))
        .number("95 %", |mean| mean.student.map(|i| span(i.low, i.high)))
        .grid()
}

/// Most chips of a sweep.
fn chips(means: &[MethodMean]) -> u64 {
    means.iter().map(|mean| mean.chips).max().unwrap_or(0)
}
