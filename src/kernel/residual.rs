//! The convolutions of a residual network in training, from images to the last activations, as one candle operation.
//!
//! One operation for all of them passes a gradient from layer to layer without copies, keeps the borders of
//! activations, and works in the same memory at every step. [`super::conv2d`] and [`super::batch_norm`], an operation
//! each, are its plain version, which takes direct convolutions.

use super::direct::Direct;
use super::isa::Isa;
use super::norm::padded::PaddedNorm;
use super::norm::BatchStatistics;
use super::planes::{Planes, BLOCK};
use super::shortcut::Shortcut;
use super::slices::{is_ours, stored, values, with_values};
use crate::error::{refuse, Error, Result, TensorContext};
use candle_core::{CpuStorage, CustomOp1, Layout, Shape, Tensor};
use layer::{Layer, Made};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Border of every activation, the greatest padding of a convolution.
const BORDER: usize = 1;

/// A part of a residual network. Value 0 is the images, `n` what part `n - 1` gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// `relu(norm(w * x) + residual)`, with the statistics of the batch.
    Normed {
        /// Value that is convolved.
        input: usize,
        /// Value that is added.
        add: Option<usize>,
        /// Whether what is below zero becomes zero.
        relu: bool,
        /// Channels of the result.
        outputs: usize,
        /// Side of the kernel.
        kernel: usize,
        /// Stride.
        stride: usize,
        /// Padding, 0 or 1.
        padding: usize,
    },
    /// [`Shortcut`].
    Padded {
        /// Value that is taken over.
        input: usize,
        /// Channels of the result.
        channels: usize,
    },
}

/// Memory of one step that the next one takes up again.
#[derive(Clone, Debug, Default)]
pub struct Workspace(Arc<Mutex<Option<Memory>>>);

/// The last value of a network of such parts, blocked, [batch, blocks, height, width, 16], and the statistics of each
/// norm. `images` is [batch, channels, height, width]. `parameters` is one vector: of each [`Part::Normed`] the weights
/// [outputs, inputs, kernel, kernel], scales, shifts. Gradients flow to it alone.
///
/// # Errors
/// [`Error::Tensor`] where shapes do not fit or a tensor is not f32 on the CPU.
pub fn residual_network(
    images: &Tensor,
    parameters: &Tensor,
    parts: &[Part],
    epsilon: f64,
    workspace: &Workspace,
) -> Result<(Tensor, Vec<BatchStatistics>)> {
    let what = || format!("residual network of {:?}", images.dims());
    let statistics = Arc::new(OnceLock::new());
    let apply = || {
        if !is_ours(images) || !is_ours(parameters) {
            candle_core::bail!("the kernels take f32 tensors on the CPU");
        }
        let plan = Plan::new(Isa::current(), images.dims4()?, parts, epsilon);
        let plan = plan.map_err(|error| candle_core::Error::Msg(error.to_string()))?;
        parameters.contiguous()?.apply_op1(Network {
            plan,
            images: images.contiguous()?,
            memory: Mutex::new(None),
            workspace: workspace.clone(),
            statistics: statistics.clone(),
        })
    };
    let y = apply().during(what)?;
    let missing = || candle_core::Error::Msg("batch norms left no statistics".into());
    let statistics = statistics.get().cloned().ok_or_else(missing).during(what)?;
    Ok((y, statistics))
}

/// A part, ready to run.
enum Piece {
    Normed {
        layer: Box<Layer>,
        input: usize,
        add: Option<usize>,
    },
    Padded {
        shortcut: Shortcut,
        /// The same without borders, for gradients.
        back: Shortcut,
        input: usize,
    },
}

struct Plan {
    batch: usize,
    parts: Vec<Part>,
    /// Layouts of the values.
    planes: Vec<Planes>,
    pieces: Vec<Piece>,
}

