//! No image of a folder is left out silently; integer codes are not taken for weights.

use super::checkpoints::{bare, pth, state};
use crate::program::Place;
use candle_core::{DType, Device, Tensor};
use std::collections::BTreeMap;
use std::fs;
use wcat_explore::data::{load, DatasetName, DatasetSpec, ImageSet, Split};
use wcat_explore::error::Result;
use wcat_explore::net::write_tensors;

/// A PNG image of 8x8 pixels with a palette.
fn png(palette: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 8);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_palette(palette.to_vec());
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[0; 64]).unwrap();
    writer.finish().unwrap();
    bytes
}

fn loaded(place: &Place) -> Result<ImageSet> {
    let spec = DatasetSpec::of(DatasetName::Folder).for_input([3, 8, 8]);
    load(&spec, Split::Test, &place.path("set"))
}

#[test]
fn files_that_are_left_out_are_counted_and_the_first_is_named() {
    for (name, content) in [
        ("1.bmp", &b"BM\x46\0\0\0\0\0\0\0\x36\0"[..]),
        ("1.webp", b"RIFF\x24\0\0\0WEBPVP8 "),
        ("1.gif", b"GIF89a\x01\0\x01\0\0\0"),
        ("1.tif", b"II*\0\x08\0\0\0\0\0\0\0"),
        ("1.tiff", b"MM\0*\0\0\0\x08\0\0\0\0"),
        ("1.heic", b"\0\0\0\x18ftypheic"),
        ("1.ppm", b"P6\n1 1\n255\n..."),
        ("notes.txt", b"no image"),
    ] {
        let place = Place::new();
        for class in ["a", "b"] {
            place.write(&format!("set/{class}/0.png"), png(&[1, 2, 3]));
            place.write(&format!("set/{class}/{name}"), content);
            place.write(&format!("set/{class}/.DS_Store"), b"\0\0\0\x01Bud1");
        }
        let set = loaded(&place).unwrap();
        assert_eq!(set.labels, [0, 1]);
        let [remark] = set.remarks.as_slice() else {
            panic!("{name}: {:?}", set.remarks)
        };
        assert!(
            remark.starts_with("2 files of ") && remark.contains(&format!("a/{name}")),
            "{remark}"
        );
    }
}

#[test]
fn the_program_warns_of_files_that_are_left_out() {
    let place = Place::new();
    for half in ["train", "test"] {
        for class in ["a", "b"] {
            place.write(&format!("set/{half}/{class}/0.png"), png(&[1, 2, 3]));
            place.write(
                &format!("set/{half}/{class}/1.bmp"),
                b"BM\x46\0\0\0\0\0\0\0\x36\0",
            );
        }
    }
    let images = ["--set", "dataset.name=folder", "--data-dir", "set"];
    let network = [
        "--set",
        "network.architecture=resnet20",
        "--set",
        "dataset.validation=0",
    ];
    let short = ["--set", "trainer.epochs=1", "--out", "trained"];
    let trained = place.done(&[&["train"][..], &images, &network, &short].concat());
    assert!(
        trained.stderr.contains("train/a/1.bmp (a BMP image)"),
        "{}",
        trained.stderr
    );
}

#[test]
fn images_are_told_by_their_content() {
    let place = Place::new();
    place.write("set/a/0.jpg", png(&[1, 2, 3]));
    place.write("set/a/1.dat", png(&[4, 5, 6]));
    place.write("set/a/2", png(&[7, 8, 9]));
    let set = loaded(&place).unwrap();
    assert_eq!([0, 1, 2].map(|i| set.image(i)[64]), [2, 5, 8]);
    assert!(set.remarks.is_empty(), "{:?}", set.remarks);
}

#[test]
fn a_class_that_loses_all_its_images_is_an_error() {
    let place = Place::new();
    place.write("set/a/0.png", png(&[1, 2, 3]));
    place.write("set/b/0.webp", b"RIFF\x24\0\0\0WEBPVP8 ");
    let error = loaded(&place).unwrap_err();
    assert!(error.is_wrong_input());
    let message = error.to_string();
    assert!(
        message.contains("set/b: expected PNG or JPEG images")
            && message.contains("(a WebP image)"),
        "{message}"
    );
}

#[test]
fn a_png_whose_palette_is_no_whole_number_of_colours_is_an_error_that_names_it() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../shared/cases/files/palette_of_two_bytes.png"
    );
    let mut files = vec![png(&[1, 2]), png(&[1, 2, 3, 4]), png(&[7; 3 * 257])];
    files.extend(fs::read(path));
    for file in files {
        let place = Place::new();
        place.write("set/a/odd.png", file);
        let error = loaded(&place).unwrap_err();
        assert!(
            error.is_wrong_input() && error.to_string().contains("a/odd.png"),
            "{error}"
        );
    }
}

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
