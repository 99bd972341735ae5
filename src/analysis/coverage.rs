//! How often the intervals of a mean hold the truth: simulated test sets whose true accuracy is known, swept on
//! random subsets of the images and a few chips.

use super::summary::{summarize, FloorSpec};
use super::tests::{design, trials};
use crate::data::ImageSet;
use crate::seed::{Purpose, Seed, Stream};
use crate::stats::{mean_half_width, normal_cdf};
use crate::sweep::StoppedBy;

const REPEATS: u64 = 1000;
/// Images of a test set.
const ALL: usize = 2000;
const CLASSES: usize = 10;

/// A kind of test set and chips. Image `i` is right on chip `c` where `margin_i + chip · z_c + noise · z_ic` is
/// above 0, all `z` standard normal, so that it is right on a fraction `Φ(margin_i / √(chip² + noise²))` of chips.
struct World {
    /// Mean of the margins.
    mean: f64,
    /// Deviation of the margins over images; those of a class have a part in common.
    spread: f64,
    chip: f64,
    noise: f64,
    /// Images used, and chips.
    used: usize,
    chips: usize,
}

/// Fraction of repeats in which an interval holds the accuracy on all images, over all chips.
#[derive(Debug)]
struct Coverage {
    student: f64,
    bootstrap: f64,
    /// Student's interval over chips alone.
    chips_alone: f64,
}

fn coverage(world: &World) -> Coverage {
    let (mut student, mut bootstrap, mut chips_alone) = (0u32, 0u32, 0u32);
    let labels: Vec<u16> = (0..ALL).map(|i| (i % CLASSES) as u16).collect();
    let set = ImageSet {
        title: "simulated".into(),
        channels: 1,
        height: 1,
        width: 1,
        classes: CLASSES,
        pixels: vec![0; ALL].into(),
        labels,
        remarks: Vec::new(),
    };
    let design = design("m", "wcat", 0.8);
    for repeat in 0..REPEATS {
        let mut stream = Seed(repeat).stream(Purpose::Test, &[0]);
        let of_class: Vec<f64> = (0..CLASSES).map(|_| stream.normal()).collect();
        let margins: Vec<f64> = (0..ALL)
            .map(|i| {
                let z = 0.3 * of_class[i % CLASSES] + (1.0f64 - 0.09).sqrt() * stream.normal();
                world.mean + world.spread * z
            })
            .collect();
        let scale = world.chip.hypot(world.noise).max(1e-12);
        let truth = margins
            .iter()
            .map(|margin| normal_cdf(margin / scale))
            .sum::<f64>()
            / ALL as f64;
        let subset = set.subset(world.used, Seed(repeat)).unwrap();
        let correct = swept(world, &margins, &subset, &mut stream);
        let trials = trials(&design, world.used as u64, &correct);
        let floor = FloorSpec::default();
        let all = ALL as u64;
        let summaries = summarize(
            std::slice::from_ref(&design),
            &trials,
            floor,
            StoppedBy::Chips,
            all,
            Seed(repeat),
        );
        let summary = summaries.unwrap().remove(0);
        let holds = |low: f64, high: f64| u32::from(low <= truth && truth <= high);
        let (s, b) = (summary.student.unwrap(), summary.bootstrap.unwrap());
        student += holds(s.low, s.high);
        bootstrap += holds(b.low, b.high);
        let half = mean_half_width(summary.std.unwrap(), world.chips, 0.0).unwrap();
        chips_alone += holds(summary.mean - half, summary.mean + half);
    }
    let fraction = |count: u32| f64::from(count) / REPEATS as f64;
    Coverage {
        student: fraction(student),
        bootstrap: fraction(bootstrap),
        chips_alone: fraction(chips_alone),
    }
}

/// Correct images of each chip.
fn swept(world: &World, margins: &[f64], subset: &[u32], stream: &mut Stream) -> Vec<u64> {
    let mut chip = || {
        let shift = world.chip * stream.normal();
        let right = subset
            .iter()
            .filter(|&&i| margins[i as usize] + shift + world.noise * stream.normal() > 0.0)
            .count();
        right as u64
    };
    (0..world.chips).map(|_| chip()).collect()
}

#[test]
fn the_interval_holds_the_accuracy_on_all_images_and_that_of_chips_alone_does_not() {
    // (mean, spread, chip, noise): at the cliff; where few images fail, and only on some chips; without faults
    for (mean, spread, chip, noise) in [
        (0.3, 1.0, 0.1, 0.3),
        (1.8, 1.0, 0.1, 0.2),
        (2.0, 1.0, 0.0, 0.0),
    ] {
        for (used, chips) in [(200, 20), (500, 50)] {
            let found = coverage(&World {
                mean,
                spread,
                chip,
                noise,
                used,
                chips,
            });
            let case = format!("{mean} {chip} {noise}, {used} images, {chips} chips: {found:?}");
            assert!(found.student >= 0.93 && found.bootstrap >= 0.93, "{case}");
            assert!(found.chips_alone < 0.6, "{case}");
        }
    }
}

#[test]
fn on_all_images_the_interval_is_over_chips_and_holds_as_often_as_it_says() {
    let found = coverage(&World {
        mean: 0.3,
        spread: 1.0,
        chip: 0.3,
        noise: 0.3,
        used: ALL,
        chips: 20,
    });
    assert!((0.93..0.97).contains(&found.student), "{found:?}");
    assert_eq!(found.student, found.chips_alone);
}
