//! Facts that two-level sampling holds: the same rows on any number of threads, brute force within the interval, no bias.

use super::super::monte_carlo::tests::{world_of, World};
use super::super::{DesignPoint, Sampling};
use super::*;
use crate::fault::Protection;
use crate::memory::{EnergySpec, Faults, OperatingPoint};
use crate::stats;

/// Runs with the seed on all images of the world: two-level, or brute force on as many chips.
fn run_of(
    world: &World,
    seed: u64,
    voltages: &str,
    (chips, tolerance): (u32, Option<f64>),
    done: &[Trial],
    sampled: Sampling,
) -> Result<(Outcome, usize)> {
    let answers = [world
        .evaluator
        .clean_answers(&world.images, &AtomicBool::new(false))
        .unwrap()];
    let swept_models = [world.swept()];
    let voltages = world.memory.voltages(voltages).unwrap();
    let points: Vec<OperatingPoint> = voltages
        .iter()
        .map(|v| world.memory.at(*v).unwrap())
        .collect();
    let points = DesignPoint::grid(1, &points, &[Protection::None]);
    let comparison = Comparison {
        swept_models: &swept_models,
        memory: &world.memory,
        faults: &Faults::of(&world.memory),
        points: &points,
        seed: Seed(seed),
        chips,
        tolerance,
        test_images: world.images.len(),
        activations: None,
        energy: &EnergySpec::default(),
        clock: || 0.0,
    };
    let mut computed = 0;
    let mut sink = |_: &Trial| {
        computed += 1;
        Ok(())
    };
    let cancel = AtomicBool::new(false);
    let mut outcome = match sampled {
        Sampling::TwoLevel | Sampling::Stratified => TwoLevel {
            comparison: &comparison,
            clean: &answers,
            stratified: sampled == Sampling::Stratified,
        }
        .run(done, &cancel, &mut sink)?,
        Sampling::AllImages => comparison.run(done, &cancel, &mut sink)?,
    };
    outcome
        .trials
        .iter_mut()
        .for_each(|trial| trial.seconds = 0.0);
    Ok((outcome, computed))
}

fn sampled(
    world: &World,
    seed: u64,
    voltages: &str,
    tolerance: f64,
    done: &[Trial],
) -> (Outcome, usize) {
    run_of(
        world,
        seed,
        voltages,
        (1000, Some(tolerance)),
        done,
        Sampling::TwoLevel,
    )
    .unwrap()
}

fn shown(trials: &[Trial]) -> Vec<ChipDifference> {
    trials
        .iter()
        .map(|t| t.clean.unwrap().difference(t.images, t.correct).unwrap())
        .collect()
}

#[test]
fn rows_are_the_same_on_any_number_of_threads_and_a_resumed_run_computes_the_rest_alone() {
    let world = world_of(4, 300);
    let pool = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    let on = |threads| pool(threads).install(|| sampled(&world, 5, "0.8,0.9,1.0", 0.02, &[]));
    let ((one, computed), (two, _)) = (on(1), on(2));
    assert_eq!(one, two);
    assert_eq!(
        (one.stopped_by, computed),
        (StoppedBy::Tolerance, one.trials.len())
    );
    let (rest, computed) = sampled(&world, 5, "0.8,0.9,1.0", 0.02, &one.trials[..200]);
    assert_eq!((rest, computed), (one.clone(), one.trials.len() - 200));
    // every design point on the same chips, through the same images
    let chips = one.trials.len() / 3;
    assert!(chips >= 128 && chips % 8 == 0, "{chips}");
    for of_chip in (0..chips).map(|chip| [0, 1, 2].map(|design| &one.trials[design * chips + chip]))
    {
        let clean = of_chip.map(|trial| (trial.images, trial.clean.unwrap().correct));
        assert!(clean.iter().all(|other| *other == clean[0]));
        assert_eq!((of_chip[2].faults, of_chip[2].correct), (0, clean[0].1));
    }
    // other trials than two-level ones are not taken for them
    let error = run_of(&world, 5, "0.8", (3, None), &[], Sampling::TwoLevel)
        .unwrap_err()
        .to_string();
    assert!(error.contains("a tolerance"), "{error}");
    let brute = run_of(&world, 5, "0.8", (3, None), &[], Sampling::AllImages)
        .unwrap()
        .0
        .trials;
    let error = run_of(
        &world,
        5,
        "0.8",
        (1000, Some(0.02)),
        &brute,
        Sampling::TwoLevel,
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("128 images of two-level sampling, found 300"),
        "{error}"
    );
}

