//! Gradients of a direct convolution: to its weights by a kernel of its own, to its input as another convolution.

use super::direct::{multiply_add, run_loops, Direct, Loops};
use super::isa::Isa;
use super::planes::{Planes, BLOCK};
use crate::error::Result;
use pulp::{Simd, WithSimd};
use std::array::from_fn;

impl Direct {
    /// The convolution that carries a gradient of the output back to the input: unit stride, turned kernel
    /// ([`Self::pack_turned`]), over the gradient spread out by [`Self::spread`].
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the padding exceeds the kernel less one.
    pub fn backward(&self) -> Result<Direct> {
        let (kernel, padding) = (self.kernel(), self.padding());
        let border = (kernel - 1).checked_sub(padding).ok_or_else(|| {
            crate::error::Error::argument(
                "gradient of a convolution",
                format!("a padding below the kernel of {kernel}"),
                padding.to_string(),
            )
        })?;
        let spread = |length: usize| length + 2 * padding - (kernel - 1);
        let (height, width) = (spread(self.input().height()), spread(self.input().width()));
        let gradient = Planes::new(self.output().channels(), height, width, border)?.full();
        let direct = Direct::new(gradient, self.input().channels(), kernel, 1, border, 0)?;
        Ok(if self.input().lanes() == BLOCK {
            direct.full()
        } else {
            direct
        })
    }

    /// Writes a gradient of the output (border-free layout) into the input of [`Self::backward`]: pixels stride
    /// apart. What lies between must be zero.
    ///
    /// # Panics
    /// Where a slice is not of the size of its layout.
    pub fn spread(&self, backward: &Direct, gradient: &[f32], spread: &mut [f32]) {
        let (from, to) = (self.output().with_border(0), backward.input());
        assert_eq!(gradient.len(), from.len(), "gradient of a convolution");
        assert_eq!(spread.len(), to.len(), "spread gradient of a convolution");
        let (lanes, stride) = (from.lanes(), self.stride());
        for block in 0..from.blocks() {
            for y in 0..from.height() {
                let source = &gradient[from.at(block, y, 0)..][..from.row()];
                let target = &mut spread[to.at(block, y * stride, 0)..];
                if stride == 1 {
                    target[..source.len()].copy_from_slice(source);
                } else {
                    let pixels = target
                        .chunks_mut(stride * lanes)
                        .zip(source.chunks_exact(lanes));
                    pixels.for_each(|(target, source)| target[..lanes].copy_from_slice(source));
                }
            }
        }
    }

    /// Packs weights [outputs, inputs, kernel, kernel] of this convolution for [`Self::backward`]: inputs and
    /// outputs exchanged, the kernel turned by half a turn.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn pack_turned(&self, backward: &Direct, weights: &[f32], packed: &mut [f32]) {
        let (inputs, taps) = (self.input().channels(), self.kernel().pow(2));
        let outputs = self.output().channels();
        assert_eq!(weights.len(), outputs * inputs * taps, "weights");
        assert_eq!(packed.len(), backward.packed_len(), "packed weights");
        for (pair, weights) in weights.chunks_exact(taps).enumerate() {
            let (output, input) = (pair / inputs, pair % inputs);
            for (tap, weight) in weights.iter().enumerate() {
                packed[backward.packed_at((input * outputs + output) * taps + taps - 1 - tap)] =
                    *weight;
            }
        }
    }

    /// Reads packed weights, or their gradient, back as [outputs, inputs, kernel, kernel].
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn unpack(&self, packed: &[f32], weights: &mut [f32]) {
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        for (index, weight) in weights.iter_mut().enumerate() {
            *weight = packed[self.packed_at(index)];
        }
    }

    /// Adds the gradient to the packed weights of some images: `inputs` one after the other in the input layout,
    /// `gradients` in the border-free output layout. Additions run over images, rows, then columns.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn add_weight_gradient(
        &self,
        isa: Isa,
        inputs: &[f32],
        gradients: &[f32],
        packed: &mut [f32],
    ) {
        let output = self.output().with_border(0);
        assert_eq!(
            inputs.len() % self.input().len(),
            0,
            "inputs of a convolution"
        );
        assert_eq!(output.lanes(), BLOCK, "lanes of a gradient");
        let images = inputs.len() / self.input().len();
        assert_eq!(
            gradients.len(),
            images * output.len(),
            "gradients of a convolution"
        );
        assert_eq!(
            packed.len(),
            self.packed_len(),
            "packed weights of a convolution"
        );
        self.isa(isa).run(WeightGradient {
            shape: self,
            output,
            inputs,
            gradients,
            packed,
        });
    }
}

struct WeightGradient<'a> {
    shape: &'a Direct,
    output: Planes,
    inputs: &'a [f32],
    gradients: &'a [f32],
    packed: &'a mut [f32],
}

impl WithSimd for WeightGradient<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        run_loops(simd, self.shape, &mut self);
    }
}

