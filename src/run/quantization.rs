//! Post-training quantisation: a float model file to a quantised one, with its errors and its accuracy beside the float one's.

use super::evaluation::{evaluate, EvaluationRow, FaultSetting};
use super::models::{load_half, stem};
use super::monitor::Monitor;
use super::normalization::take;
use crate::config::Experiment;
use crate::data::{DatasetName, DatasetSpec, FileSpec, ImageSet, Split};
use crate::error::{refuse, Error, Result};
use crate::net::{
    layer_weights, Activations, ImportChoices, Model, ModelInfo, Network, PostTraining, RangeRule,
};
use crate::quant::{MethodLabel, QuantizerSpec};
use crate::store;
use crate::table::SCHEMA;
use crate::units::{check_name, Ber, Metric};
use candle_core::Tensor;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Images of a pass of a calibration.
const CALIBRATED: usize = 64;

/// What post-training quantisation needs beside its configuration.
#[derive(Clone, Debug)]
pub struct QuantizationRequest {
    /// Float model: safetensors or a checkpoint of PyTorch.
    pub model: PathBuf,
    /// What is said of it where it is an ONNX file.
    pub choices: ImportChoices,
    /// The quantised model file, `*.safetensors`.
    pub out: PathBuf,
    /// Replace a file that is there; without, only one that is just the same may be there.
    pub overwrite: bool,
    /// Name of the quantised model; `None`: that of the float one with method and bits.
    pub name: Option<String>,
    /// True where the data set of the configuration was the user's choice; false: the model's own is taken.
    pub dataset_given: bool,
    /// Quantise what the codes of the file read as too; without, such layers keep their codes.
    pub requantize: bool,
    /// Evaluate both models, where their data set is known.
    pub evaluate: bool,
    /// Folder of the data sets; `None`: the cache folder.
    pub data_folder: Option<PathBuf>,
    /// A single file of test images instead of the data set's test half.
    pub data_file: Option<PathBuf>,
    /// How activations are stored; `None`: as floats.
    pub activations: Option<Calibration>,
}

/// How the codes of activations are found.
#[derive(Clone, Debug)]
pub struct Calibration {
    /// Bits of a code, 4 to 16.
    pub bits: u32,
    /// How ranges follow from values.
    pub rule: RangeRule,
    /// Images that ranges are found over, as many of each class, chosen by the seed.
    pub images: u64,
    /// File of these images; `None`: the training images of the data set.
    pub data: Option<String>,
    /// The network's own input is stored too.
    pub input: bool,
}

/// A quantised model. Columns as in the result tables; null where there was no evaluation.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct QuantizationRow {
    /// Version of the columns.
    pub schema: u64,
    /// Name of the quantised model.
    pub model: String,
    /// Architecture.
    pub architecture: String,
    /// Quantisation method.
    pub method: MethodLabel,
    /// Bits per stored weight.
    pub bits: u32,
    /// Bits of a stored activation; left out where they are floats.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_bits: Option<u32>,
    /// Layers whose weights are stored as codes.
    pub layers: usize,
    /// Their weights.
    pub weights: usize,
    /// Sum of squared quantisation errors over the sum of squared weights, all quantised layers together.
    pub relative_error: f64,
    /// Title of the data set.
    pub dataset: Option<String>,
    /// Images evaluated.
    pub images: Option<u64>,
    /// Fraction classified correctly.
    pub accuracy: Option<f64>,
    /// Mean cross-entropy in nats.
    pub loss: Option<f64>,
    /// Fraction that the float model classifies correctly.
    pub float_accuracy: Option<f64>,
    /// Mean cross-entropy of the float model.
    pub float_loss: Option<f64>,
    /// How images are normalised, a name or MEAN/STD; left out for a model of our trainings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub normalization: Option<String>,
    /// The model file.
    pub path: String,
}

/// One layer of a quantised model; null where it was left float.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct QuantizedLayer {
    /// Version of the columns.
    pub schema: u64,
    /// Name of the quantised model.
    pub model: String,
    /// Layer, as in the state dict.
    pub layer: String,
    /// Its weights.
    pub weights: usize,
    /// Bits per stored weight, 32 for a float layer.
    pub bits: u32,
    /// Range in force (the step for `lsq`); null too for codes that came with a file, as the errors.
    pub range: Option<f32>,
    /// Step of the codes; null too where output channels have their own.
    pub step: Option<f32>,
    /// Mean of (weight - quantised weight)².
    pub squared_error: Option<f64>,
    /// Sum of squared errors over the sum of squared weights; null where every weight is 0.
    pub relative_error: Option<f64>,
}

