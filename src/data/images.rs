//! A set of labelled images in memory, its checksum and class counts; reading files is for the formats.

use crate::store;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Labelled images of one shape, all bytes in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSet {
    /// Name for tables and figures; says where the images are a lossy copy.
    pub title: String,
    /// Colour channels.
    pub channels: usize,
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
    /// Number of classes.
    pub classes: usize,
    /// Pixels of 0 to 255, image after image, channel after channel, row after row (NCHW); shared with what evaluates them.
    pub pixels: Arc<Vec<u8>>,
    /// Class of each image, below `classes`.
    pub labels: Vec<u16>,
    /// What its user should know of how it was read: files that were left out.
    pub remarks: Vec<String>,
}

impl ImageSet {
    /// Number of images.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// True without images; no loader gives such a set.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Bytes of one image, `channels * height * width`.
    pub fn image_bytes(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Pixels of one image (CHW).
    ///
    /// # Panics
    /// Where `index` is not below [`Self::len`].
    pub fn image(&self, index: usize) -> &[u8] {
        let bytes = self.image_bytes();
        &self.pixels[index * bytes..(index + 1) * bytes]
    }

    /// SHA-256, in hexadecimal, of the shape (images, channels, height, width, classes as 64-bit
    /// little-endian numbers), then the pixels, then the labels (a byte each up to 256 classes, else two,
    /// little-endian).
    pub fn checksum(&self) -> String {
        let mut hash = Sha256::new();
        for size in [
            self.len(),
            self.channels,
            self.height,
            self.width,
            self.classes,
        ] {
            hash.update((size as u64).to_le_bytes());
        }
        hash.update(self.pixels.as_slice());
        for label in &self.labels {
            let bytes = label.to_le_bytes();
            hash.update(if self.classes <= 256 {
                &bytes[..1]
            } else {
                &bytes
            });
        }
        store::hex(&hash.finalize())
    }

    /// The images at these indices, in their order.
    ///
    /// # Panics
    /// Where an index is not below [`Self::len`].
    #[must_use]
    pub fn selected(&self, indices: &[u32]) -> Self {
        Self {
            title: self.title.clone(),
            remarks: self.remarks.clone(),
            pixels: Arc::new(
                indices
                    .iter()
                    .flat_map(|&index| self.image(index as usize))
                    .copied()
                    .collect(),
            ),
            labels: indices
                .iter()
                .map(|&index| self.labels[index as usize])
                .collect(),
            ..*self
        }
    }

    /// Number of images of each class.
    pub fn class_counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes];
        for &label in &self.labels {
            counts[usize::from(label)] += 1;
        }
        counts
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `count` small images whose pixels count up, labels 0, 1, 2, 0, ...
    pub(in crate::data) fn counting(count: usize, channels: usize, side: usize) -> ImageSet {
        let bytes = count * channels * side * side;
        ImageSet {
            title: "counting".into(),
            channels,
            height: side,
            width: side,
            classes: 3,
            pixels: Arc::new((0..bytes).map(|i| (i % 251) as u8).collect()),
            labels: (0..count).map(|i| (i % 3) as u16).collect(),
            remarks: Vec::new(),
        }
    }

    #[test]
    fn the_checksum_covers_shape_pixels_and_labels() {
        let set = counting(7, 1, 4);
        let sum = set.checksum();
        assert_eq!(sum.len(), 64);
        assert_eq!(sum, set.clone().checksum());
        let renamed = ImageSet {
            title: "other".into(),
            ..set.clone()
        };
        assert_eq!(sum, renamed.checksum());
        let reshaped = ImageSet {
            height: 2,
            width: 8,
            ..set.clone()
        };
        let mut repainted = set.clone();
        Arc::make_mut(&mut repainted.pixels)[5] ^= 1;
        let mut relabelled = set.clone();
        relabelled.labels[6] = 1;
        for other in [reshaped, repainted, relabelled] {
            assert_ne!(sum, other.checksum());
        }
    }

    #[test]
    fn labels_above_a_byte_count_in_the_checksum() {
        let set = |label| ImageSet {
            classes: 1000,
            labels: vec![label],
            ..counting(1, 1, 2)
        };
        assert_ne!(set(1).checksum(), set(257).checksum());
    }

    #[test]
    fn classes_are_counted() {
        assert_eq!(counting(7, 1, 2).class_counts(), [3, 2, 2]);
    }
}
