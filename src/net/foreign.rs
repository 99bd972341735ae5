//! Tensors of others' models under our names: prefixes, pairs that stand for a weight, counters, other layer names.

use super::architecture::Architecture;
use super::pytorch::is_average;
use super::values::check_values;
use crate::error::{refuse, Error, Result, TensorContext};
use candle_core::{DType, Device, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// Tensors of which every known architecture has one: what stands before such a name is a prefix.
const ANCHORS: [&str; 3] = ["conv1.weight", "layer1.weight", "cls_token"];

/// Last parts of the names of counters that tools leave beside weights.
const COUNTERS: [&str; 3] = ["num_batches_tracked", "total_ops", "total_params"];

/// A state dict whose network is known.
pub(super) struct Recognised {
    pub(super) architecture: Architecture,
    pub(super) classes: usize,
    pub(super) tensors: Vec<(String, Tensor)>,
    pub(super) warnings: Vec<String>,
}

/// Finds the network among tensors and gives its tensors our names.
///
/// # Errors
/// [`Error::Argument`] where no known architecture or more than one network is among them, where a value is no number
/// of its kind, and where a pair of tensors does not make a weight.
pub(super) fn recognise(tensors: Vec<(String, Tensor)>) -> Result<Recognised> {
    let tensors = computed(tensors)?;
    let mut warnings = Vec::new();
    let found = networks(&tensors);
    let Some((prefix, architecture, classes)) = chosen(&found)? else {
        return Err(unknown(&tensors));
    };
    let under = |name: &str, prefix: &str| !prefix.is_empty() && name.starts_with(prefix);
    let others = || found.keys().filter(|other| **other != prefix);
    let (mut own, mut outside) = (Vec::new(), Vec::new());
    let weights: BTreeSet<String> = tensors
        .iter()
        .filter_map(|(name, _)| name.strip_suffix(".weight").map(str::to_owned))
        .collect();
    for (name, tensor) in tensors {
        let last = name.rsplit('.').next().unwrap_or(&name);
        if COUNTERS.contains(&last) || (is_whole(&tensor) && tensor.elem_count() <= 1) {
            continue;
        }
        // settings of another program's quantiser, such as the ranges that the original WCAT learned
        let quantiser = name
            .split_once(".weight_")
            .is_some_and(|(layer, _)| weights.contains(layer));
        let of_another =
            quantiser || others().any(|other| other.len() > prefix.len() && under(&name, other));
        match name.strip_prefix(&prefix).filter(|_| !of_another) {
            Some(own_name) => own.push((our_name(architecture, own_name), name, tensor)),
            None => outside.push(name),
        }
    }
    if !outside.is_empty() {
        let place = match prefix.as_str() {
            "" => "without a prefix".to_owned(),
            prefix => format!("under `{prefix}`"),
        };
        warnings.push(format!(
            "the weights {place} are taken; {} other tensors are left out: {}",
            outside.len(),
            list(&outside)
        ));
    }
    check_values(own.iter().map(|(_, name, tensor)| (name.as_str(), tensor)))?;
    let mut names = BTreeMap::new();
    for (name, before, _) in &own {
        if let Some(other) = names.insert(name, before) {
            let found = format!("`{other}` and `{before}`");
            return refuse(name, "one tensor of this name", found);
        }
    }
    Ok(Recognised {
        architecture,
        classes,
        tensors: own.into_iter().map(|(name, _, t)| (name, t)).collect(),
        warnings,
    })
}

/// True for whole numbers and booleans.
pub(super) fn is_whole(tensor: &Tensor) -> bool {
    matches!(
        tensor.dtype(),
        DType::I64 | DType::U8 | DType::U32 | DType::I32 | DType::I16
    )
}

/// Prefixes with the networks under them.
fn networks(tensors: &[(String, Tensor)]) -> BTreeMap<String, (Architecture, usize)> {
    let shapes: BTreeMap<&str, &[usize]> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor.dims()))
        .collect();
    let prefixes: BTreeSet<&str> = tensors
        .iter()
        .flat_map(|(name, _)| ANCHORS.iter().filter_map(|end| name.strip_suffix(end)))
        .filter(|prefix| prefix.is_empty() || prefix.ends_with('.'))
        .collect();
    let mut found = BTreeMap::new();
    for prefix in prefixes {
        let network = Architecture::of_shapes(&|name| {
            let ours = format!("{prefix}{name}");
            let theirs = || format!("{prefix}{}", their_name(name));
            let shape = shapes.get(ours.as_str());
            shape.or_else(|| shapes.get(theirs().as_str())).copied()
        });
        if let Some(network) = network {
            found.insert(prefix.to_owned(), network);
        }
    }
    found
}

/// The network to take: the only one, or the only one that is no average of another.
fn chosen(
    found: &BTreeMap<String, (Architecture, usize)>,
) -> Result<Option<(String, Architecture, usize)>> {
    let trained: Vec<&String> = found.keys().filter(|prefix| !is_average(prefix)).collect();
    let all: Vec<&String> = found.keys().collect();
    let taken = match (trained.as_slice(), all.as_slice()) {
        ([], []) => return Ok(None),
        ([one], _) | ([], [one]) => *one,
        _ => {
            let places: Vec<String> = all.iter().map(|prefix| format!("{prefix}*")).collect();
            return refuse(
                "state dict",
                "one network",
                format!("{}: {}", places.len(), list(&places)),
            );
        }
    };
    let (architecture, classes) = found[taken];
    Ok(Some((taken.clone(), architecture, classes)))
}

