//! Direct convolution of one image in blocked layout: a register tile of output pixels, no column matrix.

use super::isa::Isa;
use super::planes::{Planes, BLOCK};
use super::windows::Windows;
use crate::error::{refuse, Result};
use pulp::{Simd, WithSimd};
use std::array::from_fn;

/// A convolution: input and output layout, and windows.
///
/// `y[o, v, u] = start[o] + Σ_{i, r, c} w[o, i, r, c] x[i, v·stride + r·dilation - front, u·stride + c·dilation - front]`. The
/// border of the input holds the padding. For each output the additions run over `r`, then blocks of `i`, then
/// `c`, then `i`, one rounding each: the tile and the width of vectors change nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct {
    input: Planes,
    output: Planes,
    windows: Windows,
}

/// What happens to the sums when they are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Store {
    /// Adds what the output holds already (a residual).
    pub add: bool,
    /// Then replaces what is below zero by zero; NaN stays.
    pub relu: bool,
}

/// Distances between neighbouring pixels that have a kernel: lanes times stride.
const STEPS: [usize; 6] = [1, 2, 3, 6, 16, 32];

impl Direct {
    /// A convolution of square kernel into an output of `channels` and `border`.
    ///
    /// # Errors
    /// As [`Self::over`].
    pub fn new(
        input: Planes,
        channels: usize,
        kernel: usize,
        stride: usize,
        padding: usize,
        border: usize,
    ) -> Result<Self> {
        Self::over(
            input,
            channels,
            Windows::square(kernel, stride, padding),
            border,
        )
    }

    /// A convolution over windows of any kind into an output of `channels` and `border`.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the padding exceeds the border of the input, the kernel exceeds the padded
    /// image, or no kernel has this stride along rows (1 and 2 have; for 6 channels only 1).
    pub fn over(input: Planes, channels: usize, windows: Windows, border: usize) -> Result<Self> {
        let refuse = |expected: &str| {
            let found = format!("{windows:?} on {input:?}");
            refuse("direct convolution", expected, found)
        };
        if windows.padding() > input.border() {
            return refuse("a padding within the border of the input");
        }
        if !Self::steps_over(input, windows.stride[1]) {
            return refuse("stride 1 or 2 (with 6 input channels only 1)");
        }
        let rows = windows.count(0, input.height());
        match (rows, windows.count(1, input.width())) {
            (Some(height), Some(width)) => {
                let output = Planes::new(channels, height, width, border)?;
                Ok(Self {
                    input,
                    output,
                    windows,
                })
            }
            _ => refuse("a kernel of at least 1 that fits into the padded image"),
        }
    }

    /// Into how many equal convolutions one of groups falls of which each has whole blocks of channels. A part may hold
    /// several groups: it multiplies what lies between them with zeros.
    pub fn parts(groups: usize, inputs: usize, outputs: usize) -> usize {
        let whole = |parts: &usize| {
            groups.is_multiple_of(*parts)
                && (inputs / parts).is_multiple_of(BLOCK)
                && (outputs / parts).is_multiple_of(BLOCK)
        };
        let most = groups.min(inputs / BLOCK).min(outputs / BLOCK);
        (2..=most).rev().find(whole).unwrap_or(1)
    }

    /// True where the kernel is square and so are its stride and padding, and its pixels are neighbours.
    pub fn is_square(&self) -> bool {
        self.windows == Windows::square(self.kernel(), self.stride(), self.padding())
    }

    /// True where there is a kernel for images of this layout and this stride.
    pub fn steps_over(input: Planes, stride: usize) -> bool {
        STEPS.contains(&(input.lanes() * stride))
    }

    /// The same with 16 lanes in the output, however few its channels.
    #[must_use]
    pub fn full(self) -> Self {
        Self {
            output: self.output.full(),
            ..self
        }
    }

    /// Layout of the input.
    pub fn input(&self) -> Planes {
        self.input
    }

    /// Layout of the output.
    pub fn output(&self) -> Planes {
        self.output
    }

    /// Multiplications of one image, those with the padding included.
    pub fn multiplications(&self) -> usize {
        self.row() * self.output.channels() * self.output.height() * self.output.width()
    }