/// What post-training quantisation gives.
#[derive(Clone, Debug)]
pub struct QuantizationResult {
    /// The model.
    pub row: QuantizationRow,
    /// Its layers, in memory order.
    pub layers: Vec<QuantizedLayer>,
}

/// Quantises a float model without training and writes it as a model file. Ranges start, and stay, where the
/// method's initialisation puts them. What could fail for the evaluation fails before the file is written; a model whose
/// logits are not finite is not left behind.
///
/// # Errors
/// [`Error::Argument`] or [`Error::Input`] for a quantiser that does not check or that reads what only a training
/// uses, a model that is not float, a path that is no `*.safetensors` or is taken; as [`evaluate`]; [`Error::Io`].
pub fn quantize(
    experiment: &Experiment,
    request: &QuantizationRequest,
    monitor: &dyn Monitor,
) -> Result<QuantizationResult> {
    let spec = &experiment.quantizer;
    check_quantizer(spec)?;
    if let Some(calibration) = &request.activations {
        Activations::check_bits(calibration.bits)?;
    }
    check_paths(request)?;
    let mut float = Model::load_with(&request.model, &request.choices, &experiment.device.open()?)?;
    check_float(&request.model, &float, request.requantize)?;
    let (out, keep) = (&request.out, !request.overwrite && request.out.exists());
    if keep && Model::quantized_from(out).as_ref() != Some(&float.checksum) {
        return Err(Model::taken(out));
    }
    let name = name(request, &float.info, spec)?;
    let normalization = normalized(experiment, request, &mut float, &name, monitor)?;
    monitor.warn_all(&float.warnings);
    let known = float.info.dataset_spec().is_some();
    // an evaluation reads the file as it stands
    let before = if request.evaluate && request.choices == ImportChoices::default() {
        evaluated(experiment, request, &request.model, known, monitor)?
    } else {
        None
    };
    let mut model = if request.requantize {
        float.requantized(spec)?
    } else {
        float.quantized(spec)?
    };
    monitor.warn_all(&model.warnings);
    describe(
        &mut model.info,
        &request.model,
        &float.checksum,
        spec,
        &name,
    );
    if let Some(calibration) = &request.activations {
        model = calibrated(experiment, request, calibration, model)?;
    }
    let (layers, row) = measure(&model.network, &name)?;
    if request.overwrite {
        Model::save(out, &model.network, &model.info)?
    } else {
        Model::save_new(out, &model.network, &model.info)?
    }
    // from the file: what is reported is what the file gives
    let after = match before {
        Some(_) => match evaluated(experiment, request, &request.out, known, monitor) {
            Err(error) if error.is_wrong_input() => {
                store::remove_file(&request.out)?;
                return Err(error);
            }
            other => other?,
        },
        None => None,
    };
    let (before, after) = (before.as_ref(), after.as_ref());
    let row = QuantizationRow {
        dataset: after.map(|row| row.dataset.clone()),
        images: after.map(|row| row.images),
        accuracy: after.map(|row| row.accuracy),
        loss: after.and_then(|row| row.loss),
        float_accuracy: before.map(|row| row.accuracy),
        float_loss: before.and_then(|row| row.loss),
        path: request.out.display().to_string(),
        normalization,
        activation_bits: request.activations.as_ref().map(|own| own.bits),
        ..row
    };
    Ok(QuantizationResult { row, layers })
}

/// The images that ranges of activations are found over, with the data set that says how they are normalised.
fn calibration_images(
    experiment: &Experiment,
    request: &QuantizationRequest,
    calibration: &Calibration,
    info: &ModelInfo,
) -> Result<(ImageSet, DatasetSpec)> {
    let folder = request.data_folder.as_deref();
    if let Some(file) = &calibration.data {
        // its classes, if it has any, are not read: it stands for test data, which need none
        let mut spec = experiment.dataset.clone();
        spec.name = DatasetName::File;
        spec.file = Some(FileSpec {
            test: Some(file.clone()),
            ..spec.file.unwrap_or_default()
        });
        return Ok((load_half(&spec, Split::Test, folder)?, spec));
    }
    let own = info.dataset_spec().filter(|_| !request.dataset_given);
    let spec = own.unwrap_or(&experiment.dataset);
    let known = own.is_some() || request.dataset_given;
    let is_file = spec.name == DatasetName::File;
    if !known
        || (is_file
            && spec
                .file
                .as_ref()
                .is_none_or(|file| file.training.is_none()))
    {
        let expected = "--activation-data FILE, or --dataset: images that ranges of activations are found over";
        return refuse("--activation-bits", expected, "neither");
    }
    Ok((load_half(spec, Split::Training, folder)?, spec.clone()))
}

