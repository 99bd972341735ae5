//! Batch norm in training, with the residual and the ReLU behind it, as one candle operation on blocked images.
//!
//! Sums run over fixed groups of images in f64 of short f32 sums, and are added in order: results do not depend
//! on the number of threads.

use super::isa::Isa;
use super::planes::BLOCK;
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Shape, Tensor};
use rayon::prelude::*;
use std::sync::{Arc, OnceLock};

/// Images per task; fixed, because it sets the order of additions.
const GROUP: usize = 8;
/// Values treated at a time: four pixels of a block.
const RUN: usize = 4 * BLOCK;
/// Runs whose sums are kept in f32 before they are added in f64.
const SHORT: usize = 64;

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
    let op = BatchNorm { relu, epsilon, isa: Isa::current(), statistics: statistics.clone() };
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

/// One value per lane of a block, four times: a run.
type Lanes = [f32; RUN];

fn sizes(x: &Shape, affine: &Shape) -> candle_core::Result<Sizes> {
    match (x.dims(), affine.dims()) {
        (&[batch, blocks, height, width, BLOCK], &[2, channels])
            if channels.div_ceil(BLOCK) == blocks && batch * height * width > 0 =>
        {
            Ok(Sizes { batch, blocks, plane: height * width * BLOCK, channels })
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

    /// Per-channel values as runs, one per block; 0 in spare lanes.
    fn runs(&self, of_channel: impl Fn(usize) -> f32) -> Vec<Lanes> {
        let lane = |block: usize, i: usize| block * BLOCK + i % BLOCK;
        let value = |channel: usize| if channel < self.channels { of_channel(channel) } else { 0.0 };
        (0..self.blocks).map(|block| std::array::from_fn(|i| value(lane(block, i)))).collect()
    }

    /// Two sums per channel over all images; `add` adds those of one plane: (image, block, sums).
    fn sums(&self, add: impl Fn(usize, usize, &mut Sums) + Sync) -> Vec<[f64; 2]> {
        let images: Vec<usize> = (0..self.batch).collect();
        let part = |group: &[usize]| {
            let mut sums = vec![Sums::new(); self.blocks];
            for &image in group {
                sums.iter_mut().enumerate().for_each(|(block, sums)| add(image, block, sums));
            }
            sums
        };
        let parts: Vec<Vec<Sums>> = images.par_chunks(GROUP).map(part).collect();
        let mut totals = vec![[0f64; 2]; self.channels];
        for part in &parts {
            for (channel, total) in totals.iter_mut().enumerate() {
                let (block, lane) = (channel / BLOCK, channel % BLOCK);
                for at in (lane..RUN).step_by(BLOCK) {
                    total[0] += part[block].first[at];
                    total[1] += part[block].second[at];
                }
            }
        }
        totals
    }
}

/// Sums of two quantities in every lane of a run.
#[derive(Clone)]
struct Sums {
    first: [f64; RUN],
    second: [f64; RUN],
}

impl Sums {
    fn new() -> Self {
        Self { first: [0.0; RUN], second: [0.0; RUN] }
    }

    fn add(&mut self, first: &Lanes, second: &Lanes) {
        for i in 0..RUN {
            self.first[i] += f64::from(first[i]);
            self.second[i] += f64::from(second[i]);
        }
    }
}

/// The values of a chunk as whole runs; the rest, less than a run, is filled up with zeros.
#[inline(always)]
fn for_runs<const N: usize>(slices: [&[f32]; N], mut visit: impl FnMut([&Lanes; N], usize)) {
    let mut at = 0;
    let length = slices[0].len();
    while at + RUN <= length {
        let runs = slices.map(|slice| slice[at..].first_chunk::<RUN>());
        if let Some(runs) = all(runs) {
            visit(runs, RUN);
        }
        at += RUN;
    }
    if at < length {
        let mut rest = [[0f32; RUN]; N];
        for (rest, slice) in rest.iter_mut().zip(slices) {
            rest[..length - at].copy_from_slice(&slice[at..]);
        }
        visit(rest.each_ref(), length - at);
    }
}

#[inline(always)]
fn all<T: Copy, const N: usize>(options: [Option<T>; N]) -> Option<[T; N]> {
    let first = options.first().copied().flatten()?;
    let mut out = [first; N];
    for (out, option) in out.iter_mut().zip(options) {
        *out = option?;
    }
    Some(out)
}

/// Adds `Σ (x - centre)` and `Σ (x - centre)²` of a plane. The centre, any value of the channel, keeps digits.
#[inline(always)]
fn add_moments(x: &[f32], centre: &Lanes, sums: &mut Sums) {
    for x in x.chunks(SHORT * RUN) {
        let (mut first, mut second) = ([0f32; RUN], [0f32; RUN]);
        for_runs([x], |[x], length| {
            for i in 0..length {
                let d = x[i] - centre[i];
                first[i] += d;
                second[i] += d * d;
            }
        });
        sums.add(&first, &second);
    }
}

/// What the lanes of a block are normalised with.
struct Normalise {
    centre: Lanes,
    factor: Lanes,
    offset: Lanes,
    relu: bool,
}

impl Normalise {
    /// `relu((x - centre) · factor + offset + residual)` of a plane.
    #[inline(always)]
    fn plane(&self, x: &[f32], residual: Option<&[f32]>, y: &mut [f32]) {
        let value = |i: usize, x: f32, r: f32| {
            let sum = (x - self.centre[i]) * self.factor[i] + self.offset[i] + r;
            if self.relu {
                sum.max(0.0)
            } else {
                sum
            }
        };
        let runs = y.chunks_mut(RUN).zip(x.chunks(RUN));
        match residual {
            None => runs.for_each(|(y, x)| {
                let values = y.iter_mut().zip(x).enumerate();
                values.for_each(|(i, (y, x))| *y = value(i, *x, 0.0));
            }),
            Some(residual) => runs.zip(residual.chunks(RUN)).for_each(|((y, x), r)| {
                let values = y.iter_mut().zip(x).zip(r).enumerate();
                values.for_each(|(i, ((y, x), r))| *y = value(i, *x, *r));
            }),
        }
    }
}

/// Adds `Σ g` and `Σ g (x - centre)` of a plane, `g` the gradient where the output passed the ReLU.
#[inline(always)]
fn add_gradients(x: &[f32], y: &[f32], g: &[f32], relu: bool, centre: &Lanes, sums: &mut Sums) {
    let chunks = x.chunks(SHORT * RUN).zip(y.chunks(SHORT * RUN)).zip(g.chunks(SHORT * RUN));
    for ((x, y), g) in chunks {
        let (mut first, mut second) = ([0f32; RUN], [0f32; RUN]);
        for_runs([x, y, g], |[x, y, g], length| {
            for i in 0..length {
                let g = if !relu || y[i] > 0.0 { g[i] } else { 0.0 };
                first[i] += g;
                second[i] += g * (x[i] - centre[i]);
            }
        });
        sums.add(&first, &second);
    }
}

/// What a plane of the backward pass reads.
struct Backward<'a> {
    x: &'a [f32],
    y: &'a [f32],
    g: &'a [f32],
    relu: bool,
    /// `dx = g · of_g + (x - centre) · of_x + constant`.
    centre: &'a Lanes,
    of_g: &'a Lanes,
    of_x: &'a Lanes,
    constant: &'a Lanes,
}

impl Backward<'_> {
    #[inline(always)]
    fn plane(&self, dx: &mut [f32], residual: Option<&mut [f32]>) {
        let inputs = self.x.chunks(RUN).zip(self.y.chunks(RUN)).zip(self.g.chunks(RUN));
        match residual {
            None => dx.chunks_mut(RUN).zip(inputs).for_each(|(dx, ((x, y), g))| {
                for (i, (((dx, x), y), g)) in dx.iter_mut().zip(x).zip(y).zip(g).enumerate() {
                    let g = if !self.relu || *y > 0.0 { *g } else { 0.0 };
                    *dx = g * self.of_g[i] + (x - self.centre[i]) * self.of_x[i] + self.constant[i];
                }
            }),
            Some(residual) => {
                let outputs = dx.chunks_mut(RUN).zip(residual.chunks_mut(RUN));
                outputs.zip(inputs).for_each(|((dx, dr), ((x, y), g))| {
                    let values = dx.iter_mut().zip(dr).zip(x).zip(y).zip(g);
                    for (i, ((((dx, dr), x), y), g)) in values.enumerate() {
                        let g = if !self.relu || *y > 0.0 { *g } else { 0.0 };
                        *dr = g;
                        *dx = g * self.of_g[i] + (x - self.centre[i]) * self.of_x[i] + self.constant[i];
                    }
                });
            }
        }
    }
}

