//! The weights of a trial: packed for the direct kernels, transformed for those of Winograd, and as tensors for what no
//! kernel knows.

use super::plan::Plan;
use crate::code::FaultsOfActivations;
use crate::error::Result;
use candle_core::{Device, Tensor};

/// Rows that a word of marks stands for.
const MARKS: usize = u64::BITS as usize;

/// Weights in all forms, of the same values but for rows that are to be made anew.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    packed: Vec<f32>,
    transformed: Vec<f32>,
    tensors: Vec<Tensor>,
    /// A bit for each row of transformed weights and then for each tensor: 1 where it lacks a change of the packed ones.
    marked: Vec<u64>,
}

/// Weights whose forms are of the same values, for any number of threads to read, and what becomes of activations.
#[derive(Clone, Copy)]
pub(super) struct Fresh<'a> {
    pub(super) packed: &'a [f32],
    pub(super) transformed: &'a [f32],
    pub(super) tensors: &'a [Tensor],
    pub(super) activations: Option<&'a FaultsOfActivations<'a>>,
}

impl Weights {
    /// All weights of a plan as they are packed.
    ///
    /// # Errors
    /// A tensor failure.
    pub(super) fn new(plan: &Plan, packed: Vec<f32>) -> Result<Self> {
        let rows = plan.winograd_rows() + plan.row_major.len();
        let nothing = Tensor::new(0f32, &Device::Cpu)?;
        let mut weights = Self {
            packed,
            transformed: vec![0.0; plan.transformed],
            tensors: vec![nothing; plan.row_major.len()],
            marked: vec![0; rows.div_ceil(MARKS)],
        };
        (0..rows).for_each(|row| weights.mark(row));
        weights.refresh(plan)?;
        Ok(weights)
    }

    /// What a place holds.
    pub(super) fn at(&self, place: usize) -> f32 {
        self.packed[place]
    }

    /// Puts other weights into places of the packed ones.
    pub(super) fn change(&mut self, plan: &Plan, weights: impl Iterator<Item = (usize, f32)>) {
        for (place, weight) in weights {
            self.packed[place] = weight;
            if let Some(row) = plan.row_of(place) {
                self.mark(row);
            }
        }
    }

    /// Makes the rows anew that lack a change since the last time. Not at each change: what a trial puts back and the
    /// next one puts in are often of one row.
    ///
    /// # Errors
    /// A tensor failure.
    pub(super) fn refresh(&mut self, plan: &Plan) -> Result<Fresh<'_>> {
        // neighbours one after the other: the transformed weights are more than the caches hold
        let mut convolutions = plan.winograds.iter();
        let mut own = convolutions.next();
        for (at, marked) in self.marked.iter_mut().enumerate() {
            while *marked != 0 {
                let row = at * MARKS + marked.trailing_zeros() as usize;
                *marked &= *marked - 1;
                while own.is_some_and(|own| own.rows.end <= row) {
                    own = convolutions.next();
                }
                match own {
                    Some(own) => own.shape.transform(
                        plan.isa,
                        row - own.rows.start,
                        &self.packed[own.packed.clone()],
                        &mut self.transformed[own.transformed.clone()],
                    ),
                    None => {
                        let at = row - plan.winograd_rows();
                        let own = &plan.row_major[at];
                        let values = &self.packed[own.range.clone()];
                        self.tensors[at] =
                            Tensor::from_slice(values, own.shape.as_slice(), &Device::Cpu)?;
                    }
                }
            }
        }
        Ok(Fresh {
            packed: &self.packed,
            transformed: &self.transformed,
            tensors: &self.tensors,
            activations: None,
        })
    }

    fn mark(&mut self, row: usize) {
        self.marked[row / MARKS] |= 1 << (row % MARKS);
    }
}
