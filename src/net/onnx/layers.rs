//! The tensors that an imported graph asks for: weights of layers in memory order, what else is trained, what is fixed.

use super::call::{Codes, Constant};
use super::unused;
use crate::error::{refuse, Result};
use crate::net::graph::Graph;
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
    /// The constant of each layer by its name, and its values.
    pub(super) weights: Vec<(String, Tensor)>,
    names: BTreeSet<String>,
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
        let single = canonical(&constant.tensor)?
            .contiguous()?
            .to_dtype(DType::F32)?;
        for (layer, (source, own)) in self.weights.iter().enumerate() {
            if *source != constant.name {
                continue;
            }
            if same(own, &single)? {
                return Ok((layer, false));
            }
            if own.rank() == 2 && single.rank() == 2 && same(own, &single.t()?.contiguous()?)? {
                return Ok((layer, true));
            }
        }
        let name = unused(&mut self.names, &wanted, |name| format!("{name}.weight"));
        let layer = graph.layers.len();
        if let Some(codes) = &constant.codes {
            if codes.steps.len() > 1 && codes.axis != axis {
                let what = format!("scales of `{}`", constant.name);
                let expected = "one, or one for each output of the layer";
                return refuse(what, expected, format!("scales along axis {}", codes.axis));
            }
            let codes = Codes {
                codes: canonical(&codes.codes)?.contiguous()?,
                axis: 0,
                ..codes.clone()
            };
            self.codes.insert(layer, codes);
        }
        graph
            .layers
            .push(Slot::new(&name, single.dims().to_vec(), Fill::default()));
        self.state.push((format!("{name}.weight"), single.clone()));
        self.weights.push((constant.name.clone(), single));
        Ok((layer, false))
    }

    /// Number of a tensor among slots.
    pub(super) fn slot(
        &mut self,
        slots: &mut Vec<Slot>,
        name: &str,
        values: &Tensor,
    ) -> Result<usize> {
        let wanted = if name.is_empty() { "constant" } else { name };
        // ranges of quantisers end so
        let wanted = wanted.trim_end_matches(".range");
        let name = unused(&mut self.names, wanted, str::to_owned);
        let values = values.to_dtype(DType::F32)?.contiguous()?;
        slots.push(Slot::new(&name, values.dims().to_vec(), Fill::default()));
        self.state.push((name, values));
        Ok(slots.len() - 1)
    }
}

/// Whether two tensors hold the same numbers.
fn same(a: &Tensor, b: &Tensor) -> Result<bool> {
    let values = |t: &Tensor| t.flatten_all()?.to_vec1::<f32>();
    Ok(a.dims() == b.dims() && values(a)? == values(b)?)
}
