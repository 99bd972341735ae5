//! Operators that normalise: batch, layer, group, root mean square.

use super::super::call::{Call, Known};
use crate::error::Result;
use crate::net::general::{Binary, General, Reduction, Unary};
use crate::net::graph::{BatchNormNode, LayerNormNode, Op};

/// Batch norm with the statistics of the file.
pub(super) fn batch_norm(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let epsilon = call.attributes.float_or("epsilon", 1e-5);
    let momentum = call.attributes.float_or("momentum", 0.9);
    call.attributes.ignore(&["spatial"]);
    if call.attributes.flag("training_mode") {
        return norm_of_batch(call, &x, epsilon, momentum);
    }
    let (scale, shift) = (call.constant(1)?, call.constant(2)?);
    let (mean, variance) = (call.constant(3)?, call.constant(4)?);
    let Some(channels) = x.shape.get(1).copied() else {
        return Err(call.wrong("channels", format!("{:?}", x.shape)));
    };
    if [&scale, &shift, &mean, &variance]
        .iter()
        .any(|c| c.tensor.dims() != [channels])
    {
        return Err(call.wrong(format!("four vectors of {channels} channels"), "others"));
    }
    // of images, whatever the dimensions behind the channels are
    let behind = x.shape.iter().skip(2).product();
    let images = if x.rank() == 4 {
        x.clone()
    } else {
        call.reshape(&x, vec![x.shape[0], channels, 1, behind])?
    };
    let state = &mut *call.state;
    let norm = BatchNormNode {
        scale: state.parameter(&scale.name, &scale.tensor)?,
        shift: state.parameter(&shift.name, &shift.tensor)?,
        running_mean: state.buffer(&mean.name, &mean.tensor)?,
        running_var: state.buffer(&variance.name, &variance.tensor)?,
        epsilon,
    };
    let y = call.apply(Op::BatchNorm(norm), &[&images])?;
    Ok(vec![call.reshape(&y, x.shape.clone())?])
}

/// Batch norm by the statistics of all images at once, which no batch of a network may have.
fn norm_of_batch(call: &mut Call, x: &Known, epsilon: f64, momentum: f64) -> Result<Vec<Known>> {
    let axes: Vec<usize> = (0..x.rank()).filter(|axis| *axis != 1).collect();
    let [centred, mean, variance] = moments(call, x, axes)?;
    let along = mean.shape.clone();
    let mut vectors = Vec::with_capacity(4);
    for at in 1..5 {
        let vector = call.input(at)?;
        vectors.push(call.reshape(&vector, along.clone())?);
    }
    let shifted = call.unary(Unary::Offset(epsilon), &variance)?;
    let deviation = call.unary(Unary::Sqrt, &shifted)?;
    let normed = call.binary(Binary::Div, &centred, &deviation)?;
    let scaled = call.binary(Binary::Mul, &normed, &vectors[0])?;
    let y = call.add(&scaled, &vectors[1])?;
    let mut outputs = vec![y];
    for (running, own) in [(&vectors[2], &mean), (&vectors[3], &variance)] {
        let kept = call.apply(Op::Scale(momentum), &[running])?;
        let new = call.apply(Op::Scale(1.0 - momentum), &[own])?;
        let moved = call.add(&kept, &new)?;
        let channels = moved.shape.iter().product();
        outputs.push(call.reshape(&moved, vec![channels])?);
    }
    Ok(outputs)
}

/// `x` less its mean along axes; beside it the mean and the variance.
fn moments(call: &mut Call, x: &Known, axes: Vec<usize>) -> Result<[Known; 3]> {
    let mean = call.reduce(Reduction::Mean, axes.clone(), x)?;
    let centred = call.binary(Binary::Sub, x, &mean)?;
    let squares = call.binary(Binary::Mul, &centred, &centred)?;
    let variance = call.reduce(Reduction::Mean, axes, &squares)?;
    Ok([centred, mean, variance])
}

/// `x` less its mean over its deviation along the last axis; beside it the mean and one over the deviation.
fn standard(call: &mut Call, x: &Known, epsilon: f64) -> Result<[Known; 3]> {
    let [centred, mean, variance] = moments(call, x, vec![x.rank() - 1])?;
    let variance = call.unary(Unary::Offset(epsilon), &variance)?;
    let deviation = call.unary(Unary::Sqrt, &variance)?;
    let inverse = call.unary(Unary::Reciprocal, &deviation)?;
    let normed = call.binary(Binary::Mul, &centred, &inverse)?;
    Ok([normed, mean, inverse])
}

/// All dimensions from an axis on as one.
fn flat_from(call: &mut Call, x: &Known, axis: usize) -> Result<Known> {
    let last = x.shape[axis..].iter().product();
    let dims = [&x.shape[..axis], &[last]].concat();
    call.reshape(x, dims)
}

