//! From the nodes of a file to a graph, in their order.

use super::attributes::Attributes;
use super::call::{Call, Held, Known, State};
use super::constant::{sizes, Element, Tensors};
use super::layers::Layers;
use super::operators::{operator, NEWEST_OPSET, OLDEST_OPSET};
use super::proto;
use crate::error::{Error, Result};
use crate::kernel::Workspace;
use crate::net::graph::{Graph, Op};
use crate::net::network::{Parameter, Role};
use crate::net::pass::{self, Pass, Route};
use crate::net::slot::Slot;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Tensor, Var};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The batch that is assumed where the file leaves it open: a prime, so that hardly another size is a multiple of it.
const ASSUMED_BATCH: usize = 61;
/// Values that constants may hold beyond four times those of the file.
const ROOM: usize = 1 << 24;

/// A network of a file.
pub(in crate::net) struct Import {
    pub(in crate::net) graph: Graph,
    /// The state dict: weights, parameters and buffers.
    pub(in crate::net) state: Vec<(String, Tensor)>,
    /// Codes of layers that the file has.
    pub(in crate::net) codes: BTreeMap<usize, super::call::Codes>,
    /// The constant of each layer.
    #[cfg(test)]
    pub(super) sources: Vec<String>,
    /// Dimensions of the input behind the batch.
    pub(in crate::net) input: Vec<usize>,
    /// Dimensions of the output behind the batch.
    pub(in crate::net) output: Vec<usize>,
    pub(in crate::net) warnings: Vec<String>,
    /// What the file says beside the graph.
    pub(super) metadata: Vec<proto::Entry>,
}

/// Images of which a network's outputs are compared, alone and together.
const CHECKED_IMAGES: usize = 2;
/// Largest difference between those, by the largest output.
const CHECKED_DIFFERENCE: f64 = 1e-3;

impl Import {
    /// That every image is answered for itself: two together give what each gives alone.
    ///
    /// # Errors
    /// [`Error::Argument`] where they do not.
    pub(super) fn check(&self) -> Result<()> {
        let shape = [&[CHECKED_IMAGES], &self.input[..]].concat();
        let images = Seed(0)
            .stream(Purpose::Images, &[])
            .normal_tensor(1.0, shape)?;
        let images = self.padded(&images)?;
        let wrong = |found: String| {
            let expected = "the same outputs for an image alone and in a batch";
            Error::argument("network", expected, found)
        };
        let run = |images: &Tensor| self.run(&|_| None, images, DType::F32);
        let together = run(&images).map_err(|e| wrong(e.to_string()))?;
        for at in 0..CHECKED_IMAGES {
            let alone = run(&images.narrow(0, at, 1)?).map_err(|e| wrong(e.to_string()))?;
            let own = together
                .narrow(0, at, 1)
                .map_err(|_| wrong(format!("{:?} for two images", together.dims())))?;
            if own.dims() != alone.dims() {
                return Err(wrong(format!("{:?} and {:?}", alone.dims(), own.dims())));
            }
            let largest = alone.abs()?.flatten_all()?.max(0)?.to_scalar::<f32>()?;
            let far = (alone - own)?
                .abs()?
                .flatten_all()?
                .max(0)?
                .to_scalar::<f32>()?;
            // outputs that are not finite say nothing
            if f64::from(far) > CHECKED_DIFFERENCE * f64::from(largest) {
                return Err(wrong(format!("a difference of {far} beside {largest}")));
            }
        }
        Ok(())
    }

    /// Inputs [batch, ...] as images of three dimensions.
    fn padded(&self, inputs: &Tensor) -> Result<Tensor> {
        let missing = 3usize.saturating_sub(self.input.len());
        let ones = vec![1; missing];
        let dims = inputs.dims();
        Ok(inputs.reshape([&dims[..1], &ones[..], &dims[1..]].concat())?)
    }

    /// Outputs of images, by the plain operations; `given` may hold other values of a tensor.
    pub(super) fn run(
        &self,
        given: &dyn Fn(&str) -> Option<Tensor>,
        images: &Tensor,
        dtype: DType,
    ) -> Result<Tensor> {
        let own: BTreeMap<&str, &Tensor> = self
            .state
            .iter()
            .map(|(name, t)| (name.as_str(), t))
            .collect();
        let values = |name: &str| -> Result<Tensor> {
            let values = given(name).or_else(|| own.get(name).copied().cloned());
            let values =
                values.ok_or_else(|| Error::argument("graph", "a tensor of the file", name))?;
            Ok(values.to_dtype(dtype)?)
        };
        let parameter = |slot: &Slot| -> Result<Parameter> {
            Ok(Parameter {
                name: slot.name.clone(),
                var: Var::from_tensor(&values(&slot.name)?)?,
                role: Role::Other,
            })
        };
        let parameters = self
            .graph
            .parameters
            .iter()
            .map(parameter)
            .collect::<Result<Vec<_>>>()?;
        let buffers = self
            .graph
            .buffers
            .iter()
            .map(parameter)
            .collect::<Result<Vec<_>>>()?;
        let buffers: Vec<(String, Var)> =
            buffers.into_iter().map(|own| (own.name, own.var)).collect();
        let weights = self
            .graph
            .layers
            .iter()
            .map(|slot| values(&format!("{}.weight", slot.name)));
        let weights = weights.collect::<Result<Vec<_>>>()?;
        let pass = Pass {
            tensors: pass::Tensors {
                parameters: &parameters,
                buffers: &buffers,
            },
            weights: &weights,
            workspace: &Workspace::default(),
            training: false,
            route: Route::Plain,
        };
        self.graph.forward(&images.to_dtype(dtype)?, &pass)
    }
}

