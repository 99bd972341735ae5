//! Operators of each value for itself, of two values, and along axes.

use super::super::call::{Call, Known};
use super::super::constant::Element;
use crate::error::Result;
use crate::net::general::{Binary, General, Reduction, Unary};
use crate::net::graph::Op;

pub(super) fn relu(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    call.apply(Op::Relu, &[&x])
}

pub(super) fn elu(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let alpha = call.attributes.float_or("alpha", 1.0);
    call.unary(Unary::Elu(alpha), &x)
}

pub(super) fn leaky_relu(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let alpha = call.attributes.float_or("alpha", 0.01);
    call.unary(Unary::LeakyRelu(alpha), &x)
}

pub(super) fn add(call: &mut Call) -> Result<Known> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    call.add(&a, &b)
}

/// A function of two values.
pub(super) fn two(call: &mut Call, function: Binary) -> Result<Known> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let y = call.binary(function, &a, &b)?;
    match function {
        Binary::And | Binary::Equal | Binary::Greater | Binary::Less | Binary::Or => {
            Ok(y.with(Element::Bool))
        }
        // whole numbers are divided towards zero
        Binary::Div if !a.element.is_float() => call.unary(Unary::Truncate, &y),
        _ => Ok(y),
    }
}

pub(super) fn sum(call: &mut Call) -> Result<Known> {
    over_all(call, Op::Add)
}

pub(super) fn greatest(call: &mut Call) -> Result<Known> {
    over_all(call, Op::General(General::Binary(Binary::Max)))
}

pub(super) fn least(call: &mut Call) -> Result<Known> {
    over_all(call, Op::General(General::Binary(Binary::Min)))
}

/// The same function over all inputs.
fn over_all(call: &mut Call, function: Op) -> Result<Known> {
    let mut result = call.input(0)?;
    for at in 1..call.inputs.len() {
        let next = call.input(at)?;
        result = call.apply(function.clone(), &[&result, &next])?;
    }
    Ok(result)
}

/// A power.
pub(super) fn power(call: &mut Call) -> Result<Known> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let exponent = match b.constant() {
        Some(constant) if constant.tensor.elem_count() == 1 && b.rank() <= a.rank() => {
            call.number(1)?
        }
        _ => None,
    };
    let result = match exponent {
        Some(exponent) => call.unary(Unary::Power(exponent), &a)?,
        None => call.binary(Binary::Pow, &a, &b)?,
    };
    if a.element.is_float() {
        Ok(result)
    } else {
        call.unary(Unary::Round, &result)
    }
}

/// A value or another, as a third one says.
pub(super) fn choice(call: &mut Call) -> Result<Known> {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let chosen = call.apply(Op::General(General::Where), &[&condition, &a, &b])?;
    Ok(chosen.with(a.element))
}

/// Between two bounds.
pub(super) fn clip(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let low = call.attributes.float_or("min", f32::NEG_INFINITY);
    let high = call.attributes.float_or("max", f32::INFINITY);
    let low = call.number(1)?.unwrap_or(low);
    let high = call.number(2)?.unwrap_or(high);
    clipped(call, &x, low, high)
}

/// Clips; a constant of whole numbers remembers the bounds.
pub(super) fn clipped(call: &mut Call, x: &Known, low: f64, high: f64) -> Result<Known> {
    if low == 0.0 && high == f64::INFINITY {
        return call.apply(Op::Relu, &[x]);
    }
    let clipped = call.unary(Unary::Clip(low, high), x)?;
    let Some(own) = x.constant().filter(|_| !x.element.is_float()) else {
        return Ok(clipped);
    };
    let bounds = own.bounds.or(x.element.bounds()).unwrap_or((low, high));
    let bounds = (bounds.0.max(low), bounds.1.min(high));
    Ok(clipped.described(&own.name, None, Some(bounds)))
}

/// `max(0, min(1, alpha x + beta))`.
pub(super) fn hard_sigmoid(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let alpha = call.attributes.float_or("alpha", 0.2);
    let beta = call.attributes.float_or("beta", 0.5);
    bent(call, &x, alpha, beta)
}

fn bent(call: &mut Call, x: &Known, alpha: f64, beta: f64) -> Result<Known> {
    let x = call.apply(Op::Scale(alpha), &[x])?;
    let x = call.unary(Unary::Offset(beta), &x)?;
    call.unary(Unary::Clip(0.0, 1.0), &x)
}

/// `x` times its hard sigmoid of slope 1/6.
pub(super) fn hard_swish(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let gate = bent(call, &x, 1.0 / 6.0, 0.5)?;
    call.binary(Binary::Mul, &x, &gate)
}

/// `x` times the sigmoid of `alpha x`.
pub(super) fn swish(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let alpha = call.attributes.float_or("alpha", 1.0);
    let scaled = if alpha == 1.0 {
        x.clone()
    } else {
        call.apply(Op::Scale(alpha), &[&x])?
    };
    let gate = call.unary(Unary::Sigmoid, &scaled)?;
    call.binary(Binary::Mul, &x, &gate)
}

/// `x tanh(softplus(x))`.
pub(super) fn mish(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let gate = call.unary(Unary::Softplus, &x)?;
    let gate = call.unary(Unary::Tanh, &gate)?;
    call.binary(Binary::Mul, &x, &gate)
}

/// `x Φ(x)`, or its approximation by tanh.
pub(super) fn gelu(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    match call.attributes.text_or("approximate", "none").as_str() {
        "tanh" => call.unary(Unary::GeluTanh, &x),
        "none" => call.apply(Op::Gelu, &[&x]),
        other => Err(call.wrong("`none` or `tanh` as approximation", other)),
    }
}

