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
    let numbers = plan_images(&[model], 16, 8.0, half_width).images.remove(0);
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
fn images_go_where_answers_vary_and_every_stratum_has_one() {
    let sizes = vec![100, 100, 800, 1];
    let components = |within: [f64; 4]| StratifiedComponents {
        shown: 3e-3,
        of_images: 2e-3,
        strata: [0.1, 0.1, 0.8, 0.001].into_iter().zip(within).collect(),
    };
    let designs = vec![components([0.2, 0.01, 0.0, 0.0])];
    let mut allocation = Allocation::least(&sizes, &designs, LEAST_IMAGES);
    assert_eq!(allocation.numbers(), [1, 1, 1, 1]);
    assert_eq!(even_images(std::slice::from_ref(&sizes), 0), [[2, 2, 2, 1]]);
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
    let plan = plan_images(&models, 16, 8.0, 0.005).images;
    let images: Vec<u64> = plan.iter().map(|own| own.iter().sum()).collect();
    assert!(
        images[0] == images[1] && images[0].is_multiple_of(8),
        "{images:?}"
    );
    // dear chips take more images
    let dear = plan_images(&models, 16, 1e9, 0.005).images;
    assert!(
        dear.iter().all(|own| own.iter().sum::<u64>() > 900),
        "{dear:?}"
    );
}

/// Two networks on the same chips and images: what makes a chip bad makes it bad for both, each has hard images of its
/// own and strata by them, and the second is hurt less.
fn paired(severity: f64, spread: f64) -> [Population; 2] {
    let mut stream = Seed(7).stream(Purpose::Test, &[]);
    let severities: Vec<f64> = (0..400)
        .map(|_| severity * (spread * stream.normal()).exp())
        .collect();
    let common: Vec<f64> = (0..500).map(|_| stream.uniform()).collect();
    [1.0, 0.4].map(|factor| {
        let difficulty: Vec<f64> = common
            .iter()
            .map(|common| (0.7 * common + 0.3 * stream.uniform()).powi(3))
            .collect();
        let mut order: Vec<usize> = (0..500).collect();
        order.sort_by(|a, b| difficulty[*b].total_cmp(&difficulty[*a]));
        let chip = |severity: &f64| {
            let right = |own: &f64| !stream.chance((factor * severity * own).min(1.0));
            difficulty.iter().map(right).collect()
        };
        let chips = severities.iter().map(chip).collect();
        let ends = [0, 15, 30, 60, 120, 250, 500];
        let strata = ends.windows(2).map(|ends| order[ends[0]..ends[1]].to_vec());
        Population {
            chips,
            strata: strata.collect(),
        }
    })
}

/// One more chip as both networks show it: strata take their images from one order.
fn draw_both(
    both: &[Population; 2],
    numbers: &[Vec<u64>],
    stream: &mut Stream,
    shown: &mut [Vec<Vec<Stratum>>; 2],
) {
    let chip = stream.below(both[0].chips.len() as u64) as usize;
    let mut places: Vec<usize> = (0..both[0].chips[0].len()).collect();
    stream.shuffle(&mut places);
    for (model, own) in both.iter().enumerate() {
        let view = |(stratum, number): (&Vec<usize>, &u64)| {
            let mut images = stratum.clone();
            images.sort_by_key(|image| places[*image]);
            seen(&own.chips[chip], stratum.len(), &images[..*number as usize])
        };
        let strata = own.strata.iter().zip(&numbers[model]);
        shown[model].push(strata.map(view).collect());
    }
}

#[test]
fn intervals_of_differences_hold_the_truth_as_often_as_they_say_and_their_variance_is_right() {
    for (severity, spread) in [(0.1, 0.5), (0.1, 0.8), (0.01, 0.8)] {
        let both = paired(severity, spread);
        let truth = both[0].mean() - both[1].mean();
        let sizes = both.each_ref().map(Population::sizes);
        let pilot = even_images(&sizes, 64);
        let (repeats, half_width) = (1000, 0.006);
        let (mut held, mut squares, mut variances) = (0, 0.0, 0.0);
        for repeat in 0..repeats {
            let mut stream = Seed(11).stream(Purpose::Test, &[repeat]);
            let mut shown = [Vec::new(), Vec::new()];
            for _ in 0..16 {
                draw_both(&both, &pilot, &mut stream, &mut shown);
            }
            let models = [0, 1].map(|model| StratifiedModel {
                sizes: sizes[model].clone(),
                designs: vec![StratifiedComponents::of(&shown[model]).unwrap()],
            });
            let numbers = plan_images(&models, 16, 8.0, half_width).images;
            let mut found = shown.each_ref().map(|own| Difference::of_strata(own));
            while let Some(more) = Difference::more_chips(&found.map(Option::unwrap), half_width) {
                while shown[0].len() < more as usize {
                    draw_both(&both, &numbers, &mut stream, &mut shown);
                }
                found = shown.each_ref().map(|own| Difference::of_strata(own));
            }
            let [own, other] = shown.each_ref().map(|own| accuracies(own));
            let differences: Vec<f64> = own.iter().zip(&other).map(|(a, b)| a - b).collect();
            let cautions = shown.each_ref().map(|own| Caution::of(own).unwrap());
            let found = Difference::cautious(&differences, cautions[0].plus(cautions[1])).unwrap();
            let error = found.mean - truth;
            held += u64::from((error + found.shift).abs() <= found.half_width().unwrap());
            squares += error * error;
            variances += found.deviation.powi(2) / found.chips as f64;
        }
        let coverage = held as f64 / repeats as f64;
        let case = format!("{severity} {spread}: {coverage}, variance {squares} of {variances}");
        assert!(coverage >= 0.94, "{case}");
        // a standard error of the mean of the squares is 4 or 5 %
        assert!(squares < 1.15 * variances, "{case}");
    }
}

#[test]
fn a_variance_between_chips_counts_as_the_mean_of_what_the_pilot_leaves_possible() {
    let expected = |shown: f64, of_images: f64| {
        let own = StratifiedComponents {
            shown,
            of_images,
            strata: Vec::new(),
        };
        own.expected_chips(16)
    };
    // by sums over the density: T^(-8.5) e^(-7.5 shown / T) above the variance of the choice of images
    let summed = |shown: f64, of_images: f64| {
        let (mut all, mut first) = (0.0, 0.0);
        for step in 0..200_000 {
            let total = of_images + (f64::from(step) + 0.5) * 1e-3;
            let density = (-8.5 * total.ln() - 7.5 * shown / total).exp();
            all += density;
            first += density * (total - of_images);
        }
        first / all
    };
    for (shown, of_images) in [(3.0, 1.0), (1.0, 1.0), (0.5, 1.0), (0.0, 1.0)] {
        let (found, wanted) = (expected(shown, of_images), summed(shown, of_images));
        assert!(
            (found / wanted - 1.0).abs() < 2e-3,
            "{shown}: {found} {wanted}"
        );
    }
    assert!((expected(2.0, 0.0) - 2.0 * 15.0 / 13.0).abs() < 1e-12);
    assert_eq!(expected(0.0, 0.0), 0.0);
}
