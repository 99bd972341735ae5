//! State dicts of PyTorch checkpoints (`.pth`, `.th`) as named tensors; leaves their fit to an
//! architecture to whoever builds it.
//!
//! Both forms of `torch.save` are read: the legacy stream (before PyTorch 1.6) and the zip archive.
//! Nothing in a checkpoint is executed: the pickle inside it only ever builds data, and every
//! function or class other than those a state dict needs is an error that names it.

mod container;
mod pickle;
mod state;

use crate::error::Result;
use crate::store;
use candle_core::Tensor;
use std::path::Path;

/// Largest checkpoint that is read, in bytes (a ViT-Large in f32 takes 1.2e9).
const LARGEST_FILE: u64 = 4 << 30;

/// What a reader of an error message should know that the file ought to be.
const EXPECTED: &str = "a PyTorch checkpoint";

/// Reads the state dict of a checkpoint: name and tensor of every entry, in the file's order.
///
/// The state dict is the file's top level, or the dictionary under `state_dict`, or the one under
/// `model`. One leading `module.` (left by `DataParallel`) is removed from each name. Tensors lie
/// on the CPU. Floating-point tensors (f64, f32, f16, bf16) come as f32; integer and boolean ones
/// (such as `num_batches_tracked`) come as i64. Values are not judged: NaN in the file is NaN here.
/// The checksums of a zip archive are verified; the legacy form has none.
///
/// # Errors
/// [`Error::Missing`](crate::error::Error::Missing) where there is no such file,
/// [`Error::Input`](crate::error::Error::Input) where it is larger than 4 GiB, truncated, damaged,
/// no checkpoint, holds no state dict, or holds anything but tensors in it.
pub fn read_state_dict(path: &Path) -> Result<Vec<(String, Tensor)>> {
    let bytes = store::read_bytes(path, EXPECTED, LARGEST_FILE)?;
    container::read(path, &bytes)
}

#[cfg(test)]
mod tests;
