//! One training step (forward, backward, optimiser) of LeNet-5 and ResNet-20 at batch 128: the kernels by both
//! arithmetics beside plain candle in the same run, and against the machine's measured peak of fused multiply-adds;
//! then the losses of 20 steps by both.
//!
//! `cargo bench --bench training_step`; after `--`: `--isa avx2`, `--repeats N`, criterion's own flags and filter.
//! Quantisation and optimiser are the same, fused ones on both sides: the oracle is plain in its layers.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;

use candle_core::{Device, Tensor};
use cpu_time::ProcessTime;
use measure::{median, median_ratio, peak};
use wcat_explore::engine::Evaluator;
use wcat_explore::kernel::Isa;
use wcat_explore::net::{Architecture, Network, Route};
use wcat_explore::quant::QuantizerSpec;
use wcat_explore::seed::{Purpose, Seed};
use wcat_explore::train::{Optimizer, OptimizerSpec};

const BATCH: usize = 128;
/// Batch of criterion's samples of plain candle, which would take minutes at the other.
const SMALL_BATCH: usize = 16;
/// Steps by the kernels for each plain one.
const STEPS: usize = 3;
/// Steps whose losses by both arithmetics are compared, and their learning rate.
const COMPARED: usize = 20;
const RATE: f64 = 0.01;

/// A network in training.
struct Training {
    network: Network,
    optimizer: Optimizer,
    images: Tensor,
    labels: Tensor,
    route: Route,
}

impl Training {
    fn new(architecture: Architecture, route: Route, batch: usize) -> Self {
        Self::of(measure::network(architecture), route, batch)
    }

    fn of(network: Network, route: Route, batch: usize) -> Self {
        let architecture = network.architecture();
        let [channels, height, width] = architecture.input_shape();
        let mut stream = Seed(2).stream(Purpose::Images, &[]);
        let images = stream
            .normal_tensor(1.0, (batch, channels, height, width))
            .unwrap();
        let labels = (0..batch as u32).map(|i| i % 10).collect();
        let labels = Tensor::from_vec(labels, batch, &Device::Cpu).unwrap();
        let optimizer =
            Optimizer::new(&OptimizerSpec::default(), None, network.parameters()).unwrap();
        Self {
            network,
            optimizer,
            images,
            labels,
            route,
        }
    }

    /// One step; CPU seconds of forward with quantisation and loss, backward, optimiser.
    fn step(&mut self) -> [f64; 3] {
        self.learn().1
    }

    /// The loss before one step, and its CPU seconds.
    fn learn(&mut self) -> (f64, [f64; 3]) {
        let start = ProcessTime::now();
        let logits = self
            .network
            .training_logits(&self.images, None, self.route)
            .unwrap();
        let loss = candle_nn::loss::cross_entropy(&logits, &self.labels).unwrap();
        let forward = start.elapsed();
        let gradients = loss.backward().unwrap();
        let backward = start.elapsed();
        self.optimizer.step(&gradients, RATE).unwrap();
        let value = f64::from(loss.to_scalar::<f32>().unwrap());
        drop((logits, loss, gradients));
        let all = start.elapsed();
        let parts = [forward, backward - forward, all - backward];
        (value, parts.map(|part| part.as_secs_f64()))
    }
}

fn main() {
    let asked = measure::asked();
    let mut criterion = measure::criterion();
    let mut lines = Vec::new();
    for architecture in measure::ARCHITECTURES {
        let mut fast = Training::new(architecture, Route::Winograd, BATCH);
        let mut direct = Training::new(architecture, Route::Kernels, BATCH);
        let mut small = Training::new(architecture, Route::Plain, SMALL_BATCH);
        let name = format!("training_step/{architecture}");
        let seconds = if architecture == Architecture::Lenet5 {
            2
        } else {
            10
        };
        let mut group = measure::group(&mut criterion, &name, seconds);
        group.throughput(criterion::Throughput::Elements(BATCH as u64));
        for (arithmetic, training) in [("winograd", &mut fast), ("direct", &mut direct)] {
            group.bench_function(format!("kernels {arithmetic}, batch {BATCH}"), |b| {
                b.iter(|| training.step())
            });
        }
        group.throughput(criterion::Throughput::Elements(SMALL_BATCH as u64));
        group.bench_function(format!("plain candle, batch {SMALL_BATCH}"), |b| {
            b.iter(|| small.step())
        });
        group.finish();
        if asked.wants(&name) {
            let mut plain = Training::new(architecture, Route::Plain, BATCH);
            lines.extend(interleaved(
                asked.repeats,
                architecture,
                [&mut fast, &mut direct, &mut plain],
            ));
            lines.push(losses(architecture));
        }
    }
    criterion.final_summary();
    lines.iter().for_each(|line| println!("{line}"));
}

