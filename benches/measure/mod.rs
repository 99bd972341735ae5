//! What every benchmark measures with: CPU seconds (for criterion too), medians of interleaved repeats, the peak of
//! fused multiply-adds of one core; and what a benchmark may be asked beyond criterion's own flags.
#![allow(dead_code)] // each benchmark uses its part
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::exit)] // a benchmark may stop at once and prints

use candle_core::Device;
use cpu_time::ProcessTime;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkGroup, Criterion, SamplingMode};
use pulp::{Simd, WithSimd};
use std::hint::black_box;
use std::time::Duration;
use wcat_explore::engine::Images;
use wcat_explore::kernel::Isa;
use wcat_explore::net::{Architecture, Network};
use wcat_explore::quant::QuantizerSpec;
use wcat_explore::seed::{Purpose, Seed};
use wcat_explore::stats::{quantile, sorted};
use wcat_explore::units::Bits;

/// That of the program, for both sides of every comparison.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Networks of the benchmarks.
pub(crate) const ARCHITECTURES: [Architecture; 2] = [
    Architecture::Lenet5,
    Architecture::Resnet {
        blocks: 3,
        projection: false,
    },
];

/// Repeats that a ratio is the median of, where nothing else is asked.
const REPEATS: usize = 5;

/// CPU time of this process, all threads together, as a measurement of criterion.
pub(crate) struct CpuTime;

static WALL_TIME: WallTime = WallTime;

impl Measurement for CpuTime {
    type Intermediate = ProcessTime;
    type Value = Duration;

    fn start(&self) -> ProcessTime {
        ProcessTime::now()
    }

    fn end(&self, start: ProcessTime) -> Duration {
        start.elapsed()
    }

    fn add(&self, a: &Duration, b: &Duration) -> Duration {
        *a + *b
    }

    fn zero(&self) -> Duration {
        Duration::ZERO
    }

    fn to_f64(&self, value: &Duration) -> f64 {
        value.as_nanos() as f64
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        WALL_TIME.formatter()
    }
}

/// What a benchmark is asked, on the command line or by the environment.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `--isa NAME` or `WCAT_ISA`: the only vector instructions used.
    pub(crate) isa: Option<Isa>,
    /// `--repeats N` or `WCAT_REPEATS`: interleaved repeats.
    pub(crate) repeats: usize,
    /// `--full` or `WCAT_FULL=1`: plain candle evaluates every image, too.
    pub(crate) full: bool,
    /// False under `cargo test --benches`, `-- --test` and `-- --list`: nothing is measured.
    measures: bool,
    /// Criterion's filter.
    filter: Option<String>,
}

impl Asked {
    /// True where interleaved repeats of this name are wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.measures
            && self
                .filter
                .as_deref()
                .is_none_or(|f| name.contains(f) || f.contains(name))
    }

    /// The vector instructions to measure: those asked for, or all but the portable ones, which are for machines
    /// without any other.
    pub(crate) fn isas(&self) -> Vec<Isa> {
        let fast = |isa: &Isa| *isa != Isa::Portable;
        match (self.isa, Isa::available()) {
            (Some(isa), _) => vec![isa],
            (None, all) if all.len() == 1 => all,
            (None, all) => all.into_iter().filter(fast).collect(),
        }
    }
}

/// Reads what is asked, makes the instructions asked for the process's, and keeps to one thread: what runs on all of
/// them then costs no more. Criterion refuses flags that it does not know: where there are any of ours, the program
/// starts itself anew with them in the environment.
pub(crate) fn asked() -> Asked {
    let (mut rest, mut ours) = (Vec::new(), Vec::new());
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (arg.clone(), None),
        };
        match flag.as_str() {
            "--isa" => ours.push((
                "WCAT_ISA",
                value.or_else(|| args.next()).unwrap_or_default(),
            )),
            "--repeats" => ours.push((
                "WCAT_REPEATS",
                value.or_else(|| args.next()).unwrap_or_default(),
            )),
            "--full" => ours.push(("WCAT_FULL", "1".to_owned())),
            _ => rest.push(arg),
        }
    }
    if !ours.is_empty() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        std::process::exit(
            again
                .args(&rest)
                .envs(ours)
                .status()
                .unwrap()
                .code()
                .unwrap_or(1),
        );
    }
    let given = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let isa: Option<Isa> =
        given("WCAT_ISA").map(|name| name.parse().unwrap_or_else(|error| refuse(&error)));
    if let Some(isa) = isa {
        isa.choose().unwrap_or_else(|error| refuse(&error));
    }
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
        .unwrap();
    let has = |flag: &str| rest.iter().any(|arg| arg == flag);
    let repeats = |text: String| {
        text.parse()
            .unwrap_or_else(|_| refuse(&"--repeats: expected a whole number"))
    };
    let place =
        |at: &usize| !rest[*at].starts_with('-') && (*at == 0 || !rest[at - 1].starts_with('-'));
    Asked {
        isa,
        repeats: given("WCAT_REPEATS").map_or(REPEATS, repeats).max(1),
        full: given("WCAT_FULL").is_some(),
        measures: has("--bench") && !has("--test") && !has("--list"),
        filter: (0..rest.len()).find(place).map(|at| rest[at].clone()),
    }
}

