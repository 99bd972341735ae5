//! Random flips, to hold against an attack of as many.

use super::memory::Place;
use super::row::Flip;
use super::search::{number, Target};
use crate::error::{Error, Result};
use crate::seed::Stream;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};

/// Flips that are computed together: the first of them costs a whole evaluation, the others what follows their layers.
const TOGETHER: usize = 32;

/// Flips `count` different stored bits, drawn at random one after the other, each a step of its own; the sink gets
/// them one by one, a few dozen at a time. Every bit of the memory is equally likely; where there are fewer bits, all are flipped.
///
/// # Errors
/// As [`super::bit_search`].
pub fn random_flips(
    target: &Target,
    count: u64,
    stream: &mut Stream,
    cancel: &AtomicBool,
    sink: &mut dyn FnMut(&Flip) -> Result<()>,
) -> Result<()> {
    let (mut memory, clean) = target.clean()?;
    let mut loss = Some(clean);
    let mut flips = 0;
    for places in draw(target, count, stream).chunks(TOGETHER) {
        if cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let [losses, accuracies] = memory.score_in_turn(places, [target.batch, target.test])?;
        for ((place, after), tested) in places.iter().zip(losses).zip(accuracies) {
            let mut told = memory.flip_and_tell(std::slice::from_ref(place));
            let after = Some(after.loss).filter(|loss| loss.is_finite());
            number(
                &mut told,
                flips + 1,
                flips,
                (loss, after),
                tested.accuracy(),
            );
            told.iter().try_for_each(&mut *sink)?;
            (loss, flips) = (after, flips + 1);
        }
    }
    Ok(())
}

/// `count` different bits in the order in which they were drawn.
fn draw(target: &Target, count: u64, stream: &mut Stream) -> Vec<Place> {
    let layers: Vec<(usize, u64, u64)> = target
        .evaluator
        .stored()
        .iter()
        .enumerate()
        .filter_map(|(layer, stored)| Some((layer, stored.as_ref()?)))
        .map(|(layer, stored)| {
            (
                layer,
                stored.words.len() as u64,
                u64::from(stored.format.bits()),
            )
        })
        .collect();
    let all: u64 = layers.iter().map(|(_, words, bits)| words * bits).sum();
    let (mut seen, mut places) = (BTreeSet::new(), Vec::new());
    while (places.len() as u64) < count.min(all) {
        let mut at = stream.below(all);
        if !seen.insert(at) {
            continue;
        }
        for &(layer, words, bits) in &layers {
            if at < words * bits {
                places.push(Place {
                    layer,
                    weight: (at / bits) as usize,
                    bit: (at % bits) as u32,
                });
                break;
            }
            at -= words * bits;
        }
    }
    places
}
