//! The plain evaluation by candle's own operations: on a GPU, and as the oracle of the fast one.

use super::images::Images;
use super::score::{Score, Tally};
use super::{Evaluator, NEVER};
use crate::code::Word;
use crate::error::{Error, Result, TensorContext};
use crate::net::Network;
use candle_core::{DType, Device, Tensor};
use std::sync::atomic::{AtomicBool, Ordering};

/// An evaluator's network on candle tensors: every faulty layer is read back from its words, then the network
/// runs forward.
#[derive(Debug)]
pub struct Plain<'a> {
    evaluator: &'a Evaluator,
    clean: Vec<Tensor>,
}

impl<'a> Plain<'a> {
    /// Takes the clean weights, or reads them where the evaluator keeps none.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn new(evaluator: &'a Evaluator) -> Result<Self> {
        let clean = match &evaluator.on_device {
            Some(weights) => weights.clone(),
            None => evaluator.network.effective_weights()?,
        };
        Ok(Self { evaluator, clean })
    }

    /// As [`Evaluator::clean`].
    ///
    /// # Errors
    /// A tensor failure.
    pub fn clean(&self, images: &Images) -> Result<Score> {
        score(&self.evaluator.network, &self.clean, images)
    }

    /// As [`Evaluator::faulty`].
    ///
    /// # Errors
    /// As [`Evaluator::faulty`].
    pub fn faulty(&self, faults: &[(usize, Word)], images: &Images) -> Result<Score> {
        Ok(self.tally(faults, images, &NEVER)?.score())
    }

    /// Right and wrong answers of [`Self::faulty`].
    pub(super) fn tally(
        &self,
        faults: &[(usize, Word)],
        images: &Images,
        cancel: &AtomicBool,
    ) -> Result<Tally> {
        let weights = self.weights(faults)?;
        tally(&self.evaluator.network, images, cancel, || Ok(&weights))
    }

    /// As [`Evaluator::logits`].
    ///
    /// # Errors
    /// As [`Evaluator::faulty`].
    pub fn logits(&self, faults: &[(usize, Word)], images: &Images) -> Result<Vec<f32>> {
        let (weights, mut all) = (self.weights(faults)?, Vec::new());
        let network = &self.evaluator.network;
        let add = |_: usize, logits: &[f32]| all.extend_from_slice(logits);
        visit(network, images, &NEVER, || Ok(&weights), add)?;
        Ok(all)
    }

    /// Right and wrong answers where each batch reads other words.
    pub(super) fn tally_by_access(
        &self,
        images: &Images,
        mut faults: impl FnMut(u64) -> Result<Vec<(usize, Word)>>,
        cancel: &AtomicBool,
    ) -> Result<Tally> {
        let mut access = 0;
        tally(&self.evaluator.network, images, cancel, || {
            access += 1;
            self.weights(&faults(access - 1)?)
        })
    }

    /// Weights of all layers with some words read otherwise.
    pub(super) fn weights(&self, faults: &[(usize, Word)]) -> Result<Vec<Tensor>> {
        let mut weights = self.clean.clone();
        let faulty = self.evaluator.faulty_weights(faults)?;
        for faults in faulty.chunk_by(|a, b| a.0 == b.0) {
            let layer = faults[0].0 as usize;
            let Some(stored) = &self.evaluator.stored[layer] else {
                continue;
            };
            let mut values = stored.values();
            faults
                .iter()
                .for_each(|&(_, index, value)| values[index as usize] = value);
            let tensor = Tensor::from_vec(values, stored.shape.as_slice(), &Device::Cpu)?;
            weights[layer] = tensor.to_device(self.evaluator.network.device())?;
        }
        Ok(weights)
    }
}

/// Score of a network with given weights, one per layer in memory order.
///
/// # Errors
/// A tensor failure.
pub(super) fn score(network: &Network, weights: &[Tensor], images: &Images) -> Result<Score> {
    Ok(tally(network, images, &NEVER, || Ok(weights))?.score())
}

/// Answers of a network whose weights are asked for anew for each batch.
fn tally<W: AsRef<[Tensor]>>(
    network: &Network,
    images: &Images,
    cancel: &AtomicBool,
    weights: impl FnMut() -> Result<W>,
) -> Result<Tally> {
    let mut tally = Tally::default();
    visit(network, images, cancel, weights, |image, logits| {
        tally.add(logits, images.goal(image));
    })?;
    Ok(tally)
}

/// Calls `visit(image, logits)` for each image, with weights that are asked for anew for each batch.
fn visit<W: AsRef<[Tensor]>>(
    network: &Network,
    images: &Images,
    cancel: &AtomicBool,
    mut weights: impl FnMut() -> Result<W>,
    mut visit: impl FnMut(usize, &[f32]),
) -> Result<()> {
    let mut image = 0;
    for batch in images.batches() {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let logits = network.logits(&batch?, weights()?.as_ref())?;
        let logits = logits
            .to_dtype(DType::F32)
            .and_then(|l| l.to_vec2::<f32>())
            .during(|| "logits".into())?;
        for logits in &logits {
            visit(image, logits);
            image += 1;
        }
    }
    Ok(())
}
