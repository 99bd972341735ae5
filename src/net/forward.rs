//! Runs a graph on a batch of images: node by node, or group by group on the kernels.

use super::activations::to_learned_levels;
use super::general::rounded;
use super::graph::{Graph, Node, Op, Value};
use super::groups::{End, Group};
use super::pass::{Pass, Route, Tensors};
use super::pool::max_pool;
use super::relu::relu;
use super::shape::filled;
use crate::error::{refuse, Error, Result, TensorContext};
use crate::kernel::{channel_mean, padded_shortcut, Levels, Workspace};
use candle_core::{DType, Tensor, D};

/// Values of a pass, each kept until its last reader has it.
struct Values<T> {
    values: Vec<Option<T>>,
    unread: Vec<usize>,
}

impl<T: Clone> Values<T> {
    fn new(graph: &Graph, images: T) -> Self {
        let mut values = vec![None; graph.nodes().len() + 1];
        values[0] = Some(images);
        Self {
            values,
            unread: (0..=graph.nodes().len())
                .map(|value| graph.readers(value).len())
                .collect(),
        }
    }

    fn read(&mut self, value: Value) -> Result<T> {
        self.unread[value] = self.unread[value].saturating_sub(1);
        let slot = &mut self.values[value];
        let read = match self.unread[value] {
            0 => slot.take(),
            _ => slot.clone(),
        };
        read.ok_or_else(|| Error::argument("graph", "values in their order", value.to_string()))
    }
}

/// A value in a pass on the kernels.
#[derive(Clone)]
struct Laid {
    tensor: Tensor,
    /// Channels of images that are blocked, [batch, blocks, height, width, lanes].
    blocked: Option<usize>,
}

impl Laid {
    fn plain(tensor: Tensor) -> Self {
        Self {
            tensor,
            blocked: None,
        }
    }

    fn blocked(tensor: Tensor, channels: usize) -> Self {
        Self {
            tensor,
            blocked: Some(channels),
        }
    }

    /// Whether it is blocked as the results of convolutions are: few channels may have fewer lanes.
    fn has_lanes_of_results(&self) -> bool {
        self.blocked.is_some() && self.tensor.dims().last() == Some(&16)
    }

    /// As candle's own operations take it.
    fn unblocked(&self) -> candle_core::Result<Tensor> {
        let Some(channels) = self.blocked else {
            return Ok(self.tensor.clone());
        };
        let (batch, blocks, height, width, lanes) = self.tensor.dims5()?;
        self.tensor
            .permute((0, 1, 4, 2, 3))?
            .reshape((batch, blocks * lanes, height, width))?
            .narrow(1, 0, channels)
    }
}

impl Graph {
    /// Logits [batch, classes] of images [batch, channels, height, width].
    pub(super) fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        if pass.route.is_blocked() {
            return self.forward_on_kernels(images, pass);
        }
        self.forward_visiting(images, pass, &mut |_, _| Ok(()))
    }

    /// The same node by node, calling `visit` with every value.
    pub(super) fn forward_visiting(
        &self,
        images: &Tensor,
        pass: &Pass,
        visit: &mut dyn FnMut(Value, &Tensor) -> Result<()>,
    ) -> Result<Tensor> {
        let mut values = Values::new(self, images.clone());
        visit(0, images)?;
        for (at, Node { op, inputs }) in self.nodes().iter().enumerate() {
            let inputs = inputs.iter().map(|value| values.read(*value));
            let inputs: Vec<Tensor> = inputs.collect::<Result<_>>()?;
            let value = op.forward(&inputs, images.dtype(), pass)?;
            visit(at + 1, &value)?;
            values.values[at + 1] = Some(value);
        }
        values.read(self.nodes().len())
    }

    fn forward_on_kernels(&self, images: &Tensor, pass: &Pass) -> Result<Tensor> {
        let mut values = Values::new(self, Laid::plain(images.clone()));
        let (_, channels, height, width) = images.dims4()?;
        let shapes = self.shapes([channels, height, width])?;
        let groups = self.groups(&shapes);
        let mut done = 0;
        if pass.route == Route::Winograd && pass.training {
            if let Some(trunk) = self.trunk(&groups) {
                done = trunk.end;
                let end = trunk.train(images, pass)?;
                values.values[done] = Some(Laid::blocked(end, trunk.channels));
            }
        }
        for (group, value) in groups.into_iter().filter(|(_, value)| *value > done) {
            let result = group.forward(&mut values, images.dtype(), pass)?;
            values.values[value] = Some(result);
        }
        Ok(values.read(self.nodes().len())?.unblocked()?)
    }
}

