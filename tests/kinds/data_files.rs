//! The user's own data in one file give the numbers that the same data give elsewhere, and are known by their content.

use crate::program::{records, Place};
use std::io::{Cursor, Write};
use wcat_explore::data::{load, DatasetName, DatasetSpec, GlyphSpec, ImageSet, Split};

const FLOATS: [&str; 2] = ["--data", "floats.npz"];
const BYTES: [&str; 2] = ["--data", "bytes.npz"];
/// The same floats without classes.
const ALONE: [&str; 2] = ["--data", "alone.npz"];
const AGREEMENT: [&str; 2] = ["--metric", "agreement"];

/// An archive of inputs and of classes, if the set has them, as `numpy.savez_compressed` writes it.
fn npz(set: &ImageSet, descr: &str, inputs: &[u8]) -> Vec<u8> {
    let array = |descr: &str, shape: String, data: &[u8]| {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    };
    let shape = format!(
        "{}, {}, {}, {}",
        set.len(),
        set.channels,
        set.height,
        set.width
    );
    let labels: Vec<u8> = set
        .labels
        .iter()
        .flat_map(|own| i64::from(*own).to_le_bytes())
        .collect();
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, array) in [
        ("x.npy", array(descr, shape, inputs)),
        ("y.npy", array("<i8", format!("{},", set.len()), &labels)),
    ]
    .into_iter()
    .take(1 + usize::from(set.has_labels()))
    {
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(name, options).unwrap();
        zip.write_all(&array).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// A hundred glyphs as floats that are normalised and as bytes, and a model that was trained on them.
fn place() -> Place {
    let spec = DatasetSpec {
        glyphs: Some(GlyphSpec {
            test_images: 100,
            training_images: 100,
            ..GlyphSpec::default()
        }),
        ..DatasetSpec::of(DatasetName::Glyphs)
    };
    let set = load(&spec, Split::Test, "".as_ref()).unwrap();
    let all: Vec<u32> = (0..100).collect();
    let floats = set.batch(&all, &spec.normalization(), None);
    let floats: Vec<u8> = floats.iter().flat_map(|x| x.to_le_bytes()).collect();
    let place = Place::new();
    place.write("floats.npz", npz(&set, "<f4", &floats));
    let alone = ImageSet {
        labels: Vec::new(),
        ..set.clone()
    };
    place.write("alone.npz", npz(&alone, "<f4", &floats));
    place.write("bytes.npz", npz(&set, "|u1", set.pixels.bytes()));
    place.write_model("m.safetensors", 4);
    place
}

#[test]
fn the_same_images_in_a_file_give_the_same_numbers() {
    let place = place();
    let eval = ["eval", "--threads", "1", "--model", "m.safetensors"];
    let own = records(&place, &eval).remove(0);
    let floats = records(&place, &[&eval[..], &FLOATS].concat()).remove(0);
    let normalize = ["--normalize", "0.1682/0.2138"];
    let bytes = records(&place, &[&eval[..], &BYTES, &normalize].concat()).remove(0);
    assert_eq!(floats["dataset"], "floats.npz");
    for other in [&floats, &bytes] {
        assert_eq!(other["images"], 100);
        assert_eq!(other["loss"], own["loss"]);
        assert_eq!(other["accuracy"], own["accuracy"]);
    }
    let raw = records(
        &place,
        &[&eval[..], &BYTES, &["--normalize", "raw"]].concat(),
    )
    .remove(0);
    assert_ne!(raw["loss"], own["loss"]);
    let ended = place.run(&[&eval[..], &FLOATS, &normalize].concat());
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .contains("floats.npz holds floating-point inputs"),
        "{}",
        ended.stderr
    );
    // a configuration says the same, relative to the data folder
    let place_of = ["--set", "dataset.name=file", "--data-dir", ".."];
    let file = ["--set", "dataset.file.test=work/floats.npz"];
    let said = records(&place, &[&eval[..], &place_of, &file].concat()).remove(0);
    assert_eq!(said, floats);
}

#[test]
fn a_run_is_gone_on_with_on_the_same_content_only() {
    let place = place();
    let sweep = ["sweep", "--threads", "1", "--model", "m.safetensors"];
    let rest = ["--voltages", "0.9", "--chips", "1", "--out", "run"];
    let sweep = [&sweep[..], &FLOATS, &rest].concat();
    place.done(&sweep);
    let record = String::from_utf8(place.read("results/run/run.yaml")).unwrap();
    assert!(record.contains("from: floats.npz"), "{record}");
    let whole = place.read("floats.npz");
    place.write("floats.npz", place.read("bytes.npz"));
    let ended = place.run(&sweep);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("dataset.sha256"), "{}", ended.stderr);
    place.write("floats.npz", whole);
    let again = place.done(&sweep);
    assert!(again.stderr.contains("1 reused"), "{}", again.stderr);
}

