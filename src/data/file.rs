//! Inputs and classes from one file of arrays (`.npz`, `.safetensors`), or images of CIFAR-10 records (`.bin`).
//!
//! Inputs are the array `x` or `inputs`: a batch of one to three further dimensions, kept in the file's layout and padded
//! in front with ones. Floats are what the network takes; `uint8` are pixels. Classes are the array `y` or `labels`; test
//! data may lack it, and are then judged by agreement alone.

use super::{cifar, folder, DatasetName, FileSpec, ImageSet, Pixels, Split, MAX_IMAGES};
use crate::error::{refuse, Error, Result};
use crate::store::{self, NumberArray, NumberType, Numbers};
use safetensors::tensor::{Dtype, TensorView};
use safetensors::SafeTensors;
use std::path::Path;

/// Most bytes of the arrays of a file, 8 GiB, as of class folders.
const MOST_BYTES: u64 = 8 << 30;
/// Names of the array of inputs and of that of classes; the first that is there is read.
const INPUTS: [&str; 2] = ["x", "inputs"];
const LABELS: [&str; 2] = ["y", "labels"];
/// Names of tensors that a message lists.
const MOST_LISTED: usize = 8;
/// What a file must be.
const EXPECTED: &str = "a file of inputs and classes: *.npz, *.safetensors, or *.bin of CIFAR-10";

/// Loads the file of a half; a relative path starts in `folder`. The set is called as its file.
///
/// # Errors
/// [`Error::Argument`] where no file is named, [`Error::Missing`], [`Error::Input`] that names file and array.
pub(super) fn load(spec: &FileSpec, split: Split, folder: &Path) -> Result<ImageSet> {
    let (half, name) = match split {
        Split::Training => ("training", &spec.training),
        Split::Test => ("test", &spec.test),
    };
    let Some(name) = name else {
        return refuse(
            format!("--data (dataset.file.{half})"),
            format!("a file of {half} data (.npz, .safetensors, .bin)"),
            "nothing",
        );
    };
    let path = &folder.join(name);
    let title = folder::title(path)?;
    let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
    let set = match ending.to_str() {
        Some("npz") => Arrays::of_npz(path)?.set(path)?,
        Some("safetensors") => Arrays::of_safetensors(path)?.set(path)?,
        Some("bin") => cifar::load_file(DatasetName::Cifar10, path)?,
        _ => {
            let found = match path.extension() {
                Some(ending) => format!(
                    "one that ends in {}",
                    store::excerpt(&ending.to_string_lossy())
                ),
                None => "a name without an ending".to_owned(),
            };
            return Err(Error::input(path, EXPECTED, found));
        }
    };
    let set = ImageSet { title, ..set };
    if split == Split::Training {
        set.check_labels("training")?;
    }
    let classes = spec.classes.unwrap_or(set.classes);
    let beyond = |label: &u16| usize::from(*label) >= classes;
    if let Some(at) = set.labels.iter().position(beyond) {
        let expected = format!("classes from 0 to {}, those of the network", classes - 1);
        let found = format!("{} at place {at}", set.labels[at]);
        return Err(Error::input(path, expected, found));
    }
    Ok(ImageSet { classes, ..set })
}

/// The arrays of a file that are read.
struct Arrays {
    inputs: NumberArray,
    labels: Option<NumberArray>,
    /// What its user should know of it.
    remarks: Vec<String>,
}

impl Arrays {
    fn of_npz(path: &Path) -> Result<Self> {
        let names = [INPUTS, LABELS].concat();
        let (arrays, listed) = store::read_npz_numbers(path, &names, MOST_BYTES)?;
        Self::chosen(path, arrays, &listed)
    }

    fn of_safetensors(path: &Path) -> Result<Self> {
        let bytes = store::read_bytes(path, EXPECTED, MOST_BYTES)?;
        let file = SafeTensors::deserialize(&bytes).map_err(|e| {
            let found = format!("{} bytes: {e}", bytes.len());
            Error::input(path, "a whole safetensors file", found)
        })?;
        let mut views = file.tensors();
        views.sort_by(|a, b| a.0.cmp(&b.0));
        let (mut arrays, mut listed) = (Vec::new(), Vec::new());
        for (name, view) in views {
            if listed.len() < MOST_LISTED {
                listed.push(store::excerpt(&name));
            }
            if INPUTS.contains(&name.as_str()) || LABELS.contains(&name.as_str()) {
                arrays.push(number_array(path, name, &view)?);
            }
        }
        Self::chosen(path, arrays, &listed.join(", "))
    }

