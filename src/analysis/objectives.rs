//! Accuracy, energy and time of an inference together: which design points no other one beats in all three. Energy and time
//! are exact at a voltage; accuracy is that of the same chips, so each point is unbeaten on a share of them.

use super::chips::ChipTable;
use super::row::Summary;
use crate::error::Result;
use crate::sweep::TrialRow;

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
/// they share no chip. Accuracies of chips are those of every comparison, so estimates under two-level sampling.
///
/// # Errors
/// As [`summarize`](super::summarize) for trials that do not go with the summaries.
pub fn objectives(summaries: &[Summary], trials: &[TrialRow]) -> Result<Vec<Objectives>> {
    let mut table = ChipTable::new(trials)?;
    let mut known: Vec<(usize, f64, f64, Vec<f64>)> = Vec::new();
    for (place, Summary { design, .. }) in summaries.iter().enumerate() {
        if let (Some(energy), Some(seconds)) = (design.energy_pj, design.inference_seconds) {
            let chips = table.take(&design.design_id)?;
            let accuracies = chips.accuracies(design.clean_accuracy.get());
            known.push((place, energy, seconds, accuracies));
        }
    }
    let chips = known.iter().map(|(.., own)| own.len()).min().unwrap_or(0);
    let beaten_on = |place: usize, chip: usize| {
        let (_, energy, seconds, own) = &known[place];
        let accuracy = own[chip];
        known.iter().any(|(_, other_energy, other_seconds, other)| {
            let other = other[chip];
            let as_good = other_energy <= energy && *other_seconds <= *seconds && other >= accuracy;
            as_good && (other_energy < energy || *other_seconds < *seconds || other > accuracy)
        })
    };
    let of = |place: usize| {
        let unbeaten = (0..chips).filter(|chip| !beaten_on(place, *chip)).count();
        let (place, energy_pj, seconds, _) = known[place];
        Objectives {
            place,
            energy_pj,
            seconds,
            unbeaten: unbeaten as f64 / chips as f64,
        }
    };
    let shown = if chips > 0 { known.len() } else { 0 };
    Ok((0..shown).map(of).collect())
}

#[cfg(test)]
mod tests {
    use super::super::tests::trials;
    use super::*;
    use crate::sweep::{CleanAnswers, Design};

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
            .unwrap()
            .iter()
            .map(|own| own.unbeaten)
            .collect();
        // chip 2 was not tried on all
        assert_eq!(found, [1.0, 1.0, 0.5]);
        let untimed = [Summary {
            design: Design::default(),
            ..points[0].clone()
        }];
        assert!(objectives(&untimed, &trials).unwrap().is_empty());
    }

    #[test]
    fn images_of_their_own_tell_what_faults_change() {
        let points = [point("cheap", 1.0, 1.0), point("dear", 2.0, 2.0)];
        let seen = |place: usize, clean: u64, correct: u64| {
            let mut trials = trials(&points[place].design, 100, &[correct, correct]);
            for trial in &mut trials {
                let changed = clean - correct;
                trial.clean = Some(CleanAnswers {
                    correct: clean,
                    changed,
                });
            }
            trials
        };
        // the dear point answered more of its images, which were easier
        let trials = [seen(0, 80, 75), seen(1, 99, 90)].concat();
        let found = objectives(&points, &trials).unwrap();
        assert_eq!([found[0].unbeaten, found[1].unbeaten], [1.0, 0.0]);
    }
}
