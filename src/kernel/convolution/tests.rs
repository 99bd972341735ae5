//! Convolution and its gradients against candle in double precision, in every form and with all instructions.

use super::super::slices::chain;
use super::*;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Device, Var};

/// Image batch, output channels, kernel, stride, padding.
type Case = ((usize, usize, usize, usize), usize, usize, usize, usize);

const CASES: [Case; 11] = [
    ((3, 1, 28, 28), 6, 5, 1, 2),
    ((19, 6, 14, 14), 16, 5, 1, 0),
    ((2, 3, 32, 32), 16, 3, 1, 1),
    ((9, 16, 16, 16), 32, 3, 2, 1),
    ((2, 16, 8, 8), 32, 1, 2, 0),
    ((2, 2, 5, 8), 3, 3, 1, 2),
    ((1, 3, 20, 18), 20, 7, 2, 3),
    ((2, 40, 7, 7), 24, 3, 1, 1),
    ((3, 17, 9, 11), 5, 3, 2, 0),
    ((2, 6, 6, 6), 1, 2, 1, 1),
    ((2, 33, 4, 3), 6, 1, 1, 0),
];

fn case(shape: (usize, usize, usize, usize), out: usize, kernel: usize) -> (Var, Var) {
    let mut stream = Seed(1).stream(Purpose::Test, &[out as u64, kernel as u64]);
    let x = stream.normal_tensor(1.0, shape).unwrap();
    let w = stream
        .normal_tensor(0.3, (out, shape.1, kernel, kernel))
        .unwrap();
    (Var::from_tensor(&x).unwrap(), Var::from_tensor(&w).unwrap())
}

pub(in crate::kernel) fn distance(a: &Tensor, b: &Tensor) -> f64 {
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

/// Blocked form of [batch, channels, height, width].
pub(in crate::kernel) fn blocked(x: &Tensor) -> Tensor {
    let (batch, channels, height, width) = x.dims4().unwrap();
    let planes = Planes::new(channels, height, width, 0).unwrap().full();
    let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut out = vec![0f32; batch * planes.len()];
    let images = out
        .chunks_exact_mut(planes.len())
        .zip(values.chunks_exact(channels * height * width));
    images.for_each(|(out, image)| planes.fill(image, out));
    Tensor::from_vec(
        out,
        (batch, planes.blocks(), height, width, BLOCK),
        &Device::Cpu,
    )
    .unwrap()
}

/// [batch, channels, height, width] of the blocked form.
pub(in crate::kernel) fn unblocked(x: &Tensor, channels: usize) -> Tensor {
    let (batch, _, height, width, _) = x.dims5().unwrap();
    let planes = Planes::new(channels, height, width, 0).unwrap().full();
    let values = x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut out = vec![0f32; batch * channels * height * width];
    let images = out
        .chunks_exact_mut(channels * height * width)
        .zip(values.chunks_exact(planes.len()));
    images.for_each(|(out, image)| planes.read(image, out));
    Tensor::from_vec(out, (batch, channels, height, width), &Device::Cpu).unwrap()
}

/// Values, gradient of images, gradient of weights by candle in double precision, and the weights of the sum
/// whose gradient it is.
fn oracle(x: &Var, w: &Var, stride: usize, padding: usize) -> [Tensor; 4] {
    let double = |t: &Tensor| Var::from_tensor(&t.to_dtype(DType::F64).unwrap()).unwrap();
    let (x, w) = (double(x), double(w));
    let y = x.conv2d(&w, padding, stride, 1, 1).unwrap();
    let weight = Seed(2)
        .stream(Purpose::Test, &[])
        .normal_tensor(1.0, y.shape())
        .unwrap();
    let product = (y.clone() * weight.to_dtype(DType::F64).unwrap()).unwrap();
    let gradients = product.sum_all().unwrap().backward().unwrap();
    [
        y,
        gradients.get(&x).unwrap().clone(),
        gradients.get(&w).unwrap().clone(),
        weight,
    ]
}

#[test]
fn values_and_gradients_match_candle_in_double_precision_in_every_form_and_with_all_instructions() {
    for (shape, out, kernel, stride, padding) in CASES {
        let (x, w) = case(shape, out, kernel);
        let [y_true, x_true, w_true, weight] = oracle(&x, &w, stride, padding);
        for isa in Isa::available() {
            for from in [Form::Nchw, Form::Blocked] {
                let what = format!("{shape:?} {out} {kernel} {stride} {padding} {isa} {from:?}");
                let x = match from {
                    Form::Nchw => x.clone(),
                    Form::Blocked => Var::from_tensor(&blocked(&x)).unwrap(),
                };
                let y = x
                    .apply_op2(
                        &w,
                        Conv2d {
                            stride,
                            padding,
                            isa,
                        },
                    )
                    .expect(&what);
                let product = (y.clone() * blocked(&weight)).unwrap();
                let gradients = product.sum_all().unwrap().backward().unwrap();
                let of_x = gradients.get(&x).unwrap();
                let of_x = if from == Form::Blocked {
                    unblocked(of_x, shape.1)
                } else {
                    of_x.clone()
                };
                assert!(distance(&unblocked(&y, out), &y_true) < 1e-6, "{what}");
                let distances = (
                    distance(&of_x, &x_true),
                    distance(gradients.get(&w).unwrap(), &w_true),
                );
                assert!(
                    distances.0 < 1e-5 && distances.1 < 1e-5,
                    "{what}: {distances:?}"
                );
            }
        }
    }
}

#[test]
fn avx2_and_avx512_give_the_same_bits() {
    if !Isa::Avx512.is_available() {
        return println!("skipped: this machine has no AVX-512");
    }
    for (shape, out, kernel, stride, padding) in CASES {
        let run = |isa| {
            let (x, w) = case(shape, out, kernel);
            let y = x
                .apply_op2(
                    &w,
                    Conv2d {
                        stride,
                        padding,
                        isa,
                    },
                )
                .unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (
                flat(&y),
                flat(gradients.get(&x).unwrap()),
                flat(gradients.get(&w).unwrap()),
            )
        };
        assert!(run(Isa::Avx2) == run(Isa::Avx512), "{shape:?}");
    }
}

#[test]
fn results_are_the_same_on_one_and_two_threads() {
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let (x, w) = case((37, 6, 14, 14), 16, 5);
            let y = conv2d(&x, &w, 1, 0).unwrap();
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            (
                flat(&y),
                flat(gradients.get(&x).unwrap()),
                flat(gradients.get(&w).unwrap()),
            )
        })
    };
    assert!(run(1) == run(2));
}

#[test]
fn shapes_that_do_not_fit_are_refused() {
    let (x, _) = case((1, 3, 4, 4), 1, 1);
    for (shape, stride) in [
        ((2, 2, 3, 3), 1),
        ((2, 3, 7, 7), 1),
        ((2, 3, 3, 3), 3),
        ((2, 3, 3, 3), 0),
    ] {
        let w = Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
        let error = chain(&conv2d(&x, &w, stride, 1).unwrap_err());
        assert!(error.contains("convolution of [1, 3, 4, 4]"), "{error}");
    }
    let double = x.to_dtype(DType::F64).unwrap();
    let error = chain(&conv2d(&double, &double, 1, 1).unwrap_err());
    assert!(error.contains("f32 tensors on the CPU"), "{error}");
}