impl Plan {
    fn new(
        isa: Isa,
        (batch, channels, height, width): (usize, usize, usize, usize),
        parts: &[Part],
        epsilon: f64,
    ) -> Result<Self> {
        let mut planes = vec![Planes::new(channels, height, width, BORDER)?];
        let mut pieces = Vec::with_capacity(parts.len());
        let of = |planes: &[Planes], value: usize| {
            let known = planes.get(value).copied();
            known.ok_or_else(|| {
                Error::argument("residual network", "an earlier value", value.to_string())
            })
        };
        for part in parts {
            match *part {
                Part::Normed {
                    input,
                    add,
                    relu,
                    outputs,
                    kernel,
                    stride,
                    padding,
                } => {
                    let from = of(&planes, input)?;
                    let direct = Direct::new(from, outputs, kernel, stride, padding, 0)?.full();
                    let output = direct.output().with_border(BORDER);
                    if let Some(other) = add.map(|add| of(&planes, add)).transpose()? {
                        if other != output {
                            let expected = format!("a residual like {output:?}");
                            let found = format!("{other:?}");
                            return refuse("residual network", expected, found);
                        }
                    }
                    let norm = PaddedNorm {
                        isa,
                        batch,
                        planes: output,
                        relu,
                        epsilon,
                    };
                    let layer = Box::new(Layer::new(isa, direct, norm)?);
                    pieces.push(Piece::Normed { layer, input, add });
                    planes.push(output);
                }
                Part::Padded { input, channels } => {
                    let from = of(&planes, input)?;
                    let shortcut = Shortcut::new(from, channels, BORDER)?;
                    let back = Shortcut::new(from.with_border(0), channels, 0)?;
                    planes.push(shortcut.output());
                    pieces.push(Piece::Padded {
                        shortcut,
                        back,
                        input,
                    });
                }
            }
        }
        Ok(Self {
            batch,
            parts: parts.to_vec(),
            planes,
            pieces,
        })
    }

    /// Values of the gradient of a value: without a border.
    fn gradient_len(&self, value: usize) -> usize {
        self.batch * self.planes[value].with_border(0).len()
    }

    /// Shape of the last value, as it leaves.
    fn shape(&self) -> Shape {
        let last = self.planes[self.pieces.len()];
        let sizes = (last.height(), last.width(), BLOCK);
        Shape::from((self.batch, last.blocks(), sizes.0, sizes.1, sizes.2))
    }

    fn forward(&self, images: &[f32], parameters: &[f32], memory: &mut Memory) -> Vec<f32> {
        memory.fit(self);
        let first = self.planes[0];
        let size = first.channels() * first.height() * first.width();
        for (image, value) in images
            .chunks_exact(size)
            .zip(memory.values[0].chunks_exact_mut(first.len()))
        {
            first.fill(image, value);
        }
        let mut rest = parameters;
        for (number, piece) in self.pieces.iter().enumerate() {
            let (before, after) = memory.values.split_at_mut(number + 1);
            let y = &mut after[0];
            match piece {
                Piece::Normed { layer, input, add } => {
                    let (own, others) = rest.split_at(layer.parameters());
                    rest = others;
                    let residual = add.map(|add| before[add].as_slice());
                    let sums = &mut memory.sums[number];
                    let statistics = layer.forward(&before[*input], own, residual, sums, y);
                    memory.statistics.push(statistics);
                }
                Piece::Padded {
                    shortcut, input, ..
                } => shortcut.forward_each(&before[*input], y),
            }
        }
        let last = self.planes[self.pieces.len()];
        let mut result = vec![0f32; self.gradient_len(self.pieces.len())];
        let images = result.chunks_exact_mut(last.with_border(0).len());
        for (result, value) in images.zip(memory.values[self.pieces.len()].chunks_exact(last.len()))
        {
            last.copy_to(0, value, result);
        }
        result
    }

    /// Gradient of the parameters.
    fn backward(&self, parameters: &[f32], gradient: &[f32], memory: &mut Memory) -> Vec<f32> {
        let mut result = vec![0f32; parameters.len()];
        let mut gradients: Vec<Option<Vec<f32>>> = vec![None; self.planes.len()];
        let mut last = memory.take(gradient.len());
        last.copy_from_slice(gradient);
        gradients[self.pieces.len()] = Some(last);
        let (mut end, mut norms) = (parameters.len(), memory.statistics.len());
        for (number, piece) in self.pieces.iter().enumerate().rev() {
            let own = end - piece.parameters()..end;
            end = own.start;
            norms -= usize::from(matches!(piece, Piece::Normed { .. }));
            let Some(mut g) = gradients[number + 1].take() else {
                // nothing of the result depends on it
                continue;
            };
            match piece {
                Piece::Normed { layer, input, add } => {
                    let known = gradients[*input].take();
                    let is_known = known.is_some();
                    let size = self.gradient_len(*input);
                    let mut dx = known.or_else(|| (*input > 0).then(|| memory.take(size)));
                    let made = Made {
                        x: &memory.values[*input],
                        sums: &memory.sums[number],
                        y: &memory.values[number + 1],
                        statistics: &memory.statistics[norms],
                    };
                    layer.backward(
                        &made,
                        &parameters[own.clone()],
                        &mut g,
                        dx.as_deref_mut(),
                        is_known,
                        &mut result[own],
                    );
                    gradients[*input] = dx;
                    match add.map(|add| &mut gradients[add]) {
                        None => memory.spare.push(g),
                        Some(first @ None) => *first = Some(g),
                        Some(Some(sum)) => {
                            sum.iter_mut().zip(&g).for_each(|(sum, g)| *sum += g);
                            memory.spare.push(g);
                        }
                    }
                }
                Piece::Padded { back, input, .. } => {
                    let size = self.gradient_len(*input);
                    let dx = gradients[*input].get_or_insert_with(|| {
                        let mut dx = memory.take(size);
                        dx.fill(0.0);
                        dx
                    });
                    back.add_back(&g, dx);
                    memory.spare.push(g);
                }
            }
        }
        memory.spare.extend(gradients.into_iter().flatten());
        result
    }
}

