//! Operators that move values and compute none.

use super::super::call::{Call, Known};
use super::super::constant::{sizes, Element};
use crate::error::Result;
use crate::net::general::General;
use crate::net::graph::Op;
use candle_core::{DType, Device, Tensor};

pub(super) fn identity(call: &mut Call) -> Result<Known> {
    call.attributes.ignore(&["ratio", "seed"]);
    call.input(0)
}

pub(super) fn constant(call: &mut Call) -> Result<Known> {
    let name = call.node.output.first().cloned().unwrap_or_default();
    if let Some(tensor) = call.attributes.tensor("value") {
        let (values, element) = call.state.tensors.read(tensor)?;
        call.state.room += 4 * values.elem_count();
        return Ok(call.state.constant(name, values, element));
    }
    let device = &Device::Cpu;
    let (values, element) = if let Some(value) = call.attributes.integer("value_int") {
        (Tensor::new(value as f64, device)?, Element::INT64)
    } else if let Some(values) = call.attributes.integers("value_ints") {
        let values: Vec<f64> = values.iter().map(|v| *v as f64).collect();
        (Tensor::new(values, device)?, Element::INT64)
    } else if let Some(values) = call.attributes.floats("value_floats") {
        let values: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        (Tensor::new(values, device)?, Element::Float)
    } else if let Some(value) = call.attributes.float("value_float") {
        (Tensor::new(value, device)?, Element::Float)
    } else {
        return Err(call.wrong("a value of numbers", "another"));
    };
    Ok(call.state.constant(name, values, element))
}

/// Dimensions as a constant says them.
fn dimensions(call: &Call, at: usize) -> Result<Vec<i64>> {
    call.integers(at)?
        .ok_or_else(|| call.wrong(format!("dimensions as input {at}"), "none"))
}

/// Dimensions as an attribute says them, in older versions of an operator, else a constant.
fn dimensions_of(call: &Call, name: &'static str, at: usize) -> Result<Vec<i64>> {
    match call.attributes.integers(name) {
        Some(given) => Ok(given.to_vec()),
        None => dimensions(call, at),
    }
}

/// Dimensions of a result that must not be too large.
fn checked(call: &Call, dims: &[i64]) -> Result<Vec<usize>> {
    let checked = sizes(dims).map(|(dims, _)| dims);
    checked.ok_or_else(|| call.wrong("dimensions of at most 2³¹ values", format!("{dims:?}")))
}

/// The dimension that stands for the batch in a shape which a constant is spread to.
fn batch_of(call: &Call, dims: &[usize], own: &[usize]) -> Option<usize> {
    let batch = call.state.batch.filter(|batch| *batch > 1)?;
    let skipped = dims.len() - own.len().min(dims.len());
    let free = |axis: usize| axis < skipped || own[axis - skipped] == 1;
    (0..dims.len()).find(|axis| dims[*axis] == batch && free(*axis))
}

pub(super) fn constant_of_shape(call: &mut Call) -> Result<Known> {
    let dims = dimensions(call, 0)?;
    let dims = checked(call, &dims)?;
    let (value, element) = match call.attributes.tensor("value") {
        None => (0.0, Element::Float),
        Some(tensor) => {
            let (values, element) = call.state.tensors.read(tensor)?;
            let values = values.flatten_all()?.to_vec1::<f64>()?;
            let [value] = values[..] else {
                return Err(call.wrong("one value", values.len().to_string()));
            };
            (value, element)
        }
    };
    let batch = batch_of(call, &dims, &[]);
    let mut own = dims.clone();
    if let Some(axis) = batch {
        own[axis] = 1;
    }
    call.take_room(own.iter().product())?;
    let values = (Tensor::zeros(own, DType::F64, &Device::Cpu)? + value)?;
    let made = call.made(values, element)?;
    Ok(Known {
        shape: dims,
        batch,
        ..made
    })
}

pub(super) fn range(call: &mut Call) -> Result<Known> {
    let (start, end, step) = (call.number(0)?, call.number(1)?, call.number(2)?);
    let (Some(start), Some(end), Some(step)) = (start, end, step) else {
        return Err(call.wrong("three numbers", "fewer"));
    };
    let count = ((end - start) / step).ceil().max(0.0);
    if !count.is_finite() || count > 1e9 {
        return Err(call.wrong("a range that ends", format!("{start} to {end} by {step}")));
    }
    call.take_room(count as usize)?;
    let element = call.input(0)?.element;
    let values: Vec<f64> = (0..count as usize)
        .map(|at| start + at as f64 * step)
        .collect();
    let length = values.len();
    Ok(call.vector(values, &[length])?.with(element))
}

