//! The weights of one thread: packed for the direct kernels, and transformed for those of Winograd.

use super::plan::Plan;

/// Weights in both forms, always of the same values.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    packed: Vec<f32>,
    transformed: Vec<f32>,
    /// True for the rows of transformed weights in `changed`; all false between changes.
    marked: Vec<bool>,
    changed: Vec<Row>,
}

/// A row of the weights of one Winograd convolution.
#[derive(Clone, Copy, Debug)]
struct Row {
    /// Number of the convolution among those of the plan.
    convolution: usize,
    row: usize,
}

impl Weights {
    /// All weights of a plan as they are packed.
    pub(super) fn new(plan: &Plan, packed: Vec<f32>) -> Self {
        let mut weights = Self {
            packed,
            transformed: vec![0.0; plan.transformed],
            marked: vec![false; plan.winograds.iter().map(|own| own.shape.rows()).sum()],
            changed: Vec::new(),
        };
        for (convolution, own) in plan.winograds.iter().enumerate() {
            for row in 0..own.shape.rows() {
                weights.transform(plan, Row { convolution, row });
            }
        }
        weights
    }

    /// What a place holds.
    pub(super) fn at(&self, place: usize) -> f32 {
        self.packed[place]
    }

    /// All packed weights.
    pub(super) fn packed(&self) -> &[f32] {
        &self.packed
    }

    /// All transformed weights.
    pub(super) fn transformed(&self) -> &[f32] {
        &self.transformed
    }

    /// Puts other weights into places of the packed ones; of those transformed only the rows that hold them change.
    pub(super) fn change(&mut self, plan: &Plan, weights: impl Iterator<Item = (usize, f32)>) {
        for (place, weight) in weights {
            self.packed[place] = weight;
            self.mark(plan, place);
        }
        while let Some(row) = self.changed.pop() {
            self.marked[plan.winograds[row.convolution].first_row + row.row] = false;
            self.transform(plan, row);
        }
    }

    fn mark(&mut self, plan: &Plan, place: usize) {
        let after = plan
            .winograds
            .partition_point(|own| own.packed.start <= place);
        let Some(convolution) = after.checked_sub(1) else {
            return;
        };
        let own = &plan.winograds[convolution];
        if own.packed.end <= place {
            return;
        }
        let row = own.shape.row_of(place - own.packed.start);
        if !std::mem::replace(&mut self.marked[own.first_row + row], true) {
            self.changed.push(Row { convolution, row });
        }
    }

    fn transform(&mut self, plan: &Plan, Row { convolution, row }: Row) {
        let own = &plan.winograds[convolution];
        let (packed, transformed) = (own.packed.clone(), own.transformed.clone());
        own.shape.transform(
            plan.isa,
            row,
            &self.packed[packed],
            &mut self.transformed[transformed],
        );
    }
}