#[test]
fn brute_force_on_the_same_chips_lies_within_the_interval_at_a_multiple_of_the_cost() {
    let world = world_of(4, 300);
    let (outcome, _) = sampled(&world, 7, "0.8", 0.01, &[]);
    let chips = shown(&outcome.trials);
    let found = Difference::of(&chips).unwrap();
    let clean = world.evaluator.clean(&world.images).unwrap().accuracy();
    let n = chips.len() as u32;
    let all = run_of(&world, 7, "0.8", (n, None), &[], Sampling::AllImages)
        .unwrap()
        .0
        .trials;
    let faults = |trials: &[Trial]| trials.iter().map(|trial| trial.faults).collect::<Vec<_>>();
    assert_eq!(faults(&all), faults(&outcome.trials));
    let accuracies: Vec<f64> = all.iter().map(Trial::accuracy).collect();
    let brute = stats::mean(&accuracies).unwrap();
    let half = found.half_width().unwrap();
    assert!(
        half <= 0.01 && (clean + found.mean - brute).abs() <= half,
        "{found:?} {clean} {brute}"
    );
    let looked: u64 = chips.iter().map(|chip| chip.images).sum();
    assert!(looked * 2 < 300 * u64::from(n), "{looked}");
    // the components foretell how far the two are apart: the images alone are chosen
    let components = Components::of(&chips, 300).unwrap();
    let std = stats::standard_deviation(&accuracies).unwrap();
    assert!(
        (components.chips.sqrt() / std - 1.0).abs() < 0.5,
        "{components:?} {std}"
    );
}

#[test]
fn over_many_seeds_the_estimate_is_that_of_all_images() {
    // chips and images of a trial by themselves, at a fixed number of chips
    let world = world_of(4, 60);
    let labels = world.images.labels();
    let faulty = run_of(&world, 3, "0.78", (1, None), &[], Sampling::AllImages)
        .unwrap()
        .0
        .trials[0]
        .correct;
    assert!(faulty < 60);
    // an image's fraction of samples is that of every other, whatever its class
    let mut times = vec![0u32; labels.len()];
    let samples = 20_000;
    for chip in 0..samples {
        let places = chip_images(Seed(1), ChipId(chip), labels, 33);
        assert!(places.len() == 33 && places.windows(2).all(|pair| pair[0] < pair[1]));
        places.iter().for_each(|place| times[*place as usize] += 1);
    }
    let (expected, error) = (
        f64::from(samples) * 33.0 / 60.0,
        (f64::from(samples) * 0.55 * 0.45).sqrt(),
    );
    assert!(
        times
            .iter()
            .all(|times| (f64::from(*times) - expected).abs() < 4.5 * error),
        "{times:?}"
    );
    // so the mean over seeds of the estimate is the truth for each chip
    let mut errors = Vec::new();
    for seed in 0..40 {
        let (outcome, _) = run_of(
            &world,
            seed,
            "0.78",
            (2, Some(0.5)),
            &[],
            Sampling::TwoLevel,
        )
        .unwrap();
        let brute = run_of(
            &world,
            seed,
            "0.78",
            (outcome.trials.len() as u32, None),
            &[],
            Sampling::AllImages,
        )
        .unwrap()
        .0;
        let clean = world.evaluator.clean(&world.images).unwrap().accuracy();
        for (trial, chip) in outcome.trials.iter().zip(shown(&outcome.trials)) {
            errors.push(clean + chip.mean() - brute.trials[trial.chip.0 as usize].accuracy());
        }
    }
    let bias = stats::mean(&errors).unwrap();
    let error = stats::standard_deviation(&errors).unwrap() / (errors.len() as f64).sqrt();
    assert!(bias.abs() <= 4.0 * error, "{bias} {error}");
}

