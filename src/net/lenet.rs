//! LeNet-5 in the 6-16-120-84 form with ReLU and max pooling (LeCun et al., 1998, as used today).

use super::build::{Body, Builder, Conv, ConvShape, Linear, Pass};
use super::pool::max_pool;
use super::program::Step;
use super::relu::relu;
use crate::error::Result;
use candle_core::Tensor;

#[derive(Debug)]
pub(super) struct Lenet5 {
    convolutions: [Conv; 2],
    linears: [Linear; 3],
}

impl Lenet5 {
    pub(super) fn new(builder: &mut Builder, classes: usize) -> Result<Self> {
        let conv = |inputs, outputs, padding| ConvShape {
            inputs,
            outputs,
            kernel: 5,
            stride: 1,
            padding,
        };
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
        if pass.route.is_blocked() {
            for conv in &self.convolutions {
                x = conv.pooled_blocked(&x, 2, pass)?;
            }
            // [batch, 1, 5, 5, 16] to the order of the weights of the first linear layer
            x = x.squeeze(1)?.permute((0, 3, 1, 2))?;
        } else {
            for conv in &self.convolutions {
                // max commutes with ReLU: pooling first leaves a quarter of the values to rectify
                x = relu(&max_pool(&conv.forward(&x, pass)?, 2, 2, 0)?)?;
            }
        }
        let x = relu(&self.linears[0].forward(&x.flatten_from(1)?, pass)?)?;
        let x = relu(&self.linears[1].forward(&x, pass)?)?;
        self.linears[2].forward(&x, pass)
    }

    fn program(&self) -> Result<Option<Vec<Step>>> {
        let pool = |input| Step::MaxPool {
            input,
            size: 2,
            stride: 2,
            padding: 0,
            relu: true,
        };
        Ok(Some(vec![
            self.convolutions[0].step(0, 6)?,
            pool(1),
            self.convolutions[1].step(2, 16)?,
            pool(3),
            self.linears[0].step(4, true)?,
            self.linears[1].step(5, true)?,
            self.linears[2].step(6, false)?,
        ]))
    }
}
