//! Batches: chosen images, varied and normalised, as floats; which images is for the caller to choose.

use super::resample::{resample, Axis};
use super::{Augmentation, ImageSet, Normalization, Pixels};
use crate::seed::{Purpose, Seed, Stream};
use std::ops::Range;

/// How the images of an epoch are varied. An image's variation depends on seed, epoch and the
/// image's index alone, not on the batch that it is in.
#[derive(Clone, Copy, Debug)]
pub struct Augment<'a> {
    /// What may vary.
    pub spec: &'a Augmentation,
    /// Root seed.
    pub seed: Seed,
    /// Epoch, from 1.
    pub epoch: u64,
}

/// Where the window of one image lies in its padded image, and whether it is mirrored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct View {
    /// Row of the image that becomes row 0; black outside.
    top: isize,
    /// Column of the image that becomes column 0 (before mirroring).
    left: isize,
    mirrored: bool,
    /// Rows and columns that are scaled to the whole image's size instead.
    window: Option<(Range<usize>, Range<usize>)>,
}

/// Tries to find a window before the whole image is taken, as torchvision has it.
const TRIES: usize = 10;
/// Widest ratio of the sides of a window.
const RATIO: f64 = 4.0 / 3.0;

/// Rows and columns of a window of at least that share of the area.
fn window(
    stream: &mut Stream,
    fraction: f64,
    height: usize,
    width: usize,
) -> (Range<usize>, Range<usize>) {
    for _ in 0..TRIES {
        let area = (height * width) as f64 * (fraction + (1.0 - fraction) * stream.uniform());
        let ratio = (RATIO.ln() * (2.0 * stream.uniform() - 1.0)).exp();
        let (rows, columns) = (
            (area / ratio).sqrt().round() as usize,
            (area * ratio).sqrt().round() as usize,
        );
        if (1..=height).contains(&rows) && (1..=width).contains(&columns) {
            let top = stream.below((height - rows + 1) as u64) as usize;
            let left = stream.below((width - columns + 1) as u64) as usize;
            return (top..top + rows, left..left + columns);
        }
    }
    (0..height, 0..width)
}

impl Augment<'_> {
    fn view(&self, image: u32, height: usize, width: usize) -> View {
        let mut stream = self
            .seed
            .stream(Purpose::Augmentation, &[self.epoch, u64::from(image)]);
        let padding = self.spec.crop_padding as isize;
        let mut shift = || stream.below(2 * padding as u64 + 1) as isize - padding;
        let (top, left) = if padding > 0 {
            (shift(), shift())
        } else {
            (0, 0)
        };
        let window = self
            .spec
            .random_resized_crop
            .map(|fraction| window(&mut stream, fraction, height, width));
        View {
            top,
            left,
            mirrored: self.spec.flip && stream.chance(0.5),
            window,
        }
    }
}

impl ImageSet {
    /// The images of these indices as `(p/255 - mean)/std`, NCHW, in the order of the indices; floats as they are, without
    /// normalisation and augmentation.
    ///
    /// With `augment`, the raw image gets a black border, is cut back to its size at random, and is mirrored
    /// with probability one half, as its settings say; the border is black before normalisation. Or a window of it
    /// is scaled to its size.
    ///
    /// # Panics
    /// Where an index is not below [`Self::len`], or `normalization` is for fewer channels
    /// ([`Normalization::check`]).
    pub fn batch(
        &self,
        indices: &[u32],
        normalization: &Normalization,
        augment: Option<Augment<'_>>,
    ) -> Vec<f32> {
        if let Pixels::Floats(floats) = &self.pixels {
            return self.gathered(floats, indices);
        }
        let tables = normalization.tables(self.channels);
        let augment = augment.filter(|augment| !augment.spec.is_none());
        let plane = self.height * self.width;
        let mut batch = Vec::with_capacity(indices.len() * self.image_size());
        let mut scaled = vec![0; plane];
        for &index in indices {
            let view = augment
                .map(|augment| augment.view(index, self.height, self.width))
                .unwrap_or_default();
            let image = self.image(index as usize);
            if let Some((rows, columns)) = &view.window {
                let down = Axis::new(rows.clone(), self.height, 0..self.height);
                let across = Axis::new(columns.clone(), self.width, 0..self.width);
                let view = View {
                    window: None,
                    ..view
                };
                for (pixels, table) in image.chunks_exact(plane).zip(&tables) {
                    resample(pixels, self.width, &down, &across, &mut scaled);
                    self.push_plane(&mut batch, &scaled, table, &view);
                }
                continue;
            }
            for (pixels, table) in image.chunks_exact(plane).zip(&tables) {
                self.push_plane(&mut batch, pixels, table, &view);
            }
        }
        batch
    }

    /// Labels of these indices.
    ///
    /// # Panics
    /// Where an index is not below [`Self::len`], or the set has none ([`Self::has_labels`]).
    pub fn labels(&self, indices: &[u32]) -> Vec<u32> {
        indices
            .iter()
            .map(|&index| u32::from(self.labels[index as usize]))
            .collect()
    }

