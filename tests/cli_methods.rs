//! Several methods side by side: post-training quantisation, packed files, presets, trainings of many models in one call.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::{records, refused, there, wait_until, Place};
use std::path::Path;

const FLOAT: &str = "float.safetensors";
/// A training of a second.
const TINY: [&str; 6] = [
    "--set",
    "dataset.glyphs={training_images: 300}",
    "--set",
    "network.architecture=mlp",
    "--set",
    "trainer.epochs=2",
];

fn place() -> Place {
    let place = Place::new();
    place.write_model(FLOAT, 32);
    place
}

/// A line as it is typed, without quotes.
fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// A place with a model whose activations are stored as codes of so many bits.
fn storing(bits: u32, file: &str) -> Place {
    let place = place();
    let line = format!("quantize --bits 8 --activation-bits {bits} --model {FLOAT} --out {file}");
    place.done(&words(&line));
    place
}

#[test]
fn every_method_quantises_a_float_model_to_a_file_that_other_commands_take() {
    let place = place();
    for (method, more) in [
        ("normal", &[][..]),
        ("lsq", &[]),
        ("wcat", &["--init", "mse"]),
        ("wclip", &["--set", "quantizer.wclip=0.1"]),
        ("plclip", &["--set", "quantizer.plclip=0.1"]),
    ] {
        let out = format!("{method}.safetensors");
        let base = [
            "quantize", "--model", FLOAT, "--method", method, "--bits", "4", "--out", &out,
        ];
        let row = &records(&place, &[&base[..], more].concat())[0];
        assert_eq!(row["model"], format!("float-{method}-4bit"));
        assert_eq!(
            (&row["method"], &row["bits"], &row["layers"]),
            (&method.into(), &4.into(), &5.into())
        );
        assert_eq!(
            (&row["images"], &row["path"]),
            (&100.into(), &out.as_str().into())
        );
        let eval = &records(&place, &["eval", "--model", &out])[0];
        for key in [
            "accuracy", "loss", "dataset", "images", "model", "method", "bits",
        ] {
            assert_eq!(eval[key], row[key], "{method}: {key}");
        }
        let float = &records(&place, &["eval", "--model", FLOAT])[0];
        assert_eq!(
            (&float["accuracy"], &float["loss"]),
            (&row["float_accuracy"], &row["float_loss"])
        );
        let layers = records(&place, &["inspect", "--model", &out]);
        assert!(
            layers
                .iter()
                .all(|layer| layer["bits"] == 4 && layer["step"].as_f64() > Some(0.0)),
            "{method}"
        );
    }
    let about = place
        .done(&["inspect", "--model", "wcat.safetensors"])
        .stdout;
    assert!(
        about.contains("quantised after training, from float.safetensors"),
        "{about}"
    );
    let models = "normal.safetensors,wcat.safetensors";
    let sweep = [
        "sweep",
        "--models",
        models,
        "--voltages",
        "0.8,1.0",
        "--chips",
        "2",
        "--images",
        "50",
    ];
    assert_eq!(records(&place, &sweep).len(), 4);
}

#[test]
fn stored_activations_are_a_property_of_the_file_and_their_cells_fail_by_chip() {
    let place = place();
    let quantize = [
        "quantize",
        "--model",
        FLOAT,
        "--bits",
        "8",
        "--activation-bits",
        "8",
        "--out",
        "a8.safetensors",
    ];
    let row = &records(&place, &quantize)[0];
    assert_eq!(
        (&row["model"], &row["activation_bits"]),
        (&"float-normal-8bit-a8".into(), &8.into())
    );
    let eval = |more: &[&str]| {
        let base = ["eval", "--model", "a8.safetensors"];
        records(&place, &[&base[..], more].concat())[0].clone()
    };
    let clean = eval(&[]);
    assert_eq!(clean["accuracy"], row["accuracy"]);
    let about = place.done(&["inspect", "--model", "a8.safetensors"]).stdout;
    let stored = "activations: 4 tensors stored as codes of 8 bits in at most 1576 words at a time, ranges by max over 100 images of glyphs, seed 1";
    assert!(about.contains(stored), "{about}");
    // no cell fails at a rate of 0; at 0.5 other ones on each chip, whatever the threads
    let none = eval(&["--activation-ber", "0"]);
    assert_eq!(
        (&none["accuracy"], &none["loss"]),
        (&clean["accuracy"], &clean["loss"])
    );
    let one = eval(&["--activation-ber", "0.5", "--chip", "1"]);
    assert_ne!(
        one["loss"],
        eval(&["--activation-ber", "0.5", "--chip", "2"])["loss"]
    );
    assert_eq!(
        one,
        eval(&["--activation-ber", "0.5", "--chip", "1", "--threads", "1"])
    );
    assert_eq!(
        (&one["chip"], &one["activation_ber"]),
        (&1.into(), &0.5.into())
    );
    for (command, words) in [
        (
            &["eval", "--model", FLOAT, "--activation-ber", "0.1"][..],
            "expected one that stores its activations",
        ),
        (
            &[
                "quantize",
                "--model",
                FLOAT,
                "--bits",
                "8",
                "--activation-bits",
                "3",
                "--out",
                "b.safetensors",
            ],
            "expected 4 to 16, found 3",
        ),
    ] {
        refused(&place, command, words);
    }
}

