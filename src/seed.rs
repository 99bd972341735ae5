//! The only source of chance: (root seed, purpose, indices) give an independent ChaCha stream.

use crate::error::Result;
use candle_core::{Device, Shape, Tensor};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Root seed of a run: the same seed gives the same numbers on any number of threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seed(pub u64);

/// What a stream is for. Streams of different purposes share nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Purpose {
    /// Initial weights of a layer; indices: tensor.
    Weights,
    /// Split of the training set; no index.
    Validation,
    /// Order of the images of an epoch; indices: epoch.
    Order,
    /// Augmentation of one image; indices: epoch, image.
    Augmentation,
    /// Bit flips in a training step; indices: step, layer.
    TrainingFlips,
    /// One glyph image; indices: split, image.
    Glyph,
    /// Cell thresholds; indices: chip, bank, block, octave.
    Cells,
    /// Cell thresholds of one access, for transient faults; indices: chip, access, bank, block, octave.
    Accesses,
    /// Weak-column thresholds; indices: chip, bank.
    Columns,
    /// Weak-bank threshold; indices: chip, bank.
    Banks,
    /// Chips of the memory of activations; no index. Cells of it that fail for one image; indices: chip, image, tensor.
    Activations,
    /// Bootstrap resampling; indices: as the caller says.
    Bootstrap,
    /// Choice of an image subset; no index.
    Images,
    /// Choice of the images that one chip is seen through; indices: chip.
    ChipImages,
    /// Images of an attack batch; indices: restart.
    AttackBatch,
    /// Random flips held against an attack; indices: restart.
    RandomFlips,
    /// Seed of the chips of a search, apart from those of its verification; no index.
    SearchChips,
    /// Seed of the chips that the claims of an answer rest on; no index.
    CheckChips,
    /// Fixed inputs of the number that stands for a program's numerics; indices: part.
    Numerics,
    /// Random numbers inside tests.
    Test,
}

impl Seed {
    /// The stream of a purpose and its indices. Independent of every other stream and of the
    /// order in which streams are opened.
    pub fn stream(self, purpose: Purpose, indices: &[u64]) -> Stream {
        let mut hash = Sha256::new();
        hash.update(b"wcat-explore/1");
        hash.update(self.0.to_le_bytes());
        hash.update(format!("{purpose:?}").as_bytes());
        for index in indices {
            hash.update(index.to_le_bytes());
        }
        Stream(ChaCha8Rng::from_seed(hash.finalize().into()))
    }
}

/// Geometric skips of one probability, for many of which a logarithm is taken once.
#[derive(Clone, Copy, Debug)]
pub struct Skips {
    /// `ln(1 - p)`; none where every trial succeeds.
    log: Option<f64>,
}

impl Skips {
    /// Those of probability `p` in (0, 1].
    pub fn of(p: f64) -> Self {
        Self {
            log: (p < 1.0).then(|| (-p).ln_1p()),
        }
    }
}

/// One stream of random numbers.
#[derive(Clone, Debug)]
pub struct Stream(ChaCha8Rng);

impl Stream {
    /// Uniform in [0, 1), 53 bits.
    pub fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in (0, 1], 53 bits: safe under a logarithm.
    pub fn positive_uniform(&mut self) -> f64 {
        1.0 - self.uniform()
    }

    /// Uniform in [low, high).
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// Uniform integer in [0, n), `n` at least 1 (Lemire's method, without bias).
    pub fn below(&mut self, n: u64) -> u64 {
        let n = n.max(1);
        let mut product = u128::from(self.0.next_u64()) * u128::from(n);
        let floor = n.wrapping_neg() % n;
        while (product as u64) < floor {
            product = u128::from(self.0.next_u64()) * u128::from(n);
        }
        (product >> 64) as u64
    }

    /// Standard normal.
    pub fn normal(&mut self) -> f64 {
        StandardNormal.sample(&mut self.0)
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }

