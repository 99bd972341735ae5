//! What is lost where faults reach one part of a network alone: a layer, a bit plane, both together, or all of it.

use super::search::{CHIPS, IMAGES};
use super::{Candidate, Phase};
use crate::error::Result;
use crate::stats::{
    accuracy, even_images, plan_images, Difference, Interval, StratifiedComponents,
    StratifiedModel, Stratum,
};
use crate::table::{words, Columns, Record, RATE, VOLTAGE};
use crate::units::VoltageUnit;
use std::ops::Range;

/// Half-width of the 95 % intervals that is wanted: 0.3 points. What is surely below it is not told from nothing.
pub const PART_HALF_WIDTH: f64 = 0.003;
/// What of it chips and images are planned for: the plan knows variances of a pilot alone.
const PLANNED: f64 = 0.9 * PART_HALF_WIDTH;
/// Confidence of each end of an interval.
const CONFIDENCE: f64 = 0.975;

/// Chips of a phase with faults in one part, each seen through so many images of each stratum.
pub type SeePart<'a> = dyn FnMut(Phase, Range<u32>, &[u64]) -> Result<Vec<Vec<Stratum>>> + 'a;

/// What a part is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartKind {
    /// All of the network.
    #[default]
    All,
    /// A stored layer.
    Layer,
    /// A bit plane of all codes.
    BitPlane,
    /// A bit plane of a layer.
    LayerBitPlane,
}

words!(PartKind: All "all", Layer "layer", BitPlane "bit_plane", LayerBitPlane "layer_bit_plane");

/// The loss with faults in one part alone, unprotected, on the same chips as every other part. Losses are fractions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartLoss {
    /// The model.
    pub model: String,
    /// What the part is.
    pub kind: PartKind,
    /// Its name, such as `conv1`, `plane0` (the most significant) or `conv1/plane0`.
    pub part: String,
    /// The voltage.
    pub voltage: f64,
    /// Its unit.
    pub voltage_unit: VoltageUnit,
    /// Bit error rate of the cells of the part.
    pub ber: f64,
    /// Mean loss over chips.
    pub loss: f64,
    /// Lower end of its 95 % interval.
    pub loss_low: f64,
    /// Upper end.
    pub loss_high: f64,
    /// One more than the parts of the same kind, at the same voltage, whose interval lies above this one; of `all` none.
    pub rank: Option<u64>,
    /// Chips.
    pub chips: u64,
    /// Evaluations of an image.
    pub evaluations: u64,
}

impl PartLoss {
    /// The loss of a part on chips of a candidate, from at most about so many evaluations of an image: a pilot, then as
    /// many chips and images as it says that the half-width takes.
    ///
    /// # Errors
    /// What `see` returns.
    pub fn estimate(candidate: &Candidate, most: u64, see: &mut SeePart<'_>) -> Result<Self> {
        let images = even_images(std::slice::from_ref(&candidate.strata), IMAGES).concat();
        let pilot = see(Phase::Search, 0..CHIPS, &images)?;
        let mut evaluations = u64::from(CHIPS) * images.iter().sum::<u64>();
        let components = StratifiedComponents::of(&pilot);
        let model = StratifiedModel {
            sizes: candidate.strata.clone(),
            designs: components.into_iter().collect(),
        };
        let pilot_chips = u64::from(CHIPS);
        let plan = plan_images(&[model], pilot_chips, candidate.chip_cost, PLANNED);
        let images = plan.images.concat();
        let of_chip = images.iter().sum::<u64>().max(1);
        let affordable = most.saturating_sub(evaluations) / of_chip;
        let chips = plan.chips.min(affordable.max(pilot_chips));
        let seen = see(Phase::Check, 0..chips as u32, &images)?;
        evaluations += chips * of_chip;
        let mean = seen.iter().map(|chip| accuracy(chip)).sum::<f64>() / chips as f64;
        let bounds = Difference::bounds_of_strata(&seen, CONFIDENCE);
        let bounds = bounds.unwrap_or(Interval {
            low: 0.0,
            high: 1.0,
        });
        Ok(Self {
            loss: without_rounding(candidate.clean - mean),
            loss_low: without_rounding(candidate.clean - bounds.high),
            loss_high: without_rounding(candidate.clean - bounds.low),
            chips,
            evaluations,
            ..Self::default()
        })
    }

    /// Whether it is too small to be told from nothing.
    pub fn is_negligible(&self) -> bool {
        self.loss_high < PART_HALF_WIDTH
    }

    fn compares_with(&self, other: &Self) -> bool {
        (&self.model, self.kind, self.voltage) == (&other.model, other.kind, other.voltage)
    }
}

/// A difference of sums: where nothing is lost it is 0.
fn without_rounding(x: f64) -> f64 {
    // the sum turns -0 into 0
    (x * 1e12).round() / 1e12 + 0.0
}

