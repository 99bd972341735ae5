//! Activations stored as codes: which values of a network lie in the activation memory, with how many bits, over which range.

use super::forward::to_levels;
use super::graph::{Graph, Node, Op, Value};
use super::moves::moves;
use super::network::{Network, Parameter, Role};
use super::pass::Route;
use crate::error::{refuse, Error, Result};
use crate::kernel::Levels;
use crate::units::text_form;
use candle_core::{Tensor, Var};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

/// Widths of a code.
const BITS: RangeInclusive<u32> = 4..=16;
/// What the source of ranges says that a training moved.
const IN_TRAINING: &str = ", then learned in training";
/// Values of a tensor that its range is chosen by: at most so many, spread evenly over all.
const SAMPLE: usize = 1 << 18;
/// Ranges that are tried for the least squared error: so many shares of the greatest value.
const TRIED: usize = 64;

/// How the activations of a network are stored: a property of the model, in its file.
///
/// Stored is what a convolution, a linear layer or a product of two values reads: it is rounded once where it is computed,
/// and all its readers, residual branches too, take it rounded. What only reshapes, transposes or cuts is looked through.
/// Norms, activation functions, sums and poolings in front of it are fused into its computation, and logits are not stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Activations {
    /// Bits of a code, 4 to 16.
    pub bits: u32,
    /// Whether the network's own input is stored too.
    pub input: bool,
    /// How their ranges were found.
    pub source: String,
    /// In the order in which they are computed.
    pub tensors: Vec<StoredTensor>,
}

/// A stored tensor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredTensor {
    /// The layer, or product of two values, that reads it first.
    pub reader: String,
    /// Symmetric codes, the least one unused, in place of codes from 0.
    pub signed: bool,
    /// What the greatest code stands for.
    pub range: f32,
}

/// How the range of a tensor follows from the values that it has over images.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum RangeRule {
    /// The greatest magnitude.
    Max,
    /// The magnitude that so many percent of the values do not exceed.
    Percentile(f64),
    /// That of the least squared error, of 64 shares of the greatest magnitude.
    Mse,
}

impl fmt::Display for RangeRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Max => f.write_str("max"),
            Self::Percentile(percent) => write!(f, "percentile:{percent}"),
            Self::Mse => f.write_str("mse"),
        }
    }
}

impl FromStr for RangeRule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let rule = match text.split_once(':') {
            None if text == "max" => Some(Self::Max),
            None if text == "mse" => Some(Self::Mse),
            Some(("percentile", percent)) => percent
                .parse()
                .ok()
                .filter(|percent| (50.0..=100.0).contains(percent))
                .map(Self::Percentile),
            _ => None,
        };
        rule.ok_or_else(|| {
            let expected = "max, mse, or percentile:P with P from 50 to 100";
            Error::argument("range of activations", expected, format!("`{text}`"))
        })
    }
}

text_form!(RangeRule);

impl StoredTensor {
    /// The levels of its codes.
    fn levels(&self, bits: u32) -> Levels {
        let high = ((1u32 << (bits - u32::from(self.signed))) - 1) as f32;
        Levels {
            step: self.range / high,
            low: if self.signed { -high } else { 0.0 },
            high,
            bits,
        }
    }
}

impl Activations {
    /// # Errors
    /// [`Error::Argument`] for other widths of a code than 4 to 16 bits.
    pub fn check_bits(bits: u32) -> Result<()> {
        if BITS.contains(&bits) {
            return Ok(());
        }
        let expected = format!("{} to {}", BITS.start(), BITS.end());
        refuse("bits of activations", expected, bits)
    }

    /// # Errors
    /// [`Error::Argument`] for other widths than 4 to 16 bits and ranges that are not finite and above 0.
    fn check(&self) -> Result<()> {
        Self::check_bits(self.bits)?;
        for tensor in &self.tensors {
            let step = tensor.levels(self.bits).step;
            if !(step.is_normal() && step > 0.0) {
                let what = format!("range of the activations that `{}` reads", tensor.reader);
                let expected = "a finite number above 0";
                return refuse(what, expected, tensor.range);
            }
        }
        Ok(())
    }
}

