//! The tables of attacks: every flip, what became of each attack, and the attacks on a model taken together.

use super::row::{AttackRow, AttackUnit, Flip, Stop};
use crate::error::Result;
use crate::stats;
use crate::table::{words, Columns, Record, FRACTION, FROM_ZERO};

/// Who chose the flips.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flipper {
    /// The progressive bit search.
    #[default]
    BitSearch,
    /// Chance.
    Random,
}

words!(Flipper: BitSearch "bit_search", Random "random");

/// One flip of one attack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FlipRow {
    /// Name of the model.
    pub model: String,
    /// Number of the attack on it, from 0.
    pub restart: u32,
    /// Who chose the bit.
    pub attack: Flipper,
    /// The flip.
    pub flip: Flip,
}

impl FlipRow {
    /// The flips of an attack, those of the search first.
    pub fn of(unit: &AttackUnit) -> Vec<Self> {
        let (model, restart) = (&unit.row.model, unit.row.restart);
        let row = |attack| {
            move |flip: &Flip| Self {
                model: model.clone(),
                restart,
                attack,
                flip: flip.clone(),
            }
        };
        let search = unit.search.iter().map(row(Flipper::BitSearch));
        search
            .chain(unit.random.iter().map(row(Flipper::Random)))
            .collect()
    }
}

/// The attacks on one model taken together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttackSummary {
    /// The first of them: what all have in common.
    pub first: AttackRow,
    /// Attacks.
    pub restarts: u64,
    /// Those that brought the accuracy down to the target.
    pub reached: u64,
    /// Mean number of flips; attacks that did not reach the target count with those that they made, so that it is a
    /// lower bound of the number needed where `reached` is less than `restarts`.
    pub flips_mean: f64,
    /// Their standard deviation, divisor n-1; `None` for one attack.
    pub flips_std: Option<f64>,
    /// Fewest flips of an attack.
    pub flips_min: u64,
    /// Median.
    pub flips_median: f64,
    /// Most.
    pub flips_max: u64,
    /// Mean accuracy without flips.
    pub clean_mean: f64,
    /// Mean accuracy in the end.
    pub accuracy_mean: f64,
    /// Standard deviation of the accuracy in the end.
    pub accuracy_std: Option<f64>,
    /// Mean accuracy after as many random flips.
    pub random_mean: f64,
    /// Standard deviation of that.
    pub random_std: Option<f64>,
}

/// Takes the attacks on each model together; models in order of their first row.
pub fn summarize_attacks(attacks: &[AttackRow]) -> Vec<AttackSummary> {
    let mut models: Vec<&str> = Vec::new();
    for attack in attacks {
        if !models.contains(&attack.model.as_str()) {
            models.push(&attack.model);
        }
    }
    models
        .into_iter()
        .filter_map(|model| summary(attacks, model))
        .collect()
}

fn summary(attacks: &[AttackRow], model: &str) -> Option<AttackSummary> {
    let rows: Vec<&AttackRow> = attacks.iter().filter(|row| row.model == model).collect();
    let of =
        |value: fn(&AttackRow) -> f64| -> Vec<f64> { rows.iter().map(|row| value(row)).collect() };
    let flips = stats::sorted(&of(|row| row.flips as f64));
    let (accuracy, random) = (of(|row| row.accuracy), of(|row| row.random_accuracy));
    Some(AttackSummary {
        first: (*rows.first()?).clone(),
        restarts: rows.len() as u64,
        reached: rows
            .iter()
            .filter(|row| row.stopped_by == Stop::Accuracy)
            .count() as u64,
        flips_mean: stats::mean(&flips)?,
        flips_std: stats::standard_deviation(&flips),
        flips_min: rows.iter().map(|row| row.flips).min()?,
        flips_median: stats::quantile(&flips, 0.5)?,
        flips_max: rows.iter().map(|row| row.flips).max()?,
        clean_mean: stats::mean(&of(|row| row.clean_accuracy))?,
        accuracy_mean: stats::mean(&accuracy)?,
        accuracy_std: stats::standard_deviation(&accuracy),
        random_mean: stats::mean(&random)?,
        random_std: stats::standard_deviation(&random),
    })
}