fn unknown(tensors: &[(String, Tensor)]) -> Error {
    let known: Vec<String> = Architecture::all()
        .iter()
        .map(ToString::to_string)
        .collect();
    let names: Vec<&str> = tensors
        .iter()
        .take(4)
        .map(|(name, _)| name.as_str())
        .collect();
    Error::argument(
        "state dict",
        format!("that of one of {}", known.join(", ")),
        format!("{} tensors: {}, ...", tensors.len(), names.join(", ")),
    )
}

fn list(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut shown = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        shown += ", ...";
    }
    shown
}

/// The name that the original WCAT and torchvision give to what is ours in a ResNet for CIFAR-10.
fn their_name(name: &str) -> String {
    match name.strip_prefix("linear.") {
        Some(rest) => format!("fc.{rest}"),
        None => name.replace(".shortcut.", ".downsample."),
    }
}

/// Our name of a tensor of theirs.
fn our_name(architecture: Architecture, name: &str) -> String {
    match (architecture, name.strip_prefix("fc.")) {
        (Architecture::Resnet { .. }, Some(rest)) => format!("linear.{rest}"),
        (Architecture::Resnet { .. }, None) => name.replace(".downsample.", ".shortcut."),
        _ => name.to_owned(),
    }
}

/// A tensor that is computed from two others: weight normalisation and pruning.
#[derive(Clone, Copy)]
enum Pair {
    /// Length and direction (Salimans and Kingma, 2016).
    Norm,
    /// Weight and mask.
    Mask,
}

/// The tensor that a name is one half of: its name, the other half's name, and how they are put together.
fn pair_of(name: &str) -> Option<(String, String, Pair)> {
    if let Some(base) = name.strip_suffix("_g") {
        return Some((base.to_owned(), format!("{base}_v"), Pair::Norm));
    }
    if let Some(base) = name.strip_suffix("_orig") {
        return Some((base.to_owned(), format!("{base}_mask"), Pair::Mask));
    }
    let head = name.strip_suffix(".original0")?;
    let (layer, parameter) = match head.split_once("parametrizations.") {
        Some((layer, parameter)) => (layer, parameter),
        None => return None,
    };
    let other = format!("{head}.original1");
    Some((format!("{layer}{parameter}"), other, Pair::Norm))
}

/// Puts pairs together.
fn computed(tensors: Vec<(String, Tensor)>) -> Result<Vec<(String, Tensor)>> {
    let by_name: BTreeMap<&str, &Tensor> = tensors
        .iter()
        .map(|(name, tensor)| (name.as_str(), tensor))
        .collect();
    let (mut taken, mut made) = (BTreeSet::new(), BTreeMap::new());
    for (name, tensor) in &tensors {
        let Some((base, other_name, pair)) = pair_of(name) else {
            continue;
        };
        let Some(other) = by_name.get(other_name.as_str()) else {
            continue;
        };
        check_values([(name.as_str(), tensor), (other_name.as_str(), *other)])?;
        let wrong = |found: String| {
            let expected = format!("a shape that goes with `{name}`, {:?}", tensor.dims());
            Error::argument(&other_name, expected, found)
        };
        if is_whole(tensor) {
            let expected = "numbers in floating point";
            return refuse(name, expected, "whole numbers");
        }
        let together = match pair {
            Pair::Mask if tensor.dims() == other.dims() => masked(tensor, other),
            Pair::Norm if scales(tensor.dims(), other.dims()) && !is_whole(other) => {
                scaled(tensor, other)
            }
            _ => return Err(wrong(format!("{:?}", other.dims()))),
        };
        let together = together.during(|| format!("computing `{base}`"))?;
        taken.insert(other_name);
        made.insert(name.clone(), (base, together));
    }
    let mut all = Vec::with_capacity(tensors.len());
    for (name, tensor) in tensors {
        match made.remove(&name) {
            Some(together) => all.push(together),
            None if taken.contains(&name) => {}
            None => all.push((name, tensor)),
        }
    }
    Ok(all)
}

/// True where lengths of this shape belong to directions of that one.
fn scales(lengths: &[usize], directions: &[usize]) -> bool {
    let each = lengths.iter().zip(directions);
    let alike = each.clone().all(|(length, n)| *length == 1 || length == n);
    lengths.is_empty() || (lengths.len() == directions.len() && alike)
}

/// Weight times mask.
fn masked(weight: &Tensor, mask: &Tensor) -> candle_core::Result<Tensor> {
    weight * mask.to_dtype(weight.dtype())?
}

/// `length · direction / |direction|`, the norm over the dimensions in which the length is one number.
fn scaled(length: &Tensor, direction: &Tensor) -> candle_core::Result<Tensor> {
    let wide = direction.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let over: Vec<usize> = (0..direction.rank())
        .filter(|&dimension| length.rank() == 0 || length.dims()[dimension] == 1)
        .collect();
    let norm = wide.sqr()?.sum_keepdim(over)?.sqrt()?;
    let factor = length.to_dtype(DType::F64)?.broadcast_div(&norm)?;
    wide.broadcast_mul(&factor)?.to_dtype(DType::F32)
}
