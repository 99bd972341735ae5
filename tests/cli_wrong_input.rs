//! Wrong input and wrong usage: exit code, the one message, and nothing written.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::Place;
use std::path::Path;
use wcat_explore::kernel::Isa;
use wcat_explore::store::Lock;

const MODEL: &str = "model.safetensors";

/// A place with a 4-bit and a float model.
fn place() -> Place {
    let place = Place::new();
    place.write_model(MODEL, 4);
    place.write_model("float.safetensors", 32);
    place
}

/// The program ends with this code and this line on standard error, says nothing else and writes nothing.
#[track_caller]
fn fails(place: &Place, code: i32, args: &[&str], message: &str) {
    let before = place.tree();
    let ended = place.run(args);
    assert_eq!(ended.stderr, format!("error: {message}\n"), "{args:?}");
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(code), ""),
        "{args:?}"
    );
    assert_eq!(
        changes(&before, &place.tree()),
        Vec::<&String>::new(),
        "{args:?} left something behind"
    );
}

#[track_caller]
fn refused(place: &Place, args: &[&str], message: &str) {
    fails(place, 2, args, message);
}

/// Wrong usage: the first line is the message, help may follow.
#[track_caller]
fn misused(place: &Place, args: &[&str], message: &str) {
    let before = place.tree();
    let ended = place.run(args);
    assert_eq!(
        ended.stderr.lines().next(),
        Some(format!("error: {message}").as_str()),
        "{args:?}"
    );
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (Some(2), ""),
        "{args:?}"
    );
    assert_eq!(before, place.tree());
}

type Tree = std::collections::BTreeMap<String, Vec<u8>>;

/// Names that are new, gone or have another content.
fn changes<'a>(before: &'a Tree, after: &'a Tree) -> Vec<&'a String> {
    before
        .keys()
        .chain(after.keys())
        .filter(|name| before.get(*name) != after.get(*name))
        .collect()
}

#[test]
fn model_files() {
    let place = place();
    let whole = place.read(MODEL);
    place.write("cut.safetensors", &whole[..whole.len() / 2]);
    place.write("header.safetensors", &whole[..100]);
    place.write("empty.safetensors", "");
    place.write("text.safetensors", "this is no model");
    place.write("text.th", "this is no model");
    let half = whole.len() / 2;
    for command in ["sweep", "eval", "inspect"] {
        let refused =
            |file: &str, message: &str| refused(&place, &[command, "--model", file], message);
        refused(
            "none.safetensors",
            "none.safetensors: not found (expected a model file: safetensors, ONNX, or a checkpoint of PyTorch)",
        );
        refused(
            "none.th",
            "none.th: not found (expected a model file: safetensors, ONNX, or a checkpoint of PyTorch)",
        );
        refused(
            "cut.safetensors",
            &format!(
                "cut.safetensors: expected a whole safetensors file, found {half} bytes: incomplete metadata, \
                 file not fully covered"
            ),
        );
        refused(
            "header.safetensors",
            "header.safetensors: expected a whole safetensors file, found 100 bytes: invalid header length",
        );
        refused(
            "empty.safetensors",
            "empty.safetensors: expected a whole safetensors file, found 0 bytes: header too small",
        );
        refused(
            "text.safetensors",
            "text.safetensors: expected a whole safetensors file, found 16 bytes: header too large",
        );
        refused(
            "text.th",
            "text.th: expected a PyTorch checkpoint: a zip archive, or a stream that begins with PyTorch's magic \
             number, found a file that begins otherwise",
        );
        refused(
            ".",
            ".: expected a model file: safetensors, ONNX, or a checkpoint of PyTorch, found a folder",
        );
    }
}

#[test]
fn a_chip_or_a_memory_where_no_bit_fails() {
    let place = place();
    let message = "expected `--voltage`, `--ber` or `--activation-ber` beside it: without, no bit fails and it has no \
                   effect, found none of them";
    for (flag, value) in [("--chip", "3"), ("--memory", "sram-65nm-sun2017")] {
        let command = ["eval", "--model", MODEL, flag, value];
        refused(&place, &command, &format!("{flag}: {message}"));
    }
}

