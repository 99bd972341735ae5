//! The rectifier by candle's own operations, on every device.

use crate::error::{Result, TensorContext};
use candle_core::Tensor;

/// Zero in place of what is below zero; NaN stays, which `relu` of candle 0.11 makes zero. Its gradient is that of
/// candle: 1 from zero on.
///
/// # Errors
/// A tensor failure.
pub(super) fn relu(x: &Tensor) -> Result<Tensor> {
    let rectified = || {
        let zeros = x.zeros_like()?;
        x.lt(&zeros)?.where_cond(&zeros, x)
    };
    rectified().during(|| format!("rectifying {:?}", x.dims()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn what_is_no_number_stays_and_all_else_is_as_in_candle() {
        let values = [-1.5f32, -0.0, 0.0, 2.5, f32::INFINITY, f32::NEG_INFINITY];
        let x = Var::new(&values, &Device::Cpu).unwrap();
        let run = |y: Tensor| {
            let gradients = (&y * 3.0).unwrap().sum_all().unwrap().backward().unwrap();
            let slope = gradients.get(&x).unwrap().to_vec1::<f32>().unwrap();
            (y.to_vec1::<f32>().unwrap(), slope)
        };
        assert_eq!(run(relu(&x).unwrap()), run(x.relu().unwrap()));
        let bad = Tensor::new(&[f32::NAN, -f32::NAN], &Device::Cpu).unwrap();
        let bad = relu(&bad).unwrap().to_vec1::<f32>().unwrap();
        assert!(bad.iter().all(|x| x.is_nan()));
    }
}
