//! The progressive bit search on a perceptron for MNIST: the same flips, step by step.

use crate::files::{files, floats, number, test_set, weights};
use candle_core::Device;
use serde_json::Value;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use wcat_explore::attack::{bit_search, AttackSpec, Flip, Target};
use wcat_explore::data::{DatasetName, DatasetSpec, ImageSet};
use wcat_explore::engine::{Evaluator, Images};
use wcat_explore::net::Model;
use wcat_explore::quant::{Method, QuantizerSpec};
use wcat_explore::units::{Accuracy, Bits};

/// Largest difference of a loss.
const LOSS: f64 = 1e-4;
/// Largest difference of a test accuracy, in per cent: three of 10,000 images.
const ACCURACY: f64 = 0.03;

#[test]
fn every_step_of_the_bit_search_matches() {
    for (path, json) in files("bfa") {
        let Some(set) = test_set(DatasetName::Mnist) else {
            continue;
        };
        for (name, net) in json["nets"].as_object().unwrap() {
            // `<net>_4bit` is of `<net>_mnist.safetensors`
            let file = format!("{}_mnist.safetensors", name.rsplit_once('_').unwrap().0);
            let Some(weights) = weights(&file) else {
                continue;
            };
            check_net(&format!("{path}: {name}"), &json, net, &weights, &set);
        }
    }
}

fn check_net(at: &str, json: &Value, net: &Value, weights: &Path, set: &ImageSet) {
    let quantizer = QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(net["N_bits"].as_u64().unwrap()).unwrap(),
        ..QuantizerSpec::default()
    };
    let model = Model::load(weights, &Device::Cpu)
        .unwrap()
        .quantized(&quantizer)
        .unwrap();
    for ((name, range), layer) in model
        .network
        .ranges()
        .unwrap()
        .iter()
        .zip(net["layers"].as_array().unwrap())
    {
        assert_eq!(Some(name.as_str()), layer["name"].as_str(), "{at}");
        assert!(
            (f64::from(*range) / number(&layer["q_range"]) - 1.0).abs() < 1e-6,
            "{at}: range of {name}"
        );
    }
    let dataset = DatasetSpec::of(DatasetName::Mnist);
    let images = |indices: &[u32]| {
        let pixels = set.batch(indices, &dataset.normalization(), None);
        Images::new(pixels, [1, 28, 28], set.labels(indices), &Device::Cpu).unwrap()
    };
    let indices: Vec<u32> = floats(&json["sample_indices"])
        .into_iter()
        .map(|i| i as u32)
        .collect();
    let labels: Vec<u32> = floats(&json["labels"])
        .into_iter()
        .map(|label| label as u32)
        .collect();
    assert_eq!(set.labels(&indices), labels, "{at}: labels");
    let (batch, test) = (
        images(&indices),
        images(&(0..set.len() as u32).collect::<Vec<_>>()),
    );
    let evaluator = Evaluator::new(model.network).unwrap();
    let steps = net["iters"].as_array().unwrap();
    let spec = AttackSpec {
        flips: net["bit_counter"].as_u64().unwrap(),
        until_accuracy: Some(Accuracy::new(0.0).unwrap()),
        k_top: 100,
        ..AttackSpec::default()
    };
    let target = Target {
        evaluator: &evaluator,
        batch: &batch,
        test: &test,
    };
    let mut found: Vec<Vec<Flip>> = Vec::new();
    let mut sink = |step: &[Flip]| {
        found.push(step.to_vec());
        Ok(())
    };
    let outcome = bit_search(&target, &spec, &AtomicBool::new(false), &mut sink).unwrap();
    let clean = number(&net["quant_test_top1"]) / 100.0;
    assert!(
        100.0 * (outcome.clean_accuracy - clean).abs() <= ACCURACY + 1e-9,
        "{at}: {outcome:?}"
    );
    assert_eq!(
        (found.len(), outcome.flips),
        (steps.len(), spec.flips),
        "{at}"
    );
    found
        .iter()
        .zip(steps)
        .for_each(|(flips, step)| check_step(at, flips, step));
}

fn check_step(at: &str, flips: &[Flip], step: &Value) {
    let at = format!("{at}: step {}", step["iter"]);
    let mut expected: Vec<(String, u64, i64, i64, u64)> = Vec::new();
    for flip in step["flips"].as_array().unwrap() {
        let code = |key: &str| flip[key].as_i64().unwrap();
        let [bit] = flip["bits"].as_array().unwrap().as_slice() else {
            panic!("{at}: one bit per weight")
        };
        expected.push((
            flip["layer"].as_str().unwrap().to_owned(),
            flip["weight_index"].as_u64().unwrap(),
            code("old_code"),
            code("new_code"),
            bit.as_u64().unwrap(),
        ));
    }
    let ours: Vec<(String, u64, i64, i64, u64)> = flips
        .iter()
        .map(|f| {
            (
                f.layer.clone(),
                f.weight,
                f.old_code.into(),
                f.new_code.into(),
                f.bit.into(),
            )
        })
        .collect();
    assert_eq!(ours, expected, "{at}");
    let near = |ours: f64, key: &str, tolerance: f64| {
        assert!(
            (ours - number(&step[key])).abs() <= tolerance,
            "{at}: {key}: {ours} is not {}",
            step[key]
        );
    };
    let last = flips.last().unwrap();
    near(last.loss_before.unwrap(), "loss_before", LOSS);
    near(last.loss_after.unwrap(), "loss_after", LOSS);
    near(100.0 * last.accuracy.unwrap(), "test_top1", ACCURACY + 1e-9);
}
