//! ResNet for ImageNet (He et al., 2016) of 18, 34 and 50 layers, with the names of torchvision's state dicts.

use super::build::{Builder, ConvShape, Start};
use super::graph::{Graph, MaxPool, Op, Value};
use crate::error::{Error, Result};

/// Layers, blocks of the four stages, whether blocks are bottlenecks.
const FORMS: [(usize, [usize; 4], bool); 3] = [
    (18, [2, 2, 2, 2], false),
    (34, [3, 4, 6, 3], false),
    (50, [3, 4, 6, 3], true),
];
/// Channels of the stem.
const STEM: usize = 64;
/// The pooling behind the stem.
const POOL: MaxPool = MaxPool {
    size: 3,
    stride: 2,
    padding: 1,
};
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

pub(super) fn graph(depth: usize, classes: usize) -> Result<Graph> {
    let Some((_, counts, bottleneck)) = FORMS.into_iter().find(|form| form.0 == depth) else {
        let found = depth.to_string();
        return Err(Error::argument("layers of a ResNet", "18, 34 or 50", found));
    };
    let mut builder = Builder::new(Start::KaimingNormal);
    let shape = ConvShape {
        inputs: 3,
        outputs: STEM,
        kernel: 7,
        stride: 2,
        padding: 3,
    };
    let stem = builder.normed("conv1", "bn1", shape);
    let x = builder.push_normed(stem, 0);
    let x = builder.push(Op::Relu, &[x]);
    let mut x = builder.push(Op::MaxPool(POOL), &[x]);
    let mut inputs = STEM;
    for (stage, count) in counts.into_iter().enumerate() {
        for number in 0..count {
            let form = Block {
                inputs,
                width: STEM << stage,
                stride: if stage > 0 && number == 0 { 2 } else { 1 },
                bottleneck,
            };
            x = form.push(&mut builder, &format!("layer{}.{number}", stage + 1), x);
            inputs = form.outputs();
        }
    }
    let x = builder.push(Op::ChannelMean, &[x]);
    let linear = builder.linear("fc", inputs, classes);
    builder.push(linear, &[x]);
    Ok(builder.finish())
}

/// A block of `width` channels (in its middle, for a bottleneck); the stride is that of its 3x3 convolution, in a
/// bottleneck the second one, as torchvision has it.
#[derive(Clone, Copy)]
struct Block {
    inputs: usize,
    width: usize,
    stride: usize,
    bottleneck: bool,
}

impl Block {
    fn outputs(self) -> usize {
        if self.bottleneck {
            EXPANSION * self.width
        } else {
            self.width
        }
    }

    /// `relu(last(... relu(first(x))) + shortcut(x))`; without a shortcut of its own `x` is added.
    fn push(self, builder: &mut Builder, name: &str, x: Value) -> Value {
        let (inputs, width, outputs) = (self.inputs, self.width, self.outputs());
        let conv = |inputs, outputs, kernel, stride| ConvShape {
            inputs,
            outputs,
            kernel,
            stride,
            padding: kernel / 2,
        };
        let shapes = if self.bottleneck {
            vec![
                conv(inputs, width, 1, 1),
                conv(width, width, 3, self.stride),
                conv(width, outputs, 1, 1),
            ]
        } else {
            vec![
                conv(inputs, width, 3, self.stride),
                conv(width, width, 3, 1),
            ]
        };
        let mut convolutions = Vec::with_capacity(shapes.len());
        for (i, shape) in shapes.into_iter().enumerate() {
            let part = |part: &str| format!("{name}.{part}{}", i + 1);
            convolutions.push(builder.normed(&part("conv"), &part("bn"), shape));
        }
        let part = |part: usize| format!("{name}.downsample.{part}");
        let shortcut = if self.stride == 1 && inputs == outputs {
            x
        } else {
            let shape = conv(inputs, outputs, 1, self.stride);
            let normed = builder.normed(&part(0), &part(1), shape);
            builder.push_normed(normed, x)
        };
        let last = convolutions.len() - 1;
        let mut y = x;
        for (i, convolution) in convolutions.into_iter().enumerate() {
            y = builder.push_normed(convolution, y);
            if i == last {
                y = builder.push(Op::Add, &[y, shortcut]);
            }
            y = builder.push(Op::Relu, &[y]);
        }
        y
    }
}