/// The model with activations stored as codes, whose ranges are found over images.
fn calibrated(
    experiment: &Experiment,
    request: &QuantizationRequest,
    calibration: &Calibration,
    model: Model,
) -> Result<Model> {
    let (set, dataset) = calibration_images(experiment, request, calibration, &model.info)?;
    let own = model.info.normalization.clone();
    let normalization = own.unwrap_or_else(|| dataset.name.default_normalization());
    let normalization = normalization.for_channels(set.channels)?;
    let shape = [set.channels, set.height, set.width];
    if shape != model.info.input_shape {
        let expected = format!(
            "images of {:?}, as the network takes them",
            model.info.input_shape
        );
        return refuse(set.title, expected, format!("{shape:?}"));
    }
    let count = calibration.images.min(set.len() as u64) as usize;
    let chosen = set.subset(count, experiment.seed)?;
    let batches = chosen.chunks(CALIBRATED).map(|indices| {
        let values = set.batch(indices, &normalization, None);
        let shape = (indices.len(), set.channels, set.height, set.width);
        Ok(Tensor::from_vec(values, shape, model.network.device())?)
    });
    let batches: Vec<Tensor> = batches.collect::<Result<_>>()?;
    let Calibration {
        bits, rule, input, ..
    } = calibration;
    let found = model.network.calibrate(&batches, *bits, *input, *rule)?;
    let source = format!(
        "{} of {}, seed {}",
        found.source, set.title, experiment.seed.0
    );
    model.with_activations(Activations { source, ..found })
}

fn check_quantizer(spec: &QuantizerSpec) -> Result<()> {
    spec.check()?;
    let training_only = [
        (
            spec.train_bit_error_rate > Ber::ZERO,
            "train_bit_error_rate",
        ),
        (spec.clip_gradient.is_some(), "clip_gradient"),
        (spec.grad_scale.is_some(), "grad_scale"),
    ];
    if let Some((_, key)) = training_only.iter().find(|(given, _)| *given) {
        let expected = "to be left out: only a training reads it";
        return refuse(format!("quantizer.{key}"), expected, "a value");
    }
    if spec.bits.is_float() {
        refuse(
            "--bits (quantizer.bits)",
            "1 to 8",
            "none, or 32, which is float",
        )
    } else {
        Ok(())
    }
}

fn check_paths(request: &QuantizationRequest) -> Result<()> {
    let out = &request.out;
    if out.extension().is_none_or(|ending| ending != "safetensors") {
        return refuse(
            "--out",
            "a path that ends in .safetensors",
            format!("`{}`", out.display()),
        );
    }
    let same = |a: &Path, b: &Path| {
        a.canonicalize()
            .is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
    };
    if same(out, &request.model) {
        refuse(
            "--out",
            "another file than --model",
            format!("`{}`", out.display()),
        )
    } else {
        Ok(())
    }
}

/// Only floats can be quantised: what is quantised already has lost them to its own range.
fn check_float(path: &Path, model: &Model, requantize: bool) -> Result<()> {
    let quantizer = &model.info.quantizer;
    if !quantizer.bits.is_float() {
        let found = format!(
            "a model trained for {} bits (`{}`)",
            quantizer.bits, quantizer.method
        );
        return Err(Error::input(path, "a float model (bits: 32)", found));
    }
    let layers = model.network.layers();
    if !requantize && layers.iter().all(|layer| layer.given_codes().is_some()) {
        let expected = "a model with float layers (`--requantize` makes them of codes)";
        let found = "codes that came with the file, in every layer";
        return Err(Error::input(path, expected, found));
    }
    Ok(())
}

/// Name of the quantised model.
fn name(request: &QuantizationRequest, info: &ModelInfo, spec: &QuantizerSpec) -> Result<String> {
    let float = match info.name() {
        Some(name) => name.to_owned(),
        None => stem(&request.model),
    };
    let mut made = format!("{float}-{}", spec.label());
    if let Some(own) = &request.activations {
        made += &format!("-a{}", own.bits);
    }
    let name = request.name.clone().unwrap_or(made);
    check_name(&name).map_err(|(expected, found)| {
        Error::argument(
            "name of the quantised model",
            format!("{expected} (--name)"),
            found,
        )
    })?;
    Ok(name)
}

