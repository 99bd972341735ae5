//! Winograd convolution F(4x4, 3x3) of images in blocked layout: 36 products where direct convolution takes 144.

#![allow(clippy::needless_range_loop)] // loops by index on purpose: vector code must not call into iterators

use super::direct::{accumulate, multiply_add, rectified, Direct, Store};
use super::gradient::add_products;
use super::isa::Isa;
use super::planes::{Planes, BLOCK};
use pulp::{Simd, WithSimd};
use std::array::from_fn;

/// Side of a tile of outputs, and of the patch of inputs under it.
const TILE: usize = 4;
const PATCH: usize = TILE + 2;
/// Products of a tile and of a kernel.
const POSITIONS: usize = PATCH * PATCH;
/// Tiles that are transformed before they are multiplied.
const TILES: usize = 16;
/// Distance of the positions of a block of channels, a cache line more than they need: distances of 1 or 4 KiB share
/// the sets of a cache.
const DISTANCE: usize = TILES * BLOCK + BLOCK;
/// Pixels under the tiles of a row that are transformed together.
const STRIP: usize = TILES * TILE + PATCH - TILE;
/// Values of a block of channels at all positions.
const TRANSFORMED: usize = POSITIONS * DISTANCE;
/// Weights of 16 outputs for one input.
const ROW: usize = 9 * BLOCK;

/// A 3x3 convolution of stride 1, computed as Lavin and Gray (2016) do: `Y = A' [(G g G') ⊙ (B' d B)] A` for each tile
/// of 4x4 outputs. It gives what [`Direct`] gives but for rounding, some 1e-6 of the largest output, and NaN where
/// an infinity among the inputs meets the subtractions.
///
/// Each output's operations are the same in every grouping of images, and in vectors of any width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Winograd {
    direct: Direct,
}

/// Transformed images and sums of one thread.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    inputs: Vec<f32>,
    sums: Vec<f32>,
    strip: Vec<f32>,
}

impl Scratch {
    /// Room for so many values; what lies in it is of no account.
    fn make_room(&mut self, inputs: usize, sums: usize) {
        let strip = (&mut self.strip, PATCH * STRIP * BLOCK);
        for (values, least) in [(&mut self.inputs, inputs), (&mut self.sums, sums), strip] {
            if values.len() < least {
                values.resize(least, 0.0);
            }
        }
    }
}

impl Winograd {
    /// The same convolution as a direct one; `None` where that has another kernel or stride, less than a block of
    /// lanes, or so few outputs that tiles beyond the image cost more than is saved.
    pub fn of(direct: Direct) -> Option<Self> {
        let (from, to) = (direct.input(), direct.output());
        let full = from.lanes() == BLOCK && to.lanes() == BLOCK;
        let square = direct.is_square() && direct.kernel() == 3;
        let covered = full && square && direct.stride() == 1;
        // 36 products a tile against 9 an output, a third of those for the transforms
        let tiles = to.height().div_ceil(TILE) * to.width().div_ceil(TILE);
        let pays = to.height() * to.width() >= 6 * tiles;
        (covered && pays).then_some(Self { direct })
    }

    /// Number of rows of weights: each those of 16 outputs for one input, which are transformed together.
    pub fn rows(&self) -> usize {
        self.direct.packed_len() / ROW
    }

    /// The row that holds a place among the weights that [`Direct::pack`] gives.
    pub fn row_of(&self, place: usize) -> usize {
        // packed is [output blocks, 3, input blocks, 3, 16 inputs, 16 outputs]
        let blocks = self.direct.input().blocks();
        let (lane, run) = (place / BLOCK % BLOCK, place / (3 * BLOCK * BLOCK));
        (run / (3 * blocks) * blocks + run % blocks) * BLOCK + lane
    }

    /// Length of transformed weights.
    pub fn transformed_len(&self) -> usize {
        self.rows() * POSITIONS * BLOCK
    }

