//! The oracle of simulated chips: energies of a sweep, answers of the engine, chips apart, trials resumed.

use super::super::{explore, DomainSpec, PointStatus};
use super::*;
use crate::engine::{Evaluator, Images};
use crate::fault::FaultSpec;
use crate::memory;
use crate::memory::{EnergySpec, MemoryModel};
use crate::net::{Architecture, Network, RangeRule};
use crate::quant::{Method, QuantizerSpec};
use crate::sweep::{ActivationSide, SuppliedRows};
use crate::units::Bits;
use candle_core::Device;

/// A network with the images that it classifies as labelled: its accuracy without faults is 1, and faults cost some.
struct World {
    evaluator: Evaluator,
    images: Images,
    memory: MemoryModel,
}

fn network() -> Network {
    let quantizer = QuantizerSpec {
        method: Method::Wcat,
        bits: Bits::new(4).unwrap(),
        ..QuantizerSpec::default()
    };
    Network::new(Architecture::Lenet5, 10, &quantizer, Seed(1), &Device::Cpu)
        .unwrap()
        .0
}

fn world() -> World {
    let network = network();
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    // far from 0, so that answers depend on the images and not on the biases alone
    let pixels: Vec<f32> = (0..120 * 784)
        .map(|_| 30.0 * stream.normal() as f32)
        .collect();
    let evaluator = Evaluator::new(network).unwrap();
    // labels are the answers of the network itself: of each class the images that it gives it
    let right = |label: u32| -> Vec<bool> {
        let one = |pixels: &[f32]| {
            let image =
                Images::new(pixels.to_vec(), [1, 28, 28], vec![label], &Device::Cpu).unwrap();
            evaluator.clean(&image).unwrap().correct == 1
        };
        pixels.chunks(784).map(one).collect()
    };
    let of_label: Vec<Vec<bool>> = (0..10).map(right).collect();
    let labels = (0..120)
        .map(|image| {
            (0..10)
                .find(|label| of_label[*label as usize][image])
                .unwrap()
        })
        .collect();
    let images = Images::new(pixels, [1, 28, 28], labels, &Device::Cpu).unwrap();
    World {
        evaluator,
        images,
        memory: memory::load("sram-14nm-chandramoorthy2019").unwrap(),
    }
}

fn swept(world: &World) -> SweptModel<'_> {
    SweptModel {
        name: "m".into(),
        dataset: "d".into(),
        training_seed: None,
        evaluator: &world.evaluator,
        images: &world.images,
        clean: world.evaluator.clean(&world.images).unwrap(),
    }
}

/// Runs `work` with a simulation of layers or bits over four voltages.
fn with<R>(
    world: &World,
    domains: &DomainSpec,
    faults: &Faults,
    work: impl FnOnce(&mut Simulation) -> R,
) -> R {
    with_side(world, domains, faults, None, work)
}

/// The same with a memory of stored activations.
fn with_side<R>(
    world: &World,
    domains: &DomainSpec,
    faults: &Faults,
    side: Option<&ActivationSide>,
    work: impl FnOnce(&mut Simulation) -> R,
) -> R {
    let swept = swept(world);
    let parts = domains.parts(&world.evaluator).unwrap();
    let voltages = world.memory.voltages("0.75,0.8,0.9,1.0").unwrap();
    let grid: Vec<OperatingPoint> = voltages
        .iter()
        .map(|v| world.memory.at(*v).unwrap())
        .collect();
    let cancel = AtomicBool::new(false);
    let mut simulation = Simulation {
        verification: Comparison {
            swept_models: std::slice::from_ref(&swept),
            memory: &world.memory,
            faults,
            activations: side,
            energy: &EnergySpec::default(),
            points: &[],
            seed: Seed(7),
            chips: 4,
            tolerance: None,
            test_images: 120,
            clock: || 0.0,
        },
        search_model: &swept,
        activations: side.map(|_| ActivationDomain {
            grid: &grid,
            error_free: grid[3],
        }),
        parts: &parts,
        grid: &grid,
        search_chips: 3,
        cancel: &cancel,
        sink: &mut |_, _| Ok(()),
        done: Vec::new(),
        verified: Vec::new(),
    };
    work(&mut simulation)
}

