//! The training loop: batches in seeded order, loss, step, validation; hands each finished epoch to an observer.

use super::optimizer::Optimizer;
use super::spec::TrainerSpec;
use super::state::{EpochRow, TrainState};
use crate::data::{epoch_order, Augment, Augmentation, ImageSet, Normalization};
use crate::engine::{score, Images};
use crate::error::{Error, Result, TensorContext};
use crate::net::{Network, Role, Route};
use crate::quant::TrainingFlips;
use crate::seed::Seed;
use candle_core::{Device, Tensor, D};
use std::time::Instant;

/// A learned range never falls under this share of its initial value.
const RANGE_FLOOR: f32 = 1e-3;

/// What a training needs beside the network.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// Epochs, optimiser, schedule.
    pub spec: &'a TrainerSpec,
    /// Images of the training set.
    pub images: &'a ImageSet,
    /// Those to learn from.
    pub training: &'a [u32],
    /// Those to choose the best epoch by; may be empty.
    pub validation: &'a [u32],
    /// Variation of training images; validation images are never varied.
    pub augmentation: &'a Augmentation,
    /// Normalisation of the input.
    pub normalization: &'a Normalization,
    /// Root seed.
    pub seed: Seed,
}

/// Where a running epoch stands.
#[derive(Clone, Copy, Debug)]
pub struct StepProgress {
    /// Epoch, from 1.
    pub epoch: usize,
    /// Epochs in all.
    pub epochs: usize,
    /// Steps done in this epoch.
    pub step: usize,
    /// Steps of an epoch.
    pub steps: usize,
    /// Mean loss of the epoch so far.
    pub loss: f64,
    /// Training accuracy of the epoch so far.
    pub accuracy: f64,
}

/// Hears of a training as it goes.
pub trait Observer {
    /// After every step. An error, [`Error::Interrupted`] for one, stops the training.
    ///
    /// # Errors
    /// As the observer likes.
    fn step(&mut self, progress: &StepProgress) -> Result<()>;

    /// After every epoch, with everything needed to save it.
    ///
    /// # Errors
    /// As the observer likes; training stops.
    fn epoch(&mut self, row: &EpochRow, network: &Network, state: &TrainState) -> Result<()>;

    /// Something that the user should hear.
    fn warn(&mut self, message: &str);
}

/// Trains a network from the start, or on from a state. The same seed gives the same numbers, on any number of
/// threads and however often it was resumed. Returns the final state.
///
/// # Errors
/// [`Error::Diverged`] where the loss is not finite; [`Error::Argument`] for a spec that does not check or no
/// training images; what the observer returns; tensor failures.
pub fn train(
    network: &mut Network,
    trainer: &Trainer,
    resume: Option<TrainState>,
    observer: &mut dyn Observer,
) -> Result<TrainState> {
    trainer.spec.check()?;
    if trainer.training.is_empty() {
        return Err(Error::argument("training images", "at least one", "none"));
    }
    let mut state = match resume {
        Some(state) => {
            network.load_state(&state.network)?;
            state
        }
        None => fresh(network)?,
    };
    let parameters = network.parameters();
    let mut optimizer = Optimizer::new(&trainer.spec.optimizer, trainer.spec.grad_clip, parameters);
    optimizer.restore(&state.optimizer, state.steps);
    let validation = trainer.validation_images(network)?;
    while state.epoch < trainer.spec.epochs {
        let started = Instant::now();
        let (learning_rate, loss, accuracy) =
            trainer.epoch(network, &mut optimizer, state.epoch, &state.range_floors, observer)?;
        let score = match &validation {
            Some(images) => Some(score(network, images)?),
            None => None,
        };
        let before = state.history.iter().filter_map(|row| row.validation_accuracy).fold(-1.0, f64::max);
        state.epoch += 1;
        let row = EpochRow {
            epoch: state.epoch,
            learning_rate,
            training_loss: loss,
            training_accuracy: accuracy,
            validation_loss: score.map(|s| s.loss).filter(|loss| loss.is_finite()),
            validation_accuracy: score.map(|s| s.accuracy()),
            best: score.is_none_or(|s| s.accuracy() > before),
            seconds: started.elapsed().as_secs_f64(),
            ranges: network.ranges()?,
        };
        state.steps = optimizer.steps();
        state.network = network.state()?;
        state.optimizer = optimizer.state();
        state.history.push(row.clone());
        observer.epoch(&row, network, &state)?;
    }
    Ok(state)
}

fn fresh(network: &Network) -> Result<TrainState> {
    let ranges = network.parameters().into_iter().filter(|p| p.role == Role::Range);
    let floors =
        ranges.map(|p| Ok((p.name, p.var.to_scalar::<f32>()? * RANGE_FLOOR))).collect::<Result<_>>()?;
    Ok(TrainState {
        epoch: 0,
        steps: 0,
        network: Vec::new(),
        optimizer: Vec::new(),
        range_floors: floors,
        history: Vec::new(),
    })
}

