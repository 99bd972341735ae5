//! Functions of rows of numbers as they lie: element by element, softmax, layer norm, and products of two activations.

use super::direct::Store;
use super::isa::Isa;
use super::planes::{Lanes, BLOCK};
use super::product::Product;
use pulp::{Simd, WithSimd};
use std::array::from_fn;

/// A function of the rows of one value or, element by element, of two. Roundings are those of single additions and
/// multiplications in a fixed order, so that no instruction set and no other row changes anything; those of
/// [`Self::MatMul`] are those of [`Product`].
#[derive(Clone, Debug)]
pub enum RowFunction {
    /// `x Φ(x)` (Hendrycks and Gimpel, 2016).
    Gelu,
    /// Zero in place of what is below zero; NaN stays.
    Relu,
    /// The error function.
    Erf,
    /// `x` times a number.
    Scale(f32),
    /// Sum of two values.
    Sum,
    /// The first value less the second.
    Difference,
    /// Product of two values.
    Times,
    /// The first value by the second.
    Quotient,
    /// `exp(x) / Σ exp(x)` over rows of this length.
    Softmax(usize),
    /// `(x - mean) / sqrt(variance + epsilon) · scale + shift` over rows as long as scale and shift.
    LayerNorm {
        /// Factor of each place in a row.
        scale: Vec<f32>,
        /// Summand of each place in a row.
        shift: Vec<f32>,
        /// Added to the variance.
        epsilon: f32,
    },
    /// Matrices of so many rows, one after the other, each times the matrix at its place in the second value.
    MatMul {
        /// Rows of a matrix of the first value.
        rows: usize,
        /// Sizes of a matrix of the second value.
        product: Product,
    },
}

impl RowFunction {
    /// Multiplications of two values for so many numbers of the result.
    pub fn multiplications(&self, numbers: usize) -> usize {
        match self {
            Self::MatMul { product, .. } => numbers * product.inputs,
            _ => 0,
        }
    }

    /// The function of all rows of the inputs.
    pub fn forward(&self, isa: Isa, inputs: [&[f32]; 2], output: &mut [f32]) {
        match self {
            Self::MatMul { rows, product } => multiply(isa, *rows, *product, inputs, output),
            function => isa.run(Forward {
                function,
                inputs,
                output,
            }),
        }
    }
}

struct Forward<'a> {
    function: &'a RowFunction,
    inputs: [&'a [f32]; 2],
    output: &'a mut [f32],
}

impl WithSimd for Forward<'_> {
    type Output = ();

    // all that is called here is inlined into vector code
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let ([x, other], y) = (self.inputs, self.output);
        match self.function {
            RowFunction::MatMul { .. } => {}
            RowFunction::Gelu => each(x, y, gelu),
            RowFunction::Relu => each(x, y, |x| if x < 0.0 { 0.0 } else { x }),
            RowFunction::Erf => each(x, y, erf),
            RowFunction::Scale(factor) => each(x, y, |x| x * factor),
            RowFunction::Sum => both(x, other, y, |a, b| a + b),
            RowFunction::Difference => both(x, other, y, |a, b| a - b),
            RowFunction::Times => both(x, other, y, |a, b| a * b),
            RowFunction::Quotient => both(x, other, y, |a, b| a / b),
            RowFunction::Softmax(length) => softmax(*length, x, y),
            RowFunction::LayerNorm {
                scale,
                shift,
                epsilon,
            } => layer_norm(scale, shift, *epsilon, x, y),
        }
    }
}

#[inline(always)]
fn each(x: &[f32], y: &mut [f32], function: impl Fn(f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = function(*x);
    }
}

#[inline(always)]
fn both(a: &[f32], b: &[f32], y: &mut [f32], function: impl Fn(f32, f32) -> f32) {
    for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
        *y = function(*a, *b);
    }
}

fn multiply(isa: Isa, rows: usize, product: Product, inputs: [&[f32]; 2], output: &mut [f32]) {
    let mut packed = vec![0.0; product.packed_len()];
    let start = vec![0.0; product.start_len()];
    let first = inputs[0].chunks_exact(rows * product.inputs);
    let second = inputs[1].chunks_exact(product.inputs * product.outputs);
    let results = output.chunks_exact_mut(rows * product.outputs);
    for ((a, b), y) in first.zip(second).zip(results) {
        product.pack(b, &mut packed);
        product.forward(isa, a, &packed, &start, Store::default(), y);
    }
}

