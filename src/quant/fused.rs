//! The quantised weight of a training step in one pass on the CPU: values forward, slopes times gradient backward.
//!
//! The same numbers, bit for bit, as [`super::ste`]: that one sums the gradient of a range by candle, whose order
//! of additions is that of 32 lanes where the machine has AVX2; here it is so on every machine.

use super::layer::TrainingFlips;
use super::scheme::Scheme;
use super::spec::{ClipGradient, Method};
use super::{lsq, wcat};
use crate::code::flip;
use crate::kernel::{values, with_values};
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, Var};

/// Dequantised weights as an operation on the float weights, and on the range where it is learned.
#[derive(Clone, Copy, Debug)]
pub(super) struct StraightThrough {
    pub(super) scheme: Scheme,
    /// The range in force.
    pub(super) range: f32,
    /// Flips of this step, and the layer's place among all layers.
    pub(super) flips: Option<(TrainingFlips, usize)>,
}

/// Gradients to weight and range; `None` for the weight where it is the upstream gradient.
#[derive(Debug, PartialEq)]
struct Gradients {
    weight: Option<Vec<f32>>,
    range: f32,
}

impl StraightThrough {
    /// The operation on a weight, f32 on the CPU, whose present values the range is of.
    pub(super) fn apply(self, weight: &Var, range: Option<&Var>) -> Result<Tensor> {
        match range {
            Some(range) => weight.apply_op2(range, self),
            None => weight.apply_op1(self),
        }
    }

    /// Values that the memory would give back. A weight or learned range that is not finite makes NaN of them,
    /// so that the loss tells.
    fn values(&self, weights: &[f32]) -> Vec<f32> {
        let step = self.scheme.step(weights, self.range);
        let rounding = self.scheme.rounding(self.range, step);
        // 0 times a number is 0, times anything else NaN
        let unsound = if self.scheme.learns_range() {
            self.range * 0.0
        } else {
            0.0
        };
        let value = |code: f32, weight: f32| code * step + (weight * 0.0 + unsound);
        let mut values: Vec<f32> = weights
            .iter()
            .map(|&w| value(rounding.code(w), w))
            .collect();
        if let Some((flips, layer)) = &self.flips {
            let format = self.scheme.format;
            // the word that takes the flips, and whose it is: a weight's flips follow each other
            let mut flipped = (usize::MAX, 0);
            flips.each(*layer, format.bits(), weights.len(), |at, bit| {
                if flipped.0 != at {
                    flipped = (at, format.encode(rounding.code(weights[at]) as i16));
                }
                flipped.1 = flip(flipped.1, bit);
                values[at] = value(f32::from(format.decode(flipped.1)), weights[at]);
            });
        }
        values
    }

    /// Slopes of the scheme times the upstream gradient.
    fn gradients(&self, weights: &[f32], upstream: &[f32]) -> Gradients {
        let range = self.range;
        let inside = |w: f32| wcat::inside(w, range);
        let (weight, range) = match self.scheme.method {
            Method::Normal => (None, 0.0),
            Method::Lsq if range <= 0.0 => (None, 0.0),
            Method::Lsq => {
                let slope = lsq::Slope::new(&self.scheme, weights.len(), range);
                (
                    Some(each(weights, upstream, |w| slope.to_weight(w))),
                    sum(weights, upstream, |w| slope.to_step(w)),
                )
            }
            Method::Wcat => {
                let scale = wcat::scale(&self.scheme, weights.len());
                let weight = match self.scheme.clip_gradient {
                    ClipGradient::Ste => None,
                    ClipGradient::Pwl => Some(each(weights, upstream, inside)),
                    ClipGradient::Mad => Some(each(weights, upstream, |w| wcat::fading(w, range))),
                };
                (
                    weight,
                    sum(weights, upstream, |w| wcat::side(w, range, scale)),
                )
            }
            Method::Wclip | Method::Plclip => (Some(each(weights, upstream, inside)), 0.0),
        };
        Gradients { weight, range }
    }

    fn forward(&self, weight: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        Ok((
            CpuStorage::F32(self.values(values(weight, layout)?)),
            layout.shape().clone(),
        ))
    }

    fn backward(&self, weight: &Tensor, upstream: &Tensor) -> Result<(Tensor, f32)> {
        let upstream = upstream.contiguous()?;
        let gradients = with_values(weight, |w| {
            with_values(&upstream, |g| Ok(self.gradients(w, g)))
        })?;
        let of_weight = match gradients.weight {
            Some(values) => Tensor::from_vec(values, weight.shape(), weight.device())?,
            None => upstream,
        };
        Ok((of_weight, gradients.range))
    }
}

/// `slope · upstream`, weight by weight.
fn each(weights: &[f32], upstream: &[f32], slope: impl Fn(f32) -> f32) -> Vec<f32> {
    weights
        .iter()
        .zip(upstream)
        .map(|(&w, &g)| g * slope(w))
        .collect()
}

/// `Σ slope · upstream` in f32: 32 sums over every 32nd weight, halved until one is left, then the last few weights.
fn sum(weights: &[f32], upstream: &[f32], slope: impl Fn(f32) -> f32) -> f32 {
    let (chunks, last) = weights.as_chunks::<32>();
    let (upstream_chunks, upstream_last) = upstream.as_chunks::<32>();
    let mut lanes = [0.0f32; 32];
    for (weights, upstream) in chunks.iter().zip(upstream_chunks) {
        for (lane, (&w, &g)) in lanes.iter_mut().zip(weights.iter().zip(upstream)) {
            *lane += g * slope(w);
        }
    }
    // registers of eight first, then the halves of one, then neighbours
    let eight: [f32; 8] =
        std::array::from_fn(|i| (lanes[i] + lanes[8 + i]) + (lanes[16 + i] + lanes[24 + i]));
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[4 + i]);
    let total = (four[0] + four[1]) + (four[2] + four[3]);
    last.iter()
        .zip(upstream_last)
        .fold(total, |total, (&w, &g)| total + g * slope(w))
}

impl CustomOp1 for StraightThrough {
    fn name(&self) -> &'static str {
        "quantised weights"
    }

    fn cpu_fwd(&self, weight: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        self.forward(weight, layout)
    }

    fn bwd(&self, weight: &Tensor, _values: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(self.backward(weight, upstream)?.0))
    }
}

impl CustomOp2 for StraightThrough {
    fn name(&self) -> &'static str {
        "quantised weights with a learned range"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        layout: &Layout,
        _range: &CpuStorage,
        _range_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        self.forward(weight, layout)
    }

    fn bwd(
        &self,
        weight: &Tensor,
        range: &Tensor,
        _values: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (of_weight, of_range) = self.backward(weight, upstream)?;
        Ok((
            Some(of_weight),
            Some(Tensor::new(of_range, range.device())?),
        ))
    }
}
