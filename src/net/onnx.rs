//! Networks of ONNX files: their operators become nodes of a graph, their constants its tensors.

mod attributes;
pub(super) mod call;
mod constant;
mod export;
mod import;
mod layers;
mod metadata;
mod operators;
mod proto;
#[cfg(test)]
mod tests;

pub(super) use export::bytes;
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
    let import = import(path, &model, choices).map_err(of_file)?;
    import.check().map_err(of_file)?;
    Ok(import)
}

/// What the tensor library cannot compute is wrong with the file.
fn of_file(error: Error) -> Error {
    match error {
        Error::Tensor { context, source } => {
            let cause = source.to_string();
            let cause = cause.lines().next().unwrap_or_default();
            Error::argument(
                "node",
                "an operation of its inputs",
                format!("{context}: {cause}"),
            )
        }
        other => other,
    }
}
