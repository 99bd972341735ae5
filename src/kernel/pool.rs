//! The mean of every channel of blocked images: the end of a ResNet.

use super::planes::BLOCK;
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};

/// Mean over all pixels, [batch, blocks, height, width, 16] to [batch, channels]; gradients flow back.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit or the tensor is not f32 on the CPU.
pub fn channel_mean(x: &Tensor, channels: usize) -> Result<Tensor> {
    let apply = || {
        if !is_ours(x) {
            candle_core::bail!("the kernels take f32 tensors on the CPU");
        }
        x.contiguous()?.apply_op1(ChannelMean { channels })
    };
    apply().during(|| format!("channel means of {:?}", x.dims()))
}

struct ChannelMean {
    channels: usize,
}

/// Sums of 16 lanes over the pixels of a plane, divided by their number.
pub(super) fn plane_mean(plane: &[f32], mean: &mut [f32; BLOCK]) {
    let mut sums = [0f32; BLOCK];
    for pixel in plane.chunks_exact(BLOCK) {
        sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
    }
    let count = (plane.len() / BLOCK) as f32;
    mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = sum / count);
}

impl ChannelMean {
    /// Batch and values of a plane.
    fn sizes(&self, x: &Shape) -> candle_core::Result<(usize, usize)> {
        match *x.dims() {
            [batch, blocks, height, width, BLOCK]
                if blocks == self.channels.div_ceil(BLOCK) && height * width > 0 =>
            {
                Ok((batch, height * width * BLOCK))
            }
            _ => candle_core::bail!("images {x:?} have not {} channels", self.channels),
        }
    }
}

impl CustomOp1 for ChannelMean {
    fn name(&self) -> &'static str {
        "channel-mean"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (batch, plane) = self.sizes(layout.shape())?;
        let mut means = Vec::with_capacity(batch * self.channels);
        for image in values(x, layout)?.chunks_exact(self.channels.div_ceil(BLOCK) * plane) {
            let mut left = self.channels;
            for plane in image.chunks_exact(plane) {
                let mut mean = [0f32; BLOCK];
                plane_mean(plane, &mut mean);
                means.extend_from_slice(&mean[..left.min(BLOCK)]);
                left = left.saturating_sub(BLOCK);
            }
        }
        Ok(stored(means, (batch, self.channels)))
    }

    fn bwd(&self, x: &Tensor, _mean: &Tensor, gradient: &Tensor) -> candle_core::Result<Option<Tensor>> {
        let (_, plane) = self.sizes(x.shape())?;
        let share = 1.0 / (plane / BLOCK) as f32;
        let mut dx = vec![0f32; x.elem_count()];
        with_values(&gradient.contiguous()?, |g| {
            let planes = dx.chunks_exact_mut(plane);
            let blocks = g.chunks_exact(self.channels).flat_map(|g| g.chunks(BLOCK));
            for (dx, g) in planes.zip(blocks) {
                let g: Vec<f32> = g.iter().map(|g| g * share).collect();
                dx.chunks_exact_mut(BLOCK).for_each(|pixel| pixel[..g.len()].copy_from_slice(&g));
            }
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn means_and_their_gradients_leave_spare_lanes_alone() {
        let values: Vec<f32> = (0..2 * 2 * 6 * 16).map(|i| (i % 97) as f32).collect();
        let x = Var::from_vec(values.clone(), (2, 2, 2, 3, 16), &Device::Cpu).unwrap();
        let mean = channel_mean(&x, 20).unwrap();
        let flat = mean.to_vec2::<f32>().unwrap();
        let lane = |image: usize, channel: usize, pixel: usize| {
            ((image * 2 + channel / 16) * 6 + pixel) * 16 + channel % 16
        };
        for (image, means) in flat.iter().enumerate() {
            assert_eq!(means.len(), 20);
            for (channel, mean) in means.iter().enumerate() {
                let sum: f32 = (0..6).map(|pixel| values[lane(image, channel, pixel)]).sum();
                assert!((mean - sum / 6.0).abs() < 1e-4);
            }
        }
        let gradients = (mean * 3.0).unwrap().sum_all().unwrap().backward().unwrap();
        let g = gradients.get(&x).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!((g[lane(1, 19, 5)] - 0.5).abs() < 1e-6);
        assert_eq!(g[lane(1, 19, 5) + 1], 0.0);
        assert_eq!(g.iter().filter(|g| **g != 0.0).count(), 2 * 20 * 6);
    }
}
