//! The built-in data set: digits drawn by a random hand, each image a function of seed, split and number; no file.

mod canvas;
mod skeleton;

use super::{DatasetName, GlyphSpec, ImageSet, Split};
use crate::seed::{Purpose, Seed, Stream};
use canvas::{Canvas, Pen, SIDE};
use rayon::prelude::*;
use skeleton::{Point, Stroke, DIGITS};

// How hard the images are. Lengths in pixels, angles in radians; "deviation" is of a normal distribution,
// cut off at twice its value.
/// Height of a digit, from and to.
const HEIGHT: [f64; 2] = [15.0, 21.0];
/// Width to height, relative to the skeleton, from and to.
const ASPECT: [f64; 2] = [0.75, 1.25];
/// Deviation of the rotation.
const ROTATION: f64 = 0.16;
/// Deviation of the slant: columns shifted per row.
const SHEAR: f64 = 0.18;
/// Greatest shift of the middle, each axis.
const SHIFT: f64 = 2.5;
/// Deviation of each point of a skeleton, relative to the height.
const JITTER: f64 = 0.03;
/// Greatest elastic displacement of each of [`WAVES`] waves, each axis.
const ELASTIC: f64 = 0.7;
/// Waves of the elastic displacement.
const WAVES: usize = 3;
/// Wavelengths of the displacement, from and to.
const WAVELENGTH: [f64; 2] = [14.0, 40.0];
/// Radius of the pen, from and to.
const RADIUS: [f64; 2] = [0.7, 1.7];
/// Greatest relative change of the radius along a stroke.
const PRESSURE: f64 = 0.3;
/// Width of the fading edge (blur), from and to.
const SOFTNESS: [f64; 2] = [0.9, 2.4];
/// Brightness of the ink, from and to, of 1.
const INK: [f64; 2] = [0.5, 1.0];
/// Brightness of the paper, from and to.
const PAPER: [f64; 2] = [0.0, 0.15];
/// Deviation of the noise of each pixel, from and to.
const NOISE: [f64; 2] = [0.01, 0.12];
/// Probability of each of two stray strokes.
const STRAY: f64 = 0.3;
/// Length of a stray stroke, from and to.
const STRAY_LENGTH: [f64; 2] = [3.0, 9.0];
/// Probability of each of three dots.
const DOT: f64 = 0.3;
/// Probability that a stroke is rubbed out in one place.
const GAP: f64 = 0.25;
/// Radius of such a place, from and to.
const GAP_RADIUS: [f64; 2] = [0.8, 1.8];

/// Straight pieces between two points of a skeleton.
const PIECES: usize = 6;

/// Draws one half of the set, in parallel. The first images of a larger set are those of a smaller one;
/// among ten images from a multiple of ten on, every class is there once.
pub(super) fn render(spec: &GlyphSpec, split: Split) -> ImageSet {
    let count = match split {
        Split::Training => spec.training_images,
        Split::Test => spec.test_images,
    };
    let (seed, half, count) = (Seed(spec.seed), split as u64, count as usize);
    let labels: Vec<u8> = (0..count.div_ceil(DIGITS.len()))
        .flat_map(|block| ten_labels(seed, half, block as u64))
        .take(count)
        .collect();
    let mut pixels = vec![0; count * SIDE * SIDE];
    pixels
        .par_chunks_mut(SIDE * SIDE)
        .zip(&labels)
        .enumerate()
        .for_each(|(image, (pixels, &label))| {
            let mut stream = seed.stream(Purpose::Glyph, &[half, image as u64]);
            draw(label, &mut stream, pixels);
        });
    let name = DatasetName::Glyphs;
    ImageSet {
        title: name.title().into(),
        channels: 1,
        height: SIDE,
        width: SIDE,
        classes: DIGITS.len(),
        pixels: pixels.into(),
        labels: labels.into_iter().map(u16::from).collect(),
        remarks: Vec::new(),
    }
}

/// The labels of a block of ten images; their stream has one index more than that of an image.
fn ten_labels(seed: Seed, half: u64, block: u64) -> [u8; DIGITS.len()] {
    let mut labels = std::array::from_fn(|label| label as u8);
    seed.stream(Purpose::Glyph, &[half, block, DIGITS.len() as u64])
        .shuffle(&mut labels);
    labels
}