#[test]
fn no_more_image_evaluations_are_made_than_so_many_chips_with_all_images_would_cost() {
    let world = world_of(4, 300);
    for (chips, most) in [(1, 300), (8, 2400), (20, 6000)] {
        let (outcome, _) = run_of(
            &world,
            5,
            "0.8",
            (chips, Some(1e-4)),
            &[],
            Sampling::TwoLevel,
        )
        .unwrap();
        let looked: u64 = outcome.trials.iter().map(|trial| trial.images).sum();
        assert_eq!(outcome.stopped_by, StoppedBy::Chips);
        assert!(looked <= most && looked * 2 > most, "{chips}: {looked}");
    }
}

#[test]
fn stratified_rows_are_the_same_on_any_number_of_threads_and_brute_force_lies_within_the_interval()
{
    let world = world_of(4, 300);
    let run = |threads, done: &[Trial]| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let way = Sampling::Stratified;
        pool.unwrap()
            .install(|| run_of(&world, 5, "0.8,0.9,1.0", (1000, Some(0.02)), done, way))
            .unwrap()
    };
    let ((one, computed), (two, _)) = (run(1, &[]), run(2, &[]));
    assert_eq!(one, two);
    let (rest, owed) = run(2, &one.trials[..200]);
    assert_eq!((&rest, owed), (&one, computed - 200));
    let chips = one.trials.len() / 3;
    assert!(chips >= 128 && chips % 8 == 0, "{chips}");
    // the estimate is that of all images on the same chips
    let (brute, _) = run_of(
        &world,
        5,
        "0.8",
        (chips as u32, None),
        &[],
        Sampling::AllImages,
    )
    .unwrap();
    let brute: Vec<f64> = brute.trials.iter().map(Trial::accuracy).collect();
    let own: Vec<Strata> = one.trials[..chips]
        .iter()
        .filter_map(|t| t.strata.clone())
        .collect();
    let found = Difference::of_strata(&own).unwrap();
    let half = found.half_width().unwrap();
    assert!(half <= 0.02, "{half}");
    assert!((found.mean + found.shift - stats::mean(&brute).unwrap()).abs() <= half);
    // voltages are seen through the same images; without faults the estimate is exact
    let clean = world.evaluator.clean(&world.images).unwrap().accuracy();
    for chip in 0..chips {
        let of_chip = [0, 1, 2].map(|design| &one.trials[design * chips + chip]);
        assert!(of_chip.iter().all(|trial| trial.images == of_chip[2].images
            && trial.clean.unwrap().correct == of_chip[2].correct));
        assert!((of_chip[2].accuracy() - clean).abs() < 1e-12);
    }
    // trials of the other sampler are not taken for them
    let (other, _) = sampled(&world, 5, "0.8", 0.02, &[]);
    let error = run_of(
        &world,
        5,
        "0.8",
        (1000, Some(0.02)),
        &other.trials,
        Sampling::Stratified,
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("images of another"), "{error}");
}