impl Group<'_> {
    /// On the kernels where there are some, else by candle's own operations.
    fn forward(&self, values: &mut Values<Laid>, dtype: DType, pass: &Pass) -> Result<Laid> {
        match *self {
            Group::Convolution {
                convolution,
                input,
                end,
            } => {
                let x = values.read(input)?;
                let add = end.add.map(|value| values.read(value)).transpose()?;
                let residual = add.as_ref().map(|add| &add.tensor);
                let fits = convolution.fits_kernels(pass);
                let blocked = add.as_ref().is_none_or(Laid::has_lanes_of_results);
                match end.norm {
                    // the norm of the kernels knows no bias in front of it
                    Some(norm) if blocked && fits && convolution.bias.is_none() => {
                        let y = convolution.forward_blocked(&x.tensor, pass)?;
                        let norm = norm.norm(pass.tensors);
                        let y = norm.forward_blocked(&y, residual, end.relu, pass.training)?;
                        Ok(Laid::blocked(
                            capped(y, end.ceiling)?,
                            convolution.outputs(pass),
                        ))
                    }
                    _ => {
                        let y = convolution.forward(&x.unblocked()?, pass)?;
                        end.forward(y, add, pass)
                    }
                }
            }
            Group::General {
                convolution,
                input,
                end,
            } => {
                let y = convolution.forward(&values.read(input)?.unblocked()?, pass)?;
                let add = end.add.map(|value| values.read(value)).transpose()?;
                end.forward(y, add, pass)
            }
            Group::Pooled {
                convolution,
                size,
                input,
            } => {
                let x = values.read(input)?;
                if !convolution.fits_kernels(pass) {
                    let y = convolution.forward(&x.unblocked()?, pass)?;
                    return Ok(Laid::plain(relu(&max_pool(&y, size, size, 0)?)?));
                }
                let y = convolution.pooled_blocked(&x.tensor, size, pass)?;
                Ok(Laid::blocked(y, convolution.outputs(pass)))
            }
            Group::MaxPool {
                pool,
                input,
                relu: rectified,
            } => {
                let x = values.read(input)?;
                let y = max_pool(&x.tensor, pool.size, pool.stride, pool.padding)?;
                let tensor = if rectified { relu(&y)? } else { y };
                Ok(Laid { tensor, ..x })
            }
            Group::Linear {
                linear,
                input,
                relu: rectified,
            } => {
                let y = linear.forward(&values.read(input)?.unblocked()?, pass)?;
                Ok(Laid::plain(if rectified { relu(&y)? } else { y }))
            }
            Group::Other(Node { op, inputs }) => {
                let inputs = inputs.iter().map(|value| values.read(*value));
                let inputs: Vec<Laid> = inputs.collect::<Result<_>>()?;
                let blocked = inputs.first().and_then(|x| x.blocked);
                match (op, &inputs[..], blocked) {
                    // number by number, whatever the layout
                    (Op::Stored { .. }, [x], _) => Ok(Laid {
                        tensor: op.forward(std::slice::from_ref(&x.tensor), dtype, pass)?,
                        ..*x
                    }),
                    (Op::ChannelMean, [x], Some(channels)) => {
                        Ok(Laid::plain(channel_mean(&x.tensor, channels)?))
                    }
                    (Op::PaddedShortcut { channels }, [x], Some(inputs)) => {
                        let y = padded_shortcut(&x.tensor, inputs, *channels)?;
                        Ok(Laid::blocked(y, *channels))
                    }
                    _ => {
                        let inputs = inputs.iter().map(Laid::unblocked);
                        let inputs = inputs.collect::<candle_core::Result<Vec<Tensor>>>()?;
                        Ok(Laid::plain(op.forward(&inputs, dtype, pass)?))
                    }
                }
            }
        }
    }
}

impl End<'_> {
    /// By candle's own operations.
    fn forward(&self, mut y: Tensor, add: Option<Laid>, pass: &Pass) -> Result<Laid> {
        if let Some(norm) = self.norm {
            y = norm.norm(pass.tensors).forward(&y, pass.training)?;
        }
        if let Some(add) = add {
            y = (y + add.unblocked()?)?;
        }
        if self.relu {
            y = relu(&y)?;
        }
        Ok(Laid::plain(capped(y, self.ceiling)?))
    }
}

/// At most a bound, where there is one.
fn capped(y: Tensor, ceiling: Option<f64>) -> Result<Tensor> {
    match ceiling {
        Some(ceiling) if ceiling < f64::INFINITY => Ok(y.minimum(ceiling)?),
        _ => Ok(y),
    }
}

