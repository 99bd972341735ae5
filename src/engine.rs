//! Evaluation of a trained network on images, clean or with faulty words; knows no chance and no disk.
//!
//! On the CPU a network is compiled once into calls of the vector kernels, and only the weights that faults changed are
//! rewritten between evaluations; what no kernel knows runs between them by candle's own operations. An evaluation runs
//! on one thread and on those that have nothing else to do. On a GPU, and as the oracle, [`Plain`] runs candle's own
//! operations alone.

mod answers;
mod compiler;
mod gather;
mod general;
mod images;
mod kind;
mod layout;
mod mean_pool;
mod parts;
mod place;
mod plain;
mod plan;
mod pool;
mod reuse;
mod run;
mod score;
mod spread;
mod stored;
#[cfg(test)]
mod tests;
mod turns;
mod weights;

pub use answers::{FaultsOfAccess, Reads, WeightReads};
pub use images::{Images, ACCESS_IMAGES};
pub use plain::Plain;
pub use reuse::Scores;
pub use score::{Answers, Score};

pub use crate::code::FaultsOfActivations;
use crate::code::Word;
use crate::error::{refuse, Result};
use crate::kernel::{Arithmetic, Isa};
use crate::net::Network;
use crate::quant::StoredWeight;
use candle_core::Tensor;
use compiler::compile;
use plan::Plan;
use run::Worker;
use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use weights::{Fresh, Weights};

/// Images whose losses are added before they join the sum: fixed, so that sums do not depend on threads.
const RUN: usize = 250;

/// A weight that reads otherwise: layer, row-major index, value. A chip may have a hundred thousand: 12 bytes each.
type Weight = (u32, u32, f32);

/// Never raised.
static NEVER: AtomicBool = AtomicBool::new(false);

/// Things that are used by one thread at a time and serve again.
#[derive(Debug)]
struct Lent<T> {
    idle: Mutex<Vec<T>>,
    make: T,
}

impl<T: Clone> Lent<T> {
    fn new(make: T) -> Self {
        Self {
            idle: Mutex::new(Vec::new()),
            make,
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<T>> {
        // a panicked thread left its own out of the list: the list itself is whole
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> T {
        // the list is free again while a new one is made
        let taken = self.idle().pop();
        taken.unwrap_or_else(|| self.make.clone())
    }

    fn put(&self, lent: T) {
        self.idle().push(lent);
    }

    /// Lends one that nobody uses; what is changed in it must be put back.
    fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut lent = self.take();
        let result = work(&mut lent);
        self.put(lent);
        result
    }

    /// The same for work that may fail and then puts nothing back: what it was lent serves nobody again.
    fn with_whole<R>(&self, work: impl FnOnce(&mut T) -> Result<R>) -> Result<R> {
        let mut lent = self.take();
        let result = work(&mut lent)?;
        self.put(lent);
        Ok(result)
    }
}

/// A compiled network with its clean weights.
#[derive(Debug)]
struct Engine {
    plan: Plan,
    /// Clean ones, for a trial each.
    weights: Lent<Weights>,
    /// Buffers, for a thread each.
    workers: Lent<Worker>,
}

impl Engine {
    /// `None` for a network on a GPU.
    fn new(
        network: &Network,
        stored: &[Option<StoredWeight>],
        isa: Isa,
        arithmetic: Arithmetic,
    ) -> Result<Option<Self>> {
        if !network.device().is_cpu() {
            return Ok(None);
        }
        let plan = compile(network, &network.program()?, isa, arithmetic)?;
        let mut packed = vec![0.0; plan.packed];
        for (layer, stored) in stored.iter().enumerate() {
            let values = match stored {
                Some(stored) => stored.values(),
                None => network.layers()[layer].values()?,
            };
            plan.pack(layer, &values, &mut packed);
        }
        Ok(Some(Self {
            weights: Lent::new(Weights::new(&plan, packed)?),
            workers: Lent::new(Worker::new(&plan)),
            plan,
        }))
    }

    /// Lends weights with some changed: (layer, row-major index, weight), beside what becomes of activations.
    fn with_changed<R>(
        &self,
        changed: &[Weight],
        activations: Option<&FaultsOfActivations>,
        work: impl FnOnce(Fresh) -> Result<R>,
    ) -> Result<R> {
        // places are found again to take the changes out: no list of them is allocated for each trial
        let packed = || changed.iter().flat_map(|weight| self.packed_weight(weight));
        self.weights.with(|weights| {
            weights.change(&self.plan, packed());
            let fresh = weights.refresh(&self.plan);
            let result = fresh.and_then(|weights| {
                work(Fresh {
                    activations,
                    ..weights
                })
            });
            self.clean_again(weights, packed());
            result
        })
    }

    /// Places of a weight (layer, row-major index, weight) among the packed weights, and what each holds.
    fn packed_weight(
        &self,
        &(layer, index, weight): &Weight,
    ) -> impl Iterator<Item = (usize, f32)> + '_ {
        let places = self.plan.places[layer as usize].iter();
        places.map(move |place| {
            let (at, scale) = place.of(index as usize);
            (at, weight * scale)
        })
    }

    fn packed_weights(&self, weights: &[Weight]) -> Vec<(usize, f32)> {
        weights
            .iter()
            .flat_map(|weight| self.packed_weight(weight))
            .collect()
    }

    /// Takes changes of packed weights out.
    fn clean_again(&self, weights: &mut Weights, changed: impl Iterator<Item = (usize, f32)>) {
        let clean = changed.map(|(place, _)| (place, self.weights.make.at(place)));
        weights.change(&self.plan, clean);
    }
}

/// A network ready for many evaluations.
#[derive(Debug)]
pub struct Evaluator {
    network: Network,
    stored: Vec<Option<StoredWeight>>,
    words: Vec<Word>,
    starts: Vec<usize>,
    /// `None` where candle's own operations evaluate: on a GPU.
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

