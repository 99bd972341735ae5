//! A graph as steps, for those who compile it.

use super::general::{Binary, General, GeneralConvolution, Unary};
use super::graph::{Convolution, Graph, Node, Op, Value};
use super::groups::{End, Group};
use super::moves::{moves, Moves};
use super::pass::Tensors;
use super::program::{GeneralStep, Held, Input, Step};
use super::shape::MOST_NUMBERS;
use crate::error::{refuse, Error, Result};
use crate::kernel::{Product, RowFunction, Windows};
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Nothing behind a convolution.
const NOTHING: End = End {
    norm: None,
    add: None,
    relu: false,
    ceiling: None,
};

/// Steps in the making.
struct Steps<'g> {
    graph: &'g Graph,
    tensors: Tensors<'g>,
    /// Of all values, for a batch of one.
    shapes: &'g [Vec<usize>],
    steps: Vec<Step>,
    /// The steps' number of each value; `None` of those that no step has given yet.
    numbers: Vec<Option<Value>>,
    /// Values that depend on no image and no weight.
    constants: BTreeMap<Value, Tensor>,
    moves: Moves,
    /// The value that the last step gives, where that is a product of rows.
    product: Option<Value>,
    held: Option<Arc<Held>>,
}

impl Graph {
    /// What the graph computes in evaluation for images of this shape, as steps with batch norms folded.
    pub(super) fn program(&self, tensors: Tensors, images: [usize; 3]) -> Result<Vec<Step>> {
        let shapes = self.shapes(images)?;
        let mut numbers = vec![None; self.nodes().len() + 1];
        numbers[0] = Some(0);
        let mut steps = Steps {
            graph: self,
            tensors,
            shapes: &shapes,
            steps: Vec::new(),
            numbers,
            constants: BTreeMap::new(),
            moves: Moves::default(),
            product: None,
            held: None,
        };
        for (group, value) in self.groups(&shapes) {
            steps.group(&group, value)?;
        }
        // the last step gives the logits
        let last = self.nodes().len();
        if steps.number(last)? != steps.steps.len() {
            let places = steps.places(last)?;
            let moved = steps.moves.moved(&places, false)?;
            steps.steps.extend(moved.err().map(Step::Moved));
        }
        Ok(steps.steps)
    }
}

