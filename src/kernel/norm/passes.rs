//! The four passes of batch norm over one block of one image: vector loops, the same additions on every width.

use super::super::direct::{multiply_add, rectified};
use super::super::isa::Isa;
use super::super::planes::{Lanes, Planes, BLOCK};
use pulp::{Simd, WithSimd};
use std::array::from_fn;

/// Pixels whose sums are kept in f32 before they are added in f64.
const SHORT: usize = 256;
/// Independent sums, so that an addition need not wait for the one before.
const CHAINS: usize = 2;

/// Two sums in every lane of a block.
#[derive(Clone, Copy, Default)]
pub(super) struct Sums {
    pub(super) first: [f64; BLOCK],
    pub(super) second: [f64; BLOCK],
}

/// A pass over a block, `V` vectors a pixel.
pub(super) trait Pass {
    /// Runs it.
    fn run<S: Simd, const V: usize>(self, simd: S);
}

/// Runs a pass with some instructions.
pub(super) fn run(isa: Isa, pass: impl Pass) {
    struct Dispatched<P>(P);
    impl<P: Pass> WithSimd for Dispatched<P> {
        type Output = ();
        #[inline(always)]
        fn with_simd<S: Simd>(self, simd: S) {
            match S::F32_LANES {
                16 => self.0.run::<S, 1>(simd),
                8 => self.0.run::<S, 2>(simd),
                4 => self.0.run::<S, 4>(simd),
                lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
            }
        }
    }
    isa.run(Dispatched(pass));
}

/// The lanes of a block as vectors.
#[inline(always)]
fn vectors<S: Simd, const V: usize>(lanes: &Lanes) -> [S::f32s; V] {
    let (vectors, _) = S::as_simd_f32s(lanes);
    from_fn(|v| vectors[v])
}

/// Two sums in `CHAINS` parts each, in f32.
struct ShortSums<S: Simd, const V: usize> {
    first: [[S::f32s; V]; CHAINS],
    second: [[S::f32s; V]; CHAINS],
}

impl<S: Simd, const V: usize> ShortSums<S, V> {
    #[inline(always)]
    fn new(simd: S) -> Self {
        let zero = [[simd.splat_f32s(0.0); V]; CHAINS];
        Self {
            first: zero,
            second: zero,
        }
    }

    /// `first += a`, `second += b c` in lane vector `v` of a chain.
    #[inline(always)]
    fn add(&mut self, simd: S, chain: usize, v: usize, a: S::f32s, [b, c]: [S::f32s; 2]) {
        self.first[chain][v] = simd.add_f32s(self.first[chain][v], a);
        self.second[chain][v] = multiply_add(simd, b, c, self.second[chain][v]);
    }

    #[inline(always)]
    fn add_to(&self, sums: &mut Sums) {
        for (long, short) in [
            (&mut sums.first, &self.first),
            (&mut sums.second, &self.second),
        ] {
            for chain in short {
                let values: &[f32] = bytemuck::cast_slice(chain);
                long.iter_mut()
                    .zip(values)
                    .for_each(|(long, short)| *long += f64::from(*short));
            }
        }
    }
}

/// Adds `Σ (x - centre)` and `Σ (x - centre)²`. The centre, any value of the channel, keeps digits.
pub(super) struct AddMoments<'a> {
    pub(super) x: &'a [f32],
    pub(super) centre: &'a Lanes,
    pub(super) sums: &'a mut Sums,
}

impl Pass for AddMoments<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let centre = vectors::<S, V>(self.centre);
        for x in self.x.chunks(SHORT * BLOCK) {
            let mut sums = ShortSums::<S, V>::new(simd);
            let (x, _) = S::as_simd_f32s(x);
            let chains = x.chunks_exact(CHAINS * V);
            let rest = chains.remainder().chunks_exact(V);
            for x in chains {
                for chain in 0..CHAINS {
                    for v in 0..V {
                        let d = simd.sub_f32s(x[chain * V + v], centre[v]);
                        sums.add(simd, chain, v, d, [d, d]);
                    }
                }
            }
            for x in rest {
                for v in 0..V {
                    let d = simd.sub_f32s(x[v], centre[v]);
                    sums.add(simd, 0, v, d, [d, d]);
                }
            }
            sums.add_to(self.sums);
        }
    }
}