    /// Those of the names that are looked for; `listed` are the names of all.
    fn chosen(path: &Path, mut arrays: Vec<NumberArray>, listed: &str) -> Result<Self> {
        let mut taken = |names: [&str; 2]| {
            let at = names
                .iter()
                .find_map(|name| arrays.iter().position(|array| array.name == *name))?;
            Some(arrays.swap_remove(at))
        };
        let found = || match listed {
            "" => "no array".to_owned(),
            listed => format!("the arrays {listed}"),
        };
        let (Some(inputs), labels) = (taken(INPUTS), taken(LABELS)) else {
            return Err(Error::input(path, "an array `x` or `inputs`", found()));
        };
        Ok(Self {
            remarks: match &labels {
                Some(_) => Vec::new(),
                None => vec![format!(
                    "{} has no array `y` or `labels`, the class of each input, but {}: what counts is what the network \
                     says without faults",
                    path.display(),
                    found()
                )],
            },
            inputs,
            labels,
        })
    }

    /// Inputs and labels, checked.
    fn set(self, path: &Path) -> Result<ImageSet> {
        let Self {
            inputs,
            labels,
            remarks,
        } = self;
        let (name, shape) = (&inputs.name, &inputs.shape);
        let (count, [channels, height, width]) = match shape[..] {
            [n, width] => (n, [1, 1, width]),
            [n, height, width] => (n, [1, height, width]),
            [n, channels, height, width] => (n, [channels, height, width]),
            _ => {
                let expected = "inputs of 1 to 3 dimensions behind that of the batch";
                return wrong(path, name, expected, format!("the shape {shape:?}"));
            }
        };
        // with an input the product of all lengths is known to be one
        let size = if count == 0 {
            0
        } else {
            channels * height * width
        };
        if count as u64 > MAX_IMAGES || size == 0 {
            let expected = format!("1 to {MAX_IMAGES} inputs, none of which is empty");
            return wrong(path, name, expected, format!("the shape {shape:?}"));
        }
        let pixels = match inputs.numbers {
            Numbers::Bytes(bytes) => Pixels::from(bytes),
            Numbers::Floats(floats) => {
                if let Some(at) = floats.iter().position(|value| !value.is_finite()) {
                    let (value, place, input) = (floats[at], at % size, at / size);
                    let found = format!("{value} at place {place} of input {input}");
                    return wrong(path, name, "finite float32 numbers", found);
                }
                Pixels::from(floats)
            }
            Numbers::Whole(_) => {
                let expected = "float32 or float64 inputs, or uint8 pixels";
                return wrong(path, name, expected, "other integers");
            }
        };
        let own = match labels {
            Some(labels) => classes(path, labels, name, count)?,
            None => Vec::new(),
        };
        let most = own.iter().max().copied().unwrap_or(0);
        Ok(ImageSet {
            title: String::new(),
            channels,
            height,
            width,
            classes: usize::from(most) + 1,
            pixels,
            labels: own,
            remarks,
        })
    }
}

/// The class of each of `count` inputs, checked; `inputs` is the name of their array.
fn classes(path: &Path, labels: NumberArray, inputs: &str, count: usize) -> Result<Vec<u16>> {
    let name = &labels.name;
    let classes = match labels.numbers {
        Numbers::Bytes(bytes) => bytes.into_iter().map(i64::from).collect(),
        Numbers::Whole(whole) => whole,
        Numbers::Floats(_) => {
            let expected = "whole numbers (of an integer type): classes from 0";
            return wrong(path, name, expected, "floating-point numbers");
        }
    };
    if labels.shape.first() != Some(&count) || classes.len() != count {
        let expected = format!("a class for each of the {count} inputs of `{inputs}`");
        return wrong(
            path,
            name,
            expected,
            format!("the shape {:?}", labels.shape),
        );
    }
    let mut own = Vec::with_capacity(count);
    for (at, class) in classes.into_iter().enumerate() {
        let Ok(label) = u16::try_from(class) else {
            let expected = format!("classes from 0 to {}", u16::MAX);
            return wrong(path, name, expected, format!("{class} at place {at}"));
        };
        own.push(label);
    }
    Ok(own)
}

