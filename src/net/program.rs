//! What a network computes in evaluation, step by step, for those who compile it; running it is for others.

use super::graph::{Op, Value};
use super::network::Parameter;
use super::pass::Tensors;
use crate::error::{Error, Result};
use crate::kernel::{Levels, RowFunction, Windows};
use candle_core::{DType, Device, Tensor, Var};
use std::sync::Arc;

/// One step. Values are images [channels, height, width], vectors, or numbers of any shape.
#[derive(Clone, Debug)]
pub enum Step {
    /// Convolution: `relu(w * x · scale + shift + add)`.
    Convolution {
        /// Images.
        input: Value,
        /// Layer whose weight it uses, in memory order.
        layer: usize,
        /// Where its windows lie.
        windows: Windows,
        /// Groups of channels that see inputs of their own: the weight is [outputs, inputs / groups, rows, columns].
        groups: usize,
        /// Factor per output channel: a folded batch norm; `None` means 1.
        scale: Option<Vec<f32>>,
        /// Summand per output channel.
        shift: Vec<f32>,
        /// Images of the result's shape that are added.
        add: Option<Value>,
        /// Negative results become 0.
        relu: bool,
        /// Results above it become it.
        ceiling: Option<f32>,
    },
    /// Greatest value of each window of `size` x `size` pixels that lies in the padded image; the padding, less
    /// than `size`, never wins.
    MaxPool {
        /// Images.
        input: Value,
        /// Side of a window.
        size: usize,
        /// Pixels from a window to the next.
        stride: usize,
        /// Pixels on each side that are not there.
        padding: usize,
        /// Negative results become 0.
        relu: bool,
    },
    /// Mean of the pixels of each window.
    MeanPool {
        /// Images.
        input: Value,
        /// Where its windows lie.
        windows: Windows,
        /// Zeros of the padding count as pixels.
        padded: bool,
    },
    /// Every second pixel of every second row, missing channels zero, half in front and half behind.
    PaddedShortcut {
        /// Images.
        input: Value,
        /// Channels of the result.
        channels: usize,
    },
    /// Mean over all pixels: a vector.
    ChannelMean {
        /// Images.
        input: Value,
    },
    /// `relu(w x + shift)`; images are taken as [channels · height · width].
    Linear {
        /// Images or a vector.
        input: Value,
        /// Layer whose weight [outputs, inputs] it uses, in memory order.
        layer: usize,
        /// Summand per output.
        shift: Vec<f32>,
        /// Negative results become 0.
        relu: bool,
    },
    /// `relu(w x + shift + add)` of each row of numbers.
    Product {
        /// Rows, one behind the other.
        input: Value,
        /// Layer whose weight [outputs, inputs] it uses, in memory order.
        layer: usize,
        /// Shape of the result for one image.
        shape: Vec<usize>,
        /// Summand per output.
        shift: Vec<f32>,
        /// Rows of the result's length that are added.
        add: Option<Value>,
        /// Negative results become 0.
        relu: bool,
    },
    /// A function of rows of numbers.
    Rows {
        /// Which one.
        function: RowFunction,
        /// One value or two.
        inputs: Vec<Value>,
        /// Shape of the result for one image.
        shape: Vec<usize>,
    },
    /// Numbers of other values in other places.
    Moved(Moved),
    /// What no kernel knows.
    General(GeneralStep),
    /// A value in the activation memory: rounded to the levels of its codes, in its own place, which nothing else reads.
    Stored {
        /// Any value.
        input: Value,
        /// Its number in the activation memory.
        tensor: usize,
        /// The levels.
        levels: Levels,
    },
}

/// Numbers of other values in other places.
#[derive(Clone, Debug)]
pub struct Moved {
    /// Shape of the result for one image.
    pub shape: Vec<usize>,
    /// Numbers that depend on no image, with their places.
    pub fixed: Vec<(u32, f32)>,
    /// Values with places in the result and in the value, by rising place in the result.
    pub parts: Vec<(Value, Vec<[u32; 2]>)>,
}

