//! A network of quantisable layers: its parameters by name, its stored memory, its forward passes.

use super::design::Design;
use super::foreign::is_whole;
use super::graph::Graph;
use super::pass::{Pass, Route, Tensors};
use super::program::Step;
use super::slot::Slot;
use crate::code::CodeFormat;
use crate::error::{refuse, Result, TensorContext};
use crate::kernel::Workspace;
use crate::quant::{
    max_abs, Method, MethodLabel, QuantizedWeight, QuantizerSpec, StoredWeight, TrainingFlips,
};
use crate::seed::Seed;
use crate::units::Bits;
use candle_core::{Device, Tensor, Var};
use std::collections::BTreeMap;

/// What a parameter is, for the optimiser.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Weight of a convolution or linear layer.
    Weight,
    /// Learned range of a quantiser.
    Range,
    /// Bias, or scale and shift of a batch norm.
    Other,
}

/// A trained tensor.
#[derive(Clone, Debug)]
pub struct Parameter {
    /// Name in the state dict.
    pub name: String,
    /// The tensor.
    pub var: Var,
    /// What it is.
    pub role: Role,
}

/// A network. Layers stand in memory order: the order in which weights take addresses.
#[derive(Debug)]
pub struct Network {
    architecture: Design,
    input_shape: [usize; 3],
    classes: usize,
    quantizer: QuantizerSpec,
    device: Device,
    layers: Vec<QuantizedWeight>,
    others: Vec<Parameter>,
    buffers: Vec<(String, Var)>,
    graph: Graph,
    /// Memory that one step of a training leaves to the next.
    workspace: Workspace,
}

impl Network {
    /// A network with fresh weights from the seed, those of an imported design zero; the second value holds warnings.
    ///
    /// # Errors
    /// A quantiser that does not check, a glob of it that no layer matches, or a tensor failure.
    pub fn new(
        architecture: impl Into<Design>,
        classes: usize,
        quantizer: &QuantizerSpec,
        seed: Seed,
        device: &Device,
    ) -> Result<(Self, Vec<String>)> {
        let architecture = architecture.into();
        let graph = architecture.graph(classes)?;
        let (mut layers, mut warnings) = (Vec::new(), Vec::new());
        for slot in &graph.layers {
            let values = slot.fresh(seed, device)?;
            let (layer, warning) = QuantizedWeight::new(&slot.name, values, quantizer)?;
            layers.push(layer);
            warnings.extend(warning);
        }
        let fresh = |slot: &Slot| -> Result<(String, Var)> {
            let var = Var::from_tensor(&slot.fresh(seed, device)?)?;
            Ok((slot.name.clone(), var))
        };
        let other = |slot: &Slot| {
            let (name, var) = fresh(slot)?;
            let role = Role::Other;
            Ok(Parameter { name, var, role })
        };
        let network = Self {
            input_shape: architecture.input_shape(),
            architecture,
            classes,
            quantizer: quantizer.clone(),
            device: device.clone(),
            layers,
            others: graph.parameters.iter().map(other).collect::<Result<_>>()?,
            buffers: graph.buffers.iter().map(fresh).collect::<Result<_>>()?,
            graph,
            workspace: Workspace::default(),
        };
        network.check_globs()?;
        Ok((network, warnings))
    }

    /// The same network, whose ranges start anew as another quantiser of the same layers says.
    pub(super) fn with_quantizer(mut self, quantizer: QuantizerSpec) -> Self {
        self.quantizer = quantizer;
        self
    }

    /// The same network for images of another shape.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the architecture does not take them ([`Design::takes`]).
    pub fn with_input_shape(mut self, shape: [usize; 3]) -> Result<Self> {
        if !self.architecture.takes(shape) {
            let expected = format!(
                "images that {} takes, such as {:?}",
                self.architecture, self.input_shape
            );
            return refuse("input shape", expected, format!("{shape:?}"));
        }
        self.input_shape = shape;
        Ok(self)
    }

