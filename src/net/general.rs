//! Operations of imported networks by candle's own operations: every form of convolution and pooling, element by element,
//! reductions. All have gradients where the function has one.

mod depthwise;

use super::pass::Pass;
use super::pool::greater;
use crate::error::{Result, TensorContext};
use crate::kernel::{self, Depthwise, Direct, BLOCK};
use candle_core::{bail, DType, Device, Result as Candle, Tensor, D};
use depthwise::depthwise;
use serde::{Deserialize, Serialize};

/// Where windows lie in images [batch, channels, ...]: one number for each dimension behind the channels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Windows {
    /// Sides of a window.
    pub(super) kernel: Vec<usize>,
    /// Pixels from a window to the next.
    pub(super) stride: Vec<usize>,
    /// Pixels between neighbours in a window.
    pub(super) dilation: Vec<usize>,
    /// Pixels added in front, along each dimension, then those behind.
    pub(super) padding: Vec<usize>,
}

impl Windows {
    /// Sides of the result of images of these sides; `None` where no window fits.
    pub(super) fn outputs(&self, images: &[usize]) -> Option<Vec<usize>> {
        let n = images.len();
        let lengths = [&self.kernel, &self.stride, &self.dilation].map(Vec::len);
        (lengths == [n; 3] && self.padding.len() == 2 * n).then_some(())?;
        let along = |axis: usize| {
            let reach = self.kernel[axis].checked_sub(1)? * self.dilation[axis] + 1;
            let room =
                (images[axis] + self.padding[axis] + self.padding[n + axis]).checked_sub(reach)?;
            Some(room.checked_div(self.stride[axis])? + 1)
        };
        (0..n).map(along).collect()
    }

    /// Square windows over images, without dilation, padded alike on all sides.
    pub(super) fn of_square(side: usize, stride: usize, padding: usize) -> Self {
        Self {
            kernel: vec![side; 2],
            stride: vec![stride; 2],
            dilation: vec![1; 2],
            padding: vec![padding; 4],
        }
    }

    /// The side, stride and padding of square windows without dilation, padded alike on all sides.
    pub(super) fn square(&self) -> Option<(usize, usize, usize)> {
        let [kernel, stride, padding] =
            [&self.kernel, &self.stride, &self.padding].map(|all| all.first().copied());
        let (kernel, stride, padding) = (kernel?, stride?, padding?);
        let square = *self == Self::of_square(kernel, stride, padding);
        square.then_some((kernel, stride, padding))
    }

    /// Those over images as the kernels take them.
    pub(super) fn on_kernels(&self) -> Option<kernel::Windows> {
        let two = |numbers: &[usize]| <[usize; 2]>::try_from(numbers).ok();
        let (front, behind) = self.padding.split_at_checked(2)?;
        Some(kernel::Windows {
            kernel: two(&self.kernel)?,
            stride: two(&self.stride)?,
            dilation: two(&self.dilation)?,
            front: two(front)?,
            behind: two(behind)?,
        })
    }

    /// For each place in a window, the last dimension first, what lies there in every window.
    fn places(&self, x: &Tensor, fill: f64) -> Candle<Vec<Tensor>> {
        let images = x.dims().get(2..).unwrap_or_default();
        let Some(outputs) = self.outputs(images) else {
            bail!("no window {self:?} fits in {images:?} pixels");
        };
        let n = outputs.len();
        let mut x = x.clone();
        for axis in 0..n {
            x = padded(
                &x,
                axis + 2,
                self.padding[axis],
                self.padding[n + axis],
                fill,
            )?;
        }
        let mut places = vec![x];
        for (axis, count) in outputs.into_iter().enumerate() {
            let mut next = Vec::with_capacity(places.len() * self.kernel[axis]);
            for x in &places {
                for place in 0..self.kernel[axis] {
                    let first = place * self.dilation[axis];
                    next.push(every(x, axis + 2, first, self.stride[axis], count)?);
                }
            }
            places = next;
        }
        Ok(places)
    }
}

