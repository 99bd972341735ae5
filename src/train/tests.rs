//! Facts about whole trainings, on a few images.

use super::*;
use crate::data::{Augmentation, ImageSet, Normalization};
use crate::engine::{score, Images};
use crate::error::{Error, Result};
use crate::net::{Architecture, Network, RangeRule, Role, Route};
use crate::quant::{Method, QuantizerSpec};
use crate::seed::{Purpose, Seed};
use crate::units::{Ber, Bits};
use candle_core::Device;

/// Images whose class is where their bright square lies.
fn images(count: usize) -> ImageSet {
    let mut stream = Seed(3).stream(Purpose::Test, &[]);
    let labels: Vec<u16> = (0..count).map(|i| (i % 10) as u16).collect();
    let mut pixels = Vec::with_capacity(count * 784);
    for &label in &labels {
        let (top, left) = (2 + 13 * (label as usize / 5), 1 + 5 * (label as usize % 5));
        for at in 0..784 {
            let inside =
                (top..top + 8).contains(&(at / 28)) && (left..left + 6).contains(&(at % 28));
            pixels.push(if inside { 200 } else { 0 } + stream.below(56) as u8);
        }
    }
    ImageSet {
        title: "squares".into(),
        channels: 1,
        height: 28,
        width: 28,
        classes: 10,
        pixels: pixels.into(),
        labels,
        remarks: Vec::new(),
    }
}

#[derive(Default)]
struct Log {
    states: Vec<TrainState>,
    warnings: Vec<String>,
    steps: usize,
    stop_after: Option<usize>,
}

impl Observer for Log {
    fn step(&mut self, _: &StepProgress) -> Result<()> {
        self.steps += 1;
        if self.stop_after == Some(self.steps) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    fn epoch(&mut self, _: &EpochRow, _: &Network, state: &TrainState) -> Result<()> {
        self.states.push(state.clone());
        Ok(())
    }

    fn warn(&mut self, message: &str) {
        self.warnings.push(message.to_owned());
    }
}

fn wcat() -> QuantizerSpec {
    QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(4).unwrap(),
        ..QuantizerSpec::default()
    }
}

fn spec(epochs: usize) -> TrainerSpec {
    let optimizer = OptimizerSpec {
        learning_rate: 0.05,
        range_decay: 0.01,
        ..OptimizerSpec::default()
    };
    TrainerSpec {
        epochs,
        batch: 32,
        optimizer,
        ..TrainerSpec::default()
    }
}

fn run(
    quantizer: &QuantizerSpec,
    spec: &TrainerSpec,
    resume: Option<TrainState>,
    log: &mut Log,
) -> Result<(Network, TrainState)> {
    let network = Network::new(Architecture::Mlp, 10, quantizer, Seed(7), &Device::Cpu)?.0;
    run_on(images(300), Route::Kernels, network, spec, resume, log)
}

/// A training of some network on such images, in grey or in colour.
fn run_on(
    images: ImageSet,
    route: Route,
    mut network: Network,
    spec: &TrainerSpec,
    resume: Option<TrainState>,
    log: &mut Log,
) -> Result<(Network, TrainState)> {
    let (training, validation): (Vec<u32>, Vec<u32>) = ((0..250).collect(), (250..300).collect());
    let normalization = Normalization {
        mean: vec![0.1; images.channels],
        std: vec![0.3; images.channels],
    };
    let augmentation = Augmentation {
        crop_padding: 1,
        ..Augmentation::default()
    };
    let trainer = Trainer {
        spec,
        route,
        images: &images,
        training: &training,
        validation: &validation,
        augmentation: &augmentation,
        normalization: &normalization,
        seed: Seed(7),
        clock: || 0.0,
    };
    let state = train(&mut network, &trainer, resume, log)?;
    Ok((network, state))
}

fn weights(state: &TrainState) -> Vec<Vec<f32>> {
    let flat = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    state
        .network
        .iter()
        .map(|(_, tensor)| flat(tensor))
        .collect()
}

#[test]
fn a_quantised_network_learns() {
    let mut log = Log::default();
    run(&wcat(), &spec(6), None, &mut log).unwrap();
    let last = log.states.last().unwrap().history.last().unwrap().clone();
    assert!(last.validation_accuracy.unwrap() > 0.9, "{last:?}");
    assert!(log.states[5].history.iter().any(|row| row.best));
    assert_eq!(last.ranges.len(), 3);
}

