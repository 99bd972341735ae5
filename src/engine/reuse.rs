//! Many fault sets on the same images: what lies before the first faulty layer of a set is computed once for all of
//! them, and the result is that of each set alone, bit for bit.

use super::images::Part;
use super::plan::{Call, Plan};
use super::run::Worker;
use super::score::{Answer, Tally};
use super::weights::Weights;
use super::{Engine, Images, Score, Weight, RUN};
use crate::error::Result;
use rayon::prelude::*;
use std::ops::Range;

/// Fault sets that share one pass over the images: a fixed number, so that the work does not depend on threads.
const SETS: usize = 32;
/// Most bytes of kept activations of one thread; where those of one group of images take more, they are kept anyway.
const KEPT: usize = 16 << 20;

/// Scores of many fault sets.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The score of each set, in their order.
    pub scores: Vec<Score>,
    /// Multiply-adds that they took, those with the padding included; `None` where candle's own operations evaluate.
    pub multiplications: Option<u64>,
}

/// A fault set, ready for a plan.
struct Job {
    /// Its place in the list.
    set: usize,
    /// The call from which on activations differ from those of the base.
    start: usize,
    /// Places among the packed weights and what they hold.
    weights: Vec<(usize, f32)>,
}

impl Plan {
    /// Buffers whose contents the calls from `start` on read before they write them.
    pub(super) fn live(&self, start: usize) -> Vec<usize> {
        let mut live = vec![false; self.buffers.len()];
        live[self.logits.1] = true;
        for call in self.calls[start..].iter().rev() {
            live[call.to] = call.adds();
            call.from.iter().for_each(|from| live[*from] = true);
        }
        (0..live.len()).filter(|buffer| live[*buffer]).collect()
    }

    /// Values of these buffers: those of one group of images.
    fn kept(&self, start: usize) -> usize {
        self.live(start)
            .iter()
            .map(|buffer| self.buffers[*buffer])
            .sum()
    }

    /// The first call that reads weights of a layer of these.
    pub(super) fn first_use(&self, weights: &[Weight]) -> usize {
        let reads = |call: &Call| {
            let of = |layer: usize| weights.iter().any(|weight| weight.0 as usize == layer);
            call.layer().is_some_and(of)
        };
        self.calls
            .iter()
            .position(reads)
            .unwrap_or(self.calls.len())
    }
}

impl Engine {
    /// Scores of many sets of changed weights, each over those of the base, on all threads.
    pub(super) fn changed_each(
        &self,
        base: &[Weight],
        sets: &[Vec<Weight>],
        images: &Images,
    ) -> Result<Scores> {
        let base = self.packed_weights(base);
        let job = |(set, weights): (usize, &Vec<Weight>)| Job {
            set,
            start: self.plan.first_use(weights),
            weights: self.packed_weights(weights),
        };
        let mut jobs: Vec<Job> = sets.iter().enumerate().map(job).collect();
        jobs.sort_by_key(|job| job.start);
        let runs = images.parts(RUN);
        let tasks: Vec<_> = jobs
            .chunks(SETS)
            .flat_map(|jobs| runs.iter().map(move |run| (jobs, *run)))
            .collect();
        let pass_of = |(jobs, run): &(&'_ [Job], Part)| {
            let pass = |worker: &mut Worker, weights: &mut Weights, part: Part| {
                worker.pass(self, weights, &base, jobs, part)
            };
            self.in_parts(*run, tasks.len(), pass)
        };
        let passes = tasks.par_iter().map(pass_of);
        let passes = passes.collect::<Result<Vec<(Vec<Tally>, u64)>>>()?;
        let multiplications = passes.iter().map(|pass| pass.1).sum();
        let mut totals = vec![Tally::default(); sets.len()];
        // the runs of a set come in the order of the images
        for ((jobs, _), (tallies, _)) in tasks.iter().zip(passes) {
            for (job, tally) in jobs.iter().zip(tallies) {
                totals[job.set].add_all(tally);
            }
        }
        Ok(Scores {
            scores: totals.into_iter().map(Tally::score).collect(),
            multiplications: Some(multiplications),
        })
    }
}

impl Worker {
    /// Answers of each of the jobs, which come by rising start, on some images.
    fn pass(
        &mut self,
        engine: &Engine,
        weights: &mut Weights,
        base: &[(usize, f32)],
        jobs: &[Job],
        part: Part,
    ) -> Result<Vec<Vec<Answer>>> {
        let plan = &engine.plan;
        weights.change(plan, base.iter().copied());
        let mut answers = vec![Vec::with_capacity(part.len()); jobs.len()];
        let most = jobs.iter().map(|job| plan.kept(job.start)).max();
        let groups_at_once = (KEPT / size_of::<f32>() / most.unwrap_or(0).max(1)).max(1);
        for part in part.cut(groups_at_once * plan.group) {
            let groups: Vec<Part> = part.cut(plan.group).collect();
            // activations of each group at the start of the jobs at hand
            let mut kept: Vec<Vec<f32>> = Vec::new();
            let mut at = 0;
            for range in by_start(jobs) {
                let (jobs, answers) = (&jobs[range.clone()], &mut answers[range]);
                let start = jobs[0].start;
                for (number, group) in groups.iter().enumerate() {
                    match kept.get(number) {
                        None => self.load(plan, *group),
                        Some(kept) => self.restore(&plan.live(at), kept),
                    }
                    self.calls(plan, weights.refresh(plan)?, at..start, group.len())?;
                    let now = self.keep(&plan.live(start));
                    match kept.get_mut(number) {
                        None => kept.push(now),
                        Some(kept) => *kept = now,
                    }
                }
                at = start;
                let live = plan.live(start);
                for (job, answers) in jobs.iter().zip(answers) {
                    let places = job.weights.iter().map(|(place, _)| *place);
                    let before: Vec<_> = places.map(|place| (place, weights.at(place))).collect();
                    weights.change(plan, job.weights.iter().copied());
                    let fresh = weights.refresh(plan)?;
                    for (group, kept) in groups.iter().zip(&kept) {
                        self.restore(&live, kept);
                        self.calls(plan, fresh, start..plan.calls.len(), group.len())?;
                        self.visit(plan, *group, |goal, logits| {
                            answers.push(Answer::new(logits, goal));
                        });
                    }
                    weights.change(plan, before.into_iter());
                }
            }
        }
        engine.clean_again(weights, base.iter().copied());
        Ok(answers)
    }
}

/// Places of the jobs of one start after the other.
fn by_start(jobs: &[Job]) -> Vec<Range<usize>> {
    let mut all: Vec<Range<usize>> = Vec::new();
    for jobs in jobs.chunk_by(|a, b| a.start == b.start) {
        let start = all.last().map_or(0, |range| range.end);
        all.push(start..start + jobs.len());
    }
    all
}
