//! Residual networks beside candle in double precision, by finite differences, and the same bits in every way.

use super::super::convolution::tests::{distance, unblocked};
use super::super::slices::chain;
use super::*;
use crate::seed::{Purpose, Seed};
use candle_core::{DType, Device, Var};

const EPSILON: f64 = 1e-5;

fn normed(input: usize, add: Option<usize>, outputs: usize, kernel: usize, stride: usize) -> Part {
    Part::Normed {
        input,
        add,
        relu: kernel > 1,
        outputs,
        kernel,
        stride,
        padding: kernel / 2,
    }
}

/// Every kind of part: residuals, both shortcuts, values used twice, few and odd channels.
fn parts() -> Vec<Part> {
    vec![
        normed(0, None, 16, 3, 1),
        normed(1, None, 16, 3, 1),
        normed(2, Some(1), 16, 3, 1),
        Part::Padded {
            input: 3,
            channels: 20,
        },
        normed(3, None, 20, 3, 2),
        normed(5, Some(4), 20, 3, 1),
        normed(6, None, 40, 1, 2),
        normed(6, None, 40, 3, 2),
        normed(8, Some(7), 40, 3, 1),
        normed(9, Some(9), 40, 3, 1),
    ]
}

fn normal(index: u64, deviation: f64, shape: &[usize]) -> Tensor {
    let mut stream = Seed(4).stream(Purpose::Test, &[index]);
    stream.normal_tensor(deviation, shape).unwrap()
}

/// Weights [outputs, inputs, kernel, kernel], scales and shifts of each convolution.
fn parameters(parts: &[Part], channels: usize) -> Vec<[Tensor; 3]> {
    let mut known = vec![channels];
    let mut all = Vec::new();
    for part in parts {
        match *part {
            Part::Normed {
                input,
                outputs,
                kernel,
                ..
            } => {
                let index = 10 * all.len() as u64;
                let shape = [outputs, known[input], kernel, kernel];
                let one = normal(index + 1, 0.2, &[outputs]);
                all.push([
                    normal(index, 0.3, &shape),
                    (one + 1.0).unwrap(),
                    normal(index + 2, 0.3, &[outputs]),
                ]);
                known.push(outputs);
            }
            Part::Padded { channels, .. } => known.push(channels),
        }
    }
    all
}

fn vector(parameters: &[[Tensor; 3]]) -> Tensor {
    let flat: Vec<Tensor> = parameters
        .iter()
        .flatten()
        .map(|tensor| tensor.flatten_all().unwrap())
        .collect();
    Tensor::cat(&flat, 0).unwrap()
}

/// The same network by candle's own operations, in the precision of its arguments.
fn plain(images: &Tensor, parts: &[Part], parameters: &[[Tensor; 3]]) -> Tensor {
    let mut values = vec![images.clone()];
    let mut rest = parameters.iter();
    for part in parts {
        let y = match *part {
            Part::Normed {
                input,
                add,
                relu,
                stride,
                padding,
                ..
            } => {
                let [weight, scale, shift] = rest.next().unwrap();
                let x = values[input].conv2d(weight, padding, stride, 1, 1).unwrap();
                let centred = x
                    .broadcast_sub(&x.mean_keepdim((0, 2, 3)).unwrap())
                    .unwrap();
                let variance = centred.sqr().unwrap().mean_keepdim((0, 2, 3)).unwrap();
                let row = |t: &Tensor| t.reshape((1, t.elem_count(), 1, 1)).unwrap();
                let deviation = (variance + EPSILON).unwrap().sqrt().unwrap();
                let mut y = centred
                    .broadcast_div(&deviation)
                    .unwrap()
                    .broadcast_mul(&row(scale))
                    .unwrap()
                    .broadcast_add(&row(shift))
                    .unwrap();
                if let Some(add) = add {
                    y = (y + &values[add]).unwrap();
                }
                if relu {
                    y = y.relu().unwrap();
                }
                y
            }
            Part::Padded { input, channels } => {
                let x = &values[input];
                let (_, inputs, height, width) = x.dims4().unwrap();
                let every_second = |length: usize| {
                    let all: Vec<u32> = (0..length as u32).step_by(2).collect();
                    let count = all.len();
                    Tensor::from_vec(all, count, &Device::Cpu).unwrap()
                };
                let x = x.index_select(&every_second(height), 2).unwrap();
                let x = x.index_select(&every_second(width), 3).unwrap();
                let missing = channels - inputs;
                x.pad_with_zeros(1, missing / 2, missing - missing / 2)
                    .unwrap()
            }
        };
        values.push(y);
    }
    values.pop().unwrap()
}

/// Result, gradient and statistics of one step; the loss is the sum of the result times fixed numbers.
fn step(images: &Tensor, parameters: &Var, workspace: &Workspace) -> (Tensor, Tensor, Vec<f64>) {
    let (y, statistics) =
        residual_network(images, parameters, &parts(), EPSILON, workspace).unwrap();
    let loss = (&y * normal(99, 1.0, y.dims())).unwrap().sum_all().unwrap();
    let gradients = loss.backward().unwrap();
    let means = statistics.into_iter().flat_map(|batch| batch.mean);
    (
        y,
        gradients.get(parameters).unwrap().clone(),
        means.collect(),
    )
}