/// Decides how images are normalised for a model, and says it.
fn normalized(
    experiment: &Experiment,
    request: &QuantizationRequest,
    float: &mut Model,
    name: &str,
    monitor: &dyn Monitor,
) -> Result<Option<String>> {
    let given = experiment.dataset.normalization.as_ref();
    let dataset = if request.dataset_given {
        Some(experiment.dataset.name)
    } else {
        float.info.dataset_spec().map(|spec| spec.name)
    };
    // whether a file holds pixels is not known before it is read
    let dataset = dataset.filter(|name| *name != DatasetName::File);
    let foreign = float.info.training_seed.is_none();
    let Some(taken) = take(&mut float.info, float.foreign, given, dataset)? else {
        if foreign {
            monitor.warn(&format!(
                "{name}: nothing says how images are normalised; an evaluation of pixels takes the statistics of its data \
                 set, unless --normalize says others here; floating-point inputs are taken as they are"
            ));
        }
        return Ok(None);
    };
    taken.check_given(name, given)?;
    if let Some(warning) = taken.warning(name) {
        monitor.warn(&warning);
    }
    Ok(foreign.then(|| taken.label()))
}

/// An evaluation where the data set is known. Images that nobody asked for may be missing: that is a remark.
fn evaluated(
    experiment: &Experiment,
    request: &QuantizationRequest,
    model: &Path,
    known: bool,
    monitor: &dyn Monitor,
) -> Result<Option<EvaluationRow>> {
    let asked = request.dataset_given || request.data_file.is_some();
    if !asked && !known {
        monitor.note("not evaluated: the model does not say its data set; --dataset names one");
        return Ok(None);
    }
    // the agreement of a network with itself says nothing
    let mut experiment = experiment.clone();
    experiment.sweep.metric = Some(Metric::Top1);
    match evaluate(
        &experiment,
        model,
        request.dataset_given,
        request.data_folder.as_deref(),
        request.data_file.as_deref(),
        FaultSetting::default(),
        None,
    ) {
        Ok((row, _)) => Ok(Some(row)),
        Err(Error::Missing { path, expected }) if !asked => {
            monitor.warn(&format!(
                "not evaluated: no {} (expected {expected})",
                path.display()
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Writes into the description what the model is called and what it was made of.
fn describe(info: &mut ModelInfo, from: &Path, checksum: &str, spec: &QuantizerSpec, name: &str) {
    let file = from.file_name().unwrap_or(from.as_os_str());
    let record = info.training.get_or_insert_default();
    record.name = Some(name.to_owned());
    record.quantizer = Some(spec.clone());
    record.post_training = Some(PostTraining {
        file: file.to_string_lossy().into_owned(),
        sha256: checksum.to_owned(),
    });
}

/// Errors of every layer and of all together; the row knows no evaluation yet.
fn measure(network: &Network, name: &str) -> Result<(Vec<QuantizedLayer>, QuantizationRow)> {
    let (mut layers, mut errors, mut squares) = (Vec::new(), 0.0, 0.0);
    for layer in layer_weights(network)? {
        let mut row = QuantizedLayer {
            schema: SCHEMA,
            model: name.to_owned(),
            layer: layer.name,
            weights: layer.values.len(),
            bits: 32,
            range: layer.range,
            step: None,
            squared_error: None,
            relative_error: None,
        };
        if let Some(stored) = &layer.stored {
            row.bits = stored.format.bits();
            row.step = stored.step();
        }
        // without a range they are codes of a file, which stay as they are
        if let (Some(stored), Some(_)) = (layer.stored, layer.range) {
            let pairs = layer.values.iter().zip(stored.values());
            let error: f64 = pairs
                .map(|(w, q)| (f64::from(*w) - f64::from(q)).powi(2))
                .sum();
            let square: f64 = layer.values.iter().map(|w| f64::from(*w).powi(2)).sum();
            row.squared_error = Some(error / layer.values.len().max(1) as f64);
            row.relative_error = (square > 0.0).then_some(error / square);
            (errors, squares) = (errors + error, squares + square);
        }
        layers.push(row);
    }
    let quantised = || layers.iter().filter(|layer| layer.squared_error.is_some());
    if quantised().next().is_none() {
        let expected = "globs that leave a layer to quantise";
        return refuse("--skip (quantizer.skip)", expected, "every layer skipped");
    }
    let row = QuantizationRow {
        schema: SCHEMA,
        model: name.to_owned(),
        architecture: network.architecture().to_string(),
        method: network.quantizer().method_label(),
        bits: network.quantizer().bits.get(),
        layers: quantised().count(),
        weights: quantised().map(|layer| layer.weights).sum(),
        relative_error: if squares > 0.0 { errors / squares } else { 0.0 },
        ..QuantizationRow::default()
    };
    Ok((layers, row))
}