impl Op {
    /// [`Self::forward`] by itself, outside of the pass of a network.
    pub(super) fn alone(
        &self,
        inputs: &[Tensor],
        dtype: DType,
        tensors: Tensors,
        weights: &[Tensor],
    ) -> Result<Tensor> {
        let pass = Pass {
            tensors,
            weights,
            workspace: &Workspace::default(),
            training: false,
            route: Route::Plain,
        };
        self.forward(inputs, dtype, &pass)
    }

    /// By candle's own operations, on every device. Parameters take the type of the images.
    pub(super) fn forward(&self, inputs: &[Tensor], dtype: DType, pass: &Pass) -> Result<Tensor> {
        let result = match (self, inputs) {
            (Self::Convolution(convolution), [x]) => return convolution.forward(x, pass),
            (Self::GeneralConvolution(convolution), [x]) => return convolution.forward(x, pass),
            (Self::Linear(linear), [x]) => return linear.forward(x, pass),
            (Self::BatchNorm(norm), [x]) => {
                return norm.norm(pass.tensors).forward(x, pass.training)
            }
            (Self::LayerNorm(norm), [x]) => return norm.forward(x, pass.tensors),
            (Self::Relu, [x]) => return relu(x),
            (Self::MaxPool(pool), [x]) => return max_pool(x, pool.size, pool.stride, pool.padding),
            (Self::Gelu, [x]) => x.gelu_erf(),
            (Self::Softmax, [x]) => candle_nn::ops::softmax(x, D::Minus1),
            (Self::Add, [a, b]) => a.broadcast_add(b),
            (Self::Scale(factor), [x]) => x * *factor,
            (Self::MatMul, [a, b]) => product(a, b),
            (Self::PaddedShortcut { channels }, [x]) => every_second(x, *channels),
            (Self::ChannelMean, [x]) => x.flatten_from(2).and_then(|x| x.mean(2)),
            (Self::Parameter(at), []) => pass.tensors.parameter(*at).to_dtype(dtype),
            (Self::Reshape(dims), [x]) => x.reshape(filled(dims, x.elem_count())),
            (Self::Transpose(order), [x]) => {
                x.permute(order.as_slice()).and_then(|x| x.contiguous())
            }
            (
                Self::Slice {
                    axis,
                    start,
                    length,
                },
                [x],
            ) => x
                .narrow(*axis, *start, *length)
                .and_then(|x| x.contiguous()),
            (Self::Buffer(at), []) => pass.tensors.buffers[*at].1.to_dtype(dtype),
            (Self::Concat { axis }, all) => concatenated(all, *axis),
            (Self::General(general), all) => general.forward(all),
            (Self::Stored { levels, range, .. }, [x]) => match range {
                Some(at) => to_learned_levels(x, pass.tensors.parameter(*at), levels),
                None => to_levels(x, levels),
            },
            (_, inputs) => {
                let expected = format!("the inputs of {self:?}");
                return refuse("graph", expected, format!("{} values", inputs.len()));
            }
        };
        result.during(|| {
            let dims: Vec<&[usize]> = inputs.iter().map(Tensor::dims).collect();
            format!("{self:?} of {dims:?}")
        })
    }
}

/// Values rounded to levels, NaN as it is; gradients are those of what is within the levels (straight through).
pub(super) fn to_levels(x: &Tensor, levels: &Levels) -> candle_core::Result<Tensor> {
    let [step, low, high] = [levels.step, levels.low, levels.high].map(f64::from);
    let codes = rounded(&(x.detach() * f64::from(1.0 / levels.step))?)?;
    let values = (codes.clamp(low, high)? * step)?;
    let values = x.eq(x)?.where_cond(&values, &x.detach())?;
    let within = x.clamp(low * step, high * step)?;
    values + (&within - within.detach())?
}

/// Every second pixel of images, with missing channels of zeros.
fn every_second(x: &Tensor, channels: usize) -> candle_core::Result<Tensor> {
    let (batch, inputs, height, width) = x.dims4()?;
    let half = x.reshape((batch, inputs, height / 2, 2, width / 2, 2))?;
    let half = half.narrow(3, 0, 1)?.narrow(5, 0, 1)?.contiguous()?;
    let half = half.reshape((batch, inputs, height / 2, width / 2))?;
    let missing = channels - inputs;
    half.pad_with_zeros(1, missing / 2, missing - missing / 2)
}