    fn check_globs(&self) -> Result<()> {
        let QuantizerSpec {
            skip, layer_bits, ..
        } = &self.quantizer;
        let skip = skip.iter().map(|glob| ("quantizer.skip", glob));
        for (key, glob) in skip.chain(layer_bits.keys().map(|glob| ("quantizer.layer_bits", glob)))
        {
            let one = QuantizerSpec {
                skip: vec![glob.clone()],
                ..QuantizerSpec::default()
            }
            .skipped()?;
            if !self.layers.iter().any(|layer| one.is_match(layer.name())) {
                let names: Vec<&str> = self.layers.iter().map(QuantizedWeight::name).collect();
                let expected = format!(
                    "globs that match a layer of {}: {}",
                    self.architecture,
                    names.join(", ")
                );
                return refuse(key, expected, format!("`{glob}`"));
            }
        }
        Ok(())
    }

    /// The architecture, or the graph of an imported file.
    pub fn architecture(&self) -> &Design {
        &self.architecture
    }

    /// Channels, height and width of its images.
    pub fn input_shape(&self) -> [usize; 3] {
        self.input_shape
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The quantiser.
    pub fn quantizer(&self) -> &QuantizerSpec {
        &self.quantizer
    }

    /// Where the tensors are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Quantisable layers in memory order.
    pub fn layers(&self) -> &[QuantizedWeight] {
        &self.layers
    }

    /// Gives a layer codes that came with a file in place of its float weights ([`QuantizedWeight::given`]).
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] for the name of no layer and for another shape than the layer's; as
    /// [`StoredWeight::check`].
    pub fn keep_codes(&mut self, layer: &str, stored: StoredWeight) -> Result<()> {
        let Some(own) = self.layers.iter_mut().find(|own| own.name() == layer) else {
            let expected = format!("a layer of {}", self.architecture);
            return refuse("codes", expected, format!("`{layer}`"));
        };
        if stored.shape != own.weight().dims() {
            let expected = format!("shape {:?}", own.weight().dims());
            let found = format!("{:?}", stored.shape);
            let what = format!("codes of layer `{layer}`");
            return refuse(what, expected, found);
        }
        *own = QuantizedWeight::given(layer, stored, &self.device)?;
        Ok(())
    }

    /// The method as tables and figures name it: that of the quantiser, or `stored` where every code came with a file.
    pub fn method_label(&self) -> MethodLabel {
        let given = self.layers.iter().any(|l| l.given_codes().is_some());
        let quantised = self.layers.iter().any(|l| l.scheme().is_some());
        if given && !quantised {
            MethodLabel::Stored
        } else {
            self.quantizer.method_label()
        }
    }

    /// Bits of a stored code, 32 for a float network; `None` where widths differ, or may by the quantiser.
    pub fn width(&self) -> Option<Bits> {
        let mut formats = self.layers.iter().filter_map(QuantizedWeight::format);
        let first = formats
            .next()
            .map_or(self.quantizer.bits, CodeFormat::width);
        let same = formats.all(|format| format.width() == first);
        (same && self.quantizer.layer_bits.is_empty()).then_some(first)
    }

