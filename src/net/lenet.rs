//! LeNet-5 in the 6-16-120-84 form with ReLU and max pooling (LeCun et al., 1998, as used today).

use super::build::{Body, Builder, Conv, ConvShape, Linear, Pass};
use super::program::Step;
use crate::error::Result;
use candle_core::Tensor;

#[derive(Debug)]
pub(super) struct Lenet5 {
    convolutions: [Conv; 2],
    linears: [Linear; 3],
}

impl Lenet5 {
    pub(super) fn new(builder: &mut Builder, classes: usize) -> Result<Self> {
        let conv = |inputs, outputs, padding| ConvShape { inputs, outputs, kernel: 5, stride: 1, padding };
        Ok(Self {
            convolutions: [
                builder.conv("conv1", conv(1, 6, 2), true)?,
                builder.conv("conv2", conv(6, 16, 0), true)?,
            ],
            linears: [
                builder.linear("fc1", 400, 120)?,
                builder.linear("fc2", 120, 84)?,
                builder.linear("fc3", 84, classes)?,
            ],
        })
    }
}

impl Body for Lenet5 {
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut x = images.clone();
        for conv in &self.convolutions {
            // max commutes with ReLU: pooling first leaves a quarter of the values to rectify
            x = conv.forward(&x, pass)?.max_pool2d(2)?.relu()?;
        }
        let x = self.linears[0].forward(&x.flatten_from(1)?, pass)?.relu()?;
        let x = self.linears[1].forward(&x, pass)?.relu()?;
        self.linears[2].forward(&x, pass)
    }

    fn program(&self) -> Result<Vec<Step>> {
        Ok(vec![
            self.convolutions[0].step(0, 6)?,
            Step::MaxPool { input: 1, size: 2, relu: true },
            self.convolutions[1].step(2, 16)?,
            Step::MaxPool { input: 3, size: 2, relu: true },
            self.linears[0].step(4, true)?,
            self.linears[1].step(5, true)?,
            self.linears[2].step(6, false)?,
        ])
    }
}
