//! The weight of one layer: float parameter, learned range, and what is stored of it.

use super::init::initial_range;
use super::plclip::layer_range;
use super::scheme::{Quantized, Scheme};
use super::spec::{Method, QuantizerSpec};
use super::ste::straight_through;
use crate::code::{flip, Word};
use crate::error::{Result, TensorContext};
use crate::seed::{Purpose, Seed};
use candle_core::{Device, Tensor, Var};

/// Largest absolute value; 0 for an empty slice.
pub fn max_abs(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |max, w| w.abs().max(max))
}

/// Mean absolute value; 0 for an empty slice.
pub fn mean_abs(weights: &[f32]) -> f32 {
    let sum: f64 = weights.iter().map(|w| f64::from(w.abs())).sum();
    (sum / weights.len().max(1) as f64) as f32
}

/// Weight of a convolution or linear layer, quantised or float.
#[derive(Clone, Debug)]
pub struct QuantizedWeight {
    name: String,
    weight: Var,
    range: Option<Var>,
    scheme: Option<Scheme>,
    /// `wclip` or `plclip` of the user.
    clip: f32,
}

/// What the memory holds of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredWeight {
    /// One word per weight, row-major.
    pub words: Vec<Word>,
    /// Step: weight = code · step.
    pub step: f32,
    /// Method and format.
    pub scheme: Scheme,
    /// Shape of the weight.
    pub shape: Vec<usize>,
}

impl StoredWeight {
    /// The weight that a word reads as.
    pub fn value(&self, word: Word) -> f32 {
        f32::from(self.scheme.format.decode(word)) * self.step
    }

    /// Every weight, in memory order.
    pub fn values(&self) -> Vec<f32> {
        self.words.iter().map(|&word| self.value(word)).collect()
    }
}

/// Random bit flips of a training step (RandBET): fresh in every step and layer.
#[derive(Clone, Copy, Debug)]
pub struct TrainingFlips {
    /// Share of bits flipped.
    pub rate: f64,
    /// Root seed.
    pub seed: Seed,
    /// Step of the training, from 0.
    pub step: u64,
}

impl TrainingFlips {
    /// Flips bits of the codes of one layer, each with the rate, independently.
    fn apply(&self, layer: usize, scheme: &Scheme, codes: &mut [i16]) {
        let bits = u64::from(scheme.format.bits());
        let end = codes.len() as u64 * bits;
        let mut stream = self.seed.stream(Purpose::TrainingFlips, &[self.step, layer as u64]);
        let mut at = stream.skip(self.rate);
        while at < end {
            let code = &mut codes[(at / bits) as usize];
            *code = scheme.format.decode(flip(scheme.format.encode(*code), (at % bits) as u32));
            at += 1 + stream.skip(self.rate);
        }
    }
}

impl QuantizedWeight {
    /// A layer's weight under a quantiser; `skip` globs and `bits: 32` leave it float. A learned range starts
    /// from these weights; the second value is a warning, if there is one.
    ///
    /// # Errors
    /// A quantiser that does not check, or a tensor failure.
    pub fn new(name: &str, weight: Tensor, spec: &QuantizerSpec) -> Result<(Self, Option<String>)> {
        let scheme = if spec.skipped()?.is_match(name) { None } else { spec.scheme()? };
        let clip = spec.wclip.or(spec.plclip).unwrap_or(0.0) as f32;
        let weight = Var::from_tensor(&weight)?;
        let mut layer = Self { name: name.to_owned(), weight, range: None, scheme, clip };
        let warning = layer.restart_range(spec)?;
        Ok((layer, warning))
    }