/// Gives every part its rank. Parts whose intervals overlap share one where nothing lies above either.
pub fn rank_parts(rows: &mut [PartLoss]) {
    let mut ranks = Vec::with_capacity(rows.len());
    for own in rows.iter() {
        let above = |other: &&PartLoss| own.compares_with(other) && other.loss_low > own.loss_high;
        let above = rows.iter().filter(above).count() as u64;
        ranks.push((own.kind != PartKind::All).then_some(above + 1));
    }
    for (row, rank) in rows.iter_mut().zip(ranks) {
        row.rank = rank;
    }
}

impl Record for PartLoss {
    const WHAT: &'static str =
        "a table of losses of parts; an answer with `--sensitivity` writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        c.column("model", &mut self.model)?;
        c.column("kind", &mut self.kind)?;
        c.column("part", &mut self.part)?;
        c.number("voltage", VOLTAGE, &mut self.voltage)?;
        c.column("voltage_unit", &mut self.voltage_unit)?;
        c.number("ber", RATE, &mut self.ber)?;
        c.column("loss", &mut self.loss)?;
        c.column("loss_low", &mut self.loss_low)?;
        c.column("loss_high", &mut self.loss_high)?;
        c.column("rank", &mut self.rank)?;
        c.column("chips", &mut self.chips)?;
        c.column("evaluations", &mut self.evaluations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use crate::stats::Target;

    fn candidate() -> Candidate {
        Candidate {
            clean: 0.9,
            chance: 0.1,
            strata: vec![1000, 3000, 5000, 1000],
            levels: Vec::new(),
            chip_cost: 20.0,
            target: Target::Mean(0.89),
            known: Vec::new(),
        }
    }

    /// Chips that lose `loss` on average, twice as much or nothing, among the images of the first stratum.
    fn estimate(loss: f64, most: u64, seed: u64) -> PartLoss {
        let mut see = |phase: Phase, chips: Range<u32>, images: &[u64]| {
            let mut all = Vec::new();
            for chip in chips {
                let mut stream = Seed(seed).stream(Purpose::Cells, &[phase as u64, chip.into()]);
                let lost = if stream.chance(0.5) { 20.0 * loss } else { 0.0 };
                let of_stratum = |(place, (&all, &images)): (usize, (&u64, &u64))| Stratum {
                    all,
                    images,
                    correct: match place {
                        0 => (0..images).filter(|_| !stream.chance(lost)).count() as u64,
                        3 => 0,
                        _ => images,
                    },
                };
                let strata = candidate().strata;
                let pairs = strata.iter().zip(images).enumerate();
                all.push(pairs.map(of_stratum).collect());
            }
            Ok(all)
        };
        PartLoss::estimate(&candidate(), most, &mut see).unwrap()
    }

    #[test]
    fn intervals_hold_the_loss_and_are_as_narrow_as_planned() {
        let mut held = 0;
        for seed in 0..40 {
            let part = estimate(0.01, u64::MAX, seed);
            let half_width = (part.loss_high - part.loss_low) / 2.0;
            assert!(half_width < 1.7 * PART_HALF_WIDTH, "{part:?}");
            held += u64::from(part.loss_low <= 0.01 && 0.01 <= part.loss_high);
        }
        assert!(held >= 36, "{held} of 40");
    }

    #[test]
    fn a_part_that_loses_nothing_is_negligible_and_cheap() {
        let part = estimate(0.0, u64::MAX, 1);
        assert!(part.is_negligible(), "{part:?}");
        assert!(part.evaluations < 20_000, "{part:?}");
    }

    #[test]
    fn a_small_budget_makes_wide_intervals() {
        let (narrow, wide) = (estimate(0.02, u64::MAX, 2), estimate(0.02, 3_000, 2));
        assert!(wide.evaluations < narrow.evaluations, "{wide:?} {narrow:?}");
        assert!(wide.loss_high - wide.loss_low > narrow.loss_high - narrow.loss_low);
    }

    #[test]
    fn parts_that_overlap_share_a_rank() {
        let row = |part: &str, loss_low, loss_high| PartLoss {
            kind: PartKind::Layer,
            part: part.to_owned(),
            loss_low,
            loss_high,
            ..PartLoss::default()
        };
        let mut rows = [
            row("a", 0.03, 0.05),
            row("b", 0.01, 0.02),
            row("c", 0.015, 0.025),
            row("d", 0.0, 0.002),
            PartLoss::default(),
        ];
        rank_parts(&mut rows);
        let ranks: Vec<Option<u64>> = rows.iter().map(|row| row.rank).collect();
        assert_eq!(ranks, [Some(1), Some(2), Some(2), Some(4), None]);
    }
}
