//! Operators of whole numbers that stand for others. What is computed with them becomes float: dequantise, compute,
//! quantise. Codes of constants stay known: they are what a memory holds.

use super::super::call::{Call, Codes, Known};
use super::super::constant::Element;
use super::{layers, windows};
use crate::error::Result;
use crate::net::general::{Binary, Unary};
use candle_core::{DType, Device, Tensor};

/// Most bits of a code that a memory holds.
const MOST_BITS: u32 = 8;

/// Steps and zero points: constants, one or one for each place along an axis.
struct Scale {
    steps: Vec<f64>,
    zeros: Vec<f64>,
    /// Shape that spreads over the values.
    shape: Vec<usize>,
    axis: usize,
}

/// The scale in inputs, for a value of some dimensions; a zero point that is not given is 0.
fn scale(call: &Call, steps: usize, zeros: Option<usize>, x: &Known, axis: i64) -> Result<Scale> {
    let given = call.input(steps)?;
    let steps = call.numbers(steps)?;
    let zeros = match zeros.filter(|at| call.optional(*at).is_some()) {
        Some(at) => call.numbers(at)?,
        None => vec![0.0],
    };
    let zeros = if zeros.len() == 1 {
        vec![zeros[0]; steps.len()]
    } else {
        zeros
    };
    check_steps(call, &steps)?;
    if zeros.len() != steps.len() {
        return Err(call.wrong(
            format!("{} zero points", steps.len()),
            zeros.len().to_string(),
        ));
    }
    if steps.len() == 1 {
        return Ok(Scale {
            steps,
            zeros,
            shape: Vec::new(),
            axis: 0,
        });
    }
    // QONNX gives them the dimensions of the values
    let axis = if given.rank() > 1 && given.rank() == x.rank() {
        given.shape.iter().position(|dim| *dim > 1).unwrap_or(0)
    } else {
        call.axis(axis, x.rank())?
    };
    if steps.len() != x.shape[axis] {
        let expected = format!("one scale, or {} along axis {axis}", x.shape[axis]);
        return Err(call.wrong(expected, steps.len().to_string()));
    }
    let mut shape = vec![1; x.rank()];
    shape[axis] = steps.len();
    Ok(Scale {
        steps,
        zeros,
        shape,
        axis,
    })
}

fn check_steps(call: &Call, steps: &[f64]) -> Result<()> {
    let wrong = |step: &f64| !(*step > 0.0 && step.is_finite());
    match steps.iter().position(wrong) {
        None => Ok(()),
        Some(at) => Err(call.wrong("scales above 0", format!("{} at place {at}", steps[at]))),
    }
}

impl Scale {
    fn steps(&self, call: &Call) -> Result<Known> {
        call.vector(self.steps.clone(), &self.shape)
    }

    fn zeros(&self, call: &Call) -> Result<Option<Known>> {
        if self.zeros.iter().all(|zero| *zero == 0.0) {
            return Ok(None);
        }
        call.vector(self.zeros.clone(), &self.shape).map(Some)
    }
}

/// `(x - zero) step`; of a constant the codes stay known.
fn values(call: &mut Call, x: &Known, scale: &Scale) -> Result<Known> {
    let mut y = x.clone();
    if let Some(zeros) = scale.zeros(call)? {
        y = call.binary(Binary::Sub, &y, &zeros)?;
    }
    let steps = scale.steps(call)?;
    let y = call.binary(Binary::Mul, &y, &steps)?.with(Element::Float);
    let Some(own) = x.constant() else {
        return Ok(y);
    };
    // one step for each block of an output is more than a layer has
    let blocked = scale.steps.len() > 1 && scale.steps.len() != x.shape[scale.axis];
    let codes = stored_bits(x, own.bounds)
        .filter(|_| !blocked)
        .map(|(bits, signed)| Codes {
            codes: own.tensor.clone(),
            bits,
            signed,
            steps: scale.steps.clone(),
            zeros: scale.zeros.clone(),
            axis: scale.axis,
        });
    Ok(y.described(&own.name, codes, None))
}

