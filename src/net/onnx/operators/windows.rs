//! Pooling, and where windows lie.

use super::super::call::{Call, Known};
use super::super::constant::Element;
use crate::error::Result;
use crate::net::general::{Binary, General, Pool, Pooled, Reduction, Unary, Windows};
use crate::net::graph::{MaxPool, Op};

/// Windows as the attributes of a convolution or pooling say; the second value says by how many pixels the last windows
/// reach beyond the padding.
pub(super) fn windows(
    call: &Call,
    kernel: &[usize],
    pixels: &[usize],
) -> Result<(Windows, Vec<usize>)> {
    let rank = pixels.len();
    if !(1..=3).contains(&rank) || kernel.len() != rank {
        let found = format!("{pixels:?} and a kernel {kernel:?}");
        return Err(call.wrong("images of one to three dimensions", found));
    }
    let stride = sizes(call, "strides", 1, rank)?;
    let dilation = sizes(call, "dilations", 1, rank)?;
    let mut padding = sizes(call, "pads", 0, 2 * rank)?;
    let auto = call.attributes.text_or("auto_pad", "NOTSET");
    let ceil = call.attributes.flag("ceil_mode");
    let mut beyond = vec![0; rank];
    for axis in 0..rank {
        let reach = kernel[axis].saturating_sub(1) * dilation[axis] + 1;
        match auto.as_str() {
            "NOTSET" => {}
            "VALID" => (padding[axis], padding[rank + axis]) = (0, 0),
            "SAME_UPPER" | "SAME_LOWER" => {
                let count = pixels[axis].div_ceil(stride[axis]);
                let all = ((count.max(1) - 1) * stride[axis] + reach).saturating_sub(pixels[axis]);
                let (less, more) = (all / 2, all - all / 2);
                (padding[axis], padding[rank + axis]) = if auto == "SAME_UPPER" {
                    (less, more)
                } else {
                    (more, less)
                };
            }
            other => return Err(call.wrong("NOTSET, VALID, SAME_UPPER or SAME_LOWER", other)),
        }
        let length = pixels[axis] + padding[axis] + padding[rank + axis];
        let Some(room) = length.checked_sub(reach) else {
            let found = format!("a window of {reach} in {length} pixels");
            return Err(call.wrong("windows that fit", found));
        };
        if ceil {
            // a window that would begin in the padding behind is none
            let begins = |window: usize| window * stride[axis] < pixels[axis] + padding[axis];
            let last = room.div_ceil(stride[axis]);
            let last = if begins(last) { last } else { last - 1 };
            beyond[axis] = (last * stride[axis] + reach).saturating_sub(length);
        }
    }
    let kernel = kernel.to_vec();
    let windows = Windows {
        kernel,
        stride,
        dilation,
        padding,
    };
    Ok((windows, beyond))
}

/// Sizes of an attribute, at least the one that is taken where it is not given.
pub(super) fn sizes(
    call: &Call,
    name: &'static str,
    default: usize,
    length: usize,
) -> Result<Vec<usize>> {
    let Some(given) = call.attributes.integers(name) else {
        return Ok(vec![default; length]);
    };
    let all = given.iter().map(|size| usize::try_from(*size).ok());
    let sizes: Vec<usize> = all
        .flatten()
        .filter(|size| (default..1 << 20).contains(size))
        .collect();
    if given.len() != length || sizes.len() != length {
        let expected = format!("{length} sizes `{name}` of {default} or more");
        return Err(call.wrong(expected, format!("{given:?}")));
    }
    Ok(sizes)
}

/// Images of one dimension and their windows as images of one row: the kernels know them.
pub(super) fn as_images(call: &mut Call, x: &Known, windows: Windows) -> Result<(Known, Windows)> {
    let &[batch, channels, length] = &x.shape[..] else {
        return Ok((x.clone(), windows));
    };
    let windows = Windows {
        kernel: [&[1], &windows.kernel[..]].concat(),
        stride: [&[1], &windows.stride[..]].concat(),
        dilation: [&[1], &windows.dilation[..]].concat(),
        padding: vec![0, windows.padding[0], 0, windows.padding[1]],
    };
    Ok((call.reshape(x, vec![batch, channels, 1, length])?, windows))
}

/// Back to one dimension where `x` had one.
pub(super) fn as_before(call: &mut Call, y: Known, x: &Known) -> Result<Known> {
    match (x.rank(), &y.shape[..]) {
        (3, &[batch, channels, _, length]) => call.reshape(&y, vec![batch, channels, length]),
        _ => Ok(y),
    }
}

