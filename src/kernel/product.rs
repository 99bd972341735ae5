//! Matrix product of rows of numbers: linear layers over tokens, and products of two activations.

use super::direct::{multiply_add, stored, Store};
use super::isa::Isa;
use super::planes::BLOCK;
use pulp::{Simd, WithSimd};
use std::array::from_fn;

/// A product of rows, one behind the other, with a matrix: `y[row, o] = start[o] + Σ_i x[row, i] w[i, o]`.
///
/// For each output the additions run over `i`, one rounding each: neither the other rows nor the width of vectors
/// change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Product {
    /// Numbers of a row.
    pub inputs: usize,
    /// Numbers of a row of the result.
    pub outputs: usize,
}

impl Product {
    /// Length of packed weights, [blocks of 16 outputs, inputs, 16].
    pub fn packed_len(&self) -> usize {
        self.inputs * self.start_len()
    }

    /// Length of the starting sums: one per output, zeros for those that fill up the last block.
    pub fn start_len(&self) -> usize {
        self.outputs.next_multiple_of(BLOCK)
    }

    /// Packs a matrix [inputs, outputs]; spare weights are left as they are.
    ///
    /// # Panics
    /// Where there are fewer packed weights than this product has.
    pub fn pack(&self, matrix: &[f32], packed: &mut [f32]) {
        for (input, row) in matrix.chunks_exact(self.outputs).enumerate() {
            for (block, values) in row.chunks(BLOCK).enumerate() {
                let target = &mut packed[(block * self.inputs + input) * BLOCK..][..BLOCK];
                // of constant length: no call for each
                match values.first_chunk::<BLOCK>() {
                    Some(values) => target.copy_from_slice(values),
                    None => target[..values.len()].copy_from_slice(values),
                }
            }
        }
    }

    /// Multiplies all rows of the input: `weights` packed, `start` the sums to begin with ([`Self::start_len`]).
    ///
    /// # Panics
    /// Where a slice has not the length that this product has.
    pub fn forward(
        &self,
        isa: Isa,
        input: &[f32],
        weights: &[f32],
        start: &[f32],
        store: Store,
        output: &mut [f32],
    ) {
        let rows = input.len() / self.inputs;
        let lengths = [input.len(), output.len(), weights.len(), start.len()];
        let expected = [
            rows * self.inputs,
            rows * self.outputs,
            self.packed_len(),
            self.start_len(),
        ];
        assert_eq!(lengths, expected, "slices of a product");
        isa.run(Forward {
            shape: *self,
            count: rows,
            input,
            weights,
            start,
            store,
            output,
        });
    }
}

struct Forward<'a> {
    shape: Product,
    count: usize,
    input: &'a [f32],
    weights: &'a [f32],
    start: &'a [f32],
    store: Store,
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        match S::F32_LANES {
            16 => self.blocks::<S, 1, 3, 8>(simd),
            8 => self.blocks::<S, 2, 1, 4>(simd),
            4 => self.blocks::<S, 4, 1, 2>(simd),
            lanes => unreachable!("no kernel for vectors of {lanes} lanes"),
        }
    }
}

