//! The oracle of a real exploration: a network in a simulated memory whose domains have voltages of their own.

use super::domains::Part;
use super::oracle::{Oracle, Reference};
use super::space::{all_supplied, rails_of, Levels, Space, Supplied};
use super::spec::ExploreSpec;
use crate::code::Word;
use crate::error::{refuse, Error, Result};
use crate::fault::Protection;
use crate::memory::{Faults, OperatingPoint};
use crate::seed::{Purpose, Seed};
use crate::sweep::{
    Comparison, Design, DesignPoint, DomainVoltage, EnergyRow, Supply, SweptModel, Trial,
};
use crate::units::{Ber, ChipId};
use std::sync::atomic::{AtomicBool, Ordering};

/// Fault sets that are held at a time.
const SETS_AT_ONCE: usize = 64;

/// Takes each finished trial of a verification with its design point.
pub type TrialSink<'a> = dyn FnMut(&Design, &Trial) -> Result<()> + Send + 'a;

/// A network in a memory, its domains, its chips.
pub struct Simulation<'a> {
    /// The network with all images of the verification, and its chips: 0, 1, ... of the root seed, as in a sweep. Design
    /// points are put in where they are looked at. Faults lie in one array.
    pub verification: Comparison<'a>,
    /// The same network with the images of the search: all, or a random subset.
    pub search_model: &'a SweptModel<'a>,
    /// Stored activations, where they are a domain.
    pub activations: Option<ActivationDomain<'a>>,
    /// The domains.
    pub parts: &'a [Part],
    /// The grid, rising in voltage.
    pub grid: &'a [OperatingPoint],
    /// Chips of the search, which are those of a seed drawn from the root seed.
    pub search_chips: u32,
    /// Once raised, the next call returns [`Error::Interrupted`].
    pub cancel: &'a AtomicBool,
    /// Takes each finished trial of a verification.
    pub sink: &'a mut TrialSink<'a>,
    /// Trials of an earlier call: they are not computed again.
    pub done: Vec<Trial>,
    /// Verified design points so far.
    pub verified: Vec<Verified>,
}

/// Stored activations as a domain.
#[derive(Clone, Copy, Debug)]
pub struct ActivationDomain<'a> {
    /// Their memory at the voltages of the grid.
    pub grid: &'a [OperatingPoint],
    /// It at its error-free voltage.
    pub error_free: OperatingPoint,
}

/// A verified design point; rails are not in its energy.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Voltages of the domains.
    pub domain_voltages: Vec<DomainVoltage>,
    /// The design point.
    pub design: Design,
    /// Its trials.
    pub trials: Vec<Trial>,
    /// Terms of its energy.
    pub energies: Vec<EnergyRow>,
}

