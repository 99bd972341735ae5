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
    let x = builder.push(Op::Reshape(vec![None, Some(784)]), &[0]);
    let x = builder.push(first, &[x]);
    let x = builder.push(Op::Relu, &[x]);
    let x = builder.push(second, &[x]);
    let x = builder.push(Op::Relu, &[x]);
    builder.push(third, &[x]);
    builder.finish()
}
