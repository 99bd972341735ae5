//! Sums in the documented order, spare lanes, and the speed of the portable instructions.

use super::*;
use std::time::{Duration, Instant};

/// Values between -0.5 and 0.5 without a pattern.
fn noise(length: usize) -> Vec<f32> {
    let value =
        |i: usize| ((i as u32).wrapping_mul(2_654_435_761) >> 8) as f32 / (1 << 24) as f32 - 0.5;
    (1..=length).map(value).collect()
}

/// Images, weights and starting sums of a convolution; the border of the image and spare weights are zero.
fn operands(direct: &Direct) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    let planes = direct.input();
    let mut input = vec![0f32; planes.len()];
    planes.fill(
        &noise(planes.channels() * planes.height() * planes.width()),
        &mut input,
    );
    let [rows, columns] = direct.windows.kernel;
    let taps = rows * columns * planes.channels();
    let mut packed = vec![0f32; direct.packed_len()];
    direct.pack(&noise(direct.output().channels() * taps), &mut packed);
    let mut start = noise(direct.output().channels());
    start.resize(direct.start_len(), 0.0);
    (input, packed, start)
}

/// Output `o` at (`y`, `x`) by `term(w, x, sum)` in the documented order: rows, blocks, columns, lanes.
fn sum_of(direct: &Direct, [o, y, x]: [usize; 3], term: fn(f32, f32, f32) -> f32) -> f32 {
    let (input, packed, start) = operands(direct);
    let planes = direct.input();
    let Windows {
        kernel: [rows, columns],
        stride,
        dilation,
        front,
        ..
    } = direct.windows;
    let mut sum = start[o];
    for row in 0..rows {
        for block in 0..planes.blocks() {
            for column in 0..columns {
                let lanes = planes
                    .lanes()
                    .min(planes.channels() - block * planes.lanes());
                for lane in 0..lanes {
                    let channel = block * planes.lanes() + lane;
                    let kernel = o * planes.channels() + channel;
                    let weight = (kernel * rows + row) * columns + column;
                    let line = y * stride[0] + row * dilation[0] + planes.border() - front[0];
                    let pixel = x * stride[1] + column * dilation[1] + planes.border() - front[1];
                    let pixel = line * planes.row() + pixel * planes.lanes();
                    let value = input[block * planes.plane() + pixel + lane];
                    sum = term(packed[direct.packed_at(weight)], value, sum);
                }
            }
        }
    }
    sum
}

/// Channels in and out, stride: each distance of pixels, half blocks, several blocks.
const SHAPES: [(usize, usize, usize); 7] = [
    (1, 6, 1),
    (3, 8, 1),
    (3, 9, 1),
    (6, 16, 1),
    (20, 6, 1),
    (16, 20, 2),
    (1, 3, 1),
];

/// Convolutions over windows that are not square, or not of neighbouring pixels.
fn uneven() -> impl Iterator<Item = Direct> {
    let windows = |kernel, stride, front, behind| Windows {
        kernel,
        stride,
        dilation: [1, 1],
        front,
        behind,
    };
    let far = |kernel, stride, dilation| Windows {
        dilation,
        ..windows(kernel, stride, [2, 2], [2, 2])
    };
    let all = [
        (1, 20, windows([10, 4], [2, 2], [4, 1], [5, 1])),
        (16, 17, windows([1, 1], [2, 2], [0, 0], [1, 1])),
        (20, 16, windows([1, 7], [1, 1], [0, 3], [0, 3])),
        (3, 9, windows([3, 2], [3, 2], [0, 1], [1, 0])),
        (20, 16, far([3, 3], [1, 2], [2, 3])),
        (1, 6, far([2, 4], [1, 1], [1, 2])),
    ];
    all.into_iter().map(|(inputs, outputs, windows)| {
        let planes = Planes::new(inputs, 16, 23, windows.padding() + 1).unwrap();
        Direct::over(planes, outputs, windows, 2).unwrap()
    })
}

/// A convolution whose rows are one tile of few pixels.
fn narrow(width: usize) -> Direct {
    let planes = Planes::new(20, 5, 2 * width, 1).unwrap();
    Direct::over(
        planes,
        20,
        Windows {
            stride: [1, 2],
            ..Windows::square(3, 1, 1)
        },
        1,
    )
    .unwrap()
}

fn shapes() -> impl Iterator<Item = Direct> {
    let direct = |(inputs, outputs, stride)| {
        Direct::new(
            Planes::new(inputs, 7, 19, 1).unwrap(),
            outputs,
            3,
            stride,
            1,
            2,
        )
        .unwrap()
    };
    SHAPES
        .into_iter()
        .map(direct)
        .chain(uneven())
        .chain([4, 5, 7, 8].map(narrow))
        .flat_map(|direct| [direct, direct.full()])
}

