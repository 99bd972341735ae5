//! The engine against plain candle, clean and faulty, on every architecture; its independence of threads.

use super::*;
use crate::net::Architecture;
use crate::quant::{channel_wise, Method, QuantizerSpec};
use crate::seed::{Purpose, Seed};
use crate::units::Bits;
use candle_core::{Device, Tensor};

mod imported;
mod stored;
mod transformer;

/// A network of an architecture with running statistics that are not those of a fresh one, for small images where it
/// takes them.
fn network(architecture: Architecture, bits: u64) -> Network {
    let quantizer = QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(bits).unwrap(),
        ..QuantizerSpec::default()
    };
    let mut network = Network::new(architecture, 10, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0;
    network = network.with_input_shape(input_shape(architecture)).unwrap();
    let mut stream = Seed(4).stream(Purpose::Test, &[]);
    let mut state = network.state().unwrap();
    for (name, tensor) in &mut state {
        if name.contains("running")
            || name.contains("bn")
            || name.contains("shortcut.1")
            || name.contains("downsample.1")
        {
            let noise = stream.uniform_tensor(0.5, 1.5, tensor.shape()).unwrap();
            *tensor = if name.ends_with("var") || name.ends_with("weight") {
                noise
            } else {
                (noise - 1.0).unwrap()
            };
        }
    }
    network.load_state(&state).unwrap();
    network
}

/// Shape of the images of the tests.
fn input_shape(architecture: Architecture) -> [usize; 3] {
    match architecture {
        Architecture::ImagenetResnet { .. } => [3, 64, 64],
        other => other.input_shape(),
    }
}

pub(super) fn evaluator(architecture: Architecture, bits: u64, isa: Isa) -> Evaluator {
    evaluator_by(Arithmetic::Winograd, architecture, bits, isa)
}

fn evaluator_by(
    arithmetic: Arithmetic,
    architecture: Architecture,
    bits: u64,
    isa: Isa,
) -> Evaluator {
    Evaluator::with(network(architecture, bits), isa, arithmetic).unwrap()
}

/// Every instruction set with every arithmetic.
fn kernels() -> impl Iterator<Item = (Isa, Arithmetic)> {
    Isa::available()
        .into_iter()
        .flat_map(|isa| Arithmetic::ALL.map(|arithmetic| (isa, arithmetic)))
}

pub(super) fn images(architecture: Architecture, n: usize) -> Images {
    let shape = input_shape(architecture);
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let pixels = (0..n * shape.iter().product::<usize>())
        .map(|_| stream.normal() as f32)
        .collect();
    Images::new(
        pixels,
        shape,
        (0..n as u32).map(|i| i % 10).collect(),
        &Device::Cpu,
    )
    .unwrap()
}

/// Logits of the engine, with some words read otherwise.
fn logits(evaluator: &Evaluator, faults: &[(usize, Word)], images: &Images) -> Vec<Vec<f32>> {
    let all = evaluator.logits(faults, images).unwrap();
    let classes = all.len() / images.len() as usize;
    all.chunks_exact(classes).map(<[f32]>::to_vec).collect()
}

fn plain_logits(evaluator: &Evaluator, faults: &[(usize, Word)], images: &Images) -> Vec<Vec<f32>> {
    let weights = Plain::new(evaluator).unwrap().weights(faults).unwrap();
    let batches = images
        .batches()
        .map(|batch| evaluator.network.logits(&batch.unwrap(), &weights).unwrap());
    batches
        .flat_map(|logits| logits.flatten_from(1).unwrap().to_vec2::<f32>().unwrap())
        .collect()
}

fn score_of(engine: &Engine, changed: &[Weight], images: &Images) -> Score {
    engine.tally(changed, None, images, &NEVER).unwrap().score()
}

/// Every seventh word with its most significant bit flipped.
pub(super) fn sign_flips(evaluator: &Evaluator, bits: u32) -> Vec<(usize, Word)> {
    let words = evaluator.words().iter().enumerate().step_by(7);
    words
        .map(|(index, word)| (index, crate::code::flip(*word, bits - 1)))
        .collect()
}

