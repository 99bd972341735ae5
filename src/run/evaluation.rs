//! Accuracy and loss of one model on a data set: clean, at a bit error rate, or at a voltage.

use super::subjects::{dataset_of_models, load_models, TestImages, TestSource};
use crate::config::Experiment;
use crate::error::{Error, Result};
use crate::fault::{faulty_words, Chip};
use crate::memory::{self, OperatingPoint};
use crate::units::{Ber, ChipId};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Which faults an evaluation sees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultSetting<'a> {
    /// None.
    Clean,
    /// Those of a chip at a bit error rate.
    Ber(Ber, ChipId),
    /// Those of a chip at a supply voltage, as written by the user.
    Voltage(&'a str, ChipId),
}

/// One evaluation. Columns as in the result tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluationRow {
    /// Version of the columns.
    pub schema: u64,
    /// Name of the model.
    pub model: String,
    /// Title of the data set.
    pub dataset: String,
    /// Images evaluated.
    pub images: u64,
    /// Share classified correctly.
    pub accuracy: f64,
    /// Mean cross-entropy in nats; null where a logit is not finite.
    pub loss: Option<f64>,
    /// Architecture.
    pub architecture: String,
    /// Quantisation method; null for float weights.
    pub method: Option<String>,
    /// Bits per weight, 32 for float weights.
    pub bits: u32,
    /// Memory model; null without faults.
    pub memory: Option<String>,
    /// Supply voltage; null where none was given.
    pub voltage: Option<f64>,
    /// Its unit.
    pub voltage_unit: Option<String>,
    /// Bit error rate; null without faults.
    pub ber: Option<f64>,
    /// Where it comes from; null where the user gave it.
    pub ber_source: Option<String>,
    /// Chip; null without faults.
    pub chip: Option<u32>,
    /// Failing cells that hold a bit of the network; null without faults.
    pub faults: Option<u64>,
}

/// Evaluates a model file. The data set is the experiment's where `dataset_given`, else the model's own.
///
/// # Errors
/// Wrong input; faults asked of float weights.
pub fn evaluate(
    experiment: &Experiment,
    model: &Path,
    dataset_given: bool,
    data_folder: &Path,
    data_file: Option<&Path>,
    faults: FaultSetting,
) -> Result<(EvaluationRow, Vec<String>)> {
    let device = experiment.device.open()?;
    let memory = memory::load(&experiment.memory)?;
    let (ber, point, chip): (Option<Ber>, Option<OperatingPoint>, Option<ChipId>) = match faults {
        FaultSetting::Clean => (None, None, None),
        FaultSetting::Ber(ber, chip) => (Some(ber), None, Some(chip)),
        FaultSetting::Voltage(text, chip) => {
            let point = match memory.voltages(text)?.as_slice() {
                [one] => memory.at(*one)?,
                many => {
                    return Err(Error::argument(
                        "--voltage",
                        "one voltage",
                        format!("{} voltages", many.len()),
                    ))
                }
            };
            (Some(point.ber), Some(point), Some(chip))
        }
    };
    let paths: Vec<PathBuf> = vec![model.to_owned()];
    let models = load_models(&paths, &device)?;
    let mut experiment = experiment.clone();
    if !dataset_given {
        experiment.dataset = dataset_of_models(&models)?;
    }
    experiment.dataset = experiment.dataset.for_input(models[0].info.input_shape);
    let set = TestSource { spec: &experiment.dataset, folder: data_folder, file: data_file }.load()?;
    let images = TestImages::new(&set, &models, &experiment, experiment.sweep.images)?;
    let (loaded, evaluator) = (&models[0], &models[0].evaluator);
    let mut count = None;
    let score = match (ber, chip) {
        (Some(ber), Some(chip)) => {
            let bits = loaded.stored_bits()?;
            let cells = evaluator.words().len() as u64 * u64::from(bits);
            let chip = Chip::new(experiment.seed, chip, memory.array)?;
            let failing = chip.failing_cells(ber, cells);
            count = Some(failing.len() as u64);
            let words = faulty_words(memory.fault_kind, &failing, evaluator.words(), bits)?;
            evaluator.faulty(&words, images.of(0))?
        }
        _ => evaluator.clean(images.of(0))?,
    };
    let scheme = evaluator.stored().iter().flatten().map(|stored| stored.scheme).next();
    let row = EvaluationRow {
        schema: crate::table::SCHEMA,
        model: loaded.name.clone(),
        dataset: images.title.clone(),
        images: score.images,
        accuracy: score.accuracy(),
        loss: Some(score.loss).filter(|loss| loss.is_finite()),
        architecture: evaluator.network().architecture().to_string(),
        method: scheme.map(|scheme| scheme.method.name().to_owned()),
        bits: scheme.map_or(32, |scheme| scheme.format.bits()),
        memory: ber.map(|_| memory.name.clone()),
        voltage: point.map(|point| point.voltage.get()),
        voltage_unit: point.map(|_| memory.unit.name().to_owned()),
        ber: ber.map(Ber::get),
        ber_source: point.map(|point| point.ber_source.name().to_owned()),
        chip: chip.map(|chip| chip.0),
        faults: count,
    };
    Ok((row, loaded.warnings.clone()))
}
