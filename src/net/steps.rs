//! A graph as steps, for those who compile it.

use super::general::General;
use super::graph::{Convolution, Graph, Node, Op, Value};
use super::groups::{End, Group};
use super::pass::Tensors;
use super::program::{GeneralStep, Held, Input, Step};
use crate::error::{Error, Result};
use crate::kernel::Windows;
use candle_core::Tensor;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A convolution that the kernels know.
struct Convolved {
    layer: usize,
    bias: Option<usize>,
    windows: Windows,
    depthwise: bool,
}

/// Nothing behind a convolution.
const NOTHING: End = End {
    norm: None,
    add: None,
    relu: false,
    ceiling: None,
};

/// Steps in the making.
struct Steps<'g> {
    graph: &'g Graph,
    tensors: Tensors<'g>,
    /// Of all values, for a batch of one.
    shapes: &'g [Vec<usize>],
    steps: Vec<Step>,
    /// The steps' number of each value; `None` of those that no step has given yet.
    numbers: Vec<Option<Value>>,
    /// Values that depend on no image and no weight.
    constants: BTreeMap<Value, Tensor>,
    held: Option<Arc<Held>>,
}

impl Graph {
    /// What the graph computes in evaluation for images of this shape, as steps with batch norms folded.
    pub(super) fn program(&self, tensors: Tensors, images: [usize; 3]) -> Result<Vec<Step>> {
        let shapes = self.shapes(images)?;
        let mut numbers = vec![None; self.nodes().len() + 1];
        numbers[0] = Some(0);
        let mut steps = Steps {
            graph: self,
            tensors,
            shapes: &shapes,
            steps: Vec::new(),
            numbers,
            constants: BTreeMap::new(),
            held: None,
        };
        for (group, value) in self.groups(&shapes) {
            steps.group(&group, value)?;
        }
        // the last step gives the logits
        steps.number(self.nodes().len())?;
        Ok(steps.steps)
    }
}

