//! What a network computes, node by node: the one description that training, evaluation, gradients and shapes use.

use super::convolution;
use super::general::{with_bias, General, GeneralConvolution, Windows};
use super::norm::BatchNorm;
use super::pass::{Pass, Route, Tensors};
use super::shape::checked_count;
use super::slot::Slot;
use crate::error::{refuse, Result, TensorContext};
use crate::kernel::{conv2d, max_pool, Levels};
use candle_core::Tensor;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A value of a graph: 0 is the batch of images, `n` what node `n - 1` gives.
pub type Value = usize;

/// An operation on earlier values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Node {
    pub(super) op: Op,
    pub(super) inputs: Vec<Value>,
}

/// What a node computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Op {
    /// Convolution of images [batch, channels, height, width].
    Convolution(Convolution),
    /// Convolution of images, of any form.
    GeneralConvolution(GeneralConvolution),
    /// Linear layer over the last dimension.
    Linear(Linear),
    /// Batch norm of images.
    BatchNorm(BatchNormNode),
    /// Layer norm over the last dimension.
    LayerNorm(LayerNormNode),
    /// Zero in place of what is below zero.
    Relu,
    /// `x · Φ(x)` (Hendrycks and Gimpel, 2016).
    Gelu,
    /// Softmax over the last dimension.
    Softmax,
    /// Sum of two values; one of batch size 1 is added to all.
    Add,
    /// Product with a number.
    Scale(f64),
    /// Matrix product over the last two dimensions of two values.
    MatMul,
    /// Greatest value of each window of images.
    MaxPool(MaxPool),
    /// Every second pixel of every second row, missing channels zero, half in front and half behind.
    PaddedShortcut {
        /// Channels of the result.
        channels: usize,
    },
    /// Mean over all pixels: vectors.
    ChannelMean,
    /// A trained tensor that depends on no input: its number among the parameters.
    Parameter(usize),
    /// A fixed tensor: its number among the buffers.
    Buffer(usize),
    /// Other dimensions; the one that is `None` takes the batch, whatever its size.
    Reshape(Vec<Option<usize>>),
    /// Dimensions in another order.
    Transpose(Vec<usize>),
    /// A range of a dimension.
    Slice {
        axis: usize,
        start: usize,
        length: usize,
    },
    /// One value behind the other along a dimension; one of batch size 1 stands before each.
    Concat { axis: usize },
    /// What networks of our own do not need.
    General(General),
    /// A value in the activation memory, as codes: the tensor's number there. No file has it: it follows from the model's
    /// [`Activations`](super::activations::Activations).
    #[serde(skip)]
    Stored {
        tensor: usize,
        levels: Levels,
        /// Its range among the parameters, while a training moves it; what the levels say is where it began.
        range: Option<usize>,
    },
}

/// A square convolution: `w * x + bias`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Convolution {
    /// Layer whose weight [outputs, inputs, k, k] it uses, in memory order.
    pub(super) layer: usize,
    /// Its number among the parameters.
    pub(super) bias: Option<usize>,
    pub(super) stride: usize,
    /// Zeros on each side.
    pub(super) padding: usize,
}

/// A linear layer: `w x + bias`, or with the weight transposed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Linear {
    /// Layer whose weight [outputs, inputs] it uses, in memory order.
    pub(super) layer: usize,
    /// Its number among the parameters.
    pub(super) bias: Option<usize>,
    /// The weight is used as [inputs, outputs]: another node shares it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) transposed: bool,
}

/// A batch norm: its tensors by their numbers among the parameters and buffers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BatchNormNode {
    pub(super) scale: usize,
    pub(super) shift: usize,
    pub(super) running_mean: usize,
    pub(super) running_var: usize,
    /// Added to the variance.
    pub(super) epsilon: f64,
}

/// A layer norm: its tensors by their numbers among the parameters.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LayerNormNode {
    pub(super) scale: usize,
    pub(super) shift: usize,
    /// Added to the variance.
    pub(super) epsilon: f64,
}

/// Square windows of a pooling; the padding, less than `size`, never wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaxPool {
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

/// Nodes in an order in which inputs come first; the last one gives the logits [batch, classes]. It holds no tensors, but
/// says which there are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub(super) struct Graph {
    nodes: Vec<Node>,
    /// For each value that is read the nodes that do, one that reads it twice twice.
    #[serde(skip)]
    readers: BTreeMap<Value, Vec<usize>>,
    /// Weights of layers, in memory order.
    pub(super) layers: Vec<Slot>,
    /// What else is trained.
    pub(super) parameters: Vec<Slot>,
    /// Running statistics.
    pub(super) buffers: Vec<Slot>,
}