    /// Transforms a row of [`Direct::pack`]ed weights into its place among the transformed ones.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn transform(&self, isa: Isa, row: usize, packed: &[f32], transformed: &mut [f32]) {
        assert_eq!(packed.len(), self.direct.packed_len(), "packed weights");
        assert_eq!(
            transformed.len(),
            self.transformed_len(),
            "transformed weights"
        );
        let blocks = self.direct.input().blocks();
        isa.run(Kernels {
            blocks,
            lane: row % BLOCK,
            block: row / BLOCK % blocks,
            outputs: row / (BLOCK * blocks),
            packed,
            transformed,
        });
    }

    /// Convolves some images, one after the other in `input` and `output`; `transformed` holds all rows of weights,
    /// `start` as [`Direct::forward`] takes it. Borders are not written.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    #[allow(clippy::too_many_arguments)] // those of `Direct::forward`, and what it works in
    pub fn forward(
        &self,
        isa: Isa,
        input: &[f32],
        transformed: &[f32],
        start: &[f32],
        store: Store,
        scratch: &mut Scratch,
        output: &mut [f32],
    ) {
        let (from, to) = (self.direct.input(), self.direct.output());
        let images = input.len() / from.len();
        assert_eq!(input.len(), images * from.len(), "input of a convolution");
        assert_eq!(output.len(), images * to.len(), "output of a convolution");
        assert_eq!(
            transformed.len(),
            self.transformed_len(),
            "transformed weights of a convolution"
        );
        assert_eq!(
            start.len(),
            self.direct.start_len(),
            "starting sums of a convolution"
        );
        scratch.make_room(from.blocks() * TRANSFORMED, TRANSFORMED);
        isa.run(Forward {
            source: Source::new(&self.direct, input),
            to,
            weights: transformed,
            start,
            store,
            inputs: &mut scratch.inputs,
            sums: &mut scratch.sums,
            strip: &mut scratch.strip,
            output,
        });
    }
}

/// A row of weights that is transformed: a lane of a block of inputs, and a block of outputs.
struct Kernels<'a> {
    /// Blocks of inputs.
    blocks: usize,
    lane: usize,
    block: usize,
    outputs: usize,
    packed: &'a [f32],
    transformed: &'a mut [f32],
}

impl WithSimd for Kernels<'_> {
    type Output = ();

    /// In double precision: without fused operations the bits are those of every instruction set. The loops are
    /// plain, and compiled for the instructions because all of them are inlined here.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        // columns first: [column of the kernel][row of the result]
        let mut half = [[[0f64; BLOCK]; PATCH]; 3];
        for column in 0..3 {
            let mut taps = [[0f64; BLOCK]; 3];
            for r in 0..3 {
                let run = (self.outputs * 3 + r) * self.blocks + self.block;
                let place = ((run * 3 + column) * BLOCK + self.lane) * BLOCK;
                let weights = &self.packed[place..][..BLOCK];
                for lane in 0..BLOCK {
                    taps[r][lane] = f64::from(weights[lane]);
                }
            }
            half[column] = kernel_side(&taps);
        }
        for r in 0..PATCH {
            let side = kernel_side(&[half[0][r], half[1][r], half[2][r]]);
            for column in 0..PATCH {
                let position = self.outputs * POSITIONS + r * PATCH + column;
                let place = ((position * self.blocks + self.block) * BLOCK + self.lane) * BLOCK;
                let target = &mut self.transformed[place..][..BLOCK];
                for lane in 0..BLOCK {
                    target[lane] = side[column][lane] as f32;
                }
            }
        }
    }
}

/// `G` times three taps, for 16 kernels.
#[inline(always)]
fn kernel_side(taps: &[[f64; BLOCK]; 3]) -> [[f64; BLOCK]; PATCH] {
    let mut side = [[0f64; BLOCK]; PATCH];
    for lane in 0..BLOCK {
        let [a, b, c] = [taps[0][lane], taps[1][lane], taps[2][lane]];
        let (outer, inner) = ((a + c) * (-1.0 / 6.0), b * (1.0 / 6.0));
        let wide = a * (1.0 / 24.0) + c * (1.0 / 6.0);
        side[0][lane] = a * 0.25;
        side[1][lane] = outer - inner;
        side[2][lane] = outer + inner;
        side[3][lane] = wide + 0.5 * inner;
        side[4][lane] = wide - 0.5 * inner;
        side[5][lane] = c;
    }
    side
}

/// Images in the layout of a convolution's input, cut into tiles of outputs.
#[derive(Clone, Copy)]
struct Source<'a> {
    from: Planes,
    to: Planes,
    /// Pixels of the input's border beyond the padding.
    skipped: usize,
    /// Tiles down and across.
    tiles: [usize; 2],
    images: usize,
    input: &'a [f32],
}

struct Forward<'a> {
    source: Source<'a>,
    to: Planes,
    weights: &'a [f32],
    start: &'a [f32],
    store: Store,
    inputs: &'a mut [f32],
    sums: &'a mut [f32],
    strip: &'a mut [f32],
    output: &'a mut [f32],
}

