//! The tables of attacks: every flip, what became of each attack, and the attacks on a model taken together.

use super::csv::to_csv;
use super::field::{
    count, integer, number, optional_count, optional_number, records, text, Field, FROM_ZERO, SHARE,
};
use super::file::{read, write};
use super::read::Row;
use crate::attack::{AttackRow, AttackUnit, Flip, Stop};
use crate::data::Split;
use crate::error::{Error, Result};
use crate::stats;
use std::path::Path;

/// Who chose the flips.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flipper {
    /// The progressive bit search.
    BitSearch,
    /// Chance.
    Random,
}

impl Flipper {
    const ALL: [Self; 2] = [Self::BitSearch, Self::Random];

    /// The word used in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::BitSearch => "bit_search",
            Self::Random => "random",
        }
    }
}

/// One flip of one attack.
#[derive(Clone, Debug, PartialEq)]
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
#[derive(Clone, Debug, PartialEq)]
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

fn flip_fields() -> Vec<Field<FlipRow>> {
    vec![
        text("model", |f: &FlipRow| &f.model),
        count("restart", |f| f.restart.into()),
        text("attack", |f| f.attack.name()),
        count("step", |f| f.flip.step),
        count("flip", |f| f.flip.flip),
        text("layer", |f| &f.flip.layer),
        count("weight", |f| f.flip.weight),
        count("bit", |f| f.flip.bit.into()),
        integer("old_code", |f| f.flip.old_code.into()),
        integer("new_code", |f| f.flip.new_code.into()),
        optional_number("loss_before", FROM_ZERO, |f| f.flip.loss_before),
        optional_number("loss_after", FROM_ZERO, |f| f.flip.loss_after),
        optional_number("accuracy", SHARE, |f| f.flip.accuracy),
    ]
}

fn flip(row: Row<'_>) -> Result<FlipRow> {
    Ok(FlipRow {
        model: row.text("model")?.to_owned(),
        restart: row.small_count("restart")?,
        attack: row.word("attack", &Flipper::ALL, Flipper::name)?,
        flip: Flip {
            step: row.count("step")?,
            flip: row.count("flip")?,
            layer: row.text("layer")?.to_owned(),
            weight: row.count("weight")?,
            bit: row.small_count("bit")?,
            old_code: row.small_integer("old_code")?,
            new_code: row.small_integer("new_code")?,
            loss_before: row.optional_number("loss_before"),
            loss_after: row.optional_number("loss_after"),
            accuracy: row.optional_number("accuracy"),
        },
    })
}

/// What is attacked and how, in both tables of attacks.
fn key_fields() -> Vec<Field<AttackRow>> {
    vec![
        text("model", |a: &AttackRow| &a.model),
        text("architecture", |a| &a.architecture),
        text("dataset", |a| &a.dataset),
        text("method", |a| &a.method),
        count("bits", |a| a.bits.into()),
        optional_count("training_seed", |a| a.training_seed),
        text("attack_data", |a| a.attack_data.name()),
        count("batch", |a| a.batch.into()),
        count("k_top", |a| a.k_top.into()),
        count("images", |a| a.images),
        count("most_flips", |a| a.most_flips),
        number("target", SHARE, |a| a.target),
    ]
}

fn attack_fields() -> Vec<Field<AttackRow>> {
    let mut fields = key_fields();
    fields.extend([
        count("restart", |a: &AttackRow| a.restart.into()),
        number("clean_accuracy", SHARE, |a| a.clean_accuracy),
        number("clean_loss", FROM_ZERO, |a| a.clean_loss),
        count("flips", |a| a.flips),
        count("hamming", |a| a.hamming),
        number("accuracy", SHARE, |a| a.accuracy),
        number("loss", FROM_ZERO, |a| a.loss),
        text("stopped_by", |a| a.stopped_by.name()),
        number("random_accuracy", SHARE, |a| a.random_accuracy),
        optional_count("not_finite", |a: &AttackRow| a.not_finite).since(4),
    ]);
    fields
}

fn attack(row: Row<'_>) -> Result<AttackRow> {
    Ok(AttackRow {
        model: row.text("model")?.to_owned(),
        architecture: row.text("architecture")?.to_owned(),
        dataset: row.text("dataset")?.to_owned(),
        method: row.text("method")?.to_owned(),
        bits: row.small_count("bits")?,
        training_seed: row.optional_count("training_seed"),
        restart: row.small_count("restart")?,
        attack_data: row.word("attack_data", &[Split::Training, Split::Test], Split::name)?,
        batch: row.small_count("batch")?,
        k_top: row.small_count("k_top")?,
        images: row.count("images")?,
        most_flips: row.count("most_flips")?,
        target: row.number("target")?,
        clean_accuracy: row.number("clean_accuracy")?,
        clean_loss: row.number("clean_loss")?,
        flips: row.count("flips")?,
        hamming: row.count("hamming")?,
        accuracy: row.number("accuracy")?,
        loss: row.number("loss")?,
        stopped_by: row.word("stopped_by", &Stop::ALL, Stop::name)?,
        random_accuracy: row.number("random_accuracy")?,
        not_finite: row.optional_count("not_finite"),
    })
}