/// Matrix product over the last two dimensions, those in front spread over each other.
fn product(a: &Tensor, b: &Tensor) -> candle_core::Result<Tensor> {
    let in_front = |x: &Tensor| {
        x.dims()
            .split_last_chunk::<2>()
            .map(|(front, _)| front.to_vec())
    };
    if in_front(a) == in_front(b) {
        a.matmul(b)
    } else {
        a.broadcast_matmul(b)
    }
}

/// Values one behind the other; those of a batch of one stand before each of the others' batch.
fn concatenated(values: &[Tensor], axis: usize) -> candle_core::Result<Tensor> {
    let batch = values.iter().filter_map(|value| value.dims().first()).max();
    let spread = |value: &Tensor| {
        let mut dims = value.dims().to_vec();
        match (dims.first_mut(), batch) {
            (Some(first), Some(batch)) if axis > 0 => *first = *batch,
            _ => {}
        }
        value.broadcast_as(dims)?.contiguous()
    };
    let values = values.iter().map(spread);
    Tensor::cat(&values.collect::<candle_core::Result<Vec<Tensor>>>()?, axis)
}

#[cfg(test)]
mod tests {
    use super::super::build::{Builder, ConvShape, Start};
    use super::super::graph::MaxPool;
    use super::super::network::{Parameter, Role};
    use super::*;
    use crate::seed::{Purpose, Seed};
    use candle_core::{Device, Var};

    /// A norm behind a bias, a stride of 3, a ReLU and a sum that no kernel takes, images of 6 channels that leave the
    /// kernels, and two readers of one value.
    fn graph() -> Graph {
        let mut builder = Builder::new(Start::Uniform);
        let shape = |inputs, outputs| ConvShape {
            inputs,
            outputs,
            kernel: 3,
            stride: 1,
            padding: 1,
        };
        let first = builder.normed("first", "norm", shape(1, 20));
        let second = builder.conv("second", shape(20, 6), true);
        let third = builder.conv("third", shape(6, 6), true);
        let biased = builder.conv("biased", shape(6, 6), true);
        let norm = builder.batch_norm("norm_of_biased", 6);
        let wide = ConvShape {
            stride: 3,
            ..shape(6, 6)
        };
        let wide = builder.normed("wide", "norm_of_wide", wide);
        let linear = builder.linear("linear", 6 * 4, 5);
        let pool = Op::MaxPool(MaxPool {
            size: 2,
            stride: 2,
            padding: 0,
        });
        let x = builder.chain(0, first);
        let x = builder.push(second, &[x]);
        let x = builder.push(pool, &[x]);
        let x = builder.push(Op::Relu, &[x]);
        let y = builder.push(third, &[x]);
        let y = builder.push(Op::Add, &[y, x]);
        let x = builder.push(biased, &[y]);
        let x = builder.push(norm, &[x]);
        let x = builder.push(Op::Relu, &[x]);
        let x = builder.chain(x, wide);
        let x = builder.push(Op::Reshape(vec![None, Some(6 * 4)]), &[x]);
        builder.push(linear, &[x]);
        builder.finish()
    }

    #[test]
    fn what_no_kernel_takes_runs_between_those_that_do() {
        let (graph, device) = (graph(), Device::Cpu);
        let fresh = |slot: &super::super::slot::Slot| {
            let values = slot.fresh(Seed(3), &device).unwrap();
            Var::from_tensor(&values).unwrap()
        };
        let weights: Vec<Tensor> = graph
            .layers
            .iter()
            .map(|slot| fresh(slot).as_tensor().clone())
            .collect();
        let parameters: Vec<Parameter> = graph
            .parameters
            .iter()
            .map(|slot| Parameter {
                name: slot.name.clone(),
                var: fresh(slot),
                role: Role::Other,
            })
            .collect();
        let named = graph
            .buffers
            .iter()
            .map(|slot| (slot.name.clone(), fresh(slot)));
        let buffers: Vec<(String, Var)> = named.collect();
        let images = Seed(4)
            .stream(Purpose::Test, &[])
            .normal_tensor(1.0, (3, 1, 12, 12))
            .unwrap();
        let run = |route| {
            let pass = Pass {
                tensors: Tensors {
                    parameters: &parameters,
                    buffers: &buffers,
                },
                weights: &weights,
                workspace: &Workspace::default(),
                training: false,
                route,
            };
            let logits = graph.forward(&images, &pass).unwrap();
            logits.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        let plain = run(Route::Plain);
        assert_eq!(plain.len(), 15);
        for route in [Route::Gpu, Route::Kernels, Route::Winograd] {
            for (fast, plain) in run(route).iter().zip(&plain) {
                assert!((fast - plain).abs() < 1e-5, "{route:?}: {fast} {plain}");
            }
        }
    }
}
