//! Failing cells counted over the chips of a design point, beside the bit error rate that they were drawn at.

use super::row::Summary;
use crate::fault::{ArrayLabel, Protection};
use crate::stats::{self, Interval};
use crate::sweep::TrialRow;
use std::collections::BTreeMap;

/// Bit error rate of a design point as drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultCount {
    /// Name of the model.
    pub model: String,
    /// Protection of its codes.
    pub protection: Protection,
    /// Array of the memory.
    pub array: ArrayLabel,
    /// Supply voltage with its unit's symbol.
    pub voltage: (f64, &'static str),
    /// Bit error rate that the cells were drawn at.
    pub ber: f64,
    /// Cells read over all chips and accesses.
    pub cells: u64,
    /// Failing ones among them.
    pub failing: u64,
    /// Chips.
    pub chips: u64,
    /// 95 % interval of the rate, from the count alone.
    pub interval: Interval,
}

impl FaultCount {
    /// Failing cells over cells.
    pub fn rate(&self) -> f64 {
        self.failing as f64 / self.cells as f64
    }

    /// True where the interval holds the rate that the cells were drawn at.
    pub fn holds(&self) -> bool {
        self.interval.low <= self.ber && self.ber <= self.interval.high
    }
}

/// What the cells of a design point are counted under: model and protection.
pub fn cells_key(model: &str, protection: Protection) -> String {
    format!("{model}+{protection}")
}

/// Counts of the design points whose number of `cells` is known by [`cells_key`], below the error-free voltage.
///
/// `accesses` tells how often each trial read its cells: where faults are transient, the faults of a trial are those of
/// all its accesses. Where cells are independent the interval is Wilson's for the whole
/// count. Where columns are correlated, chips are independent but cells are not: it is Student's over chips, widened to
/// Wilson's where few cells fail. Transient faults are counted over chips too.
pub fn fault_counts(
    summaries: &[Summary],
    trials: &[TrialRow],
    cells: &BTreeMap<String, u64>,
    accesses: u64,
) -> Vec<FaultCount> {
    let mut failing: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for trial in trials {
        failing
            .entry(&trial.design_id)
            .or_default()
            .push(trial.faults);
    }
    let count = |summary: &Summary| {
        let design = &summary.design;
        let chips = failing.get(design.design_id.as_str())?;
        let own = cells
            .get(&cells_key(&design.model, design.protection))?
            .checked_mul(accesses)?;
        let (voltage, ber) = design.voltage.zip(design.ber.filter(|ber| *ber > 0.0))?;
        let all = own.checked_mul(chips.len() as u64).filter(|all| *all > 0)?;
        let failing: u64 = chips.iter().sum();
        let exact = stats::wilson(failing, all);
        let interval = match design.array {
            ArrayLabel::Independent if accesses == 1 => exact,
            _ => over_chips(chips, own, exact),
        };
        Some(FaultCount {
            model: design.model.clone(),
            protection: design.protection,
            array: design.array.clone(),
            voltage: (voltage, design.voltage_unit.symbol()),
            ber,
            cells: all,
            failing,
            chips: chips.len() as u64,
            interval,
        })
    };
    let mut counts: Vec<FaultCount> = Vec::new();
    for own in summaries.iter().filter_map(count) {
        // beside several voltages of activations the same cells fail
        let is_known = counts.iter().any(|known| {
            (&known.model, known.protection, &known.array, known.voltage)
                == (&own.model, own.protection, &own.array, own.voltage)
        });
        if !is_known {
            counts.push(own);
        }
    }
    counts
}

/// Student's interval of the mean rate over chips of `cells` cells, not narrower than `least`.
fn over_chips(failing: &[u64], cells: u64, least: Interval) -> Interval {
    let rates: Vec<f64> = failing
        .iter()
        .map(|failing| *failing as f64 / cells as f64)
        .collect();
    let half = stats::standard_deviation(&rates)
        .and_then(|std| stats::mean_half_width(std, rates.len(), 0.0));
    match (stats::mean(&rates), half) {
        (Some(mean), Some(half)) => Interval {
            low: (mean - half).min(least.low).max(0.0),
            high: (mean + half).max(least.high).min(1.0),
        },
        _ => least,
    }
}

#[cfg(test)]
mod tests {
    use super::super::summary::{summarize, FloorSpec};
    use super::super::tests::{design, trials};
    use super::*;
    use crate::seed::Seed;
    use crate::sweep::StoppedBy;

    fn counts(array: &str, faults: &[u64], accesses: u64) -> Vec<FaultCount> {
        let mut design = design("m", "wcat", 0.8);
        (design.array, design.ber) = (array.parse().unwrap(), Some(0.01));
        let mut trials = trials(&design, 100, &vec![90; faults.len()]);
        trials
            .iter_mut()
            .zip(faults)
            .for_each(|(trial, faults)| trial.faults = *faults);
        let summaries = summarize(
            &[design],
            &trials,
            FloorSpec::default(),
            StoppedBy::Chips,
            100,
            Seed(1),
        )
        .unwrap();
        fault_counts(
            &summaries,
            &trials,
            &BTreeMap::from([("m+none".to_owned(), 1000)]),
            accesses,
        )
    }

    #[test]
    fn independent_cells_have_the_interval_of_their_count() {
        let found = counts("independent", &[8, 12, 10, 14], 1).remove(0);
        assert_eq!(
            (found.cells, found.failing, found.rate()),
            (4000, 44, 0.011)
        );
        let exact = stats::wilson(44, 4000);
        assert!(found.interval == exact && found.holds());
        // the same count over ten accesses is a tenth of the rate
        let tenth = counts("independent", &[8, 12, 10, 14], 10).remove(0);
        assert!((tenth.rate() - 0.0011).abs() < 1e-12 && !tenth.holds());
    }

    #[test]
    fn correlated_cells_have_the_interval_over_chips() {
        let found = counts("column 0.5 bank 0", &[0, 40, 2, 2], 1).remove(0);
        assert!(
            found.interval.low == 0.0 && found.interval.high > 0.03,
            "{found:?}"
        );
        let few = counts("column 0.5 bank 0", &[0, 0, 0, 0], 1).remove(0);
        assert_eq!(few.interval, stats::wilson(0, 4000));
    }
}