fn refuse(message: &dyn std::fmt::Display) -> ! {
    println!("error: {message}");
    std::process::exit(2)
}

/// Criterion in CPU seconds, with its own flags.
pub(crate) fn criterion() -> Criterion<CpuTime> {
    Criterion::default()
        .with_measurement(CpuTime)
        .configure_from_args()
}

/// A group of ten samples over about so many seconds.
pub(crate) fn group<'a>(
    criterion: &'a mut Criterion<CpuTime>,
    name: &str,
    seconds: u64,
) -> BenchmarkGroup<'a, CpuTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(seconds));
    group
}

/// CPU seconds of this process that some work takes; inlined, so that vector code around it stays vector code.
#[inline(always)]
pub(crate) fn cpu_seconds(work: impl FnOnce()) -> f64 {
    let now = || ProcessTime::now().as_duration();
    let start: Duration = now();
    work();
    (now() - start).as_secs_f64()
}

/// A network for images of 10 classes with fresh weights, plainly quantised to 8 bits.
pub(crate) fn network(architecture: Architecture) -> Network {
    let quantizer = QuantizerSpec {
        bits: Bits::new(8).unwrap(),
        ..QuantizerSpec::default()
    };
    Network::new(architecture, 10, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0
}

/// Normally distributed images of a network's shape, labels in turn.
pub(crate) fn images(architecture: Architecture, n: usize) -> Images {
    let shape = architecture.input_shape();
    let mut stream = Seed(2).stream(Purpose::Images, &[]);
    let pixels = (0..n * shape.iter().product::<usize>())
        .map(|_| stream.normal() as f32)
        .collect();
    Images::new(
        pixels,
        shape,
        (0..n as u32).map(|i| i % 10).collect(),
        &Device::Cpu,
    )
    .unwrap()
}

/// Median of a sample.
pub(crate) fn median(sample: &[f64]) -> f64 {
    quantile(&sorted(sample), 0.5).unwrap()
}

/// Median of the ratios of two samples, repeat by repeat.
pub(crate) fn median_ratio(over: &[f64], under: &[f64]) -> f64 {
    median(
        &over
            .iter()
            .zip(under)
            .map(|(over, under)| over / under)
            .collect::<Vec<_>>(),
    )
}

/// Multiply-adds of one core in GFLOP/s, two operations each: twelve independent chains in registers; fused where the
/// kernels fuse them.
pub(crate) fn peak(isa: Isa) -> f64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => pulp::x86::V4::try_new().map_or(0.0, |simd| Simd::vectorize(simd, Chains)),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => pulp::x86::V3::try_new().map_or(0.0, |simd| Simd::vectorize(simd, Chains)),
        #[cfg(target_arch = "x86_64")]
        Isa::Portable => pulp::x86::V2::try_new().map_or_else(
            || Simd::vectorize(pulp::Scalar128b, Chains),
            |simd| Simd::vectorize(simd, Chains),
        ),
        #[cfg(not(target_arch = "x86_64"))]
        _ => Simd::vectorize(pulp::Scalar128b, Chains),
    }
}

struct Chains;

impl WithSimd for Chains {
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        const ROUNDS: usize = 10_000_000;
        let mut sums = [simd.splat_f32s(0.5); 12];
        let (a, b) = (
            simd.splat_f32s(black_box(0.999)),
            simd.splat_f32s(black_box(0.001)),
        );
        let seconds = cpu_seconds(|| {
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    // SSE has no fused multiply-add: pulp's is then a call of a function
                    *sum = if S::F32_LANES <= 4 {
                        simd.add_f32s(simd.mul_f32s(*sum, a), b)
                    } else {
                        simd.mul_add_e_f32s(*sum, a, b)
                    };
                }
            }
            black_box(&sums);
        });
        (ROUNDS * 12 * 2 * S::F32_LANES) as f64 / seconds / 1e9
    }
}
