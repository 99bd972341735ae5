//! The golden files and the numbers in them; the weights and images that some of them are about.

use serde_json::Value;
use std::path::PathBuf;
use wcat_explore::data::{load, DatasetName, DatasetSpec, ImageSet, Split};
use wcat_explore::store;
use wcat_explore::units::Bits;

pub(crate) fn folder() -> PathBuf {
    std::env::var_os("WCAT_GOLDEN_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")),
        PathBuf::from,
    )
}

/// True where a test must not be skipped.
pub(crate) fn required() -> bool {
    std::env::var_os("WCAT_REQUIRE_DATA").is_some()
}

/// A file of weights, beside the golden files or in `shared`; `None`, which is said, where it is not there.
pub(crate) fn weights(file: &str) -> Option<PathBuf> {
    let shared = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/weights"));
    let folders = [folder().join("weights"), folder(), shared];
    let found = folders
        .into_iter()
        .map(|folder| folder.join(file))
        .find(|path| path.exists());
    if found.is_none() {
        assert!(
            !required(),
            "{file} is not in {} nor in its weights/",
            folder().display()
        );
        eprintln!("skipped: no {file}");
    }
    found
}

/// The test images in the cache folder; `None`, which is said, where they are not there.
pub(crate) fn test_set(name: DatasetName) -> Option<ImageSet> {
    let set = load(
        &DatasetSpec::of(name),
        Split::Test,
        &store::cache_folder().unwrap(),
    )
    .ok();
    if set.is_none() {
        assert!(!required(), "{} is not in the cache folder", name.title());
        eprintln!("skipped: no {} in the cache folder", name.title());
    }
    set
}

/// Kind of a golden file, by its keys: names do not matter.
pub(crate) fn kind(json: &Value) -> Option<&'static str> {
    let has = |key: &str| json.get(key).is_some();
    match () {
        () if has("cases") && has("tensors") => Some("quantizers"),
        () if has("bits") => Some("bitops"),
        () if has("nets") && has("input_sha256_first16_records") => Some("resnet20_fwd"),
        () if has("nets") && has("sample_indices") => Some("bfa"),
        () if has("networks") => Some("networks"),
        () => None,
    }
}

pub(crate) fn files(wanted: &str) -> Vec<(String, Value)> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    let all = paths.into_iter().map(|path| {
        let json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path.display().to_string(), json)
    });
    all.filter(|(_, json)| kind(json) == Some(wanted)).collect()
}

pub(crate) fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

pub(crate) fn number(value: &Value) -> f64 {
    match value.as_str() {
        Some("NaN") => f64::NAN,
        Some("Infinity") => f64::INFINITY,
        Some("-Infinity") => f64::NEG_INFINITY,
        Some(other) => panic!("{other} is no number"),
        None => value.as_f64().unwrap(),
    }
}

pub(crate) fn floats(value: &Value) -> Vec<f32> {
    numbers(value).into_iter().map(|x| x as f32).collect()
}

pub(crate) fn integers(value: &Value) -> Vec<i64> {
    numbers(value).into_iter().map(|x| x as i64).collect()
}

pub(crate) fn bits(value: u64) -> Bits {
    Bits::new(value).unwrap()
}
