//! Max pooling of one image in blocked layout, windows apart, side by side or overlapping.

use crate::error::{refuse, Result};
use crate::kernel::{Planes, BLOCK};
use std::ops::Range;

/// A max pooling: layouts of input and output, side, stride and padding of its windows.
#[derive(Clone, Copy, Debug)]
pub(super) struct MaxPool {
    pub(super) input: Planes,
    pub(super) output: Planes,
    pub(super) size: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
    /// Negative results become 0.
    pub(super) relu: bool,
}

impl MaxPool {
    /// Layout, without a border, of what such a pooling gives.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where a window does not fit into the padded image or can lie in the padding alone.
    pub(super) fn output_of(
        input: Planes,
        size: usize,
        stride: usize,
        padding: usize,
    ) -> Result<Planes> {
        let count = |length: usize| {
            Some(
                (length + 2 * padding)
                    .checked_sub(size)?
                    .checked_div(stride)?
                    + 1,
            )
        };
        match (count(input.height()), count(input.width())) {
            (Some(height), Some(width)) if padding < size => {
                Planes::new(input.channels(), height, width, 0)
            }
            _ => refuse(
                "pooling",
                "windows that fit into the padded image and hold a pixel of it",
                format!("size {size}, stride {stride}, padding {padding} on {input:?}"),
            ),
        }
    }

    /// Pools one image; borders are left as they are.
    #[inline(always)]
    pub(super) fn forward(&self, input: &[f32], output: &mut [f32]) {
        match self.input.lanes() {
            BLOCK => self.lanes::<BLOCK>(input, output),
            6 => self.lanes::<6>(input, output),
            3 => self.lanes::<3>(input, output),
            _ => self.lanes::<1>(input, output),
        }
    }

    /// Pixels of the image under window `at` along a side of `length`.
    #[inline(always)]
    fn window(&self, at: usize, length: usize) -> Range<usize> {
        let start = at * self.stride;
        start.saturating_sub(self.padding)
            ..(start + self.size).saturating_sub(self.padding).min(length)
    }

    /// [`Self::forward`] of images of `L` lanes; a NaN anywhere in a window is its result.
    #[inline(always)]
    fn lanes<const L: usize>(&self, input: &[f32], output: &mut [f32]) {
        let (planes, pooled) = (self.input, self.output);
        for block in 0..pooled.blocks() {
            for y in 0..pooled.height() {
                let rows = self.window(y, planes.height());
                let results = &mut output[pooled.at(block, y, 0)..][..pooled.width() * L];
                for (x, target) in results.chunks_exact_mut(L).enumerate() {
                    let columns = self.window(x, planes.width());
                    let mut best = [0f32; L];
                    best.copy_from_slice(
                        &input[planes.at(block, rows.start, columns.start)..][..L],
                    );
                    for row in rows.clone() {
                        let pixels =
                            &input[planes.at(block, row, columns.start)..][..columns.len() * L];
                        for pixel in pixels.chunks_exact(L) {
                            for (best, value) in best.iter_mut().zip(pixel) {
                                let wins = *best < *value || value.is_nan();
                                *best = if wins { *value } else { *best };
                            }
                        }
                    }
                    if self.relu {
                        best = best.map(|best| if best <= 0.0 { 0.0 } else { best });
                    }
                    target.copy_from_slice(&best);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_never_wins_and_windows_overlap() {
        let input = Planes::new(20, 4, 5, 1).unwrap();
        let output = MaxPool::output_of(input, 3, 2, 1).unwrap().with_border(1);
        assert_eq!((output.height(), output.width()), (2, 3));
        let pool = MaxPool {
            input,
            output,
            size: 3,
            stride: 2,
            padding: 1,
            relu: false,
        };
        // negative everywhere: a padding of zeros would show
        let image: Vec<f32> = (0..20 * 20)
            .map(|i| -1.0 - ((i * 37) % 101) as f32)
            .collect();
        let (mut laid, mut pooled) = (vec![0f32; input.len()], vec![0f32; output.len()]);
        input.fill(&image, &mut laid);
        pool.forward(&laid, &mut pooled);
        let mut got = vec![0f32; 20 * 6];
        output.read(&pooled, &mut got);
        for (at, value) in got.iter().enumerate() {
            let (channel, y, x) = (at / 6, at / 3 % 2, at % 3);
            let inside = |at: usize, place: usize, length: usize| {
                (2 * at + place)
                    .checked_sub(1)
                    .filter(|pixel| *pixel < length)
            };
            let pixels = (0..9).filter_map(|place| {
                let (row, column) = (inside(y, place / 3, 4)?, inside(x, place % 3, 5)?);
                Some(image[channel * 20 + row * 5 + column])
            });
            assert_eq!(*value, pixels.fold(f32::NEG_INFINITY, f32::max), "{at}");
        }
    }

    #[test]
    fn a_nan_wins_from_every_place_of_its_windows_and_in_no_other() {
        for lanes in [1, 3, 6, 16] {
            let input = Planes::new(lanes, 4, 4, 0).unwrap();
            let output = MaxPool::output_of(input, 2, 2, 0).unwrap();
            let pool = MaxPool {
                input,
                output,
                size: 2,
                stride: 2,
                padding: 0,
                relu: true,
            };
            for place in 0..16 {
                let mut image = vec![-1.0; lanes * 16];
                image[place] = f32::NAN;
                let (mut laid, mut pooled) = (vec![0.0; input.len()], vec![0.0; output.len()]);
                input.fill(&image, &mut laid);
                pool.forward(&laid, &mut pooled);
                let mut got = vec![0.0; lanes * 4];
                output.read(&pooled, &mut got);
                let window = place / 8 * 2 + place % 4 / 2;
                for (at, value) in got.iter().enumerate() {
                    assert_eq!(value.is_nan(), at == window, "{lanes} {place} {at}");
                }
            }
        }
    }

    #[test]
    fn windows_that_do_not_fit_are_refused() {
        let input = Planes::new(16, 4, 4, 0).unwrap();
        for (size, stride, padding) in [(5, 1, 0), (2, 0, 0), (2, 1, 2), (0, 1, 0)] {
            assert!(
                MaxPool::output_of(input, size, stride, padding).is_err(),
                "{size} {stride} {padding}"
            );
        }
    }
}