/// Gradients of one call: `x`, `affine` and, where asked for, the residual.
type Gradients = (Vec<f32>, Vec<f32>, Option<Vec<f32>>);

impl BatchNorm {
    /// A value of every channel, near which sums lose few digits: that of the first pixel.
    fn centres(sizes: &Sizes, x: &[f32]) -> Vec<f32> {
        (0..sizes.channels).map(|channel| x[channel / BLOCK * sizes.plane + channel % BLOCK]).collect()
    }

    fn statistics(&self, sizes: &Sizes, x: &[f32]) -> BatchStatistics {
        let centres = Self::centres(sizes, x);
        let centre = sizes.runs(|channel| centres[channel]);
        let count = sizes.count() as f64;
        let sums = sizes.sums(|image, block, sums| {
            let plane = &x[image * sizes.image() + block * sizes.plane..][..sizes.plane];
            self.isa.plain(|| add_moments(plane, &centre[block], sums));
        });
        let shifts: Vec<f64> = sums.iter().map(|[first, _]| first / count).collect();
        let mean = shifts.iter().zip(&centres).map(|(shift, centre)| shift + f64::from(*centre));
        let variance = sums.iter().zip(&shifts).map(|([_, second], shift)| second / count - shift * shift);
        BatchStatistics {
            mean: mean.collect(),
            // a NaN stays one
            variance: variance.map(|v| if v < 0.0 { 0.0 } else { v }).collect(),
            count: sizes.count(),
        }
    }