    /// Logits of the images one after the other, with some words read otherwise as [`Self::faulty`] takes them, computed on
    /// the calling thread.
    ///
    /// # Errors
    /// As [`Self::faulty`].
    pub fn logits(&self, faults: &[(usize, Word)], images: &Images) -> Result<Vec<f32>> {
        self.check(images)?;
        let Some(engine) = &self.engine else {
            return Plain::new(self)?.logits(faults, images);
        };
        let mut all = Vec::new();
        engine.with_changed(&self.faulty_weights(faults)?, None, |weights| {
            engine.workers.with(|worker| {
                let mut run = |part| {
                    worker.run(&engine.plan, weights, part, &NEVER, |_, logits| {
                        all.extend_from_slice(logits)
                    })
                };
                images.parts(RUN).into_iter().try_for_each(&mut run)
            })
        })?;
        Ok(all)
    }

    /// Score without faults.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the images are not of the network's shape, or a tensor failure.
    pub fn clean(&self, images: &Images) -> Result<Score> {
        self.faulty(&[], images)
    }

    /// Score where some words of the memory read otherwise: (index into [`Self::words`], word), by rising index.
    /// An engine begins on one thread; those of the same pool that have nothing else to do take groups of images from it.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for an index outside the memory or images not of the network's shape, or a tensor
    /// failure.
    pub fn faulty(&self, faults: &[(usize, Word)], images: &Images) -> Result<Score> {
        self.score(Reads::of_words(faults), images)
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
        let sets = sets.iter().map(|faults| self.faulty_weights(faults));
        let sets = sets.collect::<Result<Vec<_>>>()?;
        engine.changed_each(&self.faulty_weights(base)?, &sets, images)
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
        let changes = changes.iter().map(|faults| self.faulty_weights(faults));
        let changes = changes.collect::<Result<Vec<_>>>()?;
        engine.changed_in_turn(&changes, images)
    }

    /// Layer, row-major index and value of weights whose words read otherwise.
    fn faulty_weights(&self, faults: &[(usize, Word)]) -> Result<Vec<Weight>> {
        let mut weights = Vec::with_capacity(faults.len());
        // indices rise: those of one layer come one after the other
        let (mut layer, mut own) = (0, 0..0);
        for &(index, word) in faults {
            if index >= self.words.len() {
                let expected = format!("a word index below {}", self.words.len());
                return refuse("fault", expected, index);
            }
            if !own.contains(&index) {
                // float layers hold no words and share their start with the next layer: the last one that begins here
                layer = self.starts.partition_point(|start| *start <= index) - 1;
                let end = self.starts.get(layer + 1).copied();
                own = self.starts[layer]..end.unwrap_or(self.words.len());
            }
            let Some(stored) = &self.stored[layer] else {
                return refuse("fault", "a stored word", "a float layer");
            };
            let place = index - own.start;
            weights.push((layer as u32, place as u32, stored.value(place, word)));
        }
        Ok(weights)
    }

    fn check(&self, images: &Images) -> Result<()> {
        let expected = self.network.input_shape();
        if images.shape() == expected {
            return Ok(());
        }
        let expected = format!("images of {expected:?} for {}", self.network.architecture());
        let found = format!("{:?}", images.shape());
        refuse("images to evaluate", expected, found)
    }
}

/// Words that read otherwise by rising index, where later lists stand over earlier ones.
fn overlaid(lists: &[&[(usize, Word)]]) -> Vec<(usize, Word)> {
    let all: BTreeMap<usize, Word> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    all.into_iter().collect()
}

/// Score of a network with the weights that it has now.
///
/// # Errors
/// [`crate::error::Error::Argument`] where the images are not of the network's shape, or a tensor failure.
pub fn score(network: &Network, images: &Images) -> Result<Score> {
    let stored = network.stored()?;
    match Engine::new(network, &stored, Isa::current(), Arithmetic::current())? {
        Some(engine) => Ok(engine.tally(&[], None, images, &NEVER)?.score()),
        None => plain::score(network, &network.effective_weights()?, images),
    }
}
