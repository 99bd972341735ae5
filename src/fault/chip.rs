//! The failing cells of one simulated chip at a bit error rate, drawn lazily in octaves of the
//! cells' thresholds. What a failing cell does to a word is the pattern's affair.
//!
//! Every cell has a threshold `u`, uniform in (0, 1), and fails where `u < p`: the cells that fail at
//! one rate fail at every higher rate too. Thresholds are not stored but drawn octave by octave.
//! Octave `k` is `[2^-(k+1), 2^-k)`. In it a cell is *hit* with probability `r_k = 1 / (2^(k+1) - 1)`,
//! independently of all other octaves, and has a `u` uniform in the octave. The last octave,
//! `k = L`, is `[0, 2^-L)` with `r_L = 2^-L`. The cell's threshold is that of the deepest octave
//! (largest `k`) that hits it.
//!
//! This is exactly uniform. No octave from `k` on hits a cell with probability
//! `Π_{j≥k} (1 - r_j) = 1 - 2^-k`: so it is for `k = L`, and if for `k + 1` then for `k`, because
//! `1 - r_k = (1 - 2^-k) / (1 - 2^-(k+1))`. So the threshold lies below `2^-k` with probability `2^-k`,
//! as it must, and `r_0 = 1` leaves no cell without one.
//!
//! At rate `p` a cell fails iff some hit of it lies below `p`, because a deeper hit is a smaller
//! one. So only octaves that begin below `p` are read, and the cost follows the number of faults.
//! Hits are found by geometric skips in blocks of cells; each octave of each block has its own stream,
//! keyed by (seed; chip, bank, block, octave), so that what one draw reads changes no other.
//!
//! Transient faults are drawn again in each access. Let `r(p)` be the rate of a cell's column, `p` where
//! cells are independent, and `s` the persistent fraction. A cell whose threshold lies below `r(s·p)` fails in
//! every access. Any other cell fails in an access with probability `t = (r(p) - r(s·p)) / (1 - r(s·p))`, by a
//! second threshold that is fresh in each access (streams keyed by the access too). So a cell reads wrongly
//! in an access with probability `r(s·p) + (1 - r(s·p))·t = r(p)`, whose mean over columns and banks is `p`:
//! the rate is kept exactly, and `s` is the fraction of it that is there in every access. Weak columns are weak in
//! both parts. `t` rises with `p`, so the faults of one access nest over voltage too.

use super::ArraySpec;
use crate::error::Result;
use crate::seed::{Purpose, Seed, Skips, Stream};
use crate::stats::{normal_cdf, probit};
use crate::units::{Ber, ChipId, Fraction};
use std::borrow::Cow;

/// The last octave `L`, which covers [0, 2^-L): deep enough that reading it alone is cheap.
const LAST_OCTAVE: u32 = 20;

/// Hits a column must expect in an octave to have a stream of its own there.
const HITS_PER_COLUMN: u64 = 4;

/// Most cells for which room is made before they are drawn: a megabyte.
const MOST_RESERVED: u64 = 1 << 16;

/// A cell that fails.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FailingCell {
    /// Its address, see [`ArraySpec`].
    pub address: u64,
    /// Uniform in [0, 1), a property of the cell: what it reads where it is stuck.
    pub polarity: f64,
}

impl FailingCell {
    /// What the cell reads if it is stuck and `fraction` of the failing cells read 1.
    pub fn reads_one(&self, fraction: Fraction) -> bool {
        self.polarity < fraction.get()
    }
}

/// Rates of the cells that fail anew in each access of a chip.
#[derive(Clone, Debug, PartialEq)]
pub struct TransientRates {
    /// One rate per column, or one for all, of each bank.
    banks: Vec<Vec<f64>>,
    cells: u64,
}

/// One simulated chip: the same silicon at every voltage and for every network.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chip {
    seed: Seed,
    id: ChipId,
    array: ArraySpec,
}

impl Chip {
    /// Chip number `id` of a seed.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the array is wrong, see [`ArraySpec::check`].
    pub fn new(seed: Seed, id: ChipId, array: ArraySpec) -> Result<Self> {
        array.check()?;
        Ok(Self { seed, id, array })
    }

    /// Number of the chip.
    pub fn id(&self) -> ChipId {
        self.id
    }

    /// Its array.
    pub fn array(&self) -> &ArraySpec {
        &self.array
    }

    /// The cells that fail at bit error rate `ber` among the first `cells` addresses, by address.
    ///
    /// None at 0, all at 1; at a higher rate the same ones and more; with more cells the same ones
    /// and more. Each cell fails with probability `ber`, correlated or not.
    pub fn failing_cells(&self, ber: Ber, cells: u64) -> Vec<FailingCell> {
        if ber == Ber::ZERO {
            return Vec::new();
        }
        self.draw(cells, None, |bank| {
            self.column_rates(ber.get(), bank).into()
        })
    }

