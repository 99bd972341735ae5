//! Whatever a run records is read back.

use crate::program::Place;
use wcat_explore::config::{Experiment, Layer, ModelSpec};
use wcat_explore::data::{
    Augmentation, DatasetName, DatasetSpec, FolderSpec, GlyphSpec, Normalization, Split,
};
use wcat_explore::device::DeviceSpec;
use wcat_explore::explore::groups;
use wcat_explore::explore::{DomainSpec, Group};
use wcat_explore::fault::{KindName, Noise};
use wcat_explore::memory::{Dataflow, ProcessingArray};
use wcat_explore::net::Architecture;
use wcat_explore::quant::{ClipGradient, Init, Method, QuantizerSpec};
use wcat_explore::sweep::{Sampling, TestSplit};
use wcat_explore::train::{OptimizerName, Schedule};
use wcat_explore::units::{Ber, Bits};
use wcat_explore::yaml::{resolve, to_yaml};

/// What was written is read back, as YAML and as JSON.
#[track_caller]
fn reads_back(experiment: &Experiment) {
    let yaml = to_yaml(experiment).unwrap();
    let layer = Layer::built_in("run.yaml", &yaml).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    let read: Experiment = resolve(&[layer]).unwrap_or_else(|e| panic!("{e}\n{yaml}"));
    assert_eq!(read, *experiment, "{yaml}");
    let json = serde_json::to_string(experiment).unwrap();
    assert_eq!(
        serde_json::from_str::<Experiment>(&json).unwrap(),
        *experiment,
        "{json}"
    );
}

/// The default with one change.
#[track_caller]
fn with(change: impl Fn(&mut Experiment)) {
    let mut experiment = Experiment::default();
    change(&mut experiment);
    reads_back(&experiment);
}

fn group(name: &str, layers: &[&str]) -> Group {
    let layers = layers.iter().map(|glob| (*glob).to_owned()).collect();
    Group {
        name: name.into(),
        layers,
    }
}

#[test]
fn domains_of_every_kind_read_back() {
    let groups = vec![
        group("first", &["conv1", "layer1.*"]),
        group("on", &["fc*"]),
    ];
    for domains in [
        DomainSpec::Layers,
        DomainSpec::Bits,
        DomainSpec::Groups(groups),
    ] {
        with(|e| e.explore.domains = Some(domains.clone()));
    }
}

#[test]
fn every_word_of_a_configuration_reads_back() {
    for device in [DeviceSpec::Cpu, DeviceSpec::Cuda(3)] {
        with(|e| e.device = device);
    }
    for name in DatasetName::ALL {
        with(|e| e.dataset = DatasetSpec::of(name).resolved());
    }
    with(|e| {
        e.dataset = DatasetSpec {
            augmentation: Augmentation {
                flip: true,
                crop_padding: 4,
                random_resized_crop: Some(0.08),
            },
            normalization: Some(Normalization {
                mean: vec![0.1, 0.2, 0.3],
                std: vec![1.0 / 3.0; 3],
            }),
            glyphs: Some(GlyphSpec::default()),
            folder: Some(FolderSpec {
                size: Some(224),
                resize: Some(256),
            }),
            ..DatasetSpec::default()
        };
    });
    for architecture in Architecture::all() {
        with(|e| e.network.architecture = architecture.into());
    }
    with(|e| e.network.weights = Some("a b: 'c'.safetensors".into()));
    for name in [
        OptimizerName::Sgd,
        OptimizerName::Adam,
        OptimizerName::Rmsprop,
    ] {
        with(|e| e.trainer.optimizer.name = name);
    }
    with(|e| e.trainer.optimizer.betas = Some([0.9, 0.999]));
    for name in [
        Schedule::Constant,
        Schedule::Cosine,
        Schedule::Exponential,
        Schedule::MultiStep,
    ] {
        with(|e| e.trainer.schedule.name = name);
    }
    with(|e| e.trainer.schedule.milestones = Some(vec![1, 2]));
    for noise in [Noise::Random, Noise::Msb] {
        with(|e| e.faults.noise = noise);
    }
    for kind in [KindName::Flip, KindName::Stuck, KindName::Biased] {
        with(|e| e.faults.kind = Some(kind));
    }
    with(|e| {
        e.faults.arrays = ["independent", "model", "column=0.1,bank=0.2"]
            .map(str::to_owned)
            .into()
    });
    with(|e| {
        e.sweep.protection = ["none", "msb:2", "secded", "parity_zero"]
            .map(str::to_owned)
            .into()
    });
    for dataflow in Dataflow::ALL {
        with(|e| e.energy.dataflow = dataflow);
    }
    with(|e| {
        e.energy.array = Some(ProcessingArray {
            rows: 16,
            columns: 32,
        })
    });
    for split in [TestSplit::Test, TestSplit::Validation] {
        with(|e| e.sweep.split = split);
    }
    for sampling in Sampling::ALL {
        with(|e| e.sweep.sampling = sampling);
    }
    with(|e| {
        e.sweep.bit_error_rates = [1e-7, 1.0 / 3.0].map(|rate| Ber::new(rate).unwrap()).into()
    });
    for data in [Split::Training, Split::Test] {
        with(|e| e.attack.data = data);
    }
}