    /// Sets a learned range anew from the present weights; returns a warning, if there is one.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn restart_range(&mut self, spec: &QuantizerSpec) -> Result<Option<String>> {
        let Some(scheme) = self.scheme.filter(Scheme::learns_range) else { return Ok(None) };
        let (init, rate) = spec.initialisation();
        let start = initial_range(&scheme, &self.values()?, init, rate)?;
        self.range = Some(Var::from_tensor(&Tensor::new(start.value, self.weight.device())?)?);
        Ok(start.fell_back.then(|| {
            format!("{}: `init: sawb` came out at 0 or below, `max_abs` is used instead", self.name)
        }))
    }

    /// Name of the layer, as in the state dict, without `.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The float weight.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The learned range, where the method has one.
    pub fn range(&self) -> Option<&Var> {
        self.range.as_ref()
    }

    /// Method and format; `None` for a float layer.
    pub fn scheme(&self) -> Option<&Scheme> {
        self.scheme.as_ref()
    }

    /// The float weights in row-major order.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn values(&self) -> Result<Vec<f32>> {
        let flat = || self.weight.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>();
        flat().during(|| format!("weights of {}", self.name))
    }

    /// The range that is in force: learned, fixed, or following the weights (`normal`: the largest weight).
    /// `network_max` is the largest weight of all quantised layers, which `plclip` reads.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn range_in_force(&self, weights: &[f32], network_max: f32) -> Result<f32> {
        Ok(match (&self.range, self.scheme.map(|s| s.method)) {
            (Some(range), _) => range.to_scalar::<f32>()?,
            (None, Some(Method::Wclip)) => self.clip,
            (None, Some(Method::Plclip)) => layer_range(self.clip, max_abs(weights), network_max),
            _ => max_abs(weights),
        })
    }

    /// The weight as the network uses it in training: quantised, with gradients to weight and range, after
    /// the flips of this training step if there are any.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn training_weight(
        &self,
        layer: usize,
        network_max: f32,
        flips: Option<&TrainingFlips>,
    ) -> Result<Tensor> {
        let Some(scheme) = &self.scheme else { return Ok(self.weight.as_tensor().clone()) };
        let weights = self.values()?;
        let range = self.range_in_force(&weights, network_max)?;
        let mut quantized: Quantized = scheme.quantize(&weights, range);
        if let Some(flips) = flips {
            flips.apply(layer, scheme, &mut quantized.codes);
        }
        straight_through(
            quantized.values(),
            scheme.slopes(&weights, range),
            &self.weight,
            self.range.as_ref(),
        )
    }

    /// What the memory holds of this layer; `None` for a float layer.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn stored(&self, network_max: f32) -> Result<Option<StoredWeight>> {
        let Some(scheme) = self.scheme else { return Ok(None) };
        let weights = self.values()?;
        let quantized = scheme.quantize(&weights, self.range_in_force(&weights, network_max)?);
        Ok(Some(StoredWeight {
            words: quantized.codes.iter().map(|&code| scheme.format.encode(code)).collect(),
            step: quantized.step,
            scheme,
            shape: self.weight.dims().to_vec(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Ber, Bits};

    fn layer(method: Method, edit: impl FnOnce(&mut QuantizerSpec)) -> QuantizedWeight {
        let mut spec = QuantizerSpec { method, bits: Bits::new(4).unwrap(), ..QuantizerSpec::default() };
        edit(&mut spec);
        let weight = Seed(1).stream(Purpose::Test, &[]).normal_tensor(0.2, (10, 50)).unwrap();
        QuantizedWeight::new("fc", weight, &spec).unwrap().0
    }

    #[test]
    fn training_sees_exactly_what_the_memory_stores() {
        for method in Method::ALL {
            let layer = layer(method, |spec| match method {
                Method::Wclip => spec.wclip = Some(0.3),
                Method::Plclip => spec.plclip = Some(0.3),
                _ => {}
            });
            let trained = layer.training_weight(0, 1.0, None).unwrap().flatten_all().unwrap();
            let stored = layer.stored(1.0).unwrap().unwrap();
            assert_eq!(trained.to_vec1::<f32>().unwrap(), stored.values(), "{method}");
        }
    }

    #[test]
    fn every_parameter_gets_a_gradient() {
        for method in [Method::Wcat, Method::Lsq] {
            let layer = layer(method, |spec| {
                if method == Method::Wcat {
                    spec.init = Some(super::super::Init::Mse);
                }
            });
            let out = layer.training_weight(0, 1.0, None).unwrap();
            let gradients = out.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            assert!(gradients.get(layer.weight()).is_some());
            let range = gradients.get(layer.range().unwrap()).unwrap().to_scalar::<f32>().unwrap();
            assert!(range != 0.0, "{method}");
        }
    }

    #[test]
    fn training_flips_have_the_binomial_mean_and_variance_and_are_fresh_in_each_step() {
        let layer = layer(Method::Wclip, |spec| {
            spec.wclip = Some(0.3);
            spec.train_bit_error_rate = Ber::new(0.05).unwrap();
        });
        let clean = layer.stored(1.0).unwrap().unwrap().words;
        let scheme = *layer.scheme().unwrap();
        let flipped = |step| {
            let flips = TrainingFlips { rate: 0.05, seed: Seed(3), step };
            let mut codes: Vec<i16> = clean.iter().map(|&w| scheme.format.decode(w)).collect();
            flips.apply(0, &scheme, &mut codes);
            let words: Vec<Word> = codes.iter().map(|&c| scheme.format.encode(c)).collect();
            crate::code::hamming_distance(&clean, &words).unwrap() as f64
        };
        let counts: Vec<f64> = (0..500).map(flipped).collect();
        let mean = counts.iter().sum::<f64>() / 500.0;
        let variance = counts.iter().map(|c| (c - mean).powi(2)).sum::<f64>() / 499.0;
        // 2000 bits at 5 %: mean 100, variance 95
        assert!((mean - 100.0).abs() < 2.0, "{mean}");
        assert!((variance - 95.0).abs() < 25.0, "{variance}");
        assert_eq!(flipped(0), counts[0]);
    }

    #[test]
    fn skipped_layers_and_32_bits_stay_float() {
        let skipped = layer(Method::Normal, |spec| spec.skip = vec!["f*".into()]);
        assert!(skipped.stored(1.0).unwrap().is_none());
        let float = layer(Method::Normal, |spec| spec.bits = Bits::FLOAT);
        assert_eq!(float.training_weight(0, 1.0, None).unwrap().dims(), [10, 50]);
        assert!(float.scheme().is_none());
    }
}