    /// Rows of the kernel: its side where it is square.
    pub fn kernel(&self) -> usize {
        self.windows.kernel[0]
    }

    /// Stride from row to row.
    pub fn stride(&self) -> usize {
        self.windows.stride[0]
    }

    /// Padding above: that of all sides where it is square.
    pub fn padding(&self) -> usize {
        self.windows.front[0]
    }

    /// Values from an output pixel's input to the next one's.
    pub(super) fn step(&self) -> usize {
        self.input.lanes() * self.windows.stride[1]
    }

    /// True where all pixels of a block lie one behind the other in the input, each seen by one output alone: they are
    /// then one row.
    fn is_one_row(&self) -> bool {
        let Windows { kernel, stride, .. } = self.windows;
        kernel == [1, 1] && stride == [1, 1] && self.input.border() == 0
    }

    /// Weights of an output.
    pub fn row(&self) -> usize {
        let [rows, columns] = self.windows.kernel;
        rows * columns * self.input.channels()
    }

    /// Values under the kernel in one row of one block.
    pub(super) fn run(&self) -> usize {
        self.windows.kernel[1] * self.input.lanes()
    }

    /// True where no output lies in the upper half of its block: that half is then not computed.
    pub(super) fn few_outputs(&self) -> bool {
        self.output.channels() <= BLOCK / 2
    }

    /// Instructions for this convolution where these are asked for: half a block fills a vector of AVX2, which
    /// rounds as AVX-512 does.
    pub(super) fn isa(&self, isa: Isa) -> Isa {
        match isa {
            Isa::Avx512 if self.few_outputs() => Isa::Avx2,
            isa => isa,
        }
    }

    /// Output channels with those that fill up the last block.
    fn padded_outputs(&self) -> usize {
        self.output.channels().next_multiple_of(BLOCK)
    }

    /// Length of packed weights.
    pub fn packed_len(&self) -> usize {
        self.padded_outputs() * self.kernel() * self.input.blocks() * self.run()
    }

    /// Length of the starting sums: one per output channel, zeros for those that fill up the last block.
    pub fn start_len(&self) -> usize {
        self.padded_outputs()
    }

    /// Place in packed weights of weight [output, input, row, column], given as its index in row-major order.
    ///
    /// Packed is [blocks of 16 outputs, kernel rows, input blocks, kernel columns, lanes, 16].
    pub fn packed_at(&self, index: usize) -> usize {
        let ([rows, columns], inputs) = (self.windows.kernel, self.input.channels());
        let (column, row) = (index % columns, index / columns % rows);
        let taps = rows * columns;
        let (input, output) = (index / taps % inputs, index / (taps * inputs));
        let (block, lane) = self.input.place(input);
        let run = (output / BLOCK * rows + row) * self.input.blocks() + block;
        ((run * columns + column) * self.input.lanes() + lane) * BLOCK + output % BLOCK
    }

    /// Packs weights [outputs, inputs, kernel rows, kernel columns].
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let inputs = self.input.channels();
        assert_eq!(
            weights.len(),
            self.output.channels() * inputs * self.windows.kernel.iter().product::<usize>(),
            "weights"
        );
        assert_eq!(packed.len(), self.packed_len(), "packed weights");
        for (index, weight) in weights.iter().enumerate() {
            packed[self.packed_at(index)] = *weight;
        }
    }

    /// Convolves one image: `input` and `output` in their layouts, `weights` [`Self::pack`]ed, `start` the sums
    /// to begin with ([`Self::start_len`]). Borders are neither read beyond the padding nor written.
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
        assert_eq!(input.len(), self.input.len(), "input of a convolution");
        assert_eq!(output.len(), self.output.len(), "output of a convolution");
        assert_eq!(
            weights.len(),
            self.packed_len(),
            "packed weights of a convolution"
        );
        assert_eq!(
            start.len(),
            self.start_len(),
            "starting sums of a convolution"
        );
        self.isa(isa).run(Forward {
            shape: self,
            planes: self.input.blocks(),
            input,
            weights,
            start,
            store,
            output,
        });
    }
}