#[test]
fn every_image_of_a_stratum_is_equally_likely_and_models_of_like_strata_share_images() {
    let world = world_of(4, 60);
    let clean = world
        .evaluator
        .clean_answers(&world.images, &AtomicBool::new(false))
        .unwrap();
    let partition = Partition::of(&clean);
    assert_eq!(partition.sizes.iter().sum::<u64>(), 60);
    let numbers: Vec<u64> = partition.sizes.iter().map(|size| (*size).min(2)).collect();
    let (mut times, samples) = (vec![0u32; 60], 20_000);
    for chip in 0..samples {
        let places = partition.places(Seed(1), ChipId(chip), &numbers);
        assert_eq!(places.len() as u64, numbers.iter().sum::<u64>());
        let right: Vec<bool> = places.iter().map(|p| clean.right[*p as usize]).collect();
        let shown = partition.shown(&places, &right);
        assert!((shown.accuracy() - clean.correct() as f64 / 60.0).abs() < 1e-12);
        assert!(shown.have(&partition.sizes, &numbers));
        assert_eq!(shown.to_string().parse::<Strata>().unwrap(), shown);
        places.iter().for_each(|place| times[*place as usize] += 1);
        assert_eq!(
            places,
            Partition::of(&clean).places(Seed(1), ChipId(chip), &numbers)
        );
    }
    for (place, times) in times.iter().enumerate() {
        let stratum = partition.stratum(place);
        let fraction = numbers[stratum] as f64 / partition.sizes[stratum] as f64;
        let error = (f64::from(samples) * fraction * (1.0 - fraction)).sqrt();
        let expected = f64::from(samples) * fraction;
        assert!(
            (f64::from(*times) - expected).abs() <= 4.5 * error,
            "{place}: {times} {expected}"
        );
    }
}

/// Trials of two models at one voltage, by model and chip.
fn of_two_models(worlds: &[World; 2], way: Sampling, chips: u32) -> Vec<Trial> {
    let answers = worlds.each_ref().map(|world| {
        world
            .evaluator
            .clean_answers(&world.images, &AtomicBool::new(false))
            .unwrap()
    });
    let mut swept_models = worlds.each_ref().map(World::swept);
    swept_models[1].name = "n".into();
    let memory = &worlds[0].memory;
    let point = memory.at(memory.voltages("0.88").unwrap()[0]).unwrap();
    let comparison = Comparison {
        swept_models: &swept_models,
        memory,
        faults: &Faults::of(memory),
        points: &DesignPoint::grid(2, &[point], &[Protection::None]),
        seed: Seed(5),
        chips,
        tolerance: Some(0.01).filter(|_| way.is_two_level()),
        test_images: 400,
        activations: None,
        energy: &EnergySpec::default(),
        clock: || 0.0,
    };
    let (cancel, mut sink) = (AtomicBool::new(false), |_: &Trial| Ok(()));
    let outcome = if way.is_two_level() {
        TwoLevel {
            comparison: &comparison,
            clean: &answers,
            stratified: way == Sampling::Stratified,
        }
        .run(&[], &cancel, &mut sink)
    } else {
        comparison.run(&[], &cancel, &mut sink)
    };
    outcome.unwrap().trials
}

#[test]
fn differences_of_models_vary_less_for_their_images_than_where_all_images_are_alike() {
    let worlds = [world_of(4, 400), world_of(3, 400)];
    let clean = worlds
        .each_ref()
        .map(|world| world.evaluator.clean(&world.images).unwrap().accuracy());
    // mean square of what the choice of images does to a difference on a chip, of one image, and the mean of it
    let error = |way| {
        let trials = of_two_models(&worlds, way, 1000);
        let chips = trials.len() / 2;
        let whole = of_two_models(&worlds, Sampling::AllImages, chips as u32);
        let own = |trial: &Trial, model: usize| match &trial.strata {
            Some(strata) => strata.accuracy(),
            None => clean[model] + shown(std::slice::from_ref(trial))[0].mean(),
        };
        let of_chip = |chip: usize| {
            let found = own(&trials[chip], 0) - own(&trials[chips + chip], 1);
            let truth = whole[chip].accuracy() - whole[chips + chip].accuracy();
            (found - truth, trials[chip].images as f64)
        };
        let errors: Vec<(f64, f64)> = (0..chips).map(of_chip).collect();
        let squares: f64 = errors.iter().map(|(error, m)| error * error * m).sum();
        let bias = errors.iter().map(|(error, _)| error).sum::<f64>() / chips as f64;
        (squares / chips as f64, bias, chips)
    };
    let ((alike, _, _), (stratified, bias, chips)) =
        (error(Sampling::TwoLevel), error(Sampling::Stratified));
    assert!(stratified < alike, "{stratified} {alike}");
    assert!(
        bias.abs() < 4.0 * (stratified / 24.0 / chips as f64).sqrt(),
        "{bias}"
    );
}

