//! What a user types and leaves unset is understood, or answered with what is meant.

use crate::program::Place;
use std::fs;

// ---- settings: lists, merge keys, units ----

#[test]
fn voltages_may_be_a_list_and_rates_and_protections_a_text() {
    let place = Place::new();
    place.write(
        "a.yaml",
        "sweep: { voltages: [0.8, 0.9, 1.0], protection: \"none,msb:1\" }\n",
    );
    place.write(
        "b.yaml",
        "sweep: { voltages: \"0.8,0.9,1\", protection: [none, \"msb:1\"] }\n",
    );
    let plan = |config: &str| {
        place
            .done(&[
                "sweep",
                "--dry-run",
                "-q",
                "--config",
                "quickstart",
                "--config",
                config,
            ])
            .stdout
    };
    assert_eq!(plan("a.yaml"), plan("b.yaml"));
    assert!(
        plan("a.yaml").contains("design points: 12"),
        "{}",
        plan("a.yaml")
    );
    place.write(
        "c.yaml",
        "sweep: { bers: \"1e-3, 0.01\", voltages: null }\n",
    );
    assert!(
        plan("c.yaml").contains("design points: 4"),
        "{}",
        plan("c.yaml")
    );
    place.write("d.yaml", "sweep:\n  voltages: [0.8, x]\n");
    let wrong = place.run(&["sweep", "--dry-run", "--config", "d.yaml"]);
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .contains("d.yaml:2: `sweep.voltages`: expected a number above 0"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn merge_keys_give_what_is_not_set_beside_them() {
    let place = Place::new();
    place.write(
        "a.yaml",
        "models:\n\
         - name: one\n  quantizer: &base { method: wcat, bits: 8, init: sawb }\n\
         - name: two\n  quantizer: { <<: *base, bits: 4 }\n\
         - name: three\n  quantizer:\n    bits: 2\n    <<: [{ init: mse }, *base]\n",
    );
    place.write(
        "b.yaml",
        "models:\n\
         - { name: one, quantizer: { method: wcat, bits: 8, init: sawb } }\n\
         - { name: two, quantizer: { method: wcat, bits: 4, init: sawb } }\n\
         - { name: three, quantizer: { method: wcat, bits: 2, init: mse } }\n",
    );
    let read = |name: &str| {
        let layer = wcat_explore::config::Layer::file(&place.path(name)).unwrap();
        wcat_explore::config::Experiment::of_layers(&[layer]).unwrap()
    };
    assert_eq!(read("a.yaml"), read("b.yaml"));
    place.write("c.yaml", "seed: 1\nquantizer: { <<: 3 }\n");
    let wrong = place.run(&["train", "--config", "c.yaml"]);
    assert_eq!(
        wrong.stderr,
        "error: c.yaml:2: `quantizer.<<`: expected a mapping or a list of mappings, found `3`\n"
    );
    // memory models too, with the line where one is wrong
    let good = include_str!("../../memory_models/sram-14nm-chandramoorthy2019.yaml");
    let moved = good.replacen("  leakage: null", "  <<: *leaks", 1);
    assert_ne!(moved, good);
    let path = std::path::Path::new("m.yaml");
    let merged = |base: &str| {
        let moved = moved.replacen(
            "energy:",
            &format!("faults_of_none: &leaks {base}\nenergy:"),
            1,
        );
        wcat_explore::memory::MemoryModel::parse(path, &moved)
    };
    assert!(merged("{ leakage: null }")
        .unwrap_err()
        .to_string()
        .contains("faults_of_none"));
}

#[test]
fn millivolts_are_taken_and_numbers_that_look_like_them_are_named() {
    let place = Place::new();
    let salami = [
        "memory",
        "show",
        "sram-28nm-vc707-salami2018",
        "--at-voltage",
    ];
    let show = |list: &str| place.run(&[&salami[..], &[list]].concat());
    assert_eq!(show("540mV,560mV").stdout, show("0.54,0.56V").stdout);
    assert_eq!(show("540:560:10mV").stdout, show("0.54:0.56:0.01").stdout);
    let wrong = show("540");
    assert_eq!(wrong.code, Some(2));
    assert!(
        wrong
            .stderr
            .contains("found `540` (did you mean `0.54`, or `540mV`?)"),
        "{}",
        wrong.stderr
    );
    let vmin = place.run(&["sweep", "--dry-run", "--voltages", "850mV"]);
    assert_eq!(vmin.code, Some(2));
    assert!(
        vmin.stderr.contains("`vmin`") && vmin.stderr.contains("0.85 `volt`"),
        "{}",
        vmin.stderr
    );
    let wrong = place.run(&["sweep", "--dry-run", "--voltages", "800"]);
    assert!(
        wrong.stderr.contains("did you mean `0.8`"),
        "{}",
        wrong.stderr
    );
}

// ---- HOME unset ----

#[test]
fn without_home_everything_runs_that_needs_no_cache() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place.write_model("f.safetensors", 32);
    let run = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let output = place
            .command(&words)
            .env_remove("HOME")
            .env_remove("XDG_CACHE_HOME")
            .output()
            .unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for line in [
        "eval -q --model m.safetensors --images 20",
        "sweep -q --model m.safetensors --chips 1 --voltages 0.9 --images 20 --out s",
        "attack -q --model m.safetensors --flips 1 --restarts 1 --batch 10 --images 20 --out a",
        "quantize -q --model f.safetensors --bits 4 --images 20 --out q.safetensors",
        "train -q --config quickstart --set trainer.epochs=1 --set network.architecture=mlp \
         --set dataset.glyphs.training_images=100 --set dataset.glyphs.test_images=20",
        "sweep --dry-run",
    ] {
        let (code, said) = run(line);
        assert_eq!(code, Some(0), "{line}: {said}");
    }
    for line in [
        "eval --model m.safetensors --dataset mnist",
        "sweep -q --chips 1 --voltages 0.9",
        "data info",
    ] {
        let (code, said) = run(line);
        assert_eq!(code, Some(2), "{line}: {said}");
        assert!(said.contains("XDG_CACHE_HOME or HOME"), "{line}: {said}");
    }
}

// ---- refused runs ----

#[test]
fn a_refused_run_leaves_nothing_and_the_mended_one_goes() {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    place.write("groups.yaml", "a: [conv1]\n");
    let before = place.tree();
    let memory = "sram-28nm-vc707-salami2018";
    for line in [
        format!("sweep -q --model m.safetensors --images 20 --chips 1 --voltages 0.54 --memory {memory} --protection msb:1,msb:9 --out x"),
        "sweep -q --model m.safetensors --images 20 --chips 1 --voltages 0.01 --out x".into(),
        "sweep -q --model m.safetensors --images 2000000 --chips 1 --voltages 0.9 --out x".into(),
        "sweep -q --model m.safetensors --dataset cifar10 --data-dir . --chips 1 --voltages 0.9 --out x".into(),
        "explore -q --model m.safetensors --images 20 --chips 1 --voltages 0.9 --domains groups:groups.yaml --out x".into(),
        "explore -q --model m.safetensors --images 20 --chips 1 --voltages 0.9 --domains layers --array independent,model --out x".into(),
        "attack -q --model m.safetensors --images 20 --batch 2000 --out x".into(),
        "attack -q --model m.safetensors --images 20 --batch 20 --attack-data test --out x".into(),
        "train -q --config quickstart --set network.weights=no.safetensors --out x".into(),
        "train -q --config quickstart --set network.architecture=mlp --set network.weights=m.safetensors --out x".into(),
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        let ended = place.run(&words);
        assert_eq!(ended.code, Some(2), "{line}: {}", ended.stderr);
        assert_eq!(place.tree(), before, "{line}");
    }
    let sweep = [
        "sweep",
        "-q",
        "--model",
        "m.safetensors",
        "--images",
        "20",
        "--chips",
        "1",
        "--out",
        "x",
    ];
    place.done(&[&sweep[..], &["--voltages", "0.9"]].concat());
    // a refused extension changes no byte of the run, and throws nothing away
    let finished = place.tree();
    for more in [
        &["--voltages", "0.01"][..],
        &["--voltages", "0.9", "--protection", "msb:9"],
        &["--voltages", "0.01", "--fresh"],
    ] {
        let ended = place.run(&[&sweep[..], more].concat());
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert_eq!(place.tree(), finished);
    }
    assert!(fs::read_dir(place.path("results")).unwrap().count() == 1);
}

#[test]
fn the_same_model_twice_is_said() {
    let place = Place::new();
    place.write_model("a.safetensors", 4);
    place.write("b.safetensors", place.read("a.safetensors"));
    for second in ["a.safetensors", "b.safetensors"] {
        let files = ["--model", "a.safetensors", "--model", second];
        let sweep = [
            "sweep",
            "-q",
            "--threads",
            "1",
            "--chips",
            "1",
            "--images",
            "10",
            "--voltages",
            "0.9",
            "--fresh",
        ];
        let pack = ["pack", "-q", "--out", "packed"];
        for call in [&sweep[..], &pack] {
            let ended = place.done(&[call, &files].concat());
            let said = format!("the same model twice: a.safetensors and {second}");
            assert!(ended.stderr.contains(&said), "{}", ended.stderr);
        }
        let ended = place.done(&["inspect", "--model", "a.safetensors", "--compare", second]);
        assert!(
            ended.stderr.contains("the same model twice"),
            "{}",
            ended.stderr
        );
    }
}

#[test]
fn quantize_replaces_nothing_unless_it_is_told_to() {
    let place = Place::new();
    place.write_model("a.safetensors", 32);
    let out = [
        "--no-eval",
        "-q",
        "--model",
        "a.safetensors",
        "--out",
        "q.safetensors",
    ];
    let quantize = |more: &[&str]| place.run(&[&["quantize"], &out[..], more].concat());
    assert_eq!(quantize(&["--bits", "4"]).code, Some(0));
    let first = place.read("q.safetensors");
    // the same again is done already
    assert_eq!(quantize(&["--bits", "4"]).code, Some(0));
    let refused = |more: &[&str]| {
        let before = place.read("q.safetensors");
        let ended = quantize(more);
        assert_eq!(ended.code, Some(2));
        assert!(ended.stderr.contains("--overwrite"), "{}", ended.stderr);
        assert_eq!(place.read("q.safetensors"), before);
    };
    refused(&["--bits", "3"]);
    assert_eq!(quantize(&["--bits", "3", "--overwrite"]).code, Some(0));
    assert_ne!(place.read("q.safetensors"), first);
    place.write("q.safetensors", "anything else");
    refused(&["--bits", "4"]);
}
