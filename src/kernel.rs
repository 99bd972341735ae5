//! Convolution, batch norm and their kin for evaluation and training on the CPU: vector kernels and candle
//! operations on them; knows no networks.

mod arithmetic;
mod convolution;
mod depthwise;
mod direct;
mod gradient;
mod isa;
mod levels;
mod max_pool;
mod norm;
mod planes;
mod pool;
mod pooled;
mod product;
mod residual;
mod rows;
mod shortcut;
mod slices;
mod windows;
mod winograd;

pub use arithmetic::Arithmetic;
pub use convolution::conv2d;
pub use depthwise::Depthwise;
pub use direct::{Direct, Store};
pub use isa::Isa;
pub use levels::Levels;
pub use max_pool::max_pool;
pub use norm::{batch_norm, fixed_norm, BatchStatistics};
pub use planes::{Planes, BLOCK};
pub use pool::{channel_mean, channel_means};
pub use pooled::Pooled;
pub use product::Product;
pub use residual::{residual_network, Part, Workspace};
pub use rows::RowFunction;
pub use shortcut::{padded_shortcut, Shortcut};
pub use slices::{values, with_values};
pub use windows::Windows;
pub use winograd::{Scratch, Winograd};
