//! A convolution with its batch norm: forward over a batch, and back, group by group of images while they lie in cache.

use super::super::direct::{Direct, Store};
use super::super::isa::Isa;
use super::super::norm::padded::{Gradient, PaddedNorm};
use super::super::norm::BatchStatistics;
use super::super::winograd::{Scratch, Winograd};
use crate::error::Result;
use rayon::prelude::*;

/// Images per task; fixed, because it sets the order of additions in weight gradients.
const GROUP: usize = 8;
/// Images whose gradients are taken together by a direct convolution.
const TOGETHER: usize = 4;

const PLAIN: Store = Store {
    add: false,
    relu: false,
};

/// A convolution and its norm.
#[derive(Clone)]
pub(super) struct Layer {
    isa: Isa,
    forward: Kernel,
    /// Carries the gradient of the sums back to the images.
    backward: Kernel,
    norm: PaddedNorm,
}

/// A convolution and how it is computed.
#[derive(Clone, Copy)]
struct Kernel {
    direct: Direct,
    winograd: Option<Winograd>,
}

/// Weights as a [`Kernel`] takes them.
struct Packed {
    weights: Vec<f32>,
    start: Vec<f32>,
}

/// What a layer made of a batch of images: the values that its gradients need.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    /// The images, in the layout of the input.
    pub(super) x: &'a [f32],
    /// Sums of the convolution.
    pub(super) sums: &'a [f32],
    /// The result.
    pub(super) y: &'a [f32],
    pub(super) statistics: &'a BatchStatistics,
}

/// What the groups of a thread work in, one after the other; of one layer, so that borders stay zero.
#[derive(Default)]
struct Buffers {
    scratch: Scratch,
    /// Gradients of the sums of some images.
    of_sums: Vec<f32>,
    /// Products of transformed images and gradients; for direct convolutions the gradient of an image, spread.
    products: Vec<f32>,
}

/// A group of images on the way back.
struct Group<'a> {
    x: &'a [f32],
    sums: &'a [f32],
    g: &'a [f32],
    dx: Option<&'a mut [f32]>,
}

impl<'a> Group<'a> {
    /// Images with their sums and the gradients of these, some at a time: so many values of images, so many of sums.
    fn portions(
        &self,
        input: usize,
        output: usize,
    ) -> impl Iterator<Item = (&'a [f32], (&'a [f32], &'a [f32]))> {
        let sums = self.sums.chunks(output).zip(self.g.chunks(output));
        self.x.chunks(input).zip(sums)
    }
}

impl Kernel {
    fn new(direct: Direct) -> Self {
        Self {
            direct,
            winograd: Winograd::of(direct),
        }
    }

    /// Weights that [`Direct::pack`] gave, ready for use.
    fn prepare(&self, isa: Isa, packed: Vec<f32>) -> Packed {
        let start = vec![0f32; self.direct.start_len()];
        let Some(winograd) = self.winograd else {
            return Packed {
                weights: packed,
                start,
            };
        };
        let mut weights = vec![0f32; winograd.transformed_len()];
        for row in 0..winograd.rows() {
            winograd.transform(isa, row, &packed, &mut weights);
        }
        Packed { weights, start }
    }

    /// Convolves some images, one after the other.
    fn run(
        &self,
        isa: Isa,
        x: &[f32],
        packed: &Packed,
        store: Store,
        scratch: &mut Scratch,
        y: &mut [f32],
    ) {
        let Packed { weights, start } = packed;
        if let Some(winograd) = self.winograd {
            return winograd.forward(isa, x, weights, start, store, scratch, y);
        }
        let images = x
            .chunks_exact(self.direct.input().len())
            .zip(y.chunks_exact_mut(self.direct.output().len()));
        for (x, y) in images {
            self.direct.forward(isa, x, weights, start, store, y);
        }
    }
}

impl Layer {
    /// Of a convolution without an output border; the norm's result is in the layout that `norm` says.
    ///
    /// # Errors
    /// Where the padding exceeds the kernel less one.
    pub(super) fn new(isa: Isa, direct: Direct, norm: PaddedNorm) -> Result<Self> {
        Ok(Self {
            isa,
            forward: Kernel::new(direct),
            backward: Kernel::new(direct.backward()?),
            norm,
        })
    }

    /// Values of the sums of one image.
    pub(super) fn sums_len(&self) -> usize {
        self.forward.direct.output().len()
    }

    /// Number of weights.
    pub(super) fn weights(&self) -> usize {
        let direct = self.forward.direct;
        direct.output().channels() * direct.input().channels() * direct.kernel().pow(2)
    }

    /// Number of weights, scales and shifts.
    pub(super) fn parameters(&self) -> usize {
        self.weights() + 2 * self.forward.direct.output().channels()
    }

    /// `y = relu(norm(w x) + residual)`; `parameters` are weights, scales, shifts.
    pub(super) fn forward(
        &self,
        x: &[f32],
        parameters: &[f32],
        residual: Option<&[f32]>,
        sums: &mut [f32],
        y: &mut [f32],
    ) -> BatchStatistics {
        let direct = self.forward.direct;
        let (weights, affine) = parameters.split_at(self.weights());
        let mut packed = vec![0f32; direct.packed_len()];
        direct.pack(weights, &mut packed);
        let packed = self.forward.prepare(self.isa, packed);
        let groups = sums
            .par_chunks_mut(GROUP * self.sums_len())
            .zip(x.par_chunks(GROUP * direct.input().len()));
        groups.for_each_init(Scratch::default, |scratch, (sums, x)| {
            self.forward.run(self.isa, x, &packed, PLAIN, scratch, sums);
        });
        self.norm.forward(sums, affine, residual, y)
    }