fn summary_fields() -> Vec<Field<AttackSummary>> {
    let of_key = |field: Field<AttackRow>| field.of(|s: &AttackSummary| &s.first);
    let mut fields: Vec<Field<AttackSummary>> = key_fields().into_iter().map(of_key).collect();
    fields.extend([
        count("restarts", |s: &AttackSummary| s.restarts),
        count("reached", |s| s.reached),
        number("flips_mean", FROM_ZERO, |s| s.flips_mean),
        optional_number("flips_std", FROM_ZERO, |s| s.flips_std),
        count("flips_min", |s| s.flips_min),
        number("flips_median", FROM_ZERO, |s| s.flips_median),
        count("flips_max", |s| s.flips_max),
        number("clean_mean", SHARE, |s| s.clean_mean),
        number("accuracy_mean", SHARE, |s| s.accuracy_mean),
        optional_number("accuracy_std", FROM_ZERO, |s| s.accuracy_std),
        number("random_mean", SHARE, |s| s.random_mean),
        optional_number("random_std", FROM_ZERO, |s| s.random_std),
    ]);
    fields
}

/// Writes flips in the given order: CSV where the name ends in `.csv`, Parquet elsewhere.
///
/// # Errors
/// [`Error::Argument`] for a value outside its column's range or too many rows, [`Error::Io`] with the path.
pub fn write_flips(path: &Path, flips: &[FlipRow]) -> Result<()> {
    write(path, &flip_fields(), flips)
}

/// Reads flips, from CSV where the name ends in `.csv`, from Parquet elsewhere.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] with column for a damaged file, wrong columns or values.
pub fn read_flips(path: &Path) -> Result<Vec<FlipRow>> {
    read(
        path,
        "a table of flips; a finished attack writes it",
        &flip_fields(),
        flip,
    )
}

/// Writes attacks in the given order; see [`write_flips`].
///
/// # Errors
/// As [`write_flips`].
pub fn write_attacks(path: &Path, attacks: &[AttackRow]) -> Result<()> {
    write(path, &attack_fields(), attacks)
}

/// Reads attacks; see [`read_flips`].
///
/// # Errors
/// As [`read_flips`].
pub fn read_attacks(path: &Path) -> Result<Vec<AttackRow>> {
    let attacks = read(
        path,
        "a table of attacks; a finished attack writes it",
        &attack_fields(),
        attack,
    )?;
    match attacks.iter().find(|attack| attack.hamming > attack.flips) {
        None => Ok(attacks),
        Some(wrong) => {
            let expected = format!("`hamming` of at most the {} of `flips`", wrong.flips);
            Err(Error::input(path, expected, wrong.hamming.to_string()))
        }
    }
}

/// Writes summaries of attacks in the given order; see [`write_flips`].
///
/// # Errors
/// As [`write_flips`].
pub fn write_attack_summary(path: &Path, summaries: &[AttackSummary]) -> Result<()> {
    write(path, &summary_fields(), summaries)
}

/// Summaries of attacks as JSON objects with the names of the columns, null where a value is missing.
///
/// # Errors
/// As [`write_flips`].
pub fn attack_summary_records(summaries: &[AttackSummary]) -> Result<serde_json::Value> {
    records(&summary_fields(), summaries)
}

/// The text of `attack_summary.csv`.
///
/// # Errors
/// As [`write_flips`].
pub fn attack_summary_csv_string(summaries: &[AttackSummary]) -> Result<String> {
    to_csv(&summary_fields(), summaries)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

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
            method: model.into(),
            bits: 4,
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
            write_flips(&path, &flips).unwrap();
            assert_eq!(read_flips(&path).unwrap(), flips);
            let path = folder.path().join(format!("attacks.{ending}"));
            write_attacks(&path, &attacks).unwrap();
            assert_eq!(read_attacks(&path).unwrap(), attacks);
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
        let json = attack_summary_records(&all).unwrap();
        assert!(json[1]["flips_std"].is_null() && json[0]["flips_std"] == 2.0);
        assert!(attack_summary_csv_string(&all)
            .unwrap()
            .starts_with("schema,model,"));
        assert!(summarize_attacks(&[]).is_empty());
    }
}
