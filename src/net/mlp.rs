//! The 784-200-50-10 perceptron with ReLU; layers `layer1`, `layer2`, `layer3`.

use super::build::{Builder, Start};
use super::graph::{Graph, Op};

pub(super) fn graph(classes: usize) -> Graph {
    let mut builder = Builder::new(Start::Uniform);
    let [first, second, third] = [
        builder.linear("layer1", 784, 200),
        builder.linear("layer2", 200, 50),
        builder.linear("layer3", 50, classes),
    ];
    let flat = Op::Reshape(vec![None, Some(784)]);
    builder.chain(0, [flat, first, Op::Relu, second, Op::Relu, third]);
    builder.finish()
}
