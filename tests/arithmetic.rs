//! Winograd beside direct convolutions on the stored 8-bit ResNet-20 models: the same answers at every bit error rate.
//!
//! `cargo test --release --test arithmetic` takes 500 images of two models. `WCAT_ARITHMETIC_IMAGES=10000` takes so many
//! of all six and prints what it found (`-- --nocapture`).
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test may stop at once

mod program;

use candle_core::Device;
use std::path::Path;
use wcat_explore::data::{self, DatasetName, DatasetSpec, Split};
use wcat_explore::engine::{Evaluator, Images};
use wcat_explore::fault::{faulty_words, Chip, FaultKind};
use wcat_explore::kernel::{Arithmetic, Isa};
use wcat_explore::memory;
use wcat_explore::net::Model;
use wcat_explore::seed::Seed;
use wcat_explore::store;
use wcat_explore::units::{Ber, ChipId};

const CLASSES: usize = 10;
const MODELS: [&str; 6] = [
    "0.1-wcat",
    "normal",
    "lsq",
    "0.2-plclip",
    "0.1-randbet",
    "0.1-wclip",
];

/// What two arithmetics had in common on some images.
#[derive(Debug, Default)]
struct Compared {
    answers: usize,
    other_answers: usize,
    /// Largest difference of logits, relative to the largest logit of the image.
    worst: f32,
}

impl Compared {
    fn count(&mut self, one: &[f32], other: &[f32]) {
        for (one, other) in one.chunks_exact(CLASSES).zip(other.chunks_exact(CLASSES)) {
            self.answers += 1;
            self.other_answers += usize::from(answer(one) != answer(other));
            let largest = other.iter().fold(0f32, |most, logit| most.max(logit.abs()));
            for (one, other) in one.iter().zip(other) {
                self.worst = self.worst.max((one - other).abs() / largest);
            }
        }
    }
}

/// The class of the largest logit; none where one is no number.
fn answer(logits: &[f32]) -> Option<usize> {
    let finite = logits.iter().all(|logit| logit.is_finite());
    finite.then(|| {
        (0..CLASSES)
            .max_by(|a, b| logits[*a].total_cmp(&logits[*b]))
            .unwrap()
    })
}

/// The first test images of CIFAR-10, normalised for a model; `None` where the data set is not here.
fn images(model: &Model, count: usize) -> Option<Images> {
    let spec = DatasetSpec {
        name: DatasetName::Cifar10,
        ..DatasetSpec::default()
    };
    let folder = store::cache_folder().unwrap();
    if !program::there(&[&folder.join("cifar-10-batches-bin/test_batch.bin")]) {
        return None;
    }
    let set = data::load(&spec, Split::Test, &folder).unwrap();
    let places: Vec<u32> = (0..count as u32).collect();
    let normalization = model
        .info
        .normalization
        .clone()
        .unwrap_or(spec.normalization());
    let pixels = set.batch(&places, &normalization, None);
    let shape = model.network.input_shape();
    Some(Images::new(pixels, shape, set.labels(&places), &Device::Cpu).unwrap())
}

#[test]
fn answers_are_those_of_direct_convolutions_at_every_bit_error_rate() {
    let asked = std::env::var("WCAT_ARITHMETIC_IMAGES").ok();
    let (count, models) = match &asked {
        Some(count) => (count.parse().unwrap(), &MODELS[..]),
        None => (500, &MODELS[..2]),
    };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/models/cifar10-resnet20");
    let memory = memory::load("sram-14nm-chandramoorthy2019").unwrap();
    let mut all = Compared::default();
    for name in models {
        let path = folder.join(format!("cifar10_resnet20-{name}-8bit.safetensors"));
        let Some(images) = images(&Model::load(&path, &Device::Cpu).unwrap(), count) else {
            return;
        };
        let [winograd, direct] = Arithmetic::ALL.map(|arithmetic| {
            let network = Model::load(&path, &Device::Cpu).unwrap().network;
            Evaluator::with(network, Isa::current(), arithmetic).unwrap()
        });
        for ber in [0.0, 1e-4, 1e-3, 1e-2, 0.5] {
            let chip = Chip::new(Seed(7), ChipId(1), memory.array).unwrap();
            let cells = 8 * direct.words().len() as u64;
            let cells = chip.failing_cells(Ber::new(ber).unwrap(), cells);
            let faults = faulty_words(FaultKind::Flip, &cells, direct.words(), 8).unwrap();
            let logits = |evaluator: &Evaluator| evaluator.logits(&faults, &images).unwrap();
            let mut compared = Compared::default();
            compared.count(&logits(&winograd), &logits(&direct));
            if asked.is_some() {
                println!("{name} at {ber}: {compared:?}");
            }
            all.answers += compared.answers;
            all.other_answers += compared.other_answers;
            all.worst = all.worst.max(compared.worst);
        }
    }
    println!("all: {all:?}");
    // 1 of 100,000 answers may stand so close to another that rounding decides it
    assert!(all.other_answers <= 1 + all.answers / 100_000, "{all:?}");
    assert!(all.worst <= 3e-5, "{all:?}");
}