/// A tile: its image, and the row and column of its first output.
#[derive(Clone, Copy, Default)]
struct Tile {
    image: usize,
    y: usize,
    x: usize,
}

impl<'a> Source<'a> {
    fn new(direct: &Direct, input: &'a [f32]) -> Self {
        let (from, to) = (direct.input(), direct.output());
        Self {
            from,
            to,
            skipped: from.border() - direct.padding(),
            tiles: [to.height().div_ceil(TILE), to.width().div_ceil(TILE)],
            images: input.len() / from.len(),
            input,
        }
    }

    /// Tiles of all images.
    #[inline(always)]
    fn total(&self) -> usize {
        self.images * self.tiles[0] * self.tiles[1]
    }

    /// The tile behind another one.
    #[inline(always)]
    fn next(&self, tile: Tile) -> Tile {
        let Tile { image, y, x } = tile;
        if x + TILE < self.to.width() {
            Tile {
                image,
                y,
                x: x + TILE,
            }
        } else if y + TILE < self.to.height() {
            Tile {
                image,
                y: y + TILE,
                x: 0,
            }
        } else {
            Tile {
                image: image + 1,
                y: 0,
                x: 0,
            }
        }
    }

    /// So many tiles from one on, which becomes the one behind them. Counted up: divisions would take as long as a
    /// transform.
    #[inline(always)]
    fn following<'t>(
        &self,
        tile: &mut Tile,
        count: usize,
        tiles: &'t mut [Tile; TILES],
    ) -> &'t [Tile] {
        for place in &mut tiles[..count] {
            *place = *tile;
            *tile = self.next(*tile);
        }
        &tiles[..count]
    }

    /// Transforms the patches under some tiles, block by block, into the slots of every position.
    #[inline(always)]
    fn transform<S: Simd, const V: usize>(
        &self,
        simd: S,
        tiles: &[Tile],
        strip: &mut [f32],
        inputs: &mut [f32],
    ) {
        let mut slot = 0;
        while slot < tiles.len() {
            let tile = tiles[slot];
            let across = (self.tiles[1] - tile.x / TILE).min(tiles.len() - slot);
            for block in 0..self.from.blocks() {
                let out = &mut inputs[block * TRANSFORMED..][..TRANSFORMED];
                self.transform_rows::<S, V>(simd, tile, across, block, strip);
                for neighbour in 0..across {
                    let out =
                        &mut out[(slot + neighbour) * BLOCK..][..TRANSFORMED - DISTANCE + BLOCK];
                    transform_columns::<S, V>(simd, neighbour, strip, out);
                }
            }
            slot += across;
        }
    }

    /// `B' d` of the pixels under neighbouring tiles from one on: what neighbours share is computed once.
    #[inline(always)]
    fn transform_rows<S: Simd, const V: usize>(
        &self,
        simd: S,
        tile: Tile,
        across: usize,
        block: usize,
        strip: &mut [f32],
    ) {
        let from = self.from;
        let (height, width) = (
            self.to.height() + PATCH - TILE - tile.y,
            self.to.width() + PATCH - TILE - tile.x,
        );
        let columns = across * TILE + PATCH - TILE;
        let length = columns.min(width) * BLOCK;
        let first = (tile.y + self.skipped) * from.row() + (tile.x + self.skipped) * BLOCK;
        let start = tile.image * from.len() + block * from.plane() + first;
        // slices of one length: their indices need no check
        let count = length / BLOCK * V;
        let rows: [&[S::f32s]; PATCH] = from_fn(|r| {
            let row = if r < height {
                &self.input[start + r * from.row()..][..length]
            } else {
                &ZEROS[..length]
            };
            &S::as_simd_f32s(row).0[..count]
        });
        let mut out = strip.chunks_exact_mut(STRIP * BLOCK);
        let out: [&mut [S::f32s]; PATCH] = from_fn(|_| {
            let (inside, beyond) =
                out.next().unwrap_or_default()[..columns * BLOCK].split_at_mut(length);
            beyond.fill(0.0);
            &mut S::as_mut_simd_f32s(inside).0[..count]
        });
        for i in 0..count {
            let side = input_side::<S>(simd, from_fn(|r| rows[r][i]));
            for r in 0..PATCH {
                out[r][i] = side[r];
            }
        }
    }
}

/// Zeros in the place of rows beyond an image.
static ZEROS: [f32; STRIP * BLOCK] = [0.0; STRIP * BLOCK];

