//! Codes that came with a file, as tensors of a model file: they stand in place of the layer's float weights.

use super::network::Network;
use super::packed::{layer_words, numbers, values, CODES};
use crate::code::{pack, CodeFormat};
use crate::error::{refuse, Result};
use crate::quant::{Scale, StoredWeight};
use crate::units::Bits;
use candle_core::{Device, Tensor};

/// After a layer's name: bits of a code, and 1 where codes are signed, else 0; U8 [2].
const FORMAT: &str = ".weight.format";
/// After a layer's name: its steps, F32 [1], or [out] where output channels have their own.
const STEPS: &str = ".weight.steps";
/// After a layer's name: as many zero points, whole numbers in F32.
const ZEROS: &str = ".weight.zeros";

/// The tensors of a model file: the state of the network, and for the layers that keep codes of a file words without
/// gaps, format, steps and zero points.
///
/// # Errors
/// A tensor failure.
pub(super) fn file_state(network: &Network) -> Result<Vec<(String, Tensor)>> {
    let mut state = network.state()?;
    // the description has them
    let learned = network.learned_ranges();
    state.retain(|(name, _)| learned.iter().all(|own| own.name != *name));
    for layer in network.layers() {
        let Some(given) = layer.given_codes() else {
            continue;
        };
        let format = [given.format.bits() as u8, u8::from(given.format.signed())];
        let steps: Vec<f32> = given.scales.iter().map(|scale| scale.step).collect();
        let zeros: Vec<f32> = given.scales.iter().map(|s| f32::from(s.zero)).collect();
        let codes = pack(&given.words, given.format.bits());
        for (end, tensor) in [
            (CODES, Tensor::new(codes, &Device::Cpu)?),
            (FORMAT, Tensor::new(&format, &Device::Cpu)?),
            (STEPS, Tensor::new(steps, &Device::Cpu)?),
            (ZEROS, Tensor::new(zeros, &Device::Cpu)?),
        ] {
            state.push((format!("{}{end}", layer.name()), tensor));
        }
    }
    Ok(state)
}

/// Gives the layers the codes that a model file keeps for them; the other tensors are left.
///
/// # Errors
/// [`crate::error::Error::Argument`] that names the tensor which is missing or wrong.
pub(super) fn take_given(
    network: &mut Network,
    mut tensors: Vec<(String, Tensor)>,
) -> Result<Vec<(String, Tensor)>> {
    let layers: Vec<(String, Vec<usize>)> = network
        .layers()
        .iter()
        .map(|layer| (layer.name().to_owned(), layer.weight().dims().to_vec()))
        .collect();
    for (layer, shape) in layers {
        let is_own = |name: &str, ends: &[&str]| {
            let end = name.strip_prefix(layer.as_str());
            end.is_some_and(|end| ends.contains(&end))
        };
        let marks = [FORMAT, STEPS, ZEROS];
        if tensors.iter().any(|(name, _)| is_own(name, &marks)) {
            let stored = stored_of(&layer, shape, &tensors)?;
            network.keep_codes(&layer, stored)?;
            tensors.retain(|(name, _)| !is_own(name, &[CODES, FORMAT, STEPS, ZEROS]));
        }
    }
    Ok(tensors)
}

/// What a file keeps of a layer of this shape.
fn stored_of(layer: &str, shape: Vec<usize>, tensors: &[(String, Tensor)]) -> Result<StoredWeight> {
    let format = format_of(layer, tensors)?;
    let channels = shape.first().copied().unwrap_or(1);
    let steps_name = format!("{layer}{STEPS}");
    let steps = vector(&steps_name, &[1, channels], tensors)?;
    if let Some(channel) = steps.iter().position(|step| *step <= 0.0) {
        let found = format!("{} at [{channel}]", steps[channel]);
        let expected = "finite numbers above 0";
        return refuse(steps_name, expected, found);
    }
    let zeros_name = format!("{layer}{ZEROS}");
    let zeros = vector(&zeros_name, &[steps.len()], tensors)?;
    let is_zero = |zero: &f32| zero.fract() == 0.0 && (-128.0..=255.0).contains(zero);
    if let Some(channel) = zeros.iter().position(|zero| !is_zero(zero)) {
        let found = format!("{} at [{channel}]", zeros[channel]);
        let expected = "whole numbers from -128 to 255";
        return refuse(zeros_name, expected, found);
    }
    let scale = |(step, zero): (f32, f32)| Scale {
        step,
        zero: zero as i16,
    };
    Ok(StoredWeight {
        words: layer_words(tensors, layer, shape.iter().product(), format.bits())?,
        scales: steps.into_iter().zip(zeros).map(scale).collect(),
        format,
        shape,
    })
}

