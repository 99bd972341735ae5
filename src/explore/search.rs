//! An exploration from sensitivities over searches to verified points and the answer; resumed by its own rows.

use super::greedy::Losses;
use super::local::{Found, Search};
use super::oracle::{Oracle, Reference};
use super::row::{
    Answer, Estimate, Evaluation, ExplorePoint, PointKind, PointStatus, SensitivityRow,
};
use super::space::{all_supplied, Levels, Space, Supplied};
use super::spec::ExploreSpec;
use crate::error::{Error, Result};
use crate::stats::{self, ImageSample};
use std::collections::BTreeMap;

/// A domain that alone loses more than so often the limit is not measured at lower voltages: no assignment has it there.
const HOPELESS: f64 = 2.0;
/// The limit is tightened by at least so much of it after a verification that failed.
const LEAST_TIGHTENING: f64 = 0.1;

/// What an exploration came to. Losses of [`SensitivityRow`]s and those called estimated are estimates; points are
/// verified, or say that they failed.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Losses with faults in one domain only.
    pub sensitivities: Vec<SensitivityRow>,
    /// Every point that was proposed and put to the test, in that order.
    pub points: Vec<ExplorePoint>,
    /// The comparison with the best single voltage.
    pub answer: Answer,
}

/// Takes each finished evaluation of the search.
pub type Sink<'a> = dyn FnMut(&Evaluation) -> Result<()> + 'a;

/// Finds voltages for the domains of a space that cost least at a mean loss of at most [`ExploreSpec::max_loss`].
///
/// Losses of single domains are measured from the highest voltage down; the greedy on their sum proposes, a local search
/// with all faults together on the search chips improves, and every proposal is verified on other chips. One that fails
/// is reported as failed, and the search goes on with a tighter limit, as often as the options say. The best single voltage
/// goes through the same, and is the lowest that the verification itself lets pass. `done` are evaluations of an earlier
/// call: they are not made again, and the result is the same.
///
/// # Errors
/// [`Error::Argument`] for options or a space that [`ExploreSpec::check`] or [`Space::check`] refuses; what the oracle or
/// the sink returns.
pub fn explore(
    space: &Space,
    spec: &ExploreSpec,
    oracle: &mut dyn Oracle,
    done: &[Evaluation],
    sink: &mut Sink,
) -> Result<Outcome> {
    spec.check()?;
    space.check()?;
    let images = oracle.search_images();
    let done = done
        .iter()
        .filter(|row| {
            row.images == images.images && row.correct.len() == spec.search_chips as usize
        })
        .filter_map(|row| Some((space.supplied(&row.domain_voltages)?, row.correct.clone())))
        .collect();
    let mut explorer = Explorer {
        space,
        spec,
        oracle,
        sink,
        done,
        known: BTreeMap::new(),
        verified: BTreeMap::new(),
        points: Vec::new(),
    };
    let measured = explorer.measure()?;
    let losses = Losses::of_measured(&explorer.means(&measured));
    let single = explorer.single(&losses)?;
    let proposal = explorer.proposal(&losses)?;
    let answer = explorer.answer(single, proposal)?;
    let points = explorer.points;
    let sensitivities = measured.into_iter().flatten().flatten().collect();
    Ok(Outcome {
        sensitivities,
        points,
        answer,
    })
}

/// An exploration under way.
struct Explorer<'a, 'b> {
    space: &'a Space,
    spec: &'a ExploreSpec,
    oracle: &'a mut dyn Oracle,
    sink: &'a mut Sink<'b>,
    /// Right answers on each search chip, of an earlier call: taken in place of an evaluation, when it is due.
    done: BTreeMap<Supplied, Vec<u64>>,
    /// Right answers on each search chip.
    known: BTreeMap<Supplied, Vec<u64>>,
    /// Right answers on each verification chip.
    verified: BTreeMap<Levels, Vec<u64>>,
    points: Vec<ExplorePoint>,
}

/// Sensitivities by domain (outer) and level (inner).
type Measured = Vec<Vec<Option<SensitivityRow>>>;

impl Explorer<'_, '_> {
    /// Losses on each search chip of each of these; what is known is not evaluated again.
    fn search_losses(&mut self, supplied: &[Supplied]) -> Result<Vec<Vec<f64>>> {
        let reference = self.oracle.search_images();
        let mut new: Vec<&Supplied> = supplied
            .iter()
            .filter(|s| !self.known.contains_key(*s))
            .collect();
        // taken over only when it is due: a search starts from all that is known, and must know no more than the first time
        new.retain(|supplied| match self.done.remove_entry(*supplied) {
            Some((supplied, correct)) => self.known.insert(supplied, correct).is_some(),
            None => true,
        });
        let new: Vec<Supplied> = new.into_iter().cloned().collect();
        for (supplied, correct) in new.iter().zip(self.oracle.search(&new)?) {
            (self.sink)(&Evaluation {
                domain_voltages: self.space.named(supplied),
                images: reference.images,
                correct: correct.clone(),
            })?;
            self.known.insert(supplied.clone(), correct);
        }
        let losses = |supplied: &Supplied| {
            let missing = || Error::argument("evaluation of a search", "an answer", "none");
            Ok(losses(
                reference,
                self.known.get(supplied).ok_or_else(missing)?,
            ))
        };
        supplied.iter().map(losses).collect()
    }

