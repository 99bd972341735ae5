//! From a checkpoint's values to its named tensors: finds the state dict and gathers each tensor's
//! elements out of its storage.

use super::container::Storages;
use super::pickle::{describe, shorten, Id, Kind, Node, Pickle, StorageRef};
use super::{is_average, wrong, StateDict};
use crate::error::{Error, Result, TensorContext};
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeSet;

/// Most dimensions of a tensor.
const MOST_DIMENSIONS: usize = 16;

/// The tensors of the checkpoint's state dict, at most `room` elements in all.
pub(super) fn collect(
    object: &Pickle<'_>,
    storages: &mut Storages<'_>,
    mut room: u64,
) -> Result<StateDict> {
    let mut names = BTreeSet::new();
    let mut tensors = Vec::new();
    let (entries, warnings) = state_dict(object)?;
    for &(key, value) in entries {
        let Some(name) = object.text(key) else {
            // bookkeeping; a tensor without a name is none
            continue;
        };
        let Node::Tensor(arguments) = object.get(value) else {
            if is_parameter(name) {
                let found = describe(object.get(value));
                return Err(entry_error(name, "a tensor", found));
            }
            continue;
        };
        if !names.insert(name) {
            return Err(entry_error(name, "one tensor of this name", "two"));
        }
        let layout = Layout::of(object, *arguments)
            .map_err(|(expected, found)| entry_error(name, expected, found))?;
        room = room.checked_sub(layout.elements).ok_or_else(|| {
            let found = format!("{} elements", layout.elements);
            entry_error(name, "a tensor in proportion to the file", found)
        })?;
        let bytes = storages.bytes(&layout.storage)?;
        let tensor = layout
            .tensor(bytes)
            .during(|| format!("reading `{}`", shorten(name)))?;
        tensors.push((name.to_owned(), tensor));
    }
    Ok(StateDict { tensors, warnings })
}

/// True for the name of a weight, bias or statistic: nothing but a tensor may stand there.
fn is_parameter(name: &str) -> bool {
    const PARTS: [&str; 14] = [
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "weight_g",
        "weight_v",
        "weight_orig",
        "weight_mask",
        "bias_orig",
        "bias_mask",
        "original0",
        "original1",
        "cls_token",
        "pos_embed",
    ];
    let last = name.rsplit('.').next().unwrap_or(name);
    PARTS.contains(&last)
}

fn entry_error(name: &str, expected: impl Into<String>, found: impl Into<String>) -> Error {
    Error::input_at("", None, Some(&shorten(name)), expected, found)
}

/// Keys under which checkpoints hold the state dict, the likeliest first.
const KEYS: [&str; 14] = [
    "state_dict",
    "model_state_dict",
    "model_state",
    "model",
    "net",
    "network",
    "net_state_dict",
    "network_state_dict",
    "model_weights",
    "weights",
    "params",
    "module",
    "backbone",
    "checkpoint",
];
/// How deep a state dict may lie.
const DEEPEST: usize = 4;
/// Most values that are looked through for one.
const MOST_LOOKED_AT: usize = 1 << 16;

/// Entries, and remarks on their choice.
type Choice<'p> = (&'p [(Id, Id)], Vec<String>);

/// A dictionary that holds tensors.
struct Candidate<'p> {
    /// Keys that lead to it.
    keys: Vec<String>,
    entries: &'p [(Id, Id)],
    /// What speaks against it: no parameters in it, the state of an optimiser, an average of other weights, an unusual
    /// key.
    rank: (bool, bool, bool, usize),
}