    /// Everything that is trained, sorted by name; of a layer that keeps codes of a file nothing is.
    pub fn parameters(&self) -> Vec<Parameter> {
        let mut all = self.others.clone();
        let trained = |layer: &&QuantizedWeight| layer.given_codes().is_none();
        for layer in self.layers.iter().filter(trained) {
            let name = format!("{}.weight", layer.name());
            all.push(Parameter {
                name,
                var: layer.weight().clone(),
                role: Role::Weight,
            });
            if let Some(range) = layer.range() {
                let name = format!("{}.range", layer.name());
                all.push(Parameter {
                    name,
                    var: range.clone(),
                    role: Role::Range,
                });
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// Every tensor that a state dict has.
    fn variables(&self) -> Vec<(String, Var)> {
        let parameters = self.parameters().into_iter().map(|p| (p.name, p.var));
        self.buffers.iter().cloned().chain(parameters).collect()
    }

    /// A copy of every tensor, running statistics too, sorted by name: a state dict. It has no weights of layers that
    /// keep codes of a file.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut all = self.variables();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.into_iter()
            .map(|(name, var)| Ok((name, var.as_detached_tensor().copy()?)))
            .collect()
    }

    /// Takes the values of a state dict. Ranges that it lacks start from its weights; the result holds
    /// warnings.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] that lists missing and unexpected tensors, or names a wrong shape.
    pub fn load_state(&mut self, tensors: &[(String, Tensor)]) -> Result<Vec<String>> {
        let given: BTreeMap<&str, &Tensor> =
            tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
        let vars = self.variables();
        let is_range = |name: &str| name.ends_with(".range");
        let ranges_given = given.keys().any(|name| is_range(name));
        let missing = |name: &str| !given.contains_key(name) && (ranges_given || !is_range(name));
        let missing: Vec<&str> = vars
            .iter()
            .map(|(n, _)| n.as_str())
            .filter(|n| missing(n))
            .collect();
        let counters = |name: &str| name.ends_with("num_batches_tracked");
        let known = |name: &str| counters(name) || vars.iter().any(|(n, _)| n == name);
        let unexpected: Vec<&str> = given.keys().copied().filter(|name| !known(name)).collect();
        if !missing.is_empty() || !unexpected.is_empty() {
            return refuse(
                "state dict",
                format!("the tensors of {}", self.architecture),
                format!(
                    "missing: {}; unexpected: {}",
                    list(&missing),
                    list(&unexpected)
                ),
            );
        }
        for (name, var) in &vars {
            let Some(tensor) = given.get(name.as_str()) else {
                continue;
            };
            if is_whole(tensor) {
                let expected = "numbers in floating point";
                let found = format!(
                    "whole numbers {:?}: codes without their step",
                    tensor.dims()
                );
                return refuse(name, expected, found);
            }
            if tensor.dims() != var.dims() {
                let found = format!("{:?}", tensor.dims());
                return refuse(
                    format!("tensor `{name}`"),
                    format!("shape {:?}", var.dims()),
                    found,
                );
            }
            let set = || var.set(&tensor.to_dtype(var.dtype())?.to_device(&self.device)?);
            set().during(|| format!("loading `{name}`"))?;
        }
        let mut warnings = Vec::new();
        if !ranges_given {
            for layer in &mut self.layers {
                warnings.extend(layer.restart_range(&self.quantizer)?);
            }
        }
        Ok(warnings)
    }

    /// Largest weight of all quantised layers, which `plclip` reads; 0 for other methods.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn network_max(&self) -> Result<f32> {
        if self.quantizer.method != Method::Plclip {
            return Ok(0.0);
        }
        let quantised = self.layers.iter().filter(|layer| layer.scheme().is_some());
        quantised
            .map(|layer| Ok(max_abs(&layer.values()?)))
            .try_fold(0.0, |max, next: Result<f32>| Ok(next?.max(max)))
    }

    /// What the memory holds, layer by layer; `None` for float layers.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn stored(&self) -> Result<Vec<Option<StoredWeight>>> {
        let max = self.network_max()?;
        self.layers.iter().map(|layer| layer.stored(max)).collect()
    }

