//! Facts that a comparison holds: trials by themselves, resumed, counted, and stopped where they should.

use super::*;
use crate::fault::{FaultSpec, Noise, Protection};
use crate::memory;
use crate::memory::{EnergySpec, OperatingPoint};
use crate::net::{Architecture, Network, RangeRule};
use crate::quant::{Method, QuantizerSpec};
use crate::seed::Purpose;
use crate::sweep::{SuppliedRows, Supply};
use crate::units::{Bits, Fraction, Voltage};
use candle_core::Device;

pub(in super::super) struct World {
    pub(in super::super) evaluator: Evaluator,
    pub(in super::super) images: Images,
    pub(in super::super) memory: MemoryModel,
}

impl World {
    /// The network as the only model of a comparison.
    pub(in super::super) fn swept(&self) -> SweptModel<'_> {
        SweptModel {
            name: "m".into(),
            dataset: "d".into(),
            training_seed: None,
            evaluator: &self.evaluator,
            images: &self.images,
            clean: self.evaluator.clean(&self.images).unwrap(),
        }
    }
}

fn network(bits: u64) -> Network {
    let quantizer = QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(bits).unwrap(),
        ..QuantizerSpec::default()
    };
    Network::new(Architecture::Mlp, 10, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0
}

/// A network with `count` images of noise in ten classes.
pub(in super::super) fn world_of(bits: u64, count: u32) -> World {
    let network = network(bits);
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let pixels: Vec<f32> = (0..count * 784).map(|_| stream.normal() as f32).collect();
    let labels: Vec<u32> = (0..count).map(|i| i % 10).collect();
    let images = Images::new(pixels, [1, 28, 28], labels, &Device::Cpu).unwrap();
    let memory = memory::load("sram-14nm-chandramoorthy2019").unwrap();
    World {
        evaluator: Evaluator::new(network).unwrap(),
        images,
        memory,
    }
}

fn world(bits: u64) -> World {
    world_of(bits, 60)
}

fn run(
    world: &World,
    voltages: &str,
    chips: u32,
    tolerance: Option<f64>,
    done: &[Trial],
) -> (Outcome, usize) {
    run_of(world, 60, voltages, chips, tolerance, done)
}

/// A run on the 60 images of a test set of `test_images`.
fn run_of(
    world: &World,
    test_images: u64,
    voltages: &str,
    chips: u32,
    tolerance: Option<f64>,
    done: &[Trial],
) -> (Outcome, usize) {
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
        activations: None,
        energy: &EnergySpec::default(),
        points: &points,
        seed: Seed(5),
        chips,
        tolerance,
        test_images,
        clock: || 0.0,
    };
    let mut computed = 0;
    let mut sink = |_: &Trial| {
        computed += 1;
        Ok(())
    };
    let mut outcome = comparison
        .run(done, &AtomicBool::new(false), &mut sink)
        .unwrap();
    outcome
        .trials
        .iter_mut()
        .for_each(|trial| trial.seconds = 0.0);
    (outcome, computed)
}

/// A side of stored activations in this memory.
fn side_of(memory: &MemoryModel, change: impl Fn(&mut FaultSpec)) -> ActivationSide {
    let mut spec = FaultSpec::default();
    change(&mut spec);
    ActivationSide {
        memory: memory.clone(),
        faults: Faults::new(&spec, memory).unwrap(),
        words: None,
        protection: Protection::None,
        energy_ratio: None,
        rows: SuppliedRows::Beside,
    }
}

/// The world of 4 bits with activations of 8 bits.
fn storing() -> World {
    let (world, network) = (world(4), network(4));
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let images = stream.normal_tensor(1.0, (20, 1, 28, 28)).unwrap();
    let found = network
        .calibrate(&[images], 8, true, RangeRule::Max)
        .unwrap();
    World {
        evaluator: Evaluator::new(network.with_activations(&found).unwrap()).unwrap(),
        ..world
    }
}

