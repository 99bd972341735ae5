//! The memory under attack: words as they were stored, the flips made so far, and what the two give.

use super::row::Flip;
use crate::code::{flip, Word};
use crate::engine::{Evaluator, Images, Score};
use crate::error::Result;
use crate::quant::StoredWeight;
use std::collections::BTreeMap;

/// Place of a stored bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// Layer in memory order.
    pub(super) layer: usize,
    /// Row-major index of the weight.
    pub(super) weight: usize,
    /// Bit; 0 is the least significant.
    pub(super) bit: u32,
}

/// A memory with some bits flipped.
#[derive(Clone, Debug)]
pub(super) struct Memory<'a> {
    evaluator: &'a Evaluator,
    /// Words that differ from the stored ones, by their index in the whole memory.
    changed: BTreeMap<usize, Word>,
}

impl<'a> Memory<'a> {
    pub(super) fn new(evaluator: &'a Evaluator) -> Self {
        Self {
            evaluator,
            changed: BTreeMap::new(),
        }
    }

    /// What was stored of a layer before any flip; `None` for a float layer.
    pub(super) fn stored(&self, layer: usize) -> Option<&'a StoredWeight> {
        self.evaluator.stored()[layer].as_ref()
    }

    /// Words of a layer as they are now; none of a float layer.
    pub(super) fn words(&self, layer: usize) -> Vec<Word> {
        let mut words = self
            .stored(layer)
            .map_or_else(Vec::new, |stored| stored.words.clone());
        let start = self.evaluator.starts()[layer];
        for (index, word) in self.changed.range(start..start + words.len()) {
            words[index - start] = *word;
        }
        words
    }

    fn word(&self, index: usize) -> Word {
        self.changed
            .get(&index)
            .copied()
            .unwrap_or_else(|| self.evaluator.words()[index])
    }

    /// Flips bits; a word that is as it was stored counts as unchanged.
    pub(super) fn flip(&mut self, places: &[Place]) {
        for place in places {
            let index = self.evaluator.starts()[place.layer] + place.weight;
            let word = flip(self.word(index), place.bit);
            if word == self.evaluator.words()[index] {
                self.changed.remove(&index)
            } else {
                self.changed.insert(index, word)
            };
        }
    }

    /// Flips bits and says which, with the codes before and after each of them. Numbers and losses are the caller's.
    pub(super) fn flip_and_tell(&mut self, places: &[Place]) -> Vec<Flip> {
        let tell = |place: &Place| {
            let index = self.evaluator.starts()[place.layer] + place.weight;
            let stored = self.stored(place.layer);
            let code = |word| stored.map_or(0, |stored| stored.format.decode(word));
            let old_code = code(self.word(index));
            self.flip(std::slice::from_ref(place));
            Flip {
                step: 0,
                flip: 0,
                layer: self.evaluator.network().layers()[place.layer]
                    .name()
                    .to_owned(),
                weight: place.weight as u64,
                bit: place.bit,
                old_code,
                new_code: code(self.word(index)),
                loss_before: None,
                loss_after: None,
                accuracy: None,
            }
        };
        places.iter().map(tell).collect()
    }

    /// Stored bits that differ.
    pub(super) fn hamming(&self) -> u64 {
        let differ =
            |(index, word): (&usize, &Word)| (word ^ self.evaluator.words()[*index]).count_ones();
        self.changed
            .iter()
            .map(|entry| u64::from(differ(entry)))
            .sum()
    }

    /// Words that further flips change, and what they read then.
    fn changes(&self, places: &[Place]) -> Vec<(usize, Word)> {
        let mut words: BTreeMap<usize, Word> = BTreeMap::new();
        for place in places {
            let index = self.evaluator.starts()[place.layer] + place.weight;
            let word = words.entry(index).or_insert_with(|| self.word(index));
            *word = flip(*word, place.bit);
        }
        words.into_iter().collect()
    }

    /// Score with each of some sets of further flips, on all threads.
    pub(super) fn score_each(&self, sets: &[&[Place]], images: &Images) -> Result<Vec<Score>> {
        let sets: Vec<Vec<(usize, Word)>> =
            sets.iter().map(|places| self.changes(places)).collect();
        Ok(self
            .evaluator
            .faulty_each_over(&self.faults(), &sets, images)?
            .scores)
    }

    /// Score after each of some further flips, one made after the other, on each of some sets of images, on all
    /// threads.
    pub(super) fn score_in_turn<const N: usize>(
        &self,
        places: &[Place],
        images: [&Images; N],
    ) -> Result<[Vec<Score>; N]> {
        let mut memory = self.clone();
        let mut changes: Vec<Vec<(usize, Word)>> = Vec::with_capacity(places.len());
        for place in places {
            changes.push(memory.changes(std::slice::from_ref(place)));
            memory.flip(std::slice::from_ref(place));
        }
        // those made so far come with the first, which stands over them
        if let Some(first) = changes.first_mut() {
            *first = self.faults().into_iter().chain(first.drain(..)).collect();
        }
        let mut scores = [const { Vec::new() }; N];
        for (scores, images) in scores.iter_mut().zip(images) {
            *scores = self.evaluator.faulty_in_turn(&changes, images)?;
        }
        Ok(scores)
    }

    /// Score.
    pub(super) fn score(&self, images: &Images) -> Result<Score> {
        self.evaluator.faulty(&self.faults(), images)
    }

    fn faults(&self) -> Vec<(usize, Word)> {
        self.changed
            .iter()
            .map(|(index, word)| (*index, *word))
            .collect()
    }
}
