//! A run of images cut into parts for several threads; the losses of the images are added in their order, so that no
//! bit of a score depends on the cut.

use super::images::Part;
use super::run::Worker;
use super::score::{Answer, Tally};
use super::weights::Weights;
use super::{Engine, RUN};
use crate::error::Result;
use rayon::prelude::*;

/// Images of a part where there are fewer runs than threads.
const PART: usize = 32;

impl Engine {
    /// Tallies of a run of images, one for each list of answers that `work` gives, and the multiplications that they
    /// took. `runs` such calls are made at once: where those are fewer than the threads, a run is cut.
    pub(super) fn in_parts(
        &self,
        run: Part,
        runs: usize,
        work: impl Fn(&mut Worker, &mut Weights, Part) -> Result<Vec<Vec<Answer>>> + Sync,
    ) -> Result<(Vec<Tally>, u64)> {
        let images = if runs < rayon::current_num_threads() {
            PART
        } else {
            RUN
        };
        let in_part = |part| {
            self.workers.with_whole(|worker| {
                let before = worker.multiplications;
                let answers = self
                    .weights
                    .with_whole(|weights| work(worker, weights, part))?;
                Ok((answers, worker.multiplications - before))
            })
        };
        let parts: Vec<Part> = run.cut(images).collect();
        let parts = parts.into_par_iter().with_max_len(1).map(in_part);
        let parts = parts.collect::<Result<Vec<(Vec<Vec<Answer>>, u64)>>>()?;
        let lists = parts.first().map_or(0, |(answers, _)| answers.len());
        let mut tallies = vec![Tally::default(); lists];
        for (answers, _) in &parts {
            for (tally, answers) in tallies.iter_mut().zip(answers) {
                answers.iter().for_each(|answer| tally.count(*answer));
            }
        }
        Ok((tallies, parts.iter().map(|part| part.1).sum()))
    }
}
