//! Winograd convolution beside sums in double precision, in every grouping and on all instruction sets.

use super::*;

/// Values between -0.5 and 0.5 without a pattern.
fn noise(length: usize, seed: u32) -> Vec<f32> {
    (1..=length as u32)
        .map(|i| (i ^ seed << 20).wrapping_mul(2_654_435_761))
        .map(|i| (i >> 8) as f32 / (1 << 24) as f32 - 0.5)
        .collect()
}

const PLAIN: Store = Store {
    add: false,
    relu: false,
};

/// A convolution with some images in its layout and its weights.
struct Case {
    direct: Direct,
    winograd: Winograd,
    images: usize,
    input: Vec<f32>,
    packed: Vec<f32>,
    start: Vec<f32>,
}

impl Case {
    /// Sides and channels in and out, with a border of 1 and its padding.
    fn new([height, width]: [usize; 2], [inputs, outputs]: [usize; 2], images: usize) -> Self {
        Self::padded([height, width], [inputs, outputs], [1, 1], images)
    }

    /// The same with another border of the input, and padding.
    fn padded(
        [height, width]: [usize; 2],
        [inputs, outputs]: [usize; 2],
        [border, padding]: [usize; 2],
        images: usize,
    ) -> Self {
        let planes = Planes::new(inputs, height, width, border).unwrap().full();
        let direct = Direct::new(planes, outputs, 3, 1, padding, 1)
            .unwrap()
            .full();
        let mut input = vec![0f32; images * planes.len()];
        for (number, laid) in input.chunks_exact_mut(planes.len()).enumerate() {
            planes.fill(&noise(inputs * height * width, number as u32), laid);
        }
        let mut packed = vec![0f32; direct.packed_len()];
        direct.pack(&noise(outputs * inputs * 9, 77), &mut packed);
        let mut start = noise(outputs, 5);
        start.resize(direct.start_len(), 0.0);
        Self {
            direct,
            winograd: Winograd::of(direct).unwrap(),
            images,
            input,
            packed,
            start,
        }
    }

    fn transformed(&self, isa: Isa) -> Vec<f32> {
        let mut transformed = vec![0f32; self.winograd.transformed_len()];
        for row in 0..self.winograd.rows() {
            self.winograd
                .transform(isa, row, &self.packed, &mut transformed);
        }
        transformed
    }

    /// Images of ones in the place of the result.
    fn output(&self) -> Vec<f32> {
        vec![1f32; self.images * self.direct.output().len()]
    }

    fn forward(&self, isa: Isa, store: Store) -> Vec<f32> {
        let mut output = self.output();
        self.winograd.forward(
            isa,
            &self.input,
            &self.transformed(isa),
            &self.start,
            store,
            &mut Scratch::default(),
            &mut output,
        );
        output
    }

    /// The same by the direct kernel.
    fn direct(&self, store: Store) -> Vec<f32> {
        let mut output = self.output();
        let inputs = self.input.chunks_exact(self.direct.input().len());
        let outputs = output.chunks_exact_mut(self.direct.output().len());
        for (input, output) in inputs.zip(outputs) {
            let (packed, start) = (&self.packed, &self.start);
            self.direct
                .forward(Isa::Portable, input, packed, start, store, output);
        }
        output
    }

    /// The result without adding or cutting in double precision, in its layout, ones in the border.
    fn exact(&self) -> Vec<f64> {
        let (from, to) = (self.direct.input(), self.direct.output());
        let mut output = vec![1f64; self.images * to.len()];
        let skipped = from.border() - self.direct.padding();
        for (input, output) in self
            .input
            .chunks_exact(from.len())
            .zip(output.chunks_exact_mut(to.len()))
        {
            for o in 0..to.blocks() * BLOCK {
                for (y, x) in (0..to.height()).flat_map(|y| (0..to.width()).map(move |x| (y, x))) {
                    let mut sum = f64::from(self.start[o]);
                    for i in 0..from.channels() {
                        for (r, c) in (0..9).map(|tap| (tap / 3, tap % 3)) {
                            let (block, lane) = from.place(i);
                            let pixel = (y + r + skipped) * from.row()
                                + (x + c + skipped) * from.lanes()
                                + block * from.plane();
                            let index = ((o * from.channels() + i) * 3 + r) * 3 + c;
                            let weight = self.packed[self.direct.packed_at(index)];
                            sum += f64::from(weight) * f64::from(input[pixel + lane]);
                        }
                    }
                    let (block, lane) = (o / BLOCK, o % BLOCK);
                    output[to.at(block, y, x) + lane] = sum;
                }
            }
        }
        output
    }
}

