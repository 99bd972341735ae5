//! What each value of a network's steps is in the engine: images with a border, vectors, or rows of numbers.

use super::mean_pool::MeanPool;
use super::pool::MaxPool;
use crate::error::{Error, Result};
use crate::kernel::{Depthwise, Direct, Planes, Shortcut, BLOCK};
use crate::net::{Network, Step, Value};

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Images(Planes),
    Vectors(usize),
    /// So many numbers of any shape.
    Rows(usize),
}

/// Outputs of a layer.
pub(super) fn outputs_of(network: &Network, layer: usize) -> usize {
    network.layers()[layer].weight().dims()[0]
}

pub(super) fn vectors(expected: &str) -> Error {
    Error::argument("program of a network", expected, "vectors")
}

/// Layout of a value that is images.
pub(super) fn images(kinds: &[Kind], value: Value) -> Result<Planes> {
    match kinds[value] {
        Kind::Images(planes) => Ok(planes),
        _ => Err(vectors("images before this step")),
    }
}

/// Layout of every value, borders wide enough for the convolutions that read it.
pub(super) fn kinds(network: &Network, steps: &[Step]) -> Result<Vec<Kind>> {
    let [channels, height, width] = network.input_shape();
    let read_as = read_as(steps);
    // images that no kernel reads as such lie as they come, as one channel
    let first = match read_as[0] {
        Some(ReadAs::Images) => Planes::new(channels, height, width, 0)?,
        _ => Planes::new(1, channels * height, width, 0)?,
    };
    let mut kinds = vec![Kind::Images(first)];
    for (i, step) in steps.iter().enumerate() {
        let kind = match step {
            Step::Convolution {
                input,
                layer,
                windows,
                groups,
                ..
            } => {
                let input = images(&kinds, *input)?.with_border(windows.padding());
                let outputs = outputs_of(network, *layer);
                Kind::Images(if Depthwise::is(*groups, input.channels(), outputs) {
                    Depthwise::new(input.full(), *windows, 0)?.output()
                } else {
                    Direct::over(input.full(), outputs, *windows, 0)?.output()
                })
            }
            Step::MeanPool { input, windows, .. } => {
                Kind::Images(MeanPool::output_of(images(&kinds, *input)?, *windows)?)
            }
            Step::MaxPool {
                input,
                size,
                stride,
                padding,
                ..
            } => Kind::Images(MaxPool::output_of(
                images(&kinds, *input)?,
                *size,
                *stride,
                *padding,
            )?),
            Step::PaddedShortcut { input, channels } => {
                Kind::Images(Shortcut::new(images(&kinds, *input)?, *channels, 0)?.output())
            }
            Step::ChannelMean { input } => Kind::Vectors(images(&kinds, *input)?.channels()),
            Step::Linear { layer, .. } => {
                Kind::Vectors(network.layers()[*layer].weight().dims()[0])
            }
            Step::General(step) => free(&read_as[i + 1], step.shape())?,
            Step::Product { shape, .. } | Step::Rows { shape, .. } => free(&read_as[i + 1], shape)?,
            Step::Moved(moved) => free(&read_as[i + 1], &moved.shape)?,
            Step::Stored { input, .. } => kinds[*input],
        };
        kinds.push(kind);
    }
    widen(steps, &mut kinds);
    Ok(kinds)
}

/// What a value is whose layout its readers choose.
fn free(read_as: &Option<ReadAs>, shape: &[usize]) -> Result<Kind> {
    Ok(match (read_as, shape) {
        (Some(ReadAs::Images), [1, channels, height, width]) => {
            Kind::Images(Planes::new(*channels, *height, *width, 0)?)
        }
        (Some(ReadAs::Vectors), shape) => Kind::Vectors(shape.iter().product()),
        (_, shape) => Kind::Rows(shape.iter().product()),
    })
}

/// What the kernels that read a value take it for.
#[derive(Clone, Copy, Debug)]
enum ReadAs {
    Images,
    Vectors,
}

/// What kernels take each value for; `None` where none reads it. The last value is a vector.
fn read_as(steps: &[Step]) -> Vec<Option<ReadAs>> {
    let mut all = vec![None; steps.len() + 1];
    if let Some(last) = all.last_mut() {
        *last = Some(ReadAs::Vectors);
    }
    for (i, step) in steps.iter().enumerate().rev() {
        for value in step.inputs() {
            match step {
                Step::General(_) | Step::Product { .. } | Step::Rows { .. } | Step::Moved(_) => {}
                Step::Linear { .. } => all[value] = all[value].or(Some(ReadAs::Vectors)),
                Step::Stored { .. } => all[value] = all[i + 1],
                _ => all[value] = Some(ReadAs::Images),
            }
        }
    }
    all
}

/// Gives every value of images the border that its readers need, the same to a residual and its sum, and full
/// lanes where a reader has no kernel for fewer, the same to images and what is pooled of them.
fn widen(steps: &[Step], kinds: &mut [Kind]) {
    let mut changed = true;
    while changed {
        changed = false;
        for (i, step) in steps.iter().enumerate() {
            let mut meet = |value: Value, border: usize, stride: usize, full: bool| {
                if let Kind::Images(planes) = &mut kinds[value] {
                    let mut new = planes.with_border(planes.border().max(border));
                    if full {
                        new = new.full();
                    }
                    changed |= new != *planes;
                    *planes = new;
                    return (
                        new.border(),
                        new.lanes() == BLOCK,
                        Direct::steps_over(new, stride),
                    );
                }
                (border, full, true)
            };
            match step {
                Step::Convolution {
                    input,
                    windows,
                    groups,
                    add,
                    ..
                } => {
                    let (padding, stride) = (windows.padding(), windows.stride[1]);
                    if !meet(*input, padding, stride, *groups > 1).2 {
                        meet(*input, padding, stride, true);
                    }
                    if let Some(add) = add {
                        let (border, full, _) = meet(*add, 0, 1, false);
                        let (border, full, _) = meet(i + 1, border, 1, full);
                        meet(*add, border, 1, full);
                    }
                }
                Step::MaxPool { input, .. } | Step::MeanPool { input, .. } => {
                    let full = meet(*input, 0, 1, false).1;
                    let full = meet(i + 1, 0, 1, full).1;
                    meet(*input, 0, 1, full);
                }
                Step::Stored { input, .. } => {
                    let (border, full, _) = meet(*input, 0, 1, false);
                    let (border, full, _) = meet(i + 1, border, 1, full);
                    meet(*input, border, 1, full);
                }
                _ => {}
            }
        }
    }
}
