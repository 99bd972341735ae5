//! Evaluation of a trained network on images, clean or with faulty words; knows no chance and no disk.
//!
//! This is the plain version on candle tensors: every faulty layer is read back from its words, then the
//! network runs forward on one thread.

use crate::code::Word;
use crate::error::{Error, Result, TensorContext};
use crate::net::Network;
use crate::quant::StoredWeight;
use candle_core::{DType, Device, Tensor};

/// Images per forward pass: few enough that a LeNet's activations stay in the cache.
const BATCH: usize = 100;

/// Result of an evaluation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// Images evaluated.
    pub images: u64,
    /// Images classified correctly. Where logits are not numbers the image counts as wrong.
    pub correct: u64,
    /// Mean cross-entropy in nats; not finite where a logit is not.
    pub loss: f64,
}

impl Score {
    /// Share of images classified correctly.
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.images.max(1) as f64
    }
}

/// Normalised images with their labels, in batches on a device.
#[derive(Debug)]
pub struct Images {
    batches: Vec<(Tensor, Vec<u32>)>,
    count: u64,
}

impl Images {
    /// `pixels` are normalised values [n, channels, height, width], row-major; `labels` n class numbers.
    ///
    /// # Errors
    /// [`Error::Argument`] where the lengths do not fit or there is no image.
    pub fn new(pixels: &[f32], shape: [usize; 3], labels: &[u32], device: &Device) -> Result<Self> {
        let image: usize = shape.iter().product();
        if labels.is_empty() || pixels.len() != labels.len() * image {
            return Err(Error::argument(
                "images to evaluate",
                format!("at least one image of {image} values and as many labels"),
                format!("{} values and {} labels", pixels.len(), labels.len()),
            ));
        }
        let mut batches = Vec::new();
        for (pixels, labels) in pixels.chunks(BATCH * image).zip(labels.chunks(BATCH)) {
            let dims = (labels.len(), shape[0], shape[1], shape[2]);
            let batch = Tensor::from_slice(pixels, dims, &Device::Cpu)?.to_device(device)?;
            batches.push((batch, labels.to_vec()));
        }
        Ok(Self { batches, count: labels.len() as u64 })
    }

    /// Number of images.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Never: an empty set is refused.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }
}

/// A network ready for many evaluations.
#[derive(Debug)]
pub struct Evaluator {
    network: Network,
    stored: Vec<Option<StoredWeight>>,
    clean: Vec<Tensor>,
    words: Vec<Word>,
    starts: Vec<usize>,
}

impl Evaluator {
    /// Reads out what the memory stores of a network.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn new(network: Network) -> Result<Self> {
        let stored = network.stored()?;
        let clean = network.effective_weights()?;
        let mut words = Vec::new();
        let mut starts = Vec::with_capacity(stored.len());
        for layer in &stored {
            starts.push(words.len());
            words.extend(layer.iter().flat_map(|layer| layer.words.iter().copied()));
        }
        Ok(Self { network, stored, clean, words, starts })
    }

    /// The network.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// What the memory stores of each layer; `None` for float layers, which no fault reaches.
    pub fn stored(&self) -> &[Option<StoredWeight>] {
        &self.stored
    }

    /// All stored words, layer after layer: the memory.
    pub fn words(&self) -> &[Word] {
        &self.words
    }

    /// Score without faults.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn clean(&self, images: &Images) -> Result<Score> {
        score(&self.network, &self.clean, images)
    }

    /// Score where some words of the memory read otherwise: (index into [`Self::words`], word), by rising index.
    ///
    /// # Errors
    /// [`Error::Argument`] for an index outside the memory, or a tensor failure.
    pub fn faulty(&self, faults: &[(usize, Word)], images: &Images) -> Result<Score> {
        if let Some((index, _)) = faults.iter().find(|(index, _)| *index >= self.words.len()) {
            let expected = format!("a word index below {}", self.words.len());
            return Err(Error::argument("fault", expected, index.to_string()));
        }
        let mut weights = self.clean.clone();
        let mut rest = faults;
        for (layer, stored) in self.stored.iter().enumerate() {
            let Some(stored) = stored else { continue };
            let (start, end) = (self.starts[layer], self.starts[layer] + stored.words.len());
            let here = rest.partition_point(|(index, _)| *index < end);
            let (faults, later) = rest.split_at(here);
            rest = later;
            if !faults.is_empty() {
                let mut values = stored.values();
                for &(index, word) in faults {
                    values[index - start] = stored.value(word);
                }
                let tensor = Tensor::from_vec(values, stored.shape.as_slice(), &Device::Cpu)?;
                weights[layer] = tensor.to_device(self.network.device())?;
            }
        }
        score(&self.network, &weights, images)
    }
}

