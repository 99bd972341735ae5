//! How images are normalised for a foreign model can be said, and is said.

use super::checkpoints::{bare, pth, state};
use crate::program::{records, Place};
use serde_json::Value;

const DATA: [&str; 6] = [
    "--dataset",
    "glyphs",
    "--set",
    "dataset.glyphs.test_images=20",
    "--images",
    "20",
];

fn evaluated(place: &Place, more: &[&str]) -> Value {
    let call = ["eval", "--threads", "1", "--model", "a.pth"];
    records(place, &[&call[..], &DATA, more].concat()).remove(0)
}

fn place() -> Place {
    let place = Place::new();
    place.write("a.pth", pth(&state("lenet5"), bare));
    place
}

#[test]
fn statistics_are_said_and_change_what_a_foreign_model_sees() {
    let place = place();
    let assumed = evaluated(&place, &[]);
    assert_eq!(assumed["normalization"], "0.1682/0.2138 (assumed)");
    let half = evaluated(&place, &["--normalize", "half"]);
    assert_eq!(half["normalization"], "half");
    assert_ne!(half["loss"], assumed["loss"]);
    for same in [
        ["--normalize", "0.5/0.5"],
        ["--set", "dataset.normalization=half"],
        ["--set", "dataset.normalization={mean: [0.5], std: [0.5]}"],
    ] {
        assert_eq!(evaluated(&place, &same), half);
    }
    let same = evaluated(&place, &["--normalize", "0.1682/0.2138"]);
    assert_eq!(same["loss"], assumed["loss"]);
    let none = evaluated(&place, &["--normalize", "none"]);
    assert_ne!(none["loss"], half["loss"]);
    let call = [&["eval", "-q", "--model", "a.pth"][..], &DATA].concat();
    let ended = place.done(&call);
    assert!(
        ended.stderr.contains("assumed: 0.1682/0.2138"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("normalised by"), "{}", ended.stdout);
}

#[test]
fn a_quantised_file_carries_its_statistics() {
    let place = place();
    let quantize = ["quantize", "--model", "a.pth", "--bits", "4", "--no-eval"];
    let out = ["--out", "half.safetensors", "--normalize", "half"];
    let row = records(&place, &[&quantize[..], &out].concat()).remove(0);
    assert_eq!(row["normalization"], "half");
    let call = ["eval", "--model", "half.safetensors"];
    let row = records(&place, &[&call[..], &DATA].concat()).remove(0);
    assert_eq!(row["normalization"], "half");
    // the same is no contradiction, another one has no effect
    place.done(&[&call[..], &DATA, &["--normalize", "0.5/0.5"]].concat());
    for other in [
        ["--normalize", "none"],
        ["--set", "dataset.normalization=none"],
    ] {
        let ended = place.run(&[&call[..], &DATA, &other].concat());
        assert_eq!(ended.code, Some(2));
        assert!(
            ended.stderr.contains("has its own normalisation, half"),
            "{}",
            ended.stderr
        );
    }
    let sweep = [
        "sweep",
        "--threads",
        "1",
        "--model",
        "half.safetensors",
        "--chips",
        "1",
    ];
    place.done(&[&sweep[..], &DATA, &["--voltages", "0.9"]].concat());
    let record = String::from_utf8(place.read(&format!("{}/run.yaml", place.only_run()))).unwrap();
    assert!(record.contains("normalization: half"), "{record}");
    let shown = place
        .done(&["inspect", "--model", "half.safetensors"])
        .stdout;
    assert!(shown.contains("images normalised by: half"), "{shown}");
}

#[test]
fn given_statistics_are_part_of_a_runs_identity_and_wrong_ones_are_refused() {
    let place = place();
    let quantize = [
        "quantize",
        "-q",
        "--model",
        "a.pth",
        "--bits",
        "4",
        "--no-eval",
    ];
    place.done(&[&quantize[..], &["--out", "free.safetensors"]].concat());
    let sweep = [
        "sweep",
        "--threads",
        "1",
        "--model",
        "free.safetensors",
        "--chips",
        "1",
    ];
    let sweep = [&sweep[..], &DATA, &["--voltages", "0.9"]].concat();
    for more in [
        &[][..],
        &["--normalize", "half"],
        &["--normalize", "0.1682/0.2138"],
    ] {
        place.done(&[&sweep[..], more].concat());
    }
    // the last is what the first assumed
    assert_eq!(std::fs::read_dir(place.path("results")).unwrap().count(), 2);
    for wrong in ["imagenet", "0.5", "ImageNet", "0.5/0", "1,2,3/1,1,1", ""] {
        let call = ["eval", "--model", "a.pth", "--normalize", wrong];
        let ended = place.run(&[&call[..], &DATA].concat());
        assert_eq!(ended.code, Some(2), "{wrong}");
        assert!(
            ended.stderr.contains("ormaliz"),
            "{wrong}: {}",
            ended.stderr
        );
    }
}
