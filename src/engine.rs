//! Evaluation of a trained network on images, clean or with faulty words; knows no chance and no disk.
//!
//! On the CPU a network is compiled once into calls of the vector kernels; one evaluation runs on one thread,
//! and only the weights that faults changed are rewritten between evaluations. On a GPU, for networks without
//! steps to compile (DeiT), and as the oracle, [`Plain`] runs candle's own operations.

mod answers;
mod images;
mod parts;
mod plain;
mod plan;
mod pool;
mod reuse;
mod run;
mod score;
#[cfg(test)]
mod tests;
mod turns;
mod weights;

pub use images::{Images, ACCESS_IMAGES};
pub use plain::Plain;
pub use reuse::Scores;
pub use score::{Answers, Score};

use crate::code::Word;
use crate::error::{Error, Result};
use crate::kernel::{Arithmetic, Isa};
use crate::net::Network;
use crate::quant::StoredWeight;
use candle_core::Tensor;
use plan::Plan;
use rayon::prelude::*;
use run::Worker;
use score::Tally;
use std::collections::BTreeMap;
use std::sync::Mutex;
use weights::Weights;

/// Images whose losses are added before they join the sum: fixed, so that sums do not depend on threads.
const RUN: usize = 250;

/// A weight that reads otherwise: layer, row-major index, value.
type Weight = (usize, usize, f32);

/// A compiled network with its clean weights.
#[derive(Debug)]
struct Engine {
    plan: Plan,
    weights: Weights,
    /// Workers that nobody uses at the moment.
    idle: Mutex<Vec<Worker>>,
}

impl Engine {
    /// `None` for a network on a GPU, or without steps.
    fn new(
        network: &Network,
        stored: &[Option<StoredWeight>],
        isa: Isa,
        arithmetic: Arithmetic,
    ) -> Result<Option<Self>> {
        let steps = if network.device().is_cpu() {
            network.program()?
        } else {
            None
        };
        let Some(steps) = steps else { return Ok(None) };
        let plan = Plan::new(network, &steps, isa, arithmetic)?;
        let mut packed = vec![0.0; plan.packed];
        for (layer, stored) in stored.iter().enumerate() {
            let values = match stored {
                Some(stored) => stored.values(),
                None => network.layers()[layer].values()?,
            };
            plan.pack(layer, &values, &mut packed);
        }
        Ok(Some(Self {
            weights: Weights::new(&plan, packed),
            plan,
            idle: Mutex::new(Vec::new()),
        }))
    }

    /// Lends a worker with clean weights; what is changed in it must be put back.
    fn with_worker<R>(&self, work: impl FnOnce(&mut Worker) -> R) -> R {
        // a panicked thread left its worker out of the list: the list itself is whole
        let lock = || {
            self.idle
                .lock()
                .unwrap_or_else(|poisoned| poisoned.into_inner())
        };
        let idle = lock().pop();
        let mut worker = idle.unwrap_or_else(|| Worker::new(&self.plan, &self.weights));
        let result = work(&mut worker);
        lock().push(worker);
        result
    }

    /// Place of a weight (layer, row-major index, weight) among the packed weights, and what it holds.
    fn packed_weight(&self, &(layer, index, weight): &Weight) -> (usize, f32) {
        let (at, scale) = self.plan.places[layer].of(index);
        (at, weight * scale)
    }

    fn packed_weights(&self, weights: &[Weight]) -> Vec<(usize, f32)> {
        weights
            .iter()
            .map(|weight| self.packed_weight(weight))
            .collect()
    }

    /// Takes changes of packed weights out of a worker.
    fn clean_again(&self, worker: &mut Worker, changed: &[(usize, f32)]) {
        let clean = changed
            .iter()
            .map(|(place, _)| (*place, self.weights.at(*place)));
        worker.weights.change(&self.plan, clean);
    }

