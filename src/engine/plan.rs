//! A network's kernel calls on a fixed set of buffers, and where each weight lies for them; knows no faults and no images.

use super::gather::Gather;
use super::general::General;
use super::mean_pool::MeanPool;
use super::place::{Place, RowMajor, WinogradPlace};
use super::pool::MaxPool;
use super::stored::Stored;
use crate::kernel::{
    Depthwise, Direct, Isa, Planes, Pooled, Product, RowFunction, Shortcut, Store, BLOCK,
};
use std::ops::Range;

/// Buffers of a plan, by number.
pub(super) type Buffer = usize;

/// One kernel call for the images at a time.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) kernel: Kernel,
    /// The buffers that it reads; one that it adds to is not among them.
    pub(super) from: Vec<Buffer>,
    /// The buffer that it writes.
    pub(super) to: Buffer,
}

/// What a call computes.
#[derive(Debug)]
pub(super) enum Kernel {
    /// Convolution image by image.
    Convolution {
        direct: Direct,
        /// How many such convolutions an image has, each of blocks of channels of its own.
        parts: usize,
        own: Weighted,
    },
    /// Convolution by Winograd.
    Winograd {
        direct: Direct,
        /// Number among [`Plan::winograds`].
        number: usize,
        own: Weighted,
    },
    /// Linear layer: the images at a time are pixels of one row.
    Linear { direct: Direct, own: Weighted },
    /// Convolution of each channel by itself.
    Depthwise { depthwise: Depthwise, own: Weighted },
    /// Convolution, pooling and ReLU in one.
    Pooled { pooled: Pooled, own: Weighted },
    /// Product of all rows of all images with a layer's weight.
    Product {
        product: Product,
        /// Rows of an image.
        rows: usize,
        own: Weighted,
    },
    /// Copies images: a residual that is used again.
    Copy,
    /// Greatest value of each window.
    MaxPool(MaxPool),
    /// Mean of each window.
    MeanPool(MeanPool),
    /// Parameter-free shortcut.
    Shortcut(Shortcut),
    /// Mean over pixels, into vectors.
    ChannelMean { input: Planes, output: Planes },
    /// A function of all rows of all images.
    Rows {
        function: RowFunction,
        /// Numbers of an image of the result.
        numbers: usize,
    },
    /// Numbers in other places.
    Gather(Gather),
    /// What no kernel knows, image by image.
    General(General),
    /// What the buffer holds, in its place as it is read from the activation memory.
    Stored(Stored),
}

/// The weights of a call, and what happens to its sums.
#[derive(Debug)]
pub(super) struct Weighted {
    pub(super) layer: usize,
    /// Where the weights lie among the packed ones.
    pub(super) weights: Range<usize>,
    pub(super) start: Vec<f32>,
    pub(super) store: Store,
    /// What is above it becomes it.
    pub(super) ceiling: Option<f32>,
}

impl Kernel {
    fn weighted(&self) -> Option<&Weighted> {
        match self {
            Self::Convolution { own, .. }
            | Self::Winograd { own, .. }
            | Self::Linear { own, .. }
            | Self::Depthwise { own, .. }
            | Self::Pooled { own, .. }
            | Self::Product { own, .. } => Some(own),
            _ => None,
        }
    }
}

impl Call {
    /// True where what the buffer holds that it writes is a part of what it writes.
    pub(super) fn adds(&self) -> bool {
        match &self.kernel {
            Kernel::Stored(_) => true,
            kernel => kernel.weighted().is_some_and(|own| own.store.add),
        }
    }

    /// The layer whose weight it uses.
    pub(super) fn layer(&self) -> Option<usize> {
        match &self.kernel {
            Kernel::General(general) => general.step.layer(),
            kernel => kernel.weighted().map(|own| own.layer),
        }
    }
}

/// A network compiled for one instruction set and arithmetic. Batch norms are folded into the weights as they are read from
/// memory, so faults act on the stored codes.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) isa: Isa,
    /// Images at a time.
    pub(super) group: usize,
    /// Layout of an image in buffer 0.
    pub(super) image: Planes,
    pub(super) calls: Vec<Call>,
    /// Length of each buffer.
    pub(super) buffers: Vec<usize>,
    /// Layout of the logits and their buffer.
    pub(super) logits: (Planes, Buffer),
    /// Of each layer where its weights lie, once for each call that uses them.
    pub(super) places: Vec<Vec<Place>>,
    /// Length of the packed weights.
    pub(super) packed: usize,
    /// By rising place of their packed weights.
    pub(super) winograds: Vec<WinogradPlace>,
    /// Length of the transformed weights.
    pub(super) transformed: usize,
    /// Weights as candle takes them.
    pub(super) row_major: Vec<RowMajor>,
    /// For each 16 packed weights, which are those of 16 outputs, their row among all of Winograd's convolutions; behind
    /// those each weight in row-major order is a row.
    pub(super) rows: Vec<Option<u32>>,
}

impl Plan {
    /// The row that a packed weight belongs to, counted over all convolutions by Winograd and then the weights in
    /// row-major order.
    pub(super) fn row_of(&self, place: usize) -> Option<usize> {
        self.rows[place / BLOCK].map(|row| row as usize)
    }

    /// Rows of convolutions by Winograd.
    pub(super) fn winograd_rows(&self) -> usize {
        self.winograds.last().map_or(0, |last| last.rows.end)
    }

    /// Packs the weights of a layer, given row-major, into the packed weights of all.
    pub(super) fn pack(&self, layer: usize, weights: &[f32], packed: &mut [f32]) {
        for place in &self.places[layer] {
            place.pack(weights, packed);
        }
    }

    /// Multiplications of one image, those with the padding included.
    pub(super) fn multiplications(&self) -> usize {
        self.calls
            .iter()
            .map(|call| self.multiplications_of(call))
            .sum()
    }

    /// Multiplications of one image in a call.
    pub(super) fn multiplications_of(&self, call: &Call) -> usize {
        match &call.kernel {
            Kernel::Convolution { direct, parts, .. } => parts * direct.multiplications(),
            Kernel::Winograd { direct, .. } => direct.multiplications(),
            Kernel::Linear { direct, .. } => direct.multiplications() / self.group,
            Kernel::Pooled { pooled, .. } => pooled.direct().multiplications(),
            Kernel::Depthwise { depthwise, .. } => depthwise.multiplications(),
            Kernel::Product { product, rows, .. } => rows * product.inputs * product.outputs,
            Kernel::Rows { function, numbers } => function.multiplications(*numbers),
            Kernel::General(general) => general.step.multiplications(),
            _ => 0,
        }
    }
}
