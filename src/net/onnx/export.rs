//! A network as an ONNX file: its nodes as standard operators, its weights as the whole numbers that the memory holds,
//! behind DequantizeLinear.

mod operations;

use super::metadata::entries;
use super::proto::{
    Attribute, Dimension, Graph as GraphProto, Model, Node, Opset, Shape, TensorProto, TensorType,
    Type, ValueInfo,
};
use super::unused;
use crate::code::CodeFormat;
use crate::data::Normalization;
use crate::error::{refuse, Result, TensorContext};
use crate::net::graph::{Graph, Node as GraphNode, Op};
use crate::net::network::Network;
use crate::quant::StoredWeight;
use crate::units::Bits;
use candle_core::{Device, Tensor};
use prost::Message;
use std::collections::BTreeSet;

/// Version of the operators: the first with codes of 4 bits in DequantizeLinear.
const OPSET: i64 = 21;
/// Version of the file format that goes with it.
const IR_VERSION: i64 = 10;
/// Numbers of element types in the schema.
const FLOAT: i32 = 1;
const UINT8: i32 = 2;
const INT8: i32 = 3;
const UINT4: i32 = 21;
const INT4: i32 = 22;
const INT64: i64 = 7;
const BOOL: i64 = 9;
/// Names of the input and of the output.
const INPUT: &str = "input";
const OUTPUT: &str = "logits";
/// What stands for the size of the batch.
const BATCH: &str = "batch";

/// Bytes of an ONNX file of the network, which is called `name` there, and of how its images are normalised. The input is
/// [batch, channels, height, width], of the network of a file as many dimensions as there, the output logits, [batch,
/// classes], both f32; the batch is free. A quantised layer is an initialiser `<layer>.weight` of type INT8, UINT8, INT4 or
/// UINT4 with the codes that the memory holds; codes of another width than 8 or 4 bits go through a Clip to their bounds.
///
/// # Errors
/// [`crate::error::Error::Argument`] for a zero point that no code of its layer's type can be; a tensor failure.
pub(in crate::net) fn bytes(
    network: &Network,
    name: &str,
    normalization: Option<&Normalization>,
) -> Result<Vec<u8>> {
    let mut writer = Writer::of(network.graph());
    let mut weights = Vec::new();
    for (layer, stored) in network.layers().iter().zip(network.stored()?) {
        let tensor = format!("{}.weight", layer.name());
        weights.push(match stored {
            Some(stored) => writer.codes(&tensor, &stored)?,
            None => writer.floats(&tensor, layer.weight())?,
        });
    }
    let (input, output) = writer.network(network, weights)?;
    let graph = GraphProto {
        node: writer.nodes,
        name: name.to_owned(),
        initializer: writer.tensors,
        input: vec![input],
        output: vec![output],
    };
    let model = Model {
        ir_version: IR_VERSION,
        opset_import: vec![Opset {
            domain: String::new(),
            version: OPSET,
        }],
        producer_name: env!("CARGO_PKG_NAME").to_owned(),
        graph: Some(graph),
        metadata: entries(normalization)?,
        functions: Vec::new(),
    };
    Ok(model.encode_to_vec())
}

/// Floats of these dimensions, of which the first is the batch and free.
fn float_value(name: &str, shape: &[usize]) -> ValueInfo {
    let mut dim = vec![Dimension {
        value: 0,
        symbol: BATCH.to_owned(),
    }];
    for size in shape.iter().skip(1) {
        dim.push(Dimension {
            value: *size as i64,
            symbol: String::new(),
        });
    }
    let tensor = TensorType {
        elements: FLOAT,
        shape: Some(Shape { dim }),
    };
    ValueInfo {
        name: name.to_owned(),
        kind: Some(Type {
            tensor: Some(tensor),
        }),
    }
}

/// A file in the making.
struct Writer {
    nodes: Vec<Node>,
    tensors: Vec<TensorProto>,
    /// Names of values and tensors.
    taken: BTreeSet<String>,
}

impl Writer {
    /// With the names that the tensors of a graph will have.
    fn of(graph: &Graph) -> Self {
        let mut taken = BTreeSet::new();
        for slot in graph.parameters.iter().chain(&graph.buffers) {
            taken.insert(slot.name.clone());
        }
        for slot in &graph.layers {
            taken.insert(format!("{}.weight", slot.name));
        }
        Self {
            nodes: Vec::new(),
            tensors: Vec::new(),
            taken,
        }
    }

    /// A name like this one that nothing has yet.
    fn unused(&mut self, wanted: &str) -> String {
        unused(&mut self.taken, wanted, str::to_owned)
    }

