//! Weights that are no numbers are refused where they are read, and no arithmetic swallows them.

use super::checkpoints::{bare, pth, state, State};
use crate::program::{records, Place};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use wcat_explore::net::{read_tensors, write_tensors, Model};

// ---- readers ----

/// The tensor with one element, counted from the end, replaced.
fn replaced(tensor: &Tensor, from_end: usize, value: f32) -> Tensor {
    let mut values = tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let at = values.len() - 1 - from_end % values.len();
    values[at] = value;
    Tensor::from_vec(values, tensor.dims(), &Device::Cpu).unwrap()
}

#[track_caller]
fn refused(place: &Place, file: &str, tensor: &str, value: &str) {
    let ended = place.run(&["inspect", "-q", "--model", file]);
    assert_eq!(ended.code, Some(2), "{file} {tensor}: {}", ended.stderr);
    let named = format!("{file}: `{tensor}`: expected ");
    assert!(ended.stderr.contains(&named), "{}", ended.stderr);
    assert!(ended.stderr.contains(value), "{}", ended.stderr);
}

#[test]
fn every_tensor_of_foreign_files_is_checked() {
    let place = Place::new();
    let write = |state: &State| {
        place.write("a.pth", pth(state, bare));
        write_tensors(&place.path("a.safetensors"), state, &BTreeMap::new()).unwrap();
    };
    let lenet = state("lenet5");
    for (i, value) in (0..lenet.len()).zip(
        [f32::NAN, f32::INFINITY, f32::NEG_INFINITY]
            .into_iter()
            .cycle(),
    ) {
        let mut state = lenet.clone();
        state[i].1 = replaced(&state[i].1, 0, value);
        write(&state);
        let last: Vec<usize> = state[i].1.dims().iter().map(|n| n - 1).collect();
        let found = format!("found {value} at {last:?}");
        refused(&place, "a.pth", &state[i].0, &found);
        refused(&place, "a.safetensors", &state[i].0, &found);
    }
    let resnet = state("resnet20");
    for (name, value) in [
        ("bn1.running_var", -1.0),
        ("bn1.running_mean", f32::NAN),
        ("layer3.2.bn2.weight", f32::NAN),
    ] {
        let mut state = resnet.clone();
        let tensor = state.iter_mut().find(|(known, _)| known == name).unwrap();
        tensor.1 = replaced(&tensor.1, 3, value);
        write(&state);
        refused(&place, "a.pth", name, &format!("found {value} at ["));
        refused(
            &place,
            "a.safetensors",
            name,
            &format!("found {value} at ["),
        );
    }
}

#[test]
fn every_tensor_of_our_own_files_is_checked_packed_ones_too() {
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    place.done(&["pack", "-q", "--model", "a.safetensors", "--out", "packed"]);
    for from in ["a.safetensors", "packed/a.safetensors"] {
        let file = read_tensors(&place.path(from)).unwrap();
        let metadata = file.own_metadata(&place.path(from)).unwrap().unwrap();
        for i in 0..file.tensors.len() {
            let (name, tensor) = &file.tensors[i];
            if name.ends_with(".codes") {
                continue;
            }
            let mut values = vec![f32::NAN];
            if name.ends_with(".range") {
                values.extend([0.0, -1.0, f32::INFINITY]);
            }
            for value in values {
                let mut tensors = file.tensors.clone();
                tensors[i].1 = replaced(tensor, 0, value);
                write_tensors(&place.path("b.safetensors"), &tensors, &metadata).unwrap();
                refused(
                    &place,
                    "b.safetensors",
                    name,
                    &format!("found {value} at ["),
                );
            }
        }
    }
}

// ---- arithmetic: weights that are numbers, whose products leave the numbers ----

/// Glyphs, few of them.
const GLYPHS: [&str; 4] = [
    "--dataset",
    "glyphs",
    "--set",
    "dataset.glyphs={training_images: 100, test_images: 20}",
];

