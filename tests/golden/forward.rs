//! Forward passes of the public ResNet-20, float and quantised after training.

use crate::files::{files, floats, folder, number};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::PathBuf;
use wcat_explore::code::CodeFormat;
use wcat_explore::data::{load, DatasetName, DatasetSpec, Split};
use wcat_explore::net::{Model, Network};
use wcat_explore::quant::{ClipGradient, Method, Scheme};
use wcat_explore::store;
use wcat_explore::units::Bits;

const WEIGHTS: &str = "resnet20-12fca82f.th";
/// Records whose logits are listed.
const RECORDS: u32 = 16;

/// The checkpoint, beside the golden files or in `shared`.
fn checkpoint() -> Option<PathBuf> {
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/weights"));
    [folder().join("weights"), folder(), shared]
        .into_iter()
        .map(|f| f.join(WEIGHTS))
        .find(|path| path.exists())
}

/// The listed records as the checkpoint takes them; `None` where the data are not there.
fn images(model: &Model) -> Option<Tensor> {
    let data = store::cache_folder().unwrap();
    let set = load(&DatasetSpec::of(DatasetName::Cifar10), Split::Test, &data).ok()?;
    let indices: Vec<u32> = (0..RECORDS).collect();
    let pixels = set.batch(&indices, model.info.normalization.as_ref().unwrap(), None);
    Some(Tensor::from_vec(pixels, (RECORDS as usize, 3, 32, 32), &Device::Cpu).unwrap())
}

#[test]
fn resnet20_matches_float_and_quantised() {
    for (path, json) in files("resnet20_fwd") {
        let required = std::env::var_os("WCAT_REQUIRE_DATA").is_some();
        let Some(checkpoint) = checkpoint() else {
            assert!(!required, "{WEIGHTS} is not in {} nor in its weights/", folder().display());
            continue;
        };
        let model = Model::load(&checkpoint, &Device::Cpu).unwrap();
        let Some(images) = images(&model) else {
            assert!(!required, "CIFAR-10 is not in the cache folder");
            continue;
        };
        let flat = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let head = floats(&json["input_first_record_normalised_head"]);
        assert!(head.iter().zip(&flat).all(|(a, b)| (a - b).abs() < 1e-6), "{path}: input");
        for (name, net) in json["nets"].as_object().unwrap() {
            check_net(&format!("{path}: {name}"), name, net, &model.network, &images);
        }
    }
}

fn check_net(at: &str, name: &str, net: &Value, network: &Network, images: &Tensor) {
    let mut weights: Vec<Tensor> =
        network.layers().iter().map(|layer| layer.weight().as_detached_tensor()).collect();
    if name != "fp32" {
        let listed = net["layers"].as_array().unwrap();
        assert_eq!(listed.len(), weights.len(), "{at}");
        for ((layer, golden), weight) in network.layers().iter().zip(listed).zip(&mut weights) {
            let at = format!("{at}: {}", layer.name());
            assert_eq!(golden["name"].as_str(), Some(layer.name()), "{at}");
            let values = quantise(&at, name, golden, &layer.values().unwrap());
            *weight = Tensor::from_vec(values, layer.weight().dims(), &Device::Cpu).unwrap();
        }
    }
    let logits = network.logits(images, &weights).unwrap().to_vec2::<f32>().unwrap();
    for (ours, golden) in logits.iter().zip(net["logits"].as_array().unwrap()) {
        let close = ours.iter().zip(floats(golden)).all(|(a, b)| (a - b).abs() < 2e-3);
        assert!(close, "{at}: logits {ours:?} are not {golden}");
    }
}

/// Quantises a layer with the listed range (the step for `lsq`), checks its codes, and gives its values.
fn quantise(at: &str, name: &str, golden: &Value, weights: &[f32]) -> Vec<f32> {
    let (width, method) = name.split_once("bit_").unwrap();
    let method: Method = method.split('_').next().unwrap().parse().unwrap();
    let format = CodeFormat::new(Bits::new(width.parse().unwrap()).unwrap(), true).unwrap();
    let scheme = Scheme { method, format, clip_gradient: ClipGradient::Ste, grad_scale: true };
    let range = match method {
        Method::Lsq => number(&golden["step"]) as f32,
        Method::Normal => 0.0,
        _ => number(&golden["q_range"]) as f32,
    };
    let quantized = scheme.quantize(weights, range);
    let sum: i64 = quantized.codes.iter().map(|&code| i64::from(code)).sum();
    let bytes: Vec<u8> = quantized.codes.iter().flat_map(|&code| (code as i8).to_le_bytes()).collect();
    assert!((f64::from(quantized.step) / number(&golden["step"]) - 1.0).abs() < 1e-6, "{at}: step");
    assert_eq!(Some(sum), golden["codes_sum"].as_i64(), "{at}: sum of codes");
    assert_eq!(Some(store::sha256(&bytes).as_str()), golden["codes_sha256_i8"].as_str(), "{at}: codes");
    quantized.values()
}
