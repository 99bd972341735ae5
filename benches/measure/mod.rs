//! What every benchmark measures with: CPU seconds, medians, the peak of fused multiply-adds of one core.

use candle_core::Device;
use pulp::{Simd, WithSimd};
use std::hint::black_box;
use std::time::Duration;
use wcat_explore::kernel::Isa;
use wcat_explore::net::{Architecture, Network};
use wcat_explore::quant::QuantizerSpec;
use wcat_explore::seed::Seed;
use wcat_explore::units::Bits;

/// CPU seconds of this process that some work takes; inlined, so that vector code around it stays vector code.
#[inline(always)]
pub(crate) fn cpu_seconds(work: impl FnOnce()) -> f64 {
    let now = || cpu_time::ProcessTime::now().as_duration();
    let start: Duration = now();
    work();
    (now() - start).as_secs_f64()
}

/// Runs a benchmark for LeNet-5 and ResNet-20 on one thread: what runs on all of them then costs no more.
pub(crate) fn on_one_thread(bench: impl Fn(Architecture) + Sync) {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| ["lenet5", "resnet20"].iter().for_each(|name| bench(name.parse().unwrap())));
}

/// A network for images of 10 classes with fresh weights, plainly quantised to 8 bits.
pub(crate) fn network(architecture: Architecture) -> Network {
    let quantizer = QuantizerSpec { bits: Bits::new(8).unwrap(), ..QuantizerSpec::default() };
    Network::new(architecture, 10, &quantizer, Seed(1), &Device::Cpu).unwrap().0
}

/// Median of a sample.
pub(crate) fn median(sample: &[f64]) -> f64 {
    let mut sorted = sample.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Fused multiply-adds of one core in GFLOP/s, two operations each: twelve independent chains in registers.
pub(crate) fn peak(isa: Isa) -> f64 {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512 => pulp::x86::V4::try_new().map_or(0.0, |simd| Simd::vectorize(simd, Chains)),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2 => pulp::x86::V3::try_new().map_or(0.0, |simd| Simd::vectorize(simd, Chains)),
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
        let (a, b) = (simd.splat_f32s(black_box(0.999)), simd.splat_f32s(black_box(0.001)));
        let seconds = cpu_seconds(|| {
            for _ in 0..ROUNDS {
                for sum in &mut sums {
                    *sum = if S::IS_SCALAR {
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
