//! Mixed precision: a greedy search over the widths of a network's layers, without training.

use crate::engine::{score, Images};
use crate::error::{refuse, Error, Result};
use crate::net::Model;
use crate::quant::QuantizerSpec;
use crate::units::Bits;
use candle_core::Tensor;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

/// A network with a width for each layer.
#[derive(Clone, Debug, PartialEq)]
pub struct Widths {
    /// Bits of each stored layer, in memory order, by name.
    pub bits: Vec<(String, Bits)>,
    /// Stored weights.
    pub weights: u64,
    /// Stored bits of the whole network.
    pub stored_bits: u64,
    /// Mean cross-entropy on the images of the search, in nats.
    pub loss: f64,
    /// Fraction of the images of the search that is classified correctly.
    pub accuracy: f64,
}

impl Widths {
    /// Bits of a weight in the mean.
    pub fn mean_bits(&self) -> f64 {
        self.stored_bits as f64 / self.weights.max(1) as f64
    }
}

/// A model and what the search may do with it.
#[derive(Debug)]
pub struct PrecisionSearch<'a> {
    /// The model: float, or trained with a quantiser whose ranges do not depend on the width (not `lsq`).
    pub model: &'a Model,
    /// Quantiser of a float model; a trained one keeps its own.
    pub quantizer: &'a QuantizerSpec,
    /// Widths that a layer may have.
    pub widths: &'a [Bits],
    /// Images that choices are judged on; not those of the test set.
    pub images: &'a Images,
    /// Once raised, the next evaluation returns [`Error::Interrupted`].
    pub cancel: &'a AtomicBool,
    /// Ranges of the layers of a float model at each width that was met, each searched once; empty at first.
    pub ranges: RefCell<BTreeMap<Bits, Vec<(String, Tensor)>>>,
}

/// A candidate: one layer at the next lower width.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    layer: usize,
    /// Loss that it adds, as last measured, per stored bit that it saves.
    price: f64,
    /// Number of steps taken when it was measured.
    measured: usize,
}

