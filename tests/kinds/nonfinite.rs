//! Weights that are no numbers are refused where they are read, and no arithmetic swallows them.

use super::checkpoints::{bare, pth, state, State};
use crate::program::Place;
use candle_core::{Device, Tensor};
use std::collections::BTreeMap;
use wcat_explore::net::{read_tensors, write_tensors};

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
