//! ResNet for CIFAR (He et al., 2016): three stages of 16, 32 and 64 channels, 6n+2 layers.

use super::build::{Builder, ConvShape, Start};
use super::graph::{Graph, Op, Value};

/// Channels of the three stages.
const WIDTHS: [usize; 3] = [16, 32, 64];

pub(super) fn graph(blocks: usize, projection: bool, classes: usize) -> Graph {
    let mut builder = Builder::new(Start::KaimingNormal);
    let shape = ConvShape {
        inputs: 3,
        outputs: WIDTHS[0],
        kernel: 3,
        stride: 1,
        padding: 1,
    };
    let stem = builder.normed("conv1", "bn1", shape);
    let x = builder.push_normed(stem, 0);
    let mut x = builder.push(Op::Relu, &[x]);
    let mut inputs = WIDTHS[0];
    for (stage, outputs) in WIDTHS.into_iter().enumerate() {
        for number in 0..blocks {
            let name = format!("layer{}.{number}", stage + 1);
            x = block(&mut builder, &name, x, [inputs, outputs], projection);
            inputs = outputs;
        }
    }
    let x = builder.push(Op::ChannelMean, &[x]);
    let linear = builder.linear("linear", inputs, classes);
    builder.push(linear, &[x]);
    builder.finish()
}

/// `relu(second(relu(first(x))) + shortcut(x))`. Where channels change, the shortcut is that of option A, every second
/// pixel with zeros for missing channels, or that of option B, a strided 1x1 convolution.
fn block(
    builder: &mut Builder,
    name: &str,
    x: Value,
    [inputs, outputs]: [usize; 2],
    projection: bool,
) -> Value {
    let stride = if inputs == outputs { 1 } else { 2 };
    let conv = |inputs, stride, kernel| ConvShape {
        inputs,
        outputs,
        kernel,
        stride,
        padding: kernel / 2,
    };
    let part = |part: &str| format!("{name}.{part}");
    let first = builder.normed(&part("conv1"), &part("bn1"), conv(inputs, stride, 3));
    let second = builder.normed(&part("conv2"), &part("bn2"), conv(outputs, 1, 3));
    let shortcut = match (stride, projection) {
        (1, _) => x,
        (_, false) => builder.push(Op::PaddedShortcut { channels: outputs }, &[x]),
        (_, true) => {
            let shape = conv(inputs, stride, 1);
            let normed = builder.normed(&part("shortcut.0"), &part("shortcut.1"), shape);
            builder.push_normed(normed, x)
        }
    };
    let y = builder.push_normed(first, x);
    let y = builder.push(Op::Relu, &[y]);
    let y = builder.push_normed(second, y);
    let y = builder.push(Op::Add, &[y, shortcut]);
    builder.push(Op::Relu, &[y])
}
