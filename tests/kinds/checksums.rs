//! Damage of a file that is read again is noticed.

use crate::program::Place;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wcat_explore::store;

const SWEEP: [&str; 18] = [
    "sweep",
    "--model",
    "m.safetensors",
    "--voltages",
    "0.8,1.0",
    "--images",
    "10",
    "--chips",
    "3",
    "--dataset",
    "glyphs",
    "--set",
    "dataset.glyphs.test_images=20",
    "--out",
    "r",
    "--threads",
    "1",
    "-q",
];
const PARETO: [&str; 3] = ["pareto", "results/r", "-q"];

fn swept() -> Place {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place.done(&SWEEP);
    place
}

/// Flips a bit of a file.
fn flip(path: &Path, place: usize, bit: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[place] ^= 1 << bit;
    store::write_bytes(path, &bytes).unwrap();
}

/// Some places of a file, spread evenly, each with a bit.
fn places(length: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..count).map(move |i| (i * length / count + i % 7, i % 8))
}

/// Tables of a run but for its times.
fn tables(place: &Place, run: &str) -> Vec<(String, Vec<u8>)> {
    let of_run = |(name, content): (String, Vec<u8>)| {
        let table = name.ends_with(".csv") || name.ends_with(".parquet");
        (name.starts_with(run) && table && !name.ends_with("timing.csv")).then_some((name, content))
    };
    place.tree().into_iter().filter_map(of_run).collect()
}

#[test]
fn checksums_are_those_of_sha256sum_and_equal_runs_have_equal_ones() {
    let place = swept();
    let first = place.read("results/r/checksums");
    let text = String::from_utf8(first.clone()).unwrap();
    for name in [
        "energy.csv",
        "memory_model.yaml",
        "summary.parquet",
        "trials.parquet",
    ] {
        assert!(
            text.lines()
                .any(|line| line.ends_with(&format!("  {name}"))),
            "{text}"
        );
    }
    let check = Command::new("sha256sum")
        .args(["--check", "--strict", "checksums"])
        .current_dir(place.path("results/r"))
        .output();
    if let Ok(output) = check {
        assert!(output.status.success(), "{output:?}");
    }
    place.done(&SWEEP);
    assert_eq!(place.read("results/r/checksums"), first);
    fs::remove_dir_all(place.path("results")).unwrap();
    place.done(&SWEEP);
    assert_eq!(place.read("results/r/checksums"), first);
}

#[test]
fn a_flipped_bit_in_a_stored_run_is_noticed_and_its_file_named() {
    let place = swept();
    for name in [
        "run.yaml",
        "memory_model.yaml",
        "energy.csv",
        "summary.parquet",
        "trials.parquet",
    ] {
        let path = place.path(&format!("results/r/{name}"));
        let whole = fs::read(&path).unwrap();
        for (at, bit) in places(whole.len(), 6) {
            let before = whole[..at].split(|&byte| byte == b'\n').next_back();
            if before.unwrap().windows(6).any(|word| word == b"_unix:") {
                continue; // a time is no part of the checksum
            }
            flip(&path, at, bit);
            let ended = place.run(&PARETO);
            assert_eq!(ended.code, Some(2), "{name}, byte {at}: {}", ended.stderr);
            assert!(
                ended.stderr.contains(&format!("results/r/{name}")),
                "{}",
                ended.stderr
            );
            store::write_bytes(&path, &whole).unwrap();
        }
    }
    let ended = place.done(&["pareto", "results/r"]);
    assert!(!ended.stderr.contains("checksum"), "{}", ended.stderr);
    fs::remove_file(place.path("results/r/energy.csv")).unwrap();
    let ended = place.run(&PARETO);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("results/r/energy.csv: not found"),
        "{}",
        ended.stderr
    );
}

#[test]
fn the_sweep_once_more_writes_damaged_tables_anew_and_refuses_a_damaged_record() {
    let place = swept();
    let (whole, sums) = (
        tables(&place, "results/r"),
        place.read("results/r/checksums"),
    );
    for name in [
        "energy.csv",
        "summary.csv",
        "trials.parquet",
        "memory_model.yaml",
    ] {
        flip(&place.path(&format!("results/r/{name}")), 40, 2);
    }
    place.done(&SWEEP);
    assert_eq!(tables(&place, "results/r"), whole);
    assert_eq!(place.read("results/r/checksums"), sums);
    flip(&place.path("results/r/run.yaml"), 12, 0);
    let ended = place.run(&SWEEP);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("results/r/run.yaml"),
        "{}",
        ended.stderr
    );
    fs::remove_file(place.path("results/r/run.yaml")).unwrap();
    place.done(&SWEEP);
    assert_eq!(tables(&place, "results/r"), whole);
}

