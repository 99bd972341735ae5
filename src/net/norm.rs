//! Batch norm over [batch, channels, height, width] with true running statistics, and layer norm, as PyTorch defines them.

use super::graph::LayerNormNode;
use super::pass::{host_values, Tensors};
use crate::error::{Result, TensorContext};
use crate::kernel::{batch_norm, fixed_norm, BatchStatistics};
use candle_core::{Tensor, Var, D};

/// Added to the variance.
pub(super) const EPSILON: f64 = 1e-5;
/// Weight of a new batch in the running statistics.
const MOMENTUM: f64 = 0.1;

/// Batch norm; all four tensors are [channels].
#[derive(Debug)]
pub(super) struct BatchNorm {
    pub(super) scale: Var,
    pub(super) shift: Var,
    pub(super) running_mean: Var,
    pub(super) running_var: Var,
    /// Added to the variance.
    pub(super) epsilon: f64,
}

impl BatchNorm {
    /// In training the statistics of the batch normalise, and move the running ones (variance with the n-1
    /// divisor); else the running ones normalise.
    pub(super) fn forward(&self, x: &Tensor, training: bool) -> Result<Tensor> {
        let what = || format!("batch norm of {:?}", x.dims());
        if training {
            self.train(x).during(what)
        } else {
            self.evaluate(x).during(what)
        }
    }

    /// On blocked images by the kernels, with what stands behind a norm in a residual block:
    /// `relu(norm(x) + residual)`. In evaluation no gradient reaches scale and shift.
    pub(super) fn forward_blocked(
        &self,
        x: &Tensor,
        residual: Option<&Tensor>,
        relu: bool,
        training: bool,
    ) -> Result<Tensor> {
        if training {
            return self.train_blocked(x, residual, relu);
        }
        let (factors, summands) = self.folded()?;
        fixed_norm(x, &factors, &summands, residual, relu)
    }

    fn train_blocked(&self, x: &Tensor, residual: Option<&Tensor>, relu: bool) -> Result<Tensor> {
        let affine = Tensor::stack(&[self.scale.as_tensor(), self.shift.as_tensor()], 0)?;
        let (y, batch) = batch_norm(x, &affine, residual, relu, self.epsilon)?;
        self.take_up(batch)?;
        Ok(y)
    }

    /// Scale and shift as one vector.
    pub(super) fn affine(&self) -> Result<Tensor> {
        Ok(Tensor::cat(
            &[self.scale.as_tensor(), self.shift.as_tensor()],
            0,
        )?)
    }

    /// Moves the running statistics towards those of a batch.
    pub(super) fn take_up(&self, batch: BatchStatistics) -> Result<()> {
        let n = batch.count as f64;
        let unbiased = n / (n - 1.0).max(1.0);
        let of_batch = |values: Vec<f64>| {
            let values: Vec<f32> = values.into_iter().map(|x| x as f32).collect();
            Tensor::from_vec(values, self.scale.shape(), self.scale.device())
        };
        let variance = batch.variance.iter().map(|v| v * unbiased).collect();
        let move_both = || {
            self.move_running(&self.running_mean, &of_batch(batch.mean)?)?;
            self.move_running(&self.running_var, &of_batch(variance)?)
        };
        move_both().during(|| "running statistics".into())
    }

    /// Factor and summand per channel that the norm is in evaluation.
    pub(super) fn folded(&self) -> Result<(Vec<f32>, Vec<f32>)> {
        let [scale, shift, mean, variance] = self.tensors().map(host_values);
        let (scale, shift, mean, variance) = (scale?, shift?, mean?, variance?);
        let factors: Vec<f64> = scale
            .iter()
            .zip(&variance)
            .map(|(s, v)| f64::from(*s) / (f64::from(*v) + self.epsilon).sqrt())
            .collect();
        let summands = shift.iter().zip(&mean).zip(&factors);
        let summands = summands
            .map(|((s, m), f)| (f64::from(*s) - f64::from(*m) * f) as f32)
            .collect();
        Ok((factors.iter().map(|f| *f as f32).collect(), summands))
    }

    fn tensors(&self) -> [&Var; 4] {
        let Self {
            scale,
            shift,
            running_mean,
            running_var,
            ..
        } = self;
        [scale, shift, running_mean, running_var]
    }

