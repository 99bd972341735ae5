//! Where the bits of stored words lie in a memory, check bits included, and what failing cells make of the words.

use super::pattern::{faulty_words, FaultKind};
use super::secded::{decode, encode, CHECK_BITS, DATA_BITS};
use super::{Exposure, FailingCell, Protection};
use crate::code::Word;
use crate::error::{refuse, Result};
use std::ops::Range;

/// Cells of a SECDED word.
const SECDED_CELLS: u64 = (DATA_BITS + CHECK_BITS) as u64;

/// Words of one width that lie one after the other.
#[derive(Clone, Debug, PartialEq)]
struct Part {
    /// Words, counted over all layers.
    words: Range<u64>,
    /// Bits of each.
    bits: u32,
    /// Data bits before it.
    first_bit: u64,
}

/// Addresses of the cells of a memory: words in order, layer after layer, bit after bit from the least significant.
///
/// Unprotected, and where the most significant bits lie in robust cells, data bit `d` (counted over all words) has
/// address `d`. With a parity bit for each code, the parity bit follows its code. With SECDED, 64 data bits, which may
/// span words and layers, are followed by their 8 check bits: data bit `d` has the address `72·(d div 64) + d mod 64`;
/// the data bits that the last word lacks are 0 and have no cells.
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    parts: Vec<Part>,
    words: u64,
    data_bits: u64,
    protection: Protection,
}

/// What a cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Bit `bit` of word `word`.
    Data { word: u64, bit: u32, bits: u32 },
    /// The parity of a word.
    Parity { word: u64 },
    /// A check bit of a SECDED word.
    Check { unit: u64, bit: u32 },
    /// Nothing.
    Unused,
}

impl Layout {
    /// The layout of layers of (words, bits of each, 1 to 8).
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for other widths, and for more robust bits than a code has.
    pub fn new(
        layers: impl IntoIterator<Item = (u64, u32)>,
        protection: Protection,
    ) -> Result<Self> {
        let mut layout = Self {
            parts: Vec::new(),
            words: 0,
            data_bits: 0,
            protection,
        };
        for (words, bits) in layers {
            if !(1..=8).contains(&bits) {
                return refuse("bits of stored codes", "1 to 8", bits);
            }
            if let Protection::Msb(robust) = protection {
                if robust > bits {
                    let expected = format!("at most the {bits} bits of a stored code");
                    return refuse("sweep.protection", expected, format!("`{protection}`"));
                }
            }
            let end = layout.words + words;
            match layout.parts.last_mut() {
                Some(last) if last.bits == bits => last.words.end = end,
                _ => layout.parts.push(Part {
                    words: layout.words..end,
                    bits,
                    first_bit: layout.data_bits,
                }),
            }
            layout.words = end;
            layout.data_bits += words * u64::from(bits);
        }
        Ok(layout)
    }

    /// The protection.
    pub fn protection(&self) -> Protection {
        self.protection
    }

    /// Number of words.
    pub fn words(&self) -> u64 {
        self.words
    }

    /// Bits of the words, check bits not counted.
    pub fn data_bits(&self) -> u64 {
        self.data_bits
    }

    /// Cells that hold a bit, check bits included.
    pub fn cells(&self) -> u64 {
        self.data_bits
            + match self.protection {
                Protection::None | Protection::Msb(_) => 0,
                Protection::ParityZero => self.words,
                Protection::Secded => self.units() * u64::from(CHECK_BITS),
            }
    }

    /// Cells that hold a bit that faults reach.
    pub fn exposed_cells(&self, exposure: &Exposure) -> u64 {
        if exposure.is_whole() {
            return self.cells();
        }
        let of_part = |part: &Part| {
            let words: u64 = exposure.words_in(&part.words);
            let parity =
                u64::from(self.protection == Protection::ParityZero && exposure.holds_plane(0));
            let planes = (0..part.bits)
                .filter(|plane| exposure.holds_plane(*plane))
                .count() as u64;
            words * (planes + parity)
        };
        self.parts.iter().map(of_part).sum()
    }

    /// True where every code has a single bit.
    pub fn is_binary(&self) -> bool {
        self.parts.iter().all(|part| part.bits == 1)
    }

    /// Addresses from 0 to the last that faults reach.
    pub(super) fn span(&self, exposure: &Exposure) -> u64 {
        let end = exposure.end().min(self.words);
        let bits = match self.part_of_word(end.saturating_sub(1)) {
            Some(part) if end > 0 => {
                part.first_bit + (end - part.words.start) * u64::from(part.bits)
            }
            _ => return 0,
        };
        match self.protection {
            Protection::None | Protection::Msb(_) => bits,
            Protection::ParityZero => bits + end,
            Protection::Secded => bits.div_ceil(DATA_BITS.into()) * SECDED_CELLS,
        }
    }

