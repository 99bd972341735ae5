//! From a checkpoint's values to its named tensors: finds the state dict and gathers each tensor's
//! elements out of its storage.

use super::container::Storages;
use super::pickle::{describe, shorten, Id, Kind, Node, Pickle, StorageRef};
use crate::error::{Error, Result, TensorContext};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeSet;
use std::path::Path;

/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;

/// The tensors of the checkpoint's state dict, at most `room` elements in all.
pub(super) fn collect(
    path: &Path,
    object: &Pickle<'_>,
    storages: &mut Storages<'_>,
    mut room: u64,
) -> Result<Vec<(String, Tensor)>> {
    let mut names = BTreeSet::new();
    let mut tensors = Vec::new();
    for &(key, value) in entries(path, object)? {
        let name = object.text(key).ok_or_else(|| {
            Error::input(
                path,
                "names of tensors in the state dict",
                describe(object.get(key)),
            )
        })?;
        let name = name.strip_prefix("module.").unwrap_or(name);
        if !names.insert(name) {
            return Err(entry_error(path, name, "one tensor of this name", "two"));
        }
        let Node::Tensor(arguments) = object.get(value) else {
            return Err(entry_error(
                path,
                name,
                "a tensor",
                describe(object.get(value)),
            ));
        };
        let layout = Layout::of(object, *arguments)
            .map_err(|(expected, found)| entry_error(path, name, expected, found))?;
        room = room.checked_sub(layout.elements).ok_or_else(|| {
            let found = format!("{} elements", layout.elements);
            entry_error(path, name, "a tensor in proportion to the file", found)
        })?;
        let bytes = storages.bytes(path, &layout.storage)?;
        let tensor = layout
            .tensor(bytes)
            .during(|| format!("reading `{}`", shorten(name)))?;
        tensors.push((name.to_owned(), tensor));
    }
    Ok(tensors)
}

fn entry_error(
    path: &Path,
    name: &str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Error {
    Error::Input {
        path: path.to_owned(),
        line: None,
        key: Some(shorten(name)),
        expected: expected.into(),
        found: found.into(),
    }
}

/// The entries of the state dict: under `state_dict`, under `model`, or the top level itself.
fn entries<'p>(path: &Path, object: &'p Pickle<'_>) -> Result<&'p [(Id, Id)]> {
    let Node::Dict(top) = object.get(object.top) else {
        return Err(Error::input(
            path,
            "a state dict",
            describe(object.get(object.top)),
        ));
    };
    for name in ["state_dict", "model"] {
        let under = top
            .iter()
            .rev()
            .find(|(key, _)| object.text(*key) == Some(name));
        if let Some(Node::Dict(entries)) = under.map(|(_, value)| object.get(*value)) {
            return non_empty(path, entries);
        }
    }
    if top
        .iter()
        .any(|(_, value)| matches!(object.get(*value), Node::Tensor(_)))
    {
        return Ok(top);
    }
    non_empty(path, top)?;
    let mut keys: Vec<String> = top
        .iter()
        .take(8)
        .map(|(key, _)| {
            object
                .text(*key)
                .map_or("?".into(), |text| format!("`{}`", shorten(text)))
        })
        .collect();
    if top.len() > keys.len() {
        keys.push("...".into());
    }
    Err(Error::input(
        path,
        "a state dict at the top level, under `state_dict` or under `model`",
        format!("no tensor among {}", keys.join(", ")),
    ))
}

fn non_empty<'p>(path: &Path, entries: &'p [(Id, Id)]) -> Result<&'p [(Id, Id)]> {
    if entries.is_empty() {
        return Err(Error::input(
            path,
            "a state dict with tensors",
            "an empty one",
        ));
    }
    Ok(entries)
}

/// Where the elements of a tensor lie in its storage.
struct Layout<'a> {
    storage: StorageRef<'a>,
    /// First element, counted from the start of the whole storage.
    first: u64,
    shape: Vec<u64>,
    /// Elements between neighbours, per dimension.
    stride: Vec<u64>,
    elements: u64,
}

