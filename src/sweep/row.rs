//! The rows that a sweep yields: design points, trials, terms of energies, times.

use super::activations::ActivationSupply;
use super::point::Domain;
use super::strata::Strata;
use crate::error::Result;
use crate::fault::{ArrayLabel, FaultLabel, Protection};
use crate::memory::EnergyTerm;
use crate::quant::MethodLabel;
use crate::stats::ChipDifference;
use crate::table::{words, Cell, Columns, Kind, Record, Value, FRACTION, FROM_ZERO, RATE, VOLTAGE};
use crate::units::{Accuracy, BerSource, Bits, ChipId, Metric, Voltage, VoltageUnit};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;

/// One design point: a model in a memory at a voltage under a protection.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Design {
    /// Unique in a run and the same in every extension of it: `<model>@<voltage><unit>`, then the array where it is not
    /// the memory model's own, and the protection.
    pub design_id: String,
    /// Name of the model in this run.
    pub model: String,
    /// Architecture, as in the model file.
    pub architecture: String,
    /// Data set the accuracy is measured on.
    pub dataset: String,
    /// What accuracies are the share of.
    #[serde(default, skip_serializing_if = "Metric::is_default")]
    pub metric: Metric,
    /// Quantisation method.
    pub method: MethodLabel,
    /// Bits per stored weight; `None` where layers differ.
    pub bits: Option<Bits>,
    /// Seed of the training, where the model file says it.
    pub training_seed: Option<u64>,
    /// Name of the memory model.
    pub memory: String,
    /// What failing cells do.
    pub fault_kind: FaultLabel,
    /// Which cells fail together.
    pub array: ArrayLabel,
    /// Protection of the codes.
    pub protection: Protection,
    /// Supply voltage in `voltage_unit`; `None` where domains have their own.
    pub voltage: Option<f64>,
    /// Unit of the voltage.
    pub voltage_unit: VoltageUnit,
    /// Bit error rate at that voltage, in [0, 0.5]; `None` where domains have their own.
    pub ber: Option<f64>,
    /// Where the rate comes from; of several, the most doubtful source.
    pub ber_source: BerSource,
    /// Energy of one bit access relative to the error-free voltage; `None` where domains have their own.
    pub access_energy_relative: Option<f64>,
    /// Energy of the weight memory in an inference, and of stored activations where they have a supply of their own, relative
    /// to the same architecture at 8 bits, unprotected, at the error-free voltage.
    pub energy_relative: f64,
    /// The same in picojoules, where the memory model gives an absolute energy.
    pub energy_pj: Option<f64>,
    /// Memory area relative to the same architecture at 8 bits, unprotected.
    pub area_relative: f64,
    /// Accuracy of the model without faults on the same images.
    pub clean_accuracy: Accuracy,
    /// Seconds of an inference, where the memory model has a macro, whose delay tells it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inference_seconds: Option<f64>,
    /// Voltage of each domain; empty where there is one voltage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub domain_voltages: Vec<DomainVoltage>,
    /// Supply of stored activations, where they have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<ActivationSupply>,
}

impl Design {
    /// The keys of a design point, in every table that has design points.
    ///
    /// # Errors
    /// As [`Columns::column`].
    pub fn keys(&mut self, c: &mut impl Columns) -> Result<()> {
        c.column("design_id", &mut self.design_id)?;
        c.column("model", &mut self.model)?;
        c.column("architecture", &mut self.architecture)?;
        c.column("dataset", &mut self.dataset)?;
        c.since(5, "metric", &mut self.metric)?;
        c.column("method", &mut self.method)?;
        c.column("bits", &mut self.bits)?;
        c.column("training_seed", &mut self.training_seed)?;
        c.column("memory", &mut self.memory)?;
        c.column("fault_kind", &mut self.fault_kind)?;
        c.column("array", &mut self.array)?;
        c.column("protection", &mut self.protection)?;
        c.number("voltage", VOLTAGE, &mut self.voltage)?;
        c.column("voltage_unit", &mut self.voltage_unit)?;
        c.number("ber", RATE, &mut self.ber)?;
        c.column("ber_source", &mut self.ber_source)?;
        c.column("domain_voltages", &mut self.domain_voltages)?;
        ActivationSupply::columns(&mut self.activations, c)
    }