impl Graph {
    /// The values that lie in the activation memory, with that of the images or without, each with who reads it first.
    fn values_to_store(&self, input: bool) -> BTreeMap<Value, String> {
        let mut follows = vec![true];
        let mut stored = BTreeMap::new();
        for (at, Node { op, inputs }) in self.nodes().iter().enumerate() {
            follows.push(inputs.iter().any(|value| follows[*value]));
            let reader = match (op.layer(), op) {
                (Some(layer), _) => self.layers[layer].name.clone(),
                (None, Op::MatMul) => format!("product {at}"),
                _ => continue,
            };
            for value in inputs.iter().map(|value| self.source(*value)) {
                // what depends on no image is a constant of the network
                if follows[value] && (input || value > 0) {
                    stored.entry(value).or_insert_with(|| reader.clone());
                }
            }
        }
        stored
    }

    /// The value that this one only moves the numbers of.
    fn source(&self, mut value: Value) -> Value {
        while let Some(node) = value.checked_sub(1).map(|at| &self.nodes()[at]) {
            match node.inputs[..] {
                [input] if moves(&node.op) => value = input,
                _ => break,
            }
        }
        value
    }

    /// The same with activations stored, their ranges parameters from this one on where a training moves them.
    ///
    /// # Errors
    /// [`Error::Argument`] for activations that do not check or are not those of this graph.
    pub(super) fn with_activations(
        &self,
        activations: &Activations,
        first_range: Option<usize>,
    ) -> Result<Self> {
        activations.check()?;
        let stored = self.values_to_store(activations.input);
        let found: Vec<&String> = activations.tensors.iter().map(|t| &t.reader).collect();
        if !stored.values().eq(found.iter().copied()) {
            let expected = format!("those that are read by {:?}", stored.values());
            return refuse("stored activations", expected, format!("{found:?}"));
        }
        let ops = activations.tensors.iter().enumerate();
        let ops = ops.map(|(tensor, own)| Op::Stored {
            tensor,
            levels: own.levels(activations.bits),
            range: first_range.map(|first| first + tensor),
        });
        let mut ops: BTreeMap<Value, Op> = stored.into_keys().zip(ops).collect();
        let mut graph = self.without_nodes();
        let mut new = Vec::new();
        for value in 0..=self.nodes().len() {
            let mut own = 0;
            if let Some(node) = value.checked_sub(1).map(|at| &self.nodes()[at]) {
                let inputs: Vec<Value> = node.inputs.iter().map(|input| new[*input]).collect();
                own = graph.push(node.op.clone(), &inputs);
            }
            if let Some(op) = ops.remove(&value) {
                own = graph.push(op, &[own]);
            }
            new.push(own);
        }
        Ok(graph)
    }
}

impl Graph {
    /// The words of each stored tensor of one image, one for an element: a tensor keeps them from its write to its last read,
    /// at the lowest address that fits. `shapes` are those of all values, for a batch of one.
    fn activation_spans(&self, shapes: &[Vec<usize>]) -> Vec<Range<u64>> {
        let last_reads = self.last_reads();
        // of each value the stored ones that it is computed from, with no stored one between
        let mut sources: Vec<BTreeSet<Value>> = vec![BTreeSet::new()];
        let (mut alive, mut spans) = (Vec::<(Range<u64>, Value)>::new(), Vec::new());
        for (at, Node { op, inputs }) in self.nodes().iter().enumerate() {
            let own: BTreeSet<Value> = inputs.iter().flat_map(|v| sources[*v].clone()).collect();
            if !matches!(op, Op::Stored { .. }) {
                sources.push(own);
                continue;
            }
            // what is read while this one is computed still lies there
            alive.retain(|(_, value)| last_reads[*value] > at || own.contains(value));
            alive.sort_by_key(|(span, _)| span.start);
            let length = shapes[at + 1].iter().product::<usize>() as u64;
            let mut start = 0;
            for (span, _) in &alive {
                if start + length <= span.start {
                    break;
                }
                start = start.max(span.end);
            }
            spans.push(start..start + length);
            alive.push((start..start + length, at + 1));
            sources.push(BTreeSet::from([at + 1]));
        }
        spans
    }

