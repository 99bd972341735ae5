//! Puts the graph of a known architecture together: nodes, and the tensors they use with names, order and initial values.

use super::graph::{BatchNormNode, Convolution, Graph, LayerNormNode, Linear, Op, Value};
use super::norm::EPSILON;
use super::slot::{Fill, Slot};

/// How initial weights are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// Uniform in ±1/√fan-in: PyTorch's default for convolutions and linear layers.
    Uniform,
    /// Normal with variance 2/fan-in (He et al., 2015).
    KaimingNormal,
    /// Normal with deviation 0.02, biases zero: timm's vision transformers (its cut at ±2 lies 100 deviations out).
    SmallNormal,
}

/// Deviation of [`Start::SmallNormal`].
const SMALL: f64 = 0.02;

/// Sizes of a convolution.
#[derive(Clone, Copy)]
pub(super) struct ConvShape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

/// A graph in the making.
pub(super) struct Builder {
    start: Start,
    graph: Graph,
}

impl Builder {
    /// An empty graph whose weights start so.
    pub(super) fn new(start: Start) -> Self {
        Self {
            start,
            graph: Graph::default(),
        }
    }

    /// The graph.
    pub(super) fn finish(self) -> Graph {
        self.graph
    }

    /// A node of what is computed; gives its value.
    pub(super) fn push(&mut self, op: Op, inputs: &[Value]) -> Value {
        self.graph.push(op, inputs)
    }

    /// Nodes one behind the other; gives the value of the last one.
    pub(super) fn chain(&mut self, x: Value, ops: impl IntoIterator<Item = Op>) -> Value {
        ops.into_iter().fold(x, |x, op| self.push(op, &[x]))
    }

    /// A convolution; its weight is stored as `<name>.weight`.
    pub(super) fn conv(&mut self, name: &str, shape: ConvShape, bias: bool) -> Op {
        let fan_in = shape.inputs * shape.kernel * shape.kernel;
        let dims = vec![shape.outputs, shape.inputs, shape.kernel, shape.kernel];
        let layer = self.weight(name, dims, fan_in);
        let bias = bias.then(|| self.bias(name, shape.outputs, fan_in));
        Op::Convolution(Convolution {
            layer,
            bias,
            stride: shape.stride,
            padding: shape.padding,
        })
    }

    /// A convolution without bias and its batch norm.
    pub(super) fn normed(&mut self, conv: &str, norm: &str, shape: ConvShape) -> [Op; 2] {
        let convolution = self.conv(conv, shape, false);
        [convolution, self.batch_norm(norm, shape.outputs)]
    }

    /// A linear layer with bias.
    pub(super) fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Op {
        let layer = self.weight(name, vec![outputs, inputs], inputs);
        let bias = Some(self.bias(name, outputs, inputs));
        Op::Linear(Linear {
            layer,
            bias,
            transposed: false,
        })
    }

    /// A layer norm with scale 1 and shift 0.
    pub(super) fn layer_norm(&mut self, name: &str, features: usize, epsilon: f64) -> Op {
        Op::LayerNorm(LayerNormNode {
            scale: self.constant(&format!("{name}.weight"), 1.0, features),
            shift: self.constant(&format!("{name}.bias"), 0.0, features),
            epsilon,
        })
    }

    /// Batch norm with scale 1, shift 0 and fresh running statistics.
    pub(super) fn batch_norm(&mut self, name: &str, channels: usize) -> Op {
        let scale = self.constant(&format!("{name}.weight"), 1.0, channels);
        let shift = self.constant(&format!("{name}.bias"), 0.0, channels);
        let mut running = |part: &str, value: f32| {
            let name = format!("{name}.{part}");
            let buffers = &mut self.graph.buffers;
            buffers.push(Slot::new(name, vec![channels], Fill::Constant(value)));
            buffers.len() - 1
        };
        Op::BatchNorm(BatchNormNode {
            scale,
            shift,
            running_mean: running("running_mean", 0.0),
            running_var: running("running_var", 1.0),
            epsilon: EPSILON,
        })
    }

    fn weight(&mut self, name: &str, shape: Vec<usize>, fan_in: usize) -> usize {
        let stream = [self.graph.layers.len() as u64, 0];
        let fill = match self.start {
            Start::Uniform => Fill::Uniform(1.0 / (fan_in as f64).sqrt(), stream),
            Start::KaimingNormal => Fill::Normal((2.0 / fan_in as f64).sqrt(), stream),
            Start::SmallNormal => Fill::Normal(SMALL, stream),
        };
        self.graph.layers.push(Slot::new(name, shape, fill));
        self.graph.layers.len() - 1
    }

    /// The bias of the last weight.
    fn bias(&mut self, name: &str, outputs: usize, fan_in: usize) -> usize {
        let stream = [self.graph.layers.len() as u64 - 1, 1];
        let fill = match self.start {
            Start::Uniform | Start::KaimingNormal => {
                Fill::Uniform(1.0 / (fan_in as f64).sqrt(), stream)
            }
            Start::SmallNormal => Fill::Constant(0.0),
        };
        self.parameter(format!("{name}.bias"), vec![outputs], fill)
    }

    /// A vector that starts from one value.
    fn constant(&mut self, name: &str, value: f32, length: usize) -> usize {
        self.parameter(name.into(), vec![length], Fill::Constant(value))
    }

    /// A tensor that no layer holds, normal with deviation 0.02.
    pub(super) fn normal(&mut self, name: &str, shape: Vec<usize>) -> usize {
        let stream = [self.graph.parameters.len() as u64, 2];
        self.parameter(name.into(), shape, Fill::Normal(SMALL, stream))
    }

    fn parameter(&mut self, name: String, shape: Vec<usize>, fill: Fill) -> usize {
        self.graph.parameters.push(Slot::new(name, shape, fill));
        self.graph.parameters.len() - 1
    }
}
