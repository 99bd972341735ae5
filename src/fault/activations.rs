//! The memory of activations on one chip: which codes of which tensors failing cells hold, image after image.

use super::pattern::FaultKind;
use super::reads::Rate;
use super::{CellSource, Chip, FailingCell, FaultModel};
use crate::code::CodeFault;
use crate::error::{Error, Result};
use crate::seed::{Purpose, Seed, Skips};
use crate::units::{Ber, ChipId};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

/// Where codes of activations lie: a word for an element, 8 or 16 bits wide, of which the code takes the lower ones.
#[derive(Clone, Debug, PartialEq)]
pub struct ActivationMemory {
    code_bits: u32,
    words: u64,
    /// Words of each stored tensor.
    tensors: Vec<Range<u64>>,
    /// Bits of a code that faults reach, from the least significant, and tensors.
    exposed: (Range<u32>, Vec<bool>),
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
}

impl ActivationMemory {
    /// A memory for codes of so many bits; without a size that which the tensors need. In a smaller one the words of
    /// a tensor begin again at the first: elements share a word that are not needed at the same time.
    ///
    /// # Errors
    /// [`Error::Argument`] for codes of other than 1 to 16 bits, and for no words.
    pub fn new(code_bits: u32, tensors: Vec<Range<u64>>, words: Option<u64>) -> Result<Self> {
        if !(1..=16).contains(&code_bits) {
            let found = code_bits.to_string();
            return Err(Error::argument("bits of activations", "1 to 16", found));
        }
        let needed = tensors.iter().map(|span| span.end).max().unwrap_or(0);
        let words = words.unwrap_or(needed).min(needed);
        if words == 0 {
            let expected = "at least a word";
            return Err(Error::argument("activation memory", expected, "none"));
        }
        let exposed = (0..code_bits, vec![true; tensors.len()]);
        Ok(Self {
            code_bits,
            words,
            tensors,
            exposed,
        })
    }

    /// The same where faults reach these bits of a code alone, from the least significant, in these tensors.
    #[must_use]
    pub fn within(mut self, bits: Range<u32>, tensors: Vec<bool>) -> Self {
        self.exposed = (bits, tensors);
        self
    }

    /// Words, one for an element of a tensor.
    pub fn words(&self) -> u64 {
        self.words
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

    /// Cells of the memory.
    pub fn cells(&self) -> u64 {
        self.words * self.word_bits()
    }

    /// What chip `id` of a seed reads at a bit error rate. Cells that fail in every access are the same for every network, and
    /// fail at every higher rate. The others fail anew for each image and tensor, independently of each other, wherever they lie.
    ///
    /// # Errors
    /// [`Error::Argument`] for listed cells, a wrong array, and a rate that a biased kind cannot have.
    pub fn on(
        &self,
        seed: Seed,
        id: ChipId,
        model: &FaultModel,
        ber: Ber,
    ) -> Result<ActivationReads<'_>> {
        let CellSource::Drawn(array) = model.cells else {
            let expected = "cells that are drawn";
            return Err(Error::argument(
                "faults in activations",
                expected,
                "a fault map",
            ));
        };
        // cells of their own, beside those of the weights
        let seed = Seed(seed.stream(Purpose::Activations, &[]).below(u64::MAX));
        let (chip, kind) = (Chip::new(seed, id, array)?, model.kind);
        let (rates, persistent) = (kind.rates(ber)?, model.persistent_share);
        let mut faults = vec![BTreeMap::new(); self.tensors.len()];
        for (rate, only) in &rates {
            for cell in chip.persistent_cells(*rate, persistent, self.cells()) {
                self.add(&cell, kind, *only, &mut faults);
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
            persistent: faults
                .into_iter()
                .map(|f| f.into_values().collect())
                .collect(),
            transient: transient.filter(|(rate, _)| *rate > 0.0).collect(),
        })
    }

    /// Adds what a failing cell does to every element that its word holds.
    fn add(
        &self,
        cell: &FailingCell,
        kind: FaultKind,
        only: Option<bool>,
        faults: &mut [BTreeMap<u32, CodeFault>],
    ) {
        let (word, bit) = (
            cell.address / self.word_bits(),
            cell.address % self.word_bits(),
        );
        if !self.exposed.0.contains(&(bit as u32)) {
            return;
        }
        let reached = self.tensors.iter().zip(faults).zip(&self.exposed.1);
        for ((span, faults), _) in reached.filter(|(_, exposed)| **exposed) {
            let first = (word + self.words - span.start % self.words) % self.words;
            for element in (first..span.end - span.start).step_by(self.words as usize) {
                let fault = faults.entry(element as u32);
                let fault = fault.or_insert_with(|| CodeFault::none(element as u32));
                fail(fault, 1 << bit, kind, cell, only);
            }
        }
    }
}

impl ActivationReads<'_> {
    /// True where all codes of all images are read as they are stored.
    pub fn are_clean(&self) -> bool {
        self.transient.is_empty() && self.persistent.iter().all(Vec::is_empty)
    }

    /// The codes of a tensor that are read otherwise for an image, by element.
    pub fn of(&self, image: u32, tensor: usize) -> Cow<'_, [CodeFault]> {
        let persistent = &self.persistent[tensor];
        let (exposed, reached) = &self.memory.exposed;
        if self.transient.is_empty() || !reached[tensor] {
            return Cow::Borrowed(persistent);
        }
        let span = &self.memory.tensors[tensor];
        let bits = u64::from(exposed.end - exposed.start);
        let key = [self.chip.0.into(), image.into(), tensor as u64];
        let mut stream = self.seed.stream(Purpose::Activations, &key);
        let known = persistent.iter().map(|fault| (fault.element, *fault));
        let mut faults: BTreeMap<u32, CodeFault> = known.collect();
        for (rate, only) in &self.transient {
            let (skips, end) = (Skips::of(*rate), (span.end - span.start) * bits);
            let mut at = stream.skip_by(skips);
            while at < end {
                let element = (at / bits) as u32;
                let fault = faults.entry(element);
                let fault = fault.or_insert_with(|| CodeFault::none(element));
                let cell = FailingCell {
                    address: at,
                    polarity: stream.uniform(),
                };
                let bit = u64::from(exposed.start) + at % bits;
                fail(fault, 1 << bit, self.kind, &cell, *only);
                at = at.saturating_add(1).saturating_add(stream.skip_by(skips));
            }
        }
        faults.into_values().collect::<Vec<_>>().into()
    }
}

/// Makes a bit of a code fail that a cell holds; `only` where the cell fails if it holds this bit. A stuck one stays as it is.
fn fail(fault: &mut CodeFault, bit: u16, kind: FaultKind, cell: &FailingCell, only: Option<bool>) {
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