    /// Losses with faults in one domain only, from the highest voltage down, as far as they are of use.
    fn measure(&mut self) -> Result<Measured> {
        let count = self.space.domains.len();
        let mut rows: Measured = vec![vec![None; self.space.voltages.len()]; count];
        let mut active: Vec<usize> = (0..count).collect();
        for level in (0..self.space.voltages.len()).rev() {
            let alone = |domain: &usize| {
                (0..count)
                    .map(|d| (d == *domain).then_some(level))
                    .collect()
            };
            let supplied: Vec<Supplied> = active.iter().map(alone).collect();
            let losses = self.search_losses(&supplied)?;
            for (domain, losses) in active.iter().zip(losses) {
                let loss = self.estimate(&losses, self.oracle.search_images())?;
                rows[*domain][level] = Some(SensitivityRow {
                    domain: self.space.domains[*domain].clone(),
                    voltage: self.space.voltages[level],
                    loss,
                });
            }
            let most = HOPELESS * self.spec.max_loss;
            active.retain(|domain| {
                rows[*domain][level]
                    .as_ref()
                    .is_some_and(|row| row.loss.mean <= most)
            });
        }
        Ok(rows)
    }

    fn means(&self, measured: &Measured) -> Vec<Vec<Option<f64>>> {
        let mean = |row: &Option<SensitivityRow>| row.as_ref().map(|row| row.loss.mean);
        measured
            .iter()
            .map(|of_domain| of_domain.iter().map(mean).collect())
            .collect()
    }

    /// Mean of losses with its interval. Where the images are a subset of the test set, their choice counts with the
    /// variances of both accuracies that a loss is the difference of: a bound, as right answers with and without faults
    /// go together.
    fn estimate(&self, losses: &[f64], reference: Reference) -> Result<Estimate> {
        let clean = accuracy(reference, reference.correct);
        let mean = stats::mean(losses).unwrap_or(0.0);
        let sample = ImageSample {
            used: reference.images,
            all: reference.all,
        };
        let images = sample.variance(clean) + sample.variance((clean - mean).clamp(0.0, 1.0));
        Estimate::of(losses, images)
            .ok_or_else(|| Error::argument("chips of an exploration", "at least one", "0"))
    }

    /// Mean joint loss on the search chips.
    fn joint(&mut self, levels: &Levels) -> Result<f64> {
        let losses = self.search_losses(&[all_supplied(levels)])?;
        Ok(losses
            .first()
            .and_then(|losses| stats::mean(losses))
            .unwrap_or(f64::INFINITY))
    }

    /// The lowest level at which all domains together keep a limit on the search chips, from the highest down.
    fn single_found(&mut self, limit: f64) -> Result<Option<Found>> {
        let mut best = None;
        for level in (0..self.space.voltages.len()).rev() {
            let levels = self.space.single(level);
            let loss = self.joint(&levels)?;
            if loss > limit {
                break;
            }
            best = Some(Found { levels, loss });
        }
        Ok(best)
    }

    /// The best single voltage: from the one that the search chips say, down while the verification lets it pass, else up
    /// until it does.
    fn single(&mut self, losses: &Losses) -> Result<Option<ExplorePoint>> {
        let top = self.space.voltages.len() - 1;
        let found = self.single_found(self.spec.max_loss)?;
        let mut level = found.map_or(top, |found| found.levels[0]);
        let mut best = self.verified_single(level, losses)?;
        if best.is_some() {
            while level > 0 {
                level -= 1;
                let Some(lower) = self.verified_single(level, losses)? else {
                    break;
                };
                best = Some(lower);
            }
        }
        while best.is_none() && level < top {
            level += 1;
            best = self.verified_single(level, losses)?;
        }
        Ok(best)
    }

    /// The point of a single voltage, where the verification lets it pass.
    fn verified_single(&mut self, level: usize, losses: &Losses) -> Result<Option<ExplorePoint>> {
        let levels = self.space.single(level);
        let point = self.verify(&levels, losses, PointKind::Single, 1)?;
        Ok(Some(point).filter(|point| point.status == PointStatus::Verified))
    }

    /// Searches and verifies with tighter and tighter limits; the first point that passes, else the last that failed.
    fn proposal(&mut self, losses: &Losses) -> Result<Option<ExplorePoint>> {
        let (mut limit, mut last) = (self.spec.max_loss, None);
        for attempt in 1..=self.spec.attempts {
            let start = self.single_found(limit)?;
            let found = self.search(losses, limit, start)?;
            let Some(found) = found.filter(|found| self.space.rails(&found.levels) > 1) else {
                break;
            };
            let point = self.verify(&found.levels, losses, PointKind::Domains, attempt)?;
            let high = point.verified_loss.high;
            let excess = high.unwrap_or(point.verified_loss.mean) - self.spec.max_loss;
            let passed = point.status == PointStatus::Verified;
            last = Some(point);
            // tight enough that this proposal does not come again
            limit -= excess.max(LEAST_TIGHTENING * self.spec.max_loss);
            limit = limit.min(found.loss * (1.0 - LEAST_TIGHTENING));
            if passed || limit <= 0.0 {
                break;
            }
        }
        Ok(last)
    }

