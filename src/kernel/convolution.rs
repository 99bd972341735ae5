//! Square 2-D convolution as a candle operation with its gradients, on the direct kernels.
//!
//! Partial sums are taken over fixed groups of images and added in order, so results do not depend on the
//! number of threads.

use super::direct::{Direct, Store};
use super::isa::Isa;
use super::planes::{Planes, BLOCK};
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use rayon::prelude::*;

/// Images per task; fixed, because it sets the order of additions in weight gradients.
const GROUP: usize = 8;
/// Images whose padded forms lie side by side while their weight gradient is taken; divides [`GROUP`].
const PADDED: usize = 4;

/// How the images that a convolution takes lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// [batch, channels, height, width].
    Nchw,
    /// [batch, blocks, height, width, lanes]: [`Planes`] without a border.
    Blocked,
}

/// `y[b, o] = Σ_i w[o, i] * x[b, i]` with zero padding, on the CPU in f32.
///
/// `x` is [batch, channels, height, width], or blocked with 16 lanes or those of [`Planes::new`]; `w` is
/// [out channels, channels, k, k]; the result is blocked, [batch, blocks, height, width, 16]. Gradients flow to
/// both.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit, no kernel has the stride (1 and 2 have), or a tensor
/// is not f32 on the CPU.
pub fn conv2d(x: &Tensor, w: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let what = || format!("convolution of {:?} with {:?}", x.dims(), w.dims());
    let apply = || {
        if !is_ours(x) || !is_ours(w) {
            candle_core::bail!("the kernels take f32 tensors on the CPU");
        }
        x.contiguous()?.apply_op2(
            &w.contiguous()?,
            Conv2d {
                stride,
                padding,
                isa: Isa::current(),
            },
        )
    };
    apply().during(what)
}

#[derive(Clone, Copy)]
struct Conv2d {
    stride: usize,
    padding: usize,
    isa: Isa,
}

/// All sizes of one convolution.
#[derive(Clone, Copy)]
struct Sizes {
    isa: Isa,
    batch: usize,
    direct: Direct,
    /// The layout of an image of `x`: border-free, where it is blocked.
    input: Planes,
    from: Form,
}

impl Conv2d {
    fn sizes(&self, x: &Shape, w: &Shape) -> candle_core::Result<Sizes> {
        let (outputs, channels, kernel, width) = w.dims4()?;
        let (batch, from, sizes, lanes) = match *x.dims() {
            [batch, c, h, w] if c == channels => (batch, Form::Nchw, (h, w), None),
            [batch, b, h, w, lanes] if b == channels.div_ceil(BLOCK) => {
                (batch, Form::Blocked, (h, w), Some(lanes))
            }
            _ => candle_core::bail!("weights {w:?} do not fit images {x:?}"),
        };
        if kernel != width {
            candle_core::bail!("weights {w:?} are not square");
        }
        let direct = || {
            let mut input = Planes::new(channels, sizes.0, sizes.1, self.padding)?;
            if lanes == Some(BLOCK) {
                input = input.full();
            }
            let direct = Direct::new(input, outputs, kernel, self.stride, self.padding, 0)?.full();
            direct.backward().map(|_| direct)
        };
        let direct = direct().map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        let input = direct.input().with_border(0);
        if lanes.is_some_and(|lanes| lanes != input.lanes()) {
            candle_core::bail!("weights {w:?} do not fit images {x:?}");
        }
        Ok(Sizes {
            isa: self.isa,
            batch,
            direct,
            input,
            from,
        })
    }
}

impl Sizes {
    fn input_len(&self) -> usize {
        match self.from {
            Form::Nchw => self.input.channels() * self.input.height() * self.input.width(),
            Form::Blocked => self.input.len(),
        }
    }

    fn output_len(&self) -> usize {
        self.direct.output().len()
    }

    /// Lays one image of `x` out with its padding.
    fn pad(&self, image: &[f32], padded: &mut [f32]) {
        match self.from {
            Form::Nchw => self.direct.input().fill(image, padded),
            Form::Blocked => self.input.copy_to(self.direct.padding(), image, padded),
        }
    }

