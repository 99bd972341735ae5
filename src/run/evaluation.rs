//! Accuracy and loss of one model on a data set: clean, at a bit error rate, or at a voltage.

use super::models::{dataset_for, load_models, Loaded, TestImages, TestSource};
use super::normalization::normalize;
use crate::config::Experiment;
use crate::engine::{Reads, WeightReads};
use crate::error::{refuse, Result};
use crate::fault::{
    ActivationReads, ArrayLabel, ChipReads, FaultLabel, FaultSpec, Layout, Protection, Stored, Zone,
};
use crate::memory::{self, Faults, MemoryModel, OperatingPoint};
use crate::quant::MethodLabel;
use crate::store::{self, ByteArray};
use crate::sweep::{protected, ActivationSide, SuppliedRows};
use crate::units::{Ber, BerSource, ChipId, Metric, Voltage, VoltageUnit};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Which faults an evaluation sees, of one chip.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FaultSetting<'a> {
    /// The chip.
    pub chip: ChipId,
    /// Those of stored weights.
    pub weights: WeightFaults<'a>,
    /// Bit error rate of stored activations.
    pub activations: Option<Ber>,
}

/// Which faults of stored weights an evaluation sees.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum WeightFaults<'a> {
    /// None.
    #[default]
    None,
    /// Those at a bit error rate.
    Ber(Ber),
    /// Those at a supply voltage, as written by the user.
    Voltage(&'a str),
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
    /// Bit error rate of stored activations; left out without faults there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_ber: Option<f64>,
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
/// or masks without faults; [`crate::error::Error::Io`].
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
    let clean = faults.weights == WeightFaults::None;
    if clean && !experiment.sweep.protection.is_empty() {
        let expected =
            "`--ber` or `--voltage` beside it: without, no bit of a weight fails and it has no effect";
        return refuse("sweep.protection", expected, "neither");
    }
    check_options(&experiment.faults, faults)?;
    let place = place(faults, &options, &memory, masks)?;
    let paths: Vec<PathBuf> = vec![model.to_owned()];
    let mut models = load_models(&paths, &device)?;
    // before a data set is asked for: without codes there is nothing to judge on it
    let stored = place
        .as_ref()
        .map(|place| place.stored(experiment, &models[0], &options, &memory))
        .transpose()?;
    let mut experiment = experiment.clone();
    let normalization = experiment.dataset.normalization.clone();
    experiment.dataset = dataset_for(&models, &experiment.dataset, dataset_given)?;
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
    let activations = match faults.activations {
        Some(ber) => {
            let side = ActivationSide {
                memory: memory.clone(),
                faults: options.clone(),
                words: None,
                protection: Protection::None,
                energy_ratio: None,
                rows: SuppliedRows::Alone,
            };
            Some((side.of(evaluator, &loaded.name)?, ber))
        }
        None => None,
    };
    let of_activations = match &activations {
        Some((memory, ber)) => {
            let way = one_way(&options, *ber, None)?;
            array = Some(way.array);
            Some(memory.on(experiment.seed, faults.chip, &way.model, *ber)?)
        }
        None => None,
    };
    let faulty = of_activations.as_ref().map(ActivationReads::faults);
    let score_of = |weights: WeightReads| {
        let reads = Reads {
            weights,
            activations: faulty.as_deref(),
        };
        evaluator.score(reads, images.of(0))
    };
    let score = match (&place, &stored) {
        (Some(place), Some((layout, zones))) => {
            let voltage = place.point.map(|point| point.voltage);
            let way = one_way(&options, place.ber, voltage)?;
            array = Some(way.array);
            let stored = Stored {
                words: evaluator.words(),
                layout,
            };
            let reads = way
                .model
                .chip(experiment.seed, faults.chip, zones, stored)?;
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
                score_of(WeightReads::ByAccess(&access))?
            } else {
                score_of(WeightReads::Always(&access(0)?))?
            };
            count = Some(failing.into_inner());
            score
        }
        _ => score_of(WeightReads::Always(&[]))?,
    };
    let mut warnings = loaded.warnings.clone();
    warnings.extend_from_slice(options.map_remarks());
    warnings.extend_from_slice(&images.remarks);
    if score.not_finite > 0 {
        // it is the faults' doing only where the network itself gives numbers
        let clean = if place.is_some() || of_activations.is_some() {
            evaluator.clean(images.of(0))?
        } else {
            score
        };
        loaded.check_finite(clean.not_finite, clean.images)?;
        warnings.push(format!(
            "faults made logits that are not finite numbers for {} of {} images: they count as wrong",
            score.not_finite, score.images
        ));
    }
    let format = loaded.format();
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
        memory: faults.any().then(|| memory.name.clone()),
        voltage: point.map(|point| point.voltage.get()),
        voltage_unit: point.map(|_| memory.unit),
        ber: place.as_ref().map(|place| place.ber.get()),
        ber_source: point.map(|point| point.ber_source),
        activation_ber: faults.activations.map(Ber::get),
        chip: faults.any().then_some(faults.chip.0),
        faults: count,
        fault_kind: changed.then(|| options.label()),
        array: array.filter(|_| changed),
    };
    Ok((row, warnings))
}

impl FaultSetting<'_> {
    /// True where there are faults anywhere.
    fn any(&self) -> bool {
        self.weights != WeightFaults::None || self.activations.is_some()
    }
}

/// Refuses fault options that have no effect on such faults.
fn check_options(spec: &FaultSpec, faults: FaultSetting) -> Result<()> {
    if spec.margin.is_some() && !matches!(faults.weights, WeightFaults::Voltage(_)) {
        let expected =
            "`--voltage` beside it: it moves the failure curve, which a rate does not read";
        return refuse("faults.margin", expected, "none");
    }
    Ok(())
}

/// Where faults are looked at: at a rate, with the operating point where a voltage was given.
struct Place {
    ber: Ber,
    point: Option<OperatingPoint>,
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
                return refuse("sweep.protection", "one protection in an evaluation", found);
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
    match faults.weights {
        WeightFaults::None if masks.is_some() || (options.changes().is_some() && !faults.any()) => {
            let expected = "`--ber` or `--voltage`: without, no bit fails and they have no effect";
            refuse("fault options and masks", expected, "neither")
        }
        WeightFaults::None => Ok(None),
        WeightFaults::Ber(ber) => Ok(Some(Place { ber, point: None })),
        WeightFaults::Voltage(text) => match memory.voltages(text)?.as_slice() {
            [one] => {
                let point = options.at(memory, *one)?;
                let (ber, point) = (point.ber, Some(point));
                Ok(Some(Place { ber, point }))
            }
            many => refuse(
                "--voltage",
                "one voltage",
                format!("{} voltages", many.len()),
            ),
        },
    }
}

/// The one array of an evaluation.
fn one_way(options: &Faults, ber: Ber, voltage: Option<Voltage>) -> Result<memory::ArrayVariant> {
    let mut ways = options.ways(ber, voltage)?;
    match (ways.pop(), ways.len()) {
        (Some(way), 0) => Ok(way),
        (_, more) => refuse("faults.arrays", "one array", (more + 1).to_string()),
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