pub(super) fn shape(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let rank = x.rank() as i64;
    let place = |at: i64| (if at < 0 { at + rank } else { at }).clamp(0, rank) as usize;
    let start = place(call.attributes.integer_or("start", 0));
    let end = place(call.attributes.integer_or("end", rank));
    let dims = x.shape.get(start..end).unwrap_or_default();
    let dims: Vec<f64> = dims.iter().map(|dim| *dim as f64).collect();
    let length = dims.len();
    Ok(call.vector(dims, &[length])?.with(Element::INT64))
}

pub(super) fn reshape(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let keeps_zero = call.attributes.flag("allowzero");
    let given = dimensions_of(call, "shape", 1)?;
    let mut dims = Vec::with_capacity(given.len());
    for (axis, dim) in given.iter().enumerate() {
        dims.push(match (*dim, x.shape.get(axis)) {
            (0, Some(own)) if !keeps_zero => *own as i64,
            (dim, _) => dim,
        });
    }
    let all: i64 = x.shape.iter().product::<usize>() as i64;
    let known = dims
        .iter()
        .filter(|dim| **dim >= 0)
        .try_fold(1i64, |count, dim| count.checked_mul(*dim));
    let known = known.unwrap_or(0);
    for dim in dims.iter_mut().filter(|dim| **dim == -1) {
        *dim = all.checked_div(known).unwrap_or(0);
    }
    let dims = checked(call, &dims)?;
    // an exporter that was shown fewer images wrote their number down
    let dims = freed(call, &x, dims);
    call.reshape(&x, dims)
}

/// Dimensions in which the batch is as large as the value's.
fn freed(call: &Call, x: &Known, mut dims: Vec<usize>) -> Vec<usize> {
    let (count, own): (usize, usize) = (dims.iter().product(), x.shape.iter().product());
    if let (Some(0), Some(batch)) = (x.batch, call.state.batch) {
        if count > 0
            && count != own
            && own % count == 0
            && own / count == batch
            && dims.first() == Some(&1)
        {
            dims[0] = batch;
        }
    }
    dims
}

pub(super) fn flatten(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", 1);
    let rank = x.rank() as i64;
    let axis = if axis < 0 { axis + rank } else { axis };
    if !(0..=rank).contains(&axis) {
        return Err(call.wrong(format!("an axis of {rank} dimensions"), axis.to_string()));
    }
    let (before, behind) = x.shape.split_at(axis as usize);
    let dims = vec![before.iter().product(), behind.iter().product()];
    call.reshape(&x, dims)
}

pub(super) fn transpose(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let order = match call.attributes.integers("perm") {
        Some(order) => order
            .iter()
            .map(|axis| usize::try_from(*axis).unwrap_or(usize::MAX))
            .collect(),
        None => (0..x.rank()).rev().collect(),
    };
    call.transpose(&x, order)
}

/// Axes as an attribute or a constant says them.
fn axes(call: &Call, at: usize, rank: usize) -> Result<Option<Vec<usize>>> {
    let given = call.integers_of("axes", at)?;
    given.map(|axes| call.axes(&axes, rank)).transpose()
}

pub(super) fn squeeze(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let of_one = || {
        (0..x.rank())
            .filter(|axis| x.shape[*axis] == 1 && Some(*axis) != x.batch)
            .collect()
    };
    let axes = axes(call, 1, x.rank())?.unwrap_or_else(of_one);
    if axes.iter().any(|axis| x.shape[*axis] != 1) {
        return Err(call.wrong(
            "dimensions of length 1",
            format!("{axes:?} of {:?}", x.shape),
        ));
    }
    super::arithmetic::without(call, &x, &axes)
}

pub(super) fn unsqueeze(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let count = call.integers_of("axes", 1)?.map_or(0, |axes| axes.len());
    if count > 8 {
        return Err(call.wrong("at most 8 dimensions", count.to_string()));
    }
    let mut axes = axes(call, 1, x.rank() + count)?.unwrap_or_default();
    axes.sort_unstable();
    let mut dims = x.shape.clone();
    for axis in axes {
        if axis > dims.len() {
            return Err(call.wrong("axes of the result", axis.to_string()));
        }
        dims.insert(axis, 1);
    }
    call.reshape(&x, dims)
}

