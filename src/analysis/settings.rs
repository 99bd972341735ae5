//! Design points gathered by what methods must have in common to be compared: setting, method, training seed.

use super::chips::ChipTable;
use super::row::Summary;
use crate::error::Result;
use crate::fault::{ArrayLabel, FaultLabel, Protection};
use crate::quant::MethodLabel;
use crate::stats::{self, Caution, Difference, Interval};
use crate::sweep::{ActivationSupply, Design, TrialRow};
use crate::table::{Columns, RATE, VOLTAGE};
use crate::units::{BerSource, Bits, Metric, VoltageUnit};
use std::collections::BTreeMap;

/// What two methods must have in common to be compared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Setting {
    /// Architecture.
    pub architecture: String,
    /// Data set.
    pub dataset: String,
    /// What accuracies are the share of.
    pub metric: Metric,
    /// Memory model.
    pub memory: String,
    /// What failing cells do.
    pub fault_kind: FaultLabel,
    /// Array.
    pub array: ArrayLabel,
    /// Protection.
    pub protection: Protection,
    /// Supply of stored activations, where they have one of their own.
    pub activations: Option<ActivationSupply>,
    /// Bits per stored weight; `None` in mixed precision.
    pub bits: Option<Bits>,
    /// Supply voltage.
    pub voltage: f64,
    /// Its unit.
    pub voltage_unit: VoltageUnit,
    /// Bit error rate there.
    pub ber: f64,
    /// Where it comes from.
    pub ber_source: BerSource,
}

impl Setting {
    /// The columns of a setting.
    pub(super) fn columns(&mut self, c: &mut impl Columns) -> Result<()> {
        c.column("architecture", &mut self.architecture)?;
        c.column("dataset", &mut self.dataset)?;
        c.since(5, "metric", &mut self.metric)?;
        c.column("memory", &mut self.memory)?;
        c.column("fault_kind", &mut self.fault_kind)?;
        c.column("array", &mut self.array)?;
        c.column("protection", &mut self.protection)?;
        c.column("bits", &mut self.bits)?;
        c.number("voltage", VOLTAGE, &mut self.voltage)?;
        c.column("voltage_unit", &mut self.voltage_unit)?;
        c.number("ber", RATE, &mut self.ber)?;
        c.column("ber_source", &mut self.ber_source)?;
        ActivationSupply::columns(&mut self.activations, c)
    }

    /// That of a design point; `None` with several voltages.
    fn of(design: &Design) -> Option<Self> {
        Some(Self {
            architecture: design.architecture.clone(),
            dataset: design.dataset.clone(),
            metric: design.metric,
            memory: design.memory.clone(),
            fault_kind: design.fault_kind.clone(),
            array: design.array.clone(),
            protection: design.protection,
            activations: design.activations.clone(),
            bits: design.bits,
            voltage: design.voltage?,
            voltage_unit: design.voltage_unit,
            ber: design.ber?,
            ber_source: design.ber_source,
        })
    }

    /// What tells settings apart, and puts them in order.
    fn key(&self) -> impl Ord {
        let names = [&self.dataset, &self.architecture, &self.memory];
        let faults = (self.fault_kind.clone(), self.array.clone());
        (
            names.map(String::clone),
            self.metric,
            faults,
            self.protection,
            self.activations.clone(),
            self.voltage_unit.name(),
            self.bits,
            self.voltage.to_bits(),
        )
    }
}

/// The design point of a training of a method at a setting.
pub(super) struct Training<'a> {
    pub(super) summary: &'a Summary,
    /// Accuracy of each chip.
    pub(super) accuracies: Vec<f64>,
    /// Where images are stratified and chips can fail.
    pub(super) caution: Option<Caution>,
}

/// Trainings of one method at a setting by seed; `None` where a seed has two models.
pub(super) type Trainings<'a> = BTreeMap<Option<u64>, Option<Training<'a>>>;

