//! Max pooling in training with the bias and the ReLU behind it, as one candle operation on blocked images.
//!
//! Sums of the bias's gradient run over fixed groups of images and are added in order: results do not depend on
//! the number of threads.

use super::isa::Isa;
use super::planes::{blocked_batch, lanes_of, Lanes, Planes, BLOCK};
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{Result, TensorContext};
use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use pulp::{Simd, WithSimd};
use rayon::prelude::*;

/// Images per task; fixed, because it sets the order of additions.
const GROUP: usize = 8;

/// `relu(max + bias)` over squares of `size` x `size` pixels side by side; incomplete ones are left out.
///
/// `x` is [batch, blocks, height, width, 16], `bias` has one value per channel; the result is [batch, blocks,
/// height / size, width / size, lanes] with the lanes of [`Planes::new`]. Gradients flow to both; that of a square
/// goes to the first of its greatest values.
///
/// # Errors
/// [`crate::error::Error::Tensor`] where shapes do not fit, the size is 0 or larger than the images, or a tensor
/// is not f32 on the CPU.
pub fn max_pool(x: &Tensor, bias: &Tensor, size: usize) -> Result<Tensor> {
    let apply = || {
        if !is_ours(x) || !is_ours(bias) {
            candle_core::bail!("the kernels take f32 tensors on the CPU");
        }
        x.contiguous()?.apply_op2(
            &bias.contiguous()?,
            MaxPool {
                size,
                isa: Isa::current(),
            },
        )
    };
    apply().during(|| format!("max pooling of {:?} by {size}", x.dims()))
}

struct MaxPool {
    size: usize,
    isa: Isa,
}

/// All sizes of one pooling.
#[derive(Clone, Copy)]
struct Sizes {
    batch: usize,
    input: Planes,
    output: Planes,
    size: usize,
}

impl MaxPool {
    fn sizes(&self, x: &Shape, bias: &Shape) -> candle_core::Result<Sizes> {
        let channels = bias.dims1()?;
        let (batch, input) = blocked_batch(x, channels)?;
        if self.size == 0 || self.size > input.height().min(input.width()) {
            candle_core::bail!("squares of {} pixels do not fit into {x:?}", self.size);
        }
        let output = Planes::new(
            channels,
            input.height() / self.size,
            input.width() / self.size,
            0,
        );
        let output = output.map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        Ok(Sizes {
            batch,
            input,
            output,
            size: self.size,
        })
    }
}

impl Sizes {
    fn shape(&self) -> Shape {
        let output = self.output;
        (
            self.batch,
            output.blocks(),
            output.height(),
            output.width(),
            output.lanes(),
        )
            .into()
    }

    /// Calls `visit(block, place of the square's first pixel, place of the result)` for every square of an image.
    #[inline(always)]
    fn squares(&self, mut visit: impl FnMut(usize, usize, usize)) {
        for block in 0..self.output.blocks() {
            for y in 0..self.output.height() {
                for x in 0..self.output.width() {
                    let first = self.input.at(block, y * self.size, x * self.size);
                    visit(block, first, self.output.at(block, y, x));
                }
            }
        }
    }

    /// Places of the pixels of a square, its first one's given.
    #[inline(always)]
    fn pixels(&self, first: usize) -> impl Iterator<Item = usize> {
        let (size, row) = (self.size, self.input.row());
        (0..size).flat_map(move |y| (0..size).map(move |x| first + y * row + x * BLOCK))
    }

    /// Greatest value of a square in each lane; NaN where one of its values is.
    #[inline(always)]
    fn greatest(&self, image: &[f32], first: usize) -> Lanes {
        let mut best = lanes(&image[first..]);
        for at in self.pixels(first) {
            let values = lanes(&image[at..]);
            for lane in 0..BLOCK {
                let wins = best[lane] < values[lane] || values[lane].is_nan();
                best[lane] = if wins { values[lane] } else { best[lane] };
            }
        }
        best
    }
}

/// The first values of a slice, filled up with zeros.
#[inline(always)]
fn lanes(values: &[f32]) -> Lanes {
    match values.first_chunk::<BLOCK>() {
        Some(lanes) => *lanes,
        None => std::array::from_fn(|lane| values.get(lane).copied().unwrap_or(0.0)),
    }
}

/// Pools one image.
struct Forward<'a> {
    sizes: Sizes,
    biases: &'a [Lanes],
    input: &'a [f32],
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let count = self.sizes.output.lanes();
        self.sizes.squares(|block, first, at| {
            let mut best = self.sizes.greatest(self.input, first);
            for (best, bias) in best.iter_mut().zip(&self.biases[block]) {
                let sum = *best + bias;
                *best = if sum <= 0.0 { 0.0 } else { sum };
            }
            self.output[at..at + count].copy_from_slice(&best[..count]);
        });
    }
}