    /// Of each value the last node that reads it, or what only moves its numbers.
    fn last_reads(&self) -> Vec<usize> {
        let mut last = vec![0; self.nodes().len() + 1];
        for (at, Node { op, inputs }) in self.nodes().iter().enumerate().rev() {
            let read = if moves(op) { at.max(last[at + 1]) } else { at };
            for value in inputs {
                last[*value] = last[*value].max(read);
            }
        }
        last
    }
}

/// A tensor in the activation memory, for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredValue {
    /// Bits of a code.
    pub bits: u32,
    /// Its words, one for an element, [channels, height, width] row-major.
    pub words: Range<u64>,
    /// Layers that read it, each with its groups of channels and the elements that it reads.
    pub layers: Vec<(usize, u64, u64)>,
    /// Elements that other operations read: sums, products of two values.
    pub others: u64,
}

impl Network {
    /// What lies in the activation memory for one image, in the order of [`Activations::tensors`]; nothing where activations
    /// are not stored. Tensors that are not needed at the same time share words.
    ///
    /// # Errors
    /// [`Error::Argument`] where images are too small for the network.
    pub fn stored_values(&self) -> Result<Vec<StoredValue>> {
        let graph = self.graph();
        let shapes = graph.shapes(self.input_shape())?;
        let spans = graph.activation_spans(&shapes);
        // of each value the stored ones that it only moves
        let (mut moved, mut stored) = (vec![BTreeSet::<usize>::new()], Vec::<StoredValue>::new());
        for Node { op, inputs } in graph.nodes() {
            if moves(op) {
                let all = inputs.iter().flat_map(|value| moved[*value].clone());
                moved.push(all.collect());
                continue;
            }
            for input in inputs {
                let numbers = shapes[*input].iter().product::<usize>() as u64;
                for place in &moved[*input] {
                    let own = &mut stored[*place];
                    // of several values that were joined each is read whole
                    let read = numbers.min(own.words.end - own.words.start);
                    match op.layer() {
                        Some(layer) => own.layers.push((layer, op.groups(), read)),
                        None => own.others += read,
                    }
                }
            }
            moved.push(BTreeSet::new());
            if let (Op::Stored { levels, .. }, Some(last)) = (op, moved.last_mut()) {
                last.insert(stored.len());
                stored.push(StoredValue {
                    bits: levels.bits,
                    words: spans[stored.len()].clone(),
                    layers: Vec::new(),
                    others: 0,
                });
            }
        }
        Ok(stored)
    }
}

/// Values as a training stores them: as [`to_levels`], over the range as it is now. Its gradient is that of the values beyond
/// it, as in PACT (Choi et al., 2018): those within pass theirs on.
pub(super) fn to_learned_levels(
    x: &Tensor,
    range: &Tensor,
    levels: &Levels,
) -> candle_core::Result<Tensor> {
    let least = if levels.low < 0.0 {
        range.neg()?
    } else {
        range.zeros_like()?
    };
    let within = x.broadcast_minimum(range)?.broadcast_maximum(&least)?;
    let values = to_levels(&x.detach(), &levels.over(range.to_scalar()?))?;
    values.detach() + (&within - within.detach())?
}

/// What a tensor was seen to hold.
#[derive(Clone, Default)]
struct Seen {
    negative: bool,
    most: f32,
    magnitudes: Vec<f32>,
}