    /// The cells that fail in every access where `fraction` of the bit error rate `ber` is persistent.
    pub fn persistent_cells(&self, ber: Ber, fraction: Fraction, cells: u64) -> Vec<FailingCell> {
        match ber.get() * fraction.get() {
            0.0 => Vec::new(),
            // a product of two numbers up to 1 is one
            rate => self.draw(cells, None, |bank| self.column_rates(rate, bank).into()),
        }
    }

    /// The rates at which the cells of the first `cells` addresses fail in each access beside the persistent ones,
    /// by bank and column: together each cell fails with probability `ber`. See the head of this file.
    pub fn transient_rates(&self, ber: Ber, fraction: Fraction, cells: u64) -> TransientRates {
        if ber == Ber::ZERO || fraction.get() == 1.0 {
            return TransientRates {
                banks: Vec::new(),
                cells: 0,
            };
        }
        let persistent_rate = ber.get() * fraction.get();
        let of_bank = |bank| {
            let all = self.column_rates(ber.get(), bank);
            if persistent_rate == 0.0 {
                return all;
            }
            let persistent = self.column_rates(persistent_rate, bank);
            let rest = |(all, persistent): (&f64, &f64)| match persistent {
                // a column that always fails has nothing left
                p if *p >= 1.0 => 0.0,
                p => ((all - p) / (1.0 - p)).clamp(0.0, 1.0),
            };
            all.iter().zip(&persistent).map(rest).collect()
        };
        TransientRates {
            banks: (0..self.array.banks(cells)).map(of_bank).collect(),
            cells,
        }
    }

    /// The cells that fail in access number `access` at these rates; it may name persistent ones again.
    pub fn transient_cells(&self, rates: &TransientRates, access: u64) -> Vec<FailingCell> {
        self.draw(rates.cells, Some(access), |bank| {
            Cow::Borrowed(&rates.banks[bank as usize])
        })
    }

    /// The cells whose threshold, of the chip or of one access, lies below their column's rate.
    fn draw<'a>(
        &self,
        cells: u64,
        access: Option<u64>,
        rates: impl Fn(u64) -> Cow<'a, [f64]>,
    ) -> Vec<FailingCell> {
        let (mut failing, mut hits) = (Vec::new(), Hits::default());
        let (size, banks) = (self.array.bank_cells(), self.array.banks(cells));
        for bank in 0..banks {
            let start = bank * size;
            let draw = Draw {
                chip: self,
                bank,
                access,
                rates: rates(bank),
                cells: size.min(cells - start),
            };
            draw.hits(&mut hits);
            if bank == 0 {
                let alike = hits.deepest.len() as u64 * banks;
                failing.reserve(alike.min(MOST_RESERVED) as usize);
            }
            failing.extend(hits.deepest.iter().map(|cell| FailingCell {
                address: start + cell.address,
                ..*cell
            }));
        }
        failing
    }

    /// Rate at which the cells of each column of a bank fail given the weakness `m` of column and
    /// bank, `Φ((Φ⁻¹(p) - m) / √(1 - ρ_col))` with `m = √ρ_bank·z_bank + √(ρ_col - ρ_bank)·z_col`;
    /// its mean over `z` is `p`. One common rate where cells are independent.
    fn column_rates(&self, p: f64, bank: u64) -> Vec<f64> {
        let (column, common) = (self.array.column_correlation, self.array.bank_correlation);
        if self.array.is_independent() {
            return vec![p];
        }
        if p >= 1.0 {
            return vec![1.0; self.array.columns as usize];
        }
        let key = [u64::from(self.id.0), bank];
        let bank_part = common.sqrt() * self.seed.stream(Purpose::Banks, &key).normal();
        let mut weakness = self.seed.stream(Purpose::Columns, &key);
        let threshold = probit(p);
        (0..self.array.columns)
            .map(|_| bank_part + (column - common).sqrt() * weakness.normal())
            .map(|m| normal_cdf((threshold - m) / (1.0 - column).sqrt()))
            .collect()
    }
}

/// Drawing one bank of a chip at the rates of its columns.
struct Draw<'a> {
    chip: &'a Chip,
    bank: u64,
    /// `None` for the chip's own thresholds.
    access: Option<u64>,
    /// One rate per column, or one for all.
    rates: Cow<'a, [f64]>,
    /// Cells of the bank that are asked for.
    cells: u64,
}

/// Hits of a bank below their column's rate; its room serves bank after bank.
#[derive(Default)]
struct Hits {
    /// Each cell's deepest one, by address within the bank: what lies below the rate is its threshold.
    deepest: Vec<FailingCell>,
    /// Those of the octave at hand, which lies above the octaves so far.
    octave: Vec<FailingCell>,
    merged: Vec<FailingCell>,
}

impl Hits {
    fn push(&mut self, address: u64, polarity: f64) {
        self.octave.push(FailingCell { address, polarity });
    }

