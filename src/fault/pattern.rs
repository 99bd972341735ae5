//! What failing cells do to stored words: inverted bits or stuck ones. Which cells fail is the
//! chip's affair.

use super::FailingCell;
use crate::code::{set, Word};
use crate::error::{refuse, Result};
use crate::units::{words, Fraction};
use serde::{Deserialize, Serialize};

/// Kinds of fault by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KindName {
    /// A failing cell inverts its bit.
    Flip,
    /// A failing cell reads a fixed value.
    Stuck,
    /// Cells invert stored 0s and stored 1s at different rates.
    Biased,
}

words!(KindName: Flip "flip", Stuck "stuck", Biased "biased");

/// What a failing cell does to its bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FaultKind {
    /// It inverts the bit.
    Flip,
    /// It reads a fixed value, whatever was stored.
    Stuck {
        /// Fraction of failing cells that read 1.
        zero_to_one_share: Fraction,
    },
    /// It inverts the bit, stored 0s at another rate than stored 1s. At bit error rate `p` and fraction `s` a
    /// stored 0 flips with probability `2·s·p`, a stored 1 with `2·(1 - s)·p`: on balanced data `p` in all.
    /// Which cells fail depends on what is stored, see [`super::ChipReads`]; those that do invert.
    Biased {
        /// Fraction of the flips of balanced data that turn 0 into 1.
        zero_to_one_share: Fraction,
    },
}

impl FaultKind {
    /// A kind by its name; `Err` holds what is expected of the fraction.
    ///
    /// # Errors
    /// A fraction where there is none to say, or none where there is one.
    pub fn new(name: KindName, zero_to_one_share: Option<Fraction>) -> Result<Self, &'static str> {
        match (name, zero_to_one_share) {
            (KindName::Flip, None) => Ok(Self::Flip),
            (KindName::Flip, Some(_)) => {
                Err("no such key for faults of kind `flip`, which invert the bit")
            }
            (KindName::Stuck, Some(zero_to_one_share)) => Ok(Self::Stuck { zero_to_one_share }),
            (KindName::Stuck, None) => {
                Err("the fraction of failing cells that read 1, for faults of kind `stuck`")
            }
            (KindName::Biased, Some(zero_to_one_share)) => Ok(Self::Biased { zero_to_one_share }),
            (KindName::Biased, None) => {
                Err("the fraction of flips from 0 to 1, for faults of kind `biased`")
            }
        }
    }

    /// Its name in memory models and result tables.
    pub fn name(self) -> KindName {
        match self {
            Self::Flip => KindName::Flip,
            Self::Stuck { .. } => KindName::Stuck,
            Self::Biased { .. } => KindName::Biased,
        }
    }

    /// What a failing cell reads that stores this bit.
    pub(super) fn reads(self, stored: bool, cell: &FailingCell) -> bool {
        match self {
            Self::Flip | Self::Biased { .. } => !stored,
            Self::Stuck { zero_to_one_share } => cell.reads_one(zero_to_one_share),
        }
    }

    /// A word as it is read back where its bit `bit` lies in a failing cell.
    pub(super) fn read(self, word: Word, bit: u32, cell: &FailingCell) -> Word {
        set(word, bit, self.reads(word >> bit & 1 == 1, cell))
    }
}

/// What faults did to a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Applied {
    /// Failing cells that hold a bit of the memory.
    pub failing_cells: u64,
    /// Bits that read other than stored: all of them for flips.
    pub changed_bits: u64,
}

/// Makes every failing cell act on the words.
///
/// `words` are `bits` (1 to 8) wide; bit `i` of word `n` lies at address `n·bits + i`. `cells`
/// are in rising order of address, as [`super::Chip::failing_cells`] gives them.
///
/// # Errors
/// As [`faulty_words`]; the words are unchanged then.
pub fn apply(
    kind: FaultKind,
    cells: &[FailingCell],
    words: &mut [Word],
    bits: u32,
) -> Result<Applied> {
    let mut applied = Applied {
        failing_cells: cells.len() as u64,
        changed_bits: 0,
    };
    for (index, word) in faulty_words(kind, cells, words, bits)? {
        applied.changed_bits += u64::from((words[index] ^ word).count_ones());
        words[index] = word;
    }
    Ok(applied)
}