#[test]
fn float_models_where_faults_are_asked_for() {
    let place = place();
    let message =
        "model float.safetensors: expected a quantised model, which stores codes in the memory (`wcat-explore quantize \
         --model float.safetensors --bits 8 --out float-8bit.safetensors` makes one), found float weights (bits: 32)";
    refused(&place, &["sweep", "--model", "float.safetensors"], message);
    refused(
        &place,
        &["sweep", "--model", MODEL, "--model", "float.safetensors"],
        message,
    );
    refused(
        &place,
        &["sweep", "--model", "float.safetensors", "--dry-run"],
        message,
    );
    refused(
        &place,
        &["eval", "--model", "float.safetensors", "--ber", "0.01"],
        message,
    );
    place.write(
        "float.yaml",
        "models:\n  - name: a\n    quantizer: { method: normal, bits: 32 }\n",
    );
    refused(
        &place,
        &["sweep", "--config", "float.yaml"],
        "model `a`: expected a quantised model, which stores codes in the memory, found `bits: 32`\n  \
         settings were read from float.yaml",
    );
    refused(
        &place,
        &["sweep", "--set", "name=mine", "--config", "empty.yaml"],
        "empty.yaml: not found (expected a configuration file)",
    );
    place.write("empty.yaml", "");
    refused(
        &place,
        &["sweep", "--config", "empty.yaml"],
        "sweep: expected `--model FILE`, or a configuration with `models` to train, found neither (configuration \
         `custom`)\n  settings were read from empty.yaml",
    );
}

#[test]
fn configuration_files() {
    let place = place();
    let files = [
        ("unknown.yaml", "name: a\nsweep:\n  chip: 3\n"),
        ("type.yaml", "sweep:\n  chips: many\n"),
        ("twice.yaml", "seed: 1\nname: a\nseed: 2\n"),
        ("unclosed.yaml", "seed: [1\n"),
        ("list.yaml", "- seed\n"),
        (
            "voltages.yaml",
            "name: a\nsweep:\n  chips: 3\n  voltages: 0.9:0.8:0.1\n",
        ),
    ];
    files
        .iter()
        .for_each(|(name, text)| place.write(name, text));
    for command in [
        &["sweep", "--model", MODEL][..],
        &["eval", "--model", MODEL],
        &["train"],
    ] {
        let refused = |file: &str, message: &str| {
            refused(&place, &[command, &["--config", file]].concat(), message);
        };
        refused(
            "unknown.yaml",
            "unknown.yaml:3: `sweep.chip`: expected one of the keys `voltages`, `bers`, `bit_error_rates`, `split`, `chips`, `images`, `tolerance`, \
             `metric`, `floor`, `protection`, `sampling`, found `chip` (did you mean `chips`?)",
        );
        refused(
            "type.yaml",
            "type.yaml:2: `sweep.chips`: expected a whole number from 0 to 4294967295, found the text `many`",
        );
        refused(
            "twice.yaml",
            "twice.yaml:3: `seed`: expected each key once, found this key twice",
        );
        refused(
            "unclosed.yaml",
            "unclosed.yaml:2: expected YAML, found something else (did not find expected ',' or ']')",
        );
        refused(
            "list.yaml",
            "list.yaml:1: expected keys with values at the top level, found a list of 1 item",
        );
        refused(
            "none.yaml",
            "none.yaml: not found (expected a configuration file)",
        );
        refused(".", ".: expected a configuration file, found a folder");
        refused(
            "voltages.yaml",
            "voltages.yaml:4: `sweep.voltages`: expected start:stop:step with the stop at or above the start, \
             found `0.9:0.8:0.1`",
        );
    }
}

