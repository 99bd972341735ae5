//! Gradients of every operation against central differences, in f64.

use super::*;
use crate::seed::{Purpose, Seed};
use candle_core::Var;

/// Half the distance of the two points of a difference.
const STEP: f64 = 1e-5;
/// Largest error of a gradient, by the largest gradient of its input.
const ERROR: f64 = 1e-6;

type Function<'a> = &'a dyn Fn(&[Tensor]) -> Candle<Tensor>;

fn stream(index: u64) -> crate::seed::Stream {
    Seed(21).stream(Purpose::Test, &[index])
}

/// Normal values of a shape.
fn normal(index: u64, shape: &[usize]) -> Tensor {
    let values = stream(index).normal_tensor(1.0, shape).unwrap();
    values.to_dtype(DType::F64).unwrap()
}

/// Values from a half to one and a half.
fn positive(index: u64, shape: &[usize]) -> Tensor {
    let values = stream(index).uniform_tensor(0.5, 1.5, shape).unwrap();
    values.to_dtype(DType::F64).unwrap()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

/// A weighted sum of what a function gives, every value with a weight of its own.
fn sum(function: Function, inputs: &[Tensor]) -> Tensor {
    let y = function(inputs).unwrap();
    let weights = normal(99, y.dims());
    (y * weights).unwrap().sum_all().unwrap()
}

/// Gradients of [`sum`] by each input; zero where none flows.
fn gradients(function: Function, inputs: &[Tensor]) -> Vec<Vec<f64>> {
    let vars: Vec<Var> = inputs
        .iter()
        .map(|x| Var::from_tensor(x).unwrap())
        .collect();
    let tensors: Vec<Tensor> = vars.iter().map(|var| var.as_tensor().clone()).collect();
    let store = sum(function, &tensors).backward().unwrap();
    let own = |var: &Var| match store.get(var) {
        Some(gradient) => flat(gradient),
        None => vec![0.0; var.elem_count()],
    };
    vars.iter().map(own).collect()
}

/// The same by differences.
fn differences(function: Function, inputs: &[Tensor]) -> Vec<Vec<f64>> {
    let moved = |input: usize, at: usize, by: f64| {
        let mut inputs = inputs.to_vec();
        let mut values = flat(&inputs[input]);
        values[at] += by;
        inputs[input] = Tensor::from_vec(values, inputs[input].shape(), &Device::Cpu).unwrap();
        sum(function, &inputs).to_scalar::<f64>().unwrap()
    };
    let slope =
        |input: usize, at: usize| (moved(input, at, STEP) - moved(input, at, -STEP)) / (2.0 * STEP);
    let of_input = |input: usize| {
        let count = inputs[input].elem_count();
        (0..count).map(|at| slope(input, at)).collect()
    };
    (0..inputs.len()).map(of_input).collect()
}

fn check(what: &str, function: Function, inputs: &[Tensor]) {
    let (own, expected) = (gradients(function, inputs), differences(function, inputs));
    for (input, (own, expected)) in own.iter().zip(&expected).enumerate() {
        let largest = expected.iter().fold(1e-3, |max: f64, g| max.max(g.abs()));
        for (at, (own, expected)) in own.iter().zip(expected).enumerate() {
            let error = (own - expected).abs() / largest;
            assert!(
                error < ERROR,
                "{what}, input {input} at {at}: {own} and not {expected}"
            );
        }
    }
}

fn check_operation(operation: General, inputs: &[Tensor]) {
    check(
        &format!("{operation:?}"),
        &|inputs| operation.forward(inputs),
        inputs,
    );
}

#[test]
fn of_functions_of_a_value() {
    for unary in [
        Unary::Abs,
        Unary::Ceil,
        Unary::Clip(-0.7, 0.4),
        Unary::Clip(f64::NEG_INFINITY, 0.2),
        Unary::Clip(-0.2, f64::INFINITY),
        Unary::Elu(1.3),
        Unary::Erf,
        Unary::Exp,
        Unary::Floor,
        Unary::GeluTanh,
        Unary::LeakyRelu(0.1),
        Unary::Neg,
        Unary::Not,
        Unary::Offset(0.3),
        Unary::Power(1.0),
        Unary::Power(2.0),
        Unary::Power(3.0),
        Unary::Reciprocal,
        Unary::Sigmoid,
        Unary::Sign,
        Unary::Softplus,
        Unary::Tanh,
        Unary::Truncate,
    ] {
        check_operation(General::Unary(unary), &[normal(1, &[3, 7])]);
    }
    for unary in [
        Unary::Log,
        Unary::Sqrt,
        Unary::Power(0.5),
        Unary::Power(-1.7),
    ] {
        check_operation(General::Unary(unary), &[positive(2, &[3, 7])]);
    }
}

#[test]
fn rounding_passes_its_gradient_straight_through() {
    let round = General::Unary(Unary::Round);
    let inputs = [normal(3, &[2, 5])];
    let own = gradients(&|inputs| round.forward(inputs), &inputs);
    let through = gradients(&|inputs| Ok(inputs[0].clone()), &inputs);
    assert_eq!(own, through);
}

#[test]
fn of_functions_of_two_values_spread_over_each_other() {
    for binary in [
        Binary::And,
        Binary::Div,
        Binary::Equal,
        Binary::Greater,
        Binary::Less,
        Binary::Max,
        Binary::Min,
        Binary::Mul,
        Binary::Or,
        Binary::Pow,
        Binary::Sub,
    ] {
        for shapes in [[&[2, 3, 4][..], &[2, 3, 4]], [&[2, 3, 1], &[1, 4]]] {
            let inputs = [positive(4, shapes[0]), positive(5, shapes[1])];
            check_operation(General::Binary(binary), &inputs);
        }
    }
    let condition = Unary::Sign.forward(&normal(6, &[3, 4]).relu().unwrap());
    let condition = condition.unwrap();
    let choice = |inputs: &[Tensor]| {
        let [a, b] = inputs else { unreachable!() };
        General::Where.forward(&[condition.clone(), a.clone(), b.clone()])
    };
    check("where", &choice, &[normal(7, &[3, 4]), normal(8, &[4])]);
}

#[test]
fn of_what_moves_and_sums_values() {
    let x = [normal(9, &[2, 3, 4, 5])];
    for reduction in [
        Reduction::ArgMax,
        Reduction::Max,
        Reduction::Mean,
        Reduction::Sum,
    ] {
        for axes in [vec![1], vec![2, 3]] {
            check_operation(General::Reduce { reduction, axes }, &x);
        }
    }
    for (before, after, value) in [(1, 2, 0.0), (0, 3, 1.5)] {
        check_operation(
            General::Pad {
                axis: 2,
                before,
                after,
                value,
            },
            &x,
        );
    }
    let places = vec![3, 0, 0, 2];
    check_operation(General::Select { axis: 3, places }, &x);
    check_operation(General::Expand(vec![0, 6, 4]), &[normal(10, &[3, 1, 4])]);
    check_operation(General::Expand(vec![2, 0, 4]), &[normal(10, &[3, 1])]);
    for axis in [1, 3] {
        let columns = x[0].dims()[axis];
        let inputs = [x[0].clone(), normal(11, &[6, columns])];
        check_operation(General::Along { axis }, &inputs);
    }
}

fn windows(kernel: &[usize], stride: &[usize], dilation: &[usize], padding: &[usize]) -> Windows {
    let [kernel, stride, dilation, padding] =
        [kernel, stride, dilation, padding].map(<[_]>::to_vec);
    Windows {
        kernel,
        stride,
        dilation,
        padding,
    }
}

#[test]
fn of_convolutions_of_every_form() {
    for (images, weight, groups, windows) in [
        // square, as candle knows them
        (
            &[2, 3, 6, 6][..],
            &[4, 3, 3, 3][..],
            1,
            windows(&[3, 3], &[2, 2], &[1, 1], &[1; 4]),
        ),
        // depthwise, then with two filters for each channel
        (
            &[2, 4, 6, 5],
            &[4, 1, 3, 3],
            4,
            windows(&[3, 3], &[1, 1], &[1, 1], &[1; 4]),
        ),
        (
            &[2, 3, 7, 6],
            &[6, 1, 3, 2],
            3,
            windows(&[3, 2], &[2, 1], &[1, 2], &[0, 1, 2, 1]),
        ),
        // groups
        (
            &[2, 4, 5, 5],
            &[6, 2, 3, 3],
            2,
            windows(&[3, 3], &[1, 1], &[1, 1], &[1; 4]),
        ),
        // dilated, uneven sides, strides and padding
        (
            &[1, 2, 8, 7],
            &[3, 2, 2, 3],
            1,
            windows(&[2, 3], &[1, 2], &[3, 2], &[2, 0, 1, 3]),
        ),
        // one dimension, three dimensions
        (
            &[2, 3, 9],
            &[4, 3, 4],
            1,
            windows(&[4], &[2], &[1], &[1, 2]),
        ),
        (
            &[2, 2, 9],
            &[2, 1, 3],
            2,
            windows(&[3], &[1], &[2], &[2, 2]),
        ),
        (
            &[1, 2, 3, 4, 3],
            &[2, 2, 2, 2, 2],
            1,
            windows(&[2; 3], &[1; 3], &[1; 3], &[0; 6]),
        ),
    ] {
        let convolution = GeneralConvolution {
            layer: 0,
            bias: None,
            windows,
            groups,
        };
        let product = |inputs: &[Tensor]| convolution.product(&inputs[0], &inputs[1]);
        let inputs = [normal(12, images), normal(13, weight)];
        check(&format!("{convolution:?}"), &product, &inputs);
    }
}

#[test]
fn of_poolings_of_every_form() {
    for (images, windows, beyond) in [
        (
            &[2, 2, 6, 6][..],
            windows(&[2, 2], &[2, 2], &[1, 1], &[0; 4]),
            vec![0, 0],
        ),
        (
            &[1, 2, 7, 6],
            windows(&[3, 2], &[2, 1], &[1, 2], &[1, 0, 0, 1]),
            vec![0, 0],
        ),
        (
            &[1, 2, 5, 5],
            windows(&[2, 2], &[2, 2], &[1, 1], &[0; 4]),
            vec![1, 1],
        ),
        (&[2, 2, 8], windows(&[3], &[2], &[1], &[1, 1]), vec![0]),
    ] {
        for pooled in [
            Pooled::Max,
            Pooled::Mean,
            Pooled::MeanWithPadding,
            Pooled::Place,
        ] {
            let pool = Pool {
                pooled,
                windows: windows.clone(),
                beyond: beyond.clone(),
            };
            check_operation(General::Pool(pool), &[normal(14, images)]);
        }
    }
}
