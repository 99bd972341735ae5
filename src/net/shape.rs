//! Shapes of a network's layers with the size of their outputs, for those who count operations and accesses.

use super::network::Network;
use super::program::Step;
use crate::error::{Error, Result};

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
    /// [`Error::Argument`] where images are too small for the network, or a tensor failure.
    pub fn layer_shapes(&self) -> Result<Vec<LayerShape>> {
        let outputs = match self.layer_outputs() {
            Some(outputs) => outputs,
            None => outputs(self, &self.program()?.unwrap_or_default())?,
        };
        let shape = |(layer, output): (&crate::quant::QuantizedWeight, [usize; 2])| LayerShape {
            name: layer.name().to_owned(),
            weight: layer.weight().dims().to_vec(),
            output,
        };
        Ok(self.layers().iter().zip(outputs).map(shape).collect())
    }
}

/// Height and width of what each layer gives, from the steps that use them.
fn outputs(network: &Network, steps: &[Step]) -> Result<Vec<[usize; 2]>> {
    let [_, height, width] = network.input_shape();
    let mut values = vec![[height, width]];
    let mut of_layers = vec![[1, 1]; network.layers().len()];
    let slide =
        |sizes: [usize; 2], kernel: usize, stride: usize, padding: usize| -> Result<[usize; 2]> {
            let along = |size: usize| -> Result<usize> {
                let room = (size + 2 * padding).checked_sub(kernel).ok_or_else(|| {
                    let expected = format!("images in which a window of {kernel} pixels fits");
                    Error::argument(
                        format!("input of {}", network.architecture()),
                        expected,
                        format!("{sizes:?}"),
                    )
                })?;
                Ok(room / stride + 1)
            };
            Ok([along(sizes[0])?, along(sizes[1])?])
        };
    for step in steps {
        let value = match step {
            Step::Convolution {
                input,
                layer,
                stride,
                padding,
                ..
            } => {
                let kernel = network.layers()[*layer].weight().dims()[2];
                of_layers[*layer] = slide(values[*input], kernel, *stride, *padding)?;
                of_layers[*layer]
            }
            Step::MaxPool {
                input,
                size,
                stride,
                padding,
                ..
            } => slide(values[*input], *size, *stride, *padding)?,
            Step::PaddedShortcut { input, .. } => slide(values[*input], 1, 2, 0)?,
            Step::ChannelMean { .. } | Step::Linear { .. } => [1, 1],
        };
        values.push(value);
    }
    Ok(of_layers)
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