/// A convolution of any form: `w * x + bias`, weight [outputs, inputs / groups, ...].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GeneralConvolution {
    /// Layer whose weight it uses, in memory order.
    pub(super) layer: usize,
    /// Its number among the parameters.
    pub(super) bias: Option<usize>,
    pub(super) windows: Windows,
    pub(super) groups: usize,
}

impl GeneralConvolution {
    /// Windows for the kernels; `None` where they do not know such a convolution of images of this shape.
    pub(super) fn on_kernels(&self, weight: &[usize], images: &[usize]) -> Option<kernel::Windows> {
        let windows = self.windows.on_kernels()?;
        let ([1, channels, _, _], [outputs, ..]) = (images, weight) else {
            return None;
        };
        if Depthwise::is(self.groups, *channels, *outputs) {
            return Some(windows);
        }
        // more groups in a part are more zeros than numbers
        let parts = Direct::parts(self.groups, *channels, *outputs);
        (windows.stride[1] <= 2 && self.groups / parts <= BLOCK).then_some(windows)
    }

    /// Of images [batch, channels, ...].
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let weight = &pass.weights[self.layer];
        let apply = || with_bias(self.product(x, weight)?, self.bias, pass);
        apply().during(|| format!("convolution of {:?} with {:?}", x.dims(), weight.dims()))
    }

    fn product(&self, x: &Tensor, weight: &Tensor) -> Candle<Tensor> {
        if let (Some((_, stride, padding)), 1) = (self.windows.square(), self.groups) {
            return x.conv2d(weight, padding, stride, 1, 1);
        }
        let ([batch, channels, ..], [outputs, inputs, kernel @ ..]) = (x.dims(), weight.dims())
        else {
            bail!(
                "{:?} and {:?} are no images and kernels",
                x.dims(),
                weight.dims()
            );
        };
        let is_image = x.rank() == 4 && x.device().is_cpu();
        if *inputs == 1 && self.groups == *channels && is_image {
            return depthwise(x, weight, &self.windows);
        }
        let (groups, kernel) = (self.groups, kernel.iter().product::<usize>());
        if groups == 0 || inputs * groups != *channels || outputs % groups != 0 {
            bail!("{groups} groups of {channels} channels");
        }
        let places = self.windows.places(x, 0.0)?;
        let Some(first) = places.first().filter(|_| places.len() == kernel) else {
            bail!("{} places in a kernel of {kernel}", places.len());
        };
        let pixels = first.dims()[2..].to_vec();
        let (share, count) = (outputs / groups, pixels.iter().product::<usize>());
        let result = if *inputs == 1 {
            let weight = weight.reshape((1, groups, share, kernel))?;
            let mut sum: Option<Tensor> = None;
            for (place, x) in places.iter().enumerate() {
                let x = x.reshape((*batch, groups, 1, count))?;
                let term = x.broadcast_mul(&weight.narrow(3, place, 1)?)?;
                sum = Some(match sum {
                    Some(sum) => (sum + term)?,
                    None => term,
                });
            }
            sum.unwrap_or_else(|| first.clone())
        } else {
            let x = Tensor::stack(&places, 2)?;
            let x = x.reshape((*batch, groups, inputs * kernel, count))?;
            let w = weight.reshape((1, groups, share, inputs * kernel))?;
            w.broadcast_matmul(&x)?
        };
        result.reshape([&[*batch, *outputs], &pixels[..]].concat())
    }
}

/// The results of a convolution with its bias, a number for each channel.
pub(super) fn with_bias(y: Tensor, bias: Option<usize>, pass: &Pass) -> Candle<Tensor> {
    let Some(bias) = bias else {
        return Ok(y);
    };
    let bias = pass.tensors.parameter(bias).to_dtype(y.dtype())?;
    let mut dims = vec![1; y.rank()];
    dims[1] = bias.elem_count();
    y.broadcast_add(&bias.reshape(dims)?)
}

/// What a pooling gives of each window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Pooled {
    /// The greatest value; padding never wins.
    Max,
    /// The mean of the values inside the image.
    Mean,
    /// The mean of all values, those of the padding zero.
    MeanWithPadding,
    /// The number of the greatest value among all values; without gradient.
    Place,
}