    fn inverse(&self, variance: f64) -> f64 {
        1.0 / (variance + self.epsilon).sqrt()
    }

    fn forward(&self, sizes: &Sizes, x: &[f32], affine: &[f32], residual: Option<&[f32]>) -> Vec<f32> {
        let statistics = self.statistics(sizes, x);
        let (scale, shift) = affine.split_at(sizes.channels);
        let factor = |c: usize| f64::from(scale[c]) * self.inverse(statistics.variance[c]);
        let off = |c: usize| f64::from(statistics.mean[c] as f32) - statistics.mean[c];
        let centres = sizes.runs(|c| statistics.mean[c] as f32);
        let factors = sizes.runs(|c| factor(c) as f32);
        let offsets = sizes.runs(|c| (f64::from(shift[c]) + off(c) * factor(c)) as f32);
        let lanes = centres.into_iter().zip(factors).zip(offsets);
        let lanes =
            lanes.map(|((centre, factor), offset)| Normalise { centre, factor, offset, relu: self.relu });
        let lanes: Vec<Normalise> = lanes.collect();
        let mut y = vec![0f32; x.len()];
        let group = GROUP * sizes.image();
        y.par_chunks_mut(group).enumerate().for_each(|(i, y)| {
            for (p, y) in y.chunks_mut(sizes.plane).enumerate() {
                let (at, block) = (i * group + p * sizes.plane, p % sizes.blocks);
                let x = &x[at..][..sizes.plane];
                let residual = residual.map(|r| &r[at..][..sizes.plane]);
                self.isa.plain(|| lanes[block].plane(x, residual, y));
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
            None => self.statistics(sizes, x),
        };
        let centre = sizes.runs(|c| statistics.mean[c] as f32);
        let sums = sizes.sums(|image, block, sums| {
            let at = image * sizes.image() + block * sizes.plane;
            let [x, y, g] = [x, y, g].map(|values| &values[at..][..sizes.plane]);
            self.isa.plain(|| add_gradients(x, y, g, self.relu, &centre[block], sums));
        });
        let n = sizes.count() as f64;
        // Σ g x̂ with x̂ = (x - mean) / √(variance + ε); the centre is the mean rounded to f32
        let off = |c: usize| f64::from(statistics.mean[c] as f32) - statistics.mean[c];
        let products: Vec<f64> = (0..sizes.channels)
            .map(|c| (sums[c][1] + off(c) * sums[c][0]) * self.inverse(statistics.variance[c]))
            .collect();
        let factor = |c: usize| f64::from(affine[c]) * self.inverse(statistics.variance[c]);
        let of_x = |c: usize| -factor(c) * products[c] * self.inverse(statistics.variance[c]) / n;
        let of_g = sizes.runs(|c| factor(c) as f32);
        let constant = sizes.runs(|c| (-factor(c) * sums[c][0] / n + of_x(c) * off(c)) as f32);
        let of_x = sizes.runs(|c| of_x(c) as f32);
        let mut dx = vec![0f32; x.len()];
        let mut dr = vec![0f32; if residual { x.len() } else { 0 }];
        let group = GROUP * sizes.image();
        let work = |i: usize, dx: &mut [f32], mut dr: Option<&mut [f32]>| {
            for (p, dx) in dx.chunks_mut(sizes.plane).enumerate() {
                let (at, block) = (i * group + p * sizes.plane, p % sizes.blocks);
                let plane = at..at + sizes.plane;
                let backward = Backward {
                    x: &x[plane.clone()],
                    y: &y[plane.clone()],
                    g: &g[plane],
                    relu: self.relu,
                    centre: &centre[block],
                    of_g: &of_g[block],
                    of_x: &of_x[block],
                    constant: &constant[block],
                };
                let dr = dr.as_deref_mut().map(|dr| &mut dr[p * sizes.plane..][..sizes.plane]);
                self.isa.plain(|| backward.plane(dx, dr));
            }
        };
        let groups = dx.par_chunks_mut(group).enumerate();
        if residual {
            groups.zip(dr.par_chunks_mut(group)).for_each(|((i, dx), dr)| work(i, dx, Some(dr)));
        } else {
            groups.for_each(|(i, dx)| work(i, dx, None));
        }
        let mut affine: Vec<f32> = products.iter().map(|x| *x as f32).collect();
        affine.extend(sums.iter().map(|[first, _]| *first as f32));
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
                    with_values(&gradient, |g| Ok(self.backward(&sizes, x, affine, y, g, residual)))
                })
            })
        })?;
        let of = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((of(dx, x)?, of(da, affine)?, dr.map(|dr| of(dr, x)).transpose()?))
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
        let y = self.forward(&sizes, values(x, x_layout)?, values(affine, affine_layout)?, None);
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
            candle_core::bail!("residual {:?} does not fit {:?}", residual_layout.dims(), x_layout.dims());
        }
        let residual = values(residual, residual_layout)?;
        let y = self.forward(&sizes, values(x, x_layout)?, values(affine, affine_layout)?, Some(residual));
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

#[cfg(test)]
mod tests;
