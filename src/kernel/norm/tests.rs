//! Batch norm and its gradients against candle in double precision.

use super::super::convolution::tests::{blocked, unblocked};
use super::super::slices::chain;
use super::*;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Device, Var};

const EPSILON: f64 = 1e-5;

/// Batch norm by candle's own operations in the dtype of `x`, [batch, channels, height, width].
fn oracle(x: &Tensor, affine: &Tensor, residual: Option<&Tensor>, relu: bool) -> Tensor {
    let channels = x.dims()[1];
    let row = |i: usize| {
        affine
            .narrow(0, i, 1)
            .unwrap()
            .reshape((1, channels, 1, 1))
            .unwrap()
    };
    let centred = x
        .broadcast_sub(&x.mean_keepdim((0, 2, 3)).unwrap())
        .unwrap();
    let variance = centred.sqr().unwrap().mean_keepdim((0, 2, 3)).unwrap();
    let factor = (row(0) / (variance + EPSILON).unwrap().sqrt().unwrap()).unwrap();
    let y = centred
        .broadcast_mul(&factor)
        .unwrap()
        .broadcast_add(&row(1))
        .unwrap();
    let y = match residual {
        Some(residual) => (y + residual).unwrap(),
        None => y,
    };
    if relu {
        y.relu().unwrap()
    } else {
        y
    }
}

struct World {
    x: Tensor,
    affine: Tensor,
    residual: Tensor,
    weight: Tensor,
}

fn world(shape: (usize, usize, usize, usize), offset: f64) -> World {
    let mut stream = Seed(3).stream(Purpose::Test, &[shape.1 as u64]);
    let mut draw = |std| stream.normal_tensor(std, shape).unwrap();
    let (x, residual, weight) = ((draw(2.0) + offset).unwrap(), draw(1.0), draw(1.0));
    let affine = stream.normal_tensor(1.0, (2, shape.1)).unwrap();
    World {
        x,
        affine,
        residual,
        weight,
    }
}

fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let (a, b) = (
        a.to_dtype(DType::F64).unwrap(),
        b.to_dtype(DType::F64).unwrap(),
    );
    let norm = |t: Tensor| {
        t.sqr()
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
            .sqrt()
    };
    norm((a - &b).unwrap()) / norm(b).max(1e-30)
}

#[test]
fn values_and_gradients_match_candle_in_double_precision() {
    for (shape, offset) in [
        ((5, 16, 6, 6), 0.0),
        ((9, 20, 3, 5), 0.3),
        ((3, 40, 1, 1), 0.0),
        ((17, 3, 8, 8), 20.0),
    ] {
        for (with_residual, relu) in [(false, false), (false, true), (true, false), (true, true)] {
            let world = world(shape, offset);
            let double = |t: &Tensor| Var::from_tensor(&t.to_dtype(DType::F64).unwrap()).unwrap();
            let (x2, a2, r2) = (
                double(&world.x),
                double(&world.affine),
                double(&world.residual),
            );
            let y2 = oracle(&x2, &a2, with_residual.then_some(r2.as_tensor()), relu);
            let weight = world.weight.to_dtype(DType::F64).unwrap();
            let truth = (y2.clone() * weight)
                .unwrap()
                .sum_all()
                .unwrap()
                .backward()
                .unwrap();

            let var = |t: &Tensor| Var::from_tensor(t).unwrap();
            let (x, affine) = (var(&blocked(&world.x)), var(&world.affine));
            let residual = var(&blocked(&world.residual));
            let (y, statistics) = batch_norm(
                &x,
                &affine,
                with_residual.then_some(residual.as_tensor()),
                relu,
                EPSILON,
            )
            .unwrap();
            let product = (y.clone() * blocked(&world.weight)).unwrap();
            let gradients = product.sum_all().unwrap().backward().unwrap();

            let what = format!("{shape:?} residual {with_residual} relu {relu}");
            assert!(distance(&unblocked(&y, shape.1), &y2) < 2e-6, "{what}");
            let mean = x2.mean((0, 2, 3)).unwrap().to_vec1::<f64>().unwrap();
            let near = |a: &[f64], b: &[f64]| {
                a.iter()
                    .zip(b)
                    .all(|(a, b)| (a - b).abs() < 1e-5 * (1.0 + b.abs()))
            };
            assert!(near(&statistics.mean, &mean), "{what}");
            assert_eq!(statistics.count, shape.0 * shape.2 * shape.3);
            let of_x = unblocked(gradients.get(&x).unwrap(), shape.1);
            assert!(distance(&of_x, truth.get(&x2).unwrap()) < 1e-5, "{what}");
            assert!(
                distance(gradients.get(&affine).unwrap(), truth.get(&a2).unwrap()) < 1e-5,
                "{what}"
            );
            if with_residual {
                let of_r = unblocked(gradients.get(&residual).unwrap(), shape.1);
                assert!(distance(&of_r, truth.get(&r2).unwrap()) < 1e-6, "{what}");
            }
        }
    }
}

#[test]
fn variances_keep_their_digits_far_from_zero() {
    let world = world((16, 16, 8, 8), 1000.0);
    let x = blocked(&world.x);
    let (_, statistics) = batch_norm(&x, &world.affine, None, false, EPSILON).unwrap();
    let double = world.x.to_dtype(DType::F64).unwrap();
    let centred = double
        .broadcast_sub(&double.mean_keepdim((0, 2, 3)).unwrap())
        .unwrap();
    let truth = centred
        .sqr()
        .unwrap()
        .mean((0, 2, 3))
        .unwrap()
        .to_vec1::<f64>()
        .unwrap();
    for (variance, truth) in statistics.variance.iter().zip(truth) {
        assert!((variance / truth - 1.0).abs() < 1e-4, "{variance} {truth}");
    }
}

#[test]
fn results_are_the_same_on_one_and_two_threads_and_with_either_vector_width() {
    let run = |threads: usize, isa: Isa| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let world = world((37, 20, 5, 5), 1.0);
            let (x, affine) = (
                Var::from_tensor(&blocked(&world.x)).unwrap(),
                Var::from_tensor(&world.affine).unwrap(),
            );
            let op = BatchNorm {
                relu: true,
                epsilon: EPSILON,
                isa,
                statistics: Arc::default(),
            };
            let y = x.apply_op2(&affine, op).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (
                flat(&y),
                flat(gradients.get(&x).unwrap()),
                flat(gradients.get(&affine).unwrap()),
            )
        })
    };
    let fused = |isa: &Isa| *isa != Isa::Portable;
    let runs: Vec<_> = Isa::available()
        .into_iter()
        .map(|isa| (isa, run(1, isa)))
        .collect();
    for (isa, one) in &runs {
        assert!(*one == run(2, *isa), "{isa}");
        let same = runs.iter().filter(|(other, _)| fused(other) == fused(isa));
        same.for_each(|(other, values)| assert!(one == values, "{isa} {other}"));
    }
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    let (x, affine) = (zeros(&[2, 2, 4, 4, 16]), zeros(&[2, 32]));
    let error = chain(&batch_norm(&x, &zeros(&[2, 48]), None, false, EPSILON).unwrap_err());
    assert!(
        error.contains("do not fit scale and shift [2, 48]"),
        "{error}"
    );
    let error =
        batch_norm(&x, &affine, Some(&zeros(&[1, 2, 4, 4, 16])), false, EPSILON).unwrap_err();
    let error = chain(&error);
    assert!(error.contains("residual"), "{error}");
}