pub(super) fn expand(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let dims = dimensions(call, 1)?;
    let dims = checked(call, &dims)?;
    expanded(call, &x, dims)
}

fn expanded(call: &mut Call, x: &Known, dims: Vec<usize>) -> Result<Known> {
    let Some(shape) = crate::net::general::spread(&x.shape, &dims) else {
        return Err(call.wrong(
            format!("dimensions to which {:?} spreads", x.shape),
            format!("{dims:?}"),
        ));
    };
    if shape == x.shape {
        return Ok(x.clone());
    }
    // one image's value stands for the whole batch: it is spread where it meets the others
    let batch = x.batch.or_else(|| batch_of(call, &shape, &x.shape));
    let skipped = shape.len() - x.rank();
    let mut dims = Vec::with_capacity(shape.len());
    for (axis, dim) in shape.iter().enumerate() {
        let own = axis.checked_sub(skipped).map(|own| x.shape[own]);
        let of_batch = Some(axis) == batch;
        dims.push(match own {
            Some(own) if own == *dim || of_batch => 0,
            None if of_batch => 1,
            _ => *dim,
        });
    }
    call.check_size(&shape, batch)?;
    let own = call.apply(Op::General(General::Expand(dims)), &[x])?;
    Ok(Known {
        shape,
        batch,
        ..own
    })
}

pub(super) fn tile(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let repeats = dimensions(call, 1)?;
    let repeats = checked(call, &repeats)?;
    if repeats.len() != x.rank() {
        return Err(call.wrong(format!("{} repeats", x.rank()), format!("{repeats:?}")));
    }
    let mut y = x.clone();
    for (axis, repeats) in repeats.into_iter().enumerate() {
        let length = x.shape[axis];
        if length == 1 {
            let mut dims = y.shape.clone();
            dims[axis] = repeats;
            y = expanded(call, &y, dims)?;
        } else if repeats != 1 {
            let count = length.saturating_mul(repeats);
            call.check_size(&[count], None)?;
            let places = (0..count).map(|place| (place % length) as u32).collect();
            y = select(call, &y, axis, places)?;
        }
    }
    Ok(y)
}

/// Places along an axis; the batch stays whole.
fn select(call: &mut Call, x: &Known, axis: usize, places: Vec<u32>) -> Result<Known> {
    let whole = places.iter().copied().eq(0..x.shape[axis] as u32);
    if whole {
        return Ok(x.clone());
    }
    if x.batch == Some(axis) {
        return Err(call.wrong("each image for itself", "a choice among the batch"));
    }
    // a run is a slice
    let run = places
        .windows(2)
        .all(|pair| pair[0].checked_add(1) == Some(pair[1]));
    let op = match places.first() {
        Some(start) if run && (*start as usize + places.len()) <= x.shape[axis] => Op::Slice {
            axis,
            start: *start as usize,
            length: places.len(),
        },
        _ => Op::General(General::Select { axis, places }),
    };
    call.apply(op, &[x])
}

pub(super) fn slice(call: &mut Call) -> Result<Known> {
    let mut x = call.input(0)?;
    let (starts, ends) = match (
        call.attributes.integers("starts"),
        call.attributes.integers("ends"),
    ) {
        (Some(starts), Some(ends)) => (starts.to_vec(), ends.to_vec()),
        _ => (dimensions(call, 1)?, dimensions(call, 2)?),
    };
    let axes = axes(call, 3, x.rank())?.unwrap_or_else(|| (0..starts.len()).collect());
    let steps = call.integers(4)?.unwrap_or_else(|| vec![1; starts.len()]);
    if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] || starts.len() > x.rank() {
        return Err(call.wrong("as many starts as ends, axes and steps", "others"));
    }
    for (at, axis) in axes.into_iter().enumerate() {
        let length = x.shape[axis] as i64;
        let from_end = |place: i64| {
            if place < 0 {
                place.saturating_add(length)
            } else {
                place
            }
        };
        let (start, end, step) = (from_end(starts[at]), from_end(ends[at]), steps[at]);
        let mut places = Vec::new();
        if step > 0 {
            let (start, end) = (start.clamp(0, length), end.clamp(0, length));
            let step = usize::try_from(step).unwrap_or(usize::MAX);
            places.extend((start..end).step_by(step).map(|place| place as u32));
        } else if step < 0 {
            let (start, end) = (start.clamp(-1, length - 1), end.clamp(-1, length - 1));
            let step = usize::try_from(step.unsigned_abs()).unwrap_or(usize::MAX);
            places.extend(
                (end + 1..=start)
                    .rev()
                    .step_by(step)
                    .map(|place| place as u32),
            );
        } else {
            return Err(call.wrong("steps that are not 0", "0"));
        }
        x = select(call, &x, axis, places)?;
    }
    Ok(x)
}