/// What a user says of an ONNX file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportChoices {
    /// Dimensions of the input behind the batch, where the file leaves them open.
    pub input_shape: Option<Vec<usize>>,
    /// The output that is scored; else the first.
    pub output: Option<String>,
    /// Inputs have no batch: every dimension is as the file says.
    #[doc(hidden)]
    pub as_it_stands: bool,
}

/// Takes over a model of a path.
///
/// # Errors
/// [`Error::Argument`] that names all operators which are not known, or the node at fault.
pub(in crate::net) fn import(
    path: &Path,
    model: &proto::Model,
    choices: &ImportChoices,
) -> Result<Import> {
    let Some(graph) = &model.graph else {
        return Err(Error::argument("model", "a graph", "none"));
    };
    let opset = checked_opset(model)?;
    let names: Vec<&str> = graph
        .output
        .iter()
        .map(|output| output.name.as_str())
        .collect();
    let output = match &choices.output {
        Some(name) => names.iter().find(|own| *own == name),
        None => names.first(),
    };
    let Some(output) = output else {
        let found = choices.output.clone().unwrap_or_else(|| "none".into());
        let expected = format!("one of {}", names.join(", "));
        return Err(Error::argument("output of the network", expected, found));
    };
    let nodes = needed(graph, output);
    check_operators(model, &nodes)?;
    let run =
        |batch| Importer::new(path, graph, &nodes, opset, choices, batch)?.run(&nodes, output);
    let mut import = match run(ASSUMED_BATCH) {
        // an exporter that was shown one image may have written its batch into a shape
        Err(error) if !choices.as_it_stands => {
            let Ok(mut import) = run(1) else {
                return Err(error);
            };
            import
                .warnings
                .push(format!("taken over as a network of one image: {error}"));
            import
        }
        other => other?,
    };
    import.metadata.clone_from(&model.metadata);
    if choices.output.is_none() && names.len() > 1 {
        let all = names.join(", ");
        import.warnings.push(format!(
            "the network has the outputs {all}: the first is scored, --output takes another"
        ));
    }
    Ok(import)
}

/// The nodes on which an output depends, in their order.
fn needed<'m>(graph: &'m proto::Graph, output: &str) -> Vec<&'m proto::Node> {
    let mut names = BTreeSet::from([output]);
    let mut nodes = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|name| names.contains(name.as_str())) {
            names.extend(node.input.iter().map(String::as_str));
            nodes.push(node);
        }
    }
    nodes.reverse();
    nodes
}

/// Version of ONNX's own operators.
fn checked_opset(model: &proto::Model) -> Result<i64> {
    let own = model
        .opset_import
        .iter()
        .find(|opset| matches!(opset.domain.as_str(), "" | "ai.onnx"));
    let opset = own.map_or(1, |opset| opset.version);
    if !(OLDEST_OPSET..=NEWEST_OPSET).contains(&opset) {
        let expected = format!("version {OLDEST_OPSET} to {NEWEST_OPSET} of the operators");
        return Err(Error::argument("opset", expected, opset.to_string()));
    }
    Ok(opset)
}