/// Score of a network with given weights, one per layer in memory order.
///
/// # Errors
/// A tensor failure.
pub fn score(network: &Network, weights: &[Tensor], images: &Images) -> Result<Score> {
    let (mut correct, mut loss) = (0, 0.0);
    for (batch, labels) in &images.batches {
        let logits = network.logits(batch, weights)?;
        let logits =
            logits.to_dtype(DType::F32).and_then(|l| l.to_vec2::<f32>()).during(|| "logits".into())?;
        for (logits, &label) in logits.iter().zip(labels) {
            correct += u64::from(predicted(logits) == Some(label as usize));
            loss += cross_entropy(logits, label as usize);
        }
    }
    Ok(Score { images: images.count, correct, loss: loss / images.count as f64 })
}

/// Class of the greatest logit, the first of equals; `None` where one is NaN.
fn predicted(logits: &[f32]) -> Option<usize> {
    if logits.iter().any(|x| x.is_nan()) {
        return None;
    }
    let mut best = 0;
    for (class, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = class;
        }
    }
    Some(best)
}

/// `log Σ exp(l) - l[label]` in f64.
fn cross_entropy(logits: &[f32], label: usize) -> f64 {
    let max = logits.iter().fold(f32::NEG_INFINITY, |max, x| max.max(*x));
    let sum: f64 = logits.iter().map(|x| f64::from(x - max).exp()).sum();
    sum.ln() + f64::from(max) - logits.get(label).map_or(f64::NAN, |x| f64::from(*x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Architecture;
    use crate::quant::{Method, QuantizerSpec};
    use crate::seed::{Purpose, Seed};
    use crate::units::Bits;

    fn evaluator() -> (Evaluator, Images) {
        let quantizer =
            QuantizerSpec { method: Method::Wcat, bits: Bits::new(4).unwrap(), ..QuantizerSpec::default() };
        let network = Network::new(Architecture::Lenet5, 10, &quantizer, Seed(1), &Device::Cpu).unwrap().0;
        let mut stream = Seed(2).stream(Purpose::Test, &[]);
        let pixels: Vec<f32> = (0..250 * 784).map(|_| stream.normal() as f32).collect();
        let labels: Vec<u32> = (0..250).map(|i| i % 10).collect();
        let images = Images::new(&pixels, [1, 28, 28], &labels, &Device::Cpu).unwrap();
        (Evaluator::new(network).unwrap(), images)
    }

    #[test]
    fn rewriting_words_with_themselves_changes_nothing() {
        let (evaluator, images) = evaluator();
        let same: Vec<(usize, Word)> = evaluator.words().iter().copied().enumerate().step_by(7).collect();
        assert_eq!(evaluator.faulty(&same, &images).unwrap(), evaluator.clean(&images).unwrap());
        assert_eq!(evaluator.faulty(&[], &images).unwrap(), evaluator.clean(&images).unwrap());
    }

    #[test]
    fn faults_in_one_layer_read_as_the_same_layer_built_by_hand() {
        let (evaluator, images) = evaluator();
        let end = evaluator.words().len();
        let flipped = |index: usize| (index, crate::code::flip(evaluator.words()[index], 3));
        let faults: Vec<(usize, Word)> = (end - 84..end).map(flipped).collect();
        let mut weights = evaluator.clean.clone();
        let stored = evaluator.stored[4].as_ref().unwrap();
        let mut values = stored.values();
        for (value, fault) in values[9 * 84..].iter_mut().zip(&faults) {
            *value = stored.value(fault.1);
        }
        weights[4] = Tensor::from_vec(values, (10, 84), &Device::Cpu).unwrap();
        let faulty = evaluator.faulty(&faults, &images).unwrap();
        assert_eq!(faulty, score(&evaluator.network, &weights, &images).unwrap());
        assert_ne!(faulty.loss, evaluator.clean(&images).unwrap().loss);
        assert!(evaluator.faulty(&[(end, 0)], &images).is_err());
    }

    #[test]
    fn ties_go_to_the_first_class_and_not_a_number_is_wrong() {
        assert_eq!(predicted(&[1.0, 3.0, 3.0]), Some(1));
        assert_eq!(predicted(&[f32::NAN, 3.0]), None);
        assert_eq!(predicted(&[f32::NEG_INFINITY, f32::INFINITY]), Some(1));
        assert!((cross_entropy(&[0.0, 0.0], 1) - 2f64.ln()).abs() < 1e-12);
        assert!((cross_entropy(&[1e30, -1e30], 0)).abs() < 1e-12);
    }
}
