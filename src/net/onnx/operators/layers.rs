//! Operators with weights: convolutions and products with a constant.

use super::super::call::{Call, Constant, Known};
use super::windows::{as_before, as_images, sizes, windows};
use crate::error::Result;
use crate::net::general::{General, GeneralConvolution, Windows};
use crate::net::graph::{Convolution, Linear, Op};
use candle_core::Tensor;
use std::rc::Rc;

/// A convolution of a constant with images.
pub(super) fn convolution(call: &mut Call) -> Result<Known> {
    let (x, w, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    convolved(call, &x, &w, bias)
}

/// A bias is a constant [outputs].
pub(super) fn convolved(
    call: &mut Call,
    x: &Known,
    w: &Known,
    bias: Option<Known>,
) -> Result<Known> {
    let weight = weight_of(call, w)?;
    let groups = groups(call, w)?;
    let kernel = w.shape.get(2..).unwrap_or_default().to_vec();
    let of_attribute = call.attributes.integers("kernel_shape");
    let own: Vec<i64> = kernel.iter().map(|size| *size as i64).collect();
    if of_attribute.is_some_and(|given| given != own) {
        let expected = format!("the kernel of the weight, {kernel:?}");
        return Err(call.wrong(expected, format!("{of_attribute:?}")));
    }
    let (windows, _) = windows(call, &kernel, x.shape.get(2..).unwrap_or_default())?;
    let (layer, _) = layer(call, &weight, &as_it_is, 0)?;
    let (images, windows) = as_images(call, x, windows)?;
    let y = windowed(call, &images, layer, bias, windows, groups)?;
    as_before(call, y, x)
}

/// A convolution of images with the weight of a layer.
fn windowed(
    call: &mut Call,
    images: &Known,
    layer: usize,
    bias: Option<Known>,
    windows: Windows,
    groups: usize,
) -> Result<Known> {
    let bias = bias.map(|bias| parameter(call, &bias)).transpose()?;
    let op = match (windows.square(), groups) {
        (Some((_, stride, padding)), 1) => Op::Convolution(Convolution {
            layer,
            bias,
            stride,
            padding,
        }),
        _ => Op::GeneralConvolution(GeneralConvolution {
            layer,
            bias,
            windows,
            groups,
        }),
    };
    call.apply(op, &[images])
}

/// A transposed convolution, as a convolution of images with zeros between their pixels by the kernel turned around.
pub(super) fn transposed_convolution(call: &mut Call) -> Result<Known> {
    let (x, w, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    let weight = weight_of(call, &w)?;
    let rank = x.rank().saturating_sub(2);
    if !(1..=3).contains(&rank) || w.rank() != rank + 2 {
        return Err(call.wrong(
            "images of one to three dimensions",
            format!("{:?}", x.shape),
        ));
    }
    let kernel = w.shape[2..].to_vec();
    let stride = sizes(call, "strides", 1, rank)?;
    let dilation = sizes(call, "dilations", 1, rank)?;
    let more = signed(sizes(call, "output_padding", 0, rank)?);
    let mut pads = signed(sizes(call, "pads", 0, 2 * rank)?);
    call.attributes.ignore(&["kernel_shape"]);
    let groups = groups(call, &w)?;
    let wanted = output_sizes(call, rank)?;
    let auto = call.attributes.text_or("auto_pad", "NOTSET");
    let reach: Vec<i64> = (0..rank)
        .map(|axis| ((kernel[axis] as i64) - 1) * dilation[axis] as i64 + 1)
        .collect();
    for axis in 0..rank {
        let pixels = x.shape[axis + 2] as i64;
        let step = stride[axis] as i64;
        let full = (pixels - 1) * step + reach[axis] + more[axis];
        let wanted = match (&wanted, auto.as_str()) {
            (Some(wanted), _) => Some(wanted[axis]),
            (None, "SAME_UPPER" | "SAME_LOWER") => Some(pixels * step),
            (None, "VALID") => Some(full),
            (None, _) => None,
        };
        if let Some(wanted) = wanted {
            let all = (full - wanted).max(0);
            // a longer output than all windows give is filled behind
            let (less, rest) = (all / 2, all - all / 2);
            (pads[axis], pads[rank + axis]) = if auto == "SAME_UPPER" {
                (less, rest)
            } else {
                (rest, less)
            };
            if wanted > full {
                pads[rank + axis] = full - wanted;
            }
        }
    }
    let mut images = x.clone();
    let mut windows = Windows {
        kernel,
        stride: vec![1; rank],
        dilation,
        padding: vec![0; 2 * rank],
    };
    for axis in 0..rank {
        images = spaced(call, &images, axis + 2, stride[axis])?;
        let around = reach[axis] - 1;
        let sides = [around - pads[axis], around - pads[rank + axis] + more[axis]];
        for (side, pixels) in sides.into_iter().enumerate() {
            if pixels < 0 {
                images = cropped(call, &images, axis + 2, side, -pixels as usize)?;
            } else {
                windows.padding[axis + side * rank] = pixels as usize;
            }
        }
    }
    let turned = move |w: &Tensor| turned_around(w, groups);
    let (layer, _) = layer(call, &weight, &turned, 1)?;
    let (images, windows) = as_images(call, &images, windows)?;
    let y = windowed(call, &images, layer, bias, windows, groups)?;
    as_before(call, y, &x)
}

/// Groups of channels; they divide the first dimension of the weight.
fn groups(call: &Call, w: &Known) -> Result<usize> {
    let groups = call.attributes.integer_or("group", 1);
    let first = w.shape.first().copied().unwrap_or(0);
    usize::try_from(groups)
        .ok()
        .filter(|groups| *groups > 0 && first.is_multiple_of(*groups))
        .ok_or_else(|| call.wrong(format!("groups that divide {first}"), groups.to_string()))
}

fn signed(sizes: Vec<usize>) -> Vec<i64> {
    sizes.into_iter().map(|size| size as i64).collect()
}

/// Rows and columns of the output, where an attribute says them; the batch and the channels may stand in front.
fn output_sizes(call: &Call, rank: usize) -> Result<Option<Vec<i64>>> {
    let Some(given) = call.attributes.integers("output_shape") else {
        return Ok(None);
    };
    let start = given.len().checked_sub(rank);
    let sizes = start.map(|start| given[start..].to_vec());
    let sizes = sizes.filter(|sizes| sizes.iter().all(|size| (1..1 << 30).contains(size)));
    match sizes {
        Some(sizes) => Ok(Some(sizes)),
        None => Err(call.wrong(format!("{rank} sizes `output_shape`"), format!("{given:?}"))),
    }
}

/// Zeros between the pixels along an axis.
fn spaced(call: &mut Call, x: &Known, axis: usize, stride: usize) -> Result<Known> {
    if stride == 1 {
        return Ok(x.clone());
    }
    let mut dims = x.shape.clone();
    dims.insert(axis + 1, 1);
    let x = call.reshape(x, dims.clone())?;
    let pad = General::Pad {
        axis: axis + 1,
        before: 0,
        after: stride.saturating_sub(1),
        value: 0.0,
    };
    let x = call.apply(Op::General(pad), &[&x])?;
    dims.remove(axis + 1);
    let length = dims[axis];
    dims[axis] = length * stride;
    let x = call.reshape(&x, dims)?;
    let slice = Op::Slice {
        axis,
        start: 0,
        length: ((length - 1) * stride) + 1,
    };
    call.apply(slice, &[&x])
}

/// Without pixels before (side 0) or behind.
fn cropped(call: &mut Call, x: &Known, axis: usize, side: usize, pixels: usize) -> Result<Known> {
    let length = x.shape[axis].checked_sub(pixels);
    let length =
        length.ok_or_else(|| call.wrong("padding within the images", pixels.to_string()))?;
    let start = if side == 0 { pixels } else { 0 };
    let slice = Op::Slice {
        axis,
        start,
        length,
    };
    call.apply(slice, &[x])
}

/// A kernel [inputs, outputs / groups, ...] turned around, as [outputs, inputs / groups, ...].
fn turned_around(w: &Tensor, groups: usize) -> candle_core::Result<Tensor> {
    let mut w = as_it_is(w)?;
    for axis in 2..w.rank() {
        let backwards: Vec<u32> = (0..w.dim(axis)? as u32).rev().collect();
        w = w.index_select(&Tensor::new(backwards, w.device())?, axis)?;
    }
    let (inputs, outputs) = (w.dim(0)?, w.dim(1)?);
    let kernel = w.dims()[2..].to_vec();
    let grouped = [&[groups, inputs / groups, outputs], &kernel[..]].concat();
    let turned = [&[groups * outputs, inputs / groups], &kernel[..]].concat();
    w.reshape(grouped)?.transpose(1, 2)?.reshape(turned)
}

/// `alpha a b + beta c`.
pub(super) fn gemm(call: &mut Call) -> Result<Known> {
    let (a, b, c) = (call.input(0)?, call.input(1)?, call.optional(2));
    let alpha = call.attributes.float_or("alpha", 1.0);
    let beta = call.attributes.float_or("beta", 1.0);
    let (turn_a, turn_b) = (
        call.attributes.flag("transA"),
        call.attributes.flag("transB"),
    );
    if a.rank() != 2 || b.rank() != 2 {
        return Err(call.wrong("two matrices", format!("{:?} and {:?}", a.shape, b.shape)));
    }
    let a = if turn_a { call.swapped(&a, 0, 1)? } else { a };
    let c = match c {
        Some(c) if beta != 1.0 => Some(call.apply(Op::Scale(beta), &[&c])?),
        c => c,
    };
    gemm_of(call, &a, &b, turn_b, alpha, c)
}

pub(super) fn gemm_of(
    call: &mut Call,
    a: &Known,
    b: &Known,
    turned: bool,
    alpha: f64,
    c: Option<Known>,
) -> Result<Known> {
    let outputs = b.shape[usize::from(!turned)];
    let mut c = c;
    let bias = match &c {
        Some(own) if alpha == 1.0 && own.constant().is_some() && own.shape == [outputs] => c.take(),
        _ => None,
    };
    let y = if b.constant().is_some() && a.constant().is_none() {
        linear(call, a, b, !turned, bias)?
    } else {
        let b = if turned {
            call.swapped(b, 0, 1)?
        } else {
            b.clone()
        };
        let y = call.apply(Op::MatMul, &[a, &b])?;
        match bias {
            Some(bias) => call.add(&y, &bias)?,
            None => y,
        }
    };
    let y = if alpha == 1.0 {
        y
    } else {
        call.apply(Op::Scale(alpha), &[&y])?
    };
    match c {
        Some(c) => call.add(&y, &c),
        None => Ok(y),
    }
}

/// A linear layer; `turned`: its weight stands as [inputs, outputs].
fn linear(
    call: &mut Call,
    x: &Known,
    w: &Known,
    turned: bool,
    bias: Option<Known>,
) -> Result<Known> {
    let weight = weight_of(call, w)?;
    let (layer, transposed) = if turned {
        layer(call, &weight, &transposed, 1)?
    } else {
        layer(call, &weight, &|w| Ok(w.clone()), 0)?
    };
    let bias = bias.map(|bias| parameter(call, &bias)).transpose()?;
    let linear = Linear {
        layer,
        bias,
        transposed,
    };
    call.apply(Op::Linear(linear), &[x])
}

/// A product over the last two dimensions; one with a constant matrix is a linear layer.
pub(super) fn matrix_product(call: &mut Call) -> Result<Known> {
    let (a, b) = (call.input(0)?, call.input(1)?);
    product(call, &a, &b)
}

pub(super) fn product(call: &mut Call, a: &Known, b: &Known) -> Result<Known> {
    if a.rank() == 0 || b.rank() == 0 {
        return Err(call.wrong("vectors or matrices", "a number"));
    }
    match (a.constant().is_some(), b.constant().is_some()) {
        (false, true) if b.rank() == 2 && a.rank() >= 2 => linear(call, a, b, true, None),
        (true, false) if a.rank() == 2 && b.rank() >= 2 => {
            let (last, before) = (b.rank() - 1, b.rank() - 2);
            let columns = call.swapped(b, before, last)?;
            let y = linear(call, &columns, a, false, None)?;
            call.swapped(&y, before, last)
        }
        _ => {
            // vectors are matrices of one row or column
            let row = if a.rank() == 1 {
                call.reshape(a, vec![1, a.shape[0]])?
            } else {
                a.clone()
            };
            let column = if b.rank() == 1 {
                call.reshape(b, vec![b.shape[0], 1])?
            } else {
                b.clone()
            };
            let y = call.apply(Op::MatMul, &[&row, &column])?;
            let mut dims = y.shape.clone();
            if b.rank() == 1 {
                dims.pop();
            }
            if a.rank() == 1 {
                let row = dims.len() - usize::from(b.rank() != 1) - 1;
                dims.remove(row);
            }
            call.reshape(&y, dims)
        }
    }
}

fn weight_of(call: &Call, w: &Known) -> Result<Rc<Constant>> {
    let weight = w.constant().cloned();
    weight.ok_or_else(|| call.wrong("a constant as weight", "a computed value"))
}

/// The layer of a constant, named by its node, and whether it holds the transposed of what is asked for.
fn layer(
    call: &mut Call,
    weight: &Rc<Constant>,
    canonical: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
    axis: usize,
) -> Result<(usize, bool)> {
    let name = layer_name(call, &weight.name);
    let state = &mut *call.state;
    state
        .layers
        .weight(&mut state.graph, weight, name, canonical, axis)
}

/// Number of a constant among the parameters.
fn parameter(call: &mut Call, known: &Known) -> Result<usize> {
    let Some(constant) = known.constant().cloned() else {
        return Err(call.wrong("a constant as bias", "a computed value"));
    };
    call.state.parameter(&constant.name, &constant.tensor)
}

/// Images of one dimension have kernels of one row.
fn as_it_is(w: &Tensor) -> candle_core::Result<Tensor> {
    match w.dims() {
        [outputs, inputs, columns] => w.reshape((*outputs, *inputs, 1, *columns)),
        _ => Ok(w.clone()),
    }
}

fn transposed(w: &Tensor) -> candle_core::Result<Tensor> {
    w.t()?.contiguous()
}

/// The module path of a layer: of its constant, where that has one, else of its node.
fn layer_name(call: &Call, constant: &str) -> String {
    if let Some(module) = constant.strip_suffix(".weight") {
        return module.to_owned();
    }
    let scopes = call
        .node
        .metadata
        .iter()
        .find(|entry| entry.key == "pkg.torch.onnx.name_scopes");
    let of_scopes = scopes.and_then(|entry| {
        let names = entry.value.trim_matches(['[', ']']).split(", ");
        let names: Vec<&str> = names.map(|name| name.trim_matches(['\'', '"'])).collect();
        let module = names.len().checked_sub(2).map(|at| names[at])?;
        (!module.is_empty()).then(|| module.to_owned())
    });
    of_scopes
        .or_else(|| module_path(&call.node.name))
        .unwrap_or_else(|| match constant {
            "" => format!("layer{}", call.state.graph.layers.len()),
            constant => constant.to_owned(),
        })
}

/// `/blocks/blocks.0/attn/qkv/MatMul` is the module `blocks.0.attn.qkv`; `None` for a name that is no path.
fn module_path(node: &str) -> Option<String> {
    let parts: Vec<&str> = node.strip_prefix('/')?.split('/').collect();
    let (_, scopes) = parts.split_last()?;
    let mut names: Vec<&str> = Vec::new();
    for scope in scopes {
        // a child of a container repeats its name
        let repeats = |last: &&str| {
            scope
                .strip_prefix(*last)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if names.last().is_some_and(repeats) {
            names.pop();
        }
        names.push(scope);
    }
    (!names.is_empty()).then(|| names.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_path_is_that_of_the_exporter_without_repeated_names() {
        let path = |node: &str| module_path(node).unwrap_or_default();
        assert_eq!(
            path("/features/features.1/conv/conv.0/conv.0.0/Conv"),
            "features.1.conv.0.0"
        );
        assert_eq!(path("/blocks.0/attn/qkv/MatMul"), "blocks.0.attn.qkv");
        assert_eq!(path("/stem/stem.0/Conv"), "stem.0");
        assert_eq!(module_path("node_Conv_506"), None);
        assert_eq!(module_path("/Conv"), None);
    }
}