/// Pooling of images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pool {
    pub(super) pooled: Pooled,
    pub(super) windows: Windows,
    /// Pixels behind, along each dimension, that belong to no padding: windows reach there, but they count in no mean.
    pub(super) beyond: Vec<usize>,
}

impl Pool {
    /// Windows of a mean for the kernels, and whether the padding counts; `None` for what they do not know.
    pub(super) fn mean_on_kernels(&self) -> Option<(kernel::Windows, bool)> {
        let whole = self.beyond.iter().all(|beyond| *beyond == 0);
        let counts = match self.pooled {
            Pooled::Mean => false,
            Pooled::MeanWithPadding => true,
            Pooled::Max | Pooled::Place => return None,
        };
        let windows = self.windows.on_kernels().filter(|_| whole)?;
        Some((windows, counts))
    }

    fn forward(&self, x: &Tensor) -> Candle<Tensor> {
        let fill = match self.pooled {
            Pooled::Max | Pooled::Place => f64::from(f32::MIN),
            Pooled::Mean | Pooled::MeanWithPadding => 0.0,
        };
        let windows = self.reaching();
        let places = windows.places(x, fill)?;
        let Some((first, rest)) = places.split_first() else {
            bail!("a window without pixels");
        };
        let mut result = first.clone();
        match self.pooled {
            Pooled::Max => {
                for place in rest {
                    result = greater(&result, place)?;
                }
                Ok(result)
            }
            Pooled::Place => {
                // the number of each pixel, as one of all in the order in which they lie
                let numbers = Tensor::arange(0u32, x.elem_count() as u32, x.device())?;
                let numbers = numbers.reshape(x.dims())?.to_dtype(x.dtype())?;
                let numbers = windows.places(&numbers, 0.0)?;
                let mut place = numbers[0].clone();
                for (value, number) in rest.iter().zip(&numbers[1..]) {
                    let more = value.gt(&result)?;
                    place = more.where_cond(number, &place)?;
                    result = more.where_cond(value, &result)?;
                }
                Ok(place)
            }
            Pooled::Mean | Pooled::MeanWithPadding => {
                for place in rest {
                    result = (result + place)?;
                }
                result.broadcast_mul(
                    &self
                        .shares(x.dims(), result.dims())?
                        .to_device(x.device())?
                        .to_dtype(x.dtype())?,
                )
            }
        }
    }

    /// The windows with what they reach beyond the padding.
    pub(super) fn reaching(&self) -> Windows {
        let mut windows = self.windows.clone();
        let behind = windows.padding.iter_mut().skip(self.beyond.len());
        behind
            .zip(&self.beyond)
            .for_each(|(padding, beyond)| *padding += beyond);
        windows
    }

    /// One over the number of pixels that count in each window, [1, 1, ...].
    fn shares(&self, images: &[usize], windows: &[usize]) -> Candle<Tensor> {
        let mut shares = Tensor::ones((), DType::F64, &Device::Cpu)?;
        for (axis, (length, count)) in images.iter().zip(windows).skip(2).enumerate() {
            let counts: Vec<f64> = self.counts(axis, *length, *count);
            let counts: Vec<f64> = counts.into_iter().map(|count| 1.0 / count).collect();
            let along = Tensor::from_vec(counts, *count, &Device::Cpu)?;
            shares = shares.unsqueeze(axis)?.broadcast_mul(&along)?;
        }
        shares.unsqueeze(0)?.unsqueeze(0)
    }

    /// How many pixels of each window count, along one dimension.
    fn counts(&self, axis: usize, length: usize, windows: usize) -> Vec<f64> {
        let Windows {
            kernel,
            stride,
            dilation,
            padding,
        } = &self.windows;
        let before = padding[axis];
        let end = before + length;
        let counted = match self.pooled {
            Pooled::MeanWithPadding => 0..end + padding[padding.len() / 2 + axis],
            _ => before..end,
        };
        let of_window = |window: usize| {
            let places =
                (0..kernel[axis]).map(|place| window * stride[axis] + place * dilation[axis]);
            places.filter(|place| counted.contains(place)).count() as f64
        };
        (0..windows).map(of_window).collect()
    }
}

