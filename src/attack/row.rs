//! The rows that attacks yield: flips, and what became of each attack. Where they are kept is the tables' affair.

use crate::data::Split;
use crate::quant::MethodLabel;
use crate::table::words;
use crate::units::{Bits, Metric};
use serde::{Deserialize, Serialize};

/// One flipped bit. The flips of a step are made together: they share the losses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Flip {
    /// Step of the attack, from 1.
    pub step: u64,
    /// Number of the flip in the attack, from 1.
    pub flip: u64,
    /// Name of the layer.
    pub layer: String,
    /// Row-major index of the weight in its layer.
    pub weight: u64,
    /// Bit of the code; 0 is the least significant.
    pub bit: u32,
    /// Code before this flip.
    pub old_code: i16,
    /// Code after it.
    pub new_code: i16,
    /// Loss on the attack batch before the step, in nats; `None` where it is not finite (after random flips only).
    pub loss_before: Option<f64>,
    /// Loss on the attack batch after the step.
    pub loss_after: Option<f64>,
    /// Fraction of the test images classified correctly after the step; `None` for all but the last flip of a step.
    pub accuracy: Option<f64>,
}

/// Why an attack ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The accuracy fell to the target.
    #[default]
    Accuracy,
    /// The flips were used up, or those left are too few to raise the loss.
    Flips,
    /// No candidate of any size raises the loss.
    Stuck,
}

words!(Stop: Accuracy "accuracy", Flips "flips", Stuck "stuck");

/// What became of an attack.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Loss on the attack batch before the first flip, in nats.
    pub clean_loss: f64,
    /// Accuracy before the first flip.
    pub clean_accuracy: f64,
    /// Bits flipped.
    pub flips: u64,
    /// Stored bits that differ in the end: a bit flipped twice does not.
    pub hamming: u64,
    /// Loss after the last flip.
    pub loss: f64,
    /// Accuracy after the last flip.
    pub accuracy: f64,
    /// Test images of which a logit is not finite after the last flip; they count as wrong.
    pub not_finite: u64,
    /// Why it ended.
    pub stopped_by: Stop,
}

/// One attack: a model, one batch, and random flips beside it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackRow {
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
    /// Bits per stored weight.
    pub bits: Bits,
    /// Seed of the training, where the model file says it.
    pub training_seed: Option<u64>,
    /// Number of the attack on this model, from 0; the same batch for all models.
    pub restart: u32,
    /// Where the batch comes from.
    pub attack_data: Split,
    /// Images of the batch.
    pub batch: u32,
    /// Weights that each layer offers.
    pub k_top: u32,
    /// Test images that the accuracy is measured on.
    pub images: u64,
    /// Most flips.
    pub most_flips: u64,
    /// Accuracy at which the attack ends.
    pub target: f64,
    /// Accuracy before the first flip.
    pub clean_accuracy: f64,
    /// Loss on the batch before the first flip, in nats.
    pub clean_loss: f64,
    /// Bits flipped.
    pub flips: u64,
    /// Stored bits that differ in the end.
    pub hamming: u64,
    /// Accuracy after the last flip.
    pub accuracy: f64,
    /// Loss on the batch after the last flip.
    pub loss: f64,
    /// Why the attack ended.
    pub stopped_by: Stop,
    /// Accuracy after as many flips of bits drawn at random.
    pub random_accuracy: f64,
    /// Test images of which a logit is not finite after the last flip; they count as wrong. `None` where they were not
    /// counted, in tables of schema 3.
    #[serde(default)]
    pub not_finite: Option<u64>,
}

/// One finished attack with its flips.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttackUnit {
    /// What became of it.
    pub row: AttackRow,
    /// Flips of the bit search.
    pub search: Vec<Flip>,
    /// As many random flips.
    pub random: Vec<Flip>,
}