fn format_of(layer: &str, tensors: &[(String, Tensor)]) -> Result<CodeFormat> {
    let name = format!("{layer}{FORMAT}");
    let expected = "bits of a code, 1 to 8, and 1 (signed) or 0, in U8 [2]";
    let values = values::<u8>(tensors, &name, expected, |dims| dims == [2])?;
    match values[..] {
        [bits @ 1..=8, signed @ 0..=1] => CodeFormat::new(Bits::new(bits.into())?, signed == 1),
        _ => refuse(name, expected, format!("{values:?}")),
    }
}

/// Finite numbers, of one of these lengths.
fn vector(name: &str, lengths: &[usize], tensors: &[(String, Tensor)]) -> Result<Vec<f32>> {
    let shapes: Vec<String> = lengths.iter().map(|n| format!("[{n}]")).collect();
    let expected = format!("finite numbers, F32 {}", shapes.join(" or "));
    let fits = |dims: &[usize]| matches!(dims, [n] if lengths.contains(n));
    numbers(tensors, name, &expected, fits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{read_tensors, write_tensors, Architecture, Model, ModelInfo};
    use crate::quant::{channel_wise, Method, QuantizerSpec};
    use crate::seed::Seed;
    use std::path::Path;

    fn info(bits: u64) -> ModelInfo {
        ModelInfo {
            quantizer: QuantizerSpec {
                method: Method::Normal,
                bits: Bits::new(bits).unwrap(),
                ..QuantizerSpec::default()
            },
            ..ModelInfo::of(Architecture::Lenet5.into(), 10)
        }
    }

    /// LeNet-5 that keeps codes of a file in all layers but two.
    fn network(info: &ModelInfo) -> Network {
        let (architecture, quantizer) = (info.architecture.clone(), &info.quantizer);
        let mut network = Network::new(architecture, 10, quantizer, Seed(1), &Device::Cpu)
            .unwrap()
            .0;
        let one = StoredWeight {
            scales: vec![Scale {
                step: 0.01,
                zero: 128,
            }],
            ..channel_wise(&[84, 120], 8, false)
        };
        for (layer, stored) in [
            ("conv2", channel_wise(&[16, 6, 5, 5], 3, true)),
            ("fc2", one),
            ("fc3", channel_wise(&[10, 84], 1, true)),
        ] {
            network.keep_codes(layer, stored).unwrap();
        }
        network
    }

    fn same(a: &Network, b: &Network) -> bool {
        let (a, b) = (a.stored().unwrap(), b.stored().unwrap());
        a.iter().zip(&b).all(|(a, b)| match (a, b) {
            (Some(a), Some(b)) => a.is_same(b),
            (a, b) => a.is_none() && b.is_none(),
        })
    }

    #[test]
    fn words_steps_and_zero_points_come_back_from_either_form_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for bits in [32, 4] {
            let info = info(bits);
            let network = network(&info);
            for packed in [false, true] {
                let path = folder.path().join(format!("{bits}-{packed}.safetensors"));
                let save = |path: &Path, network: &Network, info: &ModelInfo| {
                    if packed {
                        Model::save_packed(path, network, info).unwrap()
                    } else {
                        Model::save(path, network, info).unwrap()
                    }
                };
                save(&path, &network, &info);
                let model = Model::load(&path, &Device::Cpu).unwrap();
                assert!(same(&network, &model.network), "{bits} {packed}");
                assert_eq!(model.info.format, 2);
                assert_eq!(model.packed, packed && bits == 4);
                assert!(model.warnings.is_empty(), "{:?}", model.warnings);
                let given = |network: &Network| -> Vec<bool> {
                    let layers = network.layers().iter();
                    layers.map(|l| l.given_codes().is_some()).collect()
                };
                assert_eq!(given(&model.network), [false, true, false, true, true]);
                let again = folder.path().join("again.safetensors");
                save(&again, &model.network, &model.info);
                assert_eq!(
                    std::fs::read(&again).unwrap(),
                    std::fs::read(&path).unwrap()
                );
            }
        }
    }

    #[test]
    fn another_quantiser_leaves_the_codes_unless_they_are_quantised_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let float = info(32);
        Model::save(&path, &network(&float), &float).unwrap();
        let model = Model::load(&path, &Device::Cpu).unwrap();
        let kept = model.quantized(&info(4).quantizer).unwrap();
        let bits = |network: &Network| -> Vec<u32> {
            let stored = network.stored().unwrap();
            stored
                .into_iter()
                .flatten()
                .map(|s| s.format.bits())
                .collect()
        };
        assert_eq!(bits(&kept.network), [4, 3, 4, 8, 1]);
        assert_eq!(
            kept.network.stored().unwrap()[1],
            model.network.stored().unwrap()[1]
        );
        let anew = model.requantized(&info(4).quantizer).unwrap();
        assert_eq!(bits(&anew.network), [4; 5]);
        assert_eq!(
            anew.network.layers()[1].values().unwrap(),
            model.network.layers()[1].values().unwrap()
        );
        Model::save(&path, &anew.network, &anew.info).unwrap();
        assert_eq!(Model::load(&path, &Device::Cpu).unwrap().info.format, 1);
    }

    #[test]
    fn a_tensor_that_is_missing_or_wrong_is_named_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.safetensors");
        let info = info(32);
        Model::save(&path, &network(&info), &info).unwrap();
        let whole = read_tensors(&path).unwrap();
        let metadata = whole.own_metadata(&path).unwrap().unwrap();
        let refused = |name: &str, with: Option<Tensor>, words: &str| {
            let mut tensors = whole.tensors.clone();
            tensors.retain(|(known, _)| known != name);
            tensors.extend(with.map(|tensor| (name.to_owned(), tensor)));
            let damaged = folder.path().join("damaged.safetensors");
            write_tensors(&damaged, &tensors, &metadata).unwrap();
            let error = Model::load(&damaged, &Device::Cpu).unwrap_err();
            assert!(error.is_wrong_input(), "{error}");
            let error = error.to_string();
            let named = error.contains("damaged.safetensors") && error.contains(name);
            assert!(named && error.contains(words), "{name}: {error}");
        };
        let bytes = |values: &[u8]| Some(Tensor::new(values, &Device::Cpu).unwrap());
        let floats = |values: &[f32]| Some(Tensor::new(values, &Device::Cpu).unwrap());
        for end in ["codes", "format", "steps", "zeros"] {
            refused(&format!("fc3.weight.{end}"), None, "expected this tensor");
        }
        refused("fc3.weight", floats(&[1.0]), "unexpected: fc3.weight");
        refused("fc9.weight.steps", floats(&[1.0]), "unexpected: fc9");
        let expected = "expected bits of a code, 1 to 8";
        for wrong in [&[0, 1][..], &[9, 1], &[1, 2], &[1]] {
            refused("fc3.weight.format", bytes(wrong), expected);
        }
        // 840 codes of 1 bit
        let expected = "840 codes of 1 bits in U8 [105]";
        refused("fc3.weight.codes", bytes(&[0; 104]), expected);
        let expected = "finite numbers, F32 [1] or [10]";
        for wrong in [0, 2, 9, 11] {
            refused("fc3.weight.steps", floats(&vec![0.5; wrong]), expected);
        }
        refused("fc3.weight.steps", bytes(&[1; 10]), expected);
        refused("fc3.weight.zeros", floats(&[0.0]), "F32 [10]");
        let place = |wrong: f32| {
            let mut values = vec![0.5f32; 10];
            values[7] = wrong;
            floats(&values)
        };
        for (wrong, found) in [(0.0, "found 0 at [7]"), (-0.5, "found -0.5 at [7]")] {
            refused("fc3.weight.steps", place(wrong), found);
        }
        for wrong in [f32::NAN, f32::INFINITY] {
            refused("fc3.weight.steps", place(wrong), "a finite number");
        }
        for wrong in [256.0, -129.0, 0.5] {
            let zeros: Vec<f32> = (0..10).map(|i| if i == 7 { wrong } else { 0.0 }).collect();
            let found = format!("expected whole numbers from -128 to 255, found {wrong} at [7]");
            refused("fc3.weight.zeros", floats(&zeros), &found);
        }
    }
}