/// The same world with activations of 8 bits.
fn with_activations(world: World) -> World {
    let network = network();
    let mut stream = Seed(2).stream(Purpose::Test, &[]);
    let images = stream.normal_tensor(30.0, (20, 1, 28, 28)).unwrap();
    let found = network
        .calibrate(&[images], 8, false, RangeRule::Max)
        .unwrap();
    World {
        evaluator: Evaluator::new(network.with_activations(&found).unwrap()).unwrap(),
        ..world
    }
}

#[test]
fn stored_activations_are_a_domain_beside_the_weights() {
    let world = with_activations(world());
    let faults = Faults::of(&world.memory);
    let side = ActivationSide {
        memory: world.memory.clone(),
        faults: Faults::of(&world.memory),
        words: None,
        protection: Protection::None,
        energy_ratio: None,
        rows: SuppliedRows::Together,
    };
    let domains = DomainSpec::Memories;
    with_side(&world, &domains, &faults, Some(&side), |simulation| {
        let grid = simulation.grid;
        let space = simulation.space(&ExploreSpec::default()).unwrap();
        assert_eq!(space.domains, ["weights", "activations"]);
        for levels in [[0, 0], [0, 3], [2, 1], [3, 3]] {
            let point = simulation.point(&all_supplied(&levels));
            assert_eq!(point.activations, Some(grid[levels[1]]));
            let design = simulation.design(&[point]).unwrap();
            let own = space.memory_energy(&levels);
            assert!((own - design.energy_relative).abs() < 1e-12, "{levels:?}");
        }
        // each alone, and both at once
        let both = simulation.point(&all_supplied(&[2, 2]));
        let both = simulation.design(&[both]).unwrap();
        assert_eq!(both.design_id, "m@0.9vmin+both");
        assert!(both.activations.is_none() && both.counts_activations());
        let asked = [
            [Some(0), None],
            [None, Some(0)],
            [Some(0), Some(0)],
            [None, None],
        ];
        let found = simulation.search(&asked.map(|own| own.to_vec())).unwrap();
        let sums: Vec<u64> = found.iter().map(|chips| chips.iter().sum()).collect();
        let clean = simulation.search_images().correct;
        assert!(sums[..3].iter().all(|sum| *sum < 3 * clean), "{sums:?}");
        assert_eq!(found[3], [clean; 3]);
        let verified = simulation.verify(&vec![0, 2]).unwrap();
        assert_eq!(verified.len(), 4);
        let named = &simulation.verified[0];
        assert_eq!(named.design.design_id, "m@0.75vmin+act0.9vmin");
        assert_eq!(
            space.supplied(&named.domain_voltages).unwrap(),
            [Some(0), Some(2)]
        );
    });
}

#[test]
fn energies_of_a_space_are_those_of_the_sweep() {
    let world = world();
    for domains in [DomainSpec::Layers, DomainSpec::Bits] {
        with(&world, &domains, &Faults::of(&world.memory), |simulation| {
            let space = simulation.space(&ExploreSpec::default()).unwrap();
            let count = space.domains.len();
            for shift in 0..6 {
                let levels: Levels = (0..count).map(|domain| (domain * 3 + shift) % 4).collect();
                let point = simulation.point(&all_supplied(&levels));
                let design = simulation.design(&[point]).unwrap();
                assert!(
                    (space.memory_energy(&levels) - design.energy_relative).abs() < 1e-12,
                    "{levels:?}"
                );
            }
            // 4 of 8 bits at the error-free voltage
            assert!((space.memory_energy(&space.single(3)) - 0.5).abs() < 1e-12);
            assert!((space.memory_energy(&space.single(0)) - 0.5 * 0.5625).abs() < 1e-12);
        });
    }
}

