//! One node of a file on its way into the graph: what is known of its inputs, and the nodes that it becomes.

use super::attributes::Attributes;
use super::constant::{Element, Tensors};
use super::layers::Layers;
use super::proto::Node;
use crate::code::CodeFormat;
use crate::error::{Error, Result};
use crate::net::general::{Binary, General, Reduction, Unary};
use crate::net::graph::{Graph, Op, Value};
use crate::net::pass;
use crate::net::shape::MOST_NUMBERS;
use crate::quant::{Scale, StoredWeight};
use crate::units::Bits;
use candle_core::{DType, Device, Tensor};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Most numbers that the windows of a convolution or pooling may hold for one image.
const MOST_IN_WINDOWS: usize = 1 << 29;

/// What is known of a value of the file.
#[derive(Clone)]
pub(super) struct Known {
    /// Dimensions, the batch being as large as it was assumed.
    pub(super) shape: Vec<usize>,
    /// The dimension that grows with the batch.
    pub(super) batch: Option<usize>,
    pub(super) element: Element,
    pub(super) held: Held,
}

/// Where a value comes from.
#[derive(Clone)]
pub(super) enum Held {
    Constant(Rc<Constant>),
    Value(Value),
}

/// A value that depends on no input.
pub(super) struct Constant {
    /// Name in the file: that of the tensor whose values these are, else of the node that gives them.
    pub(super) name: String,
    /// No two constants have the same.
    pub(super) number: usize,
    /// In double precision. A dimension that grows with the batch is 1.
    pub(super) tensor: Tensor,
    /// What it was dequantised from.
    pub(super) codes: Option<Codes>,
    /// The lowest and the highest whole number that it was clipped to.
    pub(super) bounds: Option<(f64, f64)>,
}

/// Whole numbers that stand for values: `(code - zero) · step`.
#[derive(Clone)]
pub(in crate::net) struct Codes {
    pub(super) codes: Tensor,
    pub(super) bits: u32,
    pub(super) signed: bool,
    /// One, or one for each place along the axis; so the zero points.
    pub(super) steps: Vec<f64>,
    pub(super) zeros: Vec<f64>,
    pub(super) axis: usize,
}

impl Codes {
    fn transposed(&self, order: &[usize]) -> Result<Self> {
        Ok(Self {
            codes: self.codes.permute(order)?.contiguous()?,
            axis: order.iter().position(|own| *own == self.axis).unwrap_or(0),
            ..self.clone()
        })
    }

    /// What a memory holds of a layer of these codes, the outputs first.
    ///
    /// # Errors
    /// [`Error::Argument`] where a code does not fit its bits.
    pub(in crate::net) fn stored(&self) -> Result<StoredWeight> {
        let wrong =
            |expected: String, found: f64| Error::argument("codes", expected, found.to_string());
        let format = CodeFormat::new(Bits::new(self.bits.into())?, self.signed)?;
        let (low, high) = (f64::from(format.min()), f64::from(format.max()));
        let mut words = Vec::with_capacity(self.codes.elem_count());
        for code in self.codes.flatten_all()?.to_vec1::<f64>()? {
            if !(low..=high).contains(&code) || code.fract() != 0.0 {
                return Err(wrong(format!("whole numbers from {low} to {high}"), code));
            }
            words.push(format.encode(code as i16));
        }
        let mut scales = Vec::with_capacity(self.steps.len());
        for (step, zero) in self.steps.iter().zip(&self.zeros) {
            if zero.fract() != 0.0 {
                return Err(wrong("whole zero points".into(), *zero));
            }
            // what is beyond all zero points becomes the outermost, which is beyond them too
            let zero = *zero as i16;
            let step = *step as f32;
            scales.push(Scale { step, zero });
        }
        Ok(StoredWeight {
            words,
            scales,
            format,
            shape: self.codes.dims().to_vec(),
        })
    }
}

impl Known {
    pub(super) fn rank(&self) -> usize {
        self.shape.len()
    }

    pub(super) fn constant(&self) -> Option<&Rc<Constant>> {
        match &self.held {
            Held::Constant(constant) => Some(constant),
            Held::Value(_) => None,
        }
    }

    /// The same constant, with what is known of where it comes from.
    pub(super) fn described(
        self,
        name: &str,
        codes: Option<Codes>,
        bounds: Option<(f64, f64)>,
    ) -> Self {
        let Held::Constant(constant) = &self.held else {
            return self;
        };
        let held = Held::Constant(Rc::new(Constant {
            name: name.to_owned(),
            number: constant.number,
            tensor: constant.tensor.clone(),
            codes,
            bounds,
        }));
        Self { held, ..self }
    }

