//! What can be chosen: a voltage of a grid for each domain of a memory, and what each choice costs.

use crate::error::{refuse, Result};
use crate::sweep::DomainVoltage;

/// A voltage for each domain, by its place in the grid.
pub type Levels = Vec<usize>;

/// Voltages for some domains; the others, `None`, are without faults.
pub type Supplied = Vec<Option<usize>>;

/// Domains, voltages and energies. Energies are those of an inference relative to the same network at 8 bits and the
/// error-free voltage.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    /// Names of the domains.
    pub domains: Vec<String>,
    /// The grid, rising.
    pub voltages: Vec<f64>,
    /// Place from which on no cell fails; the number of voltages where one does at each.
    pub error_free: usize,
    /// Energy of each domain (outer) at each voltage (inner).
    pub energy: Vec<Vec<f64>>,
    /// Energy of what lies in no domain.
    pub fixed: f64,
    /// Energy that each supply rail beyond the first adds (rail, level shifters). Domains at one voltage share a rail.
    pub rail_energy: f64,
    /// Most distinct voltages at a time.
    pub most_rails: usize,
}

impl Space {
    /// Checks shapes and ranges.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] without a domain or voltage, for voltages that do not rise, energies that are
    /// not those of all of them, fall with the voltage or are negative, and for less than one rail.
    pub fn check(&self) -> Result<()> {
        if self.domains.is_empty() || self.voltages.is_empty() {
            let found = format!("{} and {}", self.domains.len(), self.voltages.len());
            return refuse(
                "voltage domains",
                "at least one domain and one voltage",
                found,
            );
        }
        if !self.voltages.windows(2).all(|pair| pair[0] < pair[1]) {
            return refuse(
                "voltages of domains",
                "rising voltages",
                format!("{:?}", self.voltages),
            );
        }
        let whole = |of_domain: &Vec<f64>| {
            of_domain.len() == self.voltages.len()
                && of_domain
                    .iter()
                    .all(|energy| (0.0..f64::INFINITY).contains(energy))
                && of_domain.windows(2).all(|pair| pair[0] <= pair[1])
        };
        if self.energy.len() != self.domains.len() || !self.energy.iter().all(whole) {
            let expected = "for each domain an energy that rises with the voltages";
            return refuse(
                "energies of domains",
                expected,
                format!("{:?}", self.energy),
            );
        }
        if !(0.0..f64::INFINITY).contains(&self.rail_energy) {
            return refuse(
                "explore.domain_cost",
                "0 or more",
                self.rail_energy.to_string(),
            );
        }
        match self.most_rails {
            0 => refuse("explore.max_rails", "at least 1", "0"),
            _ => Ok(()),
        }
    }

    /// True where no cell of a domain fails.
    pub fn is_error_free(&self, levels: &[usize]) -> bool {
        levels.iter().all(|level| *level >= self.error_free)
    }

    /// Distinct voltages.
    pub fn rails(&self, levels: &[usize]) -> usize {
        rails_of(levels).len()
    }

    /// Energy of the memory, without its rails.
    pub fn memory_energy(&self, levels: &[usize]) -> f64 {
        self.fixed
            + self
                .energy
                .iter()
                .zip(levels)
                .map(|(energy, level)| energy[*level])
                .sum::<f64>()
    }

    /// Energy of the rails beyond the first.
    pub fn rails_energy(&self, levels: &[usize]) -> f64 {
        self.rail_energy * (self.rails(levels).max(1) - 1) as f64
    }

    /// Energy of memory and rails: what a search minimises.
    pub fn cost(&self, levels: &[usize]) -> f64 {
        self.memory_energy(levels) + self.rails_energy(levels)
    }

    /// The same voltage everywhere.
    pub fn single(&self, level: usize) -> Levels {
        vec![level; self.domains.len()]
    }

    /// Names and voltages of what is supplied.
    pub fn named(&self, supplied: &[Option<usize>]) -> Vec<DomainVoltage> {
        let named = |(domain, level): (&String, &Option<usize>)| {
            Some(DomainVoltage {
                domain: domain.clone(),
                voltage: self.voltages[(*level)?],
            })
        };
        self.domains
            .iter()
            .zip(supplied)
            .filter_map(named)
            .collect()
    }

    /// What [`Self::named`] gave; `None` for a domain or a voltage that is not of this space.
    pub fn supplied(&self, named: &[DomainVoltage]) -> Option<Supplied> {
        let mut supplied = vec![None; self.domains.len()];
        for DomainVoltage { domain, voltage } in named {
            let at = self.domains.iter().position(|own| own == domain)?;
            supplied[at] = Some(self.voltages.iter().position(|own| own == voltage)?);
        }
        Some(supplied)
    }
}

/// The distinct levels, rising.
pub(super) fn rails_of(levels: &[usize]) -> Vec<usize> {
    let mut rails = levels.to_vec();
    rails.sort_unstable();
    rails.dedup();
    rails
}

/// The same levels, all supplied.
pub(super) fn all_supplied(levels: &[usize]) -> Supplied {
    levels.iter().copied().map(Some).collect()
}