/// What a step leaves for its gradients, and buffers for these.
#[derive(Debug, Default)]
struct Memory {
    parts: Vec<Part>,
    planes: Vec<Planes>,
    /// Values of all images, borders zero.
    values: Vec<Vec<f32>>,
    /// Sums of each convolution; nothing of a shortcut.
    sums: Vec<Vec<f32>>,
    statistics: Vec<BatchStatistics>,
    spare: Vec<Vec<f32>>,
}

impl Memory {
    /// Takes the sizes of a plan; what has them already stays as it is.
    fn fit(&mut self, plan: &Plan) {
        // what a shortcut does not write is zero: no value of other parts may lie there
        if (&self.parts, &self.planes) != (&plan.parts, &plan.planes) {
            *self = Self::default();
            self.parts.clone_from(&plan.parts);
            self.planes.clone_from(&plan.planes);
            self.values.resize(plan.planes.len(), Vec::new());
            self.sums.resize(plan.pieces.len(), Vec::new());
        }
        self.statistics.clear();
        for (value, planes) in self.values.iter_mut().zip(&plan.planes) {
            if value.len() != plan.batch * planes.len() {
                value.resize(plan.batch * planes.len(), 0.0);
                self.spare.clear();
            }
        }
        for (sums, piece) in self.sums.iter_mut().zip(&plan.pieces) {
            if let Piece::Normed { layer, .. } = piece {
                sums.resize(plan.batch * layer.sums_len(), 0.0);
            }
        }
    }

    /// A buffer of some values, whatever they are.
    fn take(&mut self, length: usize) -> Vec<f32> {
        let known = self.spare.iter().position(|spare| spare.len() == length);
        match known {
            Some(at) => self.spare.swap_remove(at),
            None => vec![0f32; length],
        }
    }
}

struct Network {
    plan: Plan,
    images: Tensor,
    memory: Mutex<Option<Memory>>,
    workspace: Workspace,
    statistics: Arc<OnceLock<Vec<BatchStatistics>>>,
}

impl Drop for Network {
    fn drop(&mut self) {
        let memory = self
            .memory
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(memory) = memory.take() {
            let place = &self.workspace.0;
            *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
        }
    }
}

impl CustomOp1 for Network {
    fn name(&self) -> &'static str {
        "residual-network"
    }

    fn cpu_fwd(
        &self,
        parameters: &CpuStorage,
        layout: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let parameters = values(parameters, layout)?;
        let wanted: usize = self.plan.pieces.iter().map(Piece::parameters).sum();
        if parameters.len() != wanted {
            candle_core::bail!("{} parameters in place of {wanted}", parameters.len());
        }
        let place = &self.workspace.0;
        let known = place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let mut memory = known.unwrap_or_default();
        let y = with_values(&self.images, |images| {
            Ok(self.plan.forward(images, parameters, &mut memory))
        })?;
        // the first call is the only one: an operation is made for each
        let _ = self.statistics.set(memory.statistics.clone());
        *self.memory.lock().unwrap_or_else(PoisonError::into_inner) = Some(memory);
        Ok(stored(y, self.plan.shape()))
    }

    fn bwd(
        &self,
        parameters: &Tensor,
        _y: &Tensor,
        gradient: &Tensor,
    ) -> candle_core::Result<Option<Tensor>> {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(memory) = memory.as_mut() else {
            candle_core::bail!("a gradient before the values");
        };
        let of_parameters = with_values(parameters, |parameters| {
            with_values(&gradient.contiguous()?, |gradient| {
                Ok(self.plan.backward(parameters, gradient, memory))
            })
        })?;
        let shape = parameters.shape();
        Tensor::from_vec(of_parameters, shape, parameters.device()).map(Some)
    }
}

impl Piece {
    fn parameters(&self) -> usize {
        match self {
            Self::Normed { layer, .. } => layer.parameters(),
            Self::Padded { .. } => 0,
        }
    }
}

mod layer;
#[cfg(test)]
mod tests;