/// Draws one digit into `pixels`, 28x28.
fn draw(label: u8, stream: &mut Stream, pixels: &mut [u8]) {
    let ways = DIGITS[usize::from(label)];
    let strokes = ways[stream.below(ways.len() as u64) as usize];
    let hand = Hand::random(stream);
    let radius = within(stream, RADIUS);
    let softness = within(stream, SOFTNESS);
    let pen = Pen {
        radius,
        softness,
        strength: 1.0,
    };
    let mut canvas = Canvas::new();
    for stroke in strokes {
        let chain = hand.write(*stroke, stream);
        let (swing, phase) = (PRESSURE * stream.uniform(), stream.uniform());
        let pieces = chain.len() as f64;
        canvas.chain(&chain, |place| {
            let turn = std::f64::consts::TAU * (place as f64 / pieces + phase);
            Pen {
                radius: radius * (1.0 + swing * turn.sin()),
                ..pen
            }
        });
        if stream.chance(GAP / strokes.len() as f64) {
            let at = chain[stream.below(chain.len() as u64) as usize];
            canvas.rub_out(
                at,
                Pen {
                    radius: within(stream, GAP_RADIUS),
                    softness,
                    strength: stream.uniform(),
                },
            );
        }
    }
    clutter(&mut canvas, pen, stream);
    develop(&canvas, stream, pixels);
}

/// How one digit is written: the affine map from skeleton to pixels and the elastic displacement.
struct Hand {
    /// x and y in pixels of the skeleton's unit vectors.
    axes: [Point; 2],
    middle: Point,
    waves: [Wave; WAVES],
}

/// One wave of the displacement: `size * sin(2π (x * frequency.0 + y * frequency.1) + phase)`.
struct Wave {
    size: Point,
    frequency: Point,
    phase: f64,
}

impl Hand {
    fn random(stream: &mut Stream) -> Self {
        let height = within(stream, HEIGHT);
        let width = height * within(stream, ASPECT);
        let (sin, cos) = bounded_normal(stream, ROTATION).sin_cos();
        let slant = bounded_normal(stream, SHEAR);
        // rotation · slant · scale
        let axes = [
            (cos * width, sin * width),
            ((-cos * slant - sin) * height, (-sin * slant + cos) * height),
        ];
        let half = SIDE as f64 / 2.0;
        let middle = (
            half + stream.between(-SHIFT, SHIFT),
            half + stream.between(-SHIFT, SHIFT),
        );
        let waves = std::array::from_fn(|_| {
            let (sin, cos) = (std::f64::consts::TAU * stream.uniform()).sin_cos();
            let length = within(stream, WAVELENGTH);
            Wave {
                size: (
                    stream.between(-ELASTIC, ELASTIC),
                    stream.between(-ELASTIC, ELASTIC),
                ),
                frequency: (cos / length, sin / length),
                phase: std::f64::consts::TAU * stream.uniform(),
            }
        });
        Self {
            axes,
            middle,
            waves,
        }
    }

    /// The stroke in pixels, as a fine chain.
    fn write(&self, stroke: Stroke, stream: &mut Stream) -> Vec<Point> {
        let own = stroke.points();
        let mut points: Vec<Point> = own
            .iter()
            .map(|(x, y)| {
                (
                    x + bounded_normal(stream, JITTER),
                    y + bounded_normal(stream, JITTER),
                )
            })
            .collect();
        // a closed stroke stays closed where its ends would be moved apart
        if own.first() == own.last() {
            let last = points.len() - 1;
            points[last] = points[0];
        }
        let mut chain = stroke.chain(&points, PIECES);
        chain
            .iter_mut()
            .for_each(|point| *point = self.place(*point));
        chain
    }

    fn place(&self, (x, y): Point) -> Point {
        let [a, b] = self.axes;
        let at = (
            self.middle.0 + a.0 * x + b.0 * y,
            self.middle.1 + a.1 * x + b.1 * y,
        );
        self.waves.iter().fold(at, |moved, wave| {
            let turn = std::f64::consts::TAU * (at.0 * wave.frequency.0 + at.1 * wave.frequency.1);
            let sin = (turn + wave.phase).sin();
            (moved.0 + wave.size.0 * sin, moved.1 + wave.size.1 * sin)
        })
    }
}