#[test]
fn settings() {
    let place = place();
    let refused = |set: &str, message: &str| {
        refused(
            &place,
            &["sweep", "--model", MODEL, "--set", set],
            &format!("--set {set}: {message}"),
        );
    };
    refused("sweep.chips", "expected key.path=value, found no `=`");
    refused("=3", "expected key.path=value, found an empty key");
    refused(
        "sweep.chip=3",
        "expected one of the keys `voltages`, `bers`, `bit_error_rates`, `split`, `chips`, `images`, `tolerance`, `metric`, `floor`, `protection`, `sampling`, \
         found `chip` (did you mean `chips`?)",
    );
    refused("sweep.chips=0", "expected 1 to 1000000, found 0");
    refused(
        "sweep.chips=many",
        "expected a whole number from 0 to 4294967295, found the text `many`",
    );
    refused(
        "dataset.name=foo",
        "expected one of `glyphs`, `mnist`, `cifar10`, `cifar100`, `folder`, `file`, `fashion-mnist`, `kmnist`, \
             `emnist-balanced`, `emnist-byclass`, `emnist-bymerge`, `emnist-letters`, `emnist-digits`, `emnist-mnist`, \
             found `foo`",
    );
}

#[test]
fn voltages() {
    let place = place();
    let number =
        "--voltages: expected a number above 0 and at most 100, with or without `vmin`, `V` or `mV`, found ";
    let refused = |list: &str, message: &str| {
        refused(
            &place,
            &["sweep", "--model", MODEL, "--voltages", list],
            message,
        );
        refused_alone(&place, list, message);
    };
    for list in ["abc", "nan", "inf", "-1", "0", ""] {
        refused(list, &format!("{number}`{list}`"));
    }
    refused("0.8,,0.9", &format!("{number}``"));
    refused(
        "0.9:0.8:0.1",
        "--voltages: expected start:stop:step with the stop at or above the start, found `0.9:0.8:0.1`",
    );
    refused(
        "0.8:0.9:0",
        "--voltages: expected start:stop:step with a step above 0, found `0.8:0.9:0`",
    );
    refused(
        "0.8:0.9",
        "--voltages: expected a voltage or start:stop:step, found `0.8:0.9`",
    );
    refused(
        "0.1:1:0.00001",
        "--voltages: expected at most 10000, found `0.1:1:0.00001`",
    );
    refused(
        "0.9,0.56V",
        "unit of voltage: expected `vmin`, that of sram-14nm-chandramoorthy2019 (lowest voltage with no failure in \
         32 arrays of 512x64), found 0.56 `volt`",
    );
    refused(
        "0.7,0.9",
        "voltage: expected at least 0.7052 V/Vmin (below, the bit error rate of sram-14nm-chandramoorthy2019 \
         passes 0.5), found 0.7 V/Vmin",
    );
}

/// The same list without a model: the quick start is not trained first.
#[track_caller]
fn refused_alone(place: &Place, list: &str, message: &str) {
    refused(place, &["sweep", "--voltages", list], message);
    assert!(
        place.cached("config.yaml").is_empty(),
        "a training was begun"
    );
}

