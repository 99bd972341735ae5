//! Square 2-D convolution with its gradients, NCHW: image columns times weights, a few images per task.
//!
//! Partial sums are taken over fixed groups of images and added in order, so results do not depend
//! on the number of threads. On a GPU candle's own convolution is used.

use super::matmul::{matmul, Matrix};
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp2, DType, Layout, Shape, Storage, Tensor};
use rayon::prelude::*;

/// Images per task; fixed, because it sets the order of additions in weight gradients.
const GROUP: usize = 8;

/// `y[b, o] = Σ_i w[o, i] * x[b, i]` with zero padding.
///
/// `x` is [batch, channels, height, width], `w` [out channels, channels, k, k]; the result is
/// [batch, out channels, (height + 2 padding - k) / stride + 1, ...]. Gradients flow to both.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit.
pub fn conv2d(x: &Tensor, w: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let what = || format!("convolution of {:?} with {:?}", x.dims(), w.dims());
    if !x.device().is_cpu() || x.dtype() != DType::F32 {
        return x.conv2d(w, padding, stride, 1, 1).during(what);
    }
    let op = Conv2d { stride, padding };
    let (x, w) = (x.contiguous().during(what)?, w.contiguous().during(what)?);
    x.apply_op2(&w, op).during(what)
}

#[derive(Clone, Copy)]
struct Conv2d {
    stride: usize,
    padding: usize,
}

/// All sizes of one convolution.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    batch: usize,
    channels: usize,
    height: usize,
    width: usize,
    out_channels: usize,
    kernel: usize,
    stride: usize,
    padding: usize,
    out_height: usize,
    out_width: usize,
}

impl Conv2d {
    fn geometry(&self, x: &Shape, w: &Shape) -> candle_core::Result<Geometry> {
        let (batch, channels, height, width) = x.dims4()?;
        let (out_channels, inputs, kernel, kernel_width) = w.dims4()?;
        if inputs != channels || kernel != kernel_width {
            candle_core::bail!("weights {w:?} do not fit images {x:?}");
        }
        let size =
            |length: usize| (length + 2 * self.padding).checked_sub(kernel).map(|l| l / self.stride + 1);
        let (Some(out_height), Some(out_width)) = (size(height), size(width)) else {
            candle_core::bail!("weights {w:?} are larger than padded images {x:?}");
        };
        Ok(Geometry {
            batch,
            channels,
            height,
            width,
            out_channels,
            kernel,
            stride: self.stride,
            padding: self.padding,
            out_height,
            out_width,
        })
    }
}

