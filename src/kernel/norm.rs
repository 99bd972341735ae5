//! Batch norm in training, with the residual and the ReLU behind it, as one candle operation on blocked images.
//!
//! Sums run over fixed groups of images in f64 of short f32 sums, and are added in order: results do not depend
//! on the number of threads.

use super::isa::Isa;
use super::planes::{lanes_of, Lanes, BLOCK};
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};
use passes::{run, AddGradients, AddMoments, Backward, Factors, Normalise, Slopes, Sums, Upstream};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

pub use fixed::fixed_norm;

/// Images per task; fixed, because it sets the order of additions.
const GROUP: usize = 8;

/// Mean and variance of a batch, per channel.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchStatistics {
    /// Mean.
    pub mean: Vec<f64>,
    /// Variance with the divisor n.
    pub variance: Vec<f64>,
    /// Values per channel, n.
    pub count: usize,
}

/// `relu((x - mean) / √(variance + epsilon) · scale + shift + residual)` with the statistics of the batch.
///
/// `x` and `residual` are blocked, [batch, blocks, height, width, 16]; `affine` is [2, channels], scale then
/// shift. Spare lanes come out as the residual's. Gradients flow to `x`, `affine` and `residual`.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit or a tensor is not f32 on the CPU.
pub fn batch_norm(
    x: &Tensor,
    affine: &Tensor,
    residual: Option<&Tensor>,
    relu: bool,
    epsilon: f64,
) -> Result<(Tensor, BatchStatistics)> {
    let what = || format!("batch norm of {:?}", x.dims());
    let statistics = Arc::new(OnceLock::new());
    let op = BatchNorm {
        relu,
        epsilon,
        isa: Isa::current(),
        statistics: statistics.clone(),
    };
    let apply = || {
        if !is_ours(x) || !is_ours(affine) {
            candle_core::bail!("the kernels take f32 tensors on the CPU");
        }
        let (x, affine) = (x.contiguous()?, affine.contiguous()?);
        match residual {
            None => x.apply_op2(&affine, op),
            Some(residual) => x.apply_op3(&affine, &residual.contiguous()?, op),
        }
    };
    let y = apply().during(what)?;
    let statistics = statistics.get().cloned();
    let missing = || candle_core::Error::Msg("batch norm left no statistics".into());
    Ok((y, statistics.ok_or_else(missing).during(what)?))
}

struct BatchNorm {
    relu: bool,
    epsilon: f64,
    isa: Isa,
    statistics: Arc<OnceLock<BatchStatistics>>,
}

/// Sizes of a blocked batch.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    blocks: usize,
    /// Values of one block of one image.
    plane: usize,
    channels: usize,
}

fn sizes(x: &Shape, affine: &Shape) -> candle_core::Result<Sizes> {
    match (x.dims(), affine.dims()) {
        (&[batch, blocks, height, width, BLOCK], &[2, channels])
            if channels.div_ceil(BLOCK) == blocks && batch * height * width > 0 =>
        {
            Ok(Sizes {
                batch,
                blocks,
                plane: height * width * BLOCK,
                channels,
            })
        }
        _ => candle_core::bail!("images {x:?} do not fit scale and shift {affine:?}"),
    }
}

impl Sizes {
    fn image(&self) -> usize {
        self.blocks * self.plane
    }

    fn count(&self) -> usize {
        self.batch * self.plane / BLOCK
    }

    /// [`lanes_of`] this batch.
    fn lanes(&self, of_channel: impl Fn(usize) -> f32) -> Vec<Lanes> {
        lanes_of(self.channels, of_channel)
    }

    /// Two sums per channel over all images; `add` adds those of one plane: (image, block, sums).
    fn sums(&self, add: impl Fn(usize, usize, &mut Sums) + Sync) -> Vec<[f64; 2]> {
        let images: Vec<usize> = (0..self.batch).collect();
        let part = |group: &[usize]| {
            let mut sums = vec![Sums::default(); self.blocks];
            for &image in group {
                sums.iter_mut()
                    .enumerate()
                    .for_each(|(block, sums)| add(image, block, sums));
            }
            sums
        };
        self.totals(&images.par_chunks(GROUP).map(part).collect::<Vec<_>>())
    }

    /// Two sums per channel of those of groups, in their order.
    fn totals(&self, parts: &[Vec<Sums>]) -> Vec<[f64; 2]> {
        let mut totals = vec![[0f64; 2]; self.channels];
        for part in parts {
            for (channel, total) in totals.iter_mut().enumerate() {
                let (block, lane) = (channel / BLOCK, channel % BLOCK);
                total[0] += part[block].first[lane];
                total[1] += part[block].second[lane];
            }
        }
        totals
    }

