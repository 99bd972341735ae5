//! What a user may ask of a training, checked.

use super::schedule::ScheduleSpec;
use crate::error::{refuse, Result};
use crate::units::words;
use serde::{Deserialize, Serialize};

/// Training of one network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrainerSpec {
    /// Passes over the training images, 1 to 100,000.
    pub epochs: usize,
    /// Images per step, 1 to 65,536; a smaller last batch of an epoch is used too.
    pub batch: usize,
    /// Optimiser.
    pub optimizer: OptimizerSpec,
    /// Learning rate over time.
    pub schedule: ScheduleSpec,
    /// Gradients are clipped to ± this value, 1e-12 to 1e12; absent: not at all.
    pub grad_clip: Option<f64>,
    /// Adds this times the sum over layers of the largest |weight| and |bias| to the loss.
    pub max_magnitude_penalty: f64,
    /// Epoch checkpoints kept beside the best and the last.
    pub keep: usize,
    /// Ranges of stored activations, where the weights to start from are of a model that has some: `learned` from where they
    /// are, as in PACT, under `range_decay`; or `fixed`.
    #[serde(skip_serializing_if = "ActivationRanges::is_default")]
    pub activation_ranges: ActivationRanges,
}

/// What a training does with ranges of stored activations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActivationRanges {
    /// It learns them.
    #[default]
    Learned,
    /// They stay.
    Fixed,
}

words!(ActivationRanges: Learned "learned", Fixed "fixed");

impl ActivationRanges {
    /// True where nothing else was asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for TrainerSpec {
    fn default() -> Self {
        Self {
            epochs: 10,
            batch: 128,
            optimizer: OptimizerSpec::default(),
            schedule: ScheduleSpec::default(),
            grad_clip: None,
            max_magnitude_penalty: 0.0,
            keep: 0,
            activation_ranges: ActivationRanges::Learned,
        }
    }
}

/// Optimisers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Stochastic gradient descent.
    #[default]
    Sgd,
    /// Adam (Kingma and Ba, 2015).
    Adam,
    /// RMSprop (Hinton, 2012).
    Rmsprop,
}

words!(OptimizerName: Sgd "sgd", Adam "adam", Rmsprop "rmsprop");

/// An optimiser with its constants, named and defined as in PyTorch. Keys that it does not read must be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct OptimizerSpec {
    /// Which one, as defined in PyTorch.
    pub name: OptimizerName,
    /// Learning rate at the start of the schedule.
    pub learning_rate: f64,
    /// `sgd`, `rmsprop`: momentum in [0, 1); default 0.9 for `sgd`, 0 for `rmsprop`.
    pub momentum: Option<f64>,
    /// `sgd`: Nesterov's form, with a momentum above 0; default `false`.
    pub nesterov: Option<bool>,
    /// `adam`: decay of the first and second moments, from 0 to below 1; default [0.9, 0.999].
    pub betas: Option<[f64; 2]>,
    /// `rmsprop`: decay of the mean square, from 0 to below 1; default 0.99.
    pub alpha: Option<f64>,
    /// `adam`, `rmsprop`: added under the division, 1e-30 to 1; default 1e-8.
    pub epsilon: Option<f64>,
    /// Weight decay of all parameters but ranges.
    pub weight_decay: f64,
    /// Weight decay of learned ranges (`wcat`, `lsq`): WCAT's regulariser.
    pub range_decay: f64,
}

impl Default for OptimizerSpec {
    fn default() -> Self {
        Self {
            name: OptimizerName::Sgd,
            learning_rate: 0.01,
            momentum: None,
            nesterov: None,
            betas: None,
            alpha: None,
            epsilon: None,
            weight_decay: 0.0,
            range_decay: 0.0,
        }
    }
}

fn within(key: &str, value: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    refuse(
        format!("trainer.{key}"),
        format!("a number from {low} to {high}"),
        value.to_string(),
    )
}

impl TrainerSpec {
    /// Checks every value.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] naming the key.
    pub fn check(&self) -> Result<()> {
        for (key, value, low, high) in [
            ("epochs", self.epochs as f64, 1.0, 1e5),
            ("batch", self.batch as f64, 1.0, 65_536.0),
            (
                "max_magnitude_penalty",
                self.max_magnitude_penalty,
                0.0,
                1e6,
            ),
            ("grad_clip", self.grad_clip.unwrap_or(1.0), 1e-12, 1e12),
        ] {
            within(key, value, low, high)?;
        }
        self.schedule.check()?;
        self.optimizer.check()
    }
}

impl OptimizerSpec {
    fn check(&self) -> Result<()> {
        use OptimizerName::{Adam, Rmsprop, Sgd};
        self.only(self.momentum.is_some(), "momentum", &[Sgd, Rmsprop])?;
        self.only(self.nesterov.is_some(), "nesterov", &[Sgd])?;
        self.only(self.betas.is_some(), "betas", &[Adam])?;
        self.only(self.alpha.is_some(), "alpha", &[Rmsprop])?;
        self.only(self.epsilon.is_some(), "epsilon", &[Adam, Rmsprop])?;
        const BELOW_ONE: f64 = 1.0 - f64::EPSILON;
        let [first, second] = self.betas.unwrap_or_default();
        for (key, value, low, high) in [
            ("learning_rate", self.learning_rate, 1e-12, 1e3),
            ("weight_decay", self.weight_decay, 0.0, 1e3),
            ("range_decay", self.range_decay, 0.0, 1e3),
            ("momentum", self.momentum.unwrap_or(0.0), 0.0, BELOW_ONE),
            ("alpha", self.alpha.unwrap_or(0.0), 0.0, BELOW_ONE),
            ("betas", first, 0.0, BELOW_ONE),
            ("betas", second, 0.0, BELOW_ONE),
            ("epsilon", self.epsilon.unwrap_or(1e-8), 1e-30, 1.0),
        ] {
            within(&format!("optimizer.{key}"), value, low, high)?;
        }
        if self.nesterov == Some(true) && self.momentum == Some(0.0) {
            return refuse(
                "trainer.optimizer.nesterov",
                "a momentum above 0 with it",
                "momentum 0",
            );
        }
        Ok(())
    }

    fn only(&self, given: bool, key: &str, readers: &[OptimizerName]) -> Result<()> {
        if !given || readers.contains(&self.name) {
            return Ok(());
        }
        refuse(
            format!("trainer.optimizer.{key}"),
            format!("to be left out (only {readers:?} read it)").to_lowercase(),
            format!("a value, with optimizer {:?}", self.name).to_lowercase(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_another_optimiser_are_refused() {
        let mut spec = OptimizerSpec {
            name: OptimizerName::Adam,
            ..OptimizerSpec::default()
        };
        spec.check().unwrap();
        spec.nesterov = Some(true);
        let error = spec.check().unwrap_err().to_string();
        assert!(
            error.starts_with("trainer.optimizer.nesterov: expected to be left out"),
            "{error}"
        );
    }

    #[test]
    fn not_a_number_is_out_of_every_range() {
        for edit in [
            (|s: &mut TrainerSpec| s.optimizer.learning_rate = f64::NAN) as fn(&mut TrainerSpec),
            |s| s.optimizer.weight_decay = f64::INFINITY,
            |s| s.optimizer.momentum = Some(1.0),
            |s| s.grad_clip = Some(0.0),
            |s| s.epochs = 0,
            |s| s.batch = 0,
        ] {
            let mut spec = TrainerSpec::default();
            spec.check().unwrap();
            edit(&mut spec);
            assert!(spec.check().is_err(), "{spec:?}");
        }
    }
}
