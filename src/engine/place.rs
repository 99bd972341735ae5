//! Where weights lie: among the packed ones, and in the rows of those of Winograd's convolutions.

use crate::kernel::{Direct, Winograd, BLOCK};
use std::ops::Range;

/// Where the weights of a layer lie among the packed weights of a plan.
#[derive(Debug)]
pub(super) struct Place {
    direct: Direct,
    range: Range<usize>,
    /// Where each weight of an output lies, counted from the first; as many as an output has.
    offsets: Vec<u32>,
    /// Packed weights of 16 outputs.
    block: usize,
    scale: Option<Vec<f32>>,
}

impl Place {
    /// The place of a layer's weights: `row` of each output, and what those of an output are multiplied with.
    pub(super) fn new(
        direct: Direct,
        range: Range<usize>,
        row: usize,
        scale: Option<Vec<f32>>,
    ) -> Self {
        Self {
            offsets: (0..row)
                .map(|index| direct.packed_at(index) as u32)
                .collect(),
            block: range.len() / direct.start_len() * BLOCK,
            direct,
            range,
            scale,
        }
    }

    /// Where the packed weights of the layer lie.
    pub(super) fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// Packs the weights of the layer, given row-major, into the packed weights of all.
    pub(super) fn pack(&self, weights: &[f32], packed: &mut [f32]) {
        let packed = &mut packed[self.range.clone()];
        let Some(scale) = &self.scale else {
            return self.direct.pack(weights, packed);
        };
        let rows = weights.chunks_exact(self.offsets.len()).zip(scale);
        let scaled: Vec<f32> = rows
            .flat_map(|(row, s)| row.iter().map(move |w| w * s))
            .collect();
        self.direct.pack(&scaled, packed);
    }

    /// Place of a weight, given by its row-major index in the layer, and what it is multiplied with: as
    /// [`Direct::packed_at`] has it, with one division where that has six.
    pub(super) fn of(&self, index: usize) -> (usize, f32) {
        let (output, own) = (index / self.offsets.len(), index % self.offsets.len());
        let scale = self.scale.as_ref().map_or(1.0, |scale| scale[output]);
        let first = self.range.start + output / BLOCK * self.block + output % BLOCK;
        (first + self.offsets[own] as usize, scale)
    }
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

/// For each 16 of so many packed weights their row among those of all convolutions.
pub(super) fn rows_of(winograds: &[WinogradPlace], packed: usize) -> Vec<Option<u32>> {
    let mut rows = vec![None; packed / BLOCK];
    for own in winograds {
        for place in own.packed.clone().step_by(BLOCK) {
            let row = own.rows.start + own.shape.row_of(place - own.packed.start);
            rows[place / BLOCK] = Some(row as u32);
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Planes;

    /// A layer after another, of 16 lanes or few.
    fn place(inputs: usize, outputs: usize, kernel: usize, scaled: bool) -> Place {
        let planes = Planes::new(inputs, 8, 8, 1).unwrap();
        let direct = Direct::new(planes, outputs, kernel, 1, 1, 0).unwrap();
        let range = 160..160 + direct.packed_len();
        let scale = scaled.then(|| (0..outputs).map(|output| output as f32).collect());
        Place::new(direct, range, inputs * kernel * kernel, scale)
    }

    #[test]
    fn a_weight_lies_where_its_layer_packs_it() {
        for (inputs, outputs, kernel) in [(3, 16, 3), (1, 6, 5), (40, 35, 3), (100, 10, 1)] {
            let row = inputs * kernel * kernel;
            for scaled in [false, true] {
                let place = place(inputs, outputs, kernel, scaled);
                for index in 0..outputs * row {
                    let scale = if scaled { (index / row) as f32 } else { 1.0 };
                    let expected = (160 + place.direct.packed_at(index), scale);
                    assert_eq!(place.of(index), expected, "{inputs} {outputs} {index}");
                }
            }
        }
    }

    #[test]
    fn every_packed_weight_has_the_row_that_its_convolution_names() {
        let places = [place(20, 35, 3, false), place(16, 16, 3, false)];
        let (mut winograds, mut first) = (Vec::new(), 0);
        for (at, place) in places.iter().enumerate() {
            let shape = Winograd::of(place.direct.full()).unwrap();
            let start = 32 + 10_000 * BLOCK * at;
            winograds.push(WinogradPlace {
                shape,
                packed: start..start + place.direct.packed_len(),
                transformed: 0..shape.transformed_len(),
                rows: first..first + shape.rows(),
            });
            first += shape.rows();
        }
        let end = winograds[1].packed.end;
        let rows = rows_of(&winograds, end);
        for at in 0..end {
            let own = winograds.iter().find(|own| own.packed.contains(&at));
            let row =
                own.map(|own| (own.rows.start + own.shape.row_of(at - own.packed.start)) as u32);
            assert_eq!(rows[at / BLOCK], row, "{at}");
        }
    }
}
