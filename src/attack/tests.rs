//! Tests of whole attacks on small networks.

use super::gradient::{gradients, Batch};
use super::memory::{Memory, Place};
use super::*;
use crate::code::hamming_distance;
use crate::engine::{Evaluator, Images};
use crate::error::{refuse, Error, Result};
use crate::net::{Architecture, Network, Route};
use crate::quant::{Method, QuantizerSpec};
use crate::seed::{Purpose, Seed};
use crate::units::{Accuracy, Bits};
use candle_core::{Device, Tensor};
use std::sync::atomic::AtomicBool;

fn network(architecture: Architecture, edit: impl FnOnce(&mut QuantizerSpec)) -> Network {
    let mut quantizer = QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(4).unwrap(),
        ..QuantizerSpec::default()
    };
    edit(&mut quantizer);
    Network::new(architecture, 10, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0
}

fn images(architecture: Architecture, n: u32, seed: u64) -> Images {
    images_of(architecture.input_shape(), n, seed)
}

fn images_of(shape: [usize; 3], n: u32, seed: u64) -> Images {
    let mut stream = Seed(seed).stream(Purpose::Test, &[]);
    let pixels = (0..n as usize * shape.iter().product::<usize>())
        .map(|_| stream.normal() as f32)
        .collect();
    Images::new(
        pixels,
        shape,
        (0..n).map(|i| i % 10).collect(),
        &Device::Cpu,
    )
    .unwrap()
}

/// An attack that only the number of flips ends.
fn spec(flips: u64) -> AttackSpec {
    AttackSpec {
        flips,
        until_accuracy: Some(Accuracy::new(0.0).unwrap()),
        ..AttackSpec::default()
    }
}

fn search(evaluator: &Evaluator, spec: &AttackSpec) -> Result<(Outcome, Vec<Flip>)> {
    let architecture = evaluator.network().architecture().known().unwrap();
    let (batch, test) = (images(architecture, 20, 2), images(architecture, 60, 3));
    let target = Target {
        evaluator,
        batch: &batch,
        test: &test,
    };
    let mut flips = Vec::new();
    let mut sink = |step: &[Flip]| {
        flips.extend_from_slice(step);
        Ok(())
    };
    let outcome = bit_search(&target, spec, &AtomicBool::new(false), &mut sink)?;
    Ok((outcome, flips))
}

/// The memory after these flips, read from the log alone.
fn replayed<'a>(evaluator: &'a Evaluator, flips: &[Flip]) -> Memory<'a> {
    let mut memory = Memory::new(evaluator);
    let layers = evaluator.network().layers();
    for flip in flips {
        let layer = layers
            .iter()
            .position(|layer| layer.name() == flip.layer)
            .unwrap();
        let told = memory.flip_and_tell(&[Place {
            layer,
            weight: flip.weight as usize,
            bit: flip.bit,
        }]);
        assert_eq!(
            (told[0].old_code, told[0].new_code),
            (flip.old_code, flip.new_code)
        );
    }
    memory
}

#[test]
fn the_log_replays_to_the_losses_accuracies_and_distance_it_tells_for_every_method_and_width() {
    for method in Method::ALL {
        for (bits, signed) in [(1, true), (1, false), (2, true), (4, false), (8, true)] {
            let network = network(Architecture::Lenet5, |spec| {
                (spec.method, spec.bits, spec.signed) = (method, Bits::new(bits).unwrap(), signed);
                spec.wclip = (method == Method::Wclip).then_some(0.1);
                spec.plclip = (method == Method::Plclip).then_some(0.1);
            });
            let evaluator = Evaluator::new(network).unwrap();
            let (outcome, flips) = search(&evaluator, &spec(6)).unwrap();
            let case = format!("{method} {bits} {signed}: {outcome:?}");
            assert!(
                outcome.stopped_by == Stop::Flips && (1..=6).contains(&outcome.flips),
                "{case}"
            );
            assert_eq!(outcome.flips, flips.len() as u64);
            assert!(
                flips
                    .iter()
                    .enumerate()
                    .all(|(i, flip)| flip.flip == i as u64 + 1),
                "{case}"
            );
            assert!(
                flips.iter().all(|flip| flip.loss_after > flip.loss_before),
                "{case}"
            );
            let (batch, test) = (
                images(Architecture::Lenet5, 20, 2),
                images(Architecture::Lenet5, 60, 3),
            );
            let mut loss = Some(outcome.clean_loss);
            for (i, flip) in flips.iter().enumerate() {
                let memory = replayed(&evaluator, &flips[..=i]);
                let Some(accuracy) = flip.accuracy else {
                    continue;
                };
                assert_eq!(flip.loss_before, loss, "{case}");
                loss = Some(memory.score(&batch).unwrap().loss);
                assert_eq!(
                    (flip.loss_after, accuracy),
                    (loss, memory.score(&test).unwrap().accuracy())
                );
            }
            assert_eq!(
                (Some(outcome.loss), outcome.hamming),
                (loss, replayed(&evaluator, &flips).hamming())
            );
            let words: Vec<_> = (0..5)
                .flat_map(|layer| replayed(&evaluator, &flips).words(layer))
                .collect();
            assert_eq!(
                outcome.hamming,
                hamming_distance(&words, evaluator.words()).unwrap(),
                "{case}"
            );
        }
    }
}