impl Steps<'_> {
    /// Adds the steps of a group that gives a value.
    fn group(&mut self, group: &Group, value: Value) -> Result<()> {
        match *group {
            Group::Convolution {
                convolution,
                input,
                end,
            } => self.convolution(&convolution.general(self.graph), input, &end)?,
            // of other forms the kernels know only some
            Group::General {
                convolution,
                input,
                end,
            } => {
                let weight = &self.graph.layers[convolution.layer].shape;
                let windows = convolution.on_kernels(weight, &self.shapes[input]);
                windows.ok_or_else(|| unknown(convolution))?;
                self.convolution(convolution, input, &end)?;
            }
            Group::Pooled {
                convolution,
                size,
                input,
            } => {
                self.convolution(&convolution.general(self.graph), input, &NOTHING)?;
                self.steps.push(Step::MaxPool {
                    input: self.steps.len(),
                    size,
                    stride: size,
                    padding: 0,
                    relu: true,
                });
            }
            Group::MaxPool { pool, input, relu } => {
                let input = self.number(input)?;
                self.steps.push(Step::MaxPool {
                    input,
                    size: pool.size,
                    stride: pool.stride,
                    padding: pool.padding,
                    relu,
                });
            }
            Group::Linear {
                linear,
                input,
                relu,
            } => {
                let input = self.number(input)?;
                let shift = self.shift(linear.layer, linear.bias)?;
                self.steps.push(Step::Linear {
                    input,
                    layer: linear.layer,
                    shift,
                    relu,
                });
            }
            Group::Other(node) => return self.node(node, value),
        }
        self.numbers[value] = Some(self.steps.len());
        Ok(())
    }

    /// Adds a node alone.
    fn node(&mut self, node: &Node, value: Value) -> Result<()> {
        let is_constant = |value: &Value| self.constants.contains_key(value);
        if node.op.layer().is_none() && node.inputs.iter().all(is_constant) {
            return self.general(node, value);
        }
        let is_image = |value: Value| matches!(self.shapes[value][..], [1, _, _, _]);
        match (&node.op, &node.inputs[..]) {
            // who reads images as vectors takes them as they lie
            (Op::Reshape(dims), [input])
                if matches!(dims[..], [None, Some(_)]) && self.numbers[*input].is_some() =>
            {
                self.numbers[value] = self.numbers[*input];
                return Ok(());
            }
            (op, inputs) if moves(op) => {
                let places = inputs.iter().map(|input| self.places(*input));
                let places: Vec<Tensor> = places.collect::<Result<_>>()?;
                let places = self.held()?.forward(op, &places, &[])?;
                self.moves.follow(value, places);
                return Ok(());
            }
            (Op::ChannelMean, [input]) if is_image(*input) => {
                let input = self.number(*input)?;
                self.steps.push(Step::ChannelMean { input });
            }
            (Op::General(General::Pool(pool)), [input]) if is_image(*input) => {
                match pool.mean_on_kernels() {
                    Some((windows, padded)) => {
                        let input = self.number(*input)?;
                        self.steps.push(Step::MeanPool {
                            input,
                            windows,
                            padded,
                        });
                    }
                    None => self.general(node, value)?,
                }
            }
            (
                Op::Stored {
                    tensor,
                    levels,
                    range,
                },
                [input],
            ) => {
                let (input, tensor, mut levels) = (self.number(*input)?, *tensor, *levels);
                if let Some(range) = range {
                    levels = levels.over(self.tensors.parameter(*range).to_scalar()?);
                }
                self.steps.push(Step::Stored {
                    input,
                    tensor,
                    levels,
                });
            }
            (Op::PaddedShortcut { channels }, [input]) => {
                let (input, channels) = (self.number(*input)?, *channels);
                self.steps.push(Step::PaddedShortcut { input, channels });
            }
            (Op::Linear(linear), [input]) if !linear.transposed => {
                let input = self.number(*input)?;
                let shape = self.shapes[value].clone();
                self.product(input, linear.layer, linear.bias, shape)?;
                self.product = Some(value);
            }
            (Op::Convolution(convolution), [input])
                if is_image(*input) && self.under_windows(convolution, value) <= MOST_NUMBERS =>
            {
                return self.windows(&convolution.general(self.graph), *input, value);
            }
            (Op::Add, [a, b]) if self.added(*a, *b, value) || self.added(*b, *a, value) => {}
            (Op::Relu, [input]) if self.rectified(*input, value) => {}
            _ => match self.function(node, value)? {
                Some(function) => self.rows(function, node, value)?,
                None => self.general(node, value)?,
            },
        }
        self.numbers[value] = Some(self.steps.len());
        Ok(())
    }

    /// Adds a product of rows with a layer's weight.
    fn product(
        &mut self,
        input: Value,
        layer: usize,
        bias: Option<usize>,
        shape: Vec<usize>,
    ) -> Result<()> {
        let shift = self.shift(layer, bias)?;
        self.product = None;
        self.steps.push(Step::Product {
            input,
            layer,
            shape,
            shift,
            add: None,
            relu: false,
        });
        Ok(())
    }

    /// The summands and what else belongs to the product that the last step is, if it gives this value to one reader alone.
    fn last_product(
        &mut self,
        value: Value,
    ) -> Option<(&mut Vec<f32>, &mut Option<Value>, &mut bool)> {
        if self.product != Some(value) || self.graph.readers(value).len() != 1 {
            return None;
        }
        match self.steps.last_mut() {
            Some(Step::Product {
                shift, add, relu, ..
            }) if !*relu => Some((shift, add, relu)),
            _ => None,
        }
    }

    /// Adds a value to the product that the last step is; false where that cannot be.
    fn added(&mut self, own: Value, other: Value, value: Value) -> bool {
        let (constant, number) = (self.constants.get(&other).cloned(), self.numbers[other]);
        let same = self.shapes[other] == self.shapes[own];
        let Some((shift, add, _)) = self.last_product(own) else {
            return false;
        };
        match (constant, number) {
            (Some(constant), _) if constant.dims().last() == Some(&constant.elem_count()) => {
                let Ok(constant) = constant.flatten_all().and_then(|all| all.to_vec1::<f32>())
                else {
                    return false;
                };
                if constant.len() != shift.len() || add.is_some() {
                    return false;
                }
                shift
                    .iter_mut()
                    .zip(constant)
                    .for_each(|(shift, c)| *shift += c);
            }
            (None, Some(number)) if same && add.is_none() => *add = Some(number),
            _ => return false,
        }
        self.product = Some(value);
        true
    }

    /// Rectifies the product that the last step is; false where that cannot be.
    fn rectified(&mut self, input: Value, value: Value) -> bool {
        let Some((_, _, relu)) = self.last_product(input) else {
            return false;
        };
        *relu = true;
        self.product = Some(value);
        true
    }

    /// The function of rows that a node is.
    fn function(&self, node: &Node, value: Value) -> Result<Option<RowFunction>> {
        let shapes: Vec<&[usize]> = node.inputs.iter().map(|v| &self.shapes[*v][..]).collect();
        let Some(last) = shapes.first().and_then(|shape| shape.last().copied()) else {
            return Ok(None);
        };
        if self.shapes[value].contains(&0) || last == 0 {
            return Ok(None);
        }
        let number = node.inputs.iter().find_map(|input| {
            let constant = self.constants.get(input)?;
            constant.flatten_all().ok()?.to_vec1::<f32>().ok()
        });
        Ok(Some(match (&node.op, number.as_deref()) {
            (Op::Gelu, _) => RowFunction::Gelu,
            (Op::Relu, _) => RowFunction::Relu,
            (Op::General(General::Unary(Unary::Erf)), _) => RowFunction::Erf,
            (Op::Scale(factor), _) => RowFunction::Scale(*factor as f32),
            (Op::General(General::Binary(Binary::Mul)), Some([factor])) => {
                RowFunction::Scale(*factor)
            }
            (Op::Add, _) => RowFunction::Sum,
            (Op::General(General::Binary(Binary::Sub)), _) => RowFunction::Difference,
            (Op::General(General::Binary(Binary::Mul)), _) => RowFunction::Times,
            (Op::General(General::Binary(Binary::Div)), _) => RowFunction::Quotient,
            (Op::Softmax, _) => RowFunction::Softmax(last),
            (Op::LayerNorm(norm), _) => RowFunction::LayerNorm {
                scale: self.tensors.values(norm.scale)?,
                shift: self.tensors.values(norm.shift)?,
                epsilon: norm.epsilon as f32,
            },
            (Op::MatMul, _) => {
                let [batch @ .., rows, outputs] = &self.shapes[value][..] else {
                    return Ok(None);
                };
                let (rows, outputs) = (*rows, *outputs);
                // matrices may be spread over more
                let batch = batch.iter().chain([&last]);
                let columns = batch.fold(1usize, |all, side| all.saturating_mul(*side));
                if columns.saturating_mul(rows.max(outputs)) > MOST_NUMBERS {
                    return Ok(None);
                }
                let product = Product {
                    inputs: last,
                    outputs,
                };
                RowFunction::MatMul { rows, product }
            }
            _ => return Ok(None),
        }))
    }

    /// Adds a function of rows, its inputs spread over each other.
    fn rows(&mut self, function: RowFunction, node: &Node, value: Value) -> Result<()> {
        let shape = self.shapes[value].clone();
        let mut inputs = Vec::new();
        for input in &node.inputs {
            let own = &self.shapes[*input];
            let spread = match (&function, &own[..]) {
                (RowFunction::Scale(_), _) if self.constants.contains_key(input) => continue,
                (RowFunction::MatMul { .. }, [.., rows, columns]) => {
                    [&shape[..shape.len() - 2], &[*rows, *columns]].concat()
                }
                _ => shape.clone(),
            };
            inputs.push(
                if own.iter().product::<usize>() == spread.iter().product::<usize>() {
                    self.number(*input)?
                } else {
                    let places = self.places(*input)?.broadcast_as(spread)?;
                    self.moved(&places.contiguous()?)?
                },
            );
        }
        self.steps.push(Step::Rows {
            function,
            inputs,
            shape,
        });
        Ok(())
    }

    /// Numbers under all windows of a convolution.
    fn under_windows(&self, convolution: &Convolution, value: Value) -> usize {
        let window = &self.graph.layers[convolution.layer].shape[1..];
        let sides = self.shapes[value][2..].iter().chain(window);
        sides.fold(1usize, |all, side| all.saturating_mul(*side))
    }

    /// Adds a convolution that no kernel slides over images: the product of what lies under each window.
    fn windows(
        &mut self,
        convolution: &GeneralConvolution,
        input: Value,
        value: Value,
    ) -> Result<()> {
        let ([_, channels, height, width], [_, outputs, rows, columns]) =
            (&self.shapes[input][..], &self.shapes[value][..])
        else {
            return refuse("convolution", "images", format!("{:?}", self.shapes[input]));
        };
        let (channels, outputs) = (*channels, *outputs);
        let (sides, windows) = ([*height, *width], [*rows, *columns]);
        let Windows {
            kernel,
            stride,
            dilation,
            front,
            ..
        } = on_kernels(convolution)?;
        let places = self.places(input)?.flatten_all()?.to_vec1::<u32>()?;
        let zero =
            self.moves
                .constant(&Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu)?)?;
        let zero = zero.to_vec1::<u32>()?[0];
        let along = |axis: usize, window: usize, at: usize| {
            let place = (window * stride[axis] + at * dilation[axis]).checked_sub(front[axis]);
            place.filter(|place| *place < sides[axis])
        };
        let mut under = Vec::new();
        for window in 0..windows[0] * windows[1] {
            let (y, x) = (window / windows[1], window % windows[1]);
            for tap in 0..channels * kernel[0] * kernel[1] {
                let (row, column) = (tap / kernel[1] % kernel[0], tap % kernel[1]);
                let channel = tap / kernel[1] / kernel[0];
                under.push(match (along(0, y, row), along(1, x, column)) {
                    (Some(y), Some(x)) => places[(channel * sides[0] + y) * sides[1] + x],
                    _ => zero,
                });
            }
        }
        let rows = windows[0] * windows[1];
        let under = Tensor::from_vec(
            under,
            (rows, channels * kernel[0] * kernel[1]),
            &Device::Cpu,
        )?;
        let input = self.moved(&under)?;
        let shape = [1, windows[0], windows[1], outputs];
        self.product(input, convolution.layer, convolution.bias, shape.to_vec())?;
        let places = self.moves.value(self.steps.len(), &shape)?;
        let places = places.permute((0, 3, 1, 2))?.contiguous()?;
        self.moves.follow(value, places);
        Ok(())
    }

    /// Where the numbers of a value stand, whatever it is.
    fn places(&mut self, value: Value) -> Result<Tensor> {
        if let Some(places) = self.moves.of(value) {
            return Ok(places);
        }
        let places = match (self.numbers[value], self.constants.get(&value)) {
            (Some(number), _) => self.moves.value(number, &self.shapes[value])?,
            (None, Some(constant)) => self.moves.constant(constant)?,
            (None, None) => return refuse("graph", "values in their order", value),
        };
        self.moves.follow(value, places.clone());
        Ok(places)
    }

    /// The steps' number of a value of the numbers at these places.
    fn moved(&mut self, places: &Tensor) -> Result<Value> {
        match self.moves.moved(places, true)? {
            Ok(value) => Ok(value),
            Err(moved) => {
                self.steps.push(Step::Moved(moved));
                Ok(self.steps.len())
            }
        }
    }

    /// The steps' number of a value; one that was only followed becomes a step that gives it.
    fn number(&mut self, value: Value) -> Result<Value> {
        if let Some(number) = self.numbers[value] {
            return Ok(number);
        }
        let places = self.places(value)?;
        let number = self.moved(&places)?;
        self.numbers[value] = Some(number);
        Ok(number)
    }

    /// Adds a node that no kernel knows, or computes it now where that is once and for all.
    fn general(&mut self, node: &Node, value: Value) -> Result<()> {
        let mut op = node.op.clone();
        let layer = op.layer_mut().map(std::mem::take);
        let mut inputs = Vec::new();
        for input in &node.inputs {
            inputs.push(match self.constants.get(input) {
                Some(tensor) => Input::Constant(tensor.clone()),
                None => Input::Value(self.number(*input)?, self.shapes[*input].clone()),
            });
        }
        let step = GeneralStep {
            op,
            inputs,
            shape: self.shapes[value].clone(),
            layer,
            multiplications: self.multiplications(node, layer, value),
            held: self.held()?,
        };
        if layer.is_none() && step.values().next().is_none() {
            let constant = step.forward(Vec::new(), None)?;
            self.constants.insert(value, constant);
        } else {
            self.steps.push(Step::General(step));
        }
        Ok(())
    }

    fn held(&mut self) -> Result<Arc<Held>> {
        if let Some(held) = &self.held {
            return Ok(Arc::clone(held));
        }
        let held = Arc::new(Held::copy_of(self.tensors)?);
        self.held = Some(Arc::clone(&held));
        Ok(held)
    }

    /// Multiplications of weights or of a product of two values, for one image.
    fn multiplications(&self, node: &Node, layer: Option<usize>, value: Value) -> usize {
        let outputs: usize = self.shapes[value].iter().product();
        let terms = match (&node.op, layer) {
            (Op::Linear(_) | Op::MatMul, _) => self.shapes[node.inputs[0]].last().copied(),
            (_, Some(layer)) => Some(self.graph.layers[layer].shape[1..].iter().product()),
            _ => None,
        };
        outputs * terms.unwrap_or(0)
    }

    /// Adds a convolution with what stands behind it.
    fn convolution(
        &mut self,
        convolution: &GeneralConvolution,
        input: Value,
        end: &End,
    ) -> Result<()> {
        let windows = on_kernels(convolution)?;
        let input = self.number(input)?;
        let add = end.add.map(|value| self.number(value)).transpose()?;
        let mut shift = self.shift(convolution.layer, convolution.bias)?;
        let mut scale = None;
        if let Some(norm) = end.norm {
            let (factors, summands) = norm.norm(self.tensors).folded()?;
            let biases = shift.iter().zip(&factors).zip(summands);
            shift = biases.map(|((bias, f), s)| bias * f + s).collect();
            scale = Some(factors);
        }
        self.steps.push(Step::Convolution {
            input,
            layer: convolution.layer,
            windows,
            groups: convolution.groups,
            scale,
            shift,
            add,
            relu: end.relu,
            ceiling: end.ceiling.map(|ceiling| ceiling as f32),
        });
        Ok(())
    }

    /// A layer's biases; zeros where it has none.
    fn shift(&self, layer: usize, bias: Option<usize>) -> Result<Vec<f32>> {
        match bias {
            Some(bias) => self.tensors.values(bias),
            None => Ok(vec![0.0; self.graph.layers[layer].shape[0]]),
        }
    }
}

/// Where the windows of a convolution lie, as the kernels take them.
fn on_kernels(convolution: &GeneralConvolution) -> Result<Windows> {
    let windows = convolution.windows.on_kernels();
    windows.ok_or_else(|| unknown(convolution))
}

fn unknown(convolution: &GeneralConvolution) -> Error {
    let expected = "a convolution that the kernels know";
    Error::argument("graph", expected, format!("{convolution:?}"))
}
