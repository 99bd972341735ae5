//! Batch norm in evaluation, a fixed factor and summand per channel, with the residual and the ReLU behind it, as one
//! candle operation on blocked images: for gradients of a trained network.

use super::super::isa::Isa;
use super::super::planes::{blocked_batch, lanes_of, Lanes, BLOCK};
use super::super::slices::{is_ours, stored, values, with_values};
use super::passes::{run, Backward, Factors, Normalise, Slopes, Upstream};
use super::GROUP;
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

/// `relu(x · factor + summand + residual)`, factor and summand given per channel, which no gradient reaches.
///
/// `x` and `residual` are blocked, [batch, blocks, height, width, 16]. Spare lanes come out as the residual's.
/// Gradients flow to `x` and `residual`.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit or a tensor is not f32 on the CPU.
pub fn fixed_norm(
    x: &Tensor,
    factors: &[f32],
    summands: &[f32],
    residual: Option<&Tensor>,
    relu: bool,
) -> Result<Tensor> {
    let apply = || {
        if !is_ours(x) || factors.len() != summands.len() {
            candle_core::bail!(
                "the kernels take f32 tensors on the CPU, and as many factors as summands"
            );
        }
        let op = FixedNorm {
            channels: factors.len(),
            factors: lanes_of(factors.len(), |channel| factors[channel]),
            summands: lanes_of(summands.len(), |channel| summands[channel]),
            relu,
            isa: Isa::current(),
        };
        match residual {
            None => x.contiguous()?.apply_op1(op),
            Some(residual) => x.contiguous()?.apply_op2(&residual.contiguous()?, op),
        }
    };
    apply().during(|| format!("batch norm of {:?} in evaluation", x.dims()))
}

struct FixedNorm {
    channels: usize,
    factors: Vec<Lanes>,
    summands: Vec<Lanes>,
    relu: bool,
    isa: Isa,
}

impl FixedNorm {
    /// Values of a block of an image, and of an image.
    fn sizes(&self, x: &Shape) -> candle_core::Result<(usize, usize)> {
        let (_, planes) = blocked_batch(x, self.channels)?;
        Ok((planes.plane(), planes.len()))
    }

    fn forward(
        &self,
        x: &[f32],
        (plane, image): (usize, usize),
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        let mut y = vec![0f32; x.len()];
        let group = GROUP * image;
        y.par_chunks_mut(group).enumerate().for_each(|(i, y)| {
            for (p, y) in y.chunks_mut(plane).enumerate() {
                let (at, block) = (i * group + p * plane, p % self.factors.len());
                let residual = residual.map(|r| &r[at..][..plane]);
                let (factor, offset) = (self.factors[block], self.summands[block]);
                let factors = &Factors {
                    centre: [0.0; BLOCK],
                    factor,
                    offset,
                };
                run(
                    self.isa,
                    Normalise {
                        factors,
                        relu: self.relu,
                        x: &x[at..][..plane],
                        residual,
                        y,
                    },
                );
            }
        });
        y
    }

    /// Gradients of `x` and, where asked for, of the residual.
    fn backward(
        &self,
        y: &Tensor,
        gradient: &Tensor,
        residual: bool,
    ) -> candle_core::Result<(Tensor, Option<Tensor>)> {
        let (plane, image) = self.sizes(y.shape())?;
        let group = GROUP * image;
        let mut dx = vec![0f32; y.elem_count()];
        let mut dr = vec![0f32; if residual { dx.len() } else { 0 }];
        let zero = [0.0; BLOCK];
        let slopes = |of_g: &Lanes| Slopes {
            of_g: *of_g,
            of_x: zero,
            constant: zero,
        };
        let slopes: Vec<Slopes> = self.factors.iter().map(slopes).collect();
        let work = |i: usize, y: &[f32], g: &[f32], dx: &mut [f32], mut dr: Option<&mut [f32]>| {
            for (p, dx) in dx.chunks_mut(plane).enumerate() {
                let (at, block) = (i * group + p * plane, p % slopes.len());
                let [y, g] = [y, g].map(|values| &values[at..][..plane]);
                // its slope is 0: anything of the size stands for x
                let from = Upstream {
                    x: y,
                    y,
                    g,
                    relu: self.relu,
                    centre: &zero,
                };
                let residual = dr.as_deref_mut().map(|dr| &mut dr[p * plane..][..plane]);
                run(
                    self.isa,
                    Backward {
                        from,
                        slopes: &slopes[block],
                        dx,
                        residual,
                    },
                );
            }
        };
        with_values(y, |y| {
            with_values(&gradient.contiguous()?, |g| {
                let groups = dx.par_chunks_mut(group).enumerate();
                if residual {
                    let both = groups.zip(dr.par_chunks_mut(group));
                    both.for_each(|((i, dx), dr)| work(i, y, g, dx, Some(dr)));
                } else {
                    groups.for_each(|(i, dx)| work(i, y, g, dx, None));
                }
                Ok(())
            })
        })?;
        let of = |values| Tensor::from_vec(values, y.shape(), y.device());
        Ok((of(dx)?, residual.then(|| of(dr)).transpose()?))
    }
}

