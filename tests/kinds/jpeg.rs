//! JPEG files decode to the pixels of libjpeg, whatever their scans, sampling and size.

use crate::program::Place;
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use wcat_explore::data::{load, DatasetName, DatasetSpec, FolderSpec, Split};

/// Most that a value may differ from libjpeg's, and most in the mean.
const MOST: (u8, f64) = (4, 0.5);

/// JPEG files by the PNG file with libjpeg's pixels; `make.py` beside them made both.
fn pictures() -> BTreeMap<PathBuf, Vec<PathBuf>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/kinds/data/jpeg");
    let mut pictures = BTreeMap::<PathBuf, Vec<PathBuf>>::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "jpg") {
            let name = path.file_stem().unwrap().to_str().unwrap();
            let png = format!("{}.png", name.rsplit_once('_').unwrap().0);
            pictures
                .entry(path.with_file_name(png))
                .or_default()
                .push(path);
        }
    }
    pictures
}

#[test]
fn every_sampling_and_kind_of_scan_gives_libjpegs_pixels() {
    let (mut files, mut worst) = (0, (0u8, 0.0f64));
    for (png, jpegs) in pictures() {
        let place = Place::new();
        place.write("set/0/0.png", fs::read(&png).unwrap());
        for (number, jpeg) in jpegs.iter().enumerate() {
            place.write(&format!("set/1/{number}.jpg"), fs::read(jpeg).unwrap());
        }
        let name = png.file_stem().unwrap().to_str().unwrap();
        let size = name.rsplit_once('_').unwrap().1.parse().unwrap();
        let spec = DatasetSpec {
            folder: Some(FolderSpec {
                size: Some(size),
                resize: None,
            }),
            ..DatasetSpec::of(DatasetName::Folder)
        };
        let set = load(&spec, Split::Test, &place.path("set")).unwrap();
        for (number, jpeg) in jpegs.iter().enumerate() {
            let pairs = set.image(0).iter().zip(set.image(number + 1));
            let differences: Vec<u8> = pairs.map(|(a, b)| a.abs_diff(*b)).collect();
            let most = *differences.iter().max().unwrap();
            let sum: u32 = differences.iter().map(|d| u32::from(*d)).sum();
            let mean = f64::from(sum) / differences.len() as f64;
            assert!(
                most <= MOST.0 && mean <= MOST.1,
                "{}: {most}, {mean}",
                jpeg.display()
            );
            worst = (worst.0.max(most), worst.1.max(mean));
            files += 1;
        }
    }
    assert_eq!(files, 30);
    println!(
        "{files} files: at most {} of 255, {:.3} in the mean",
        worst.0, worst.1
    );
}

/// A baseline picture of the fixtures.
fn baseline(name: &str) -> Vec<u8> {
    let path = format!(
        "{}/tests/kinds/data/jpeg/{name}",
        env!("CARGO_MANIFEST_DIR")
    );
    fs::read(path).unwrap()
}

/// Where a segment's code stands.
fn segment(bytes: &[u8], code: u8) -> usize {
    bytes
        .windows(2)
        .position(|pair| pair == [0xff, code])
        .unwrap()
}

#[test]
fn kinds_of_jpeg_that_are_not_read_are_refused_and_named() {
    let place = Place::new();
    place.write_model("net.safetensors", 8);
    let whole = baseline("420_21_one.jpg");
    let frame = segment(&whole, 0xc0);
    let with = |at: usize, byte: u8| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        bytes
    };
    let progressive = baseline("420_18_progressive.jpg");
    let refinement = progressive
        .windows(2)
        .rposition(|pair| pair == [0xff, 0xda])
        .unwrap();
    let unfinished = [&progressive[..refinement], &[0xff, 0xd9]].concat();
    for (bytes, message) in [
        (with(frame + 1, 0xc3), "a lossless one"),
        (with(frame + 1, 0xc9), "one in arithmetic coding"),
        (with(frame + 1, 0xc5), "a hierarchical one"),
        (with(frame + 4, 12), "one of 12"),
        (with(frame + 9, 2), "2 components"),
        (with(frame + 8, 4), "4 columns"),
        (with(frame + 5, 0xff), "pixels a side"),
        (whole[..whole.len() - 40].to_vec(), "a truncated file"),
        (unfinished, "lacks coefficients"),
    ] {
        place.write("set/0/picture.jpg", bytes);
        let ended = place.run(&[
            "eval",
            "--model",
            "net.safetensors",
            "--dataset",
            "folder",
            "--data-dir",
            "set",
        ]);
        assert_eq!(ended.code, Some(2), "{message}: {}", ended.stderr);
        assert!(
            ended.stderr.contains("set/0/picture.jpg: ") && ended.stderr.contains(message),
            "{message}: {}",
            ended.stderr
        );
    }
}

#[test]
fn flipped_bytes_of_a_jpeg_end_without_a_panic() {
    let place = Place::new();
    let spec = DatasetSpec::of(DatasetName::Folder).for_input([3, 8, 8]);
    for name in ["422_21_restart.jpg", "420_18_progressive.jpg"] {
        let whole = baseline(name);
        for at in (0..whole.len()).step_by(5) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x55;
            place.write("set/0/picture.jpg", bytes);
            if let Err(error) = load(&spec, Split::Test, &place.path("set")) {
                let message = error.to_string();
                assert!(message.contains("picture.jpg"), "{message}");
                assert!(!message.contains("upsets the decoder"), "{name} {at}");
            }
        }
    }
}