#[test]
fn results_are_those_of_exact_sums_for_every_side_and_channel_count() {
    for (sides, channels) in [
        ([32, 32], [16, 16]),
        ([16, 16], [32, 32]),
        ([8, 8], [64, 64]),
        ([8, 8], [16, 32]),
        ([7, 5], [20, 40]),
        ([3, 13], [48, 17]),
        ([14, 14], [16, 7]),
    ] {
        let case = Case::new(sides, channels, 3);
        let exact = case.exact();
        let largest = exact.iter().fold(0f64, |most, value| most.max(value.abs()));
        for isa in Isa::available() {
            for (value, exact) in case.forward(isa, PLAIN).iter().zip(&exact) {
                let error = (f64::from(*value) - exact).abs();
                assert!(
                    error <= 2e-5 * largest,
                    "{sides:?} {channels:?} {isa}: {error}"
                );
            }
        }
    }
}

#[test]
fn padding_may_be_less_than_the_border() {
    for (border, padding) in [(0, 0), (1, 0), (2, 1), (3, 2)] {
        let case = Case::padded([9, 6], [16, 16], [border, padding], 2);
        let exact = case.exact();
        for (value, exact) in case.forward(Isa::current(), PLAIN).iter().zip(&exact) {
            assert!(
                (f64::from(*value) - exact).abs() < 1e-4,
                "{border} {padding}"
            );
        }
    }
}

#[test]
fn sums_are_added_and_cut_as_the_direct_kernel_does() {
    let case = Case::new([10, 11], [16, 32], 2);
    for (add, relu) in [(false, true), (true, false), (true, true)] {
        let store = Store { add, relu };
        for isa in Isa::available() {
            for (one, other) in case.forward(isa, store).iter().zip(case.direct(store)) {
                assert!((one - other).abs() < 1e-4, "{store:?} {isa}: {one} {other}");
            }
        }
    }
}

#[test]
fn bits_depend_neither_on_the_width_of_vectors_nor_on_the_images_at_a_time() {
    let case = Case::new([12, 9], [32, 32], 7);
    let wide: Vec<Isa> = Isa::available()
        .into_iter()
        .filter(|isa| *isa != Isa::Portable)
        .collect();
    for isa in Isa::available() {
        let all = case.forward(isa, PLAIN);
        if let (true, Some(first)) = (wide.contains(&isa), wide.first()) {
            assert_eq!(all, case.forward(*first, PLAIN), "{isa}");
        }
        let size = case.direct.output().len();
        for (number, input) in case
            .input
            .chunks_exact(case.direct.input().len())
            .enumerate()
        {
            let mut alone = vec![1f32; size];
            case.winograd.forward(
                isa,
                input,
                &case.transformed(isa),
                &case.start,
                PLAIN,
                &mut Scratch::default(),
                &mut alone,
            );
            assert_eq!(alone, all[number * size..][..size], "{isa} image {number}");
        }
    }
}

#[test]
fn transformed_weights_are_the_same_bits_on_every_instruction_set() {
    let case = Case::new([4, 4], [20, 20], 1);
    let portable = case.transformed(Isa::Portable);
    for isa in Isa::available() {
        assert_eq!(case.transformed(isa), portable, "{isa}");
    }
}

#[test]
fn one_changed_weight_changes_the_row_that_is_named() {
    let mut case = Case::new([4, 4], [36, 20], 1);
    let isa = Isa::current();
    for index in [0, 5, 9 * 35 + 4, 9 * 36 * 19 + 9 * 17 + 8] {
        let mut transformed = case.transformed(isa);
        let place = case.direct.packed_at(index);
        case.packed[place] += 1.0;
        let row = case.winograd.row_of(place);
        case.winograd
            .transform(isa, row, &case.packed, &mut transformed);
        assert_eq!(transformed, case.transformed(isa), "{index}");
    }
}

#[test]
fn an_infinity_reaches_the_outputs_around_it_as_infinity_or_nan() {
    let mut case = Case::new([8, 8], [16, 16], 1);
    let at = case.direct.input().at(0, 3, 3);
    case.input[at] = f32::INFINITY;
    let to = case.direct.output();
    let output = case.forward(Isa::current(), PLAIN);
    assert!(!output[to.at(0, 3, 3)].is_finite());
    assert!(output[to.at(0, 7, 7)].is_finite(), "another tile");
}