#[test]
fn a_resumed_training_gives_the_numbers_of_an_uninterrupted_one() {
    let optimizers = [
        OptimizerName::Sgd,
        OptimizerName::Adam,
        OptimizerName::Rmsprop,
    ];
    for name in optimizers {
        let mut spec = spec(4);
        spec.optimizer.name = name;
        spec.optimizer.learning_rate = 0.002;
        let mut quantizer = wcat();
        quantizer.train_bit_error_rate = Ber::new(0.01).unwrap();
        let (_, whole) = run(&quantizer, &spec, None, &mut Log::default()).unwrap();
        let mut log = Log {
            stop_after: Some(8 * 2 + 3),
            ..Log::default()
        };
        assert!(matches!(
            run(&quantizer, &spec, None, &mut log),
            Err(Error::Interrupted)
        ));
        let (tensors, text) = log.states.last().unwrap().to_parts().unwrap();
        let saved = TrainState::from_parts(&tensors, &text).unwrap();
        assert_eq!(saved.epoch, 2);
        let (_, resumed) = run(&quantizer, &spec, Some(saved), &mut Log::default()).unwrap();
        assert_eq!(weights(&resumed), weights(&whole), "{name:?}");
        let numbers = |state: &TrainState| -> Vec<_> {
            let row = |r: &EpochRow| (r.training_loss, r.validation_loss, r.best, r.ranges.clone());
            state.history.iter().map(row).collect()
        };
        assert_eq!(numbers(&resumed), numbers(&whole), "{name:?}");
    }
}

#[test]
fn ranges_of_stored_activations_are_learned_from_where_they_are_and_resumed() {
    let fresh = || Network::new(Architecture::Mlp, 10, &wcat(), Seed(7), &Device::Cpu);
    let network = || fresh().unwrap().0;
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let batch = stream.normal_tensor(1.0, (20, 1, 28, 28)).unwrap();
    let start = network().calibrate(&[batch], 4, false, RangeRule::Max);
    let start = start.unwrap();
    let train = |learns: bool, resume, log: &mut Log| {
        let network = if learns {
            network().learning_activations(&start)
        } else {
            network().with_activations(&start)
        };
        run_on(
            images(300),
            Route::Kernels,
            network.unwrap(),
            &spec(4),
            resume,
            log,
        )
    };
    let mut log = Log::default();
    let (network, whole) = train(true, None, &mut log).unwrap();
    let learned = network.learned_activations(&start).unwrap();
    let last = whole.history.last().unwrap();
    assert!(last.validation_accuracy.unwrap() > 0.8, "{last:?}");
    for (own, first) in learned.tensors.iter().zip(&start.tensors) {
        assert!(own.range > 0.0 && own.range != first.range, "{learned:?}");
        assert_eq!((&own.reader, own.signed), (&first.reader, first.signed));
    }
    assert!(learned.source.ends_with("then learned in training"));
    // it was validated over the ranges that it had learned, which the file of the model says
    let mut saved = fresh().unwrap().0.with_activations(&learned).unwrap();
    let is_own = |(name, _): &&(String, candle_core::Tensor)| !name.starts_with("activations.");
    let own: Vec<_> = whole.network.iter().filter(is_own).cloned().collect();
    saved.load_state(&own).unwrap();
    let normalization = Normalization {
        mean: vec![0.1],
        std: vec![0.3],
    };
    let held_out: Vec<u32> = (250..300).collect();
    let held_out = Images::of(&images(300), &held_out, &normalization, &Device::Cpu);
    let validated = score(&saved, &held_out.unwrap()).unwrap();
    assert_eq!(Some(validated.loss), last.validation_loss);
    let named: Vec<&str> = last.ranges.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(named[3..], ["activations.0.layer2", "activations.1.layer3"]);
    let mut stopped = Log {
        stop_after: Some(8 * 2 + 3),
        ..Log::default()
    };
    assert!(train(true, None, &mut stopped).is_err());
    let saved = stopped.states.pop();
    let (_, resumed) = train(true, saved, &mut Log::default()).unwrap();
    assert_eq!(weights(&resumed), weights(&whole));
    // fixed ones stay, and round as well
    let (network, fixed) = train(false, None, &mut Log::default()).unwrap();
    assert_eq!(network.learned_activations(&start).unwrap(), start);
    assert_eq!(fixed.history.last().unwrap().ranges.len(), 3);
}

