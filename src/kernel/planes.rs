//! How the kernels lay out images: channels in blocks, pixels of a block side by side, a border of zeros.

use crate::error::{refuse, Result};
use candle_core::Shape;

/// Channels of a full block: one vector of AVX-512.
pub const BLOCK: usize = 16;

/// Layout of one image of [channels, height, width] as [blocks, height + 2 border, width + 2 border, lanes].
///
/// Channels are cut into blocks of 16 lanes, the last filled up with zeros; images of 1, 3 or 6 channels have
/// one block of just as many lanes. The lanes of a pixel are adjacent, so a pixel's right neighbour lies
/// [`Self::lanes`] values further, whatever the number of channels: the strides of the inner loops are constants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Planes {
    channels: usize,
    height: usize,
    width: usize,
    border: usize,
    lanes: usize,
}

impl Planes {
    /// Layout of images of these sizes with a border of zeros around each block.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where a size is 0 or the image has more than 2^40 values.
    pub fn new(channels: usize, height: usize, width: usize, border: usize) -> Result<Self> {
        let size = |n: usize| n.checked_add(2 * border.min(1 << 20));
        let values = size(height).zip(size(width)).and_then(|(h, w)| {
            h.checked_mul(w)?
                .checked_mul(channels.checked_next_multiple_of(BLOCK)?)
        });
        if channels == 0
            || height == 0
            || width == 0
            || values.is_none_or(|values| values > 1 << 40)
        {
            return refuse(
                "layout of images",
                "channels, height and width of at least 1, and at most 2^40 values",
                format!("[{channels}, {height}, {width}] with a border of {border}"),
            );
        }
        let lanes = if matches!(channels, 1 | 3 | 6) {
            channels
        } else {
            BLOCK
        };
        Ok(Self {
            channels,
            height,
            width,
            border,
            lanes,
        })
    }

    /// The same image with 16 lanes, however few its channels.
    #[must_use]
    pub fn full(self) -> Self {
        Self {
            lanes: BLOCK,
            ..self
        }
    }

    /// Images of the same sizes with other channels, at least 1, in as many lanes.
    #[must_use]
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// The same image with another border.
    #[must_use]
    pub fn with_border(self, border: usize) -> Self {
        Self { border, ..self }
    }

    /// Channels.
    pub fn channels(self) -> usize {
        self.channels
    }

    /// Rows, the border not counted.
    pub fn height(self) -> usize {
        self.height
    }

    /// Columns, the border not counted.
    pub fn width(self) -> usize {
        self.width
    }

    /// Pixels of zeros on each side.
    pub fn border(self) -> usize {
        self.border
    }

    /// Values of a pixel in a block.
    pub fn lanes(self) -> usize {
        self.lanes
    }

    /// Number of blocks.
    pub fn blocks(self) -> usize {
        self.channels.div_ceil(self.lanes())
    }

    /// Values from a row to the next.
    pub fn row(self) -> usize {
        (self.width + 2 * self.border) * self.lanes()
    }

    /// Values from a block to the next.
    pub fn plane(self) -> usize {
        (self.height + 2 * self.border) * self.row()
    }

    /// Values of an image.
    pub fn len(self) -> usize {
        self.blocks() * self.plane()
    }

    /// Never: sizes of 0 are refused.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Place of the first lane of pixel (`y`, `x`) of a block.
    pub fn at(self, block: usize, y: usize, x: usize) -> usize {
        block * self.plane() + (y + self.border) * self.row() + (x + self.border) * self.lanes()
    }

    /// Block and lane of a channel.
    pub fn place(self, channel: usize) -> (usize, usize) {
        (channel / self.lanes(), channel % self.lanes())
    }

    /// Copies one image of this layout into the same layout with another border; borders are left as they are.
    ///
    /// # Panics
    /// Where a slice is not of the size of its layout.
    pub fn copy_to(self, border: usize, from: &[f32], to: &mut [f32]) {
        let target = self.with_border(border);
        assert_eq!(
            (from.len(), to.len()),
            (self.len(), target.len()),
            "values of a layout"
        );
        let row = self.width * self.lanes;
        for block in 0..self.blocks() {
            for y in 0..self.height {
                to[target.at(block, y, 0)..][..row]
                    .copy_from_slice(&from[self.at(block, y, 0)..][..row]);
            }
        }
    }

    /// Lays out one image, given as [channels, height, width]; borders and spare lanes are left as they are.
    ///
    /// # Panics
    /// Where a slice is not of the size that this layout has.
    pub fn fill(self, image: &[f32], planes: &mut [f32]) {
        assert_eq!(
            image.len(),
            self.channels * self.height * self.width,
            "values of an image"
        );
        assert_eq!(planes.len(), self.len(), "values of a layout");
        let lanes = self.lanes();
        if lanes == 1 && self.border == 0 {
            return planes.copy_from_slice(image);
        }
        for (values, (_, start)) in image.chunks_exact(self.width).zip(self.rows()) {
            if lanes == 1 {
                planes[start..][..self.width].copy_from_slice(values);
                continue;
            }
            let targets = planes[start..].iter_mut().step_by(lanes);
            targets
                .zip(values)
                .for_each(|(target, value)| *target = *value);
        }
    }

