//! The results of several runs as one document with figures, and a card beside each of their models; from the stored
//! tables and model files alone.

use super::checked::Unchecked;
use super::models::stem;
use super::record::{check_metrics, Record};
use super::redraw::{figures_of, memory_of};
use crate::analysis::{self, names, Analysis, MethodMean, Summary};
use crate::attack::{summarize_attacks, AttackRow, AttackSummary, FlipRow};
use crate::error::{refuse, Error, Result};
use crate::figure;
use crate::memory::MemoryModel;
use crate::net::{Model, ModelInfo, TrainingRecord};
use crate::quant::MethodLabel;
use crate::report::{
    card_markdown, has_curves, results_markdown, Cell, LinkedFigure, ModelCard, ResultAttack,
    ResultGroup, ResultModel, ResultSweep, Results,
};
use crate::seed::Seed;
use crate::store;
use crate::sweep::TestSplit;
use crate::table;
use crate::train::TrainerSpec;
use crate::units::Bits;
use crate::yaml::to_yaml;
use candle_core::Device;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a document is made from, and where it goes.
#[derive(Clone, Debug)]
pub struct PublishRequest {
    /// Run folders of sweeps and attacks.
    pub runs: Vec<PathBuf>,
    /// The document; figures go to `<name>/` beside it.
    pub out: PathBuf,
    /// Its title.
    pub title: String,
    /// Markdown that goes under the title.
    pub preface: Option<PathBuf>,
    /// Whether each model file gets a card beside it.
    pub cards: bool,
    /// The command line, for the document.
    pub command: String,
}

/// What was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// The document.
    pub document: PathBuf,
    /// Figures.
    pub figures: Vec<PathBuf>,
    /// Cards, each beside its model.
    pub cards: Vec<PathBuf>,
    /// Model files that the runs name and that are not in the working folder where they were, or changed.
    pub missing: Vec<String>,
    /// What was read without a checksum; `None` where everything was checked.
    pub unchecked: Option<String>,
}

/// Largest preface that is read.
const LARGEST_PREFACE: u64 = 1 << 20;
/// Figures of a sweep that the document shows.
const SHOWN: [&str; 3] = ["overview", "pareto", "accuracy_ber"];

/// Data set, architecture, and which images accuracies are of.
type GroupKey = (String, String, TestSplit);

/// A run that was read.
struct Read {
    record: Record,
    name: String,
    content: Content,
}

enum Content {
    Sweep {
        tables: analysis::Run,
        memory: Box<MemoryModel>,
    },
    Attack {
        summaries: Vec<AttackSummary>,
        svg: String,
    },
}

/// A model file that is there and is the one of the runs.
struct Shipped {
    path: PathBuf,
    info: ModelInfo,
    checksum: String,
    stored_weights: u64,
    method: MethodLabel,
    width: String,
}

/// Writes the document, its figures and the cards of the models.
///
/// # Errors
/// [`crate::error::Error::Missing`] or [`crate::error::Error::Input`] where a run is not finished or damaged,
/// [`crate::error::Error::Argument`] without runs, [`crate::error::Error::Io`].
pub fn publish(request: &PublishRequest) -> Result<Published> {
    if request.out.is_dir() {
        return Err(Error::input(&request.out, "a document, *.md", "a folder"));
    }
    let mut unchecked = Unchecked::default();
    let runs: Vec<Read> = request
        .runs
        .iter()
        .map(|run| read(run, &mut unchecked))
        .collect::<Result<_>>()?;
    let Some(first) = runs.first() else {
        return refuse("runs", "at least one folder in `results`", "none");
    };
    check_metrics(runs.iter().map(|run| &run.record))?;
    let text =
        |path: &PathBuf| store::read_text(path, "the preface of a document", LARGEST_PREFACE);
    let preface = request.preface.as_ref().map(text).transpose()?;
    let folder = request
        .out
        .parent()
        .map_or_else(PathBuf::new, Path::to_owned);
    let mut document = Document {
        folder: folder.clone(),
        stem: stem(&request.out),
        figures: Vec::new(),
    };
    let (mut cards, mut missing) = (Vec::new(), Vec::new());
    let mut results = Results {
        title: request.title.clone(),
        preface: preface.unwrap_or_default(),
        version: first.record.version.clone(),
        command: request.command.clone(),
        groups: Vec::new(),
    };
    let mut groups: Vec<(GroupKey, Vec<&Read>)> = Vec::new();
    for run in &runs {
        let key = run.key();
        match groups.iter_mut().find(|(known, _)| *known == key) {
            Some((_, of)) => of.push(run),
            None => groups.push((key, vec![run])),
        }
    }
    for ((dataset, architecture, split), of) in groups {
        let shipped = shipped(&of, &mut missing)?;
        let mut group = ResultGroup {
            dataset,
            architecture,
            split,
            models: models(&of, &shipped, &folder, request.cards),
            sweeps: Vec::new(),
            attacks: Vec::new(),
        };
        for run in &of {
            match &run.content {
                Content::Sweep { tables, memory } => {
                    let (chance, seed) = (run.record.chance, Seed(run.record.seed));
                    let analysis = Analysis::of(&tables.summaries, &tables.trials, chance, seed)?;
                    let summaries = tables.summaries.clone();
                    let mut figures = Vec::new();
                    if split == TestSplit::Test && has_curves(&summaries) {
                        let drawn = figures_of(tables, memory, &analysis.pareto)?;
                        figures = document.figures(run, drawn)?;
                    }
                    group.sweeps.push(ResultSweep {
                        run: run.name.clone(),
                        memory: memory.title.clone(),
                        images: (summaries[0].images, summaries[0].test_images),
                        summaries,
                        means: analysis.means,
                        differences: analysis.differences,
                        answers: analysis.answers,
                        commands: run.record.commands.clone(),
                        notes: run.record.notes.clone(),
                        figures,
                    });
                }
                Content::Attack { summaries, svg } => {
                    let figure = document.linked(run, "attack", svg)?;
                    group.attacks.push(ResultAttack {
                        run: run.name.clone(),
                        summaries: summaries.clone(),
                        commands: run.record.commands.clone(),
                        figure,
                    });
                }
            }
        }
        for (name, model) in shipped.iter().filter(|_| request.cards) {
            let path = model.path.with_extension("md");
            store::write_bytes(&path, card_markdown(&card(name, model, &of)?).as_bytes())?;
            cards.push(path);
        }
        results.groups.push(group);
    }
    store::write_bytes(&request.out, results_markdown(&results).as_bytes())?;
    Ok(Published {
        document: request.out.clone(),
        figures: document.figures,
        cards,
        missing,
        unchecked: unchecked.note(),
    })
}