    /// Takes the gradient of the result back, without a border: `g` becomes that of the residual, `of_parameters` that
    /// of the parameters, and that of the images is written to `dx` or, where `add` says so, added to it.
    pub(super) fn backward(
        &self,
        made: &Made,
        parameters: &[f32],
        g: &mut [f32],
        dx: Option<&mut [f32]>,
        add: bool,
        of_parameters: &mut [f32],
    ) {
        let direct = self.forward.direct;
        let (weights, affine) = parameters.split_at(self.weights());
        let (of_weights, of_affine) = of_parameters.split_at_mut(self.weights());
        let (gradient, slopes) = self
            .norm
            .backward(made.sums, affine, made.statistics, made.y, g);
        of_affine.copy_from_slice(&slopes);
        let mut turned = vec![0f32; self.backward.direct.packed_len()];
        direct.pack_turned(&self.backward.direct, weights, &mut turned);
        let turned = self.backward.prepare(self.isa, turned);
        let store = Store { add, relu: false };
        let (input, output) = (GROUP * direct.input().len(), GROUP * self.sums_len());
        let mut dx = dx.map(|dx| dx.chunks_mut(GROUP * self.backward.direct.output().len()));
        let groups = made.x.chunks(input).zip(made.sums.chunks(output));
        let groups: Vec<Group> = groups
            .zip(g.chunks(output))
            .map(|((x, sums), g)| Group {
                x,
                sums,
                g,
                dx: dx.as_mut().and_then(Iterator::next),
            })
            .collect();
        let parts: Vec<Vec<f32>> = groups
            .into_par_iter()
            .map_init(Buffers::default, |buffers, group| {
                match self.forward.winograd {
                    Some(winograd) => {
                        self.by_winograd(&winograd, group, &gradient, &turned, store, buffers)
                    }
                    None => self.by_direct(group, &gradient, &turned, store, buffers),
                }
            })
            .collect();
        let mut sum = vec![0f32; direct.packed_len()];
        for part in &parts {
            sum.iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += part);
        }
        direct.unpack(&sum, of_weights);
    }

    /// Gradient of the packed weights of a group, and that of its images.
    fn by_winograd(
        &self,
        winograd: &Winograd,
        group: Group,
        gradient: &Gradient,
        turned: &Packed,
        store: Store,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let (input, padded) = (self.forward.direct.input(), self.backward.direct.input());
        let images = winograd.images_at_once().min(GROUP);
        let Buffers {
            scratch,
            of_sums: all_sums,
            products,
        } = buffers;
        all_sums.resize(images * padded.len(), 0.0);
        products.resize(winograd.transformed_len(), 0.0);
        let size = images * self.backward.direct.output().len();
        let portions = group.portions(images * input.len(), images * self.sums_len());
        let mut dx = group.dx.map(|dx| dx.chunks_mut(size));
        for (number, (x, (sums, g))) in portions.enumerate() {
            let of_sums = &mut all_sums[..x.len() / input.len() * padded.len()];
            let values = sums
                .chunks_exact(self.sums_len())
                .zip(g.chunks_exact(self.sums_len()));
            for (of_sums, (sums, g)) in of_sums.chunks_exact_mut(padded.len()).zip(values) {
                self.norm.gradient(gradient, sums, g, (padded, of_sums));
            }
            if let Some(dx) = dx.as_mut().and_then(Iterator::next) {
                self.backward
                    .run(self.isa, of_sums, turned, store, scratch, dx);
            }
            let gradients = (padded, &*of_sums);
            winograd.products(self.isa, x, gradients, number > 0, scratch, products);
        }
        let mut part = vec![0f32; self.forward.direct.packed_len()];
        winograd.weight_gradient(self.isa, products, &mut part);
        part
    }

    /// The same by direct convolutions.
    fn by_direct(
        &self,
        group: Group,
        gradient: &Gradient,
        turned: &Packed,
        store: Store,
        buffers: &mut Buffers,
    ) -> Vec<f32> {
        let (direct, back) = (self.forward.direct, self.backward.direct);
        let (input, output) = (direct.input(), direct.output());
        let Buffers {
            scratch,
            of_sums: all_sums,
            products: spread,
        } = buffers;
        all_sums.resize(TOGETHER * output.len(), 0.0);
        spread.resize(back.input().len(), 0.0);
        let mut part = vec![0f32; direct.packed_len()];
        let portions = group.portions(TOGETHER * input.len(), TOGETHER * output.len());
        let mut dx = group.dx.map(|dx| dx.chunks_mut(back.output().len()));
        for (x, (sums, g)) in portions {
            let of_sums = &mut all_sums[..sums.len()];
            let values = sums
                .chunks_exact(output.len())
                .zip(g.chunks_exact(output.len()));
            for (of_sums, (sums, g)) in of_sums.chunks_exact_mut(output.len()).zip(values) {
                self.norm.gradient(gradient, sums, g, (output, of_sums));
                if let Some(dx) = dx.as_mut().and_then(Iterator::next) {
                    direct.spread(&back, of_sums, spread);
                    self.backward
                        .run(self.isa, spread, turned, store, scratch, dx);
                }
            }
            direct.add_weight_gradient(self.isa, x, of_sums, &mut part);
        }
        part
    }
}