#[test]
fn the_first_step_is_the_best_of_the_best_bits_of_each_layer_by_numerical_gradient() {
    let evaluator = Evaluator::new(network(Architecture::Mlp, |_| {})).unwrap();
    let (_, flips) = search(&evaluator, &spec(1)).unwrap();
    let batch = images(Architecture::Mlp, 20, 2);
    // of the small last layer every single flip, by its loss to first order: from a flip of the least bit
    let (memory, layer) = (Memory::new(&evaluator), 2);
    let clean = memory.score(&batch).unwrap().loss;
    let loss = |place: Place| memory.score_each(&[&[place]], &batch).unwrap()[0].loss - clean;
    let words = memory.words(layer);
    let mut best: Option<(f64, Place)> = None;
    for (weight, word) in words.iter().enumerate() {
        let up = if word & 1 == 0 { 1.0 } else { -1.0 };
        let gradient = loss(Place {
            layer,
            weight,
            bit: 0,
        }) * up;
        // the sign bit has the greatest factor: -8
        let raises = (word >> 3 & 1 == 1) == (gradient > 0.0);
        if raises && best.is_none_or(|(most, _)| gradient.abs() > most) {
            best = Some((
                gradient.abs(),
                Place {
                    layer,
                    weight,
                    bit: 3,
                },
            ));
        }
    }
    let best = best.unwrap().1;
    assert_eq!(
        (flips[0].layer.as_str(), flips[0].weight, flips[0].bit),
        ("layer3", best.weight as u64, 3)
    );
    assert_eq!(flips[0].loss_after, Some(loss(best) + clean));
}

#[test]
fn gradients_by_the_kernels_are_those_of_plain_candle() {
    for name in [
        "mlp",
        "lenet5",
        "resnet20",
        "resnet20_projection",
        "resnet18",
    ] {
        let architecture: Architecture = name.parse().unwrap();
        let skip = if name == "mlp" { "layer2" } else { "conv1" };
        let network = network(architecture, |spec| spec.skip = vec![skip.into()]);
        let shape = if name == "resnet18" {
            [3, 32, 32]
        } else {
            architecture.input_shape()
        };
        let network = network.with_input_shape(shape).unwrap();
        let images = images_of(shape, 12, 2);
        // statistics that are not those of a fresh network
        network
            .training_logits(&images.tensor().unwrap(), None, Route::Kernels)
            .unwrap();
        let evaluator = Evaluator::new(network).unwrap();
        let mut memory = Memory::new(&evaluator);
        let layer = evaluator.stored().iter().position(Option::is_some).unwrap();
        memory.flip(&[Place {
            layer,
            weight: 7,
            bit: 3,
        }]);
        let batch = Batch::new(&images, &Device::Cpu).unwrap();
        let of = |route| gradients(&evaluator, &memory, &batch, route).unwrap();
        let (fast, plain) = (of(Route::Kernels), of(Route::Plain));
        assert_eq!(fast.len(), plain.len());
        for (layer, (fast, plain)) in fast.iter().zip(&plain).enumerate() {
            assert_eq!(
                (fast.len(), fast.is_empty()),
                (plain.len(), memory.stored(layer).is_none())
            );
            let largest = plain
                .iter()
                .fold(0f32, |most, gradient| most.max(gradient.abs()));
            let difference = fast
                .iter()
                .zip(plain)
                .fold(0f32, |most, (a, b)| most.max((a - b).abs()));
            assert!(
                difference <= 1e-4 * largest,
                "{name}, layer {layer}: {difference} of {largest}"
            );
            assert!(plain.is_empty() || largest > 0.0, "{name}, layer {layer}");
        }
    }
}

