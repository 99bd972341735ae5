//! Scaling of image planes with a triangle filter over the source pixels, as PIL's bilinear filter does it.

use std::ops::Range;

/// Weights of the source pixels of each result along one side.
#[derive(Debug)]
pub(super) struct Axis {
    /// First source pixel and the weights from there on, which add to 1.
    taps: Vec<(usize, Vec<f32>)>,
}

impl Axis {
    /// A side of which the pixels in `from`, at least one, become `size` pixels, of which those in `kept` are wanted.
    /// As many pixels as there are is a copy.
    ///
    /// The filter is as wide as a result pixel or a source pixel, whichever is more, and is cut at the ends of `from`.
    pub(super) fn new(from: Range<usize>, size: usize, kept: Range<usize>) -> Self {
        let scale = from.len() as f64 / size as f64;
        let support = scale.max(1.0);
        let taps = kept.map(|at| {
            let centre = from.start as f64 + (at as f64 + 0.5) * scale;
            let inside = |x: f64| ((x + 0.5).floor().max(0.0) as usize).clamp(from.start, from.end);
            let first = inside(centre - support).min(from.end - 1);
            let end = inside(centre + support).max(first + 1);
            let weight =
                |pixel: usize| (1.0 - ((pixel as f64 + 0.5 - centre) / support).abs()).max(0.0);
            let sum: f64 = (first..end).map(weight).sum();
            let weights =
                (first..end).map(|pixel| if sum > 0.0 { weight(pixel) / sum } else { 1.0 });
            (first, weights.map(|weight| weight as f32).collect())
        });
        Self {
            taps: taps.collect(),
        }
    }

    fn sources(&self) -> Range<usize> {
        let first = self.taps.iter().map(|(first, _)| *first).min().unwrap_or(0);
        let end = self
            .taps
            .iter()
            .map(|(first, weights)| first + weights.len())
            .max()
            .unwrap_or(0);
        first..end
    }
}

/// Scales one plane, `width` pixels a row, into `target`, [rows of `down`, columns of `across`].
///
/// # Panics
/// Where the plane has fewer pixels than the axes read.
pub(super) fn resample(plane: &[u8], width: usize, down: &Axis, across: &Axis, target: &mut [u8]) {
    let (rows, columns) = (down.sources(), across.taps.len());
    let mut scaled = Vec::with_capacity(rows.len() * columns);
    for row in rows.clone() {
        let row = &plane[row * width..(row + 1) * width];
        scaled.extend(across.taps.iter().map(|(first, weights)| {
            weights
                .iter()
                .zip(&row[*first..])
                .map(|(weight, pixel)| weight * f32::from(*pixel))
                .sum::<f32>()
        }));
    }
    let mut sums = vec![0f32; columns];
    for (target, (first, weights)) in target.chunks_exact_mut(columns).zip(&down.taps) {
        sums.fill(0.0);
        for (weight, row) in weights
            .iter()
            .zip(scaled[(first - rows.start) * columns..].chunks_exact(columns))
        {
            sums.iter_mut()
                .zip(row)
                .for_each(|(sum, value)| *sum += weight * value);
        }
        target
            .iter_mut()
            .zip(&sums)
            .for_each(|(target, sum)| *target = sum.round().clamp(0.0, 255.0) as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(plane: &[u8], height: usize, width: usize, to: (usize, usize)) -> Vec<u8> {
        let down = Axis::new(0..height, to.0, 0..to.0);
        let across = Axis::new(0..width, to.1, 0..to.1);
        let mut target = vec![0; to.0 * to.1];
        resample(plane, width, &down, &across, &mut target);
        target
    }

    #[test]
    fn the_same_size_is_a_copy() {
        let plane: Vec<u8> = (0..35).map(|i| (i * 73 % 256) as u8).collect();
        assert_eq!(scaled(&plane, 5, 7, (5, 7)), plane);
    }

    #[test]
    fn flat_planes_stay_flat_whatever_the_size() {
        for to in [(1, 1), (3, 9), (20, 2), (64, 64)] {
            assert!(
                scaled(&[173; 7 * 11], 7, 11, to)
                    .iter()
                    .all(|pixel| *pixel == 173),
                "{to:?}"
            );
        }
    }

    /// Numbers of PIL 13: `Image.fromarray(...).resize(..., Image.BILINEAR)`, which rounds to bytes between the sides.
    #[test]
    fn examples_are_those_of_pil_within_its_rounding() {
        let near = |ours: &[u8], pil: &[u8]| {
            let close = ours.iter().zip(pil).all(|(a, b)| a.abs_diff(*b) <= 1);
            assert!(ours.len() == pil.len() && close, "{ours:?} {pil:?}");
        };
        assert_eq!(scaled(&[0, 100, 200, 50], 1, 4, (1, 2)), [71, 121]);
        assert_eq!(scaled(&[0, 100], 1, 2, (1, 4)), [0, 25, 75, 100]);
        let nine = [10, 20, 30, 40, 50, 60, 70, 80, 90];
        near(&scaled(&nine, 3, 3, (2, 2)), &[25, 37, 63, 75]);
        let larger = [
            10, 14, 20, 26, 30, 29, 33, 39, 45, 49, 51, 55, 61, 67, 71, 70, 74, 80, 86, 90,
        ];
        near(&scaled(&nine, 3, 3, (4, 5)), &larger);
        let plane: Vec<u8> = (0..63).map(|i| (i * 73 % 256) as u8).collect();
        near(
            &scaled(&plane, 7, 9, (3, 4)),
            &[108, 140, 151, 150, 145, 143, 135, 149, 134, 142, 144, 124],
        );
    }

    #[test]
    fn a_window_sees_nothing_outside_itself() {
        let mut plane = vec![255u8; 8 * 8];
        (2..5).for_each(|row| plane[row * 8 + 3..row * 8 + 7].fill(9));
        let (down, across) = (Axis::new(2..5, 6, 0..6), Axis::new(3..7, 2, 0..2));
        let mut target = vec![0; 12];
        resample(&plane, 8, &down, &across, &mut target);
        assert_eq!(target, [9; 12]);
    }

    #[test]
    fn a_kept_part_is_that_part_of_the_whole() {
        let plane: Vec<u8> = (0..90).map(|i| (i * 37 % 251) as u8).collect();
        let whole = scaled(&plane, 9, 10, (6, 8));
        let (down, across) = (Axis::new(0..9, 6, 1..5), Axis::new(0..10, 8, 2..6));
        let mut part = vec![0; 16];
        resample(&plane, 10, &down, &across, &mut part);
        for (row, values) in part.chunks_exact(4).enumerate() {
            assert_eq!(values, &whole[(row + 1) * 8 + 2..][..4]);
        }
    }
}
