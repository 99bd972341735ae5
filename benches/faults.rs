//! Faults drawn per second on a chip with 270,000 weights of 8 bits (2.16 Mbit), and words read through them, beside a
//! plain candle version that draws every cell.
//!
//! `cargo bench --bench faults`; after `--`: `--repeats N`, criterion's own flags and filter. In CPU seconds.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;

use candle_core::{DType, Device, Tensor};
use criterion::Throughput;
use measure::{cpu_seconds, median, median_ratio};
use std::hint::black_box;
use wcat_explore::code::Word;
use wcat_explore::fault::{apply, ArraySpec, Chip, FailingCell, FaultKind};
use wcat_explore::memory;
use wcat_explore::seed::{Purpose, Seed};
use wcat_explore::units::{Ber, ChipId};

const WEIGHTS: usize = 270_000;
const BITS: usize = 8;
const RATES: [f64; 2] = [1e-4, 1e-2];

fn main() {
    let asked = measure::asked();
    let mut criterion = measure::criterion();
    let independent = memory::load("sram-14nm-chandramoorthy2019").unwrap().array;
    let correlated = ArraySpec {
        column_correlation: 0.5,
        bank_correlation: 0.05,
        ..independent
    };
    let mut stream = Seed(4).stream(Purpose::Images, &[]);
    let words: Vec<Word> = (0..WEIGHTS).map(|_| stream.below(256) as Word).collect();
    let oracle = Oracle::new(&words);
    let mut lines = Vec::new();
    for ber in RATES {
        let name = format!("faults/{ber:e}");
        let cells = draw(independent, ber, 0);
        let mut group = measure::group(&mut criterion, &name, 2);
        group.throughput(Throughput::Elements(cells.len() as u64));
        let mut chip = 0;
        let mut next = || {
            chip += 1;
            chip
        };
        group.bench_function("draw", |b| b.iter(|| draw(independent, ber, next())));
        group.bench_function("draw, weak columns", |b| {
            b.iter(|| draw(correlated, ber, next()))
        });
        let mut read = words.clone();
        // flips: twice is as stored
        group.bench_function("apply", |b| {
            b.iter(|| apply(FaultKind::Flip, &cells, &mut read, BITS as u32).unwrap())
        });
        group.bench_function("plain candle, draw", |b| {
            b.iter(|| oracle.draw(ber, next()))
        });
        let failing = oracle.draw(ber, 0);
        group.bench_function("plain candle, apply", |b| b.iter(|| oracle.read(&failing)));
        group.finish();
        if asked.wants(&name) {
            lines.push(interleaved(asked.repeats, ber, independent, &oracle));
        }
    }
    criterion.final_summary();
    lines.iter().for_each(|line| println!("{line}"));
}

fn draw(array: ArraySpec, ber: f64, chip: u32) -> Vec<FailingCell> {
    let chip = Chip::new(Seed(3), ChipId(chip), array).unwrap();
    chip.failing_cells(Ber::new(ber).unwrap(), (WEIGHTS * BITS) as u64)
}

/// Chips drawn and plain candle in turn; the line of the result.
fn interleaved(repeats: usize, ber: f64, array: ArraySpec, oracle: &Oracle) -> String {
    const CHIPS: u32 = 20;
    let (mut plain, mut lazy, mut faults) = (Vec::new(), Vec::new(), 0);
    for repeat in 0..repeats as u32 {
        plain.push(cpu_seconds(|| drop(black_box(oracle.draw(ber, repeat)))));
        let chips = repeat * CHIPS..(repeat + 1) * CHIPS;
        let seconds = cpu_seconds(|| chips.for_each(|chip| faults += draw(array, ber, chip).len()));
        lazy.push(seconds / f64::from(CHIPS));
    }
    let (each, seconds) = (
        faults as f64 / (f64::from(CHIPS) * repeats as f64),
        median(&lazy),
    );
    format!(
        "bit error rate {ber:e}, medians of {repeats} interleaved repeats: plain candle {:.2} CPU ms a chip, drawn \
         lazily {:.4} CPU ms ({each:.0} faults, {:.2} million a second), {:.0} times less",
        1e3 * median(&plain),
        1e3 * seconds,
        each / seconds / 1e6,
        median_ratio(&plain, &lazy)
    )
}

/// Every cell by itself: one uniform number for each of them, the stored bits as numbers.
struct Oracle {
    /// [weights, bits], 0 or 1.
    stored: Tensor,
    /// [bits, 1], what each bit of a two's-complement word is worth.
    worth: Tensor,
}

impl Oracle {
    fn new(words: &[Word]) -> Self {
        let bits = words
            .iter()
            .flat_map(|word| (0..BITS).map(move |bit| f32::from(word >> bit & 1)));
        let worth = [1.0f32, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, -128.0];
        Self {
            stored: Tensor::from_vec(bits.collect(), (WEIGHTS, BITS), &Device::Cpu).unwrap(),
            worth: Tensor::from_slice(&worth, (BITS, 1), &Device::Cpu).unwrap(),
        }
    }

    /// 1 for each cell that fails, [weights, bits].
    fn draw(&self, ber: f64, chip: u32) -> Tensor {
        let mut stream = Seed(3).stream(Purpose::Cells, &[u64::from(chip)]);
        let thresholds = stream.uniform_tensor(0.0, 1.0, (WEIGHTS, BITS)).unwrap();
        thresholds.lt(ber).unwrap().to_dtype(DType::F32).unwrap()
    }

    /// The codes as they are read, [weights, 1].
    fn read(&self, failing: &Tensor) -> Tensor {
        (&self.stored - failing)
            .unwrap()
            .abs()
            .unwrap()
            .matmul(&self.worth)
            .unwrap()
    }
}
