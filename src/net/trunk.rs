//! The part of a residual network that is trained as one operation.

use super::graph::{BatchNormNode, Convolution, Graph, Node, Op, Value};
use super::groups::{End, Group};
use super::norm::EPSILON;
use super::pass::Pass;
use crate::error::Result;
use crate::kernel::{residual_network, Part};
use candle_core::Tensor;

/// Convolutions with norms and shortcuts, from the images to the last value before the mean over pixels.
pub(super) struct Trunk<'g> {
    parts: Vec<Part>,
    normed: Vec<(&'g Convolution, &'g BatchNormNode)>,
    /// The last value.
    pub(super) end: Value,
    /// Its channels.
    pub(super) channels: usize,
}

impl Graph {
    /// The trunk, where all groups before a mean over pixels can be trained as one operation.
    pub(super) fn trunk<'g>(&self, groups: &[(Group<'g>, Value)]) -> Option<Trunk<'g>> {
        let mut trunk = Trunk {
            parts: Vec::new(),
            normed: Vec::new(),
            end: 0,
            channels: 0,
        };
        // the parts' number of each value
        let mut numbers = vec![0; self.nodes().len() + 1];
        for (group, value) in groups {
            match *group {
                // the one operation knows no biases, little padding, and one epsilon for all norms
                Group::Convolution {
                    convolution,
                    input,
                    end:
                        End {
                            norm: Some(norm),
                            add,
                            relu,
                            ceiling: None,
                        },
                } if convolution.bias.is_none()
                    && convolution.padding <= 1
                    && norm.epsilon == EPSILON =>
                {
                    let [outputs, _, kernel, _] = self.layers[convolution.layer].shape[..] else {
                        return None;
                    };
                    trunk.channels = outputs;
                    trunk.normed.push((convolution, norm));
                    trunk.parts.push(Part::Normed {
                        input: numbers[input],
                        add: add.map(|value| numbers[value]),
                        relu,
                        outputs,
                        kernel,
                        stride: convolution.stride,
                        padding: convolution.padding,
                    });
                }
                Group::Other(Node {
                    op: Op::PaddedShortcut { channels },
                    inputs,
                }) => {
                    trunk.parts.push(Part::Padded {
                        input: numbers[*inputs.first()?],
                        channels: *channels,
                    });
                }
                Group::Other(Node {
                    op: Op::ChannelMean,
                    inputs,
                }) if trunk.end > 0 && inputs[..] == [trunk.end] => return Some(trunk),
                _ => return None,
            }
            numbers[*value] = trunk.parts.len();
            trunk.end = *value;
        }
        None
    }
}

impl Trunk<'_> {
    /// The last value of images, blocked; the running statistics of its norms move.
    pub(super) fn train(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut parameters = Vec::with_capacity(2 * self.normed.len());
        for (convolution, norm) in &self.normed {
            parameters.push(pass.weights[convolution.layer].flatten_all()?);
            parameters.push(norm.norm(pass.tensors).affine()?);
        }
        let parameters = Tensor::cat(&parameters, 0)?;
        let (x, statistics) =
            residual_network(images, &parameters, &self.parts, EPSILON, pass.workspace)?;
        for ((_, norm), batch) in self.normed.iter().zip(statistics) {
            norm.norm(pass.tensors).take_up(batch)?;
        }
        Ok(x)
    }
}