/// What the lanes of a block are normalised with.
#[derive(Clone, Copy)]
pub(super) struct Factors {
    pub(super) centre: Lanes,
    pub(super) factor: Lanes,
    pub(super) offset: Lanes,
}

/// `y = relu((x - centre) · factor + offset + residual)`.
pub(super) struct Normalise<'a> {
    pub(super) factors: &'a Factors,
    pub(super) relu: bool,
    pub(super) x: &'a [f32],
    pub(super) residual: Option<&'a [f32]>,
    pub(super) y: &'a mut [f32],
}

impl Pass for Normalise<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let [centre, factor, offset] = [
            &self.factors.centre,
            &self.factors.factor,
            &self.factors.offset,
        ]
        .map(vectors::<S, V>);
        let zero = simd.splat_f32s(0.0);
        let normal = |v: usize, x: S::f32s| {
            multiply_add(simd, simd.sub_f32s(x, centre[v]), factor[v], offset[v])
        };
        let stored = |sum: S::f32s| {
            if self.relu {
                rectified(simd, sum, zero)
            } else {
                sum
            }
        };
        let (x, _) = S::as_simd_f32s(self.x);
        let (y, _) = S::as_mut_simd_f32s(self.y);
        let pixels = y.chunks_exact_mut(V).zip(x.chunks_exact(V));
        match self.residual {
            None => {
                for (y, x) in pixels {
                    for v in 0..V {
                        y[v] = stored(normal(v, x[v]));
                    }
                }
            }
            Some(residual) => {
                let (residual, _) = S::as_simd_f32s(residual);
                for ((y, x), r) in pixels.zip(residual.chunks_exact(V)) {
                    for v in 0..V {
                        y[v] = stored(simd.add_f32s(normal(v, x[v]), r[v]));
                    }
                }
            }
        }
    }
}

/// What the backward passes read of a block: input, output, gradient of the output, whose part at or below zero
/// of the output counts for nothing where there is a ReLU.
#[derive(Clone, Copy)]
pub(super) struct Upstream<'a> {
    pub(super) x: &'a [f32],
    pub(super) y: &'a [f32],
    pub(super) g: &'a [f32],
    pub(super) relu: bool,
    pub(super) centre: &'a Lanes,
}

impl Upstream<'_> {
    /// What passed the ReLU of a gradient.
    #[inline(always)]
    fn passed<S: Simd>(self, simd: S, y: S::f32s, g: S::f32s) -> S::f32s {
        let zero = simd.splat_f32s(0.0);
        if self.relu {
            simd.select_f32s(simd.greater_than_f32s(y, zero), g, zero)
        } else {
            g
        }
    }
}

/// Adds `Σ g` and `Σ g (x - centre)`.
pub(super) struct AddGradients<'a> {
    pub(super) from: Upstream<'a>,
    pub(super) sums: &'a mut Sums,
}

impl Pass for AddGradients<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let from = self.from;
        let centre = vectors::<S, V>(from.centre);
        let values = |values: [&[S::f32s]; 3], at: usize, v: usize| {
            let [x, y, g] = values.map(|values| values[at]);
            (from.passed(simd, y, g), simd.sub_f32s(x, centre[v]))
        };
        let length = SHORT * BLOCK;
        for ((x, y), g) in from
            .x
            .chunks(length)
            .zip(from.y.chunks(length))
            .zip(from.g.chunks(length))
        {
            let mut sums = ShortSums::<S, V>::new(simd);
            let [x, y, g] =
                [x, y, g].map(|values| S::as_simd_f32s(values).0.chunks_exact(CHAINS * V));
            let rest =
                [x.remainder(), y.remainder(), g.remainder()].map(|rest| rest.chunks_exact(V));
            for ((x, y), g) in x.zip(y).zip(g) {
                for chain in 0..CHAINS {
                    for v in 0..V {
                        let (g, d) = values([x, y, g], chain * V + v, v);
                        sums.add(simd, chain, v, g, [g, d]);
                    }
                }
            }
            let [x, y, g] = rest;
            for ((x, y), g) in x.zip(y).zip(g) {
                for v in 0..V {
                    let (g, d) = values([x, y, g], v, v);
                    sums.add(simd, 0, v, g, [g, d]);
                }
            }
            sums.add_to(self.sums);
        }
    }
}

