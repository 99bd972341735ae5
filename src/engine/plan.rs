//! A network's kernel calls on a fixed set of buffers, and where each weight lies for them; knows no faults and no images.

use super::gather::Gather;
use super::general::General;
use super::mean_pool::MeanPool;
use super::place::{Place, RowMajor, WinogradPlace};
use super::pool::MaxPool;
use crate::kernel::{
    Depthwise, Direct, Isa, Planes, Pooled, Product, RowFunction, Shortcut, Store, BLOCK,
};
use std::ops::Range;

/// Buffers of a plan, by number.
pub(super) type Buffer = usize;

/// One kernel call for the images at a time.
#[derive(Debug)]
pub(super) enum Call {
    /// Convolution image by image, or of all images at a time as pixels of one row (linear layers).
    Convolution {
        direct: Direct,
        /// Number among [`Plan::winograds`], where it is not computed directly.
        winograd: Option<usize>,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
        start: Vec<f32>,
        store: Store,
        /// What is above it becomes it.
        ceiling: Option<f32>,
        from: Buffer,
        to: Buffer,
        images: bool,
    },
    /// Convolution of each channel by itself.
    Depthwise {
        depthwise: Depthwise,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
        start: Vec<f32>,
        store: Store,
        /// What is above it becomes it.
        ceiling: Option<f32>,
        from: Buffer,
        to: Buffer,
    },
    /// Convolution, pooling and ReLU in one.
    Pooled {
        pooled: Pooled,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
        start: Vec<f32>,
        from: Buffer,
        to: Buffer,
    },
    /// Copies images: a residual that is used again.
    Copy { from: Buffer, to: Buffer },
    /// Greatest value of each window.
    MaxPool {
        pool: MaxPool,
        from: Buffer,
        to: Buffer,
    },
    /// Mean of each window.
    MeanPool {
        pool: MeanPool,
        from: Buffer,
        to: Buffer,
    },
    /// Parameter-free shortcut.
    Shortcut {
        shortcut: Shortcut,
        from: Buffer,
        to: Buffer,
    },
    /// Mean over pixels, into vectors.
    ChannelMean {
        input: Planes,
        output: Planes,
        from: Buffer,
        to: Buffer,
    },
    /// Product of all rows of all images with a layer's weight.
    Product {
        product: Product,
        /// Rows of an image.
        rows: usize,
        layer: usize,
        /// Where the weights lie among the packed ones.
        weights: Range<usize>,
        start: Vec<f32>,
        store: Store,
        from: Buffer,
        to: Buffer,
    },
    /// A function of all rows of all images.
    Rows {
        function: RowFunction,
        /// Numbers of an image of the result.
        numbers: usize,
        from: Vec<Buffer>,
        to: Buffer,
    },
    /// Numbers in other places.
    Gather {
        gather: Gather,
        from: Vec<Buffer>,
        to: Buffer,
    },
    /// What no kernel knows, image by image.
    General(General),
}

impl Call {
    /// The buffers that it reads; one that it adds to is not among them.
    pub(super) fn reads(&self) -> &[Buffer] {
        match self {
            Self::Convolution { from, .. }
            | Self::Depthwise { from, .. }
            | Self::MeanPool { from, .. }
            | Self::Pooled { from, .. }
            | Self::Copy { from, .. }
            | Self::MaxPool { from, .. }
            | Self::Shortcut { from, .. }
            | Self::ChannelMean { from, .. }
            | Self::Product { from, .. } => std::slice::from_ref(from),
            Self::Rows { from, .. } | Self::Gather { from, .. } => from,
            Self::General(general) => &general.from,
        }
    }

    /// The buffer that it writes.
    pub(super) fn writes(&self) -> Buffer {
        match self {
            Self::Convolution { to, .. }
            | Self::Depthwise { to, .. }
            | Self::MeanPool { to, .. }
            | Self::Pooled { to, .. }
            | Self::Copy { to, .. }
            | Self::MaxPool { to, .. }
            | Self::Shortcut { to, .. }
            | Self::ChannelMean { to, .. }
            | Self::Product { to, .. }
            | Self::Rows { to, .. }
            | Self::Gather { to, .. } => *to,
            Self::General(general) => general.to,
        }
    }

    /// True where it adds to what the buffer holds that it writes.
    pub(super) fn adds(&self) -> bool {
        matches!(self, Self::Convolution { store, .. } | Self::Depthwise { store, .. } | Self::Product { store, .. } if store.add)
    }

    /// The layer whose weight it uses.
    pub(super) fn layer(&self) -> Option<usize> {
        match self {
            Self::Convolution { layer, .. }
            | Self::Depthwise { layer, .. }
            | Self::Pooled { layer, .. }
            | Self::Product { layer, .. } => Some(*layer),
            Self::General(general) => general.step.layer(),
            _ => None,
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
        match call {
            Call::Convolution {
                direct,
                images: true,
                ..
            } => direct.multiplications(),
            Call::Convolution { direct, .. } => direct.multiplications() / self.group,
            Call::Pooled { pooled, .. } => pooled.direct().multiplications(),
            Call::Depthwise { depthwise, .. } => depthwise.multiplications(),
            Call::Product { product, rows, .. } => rows * product.inputs * product.outputs,
            Call::Rows {
                function, numbers, ..
            } => function.multiplications(*numbers),
            Call::General(general) => general.step.multiplications(),
            _ => 0,
        }
    }
}
