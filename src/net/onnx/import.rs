//! From the nodes of a file to a graph, in their order.

use super::attributes::Attributes;
use super::call::{Call, Held, Known, State};
use super::constant::{sizes, Element, Tensors};
use super::layers::Layers;
use super::operators::{operator, NEWEST_OPSET, OLDEST_OPSET};
use super::proto;
use crate::error::{refuse, Error, Result};
use crate::net::graph::{Graph, Op};
use crate::net::shape::{checked_count, MOST_NUMBERS};
use candle_core::Tensor;
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

/// What a user says of an ONNX file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportChoices {
    /// Dimensions of the input behind the batch, where the file leaves them open.
    pub input_shape: Option<Vec<usize>>,
    /// The output that is scored; else the first.
    pub output: Option<String>,
}

/// What the inputs of a file are taken for.
#[derive(Clone, Copy)]
enum Inputs<'c> {
    /// A batch of images: their dimensions where the file leaves them open, and the size that is assumed where it leaves
    /// that open.
    Images {
        shape: Option<&'c [usize]>,
        batch: usize,
    },
    /// Values without a batch, as those of an operator by itself.
    #[cfg(test)]
    AsTheyStand,
}

/// The part of a file that gives one output.
struct Part<'m> {
    path: &'m Path,
    graph: &'m proto::Graph,
    /// The nodes on which the output depends, in their order.
    nodes: Vec<&'m proto::Node>,
    opset: i64,
    output: &'m str,
}

/// Takes over a model of a path.
///
/// # Errors
/// [`Error::Argument`] that names all operators which are not known, or the node at fault.
pub(super) fn import(path: &Path, model: &proto::Model, choices: &ImportChoices) -> Result<Import> {
    let part = Part::of(path, model, choices.output.as_deref())?;
    let shape = choices.input_shape.as_deref();
    let taken = |batch| part.taken(Inputs::Images { shape, batch });
    let mut import = match taken(ASSUMED_BATCH) {
        Ok(import) => import,
        Err(error) => {
            // an exporter that was shown one image may have written its batch into a shape
            let Ok(mut import) = taken(1) else {
                return Err(error);
            };
            let remark = format!("taken over as a network of one image: {error}");
            import.warnings.push(remark);
            import
        }
    };
    import.metadata.clone_from(&model.metadata);
    if choices.output.is_none() && part.graph.output.len() > 1 {
        let all = output_names(part.graph).join(", ");
        import.warnings.push(format!(
            "the network has the outputs {all}: the first is scored, --output takes another"
        ));
    }
    Ok(import)
}

/// Takes over one output of an operator by itself, whose inputs have no batch.
///
/// # Errors
/// As [`import`].
#[cfg(test)]
pub(super) fn import_operator(path: &Path, model: &proto::Model, output: &str) -> Result<Import> {
    Part::of(path, model, Some(output))?.taken(Inputs::AsTheyStand)
}

fn output_names(graph: &proto::Graph) -> Vec<&str> {
    let outputs = graph.output.iter();
    outputs.map(|output| output.name.as_str()).collect()
}

impl<'m> Part<'m> {
    /// The part that gives the output of this name, else the first one.
    fn of(path: &'m Path, model: &'m proto::Model, output: Option<&str>) -> Result<Self> {
        let Some(graph) = &model.graph else {
            return refuse("model", "a graph", "none");
        };
        let opset = checked_opset(model)?;
        let names = output_names(graph);
        let own = match output {
            Some(name) => names.iter().find(|own| **own == name),
            None => names.first(),
        };
        let Some(own) = own else {
            let expected = format!("one of {}", names.join(", "));
            let found = output.unwrap_or("none");
            return refuse("output of the network", expected, found);
        };
        let nodes = needed(graph, own);
        check_operators(model, &nodes)?;
        Ok(Self {
            path,
            graph,
            nodes,
            opset,
            output: own,
        })
    }

    fn taken(&self, inputs: Inputs) -> Result<Import> {
        let mut importer = Importer::new(self)?;
        importer.take_inputs(self, inputs)?;
        for node in &self.nodes {
            importer.take(node)?;
        }
        importer.finished(self.output)
    }
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
        return refuse("opset", expected, opset);
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
    refuse(
        "operators",
        "those of `inspect --list-operators`",
        unknown.join("; "),
    )
}

impl Part<'_> {
    /// Names of the values that nodes read.
    fn names_read(&self) -> BTreeSet<&str> {
        let nodes = self.nodes.iter();
        nodes
            .flat_map(|node| node.input.iter().map(String::as_str))
            .collect()
    }
}

/// What a file says of an input: its numbers, and its dimensions, 0 or less where they are open.
fn declared(input: &proto::ValueInfo) -> (Element, Option<Vec<i64>>) {
    let kind = input.kind.as_ref().and_then(|kind| kind.tensor.as_ref());
    let element = kind.and_then(|kind| Element::of(kind.elements));
    let shape = kind.and_then(|kind| kind.shape.as_ref());
    let dims = shape.map(|shape| shape.dim.iter().map(|dim| dim.value).collect());
    (element.map_or(Element::Float, |(element, _)| element), dims)
}

/// An import under way.
struct Importer {
    state: State,
    known: BTreeMap<String, Known>,
    opset: i64,
    input: Vec<usize>,
}

