//! LeNet-5 in the 6-16-120-84 form with ReLU and max pooling (LeCun et al., 1998, as used today).

use super::build::{Builder, ConvShape, Start};
use super::graph::{Graph, MaxPool, Op};

const POOL: MaxPool = MaxPool {
    size: 2,
    stride: 2,
    padding: 0,
};

/// For images of so many channels, padded so far.
pub(super) fn graph(channels: usize, padding: usize, classes: usize) -> Graph {
    let mut builder = Builder::new(Start::Uniform);
    let conv = |inputs, outputs, padding| ConvShape {
        inputs,
        outputs,
        kernel: 5,
        stride: 1,
        padding,
    };
    let convolutions = [
        builder.conv("conv1", conv(channels, 6, padding), true),
        builder.conv("conv2", conv(6, 16, 0), true),
    ];
    let hidden = [
        builder.linear("fc1", 400, 120),
        builder.linear("fc2", 120, 84),
    ];
    let last = builder.linear("fc3", 84, classes);
    let mut x = 0;
    for convolution in convolutions {
        // max commutes with ReLU: pooling first leaves a quarter of the values to rectify
        x = builder.chain(x, [convolution, Op::MaxPool(POOL), Op::Relu]);
    }
    x = builder.push(Op::Reshape(vec![None, Some(400)]), &[x]);
    for linear in hidden {
        x = builder.chain(x, [linear, Op::Relu]);
    }
    builder.push(last, &[x]);
    builder.finish()
}