/// Trials of weights and activations at pairs of voltages, with their design points.
fn beside(world: &World, side: &ActivationSide, pairs: &[[f64; 2]]) -> (Vec<Design>, Vec<Trial>) {
    let at = |voltage: f64| world.memory.at(Voltage::new(voltage).unwrap()).unwrap();
    let point = |[weights, activations]: &[f64; 2]| DesignPoint {
        model: 0,
        protection: Protection::None,
        supply: Supply::One(at(*weights)),
        activations: Some(at(*activations)),
    };
    let points: Vec<DesignPoint> = pairs.iter().map(point).collect();
    let swept_models = [world.swept()];
    let comparison = Comparison {
        swept_models: &swept_models,
        memory: &world.memory,
        faults: &side.faults,
        activations: Some(side),
        energy: &EnergySpec::default(),
        points: &points,
        seed: Seed(5),
        chips: 3,
        tolerance: None,
        test_images: 60,
        clock: || 0.0,
    };
    let outcome = comparison.run(&[], &AtomicBool::new(false), &mut |_| Ok(()));
    (comparison.designs().unwrap(), outcome.unwrap().trials)
}

#[test]
fn stored_activations_fail_by_their_own_voltage_beside_that_of_the_weights() {
    let world = storing();
    let side = side_of(&world.memory, |_| {});
    let pairs = [[0.75, 1.0], [1.0, 0.75], [0.75, 0.75], [1.0, 1.0]];
    let (designs, trials) = beside(&world, &side, &pairs);
    let ids: Vec<&str> = designs.iter().map(|own| own.design_id.as_str()).collect();
    assert_eq!(ids[1], "m@1vmin+act0.75vmin");
    let of = |place: usize| -> Vec<u64> {
        let own = trials.iter().filter(|trial| trial.design_id == ids[place]);
        own.map(|trial| trial.correct).collect()
    };
    // without faulty activations as a sweep without them, and without any fault the clean network
    let plain = run(&world, "0.75", 3, None, &[]).0.trials;
    assert_eq!(
        of(0),
        plain.iter().map(|trial| trial.correct).collect::<Vec<_>>()
    );
    let clean = world.evaluator.clean(&world.images).unwrap().correct;
    assert_eq!(of(3), [clean; 3]);
    assert!(of(1) != of(3) && of(2) != of(0) && of(2) != of(1));
    let status = |place: usize, wanted| {
        let mut own = trials.iter().filter(|trial| trial.design_id == ids[place]);
        own.all(|trial| trial.status == wanted)
    };
    assert!(status(1, TrialStatus::Evaluated) && status(3, TrialStatus::FaultFree));
    // failing cells are counted of the weights
    assert!(trials
        .iter()
        .filter(|t| t.design_id == ids[1])
        .all(|t| t.faults == 0));
    let sources: Vec<bool> = designs.iter().map(Design::can_fail).collect();
    assert_eq!(sources, [true, true, true, false]);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build();
    let (_, again) = pool.unwrap().install(|| beside(&world, &side, &pairs));
    assert_eq!(again, trials);
    // the same where every access fails anew
    let transient = side_of(&world.memory, |spec| {
        spec.persistent_share = Fraction::new(0.0).ok();
    });
    let (_, first) = beside(&world, &transient, &pairs);
    assert_eq!(beside(&world, &transient, &pairs[2..3]).1, {
        let mut own = first.clone();
        own.retain(|trial| trial.design_id == ids[2]);
        own
    });
    assert_ne!(first, trials);
}

