//! Which vector instructions the kernels use: found at run time, or chosen; the same code for all.

use crate::error::{refuse, Result};
use crate::units::words;
use pulp::{Simd, WithSimd};
use std::sync::OnceLock;

/// A set of vector instructions.
///
/// Kernels add up in the same order on all of them. AVX-512 and AVX2 give the same bits, because both round
/// once per multiply-add; the portable code rounds twice on x86-64, which has no such instruction without them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isa {
    /// AVX-512 (x86-64-v4): 16 lanes.
    Avx512,
    /// AVX2 with FMA (x86-64-v3): 8 lanes.
    Avx2,
    /// What every machine of this architecture has, 4 lanes: SSE on x86-64, NEON on AArch64. Where an x86-64 lacks
    /// SSE4.2, plain code gives the same bits; the compiler makes SSE2 of it.
    Portable,
}

/// The process's choice, made once.
static CHOSEN: OnceLock<Isa> = OnceLock::new();

words!(Isa, "vector instructions": Avx512 "avx512", Avx2 "avx2", Portable "portable");

impl Isa {
    /// Those that this machine has, the fastest first.
    pub fn available() -> Vec<Self> {
        Self::ALL
            .into_iter()
            .filter(|isa| isa.is_available())
            .collect()
    }

    /// True where this machine has it.
    pub fn is_available(self) -> bool {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => pulp::x86::V4::try_new().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => pulp::x86::V3::try_new().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx512 | Self::Avx2 => false,
            Self::Portable => true,
        }
    }

    /// The one that this process uses: [`Self::choose`]n, else the fastest that the machine has.
    pub fn current() -> Self {
        *CHOSEN.get_or_init(|| {
            Self::ALL
                .into_iter()
                .find(|isa| isa.is_available())
                .unwrap_or(Self::Portable)
        })
    }

    /// Makes this the choice of the process, for reproducing the numbers of a lesser machine.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the machine does not have it, or where another one is in use already.
    pub fn choose(self) -> Result<()> {
        if !self.is_available() {
            let names: Vec<&str> = Self::available().iter().map(|isa| isa.name()).collect();
            let expected = format!("one that this machine has: {}", names.join(", "));
            return refuse("vector instructions", expected, format!("`{self}`"));
        }
        match *CHOSEN.get_or_init(|| self) {
            current if current == self => Ok(()),
            current => refuse(
                "vector instructions",
                "a choice before their first use",
                format!("`{self}` after `{current}`"),
            ),
        }
    }

    /// Runs plain loops compiled for these instructions; what is not inlined into them is not.
    #[inline(always)]
    pub fn plain<R>(self, loops: impl FnOnce() -> R) -> R {
        struct Plain<F>(F);
        impl<R, F: FnOnce() -> R> WithSimd for Plain<F> {
            type Output = R;
            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) -> R {
                (self.0)()
            }
        }
        self.run(Plain(loops))
    }

    /// Runs an operation with these instructions; where the machine lacks them, with the portable ones.
    #[inline(always)]
    pub(super) fn run<O: WithSimd>(self, operation: O) -> O::Output {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Avx512 => {
                if let Some(simd) = pulp::x86::V4::try_new() {
                    return Simd::vectorize(simd, operation);
                }
            }
            Self::Avx2 => {
                if let Some(simd) = pulp::x86::V3::try_new() {
                    return Simd::vectorize(simd, operation);
                }
            }
            Self::Portable => {}
        }
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V2::try_new() {
            return Simd::vectorize(simd, operation);
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            return Simd::vectorize(simd, operation);
        }
        pulp::Scalar128b.vectorize(operation)
    }
}
