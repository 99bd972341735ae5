//! The tensors that an imported graph asks for: weights of layers in memory order, what else is trained, what is fixed.

use super::call::{Codes, Constant};
use crate::error::{Error, Result};
use crate::net::graph::{BatchNormNode, Graph, LayerNormNode, Op, Value};
use crate::net::slot::{Fill, Slot};
use candle_core::{DType, Tensor};
use std::collections::{BTreeMap, BTreeSet};

/// Tensors by their names.
#[derive(Default)]
pub(super) struct Layers {
    /// The state dict.
    pub(super) state: Vec<(String, Tensor)>,
    /// Codes of layers that the file has.
    pub(super) codes: BTreeMap<usize, Codes>,
    /// The constant of each layer.
    pub(super) sources: Vec<String>,
    weights: Vec<Tensor>,
    names: BTreeSet<String>,
    values: BTreeMap<usize, Value>,
}

impl Layers {
    /// The layer of a constant in a canonical form, and whether it holds the transposed of that; a constant that is used
    /// twice is one layer.
    pub(super) fn weight(
        &mut self,
        graph: &mut Graph,
        constant: &Constant,
        wanted: String,
        canonical: &dyn Fn(&Tensor) -> candle_core::Result<Tensor>,
        axis: usize,
    ) -> Result<(usize, bool)> {
        let weight = canonical(&constant.tensor)?.contiguous()?;
        let single = weight.to_dtype(DType::F32)?;
        for (layer, source) in self.sources.iter().enumerate() {
            if *source != constant.name {
                continue;
            }
            let own = &self.weights[layer];
            if same(own, &single)? {
                return Ok((layer, false));
            }
            if own.rank() == 2 && single.rank() == 2 && same(own, &single.t()?.contiguous()?)? {
                return Ok((layer, true));
            }
        }
        let name = self.unused(wanted, |name| format!("{name}.weight"));
        let layer = graph.layers.len();
        if let Some(codes) = &constant.codes {
            if codes.steps.len() > 1 && codes.axis != axis {
                let what = format!("scales of `{}`", constant.name);
                let expected = "one, or one for each output of the layer";
                return Err(Error::argument(
                    what,
                    expected,
                    format!("scales along axis {}", codes.axis),
                ));
            }
            let codes = Codes {
                codes: canonical(&codes.codes)?.contiguous()?,
                axis: 0,
                ..codes.clone()
            };
            self.codes.insert(layer, codes);
        }
        graph.layers.push(Slot::new(
            &name,
            weight.dims().to_vec(),
            Fill::Constant(0.0),
        ));
        self.state.push((format!("{name}.weight"), single.clone()));
        self.weights.push(single);
        self.sources.push(constant.name.clone());
        Ok((layer, false))
    }

    /// A name that no tensor has yet.
    fn unused(&mut self, wanted: String, tensor: impl Fn(&str) -> String) -> String {
        let mut name = wanted.clone();
        let mut number = 2;
        while !self.names.insert(tensor(&name)) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }

    /// Number of a trained tensor among the parameters.
    pub(super) fn parameter(
        &mut self,
        graph: &mut Graph,
        name: &str,
        values: &Tensor,
    ) -> Result<usize> {
        let slot = self.slot(name, values)?;
        graph.parameters.push(slot);
        Ok(graph.parameters.len() - 1)
    }

    /// Number of a fixed tensor among the buffers.
    pub(super) fn buffer(
        &mut self,
        graph: &mut Graph,
        name: &str,
        values: &Tensor,
    ) -> Result<usize> {
        let slot = self.slot(name, values)?;
        graph.buffers.push(slot);
        Ok(graph.buffers.len() - 1)
    }

    fn slot(&mut self, name: &str, values: &Tensor) -> Result<Slot> {
        let wanted = if name.is_empty() { "constant" } else { name };
        // ranges of quantisers end so
        let wanted = wanted.trim_end_matches(".range").to_owned();
        let name = self.unused(wanted, str::to_owned);
        let values = values.to_dtype(DType::F32)?.contiguous()?;
        let slot = Slot::new(&name, values.dims().to_vec(), Fill::Constant(0.0));
        self.state.push((name, values));
        Ok(slot)
    }

    /// The value of a constant that is an operand.
    pub(super) fn tensor(
        &mut self,
        graph: &mut Graph,
        constant: &Constant,
        trained: bool,
    ) -> Result<Value> {
        if let Some(value) = self.values.get(&constant.number) {
            return Ok(*value);
        }
        let op = if trained {
            Op::Parameter(self.parameter(graph, &constant.name, &constant.tensor)?)
        } else {
            Op::Buffer(self.buffer(graph, &constant.name, &constant.tensor)?)
        };
        let value = graph.push(op, &[]);
        self.values.insert(constant.number, value);
        Ok(value)
    }

    /// A batch norm of constants scale, shift, mean and variance, [channels].
    pub(super) fn batch_norm(
        &mut self,
        graph: &mut Graph,
        constants: [&Constant; 4],
        epsilon: f64,
    ) -> Result<Op> {
        let [scale, shift, mean, variance] = constants;
        Ok(Op::BatchNorm(BatchNormNode {
            scale: self.parameter(graph, &scale.name, &scale.tensor)?,
            shift: self.parameter(graph, &shift.name, &shift.tensor)?,
            running_mean: self.buffer(graph, &mean.name, &mean.tensor)?,
            running_var: self.buffer(graph, &variance.name, &variance.tensor)?,
            epsilon,
        }))
    }

    /// A layer norm with scale and shift, [features].
    pub(super) fn layer_norm(
        &mut self,
        graph: &mut Graph,
        scale: (&str, &Tensor),
        shift: (&str, &Tensor),
        epsilon: f64,
    ) -> Result<Op> {
        Ok(Op::LayerNorm(LayerNormNode {
            scale: self.parameter(graph, scale.0, scale.1)?,
            shift: self.parameter(graph, shift.0, shift.1)?,
            epsilon,
        }))
    }
}

/// Whether two tensors hold the same numbers.
fn same(a: &Tensor, b: &Tensor) -> Result<bool> {
    let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
    Ok(a.dims() == b.dims() && values(a)? == values(b)?)
}