impl Direct {
    /// Zeros in the lanes of a result that hold no channel. Their weights are zeros, but infinity times zero is NaN,
    /// which must not reach the channels of the next convolution.
    ///
    /// # Panics
    /// Where the result has not the length of its layout.
    pub fn clear_spare_lanes(&self, output: &mut [f32]) {
        let layout = self.output;
        let used = layout.channels() % layout.lanes();
        if used == 0 {
            return;
        }
        for y in 0..layout.height() {
            let row = &mut output[layout.at(layout.blocks() - 1, y, 0)..];
            for pixel in row.chunks_exact_mut(layout.lanes()).take(layout.width()) {
                for lane in &mut pixel[used..] {
                    *lane = 0.0;
                }
            }
        }
    }
}

struct Forward<'a> {
    shape: &'a Direct,
    /// Blocks of the input: a division less in every tile.
    planes: usize,
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
        run_loops(simd, self.shape, &mut self);
    }
}

/// Loops over the blocks of a convolution, compiled for the width of vectors and the distance of pixels.
pub(super) trait Loops {
    /// `V`: vectors of a block. `U`: those that are computed. `A`: values from an output pixel's input to the
    /// next one's.
    fn blocks<S: Simd, const V: usize, const U: usize, const A: usize>(&mut self, simd: S);
}

/// Runs loops for a shape that [`Direct::new`] let pass.
#[inline(always)]
pub(super) fn run_loops<S: Simd>(simd: S, shape: &Direct, loops: &mut impl Loops) {
    let few = shape.few_outputs();
    match shape.step() {
        1 => run_vectors::<S, 1>(simd, few, loops),
        2 => run_vectors::<S, 2>(simd, few, loops),
        3 => run_vectors::<S, 3>(simd, few, loops),
        6 => run_vectors::<S, 6>(simd, few, loops),
        16 => run_blocks::<S, 16>(simd, loops),
        32 => run_blocks::<S, 32>(simd, loops),
        step => unreachable!("no kernel for a step of {step}: refused when the shape was made"),
    }
}

/// Half blocks or whole ones; the kernels of few inputs only, where few outputs occur.
#[inline(always)]
fn run_vectors<S: Simd, const A: usize>(simd: S, few: bool, loops: &mut impl Loops) {
    match S::F32_LANES {
        8 if few => loops.blocks::<S, 2, 1, A>(simd),
        4 if few => loops.blocks::<S, 4, 2, A>(simd),
        _ => run_blocks::<S, A>(simd, loops),
    }
}

#[inline(always)]
fn run_blocks<S: Simd, const A: usize>(simd: S, loops: &mut impl Loops) {
    match S::F32_LANES {
        16 => loops.blocks::<S, 1, 1, A>(simd),
        8 => loops.blocks::<S, 2, 2, A>(simd),
        4 => loops.blocks::<S, 4, 4, A>(simd),
        lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
    }
}

impl Loops for Forward<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const V: usize, const U: usize, const A: usize>(&mut self, simd: S) {
        let shape = self.shape;
        let (mut height, mut width) = (shape.output.height(), shape.output.width());
        if shape.is_one_row() {
            (height, width) = (1, height * width);
        }
        for block in 0..shape.output.blocks() {
            for y in 0..height {
                let mut x = 0;
                while x < width {
                    x += self.tile_row::<S, V, U, A>(simd, block, y, x, width - x);
                }
            }
        }
    }
}