/// A wrong array.
fn wrong<T>(
    path: &Path,
    array: &str,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<T> {
    Err(Error::input_at(path, None, Some(array), expected, found))
}

/// The numbers of a tensor.
fn number_array(path: &Path, name: String, view: &TensorView) -> Result<NumberArray> {
    let whole = |signed, width| Some(NumberType::Whole { signed, width });
    let kind = match view.dtype() {
        Dtype::F32 => Some(NumberType::Float { double: false }),
        Dtype::F64 => Some(NumberType::Float { double: true }),
        Dtype::U8 => Some(NumberType::Byte),
        Dtype::I8 => whole(true, 1),
        Dtype::U16 => whole(false, 2),
        Dtype::I16 => whole(true, 2),
        Dtype::U32 => whole(false, 4),
        Dtype::I32 => whole(true, 4),
        Dtype::U64 => whole(false, 8),
        Dtype::I64 => whole(true, 8),
        _ => None,
    };
    let Some(kind) = kind else {
        let expected = "numbers of F32, F64, U8 or another integer type";
        return wrong(path, &name, expected, format!("{:?}", view.dtype()));
    };
    let mut data = view.data();
    let count = data.len() / kind.width();
    let numbers = kind
        .read(&mut data, count)
        .or_else(|e| wrong(path, &name, "an undamaged array", e.to_string()))?;
    Ok(NumberArray {
        shape: view.shape().to_vec(),
        name,
        numbers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{load, DatasetSpec};
    use std::io::{Cursor, Write};

    /// A `.npy` file: type, shape, little-endian data.
    fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
        let header =
            format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        let length = (header.len() as u16).to_le_bytes();
        [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), data].concat()
    }

    fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, array) in arrays {
            let options = zip::write::SimpleFileOptions::default();
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(array).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn floats(values: &[f32]) -> Vec<u8> {
        values.iter().flat_map(|x| x.to_le_bytes()).collect()
    }

    /// Three inputs of 2x2 floats.
    fn x() -> Vec<u8> {
        let values: Vec<f32> = (0..12).map(|i| i as f32 / 4.0).collect();
        npy("<f4", "(3, 2, 2)", &floats(&values))
    }

    fn y(classes: [i32; 3]) -> Vec<u8> {
        npy("<i4", "(3,)", &classes.map(i32::to_le_bytes).concat())
    }

    fn safetensors(tensors: &[(&str, Dtype, Vec<usize>, Vec<u8>)]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, shape, data)| {
            (*name, TensorView::new(*dtype, shape.clone(), data).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    fn read_as(name: &str, bytes: &[u8], classes: Option<usize>) -> Result<ImageSet> {
        read_half(name, bytes, classes, Split::Test)
    }

    fn read_half(
        name: &str,
        bytes: &[u8],
        classes: Option<usize>,
        split: Split,
    ) -> Result<ImageSet> {
        let folder = tempfile::tempdir().unwrap();
        store::write_bytes(&folder.path().join(name), bytes).unwrap();
        let file = FileSpec {
            test: Some(name.into()),
            training: Some(name.into()),
            classes,
        };
        let spec = DatasetSpec {
            file: Some(file),
            ..DatasetSpec::of(DatasetName::File)
        };
        load(&spec, split, folder.path())
    }

    #[test]
    fn floats_and_classes_are_read_as_they_are() {
        let bytes = npz(&[("labels", y([1, 0, 4])), ("inputs", x()), ("z", vec![])]);
        let set = read_as("mine.npz", &bytes, None).unwrap();
        assert_eq!(set.title, "mine.npz");
        assert_eq!((set.channels, set.height, set.width), (1, 2, 2));
        assert_eq!((set.labels.as_slice(), set.classes), (&[1, 0, 4][..], 5));
        let expected: Vec<f32> = (0..12).map(|i| i as f32 / 4.0).collect();
        assert_eq!(set.pixels, Pixels::from(expected));
        assert_eq!(read_as("mine.npz", &bytes, Some(12)).unwrap().classes, 12);
        let error = read_as("mine.npz", &bytes, Some(4)).unwrap_err();
        assert!(error.to_string().contains("found 4 at place 2"), "{error}");
        // the same content as safetensors is the same set
        let data = [1i64, 0, 4].map(i64::to_le_bytes).concat();
        let values: Vec<f32> = (0..12).map(|i| i as f32 / 4.0).collect();
        let other = safetensors(&[
            ("x", Dtype::F32, vec![3, 2, 2], floats(&values)),
            ("y", Dtype::I64, vec![3, 1], data),
            ("names", Dtype::F16, vec![1], vec![0; 2]),
        ]);
        let other = read_as("mine.safetensors", &other, None).unwrap();
        assert_eq!(other.checksum(), set.checksum());
    }

    #[test]
    fn bytes_are_pixels_and_missing_dimensions_are_ones() {
        let labels = npy("|u1", "(2,)", &[0, 1]);
        for (shape, expected) in [
            ("(2, 6)", [1, 1, 6]),
            ("(2, 2, 3)", [1, 2, 3]),
            ("(2, 3, 2, 1)", [3, 2, 1]),
        ] {
            let x = npy("|u1", shape, &[7; 12]);
            let bytes = npz(&[("x", x), ("y", labels.clone())]);
            let set = read_as("mine.npz", &bytes, None).unwrap();
            assert_eq!([set.channels, set.height, set.width], expected);
            assert_eq!(set.image(1), [7; 6]);
        }
        let records = [[[3; 3073]; 1], [[9; 3073]; 1]].concat().concat();
        let set = read_as("records.bin", &records, None).unwrap();
        assert_eq!((set.title.as_str(), set.classes), ("records.bin", 10));
        assert_eq!(set.labels, [3, 9]);
    }

    #[test]
    fn inputs_alone_are_test_data_without_classes_and_nothing_to_learn_from() {
        let bytes = npz(&[("x", x()), ("label", y([0, 1, 2]))]);
        let set = read_as("mine.npz", &bytes, Some(4)).unwrap();
        assert_eq!((set.len(), set.has_labels(), set.classes), (3, false, 4));
        assert!(
            set.remarks[0].contains("the arrays `x`, `label`"),
            "{:?}",
            set.remarks
        );
        assert_eq!(set.subset(2, crate::seed::Seed(1)).unwrap().len(), 2);
        let some = set.selected(&[2, 0]);
        assert_eq!((some.len(), some.has_labels()), (2, false));
        let with = npz(&[("x", x()), ("y", y([0, 0, 0]))]);
        let with = read_as("mine.npz", &with, Some(4)).unwrap();
        assert_ne!(set.checksum(), with.checksum());
        let error = read_half("mine.npz", &bytes, None, Split::Training).unwrap_err();
        assert_eq!(
            error.to_string(),
            "training on mine.npz: expected the class of each input: an array `y` or `labels` in the file, found \
             inputs alone"
        );
    }

    #[test]
    fn what_is_wrong_is_said_of_the_array() {
        let with = |x: Vec<u8>, y: Vec<u8>| npz(&[("x", x), ("y", y)]);
        let mut odd = [0.0f32; 12];
        odd[6] = f32::NAN;
        let nan = npy("<f4", "(3, 4)", &floats(&odd));
        for (bytes, found) in [
            (with(nan, y([0; 3])), "`x`: expected finite float32 numbers, found NaN at place 2 of input 1"),
            (
                with(npy("|u1", "(3, 1, 1, 1, 1)", &[0; 3]), y([0; 3])),
                "`x`: expected inputs of 1 to 3 dimensions behind that of the batch, found the shape [3, 1, 1, 1, 1]",
            ),
            (with(npy("|u1", "(3,)", &[0; 3]), y([0; 3])), "the shape [3]"),
            (with(npy("|u1", "(0, 4)", &[]), y([0; 3])), "the shape [0, 4]"),
            (with(npy("|u1", "(3, 0)", &[]), y([0; 3])), "the shape [3, 0]"),
            (with(npy("<i4", "(3, 1)", &[0; 12]), y([0; 3])), "uint8 pixels, found other integers"),
            (with(x(), y([0, -1, 0])), "`y`: expected classes from 0 to 65535, found -1 at place 1"),
            (with(x(), npy("<f4", "(3,)", &[0; 12])), "`y`: expected whole numbers"),
            (with(x(), npy("|u1", "(2,)", &[0; 2])), "a class for each of the 3 inputs of `x`, found the shape [2]"),
            (with(x(), npy("|u1", "(1, 3)", &[0; 3])), "found the shape [1, 3]"),
            (npz(&[("images", x())]), "an array `x` or `inputs`, found the arrays `images`"),
            (npz(&[]), "no array"),
        ] {
            let error = read_as("mine.npz", &bytes, None).unwrap_err();
            assert!(error.is_wrong_input());
            let text = error.to_string();
            assert!(text.contains("mine.npz") && text.contains(found), "{text}");
        }
        let half = safetensors(&[("x", Dtype::F16, vec![1], vec![0; 2])]);
        let error = read_as("mine.safetensors", &half, None).unwrap_err();
        assert!(error.to_string().contains("found F16"), "{error}");
        let error = read_as("mine.csv", b"1,2", None).unwrap_err();
        assert!(error.to_string().contains("ends in `csv`"), "{error}");
        let none = DatasetSpec::of(DatasetName::File);
        let error = load(&none, Split::Training, Path::new("")).unwrap_err();
        let expected = "--data (dataset.file.training): expected a file of training data";
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn cuts_and_changed_bytes_give_a_set_or_an_error_and_no_panic() {
        let npz = npz(&[("x", x()), ("y", y([0, 1, 2]))]);
        let bytes = [0u8, 1, 2].to_vec();
        let tensors = safetensors(&[
            ("x", Dtype::F32, vec![3, 2], vec![0; 24]),
            ("y", Dtype::U8, vec![3], bytes),
        ]);
        for (name, whole) in [("mine.npz", npz), ("mine.safetensors", tensors)] {
            for at in 0..whole.len() {
                assert!(read_as(name, &whole[..at], None).is_err(), "{name} {at}");
                for change in [1, 0x80, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] ^= change;
                    if let Err(error) = read_as(name, &bytes, None) {
                        assert!(error.to_string().contains(name), "{at}: {error}");
                    }
                }
            }
        }
    }
}
