//! What all shards of a sweep or an exploration need, made once: trained models, models of other widths, their answers
//! without faults, decoded images.

use super::monitor::{Monitor, Stages};
use super::prepared::{early_set, inputs, prepare, trainings_of};
use super::request::RunRequest;
use super::training::Workshop;
use super::widths::add_mixed_models;
use crate::config::{Experiment, Training};
use crate::error::Result;
use crate::sweep::Shard;
use crate::units::count_of;
use candle_core::Device;
use std::path::PathBuf;

/// What was made.
#[derive(Clone, Debug, Default)]
pub struct PrepareResult {
    /// Models whose answers are kept.
    pub models: Vec<PathBuf>,
    /// Those that this call trained, or went on to train.
    pub trained: usize,
}

/// Trains the models of the configuration that are a shard's (model k is shard k mod N's), makes those of other widths
/// where an exploration is asked for them, and keeps their answers without faults. What is there is not made again.
///
/// # Errors
/// As [`super::sweep`] before its trials.
pub fn prepare_run(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Shard,
    explores: bool,
    monitor: &dyn Monitor,
) -> Result<PrepareResult> {
    let request = &RunRequest {
        keeps_images: true,
        ..request.clone()
    };
    let inputs = inputs(experiment, request, explores)?;
    let early = early_set(experiment, request)?;
    let device = experiment.device.open()?;
    let mut made = PrepareResult::default();
    let mut paths: Vec<PathBuf> = if request.models.is_empty() {
        let (paths, trained) = train_own(experiment, request, shard, &device, monitor)?;
        made.trained = trained;
        paths
    } else {
        let own = request
            .models
            .iter()
            .enumerate()
            .filter(|(k, _)| shard.owns(*k));
        own.map(|(_, path)| path.clone()).collect()
    };
    if paths.is_empty() {
        return Ok(made);
    }
    if explores && !experiment.explore.widths.is_empty() {
        paths = add_mixed_models(experiment, request, &paths, &device, true, monitor)?;
    }
    let prepared = prepare(
        experiment, request, inputs, &paths, early, &device, explores,
    )?;
    let kept = prepared.kept_answers();
    let stages = Stages::new(monitor, 1);
    stages.begin(
        &format!("{} without faults", count_of(paths.len(), "model")),
        1,
    );
    for (place, model) in prepared.models.iter().enumerate() {
        if kept.read(model)?.is_some() {
            continue;
        }
        let images = prepared.images.of(place);
        let answers = model.evaluator.clean_answers(images, monitor.cancel())?;
        model.check_finite(answers.not_finite, prepared.images.count)?;
        kept.write(model, &answers)?;
    }
    made.models = paths;
    Ok(made)
}

/// The models of a shard, trained; and how many of them were not finished before.
fn train_own(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Shard,
    device: &Device,
    monitor: &dyn Monitor,
) -> Result<(Vec<PathBuf>, usize)> {
    let trainings = trainings_of(experiment)?.into_iter().enumerate();
    let own: Vec<Training> = trainings
        .filter(|(k, _)| shard.owns(*k))
        .map(|(_, training)| training)
        .collect();
    let results = Workshop::of(request, device, monitor)?.train_all(&own, request.fresh)?;
    let (mut paths, mut trained) = (Vec::new(), 0);
    for result in results {
        let model = result?;
        trained += usize::from(model.computed_epochs > 0);
        paths.push(model.best);
    }
    Ok((paths, trained))
}