impl Forward<'_> {
    /// One tile of at most `left` pixels; returns how many.
    #[inline(always)]
    fn tile_row<S: Simd, const V: usize, const U: usize, const A: usize>(
        &mut self,
        simd: S,
        block: usize,
        y: usize,
        x: usize,
        left: usize,
    ) -> usize {
        if V == 1 {
            match left {
                16.. => self.tile::<S, 16, V, U, A>(simd, block, y, x),
                8.. => self.tile::<S, 8, V, U, A>(simd, block, y, x),
                7 => self.tile::<S, 7, V, U, A>(simd, block, y, x),
                5 => self.tile::<S, 5, V, U, A>(simd, block, y, x),
                4.. => self.tile::<S, 4, V, U, A>(simd, block, y, x),
                2.. => self.tile::<S, 2, V, U, A>(simd, block, y, x),
                _ => self.tile::<S, 1, V, U, A>(simd, block, y, x),
            }
        } else if U == 1 {
            match left {
                8.. => self.tile::<S, 8, V, U, A>(simd, block, y, x),
                4.. => self.tile::<S, 4, V, U, A>(simd, block, y, x),
                2.. => self.tile::<S, 2, V, U, A>(simd, block, y, x),
                _ => self.tile::<S, 1, V, U, A>(simd, block, y, x),
            }
        } else if U == 4 && S::REGISTER_COUNT < 32 {
            match left {
                2.. => self.tile::<S, 2, V, U, A>(simd, block, y, x),
                _ => self.tile::<S, 1, V, U, A>(simd, block, y, x),
            }
        } else {
            match left {
                4.. => self.tile::<S, 4, V, U, A>(simd, block, y, x),
                2.. => self.tile::<S, 2, V, U, A>(simd, block, y, x),
                _ => self.tile::<S, 1, V, U, A>(simd, block, y, x),
            }
        }
    }

    /// `R` output pixels of one block from (`y`, `x`), where `x` counts beyond the width if all pixels are one row.
    #[inline(always)]
    fn tile<S: Simd, const R: usize, const V: usize, const U: usize, const A: usize>(
        &mut self,
        simd: S,
        block: usize,
        y: usize,
        x: usize,
    ) -> usize {
        let shape = self.shape;
        let (input, run, planes) = (shape.input, shape.run(), self.planes);
        let (start, _) = S::as_simd_f32s(&self.start[block * BLOCK..][..BLOCK]);
        let mut sums: [[S::f32s; U]; R] = [from_fn(|u| start[u]); R];
        let (weights, _) = S::as_simd_f32s(self.weights);
        let Windows {
            kernel: [rows, columns],
            stride,
            dilation,
            front,
            ..
        } = shape.windows;
        // neighbours under the kernel lie one behind the other
        let (pieces, piece) = match dilation[1] {
            1 => (1, run),
            _ => (columns, input.lanes()),
        };
        let mut weights = &weights[block * rows * planes * run * V..];
        let left = x * stride[1] + input.border() - front[1];
        for row in 0..rows {
            let line = y * stride[0] + row * dilation[0] + input.border() - front[0];
            let first = line * input.row() + left * input.lanes();
            for plane in 0..planes {
                for column in 0..pieces {
                    let at = plane * input.plane() + first + column * dilation[1] * input.lanes();
                    let pixels = &self.input[at..][..(R - 1) * A + piece];
                    let (these, rest) = weights.split_at(piece * V);
                    accumulate::<S, R, V, U, A>(simd, &mut sums, pixels, these);
                    weights = rest;
                }
            }
        }
        self.store_tile::<S, R, V, U>(simd, block, y, x, sums);
        R
    }

    /// Stores the pixels of a tile, which may go on in the next rows.
    #[inline(always)]
    fn store_tile<S: Simd, const R: usize, const V: usize, const U: usize>(
        &mut self,
        simd: S,
        block: usize,
        mut y: usize,
        mut x: usize,
        sums: [[S::f32s; U]; R],
    ) {
        let layout = self.shape.output;
        let width = layout.width();
        if x >= width {
            (y, x) = (x / width, x % width);
        }
        let mut sums = &sums[..];
        while !sums.is_empty() {
            let (these, rest) = sums.split_at(sums.len().min(width - x));
            let pixels = &mut self.output[layout.at(block, y, x)..][..these.len() * layout.lanes()];
            store_pixels::<S, V, U>(simd, layout.lanes(), self.store, these, pixels);
            (y, x, sums) = (y + 1, 0, rest);
        }
    }
}