/// A graph as a file has it, which may name what is not there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    nodes: Vec<Node>,
    layers: Vec<Slot>,
    parameters: Vec<Slot>,
    buffers: Vec<Slot>,
}

impl TryFrom<Written> for Graph {
    type Error = String;

    fn try_from(written: Written) -> std::result::Result<Self, String> {
        let mut graph = Self {
            layers: written.layers,
            parameters: written.parameters,
            buffers: written.buffers,
            ..Self::default()
        };
        for (at, node) in written.nodes.into_iter().enumerate() {
            if node.inputs.iter().any(|value| *value > at) || !graph.holds(&node.op) {
                return Err(format!("node {at} reads what is not there: {node:?}"));
            }
            graph.push(node.op, &node.inputs);
        }
        Ok(graph)
    }
}

impl Graph {
    /// Adds a node; gives its value.
    pub(super) fn push(&mut self, op: Op, inputs: &[Value]) -> Value {
        for value in inputs {
            let readers = self.readers.entry(*value).or_default();
            readers.push(self.nodes.len());
        }
        let inputs = inputs.to_vec();
        self.nodes.push(Node { op, inputs });
        self.nodes.len()
    }

    /// Whether the tensors that an operation names are there.
    fn holds(&self, op: &Op) -> bool {
        let parameters = |all: &[usize]| all.iter().all(|at| *at < self.parameters.len());
        let buffers = |all: &[usize]| all.iter().all(|at| *at < self.buffers.len());
        let others = match op {
            Op::Convolution(Convolution { bias, .. })
            | Op::Linear(Linear { bias, .. })
            | Op::GeneralConvolution(GeneralConvolution { bias, .. }) => {
                parameters(bias.as_slice())
            }
            Op::BatchNorm(norm) => {
                parameters(&[norm.scale, norm.shift])
                    && buffers(&[norm.running_mean, norm.running_var])
            }
            Op::LayerNorm(norm) => parameters(&[norm.scale, norm.shift]),
            Op::Parameter(at) => parameters(&[*at]),
            Op::Buffer(at) => buffers(&[*at]),
            _ => true,
        };
        others && op.layer().is_none_or(|at| at < self.layers.len())
    }

    /// Numbers in all tensors; `None` where that is beyond counting.
    pub(super) fn numbers(&self) -> Option<usize> {
        let slots = self
            .layers
            .iter()
            .chain(&self.parameters)
            .chain(&self.buffers);
        slots
            .map(|slot| checked_count(&slot.shape))
            .try_fold(0usize, |sum, count| sum.checked_add(count?))
    }

    /// Its tensors alone.
    pub(super) fn without_nodes(&self) -> Self {
        Self {
            nodes: Vec::new(),
            readers: BTreeMap::new(),
            ..self.clone()
        }
    }

    /// Without a last softmax: what is left are the logits.
    pub(super) fn without_softmax(mut self) -> (Self, bool) {
        let last = self.nodes.len();
        let is_softmax = |node: &Node| matches!(node.op, Op::Softmax) && node.inputs == [last - 1];
        let softmax = self.nodes.last().is_some_and(is_softmax);
        if softmax && last > 1 {
            self.nodes.pop();
            // of the value before the last one nothing but the last node can be a reader
            self.readers.remove(&(last - 1));
        }
        (self, softmax && last > 1)
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The nodes that read a value, one that reads it twice twice.
    pub(super) fn readers(&self, value: Value) -> &[usize] {
        self.readers.get(&value).map_or(&[], Vec::as_slice)
    }
}

impl Op {
    /// Pixels of a window, where there are windows.
    pub(super) fn windows(&self, graph: &Graph) -> Option<usize> {
        let kernel: &[usize] = match self {
            Self::Convolution(own) => graph.layers.get(own.layer)?.shape.get(2..)?,
            Self::GeneralConvolution(own) => &own.windows.kernel,
            Self::General(General::Pool(own)) => &own.windows.kernel,
            Self::MaxPool(own) => return Some(own.size.saturating_mul(own.size)),
            _ => return None,
        };
        Some(
            kernel
                .iter()
                .fold(1usize, |all, side| all.saturating_mul(*side)),
        )
    }

    /// The layer whose weight it uses.
    pub(super) fn layer(&self) -> Option<usize> {
        match self {
            Self::Convolution(Convolution { layer, .. })
            | Self::GeneralConvolution(GeneralConvolution { layer, .. })
            | Self::Linear(Linear { layer, .. }) => Some(*layer),
            _ => None,
        }
    }

