//! Depthwise convolution of one image in blocked layout: each channel by a kernel of its own.

use super::direct::{multiply_add, stored, Store};
use super::isa::Isa;
use super::planes::{Planes, BLOCK};
use super::windows::Windows;
use crate::error::{refuse, Result};
use pulp::{Simd, WithSimd};

/// A depthwise convolution: layouts of input and output, both of 16 lanes, and the windows.
///
/// `y[c, v, u] = start[c] + Σ_{i, j} w[c, i, j] x[c, v·stride + i·dilation - front, ...]`. The border of the input holds
/// the padding. For each output the additions run over rows, then columns, one rounding each: the tile and the width of
/// vectors change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Depthwise {
    input: Planes,
    output: Planes,
    windows: Windows,
}

impl Depthwise {
    /// True where a convolution of so many groups is one of each channel by itself.
    pub fn is(groups: usize, inputs: usize, outputs: usize) -> bool {
        groups > 1 && [inputs, outputs] == [groups; 2]
    }

    /// A depthwise convolution into an output of this border.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the padding exceeds the border of the input, no window fits, or the
    /// input has not 16 lanes.
    pub fn new(input: Planes, windows: Windows, border: usize) -> Result<Self> {
        let refuse = |expected: &str| {
            let found = format!("{windows:?} on {input:?}");
            refuse("depthwise convolution", expected, found)
        };
        if windows.padding() > input.border() || input.lanes() != BLOCK {
            return refuse("16 lanes, and a padding within the border of the input");
        }
        let rows = windows.count(0, input.height());
        let columns = windows.count(1, input.width());
        let (Some(height), Some(width)) = (rows, columns) else {
            return refuse("a window that fits into the padded image");
        };
        let output = Planes::new(input.channels(), height, width, border)?.full();
        Ok(Self {
            input,
            output,
            windows,
        })
    }

    /// Layout of the input.
    pub fn input(&self) -> Planes {
        self.input
    }

    /// Layout of the output.
    pub fn output(&self) -> Planes {
        self.output
    }

    /// Weights of a channel.
    pub fn taps(&self) -> usize {
        self.windows.kernel[0] * self.windows.kernel[1]
    }

    /// Multiplications of one image, those with the padding included.
    pub fn multiplications(&self) -> usize {
        self.taps() * self.output.channels() * self.output.height() * self.output.width()
    }

    /// Length of packed weights, [blocks, kernel rows, kernel columns, 16].
    pub fn packed_len(&self) -> usize {
        self.taps() * self.start_len()
    }

    /// Length of the starting sums: one per channel, zeros for those that fill up the last block.
    pub fn start_len(&self) -> usize {
        self.output.blocks() * BLOCK
    }

    /// Convolves one image: `input` and `output` in their layouts, `weights` packed, spare ones zero, `start` the sums to
    /// begin with. Borders are neither read beyond the padding nor written.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn forward(
        &self,
        isa: Isa,
        input: &[f32],
        weights: &[f32],
        start: &[f32],
        store: Store,
        output: &mut [f32],
    ) {
        let lengths = [input.len(), output.len(), weights.len(), start.len()];
        let (from, to) = (self.input.len(), self.output.len());
        let expected = [from, to, self.packed_len(), self.start_len()];
        assert_eq!(lengths, expected, "slices of a depthwise convolution");
        isa.run(Forward {
            shape: self,
            input,
            weights,
            start,
            store,
            output,
        });
        self.clear_spare_lanes(output);
    }

    /// Zeros in the lanes that hold no channel, into which infinity times zero would bring NaN.
    fn clear_spare_lanes(&self, output: &mut [f32]) {
        let (layout, used) = (self.output, self.output.channels() % BLOCK);
        if used == 0 {
            return;
        }
        for y in 0..layout.height() {
            let row = &mut output[layout.at(layout.blocks() - 1, y, 0)..];
            for pixel in row.chunks_exact_mut(BLOCK).take(layout.width()) {
                pixel[used..].fill(0.0);
            }
        }
    }
}

struct Forward<'a> {
    shape: &'a Depthwise,
    input: &'a [f32],
    weights: &'a [f32],
    start: &'a [f32],
    store: Store,
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let Windows {
            kernel,
            stride,
            dilation,
            ..
        } = self.shape.windows;
        match stride[1] {
            1 if [kernel, dilation] == [[3; 2], [1; 2]] => self.vectors::<S, 1, 3>(simd),
            2 if [kernel, dilation] == [[3; 2], [1; 2]] => self.vectors::<S, 2, 3>(simd),
            1 => self.vectors::<S, 1, 0>(simd),
            2 => self.vectors::<S, 2, 0>(simd),
            // a pixel at a time, whose distance to the next does not matter
            _ => self.vectors::<S, 0, 0>(simd),
        }
    }
}