impl Steps<'_> {
    /// Adds the steps of a group that gives a value.
    fn group(&mut self, group: &Group, value: Value) -> Result<()> {
        match *group {
            Group::Convolution {
                convolution,
                input,
                end,
            } => self.convolution(&self.square(convolution), input, &end)?,
            Group::General {
                convolution,
                input,
                end,
            } => {
                let weight = &self.graph.layers[convolution.layer].shape;
                let windows = convolution.on_kernels(weight, &self.shapes[input]);
                let Some((windows, depthwise)) = windows else {
                    let expected = "a convolution that the kernels know";
                    return Err(Error::argument(
                        "graph",
                        expected,
                        format!("{convolution:?}"),
                    ));
                };
                let convolution = Convolved {
                    layer: convolution.layer,
                    bias: convolution.bias,
                    windows,
                    depthwise,
                };
                self.convolution(&convolution, input, &end)?;
            }
            Group::Pooled {
                convolution,
                size,
                input,
            } => {
                self.convolution(&self.square(convolution), input, &NOTHING)?;
                self.steps.push(Step::MaxPool {
                    input: self.steps.len(),
                    size,
                    stride: size,
                    padding: 0,
                    relu: true,
                });
            }
            Group::MaxPool { pool, input, relu } => {
                let input = self.number(input)?;
                self.steps.push(Step::MaxPool {
                    input,
                    size: pool.size,
                    stride: pool.stride,
                    padding: pool.padding,
                    relu,
                });
            }
            Group::Linear {
                linear,
                input,
                relu,
            } => {
                let input = self.number(input)?;
                let shift = self.shift(linear.layer, linear.bias)?;
                self.steps.push(Step::Linear {
                    input,
                    layer: linear.layer,
                    shift,
                    relu,
                });
            }
            Group::Other(node) => return self.node(node, value),
        }
        self.numbers[value] = Some(self.steps.len());
        Ok(())
    }

    /// Adds a node alone.
    fn node(&mut self, node: &Node, value: Value) -> Result<()> {
        let is_image = |value: Value| matches!(self.shapes[value][..], [1, _, _, _]);
        match (&node.op, &node.inputs[..]) {
            // who reads images as vectors takes them as they lie
            (Op::Reshape(dims), [input]) if matches!(dims[..], [None, Some(_)]) => {
                match self.constants.get(input) {
                    None => {
                        self.numbers[value] = self.numbers[*input];
                        return Ok(());
                    }
                    Some(_) => self.general(node, value)?,
                }
            }
            (Op::ChannelMean, [input]) if is_image(*input) => {
                let input = self.number(*input)?;
                self.steps.push(Step::ChannelMean { input });
            }
            (Op::General(General::Pool(pool)), [input]) if is_image(*input) => {
                match pool.mean_on_kernels() {
                    Some((windows, padded)) => {
                        let input = self.number(*input)?;
                        self.steps.push(Step::MeanPool {
                            input,
                            windows,
                            padded,
                        });
                    }
                    None => self.general(node, value)?,
                }
            }
            (Op::PaddedShortcut { channels }, [input]) => {
                let (input, channels) = (self.number(*input)?, *channels);
                self.steps.push(Step::PaddedShortcut { input, channels });
            }
            _ => self.general(node, value)?,
        }
        if !self.constants.contains_key(&value) {
            self.numbers[value] = Some(self.steps.len());
        }
        Ok(())
    }

    /// Adds a node that no kernel knows, or computes it now where that is once and for all.
    fn general(&mut self, node: &Node, value: Value) -> Result<()> {
        let mut op = node.op.clone();
        let layer = op.layer_mut().map(std::mem::take);
        let inputs = node
            .inputs
            .iter()
            .map(|value| match self.constants.get(value) {
                Some(tensor) => Input::Constant(tensor.clone()),
                None => Input::Value(
                    self.numbers[*value].unwrap_or_default(),
                    self.shapes[*value].clone(),
                ),
            });
        let step = GeneralStep {
            op,
            inputs: inputs.collect(),
            shape: self.shapes[value].clone(),
            layer,
            multiplications: self.multiplications(node, layer, value),
            held: self.held()?,
        };
        if layer.is_none() && step.values().next().is_none() {
            let constant = step.forward(Vec::new(), None)?;
            self.constants.insert(value, constant);
        } else {
            self.steps.push(Step::General(step));
        }
        Ok(())
    }

    /// The steps' number of a value; a constant becomes a step that gives it.
    fn number(&mut self, value: Value) -> Result<Value> {
        if let Some(number) = self.numbers[value] {
            return Ok(number);
        }
        let constant = self.constants.get(&value).cloned();
        let step = GeneralStep {
            op: Op::Scale(1.0),
            inputs: constant.map(Input::Constant).into_iter().collect(),
            shape: self.shapes[value].clone(),
            layer: None,
            multiplications: 0,
            held: self.held()?,
        };
        self.steps.push(Step::General(step));
        self.numbers[value] = Some(self.steps.len());
        Ok(self.steps.len())
    }

    fn held(&mut self) -> Result<Arc<Held>> {
        if let Some(held) = &self.held {
            return Ok(Arc::clone(held));
        }
        let held = Arc::new(Held::copy_of(self.tensors)?);
        self.held = Some(Arc::clone(&held));
        Ok(held)
    }

    /// Multiplications of weights or of a product of two values, for one image.
    fn multiplications(&self, node: &Node, layer: Option<usize>, value: Value) -> usize {
        let outputs: usize = self.shapes[value].iter().product();
        let terms = match (&node.op, layer) {
            (Op::Linear(_) | Op::MatMul, _) => self.shapes[node.inputs[0]].last().copied(),
            (_, Some(layer)) => Some(self.graph.layers[layer].shape[1..].iter().product()),
            _ => None,
        };
        outputs * terms.unwrap_or(0)
    }

    /// A convolution of square kernel.
    fn square(&self, convolution: &Convolution) -> Convolved {
        let kernel = self.graph.layers[convolution.layer].shape.last().copied();
        let (stride, padding) = (convolution.stride, convolution.padding);
        Convolved {
            layer: convolution.layer,
            bias: convolution.bias,
            windows: Windows::square(kernel.unwrap_or_default(), stride, padding),
            depthwise: false,
        }
    }

    /// Adds a convolution with what stands behind it.
    fn convolution(&mut self, convolution: &Convolved, input: Value, end: &End) -> Result<()> {
        let input = self.number(input)?;
        let add = end.add.map(|value| self.number(value)).transpose()?;
        let mut shift = self.shift(convolution.layer, convolution.bias)?;
        let mut scale = None;
        if let Some(norm) = end.norm {
            let (factors, summands) = norm.norm(self.tensors).folded()?;
            let biases = shift.iter().zip(&factors).zip(summands);
            shift = biases.map(|((bias, f), s)| bias * f + s).collect();
            scale = Some(factors);
        }
        self.steps.push(Step::Convolution {
            input,
            layer: convolution.layer,
            windows: convolution.windows,
            depthwise: convolution.depthwise,
            scale,
            shift,
            add,
            relu: end.relu,
            ceiling: end.ceiling.map(|ceiling| ceiling as f32),
        });
        Ok(())
    }

    /// A layer's biases; zeros where it has none.
    fn shift(&self, layer: usize, bias: Option<usize>) -> Result<Vec<f32>> {
        match bias {
            Some(bias) => self.tensors.values(bias),
            None => Ok(vec![0.0; self.graph.layers[layer].shape[0]]),
        }
    }
}
