//! What each operation of a graph is in standard operators.

use super::{float, integer, integers, text, Input, Values, Writer, BOOL, FLOAT};
use crate::error::{Error, Result};
use crate::net::general::{
    Binary, General, GeneralConvolution, Pool, Pooled, Reduction, Unary, Windows,
};
use crate::net::graph::{Graph, Linear, Op};
use crate::net::onnx::operators;
use crate::net::onnx::proto::Attribute;

impl Writer {
    /// The nodes of an operation; gives the name of what it gives.
    pub(super) fn operation(
        &mut self,
        op: &Op,
        inputs: &[Input],
        tensors: &Values,
        graph: &Graph,
    ) -> Result<String> {
        let names: Vec<&str> = inputs.iter().map(|input| input.name).collect();
        let name = match (op, &names[..]) {
            (Op::Convolution(own), [x]) => self.convolution(&own.general(graph), x, tensors),
            (Op::GeneralConvolution(own), [x]) => self.convolution(own, x, tensors),
            (Op::Linear(linear), [x]) => self.linear(linear, x, inputs[0].shape.len(), tensors),
            (Op::BatchNorm(norm), [x]) => {
                let inputs: [&str; 5] = [
                    x,
                    &tensors.parameters[norm.scale],
                    &tensors.parameters[norm.shift],
                    &tensors.buffers[norm.running_mean],
                    &tensors.buffers[norm.running_var],
                ];
                let epsilon = float("epsilon", norm.epsilon);
                self.node("BatchNormalization", &inputs, vec![epsilon])
            }
            (Op::LayerNorm(norm), [x]) => {
                let scale = &tensors.parameters[norm.scale];
                let shift = &tensors.parameters[norm.shift];
                let attributes = vec![integer("axis", -1), float("epsilon", norm.epsilon)];
                self.node("LayerNormalization", &[x, scale, shift], attributes)
            }
            (Op::Relu, [x]) => self.node("Relu", &[x], Vec::new()),
            (Op::Gelu, [x]) => self.node("Gelu", &[x], Vec::new()),
            (Op::Softmax, [x]) => self.node("Softmax", &[x], vec![integer("axis", -1)]),
            (Op::Add, [a, b]) => self.node("Add", &[a, b], Vec::new()),
            (Op::Scale(factor), [x]) => self.with_number("Mul", x, *factor),
            (Op::MatMul, [a, b]) => self.node("MatMul", &[a, b], Vec::new()),
            (Op::MaxPool(pool), [x]) => {
                let windows = Windows::of_square(pool.size, pool.stride, pool.padding);
                self.node("MaxPool", &[x], of_windows(&windows))
            }
            (Op::PaddedShortcut { channels }, [x]) => {
                let missing = channels.saturating_sub(inputs[0].shape[1]);
                let x = self.slice(x, &[0, 0], &[i64::MAX; 2], &[2, 3], &[2, 2]);
                self.padded(&x, 4, 1, [missing / 2, missing - missing / 2], 0.0)
            }
            (Op::ChannelMean, [x]) => {
                let mean = self.node("GlobalAveragePool", &[x], Vec::new());
                self.node("Flatten", &[&mean], vec![integer("axis", 1)])
            }
            (Op::Parameter(at), []) => tensors.parameters[*at].clone(),
            (Op::Buffer(at), []) => tensors.buffers[*at].clone(),
            (Op::Reshape(dims), [x]) => {
                // -1 stands for the dimension that takes the batch
                let sizes = dims.iter().map(|dim| dim.map_or(-1, |dim| dim as i64));
                let sizes = self.list(&sizes.collect::<Vec<i64>>());
                self.node("Reshape", &[x, &sizes], Vec::new())
            }
            (Op::Transpose(order), [x]) => {
                self.node("Transpose", &[x], vec![integers("perm", order)])
            }
            (
                Op::Slice {
                    axis,
                    start,
                    length,
                },
                [x],
            ) => {
                let (start, end) = (*start as i64, (start + length) as i64);
                self.slice(x, &[start], &[end], &[*axis as i64], &[1])
            }
            (Op::Concat { axis }, _) => self.concatenation(inputs, *axis),
            (Op::General(general), _) => return self.general(general, inputs),
            (Op::Stored { levels, .. }, [x]) => {
                let codes = self.with_number("Mul", x, f64::from(1.0 / levels.step));
                let codes = self.node("Round", &[&codes], Vec::new());
                let (low, high) = (f64::from(levels.low), f64::from(levels.high));
                let codes = self.with_number("Max", &codes, low);
                let codes = self.with_number("Min", &codes, high);
                self.with_number("Mul", &codes, f64::from(levels.step))
            }
            _ => return Err(unknown(&format!("{op:?}"), inputs)),
        };
        Ok(name)
    }