/// Names every operator that is not known, with its nodes.
fn check_operators(model: &proto::Model, nodes: &[&proto::Node]) -> Result<()> {
    let mut unknown: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (at, node) in nodes.iter().enumerate() {
        if operator(&node.domain, &node.op_type).is_some() {
            continue;
        }
        let function = model
            .functions
            .iter()
            .any(|f| f.name == node.op_type && f.domain == node.domain);
        let name = match (function, node.domain.as_str()) {
            (true, _) => format!("{} (a function of the file)", node.op_type),
            (false, "" | "ai.onnx") => node.op_type.clone(),
            (false, domain) => format!("{domain}:{}", node.op_type),
        };
        let node = if node.name.is_empty() {
            format!("number {at}")
        } else {
            node.name.clone()
        };
        unknown.entry(name).or_default().push(node);
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let of_one = |(name, nodes): (&String, &Vec<String>)| {
        let shown = nodes.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        let more = nodes.len().saturating_sub(3);
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        format!("{name} (node {shown}{more})")
    };
    let unknown: Vec<String> = unknown.iter().map(of_one).collect();
    Err(Error::argument(
        "operators",
        "those of `inspect --list-operators`",
        unknown.join("; "),
    ))
}

/// An import under way.
struct Importer {
    state: State,
    known: BTreeMap<String, Known>,
    opset: i64,
    input: Vec<usize>,
}

impl Importer {
    fn new(
        path: &Path,
        graph: &proto::Graph,
        nodes: &[&proto::Node],
        opset: i64,
        choices: &ImportChoices,
        batch: usize,
    ) -> Result<Self> {
        let mut importer = Self {
            state: State {
                graph: Graph::default(),
                tensors: Tensors::beside(path),
                layers: Layers::default(),
                batch: None,
                room: ROOM,
                warnings: Vec::new(),
                constants: Cell::new(0),
            },
            known: BTreeMap::new(),
            opset,
            input: Vec::new(),
        };
        let read: BTreeSet<&str> = nodes
            .iter()
            .flat_map(|node| node.input.iter().map(String::as_str))
            .collect();
        for tensor in graph
            .initializer
            .iter()
            .filter(|tensor| read.contains(tensor.name.as_str()))
        {
            let (values, element) = importer.state.tensors.read(tensor)?;
            importer.state.room += 4 * values.elem_count();
            let known = importer
                .state
                .constant(tensor.name.clone(), values, element);
            importer.known.insert(tensor.name.clone(), known);
        }
        let inputs = graph.input.iter();
        let inputs: Vec<&proto::ValueInfo> = inputs
            .filter(|input| {
                read.contains(input.name.as_str()) && !importer.known.contains_key(&input.name)
            })
            .collect();
        if choices.as_it_stands {
            for input in inputs {
                importer.take_as_it_stands(input)?;
            }
            return Ok(importer);
        }
        let [input] = inputs[..] else {
            let names: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
            return Err(Error::argument(
                "inputs of the network",
                "one",
                names.join(", "),
            ));
        };
        importer.take_input(input, choices, batch)?;
        Ok(importer)
    }

    fn take_input(
        &mut self,
        input: &proto::ValueInfo,
        choices: &ImportChoices,
        batch: usize,
    ) -> Result<()> {
        let what = || format!("input `{}`", input.name);
        let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let element = kind
            .and_then(|kind| Element::of(kind.elements))
            .map_or(Element::Float, |(element, _)| element);
        let dims = kind
            .and_then(|kind| kind.shape.as_ref())
            .map(|shape| &shape.dim[..]);
        let of_file: Option<Vec<i64>> = dims.map(|dims| dims.iter().map(|dim| dim.value).collect());
        let per_image = match (&choices.input_shape, &of_file) {
            (Some(own), Some(file))
                if file.len() != own.len() + 1
                    || file[1..]
                        .iter()
                        .zip(own)
                        .any(|(file, own)| *file > 0 && *file as usize != *own) =>
            {
                let expected = format!(
                    "dimensions that fit those of the file behind the batch, {:?}",
                    file.get(1..).unwrap_or_default()
                );
                return Err(Error::argument(
                    "--input-shape",
                    expected,
                    format!("{own:?}"),
                ));
            }
            (Some(own), _) => own.clone(),
            (None, Some(file)) if file.len() >= 2 && file[1..].iter().all(|dim| *dim > 0) => {
                file[1..].iter().map(|dim| *dim as usize).collect()
            }
            (None, file) => {
                let expected = "known dimensions behind the batch, or --input-shape";
                return Err(Error::argument(what(), expected, format!("{file:?}")));
            }
        };
        // the size that the file fixes may stand in its constants
        let of_batch = of_file
            .as_ref()
            .and_then(|file| file.first().copied())
            .filter(|size| *size > 0);
        let batch = of_batch.map_or(batch, |size| size as usize);
        let shape: Vec<usize> = [&[batch], &per_image[..]].concat();
        let wide: Vec<i64> = shape.iter().map(|dim| *dim as i64).collect();
        sizes(&wide)
            .ok_or_else(|| Error::argument(what(), "at most 2³¹ numbers", format!("{shape:?}")))?;
        self.state.batch = Some(batch);
        self.input = per_image.clone();
        self.insert(input, shape, Some(0), element);
        Ok(())
    }

    /// The input as value 0, images of three dimensions; others come from them by the first node.
    fn insert(
        &mut self,
        input: &proto::ValueInfo,
        shape: Vec<usize>,
        batch: Option<usize>,
        element: Element,
    ) {
        let value = match shape.len() {
            4 => 0,
            _ => {
                let dims = shape.iter().enumerate();
                let dims = dims.map(|(axis, dim)| (axis > 0).then_some(*dim)).collect();
                self.state.graph.push(Op::Reshape(dims), &[0])
            }
        };
        let held = Held::Value(value);
        let known = Known {
            shape,
            batch,
            element,
            held,
        };
        self.known.insert(input.name.clone(), known);
    }

    /// An input of an operator by itself; the second and later ones become parameters, whose values are given later.
    fn take_as_it_stands(&mut self, input: &proto::ValueInfo) -> Result<()> {
        let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
        let element = kind
            .and_then(|kind| Element::of(kind.elements))
            .map_or(Element::Float, |(element, _)| element);
        let dims = kind
            .and_then(|kind| kind.shape.as_ref())
            .map(|shape| shape.dim.iter().map(|dim| dim.value).collect());
        let shape = dims.and_then(|dims: Vec<i64>| sizes(&dims));
        let (shape, _) = shape.ok_or_else(|| {
            Error::argument(
                format!("input `{}`", input.name),
                "known dimensions",
                "others",
            )
        })?;
        let value = if self.input.is_empty() && self.state.graph.nodes().is_empty() {
            0
        } else {
            let zeros = Tensor::zeros(
                shape.as_slice(),
                candle_core::DType::F64,
                &candle_core::Device::Cpu,
            )?;
            let at = self
                .state
                .layers
                .parameter(&mut self.state.graph, &input.name, &zeros)?;
            self.state.graph.push(Op::Parameter(at), &[])
        };
        if value == 0 {
            self.input = shape.clone();
        }
        let held = Held::Value(value);
        self.known.insert(
            input.name.clone(),
            Known {
                shape,
                batch: None,
                element,
                held,
            },
        );
        Ok(())
    }

    fn run(mut self, nodes: &[&proto::Node], output: &str) -> Result<Import> {
        for node in nodes {
            self.take(node)?;
        }
        let wrong = |expected: &str, found: String| {
            Error::argument(format!("output `{output}`"), expected, found)
        };
        let known = self.known.get(output).cloned();
        let known = known.ok_or_else(|| wrong("a value that a node gives", "none".into()))?;
        let as_it_stands = self.state.batch.is_none();
        let value = match known.held {
            Held::Constant(_) if as_it_stands => self.state.value(&known)?,
            Held::Constant(_) => {
                return Err(wrong(
                    "a value that depends on the input",
                    "a constant".into(),
                ))
            }
            Held::Value(value) => value,
        };
        if !as_it_stands && known.batch != Some(0) {
            return Err(wrong(
                "the batch as first dimension",
                format!("{:?}", known.shape),
            ));
        }
        let (mut graph, layers) = (self.state.graph, self.state.layers);
        if value < graph.nodes().len() {
            // the last node gives the result
            graph.push(Op::Scale(1.0), &[value]);
        }
        Ok(Import {
            graph,
            state: layers.state,
            codes: layers.codes,
            #[cfg(test)]
            sources: layers.sources,
            input: self.input,
            output: known.shape.get(1..).unwrap_or_default().to_vec(),
            warnings: self.state.warnings,
            metadata: Vec::new(),
        })
    }

    fn take(&mut self, node: &proto::Node) -> Result<()> {
        let Some(import) = operator(&node.domain, &node.op_type) else {
            return Err(Error::argument(
                "operators",
                "known ones",
                node.op_type.clone(),
            ));
        };
        let mut inputs = Vec::with_capacity(node.input.len());
        for name in &node.input {
            inputs.push(match name.as_str() {
                "" => None,
                name => Some(self.known.get(name).cloned().ok_or_else(|| {
                    let what = format!("node `{}` ({})", node.name, node.op_type);
                    Error::argument(
                        what,
                        "inputs that nodes before it give",
                        format!("`{name}`"),
                    )
                })?),
            });
        }
        let mut call = Call {
            state: &mut self.state,
            node,
            attributes: Attributes::of(node),
            inputs,
            opset: self.opset,
        };
        let outputs = import(&mut call)?;
        let unasked = call.attributes.unasked();
        if !unasked.is_empty() {
            return Err(call.wrong("attributes that are known", unasked.join(", ")));
        }
        let wanted = node
            .output
            .iter()
            .rposition(|name| !name.is_empty())
            .map_or(0, |last| last + 1);
        if outputs.len() < wanted {
            let expected = format!("at most {} outputs", outputs.len());
            return Err(call.wrong(expected, wanted.to_string()));
        }
        for (name, known) in node.output.iter().zip(outputs) {
            if !name.is_empty() {
                self.known.insert(name.clone(), known);
            }
        }
        Ok(())
    }
}