#[test]
fn faults_reach_the_activations_that_are_asked_for() {
    let world = storing();
    let wrong = |change: &dyn Fn(&mut FaultSpec), protection: Protection| {
        let side = ActivationSide {
            protection,
            ..side_of(&world.memory, change)
        };
        let (designs, trials) = beside(&world, &side, &[[1.0, 0.75]]);
        let clean = world.evaluator.clean(&world.images).unwrap().correct;
        let differ = trials.iter().filter(|trial| trial.correct != clean).count();
        (differ, designs[0].design_id.clone())
    };
    let none = Protection::None;
    assert!(wrong(&|_| {}, none).0 > 0);
    assert!(wrong(&|spec| spec.layers = vec!["layer[23]".into()], none).0 > 0);
    // the bits that could fail lie in cells that do not
    let msb = |spec: &mut FaultSpec| spec.noise = Noise::Msb;
    assert!(wrong(&msb, none).0 > 0);
    let (differ, name) = wrong(&msb, Protection::Msb(1));
    let expected = "m@1vmin+act0.75vmin-under-msb:1";
    assert_eq!((differ, name.as_str()), (0, expected));
    assert_eq!(wrong(&|_| {}, Protection::Msb(8)).0, 0);
    // alone they are what is swept
    let side = ActivationSide {
        rows: SuppliedRows::Alone,
        ..side_of(&world.memory, |_| {})
    };
    let (designs, _) = beside(&world, &side, &[[1.0, 0.8]]);
    let own = &designs[0];
    assert_eq!(
        (
            own.design_id.as_str(),
            own.voltage,
            own.activations.is_none()
        ),
        ("m@0.8vmin+activations", Some(0.8), true)
    );
    assert_eq!(own.fault_kind.as_str(), "flip; activations alone");
    assert!(own.counts_activations() && own.ber > Some(0.0));
    // a network that stores none
    let plain = super::tests::world(4);
    let point = DesignPoint {
        activations: Some(plain.memory.at(plain.memory.error_free).unwrap()),
        ..DesignPoint::grid(
            1,
            &[plain.memory.at(plain.memory.error_free).unwrap()],
            &[none],
        )
        .remove(0)
    };
    let swept = [plain.swept()];
    let error = Setup::of_point(
        &swept[0],
        &point,
        &Comparison {
            swept_models: &swept,
            memory: &plain.memory,
            faults: &side.faults,
            activations: Some(&side),
            energy: &EnergySpec::default(),
            points: std::slice::from_ref(&point),
            seed: Seed(5),
            chips: 1,
            tolerance: None,
            test_images: 60,
            clock: || 0.0,
        },
    )
    .unwrap_err()
    .to_string();
    assert!(
        error.contains("model `m`: expected one that stores its activations"),
        "{error}"
    );
}

#[test]
fn a_trial_is_the_same_whatever_else_is_swept_and_on_any_number_of_threads() {
    let world = world(4);
    let alone = run(&world, "0.8", 3, None, &[]).0.trials;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(3)
        .build()
        .unwrap();
    let among = pool.install(|| run(&world, "0.75:1.0:0.05", 4, None, &[]).0.trials);
    let same: Vec<&Trial> = among
        .iter()
        .filter(|t| t.design_id == alone[0].design_id && t.chip.0 < 3)
        .collect();
    assert_eq!(same.len(), 3);
    assert!(same.into_iter().eq(alone.iter()));
}

#[test]
fn a_cancel_ends_a_running_trial_of_which_nothing_is_stored() {
    static CANCEL: AtomicBool = AtomicBool::new(false);
    let world = world(4);
    let swept_models = [world.swept()];
    let voltages = world.memory.voltages("0.78").unwrap();
    let points = [world.memory.at(voltages[0]).unwrap()];
    let points = DesignPoint::grid(1, &points, &[Protection::None]);
    let comparison = Comparison {
        swept_models: &swept_models,
        memory: &world.memory,
        faults: &Faults::of(&world.memory),
        activations: None,
        energy: &EnergySpec::default(),
        points: &points,
        seed: Seed(5),
        chips: 1,
        tolerance: None,
        test_images: 60,
        // a trial reads the clock as it begins
        clock: || {
            CANCEL.store(true, Ordering::Relaxed);
            0.0
        },
    };
    let mut stored = 0;
    let mut sink = |_: &Trial| {
        stored += 1;
        Ok(())
    };
    let stopped = comparison.run(&[], &CANCEL, &mut sink);
    assert!(matches!(stopped, Err(Error::Interrupted)));
    assert_eq!(stored, 0);
}

