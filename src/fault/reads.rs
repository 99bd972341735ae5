//! What a stored memory reads as on one chip, access after access: cells from a model or a map, then the pattern.

use super::pattern::FaultKind;
use super::{ArraySpec, Chip, Exposure, FailingCell, Layout, TransientRates};
use crate::code::Word;
use crate::error::{Error, Result};
use crate::seed::Seed;
use crate::units::{Ber, ChipId, Fraction};
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
    /// Fraction of the bit error rate that is there in every access; of listed cells 1.
    pub persistent_share: Fraction,
}

/// A stored memory.
#[derive(Clone, Copy, Debug)]
pub struct Stored<'a> {
    /// Its words.
    pub words: &'a [Word],
    /// Where their bits lie.
    pub layout: &'a Layout,
}

/// A part of a memory with the bit error rate of its supply voltage.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// Its bit error rate.
    pub ber: Ber,
    /// What faults can reach of it.
    pub exposure: Exposure,
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
    /// What is drawn again in each access, zone by zone.
    transient: Option<(Chip, Vec<TransientZone<'a>>)>,
}

/// A part of a memory with the rates of its transient faults.
type TransientZone<'a> = (&'a Exposure, Vec<Rate<TransientRates>>);

/// A rate of cells, of all or of those that hold this bit.
pub(super) type Rate<R> = (R, Option<bool>);

impl FaultModel {
    /// True where accesses differ.
    pub fn is_transient(&self) -> bool {
        self.persistent_share.get() < 1.0
    }

    /// The memory on chip `id` of a seed, where no two zones share a cell. Listed cells have their rate by themselves,
    /// whatever that of the zone.
    ///
    /// # Errors
    /// [`Error::Argument`] where the array is wrong, a biased rate would pass 1, the chip is not listed, or a zone is
    /// not one that the layout can have.
    pub fn chip<'a>(
        &self,
        seed: Seed,
        id: ChipId,
        zones: &'a [Zone],
        stored: Stored<'a>,
    ) -> Result<ChipReads<'a>> {
        zones
            .iter()
            .try_for_each(|zone| stored.layout.check_exposure(&zone.exposure))?;
        let mut reads = ChipReads {
            stored,
            kind: self.kind,
            persistent: Vec::new(),
            transient: None,
        };
        let mut transient = Vec::new();
        let chip = match &self.cells {
            CellSource::Drawn(array) => Some(Chip::new(seed, id, *array)?),
            CellSource::Listed(_) => None,
        };
        for Zone { ber, exposure } in zones {
            let span = stored.layout.span(exposure);
            let Some(chip) = &chip else {
                reads
                    .persistent
                    .extend(self.listed(id, exposure, stored.layout)?);
                continue;
            };
            let (fraction, rates) = (self.persistent_share, self.kind.rates(*ber)?);
            let draw = |ber: &Ber| chip.persistent_cells(*ber, fraction, span);
            reads
                .persistent
                .extend(stored.gather(exposure, &rates, draw));
            if self.is_transient() {
                let rate =
                    |(ber, only): &Rate<Ber>| (chip.transient_rates(*ber, fraction, span), *only);
                transient.push((exposure, rates.iter().map(rate).collect()));
            }
        }
        if zones.len() > 1 {
            reads.persistent.sort_by_key(|cell| cell.address);
        }
        reads.transient = chip
            .filter(|_| self.is_transient())
            .map(|chip| (chip, transient));
        Ok(reads)
    }

    /// Listed cells of a chip in a part of a memory.
    fn listed(&self, id: ChipId, exposure: &Exposure, layout: &Layout) -> Result<Vec<FailingCell>> {
        let CellSource::Listed(chips) = &self.cells else {
            return Ok(Vec::new());
        };
        let listed = chips.get(id.0 as usize).ok_or_else(|| {
            let expected = format!(
                "0 to {}, the chips of the fault map",
                chips.len().saturating_sub(1)
            );
            Error::argument("chip", expected, id.to_string())
        })?;
        // a map may be far larger than the memory
        let within = listed.partition_point(|cell| cell.address < layout.span(exposure));
        let mut cells = listed[..within].to_vec();
        layout.keep(exposure, &mut cells);
        Ok(cells)
    }
}

impl FaultKind {
    /// The rates at which cells fail, each of all cells or of those that hold a bit.
    pub(super) fn rates(self, ber: Ber) -> Result<Vec<Rate<Ber>>> {
        let Self::Biased { zero_to_one_share } = self else {
            return Ok(vec![(ber, None)]);
        };
        let of = |fraction: f64| {
            Ber::new(2.0 * fraction * ber.get()).map_err(|_| {
                let most = 0.5 / zero_to_one_share.get().max(1.0 - zero_to_one_share.get());
                let expected =
                    format!("at most {most} with a zero_to_one_share of {zero_to_one_share}");
                Error::argument("bit error rate", expected, ber.to_string())
            })
        };
        let fraction = zero_to_one_share.get();
        Ok(vec![
            (of(fraction)?, Some(false)),
            (of(1.0 - fraction)?, Some(true)),
        ])
    }
}

impl Stored<'_> {
    /// Exposed cells drawn at each rate, by address.
    fn gather<R>(
        &self,
        exposure: &Exposure,
        rates: &[Rate<R>],
        draw: impl Fn(&R) -> Vec<FailingCell>,
    ) -> Vec<FailingCell> {
        let mut all = Vec::new();
        for (rate, only) in rates {
            let mut cells = draw(rate);
            if let Some(bit) = only {
                cells.retain(|cell| self.layout.bit(self.words, cell.address) == *bit);
            }
            self.layout.keep(exposure, &mut cells);
            all.extend(cells);
        }
        if rates.len() > 1 {
            all.sort_by_key(|cell| cell.address);
        }
        all
    }
}

impl ChipReads<'_> {
    /// What access number `access` reads; all are alike unless some faults are transient.
    ///
    /// # Errors
    /// [`Error::Argument`] where the words are not those of the layout.
    pub fn access(&self, access: u64) -> Result<Read> {
        let Some((chip, zones)) = &self.transient else {
            return self.read(&self.persistent);
        };
        let mut cells = self.persistent.clone();
        for (exposure, rates) in zones {
            cells.extend(
                self.stored
                    .gather(exposure, rates, |rates| chip.transient_cells(rates, access)),
            );
        }
        // stable: a persistent cell stays as it is
        cells.sort_by_key(|cell| cell.address);
        cells.dedup_by_key(|cell| cell.address);
        self.read(&cells)
    }

    fn read(&self, cells: &[FailingCell]) -> Result<Read> {
        let words = self
            .stored
            .layout
            .read(self.kind, cells, self.stored.words)?;
        Ok(Read {
            failing_cells: cells.len() as u64,
            words,
        })
    }
}

#[cfg(test)]
mod tests;
