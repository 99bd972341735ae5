//! The 784-200-50-10 perceptron with ReLU; layers `layer1`, `layer2`, `layer3`.

use super::build::{Body, Builder, Linear, Pass};
use super::program::Step;
use super::relu::relu;
use crate::error::Result;
use candle_core::Tensor;

#[derive(Debug)]
pub(super) struct Mlp {
    layers: [Linear; 3],
}

impl Mlp {
    pub(super) fn new(builder: &mut Builder, classes: usize) -> Result<Self> {
        Ok(Self {
            layers: [
                builder.linear("layer1", 784, 200)?,
                builder.linear("layer2", 200, 50)?,
                builder.linear("layer3", 50, classes)?,
            ],
        })
    }
}

impl Body for Mlp {
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let x = images.flatten_from(1)?;
        let x = relu(&self.layers[0].forward(&x, pass)?)?;
        let x = relu(&self.layers[1].forward(&x, pass)?)?;
        self.layers[2].forward(&x, pass)
    }

    fn program(&self) -> Result<Option<Vec<Step>>> {
        let [first, second, third] = &self.layers;
        Ok(Some(vec![
            first.step(0, true)?,
            second.step(1, true)?,
            third.step(2, false)?,
        ]))
    }
}