/// The words that read other than stored, as (index, word read), by index. The memory itself is
/// left alone, so that only faulty weights need be rewritten and restored.
///
/// # Errors
/// [`crate::error::Error::Argument`] where `bits` is not 1 to 8, a cell lies beyond the words, or the cells are not in
/// rising order.
pub fn faulty_words(
    kind: FaultKind,
    cells: &[FailingCell],
    words: &[Word],
    bits: u32,
) -> Result<Vec<(usize, Word)>> {
    check(cells, words, bits)?;
    let bits = u64::from(bits);
    let mut read: Vec<(usize, Word)> = Vec::with_capacity(cells.len().min(words.len()));
    for cell in cells {
        let (index, bit) = ((cell.address / bits) as usize, (cell.address % bits) as u32);
        match read.last_mut() {
            Some((last, word)) if *last == index => *word = kind.read(*word, bit, cell),
            _ => read.push((index, kind.read(words[index], bit, cell))),
        }
    }
    read.retain(|&(index, word)| word != words[index]);
    Ok(read)
}

fn check(cells: &[FailingCell], words: &[Word], bits: u32) -> Result<()> {
    if !(1..=8).contains(&bits) {
        return refuse("bits of stored codes", "1 to 8", bits);
    }
    if let Some(pair) = cells
        .windows(2)
        .find(|pair| pair[0].address >= pair[1].address)
    {
        let found = format!("{} before {}", pair[0].address, pair[1].address);
        return refuse("failing cells", "rising addresses", found);
    }
    let memory = words.len() as u64 * u64::from(bits);
    match cells.last() {
        Some(cell) if cell.address >= memory => {
            let expected = format!(
                "addresses below {memory} ({} words of {bits} bits)",
                words.len()
            );
            refuse("failing cells", expected, cell.address)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};

    fn cell(address: u64, polarity: f64) -> FailingCell {
        FailingCell { address, polarity }
    }

    fn stuck(fraction: f64) -> FaultKind {
        FaultKind::Stuck {
            zero_to_one_share: Fraction::new(fraction).unwrap(),
        }
    }

    #[test]
    fn every_single_flip_hits_the_bit_at_its_address() {
        for bits in 1..=8 {
            for address in 0..3 * u64::from(bits) {
                let mut words = [0; 3];
                let applied =
                    apply(FaultKind::Flip, &[cell(address, 0.0)], &mut words, bits).unwrap();
                let mut expected = [0; 3];
                expected[(address / u64::from(bits)) as usize] = 1 << (address % u64::from(bits));
                assert_eq!(words, expected, "{bits} bits, address {address}");
                assert_eq!(
                    applied,
                    Applied {
                        failing_cells: 1,
                        changed_bits: 1
                    }
                );
            }
        }
    }

    #[test]
    fn all_cells_failing_invert_every_bit_and_no_other() {
        for bits in 1..=8u32 {
            let mask = ((1u16 << bits) - 1) as Word;
            let words: Vec<Word> = (0..=mask).collect();
            let cells: Vec<_> = (0..words.len() as u64 * u64::from(bits))
                .map(|a| cell(a, 0.5))
                .collect();
            let mut read = words.clone();
            let applied = apply(FaultKind::Flip, &cells, &mut read, bits).unwrap();
            assert!(words.iter().zip(&read).all(|(w, r)| *r == w ^ mask));
            assert_eq!(applied.changed_bits, cells.len() as u64);
            apply(FaultKind::Flip, &cells, &mut read, bits).unwrap();
            assert_eq!(read, words, "twice is identity");
        }
    }

    #[test]
    fn stuck_cells_read_their_own_value_whatever_is_stored() {
        let cells = [cell(0, 0.2), cell(1, 0.8), cell(5, 0.2), cell(7, 0.8)];
        for stored in 0..16 {
            let mut words = [stored, stored];
            let applied = apply(stuck(0.5), &cells, &mut words, 4).unwrap();
            // bit 0 of word 0 reads 1, bit 1 reads 0; bit 1 of word 1 reads 1, bit 3 reads 0
            assert_eq!(
                words,
                [(stored & !0b11) | 0b01, (stored & !0b1010) | 0b0010]
            );
            let changed = (words[0] ^ stored).count_ones() + (words[1] ^ stored).count_ones();
            assert_eq!(
                applied,
                Applied {
                    failing_cells: 4,
                    changed_bits: u64::from(changed)
                }
            );
        }
    }

    #[test]
    fn the_share_of_ones_runs_from_none_to_all() {
        let cells: Vec<_> = (0..100).map(|i| cell(i, i as f64 / 100.0)).collect();
        for (fraction, ones) in [(0.0, 0), (0.25, 25), (1.0, 100)] {
            let mut words = [0b10; 50];
            apply(stuck(fraction), &cells, &mut words, 2).unwrap();
            assert_eq!(words.iter().map(|w| w.count_ones()).sum::<u32>(), ones);
        }
    }

    #[test]
    fn words_that_read_as_stored_are_not_listed() {
        let cells = [cell(0, 0.0), cell(4, 0.0), cell(9, 0.0)];
        let words = [0b0001, 0b0000, 0b0010];
        assert_eq!(
            faulty_words(stuck(1.0), &cells, &words, 4).unwrap(),
            [(1, 0b0001)]
        );
        let flipped = faulty_words(FaultKind::Flip, &cells, &words, 4).unwrap();
        assert_eq!(flipped, [(0, 0b0000), (1, 0b0001), (2, 0b0000)]);
        assert_eq!(faulty_words(FaultKind::Flip, &[], &words, 4).unwrap(), []);
    }

    #[test]
    fn words_read_as_each_of_them_does_by_itself() {
        let mut stream = Seed(8).stream(Purpose::Test, &[]);
        for bits in 1..=8 {
            let words: Vec<Word> = (0..200).map(|_| stream.below(1 << bits) as Word).collect();
            let all = (0..200 * u64::from(bits)).filter(|_| stream.chance(0.2));
            let addresses: Vec<u64> = all.collect();
            let drawn = addresses.iter().map(|at| cell(*at, stream.uniform()));
            let cells: Vec<FailingCell> = drawn.collect();
            for kind in [FaultKind::Flip, stuck(0.3)] {
                let read = |index: usize| {
                    let of_word =
                        |cell: &&FailingCell| cell.address / u64::from(bits) == index as u64;
                    let bit = |cell: &FailingCell| (cell.address % u64::from(bits)) as u32;
                    let own = cells.iter().filter(of_word);
                    own.fold(words[index], |word, cell| kind.read(word, bit(cell), cell))
                };
                let each = (0..words.len()).map(|index| (index, read(index)));
                let expected: Vec<_> = each
                    .filter(|(index, word)| *word != words[*index])
                    .collect();
                assert_eq!(faulty_words(kind, &cells, &words, bits).unwrap(), expected);
            }
        }
    }

    #[test]
    fn misuse_is_refused_and_changes_nothing() {
        let mut words = [3; 4];
        for (cells, bits, message) in [
            (
                vec![cell(16, 0.0)],
                4,
                "failing cells: expected addresses below 16 (4 words of 4 bits), found 16",
            ),
            (
                vec![cell(2, 0.0), cell(2, 0.0)],
                4,
                "failing cells: expected rising addresses, found 2 before 2",
            ),
            (
                vec![cell(0, 0.0)],
                0,
                "bits of stored codes: expected 1 to 8, found 0",
            ),
            (
                vec![cell(0, 0.0)],
                32,
                "bits of stored codes: expected 1 to 8, found 32",
            ),
        ] {
            let error = apply(FaultKind::Flip, &cells, &mut words, bits).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
        assert_eq!(words, [3; 4]);
    }
}