fn flat(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn values_and_gradients_match_candle_in_double_precision_on_even_and_odd_sides() {
    let double = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    for (batch, height, width) in [(9, 16, 16), (3, 13, 9), (2, 8, 24)] {
        let images = normal(7, 1.0, &[batch, 3, height, width]);
        let given = parameters(&parts(), 3);
        let exact = Var::from_tensor(&double(&vector(&given))).unwrap();
        let mut at = 0;
        let own: Vec<[Tensor; 3]> = given
            .iter()
            .map(|three| {
                three.clone().map(|tensor| {
                    let part = exact.narrow(0, at, tensor.elem_count()).unwrap();
                    at += tensor.elem_count();
                    part.reshape(tensor.shape()).unwrap()
                })
            })
            .collect();
        let truth = plain(&double(&images), &parts(), &own);
        let var = Var::from_tensor(&vector(&given)).unwrap();
        let (y, gradient, _) = step(&images, &var, &Workspace::default());
        let weight = unblocked(&normal(99, 1.0, y.dims()), 40);
        let loss = (&truth * double(&weight)).unwrap().sum_all().unwrap();
        let gradients = loss.backward().unwrap();
        let of_y = distance(&unblocked(&y, 40), &truth);
        let of_gradient = distance(&gradient, gradients.get(&exact).unwrap());
        println!("{batch} {height} {width}: {of_y:.1e} {of_gradient:.1e}");
        assert!(of_y < 1e-5, "{batch} {height} {width}: {of_y}");
        assert!(
            of_gradient < 1e-4,
            "{batch} {height} {width}: {of_gradient}"
        );
    }
}

#[test]
fn gradients_are_those_of_finite_differences() {
    let images = normal(7, 1.0, &[4, 3, 9, 10]);
    let given = vector(&parameters(&parts(), 3));
    let workspace = Workspace::default();
    let (_, gradient, _) = step(&images, &Var::from_tensor(&given).unwrap(), &workspace);
    let gradient = flat(&gradient);
    // along the gradient itself the loss changes by its square norm
    let norm: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>();
    let loss = |by: f64| {
        let moved: Vec<f32> = flat(&given)
            .iter()
            .zip(&gradient)
            .map(|(x, g)| (f64::from(*x) + by * f64::from(*g)) as f32)
            .collect();
        let moved = Tensor::from_vec(moved, gradient.len(), &Device::Cpu).unwrap();
        let (y, _) = residual_network(&images, &moved, &parts(), EPSILON, &workspace).unwrap();
        let weights = flat(&normal(99, 1.0, y.dims()));
        let terms = flat(&y).into_iter().zip(weights);
        terms.map(|(y, w)| f64::from(y) * f64::from(w)).sum::<f64>()
    };
    let by = 1e-2 / norm.sqrt();
    let slope = (loss(by) - loss(-by)) / (2.0 * by);
    assert!((slope / norm - 1.0).abs() < 0.02, "{slope} {norm}");
}

#[test]
fn bits_depend_neither_on_threads_nor_on_the_memory_taken_up_again() {
    let run = |threads: usize, before: &[usize]| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let workspace = Workspace::default();
            let var = Var::from_tensor(&vector(&parameters(&parts(), 3))).unwrap();
            for batch in before {
                step(&normal(8, 2.0, &[*batch, 3, 9, 10]), &var, &workspace);
            }
            let (y, gradient, means) = step(&normal(7, 1.0, &[19, 3, 9, 10]), &var, &workspace);
            (flat(&y), flat(&gradient), means)
        })
    };
    let one = run(1, &[]);
    assert!(one == run(2, &[]), "threads");
    assert!(one == run(1, &[19]), "the same batch before");
    assert!(one == run(2, &[24, 3]), "other batches before");
}

#[test]
fn avx2_and_avx512_give_the_same_bits() {
    if !Isa::Avx512.is_available() {
        return println!("skipped: this machine has no AVX-512");
    }
    let images = flat(&normal(7, 1.0, &[9, 3, 11, 12]));
    let given = flat(&vector(&parameters(&parts(), 3)));
    let run = |isa| {
        let plan = Plan::new(isa, (9, 3, 11, 12), &parts(), EPSILON).unwrap();
        let mut memory = Memory::default();
        let y = plan.forward(&images, &given, &mut memory);
        let gradient = plan.backward(&given, &y, &mut memory);
        (y, gradient)
    };
    assert!(run(Isa::Avx2) == run(Isa::Avx512));
}

#[test]
fn shapes_and_parts_that_do_not_fit_are_refused() {
    let images = normal(7, 1.0, &[2, 3, 8, 8]);
    let vector = vector(&parameters(&parts(), 3));
    let refused = |images: &Tensor, parameters: &Tensor, parts: &[Part]| {
        let workspace = Workspace::default();
        chain(&residual_network(images, parameters, parts, EPSILON, &workspace).unwrap_err())
    };
    let fewer = vector.narrow(0, 0, 100).unwrap();
    assert!(refused(&images, &fewer, &parts()).contains("100 parameters in place of"));
    let double = images.to_dtype(DType::F64).unwrap();
    assert!(refused(&double, &vector, &parts()).contains("f32 tensors on the CPU"));
    let unknown = [normed(3, None, 16, 3, 1)];
    assert!(refused(&images, &vector, &unknown).contains("an earlier value"));
    let unlike = [normed(0, None, 16, 3, 1), normed(1, Some(0), 16, 3, 1)];
    assert!(refused(&images, &vector, &unlike).contains("a residual like"));
    let strided = [normed(0, None, 16, 3, 3)];
    assert!(refused(&images, &vector, &strided).contains("stride 1 or 2"));
}
