//! Logits of the networks of torchvision and timm, weights and images by a formula; `networks.py` made the file.

use crate::files::{files, floats};
use candle_core::{Device, Tensor};
use serde_json::Value;
use wcat_explore::engine::{Evaluator, Images, Plain};
use wcat_explore::net::{Architecture, Network};
use wcat_explore::quant::QuantizerSpec;
use wcat_explore::seed::Seed;

/// Numbers in [-1, 1) by hashing the name and the index.
fn uniform(name: &str, count: usize) -> Vec<f64> {
    let start = name.bytes().fold(0u32, |sum, byte| {
        sum.wrapping_mul(31).wrapping_add(u32::from(byte))
    });
    let number = |index: usize| {
        let mut x = (index as u32).wrapping_add(start);
        for (factor, shift) in [
            (2_654_435_761, 15),
            (2_246_822_519, 13),
            (3_266_489_917, 16),
        ] {
            x = x.wrapping_mul(factor);
            x ^= x >> shift;
        }
        f64::from(x) / f64::from(1u32 << 31) - 1.0
    };
    (0..count).map(number).collect()
}

fn tensor(name: &str, shape: &[usize]) -> Tensor {
    let fan_in: usize = shape[1..].iter().product();
    let value = |u: f64| match shape.len() {
        _ if name.ends_with("running_var") => 1.0 + 0.5 * u,
        1 if name.ends_with("weight") => 0.7 + 0.3 * u,
        1 => 0.1 * u,
        _ if name == "cls_token" || name == "pos_embed" => 0.5 * u,
        _ => u * (3.0 / fan_in as f64).sqrt(),
    };
    let values: Vec<f32> = uniform(name, shape.iter().product())
        .into_iter()
        .map(|u| value(u) as f32)
        .collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

fn state(golden: &Value) -> Vec<(String, Tensor)> {
    let tensors = golden["tensors"].as_object().unwrap().iter();
    let shape = |shape: &Value| -> Vec<usize> {
        shape
            .as_array()
            .unwrap()
            .iter()
            .map(|n| n.as_u64().unwrap() as usize)
            .collect()
    };
    tensors
        .map(|(name, dims)| (name.clone(), tensor(name, &shape(dims))))
        .collect()
}

#[test]
fn logits_and_names_are_those_of_torchvision_and_timm() {
    let golden = files("networks");
    assert!(!golden.is_empty());
    for (path, json) in golden {
        for (name, golden) in json["networks"].as_object().unwrap() {
            check(&format!("{path}: {name}"), name, golden);
        }
    }
}

/// Strict loading of the listed tensors; logits by candle and by the engine.
fn check(at: &str, name: &str, golden: &Value) {
    let state = state(golden);
    let shape_of = |name: &str| {
        let tensor = state.iter().find(|(known, _)| known == name);
        tensor.map(|(_, tensor)| tensor.dims())
    };
    let (architecture, classes) = Architecture::of_shapes(&shape_of).unwrap();
    assert_eq!(architecture.to_string(), name, "{at}");
    let quantizer = QuantizerSpec::default();
    let mut network = Network::new(architecture, classes, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0;
    network.load_state(&state).unwrap();
    let truth: Vec<Vec<f32>> = golden["logits"]
        .as_array()
        .unwrap()
        .iter()
        .map(floats)
        .collect();
    let shape = [3, 224, 224];
    let size = truth.len() * shape.iter().product::<usize>();
    let pixels: Vec<f32> = uniform("images", size)
        .into_iter()
        .map(|u| (1.5 * u) as f32)
        .collect();
    let batch = Tensor::from_slice(&pixels, (truth.len(), 3, 224, 224), &Device::Cpu).unwrap();
    let logits = network
        .logits(&batch, &network.effective_weights().unwrap())
        .unwrap();
    for (ours, truth) in logits.to_vec2::<f32>().unwrap().iter().zip(&truth) {
        let close =
            ours.len() == truth.len() && ours.iter().zip(truth).all(|(a, b)| (a - b).abs() < 1e-4);
        assert!(close, "{at}: {ours:?} are not {truth:?}");
    }
    // a score says little of single logits, but its loss moves with all of them
    let labels = (0..truth.len() as u32).collect();
    let images = Images::new(pixels, shape, labels, &Device::Cpu).unwrap();
    let evaluator = Evaluator::new(network).unwrap();
    assert!(evaluator.multiplications().is_some(), "{at}: compiled");
    let (fast, plain) = (
        evaluator.clean(&images).unwrap(),
        Plain::new(&evaluator).unwrap().clean(&images).unwrap(),
    );
    let loss = |row: &Vec<f32>, label: usize| {
        let sum: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
        sum.ln() - f64::from(row[label])
    };
    let expected = truth
        .iter()
        .enumerate()
        .map(|(i, row)| loss(row, i))
        .sum::<f64>()
        / truth.len() as f64;
    for score in [fast, plain] {
        assert!(
            (score.loss - expected).abs() < 1e-5,
            "{at}: loss {} is not {expected}",
            score.loss
        );
    }
}