impl CustomOp1 for FixedNorm {
    fn name(&self) -> &'static str {
        "fixed-norm"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = self.forward(values(x, layout)?, self.sizes(layout.shape())?, None);
        Ok(stored(y, layout.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        Ok(Some(self.backward(y, gradient, false)?.0))
    }
}

impl CustomOp2 for FixedNorm {
    fn name(&self) -> &'static str {
        "fixed-norm-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        if residual_layout.dims() != layout.dims() {
            candle_core::bail!(
                "residual {:?} does not fit {:?}",
                residual_layout.dims(),
                layout.dims()
            );
        }
        let residual = values(residual, residual_layout)?;
        let y = self.forward(
            values(x, layout)?,
            self.sizes(layout.shape())?,
            Some(residual),
        );
        Ok(stored(y, layout.shape().clone()))
    }

    fn bwd(
        &self,
        _x: &Tensor,
        _residual: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, dr) = self.backward(y, gradient, true)?;
        Ok((Some(dx), dr))
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::convolution::tests::{blocked, unblocked};
    use super::super::super::slices::chain;
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::{DType, Device, Var};

    #[test]
    fn values_and_gradients_match_candle_in_double_precision() {
        for shape in [(5, 16, 6, 6), (9, 20, 3, 5), (3, 40, 1, 1)] {
            for (with_residual, relu) in
                [(false, false), (false, true), (true, false), (true, true)]
            {
                let mut stream = Seed(3).stream(Purpose::Test, &[shape.1 as u64]);
                let [x, residual, weight] =
                    [2.0, 1.0, 1.0].map(|std| stream.normal_tensor(std, shape).unwrap());
                let affine = stream
                    .normal_tensor(1.0, (2, shape.1))
                    .unwrap()
                    .to_vec2::<f32>()
                    .unwrap();

                let double =
                    |t: &Tensor| Var::from_tensor(&t.to_dtype(DType::F64).unwrap()).unwrap();
                let (x2, r2) = (double(&x), double(&residual));
                let row = |row: &[f32]| {
                    let row = Tensor::new(row, &Device::Cpu)
                        .unwrap()
                        .to_dtype(DType::F64)
                        .unwrap();
                    row.reshape((1, shape.1, 1, 1)).unwrap()
                };
                let mut y2 = x2
                    .broadcast_mul(&row(&affine[0]))
                    .unwrap()
                    .broadcast_add(&row(&affine[1]))
                    .unwrap();
                if with_residual {
                    y2 = (y2 + r2.as_tensor()).unwrap();
                }
                if relu {
                    y2 = y2.relu().unwrap();
                }
                let loss = (&y2 * weight.to_dtype(DType::F64).unwrap()).unwrap();
                let truth = loss.sum_all().unwrap().backward().unwrap();

                let var = |t: &Tensor| Var::from_tensor(&blocked(t)).unwrap();
                let (x, residual) = (var(&x), var(&residual));
                let given = with_residual.then_some(residual.as_tensor());
                let y = fixed_norm(&x, &affine[0], &affine[1], given, relu).unwrap();
                let loss = (&y * blocked(&weight)).unwrap();
                let gradients = loss.sum_all().unwrap().backward().unwrap();

                let near = |ours: &Tensor, truth: &Tensor| {
                    let ours = unblocked(ours, shape.1).to_dtype(DType::F64).unwrap();
                    let difference = (ours - truth)
                        .unwrap()
                        .abs()
                        .unwrap()
                        .flatten_all()
                        .unwrap();
                    difference.max(0).unwrap().to_scalar::<f64>().unwrap() < 1e-5
                };
                let what = format!("{shape:?} residual {with_residual} relu {relu}");
                assert!(near(&y, &y2), "{what}");
                assert!(
                    near(gradients.get(&x).unwrap(), truth.get(&x2).unwrap()),
                    "{what}"
                );
                if with_residual {
                    assert!(
                        near(gradients.get(&residual).unwrap(), truth.get(&r2).unwrap()),
                        "{what}"
                    );
                }
            }
        }
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let x = zeros(&[2, 2, 4, 4, 16]);
        assert!(fixed_norm(&x, &[1.0; 48], &[0.0; 48], None, false).is_err());
        assert!(fixed_norm(&x, &[1.0; 32], &[0.0; 31], None, false).is_err());
        let residual = zeros(&[1, 2, 4, 4, 16]);
        let error = fixed_norm(&x, &[1.0; 32], &[0.0; 32], Some(&residual), false).unwrap_err();
        assert!(chain(&error).contains("residual"), "{error}");
    }
}