/// A function of each value.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Unary {
    Abs,
    Ceil,
    /// Between two bounds.
    Clip(f64, f64),
    /// `x` from zero on, `alpha (exp(x) - 1)` below.
    Elu(f64),
    Erf,
    Exp,
    Floor,
    /// Gelu with tanh in place of erf.
    GeluTanh,
    /// `x` from zero on, `alpha x` below.
    LeakyRelu(f64),
    Log,
    Neg,
    /// 1 where it is 0, else 0.
    Not,
    /// `x + c`.
    Offset(f64),
    /// `x` to a power.
    Power(f64),
    Reciprocal,
    /// To the nearest whole number, halves to the even one; its gradient is that of `x` (straight through).
    Round,
    Sigmoid,
    Sign,
    /// `log(1 + exp(x))`.
    Softplus,
    Sqrt,
    Tanh,
    /// Towards zero; without gradient.
    Truncate,
}

impl Unary {
    fn forward(self, x: &Tensor) -> Candle<Tensor> {
        match self {
            Self::Abs => x.abs(),
            // candle 0.11 refuses a gradient behind its own `ceil`
            Self::Ceil => x.neg()?.floor()?.neg(),
            Self::Clip(low, high) => {
                // infinite bounds bind nothing
                let x = if low > f64::NEG_INFINITY {
                    x.maximum(low)?
                } else {
                    x.clone()
                };
                if high < f64::INFINITY {
                    x.minimum(high)
                } else {
                    Ok(x)
                }
            }
            Self::Elu(alpha) => x.elu(alpha),
            Self::Erf => x.erf(),
            Self::Exp => x.exp(),
            Self::Floor => x.floor(),
            Self::GeluTanh => x.gelu(),
            Self::LeakyRelu(alpha) => {
                let below = x.lt(&x.zeros_like()?)?;
                below.where_cond(&(x * alpha)?, x)
            }
            Self::Log => x.log(),
            Self::Neg => x.neg(),
            Self::Not => x.eq(&x.zeros_like()?)?.to_dtype(x.dtype()),
            Self::Offset(c) => x + c,
            Self::Power(exponent) => match exponent {
                1.0 => Ok(x.clone()),
                2.0 => x.sqr(),
                0.5 => x.sqrt(),
                _ => x.powf(exponent),
            },
            Self::Reciprocal => x.recip(),
            Self::Round => x + (rounded(&x.detach())? - x.detach())?,
            Self::Sigmoid => candle_nn::ops::sigmoid(x),
            Self::Sign => x.sign(),
            Self::Softplus => x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?,
            Self::Sqrt => x.sqrt(),
            Self::Tanh => x.tanh(),
            Self::Truncate => {
                let below = x.lt(&x.zeros_like()?)?;
                below.where_cond(&x.neg()?.floor()?.neg()?, &x.floor()?)
            }
        }
    }
}

/// Halves to the even number.
pub(super) fn rounded(x: &Tensor) -> Candle<Tensor> {
    // adding it leaves no room for a fraction; numbers beyond half of it are whole
    let shift = match x.dtype() {
        DType::F64 => 6_755_399_441_055_744.0,
        _ => 12_582_912.0,
    };
    let near = x.abs()?.lt(shift / 4.0)?;
    near.where_cond(&((x + shift)? - shift)?, x)
}

/// A function of two values, the dimensions of each spread over those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Binary {
    And,
    Div,
    /// 1 where they are equal, else 0.
    Equal,
    Greater,
    Less,
    Max,
    Min,
    Mul,
    Or,
    Pow,
    Sub,
}

