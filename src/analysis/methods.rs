//! Mean accuracy of methods at each setting, over their trainings and chips: rows, and the table of them.

use super::row::{interval, Summary};
use super::settings::{by_setting, Crossed, Setting, Trainings};
use crate::error::Result;
use crate::quant::MethodLabel;
use crate::stats::{self, Interval};
use crate::sweep::TrialRow;
use crate::table::{Columns, Record, FINITE, FRACTION, FROM_ZERO};

/// A method at a setting.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MethodMean {
    /// Where.
    pub setting: Setting,
    /// The method.
    pub method: MethodLabel,
    /// Its trainings.
    pub trainings: u64,
    /// Chips that they share.
    pub chips: u64,
    /// Energy of the weight memory, relative to 8 bits at the error-free voltage.
    pub energy_relative: f64,
    /// Mean accuracy without faults, over trainings.
    pub clean: f64,
    /// Mean accuracy over trainings and chips.
    pub mean: f64,
    /// Standard deviation of the trainings' means; `None` for one.
    pub trainings_std: Option<f64>,
    /// 95 % interval of the mean of these trainings: Student's over chips, the choice of images included.
    pub student: Option<Interval>,
    /// 95 % interval of the mean of the method, trainings as a random effect; `None` for one training. See
    /// [`stats::two_way_half_width`].
    pub of_trainings: Option<Interval>,
}

/// The mean of every method at every setting with one voltage. A training seed with two models of a method at one
/// setting is left out.
///
/// # Errors
/// As [`summarize`](super::summarize) for trials that do not go with the summaries.
pub fn method_means(summaries: &[Summary], trials: &[TrialRow]) -> Result<Vec<MethodMean>> {
    let mut rows = Vec::new();
    for (setting, methods) in by_setting(summaries, trials)? {
        rows.extend(
            methods
                .into_iter()
                .filter_map(|(method, trainings)| mean(&setting, method, &trainings)),
        );
    }
    Ok(rows)
}

/// That of one method; `None` without a training.
pub(super) fn mean(
    setting: &Setting,
    method: MethodLabel,
    trainings: &Trainings<'_>,
) -> Option<MethodMean> {
    let known: Vec<_> = trainings.values().flatten().collect();
    let chips = known.iter().map(|own| own.accuracies.len()).min()?;
    let rows: Vec<Vec<f64>> = known
        .iter()
        .map(|own| own.accuracies[..chips].to_vec())
        .collect();
    let crossed = Crossed::new(&rows, known.iter().filter_map(|own| own.caution));
    let middle = stats::mean(&crossed.chips)?;
    let first = known.first()?.summary;
    let images = first.image_sample().variance(middle);
    let clean: Vec<f64> = known
        .iter()
        .map(|own| own.summary.design.clean_accuracy.get())
        .collect();
    Some(MethodMean {
        setting: setting.clone(),
        method,
        trainings: known.len() as u64,
        chips: chips as u64,
        energy_relative: first.design.energy_relative,
        clean: stats::mean(&clean)?,
        mean: middle,
        trainings_std: crossed.trainings_std(),
        student: crossed.student(middle, images),
        of_trainings: crossed.of_trainings(middle, images),
    })
}

impl Record for MethodMean {
    const WHAT: &'static str = "a table of methods; a finished sweep writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        self.setting.columns(c)?;
        c.column("method", &mut self.method)?;
        c.column("trainings", &mut self.trainings)?;
        c.column("chips", &mut self.chips)?;
        c.number("energy_relative", FROM_ZERO, &mut self.energy_relative)?;
        c.number("clean_accuracy", FRACTION, &mut self.clean)?;
        c.number("mean", FRACTION, &mut self.mean)?;
        c.number("trainings_std", FRACTION, &mut self.trainings_std)?;
        interval(c, ["ci_low", "ci_high"], FINITE, &mut self.student)?;
        interval(c, TRAININGS_ENDS, FINITE, &mut self.of_trainings)
    }
}

/// Columns of the interval with trainings as a random effect.
pub(super) const TRAININGS_ENDS: [&str; 2] = ["trainings_low", "trainings_high"];

#[cfg(test)]
mod tests {
    use super::super::summary::{summarize, FloorSpec};
    use super::super::tests::{design, trials};
    use super::*;
    use crate::seed::Seed;
    use crate::sweep::{Design, StoppedBy, TrialRow};

    #[test]
    fn trainings_are_averaged_and_their_spread_widens_the_interval_of_the_method() {
        let trained = |name: &str, seed| Design {
            training_seed: Some(seed),
            ..design(name, "wcat", 0.8)
        };
        let points = [
            (trained("a", 1), [900, 902, 898]),
            (trained("b", 2), [800, 802, 798]),
        ];
        let designs: Vec<Design> = points.iter().map(|(design, _)| design.clone()).collect();
        let trials: Vec<TrialRow> = points
            .iter()
            .flat_map(|(design, correct)| trials(design, 1000, correct))
            .collect();
        let summaries = summarize(
            &designs,
            &trials,
            FloorSpec::default(),
            StoppedBy::Chips,
            1000,
            Seed(1),
        )
        .unwrap();
        let rows = method_means(&summaries, &trials).unwrap();
        let [row] = rows.as_slice() else {
            panic!("{rows:?}")
        };
        assert_eq!((row.trainings, row.chips), (2, 3));
        assert!((row.mean - 0.85).abs() < 1e-12);
        // deviation of 0.9 and 0.8
        assert!((row.trainings_std.unwrap() - 0.0707107).abs() < 1e-6);
        let (these, method) = (row.student.unwrap(), row.of_trainings.unwrap());
        assert!(
            these.high - these.low < 0.02 && method.high - method.low > 1.0,
            "{row:?}"
        );
        assert!(crate::table::csv_string(&rows)
            .unwrap()
            .contains(",wcat,2,3,"));
    }
}