/// Bits of a stored code and whether it has a sign; `None` for numbers that are no codes of a memory.
fn stored_bits(x: &Known, bounds: Option<(f64, f64)>) -> Option<(u32, bool)> {
    let Element::Integer { bits, signed } = x.element else {
        return None;
    };
    let of_bounds = |(low, high): (f64, f64)| {
        (1..bits).find(|bits| {
            let narrower = Element::Integer {
                bits: *bits,
                signed,
            };
            narrower
                .bounds()
                .is_some_and(|(least, most)| low >= least && high <= most)
        })
    };
    let bits = bounds.and_then(of_bounds).unwrap_or(bits);
    (bits <= MOST_BITS).then_some((bits, signed))
}

/// The nearest codes of values, between the bounds of their kind.
fn codes(call: &mut Call, x: &Known, scale: &Scale, element: Element) -> Result<Known> {
    let (low, high) = element
        .bounds()
        .unwrap_or((f64::NEG_INFINITY, f64::INFINITY));
    let rounded = rounded_quotient(call, x, scale, "ROUND", false)?;
    let shifted = match scale.zeros(call)? {
        Some(zeros) => call.add(&rounded, &zeros)?,
        None => rounded,
    };
    let clipped = call.unary(Unary::Clip(low, high), &shifted)?.with(element);
    Ok(clipped.named_as(x))
}

/// `x / step`, with the zero point where it is rounded too, to a whole number.
fn rounded_quotient(
    call: &mut Call,
    x: &Known,
    scale: &Scale,
    rounding: &str,
    with_zero: bool,
) -> Result<Known> {
    let steps = scale.steps(call)?;
    // in single precision, as those do who wrote the file
    let quotient = match (x.constant(), steps.constant()) {
        (Some(x), Some(steps)) => {
            let single = |tensor: &Tensor| tensor.to_dtype(DType::F32);
            let quotient = single(&x.tensor)?.broadcast_div(&single(&steps.tensor)?)?;
            call.made(quotient.to_dtype(DType::F64)?, Element::Float)?
        }
        _ => call.binary(Binary::Div, x, &steps)?,
    };
    let quotient = match scale.zeros(call)?.filter(|_| with_zero) {
        Some(zeros) => call.add(&quotient, &zeros)?,
        None => quotient,
    };
    let unary = match rounding {
        "ROUND" => Unary::Round,
        "FLOOR" => Unary::Floor,
        "CEIL" => Unary::Ceil,
        "ROUND_TO_ZERO" => Unary::Truncate,
        other => return Err(call.wrong("ROUND, FLOOR, CEIL or ROUND_TO_ZERO", other)),
    };
    call.unary(unary, &quotient)
}

pub(super) fn dequantize(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", 1);
    call.attributes.ignore(&["output_dtype"]);
    let scale = blocked_scale(call, &x, axis)?;
    values(call, &x, &scale)
}

pub(super) fn quantize(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let axis = call.attributes.integer_or("axis", 1);
    call.attributes.ignore(&["saturate", "precision"]);
    let scale = blocked_scale(call, &x, axis)?;
    let element = result_element(call, 2)?;
    codes(call, &x, &scale, element)
}

/// Steps and zero points of an operator of ONNX: one, one for each place along an axis, or one for each block of it.
fn blocked_scale(call: &mut Call, x: &Known, axis: i64) -> Result<Scale> {
    let block = call.attributes.integer_or("block_size", 0);
    if block == 0 {
        return scale(call, 1, Some(2), x, axis);
    }
    let axis = call.axis(axis, x.rank())?;
    let block = usize::try_from(block).ok().filter(|block| *block > 0);
    let block = block.ok_or_else(|| call.wrong("blocks of one place or more", "others"))?;
    call.take_room(2 * x.shape.iter().product::<usize>())?;
    let call = &*call;
    let spread = |at: usize| -> Result<Vec<f64>> {
        let given = call.input(at)?;
        let blocks = x.shape[axis].div_ceil(block);
        let mut expected = x.shape.clone();
        expected[axis] = blocks;
        let Some(constant) = given.constant().filter(|_| given.shape == expected) else {
            return Err(call.wrong(
                format!("a constant {expected:?}"),
                format!("{:?}", given.shape),
            ));
        };
        let places: Vec<u32> = (0..x.shape[axis])
            .map(|place| (place / block) as u32)
            .collect();
        let places = Tensor::new(places, &Device::Cpu)?;
        let values = constant.tensor.index_select(&places, axis)?;
        Ok(values.flatten_all()?.to_vec1::<f64>()?)
    };
    let steps = spread(1)?;
    let zeros = if call.optional(2).is_some() {
        spread(2)?
    } else {
        vec![0.0; steps.len()]
    };
    check_steps(call, &steps)?;
    let shape = x.shape.clone();
    Ok(Scale {
        steps,
        zeros,
        shape,
        axis,
    })
}

