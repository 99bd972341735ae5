//! The packed form of a model's tensors: the words that the memory holds in place of float weights.

use super::given::file_state;
use super::network::Network;
use crate::code::{pack, packed_len, unpack, Word};
use crate::error::{refuse, Error, Result, TensorContext};
use candle_core::{Device, Tensor, WithDType};

/// After a layer's name: its words without gaps, U8 in one dimension.
pub(super) const CODES: &str = ".weight.codes";
/// After a layer's name: its largest weight, a scalar.
const LARGEST: &str = ".weight.largest";

/// True where tensors are those of a packed file.
pub(super) fn is_packed(tensors: &[(String, Tensor)]) -> bool {
    tensors
        .iter()
        .any(|(name, _)| name.ends_with(CODES) || name.ends_with(LARGEST))
}

/// The tensors of a packed file of a network.
///
/// # Errors
/// [`Error::Argument`] for a network without quantised layers, or with a weight or range that is not finite.
pub(super) fn packed_state(network: &Network) -> Result<Vec<(String, Tensor)>> {
    if network.layers().iter().all(|l| l.format().is_none()) {
        let expected = "a quantised model, whose weights are codes";
        return refuse("packed model", expected, "float weights (bits: 32)");
    }
    let max = network.network_max()?;
    let mut state = file_state(network)?;
    for layer in network.layers() {
        let (Some(scheme), Some(stored)) = (layer.scheme(), layer.stored(max)?) else {
            continue;
        };
        let weights = layer.values()?;
        let range = layer.range_in_force(&weights, max)?;
        if let Some(wrong) = weights
            .iter()
            .chain([&range])
            .chain(stored.scales.iter().map(|scale| &scale.step))
            .find(|x| !x.is_finite())
        {
            let expected = "finite weights and a finite range";
            return refuse(format!("layer {}", layer.name()), expected, wrong);
        }
        let name = layer.name();
        let codes = pack(&stored.words, scheme.format.bits());
        let bytes = codes.len();
        let largest = scheme.largest(&weights, &stored.words, range);
        state.retain(|(known, _)| known.strip_suffix(".weight") != Some(name));
        state.push((
            format!("{name}{CODES}"),
            Tensor::from_vec(codes, bytes, &Device::Cpu)?,
        ));
        state.push((
            format!("{name}{LARGEST}"),
            Tensor::new(largest, &Device::Cpu)?,
        ));
    }
    Ok(state)
}

/// What a packed file holds of a layer.
struct PackedLayer {
    name: String,
    words: Vec<Word>,
    largest: f32,
}