impl Record for FlipRow {
    const WHAT: &'static str = "a table of flips; a finished attack writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        let flip = &mut self.flip;
        c.column("model", &mut self.model)?;
        c.column("restart", &mut self.restart)?;
        c.column("attack", &mut self.attack)?;
        c.column("step", &mut flip.step)?;
        c.column("flip", &mut flip.flip)?;
        c.column("layer", &mut flip.layer)?;
        c.column("weight", &mut flip.weight)?;
        c.column("bit", &mut flip.bit)?;
        c.column("old_code", &mut flip.old_code)?;
        c.column("new_code", &mut flip.new_code)?;
        c.number("loss_before", FROM_ZERO, &mut flip.loss_before)?;
        c.number("loss_after", FROM_ZERO, &mut flip.loss_after)?;
        c.number("accuracy", FRACTION, &mut flip.accuracy)
    }
}

impl AttackRow {
    /// What is attacked and how, in both tables of attacks.
    fn keys(&mut self, c: &mut impl Columns) -> Result<()> {
        c.column("model", &mut self.model)?;
        c.column("architecture", &mut self.architecture)?;
        c.column("dataset", &mut self.dataset)?;
        c.since(5, "metric", &mut self.metric)?;
        c.column("method", &mut self.method)?;
        c.column("bits", &mut self.bits)?;
        c.column("training_seed", &mut self.training_seed)?;
        c.column("attack_data", &mut self.attack_data)?;
        c.column("batch", &mut self.batch)?;
        c.column("k_top", &mut self.k_top)?;
        c.column("images", &mut self.images)?;
        c.column("most_flips", &mut self.most_flips)?;
        c.number("target", FRACTION, &mut self.target)
    }
}

impl Record for AttackRow {
    const WHAT: &'static str = "a table of attacks; a finished attack writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        self.keys(c)?;
        c.column("restart", &mut self.restart)?;
        c.number("clean_accuracy", FRACTION, &mut self.clean_accuracy)?;
        c.number("clean_loss", FROM_ZERO, &mut self.clean_loss)?;
        c.column("flips", &mut self.flips)?;
        c.column("hamming", &mut self.hamming)?;
        c.number("accuracy", FRACTION, &mut self.accuracy)?;
        c.number("loss", FROM_ZERO, &mut self.loss)?;
        c.column("stopped_by", &mut self.stopped_by)?;
        c.number("random_accuracy", FRACTION, &mut self.random_accuracy)?;
        c.since(4, "not_finite", &mut self.not_finite)
    }

    fn check<C: Columns>(&self, c: &C) -> Result<()> {
        if self.hamming > self.flips {
            let expected = format!("at most the {} of `flips`", self.flips);
            return Err(c.wrong("hamming", expected, self.hamming.to_string()));
        }
        Ok(())
    }
}

impl Record for AttackSummary {
    const WHAT: &'static str = "a summary of attacks; a finished attack writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        self.first.keys(c)?;
        c.column("restarts", &mut self.restarts)?;
        c.column("reached", &mut self.reached)?;
        c.number("flips_mean", FROM_ZERO, &mut self.flips_mean)?;
        c.number("flips_std", FROM_ZERO, &mut self.flips_std)?;
        c.column("flips_min", &mut self.flips_min)?;
        c.number("flips_median", FROM_ZERO, &mut self.flips_median)?;
        c.column("flips_max", &mut self.flips_max)?;
        c.number("clean_mean", FRACTION, &mut self.clean_mean)?;
        c.number("accuracy_mean", FRACTION, &mut self.accuracy_mean)?;
        c.number("accuracy_std", FROM_ZERO, &mut self.accuracy_std)?;
        c.number("random_mean", FRACTION, &mut self.random_mean)?;
        c.number("random_std", FROM_ZERO, &mut self.random_std)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::data::Split;
    use crate::table;
    use crate::units::{Bits, Metric};