pub(super) fn gather(call: &mut Call) -> Result<Known> {
    let (x, indices) = (call.input(0)?, call.input(1)?);
    let axis = call.attributes.integer_or("axis", 0);
    let axis = call.axis(axis, x.rank())?;
    let length = x.shape[axis] as i64;
    let mut places = Vec::new();
    for place in call.integers(1)?.unwrap_or_default() {
        let own = if place < 0 { place + length } else { place };
        if !(0..length).contains(&own) {
            return Err(call.wrong(format!("places among {length}"), place.to_string()));
        }
        places.push(own as u32);
    }
    let chosen = select(call, &x, axis, places)?;
    let dims = [&x.shape[..axis], &indices.shape[..], &x.shape[axis + 1..]].concat();
    call.reshape(&chosen, dims)
}

pub(super) fn concat(call: &mut Call) -> Result<Known> {
    let all = (0..call.inputs.len()).map(|at| call.input(at));
    let all: Vec<Known> = all.collect::<Result<_>>()?;
    let Some(first) = all.first() else {
        return Err(call.wrong("inputs", "none"));
    };
    let axis = call.attributes.integer_or("axis", 0);
    let axis = call.axis(axis, first.rank())?;
    if all.iter().any(|known| known.batch == Some(axis)) {
        return Err(call.wrong("each image for itself", "batches one behind the other"));
    }
    let fits = |known: &Known| {
        let dims = known.shape.iter().zip(&first.shape).enumerate();
        known.rank() == first.rank() && dims.into_iter().all(|(own, (a, b))| own == axis || a == b)
    };
    if !all.iter().all(fits) {
        let shapes: Vec<&[usize]> = all.iter().map(|known| &known.shape[..]).collect();
        return Err(call.wrong("the same dimensions beside the axis", format!("{shapes:?}")));
    }
    if all.len() == 1 {
        return Ok(first.clone());
    }
    let inputs: Vec<&Known> = all.iter().collect();
    call.apply(Op::Concat { axis }, &inputs)
}

pub(super) fn split(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", 0);
    let axis = call.axis(axis, x.rank())?;
    let length = x.shape[axis];
    let given = call.integers_of("split", 1)?;
    let parts = call
        .attributes
        .integer_or("num_outputs", call.node.output.len() as i64);
    let lengths = match given {
        Some(lengths) => checked(call, &lengths)?,
        None => {
            let parts = usize::try_from(parts)
                .ok()
                .filter(|parts| (1..=length.max(1)).contains(parts));
            let parts = parts.ok_or_else(|| call.wrong("parts of the axis", "none"))?;
            let each = length.div_ceil(parts);
            (0..parts)
                .map(|part| each.min(length.saturating_sub(part * each)))
                .collect()
        }
    };
    let mut all = lengths.iter();
    let sum = all.try_fold(0usize, |sum, length| sum.checked_add(*length));
    if sum != Some(length) {
        let expected = format!("lengths that sum to {length}");
        return Err(call.wrong(expected, format!("{lengths:?}")));
    }
    let mut start = 0u32;
    let mut outputs = Vec::with_capacity(lengths.len());
    for length in lengths {
        let end = start + length as u32;
        outputs.push(select(call, &x, axis, (start..end).collect())?);
        start = end;
    }
    Ok(outputs)
}