#[test]
fn other_kernels_strides_and_lanes_are_left_to_the_direct_kernel() {
    let full = Planes::new(16, 8, 8, 2).unwrap();
    let few = Planes::new(3, 8, 8, 1).unwrap();
    let direct = |planes, channels, kernel, stride| {
        Direct::new(planes, channels, kernel, stride, 1, 0).unwrap()
    };
    assert!(Winograd::of(direct(full, 16, 3, 1)).is_some());
    assert!(Winograd::of(direct(full, 16, 5, 1)).is_none());
    assert!(Winograd::of(direct(full, 16, 3, 2)).is_none());
    assert!(Winograd::of(direct(full, 3, 3, 1)).is_none());
    assert!(Winograd::of(direct(few, 16, 3, 1)).is_none());
    let small = Planes::new(16, 2, 2, 1).unwrap();
    assert!(Winograd::of(direct(small, 16, 3, 1)).is_none());
}

/// Gradient of the packed weights by [`Winograd::products`], some images at a time, with gradients in a layout of some
/// border.
fn weight_gradient(case: &Case, isa: Isa, border: usize, images: usize) -> Vec<f32> {
    let of = case.direct.output().with_border(border);
    let gradients = gradients(case, of);
    let mut products = vec![7f32; case.winograd.transformed_len()];
    let mut scratch = Scratch::default();
    let some = case
        .input
        .chunks(images * case.direct.input().len())
        .zip(gradients.chunks(images * of.len()));
    for (number, (input, gradients)) in some.enumerate() {
        case.winograd.products(
            isa,
            input,
            (of, gradients),
            number > 0,
            &mut scratch,
            &mut products,
        );
    }
    let mut packed = vec![0f32; case.direct.packed_len()];
    case.winograd.weight_gradient(isa, &products, &mut packed);
    packed
}

/// Gradients of the outputs of all images, in a layout; borders hold what must not be read.
fn gradients(case: &Case, of: Planes) -> Vec<f32> {
    let mut gradients = vec![f32::NAN; case.images * of.len()];
    let size = of.channels() * of.height() * of.width();
    for (number, laid) in gradients.chunks_exact_mut(of.len()).enumerate() {
        for block in 0..of.blocks() {
            for y in 0..of.height() {
                laid[of.at(block, y, 0)..][..of.width() * BLOCK].fill(0.0);
            }
        }
        of.fill(&noise(size, 40 + number as u32), laid);
    }
    gradients
}

#[test]
fn gradients_of_weights_are_those_of_exact_sums_for_every_side_and_channel_count() {
    for (sides, channels, images) in [
        ([32, 32], [16, 16], 2),
        ([16, 16], [32, 32], 3),
        ([8, 8], [64, 64], 8),
        ([7, 5], [20, 40], 5),
        ([3, 13], [48, 17], 3),
        ([14, 9], [16, 32], 9),
    ] {
        let case = Case::new(sides, channels, images);
        let (from, to) = (case.direct.input(), case.direct.output());
        let of = to.with_border(1);
        let gradients = gradients(&case, of);
        let mut exact = vec![0f64; case.direct.packed_len()];
        for (image, g) in case
            .input
            .chunks_exact(from.len())
            .zip(gradients.chunks_exact(of.len()))
        {
            for index in 0..channels[0] * channels[1] * 9 {
                let (c, r) = (index % 3, index / 3 % 3);
                let (i, o) = (index / 9 % channels[0], index / 9 / channels[0]);
                let ((ib, il), (ob, ol)) = (from.place(i), of.place(o));
                let sum = &mut exact[case.direct.packed_at(index)];
                for y in 0..to.height() {
                    for x in 0..to.width() {
                        // the border of the input is its padding
                        let pixel = from.at(ib, 0, 0) - from.row() - BLOCK;
                        let pixel = pixel + (y + r) * from.row() + (x + c) * BLOCK + il;
                        let gradient = g[of.at(ob, y, x) + ol];
                        *sum += f64::from(image[pixel]) * f64::from(gradient);
                    }
                }
            }
        }
        let largest = exact.iter().fold(0f64, |most, value| most.max(value.abs()));
        for isa in Isa::available() {
            let all = weight_gradient(&case, isa, 1, images);
            for (value, exact) in all.iter().zip(&exact) {
                let error = (f64::from(*value) - exact).abs();
                assert!(
                    error <= 2e-5 * largest,
                    "{sides:?} {channels:?} {isa}: {error} of {largest}"
                );
            }
        }
    }
}

#[test]
fn bits_of_gradients_depend_neither_on_the_width_of_vectors_nor_on_the_border() {
    let case = Case::new([12, 9], [32, 32], 7);
    for isa in Isa::available() {
        let one = weight_gradient(&case, isa, 1, 3);
        assert_eq!(one, weight_gradient(&case, isa, 0, 3), "{isa}");
        if isa != Isa::Portable {
            assert_eq!(one, weight_gradient(&case, Isa::Avx2, 2, 3), "{isa}");
        }
    }
}
