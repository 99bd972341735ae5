//! `inspect`: layers, bits and ranges of a model, figures of its weights, and how far it is from another.

use crate::args::{Format, InspectArgs};
use crate::progress::Progress;
use crate::show;
use serde_json::{json, Value};
use std::path::Path;
use wcat_explore::device::DeviceSpec;
use wcat_explore::figure;
use wcat_explore::net::{
    code_differences, known_operators, layer_summaries, layer_weights, CodeDifference, LayerShape,
    LayerSummary, LayerWeights, Model,
};
use wcat_explore::quant::{Method, Scale};
use wcat_explore::report::Grid;
use wcat_explore::run::{Monitor, HISTORY};
use wcat_explore::store;
use wcat_explore::table::SCHEMA;
use wcat_explore::train::read_history;

pub(crate) fn run(args: &InspectArgs, monitor: &Progress) -> anyhow::Result<()> {
    if args.list_operators {
        return show::text(&known_operators().join("\n"));
    }
    let device = DeviceSpec::Cpu.open()?;
    let model = Model::load_with(args.file.path(), &args.import.choices(), &device)?;
    monitor.warn_all(&model.warnings);
    let layers = layer_weights(&model.network)?;
    let differences = match &args.compare {
        None => None,
        Some(path) => {
            let other = Model::load(path, &device)?;
            if other.checksum == model.checksum {
                let (first, second) = (args.file.path().display(), path.display());
                monitor.warn(&format!(
                    "the same model twice: {first} and {second} hold the same bytes"
                ));
            }
            Some(code_differences(&layers, &layer_weights(&other.network)?)?)
        }
    };
    if let Some(folder) = &args.figures {
        draw(args, &model, &layers, folder, monitor)?;
    }
    match differences {
        Some(rows) => show_differences(&rows, args.output.format),
        None => show_layers(&model, &layers, args.output.format),
    }
}

/// Writes the figures of the weights and, where there is a history, of the ranges.
fn draw(
    args: &InspectArgs,
    model: &Model,
    layers: &[LayerWeights],
    folder: &Path,
    monitor: &Progress,
) -> anyhow::Result<()> {
    let beside = store::folder_of(args.file.path()).join(HISTORY);
    let path = args
        .history
        .clone()
        .or_else(|| beside.exists().then_some(beside));
    let history = path.map(|path| read_history(&path)).transpose()?;
    let name = name(args.file.path());
    let mut figures = vec![
        figure::weight_histogram(&name, layers),
        figure::weight_violin(&name, layers),
    ];
    if let Some(history) = history {
        let quantity = match model.info.quantizer.method {
            Method::Lsq => "Quantisation step",
            _ => "Quantisation range",
        };
        match figure::range_history(&name, quantity, &history) {
            Some(figure) => figures.push(figure),
            None => {
                monitor.warn("the history holds no range of a layer: no figure of ranges is drawn")
            }
        }
    }
    store::create_folder(folder)?;
    for figure in &figures {
        figure::write(&figure.svg, &folder.join(format!("{}.svg", figure.name)))?;
    }
    let names: Vec<&str> = figures.iter().map(|figure| figure.name).collect();
    monitor.note(&format!(
        "figures (SVG, PNG): {} in {}",
        names.join(", "),
        folder.display()
    ));
    Ok(())
}

/// A model as figures call it: its file; the folder of a training for its `best` and `last`.
fn name(path: &Path) -> String {
    let part = |part: Option<&std::ffi::OsStr>| part.map(|p| p.to_string_lossy().into_owned());
    let stem = part(path.file_stem()).unwrap_or_default();
    match part(path.parent().and_then(Path::file_name)) {
        Some(folder) if ["best", "last"].contains(&stem.as_str()) => format!("{folder}, {stem}"),
        _ => stem,
    }
}

fn show_layers(model: &Model, layers: &[LayerWeights], format: Format) -> anyhow::Result<()> {
    let layers = layer_summaries(layers);
    let shapes = model.network.layer_shapes()?;
    let multiplications = || shapes.iter().map(LayerShape::multiplications);
    if format != Format::Table {
        let given = model
            .network
            .layers()
            .iter()
            .any(|l| l.given_codes().is_some());
        let rows = layers.iter().zip(multiplications()).map(|(l, multiplications)| {
            let mut row = json!({
                "schema": SCHEMA, "layer": l.name, "shape": l.shape, "weights": l.weights, "bits": l.bits,
                "range": l.range, "step": l.step, "clipped_share": l.clipped_share,
                "bits_set_share": l.bits_set_share, "energy_share": l.energy_share,
                "multiplications": multiplications,
            });
            if given {
                let steps: Vec<f32> = l.scales.iter().map(|scale| scale.step).collect();
                let zeros: Vec<i16> = l.scales.iter().map(|scale| scale.zero).collect();
                let stored = !l.scales.is_empty();
                row["steps"] = json!(stored.then_some(steps));
                row["zeros"] = json!(stored.then_some(zeros));
            }
            row
        });
        return show::records(&Value::Array(rows.collect()), format);
    }
    show::text(&about(model))?;
    let layers: Vec<(LayerSummary, u64)> = layers.into_iter().zip(multiplications()).collect();
    let grid = Grid::of(&layers)
        .text("layer", |(l, _)| &l.name)
        .text("shape", |(l, _)| {
            let sides: Vec<String> = l.shape.iter().map(ToString::to_string).collect();
            sides.join("x")
        })
        .number("weights", |(l, _)| l.weights.to_string())
        .number("multiplications", |(_, multiplications)| {
            multiplications.to_string()
        })
        .number("bits", |(l, _)| l.bits.to_string())
        .number("range", |(l, _)| l.range.map(|range| format!("{range:.5}")))
        .number("step", |(l, _)| steps(&l.scales))
        .number("clipped %", |(l, _)| l.clipped_share.map(show::percent))
        .number("bits set %", |(l, _)| l.bits_set_share.map(show::percent))
        .number("energy %", |(l, _)| l.energy_share.map(show::percent));
    show::table(&grid.grid())
}