    /// A value of every channel, near which sums lose few digits: that of the first pixel.
    fn centres(&self, x: &[f32]) -> Vec<f32> {
        (0..self.channels)
            .map(|channel| x[channel / BLOCK * self.plane + channel % BLOCK])
            .collect()
    }

    fn statistics(&self, isa: Isa, x: &[f32]) -> BatchStatistics {
        let centres = self.centres(x);
        let centre = self.lanes(|channel| centres[channel]);
        let count = self.count() as f64;
        let sums = self.sums(|image, block, sums| {
            let plane = &x[image * self.image() + block * self.plane..][..self.plane];
            run(
                isa,
                AddMoments {
                    x: plane,
                    centre: &centre[block],
                    sums,
                },
            );
        });
        let shifts: Vec<f64> = sums.iter().map(|[first, _]| first / count).collect();
        let mean = shifts
            .iter()
            .zip(&centres)
            .map(|(shift, centre)| shift + f64::from(*centre));
        let variance = sums
            .iter()
            .zip(&shifts)
            .map(|([_, second], shift)| second / count - shift * shift);
        BatchStatistics {
            mean: mean.collect(),
            // a NaN stays one
            variance: variance.map(|v| if v < 0.0 { 0.0 } else { v }).collect(),
            count: self.count(),
        }
    }

    /// What the blocks are normalised with.
    fn factors(&self, statistics: &BatchStatistics, affine: &[f32], epsilon: f64) -> Vec<Factors> {
        let (scale, shift) = affine.split_at(self.channels);
        let factor = |c: usize| f64::from(scale[c]) * inverse(statistics.variance[c], epsilon);
        let off = |c: usize| f64::from(statistics.mean[c] as f32) - statistics.mean[c];
        let centres = self.lanes(|c| statistics.mean[c] as f32);
        let factors = self.lanes(|c| factor(c) as f32);
        let offsets = self.lanes(|c| (f64::from(shift[c]) + off(c) * factor(c)) as f32);
        let lanes = centres.into_iter().zip(factors).zip(offsets);
        lanes
            .map(|((centre, factor), offset)| Factors {
                centre,
                factor,
                offset,
            })
            .collect()
    }

    /// Factors of the gradient of `x` of every block, and the gradient of scale and shift, of the two sums that
    /// [`AddGradients`] takes.
    fn slopes(
        &self,
        statistics: &BatchStatistics,
        sums: &[[f64; 2]],
        scale: &[f32],
        epsilon: f64,
    ) -> (Vec<Slopes>, Vec<f32>) {
        let n = self.count() as f64;
        let inverse = |c: usize| inverse(statistics.variance[c], epsilon);
        // Σ g x̂ with x̂ = (x - mean) / √(variance + ε); the centre is the mean rounded to f32
        let off = |c: usize| f64::from(statistics.mean[c] as f32) - statistics.mean[c];
        let products: Vec<f64> = (0..self.channels)
            .map(|c| (sums[c][1] + off(c) * sums[c][0]) * inverse(c))
            .collect();
        let factor = |c: usize| f64::from(scale[c]) * inverse(c);
        let of_x = |c: usize| -factor(c) * products[c] * inverse(c) / n;
        let of_g = self.lanes(|c| factor(c) as f32);
        let constant = self.lanes(|c| (-factor(c) * sums[c][0] / n + of_x(c) * off(c)) as f32);
        let of_x = self.lanes(|c| of_x(c) as f32);
        let slopes = of_g.into_iter().zip(of_x).zip(constant);
        let slopes = slopes.map(|((of_g, of_x), constant)| Slopes {
            of_g,
            of_x,
            constant,
        });
        let mut affine: Vec<f32> = products.iter().map(|x| *x as f32).collect();
        affine.extend(sums.iter().map(|[first, _]| *first as f32));
        (slopes.collect(), affine)
    }
}

/// `1 / √(variance + ε)`.
fn inverse(variance: f64, epsilon: f64) -> f64 {
    1.0 / (variance + epsilon).sqrt()
}

/// Gradients of one call: `x`, `affine` and, where asked for, the residual.
type Gradients = (Vec<f32>, Vec<f32>, Option<Vec<f32>>);

