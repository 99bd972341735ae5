//! Values in the activation memory: rounded to their codes, and what failing cells make of those.

use super::layout::Layout;
use crate::code::FaultsOfActivations;
use crate::kernel::{Isa, Levels};

/// A value in the activation memory.
#[derive(Debug)]
pub(super) struct Stored {
    tensor: usize,
    levels: Levels,
    /// Where each number of the first image lies in its buffer.
    places: Vec<u32>,
    /// From an image to the next.
    stride: usize,
}

impl Stored {
    pub(super) fn new(tensor: usize, levels: Levels, layout: Layout) -> Self {
        Self {
            tensor,
            levels,
            places: layout.places(),
            stride: layout.stride(),
        }
    }

    /// Rounds a buffer, and reads the codes of these images as they are read with faults.
    pub(super) fn run(
        &self,
        isa: Isa,
        buffer: &mut [f32],
        faults: Option<(&FaultsOfActivations, &[u32])>,
    ) {
        isa.plain(|| self.levels.round(buffer));
        let Some((faults, images)) = faults else {
            return;
        };
        for (at, image) in images.iter().enumerate() {
            faults(*image, self.tensor, &mut |fault| {
                let place = self.places[fault.element as usize] as usize;
                let value = &mut buffer[at * self.stride + place];
                *value = self
                    .levels
                    .level_of(fault.read(self.levels.bits_of(*value)));
            });
        }
    }
}
