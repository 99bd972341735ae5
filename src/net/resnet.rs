//! Residual networks (He et al., 2016): those for CIFAR, of three stages and 6n+2 layers, and those for ImageNet of 18, 34
//! and 50 layers, with the names of torchvision's state dicts.

use super::build::{Builder, ConvShape, Start};
use super::graph::{Graph, MaxPool, Op, Value};
use crate::error::{refuse, Result};

/// Of those for ImageNet: layers, blocks of the four stages, whether blocks are bottlenecks.
const FORMS: [(usize, [usize; 4], bool); 3] = [
    (18, [2, 2, 2, 2], false),
    (34, [3, 4, 6, 3], false),
    (50, [3, 4, 6, 3], true),
];
/// Results of a bottleneck per channel of its middle.
const EXPANSION: usize = 4;

/// Numbers of layers that there are for ImageNet.
pub(super) const DEPTHS: [usize; 3] = [FORMS[0].0, FORMS[1].0, FORMS[2].0];

/// The number of layers of the one for ImageNet whose stages have these blocks.
pub(super) fn depth(blocks: [usize; 4], bottleneck: bool) -> Option<usize> {
    FORMS
        .iter()
        .find(|form| (form.1, form.2) == (blocks, bottleneck))
        .map(|form| form.0)
}

/// For CIFAR, with so many blocks in each stage.
pub(super) fn cifar(blocks: usize, projection: bool, classes: usize) -> Graph {
    let form = Form {
        stem: conv(3, 16, 3, 1),
        pool: None,
        counts: &[blocks; 3],
        bottleneck: false,
        projection: projection.then_some("shortcut"),
        head: "linear",
    };
    form.graph(classes)
}

/// For ImageNet, with so many layers.
pub(super) fn imagenet(depth: usize, classes: usize) -> Result<Graph> {
    let Some((_, counts, bottleneck)) = FORMS.into_iter().find(|form| form.0 == depth) else {
        let found = depth.to_string();
        return refuse("layers of a ResNet", "18, 34 or 50", found);
    };
    let pool = MaxPool {
        size: 3,
        stride: 2,
        padding: 1,
    };
    let form = Form {
        stem: conv(3, 64, 7, 2),
        pool: Some(pool),
        counts: &counts,
        bottleneck,
        projection: Some("downsample"),
        head: "fc",
    };
    Ok(form.graph(classes))
}

/// A convolution that gives an image of the same size, but for the stride.
fn conv(inputs: usize, outputs: usize, kernel: usize, stride: usize) -> ConvShape {
    ConvShape {
        inputs,
        outputs,
        kernel,
        stride,
        padding: kernel / 2,
    }
}

/// What tells residual networks apart. Channels double from stage to stage, beginning with those of the stem; pixels of
/// each side halve.
struct Form<'f> {
    stem: ConvShape,
    pool: Option<MaxPool>,
    /// Blocks of each stage.
    counts: &'f [usize],
    bottleneck: bool,
    /// Name of the shortcut of a block that changes channels or pixels, a strided 1x1 convolution (option B); `None`: every
    /// second pixel with zeros for missing channels (option A).
    projection: Option<&'static str>,
    /// Name of the last layer.
    head: &'static str,
}

impl Form<'_> {
    fn graph(&self, classes: usize) -> Graph {
        let mut builder = Builder::new(Start::KaimingNormal);
        let stem = builder.normed("conv1", "bn1", self.stem);
        let behind = self.pool.map(Op::MaxPool);
        let mut x = builder.chain(0, stem.into_iter().chain([Op::Relu]).chain(behind));
        let mut inputs = self.stem.outputs;
        for (stage, count) in self.counts.iter().enumerate() {
            for number in 0..*count {
                let name = format!("layer{}.{number}", stage + 1);
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let shapes = self.shapes(inputs, self.stem.outputs << stage, stride);
                x = self.block(&mut builder, &name, x, &shapes);
                inputs = shapes[shapes.len() - 1].outputs;
            }
        }
        let linear = builder.linear(self.head, inputs, classes);
        builder.chain(x, [Op::ChannelMean, linear]);
        builder.finish()
    }

    /// The convolutions of a block of `width` channels (in its middle, for a bottleneck). The stride is that of its first 3x3
    /// convolution, as torchvision has it.
    fn shapes(&self, inputs: usize, width: usize, stride: usize) -> Vec<ConvShape> {
        if self.bottleneck {
            vec![
                conv(inputs, width, 1, 1),
                conv(width, width, 3, stride),
                conv(width, EXPANSION * width, 1, 1),
            ]
        } else {
            vec![conv(inputs, width, 3, stride), conv(width, width, 3, 1)]
        }
    }

    /// `relu(last(... relu(first(x))) + shortcut(x))`; where nothing changes `x` itself is added.
    fn block(&self, builder: &mut Builder, name: &str, x: Value, shapes: &[ConvShape]) -> Value {
        let mut convolutions = Vec::with_capacity(shapes.len());
        for (i, shape) in shapes.iter().enumerate() {
            let part = |part: &str| format!("{name}.{part}{}", i + 1);
            convolutions.push(builder.normed(&part("conv"), &part("bn"), *shape));
        }
        let last = shapes.len() - 1;
        let (inputs, outputs) = (shapes[0].inputs, shapes[last].outputs);
        let stride: usize = shapes.iter().map(|shape| shape.stride).product();
        let shortcut = match self.projection {
            _ if stride == 1 && inputs == outputs => x,
            None => builder.push(Op::PaddedShortcut { channels: outputs }, &[x]),
            Some(own) => {
                let part = |part: usize| format!("{name}.{own}.{part}");
                let normed = builder.normed(&part(0), &part(1), conv(inputs, outputs, 1, stride));
                builder.chain(x, normed)
            }
        };
        let mut y = x;
        for (i, convolution) in convolutions.into_iter().enumerate() {
            y = builder.chain(y, convolution);
            if i == last {
                y = builder.push(Op::Add, &[y, shortcut]);
            }
            y = builder.push(Op::Relu, &[y]);
        }
        y
    }
}
