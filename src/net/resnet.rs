//! ResNet for CIFAR (He et al., 2016): three stages of 16, 32 and 64 channels, 6n+2 layers.

use super::build::{Body, Builder, Conv, ConvShape, Linear, Pass, Route, Start};
use super::norm::{BatchNorm, EPSILON};
use super::program::{Step, Value};
use super::relu::relu;
use crate::error::Result;
use crate::kernel::{channel_mean, padded_shortcut, residual_network, Part, Workspace};
use candle_core::Tensor;

/// Channels of the three stages.
const WIDTHS: [usize; 3] = [16, 32, 64];

/// A convolution without bias and the batch norm behind it.
#[derive(Debug)]
pub(super) struct Normed {
    conv: Conv,
    norm: BatchNorm,
}

impl Normed {
    pub(super) fn new(
        builder: &mut Builder,
        conv: &str,
        norm: &str,
        shape: ConvShape,
    ) -> Result<Self> {
        let outputs = shape.outputs;
        Ok(Self {
            conv: builder.conv(conv, shape, false)?,
            norm: builder.batch_norm(norm, outputs)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        self.norm
            .forward(&self.conv.forward(x, pass)?, pass.training)
    }

    /// On blocked images by the kernels: `relu(norm(conv(x)) + residual)`.
    pub(super) fn forward_blocked(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        relu: bool,
        pass: &Pass,
    ) -> Result<Tensor> {
        self.norm.forward_blocked(
            &self.conv.forward_blocked(x, pass)?,
            residual,
            relu,
            pass.training,
        )
    }

    /// The step that this is in evaluation, with what stands behind it.
    pub(super) fn step(
        &self,
        from: Value,
        residual: Option<Value>,
        rectified: bool,
    ) -> Result<Step> {
        let (factors, summands) = self.norm.folded()?;
        let mut step = self.conv.step(from, summands.len())?;
        if let Step::Convolution {
            scale,
            shift,
            add,
            relu,
            ..
        } = &mut step
        {
            (*scale, *shift, *add, *relu) = (Some(factors), summands, residual, rectified);
        }
        Ok(step)
    }
}

#[derive(Debug)]
enum Shortcut {
    Identity,
    /// Option A: every second pixel, missing channels zero, half in front and half behind.
    Padded {
        inputs: usize,
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
            Self::Padded { channels, .. } => {
                let (batch, inputs, height, width) = x.dims4()?;
                let half = x.reshape((batch, inputs, height / 2, 2, width / 2, 2))?;
                let half = half.narrow(3, 0, 1)?.narrow(5, 0, 1)?.contiguous()?;
                let half = half.reshape((batch, inputs, height / 2, width / 2))?;
                let missing = channels - inputs;
                Ok(half.pad_with_zeros(1, missing / 2, missing - missing / 2)?)
            }
        }
    }

    /// On blocked images by the kernels.
    fn forward_blocked(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        match self {
            Self::Identity => Ok(x.clone()),
            Self::Projected(conv) => conv.forward_blocked(x, None, false, pass),
            Self::Padded { inputs, channels } => padded_shortcut(x, *inputs, *channels),
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
        let conv = |inputs, stride| ConvShape {
            inputs,
            outputs,
            kernel: 3,
            stride,
            padding: 1,
        };
        let part = |part: &str| format!("{name}.{part}");
        let first = Normed::new(builder, &part("conv1"), &part("bn1"), conv(inputs, stride))?;
        let second = Normed::new(builder, &part("conv2"), &part("bn2"), conv(outputs, 1))?;
        let shortcut = match (stride, projection) {
            (1, _) => Shortcut::Identity,
            (_, false) => Shortcut::Padded {
                inputs,
                channels: outputs,
            },
            (_, true) => {
                let shape = ConvShape {
                    inputs,
                    outputs,
                    kernel: 1,
                    stride,
                    padding: 0,
                };
                Shortcut::Projected(Normed::new(
                    builder,
                    &part("shortcut.0"),
                    &part("shortcut.1"),
                    shape,
                )?)
            }
        };
        Ok(Self {
            first,
            second,
            shortcut,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = relu(&self.first.forward(x, pass)?)?;
        let y = self.second.forward(&y, pass)?;
        relu(&(y + self.shortcut.forward(x, pass)?)?)
    }

    /// On blocked images by the kernels.
    fn forward_blocked(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let y = self.first.forward_blocked(x, None, true, pass)?;
        let shortcut = self.shortcut.forward_blocked(x, pass)?;
        self.second.forward_blocked(&y, Some(&shortcut), true, pass)
    }

    /// Adds the steps of this block on a value; returns its result.
    fn add_steps(&self, steps: &mut Vec<Step>, input: Value) -> Result<Value> {
        let shortcut = match &self.shortcut {
            Shortcut::Identity => input,
            Shortcut::Padded { channels, .. } => {
                steps.push(Step::PaddedShortcut {
                    input,
                    channels: *channels,
                });
                steps.len()
            }
            Shortcut::Projected(conv) => {
                steps.push(conv.step(input, None, false)?);
                steps.len()
            }
        };
        steps.push(self.first.step(input, None, true)?);
        steps.push(self.second.step(steps.len(), Some(shortcut), true)?);
        Ok(steps.len())
    }
}

#[derive(Debug)]
pub(super) struct Resnet {
    stem: Normed,
    blocks: Vec<Block>,
    linear: Linear,
    /// The convolutions and shortcuts in training.
    parts: Vec<Part>,
    workspace: Workspace,
}

impl Resnet {
    pub(super) fn new(
        builder: &mut Builder,
        blocks: usize,
        projection: bool,
        classes: usize,
    ) -> Result<Self> {
        builder.start = Start::KaimingNormal;
        let shape = ConvShape {
            inputs: 3,
            outputs: WIDTHS[0],
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        let stem = Normed::new(builder, "conv1", "bn1", shape)?;
        let mut all = Vec::with_capacity(3 * blocks);
        let mut inputs = WIDTHS[0];
        for (stage, outputs) in WIDTHS.into_iter().enumerate() {
            for block in 0..blocks {
                let name = format!("layer{}.{block}", stage + 1);
                all.push(Block::new(builder, &name, inputs, outputs, projection)?);
                inputs = outputs;
            }
        }
        let mut resnet = Self {
            stem,
            blocks: all,
            linear: builder.linear("linear", WIDTHS[2], classes)?,
            parts: Vec::new(),
            workspace: Workspace::default(),
        };
        for step in resnet.program()?.unwrap_or_default() {
            match step {
                Step::Convolution {
                    input,
                    layer,
                    stride,
                    padding,
                    add,
                    relu,
                    ..
                } => {
                    let (outputs, _, kernel, _) = builder.layers[layer].weight().dims4()?;
                    resnet.parts.push(Part::Normed {
                        input,
                        add,
                        relu,
                        outputs,
                        kernel,
                        stride,
                        padding,
                    });
                }
                Step::PaddedShortcut { input, channels } => {
                    resnet.parts.push(Part::Padded { input, channels });
                }
                _ => break,
            }
        }
        Ok(resnet)
    }

    /// Convolutions with their norms, in the order of the steps.
    fn normed(&self) -> Vec<&Normed> {
        let mut all = vec![&self.stem];
        for block in &self.blocks {
            if let Shortcut::Projected(conv) = &block.shortcut {
                all.push(conv);
            }
            all.extend([&block.first, &block.second]);
        }
        all
    }

    /// The last activations in training, all convolutions as one operation.
    fn train(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let normed = self.normed();
        let mut parameters = Vec::with_capacity(2 * normed.len());
        for part in &normed {
            parameters.push(part.conv.weight(pass).flatten_all()?);
            parameters.push(part.norm.affine()?);
        }
        let parameters = Tensor::cat(&parameters, 0)?;
        let (x, statistics) =
            residual_network(images, &parameters, &self.parts, EPSILON, &self.workspace)?;
        for (part, batch) in normed.iter().zip(statistics) {
            part.norm.take_up(batch)?;
        }
        Ok(x)
    }
}

impl Body for Resnet {
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        if pass.route == Route::Winograd && pass.training {
            let x = self.train(images, pass)?;
            return self.linear.forward(&channel_mean(&x, WIDTHS[2])?, pass);
        }
        if pass.route.is_blocked() {
            let mut x = self.stem.forward_blocked(images, None, true, pass)?;
            for block in &self.blocks {
                x = block.forward_blocked(&x, pass)?;
            }
            return self.linear.forward(&channel_mean(&x, WIDTHS[2])?, pass);
        }
        let mut x = relu(&self.stem.forward(images, pass)?)?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        self.linear.forward(&x.flatten_from(2)?.mean(2)?, pass)
    }

    fn program(&self) -> Result<Option<Vec<Step>>> {
        let mut steps = vec![self.stem.step(0, None, true)?];
        let mut value = 1;
        for block in &self.blocks {
            value = block.add_steps(&mut steps, value)?;
        }
        steps.push(Step::ChannelMean { input: value });
        steps.push(self.linear.step(steps.len(), false)?);
        Ok(Some(steps))
    }
}
