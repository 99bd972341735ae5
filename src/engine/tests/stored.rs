//! Networks whose activations are stored as codes, by the engine against plain candle.

use super::*;
use crate::code::CodeFault;
use crate::data::{self, DatasetName, Normalization};
use crate::net::{Activations, Model, RangeRule, StoredTensor};
use crate::seed::Skips;
use std::path::Path;

/// An evaluator of a network of 8-bit weights with activations of so many bits, and some images.
fn stored(
    architecture: Architecture,
    bits: u32,
    isa: Isa,
    kind: Arithmetic,
) -> (Evaluator, Images) {
    let (network, images) = (network(architecture, 8), images(architecture, 5));
    let batches = [images.tensor().unwrap()];
    let found = network.calibrate(&batches, bits, true, RangeRule::Max);
    let network = network.with_activations(&found.unwrap()).unwrap();
    (Evaluator::with(network, isa, kind).unwrap(), images)
}

#[test]
fn stored_activations_give_the_logits_of_plain_candle_clean_and_faulty() {
    for name in [
        "mlp",
        "lenet5",
        "resnet20",
        "resnet20_projection",
        "deit_tiny",
    ] {
        let architecture: Architecture = name.parse().unwrap();
        for (isa, arithmetic) in kernels() {
            let (evaluator, images) = stored(architecture, 16, isa, arithmetic);
            let flips = sign_flips(&evaluator, 8);
            for faults in [&[][..], &flips] {
                let fast = logits(&evaluator, faults, &images);
                let plain = plain_logits(&evaluator, faults, &images);
                let scale = plain.iter().flatten().fold(0f32, |max, x| x.abs().max(max));
                let pairs = fast.iter().flatten().zip(plain.iter().flatten());
                let far = pairs.fold(0f32, |far, (a, b)| far.max((a - b).abs())) / scale;
                // sums that differ in their last bits may fall on neighbouring levels
                assert!(far < 2e-3, "{name} {isa} {arithmetic}: {far}");
            }
        }
    }
}

#[test]
fn few_bits_are_seen_in_the_logits_and_many_are_not() {
    let (isa, arithmetic) = (Isa::current(), Arithmetic::current());
    let float = evaluator(Architecture::Lenet5, 8, isa);
    let distance = |bits| {
        let (evaluator, images) = stored(Architecture::Lenet5, bits, isa, arithmetic);
        let (own, other) = (
            logits(&evaluator, &[], &images),
            logits(&float, &[], &images),
        );
        let pairs = own.iter().flatten().zip(other.iter().flatten());
        pairs.fold(0f32, |far, (a, b)| far.max((a - b).abs()))
    };
    let far = [4, 8, 16].map(distance);
    assert!(far[0] > 4.0 * far[1] && far[1] > 50.0 * far[2], "{far:?}");
}

#[test]
fn fault_sets_of_stored_activations_that_share_a_prefix_score_as_each_alone() {
    let resnet20 = "resnet20".parse().unwrap();
    for architecture in [Architecture::Lenet5, resnet20] {
        let (evaluator, images) = stored(architecture, 8, Isa::current(), Arithmetic::current());
        let flips = sign_flips(&evaluator, 8);
        let sets: Vec<_> = flips.chunks(flips.len() / 5).map(<[_]>::to_vec).collect();
        let each = evaluator.faulty_each(&sets, &images).unwrap().scores;
        for (set, score) in sets.iter().zip(each) {
            assert_eq!(score, evaluator.faulty(set, &images).unwrap());
        }
        let one = images.select(&[4]).unwrap();
        let alone = logits(&evaluator, &flips, &one);
        assert_eq!(alone[0], logits(&evaluator, &flips, &images)[4]);
    }
}

#[test]
fn inverted_codes_of_a_tensor_are_read_as_by_hand() {
    let (evaluator, images) = stored(Architecture::Mlp, 8, Isa::current(), Arithmetic::current());
    let weights = evaluator.network.effective_weights().unwrap();
    let product = |x: &[f32], layer: usize| -> Vec<f32> {
        let (weight, bias) = (
            weights[layer].to_vec2::<f32>().unwrap(),
            format!("layer{}.bias", layer + 1),
        );
        let bias = evaluator
            .network
            .state()
            .unwrap()
            .into_iter()
            .find(|(name, _)| *name == bias);
        let bias = bias.unwrap().1.to_vec1::<f32>().unwrap();
        let rows = weight.iter().zip(bias);
        rows.map(|(row, bias)| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>() + bias)
            .collect()
    };
    // the last layer reads 50 codes of 8 bits, from 0 to their range
    let range = 50.0;
    let found = evaluator
        .network
        .calibrate(&[images.tensor().unwrap()], 8, true, RangeRule::Max);
    let mut tensors = found.unwrap().tensors;
    tensors[2].range = range;
    let float = network(Architecture::Mlp, 8);
    let activations = Activations {
        bits: 8,
        input: true,
        source: String::new(),
        tensors,
    };
    let stored = float.with_activations(&activations).unwrap();
    let evaluator = Evaluator::with(stored, Isa::current(), Arithmetic::current()).unwrap();
    let all = (0..50).map(|element| CodeFault {
        element,
        raised: 0xff,
        lowered: 0xff,
    });
    let inverted = |_: u32, tensor: usize, visit: &mut dyn FnMut(CodeFault)| {
        all.clone()
            .take(if tensor == 2 { 50 } else { 0 })
            .for_each(visit);
    };
    let engine = evaluator.engine.as_ref().unwrap();
    let answers = engine
        .tally(&[], Some(&inverted), &images, &NEVER)
        .unwrap()
        .answers();
    // by hand: what is read is the range less what is stored
    let mut right = Vec::new();
    for (at, image) in images
        .tensor()
        .unwrap()
        .flatten_from(1)
        .unwrap()
        .to_vec2::<f32>()
        .unwrap()
        .iter()
        .enumerate()
    {
        let mut x = image.clone();
        for (layer, tensor) in activations.tensors.iter().enumerate() {
            let high = if tensor.signed { 127.0 } else { 255.0 };
            let step = tensor.range / high;
            let low = if tensor.signed { -high } else { 0.0 };
            let read = |x: &f32| {
                let code = (x / step).round_ties_even().clamp(low, high);
                if layer == 2 {
                    (255.0 - code) * step
                } else {
                    code * step
                }
            };
            let codes: Vec<f32> = x.iter().map(read).collect();
            x = product(&codes, layer);
            if layer < 2 {
                x.iter_mut().for_each(|x| *x = x.max(0.0));
            }
        }
        let greatest = x.iter().copied().fold(f32::MIN, f32::max);
        right.push(x[images.labels()[at] as usize] == greatest);
    }
    assert_eq!(answers.right, right);
}