    /// As [`Self::fill`] for an image of bytes: channel `c` is filled with the values that `tables[c]` has for its bytes; so
    /// many tables that fewer channels have several share the rows of each.
    ///
    /// # Panics
    /// As [`Self::fill`]; where there are fewer tables than channels.
    pub fn fill_from(self, image: &[u8], tables: &[[f32; 256]], planes: &mut [f32]) {
        assert_eq!(
            image.len(),
            self.channels * self.height * self.width,
            "values of an image"
        );
        assert_eq!(planes.len(), self.len(), "values of a layout");
        let lanes = self.lanes();
        let rows = image.chunks_exact(self.width).zip(self.rows());
        for (row, (bytes, (_, start))) in rows.enumerate() {
            let table = &tables[row * tables.len() / (self.channels * self.height)];
            // steps of a length that is known only now cost more than the look-up
            if lanes == 1 {
                for (target, byte) in planes[start..].iter_mut().zip(bytes) {
                    *target = table[usize::from(*byte)];
                }
                continue;
            }
            for (target, byte) in planes[start..].iter_mut().step_by(lanes).zip(bytes) {
                *target = table[usize::from(*byte)];
            }
        }
    }

    /// Channel of each row of an image [channels, height, width] and the place of its first value.
    fn rows(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.channels * self.height).map(move |row| {
            let (channel, y) = (row / self.height, row % self.height);
            let (block, lane) = self.place(channel);
            (channel, self.at(block, y, 0) + lane)
        })
    }

    /// Reads one image back as [channels, height, width].
    ///
    /// # Panics
    /// As [`Self::fill`].
    pub fn read(self, planes: &[f32], image: &mut [f32]) {
        assert_eq!(
            image.len(),
            self.channels * self.height * self.width,
            "values of an image"
        );
        assert_eq!(planes.len(), self.len(), "values of a layout");
        let lanes = self.lanes();
        for (values, (_, start)) in image.chunks_exact_mut(self.width).zip(self.rows()) {
            let sources = planes[start..].iter().step_by(lanes);
            values
                .iter_mut()
                .zip(sources)
                .for_each(|(value, source)| *value = *source);
        }
    }
}

/// One value per lane of a block.
pub(super) type Lanes = [f32; BLOCK];

/// Values of all channels as lanes, one array per block; 0 in spare lanes.
pub(super) fn lanes_of(channels: usize, of_channel: impl Fn(usize) -> f32) -> Vec<Lanes> {
    let value = |channel: usize| {
        if channel < channels {
            of_channel(channel)
        } else {
            0.0
        }
    };
    (0..channels.div_ceil(BLOCK))
        .map(|block| std::array::from_fn(|lane| value(block * BLOCK + lane)))
        .collect()
}

/// Number and layout of the images of a blocked batch, [batch, blocks, height, width, 16] of `channels`.
///
/// # Errors
/// Where the shape is another one.
pub(super) fn blocked_batch(x: &Shape, channels: usize) -> candle_core::Result<(usize, Planes)> {
    match *x.dims() {
        [batch, blocks, height, width, BLOCK] if blocks == channels.div_ceil(BLOCK) => {
            let planes = Planes::new(channels, height, width, 0);
            let planes = planes.map_err(|error| candle_core::Error::Msg(error.to_string()))?;
            Ok((batch, planes.full()))
        }
        _ => candle_core::bail!("images {x:?} have not {channels} channels"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_come_back_from_every_layout() {
        for (channels, border) in [(1, 0), (3, 1), (6, 2), (16, 1), (20, 0), (64, 1)] {
            let planes = Planes::new(channels, 3, 5, border).unwrap();
            let image: Vec<f32> = (0..channels * 15).map(|i| i as f32 + 1.0).collect();
            let (mut laid, mut back) = (vec![0f32; planes.len()], vec![0f32; image.len()]);
            planes.fill(&image, &mut laid);
            planes.read(&laid, &mut back);
            assert_eq!(image, back, "{channels} channels");
            assert_eq!(
                laid.iter().filter(|x| **x != 0.0).count(),
                image.len(),
                "borders stay zero"
            );
            // as bytes, each channel by a table of its own
            let bytes: Vec<u8> = (0..image.len()).map(|i| (i % 256) as u8).collect();
            let table = |c: usize| std::array::from_fn(|byte| (byte + 1000 * c) as f32);
            let tables: Vec<[f32; 256]> = (0..channels).map(table).collect();
            planes.fill_from(&bytes, &tables, &mut laid);
            planes.read(&laid, &mut back);
            let expected = (0..image.len()).map(|i| tables[i / 15][i % 256]);
            let expected: Vec<f32> = expected.collect();
            assert_eq!(back, expected, "{channels} channels");
            // and as rows of one channel
            let rows = Planes::new(1, channels * 3, 5, 0).unwrap();
            rows.fill_from(&bytes, &tables, &mut back);
            assert_eq!(back, expected, "{channels} channels");
        }
    }

    #[test]
    fn a_right_neighbour_is_one_pixel_of_lanes_away() {
        let planes = Planes::new(40, 4, 4, 1).unwrap();
        assert_eq!((planes.blocks(), planes.lanes()), (3, 16));
        assert_eq!(planes.at(1, 2, 3) - planes.at(1, 2, 2), 16);
        assert_eq!(planes.at(0, 0, 0), (6 + 1) * 16);
        assert_eq!(planes.place(33), (2, 1));
    }

    #[test]
    fn empty_and_endless_layouts_are_refused() {
        assert!(Planes::new(0, 1, 1, 0).is_err());
        assert!(Planes::new(3, 0, 1, 0).is_err());
        assert!(Planes::new(1 << 20, 1 << 20, 1 << 20, 0).is_err());
        assert!(Planes::new(usize::MAX, 2, 2, 0).is_err());
        assert!(Planes::new(1, 1, 1, usize::MAX).is_err());
    }
}
