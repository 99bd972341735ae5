//! State dicts of PyTorch checkpoints as named tensors; leaves their fit to an architecture to whoever builds it.
//!
//! Both forms of `torch.save` are read: the legacy stream (before PyTorch 1.6) and the zip archive.
//! Nothing in a checkpoint is executed: the pickle inside it only ever builds data, and a function or class other
//! than those a state dict needs is passed over, or an error that names it where a tensor should be.

mod container;
mod machine;
mod pickle;
mod state;

use crate::error::{Error, Result};
use crate::store;
use candle_core::Tensor;
use std::path::Path;

/// Largest checkpoint that is read, in bytes (a ViT-Large in f32 takes 1.2e9).
const LARGEST_FILE: u64 = 4 << 30;

/// What a reader of an error message should know that the file ought to be.
const EXPECTED: &str = "a PyTorch checkpoint";

/// The state dict of a checkpoint.
#[derive(Clone, Debug, Default)]
pub struct StateDict {
    /// Name and tensor of every entry that is one, in the file's order.
    pub tensors: Vec<(String, Tensor)>,
    /// What a user should hear about the choice of it.
    pub warnings: Vec<String>,
}

/// Reads the state dict of a checkpoint.
///
/// The state dict is the file's top level or lies under a key: `state_dict`, `model_state_dict`, `model`, `net` and the
/// like, averaged weights (`ema`, `swa`) only where there are no others. Entries that are no tensors are passed over.
/// Tensors lie on the CPU. Floating-point tensors (f64, f32, f16, bf16) come as f32; integer and boolean ones
/// (such as `num_batches_tracked`) come as i64. Values are not judged: NaN in the file is NaN here.
/// The checksums of a zip archive are verified; the legacy form has none.
///
/// # Errors
/// [`Error::Missing`](crate::error::Error::Missing) where there is no such file,
/// [`Error::Input`](crate::error::Error::Input) where it is larger than 4 GiB, truncated, damaged,
/// no checkpoint, holds no state dict, or holds anything but a tensor under the name of a weight.
pub fn read_state_dict(path: &Path) -> Result<StateDict> {
    let bytes = store::read_bytes(path, EXPECTED, LARGEST_FILE)?;
    state_dict_of(path, &bytes)
}

/// The same of the bytes of a file.
pub(super) fn state_dict_of(path: &Path, bytes: &[u8]) -> Result<StateDict> {
    container::read(bytes).map_err(|error| error.in_file(path))
}

/// A fault of the file; [`state_dict_of`] says which file it is.
fn wrong(expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::input("", expected, found)
}

/// True where a name (`model_ema`, `swa`, `teacher`) says that weights are averages or copies of others.
pub(super) fn is_average(name: &str) -> bool {
    const WORDS: [&str; 9] = [
        "ema", "swa", "avg", "averaged", "average", "shadow", "teacher", "target", "momentum",
    ];
    let lower = name.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| WORDS.contains(&word))
}

#[cfg(test)]
mod tests;