#[test]
fn a_training_takes_a_file_and_knows_it_by_its_content() {
    let place = place();
    let train = ["train", "--threads", "1", "--data"];
    let more = [
        "--set",
        "network.architecture=lenet5",
        "--set",
        "trainer.epochs=1",
    ];
    let trained = |file: &str| {
        let ended = place.done(&[&train[..], &[file], &more].concat());
        ended.stdout.trim().to_owned()
    };
    let model = trained("floats.npz");
    place.write("copy.npz", place.read("floats.npz"));
    assert_eq!(trained("copy.npz"), model);
    assert_ne!(trained("bytes.npz"), model);
    // its training file is no test file
    let ended = place.run(&["eval", "--model", &model]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("--data (dataset.file.test)"),
        "{}",
        ended.stderr
    );
    place.done(&[&["eval", "--model", &model][..], &FLOATS].concat());
    let crop = ["--set", "dataset.augmentation.crop_padding=2"];
    let ended = place.run(&[&train[..], &["floats.npz"], &more, &crop].concat());
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("dataset.augmentation"),
        "{}",
        ended.stderr
    );
}

#[test]
fn inputs_without_classes_are_judged_by_agreement_with_the_network_without_faults() {
    let place = place();
    let eval = ["eval", "--threads", "1", "--model", "m.safetensors"];
    let clean = records(&place, &[&eval[..], &ALONE].concat()).remove(0);
    assert_eq!(
        (&clean["accuracy"], clean["loss"].is_null()),
        (&1.0.into(), true)
    );
    let mut shares = Vec::new();
    for chip in ["0", "1", "2", "3", "4"] {
        let ber = ["--ber", "0.3", "--chip", chip];
        let alone = records(&place, &[&eval[..], &ALONE, &ber].concat()).remove(0);
        let with = records(&place, &[&eval[..], &FLOATS, &ber, &AGREEMENT].concat()).remove(0);
        for key in ["metric", "accuracy", "loss", "faults"] {
            assert_eq!(alone[key], with[key], "{key}");
        }
        shares.push(alone["accuracy"].as_f64().unwrap());
    }
    assert!(shares.iter().any(|share| *share < 1.0), "{shares:?}");
    assert_eq!(clean["metric"], "agreement");
    let ber = ["--ber", "0.3"];
    let top = |metric| {
        let typed = [&eval[..], &FLOATS, &ber, &["--metric", metric]].concat();
        records(&place, &typed).remove(0)
    };
    assert_eq!(
        top("top1"),
        records(&place, &[&eval[..], &FLOATS, &ber].concat()).remove(0)
    );
    assert!(top("top5")["accuracy"].as_f64() > top("top1")["accuracy"].as_f64());
    assert_eq!(top("top5")["loss"], top("top1")["loss"]);
    place.write_model("f.safetensors", 32);
    let train = [
        "train",
        "--data",
        "alone.npz",
        "--set",
        "network.architecture=lenet5",
    ];
    let attack = [
        "attack",
        "--model",
        "m.safetensors",
        "--attack-data",
        "test",
    ];
    let quantize = [
        "quantize",
        "--model",
        "f.safetensors",
        "--out",
        "q.safetensors",
        "--bits",
        "8",
    ];
    for (typed, said) in [
        (
            [&eval[..], &ALONE, &["--metric", "top5"]].concat(),
            "metric `top5`: expected the class of each input",
        ),
        (
            [&attack[..], &ALONE].concat(),
            "an attack with batches of test data",
        ),
        (
            train.to_vec(),
            "training on alone.npz: expected the class of each input",
        ),
        (
            [&quantize[..], &ALONE].concat(),
            "metric `top1`: expected the class of each input",
        ),
        (
            [&eval[..], &FLOATS, &["--metric", "top2"]].concat(),
            "expected top1, top5, agreement, or snr:DECIBELS of 1 to 120 (metric), found `top2`",
        ),
    ] {
        let ended = place.run(&typed);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn a_sweep_of_agreement_has_clean_networks_that_always_agree_and_is_another_run() {
    let place = place();
    let sweep = ["sweep", "--threads", "1", "--model", "m.safetensors"];
    let rest = ["--voltages", "0.8,1.0", "--chips", "20"];
    let swept =
        |data: &[&str], more: &[&str]| records(&place, &[&sweep[..], data, &rest, more].concat());
    let alone = swept(&ALONE, &["--out", "alone"]);
    let with = swept(&FLOATS, &["--out", "with", "--metric", "agreement"]);
    for (alone, with) in alone.iter().zip(&with) {
        for key in ["mean", "ci_low", "yield", "clean_accuracy", "floor"] {
            assert_eq!(alone[key], with[key], "{key}");
        }
        assert_eq!(alone["clean_accuracy"], 1.0);
    }
    assert_ne!(alone[0]["mean"], alone[1]["mean"]);
    let own = [&sweep[..], &FLOATS, &rest, &["--out", "with"]].concat();
    let ended = place.run(&own);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("metric"), "{}", ended.stderr);
    place.done(&[&sweep[..], &FLOATS, &rest, &["--out", "top1"]].concat());
    let record = String::from_utf8(place.read("results/alone/run.yaml")).unwrap();
    assert!(record.contains("metric: agreement"), "{record}");
    let ended = place.run(&["pareto", "results/with", "results/top1"]);
    assert_eq!(ended.code, Some(2));
    let said = "metrics of the runs: expected one metric";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
    let few = [
        "--tolerance",
        "0.02",
        "--sampling",
        "stratified",
        "--out",
        "few",
    ];
    let few = swept(&ALONE, &few);
    assert!((few[0]["mean"].as_f64().unwrap() - alone[0]["mean"].as_f64().unwrap()).abs() < 0.05);
}
