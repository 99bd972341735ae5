//! Shapes of a network's layers with the size of their outputs, for those who count operations and accesses.

use super::general::{spread, GeneralConvolution};
use super::graph::{Convolution, Graph, Op};
use super::network::Network;
use crate::error::{Error, Result};
use crate::quant::QuantizedWeight;

/// Most numbers that a value may have for one image.
pub(super) const MOST_NUMBERS: usize = 1 << 24;

/// Shape of a layer of weights and of what it gives for one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerShape {
    /// Name of the layer.
    pub name: String,
    /// Weight: [filters, channels, height, width] of a convolution, [outputs, inputs] of a linear layer.
    pub weight: Vec<usize>,
    /// Height and width of the output; a linear layer gives [tokens, 1], where there are no tokens [1, 1].
    pub output: [usize; 2],
}

impl LayerShape {
    /// Output channels or features.
    pub fn filters(&self) -> u64 {
        self.weight.first().map_or(0, |filters| *filters as u64)
    }

    /// Weights of a filter.
    pub fn window(&self) -> u64 {
        self.weight
            .iter()
            .skip(1)
            .map(|size| *size as u64)
            .product()
    }

    /// Pixels or tokens of the output: how often each weight is used for an image.
    pub fn outputs(&self) -> u64 {
        self.output.iter().map(|size| *size as u64).product()
    }

    /// Multiplications for an image, those with padding included.
    pub fn multiplications(&self) -> u64 {
        self.filters() * self.window() * self.outputs()
    }
}

impl Network {
    /// Shapes of all layers, in memory order.
    ///
    /// # Errors
    /// [`Error::Argument`] where images are too small for the network.
    pub fn layer_shapes(&self) -> Result<Vec<LayerShape>> {
        let shapes = self.graph().shapes(self.input_shape())?;
        let mut outputs = vec![[1, 1]; self.layers().len()];
        for (node, shape) in self.graph().nodes().iter().zip(&shapes[1..]) {
            match (&node.op, &shape[..]) {
                (
                    Op::Convolution(Convolution { layer, .. })
                    | Op::GeneralConvolution(GeneralConvolution { layer, .. }),
                    [_, _, rows @ .., columns],
                ) => outputs[*layer] = [rows.iter().product(), *columns],
                (Op::Linear(linear), [tokens @ .., _]) => {
                    outputs[linear.layer] = [tokens.iter().product(), 1];
                }
                _ => {}
            }
        }
        let shape = |(layer, output): (&QuantizedWeight, [usize; 2])| LayerShape {
            name: layer.name().to_owned(),
            weight: layer.weight().dims().to_vec(),
            output,
        };
        Ok(self.layers().iter().zip(outputs).map(shape).collect())
    }
}

impl Graph {
    /// Shapes of all values, for a batch of one.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window is larger than its images.
    pub(super) fn shapes(&self, images: [usize; 3]) -> Result<Vec<Vec<usize>>> {
        let mut shapes = vec![[&[1], &images[..]].concat()];
        for node in self.nodes() {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| &shapes[*v][..]).collect();
            let shape = node.op.shape(&inputs, self);
            let shape = shape
                .filter(|shape| checked_count(shape).is_some_and(|count| count <= MOST_NUMBERS));
            shapes.push(shape.ok_or_else(|| {
                let found = format!("{:?} of {inputs:?}", node.op);
                Error::argument(
                    "input of the network",
                    "images in which every window fits",
                    found,
                )
            })?);
        }
        Ok(shapes)
    }
}

impl Op {
    /// Shape of the result; `None` where inputs do not fit.
    pub(super) fn shape(&self, inputs: &[&[usize]], graph: &Graph) -> Option<Vec<usize>> {
        let first = inputs.first().copied().unwrap_or_default();
        Some(match self {
            Self::Convolution(convolution) => {
                let weight = &graph.layers.get(convolution.layer)?.shape;
                let [outputs, channels, kernel, _] = weight[..] else {
                    return None;
                };
                (first.get(1) == Some(&channels)).then_some(())?;
                slid(
                    first,
                    outputs,
                    kernel,
                    convolution.stride,
                    convolution.padding,
                )?
            }
            Self::GeneralConvolution(convolution) => {
                let weight = &graph.layers.get(convolution.layer)?.shape;
                let ([outputs, inputs, ..], [batch, channels, images @ ..]) = (&weight[..], first)
                else {
                    return None;
                };
                (inputs * convolution.groups == *channels).then_some(())?;
                let pixels = convolution.windows.outputs(images)?;
                [&[*batch, *outputs], &pixels[..]].concat()
            }
            Self::MaxPool(pool) => {
                slid(first, *first.get(1)?, pool.size, pool.stride, pool.padding)?
            }
            Self::PaddedShortcut { channels } => slid(first, *channels, 1, 2, 0)?,
            Self::Linear(linear) => {
                let [outputs, features] = linear.sizes(&graph.layers.get(linear.layer)?.shape)?;
                let (last, before) = first.split_last()?;
                (*last == features).then_some(())?;
                [before, &[outputs]].concat()
            }
            Self::ChannelMean => first.get(..2)?.to_vec(),
            Self::BatchNorm(_)
            | Self::LayerNorm(_)
            | Self::Relu
            | Self::Gelu
            | Self::Softmax
            | Self::Scale(_)
            | Self::Stored { .. } => first.to_vec(),
            Self::Add => spread(first, inputs.get(1)?)?,
            Self::MatMul => {
                let (a, [rows, inner]) = first.split_last_chunk::<2>()?;
                let (b, [own, columns]) = inputs.get(1)?.split_last_chunk::<2>()?;
                (own == inner).then_some(())?;
                [&spread(a, b)?[..], &[*rows, *columns]].concat()
            }
            Self::Parameter(at) => graph.parameters.get(*at)?.shape.clone(),
            Self::Buffer(at) => graph.buffers.get(*at)?.shape.clone(),
            Self::Reshape(dims) => {
                let all: usize = first.iter().product();
                let dims = filled(dims, all);
                (dims.iter().product::<usize>() == all).then_some(dims)?
            }
            Self::Transpose(order) => {
                (order.len() == first.len()).then_some(())?;
                let dims = order.iter().map(|axis| first.get(*axis).copied());
                dims.collect::<Option<_>>()?
            }
            Self::Slice {
                axis,
                start,
                length,
            } => {
                let mut shape = first.to_vec();
                let own = shape.get_mut(*axis)?;
                (start + length <= *own).then_some(())?;
                *own = *length;
                shape
            }
            Self::Concat { axis } => {
                let mut shape = first.to_vec();
                // one of a batch of one stands before each of the others' batch
                if *axis > 0 {
                    *shape.first_mut()? = *inputs.iter().filter_map(|input| input.first()).max()?;
                }
                let lengths = inputs.iter().map(|input| input.get(*axis));
                *shape.get_mut(*axis)? = lengths.sum::<Option<usize>>()?;
                shape
            }
            Self::General(general) => general.shape(inputs)?,
        })
    }
}

