//! The training loop: batches in seeded order, loss, step, validation; hands each finished epoch to an observer.

use super::batches::{batch_count, each_batch, Batch};
use super::floors::{initial_floors, Floors};
use super::optimizer::Optimizer;
use super::spec::TrainerSpec;
use super::state::{EpochRow, TrainState};
use crate::data::{Augmentation, ImageSet, Normalization};
use crate::engine::{score, Images};
use crate::error::{refuse, Error, Result, TensorContext};
use crate::net::{Network, Parameter, Role, Route};
use crate::quant::TrainingFlips;
use crate::seed::Seed;
use candle_core::{Tensor, Var, D};

/// What a training needs beside the network.
#[derive(Debug)]
pub struct Trainer<'a> {
    /// Epochs, optimiser, schedule.
    pub spec: &'a TrainerSpec,
    /// The operations that carry each step.
    pub route: Route,
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
    /// Seconds since any moment, for the times of epochs.
    pub clock: fn() -> f64,
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
        return refuse("training images", "at least one", "none");
    }
    let mut state = match resume {
        Some(state) => {
            network.load_state(&state.network)?;
            state
        }
        None => fresh(network)?,
    };
    let mut optimizer = Optimizer::new(
        &trainer.spec.optimizer,
        trainer.spec.grad_clip,
        network.parameters(),
    )?;
    optimizer.restore(&state.optimizer, state.steps)?;
    let mut floors = Floors::new(network, &state.range_floors);
    let penalised = trainer.penalised(network);
    let validation = trainer.validation_images(network)?;
    while state.epoch < trainer.spec.epochs {
        let started = (trainer.clock)();
        let mut learner = Learner {
            network,
            optimizer: &mut optimizer,
            floors: &mut floors,
            penalised: &penalised,
            observer,
        };
        let (learning_rate, loss, accuracy) = trainer.epoch(&mut learner, state.epoch)?;
        let score = match &validation {
            Some(images) => Some(score(network, images)?),
            None => None,
        };
        let before = state
            .history
            .iter()
            .filter_map(|row| row.validation_accuracy)
            .fold(-1.0, f64::max);
        state.epoch += 1;
        let row = EpochRow {
            epoch: state.epoch,
            learning_rate,
            training_loss: loss,
            training_accuracy: accuracy,
            validation_loss: score.map(|s| s.loss).filter(|loss| loss.is_finite()),
            validation_accuracy: score.map(|s| s.accuracy()),
            // without a split the last epoch is the best
            best: score.is_none_or(|s| s.accuracy() > before),
            seconds: (trainer.clock)() - started,
            ranges: network.ranges()?,
        };
        state.steps = optimizer.steps();
        state.network = network.state()?;
        state.optimizer = optimizer.state()?;
        state.history.push(row.clone());
        observer.epoch(&row, network, &state)?;
    }
    Ok(state)
}

fn fresh(network: &Network) -> Result<TrainState> {
    Ok(TrainState {
        epoch: 0,
        steps: 0,
        network: Vec::new(),
        optimizer: Vec::new(),
        range_floors: initial_floors(network)?,
        history: Vec::new(),
    })
}

/// What the steps of a training work on.
struct Learner<'a> {
    network: &'a Network,
    optimizer: &'a mut Optimizer,
    floors: &'a mut Floors,
    /// Weights and biases under the magnitude penalty.
    penalised: &'a [Var],
    observer: &'a mut dyn Observer,
}