impl Geometry {
    /// Values of an input image.
    fn image(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Output pixels of an image.
    fn pixels(&self) -> usize {
        self.out_height * self.out_width
    }

    /// Values under the kernel: rows of the column matrix.
    fn taps(&self) -> usize {
        self.channels * self.kernel * self.kernel
    }

    /// Range of output columns `ox` whose tap `kx` lies inside the image.
    fn inside(&self, tap: usize, length: usize, out_length: usize) -> std::ops::Range<usize> {
        let first = self.padding.saturating_sub(tap).div_ceil(self.stride);
        let end = (length + self.padding).saturating_sub(tap).div_ceil(self.stride);
        first.min(out_length)..end.min(out_length)
    }

    /// Calls `visit(first column value, first image value, run length)` for each run of the column matrix
    /// that lies inside the image; image values of a run are `stride` apart.
    fn runs(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let pixels = self.pixels();
        for channel in 0..self.channels {
            for ky in 0..self.kernel {
                for kx in 0..self.kernel {
                    let row = ((channel * self.kernel + ky) * self.kernel + kx) * pixels;
                    let xs = self.inside(kx, self.width, self.out_width);
                    if xs.is_empty() {
                        continue;
                    }
                    for oy in self.inside(ky, self.height, self.out_height) {
                        let y = oy * self.stride + ky - self.padding;
                        let x = xs.start * self.stride + kx - self.padding;
                        visit(
                            row + oy * self.out_width + xs.start,
                            (channel * self.height + y) * self.width + x,
                            xs.len(),
                        );
                    }
                }
            }
        }
    }

    /// Column matrix [taps, pixels] of one image. What lies outside the image stays as it is: 0.
    fn columns(&self, image: &[f32], columns: &mut [f32]) {
        self.runs(|at, from, length| {
            let target = &mut columns[at..at + length];
            if self.stride == 1 {
                target.copy_from_slice(&image[from..from + length]);
            } else {
                let source = image[from..].iter().step_by(self.stride);
                target.iter_mut().zip(source).for_each(|(t, s)| *t = *s);
            }
        });
    }

    /// Adds a column matrix back onto its image: the transpose of [`Self::columns`].
    fn add_columns(&self, columns: &[f32], image: &mut [f32]) {
        self.runs(|at, from, length| {
            let target = image[from..].iter_mut().step_by(self.stride);
            target.zip(&columns[at..at + length]).for_each(|(t, s)| *t += *s);
        });
    }

    fn forward(&self, x: &[f32], w: &[f32]) -> Vec<f32> {
        let size = self.out_channels * self.pixels();
        let mut out = vec![0f32; self.batch * size];
        let weights = Matrix::new(w, self.out_channels, self.taps());
        out.par_chunks_mut(GROUP * size).zip(x.par_chunks(GROUP * self.image())).for_each(|(out, x)| {
            let mut columns = vec![0f32; self.taps() * self.pixels()];
            for (out, image) in out.chunks_mut(size).zip(x.chunks(self.image())) {
                self.columns(image, &mut columns);
                let columns = Matrix::new(&columns, self.taps(), self.pixels());
                matmul(weights, columns, out, false);
            }
        });
        out
    }

    fn gradient_of_images(&self, w: &[f32], g: &[f32]) -> Vec<f32> {
        let size = self.out_channels * self.pixels();
        let mut out = vec![0f32; self.batch * self.image()];
        let weights = Matrix::new(w, self.out_channels, self.taps()).transposed();
        out.par_chunks_mut(GROUP * self.image()).zip(g.par_chunks(GROUP * size)).for_each(|(out, g)| {
            let mut columns = vec![0f32; self.taps() * self.pixels()];
            for (image, g) in out.chunks_mut(self.image()).zip(g.chunks(size)) {
                let g = Matrix::new(g, self.out_channels, self.pixels());
                matmul(weights, g, &mut columns, false);
                self.add_columns(&columns, image);
            }
        });
        out
    }

    fn gradient_of_weights(&self, x: &[f32], g: &[f32]) -> Vec<f32> {
        let size = self.out_channels * self.pixels();
        let groups = x.par_chunks(GROUP * self.image()).zip(g.par_chunks(GROUP * size));
        let parts: Vec<Vec<f32>> = groups
            .map(|(x, g)| {
                let mut part = vec![0f32; self.out_channels * self.taps()];
                let mut columns = vec![0f32; self.taps() * self.pixels()];
                for (image, g) in x.chunks(self.image()).zip(g.chunks(size)) {
                    self.columns(image, &mut columns);
                    let columns = Matrix::new(&columns, self.taps(), self.pixels());
                    let g = Matrix::new(g, self.out_channels, self.pixels());
                    matmul(g, columns.transposed(), &mut part, true);
                }
                part
            })
            .collect();
        let mut out = vec![0f32; self.out_channels * self.taps()];
        for part in &parts {
            out.iter_mut().zip(part).for_each(|(o, p)| *o += p);
        }
        out
    }
}

fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> candle_core::Result<&'a [f32]> {
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&storage.as_slice::<f32>()?[start..end]),
        None => candle_core::bail!("convolution needs contiguous tensors"),
    }
}