impl Step {
    /// The values that the step reads.
    pub fn inputs(&self) -> Vec<Value> {
        match self {
            Self::General(step) => step.values().collect(),
            Self::Moved(moved) => moved.parts.iter().map(|(value, _)| *value).collect(),
            Self::Rows { inputs, .. } => inputs.clone(),
            Self::Convolution { input, add, .. } | Self::Product { input, add, .. } => {
                std::iter::once(*input).chain(*add).collect()
            }
            Self::MaxPool { input, .. }
            | Self::MeanPool { input, .. }
            | Self::PaddedShortcut { input, .. }
            | Self::ChannelMean { input }
            | Self::Linear { input, .. }
            | Self::Stored { input, .. } => vec![*input],
        }
    }
}

/// A node by candle's own operations, for one image at a time: so its result is the same in any batch.
#[derive(Clone, Debug)]
pub struct GeneralStep {
    /// Its layer, where it has one, is number 0.
    pub(super) op: Op,
    pub(super) inputs: Vec<Input>,
    pub(super) shape: Vec<usize>,
    pub(super) layer: Option<usize>,
    pub(super) multiplications: usize,
    pub(super) held: Arc<Held>,
}

/// What such a node reads.
#[derive(Clone, Debug)]
pub(super) enum Input {
    /// A value, as one of this shape.
    Value(Value, Vec<usize>),
    /// What depends on no image.
    Constant(Tensor),
}

/// Copies of the tensors of a network beside its weights.
#[derive(Debug)]
pub(super) struct Held {
    parameters: Vec<Parameter>,
    buffers: Vec<(String, Var)>,
}

impl Held {
    pub(super) fn copy_of(tensors: Tensors) -> Result<Self> {
        let copy = |var: &Var| Var::from_tensor(&var.as_detached_tensor().copy()?);
        let parameter = |own: &Parameter| {
            Ok(Parameter {
                name: own.name.clone(),
                var: copy(&own.var)?,
                role: own.role,
            })
        };
        let buffer = |(name, var): &(String, Var)| Ok((name.clone(), copy(var)?));
        Ok(Self {
            parameters: tensors
                .parameters
                .iter()
                .map(parameter)
                .collect::<Result<_>>()?,
            buffers: tensors.buffers.iter().map(buffer).collect::<Result<_>>()?,
        })
    }

    pub(super) fn forward(&self, op: &Op, inputs: &[Tensor], weights: &[Tensor]) -> Result<Tensor> {
        let tensors = Tensors {
            parameters: &self.parameters,
            buffers: &self.buffers,
        };
        op.alone(inputs, DType::F32, tensors, weights)
    }
}

impl GeneralStep {
    /// The values that it reads, in the order in which [`Self::forward`] takes their numbers.
    pub fn values(&self) -> impl Iterator<Item = Value> + '_ {
        self.inputs.iter().filter_map(|input| match input {
            Input::Value(value, _) => Some(*value),
            Input::Constant(_) => None,
        })
    }

    /// Shape of the result for one image.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Layer whose weight it uses, in memory order.
    pub fn layer(&self) -> Option<usize> {
        self.layer
    }

    /// Multiplications for one image.
    pub fn multiplications(&self) -> usize {
        self.multiplications
    }

    /// The result for one image, of the row-major numbers of each value that it reads and of the weight of its layer.
    ///
    /// # Errors
    /// A tensor failure; [`Error::Argument`] where there are fewer values than it reads.
    pub fn forward(&self, values: Vec<Vec<f32>>, weight: Option<&Tensor>) -> Result<Tensor> {
        let mut values = values.into_iter();
        let mut tensor = |input: &Input| match input {
            Input::Constant(tensor) => Ok(tensor.clone()),
            Input::Value(value, shape) => {
                let missing = || Error::argument("step", format!("value {value}"), "none");
                let numbers = values.next().ok_or_else(missing)?;
                Ok(Tensor::from_vec(numbers, shape.as_slice(), &Device::Cpu)?)
            }
        };
        let inputs: Vec<Tensor> = self.inputs.iter().map(&mut tensor).collect::<Result<_>>()?;
        let result =
            self.held
                .forward(&self.op, &inputs, weight.map_or(&[], std::slice::from_ref))?;
        Ok(result.contiguous()?)
    }
}