    fn tally(&self, worker: &mut Worker, pixels: &[f32], labels: &[u32]) -> Tally {
        let mut tally = Tally::default();
        worker.run(&self.plan, pixels, |image, logits| {
            tally.add(logits, labels[image])
        });
        tally
    }

    /// Score without faults, on all threads.
    fn clean(&self, images: &Images) -> Score {
        let tallies: Vec<Tally> = images
            .runs(RUN)
            .into_par_iter()
            .map(|(pixels, labels)| self.with_worker(|worker| self.tally(worker, pixels, labels)))
            .collect();
        tallies
            .into_iter()
            .fold(Tally::default(), Tally::plus)
            .score()
    }

    /// Tallies of runs of images, added in order, with some weights changed, on this thread: (layer, row-major index,
    /// weight).
    fn tally_changed(&self, weights: &[Weight], runs: &[(&[f32], &[u32])]) -> Tally {
        self.with_worker(|worker| {
            let weights = self.packed_weights(weights);
            worker.weights.change(&self.plan, weights.iter().copied());
            let tallies = runs
                .iter()
                .map(|(pixels, labels)| self.tally(worker, pixels, labels));
            let total = tallies.fold(Tally::default(), Tally::plus);
            self.clean_again(worker, &weights);
            total
        })
    }

    /// Score with some weights changed, on this thread.
    fn changed(&self, weights: &[Weight], images: &Images) -> Score {
        self.tally_changed(weights, &images.runs(RUN)).score()
    }

    /// The same on all threads.
    fn changed_on_all_threads(&self, weights: &[Weight], images: &Images) -> Score {
        let runs = images.runs(RUN);
        let tallies: Vec<Tally> = runs
            .par_iter()
            .map(|run| self.tally_changed(weights, std::slice::from_ref(run)))
            .collect();
        tallies
            .into_iter()
            .fold(Tally::default(), Tally::plus)
            .score()
    }
}

/// A network ready for many evaluations.
#[derive(Debug)]
pub struct Evaluator {
    network: Network,
    stored: Vec<Option<StoredWeight>>,
    words: Vec<Word>,
    starts: Vec<usize>,
    /// `None` where candle's own operations evaluate: on a GPU, or for a network without steps.
    engine: Option<Engine>,
    /// The clean weights, where there is no engine.
    on_device: Option<Vec<Tensor>>,
}