fn read(folder: &Path, unchecked: &mut Unchecked) -> Result<Read> {
    let record = Record::with_tables(folder)?;
    unchecked.check(folder)?;
    let attacks = folder.join(names::ATTACKS);
    let content = if attacks.exists() {
        let rows = table::read::<AttackRow>(&attacks)?;
        let svg = figure::attack(&rows, &table::read::<FlipRow>(&folder.join(names::FLIPS))?);
        Content::Attack {
            summaries: summarize_attacks(&rows),
            svg,
        }
    } else {
        Content::Sweep {
            tables: analysis::read_run(folder)?,
            memory: Box::new(memory_of(folder)?),
        }
    };
    Ok(Read {
        record,
        name: analysis::run_name(folder),
        content,
    })
}

impl Read {
    /// Data set and architecture of its first model, and which images its accuracies are of.
    fn key(&self) -> GroupKey {
        match &self.content {
            Content::Sweep { tables, .. } => {
                let design = &tables.summaries[0].design;
                (
                    design.dataset.clone(),
                    design.architecture.clone(),
                    self.record.configuration.sweep.split,
                )
            }
            Content::Attack { summaries, .. } => {
                let first = summaries.first().map(|summary| &summary.first);
                let (dataset, architecture) = first.map_or_else(Default::default, |first| {
                    (first.dataset.clone(), first.architecture.clone())
                });
                (dataset, architecture, TestSplit::Test)
            }
        }
    }

    fn summaries(&self) -> &[Summary] {
        match &self.content {
            Content::Sweep { tables, .. } => &tables.summaries,
            Content::Attack { .. } => &[],
        }
    }
}

/// The models of the runs whose files are there, by name.
fn shipped(runs: &[&Read], all_missing: &mut Vec<String>) -> Result<BTreeMap<String, Shipped>> {
    let mut found = BTreeMap::new();
    for input in runs.iter().flat_map(|run| &run.record.models) {
        let path = PathBuf::from(&input.from);
        if found.contains_key(&input.name) {
            continue;
        }
        // a model outside the working folder, such as one of the cache, is not part of what is published
        if path.is_absolute() || !path.exists() || store::sha256_of_file(&path)? != input.sha256 {
            let missing = format!("{} ({})", input.name, input.from);
            if !all_missing.contains(&missing) {
                all_missing.push(missing);
            }
            continue;
        }
        let model = Model::load(&path, &Device::Cpu)?;
        let stored: Vec<_> = model.network.stored()?.into_iter().flatten().collect();
        let width = match model.network.width() {
            Some(bits) => format!("{bits}-bit"),
            None => "mixed-width".into(),
        };
        let shipped = Shipped {
            path,
            checksum: model.checksum.clone(),
            stored_weights: stored.iter().map(|layer| layer.words.len() as u64).sum(),
            method: model.network.method_label(),
            info: model.info,
            width,
        };
        found.insert(input.name.clone(), shipped);
    }
    Ok(found)
}