impl<'a> Layout<'a> {
    /// From the arguments `(storage, offset, shape, stride, ...)`: everything it reads lies inside
    /// the storage. An error is what was expected and what was found.
    fn of(object: &Pickle<'a>, arguments: Id) -> Result<Self, (String, String)> {
        let wrong = |expected: &str, id: Id| (expected.to_owned(), describe(object.get(id)));
        let &[storage, offset, shape, stride, ..] = object.items(arguments).unwrap_or_default()
        else {
            return Err(wrong(
                "storage, offset, shape and strides of a tensor",
                arguments,
            ));
        };
        let Node::Storage(storage) = object.get(storage) else {
            return Err(wrong("a tensor's storage", storage));
        };
        let numbers = |id: Id| -> Option<Vec<u64>> {
            let items = object
                .items(id)
                .filter(|items| items.len() <= MOST_DIMENSIONS)?;
            items.iter().map(|&item| object.count(item)).collect()
        };
        let first = object
            .count(offset)
            .ok_or_else(|| wrong("a tensor's offset", offset))?;
        let sizes = numbers(shape).ok_or_else(|| wrong("a tensor's shape", shape))?;
        let stride = numbers(stride)
            .filter(|strides| strides.len() == sizes.len())
            .ok_or_else(|| {
                wrong(
                    "a stride, not negative, for each dimension of the tensor",
                    stride,
                )
            })?;
        // the product without the zeros bounds every number that the tensor library computes
        let bound = sizes
            .iter()
            .filter(|&&n| n > 0)
            .try_fold(1u64, |product, &n| product.checked_mul(n));
        let elements = if sizes.contains(&0) {
            0
        } else {
            bound.unwrap_or(u64::MAX)
        };
        let last = sizes
            .iter()
            .zip(&stride)
            .try_fold(first, |last, (&n, &step)| {
                n.saturating_sub(1)
                    .checked_mul(step)
                    .and_then(|reach| reach.checked_add(last))
            });
        let inside = elements == 0 || last.is_some_and(|last| last < storage.len);
        if !inside || bound.is_none_or(|bound| bound > 1 << 40) {
            return Err((
                format!("a tensor inside its storage of {} elements", storage.len),
                format!("shape {sizes:?} with strides {stride:?} from element {first}"),
            ));
        }
        let first = if elements == 0 {
            0
        } else {
            first + storage.start
        };
        Ok(Self {
            storage: *storage,
            first,
            shape: sizes,
            stride,
            elements,
        })
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape
            .iter()
            .zip(&self.stride)
            .rev()
            .all(|(&n, &step)| {
                let fits = n == 1 || step == expected;
                expected *= n;
                fits
            })
    }

    /// `bytes` are those of the whole storage.
    fn tensor(&self, bytes: &[u8]) -> candle_core::Result<Tensor> {
        let size = self.storage.kind.size() as usize;
        let shape: Vec<usize> = self.shape.iter().map(|&n| n as usize).collect();
        if self.elements == 0 || self.is_contiguous() {
            let start = self.first as usize * size;
            return decode(
                self.storage.kind,
                &bytes[start..start + self.elements as usize * size],
                &shape,
            );
        }
        let mut gathered = Vec::with_capacity(self.elements as usize * size);
        let mut index = vec![0; shape.len()];
        for _ in 0..self.elements {
            let reach: u64 = index
                .iter()
                .zip(&self.stride)
                .map(|(i, step)| i * step)
                .sum();
            let start = (self.first + reach) as usize * size;
            gathered.extend_from_slice(&bytes[start..start + size]);
            for (i, &n) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < n {
                    break;
                }
                *i = 0;
            }
        }
        decode(self.storage.kind, &gathered, &shape)
    }
}

/// Little-endian elements in row-major order: f32 of the floating-point types, i64 of the others.
fn decode(kind: Kind, bytes: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
    let floats = |values: Vec<f32>| Tensor::from_vec(values, shape, &Device::Cpu);
    let integers = |values: Vec<i64>| Tensor::from_vec(values, shape, &Device::Cpu);
    match kind {
        Kind::Float => floats(each(bytes, f32::from_le_bytes)),
        Kind::Double => floats(each(bytes, |b| f64::from_le_bytes(b) as f32)),
        Kind::BFloat16 => floats(each(bytes, |b| {
            f32::from_bits(u32::from(u16::from_le_bytes(b)) << 16)
        })),
        Kind::Half => {
            Tensor::from_raw_buffer(bytes, DType::F16, shape, &Device::Cpu)?.to_dtype(DType::F32)
        }
        Kind::Long => integers(each(bytes, i64::from_le_bytes)),
        Kind::Int => integers(each(bytes, |b| i32::from_le_bytes(b).into())),
        Kind::Short => integers(each(bytes, |b| i16::from_le_bytes(b).into())),
        Kind::Char => integers(each(bytes, |b| i8::from_le_bytes(b).into())),
        Kind::Byte | Kind::Bool => integers(each(bytes, |[b]: [u8; 1]| b.into())),
    }
}

fn each<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
    bytes
        .as_chunks::<N>()
        .0
        .iter()
        .map(|chunk| read(*chunk))
        .collect()
}
