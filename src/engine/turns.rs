//! Changes of the memory made one after the other: each is computed from its layer on, with the activations that the
//! changes before it left there, and the result is that of all of them at once, bit for bit.

use super::images::Part;
use super::run::Worker;
use super::score::{Answer, Tally};
use super::weights::Weights;
use super::{Engine, Images, Score, Weight, RUN};
use crate::error::Result;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// A change, ready for a plan.
struct Turn {
    /// The call from which on activations differ from those before it.
    start: usize,
    /// Places among the packed weights and what they hold from now on.
    weights: Vec<(usize, f32)>,
    /// Rising: starts of later turns at which the activations of this one are still those in force.
    kept_for: Vec<usize>,
}

/// For each turn which activations it must keep, given where each starts.
fn kept_for(starts: &[usize]) -> Vec<Vec<usize>> {
    let of_turn = |turn: usize| {
        let mut kept: Vec<usize> = Vec::new();
        // a turn that starts no later than this one finds what was kept before it
        for &start in starts[turn + 1..]
            .iter()
            .take_while(|start| **start > starts[turn])
        {
            if kept.last().is_none_or(|least| start < *least) {
                kept.push(start);
            }
        }
        kept.reverse();
        kept
    };
    (0..starts.len()).map(of_turn).collect()
}

impl Engine {
    /// Score after each of some changes, on all threads.
    pub(super) fn changed_in_turn(
        &self,
        changes: &[Vec<Weight>],
        images: &Images,
    ) -> Result<Vec<Score>> {
        // the first turn has no activations to start from
        let start = |(turn, weights): (usize, &Vec<Weight>)| match turn {
            0 => 0,
            _ => self.plan.first_use(weights),
        };
        let starts: Vec<usize> = changes.iter().enumerate().map(start).collect();
        let turns = changes.iter().zip(&starts).zip(kept_for(&starts));
        let turns: Vec<Turn> = turns
            .map(|((weights, start), kept_for)| Turn {
                start: *start,
                weights: self.packed_weights(weights),
                kept_for,
            })
            .collect();
        let runs = images.parts(RUN);
        let work = |worker: &mut Worker, weights: &mut Weights, part: Part| {
            worker.turns(self, weights, &turns, part)
        };
        let in_parts = |run: &Part| Ok(self.in_parts(*run, runs.len(), work)?.0);
        let tallies = runs.par_iter().map(in_parts);
        let tallies = tallies.collect::<Result<Vec<Vec<Tally>>>>()?;
        let mut totals = vec![Tally::default(); turns.len()];
        for tallies in tallies {
            for (total, tally) in totals.iter_mut().zip(tallies) {
                total.add_all(tally);
            }
        }
        Ok(totals.into_iter().map(Tally::score).collect())
    }
}

impl Worker {
    /// Answers after each turn on some images.
    fn turns(
        &mut self,
        engine: &Engine,
        weights: &mut Weights,
        turns: &[Turn],
        part: Part,
    ) -> Result<Vec<Vec<Answer>>> {
        let plan = &engine.plan;
        let mut answers = vec![Vec::with_capacity(part.len()); turns.len()];
        for group in part.cut(plan.group) {
            // activations by the call that they are kept for
            let mut kept: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
            for (turn, answers) in turns.iter().zip(&mut answers) {
                weights.change(plan, turn.weights.iter().copied());
                let fresh = weights.refresh(plan)?;
                match kept.get(&turn.start) {
                    Some(kept) => self.restore(&plan.live(turn.start), kept),
                    None => self.load(plan, group),
                }
                let mut at = turn.start;
                for &next in &turn.kept_for {
                    self.calls(plan, fresh, at..next, group.len())?;
                    kept.insert(next, self.keep(&plan.live(next)));
                    at = next;
                }
                self.calls(plan, fresh, at..plan.calls.len(), group.len())?;
                self.visit(plan, group, |goal, logits| {
                    answers.push(Answer::new(logits, goal));
                });
            }
            for turn in turns {
                engine.clean_again(weights, turn.weights.iter().copied());
            }
        }
        Ok(answers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_keeps_what_later_ones_start_from_before_an_earlier_layer_changes() {
        assert_eq!(
            kept_for(&[0, 10, 12, 10, 11, 4, 20]),
            [
                vec![4, 10],
                vec![12],
                vec![],
                vec![11],
                vec![],
                vec![20],
                vec![]
            ]
        );
        assert_eq!(
            kept_for(&[0, 5, 0, 5, 5]),
            [vec![5], vec![], vec![5], vec![], vec![]]
        );
    }
}