    /// Refuses a part of the memory that the protection cannot have for itself.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`]: SECDED words span layers and bits, a parity bit covers all bits of its code.
    pub fn check_exposure(&self, exposure: &Exposure) -> Result<()> {
        let refused = match self.protection {
            Protection::None | Protection::Msb(_) => false,
            Protection::ParityZero => !exposure.holds_all_planes(),
            Protection::Secded => !exposure.is_whole(),
        };
        if !refused {
            return Ok(());
        }
        let what = format!(
            "faults of a part of the memory with protection `{}`",
            self.protection
        );
        let expected = "all layers and bits to lie in one memory: its words span them";
        refuse(what, expected, "layers or bits of their own")
    }

    /// Keeps the cells that hold a bit that faults reach.
    pub(super) fn keep(&self, exposure: &Exposure, cells: &mut Vec<FailingCell>) {
        let all = exposure.is_whole() && self.protection != Protection::Secded;
        if !all {
            cells.retain(|cell| match self.held(cell.address) {
                Held::Data { word, bit, bits } => exposure.holds(word, bits - 1 - bit),
                Held::Parity { word } => exposure.holds(word, 0),
                Held::Check { .. } => true,
                Held::Unused => false,
            });
        }
    }

    /// The bit that is stored at an address; 0 where nothing is.
    pub(super) fn bit(&self, words: &[Word], address: u64) -> bool {
        let word_at = |word: u64| words.get(word as usize).copied().unwrap_or_default();
        match self.held(address) {
            Held::Data { word, bit, .. } => word_at(word) >> bit & 1 == 1,
            Held::Parity { word } => word_at(word).count_ones() % 2 == 1,
            Held::Check { unit, bit } => encode(self.unit_data(words, unit)) >> bit & 1 == 1,
            Held::Unused => false,
        }
    }

    /// The words that read other than stored, as (index, word read), by index, where `cells` fail, by rising address.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the words are not those of the layout, or as [`faulty_words`].
    pub(super) fn read(
        &self,
        kind: FaultKind,
        cells: &[FailingCell],
        words: &[Word],
    ) -> Result<Vec<(usize, Word)>> {
        if words.len() as u64 != self.words {
            let expected = format!("the {} words of the layout", self.words);
            return refuse("stored words", expected, words.len());
        }
        match self.protection {
            Protection::None | Protection::Msb(_) => self.read_plain(kind, cells, words),
            Protection::ParityZero => Ok(self.read_parity(kind, cells, words)),
            Protection::Secded => Ok(self.read_secded(kind, cells, words)),
        }
    }

    fn read_plain(
        &self,
        kind: FaultKind,
        cells: &[FailingCell],
        words: &[Word],
    ) -> Result<Vec<(usize, Word)>> {
        if let [part] = self.parts.as_slice() {
            return faulty_words(kind, cells, words, part.bits);
        }
        let (mut rest, mut all) = (cells, Vec::new());
        for part in &self.parts {
            let end = part.first_bit + (part.words.end - part.words.start) * u64::from(part.bits);
            let (own, others) = rest.split_at(rest.partition_point(|cell| cell.address < end));
            rest = others;
            let moved = |cell: &FailingCell| FailingCell {
                address: cell.address - part.first_bit,
                ..*cell
            };
            let own: Vec<FailingCell> = own.iter().map(moved).collect();
            let (start, end) = (part.words.start as usize, part.words.end as usize);
            let found = faulty_words(kind, &own, &words[start..end], part.bits)?;
            all.extend(found.into_iter().map(|(index, word)| (start + index, word)));
        }
        Ok(all)
    }

    /// Reads codes with their parity bits: an odd number of errors reads as the code 0, stored as the word 0.
    fn read_parity(
        &self,
        kind: FaultKind,
        cells: &[FailingCell],
        words: &[Word],
    ) -> Vec<(usize, Word)> {
        let word_of = |cell: &FailingCell| match self.held(cell.address) {
            Held::Data { word, .. } | Held::Parity { word } => word as usize,
            Held::Check { .. } | Held::Unused => words.len(),
        };
        let read = |cells: &[FailingCell]| {
            let index = word_of(&cells[0]);
            let stored = *words.get(index)?;
            let parity = stored.count_ones() % 2 == 1;
            let (mut word, mut read_parity) = (stored, parity);
            for cell in cells {
                match self.held(cell.address) {
                    Held::Data { bit, .. } => word = kind.read(word, bit, cell),
                    _ => read_parity = kind.reads(parity, cell),
                }
            }
            let good = (word.count_ones() % 2 == 1) == read_parity;
            Some((index, if good { word } else { 0 })).filter(|&(_, word)| word != stored)
        };
        cells
            .chunk_by(|a, b| word_of(a) == word_of(b))
            .filter_map(read)
            .collect()
    }