/// The step of a layer, or the least and the greatest of its output channels.
fn steps(scales: &[Scale]) -> Option<String> {
    let steps = || scales.iter().map(|scale| scale.step);
    let (least, most) = (steps().reduce(f32::min)?, steps().reduce(f32::max)?);
    Some(if scales.len() == 1 {
        format!("{least:.6}")
    } else {
        format!("{least:.6} to {most:.6}")
    })
}

fn show_differences(rows: &[CodeDifference], format: Format) -> anyhow::Result<()> {
    if format != Format::Table {
        let rows = rows.iter().map(|r| {
            json!({
                "schema": SCHEMA, "kind": if r.layer.is_some() { "layer" } else { "total" }, "layer": r.layer,
                "weights": r.weights, "bits": r.bits, "differing_bits": r.differing_bits,
                "differing_bits_share": r.bit_share(), "differing_codes": r.differing_codes,
                "differing_codes_share": r.code_share(), "largest_code_difference": r.largest,
                "step_ratio": r.step_ratio,
            })
        });
        return show::records(&Value::Array(rows.collect()), format);
    }
    // the first bit of thousands must not read as 0.00
    let fraction = |x: f64| format!("{:.4}", 100.0 * x);
    let grid = Grid::of(rows)
        .text("layer", |r| r.layer.as_deref().unwrap_or("all layers"))
        .number("bits", |r| r.bits.to_string())
        .number("differing bits", |r| r.differing_bits.to_string())
        .number("%", |r| fraction(r.bit_share()))
        .number("codes", |r| r.weights.to_string())
        .number("differing codes", |r| r.differing_codes.to_string())
        .number("%", |r| fraction(r.code_share()))
        .number("largest difference", |r| r.largest.to_string())
        .number("step ratio", |r| {
            r.step_ratio.map(|ratio| format!("{ratio:.4}"))
        });
    show::table(&grid.grid())
}

fn about(model: &Model) -> String {
    let info = &model.info;
    let mut lines = vec![format!(
        "{} of {} classes, input {:?}",
        info.architecture, info.classes, info.input_shape
    )];
    if !info.quantizer.bits.is_float() {
        lines.push(format!(
            "quantiser: {}, {} bits",
            info.quantizer.method, info.quantizer.bits
        ));
    }
    let layers = model.network.layers();
    let given = layers.iter().filter(|l| l.given_codes().is_some()).count();
    if given > 0 {
        lines.push(format!(
            "stored: {given} of {} layers keep the codes of the file that the model came from",
            layers.len()
        ));
    }
    if model.packed {
        lines.push("packed: the file holds codes; float weights are what these read as".into());
    }
    if let Some(stored) = &info.activations {
        let values = model.network.stored_values().unwrap_or_default();
        let words = values.iter().map(|own| own.words.end);
        lines.push(format!(
            "activations: {} tensors stored as codes of {} bits in at most {} words at a time, ranges by {}",
            stored.tensors.len(),
            stored.bits,
            words.max().unwrap_or(0),
            stored.source
        ));
    }
    let record = info.training.as_ref();
    if let Some(float) = record.and_then(|record| record.post_training.as_ref()) {
        lines.push(format!("quantised after training, from {}", float.file));
    }
    if info.training_seed.is_none() {
        let file = if model.foreign { ", assumed" } else { "" };
        lines.push(match &info.normalization {
            Some(normalization) => format!("images normalised by: {normalization}{file}"),
            None => "images normalised by: those of the data set, assumed".into(),
        });
    }
    if let Some(dataset) = &info.dataset {
        lines.push(format!("trained on: {}", dataset.title));
    }
    if let (Some(epoch), Some(accuracy)) = (info.epoch, info.validation_accuracy) {
        lines.push(format!(
            "epoch {epoch}, {} % on the validation split",
            show::percent(accuracy)
        ));
    }
    if let Some(seed) = info.training_seed {
        lines.push(format!("training seed: {seed}"));
    }
    lines.push(format!("sha256: {}\n", model.checksum));
    lines.join("\n")
}