#[test]
fn a_flip_changes_one_weight_by_steps_also_where_the_range_follows_the_weights() {
    let evaluator = Evaluator::new(network(Architecture::Mlp, |spec| {
        spec.method = Method::Normal
    }))
    .unwrap();
    let stored = evaluator.stored()[0].as_ref().unwrap();
    let greatest = {
        let values = stored.values();
        values
            .iter()
            .position(|value| value.abs() == 8.0 * stored.step().unwrap())
    };
    let place = Place {
        layer: 0,
        weight: greatest.unwrap(),
        bit: 3,
    };
    let mut memory = Memory::new(&evaluator);
    memory.flip(&[place]);
    let changed: Vec<usize> = (0..stored.words.len())
        .filter(|i| memory.words(0)[*i] != stored.words[*i])
        .collect();
    assert_eq!(changed, [place.weight]);
    // the step is the stored one: reading -8 as 0 leaves every other weight as it was
    assert_eq!(
        stored.value(place.weight, memory.words(0)[place.weight]),
        0.0
    );
}

#[test]
fn attacks_are_the_same_on_any_number_of_threads() {
    let evaluator = Evaluator::new(network(Architecture::Lenet5, |_| {})).unwrap();
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| search(&evaluator, &spec(5)).unwrap())
    };
    assert_eq!(on(1), on(3));
}

#[test]
fn an_attack_stops_at_its_target_and_without_flips_where_it_is_reached_already() {
    let evaluator = Evaluator::new(network(Architecture::Mlp, |_| {})).unwrap();
    let easy = AttackSpec {
        until_accuracy: Some(Accuracy::new(1.0).unwrap()),
        ..spec(9)
    };
    let (outcome, flips) = search(&evaluator, &easy).unwrap();
    assert_eq!(
        (outcome.flips, outcome.stopped_by, flips.len()),
        (0, Stop::Accuracy, 0)
    );
    assert_eq!(
        (outcome.accuracy, outcome.loss),
        (outcome.clean_accuracy, outcome.clean_loss)
    );
    let below = Accuracy::new(outcome.clean_accuracy - 0.02).unwrap();
    let (outcome, flips) = search(
        &evaluator,
        &AttackSpec {
            until_accuracy: Some(below),
            ..spec(500)
        },
    )
    .unwrap();
    assert_eq!(outcome.stopped_by, Stop::Accuracy);
    let (last, before) = flips.split_last().unwrap();
    assert!(last.accuracy.unwrap() <= below.get());
    assert!(before
        .iter()
        .all(|flip| flip.accuracy.is_none_or(|accuracy| accuracy > below.get())));
}

#[test]
fn an_attack_without_a_gradient_is_stuck() {
    let mut network = network(Architecture::Mlp, |_| {});
    let mut state = network.state().unwrap();
    for (name, tensor) in &mut state {
        if name == "layer3.bias" {
            let bias: Vec<f32> = (0..10)
                .map(|class| if class == 4 { 1e4 } else { 0.0 })
                .collect();
            *tensor = Tensor::from_vec(bias, 10, &Device::Cpu).unwrap();
        }
    }
    network.load_state(&state).unwrap();
    let evaluator = Evaluator::new(network).unwrap();
    let pixels = vec![0.5; 8 * 784];
    let all = Images::new(pixels, [1, 28, 28], vec![4; 8], &Device::Cpu).unwrap();
    let target = Target {
        evaluator: &evaluator,
        batch: &all,
        test: &all,
    };
    let mut sink = |_: &[Flip]| Err(Error::Interrupted);
    let outcome = bit_search(&target, &spec(5), &AtomicBool::new(false), &mut sink).unwrap();
    assert_eq!(
        (outcome.flips, outcome.stopped_by, outcome.clean_loss),
        (0, Stop::Stuck, 0.0)
    );
}