/// Layer norm over the dimensions from an axis on.
pub(super) fn layer_norm(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", -1);
    let axis = call.axis(axis, x.rank())?;
    let epsilon = call.attributes.float_or("epsilon", 1e-5);
    call.attributes.ignore(&["stash_type"]);
    let (scale, shift) = (call.input(1)?, call.optional(2));
    let flat = flat_from(call, &x, axis)?;
    let features = flat.shape[axis];
    let vector = |known: &Known| {
        known
            .constant()
            .filter(|own| own.tensor.elem_count() == features)
            .cloned()
    };
    let statistics = call.node.output.len() > 1;
    let constants = (vector(&scale), shift.as_ref().and_then(vector));
    if let ((Some(scale), Some(shift)), false, None) = (constants, statistics, flat.constant()) {
        let state = &mut *call.state;
        let norm = LayerNormNode {
            scale: state.parameter(&scale.name, &scale.tensor.flatten_all()?)?,
            shift: state.parameter(&shift.name, &shift.tensor.flatten_all()?)?,
            epsilon,
        };
        let y = call.apply(Op::LayerNorm(norm), &[&flat])?;
        return Ok(vec![call.reshape(&y, x.shape.clone())?]);
    }
    let [normed, mean, inverse] = standard(call, &flat, epsilon)?;
    let normed = call.reshape(&normed, x.shape.clone())?;
    let mut y = call.binary(Binary::Mul, &normed, &scale)?;
    if let Some(shift) = shift {
        y = call.add(&y, &shift)?;
    }
    if !statistics {
        return Ok(vec![y]);
    }
    let ones = vec![1; x.rank() - axis];
    let dims = [&x.shape[..axis], &ones[..]].concat();
    let mean = call.reshape(&mean, dims.clone())?;
    let inverse = call.reshape(&inverse, dims)?;
    Ok(vec![y, mean, inverse])
}

/// `x` over the root of its mean square, times a scale.
pub(super) fn rms_norm(call: &mut Call) -> Result<Known> {
    let (x, scale) = (call.input(0)?, call.input(1)?);
    let axis = call.attributes.integer_or("axis", -1);
    let axis = call.axis(axis, x.rank())?;
    let epsilon = call.attributes.float_or("epsilon", 1e-5);
    call.attributes.ignore(&["stash_type"]);
    let flat = flat_from(call, &x, axis)?;
    let squares = call.binary(Binary::Mul, &flat, &flat)?;
    let mean = call.reduce(Reduction::Mean, vec![axis], &squares)?;
    let mean = call.unary(Unary::Offset(epsilon), &mean)?;
    let root = call.unary(Unary::Sqrt, &mean)?;
    let y = call.binary(Binary::Div, &flat, &root)?;
    let y = call.reshape(&y, x.shape.clone())?;
    call.binary(Binary::Mul, &y, &scale)
}

/// Each channel of each image for itself.
pub(super) fn instance_norm(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let groups = *x.shape.get(1).unwrap_or(&1);
    grouped(call, &x, groups, false)
}

/// Groups of channels of each image.
pub(super) fn group_norm(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let groups = call.attributes.integer_or("num_groups", 1);
    call.attributes.ignore(&["stash_type"]);
    // before version 21 a scale for each group
    let by_group = call.opset < 21;
    let groups = usize::try_from(groups).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or_else(|| call.wrong("groups", "none"))?;
    grouped(call, &x, groups, by_group)
}

fn grouped(call: &mut Call, x: &Known, groups: usize, by_group: bool) -> Result<Known> {
    let epsilon = call.attributes.float_or("epsilon", 1e-5);
    let (scale, shift) = (call.input(1)?, call.input(2)?);
    let [batch, channels, rest @ ..] = &x.shape[..] else {
        return Err(call.wrong("channels", format!("{:?}", x.shape)));
    };
    if channels % groups != 0 {
        return Err(call.wrong(
            format!("groups that divide {channels} channels"),
            groups.to_string(),
        ));
    }
    let inside = channels / groups * rest.iter().product::<usize>();
    let flat = call.reshape(x, vec![*batch, groups, inside])?;
    let [mut y, _, _] = standard(call, &flat, epsilon)?;
    if !by_group {
        y = call.reshape(&y, x.shape.clone())?;
    }
    let rank = y.rank() - 2;
    let along = |known: &Known| [&[known.shape.iter().product()], &vec![1; rank][..]].concat();
    let (by, more) = (along(&scale), along(&shift));
    let scale = call.reshape(&scale, by)?;
    let shift = call.reshape(&shift, more)?;
    let y = call.binary(Binary::Mul, &y, &scale)?;
    let y = call.add(&y, &shift)?;
    call.reshape(&y, x.shape.clone())
}

/// `x` over its norm along an axis; 0 where that is 0.
pub(super) fn lp_norm(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", -1);
    let axis = call.axis(axis, x.rank())?;
    let norm = if call.attributes.integer_or("p", 2) == 1 {
        let sizes = call.unary(Unary::Abs, &x)?;
        call.reduce(Reduction::Sum, vec![axis], &sizes)?
    } else {
        let squares = call.binary(Binary::Mul, &x, &x)?;
        let sum = call.reduce(Reduction::Sum, vec![axis], &squares)?;
        call.unary(Unary::Sqrt, &sum)?
    };
    let zero = call.unary(Unary::Not, &norm)?;
    let divisor = call.add(&norm, &zero)?;
    let y = call.binary(Binary::Div, &x, &divisor)?;
    let nothing = call.scalar(0.0)?;
    call.apply(Op::General(General::Where), &[&zero, &nothing, &y])
}