#[test]
fn every_quantiser_reads_back() {
    for method in Method::ALL {
        for init in [
            None,
            Some(Init::MaxAbs),
            Some(Init::Sawb),
            Some(Init::Mse),
            Some(Init::NoisyMse),
        ] {
            for clip_gradient in [
                None,
                Some(ClipGradient::Ste),
                Some(ClipGradient::Pwl),
                Some(ClipGradient::Mad),
            ] {
                let quantizer = QuantizerSpec {
                    method,
                    bits: Bits::new(4).unwrap(),
                    init,
                    clip_gradient,
                    layer_bits: [("fc: *".to_owned(), Bits::FLOAT)].into(),
                    ..QuantizerSpec::default()
                };
                with(|e| {
                    e.quantizer = quantizer.clone();
                    let quantizer = quantizer.clone();
                    e.models.push(ModelSpec {
                        name: "a".into(),
                        quantizer,
                    });
                });
            }
        }
    }
}

#[test]
fn an_exploration_of_groups_is_made_resumed_and_drawn_again() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place.write("groups.yaml", "first: [\"conv*\"]\nrest: [\"fc*\"]\n");
    let explore = [
        "explore",
        "--model",
        "m.safetensors",
        "--domains",
        "groups:groups.yaml",
        "--max-loss",
        "0.5",
        "--voltages",
        "0.8,0.9,1.0",
        "--chips",
        "3",
        "--search-chips",
        "2",
        "--search-images",
        "20",
        "--images",
        "20",
        "--evaluations",
        "6",
        "--out",
        "run",
    ];
    let first = place.done(&explore);
    let tables = [
        "summary.csv",
        "explored.csv",
        "pareto.csv",
        "trials.journal",
    ];
    let read = || tables.map(|name| place.read(&format!("results/run/{name}")));
    let before = read();
    let again = place.done(&explore);
    assert_eq!(again.stdout, first.stdout);
    assert!(read() == before, "tables differ");
    // the record holds the groups and the checksum of their file, which may go
    let text = String::from_utf8(place.read("results/run/run.yaml")).unwrap();
    let file = place.read("groups.yaml");
    for part in [
        "domains:",
        "name: first",
        "conv*",
        &wcat_explore::store::sha256(&file),
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let all = groups(&place.path("groups.yaml")).unwrap();
    assert_eq!(all.len(), 2);
    std::fs::remove_file(place.path("groups.yaml")).unwrap();
    place.done(&["pareto", "results/run", "--out", "again"]);
    place.done(&["publish", "results/run", "--out", "d.md"]);
    // other groups are another run
    place.write(
        "groups.yaml",
        "first: [\"conv*\", fc1]\nrest: [\"fc[23]\"]\n",
    );
    let other = place.run(&explore);
    assert_eq!(other.code, Some(2), "{}", other.stderr);
    // in a configuration as in a record
    place.write(
        "c.yaml",
        "name: c\nexplore: { domains: { groups: [{ name: a, layers: ['conv*'] }, { name: b, layers: ['fc*'] }] } }\n",
    );
    let configured = [
        &["explore", "--config", "c.yaml"],
        &explore[1..3],
        &explore[5..19],
    ]
    .concat();
    place.done(&configured);
    place.write("c.yaml", "name: c\nexplore: { domains: rows }\n");
    let wrong = place.run(&configured);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .contains("one of `layers`, `bits`, `weights,activations`, `groups`"),
        "{}",
        wrong.stderr
    );
}
