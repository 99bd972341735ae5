//! The cheapest design point that keeps an accuracy: for the savings of methods, and for protections side by side.

use super::pareto::{groups_of, SAVING_LOSSES};
use super::row::{Saving, Summary};
use crate::fault::Protection;
use crate::stats::ROUNDING;
use crate::units::BerSource;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The cheapest point whose mean reaches a target; of equally cheap ones the most accurate.
pub(super) fn cheapest<'a>(
    points: impl Iterator<Item = &'a Summary>,
    target: f64,
) -> Option<&'a Summary> {
    let reaching = points.filter(|point| point.mean >= target - ROUNDING);
    reaching.min_by(|a, b| a.by_energy(b))
}

/// The cheapest point that reaches a target at an extrapolated rate, where it is cheaper than the one on measured
/// ground.
fn beyond<'a>(
    points: impl Iterator<Item = &'a Summary>,
    target: f64,
    ground: Option<&Summary>,
) -> Option<&'a Summary> {
    let energy = |point: &Summary| point.design.energy_relative;
    let limit = ground.map_or(f64::INFINITY, energy);
    let cheaper = points.filter(|point| {
        point.is_extrapolated() && point.mean >= target - ROUNDING && energy(point) < limit
    });
    cheaper.min_by(|a, b| energy(a).total_cmp(&energy(b)))
}

impl Summary {
    /// Cheaper points first; of equally cheap ones the most accurate.
    pub fn by_energy(&self, other: &Self) -> Ordering {
        let (own, others) = (self.design.energy_relative, other.design.energy_relative);
        own.total_cmp(&others)
            .then(other.mean.total_cmp(&self.mean))
    }

    /// True where the bit error rate was not measured but extrapolated.
    pub fn is_extrapolated(&self) -> bool {
        self.design
            .sources()
            .any(|source| source == BerSource::Extrapolated)
    }
}

impl Saving {
    /// The point that the saving may rest on: the cheapest one, unless its rate is extrapolated.
    pub fn ground(&self) -> Option<&Summary> {
        self.cheapest.as_ref().filter(|s| !s.is_extrapolated())
    }

    /// The point of the same method that is cheaper than [`ground`](Self::ground), on extrapolated ground only.
    pub fn beyond<'a>(&'a self, summaries: &'a [Summary]) -> Option<&'a Summary> {
        let named = summaries.iter().zip(groups_of(summaries));
        let own = named
            .filter(|(_, name)| *name == self.method)
            .map(|(point, _)| point);
        beyond(own.chain(&self.cheapest), self.target, self.ground())
    }
}

/// The least energy of a model under one protection at an accuracy loss.
#[derive(Clone, Debug, PartialEq)]
pub struct ProtectedLoss<'a> {
    /// The model, with memory and array where there are several.
    pub name: String,
    /// The protection.
    pub protection: Protection,
    /// Accuracy that may be lost, as a fraction.
    pub loss: f64,
    /// Mean accuracy that must be reached: the model's own clean accuracy less the loss.
    pub target: f64,
    /// The cheapest point that reaches it on measured ground.
    pub cheapest: Option<&'a Summary>,
    /// A cheaper one on extrapolated ground only.
    pub beyond: Option<&'a Summary>,
}

/// Models of which several protections were swept at one voltage for the whole memory: by model, loss and protection,
/// `none` first.
pub fn protections(summaries: &[Summary]) -> Vec<ProtectedLoss<'_>> {
    let memories = differ(summaries, |s| &s.design.memory);
    let arrays = differ(summaries, |s| s.design.array.as_str());
    let mut models = BTreeMap::<_, Vec<&Summary>>::new();
    for point in summaries.iter().filter(|s| s.design.voltage.is_some()) {
        let d = &point.design;
        let memory = (&d.memory, &d.fault_kind, &d.array);
        let key = (&d.model, memory, d.activations.as_ref());
        models.entry(key).or_default().push(point);
    }
    let mut rows = Vec::new();
    for ((model, (memory, _, array), activations), points) in models {
        let mut name = model.clone();
        for (part, several) in [(memory.as_str(), memories), (array.as_str(), arrays)] {
            if several {
                name += &format!(", {part}");
            }
        }
        if let Some(own) = activations {
            name += &format!(", {}", own.in_words());
        }
        let mut protections: Vec<Protection> =
            points.iter().map(|point| point.design.protection).collect();
        protections.sort_by_key(|protection| (*protection != Protection::None, *protection));
        protections.dedup();
        if protections.len() < 2 {
            continue;
        }
        let clean = points.iter().map(|s| s.design.clean_accuracy.get());
        let clean = clean.fold(0.0, f64::max);
        for loss in SAVING_LOSSES {
            let target = (clean - loss).max(0.0);
            for &protection in &protections {
                let own = points.iter().copied();
                let own = own.filter(|point| point.design.protection == protection);
                let measured = own.clone().filter(|point| !point.is_extrapolated());
                let cheapest = cheapest(measured, target);
                rows.push(ProtectedLoss {
                    name: name.clone(),
                    protection,
                    loss,
                    target,
                    cheapest,
                    beyond: beyond(own, target, cheapest),
                });
            }
        }
    }
    rows
}

/// True where not all design points have the same.
fn differ(summaries: &[Summary], of: fn(&Summary) -> &str) -> bool {
    summaries
        .windows(2)
        .any(|pair| of(&pair[0]) != of(&pair[1]))
}