/// The entries of the state dict, with what the reader should hear about the choice of it.
fn state_dict<'p>(object: &'p Pickle<'_>) -> Result<Choice<'p>> {
    let mut candidates = candidates(object);
    // of equals, the first
    candidates.sort_by_key(|candidate| candidate.rank);
    let Some(best) = candidates.first() else {
        return Err(no_state_dict(object));
    };
    let place = |candidate: &Candidate<'_>| match candidate.keys.as_slice() {
        [] => "the top level".to_owned(),
        keys => format!("`{}`", keys.join(".")),
    };
    let others: Vec<String> = candidates[1..]
        .iter()
        .filter(|other| !other.rank.0 && !other.rank.1)
        .take(4)
        .map(place)
        .collect();
    let mut warnings = Vec::new();
    if !others.is_empty() && !best.rank.0 {
        warnings.push(format!(
            "the weights under {} are taken, not those under {}",
            place(best),
            others.join(", ")
        ));
    }
    Ok((best.entries, warnings))
}

/// Dictionaries with tensors, outer ones first.
fn candidates<'p>(object: &'p Pickle<'_>) -> Vec<Candidate<'p>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([object.top]);
    let mut level = vec![(object.top, Vec::<String>::new())];
    for _ in 0..DEEPEST {
        let mut below = Vec::new();
        for (id, keys) in level {
            let list = object.items(id).unwrap_or_default().iter();
            let list = list.enumerate().map(|(i, &item)| (i.to_string(), item));
            let entries = object.entries(id).unwrap_or_default();
            let texts = entries.iter().filter_map(|&(key, value)| {
                let key = object.text(key)?;
                Some((shorten(key), value))
            });
            for (key, value) in texts.chain(list) {
                let holds = object.entries(value).is_some() || object.items(value).is_some();
                if holds && seen.len() < MOST_LOOKED_AT && seen.insert(value) {
                    below.push((value, [keys.as_slice(), &[key]].concat()));
                }
            }
            found.extend(candidate(object, keys, entries));
        }
        level = below;
    }
    found
}

fn candidate<'p>(
    object: &Pickle<'_>,
    keys: Vec<String>,
    entries: &'p [(Id, Id)],
) -> Option<Candidate<'p>> {
    let tensors = entries.iter().filter_map(|&(key, value)| {
        let name = object.text(key)?;
        matches!(object.get(value), Node::Tensor(_)).then_some(name)
    });
    let (mut any, mut parameters) = (false, false);
    for name in tensors {
        any = true;
        parameters |= is_parameter(name);
    }
    let lower: Vec<String> = keys.iter().map(|key| key.to_lowercase()).collect();
    let optimiser = lower.iter().any(|key| key.contains("optim"));
    let average = lower.iter().any(|key| is_average(key));
    let likely = match lower.last() {
        None => KEYS.len(),
        Some(last) => {
            let place = KEYS.iter().position(|known| known == last);
            place.unwrap_or(KEYS.len() + 1)
        }
    };
    any.then_some(Candidate {
        rank: (!parameters, optimiser, average, likely),
        keys,
        entries,
    })
}

/// The error for a checkpoint without any tensor under a name.
fn no_state_dict(object: &Pickle<'_>) -> Error {
    if let Some(module) = object.module() {
        return wrong(
            "a state dict; in Python: torch.save(model.state_dict(), \"weights.pth\")",
            format!(
                "a whole pickled model, {}, which only its own code could load",
                describe(module)
            ),
        );
    }
    let Some(top) = object.entries(object.top) else {
        let found = match object.get(object.top) {
            Node::Dict(_) => "an empty dictionary".into(),
            other => describe(other),
        };
        return wrong("a state dict", found);
    };
    if top.is_empty() {
        return wrong("a state dict with tensors", "an empty one");
    }
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
    wrong(
        "a state dict at the top level or under a key such as `state_dict` or `model`",
        format!("no tensor among {}", keys.join(", ")),
    )
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
        if let Kind::Other(_) = storage.kind {
            let expected = "numbers of a type that weights have (f64, f32, f16, bf16)";
            return Err((expected.to_owned(), "complex or quantised ones".into()));
        }
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
        // refused with the layout
        Kind::Other(_) => integers(Vec::new()),
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
