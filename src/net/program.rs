//! What a network computes in evaluation, step by step, for those who compile it; running it is for others.

use super::graph::Value;

/// One step. Values are images [channels, height, width] or vectors.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Square convolution without padding of its own results: `relu(w * x · scale + shift + add)`.
    Convolution {
        /// Images.
        input: Value,
        /// Layer whose weight [outputs, inputs, k, k] it uses, in memory order.
        layer: usize,
        /// Stride.
        stride: usize,
        /// Zeros on each side.
        padding: usize,
        /// Factor per output channel: a folded batch norm; `None` means 1.
        scale: Option<Vec<f32>>,
        /// Summand per output channel.
        shift: Vec<f32>,
        /// Images of the result's shape that are added.
        add: Option<Value>,
        /// Negative results become 0.
        relu: bool,
    },
    /// Greatest value of each window of `size` x `size` pixels that lies in the padded image; the padding, less
    /// than `size`, never wins.
    MaxPool {
        /// Images.
        input: Value,
        /// Side of a window.
        size: usize,
        /// Pixels from a window to the next.
        stride: usize,
        /// Pixels on each side that are not there.
        padding: usize,
        /// Negative results become 0.
        relu: bool,
    },
    /// Every second pixel of every second row, missing channels zero, half in front and half behind.
    PaddedShortcut {
        /// Images.
        input: Value,
        /// Channels of the result.
        channels: usize,
    },
    /// Mean over all pixels: a vector.
    ChannelMean {
        /// Images.
        input: Value,
    },
    /// `relu(w x + shift)`; images are taken as [channels · height · width].
    Linear {
        /// Images or a vector.
        input: Value,
        /// Layer whose weight [outputs, inputs] it uses, in memory order.
        layer: usize,
        /// Summand per output.
        shift: Vec<f32>,
        /// Negative results become 0.
        relu: bool,
    },
}

impl Step {
    /// The values that the step reads.
    pub fn inputs(&self) -> Vec<Value> {
        match self {
            Self::Convolution { input, add, .. } => std::iter::once(*input).chain(*add).collect(),
            Self::MaxPool { input, .. }
            | Self::PaddedShortcut { input, .. }
            | Self::ChannelMean { input }
            | Self::Linear { input, .. } => vec![*input],
        }
    }
}
