//! Gradient of a Winograd convolution to its weights, F(3x3, 4x4): 36 products a tile in place of 144.

use super::*;
use std::ops::Range;

/// Rounds of tiles that are transformed before they are multiplied: every sum is read and written once for them all.
const ROUNDS: usize = 2;

impl Winograd {
    /// Images that fill the rounds of [`Self::products`]; 1 at least.
    pub fn images_at_once(&self) -> usize {
        let to = self.direct.output();
        let tiles = to.height().div_ceil(TILE) * to.width().div_ceil(TILE);
        (ROUNDS * TILES / tiles).max(1)
    }

    /// Writes the products of images and gradients that [`Self::weight_gradient`] takes, or adds them where `add` says
    /// so; [`Self::transformed_len`] of them: `(B' d B) ⊙ (A g A')` summed over all tiles. `input` holds some images in
    /// the input layout, `gradients` as many in the layout of outputs `of`, whose border is not read.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn products(
        &self,
        isa: Isa,
        input: &[f32],
        (of, gradients): (Planes, &[f32]),
        add: bool,
        scratch: &mut Scratch,
        products: &mut [f32],
    ) {
        let source = Source::new(&self.direct, input);
        let images = source.images;
        let whole = images * source.from.len();
        assert_eq!(input.len(), whole, "inputs of a convolution");
        assert_eq!(of.with_border(0), source.to.with_border(0), "gradients");
        assert_eq!(
            gradients.len(),
            images * of.len(),
            "gradients of a convolution"
        );
        assert_eq!(products.len(), self.transformed_len(), "products");
        let [inputs, outputs] =
            [source.from, of].map(|planes| ROUNDS * planes.blocks() * TRANSFORMED);
        scratch.make_room(inputs, outputs);
        isa.run(Products {
            source,
            of,
            gradients,
            add,
            inputs: &mut scratch.inputs,
            outputs: &mut scratch.sums,
            strip: &mut scratch.strip,
            products,
        });
    }

    /// Adds the gradient to the [`Direct::pack`]ed weights: `G'` products `G`.
    ///
    /// # Panics
    /// Where a slice has not the length that this convolution has.
    pub fn weight_gradient(&self, isa: Isa, products: &[f32], packed: &mut [f32]) {
        assert_eq!(packed.len(), self.direct.packed_len(), "packed weights");
        assert_eq!(products.len(), self.transformed_len(), "products");
        isa.run(Weights {
            blocks: self.direct.input().blocks(),
            rows: 0..self.rows(),
            products,
            packed,
        });
    }
}

struct Products<'a> {
    source: Source<'a>,
    of: Planes,
    gradients: &'a [f32],
    add: bool,
    inputs: &'a mut [f32],
    outputs: &'a mut [f32],
    strip: &'a mut [f32],
    products: &'a mut [f32],
}

by_width!(Products);

impl Products<'_> {
    /// `V`: vectors of a block. `R`: inputs whose sums are taken together.
    #[inline(always)]
    fn run<S: Simd, const V: usize, const R: usize>(mut self, simd: S) {
        let source = self.source;
        let (from, to) = (source.from.blocks(), self.of.blocks());
        let total = source.total();
        let (mut tile, mut tiles) = (Tile::default(), [Tile::default(); TILES]);
        let mut columns = [[simd.splat_f32s(0.0); TILE]; PATCH];
        let mut first = 0;
        while first < total {
            let count = (total - first).min(ROUNDS * TILES);
            for round in 0..count.div_ceil(TILES) {
                let tiles =
                    source.following(&mut tile, (count - round * TILES).min(TILES), &mut tiles);
                let inputs = &mut self.inputs[round * from * TRANSFORMED..];
                source.transform::<S, V>(simd, tiles, self.strip, inputs);
                for (place, tile) in tiles.iter().enumerate() {
                    let slot = round * to * TRANSFORMED + place * BLOCK;
                    self.spread::<S, V>(simd, *tile, slot, &mut columns);
                }
            }
            for output in 0..to {
                for position in 0..POSITIONS {
                    for input in 0..from {
                        let mut lane = 0;
                        while lane < BLOCK {
                            let row =
                                ((output * POSITIONS + position) * from + input) * BLOCK + lane;
                            self.sum::<S, V, R>(simd, [input, output, position], lane, count, row);
                            lane += R;
                        }
                    }
                }
            }
            first += count;
            self.add = true;
        }
    }

    /// Transforms a tile of gradients, zeros beyond the image, into a slot of every position.
    #[inline(always)]
    fn spread<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        tile: Tile,
        slot: usize,
        columns: &mut [[S::f32s; TILE]; PATCH],
    ) {
        let of = self.of;
        let (rows, width) = (
            (of.height() - tile.y).min(TILE),
            (of.width() - tile.x).min(TILE),
        );
        for block in 0..of.blocks() {
            let start = tile.image * of.len() + of.at(block, tile.y, tile.x);
            let mut edge;
            let (pixels, row) = if rows == TILE && width == TILE {
                (&self.gradients[start..], of.row())
            } else {
                edge = [0f32; TILE * TILE * BLOCK];
                for r in 0..rows {
                    edge[r * TILE * BLOCK..][..width * BLOCK]
                        .copy_from_slice(&self.gradients[start + r * of.row()..][..width * BLOCK]);
                }
                (&edge[..], TILE * BLOCK)
            };
            let pixels: [&[f32]; TILE] = from_fn(|r| &pixels[r * row..][..TILE * BLOCK]);
            let out = &mut self.outputs[block * TRANSFORMED + slot..];
            let out = &mut out[..TRANSFORMED - DISTANCE + BLOCK];
            for v in 0..V {
                for column in 0..TILE {
                    let values = from_fn(|r| S::as_simd_f32s(pixels[r]).0[column * V + v]);
                    let side = gradient_side::<S>(simd, values);
                    for r in 0..PATCH {
                        columns[r][column] = side[r];
                    }
                }
                for r in 0..PATCH {
                    let side = gradient_side::<S>(simd, columns[r]);
                    for column in 0..PATCH {
                        let place = (r * PATCH + column) * DISTANCE;
                        S::as_mut_simd_f32s(&mut out[place..][..BLOCK]).0[v] = side[column];
                    }
                }
            }
        }
    }

    /// Products of `R` inputs from `lane` on with the outputs of a block at one position, over `count` tiles.
    #[inline(always)]
    fn sum<S: Simd, const V: usize, const R: usize>(
        &mut self,
        simd: S,
        [input, output, position]: [usize; 3],
        lane: usize,
        count: usize,
        row: usize,
    ) {
        let (from, to) = (self.source.from.blocks(), self.of.blocks());
        let mut sums = [[simd.splat_f32s(0.0); V]; R];
        let mut left = count;
        for round in 0..count.div_ceil(TILES) {
            let tiles = left.min(TILES);
            let at = (round * from + input) * TRANSFORMED + position * DISTANCE;
            let pixels = &self.inputs[at + lane..][..(tiles - 1) * BLOCK + R];
            let at = (round * to + output) * TRANSFORMED + position * DISTANCE;
            let (gradients, _) = S::as_simd_f32s(&self.outputs[at..][..tiles * BLOCK]);
            add_products::<S, R, V, V, BLOCK>(simd, &mut sums, pixels, gradients);
            left -= tiles;
        }
        let products = &mut self.products[row * BLOCK..][..R * BLOCK];
        let (products, _) = S::as_mut_simd_f32s(products);
        for (products, sums) in products.chunks_exact_mut(V).zip(&sums) {
            for v in 0..V {
                products[v] = if self.add {
                    simd.add_f32s(products[v], sums[v])
                } else {
                    sums[v]
                };
            }
        }
    }
}

