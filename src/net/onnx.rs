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

use super::Network;
use crate::error::{Error, Result};
use crate::seed::{Purpose, Seed};
use candle_core::Tensor;
use prost::Message;
use std::collections::BTreeSet;
use std::path::Path;

/// Images of which a network's outputs are compared, alone and together.
const CHECKED_IMAGES: usize = 2;
/// Largest difference between those, by the largest output.
const CHECKED_DIFFERENCE: f32 = 1e-3;

/// Reads the network of a file of these bytes.
///
/// # Errors
/// [`Error::Argument`] that names what is wrong: the message, an operator, a node or a tensor.
pub(super) fn read(path: &Path, bytes: &[u8], choices: &ImportChoices) -> Result<Import> {
    let model = proto::Model::decode(bytes).map_err(|e| {
        let expected = "the message of an ONNX model";
        Error::argument("file", expected, e.to_string())
    })?;
    import(path, &model, choices).map_err(of_file)
}

/// That a network answers every image for itself: two together give what each gives alone.
///
/// # Errors
/// [`Error::Argument`] where they do not.
pub(super) fn check(network: &Network) -> Result<()> {
    let weights = network.effective_weights()?;
    let logits = |images: &Tensor| network.logits(images, &weights).map_err(of_file);
    let [channels, height, width] = network.input_shape();
    let shape = [CHECKED_IMAGES, channels, height, width];
    let mut stream = Seed(0).stream(Purpose::Images, &[]);
    let images = stream.normal_tensor(1.0, &shape)?;
    let images = images.to_device(network.device())?;
    let together = logits(&images)?;
    let wrong = |found: String| {
        let expected = "the same outputs for an image alone and in a batch";
        Error::argument("network", expected, found)
    };
    for at in 0..CHECKED_IMAGES {
        let alone = logits(&images.narrow(0, at, 1)?)?;
        let own = together
            .narrow(0, at, 1)
            .map_err(|_| wrong(format!("{:?} for two images", together.dims())))?;
        if own.dims() != alone.dims() {
            return Err(wrong(format!("{:?} and {:?}", alone.dims(), own.dims())));
        }
        let (far, largest) = (largest(&(&alone - own)?)?, largest(&alone)?);
        // outputs that are not finite say nothing
        if far > CHECKED_DIFFERENCE * largest {
            return Err(wrong(format!("a difference of {far} beside {largest}")));
        }
    }
    Ok(())
}

/// Of the absolute values.
fn largest(values: &Tensor) -> Result<f32> {
    Ok(values.abs()?.flatten_all()?.max(0)?.to_scalar()?)
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

/// A name like the wanted one, numbered where its tensor is among those taken; it then is.
fn unused(taken: &mut BTreeSet<String>, wanted: &str, tensor: impl Fn(&str) -> String) -> String {
    let mut name = wanted.to_owned();
    let mut number = 2;
    while !taken.insert(tensor(&name)) {
        name = format!("{wanted}_{number}");
        number += 1;
    }
    name
}