// Loops are plain on purpose: closures within loops are not inlined into vector code.
impl Forward<'_> {
    /// `V`: vectors of a block. `P`: blocks at a time. `R`: rows at a time.
    #[inline(always)]
    fn blocks<S: Simd, const V: usize, const P: usize, const R: usize>(&mut self, simd: S) {
        let (blocks, mut block) = (self.shape.outputs.div_ceil(BLOCK), 0);
        while block + P <= blocks {
            self.rows::<S, V, P, R>(simd, block);
            block += P;
        }
        while P > 2 && block + 2 <= blocks {
            self.rows::<S, V, 2, R>(simd, block);
            block += 2;
        }
        while block < blocks {
            self.rows::<S, V, 1, R>(simd, block);
            block += 1;
        }
    }

    #[inline(always)]
    fn rows<S: Simd, const V: usize, const P: usize, const R: usize>(
        &mut self,
        simd: S,
        block: usize,
    ) {
        let mut row = 0;
        while row + R <= self.count {
            self.tile::<S, V, P, R>(simd, block, row);
            row += R;
        }
        while R > 4 && row + 4 <= self.count {
            self.tile::<S, V, P, 4>(simd, block, row);
            row += 4;
        }
        while R > 2 && row + 2 <= self.count {
            self.tile::<S, V, P, 2>(simd, block, row);
            row += 2;
        }
        while row < self.count {
            self.tile::<S, V, P, 1>(simd, block, row);
            row += 1;
        }
    }

    /// `R` rows of `P` blocks of outputs.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const P: usize, const R: usize>(
        &mut self,
        simd: S,
        block: usize,
        row: usize,
    ) {
        let Product { inputs, outputs } = self.shape;
        let (start, _) = S::as_simd_f32s(&self.start[block * BLOCK..][..P * BLOCK]);
        let start: [[S::f32s; V]; P] = from_fn(|p| from_fn(|v| start[p * V + v]));
        let mut sums = [start; R];
        let (weights, _) = S::as_simd_f32s(self.weights);
        let (weights, inputs_of) = (&weights[block * inputs * V..], inputs * V);
        let weights: [&[S::f32s]; P] = from_fn(|p| &weights[p * inputs_of..][..inputs_of]);
        let rows: [&[f32]; R] = from_fn(|r| &self.input[(row + r) * inputs..][..inputs]);
        for i in 0..inputs {
            let these: [[S::f32s; V]; P] = from_fn(|p| from_fn(|v| weights[p][i * V + v]));
            for r in 0..R {
                let x = simd.splat_f32s(rows[r][i]);
                for p in 0..P {
                    for v in 0..V {
                        sums[r][p][v] = multiply_add(simd, x, these[p][v], sums[r][p][v]);
                    }
                }
            }
        }
        for (r, sums) in sums.iter().enumerate() {
            let first = (row + r) * outputs + block * BLOCK;
            let used = (outputs - block * BLOCK).min(P * BLOCK);
            let targets = &mut self.output[first..][..used];
            for (target, sums) in targets.chunks_mut(BLOCK).zip(sums) {
                if target.len() == BLOCK {
                    self.store.put::<S, V>(simd, sums, target);
                    continue;
                }
                let mut held = [0f32; BLOCK];
                if self.store.add {
                    held[..target.len()].copy_from_slice(target);
                }
                self.store.put::<S, V>(simd, sums, &mut held);
                target.copy_from_slice(&held[..target.len()]);
            }
        }
    }
}

impl Store {
    /// Stores the sums of a block.
    #[inline(always)]
    fn put<S: Simd, const V: usize>(self, simd: S, sums: &[S::f32s; V], target: &mut [f32]) {
        let (target, _) = S::as_mut_simd_f32s(target);
        let zero = simd.splat_f32s(0.0);
        for (target, sum) in target.iter_mut().zip(sums) {
            *target = stored(simd, self, *sum, *target, zero);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::depthwise::tests::noise;
    use super::*;

    #[test]
    fn every_instruction_set_adds_in_the_documented_order_whatever_the_other_rows() {
        for (rows, inputs, outputs) in [(17, 48, 144), (19, 5, 17), (1, 40, 16), (7, 1, 100)] {
            let shape = Product { inputs, outputs };
            let (x, matrix) = (noise(rows * inputs), noise(inputs * outputs));
            let mut packed = vec![0.0; shape.packed_len()];
            shape.pack(&matrix, &mut packed);
            let mut start = noise(outputs);
            start.resize(shape.start_len(), 0.0);
            let before = noise(rows * outputs);
            for isa in Isa::available() {
                for (add, relu) in [(false, false), (true, false), (true, true)] {
                    let store = Store { add, relu };
                    let mut found = before.clone();
                    shape.forward(isa, &x, &packed, &start, store, &mut found);
                    for (at, found) in found.iter().enumerate() {
                        let (row, output) = (at / outputs, at % outputs);
                        let mut sum = start[output];
                        for input in 0..inputs {
                            let weight = matrix[input * outputs + output];
                            sum = x[row * inputs + input].mul_add(weight, sum);
                        }
                        sum += if add { before[at] } else { 0.0 };
                        sum = if relu { sum.max(0.0) } else { sum };
                        // portable instructions round twice on x86-64
                        let equal = match isa {
                            Isa::Portable => (sum - found).abs() < 1e-5,
                            _ => sum == *found,
                        };
                        assert!(equal, "{shape:?} {isa} {at}: {found} {sum}");
                    }
                }
            }
        }
    }
}
