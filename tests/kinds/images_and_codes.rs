//! No image of a folder is left out silently; integer codes are not taken for weights.

use super::checkpoints::{bare, pth, state};
use crate::program::Place;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use wcat_explore::net::write_tensors;

// ---- codes ----

#[test]
fn whole_numbers_are_no_weights() {
    let place = Place::new();
    for which in ["conv1.weight", "fc3.bias"] {
        let mut state = state("lenet5");
        let found = state.iter_mut().find(|(name, _)| name == which).unwrap();
        let dims = found.1.dims().to_vec();
        found.1 = Tensor::ones(dims, DType::I64, &Device::Cpu).unwrap();
        place.write("a.pth", pth(&state, bare));
        let found = state.iter_mut().find(|(name, _)| name == which).unwrap();
        found.1 = found.1.to_dtype(DType::U8).unwrap();
        write_tensors(&place.path("a.safetensors"), &state, &BTreeMap::new()).unwrap();
        for file in ["a.pth", "a.safetensors"] {
            let ended = place.run(&["eval", "-q", "--model", file, "--dataset", "glyphs"]);
            assert_eq!(ended.code, Some(2));
            let message = format!(
                "{file}: `{which}`: expected numbers in floating point, found whole numbers"
            );
            assert!(ended.stderr.contains(&message), "{}", ended.stderr);
            assert!(
                ended.stderr.contains("codes without their step"),
                "{}",
                ended.stderr
            );
        }
    }
}