    /// All nodes of the graph; gives its input and its output. `weights` are the names of the layers' values.
    fn network(
        &mut self,
        network: &Network,
        weights: Vec<String>,
    ) -> Result<(ValueInfo, ValueInfo)> {
        let graph = network.graph();
        let shapes = graph.shapes(network.input_shape())?;
        let mut tensors = Values {
            weights,
            ..Values::default()
        };
        for own in network.tensors().parameters {
            let name = self.floats(&own.name, own.var.as_tensor())?;
            tensors.parameters.push(name);
        }
        for (name, var) in network.tensors().buffers {
            tensors.buffers.push(self.floats(name, var.as_tensor())?);
        }
        let input = self.unused(INPUT);
        let count = graph.nodes().len();
        let mut names = vec![String::new(); count + 1];
        // a value that depends on the input has its batch
        let mut batched = vec![true; count + 1];
        let first = usize::from(has_fewer_dimensions(graph, network.input_shape()));
        names[..=first].fill(input.clone());
        for at in in_memory_order(graph).into_iter().filter(|at| *at >= first) {
            let node = &graph.nodes()[at];
            let mut inputs = Vec::new();
            for value in &node.inputs {
                inputs.push(Input {
                    name: &names[*value],
                    shape: &shapes[*value],
                    batched: batched[*value],
                });
            }
            let name = self.operation(&node.op, &inputs, &tensors, graph)?;
            batched[at + 1] = inputs.iter().any(|input| input.batched);
            names[at + 1] = name;
        }
        let output = self.unused(OUTPUT);
        self.push("Identity", &[&names[count]], Vec::new(), output.clone());
        Ok((
            float_value(&input, &shapes[first]),
            float_value(&output, &shapes[count]),
        ))
    }

    /// The codes of a layer as whole numbers, and the nodes that make weights of them; gives the name of these.
    fn codes(&mut self, name: &str, stored: &StoredWeight) -> Result<String> {
        let (format, scales) = (stored.format, &stored.scales);
        let (low, high) = (format.min(), format.max());
        let small = format.bits() == 4 && scales.iter().all(|s| (low..=high).contains(&s.zero));
        // numbers of the schema have 4 or 8 bits
        let kind = CodeFormat::new(Bits::new(if small { 4 } else { 8 })?, format.signed())?;
        let (least, most) = (kind.min(), kind.max());
        if let Some(scale) = scales.iter().find(|s| !(least..=most).contains(&s.zero)) {
            let what = format!("zero points of `{name}`");
            let expected = format!("{least} to {most}");
            return refuse(what, expected, scale.zero);
        }
        let words = stored.words.iter();
        let codes: Vec<i16> = words.map(|word| format.decode(*word)).collect();
        self.whole(name, &stored.shape, &codes, kind);
        let mut value = name.to_owned();
        if !small && format.bits() < 8 {
            let least = self.unused(&format!("{name}_min"));
            self.whole(&least, &[], &[low], kind);
            let most = self.unused(&format!("{name}_max"));
            self.whole(&most, &[], &[high], kind);
            value = self.node("Clip", &[&value, &least, &most], Vec::new());
        }
        let per_channel: &[usize] = match scales.len() {
            1 => &[],
            _ => &stored.shape[..1],
        };
        let steps: Vec<f32> = scales.iter().map(|scale| scale.step).collect();
        let zeros: Vec<i16> = scales.iter().map(|scale| scale.zero).collect();
        let steps_name = self.unused(&format!("{name}_scale"));
        self.raw_floats(&steps_name, per_channel, &steps);
        let mut inputs = vec![value.as_str(), steps_name.as_str()];
        let zeros_name;
        if zeros.iter().any(|zero| *zero != 0) {
            zeros_name = self.unused(&format!("{name}_zero_point"));
            self.whole(&zeros_name, per_channel, &zeros, kind);
            inputs.push(&zeros_name);
        }
        Ok(self.node("DequantizeLinear", &inputs, vec![integer("axis", 0)]))
    }

    /// Codes as an initialiser; those of 4 bits two to a byte, the first one low.
    fn whole(&mut self, name: &str, shape: &[usize], codes: &[i16], kind: CodeFormat) {
        let small = kind.bits() == 4;
        let raw_data = if small {
            codes.chunks(2).map(two_to_a_byte).collect()
        } else {
            codes.iter().map(|code| *code as u8).collect()
        };
        let data_type = match (small, kind.signed()) {
            (true, true) => INT4,
            (true, false) => UINT4,
            (false, true) => INT8,
            (false, false) => UINT8,
        };
        self.tensor(name, shape, data_type, raw_data);
    }

    /// A tensor in single precision as an initialiser; gives its name.
    fn floats(&mut self, name: &str, tensor: &Tensor) -> Result<String> {
        let values = || {
            tensor
                .to_device(&Device::Cpu)?
                .flatten_all()?
                .to_vec1::<f32>()
        };
        let values = values().during(|| format!("reading `{name}`"))?;
        self.raw_floats(name, tensor.dims(), &values);
        Ok(name.to_owned())
    }