/// The kind of codes that a zero point or an attribute asks for.
fn result_element(call: &Call, zero: usize) -> Result<Element> {
    if let Some(zero) = call.optional(zero) {
        return Ok(zero.element);
    }
    let number = call.attributes.integer_or("output_dtype", 0);
    match i32::try_from(number).ok().filter(|number| *number > 0) {
        None => Ok(Element::UINT8),
        Some(number) => {
            let known = Element::of(number).map(|(element, _)| element);
            known.ok_or_else(|| call.wrong("codes of whole numbers", format!("type {number}")))
        }
    }
}

/// Brevitas' and QONNX's: values to their nearest code and back.
pub(super) fn quant(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    let bits = call
        .number(3)?
        .filter(|bits| (1.0..=32.0).contains(bits) && bits.fract() == 0.0);
    let bits = bits.ok_or_else(|| call.wrong("1 to 32 bits", "another width"))? as u32;
    let signed = call.attributes.integer_or("signed", 1) != 0;
    let narrow = f64::from(u8::from(call.attributes.flag("narrow")));
    let rounding = call
        .attributes
        .text_or("rounding_mode", "ROUND")
        .to_uppercase();
    let scale = scale(call, 1, Some(2), &x, 0)?;
    let element = Element::Integer { bits, signed };
    let (low, high) = element.bounds().unwrap_or_default();
    let bounds = if signed {
        (low + narrow, high)
    } else {
        (low, high - narrow)
    };
    let codes = rounded_quotient(call, &x, &scale, &rounding, true)?;
    let codes = call
        .unary(Unary::Clip(bounds.0, bounds.1), &codes)?
        .with(element);
    values(call, &codes.named_as(&x), &scale)
}

/// A value whose scale and zero point stand in the inputs behind it.
fn dequantized(call: &mut Call, at: usize, axis: i64) -> Result<Known> {
    let x = call.input(at)?;
    let scale = scale(call, at + 1, Some(at + 2), &x, axis)?;
    values(call, &x, &scale)
}

/// The codes of a result, whose scale and zero point stand in inputs.
fn quantized(call: &mut Call, y: &Known, at: usize) -> Result<Known> {
    let scale = scale(call, at, Some(at + 1), y, -1)?;
    let element = result_element(call, at + 1)?;
    codes(call, y, &scale, element)
}

/// A bias of whole numbers, in steps of the product of two scales.
fn bias(call: &mut Call, at: usize, scales: [usize; 2]) -> Result<Option<Known>> {
    let Some(bias) = call.optional(at) else {
        return Ok(None);
    };
    let name = call.constant(at)?.name.clone();
    let mut y = bias;
    for scale in scales {
        let scale = call.input(scale)?;
        y = call.binary(Binary::Mul, &y, &scale)?;
    }
    Ok(Some(y.with(Element::Float).described(&name, None, None)))
}

pub(super) fn convolution(call: &mut Call) -> Result<Known> {
    let x = dequantized(call, 0, 1)?;
    let w = dequantized(call, 3, 0)?;
    let bias = bias(call, 8, [1, 4])?;
    let y = layers::convolved(call, &x, &w, bias)?;
    quantized(call, &y, 6)
}

