//! Max pooling by candle's own operations, windows that may overlap, with its full gradient.

use crate::error::{Result, TensorContext};
use candle_core::Tensor;

/// Greatest value of each window of `size` x `size` pixels, windows `stride` apart, `padding` zeros on each side;
/// images and result are [batch, channels, height, width] or blocked, [batch, blocks, height, width, lanes].
///
/// With padding the values are those behind a ReLU: at least 0, so that its zeros never win against them.
/// Gradients flow to the greatest value, shared where there are several
/// (`max_pool2d` of candle 0.11 passes back the fraction 1 / size² of the gradient, and takes no padding).
///
/// # Errors
/// [`crate::error::Error::Tensor`] where the window is larger than the padded image, or size or stride is 0.
pub(super) fn max_pool(x: &Tensor, size: usize, stride: usize, padding: usize) -> Result<Tensor> {
    let pool = || {
        along(
            &along(x, 2, size, stride, padding)?,
            3,
            size,
            stride,
            padding,
        )
    };
    pool().during(|| format!("max pooling of {:?} by {size}", x.dims()))
}

/// Greatest value of each run of `size` along a dimension.
fn along(
    x: &Tensor,
    dimension: usize,
    size: usize,
    stride: usize,
    padding: usize,
) -> candle_core::Result<Tensor> {
    let length = x.dim(dimension)?;
    let Some(room) = (length + 2 * padding)
        .checked_sub(size)
        .filter(|_| size * stride > 0)
    else {
        candle_core::bail!("windows of {size}, {stride} apart, in {length} pixels");
    };
    let count = room / stride + 1;
    // a place of a window is a strided slice: one pixel of each run of the stride; runs serve several places
    let more = (size - 1) / stride;
    let padded = x.pad_with_zeros(
        dimension,
        padding,
        (stride * (count + more)).saturating_sub(length + padding),
    )?;
    let mut shape = x.dims().to_vec();
    shape[dimension] = count;
    shape.insert(dimension + 1, stride);
    let runs = |skipped: usize| {
        padded
            .narrow(dimension, stride * skipped, stride * count)?
            .contiguous()?
            .reshape(shape.as_slice())
    };
    let runs = (0..=more)
        .map(runs)
        .collect::<candle_core::Result<Vec<Tensor>>>()?;
    let slice = |place: usize| {
        runs[place / stride]
            .narrow(dimension + 1, place % stride, 1)?
            .squeeze(dimension + 1)?
            .contiguous()
    };
    (1..size).try_fold(slice(0)?, |best, place| greater(&best, &slice(place)?))
}

/// The greater of two values; NaN where one of them is, which candle's `maximum` loses where it is the second.
pub(super) fn greater(best: &Tensor, next: &Tensor) -> candle_core::Result<Tensor> {
    next.ne(next)?.where_cond(next, &best.maximum(next)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::{Device, Var};

    fn flat(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_small_example_by_hand() {
        let values: Vec<f32> = vec![
            1.0, 2.0, 3.0, 4.0, 5.0, 9.0, 7.0, 6.0, 8.0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5,
        ];
        let x = Var::from_vec(values, (1, 1, 4, 4), &Device::Cpu).unwrap();
        let y = max_pool(&x, 3, 2, 1).unwrap();
        assert_eq!(y.dims(), [1, 1, 2, 2]);
        assert_eq!(flat(&y), [9.0, 9.0, 9.0, 9.0]);
        let weights = Tensor::new(&[1f32, 10.0, 100.0, 1000.0], &Device::Cpu).unwrap();
        let weights = weights.reshape((1, 1, 2, 2)).unwrap();
        let gradients = (y * weights)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let mut expected = vec![0f32; 16];
        expected[5] = 1111.0;
        assert_eq!(flat(gradients.get(&x).unwrap()), expected);
    }

    #[test]
    fn every_window_is_the_greatest_of_its_pixels_and_passes_all_of_its_gradient_back() {
        for (height, width, size, stride, padding) in [
            (7, 6, 3, 2, 1),
            (8, 8, 3, 2, 1),
            (5, 9, 2, 2, 0),
            (6, 6, 3, 1, 1),
            (9, 7, 3, 3, 0),
        ] {
            let mut stream = Seed(3).stream(Purpose::Test, &[height as u64, size as u64]);
            let values = stream
                .uniform_tensor(0.0, 1.0, (1, 2, height, width, 3))
                .unwrap();
            let x = Var::from_tensor(&values).unwrap();
            let y = max_pool(&x, size, stride, padding).unwrap();
            let count = |length: usize| (length + 2 * padding - size) / stride + 1;
            assert_eq!(y.dims(), [1, 2, count(height), count(width), 3]);
            let g = stream.normal_tensor(1.0, y.shape()).unwrap();
            let gradients = (&y * &g).unwrap().sum_all().unwrap().backward().unwrap();
            let (values, y, g) = (flat(&x), flat(&y), flat(&g));
            let mut expected = vec![0f32; values.len()];
            let mut at = 0;
            for n in 0..2 {
                for v in 0..count(height) {
                    for u in 0..count(width) {
                        for c in 0..3 {
                            let rows = (v * stride).saturating_sub(padding)
                                ..(v * stride + size - padding).min(height);
                            let place = |row: usize, column: usize| {
                                ((n * height + row) * width + column) * 3 + c
                            };
                            let window = rows.flat_map(|row| {
                                let from = (u * stride).saturating_sub(padding);
                                (from..(u * stride + size - padding).min(width))
                                    .map(move |column| (row, column))
                            });
                            let best = window
                                .map(|(r, col)| place(r, col))
                                .max_by(|a, b| values[*a].total_cmp(&values[*b]));
                            let best = best.unwrap();
                            assert_eq!(y[at], values[best]);
                            expected[best] += g[at];
                            at += 1;
                        }
                    }
                }
            }
            let got = flat(gradients.get(&x).unwrap());
            assert!(
                got.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-5),
                "{height}x{width}"
            );
        }
    }

    #[test]
    fn a_nan_wins_from_every_place_of_its_window() {
        for (size, stride, padding) in [(2, 2, 0), (3, 2, 1)] {
            for place in 0..16 {
                let mut values = vec![0.5f32; 16];
                values[place] = f32::NAN;
                let x = Tensor::from_vec(values, (1, 1, 4, 4), &Device::Cpu).unwrap();
                let y = max_pool(&x, size, stride, padding).unwrap();
                for (at, value) in flat(&y).iter().enumerate() {
                    let under = |window: usize, pixel: usize| {
                        let start = window * stride;
                        (start..start + size).contains(&(pixel + padding))
                    };
                    let inside = under(at / 2, place / 4) && under(at % 2, place % 4);
                    assert_eq!(value.is_nan(), inside, "{size} {place} {at}");
                }
            }
        }
    }

    #[test]
    fn equal_values_share_the_gradient_of_their_window() {
        let x = Var::ones((1, 2, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        let gradients = max_pool(&x, 2, 2, 0)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        assert_eq!(flat(gradients.get(&x).unwrap()), [0.25; 32]);
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let x = Tensor::zeros((1, 1, 2, 2), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(max_pool(&x, 5, 2, 1).is_err());
        assert!(max_pool(&x, 2, 0, 0).is_err());
        assert!(max_pool(&x, 0, 1, 0).is_err());
    }
}
