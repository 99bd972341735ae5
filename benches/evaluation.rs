//! One evaluation of LeNet-5 and ResNet-20 on 10,000 images: the engine in both arithmetics beside plain candle and
//! against the machine's measured peak of fused multiply-adds, and what a chip costs beside its images.
//!
//! `cargo bench --bench evaluation`; after `--`: `--isa avx2` for one set of vector instructions alone, `--repeats N`,
//! `--full` for plain candle on all images instead of a tenth of them, and criterion's own flags and filter.
//!
//! With `WCAT_MODEL`, a model file, it measures nothing else and serves `benches/peers.py`, see [`serve`].

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;

use candle_core::Device;
use criterion::{Criterion, Throughput};
use measure::{cpu_seconds, median, median_ratio, peak, Asked, CpuTime};
use wcat_explore::engine::{Evaluator, Images, Plain};
use wcat_explore::fault::{faulty_words, Chip, FaultKind};
use wcat_explore::kernel::{Arithmetic, Isa};
use wcat_explore::memory;
use wcat_explore::net::{Architecture, Model};
use wcat_explore::seed::Seed;
use wcat_explore::units::{Ber, ChipId};

/// Images of an evaluation.
const IMAGES: usize = 10_000;
/// Images that plain candle evaluates in a repeat, scaled up; all of them with `--full`.
const PLAIN_IMAGES: usize = 1_000;
/// Images of criterion's evaluations, by the engine and by plain candle.
const FEW: (usize, usize) = (250, 100);
/// Chips of which the cost beside their images is taken, each on a few images.
const CHIPS: u32 = 200;
const GROUP: usize = 8;

fn main() {
    let asked = measure::asked();
    if let Ok(model) = std::env::var("WCAT_MODEL") {
        return serve(&model);
    }
    let mut criterion = measure::criterion();
    let mut lines = Vec::new();
    for architecture in measure::ARCHITECTURES {
        let engines = engines(&asked, architecture);
        sampled(&mut criterion, architecture, &engines);
        if asked.wants(&format!("evaluation/{architecture}")) {
            lines.extend(interleaved(&asked, architecture, &engines));
        }
    }
    criterion.final_summary();
    lines.iter().for_each(|line| println!("{line}"));
}

/// Answers each line of standard input with one pass over images: `[CPU seconds, [logits]]`. `WCAT_IMAGES` is a file of
/// their normalised values in f32, little-endian, NCHW; `WCAT_ARITHMETIC` names the arithmetic.
fn serve(model: &str) {
    let given = |name: &str| std::env::var(name).unwrap();
    let network = Model::load(model.as_ref(), &Device::Cpu).unwrap().network;
    let shape = network.input_shape();
    let arithmetic = given("WCAT_ARITHMETIC").parse().unwrap();
    let evaluator = Evaluator::with(network, Isa::current(), arithmetic).unwrap();
    let bytes = std::fs::read(given("WCAT_IMAGES")).unwrap();
    let values = bytes.as_chunks().0.iter().map(|x| f32::from_le_bytes(*x));
    let pixels: Vec<f32> = values.collect();
    let labels = vec![0; pixels.len() / shape.iter().product::<usize>()];
    let images = Images::new(pixels, shape, labels, &Device::Cpu).unwrap();
    for _ in std::io::stdin().lines() {
        let mut logits = Vec::new();
        let seconds = cpu_seconds(|| logits = evaluator.logits(&[], &images).unwrap());
        println!("[{seconds}, {logits:?}]");
    }
}

/// An engine for one set of vector instructions and one arithmetic.
struct Engine {
    isa: Isa,
    arithmetic: Arithmetic,
    evaluator: Evaluator,
}

impl Engine {
    fn name(&self) -> String {
        format!("engine {} {}", self.isa, self.arithmetic)
    }
}

/// Those that are asked for, both arithmetics of each set of instructions.
fn engines(asked: &Asked, architecture: Architecture) -> Vec<Engine> {
    let mut all = Vec::new();
    for isa in asked.isas() {
        for arithmetic in Arithmetic::ALL {
            let network = measure::network(architecture);
            all.push(Engine {
                isa,
                arithmetic,
                evaluator: Evaluator::with(network, isa, arithmetic).unwrap(),
            });
        }
    }
    all
}

/// Criterion's samples, one benchmark after the other.
fn sampled(criterion: &mut Criterion<CpuTime>, architecture: Architecture, engines: &[Engine]) {
    let (images, few) = (
        measure::images(architecture, FEW.0),
        measure::images(architecture, FEW.1),
    );
    let seconds = if architecture == Architecture::Lenet5 {
        2
    } else {
        8
    };
    let mut group = measure::group(criterion, &format!("evaluation/{architecture}"), seconds);
    group.throughput(Throughput::Elements(images.len()));
    for engine in engines {
        group.bench_function(engine.name(), |b| {
            b.iter(|| engine.evaluator.clean(&images).unwrap())
        });
    }
    let plain = Plain::new(&engines[0].evaluator).unwrap();
    group.throughput(Throughput::Elements(few.len()));
    group.bench_function("plain candle", |b| b.iter(|| plain.clean(&few).unwrap()));
    group.finish();
}