    fn search(
        &mut self,
        losses: &Losses,
        limit: f64,
        start: Option<Found>,
    ) -> Result<Option<Found>> {
        let whole = |supplied: &Supplied| supplied.iter().copied().collect::<Option<Levels>>();
        let reference = self.oracle.search_images();
        let of_known = |(supplied, correct): (&Supplied, &Vec<u64>)| {
            Some((
                whole(supplied)?,
                stats::mean(&self::losses(reference, correct))?,
            ))
        };
        let known = self.known.iter().filter_map(of_known).collect();
        let (space, left) = (self.space, self.spec.evaluations);
        let mut joint = |levels: &Levels| self.joint(levels);
        Search {
            space,
            losses,
            limit,
            left,
            joint: &mut joint,
            known,
        }
        .run(start)
    }

    /// Evaluates a proposal on the verification chips and keeps it as a point.
    fn verify(
        &mut self,
        levels: &Levels,
        losses: &Losses,
        kind: PointKind,
        attempt: u32,
    ) -> Result<ExplorePoint> {
        let correct = match self.verified.get(levels) {
            Some(correct) => correct.clone(),
            None => self.oracle.verify(levels)?,
        };
        self.verified.insert(levels.clone(), correct.clone());
        let reference = self.oracle.verification_images();
        let mut verified_loss = self.estimate(&self::losses(reference, &correct), reference)?;
        if self.space.is_error_free(levels) {
            // known, whatever subset of images was taken
            (verified_loss.low, verified_loss.high) = (Some(0.0), Some(0.0));
        }
        let known = self.known.get(&all_supplied(levels));
        let search = self.oracle.search_images();
        let point = ExplorePoint {
            max_loss: self.spec.max_loss,
            kind,
            attempt,
            status: PointStatus::of(&verified_loss, self.spec.max_loss),
            domain_voltages: self.space.named(&all_supplied(levels)),
            rails: self.space.rails(levels) as u32,
            energy_relative: self.space.memory_energy(levels),
            rail_energy_relative: self.space.rails_energy(levels),
            cost_relative: self.space.cost(levels),
            estimated_loss: losses.sum(levels),
            search_loss: known.and_then(|correct| stats::mean(&self::losses(search, correct))),
            search_chips: self.spec.search_chips,
            verified_loss,
        };
        self.points.push(point.clone());
        Ok(point)
    }

    /// Compares the proposal with the single voltage on the same verification chips.
    fn answer(
        &self,
        single: Option<ExplorePoint>,
        proposal: Option<ExplorePoint>,
    ) -> Result<Answer> {
        let both = single.as_ref().zip(proposal.as_ref());
        let saving = both.map(|(single, own)| 1.0 - own.cost_relative / single.cost_relative);
        let verified = proposal
            .as_ref()
            .is_some_and(|point| point.status == PointStatus::Verified);
        let accuracy_difference = match both {
            Some((single, own)) => self.difference(single, own)?,
            None => None,
        };
        Ok(Answer {
            max_loss: self.spec.max_loss,
            domains: self.space.domains.len() as u32,
            domain_cost: self.space.rail_energy,
            saves: verified && saving.is_some_and(|saving| saving > 0.0),
            single,
            proposal,
            saving,
            accuracy_difference,
        })
    }

    /// Accuracy of the proposal less that of the single voltage, chip by chip.
    fn difference(&self, single: &ExplorePoint, own: &ExplorePoint) -> Result<Option<Estimate>> {
        let reference = self.oracle.verification_images();
        let of = |point: &ExplorePoint| {
            let supplied = self.space.supplied(&point.domain_voltages)?;
            self.verified
                .get(&supplied.into_iter().collect::<Option<Levels>>()?)
        };
        let Some((single, own)) = of(single).zip(of(own)) else {
            return Ok(None);
        };
        let pairs = own.iter().zip(single);
        let differences: Vec<f64> = pairs
            .map(|(own, single)| accuracy(reference, *own) - accuracy(reference, *single))
            .collect();
        let sample = ImageSample {
            used: reference.images,
            all: reference.all,
        };
        let variance = |correct: &[u64]| {
            let all: Vec<f64> = correct
                .iter()
                .map(|correct| accuracy(reference, *correct))
                .collect();
            sample.variance(stats::mean(&all).unwrap_or(0.5))
        };
        Ok(Estimate::of(&differences, variance(own) + variance(single)))
    }
}

fn accuracy(reference: Reference, correct: u64) -> f64 {
    correct as f64 / reference.images.max(1) as f64
}

/// Loss of accuracy on each chip.
fn losses(reference: Reference, correct: &[u64]) -> Vec<f64> {
    let clean = accuracy(reference, reference.correct);
    correct
        .iter()
        .map(|correct| clean - accuracy(reference, *correct))
        .collect()
}
