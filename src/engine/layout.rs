//! How the buffers of a plan hold the values of a group of images.

use crate::kernel::Planes;

/// What a buffer holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Layout {
    /// Images, one after the other.
    Images(Planes),
    /// Vectors, as the pixels of one row.
    Vectors(Planes),
    /// So many numbers for each image, one image after the other.
    Rows(usize),
}

impl Layout {
    /// Length of a buffer for a group of images.
    pub(super) fn len(self, group: usize) -> usize {
        match self {
            Self::Images(planes) => planes.len() * group,
            Self::Vectors(planes) => planes.len(),
            Self::Rows(numbers) => numbers * group,
        }
    }

    /// Numbers of an image.
    pub(super) fn numbers(self) -> usize {
        match self {
            Self::Images(planes) => planes.channels() * planes.height() * planes.width(),
            Self::Vectors(planes) => planes.channels(),
            Self::Rows(numbers) => numbers,
        }
    }

    /// Places of the numbers of the first image, in row-major order.
    pub(super) fn places(self) -> Vec<u32> {
        let mut places = Vec::with_capacity(self.numbers());
        match self {
            Self::Images(planes) => {
                for channel in 0..planes.channels() {
                    let (block, lane) = planes.place(channel);
                    for y in 0..planes.height() {
                        let row = (0..planes.width()).map(|x| planes.at(block, y, x) + lane);
                        places.extend(row.map(|place| place as u32));
                    }
                }
            }
            Self::Vectors(planes) => {
                let features = 0..planes.channels();
                places.extend(features.map(|feature| vector_place(planes, feature, 0) as u32));
            }
            Self::Rows(numbers) => places.extend(0..numbers as u32),
        }
        places
    }

    /// From an image to the next.
    pub(super) fn stride(self) -> usize {
        match self {
            Self::Images(planes) => planes.len(),
            Self::Vectors(planes) => planes.lanes(),
            Self::Rows(numbers) => numbers,
        }
    }

    /// The numbers of an image in row-major order, [channels, height, width].
    pub(super) fn read(self, buffer: &[f32], image: usize) -> Vec<f32> {
        let mut numbers = vec![0.0; self.numbers()];
        match self {
            Self::Images(planes) => {
                planes.read(
                    &buffer[image * planes.len()..][..planes.len()],
                    &mut numbers,
                );
            }
            Self::Vectors(planes) => {
                for (feature, number) in numbers.iter_mut().enumerate() {
                    *number = buffer[vector_place(planes, feature, image)];
                }
            }
            Self::Rows(count) => numbers.copy_from_slice(&buffer[image * count..][..count]),
        }
        numbers
    }

    /// Lays the numbers of an image, in row-major order, into a buffer.
    pub(super) fn fill(self, numbers: &[f32], buffer: &mut [f32], image: usize) {
        match self {
            Self::Images(planes) => {
                planes.fill(numbers, &mut buffer[image * planes.len()..][..planes.len()]);
            }
            Self::Vectors(planes) => {
                for (feature, number) in numbers.iter().enumerate() {
                    buffer[vector_place(planes, feature, image)] = *number;
                }
            }
            Self::Rows(count) => buffer[image * count..][..count].copy_from_slice(numbers),
        }
    }
}

/// Place of a feature of the vector of an image: vectors are the pixels of one row.
pub(super) fn vector_place(layout: Planes, feature: usize, image: usize) -> usize {
    let (block, lane) = layout.place(feature);
    layout.at(block, 0, image) + lane
}
