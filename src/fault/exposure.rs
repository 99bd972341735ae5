//! Which stored bits faults can reach: all of them, those of some layers, or some bit planes of the codes.

use super::{FaultSpec, Noise};
use crate::error::{refuse, Result};
use std::ops::Range;

/// Every bit plane.
const ALL_PLANES: u8 = u8::MAX;

/// The part of a memory that faults reach. Addresses are those of the whole memory: a bit lies in the same cell of
/// the same chip whatever else is exposed. Bit planes are counted from the most significant bit of a code, plane 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Exposure {
    /// Words of the exposed layers, rising.
    words: Vec<Range<u64>>,
    /// Words of the memory.
    all: u64,
    /// Bit `i` is set where plane `i` is exposed.
    planes: u8,
}

impl Exposure {
    /// The whole memory of `words` words.
    pub fn whole(words: u64) -> Self {
        let all = std::iter::once(0..words).collect();
        Self {
            words: all,
            all: words,
            planes: ALL_PLANES,
        }
    }

    /// What the options leave exposed: `layers` are the names of the layers that store words with the number of them,
    /// in the order of the memory.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for a glob that matches none of these layers, with their names.
    pub fn new(spec: &FaultSpec, layers: &[(&str, u64)]) -> Result<Self> {
        let globs = spec.globs()?;
        for (glob, text) in globs.iter().zip(&spec.layers) {
            if !layers.iter().any(|(name, _)| glob.is_match(name)) {
                let names: Vec<&str> = layers.iter().map(|(name, _)| *name).collect();
                let expected = format!("globs that match a stored layer: {}", names.join(", "));
                return refuse("--layers (faults.layers)", expected, format!("`{text}`"));
            }
        }
        let (mut words, mut all) = (Vec::<Range<u64>>::new(), 0);
        for (name, count) in layers {
            if globs.is_empty() || globs.iter().any(|glob| glob.is_match(name)) {
                append(&mut words, all..all + count);
            }
            all += count;
        }
        let planes = match spec.noise {
            Noise::Random => ALL_PLANES,
            Noise::Msb => 1,
        };
        Ok(Self { words, all, planes })
    }

    /// The part of it that lies in these words, rising and apart.
    #[must_use]
    pub fn within_words(&self, ranges: &[Range<u64>]) -> Self {
        let mut words = Vec::new();
        for own in &self.words {
            for range in ranges {
                let both = own.start.max(range.start)..own.end.min(range.end);
                if !both.is_empty() {
                    append(&mut words, both);
                }
            }
        }
        Self {
            words,
            ..self.clone()
        }
    }

    /// The part of it that lies in these bit planes, counted from the most significant.
    #[must_use]
    pub fn within_planes(&self, planes: Range<u32>) -> Self {
        let mask = planes
            .filter(|plane| *plane < 8)
            .fold(0, |mask, plane| mask | 1 << plane);
        Self {
            planes: self.planes & mask,
            ..self.clone()
        }
    }

    /// True where faults reach every cell.
    pub fn is_whole(&self) -> bool {
        self.holds_all_planes() && self.words_in(&(0..self.all)) == self.all
    }

    /// True where faults reach every bit plane.
    pub fn holds_all_planes(&self) -> bool {
        self.planes == ALL_PLANES
    }

    /// True where faults reach this bit plane.
    pub fn holds_plane(&self, plane: u32) -> bool {
        plane < 8 && self.planes >> plane & 1 == 1
    }

    /// True where faults reach a bit of this word.
    pub fn holds_word(&self, word: u64) -> bool {
        let after = self.words.partition_point(|words| words.start <= word);
        after > 0 && word < self.words[after - 1].end
    }

    /// True where faults reach the bit of a word in this plane.
    pub(super) fn holds(&self, word: u64, plane: u32) -> bool {
        self.holds_plane(plane) && self.holds_word(word)
    }

    /// Exposed words in a range.
    pub(super) fn words_in(&self, range: &Range<u64>) -> u64 {
        let both = |own: &Range<u64>| {
            own.end
                .min(range.end)
                .saturating_sub(own.start.max(range.start))
        };
        self.words.iter().map(both).sum()
    }

    /// One more than the last exposed word; 0 where there is none.
    pub(super) fn end(&self) -> u64 {
        self.words.last().map_or(0, |words| words.end)
    }
}