/// Stores neighbouring pixels of so many lanes.
#[inline(always)]
fn store_pixels<S: Simd, const V: usize, const U: usize>(
    simd: S,
    lanes: usize,
    store: Store,
    sums: &[[S::f32s; U]],
    output: &mut [f32],
) {
    let zero = simd.splat_f32s(0.0);
    match lanes {
        BLOCK => {
            let (output, _) = S::as_mut_simd_f32s(output);
            for (target, sums) in output.chunks_exact_mut(V).zip(sums) {
                for (v, target) in target.iter_mut().enumerate() {
                    let sum = if v < U { sums[v] } else { zero };
                    *target = stored(simd, store, sum, *target, zero);
                }
            }
        }
        6 => store_few::<S, U, 6>(store, sums, output),
        3 => store_few::<S, U, 3>(store, sums, output),
        _ => store_few::<S, U, 1>(store, sums, output),
    }
}

/// What takes the place of `target`.
#[inline(always)]
pub(super) fn stored<S: Simd>(
    simd: S,
    store: Store,
    sum: S::f32s,
    target: S::f32s,
    zero: S::f32s,
) -> S::f32s {
    let sum = if store.add {
        simd.add_f32s(sum, target)
    } else {
        sum
    };
    if store.relu {
        rectified(simd, sum, zero)
    } else {
        sum
    }
}

/// Stores the first `L` lanes of each pixel.
#[inline(always)]
fn store_few<S: Simd, const U: usize, const L: usize>(
    store: Store,
    sums: &[[S::f32s; U]],
    output: &mut [f32],
) {
    for (target, sums) in output.chunks_exact_mut(L).zip(sums) {
        let values: &[f32] = bytemuck::cast_slice(sums);
        let mut values: [f32; L] = from_fn(|lane| values[lane]);
        if store.add {
            values
                .iter_mut()
                .zip(target.iter())
                .for_each(|(value, target)| *value += *target);
        }
        if store.relu {
            values = values.map(|value| if value <= 0.0 { 0.0 } else { value });
        }
        target.copy_from_slice(&values);
    }
}

/// `sums[r][u] += Σ_j pixels[r·A + j] · weights[j·V + u]`, `j` rising, with one rounding per term where the
/// instructions have fused multiply-add.
#[inline(always)]
pub(super) fn accumulate<
    S: Simd,
    const R: usize,
    const V: usize,
    const U: usize,
    const A: usize,
>(
    simd: S,
    sums: &mut [[S::f32s; U]; R],
    pixels: &[f32],
    weights: &[S::f32s],
) {
    // windows of constant length: their indices need no check
    let mut weights = weights.chunks_exact(V);
    for pixels in pixels.windows((R - 1) * A + 1) {
        let Some(weights) = weights.next() else {
            return;
        };
        let weights: [S::f32s; U] = from_fn(|u| weights[u]);
        for r in 0..R {
            let pixel = simd.splat_f32s(pixels[r * A]);
            for u in 0..U {
                sums[r][u] = multiply_add(simd, pixel, weights[u], sums[r][u]);
            }
        }
    }
}

/// Zero for what is not above zero; NaN, which no comparison holds for, stays.
#[inline(always)]
pub(super) fn rectified<S: Simd>(simd: S, x: S::f32s, zero: S::f32s) -> S::f32s {
    simd.select_f32s(simd.less_than_or_equal_f32s(x, zero), zero, x)
}

/// True where the instructions have no fused multiply-add, which then is a call of a function, 100 times slower:
/// SSE on x86-64, plain code. Pulp calls only vectors of one lane scalar; of 4 lanes only NEON has it.
#[inline(always)]
pub(super) fn rounds_twice<S: Simd>() -> bool {
    S::IS_SCALAR || S::F32_LANES == 4 && cfg!(not(target_arch = "aarch64"))
}

#[inline(always)]
pub(super) fn multiply_add<S: Simd>(simd: S, a: S::f32s, b: S::f32s, c: S::f32s) -> S::f32s {
    if rounds_twice::<S>() {
        simd.add_f32s(simd.mul_f32s(a, b), c)
    } else {
        simd.mul_add_e_f32s(a, b, c)
    }
}

#[cfg(test)]
mod tests;
