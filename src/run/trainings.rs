//! Several trainings beside each other, what is finished skipped, and their results as rows.

use super::monitor::Stages;
use super::training::{TrainedModel, Workshop};
use crate::config::Training;
use crate::error::{refuse, Error, Result};
use crate::quant::MethodLabel;
use crate::table::SCHEMA;
use crate::units::count_of;
use rayon::prelude::*;
use serde::Serialize;

/// A finished training. Columns as in the result tables.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainingRow {
    /// Version of the columns.
    pub schema: u64,
    /// Name of the model.
    pub model: String,
    /// Architecture.
    pub architecture: String,
    /// Data set, by its name on the command line.
    pub dataset: String,
    /// Quantisation method; null for float weights.
    pub method: Option<MethodLabel>,
    /// Bits per stored weight, 32 for float weights.
    pub bits: u32,
    /// Fraction of stored bits flipped in each training step.
    pub train_bit_error_rate: f64,
    /// Seed of the training.
    pub training_seed: u64,
    /// Epochs trained.
    pub epochs: usize,
    /// The best of them on the validation split; the last one without a split.
    pub best_epoch: usize,
    /// Its accuracy there; null without a split.
    pub validation_accuracy: Option<f64>,
    /// Its loss there.
    pub validation_loss: Option<f64>,
    /// Model file of the best epoch.
    pub path: String,
}

impl TrainingRow {
    /// The row of a finished training; `None` where its history has no best epoch.
    pub fn of(training: &Training, model: &TrainedModel) -> Option<Self> {
        let best = model.history.iter().rev().find(|row| row.best)?;
        let quantizer = &training.quantizer;
        Some(Self {
            schema: SCHEMA,
            model: model.name.clone(),
            architecture: model.architecture.clone(),
            dataset: training.dataset.name.to_string(),
            method: (!quantizer.bits.is_float()).then(|| quantizer.method_label()),
            bits: quantizer.bits.get(),
            train_bit_error_rate: quantizer.train_bit_error_rate.get(),
            training_seed: training.seed.0,
            epochs: model.history.len(),
            best_epoch: best.epoch,
            validation_accuracy: best.validation_accuracy,
            validation_loss: best.validation_loss,
            path: model.best.display().to_string(),
        })
    }
}

impl Workshop<'_> {
    /// Models that [`Self::train_all`] has finished, perhaps as shards, in the order of the trainings; nothing is trained.
    ///
    /// # Errors
    /// [`Error::Owed`] where some are not finished.
    pub fn all_finished(&self, trainings: &[Training]) -> Result<Vec<TrainedModel>> {
        let (mut finished, mut missing) = (Vec::new(), Vec::new());
        for (k, training) in trainings.iter().enumerate() {
            match self.finished(training) {
                Ok(model) => finished.push(model),
                Err(Error::Missing { .. }) => missing.push(k.to_string()),
                Err(error) => return Err(error),
            }
        }
        if missing.is_empty() {
            return Ok(finished);
        }
        Err(Error::Owed {
            folder: self.parent.clone(),
            what: format!("{} of {} trainings are", missing.len(), trainings.len()),
            by: format!("as one shard each they are numbers {}", missing.join(",")),
        })
    }

    /// Trains models as [`Self::train`] does, as many at once as there are threads. One that fails does not stop the
    /// others, but the user does. Results stand in the order of the trainings.
    ///
    /// # Errors
    /// [`Error::Argument`] where two trainings have one name: they could not be told apart in a table.
    pub fn train_all(
        &self,
        trainings: &[Training],
        fresh: bool,
    ) -> Result<Vec<Result<TrainedModel>>> {
        for (i, training) in trainings.iter().enumerate() {
            if trainings[..i]
                .iter()
                .any(|other| other.name == training.name)
            {
                let found = format!("`{}` twice", training.name);
                return refuse("models to train", "each name once", found);
            }
        }
        let count = trainings.len();
        Stages::new(self.monitor, 1).begin(&count_of(count, "training"), count);
        let each = trainings.par_iter().with_max_len(1);
        let firsts: Vec<_> = each.map(|training| self.train(training, fresh)).collect();
        let pairs = trainings.iter().zip(firsts);
        Ok(pairs
            .map(|(training, first)| self.after_the_other(training, first))
            .collect())
    }

    /// The same of the models of a run: the first failure ends it.
    ///
    /// # Errors
    /// As [`Self::train`].
    pub(super) fn train_or_fail(
        &self,
        trainings: &[Training],
        fresh: bool,
    ) -> Result<Vec<TrainedModel>> {
        let first = |training| match self.train(training, fresh) {
            Err(locked @ Error::Locked { .. }) => Ok(Err(locked)),
            other => other.map(Ok),
        };
        let each = trainings.par_iter().with_max_len(1);
        let firsts: Vec<_> = each.map(first).collect::<Result<_>>()?;
        let pairs = trainings.iter().zip(firsts);
        pairs
            .map(|(training, first)| self.after_the_other(training, first))
            .collect()
    }
}