/// All orders of the numbers below `n`.
fn orders(n: u32) -> Vec<Vec<u32>> {
    if n == 0 {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for order in orders(n - 1) {
        for at in 0..n as usize {
            let mut longer = order.clone();
            longer.insert(at, n - 1);
            all.push(longer);
        }
    }
    all
}

#[test]
fn a_difference_of_models_has_the_mean_and_variance_that_all_orders_of_the_images_give() {
    const IMAGES: u32 = 8;
    let clean = |right: [u8; 8], margins: [f32; 8]| Answers {
        right: right.map(|right| right == 1).to_vec(),
        margins: margins.to_vec(),
        not_finite: 0,
    };
    let partitions = [
        Partition::of(&clean(
            [1, 1, 1, 1, 1, 1, 0, 0],
            [0.1, 0.3, 0.2, 0.9, 0.7, 0.8, -0.1, -0.2],
        )),
        Partition::of(&clean(
            [1, 1, 0, 1, 1, 1, 1, 0],
            [0.2, 0.1, -0.4, 0.7, 0.9, 0.5, 0.3, -0.3],
        )),
    ];
    let numbers = partitions
        .each_ref()
        .map(|own| -> Vec<u64> { own.sizes.iter().map(|size| size.div_ceil(2)).collect() });
    // by kind of chip, then model
    let answers = [
        [[1, 0, 1, 1, 1, 0, 0, 1], [1, 0, 1, 0, 1, 1, 1, 0]],
        [[0, 0, 1, 0, 1, 1, 0, 0], [0, 1, 0, 0, 1, 1, 0, 0]],
    ]
    .map(|models| models.map(|right: [u8; 8]| right.map(|right| right == 1)));
    let accuracy_of = |model: usize, places: &[u32], kind: usize| {
        let right: Vec<bool> = places
            .iter()
            .map(|place| answers[kind][model][*place as usize])
            .collect();
        partitions[model].shown(places, &right).accuracy()
    };
    let mut every = Vec::new();
    for order in orders(IMAGES) {
        let places = [0, 1].map(|model| {
            let (mut owed, mut places) = (numbers[model].clone(), Vec::new());
            for place in &order {
                let owed = &mut owed[partitions[model].stratum(*place as usize)];
                if *owed > 0 {
                    *owed -= 1;
                    places.push(*place);
                }
            }
            places
        });
        for kind in 0..2 {
            every.push(accuracy_of(0, &places[0], kind) - accuracy_of(1, &places[1], kind));
        }
    }
    let mean = stats::mean(&every).unwrap();
    let variance = every.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / every.len() as f64;
    // right answers of the first model less those of the second, over both kinds of chip
    let right = |model: usize| -> i32 {
        let of_kinds = answers.iter().flat_map(|kind| kind[model]);
        of_kinds.map(i32::from).sum()
    };
    let truth = f64::from(right(0) - right(1)) / 16.0;
    assert!((mean - truth).abs() < 1e-12, "{mean} {truth}");
    let samples = 20_000;
    let sampled: Vec<f64> = (0..samples)
        .map(|chip| {
            let of_model = |model: usize| {
                let places = partitions[model].places(Seed(1), ChipId(chip), &numbers[model]);
                accuracy_of(model, &places, chip as usize % 2)
            };
            of_model(0) - of_model(1)
        })
        .collect();
    let error = (variance / f64::from(samples)).sqrt();
    let found = stats::mean(&sampled).unwrap();
    assert!(
        (found - mean).abs() <= 4.5 * error,
        "{found} {mean} {error}"
    );
    let found = stats::standard_deviation(&sampled).unwrap().powi(2);
    assert!((found / variance - 1.0).abs() < 0.05, "{found} {variance}");
}