    fn raw_floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(name, shape, FLOAT, bytes);
    }

    /// One number.
    fn number(&mut self, value: f64) -> String {
        let name = self.unused("number");
        self.raw_floats(&name, &[], &[value as f32]);
        name
    }

    /// Whole numbers, as sizes, axes and places are.
    fn list(&mut self, values: &[i64]) -> String {
        let name = self.unused("list");
        let bytes = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        self.tensor(&name, &[values.len()], INT64 as i32, bytes);
        name
    }

    fn tensor(&mut self, name: &str, shape: &[usize], data_type: i32, raw_data: Vec<u8>) {
        self.tensors.push(TensorProto {
            name: name.to_owned(),
            dims: shape.iter().map(|dim| *dim as i64).collect(),
            data_type,
            raw_data,
            ..TensorProto::default()
        });
    }

    /// A node with one output; gives the name of that.
    fn node(&mut self, operator: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = self.unused(&operator.to_lowercase());
        self.push(operator, inputs, attributes, output.clone());
        output
    }

    fn push(&mut self, operator: &str, inputs: &[&str], attribute: Vec<Attribute>, output: String) {
        self.nodes.push(Node {
            name: output.clone(),
            op_type: operator.to_owned(),
            input: inputs.iter().map(|name| (*name).to_owned()).collect(),
            output: vec![output],
            attribute,
            ..Node::default()
        });
    }
}

/// Codes of 4 bits, the first one low.
fn two_to_a_byte(codes: &[i16]) -> u8 {
    let low = codes[0] & 15;
    let high = codes.get(1).map_or(0, |code| code & 15);
    (low | high << 4) as u8
}

/// Whether the first node only takes away dimensions of 1, which the input of a file's network did not have.
fn has_fewer_dimensions(graph: &Graph, images: [usize; 3]) -> bool {
    let Some(Op::Reshape(dims)) = graph.nodes().first().map(|node| &node.op) else {
        return false;
    };
    let Some((None, behind)) = dims.split_first() else {
        return false;
    };
    let missing = images.len().saturating_sub(behind.len());
    let (ones, rest) = images.split_at(missing);
    missing > 0
        && ones.iter().all(|dim| *dim == 1)
        && behind.iter().flatten().eq(rest)
        && graph.readers(0).len() == 1
}

/// All nodes, inputs first, so that those with weights come in the order of the memory as far as that is possible: a reader
/// finds the layers in the order of the nodes.
fn in_memory_order(graph: &Graph) -> Vec<usize> {
    let nodes = graph.nodes();
    let mut ends = Vec::new();
    for layer in 0..graph.layers.len() {
        ends.extend(nodes.iter().position(|node| node.op.layer() == Some(layer)));
    }
    ends.extend(0..nodes.len());
    let (mut order, mut done) = (Vec::new(), vec![false; nodes.len()]);
    for end in ends {
        let mut new = needed_by(nodes, end, &done);
        for at in &new {
            done[*at] = true;
        }
        order.append(&mut new);
    }
    order
}

/// The nodes that one needs and that are not done yet, itself last.
fn needed_by(nodes: &[GraphNode], end: usize, done: &[bool]) -> Vec<usize> {
    let mut needed = BTreeSet::from([end]);
    let mut all = Vec::new();
    while let Some(at) = needed.pop_last() {
        if done[at] {
            continue;
        }
        all.push(at);
        for value in nodes[at].inputs.iter().filter(|value| **value > 0) {
            needed.insert(value - 1);
        }
    }
    all.reverse();
    all
}

/// Names of the values of a network's tensors, in the order of its slots.
#[derive(Default)]
struct Values {
    weights: Vec<String>,
    parameters: Vec<String>,
    buffers: Vec<String>,
}

/// An operand: its name in the file, its dimensions for a batch of one, and whether the first one is the batch.
struct Input<'n> {
    name: &'n str,
    shape: &'n [usize],
    batched: bool,
}

/// An attribute of the schema's type 1.
fn float(name: &str, value: f64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: 1,
        f: Some(value as f32),
        ..Attribute::default()
    }
}

/// An attribute of the schema's type 2.
fn integer(name: &str, value: i64) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: 2,
        i: Some(value),
        ..Attribute::default()
    }
}

/// An attribute of the schema's type 7.
fn integers(name: &str, values: &[usize]) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: 7,
        ints: values.iter().map(|value| *value as i64).collect(),
        ..Attribute::default()
    }
}

/// An attribute of the schema's type 3.
fn text(name: &str, value: &str) -> Attribute {
    Attribute {
        name: name.to_owned(),
        kind: 3,
        s: value.as_bytes().to_vec(),
        ..Attribute::default()
    }
}

#[cfg(test)]
mod tests;
