//! The parts of one step of a bit-flip attack on ResNet-20, batch 128, 1000 test images: the gradient by the kernels
//! beside plain candle; the trial of every layer's candidate and the flips at random from the changed layer on beside
//! whole evaluations; the accuracy after the step.
//!
//! `cargo bench --bench attack`; after `--`: `--isa avx2`, `--repeats N`. CPU seconds, medians of interleaved repeats.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;

use candle_core::{Device, Tensor, Var};
use measure::{cpu_seconds, median, median_ratio};
use wcat_explore::code::Word;
use wcat_explore::engine::Evaluator;
use wcat_explore::net::{Architecture, Route};
use wcat_explore::seed::{Purpose, Seed};

const RESNET20: Architecture = Architecture::Resnet {
    blocks: 3,
    projection: false,
};
const BATCH: usize = 128;
const TEST: usize = 1000;
/// Flips at random that are computed together, as an attack does.
const TOGETHER: u64 = 32;

/// A part of a step, and the CPU seconds that it took before and takes now in each repeat.
struct Part {
    name: &'static str,
    before: Vec<f64>,
    now: Vec<f64>,
}

fn main() {
    let asked = measure::asked();
    if !asked.wants("attack") {
        return;
    }
    let evaluator = Evaluator::new(measure::network(RESNET20)).unwrap();
    let (batch, test) = (
        measure::images(RESNET20, BATCH),
        measure::images(RESNET20, TEST),
    );
    let pixels = batch.tensor().unwrap();
    let labels = Tensor::new(batch.labels(), &Device::Cpu).unwrap();
    let gradient = |route: Route| {
        let weights = evaluator.network().effective_weights().unwrap();
        let weights: Vec<Tensor> = weights
            .iter()
            .map(|w| Var::from_tensor(w).unwrap().as_tensor().clone())
            .collect();
        let logits = evaluator
            .network()
            .logits_by(route, &pixels, &weights)
            .unwrap();
        candle_nn::loss::cross_entropy(&logits, &labels)
            .unwrap()
            .backward()
            .unwrap();
    };
    // one flip in each layer, and flips anywhere
    let flipped = |index: usize| vec![(index, evaluator.words()[index] ^ 0x80)];
    let candidates: Vec<Vec<(usize, Word)>> = evaluator
        .starts()
        .iter()
        .map(|start| flipped(*start))
        .collect();
    let mut stream = Seed(1).stream(Purpose::RandomFlips, &[]);
    let words = evaluator.words().len() as u64;
    let random: Vec<Vec<(usize, Word)>> = (0..TOGETHER)
        .map(|_| flipped(stream.below(words) as usize))
        .collect();
    let alone = |faults: &Vec<(usize, Word)>, images| {
        evaluator.faulty(faults, images).unwrap();
    };
    let mut parts = ["gradient", "candidates", "accuracy", "a random flip"].map(|name| Part {
        name,
        before: Vec::new(),
        now: Vec::new(),
    });
    for repeat in 1..=asked.repeats {
        let accuracy = cpu_seconds(|| alone(&candidates[0], &test));
        let whole = cpu_seconds(|| {
            [&batch, &test]
                .into_iter()
                .for_each(|images| alone(&random[0], images))
        });
        let each = cpu_seconds(|| candidates.iter().for_each(|faults| alone(faults, &batch)));
        let in_turn = || {
            for images in [&batch, &test] {
                evaluator.faulty_in_turn(&random, images).unwrap();
            }
        };
        let shared = || drop(evaluator.faulty_each(&candidates, &batch).unwrap());
        let seconds = [
            (
                cpu_seconds(|| gradient(Route::Plain)),
                cpu_seconds(|| gradient(Route::Kernels)),
            ),
            (each, cpu_seconds(shared)),
            (accuracy, accuracy),
            (whole, cpu_seconds(in_turn) / TOGETHER as f64),
        ];
        println!("repeat {repeat}: before and now {seconds:.3?}");
        for (part, (before, now)) in parts.iter_mut().zip(seconds) {
            part.before.push(before);
            part.now.push(now);
        }
    }
    println!(
        "{RESNET20}, batch {BATCH}, {TEST} test images, medians of {} repeats",
        asked.repeats
    );
    for Part { name, before, now } in &parts {
        let (slow, fast) = (median(before), median(now));
        println!(
            "  {name}: {slow:.3} CPU s, now {fast:.3}, {:.2} times less",
            median_ratio(before, now)
        );
    }
}