/// Takes the values of a packed file: float weights are made of words, such that the memory holds these words again,
/// which is checked. The result holds warnings.
///
/// # Errors
/// [`Error::Argument`] that names the tensor which is missing, not expected or wrong.
pub(super) fn load_packed(
    network: &mut Network,
    tensors: &[(String, Tensor)],
) -> Result<Vec<String>> {
    let layers = packed_layers(network, tensors)?;
    let max = layers
        .iter()
        .map(|layer| layer.largest.abs())
        .fold(0.0, f32::max);
    let of_layer = |name: &str| layers.iter().find(|layer| layer.name == name);
    let own = |name: &str| {
        let layer = name.strip_suffix(CODES).or(name.strip_suffix(LARGEST));
        layer.is_some_and(|layer| of_layer(layer).is_some())
    };
    let mut state: Vec<(String, Tensor)> = tensors
        .iter()
        .filter(|(name, _)| !own(name))
        .cloned()
        .collect();
    let mut steps = Vec::with_capacity(layers.len());
    for layer in network.layers() {
        let (Some(scheme), Some(packed)) = (layer.scheme(), of_layer(layer.name())) else {
            continue;
        };
        // words are weights under the range of the file, not under the one that fresh weights gave
        if let Some(range) = layer.range() {
            let tensor = scalar(tensors, &format!("{}.range", packed.name))?;
            range
                .set(&Tensor::new(tensor, network.device())?)
                .during(|| format!("range of {}", packed.name))?;
        }
        let range = layer.range_in_force(&[packed.largest], max)?;
        let Some(weights) = scheme.floats(&packed.words, packed.largest, range) else {
            let expected = "a weight whose code is one of the layer's";
            let name = format!("{}{LARGEST}", packed.name);
            return refuse(name, expected, packed.largest);
        };
        steps.push(scheme.step(&[packed.largest], range));
        let weight = Tensor::from_vec(weights, layer.weight().dims(), &Device::Cpu)?;
        state.push((format!("{}.weight", packed.name), weight));
    }
    let warnings = network.load_state(&state)?;
    let stored = network.stored()?;
    // those that keep codes of a file were not packed
    let quantised = network.layers().iter().zip(&stored);
    let quantised = quantised.filter(|(layer, _)| layer.scheme().is_some());
    let stored = quantised.filter_map(|(_, stored)| stored.as_ref());
    for ((layer, step), stored) in layers.iter().zip(steps).zip(stored) {
        if stored.words != layer.words || stored.step().map(f32::to_bits) != Some(step.to_bits()) {
            let differing = stored
                .words
                .iter()
                .zip(&layer.words)
                .filter(|(a, b)| a != b)
                .count();
            return refuse(
                format!("{}{CODES}", layer.name),
                "codes that some weights under the layer's range have (the file is damaged, or not of this program)",
                format!(
                    "{differing} that none has, step {}",
                    stored.step().unwrap_or_default()
                ),
            );
        }
    }
    Ok(warnings)
}

/// Words and largest weight of every quantised layer, in memory order.
fn packed_layers(network: &Network, tensors: &[(String, Tensor)]) -> Result<Vec<PackedLayer>> {
    let mut layers = Vec::new();
    for layer in network.layers() {
        let Some(scheme) = layer.scheme() else {
            continue;
        };
        let name = layer.name();
        let weight = format!("{name}.weight");
        if tensors.iter().any(|(known, _)| *known == weight) {
            return refuse(
                weight,
                format!("`{name}{CODES}` alone"),
                "float weights beside it",
            );
        }
        let (n, bits) = (layer.weight().elem_count(), scheme.format.bits());
        let words = layer_words(tensors, name, n, bits)?;
        let largest = scalar(tensors, &format!("{name}{LARGEST}"))?;
        layers.push(PackedLayer {
            name: name.to_owned(),
            words,
            largest,
        });
    }
    Ok(layers)
}

/// The `n` words of a layer.
///
/// # Errors
/// [`Error::Argument`] that names the tensor of the codes.
pub(super) fn layer_words(
    tensors: &[(String, Tensor)],
    layer: &str,
    n: usize,
    bits: u32,
) -> Result<Vec<Word>> {
    let name = format!("{layer}{CODES}");
    let length = packed_len(n, bits);
    let expected = format!("{n} codes of {bits} bits in U8 [{length}], bits that hold none 0");
    let bytes = values::<u8>(tensors, &name, &expected, |dims| dims == [length])?;
    unpack(&bytes, bits, n).ok_or_else(|| Error::argument(name, expected, "others"))
}

/// The values of a tensor of this name, type and dimensions.
///
/// # Errors
/// [`Error::Argument`] that names the tensor.
pub(super) fn values<T: WithDType>(
    tensors: &[(String, Tensor)],
    name: &str,
    expected: &str,
    fits: impl Fn(&[usize]) -> bool,
) -> Result<Vec<T>> {
    let Some((_, tensor)) = tensors.iter().find(|(known, _)| known == name) else {
        let expected = "this tensor, in a model file that holds codes";
        return refuse(name, expected, "none of this name");
    };
    if tensor.dtype() != T::DTYPE || !fits(tensor.dims()) {
        let found = format!("{:?} {:?}", tensor.dtype(), tensor.dims());
        return refuse(name, expected, found);
    }
    let values = || tensor.flatten_all()?.to_vec1::<T>();
    values().during(|| format!("reading `{name}`"))
}