impl PrecisionSearch<'_> {
    /// From the greatest width everywhere to the least: in each step the layer goes down by one width that adds least
    /// loss for each stored bit saved. The price of a candidate is measured anew only while it is the cheapest on the
    /// list (the lazy greedy of Minoux 1978; exact where prices only rise). The first entry has the greatest width in
    /// every layer, the last the least.
    ///
    /// # Errors
    /// [`Error::Argument`] without a width, for a float width, or for a model that cannot change its widths;
    /// [`Error::Interrupted`]; as [`score`].
    pub fn run(&self) -> Result<Vec<Widths>> {
        let mut widths = self.widths.to_vec();
        widths.sort_unstable_by(|a, b| b.cmp(a));
        widths.dedup();
        let Some(most) = widths.first().copied() else {
            return refuse("explore.widths", "at least one width", "none");
        };
        if most.is_float() {
            return refuse("explore.widths", "widths of 1 to 8 bits", "32");
        }
        let layers = self.layers(most)?;
        let mut places = vec![0; layers.len()];
        let mut path = vec![self.measure(&layers, &widths, &places)?];
        let mut candidates: Vec<Candidate> = Vec::new();
        for layer in (0..layers.len()).filter(|_| widths.len() > 1) {
            let price = self.price(&layers, &widths, &places, layer, &path[0])?;
            candidates.push(Candidate {
                layer,
                price,
                measured: 0,
            });
        }
        while let Some(next) = cheapest(&candidates) {
            let steps = path.len() - 1;
            let now = &path[steps];
            if candidates[next].measured < steps {
                let layer = candidates[next].layer;
                candidates[next].price = self.price(&layers, &widths, &places, layer, now)?;
                candidates[next].measured = steps;
                continue;
            }
            let layer = candidates[next].layer;
            places[layer] += 1;
            path.push(self.measure(&layers, &widths, &places)?);
            if places[layer] + 1 < widths.len() {
                // its next step is unknown: first in line to be measured
                (candidates[next].price, candidates[next].measured) = (f64::NEG_INFINITY, 0);
            } else {
                candidates.swap_remove(next);
            }
        }
        Ok(path)
    }

    /// Every width for all layers.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn uniform(&self, path: &[Widths]) -> Result<Vec<Widths>> {
        let Some(first) = path.first() else {
            return Ok(Vec::new());
        };
        let layers = self.layers(first.bits.first().map_or(Bits::FLOAT, |(_, bits)| *bits))?;
        let all = self
            .widths
            .iter()
            .map(|bits| self.measure(&layers, &[*bits], &vec![0; layers.len()]));
        all.collect()
    }

    /// Names and numbers of weights of the layers that are stored.
    fn layers(&self, bits: Bits) -> Result<Vec<(String, u64)>> {
        let network = self.at(bits, BTreeMap::new())?.network;
        let stored = network
            .layers()
            .iter()
            .filter(|layer| layer.scheme().is_some());
        Ok(stored
            .map(|layer| (layer.name().to_owned(), layer.weight().elem_count() as u64))
            .collect())
    }

    /// The model with a width for all layers but some.
    fn at(&self, bits: Bits, layer_bits: BTreeMap<String, Bits>) -> Result<Model> {
        let own = &self.model.info.quantizer;
        let trained = !own.bits.is_float();
        let base = if trained { own } else { self.quantizer };
        let quantizer = QuantizerSpec {
            bits,
            layer_bits,
            ..base.clone()
        };
        if trained {
            return self.model.at_widths(&quantizer);
        }
        let mut ranges = Vec::new();
        let others = quantizer
            .layer_bits
            .iter()
            .map(|(layer, bits)| (Some(layer), *bits));
        for (only, width) in std::iter::once((None, bits)).chain(others) {
            for (name, range) in self.ranges_at(width)? {
                let layer = name.trim_end_matches(".range");
                let escaped = globset::escape(layer);
                let own = match only {
                    Some(only) => *only == escaped,
                    None => !quantizer.layer_bits.contains_key(&escaped),
                };
                if own {
                    ranges.push((name, range));
                }
            }
        }
        self.model.quantized_with(&quantizer, &ranges)
    }

    /// Ranges of all layers at one width.
    fn ranges_at(&self, bits: Bits) -> Result<Vec<(String, Tensor)>> {
        if let Some(known) = self.ranges.borrow().get(&bits) {
            return Ok(known.clone());
        }
        let quantizer = QuantizerSpec {
            bits,
            layer_bits: BTreeMap::new(),
            ..self.quantizer.clone()
        };
        let mut ranges = self.model.quantized(&quantizer)?.network.state()?;
        ranges.retain(|(name, _)| name.ends_with(".range"));
        self.ranges.borrow_mut().insert(bits, ranges.clone());
        Ok(ranges)
    }

    /// The model at these places in the list of widths.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn model(&self, widths: &Widths) -> Result<Model> {
        let most = widths.bits.iter().map(|(_, bits)| *bits).max();
        let most = most.unwrap_or(Bits::FLOAT);
        let others = widths.bits.iter().filter(|(_, bits)| *bits != most);
        let others = others.map(|(name, bits)| (globset::escape(name), *bits));
        self.at(most, others.collect())
    }

    fn measure(
        &self,
        layers: &[(String, u64)],
        widths: &[Bits],
        places: &[usize],
    ) -> Result<Widths> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        let bits: Vec<(String, Bits)> = layers
            .iter()
            .zip(places)
            .map(|((name, _), place)| (name.clone(), widths[*place]))
            .collect();
        let stored = layers
            .iter()
            .zip(&bits)
            .map(|((_, weights), (_, bits))| weights * u64::from(bits.get()));
        let mut found = Widths {
            stored_bits: stored.sum(),
            weights: layers.iter().map(|(_, weights)| weights).sum(),
            bits,
            loss: 0.0,
            accuracy: 0.0,
        };
        let result = score(&self.model(&found)?.network, self.images)?;
        (found.loss, found.accuracy) = (result.loss, result.accuracy());
        Ok(found)
    }

    /// Loss that a layer's next width adds, for each stored bit that it saves.
    fn price(
        &self,
        layers: &[(String, u64)],
        widths: &[Bits],
        places: &[usize],
        layer: usize,
        now: &Widths,
    ) -> Result<f64> {
        let mut next = places.to_vec();
        next[layer] += 1;
        let found = self.measure(layers, widths, &next)?;
        let added = found.loss - now.loss;
        // a loss that is not finite is the highest price
        let added = if added.is_nan() { f64::INFINITY } else { added };
        Ok(added / (now.stored_bits - found.stored_bits) as f64)
    }
}

