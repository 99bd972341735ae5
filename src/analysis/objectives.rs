//! Accuracy, energy and time of an inference together: which design points no other one beats in all three. Energy and time
//! are exact at a voltage; accuracy is that of the same chips, so each point is unbeaten on a share of them.

use super::{Outcome, Summary};
use crate::sweep::Strata;
use crate::units::ChipId;
use std::collections::BTreeMap;

/// A design point by three objectives.
#[derive(Clone, Debug, PartialEq)]
pub struct Objectives {
    /// The design point, by its place among those that were given.
    pub place: usize,
    /// Energy of an inference in picojoules.
    pub energy_pj: f64,
    /// Time of an inference in seconds.
    pub seconds: f64,
    /// Share of the chips on which no other point is at least as good in all three and better in one.
    pub unbeaten: f64,
}

/// The design points that have an energy in picojoules and a time, by the chips that all of them were tried on; none where
/// they share no chip.
pub fn objectives<T: Outcome>(summaries: &[Summary], trials: &[T]) -> Vec<Objectives> {
    let mut accuracies: BTreeMap<&str, BTreeMap<ChipId, f64>> = BTreeMap::new();
    for trial in trials {
        let plain = trial.correct() as f64 / trial.images().max(1) as f64;
        let accuracy = trial.strata().map_or(plain, Strata::accuracy);
        let own = accuracies.entry(trial.design_id()).or_default();
        own.insert(trial.chip(), accuracy);
    }
    let known = summaries.iter().enumerate().filter_map(|(place, point)| {
        let design = &point.design;
        let own = accuracies.get(design.design_id.as_str())?;
        Some((place, design.energy_pj?, design.inference_seconds?, own))
    });
    let known: Vec<_> = known.collect();
    let Some((.., first)) = known.first() else {
        return Vec::new();
    };
    let shared = |chip: &&ChipId| known.iter().all(|(.., own)| own.contains_key(chip));
    let chips: Vec<ChipId> = first.keys().filter(shared).copied().collect();
    if chips.is_empty() {
        return Vec::new();
    }
    let beaten_on = |place: usize, chip: ChipId| {
        let (_, energy, seconds, own) = &known[place];
        let accuracy = own[&chip];
        known.iter().any(|(_, other_energy, other_seconds, other)| {
            let other = other[&chip];
            let as_good = other_energy <= energy && *other_seconds <= *seconds && other >= accuracy;
            as_good && (other_energy < energy || *other_seconds < *seconds || other > accuracy)
        })
    };
    let of = |place: usize| {
        let unbeaten = chips
            .iter()
            .filter(|chip| !beaten_on(place, **chip))
            .count();
        let (place, energy_pj, seconds, _) = known[place];
        Objectives {
            place,
            energy_pj,
            seconds,
            unbeaten: unbeaten as f64 / chips.len() as f64,
        }
    };
    (0..known.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tests::trials;
    use super::*;
    use crate::sweep::Design;

    fn point(name: &str, energy_pj: f64, seconds: f64) -> Summary {
        let design = Design {
            design_id: name.into(),
            energy_pj: Some(energy_pj),
            inference_seconds: Some(seconds),
            ..Design::default()
        };
        Summary {
            design,
            ..Summary::default()
        }
    }

    #[test]
    fn a_point_is_unbeaten_on_the_chips_on_which_no_other_is_better_in_all() {
        // cheap is slower; middle costs more and is faster; worse costs more than middle and is as fast
        let points = [
            point("cheap", 1.0, 3.0),
            point("middle", 2.0, 2.0),
            point("worse", 3.0, 2.0),
        ];
        let of = |place: usize, correct: &[u64]| trials(&points[place].design, 100, correct);
        let trials = [of(0, &[50, 50, 99]), of(1, &[90, 90]), of(2, &[95, 90])].concat();
        let found: Vec<f64> = objectives(&points, &trials)
            .iter()
            .map(|own| own.unbeaten)
            .collect();
        // chip 2 was not tried on all
        assert_eq!(found, [1.0, 1.0, 0.5]);
        let untimed = [Summary {
            design: Design::default(),
            ..points[0].clone()
        }];
        assert!(objectives(&untimed, &trials).is_empty());
    }
}