    fn forward(&self, x: &[f32], w: &[f32]) -> Vec<f32> {
        let direct = self.direct;
        let mut packed = vec![0f32; direct.packed_len()];
        direct.pack(w, &mut packed);
        let start = vec![0f32; direct.start_len()];
        let store = Store {
            add: false,
            relu: false,
        };
        let mut out = vec![0f32; self.batch * self.output_len()];
        let groups = out
            .par_chunks_mut(GROUP * self.output_len())
            .zip(x.par_chunks(GROUP * self.input_len()));
        groups.for_each(|(out, x)| {
            let mut padded = vec![0f32; direct.input().len()];
            for (out, image) in out
                .chunks_mut(self.output_len())
                .zip(x.chunks(self.input_len()))
            {
                self.pad(image, &mut padded);
                direct.forward(self.isa, &padded, &packed, &start, store, out);
            }
        });
        out
    }

    fn gradient_of_images(&self, w: &[f32], g: &[f32]) -> candle_core::Result<Vec<f32>> {
        let direct = self.direct;
        let backward = direct
            .backward()
            .map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        let (gradient, image) = (backward.input(), backward.output());
        let mut packed = vec![0f32; backward.packed_len()];
        direct.pack_turned(&backward, w, &mut packed);
        let start = vec![0f32; backward.start_len()];
        let store = Store {
            add: false,
            relu: false,
        };
        let mut out = vec![0f32; self.batch * self.input_len()];
        let groups = out
            .par_chunks_mut(GROUP * self.input_len())
            .zip(g.par_chunks(GROUP * self.output_len()));
        groups.for_each(|(out, g)| {
            let mut spread = vec![0f32; gradient.len()];
            let mut images = vec![
                0f32;
                if self.from == Form::Nchw {
                    image.len()
                } else {
                    0
                }
            ];
            for (out, g) in out
                .chunks_mut(self.input_len())
                .zip(g.chunks(self.output_len()))
            {
                direct.spread(&backward, g, &mut spread);
                match self.from {
                    Form::Blocked => {
                        backward.forward(self.isa, &spread, &packed, &start, store, out)
                    }
                    Form::Nchw => {
                        backward.forward(self.isa, &spread, &packed, &start, store, &mut images);
                        image.read(&images, out);
                    }
                }
            }
        });
        Ok(out)
    }

    fn gradient_of_weights(&self, x: &[f32], g: &[f32]) -> Vec<f32> {
        let direct = self.direct;
        let padded_len = direct.input().len();
        let groups = x
            .par_chunks(GROUP * self.input_len())
            .zip(g.par_chunks(GROUP * self.output_len()));
        let part = |(x, g): (&[f32], &[f32])| {
            let mut part = vec![0f32; direct.packed_len()];
            let mut padded = vec![0f32; PADDED * padded_len];
            let some = x
                .chunks(PADDED * self.input_len())
                .zip(g.chunks(PADDED * self.output_len()));
            for (x, g) in some {
                let images = x.len() / self.input_len();
                for (image, padded) in x
                    .chunks(self.input_len())
                    .zip(padded.chunks_mut(padded_len))
                {
                    self.pad(image, padded);
                }
                direct.add_weight_gradient(self.isa, &padded[..images * padded_len], g, &mut part);
            }
            part
        };
        let parts: Vec<Vec<f32>> = groups.map(part).collect();
        let mut sum = vec![0f32; direct.packed_len()];
        for part in &parts {
            sum.iter_mut()
                .zip(part)
                .for_each(|(sum, part)| *sum += part);
        }
        let taps = direct.kernel().pow(2);
        let mut out = vec![0f32; direct.output().channels() * direct.input().channels() * taps];
        direct.unpack(&sum, &mut out);
        out
    }
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        w: &CpuStorage,
        w_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(x_layout.shape(), w_layout.shape())?;
        let out = sizes.forward(values(x, x_layout)?, values(w, w_layout)?);
        let output = sizes.direct.output();
        Ok(stored(
            out,
            (
                sizes.batch,
                output.blocks(),
                output.height(),
                output.width(),
                BLOCK,
            ),
        ))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(x.shape(), w.shape())?;
        let gradient = gradient.contiguous()?;
        // images themselves are no variables: their gradient is asked for only behind a layer
        let of_x = if x.track_op() {
            let values = with_values(w, |w| {
                with_values(&gradient, |g| sizes.gradient_of_images(w, g))
            })?;
            Some(Tensor::from_vec(values, x.shape(), x.device())?)
        } else {
            None
        };
        let of_w = with_values(x, |x| {
            with_values(&gradient, |g| Ok(sizes.gradient_of_weights(x, g)))
        })?;
        Ok((of_x, Some(Tensor::from_vec(of_w, w.shape(), w.device())?)))
    }
}

#[cfg(test)]
pub(in crate::kernel) mod tests;
