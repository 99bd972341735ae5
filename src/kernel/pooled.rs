//! A convolution of stride 1 with 2x2 max pooling and ReLU behind it: what is pooled away is never stored.

use super::direct::{multiply_add, rectified, Direct};
use super::isa::Isa;
use super::planes::{Planes, BLOCK};
use pulp::{Simd, WithSimd};

/// Side of the kernels that slide over images of one channel.
const SLIDING: usize = 5;

/// A convolution and the pooling of its result; the bits are those of [`Direct`] followed by pooling and ReLU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pooled {
    direct: Direct,
    output: Planes,
}

impl Pooled {
    /// A direct convolution whose result is pooled into an `output` of half its sides; `None` where the pooling does
    /// not fit, lanes of the result hold no channel, or an image of one channel meets a kernel that is not of 5x5.
    pub fn of(direct: Direct, output: Planes) -> Option<Self> {
        let to = direct.output();
        let halves = [to.height(), to.width()] == [2 * output.height(), 2 * output.width()];
        let full = to.channels().is_multiple_of(output.lanes());
        let covered = direct.input().lanes() > 1 || direct.kernel() == SLIDING;
        let fits = direct.is_square() && direct.stride() == 1 && covered && halves && full;
        (fits && output.channels() == to.channels()).then_some(Self { direct, output })
    }

    /// The convolution.
    pub fn direct(&self) -> &Direct {
        &self.direct
    }

    /// Layout of the pooled result.
    pub fn output(&self) -> Planes {
        self.output
    }

    /// Convolves and pools one image; operands as [`Direct::forward`] takes them. Borders are not written.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn forward(
        &self,
        isa: Isa,
        input: &[f32],
        weights: &[f32],
        start: &[f32],
        output: &mut [f32],
    ) {
        let direct = &self.direct;
        assert_eq!(input.len(), direct.input().len(), "input of a convolution");
        assert_eq!(output.len(), self.output.len(), "output of a pooling");
        assert_eq!(weights.len(), direct.packed_len(), "packed weights");
        assert_eq!(start.len(), direct.start_len(), "starting sums");
        direct.isa(isa).run(Forward {
            shape: self,
            input,
            weights,
            start,
            output,
        });
    }
}

struct Forward<'a> {
    shape: &'a Pooled,
    input: &'a [f32],
    weights: &'a [f32],
    start: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.shape.direct.input().lanes() {
            1 => self.of_lanes::<S, 1>(simd),
            3 => self.of_lanes::<S, 3>(simd),
            6 => self.of_lanes::<S, 6>(simd),
            _ => self.of_lanes::<S, BLOCK>(simd),
        }
    }
}