/// Appends a range, joined to the last where they touch.
fn append(ranges: &mut Vec<Range<u64>>, range: Range<u64>) {
    match ranges.last_mut() {
        Some(last) if last.end == range.start => last.end = range.end,
        _ => ranges.push(range),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{FailingCell, Layout, Protection};
    use super::*;

    const LAYERS: [(&str, u64); 3] = [("conv1", 3), ("conv2", 4), ("fc", 2)];

    fn reached(noise: Noise, layers: &[&str], bits: u32) -> Vec<u64> {
        let layers = layers.iter().map(|glob| (*glob).to_owned()).collect();
        let spec = FaultSpec {
            noise,
            layers,
            ..FaultSpec::default()
        };
        let exposure = Exposure::new(&spec, &LAYERS).unwrap();
        let layout = Layout::new(LAYERS.map(|(_, words)| (words, bits)), Protection::None).unwrap();
        let cell = |address| FailingCell {
            address,
            polarity: 0.5,
        };
        let mut cells: Vec<FailingCell> = (0..9 * u64::from(bits)).map(cell).collect();
        layout.keep(&exposure, &mut cells);
        let found: Vec<u64> = cells.iter().map(|cell| cell.address).collect();
        assert_eq!(layout.exposed_cells(&exposure), found.len() as u64);
        assert!(found
            .iter()
            .all(|address| *address < layout.span(&exposure)));
        found
    }

    #[test]
    fn exactly_the_bits_of_the_matching_layers_are_reached() {
        for bits in 1..=8 {
            let b = u64::from(bits);
            assert!(reached(Noise::Random, &[], bits).into_iter().eq(0..9 * b));
            assert!(reached(Noise::Random, &["*"], bits)
                .into_iter()
                .eq(0..9 * b));
            assert!(reached(Noise::Random, &["conv2"], bits)
                .into_iter()
                .eq(3 * b..7 * b));
            assert!(reached(Noise::Random, &["conv*"], bits)
                .into_iter()
                .eq(0..7 * b));
            let ends: Vec<u64> = (0..3 * b).chain(7 * b..9 * b).collect();
            assert_eq!(reached(Noise::Random, &["fc", "conv1"], bits), ends);
        }
    }

    #[test]
    fn exactly_the_most_significant_bits_are_reached() {
        for bits in 1..=8 {
            let b = u64::from(bits);
            assert!(reached(Noise::Msb, &[], bits)
                .into_iter()
                .eq((0..9).map(|word| word * b + b - 1)));
            assert!(reached(Noise::Msb, &["fc"], bits)
                .into_iter()
                .eq((7..9).map(|word| word * b + b - 1)));
        }
    }

    #[test]
    fn a_glob_that_matches_nothing_lists_the_layers() {
        let spec = FaultSpec {
            layers: vec!["conv9".into()],
            ..FaultSpec::default()
        };
        let error = Exposure::new(&spec, &LAYERS).unwrap_err().to_string();
        let expected =
            "--layers (faults.layers): expected globs that match a stored layer: conv1, conv2, fc, found `conv9`";
        assert_eq!(error, expected);
    }

    #[test]
    fn parts_of_an_exposure_are_what_both_hold() {
        let whole = Exposure::whole(9);
        assert!(whole.is_whole());
        let part = whole.within_words(&[1..3, 3..5, 8..20]);
        assert_eq!(
            (part.words_in(&(0..9)), part.end(), part.is_whole()),
            (5, 9, false)
        );
        let held: Vec<u64> = (0..12).filter(|word| part.holds_word(*word)).collect();
        assert_eq!(held, [1, 2, 3, 4, 8]);
        let planes = part.within_planes(1..3).within_planes(2..9);
        assert_eq!(
            (0..9)
                .filter(|plane| planes.holds_plane(*plane))
                .collect::<Vec<_>>(),
            [2]
        );
        assert!(planes.holds(4, 2) && !planes.holds(4, 1) && !planes.holds(5, 2));
        assert_eq!(
            whole
                .within_words(std::slice::from_ref(&(0..9)))
                .within_planes(0..8),
            whole
        );
        assert_eq!(whole.within_words(&[]).end(), 0);
    }
}
