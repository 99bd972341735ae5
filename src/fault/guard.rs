//! What check bits beside the words of stored activations make of failing cells: parity of each word, or SECDED over words.
//!
//! The cells invert their bit, so which bits of a codeword are wrong tells what is read, whatever is stored.

use super::secded::{decode, CHECK_BITS, DATA_BITS};
use super::Protection;

/// A protection by check bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// A bit beside each word, which reads as zero where it does not fit.
    Parity,
    /// Eight bits beside the words of 64 data bits.
    Secded,
}

/// Bits of a word that are read as 1 where 0 is stored, and as 0 where 1 is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Misread {
    pub(super) raised: u16,
    pub(super) lowered: u16,
}

impl Misread {
    /// Bits that are inverted.
    pub(super) fn inverted(bits: u16) -> Self {
        Self {
            raised: bits,
            lowered: bits,
        }
    }
}

impl Guard {
    /// That of a protection; `None` where it has no check bits.
    pub(super) fn of(protection: Protection) -> Option<Self> {
        match protection {
            Protection::ParityZero => Some(Self::Parity),
            Protection::Secded => Some(Self::Secded),
            Protection::None | Protection::Msb(_) => None,
        }
    }

    /// Words of so many bits in a codeword.
    pub(super) fn words(self, word_bits: u64) -> u64 {
        match self {
            Self::Parity => 1,
            Self::Secded => u64::from(DATA_BITS) / word_bits,
        }
    }

    /// Check bits of a codeword.
    pub(super) fn check_bits(self) -> u64 {
        match self {
            Self::Parity => 1,
            Self::Secded => CHECK_BITS.into(),
        }
    }

    /// What is read of each word of a codeword, of so many bits, with these bits wrong in its words and among its check bits.
    pub(super) fn read(self, wrong: &[u16], check: u8, word_bits: u64) -> Vec<Misread> {
        match self {
            Self::Parity => {
                let read = |bits: &u16| {
                    // an odd number of wrong bits shows in the parity, and the word reads as zero
                    if (bits.count_ones() + check.count_ones()) % 2 == 1 {
                        Misread {
                            raised: 0,
                            lowered: u16::MAX,
                        }
                    } else {
                        Misread::inverted(*bits)
                    }
                };
                wrong.iter().map(read).collect()
            }
            Self::Secded => {
                let mut data = 0;
                for (place, bits) in wrong.iter().enumerate() {
                    data |= u64::from(*bits) << (place as u64 * word_bits);
                }
                // the code is linear: what is left of the wrong bits is what it makes of them alone
                let left = decode(data, check).data();
                let mask = (1u64 << word_bits) - 1;
                let word = |place: u64| (left >> (place * word_bits) & mask) as u16;
                (0..wrong.len() as u64)
                    .map(|place| Misread::inverted(word(place)))
                    .collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_wrong_bit_is_corrected_two_stay_and_a_wrong_parity_reads_as_zero() {
        for word_bits in [8, 16] {
            let words = Guard::Secded.words(word_bits) as usize;
            assert_eq!(words as u64 * word_bits, 64);
            let clean = vec![Misread::default(); words];
            let read = |wrong: &[(usize, u16)], check| {
                let mut all = vec![0; words];
                wrong.iter().for_each(|(place, bits)| all[*place] |= bits);
                Guard::Secded.read(&all, check, word_bits)
            };
            for place in 0..words {
                for bit in 0..word_bits {
                    assert_eq!(read(&[(place, 1 << bit)], 0), clean);
                }
            }
            for bit in 0..8 {
                assert_eq!(read(&[], 1 << bit), clean);
            }
            let two = read(&[(0, 2), (3, 64)], 0);
            assert_eq!(
                (two[0], two[3]),
                (Misread::inverted(2), Misread::inverted(64))
            );
            assert_eq!(read(&[(1, 4)], 1)[1], Misread::inverted(4));
        }
        let read = |bits, check| Guard::Parity.read(&[bits], check, 8)[0];
        assert_eq!(read(0, 0), Misread::default());
        assert_eq!(read(0b101, 0), Misread::inverted(0b101));
        let zero = read(0b1, 0);
        assert_eq!((zero, read(0, 1)), (read(0b111, 0), zero));
        assert_eq!((zero.raised, zero.lowered), (0, u16::MAX));
    }
}
