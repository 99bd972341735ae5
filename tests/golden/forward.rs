//! The public ResNet-20, float and quantised after training: codes, logits, accuracies, errors of our own ranges.

use crate::files::{files, floats, number, required, test_set, weights};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::path::Path;
use wcat_explore::code::CodeFormat;
use wcat_explore::data::{load_cifar_file, DatasetName, ImageSet};
use wcat_explore::engine::{Evaluator, Images, Score};
use wcat_explore::net::{Model, Network};
use wcat_explore::quant::{expected_error, ClipGradient, Init, Method, QuantizerSpec, Scheme};
use wcat_explore::store;
use wcat_explore::units::Bits;

const WEIGHTS: &str = "resnet20-12fca82f.th";
/// Records whose logits are listed.
const RECORDS: u32 = 16;

/// The checkpoint's model; `None` where it is not there.
fn model() -> Option<Model> {
    weights(WEIGHTS).map(|path| Model::load(&path, &Device::Cpu).unwrap())
}

/// The listed records as the checkpoint takes them; `None` where the data are not there.
fn images(model: &Model) -> Option<Tensor> {
    let set = test_set(DatasetName::Cifar10)?;
    let indices: Vec<u32> = (0..RECORDS).collect();
    let pixels = set.batch(&indices, model.info.normalization.as_ref().unwrap(), None);
    Some(Tensor::from_vec(pixels, (RECORDS as usize, 3, 32, 32), &Device::Cpu).unwrap())
}

#[test]
fn resnet20_matches_float_and_quantised() {
    for (path, json) in files("resnet20_fwd") {
        let Some(model) = model() else { continue };
        let Some(images) = images(&model) else {
            continue;
        };
        let flat = images.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let head = floats(&json["input_first_record_normalised_head"]);
        assert!(
            head.iter().zip(&flat).all(|(a, b)| (a - b).abs() < 1e-6),
            "{path}: input"
        );
        for (name, net) in json["nets"].as_object().unwrap() {
            check_net(
                &format!("{path}: {name}"),
                name,
                net,
                &model.network,
                &images,
            );
        }
    }
}

fn check_net(at: &str, name: &str, net: &Value, network: &Network, images: &Tensor) {
    let mut weights: Vec<Tensor> = network
        .layers()
        .iter()
        .map(|layer| layer.weight().as_detached_tensor())
        .collect();
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
    let logits = network
        .logits(images, &weights)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    for (ours, golden) in logits.iter().zip(net["logits"].as_array().unwrap()) {
        let close = ours
            .iter()
            .zip(floats(golden))
            .all(|(a, b)| (a - b).abs() < 2e-3);
        assert!(close, "{at}: logits {ours:?} are not {golden}");
    }
}

/// Quantises a layer with the listed range (the step for `lsq`), checks its codes, and gives its values.
fn quantise(at: &str, name: &str, golden: &Value, weights: &[f32]) -> Vec<f32> {
    let (bits, method) = width_and_method(name);
    let format = CodeFormat::new(bits, true).unwrap();
    let scheme = Scheme {
        method,
        format,
        clip_gradient: ClipGradient::Ste,
        grad_scale: true,
    };
    let range = match method {
        Method::Lsq => number(&golden["step"]) as f32,
        Method::Normal => 0.0,
        _ => number(&golden["q_range"]) as f32,
    };
    let quantized = scheme.quantize(weights, range);
    let sum: i64 = quantized.codes.iter().map(|&code| i64::from(code)).sum();
    let bytes: Vec<u8> = quantized
        .codes
        .iter()
        .flat_map(|&code| (code as i8).to_le_bytes())
        .collect();
    assert!(
        (f64::from(quantized.step) / number(&golden["step"]) - 1.0).abs() < 1e-6,
        "{at}: step"
    );
    assert_eq!(
        Some(sum),
        golden["codes_sum"].as_i64(),
        "{at}: sum of codes"
    );
    assert_eq!(
        Some(store::sha256(&bytes).as_str()),
        golden["codes_sha256_i8"].as_str(),
        "{at}: codes"
    );
    quantized.values()
}

/// `8bit_wcat_max_abs`: 8 bits, `wcat`.
fn width_and_method(name: &str) -> (Bits, Method) {
    let (width, method) = name.split_once("bit_").unwrap();
    (
        Bits::new(width.parse().unwrap()).unwrap(),
        method.split('_').next().unwrap().parse().unwrap(),
    )
}

/// Quantised as `quantize` does it, then with the listed range (the step for `lsq`) in each layer.
fn with_listed_ranges(model: &Model, name: &str, net: &Value) -> Network {
    if name == "fp32" {
        return model.quantized(&QuantizerSpec::default()).unwrap().network;
    }
    let (bits, method) = width_and_method(name);
    let network = model
        .quantized(&QuantizerSpec {
            method,
            bits,
            ..QuantizerSpec::default()
        })
        .unwrap()
        .network;
    let key = if method == Method::Lsq {
        "step"
    } else {
        "q_range"
    };
    for (layer, golden) in network
        .layers()
        .iter()
        .zip(net["layers"].as_array().unwrap())
    {
        if let Some(range) = layer.range() {
            range
                .set(&Tensor::new(number(&golden[key]) as f32, &Device::Cpu).unwrap())
                .unwrap();
        }
    }
    network
}

