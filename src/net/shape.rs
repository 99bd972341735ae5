//! Shapes of a network's layers with the size of their outputs, for those who count operations and accesses.

use super::graph::{Graph, Op};
use super::network::Network;
use crate::error::{Error, Result};
use crate::quant::QuantizedWeight;

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
                (Op::Convolution(convolution), [_, height, width]) => {
                    outputs[convolution.layer] = [*height, *width];
                }
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
    /// Shapes of all values behind the batch.
    ///
    /// # Errors
    /// [`Error::Argument`] where a window is larger than its images.
    fn shapes(&self, images: [usize; 3]) -> Result<Vec<Vec<usize>>> {
        let mut shapes = vec![images.to_vec()];
        for node in self.nodes() {
            let inputs: Vec<&[usize]> = node.inputs.iter().map(|v| &shapes[*v][..]).collect();
            let shape = node.op.shape(&inputs, self);
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
    /// Shape of the result behind the batch; `None` where inputs do not fit.
    fn shape(&self, inputs: &[&[usize]], graph: &Graph) -> Option<Vec<usize>> {
        let first = inputs.first().copied().unwrap_or_default();
        Some(match self {
            Self::Convolution(convolution) => {
                let weight = &graph.layers[convolution.layer].shape;
                let (kernel, stride) = (*weight.get(2)?, convolution.stride);
                slid(first, weight[0], kernel, stride, convolution.padding)?
            }
            Self::MaxPool(pool) => {
                slid(first, *first.first()?, pool.size, pool.stride, pool.padding)?
            }
            Self::PaddedShortcut { channels } => slid(first, *channels, 1, 2, 0)?,
            Self::Linear(linear) => {
                let outputs = graph.layers[linear.layer].shape[0];
                [first.split_last()?.1, &[outputs]].concat()
            }
            Self::ChannelMean => vec![*first.first()?],
            Self::BatchNorm(_)
            | Self::LayerNorm(_)
            | Self::Relu
            | Self::Gelu
            | Self::Softmax
            | Self::Scale(_)
            | Self::Add => first.to_vec(),
            Self::MatMul => {
                let columns = inputs.get(1)?.last()?;
                [first.split_last()?.1, &[*columns]].concat()
            }
            Self::Parameter(at) => graph.parameters[*at].shape.get(1..)?.to_vec(),
            Self::Reshape(dims) => dims.clone(),
            Self::Transpose(order) => {
                let at = order.iter().skip(1).map(|axis| axis.checked_sub(1));
                let dims = at.map(|axis| first.get(axis?).copied());
                dims.collect::<Option<_>>()?
            }
            Self::Slice { axis, length, .. } => {
                let mut shape = first.to_vec();
                *shape.get_mut(axis.checked_sub(1)?)? = *length;
                shape
            }
            Self::Concat { axis } => {
                let at = axis.checked_sub(1)?;
                let mut shape = first.to_vec();
                let lengths = inputs.iter().map(|input| input.get(at));
                *shape.get_mut(at)? = lengths.sum::<Option<usize>>()?;
                shape
            }
        })
    }
}

/// Shape of what windows over images [channels, height, width] give; `None` where none fits.
fn slid(
    images: &[usize],
    channels: usize,
    size: usize,
    stride: usize,
    padding: usize,
) -> Option<Vec<usize>> {
    let along = |length: usize| Some((length + 2 * padding).checked_sub(size)? / stride + 1);
    let [_, height, width] = images else {
        return None;
    };
    Some(vec![channels, along(*height)?, along(*width)?])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::QuantizerSpec;
    use crate::seed::Seed;
    use candle_core::Device;

    fn network(architecture: &str, classes: usize) -> Network {
        let spec = QuantizerSpec::default();
        Network::new(
            architecture.parse().unwrap(),
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
