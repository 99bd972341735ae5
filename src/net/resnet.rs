//! ResNet for CIFAR (He et al., 2016): three stages of 16, 32 and 64 channels, 6n+2 layers.

use super::build::{Body, Builder, Conv, ConvShape, Linear, Pass, Start};
use super::norm::BatchNorm;
use crate::error::Result;
use candle_core::Tensor;

#[derive(Debug)]
struct Normed {
    conv: Conv,
    norm: BatchNorm,
}

impl Normed {
    fn new(builder: &mut Builder, conv: &str, norm: &str, shape: ConvShape) -> Result<Self> {
        let outputs = shape.outputs;
        Ok(Self { conv: builder.conv(conv, shape, false)?, norm: builder.batch_norm(norm, outputs)? })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.norm.forward(&self.conv.forward(x, pass)?, pass.training)
    }
}

#[derive(Debug)]
enum Shortcut {
    Identity,
    /// Option A: every second pixel, missing channels zero, half in front and half behind.
    Padded {
        channels: usize,
    },
    /// Option B: a strided 1x1 convolution.
    Projected(Normed),
}

impl Shortcut {
    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Projected(conv) => conv.forward(x, pass),
            Self::Padded { channels } => {
                let (batch, inputs, height, width) = x.dims4()?;
                let half = x.reshape((batch, inputs, height / 2, 2, width / 2, 2))?;
                let half = half.narrow(3, 0, 1)?.narrow(5, 0, 1)?.contiguous()?;
                let half = half.reshape((batch, inputs, height / 2, width / 2))?;
                let missing = channels - inputs;
                Ok(half.pad_with_zeros(1, missing / 2, missing - missing / 2)?)
            }
        }
    }
}

#[derive(Debug)]
struct Block {
    first: Normed,
    second: Normed,
    shortcut: Shortcut,
}

impl Block {
    fn new(
        builder: &mut Builder,
        name: &str,
        inputs: usize,
        outputs: usize,
        projection: bool,
    ) -> Result<Self> {
        let stride = if inputs == outputs { 1 } else { 2 };
        let conv = |inputs, stride| ConvShape { inputs, outputs, kernel: 3, stride, padding: 1 };
        let part = |part: &str| format!("{name}.{part}");
        let first = Normed::new(builder, &part("conv1"), &part("bn1"), conv(inputs, stride))?;
        let second = Normed::new(builder, &part("conv2"), &part("bn2"), conv(outputs, 1))?;
        let shortcut = match (stride, projection) {
            (1, _) => Shortcut::Identity,
            (_, false) => Shortcut::Padded { channels: outputs },
            (_, true) => {
                let shape = ConvShape { inputs, outputs, kernel: 1, stride, padding: 0 };
                Shortcut::Projected(Normed::new(builder, &part("shortcut.0"), &part("shortcut.1"), shape)?)
            }
        };
        Ok(Self { first, second, shortcut })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.first.forward(x, pass)?.relu()?;
        let y = self.second.forward(&y, pass)?;
        Ok((y + self.shortcut.forward(x, pass)?)?.relu()?)
    }
}

#[derive(Debug)]
pub(super) struct Resnet {
    stem: Normed,
    blocks: Vec<Block>,
    linear: Linear,
}

impl Resnet {
    pub(super) fn new(
        builder: &mut Builder,
        blocks: usize,
        projection: bool,
        classes: usize,
    ) -> Result<Self> {
        builder.start = Start::KaimingNormal;
        let shape = ConvShape { inputs: 3, outputs: 16, kernel: 3, stride: 1, padding: 1 };
        let stem = Normed::new(builder, "conv1", "bn1", shape)?;
        let mut all = Vec::with_capacity(3 * blocks);
        let mut inputs = 16;
        for (stage, outputs) in [16, 32, 64].into_iter().enumerate() {
            for block in 0..blocks {
                let name = format!("layer{}.{block}", stage + 1);
                all.push(Block::new(builder, &name, inputs, outputs, projection)?);
                inputs = outputs;
            }
        }
        Ok(Self { stem, blocks: all, linear: builder.linear("linear", 64, classes)? })
    }
}

impl Body for Resnet {
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut x = self.stem.forward(images, pass)?.relu()?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        self.linear.forward(&x.flatten_from(2)?.mean(2)?, pass)
    }
}