/// `A` times four gradients: the transpose of [`output_side`].
#[inline(always)]
fn gradient_side<S: Simd>(simd: S, g: [S::f32s; TILE]) -> [S::f32s; PATCH] {
    let (even, odd) = (simd.add_f32s(g[0], g[2]), simd.add_f32s(g[1], g[3]));
    let wide = scaled(simd, g[2], 4.0, g[0]);
    let half = scaled(simd, g[3], 4.0, g[1]);
    [
        g[0],
        simd.add_f32s(even, odd),
        simd.sub_f32s(even, odd),
        scaled(simd, half, 2.0, wide),
        scaled(simd, half, -2.0, wide),
        g[3],
    ]
}

struct Weights<'a> {
    /// Blocks of inputs.
    blocks: usize,
    rows: Range<usize>,
    products: &'a [f32],
    packed: &'a mut [f32],
}

impl WithSimd for Weights<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match S::F32_LANES {
            16 => self.run::<S, 1>(simd),
            8 => self.run::<S, 2>(simd),
            4 => self.run::<S, 4>(simd),
            lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
        }
    }
}

impl Weights<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let blocks = self.blocks;
        for row in self.rows {
            let (lane, block) = (row % BLOCK, row / BLOCK % blocks);
            let outputs = row / (BLOCK * blocks);
            for v in 0..V {
                let mut half = [[zero; PATCH]; 3];
                for column in 0..PATCH {
                    let mut products = [zero; PATCH];
                    for r in 0..PATCH {
                        let position = outputs * POSITIONS + r * PATCH + column;
                        let place = ((position * blocks + block) * BLOCK + lane) * BLOCK;
                        products[r] = S::as_simd_f32s(&self.products[place..][..BLOCK]).0[v];
                    }
                    let side = weight_side::<S>(simd, products);
                    for r in 0..3 {
                        half[r][column] = side[r];
                    }
                }
                for r in 0..3 {
                    let run = (outputs * 3 + r) * blocks + block;
                    let side = weight_side::<S>(simd, half[r]);
                    for column in 0..3 {
                        let place = ((run * 3 + column) * BLOCK + lane) * BLOCK;
                        let weight =
                            &mut S::as_mut_simd_f32s(&mut self.packed[place..][..BLOCK]).0[v];
                        *weight = simd.add_f32s(*weight, side[column]);
                    }
                }
            }
        }
    }
}

/// `G'` times six products: the transpose of [`kernel_side`].
#[inline(always)]
fn weight_side<S: Simd>(simd: S, u: [S::f32s; PATCH]) -> [S::f32s; 3] {
    let (near, near_odd) = (simd.add_f32s(u[1], u[2]), simd.sub_f32s(u[2], u[1]));
    let (far, far_odd) = (simd.add_f32s(u[3], u[4]), simd.sub_f32s(u[3], u[4]));
    // 1/4, 1/6 and 1/12 have no exact form: each is rounded once
    let sixth = simd.mul_f32s(near, simd.splat_f32s(-1.0 / 6.0));
    [
        scaled(simd, u[0], 0.25, scaled(simd, far, 1.0 / 24.0, sixth)),
        scaled(
            simd,
            near_odd,
            1.0 / 6.0,
            simd.mul_f32s(far_odd, simd.splat_f32s(1.0 / 12.0)),
        ),
        simd.add_f32s(u[5], scaled(simd, far, 1.0 / 6.0, sixth)),
    ]
}