pub(super) fn pad(call: &mut Call) -> Result<Known> {
    let mut x = call.input(0)?;
    let mode = call.attributes.text_or("mode", "constant");
    let given = dimensions_of(call, "pads", 1)?;
    let value = call.attributes.float_or("value", 0.0);
    let value = call.number(2)?.unwrap_or(value);
    let axes = match call.integers(3)? {
        None => (0..x.rank()).collect(),
        Some(axes) => call.axes(&axes, x.rank())?,
    };
    if given.len() != 2 * axes.len() {
        return Err(call.wrong(format!("{} pads", 2 * axes.len()), given.len().to_string()));
    }
    for (at, axis) in axes.iter().enumerate() {
        let pads = [given[at], given[axes.len() + at]];
        x = padded(call, &x, *axis, pads, &mode, value)?;
    }
    Ok(x)
}

/// One axis with values before and behind, or without some.
fn padded(
    call: &mut Call,
    x: &Known,
    axis: usize,
    pads: [i64; 2],
    mode: &str,
    value: f64,
) -> Result<Known> {
    if pads == [0, 0] {
        return Ok(x.clone());
    }
    let length = x.shape[axis] as i64;
    if x.batch == Some(axis) || pads.iter().any(|pad| pad.unsigned_abs() > 1 << 24) {
        return Err(call.wrong("padding of images", format!("{pads:?} along axis {axis}")));
    }
    let [before, after] = pads;
    if mode == "constant" {
        let kept = (-before).max(0) as u32..(length + after.min(0)).max(0) as u32;
        let x = select(call, x, axis, kept.collect())?;
        let (before, after) = (before.max(0) as usize, after.max(0) as usize);
        let pad = General::Pad {
            axis,
            before,
            after,
            value,
        };
        return call.apply(Op::General(pad), &[&x]);
    }
    let mut shape = x.shape.clone();
    shape[axis] = (length + before + after).max(0) as usize;
    call.check_size(&shape, x.batch)?;
    let place = |at: i64| match mode {
        "edge" => Some(at.clamp(0, length - 1)),
        "wrap" => at.checked_rem_euclid(length),
        "reflect" if length > 1 => {
            let there = at.rem_euclid(2 * length - 2);
            Some(if there < length {
                there
            } else {
                2 * length - 2 - there
            })
        }
        "reflect" => Some(0),
        _ => None,
    };
    let places = (-before..length + after).map(|at| place(at).map(|place| place as u32));
    let places: Option<Vec<u32>> = places.collect();
    match places {
        Some(places) if length > 0 => select(call, x, axis, places),
        _ => Err(call.wrong("constant, edge, reflect or wrap", mode)),
    }
}

/// Channels, rows and columns, with the side of a block.
fn blocks(call: &Call, x: &Known) -> Result<([usize; 4], usize)> {
    let side = call.attributes.integer_or("blocksize", 1);
    match (x.shape[..].try_into(), usize::try_from(side)) {
        (Ok(dims), Ok(side)) if (1..1 << 12).contains(&side) => Ok((dims, side)),
        _ => Err(call.wrong("images and the side of a block", format!("{:?}", x.shape))),
    }
}

pub(super) fn depth_to_space(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let ([batch, channels, height, width], side) = blocks(call, &x)?;
    let rest = channels / (side * side);
    let (dims, order) = match call.attributes.text_or("mode", "DCR").as_str() {
        "DCR" => (
            vec![batch, side, side, rest, height, width],
            vec![0, 3, 4, 1, 5, 2],
        ),
        _ => (
            vec![batch, rest, side, side, height, width],
            vec![0, 1, 4, 2, 5, 3],
        ),
    };
    let result = vec![batch, rest, height * side, width * side];
    rearranged(call, &x, dims, order, result)
}

pub(super) fn space_to_depth(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let ([batch, channels, height, width], side) = blocks(call, &x)?;
    let (rows, columns) = (height / side, width / side);
    let dims = vec![batch, channels, rows, side, columns, side];
    let order = match call.attributes.text_or("mode", "DCR").as_str() {
        "CRD" => vec![0, 1, 3, 5, 2, 4],
        _ => vec![0, 3, 5, 1, 2, 4],
    };
    let result = vec![batch, channels * side * side, rows, columns];
    rearranged(call, &x, dims, order, result)
}

/// Dimensions taken apart, put into another order, and joined.
fn rearranged(
    call: &mut Call,
    x: &Known,
    apart: Vec<usize>,
    order: Vec<usize>,
    joined: Vec<usize>,
) -> Result<Known> {
    let y = call.reshape(x, apart)?;
    let y = call.transpose(&y, order)?;
    call.reshape(&y, joined)
}