#[test]
fn finished_trials_are_not_computed_again() {
    let world = world(4);
    let (whole, computed) = run(&world, "0.78,0.9", 4, None, &[]);
    assert_eq!(computed, 8);
    let (resumed, computed) = run(&world, "0.78,0.9", 4, None, &whole.trials[..5]);
    assert_eq!(computed, 3);
    assert_eq!(resumed, whole);
}

#[test]
fn at_the_error_free_voltage_every_chip_gives_the_clean_result() {
    let world = world(4);
    let clean = world.evaluator.clean(&world.images).unwrap();
    for trial in run(&world, "1.0", 3, None, &[]).0.trials {
        assert_eq!((trial.faults, trial.correct), (0, clean.correct));
        assert_eq!(trial.status, TrialStatus::FaultFree);
    }
}

#[test]
fn fault_counts_have_the_rate_of_the_curve() {
    let world = world(4);
    let trials = run(&world, "0.833", 40, None, &[]).0.trials;
    let bits = 4.0 * f64::from(784 * 200 + 200 * 50 + 50 * 10);
    let mean = trials.iter().map(|t| t.faults as f64).sum::<f64>() / 40.0;
    let expected = bits * 1.115e-2;
    assert!(
        (mean - expected).abs() < 4.0 * (expected / 40.0).sqrt(),
        "{mean} {expected}"
    );
}

#[test]
fn a_tolerance_stops_at_the_same_number_of_chips_for_every_design() {
    let world = world(4);
    let (outcome, _) = run(&world, "0.75,1.0", 200, Some(0.04), &[]);
    assert_eq!(outcome.stopped_by, StoppedBy::Tolerance);
    let chips = outcome.trials.len() / 2;
    assert!((16..200).contains(&chips) && chips % 8 == 0, "{chips}");
    let (outcome, _) = run(&world, "0.75,1.0", 20, Some(1e-6), &[]);
    assert_eq!(
        (outcome.stopped_by, outcome.trials.len()),
        (StoppedBy::Chips, 40)
    );
}

#[test]
fn the_tolerance_holds_the_choice_of_images_and_more_chips_only_where_they_help() {
    let world = world(4);
    let chips = |test_images| {
        let (outcome, _) = run_of(&world, test_images, "0.75,1.0", 400, Some(0.02), &[]);
        (outcome.trials.len() / 2, outcome.stopped_by)
    };
    let whole = chips(60);
    assert_eq!(whole.1, StoppedBy::Tolerance);
    // the choice of 60 of 61 images takes a part of the tolerance
    let most = chips(61);
    assert!(
        most.0 > whole.0 && most.1 == StoppedBy::Tolerance,
        "{most:?} {whole:?}"
    );
    // that of 60 of 6000 images alone is above it: as many chips as if their part were all
    assert_eq!(chips(6000), (whole.0, StoppedBy::Images));
}

#[test]
fn float_models_are_refused() {
    let world = world(32);
    let swept_models = [world.swept()];
    let points = [world.memory.at(world.memory.error_free).unwrap()];
    let points = DesignPoint::grid(1, &points, &[Protection::None]);
    let comparison = Comparison {
        swept_models: &swept_models,
        memory: &world.memory,
        faults: &Faults::of(&world.memory),
        activations: None,
        energy: &EnergySpec::default(),
        points: &points,
        seed: Seed(1),
        chips: 1,
        tolerance: None,
        test_images: 60,
        clock: || 0.0,
    };
    assert!(comparison
        .designs()
        .unwrap_err()
        .to_string()
        .contains("float weights"));
}
