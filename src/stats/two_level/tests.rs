//! The two-level estimator against whole populations: every possible sample of a small one, many of a large one.

use super::*;
use crate::seed::{Purpose, Seed, Stream};

/// Differences `d` of every chip on every image.
struct Population {
    chips: Vec<Vec<i64>>,
}

impl Population {
    /// Chips of random severity on images of random difficulty, as near an accuracy cliff; on a few chips hardly
    /// anything changes. `spread` is the deviation of the logarithm of the severity.
    fn simulated(chips: usize, images: usize, spread: f64) -> Self {
        let mut stream = Seed(3).stream(Purpose::Test, &[]);
        let difficulty: Vec<f64> = (0..images).map(|_| stream.uniform().powi(3)).collect();
        let chip = |stream: &mut Stream| {
            let severity = 0.1 * (spread * stream.normal()).exp();
            let d = |fraction: &f64| {
                if !stream.chance((severity * fraction).min(1.0)) {
                    0
                } else if stream.chance(0.15) {
                    1
                } else {
                    -1
                }
            };
            difficulty.iter().map(d).collect()
        };
        Self {
            chips: (0..chips).map(|_| chip(&mut stream)).collect(),
        }
    }

    fn images(&self) -> u64 {
        self.chips[0].len() as u64
    }

    fn mean(&self) -> f64 {
        mean(&self.chip_means()).unwrap()
    }

    fn chip_means(&self) -> Vec<f64> {
        self.chips
            .iter()
            .map(|d| d.iter().sum::<i64>() as f64 / d.len() as f64)
            .collect()
    }

    /// Of chips drawn with replacement and images without.
    fn components(&self) -> Components {
        let means = self.chip_means();
        let between = |m: &f64| (m - self.mean()).powi(2) / means.len() as f64;
        let within = |(d, m): (&Vec<i64>, &f64)| {
            d.iter().map(|d| (*d as f64 - m).powi(2)).sum::<f64>()
                / (d.len() - 1) as f64
                / means.len() as f64
        };
        Components {
            chips: means.iter().map(between).sum(),
            images: self.chips.iter().zip(&means).map(within).sum(),
        }
    }

    /// A chip at random, on images at random.
    fn draw(&self, images: u64, stream: &mut Stream) -> ChipDifference {
        let d = &self.chips[stream.below(self.chips.len() as u64) as usize];
        let mut places: Vec<usize> = (0..d.len()).collect();
        for i in 0..images as usize {
            places.swap(i, i + stream.below((d.len() - i) as u64) as usize);
        }
        seen(d, &places[..images as usize])
    }
}

fn seen(d: &[i64], places: &[usize]) -> ChipDifference {
    ChipDifference {
        images: places.len() as u64,
        gain: places.iter().map(|i| d[*i]).sum(),
        changed: places.iter().map(|i| d[*i].unsigned_abs()).sum(),
    }
}

fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-12, "{a} is not {b}");
}

#[test]
fn over_all_possible_samples_the_estimate_is_the_truth_and_its_variance_is_as_predicted() {
    let chips = vec![
        vec![0, -1, 0, 1, -1],
        vec![-1, -1, -1, -1, 0],
        vec![0, 0, 1, 0, 0],
    ];
    let population = Population { chips };
    let pairs: Vec<[usize; 2]> = (0..5).flat_map(|a| (0..a).map(move |b| [a, b])).collect();
    let views = population
        .chips
        .iter()
        .flat_map(|d| pairs.iter().map(|places| seen(d, places)));
    let views: Vec<ChipDifference> = views.collect();
    let samples: Vec<[ChipDifference; 2]> = views
        .iter()
        .flat_map(|a| views.iter().map(move |b| [*a, *b]))
        .collect();
    let over_all = |f: &dyn Fn(&[ChipDifference]) -> f64| {
        mean(&samples.iter().map(|sample| f(sample)).collect::<Vec<_>>()).unwrap()
    };
    let truth = population.mean();
    near(
        over_all(&|sample| Difference::of(sample).unwrap().mean),
        truth,
    );
    let predicted = population.components().of_chip(2, 5) / 2.0;
    near(
        over_all(&|sample| (Difference::of(sample).unwrap().mean - truth).powi(2)),
        predicted,
    );
    // and so are the parts it is predicted from
    near(
        over_all(&|sample| standard_deviation(&means(sample)).unwrap().powi(2) / 2.0),
        predicted,
    );
    near(
        over_all(&|sample| Components::of(sample, 5).unwrap().images),
        population.components().images,
    );
}

#[test]
fn components_of_many_chips_are_those_of_the_population() {
    let population = Population::simulated(400, 500, 0.5);
    let mut stream = Seed(4).stream(Purpose::Test, &[]);
    let (true_ones, all) = (population.components(), population.images());
    for images in [64, 500] {
        let chips: Vec<ChipDifference> = (0..4000)
            .map(|_| population.draw(images, &mut stream))
            .collect();
        let found = Components::of(&chips, all).unwrap();
        assert!(
            (found.images / true_ones.images - 1.0).abs() < 0.05,
            "{found:?} {true_ones:?}"
        );
        assert!(
            (found.chips / true_ones.chips - 1.0).abs() < 0.2,
            "{found:?} {true_ones:?}"
        );
    }
    assert_eq!(
        Components::of(&[population.draw(64, &mut stream)], all),
        None
    );
    let single = [
        population.draw(1, &mut stream),
        population.draw(1, &mut stream),
    ];
    assert_eq!(Components::of(&single, all), None);
}

