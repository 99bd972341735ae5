//! The memory of activations on one chip: which codes of which tensors failing cells hold, image after image.

use super::guard::{Guard, Misread};
use super::pattern::FaultKind;
use super::reads::Rate;
use super::{CellSource, Chip, FailingCell, FaultModel, Protection};
use crate::code::{CodeFault, FaultsOfActivations};
use crate::error::{refuse, Result};
use crate::seed::{Purpose, Seed, Skips};
use crate::units::{Ber, ChipId};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Where codes of activations lie: a word for an element, 8 or 16 bits wide, of which the code takes the lower ones.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationMemory {
    code_bits: u32,
    words: u64,
    /// Words that it has, whether elements lie in them or not.
    capacity: u64,
    /// Words of each stored tensor.
    tensors: Vec<Range<u64>>,
    /// Bits of a code that faults reach, from the least significant, and tensors.
    exposed: (Range<u32>, Vec<bool>),
    guard: Option<Guard>,
}

/// The codes of one chip that are read otherwise.
#[derive(Clone, Debug)]
pub struct ActivationReads<'a> {
    memory: &'a ActivationMemory,
    seed: Seed,
    chip: ChipId,
    kind: FaultKind,
    /// By tensor: what is the same for every image.
    persistent: Vec<Vec<CodeFault>>,
    /// Rates of cells that fail anew for each image, of all or of those that hold this bit.
    transient: Vec<Rate<f64>>,
    /// What is wrong for every image before check bits are looked at.
    wrong: Wrong,
}

/// Bits that are wrong, by word, and among check bits, by codeword.
#[derive(Clone, Debug, Default)]
struct Wrong {
    words: BTreeMap<u64, Misread>,
    checks: BTreeMap<u64, u8>,
}

impl ActivationMemory {
    /// A memory for codes of so many bits; without a size that which the tensors need. In a smaller one the words of
    /// a tensor begin again at the first: elements share a word that are not needed at the same time.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for codes of other than 1 to 16 bits, and for no words.
    pub fn new(code_bits: u32, tensors: Vec<Range<u64>>, words: Option<u64>) -> Result<Self> {
        if !(1..=16).contains(&code_bits) {
            return refuse("bits of activations", "1 to 16", code_bits);
        }
        let needed = tensors.iter().map(|span| span.end).max().unwrap_or(0);
        let capacity = words.unwrap_or(needed);
        let words = capacity.min(needed);
        if words == 0 {
            let expected = "at least a word";
            return refuse("activation memory", expected, "none");
        }
        let exposed = (0..code_bits, vec![true; tensors.len()]);
        Ok(Self {
            code_bits,
            words,
            capacity,
            tensors,
            exposed,
            guard: None,
        })
    }

    /// The same under a protection of its words. Robust cells hold the most significant bits, which no fault reaches then; check
    /// bits lie behind the words.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for check bits where faults reach a part of the memory alone.
    pub fn under(mut self, protection: Protection) -> Result<Self> {
        let robust = protection.robust_bits(self.code_bits);
        self.guard = Guard::of(protection);
        let (bits, tensors) = &mut self.exposed;
        let is_whole = *bits == (0..self.code_bits) && tensors.iter().all(|reached| *reached);
        if self.guard.is_some() && !is_whole {
            let expected = "all of the memory to be unreliable: check bits are of whole words";
            let found = format!("a part of it, under `{protection}`");
            return refuse("faults", expected, found);
        }
        bits.end = bits.end.min(self.code_bits - robust);
        bits.start = bits.start.min(bits.end);
        // whole codewords
        let words = self.codeword();
        self.words = self.words.next_multiple_of(words);
        self.capacity = self.capacity.max(self.words);
        Ok(self)
    }

    /// The same where faults reach these bits of a code alone, from the least significant, in these tensors.
    #[must_use]
    pub fn within(mut self, bits: Range<u32>, tensors: Vec<bool>) -> Self {
        self.exposed = (bits, tensors);
        self
    }

