//! The weight of one layer: float parameter, learned range, and what is stored of it.

use super::fused::StraightThrough;
use super::init::initial_range;
use super::plclip::layer_range;
use super::scheme::Scheme;
use super::spec::{Method, QuantizerSpec};
use super::ste::straight_through;
use super::stored::{Scale, StoredWeight};
use crate::code::{flip, CodeFormat};
use crate::error::{refuse, Error, Result, TensorContext};
use crate::kernel::with_values;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Device, Tensor, Var};

/// Largest absolute value; 0 for an empty slice. NaN counts for nothing.
pub fn max_abs(weights: &[f32]) -> f32 {
    // a maximum for each place in a chunk: they do not wait for each other
    let greater = |max: f32, w: f32| if w.abs() > max { w.abs() } else { max };
    let mut lanes = [0.0f32; 32];
    let (chunks, rest) = weights.as_chunks::<32>();
    for chunk in chunks {
        lanes
            .iter_mut()
            .zip(chunk)
            .for_each(|(max, &w)| *max = greater(*max, w));
    }
    lanes
        .into_iter()
        .chain(rest.iter().copied())
        .fold(0.0, greater)
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
    /// Codes that came with a file: then there is neither scheme nor range, and the weight is what they read as.
    given: Option<StoredWeight>,
}

/// Random bit flips of a training step (RandBET): fresh in every step and layer.
#[derive(Clone, Copy, Debug)]
pub struct TrainingFlips {
    /// Fraction of bits flipped.
    pub rate: f64,
    /// Root seed.
    pub seed: Seed,
    /// Step of the training, from 0.
    pub step: u64,
}

impl TrainingFlips {
    /// Calls `flip(weight, bit)` for each flipped bit among `weights` codes of `bits` bits of one layer, by rising
    /// weight; every bit has the rate, independently.
    pub(super) fn each(
        &self,
        layer: usize,
        bits: u32,
        weights: usize,
        mut flip: impl FnMut(usize, u32),
    ) {
        let bits = u64::from(bits);
        let end = weights as u64 * bits;
        let mut stream = self
            .seed
            .stream(Purpose::TrainingFlips, &[self.step, layer as u64]);
        let mut at = stream.skip(self.rate);
        while at < end {
            flip((at / bits) as usize, (at % bits) as u32);
            at += 1 + stream.skip(self.rate);
        }
    }

    /// Flips bits of the codes of one layer.
    fn apply(&self, layer: usize, scheme: &Scheme, codes: &mut [i16]) {
        self.each(layer, scheme.format.bits(), codes.len(), |weight, bit| {
            let code = &mut codes[weight];
            *code = scheme.format.decode(flip(scheme.format.encode(*code), bit));
        });
    }
}

impl QuantizedWeight {
    /// A layer's weight under a quantiser; `skip` globs and `bits: 32` leave it float. A learned range starts
    /// from these weights; the second value is a warning, if there is one.
    ///
    /// # Errors
    /// A quantiser that does not check, or a tensor failure.
    pub fn new(name: &str, weight: Tensor, spec: &QuantizerSpec) -> Result<(Self, Option<String>)> {
        let scheme = spec.scheme_of(name)?;
        let clip = spec.wclip.or(spec.plclip).unwrap_or(0.0) as f32;
        let weight = Var::from_tensor(&weight)?;
        let mut layer = Self {
            name: name.to_owned(),
            weight,
            range: None,
            scheme,
            clip,
            given: None,
        };
        let warning = layer.restart_range(spec)?;
        Ok((layer, warning))
    }

    /// A layer whose codes came with a file: the memory holds them as they are, whatever the quantiser of the network
    /// says.
    ///
    /// # Errors
    /// As [`StoredWeight::check`], or a tensor failure.
    pub fn given(name: &str, stored: StoredWeight, device: &Device) -> Result<Self> {
        stored.check(name)?;
        let weight = Tensor::from_vec(stored.values(), stored.shape.as_slice(), &Device::Cpu)?;
        Ok(Self {
            name: name.to_owned(),
            weight: Var::from_tensor(&weight.to_device(device)?)?,
            range: None,
            scheme: None,
            clip: 0.0,
            given: Some(stored),
        })
    }

