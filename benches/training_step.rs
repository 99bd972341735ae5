//! One training step, forward and backward, of LeNet-5 and ResNet-20 at batch 128: the kernels beside plain
//! candle, in CPU seconds, interleaved.
//!
//! `cargo bench --bench training_step`

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
#[allow(dead_code)] // the peak is the other benchmark's
mod measure;

use candle_core::{Device, Tensor};
use measure::{cpu_seconds, median, network, on_one_thread};
use wcat_explore::net::{Architecture, Route};
use wcat_explore::seed::{Purpose, Seed};

const BATCH: usize = 128;
const REPEATS: usize = 3;

fn main() {
    on_one_thread(bench);
}

fn bench(architecture: Architecture) {
    let network = network(architecture);
    let [channels, height, width] = architecture.input_shape();
    let mut stream = Seed(2).stream(Purpose::Images, &[]);
    let images = stream.normal_tensor(1.0, (BATCH, channels, height, width)).unwrap();
    let labels = Tensor::from_vec((0..BATCH as u32).map(|i| i % 10).collect(), BATCH, &Device::Cpu).unwrap();
    let step = |route: Route| {
        let logits = network.training_logits(&images, None, route).unwrap();
        drop(candle_nn::loss::cross_entropy(&logits, &labels).unwrap().backward().unwrap());
    };
    let (mut plain, mut fast) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        plain.push(cpu_seconds(|| step(Route::Plain)));
        for _ in 0..3 {
            fast.push(cpu_seconds(|| step(Route::Kernels)));
        }
    }
    let (plain, fast) = (median(&plain), median(&fast));
    println!(
        "{architecture}, batch {BATCH}: plain candle {plain:.3} CPU s, kernels {fast:.3} CPU s, {:.1} times less",
        plain / fast
    );
}
