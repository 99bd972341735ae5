//! Design points gathered by what methods must have in common to be compared: setting, method, training seed.

use super::field::{number, optional_count, text, Field};
use super::row::{Outcome, Summary};
use super::summary::ChipTable;
use crate::error::Result;
use crate::sweep::Design;
use crate::units::{BerSource, VoltageUnit};
use std::collections::BTreeMap;

/// What two methods must have in common to be compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Architecture.
    pub architecture: String,
    /// Data set.
    pub dataset: String,
    /// Memory model.
    pub memory: String,
    /// What failing cells do.
    pub fault_kind: String,
    /// Array.
    pub array: String,
    /// Protection.
    pub protection: String,
    /// Bits per stored weight; `None` in mixed precision.
    pub bits: Option<u32>,
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
    /// That of a design point; `None` with several voltages.
    fn of(design: &Design) -> Option<Self> {
        Some(Self {
            architecture: design.architecture.clone(),
            dataset: design.dataset.clone(),
            memory: design.memory.clone(),
            fault_kind: design.fault_kind.clone(),
            array: design.array.clone(),
            protection: design.protection.clone(),
            bits: design.bits,
            voltage: design.voltage?,
            voltage_unit: design.voltage_unit,
            ber: design.ber?,
            ber_source: design.ber_source,
        })
    }

    /// What tells settings apart, and puts them in order.
    fn key(&self) -> impl Ord {
        let words = [
            &self.dataset,
            &self.architecture,
            &self.memory,
            &self.fault_kind,
            &self.array,
            &self.protection,
        ];
        (words.map(String::clone), self.voltage_unit.name(), self.bits, self.voltage.to_bits())
    }
}

/// Accuracies by training seed, then chip, of one method at a setting; `None` where a seed has two models.
pub(super) type Trainings<'a> = BTreeMap<Option<u64>, Option<(&'a Summary, Vec<f64>)>>;

/// The design points of each setting by method, then training seed. Points with several voltages are left out.
///
/// # Errors
/// As [`summarize`](super::summarize) for trials that do not go with the summaries.
pub(super) fn by_setting<'a, T: Outcome>(
    summaries: &'a [Summary],
    trials: &[T],
) -> Result<Vec<(Setting, BTreeMap<&'a str, Trainings<'a>>)>> {
    let mut table = ChipTable::new(trials)?;
    let mut settings = BTreeMap::new();
    for summary in summaries {
        let design = &summary.design;
        let Some(setting) = Setting::of(design) else { continue };
        let accuracies = table.take(&design.design_id)?.accuracies(design.clean_accuracy.get());
        let (_, methods) = settings.entry(setting.key()).or_insert((setting, BTreeMap::new()));
        let trainings: &mut Trainings<'a> = methods.entry(design.method.as_str()).or_default();
        trainings
            .entry(design.training_seed)
            .and_modify(|known| *known = None)
            .or_insert(Some((summary, accuracies)));
    }
    Ok(settings.into_values().collect())
}

/// The columns of a setting.
pub(super) fn setting_fields() -> Vec<Field<Setting>> {
    vec![
        text("architecture", |s: &Setting| &s.architecture),
        text("dataset", |s| &s.dataset),
        text("memory", |s| &s.memory),
        text("fault_kind", |s| &s.fault_kind),
        text("array", |s| &s.array),
        text("protection", |s| &s.protection),
        optional_count("bits", |s| s.bits.map(u64::from)),
        number("voltage", 0.0..=100.0, |s| s.voltage),
        text("voltage_unit", |s| s.voltage_unit.name()),
        number("ber", 0.0..=0.5, |s| s.ber),
        text("ber_source", |s| s.ber_source.name()),
    ]
}