    /// Puts the octave at hand, by rising address, among the deeper ones; cells that these hit stay as they are.
    fn merge(&mut self) {
        let (deepest, octave) = (&self.deepest, &self.octave);
        let (mut deeper, mut own) = (0, 0);
        self.merged.clear();
        while deeper < deepest.len() && own < octave.len() {
            let (first, second) = (&deepest[deeper], &octave[own]);
            // sums in place of branches, which nobody could foretell
            let (is_first, is_second) = (
                first.address <= second.address,
                second.address <= first.address,
            );
            self.merged.push(if is_first { *first } else { *second });
            deeper += usize::from(is_first);
            own += usize::from(is_second);
        }
        self.merged.extend_from_slice(&deepest[deeper..]);
        self.merged.extend_from_slice(&octave[own..]);
        self.octave.clear();
        std::mem::swap(&mut self.deepest, &mut self.merged);
    }
}

impl Draw<'_> {
    /// Hits below their column's rate, in place of those of another bank.
    fn hits(&self, hits: &mut Hits) {
        let greatest = self.rates.iter().copied().fold(0.0, f64::max);
        hits.deepest.clear();
        for octave in (0..=LAST_OCTAVE)
            .rev()
            .take_while(|&k| reach(greatest, k) > 0.0)
        {
            if has_column_blocks(&self.chip.array, octave) {
                self.hits_by_column(octave, hits);
                // no cell is there twice
                hits.octave.sort_unstable_by_key(|cell| cell.address);
            } else {
                self.hits_of_bank(octave, hits);
            }
            if !hits.octave.is_empty() {
                hits.merge();
            }
        }
    }

    /// The bank as one block, cells in the order of their addresses.
    fn hits_of_bank(&self, octave: u32, hits: &mut Hits) {
        let mut stream = self.stream(0, octave);
        if let [rate] = *self.rates {
            let reach = reach(rate, octave);
            return scan(
                &mut stream,
                octave,
                self.cells,
                |address, place, polarity| {
                    if place < reach {
                        hits.push(address, polarity);
                    }
                },
            );
        }
        let reaches: Vec<f64> = self.rates.iter().map(|&p| reach(p, octave)).collect();
        let columns = reaches.len() as u64;
        scan(
            &mut stream,
            octave,
            self.cells,
            |address, place, polarity| {
                if place < reaches[(address % columns) as usize] {
                    hits.push(address, polarity);
                }
            },
        );
    }

    /// Each column as one block, cells in the order of their rows: columns that need not be read
    /// in this octave cost nothing.
    fn hits_by_column(&self, octave: u32, hits: &mut Hits) {
        let columns = u64::from(self.chip.array.columns);
        for (column, &rate) in (0u64..).zip(self.rates.iter()) {
            let reach = reach(rate, octave);
            if reach <= 0.0 || column >= self.cells {
                continue;
            }
            let rows = (self.cells - column).div_ceil(columns);
            scan(
                &mut self.stream(column + 1, octave),
                octave,
                rows,
                |row, place, polarity| {
                    if place < reach {
                        hits.push(row * columns + column, polarity);
                    }
                },
            );
        }
    }

    /// Block 0 is the whole bank, block `1 + column` a column.
    fn stream(&self, block: u64, octave: u32) -> Stream {
        let (chip, octave) = (u64::from(self.chip.id.0), u64::from(octave));
        match self.access {
            None => self
                .chip
                .seed
                .stream(Purpose::Cells, &[chip, self.bank, block, octave]),
            Some(access) => self
                .chip
                .seed
                .stream(Purpose::Accesses, &[chip, access, self.bank, block, octave]),
        }
    }
}

/// True where columns differ and the octave hits them often enough for streams of their own. It
/// depends on nothing but the array, or else a chip would depend on the rate.
fn has_column_blocks(array: &ArraySpec, octave: u32) -> bool {
    !array.is_independent() && u64::from(array.rows) >= HITS_PER_COLUMN << (octave + 1)
}

/// Probability that an octave hits a cell.
fn hit_rate(octave: u32) -> f64 {
    if octave == LAST_OCTAVE {
        0.5f64.powi(LAST_OCTAVE as i32)
    } else {
        1.0 / ((1u64 << (octave + 1)) - 1) as f64
    }
}

/// How far rate `p` reaches into an octave, as a fraction of the octave's width: 0 or less where it ends
/// below, 1 or more where it covers it. Free of rounding: powers of two, and a difference within a
/// factor of two.
fn reach(p: f64, octave: u32) -> f64 {
    if octave == LAST_OCTAVE {
        p * (1u64 << LAST_OCTAVE) as f64
    } else {
        p * (1u64 << (octave + 1)) as f64 - 1.0
    }
}

/// Draws the hits among `cells` cells: index, place within the octave in [0, 1), polarity.
#[inline(always)] // one loop for each use: a call for each hit would take longer than the rest of it
fn scan(stream: &mut Stream, octave: u32, cells: u64, mut hit: impl FnMut(u64, f64, f64)) {
    let skips = Skips::of(hit_rate(octave));
    let mut cell = stream.skip_by(skips);
    while cell < cells {
        let (place, polarity) = (stream.uniform(), stream.uniform());
        hit(cell, place, polarity);
        cell = cell.saturating_add(1).saturating_add(stream.skip_by(skips));
    }
}

#[cfg(test)]
mod tests;