/// Pilot, split, chips until the half-width is reached.
fn sampled(population: &Population, half_width: f64, stream: &mut Stream) -> (Difference, u64) {
    let (all, pilot) = (
        population.images(),
        Split {
            images: 128,
            chips: 16,
        },
    );
    let mut chips: Vec<ChipDifference> = (0..16)
        .map(|_| population.draw(pilot.images, stream))
        .collect();
    let components = Components::of(&chips, all).unwrap();
    let split = Split::plan(&[components], pilot, 2.0, all, half_width);
    loop {
        let found = Difference::of(&chips).unwrap();
        match Difference::more_chips(&[found], half_width) {
            None => return (found, chips.iter().map(|chip| chip.images).sum()),
            Some(more) => {
                assert!(more as usize > chips.len() && more % 8 == 0);
                chips.resize_with(more as usize, || population.draw(split.images, stream));
            }
        }
    }
}

#[test]
fn sampled_to_a_half_width_the_interval_holds_the_truth_as_often_as_it_says_at_a_fraction_of_the_cost(
) {
    // chips that differ, and a few that are far worse than all others: there the mean of chips is skewed
    for (spread, least) in [(0.5, 0.93), (0.8, 0.91)] {
        let population = Population::simulated(400, 500, spread);
        let (truth, half_width, repeats) = (population.mean(), 0.006, 1500);
        let (mut held, mut means, mut evaluations) = (0, Vec::new(), 0);
        for repeat in 0..repeats {
            let mut stream = Seed(5).stream(Purpose::Test, &[repeat]);
            let (found, images) = sampled(&population, half_width, &mut stream);
            let half = found.half_width().unwrap();
            assert!(half <= half_width);
            held += u64::from((found.mean - truth).abs() <= half);
            evaluations += images;
            means.push(found.mean);
        }
        let coverage = held as f64 / repeats as f64;
        assert!((least..=0.97).contains(&coverage), "{spread}: {coverage}");
        // stopping on the interval leaves a bias far below the interval
        let bias = mean(&means).unwrap() - truth;
        let error = standard_deviation(&means).unwrap() / (repeats as f64).sqrt();
        assert!(
            bias.abs() < 4.0 * error + 0.1 * half_width,
            "{spread}: {bias} {error}"
        );
        // all images on each chip: the same half-width from the chips alone, were their deviation known
        let brute = chips_for(population.components().chips, half_width) * population.images();
        assert!(
            evaluations / repeats * 3 < brute * 2,
            "{spread}: {} {brute}",
            evaluations / repeats
        );
    }
}

#[test]
fn the_split_is_the_classical_one_and_no_other_is_cheaper() {
    let (components, pilot) = (
        Components {
            chips: 4e-4,
            images: 0.1,
        },
        Split {
            images: 4096,
            chips: 16,
        },
    );
    let (all, half) = (1_000_000, 0.003);
    let split = Split::plan(&[components], pilot, 100.0, all, half);
    // √(100 · 0.1 / 4e-4) = 158
    assert_eq!(split.images, 160);
    let variance = components.of_chip(split.images, all) / split.chips as f64;
    assert!((normal_half_width(variance) / half - 1.0).abs() < 0.01);
    // dear chips take more images, images that tell nothing take the least, too few images are all taken
    assert!(Split::plan(&[components], pilot, 1e9, 10_000, half).images > 5000);
    assert_eq!(
        Split::plan(
            &[Components {
                images: 0.0,
                ..components
            }],
            pilot,
            100.0,
            all,
            half
        )
        .images,
        32
    );
    assert_eq!(
        Split::plan(&[components], pilot, 100.0, 20, half).images,
        20
    );
    // the widest design point decides on the number of chips
    let wide = Components {
        chips: 9e-4,
        ..components
    };
    assert_eq!(
        Split::plan(&[components, wide], pilot, 100.0, all, half),
        Split::plan(&[wide], pilot, 100.0, all, half)
    );
}

#[test]
fn no_variance_between_chips_seen_by_chance_does_not_ask_for_all_images() {
    let pilot = Split {
        images: 128,
        chips: 16,
    };
    let split = Split::plan(
        &[Components {
            chips: 0.0,
            images: 0.1,
        }],
        pilot,
        2.0,
        10_000,
        0.003,
    );
    assert!(split.images <= 64, "{split:?}");
    assert!(split.chips >= LEAST_CHIPS);
}

#[test]
fn where_few_chips_differ_the_interval_does_not_close() {
    let same = ChipDifference {
        images: 100,
        gain: 0,
        changed: 0,
    };
    let none = Difference::of(&[same; 16]).unwrap();
    // √(3/16) of one image in a hundred, t(0.975, 15) = 2.131450
    assert!(
        (none.half_width().unwrap() - 2.131450 * (3.0f64 / 16.0).sqrt() * 0.01 / 4.0).abs() < 1e-6
    );
    let mut chips = [same; 16];
    chips[3] = ChipDifference {
        images: 100,
        gain: -50,
        changed: 50,
    };
    let one = Difference::of(&chips).unwrap();
    assert!(one.deviation >= (3.0f64 / 16.0).sqrt() * 0.5);
    assert_eq!(Difference::of(&[same]), None);
}