/// `(B' d) B` of the patch under a tile of a strip.
#[inline(always)]
fn transform_columns<S: Simd, const V: usize>(
    simd: S,
    tile: usize,
    strip: &[f32],
    out: &mut [f32],
) {
    for r in 0..PATCH {
        let patch = &strip[(r * STRIP + tile * TILE) * BLOCK..][..PATCH * BLOCK];
        let (patch, _) = S::as_simd_f32s(patch);
        for v in 0..V {
            let side = input_side::<S>(simd, from_fn(|column| patch[column * V + v]));
            for column in 0..PATCH {
                let place = (r * PATCH + column) * DISTANCE;
                S::as_mut_simd_f32s(&mut out[place..][..BLOCK]).0[v] = side[column];
            }
        }
    }
}

/// Runs a loop by the width of the vectors: `V` of them make a block, and the sums of `R` blocks lie in registers.
macro_rules! by_width {
    ($kernel:ident) => {
        impl WithSimd for $kernel<'_> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, simd: S) {
                match S::F32_LANES {
                    16 => self.run::<S, 1, 16>(simd),
                    8 => self.run::<S, 2, 4>(simd),
                    4 => self.run::<S, 4, 2>(simd),
                    lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
                }
            }
        }
    };
}

by_width!(Forward);

// Closures within loops are not inlined into vector code: loops and functions are plain on purpose.
impl Forward<'_> {
    /// `V`: vectors of a block. `R`: tiles that are multiplied together.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const R: usize>(mut self, simd: S) {
        let source = self.source;
        let total = source.total();
        let mut first = 0;
        let (mut tile, mut tiles) = (Tile::default(), [Tile::default(); TILES]);
        // here, not where it is filled: a compiler that sets it to zero for each tile spends a tenth of the time on that
        let mut columns = [[simd.splat_f32s(0.0); PATCH]; TILE];
        while first < total {
            let count = (total - first).min(TILES);
            let tiles = source.following(&mut tile, count, &mut tiles);
            source.transform::<S, V>(simd, tiles, self.strip, self.inputs);
            for block in 0..self.to.blocks() {
                for position in 0..POSITIONS {
                    self.multiply::<S, V, R>(simd, position, block, count);
                }
                for (slot, tile) in tiles.iter().enumerate() {
                    if self.store.add {
                        self.back::<S, V, true>(simd, *tile, slot, block, &mut columns);
                    } else {
                        self.back::<S, V, false>(simd, *tile, slot, block, &mut columns);
                    }
                }
            }
            first += count;
        }
    }

    /// Sums of products over the input channels at one position, for the outputs of a block.
    #[inline(always)]
    fn multiply<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        position: usize,
        block: usize,
        count: usize,
    ) {
        let blocks = self.source.from.blocks();
        let size = blocks * BLOCK * BLOCK;
        let weights = &self.weights[(block * POSITIONS + position) * size..][..size];
        let (weights, _) = S::as_simd_f32s(weights);
        let inputs = &self.inputs[..blocks * TRANSFORMED];
        let place = position * DISTANCE;
        let sums = &mut self.sums[place..][..TILES * BLOCK];
        let (sums, _) = S::as_mut_simd_f32s(sums);
        if R == TILES {
            if count > TILES / 2 {
                products::<S, V, TILES>(simd, inputs, place, weights, sums, 0);
            } else {
                products::<S, V, { TILES / 2 }>(simd, inputs, place, weights, sums, 0);
            }
        } else {
            let mut slot = 0;
            while slot < count {
                products::<S, V, R>(simd, inputs, place, weights, sums, slot);
                slot += R;
            }
        }
    }

    /// Transforms the sums of a tile back and stores what of it lies in the image.
    #[inline(always)]
    fn back<S: Simd, const V: usize, const ADD: bool>(
        &mut self,
        simd: S,
        tile: Tile,
        slot: usize,
        block: usize,
        columns: &mut [[S::f32s; PATCH]; TILE],
    ) {
        let to = self.to;
        let rows = (to.height() - tile.y).min(TILE);
        let width = (to.width() - tile.x).min(TILE);
        let (start, _) = S::as_simd_f32s(&self.start[block * BLOCK..][..BLOCK]);
        let sums = &self.sums[slot * BLOCK..][..TRANSFORMED - DISTANCE + BLOCK];
        // nothing is below the lowest value: no branch where nothing is rectified
        let lowest = simd.splat_f32s(if self.store.relu {
            0.0
        } else {
            f32::NEG_INFINITY
        });
        for v in 0..V {
            for column in 0..PATCH {
                let side = output_side::<S>(
                    simd,
                    from_fn(|row| {
                        let place = (row * PATCH + column) * DISTANCE;
                        S::as_simd_f32s(&sums[place..][..BLOCK]).0[v]
                    }),
                );
                for row in 0..TILE {
                    columns[row][column] = side[row];
                }
            }
            for row in 0..rows {
                let side = output_side::<S>(simd, columns[row]);
                let place = tile.image * to.len() + to.at(block, tile.y + row, tile.x);
                let target = &mut self.output[place..];
                // the common width as a constant: no loop
                if width == TILE {
                    finish::<S, V, ADD>(
                        simd,
                        side,
                        start[v],
                        lowest,
                        v,
                        &mut target[..TILE * BLOCK],
                    );
                } else {
                    finish::<S, V, ADD>(
                        simd,
                        side,
                        start[v],
                        lowest,
                        v,
                        &mut target[..width * BLOCK],
                    );
                }
            }
        }
    }
}

