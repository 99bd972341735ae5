//! Integer codes of stored weights: b-bit words, their encoding, flips, Hamming distance, and words without gaps.
//!
//! Signed codes are two's complement with bit `b-1` the sign; signed 1-bit codes are -1 and +1,
//! stored as 0 and 1; unsigned codes are stored as they are. Bit 0 is the least significant.

use crate::error::{refuse, Result};
use crate::units::Bits;

/// A stored word: the low `b` bits hold the code, the others are 0.
pub type Word = u8;

/// What failing cells do to a code of an activation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeFault {
    /// Which number of its tensor, [channels, height, width] row-major.
    pub element: u32,
    /// Bits that are read as 1 where 0 is stored.
    pub raised: u16,
    /// Bits that are read as 0 where 1 is stored.
    pub lowered: u16,
}

impl CodeFault {
    /// None, of an element.
    pub fn none(element: u32) -> Self {
        Self {
            element,
            raised: 0,
            lowered: 0,
        }
    }

    /// The bits that are read where these are stored.
    pub fn read(&self, bits: u16) -> u16 {
        bits & !self.lowered | !bits & self.raised
    }
}

/// Calls a function with each code that is read otherwise of an image, by its place in the data set, and a stored tensor; asked
/// for by any thread, in any order. They are the same for every image where the same cells always fail.
pub type FaultsOfActivations<'a> = dyn Fn(u32, usize, &mut dyn FnMut(CodeFault)) + Sync + 'a;

/// How codes are stored: width and sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CodeFormat {
    width: Bits,
    signed: bool,
}

impl CodeFormat {
    /// Format of `bits` (1 to 8) wide codes.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for float weights, which have no codes.
    pub fn new(bits: Bits, signed: bool) -> Result<Self> {
        if bits.is_float() {
            return refuse(
                "bits of stored codes",
                "1 to 8",
                "32 (float weights have no codes)",
            );
        }
        Ok(Self {
            width: bits,
            signed,
        })
    }

    /// Bits per code, 1 to 8.
    pub fn bits(self) -> u32 {
        self.width.get()
    }

    /// The same as a checked number.
    pub fn width(self) -> Bits {
        self.width
    }

    /// True for signed codes.
    pub fn signed(self) -> bool {
        self.signed
    }

    /// Smallest code `Qn`.
    pub fn min(self) -> i16 {
        match (self.signed, self.bits()) {
            (false, _) => 0,
            (true, bits) => -(1 << (bits - 1)),
        }
    }

    /// Largest code `Qp`.
    pub fn max(self) -> i16 {
        match (self.signed, self.bits()) {
            (false, bits) => (1 << bits) - 1,
            (true, 1) => 1,
            (true, bits) => (1 << (bits - 1)) - 1,
        }
    }

    /// Number of stored patterns, `2^b`.
    pub fn patterns(self) -> usize {
        1 << self.bits()
    }

    /// Word of a code. The code must lie in `[min, max]`, and not be 0 in signed 1-bit codes.
    pub fn encode(self, code: i16) -> Word {
        debug_assert!(
            (self.min()..=self.max()).contains(&code),
            "{code} is outside {self:?}"
        );
        match (self.signed, self.bits()) {
            (true, 1) => Word::from(code > 0),
            _ => (code & self.mask()) as Word,
        }
    }

    /// Code of a word; bits above `b-1` are ignored.
    pub fn decode(self, word: Word) -> i16 {
        let word = i16::from(word) & self.mask();
        match (self.signed, self.bits()) {
            (false, _) => word,
            (true, 1) => 2 * word - 1,
            (true, bits) => sign_extend(word, bits),
        }
    }

    fn mask(self) -> i16 {
        (1 << self.bits()) - 1
    }
}

/// Value of a `bits` wide two's-complement pattern.
pub fn sign_extend(pattern: i16, bits: u32) -> i16 {
    let sign = 1 << (bits - 1);
    (pattern ^ sign) - sign
}

/// The word with one bit inverted.
pub fn flip(word: Word, bit: u32) -> Word {
    word ^ (1 << bit)
}

/// The word with one bit set to a value.
pub fn set(word: Word, bit: u32, one: bool) -> Word {
    (word & !(1 << bit)) | (Word::from(one) << bit)
}

/// Number of stored bits in which two equally long memories differ.
///
/// # Errors
/// [`crate::error::Error::Argument`] where the lengths differ.
pub fn hamming_distance(a: &[Word], b: &[Word]) -> Result<u64> {
    if a.len() != b.len() {
        return refuse(
            "Hamming distance",
            format!("{} words on both sides", a.len()),
            b.len(),
        );
    }
    Ok(a.iter()
        .zip(b)
        .map(|(a, b)| u64::from((a ^ b).count_ones()))
        .sum())
}

/// Bytes of `n` packed words of `bits` bits.
pub fn packed_len(n: usize, bits: u32) -> usize {
    (n * bits as usize).div_ceil(8)
}

