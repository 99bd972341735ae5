//! Operators of each value for itself, of two values, and along axes.

use super::super::call::{Call, Known};
use super::super::constant::Element;
use crate::error::Result;
use crate::net::general::{Binary, General, Reduction, Unary};
use crate::net::graph::Op;

/// One function of each value.
pub(super) fn function(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let unary = match call.node.op_type.as_str() {
        "Abs" => Unary::Abs,
        "Ceil" => Unary::Ceil,
        "Elu" => Unary::Elu(call.attributes.float_or("alpha", 1.0)),
        "Erf" => Unary::Erf,
        "Exp" => Unary::Exp,
        "Floor" => Unary::Floor,
        "LeakyRelu" => Unary::LeakyRelu(call.attributes.float_or("alpha", 0.01)),
        "Log" => Unary::Log,
        "Neg" => Unary::Neg,
        "Not" => Unary::Not,
        "Reciprocal" => Unary::Reciprocal,
        "Relu" => return Ok(vec![call.apply(Op::Relu, &[&x])?]),
        "Round" => Unary::Round,
        "Sigmoid" => Unary::Sigmoid,
        "Sign" => Unary::Sign,
        "Softplus" => Unary::Softplus,
        "Sqrt" => Unary::Sqrt,
        "Tanh" => Unary::Tanh,
        other => return Err(call.wrong("a function of one value", other)),
    };
    Ok(vec![call.unary(unary, &x)?])
}

/// Two values.
pub(super) fn two(call: &mut Call) -> Result<Vec<Known>> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    let name = call.node.op_type.clone();
    let result = of_two(call, &name, &a, &b)?;
    Ok(vec![result])
}

fn of_two(call: &mut Call, name: &str, a: &Known, b: &Known) -> Result<Known> {
    let compared = |known: Known| known.with(Element::Bool);
    Ok(match name {
        "Add" | "Sum" => call.add(a, b)?,
        "And" => compared(call.binary(Binary::And, a, b)?),
        "Div" => {
            let quotient = call.binary(Binary::Div, a, b)?;
            if a.element.is_float() {
                quotient
            } else {
                call.unary(Unary::Truncate, &quotient)?
            }
        }
        "Equal" => compared(call.binary(Binary::Equal, a, b)?),
        "Greater" => compared(call.binary(Binary::Greater, a, b)?),
        "Less" => compared(call.binary(Binary::Less, a, b)?),
        "Max" => call.binary(Binary::Max, a, b)?,
        "Min" => call.binary(Binary::Min, a, b)?,
        "Mul" => call.binary(Binary::Mul, a, b)?,
        "Or" => compared(call.binary(Binary::Or, a, b)?),
        "Sub" => call.binary(Binary::Sub, a, b)?,
        other => return Err(call.wrong("a function of two values", other)),
    })
}

/// The same function over all inputs.
pub(super) fn many(call: &mut Call) -> Result<Vec<Known>> {
    let name = call.node.op_type.clone();
    let mut result = call.input(0)?;
    for at in 1..call.inputs.len() {
        let next = call.input(at)?;
        result = of_two(call, &name, &result, &next)?;
    }
    Ok(vec![result])
}

/// A power.
pub(super) fn power(call: &mut Call) -> Result<Vec<Known>> {
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
    let result = if a.element.is_float() {
        result
    } else {
        call.unary(Unary::Round, &result)?
    };
    Ok(vec![result])
}

/// A value or another, as a third one says.
pub(super) fn choice(call: &mut Call) -> Result<Vec<Known>> {
    let (condition, a, b) = (call.input(0)?, call.input(1)?, call.input(2)?);
    let chosen = call.apply(Op::General(General::Where), &[&condition, &a, &b])?;
    Ok(vec![chosen.with(a.element)])
}