fn near(fast: &[Vec<f32>], plain: &[Vec<f32>]) -> bool {
    let scale = plain.iter().flatten().fold(0f32, |max, x| x.abs().max(max));
    fast.len() == plain.len()
        && fast
            .iter()
            .flatten()
            .zip(plain.iter().flatten())
            .all(|(a, b)| (a - b).abs() <= 1e-4 * scale)
}

#[test]
fn logits_match_plain_candle_on_every_architecture_clean_and_faulty_with_all_instructions() {
    let compiled = |architecture: &Architecture| !matches!(architecture, Architecture::Deit { .. });
    for architecture in Architecture::all().into_iter().filter(compiled) {
        // few images where candle is slow: an image's result does not depend on its batch
        let deep = match architecture {
            Architecture::Resnet { blocks, .. } => blocks > 3,
            other => matches!(other, Architecture::ImagenetResnet { .. }),
        };
        let images = images(architecture, if deep { 1 } else { 5 });
        for (isa, arithmetic) in kernels() {
            let evaluator = evaluator_by(arithmetic, architecture, 8, isa);
            let flips = sign_flips(&evaluator, 8);
            for faults in [&[][..], &flips] {
                let (fast, plain) = (
                    logits(&evaluator, faults, &images),
                    plain_logits(&evaluator, faults, &images),
                );
                assert!(
                    near(&fast, &plain),
                    "{architecture} {isa} {arithmetic} {} faults",
                    faults.len()
                );
            }
        }
    }
}

#[test]
fn not_a_number_and_infinity_spread_as_in_plain_candle() {
    for architecture in [
        Architecture::Lenet5,
        "resnet20".parse().unwrap(),
        "resnet20_projection".parse().unwrap(),
    ] {
        let shape: [usize; 3] = architecture.input_shape();
        let size: usize = shape.iter().product();
        let mut pixels = vec![0.5f32; 4 * size];
        (pixels[5], pixels[size + 70], pixels[2 * size + 300]) =
            (f32::NAN, f32::INFINITY, f32::NEG_INFINITY);
        let images = Images::new(pixels, shape, vec![0; 4], &Device::Cpu).unwrap();
        for (isa, arithmetic) in kernels() {
            let evaluator = evaluator_by(arithmetic, architecture, 4, isa);
            let (fast, plain) = (
                logits(&evaluator, &[], &images),
                plain_logits(&evaluator, &[], &images),
            );
            for (fast, plain) in fast.iter().flatten().zip(plain.iter().flatten()) {
                // subtractions of Winograd's transforms may make NaN of an infinity
                let of = |logit: &f32| match arithmetic {
                    Arithmetic::Winograd => (logit.is_finite(), false),
                    Arithmetic::Direct => (logit.is_nan(), logit.is_infinite()),
                };
                assert_eq!(of(fast), of(plain), "{architecture} {isa} {arithmetic}");
            }
        }
    }
}

#[test]
fn an_infinity_within_winograd_that_direct_convolutions_never_meet_is_a_wrong_answer_and_counted() {
    let architecture = "resnet20".parse().unwrap();
    let images = images(architecture, 3);
    for isa in Isa::available() {
        let [winograd, direct] = Arithmetic::ALL.map(|arithmetic| {
            let evaluator = evaluator_by(arithmetic, architecture, 8, isa);
            let engine = evaluator.engine.as_ref().unwrap();
            // a channel within the last block, which the block's second convolution takes times zero
            let last = evaluator.stored.len() as u32 - 2;
            let mut weights: Vec<Weight> = (0..64)
                .flat_map(|output| (0..9).map(move |tap| (last, output * 64 * 9 + tap, 0.0)))
                .collect();
            let mut scores: Vec<Score> = Vec::new();
            for exponent in 90..128 {
                weights.push((last - 1, 4, 2f32.powi(exponent)));
                scores.push(score_of(engine, &weights, &images));
                weights.pop();
            }
            scores
        });
        let hidden = winograd
            .iter()
            .zip(&direct)
            .find(|(winograd, direct)| winograd.not_finite > 0 && direct.not_finite == 0);
        let (winograd, _) = hidden.unwrap();
        let wrong = images.len() - winograd.correct;
        assert!(winograd.not_finite <= wrong, "{isa}");
    }
}