/// Words without gaps, as a memory holds them: bit `i` of word `n` has the address `n·bits + i`, address `a` is bit
/// `a % 8` of byte `a / 8`. Bits of the last byte that hold nothing are 0.
pub fn pack(words: &[Word], bits: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; packed_len(words.len(), bits)];
    for (n, &word) in words.iter().enumerate() {
        let at = n * bits as usize;
        // a word lies in two bytes at most
        let [low, high] = ((u16::from(word) & ((1 << bits) - 1)) << (at % 8)).to_le_bytes();
        bytes[at / 8] |= low;
        if let Some(next) = bytes.get_mut(at / 8 + 1) {
            *next |= high;
        }
    }
    bytes
}

/// The `n` words of [`pack`]; `None` for another number of bytes, or where a bit that holds nothing is not 0.
pub fn unpack(bytes: &[u8], bits: u32, n: usize) -> Option<Vec<Word>> {
    let used = n * bits as usize;
    let rest = match used % 8 {
        0 => 0,
        used => bytes.last().map_or(0, |last| last >> used),
    };
    if bytes.len() != packed_len(n, bits) || rest != 0 {
        return None;
    }
    let word = |n: usize| {
        let at = n * bits as usize;
        let pair = u16::from_le_bytes([bytes[at / 8], bytes.get(at / 8 + 1).copied().unwrap_or(0)]);
        ((pair >> (at % 8)) & ((1 << bits) - 1)) as Word
    };
    Some((0..n).map(word).collect())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Every format.
    pub(crate) fn formats() -> impl Iterator<Item = CodeFormat> {
        (1..=8).flat_map(|bits| {
            [false, true].map(|signed| CodeFormat::new(Bits::new(bits).unwrap(), signed).unwrap())
        })
    }

    #[test]
    fn every_word_decodes_to_a_code_that_encodes_to_it() {
        for format in formats() {
            for word in 0..format.patterns() as u16 {
                let code = format.decode(word as Word);
                assert!((format.min()..=format.max()).contains(&code));
                assert_eq!(format.encode(code), word as Word, "{format:?}");
            }
        }
    }

    #[test]
    fn codes_of_different_words_differ() {
        for format in formats() {
            let mut codes: Vec<i16> = (0..format.patterns())
                .map(|w| format.decode(w as Word))
                .collect();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), format.patterns());
        }
    }

    #[test]
    fn flipping_bit_i_changes_the_code_by_two_to_the_i() {
        for format in formats().filter(|f| f.bits() > 1) {
            for word in 0..format.patterns() as u16 {
                for bit in 0..format.bits() {
                    let word = word as Word;
                    let change =
                        i32::from(format.decode(flip(word, bit))) - i32::from(format.decode(word));
                    let mut weight = 1 << bit;
                    if format.signed() && bit == format.bits() - 1 {
                        weight = -weight;
                    }
                    let expected = if word >> bit & 1 == 1 {
                        -weight
                    } else {
                        weight
                    };
                    assert_eq!(change, expected, "{format:?} word {word} bit {bit}");
                }
            }
        }
    }

    #[test]
    fn flipping_twice_is_identity() {
        for word in 0..=255u8 {
            for bit in 0..8 {
                assert_eq!(flip(flip(word, bit), bit), word);
                assert_eq!(set(word, bit, word >> bit & 1 == 1), word);
                assert_eq!(set(word, bit, word >> bit & 1 == 0), flip(word, bit));
            }
        }
    }

    #[test]
    fn signed_one_bit_codes_are_minus_and_plus_one() {
        let format = CodeFormat::new(Bits::new(1).unwrap(), true).unwrap();
        assert_eq!((format.decode(0), format.decode(1)), (-1, 1));
        assert_eq!((format.min(), format.max()), (-1, 1));
    }

    #[test]
    fn distance_counts_bits_and_refuses_unequal_lengths() {
        assert_eq!(hamming_distance(&[0b1010, 0], &[0b0110, 1]).unwrap(), 3);
        assert!(hamming_distance(&[0], &[0, 1]).is_err());
    }

    #[test]
    fn packed_words_stand_at_the_addresses_of_their_bits_and_read_back() {
        for bits in 1..=8u32 {
            for n in 0..=17usize {
                let words: Vec<Word> = (0..n)
                    .map(|i| ((37 * i + 11) % (1 << bits)) as Word)
                    .collect();
                let bytes = pack(&words, bits);
                assert_eq!(bytes.len(), (n * bits as usize).div_ceil(8));
                let bit = |a: usize| bytes[a / 8] >> (a % 8) & 1;
                for (i, word) in words.iter().enumerate() {
                    (0..bits as usize)
                        .for_each(|b| assert_eq!(bit(i * bits as usize + b), word >> b & 1));
                }
                assert!((n * bits as usize..8 * bytes.len()).all(|a| bit(a) == 0));
                assert_eq!(unpack(&bytes, bits, n), Some(words));
            }
        }
    }

    #[test]
    fn packed_words_of_another_length_or_with_bits_that_hold_nothing_are_refused() {
        assert_eq!(unpack(&[0x21, 0x03], 4, 3), Some(vec![1, 2, 3]));
        for wrong in [&[0x21][..], &[0x21, 0x13], &[0x21, 0x03, 0]] {
            assert_eq!(unpack(wrong, 4, 3), None, "{wrong:?}");
        }
        assert_eq!(
            (unpack(&[], 4, 0), unpack(&[0], 4, 0)),
            (Some(vec![]), None)
        );
    }
}
