//! Accuracy and loss of one model on a data set: clean, at a bit error rate, or at a voltage.

use super::models::{dataset_for, load_models, Loaded, TestImages, TestSource};
use super::normalization::normalize;
use crate::config::Experiment;
use crate::error::{Error, Result};
use crate::fault::{ArrayLabel, ChipReads, FaultLabel, Layout, Stored, Zone};
use crate::memory::{self, Faults, MemoryModel, OperatingPoint};
use crate::quant::MethodLabel;
use crate::store::{self, ByteArray};
use crate::sweep::protected;
use crate::units::{Ber, BerSource, ChipId, Metric, VoltageUnit};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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
    /// What `accuracy` is the share of.
    pub metric: Metric,
    /// Images evaluated.
    pub images: u64,
    /// Fraction of images with a right answer, by the metric.
    pub accuracy: f64,
    /// Mean cross-entropy in nats; null where a logit is not finite, or where classes are not the data's.
    pub loss: Option<f64>,
    /// Images of which a logit is not finite; they count as wrong.
    pub not_finite: u64,
    /// How images are normalised, a name or MEAN/STD; left out for the models of our trainings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<String>,
    /// Architecture.
    pub architecture: String,
    /// Quantisation method; null for float weights.
    pub method: Option<MethodLabel>,
    /// Bits per weight, 32 for float weights.
    pub bits: u32,
    /// Memory model; null without faults.
    pub memory: Option<String>,
    /// Supply voltage; null where none was given.
    pub voltage: Option<f64>,
    /// Its unit.
    pub voltage_unit: Option<VoltageUnit>,
    /// Bit error rate; null without faults.
    pub ber: Option<f64>,
    /// Where it comes from; null where the user gave it.
    pub ber_source: Option<BerSource>,
    /// Chip; null without faults.
    pub chip: Option<u32>,
    /// Failing cells that hold a bit of the network, those of all accesses where some are transient; null without
    /// faults.
    pub faults: Option<u64>,
    /// What failing cells do and which array they lie in; left out unless fault options say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault_kind: Option<FaultLabel>,
    /// See `fault_kind`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub array: Option<ArrayLabel>,
}

/// Evaluates a model file. The data set is the experiment's where `dataset_given`, else the
/// model's own; it is looked for in `data_folder`, or in the cache folder. `masks` is a
/// folder for the fault masks of the chip.
///
/// # Errors
/// Wrong input, also a network whose logits are not finite without faults; faults asked of float weights, fault options
/// or masks without faults; [`Error::Io`].
pub fn evaluate(
    experiment: &Experiment,
    model: &Path,
    dataset_given: bool,
    data_folder: Option<&Path>,
    data_file: Option<&Path>,
    faults: FaultSetting,
    masks: Option<&Path>,
) -> Result<(EvaluationRow, Vec<String>)> {
    let device = experiment.device.open()?;
    let memory = experiment.memory_model()?;
    let options = Faults::new(&experiment.faults, &memory)?;
    let unused = matches!(faults, FaultSetting::Clean) && !experiment.sweep.protection.is_empty();
    if unused {
        let expected =
            "`--ber` or `--voltage` beside it: without, no bit fails and it has no effect";
        return Err(Error::argument("sweep.protection", expected, "neither"));
    }
    let place = place(faults, &options, &memory, masks)?;
    let paths: Vec<PathBuf> = vec![model.to_owned()];
    let mut models = load_models(&paths, &device)?;
    let mut experiment = experiment.clone();
    let normalization = experiment.dataset.normalization.clone();
    experiment.dataset = dataset_for(&models, &experiment.dataset, dataset_given)?;
    let stored = place
        .as_ref()
        .map(|place| place.stored(&experiment, &models[0], &options, &memory))
        .transpose()?;
    let set = TestSource {
        spec: &experiment.dataset,
        folder: data_folder,
        file: data_file,
        held_out: None,
    }
    .load()?;
    let name = experiment.dataset.name;
    normalize(&mut models, name, &set, normalization.as_ref())?;
    let (loaded, evaluator) = (&models[0], &models[0].evaluator);
    let images = TestImages::new(&set, &models, &experiment, experiment.sweep.images)?;
    let (mut count, mut array) = (None, None);
    let score = match (&place, &stored) {
        (Some(place), Some((layout, zones))) => {
            let way = one_way(&options, place)?;
            array = Some(way.array);
            let stored = Stored {
                words: evaluator.words(),
                layout,
            };
            let reads = way.model.chip(experiment.seed, place.chip, zones, stored)?;
            if let Some(folder) = masks {
                write_masks(folder, loaded, &reads)?;
            }
            let failing = AtomicU64::new(0);
            let access = |access| {
                let read = reads.access(access)?;
                failing.fetch_add(read.failing_cells, Ordering::Relaxed);
                Ok(read.words)
            };
            let score = if way.model.is_transient() {
                evaluator.faulty_by_access(images.of(0), &access)?
            } else {
                evaluator.faulty(&access(0)?, images.of(0))?
            };
            count = Some(failing.into_inner());
            score
        }
        _ => evaluator.clean(images.of(0))?,
    };
    let mut warnings = loaded.warnings.clone();
    warnings.extend_from_slice(options.map_remarks());
    warnings.extend_from_slice(&images.remarks);
    if score.not_finite > 0 {
        // it is the faults' doing only where the network itself gives numbers
        let clean = match &place {
            Some(_) => evaluator.clean(images.of(0))?,
            None => score,
        };
        loaded.check_finite(clean.not_finite, clean.images)?;
        warnings.push(format!(
            "faults made logits that are not finite numbers for {} of {} images: they count as wrong",
            score.not_finite, score.images
        ));
    }
    let format = evaluator
        .stored()
        .iter()
        .flatten()
        .map(|stored| stored.format)
        .next();
    let point = place.as_ref().and_then(|place| place.point);
    let changed = options.changes().is_some();
    let row = EvaluationRow {
        schema: crate::table::SCHEMA,
        model: loaded.name.clone(),
        dataset: images.title.clone(),
        metric: images.metric,
        images: score.images,
        accuracy: score.accuracy(),
        loss: Some(score.loss).filter(|loss| loss.is_finite() && images.metric.needs_labels()),
        not_finite: score.not_finite,
        normalization: loaded.said(),
        architecture: evaluator.network().architecture().to_string(),
        method: format.map(|_| evaluator.network().method_label()),
        bits: format.map_or(32, |format| format.bits()),
        memory: place.as_ref().map(|_| memory.name.clone()),
        voltage: point.map(|point| point.voltage.get()),
        voltage_unit: point.map(|_| memory.unit),
        ber: place.as_ref().map(|place| place.ber.get()),
        ber_source: point.map(|point| point.ber_source),
        chip: place.as_ref().map(|place| place.chip.0),
        faults: count,
        fault_kind: changed.then(|| options.label()),
        array: array.filter(|_| changed),
    };
    Ok((row, warnings))
}