/// Stray strokes and dots.
fn clutter(canvas: &mut Canvas, pen: Pen, stream: &mut Stream) {
    let side = SIDE as f64;
    for _ in 0..2 {
        if stream.chance(STRAY) {
            let start = (stream.between(0.0, side), stream.between(0.0, side));
            let (sin, cos) = (std::f64::consts::TAU * stream.uniform()).sin_cos();
            let length = within(stream, STRAY_LENGTH);
            let stray = Pen {
                radius: pen.radius * 0.7,
                strength: stream.between(0.2, 0.8),
                ..pen
            };
            canvas.chain(
                &[start, (start.0 + length * cos, start.1 + length * sin)],
                |_| stray,
            );
        }
    }
    for _ in 0..3 {
        if stream.chance(DOT) {
            let at = (stream.between(0.0, side), stream.between(0.0, side));
            let dot = Pen {
                radius: stream.between(0.4, 1.2),
                strength: stream.between(0.3, 1.0),
                ..pen
            };
            canvas.chain(&[at, at], |_| dot);
        }
    }
}

/// Ink and paper to noisy grey values.
fn develop(canvas: &Canvas, stream: &mut Stream, pixels: &mut [u8]) {
    let paper = within(stream, PAPER);
    let ink = within(stream, INK);
    let noise = within(stream, NOISE);
    for (pixel, cover) in pixels.iter_mut().zip(canvas.ink()) {
        let grey = paper + (ink - paper) * cover + noise * stream.normal();
        *pixel = (255.0 * grey.clamp(0.0, 1.0)).round() as u8;
    }
}

fn within(stream: &mut Stream, range: [f64; 2]) -> f64 {
    stream.between(range[0], range[1])
}

/// Normal with this deviation, cut off at twice its value.
fn bounded_normal(stream: &mut Stream, deviation: f64) -> f64 {
    deviation * stream.normal().clamp(-2.0, 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(training_images: u64, seed: u64) -> GlyphSpec {
        GlyphSpec {
            training_images,
            test_images: 100,
            seed,
        }
    }

    #[test]
    fn an_image_depends_on_seed_split_and_number_alone() {
        let set = render(&spec(200, 1), Split::Training);
        assert_eq!(set, render(&spec(200, 1), Split::Training));
        let smaller = render(&spec(57, 1), Split::Training);
        assert_eq!(smaller.pixels.bytes(), &set.pixels.bytes()[..57 * 784]);
        assert_eq!(smaller.labels, set.labels[..57]);
        let test = render(&spec(200, 1), Split::Test);
        assert_ne!(test.image(0), set.image(0));
        assert_ne!(
            render(&spec(200, 2), Split::Training).image(0),
            set.image(0)
        );
        let pool = |threads| {
            rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap()
        };
        for threads in [1, 3] {
            assert_eq!(
                pool(threads).install(|| render(&spec(200, 1), Split::Training)),
                set
            );
        }
    }

    #[test]
    fn classes_are_balanced_and_in_random_order() {
        let set = render(&spec(1000, 1), Split::Training);
        assert_eq!(set.class_counts(), [100; 10]);
        let repeats = set
            .labels
            .chunks(10)
            .filter(|ten| *ten == &set.labels[..10])
            .count();
        assert_eq!(repeats, 1);
        let odd = render(&spec(15, 1), Split::Training).class_counts();
        assert!(odd.iter().all(|&count| (1..=2).contains(&count)), "{odd:?}");
    }

    #[test]
    fn every_image_shows_ink_and_no_two_are_alike() {
        let set = render(&spec(500, 1), Split::Training);
        let mut images: Vec<&[u8]> = (0..500).map(|i| set.image(i)).collect();
        for image in &images {
            let bright = image.iter().filter(|&&pixel| pixel > 90).count();
            assert!((20..450).contains(&bright), "{bright} bright pixels");
        }
        images.sort_unstable();
        images.dedup();
        assert_eq!(images.len(), 500);
    }

    #[test]
    fn a_nearest_neighbour_finds_the_class_of_most_images() {
        let (known, asked) = (
            render(&spec(4000, 1), Split::Training),
            render(&spec(10, 1), Split::Test),
        );
        let distance = |a: &[u8], b: &[u8]| -> u64 {
            a.iter()
                .zip(b)
                .map(|(&x, &y)| u64::from(x.abs_diff(y)).pow(2))
                .sum()
        };
        let right = (0..asked.len())
            .filter(|&i| {
                let nearest =
                    (0..known.len()).min_by_key(|&j| distance(asked.image(i), known.image(j)));
                known.labels[nearest.unwrap()] == asked.labels[i]
            })
            .count();
        assert!((60..100).contains(&right), "{right} of {}", asked.len());
    }
}