    /// Puts the items in random order (Fisher-Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for i in (1..items.len()).rev() {
            items.swap(i, self.below(i as u64 + 1) as usize);
        }
    }

    /// Failures before the first success of probability `p` in (0, 1]: geometric skip
    /// `floor(ln u / ln(1 - p))`.
    pub fn skip(&mut self, p: f64) -> u64 {
        self.skip_by(Skips::of(p))
    }

    /// [`Self::skip`] of a probability whose logarithm is at hand.
    pub fn skip_by(&mut self, skips: Skips) -> u64 {
        let Some(log) = skips.log else { return 0 };
        let skip = self.positive_uniform().ln() / log;
        // beyond 2^63 no array has cells
        if skip < 9.2e18 {
            // never negative: to convert is to round down, and to a signed number it takes fewer instructions
            skip as i64 as u64
        } else {
            u64::MAX / 2
        }
    }

    /// Tensor of uniform f32 in [low, high) on the CPU.
    ///
    /// # Errors
    /// Only where the tensor library fails.
    pub fn uniform_tensor(
        &mut self,
        low: f64,
        high: f64,
        shape: impl Into<Shape>,
    ) -> Result<Tensor> {
        let shape = shape.into();
        let values: Vec<f32> = (0..shape.elem_count())
            .map(|_| self.between(low, high) as f32)
            .collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }

    /// Tensor of normal f32 with the given standard deviation on the CPU.
    ///
    /// # Errors
    /// Only where the tensor library fails.
    pub fn normal_tensor(&mut self, std: f64, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        let values: Vec<f32> = (0..shape.elem_count())
            .map(|_| (self.normal() * std) as f32)
            .collect();
        Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_depends_on_seed_purpose_and_indices_alone() {
        let first = |mut s: Stream| s.0.next_u64();
        let a = first(Seed(1).stream(Purpose::Cells, &[1, 2]));
        assert_eq!(a, first(Seed(1).stream(Purpose::Cells, &[1, 2])));
        for other in [
            Seed(2).stream(Purpose::Cells, &[1, 2]),
            Seed(1).stream(Purpose::Columns, &[1, 2]),
            Seed(1).stream(Purpose::Cells, &[2, 1]),
            Seed(1).stream(Purpose::Cells, &[1]),
        ] {
            assert_ne!(a, first(other));
        }
    }

    #[test]
    fn uniform_has_mean_and_variance_of_the_unit_interval() {
        let mut stream = Seed(3).stream(Purpose::Test, &[]);
        let n = 100_000;
        let xs: Vec<f64> = (0..n).map(|_| stream.uniform()).collect();
        let mean = xs.iter().sum::<f64>() / n as f64;
        let variance = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!((mean - 0.5).abs() < 5.0 * (1.0f64 / 12.0 / n as f64).sqrt());
        assert!((variance - 1.0 / 12.0).abs() < 0.001);
    }

    #[test]
    fn skips_are_geometric() {
        let mut stream = Seed(4).stream(Purpose::Test, &[]);
        let (p, n) = (0.2, 100_000);
        let xs: Vec<f64> = (0..n).map(|_| stream.skip(p) as f64).collect();
        let mean = xs.iter().sum::<f64>() / n as f64;
        let variance = xs.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n as f64;
        assert!((mean - (1.0 - p) / p).abs() < 0.08, "{mean}");
        assert!((variance - (1.0 - p) / (p * p)).abs() < 0.6, "{variance}");
        assert_eq!(stream.skip(1.0), 0);
    }

    #[test]
    fn skips_are_the_formula_that_names_them() {
        for p in [1e-300, 1e-12, 0.5f64.powi(20), 1.0 / 127.0, 0.3, 0.999] {
            let mut stream = Seed(6).stream(Purpose::Test, &[]);
            let mut same = stream.clone();
            for _ in 0..10_000 {
                let skip = (same.positive_uniform().ln() / (-p).ln_1p()).floor();
                let expected = if skip >= 9.2e18 {
                    u64::MAX / 2
                } else {
                    skip as u64
                };
                assert_eq!(stream.skip(p), expected, "{p}");
            }
        }
    }

    #[test]
    fn below_is_uniform_over_its_range() {
        let mut stream = Seed(5).stream(Purpose::Test, &[]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[stream.below(7) as usize] += 1;
        }
        assert!(
            counts.iter().all(|&c| (9_500..10_500).contains(&c)),
            "{counts:?}"
        );
    }
}