/// Layers that a test looks at: all of a small network, some of a deep one.
fn some_layers(architecture: Architecture, layers: usize) -> Vec<usize> {
    let step = match architecture {
        Architecture::ImagenetResnet { .. } => 9,
        Architecture::Deit { .. } => 24,
        Architecture::Resnet { blocks, .. } if blocks > 3 => 5,
        _ => 1,
    };
    (0..layers - 1).step_by(step).chain([layers - 1]).collect()
}

#[test]
fn a_nan_in_any_layer_makes_every_image_wrong_and_counted_with_all_instructions() {
    for architecture in Architecture::all() {
        if matches!(architecture, Architecture::Deit { .. }) {
            continue;
        }
        let images = images(architecture, 2);
        for (isa, arithmetic) in kernels() {
            let evaluator = evaluator_by(arithmetic, architecture, 4, isa);
            let engine = evaluator.engine.as_ref().unwrap();
            let clean = evaluator.clean(&images).unwrap();
            assert_eq!(clean.not_finite, 0);
            for layer in some_layers(architecture, evaluator.stored.len()) {
                let middle = evaluator.network.layers()[layer].weight().elem_count() / 2;
                let score = score_of(engine, &[(layer as u32, middle as u32, f32::NAN)], &images);
                assert_eq!(
                    (score.not_finite, score.correct, score.loss.is_nan()),
                    (2, 0, true),
                    "{architecture} {isa} {arithmetic} {layer}"
                );
            }
            assert_eq!(evaluator.clean(&images).unwrap(), clean);
        }
    }
}

#[test]
fn a_nan_in_any_layer_makes_every_image_wrong_and_counted_by_candle_alone() {
    for architecture in [
        "mlp",
        "lenet5",
        "resnet20",
        "resnet20_projection",
        "resnet18",
        "deit_tiny",
    ] {
        let architecture: Architecture = architecture.parse().unwrap();
        let network = network(architecture, 4);
        let images = images(architecture, 1);
        let clean = network.effective_weights().unwrap();
        assert_eq!(
            plain::score(&network, &clean, &images).unwrap().not_finite,
            0
        );
        for layer in some_layers(architecture, clean.len()) {
            let mut weights = clean.clone();
            let mut values = weights[layer]
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap();
            let middle = values.len() / 2;
            values[middle] = f32::NAN;
            let shape = weights[layer].shape().clone();
            weights[layer] = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
            let score = plain::score(&network, &weights, &images).unwrap();
            assert_eq!(
                (score.not_finite, score.correct),
                (1, 0),
                "{architecture} {layer}"
            );
        }
    }
}

#[test]
fn infinity_spreads_as_in_plain_candle_past_lanes_without_a_channel() {
    for architecture in [Architecture::Mlp, Architecture::Lenet5] {
        let images = images(architecture, 3);
        for isa in Isa::available() {
            let evaluator = evaluator(architecture, 8, isa);
            let engine = evaluator.engine.as_ref().unwrap();
            for layer in 0..evaluator.stored.len() {
                for value in [f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN] {
                    let stored = evaluator.stored[layer].as_ref().unwrap();
                    let mut values = stored.values();
                    values[7] = value;
                    let mut weights = evaluator.network.effective_weights().unwrap();
                    weights[layer] =
                        Tensor::from_vec(values, stored.shape.as_slice(), &Device::Cpu).unwrap();
                    let plain = plain::score(&evaluator.network, &weights, &images).unwrap();
                    let fast = score_of(engine, &[(layer as u32, 7, value)], &images);
                    assert_eq!(
                        (fast.not_finite, fast.correct),
                        (plain.not_finite, plain.correct),
                        "{architecture} {isa} {layer} {value}"
                    );
                }
            }
        }
    }
}