/// Engine and plain candle in turn; prints each repeat and returns the lines of the result.
fn interleaved(asked: &Asked, architecture: Architecture, engines: &[Engine]) -> Vec<String> {
    let images = measure::images(architecture, IMAGES);
    let few = measure::images(architecture, if asked.full { IMAGES } else { PLAIN_IMAGES });
    let scale = images.len() as f64 / few.len() as f64;
    let plain = Plain::new(&engines[0].evaluator).unwrap();
    let (mut candle, mut taken) = (Vec::new(), vec![Vec::new(); engines.len()]);
    let mut peaks = vec![Vec::new(); engines.len()];
    for repeat in 1..=asked.repeats {
        let seconds =
            scale * cpu_seconds(|| assert_eq!(plain.clean(&few).unwrap().images, few.len()));
        let mut line = format!("{architecture}, repeat {repeat}: plain candle {seconds:.2} CPU s");
        candle.push(seconds);
        for (i, engine) in engines.iter().enumerate() {
            peaks[i].push(peak(engine.isa));
            // what ran before it must not cost it page faults and cold caches
            engine.evaluator.clean(&few).unwrap();
            let fast = cpu_seconds(|| {
                let score = engine.evaluator.clean(&images).unwrap();
                assert_eq!(score.images, images.len());
            });
            line += &format!(
                ", {} {fast:.3} CPU s ({:.2} times less)",
                engine.name(),
                seconds / fast
            );
            taken[i].push(fast);
        }
        println!("{line}");
    }
    let scaled = if asked.full {
        String::new()
    } else {
        format!(" ({} images, scaled)", few.len())
    };
    let mut lines = vec![
        format!(
            "{architecture}, {IMAGES} images, medians of {} interleaved repeats",
            asked.repeats
        ),
        format!("  plain candle{scaled}: {:.2} CPU s", median(&candle)),
    ];
    for (i, engine) in engines.iter().enumerate() {
        let (seconds, peak) = (median(&taken[i]), median(&peaks[i]));
        let multiplications = engine.evaluator.multiplications().unwrap();
        let speed = 2.0 * multiplications as f64 * IMAGES as f64 / seconds / 1e9;
        let direct = engines
            .iter()
            .position(|other| other.isa == engine.isa && other.arithmetic == Arithmetic::Direct)
            .unwrap();
        lines.push(format!(
            "  {}: {seconds:.3} CPU s, {:.2} times less than candle, {:.2} times less than direct; as if direct \
             {speed:.1} of {peak:.1} GFLOP/s = {:.0} % of the peak",
            engine.name(),
            median_ratio(&candle, &taken[i]),
            median_ratio(&taken[direct], &taken[i]),
            100.0 * speed / peak
        ));
    }
    let medians: Vec<f64> = taken.iter().map(|seconds| median(seconds)).collect();
    let mut fastest = 0;
    for (i, seconds) in medians.iter().enumerate() {
        if *seconds < medians[fastest] {
            fastest = i;
        }
    }
    let group = measure::images(architecture, GROUP);
    let chip = |ber| chip(&engines[fastest], &group, ber, medians[fastest]);
    lines.extend([1e-4, 1e-2].map(chip));
    lines
}

/// What one chip costs: its faults drawn and the words read through them, and all that a trial does beside its images;
/// `evaluation` is the time of one on all images.
fn chip(engine: &Engine, group: &Images, ber: f64, evaluation: f64) -> String {
    let memory = memory::load("sram-14nm-chandramoorthy2019").unwrap();
    let (words, rate) = (engine.evaluator.words(), Ber::new(ber).unwrap());
    let draw = |chip: u32| {
        let chip = Chip::new(Seed(3), ChipId(chip), memory.array).unwrap();
        let cells = chip.failing_cells(rate, 8 * words.len() as u64);
        faulty_words(FaultKind::Flip, &cells, words, 8).unwrap()
    };
    let chips: Vec<_> = (0..CHIPS).map(draw).collect();
    let faulty = chips.iter().map(Vec::len).sum::<usize>() as f64 / f64::from(CHIPS);
    let drawing = cpu_seconds(|| (0..CHIPS).for_each(|chip| drop(draw(chip)))) / f64::from(CHIPS);
    let (mut trials, mut clean) = (Vec::new(), Vec::new());
    for some in chips.chunks(CHIPS as usize / 10) {
        // one trial after the other: what one leaves to be transformed, the next transforms
        let faulty = |words| assert!(engine.evaluator.faulty(words, group).is_ok());
        trials
            .push(cpu_seconds(|| some.iter().for_each(|words| faulty(words))) / some.len() as f64);
        assert!(engine.evaluator.clean(group).is_ok());
        let again = || assert!(engine.evaluator.clean(group).is_ok());
        clean.push(cpu_seconds(|| some.iter().for_each(|_| again())) / some.len() as f64);
    }
    let image = evaluation / IMAGES as f64;
    let beside = drawing + median(&trials) - median(&clean);
    format!(
        "  a chip at a bit error rate of {ber}, by {}: {:.3} CPU ms to draw {faulty:.0} of {} words, {:.3} % of an \
         evaluation; {:.3} CPU ms beside its images, as long as {:.1} of them",
        engine.name(),
        1e3 * drawing,
        words.len(),
        100.0 * drawing / evaluation,
        1e3 * beside,
        beside / image
    )
}
