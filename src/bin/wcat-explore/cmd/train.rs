//! `train`: one model, or several methods and widths beside each other; resumed where they stopped.

use crate::args::{Format, Settings, TrainArgs};
use crate::progress::Progress;
use crate::show;
use std::path::PathBuf;
use wcat_explore::config::{method_preset, Experiment, Layer, Training};
use wcat_explore::data::DatasetName;
use wcat_explore::device::DeviceSpec;
use wcat_explore::error::{refuse, Error, Result};
use wcat_explore::report::Grid;
use wcat_explore::run::{Monitor, TrainingRow, Workshop};
use wcat_explore::units::count_of;

pub(crate) fn run(args: &TrainArgs, monitor: &Progress) -> anyhow::Result<()> {
    let (mut trainings, device) = trainings(args)?;
    let device = device.open()?;
    if let Some(shard) = args.shards.shard()? {
        let all = trainings.into_iter().enumerate();
        let count = all.len();
        trainings = all
            .filter(|(k, _)| shard.owns(*k))
            .map(|(_, training)| training)
            .collect();
        if trainings.is_empty() {
            let all = count_of(count, "training");
            monitor.note(&format!(
                "shard {shard} has nothing to do: the command is of {all}"
            ));
            return Ok(());
        }
    }
    let workshop = Workshop {
        parent: args.out.clone(),
        data_folder: args.data_dir.clone(),
        device: &device,
        monitor,
    };
    let results: Vec<_> = if args.shards.merge {
        let finished = workshop.all_finished(&trainings)?;
        finished.into_iter().map(Ok).collect()
    } else {
        workshop.train_all(&trainings, args.fresh)?
    };
    let (mut rows, mut failures, mut computed) = (Vec::new(), Vec::new(), 0);
    let mut paths = Vec::new();
    for (training, result) in trainings.iter().zip(results) {
        match result {
            Ok(model) => {
                computed += usize::from(model.computed_epochs > 0);
                rows.extend(TrainingRow::of(training, &model));
                paths.push(model.best);
            }
            Err(error) => failures.push((training.name.as_str(), error)),
        }
    }
    let several = !args.sweep_methods.is_empty() || !args.bits.is_empty();
    match (args.output.format, several) {
        _ if rows.is_empty() => {}
        (Format::Table, false) => say_path(&rows, &paths, monitor)?,
        (Format::Table, true) => show::table(&table(&rows))?,
        (other, _) => show::records(&serde_json::to_value(&rows)?, other)?,
    }
    if several {
        monitor.note(&format!(
            "{computed} trained, {} were finished before",
            rows.len() - computed
        ));
    }
    let one_of_many = failures.len() > 1 || !rows.is_empty();
    if failures
        .iter()
        .any(|(_, error)| matches!(error, Error::Interrupted))
    {
        return Err(Error::Interrupted.into());
    }
    match failures.into_iter().next() {
        None => Ok(()),
        Some((name, error)) if one_of_many => {
            Err(anyhow::Error::new(error).context(format!("model `{name}`")))
        }
        Some((_, error)) => Err(error.into()),
    }
}

/// What is to be trained, and where: the configured quantiser, or each method at each width.
pub(super) fn trainings(args: &TrainArgs) -> Result<(Vec<Training>, DeviceSpec)> {
    let (mut presets, mut flags) = (Vec::new(), Vec::new());
    if let Some(path) = &args.data {
        let settings = &args.settings;
        presets = settings.dataset_presets("--data", DatasetName::File)?;
        flags.extend(presets.last().cloned());
        flags.push(Layer::flag(
            "--data",
            "dataset.file.training",
            path.as_str(),
        ));
    }
    if let Some(path) = &args.weights {
        let flag = |key, value: &str| Layer::flag("--weights", key, value);
        presets.push(flag("network.architecture", "imported"));
        flags.push(flag("network.weights", path));
    }
    if args.requantize {
        flags.push(Layer::flag("--requantize", "network.requantize", true));
    }
    if args.sweep_methods.is_empty() && args.bits.is_empty() {
        let (experiment, _) = args.settings.experiment_over(None, &presets, &flags)?;
        return Ok((vec![experiment.training()?], experiment.device));
    }
    let (mut all, mut device) = (Vec::new(), DeviceSpec::Cpu);
    for bits in each_or_none(&args.bits) {
        let bits = bits.copied();
        for method in each_or_none(&args.sweep_methods) {
            let method = method.map(String::as_str);
            let experiment = experiment(&args.settings, method, bits, &presets, &flags)?;
            all.push(experiment.training()?);
            device = experiment.device;
            if bits == Some(32) {
                break; // float weights know no method
            }
        }
    }
    Ok((all, device))
}

/// Each of a list, or that there is none.
fn each_or_none<T>(list: &[T]) -> Vec<Option<&T>> {
    if list.is_empty() {
        return vec![None];
    }
    list.iter().map(Some).collect()
}

/// One method at one width: the method's preset over the files and under `--set`. `presets` and `flags` are of the data.
fn experiment(
    settings: &Settings,
    method: Option<&str>,
    bits: Option<u64>,
    presets: &[Layer],
    flags: &[Layer],
) -> Result<Experiment> {
    let float = bits == Some(32);
    let method = if float { Some("normal") } else { method };
    let mut presets = presets.to_vec();
    presets.extend(method.map(method_preset).transpose()?);
    let mut flags = flags.to_vec();
    flags.extend(bits.map(|bits| Layer::flag("--bits", "quantizer.bits", bits)));
    let (experiment, _) = settings.experiment_over(None, &presets, &flags)?;
    let quantizer = &experiment.quantizer;
    if quantizer.bits.is_float() && !float {
        return refuse(
            "--bits",
            "widths of the stored weights, such as 4,8",
            "nothing",
        );
    }
    let expected = method
        .filter(|_| !float)
        .map(|method| format!("{method}-{}bit", quantizer.bits));
    match expected.filter(|label| *label != quantizer.label()) {
        Some(label) => refuse(
            "--sweep-methods",
            format!("settings that leave `{label}` as it is"),
            format!("a --set that makes it `{}`", quantizer.label()),
        ),
        None => Ok(experiment),
    }
}

/// The path of one model.
fn say_path(rows: &[TrainingRow], paths: &[PathBuf], monitor: &Progress) -> anyhow::Result<()> {
    for (row, path) in rows.iter().zip(paths) {
        if let Some(accuracy) = row.validation_accuracy {
            monitor.note(&format!(
                "{}: best of {} epochs is {} with {:.2} % on the validation split",
                row.model,
                row.epochs,
                row.best_epoch,
                100.0 * accuracy
            ));
        }
        show::path(path)?;
    }
    Ok(())
}

fn table(rows: &[TrainingRow]) -> Grid {
    Grid::of(rows)
        .text("model", |r| &r.model)
        .text("method", |r| r.method)
        .number("bits", |r| r.bits.to_string())
        .number("epochs", |r| r.epochs.to_string())
        .number("best epoch", |r| r.best_epoch.to_string())
        .number("validation accuracy %", |r| {
            r.validation_accuracy.map(show::percent)
        })
        .text("path", |r| &r.path)
        .grid()
}
