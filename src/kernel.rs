//! Convolution for training and evaluation: candle custom ops on matrix products; knows no networks.

mod conv;
mod matmul;

pub use conv::conv2d;