/// The design points of each setting by method, then training seed. Points with several voltages are left out.
///
/// # Errors
/// As [`summarize`](super::summarize) for trials that do not go with the summaries.
pub(super) fn by_setting<'a>(
    summaries: &'a [Summary],
    trials: &[TrialRow],
) -> Result<Vec<(Setting, BTreeMap<MethodLabel, Trainings<'a>>)>> {
    let mut table = ChipTable::new(trials)?;
    let mut settings = BTreeMap::new();
    for summary in summaries {
        let design = &summary.design;
        let Some(setting) = Setting::of(design) else {
            continue;
        };
        let chips = table.take(&design.design_id)?;
        let training = Training {
            summary,
            accuracies: chips.accuracies(design.clean_accuracy.get()),
            caution: chips.caution().filter(|_| design.can_fail()),
        };
        let (_, methods) = settings
            .entry(setting.key())
            .or_insert((setting, BTreeMap::new()));
        let trainings: &mut Trainings<'a> = methods.entry(design.method).or_default();
        trainings
            .entry(design.training_seed)
            .and_modify(|known| *known = None)
            .or_insert(Some(training));
    }
    Ok(settings.into_values().collect())
}

/// Values of trainings on chips that all of them share, averaged both ways.
pub(super) struct Crossed {
    /// Of each chip, the mean over trainings.
    pub(super) chips: Vec<f64>,
    /// Of each training, the mean over chips.
    pub(super) trainings: Vec<f64>,
    /// Of the means over trainings, where images are stratified.
    caution: Option<Caution>,
}

impl Crossed {
    /// One row for each training, of one value for each chip; rows have equal lengths. `cautions` are those of the
    /// rows that have one.
    pub(super) fn new(rows: &[Vec<f64>], cautions: impl Iterator<Item = Caution>) -> Self {
        let mean = |values: &[f64]| stats::mean(values).unwrap_or(0.0);
        let chips = rows.first().map_or(0, Vec::len);
        let chip = |chip: usize| mean(&rows.iter().map(|row| row[chip]).collect::<Vec<_>>());
        Self {
            chips: (0..chips).map(chip).collect(),
            trainings: rows.iter().map(|row| mean(row)).collect(),
            caution: cautions
                .reduce(Caution::plus)
                .map(|sum| sum.over(rows.len())),
        }
    }

    /// Standard deviation of the chips, and how far the middle of an interval over them is from the mean; cautious where
    /// images are stratified. `None` for one chip.
    fn over_chips(&self) -> Option<(f64, f64)> {
        match self.caution {
            None => Some((stats::standard_deviation(&self.chips)?, 0.0)),
            Some(caution) => {
                let found = Difference::cautious(&self.chips, caution)?;
                Some((found.deviation, found.shift))
            }
        }
    }

    /// Standard deviation of the trainings; `None` for one.
    pub(super) fn trainings_std(&self) -> Option<f64> {
        stats::standard_deviation(&self.trainings)
    }

    /// 95 % interval around `middle` of the mean of these trainings: Student's over chips. `images` is the variance
    /// that the choice of images adds. `None` for one chip.
    pub(super) fn student(&self, middle: f64, images: f64) -> Option<Interval> {
        let (std, shift) = self.over_chips()?;
        let half = stats::mean_half_width(std, self.chips.len(), images);
        half.map(|half| Interval::around(middle + shift, half))
    }

    /// The same with trainings as a random effect, by [`stats::two_way_half_width`]; `None` for one training.
    pub(super) fn of_trainings(&self, middle: f64, images: f64) -> Option<Interval> {
        let trainings = (self.trainings_std()?, self.trainings.len());
        let std = self.over_chips().map_or(0.0, |(std, _)| std);
        let chips = (std, self.chips.len());
        let half = stats::two_way_half_width(trainings, chips, images);
        half.map(|half| Interval::around(middle, half))
    }
}