/// Shape of what square windows over images [batch, channels, height, width] give; `None` where none fits.
fn slid(
    images: &[usize],
    channels: usize,
    size: usize,
    stride: usize,
    padding: usize,
) -> Option<Vec<usize>> {
    let along = |length: usize| {
        Some(
            (length + 2 * padding)
                .checked_sub(size)?
                .checked_div(stride)?
                + 1,
        )
    };
    let [batch, _, height, width] = *images else {
        return None;
    };
    Some(vec![batch, channels, along(height)?, along(width)?])
}

/// Numbers in these dimensions; `None` where that is beyond counting.
pub(super) fn checked_count(dims: &[usize]) -> Option<usize> {
    dims.iter()
        .try_fold(1usize, |count, dim| count.checked_mul(*dim))
}

/// Dimensions of so many numbers, one of which may follow from the others.
pub(super) fn filled(dims: &[Option<usize>], numbers: usize) -> Vec<usize> {
    let known: usize = dims.iter().flatten().product();
    let rest = numbers.checked_div(known).unwrap_or(0);
    dims.iter().map(|dim| dim.unwrap_or(rest)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Architecture;
    use crate::quant::QuantizerSpec;
    use crate::seed::Seed;
    use candle_core::Device;

    fn network(architecture: &str, classes: usize) -> Network {
        let spec = QuantizerSpec::default();
        Network::new(
            architecture.parse::<Architecture>().unwrap(),
            classes,
            &spec,
            Seed(1),
            &Device::Cpu,
        )
        .unwrap()
        .0
    }

    #[test]
    fn the_shapes_of_lenet5_are_as_by_hand() {
        let shapes = network("lenet5", 10).layer_shapes().unwrap();
        let found: Vec<_> = shapes
            .iter()
            .map(|s| (s.name.as_str(), s.filters(), s.window(), s.output))
            .collect();
        let expected = [
            ("conv1", 6, 25, [28, 28]),
            ("conv2", 16, 150, [10, 10]),
            ("fc1", 120, 400, [1, 1]),
            ("fc2", 84, 120, [1, 1]),
            ("fc3", 10, 84, [1, 1]),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn stages_of_resnet20_halve_the_pixels() {
        let shapes = network("resnet20", 10).layer_shapes().unwrap();
        let outputs: Vec<u64> = shapes.iter().map(LayerShape::outputs).collect();
        let expected = [vec![1024; 7], vec![256; 6], vec![64; 6], vec![1]].concat();
        assert_eq!(outputs, expected);
        let larger = network("resnet20", 10)
            .with_input_shape([3, 64, 64])
            .unwrap()
            .layer_shapes()
            .unwrap();
        assert_eq!(larger[0].output, [64, 64]);
    }

    #[test]
    fn multiplications_are_the_published_ones() {
        let count = |architecture: &str, classes| -> u64 {
            let shapes = network(architecture, classes).layer_shapes().unwrap();
            shapes.iter().map(LayerShape::multiplications).sum()
        };
        // 40.55 M (Li et al., PyTorch ResNets for CIFAR), 4.09 G (torchvision)
        assert_eq!(count("resnet20", 10), 40_551_040);
        assert_eq!(count("resnet50", 1000), 4_089_184_256);
        // 1.08 G without the products of attention, which have no weights: 196 patches, 197 tokens
        let block = 197 * (192 * 576 + 192 * 192 + 2 * 192 * 768);
        assert_eq!(
            count("deit_tiny", 1000),
            196 * 768 * 192 + 12 * block + 192 * 1000
        );
    }
}
