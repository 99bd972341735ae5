//! The weights of a trial: packed for the direct kernels, and transformed for those of Winograd.

use super::plan::Plan;

/// Weights in both forms, of the same values but for rows that are to be transformed anew.
#[derive(Clone, Debug)]
pub(super) struct Weights {
    packed: Vec<f32>,
    transformed: Vec<f32>,
    /// True for the rows in `changed`.
    marked: Vec<bool>,
    /// Rows of transformed weights that hold a change of the packed ones.
    changed: Vec<Row>,
}

/// Weights whose two forms are of the same values, for any number of threads to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fresh<'a> {
    pub(super) packed: &'a [f32],
    pub(super) transformed: &'a [f32],
}

/// A row of the weights of one Winograd convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Row {
    /// Number of the convolution among those of the plan.
    convolution: usize,
    row: usize,
}

impl Weights {
    /// All weights of a plan as they are packed.
    pub(super) fn new(plan: &Plan, packed: Vec<f32>) -> Self {
        let mut changed = Vec::new();
        for (convolution, own) in plan.winograds.iter().enumerate() {
            changed.extend((0..own.shape.rows()).map(|row| Row { convolution, row }));
        }
        let mut weights = Self {
            packed,
            transformed: vec![0.0; plan.transformed],
            marked: vec![true; changed.len()],
            changed,
        };
        weights.refresh(plan);
        weights
    }

    /// What a place holds.
    pub(super) fn at(&self, place: usize) -> f32 {
        self.packed[place]
    }

    /// Puts other weights into places of the packed ones.
    pub(super) fn change(&mut self, plan: &Plan, weights: impl Iterator<Item = (usize, f32)>) {
        for (place, weight) in weights {
            self.packed[place] = weight;
            self.mark(plan, place);
        }
    }

    /// Transforms the rows that hold a change since the last time. Not at each change: what a trial puts back and the next
    /// one puts in are often of one row.
    pub(super) fn refresh(&mut self, plan: &Plan) -> Fresh<'_> {
        // neighbours one after the other: the transformed weights are more than the caches hold
        self.changed.sort_unstable();
        for at in 0..self.changed.len() {
            let row = self.changed[at];
            self.marked[plan.winograds[row.convolution].first_row + row.row] = false;
            self.transform(plan, row);
        }
        self.changed.clear();
        Fresh {
            packed: &self.packed,
            transformed: &self.transformed,
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