impl Trainer<'_> {
    /// Channels, height, width.
    pub(super) fn shape(&self) -> [usize; 3] {
        [self.images.channels, self.images.height, self.images.width]
    }

    fn validation_images(&self, network: &Network) -> Result<Option<Images>> {
        if self.validation.is_empty() {
            return Ok(None);
        }
        let (images, indices) = (self.images, self.validation);
        Images::of(images, indices, self.normalization, network.device()).map(Some)
    }

    /// Weights of layers and their biases where the penalty on the largest of each is wanted, else none.
    fn penalised(&self, network: &Network) -> Vec<Var> {
        if self.spec.max_magnitude_penalty <= 0.0 {
            return Vec::new();
        }
        let layers: Vec<&str> = network.layers().iter().map(|layer| layer.name()).collect();
        let is_penalised = |p: &Parameter| {
            let of_layer = p
                .name
                .strip_suffix(".bias")
                .is_some_and(|name| layers.contains(&name));
            p.role == Role::Weight || of_layer
        };
        network
            .parameters()
            .into_iter()
            .filter(is_penalised)
            .map(|p| p.var)
            .collect()
    }

    /// One pass over the training images: learning rate at its start, mean loss, accuracy.
    fn epoch(&self, learner: &mut Learner, epoch: usize) -> Result<(f64, f64, f64)> {
        let steps = batch_count(self);
        let (mut loss_sum, mut correct, mut seen) = (0.0, 0u64, 0u64);
        let rate = |step| {
            self.spec.optimizer.learning_rate
                * self
                    .spec
                    .schedule
                    .factor(epoch, self.spec.epochs, step, steps)
        };
        each_batch(self, epoch, |step, batch| {
            let (loss, hits) = self.step(learner, &batch, rate(step))?;
            if !loss.is_finite() {
                return Err(Error::Diverged {
                    epoch: epoch + 1,
                    step: step + 1,
                    loss,
                });
            }
            let Learner {
                floors, observer, ..
            } = learner;
            floors.hold(epoch, |message| observer.warn(message))?;
            loss_sum += loss * batch.len as f64;
            seen += batch.len as u64;
            correct += hits;
            observer.step(&StepProgress {
                epoch: epoch + 1,
                epochs: self.spec.epochs,
                step: step + 1,
                steps,
                loss: loss_sum / seen as f64,
                accuracy: correct as f64 / seen as f64,
            })
        })?;
        Ok((
            rate(0),
            loss_sum / seen as f64,
            correct as f64 / seen as f64,
        ))
    }

    /// Learns one batch; loss and hits of the network before. A loss that is not finite changes nothing.
    fn step(&self, learner: &mut Learner, batch: &Batch, learning_rate: f64) -> Result<(f64, u64)> {
        let Learner {
            network,
            optimizer,
            penalised,
            ..
        } = learner;
        let (images, labels) = (
            batch.images.to_device(network.device())?,
            batch.labels.to_device(network.device())?,
        );
        let flips = self.flips(network, optimizer.steps());
        let logits = network.training_logits(&images, flips.as_ref(), self.route)?;
        let loss = self.loss(penalised, &logits, &labels)?;
        let value = f64::from(loss.to_scalar::<f32>().during(|| "loss".into())?);
        if !value.is_finite() {
            return Ok((value, 0));
        }
        let gradients = loss.backward().during(|| "gradients".into())?;
        optimizer.step(&gradients, learning_rate)?;
        Ok((value, hits(&logits, &labels)?))
    }

    fn flips(&self, network: &Network, step: u64) -> Option<TrainingFlips> {
        let rate = network.quantizer().train_bit_error_rate.get();
        (rate > 0.0).then_some(TrainingFlips {
            rate,
            seed: self.seed,
            step,
        })
    }

    /// Cross-entropy, plus the penalty on the largest weights and biases.
    fn loss(&self, penalised: &[Var], logits: &Tensor, labels: &Tensor) -> Result<Tensor> {
        let mut loss =
            candle_nn::loss::cross_entropy(logits, labels).during(|| "cross-entropy".into())?;
        for var in penalised {
            let max = var.flatten_all()?.abs()?.max(0)?;
            loss = (loss + (max * self.spec.max_magnitude_penalty)?)?;
        }
        Ok(loss)
    }
}

fn hits(logits: &Tensor, labels: &Tensor) -> Result<u64> {
    let hits = || {
        logits
            .argmax(D::Minus1)?
            .eq(labels)?
            .to_dtype(candle_core::DType::F32)?
            .sum_all()?
            .to_scalar::<f32>()
    };
    Ok(hits().during(|| "training accuracy".into())? as u64)
}
