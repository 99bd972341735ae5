//! Where weights lie: among the packed ones, and in the rows of those of Winograd's convolutions.

use crate::kernel::{Direct, Winograd, BLOCK};
use std::ops::Range;

/// Where the weights of a layer lie among the packed weights of a plan.
#[derive(Debug)]
pub(super) struct Place {
    range: Range<usize>,
    /// `None` in row-major order.
    blocks: Option<Blocks>,
}

/// Weights in blocks of 16 outputs.
#[derive(Debug)]
struct Blocks {
    /// Where each weight of an output lies, counted from the first; as many as an output has.
    offsets: Vec<u32>,
    /// Packed weights of 16 outputs.
    block: usize,
    /// Weights that an output has of its own; those of other groups are zeros.
    row: usize,
    /// Outputs of a group.
    group: usize,
    scale: Option<Vec<f32>>,
}

impl Place {
    /// The place of a layer's weights: `row` of each output, and what those of an output are multiplied with. The layer may
    /// be several such convolutions one behind the other.
    pub(super) fn new(
        direct: Direct,
        range: Range<usize>,
        row: usize,
        scale: Option<Vec<f32>>,
    ) -> Self {
        let offsets = (0..direct.row()).map(|index| direct.packed_at(index) as u32);
        let block = direct.packed_len() / direct.start_len() * BLOCK;
        Self::blocks(range, offsets.collect(), block, row, scale)
    }

    fn blocks(
        range: Range<usize>,
        offsets: Vec<u32>,
        block: usize,
        row: usize,
        scale: Option<Vec<f32>>,
    ) -> Self {
        let blocks = Blocks {
            offsets,
            block,
            row,
            group: 1,
            scale,
        };
        Self {
            range,
            blocks: Some(blocks),
        }
    }

    /// The same where so many outputs are a group, which sees inputs of its own.
    pub(super) fn of_groups(mut self, outputs: usize) -> Self {
        if let Some(blocks) = &mut self.blocks {
            blocks.group = outputs;
        }
        self
    }

    /// The place of weights of which an output has so many, one behind the other in blocks of 16 outputs.
    pub(super) fn in_turn(weights: usize, range: Range<usize>, scale: Option<Vec<f32>>) -> Self {
        let offsets = (0..weights).map(|at| (at * BLOCK) as u32).collect();
        Self::blocks(range, offsets, weights * BLOCK, weights, scale)
    }

    /// The place of weights in row-major order.
    pub(super) fn row_major(range: Range<usize>) -> Self {
        Self {
            range,
            blocks: None,
        }
    }

    /// Where they lie among the packed weights of a plan.
    pub(super) fn range(&self) -> &Range<usize> {
        &self.range
    }

    /// Packs the weights of the layer, given row-major, into the packed weights of all.
    pub(super) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        for (index, weight) in weights.iter().enumerate() {
            let (at, scale) = self.of(index);
            packed[at] = weight * scale;
        }
    }

    /// Place of a weight, given by its row-major index in the layer, and what it is multiplied with: as
    /// [`Direct::packed_at`] has it, with few divisions where that has six.
    pub(super) fn of(&self, index: usize) -> (usize, f32) {
        let Some(blocks) = &self.blocks else {
            return (self.range.start + index, 1.0);
        };
        let (output, mut own) = (index / blocks.row, index % blocks.row);
        if blocks.row < blocks.offsets.len() {
            let groups = blocks.offsets.len() / blocks.row;
            own += output / blocks.group % groups * blocks.row;
        }
        let scale = blocks.scale.as_ref().map_or(1.0, |scale| scale[output]);
        let first = self.range.start + output / BLOCK * blocks.block + output % BLOCK;
        (first + blocks.offsets[own] as usize, scale)
    }
}

/// Weights as candle takes them.
#[derive(Debug)]
pub(super) struct RowMajor {
    pub(super) range: Range<usize>,
    pub(super) shape: Vec<usize>,
}

/// A convolution by Winograd, and where its weights lie in both forms.
#[derive(Debug)]
pub(super) struct WinogradPlace {
    pub(super) shape: Winograd,
    pub(super) packed: Range<usize>,
    pub(super) transformed: Range<usize>,
    /// Its rows, counted over all convolutions by Winograd.
    pub(super) rows: Range<usize>,
}

/// For each 16 of so many packed weights their row among those of all convolutions and the weights in row-major order
/// behind them.
pub(super) fn rows_of(
    winograds: &[WinogradPlace],
    row_major: &[RowMajor],
    packed: usize,
) -> Vec<Option<u32>> {
    let mut rows = vec![None; packed / BLOCK];
    for own in winograds {
        for place in own.packed.clone().step_by(BLOCK) {
            let row = own.rows.start + own.shape.row_of(place - own.packed.start);
            rows[place / BLOCK] = Some(row as u32);
        }
    }
    let first = winograds.last().map_or(0, |last| last.rows.end);
    for (at, own) in row_major.iter().enumerate() {
        rows[own.range.start / BLOCK..own.range.end.div_ceil(BLOCK)]
            .fill(Some((first + at) as u32));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Planes;

    /// A layer after another, of 16 lanes or few.
    fn place(inputs: usize, outputs: usize, kernel: usize, scaled: bool) -> (Place, Direct) {
        let planes = Planes::new(inputs, 8, 8, 1).unwrap();
        let direct = Direct::new(planes, outputs, kernel, 1, 1, 0).unwrap();
        let range = 160..160 + direct.packed_len();
        let scale = scaled.then(|| (0..outputs).map(|output| output as f32).collect());
        let place = Place::new(direct, range, inputs * kernel * kernel, scale);
        (place, direct)
    }

    #[test]
    fn a_weight_lies_where_its_layer_packs_it() {
        for (inputs, outputs, kernel) in [(3, 16, 3), (1, 6, 5), (40, 35, 3), (100, 10, 1)] {
            let row = inputs * kernel * kernel;
            for scaled in [false, true] {
                let (place, direct) = place(inputs, outputs, kernel, scaled);
                for index in 0..outputs * row {
                    let scale = if scaled { (index / row) as f32 } else { 1.0 };
                    let expected = (160 + direct.packed_at(index), scale);
                    assert_eq!(place.of(index), expected, "{inputs} {outputs} {index}");
                }
            }
        }
    }

    #[test]
    fn every_packed_weight_has_the_row_that_its_convolution_names() {
        let places = [place(20, 35, 3, false), place(16, 16, 3, false)];
        let (mut winograds, mut first) = (Vec::new(), 0);
        for (at, (_, direct)) in places.iter().enumerate() {
            let shape = Winograd::of(direct.full()).unwrap();
            let start = 32 + 10_000 * BLOCK * at;
            winograds.push(WinogradPlace {
                shape,
                packed: start..start + direct.packed_len(),
                transformed: 0..shape.transformed_len(),
                rows: first..first + shape.rows(),
            });
            first += shape.rows();
        }
        let end = winograds[1].packed.end;
        // 21 weights in row-major order take 32 places
        let row_major = RowMajor {
            range: end..end + 21,
            shape: vec![3, 7],
        };
        let rows = rows_of(&winograds, &[row_major], end + 32);
        assert_eq!(rows[end / BLOCK..], [Some(first as u32); 2]);
        for at in 0..end {
            let own = winograds.iter().find(|own| own.packed.contains(&at));
            let row =
                own.map(|own| (own.rows.start + own.shape.row_of(at - own.packed.start)) as u32);
            assert_eq!(rows[at / BLOCK], row, "{at}");
        }
    }
}