fn with_values<R>(tensor: &Tensor, use_values: impl FnOnce(&[f32]) -> R) -> candle_core::Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => Ok(use_values(values(storage, layout)?)),
        _ => candle_core::bail!("convolution op called off the CPU"),
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
        let geometry = self.geometry(x_layout.shape(), w_layout.shape())?;
        let out = geometry.forward(values(x, x_layout)?, values(w, w_layout)?);
        let shape = (geometry.batch, geometry.out_channels, geometry.out_height, geometry.out_width);
        Ok((CpuStorage::F32(out), shape.into()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _out: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let geometry = self.geometry(x.shape(), w.shape())?;
        let gradient = gradient.contiguous()?;
        // images themselves are no variables: their gradient is asked for only behind a layer
        let of_x = if x.track_op() {
            let values = with_values(w, |w| with_values(&gradient, |g| geometry.gradient_of_images(w, g)))??;
            Some(Tensor::from_vec(values, x.shape(), x.device())?)
        } else {
            None
        };
        let of_w = with_values(x, |x| with_values(&gradient, |g| geometry.gradient_of_weights(x, g)))??;
        Ok((of_x, Some(Tensor::from_vec(of_w, w.shape(), w.device())?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::{Device, Var};

    fn case(shape: (usize, usize, usize, usize), out: usize, kernel: usize) -> (Var, Var) {
        let mut stream = Seed(1).stream(Purpose::Test, &[out as u64, kernel as u64]);
        let x = stream.normal_tensor(1.0, shape).unwrap();
        let w = stream.normal_tensor(0.3, (out, shape.1, kernel, kernel)).unwrap();
        (Var::from_tensor(&x).unwrap(), Var::from_tensor(&w).unwrap())
    }

    fn distance(a: &Tensor, b: &Tensor) -> f64 {
        let (a, b) = (a.to_dtype(DType::F64).unwrap(), b.to_dtype(DType::F64).unwrap());
        let norm = |t: Tensor| t.sqr().unwrap().sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt();
        norm((a - &b).unwrap()) / norm(b).max(1e-30)
    }

    /// Image batch, output channels, kernel, stride, padding.
    type Case = ((usize, usize, usize, usize), usize, usize, usize, usize);

    const CASES: [Case; 6] = [
        ((3, 1, 28, 28), 6, 5, 1, 2),
        ((19, 6, 14, 14), 16, 5, 1, 0),
        ((2, 3, 32, 32), 16, 3, 1, 1),
        ((9, 16, 16, 16), 32, 3, 2, 1),
        ((2, 16, 8, 8), 32, 1, 2, 0),
        ((1, 2, 5, 8), 3, 3, 3, 2),
    ];

    #[test]
    fn values_and_gradients_match_candle_in_double_precision() {
        for (shape, out, kernel, stride, padding) in CASES {
            let (x, w) = case(shape, out, kernel);
            let y = conv2d(&x, &w, stride, padding).unwrap();
            let weight = Seed(2).stream(Purpose::Test, &[]).normal_tensor(1.0, y.shape()).unwrap();
            let gradients = (y.clone() * &weight).unwrap().sum_all().unwrap().backward().unwrap();
            let double = |t: &Tensor| Var::from_tensor(&t.to_dtype(DType::F64).unwrap()).unwrap();
            let (x2, w2) = (double(&x), double(&w));
            let y2 = x2.conv2d(&w2, padding, stride, 1, 1).unwrap();
            let weight = weight.to_dtype(DType::F64).unwrap();
            let oracle = (y2.clone() * &weight).unwrap().sum_all().unwrap().backward().unwrap();
            assert!(distance(&y, &y2) < 1e-6, "{shape:?}");
            let of_x = distance(gradients.get(&x).unwrap(), oracle.get(&x2).unwrap());
            let of_w = distance(gradients.get(&w).unwrap(), oracle.get(&w2).unwrap());
            assert!(of_x < 1e-5 && of_w < 1e-5, "{shape:?}: {of_x} {of_w}");
        }
    }

    #[test]
    fn results_are_the_same_on_one_and_two_threads() {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let (x, w) = case((37, 6, 14, 14), 16, 5);
                let y = conv2d(&x, &w, 1, 0).unwrap();
                let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                (flat(&y), flat(gradients.get(&x).unwrap()), flat(gradients.get(&w).unwrap()))
            })
        };
        assert!(run(1) == run(2));
    }

    #[test]
    fn shapes_that_do_not_fit_are_refused() {
        let (x, _) = case((1, 3, 4, 4), 1, 1);
        for shape in [(2, 2, 3, 3), (2, 3, 7, 7)] {
            let w = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
            let error = conv2d(&x, &w, 1, 1).unwrap_err().to_string();
            assert!(error.contains("convolution of [1, 3, 4, 4]"), "{error}");
        }
    }
}