    /// Reads SECDED words through their decoder.
    fn read_secded(
        &self,
        kind: FaultKind,
        cells: &[FailingCell],
        words: &[Word],
    ) -> Vec<(usize, Word)> {
        let mut all: Vec<(usize, Word)> = Vec::new();
        for cells in cells.chunk_by(|a, b| a.address / SECDED_CELLS == b.address / SECDED_CELLS) {
            let unit = cells[0].address / SECDED_CELLS;
            let stored = self.unit_data(words, unit);
            let (mut data, mut read_check) = (stored, encode(stored));
            for cell in cells {
                let bit = (cell.address % SECDED_CELLS) as u32;
                match bit.checked_sub(DATA_BITS) {
                    None => {
                        let read = kind.reads(stored >> bit & 1 == 1, cell);
                        data = data & !(1 << bit) | u64::from(read) << bit;
                    }
                    Some(bit) => read_check = kind.read(read_check, bit, cell),
                }
            }
            let mut wrong = decode(data, read_check).data() ^ stored;
            while wrong != 0 {
                let data_bit = unit * u64::from(DATA_BITS) + u64::from(wrong.trailing_zeros());
                wrong &= wrong - 1;
                // a decoder may "correct" a bit that the last word lacks: nothing is read from there
                let Held::Data { word, bit, .. } = self.data_at(data_bit) else {
                    continue;
                };
                let index = word as usize;
                match all.last_mut() {
                    Some((last, read)) if *last == index => *read ^= 1 << bit,
                    _ => all.push((index, words[index] ^ 1 << bit)),
                }
            }
        }
        all
    }

    fn units(&self) -> u64 {
        self.data_bits.div_ceil(DATA_BITS.into())
    }

    /// Data of a SECDED word, bit 0 first.
    fn unit_data(&self, words: &[Word], unit: u64) -> u64 {
        let first = unit * u64::from(DATA_BITS);
        (0..DATA_BITS).fold(0, |data, i| match self.data_at(first + u64::from(i)) {
            Held::Data { word, bit, .. } => data | u64::from(words[word as usize] >> bit & 1) << i,
            _ => data,
        })
    }

    fn part_of_word(&self, word: u64) -> Option<&Part> {
        self.parts
            .get(self.parts.partition_point(|part| part.words.end <= word))
    }

    /// Data bit by its number over all words.
    fn data_at(&self, data_bit: u64) -> Held {
        let after = self
            .parts
            .partition_point(|part| part.first_bit <= data_bit);
        let Some(part) = self.parts[..after].last() else {
            return Held::Unused;
        };
        let (own, bits) = (data_bit - part.first_bit, u64::from(part.bits));
        let word = part.words.start + own / bits;
        if word < part.words.end {
            Held::Data {
                word,
                bit: (own % bits) as u32,
                bits: part.bits,
            }
        } else {
            Held::Unused
        }
    }

    fn held(&self, address: u64) -> Held {
        match self.protection {
            Protection::None | Protection::Msb(_) => self.data_at(address),
            Protection::ParityZero => {
                let start = |part: &Part| part.first_bit + part.words.start;
                let after = self.parts.partition_point(|part| start(part) <= address);
                let Some(part) = self.parts[..after].last() else {
                    return Held::Unused;
                };
                let (own, bits) = (address - start(part), part.bits);
                let word = part.words.start + own / u64::from(bits + 1);
                match (own % u64::from(bits + 1)) as u32 {
                    _ if word >= part.words.end => Held::Unused,
                    bit if bit == bits => Held::Parity { word },
                    bit => Held::Data { word, bit, bits },
                }
            }
            Protection::Secded => {
                let (unit, place) = (address / SECDED_CELLS, (address % SECDED_CELLS) as u32);
                match place.checked_sub(DATA_BITS) {
                    _ if unit >= self.units() => Held::Unused,
                    Some(bit) => Held::Check { unit, bit },
                    None => self.data_at(unit * u64::from(DATA_BITS) + u64::from(place)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