    fn convolution(&mut self, own: &GeneralConvolution, x: &str, tensors: &Values) -> String {
        let mut inputs = vec![x, &tensors.weights[own.layer]];
        inputs.extend(own.bias.map(|bias| tensors.parameters[bias].as_str()));
        let mut attributes = of_windows(&own.windows);
        attributes.push(integers("dilations", &own.windows.dilation));
        attributes.push(integer("group", own.groups as i64));
        self.node("Conv", &inputs, attributes)
    }

    /// A function of a value and a number.
    fn with_number(&mut self, operator: &str, x: &str, number: f64) -> String {
        let number = self.number(number);
        self.node(operator, &[x, &number], Vec::new())
    }

    fn linear(&mut self, linear: &Linear, x: &str, rank: usize, tensors: &Values) -> String {
        let weight = &tensors.weights[linear.layer];
        let bias = linear.bias.map(|bias| tensors.parameters[bias].as_str());
        if rank == 2 {
            let mut inputs = vec![x, weight];
            inputs.extend(bias);
            let turned = integer("transB", i64::from(!linear.transposed));
            return self.node("Gemm", &inputs, vec![turned]);
        }
        let product = if linear.transposed {
            self.node("MatMul", &[x, weight], Vec::new())
        } else {
            let turned = self.node("Transpose", &[weight], vec![integers("perm", &[1, 0])]);
            self.node("MatMul", &[x, &turned], Vec::new())
        };
        match bias {
            Some(bias) => self.node("Add", &[&product, bias], Vec::new()),
            None => product,
        }
    }

    fn slice(
        &mut self,
        x: &str,
        starts: &[i64],
        ends: &[i64],
        axes: &[i64],
        steps: &[i64],
    ) -> String {
        let [starts, ends, axes, steps] = [starts, ends, axes, steps].map(|own| self.list(own));
        self.node("Slice", &[x, &starts, &ends, &axes, &steps], Vec::new())
    }

    /// Values of one number before and behind along an axis.
    fn padded(
        &mut self,
        x: &str,
        rank: usize,
        axis: usize,
        [before, behind]: [usize; 2],
        value: f64,
    ) -> String {
        let mut pads = vec![0; 2 * rank];
        (pads[axis], pads[rank + axis]) = (before as i64, behind as i64);
        let (pads, value) = (self.list(&pads), self.number(value));
        self.node("Pad", &[x, &pads, &value], Vec::new())
    }

    /// One value behind the other; one without a batch stands before each image.
    fn concatenation(&mut self, inputs: &[Input], axis: usize) -> String {
        let batched = inputs.iter().find(|input| input.batched && axis > 0);
        let mut parts = Vec::new();
        for input in inputs {
            parts.push(match batched {
                Some(batched) if !input.batched => self.spread(input, batched),
                _ => input.name.to_owned(),
            });
        }
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        self.node("Concat", &parts, vec![integer("axis", axis as i64)])
    }

