//! The progressive bit search (Rakin, He, Fan: Bit-Flip Attack, ICCV 2019): step by step the flips, all of one layer,
//! that raise the loss of a batch most.

use super::candidates::ranked;
use super::gradient::{gradients, Batch};
use super::memory::{Memory, Place};
use super::row::{Flip, Outcome, Stop};
use super::spec::AttackSpec;
use crate::engine::{Evaluator, Images};
use crate::error::{refuse, Error, Result};
use crate::net::Route;
use crate::quant::StoredWeight;
use rayon::prelude::*;
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is attacked, and on which images.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The network with its stored words.
    pub evaluator: &'a Evaluator,
    /// Images whose loss the attack raises.
    pub batch: &'a Images,
    /// Images that the accuracy is measured on.
    pub test: &'a Images,
}

impl Target<'_> {
    /// The memory without flips, and its loss on the batch in nats.
    ///
    /// # Errors
    /// [`Error::Argument`] for images not of the network's shape, for float weights, and for a loss that is not
    /// finite; a tensor failure.
    pub(super) fn clean(&self) -> Result<(Memory<'_>, f64)> {
        if self.evaluator.words().is_empty() {
            return refuse("network to attack", "stored codes", "float weights");
        }
        let memory = Memory::new(self.evaluator);
        let loss = memory.score(self.batch)?.loss;
        if !loss.is_finite() {
            return refuse("network to attack", "a finite loss", loss.to_string());
        }
        Ok((memory, loss))
    }
}

/// What a try at one step gave.
enum Try {
    /// The best layer's flips and the loss after them.
    Found(Vec<Place>, f64),
    /// Nothing raises the loss.
    None(Stop),
}

/// Flips bits, the most harmful first, until the accuracy on the test images is at most the target or the flips are
/// used up. Each quantised layer offers its `m` best bits ([`AttackSpec::k_top`] weights of greatest |gradient|, times
/// the step where it is a channel's own, a bit only in the direction that raises the loss); each layer's offer is tried, and the one of the largest loss is
/// kept if that exceeds the present loss, else `m`, which starts at 1, grows by 1. Ties go to the lowest index. The
/// sink gets the flips of each step. The same on any number of threads.
///
/// # Errors
/// [`Error::Argument`] for images not of the network's shape, for float weights and for a clean loss or clean logits that
/// are not finite; [`Error::Interrupted`] after `cancel`; what the sink returns; a tensor failure.
pub fn bit_search(
    target: &Target,
    spec: &AttackSpec,
    cancel: &AtomicBool,
    sink: &mut dyn FnMut(&[Flip]) -> Result<()>,
) -> Result<Outcome> {
    let evaluator = target.evaluator;
    let (mut memory, clean_loss) = target.clean()?;
    let clean = memory.score(target.test)?;
    if clean.not_finite > 0 {
        let found = format!(
            "NaN or infinity among those of {} of {} images",
            clean.not_finite, clean.images
        );
        let expected = "finite logits without flips";
        return refuse("network to attack", expected, found);
    }
    let clean_accuracy = clean.accuracy();
    let batch = Batch::new(target.batch, evaluator.network().device())?;
    let until = spec.target(target.test.metric().chance(evaluator.network().classes()));
    let (mut loss, mut accuracy, mut flips, mut step) = (clean_loss, clean_accuracy, 0, 0);
    let mut not_finite = 0;
    let stopped_by = loop {
        if accuracy <= until {
            break Stop::Accuracy;
        }
        if flips >= spec.flips {
            break Stop::Flips;
        }
        let offers = offers(evaluator, &memory, &batch, spec.k_top)?;
        let (places, after) =
            match best(target, &memory, &offers, loss, spec.flips - flips, cancel)? {
                Try::Found(places, after) => (places, after),
                Try::None(stop) => break stop,
            };
        let mut told = memory.flip_and_tell(&places);
        let score = memory.score(target.test)?;
        (accuracy, not_finite) = (score.accuracy(), score.not_finite);
        step += 1;
        number(&mut told, step, flips, (Some(loss), Some(after)), accuracy);
        flips += told.len() as u64;
        loss = after;
        sink(&told)?;
    };
    Ok(Outcome {
        clean_loss,
        clean_accuracy,
        flips,
        hamming: memory.hamming(),
        loss,
        accuracy,
        not_finite,
        stopped_by,
    })
}

