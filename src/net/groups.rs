//! Nodes of a graph that one kernel computes at once.

use super::graph::{BatchNormNode, Convolution, Graph, Linear, MaxPool, Node, Op, Value};
use super::pass::Tensors;
use super::program::Step;
use crate::error::Result;

/// Nodes that belong together: nothing but the last one's value is read by others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Group<'g> {
    /// `relu(norm(w * x + bias) + add)`.
    Convolution {
        convolution: &'g Convolution,
        norm: Option<&'g BatchNormNode>,
        input: Value,
        add: Option<Value>,
        relu: bool,
    },
    /// `relu(max_pool(w * x + bias))`, windows of `size` pixels side by side.
    Pooled {
        convolution: &'g Convolution,
        size: usize,
        input: Value,
    },
    /// `relu(max_pool(x))`.
    MaxPool {
        pool: MaxPool,
        input: Value,
        relu: bool,
    },
    /// `relu(w x + bias)`.
    Linear {
        linear: &'g Linear,
        input: Value,
        relu: bool,
    },
    /// A node alone.
    Other(&'g Node),
}

/// Nodes one after the other, each the only reader of the one before it.
struct Chain<'g> {
    graph: &'g Graph,
    first: usize,
    /// Those behind the first.
    more: Vec<usize>,
}

impl<'g> Chain<'g> {
    /// The value of the last node.
    fn value(&self) -> Value {
        self.more.last().unwrap_or(&self.first) + 1
    }

    /// The only reader of a value.
    fn reader(&self, value: Value) -> Option<(usize, &'g Node)> {
        match *self.graph.readers(value) {
            [only] => Some((only, &self.graph.nodes()[only])),
            _ => None,
        }
    }

    fn take_relu(&mut self) -> bool {
        match self.reader(self.value()) {
            Some((at, Node { op: Op::Relu, .. })) => {
                self.more.push(at);
                true
            }
            _ => false,
        }
    }

    fn take_norm(&mut self) -> Option<&'g BatchNormNode> {
        let (at, node) = self.reader(self.value())?;
        let Op::BatchNorm(norm) = &node.op else {
            return None;
        };
        self.more.push(at);
        Some(norm)
    }

    /// What is added, where it is known before the chain's value is.
    fn take_sum(&mut self) -> Option<Value> {
        let own = self.value();
        let (at, node) = self.reader(own)?;
        let other = match (&node.op, &node.inputs[..]) {
            (Op::Add, [a, b]) if *a == own => *b,
            (Op::Add, [a, b]) if *b == own => *a,
            _ => return None,
        };
        if other >= own {
            return None;
        }
        self.more.push(at);
        Some(other)
    }

    /// Side of windows side by side that the chain's value is pooled by, where a ReLU stands behind.
    fn take_pool(&mut self) -> Option<usize> {
        let (pool, node) = self.reader(self.value())?;
        let Op::MaxPool(MaxPool {
            size,
            stride,
            padding: 0,
        }) = node.op
        else {
            return None;
        };
        let (relu, behind) = self.reader(pool + 1)?;
        if size != stride || !matches!(behind.op, Op::Relu) {
            return None;
        }
        self.more.extend([pool, relu]);
        Some(size)
    }

    /// The group that begins with the first node.
    fn group(&mut self) -> Group<'g> {
        let node = &self.graph.nodes()[self.first];
        let input = node.inputs.first().copied().unwrap_or_default();
        match &node.op {
            Op::Convolution(convolution) => {
                if let Some(size) = self.take_pool() {
                    return Group::Pooled {
                        convolution,
                        size,
                        input,
                    };
                }
                Group::Convolution {
                    convolution,
                    norm: self.take_norm(),
                    input,
                    add: self.take_sum(),
                    relu: self.take_relu(),
                }
            }
            Op::MaxPool(pool) => Group::MaxPool {
                pool: *pool,
                input,
                relu: self.take_relu(),
            },
            Op::Linear(linear) => Group::Linear {
                linear,
                input,
                relu: self.take_relu(),
            },
            _ => Group::Other(node),
        }
    }
}

