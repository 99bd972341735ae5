//! ResNet for ImageNet (He et al., 2016) of 18, 34 and 50 layers, with the names of torchvision's state dicts.

use super::build::{Body, Builder, ConvShape, Linear, Pass, Start};
use super::pool::max_pool;
use super::program::{Step, Value};
use super::relu::relu;
use super::resnet::Normed;
use crate::error::{Error, Result};
use crate::kernel::channel_mean;
use candle_core::Tensor;

/// Layers, blocks of the four stages, whether blocks are bottlenecks.
const FORMS: [(usize, [usize; 4], bool); 3] = [
    (18, [2, 2, 2, 2], false),
    (34, [3, 4, 6, 3], false),
    (50, [3, 4, 6, 3], true),
];
/// Channels of the stem.
const STEM: usize = 64;
/// The pooling behind the stem: size, stride, padding.
const POOL: (usize, usize, usize) = (3, 2, 1);
/// Results of a bottleneck per channel of its middle.
const EXPANSION: usize = 4;

/// Numbers of layers that there are.
pub(super) const DEPTHS: [usize; 3] = [18, 34, 50];

/// The number of layers whose stages have these blocks.
pub(super) fn depth(blocks: [usize; 4], bottleneck: bool) -> Option<usize> {
    FORMS
        .iter()
        .find(|form| (form.1, form.2) == (blocks, bottleneck))
        .map(|form| form.0)
}

/// `relu(last(... relu(first(x))) + shortcut(x))`; without a shortcut of its own `x` is added.
#[derive(Debug)]
struct Block {
    first: Vec<Normed>,
    last: Normed,
    shortcut: Option<Normed>,
}

impl Block {
    /// A block of `width` channels (in its middle, for a bottleneck); the stride is that of its 3x3 convolution,
    /// in a bottleneck the second one, as torchvision has it.
    fn new(
        builder: &mut Builder,
        name: &str,
        inputs: usize,
        width: usize,
        stride: usize,
        bottleneck: bool,
    ) -> Result<Self> {
        let square = |inputs, stride| ConvShape {
            inputs,
            outputs: width,
            kernel: 3,
            stride,
            padding: 1,
        };
        let point = |inputs, outputs, stride| ConvShape {
            inputs,
            outputs,
            kernel: 1,
            stride,
            padding: 0,
        };
        let outputs = if bottleneck { EXPANSION * width } else { width };
        let shapes = if bottleneck {
            vec![
                point(inputs, width, 1),
                square(width, stride),
                point(width, outputs, 1),
            ]
        } else {
            vec![square(inputs, stride), square(width, 1)]
        };
        let mut convs = Vec::with_capacity(shapes.len());
        for (i, shape) in shapes.into_iter().enumerate() {
            let part = |part: &str| format!("{name}.{part}{}", i + 1);
            convs.push(Normed::new(builder, &part("conv"), &part("bn"), shape)?);
        }
        let Some(last) = convs.pop() else {
            return Err(Error::argument(name, "at least one convolution", "none"));
        };
        let part = |part: usize| format!("{name}.downsample.{part}");
        let shortcut = match (stride, inputs == outputs) {
            (1, true) => None,
            _ => Some(Normed::new(
                builder,
                &part(0),
                &part(1),
                point(inputs, outputs, stride),
            )?),
        };
        Ok(Self {
            first: convs,
            last,
            shortcut,
        })
    }

    fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut y = x.clone();
        for conv in &self.first {
            y = relu(&conv.forward(&y, pass)?)?;
        }
        let shortcut = match &self.shortcut {
            None => x.clone(),
            Some(conv) => conv.forward(x, pass)?,
        };
        relu(&(self.last.forward(&y, pass)? + shortcut)?)
    }

    /// On blocked images by the kernels.
    fn forward_blocked(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut y = x.clone();
        for conv in &self.first {
            y = conv.forward_blocked(&y, None, true, pass)?;
        }
        let shortcut = match &self.shortcut {
            None => x.clone(),
            Some(conv) => conv.forward_blocked(x, None, false, pass)?,
        };
        self.last.forward_blocked(&y, Some(&shortcut), true, pass)
    }

    /// Adds the steps of this block on a value; returns its result.
    fn add_steps(&self, steps: &mut Vec<Step>, input: Value) -> Result<Value> {
        let mut shortcut = input;
        if let Some(conv) = &self.shortcut {
            steps.push(conv.step(input, None, false)?);
            shortcut = steps.len();
        }
        let mut value = input;
        for conv in &self.first {
            steps.push(conv.step(value, None, true)?);
            value = steps.len();
        }
        steps.push(self.last.step(value, Some(shortcut), true)?);
        Ok(steps.len())
    }
}

#[derive(Debug)]
pub(super) struct ImagenetResnet {
    stem: Normed,
    blocks: Vec<Block>,
    /// Channels of the last stage.
    features: usize,
    linear: Linear,
}

impl ImagenetResnet {
    pub(super) fn new(builder: &mut Builder, depth: usize, classes: usize) -> Result<Self> {
        let Some((_, counts, bottleneck)) = FORMS.into_iter().find(|form| form.0 == depth) else {
            return Err(Error::argument(
                "layers of a ResNet",
                "18, 34 or 50",
                depth.to_string(),
            ));
        };
        builder.start = Start::KaimingNormal;
        let shape = ConvShape {
            inputs: 3,
            outputs: STEM,
            kernel: 7,
            stride: 2,
            padding: 3,
        };
        let stem = Normed::new(builder, "conv1", "bn1", shape)?;
        let (mut blocks, mut inputs) = (Vec::new(), STEM);
        for (stage, count) in counts.into_iter().enumerate() {
            let width = STEM << stage;
            for block in 0..count {
                let stride = if stage > 0 && block == 0 { 2 } else { 1 };
                let name = format!("layer{}.{block}", stage + 1);
                blocks.push(Block::new(
                    builder, &name, inputs, width, stride, bottleneck,
                )?);
                inputs = if bottleneck { EXPANSION * width } else { width };
            }
        }
        let linear = builder.linear("fc", inputs, classes)?;
        Ok(Self {
            stem,
            blocks,
            features: inputs,
            linear,
        })
    }
}

impl Body for ImagenetResnet {
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let (size, stride, padding) = POOL;
        if pass.route.is_blocked() {
            let x = self.stem.forward_blocked(images, None, true, pass)?;
            let mut x = max_pool(&x, size, stride, padding)?;
            for block in &self.blocks {
                x = block.forward_blocked(&x, pass)?;
            }
            return self.linear.forward(&channel_mean(&x, self.features)?, pass);
        }
        let x = relu(&self.stem.forward(images, pass)?)?;
        let mut x = max_pool(&x, size, stride, padding)?;
        for block in &self.blocks {
            x = block.forward(&x, pass)?;
        }
        self.linear.forward(&x.flatten_from(2)?.mean(2)?, pass)
    }

    fn program(&self) -> Result<Option<Vec<Step>>> {
        let (size, stride, padding) = POOL;
        let mut steps = vec![self.stem.step(0, None, true)?];
        steps.push(Step::MaxPool {
            input: 1,
            size,
            stride,
            padding,
            relu: false,
        });
        let mut value = steps.len();
        for block in &self.blocks {
            value = block.add_steps(&mut steps, value)?;
        }
        steps.push(Step::ChannelMean { input: value });
        steps.push(self.linear.step(steps.len(), false)?);
        Ok(Some(steps))
    }
}
