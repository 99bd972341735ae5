//! The stratified estimator against whole populations: every possible sample of a small one, many of a large one.

use super::*;
use crate::seed::{Purpose, Seed, Stream};

/// Right or wrong of every chip on every image, and the strata of the images.
struct Population {
    chips: Vec<Vec<bool>>,
    strata: Vec<Vec<usize>>,
}

impl Population {
    /// Chips of random severity on images of random difficulty, of which the strata tell something; `spread` is the
    /// deviation of the logarithm of the severity.
    fn simulated(severity: f64, spread: f64) -> Self {
        let mut stream = Seed(3).stream(Purpose::Test, &[]);
        let mut difficulty: Vec<f64> = (0..500).map(|_| stream.uniform().powi(3)).collect();
        difficulty.sort_by(|a, b| b.total_cmp(a));
        let chip = |stream: &mut Stream| {
            let severity = severity * (spread * stream.normal()).exp();
            let right = |fraction: &f64| !stream.chance((severity * fraction).min(1.0));
            difficulty.iter().map(right).collect()
        };
        let chips = (0..400).map(|_| chip(&mut stream)).collect();
        let ends = [0, 15, 30, 60, 120, 250, 500];
        let strata = ends.windows(2).map(|ends| (ends[0]..ends[1]).collect());
        Self {
            chips,
            strata: strata.collect(),
        }
    }

    fn sizes(&self) -> Vec<u64> {
        self.strata.iter().map(|own| own.len() as u64).collect()
    }

    fn mean(&self) -> f64 {
        let fraction = |chip: &Vec<bool>| chip.iter().filter(|right| **right).count() as f64;
        let fractions: Vec<f64> = self.chips.iter().map(fraction).collect();
        mean(&fractions).unwrap() / self.chips[0].len() as f64
    }

    fn draw(&self, numbers: &[u64], stream: &mut Stream) -> Vec<Stratum> {
        let chip = &self.chips[stream.below(self.chips.len() as u64) as usize];
        let mut of_strata = Vec::new();
        for (stratum, number) in self.strata.iter().zip(numbers) {
            let mut places = stratum.clone();
            stream.shuffle(&mut places);
            of_strata.push(seen(chip, stratum.len(), &places[..*number as usize]));
        }
        of_strata
    }
}

fn seen(chip: &[bool], all: usize, places: &[usize]) -> Stratum {
    Stratum {
        all: all as u64,
        images: places.len() as u64,
        correct: places.iter().filter(|place| chip[**place]).count() as u64,
    }
}

#[test]
fn over_all_possible_samples_the_estimate_is_the_truth_and_its_variance_is_as_predicted() {
    let chips = [
        [true, false, true, true, true, false, true],
        [false, false, false, true, true, true, true],
        [true, true, true, true, false, true, true],
    ];
    // two of the first three images, two of the last four
    let pairs = |from: usize, to: usize| {
        (from..to)
            .flat_map(move |a| (from..a).map(move |b| [a, b]))
            .collect::<Vec<_>>()
    };
    let mut views = Vec::new();
    for chip in &chips {
        for first in pairs(0, 3) {
            for second in pairs(3, 7) {
                views.push([seen(chip, 3, &first), seen(chip, 4, &second)]);
            }
        }
    }
    let truth = 15.0 / 21.0;
    let estimates: Vec<f64> = views.iter().map(|view| accuracy(view)).collect();
    assert!((mean(&estimates).unwrap() - truth).abs() < 1e-12);
    // of two chips drawn with replacement
    let (mut squares, mut chips_part, mut images_part, mut cautious) = (0.0, 0.0, 0.0, 0.0);
    let pairs_of_views = (views.len() * views.len()) as f64;
    for a in &views {
        for b in &views {
            let found = Difference::of_strata(&[a, b]).unwrap();
            squares += (found.mean - truth).powi(2) / pairs_of_views;
            cautious += found.deviation.powi(2) / 2.0 / pairs_of_views;
            let own = StratifiedComponents::of(&[a, b]).unwrap();
            let between = [accuracy(a), accuracy(b)];
            chips_part += standard_deviation(&between).unwrap().powi(2) / 2.0 / pairs_of_views;
            images_part += own.strata[0].1 / pairs_of_views;
        }
    }
    assert!(
        (squares - chips_part).abs() < 1e-12,
        "{squares} {chips_part}"
    );
    assert!(cautious > squares, "{cautious} {squares}");
    // variances of the first three images: 1/3, 0, 0
    assert!((images_part - 1.0 / 9.0).abs() < 1e-12, "{images_part}");
}