#[test]
fn memory_models() {
    let place = place();
    let text = include_str!("../memory_models/sram-14nm-chandramoorthy2019.yaml");
    let write = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from));
        place.write(name, text.replacen(from, to, 1));
    };
    write("rising.yaml", "[0.833, 1.1150e-2]", "[0.833, 6.1150e-2]");
    write("typo.yaml", "rows: 512", "row: 512");
    write("high.yaml", "2.0559e-1", "0.6");
    write("type.yaml", "exponent: 2.0", "exponent: many");
    write("twice.yaml", "energy:", "name: x\nenergy:");
    for command in [
        &["sweep", "--model", MODEL, "--memory"][..],
        &["memory", "show"],
    ] {
        let refused =
            |memory: &str, message: &str| refused(&place, &[command, &[memory]].concat(), message);
        refused(
            "rising.yaml",
            "rising.yaml:20: `bit_error_rate.points.2`: expected a bit error rate that does not rise with the voltage, \
             so at most 0.055729, found 0.06115",
        );
        refused(
            "typo.yaml",
            "typo.yaml:28: `array.row`: expected one of the keys `rows`, `columns`, `word_bits`, `column_correlation`, \
             `bank_correlation`, found `row` (did you mean `rows`?)",
        );
        refused(
            "high.yaml",
            "high.yaml:18: `bit_error_rate.points.0`: expected a bit error rate from 0 to 0.5, found 0.6",
        );
        refused(
            "type.yaml",
            "type.yaml:25: `energy.access.exponent`: expected a number, found the text `many`",
        );
        refused(
            "twice.yaml",
            "twice.yaml:24: `name`: expected each key once, found this key twice",
        );
        refused(
            "none.yaml",
            "none.yaml: not found (expected a memory model)",
        );
        refused(
            "sram-3nm",
            "memory model: expected combination-14nm-cacti-22nm-hp, combination-28nm-cacti-32nm-lstp, exponential-henwood2020, sram-14nm-chandramoorthy2019, \
             sram-28nm-kc705b-salami2018, sram-28nm-vc707-salami2018, sram-65nm-sun2017, or the path of a YAML \
             file, found `sram-3nm`",
        );
    }
    let known = "sram-14nm-chandramoorthy2019";
    refused(
        &place,
        &["memory", "show", known, "--at-ber", "0.6"],
        "bit error rate: expected 0 to 0.5, found 0.6",
    );
    refused(
        &place,
        &["memory", "show", known, "--at-voltage", "x"],
        "voltage: expected a number above 0 and at most 100, with or without `vmin`, `V` or `mV`, found `x`",
    );
}

