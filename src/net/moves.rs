//! Values that are numbers of others in other places: what is reshaped, transposed, cut, spread and joined is followed
//! number by number, so that it is copied once, where something else reads it.

use super::general::General;
use super::graph::{Op, Value};
use super::program::Moved;
use crate::error::{refuse, Result};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;

/// Where numbers come from.
enum Source {
    /// A step's value of this shape.
    Value(Value, Vec<usize>),
    /// What depends on no image.
    Constant(Vec<f32>),
}

/// The numbers of all values that were followed, counted over all of them.
#[derive(Default)]
pub(super) struct Moves {
    /// With the count of the numbers before them.
    sources: Vec<(u32, Source)>,
    count: u32,
    /// Of values of the graph: where each of their numbers stands in the count, in the shape for a batch of one.
    followed: BTreeMap<Value, Tensor>,
}

/// True for operations that only move numbers.
pub(super) fn moves(op: &Op) -> bool {
    matches!(
        op,
        Op::Reshape(_)
            | Op::Transpose(_)
            | Op::Slice { .. }
            | Op::Concat { .. }
            | Op::General(General::Select { .. } | General::Expand(_))
    )
}

impl Moves {
    /// Where the numbers of a value of the graph stand, if it was followed.
    pub(super) fn of(&self, value: Value) -> Option<Tensor> {
        self.followed.get(&value).cloned()
    }

    /// Follows a value of the graph.
    pub(super) fn follow(&mut self, value: Value, places: Tensor) {
        self.followed.insert(value, places);
    }

    /// Counts the numbers of a step's value of this shape.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where all values together have 2^32 numbers or more; a tensor failure.
    pub(super) fn value(&mut self, step: Value, shape: &[usize]) -> Result<Tensor> {
        self.counted(Source::Value(step, shape.to_vec()), shape)
    }

    /// The same of a constant.
    ///
    /// # Errors
    /// As [`Self::value`].
    pub(super) fn constant(&mut self, constant: &Tensor) -> Result<Tensor> {
        let numbers = constant.flatten_all()?.to_vec1::<f32>()?;
        self.counted(Source::Constant(numbers), constant.dims())
    }

    fn counted(&mut self, source: Source, shape: &[usize]) -> Result<Tensor> {
        let (start, length) = (self.count, shape.iter().product::<usize>());
        let end = u32::try_from(length)
            .ok()
            .and_then(|length| start.checked_add(length));
        let Some(end) = end else {
            let expected = "values of at most 2^32 numbers in all";
            return refuse("graph", expected, format!("{shape:?} beside them"));
        };
        self.sources.push((start, source));
        self.count = end;
        Ok(Tensor::arange(start, end, &Device::Cpu)?.reshape(shape)?)
    }

    /// The step whose value these places are, all of it in its order; as images it serves in its own shape alone.
    fn whole(&self, places: &[u32], shape: &[usize]) -> Option<Value> {
        let start = *places.first()?;
        let at = self
            .sources
            .binary_search_by_key(&start, |(start, _)| *start);
        let at = at.ok()?;
        let end = self
            .sources
            .get(at + 1)
            .map_or(self.count, |(next, _)| *next);
        match &self.sources[at].1 {
            Source::Value(value, own) if own == shape || !matches!(shape, [1, _, _, _]) => {
                places.iter().copied().eq(start..end).then_some(*value)
            }
            _ => None,
        }
    }

    /// The numbers at these places, whatever they come from: a step's value as it is where that `serves`, or those of some.
    ///
    /// # Errors
    /// A tensor failure.
    pub(super) fn moved(
        &self,
        places: &Tensor,
        serves: bool,
    ) -> Result<std::result::Result<Value, Moved>> {
        let shape = places.dims().to_vec();
        let places = places.flatten_all()?.to_vec1::<u32>()?;
        if let Some(value) = self.whole(&places, &shape).filter(|_| serves) {
            return Ok(Ok(value));
        }
        let (mut parts, mut fixed) = (BTreeMap::new(), Vec::new());
        for (to, place) in places.iter().enumerate() {
            let source = self.sources.partition_point(|(start, _)| start <= place) - 1;
            let (start, source) = &self.sources[source];
            let from = place - start;
            match source {
                Source::Value(value, _) => {
                    let part: &mut Vec<[u32; 2]> = parts.entry(*value).or_default();
                    part.push([to as u32, from]);
                }
                Source::Constant(constant) => {
                    fixed.push((to as u32, constant[from as usize]));
                }
            }
        }
        let parts = parts.into_iter();
        Ok(Err(Moved {
            shape,
            fixed,
            parts: parts.collect(),
        }))
    }
}