/// The example of MRFI (Huang et al., 2023) on its own weights: the sign bit of each of five tensors inverted afresh.
#[test]
fn the_published_example_of_mrfi_is_met() {
    let weights = Path::new("../shared/weights/lenet_cifar10_mrfi.pth");
    let images = Path::new("../shared/data/cifar10-test1000-lossless.bin");
    if !weights.is_file() || !images.is_file() {
        assert!(
            std::env::var_os("WCAT_REQUIRE_DATA").is_none(),
            "no weights or images"
        );
        return;
    }
    let set = data::load_cifar_file(images, DatasetName::Cifar10).unwrap();
    let half = Normalization {
        mean: vec![0.5; 3],
        std: vec![0.5; 3],
    };
    let all: Vec<u32> = (0..set.len() as u32).collect();
    let images = Images::of(&set, &all, &half, &Device::Cpu).unwrap();
    let float = || Model::load(weights, &Device::Cpu).unwrap().network;
    let found = float()
        .calibrate(&[images.tensor().unwrap()], 16, true, RangeRule::Max)
        .unwrap();
    let ranges: Vec<f32> = found.tensors.iter().map(|tensor| tensor.range).collect();
    for (found, expected) in ranges.iter().zip([1.0, 6.037, 7.690, 11.908, 10.683]) {
        assert!((found - expected).abs() < 1e-3, "{ranges:?}");
    }
    let signed = |tensor: StoredTensor| StoredTensor {
        signed: true,
        ..tensor
    };
    let activations = Activations {
        tensors: found.tensors.into_iter().map(signed).collect(),
        ..found
    };
    let clean = Evaluator::new(float()).unwrap().clean(&images).unwrap();
    let stored = float().with_activations(&activations).unwrap();
    let lengths: Vec<u64> = stored
        .stored_values()
        .unwrap()
        .iter()
        .map(|own| own.words.end - own.words.start)
        .collect();
    let evaluator = Evaluator::new(stored).unwrap();
    let codes = evaluator.clean(&images).unwrap();
    assert_eq!((clean.correct, codes.correct), (638, 638));
    for (rate, mean, error, published, deviation) in [
        (1e-6, 63.68, 0.02, 63.7, 0.20),
        (1e-5, 62.38, 0.06, 62.4, 0.56),
        (1e-4, 52.36, 0.12, 53.9, 1.23),
        (1e-3, 24.97, 0.12, 24.7, 1.15),
    ] {
        // MRFI counts its rate over 16 bits and spends it on the sign
        let skips = Skips::of(16.0 * rate);
        let run = |run: u64| {
            let faults = |image: u32, tensor: usize, visit: &mut dyn FnMut(CodeFault)| {
                let indices = [run, image.into(), tensor as u64];
                let mut stream = Seed(11).stream(Purpose::Test, &indices);
                let mut at = stream.skip_by(skips);
                while at < lengths[tensor] {
                    visit(CodeFault {
                        element: at as u32,
                        raised: 1 << 15,
                        lowered: 1 << 15,
                    });
                    at += 1 + stream.skip_by(skips);
                }
            };
            let reads = Reads {
                activations: Some(&faults),
                ..Reads::of_words(&[])
            };
            let score = evaluator.score(reads, &images);
            100.0 * score.unwrap().accuracy()
        };
        let runs: Vec<f64> = (0..100).map(run).collect();
        let own = runs.iter().sum::<f64>() / 100.0;
        let spread = runs.iter().map(|x| (x - own).powi(2)).sum::<f64>() / 99.0;
        let joint = (spread / 100.0 + error * error).sqrt();
        assert!(
            (own - mean).abs() < 3.0 * joint,
            "{rate}: {own} ± {joint}, found by MRFI {mean}"
        );
        assert!(
            (own - published).abs() < 3.0 * deviation,
            "{rate}: {own}, published {published}"
        );
    }
}
