//! The weights of a network's layers, float beside stored, and their numbers: ranges, clipped weights, bits set.

use super::network::Network;
use crate::error::Result;
use crate::quant::{Scale, StoredWeight};

/// The weights of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerWeights {
    /// Name of the layer.
    pub name: String,
    /// Shape of the weight.
    pub shape: Vec<usize>,
    /// Float weights, row-major.
    pub values: Vec<f32>,
    /// Quantisation range in force (the step for `lsq`); `None` for a float layer and codes that came with a file.
    pub range: Option<f32>,
    /// What the memory holds; `None` for a float layer.
    pub stored: Option<StoredWeight>,
}

/// Numbers of one layer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerSummary {
    /// Name of the layer.
    pub name: String,
    /// Shape of the weight.
    pub shape: Vec<usize>,
    /// Number of weights.
    pub weights: usize,
    /// Bits of a weight; 32 for a float layer.
    pub bits: u32,
    /// Quantisation range in force (the step for `lsq`); `None` for a float layer, as all that follows, and for codes
    /// that came with a file.
    pub range: Option<f32>,
    /// Difference between neighbouring codes; `None` too where output channels have their own.
    pub step: Option<f32>,
    /// How codes read: one for the layer, or one for each output channel; empty for a float layer.
    pub scales: Vec<Scale>,
    /// Fraction of the float weights beyond the lowest or highest code.
    pub clipped_share: Option<f64>,
    /// Fraction of the stored bits that are 1.
    pub bits_set_share: Option<f64>,
    /// Fraction of all stored bits, and so of the energy of reading every weight once.
    pub energy_share: Option<f64>,
}

/// The weights of every layer, in memory order.
///
/// # Errors
/// A tensor failure.
pub fn layer_weights(network: &Network) -> Result<Vec<LayerWeights>> {
    let (stored, ranges) = (network.stored()?, network.ranges()?);
    let layers = network.layers().iter().zip(stored.into_iter().zip(ranges));
    layers
        .map(|(layer, (stored, (name, range)))| {
            let shape = layer.weight().dims().to_vec();
            Ok(LayerWeights {
                name,
                shape,
                values: layer.values()?,
                range: layer.scheme().map(|_| range),
                stored,
            })
        })
        .collect()
}

impl LayerWeights {
    /// The lowest and the highest weight that the memory can hold; `None` for a float layer.
    pub fn limits(&self) -> Option<(f32, f32)> {
        Some(self.stored.as_ref()?.limits())
    }

    fn stored_bits(&self) -> Option<f64> {
        let stored = self.stored.as_ref()?;
        Some(stored.words.len() as f64 * f64::from(stored.format.bits()))
    }

    /// Fraction of the float weights beyond the lowest or highest code; `None` for a float layer and without weights.
    pub fn clipped_share(&self) -> Option<f64> {
        let stored = self.stored.as_ref().filter(|_| !self.values.is_empty())?;
        let mut beyond = 0;
        for (scale, weights) in stored.by_scale(&self.values) {
            let (low, high) = scale.limits(stored.format);
            beyond += weights.iter().filter(|w| **w < low || **w > high).count();
        }
        Some(beyond as f64 / self.values.len() as f64)
    }
}

