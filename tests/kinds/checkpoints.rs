//! Checkpoints load in the forms in which they are commonly saved.

use crate::program::{records, Place};
use candle_core::{Device, Tensor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use wcat_explore::net::{write_tensors, Architecture, Network};
use wcat_explore::quant::QuantizerSpec;
use wcat_explore::seed::Seed;
use zip::write::SimpleFileOptions;
use zip::ZipWriter;

pub(crate) type State = Vec<(String, Tensor)>;

/// The tensors of a fresh float network.
pub(crate) fn state(architecture: &str) -> State {
    let (architecture, device): (Architecture, _) = (architecture.parse().unwrap(), Device::Cpu);
    let quantizer = QuantizerSpec::default();
    let network = Network::new(architecture, 10, &quantizer, Seed(1), &device);
    network.unwrap().0.state().unwrap()
}

pub(crate) fn renamed(state: &State, name: impl Fn(&str) -> String) -> State {
    state
        .iter()
        .map(|(before, tensor)| (name(before), tensor.clone()))
        .collect()
}

fn text(value: &str) -> Vec<u8> {
    let length = (value.len() as u32).to_le_bytes();
    [b"X".as_slice(), &length, value.as_bytes()].concat()
}

fn ints(values: &[usize]) -> Vec<u8> {
    let items = values
        .iter()
        .map(|&n| [b"J".as_slice(), &(n as u32).to_le_bytes()].concat());
    [
        b"(".to_vec(),
        items.collect::<Vec<_>>().concat(),
        b"t".to_vec(),
    ]
    .concat()
}

/// A checkpoint of `torch.save`: a dictionary of tensors, which `wrap` may put into another one.
pub(crate) fn pth(state: &State, wrap: impl Fn(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
    let mut storages = Vec::new();
    let mut dict = b"}(".to_vec();
    for (name, tensor) in state {
        let flat = tensor.flatten_all().unwrap();
        let (class, bytes): (_, Vec<u8>) = match flat.to_vec1::<f32>() {
            Ok(values) => (
                "FloatStorage",
                values.into_iter().flat_map(f32::to_le_bytes).collect(),
            ),
            Err(_) => {
                let values = flat.to_vec1::<i64>().unwrap();
                ("CharStorage", values.into_iter().map(|v| v as u8).collect())
            }
        };
        let mut strides = vec![1; tensor.rank()];
        for i in (1..tensor.rank()).rev() {
            strides[i - 1] = strides[i] * tensor.dims()[i];
        }
        dict.extend(
            [
                text(name),
                b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
                text("storage"),
                format!("ctorch\n{class}\n").into_bytes(),
                text(&storages.len().to_string()),
                text("cpu"),
                [b"J".as_slice(), &(flat.elem_count() as u32).to_le_bytes()].concat(),
                b"tQK\0".to_vec(),
                ints(tensor.dims()),
                ints(&strides),
                b"\x89}tR".to_vec(),
            ]
            .concat(),
        );
        storages.push(bytes);
    }
    dict.push(b'u');
    let pickle = [b"\x80\x02".to_vec(), wrap(dict), b".".to_vec()].concat();
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut add = |name: String, bytes: &[u8]| {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    };
    add("archive/data.pkl".into(), &pickle);
    for (key, bytes) in storages.iter().enumerate() {
        add(format!("archive/data/{key}"), bytes);
    }
    zip.finish().unwrap().into_inner()
}

pub(crate) fn bare(dict: Vec<u8>) -> Vec<u8> {
    dict
}

/// What `eval` says of a model, as it is in JSON.
#[track_caller]
pub(crate) fn evaluated(place: &Place, model: &str) -> Value {
    let (images, size) = ("--images", "dataset.glyphs.test_images=20");
    let data = ["--dataset", "glyphs", "--set", size, images, "20"];
    let call = ["eval", "--threads", "1", "--model", model];
    records(place, &[&call[..], &data].concat()).remove(0)
}

/// Accuracy and loss of both are the same.
#[track_caller]
fn same(place: &Place, model: &str, control: &Value) {
    let row = evaluated(place, model);
    assert_eq!(row["loss"], control["loss"], "{model}");
    assert_eq!(row["accuracy"], control["accuracy"], "{model}");
}

/// A place with a LeNet-5, and what is said of it.
fn lenet() -> (Place, State, Value) {
    let (place, state) = (Place::new(), state("lenet5"));
    place.write("control.pth", pth(&state, bare));
    let control = evaluated(&place, "control.pth");
    (place, state, control)
}

fn under(key: &'static str) -> impl Fn(Vec<u8>) -> Vec<u8> {
    move |dict| {
        let epoch = [text("epoch"), b"K\x03".to_vec()].concat();
        let args = b"cargparse\nNamespace\n)R}X\x02\0\0\0lrK\x01sb".to_vec();
        let args = [text("args"), args].concat();
        [b"}(".to_vec(), epoch, args, text(key), dict, b"u".to_vec()].concat()
    }
}

#[test]
fn the_content_of_a_file_says_what_it_is() {
    let (place, state, control) = lenet();
    for name in [
        "a.pth.tar",
        "a.ckpt",
        "a.bin",
        "a.pkl",
        "a.pt",
        "a.tar",
        "a",
        "a.safetensors",
    ] {
        place.write(name, pth(&state, under("state_dict")));
        same(&place, name, &control);
    }
    write_tensors(&place.path("b.pth"), &state, &BTreeMap::new()).unwrap();
    same(&place, "b.pth", &control);
}

#[test]
fn keys_and_prefixes_in_their_combinations_are_found() {
    let (place, state, control) = lenet();
    for (key, prefix) in [
        ("net", "module."),
        ("network", "model."),
        ("model", "_orig_mod."),
        ("model_state_dict", "module._orig_mod."),
        ("model_ema", "model.module."),
        ("ema", "net._orig_mod.module."),
        ("state_dict", "ema.model."),
    ] {
        let state = renamed(&state, |name| format!("{prefix}{name}"));
        place.write("a.pth", pth(&state, under(key)));
        same(&place, "a.pth", &control);
        write_tensors(&place.path("a.safetensors"), &state, &BTreeMap::new()).unwrap();
        same(&place, "a.safetensors", &control);
    }
}

#[test]
fn trained_weights_go_before_averages_and_two_networks_are_refused() {
    let (place, state, control) = lenet();
    let averages = state
        .iter()
        .map(|(name, t)| (name, t.affine(2.0, 0.0).unwrap()));
    let beside = |prefix: &str| -> State {
        let mut both = renamed(&state, |name| format!("model.{name}"));
        both.extend(
            averages
                .clone()
                .map(|(name, t)| (format!("{prefix}{name}"), t)),
        );
        both
    };
    place.write("a.ckpt", pth(&beside("ema.module."), under("state_dict")));
    same(&place, "a.ckpt", &control);
    let ended = place.done(&["inspect", "--model", "a.ckpt"]);
    assert!(
        ended
            .stderr
            .contains("under `model.` are taken; 10 other tensors"),
        "{}",
        ended.stderr
    );
    place.write("b.ckpt", pth(&beside("other."), under("state_dict")));
    let ended = place.run(&["inspect", "--model", "b.ckpt"]);
    assert_eq!(ended.code, Some(2));
    assert!(
        ended
            .stderr
            .contains("one network, found 2: model.*, other.*"),
        "{}",
        ended.stderr
    );
}

#[test]
fn counters_and_extras_are_passed_over() {
    let (place, state, control) = lenet();
    let (float, whole) = (
        Tensor::new(&[1f32], &Device::Cpu),
        Tensor::new(&[3i64], &Device::Cpu),
    );
    let (float, whole) = (float.unwrap(), whole.unwrap());
    let mut more = state.clone();
    for (name, tensor) in [
        ("conv1.total_ops", &float),
        ("total_params", &float),
        ("bn.num_batches_tracked", &whole),
        ("n_averaged", &whole),
    ] {
        more.push((name.into(), tensor.clone()));
    }
    place.write("a.pth", pth(&more, bare));
    same(&place, "a.pth", &control);
    // a scalar of I32 and one of BOOL beside the weights
    write_tensors(&place.path("b.safetensors"), &state, &BTreeMap::new()).unwrap();
    let file = place.read("b.safetensors");
    let length = u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length]).unwrap();
    let mut header = header.as_object().unwrap().clone();
    header.remove("__metadata__"); // the seal of our own files
    let end = file.len() - 8 - length;
    for (name, kind, from, to) in [
        ("step", "I32", end, end + 4),
        ("flag", "BOOL", end + 4, end + 5),
    ] {
        let entry = serde_json::json!({"dtype": kind, "shape": [], "data_offsets": [from, to]});
        header.insert(name.into(), entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    let file = [
        (header.len() as u64).to_le_bytes().as_slice(),
        header.as_slice(),
        &file[8 + length..],
        &[7, 0, 0, 0, 1],
    ]
    .concat();
    place.write("b.safetensors", file);
    same(&place, "b.safetensors", &control);
}

#[test]
fn weight_norm_and_pruning_are_computed() {
    let (place, state, control) = lenet();
    for (first, second) in [
        ("weight_g", "weight_v"),
        (
            "parametrizations.weight.original0",
            "parametrizations.weight.original1",
        ),
    ] {
        let mut pairs = State::new();
        for (name, tensor) in &state {
            let Some(layer) = name.strip_suffix("weight") else {
                pairs.push((name.clone(), tensor.clone()));
                continue;
            };
            // another length of the direction changes nothing
            let over: Vec<usize> = (1..tensor.rank()).collect();
            let norm = tensor
                .sqr()
                .unwrap()
                .sum_keepdim(over)
                .unwrap()
                .sqrt()
                .unwrap();
            pairs.push((format!("{layer}{first}"), norm));
            pairs.push((format!("{layer}{second}"), tensor.affine(3.0, 0.0).unwrap()));
        }
        place.write("a.pth", pth(&pairs, bare));
        let row = evaluated(&place, "a.pth");
        let (a, b) = (
            row["loss"].as_f64().unwrap(),
            control["loss"].as_f64().unwrap(),
        );
        assert!((a - b).abs() < 1e-5, "{a} {b}");
    }
    let mut pruned = state.clone();
    let (name, weight) = pruned.remove(0);
    let mask = weight.zeros_like().unwrap();
    pruned.push((format!("{name}_orig"), weight.clone()));
    pruned.push((format!("{name}_mask"), mask.clone()));
    place.write("pruned.pth", pth(&pruned, bare));
    let mut zeros = state.clone();
    zeros[0].1 = mask;
    place.write("zeros.pth", pth(&zeros, bare));
    let zeros = evaluated(&place, "zeros.pth");
    same(&place, "pruned.pth", &zeros);
}

#[test]
fn the_original_projects_names_are_ours() {
    let (place, state) = (Place::new(), state("resnet20_projection"));
    let theirs = renamed(&state, |name| {
        name.replace("linear.", "fc.")
            .replace(".shortcut.", ".downsample.")
    });
    place.write("ours.pth", pth(&state, bare));
    place.write("theirs.tar", pth(&theirs, under("model_state_dict")));
    let layers = |model: &str| {
        let mut rows = records(&place, &["inspect", "--model", model]);
        rows.retain(|row| row["layer"] == "linear" || row["layer"] == "layer2.0.shortcut.0");
        rows
    };
    assert_eq!(layers("ours.pth").len(), 2);
    assert_eq!(layers("ours.pth"), layers("theirs.tar"));
}

#[test]
fn what_is_no_model_is_named_as_what_it_is() {
    let place = Place::new();
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12345\n";
    for (name, content, word) in [
        ("a.pth", pointer, "Git LFS"),
        ("a.safetensors", pointer, "Git LFS"),
        ("b.pth", "<!DOCTYPE html>\n<html></html>", "HTML"),
        ("b.ckpt", "\n<html>\n", "HTML"),
        ("c.bin", "", "an empty file"),
        ("d", "text", "begins otherwise"),
    ] {
        place.write(name, content);
        let ended = place.run(&["inspect", "--model", name]);
        assert_eq!(ended.code, Some(2), "{name}");
        assert!(
            ended.stderr.contains(word) && ended.stderr.contains(name),
            "{}",
            ended.stderr
        );
    }
}