    fn evaluate(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let [scale, shift, mean, variance] = self.tensors().map(|v| v.to_dtype(x.dtype()));
        let factor = (scale? / (variance? + self.epsilon)?.sqrt()?)?;
        let offset = (shift? - (mean? * &factor)?)?;
        let per_channel = (1, factor.elem_count(), 1, 1);
        x.broadcast_mul(&factor.reshape(per_channel)?)?
            .broadcast_add(&offset.reshape(per_channel)?)
    }

    fn train(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (batch, channels, height, width) = x.dims4()?;
        let n = (batch * height * width) as f64;
        let per_channel = (1, channels, 1, 1);
        let mean = x.mean_keepdim((0, 2, 3))?;
        let centred = x.broadcast_sub(&mean)?;
        let variance = centred.sqr()?.mean_keepdim((0, 2, 3))?;
        let unbiased = (variance.detach().flatten_all()? * (n / (n - 1.0).max(1.0)))?;
        let single = |t: Tensor| t.to_dtype(self.scale.dtype());
        self.move_running(&self.running_mean, &single(mean.detach().flatten_all()?)?)?;
        self.move_running(&self.running_var, &single(unbiased)?)?;
        let per_channel = |var: &Var| var.to_dtype(x.dtype())?.reshape(per_channel);
        let factor = (per_channel(&self.scale)? / (variance + self.epsilon)?.sqrt()?)?;
        centred
            .broadcast_mul(&factor)?
            .broadcast_add(&per_channel(&self.shift)?)
    }

    fn move_running(&self, running: &Var, batch: &Tensor) -> candle_core::Result<()> {
        running.set(&((running.as_tensor() * (1.0 - MOMENTUM))? + (batch * MOMENTUM)?)?)
    }
}

impl LayerNormNode {
    /// Over the last dimension; scale and shift are [features].
    pub(super) fn forward(self, x: &Tensor, tensors: Tensors) -> Result<Tensor> {
        let norm = || {
            let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
            let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
            let normed = centred.broadcast_div(&(variance + self.epsilon)?.sqrt()?)?;
            let [scale, shift] =
                [self.scale, self.shift].map(|at| tensors.parameter(at).to_dtype(x.dtype()));
            normed.broadcast_mul(&scale?)?.broadcast_add(&shift?)
        };
        norm().during(|| format!("layer norm of {:?}", x.dims()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::Device;

    fn norm() -> BatchNorm {
        let var = |v: [f32; 2]| Var::new(&v, &Device::Cpu).unwrap();
        BatchNorm {
            scale: var([1.5, 0.5]),
            shift: var([0.1, -0.2]),
            running_mean: var([0.0, 0.0]),
            running_var: var([1.0, 1.0]),
            epsilon: EPSILON,
        }
    }

    #[test]
    fn a_training_batch_comes_out_with_the_shift_as_mean_and_the_scale_as_deviation() {
        let x = Seed(1)
            .stream(Purpose::Test, &[])
            .normal_tensor(3.0, (8, 2, 5, 5))
            .unwrap();
        let y = norm().forward(&x, true).unwrap();
        let mean = y.mean((0, 2, 3)).unwrap().to_vec1::<f32>().unwrap();
        assert!(
            (mean[0] - 0.1).abs() < 1e-5 && (mean[1] + 0.2).abs() < 1e-5,
            "{mean:?}"
        );
        let square = y
            .sqr()
            .unwrap()
            .mean((0, 2, 3))
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!((square[0] - 0.01 - 2.25).abs() < 1e-3 && (square[1] - 0.04 - 0.25).abs() < 1e-3);
    }

    #[test]
    fn running_statistics_move_a_tenth_towards_the_batch_with_the_n_minus_one_variance() {
        let x = Tensor::new(&[1f32, 3.0, 10.0, 30.0], &Device::Cpu)
            .unwrap()
            .reshape((1, 2, 1, 2))
            .unwrap();
        let norm = norm();
        norm.forward(&x, true).unwrap();
        let near = |var: &Var, expected: [f32; 2]| {
            let got = var.to_vec1::<f32>().unwrap();
            assert!(
                got.iter().zip(expected).all(|(g, e)| (g - e).abs() < 1e-5),
                "{got:?}"
            );
        };
        near(&norm.running_mean, [0.2, 2.0]);
        near(&norm.running_var, [0.9 + 0.2, 0.9 + 20.0]);
        let before = norm.running_mean.to_vec1::<f32>().unwrap();
        norm.forward(&x, false).unwrap();
        assert_eq!(norm.running_mean.to_vec1::<f32>().unwrap(), before);
    }
}
