//! Where a training stands between epochs, and the rows of its history.

use crate::error::{Error, Result};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One finished epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRow {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Learning rate of its first step.
    pub learning_rate: f64,
    /// Mean loss over its steps, penalty included.
    pub training_loss: f64,
    /// Accuracy on the training batches as they were learned.
    pub training_accuracy: f64,
    /// Loss on the validation split; `None` without one.
    pub validation_loss: Option<f64>,
    /// Accuracy on the validation split; `None` without one.
    pub validation_accuracy: Option<f64>,
    /// True where the validation accuracy is above that of all epochs before.
    pub best: bool,
    /// Wall seconds; not part of any result.
    pub seconds: f64,
    /// Range in force of each layer after the epoch, in memory order (step for `lsq`).
    pub ranges: Vec<(String, f32)>,
}

/// Everything that the next epoch depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainState {
    /// Epochs done.
    pub epoch: usize,
    /// Steps done.
    pub steps: u64,
    /// State of the network; a tensor is no text.
    #[serde(skip)]
    pub network: Vec<(String, Tensor)>,
    /// State of the optimiser.
    #[serde(skip)]
    pub optimizer: Vec<(String, Tensor)>,
    /// Least value each learned range may take: 1e-3 of where it began.
    pub range_floors: Vec<(String, f32)>,
    /// Rows of the epochs done.
    pub history: Vec<EpochRow>,
}

/// Named tensors and text, as a file of tensors holds them.
pub type StateParts = (Vec<(String, Tensor)>, BTreeMap<String, String>);

const NETWORK: &str = "network/";
const OPTIMIZER: &str = "optimizer/";
const KEY: &str = "training";

impl TrainState {
    /// Tensors and text of a state, to be written to a file.
    ///
    /// # Errors
    /// [`Error::Argument`] where a number cannot be written as JSON.
    pub fn to_parts(&self) -> Result<StateParts> {
        let text = serde_json::to_string(self).map_err(|e| {
            let expected = "numbers that JSON can hold";
            Error::argument("training state", expected, e.to_string())
        })?;
        let prefixed = |prefix: &str, tensors: &[(String, Tensor)]| -> Vec<(String, Tensor)> {
            tensors
                .iter()
                .map(|(name, t)| (format!("{prefix}{name}"), t.clone()))
                .collect()
        };
        let mut tensors = prefixed(NETWORK, &self.network);
        tensors.extend(prefixed(OPTIMIZER, &self.optimizer));
        Ok((tensors, BTreeMap::from([(KEY.to_owned(), text)])))
    }

    /// Puts a state together again; `None` where the text is not of a training state.
    pub fn from_parts(
        tensors: &[(String, Tensor)],
        metadata: &BTreeMap<String, String>,
    ) -> Option<Self> {
        let mut state: Self = serde_json::from_str(metadata.get(KEY)?).ok()?;
        let part = |prefix: &str| -> Vec<(String, Tensor)> {
            let named = tensors
                .iter()
                .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_owned(), t.clone())));
            named.collect()
        };
        (state.network, state.optimizer) = (part(NETWORK), part(OPTIMIZER));
        Some(state)
    }
}
