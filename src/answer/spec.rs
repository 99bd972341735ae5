//! What `answer` is asked.

use crate::error::{refuse, Result};
use crate::fault::Protection;
use crate::sweep::ActivationSupply;
use crate::units::{words, Accuracy, Metric};
use serde::{Deserialize, Serialize};

/// Whose clean accuracy a loss is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LossFrom {
    /// That of the best model given: the same floor for all.
    #[default]
    Best,
    /// The model's own: a worse network then gets a lower floor.
    Own,
}

words!(LossFrom: Best "best", Own "own");

/// A mean loss that an earlier run saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The model.
    pub model: String,
    /// Its protection.
    pub protection: Protection,
    /// Supply of stored activations, where they have one of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activations: Option<ActivationSupply>,
    /// What accuracies of the run are the share of.
    #[serde(default, skip_serializing_if = "Metric::is_default")]
    pub metric: Metric,
    /// Bit error rate, above 0.
    pub ber: f64,
    /// Mean loss of accuracy against the model without faults, as a fraction.
    pub loss: f64,
    /// Standard error of it, above 0.
    pub error: f64,
}

/// A question about models: how far their voltage can fall.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AnswerSpec {
    /// Most loss of accuracy, as a fraction; above 0, below 1.
    pub max_loss: f64,
    /// What it is counted from: the clean accuracy of the `best` model given, or of the model itself (`own`).
    pub loss_from: LossFrom,
    /// What it is counted from in place of a clean accuracy.
    pub reference_accuracy: Option<Accuracy>,
    /// Fraction of chips that must lose no more, above 0 and below 1; absent: the mean over chips must.
    #[serde(rename = "yield")]
    pub yield_share: Option<f64>,
    /// Step of the voltages that are tried, in the unit of the memory model; above 0, below 1.
    pub step: f64,
    /// Most evaluations of an image; absent: as many as the budget is measured to be good for.
    pub evaluations: Option<u64>,
    /// Seconds that all threads may take, above 0; turned into a number of evaluations when a run begins.
    pub budget: f64,
    /// Mean losses that an earlier run saw, as `--from` takes them from its tables: the search begins where they say, and
    /// nothing is claimed from them. Empty: none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<Finding>,
    /// Whether the losses of single layers and bit planes are estimated too, with as many evaluations once more.
    pub sensitivity: bool,
    /// The same of each bit plane of each layer.
    pub layers_by_bits: bool,
}

impl Default for AnswerSpec {
    fn default() -> Self {
        Self {
            max_loss: 0.01,
            loss_from: LossFrom::Best,
            reference_accuracy: None,
            yield_share: None,
            step: 0.005,
            evaluations: None,
            budget: 600.0,
            findings: Vec::new(),
            sensitivity: false,
            layers_by_bits: false,
        }
    }
}

impl AnswerSpec {
    /// Checks the ranges.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] that names the key.
    pub fn check(&self) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: f64| {
            refuse(format!("answer.{key}"), expected, found.to_string())
        };
        let fraction = "a fraction above 0 and below 1";
        if !(self.max_loss > 0.0 && self.max_loss < 1.0) {
            return wrong("max_loss", fraction, self.max_loss);
        }
        if let Some(share) = self.yield_share.filter(|y| !(*y > 0.0 && *y < 1.0)) {
            return wrong("yield", fraction, share);
        }
        if !(self.step > 0.0 && self.step < 1.0) {
            return wrong("step", "above 0 and below 1", self.step);
        }
        if !(self.budget > 0.0 && self.budget <= 1e7) {
            return wrong("budget", "seconds above 0, at most 10,000,000", self.budget);
        }
        let numbers = |own: &Finding| {
            own.ber > 0.0 && own.ber <= 1.0 && own.loss.abs() <= 1.0 && own.error > 0.0
        };
        if let Some(own) = self.findings.iter().find(|own| !numbers(own)) {
            let expected = "a rate above 0, a loss from -1 to 1 and a standard error above 0";
            let found = format!("{}, {}, {}", own.ber, own.loss, own.error);
            return refuse("answer.findings", expected, found);
        }
        if self.evaluations == Some(0) {
            return wrong("evaluations", "at least 1", 0.0);
        }
        Ok(())
    }

    /// Whether losses of parts are estimated.
    pub fn asks_for_parts(&self) -> bool {
        self.sensitivity || self.layers_by_bits
    }

    /// The question without what is estimated beside it: that goes on in the same run.
    pub(crate) fn of_verdicts(&self) -> Self {
        Self {
            sensitivity: false,
            layers_by_bits: false,
            ..self.clone()
        }
    }

    /// How far from its goal something is to be told from it: three tenths of the loss, at most 0.3 points, or of a yield
    /// eight tenths of the chips that may fail.
    pub fn resolution(&self) -> f64 {
        match self.yield_share {
            Some(share) => 0.8 * (1.0 - share),
            None => (0.3 * self.max_loss).min(0.003),
        }
    }
}
