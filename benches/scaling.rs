//! How the cost of a sweep grows with chips, voltages, images, weights and threads: runs small sweeps through the
//! library and writes `docs/scaling.csv` and the figure `docs/images/scaling.svg` and `.png`.
//!
//! `cargo bench --bench scaling`; after `--`: `--isa avx2`, `--repeats N`. CPU seconds of all threads, and wall time.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // a benchmark may stop at once and prints its result

#[path = "measure/mod.rs"]
mod measure;
#[path = "measure/panels.rs"]
mod panels;

use measure::{cpu_seconds, median};
use panels::{Curve, Panel};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Instant;
use wcat_explore::engine::{Evaluator, Images, Score};
use wcat_explore::fault::Protection;
use wcat_explore::figure;
use wcat_explore::kernel::Isa;
use wcat_explore::memory::{self, EnergySpec, Faults, MemoryModel};
use wcat_explore::net::Architecture;
use wcat_explore::seed::Seed;
use wcat_explore::store;
use wcat_explore::sweep::{Comparison, DesignPoint, SweptModel};

/// Repeats where nothing else is asked; every point is measured in each of them.
const REPEATS: usize = 3;

/// A sweep of one network.
#[derive(Clone, Copy, Debug)]
struct Case {
    /// What is varied.
    factor: &'static str,
    architecture: Architecture,
    chips: u32,
    voltages: usize,
    images: usize,
    threads: usize,
}

/// The sweep of which one number is varied.
const BASE: Case = Case {
    factor: "",
    architecture: Architecture::Lenet5,
    chips: 8,
    voltages: 4,
    images: 500,
    threads: 1,
};

/// A case with the network, and what it took, repeat by repeat.
struct Measured {
    case: Case,
    weights: usize,
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    cases.extend([2, 4, 8, 16, 32].map(|chips| Case {
        factor: "chips",
        chips,
        ..BASE
    }));
    cases.extend([1, 2, 4, 8, 16].map(|voltages| Case {
        factor: "voltages",
        voltages,
        ..BASE
    }));
    cases.extend([125, 250, 500, 1000, 2000].map(|images| Case {
        factor: "images",
        images,
        ..BASE
    }));
    let networks = [Architecture::Mlp, Architecture::Lenet5].into_iter();
    let resnets = [3, 5, 7, 9].map(|blocks| Architecture::Resnet {
        blocks,
        projection: false,
    });
    let small = Case {
        factor: "weights",
        chips: 1,
        images: 100,
        ..BASE
    };
    cases.extend(networks.chain(resnets).map(|architecture| Case {
        architecture,
        ..small
    }));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cases.extend((1..=cores.min(8)).map(|threads| Case {
        factor: "threads",
        threads,
        ..BASE
    }));
    cases
}