/// Both arithmetics and plain candle in turn; prints each repeat and returns the lines of the result.
fn interleaved(
    repeats: usize,
    architecture: Architecture,
    [fast, direct, plain]: [&mut Training; 3],
) -> Vec<String> {
    let isa = Isa::current();
    let (mut candle, mut peaks, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let (mut seconds, mut before) = (Vec::new(), Vec::new());
    for repeat in 1..=repeats {
        peaks.push(peak(isa));
        candle.push(plain.step().iter().sum::<f64>());
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for _ in 0..STEPS {
            let step = fast.step();
            own.push(step.iter().sum::<f64>());
            parts.push(step);
            others.push(direct.step().iter().sum::<f64>());
        }
        seconds.push(median(&own));
        before.push(median(&others));
        let [slow, own, other] = [&candle, &seconds, &before].map(|all| all[repeat - 1]);
        println!(
            "{architecture}, repeat {repeat}: plain candle {slow:.3} CPU s, direct {isa} {other:.4} CPU s, winograd \
             {isa} {own:.4} CPU s ({:.2} times less than direct)",
            other / own
        );
    }
    let evaluator = Evaluator::new(measure::network(architecture)).unwrap();
    // forward, and as much again for the gradient of each layer's input and of its weights
    let operations = 3.0 * 2.0 * evaluator.multiplications().unwrap() as f64 * BATCH as f64;
    let peak = median(&peaks);
    let speed = |seconds: &[f64]| operations / median(seconds) / 1e9;
    let part = |i: usize| 1e3 * median(&parts.iter().map(|step| step[i]).collect::<Vec<_>>());
    vec![
        format!("{architecture}, batch {BATCH}, medians of {repeats} interleaved repeats"),
        format!("  plain candle: {:.3} CPU s", median(&candle)),
        format!(
            "  kernels, direct, {isa}: {:.4} CPU s, {:.2} times less, {:.1} of {peak:.1} GFLOP/s = {:.0} % of the peak",
            median(&before),
            median_ratio(&candle, &before),
            speed(&before),
            100.0 * speed(&before) / peak
        ),
        format!(
            "  kernels, winograd, {isa}: {:.4} CPU s, {:.2} times less, {:.2} times less than direct",
            median(&seconds),
            median_ratio(&candle, &seconds),
            median_ratio(&before, &seconds)
        ),
        format!(
            "  of which forward {:.1} ms, backward {:.1} ms, optimiser {:.1} ms",
            part(0),
            part(1),
            part(2)
        ),
    ]
}

/// How far the losses of steps from the same start by both arithmetics lie apart: of float weights, whose roundings are
/// all that differs, and of 8-bit ones, where a weight may fall to another code.
fn losses(architecture: Architecture) -> String {
    let float = || {
        let spec = QuantizerSpec::default();
        Network::new(architecture, 10, &spec, Seed(1), &Device::Cpu)
            .unwrap()
            .0
    };
    let apart = |network: &dyn Fn() -> Network| {
        let [mut fast, mut direct] =
            [Route::Winograd, Route::Kernels].map(|route| Training::of(network(), route, BATCH));
        let steps = (0..COMPARED).map(|_| (fast.learn().0, direct.learn().0));
        steps.fold(0f64, |most, (own, other)| {
            most.max((own - other).abs() / other)
        })
    };
    format!(
        "  losses of {COMPARED} steps by both arithmetics: at most {:.1e} of themselves apart with float weights, {:.1e} \
         with 8-bit ones",
        apart(&float),
        apart(&|| measure::network(architecture))
    )
}
