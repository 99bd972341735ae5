//! How the operations of a forward pass are carried out.

use super::architecture::Architecture;
use super::design::Design;
use super::network::Parameter;
use crate::error::{Result, TensorContext};
use crate::kernel::{Arithmetic, Workspace};
use candle_core::{Device, Tensor, Var};

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
    pub fn of(architecture: &Design, device: &Device) -> Self {
        let known = architecture.known();
        let knows_winograd = matches!(known, Some(Architecture::Resnet { .. }));
        if !device.is_cpu() {
            Self::Gpu
        } else if knows_winograd && Arithmetic::current() == Arithmetic::Winograd {
            Self::Winograd
        } else {
            Self::Kernels
        }
    }

    /// That of a network whose activations are stored in its training: no one operation knows them.
    #[must_use]
    pub fn storing_activations(self) -> Self {
        match self {
            Self::Winograd => Self::Kernels,
            other => other,
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

/// The tensors of a network beside its weights, in the order of its graph's slots.
#[derive(Clone, Copy)]
pub(super) struct Tensors<'a> {
    pub(super) parameters: &'a [Parameter],
    pub(super) buffers: &'a [(String, Var)],
}

impl<'a> Tensors<'a> {
    pub(super) fn parameter(self, at: usize) -> &'a Tensor {
        self.parameters[at].var.as_tensor()
    }

    /// Values of a vector, on the host.
    pub(super) fn values(self, at: usize) -> Result<Vec<f32>> {
        host_values(&self.parameters[at].var)
    }
}

/// Values of a vector, on the host.
pub(super) fn host_values(var: &Var) -> Result<Vec<f32>> {
    let values = || var.to_device(&Device::Cpu)?.to_vec1::<f32>();
    values().during(|| "parameters of a network".into())
}

/// One forward pass.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) tensors: Tensors<'a>,
    /// The weights in force, one per quantisable layer in memory order.
    pub(super) weights: &'a [Tensor],
    /// Memory that one step of a training leaves to the next.
    pub(super) workspace: &'a Workspace,
    /// Batch statistics (and their running means updated) instead of the stored ones.
    pub(super) training: bool,
    /// How.
    pub(super) route: Route,
}