impl Seen {
    /// Adds values; every so many-th of them to the sample.
    ///
    /// # Errors
    /// [`Error::Argument`] for one that is not finite.
    fn add(&mut self, values: &[f32], stride: usize) -> Result<()> {
        for value in values {
            if !value.is_finite() {
                let expected = "finite numbers for every image";
                return refuse("activations", expected, value);
            }
            self.negative |= *value < 0.0;
            self.most = self.most.max(value.abs());
        }
        let sample = values.iter().step_by(stride);
        self.magnitudes.extend(sample.map(|value| value.abs()));
        Ok(())
    }

    /// The stored tensor by a rule.
    fn stored(mut self, reader: String, bits: u32, rule: RangeRule) -> StoredTensor {
        // what is always 0 may have any range
        let most = if self.most > 0.0 { self.most } else { 1.0 };
        let of = |range: f32| StoredTensor {
            reader: reader.clone(),
            signed: self.negative,
            range,
        };
        let range = match rule {
            RangeRule::Max => most,
            RangeRule::Percentile(percent) => {
                let last = self.magnitudes.len().saturating_sub(1);
                let at = (percent / 100.0 * last as f64).round() as usize;
                let (_, value, _) = self.magnitudes.select_nth_unstable_by(at, f32::total_cmp);
                if *value > 0.0 {
                    *value
                } else {
                    most
                }
            }
            RangeRule::Mse => {
                let error = |range: f32| {
                    let mut rounded = self.magnitudes.clone();
                    of(range).levels(bits).round(&mut rounded);
                    let pairs = rounded.iter().zip(&self.magnitudes);
                    pairs.map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>()
                };
                let tried = (1..=TRIED).map(|share| most * share as f32 / TRIED as f32);
                let errors = tried.map(|range| (error(range), range));
                let least = errors.min_by(|a, b| a.0.total_cmp(&b.0));
                least.map_or(most, |least| least.1)
            }
        };
        of(range)
    }
}