pub(super) fn product(call: &mut Call) -> Result<Known> {
    let a = dequantized(call, 0, -2)?;
    let b = dequantized(call, 3, -1)?;
    let y = layers::product(call, &a, &b)?;
    quantized(call, &y, 6)
}

pub(super) fn gemm(call: &mut Call) -> Result<Known> {
    let (turn_a, turn_b) = (
        call.attributes.flag("transA"),
        call.attributes.flag("transB"),
    );
    let alpha = call.attributes.float_or("alpha", 1.0);
    let a = dequantized(call, 0, -1)?;
    let b = dequantized(call, 3, if turn_b { 0 } else { 1 })?;
    let bias = bias(call, 6, [1, 4])?;
    let a = if turn_a { call.swapped(&a, 0, 1)? } else { a };
    let y = layers::gemm_of(call, &a, &b, turn_b, alpha, bias)?;
    match call.optional(7) {
        Some(_) => quantized(call, &y, 7),
        None => Ok(y),
    }
}

pub(super) fn two(call: &mut Call) -> Result<Known> {
    let (a, b) = (dequantized(call, 0, -1)?, dequantized(call, 3, -1)?);
    let y = if call.node.op_type == "QLinearMul" {
        call.binary(Binary::Mul, &a, &b)?
    } else {
        call.add(&a, &b)?
    };
    quantized(call, &y, 6)
}

pub(super) fn global_mean(call: &mut Call) -> Result<Known> {
    channels_first(call)?;
    let x = dequantized(call, 0, 1)?;
    let y = windows::global_mean(call, &x)?;
    quantized(call, &y, 3)
}

pub(super) fn pool(call: &mut Call) -> Result<Known> {
    channels_first(call)?;
    let x = dequantized(call, 0, 1)?;
    let y = windows::pooled(call, &x)?;
    quantized(call, &y, 3)
}

fn channels_first(call: &Call) -> Result<()> {
    if call.attributes.flag("channels_last") {
        return Err(call.wrong("channels before rows and columns", "channels_last"));
    }
    Ok(())
}

pub(super) fn sigmoid(call: &mut Call) -> Result<Known> {
    let x = dequantized(call, 0, -1)?;
    let y = call.unary(Unary::Sigmoid, &x)?;
    quantized(call, &y, 3)
}

pub(super) fn leaky_relu(call: &mut Call) -> Result<Known> {
    let alpha = call.attributes.float_or("alpha", 0.01);
    let x = dequantized(call, 0, -1)?;
    let y = call.unary(Unary::LeakyRelu(alpha), &x)?;
    quantized(call, &y, 3)
}

/// An input less its zero point.
fn less_zero(call: &mut Call, at: usize, zero: usize, axis: usize) -> Result<Known> {
    let x = call.input(at)?;
    let zeros = match call.optional(zero) {
        None => vec![0.0],
        Some(_) => call.numbers(zero)?,
    };
    let shape = if zeros.len() == 1 {
        Vec::new()
    } else {
        let mut shape = vec![1; x.rank()];
        *shape
            .get_mut(axis)
            .ok_or_else(|| call.wrong("one zero point", "several"))? = zeros.len();
        shape
    };
    let steps = vec![1.0; zeros.len()];
    values(
        call,
        &x,
        &Scale {
            steps,
            zeros,
            shape,
            axis,
        },
    )
}

pub(super) fn convolution_of_integers(call: &mut Call) -> Result<Known> {
    let x = less_zero(call, 0, 2, 1)?;
    let w = less_zero(call, 1, 3, 0)?;
    let y = layers::convolved(call, &x, &w, None)?;
    Ok(y.with(Element::INT32))
}

pub(super) fn product_of_integers(call: &mut Call) -> Result<Known> {
    let rows = call.input(0)?.rank().saturating_sub(2);
    let columns = call.input(1)?.rank().saturating_sub(1);
    let a = less_zero(call, 0, 2, rows)?;
    let b = less_zero(call, 1, 3, columns)?;
    let y = layers::product(call, &a, &b)?;
    Ok(y.with(Element::INT32))
}