    /// Words that it has; elements may not need all of them.
    pub fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Bits that stand for the elements of all tensors of an image, check bits included, where faults reach them.
    pub fn bits_of_elements(&self) -> u64 {
        let reached = self.tensors.iter().zip(&self.exposed.1);
        let elements: u64 = reached
            .filter(|(_, reached)| **reached)
            .map(|(span, _)| span.end - span.start)
            .sum();
        match self.guard {
            None => elements * u64::from(self.exposed.0.end - self.exposed.0.start),
            Some(guard) => elements * (self.word_bits() + guard.check_bits()),
        }
    }

    /// True where faults reach a tensor.
    pub fn reaches(&self, tensor: usize) -> bool {
        self.exposed.1[tensor]
    }

    /// Bits of a code.
    pub fn code_bits(&self) -> u32 {
        self.code_bits
    }

    /// Bits of a word.
    pub fn word_bits(&self) -> u64 {
        if self.code_bits <= 8 {
            8
        } else {
            16
        }
    }

    /// Cells of the memory, check bits included.
    pub fn cells(&self) -> u64 {
        let check = self.guard.map_or(0, Guard::check_bits);
        self.words * self.word_bits() + self.words / self.codeword() * check
    }

    /// Words of a codeword; 1 without check bits.
    fn codeword(&self) -> u64 {
        self.guard.map_or(1, |guard| guard.words(self.word_bits()))
    }

    /// What chip `id` of a seed reads at a bit error rate. Cells that fail in every access are the same for every network, and
    /// fail at every higher rate. The others fail anew for each image and tensor, independently of each other, wherever they lie.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for listed cells, a wrong array, a rate that a biased kind cannot have, and check bits in cells that
    /// do not invert their bit: what is read would depend on all words of a codeword.
    pub fn on(
        &self,
        seed: Seed,
        id: ChipId,
        model: &FaultModel,
        ber: Ber,
    ) -> Result<ActivationReads<'_>> {
        let CellSource::Drawn(array) = model.cells else {
            let expected = "cells that are drawn";
            return refuse("faults in activations", expected, "a fault map");
        };
        if self.guard.is_some() && model.kind != FaultKind::Flip {
            let expected = "cells that invert their bit, or no protection by check bits";
            let found = format!("{:?}", model.kind).to_lowercase();
            return refuse("faults in activations", expected, found);
        }
        // cells of their own, beside those of the weights
        let seed = Seed(seed.stream(Purpose::Activations, &[]).below(u64::MAX));
        let (chip, kind) = (Chip::new(seed, id, array)?, model.kind);
        let (rates, persistent) = (kind.rates(ber)?, model.persistent_share);
        let mut wrong = Wrong::default();
        for (rate, only) in &rates {
            for cell in chip.persistent_cells(*rate, persistent, self.cells()) {
                self.add(&cell, kind, *only, &mut wrong);
            }
        }
        let transient = rates.iter().map(|(rate, only)| {
            let (all, every) = (rate.get(), rate.get() * persistent.get());
            let rest = if every < 1.0 {
                (all - every) / (1.0 - every)
            } else {
                0.0
            };
            (rest, *only)
        });
        Ok(ActivationReads {
            memory: self,
            seed,
            chip: id,
            kind,
            persistent: self.by_tensor(&self.read(&wrong)),
            transient: transient.filter(|(rate, _)| *rate > 0.0).collect(),
            wrong,
        })
    }

    /// Adds what a failing cell does.
    fn add(&self, cell: &FailingCell, kind: FaultKind, only: Option<bool>, wrong: &mut Wrong) {
        let bits = self.word_bits();
        let (word, bit) = (cell.address / bits, cell.address % bits);
        if let (Some(guard), true) = (self.guard, word >= self.words) {
            let check = cell.address - self.words * bits;
            let codeword = wrong.checks.entry(check / guard.check_bits());
            *codeword.or_default() |= 1 << (check % guard.check_bits());
        } else if self.exposed.0.contains(&(bit as u32)) || self.guard.is_some() {
            let word = wrong.words.entry(word).or_default();
            fail(word, 1 << bit, kind, cell, only);
        }
    }

    /// What is read of words after their check bits were looked at.
    fn read(&self, wrong: &Wrong) -> BTreeMap<u64, Misread> {
        let Some(guard) = self.guard else {
            return wrong.words.clone();
        };
        let words = self.codeword();
        let of_words = wrong.words.keys().map(|word| word / words);
        let codewords: BTreeSet<u64> = of_words.chain(wrong.checks.keys().copied()).collect();
        let mut read = BTreeMap::new();
        for codeword in codewords {
            let own = codeword * words..(codeword + 1) * words;
            let bits = |word| wrong.words.get(&word).map_or(0, |own| own.raised);
            let bits: Vec<u16> = own.clone().map(bits).collect();
            let check = wrong.checks.get(&codeword).copied().unwrap_or(0);
            read.extend(own.zip(guard.read(&bits, check, self.word_bits())));
        }
        read
    }

    /// What is read of the elements of each tensor, by what is read of words.
    fn by_tensor(&self, words: &BTreeMap<u64, Misread>) -> Vec<Vec<CodeFault>> {
        let mut all = Vec::new();
        for (span, reached) in self.tensors.iter().zip(&self.exposed.1) {
            let mut faults = BTreeMap::new();
            let words = words
                .iter()
                .filter(|(_, read)| **read != Misread::default());
            for (word, read) in words.filter(|_| *reached) {
                let first = (word + self.words - span.start % self.words) % self.words;
                for element in (first..span.end - span.start).step_by(self.words as usize) {
                    faults.insert(element, self.fault(element, *read));
                }
            }
            all.push(faults.into_values().collect());
        }
        all
    }

    /// What is read of an element; bits of its word that its code does not take are nothing to it.
    fn fault(&self, element: u64, read: Misread) -> CodeFault {
        let code = ((1u32 << self.code_bits) - 1) as u16;
        CodeFault {
            element: element as u32,
            raised: read.raised & code,
            lowered: read.lowered & code,
        }
    }
}