/// Weights after a training of a small ResNet by Winograd's convolutions, batches of 32 and a last one of 26; on so
/// many threads, killed after so many steps and resumed.
fn resnet(threads: usize, killed: Option<usize>) -> Vec<Vec<f32>> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let train = |resume, stop_after| {
        let mut grey = images(300);
        let colours = grey
            .pixels
            .bytes()
            .chunks(784)
            .flat_map(|image| image.repeat(3));
        grey.pixels = colours.collect::<Vec<u8>>().into();
        grey.channels = 3;
        let resnet = Architecture::Resnet {
            blocks: 1,
            projection: true,
        };
        let network = Network::new(resnet, 10, &wcat(), Seed(7), &Device::Cpu).unwrap();
        let network = network.0.with_input_shape([3, 28, 28]).unwrap();
        let mut log = Log {
            stop_after,
            ..Log::default()
        };
        let done = run_on(grey, Route::Winograd, network, &spec(2), resume, &mut log);
        (done.map(|(_, state)| state), log.states.pop())
    };
    pool.unwrap().install(|| match killed {
        None => weights(&train(None, None).0.unwrap()),
        Some(_) => {
            let (stopped, saved) = train(None, killed);
            assert!(matches!(stopped, Err(Error::Interrupted)));
            weights(&train(saved, None).0.unwrap())
        }
    })
}

#[test]
fn trainings_by_winograd_are_the_same_on_two_threads_and_after_a_kill() {
    let whole = resnet(1, None);
    assert!(whole == resnet(2, None), "threads");
    assert!(whole == resnet(1, Some(11)), "kill");
}

#[test]
fn a_loss_that_is_not_finite_names_its_epoch_and_step() {
    let mut spec = spec(3);
    spec.optimizer.learning_rate = 1e3;
    spec.optimizer.momentum = Some(0.99);
    let float = QuantizerSpec::default();
    let error = run(&float, &spec, None, &mut Log::default()).unwrap_err();
    let Error::Diverged { epoch, step, loss } = error else {
        panic!("{error}")
    };
    assert!(epoch >= 1 && step >= 1 && !loss.is_finite());
    assert!(error
        .to_string()
        .contains(&format!("in epoch {epoch}, step {step}")));
}

#[test]
fn training_flips_change_the_training_but_not_the_stored_memory_format() {
    let mut flipping = wcat();
    flipping.train_bit_error_rate = Ber::new(0.05).unwrap();
    let (_, clean) = run(&wcat(), &spec(1), None, &mut Log::default()).unwrap();
    let (_, flipped) = run(&flipping, &spec(1), None, &mut Log::default()).unwrap();
    assert_ne!(weights(&clean), weights(&flipped));
    assert!(flipped.history[0].training_loss > clean.history[0].training_loss);
}

#[test]
fn the_magnitude_penalty_pulls_the_largest_weights_down() {
    let mut penalised = spec(3);
    penalised.max_magnitude_penalty = 0.5;
    let largest = |spec: &TrainerSpec| {
        let (network, _) = run(&QuantizerSpec::default(), spec, None, &mut Log::default()).unwrap();
        let of = |p: &crate::net::Parameter| {
            crate::quant::max_abs(&p.var.flatten_all().unwrap().to_vec1::<f32>().unwrap())
        };
        network
            .parameters()
            .iter()
            .filter(|p| p.role == Role::Weight)
            .map(of)
            .sum::<f32>()
    };
    let (with, without) = (largest(&penalised), largest(&spec(3)));
    assert!(with < 0.9 * without, "{with} {without}");
}

#[test]
fn a_range_stops_at_its_floor_and_says_so() {
    let mut spec = spec(3);
    spec.optimizer.range_decay = 100.0;
    let mut log = Log::default();
    let (network, state) = run(&wcat(), &spec, None, &mut log).unwrap();
    assert!(
        log.warnings
            .iter()
            .any(|w| w.contains("range of layer1 reached its floor")),
        "{:?}",
        log.warnings
    );
    let mut told = log.warnings.clone();
    told.sort();
    told.dedup();
    assert_eq!(
        told.len(),
        log.warnings.len(),
        "once per layer and epoch: {:?}",
        log.warnings
    );
    for (parameter, (name, floor)) in network
        .parameters()
        .iter()
        .filter(|p| p.role == Role::Range)
        .zip(&state.range_floors)
    {
        assert_eq!(parameter.name, *name);
        assert!(parameter.var.to_scalar::<f32>().unwrap() >= *floor && *floor > 0.0);
    }
}
