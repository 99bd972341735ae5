//! Networks of ONNX files: trained on, quantised anew, and written out again, as any model is.
#![allow(clippy::unwrap_used)] // a test may stop at once

mod program;

use program::{records, refused, Place};
use serde_json::Value;
use std::path::Path;

/// A network of an ONNX file for grey images of 28x28 pixels in 10 classes.
const IMPORTED: &str = "dscnn_mnist.onnx";
/// A network whose layers are codes.
const CODES: &str = "resnet8_qlinear.onnx";
/// A LeNet-5 of our own.
const OWN: &str = "own.safetensors";

fn place_of(file: &str) -> Place {
    let place = Place::new();
    let from = format!("tests/onnx/{}/model.onnx", file.trim_end_matches(".onnx"));
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(from);
    place.write(file, std::fs::read(from).unwrap());
    place
}

/// Names and widths of the layers of a model.
fn layers(place: &Place, model: &str) -> Vec<(String, Value)> {
    records(place, &["inspect", "--model", model])
        .iter()
        .map(|layer| (layer["layer"].to_string(), layer["bits"].clone()))
        .collect()
}

fn train(place: &Place, weights: &str, bits: &str) -> String {
    let rows = records(
        place,
        &[
            "train",
            "--weights",
            weights,
            "--set",
            "dataset.glyphs={training_images: 300}",
            "--set",
            "trainer.epochs=1",
            "--sweep-methods",
            "wcat",
            "--bits",
            bits,
        ],
    );
    rows[0]["path"].as_str().unwrap().to_owned()
}

#[test]
fn a_network_of_a_file_is_trained_on_and_its_model_goes_everywhere_without_that_file() {
    let place = place_of(IMPORTED);
    let trained = train(&place, IMPORTED, "4");
    // the same name from the content of the file, wherever it lies
    place.write("other.onnx", place.read(IMPORTED));
    assert_eq!(train(&place, "other.onnx", "4"), trained);
    for file in [IMPORTED, "other.onnx"] {
        std::fs::remove_file(place.path(file)).unwrap();
    }
    let eval = &records(&place, &["eval", "--model", &trained])[0];
    assert_eq!(eval["architecture"], "dscnn_mnist");
    assert_eq!(
        (&eval["method"], &eval["bits"]),
        (&"wcat".into(), &4.into())
    );
    // from the model file to another width, and out again
    let other = train(&place, &trained, "2");
    let own = layers(&place, &other);
    assert!(own.len() == 8 && own.iter().all(|(_, bits)| *bits == 2));
    place.done(&["export", &other, "--to", "onnx", "--out", "out.onnx"]);
    assert_eq!(layers(&place, "out.onnx"), own);
}

#[test]
fn an_exported_file_is_evaluated_as_its_model_is_by_itself() {
    let place = Place::new();
    place.write_model(OWN, 4);
    let ended = place.done(&["export", "--model", OWN, "--out", "out.onnx"]);
    assert_eq!(ended.stdout, "out.onnx\n");
    assert_eq!(layers(&place, "out.onnx"), layers(&place, OWN));
    let own = evaluated(&place, OWN);
    let back = evaluated(&place, "out.onnx");
    assert_eq!(back["accuracy"], own["accuracy"]);
    let (own, back) = (
        own["loss"].as_f64().unwrap(),
        back["loss"].as_f64().unwrap(),
    );
    assert!((own - back).abs() <= 1e-5 * own, "{own} and {back}");
}

/// On the same images, which only a model of our own names.
fn evaluated(place: &Place, model: &str) -> Value {
    let rows = records(place, &["eval", "--model", model, "--dataset", "glyphs"]);
    rows[0].clone()
}

#[test]
fn an_export_replaces_no_file_unasked_and_takes_no_other_ending() {
    let place = Place::new();
    place.write_model(OWN, 4);
    let export = ["export", "--model", OWN, "--out", "out.onnx"];
    place.write("out.onnx", "mine");
    refused(
        &place,
        &export,
        "--out: expected a file that is not there yet, or --overwrite, found `out.onnx`",
    );
    place.done(&[&export[..], &["--overwrite"]].concat());
    assert_ne!(place.read("out.onnx"), b"mine");
    let other = ["export", "--model", OWN, "--out", "out.safetensors"];
    refused(
        &place,
        &other,
        "--out: expected a path that ends in .onnx, found `out.safetensors`",
    );
    let missing = ["export", "--model", "none.safetensors", "--out", "n.onnx"];
    refused(&place, &missing, "none.safetensors");
}