/// Keeps what passes the ReLU of a gradient of one block, in its place, and adds `Σ g` and `Σ g (x - centre)` of it.
pub(super) struct MaskGradients<'a> {
    /// The block before the norm, and the gradient, without a border.
    pub(super) x: &'a [f32],
    pub(super) g: &'a mut [f32],
    /// The result of an image, in its layout.
    pub(super) y: &'a [f32],
    pub(super) planes: Planes,
    pub(super) block: usize,
    pub(super) relu: bool,
    pub(super) centre: &'a Lanes,
    pub(super) sums: &'a mut Sums,
}

impl Pass for MaskGradients<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let zero = simd.splat_f32s(0.0);
        let centre = vectors::<S, V>(self.centre);
        let row = self.planes.width() * BLOCK;
        let rows = (SHORT * BLOCK / row).max(1);
        let mut y = 0;
        for (x, g) in self.x.chunks(rows * row).zip(self.g.chunks_mut(rows * row)) {
            let mut sums = ShortSums::<S, V>::new(simd);
            for (x, g) in x.chunks_exact(row).zip(g.chunks_exact_mut(row)) {
                let mask = &self.y[self.planes.at(self.block, y, 0)..][..row];
                let (x, g) = (S::as_simd_f32s(x).0, S::as_mut_simd_f32s(g).0);
                let mask = S::as_simd_f32s(mask).0;
                let pixels = x
                    .chunks_exact(V)
                    .zip(g.chunks_exact_mut(V))
                    .zip(mask.chunks_exact(V));
                for (chain, ((x, g), mask)) in pixels.enumerate() {
                    for v in 0..V {
                        if self.relu {
                            let passes = simd.greater_than_f32s(mask[v], zero);
                            g[v] = simd.select_f32s(passes, g[v], zero);
                        }
                        let d = simd.sub_f32s(x[v], centre[v]);
                        sums.add(simd, chain % CHAINS, v, g[v], [g[v], d]);
                    }
                }
                y += 1;
            }
            sums.add_to(self.sums);
        }
    }
}

/// Factors of the gradient of the input: `dx = g · of_g + (x - centre) · of_x + constant`.
#[derive(Clone, Copy)]
pub(super) struct Slopes {
    pub(super) of_g: Lanes,
    pub(super) of_x: Lanes,
    pub(super) constant: Lanes,
}

/// Writes the gradient of the input, and that of the residual.
pub(super) struct Backward<'a> {
    pub(super) from: Upstream<'a>,
    pub(super) slopes: &'a Slopes,
    pub(super) dx: &'a mut [f32],
    pub(super) residual: Option<&'a mut [f32]>,
}

impl Pass for Backward<'_> {
    #[inline(always)]
    fn run<S: Simd, const V: usize>(self, simd: S) {
        let (from, slopes) = (self.from, self.slopes);
        let centre = vectors::<S, V>(from.centre);
        let [of_g, of_x, constant] =
            [&slopes.of_g, &slopes.of_x, &slopes.constant].map(vectors::<S, V>);
        let slope = |v: usize, x: S::f32s, g: S::f32s| {
            let d = simd.sub_f32s(x, centre[v]);
            multiply_add(
                simd,
                g,
                of_g[v],
                multiply_add(simd, d, of_x[v], constant[v]),
            )
        };
        let [x, y, g] =
            [from.x, from.y, from.g].map(|values| S::as_simd_f32s(values).0.chunks_exact(V));
        let (dx, _) = S::as_mut_simd_f32s(self.dx);
        let pixels = dx.chunks_exact_mut(V).zip(x.zip(y).zip(g));
        match self.residual {
            None => {
                for (dx, ((x, y), g)) in pixels {
                    for v in 0..V {
                        dx[v] = slope(v, x[v], from.passed(simd, y[v], g[v]));
                    }
                }
            }
            Some(residual) => {
                let (residual, _) = S::as_mut_simd_f32s(residual);
                for (dr, (dx, ((x, y), g))) in residual.chunks_exact_mut(V).zip(pixels) {
                    for v in 0..V {
                        let g = from.passed(simd, y[v], g[v]);
                        dr[v] = g;
                        dx[v] = slope(v, x[v], g);
                    }
                }
            }
        }
    }
}