/// Stores vector `v` of a row of outputs.
#[inline(always)]
fn finish<S: Simd, const V: usize, const ADD: bool>(
    simd: S,
    side: [S::f32s; TILE],
    start: S::f32s,
    lowest: S::f32s,
    v: usize,
    target: &mut [f32],
) {
    let (target, _) = S::as_mut_simd_f32s(target);
    for (target, value) in target.chunks_exact_mut(V).zip(side) {
        let mut sum = simd.add_f32s(value, start);
        if ADD {
            sum = simd.add_f32s(sum, target[v]);
        }
        target[v] = rectified(simd, sum, lowest);
    }
}

/// Sums of `R` tiles from `slot` on, over all blocks of inputs, at the position that begins at `place`.
#[inline(always)]
fn products<S: Simd, const V: usize, const R: usize>(
    simd: S,
    inputs: &[f32],
    place: usize,
    weights: &[S::f32s],
    out: &mut [S::f32s],
    slot: usize,
) {
    let mut sums = [[simd.splat_f32s(0.0); V]; R];
    let mut weights = weights;
    for block in inputs.chunks_exact(TRANSFORMED) {
        let (these, rest) = weights.split_at(BLOCK * V);
        let pixels = &block[place + slot * BLOCK..][..R * BLOCK];
        accumulate::<S, R, V, V, BLOCK>(simd, &mut sums, pixels, these);
        weights = rest;
    }
    let out = &mut out[slot * V..][..R * V];
    for (out, sums) in out.chunks_exact_mut(V).zip(&sums) {
        out.copy_from_slice(sums);
    }
}

/// `a k + b`.
#[inline(always)]
fn scaled<S: Simd>(simd: S, a: S::f32s, k: f32, b: S::f32s) -> S::f32s {
    multiply_add(simd, a, simd.splat_f32s(k), b)
}

/// `B'` times six inputs.
#[inline(always)]
fn input_side<S: Simd>(simd: S, d: [S::f32s; PATCH]) -> [S::f32s; PATCH] {
    let (even, odd) = (
        scaled(simd, d[2], -4.0, d[4]),
        scaled(simd, d[1], -4.0, d[3]),
    );
    let (near, far) = (simd.sub_f32s(d[4], d[2]), simd.sub_f32s(d[3], d[1]));
    [
        scaled(simd, d[0], 4.0, scaled(simd, d[2], -5.0, d[4])),
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        scaled(simd, far, 2.0, near),
        scaled(simd, far, -2.0, near),
        scaled(simd, d[1], 4.0, scaled(simd, d[3], -5.0, d[5])),
    ]
}

/// `A'` times six products.
#[inline(always)]
fn output_side<S: Simd>(simd: S, m: [S::f32s; PATCH]) -> [S::f32s; TILE] {
    let (near, near_odd) = (simd.add_f32s(m[1], m[2]), simd.sub_f32s(m[1], m[2]));
    let (far, far_odd) = (simd.add_f32s(m[3], m[4]), simd.sub_f32s(m[3], m[4]));
    [
        simd.add_f32s(simd.add_f32s(m[0], near), far),
        scaled(simd, far_odd, 2.0, near_odd),
        scaled(simd, far, 4.0, near),
        scaled(simd, far_odd, 8.0, simd.add_f32s(near_odd, m[5])),
    ]
}

mod gradient;
#[cfg(test)]
mod tests;