impl Loops for WeightGradient<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const V: usize, const U: usize, const A: usize>(&mut self, simd: S) {
        let shape = self.shape;
        let (rows, planes, run) = (shape.kernel(), shape.input().blocks(), shape.run());
        for block in 0..self.output.blocks() {
            for row in 0..rows {
                for plane in 0..planes {
                    let at = ((block * rows + row) * planes + plane) * run;
                    let mut j = 0;
                    while j < run {
                        j += self.tile_of::<S, V, U, A>(simd, [block, row, plane], at, j, run - j);
                    }
                }
            }
        }
    }
}

impl WeightGradient<'_> {
    /// One tile of at most `left` weights of a run; returns how many.
    #[inline(always)]
    fn tile_of<S: Simd, const V: usize, const U: usize, const A: usize>(
        &mut self,
        simd: S,
        place: [usize; 3],
        at: usize,
        j: usize,
        left: usize,
    ) -> usize {
        if V == 1 {
            match left {
                16.. => self.tile::<S, 16, V, U, A>(simd, place, at, j),
                9.. => self.tile::<S, 9, V, U, A>(simd, place, at, j),
                8 => self.tile::<S, 8, V, U, A>(simd, place, at, j),
                5.. => self.tile::<S, 5, V, U, A>(simd, place, at, j),
                2.. => self.tile::<S, 2, V, U, A>(simd, place, at, j),
                _ => self.tile::<S, 1, V, U, A>(simd, place, at, j),
            }
        } else if U == 4 && S::REGISTER_COUNT < 32 {
            match left {
                2.. => self.tile::<S, 2, V, U, A>(simd, place, at, j),
                _ => self.tile::<S, 1, V, U, A>(simd, place, at, j),
            }
        } else if U == 1 {
            match left {
                8.. => self.tile::<S, 8, V, U, A>(simd, place, at, j),
                5.. => self.tile::<S, 5, V, U, A>(simd, place, at, j),
                2.. => self.tile::<S, 2, V, U, A>(simd, place, at, j),
                _ => self.tile::<S, 1, V, U, A>(simd, place, at, j),
            }
        } else {
            match left {
                4.. => self.tile::<S, 4, V, U, A>(simd, place, at, j),
                3 => self.tile::<S, 3, V, U, A>(simd, place, at, j),
                2 => self.tile::<S, 2, V, U, A>(simd, place, at, j),
                _ => self.tile::<S, 1, V, U, A>(simd, place, at, j),
            }
        }
    }

    /// `R` weights of a run, all outputs of a block, over all pixels of all images.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize, const U: usize, const A: usize>(
        &mut self,
        simd: S,
        [block, row, plane]: [usize; 3],
        at: usize,
        j: usize,
    ) -> usize {
        let (shape, output) = (self.shape, self.output);
        let input = shape.input();
        let mut sums: [[S::f32s; U]; R] = [[simd.splat_f32s(0.0); U]; R];
        let offset = input.border() - shape.padding();
        let images = self
            .inputs
            .chunks_exact(input.len())
            .zip(self.gradients.chunks_exact(output.len()));
        for (image, gradient) in images {
            for y in 0..output.height() {
                let first = plane * input.plane()
                    + (y * shape.stride() + row + offset) * input.row()
                    + offset * input.lanes()
                    + j;
                let pixels = &image[first..][..(output.width() - 1) * A + R];
                let (gradient, _) =
                    S::as_simd_f32s(&gradient[output.at(block, y, 0)..][..output.row()]);
                add_products::<S, R, V, U, A>(simd, &mut sums, pixels, gradient);
            }
        }
        let (packed, _) = S::as_mut_simd_f32s(&mut self.packed[(at + j) * BLOCK..][..R * BLOCK]);
        for (packed, sums) in packed.chunks_exact_mut(V).zip(&sums) {
            for (packed, sum) in packed.iter_mut().zip(sums) {
                *packed = simd.add_f32s(*packed, *sum);
            }
        }
        R
    }
}

/// `sums[r][u] += Σ_x pixels[x·A + r] · gradient[x·V + u]`, `x` rising.
#[inline(always)]
pub(super) fn add_products<
    S: Simd,
    const R: usize,
    const V: usize,
    const U: usize,
    const A: usize,
>(
    simd: S,
    sums: &mut [[S::f32s; U]; R],
    pixels: &[f32],
    gradient: &[S::f32s],
) {
    // windows of constant length: their indices need no check
    for (pixels, gradient) in pixels.windows(R).step_by(A).zip(gradient.chunks_exact(V)) {
        let gradient: [S::f32s; U] = from_fn(|u| gradient[u]);
        for r in 0..R {
            let pixel = simd.splat_f32s(pixels[r]);
            for u in 0..U {
                sums[r][u] = multiply_add(simd, pixel, gradient[u], sums[r][u]);
            }
        }
    }
}
