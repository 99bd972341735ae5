//! Weights to stored codes and back, with straight-through gradients; one file per method. Knows no disk.
//!
//! Each method's formulas stand in its file and come from its paper, see [`Method`] (WCAT: Chitsaz et al.,
//! TMLR 2023). All arithmetic is f32 and divides by the step.

mod dequantized;
mod fused;
mod init;
mod layer;
mod lsq;
mod normal;
mod plclip;
mod scheme;
mod search;
mod spec;
mod ste;
mod stored;
mod wcat;
mod wclip;

pub use init::{initial_range, InitialRange};
pub use layer::{max_abs, mean_abs, QuantizedWeight, TrainingFlips};
pub use plclip::layer_range;
pub use scheme::{Quantized, Scheme, Slopes};
pub use search::{expected_error, Search};
pub use spec::{ClipGradient, Init, Method, MethodLabel, QuantizerSpec};
#[cfg(test)]
pub(crate) use stored::tests::channel_wise;
pub use stored::{Scale, StoredWeight};
