//! What a stored memory reads as on one chip, access after access: cells from a model or a map, then the pattern.

use super::pattern::{faulty_words, FaultKind};
use super::{ArraySpec, Chip, Exposure, FailingCell, TransientRates};
use crate::code::Word;
use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::units::{Ber, ChipId, Share};
use std::sync::Arc;

/// Where failing cells come from.
#[derive(Clone, Debug, PartialEq)]
pub enum CellSource {
    /// Drawn for each chip in an array.
    Drawn(ArraySpec),
    /// Listed: for each chip the failing cells by address.
    Listed(Arc<Vec<Vec<FailingCell>>>),
}

/// How the cells of a memory fail.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultModel {
    /// Which ones fail.
    pub cells: CellSource,
    /// What a failing cell does.
    pub kind: FaultKind,
    /// Share of the bit error rate that is there in every access; of listed cells 1.
    pub persistent_share: Share,
}

/// A stored memory.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its words.
    pub words: &'a [Word],
    /// Bits of a word, 1 to 8.
    pub bits: u32,
    /// What faults can reach of it.
    pub exposure: &'a Exposure,
}

/// What an access reads.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    /// Failing cells that hold an exposed bit; where the kind is biased, those that fail for what is stored.
    pub failing_cells: u64,
    /// Words that read other than stored, as (index, word read), by index.
    pub words: Vec<(usize, Word)>,
}

/// A stored memory on one chip at a bit error rate.
#[derive(Clone, Debug)]
pub struct ChipReads<'a> {
    stored: Stored<'a>,
    kind: FaultKind,
    /// Those that fail in every access, by address.
    persistent: Vec<FailingCell>,
    /// What is drawn again in each access.
    transient: Option<(Chip, Vec<Rate<TransientRates>>)>,
}

/// A rate of cells, of all or of those that hold this bit.
type Rate<R> = (R, Option<bool>);

impl FaultModel {
    /// True where accesses differ.
    pub fn is_transient(&self) -> bool {
        self.persistent_share.get() < 1.0
    }

    /// The memory on chip `id` of a seed, at a bit error rate (which listed cells have by themselves).
    ///
    /// # Errors
    /// [`Error::Argument`] where the array is wrong, a biased rate would pass 1, or the chip is not listed.
    pub fn chip<'a>(&self, seed: Seed, id: ChipId, ber: Ber, stored: Stored<'a>) -> Result<ChipReads<'a>> {
        let reads = |persistent, transient| ChipReads { stored, kind: self.kind, persistent, transient };
        let array = match &self.cells {
            CellSource::Drawn(array) => *array,
            CellSource::Listed(chips) => {
                let listed = chips.get(id.0 as usize).ok_or_else(|| {
                    let expected =
                        format!("0 to {}, the chips of the fault map", chips.len().saturating_sub(1));
                    Error::argument("chip", expected, id.to_string())
                })?;
                // a map may be far larger than the memory
                let within = listed.partition_point(|cell| cell.address < stored.exposure.span());
                let mut cells = listed[..within].to_vec();
                stored.exposure.keep(&mut cells);
                return Ok(reads(cells, None));
            }
        };
        let chip = Chip::new(seed, id, array)?;
        let rates = self.kind.rates(ber)?;
        let (share, span) = (self.persistent_share, stored.exposure.span());
        let persistent = stored.gather(&rates, |ber| chip.persistent_cells(*ber, share, span));
        let transient = self.is_transient().then(|| {
            let rates = rates.iter().map(|(ber, only)| (chip.transient_rates(*ber, share, span), *only));
            (chip, rates.collect())
        });
        Ok(reads(persistent, transient))
    }
}

impl FaultKind {
    /// The rates at which cells fail, each of all cells or of those that hold a bit.
    fn rates(self, ber: Ber) -> Result<Vec<Rate<Ber>>> {
        let Self::Biased { zero_to_one_share } = self else { return Ok(vec![(ber, None)]) };
        let of = |share: f64| {
            Ber::new(2.0 * share * ber.get()).map_err(|_| {
                let most = 0.5 / zero_to_one_share.get().max(1.0 - zero_to_one_share.get());
                let expected = format!("at most {most} with a zero_to_one_share of {zero_to_one_share}");
                Error::argument("bit error rate", expected, ber.to_string())
            })
        };
        let share = zero_to_one_share.get();
        Ok(vec![(of(share)?, Some(false)), (of(1.0 - share)?, Some(true))])
    }
}

impl Stored<'_> {
    /// Exposed cells drawn at each rate, by address.
    fn gather<R>(&self, rates: &[Rate<R>], draw: impl Fn(&R) -> Vec<FailingCell>) -> Vec<FailingCell> {
        let mut all = Vec::new();
        for (rate, only) in rates {
            let mut cells = draw(rate);
            if let Some(bit) = only {
                cells.retain(|cell| self.bit(cell.address) == *bit);
            }
            self.exposure.keep(&mut cells);
            all.extend(cells);
        }
        if rates.len() > 1 {
            all.sort_by_key(|cell| cell.address);
        }
        all
    }

    /// The bit stored at an address of the memory.
    fn bit(&self, address: u64) -> bool {
        let bits = u64::from(self.bits);
        let word = self.words.get((address / bits) as usize).copied().unwrap_or_default();
        word >> (address % bits) & 1 == 1
    }
}

impl ChipReads<'_> {
    /// What access number `access` reads; all are alike unless some faults are transient.
    ///
    /// # Errors
    /// [`Error::Argument`] where the bits of a word are not 1 to 8, or the exposure is that of another memory.
    pub fn access(&self, access: u64) -> Result<Read> {
        let Stored { words, bits, .. } = self.stored;
        let Some((chip, rates)) = &self.transient else {
            return self.read(&self.persistent, words, bits);
        };
        let mut cells = self.persistent.clone();
        cells.extend(self.stored.gather(rates, |rates| chip.transient_cells(rates, access)));
        // stable: a persistent cell stays as it is
        cells.sort_by_key(|cell| cell.address);
        cells.dedup_by_key(|cell| cell.address);
        self.read(&cells, words, bits)
    }

    fn read(&self, cells: &[FailingCell], words: &[Word], bits: u32) -> Result<Read> {
        let words = faulty_words(self.kind, cells, words, bits)?;
        Ok(Read { failing_cells: cells.len() as u64, words })
    }
}

#[cfg(test)]
mod tests;
