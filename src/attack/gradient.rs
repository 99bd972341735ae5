//! The gradient of the loss with respect to the dequantised weights of a memory as it is now.

use super::memory::Memory;
use crate::engine::{Evaluator, Images};
use crate::error::{Result, TensorContext};
use crate::net::Route;
use candle_core::{Device, Tensor, Var};

/// The images of a batch as one tensor, with their labels, where the network lies.
pub(super) struct Batch {
    images: Tensor,
    labels: Tensor,
}

impl Batch {
    pub(super) fn new(images: &Images, device: &Device) -> Result<Self> {
        let labels =
            Tensor::new(images.labels(), device).during(|| "labels of the attack batch".into())?;
        Ok(Self {
            images: images.tensor()?,
            labels,
        })
    }
}

/// Gradient of the mean cross-entropy of a batch, row-major, layer by layer; empty for float layers. Running
/// statistics normalise, as in evaluation. The route is how they are computed.
///
/// # Errors
/// A tensor failure.
pub(super) fn gradients(
    evaluator: &Evaluator,
    memory: &Memory,
    batch: &Batch,
    route: Route,
) -> Result<Vec<Vec<f32>>> {
    let network = evaluator.network();
    let mut weights = Vec::new();
    let mut attacked: Vec<Option<Var>> = Vec::new();
    for (layer, weight) in network.layers().iter().enumerate() {
        let var = match memory.stored(layer) {
            None => None,
            Some(stored) => {
                let values = stored.read(&memory.words(layer));
                let values = Tensor::from_vec(values, stored.shape.as_slice(), &Device::Cpu)?;
                Some(Var::from_tensor(&values.to_device(network.device())?)?)
            }
        };
        weights.push(match &var {
            Some(var) => var.as_tensor().clone(),
            None => weight.weight().as_detached_tensor(),
        });
        attacked.push(var);
    }
    let logits = network.logits_by(route, &batch.images, &weights)?;
    let backward = || candle_nn::loss::cross_entropy(&logits, &batch.labels)?.backward();
    let gradients = backward().during(|| "gradient of the attack batch".into())?;
    let values = |var: &Option<Var>| match var.as_ref().and_then(|var| gradients.get(var)) {
        None => Ok(Vec::new()),
        Some(gradient) => {
            let flat = || {
                gradient
                    .flatten_all()?
                    .to_device(&Device::Cpu)?
                    .to_vec1::<f32>()
            };
            flat().during(|| "gradient of the attack batch".into())
        }
    };
    attacked.iter().map(values).collect()
}