// Loops are plain on purpose: closures within loops are not inlined into vector code.
impl Forward<'_> {
    /// `A`: pixels from an output pixel's input to the next one's. `K`: the side of square windows of neighbours; 0: any
    /// windows.
    #[inline(always)]
    fn vectors<S: Simd, const A: usize, const K: usize>(&mut self, simd: S) {
        match S::F32_LANES {
            16 => self.blocks::<S, 1, A, K>(simd),
            8 => self.blocks::<S, 2, A, K>(simd),
            4 => self.blocks::<S, 4, A, K>(simd),
            lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
        }
    }

    /// `V`: vectors of a block.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize, const A: usize, const K: usize>(&mut self, simd: S) {
        let layout = self.shape.output;
        for block in 0..layout.blocks() {
            for y in 0..layout.height() {
                for v in 0..V {
                    let mut x = 0;
                    while x < layout.width() {
                        let left = if A > 0 { layout.width() - x } else { 1 };
                        x += match left {
                            8.. => self.tile::<S, 8, V, A, K>(simd, block, y, x, v),
                            7 => self.tile::<S, 7, V, A, K>(simd, block, y, x, v),
                            6 => self.tile::<S, 6, V, A, K>(simd, block, y, x, v),
                            5 => self.tile::<S, 5, V, A, K>(simd, block, y, x, v),
                            4 => self.tile::<S, 4, V, A, K>(simd, block, y, x, v),
                            3 => self.tile::<S, 3, V, A, K>(simd, block, y, x, v),
                            2 => self.tile::<S, 2, V, A, K>(simd, block, y, x, v),
                            _ => self.tile::<S, 1, V, A, K>(simd, block, y, x, v),
                        };
                    }
                }
            }
        }
    }

    /// Vector `v` of `R` output pixels of one block from (`y`, `x`); returns how many pixels.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize, const A: usize, const K: usize>(
        &mut self,
        simd: S,
        block: usize,
        y: usize,
        x: usize,
        v: usize,
    ) -> usize {
        let Windows {
            kernel,
            stride,
            dilation,
            front,
            ..
        } = self.shape.windows;
        let from = self.shape.input;
        let (start, _) = S::as_simd_f32s(&self.start[block * BLOCK..][..BLOCK]);
        let mut sums = [start[v]; R];
        let (weights, _) = S::as_simd_f32s(self.weights);
        let weights = &weights[block * kernel[0] * kernel[1] * V..][..kernel[0] * kernel[1] * V];
        let (pixels, _) = S::as_simd_f32s(self.input);
        let left = x * stride[1] + from.border() - front[1];
        let rows = if K > 0 { K } else { kernel[0] };
        for row in 0..rows {
            let line = y * stride[0] + row * dilation[0] + from.border() - front[0];
            let first = block * from.plane() + line * from.row() + left * BLOCK;
            if K > 0 {
                // slices of constant length, for all columns: their indices need no check
                let weights = &weights[row * K * V..][..K * V];
                let pixels = &pixels[first / S::F32_LANES..][..((R - 1) * A + K) * V];
                for column in 0..K {
                    for r in 0..R {
                        let pixel = pixels[(r * A + column) * V + v];
                        sums[r] = multiply_add(simd, pixel, weights[column * V + v], sums[r]);
                    }
                }
                continue;
            }
            for column in 0..kernel[1] {
                let weight = weights[(row * kernel[1] + column) * V + v];
                let at = first / S::F32_LANES + column * dilation[1] * V + v;
                // a slice of constant length: its indices need no check
                let pixels = &pixels[at..][..(R - 1) * A * V + 1];
                for r in 0..R {
                    sums[r] = multiply_add(simd, pixels[r * A * V], weight, sums[r]);
                }
            }
        }
        let to = self.shape.output.at(block, y, x);
        let (output, _) = S::as_mut_simd_f32s(&mut self.output[to..][..R * BLOCK]);
        let zero = simd.splat_f32s(0.0);
        for r in 0..R {
            let target = &mut output[r * V + v];
            *target = stored(simd, self.store, sums[r], *target, zero);
        }
        R
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Values between -0.5 and 0.5 without a pattern.
    pub(in super::super) fn noise(length: usize) -> Vec<f32> {
        let value = |i: usize| {
            ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (1..=length).map(value).collect()
    }

    /// The sum of a channel at a pixel in the documented order; `padded` is [channels, height + ..., width + ...] with
    /// the padding in front.
    fn sum_of(
        shape: &Depthwise,
        [channel, y, x]: [usize; 3],
        image: &[f32],
        weights: &[f32],
        start: f32,
    ) -> f32 {
        let Windows {
            kernel,
            stride,
            dilation,
            front,
            ..
        } = shape.windows;
        let (height, width) = (shape.input.height(), shape.input.width());
        let mut sum = start;
        for row in 0..kernel[0] {
            for column in 0..kernel[1] {
                let y = (y * stride[0] + row * dilation[0]).checked_sub(front[0]);
                let x = (x * stride[1] + column * dilation[1]).checked_sub(front[1]);
                let pixel = match (y.filter(|y| *y < height), x.filter(|x| *x < width)) {
                    (Some(y), Some(x)) => image[(channel * height + y) * width + x],
                    _ => 0.0,
                };
                let weight = weights[(channel * kernel[0] + row) * kernel[1] + column];
                sum = weight.mul_add(pixel, sum);
            }
        }
        sum
    }

    fn shapes() -> Vec<Depthwise> {
        let windows = |kernel, stride, dilation, front, behind| Windows {
            kernel,
            stride,
            dilation,
            front,
            behind,
        };
        let all = [
            (20, Windows::square(3, 1, 1)),
            (16, Windows::square(3, 2, 1)),
            (5, Windows::square(5, 1, 2)),
            (33, windows([3, 3], [2, 2], [1, 1], [0, 0], [1, 1])),
            (16, windows([1, 7], [1, 1], [1, 1], [0, 3], [0, 3])),
            (16, windows([3, 3], [1, 1], [2, 3], [2, 3], [2, 3])),
            (20, windows([10, 4], [2, 3], [1, 1], [4, 1], [5, 2])),
        ];
        let shape = |(channels, windows): (usize, Windows)| {
            let planes = Planes::new(channels, 9, 23, windows.padding() + 1).unwrap();
            Depthwise::new(planes.full(), windows, 1).unwrap()
        };
        all.into_iter().map(shape).collect()
    }

    #[test]
    fn every_instruction_set_adds_in_the_documented_order_to_the_last_bit() {
        for shape in shapes() {
            let (from, to) = (shape.input(), shape.output());
            let image = noise(from.channels() * from.height() * from.width());
            let weights = noise(from.channels() * shape.taps());
            let mut input = vec![0.0; from.len()];
            from.fill(&image, &mut input);
            let mut packed = vec![0.0; shape.packed_len()];
            for (at, weight) in weights.iter().enumerate() {
                let (channel, tap) = (at / shape.taps(), at % shape.taps());
                let place = (channel / BLOCK * shape.taps() + tap) * BLOCK + channel % BLOCK;
                packed[place] = *weight;
            }
            let mut start = noise(from.channels());
            start.resize(shape.start_len(), 0.0);
            let before = noise(to.channels() * to.height() * to.width());
            for isa in Isa::available() {
                for (add, relu) in [(false, false), (true, true)] {
                    let mut output = vec![0.0; to.len()];
                    if add {
                        to.fill(&before, &mut output);
                    }
                    let store = Store { add, relu };
                    shape.forward(isa, &input, &packed, &start, store, &mut output);
                    let mut found = before.clone();
                    to.read(&output, &mut found);
                    let used = output.iter().filter(|value| **value != 0.0).count();
                    assert!(used <= found.len(), "borders and spare lanes stay zero");
                    for (at, found) in found.iter().enumerate() {
                        let place = [
                            at / to.width() / to.height(),
                            at / to.width() % to.height(),
                            at % to.width(),
                        ];
                        let mut sum = sum_of(&shape, place, &image, &weights, start[place[0]]);
                        if add {
                            sum = (sum + before[at]).max(0.0);
                        }
                        // portable instructions round twice on x86-64
                        let equal = match isa {
                            Isa::Portable => (sum - found).abs() < 1e-5,
                            _ => sum == *found,
                        };
                        assert!(equal, "{shape:?} {isa} {place:?}: {found} {sum}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_padding_beyond_the_border_and_few_lanes_are_refused() {
        let planes = Planes::new(3, 9, 9, 1).unwrap();
        let windows = Windows::square(3, 1, 1);
        assert!(Depthwise::new(planes, windows, 0).is_err());
        assert!(Depthwise::new(planes.full().with_border(0), windows, 0).is_err());
        assert!(Depthwise::new(planes.full(), Windows::square(12, 1, 1), 0).is_err());
        assert!(Depthwise::new(planes.full(), windows, 0).is_ok());
    }
}
