//! The tables of an answer: a verdict for each candidate, and the evidence of each voltage.

use super::verdict::Verdict;
use crate::error::Result;
use crate::fault::Protection;
use crate::sweep::ActivationSupply;
use crate::table::{words, Columns, Record, FRACTION, FROM_ZERO, RATE, VOLTAGE};
use crate::units::{Metric, VoltageUnit};

words!(Verdict: Holds "holds", DoesNotHold "does_not_hold", NotEstablished "not_established");

/// How a candidate's energy compares with that of the others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rank {
    /// Cheapest whatever the truth within the bounds.
    Cheapest,
    /// Cheapest of those shown; others may be cheaper.
    SeemsCheapest,
    /// May be cheaper than the cheapest of those shown.
    MayBeCheaper,
    /// Neither.
    #[default]
    Other,
}

words!(Rank: Cheapest "cheapest", SeemsCheapest "seems_cheapest", MayBeCheaper "may_be_cheaper", Other "other");

/// The answer for one model under one protection. All losses, accuracies and yields are fractions in [0, 1].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerRow {
    /// The model.
    pub model: String,
    /// Protection of its codes.
    pub protection: Protection,
    /// Supply of stored activations, where they have one of their own.
    pub activations: Option<ActivationSupply>,
    /// What is asked, in words.
    pub target: String,
    /// What accuracies are the share of.
    pub metric: Metric,
    /// Whether the bound of `voltage` reaches it.
    pub verdict: Verdict,
    /// How its energy compares.
    pub rank: Rank,
    /// Lowest voltage that is shown to hold; `None` where none is.
    pub voltage: Option<f64>,
    /// Its unit.
    pub voltage_unit: VoltageUnit,
    /// Highest voltage that is shown not to hold.
    pub voltage_failing: Option<f64>,
    /// The voltage below `voltage` that is tried next; `None` where none has a measured rate.
    pub voltage_lower: Option<f64>,
    /// Where the search saw the limit; no claim.
    pub voltage_estimate: Option<f64>,
    /// Bit error rate at `voltage`.
    pub ber: Option<f64>,
    /// Accuracy without faults.
    pub clean_accuracy: f64,
    /// Accuracy that losses are counted from.
    pub reference_accuracy: f64,
    /// Whose accuracy that is, in words.
    pub loss_from: String,
    /// Mean loss over chips at `voltage`; of a yield none.
    pub loss: Option<f64>,
    /// One-sided upper bound of it.
    pub loss_high: Option<f64>,
    /// Half-width of the 95 % interval of the loss that comes on top where the test images stand for all images.
    pub loss_of_images: Option<f64>,
    /// Fraction of good chips at `voltage`, where a yield is asked for.
    pub yield_share: Option<f64>,
    /// One-sided lower bound of it.
    pub yield_low: Option<f64>,
    /// Chips of those that missed the floor.
    pub failing_chips: Option<u64>,
    /// Energy at `voltage`, relative to the same network at 8 bits, unprotected, at the error-free voltage.
    pub energy_relative: Option<f64>,
    /// The same in pJ per inference, where the memory says it.
    pub energy_pj: Option<f64>,
    /// `1 - energy_relative`.
    pub saving: Option<f64>,
    /// The least that the saving is: that of `voltage`.
    pub saving_low: Option<f64>,
    /// The most that it may be: that of the voltage above `voltage_failing`.
    pub saving_high: Option<f64>,
    /// Part of the saving by the width, the voltage and the protection, in this order.
    pub saving_split: [Option<f64>; 3],
    /// Probability with which every statement of the answer holds.
    pub level: f64,
    /// Fresh chips at `voltage`.
    pub chips: u64,
    /// Evaluations of an image there.
    pub images: u64,
    /// Evaluations for this candidate in all.
    pub evaluations: u64,
    /// Evaluations of a voltage that the budget did not suffice for.
    pub lacking_evaluations: Option<u64>,
    /// Test images.
    pub test_images: u64,
    /// Most evaluations of an image that the whole answer could take.
    pub budget: u64,
    /// What verdicts are about.
    pub population: String,
}

impl AnswerRow {
    /// The candidate in words.
    pub fn name(&self) -> String {
        let activations = self.activations.as_ref();
        let activations = activations.map_or(String::new(), |own| format!(", {}", own.in_words()));
        match self.protection {
            Protection::None => format!("{}, unprotected{activations}", self.model),
            other => format!("{}, {other}{activations}", self.model),
        }
    }
}

