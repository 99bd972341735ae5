//! Names, initial values and order of a network's tensors while its body is put together.

use super::architecture::Architecture;
use super::convolution;
use super::network::{Parameter, Role};
use super::norm::BatchNorm;
use super::program::{Step, Value};
use crate::error::{Result, TensorContext};
use crate::kernel::{conv2d, max_pool, Arithmetic};
use crate::quant::{QuantizedWeight, QuantizerSpec};
use crate::seed::{Purpose, Seed};
use candle_core::{Device, Shape, Tensor, Var};

/// The part of a network that is not weights: how they are used.
pub(super) trait Body: Send + Sync + std::fmt::Debug {
    /// Logits [batch, classes] of images [batch, channels, height, width].
    fn forward(&self, images: &Tensor, pass: &Pass) -> Result<Tensor>;

    /// The same in evaluation, as steps, the last of which gives the logits; `None` where an engine has none.
    fn program(&self) -> Result<Option<Vec<Step>>> {
        Ok(None)
    }

    /// Height and width of what each layer gives for an image, in memory order; `None` where the steps say it.
    fn layer_outputs(&self) -> Option<Vec<[usize; 2]>> {
        None
    }
}

/// Which operations carry a forward pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// candle's own: on every device and in double precision; the oracle of the other routes.
    Plain,
    /// candle's own, but convolutions whose gradients take no transposed convolution: on every device too, for GPUs.
    Gpu,
    /// Those of [`crate::kernel`], with direct convolutions: f32 on the CPU.
    Kernels,
    /// The same, but ResNets for CIFAR are trained by [`residual_network`](crate::kernel::residual_network).
    Winograd,
}

impl Route {
    /// That of a network on a device: on the CPU by the process's [`Arithmetic`], where the network knows another one.
    pub fn of(architecture: Architecture, device: &Device) -> Self {
        let knows_winograd = matches!(architecture, Architecture::Resnet { .. });
        if !device.is_cpu() {
            Self::Gpu
        } else if knows_winograd && Arithmetic::current() == Arithmetic::Winograd {
            Self::Winograd
        } else {
            Self::Kernels
        }
    }

    /// How convolutions are computed in a training.
    pub fn arithmetic(self) -> Arithmetic {
        match self {
            Self::Winograd => Arithmetic::Winograd,
            Self::Plain | Self::Gpu | Self::Kernels => Arithmetic::Direct,
        }
    }

    /// True where images are blocked, as the kernels take them.
    pub(super) fn is_blocked(self) -> bool {
        matches!(self, Self::Kernels | Self::Winograd)
    }
}

/// One forward pass.
pub(super) struct Pass<'a> {
    /// The weights in force, one per quantisable layer in memory order.
    pub(super) weights: &'a [Tensor],
    /// Batch statistics (and their running means updated) instead of the stored ones.
    pub(super) training: bool,
    /// How.
    pub(super) route: Route,
}

/// How initial weights are drawn.
#[derive(Clone, Copy, Debug)]
pub(super) enum Start {
    /// Uniform in ±1/√fan-in: PyTorch's default for convolutions and linear layers.
    Uniform,
    /// Normal with variance 2/fan-in (He et al., 2015).
    KaimingNormal,
    /// Normal with deviation 0.02, biases zero: timm's vision transformers (its cut at ±2 lies 100 deviations out).
    SmallNormal,
}

/// Deviation of [`Start::SmallNormal`].
const SMALL: f64 = 0.02;

/// A convolution without bias or with one.
#[derive(Debug)]
pub(super) struct Conv {
    layer: usize,
    bias: Option<Var>,
    stride: usize,
    padding: usize,
}

