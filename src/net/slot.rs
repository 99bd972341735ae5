//! Tensors that a graph asks for: name, shape, initial values.

use crate::error::Result;
use crate::seed::{Purpose, Seed};
use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

/// How the values of a tensor start. Random ones are those of a stream of the network's seed, given by its indices.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fill {
    /// One value.
    Constant(f32),
    /// Uniform within a bound of zero.
    Uniform(f64, [u64; 2]),
    /// Normal with a deviation.
    Normal(f64, [u64; 2]),
}

impl Default for Fill {
    /// Zero: the values come from a file.
    fn default() -> Self {
        Self::Constant(0.0)
    }
}

/// A tensor of a network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slot {
    /// Name in the state dict; of a weight that of its layer.
    pub(super) name: String,
    pub(super) shape: Vec<usize>,
    #[serde(skip)]
    fill: Fill,
}

impl Slot {
    pub(super) fn new(name: impl Into<String>, shape: Vec<usize>, fill: Fill) -> Self {
        let name = name.into();
        Self { name, shape, fill }
    }

    /// Its initial values on a device.
    pub(super) fn fresh(&self, seed: Seed, device: &Device) -> Result<Tensor> {
        let shape = self.shape.as_slice();
        let stream = |indices: &[u64]| seed.stream(Purpose::Weights, indices);
        let values = match self.fill {
            Fill::Constant(value) => return Ok(Tensor::full(value, shape, device)?),
            Fill::Uniform(bound, indices) => stream(&indices).uniform_tensor(-bound, bound, shape),
            Fill::Normal(deviation, indices) => stream(&indices).normal_tensor(deviation, shape),
        };
        Ok(values?.to_device(device)?)
    }
}
