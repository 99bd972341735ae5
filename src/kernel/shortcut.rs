//! The parameter-free shortcut of CIFAR ResNets (option A) on blocked images: every second pixel, channels padded.

use super::planes::{blocked_batch, Planes, BLOCK};
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{refuse, Result, TensorContext};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use rayon::prelude::*;

/// Takes every second pixel of every second row; missing channels are zero, half in front and half behind
/// (He et al., 2016, option A).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortcut {
    input: Planes,
    output: Planes,
}

impl Shortcut {
    /// A shortcut to `channels`, with an output border.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where there would be fewer channels than before.
    pub fn new(input: Planes, channels: usize, border: usize) -> Result<Self> {
        if channels < input.channels() {
            let expected = format!("at least {} channels", input.channels());
            return refuse("shortcut of a residual block", expected, channels);
        }
        let (height, width) = (input.height().div_ceil(2), input.width().div_ceil(2));
        Ok(Self {
            input,
            output: Planes::new(channels, height, width, border)?,
        })
    }

    /// Layout of the input.
    pub fn input(&self) -> Planes {
        self.input
    }

    /// Layout of the output.
    pub fn output(&self) -> Planes {
        self.output
    }

    /// Calls `visit(input place, output place)` for each value that goes through.
    fn pairs(&self, mut visit: impl FnMut(usize, usize)) {
        let (input, output) = (self.input, self.output);
        let front = (output.channels() - input.channels()) / 2;
        for channel in 0..input.channels() {
            let (from, to) = (input.place(channel), output.place(channel + front));
            for y in 0..output.height() {
                let (from_row, to_row) = (input.at(from.0, 2 * y, 0), output.at(to.0, y, 0));
                for x in 0..output.width() {
                    let from = from_row + 2 * x * input.lanes() + from.1;
                    visit(from, to_row + x * output.lanes() + to.1);
                }
            }
        }
    }

    /// Takes a batch over, image by image.
    pub(super) fn forward_each(&self, inputs: &[f32], outputs: &mut [f32]) {
        let images = outputs
            .par_chunks_mut(self.output.len())
            .zip(inputs.par_chunks(self.input.len()));
        images.for_each(|(output, input)| self.forward(input, output));
    }

    /// Adds the gradients of a batch of outputs to those of its inputs.
    pub(super) fn add_back(&self, gradients: &[f32], inputs: &mut [f32]) {
        let images = inputs
            .par_chunks_mut(self.input.len())
            .zip(gradients.par_chunks(self.output.len()));
        images.for_each(|(dx, g)| self.pairs(|from, to| dx[from] += g[to]));
    }

    /// Takes one image over. What the shortcut does not write, borders and missing channels, must be zero.
    ///
    /// # Panics
    /// Where a slice is not of the size of its layout.
    pub fn forward(&self, input: &[f32], output: &mut [f32]) {
        assert_eq!(input.len(), self.input.len(), "input of a shortcut");
        assert_eq!(output.len(), self.output.len(), "output of a shortcut");
        self.pairs(|from, to| output[to] = input[from]);
    }
}

/// [`Shortcut`] of a batch, [batch, blocks, height, width, 16] of `inputs` channels; gradients flow back.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit or the tensor is not f32 on the CPU.
pub fn padded_shortcut(x: &Tensor, inputs: usize, outputs: usize) -> Result<Tensor> {
    let what = || format!("shortcut of {:?} to {outputs} channels", x.dims());
    let apply = || {
        if !is_ours(x) {
            candle_core::bail!("the kernels take f32 tensors on the CPU");
        }
        x.contiguous()?
            .apply_op1(PaddedShortcut { inputs, outputs })
    };
    apply().during(what)
}

struct PaddedShortcut {
    inputs: usize,
    outputs: usize,
}

impl PaddedShortcut {
    fn shortcut(&self, x: &Shape) -> candle_core::Result<(usize, Shortcut)> {
        let (batch, input) = blocked_batch(x, self.inputs)?;
        let shortcut = Shortcut::new(input, self.outputs, 0);
        let shortcut = shortcut.map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        Ok((
            batch,
            Shortcut {
                output: shortcut.output.full(),
                ..shortcut
            },
        ))
    }
}

impl CustomOp1 for PaddedShortcut {
    fn name(&self) -> &'static str {
        "padded-shortcut"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> candle_core::Result<(CpuStorage, Shape)> {
        let (batch, shortcut) = self.shortcut(layout.shape())?;
        let (input, output) = (shortcut.input, shortcut.output);
        let mut y = vec![0f32; batch * output.len()];
        let images = y
            .chunks_exact_mut(output.len())
            .zip(values(x, layout)?.chunks_exact(input.len()));
        images.for_each(|(y, x)| shortcut.forward(x, y));
        Ok(stored(
            y,
            (
                batch,
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
        _y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let (batch, shortcut) = self.shortcut(x.shape())?;
        let (input, output) = (shortcut.input, shortcut.output);
        let mut dx = vec![0f32; batch * input.len()];
        with_values(&gradient.contiguous()?, |g| {
            let images = dx
                .chunks_exact_mut(input.len())
                .zip(g.chunks_exact(output.len()));
            images.for_each(|(dx, g)| shortcut.pairs(|from, to| dx[from] = g[to]));
            Ok(())
        })?;
        Ok(Some(Tensor::from_vec(dx, x.shape(), x.device())?))
    }
}

#[cfg(test)]
mod tests {
    use super::super::slices::chain;
    use super::*;
    use candle_core::{Device, Var};

    #[test]
    fn every_second_pixel_goes_to_the_middle_channels_and_its_gradient_back() {
        let (inputs, outputs) = (16, 32);
        let values: Vec<f32> = (0..inputs * 16).map(|i| i as f32 + 1.0).collect();
        let x = Var::from_vec(values, (1, 1, 4, 4, 16), &Device::Cpu).unwrap();
        let y = padded_shortcut(&x, inputs, outputs).unwrap();
        assert_eq!(y.dims(), [1, 2, 2, 2, 16]);
        let flat = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let at = |channel: usize, y: usize, x: usize| {
            flat[channel / 16 * 64 + (y * 2 + x) * 16 + channel % 16]
        };
        for channel in 0..outputs {
            for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                let expected = match channel {
                    8..24 => ((2 * row * 4 + 2 * column) * 16 + channel - 8 + 1) as f32,
                    _ => 0.0,
                };
                assert_eq!(
                    at(channel, row, column),
                    expected,
                    "{channel} {row} {column}"
                );
            }
        }
        let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let g = gradients
            .get(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        let x = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (i, (g, x)) in g.iter().zip(x).enumerate() {
            let (row, column) = (i / 64, i / 16 % 4);
            let through = row % 2 == 0 && column % 2 == 0;
            assert_eq!(*g, if through { 2.0 * x } else { 0.0 }, "{i}");
        }
    }

    #[test]
    fn fewer_channels_are_refused() {
        let x = Tensor::zeros((1, 2, 4, 4, 16), candle_core::DType::F32, &Device::Cpu).unwrap();
        let error = |inputs, outputs| chain(&padded_shortcut(&x, inputs, outputs).unwrap_err());
        assert!(
            error(32, 16).contains("at least 32 channels"),
            "{}",
            error(32, 16)
        );
        assert!(
            error(16, 32).contains("have not 16 channels"),
            "{}",
            error(16, 32)
        );
    }
}