    /// Row by row: black, a run of the image, black.
    fn push_plane(&self, batch: &mut Vec<f32>, pixels: &[u8], table: &[f32; 256], view: &View) {
        let value = |pixel: &u8| table[usize::from(*pixel)];
        if *view == View::default() {
            batch.extend(pixels.iter().map(value));
            return;
        }
        let (height, width) = (self.height as isize, self.width as isize);
        // columns of the image inside the window, and how many of the window lie before and after them
        let run = view.left.clamp(0, width)..(view.left + width).clamp(0, width);
        let (before, after) = ((-view.left).clamp(0, width), view.left.clamp(0, width));
        let (before, after) = if view.mirrored {
            (after, before)
        } else {
            (before, after)
        };
        let black = |count: isize| std::iter::repeat_n(table[0], count as usize);
        for row in view.top..view.top + height {
            if !(0..height).contains(&row) {
                batch.extend(black(width));
                continue;
            }
            let start = row * width;
            let run = &pixels[(start + run.start) as usize..(start + run.end) as usize];
            batch.extend(black(before));
            if view.mirrored {
                batch.extend(run.iter().rev().map(value));
            } else {
                batch.extend(run.iter().map(value));
            }
            batch.extend(black(after));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::images::tests::counting;
    use super::*;

    /// Normalisation under which a value times 255 is the pixel.
    fn plain(channels: usize) -> Normalization {
        Normalization {
            mean: vec![0.0; channels],
            std: vec![1.0; channels],
        }
    }

    fn pixels(batch: &[f32]) -> Vec<u8> {
        batch
            .iter()
            .map(|value| (value * 255.0).round() as u8)
            .collect()
    }

    #[test]
    fn a_batch_without_augmentation_is_the_images_normalised() {
        let set = counting(5, 2, 3);
        assert_eq!(
            pixels(&set.batch(&[3, 0], &plain(2), None)),
            [set.image(3), set.image(0)].concat()
        );
        let normalization = Normalization {
            mean: vec![0.5, 0.25],
            std: vec![0.5, 0.1],
        };
        let batch = set.batch(&[1], &normalization, None);
        assert_eq!(batch[4], (f32::from(set.image(1)[4]) / 255.0 - 0.5) / 0.5);
        assert_eq!(
            batch[9 + 4],
            (f32::from(set.image(1)[9 + 4]) / 255.0 - 0.25) / 0.1
        );
        assert_eq!(set.labels(&[3, 0, 4]), [0, 0, 1]);
    }

    #[test]
    fn an_image_is_varied_alike_in_every_batch_and_anew_in_every_epoch() {
        let set = counting(40, 1, 8);
        let spec = Augmentation {
            flip: true,
            crop_padding: 2,
            ..Augmentation::default()
        };
        let batch = |indices: &[u32], seed, epoch| {
            set.batch(
                indices,
                &plain(1),
                Some(Augment {
                    spec: &spec,
                    seed: Seed(seed),
                    epoch,
                }),
            )
        };
        let all: Vec<u32> = (0..40).collect();
        let first = batch(&all, 1, 1);
        assert_eq!(first[17 * 64..18 * 64], batch(&[3, 17], 1, 1)[64..]);
        assert_ne!(first, batch(&all, 1, 2));
        assert_ne!(first, batch(&all, 2, 1));
    }

    #[test]
    fn crops_are_windows_of_the_black_padded_image_and_reach_every_offset() {
        let mut set = counting(400, 1, 4);
        set.pixels = (1..=16).collect::<Vec<u8>>().repeat(400).into();
        let spec = Augmentation {
            crop_padding: 1,
            ..Augmentation::default()
        };
        let augment = Augment {
            spec: &spec,
            seed: Seed(1),
            epoch: 1,
        };
        let normalization = Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        };
        let all: Vec<u32> = (0..400).collect();
        let batch = set.batch(&all, &normalization, Some(augment));
        let mut seen = std::collections::BTreeMap::new();
        for image in batch.chunks_exact(16) {
            let image: Vec<i32> = image
                .iter()
                .map(|v| ((v * 0.5 + 0.5) * 255.0).round() as i32)
                .collect();
            let window = (-1..=1)
                .flat_map(|top| (-1..=1).map(move |left| (top, left)))
                .find(|(top, left)| {
                    (0..16).all(|place| {
                        let (row, column) = (place / 4 + top, place % 4 + left);
                        let inside = (0..4).contains(&row) && (0..4).contains(&column);
                        image[place as usize] == if inside { row * 4 + column + 1 } else { 0 }
                    })
                });
            *seen
                .entry(window.expect("a window of the padded image"))
                .or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 9);
        // 400 / 9 = 44 each, standard deviation 6.3
        assert!(
            seen.values().all(|count| (19..70).contains(count)),
            "{seen:?}"
        );
    }

    #[test]
    fn windows_have_the_wanted_share_and_ratio_and_reach_every_side() {
        let mut stream = Seed(4).stream(Purpose::Test, &[]);
        let (mut fractions, mut whole) = (Vec::new(), 0);
        let mut sides = [0; 4];
        for _ in 0..4000 {
            let (rows, columns) = window(&mut stream, 0.25, 60, 60);
            assert!(rows.end <= 60 && columns.end <= 60);
            let fraction = (rows.len() * columns.len()) as f64 / 3600.0;
            let ratio = columns.len() as f64 / rows.len() as f64;
            assert!(
                (0.24..=1.0).contains(&fraction) && (0.72..1.38).contains(&ratio),
                "{rows:?} {columns:?}"
            );
            whole += usize::from((rows.len(), columns.len()) == (60, 60));
            let at_side = [
                rows.start == 0,
                rows.end == 60,
                columns.start == 0,
                columns.end == 60,
            ];
            sides
                .iter_mut()
                .zip(at_side)
                .for_each(|(side, at)| *side += usize::from(at));
            fractions.push(fraction);
        }
        // uniform in [0.25, 1] less the windows that do not fit, which are drawn anew: a little below 0.625
        let mean = fractions.iter().sum::<f64>() / 4000.0;
        let variance = fractions
            .iter()
            .map(|fraction| (fraction - mean).powi(2))
            .sum::<f64>()
            / 4000.0;
        assert!(
            (0.54..0.63).contains(&mean) && (0.02..0.05).contains(&variance),
            "{mean} {variance}"
        );
        assert!(
            whole < 100 && sides.iter().all(|side| *side > 100),
            "{whole} {sides:?}"
        );
        assert_eq!(window(&mut stream, 1.0, 4, 4), (0..4, 0..4));
    }

    #[test]
    fn a_window_is_scaled_to_the_size_of_the_image() {
        let mut set = counting(50, 2, 16);
        // a slope from left to right in one plane, from top to bottom in the other
        let slope = (0..256)
            .map(|i| (i % 16 * 10) as u8)
            .chain((0..256).map(|i| (i / 16 * 10) as u8));
        set.pixels = slope.collect::<Vec<u8>>().repeat(50).into();
        let spec = Augmentation {
            random_resized_crop: Some(0.1),
            ..Augmentation::default()
        };
        let augment = Augment {
            spec: &spec,
            seed: Seed(1),
            epoch: 1,
        };
        for index in 0..50 {
            let image = pixels(&set.batch(&[index], &plain(2), Some(augment)));
            let (rows, columns) = augment.view(index, 16, 16).window.unwrap();
            let near =
                |pixel: u8, source: usize| (i32::from(pixel) - 10 * source as i32).abs() <= 5;
            assert!(
                near(image[0], columns.start) && near(image[15], columns.end - 1),
                "{columns:?}"
            );
            assert!(
                near(image[256], rows.start) && near(image[511], rows.end - 1),
                "{rows:?}"
            );
            assert!(image[..16].windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }

    #[test]
    fn half_of_the_images_are_mirrored() {
        let set = counting(1000, 3, 2);
        let spec = Augmentation {
            flip: true,
            ..Augmentation::default()
        };
        let augment = Augment {
            spec: &spec,
            seed: Seed(1),
            epoch: 1,
        };
        let mut mirrored = 0;
        for index in 0..1000 {
            let image = set.image(index as usize);
            let varied = pixels(&set.batch(&[index], &plain(3), Some(augment)));
            let mirror: Vec<u8> = image.chunks(2).flat_map(|row| [row[1], row[0]]).collect();
            if varied == mirror {
                mirrored += 1;
            } else {
                assert_eq!(varied, image);
            }
        }
        assert!((440..560).contains(&mirrored), "{mirrored}");
    }

    /// What [`ImageSet::push_plane`] is, pixel by pixel.
    fn plain_plane(set: &ImageSet, pixels: &[u8], table: &[f32; 256], view: &View) -> Vec<f32> {
        let (height, width) = (set.height as isize, set.width as isize);
        let mut plane = Vec::new();
        for row in view.top..view.top + height {
            for step in 0..width {
                let column = view.left
                    + if view.mirrored {
                        width - 1 - step
                    } else {
                        step
                    };
                let inside = (0..height).contains(&row) && (0..width).contains(&column);
                let pixel = if inside {
                    pixels[(row * width + column) as usize]
                } else {
                    0
                };
                plane.push(table[usize::from(pixel)]);
            }
        }
        plane
    }

    #[test]
    fn rows_copied_at_once_are_the_pixels_one_by_one() {
        let mut set = counting(1, 1, 5);
        // wider than high; shifts up to and beyond the whole image
        (set.height, set.width) = (3, 6);
        set.pixels = (1..=18).collect::<Vec<u8>>().into();
        let normalization = Normalization {
            mean: vec![0.3],
            std: vec![0.7],
        };
        let table = normalization.tables(1)[0];
        for mirrored in [false, true] {
            for top in -4..=4 {
                for left in -8..=8 {
                    let view = View {
                        top,
                        left,
                        mirrored,
                        window: None,
                    };
                    let mut plane = Vec::new();
                    set.push_plane(&mut plane, set.pixels.bytes(), &table, &view);
                    assert_eq!(
                        plane,
                        plain_plane(&set, set.pixels.bytes(), &table, &view),
                        "{view:?}"
                    );
                }
            }
        }
    }
}
