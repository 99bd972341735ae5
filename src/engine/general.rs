//! What no kernel knows, as a call of a plan.

use super::layout::Layout;
use super::plan::Buffer;
use super::weights::Fresh;
use crate::error::Result;
use crate::kernel::with_values;
use crate::net::GeneralStep;

/// A step by candle's own operations, image by image.
#[derive(Debug)]
pub(super) struct General {
    pub(super) step: GeneralStep,
    /// Number of its weight among those in row-major order.
    pub(super) weight: Option<usize>,
    pub(super) inputs: Vec<Layout>,
    pub(super) output: Layout,
}

impl General {
    /// The result for an image of the group in the buffers.
    ///
    /// # Errors
    /// A tensor failure.
    pub(super) fn forward(
        &self,
        from: &[Buffer],
        buffers: &[Vec<f32>],
        weights: Fresh,
        image: usize,
        output: &mut [f32],
    ) -> Result<()> {
        let inputs = self.inputs.iter().zip(from);
        let values = inputs.map(|(layout, from)| layout.read(&buffers[*from], image));
        let weight = self.weight.map(|number| &weights.tensors[number]);
        let result = self.step.forward(values.collect(), weight)?;
        with_values(&result, |numbers| {
            self.output.fill(numbers, output, image);
            Ok(())
        })?;
        Ok(())
    }
}