#[test]
fn data() {
    let place = place();
    place.write("empty.bin", "");
    place.write("odd.bin", vec![0; 3000]);
    place.write("label.bin", vec![77; 3073]);
    for command in ["sweep", "eval"] {
        let with = |flags: &[&str], message: &str| {
            refused(
                &place,
                &[&[command, "--model", MODEL], flags].concat(),
                message,
            );
        };
        let cifar = |file: &str, message: &str| {
            with(&["--dataset", "cifar10", "--data-file", file], message)
        };
        cifar(
            "empty.bin",
            "empty.bin: expected 1 to 1000000 records of 3073 bytes, found 0 bytes",
        );
        cifar(
            "odd.bin",
            "odd.bin: expected 1 to 1000000 records of 3073 bytes, found 3000 bytes",
        );
        cifar(
            "label.bin",
            "label.bin: expected labels from 0 to 9, found 77 at image 0",
        );
        cifar(
            "none.bin",
            "none.bin: not found (expected a file of CIFAR-10: get it with `wcat-explore data fetch cifar10`, or \
             name its folder with --data-dir)",
        );
        with(
            &["--data-file", "odd.bin"],
            "data file: expected the data set `cifar10` or `cifar100`: only their images come as one file, found `glyphs`",
        );
        with(
            &["--dataset", "mnist"],
            "[CACHE]/wcat-explore/mnist/t10k-images-idx3-ubyte: not found (expected a file of MNIST: get it with \
             `wcat-explore data fetch mnist`, or name its folder with --data-dir; looked in mnist, MNIST/raw, MNIST, raw, the \
             folder itself below [CACHE]/wcat-explore for t10k-images-idx3-ubyte, t10k-images.idx3-ubyte, \
             x_test.npy, plain or gzip, and for mnist.npz, mnist.zip)",
        );
        with(
            &["--dataset", "cifar10", "--data-dir", "nowhere"],
            "nowhere/cifar-10-batches-bin/test_batch.bin: not found (expected a file of CIFAR-10: get it with \
             `wcat-explore data fetch cifar10`, or name its folder with --data-dir; looked in \
             cifar-10-batches-bin, cifar-10-batches-py, the folder itself below nowhere for test_batch.bin, test_batch, \
             plain or gzip, and for cifar-10-binary.tar.gz, cifar-10-python.tar.gz, cifar-10-binary.tar, \
             cifar-10-python.tar)",
        );
        with(
            &["--dataset", "svhn"],
            "dataset: expected one of `glyphs`, `mnist`, `cifar10`, `cifar100`, `folder`, `file`, `fashion-mnist`, `kmnist`, \
             `emnist-balanced`, `emnist-byclass`, `emnist-bymerge`, `emnist-letters`, `emnist-digits`, `emnist-mnist`, \
             found `svhn`",
        );
        with(
            &["--images", "99999999"],
            "images: expected 1 to 100 (glyphs), found 99999999",
        );
    }
    refused(
        &place,
        &["train", "--set", "dataset.name=mnist"],
        "[CACHE]/wcat-explore/mnist/train-images-idx3-ubyte: not found (expected a file of MNIST: get it with \
         `wcat-explore data fetch mnist`, or name its folder with --data-dir; looked in mnist, MNIST/raw, MNIST, raw, the \
             folder itself below [CACHE]/wcat-explore for train-images-idx3-ubyte, train-images.idx3-ubyte, \
             x_train.npy, plain or gzip, and for mnist.npz, mnist.zip)",
    );
    // nothing is trained where the test images are not there, or not so many
    let mnist = concat!(env!("CARGO_MANIFEST_DIR"), "/configs/mnist_mlp.yaml");
    let models = "models=[{name: a, quantizer: {method: normal, bits: 4}}]";
    refused(
        &place,
        &["sweep", "--config", mnist, "--set", models],
        "[CACHE]/wcat-explore/mnist/t10k-images-idx3-ubyte: not found (expected a file of MNIST: get it with \
         `wcat-explore data fetch mnist`, or name its folder with --data-dir; looked in mnist, MNIST/raw, MNIST, raw, the \
             folder itself below [CACHE]/wcat-explore for t10k-images-idx3-ubyte, t10k-images.idx3-ubyte, \
             x_test.npy, plain or gzip, and for mnist.npz, mnist.zip)",
    );
    refused(
        &place,
        &["sweep", "--images", "9999"],
        "images: expected 1 to 2000 (glyphs), found 9999",
    );
    assert!(
        place.cached("config.yaml").is_empty(),
        "a training was begun"
    );
    for command in ["info", "fetch"] {
        let message =
            "dataset: expected one of `glyphs`, `mnist`, `cifar10`, `cifar100`, `folder`, `file`, `fashion-mnist`, `kmnist`, \
             `emnist-balanced`, `emnist-byclass`, `emnist-bymerge`, `emnist-letters`, `emnist-digits`, `emnist-mnist`, \
             found `svhn`";
        refused(&place, &["data", command, "svhn"], message);
    }
}

#[test]
fn a_model_for_other_images() {
    let place = place();
    place.write("images.bin", vec![0; 2 * 3073]);
    refused(
        &place,
        &["eval", "--model", MODEL, "--dataset", "cifar10", "--data-file", "images.bin"],
        "model model.safetensors: expected a network for CIFAR-10 (10 classes, images of [3, 32, 32]), found 10 \
         classes, images of [1, 28, 28]",
    );
}