impl Binary {
    fn forward(self, a: &Tensor, b: &Tensor) -> Candle<Tensor> {
        let kind = a.dtype();
        match self {
            Self::And => (a.ne(0.0)?.broadcast_mul(&b.ne(0.0)?))?.to_dtype(kind),
            Self::Div => a.broadcast_div(b),
            Self::Equal => a.broadcast_eq(b)?.to_dtype(kind),
            Self::Greater => a.broadcast_gt(b)?.to_dtype(kind),
            Self::Less => a.broadcast_lt(b)?.to_dtype(kind),
            Self::Max => a.broadcast_maximum(b),
            Self::Min => a.broadcast_minimum(b),
            Self::Mul => a.broadcast_mul(b),
            Self::Or => (a.ne(0.0)?.broadcast_maximum(&b.ne(0.0)?))?.to_dtype(kind),
            Self::Pow => a.broadcast_pow(b),
            Self::Sub => a.broadcast_sub(b),
        }
    }
}

/// What becomes of the values along axes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reduction {
    /// Place of the greatest, the first of equals; without gradient.
    ArgMax,
    Max,
    Mean,
    Sum,
}

impl Reduction {
    fn forward(self, x: &Tensor, axes: &[usize]) -> Candle<Tensor> {
        let mut result = x.clone();
        match self {
            Self::Mean => return x.mean_keepdim(axes.to_vec()),
            Self::Sum => return x.sum_keepdim(axes.to_vec()),
            Self::ArgMax | Self::Max => {}
        }
        for axis in axes {
            result = match self {
                Self::ArgMax => result.argmax_keepdim(*axis)?.to_dtype(x.dtype())?,
                _ => result.max_keepdim(*axis)?,
            };
        }
        Ok(result)
    }
}

/// An operation that networks of our own do not need.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum General {
    Unary(Unary),
    Binary(Binary),
    /// Values of the second where the first is not 0, else of the third.
    Where,
    /// Along axes, whose length becomes 1.
    Reduce {
        reduction: Reduction,
        axes: Vec<usize>,
    },
    Pool(Pool),
    /// Values added before and behind along an axis.
    Pad {
        axis: usize,
        before: usize,
        after: usize,
        value: f64,
    },
    /// Places along an axis.
    Select {
        axis: usize,
        places: Vec<u32>,
    },
    /// Spread over dimensions; 0 keeps the value's own.
    Expand(Vec<usize>),
    /// Matrix product of the second value [outputs, inputs] with the first along an axis.
    Along {
        axis: usize,
    },
}

impl General {
    pub(super) fn forward(&self, inputs: &[Tensor]) -> Candle<Tensor> {
        match (self, inputs) {
            (Self::Unary(unary), [x]) => unary.forward(x),
            (Self::Binary(binary), [a, b]) => binary.forward(a, b),
            (Self::Where, [condition, a, b]) => {
                let shape = condition
                    .shape()
                    .broadcast_shape_binary_op(a.shape(), "where")?;
                let shape = shape.broadcast_shape_binary_op(b.shape(), "where")?;
                let condition = condition.ne(0.0)?.broadcast_as(&shape)?.contiguous()?;
                let spread = |x: &Tensor| x.broadcast_as(&shape)?.contiguous();
                condition.where_cond(&spread(a)?, &spread(b)?)
            }
            (Self::Reduce { reduction, axes }, [x]) => reduction.forward(x, axes),
            (Self::Pool(pool), [x]) => pool.forward(x),
            (
                Self::Pad {
                    axis,
                    before,
                    after,
                    value,
                },
                [x],
            ) => padded(x, *axis, *before, *after, *value),
            (Self::Select { axis, places }, [x]) => {
                let places = Tensor::new(places.as_slice(), x.device())?;
                x.contiguous()?.index_select(&places, *axis)
            }
            (Self::Expand(dims), [x]) => {
                let skipped = dims.len() - x.rank().min(dims.len());
                let own = |axis: usize| axis.checked_sub(skipped).and_then(|own| x.dims().get(own));
                let dims = dims.iter().enumerate();
                let dims = dims.map(|(axis, dim)| {
                    if *dim == 0 {
                        own(axis).map_or(1, |dim| *dim)
                    } else {
                        *dim
                    }
                });
                x.broadcast_as(dims.collect::<Vec<usize>>())?.contiguous()
            }
            (Self::Along { axis }, [x, matrix]) => {
                let x = x.transpose(*axis, D::Minus1)?.contiguous()?;
                let y = x.broadcast_matmul(&matrix.t()?.contiguous()?)?;
                y.transpose(*axis, D::Minus1)?.contiguous()
            }
            (_, inputs) => bail!("{self:?} of {} values", inputs.len()),
        }
    }

