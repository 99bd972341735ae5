//! Weights to stored words and back, 270,000 of 8 bits: quantise, encode, decode, dequantise, beside the same tensor
//! operations of plain candle.
//!
//! `cargo bench --bench codes`; after `--`: `--repeats N`, criterion's own flags and filter. In CPU seconds.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result
#![allow(clippy::disallowed_methods)] // rounding without a gradient is what plain candle has

#[path = "measure/mod.rs"]
mod measure;

use candle_core::{DType, Tensor};
use criterion::Throughput;
use measure::{cpu_seconds, median, median_ratio};
use std::hint::black_box;
use wcat_explore::code::Word;
use wcat_explore::quant::{QuantizedWeight, QuantizerSpec, StoredWeight};
use wcat_explore::seed::{Purpose, Seed};
use wcat_explore::units::Bits;

const WEIGHTS: usize = 270_000;

fn main() {
    let asked = measure::asked();
    let mut criterion = measure::criterion();
    let weight = Seed(4)
        .stream(Purpose::Images, &[])
        .normal_tensor(0.1, WEIGHTS)
        .unwrap();
    let spec = QuantizerSpec {
        bits: Bits::new(8).unwrap(),
        ..QuantizerSpec::default()
    };
    let layer = QuantizedWeight::new("weights", weight.clone(), &spec)
        .unwrap()
        .0;
    let stored = layer.stored(0.0).unwrap().unwrap();
    let format = stored.format;
    let codes: Vec<i16> = stored
        .words
        .iter()
        .map(|&word| format.decode(word))
        .collect();
    let words = Tensor::from_slice(&stored.words, WEIGHTS, weight.device()).unwrap();
    let step = stored.step().unwrap();
    check(&stored, &weight, &words);

    let mut group = measure::group(&mut criterion, "codes", 2);
    group.throughput(Throughput::Elements(WEIGHTS as u64));
    group.bench_function("encode", |b| {
        b.iter(|| {
            black_box(&codes)
                .iter()
                .map(|&code| format.encode(code))
                .collect::<Vec<Word>>()
        })
    });
    group.bench_function("decode", |b| {
        b.iter(|| {
            black_box(&stored)
                .words
                .iter()
                .map(|&word| format.decode(word))
                .collect::<Vec<i16>>()
        })
    });
    group.bench_function("quantise and encode", |b| {
        b.iter(|| layer.stored(0.0).unwrap())
    });
    group.bench_function("dequantise", |b| b.iter(|| black_box(&stored).values()));
    group.bench_function("plain candle, quantise", |b| b.iter(|| quantised(&weight)));
    group.bench_function("plain candle, dequantise", |b| {
        b.iter(|| dequantised(&words, step))
    });
    group.finish();

    let mut lines = Vec::new();
    if asked.wants("codes") {
        let quantise = || drop(black_box(layer.stored(0.0).unwrap()));
        let plain = || drop(black_box(quantised(&weight)));
        lines.push(interleaved(
            asked.repeats,
            "quantise and encode",
            plain,
            quantise,
        ));
        let dequantise = || drop(black_box(black_box(&stored).values()));
        let plain = || drop(black_box(dequantised(&words, step)));
        lines.push(interleaved(asked.repeats, "dequantise", plain, dequantise));
    }
    criterion.final_summary();
    lines.iter().for_each(|line| println!("{line}"));
}

/// Plain candle and the library in turn, each often enough for the clock; the line of the result.
fn interleaved(repeats: usize, what: &str, plain: impl Fn(), fast: impl Fn()) -> String {
    const TIMES: usize = 50;
    let each = |work: &dyn Fn()| cpu_seconds(|| (0..TIMES).for_each(|_| work())) / TIMES as f64;
    let (mut candle, mut library) = (Vec::new(), Vec::new());
    for _ in 0..repeats {
        candle.push(each(&plain));
        library.push(each(&fast));
    }
    let words = |seconds: f64| WEIGHTS as f64 / seconds / 1e6;
    format!(
        "{what}, {WEIGHTS} weights of 8 bits, medians of {repeats} interleaved repeats: {:.0} million words a CPU \
         second, plain candle {:.0} million, {:.2} times less CPU",
        words(median(&library)),
        words(median(&candle)),
        median_ratio(&candle, &library)
    )
}

/// Step of the largest weight, codes rounded and clamped, as words: the plain version of [`QuantizedWeight::stored`].
fn quantised(weight: &Tensor) -> (Tensor, f32) {
    let largest: f32 = weight.abs().unwrap().max(0).unwrap().to_scalar().unwrap();
    let step = largest / 128.0;
    let codes = (weight / f64::from(step))
        .unwrap()
        .round()
        .unwrap()
        .clamp(-128.0, 127.0)
        .unwrap();
    let wrapped = (codes.lt(0.0).unwrap().to_dtype(DType::F32).unwrap() * 256.0).unwrap();
    (
        (codes + wrapped).unwrap().to_dtype(DType::U8).unwrap(),
        step,
    )
}

/// The plain version of [`StoredWeight::values`].
fn dequantised(words: &Tensor, step: f32) -> Tensor {
    let words = words.to_dtype(DType::F32).unwrap();
    let wrapped = (words.ge(128.0).unwrap().to_dtype(DType::F32).unwrap() * 256.0).unwrap();
    ((words - wrapped).unwrap() * f64::from(step)).unwrap()
}

/// Both versions store and read the same.
fn check(stored: &StoredWeight, weight: &Tensor, words: &Tensor) {
    let (plain, step) = quantised(weight);
    assert_eq!(Some(step), stored.step());
    // candle multiplies by the inverse of the step: a code may differ where a quotient lies at a half
    let plain = plain.to_vec1::<Word>().unwrap();
    let other = plain
        .iter()
        .zip(&stored.words)
        .filter(|(a, b)| a != b)
        .count();
    assert!(other <= WEIGHTS / 1000, "{other} words differ");
    assert_eq!(
        dequantised(words, step).to_vec1::<f32>().unwrap(),
        stored.values()
    );
}
