//! Convolution by candle's own operations whose gradients are convolutions too, for GPUs.
//!
//! The gradient that candle 0.11 gives its images is a transposed convolution, on CUDA one thread for each value and
//! no matrix product; its `conv2d` is a matrix product there.

use crate::error::{Result, TensorContext};
use candle_core::backend::BackendStorage;
use candle_core::{
    bail, CpuStorage, CudaStorage, CustomOp2, Device, Layout, Result as Candle, Shape, Storage,
    Tensor,
};
use std::sync::{Mutex, PoisonError};

/// `y[b, o] = Σ_i w[o, i] * x[b, i]` with zero padding: `x` is [batch, channels, height, width], `w` [out channels,
/// channels, k, k]. Gradients flow to those of both that are variables or made of variables.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit, the kernel is larger than the padded image, or the stride
/// is 0.
pub(super) fn conv2d(x: &Tensor, w: &Tensor, stride: usize, padding: usize) -> Result<Tensor> {
    let apply = || {
        let (_, _, height, width) = x.dims4()?;
        let (_, _, kernel, columns) = w.dims4()?;
        if kernel != columns
            || kernel == 0
            || stride == 0
            || height.min(width) + 2 * padding < kernel
        {
            bail!("a kernel of {kernel} by {columns}, stride {stride} and padding {padding}");
        }
        let y = x.detach().conv2d(&w.detach(), padding, stride, 1, 1)?;
        if !x.track_op() && !w.track_op() {
            return Ok(y);
        }
        x.apply_op2(
            w,
            Conv2d {
                stride,
                padding,
                result: Mutex::new(Some(y)),
            },
        )
    };
    apply().during(|| format!("convolution of {:?} with {:?}", x.dims(), w.dims()))
}

/// The operation of a result that is known: it carries the gradients.
struct Conv2d {
    stride: usize,
    padding: usize,
    /// Taken by the forward pass, so that the graph does not hold it twice.
    result: Mutex<Option<Tensor>>,
}

impl Conv2d {
    /// The result, as `own` reads its storage.
    fn take<S>(
        &self,
        own: impl FnOnce(&Storage, &Layout) -> Option<Candle<S>>,
    ) -> Candle<(S, Shape)> {
        let result = self
            .result
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        let Some(result) = result else {
            bail!("a convolution runs forward once")
        };
        let (storage, layout) = result.storage_and_layout();
        match own(&storage, layout) {
            Some(copy) => Ok((copy?, layout.shape().clone())),
            None => bail!("a convolution of images on one device gave a result on another"),
        }
    }

    /// Gradient of images [batch, channels, height, width]: the gradient of the result, pixels a stride apart, under
    /// the turned kernel.
    fn of_images(&self, x: &Tensor, w: &Tensor, gradient: &Tensor) -> Candle<Tensor> {
        let (_, _, height, width) = x.dims4()?;
        let kernel = w.dim(2)?;
        let border = (kernel - 1).saturating_sub(self.padding);
        let spread = self.spread(gradient, 2, height, kernel)?;
        let spread = self.spread(&spread, 3, width, kernel)?;
        spread.conv2d(&turned(w)?, border, 1, 1, 1)
    }

    /// Lays pixels a stride apart along a dimension, zeros between and behind them, so that a convolution by the
    /// kernel gives `length` pixels again. With more padding than kernel the outermost saw zeros alone and are left
    /// out.
    fn spread(
        &self,
        gradient: &Tensor,
        dimension: usize,
        length: usize,
        kernel: usize,
    ) -> Candle<Tensor> {
        let beyond = self.padding.saturating_sub(kernel - 1);
        let spread = if self.stride == 1 {
            gradient.clone()
        } else {
            let apart = gradient.unsqueeze(dimension + 1)?.pad_with_zeros(
                dimension + 1,
                0,
                self.stride - 1,
            )?;
            apart.flatten(dimension, dimension + 1)?
        };
        spread.narrow(
            dimension,
            beyond,
            length + 2 * self.padding - (kernel - 1) - 2 * beyond,
        )
    }

    /// Gradient of weights [out channels, channels, k, k]: images under the gradient of the result as a kernel, batch
    /// in the place of channels, its pixels a stride apart.
    fn of_weights(&self, x: &Tensor, w: &Tensor, gradient: &Tensor) -> Candle<Tensor> {
        let kernel = w.dim(2)?;
        let all =
            x.transpose(0, 1)?
                .conv2d(&gradient.transpose(0, 1)?, self.padding, 1, self.stride, 1);
        all?.narrow(2, 0, kernel)?
            .narrow(3, 0, kernel)?
            .transpose(0, 1)
    }
}

/// Weights [out channels, channels, k, k] as [channels, out channels, k, k], the kernel turned by half a turn.
fn turned(w: &Tensor) -> Candle<Tensor> {
    let (outputs, inputs, kernel, _) = w.dims4()?;
    let taps = (kernel * kernel) as u32;
    let backwards = Tensor::from_vec((0..taps).rev().collect(), taps as usize, &Device::Cpu)?;
    let flat = w
        .reshape((outputs, inputs, kernel * kernel))?
        .contiguous()?;
    let turned = flat.index_select(&backwards.to_device(w.device())?, 2)?;
    turned
        .transpose(0, 1)?
        .contiguous()?
        .reshape((inputs, outputs, kernel, kernel))
}

impl CustomOp2 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d with convolutions as gradients"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Candle<(CpuStorage, Shape)> {
        self.take(|storage, _| match storage {
            Storage::Cpu(values) => Some(Ok(values.clone())),
            _ => None,
        })
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Candle<(CudaStorage, Shape)> {
        self.take(|storage, layout| match storage {
            Storage::Cuda(values) => Some(values.try_clone(layout)),
            _ => None,
        })
    }

    fn bwd(
        &self,
        x: &Tensor,
        w: &Tensor,
        _result: &Tensor,
        gradient: &Tensor,
    ) -> Candle<(Option<Tensor>, Option<Tensor>)> {
        // what is computed here needs no gradients of its own; images themselves are no variables
        let (images, weights) = (x.detach(), w.detach());
        let gradient = gradient.contiguous()?;
        let of_x = x
            .track_op()
            .then(|| self.of_images(&images, &weights, &gradient))
            .transpose()?;
        let of_w = w
            .track_op()
            .then(|| self.of_weights(&images, &weights, &gradient))
            .transpose()?;
        Ok((of_x, of_w))
    }
}

#[cfg(test)]
mod tests;