impl Conv {
    /// By candle's own operations, on every device.
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let weight = &pass.weights[self.layer];
        let y = if pass.route == Route::Gpu {
            convolution::conv2d(x, weight, self.stride, self.padding)?
        } else {
            x.conv2d(weight, self.padding, self.stride, 1, 1)
                .during(|| format!("convolution of {:?} with {:?}", x.dims(), weight.dims()))?
        };
        match &self.bias {
            Some(bias) => {
                let bias = bias
                    .to_dtype(y.dtype())?
                    .reshape((1, bias.elem_count(), 1, 1))?;
                Ok(y.broadcast_add(&bias)?)
            }
            None => Ok(y),
        }
    }

    /// The weight in force.
    pub(super) fn weight<'a>(&self, pass: &'a Pass) -> &'a Tensor {
        &pass.weights[self.layer]
    }

    /// To blocked images by the kernels, without the bias.
    pub(super) fn forward_blocked(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        conv2d(x, &pass.weights[self.layer], self.stride, self.padding)
    }

    /// To blocked images by the kernels, with what stands behind: `relu(max_pool(conv(x) + bias))`.
    pub(super) fn pooled_blocked(&self, x: &Tensor, size: usize, pass: &Pass) -> Result<Tensor> {
        let y = self.forward_blocked(x, pass)?;
        let bias = match &self.bias {
            Some(bias) => bias.as_tensor().clone(),
            None => Tensor::zeros(pass.weights[self.layer].dims()[0], y.dtype(), y.device())?,
        };
        max_pool(&y, &bias, size)
    }

    /// The step of a convolution with its bias, if it has one.
    pub(super) fn step(&self, input: Value, outputs: usize) -> Result<Step> {
        let shift = match &self.bias {
            Some(bias) => host_values(bias)?,
            None => vec![0.0; outputs],
        };
        let (layer, stride, padding) = (self.layer, self.stride, self.padding);
        Ok(Step::Convolution {
            input,
            layer,
            stride,
            padding,
            scale: None,
            shift,
            add: None,
            relu: false,
        })
    }
}

/// Values of a vector, on the host.
pub(super) fn host_values(var: &Var) -> Result<Vec<f32>> {
    let values = || var.to_device(&Device::Cpu)?.to_vec1::<f32>();
    values().during(|| "parameters of a network".into())
}

/// A linear layer.
#[derive(Debug)]
pub(super) struct Linear {
    layer: usize,
    bias: Var,
}

impl Linear {
    pub(super) fn forward(&self, x: &Tensor, pass: &Pass) -> Result<Tensor> {
        let weight = &pass.weights[self.layer];
        let y = x
            .matmul(&weight.t()?)
            .during(|| format!("linear layer {:?} of {:?}", weight.dims(), x.dims()))?;
        Ok(y.broadcast_add(&self.bias.to_dtype(y.dtype())?)?)
    }

    /// The step of this layer.
    pub(super) fn step(&self, input: Value, relu: bool) -> Result<Step> {
        Ok(Step::Linear {
            input,
            layer: self.layer,
            shift: host_values(&self.bias)?,
            relu,
        })
    }
}

/// Sizes of a convolution.
#[derive(Clone, Copy)]
pub(super) struct ConvShape {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: usize,
    pub(super) stride: usize,
    pub(super) padding: usize,
}

/// Collects the tensors of a network.
pub(super) struct Builder<'a> {
    pub(super) quantizer: &'a QuantizerSpec,
    pub(super) seed: Seed,
    pub(super) device: &'a Device,
    pub(super) start: Start,
    pub(super) layers: Vec<QuantizedWeight>,
    pub(super) others: Vec<Parameter>,
    pub(super) buffers: Vec<(String, Var)>,
    pub(super) warnings: Vec<String>,
}