impl Graph {
    /// All nodes in groups, with the value that each gives, inputs first.
    pub(super) fn groups(&self) -> Vec<(Group<'_>, Value)> {
        let mut taken = vec![false; self.nodes().len()];
        let mut groups = Vec::new();
        for first in 0..self.nodes().len() {
            if taken[first] {
                continue;
            }
            let mut chain = Chain {
                graph: self,
                first,
                more: Vec::new(),
            };
            groups.push((chain.group(), chain.value()));
            chain.more.iter().for_each(|node| taken[*node] = true);
        }
        groups.sort_by_key(|(_, value)| *value);
        groups
    }

    /// What the graph computes in evaluation, as steps with batch norms folded; `None` where a node is none.
    pub(super) fn program(&self, tensors: Tensors) -> Result<Option<Vec<Step>>> {
        let mut steps = Vec::new();
        // the steps' number of each value
        let mut numbers = vec![0; self.nodes().len() + 1];
        for (group, value) in self.groups() {
            match group {
                Group::Convolution {
                    convolution,
                    norm,
                    input,
                    add,
                    relu,
                } => {
                    let mut step = self.step(convolution, numbers[input], tensors)?;
                    if let Step::Convolution {
                        scale,
                        shift,
                        add: added,
                        relu: rectified,
                        ..
                    } = &mut step
                    {
                        if let Some(norm) = norm {
                            let (factors, summands) = norm.norm(tensors).folded()?;
                            let biases = shift.iter().zip(&factors).zip(summands);
                            *shift = biases.map(|((bias, f), s)| bias * f + s).collect();
                            *scale = Some(factors);
                        }
                        (*added, *rectified) = (add.map(|value| numbers[value]), relu);
                    }
                    steps.push(step);
                }
                Group::Pooled {
                    convolution,
                    size,
                    input,
                } => {
                    steps.push(self.step(convolution, numbers[input], tensors)?);
                    steps.push(Step::MaxPool {
                        input: steps.len(),
                        size,
                        stride: size,
                        padding: 0,
                        relu: true,
                    });
                }
                Group::MaxPool { pool, input, relu } => steps.push(Step::MaxPool {
                    input: numbers[input],
                    size: pool.size,
                    stride: pool.stride,
                    padding: pool.padding,
                    relu,
                }),
                Group::Linear {
                    linear,
                    input,
                    relu,
                } if !linear.transposed => steps.push(Step::Linear {
                    input: numbers[input],
                    layer: linear.layer,
                    shift: match linear.bias {
                        Some(bias) => tensors.values(bias)?,
                        None => vec![0.0; self.layers[linear.layer].shape[0]],
                    },
                    relu,
                }),
                Group::Linear { .. } => return Ok(None),
                Group::Other(Node { op, inputs }) => match (op, &inputs[..]) {
                    // a linear step takes images as vectors
                    (Op::Reshape(dims), [input]) if matches!(dims[..], [None, Some(_)]) => {
                        numbers[value] = numbers[*input];
                        continue;
                    }
                    (Op::ChannelMean, [input]) => steps.push(Step::ChannelMean {
                        input: numbers[*input],
                    }),
                    (Op::PaddedShortcut { channels }, [input]) => {
                        steps.push(Step::PaddedShortcut {
                            input: numbers[*input],
                            channels: *channels,
                        });
                    }
                    _ => return Ok(None),
                },
            }
            numbers[value] = steps.len();
        }
        Ok(Some(steps))
    }

    /// The step of a convolution with its bias, and nothing behind it.
    fn step(&self, convolution: &Convolution, input: Value, tensors: Tensors) -> Result<Step> {
        let outputs = self.layers[convolution.layer].shape[0];
        let shift = match convolution.bias {
            Some(bias) => tensors.values(bias)?,
            None => vec![0.0; outputs],
        };
        Ok(Step::Convolution {
            input,
            layer: convolution.layer,
            stride: convolution.stride,
            padding: convolution.padding,
            scale: None,
            shift,
            add: None,
            relu: false,
        })
    }
}