/// Carries the gradient of one image back, and adds that of the bias.
struct Backward<'a> {
    sizes: Sizes,
    input: &'a [f32],
    output: &'a [f32],
    gradient: &'a [f32],
    /// Of the input; zeros before.
    of_input: &'a mut [f32],
    /// Of the bias, per block.
    of_bias: &'a mut [Lanes],
}

impl WithSimd for Backward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let sizes = self.sizes;
        let count = sizes.output.lanes();
        sizes.squares(|block, first, at| {
            let best = sizes.greatest(self.input, first);
            let [y, g] = [self.output, self.gradient].map(|values| lanes(&values[at..at + count]));
            let mut left: Lanes =
                std::array::from_fn(|lane| if y[lane] > 0.0 { g[lane] } else { 0.0 });
            self.of_bias[block]
                .iter_mut()
                .zip(&left)
                .for_each(|(sum, left)| *sum += left);
            for at in sizes.pixels(first) {
                let values = lanes(&self.input[at..]);
                if let Some(target) = self.of_input[at..].first_chunk_mut::<BLOCK>() {
                    for lane in 0..BLOCK {
                        let hit = values[lane] == best[lane];
                        target[lane] = if hit { left[lane] } else { 0.0 };
                        left[lane] = if hit { 0.0 } else { left[lane] };
                    }
                }
            }
        });
    }
}

impl MaxPool {
    fn forward(&self, sizes: Sizes, x: &[f32], bias: &[f32]) -> Vec<f32> {
        let biases = lanes_of(bias.len(), |channel| bias[channel]);
        let mut out = vec![0f32; sizes.batch * sizes.output.len()];
        let images = out
            .par_chunks_exact_mut(sizes.output.len())
            .zip(x.par_chunks_exact(sizes.input.len()));
        images.for_each(|(output, input)| {
            self.isa.run(Forward {
                sizes,
                biases: &biases,
                input,
                output,
            });
        });
        out
    }

    /// Gradients of images and bias.
    fn backward(&self, sizes: Sizes, x: &[f32], y: &[f32], g: &[f32]) -> (Vec<f32>, Vec<f32>) {
        let (from, to) = (sizes.output.len(), sizes.input.len());
        let mut of_x = vec![0f32; sizes.batch * to];
        let inputs = of_x
            .par_chunks_mut(GROUP * to)
            .zip(x.par_chunks(GROUP * to));
        let outputs = y.par_chunks(GROUP * from).zip(g.par_chunks(GROUP * from));
        let groups = inputs.zip(outputs).map(|((of_x, x), (y, g))| {
            let mut part = vec![[0f32; BLOCK]; sizes.input.blocks()];
            let images = of_x.chunks_exact_mut(to).zip(x.chunks_exact(to));
            let results = y.chunks_exact(from).zip(g.chunks_exact(from));
            for ((of_input, input), (output, gradient)) in images.zip(results) {
                self.isa.run(Backward {
                    sizes,
                    input,
                    output,
                    gradient,
                    of_input,
                    of_bias: &mut part,
                });
            }
            part
        });
        let parts: Vec<Vec<Lanes>> = groups.collect();
        let sum = |channel: usize| {
            let parts = parts
                .iter()
                .map(|part| f64::from(part[channel / BLOCK][channel % BLOCK]));
            parts.sum::<f64>() as f32
        };
        (of_x, (0..sizes.output.channels()).map(sum).collect())
    }
}