/// Place of the cheapest candidate; of equals that of the first layer.
fn cheapest(candidates: &[Candidate]) -> Option<usize> {
    let order = |a: &usize, b: &usize| {
        let (a, b) = (&candidates[*a], &candidates[*b]);
        a.price.total_cmp(&b.price).then(a.layer.cmp(&b.layer))
    };
    (0..candidates.len()).min_by(order)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Architecture, ModelInfo, Network};
    use crate::quant::{Init, Method};
    use crate::seed::{Purpose, Seed};
    use candle_core::Device;

    /// A network with the images that it classifies as labelled.
    fn world(bits: Bits) -> (Model, Images) {
        let quantizer = QuantizerSpec {
            method: Method::Wcat,
            bits,
            ..QuantizerSpec::default()
        };
        let network = Network::new(Architecture::Mlp, 10, &quantizer, Seed(1), &Device::Cpu)
            .unwrap()
            .0;
        let mut stream = Seed(2).stream(Purpose::Test, &[]);
        let pixels: Vec<f32> = (0..60 * 784).map(|_| stream.normal() as f32).collect();
        let images = Images::new(
            pixels,
            [1, 28, 28],
            (0..60).map(|i| i % 10).collect(),
            &Device::Cpu,
        )
        .unwrap();
        let info = ModelInfo {
            quantizer,
            ..ModelInfo::of(Architecture::Mlp.into(), 10)
        };
        (
            Model {
                foreign: false,
                network,
                info,
                checksum: String::new(),
                warnings: Vec::new(),
                packed: false,
            },
            images,
        )
    }

    fn bits(of: &[u64]) -> Vec<Bits> {
        of.iter().map(|bits| Bits::new(*bits).unwrap()).collect()
    }

    #[test]
    fn each_step_takes_one_layer_down_by_one_width_at_the_lowest_price() {
        for own in [Bits::FLOAT, Bits::new(8).unwrap()] {
            let (model, images) = world(own);
            let quantizer = QuantizerSpec {
                method: Method::Wcat,
                bits: Bits::new(8).unwrap(),
                init: Some(Init::Mse),
                ..QuantizerSpec::default()
            };
            let (widths, cancel) = (bits(&[2, 8, 4]), AtomicBool::new(false));
            let search = PrecisionSearch {
                model: &model,
                quantizer: &quantizer,
                widths: &widths,
                images: &images,
                cancel: &cancel,
                ranges: RefCell::default(),
            };
            let path = search.run().unwrap();
            // three layers, two steps each
            assert_eq!(path.len(), 7);
            let all = |widths: &Widths| {
                widths
                    .bits
                    .iter()
                    .map(|(_, bits)| bits.get())
                    .collect::<Vec<_>>()
            };
            assert_eq!((all(&path[0]), all(&path[6])), (vec![8; 3], vec![2; 3]));
            let down = |width: u32| if width == 8 { 4 } else { 2 };
            for pair in path.windows(2) {
                let (before, after) = (all(&pair[0]), all(&pair[1]));
                let changed: Vec<usize> = (0..3).filter(|i| before[*i] != after[*i]).collect();
                assert!(
                    changed.len() == 1 && after[changed[0]] == down(before[changed[0]]),
                    "{before:?} {after:?}"
                );
            }
            // the first step against every other that could have been taken
            let prices: Vec<f64> = (0..3)
                .map(|layer| {
                    let mut next = path[0].bits.clone();
                    next[layer].1 = Bits::new(4).unwrap();
                    let widths = Widths {
                        bits: next,
                        ..path[0].clone()
                    };
                    let network = search.model(&widths).unwrap().network;
                    let weights = network.layers()[layer].weight().elem_count() as f64;
                    (score(&network, &images).unwrap().loss - path[0].loss) / (4.0 * weights)
                })
                .collect();
            let taken = (0..3).find(|i| all(&path[1])[*i] == 4).unwrap();
            assert!(
                prices.iter().all(|price| *price >= prices[taken]),
                "{prices:?} {taken}"
            );
            // what is said of an entry is what its model does
            let mixed = search.model(&path[3]).unwrap();
            assert_eq!(score(&mixed.network, &images).unwrap().loss, path[3].loss);
            let stored = mixed.network.stored().unwrap().into_iter().flatten();
            let sum: u64 = stored
                .map(|s| s.words.len() as u64 * u64::from(s.format.bits()))
                .sum();
            assert_eq!(sum, path[3].stored_bits);
            assert_eq!(search.run().unwrap(), path);
            if own.is_float() {
                // ranges that were kept are those of a quantisation from the start
                let widths = path[3]
                    .bits
                    .iter()
                    .map(|(name, bits)| (name.clone(), *bits));
                let spec = QuantizerSpec {
                    layer_bits: widths.collect(),
                    ..quantizer.clone()
                };
                let afresh = model.quantized(&spec).unwrap().network.stored().unwrap();
                assert_eq!(mixed.network.stored().unwrap(), afresh);
            }
            assert_eq!(search.uniform(&path).unwrap().len(), 3);
        }
    }

    #[test]
    fn nonsense_and_a_stop_are_errors() {
        let (model, images) = world(Bits::FLOAT);
        let (quantizer, stop) = (QuantizerSpec::default(), AtomicBool::new(true));
        let run = |widths: &[Bits]| {
            let (model, images) = (&model, &images);
            let ranges = RefCell::default();
            PrecisionSearch {
                model,
                quantizer: &quantizer,
                widths,
                images,
                cancel: &stop,
                ranges,
            }
            .run()
            .unwrap_err()
        };
        assert!(run(&[])
            .to_string()
            .starts_with("explore.widths: expected at least one width"));
        assert!(run(&[Bits::FLOAT]).to_string().contains("1 to 8"));
        assert!(matches!(run(&bits(&[8, 4])), Error::Interrupted));
    }
}
