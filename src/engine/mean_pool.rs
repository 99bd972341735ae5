//! Mean of windows of one image in blocked layout.

use crate::error::{refuse, Result};
use crate::kernel::{Planes, Windows, BLOCK};

/// A mean pooling: layouts of input and output, and its windows.
#[derive(Debug)]
pub(super) struct MeanPool {
    input: Planes,
    output: Planes,
    windows: Windows,
    /// Pixels of the image in a window, along the height and along the width.
    pixels: [Vec<Vec<usize>>; 2],
    /// Zeros of the padding count as pixels.
    padded: bool,
}

impl MeanPool {
    /// Layout, without a border, of what such a pooling gives.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where no window fits into the padded image.
    pub(super) fn output_of(input: Planes, windows: Windows) -> Result<Planes> {
        let rows = windows.count(0, input.height());
        match (rows, windows.count(1, input.width())) {
            (Some(height), Some(width)) => Planes::new(input.channels(), height, width, 0),
            _ => {
                let found = format!("{windows:?} on {input:?}");
                let expected = "windows that fit into the padded image";
                refuse("pooling", expected, found)
            }
        }
    }

    /// A pooling between two layouts.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the layouts have different lanes.
    pub(super) fn new(
        input: Planes,
        output: Planes,
        windows: Windows,
        padded: bool,
    ) -> Result<Self> {
        if input.lanes() != output.lanes() {
            return refuse("pooling", "one number of lanes", "two");
        }
        let along = |axis: usize, windows_there: usize, length: usize| -> Vec<Vec<usize>> {
            let of_window = |window: usize| {
                let first = window * windows.stride[axis];
                let places =
                    (0..windows.kernel[axis]).map(|at| first + at * windows.dilation[axis]);
                let inside = places.filter_map(|place| place.checked_sub(windows.front[axis]));
                inside.filter(|place| *place < length).collect()
            };
            (0..windows_there).map(of_window).collect()
        };
        Ok(Self {
            input,
            output,
            windows,
            pixels: [
                along(0, output.height(), input.height()),
                along(1, output.width(), input.width()),
            ],
            padded,
        })
    }

    /// Layout of the input.
    pub(super) fn input(&self) -> Planes {
        self.input
    }

    /// Layout of the output.
    pub(super) fn output(&self) -> Planes {
        self.output
    }

    /// Pools one image, adding row by row; borders are left as they are.
    #[inline(always)]
    pub(super) fn forward(&self, input: &[f32], output: &mut [f32]) {
        let (from, to, lanes) = (self.input, self.output, self.input.lanes());
        let whole = self.windows.kernel[0] * self.windows.kernel[1];
        for block in 0..to.blocks() {
            for (y, rows) in self.pixels[0].iter().enumerate() {
                for (x, columns) in self.pixels[1].iter().enumerate() {
                    let mut sums = [0f32; BLOCK];
                    for row in rows {
                        for column in columns {
                            let pixel = &input[from.at(block, *row, *column)..][..lanes];
                            for (sum, value) in sums.iter_mut().zip(pixel) {
                                *sum += value;
                            }
                        }
                    }
                    let inside = rows.len() * columns.len();
                    let count = if self.padded { whole } else { inside };
                    let share = 1.0 / count as f32;
                    let target = &mut output[to.at(block, y, x)..][..lanes];
                    for (target, sum) in target.iter_mut().zip(sums) {
                        *target = sum * share;
                    }
                }
            }
        }
    }
}
