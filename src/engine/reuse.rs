//! Many fault sets on the same images: what lies before the first faulty layer of a set is computed once for all of
//! them, and the result is that of each set alone, bit for bit.

use super::plan::{Call, Plan};
use super::run::Worker;
use super::score::Tally;
use super::{Engine, Images, Score, RUN};
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
    /// The call from which on activations differ from those without faults.
    start: usize,
    /// Places among the packed weights and what they hold.
    weights: Vec<(usize, f32)>,
}

/// What the sets of one pass came to on one run of images.
struct Pass {
    tallies: Vec<(usize, Tally)>,
    multiplications: u64,
}

impl Plan {
    /// Buffers whose contents the calls from `start` on read before they write them.
    fn live(&self, start: usize) -> Vec<usize> {
        let mut live = vec![false; self.buffers.len()];
        live[self.logits.1] = true;
        for call in self.calls[start..].iter().rev() {
            let (from, to) = call.ends();
            let adds = matches!(call, Call::Convolution { store, .. } if store.add);
            live[to] = adds;
            live[from] = true;
        }
        (0..live.len()).filter(|buffer| live[*buffer]).collect()
    }

    /// Values of these buffers: those of one group of images.
    fn kept(&self, start: usize) -> usize {
        self.live(start).iter().map(|buffer| self.buffers[*buffer]).sum()
    }

    /// The first call that reads weights of a layer of these.
    fn first_use(&self, weights: &[(usize, usize, f32)]) -> usize {
        let reads = |call: &Call| match call {
            Call::Convolution { layer, .. } => weights.iter().any(|weight| weight.0 == *layer),
            _ => false,
        };
        self.calls.iter().position(reads).unwrap_or(self.calls.len())
    }
}

impl Engine {
    /// Scores of many sets of changed weights, each (layer, row-major index, weight), on all threads.
    pub(super) fn changed_each(&self, sets: &[Vec<(usize, usize, f32)>], images: &Images) -> Scores {
        let job = |(set, weights): (usize, &Vec<(usize, usize, f32)>)| Job {
            set,
            start: self.plan.first_use(weights),
            weights: weights.iter().map(|weight| self.packed_weight(weight)).collect(),
        };
        let mut jobs: Vec<Job> = sets.iter().enumerate().map(job).collect();
        jobs.sort_by_key(|job| job.start);
        let runs = images.runs(RUN);
        let tasks: Vec<_> =
            jobs.chunks(SETS).flat_map(|jobs| runs.iter().map(move |run| (jobs, run))).collect();
        let passes: Vec<Pass> = tasks
            .into_par_iter()
            .map(|(jobs, (pixels, labels))| {
                self.with_worker(|worker| worker.pass(self, jobs, pixels, labels))
            })
            .collect();
        let mut totals = vec![Tally::default(); sets.len()];
        // the runs of a set come in the order of the images
        for (set, tally) in passes.iter().flat_map(|pass| &pass.tallies) {
            totals[*set] = std::mem::take(&mut totals[*set]).plus(tally.clone());
        }
        let multiplications = passes.iter().map(|pass| pass.multiplications).sum();
        Scores {
            scores: totals.into_iter().map(Tally::score).collect(),
            multiplications: Some(multiplications),
        }
    }
}

impl Worker {
    /// Jobs by rising start on a run of images.
    fn pass(&mut self, engine: &Engine, jobs: &[Job], pixels: &[f32], labels: &[u32]) -> Pass {
        let plan = &engine.plan;
        let before = self.multiplications;
        let mut tallies: Vec<(usize, Tally)> = jobs.iter().map(|job| (job.set, Tally::default())).collect();
        let group = plan.group * plan.image_values();
        let most = jobs.iter().map(|job| plan.kept(job.start)).max().unwrap_or(0).max(1);
        let groups_at_once = (KEPT / size_of::<f32>() / most).max(1);
        let per_pass = (groups_at_once * group, groups_at_once * plan.group);
        for (pixels, labels) in pixels.chunks(per_pass.0).zip(labels.chunks(per_pass.1)) {
            let groups: Vec<(&[f32], &[u32])> = pixels.chunks(group).zip(labels.chunks(plan.group)).collect();
            // activations of each group at the start of the jobs at hand
            let mut kept: Vec<Vec<f32>> = Vec::new();
            let mut at = 0;
            for range in by_start(jobs) {
                let (jobs, tallies) = (&jobs[range.clone()], &mut tallies[range]);
                let start = jobs[0].start;
                for (number, (pixels, labels)) in groups.iter().enumerate() {
                    match kept.get(number) {
                        None => self.load(plan, pixels),
                        Some(kept) => self.restore(&plan.live(at), kept),
                    }
                    self.calls(plan, at..start, labels.len());
                    let now = self.keep(&plan.live(start));
                    match kept.get_mut(number) {
                        None => kept.push(now),
                        Some(kept) => *kept = now,
                    }
                }
                at = start;
                let live = plan.live(start);
                for (job, (_, tally)) in jobs.iter().zip(tallies) {
                    job.weights.iter().for_each(|(place, weight)| self.packed[*place] = *weight);
                    for ((_, labels), kept) in groups.iter().zip(&kept) {
                        self.restore(&live, kept);
                        self.calls(plan, start..plan.calls.len(), labels.len());
                        self.visit(plan, labels.len(), |image, logits| tally.add(logits, labels[image]));
                    }
                    job.weights.iter().for_each(|(place, _)| self.packed[*place] = engine.packed[*place]);
                }
            }
        }
        Pass { tallies, multiplications: self.multiplications - before }
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