    /// A value without a batch, once for each image of another.
    fn spread(&mut self, input: &Input, batched: &Input) -> String {
        let batch = self.node("Shape", &[batched.name], vec![integer("end", 1)]);
        let rest: Vec<i64> = input.shape[1..].iter().map(|dim| *dim as i64).collect();
        let rest = self.list(&rest);
        let shape = self.node("Concat", &[&batch, &rest], vec![integer("axis", 0)]);
        self.node("Expand", &[input.name, &shape], Vec::new())
    }

    fn general(&mut self, general: &General, inputs: &[Input]) -> Result<String> {
        let names: Vec<&str> = inputs.iter().map(|input| input.name).collect();
        let rank = inputs.first().map_or(0, |input| input.shape.len());
        let name = match (general, &names[..]) {
            (General::Unary(unary), [x]) => self.unary(*unary, x)?,
            (General::Binary(binary), [a, b]) => self.binary(*binary, a, b)?,
            (General::Where, [condition, a, b]) => {
                let condition = self.cast(condition, BOOL);
                self.node("Where", &[&condition, a, b], Vec::new())
            }
            (General::Reduce { reduction, axes }, [x]) => self.reduced(*reduction, axes, x),
            (General::Pool(pool), [x]) => self.pooled(pool, x)?,
            (
                General::Pad {
                    axis,
                    before,
                    after,
                    value,
                },
                [x],
            ) => self.padded(x, rank, *axis, [*before, *after], *value),
            (General::Select { axis, places }, [x]) => {
                let places: Vec<i64> = places.iter().map(|place| i64::from(*place)).collect();
                let places = self.list(&places);
                self.node("Gather", &[x, &places], vec![integer("axis", *axis as i64)])
            }
            (General::Expand(dims), [x]) => {
                let dims: Vec<i64> = dims.iter().map(|dim| (*dim).max(1) as i64).collect();
                let dims = self.list(&dims);
                self.node("Expand", &[x, &dims], Vec::new())
            }
            (General::Along { axis }, [x, matrix]) => {
                let mut order: Vec<usize> = (0..rank).collect();
                order.swap(*axis, rank - 1);
                let order = vec![integers("perm", &order)];
                let turned = self.node("Transpose", &[x], order.clone());
                let matrix = self.node("Transpose", &[matrix], vec![integers("perm", &[1, 0])]);
                // three dimensions: a reader takes a constant matrix for a layer's weight
                let first = self.list(&[0]);
                let matrix = self.node("Unsqueeze", &[&matrix, &first], Vec::new());
                let y = self.node("MatMul", &[&turned, &matrix], Vec::new());
                self.node("Transpose", &[&y], order)
            }
            _ => return Err(unknown(&format!("{general:?}"), inputs)),
        };
        Ok(name)
    }

    /// As numbers of another type of the schema.
    fn cast(&mut self, x: &str, to: i64) -> String {
        self.node("Cast", &[x], vec![integer("to", to)])
    }

    fn unary(&mut self, unary: Unary, x: &str) -> Result<String> {
        Ok(match unary {
            Unary::Clip(low, high) => {
                let (low, high) = (self.bound(low), self.bound(high));
                self.node("Clip", &[x, &low, &high], Vec::new())
            }
            Unary::Elu(alpha) => self.node("Elu", &[x], vec![float("alpha", alpha)]),
            Unary::GeluTanh => self.node("Gelu", &[x], vec![text("approximate", "tanh")]),
            Unary::LeakyRelu(alpha) => self.node("LeakyRelu", &[x], vec![float("alpha", alpha)]),
            Unary::Not => {
                let x = self.cast(x, BOOL);
                self.comparison("Not", &[&x])
            }
            Unary::Offset(offset) => self.with_number("Add", x, offset),
            Unary::Power(exponent) => self.with_number("Pow", x, exponent),
            Unary::Truncate => {
                let size = self.node("Abs", &[x], Vec::new());
                let whole = self.node("Floor", &[&size], Vec::new());
                let sign = self.node("Sign", &[x], Vec::new());
                self.node("Mul", &[&sign, &whole], Vec::new())
            }
            plain => match operators::of_unary(plain) {
                Some(operator) => self.node(operator, &[x], Vec::new()),
                None => return Err(unknown(&format!("{plain:?}"), &[])),
            },
        })
    }