/// Writes a model of `Place::write_model` again, its tensors edited: name, then factor.
fn scaled(place: &Place, from: &str, to: &str, factors: &[(&str, f64)]) {
    let mut model = Model::load(&place.path(from), &Device::Cpu).unwrap();
    let mut state = model.network.state().unwrap();
    for (name, tensor) in &mut state {
        if let Some((_, factor)) = factors.iter().find(|(scaled, _)| scaled == name) {
            *tensor = (&*tensor * *factor).unwrap();
        }
    }
    model.network.load_state(&state).unwrap();
    Model::save(&place.path(to), &model.network, &model.info).unwrap();
}

/// A place with `overflow` models, of 4 bits and float, which give no numbers for any image though every weight is one, and
/// with `faulty`, whose last layer is all zeros and does so where a bit of it fails.
fn place() -> Place {
    let place = Place::new();
    let large = [
        ("conv1.weight", 1e30),
        ("conv1.range", 1e30),
        ("conv2.weight", 1e20),
        ("conv2.range", 1e20),
    ];
    for (bits, name) in [(4, "overflow"), (32, "float")] {
        place.write_model("sound.safetensors", bits);
        scaled(
            &place,
            "sound.safetensors",
            &format!("{name}.safetensors"),
            &large,
        );
    }
    place.write_model("sound.safetensors", 4);
    let faulty = [
        ("fc3.weight", 0.0),
        ("fc3.range", 1e38),
        ("fc2.weight", 1e6),
        ("fc2.range", 1e6),
    ];
    scaled(&place, "sound.safetensors", "faulty.safetensors", &faulty);
    place
}

fn text<'a>(row: &'a Value, key: &str) -> &'a Value {
    row.get(key).unwrap_or_else(|| panic!("no {key} in {row}"))
}

#[test]
fn a_network_that_gives_no_numbers_without_faults_is_refused_by_every_command_and_named() {
    let place = place();
    let refused = |command: &str, model: &str, more: &[&str]| {
        let mut args = vec![command, "--model", model];
        args.extend(more);
        args.extend(GLYPHS);
        let ended = place.run(&args);
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        for part in [model, "finite", "20 of 20 images"] {
            assert!(ended.stderr.contains(part), "{args:?}: {}", ended.stderr);
        }
        assert_eq!(ended.stdout, "", "{args:?}");
    };
    let model = "overflow.safetensors";
    refused("eval", model, &[]);
    refused("eval", "float.safetensors", &[]);
    refused("eval", model, &["--ber", "0.01"]);
    refused("sweep", model, &["--bers", "0.01", "--chips", "2"]);
    refused(
        "sweep",
        model,
        &["--bers", "0.01", "--chips", "2", "--dry-run"],
    );
    refused(
        "sweep",
        model,
        &[
            "--voltages",
            "0.8",
            "--chips",
            "20",
            "--sampling",
            "two-level",
            "--tolerance",
            "0.2",
        ],
    );
    refused("explore", model, &["--domains", "layers"]);
    refused(
        "quantize",
        "float.safetensors",
        &["--method", "wcat", "--bits", "4", "--out", "q.safetensors"],
    );
    assert!(!place.path("q.safetensors").exists());
}