    /// Energy and area of a design point.
    ///
    /// # Errors
    /// As [`Columns::column`].
    pub fn costs(&mut self, c: &mut impl Columns) -> Result<()> {
        c.number("energy_relative", FROM_ZERO, &mut self.energy_relative)?;
        c.number("energy_pj", FROM_ZERO, &mut self.energy_pj)?;
        c.number("area_relative", FROM_ZERO, &mut self.area_relative)
    }

    /// What else `designs` and `summary` have of a design point.
    ///
    /// # Errors
    /// As [`Columns::column`].
    pub fn clean(&mut self, c: &mut impl Columns) -> Result<()> {
        c.column("clean_accuracy", &mut self.clean_accuracy)?;
        let access = &mut self.access_energy_relative;
        c.number("access_energy_relative", FROM_ZERO, access)?;
        c.rare("inference_seconds", &mut self.inference_seconds)
    }

    /// Order of design points in tables: model, protection, rising voltage; then memory and identifier.
    pub fn in_order(a: &Self, b: &Self) -> Ordering {
        (&a.model, &a.protection)
            .cmp(&(&b.model, &b.protection))
            .then_with(|| a.activations.cmp(&b.activations))
            .then_with(|| a.by_voltage(b))
            .then_with(|| (&a.memory, &a.design_id).cmp(&(&b.memory, &b.design_id)))
    }

    /// Order by voltage; those whose domains have their own come first, by energy.
    pub fn by_voltage(&self, other: &Self) -> Ordering {
        let numbers = [self, other].map(|d| d.voltage.unwrap_or(f64::NEG_INFINITY));
        let energies = || self.energy_relative.total_cmp(&other.energy_relative);
        let same = || {
            if self.voltage.is_none() {
                energies()
            } else {
                Ordering::Equal
            }
        };
        numbers[0].total_cmp(&numbers[1]).then_with(same)
    }

    /// True where stored activations have a supply of their own: then energies hold theirs.
    pub fn counts_activations(&self) -> bool {
        let kind = &self.fault_kind;
        self.activations.is_some() || kind.is_of_activations() || kind.is_of_both()
    }

    /// Where its rates come from, that of activations too.
    pub fn sources(&self) -> impl Iterator<Item = BerSource> + '_ {
        let of_activations = self.activations.iter().map(|own| own.ber_source);
        std::iter::once(self.ber_source).chain(of_activations)
    }

    /// The most doubtful of them.
    pub fn source(&self) -> BerSource {
        let doubt = |source: &BerSource| source.doubt();
        self.sources().max_by_key(doubt).unwrap_or_default()
    }

    /// False where no cell can fail: every voltage is error-free.
    pub fn can_fail(&self) -> bool {
        self.sources().any(|source| source != BerSource::ErrorFree)
    }
}

impl Record for Design {
    const WHAT: &'static str = "a table of design points; a sweep writes it";
    const KEY: &'static str = "design_id";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        self.keys(c)?;
        self.clean(c)?;
        self.costs(c)
    }

    fn check<C: Columns>(&self, c: &C) -> Result<()> {
        if self.voltage.is_some() != self.domain_voltages.is_empty() {
            let expected = "a voltage, or one for each domain in `domain_voltages`";
            let found = self.voltage.map_or("nothing", |_| "both");
            return Err(c.wrong("voltage", expected, found));
        }
        if let Some(seconds) = self.inference_seconds.filter(|seconds| *seconds < 0.0) {
            return Err(c.wrong("inference_seconds", "0 or more", seconds.to_string()));
        }
        if let Some(voltage) = self.voltage {
            c.fits("voltage", Voltage::new(voltage))?;
        }
        let beside = [
            ("ber", self.ber),
            ("access_energy_relative", self.access_energy_relative),
        ];
        for (name, value) in beside {
            if value.is_some() != self.voltage.is_some() {
                let expected = "a value exactly where `voltage` has one";
                return Err(c.wrong(name, expected, "the contrary"));
            }
        }
        Ok(())
    }

    fn key(&self) -> String {
        self.design_id.clone()
    }
}