    /// Groups of channels that see inputs of their own.
    pub(super) fn groups(&self) -> u64 {
        match self {
            Self::GeneralConvolution(convolution) => convolution.groups as u64,
            _ => 1,
        }
    }

    /// The place that names the layer whose weight it uses.
    pub(super) fn layer_mut(&mut self) -> Option<&mut usize> {
        match self {
            Self::Convolution(Convolution { layer, .. })
            | Self::GeneralConvolution(GeneralConvolution { layer, .. })
            | Self::Linear(Linear { layer, .. }) => Some(layer),
            _ => None,
        }
    }
}

impl Convolution {
    /// By candle's own operations, on every device.
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let weight = &pass.weights[self.layer];
        let y = if pass.route == Route::Gpu {
            convolution::conv2d(x, weight, self.stride, self.padding)?
        } else {
            x.conv2d(weight, self.padding, self.stride, 1, 1)
                .during(|| format!("convolution of {:?} with {:?}", x.dims(), weight.dims()))?
        };
        Ok(with_bias(y, self.bias, pass)?)
    }

    /// The same convolution in the general form.
    pub(super) fn general(&self, graph: &Graph) -> GeneralConvolution {
        let kernel = graph.layers[self.layer].shape.last().copied();
        GeneralConvolution {
            layer: self.layer,
            bias: self.bias,
            windows: Windows::of_square(kernel.unwrap_or_default(), self.stride, self.padding),
            groups: 1,
        }
    }

    /// Channels of the result.
    pub(super) fn outputs(&self, pass: &Pass) -> usize {
        pass.weights[self.layer].dims()[0]
    }

    /// To blocked images by the kernels, without the bias.
    pub(super) fn forward_blocked(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        conv2d(x, &pass.weights[self.layer], self.stride, self.padding)
    }

    /// Whether the kernels have its stride, of images of so many channels.
    pub(super) fn fits_kernels(&self, pass: &Pass) -> bool {
        let few = matches!(pass.weights[self.layer].dims()[1], 1 | 6);
        self.stride == 1 || (self.stride == 2 && !few)
    }

    /// To blocked images by the kernels, with what stands behind: `relu(max_pool(w * x + bias))`.
    pub(super) fn pooled_blocked(&self, x: &Tensor, size: usize, pass: &Pass) -> Result<Tensor> {
        let y = self.forward_blocked(x, pass)?;
        let bias = match self.bias {
            Some(bias) => pass.tensors.parameter(bias).clone(),
            None => Tensor::zeros(self.outputs(pass), y.dtype(), y.device())?,
        };
        max_pool(&y, &bias, size)
    }
}

impl BatchNormNode {
    /// With its tensors.
    pub(super) fn norm(self, tensors: Tensors) -> BatchNorm {
        let parameter = |at: usize| tensors.parameters[at].var.clone();
        let buffer = |at: usize| tensors.buffers[at].1.clone();
        BatchNorm {
            scale: parameter(self.scale),
            shift: parameter(self.shift),
            running_mean: buffer(self.running_mean),
            running_var: buffer(self.running_var),
            epsilon: self.epsilon,
        }
    }
}

impl Linear {
    /// Outputs and inputs of a weight of this shape; `None` where it is no matrix.
    pub(super) fn sizes(&self, weight: &[usize]) -> Option<[usize; 2]> {
        match (weight, self.transposed) {
            ([outputs, inputs], false) | ([inputs, outputs], true) => Some([*outputs, *inputs]),
            _ => None,
        }
    }

    /// By candle's own operations, on every device.
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let weight = &pass.weights[self.layer];
        let Some((inputs, before)) = x.dims().split_last() else {
            let expected = "a batch of vectors";
            return refuse("linear layer", expected, "a number");
        };
        let apply = || {
            let rows = x.reshape(((), *inputs))?;
            let y = if self.transposed {
                rows.matmul(weight)?
            } else {
                rows.matmul(&weight.t()?)?
            };
            let y = match self.bias {
                Some(bias) => {
                    y.broadcast_add(&pass.tensors.parameter(bias).to_dtype(y.dtype())?)?
                }
                None => y,
            };
            let outputs = y.dim(1)?;
            y.reshape([before, &[outputs]].concat())
        };
        apply().during(|| format!("linear layer {:?} of {:?}", weight.dims(), x.dims()))
    }
}
