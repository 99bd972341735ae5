//! A trained network with what is known about it, and its file.

use super::activations::Activations;
use super::architecture::Architecture;
use super::content::Content;
use super::design::{Design, Imported};
use super::foreign::recognise;
use super::given::{file_state, take_given};
use super::network::Network;
use super::onnx::{self, ImportChoices};
use super::packed::{is_packed, load_packed, packed_state};
use super::pytorch::{state_dict_of, StateDict};
use super::record::{written, TrainingRecord};
use super::tensor_file::{file_bytes, read_tensors, tensors_of, write_tensors};
use super::values::check_values;
use crate::data::{DatasetSpec, Normalization};
use crate::error::{refuse, Error, Result};
use crate::quant::QuantizerSpec;
use crate::seed::Seed;
use crate::store;
use crate::units::check_name;
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Version of the model file.
pub const MODEL_FORMAT: u32 = 1;
/// Version of model files in which layers keep codes that came with a file.
const CODES_FORMAT: u32 = 2;
/// Key of the description in the file's metadata.
const KEY: &str = "model";
/// Largest model file that is read: 4 GiB.
const LARGEST_FILE: u64 = 1 << 32;

/// The data set that a model was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetTag {
    /// Name on the command line.
    pub name: String,
    /// Title in reports.
    pub title: String,
    /// SHA-256 of the training images and labels.
    pub checksum: String,
}

/// What a model file says of its network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelInfo {
    /// Version of the file format.
    pub format: u32,
    /// Architecture: the name of a known one, or the graph of an imported file.
    pub architecture: Design,
    /// Number of classes.
    pub classes: usize,
    /// Quantiser.
    pub quantizer: QuantizerSpec,
    /// Channels, height, width.
    pub input_shape: [usize; 3],
    /// Normalisation of the input; `None`: that of the data set is used.
    pub normalization: Option<Normalization>,
    /// How activations are stored; `None`: as floats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<Activations>,
    /// Data set of the training; `None` in foreign files.
    pub dataset: Option<DatasetTag>,
    /// How it was made; `None` in foreign files.
    #[serde(serialize_with = "written")]
    pub training: Option<TrainingRecord>,
    /// Seed of the training; `None` in foreign files.
    pub training_seed: Option<u64>,
    /// Epoch of these weights, from 1; `None` in foreign files.
    pub epoch: Option<usize>,
    /// Accuracy on the validation split; `None` where there was none.
    pub validation_accuracy: Option<f64>,
}

/// A network with its description.
#[derive(Debug)]
pub struct Model {
    /// The network.
    pub network: Network,
    /// What is known about it.
    pub info: ModelInfo,
    /// SHA-256 of the file.
    pub checksum: String,
    /// What a user should hear about the loading.
    pub warnings: Vec<String>,
    /// True where the file is packed: the float weights of quantised layers are what their codes read as, and no more.
    pub packed: bool,
    /// True where the file has no description of ours: its normalisation is the one assumed for its kind.
    pub foreign: bool,
}

impl ModelInfo {
    /// Of a float network of which no more is known.
    pub fn of(architecture: Design, classes: usize) -> Self {
        Self {
            format: MODEL_FORMAT,
            input_shape: architecture.input_shape(),
            architecture,
            classes,
            quantizer: QuantizerSpec::default(),
            normalization: None,
            activations: None,
            dataset: None,
            training: None,
            training_seed: None,
            epoch: None,
            validation_accuracy: None,
        }
    }

    /// The network that is described, under a quantiser, with weights that are not yet its own.
    fn network(&self, quantizer: &QuantizerSpec, device: &Device) -> Result<Network> {
        let design = self.architecture.clone();
        // a search for ranges takes seconds, and these weights are about to be replaced
        let unsearched = QuantizerSpec {
            init: None,
            init_bit_error_rate: None,
            ..quantizer.clone()
        };
        let (network, _) = Network::new(design, self.classes, &unsearched, Seed(0), device)?;
        let network = network
            .with_quantizer(quantizer.clone())
            .with_input_shape(self.input_shape)?;
        match &self.activations {
            Some(activations) => network.with_activations(activations),
            None => Ok(network),
        }
    }

    /// What the model is called, where the file says it.
    pub fn name(&self) -> Option<&str> {
        self.training.as_ref()?.name.as_deref()
    }

    /// The data set of the training, where the file says it.
    pub fn dataset_spec(&self) -> Option<&DatasetSpec> {
        self.training.as_ref()?.dataset.as_ref()
    }
}