/// The first stride from this one on that meets every place of an image in turn: without a common divisor with its length.
fn spread_stride(least: usize, length: usize) -> usize {
    let divisor = |mut a: usize, mut b: usize| {
        while b > 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    let first = (least.max(1)..).find(|stride| divisor(*stride, length.max(1)) == 1);
    first.unwrap_or(1)
}

impl Network {
    /// The same network with activations that are stored as codes.
    ///
    /// # Errors
    /// [`Error::Argument`] for ranges of other tensors than this network stores, or that do not check.
    pub fn with_activations(self, activations: &Activations) -> Result<Self> {
        let graph = self.graph().with_activations(activations, None)?;
        Ok(self.with_graph(graph))
    }

    /// The same for a training: ranges are parameters that it moves from where they are.
    ///
    /// # Errors
    /// As [`Self::with_activations`]; a tensor failure.
    pub fn learning_activations(self, activations: &Activations) -> Result<Self> {
        let first = self.tensors().parameters.len();
        let graph = self.graph().with_activations(activations, Some(first))?;
        let parameter = |(place, tensor): (usize, &StoredTensor)| {
            Ok(Parameter {
                name: format!("activations.{place}.{}.range", tensor.reader),
                var: Var::from_tensor(&Tensor::new(tensor.range, self.device())?)?,
                role: Role::Range,
            })
        };
        let ranges: Vec<Parameter> = activations
            .tensors
            .iter()
            .enumerate()
            .map(parameter)
            .collect::<Result<_>>()?;
        Ok(self.with_graph(graph).with_parameters(ranges))
    }

    /// These activations with the ranges that a training has moved to where they are now.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn learned_activations(&self, activations: &Activations) -> Result<Activations> {
        let mut learned = activations.clone();
        let ranges = self.learned_ranges();
        for (tensor, own) in learned.tensors.iter_mut().zip(ranges) {
            tensor.range = own.var.to_scalar::<f32>()?;
        }
        if !ranges.is_empty() && !learned.source.ends_with(IN_TRAINING) {
            learned.source += IN_TRAINING;
        }
        Ok(learned)
    }

    /// Activations of so many bits, with the ranges that a rule finds over images [n, channels, height, width], the network
    /// as it is without faults.
    ///
    /// # Errors
    /// [`Error::Argument`] for no images, other widths than 4 to 16 bits, or values that are not finite; a tensor failure.
    pub fn calibrate(
        &self,
        batches: &[Tensor],
        bits: u32,
        input: bool,
        rule: RangeRule,
    ) -> Result<Activations> {
        Activations::check_bits(bits)?;
        let stored = self.graph().values_to_store(input);
        let mut seen: BTreeMap<Value, Seen> = BTreeMap::new();
        let weights = self.effective_weights()?;
        let pass = self.pass(&weights, false, Route::Plain);
        let of_batch = |batch: &Tensor| batch.dims().first().copied().unwrap_or_default();
        let images: usize = batches.iter().map(of_batch).sum();
        if images == 0 {
            let expected = "at least one image";
            return refuse("ranges of activations", expected, "none");
        }
        for batch in batches {
            let mut look = |value: Value, tensor: &Tensor| {
                if !stored.contains_key(&value) {
                    return Ok(());
                }
                let values = tensor.flatten_all()?.to_vec1::<f32>()?;
                let each = values.len() / of_batch(batch).max(1);
                let stride = spread_stride((each * images).div_ceil(SAMPLE), each);
                seen.entry(value).or_default().add(&values, stride)
            };
            self.graph().forward_visiting(batch, &pass, &mut look)?;
        }
        let readers = stored.into_values().zip(seen.into_values());
        let tensors = readers.map(|(reader, seen)| seen.stored(reader, bits, rule));
        let activations = Activations {
            bits,
            input,
            source: format!("{rule} over {images} images"),
            tensors: tensors.collect(),
        };
        activations.check()?;
        Ok(activations)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Architecture;
    use crate::quant::QuantizerSpec;
    use crate::seed::{Purpose, Seed};
    use candle_core::Device;

    fn network(architecture: &str) -> Network {
        let (architecture, spec) = (
            architecture.parse::<Architecture>(),
            QuantizerSpec::default(),
        );
        let network = Network::new(architecture.unwrap(), 10, &spec, Seed(1), &Device::Cpu);
        network.unwrap().0
    }

    fn images([channels, height, width]: [usize; 3]) -> Vec<Tensor> {
        let mut stream = Seed(2).stream(Purpose::Test, &[]);
        let images = stream.normal_tensor(1.0, (6, channels, height, width));
        vec![images.unwrap()]
    }

    fn readers(network: &Network, input: bool) -> Vec<String> {
        let found = network.calibrate(&images(network.input_shape()), 8, input, RangeRule::Max);
        let tensors = found.unwrap().tensors.into_iter();
        tensors.map(|tensor| tensor.reader).collect()
    }

    #[test]
    fn what_layers_and_products_read_is_stored_and_nothing_else() {
        let lenet = network("lenet5");
        assert_eq!(readers(&lenet, false), ["conv2", "fc1", "fc2", "fc3"]);
        assert_eq!(readers(&lenet, true)[..2], ["conv1", "conv2"]);
        // each layer but the first reads one; the last block is read as a mean alone
        assert_eq!(readers(&network("resnet20"), false).len(), 19);
        // a projection reads what its block reads
        assert_eq!(readers(&network("resnet20_projection"), false).len(), 19);
        let deit = readers(&network("deit_tiny"), false);
        let products = deit.iter().filter(|name| name.starts_with("product"));
        // attention of 12 blocks reads scaled queries, then keys and values, which are one value, and its weights
        assert_eq!((products.count(), deit.len()), (36, 1 + 12 * 7));
    }

    #[test]
    fn tensors_that_are_not_needed_at_the_same_time_share_words() {
        let spans = |name: &str| {
            let network = network(name);
            let images = images(network.input_shape());
            let found = network.calibrate(&images, 8, true, RangeRule::Max).unwrap();
            let network = network.with_activations(&found).unwrap();
            let stored = network.stored_values().unwrap();
            stored.into_iter().map(|own| own.words).collect::<Vec<_>>()
        };
        // the image, 6 x 14 x 14, 16 x 5 x 5, 120, 84
        let lenet = [0..784, 784..1960, 0..400, 400..520, 0..84];
        assert_eq!(spans("lenet5"), lenet);
        let resnet = spans("resnet20");
        let plane = 16 * 32 * 32;
        // the shortcut of a block stays while its two convolutions are computed
        assert_eq!(
            resnet[..4],
            [
                0..3072,
                3072..3072 + plane,
                3072 + plane..3072 + 2 * plane,
                3072 + 2 * plane..3072 + 3 * plane
            ]
        );
        // then what is no longer read is free again
        assert_eq!(resnet[4..6], [0..plane, plane..2 * plane]);
    }

    #[test]
    fn a_learned_range_rounds_as_a_fixed_one_and_takes_the_gradient_of_what_lies_beyond_it() {
        for (signed, bits) in [(false, 4), (true, 4), (true, 8)] {
            let tensor = StoredTensor {
                reader: "fc".into(),
                signed,
                range: 1.5,
            };
            let levels = tensor.levels(bits);
            let numbers = [-9.0f32, -1.6, -0.73, -0.1, 0.0, 0.2, 0.75, 1.49, 1.7, 3.0];
            let x = Var::new(&numbers, &Device::Cpu).unwrap();
            let range = Var::new(1.5f32, &Device::Cpu).unwrap();
            let stored = to_learned_levels(&x, &range, &levels).unwrap();
            let fixed = to_levels(&x, &levels).unwrap();
            assert_eq!(
                stored.to_vec1::<f32>().unwrap(),
                fixed.to_vec1::<f32>().unwrap()
            );
            // each number has a weight of its own in the loss
            let weights: Vec<f32> = (1..=10).map(|i| i as f32).collect();
            let weights = Tensor::new(weights, &Device::Cpu).unwrap();
            let loss = (stored * weights).unwrap().sum_all().unwrap();
            let gradients = loss.backward().unwrap();
            let of_x = gradients.get(&x).unwrap().to_vec1::<f32>().unwrap();
            let of_range = gradients.get(&range).unwrap().to_scalar::<f32>().unwrap();
            let (within, below) = if signed {
                (2..8, -(1.0 + 2.0))
            } else {
                (5..8, 0.0)
            };
            for (place, own) in of_x.iter().enumerate().filter(|(place, _)| *place != 4) {
                let expected = if within.contains(&place) {
                    place as f32 + 1.0
                } else {
                    0.0
                };
                assert_eq!(*own, expected, "{signed} {place}");
            }
            assert_eq!(of_range, 9.0 + 10.0 + below);
        }
    }

    #[test]
    fn who_reads_a_stored_tensor_is_known() {
        let stored = |name: &str| {
            let network = network(name);
            assert!(network.stored_values().unwrap().is_empty());
            let found = network.calibrate(&images(network.input_shape()), 8, true, RangeRule::Max);
            let network = network.with_activations(&found.unwrap()).unwrap();
            network.stored_values().unwrap()
        };
        let readers = |own: &StoredValue| (own.layers.clone(), own.others);
        let lenet: Vec<_> = stored("lenet5").iter().map(readers).collect();
        let lengths = [784, 1176, 400, 120, 84];
        let each = lengths.iter().enumerate();
        let each = each.map(|(layer, length)| (vec![(layer, 1, *length)], 0));
        assert_eq!(lenet, each.collect::<Vec<_>>());
        // what a block reads is read again by its shortcut, or by the convolution there
        let resnet = stored("resnet20");
        assert!(resnet
            .iter()
            .all(|own| own.bits == 8 && own.layers.len() == 1));
        let shortcuts: Vec<u64> = resnet.iter().map(|own| own.others).collect();
        assert_eq!(shortcuts.iter().filter(|read| **read > 0).count(), 9);
        assert_eq!(shortcuts[..4], [0, 16_384, 0, 16_384]);
        let projected = stored("resnet20_projection");
        let twice = projected.iter().filter(|own| own.layers.len() == 2).count();
        assert_eq!(twice, 2);
        // queries, keys and values are one tensor, each third of which a product or the scaling of queries reads
        let deit = stored("deit_tiny");
        let length = |own: &StoredValue| own.words.end - own.words.start;
        assert!(deit
            .iter()
            .all(|own| own.layers.len() as u64 + own.others > 0));
        let joined = deit
            .iter()
            .find(|own| length(own) == 197 * 3 * 192)
            .unwrap();
        assert_eq!((joined.layers.len(), joined.others), (0, length(joined)));
    }

    #[test]
    fn ranges_follow_their_rule_and_signs_the_values() {
        let mut seen = Seen::default();
        let values: Vec<f32> = (0..=1000).map(|i| i as f32 / 1000.0).collect();
        seen.add(&values, 1).unwrap();
        assert!(seen.clone().add(&[f32::NAN], 1).is_err());
        let range = |seen: &Seen, rule| seen.clone().stored("a".into(), 8, rule).range;
        assert_eq!(range(&seen, RangeRule::Max), 1.0);
        assert_eq!(range(&seen, RangeRule::Percentile(90.0)), 0.9);
        assert_eq!(range(&seen, RangeRule::Mse), 1.0);
        // 16 channels of 32 x 32 pixels: no column is left out
        assert_eq!((spread_stride(32, 16384), spread_stride(0, 7)), (33, 1));
        assert!(network("mlp")
            .calibrate(&[], 8, true, RangeRule::Mse)
            .is_err());
        // one value far away costs few levels more than it is worth
        seen.add(&[-4.0], 1).unwrap();
        let few = seen.clone().stored("a".into(), 4, RangeRule::Mse).range;
        assert!((1.0..3.0).contains(&few), "{few}");
        let stored = seen.stored("a".into(), 8, RangeRule::Max);
        assert!(stored.signed && stored.range == 4.0);
        assert_eq!(
            (stored.levels(8).low, stored.levels(8).high),
            (-127.0, 127.0)
        );
        for text in ["percentile:40", "most", "percentile", "mse:1"] {
            assert!(text.parse::<RangeRule>().is_err(), "{text}");
        }
        let rule: RangeRule = "percentile:99.9".parse().unwrap();
        assert_eq!(rule.to_string(), "percentile:99.9");
    }

    #[test]
    fn activations_of_another_network_and_wrong_ranges_are_refused() {
        let lenet = network("lenet5");
        let own = lenet
            .calibrate(&images([1, 28, 28]), 8, false, RangeRule::Max)
            .unwrap();
        let refused = |activations: &Activations| {
            let error = network("lenet5").with_activations(activations).unwrap_err();
            error.to_string()
        };
        let wrong = Activations {
            bits: 17,
            ..own.clone()
        };
        assert!(refused(&wrong).contains("4 to 16, found 17"));
        let mut wrong = own.clone();
        wrong.tensors[1].range = f32::NAN;
        assert!(refused(&wrong).contains("`fc1`"), "{}", refused(&wrong));
        let mut wrong = own.clone();
        wrong.tensors.pop();
        assert!(refused(&wrong).contains("stored activations"));
        assert!(network("mlp").with_activations(&own).is_err());
        assert!(lenet.with_activations(&own).is_ok());
    }
}