impl BatchNorm {
    fn forward(
        &self,
        sizes: &Sizes,
        x: &[f32],
        affine: &[f32],
        residual: Option<&[f32]>,
    ) -> Vec<f32> {
        let statistics = sizes.statistics(self.isa, x);
        let factors = sizes.factors(&statistics, affine, self.epsilon);
        let mut y = vec![0f32; x.len()];
        let group = GROUP * sizes.image();
        y.par_chunks_mut(group).enumerate().for_each(|(i, y)| {
            for (p, y) in y.chunks_mut(sizes.plane).enumerate() {
                let (at, block) = (i * group + p * sizes.plane, p % sizes.blocks);
                let x = &x[at..][..sizes.plane];
                let residual = residual.map(|r| &r[at..][..sizes.plane]);
                let factors = &factors[block];
                run(
                    self.isa,
                    Normalise {
                        factors,
                        relu: self.relu,
                        x,
                        residual,
                        y,
                    },
                );
            }
        });
        // the first call is the only one: an operation is made for each
        let _ = self.statistics.set(statistics);
        y
    }

    fn backward(
        &self,
        sizes: &Sizes,
        x: &[f32],
        affine: &[f32],
        y: &[f32],
        g: &[f32],
        residual: bool,
    ) -> Gradients {
        let statistics = match self.statistics.get() {
            Some(statistics) => statistics.clone(),
            None => sizes.statistics(self.isa, x),
        };
        let centre = sizes.lanes(|c| statistics.mean[c] as f32);
        let upstream = |at: usize, block: usize| {
            let [x, y, g] = [x, y, g].map(|values| &values[at..][..sizes.plane]);
            Upstream {
                x,
                y,
                g,
                relu: self.relu,
                centre: &centre[block],
            }
        };
        let sums = sizes.sums(|image, block, sums| {
            let from = upstream(image * sizes.image() + block * sizes.plane, block);
            run(self.isa, AddGradients { from, sums });
        });
        let (slopes, affine) = sizes.slopes(&statistics, &sums, affine, self.epsilon);
        let mut dx = vec![0f32; x.len()];
        let mut dr = vec![0f32; if residual { x.len() } else { 0 }];
        let group = GROUP * sizes.image();
        let work = |i: usize, dx: &mut [f32], mut dr: Option<&mut [f32]>| {
            for (p, dx) in dx.chunks_mut(sizes.plane).enumerate() {
                let (at, block) = (i * group + p * sizes.plane, p % sizes.blocks);
                let residual = dr
                    .as_deref_mut()
                    .map(|dr| &mut dr[p * sizes.plane..][..sizes.plane]);
                let from = upstream(at, block);
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
        let groups = dx.par_chunks_mut(group).enumerate();
        if residual {
            groups
                .zip(dr.par_chunks_mut(group))
                .for_each(|((i, dx), dr)| work(i, dx, Some(dr)));
        } else {
            groups.for_each(|(i, dx)| work(i, dx, None));
        }
        (dx, affine, residual.then_some(dr))
    }

    fn gradients(
        &self,
        x: &Tensor,
        affine: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
        residual: bool,
    ) -> candle_core::Result<(Tensor, Tensor, Option<Tensor>)> {
        let sizes = sizes(x.shape(), affine.shape())?;
        let gradient = gradient.contiguous()?;
        let (dx, da, dr) = with_values(x, |x| {
            with_values(affine, |affine| {
                with_values(y, |y| {
                    with_values(&gradient, |g| {
                        Ok(self.backward(&sizes, x, affine, y, g, residual))
                    })
                })
            })
        })?;
        let of = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((
            of(dx, x)?,
            of(da, affine)?,
            dr.map(|dr| of(dr, x)).transpose()?,
        ))
    }
}

impl CustomOp2 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sizes = sizes(x_layout.shape(), affine_layout.shape())?;
        let y = self.forward(
            &sizes,
            values(x, x_layout)?,
            values(affine, affine_layout)?,
            None,
        );
        Ok(stored(y, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let (dx, da, _) = self.gradients(x, affine, y, gradient, false)?;
        Ok((Some(dx), Some(da)))
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch-norm-residual"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        affine: &CpuStorage,
        affine_layout: &Layout,
        residual: &CpuStorage,
        residual_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sizes = sizes(x_layout.shape(), affine_layout.shape())?;
        if residual_layout.dims() != x_layout.dims() {
            candle_core::bail!(
                "residual {:?} does not fit {:?}",
                residual_layout.dims(),
                x_layout.dims()
            );
        }
        let residual = values(residual, residual_layout)?;
        let y = self.forward(
            &sizes,
            values(x, x_layout)?,
            values(affine, affine_layout)?,
            Some(residual),
        );
        Ok(stored(y, x_layout.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        affine: &Tensor,
        _residual: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let (dx, da, dr) = self.gradients(x, affine, y, gradient, true)?;
        Ok((Some(dx), Some(da), dr))
    }
}

mod fixed;
pub(super) mod padded;
mod passes;
#[cfg(test)]
mod tests;