#[test]
fn damaged_checksums_are_noticed_and_without_them_one_line_says_so() {
    let place = swept();
    let path = place.path("results/r/checksums");
    let (whole, printed) = (fs::read(&path).unwrap(), place.done(&PARETO).stdout);
    for (at, bit) in places(whole.len(), 12) {
        flip(&path, at, bit);
        let ended = place.run(&["pareto", "results/r"]);
        // the line may be that of a file that is not read
        let same = ended.code == Some(0) && ended.stdout == printed;
        assert!(
            same || ended.stderr.contains("checksums"),
            "byte {at}: {}",
            ended.stderr
        );
        store::write_bytes(&path, &whole).unwrap();
    }
    fs::remove_file(&path).unwrap();
    let lines = |args: &[&str]| {
        let ended = place.done(args);
        ended
            .stderr
            .lines()
            .filter(|line| line.contains("checksum"))
            .count()
    };
    assert_eq!(lines(&["pareto", "results/r"]), 1);
    assert_eq!(lines(&PARETO), 0);
    assert_eq!(lines(&["publish", "results/r", "--out", "d.md"]), 1);
    let aloud: Vec<&str> = SWEEP.into_iter().filter(|word| *word != "-q").collect();
    assert_eq!(lines(&aloud), 1);
    assert_eq!(lines(&["pareto", "results/r"]), 0);
}

#[test]
fn a_model_that_is_damaged_or_another_than_was_swept_is_named() {
    let place = swept();
    let path = place.path("m.safetensors");
    let whole = fs::read(&path).unwrap();
    for (at, bit) in places(whole.len(), 30) {
        flip(&path, at, bit);
        let ended = place.run(&["eval", "--model", "m.safetensors", "--images", "5"]);
        assert_eq!(ended.code, Some(2), "byte {at}: {}", ended.stderr);
        assert!(ended.stderr.contains("m.safetensors"), "{}", ended.stderr);
        store::write_bytes(&path, &whole).unwrap();
    }
    place.write_model("m.safetensors", 5);
    let ended = place.run(&SWEEP);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended.stderr.contains("since then m.safetensors changed"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_damaged_attack_is_named_and_made_again() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    let attack = [
        "attack",
        "--model",
        "m.safetensors",
        "--flips",
        "2",
        "--restarts",
        "2",
        "--batch",
        "8",
        "--k-top",
        "5",
        "--images",
        "10",
        "--set",
        "dataset.glyphs.training_images=50",
        "--set",
        "dataset.glyphs.test_images=20",
        "--dataset",
        "glyphs",
        "--out",
        "a",
        "-q",
    ];
    place.done(&attack);
    let whole = tables(&place, "results/a");
    let unit = place.path("results/a/units/model0-restart1.json");
    let length = fs::read(&unit).unwrap().len();
    for (at, bit) in places(length, 10) {
        flip(&unit, at, bit);
        let ended = place.done(&attack);
        assert!(
            ended.stderr.contains("model0-restart1.json"),
            "byte {at}: {}",
            ended.stderr
        );
        assert_eq!(tables(&place, "results/a"), whole);
    }
    let path = place.path("results/a/flips.parquet");
    flip(&path, 100, 1);
    let ended = place.run(&["publish", "results/a", "--out", "d.md"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("flips.parquet"), "{}", ended.stderr);
}

const TRAIN: [&str; 19] = [
    "train",
    "--config",
    "quickstart",
    "--set",
    "models=[]",
    "--set",
    "quantizer.method=wcat",
    "--set",
    "quantizer.bits=4",
    "--set",
    "trainer.epochs=2",
    "--set",
    "trainer.keep=1",
    "--set",
    "dataset.glyphs.training_images=150",
    "--threads",
    "1",
    "--set",
    "name=t",
];

/// The files of the only training that do not hold wall times, and their names.
fn trained(place: &Place) -> (PathBuf, Vec<Vec<u8>>) {
    let folder = place.path(&place.only_run());
    let names = [
        "best.safetensors",
        "last.safetensors",
        "epoch-00002.safetensors",
        "checksums",
    ];
    let files = names
        .iter()
        .map(|name| fs::read(folder.join(name)).unwrap());
    let files = files.collect();
    (folder, files)
}

#[test]
fn a_damaged_training_is_named_and_made_again() {
    let place = Place::new();
    place.done(&TRAIN);
    let (folder, whole) = trained(&place);
    let text = String::from_utf8(whole[3].clone()).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(place.done(&TRAIN).stderr.contains("already trained in"));
    for (name, at) in [
        ("state.safetensors", 8),
        ("state.safetensors", 4_000),
        ("state.safetensors", 100_000),
        ("best.safetensors", 60_000),
        ("history.csv", 140),
        ("checksums", 3),
    ] {
        flip(&folder.join(name), at, 1);
        let ended = place.done(&TRAIN);
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
        assert!(trained(&place).1 == whole, "{name}: another training");
        let ended = place.done(&TRAIN);
        assert!(
            !ended.stderr.contains("warning"),
            "{name}: {}",
            ended.stderr
        );
    }
    // damage of a history is noticed by its reader too
    flip(&folder.join("history.csv"), 140, 1);
    let model = folder.join("best.safetensors");
    let ended = place.run(&[
        "inspect",
        "--model",
        model.to_str().unwrap(),
        "--figures",
        "f",
    ]);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("history.csv"), "{}", ended.stderr);
}

#[test]
fn a_training_killed_between_its_files_goes_on() {
    let place = Place::new();
    place.done(&TRAIN);
    let (folder, whole) = trained(&place);
    // as after a kill between the state and its checksums
    fs::remove_file(folder.join("checksums")).unwrap();
    let ended = place.done(&TRAIN);
    assert!(!ended.stderr.contains("warning"), "{}", ended.stderr);
    assert!(trained(&place).1 == whole);
}