    /// The layer of the float weights under a quantiser, without codes of a file; as [`Self::new`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn requantized(&self, spec: &QuantizerSpec) -> Result<(Self, Option<String>)> {
        Self::new(&self.name, self.weight.as_detached_tensor(), spec)
    }

    /// Sets a learned range anew from the present weights; returns a warning, if there is one.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn restart_range(&mut self, spec: &QuantizerSpec) -> Result<Option<String>> {
        let Some(scheme) = self.scheme.filter(Scheme::learns_range) else {
            return Ok(None);
        };
        let (init, rate) = spec.initialisation();
        let start = initial_range(&scheme, &self.values()?, init, rate)?;
        self.range = Some(Var::from_tensor(&Tensor::new(
            start.value,
            self.weight.device(),
        )?)?);
        Ok(start.fell_back.then(|| {
            format!(
                "{}: `init: sawb` came out at 0 or below, `max_abs` is used instead",
                self.name
            )
        }))
    }

    /// Name of the layer, as in the state dict, without `.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The float weight; of codes that came with a file what they read as, and no parameter of a training.
    pub fn weight(&self) -> &Var {
        &self.weight
    }

    /// The learned range, where the method has one.
    pub fn range(&self) -> Option<&Var> {
        self.range.as_ref()
    }

    /// Method and format; `None` for a float layer and for codes that came with a file, which no method made.
    pub fn scheme(&self) -> Option<&Scheme> {
        self.scheme.as_ref()
    }

    /// The codes that came with a file, where there are such.
    pub fn given_codes(&self) -> Option<&StoredWeight> {
        self.given.as_ref()
    }

    /// Width and sign of the stored codes; `None` for a float layer.
    pub fn format(&self) -> Option<CodeFormat> {
        let given = self.given.as_ref().map(|given| given.format);
        given.or(self.scheme.map(|scheme| scheme.format))
    }

    /// Refuses a layer whose codes came with a file: there are no floats that a training could change.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the layer.
    pub fn check_trainable(&self) -> Result<()> {
        if self.given.is_none() {
            return Ok(());
        }
        let expected =
            "weights that a training can change (`--requantize` makes them of the codes)";
        refuse(
            format!("weights of layer `{}`", self.name),
            expected,
            "codes that came with the file",
        )
    }

    /// The float weights in row-major order.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn values(&self) -> Result<Vec<f32>> {
        self.host_values()
            .during(|| format!("weights of {}", self.name))
    }

    fn host_values(&self) -> candle_core::Result<Vec<f32>> {
        let flat = self.weight.flatten_all()?;
        flat.to_device(&Device::Cpu)?.to_vec1::<f32>()
    }

    /// The range that is in force: learned, fixed, or following the weights (`normal`: the largest weight).
    /// `network_max` is the largest weight of all quantised layers, which `plclip` reads.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn range_in_force(&self, weights: &[f32], network_max: f32) -> Result<f32> {
        self.range_under(weights, network_max)
            .during(|| format!("range of {}", self.name))
    }

    fn range_under(&self, weights: &[f32], network_max: f32) -> candle_core::Result<f32> {
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
    /// As [`Self::check_trainable`], or a tensor failure.
    pub fn training_weight(
        &self,
        layer: usize,
        network_max: f32,
        flips: Option<&TrainingFlips>,
    ) -> Result<Tensor> {
        self.check_trainable()?;
        let Some(scheme) = self.scheme else {
            return Ok(self.weight.as_tensor().clone());
        };
        let flips = flips.map(|flips| (*flips, layer));
        let tensor = if self.weight.device().is_cpu() && self.weight.dtype() == DType::F32 {
            self.fused_weight(scheme, network_max, flips)
        } else {
            self.plain_weight(scheme, network_max, flips)
        };
        tensor.during(|| format!("quantised weights of {}", self.name))
    }

    /// In one pass on the CPU.
    fn fused_weight(
        &self,
        scheme: Scheme,
        network_max: f32,
        flips: Option<(TrainingFlips, usize)>,
    ) -> candle_core::Result<Tensor> {
        let range = with_values(&self.weight, |weights| {
            Ok(self.range_under(weights, network_max))
        })??;
        StraightThrough {
            scheme,
            range,
            flips,
        }
        .apply(&self.weight, self.range.as_ref())
    }

    /// As tensor operations, on any device; the fused weight is tested against it.
    fn plain_weight(
        &self,
        scheme: Scheme,
        network_max: f32,
        flips: Option<(TrainingFlips, usize)>,
    ) -> candle_core::Result<Tensor> {
        let weights = self.host_values()?;
        let range = self.range_under(&weights, network_max)?;
        let mut quantized = scheme.quantize(&weights, range);
        if let Some((flips, layer)) = flips {
            flips.apply(layer, &scheme, &mut quantized.codes);
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
    /// [`Error::Argument`] where a weight or the step is not finite: no code stands for such a number. A tensor failure.
    pub fn stored(&self, network_max: f32) -> Result<Option<StoredWeight>> {
        let Some(scheme) = self.scheme else {
            return Ok(self.given.clone());
        };
        let weights = self.values()?;
        let refused = |what: &str, found: String| {
            let what = format!("{what} of layer `{}`", self.name);
            Error::argument(what, "finite numbers", found)
        };
        if let Some(index) = weights.iter().position(|weight| !weight.is_finite()) {
            let found = format!("{} at index {index}", weights[index]);
            return Err(refused("weights", found));
        }
        let quantized = scheme.quantize(&weights, self.range_in_force(&weights, network_max)?);
        if !quantized.step.is_finite() {
            return Err(refused("step", quantized.step.to_string()));
        }
        Ok(Some(StoredWeight {
            words: quantized
                .codes
                .iter()
                .map(|&code| scheme.format.encode(code))
                .collect(),
            scales: vec![Scale::of_step(quantized.step)],
            format: scheme.format,
            shape: self.weight.dims().to_vec(),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::code::Word;
    use crate::quant::stored::tests::two_channels;
    use crate::quant::ClipGradient;
    use crate::units::{Ber, Bits};

    fn layer(method: Method, edit: impl FnOnce(&mut QuantizerSpec)) -> QuantizedWeight {
        let mut spec = QuantizerSpec {
            method,
            bits: Bits::new(4).unwrap(),
            ..QuantizerSpec::default()
        };
        edit(&mut spec);
        let weight = Seed(1)
            .stream(Purpose::Test, &[])
            .normal_tensor(0.2, (10, 50))
            .unwrap();
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
            let trained = layer
                .training_weight(0, 1.0, None)
                .unwrap()
                .flatten_all()
                .unwrap();
            let stored = layer.stored(1.0).unwrap().unwrap();
            assert_eq!(
                trained.to_vec1::<f32>().unwrap(),
                stored.values(),
                "{method}"
            );
        }
    }

    /// Layers of every method, format and option, half of whose weights lie beyond the range.
    fn layers(train_bit_error_rate: f64) -> Vec<QuantizedWeight> {
        let mut all = Vec::new();
        for (method, bits, signed) in Method::ALL
            .into_iter()
            .flat_map(|method| (1..=8).map(move |bits| (method, bits)))
            .flat_map(|(method, bits)| [true, false].map(|signed| (method, bits, signed)))
        {
            let gradients = [ClipGradient::Ste, ClipGradient::Pwl, ClipGradient::Mad];
            for clip_gradient in
                gradients
                    .into_iter()
                    .take(if method == Method::Wcat { 3 } else { 1 })
            {
                let layer = layer(method, |spec| {
                    (spec.bits, spec.signed) = (Bits::new(bits).unwrap(), signed);
                    spec.train_bit_error_rate = Ber::new(train_bit_error_rate).unwrap();
                    spec.clip_gradient = (method == Method::Wcat).then_some(clip_gradient);
                    spec.wclip = (method == Method::Wclip).then_some(0.13);
                    spec.plclip = (method == Method::Plclip).then_some(0.13);
                });
                if let Some(range) = layer.range() {
                    let range_of = if method == Method::Lsq {
                        0.13 / 2f32.powi(bits as i32 - 1)
                    } else {
                        0.13
                    };
                    range
                        .set(&Tensor::new(range_of, &Device::Cpu).unwrap())
                        .unwrap();
                }
                all.push(layer);
            }
        }
        all
    }

    fn bits_of(tensor: &Tensor) -> Vec<u32> {
        let values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        // adding 0 gives -0 the sign of 0
        values.into_iter().map(|x| (x + 0.0).to_bits()).collect()
    }

    /// Value, gradient of the weight and gradient of the range of a training weight, as bits.
    fn passed_through(layer: &QuantizedWeight, out: &Tensor) -> [Vec<u32>; 3] {
        let upstream = Seed(2)
            .stream(Purpose::Test, &[])
            .normal_tensor(1.0, (10, 50))
            .unwrap();
        let gradients = (out * upstream)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let range = layer
            .range()
            .map_or(Vec::new(), |range| bits_of(gradients.get(range).unwrap()));
        [
            bits_of(out),
            bits_of(gradients.get(layer.weight()).unwrap()),
            range,
        ]
    }

    #[test]
    fn the_fused_weight_gives_the_bits_of_the_plain_one() {
        for rate in [0.0, 0.1] {
            let flips = TrainingFlips {
                rate,
                seed: Seed(3),
                step: 4,
            };
            let flips = (rate > 0.0).then_some((flips, 2));
            for layer in layers(rate) {
                let scheme = *layer.scheme().unwrap();
                let fused =
                    passed_through(&layer, &layer.fused_weight(scheme, 1.0, flips).unwrap());
                let plain =
                    passed_through(&layer, &layer.plain_weight(scheme, 1.0, flips).unwrap());
                assert_eq!(fused[..2], plain[..2], "{scheme:?} {rate}");
                // candle adds in this order where the machine has AVX2
                let near = |a: &u32, b: &u32| {
                    (f32::from_bits(*a) - f32::from_bits(*b)).abs()
                        < 1e-4 * f32::from_bits(*b).abs()
                };
                let same = |a: &u32, b: &u32| a == b;
                let avx2 = cfg!(target_arch = "x86_64") && std::is_x86_feature_detected!("avx2");
                let equal = if avx2 {
                    same as fn(&u32, &u32) -> bool
                } else {
                    near
                };
                assert!(
                    fused[2].iter().zip(&plain[2]).all(|(a, b)| equal(a, b)),
                    "{scheme:?} {rate}"
                );
                assert_eq!(fused[2].len(), usize::from(scheme.learns_range()));
            }
        }
    }

    #[test]
    fn a_weight_or_range_that_is_not_finite_shows_in_the_values() {
        for layer in layers(0.0) {
            let scheme = *layer.scheme().unwrap();
            let is_nan = || {
                let out = layer
                    .training_weight(0, 1.0, None)
                    .unwrap()
                    .flatten_all()
                    .unwrap();
                out.to_vec1::<f32>().unwrap().iter().any(|x| x.is_nan())
            };
            assert!(!is_nan(), "{scheme:?}");
            for bad in [f32::NAN, f32::INFINITY] {
                let good = layer.weight().as_detached_tensor().copy().unwrap();
                let mut values = layer.values().unwrap();
                values[77] = bad;
                layer
                    .weight()
                    .set(&Tensor::from_vec(values, (10, 50), &Device::Cpu).unwrap())
                    .unwrap();
                assert!(is_nan(), "{scheme:?} {bad}");
                let error = layer.stored(1.0).unwrap_err().to_string();
                assert!(error.contains("index 77"), "{error}");
                layer.weight().set(&good).unwrap();
            }
            if let Some(range) = layer.range() {
                range
                    .set(&Tensor::new(f32::NAN, &Device::Cpu).unwrap())
                    .unwrap();
                assert!(is_nan(), "{scheme:?}");
                assert!(layer.stored(1.0).is_err());
            }
        }
    }

    #[test]
    fn the_largest_weight_is_found_wherever_it_stands_and_not_a_number_is_none() {
        for n in [1usize, 31, 32, 33, 100] {
            for at in 0..n {
                let mut weights = vec![-0.5f32; n];
                weights[at] = -2.0;
                assert_eq!(max_abs(&weights), 2.0, "{n} {at}");
            }
        }
        assert_eq!(max_abs(&[]), 0.0);
        assert_eq!(max_abs(&[f32::NAN, 1.0, f32::NAN]), 1.0);
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
            let range = gradients
                .get(layer.range().unwrap())
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
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
            let flips = TrainingFlips {
                rate: 0.05,
                seed: Seed(3),
                step,
            };
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
    fn codes_of_a_file_stay_and_are_trained_by_nobody() {
        let layer = QuantizedWeight::given("fc", two_channels(), &Device::Cpu).unwrap();
        assert_eq!(layer.stored(0.0).unwrap(), Some(two_channels()));
        assert_eq!(layer.stored(9.0).unwrap().as_ref(), layer.given_codes());
        assert_eq!(layer.values().unwrap(), [3.5, -4.0, 1.0, 0.0]);
        assert_eq!(layer.weight().dims(), [2, 2]);
        assert!(layer.scheme().is_none() && layer.range().is_none());
        assert_eq!(layer.format(), Some(two_channels().format));
        let error = layer.training_weight(0, 0.0, None).unwrap_err();
        assert!(error.is_wrong_input(), "{error}");
        let error = error.to_string();
        assert!(
            error.contains("`fc`") && error.contains("--requantize"),
            "{error}"
        );

        let mut wrong = two_channels();
        wrong.scales[1].step = 0.0;
        let error = QuantizedWeight::given("fc", wrong, &Device::Cpu).unwrap_err();
        assert!(error.to_string().contains("channel 1"), "{error}");
    }

    #[test]
    fn codes_of_a_file_are_quantised_anew_where_that_is_wanted() {
        let layer = QuantizedWeight::given("fc", two_channels(), &Device::Cpu).unwrap();
        let spec = QuantizerSpec {
            bits: Bits::new(2).unwrap(),
            ..QuantizerSpec::default()
        };
        let (again, warning) = layer.requantized(&spec).unwrap();
        // the largest weight, 4, is two steps; the highest code is 1, and halves round to even
        let stored = again.stored(0.0).unwrap().unwrap();
        assert_eq!((stored.step(), warning), (Some(2.0), None));
        assert_eq!(stored.values(), [2.0, -4.0, 0.0, 0.0]);
        assert_eq!(again.training_weight(0, 0.0, None).unwrap().dims(), [2, 2]);
        let (float, _) = layer.requantized(&QuantizerSpec::default()).unwrap();
        assert!(float.stored(0.0).unwrap().is_none());
        assert_eq!(float.values().unwrap(), layer.values().unwrap());
    }

    #[test]
    fn skipped_layers_and_32_bits_stay_float() {
        let skipped = layer(Method::Normal, |spec| spec.skip = vec!["f*".into()]);
        assert!(skipped.stored(1.0).unwrap().is_none());
        let float = layer(Method::Normal, |spec| spec.bits = Bits::FLOAT);
        assert_eq!(
            float.training_weight(0, 1.0, None).unwrap().dims(),
            [10, 50]
        );
        assert!(float.scheme().is_none());
    }
}