impl Importer {
    /// With the constants that nodes of the part read.
    fn new(part: &Part) -> Result<Self> {
        let mut importer = Self {
            state: State {
                graph: Graph::default(),
                tensors: Tensors::beside(part.path),
                layers: Layers::default(),
                batch: None,
                room: ROOM,
                constants: Cell::new(0),
                values: BTreeMap::new(),
            },
            known: BTreeMap::new(),
            opset: part.opset,
            input: Vec::new(),
        };
        let read = part.names_read();
        let tensors = part.graph.initializer.iter();
        for tensor in tensors.filter(|tensor| read.contains(tensor.name.as_str())) {
            let (values, element) = importer.state.tensors.read(tensor)?;
            importer.state.room += 4 * values.elem_count();
            let name = tensor.name.clone();
            let known = importer.state.constant(name.clone(), values, element);
            importer.known.insert(name, known);
        }
        Ok(importer)
    }

    /// Inputs that nodes read and that are no constants: older files list those too.
    fn take_inputs(&mut self, part: &Part, inputs: Inputs) -> Result<()> {
        let read = part.names_read();
        let own: Vec<&proto::ValueInfo> = part
            .graph
            .input
            .iter()
            .filter(|input| {
                read.contains(input.name.as_str()) && !self.known.contains_key(&input.name)
            })
            .collect();
        let (shape, batch) = match inputs {
            Inputs::Images { shape, batch } => (shape, batch),
            #[cfg(test)]
            Inputs::AsTheyStand => {
                return own
                    .into_iter()
                    .try_for_each(|input| self.take_as_it_stands(input))
            }
        };
        let [input] = own[..] else {
            let names: Vec<&str> = own.iter().map(|input| input.name.as_str()).collect();
            return refuse("inputs of the network", "one", names.join(", "));
        };
        self.take_images(input, shape, batch)
    }

    fn take_images(
        &mut self,
        input: &proto::ValueInfo,
        wanted: Option<&[usize]>,
        batch: usize,
    ) -> Result<()> {
        let what = || format!("input `{}`", input.name);
        let (element, of_file) = declared(input);
        let per_image = match (wanted, &of_file) {
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
                return refuse("--input-shape", expected, format!("{own:?}"));
            }
            (Some(own), _) => own.to_vec(),
            (None, Some(file)) if file.len() >= 2 && file[1..].iter().all(|dim| *dim > 0) => {
                file[1..].iter().map(|dim| *dim as usize).collect()
            }
            (None, file) => {
                let expected = "known dimensions behind the batch, or --input-shape";
                return refuse(what(), expected, format!("{file:?}"));
            }
        };
        // the size that the file fixes may stand in its constants
        let of_batch = of_file.as_ref().and_then(|file| file.first().copied());
        let of_batch = of_batch.filter(|size| *size > 0);
        let batch = of_batch.map_or(batch, |size| size as usize);
        let shape: Vec<usize> = [&[batch], &per_image[..]].concat();
        if checked_count(&per_image).is_none_or(|numbers| numbers > MOST_NUMBERS) {
            let expected = format!("at most {MOST_NUMBERS} numbers for an image");
            return refuse(what(), expected, format!("{per_image:?}"));
        }
        let wide: Vec<i64> = shape.iter().map(|dim| *dim as i64).collect();
        sizes(&wide)
            .ok_or_else(|| Error::argument(what(), "at most 2³¹ numbers", format!("{shape:?}")))?;
        // images have three dimensions; others come from them by the first node
        let value = if shape.len() == 4 {
            0
        } else {
            let dims = per_image.iter().map(|dim| Some(*dim));
            let dims = std::iter::once(None).chain(dims).collect();
            self.state.graph.push(Op::Reshape(dims), &[0])
        };
        self.state.batch = Some(batch);
        self.input = per_image;
        let known = Known {
            shape,
            batch: Some(0),
            element,
            held: Held::Value(value),
        };
        self.known.insert(input.name.clone(), known);
        Ok(())
    }

    /// The second and later ones become parameters, whose values are given later.
    #[cfg(test)]
    fn take_as_it_stands(&mut self, input: &proto::ValueInfo) -> Result<()> {
        let (element, dims) = declared(input);
        let shape = dims.as_deref().and_then(sizes);
        let (shape, _) =
            shape.ok_or_else(|| Error::argument("input", "known dimensions", &input.name))?;
        let value = if self.input.is_empty() && self.state.graph.nodes().is_empty() {
            self.input = shape.clone();
            0
        } else {
            let zeros = Tensor::zeros(
                shape.as_slice(),
                candle_core::DType::F64,
                &candle_core::Device::Cpu,
            )?;
            let at = self.state.parameter(&input.name, &zeros)?;
            self.state.graph.push(Op::Parameter(at), &[])
        };
        let known = Known {
            shape,
            batch: None,
            element,
            held: Held::Value(value),
        };
        self.known.insert(input.name.clone(), known);
        Ok(())
    }

    fn finished(mut self, output: &str) -> Result<Import> {
        let wrong = |expected: &str, found: String| {
            Error::argument(format!("output `{output}`"), expected, found)
        };
        let known = self.known.get(output).cloned();
        let known = known.ok_or_else(|| wrong("a value that a node gives", "none".into()))?;
        if self.state.batch.is_some() && known.constant().is_some() {
            return Err(wrong(
                "a value that depends on the input",
                "a constant".into(),
            ));
        }
        if self.state.batch.is_some() && known.batch != Some(0) {
            let found = format!("{:?}", known.shape);
            return Err(wrong("the batch as first dimension", found));
        }
        let value = self.state.value(&known)?;
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
            sources: layers
                .weights
                .into_iter()
                .map(|(source, _)| source)
                .collect(),
            input: self.input,
            output: known.shape.get(1..).unwrap_or_default().to_vec(),
            warnings: Vec::new(),
            metadata: Vec::new(),
        })
    }

    fn take(&mut self, node: &proto::Node) -> Result<()> {
        let Some(operator) = operator(&node.domain, &node.op_type) else {
            return refuse("operators", "known ones", node.op_type.clone());
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
        let outputs = operator.outputs(&mut call)?;
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