#[test]
fn run_folders() {
    let place = place();
    let sweep = |flags: &[&'static str]| {
        let all = [
            "sweep",
            "--model",
            MODEL,
            "--voltages",
            "0.8,1.0",
            "--chips",
            "2",
        ];
        [&all, flags].concat()
    };
    place.done(&sweep(&["--out", "mine"]));
    let run = Path::new("results/mine");

    let lock = Lock::take(&place.folder.join(run)).unwrap();
    let in_use = format!(
        "results/mine/.lock: in use by another process (process {}); wait until it ends",
        std::process::id()
    );
    fails(&place, 75, &sweep(&["--out", "mine"]), &in_use);
    fails(&place, 75, &sweep(&["--out", "mine", "--fresh"]), &in_use);
    drop(lock);

    refused(
        &place,
        &sweep(&["--out", "mine", "--no-resume"]),
        "--no-resume: expected a run that is new, or `--fresh` to begin again, found a begun run in results/mine",
    );
    let begun = String::from_utf8(place.read("results/mine/run.yaml")).unwrap();
    let identity = |text: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with("identity: "))
            .unwrap();
        line.trim_start_matches("identity: ").to_owned()
    };
    let own = identity(&begun);
    let other = Place::new();
    other.write_model(MODEL, 4);
    other.done(&sweep(&["--out", "mine", "--seed", "2"]));
    let wanted = identity(&String::from_utf8(other.read("results/mine/run.yaml")).unwrap());
    refused(
        &place,
        &sweep(&["--out", "mine", "--seed", "2"]),
        &format!(
            "--out mine: expected a new name, or the folder of the same run ({wanted}), found the run {own} in it; it has seed 1, \
             this command seed 2"
        ),
    );
    for name in ["..", ".", "", "/", ".hidden", "a/.hidden"] {
        let message = format!(
            "--out: expected a name or a path of a folder, no `.` in front of its name, found `{name}`"
        );
        refused(
            &place,
            &["sweep", "--model", MODEL, "--out", name],
            &message,
        );
        refused(
            &place,
            &["sweep", "--model", MODEL, "--dry-run", "--out", name],
            &message,
        );
        refused(&place, &["pareto", "results/mine", "--out", name], &message);
    }
    let message =
        "results/none: not found (expected the folder of a run, as `sweep` and `attack` make them in `results`)";
    refused(&place, &["pareto", "results/none"], message);
    place.write("results/other/note", "");
    let record = "results/other/run.yaml: not found (expected the record of a run, in a folder that `sweep` or `attack` \
                  has made)";
    refused(&place, &["pareto", "results/other"], record);
    let unfinished: Vec<&str> = begun
        .lines()
        .map(|line| {
            if line.starts_with("finished_unix") {
                "finished_unix: null"
            } else {
                line
            }
        })
        .collect();
    place.write("results/other/run.yaml", unfinished.join("\n"));
    let command = begun
        .lines()
        .skip_while(|line| *line != "commands:")
        .nth(1)
        .unwrap()
        .trim_start_matches("- ");
    let owed = format!(
        "results/other/summary.parquet: not found (expected the tables of a finished run; this one is not finished, its \
         command goes on with it: `{command}`)"
    );
    for command in [
        &["pareto", "results/other"][..],
        &["publish", "results/other", "--out", "all.md"],
    ] {
        refused(&place, command, &owed);
    }
    refused(&place, &["pareto", "results/mine", "results/none"], message);
    refused(
        &place,
        &["pareto", "results/mine", "results/mine"],
        "runs: expected each name once, found `mine` twice",
    );
}

#[test]
fn numbers_out_of_range() {
    let place = place();
    let sweep = |flags: &[&str], message: &str| {
        refused(
            &place,
            &[&["sweep", "--model", MODEL], flags].concat(),
            message,
        );
    };
    sweep(&["--chips", "0"], "--chips: expected 1 to 1000000, found 0");
    sweep(
        &["--chips", "1000001"],
        "--chips: expected 1 to 1000000, found 1000001",
    );
    sweep(&["--images", "0"], "--images: expected at least 1, found 0");
    for (tolerance, found) in [("nan", "NaN"), ("inf", "inf"), ("0", "0"), ("0.6", "0.6")] {
        let message = format!("--tolerance: expected a number from 1e-6 to 0.5, found {found}");
        sweep(&["--tolerance", tolerance], &message);
    }
    let message =
        "--sampling: expected all images for each chip, or a tolerance (`--tolerance`), to know when to stop, found \
                   `two_level` without one";
    sweep(&["--sampling", "two-level"], message);
    let message =
        "--images: expected to be left out: two-level sampling chooses the images of each chip, found 50";
    sweep(
        &[
            "--sampling",
            "two-level",
            "--tolerance",
            "0.01",
            "--images",
            "50",
        ],
        message,
    );
    let device =
        "device: expected `cpu`: this program was built without the `cuda` feature, found `cuda:0`";
    if !cfg!(feature = "cuda") {
        sweep(&["--device", "cuda:0"], device);
        refused(
            &place,
            &["eval", "--model", MODEL, "--device", "cuda:0"],
            device,
        );
        refused(&place, &["train", "--device", "cuda:0"], device);
    }
    let eval = |flags: &[&str], message: &str| {
        refused(
            &place,
            &[&["eval", "--model", MODEL], flags].concat(),
            message,
        );
    };
    eval(&["--images", "0"], "--images: expected at least 1, found 0");
    eval(
        &["--voltage", "0.8,0.9"],
        "--voltage: expected one voltage, found 2 voltages",
    );
    eval(
        &["--voltage", "0.56V"],
        "unit of voltage: expected `vmin`, that of sram-14nm-chandramoorthy2019 (lowest voltage with no failure in \
         32 arrays of 512x64), found 0.56 `volt`",
    );
}