fn main() {
    let asked = measure::asked();
    if !asked.wants("scaling") {
        return;
    }
    let repeats = if std::env::var("WCAT_REPEATS").is_ok() {
        asked.repeats
    } else {
        REPEATS
    };
    let memory = memory::load("sram-14nm-chandramoorthy2019").unwrap();
    let cases = cases();
    let mut measured: Vec<Measured> = cases.iter().map(|case| Measured::new(*case)).collect();
    for _ in 0..repeats {
        for of in &mut measured {
            of.measure(&memory);
        }
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let svg = panels::drawn(&panels_of(&measured), &legend(repeats));
    let csv = table(&measured);
    store::write_bytes(&folder.join("scaling.csv"), csv.as_bytes()).unwrap();
    store::write_bytes(&folder.join("images/scaling.svg"), svg.as_bytes()).unwrap();
    store::write_bytes(
        &folder.join("images/scaling.png"),
        &figure::png(&svg).unwrap(),
    )
    .unwrap();
    println!("{csv}");
    println!(
        "vector instructions: {}, medians of {repeats} interleaved repeats",
        Isa::current()
    );
}

impl Measured {
    fn new(case: Case) -> Self {
        let weights = Evaluator::new(measure::network(case.architecture))
            .unwrap()
            .words()
            .len();
        Self {
            case,
            weights,
            cpu: Vec::new(),
            wall: Vec::new(),
        }
    }

    fn measure(&mut self, memory: &MemoryModel) {
        let case = self.case;
        let evaluator = Evaluator::new(measure::network(case.architecture)).unwrap();
        let images = measure::images(case.architecture, case.images);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(case.threads)
            .build()
            .unwrap();
        let clean = evaluator.clean(&images).unwrap();
        let sweep = || sweep(case, &evaluator, &images, clean, memory);
        let started = Instant::now();
        self.cpu.push(cpu_seconds(|| pool.install(sweep)));
        self.wall.push(started.elapsed().as_secs_f64());
    }
}

/// The trials of a case; at each of its voltages every chip has faults, so that every trial is evaluated.
fn sweep(case: Case, evaluator: &Evaluator, images: &Images, clean: Score, memory: &MemoryModel) {
    let (low, high) = (0.78, 0.90);
    let step = (high - low) / case.voltages as f64;
    let voltage = |i: usize| format!("{:.4}", low + step * (i as f64 + 0.5));
    let list = (0..case.voltages)
        .map(voltage)
        .collect::<Vec<_>>()
        .join(",");
    let points: Vec<_> = memory
        .voltages(&list)
        .unwrap()
        .iter()
        .map(|v| memory.at(*v).unwrap())
        .collect();
    let points = DesignPoint::grid(1, &points, &[Protection::None]);
    let swept_models = [SweptModel {
        name: "network".into(),
        dataset: "noise".into(),
        training_seed: None,
        evaluator,
        images,
        clean,
    }];
    let comparison = Comparison {
        swept_models: &swept_models,
        memory,
        faults: &Faults::of(memory),
        activations: None,
        energy: &EnergySpec::default(),
        points: &points,
        seed: Seed(1),
        chips: case.chips,
        tolerance: None,
        test_images: images.len(),
        clock: || 0.0,
    };
    let outcome = comparison
        .run(&[], &AtomicBool::new(false), &mut |_| Ok(()))
        .unwrap();
    assert!(outcome.trials.iter().all(|trial| trial.faults > 0));
}

fn table(measured: &[Measured]) -> String {
    let mut csv = String::from(
        "factor,network,weights,chips,voltages,images,threads,cpu_seconds,wall_seconds,cpu_ms_per_trial\n",
    );
    for Measured {
        case,
        weights,
        cpu,
        wall,
    } in measured
    {
        let (cpu, wall) = (median(cpu), median(wall));
        let each = 1e3 * cpu / f64::from(case.chips) / case.voltages as f64;
        csv += &format!(
            "{},{},{weights},{},{},{},{},{cpu:.4},{wall:.4},{each:.3}\n",
            case.factor, case.architecture, case.chips, case.voltages, case.images, case.threads
        );
    }
    csv
}

fn panels_of(measured: &[Measured]) -> Vec<Panel> {
    let factors = [
        ("chips", "Chips", "chips per voltage"),
        ("voltages", "Voltages", "voltages"),
        ("images", "Images", "images per trial, thousands"),
        ("weights", "Networks", "stored weights, thousands"),
        ("threads", "Threads", "threads"),
    ];
    let panel = |(factor, title, axis): (&'static str, &'static str, &'static str)| {
        let of: Vec<&Measured> = measured
            .iter()
            .filter(|m| m.case.factor == factor)
            .collect();
        let x = |m: &Measured| match factor {
            "chips" => f64::from(m.case.chips),
            "voltages" => m.case.voltages as f64,
            "images" => m.case.images as f64 / 1e3,
            "weights" => m.weights as f64 / 1e3,
            _ => m.case.threads as f64,
        };
        let cpu = of.iter().map(|m| (x(m), median(&m.cpu))).collect();
        let names = of.iter().map(|m| m.case.architecture.to_string());
        let mut curves = vec![Curve {
            points: cpu,
            names: names.filter(|_| factor == "weights").collect(),
            wall: false,
        }];
        if factor == "threads" {
            let wall = of.iter().map(|m| (x(m), median(&m.wall))).collect();
            curves.push(Curve {
                points: wall,
                names: Vec::new(),
                wall: true,
            });
        }
        let proportional = !["weights", "threads"].contains(&factor);
        Panel {
            title,
            axis,
            proportional,
            whole: factor == "threads",
            curves,
        }
    };
    factors.map(panel).into()
}

fn legend(repeats: usize) -> Vec<String> {
    vec![
        format!(
            "LeNet-5 of 8 bits, {} chips, {} voltages,",
            BASE.chips, BASE.voltages
        ),
        format!("{} images, one thread; one of these", BASE.images),
        "numbers varied in each panel.".to_owned(),
        "Networks: 1 chip, 100 images.".to_owned(),
        format!("Vector instructions: {}.", Isa::current()),
        format!("Medians of {repeats} interleaved repeats."),
    ]
}