impl Evaluator {
    /// Reads out what the memory stores of a network and compiles it for the vector instructions in use.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn new(network: Network) -> Result<Self> {
        Self::with(network, Isa::current(), Arithmetic::current())
    }

    /// The same for other vector instructions and another arithmetic.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn with(network: Network, isa: Isa, arithmetic: Arithmetic) -> Result<Self> {
        let stored = network.stored()?;
        let engine = Engine::new(&network, &stored, isa, arithmetic)?;
        let on_device = match &engine {
            Some(_) => None,
            None => Some(network.effective_weights()?),
        };
        let mut words = Vec::new();
        let mut starts = Vec::with_capacity(stored.len());
        for layer in &stored {
            starts.push(words.len());
            words.extend(layer.iter().flat_map(|layer| layer.words.iter().copied()));
        }
        Ok(Self {
            network,
            stored,
            words,
            starts,
            engine,
            on_device,
        })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What the memory stores of each layer; `None` for float layers, which no fault reaches.
    pub fn stored(&self) -> &[Option<StoredWeight>] {
        &self.stored
    }

    /// All stored words, layer after layer: the memory.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Multiply-adds of one image, those with the padding included; `None` where candle's own operations evaluate.
    pub fn multiplications(&self) -> Option<usize> {
        self.engine
            .as_ref()
            .map(|engine| engine.plan.multiplications())
    }

    /// Groups of 16 kernels that are transformed anew where one of their weights changes; 0 where convolutions are direct.
    pub fn transformed_rows(&self) -> usize {
        let plan = self.engine.as_ref().map(|engine| &engine.plan);
        plan.map_or(0, |plan| {
            plan.winograds.iter().map(|own| own.shape.rows()).sum()
        })
    }

    /// Logits of the images one after the other, with some words read otherwise as [`Self::faulty`] takes them, as the
    /// kernels give them on the calling thread; `None` where candle's own operations evaluate.
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn logits(&self, faults: &[(usize, Word)], images: &Images) -> Result<Option<Vec<f32>>> {
        self.check(images)?;
        let Some(engine) = &self.engine else {
            return Ok(None);
        };
        let weights = engine.packed_weights(&self.faulty_weights(faults)?);
        let mut all = Vec::new();
        engine.with_worker(|worker| {
            worker.weights.change(&engine.plan, weights.iter().copied());
            for (pixels, _) in images.runs(RUN) {
                worker.run(&engine.plan, pixels, |_, logits| {
                    all.extend_from_slice(logits)
                });
            }
            engine.clean_again(worker, &weights);
        });
        Ok(Some(all))
    }

    /// Score without faults, on all threads.
    ///
    /// # Errors
    /// [`Error::Argument`] where the images are not of the network's shape, or a tensor failure.
    pub fn clean(&self, images: &Images) -> Result<Score> {
        self.check(images)?;
        match &self.engine {
            Some(engine) => Ok(engine.clean(images)),
            None => Plain::new(self)?.clean(images),
        }
    }

    /// Score where some words of the memory read otherwise: (index into [`Self::words`], word), by rising index.
    /// An engine runs on the calling thread alone; candle's own operations use all threads.
    ///
    /// # Errors
    /// [`Error::Argument`] for an index outside the memory or images not of the network's shape, or a tensor
    /// failure.
    pub fn faulty(&self, faults: &[(usize, Word)], images: &Images) -> Result<Score> {
        self.check(images)?;
        match &self.engine {
            Some(engine) => Ok(engine.changed(&self.faulty_weights(faults)?, images)),
            None => Plain::new(self)?.faulty(faults, images),
        }
    }

    /// Score where each access of [`ACCESS_IMAGES`] images reads other words: `faults(access)` gives those of access
    /// 0, 1, ... as [`Self::faulty`] takes them. On the CPU it runs on the calling thread alone.
    ///
    /// # Errors
    /// As [`Self::faulty`], or what `faults` returns.
    pub fn faulty_by_access(
        &self,
        images: &Images,
        faults: impl FnMut(u64) -> Result<Vec<(usize, Word)>>,
    ) -> Result<Score> {
        Ok(self.tally_by_access(images, faults)?.score())
    }

    /// Index into [`Self::words`] of each layer's first word, in memory order; float layers, which store none, share
    /// theirs with the next layer.
    pub fn starts(&self) -> &[usize] {
        &self.starts
    }

    /// Names of the layers that store words, with the number of them, in the order of [`Self::words`].
    pub fn memory_layers(&self) -> Vec<(&str, u64)> {
        let pairs = self.network.layers().iter().zip(&self.stored);
        pairs
            .filter_map(|(layer, stored)| Some((layer.name(), stored.as_ref()?.words.len() as u64)))
            .collect()
    }

    /// What [`Self::faulty`] gives, bit for bit, on all threads.
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn faulty_on_all_threads(
        &self,
        faults: &[(usize, Word)],
        images: &Images,
    ) -> Result<Score> {
        self.check(images)?;
        match &self.engine {
            Some(engine) => {
                Ok(engine.changed_on_all_threads(&self.faulty_weights(faults)?, images))
            }
            None => Plain::new(self)?.faulty(faults, images),
        }
    }

    /// What [`Self::faulty`] gives for each of many fault sets, bit for bit, on all threads. An engine computes what
    /// lies before the first faulty layer of a set once for as many as 32 sets, so sets with faults in late layers
    /// cost little. Kept activations take at most 16 MiB a thread, or those of one group of images (at most 16).
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn faulty_each(&self, sets: &[Vec<(usize, Word)>], images: &Images) -> Result<Scores> {
        self.faulty_each_over(&[], sets, images)
    }

    /// The same where the base, too, reads otherwise: a set stands over it, and what lies before the first layer of a
    /// set is that of the base.
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn faulty_each_over(
        &self,
        base: &[(usize, Word)],
        sets: &[Vec<(usize, Word)>],
        images: &Images,
    ) -> Result<Scores> {
        self.check(images)?;
        let Some(engine) = &self.engine else {
            let plain = Plain::new(self)?;
            return Ok(Scores {
                scores: sets
                    .iter()
                    .map(|set| plain.faulty(&overlaid(&[base, set]), images))
                    .collect::<Result<_>>()?,
                multiplications: None,
            });
        };
        let weights = sets
            .iter()
            .map(|faults| self.faulty_weights(faults))
            .collect::<Result<Vec<_>>>()?;
        Ok(engine.changed_each(&self.faulty_weights(base)?, &weights, images))
    }

    /// Score after each of some changes of the memory, each made on top of those before it, on all threads: what
    /// [`Self::faulty`] gives for all of them so far, bit for bit. An engine computes a change from its first layer on.
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn faulty_in_turn(
        &self,
        changes: &[Vec<(usize, Word)>],
        images: &Images,
    ) -> Result<Vec<Score>> {
        self.check(images)?;
        let Some(engine) = &self.engine else {
            let plain = Plain::new(self)?;
            let so_far = |last: usize| -> Vec<&[(usize, Word)]> {
                changes[..=last].iter().map(Vec::as_slice).collect()
            };
            return (0..changes.len())
                .map(|last| plain.faulty(&overlaid(&so_far(last)), images))
                .collect();
        };
        let changes = changes
            .iter()
            .map(|faults| self.faulty_weights(faults))
            .collect::<Result<Vec<_>>>()?;
        Ok(engine.changed_in_turn(&changes, images))
    }

    /// Layer, row-major index and value of weights whose words read otherwise.
    fn faulty_weights(&self, faults: &[(usize, Word)]) -> Result<Vec<Weight>> {
        let weight = |&(index, word): &(usize, Word)| {
            if index >= self.words.len() {
                let expected = format!("a word index below {}", self.words.len());
                return Err(Error::argument("fault", expected, index.to_string()));
            }
            // float layers hold no words and share their start with the next layer: the last one that begins here
            let layer = self.starts.partition_point(|start| *start <= index) - 1;
            let value = self.stored[layer].as_ref().map(|stored| stored.value(word));
            let value =
                value.ok_or_else(|| Error::argument("fault", "a stored word", "a float layer"))?;
            Ok((layer, index - self.starts[layer], value))
        };
        faults.iter().map(weight).collect()
    }

    fn check(&self, images: &Images) -> Result<()> {
        let expected = self.network.input_shape();
        if images.shape() == expected {
            Ok(())
        } else {
            Err(Error::argument(
                "images to evaluate",
                format!("images of {expected:?} for {}", self.network.architecture()),
                format!("{:?}", images.shape()),
            ))
        }
    }
}

/// Words that read otherwise by rising index, where later lists stand over earlier ones.
fn overlaid(lists: &[&[(usize, Word)]]) -> Vec<(usize, Word)> {
    let all: BTreeMap<usize, Word> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    all.into_iter().collect()
}

/// Score of a network with the weights that it has now, on all threads.
///
/// # Errors
/// [`Error::Argument`] where the images are not of the network's shape, or a tensor failure.
pub fn score(network: &Network, images: &Images) -> Result<Score> {
    let stored = network.stored()?;
    match Engine::new(network, &stored, Isa::current(), Arithmetic::current())? {
        Some(engine) => Ok(engine.clean(images)),
        None => plain::score(network, &network.effective_weights()?, images),
    }
}
