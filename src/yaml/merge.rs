//! Layers to one value: later ones override earlier ones key by key; leaves types to `resolve`.

use super::layer::Layer;
use crate::error::Result;
use serde_yaml::{Mapping, Value};

/// Mappings merge key by key. Everything else replaces what was there: lists as a whole, and null too.
pub(super) fn merge(layers: &[Layer]) -> Result<Value> {
    let mut merged = Value::Mapping(Mapping::new());
    for layer in layers {
        let place = descend(&mut merged, layer)?;
        overlay(place, &layer.value);
    }
    Ok(merged)
}

fn overlay(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Mapping(base), Value::Mapping(over)) => {
            for (key, value) in over {
                match base.get_mut(key) {
                    Some(old) => overlay(old, value),
                    None => drop(base.insert(key.clone(), value.clone())),
                }
            }
        }
        (base, over) => *base = over.clone(),
    }
}

/// The place that a layer's path leads to, made where it is not there yet.
fn descend<'v>(merged: &'v mut Value, layer: &Layer) -> Result<&'v mut Value> {
    let mut place = merged;
    for (depth, key) in layer.at.iter().enumerate() {
        place = match place {
            Value::Sequence(list) => {
                let count = list.len();
                let index = key.parse().unwrap_or(usize::MAX);
                list.get_mut(index).ok_or_else(|| {
                    let path: Vec<&str> = layer.at[..=depth].iter().map(String::as_str).collect();
                    let expected = match count {
                        0 => "no index (the list is empty)".to_owned(),
                        _ => format!("an index from 0 to {}", count - 1),
                    };
                    layer.origin.wrong(&path, expected, format!("`{key}`"))
                })?
            }
            other => {
                if !other.is_mapping() {
                    *other = Value::Mapping(Mapping::new());
                }
                match other {
                    Value::Mapping(mapping) => {
                        mapping.entry(key.as_str().into()).or_insert(Value::Null)
                    }
                    other => other,
                }
            }
        };
    }
    Ok(place)
}

/// True where the layer itself sets the key or something below it.
pub(super) fn sets(layer: &Layer, key: &[&str]) -> bool {
    let shared = layer.at.len().min(key.len());
    if layer.at.iter().zip(key).any(|(own, other)| own != other) {
        return false;
    }
    at(&layer.value, &key[shared..]).is_some()
}

/// Takes a key of mappings out of a document, where it is there.
pub(super) fn remove(document: &mut Value, path: &[&str]) {
    let Some((last, holders)) = path.split_last() else {
        return;
    };
    let holder = holders.iter().try_fold(document, |value, name| {
        value.as_mapping_mut()?.get_mut(*name)
    });
    if let Some(mapping) = holder.and_then(Value::as_mapping_mut) {
        mapping.remove(*last);
    }
}

/// The value at a path of keys and indices.
pub(super) fn at<'v>(value: &'v Value, path: &[impl AsRef<str>]) -> Option<&'v Value> {
    path.iter().try_fold(value, |value, name| match value {
        Value::Mapping(mapping) => mapping.get(name.as_ref()),
        Value::Sequence(list) => list.get(name.as_ref().parse::<usize>().ok()?),
        _ => None,
    })
}