#[test]
fn a_training_goes_on_with_stored_activations_and_learns_their_ranges() {
    let place = storing(4, "a4.safetensors");
    let ranges = |more: &str| {
        let line = "train --weights a4.safetensors --set trainer.epochs=1 --set dataset.glyphs.training_images=300 --out models";
        let row = &records(&place, &words(&format!("{line} {more}")))[0];
        let path = row["path"].as_str().unwrap().to_owned();
        let about = place.done(&["inspect", "--model", &path]).stdout;
        let line = about.lines().find(|line| line.starts_with("activations:"));
        line.unwrap().to_owned()
    };
    let learned = ranges("");
    assert!(learned.contains("codes of 4 bits"), "{learned}");
    assert!(learned.contains("then learned in training"), "{learned}");
    let fixed = ranges("--set trainer.activation_ranges=fixed");
    assert!(!fixed.contains("learned"), "{fixed}");
}

#[test]
fn stored_activations_are_swept_beside_the_weights_alone_and_by_a_search() {
    let place = storing(8, "a8.safetensors");
    place.write_model("plain.safetensors", 8);
    let on_few = |line: &str| format!("{line} --model a8.safetensors --images 50 --chips 2");
    let rows = |line: &str| records(&place, &words(&on_few(line)));
    let joint = "sweep --voltages 0.8,1.0 --out joint --activation-voltages";
    let first = rows(&format!("{joint} 0.75,1.0"));
    let pairs: Vec<_> = first
        .iter()
        .map(|row| (row["activation_voltage"].clone(), row["voltage"].clone()))
        .collect();
    let expected = [(0.75, 0.8), (0.75, 1.0), (1.0, 0.8), (1.0, 1.0)];
    assert_eq!(pairs, expected.map(|(a, w)| (a.into(), w.into())));
    assert_eq!(first[0]["activation_ber"], first[1]["activation_ber"]);
    assert_eq!(
        (&first[3]["ber"], &first[3]["energy_relative"]),
        (&0.0.into(), &1.0.into())
    );
    assert!(first[0]["energy_relative"].as_f64() < first[2]["energy_relative"].as_f64());
    // a further voltage extends the run
    let more = place.done(&words(&on_few(&format!("{joint} 0.75,0.9,1.0"))));
    assert!(
        more.stderr.contains("4 trials computed, 8 reused"),
        "{}",
        more.stderr
    );
    assert!(more.stdout.contains("of activations"), "{}", more.stdout);
    let terms = String::from_utf8(place.read("results/joint/energy.csv")).unwrap();
    assert!(terms.contains(",input of conv2,activations,"), "{terms}");
    let page = String::from_utf8(place.read("reports/joint/report.html")).unwrap();
    for text in [
        "accuracy against energy of weights and activations",
        "each element is written once",
        "activations at 0.75 V/Vmin",
    ] {
        assert!(page.contains(text), "{text}");
    }
    place.done(&["pareto", "results/joint"]);
    // without voltages of the weights activations alone fail, and are what the rows are about
    let alone = rows("sweep --out alone --activation-bers 0,0.05");
    assert_eq!(alone.len(), 2);
    assert_eq!(
        (&alone[0]["ber"], &alone[0]["fault_kind"]),
        (&0.05.into(), &"flip; activations alone".into())
    );
    assert!(alone[0]["activation_voltage"].is_null());
    let found = rows("explore --domains weights,activations --voltages 0.8:1.0:0.1 --max-loss 0.2");
    assert!(found.iter().any(|row| row["kind"] == "single"));
    let base = "answer --model a8.safetensors --max-loss 0.5 --evaluations 20000 --voltages 0.8:1.0:0.1 --activation-voltages 0.9,1.0";
    let answers = records(&place, &words(base));
    assert_eq!(
        (answers.len(), &answers[0]["activation_voltage"]),
        (2, &0.9.into())
    );
    // what each candidate showed is known by its own voltages
    assert_eq!(records(&place, &words(base)), answers);
    for (command, expected) in [
        (
            "sweep --voltages 0.8 --activation-voltages 0.8 --model plain.safetensors",
            "expected one that stores its activations",
        ),
        (
            "sweep --voltages 0.8 --activation-voltages 0.8",
            "model files that store their activations",
        ),
        (
            "sweep --voltages 0.8 --activation-words 100 --model a8.safetensors",
            "expected `activations.voltages` beside it",
        ),
        (
            "sweep --activation-voltages nothing --model a8.safetensors",
            "--activation-voltages",
        ),
        (
            "sweep --activation-bers 0.6 --model a8.safetensors",
            "rates from 0 to 0.5, each once",
        ),
        (
            "sweep --activation-voltages 0.8 --activation-protection secded --model a8.safetensors --noise msb",
            "check bits are of whole words",
        ),
    ] {
        refused(&place, &words(command), expected);
    }
}