#[test]
fn float_layers_are_left_alone_and_float_networks_refused() {
    let evaluator = Evaluator::new(network(Architecture::Mlp, |spec| {
        spec.skip = vec!["layer3".into()]
    }))
    .unwrap();
    let (_, flips) = search(&evaluator, &spec(4)).unwrap();
    assert!(flips.len() == 4 && flips.iter().all(|flip| flip.layer != "layer3"));
    let float = network(Architecture::Mlp, |spec| {
        (spec.method, spec.bits) = (Method::Normal, Bits::new(32).unwrap());
    });
    let error = search(&Evaluator::new(float).unwrap(), &spec(4)).unwrap_err();
    assert!(error.to_string().contains("float weights"), "{error}");
}

#[test]
fn an_attack_ends_when_it_is_cancelled_or_its_sink_fails() {
    let evaluator = Evaluator::new(network(Architecture::Mlp, |_| {})).unwrap();
    let (batch, test) = (
        images(Architecture::Mlp, 20, 2),
        images(Architecture::Mlp, 60, 3),
    );
    let target = Target {
        evaluator: &evaluator,
        batch: &batch,
        test: &test,
    };
    let cancelled = bit_search(&target, &spec(4), &AtomicBool::new(true), &mut |_| Ok(()));
    assert!(matches!(cancelled, Err(Error::Interrupted)));
    let mut sink = |_: &[Flip]| refuse("sink", "space", "none");
    let failed = bit_search(&target, &spec(4), &AtomicBool::new(false), &mut sink);
    assert!(matches!(failed, Err(Error::Argument { .. })));
}

#[test]
fn random_flips_are_distinct_and_hit_every_bit_alike() {
    let evaluator = Evaluator::new(network(Architecture::Mlp, |_| {})).unwrap();
    let few = images(Architecture::Mlp, 1, 2);
    let target = Target {
        evaluator: &evaluator,
        batch: &few,
        test: &few,
    };
    let draw = |count, seed| {
        let mut flips = Vec::new();
        let mut stream = Seed(seed).stream(Purpose::RandomFlips, &[0]);
        let mut sink = |flip: &Flip| {
            flips.push(flip.clone());
            Ok(())
        };
        random_flips(
            &target,
            count,
            &mut stream,
            &AtomicBool::new(false),
            &mut sink,
        )
        .unwrap();
        flips
    };
    assert!(draw(0, 1).is_empty());
    let n = 4000;
    let flips = draw(n, 1);
    let mut places: Vec<_> = flips
        .iter()
        .map(|flip| (&flip.layer, flip.weight, flip.bit))
        .collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len() as u64, n);
    assert_eq!(replayed(&evaluator, &flips).hamming(), n);
    assert_eq!(draw(50, 1), flips[..50]);
    assert_ne!(draw(50, 2), flips[..50]);
    // fractions of bits and of the small layers: 500 and 10,000 of 167,300 weights
    let near = |count: usize, fraction: f64| {
        let (mean, deviation) = (
            n as f64 * fraction,
            (n as f64 * fraction * (1.0 - fraction)).sqrt(),
        );
        assert!(
            (count as f64 - mean).abs() < 4.0 * deviation,
            "{count} is not {mean}"
        );
    };
    for bit in 0..4 {
        near(flips.iter().filter(|flip| flip.bit == bit).count(), 0.25);
    }
    near(
        flips.iter().filter(|flip| flip.layer == "layer2").count(),
        10_000.0 / 167_300.0,
    );
    near(
        flips.iter().filter(|flip| flip.layer == "layer3").count(),
        500.0 / 167_300.0,
    );
    // spread over a hundred equal parts of the first layer: chi-squared with 99 degrees of freedom
    let first: Vec<&Flip> = flips.iter().filter(|flip| flip.layer == "layer1").collect();
    let expected = first.len() as f64 / 100.0;
    let part = |p: u64| first.iter().filter(|flip| flip.weight / 1568 == p).count() as f64;
    let chi: f64 = (0..100)
        .map(|p| (part(p) - expected).powi(2) / expected)
        .sum();
    assert!(
        (99.0 - 4.0 * 14.1..99.0 + 4.0 * 14.1).contains(&chi),
        "{chi}"
    );
}