    /// An attack of `accuracies.len()` flips, each one step.
    pub(crate) fn unit(
        model: &str,
        restart: u32,
        accuracies: &[f64],
        stopped_by: Stop,
    ) -> AttackUnit {
        let flip = |(i, accuracy): (usize, &f64)| Flip {
            step: i as u64 + 1,
            flip: i as u64 + 1,
            layer: "fc3".into(),
            weight: 7 * i as u64,
            bit: 3,
            old_code: 2,
            new_code: -6,
            loss_before: Some(0.1 * i as f64),
            loss_after: Some(0.1 * (i + 1) as f64),
            accuracy: Some(*accuracy),
        };
        let search: Vec<Flip> = accuracies.iter().enumerate().map(flip).collect();
        let mut random = search.clone();
        for flip in &mut random {
            flip.accuracy = Some(0.98 - 0.001 * flip.flip as f64);
            flip.loss_after = None;
        }
        let row = AttackRow {
            model: model.into(),
            architecture: "lenet5".into(),
            dataset: "MNIST".into(),
            metric: Metric::Top1,
            method: model.parse().unwrap_or_default(),
            bits: Bits::new(4).unwrap(),
            training_seed: None,
            restart,
            attack_data: Split::Training,
            batch: 128,
            k_top: 100,
            images: 1000,
            most_flips: 100,
            target: 0.1,
            clean_accuracy: 0.98,
            clean_loss: 0.0,
            flips: search.len() as u64,
            hamming: search.len() as u64,
            accuracy: accuracies.last().copied().unwrap_or(0.98),
            loss: 0.1 * search.len() as f64,
            stopped_by,
            random_accuracy: random.last().and_then(|flip| flip.accuracy).unwrap_or(0.98),
            not_finite: Some(1),
        };
        AttackUnit {
            row,
            search,
            random,
        }
    }

    #[test]
    fn flips_and_attacks_read_back_from_both_kinds_of_file() {
        let folder = tempfile::tempdir().unwrap();
        let units = [
            unit("wcat", 0, &[0.9, 0.5], Stop::Flips),
            unit("wcat", 1, &[], Stop::Stuck),
        ];
        let mut flips: Vec<FlipRow> = units.iter().flat_map(FlipRow::of).collect();
        flips[0].flip.accuracy = None;
        let attacks: Vec<AttackRow> = units.iter().map(|unit| unit.row.clone()).collect();
        for ending in ["csv", "parquet"] {
            let path = folder.path().join(format!("flips.{ending}"));
            table::write(&path, &flips).unwrap();
            assert_eq!(table::read::<FlipRow>(&path).unwrap(), flips);
            let path = folder.path().join(format!("attacks.{ending}"));
            table::write(&path, &attacks).unwrap();
            assert_eq!(table::read::<AttackRow>(&path).unwrap(), attacks);
        }
        let csv = std::fs::read_to_string(folder.path().join("flips.csv")).unwrap();
        assert!(
            csv.lines()
                .nth(1)
                .unwrap()
                .ends_with(",fc3,0,3,2,-6,0.0,0.1,"),
            "{csv}"
        );
    }

    #[test]
    fn a_summary_counts_who_reached_the_target_and_has_the_deviation_of_a_sample() {
        let units = [
            unit("normal", 0, &[0.5, 0.1], Stop::Accuracy),
            unit("wcat", 0, &[0.7], Stop::Stuck),
            unit("normal", 1, &[0.5, 0.3, 0.2, 0.1], Stop::Accuracy),
            unit("normal", 2, &[0.9; 6], Stop::Flips),
        ];
        let attacks: Vec<AttackRow> = units.iter().map(|unit| unit.row.clone()).collect();
        let all = summarize_attacks(&attacks);
        assert_eq!(
            all.iter()
                .map(|s| s.first.model.as_str())
                .collect::<Vec<_>>(),
            ["normal", "wcat"]
        );
        let normal = &all[0];
        assert_eq!((normal.restarts, normal.reached), (3, 2));
        assert_eq!(
            (normal.flips_min, normal.flips_median, normal.flips_max),
            (2, 4.0, 6)
        );
        assert_eq!((normal.flips_mean, normal.flips_std), (4.0, Some(2.0)));
        assert_eq!((all[1].reached, all[1].flips_std), (0, None));
        let json = table::json(&all).unwrap();
        assert!(json[1]["flips_std"].is_null() && json[0]["flips_std"] == 2.0);
        assert!(table::csv_string(&all)
            .unwrap()
            .starts_with("schema,model,"));
        assert!(summarize_attacks(&[]).is_empty());
    }
}