    /// The same, called as the constant that it was made of; what it was dequantised from is no longer known.
    pub(super) fn named_as(self, x: &Self) -> Self {
        match x.constant() {
            Some(own) => self.described(&own.name, None, None),
            None => self,
        }
    }

    /// The same, of another kind of numbers.
    pub(super) fn with(self, element: Element) -> Self {
        Self { element, ..self }
    }
}

/// What the nodes before have made.
pub(super) struct State {
    pub(super) graph: Graph,
    pub(super) tensors: Tensors,
    pub(super) layers: Layers,
    /// Size of the batch that is assumed; `None`: nothing is a batch.
    pub(super) batch: Option<usize>,
    /// Values that constants may still have together.
    pub(super) room: usize,
    /// Constants so far.
    pub(super) constants: Cell<usize>,
    /// Constants that are values of the graph, by their numbers.
    pub(super) values: BTreeMap<usize, Value>,
}

/// A node with its inputs.
pub(super) struct Call<'c> {
    pub(super) state: &'c mut State,
    pub(super) node: &'c Node,
    pub(super) attributes: Attributes<'c>,
    pub(super) inputs: Vec<Option<Known>>,
    /// Version of the operators.
    pub(super) opset: i64,
}

impl Call<'_> {
    /// That something of the node is wrong, or is more than can be done.
    pub(super) fn wrong(&self, expected: impl Into<String>, found: impl Into<String>) -> Error {
        let name = match self.node.name.as_str() {
            "" => self.node.output.first().map_or("", String::as_str),
            name => name,
        };
        let what = format!("node `{name}` ({})", self.node.op_type);
        Error::argument(what, expected, found)
    }

    pub(super) fn input(&self, at: usize) -> Result<Known> {
        self.optional(at)
            .ok_or_else(|| self.wrong(format!("an input {at}"), "none"))
    }

    pub(super) fn optional(&self, at: usize) -> Option<Known> {
        self.inputs.get(at).cloned().flatten()
    }

    /// An input that must be a constant.
    pub(super) fn constant(&self, at: usize) -> Result<Rc<Constant>> {
        let input = self.input(at)?;
        let constant = input.constant().cloned();
        constant.ok_or_else(|| self.wrong(format!("a constant as input {at}"), "a computed value"))
    }

    /// Values of a constant input.
    pub(super) fn numbers(&self, at: usize) -> Result<Vec<f64>> {
        Ok(self.constant(at)?.tensor.flatten_all()?.to_vec1::<f64>()?)
    }

    /// Values of a constant input of whole numbers; `None` where it is not given.
    pub(super) fn integers(&self, at: usize) -> Result<Option<Vec<i64>>> {
        match self.optional(at) {
            None => Ok(None),
            // the float of 2⁶³ - 1, "up to the end", saturates
            Some(_) => Ok(Some(self.numbers(at)?.iter().map(|v| *v as i64).collect())),
        }
    }

    /// Whole numbers of an attribute, as older versions of an operator have them, else of a constant input.
    pub(super) fn integers_of(&self, name: &'static str, at: usize) -> Result<Option<Vec<i64>>> {
        match self.attributes.integers(name) {
            Some(given) => Ok(Some(given.to_vec())),
            None => self.integers(at),
        }
    }

    /// One number of a constant input.
    pub(super) fn number(&self, at: usize) -> Result<Option<f64>> {
        if self.optional(at).is_none() {
            return Ok(None);
        }
        let numbers = self.numbers(at)?;
        let [number] = numbers[..] else {
            let expected = format!("one number as input {at}");
            return Err(self.wrong(expected, numbers.len().to_string()));
        };
        Ok(Some(number))
    }

    /// An axis, counted from the end where it is negative.
    pub(super) fn axis(&self, axis: i64, rank: usize) -> Result<usize> {
        let own = if axis < 0 { axis + rank as i64 } else { axis };
        let own = usize::try_from(own).ok().filter(|own| *own < rank);
        own.ok_or_else(|| self.wrong(format!("an axis of {rank} dimensions"), axis.to_string()))
    }

    pub(super) fn axes(&self, axes: &[i64], rank: usize) -> Result<Vec<usize>> {
        axes.iter().map(|axis| self.axis(*axis, rank)).collect()
    }

    pub(super) fn scalar(&self, value: f64) -> Result<Known> {
        self.made(Tensor::new(value, &Device::Cpu)?, Element::Float)
    }

    pub(super) fn vector(&self, values: Vec<f64>, shape: &[usize]) -> Result<Known> {
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu)?;
        self.made(tensor, Element::Float)
    }

    /// A constant of our own.
    pub(super) fn made(&self, tensor: Tensor, element: Element) -> Result<Known> {
        let name = self.node.output.first().cloned().unwrap_or_default();
        Ok(self.state.constant(name, tensor, element))
    }

    /// The result of an operation: computed where all inputs are constants, else a node of the graph.
    pub(super) fn apply(&mut self, op: Op, inputs: &[&Known]) -> Result<Known> {
        let shapes: Vec<&[usize]> = inputs.iter().map(|input| &input.shape[..]).collect();
        let Some(shape) = op.shape(&shapes, &self.state.graph) else {
            return Err(self.wrong("inputs whose dimensions fit", format!("{shapes:?}")));
        };
        let batch = batch_axis(&op, inputs, shape.len());
        self.check_size(&shape, batch)?;
        if let Some(windows) = op.windows(&self.state.graph) {
            // what lies in the windows is laid out
            if self.per_image(&shape, batch, windows) > MOST_IN_WINDOWS {
                let expected =
                    format!("at most {MOST_IN_WINDOWS} numbers in the windows of an image");
                return Err(self.wrong(expected, format!("{shape:?}, windows of {windows}")));
            }
        }
        let element = inputs.first().map_or(Element::Float, |x| x.element);
        let constants: Option<Vec<Tensor>> = inputs
            .iter()
            .map(|input| Some(input.constant()?.tensor.clone()))
            .collect();
        let held = match constants {
            Some(tensors) => {
                self.take_room(shape.iter().product())?;
                let nothing = pass::Tensors {
                    parameters: &[],
                    buffers: &[],
                };
                let constant = op.alone(&tensors, DType::F64, nothing, &[])?;
                self.made(constant, element)?.held
            }
            None => {
                let values = inputs.iter().map(|input| self.state.value(input));
                let values: Vec<Value> = values.collect::<Result<_>>()?;
                Held::Value(self.state.graph.push(op, &values))
            }
        };
        Ok(Known {
            shape,
            batch,
            element,
            held,
        })
    }

    /// Numbers of an image, times a factor.
    fn per_image(&self, shape: &[usize], batch: Option<usize>, factor: usize) -> usize {
        let images = batch.and(self.state.batch).unwrap_or(1);
        let dims = shape.iter();
        dims.fold(factor, |count, dim| count.saturating_mul(*dim)) / images.max(1)
    }

    /// That no memory is asked for which no network needs.
    pub(super) fn check_size(&self, shape: &[usize], batch: Option<usize>) -> Result<()> {
        if self.per_image(shape, batch, 1) > MOST_NUMBERS {
            let expected = format!("at most {MOST_NUMBERS} numbers for an image");
            return Err(self.wrong(expected, format!("{shape:?}")));
        }
        Ok(())
    }

    /// Takes memory for a constant.
    pub(super) fn take_room(&mut self, values: usize) -> Result<()> {
        let Some(room) = self.state.room.checked_sub(values) else {
            let expected = "constants of a size in keeping with the file";
            return Err(self.wrong(expected, format!("{values} more numbers")));
        };
        self.state.room = room;
        Ok(())
    }

    pub(super) fn unary(&mut self, unary: Unary, x: &Known) -> Result<Known> {
        self.apply(Op::General(General::Unary(unary)), &[x])
    }

    pub(super) fn binary(&mut self, binary: Binary, a: &Known, b: &Known) -> Result<Known> {
        self.apply(Op::General(General::Binary(binary)), &[a, b])
    }

    pub(super) fn add(&mut self, a: &Known, b: &Known) -> Result<Known> {
        self.apply(Op::Add, &[a, b])
    }

    /// Along axes, which stay with length 1.
    pub(super) fn reduce(
        &mut self,
        reduction: Reduction,
        axes: Vec<usize>,
        x: &Known,
    ) -> Result<Known> {
        if x.batch.is_some_and(|batch| axes.contains(&batch)) {
            return Err(self.wrong("each image for itself", "a reduction over the batch"));
        }
        self.apply(Op::General(General::Reduce { reduction, axes }), &[x])
    }

    /// Other dimensions for the same values.
    pub(super) fn reshape(&mut self, x: &Known, shape: Vec<usize>) -> Result<Known> {
        if x.shape == shape {
            return Ok(x.clone());
        }
        if shape.iter().product::<usize>() != x.shape.iter().product::<usize>() {
            let expected = format!("dimensions for the values of {:?}", x.shape);
            return Err(self.wrong(expected, format!("{shape:?}")));
        }
        let batch = x.batch.map(|axis| self.batch_behind(x, axis, &shape));
        let batch = batch.transpose()?;
        let dims = shape.iter().enumerate();
        let dims = dims.map(|(axis, dim)| (Some(axis) != batch).then_some(*dim));
        let reshaped = self.apply(Op::Reshape(dims.collect()), &[x])?;
        Ok(Known { batch, ..reshaped })
    }

    /// The dimension that the batch falls into.
    fn batch_behind(&self, x: &Known, axis: usize, shape: &[usize]) -> Result<usize> {
        let before: usize = x.shape[..axis].iter().product();
        // several dimensions may have become one, the batch outermost
        let size = self.state.batch.unwrap_or(1);
        let holds = |own: &usize| {
            let in_front: usize = shape[..*own].iter().product();
            in_front == before && shape[*own].is_multiple_of(size) && shape[*own] > 0
        };
        let holds = (0..shape.len()).find(holds);
        holds.ok_or_else(|| {
            let expected = "dimensions of which one is the batch";
            self.wrong(expected, format!("{:?} as {shape:?}", x.shape))
        })
    }

    pub(super) fn transpose(&mut self, x: &Known, order: Vec<usize>) -> Result<Known> {
        if order.iter().enumerate().all(|(at, axis)| at == *axis) {
            return Ok(x.clone());
        }
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.iter().copied().eq(0..x.rank()) {
            let expected = format!("an order of {} dimensions", x.rank());
            return Err(self.wrong(expected, format!("{order:?}")));
        }
        let batch = x
            .batch
            .and_then(|axis| order.iter().position(|own| *own == axis));
        let moved = self.apply(Op::Transpose(order.clone()), &[x])?;
        let moved = Known { batch, ..moved };
        let Some(own) = x.constant() else {
            return Ok(moved);
        };
        let codes = own.codes.as_ref().map(|codes| codes.transposed(&order));
        let codes = codes.transpose()?;
        Ok(moved.described(&own.name, codes, own.bounds))
    }

    /// Two axes exchanged.
    pub(super) fn swapped(&mut self, x: &Known, a: usize, b: usize) -> Result<Known> {
        let mut order: Vec<usize> = (0..x.rank()).collect();
        order.swap(a, b);
        self.transpose(x, order)
    }
}