/// Pilot, plan, chips until the half-width is reached.
fn sampled(population: &Population, half_width: f64, stream: &mut Stream) -> (Difference, u64) {
    let sizes = population.sizes();
    let pilot = even_images(std::slice::from_ref(&sizes), 64).remove(0);
    let mut chips: Vec<Vec<Stratum>> = (0..16).map(|_| population.draw(&pilot, stream)).collect();
    let model = StratifiedModel {
        sizes,
        designs: vec![StratifiedComponents::of(&chips).unwrap()],
    };
    let numbers = plan_images(&[model], &[pilot], 16, 8.0, half_width).remove(0);
    loop {
        let found = Difference::of_strata(&chips).unwrap();
        match Difference::more_chips(&[found], half_width) {
            None => {
                let images = chips.iter().flatten().map(|stratum| stratum.images).sum();
                return (found, images);
            }
            Some(more) => chips.resize_with(more as usize, || population.draw(&numbers, stream)),
        }
    }
}

#[test]
fn the_interval_holds_the_truth_as_often_as_it_says_also_of_skewed_chips_and_rare_changes() {
    for (severity, spread) in [(0.1, 0.5), (0.1, 0.8), (0.02, 0.0), (0.01, 0.8)] {
        let population = Population::simulated(severity, spread);
        let (truth, half_width, repeats) = (population.mean(), 0.006, 1500);
        let (mut held, mut means) = (0, Vec::new());
        for repeat in 0..repeats {
            let mut stream = Seed(5).stream(Purpose::Test, &[repeat]);
            let (found, _) = sampled(&population, half_width, &mut stream);
            let half = found.half_width().unwrap();
            assert!(half <= half_width);
            held += u64::from((found.mean + found.shift - truth).abs() <= half);
            means.push(found.mean);
        }
        let coverage = held as f64 / repeats as f64;
        assert!(coverage >= 0.94, "{severity} {spread}: {coverage}");
        let bias = mean(&means).unwrap() - truth;
        let error = standard_deviation(&means).unwrap() / (repeats as f64).sqrt();
        assert!(
            bias.abs() < 4.0 * error + 0.1 * half_width,
            "{severity} {spread}: {bias} {error}"
        );
    }
}

#[test]
fn images_go_where_answers_vary_and_every_stratum_has_two() {
    let sizes = vec![100, 100, 800, 1];
    let components = |within: [f64; 4]| StratifiedComponents {
        chips: 1e-4,
        strata: [0.1, 0.1, 0.8, 0.001].into_iter().zip(within).collect(),
    };
    let designs = vec![components([0.2, 0.01, 0.0, 0.0])];
    let mut allocation = Allocation::least(&sizes, &designs);
    assert_eq!(allocation.numbers(), [2, 2, 2, 1]);
    allocation.grow(60);
    let numbers = allocation.numbers();
    assert_eq!(numbers.iter().sum::<u64>(), 60);
    assert!(
        numbers[0] > 2 * numbers[1] && numbers[2] > numbers[1],
        "{numbers:?}"
    );
    allocation.grow(1001);
    assert_eq!(allocation.numbers(), sizes);
    // a plan has as many images for each model, at most all
    let model = |designs| StratifiedModel {
        sizes: sizes.clone(),
        designs,
    };
    let models = [model(designs.clone()), model(vec![components([0.2; 4])])];
    let pilot = even_images(&[sizes.clone(), sizes.clone()], 64);
    let plan = plan_images(&models, &pilot, 16, 8.0, 0.005);
    let images: Vec<u64> = plan.iter().map(|own| own.iter().sum()).collect();
    assert!(
        images[0] == images[1] && images[0].is_multiple_of(8),
        "{images:?}"
    );
    // dear chips take more images
    let dear = plan_images(&models, &pilot, 16, 1e9, 0.005);
    assert!(
        dear.iter().all(|own| own.iter().sum::<u64>() > 900),
        "{dear:?}"
    );
}