// Loops and functions are plain on purpose: closures within loops are not inlined into vector code, and sums that a
// loop chooses by number are not kept in registers.
impl Forward<'_> {
    /// `A`: lanes of the input.
    #[inline(always)]
    fn of_lanes<S: Simd, const A: usize>(self, simd: S) {
        let few = self.shape.direct.few_outputs();
        // sums, pixels and weights together stay within the registers
        match S::F32_LANES {
            16 => self.rows::<S, 1, 1, 10, A>(simd),
            8 if few => self.rows::<S, 2, 1, 4, A>(simd),
            8 => self.rows::<S, 2, 2, 2, A>(simd),
            4 => self.rows::<S, 4, 2, 2, A>(simd),
            lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
        }
    }

    /// `V`: vectors of a block of output channels. `U`: those that are computed at a time. `R`: most pixels of a row at
    /// a time, an even number.
    #[inline(always)]
    fn rows<S: Simd, const V: usize, const U: usize, const R: usize, const A: usize>(
        mut self,
        simd: S,
    ) {
        let (width, to) = (self.shape.direct.output().width(), self.shape.output);
        for block in 0..to.blocks() {
            for y in 0..to.height() {
                for v in (0..to.lanes().div_ceil(S::F32_LANES)).step_by(U) {
                    let mut x = 0;
                    while x + R <= width {
                        self.tile::<S, V, U, R, A>(simd, block, v, y, x);
                        x += R;
                    }
                    while x < width {
                        self.tile::<S, V, U, 2, A>(simd, block, v, y, x);
                        x += 2;
                    }
                }
            }
        }
    }

    /// Two rows of `R` pixels from `x` on, of `U` vectors of a block of output channels, into row `y` of the result.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const U: usize, const R: usize, const A: usize>(
        &mut self,
        simd: S,
        block: usize,
        v: usize,
        y: usize,
        x: usize,
    ) {
        let direct = &self.shape.direct;
        let (from, kernel) = (direct.input(), direct.kernel());
        let (planes, offset) = (from.blocks(), from.border() - direct.padding());
        let run = kernel * A;
        let (start, _) = S::as_simd_f32s(&self.start[block * BLOCK..][..BLOCK]);
        let mut above = [[simd.splat_f32s(0.0); U]; R];
        for sums in &mut above {
            sums.copy_from_slice(&start[v..][..U]);
        }
        let mut below = above;
        let (weights, _) = S::as_simd_f32s(self.weights);
        let mut weights = &weights[block * kernel * planes * run * V..];
        let first = (2 * y + offset) * from.row() + (x + offset) * A;
        for row in 0..kernel {
            for plane in 0..planes {
                let pixels = &self.input[plane * from.plane() + row * from.row() + first..];
                let length = (R - 1) * A + run;
                let pixels = [&pixels[..length], &pixels[from.row()..][..length]];
                let (these, rest) = weights.split_at(run * V);
                if A == 1 {
                    slide::<S, V, U, R>(simd, &mut above, &mut below, pixels, &these[v..]);
                } else {
                    accumulate::<S, V, U, R, A>(simd, &mut above, &mut below, pixels, &these[v..]);
                }
                weights = rest;
            }
        }
        self.store::<S, U, R>(simd, (block, v, y, x), &above, &below);
    }

    /// Pools and rectifies two rows of sums.
    #[inline(always)]
    fn store<S: Simd, const U: usize, const R: usize>(
        &mut self,
        simd: S,
        (block, v, y, x): (usize, usize, usize, usize),
        above: &[[S::f32s; U]; R],
        below: &[[S::f32s; U]; R],
    ) {
        let to = self.shape.output;
        let row = &mut self.output[to.at(block, y, 0)..][..to.width() * to.lanes()];
        let zero = simd.splat_f32s(0.0);
        for i in 0..R / 2 {
            let mut results = [zero; U];
            for u in 0..U {
                let first = larger(simd, above[2 * i][u], above[2 * i + 1][u]);
                let second = larger(simd, below[2 * i][u], below[2 * i + 1][u]);
                results[u] = rectified(simd, larger(simd, first, second), zero);
            }
            let results: &[f32] = bytemuck::cast_slice(&results);
            let place = (x / 2 + i) * to.lanes() + v * S::F32_LANES;
            // what lies beyond a pixel's lanes is overwritten by the pixel to the right
            if let Some(target) = row.get_mut(place..place + results.len()) {
                target.copy_from_slice(results);
            } else {
                for (target, value) in row[place..].iter_mut().zip(results) {
                    *target = *value;
                }
            }
        }
    }
}

/// Adds the products of one row of a kernel to `R` pixels of each of two rows.
#[inline(always)]
fn accumulate<S: Simd, const V: usize, const U: usize, const R: usize, const A: usize>(
    simd: S,
    above: &mut [[S::f32s; U]; R],
    below: &mut [[S::f32s; U]; R],
    [upper, lower]: [&[f32]; 2],
    weights: &[S::f32s],
) {
    // slices of constant length: their indices need no check, and the loop over lanes is unrolled
    let pixels = upper.windows(R * A).zip(lower.windows(R * A)).step_by(A);
    for ((upper, lower), weights) in pixels.zip(weights.chunks(A * V)) {
        let weights = &weights[..(A - 1) * V + U];
        for lane in 0..A {
            let weights = &weights[lane * V..][..U];
            for r in 0..R {
                let pixel = simd.splat_f32s(upper[r * A + lane]);
                for u in 0..U {
                    above[r][u] = multiply_add(simd, pixel, weights[u], above[r][u]);
                }
                let pixel = simd.splat_f32s(lower[r * A + lane]);
                for u in 0..U {
                    below[r][u] = multiply_add(simd, pixel, weights[u], below[r][u]);
                }
            }
        }
    }
}

/// The same where a pixel is one value, for kernels of 5x5: each pixel is read once and stays in its register while
/// the kernel slides over it.
#[inline(always)]
fn slide<S: Simd, const V: usize, const U: usize, const R: usize>(
    simd: S,
    above: &mut [[S::f32s; U]; R],
    below: &mut [[S::f32s; U]; R],
    [upper, lower]: [&[f32]; 2],
    weights: &[S::f32s],
) {
    let weights = &weights[..(SLIDING - 1) * V + U];
    let (upper, lower) = (&upper[..R - 1 + SLIDING], &lower[..R - 1 + SLIDING]);
    for place in 0..R - 1 + SLIDING {
        let [up, low] = [simd.splat_f32s(upper[place]), simd.splat_f32s(lower[place])];
        for r in 0..R {
            if r <= place && place < r + SLIDING {
                for u in 0..U {
                    let weight = weights[(place - r) * V + u];
                    above[r][u] = multiply_add(simd, up, weight, above[r][u]);
                    below[r][u] = multiply_add(simd, low, weight, below[r][u]);
                }
            }
        }
    }
}

