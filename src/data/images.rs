//! A set of labelled images in memory, its checksum and class counts; reading files is for the formats.

use crate::error::{refuse, Result};
use crate::store;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// Floats that are hashed at a time.
const PIECE: usize = 1 << 14;

/// What images are made of: image after image, channel after channel, row after row (NCHW).
#[derive(Clone, Debug, PartialEq)]
pub enum Pixels {
    /// Numbers of 0 to 255, which are normalised for a network.
    Bytes(Arc<Vec<u8>>),
    /// What a network takes, as it is; finite.
    Floats(Arc<Vec<f32>>),
}

impl Pixels {
    /// The bytes; none where there are floats.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Floats(_) => &[],
        }
    }

    /// True where the images are what a network takes.
    pub fn are_floats(&self) -> bool {
        matches!(self, Self::Floats(_))
    }
}

impl From<Vec<u8>> for Pixels {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(Arc::new(bytes))
    }
}

impl From<Vec<f32>> for Pixels {
    fn from(floats: Vec<f32>) -> Self {
        Self::Floats(Arc::new(floats))
    }
}

/// Labelled images of one shape, all in memory.
#[derive(Clone, Debug, PartialEq)]
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
    /// `channels * height * width` for each image; shared with what evaluates them.
    pub pixels: Pixels,
    /// Class of each image, below `classes`; none at all where the classes are not known.
    pub labels: Vec<u16>,
    /// What its user should know of how it was read: files that were left out.
    pub remarks: Vec<String>,
}

impl ImageSet {
    /// Number of images.
    pub fn len(&self) -> usize {
        let values = match &self.pixels {
            Pixels::Bytes(bytes) => bytes.len(),
            Pixels::Floats(floats) => floats.len(),
        };
        values / self.image_size().max(1)
    }

    /// False where the class of no image is known.
    pub fn has_labels(&self) -> bool {
        !self.labels.is_empty()
    }

    /// Refuses a set without classes for what counts by them.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] that says what needs them.
    pub fn check_labels(&self, what: &str) -> Result<()> {
        if self.has_labels() {
            return Ok(());
        }
        refuse(
            format!("{what} on {}", self.title),
            "the class of each input: an array `y` or `labels` in the file",
            "inputs alone",
        )
    }

    /// True without images; no loader gives such a set.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pixels of one image, `channels * height * width`.
    pub fn image_size(&self) -> usize {
        self.channels * self.height * self.width
    }

    /// Bytes of one image (CHW).
    ///
    /// # Panics
    /// Where `index` is not below [`Self::len`], or images are of floats.
    pub fn image(&self, index: usize) -> &[u8] {
        let size = self.image_size();
        &self.pixels.bytes()[index * size..(index + 1) * size]
    }

    /// The pixels of these images, in their order.
    pub(super) fn gathered<T: Copy>(&self, pixels: &[T], indices: &[u32]) -> Vec<T> {
        let size = self.image_size();
        let mut gathered = Vec::with_capacity(indices.len() * size);
        for &index in indices {
            let start = index as usize * size;
            gathered.extend_from_slice(&pixels[start..start + size]);
        }
        gathered
    }

    /// SHA-256, in hexadecimal, of the shape (images, channels, height, width, classes as 64-bit
    /// little-endian numbers), then the pixels (bytes; or the word `f32` and little-endian floats), then the labels (a
    /// byte each up to 256 classes, else two, little-endian; none where classes are not known).
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
        match &self.pixels {
            Pixels::Bytes(bytes) => hash.update(bytes.as_slice()),
            Pixels::Floats(floats) => {
                hash.update(b"f32");
                for floats in floats.chunks(PIECE) {
                    let bytes: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
                    hash.update(bytes);
                }
            }
        }
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
            pixels: match &self.pixels {
                Pixels::Bytes(bytes) => self.gathered(bytes, indices).into(),
                Pixels::Floats(floats) => self.gathered(floats, indices).into(),
            },
            labels: if self.has_labels() {
                indices.iter().map(|&i| self.labels[i as usize]).collect()
            } else {
                Vec::new()
            },
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
            pixels: (0..bytes)
                .map(|i| (i % 251) as u8)
                .collect::<Vec<u8>>()
                .into(),
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
        let mut bytes = set.pixels.bytes().to_vec();
        bytes[5] ^= 1;
        let repainted = ImageSet {
            pixels: bytes.into(),
            ..set.clone()
        };
        let mut relabelled = set.clone();
        relabelled.labels[6] = 1;
        for other in [reshaped, repainted, relabelled] {
            assert_ne!(sum, other.checksum());
        }
    }

    #[test]
    fn floats_have_checksums_of_their_own_and_are_chosen_like_bytes() {
        let floats = |first: f32| {
            let values = std::iter::once(first).chain((1..12).map(|i| i as f32));
            ImageSet {
                pixels: values.collect::<Vec<f32>>().into(),
                ..counting(3, 1, 2)
            }
        };
        assert_ne!(floats(0.0).checksum(), floats(0.5).checksum());
        assert_ne!(floats(0.0).checksum(), counting(3, 1, 2).checksum());
        let chosen = floats(0.0).selected(&[2, 0]);
        assert_eq!(chosen.labels, [2, 0]);
        let expected = vec![8.0, 9.0, 10.0, 11.0, 0.0, 1.0, 2.0, 3.0];
        assert_eq!(chosen.pixels, Pixels::from(expected));
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