/// All numbers of a row taken into lanes, these joined by halves, and the rest taken into the result.
#[inline(always)]
fn joined(
    row: &[f32],
    nothing: f32,
    take: impl Fn(f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes: Lanes = [nothing; BLOCK];
    let mut blocks = row.chunks_exact(BLOCK);
    for block in blocks.by_ref() {
        for (lane, x) in lanes.iter_mut().zip(block) {
            *lane = take(*lane, *x);
        }
    }
    let mut lanes: [f32; 8] = from_fn(|lane| join(lanes[lane], lanes[lane + 8]));
    for half in [4, 2, 1] {
        for lane in 0..half {
            lanes[lane] = join(lanes[lane], lanes[lane + half]);
        }
    }
    let mut all = lanes[0];
    for x in blocks.remainder() {
        all = take(all, *x);
    }
    all
}

#[inline(always)]
fn sum(a: f32, b: f32) -> f32 {
    a + b
}

#[inline(always)]
fn greater(a: f32, b: f32) -> f32 {
    if b > a {
        b
    } else {
        a
    }
}

#[inline(always)]
fn softmax(length: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(length).zip(y.chunks_exact_mut(length)) {
        let greatest = joined(x, f32::NEG_INFINITY, greater, greater);
        each(x, y, |x| x - greatest);
    }
    for y in y.iter_mut() {
        // the bits of a NaN may become those of a number
        *y = if y.is_nan() { *y } else { exp(*y) };
    }
    for y in y.chunks_exact_mut(length) {
        let factor = 1.0 / joined(y, 0.0, sum, sum);
        for y in y {
            *y *= factor;
        }
    }
}

#[inline(always)]
fn layer_norm(scale: &[f32], shift: &[f32], epsilon: f32, x: &[f32], y: &mut [f32]) {
    let share = 1.0 / scale.len() as f32;
    for (x, y) in x
        .chunks_exact(scale.len())
        .zip(y.chunks_exact_mut(scale.len()))
    {
        let mean = joined(x, 0.0, sum, sum) * share;
        each(x, y, |x| x - mean);
        let variance = joined(y, 0.0, |sum, x| sum + x * x, sum) * share;
        let factor = 1.0 / (variance + epsilon).sqrt();
        for ((y, scale), shift) in y.iter_mut().zip(scale).zip(shift) {
            *y = *y * factor * scale + shift;
        }
    }
}

/// `exp(x)` for `x` up to 0, to 2 units in the last place: `2^n exp(r)` with `|r|` at most half of ln 2 (Cephes); 0 below
/// its least normal number.
#[inline(always)]
fn exp(x: f32) -> f32 {
    // adding it leaves a whole number in the last bits
    const WHOLE: f32 = 12_582_912.0;
    let whole = x * std::f32::consts::LOG2_E + WHOLE;
    let n = whole - WHOLE;
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let mut sum = 1.987_569_1e-4;
    for term in [
        1.398_2e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        sum = sum * r + term;
    }
    let sum = sum * r * r + r + 1.0;
    let result = f32::from_bits(sum.to_bits().wrapping_add(whole.to_bits() << 23));
    if x < -87.3 {
        0.0
    } else {
        result
    }
}

/// `erf(x)` near 0, where its size is below 0.93 (after N. Juffa).
#[inline(always)]
fn erf_near(x: f32) -> f32 {
    let square = x * x;
    let mut sum = -5.967_617e-4;
    for term in [
        4.991_194_2e-3,
        -2.676_813_5e-2,
        1.128_199_3e-1,
        -3.761_253_4e-1,
        1.283_791_7e-1,
    ] {
        sum = sum * square + term;
    }
    sum * x + x
}

/// `1 - erf(t)` for `t` from 0.92 on (after N. Juffa); a number for NaN.
#[inline(always)]
fn erf_rest(t: f32) -> f32 {
    let mut sum = -1.728_534_7e-5;
    for term in [
        3.831_972e-4,
        -3.883_964_4e-3,
        2.425_462_2e-2,
        -1.067_778_8e-1,
        -6.348_467e-1,
        -1.287_175_1e-1,
    ] {
        sum = sum * t + term;
    }
    exp(sum * t - t)
}

/// Size from which on [`erf_rest`] holds.
const FAR: f32 = 0.927_734_4;

#[inline(always)]
fn erf(x: f32) -> f32 {
    let size = x.abs();
    let far = (1.0 - erf_rest(size)).copysign(x);
    let near = erf_near(x);
    if size > FAR {
        far
    } else {
        near
    }
}

#[inline(always)]
fn gelu(x: f32) -> f32 {
    let scaled = x * std::f32::consts::FRAC_1_SQRT_2;
    let size = scaled.abs();
    let rest = 0.5 * erf_rest(size);
    let far = if x < 0.0 { rest } else { 1.0 - rest };
    let near = 0.5 + 0.5 * erf_near(scaled);
    x * if size > FAR { far } else { near }
}

#[cfg(test)]
mod tests {
    use super::super::depthwise::tests::noise;
    use super::*;

    fn run(function: &RowFunction, isa: Isa, inputs: [&[f32]; 2], length: usize) -> Vec<f32> {
        let mut output = vec![0.0; length];
        function.forward(isa, inputs, &mut output);
        output
    }

    /// `erf(x)` by its series, in double precision.
    fn series(x: f64) -> f64 {
        let (mut term, mut sum) = (x, 0.0);
        for n in 0..200 {
            sum += term / f64::from(2 * n + 1);
            term *= -x * x / f64::from(n + 1);
        }
        sum * std::f64::consts::FRAC_2_SQRT_PI
    }

    #[test]
    fn exponential_and_error_function_are_right_to_some_units_in_the_last_place() {
        for step in -40_000..2_000 {
            let x = step as f32 * 2e-3;
            let truth = f64::from(x).exp();
            let error = (f64::from(exp(x)) / truth - 1.0).abs();
            assert!(x > 0.0 || error < 3e-7, "exp {x}: {}", exp(x));
            if x.abs() > 4.0 {
                continue;
            }
            let truth = series(f64::from(x));
            assert!(
                (f64::from(erf(x)) - truth).abs() < 2e-7,
                "erf {x}: {}",
                erf(x)
            );
            let truth = 0.5 * f64::from(x) * (1.0 + series(f64::from(x) / 2f64.sqrt()));
            assert!(
                (f64::from(gelu(x)) - truth).abs() < 4e-7,
                "gelu {x}: {}",
                gelu(x)
            );
        }
        assert_eq!(
            [exp(-90.0), exp(f32::NEG_INFINITY), exp(0.0)],
            [0.0, 0.0, 1.0]
        );
        assert_eq!([erf(30.0), erf(-30.0), gelu(30.0)], [1.0, -1.0, 30.0]);
        let nan = f32::from_bits(0x7fc0_01ff);
        assert!(erf(nan).is_nan() && gelu(nan).is_nan());
    }

    #[test]
    fn softmax_sums_to_one_layer_norm_centres_and_neither_hides_what_is_not_finite() {
        for length in [1, 5, 16, 17, 48] {
            let x = noise(3 * length);
            let of = |function, x: &[f32]| run(&function, Isa::current(), [x, &[]], x.len());
            let y = of(RowFunction::Softmax(length), &x);
            for row in y.chunks_exact(length) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-6, "{length}");
            }
            for (place, x) in x.iter().enumerate() {
                let first = place / length * length;
                let ratio = f64::from(x - noise(3 * length)[first]).exp();
                let found = f64::from(y[place]) / f64::from(y[first]);
                assert!((found / ratio - 1.0).abs() < 1e-5, "{length}");
            }
            let norm = || RowFunction::LayerNorm {
                scale: vec![2.0; length],
                shift: vec![1.0; length],
                epsilon: 1e-6,
            };
            for row in of(norm(), &x).chunks_exact(length) {
                let mean = row.iter().sum::<f32>() / length as f32;
                assert!((mean - 1.0).abs() < 1e-4, "{length}: {mean}");
                let square = row.iter().map(|y| (y - 1.0) * (y - 1.0)).sum::<f32>();
                let deviation = (square / length as f32).sqrt();
                assert!(
                    length == 1 || (deviation - 2.0).abs() < 1e-3,
                    "{length}: {deviation}"
                );
            }
            for wrong in [f32::from_bits(0x7fc0_01ff), f32::INFINITY] {
                let mut x = x.clone();
                x[length] = wrong;
                for function in [RowFunction::Softmax(length), norm()] {
                    let y = of(function, &x);
                    let row = &y[length..2 * length];
                    assert!(row.iter().all(|y| !y.is_finite()), "{length} {wrong}");
                    assert!(y[..length].iter().all(|y| y.is_finite()));
                }
            }
        }
    }

    #[test]
    fn every_function_gives_the_same_bits_with_wide_instructions_and_for_each_row_alone() {
        let product = Product {
            inputs: 7,
            outputs: 21,
        };
        let functions = [
            (RowFunction::Gelu, 21, 1),
            (RowFunction::Erf, 21, 1),
            (RowFunction::Quotient, 21, 21),
            (RowFunction::Softmax(21), 21, 1),
            (
                RowFunction::LayerNorm {
                    scale: noise(21),
                    shift: noise(21),
                    epsilon: 1e-5,
                },
                21,
                1,
            ),
            (RowFunction::MatMul { rows: 1, product }, 7, 7 * 21),
        ];
        for (function, first, second) in functions {
            let (a, b) = (noise(9 * first), noise(9 * second));
            let wide = Isa::available()
                .into_iter()
                .filter(|isa| *isa != Isa::Portable);
            let all: Vec<Vec<f32>> = wide
                .map(|isa| run(&function, isa, [&a, &b], 9 * 21))
                .collect();
            assert!(
                all.windows(2).all(|pair| pair[0] == pair[1]),
                "{function:?}"
            );
            let rows = a.chunks_exact(first).zip(b.chunks_exact(second));
            let alone = rows.map(|(a, b)| run(&function, Isa::current(), [a, b], 21));
            let whole = run(&function, Isa::current(), [&a, &b], 9 * 21);
            assert_eq!(alone.collect::<Vec<_>>().concat(), whole, "{function:?}");
        }
    }
}