/// Supply voltage of a part of the memory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainVoltage {
    /// Name of the domain.
    pub domain: String,
    /// Its voltage, in the unit of the design point.
    pub voltage: f64,
}

/// `conv1=0.8;fc=0.9`; null for none.
impl Value for Vec<DomainVoltage> {
    const OPTIONAL: bool = true;

    fn kind() -> Kind {
        Kind::Text
    }

    fn cell(&self) -> Cell<'_> {
        if self.is_empty() {
            return Cell::Null;
        }
        let all: Vec<String> = self
            .iter()
            .map(|own| format!("{}={:?}", own.domain, own.voltage))
            .collect();
        Cell::Text(all.join(";").into())
    }

    fn of(cell: Cell<'_>) -> Result<Self, String> {
        let Cell::Text(text) = cell else {
            return Ok(Self::new());
        };
        text.split(';')
            .map(|own| {
                let (domain, voltage) = own.split_once('=')?;
                let voltage: Voltage = voltage.parse().ok()?;
                Some(DomainVoltage {
                    domain: domain.to_owned(),
                    voltage: voltage.get(),
                })
            })
            .collect::<Option<Self>>()
            .ok_or_else(|| "domain=voltage, several after semicolons".into())
    }
}

impl DomainVoltage {
    /// The voltage of a domain.
    pub(super) fn of(domain: &Domain) -> Self {
        Self {
            domain: domain.name.clone(),
            voltage: domain.point.voltage.get(),
        }
    }
}

/// One term of the energy of a design point.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnergyRow {
    /// The design point.
    pub design_id: String,
    /// Unit of the voltage.
    pub voltage_unit: VoltageUnit,
    /// The term.
    pub term: EnergyTerm,
}

impl Record for EnergyRow {
    const WHAT: &'static str = "the terms of the energies of a run";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        let term = &mut self.term;
        c.column("design_id", &mut self.design_id)?;
        c.column("layer", &mut term.layer)?;
        c.column("cells", &mut term.cells)?;
        c.column("weights", &mut term.weights)?;
        c.number("bits", FROM_ZERO, &mut term.bits)?;
        c.number("overhead_bits", FROM_ZERO, &mut term.overhead_bits)?;
        c.number("reads", FROM_ZERO, &mut term.reads)?;
        c.number("voltage", VOLTAGE, &mut term.voltage)?;
        c.column("voltage_unit", &mut self.voltage_unit)?;
        let access = &mut term.access_energy_relative;
        c.number("access_energy_relative", FROM_ZERO, access)?;
        c.number("energy_factor", FROM_ZERO, &mut term.energy_factor)?;
        c.number("energy_relative", FROM_ZERO, &mut term.energy_relative)?;
        c.number("energy_pj", FROM_ZERO, &mut term.picojoule())?; // the sum of the next two
        c.number("access_pj", FROM_ZERO, &mut term.access_pj)?;
        c.number("leakage_pj", FROM_ZERO, &mut term.leakage_pj)
    }
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialStatus {
    /// The network was evaluated on this chip.
    #[default]
    Evaluated,
    /// No stored bit reads otherwise on this chip: the clean result holds.
    FaultFree,
}

words!(TrialStatus: Evaluated "evaluated", FaultFree "fault_free");

/// One trial: one design point on one simulated chip.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// The design point.
    pub design_id: String,
    /// The chip.
    pub chip: ChipId,
    /// Failing cells that hold a bit of the weights.
    pub faults: u64,
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly.
    pub correct: u64,
    /// Images of which a logit is not finite; they count as wrong.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    /// The clean network on the same images, where each chip has images of its own (two-level sampling).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clean: Option<CleanAnswers>,
    /// What the chip showed in each stratum, where images are stratified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strata: Option<Strata>,
    /// How the trial ended.
    pub status: TrialStatus,
    /// Wall seconds that the trial took; not part of any result.
    pub seconds: f64,
}