#[test]
fn every_instruction_set_adds_in_the_documented_order_to_the_last_bit() {
    let twice = |w: f32, x: f32, sum: f32| w * x + sum;
    for direct in shapes() {
        let (input, packed, start) = operands(&direct);
        for isa in Isa::available() {
            let once = isa != Isa::Portable || cfg!(target_arch = "aarch64");
            let mut output = vec![0f32; direct.output().len()];
            direct.forward(
                isa,
                &input,
                &packed,
                &start,
                Store {
                    add: false,
                    relu: false,
                },
                &mut output,
            );
            let layout = direct.output();
            for (o, y, x) in [
                (0, 0, 0),
                (2, 3, 9),
                (1, 2, 1),
                (layout.channels() - 1, layout.height() - 1, 8),
            ] {
                let x = x.min(layout.width() - 1);
                let (block, lane) = layout.place(o);
                let expected = sum_of(&direct, [o, y, x], if once { f32::mul_add } else { twice });
                assert_eq!(
                    output[layout.at(block, y, x) + lane],
                    expected,
                    "{direct:?} {isa} {o} {y} {x}"
                );
            }
        }
    }
}

#[test]
fn what_a_used_buffer_held_reaches_neither_outputs_nor_spare_lanes() {
    for direct in shapes() {
        let (input, packed, start) = operands(&direct);
        let layout = direct.output();
        for isa in Isa::available() {
            let run = |before: f32, relu: bool| {
                let mut output = vec![before; layout.len()];
                direct.forward(
                    isa,
                    &input,
                    &packed,
                    &start,
                    Store { add: false, relu },
                    &mut output,
                );
                output
            };
            let (clean, used, rectified) = (run(0.0, false), run(7.0, false), run(7.0, true));
            for (block, y, x) in (0..layout.blocks()).flat_map(|b| {
                (0..layout.height()).flat_map(move |y| (0..layout.width()).map(move |x| (b, y, x)))
            }) {
                let at = layout.at(block, y, x);
                let pixel = at..at + layout.lanes();
                assert_eq!(
                    clean[pixel.clone()],
                    used[pixel.clone()],
                    "{direct:?} {isa}"
                );
                let positive: Vec<f32> = used[pixel.clone()].iter().map(|x| x.max(0.0)).collect();
                assert_eq!(rectified[pixel], positive, "{direct:?} {isa}");
            }
            assert_eq!(
                used[..layout.at(0, 0, 0)],
                vec![7.0; layout.at(0, 0, 0)],
                "the border is left alone"
            );
        }
    }
}

#[test]
fn a_residual_is_added_before_the_relu() {
    for direct in shapes() {
        let (input, packed, start) = operands(&direct);
        let residual = noise(direct.output().len());
        for isa in Isa::available() {
            let run = |add: bool, relu: bool| {
                let mut output = if add {
                    residual.clone()
                } else {
                    vec![0f32; residual.len()]
                };
                direct.forward(
                    isa,
                    &input,
                    &packed,
                    &start,
                    Store { add, relu },
                    &mut output,
                );
                output
            };
            let (plain, sum) = (run(false, false), run(true, true));
            let at = direct.output().at(0, 1, 3);
            for lane in at..at + direct.output().lanes() {
                assert_eq!(
                    sum[lane],
                    (plain[lane] + residual[lane]).max(0.0),
                    "{direct:?} {isa}"
                );
            }
        }
    }
}

#[test]
fn portable_instructions_take_no_more_than_twelve_times_as_long_as_avx2() {
    if !Isa::Avx2.is_available() {
        return;
    }
    let direct = Direct::new(Planes::new(16, 16, 16, 1).unwrap(), 16, 3, 1, 1, 0).unwrap();
    let (input, packed, start) = operands(&direct);
    let mut output = vec![0f32; direct.output().len()];
    let mut shortest = |isa: Isa| -> Duration {
        let repeats = (0..20).map(|_| {
            let begin = Instant::now();
            direct.forward(
                isa,
                &input,
                &packed,
                &start,
                Store {
                    add: false,
                    relu: true,
                },
                &mut output,
            );
            begin.elapsed()
        });
        repeats.min().unwrap()
    };
    // 3 times as long with SSE; 120 times where each fused multiply-add is a call of a function
    let (portable, avx2) = (shortest(Isa::Portable), shortest(Isa::Avx2));
    assert!(portable < 12 * avx2, "{portable:?}, with AVX2 {avx2:?}");
}