/// [`values`] that are finite.
pub(super) fn numbers(
    tensors: &[(String, Tensor)],
    name: &str,
    expected: &str,
    fits: impl Fn(&[usize]) -> bool,
) -> Result<Vec<f32>> {
    let values = values::<f32>(tensors, name, expected, fits)?;
    match values.iter().find(|value| !value.is_finite()) {
        None => Ok(values),
        Some(value) => refuse(name, expected, value),
    }
}

/// A finite number.
fn scalar(tensors: &[(String, Tensor)], name: &str) -> Result<f32> {
    let expected = "one finite number, F32 []";
    Ok(numbers(tensors, name, expected, <[usize]>::is_empty)?[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{read_tensors, write_tensors, Architecture, Model, ModelInfo};
    use crate::quant::{max_abs, Method, QuantizerSpec, StoredWeight};
    use crate::seed::{Purpose, Seed};
    use crate::store;
    use crate::units::Bits;
    use std::path::Path;
    use tempfile::TempDir;

    fn info(quantizer: QuantizerSpec) -> ModelInfo {
        ModelInfo {
            quantizer,
            training: serde_json::from_value(
                serde_json::json!({"name": "a", "epochs": 3, "rate": 0.1}),
            )
            .unwrap(),
            training_seed: Some(7),
            epoch: Some(3),
            validation_accuracy: Some(0.1 + 0.2),
            ..ModelInfo::of(Architecture::Lenet5.into(), 10)
        }
    }

    fn quantizer(method: Method, bits: u64, signed: bool) -> QuantizerSpec {
        let mut spec = QuantizerSpec {
            method,
            signed,
            bits: Bits::new(bits).unwrap(),
            ..QuantizerSpec::default()
        };
        match method {
            Method::Wclip => spec.wclip = Some(0.1),
            Method::Plclip => spec.plclip = Some(0.17),
            _ => {}
        }
        spec
    }

    /// LeNet-5 with normal weights, of another size in each layer, under ranges that are not their largest ones.
    fn network(info: &ModelInfo) -> Network {
        let network = Network::new(
            info.architecture.clone(),
            info.classes,
            &info.quantizer,
            Seed(1),
            &Device::Cpu,
        );
        let network = network.unwrap().0;
        for (place, layer) in network.layers().iter().enumerate() {
            let std = [0.2, 0.03, 0.1, 0.05, 0.4][place % 5];
            let mut stream = Seed(3).stream(Purpose::Test, &[place as u64]);
            layer
                .weight()
                .set(&stream.normal_tensor(std, layer.weight().dims()).unwrap())
                .unwrap();
            if let (Some(range), Some(scheme)) = (layer.range(), layer.scheme()) {
                let levels = if scheme.method == Method::Lsq {
                    f64::from(scheme.format.max())
                } else {
                    1.0
                };
                let value = (std * [1.7, 0.9, 6.0, 2.5, 3.1][place % 5] / levels) as f32;
                range
                    .set(&Tensor::new(value, &Device::Cpu).unwrap())
                    .unwrap();
            }
        }
        network
    }

    fn logits(network: &Network) -> Vec<u32> {
        let images = Seed(2)
            .stream(Purpose::Test, &[])
            .normal_tensor(1.0, (3, 1, 28, 28))
            .unwrap();
        let logits = network
            .logits(&images, &network.effective_weights().unwrap())
            .unwrap();
        let values = logits.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    }

    /// A folder, a float form and a packed form.
    struct Files {
        _folder: TempDir,
        float: std::path::PathBuf,
        packed: std::path::PathBuf,
    }

    fn files(network: &Network, info: &ModelInfo) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let [float, packed] =
            ["float", "packed"].map(|name| folder.path().join(format!("{name}.safetensors")));
        Model::save(&float, network, info).unwrap();
        Model::save_packed(&packed, network, info).unwrap();
        Files {
            _folder: folder,
            float,
            packed,
        }
    }

    /// The packed file gives what the network stores, says the same of it, and gives the same file.
    #[track_caller]
    fn comes_back(network: &Network, info: &ModelInfo) -> Files {
        let files = files(network, info);
        let label = format!("{:?}", info.quantizer);
        let model = Model::load(&files.packed, &Device::Cpu).unwrap();
        assert!(model.packed && model.warnings.is_empty());
        assert!(!Model::load(&files.float, &Device::Cpu).unwrap().packed);
        assert_eq!(&model.info, info);
        let (own, other) = (network.stored().unwrap(), model.network.stored().unwrap());
        assert!(own == other, "{label}");
        let steps = |stored: &[Option<StoredWeight>]| -> Vec<u32> {
            stored
                .iter()
                .flatten()
                .map(|s| s.step().unwrap().to_bits())
                .collect()
        };
        assert_eq!(steps(&own), steps(&other), "{label}");
        assert_eq!(
            network.ranges().unwrap(),
            model.network.ranges().unwrap(),
            "{label}"
        );
        assert_eq!(logits(network), logits(&model.network), "{label}");
        let again = files.packed.with_file_name("again.safetensors");
        Model::save_packed(&again, &model.network, &model.info).unwrap();
        assert!(
            std::fs::read(&again).unwrap() == std::fs::read(&files.packed).unwrap(),
            "{label}"
        );
        files
    }

    #[test]
    fn words_steps_and_logits_come_back_bit_for_bit_from_a_smaller_file_that_repeats() {
        for (method, bits, signed) in Method::ALL
            .into_iter()
            .flat_map(|method| (1..=8).map(move |bits| (method, bits)))
            .flat_map(|(method, bits)| [true, false].map(|signed| (method, bits, signed)))
        {
            let info = info(quantizer(method, bits, signed));
            let network = network(&info);
            let files = comes_back(&network, &info);
            let [float, packed] =
                [&files.float, &files.packed].map(|path| path.metadata().unwrap().len());
            let weights: usize = network
                .layers()
                .iter()
                .map(|layer| layer.weight().elem_count())
                .sum();
            // beside the weights: the float file's header and floats, and two short entries for a layer
            let rest = float - 4 * weights as u64 + 5 * 200;
            assert!(
                packed <= weights as u64 * bits / 8 + rest,
                "{float} {packed}"
            );
            assert!(packed < float * bits / 32 + rest, "{float} {packed}");
        }
    }

    #[test]
    fn layers_of_several_widths_float_ones_and_zeros_come_back() {
        for method in Method::ALL {
            let mut spec = quantizer(method, 4, true);
            spec.skip = vec!["fc2".into()];
            spec.layer_bits = [("conv*", 3), ("fc1", 1)]
                .map(|(glob, bits)| (glob.to_owned(), Bits::new(bits).unwrap()))
                .into();
            let info = info(spec);
            let network = network(&info);
            for zero in [None, Some(0), Some(2)] {
                if let Some(place) = zero {
                    let weight = network.layers()[place].weight();
                    weight.set(&weight.zeros_like().unwrap()).unwrap();
                }
                let files = comes_back(&network, &info);
                let read = read_tensors(&files.packed).unwrap();
                let names: Vec<&str> = read.tensors.iter().map(|(name, _)| name.as_str()).collect();
                assert!(
                    names.contains(&"fc2.weight") && names.contains(&"fc3.weight.codes"),
                    "{names:?}"
                );
                assert!(!names.contains(&"fc3.weight"), "{names:?}");
                let model = Model::load(&files.packed, &Device::Cpu).unwrap();
                for (own, other) in network.layers().iter().zip(model.network.layers()) {
                    let (own, other) = (own.values().unwrap(), other.values().unwrap());
                    assert_eq!(max_abs(&own), max_abs(&other), "{method}");
                }
            }
        }
    }

    #[test]
    fn what_has_no_codes_or_no_numbers_is_not_packed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let refused = |network: &Network, info: &ModelInfo, message: &str| {
            let error = Model::save_packed(&path, network, info).unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().contains(message),
                "{error}"
            );
            assert!(!path.exists());
        };
        let float = info(QuantizerSpec::default());
        refused(
            &network(&float),
            &float,
            "expected a quantised model, whose weights are codes, found float",
        );
        let mut skipped = quantizer(Method::Normal, 4, true);
        skipped.skip = vec!["*".into()];
        let skipped = info(skipped);
        refused(&network(&skipped), &skipped, "expected a quantised model");
        for method in Method::ALL {
            let info = info(quantizer(method, 4, true));
            for wrong in [f32::NAN, f32::INFINITY] {
                let network = network(&info);
                let layer = &network.layers()[1];
                let mut values = layer.values().unwrap();
                values[5] = wrong;
                layer
                    .weight()
                    .set(&Tensor::from_vec(values, layer.weight().dims(), &Device::Cpu).unwrap())
                    .unwrap();
                refused(
                    &network,
                    &info,
                    "weights of layer `conv2`: expected finite numbers",
                );
            }
            let network = network(&info);
            if let Some(range) = network.layers()[1].range() {
                range
                    .set(&Tensor::new(f32::NAN, &Device::Cpu).unwrap())
                    .unwrap();
                refused(
                    &network,
                    &info,
                    "step of layer `conv2`: expected finite numbers",
                );
            }
        }
        // a description that is not the network's
        let own = info(quantizer(Method::Normal, 4, true));
        let other = info(quantizer(Method::Normal, 3, true));
        refused(&network(&own), &other, "conv1.weight.codes");
    }

    #[test]
    fn a_packed_file_cut_anywhere_is_an_error_that_names_it() {
        let info = info(quantizer(Method::Wcat, 1, true));
        let files = files(&network(&info), &info);
        let length = files.packed.metadata().unwrap().len();
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&files.packed)
            .unwrap();
        for length in (0..length).rev() {
            file.set_len(length).unwrap();
            let error = Model::load(&files.packed, &Device::Cpu).unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().contains("packed.safetensors"),
                "{error}"
            );
        }
    }

    /// Changes the tensors of a packed file and loads it.
    fn changed(path: &Path, change: impl FnOnce(&mut Vec<(String, Tensor)>)) -> Result<Model> {
        let mut file = read_tensors(path).unwrap();
        let metadata = file.own_metadata(path).unwrap().unwrap();
        change(&mut file.tensors);
        let damaged = path.with_file_name("damaged.safetensors");
        write_tensors(&damaged, &file.tensors, &metadata).unwrap();
        Model::load(&damaged, &Device::Cpu)
    }

    fn bytes(tensor: &[u8]) -> Tensor {
        Tensor::new(tensor, &Device::Cpu).unwrap()
    }

    #[test]
    fn a_tensor_that_is_missing_unexpected_or_wrong_is_named_with_the_file() {
        let info = info(quantizer(Method::Wcat, 3, true));
        let files = files(&network(&info), &info);
        let same = changed(&files.packed, |_| ()).unwrap();
        assert_eq!(same.checksum, store::sha256_of_file(&files.packed).unwrap());
        let refused = |tensor: &str, message: &str, with: Option<Tensor>| {
            let error = changed(&files.packed, |tensors| {
                tensors.retain(|(name, _)| name != tensor);
                tensors.extend(with.map(|value| (tensor.to_owned(), value)));
            });
            let error = error.unwrap_err().to_string();
            assert!(
                error.contains("damaged.safetensors") && error.contains(tensor),
                "{tensor}: {error}"
            );
            assert!(error.contains(message), "{tensor}: {error}");
        };
        for tensor in ["fc1.weight.codes", "fc1.weight.largest", "fc1.range"] {
            refused(
                tensor,
                "expected this tensor, in a model file that holds codes, found none",
                None,
            );
        }
        refused("fc1.bias", "missing: fc1.bias", None);
        let (one, two) = (
            Tensor::new(1f32, &Device::Cpu).unwrap(),
            Tensor::new(&[1f32; 2], &Device::Cpu).unwrap(),
        );
        refused(
            "fc9.weight.codes",
            "unexpected: fc9.weight.codes",
            Some(bytes(&[0])),
        );
        refused(
            "fc9.weight.largest",
            "unexpected: fc9.weight.largest",
            Some(one.clone()),
        );
        refused(
            "fc1.weight",
            "expected `fc1.weight.codes` alone",
            Some(one.clone()),
        );
        // 150 weights of 3 bits
        let expected = "150 codes of 3 bits in U8 [57]";
        refused("conv1.weight.codes", expected, Some(bytes(&[0; 56])));
        refused("conv1.weight.codes", expected, Some(bytes(&[0; 58])));
        refused(
            "conv1.weight.codes",
            expected,
            Some(bytes(&[0; 57]).reshape((57, 1)).unwrap()),
        );
        refused(
            "conv1.weight.codes",
            expected,
            Some(Tensor::new(&[0f32; 57], &Device::Cpu).unwrap()),
        );
        let mut unused = [0; 57];
        unused[56] = 0b100;
        refused("conv1.weight.codes", expected, Some(bytes(&unused)));
        for tensor in ["conv1.weight.largest", "conv1.range"] {
            let message = "expected one finite number, F32 []";
            for wrong in [f32::NAN, f32::INFINITY] {
                refused(
                    tensor,
                    "expected a finite number",
                    Some(Tensor::new(wrong, &Device::Cpu).unwrap()),
                );
            }
            refused(tensor, message, Some(two.clone()));
            refused(tensor, message, Some(bytes(&[1])));
        }
        // every code 0 cannot have a large weight
        let message = "expected a weight whose code is one of the layer's, found";
        let error = changed(&files.packed, |tensors| {
            tensors.retain(|(name, _)| name != "conv1.weight.codes");
            tensors.push(("conv1.weight.codes".into(), bytes(&[0; 57])));
        });
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("conv1.weight.largest") && error.contains(message),
            "{error}"
        );
    }

    #[test]
    fn codes_that_no_weights_have_are_an_error() {
        let info = info(quantizer(Method::Normal, 1, true));
        let files = files(&network(&info), &info);
        // weights of 0 have the code +1 alone
        let error = changed(&files.packed, |tensors| {
            tensors.retain(|(name, _)| name != "conv1.weight.largest");
            tensors.push((
                "conv1.weight.largest".into(),
                Tensor::new(0f32, &Device::Cpu).unwrap(),
            ));
        });
        let error = error.unwrap_err();
        assert!(error.is_wrong_input(), "{error}");
        let error = error.to_string();
        assert!(
            error.contains("conv1.weight.codes") && error.contains("that none has"),
            "{error}"
        );
    }

    #[test]
    fn a_float_description_does_not_go_with_codes() {
        let own = info(quantizer(Method::Normal, 4, true));
        let files = files(&network(&own), &own);
        let read = read_tensors(&files.packed).unwrap();
        let text = serde_json::to_string(&info(QuantizerSpec::default())).unwrap();
        write_tensors(
            &files.packed,
            &read.tensors,
            &[("model".to_owned(), text)].into(),
        )
        .unwrap();
        let error = Model::load(&files.packed, &Device::Cpu)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("packed.safetensors")
                && error.contains("unexpected: conv1.weight.codes"),
            "{error}"
        );
    }
}