/// All images of a set as the model takes them.
fn whole(set: &ImageSet, model: &Model) -> Images {
    let indices: Vec<u32> = (0..set.len() as u32).collect();
    let pixels = set.batch(&indices, model.info.normalization.as_ref().unwrap(), None);
    Images::new(pixels, [3, 32, 32], set.labels(&indices), &Device::Cpu).unwrap()
}

fn per_cent(score: &Score) -> f64 {
    100.0 * score.accuracy()
}

#[test]
fn resnet20_has_the_listed_accuracies_and_ours_is_told() {
    let (Some(model), Some(set)) = (model(), test_set(DatasetName::Cifar10)) else {
        return;
    };
    let jpeg = whole(&set, &model);
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/cifar10-test1000-lossless.bin");
    assert!(file.exists() || !required(), "no {}", file.display());
    let lossless = file.exists().then(|| {
        whole(
            &load_cifar_file(&file, DatasetName::Cifar10).unwrap(),
            &model,
        )
    });
    for (path, json) in files("resnet20_fwd") {
        // `normal` and WCAT at the largest weight store the same words: evaluated once
        let mut known: Vec<(Vec<_>, Score)> = Vec::new();
        for (name, net) in json["nets"].as_object().unwrap() {
            let at = format!("{path}: {name}");
            let evaluator = Evaluator::new(with_listed_ranges(&model, name, net)).unwrap();
            let words = evaluator.words().to_vec();
            let score = match known.iter().find(|(other, _)| *other == words) {
                Some((_, score)) => *score,
                None => evaluator.clean(&jpeg).unwrap(),
            };
            let (ours, listed) = (per_cent(&score), number(&net["top1_jpeg10k"]));
            assert!(
                (ours - listed).abs() <= 0.03,
                "{at}: top-1 {ours} is not {listed}"
            );
            let listed = number(&net["loss_jpeg10k"]);
            assert!(
                (score.loss - listed).abs() <= 1e-3,
                "{at}: loss {} is not {listed}",
                score.loss
            );
            if let Some(lossless) = &lossless {
                let (ours, listed) = (
                    per_cent(&evaluator.clean(lossless).unwrap()),
                    number(&net["top1_lossless1000"]),
                );
                assert!(
                    (ours - listed).abs() < 0.11,
                    "{at}: lossless top-1 {ours} is not {listed}"
                );
            }
            known.push((words, score));
        }
        let listed = number(&json["nets"]["4bit_wcat_MSE"]["top1_jpeg10k"]);
        let ours = Evaluator::new(
            model
                .quantized(&search(Bits::new(4).unwrap()))
                .unwrap()
                .network,
        )
        .unwrap();
        let ours = per_cent(&ours.clean(&jpeg).unwrap());
        eprintln!("4 bits, `mse`: our ranges {ours:.2} %, the listed ones {listed:.2} %");
        assert!(
            (ours - listed).abs() < 2.0,
            "{path}: ranges of nearly the same error, {ours} and {listed} %"
        );
    }
}

/// WCAT with ranges of the least squared error.
fn search(bits: Bits) -> QuantizerSpec {
    QuantizerSpec {
        method: Method::Wcat,
        bits,
        init: Some(Init::Mse),
        ..QuantizerSpec::default()
    }
}

#[test]
fn the_mse_search_leaves_no_layer_of_resnet20_a_larger_error_than_the_listed_range() {
    let Some(model) = model() else { return };
    for (path, json) in files("resnet20_fwd") {
        for (name, net) in json["nets"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| name.contains("wcat"))
        {
            let network = model
                .quantized(&search(width_and_method(name).0))
                .unwrap()
                .network;
            let ranges = network.ranges().unwrap();
            for ((layer, (_, range)), golden) in network
                .layers()
                .iter()
                .zip(ranges)
                .zip(net["layers"].as_array().unwrap())
            {
                let (weights, scheme) = (layer.values().unwrap(), layer.scheme().unwrap());
                let at = format!("{path}: {name}: {}", layer.name());
                let theirs =
                    expected_error(scheme, &weights, number(&golden["q_range"]) as f32, 0.0);
                assert!(
                    (theirs / number(&golden["mse"]) - 1.0).abs() < 1e-4,
                    "{at}: {theirs}"
                );
                let ours = expected_error(scheme, &weights, range, 0.0);
                assert!(ours <= theirs, "{at}: {ours} at {range} is above {theirs}");
            }
        }
    }
}
