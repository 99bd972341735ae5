//! The merged layers as a typed value, with the layer at fault in each error, and a value as text; leaves the types and
//! the checks across their fields to whoever calls.

use super::layer::{Layer, Origin};
use super::merge::{at, merge, sets};
use super::message::rewrite;
use crate::error::{Error, Result};
use serde::{de::DeserializeOwned, Serialize};
use serde_path_to_error::Segment;
use serde_yaml::Value;

/// Merges the layers, later ones over earlier ones, and reads the result as `T`.
///
/// Mappings merge key by key; lists, scalars and null replace what was there (null where a mapping
/// is expected reads as an empty one, so its defaults return). Unknown keys are
/// refused by `T` itself (`#[serde(deny_unknown_fields)]`). Below a serde `flatten`, or an enum that
/// is untagged or internally tagged, serde reports the key of the whole instead of the key inside it.
///
/// # Errors
/// [`Error::Input`] with file, line and key where a file is at fault, [`Error::Argument`] with the
/// argument where a `--set` is. At fault is the last layer that sets the key.
pub fn resolve<T: DeserializeOwned>(layers: &[Layer]) -> Result<T> {
    let merged = merge(layers)?;
    serde_path_to_error::deserialize(&merged).map_err(|error| {
        let mut key = keys(error.path());
        let said = rewrite(&error.inner().to_string(), at(&merged, &key));
        if let Some(below) = said
            .below
            .filter(|below| said.missing || key.last() != Some(below))
        {
            key.push(below);
        }
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        blame(layers, &key, said.missing, said.expected, said.found)
    })
}

/// As [`resolve`], then what `build` makes of the value: checks across keys. What it finds wrong by the name of its key
/// alone (`quantizer.bits`) is said with the layer at fault.
///
/// # Errors
/// As [`resolve`] and [`wrong_key`]; other errors of `build` as they are.
pub fn resolve_to<T: DeserializeOwned, U>(
    layers: &[Layer],
    build: impl FnOnce(T) -> Result<U>,
) -> Result<U> {
    build(resolve(layers)?).map_err(|error| match error {
        Error::Argument {
            what,
            expected,
            found,
        } if !what.contains(' ') => wrong_key(layers, &what, expected, found),
        other => other,
    })
}

/// The text at a key, such as `dataset.name`, of the merged layers; `None` where there is none, or no text.
///
/// # Errors
/// Layers that do not go together.
pub fn text_at(layers: &[Layer], key: &str) -> Result<Option<String>> {
    let merged = merge(layers)?;
    let path: Vec<&str> = key.split('.').collect();
    let text = at(&merged, &path).and_then(Value::as_str);
    Ok(text.map(str::to_owned))
}

/// The error that the setting `key` (such as `quantizer.bits`) is wrong, for checks that a type
/// cannot make itself: with the last layer that sets the key, its line, or the argument of its `--set`.
pub fn wrong_key(
    layers: &[Layer],
    key: &str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Error {
    let path: Vec<&str> = key.split('.').collect();
    wrong_at(layers, &path, expected, found)
}

/// As [`wrong_key`], of a path of keys that may themselves have points in them; empty for the whole.
pub fn wrong_at(
    layers: &[Layer],
    path: &[&str],
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Error {
    let missing = !layers.iter().any(|layer| sets(layer, path));
    blame(layers, path, missing, expected.into(), found.into())
}

/// A value as YAML.
///
/// # Errors
/// [`Error::Argument`] where the type has no form in YAML (a mapping with composite keys).
pub fn to_yaml<T: Serialize>(value: &T) -> Result<String> {
    serde_yaml::to_string(value).map_err(|error| {
        Error::argument(
            "configuration",
            "settings that YAML can write",
            error.to_string(),
        )
    })
}

/// A missing key is blamed on the last document that has what should hold it, else on the last `--set` that does.
fn blame(layers: &[Layer], key: &[&str], missing: bool, expected: String, found: String) -> Error {
    let last = |key: &[&str], sets_too: bool| {
        let alone = |layer: &Layer| matches!(layer.origin, Origin::Set(_) | Origin::Flag(_));
        layers
            .iter()
            .rev()
            .filter(|layer| sets_too || !alone(layer))
            .find(|layer| sets(layer, key))
    };
    let layer = if missing {
        (0..key.len()).rev().find_map(|depth| {
            let holder = &key[..depth];
            // at the top level a `--set` of another key is not at fault
            last(holder, false).or_else(|| if depth > 0 { last(holder, true) } else { None })
        })
    } else {
        last(key, true)
    };
    match layer {
        Some(layer) => layer.origin.wrong(key, expected, found),
        None => Error::argument(
            format!("configuration: `{}`", key.join(".")),
            expected,
            found,
        ),
    }
}

/// The path as far as it is known; list items by index.
fn keys(path: &serde_path_to_error::Path) -> Vec<String> {
    let mut keys = Vec::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => keys.push(index.to_string()),
            Segment::Map { key } => keys.push(key.clone()),
            Segment::Enum { .. } => {}
            Segment::Unknown => break,
        }
    }
    keys
}
