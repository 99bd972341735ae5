//! One evaluation of LeNet-5 and ResNet-20: the engine with each instruction set beside plain candle, in CPU
//! seconds, interleaved, and against the machine's measured peak of fused multiply-adds.
//!
//! `cargo bench --bench evaluation`

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;

use candle_core::Device;
use measure::{cpu_seconds, median, network, on_one_thread, peak};
use wcat_explore::engine::{Evaluator, Images, Plain};
use wcat_explore::kernel::Isa;
use wcat_explore::net::Architecture;
use wcat_explore::seed::{Purpose, Seed};

/// Images of a fast evaluation, and of a plain one, which is scaled up to as many.
const IMAGES: (usize, usize) = (2_000, 100);
const REPEATS: usize = 3;

fn images(architecture: Architecture, n: usize) -> Images {
    let shape = architecture.input_shape();
    let mut stream = Seed(2).stream(Purpose::Images, &[]);
    let pixels = (0..n * shape.iter().product::<usize>()).map(|_| stream.normal() as f32).collect();
    Images::new(pixels, shape, (0..n as u32).map(|i| i % 10).collect(), &Device::Cpu).unwrap()
}

fn main() {
    on_one_thread(bench);
}

fn bench(architecture: Architecture) {
    // the portable kernels are for machines without AVX2, and far too slow to wait for here
    let isas = Isa::available().into_iter().filter(|isa| *isa != Isa::Portable);
    let evaluators: Vec<(Isa, Evaluator)> =
        isas.map(|isa| (isa, Evaluator::with_isa(network(architecture), isa).unwrap())).collect();
    let (all, few) = (images(architecture, IMAGES.0), images(architecture, IMAGES.1));
    let plain = Plain::new(&evaluators[0].1).unwrap();
    let factor = IMAGES.0 as f64 / IMAGES.1 as f64;
    let mut seconds = vec![Vec::new(); evaluators.len()];
    let (mut plain_seconds, mut peaks) = (Vec::new(), vec![Vec::new(); evaluators.len()]);
    for _ in 0..REPEATS {
        plain_seconds.push(factor * cpu_seconds(|| assert_eq!(plain.clean(&few).unwrap().images, few.len())));
        for (i, (isa, evaluator)) in evaluators.iter().enumerate() {
            peaks[i].push(peak(*isa));
            seconds[i].push(cpu_seconds(|| assert_eq!(evaluator.clean(&all).unwrap().images, all.len())));
        }
    }
    let candle = median(&plain_seconds);
    println!("{architecture}, {} images, medians of {REPEATS} interleaved repeats", IMAGES.0);
    println!("  plain candle ({} images, scaled): {candle:.2} CPU s", IMAGES.1);
    for (i, (isa, evaluator)) in evaluators.iter().enumerate() {
        let (seconds, peak) = (median(&seconds[i]), median(&peaks[i]));
        let flops = 2.0 * evaluator.multiplications().unwrap() as f64 * IMAGES.0 as f64;
        println!(
            "  engine, {isa}: {seconds:.3} CPU s, {:.1} times less, {:.1} of {peak:.1} GFLOP/s = {:.0} % of the peak",
            candle / seconds,
            flops / seconds / 1e9,
            100.0 * flops / seconds / 1e9 / peak
        );
    }
}