/// The larger of two; NaN where one is.
#[inline(always)]
fn larger<S: Simd>(simd: S, a: S::f32s, b: S::f32s) -> S::f32s {
    let most = simd.select_f32s(simd.less_than_f32s(a, b), b, a);
    simd.select_f32s(simd.equal_f32s(b, b), most, b)
}

#[cfg(test)]
mod tests {
    use super::super::direct::Store;
    use super::*;

    /// Values between -0.5 and 0.5 without a pattern.
    fn noise(length: usize) -> Vec<f32> {
        (1..=length as u32)
            .map(|i| i.wrapping_mul(2_654_435_761) >> 8)
            .map(|i| i as f32 / (1 << 24) as f32 - 0.5)
            .collect()
    }

    /// Convolution, pooling and ReLU, each by itself.
    fn apart(pooled: &Pooled, isa: Isa, input: &[f32], weights: &[f32], start: &[f32]) -> Vec<f32> {
        let (direct, to) = (pooled.direct, pooled.output);
        let store = Store {
            add: false,
            relu: false,
        };
        let between = direct.output();
        let mut sums = vec![0f32; between.len()];
        direct.forward(isa, input, weights, start, store, &mut sums);
        let mut output = vec![0f32; to.len()];
        for channel in 0..to.channels() {
            let (block, lane) = between.place(channel);
            for (y, x) in (0..to.height()).flat_map(|y| (0..to.width()).map(move |x| (y, x))) {
                let mut most = f32::NEG_INFINITY;
                for (r, c) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    let sum = sums[between.at(block, 2 * y + r, 2 * x + c) + lane];
                    if most < sum || sum.is_nan() {
                        most = sum;
                    }
                }
                let (block, lane) = to.place(channel);
                output[to.at(block, y, x) + lane] = if most <= 0.0 { 0.0 } else { most };
            }
        }
        output
    }

    #[test]
    fn bits_are_those_of_convolution_and_pooling_apart_with_nan_and_infinity() {
        for (channels, outputs, side, kernel, padding) in [
            (1, 6, 28, 5, 2),
            (1, 3, 18, 5, 1),
            (1, 16, 16, 5, 0),
            (6, 16, 14, 5, 0),
            (3, 32, 12, 3, 1),
            (20, 16, 8, 3, 1),
        ] {
            let from = Planes::new(channels, side, side, 2).unwrap();
            let direct = Direct::new(from, outputs, kernel, 1, padding, 0).unwrap();
            let between = direct.output();
            let half = |length: usize| length / 2;
            let to =
                Planes::new(outputs, half(between.height()), half(between.width()), 1).unwrap();
            let Some(pooled) = Pooled::of(direct, to) else {
                panic!("no kernel for {channels} to {outputs} channels");
            };
            let mut weights = vec![0f32; direct.packed_len()];
            direct.pack(&noise(outputs * channels * kernel * kernel), &mut weights);
            let mut start = noise(outputs);
            start.resize(direct.start_len(), 0.0);
            let mut image = noise(channels * side * side);
            for special in [0.25, f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                image[side * 3 + 4] = special;
                let mut input = vec![0f32; from.len()];
                from.fill(&image, &mut input);
                for isa in Isa::available() {
                    let mut output = vec![0f32; to.len()];
                    pooled.forward(isa, &input, &weights, &start, &mut output);
                    let expected = apart(&pooled, isa, &input, &weights, &start);
                    let bits = |values: &[f32]| -> Vec<Option<u32>> {
                        // any NaN is one
                        let bits = |value: &f32| (!value.is_nan()).then_some(value.to_bits());
                        values.iter().map(bits).collect()
                    };
                    assert_eq!(
                        bits(&output),
                        bits(&expected),
                        "{channels} to {outputs} channels, {special}, {isa}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_left_to_two_kernels() {
        let from = Planes::new(1, 28, 28, 2).unwrap();
        let direct = |stride| Direct::new(from, 6, 5, stride, 2, 0).unwrap();
        let to = |height, width| Planes::new(6, height, width, 0).unwrap();
        assert!(Pooled::of(direct(1), to(14, 14)).is_some());
        assert!(Pooled::of(direct(1), to(14, 13)).is_none());
        let direct = Direct::new(from, 6, 3, 1, 1, 0).unwrap();
        assert!(Pooled::of(direct, to(14, 14)).is_none(), "a kernel of 3x3");
        let few = Planes::new(6, 14, 14, 0).unwrap();
        let direct = Direct::new(few, 20, 5, 1, 0, 0).unwrap();
        let to = Planes::new(20, 5, 5, 0).unwrap();
        assert!(Pooled::of(direct, to).is_none(), "spare lanes");
    }
}