    /// Shape of the result; `None` where inputs do not fit.
    pub(super) fn shape(&self, inputs: &[&[usize]]) -> Option<Vec<usize>> {
        let first = *inputs.first()?;
        Some(match self {
            Self::Unary(_) => first.to_vec(),
            Self::Binary(_) => spread(first, inputs.get(1)?)?,
            Self::Where => spread(&spread(first, inputs.get(1)?)?, inputs.get(2)?)?,
            Self::Reduce { axes, .. } => {
                let mut shape = first.to_vec();
                for axis in axes {
                    *shape.get_mut(*axis)? = 1;
                }
                shape
            }
            Self::Pool(pool) => {
                let (front, images) = first.split_at_checked(2)?;
                [front, &pool.reaching().outputs(images)?[..]].concat()
            }
            Self::Pad {
                axis,
                before,
                after,
                ..
            } => changed(first, *axis, |own| own + before + after)?,
            Self::Select { axis, places } => {
                let length = *first.get(*axis)?;
                let inside = places.iter().all(|place| (*place as usize) < length);
                inside.then_some(())?;
                changed(first, *axis, |_| places.len())?
            }
            Self::Expand(dims) => {
                let zeros_kept: Vec<usize> = dims.iter().map(|dim| (*dim).max(1)).collect();
                spread(first, &zeros_kept)?
            }
            Self::Along { axis } => {
                let [outputs, columns] = **inputs.get(1)? else {
                    return None;
                };
                (first.get(*axis) == Some(&columns)).then_some(())?;
                changed(first, *axis, |_| outputs)?
            }
        })
    }
}

/// A shape with another length along one axis.
fn changed(shape: &[usize], axis: usize, length: impl Fn(usize) -> usize) -> Option<Vec<usize>> {
    let mut shape = shape.to_vec();
    let own = shape.get_mut(axis)?;
    *own = length(*own);
    Some(shape)
}

/// The shape over which two are spread, aligned at their ends; `None` where they do not fit.
pub(super) fn spread(a: &[usize], b: &[usize]) -> Option<Vec<usize>> {
    let rank = a.len().max(b.len());
    let dim = |shape: &[usize], axis: usize| {
        let own = (axis + shape.len()).checked_sub(rank);
        own.map_or(1, |axis| shape[axis])
    };
    let both = |axis: usize| match (dim(a, axis), dim(b, axis)) {
        (a, b) if a == b => Some(a),
        (1, b) => Some(b),
        (a, 1) => Some(a),
        _ => None,
    };
    (0..rank).map(both).collect()
}

/// `count` places along an axis from a first on, `step` apart.
fn every(x: &Tensor, axis: usize, first: usize, step: usize, count: usize) -> Candle<Tensor> {
    if step == 1 {
        return x.narrow(axis, first, count)?.contiguous();
    }
    let places: Vec<u32> = (0..count)
        .map(|place| (first + place * step) as u32)
        .collect();
    let places = Tensor::new(places, x.device())?;
    x.contiguous()?.index_select(&places, axis)
}

/// Values of one number added before and behind along an axis.
fn padded(x: &Tensor, axis: usize, before: usize, after: usize, value: f64) -> Candle<Tensor> {
    if before + after == 0 {
        return Ok(x.clone());
    }
    let border = |length: usize| -> Candle<Option<Tensor>> {
        let mut dims = x.dims().to_vec();
        dims[axis] = length;
        let zeros = Tensor::zeros(dims, x.dtype(), x.device())?;
        let values = if value == 0.0 {
            zeros
        } else {
            (zeros + value)?
        };
        Ok((length > 0).then_some(values))
    };
    let parts = [border(before)?, Some(x.clone()), border(after)?];
    let parts: Vec<Tensor> = parts.into_iter().flatten().collect();
    Tensor::cat(&parts, axis)
}

#[cfg(test)]
mod tests;