/// True for a count that lines of a journal leave out.
#[expect(clippy::trivially_copy_pass_by_ref)] // as serde calls it
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// The clean network on the images of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleanAnswers {
    /// Images classified correctly without faults.
    pub correct: u64,
    /// Images classified correctly with the faults or without them, but not both.
    pub changed: u64,
}

impl CleanAnswers {
    /// What a chip showed on `images` images, of which `correct` were classified correctly with its faults; `None`
    /// where the numbers contradict each other.
    pub fn difference(self, images: u64, correct: u64) -> Option<ChipDifference> {
        if self.correct.max(correct) > images {
            return None;
        }
        let gain = i64::try_from(correct).ok()? - i64::try_from(self.correct).ok()?;
        let right = correct.checked_add(self.correct)?;
        let most = right.min(images.checked_mul(2)? - right);
        let possible = (gain.unsigned_abs()..=most).contains(&self.changed)
            && (self.changed - gain.unsigned_abs()).is_multiple_of(2);
        possible.then_some(ChipDifference {
            images,
            gain,
            changed: self.changed,
        })
    }
}

impl Trial {
    /// Fraction of images classified correctly; where they are stratified its estimate for all of them.
    pub fn accuracy(&self) -> f64 {
        accuracy(self.images, self.correct, self.strata.as_ref())
    }
}

fn accuracy(images: u64, correct: u64, strata: Option<&Strata>) -> f64 {
    match strata {
        Some(strata) => strata.accuracy(),
        None => correct as f64 / images.max(1) as f64,
    }
}

/// A row of `trials.parquet`: a trial without the time it took, which is in `timing.csv`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrialRow {
    /// The design point.
    pub design_id: String,
    /// The chip.
    pub chip: ChipId,
    /// Failing cells that hold a bit of the weights.
    pub faults: u64,
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly.
    pub correct: u64,
    /// Images of which a logit is not finite, counted as wrong; `None` in tables of schema 3, which do not count them.
    pub not_finite: Option<u64>,
    /// The clean network on the same images, under two-level sampling.
    pub clean: Option<CleanAnswers>,
    /// What the chip showed in each stratum, where images are stratified.
    pub strata: Option<Strata>,
    /// How the trial ended.
    pub status: TrialStatus,
}

impl TrialRow {
    /// The rows of trials, by design point and chip.
    pub fn in_order(trials: &[Trial]) -> Vec<Self> {
        let mut rows: Vec<Self> = trials.iter().map(Self::from).collect();
        rows.sort_by(|a, b| (&a.design_id, a.chip).cmp(&(&b.design_id, b.chip)));
        rows
    }
}

impl From<&Trial> for TrialRow {
    fn from(trial: &Trial) -> Self {
        Self {
            design_id: trial.design_id.clone(),
            chip: trial.chip,
            faults: trial.faults,
            images: trial.images,
            correct: trial.correct,
            not_finite: Some(trial.not_finite),
            clean: trial.clean,
            strata: trial.strata.clone(),
            status: trial.status,
        }
    }
}