/// How a model was trained: `30 epochs from fresh weights, batch 256, sgd at 0.1`; `None` where its file does not say it.
fn training_words(info: &ModelInfo) -> Option<Cell> {
    let record = info.training.as_ref()?;
    let trainer: TrainerSpec = serde_json::from_value(record.trainer.clone()?).ok()?;
    let (optimizer, quantizer) = (&trainer.optimizer, record.quantizer.as_ref()?);
    let mut parts: Vec<Cell> = vec![format!("{} epochs from ", trainer.epochs).into()];
    match &record.network.as_ref()?.weights {
        Some(weights) => {
            let first = weights.chars().take(19).collect();
            parts.extend(["the weights ".into(), Cell::Code(first)]);
        }
        None => parts.push("fresh weights".into()),
    }
    let mut words = format!(
        ", batch {}, {} at {:?}",
        trainer.batch, optimizer.name, optimizer.learning_rate
    );
    // the decay of a range says nothing where there is none
    let learns = info.quantizer.method.learns_range();
    let options = [
        ("range decay", learns.then_some(optimizer.range_decay)),
        ("wclip", quantizer.wclip),
        ("plclip", quantizer.plclip),
        ("bit error rate", Some(quantizer.train_bit_error_rate.get())),
    ];
    for (name, value) in options {
        if let Some(value) = value.filter(|value| *value > 0.0) {
            words += &format!(", {name} {value:?}");
        }
    }
    words += &format!(", {} convolutions", record.arithmetic());
    parts.push(words.into());
    Some(Cell::Joined(parts))
}

fn models(
    runs: &[&Read],
    shipped: &BTreeMap<String, Shipped>,
    folder: &Path,
    cards: bool,
) -> Vec<ResultModel> {
    let mut models: BTreeMap<(Option<Bits>, MethodLabel, Option<u64>, String), ResultModel> =
        BTreeMap::new();
    for summary in runs.iter().flat_map(|run| run.summaries()) {
        let design = &summary.design;
        let file = shipped.get(&design.model);
        let card = file
            .map(|file| file.path.with_extension("md"))
            .filter(|path| cards || path.exists());
        let card = card.map(|path| {
            // paths of models start in the working folder, links in that of the document
            let up: PathBuf = folder.components().map(|_| "..").collect();
            up.join(path).display().to_string()
        });
        let key = (
            design.bits,
            design.method,
            design.training_seed,
            design.model.clone(),
        );
        models.entry(key).or_insert_with(|| ResultModel {
            name: design.model.clone(),
            method: design.method,
            bits: design.bits,
            training_seed: design.training_seed,
            training: file.and_then(|file| training_words(&file.info)),
            validation: file.and_then(|file| file.info.validation_accuracy),
            clean: design.clean_accuracy.get(),
            card,
        });
    }
    models.into_values().collect()
}

/// Where the figures of a document go.
struct Document {
    /// That of the document.
    folder: PathBuf,
    /// Its folder of figures.
    stem: String,
    /// Those that are written.
    figures: Vec<PathBuf>,
}

impl Document {
    /// Writes the figures of a sweep that are shown.
    fn figures(&mut self, run: &Read, drawn: Vec<figure::Figure>) -> Result<Vec<LinkedFigure>> {
        let mut shown = Vec::new();
        for figure in drawn {
            if SHOWN.contains(&figure.name) {
                shown.push(LinkedFigure {
                    path: self.linked(run, figure.name, &figure.svg)?,
                    title: figure.title,
                    caption: figure.caption,
                });
            }
        }
        Ok(shown)
    }

    /// Writes a figure of a run; its path from the document.
    fn linked(&mut self, run: &Read, name: &str, svg: &str) -> Result<String> {
        let path = Path::new(&self.stem).join(format!("{}-{name}.svg", run.name));
        let place = self.folder.join(&path);
        store::create_folder(&self.folder.join(&self.stem))?;
        figure::write(svg, &place)?;
        self.figures.push(place);
        Ok(path.display().to_string())
    }
}

fn card(name: &str, model: &Shipped, runs: &[&Read]) -> Result<ModelCard> {
    let mut measured = Vec::new();
    let mut clean = None;
    for run in runs {
        let Content::Sweep { tables, .. } = &run.content else {
            continue;
        };
        let own: Vec<Summary> = tables
            .summaries
            .iter()
            .filter(|summary| summary.design.model == name)
            .cloned()
            .collect();
        let Some(first) = own.first() else { continue };
        let kind = run.record.configuration.sweep.split.images();
        let images = if first.image_sample().is_whole() {
            format!("all {} {kind}", first.images)
        } else {
            format!("{} of {} {kind}", first.images, first.test_images)
        };
        clean.get_or_insert((images, first.design.clean_accuracy.get()));
        let means: Vec<MethodMean> = analysis::method_means(&own, &tables.trials)?;
        measured.push((run.name.clone(), means));
    }
    let info = &model.info;
    let record = info.training.as_ref();
    let configuration = record.map(TrainingRecord::to_json).transpose()?;
    Ok(ModelCard {
        name: name.to_owned(),
        file: store::file_name(&model.path),
        bytes: std::fs::metadata(&model.path).map_or(0, |meta| meta.len()),
        checksum: model.checksum.clone(),
        architecture: info.architecture.to_string(),
        method: model.method.to_string(),
        width: model.width.clone(),
        stored_weights: model.stored_weights,
        data: info
            .dataset
            .as_ref()
            .map(|data| (data.title.clone(), data.checksum.clone())),
        input_shape: info.input_shape,
        training: (info.training_seed, info.epoch, info.validation_accuracy),
        summary: training_words(info),
        configuration: configuration.as_ref().map(to_yaml).transpose()?,
        clean,
        measured,
    })
}
