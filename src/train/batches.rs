//! The batches of an epoch in order, prepared while the step before is computed; what they teach is the loop's.

use super::training_loop::Trainer;
use crate::data::{epoch_order, Augment};
use crate::error::Result;
use candle_core::{Device, Tensor};
use std::sync::mpsc::sync_channel;

/// Batches that wait, beside the one being learned and the one being prepared.
const WAITING: usize = 1;

/// A batch on the CPU.
pub(super) struct Batch {
    /// Normalised and varied, [batch, channels, height, width].
    pub(super) images: Tensor,
    /// Class numbers, [batch].
    pub(super) labels: Tensor,
    /// Number of images.
    pub(super) len: usize,
}

/// Batches of an epoch.
pub(super) fn batch_count(trainer: &Trainer) -> usize {
    trainer.training.len().div_ceil(trainer.spec.batch)
}

/// Hands every batch of an epoch (from 0) to `learn` with its number (from 0), in order. Where computing may use
/// more than one thread the next batches are prepared on another one, which has ended when this returns. The
/// batches are the same either way.
///
/// # Errors
/// The first failure of `learn`, or of a tensor.
pub(super) fn each_batch(
    trainer: &Trainer,
    epoch: usize,
    mut learn: impl FnMut(usize, Batch) -> Result<()>,
) -> Result<()> {
    let order = epoch_order(trainer.training, trainer.seed, epoch as u64);
    let mut batches = order
        .chunks(trainer.spec.batch)
        .map(|indices| prepare(trainer, indices, epoch));
    if rayon::current_num_threads() == 1 {
        return batches
            .enumerate()
            .try_for_each(|(step, batch)| learn(step, batch?));
    }
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(WAITING);
        // where learning stopped nobody receives, and preparing stops too
        scope.spawn(move || batches.try_for_each(|batch| sender.send(batch)));
        receiver
            .into_iter()
            .enumerate()
            .try_for_each(|(step, batch)| learn(step, batch?))
    })
}

fn prepare(trainer: &Trainer, indices: &[u32], epoch: usize) -> Result<Batch> {
    let augment = Augment {
        spec: trainer.augmentation,
        seed: trainer.seed,
        epoch: epoch as u64,
    };
    let pixels = trainer
        .images
        .batch(indices, trainer.normalization, Some(augment));
    let [channels, height, width] = trainer.shape();
    let images = Tensor::from_vec(
        pixels,
        (indices.len(), channels, height, width),
        &Device::Cpu,
    )?;
    let labels = Tensor::from_vec(trainer.images.labels(indices), indices.len(), &Device::Cpu)?;
    Ok(Batch {
        images,
        labels,
        len: indices.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{Augmentation, ImageSet, Normalization};
    use crate::error::Error;
    use crate::net::Route;
    use crate::seed::Seed;
    use crate::train::TrainerSpec;

    /// Runs `each_batch` over 50 images in batches of 8 on a pool of threads; `stop` is the step that fails.
    fn run(threads: usize, stop: Option<usize>) -> (Result<()>, Vec<Vec<f32>>, Vec<Vec<u32>>) {
        let images = ImageSet {
            title: "counting".into(),
            channels: 1,
            height: 4,
            width: 4,
            classes: 10,
            pixels: (0..50 * 16)
                .map(|i| (i % 251) as u8)
                .collect::<Vec<u8>>()
                .into(),
            labels: (0..50).map(|i| i % 10).collect(),
            remarks: Vec::new(),
        };
        let training: Vec<u32> = (0..50).collect();
        let trainer = Trainer {
            route: Route::Kernels,
            spec: &TrainerSpec {
                batch: 8,
                ..TrainerSpec::default()
            },
            images: &images,
            training: &training,
            validation: &[],
            augmentation: &Augmentation {
                flip: true,
                crop_padding: 1,
                random_resized_crop: None,
            },
            normalization: &Normalization {
                mean: vec![0.5],
                std: vec![0.2],
            },
            seed: Seed(3),
            clock: || 0.0,
        };
        let (mut pixels, mut labels) = (Vec::new(), Vec::new());
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let mut learn = |step, batch: Batch| {
            if stop == Some(step) {
                return Err(Error::Interrupted);
            }
            assert_eq!(step, pixels.len());
            assert_eq!(batch.images.dims(), [batch.len, 1, 4, 4]);
            pixels.push(batch.images.flatten_all()?.to_vec1::<f32>()?);
            labels.push(batch.labels.to_vec1::<u32>()?);
            Ok(())
        };
        assert_eq!(batch_count(&trainer), 7);
        let result = pool.install(|| each_batch(&trainer, 2, &mut learn));
        (result, pixels, labels)
    }

    #[test]
    fn batches_prepared_ahead_are_those_prepared_in_line() {
        let (ahead, in_line) = (run(2, None), run(1, None));
        ahead.0.unwrap();
        in_line.0.unwrap();
        assert_eq!(ahead.1, in_line.1);
        assert_eq!(ahead.2, in_line.2);
        let sizes: Vec<usize> = ahead.2.iter().map(Vec::len).collect();
        assert_eq!(sizes, [8, 8, 8, 8, 8, 8, 2]);
    }

    #[test]
    fn a_step_that_fails_stops_the_epoch_whatever_is_prepared() {
        for threads in [1, 2] {
            for stop in [0, 3, 6] {
                let (result, seen, _) = run(threads, Some(stop));
                assert!(
                    matches!(result, Err(Error::Interrupted)),
                    "{threads} {stop}"
                );
                assert_eq!(seen.len(), stop);
            }
        }
    }
}