impl Model {
    /// Reads a model: our safetensors, packed or not, another's safetensors of a known architecture, or a state dict of
    /// PyTorch; which of them a file is, its content says, not its name. Foreign models are float.
    ///
    /// # Errors
    /// [`Error::Missing`] or [`Error::Input`] with the path, and the tensor where one is at fault; also where the seal of
    /// the file or the `checksums` beside it say that it is damaged.
    pub fn load(path: &Path, device: &Device) -> Result<Self> {
        Self::load_with(path, &ImportChoices::default(), device)
    }

    /// [`Self::load`], with what a user says of an ONNX file.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn load_with(path: &Path, choices: &ImportChoices, device: &Device) -> Result<Self> {
        Self::read(path, choices, device).map_err(|error| Self::inside(path, error))
    }

    fn read(path: &Path, choices: &ImportChoices, device: &Device) -> Result<Self> {
        store::check_beside(path)?;
        let expected = "a model file: safetensors, ONNX, or a checkpoint of PyTorch";
        let bytes = store::read_bytes(path, expected, LARGEST_FILE)?;
        let named = |endings: &[&str]| {
            let ending = path.extension();
            ending.is_some_and(|e| endings.iter().any(|known| e == *known))
        };
        let content = match Content::of(&bytes) {
            Ok(content) => content,
            Err(Some(found)) => return Err(Error::input(path, expected, found)),
            // the reader that the name asks for says what is wrong
            Err(None) if named(&["safetensors"]) => Content::Safetensors,
            Err(None) if named(&["onnx"]) => Content::Onnx,
            Err(None) if named(&["pth", "th", "pt"]) => Content::Checkpoint,
            Err(None) if bytes.is_empty() => {
                return Err(Error::input(path, expected, "an empty file"))
            }
            Err(None) => return Err(Error::input(path, expected, "a file that begins otherwise")),
        };
        match content {
            Content::Safetensors => {}
            Content::Onnx => return Self::imported(path, &bytes, choices, device),
            Content::Checkpoint => {
                let state = state_dict_of(path, &bytes)?;
                return Self::foreign(path, state, store::sha256(&bytes), device);
            }
        }
        let size = bytes.len();
        let file = tensors_of(path, &bytes)?;
        drop(bytes);
        let own = file.own_metadata(path)?;
        let Some(text) = own.as_ref().and_then(|own| own.get(KEY)) else {
            let state = StateDict {
                tensors: file.tensors,
                warnings: Vec::new(),
            };
            return Self::foreign(path, state, file.checksum, device);
        };
        let info: ModelInfo = serde_json::from_str(text).map_err(|e| {
            Error::input(
                path,
                "the description of a wcat-explore model",
                e.to_string(),
            )
        })?;
        if ![MODEL_FORMAT, CODES_FORMAT].contains(&info.format) {
            let expected = format!("model format {MODEL_FORMAT} or {CODES_FORMAT}");
            return Err(Error::input(
                path,
                expected,
                format!("format {}", info.format),
            ));
        }
        if let Some(name) = info.name() {
            check_name(name).map_err(|(expected, found)| Error::Input {
                path: path.to_owned(),
                line: None,
                key: Some("training.name".into()),
                expected: format!("{expected} (a training and `quantize` take it from `name`)"),
                found,
            })?;
        }
        info.architecture.check(size)?;
        check_values(file.tensors.iter().map(|(name, t)| (name.as_str(), t)))?;
        Self::from_parts(path, info, &file.tensors, file.checksum, device)
    }

    fn foreign(path: &Path, state: StateDict, checksum: String, device: &Device) -> Result<Self> {
        let found = recognise(state.tensors)?;
        let architecture = found.architecture;
        let info = ModelInfo {
            normalization: foreign_normalization(architecture),
            ..ModelInfo::of(architecture.into(), found.classes)
        };
        let mut model = Self::from_parts(path, info, &found.tensors, checksum, device)?;
        model.foreign = true;
        model
            .warnings
            .splice(0..0, [state.warnings, found.warnings].concat());
        Ok(model)
    }

    /// The network of an ONNX file.
    fn imported(
        path: &Path,
        bytes: &[u8],
        choices: &ImportChoices,
        device: &Device,
    ) -> Result<Self> {
        let import = onnx::read(path, bytes, choices)?;
        let sha256 = store::sha256(bytes);
        let input_shape = match import.input[..] {
            [width] => [1, 1, width],
            [height, width] => [1, height, width],
            [channels, height, width] => [channels, height, width],
            _ => {
                let expected = "one to three dimensions behind the batch";
                let found = format!("{:?}", import.input);
                return Err(Error::input(path, expected, found));
            }
        };
        let normalization = import.normalization(input_shape[0])?;
        // what says how images are normalised is a file of ours
        let foreign = normalization.is_none();
        let mut warnings = import.warnings;
        let (graph, softmax) = import.graph.without_softmax();
        if softmax {
            warnings.push("the last softmax is left out: what it is given are the logits".into());
        }
        let name = path
            .file_stem()
            .map(|name| name.to_string_lossy().into_owned());
        let design = Design::Imported(Arc::new(Imported {
            name: name.unwrap_or_default(),
            sha256: sha256.clone(),
            input_shape,
            graph,
        }));
        let info = ModelInfo {
            normalization,
            ..ModelInfo::of(design, import.output.iter().product())
        };
        check_values(import.state.iter().map(|(name, t)| (name.as_str(), t)))?;
        let mut model = Self::from_parts(path, info, &import.state, sha256, device)?;
        for (layer, codes) in import.codes {
            let name = model.network.layers()[layer].name().to_owned();
            model.network.keep_codes(&name, codes.stored()?)?;
        }
        onnx::check(&model.network)?;
        model.foreign = foreign;
        model.warnings.splice(0..0, warnings);
        Ok(model)
    }

    /// A wrong argument that a file brings is wrong input.
    fn inside(path: &Path, error: Error) -> Error {
        match error {
            Error::Argument {
                what,
                expected,
                found,
            } => Error::Input {
                path: path.to_owned(),
                line: None,
                key: Some(what),
                expected,
                found,
            },
            other => other,
        }
    }

    fn from_parts(
        path: &Path,
        info: ModelInfo,
        tensors: &[(String, Tensor)],
        checksum: String,
        device: &Device,
    ) -> Result<Self> {
        if !(2..=100_000).contains(&info.classes) {
            return Err(Error::input(
                path,
                "2 to 100,000 classes",
                info.classes.to_string(),
            ));
        }
        info.quantizer.check()?;
        let mut network = info.network(&info.quantizer, device)?;
        let tensors = take_given(&mut network, tensors.to_vec())?;
        let packed = is_packed(&tensors);
        let warnings = if packed {
            load_packed(&mut network, &tensors)?
        } else {
            network.load_state(&tensors)?
        };
        Ok(Self {
            network,
            info,
            checksum,
            warnings,
            packed,
            foreign: false,
        })
    }

    /// Writes a network and its description, whole or not at all. Of a layer that keeps codes of a file the file holds
    /// the stored words without gaps, their format, steps and zero points (`<layer>.weight.codes`, `.format`, `.steps`,
    /// `.zeros`) in place of float weights.
    ///
    /// # Errors
    /// [`Error::Io`] with the path, or a tensor failure.
    pub fn save(path: &Path, network: &Network, info: &ModelInfo) -> Result<()> {
        write_tensors(path, &file_state(network)?, &metadata(network, info)?)
    }

    /// Writes a network and its description where there is no file yet; one that holds just the same stays.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is another file; as [`Self::save`].
    pub fn save_new(path: &Path, network: &Network, info: &ModelInfo) -> Result<()> {
        let bytes = file_bytes(path, &file_state(network)?, &metadata(network, info)?)?;
        if !path.exists() {
            return store::write_bytes(path, &bytes);
        }
        let there = store::read_bytes(path, "a model file", LARGEST_FILE)?;
        if there == bytes {
            Ok(())
        } else {
            Err(Self::taken(path))
        }
    }

    /// The error that a file must not be replaced.
    pub fn taken(path: &Path) -> Error {
        Error::argument(
            "--out",
            "a file that is not there yet, or --overwrite",
            format!("`{}`", path.display()),
        )
    }

    /// Writes the network as an ONNX file (opset 21) in standard operators, whole or not at all: from `input`, normalised
    /// images [batch, channels, height, width] or as many dimensions as the file had that the network came from, to
    /// `logits` [batch, classes], the batch free. Quantised weights are the whole numbers that the memory holds, behind
    /// DequantizeLinear; the rest is in single precision. The normalisation stands in the file's metadata.
    ///
    /// # Errors
    /// [`Error::Argument`] for a zero point that no number of its layer's type can be; [`Error::Io`] with the path, or a
    /// tensor failure.
    pub fn export(&self, path: &Path) -> Result<()> {
        let name = match self.info.name() {
            Some(name) => name.to_owned(),
            None => self.info.architecture.to_string(),
        };
        let bytes = onnx::bytes(&self.network, &name, self.info.normalization.as_ref())?;
        store::write_bytes(path, &bytes)
    }

    /// SHA-256 of the float model that a file of ours was quantised from after training; `None` where it is no such
    /// file.
    pub fn quantized_from(path: &Path) -> Option<String> {
        let file = read_tensors(path).ok()?;
        let own = file.own_metadata(path).ok()??;
        let info: ModelInfo = serde_json::from_str(own.get(KEY)?).ok()?;
        Some(info.training?.post_training?.sha256)
    }

    /// Writes the packed form of a quantised network: in place of the float weights of each quantised layer its
    /// stored words without gaps (`<layer>.weight.codes`) and its largest weight (`<layer>.weight.largest`), the
    /// rest as [`Self::save`]. What the memory holds of the model that [`Self::load`] makes of it, words and steps,
    /// is the same bit for bit; that is tried before anything is written.
    ///
    /// # Errors
    /// [`Error::Argument`] for a network without quantised layers, weights or ranges that are not finite; where words
    /// or steps would not be the same; [`Error::Io`] with the path, or a tensor failure.
    pub fn save_packed(path: &Path, network: &Network, info: &ModelInfo) -> Result<()> {
        let tensors = packed_state(network)?;
        let rebuilt = Self::from_parts(
            path,
            info.clone(),
            &tensors,
            String::new(),
            network.device(),
        )
        .map_err(|error| Self::inside(path, error))?;
        for (own, other) in network.stored()?.iter().zip(rebuilt.network.stored()?) {
            let same = match (own, &other) {
                (Some(a), Some(b)) => a.is_same(b),
                (a, b) => a.is_none() && b.is_none(),
            };
            if !same {
                let expected = "a model whose words and steps come back from its codes";
                return refuse("packed model", expected, "other words or another step");
            }
        }
        write_tensors(path, &tensors, &metadata(network, info)?)
    }

    /// Quantises a float network anew (post-training): ranges start from its weights; layers that keep codes of a file
    /// keep them. How well the result does is not known.
    ///
    /// # Errors
    /// A quantiser that does not check, or a tensor failure.
    pub fn quantized(&self, quantizer: &QuantizerSpec) -> Result<Self> {
        self.rebuilt(quantizer, quantizer, &self.state_without_ranges()?)
    }

    /// [`Self::quantized`] of every layer: what the codes of a file read as is quantised like float weights.
    ///
    /// # Errors
    /// As [`Self::quantized`].
    pub fn requantized(&self, quantizer: &QuantizerSpec) -> Result<Self> {
        self.rebuilt(quantizer, quantizer, &self.float_state()?)
    }

    /// [`Self::quantized`] with ranges that are known already, as `<layer>.range`: they are not searched again.
    ///
    /// # Errors
    /// As [`Self::quantized`]; ranges that are not those of the layers which learn one.
    pub fn quantized_with(
        &self,
        quantizer: &QuantizerSpec,
        ranges: &[(String, Tensor)],
    ) -> Result<Self> {
        // the initialisation would only be overwritten
        let start = QuantizerSpec {
            init: None,
            init_bit_error_rate: None,
            ..quantizer.clone()
        };
        let mut state = self.state_without_ranges()?;
        state.extend(ranges.iter().cloned());
        self.rebuilt(&start, quantizer, &state)
    }

    /// A quantised network at other widths, without training: its ranges stay. Only for methods whose range does not
    /// depend on the width (not `lsq`). How well the result does is not known.
    ///
    /// # Errors
    /// A quantiser that does not check, or a tensor failure.
    pub fn at_widths(&self, quantizer: &QuantizerSpec) -> Result<Self> {
        self.rebuilt(quantizer, quantizer, &self.network.state()?)
    }

    /// The same model with activations stored as codes. How well it does is not known.
    ///
    /// # Errors
    /// As [`Network::with_activations`].
    pub fn with_activations(self, activations: Activations) -> Result<Self> {
        let network = self.network.with_activations(&activations)?;
        let info = ModelInfo {
            activations: Some(activations),
            validation_accuracy: None,
            ..self.info
        };
        Ok(Self {
            network,
            info,
            ..self
        })
    }

    /// The state of the network but for its quantisation ranges: what a network with another quantiser takes over. It
    /// has no weights of layers that keep codes of a file.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn state_without_ranges(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = self.network.state()?;
        state.retain(|(name, _)| !name.ends_with(".range"));
        Ok(state)
    }

    /// [`Self::state_without_ranges`], with what codes of a file read as as the float weights of their layers.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn float_state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = self.state_without_ranges()?;
        for layer in self.network.layers() {
            if layer.given_codes().is_some() {
                let name = format!("{}.weight", layer.name());
                state.push((name, layer.weight().as_detached_tensor()));
            }
        }
        Ok(state)
    }

    /// A network of the same shape, built with the quantiser `start`, with this state; described by `quantizer`. Codes
    /// of a file stay where the state has no weights of their layer.
    fn rebuilt(
        &self,
        start: &QuantizerSpec,
        quantizer: &QuantizerSpec,
        state: &[(String, Tensor)],
    ) -> Result<Self> {
        let mut network = self.info.network(start, self.network.device())?;
        for layer in self.network.layers() {
            let weight = format!("{}.weight", layer.name());
            let kept = state.iter().all(|(name, _)| *name != weight);
            if let Some(given) = layer.given_codes().filter(|_| kept) {
                network.keep_codes(layer.name(), given.clone())?;
            }
        }
        let warnings = network.load_state(state)?;
        let info = ModelInfo {
            quantizer: quantizer.clone(),
            validation_accuracy: None,
            ..self.info.clone()
        };
        Ok(Self {
            network,
            info,
            checksum: self.checksum.clone(),
            warnings,
            packed: self.packed,
            foreign: self.foreign,
        })
    }
}