impl ActivationReads<'_> {
    /// True where all codes of all images are read as they are stored.
    pub fn are_clean(&self) -> bool {
        self.transient.is_empty() && self.persistent.iter().all(Vec::is_empty)
    }

    /// What is read otherwise, as an evaluation asks for it: calls its last argument with each code of an image's tensor.
    pub fn faults(&self) -> Box<FaultsOfActivations<'_>> {
        Box::new(|image, tensor, visit| self.of(image, tensor).iter().copied().for_each(visit))
    }

    /// The codes of a tensor that are read otherwise for an image, by element.
    pub fn of(&self, image: u32, tensor: usize) -> Cow<'_, [CodeFault]> {
        let persistent = &self.persistent[tensor];
        if self.transient.is_empty() || !self.memory.exposed.1[tensor] {
            return Cow::Borrowed(persistent);
        }
        let memory = self.memory;
        let own = memory.read(&self.drawn(image, tensor));
        let span = &memory.tensors[tensor];
        let known = persistent.iter().map(|fault| (fault.element, *fault));
        let mut faults: BTreeMap<u32, CodeFault> = known.collect();
        for (address, read) in own {
            if span.contains(&address) {
                let fault = memory.fault(address - span.start, read);
                faults.insert(fault.element, fault);
            }
        }
        faults.into_values().collect::<Vec<_>>().into()
    }

    /// What is wrong of an image's tensor where some cell fails anew, by addresses that do not begin again at the first word:
    /// there, what is wrong for every image too.
    fn drawn(&self, image: u32, tensor: usize) -> Wrong {
        let (memory, span) = (self.memory, &self.memory.tensors[tensor]);
        let key = [self.chip.0.into(), image.into(), tensor as u64];
        let mut stream = self.seed.stream(Purpose::Activations, &key);
        let mut wrong = Wrong::default();
        let bits = match memory.guard {
            None => memory.exposed.0.clone(),
            Some(_) => 0..memory.word_bits() as u32,
        };
        let width = u64::from(bits.end - bits.start);
        for (rate, only) in &self.transient {
            let (skips, end) = (Skips::of(*rate), (span.end - span.start) * width);
            let mut at = stream.skip_by(skips);
            while at < end {
                let address = span.start + at / width;
                let word = wrong.words.entry(address);
                let word = word.or_insert_with(|| self.always(address));
                let cell = FailingCell {
                    address: at,
                    polarity: stream.uniform(),
                };
                let bit = u64::from(bits.start) + at % width;
                fail(word, 1 << bit, self.kind, &cell, *only);
                at = at.saturating_add(1).saturating_add(stream.skip_by(skips));
            }
        }
        if let (Some(guard), Some((rate, _))) = (memory.guard, self.transient.first()) {
            let (words, skips) = (memory.codeword(), Skips::of(*rate));
            let first = span.start / words;
            let end = (span.end.div_ceil(words) - first) * guard.check_bits();
            let mut at = stream.skip_by(skips);
            while at < end {
                let codeword = wrong.checks.entry(first + at / guard.check_bits());
                *codeword.or_default() |= 1 << (at % guard.check_bits());
                at = at.saturating_add(1).saturating_add(stream.skip_by(skips));
            }
            self.complete(&mut wrong, words);
        }
        wrong
    }

    /// What is wrong of a word for every image.
    fn always(&self, address: u64) -> Misread {
        let known = self.wrong.words.get(&(address % self.memory.words));
        known.copied().unwrap_or_default()
    }

    /// Adds what is wrong for every image to the codewords in which something is wrong.
    fn complete(&self, wrong: &mut Wrong, words: u64) {
        let of_words = wrong.words.keys().map(|address| address / words);
        let codewords: BTreeSet<u64> = of_words.chain(wrong.checks.keys().copied()).collect();
        for codeword in codewords {
            for address in codeword * words..(codeword + 1) * words {
                let word = wrong.words.entry(address);
                word.or_insert_with(|| self.always(address));
            }
            let known = self
                .wrong
                .checks
                .get(&(codeword % (self.memory.words / words)));
            *wrong.checks.entry(codeword).or_default() |= known.copied().unwrap_or(0);
        }
    }
}