impl Builder<'_> {
    /// A convolution; its weight is stored as `<name>.weight`.
    pub(super) fn conv(&mut self, name: &str, shape: ConvShape, bias: bool) -> Result<Conv> {
        let fan_in = shape.inputs * shape.kernel * shape.kernel;
        let dims = [shape.outputs, shape.inputs, shape.kernel, shape.kernel];
        let layer = self.weight(name, &dims, fan_in)?;
        let bias = if bias {
            Some(self.bias(name, shape.outputs, fan_in)?)
        } else {
            None
        };
        Ok(Conv {
            layer,
            bias,
            stride: shape.stride,
            padding: shape.padding,
        })
    }

    /// A linear layer with bias.
    pub(super) fn linear(&mut self, name: &str, inputs: usize, outputs: usize) -> Result<Linear> {
        let layer = self.weight(name, &[outputs, inputs], inputs)?;
        Ok(Linear {
            layer,
            bias: self.bias(name, outputs, inputs)?,
        })
    }

    /// Batch norm with scale 1, shift 0 and fresh running statistics.
    pub(super) fn batch_norm(&mut self, name: &str, channels: usize) -> Result<BatchNorm> {
        let constant = |value: f32| -> Result<Var> {
            Ok(Var::from_tensor(&Tensor::full(
                value,
                channels,
                self.device,
            )?)?)
        };
        let norm = BatchNorm::new(
            constant(1.0)?,
            constant(0.0)?,
            constant(0.0)?,
            constant(1.0)?,
        );
        for (part, var) in [("weight", norm.scale()), ("bias", norm.shift())] {
            self.others.push(Parameter {
                name: format!("{name}.{part}"),
                var: var.clone(),
                role: Role::Other,
            });
        }
        for (part, var) in [
            ("running_mean", norm.running_mean()),
            ("running_var", norm.running_var()),
        ] {
            self.buffers.push((format!("{name}.{part}"), var.clone()));
        }
        Ok(norm)
    }

    fn weight(&mut self, name: &str, dims: &[usize], fan_in: usize) -> Result<usize> {
        let mut stream = self
            .seed
            .stream(Purpose::Weights, &[self.layers.len() as u64, 0]);
        let values = match self.start {
            Start::Uniform => {
                let bound = 1.0 / (fan_in as f64).sqrt();
                stream.uniform_tensor(-bound, bound, dims)?
            }
            Start::KaimingNormal => stream.normal_tensor((2.0 / fan_in as f64).sqrt(), dims)?,
            Start::SmallNormal => stream.normal_tensor(SMALL, dims)?,
        };
        let (layer, warning) =
            QuantizedWeight::new(name, values.to_device(self.device)?, self.quantizer)?;
        self.layers.push(layer);
        self.warnings.extend(warning);
        Ok(self.layers.len() - 1)
    }

    fn bias(&mut self, name: &str, outputs: usize, fan_in: usize) -> Result<Var> {
        let name = format!("{name}.bias");
        if matches!(self.start, Start::SmallNormal) {
            return self.constant(&name, 0.0, outputs);
        }
        let bound = 1.0 / (fan_in as f64).sqrt();
        let mut stream = self
            .seed
            .stream(Purpose::Weights, &[self.layers.len() as u64 - 1, 1]);
        let values = stream.uniform_tensor(-bound, bound, outputs)?;
        self.other(&name, &values.to_device(self.device)?)
    }

    /// A vector that starts from one value.
    pub(super) fn constant(&mut self, name: &str, value: f32, length: usize) -> Result<Var> {
        self.other(name, &Tensor::full(value, length, self.device)?)
    }

    /// A tensor that no layer holds, normal with deviation 0.02.
    pub(super) fn normal(&mut self, name: &str, shape: impl Into<Shape>) -> Result<Var> {
        let mut stream = self
            .seed
            .stream(Purpose::Weights, &[self.others.len() as u64, 2]);
        self.other(
            name,
            &stream.normal_tensor(SMALL, shape)?.to_device(self.device)?,
        )
    }

    fn other(&mut self, name: &str, values: &Tensor) -> Result<Var> {
        let var = Var::from_tensor(values)?;
        self.others.push(Parameter {
            name: name.into(),
            var: var.clone(),
            role: Role::Other,
        });
        Ok(var)
    }
}
