//! One evaluation of LeNet-5 and ResNet-20 on 10,000 images: the engine beside plain candle in the same run and
//! against the machine's measured peak of fused multiply-adds, and the share that drawing a chip's faults takes.
//!
//! `cargo bench --bench evaluation`; after `--`: `--isa avx2` for one set of vector instructions alone, `--repeats N`,
//! `--full` for plain candle on all images instead of a tenth of them, and criterion's own flags and filter.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;

use criterion::{Criterion, Throughput};
use measure::{cpu_seconds, median, median_ratio, peak, Asked, CpuTime};
use wcat_explore::engine::{Evaluator, Plain};
use wcat_explore::fault::{faulty_words, Chip, FaultKind};
use wcat_explore::kernel::Isa;
use wcat_explore::memory;
use wcat_explore::net::Architecture;
use wcat_explore::seed::Seed;
use wcat_explore::units::{Ber, ChipId};

/// Images of an evaluation.
const IMAGES: usize = 10_000;
/// Images that plain candle evaluates in a repeat, scaled up; all of them with `--full`.
const PLAIN_IMAGES: usize = 1_000;
/// Images of criterion's evaluations, by the engine and by plain candle.
const FEW: (usize, usize) = (250, 100);
/// Chips whose faults are drawn for the share.
const CHIPS: u32 = 40;

fn main() {
    let asked = measure::asked();
    let mut criterion = measure::criterion();
    let mut lines = Vec::new();
    for architecture in measure::ARCHITECTURES {
        let of = |isa| {
            (
                isa,
                Evaluator::with_isa(measure::network(architecture), isa).unwrap(),
            )
        };
        let evaluators: Vec<(Isa, Evaluator)> = asked.isas().into_iter().map(of).collect();
        sampled(&mut criterion, architecture, &evaluators);
        if asked.wants(&format!("evaluation/{architecture}")) {
            lines.extend(interleaved(&asked, architecture, &evaluators));
        }
    }
    criterion.final_summary();
    lines.iter().for_each(|line| println!("{line}"));
}

/// Criterion's samples, one benchmark after the other.
fn sampled(
    criterion: &mut Criterion<CpuTime>,
    architecture: Architecture,
    evaluators: &[(Isa, Evaluator)],
) {
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
    for (isa, evaluator) in evaluators {
        group.bench_function(format!("engine {isa}"), |b| {
            b.iter(|| evaluator.clean(&images).unwrap())
        });
    }
    let plain = Plain::new(&evaluators[0].1).unwrap();
    group.throughput(Throughput::Elements(few.len()));
    group.bench_function("plain candle", |b| b.iter(|| plain.clean(&few).unwrap()));
    group.finish();
}

/// Engine and plain candle in turn; prints each repeat and returns the lines of the result.
fn interleaved(
    asked: &Asked,
    architecture: Architecture,
    evaluators: &[(Isa, Evaluator)],
) -> Vec<String> {
    let images = measure::images(architecture, IMAGES);
    let few = measure::images(architecture, if asked.full { IMAGES } else { PLAIN_IMAGES });
    let scale = images.len() as f64 / few.len() as f64;
    let plain = Plain::new(&evaluators[0].1).unwrap();
    let (mut candle, mut engine) = (Vec::new(), vec![Vec::new(); evaluators.len()]);
    let mut peaks = vec![Vec::new(); evaluators.len()];
    for repeat in 1..=asked.repeats {
        let seconds =
            scale * cpu_seconds(|| assert_eq!(plain.clean(&few).unwrap().images, few.len()));
        let mut line = format!("{architecture}, repeat {repeat}: plain candle {seconds:.2} CPU s");
        candle.push(seconds);
        for (i, (isa, evaluator)) in evaluators.iter().enumerate() {
            peaks[i].push(peak(*isa));
            let fast =
                cpu_seconds(|| assert_eq!(evaluator.clean(&images).unwrap().images, images.len()));
            line += &format!(
                ", engine {isa} {fast:.3} CPU s ({:.2} times less)",
                seconds / fast
            );
            engine[i].push(fast);
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
    for (i, (isa, evaluator)) in evaluators.iter().enumerate() {
        let (seconds, peak) = (median(&engine[i]), median(&peaks[i]));
        let speed =
            2.0 * evaluator.multiplications().unwrap() as f64 * IMAGES as f64 / seconds / 1e9;
        lines.push(format!(
            "  engine, {isa}: {seconds:.3} CPU s, {:.2} times less, {speed:.1} of {peak:.1} GFLOP/s = {:.0} % of \
             the peak",
            median_ratio(&candle, &engine[i]),
            100.0 * speed / peak
        ));
    }
    let fastest = engine
        .iter()
        .map(|seconds| median(seconds))
        .fold(f64::INFINITY, f64::min);
    lines.extend([1e-4, 1e-2].map(|ber| share(&evaluators[0].1, ber, fastest)));
    lines
}

/// The share that drawing one chip's faults and reading the words through them takes of a trial of so many seconds.
fn share(evaluator: &Evaluator, ber: f64, evaluation: f64) -> String {
    let memory = memory::load("sram-14nm-chandramoorthy2019").unwrap();
    let (words, ber) = (evaluator.words(), Ber::new(ber).unwrap());
    let draw = |chip: u32| {
        let chip = Chip::new(Seed(3), ChipId(chip), memory.array).unwrap();
        let cells = chip.failing_cells(ber, 8 * words.len() as u64);
        faulty_words(FaultKind::Flip, &cells, words, 8).unwrap()
    };
    let mut faulty = 0;
    let seconds =
        cpu_seconds(|| (0..CHIPS).for_each(|chip| faulty += draw(chip).len())) / f64::from(CHIPS);
    format!(
        "  faults of one chip at a bit error rate of {ber}: {:.3} CPU ms for {:.0} of {} words, {:.3} % of an \
         evaluation",
        1e3 * seconds,
        faulty as f64 / f64::from(CHIPS),
        words.len(),
        100.0 * seconds / evaluation
    )
}