#[test]
fn a_network_of_a_file_is_refused_at_once_for_other_images_and_for_codes_that_are_to_stay() {
    let train = ["train", "--set", "trainer.epochs=1"];
    let imported = [&train[..], &["--weights", IMPORTED]].concat();
    let place = place_of(IMPORTED);
    refused(
        &place,
        &[&imported[..], &["--set", "dataset.name=cifar10"]].concat(),
        "dataset: expected images of [1, 28, 28] in 10 classes, which `dscnn_mnist` takes, found images of [3, 32, 32] in 10",
    );
    refused(
        &place,
        &[&imported[..], &["--set", "network.architecture=lenet5"]].concat(),
        "weights of lenet5, found `dscnn_mnist`, which `network.architecture: imported` trains",
    );
    refused(
        &place,
        &[&train[..], &["--set", "network.architecture=imported"]].concat(),
        "an architecture, or a file of `network.weights`",
    );
    let place = place_of(CODES);
    let cifar = ["--weights", CODES, "--set", "dataset.name=cifar10"];
    let of_codes = [&train[..], &cifar].concat();
    refused(&place, &of_codes, "`--requantize` makes them of the codes");
    // with the flag only the data are missing
    let more = [&of_codes[..], &["--requantize", "--data-dir", "none"]].concat();
    refused(&place, &more, "none");
    let quantize = [
        "quantize",
        "--model",
        CODES,
        "--bits",
        "4",
        "--no-eval",
        "--out",
        "q.safetensors",
    ];
    refused(&place, &quantize, "`--requantize` makes them of codes");
    place.done(&[&quantize[..], &["--requantize"]].concat());
    assert!(layers(&place, "q.safetensors")
        .iter()
        .all(|(_, bits)| *bits == 4));
}

/// What stands around the lines of README's section "Your own network": a network and inputs of each library.
const PYTORCH: [&str; 2] = [
    "import numpy, torch\n\
     from torch.nn import BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential\n\
     model = Sequential(Conv2d(3, 8, 3, bias=False), BatchNorm2d(8), ReLU(), MaxPool2d(5), Flatten(), Linear(288, 10))\n",
    "inputs = torch.randn(50, 3, 32, 32)\n\
     classes = model(inputs).argmax(1).numpy()\n",
];
const KERAS: [&str; 2] = [
    "import os\n\
     os.environ['KERAS_BACKEND'] = 'torch'\n\
     import keras, numpy\n\
     from keras.layers import Conv2D, Dense, DepthwiseConv2D, GlobalAveragePooling2D\n\
     layers = [Conv2D(8, 3, padding='same'), DepthwiseConv2D(3, strides=2), GlobalAveragePooling2D(), Dense(10)]\n\
     model = keras.Sequential([keras.Input((32, 32, 3)), *layers])\n\
     inputs = numpy.random.default_rng(0).standard_normal((50, 32, 32, 3)).astype('float32')\n\
     classes = model.predict(inputs, verbose=0).argmax(1)\n",
    "",
];

/// With PyTorch and Keras in the Python that `WCAT_PYTHON` names; each is skipped where it is not there.
#[test]
fn networks_are_written_by_the_lines_of_the_readme_and_read() {
    let Some(python) = std::env::var_os("WCAT_PYTHON") else {
        return;
    };
    let readme = include_str!("../README.md");
    let line = |start: &str| readme.lines().find(|line| line.starts_with(start)).unwrap();
    let data = line("numpy.savez(");
    for (library, export, [before, between]) in [
        ("torch", line("torch.onnx.export("), PYTORCH),
        ("keras", line("model.export("), KERAS),
    ] {
        let place = Place::new();
        let ran = |script: &str| {
            let mut command = std::process::Command::new(&python);
            let output = command.args(["-c", script]).current_dir(&place.folder);
            output.output().unwrap()
        };
        if !ran(&format!("import {library}")).status.success() {
            continue;
        }
        let output = ran(&format!("{before}{export}\n{between}{data}\n"));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{library}: {said}");
        let args = ["eval", "--model", "net.onnx", "--data", "test.npz"];
        let found = records(&place, &args);
        assert_eq!(found[0]["accuracy"], 1.0, "{library}");
    }
}