/// Writes step, numbers, losses and accuracy into the flips of a step.
pub(super) fn number(
    told: &mut [Flip],
    step: u64,
    before: u64,
    losses: (Option<f64>, Option<f64>),
    accuracy: f64,
) {
    for (n, flip) in (before + 1..).zip(told.iter_mut()) {
        (flip.step, flip.flip, flip.loss_before, flip.loss_after) = (step, n, losses.0, losses.1);
    }
    if let Some(last) = told.last_mut() {
        last.accuracy = Some(accuracy);
    }
}

/// What each layer offers, best first.
fn offers(
    evaluator: &Evaluator,
    memory: &Memory,
    batch: &Batch,
    k_top: u32,
) -> Result<Vec<Vec<Place>>> {
    let network = evaluator.network();
    let route = Route::of(network.architecture(), network.device());
    let gradients = gradients(evaluator, memory, batch, route)?;
    let offer = |(layer, gradients): (usize, &Vec<f32>)| match memory.stored(layer) {
        None => Vec::new(),
        Some(stored) => {
            let gradients = comparable(stored, gradients);
            let bits = ranked(
                stored.format,
                &memory.words(layer),
                &gradients,
                k_top as usize,
            );
            bits.into_iter()
                .map(|(weight, bit)| Place { layer, weight, bit })
                .collect()
        }
    };
    Ok(gradients.par_iter().enumerate().map(offer).collect())
}

/// Gradients of a layer's weights that rank as those of its codes do: times the step where output channels have their
/// own.
fn comparable<'a>(stored: &StoredWeight, gradients: &'a [f32]) -> Cow<'a, [f32]> {
    if stored.step().is_some() {
        return Cow::Borrowed(gradients);
    }
    let mut of_codes = Vec::with_capacity(gradients.len());
    for (scale, part) in stored.by_scale(gradients) {
        of_codes.extend(part.iter().map(|gradient| gradient * scale.step));
    }
    Cow::Owned(of_codes)
}

/// The layer whose `m` best bits raise the loss most, with the least `m` at which one does; at most `left` bits.
fn best(
    target: &Target,
    memory: &Memory,
    offers: &[Vec<Place>],
    loss: f64,
    left: u64,
    cancel: &AtomicBool,
) -> Result<Try> {
    let longest = offers.iter().map(Vec::len).max().unwrap_or(0);
    for m in 1..=longest {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        if m as u64 > left {
            return Ok(Try::None(Stop::Flips));
        }
        // a layer that has no more to offer gave what it gives at a smaller m
        let tried: Vec<&[Place]> = offers.iter().filter_map(|offer| offer.get(..m)).collect();
        let mut found: Option<(&[Place], f64)> = None;
        for (places, score) in tried.iter().zip(memory.score_each(&tried, target.batch)?) {
            if score.loss.is_finite() && score.loss > found.map_or(loss, |(_, most)| most) {
                found = Some((places, score.loss));
            }
        }
        if let Some((places, after)) = found {
            return Ok(Try::Found(places.to_vec(), after));
        }
    }
    Ok(Try::None(Stop::Stuck))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quant::{channel_wise, Scale};

    #[test]
    fn gradients_are_compared_in_codes_where_channels_have_their_own_steps() {
        let mut stored = channel_wise(&[2, 2], 4, true);
        (stored.scales[0].step, stored.scales[1].step) = (0.5, 0.25);
        let gradients = [1.0, -2.0, 3.0, 4.0];
        assert_eq!(*comparable(&stored, &gradients), [0.5, -1.0, 0.75, 1.0]);
        stored.scales = vec![Scale::of_step(0.5)];
        assert_eq!(*comparable(&stored, &gradients), gradients);
    }
}
