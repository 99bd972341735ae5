//! Networks of ONNX files: their operators become nodes of a graph, their constants its tensors.

mod attributes;
pub(super) mod call;
mod constant;
mod import;
mod layers;
mod operators;
mod proto;
#[cfg(test)]
mod tests;

pub(super) use import::Import;
pub use import::ImportChoices;
pub use operators::names as known_operators;

use import::import;

use crate::error::{Error, Result};
use prost::Message;
use std::path::Path;

/// Reads the network of a file of these bytes.
///
/// # Errors
/// [`Error::Argument`] that names what is wrong: the message, an operator, a node or a tensor.
pub(super) fn read(path: &Path, bytes: &[u8], choices: &ImportChoices) -> Result<Import> {
    let model = proto::Model::decode(bytes).map_err(|e| {
        let expected = "the message of an ONNX model";
        Error::argument("file", expected, e.to_string())
    })?;
    let import = import(path, &model, choices)?;
    import.check()?;
    Ok(import)
}