    /// Range in force of each layer (step for `lsq`), 0 for float layers and those that keep codes of a file.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn ranges(&self) -> Result<Vec<(String, f32)>> {
        let max = self.network_max()?;
        let range = |layer: &QuantizedWeight| match layer.scheme() {
            None => Ok(0.0),
            Some(_) => layer.range_in_force(&layer.values()?, max),
        };
        let own = |layer: &QuantizedWeight| Ok((layer.name().to_owned(), range(layer)?));
        let mut ranges: Vec<(String, f32)> = self.layers.iter().map(own).collect::<Result<_>>()?;
        for parameter in self.learned_ranges() {
            let name = parameter.name.trim_end_matches(".range").to_owned();
            ranges.push((name, parameter.var.to_scalar::<f32>()?));
        }
        Ok(ranges)
    }

    /// The weights as evaluation uses them: read back from what is stored, float layers as they are.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn effective_weights(&self) -> Result<Vec<Tensor>> {
        let stored = self.stored()?;
        let weights = self
            .layers
            .iter()
            .zip(&stored)
            .map(|(layer, stored)| match stored {
                None => Ok(layer.weight().as_detached_tensor()),
                Some(stored) => {
                    let values =
                        Tensor::from_vec(stored.values(), stored.shape.as_slice(), &Device::Cpu)?;
                    Ok(values.to_device(&self.device)?)
                }
            });
        weights.collect()
    }

    /// Logits [batch, classes] in training: quantised weights with gradients, batch statistics. The route is how
    /// they are computed; [`Route::of`] says which is the faster one.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn training_logits(
        &self,
        images: &Tensor,
        flips: Option<&TrainingFlips>,
        route: Route,
    ) -> Result<Tensor> {
        let max = self.network_max()?;
        let weights: Vec<Tensor> = self
            .layers
            .iter()
            .enumerate()
            .map(|(i, layer)| layer.training_weight(i, max, flips))
            .collect::<Result<_>>()?;
        self.graph
            .forward(images, &self.pass(&weights, true, route))
    }

    /// Logits [batch, classes] with given weights, one per layer in memory order, and running statistics, by
    /// candle's own operations: the plain version of [`crate::net::Step`]s that an engine runs. On a GPU gradients
    /// take [`Route::Gpu`].
    ///
    /// # Errors
    /// A tensor failure.
    pub fn logits(&self, images: &Tensor, weights: &[Tensor]) -> Result<Tensor> {
        let route = if self.device.is_cpu() {
            Route::Plain
        } else {
            Route::Gpu
        };
        self.logits_by(route, images, weights)
    }

    /// [`Self::logits`] by either route; [`Route::of`] says which is the faster one. Gradients flow to the weights; by
    /// the kernels none reach scale and shift of a batch norm.
    ///
    /// # Errors
    /// A tensor failure.
    pub fn logits_by(&self, route: Route, images: &Tensor, weights: &[Tensor]) -> Result<Tensor> {
        self.graph
            .forward(images, &self.pass(weights, false, route))
    }

    /// What [`Self::logits`] computes, as steps: batch norms are folded, with the present running statistics.
    ///
    /// # Errors
    /// A tensor failure; [`crate::error::Error::Argument`] where images are too small for the network.
    pub fn program(&self) -> Result<Vec<Step>> {
        self.graph.program(self.tensors(), self.input_shape)
    }

    pub(super) fn tensors(&self) -> Tensors<'_> {
        Tensors {
            parameters: &self.others,
            buffers: &self.buffers,
        }
    }

    pub(super) fn pass<'a>(
        &'a self,
        weights: &'a [Tensor],
        training: bool,
        route: Route,
    ) -> Pass<'a> {
        Pass {
            tensors: self.tensors(),
            weights,
            workspace: &self.workspace,
            training,
            route,
        }
    }

    pub(super) fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Ranges of stored activations that a training learns, by tensor.
    pub(super) fn learned_ranges(&self) -> &[Parameter] {
        &self.others[self.graph.parameters.len()..]
    }

    /// The same with more parameters behind those of its graph.
    pub(super) fn with_parameters(mut self, more: Vec<Parameter>) -> Self {
        self.others.extend(more);
        self
    }

    /// The same tensors in another graph.
    pub(super) fn with_graph(self, graph: Graph) -> Self {
        Self { graph, ..self }
    }
}

