//! Batch norm in training of a result that keeps a border, whose gradient is written image by image to where it is used.

use super::super::isa::Isa;
use super::super::planes::{Lanes, Planes};
use super::passes::{
    run, Backward, Factors, MaskGradients, Normalise, Pass, Slopes, Sums, Upstream,
};
use super::{BatchStatistics, Sizes, GROUP};
use pulp::Simd;
use rayon::prelude::*;

/// A norm of a batch of images with the residual and the ReLU behind it.
#[derive(Clone, Copy)]
pub(in crate::kernel) struct PaddedNorm {
    pub(in crate::kernel) isa: Isa,
    pub(in crate::kernel) batch: usize,
    /// Layout of an image of the result, and of the residual, with 16 lanes.
    pub(in crate::kernel) planes: Planes,
    pub(in crate::kernel) relu: bool,
    pub(in crate::kernel) epsilon: f64,
}

/// What the gradient of the input is made with.
pub(in crate::kernel) struct Gradient {
    centre: Vec<Lanes>,
    slopes: Vec<Slopes>,
}

impl PaddedNorm {
    fn sizes(&self) -> Sizes {
        Sizes {
            batch: self.batch,
            blocks: self.planes.blocks(),
            plane: self.planes.with_border(0).plane(),
            channels: self.planes.channels(),
        }
    }

    /// `y = relu(norm(x) + residual)`; `x` has no border, that of `y` is left as it is. `affine` is scale, then shift.
    pub(in crate::kernel) fn forward(
        &self,
        x: &[f32],
        affine: &[f32],
        residual: Option<&[f32]>,
        y: &mut [f32],
    ) -> BatchStatistics {
        let sizes = self.sizes();
        let statistics = sizes.statistics(self.isa, x);
        let factors = sizes.factors(&statistics, affine, self.epsilon);
        let images = y
            .par_chunks_mut(self.planes.len())
            .zip(x.par_chunks(sizes.image()));
        images.enumerate().for_each(|(image, (y, x))| {
            let at = image * self.planes.len();
            let residual = residual.map(|residual| &residual[at..][..self.planes.len()]);
            for (block, x) in x.chunks_exact(sizes.plane).enumerate() {
                run(
                    self.isa,
                    NormaliseRows {
                        factors: &factors[block],
                        relu: self.relu,
                        x,
                        residual,
                        y,
                        planes: self.planes,
                        block,
                    },
                );
            }
        });
        statistics
    }

    /// Keeps in `g`, the gradient of `y` without a border, what passes the ReLU: the gradient of the residual. Gives
    /// what that of `x` is made with, and the gradient of scale and shift.
    pub(in crate::kernel) fn backward(
        &self,
        x: &[f32],
        affine: &[f32],
        statistics: &BatchStatistics,
        y: &[f32],
        g: &mut [f32],
    ) -> (Gradient, Vec<f32>) {
        let sizes = self.sizes();
        let centre = sizes.lanes(|c| statistics.mean[c] as f32);
        let group = GROUP * sizes.image();
        let groups = g
            .par_chunks_mut(group)
            .zip(x.par_chunks(group))
            .zip(y.par_chunks(GROUP * self.planes.len()));
        let part = |((g, x), y): ((&mut [f32], &[f32]), &[f32])| {
            let mut sums = vec![Sums::default(); sizes.blocks];
            let planes = g
                .chunks_exact_mut(sizes.plane)
                .zip(x.chunks_exact(sizes.plane));
            for (plane, (g, x)) in planes.enumerate() {
                let (image, block) = (plane / sizes.blocks, plane % sizes.blocks);
                run(
                    self.isa,
                    MaskGradients {
                        x,
                        g,
                        y: &y[image * self.planes.len()..][..self.planes.len()],
                        planes: self.planes,
                        block,
                        relu: self.relu,
                        centre: &centre[block],
                        sums: &mut sums[block],
                    },
                );
            }
            sums
        };
        let sums = sizes.totals(&groups.map(part).collect::<Vec<_>>());
        let (slopes, affine) = sizes.slopes(statistics, &sums, affine, self.epsilon);
        (Gradient { centre, slopes }, affine)
    }

    /// Writes the gradient of `x` of one image in a layout that differs in its border, which is left as it is; `g` is
    /// what [`Self::backward`] left.
    pub(in crate::kernel) fn gradient(
        &self,
        gradient: &Gradient,
        x: &[f32],
        g: &[f32],
        (to, dx): (Planes, &mut [f32]),
    ) {
        let plane = self.sizes().plane;
        let planes = x.chunks_exact(plane).zip(g.chunks_exact(plane));
        for (block, (x, g)) in planes.enumerate() {
            run(
                self.isa,
                GradientRows {
                    x,
                    g,
                    centre: &gradient.centre[block],
                    slopes: &gradient.slopes[block],
                    dx,
                    to,
                    block,
                },
            );
        }
    }
}

/// [`Normalise`] of a block, row by row.
struct NormaliseRows<'a> {
    factors: &'a Factors,
    relu: bool,
    x: &'a [f32],
    /// Of an image, as `y`.
    residual: Option<&'a [f32]>,
    y: &'a mut [f32],
    planes: Planes,
    block: usize,
}

impl Pass for NormaliseRows<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let row = self.planes.with_border(0).row();
        for (y, x) in self.x.chunks_exact(row).enumerate() {
            let at = self.planes.at(self.block, y, 0);
            let pass = Normalise {
                factors: self.factors,
                relu: self.relu,
                x,
                residual: self.residual.map(|residual| &residual[at..][..row]),
                y: &mut self.y[at..][..row],
            };
            pass.run::<S, V>(simd);
        }
    }
}

/// [`Backward`] of a block, row by row, of a gradient that passed the ReLU.
struct GradientRows<'a> {
    x: &'a [f32],
    g: &'a [f32],
    centre: &'a Lanes,
    slopes: &'a Slopes,
    /// Of an image.
    dx: &'a mut [f32],
    to: Planes,
    block: usize,
}

impl Pass for GradientRows<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let row = self.to.with_border(0).row();
        let rows = self.x.chunks_exact(row).zip(self.g.chunks_exact(row));
        for (y, (x, g)) in rows.enumerate() {
            let from = Upstream {
                x,
                y: x,
                g,
                relu: false,
                centre: self.centre,
            };
            let pass = Backward {
                from,
                slopes: self.slopes,
                dx: &mut self.dx[self.to.at(self.block, y, 0)..][..row],
                residual: None,
            };
            pass.run::<S, V>(simd);
        }
    }
}