impl Simulation<'_> {
    /// The space of these domains: energies as a sweep gives them.
    ///
    /// # Errors
    /// [`Error::Argument`] for more than one array, a float model, or what a sweep refuses.
    pub fn space(&self, spec: &ExploreSpec) -> Result<Space> {
        check_arrays(self.verification.faults)?;
        let energy = |supplied: &[Option<usize>]| -> Result<f64> {
            let design = self.design(&[self.point(supplied)])?;
            Ok(design.energy_relative)
        };
        let domains = self.parts.len();
        let alone = |domain: usize, level: usize| -> Supplied {
            (0..domains)
                .map(|other| (other == domain).then_some(level))
                .collect()
        };
        // additive: what a domain takes at a voltage above what it takes at the lowest
        let mut of_domains = Vec::with_capacity(domains);
        for domain in 0..domains {
            let all: Vec<f64> = (0..self.grid.len())
                .map(|level| energy(&alone(domain, level)))
                .collect::<Result<_>>()?;
            let lowest = all.first().copied().unwrap_or(0.0);
            of_domains.push(
                all.into_iter()
                    .map(|energy| (energy - lowest).max(0.0))
                    .collect(),
            );
        }
        let space = Space {
            domains: self.parts.iter().map(|part| part.name.clone()).collect(),
            voltages: self.grid.iter().map(|point| point.voltage.get()).collect(),
            error_free: self.error_free(),
            energy: of_domains,
            fixed: energy(&vec![Some(0); domains])?,
            rail_energy: spec.domain_cost,
            most_rails: spec.max_rails.map_or(domains, |most| most as usize),
        };
        space.check()?;
        Ok(space)
    }

    /// The lowest level of the grid at which no cell fails.
    fn error_free(&self) -> usize {
        let own = self.grid.partition_point(|point| point.ber > Ber::ZERO);
        let beside = self.activations.as_ref();
        let beside = beside.map(|own| own.grid.partition_point(|point| point.ber > Ber::ZERO));
        own.max(beside.unwrap_or(0))
    }

    /// The design point of a supply; one voltage for all weights is that of a sweep.
    fn point(&self, supplied: &[Option<usize>]) -> DesignPoint {
        let of_weights = || {
            let named = self.parts.iter().zip(supplied);
            named.filter(|(part, _)| part.part.is_some())
        };
        let levels: Option<Levels> = of_weights().map(|(_, level)| *level).collect();
        let supply = match levels.map(|levels| rails_of(&levels)).as_deref() {
            Some([level]) => Supply::One(self.grid[*level]),
            _ => {
                let domain =
                    |(part, level): (&Part, &Option<usize>)| part.domain(self.grid[(*level)?]);
                Supply::Domains(of_weights().filter_map(domain).collect())
            }
        };
        let place = self.parts.iter().position(|part| part.part.is_none());
        let level = place.and_then(|place| supplied[place]);
        let activations = self.activations.as_ref().map(|own| match level {
            Some(level) => own.grid[level],
            None => own.error_free,
        });
        DesignPoint {
            model: 0,
            protection: Protection::None,
            supply,
            activations,
        }
    }

    /// Chips of the search at design points.
    fn searched<'b>(&'b self, points: &'b [DesignPoint]) -> Comparison<'b> {
        let seed = self.verification.seed;
        Comparison {
            swept_models: std::slice::from_ref(self.search_model),
            points,
            seed: Seed(seed.stream(Purpose::SearchChips, &[]).below(u64::MAX)),
            chips: self.search_chips,
            ..self.verification
        }
    }

    fn design(&self, points: &[DesignPoint]) -> Result<Design> {
        let comparison = Comparison {
            points,
            ..self.verification
        };
        let designs = comparison.designs()?;
        let missing = || Error::argument("design point of an exploration", "one array", "none");
        designs.into_iter().next().ok_or_else(missing)
    }

    fn reference(&self, swept: &SweptModel) -> Reference {
        Reference {
            images: swept.clean.images,
            correct: swept.clean.correct,
            all: self.verification.test_images,
        }
    }

    /// Where accesses differ, or stored activations fail, no values can be shared: trials as in a sweep.
    fn search_by_trials(&self, points: &[DesignPoint]) -> Result<Vec<Vec<u64>>> {
        let correct = |point: &DesignPoint| {
            let comparison = self.searched(std::slice::from_ref(point));
            let outcome = comparison.run(&[], self.cancel, &mut |_| Ok(()))?;
            Ok(outcome.trials.iter().map(|trial| trial.correct).collect())
        };
        points.iter().map(correct).collect()
    }
}

impl Oracle for Simulation<'_> {
    fn search_images(&self) -> Reference {
        self.reference(self.search_model)
    }

    fn verification_images(&self) -> Reference {
        self.reference(&self.verification.swept_models[0])
    }

    fn search(&mut self, supplied: &[Supplied]) -> Result<Vec<Vec<u64>>> {
        let points: Vec<DesignPoint> = supplied
            .iter()
            .map(|supplied| self.point(supplied))
            .collect();
        let swept = self.search_model;
        let comparison = self.searched(&points);
        if !comparison.reads_words_alone()? {
            return self.search_by_trials(&points);
        }
        let all: Vec<(usize, ChipId)> = (0..points.len())
            .flat_map(|point| (0..self.search_chips).map(move |chip| (point, ChipId(chip))))
            .collect();
        let mut correct = vec![Vec::new(); points.len()];
        for some in all.chunks(SETS_AT_ONCE) {
            if self.cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let sets: Vec<Vec<(usize, Word)>> = comparison.read(some)?;
            let scores = swept.evaluator.faulty_each(&sets, swept.images)?.scores;
            for ((point, _), score) in some.iter().zip(scores) {
                correct[*point].push(score.correct);
            }
        }
        Ok(correct)
    }

    fn verify(&mut self, levels: &Levels) -> Result<Vec<u64>> {
        let points = [self.point(&all_supplied(levels))];
        let design = self.design(&points)?;
        let comparison = Comparison {
            points: &points,
            ..self.verification
        };
        let sink = &mut self.sink;
        let mut sink = |trial: &Trial| sink(&design, trial);
        let outcome = comparison.run(&self.done, self.cancel, &mut sink)?;
        let correct = outcome.trials.iter().map(|trial| trial.correct).collect();
        let energies = comparison.energies()?;
        let named = self.parts.iter().zip(levels);
        let voltage = |(part, level): (&Part, &usize)| DomainVoltage {
            domain: part.name.clone(),
            voltage: self.grid[*level].voltage.get(),
        };
        self.verified.push(Verified {
            domain_voltages: named.map(voltage).collect(),
            design,
            trials: outcome.trials,
            energies,
        });
        Ok(correct)
    }
}

/// Domains are searched on one array.
///
/// # Errors
/// [`Error::Argument`] where faults lie in several.
pub fn check_arrays(faults: &Faults) -> Result<()> {
    match faults.count() {
        1 => Ok(()),
        more => refuse("arrays of an exploration", "one", more.to_string()),
    }
}

#[cfg(test)]
mod tests;