/// Max or average pooling; the second output of max pooling are the numbers of the greatest values.
pub(super) fn pool(call: &mut Call) -> Result<Vec<Known>> {
    let x = call.input(0)?;
    let y = pooled(call, &x)?;
    if call.node.output.len() < 2 {
        return Ok(vec![y]);
    }
    if x.batch.is_some() {
        return Err(call.wrong(
            "one output",
            "the numbers of the greatest values among the whole batch",
        ));
    }
    let (windows, beyond) = pool_windows(call, &x)?;
    let pool = Pool {
        pooled: Pooled::Place,
        windows,
        beyond,
    };
    let mut place = call.apply(Op::General(General::Pool(pool)), &[&x])?;
    if let (true, &[_, _, rows, columns]) = (call.attributes.flag("storage_order"), &x.shape[..]) {
        // column by column
        place = column_first(call, &place, rows, columns)?;
    }
    Ok(vec![y, place.with(Element::INT64)])
}

/// Numbers of pixels that are counted column by column, from those counted row by row.
fn column_first(call: &mut Call, place: &Known, rows: usize, columns: usize) -> Result<Known> {
    let quotient = |call: &mut Call, x: &Known, by: usize| {
        let x = call.apply(Op::Scale(1.0 / by as f64), &[x])?;
        // a half keeps the rounding of the quotient away from whole numbers
        let x = call.unary(Unary::Offset(0.5 / by as f64), &x)?;
        call.unary(Unary::Floor, &x)
    };
    let row = quotient(call, place, columns)?;
    let image = quotient(call, &row, rows)?;
    let rows_before = call.apply(Op::Scale(columns as f64), &[&row])?;
    let column = call.binary(Binary::Sub, place, &rows_before)?;
    let images_before = call.apply(Op::Scale(rows as f64), &[&image])?;
    let row = call.binary(Binary::Sub, &row, &images_before)?;
    let pixels_before = call.apply(Op::Scale((rows * columns) as f64), &[&image])?;
    let columns_before = call.apply(Op::Scale(rows as f64), &[&column])?;
    let sum = call.add(&pixels_before, &columns_before)?;
    call.add(&sum, &row)
}

fn pool_windows(call: &Call, x: &Known) -> Result<(Windows, Vec<usize>)> {
    let kernel = call.attributes.integers("kernel_shape").unwrap_or_default();
    let kernel: Vec<usize> = kernel
        .iter()
        .map(|size| usize::try_from(*size).unwrap_or(0))
        .collect();
    let count = kernel
        .iter()
        .fold(1usize, |count, size| count.saturating_mul(*size));
    if !(1..=1 << 16).contains(&count) {
        return Err(call.wrong("a kernel of 1 to 65,536 pixels", format!("{kernel:?}")));
    }
    windows(call, &kernel, x.shape.get(2..).unwrap_or_default())
}

pub(super) fn pooled(call: &mut Call, x: &Known) -> Result<Known> {
    let (windows, mut beyond) = pool_windows(call, x)?;
    let of_padding = call.attributes.flag("count_include_pad");
    call.attributes.ignore(&["storage_order"]);
    let pooled = match (call.node.op_type.as_str(), of_padding) {
        ("MaxPool", _) => Pooled::Max,
        (_, true) => Pooled::MeanWithPadding,
        (_, false) => Pooled::Mean,
    };
    let (images, windows) = as_images(call, x, windows)?;
    if beyond.len() == 1 {
        beyond.insert(0, 0);
    }
    let op = match (pooled, windows.square()) {
        (Pooled::Max, Some((size, stride, 0))) if beyond == [0, 0] => Op::MaxPool(MaxPool {
            size,
            stride,
            padding: 0,
        }),
        _ => Op::General(General::Pool(Pool {
            pooled,
            windows,
            beyond,
        })),
    };
    let y = call.apply(op, &[&images])?;
    as_before(call, y, x)
}

/// One number for each channel.
pub(super) fn global_pool(call: &mut Call) -> Result<Known> {
    let x = call.input(0)?;
    if call.node.op_type == "GlobalMaxPool" {
        call.reduce(Reduction::Max, (2..x.rank()).collect(), &x)
    } else {
        global_mean(call, &x)
    }
}

pub(super) fn global_mean(call: &mut Call, x: &Known) -> Result<Known> {
    if x.rank() != 4 || x.batch != Some(0) {
        return call.reduce(Reduction::Mean, (2..x.rank()).collect(), x);
    }
    let mean = call.apply(Op::ChannelMean, &[x])?;
    call.reshape(&mean, vec![x.shape[0], x.shape[1], 1, 1])
}