impl Record for AnswerRow {
    const WHAT: &'static str = "a table of verdicts; a finished answer writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        c.column("model", &mut self.model)?;
        c.column("protection", &mut self.protection)?;
        ActivationSupply::columns(&mut self.activations, c)?;
        c.column("target", &mut self.target)?;
        c.since(5, "metric", &mut self.metric)?;
        c.column("verdict", &mut self.verdict)?;
        c.column("rank", &mut self.rank)?;
        c.number("voltage", VOLTAGE, &mut self.voltage)?;
        c.column("voltage_unit", &mut self.voltage_unit)?;
        c.number("voltage_failing", VOLTAGE, &mut self.voltage_failing)?;
        c.number("voltage_lower", VOLTAGE, &mut self.voltage_lower)?;
        c.number("voltage_estimate", VOLTAGE, &mut self.voltage_estimate)?;
        c.number("ber", RATE, &mut self.ber)?;
        c.number("clean_accuracy", FRACTION, &mut self.clean_accuracy)?;
        c.number("reference_accuracy", FRACTION, &mut self.reference_accuracy)?;
        c.column("loss_from", &mut self.loss_from)?;
        c.column("loss", &mut self.loss)?;
        c.column("loss_high", &mut self.loss_high)?;
        c.column("loss_of_images", &mut self.loss_of_images)?;
        c.number("yield", FRACTION, &mut self.yield_share)?;
        c.number("yield_low", FRACTION, &mut self.yield_low)?;
        c.column("failing_chips", &mut self.failing_chips)?;
        c.number("energy_relative", FROM_ZERO, &mut self.energy_relative)?;
        c.number("energy_pj", FROM_ZERO, &mut self.energy_pj)?;
        c.column("saving", &mut self.saving)?;
        c.column("saving_low", &mut self.saving_low)?;
        c.column("saving_high", &mut self.saving_high)?;
        let [width, voltage, protection] = &mut self.saving_split;
        c.column("saving_width", width)?;
        c.column("saving_voltage", voltage)?;
        c.column("saving_protection", protection)?;
        c.number("level", FRACTION, &mut self.level)?;
        c.column("chips", &mut self.chips)?;
        c.column("images", &mut self.images)?;
        c.column("evaluations", &mut self.evaluations)?;
        c.column("lacking_evaluations", &mut self.lacking_evaluations)?;
        c.column("test_images", &mut self.test_images)?;
        c.column("budget", &mut self.budget)?;
        c.column("population", &mut self.population)
    }
}

/// What the check showed of one model under one protection at a voltage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvidenceRow {
    /// The model.
    pub model: String,
    /// Protection of its codes.
    pub protection: Protection,
    /// Supply of stored activations, where they have one of their own.
    pub activations: Option<ActivationSupply>,
    /// The voltage.
    pub voltage: f64,
    /// Bit error rate.
    pub ber: f64,
    /// Mean accuracy over chips, or fraction of good chips.
    pub value: f64,
    /// One-sided lower bound of it, of the confidence of one statement.
    pub value_low: f64,
    /// One-sided upper bound.
    pub value_high: f64,
    /// What had to be reached.
    pub goal: f64,
    /// What follows.
    pub verdict: Verdict,
    /// Fresh chips; 0 where it is known without any.
    pub chips: u64,
    /// Those that reach the floor, where a yield is asked for.
    pub good_chips: Option<u64>,
    /// Evaluations of an image.
    pub evaluations: u64,
}

impl Record for EvidenceRow {
    const WHAT: &'static str = "a table of evidence; a finished answer writes it";

    fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
        c.column("model", &mut self.model)?;
        c.column("protection", &mut self.protection)?;
        ActivationSupply::columns(&mut self.activations, c)?;
        c.number("voltage", VOLTAGE, &mut self.voltage)?;
        c.number("ber", RATE, &mut self.ber)?;
        c.number("value", FRACTION, &mut self.value)?;
        c.column("value_low", &mut self.value_low)?;
        c.column("value_high", &mut self.value_high)?;
        c.number("goal", FRACTION, &mut self.goal)?;
        c.column("verdict", &mut self.verdict)?;
        c.column("chips", &mut self.chips)?;
        c.column("good_chips", &mut self.good_chips)?;
        c.column("evaluations", &mut self.evaluations)
    }
}
