//! A run says which numerics computed it, and is not continued by others.

use crate::program::{Ended, Place};
use std::path::Path;
use wcat_explore::kernel::Isa;
use wcat_explore::net::{read_tensors, write_tensors};

const MODEL: &str = "m.safetensors";
const GLYPHS: &str = "dataset.glyphs={training_images: 100, test_images: 20}";
const OTHER: &str = "0123456789abcdef";

fn place() -> Place {
    let place = Place::new();
    place.write_model(MODEL, 4);
    place
}

fn sweep<'a>(bers: &'a str, chips: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = ["sweep", "--model", MODEL, "--bers", bers, "--chips", chips];
    let glyphs = ["--dataset", "glyphs", "--set", GLYPHS];
    [&args[..], &glyphs, more].concat()
}

fn attack<'a>(restarts: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let args = [
        "attack",
        "--model",
        MODEL,
        "--flips",
        "1",
        "--restarts",
        restarts,
    ];
    let glyphs = ["--batch", "4", "--dataset", "glyphs", "--set", GLYPHS];
    [&args[..], &glyphs, more].concat()
}

/// The number in the record of the only run.
fn recorded(place: &Place) -> String {
    let record = String::from_utf8(place.read(&format!("{}/run.yaml", place.only_run()))).unwrap();
    let line = record.lines().find(|line| line.starts_with("numerics: "));
    let number = line.unwrap_or_else(|| panic!("{record}"));
    number["numerics: ".len()..]
        .trim_matches(['\'', '"'])
        .to_owned()
}

/// What a record says of its numerics, changed or (`None`) taken out. Checksums of the folder go: they are not what is
/// tested here.
fn set_recorded(place: &Place, run: &str, number: Option<&str>) {
    let path = format!("{run}/run.yaml");
    let record = String::from_utf8(place.read(&path)).unwrap();
    let mut lines: Vec<String> = record
        .lines()
        .filter(|line| !line.starts_with("numerics: "))
        .map(str::to_owned)
        .collect();
    if let Some(number) = number {
        lines.insert(1, format!("numerics: '{number}'"));
    }
    place.write(&path, lines.join("\n") + "\n");
    without_checksums(&place.path(run));
}

fn without_checksums(folder: &Path) {
    let _ = std::fs::remove_file(folder.join("checksums"));
}

#[track_caller]
fn refused(ended: &Ended, parts: &[&str]) {
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part}: {}", ended.stderr);
    }
}

#[test]
fn wide_instructions_have_one_number_and_the_portable_ones_another() {
    let number = |isa: &Isa| {
        let place = place();
        place.done(&sweep("0.01", "2", &["--isa", isa.name()]));
        recorded(&place)
    };
    let (portable, wide): (Vec<Isa>, Vec<Isa>) = Isa::available()
        .into_iter()
        .partition(|isa| *isa == Isa::Portable);
    let numbers: Vec<String> = wide.iter().map(number).collect();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1]));
    let portable = number(&portable[0]);
    let hex = |number: &String| number.len() == 16 && number.bytes().all(|b| b.is_ascii_hexdigit());
    assert!(hex(&portable) && numbers.iter().all(hex));
    if cfg!(target_arch = "x86_64") {
        assert!(!numbers.contains(&portable));
    }
}

#[test]
fn an_arithmetic_has_its_own_number_and_run_which_the_other_does_not_go_on_with() {
    let place = place();
    place.done(&sweep("0.01", "2", &["--out", "run"]));
    let record = String::from_utf8(place.read("results/run/run.yaml")).unwrap();
    assert!(record.contains("\narithmetic: winograd\n"), "{record}");
    let winograd = ["--arithmetic", "winograd", "--out", "run"];
    place.done(&sweep("0.01", "3", &winograd));
    let direct = ["--arithmetic", "direct", "--out"];
    let of = |name| sweep("0.01", "3", &[&direct[..], &[name]].concat());
    refused(
        &place.run(&of("run")),
        &["--out run", "--arithmetic winograd"],
    );
    place.done(&of("other"));
    let number = |run: &str| {
        let record = String::from_utf8(place.read(&format!("results/{run}/run.yaml"))).unwrap();
        let line = record.lines().find(|line| line.starts_with("numerics: "));
        line.unwrap().to_owned()
    };
    assert_ne!(number("run"), number("other"));
}

