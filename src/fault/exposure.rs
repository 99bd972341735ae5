//! Which stored bits faults can reach: all of them, those of some layers, or the most significant of each code.

use super::{FailingCell, FaultSpec, Noise};
use crate::error::{Error, Result};
use std::ops::Range;

/// The part of a memory that faults reach. Addresses are those of the whole memory: a bit lies in the same cell of
/// the same chip whatever else is exposed.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// Words of the exposed layers, rising.
    words: Vec<Range<u64>>,
    /// Words of the memory.
    all: u64,
    bits: u64,
    noise: Noise,
}

impl Exposure {
    /// The whole memory of `words` words of `bits` bits.
    pub fn whole(words: u64, bits: u32) -> Self {
        let all = std::iter::once(0..words).collect();
        Self { words: all, all: words, bits: bits.into(), noise: Noise::Random }
    }

    /// What the options leave exposed of a memory of `bits` bits a word: `layers` are the names of the layers that
    /// store words with the number of them, in the order of the memory.
    ///
    /// # Errors
    /// [`Error::Argument`] for a glob that matches none of these layers, with their names.
    pub fn new(spec: &FaultSpec, layers: &[(&str, u64)], bits: u32) -> Result<Self> {
        let globs = spec.globs()?;
        for (glob, text) in globs.iter().zip(&spec.layers) {
            if !layers.iter().any(|(name, _)| glob.is_match(name)) {
                let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
                let expected = format!("globs that match a stored layer: {}", names.join(", "));
                return Err(Error::argument("faults.layers", expected, format!("`{text}`")));
            }
        }
        let (mut words, mut all) = (Vec::<Range<u64>>::new(), 0);
        for (name, count) in layers {
            if globs.is_empty() || globs.iter().any(|glob| glob.is_match(name)) {
                match words.last_mut() {
                    Some(last) if last.end == all => last.end += count,
                    _ => words.push(all..all + count),
                }
            }
            all += count;
        }
        Ok(Self { words, all, bits: bits.into(), noise: spec.noise })
    }

    /// Cells that faults reach.
    pub fn cells(&self) -> u64 {
        let words: u64 = self.words.iter().map(|words| words.end - words.start).sum();
        match self.noise {
            Noise::Random => words * self.bits,
            Noise::Msb => words,
        }
    }

    /// Cells from the first address to the last that faults reach.
    pub(super) fn span(&self) -> u64 {
        self.words.last().map_or(0, |words| words.end * self.bits)
    }

    /// True where faults reach every cell.
    pub fn is_whole(&self) -> bool {
        self.cells() == self.all * self.bits
    }

    /// True where the choice of the most significant bits leaves every bit in: codes of 1 bit have no other.
    pub fn msb_is_all(&self) -> bool {
        self.noise == Noise::Msb && self.bits == 1
    }

    /// True where faults reach a bit of this word.
    pub fn holds_word(&self, word: u64) -> bool {
        let after = self.words.partition_point(|words| words.start <= word);
        after > 0 && word < self.words[after - 1].end
    }

    fn holds(&self, address: u64) -> bool {
        let bit = address % self.bits;
        (self.noise == Noise::Random || bit + 1 == self.bits) && self.holds_word(address / self.bits)
    }

    /// Drops the cells that faults do not reach.
    pub(super) fn keep(&self, cells: &mut Vec<FailingCell>) {
        if !self.is_whole() {
            cells.retain(|cell| self.holds(cell.address));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LAYERS: [(&str, u64); 3] = [("conv1", 3), ("conv2", 4), ("fc", 2)];

    fn reached(noise: Noise, layers: &[&str], bits: u32) -> Vec<u64> {
        let layers = layers.iter().map(|glob| (*glob).to_owned()).collect();
        let spec = FaultSpec { noise, layers, ..FaultSpec::default() };
        let exposure = Exposure::new(&spec, &LAYERS, bits).unwrap();
        let cell = |address| FailingCell { address, polarity: 0.5 };
        let mut cells: Vec<FailingCell> = (0..9 * u64::from(bits)).map(cell).collect();
        exposure.keep(&mut cells);
        let found: Vec<u64> = cells.iter().map(|cell| cell.address).collect();
        assert_eq!(exposure.cells(), found.len() as u64);
        assert!(found.iter().all(|address| *address < exposure.span()));
        found
    }

    #[test]
    fn exactly_the_bits_of_the_matching_layers_are_reached() {
        for bits in 1..=8 {
            let b = u64::from(bits);
            assert!(reached(Noise::Random, &[], bits).into_iter().eq(0..9 * b));
            assert!(reached(Noise::Random, &["*"], bits).into_iter().eq(0..9 * b));
            assert!(reached(Noise::Random, &["conv2"], bits).into_iter().eq(3 * b..7 * b));
            assert!(reached(Noise::Random, &["conv*"], bits).into_iter().eq(0..7 * b));
            let ends: Vec<u64> = (0..3 * b).chain(7 * b..9 * b).collect();
            assert_eq!(reached(Noise::Random, &["fc", "conv1"], bits), ends);
        }
    }

    #[test]
    fn exactly_the_most_significant_bits_are_reached() {
        for bits in 1..=8 {
            let b = u64::from(bits);
            assert!(reached(Noise::Msb, &[], bits).into_iter().eq((0..9).map(|word| word * b + b - 1)));
            assert!(reached(Noise::Msb, &["fc"], bits).into_iter().eq((7..9).map(|word| word * b + b - 1)));
        }
    }

    #[test]
    fn a_glob_that_matches_nothing_lists_the_layers() {
        let spec = FaultSpec { layers: vec!["conv9".into()], ..FaultSpec::default() };
        let error = Exposure::new(&spec, &LAYERS, 4).unwrap_err().to_string();
        let expected =
            "faults.layers: expected globs that match a stored layer: conv1, conv2, fc, found `conv9`";
        assert_eq!(error, expected);
    }
}