#[test]
fn avx2_and_avx512_give_the_same_bits_and_a_batch_its_images_results() {
    for architecture in [Architecture::Lenet5, "resnet20_projection".parse().unwrap()] {
        let set = images(architecture, 9);
        let all: Vec<_> = Isa::available()
            .into_iter()
            .filter(|isa| *isa != Isa::Portable)
            .collect();
        let of = |isa: &Isa| logits(&evaluator(architecture, 4, *isa), &[], &set);
        assert!(
            all.windows(2).all(|pair| of(&pair[0]) == of(&pair[1])),
            "{architecture}"
        );
        let alone = images(architecture, 1);
        let evaluator = evaluator(architecture, 4, Isa::current());
        assert_eq!(
            logits(&evaluator, &[], &alone)[0],
            logits(&evaluator, &[], &set)[0],
            "{architecture}"
        );
    }
}

#[test]
fn rewriting_words_with_themselves_changes_nothing() {
    let (evaluator, images) = (
        evaluator(Architecture::Lenet5, 4, Isa::current()),
        images(Architecture::Lenet5, 270),
    );
    let same: Vec<(usize, Word)> = evaluator
        .words()
        .iter()
        .copied()
        .enumerate()
        .step_by(7)
        .collect();
    assert_eq!(
        evaluator.faulty(&same, &images).unwrap(),
        evaluator.clean(&images).unwrap()
    );
    assert_eq!(
        evaluator.faulty(&[], &images).unwrap(),
        evaluator.clean(&images).unwrap()
    );
}

#[test]
fn faults_leave_no_trace_in_later_evaluations() {
    for architecture in [Architecture::Lenet5, "resnet20".parse().unwrap()] {
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, 20),
        );
        let clean = evaluator.clean(&images).unwrap();
        let flips = sign_flips(&evaluator, 4);
        let faulty = evaluator.faulty(&flips, &images).unwrap();
        assert_ne!(faulty.loss, clean.loss);
        assert_eq!(evaluator.clean(&images).unwrap(), clean);
        assert_eq!(evaluator.faulty(&flips, &images).unwrap(), faulty);
        let plain = Plain::new(&evaluator)
            .unwrap()
            .faulty(&flips, &images)
            .unwrap();
        assert!((plain.loss / faulty.loss - 1.0).abs() < 1e-4);
    }
}

#[test]
fn faults_in_one_layer_read_as_the_same_layer_built_by_hand() {
    let (evaluator, images) = (
        evaluator(Architecture::Lenet5, 4, Isa::current()),
        images(Architecture::Lenet5, 30),
    );
    let end = evaluator.words().len();
    let flipped = |index: usize| (index, crate::code::flip(evaluator.words()[index], 3));
    let faults: Vec<(usize, Word)> = (end - 84..end).map(flipped).collect();
    let mut weights = evaluator.network().effective_weights().unwrap();
    let (stored, start) = (evaluator.stored[4].as_ref().unwrap(), evaluator.starts()[4]);
    let mut values = stored.values();
    for (value, fault) in values[9 * 84..].iter_mut().zip(&faults) {
        *value = stored.value(fault.0 - start, fault.1);
    }
    weights[4] = Tensor::from_vec(values, (10, 84), &Device::Cpu).unwrap();
    let faulty = evaluator.faulty(&faults, &images).unwrap();
    let by_hand = plain::score(&evaluator.network, &weights, &images).unwrap();
    assert!((faulty.loss / by_hand.loss - 1.0).abs() < 1e-5);
    assert_ne!(faulty.loss, evaluator.clean(&images).unwrap().loss);
    assert!(evaluator.faulty(&[(end, 0)], &images).is_err());
}