impl Record for TrialRow {
    const WHAT: &'static str = "a table of trials; a finished sweep writes it";
    const KEY: &'static str = "design_id and chip";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        c.column("design_id", &mut self.design_id)?;
        c.column("chip", &mut self.chip)?;
        c.column("faults", &mut self.faults)?;
        c.column("images", &mut self.images)?;
        c.column("correct", &mut self.correct)?;
        let mut own = accuracy(self.images, self.correct, self.strata.as_ref());
        c.number("accuracy", FRACTION, &mut own)?;
        c.column("status", &mut self.status)?;
        let mut clean_correct = self.clean.map(|clean| clean.correct);
        let mut changed = self.clean.map(|clean| clean.changed);
        c.column("clean_correct", &mut clean_correct)?;
        c.column("changed", &mut changed)?;
        c.since(4, "not_finite", &mut self.not_finite)?;
        c.rare("strata", &mut self.strata)?;
        self.clean = match (clean_correct, changed) {
            (None, None) => None,
            (Some(correct), Some(changed)) => Some(CleanAnswers { correct, changed }),
            found => {
                let expected = "a value beside `clean_correct`, or neither";
                return Err(c.wrong("changed", expected, format!("{found:?}")));
            }
        };
        let fraction = accuracy(self.images, self.correct, self.strata.as_ref());
        if (own - fraction).abs() > 1e-9 {
            let of = if self.strata.is_some() {
                "that of its strata"
            } else {
                "correct / images"
            };
            return Err(c.wrong("accuracy", format!("{of} = {fraction}"), own.to_string()));
        }
        Ok(())
    }

    fn check<C: Columns>(&self, c: &C) -> Result<()> {
        if self.images == 0 || self.correct > self.images {
            let expected = format!("at most the {} images, of which at least 1", self.images);
            return Err(c.wrong("correct", expected, self.correct.to_string()));
        }
        let wrong = self.images - self.correct;
        if let Some(count) = self.not_finite.filter(|count| *count > wrong) {
            let expected = format!("at most the {wrong} images that are wrong");
            return Err(c.wrong("not_finite", expected, count.to_string()));
        }
        let difference = |clean: &CleanAnswers| clean.difference(self.images, self.correct);
        if let Some(clean) = self.clean.filter(|clean| difference(clean).is_none()) {
            let (correct, images) = (self.correct, self.images);
            let expected = format!("numbers that go with {correct} of {images} images");
            return Err(c.wrong("changed", expected, format!("{clean:?}")));
        }
        let (images, correct) = (self.images, self.correct);
        let off = |strata: &&Strata| self.clean.is_none() || !strata.add_up_to(images, correct);
        if let Some(strata) = self.strata.as_ref().filter(off) {
            let expected =
                format!("strata of {correct} of {images} images, beside `clean_correct`");
            return Err(c.wrong("strata", expected, strata.to_string()));
        }
        Ok(())
    }

    fn key(&self) -> String {
        format!("{} on chip {}", self.design_id, self.chip)
    }
}

/// What took time in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// A trial.
    #[default]
    Trial,
    /// The trainings of the models.
    Training,
    /// All trials together.
    Sweep,
}

words!(Phase: Trial "trial", Training "training", Sweep "sweep");

/// A row of `timing.csv`: wall seconds of one trial, or of another phase of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timing {
    /// The design point, where the phase belongs to one.
    pub design_id: Option<String>,
    /// The chip, where the phase belongs to one.
    pub chip: Option<ChipId>,
    /// What was done.
    pub phase: Phase,
    /// Wall seconds.
    pub seconds: f64,
}

impl From<&Trial> for Timing {
    fn from(trial: &Trial) -> Self {
        Self {
            design_id: Some(trial.design_id.clone()),
            chip: Some(trial.chip),
            phase: Phase::Trial,
            seconds: trial.seconds,
        }
    }
}

impl Record for Timing {
    const WHAT: &'static str = "a table of times; a sweep writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        c.column("design_id", &mut self.design_id)?;
        c.column("chip", &mut self.chip)?;
        c.column("phase", &mut self.phase)?;
        c.number("seconds", FROM_ZERO, &mut self.seconds)
    }
}

/// Why no more chips were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// The number of chips asked for was reached.
    #[default]
    Chips,
    /// Every half-width of the comparison fell under the tolerance.
    Tolerance,
    /// The choice of test images alone leaves some half-widths above the tolerance, where more chips cannot
    /// help: the part of the chips fell under it there, and every other half-width did.
    Images,
}

words!(StoppedBy: Chips "chips", Tolerance "tolerance", Images "images");