#[test]
fn an_attack_on_such_a_network_is_refused_and_names_it() {
    let place = place();
    let args = [
        "attack",
        "--model",
        "overflow.safetensors",
        "--flips",
        "1",
        "--restarts",
        "1",
        "--batch",
        "4",
    ];
    let ended = place.run(&[&args[..], &GLYPHS].concat());
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    for part in ["overflow.safetensors", "finite"] {
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
}

/// Lines of a journal that hold a trial.
fn trials(folder: &Path) -> Vec<Value> {
    let journal = std::fs::read_to_string(folder.join("trials.journal")).unwrap();
    let lines = journal
        .lines()
        .map(|line| serde_json::from_str::<Value>(&line[9..]).unwrap());
    lines
        .filter_map(|line| line.get("trial").cloned())
        .collect()
}

#[test]
fn answers_that_faults_make_no_numbers_are_wrong_counted_and_said() {
    let place = place();
    let model = ["--model", "faulty.safetensors"];
    let at = |rate: &'static str| {
        let args = [&["eval"][..], &model, &["--ber", rate], &GLYPHS].concat();
        let said = place.done(&args).stderr;
        (records(&place, &args).remove(0), said)
    };
    let (clean, said) = at("0");
    assert_eq!(text(&clean, "not_finite"), 0);
    assert!(!said.contains("not finite"), "{said}");
    let (row, said) = at("0.05");
    assert_eq!(text(&row, "not_finite"), 20);
    assert_eq!(text(&row, "accuracy"), 0.0);
    assert!(row["loss"].is_null());
    assert!(said.contains("20 of 20 images"), "{said}");

    let grid = ["--bers", "0,0.05", "--chips", "3"];
    let args = [&["sweep"][..], &model, &grid, &GLYPHS].concat();
    let ended = place.done(&args);
    assert!(
        ended.stderr.contains("60 of 120 answers"),
        "{}",
        ended.stderr
    );
    let run = place.path(&place.only_run());
    let all = Value::from(20);
    for trial in trials(&run) {
        let free = trial["status"] == "fault_free";
        let expected = if free { None } else { Some(&all) };
        assert_eq!(trial.get("not_finite"), expected, "{trial}");
        assert!(free || trial["correct"] == 0, "{trial}");
    }
    // resumed: nothing is computed again, and the counts come back from the journal
    let rows = records(&place, &args);
    let counts: Vec<(&Value, &Value)> = rows
        .iter()
        .map(|row| (text(row, "ber"), text(row, "not_finite")))
        .collect();
    assert_eq!(counts.len(), 2);
    for (ber, count) in counts {
        assert_eq!(*count, if *ber == 0.0 { 0 } else { 60 }, "{ber}");
    }
    let record = std::fs::read_to_string(run.join("run.yaml")).unwrap();
    assert!(record.contains("not_finite"), "{record}");
}

#[test]
fn two_level_sampling_counts_them_too() {
    let place = place();
    let args = [
        "sweep",
        "--model",
        "faulty.safetensors",
        "--bers",
        "0.05",
        "--chips",
        "40",
        "--sampling",
        "two-level",
        "--tolerance",
        "0.1",
    ];
    let rows = records(&place, &[&args[..], &GLYPHS].concat());
    assert_eq!(rows[0]["not_finite"], rows[0]["image_evaluations"]);
    assert!(rows[0]["mean"].as_f64().unwrap() < 1e-12, "{}", rows[0]);
}

#[test]
fn a_sound_network_counts_nothing_and_its_journal_says_nothing() {
    let place = place();
    let args = [
        "sweep",
        "--model",
        "sound.safetensors",
        "--bers",
        "0.02",
        "--chips",
        "2",
    ];
    let rows = records(&place, &[&args[..], &GLYPHS].concat());
    assert_eq!(rows[0]["not_finite"], 0);
    let journal = place.read(&format!("{}/trials.journal", place.only_run()));
    assert!(!String::from_utf8(journal).unwrap().contains("not_finite"));
}

#[test]
fn scaling_by_one_changes_no_number() {
    // the helper of these tests itself
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    scaled(
        &place,
        "a.safetensors",
        "b.safetensors",
        &[("fc3.weight", 1.0)],
    );
    let weights = |name: &str| -> Vec<Tensor> {
        let model = Model::load(&place.path(name), &Device::Cpu).unwrap();
        model.network.effective_weights().unwrap()
    };
    for (a, b) in weights("a.safetensors")
        .iter()
        .zip(weights("b.safetensors"))
    {
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(values(a), values(&b));
    }
}