#[test]
fn skipped_layers_stay_float_and_errors_are_those_of_the_rest() {
    let place = place();
    let layers = |more: &[&str]| {
        let base = [
            "quantize",
            "--model",
            FLOAT,
            "--bits",
            "3",
            "--out",
            "q.safetensors",
            "--no-eval",
            "--overwrite",
            "--layers",
        ];
        records(&place, &[&base[..], more].concat())
    };
    let all = layers(&[]);
    let some = layers(&["--skip", "conv1", "--skip", "fc[23]"]);
    let float: Vec<&str> = some
        .iter()
        .filter(|l| l["bits"] == 32)
        .map(|l| l["layer"].as_str().unwrap())
        .collect();
    assert_eq!(float, ["conv1", "fc2", "fc3"]);
    for (one, other) in some.iter().zip(&all) {
        match one["bits"].as_u64().unwrap() {
            32 => assert!(
                one["step"].is_null() && one["squared_error"].is_null() && one["range"].is_null()
            ),
            _ => assert_eq!(one, other),
        }
        // errors of rounding to steps: a mean square of about a twelfth of the step's
        let (step, error) = (
            other["step"].as_f64().unwrap(),
            other["squared_error"].as_f64().unwrap(),
        );
        let twelfths = 12.0 * error / (step * step);
        assert!((0.5..1.6).contains(&twelfths), "{other}");
    }
    let inspected = records(&place, &["inspect", "--model", "q.safetensors"]);
    assert_eq!(
        inspected.iter().filter(|layer| layer["bits"] == 32).count(),
        3
    );
}

#[test]
fn more_bits_and_a_search_for_the_range_leave_less_error() {
    let place = place();
    let error = |more: &[&str]| {
        let base = [
            "quantize",
            "--model",
            FLOAT,
            "--out",
            "q.safetensors",
            "--no-eval",
            "--overwrite",
        ];
        let row = &records(&place, &[&base[..], more].concat())[0];
        assert!(
            row["accuracy"].is_null() && row["float_accuracy"].is_null() && row["images"].is_null()
        );
        row["relative_error"].as_f64().unwrap()
    };
    let wcat = |init, bits| error(&["--method", "wcat", "--init", init, "--bits", bits]);
    for bits in ["2", "4", "8"] {
        let [max, sawb, mse, noisy] =
            ["max_abs", "sawb", "mse", "noisy_mse"].map(|init| wcat(init, bits));
        assert!(
            mse < max && mse < sawb && mse <= noisy,
            "{bits} bits: {max} {sawb} {mse} {noisy}"
        );
        assert_eq!(
            max,
            error(&["--bits", bits]),
            "`normal` is WCAT at the largest weight"
        );
    }
    assert!(wcat("mse", "8") < 0.01 * wcat("mse", "4"));
}