#[test]
fn codes_of_a_file_read_with_the_steps_and_zero_points_of_their_channels() {
    let mut network = network(Architecture::Lenet5, 4);
    for (layer, bits, signed) in [(1, 5, true), (3, 8, false)] {
        let shape = network.layers()[layer].weight().dims().to_vec();
        let name = network.layers()[layer].name().to_owned();
        let stored = channel_wise(&shape, bits, signed);
        network.keep_codes(&name, stored).unwrap();
    }
    let images = images(Architecture::Lenet5, 20);
    let evaluator = Evaluator::new(network).unwrap();
    let stored = evaluator.stored()[1].clone().unwrap();
    assert_eq!(stored, channel_wise(&stored.shape, 5, true));
    let flips: Vec<(usize, Word)> = (evaluator.starts()[1]..evaluator.starts()[2])
        .step_by(7)
        .chain((evaluator.starts()[3]..evaluator.starts()[4]).step_by(11))
        .map(|index| (index, crate::code::flip(evaluator.words()[index], 4)))
        .collect();
    for faults in [&[][..], &flips] {
        assert!(near(
            &logits(&evaluator, faults, &images),
            &plain_logits(&evaluator, faults, &images)
        ));
    }
    // the last weight of the second channel, by hand
    let per_channel = stored.words.len() / stored.shape[0];
    let (index, word) = (2 * per_channel - 1, 0b10001);
    let found = evaluator
        .faulty_weights(&[(evaluator.starts()[1] + index, word)])
        .unwrap();
    let scale = stored.scales[1];
    let expected = f32::from(-15 - scale.zero) * scale.step;
    assert_eq!(found, [(1, index as u32, expected)]);
}

#[test]
fn faults_find_their_layer_behind_a_float_one() {
    let quantizer = QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(4).unwrap(),
        skip: vec!["conv1".into(), "fc2".into()],
        ..QuantizerSpec::default()
    };
    let network = Network::new(Architecture::Lenet5, 10, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0;
    let evaluator = Evaluator::new(network).unwrap();
    let images = images(Architecture::Lenet5, 20);
    let flips = sign_flips(&evaluator, 4);
    assert!(near(
        &logits(&evaluator, &flips, &images),
        &plain_logits(&evaluator, &flips, &images)
    ));
    let weights = evaluator
        .faulty_weights(&[(0, 0), (2400, 0), (2400 + 48_000, 0)])
        .unwrap();
    assert_eq!(
        weights.iter().map(|w| (w.0, w.1)).collect::<Vec<_>>(),
        [(1, 0), (2, 0), (4, 0)]
    );
}

#[test]
fn clean_scores_do_not_depend_on_threads() {
    let (evaluator, images) = (
        evaluator(Architecture::Lenet5, 4, Isa::current()),
        images(Architecture::Lenet5, 1003),
    );
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| evaluator.clean(&images).unwrap())
    };
    let one = run(1);
    assert_eq!(one, run(3));
    assert_eq!(one, evaluator.faulty(&[], &images).unwrap());
    assert_eq!(one, score(evaluator.network(), &images).unwrap());
}

#[test]
fn images_of_another_shape_are_refused() {
    let evaluator = evaluator(Architecture::Lenet5, 4, Isa::current());
    let error = evaluator
        .clean(&images("resnet20".parse().unwrap(), 1))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expected images of [1, 28, 28] for lenet5, found [3, 32, 32]"),
        "{error}"
    );
}

#[test]
fn a_transformer_runs_on_the_engine_and_feels_its_faults() {
    let tiny: Architecture = "deit_tiny".parse().unwrap();
    let (evaluator, images) = (evaluator(tiny, 4, Isa::current()), images(tiny, 2));
    // those of the layers, and products of queries, keys and values
    let attention = 12 * 2 * 197 * 197 * 192;
    let layers = evaluator.network.layer_shapes().unwrap();
    let layers: u64 = layers.iter().map(|shape| shape.multiplications()).sum();
    let all = evaluator.multiplications().unwrap();
    assert_eq!(all as u64, layers + attention);
    let clean = evaluator.clean(&images).unwrap();
    assert_eq!(clean, score(evaluator.network(), &images).unwrap());
    let end = evaluator.words().len();
    let faults: Vec<(usize, Word)> = (end - 10 * 192..end)
        .map(|i| (i, evaluator.words()[i] ^ 8))
        .collect();
    assert_ne!(evaluator.faulty(&faults, &images).unwrap().loss, clean.loss);
    assert_eq!(evaluator.faulty(&[], &images).unwrap(), clean);
    let flips = sign_flips(&evaluator, 4);
    for faults in [&[][..], &faults, &flips] {
        assert!(near(
            &logits(&evaluator, faults, &images),
            &plain_logits(&evaluator, faults, &images)
        ));
    }
}