/// Between two bounds.
pub(super) fn clip(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let low = call.attributes.float_or("min", f32::NEG_INFINITY);
    let high = call.attributes.float_or("max", f32::INFINITY);
    let low = call.number(1)?.unwrap_or(low);
    let high = call.number(2)?.unwrap_or(high);
    Ok(vec![clipped(call, &x, low, high)?])
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
pub(super) fn hard_sigmoid(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let alpha = call.attributes.float_or("alpha", 0.2);
    let beta = call.attributes.float_or("beta", 0.5);
    Ok(vec![bent(call, &x, alpha, beta)?])
}

fn bent(call: &mut Call, x: &Known, alpha: f64, beta: f64) -> Result<Known> {
    let x = call.apply(Op::Scale(alpha), &[x])?;
    let x = call.unary(Unary::Offset(beta), &x)?;
    call.unary(Unary::Clip(0.0, 1.0), &x)
}

/// `x` times its hard sigmoid of slope 1/6.
pub(super) fn hard_swish(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let gate = bent(call, &x, 1.0 / 6.0, 0.5)?;
    Ok(vec![call.binary(Binary::Mul, &x, &gate)?])
}

/// `x` times the sigmoid of `alpha x`.
pub(super) fn swish(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let alpha = call.attributes.float_or("alpha", 1.0);
    let scaled = if alpha == 1.0 {
        x.clone()
    } else {
        call.apply(Op::Scale(alpha), &[&x])?
    };
    let gate = call.unary(Unary::Sigmoid, &scaled)?;
    Ok(vec![call.binary(Binary::Mul, &x, &gate)?])
}

/// `x tanh(softplus(x))`.
pub(super) fn mish(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let gate = call.unary(Unary::Softplus, &x)?;
    let gate = call.unary(Unary::Tanh, &gate)?;
    Ok(vec![call.binary(Binary::Mul, &x, &gate)?])
}

/// `x Φ(x)`, or its approximation by tanh.
pub(super) fn gelu(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let result = match call.attributes.text_or("approximate", "none").as_str() {
        "tanh" => call.unary(Unary::GeluTanh, &x)?,
        "none" => call.apply(Op::Gelu, &[&x])?,
        other => return Err(call.wrong("`none` or `tanh` as approximation", other)),
    };
    Ok(vec![result])
}

/// `x` from zero on, below it times a slope.
pub(super) fn prelu(call: &mut Call) -> Result<Vec<Known>> {
    let (x, slope) = (call.input(0)?, call.input(1)?);
    let above = call.apply(Op::Relu, &[&x])?;
    let below = call.unary(Unary::Clip(f64::NEG_INFINITY, 0.0), &x)?;
    let below = call.binary(Binary::Mul, &below, &slope)?;
    Ok(vec![call.add(&above, &below)?])
}

/// Shares that sum to 1 along an axis, or their logarithms.
pub(super) fn softmax(call: &mut Call) -> Result<Vec<Known>> {
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
    let result = if flat && axis != last {
        call.reshape(&result, x.shape.clone())?
    } else {
        call.swapped(&result, axis, last)?
    };
    Ok(vec![result])
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
pub(super) fn reduce(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let given = match call.attributes.integers("axes") {
        Some(axes) => Some(axes.to_vec()),
        None => call.integers(1)?,
    };
    let keep = call.attributes.integer_or("keepdims", 1) != 0;
    let nothing = call.attributes.flag("noop_with_empty_axes");
    let mut axes = Vec::new();
    for axis in given.unwrap_or_default() {
        axes.push(call.axis(axis, x.rank())?);
    }
    if axes.is_empty() {
        if nothing {
            return Ok(vec![x]);
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
    let reduced =
        if reduction == Reduction::Mean && x.rank() == 4 && axes == [2, 3] && x.batch == Some(0) {
            let mean = call.apply(Op::ChannelMean, &[&x])?;
            let shape = vec![x.shape[0], x.shape[1], 1, 1];
            if keep {
                call.reshape(&mean, shape)?
            } else {
                return Ok(vec![mean]);
            }
        } else {
            call.reduce(reduction, axes.clone(), &x)?
        };
    Ok(vec![if keep {
        reduced
    } else {
        without(call, &reduced, &axes)?
    }])
}

/// Without dimensions of length 1.
pub(super) fn without(call: &mut Call, x: &Known, axes: &[usize]) -> Result<Known> {
    let dims = x.shape.iter().enumerate();
    let dims = dims
        .filter(|(axis, _)| !axes.contains(axis))
        .map(|(_, dim)| *dim);
    let dims = dims.collect();
    call.reshape(x, dims)
}

/// Place of the greatest value along an axis.
pub(super) fn arg_max(call: &mut Call) -> Result<Vec<Known>> {
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
    let place = place.with(Element::Integer {
        bits: 64,
        signed: true,
    });
    Ok(vec![if keep {
        place
    } else {
        without(call, &place, &[axis])?
    }])
}

/// Another kind of numbers.
pub(super) fn cast(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let to = call.attributes.integer_or("to", 1);
    call.attributes.ignore(&["saturate", "round_mode"]);
    let Some((element, _)) = i32::try_from(to).ok().and_then(Element::of) else {
        return Err(call.wrong("a cast to numbers", format!("type {to}")));
    };
    Ok(vec![converted(call, &x, element)?])
}

pub(super) fn cast_like(call: &mut Call) -> Result<Vec<Known>> {
    let (x, like) = (call.input(0)?, call.input(1)?);
    call.attributes.ignore(&["saturate", "round_mode"]);
    Ok(vec![converted(call, &x, like.element)?])
}

fn converted(call: &mut Call, x: &Known, element: Element) -> Result<Known> {
    let name = x.constant().map(|own| own.name.clone());
    let converted = match (x.element, element) {
        (_, Element::Bool) => {
            let zero = call.unary(Unary::Not, x)?;
            call.unary(Unary::Not, &zero)?.with(element)
        }
        (Element::Float, Element::Integer { .. }) => call.unary(Unary::Truncate, x)?.with(element),
        _ => x.clone().with(element),
    };
    // the numbers are those of the file, whatever their type
    Ok(match name {
        Some(name) => converted.described(&name, None, None),
        None => converted,
    })
}