impl Trainer<'_> {
    fn shape(&self) -> [usize; 3] {
        [self.images.channels, self.images.height, self.images.width]
    }

    fn validation_images(&self, network: &Network) -> Result<Option<Images>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let pixels = self.images.batch(self.validation, self.normalization, None);
        let labels = self.images.labels(self.validation);
        Images::new(pixels, self.shape(), labels, network.device()).map(Some)
    }

    /// One pass over the training images: learning rate at its start, mean loss, accuracy.
    fn epoch(
        &self,
        network: &Network,
        optimizer: &mut Optimizer,
        epoch: usize,
        floors: &[(String, f32)],
        observer: &mut dyn Observer,
    ) -> Result<(f64, f64, f64)> {
        let order = epoch_order(self.training, self.seed, epoch as u64);
        let steps = order.len().div_ceil(self.spec.batch);
        let (mut loss_sum, mut correct, mut seen) = (0.0, 0u64, 0u64);
        let rate = |step| {
            self.spec.optimizer.learning_rate
                * self.spec.schedule.factor(epoch, self.spec.epochs, step, steps)
        };
        for (step, batch) in order.chunks(self.spec.batch).enumerate() {
            let flips = self.flips(network, optimizer.steps());
            let (images, labels) = self.batch(batch, epoch, network.device())?;
            let logits = network.training_logits(&images, flips.as_ref(), Route::of(network.device()))?;
            let loss = self.loss(network, &logits, &labels)?;
            let value = f64::from(loss.to_scalar::<f32>().during(|| "loss".into())?);
            if !value.is_finite() {
                return Err(Error::Diverged { epoch: epoch + 1, step: step + 1, loss: value });
            }
            let gradients = loss.backward().during(|| "gradients".into())?;
            optimizer.step(&gradients, rate(step))?;
            hold_ranges(network, floors, epoch, observer)?;
            loss_sum += value * batch.len() as f64;
            seen += batch.len() as u64;
            correct += hits(&logits, &labels)?;
            observer.step(&StepProgress {
                epoch: epoch + 1,
                epochs: self.spec.epochs,
                step: step + 1,
                steps,
                loss: loss_sum / seen as f64,
                accuracy: correct as f64 / seen as f64,
            })?;
        }
        Ok((rate(0), loss_sum / seen as f64, correct as f64 / seen as f64))
    }

    fn flips(&self, network: &Network, step: u64) -> Option<TrainingFlips> {
        let rate = network.quantizer().train_bit_error_rate.get();
        (rate > 0.0).then_some(TrainingFlips { rate, seed: self.seed, step })
    }

    fn batch(&self, indices: &[u32], epoch: usize, device: &Device) -> Result<(Tensor, Tensor)> {
        let augment = Augment { spec: self.augmentation, seed: self.seed, epoch: epoch as u64 };
        let pixels = self.images.batch(indices, self.normalization, Some(augment));
        let [channels, height, width] = self.shape();
        let images = Tensor::from_vec(pixels, (indices.len(), channels, height, width), &Device::Cpu)?;
        let labels = Tensor::from_vec(self.images.labels(indices), indices.len(), &Device::Cpu)?;
        Ok((images.to_device(device)?, labels.to_device(device)?))
    }

    /// Cross-entropy, plus the penalty on the largest weights and biases.
    fn loss(&self, network: &Network, logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let mut loss = candle_nn::loss::cross_entropy(logits, labels).during(|| "cross-entropy".into())?;
        if self.spec.max_magnitude_penalty > 0.0 {
            let layers: Vec<&str> = network.layers().iter().map(|layer| layer.name()).collect();
            for parameter in network.parameters() {
                let of_layer =
                    parameter.name.strip_suffix(".bias").is_some_and(|name| layers.contains(&name));
                if parameter.role == Role::Weight || of_layer {
                    let max = parameter.var.flatten_all()?.abs()?.max(0)?;
                    loss = (loss + (max * self.spec.max_magnitude_penalty)?)?;
                }
            }
        }
        Ok(loss)
    }
}

/// Keeps learned ranges at or above their floors; says so once per layer and epoch.
fn hold_ranges(
    network: &Network,
    floors: &[(String, f32)],
    epoch: usize,
    observer: &mut dyn Observer,
) -> Result<()> {
    for layer in network.layers() {
        let Some(range) = layer.range() else { continue };
        let name = format!("{}.range", layer.name());
        let Some((_, floor)) = floors.iter().find(|(known, _)| *known == name) else { continue };
        if range.to_scalar::<f32>()? < *floor {
            range.set(&Tensor::new(*floor, network.device())?)?;
            observer.warn(&format!(
                "epoch {}: the range of {} reached its floor {floor:e} (1e-3 of where it began): a smaller \
                 learning rate or `range_decay` keeps it up",
                epoch + 1,
                layer.name()
            ));
        }
    }
    Ok(())
}

fn hits(logits: &Tensor, labels: &Tensor) -> Result<u64> {
    let hits = || {
        logits.argmax(D::Minus1)?.eq(labels)?.to_dtype(candle_core::DType::F32)?.sum_all()?.to_scalar::<f32>()
    };
    Ok(hits().during(|| "training accuracy".into())? as u64)
}
