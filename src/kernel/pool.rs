//! The mean of every channel of blocked images: the end of a ResNet.

use super::planes::{blocked_batch, Planes, BLOCK};
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

/// Calls `take(channel, mean)` for the mean of each channel of one image over all pixels.
pub fn channel_means(planes: Planes, image: &[f32], mut take: impl FnMut(usize, f32)) {
    let lanes = planes.lanes();
    let count = (planes.height() * planes.width()) as f32;
    for block in 0..planes.blocks() {
        let mut sums = [0f32; BLOCK];
        for y in 0..planes.height() {
            let row = &image[planes.at(block, y, 0)..][..planes.width() * lanes];
            for pixel in row.chunks_exact(lanes) {
                sums.iter_mut().zip(pixel).for_each(|(sum, x)| *sum += x);
            }
        }
        let channels = planes.channels() - block * lanes;
        for (lane, sum) in sums.iter().enumerate().take(channels.min(lanes)) {
            take(block * lanes + lane, sum / count);
        }
    }
}

impl CustomOp1 for ChannelMean {
    fn name(&self) -> &'static str {
        "channel-mean"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (batch, planes) = blocked_batch(layout.shape(), self.channels)?;
        let mut means = Vec::with_capacity(batch * self.channels);
        for image in values(x, layout)?.chunks_exact(planes.len()) {
            channel_means(planes, image, |_, mean| means.push(mean));
        }
        Ok(stored(means, (batch, self.channels)))
    }

    fn bwd(
        &self,
        x: &Tensor,
        _mean: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let plane = blocked_batch(x.shape(), self.channels)?.1.plane();
        let fraction = 1.0 / (plane / BLOCK) as f32;
        let mut dx = vec![0f32; x.elem_count()];
        with_values(&gradient.contiguous()?, |g| {
            let planes = dx.chunks_exact_mut(plane);
            let blocks = g.chunks_exact(self.channels).flat_map(|g| g.chunks(BLOCK));
            for (dx, g) in planes.zip(blocks) {
                let g: Vec<f32> = g.iter().map(|g| g * fraction).collect();
                dx.chunks_exact_mut(BLOCK)
                    .for_each(|pixel| pixel[..g.len()].copy_from_slice(&g));
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
                let sum: f32 = (0..6)
                    .map(|pixel| values[lane(image, channel, pixel)])
                    .sum();
                assert!((mean - sum / 6.0).abs() < 1e-4);
            }
        }
        let gradients = (mean * 3.0).unwrap().sum_all().unwrap().backward().unwrap();
        let g = gradients
            .get(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!((g[lane(1, 19, 5)] - 0.5).abs() < 1e-6);
        assert_eq!(g[lane(1, 19, 5) + 1], 0.0);
        assert_eq!(g.iter().filter(|g| **g != 0.0).count(), 2 * 20 * 6);
    }
}