#[test]
fn what_cannot_be_quantised_is_refused_and_nothing_written() {
    let place = place();
    place.write_model("done.safetensors", 4);
    let quantize = |more: &[&'static str]| [&["quantize"][..], more].concat();
    let with = |more: &[&'static str]| {
        [
            &quantize(&["--model", FLOAT, "--out", "q.safetensors"])[..],
            more,
        ]
        .concat()
    };
    refused(
        &place,
        &with(&[]),
        "--bits (quantizer.bits): expected 1 to 8",
    );
    refused(&place, &with(&["--bits", "9"]), "--bits: expected 1 to 8");
    refused(
        &place,
        &with(&["--bits", "4", "--method", "wact"]),
        "--method: expected one of `normal`",
    );
    refused(
        &place,
        &with(&["--bits", "4", "--init", "mse"]),
        "--init: expected to be left out",
    );
    refused(
        &place,
        &with(&["--bits", "3", "--method", "wcat", "--init", "sawb"]),
        "2, 4 or 8 bits only",
    );
    refused(
        &place,
        &with(&["--bits", "4", "--method", "wclip"]),
        "the clipping range, a number above 0",
    );
    refused(
        &place,
        &with(&["--bits", "4", "--skip", "fc9"]),
        "expected globs that match a layer of lenet5",
    );
    refused(
        &place,
        &with(&["--bits", "4", "--skip", "*"]),
        "every layer skipped",
    );
    refused(
        &place,
        &with(&["--bits", "4", "--config", "methods/randbet"]),
        "only a training reads it",
    );
    refused(
        &place,
        &with(&["--bits", "4", "--dataset", "cifar10"]),
        "not found",
    );
    let done = quantize(&[
        "--model",
        "done.safetensors",
        "--out",
        "q.safetensors",
        "--bits",
        "2",
    ]);
    refused(
        &place,
        &done,
        "expected a float model (bits: 32), found a model trained for 4 bits (`wcat`)",
    );
    let onto = quantize(&[
        "--model",
        FLOAT,
        "--out",
        "./float.safetensors",
        "--bits",
        "4",
    ]);
    refused(&place, &onto, "expected another file than --model");
    let ending = quantize(&["--model", FLOAT, "--out", "q.th", "--bits", "4"]);
    refused(&place, &ending, "expected a path that ends in .safetensors");
}

#[test]
fn every_command_gives_the_same_of_a_packed_file() {
    let place = place();
    let quantize = [
        "quantize",
        "--model",
        FLOAT,
        "--bits",
        "4",
        "--out",
        "m.safetensors",
        "--no-eval",
    ];
    place.done(&[&quantize[..], &["--method", "wcat", "--init", "mse"]].concat());
    place.done(&[
        "quantize",
        "--model",
        FLOAT,
        "--bits",
        "8",
        "--out",
        "n.safetensors",
        "--no-eval",
    ]);
    let pack = [
        "pack",
        "--models",
        "m.safetensors,n.safetensors",
        "--out",
        "packed",
    ];
    let rows = records(&place, &pack);
    for (row, (name, method, bits)) in rows.iter().zip([("m", "wcat", 4), ("n", "normal", 8)]) {
        assert_eq!(
            (&row["method"], &row["bits"]),
            (&method.into(), &bits.into())
        );
        assert_eq!(row["model"], format!("float-{method}-{bits}bit"));
        assert_eq!(row["path"], format!("packed/{name}.safetensors"));
        let size = |path: &str| place.read(path).len() as u64;
        assert_eq!(row["bytes"], size(&format!("packed/{name}.safetensors")));
        assert_eq!(row["bytes_before"], size(&format!("{name}.safetensors")));
        assert!(
            row["bytes"].as_u64()
                < row["bytes_before"]
                    .as_u64()
                    .map(|bytes| bytes * bits / 32 + 5000)
        );
    }
    assert_eq!(rows.len(), 2);
    let both = |args: &[&str]| {
        let of = |file: &str| records(&place, &[args, &["--model", file]].concat());
        assert_eq!(of("m.safetensors"), of("packed/m.safetensors"), "{args:?}");
    };
    both(&["eval"]);
    both(&["eval", "--voltage", "0.8"]);
    both(&[
        "sweep",
        "--voltages",
        "0.8,1.0",
        "--chips",
        "2",
        "--images",
        "50",
    ]);
    both(&[
        "attack",
        "--restarts",
        "1",
        "--batch",
        "16",
        "--flips",
        "3",
        "--images",
        "50",
    ]);
    let inspect = |file: &str| records(&place, &["inspect", "--model", file]);
    for (own, other) in inspect("m.safetensors")
        .iter()
        .zip(inspect("packed/m.safetensors"))
    {
        for key in [
            "layer",
            "bits",
            "range",
            "step",
            "bits_set_share",
            "energy_share",
        ] {
            assert_eq!(own[key], other[key]);
        }
    }
    let compare = [
        "inspect",
        "--model",
        "m.safetensors",
        "--compare",
        "packed/m.safetensors",
    ];
    assert!(records(&place, &compare)
        .iter()
        .all(|row| row["differing_bits"] == 0 && row["step_ratio"] != 0.0));
    assert!(place
        .done(&["inspect", "--model", "packed/m.safetensors"])
        .stdout
        .contains("\npacked: the file"));
    assert!(!place
        .done(&["inspect", "--model", "m.safetensors"])
        .stdout
        .contains("packed"));
    let table = place.done(&pack).stdout;
    assert!(
        table.starts_with("model") && table.lines().count() == 3,
        "{table}"
    );
    let csv = place
        .done(&[&pack[..], &["--format", "csv"]].concat())
        .stdout;
    assert!(
        csv.starts_with("bits,bytes,bytes_before,method,model,path,schema\n"),
        "{csv}"
    );
    // once more: the same bytes
    let again = ["pack", "--model", "packed/m.safetensors", "--out", "again"];
    place.done(&again);
    assert!(place.read("again/m.safetensors") == place.read("packed/m.safetensors"));
    let quantize = [
        "quantize",
        "--model",
        "again/m.safetensors",
        "--bits",
        "2",
        "--out",
        "q.safetensors",
    ];
    refused(
        &place,
        &quantize,
        "expected a float model (bits: 32), found a model trained for 4 bits (`wcat`)",
    );
    let (mut cut, whole) = (
        place.read("again/m.safetensors"),
        place.read("packed/m.safetensors").len(),
    );
    cut.truncate(whole / 2);
    place.write("cut.safetensors", cut);
    refused(
        &place,
        &["eval", "--model", "cut.safetensors"],
        "cut.safetensors: expected a whole safetensors file",
    );
}

#[test]
fn what_cannot_be_packed_is_refused_and_nothing_written() {
    let place = place();
    place.write_model("done.safetensors", 4);
    let pack = |more: &[&'static str]| [&["pack"][..], more].concat();
    let float = pack(&[
        "--models",
        "done.safetensors,float.safetensors",
        "--out",
        "packed",
    ]);
    refused(
        &place,
        &float,
        "float.safetensors: expected a quantised model, whose weights are codes, found float weights",
    );
    let onto = pack(&["--model", "done.safetensors", "--out", "."]);
    refused(
        &place,
        &onto,
        "--out: expected a folder in which no model would be replaced by its packed form",
    );
    refused(
        &place,
        &pack(&["--out", "packed"]),
        "--model: expected at least one model file, found none",
    );
    let none = pack(&["--model", "none.safetensors", "--out", "packed"]);
    refused(&place, &none, "none.safetensors: not found");
}

#[test]
fn the_public_resnet20_is_quantised_to_the_reference_accuracy() {
    let shared =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/weights/resnet20-12fca82f.th");
    let cache = wcat_explore::store::cache_folder().unwrap();
    if !there(&[&shared, &cache.join("cifar-10-batches-bin/test_batch.bin")]) {
        return;
    }
    let place = Place::new();
    let (model, cache) = (shared.to_str().unwrap(), cache.to_str().unwrap());
    let base = [
        "quantize",
        "--model",
        model,
        "--bits",
        "8",
        "--out",
        "q.safetensors",
        "--dataset",
        "cifar10",
    ];
    let row = &records(&place, &[&base[..], &["--data-dir", cache]].concat())[0];
    assert_eq!(row["model"], "resnet20-12fca82f-normal-8bit");
    assert_eq!(
        (&row["layers"], &row["weights"]),
        (&20.into(), &268_336.into())
    );
    let near = |key: &str, expected: f64| (row[key].as_f64().unwrap() - expected).abs() < 3.1e-4;
    assert!(
        near("accuracy", 0.8093) && near("float_accuracy", 0.8103),
        "{row}"
    );
    let eval = [
        "eval",
        "--model",
        "q.safetensors",
        "--dataset",
        "cifar10",
        "--data-dir",
        cache,
        "--ber",
        "0.001",
    ];
    assert!(
        records(&place, &[&eval[..], &["--images", "100"]].concat())[0]["faults"].as_u64()
            > Some(1000)
    );
}

#[test]
fn methods_are_trained_at_every_width_in_one_call_and_then_skipped() {
    let place = Place::new();
    let sweep = [
        &[
            "train",
            "--sweep-methods",
            "normal,wcat",
            "--bits",
            "4,8,32",
        ][..],
        &TINY,
    ]
    .concat();
    let first = records(&place, &sweep);
    let names: Vec<&str> = first
        .iter()
        .map(|row| row["model"].as_str().unwrap())
        .collect();
    let expected = [
        "normal-4bit",
        "wcat-4bit",
        "normal-8bit",
        "wcat-8bit",
        "float",
    ];
    assert_eq!(names, expected.map(|label| format!("custom-{label}")));
    for row in &first {
        let path = row["path"].as_str().unwrap();
        assert!(place.path(path).is_file(), "{path}");
        assert!((0.0..=1.0).contains(&row["validation_accuracy"].as_f64().unwrap()));
        assert_eq!(row["epochs"], 2);
    }
    assert!(first[4]["method"].is_null() && first[4]["bits"] == 32);
    let before = place.tree();
    assert_eq!(records(&place, &sweep), first);
    assert!(before == place.tree(), "finished trainings were touched");
    // one of them alone, from the same parts as layers: the same training
    let parts = ["train", "--config", "methods/wcat", "--config", "bits/8"];
    let alone = place.done(&[&parts[..], &TINY].concat());
    assert_eq!(alone.stdout.trim(), first[3]["path"].as_str().unwrap());
    assert!(alone.stderr.contains("already trained"), "{}", alone.stderr);
    let table = place.done(&sweep);
    assert_eq!(table.stdout.lines().count(), 6);
    assert!(
        table.stderr.contains("0 trained, 5 were finished before"),
        "{}",
        table.stderr
    );
}

#[test]
fn trainings_of_several_methods_go_on_after_a_kill() {
    let args = |_: &Place| {
        [
            &[
                "train",
                "--sweep-methods",
                "normal,lsq,wclip,plclip,randbet,wcat",
                "--bits",
                "2",
            ][..],
            &TINY,
        ]
        .concat()
    };
    let (whole, broken) = (Place::new(), Place::new());
    let rows = records(&whole, &args(&whole));
    assert_eq!(rows.len(), 6);
    let mut child = broken.start(&[&args(&broken)[..], &["--threads", "1"]].concat());
    let started = |place: &Place| {
        std::fs::read_dir(place.path("results"))
            .into_iter()
            .flatten()
            .flatten()
            .count()
            >= 2
    };
    if wait_until(&mut child, || started(&broken)) {
        child.kill().unwrap();
    }
    broken.end(child);
    assert_eq!(records(&broken, &args(&broken)), rows);
    for row in &rows {
        let path = row["path"].as_str().unwrap();
        assert!(whole.read(path) == broken.read(path), "{path} differs");
    }
}

#[test]
fn wrong_methods_and_settings_against_them_are_refused_before_anything_is_trained() {
    let place = Place::new();
    let train = |more: &[&'static str]| [&["train"][..], more, &TINY].concat();
    refused(
        &place,
        &train(&["--sweep-methods", "normal,wact", "--bits", "4"]),
        "one of normal, lsq, wclip, plclip, randbet, wcat",
    );
    refused(
        &place,
        &train(&["--sweep-methods", "normal"]),
        "--bits: expected widths of the stored weights",
    );
    refused(
        &place,
        &train(&["--sweep-methods", "normal", "--bits", "4,9"]),
        "--bits: expected 1 to 8",
    );
    refused(
        &place,
        &train(&["--sweep-methods", "normal,normal", "--bits", "4"]),
        "each name once",
    );
    refused(
        &place,
        &train(&["--sweep-methods", "wclip", "--bits", "4", "--set", "quantizer.train_bit_error_rate=0.1"]),
        "expected settings that leave `wclip-4bit` as it is, found a --set that makes it `randbet-4bit`",
    );
    refused(
        &place,
        &train(&["--config", "methods/wact"]),
        "methods/wcat, bits/2",
    );
}
