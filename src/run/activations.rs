//! The memory of stored activations of a run: its model, its voltages, and what of it names the run.

use super::identity::ActivationIdentity;
use crate::config::Experiment;
use crate::error::{Error, Result};
use crate::fault::Protection;
use crate::memory::{Faults, MemoryModel, OperatingPoint};
use crate::sweep::{ActivationSide, ActivationSpec};

/// The memory of stored activations, where they have a supply of their own.
///
/// # Errors
/// As [`Experiment::activation_model`]; [`Error::Argument`] for a fault map, which lists cells of the weights.
pub(super) fn activation_side(
    experiment: &Experiment,
    searched: bool,
) -> Result<Option<ActivationSide>> {
    let spec = &experiment.activations;
    if !spec.is_swept() && !searched {
        return Ok(None);
    }
    if !experiment.faults.map.is_empty() {
        let expected =
            "to be left out beside voltages of activations: it lists cells of the weights";
        return Err(Error::argument("faults.map", expected, "a file"));
    }
    let memory = experiment.activation_model()?;
    let faults = Faults::new(&experiment.faults, &memory)?;
    let sweep = &experiment.sweep;
    let of_weights = sweep.voltages.is_some() || !sweep.bit_error_rates.is_empty();
    Ok(Some(ActivationSide {
        memory,
        faults,
        words: spec.words,
        protection: spec.protection.unwrap_or_default(),
        // an answer searches voltages of the weights where none are given
        alone: !of_weights && !searched && experiment.answer.is_none(),
    }))
}

/// It at the voltages that are asked for, or at the rates.
///
/// # Errors
/// As [`Faults::settings`].
pub(super) fn activations_asked(
    side: &ActivationSide,
    spec: &ActivationSpec,
) -> Result<Vec<OperatingPoint>> {
    let (list, rates) = (spec.voltages.as_deref(), &spec.bit_error_rates);
    let points = side.faults.settings(&side.memory, list, rates);
    points.map_err(of_activation_keys)
}

/// The memory of stored activations at the voltages of the weights'.
///
/// # Errors
/// [`Error::Argument`] where its voltages have another unit; as [`Faults::at`].
pub(super) fn at_same_voltages(
    side: &ActivationSide,
    memory: &MemoryModel,
    grid: &[OperatingPoint],
) -> Result<Vec<OperatingPoint>> {
    if side.memory.unit != memory.unit {
        let expected = format!(
            "a memory model by {}, as `{}`: both have voltages of one grid",
            memory.unit.symbol(),
            memory.name
        );
        let found = format!("`{}` by {}", side.memory.name, side.memory.unit.symbol());
        return Err(Error::argument("activations.memory", expected, found));
    }
    let at = |point: &OperatingPoint| side.faults.at(&side.memory, point.voltage);
    grid.iter().map(at).collect()
}

/// What of it can change a number of a run.
pub(super) fn activation_identity<'a>(
    side: &'a ActivationSide,
    experiment: &Experiment,
    grid: &[OperatingPoint],
) -> ActivationIdentity<'a> {
    let voltages = grid.iter().map(|point| point.voltage.get()).collect();
    ActivationIdentity {
        memory: &side.memory.checksum,
        words: side.words,
        protection: Some(side.protection).filter(|own| *own != Protection::None),
        alone: side.alone,
        by_rate: !experiment.activations.bit_error_rates.is_empty(),
        planned: Some(voltages).filter(|_| experiment.sweep.sampling.is_two_level()),
    }
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