/// Words of each layer with their most significant bit flipped, every fifth.
fn layer_flips(evaluator: &Evaluator, bits: u32) -> Vec<Vec<(usize, Word)>> {
    let ends = evaluator
        .starts()
        .iter()
        .copied()
        .skip(1)
        .chain([evaluator.words().len()]);
    let layers = evaluator.starts().iter().zip(ends);
    let flipped = |index: usize| (index, crate::code::flip(evaluator.words()[index], bits - 1));
    layers
        .map(|(start, end)| (*start..end).step_by(5).map(flipped).collect())
        .collect()
}

#[test]
fn fault_sets_that_share_their_prefix_score_as_each_alone_bit_for_bit() {
    for (architecture, n) in [
        (Architecture::Lenet5, 523), // three runs, the last of which ends within a group
        ("resnet20".parse().unwrap(), 2),
        ("resnet20_projection".parse().unwrap(), 1),
        (Architecture::Mlp, 9),
    ] {
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, n),
        );
        let layers = layer_flips(&evaluator, 4);
        let mut sets = layers.clone();
        sets.reverse();
        sets.extend(
            (0..layers.len())
                .step_by(3)
                .map(|from| layers[from..].concat()),
        );
        sets.extend([Vec::new(), layers[1].clone()]);
        let shared = evaluator.faulty_each(&sets, &images).unwrap();
        let alone: Vec<Score> = sets
            .iter()
            .map(|set| evaluator.faulty(set, &images).unwrap())
            .collect();
        assert_eq!(shared.scores, alone, "{architecture}");
        assert!(
            alone.windows(2).all(|pair| pair[0] != pair[1]),
            "{architecture}: sets that do nothing"
        );
        let clean = evaluator.clean(&images).unwrap();
        assert_eq!(
            shared.scores[sets.len() - 2],
            clean,
            "{architecture}: traces of faults"
        );
        if n > 9 {
            let one = rayon::ThreadPoolBuilder::new()
                .num_threads(1)
                .build()
                .unwrap();
            assert_eq!(
                one.install(|| evaluator.faulty_each(&sets, &images).unwrap()),
                shared
            );
        }
    }
}

#[test]
fn a_shared_prefix_is_multiplied_once_and_a_set_costs_what_follows_it() {
    for (architecture, n) in [(Architecture::Lenet5, 40), ("resnet20".parse().unwrap(), 3)] {
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, n),
        );
        let plan = &evaluator.engine.as_ref().unwrap().plan;
        // layers follow one another in these networks: by layer, what it and all after it multiply
        let of_layer = |layer: usize| -> usize {
            let own = plan.calls.iter().filter(|call| call.layer() == Some(layer));
            own.map(|call| plan.multiplications_of(call)).sum()
        };
        let layers = layer_flips(&evaluator, 4);
        let whole = evaluator.multiplications().unwrap();
        let after: Vec<usize> = (0..layers.len())
            .map(|k| (k..layers.len()).map(of_layer).sum())
            .collect();
        assert_eq!(after[0], whole);
        let each = evaluator.faulty_each(&layers, &images).unwrap();
        let last = layers.len() - 1;
        let expected = n * (whole - after[last] + after.iter().sum::<usize>());
        assert_eq!(
            each.multiplications,
            Some(expected as u64),
            "{architecture}"
        );
        assert!(
            expected < n * whole * layers.len() * 3 / 4,
            "{architecture}: little is saved"
        );
        // 30 sets in the last layer: one prefix
        let late = vec![layers[last].clone(); 30];
        let expected = n * (whole - after[last] + 30 * after[last]);
        assert_eq!(
            evaluator
                .faulty_each(&late, &images)
                .unwrap()
                .multiplications,
            Some(expected as u64)
        );
    }
}