/// Makes a bit of a code fail that a cell holds; `only` where the cell fails if it holds this bit. A stuck one stays as it is.
fn fail(fault: &mut Misread, bit: u16, kind: FaultKind, cell: &FailingCell, only: Option<bool>) {
    let mut only = only;
    if let FaultKind::Stuck { zero_to_one_share } = kind {
        if (fault.raised | fault.lowered) & bit != 0 {
            return;
        }
        only = Some(!cell.reads_one(zero_to_one_share));
    }
    if only != Some(true) {
        fault.raised |= bit;
    }
    if only != Some(false) {
        fault.lowered |= bit;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::ArraySpec;
    use crate::units::Fraction;

    const ARRAY: ArraySpec = ArraySpec {
        rows: 128,
        columns: 64,
        word_bits: 8,
        column_correlation: 0.0,
        bank_correlation: 0.0,
    };

    fn model(kind: FaultKind, persistent: f64) -> FaultModel {
        FaultModel {
            cells: CellSource::Drawn(ARRAY),
            kind,
            persistent_share: Fraction::new(persistent).unwrap(),
        }
    }

    fn memory(words: Option<u64>) -> ActivationMemory {
        ActivationMemory::new(6, vec![0..3000, 3000..5000, 0..1000], words).unwrap()
    }

    fn bits(faults: &[CodeFault]) -> u32 {
        let bits = faults.iter().map(|f| (f.raised | f.lowered).count_ones());
        bits.sum()
    }

    #[test]
    fn cells_that_always_fail_hit_every_image_at_their_addresses_and_more_of_them_at_a_higher_rate()
    {
        let (memory, model) = (memory(None), model(FaultKind::Flip, 1.0));
        assert_eq!(memory.cells(), 5000 * 8);
        let reads = |ber| {
            let ber = Ber::new(ber).unwrap();
            memory.on(Seed(7), ChipId(3), &model, ber).unwrap()
        };
        let (low, high) = (reads(1e-3), reads(1e-2));
        for tensor in 0..3 {
            let faults = high.of(0, tensor);
            assert!((1..10).all(|image| high.of(image, tensor) == faults));
            let higher = |f: &CodeFault| {
                faults
                    .iter()
                    .any(|g| g.element == f.element && g.raised & f.raised == f.raised)
            };
            assert!(low.of(0, tensor).iter().all(higher));
            assert!(faults
                .iter()
                .all(|f| f.raised == f.lowered && f.raised < 64));
        }
        // tensors that share words share their failing cells
        let shared: Vec<CodeFault> = high
            .of(0, 0)
            .iter()
            .copied()
            .filter(|f| f.element < 1000)
            .collect();
        assert_eq!(high.of(0, 2), shared);
        assert!(reads(0.0).of(0, 0).is_empty());
        assert!(reads(1.0)
            .of(5, 1)
            .iter()
            .all(|f| f.read(0b10_1010) == 0b01_0101));
    }

    #[test]
    fn half_the_words_hold_twice_the_elements_each() {
        let model = model(FaultKind::Flip, 1.0);
        let ber = Ber::new(0.01).unwrap();
        let hit = |words| -> usize {
            let memory = memory(words);
            let reads = memory.on(Seed(1), ChipId(0), &model, ber).unwrap();
            let cells = Chip::new(
                Seed(Seed(1).stream(Purpose::Activations, &[]).below(u64::MAX)),
                ChipId(0),
                ARRAY,
            );
            let cells = cells.unwrap().failing_cells(ber, memory.cells());
            let held = cells.iter().filter(|cell| cell.address % 8 < 6).count();
            let hit = bits(&reads.of(0, 0)) + bits(&reads.of(0, 1));
            hit as usize * 1000 / held
        };
        assert_eq!(
            (hit(None), hit(Some(2500)), hit(Some(9999))),
            (1000, 2000, 1000)
        );
    }

    #[test]
    fn shares_of_flips_are_the_rate_by_image_and_kind() {
        let share = |zero_to_one_share| FaultKind::Biased {
            zero_to_one_share: Fraction::new(zero_to_one_share).unwrap(),
        };
        let memory = memory(None);
        for (kind, persistent, ber) in [
            (FaultKind::Flip, 0.0, 1e-4),
            (FaultKind::Flip, 0.0, 0.01),
            (FaultKind::Flip, 0.3, 0.5),
            (share(0.8), 0.0, 0.01),
        ] {
            let model = model(kind, persistent);
            let (mut raised, mut lowered, images) = (0u32, 0u32, 200);
            for chip in 0..2 {
                let reads = memory
                    .on(Seed(5), ChipId(chip), &model, Ber::new(ber).unwrap())
                    .unwrap();
                for image in 0..images {
                    for fault in reads.of(image, 1).iter() {
                        raised += fault.raised.count_ones();
                        lowered += fault.lowered.count_ones();
                    }
                }
                assert!(ber < 1e-3 || reads.of(0, 1) != reads.of(1, 1));
                assert_eq!(reads.of(1, 1), reads.of(1, 1));
            }
            let trials = 2.0 * f64::from(images) * 2000.0 * 6.0;
            for (found, rate) in [
                (
                    raised,
                    kind.rates(Ber::new(ber).unwrap()).unwrap()[0].0.get(),
                ),
                (
                    lowered,
                    kind.rates(Ber::new(ber).unwrap())
                        .unwrap()
                        .last()
                        .unwrap()
                        .0
                        .get(),
                ),
            ] {
                // persistent cells are few draws
                let deviation =
                    (rate * (1.0 - rate) * trials * (1.0 + persistent * f64::from(images))).sqrt();
                assert!(
                    (f64::from(found) - rate * trials).abs() < 4.0 * deviation,
                    "{kind:?} {ber}: {found} of {}",
                    rate * trials
                );
            }
        }
    }

    /// Codewords of 8 words that are read otherwise, of those of a tensor.
    fn misread(reads: &ActivationReads, image: u32) -> f64 {
        let faults = reads.of(image, 0);
        let wrong = faults.iter().filter(|f| f.raised | f.lowered != 0);
        let codewords: BTreeSet<u32> = wrong.map(|f| f.element / 8).collect();
        codewords.len() as f64 / 1000.0
    }

    #[test]
    fn secded_corrects_single_errors_of_codewords_and_parity_makes_zeros_of_odd_ones() {
        let memory = |protection| {
            let memory = ActivationMemory::new(8, vec![0..8000, 8000..12_000], None);
            memory.unwrap().under(protection).unwrap()
        };
        let (plain, secded) = (memory(Protection::None), memory(Protection::Secded));
        assert_eq!((plain.cells(), secded.cells()), (96_000, 108_000));
        // of 72 bits two or more are wrong, or one is where nothing corrects it
        let several = |p: f64| 1.0 - (1.0 - p).powi(72) - 72.0 * p * (1.0 - p).powi(71);
        for (persistent, ber) in [(1.0, 0.004), (0.0, 0.004), (0.5, 0.004), (1.0, 0.02)] {
            let model = model(FaultKind::Flip, persistent);
            let shares = |memory: &ActivationMemory| {
                let share = |chip| {
                    let reads = memory.on(Seed(4), ChipId(chip), &model, Ber::new(ber).unwrap());
                    misread(&reads.unwrap(), 3)
                };
                (0..30).map(share).sum::<f64>() / 30.0
            };
            let any = 1.0 - (1.0 - ber).powi(64);
            for (found, expected) in [(shares(&plain), any), (shares(&secded), several(ber))] {
                let deviation = (expected * (1.0 - expected) / 30_000.0).sqrt();
                // check bits alone, or two of them, leave the data as they are
                assert!(
                    found < expected + 4.0 * deviation && found > 0.93 * expected - 4.0 * deviation,
                    "{persistent} {ber}: {found} {expected}"
                );
            }
        }
        let reads = |protection: Protection, kind| {
            let memory = memory(protection);
            let rate = Ber::new(0.01).unwrap();
            let on = memory.on(Seed(4), ChipId(0), &model(kind, 1.0), rate);
            on.map(|reads| reads.of(0, 1).into_owned())
        };
        let zeros = reads(Protection::ParityZero, FaultKind::Flip).unwrap();
        let is_zero = |fault: &&CodeFault| (fault.raised, fault.lowered) == (0, 255);
        assert!(zeros.iter().filter(is_zero).count() * 10 > zeros.len() * 9);
        assert!(zeros
            .iter()
            .filter(is_zero)
            .all(|fault| fault.read(77) == 0));
        assert!(zeros.len() > 200);
        let stuck = FaultKind::Stuck {
            zero_to_one_share: Fraction::new(0.5).unwrap(),
        };
        assert!(reads(Protection::Secded, stuck).is_err());
        let part = ActivationMemory::new(8, vec![0..80, 0..8], None).unwrap();
        assert!(part
            .within(7..8, vec![true])
            .under(Protection::Secded)
            .is_err());
    }

    #[test]
    fn stuck_cells_read_the_same_whatever_is_stored() {
        let kind = FaultKind::Stuck {
            zero_to_one_share: Fraction::new(0.5).unwrap(),
        };
        let memory = memory(None);
        for persistent in [0.0, 0.5, 1.0] {
            let reads = memory.on(
                Seed(2),
                ChipId(0),
                &model(kind, persistent),
                Ber::new(1.0).unwrap(),
            );
            for fault in reads.unwrap().of(4, 0).iter() {
                assert_eq!(
                    (fault.raised & fault.lowered, fault.raised | fault.lowered),
                    (0, 63)
                );
                assert_eq!(fault.read(0), fault.read(63));
            }
        }
        assert!(ActivationMemory::new(17, vec![0..4, 4..8], None).is_err());
        assert!(ActivationMemory::new(8, vec![], None).is_err());
    }
}