/// The numbers of every layer.
pub fn layer_summaries(layers: &[LayerWeights]) -> Vec<LayerSummary> {
    let all_bits: f64 = layers.iter().filter_map(LayerWeights::stored_bits).sum();
    let summary = |layer: &LayerWeights| {
        let stored = layer.stored.as_ref();
        let bits = layer.stored_bits().filter(|bits| *bits > 0.0);
        let ones = stored.map(|s| s.words.iter().map(|w| f64::from(w.count_ones())).sum());
        LayerSummary {
            name: layer.name.clone(),
            shape: layer.shape.clone(),
            weights: layer.values.len(),
            bits: stored.map_or(32, |stored| stored.format.bits()),
            range: layer.range,
            step: stored.and_then(StoredWeight::step),
            scales: stored.map_or_else(Vec::new, |stored| stored.scales.clone()),
            clipped_share: layer.clipped_share(),
            bits_set_share: bits.zip(ones).map(|(bits, ones): (f64, f64)| ones / bits),
            energy_share: bits.map(|bits| bits / all_bits),
        }
    };
    layers.iter().map(summary).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::code::CodeFormat;
    use crate::quant::{ClipGradient, Method, Scheme};
    use crate::units::Bits;

    /// A layer of given weights under a range.
    pub(crate) fn layer(name: &str, bits: u64, values: &[f32], range: f32) -> LayerWeights {
        let format = CodeFormat::new(Bits::new(bits).unwrap(), true).unwrap();
        let scheme = Scheme {
            method: Method::Wcat,
            format,
            clip_gradient: ClipGradient::Mad,
            grad_scale: true,
        };
        let quantized = scheme.quantize(values, range);
        let stored = StoredWeight {
            words: quantized
                .codes
                .iter()
                .map(|&code| format.encode(code))
                .collect(),
            scales: vec![Scale::of_step(quantized.step)],
            format,
            shape: vec![values.len()],
        };
        let (name, shape) = (name.to_owned(), vec![values.len()]);
        LayerWeights {
            name,
            shape,
            values: values.to_vec(),
            range: Some(range),
            stored: Some(stored),
        }
    }

    #[test]
    fn every_number_of_a_tiny_layer_is_as_by_hand() {
        // step 0.5: codes -2 (10), -2 (10), 0 (00), 1 (01), 1 (01); 0.5 is the highest weight that is stored
        let a = layer("a", 2, &[-1.5, -1.0, 0.0, 0.5, 0.75], 1.0);
        let b = layer("b", 4, &[0.0; 10], 1.0);
        let float = LayerWeights {
            range: None,
            stored: None,
            ..a.clone()
        };
        let summaries = layer_summaries(&[a, b, float]);
        assert_eq!(
            summaries[0],
            LayerSummary {
                name: "a".into(),
                shape: vec![5],
                weights: 5,
                bits: 2,
                range: Some(1.0),
                step: Some(0.5),
                scales: vec![Scale::of_step(0.5)],
                clipped_share: Some(0.4),
                bits_set_share: Some(0.4),
                energy_share: Some(0.2),
            }
        );
        assert_eq!(
            (summaries[1].bits_set_share, summaries[1].energy_share),
            (Some(0.0), Some(0.8))
        );
        let float = &summaries[2];
        assert_eq!(
            (float.bits, float.range, float.step, float.clipped_share),
            (32, None, None, None)
        );
        assert_eq!((float.bits_set_share, float.energy_share), (None, None));
    }

    #[test]
    fn codes_of_a_file_have_steps_but_no_range_and_are_not_clipped() {
        use crate::quant::{channel_wise, QuantizerSpec};
        let spec = QuantizerSpec::default();
        let device = candle_core::Device::Cpu;
        let architecture = crate::net::Architecture::Lenet5;
        let seed = crate::seed::Seed(1);
        let mut network = Network::new(architecture, 10, &spec, seed, &device)
            .unwrap()
            .0;
        let stored = channel_wise(&[10, 84], 3, false);
        network.keep_codes("fc3", stored.clone()).unwrap();
        let summaries = layer_summaries(&layer_weights(&network).unwrap());
        let fc3 = &summaries[4];
        assert_eq!((fc3.bits, fc3.range, fc3.step), (3, None, None));
        assert_eq!(fc3.scales, stored.scales);
        assert_eq!(
            (fc3.clipped_share, fc3.energy_share),
            (Some(0.0), Some(1.0))
        );
        assert!(summaries[3].scales.is_empty() && summaries[3].bits == 32);
    }

    #[test]
    fn clipping_is_counted_by_the_codes_of_the_channel() {
        let mut wide = layer("a", 2, &[-1.5, 0.5, -1.5, 1.0], 1.0);
        let stored = wide.stored.as_mut().unwrap();
        // codes -2 to 1: weights -1 to 0.5 in the first channel, -2 to 1 in the second
        stored.scales = vec![Scale::of_step(0.5), Scale::of_step(1.0)];
        assert_eq!(wide.clipped_share(), Some(0.25));
        assert_eq!(wide.limits(), Some((-2.0, 1.0)));
    }

    #[test]
    fn the_weights_of_a_network_are_those_of_its_layers() {
        use crate::quant::QuantizerSpec;
        let spec = QuantizerSpec {
            method: Method::Wcat,
            bits: Bits::new(4).unwrap(),
            skip: vec!["fc1".into()],
            ..QuantizerSpec::default()
        };
        let device = candle_core::Device::Cpu;
        let network = Network::new(
            crate::net::Architecture::Lenet5,
            10,
            &spec,
            crate::seed::Seed(1),
            &device,
        )
        .unwrap()
        .0;
        let layers = layer_weights(&network).unwrap();
        for ((layer, own), stored) in layers
            .iter()
            .zip(network.layers())
            .zip(network.stored().unwrap())
        {
            assert_eq!(
                (layer.name.as_str(), &layer.values),
                (own.name(), &own.values().unwrap())
            );
            assert_eq!(
                (&layer.stored, layer.range.is_some()),
                (&stored, own.name() != "fc1")
            );
        }
    }
}