#[test]
fn fault_sets_over_a_base_score_as_both_at_once_on_any_number_of_threads() {
    for (architecture, n) in [
        (Architecture::Lenet5, 150),
        ("resnet20".parse().unwrap(), 2),
    ] {
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, n),
        );
        let layers = layer_flips(&evaluator, 4);
        let base: Vec<(usize, Word)> = [&layers[0][..9], &layers[2][..3], &layers[3][..9]].concat();
        let mut sets: Vec<Vec<(usize, Word)>> =
            layers.iter().map(|layer| layer[..4].to_vec()).collect();
        // a word that the base has changed, too, and the same set again
        sets.push(vec![(base[10].0, evaluator.words()[base[10].0] ^ 5)]);
        sets.extend([Vec::new(), sets[1].clone()]);
        let scores = evaluator.faulty_each_over(&base, &sets, &images).unwrap();
        for (set, score) in sets.iter().zip(&scores.scores) {
            assert_eq!(
                *score,
                evaluator.faulty(&overlaid(&[&base, set]), &images).unwrap(),
                "{architecture}"
            );
        }
        assert_ne!(
            scores.scores[1],
            evaluator.faulty(&sets[1], &images).unwrap()
        );
        assert_ne!(scores.scores[1], scores.scores[sets.len() - 2]);
        let many = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        assert_eq!(
            many.install(|| evaluator.faulty_each_over(&base, &sets, &images).unwrap()),
            scores
        );
    }
}

#[test]
fn changes_in_turn_score_as_all_so_far_at_once_on_any_number_of_threads() {
    let tiny: Architecture = "deit_tiny".parse().unwrap();
    for (architecture, n) in [
        (Architecture::Lenet5, 277),
        ("resnet20_projection".parse().unwrap(), 2),
        (tiny, 1),
    ] {
        let (evaluator, images) = (
            evaluator(architecture, 4, Isa::current()),
            images(architecture, n),
        );
        let layers = layer_flips(&evaluator, 4);
        let last = layers.len() - 1;
        let some = |layer: usize, from: usize| -> Vec<(usize, Word)> {
            layers[layer]
                .iter()
                .skip(from)
                .step_by(11)
                .take(30)
                .copied()
                .collect()
        };
        let mut changes = vec![
            some(2, 0),
            some(last, 0),
            some(1, 0),
            some(3, 3),
            some(last, 3),
            some(0, 0),
        ];
        // back to what was stored, nothing, and other bits of changed words
        changes.push(
            changes[0]
                .iter()
                .map(|fault| (fault.0, evaluator.words()[fault.0]))
                .collect(),
        );
        let again = changes[1]
            .iter()
            .map(|fault| (fault.0, fault.1 ^ 2))
            .collect();
        changes.extend([Vec::new(), again, some(2, 6)]);
        if architecture == tiny {
            changes.truncate(2);
        }
        let scores = evaluator.faulty_in_turn(&changes, &images).unwrap();
        assert_eq!(scores.len(), changes.len());
        for (last, score) in scores.iter().enumerate() {
            let so_far: Vec<&[(usize, Word)]> =
                changes[..=last].iter().map(Vec::as_slice).collect();
            let alone = evaluator.faulty(&overlaid(&so_far), &images).unwrap();
            assert_eq!(*score, alone, "{architecture}: change {last}");
            let moved = last == 0 || scores[last - 1] != alone;
            assert_eq!(
                moved,
                !changes[last].is_empty(),
                "{architecture}: change {last}"
            );
        }
        if architecture == tiny {
            continue;
        }
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            let again = pool.install(|| evaluator.faulty_in_turn(&changes, &images).unwrap());
            assert_eq!(again, scores, "{architecture} on {threads} threads");
        }
        let clean = evaluator.faulty(&[], &images).unwrap();
        assert_eq!(
            evaluator.clean(&images).unwrap(),
            clean,
            "{architecture}: traces of changes"
        );
        assert!(evaluator.faulty_in_turn(&[], &images).unwrap().is_empty());
        assert!(evaluator
            .faulty_in_turn(&[vec![(evaluator.words().len(), 0)]], &images)
            .is_err());
    }
}