/// Where faults are looked at: a chip at a rate, with the operating point where a voltage was given.
struct Place {
    ber: Ber,
    point: Option<OperatingPoint>,
    chip: ChipId,
}

impl Place {
    /// Where the bits of a model lie, and which of them can fail at the rate.
    fn stored(
        &self,
        experiment: &Experiment,
        loaded: &Loaded,
        options: &Faults,
        memory: &MemoryModel,
    ) -> Result<(Layout, [Zone; 1])> {
        let exposure = loaded.exposure(options)?;
        let protection = match experiment.sweep.protections()?.as_slice() {
            [one] => *one,
            several => {
                let found = several.len().to_string();
                return Err(Error::argument(
                    "sweep.protection",
                    "one protection in an evaluation",
                    found,
                ));
            }
        };
        let (layout, exposure) = protected(
            &loaded.evaluator,
            &loaded.name,
            protection,
            memory,
            options,
            exposure,
        )?;
        Ok((
            layout,
            [Zone {
                ber: self.ber,
                exposure,
            }],
        ))
    }
}

/// The place, `None` without faults; then neither fault options nor masks mean anything.
fn place(
    faults: FaultSetting,
    options: &Faults,
    memory: &MemoryModel,
    masks: Option<&Path>,
) -> Result<Option<Place>> {
    match faults {
        FaultSetting::Clean if masks.is_some() || options.changes().is_some() => {
            let expected = "`--ber` or `--voltage`: without, no bit fails and they have no effect";
            Err(Error::argument(
                "fault options and masks",
                expected,
                "neither",
            ))
        }
        FaultSetting::Clean => Ok(None),
        FaultSetting::Ber(ber, chip) => Ok(Some(Place {
            ber,
            point: None,
            chip,
        })),
        FaultSetting::Voltage(text, chip) => match memory.voltages(text)?.as_slice() {
            [one] => {
                let point = options.at(memory, *one)?;
                Ok(Some(Place {
                    ber: point.ber,
                    point: Some(point),
                    chip,
                }))
            }
            many => Err(Error::argument(
                "--voltage",
                "one voltage",
                format!("{} voltages", many.len()),
            )),
        },
    }
}

/// The one array of an evaluation.
fn one_way(options: &Faults, place: &Place) -> Result<memory::ArrayVariant> {
    let mut ways = options.ways(place.ber, place.point.map(|point| point.voltage))?;
    match (ways.pop(), ways.len()) {
        (Some(way), 0) => Ok(way),
        (_, more) => Err(Error::argument(
            "faults.arrays",
            "one array",
            (more + 1).to_string(),
        )),
    }
}

/// Writes one NumPy file for each stored layer, `<layer>.npy`: `u1` of the shape of its weight, the bits that read
/// other than stored, so that the word read is the stored word XOR the mask. Where faults are transient, of access 0.
fn write_masks(folder: &Path, loaded: &Loaded, reads: &ChipReads) -> Result<()> {
    let evaluator = &loaded.evaluator;
    let mut masks = vec![0; evaluator.words().len()];
    for (index, word) in reads.access(0)?.words {
        masks[index] = evaluator.words()[index] ^ word;
    }
    let shapes = evaluator
        .stored()
        .iter()
        .flatten()
        .map(|stored| stored.shape.clone());
    let mut rest = masks.as_slice();
    for ((name, words), shape) in evaluator.memory_layers().into_iter().zip(shapes) {
        let (own, others) = rest.split_at(words as usize);
        rest = others;
        let array = ByteArray {
            shape,
            values: own.to_vec(),
        };
        store::write_npy(&folder.join(format!("{name}.npy")), &array)?;
    }
    Ok(())
}