/// `x` from zero on, below it times a slope.
pub(super) fn prelu(call: &mut Call) -> Result<Known> {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    let above = call.apply(Op::Relu, &[&x])?;
    let below = call.unary(Unary::Clip(f64::NEG_INFINITY, 0.0), &x)?;
    let below = call.binary(Binary::Mul, &below, &slope)?;
    call.add(&above, &below)
}

/// Shares that sum to 1 along an axis, or their logarithms.
pub(super) fn softmax(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let flat = call.opset < 13;
    let axis = call
        .attributes
        .integer_or("axis", if flat { 1 } else { -1 });
    let axis = call.axis(axis, x.rank())?;
    let last = x.rank() - 1;
    // before version 13 all dimensions from the axis on are one
    let moved = if flat && axis != last {
        let rows = x.shape[..axis].iter().product();
        let columns = x.shape[axis..].iter().product();
        call.reshape(&x, vec![rows, columns])?
    } else {
        call.swapped(&x, axis, last)?
    };
    let result = if call.node.op_type == "LogSoftmax" {
        log_softmax(call, &moved)?
    } else {
        call.apply(Op::Softmax, &[&moved])?
    };
    if flat && axis != last {
        call.reshape(&result, x.shape.clone())
    } else {
        call.swapped(&result, axis, last)
    }
}

fn log_softmax(call: &mut Call, x: &Known) -> Result<Known> {
    let axes = vec![x.rank() - 1];
    let greatest = call.reduce(Reduction::Max, axes.clone(), x)?;
    let x = call.binary(Binary::Sub, x, &greatest)?;
    let sum = call.unary(Unary::Exp, &x)?;
    let sum = call.reduce(Reduction::Sum, axes, &sum)?;
    let sum = call.unary(Unary::Log, &sum)?;
    call.binary(Binary::Sub, &x, &sum)
}

/// Sum, mean or maximum along axes.
pub(super) fn reduce(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let given = call.integers_of("axes", 1)?.unwrap_or_default();
    let mut axes = call.axes(&given, x.rank())?;
    let keep = call.attributes.integer_or("keepdims", 1) != 0;
    let nothing = call.attributes.flag("noop_with_empty_axes");
    if axes.is_empty() {
        if nothing {
            return Ok(x);
        }
        axes = (0..x.rank()).collect();
    }
    axes.sort_unstable();
    axes.dedup();
    let reduction = match call.node.op_type.as_str() {
        "ReduceMax" => Reduction::Max,
        "ReduceSum" => Reduction::Sum,
        _ => Reduction::Mean,
    };
    let of_images = x.rank() == 4 && x.batch == Some(0) && axes == [2, 3];
    if reduction == Reduction::Mean && of_images {
        let mean = call.apply(Op::ChannelMean, &[&x])?;
        if !keep {
            return Ok(mean);
        }
        return call.reshape(&mean, vec![x.shape[0], x.shape[1], 1, 1]);
    }
    let reduced = call.reduce(reduction, axes.clone(), &x)?;
    if keep {
        Ok(reduced)
    } else {
        without(call, &reduced, &axes)
    }
}

/// Without dimensions of length 1.
pub(super) fn without(call: &mut Call, x: &Known, axes: &[usize]) -> Result<Known> {
    let kept = (0..x.rank()).filter(|axis| !axes.contains(axis));
    call.reshape(x, kept.map(|axis| x.shape[axis]).collect())
}

/// Place of the greatest value along an axis.
pub(super) fn arg_max(call: &mut Call) -> Result<Known> {
    let mut x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", 0);
    let axis = call.axis(axis, x.rank())?;
    let keep = call.attributes.integer_or("keepdims", 1) != 0;
    let last = call.attributes.flag("select_last_index");
    let length = x.shape[axis];
    if last {
        let places = (0..length as u32).rev().collect();
        x = call.apply(Op::General(General::Select { axis, places }), &[&x])?;
    }
    let mut place = call.reduce(Reduction::ArgMax, vec![axis], &x)?;
    if last {
        place = call.unary(Unary::Neg, &place)?;
        place = call.unary(Unary::Offset(length as f64 - 1.0), &place)?;
    }
    let place = place.with(Element::INT64);
    if keep {
        Ok(place)
    } else {
        without(call, &place, &[axis])
    }
}

/// Another kind of numbers.
pub(super) fn cast(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let to = call.attributes.integer_or("to", 1);
    call.attributes.ignore(&["saturate", "round_mode"]);
    let Some((element, _)) = i32::try_from(to).ok().and_then(Element::of) else {
        return Err(call.wrong("a cast to numbers", format!("type {to}")));
    };
    converted(call, &x, element)
}

pub(super) fn cast_like(call: &mut Call) -> Result<Known> {
    let (x, like) = (call.input(0)?, call.input(1)?);
    call.attributes.ignore(&["saturate", "round_mode"]);
    converted(call, &x, like.element)
}

fn converted(call: &mut Call, x: &Known, element: Element) -> Result<Known> {
    let converted = match (x.element, element) {
        (_, Element::Bool) => {
            let zero = call.unary(Unary::Not, x)?;
            call.unary(Unary::Not, &zero)?.with(element)
        }
        (Element::Float, Element::Integer { .. }) => call.unary(Unary::Truncate, x)?.with(element),
        _ => x.clone().with(element),
    };
    // the numbers are those of the file, whatever their type
    Ok(converted.named_as(x))
}