    /// A bound of a Clip; an infinite one binds nothing and has no name.
    fn bound(&mut self, bound: f64) -> String {
        if bound.is_finite() {
            self.number(bound)
        } else {
            String::new()
        }
    }

    fn binary(&mut self, binary: Binary, a: &str, b: &str) -> Result<String> {
        let operator = match binary {
            Binary::Max => "Max",
            Binary::Min => "Min",
            Binary::Pow => "Pow",
            plain => match operators::of_binary(plain) {
                Some(operator) => operator,
                None => return Err(unknown(&format!("{plain:?}"), &[])),
            },
        };
        Ok(match binary {
            Binary::And | Binary::Or => {
                let (a, b) = (self.cast(a, BOOL), self.cast(b, BOOL));
                self.comparison(operator, &[&a, &b])
            }
            Binary::Equal | Binary::Greater | Binary::Less => self.comparison(operator, &[a, b]),
            _ => self.node(operator, &[a, b], Vec::new()),
        })
    }

    /// 1 or 0 of an operator that gives truth values.
    fn comparison(&mut self, operator: &str, inputs: &[&str]) -> String {
        let y = self.node(operator, inputs, Vec::new());
        self.cast(&y, i64::from(FLOAT))
    }

    fn reduced(&mut self, reduction: Reduction, axes: &[usize], x: &str) -> String {
        let operator = match reduction {
            Reduction::ArgMax => {
                let mut x = x.to_owned();
                for axis in axes {
                    let y = self.node("ArgMax", &[&x], vec![integer("axis", *axis as i64)]);
                    x = self.cast(&y, i64::from(FLOAT));
                }
                return x;
            }
            Reduction::Max => "ReduceMax",
            Reduction::Mean => "ReduceMean",
            Reduction::Sum => "ReduceSum",
        };
        let axes: Vec<i64> = axes.iter().map(|axis| *axis as i64).collect();
        let axes = self.list(&axes);
        self.node(operator, &[x, &axes], Vec::new())
    }

    fn pooled(&mut self, pool: &Pool, x: &str) -> Result<String> {
        let windows = &pool.windows;
        let mut attributes = of_windows(windows);
        if windows.dilation.iter().any(|dilation| *dilation > 1) {
            attributes.push(integers("dilations", &windows.dilation));
        }
        if pool.beyond.iter().any(|beyond| *beyond > 0) {
            attributes.push(integer("ceil_mode", 1));
        }
        match pool.pooled {
            Pooled::Max => Ok(self.node("MaxPool", &[x], attributes)),
            Pooled::Mean => Ok(self.node("AveragePool", &[x], attributes)),
            Pooled::MeanWithPadding => {
                attributes.push(integer("count_include_pad", 1));
                Ok(self.node("AveragePool", &[x], attributes))
            }
            // no network has them: they count over the whole batch
            Pooled::Place => Err(unknown(&format!("{pool:?}"), &[])),
        }
    }
}

/// Sides, steps and padding of windows.
fn of_windows(windows: &Windows) -> Vec<Attribute> {
    vec![
        integers("kernel_shape", &windows.kernel),
        integers("strides", &windows.stride),
        integers("pads", &windows.padding),
    ]
}

fn unknown(what: &str, inputs: &[Input]) -> Error {
    let shapes: Vec<&[usize]> = inputs.iter().map(|input| input.shape).collect();
    let expected = "operations that ONNX has";
    Error::argument("network", expected, format!("{what} of {shapes:?}"))
}