impl State {
    /// A new constant.
    pub(super) fn constant(&self, name: String, tensor: Tensor, element: Element) -> Known {
        self.constants.set(self.constants.get() + 1);
        Known {
            shape: tensor.dims().to_vec(),
            batch: None,
            element,
            held: Held::Constant(Rc::new(Constant {
                name,
                number: self.constants.get(),
                tensor,
                codes: None,
                bounds: None,
            })),
        }
    }

    /// Number of a trained tensor among the parameters.
    pub(super) fn parameter(&mut self, name: &str, values: &Tensor) -> Result<usize> {
        self.layers.slot(&mut self.graph.parameters, name, values)
    }

    /// Number of a fixed tensor among the buffers.
    pub(super) fn buffer(&mut self, name: &str, values: &Tensor) -> Result<usize> {
        self.layers.slot(&mut self.graph.buffers, name, values)
    }

    /// The value of the graph; a constant becomes one. Those of one number stay as they are in a training.
    pub(super) fn value(&mut self, known: &Known) -> Result<Value> {
        let constant = match &known.held {
            Held::Value(value) => return Ok(*value),
            Held::Constant(constant) => constant,
        };
        if let Some(value) = self.values.get(&constant.number) {
            return Ok(*value);
        }
        let trained = known.element.is_float() && constant.tensor.elem_count() > 1;
        let op = if trained {
            Op::Parameter(self.parameter(&constant.name, &constant.tensor)?)
        } else {
            Op::Buffer(self.buffer(&constant.name, &constant.tensor)?)
        };
        let value = self.graph.push(op, &[]);
        self.values.insert(constant.number, value);
        Ok(value)
    }
}

/// The dimension of a result that grows with the batch, where dimensions are aligned at their ends.
fn batch_axis(op: &Op, inputs: &[&Known], rank: usize) -> Option<usize> {
    let aligned = |input: &&Known| (input.batch? + rank).checked_sub(input.rank());
    match op {
        Op::Parameter(_) | Op::Buffer(_) => None,
        Op::ChannelMean => inputs.first().and_then(|x| x.batch),
        _ => inputs.iter().find_map(aligned),
    }
}