#[test]
fn answers_of_the_search_are_those_of_trials_and_domains_add_up_to_the_whole_memory() {
    let world = world();
    with(
        &world,
        &DomainSpec::Layers,
        &Faults::of(&world.memory),
        |simulation| {
            let joint = vec![Some(0), Some(1), Some(1), Some(0), Some(2)];
            let alone = vec![None, None, Some(0), None, None];
            let whole = vec![Some(1); 5];
            let supplied = [joint, alone, whole.clone()];
            let fast = simulation.search(&supplied).unwrap();
            let points: Vec<DesignPoint> = supplied.iter().map(|s| simulation.point(s)).collect();
            assert_eq!(fast, simulation.search_by_trials(&points).unwrap());
            assert!(
                fast.iter()
                    .all(|correct| correct.len() == 3 && correct.iter().any(|c| *c < 120)),
                "{fast:?}"
            );
            // one voltage in five domains is one voltage
            let domain = |part: &Part| part.domain(simulation.grid[1]);
            let apart = DesignPoint {
                supply: Supply::Domains(simulation.parts.iter().filter_map(domain).collect()),
                ..points[2].clone()
            };
            assert_eq!(simulation.search_by_trials(&[apart]).unwrap()[0], fast[2]);
            assert_eq!(simulation.search(&[vec![Some(3); 5]]).unwrap(), [[120; 3]]);
        },
    );
}

#[test]
fn transient_faults_are_searched_by_trials() {
    let world = world();
    let spec = FaultSpec {
        persistent_share: Some("0.5".parse().unwrap()),
        ..FaultSpec::default()
    };
    let faults = Faults::new(&spec, &world.memory).unwrap();
    with(&world, &DomainSpec::Layers, &faults, |simulation| {
        let supplied = [vec![Some(0); 5]];
        let points = [simulation.point(&supplied[0])];
        assert_eq!(
            simulation.search(&supplied).unwrap(),
            simulation.search_by_trials(&points).unwrap()
        );
    });
}

#[test]
fn verification_is_a_sweep_of_its_own_chips_and_is_resumed() {
    let world = world();
    with(
        &world,
        &DomainSpec::Layers,
        &Faults::of(&world.memory),
        |simulation| {
            let levels = vec![0, 0, 0, 0, 0];
            let correct = simulation.verify(&levels).unwrap();
            assert_eq!(correct.len(), 4);
            // another seed, other chips
            assert_ne!(
                simulation.search(&[all_supplied(&levels)]).unwrap()[0],
                correct[..3]
            );
            let Verified {
                design,
                trials,
                energies,
                ..
            } = simulation.verified[0].clone();
            let sum: f64 = energies.iter().map(|row| row.term.energy_relative).sum();
            assert!((sum - design.energy_relative).abs() < 1e-12, "{sum}");
            assert_eq!(
                (design.design_id.as_str(), design.voltage),
                ("m@0.75vmin", Some(0.75))
            );
            simulation.done = trials;
            let mut refuse = |_: &Design, _: &Trial| Err(Error::Interrupted);
            let again = Simulation {
                sink: &mut refuse,
                done: simulation.done.clone(),
                verified: Vec::new(),
                ..*simulation
            }
            .verify(&levels);
            assert_eq!(again.unwrap(), correct);
        },
    );
}

#[test]
fn an_exploration_of_a_network_ends_with_verified_points() {
    let world = world();
    with(
        &world,
        &DomainSpec::Layers,
        &Faults::of(&world.memory),
        |simulation| {
            let spec = ExploreSpec {
                max_loss: 0.15,
                search_chips: 3,
                evaluations: 20,
                ..ExploreSpec::default()
            };
            let space = simulation.space(&spec).unwrap();
            let mut rows = Vec::new();
            let outcome = explore(&space, &spec, simulation, &[], &mut |row| {
                rows.push(row.clone());
                Ok(())
            })
            .unwrap();
            assert!(outcome.answer.single.is_some() && !rows.is_empty());
            for point in outcome
                .points
                .iter()
                .filter(|point| point.status == PointStatus::Verified)
            {
                assert!(point.verified_loss.high <= Some(0.15) && point.verified_loss.chips == 4);
            }
            assert_eq!(simulation.verified.len(), outcome.points.len());
            assert!(
                outcome.answer.text().contains("on 4 chips"),
                "{}",
                outcome.answer.text()
            );
            simulation.cancel.store(true, Ordering::Relaxed);
            let ended = explore(&space, &spec, simulation, &[], &mut |_| Ok(()));
            assert!(matches!(ended, Err(Error::Interrupted)));
        },
    );
}