#[test]
fn vector_instructions_that_the_machine_lacks() {
    let place = place();
    let names = Isa::available()
        .iter()
        .map(|isa| isa.name())
        .collect::<Vec<_>>()
        .join(", ");
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        let message = format!(
            "vector instructions: expected one that this machine has: {names}, found `{isa}`"
        );
        let eval = ["eval", "--model", MODEL, "--isa", isa.name()];
        refused(&place, &eval, &message);
    }
}

#[test]
fn usage() {
    let place = place();
    for (args, message) in [
        (
            &["sweep", "--floor", "2"][..],
            "invalid value '2' for '--floor <ACCURACY>': accuracy: expected a number from 0 to 1, found 2",
        ),
        (
            &["sweep", "--floor", "nan"],
            "invalid value 'nan' for '--floor <ACCURACY>': accuracy: expected a number from 0 to 1, found NaN",
        ),
        (
            &["eval", "--model", MODEL, "--ber", "2"],
            "invalid value '2' for '--ber <P>': bit error rate: expected a number from 0 to 1, found 2",
        ),
        (
            &["eval", "--model", MODEL, "--ber", "-0.1"],
            "invalid value '-0.1' for '--ber <P>': bit error rate: expected a number from 0 to 1, found -0.1",
        ),
        (
            &["eval", "--model", MODEL, "--ber", "0.1", "--voltage", "0.8"],
            "the argument '--ber <P>' cannot be used with '--voltage <V>'",
        ),
        (
            &["sweep", "--device", "gpu"],
            "invalid value 'gpu' for '--device <DEVICE>': device: expected `cpu` or `cuda:N`, found `gpu`",
        ),
        (
            &["sweep", "--isa", "sse"],
            "invalid value 'sse' for '--isa <ISA>': vector instructions: expected one of avx512, avx2, portable, \
             found `sse`",
        ),
        (&["sweep", "--chips", "-1"], "unexpected argument '-1' found"),
        (
            &["sweep", "--chips", "x"],
            "invalid value 'x' for '--chips <N>': invalid digit found in string",
        ),
        (&["sweep", "--chip", "3"], "unexpected argument '--chip' found"),
        (&["eval"], "the following required arguments were not provided:"),
        (&["swep"], "unrecognized subcommand 'swep'"),
        (&["memory", "shw"], "unrecognized subcommand 'shw'"),
        (&["memory", "list", "--set", "a.b=c"], "unexpected argument '--set' found"),
        (
            &["memory", "list", "--seed", "3", "--device", "cuda:7"],
            "unexpected argument '--seed' found",
        ),
        (&["pareto", "results/a", "--isa", "avx2"], "unexpected argument '--isa' found"),
        (&["completions", "csh"], "invalid value 'csh' for '<SHELL>'"),
        (&["sweep", "-v", "-q"], "the argument '--verbose' cannot be used with '--quiet'"),
    ] {
        misused(&place, args, message);
    }
    let nothing = place.run(&[]);
    assert_eq!((nothing.code, nothing.stdout.as_str()), (Some(2), ""));
    assert!(
        nothing
            .stderr
            .contains("Usage: wcat-explore [OPTIONS] <COMMAND>"),
        "{}",
        nothing.stderr
    );
}