/// The description as the metadata of a file. Programs that know no codes of files must not read a file that has some.
fn metadata(network: &Network, info: &ModelInfo) -> Result<BTreeMap<String, String>> {
    let given = network.layers().iter().any(|l| l.given_codes().is_some());
    let info = ModelInfo {
        format: if given { CODES_FORMAT } else { MODEL_FORMAT },
        ..info.clone()
    };
    let text = serde_json::to_string(&info).map_err(|e| {
        Error::argument(
            "model description",
            "something JSON can hold",
            e.to_string(),
        )
    })?;
    Ok(BTreeMap::from([(KEY.to_owned(), text)]))
}

/// Public colour checkpoints expect ImageNet's statistics (the convention of torchvision and of Idelbayev's
/// CIFAR ResNets); grey ones follow their data set.
fn foreign_normalization(architecture: Architecture) -> Option<Normalization> {
    (architecture.input_shape()[0] == 3).then(|| Normalization {
        mean: vec![0.485, 0.456, 0.406],
        std: vec![0.229, 0.224, 0.225],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::Method;
    use crate::units::Bits;

    fn info() -> ModelInfo {
        ModelInfo {
            quantizer: QuantizerSpec {
                method: Method::Wcat,
                bits: Bits::new(4).unwrap(),
                ..QuantizerSpec::default()
            },
            normalization: Some(Normalization {
                mean: vec![0.1],
                std: vec![0.3],
            }),
            training: serde_json::from_value(serde_json::json!({"epochs": 3})).unwrap(),
            training_seed: Some(7),
            epoch: Some(3),
            validation_accuracy: Some(0.97),
            ..ModelInfo::of(Architecture::Lenet5.into(), 10)
        }
    }

    #[test]
    fn a_model_file_carries_everything() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let info = info();
        let network = Network::new(
            Architecture::Lenet5,
            10,
            &info.quantizer,
            Seed(3),
            &Device::Cpu,
        )
        .unwrap()
        .0;
        Model::save(&path, &network, &info).unwrap();
        let model = Model::load(&path, &Device::Cpu).unwrap();
        assert_eq!(model.info, info);
        assert_eq!(model.network.stored().unwrap(), network.stored().unwrap());
        assert_eq!(model.checksum, store::sha256_of_file(&path).unwrap());
    }

    #[test]
    fn a_foreign_file_of_unknown_shape_lists_the_known_architectures() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let tensor = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        write_tensors(&path, &[("a.weight".into(), tensor)], &BTreeMap::new()).unwrap();
        let error = Model::load(&path, &Device::Cpu).unwrap_err();
        assert!(
            error.is_wrong_input() && error.to_string().contains("lenet5"),
            "{error}"
        );
    }

    #[test]
    fn post_training_quantisation_starts_its_ranges_from_the_weights() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let float = ModelInfo {
            quantizer: QuantizerSpec::default(),
            ..info()
        };
        let network = Network::new(
            Architecture::Lenet5,
            10,
            &float.quantizer,
            Seed(3),
            &Device::Cpu,
        )
        .unwrap()
        .0;
        Model::save(&path, &network, &float).unwrap();
        let model = Model::load(&path, &Device::Cpu)
            .unwrap()
            .quantized(&info().quantizer)
            .unwrap();
        for (layer, (_, range)) in model
            .network
            .layers()
            .iter()
            .zip(model.network.ranges().unwrap())
        {
            assert_eq!(range, crate::quant::max_abs(&layer.values().unwrap()));
        }
    }
}