fn list(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    match names {
        [] => "none".into(),
        names if names.len() <= SHOWN => names.join(", "),
        names => format!(
            "{} and {} more",
            names[..SHOWN].join(", "),
            names.len() - SHOWN
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Architecture;
    use crate::quant::channel_wise;
    use candle_core::DType;

    #[test]
    fn a_layer_keeps_codes_of_a_file_and_is_no_parameter() {
        let mut lenet = network("lenet5", 4);
        let before = lenet.parameters().len();
        let stored = channel_wise(&[10, 84], 8, true);
        lenet.keep_codes("fc3", stored.clone()).unwrap();
        assert_eq!(lenet.stored().unwrap()[4], Some(stored.clone()));
        assert_eq!(
            lenet.effective_weights().unwrap()[4]
                .flatten_all()
                .unwrap()
                .to_vec1::<f32>()
                .unwrap(),
            stored.values()
        );
        // weight and range
        assert_eq!(lenet.parameters().len(), before - 2);
        assert_eq!(lenet.ranges().unwrap()[4], ("fc3".to_owned(), 0.0));
        assert_eq!(lenet.method_label(), MethodLabel::Wcat);
        assert_eq!(lenet.width(), None);
        let state = lenet.state().unwrap();
        assert!(state
            .iter()
            .all(|(name, _)| !name.starts_with("fc3.weight")));
        lenet.load_state(&state).unwrap();
        assert_eq!(lenet.stored().unwrap()[4], Some(stored.clone()));
        let images = Tensor::zeros((1, 1, 28, 28), DType::F32, &Device::Cpu).unwrap();
        let error = lenet.training_logits(&images, None, Route::Plain);
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("`fc3`") && error.contains("--requantize"),
            "{error}"
        );

        let mut float = network("lenet5", 32);
        assert_eq!(float.width(), Some(Bits::FLOAT));
        float.keep_codes("fc3", stored.clone()).unwrap();
        assert_eq!(float.method_label(), MethodLabel::Stored);
        assert_eq!(float.width(), Some(stored.format.width()));
        for (layer, words) in [
            ("fc9", "a layer of lenet5, found `fc9`"),
            ("fc2", "shape [84, 120], found [10, 84]"),
        ] {
            let error = float.keep_codes(layer, stored.clone()).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }

    fn quantizer(bits: u64) -> QuantizerSpec {
        QuantizerSpec {
            method: Method::Wcat,
            bits: Bits::new(bits).unwrap(),
            ..QuantizerSpec::default()
        }
    }

    fn network(architecture: &str, bits: u64) -> Network {
        Network::new(
            architecture.parse::<Architecture>().unwrap(),
            10,
            &quantizer(bits),
            Seed(1),
            &Device::Cpu,
        )
        .unwrap()
        .0
    }

    fn images(network: &Network, n: usize) -> Tensor {
        images_of(network.input_shape(), n)
    }

    fn images_of([c, h, w]: [usize; 3], n: usize) -> Tensor {
        Seed(2)
            .stream(crate::seed::Purpose::Test, &[])
            .normal_tensor(1.0, (n, c, h, w))
            .unwrap()
    }

    #[test]
    fn every_parameter_of_every_architecture_gets_a_gradient() {
        for architecture in [
            "mlp",
            "lenet5",
            "resnet20",
            "resnet20_projection",
            "resnet50",
            "deit_tiny",
        ] {
            let network = network(architecture, 2);
            let images = match architecture {
                "resnet50" => images_of([3, 64, 64], 4),
                _ => images(&network, 4),
            };
            let logits = network
                .training_logits(&images, None, Route::Kernels)
                .unwrap();
            assert_eq!(logits.dims(), [4, 10]);
            let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            for parameter in network.parameters() {
                assert!(
                    gradients.get(&parameter.var).is_some(),
                    "{architecture}: {}",
                    parameter.name
                );
            }
        }
    }

    #[test]
    fn on_the_route_of_gpus_images_themselves_get_no_gradient_and_all_parameters_do() {
        for architecture in ["lenet5", "resnet20_projection"] {
            let network = network(architecture, 4);
            let images = images(&network, 2);
            let found = |route| {
                let logits = network.training_logits(&images, None, route).unwrap();
                let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let parameters = network.parameters();
                (
                    gradients.get(&images).is_some(),
                    parameters.iter().all(|p| gradients.get(&p.var).is_some()),
                )
            };
            // candle computes one for its images whether anybody asks or not
            assert_eq!(
                (found(Route::Gpu), found(Route::Plain)),
                ((false, true), (true, true)),
                "{architecture}"
            );
        }
    }

    #[test]
    fn layer_counts_are_those_of_the_papers() {
        let layers = |name: &str| network(name, 4).layers().len();
        let small = ["mlp", "lenet5", "lenet5_cifar10"].map(layers);
        assert_eq!(small, [3, 5, 5]);
        let cifar = ["resnet20", "resnet32", "resnet44", "resnet56"].map(layers);
        assert_eq!(cifar, [20, 32, 44, 56]);
        let large = ["resnet18", "resnet34", "resnet50", "deit_tiny"].map(layers);
        assert_eq!(
            (layers("resnet20_projection"), large),
            (22, [21, 37, 54, 50])
        );
        let resnet20 = network("resnet20", 4);
        let weights = resnet20.layers().iter().map(|l| l.weight().elem_count());
        assert_eq!(weights.sum::<usize>(), 268_336);
    }

    #[test]
    fn a_state_dict_carries_a_network_over_exactly() {
        let from = network("resnet20", 4);
        from.training_logits(&images(&from, 8), None, Route::Kernels)
            .unwrap();
        let mut to = Network::new(
            "resnet20".parse::<Architecture>().unwrap(),
            10,
            &quantizer(4),
            Seed(9),
            &Device::Cpu,
        )
        .unwrap()
        .0;
        to.load_state(&from.state().unwrap()).unwrap();
        let run = |n: &Network| {
            let logits = n
                .logits(&images(n, 3), &n.effective_weights().unwrap())
                .unwrap();
            logits.to_vec2::<f32>().unwrap()
        };
        assert_eq!(run(&from), run(&to));
    }

    #[test]
    fn missing_and_unexpected_tensors_are_listed() {
        let mut network = network("mlp", 4);
        let mut state = network.state().unwrap();
        state.retain(|(name, _)| name != "layer2.bias");
        state.push(("layer9.weight".into(), state[0].1.clone()));
        let error = network.load_state(&state).unwrap_err().to_string();
        assert!(
            error.contains("missing: layer2.bias; unexpected: layer9.weight"),
            "{error}"
        );
    }

    #[test]
    fn ranges_start_from_loaded_weights_when_the_file_has_none() {
        let mut network = network("mlp", 4);
        let mut state = network.state().unwrap();
        state.retain(|(name, _)| !name.ends_with(".range"));
        for (name, tensor) in &mut state {
            if name == "layer1.weight" {
                *tensor = (tensor.clone() * 100.0).unwrap();
            }
        }
        let before = network.ranges().unwrap()[0].1;
        network.load_state(&state).unwrap();
        let after = network.ranges().unwrap()[0].1;
        assert!((after / before - 100.0).abs() < 1e-3, "{before} {after}");
    }

    #[test]
    fn gradients_of_whole_networks_match_plain_candle_in_double_precision() {
        for name in [
            "mlp",
            "lenet5",
            "resnet20",
            "resnet20_projection",
            "resnet18",
        ] {
            let run = |route: Route, dtype: DType| {
                let network = network(name, 8);
                let x = match network.architecture().known() {
                    Some(Architecture::ImagenetResnet { .. }) => images_of([3, 32, 32], 4),
                    _ => images(&network, 8),
                };
                let x = x.to_dtype(dtype).unwrap();
                let weights: Vec<Var> = network
                    .effective_weights()
                    .unwrap()
                    .iter()
                    .map(|w| Var::from_tensor(&w.to_dtype(dtype).unwrap()).unwrap())
                    .collect();
                let given: Vec<Tensor> = weights.iter().map(|w| w.as_tensor().clone()).collect();
                let pass = network.pass(&given, true, route);
                let logits = network.graph.forward(&x, &pass).unwrap();
                let gradients = logits.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let others: Vec<Var> = network.others.iter().map(|p| p.var.clone()).collect();
                let flat = |t: &Tensor| {
                    t.to_dtype(DType::F64)
                        .unwrap()
                        .flatten_all()
                        .unwrap()
                        .to_vec1::<f64>()
                        .unwrap()
                };
                let of = |var: &Var| flat(gradients.get(var).unwrap());
                let all: Vec<f64> = weights.iter().chain(&others).flat_map(of).collect();
                let running: Vec<f64> = network
                    .buffers
                    .iter()
                    .flat_map(|(_, var)| flat(var))
                    .collect();
                (all, running)
            };
            let plain = run(Route::Plain, DType::F64);
            let gpu = run(Route::Gpu, DType::F64);
            let distance = |a: &[f64], b: &[f64]| {
                let difference: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
                (difference / b.iter().map(|b| b.powi(2)).sum::<f64>().max(1e-30)).sqrt()
            };
            // a value that rounds to the other side of zero passes a ReLU or not: more do where more is rounded
            for (route, most) in [(Route::Kernels, 1e-3), (Route::Winograd, 1e-2)] {
                let fast = run(route, DType::F32);
                assert_eq!(fast.0.len(), plain.0.len());
                let (gradients, running) =
                    (distance(&fast.0, &plain.0), distance(&fast.1, &plain.1));
                println!("{name} {route:?}: {gradients:.1e} {running:.1e}");
                assert!(gradients < most, "{name} {route:?}: {gradients}");
                assert!(running < 1e-5, "{name} {route:?}: {running}");
            }
            let (gradients, running) = (distance(&gpu.0, &plain.0), distance(&gpu.1, &plain.1));
            assert!(
                gradients < 1e-9 && running < 1e-9,
                "{name}: {gradients} {running}"
            );
        }
    }

    #[test]
    fn a_skip_that_matches_no_layer_is_an_error() {
        let mut spec = quantizer(4);
        spec.skip = vec!["conv9*".into()];
        let error =
            Network::new(Architecture::Lenet5, 10, &spec, Seed(1), &Device::Cpu).unwrap_err();
        assert!(
            error.to_string().contains("conv1, conv2, fc1, fc2, fc3"),
            "{error}"
        );
    }
}