impl CustomOp2 for MaxPool {
    fn name(&self) -> &'static str {
        "max-pool"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let sizes = self.sizes(x_layout.shape(), bias_layout.shape())?;
        let y = self.forward(sizes, values(x, x_layout)?, values(bias, bias_layout)?);
        Ok(stored(y, sizes.shape()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        bias: &Tensor,
        y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let sizes = self.sizes(x.shape(), bias.shape())?;
        let gradient = gradient.contiguous()?;
        let (of_x, of_bias) = with_values(x, |x| {
            with_values(y, |y| {
                with_values(&gradient, |g| Ok(self.backward(sizes, x, y, g)))
            })
        })?;
        let of = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((Some(of(of_x, x)?), Some(of(of_bias, bias)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::convolution::tests::{blocked, distance};
    use super::super::slices::chain;
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::{DType, Device, Var};

    /// [batch, channels, height, width] of the result, whatever its lanes.
    fn unblocked(y: &Tensor, channels: usize) -> Tensor {
        let (batch, blocks, height, width, lanes) = y.dims5().unwrap();
        let y = y.permute((0, 1, 4, 2, 3)).unwrap().contiguous().unwrap();
        let y = y.reshape((batch, blocks * lanes, height, width)).unwrap();
        y.narrow(1, 0, channels).unwrap().contiguous().unwrap()
    }

    #[test]
    fn a_nan_wins_from_every_place_of_its_square() {
        let bias = Tensor::zeros(16, DType::F32, &Device::Cpu).unwrap();
        for place in 0..4 {
            let mut values = vec![-1f32; 4 * 16];
            values[place * 16 + 5] = f32::NAN;
            let x = Tensor::from_vec(values, (1, 1, 2, 2, 16), &Device::Cpu).unwrap();
            let y = max_pool(&x, &bias, 2).unwrap();
            let y = y.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (lane, value) in y.iter().enumerate() {
                assert_eq!(value.is_nan(), lane == 5, "{place} {lane}");
            }
        }
    }

    /// By maxima over dimensions: `max_pool2d` of candle 0.11 passes back the fraction 1 / size² of the gradient.
    fn oracle(x: &Tensor, size: usize) -> Tensor {
        let (batch, channels, height, width) = x.dims4().unwrap();
        let (rows, columns) = (height / size, width / size);
        let x = x
            .narrow(2, 0, rows * size)
            .unwrap()
            .narrow(3, 0, columns * size)
            .unwrap();
        let squares = x
            .contiguous()
            .unwrap()
            .reshape((batch, channels, rows, size, columns, size))
            .unwrap();
        squares.max(5).unwrap().max(3).unwrap()
    }

    #[test]
    fn values_and_gradients_match_candle_in_double_precision() {
        for (shape, size) in [
            ((3, 6, 28, 28), 2),
            ((9, 16, 10, 10), 2),
            ((2, 20, 7, 5), 2),
            ((1, 3, 9, 9), 3),
        ] {
            let mut stream = Seed(5).stream(Purpose::Test, &[shape.1 as u64]);
            let x = stream.normal_tensor(1.0, shape).unwrap();
            let bias = stream.normal_tensor(1.0, shape.1).unwrap();
            let double = |t: &Tensor| Var::from_tensor(&t.to_dtype(DType::F64).unwrap()).unwrap();
            let (x2, bias2) = (double(&x), double(&bias));
            let row = bias2.reshape((1, shape.1, 1, 1)).unwrap();
            let y2 = oracle(&x2.broadcast_add(&row).unwrap(), size)
                .relu()
                .unwrap();
            let weight = stream.normal_tensor(1.0, y2.shape()).unwrap();
            let product = (&y2 * weight.to_dtype(DType::F64).unwrap()).unwrap();
            let truth = product.sum_all().unwrap().backward().unwrap();
            let of_x2 = truth.get(&x2).unwrap();

            for isa in Isa::available() {
                let what = format!("{shape:?} {size} {isa}");
                let (x, bias) = (
                    Var::from_tensor(&blocked(&x)).unwrap(),
                    Var::from_tensor(&bias).unwrap(),
                );
                let y = x.apply_op2(&bias, MaxPool { size, isa }).expect(&what);
                let y = unblocked(&y, shape.1);
                assert!(distance(&y, &y2) < 1e-6, "{what}");
                let gradients = (y * &weight)
                    .unwrap()
                    .sum_all()
                    .unwrap()
                    .backward()
                    .unwrap();
                let of_x = unblocked(gradients.get(&x).unwrap(), shape.1);
                assert!(
                    distance(&of_x, of_x2) < 1e-5,
                    "{what}: {}",
                    distance(&of_x, of_x2)
                );
                let of_bias = gradients.get(&bias).unwrap();
                assert!(
                    distance(of_bias, truth.get(&bias2).unwrap()) < 1e-5,
                    "{what}"
                );
            }
        }
    }

    #[test]
    fn the_first_of_equal_values_takes_the_gradient() {
        let x = Var::from_vec(vec![2f32; 4 * 16], (1, 1, 2, 2, 16), &Device::Cpu).unwrap();
        let bias = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
        let y = max_pool(&x, &bias, 2).unwrap();
        assert_eq!(y.dims(), [1, 1, 1, 1, 1]);
        let gradients = y.sum_all().unwrap().backward().unwrap();
        let g = gradients
            .get(&x)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert_eq!(g.iter().position(|g| *g == 1.0), Some(0));
        assert_eq!(g.iter().sum::<f32>(), 1.0);
    }

    #[test]
    fn squares_that_do_not_fit_are_refused() {
        let x = Tensor::zeros((1, 1, 4, 4, 16), DType::F32, &Device::Cpu).unwrap();
        let bias = Tensor::zeros(6, DType::F32, &Device::Cpu).unwrap();
        for size in [0, 5] {
            let error = chain(&max_pool(&x, &bias, size).unwrap_err());
            assert!(
                error.contains("do not fit into [1, 1, 4, 4, 16]"),
                "{error}"
            );
        }
        let bias = Tensor::zeros(17, DType::F32, &Device::Cpu).unwrap();
        assert!(chain(&max_pool(&x, &bias, 2).unwrap_err()).contains("have not 17 channels"));
    }
}
