//! Nodes of a graph that one kernel computes at once.

use super::general::{General, GeneralConvolution, Unary};
use super::graph::{BatchNormNode, Convolution, Graph, Linear, MaxPool, Node, Op, Value};

/// Nodes that belong together: nothing but the last one's value is read by others.
#[derive(Clone, Copy, Debug)]
pub(super) enum Group<'g> {
    /// `relu(norm(w * x + bias) + add)`.
    Convolution {
        convolution: &'g Convolution,
        input: Value,
        end: End<'g>,
    },
    /// The same of a convolution over other windows, or of each channel by itself.
    General {
        convolution: &'g GeneralConvolution,
        input: Value,
        end: End<'g>,
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

/// What stands behind a convolution.
#[derive(Clone, Copy, Debug)]
pub(super) struct End<'g> {
    pub(super) norm: Option<&'g BatchNormNode>,
    pub(super) add: Option<Value>,
    pub(super) relu: bool,
    /// What is above it becomes it.
    pub(super) ceiling: Option<f64>,
}

/// Nodes one after the other, each the only reader of the one before it.
struct Chain<'g> {
    graph: &'g Graph,
    /// Of all values, for a batch of one.
    shapes: &'g [Vec<usize>],
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

    /// Whether a ReLU stands behind, and the bound above where it has one.
    fn take_clip(&mut self) -> (bool, Option<f64>) {
        match self.reader(self.value()) {
            Some((
                at,
                Node {
                    op: Op::General(General::Unary(Unary::Clip(0.0, ceiling))),
                    ..
                },
            )) if *ceiling > 0.0 => {
                self.more.push(at);
                (true, Some(*ceiling))
            }
            _ => (self.take_relu(), None),
        }
    }

    fn take_end(&mut self) -> End<'g> {
        let (norm, add) = (self.take_norm(), self.take_sum());
        let (relu, ceiling) = self.take_clip();
        End {
            norm,
            add,
            relu,
            ceiling,
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
        if other >= own || self.shapes[other] != self.shapes[own] {
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
            // the kernels have strides of 1 and 2, for a batch of images
            Op::Convolution(convolution)
                if convolution.stride <= 2 && self.shapes[input][0] == 1 =>
            {
                if let Some(size) = self.take_pool() {
                    return Group::Pooled {
                        convolution,
                        size,
                        input,
                    };
                }
                Group::Convolution {
                    convolution,
                    input,
                    end: self.take_end(),
                }
            }
            Op::GeneralConvolution(convolution)
                if convolution
                    .on_kernels(
                        &self.graph.layers[convolution.layer].shape,
                        &self.shapes[input],
                    )
                    .is_some() =>
            {
                Group::General {
                    convolution,
                    input,
                    end: self.take_end(),
                }
            }
            Op::MaxPool(pool) if self.shapes[input][0] == 1 => Group::MaxPool {
                pool: *pool,
                input,
                relu: self.take_relu(),
            },
            Op::Linear(linear)
                if !linear.transposed && matches!(self.shapes[input][..], [1, _]) =>
            {
                Group::Linear {
                    linear,
                    input,
                    relu: self.take_relu(),
                }
            }
            _ => Group::Other(node),
        }
    }
}

impl Graph {
    /// All nodes in groups, with the value that each gives, inputs first; `shapes` are those of all values.
    pub(super) fn groups<'g>(&'g self, shapes: &'g [Vec<usize>]) -> Vec<(Group<'g>, Value)> {
        let mut taken = vec![false; self.nodes().len()];
        let mut groups = Vec::new();
        for first in 0..self.nodes().len() {
            if taken[first] {
                continue;
            }
            let mut chain = Chain {
                graph: self,
                shapes,
                first,
                more: Vec::new(),
            };
            groups.push((chain.group(), chain.value()));
            chain.more.iter().for_each(|node| taken[*node] = true);
        }
        groups.sort_by_key(|(_, value)| *value);
        groups
    }
}