#[test]
fn a_sweep_of_other_numerics_is_read_but_not_gone_on_with() {
    let place = place();
    place.done(&sweep("0.01", "2", &[]));
    let own = recorded(&place);
    let run = place.only_run();
    // the same numerics go on, further chips too
    place.done(&sweep("0.01", "3", &[]));
    for begun in [Some(OTHER), None] {
        set_recorded(&place, &run, begun);
        let before = place.tree();
        for args in [
            sweep("0.01", "3", &[]),
            sweep("0.01,0.02", "3", &[]),
            sweep("0.01", "3", &["--dry-run"]),
        ] {
            let ended = place.run(&args);
            let begun = begun.unwrap_or("begun by a program before them");
            refused(&ended, &["numerics", &own, begun, "--fresh", "--out"]);
        }
        assert_eq!(place.tree(), before, "a refused run is left as it is");
        place.done(&["pareto", &run]);
    }
    place.done(&sweep("0.01", "3", &["--out", "beside"]));
    place.done(&sweep("0.01", "3", &["--fresh"]));
    let record = String::from_utf8(place.read(&format!("{run}/run.yaml"))).unwrap();
    assert!(record.contains(&own), "{record}");
    place.done(&sweep("0.01", "3", &[]));
}

#[test]
fn an_attack_and_an_exploration_are_not_gone_on_with_either() {
    let explore = [
        "explore",
        "--model",
        MODEL,
        "--domains",
        "layers",
        "--voltages",
        "0.9,1.0",
        "--evaluations",
        "2",
        "--chips",
        "2",
        "--dataset",
        "glyphs",
        "--set",
        GLYPHS,
    ];
    for args in [attack("1", &[]), explore.to_vec()] {
        let place = place();
        place.done(&args);
        place.done(&args);
        let run = place.only_run();
        set_recorded(&place, &run, Some(OTHER));
        refused(&place.run(&args), &["numerics", OTHER, "--fresh", "--out"]);
        place.done(&[&args[..], &["--fresh"]].concat());
        assert_ne!(recorded(&place), OTHER);
    }
}

#[test]
fn begun_again_an_attack_keeps_no_restart_of_other_numerics() {
    let place = place();
    place.done(&attack("3", &[]));
    place.done(&attack("1", &["--fresh"]));
    let units = place.path(&format!("{}/units", place.only_run()));
    assert_eq!(std::fs::read_dir(units).unwrap().count(), 1);
}

/// Writes the state of a training again: its numerics, and after one epoch instead of two where it is to be unfinished.
fn set_state(path: &Path, number: Option<&str>, unfinished: bool) {
    let file = read_tensors(path).unwrap();
    let mut own = file.own_metadata(path).unwrap().unwrap();
    match number {
        Some(number) => own.insert("numerics".into(), number.into()),
        None => own.remove("numerics"),
    };
    if unfinished {
        let mut training: serde_json::Value = serde_json::from_str(&own["training"]).unwrap();
        training["epoch"] = 1.into();
        training["history"].as_array_mut().unwrap().pop();
        own.insert("training".into(), training.to_string());
    }
    write_tensors(path, &file.tensors, &own).unwrap();
    without_checksums(path.parent().unwrap());
}

#[test]
fn a_training_goes_on_under_its_own_numerics_only_and_a_finished_model_is_used_with_a_word() {
    let place = place();
    let args = [
        "train",
        "--set",
        GLYPHS,
        "--set",
        "network.architecture=mlp",
        "--set",
        "trainer.epochs=2",
    ];
    let model = place.done(&args).stdout.trim().to_owned();
    let trained = place.read(&model);
    let state = place.path(&model).with_file_name("state.safetensors");
    let own = {
        let file = read_tensors(&state).unwrap();
        file.own_metadata(&state).unwrap().unwrap()["numerics"].clone()
    };
    assert!(!place.done(&args).stderr.contains("numerics"));
    for number in [Some(OTHER), None] {
        set_state(&state, number, false);
        let ended = place.done(&args);
        for part in [own.as_str(), number.unwrap_or("none recorded"), "--fresh"] {
            assert!(ended.stderr.contains(part), "no {part}: {}", ended.stderr);
        }
        assert_eq!(place.read(&model), trained);
    }
    set_state(&state, Some(OTHER), true);
    refused(&place.run(&args), &["numerics", &own, OTHER, "--fresh"]);
    let fresh = [&args[..], &["--fresh"]].concat();
    place.done(&fresh);
    assert_eq!(place.read(&model), trained);
}

#[test]
fn the_stored_reference_runs_are_read_and_not_extended() {
    let place = Place::new();
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).join("results");
    let stored = std::fs::read_dir(results)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let record = stored
        .map(|run| run.join("run.yaml"))
        .find(|record| record.exists())
        .unwrap();
    let text = std::fs::read_to_string(&record).unwrap();
    assert!(!text.contains("numerics: "), "{}", record.display());
    let run = record.parent().unwrap().to_str().unwrap();
    place.done(&["pareto", run]);
}
