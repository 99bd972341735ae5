//! The memory of stored activations of a run: its model, its voltages, and what of it names the run.

use super::identity::ActivationIdentity;
use crate::config::Experiment;
use crate::error::{refuse, Error, Result};
use crate::explore::DomainSpec;
use crate::fault::{KindName, Protection};
use crate::memory::{Faults, MemoryModel, OperatingPoint, RobustCell};
use crate::sweep::{ActivationSide, DesignPoint, SuppliedRows};

/// Stored activations of a run that have a supply of their own.
#[derive(Debug)]
pub(super) struct ActivationInput {
    pub(super) side: ActivationSide,
    /// Their voltages: those asked for, or those of the weights where an exploration searches both.
    pub(super) grid: Vec<OperatingPoint>,
    /// True where an exploration searches them.
    pub(super) is_searched: bool,
}

impl ActivationInput {
    /// True where stored activations fail and weights do not.
    pub(super) fn fail_alone(&self) -> bool {
        self.side.rows == SuppliedRows::Alone
    }

    /// That of an experiment, without its voltages; `None` where activations have no supply of their own.
    ///
    /// # Errors
    /// As [`Experiment::activation_model`]; [`Error::Argument`] for a fault map, which lists cells of the weights.
    pub(super) fn of(experiment: &Experiment, explores: bool) -> Result<Option<Self>> {
        let spec = &experiment.activations;
        let is_searched = explores && experiment.explore.domains == Some(DomainSpec::Memories);
        if explores && spec.is_swept() {
            let expected =
                "to be left out: `--domains weights,activations` searches voltages of activations";
            return refuse("activations.voltages", expected, "a value");
        }
        if !is_searched {
            spec.check_swept()?;
            if !spec.is_swept() {
                return Ok(None);
            }
        }
        if !experiment.faults.map.is_empty() {
            let expected =
                "to be left out beside voltages of activations: it lists cells of the weights";
            return refuse("faults.map", expected, "a file");
        }
        let memory = experiment.activation_model()?;
        let faults = Faults::new(&experiment.faults, &memory)?;
        let protection = spec.protection.unwrap_or_default();
        check_protection(protection, &memory, &faults)?;
        let sweep = &experiment.sweep;
        let of_weights = sweep.voltages.is_some() || !sweep.bit_error_rates.is_empty();
        let side = ActivationSide {
            memory,
            faults,
            words: spec.words,
            protection,
            energy_ratio: spec.energy_ratio,
            rows: if is_searched {
                SuppliedRows::Together
            } else if of_weights || experiment.answer.is_some() {
                // an answer searches voltages of the weights where none are given
                SuppliedRows::Beside
            } else {
                SuppliedRows::Alone
            },
        };
        Ok(Some(Self {
            side,
            grid: Vec::new(),
            is_searched,
        }))
    }

    /// The same with its voltages, beside those of the weights.
    ///
    /// # Errors
    /// As [`Faults::settings`] and [`Self::at_same_voltages`].
    pub(super) fn with_voltages(
        mut self,
        experiment: &Experiment,
        memory: &MemoryModel,
        grid: &[OperatingPoint],
    ) -> Result<Self> {
        self.grid = if self.is_searched {
            self.at_same_voltages(memory, grid)?
        } else {
            let (side, spec) = (&self.side, &experiment.activations);
            let (list, rates) = (spec.voltages.as_deref(), &spec.bit_error_rates);
            let points = side.faults.settings(&side.memory, list, rates);
            points.map_err(of_activation_keys)?
        };
        Ok(self)
    }

    /// The memory at the voltages of the weights'.
    ///
    /// # Errors
    /// [`Error::Argument`] where its voltages have another unit; as [`Faults::at`].
    fn at_same_voltages(
        &self,
        memory: &MemoryModel,
        grid: &[OperatingPoint],
    ) -> Result<Vec<OperatingPoint>> {
        let side = &self.side;
        if side.memory.unit != memory.unit {
            let expected = format!(
                "a memory model by {}, as `{}`: both have voltages of one grid",
                memory.unit.symbol(),
                memory.name
            );
            let found = format!("`{}` by {}", side.memory.name, side.memory.unit.symbol());
            return refuse("activations.memory", expected, found);
        }
        let at = |point: &OperatingPoint| side.faults.at(&side.memory, point.voltage);
        grid.iter().map(at).collect()
    }

    /// Design points at these voltages of the weights beside these of the activations; where both are searched, at one voltage
    /// each. `of_weights` gives those without activations.
    ///
    /// # Errors
    /// As [`Self::at_same_voltages`].
    pub(super) fn points(
        &self,
        memory: &MemoryModel,
        weights: &[OperatingPoint],
        activations: &[OperatingPoint],
        of_weights: &dyn Fn(&[OperatingPoint]) -> Vec<DesignPoint>,
    ) -> Result<Vec<DesignPoint>> {
        if !self.is_searched {
            return Ok(DesignPoint::beside(&of_weights(weights), activations));
        }
        let mut all = Vec::new();
        for (point, own) in weights.iter().zip(self.at_same_voltages(memory, weights)?) {
            let at_voltage = of_weights(std::slice::from_ref(point));
            all.extend(DesignPoint::beside(&at_voltage, &[own]));
        }
        Ok(all)
    }

    /// It at its error-free voltage.
    ///
    /// # Errors
    /// As [`Faults::at`].
    pub(super) fn error_free(&self) -> Result<OperatingPoint> {
        let memory = &self.side.memory;
        self.side.faults.at(memory, memory.error_free)
    }

    /// What of it can change a number of a run.
    pub(super) fn identity(&self, experiment: &Experiment) -> ActivationIdentity<'_> {
        let side = &self.side;
        let voltages = self.grid.iter().map(|point| point.voltage.get()).collect();
        ActivationIdentity {
            memory: &side.memory.checksum,
            words: side.words,
            energy_ratio: side.energy_ratio,
            protection: Some(side.protection).filter(|own| *own != Protection::None),
            alone: side.rows == SuppliedRows::Alone,
            by_rate: !experiment.activations.bit_error_rates.is_empty(),
            planned: Some(voltages).filter(|_| experiment.sweep.sampling.is_two_level()),
        }
    }
}

/// Refuses a protection that the memory has no numbers for, or that its cells do not go with.
fn check_protection(protection: Protection, memory: &MemoryModel, faults: &Faults) -> Result<()> {
    let what = format!("activations.protection `{protection}`");
    if matches!(protection, Protection::Msb(_)) && memory.robust_cell.is_none() {
        return refuse(what, RobustCell::missing(memory), "none");
    }
    let has_check_bits = matches!(protection, Protection::Secded | Protection::ParityZero);
    if has_check_bits && faults.label().kind() != Some(KindName::Flip) {
        let expected =
            "cells that invert their bit: what else is read hangs on all words of a codeword";
        return refuse(what, expected, faults.label().as_str());
    }
    Ok(())
}

/// What is said of the keys of a sweep, of those of activations.
fn of_activation_keys(error: Error) -> Error {
    match error {
        Error::Argument {
            what,
            expected,
            found,
        } => Error::argument(what.replace("sweep.", "activations."), expected, found),
        other => other,
    }
}
