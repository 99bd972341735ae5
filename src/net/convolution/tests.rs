//! Gradients of the convolution for GPUs against those of candle and against what they are defined by.

use super::*;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Var};

/// Batch and channels of images, and channels of results.
const SIZES: (usize, usize, usize) = (3, 4, 5);

fn normal(index: u64, shape: impl Into<Shape>) -> Tensor {
    let tensor = Seed(1)
        .stream(Purpose::Test, &[index])
        .normal_tensor(1.0, shape)
        .unwrap();
    tensor.to_dtype(DType::F64).unwrap()
}

/// Images and weights in double precision.
fn case(height: usize, width: usize, kernel: usize) -> (Var, Var) {
    let (batch, inputs, outputs) = SIZES;
    let x = Var::from_tensor(&normal(1, (batch, inputs, height, width))).unwrap();
    (
        x,
        Var::from_tensor(&normal(2, (outputs, inputs, kernel, kernel))).unwrap(),
    )
}

/// `Σ a b`.
fn product(a: &Tensor, b: &Tensor) -> f64 {
    (a * b).unwrap().sum_all().unwrap().to_scalar().unwrap()
}

fn largest(t: &Tensor) -> f64 {
    t.abs().unwrap().max_all().unwrap().to_scalar().unwrap()
}

/// Values, gradient of images and gradient of weights of `Σ g y`.
fn passed_through(x: &Var, w: &Var, y: Tensor) -> [Tensor; 3] {
    let gradients = (&y * normal(3, y.shape()))
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    [
        y,
        gradients.get(x).unwrap().clone(),
        gradients.get(w).unwrap().clone(),
    ]
}

#[test]
fn values_and_gradients_are_those_of_candle() {
    let mut cases = 0;
    for kernel in [1, 2, 3, 5, 7] {
        for (height, width) in [(8, 8), (9, 9), (7, 11), (12, 8)] {
            for stride in [1, 2, 3] {
                for padding in 0..=kernel + 1 {
                    let rest = |size: usize| (size + 2 * padding - kernel) % stride;
                    // candle pads rows and columns of its gradient alike, and fails where they differ
                    if rest(height) != rest(width) || kernel > height.min(width) + 2 * padding {
                        continue;
                    }
                    let (x, w) = case(height, width, kernel);
                    let ours = passed_through(&x, &w, conv2d(&x, &w, stride, padding).unwrap());
                    let candle = x.conv2d(&w, padding, stride, 1, 1);
                    let candle = passed_through(&x, &w, candle.unwrap());
                    for (ours, candle) in ours.iter().zip(&candle) {
                        assert_eq!(ours.dims(), candle.dims());
                        let away = largest(&(ours - candle).unwrap()) / largest(candle).max(1.0);
                        assert!(
                            away < 1e-5,
                            "{kernel} {height}x{width} {stride} {padding}: {away}"
                        );
                    }
                    cases += 1;
                }
            }
        }
    }
    assert!(cases > 200, "{cases}");
}

#[test]
fn gradients_are_adjoint_to_the_convolution_where_rows_and_columns_leave_different_rests() {
    for (kernel, stride, padding, height, width) in [
        (3, 2, 1, 8, 9),
        (1, 2, 0, 9, 8),
        (5, 2, 2, 7, 10),
        (7, 2, 3, 9, 8),
        (3, 3, 0, 10, 9),
        (1, 2, 1, 8, 9),
    ] {
        let (x, w) = case(height, width, kernel);
        let [y, of_x, of_w] = passed_through(&x, &w, conv2d(&x, &w, stride, padding).unwrap());
        let g = normal(3, y.shape());
        // the convolution is linear in either: each single value alone gives one of the gradient
        let unit = |like: &Tensor, at: usize| {
            let mut values = vec![0f64; like.elem_count()];
            values[at] = 1.0;
            Tensor::from_vec(values, like.shape(), &Device::Cpu).unwrap()
        };
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (at, gradient) in flat(&of_x).into_iter().enumerate() {
            let change = conv2d(&unit(&x, at), &w.detach(), stride, padding).unwrap();
            assert!(
                (product(&change, &g) - gradient).abs() < 1e-9,
                "{kernel} {stride} {padding}: image {at}"
            );
        }
        for (at, gradient) in flat(&of_w).into_iter().enumerate() {
            let change = conv2d(&x.detach(), &unit(&w, at), stride, padding).unwrap();
            assert!(
                (product(&change, &g) - gradient).abs() < 1e-9,
                "{kernel} {stride} {padding}: weight {at}"
            );
        }
    }
}

#[test]
fn only_variables_get_gradients() {
    let (x, w) = case(8, 8, 3);
    let found = |x: &Tensor, w: &Tensor| {
        let y = conv2d(x, w, 1, 1).unwrap();
        let gradients = y.sum_all().unwrap().backward().unwrap();
        (gradients.get(x).is_some(), gradients.get(w).is_some())
    };
    assert_eq!(found(&x, &w), (true, true));
    assert_eq!(found(&x.detach(), &w), (false, true));
    assert_eq!(found(&x, &w.detach()), (true, false));
    assert!(!conv2d(&x.detach(), &w.detach(), 1, 1).unwrap().track_op());
}

#[test]
fn gradients_reach_what_images_and_weights_are_made_of() {
    let (x, w) = case(8, 8, 3);
    let y = conv2d(
        &(x.as_tensor() * 2.0).unwrap(),
        &w.transpose(2, 3).unwrap(),
        2,
        1,
    )
    .unwrap();
    let ours = passed_through(&x, &w, y);
    let y = (x.as_tensor() * 2.0)
        .unwrap()
        .conv2d(&w.transpose(2, 3).unwrap(), 1, 2, 1, 1)
        .unwrap();
    for (ours, candle) in ours.iter().zip(&passed_through(&x, &w, y)) {
        assert!(largest(&(ours - candle).unwrap()) < 1e-9);
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (x, _) = case(4, 4, 1);
    for (shape, stride) in [
        ((2, 3, 3, 3), 1),
        ((2, 4, 7, 7), 1),
        ((2, 4, 3, 3), 0),
        ((2, 4, 3, 2), 1),
    ] {
        let w = Tensor::zeros(shape, DType::F64, &Device::Cpu).unwrap();
        let error = conv2d(&x, &w, stride, 1).unwrap_err().to_string();
        assert!(error.contains("convolution of [3, 4, 4, 4]"), "{error}");
    }
}
