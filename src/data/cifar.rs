//! CIFAR-10 and CIFAR-100 from their binary files or Python batches; knows the lossy JPEG copy by its checksums, so that results can say so.

use super::places::{explain, open, whole, Names, Places};
use super::python_batch;
use super::{how_to_get, DatasetName, ImageSet, Split, MAX_IMAGES};
use crate::error::{Error, Result};
use crate::store;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// The folder of the files in the data folder, as in the published archive.
pub(super) const FOLDER: &str = "cifar-10-batches-bin";
/// The files of the training set.
pub(super) const TRAINING: [&str; 5] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
];
/// The file of the test set.
pub(super) const TEST: &str = "test_batch.bin";
/// The folder of CIFAR-100 in the data folder, as in the published archive.
pub(super) const FOLDER_100: &str = "cifar-100-binary";
/// Its files: training, test.
const FILES_100: [&str; 2] = ["train.bin", "test.bin"];
/// Most bytes of a Python batch; the largest that is published has 155 MB.
const MOST_PYTHON: u64 = 1 << 29;
/// Bytes of an image: 3 channels of 32x32.
const PIXELS: usize = 3 * 32 * 32;
/// Bytes of a record of CIFAR-10: the label, then the image.
pub(super) const RECORD: usize = 1 + PIXELS;
/// Added to the title of the JPEG copy.
const JPEG_COPY: &str = "CIFAR-10 (JPEG copy)";

/// SHA-256 of the files of the JPEG copy (quality about 75, 4:2:0, decoded), training and test.
const JPEG_COPY_FILES: [&str; 6] = [
    "5911600e60f51499e0423ec122d3b2089e2d2a70fe1b8596de18bde5e3f98055",
    "460063bf5d09ef49dafa910deb2b7ca1926129d28b3cf473d2d9068987e47c56",
    "1101ce04c51ce25f9bf5b5359bd00c93f08289f6e07c01bed0fb15bf5947b3b5",
    "92da7f11c3e80271ffdb0a64e9fb9309635996a6727bdbea2cdc7067d18563e1",
    "96874e5f49180bca50af21c44f9f4c9f7f4b03fefbdfdc4edf07e60f60a34162",
    "be84131d41613cd28217a038c7e7126da681d05f5d0cd906173e9348c09230e9",
];

/// Bytes before the image in a record: CIFAR-100 has the number of the superclass before the label.
fn head(name: DatasetName) -> usize {
    if name == DatasetName::Cifar100 {
        2
    } else {
        1
    }
}

/// Where the files may lie: the folders of the published archives, those archives, or the data folder itself.
pub(super) fn places(name: DatasetName, root: &Path) -> Places {
    let (folders, archives): (&[&str], &[&str]) = if name == DatasetName::Cifar100 {
        (
            &[FOLDER_100, "cifar-100-python", ""],
            &[
                "cifar-100-binary.tar.gz",
                "cifar-100-python.tar.gz",
                "cifar-100-binary.tar",
                "cifar-100-python.tar",
            ],
        )
    } else {
        (
            &[FOLDER, "cifar-10-batches-py", ""],
            &[
                "cifar-10-binary.tar.gz",
                "cifar-10-python.tar.gz",
                "cifar-10-binary.tar",
                "cifar-10-python.tar",
            ],
        )
    };
    Places {
        name,
        root: root.to_owned(),
        folders,
        archives,
    }
}

/// The files of one half. The Python batches have the names of the binary files without their ending.
pub(super) fn wanted(name: DatasetName, split: Split) -> Vec<Names> {
    let names = match (name, split) {
        (DatasetName::Cifar100, _) => vec![FILES_100[split as usize]],
        (_, Split::Training) => TRAINING.to_vec(),
        (_, Split::Test) => vec![TEST],
    };
    names
        .into_iter()
        .map(|name| vec![name.to_owned(), name.replace(".bin", "")])
        .collect()
}

/// The images of one file.
#[derive(Default)]
struct Batch {
    pixels: Vec<u8>,
    labels: Vec<u16>,
    jpeg_copy: bool,
}

/// Loads one half from the first place that has it.
pub(super) fn load(name: DatasetName, split: Split, folder: &Path) -> Result<ImageSet> {
    let wanted = wanted(name, split);
    let mut batches: Vec<Batch> = wanted.iter().map(|_| Batch::default()).collect();
    let mut take = |number: usize, path: &Path, content: &mut dyn Read| {
        batches[number] = read(name, path, content)?;
        Ok(())
    };
    places(name, folder).read(&wanted, &mut take)?;
    Ok(set(name, batches))
}

/// Loads one file.
pub(super) fn load_file(name: DatasetName, path: &Path) -> Result<ImageSet> {
    let batch = read(name, path, &mut open(path, &how_to_get(name))?)?;
    Ok(set(name, vec![batch]))
}

fn set(name: DatasetName, batches: Vec<Batch>) -> ImageSet {
    let jpeg_copy = batches.iter().any(|batch| batch.jpeg_copy);
    let mut batches = batches.into_iter();
    let mut all = batches.next().unwrap_or_default();
    for batch in batches {
        all.pixels.extend(batch.pixels);
        all.labels.extend(batch.labels);
    }
    ImageSet {
        title: if jpeg_copy { JPEG_COPY } else { name.title() }.into(),
        channels: 3,
        height: 32,
        width: 32,
        classes: name.classes().unwrap_or(0),
        pixels: all.pixels.into(),
        labels: all.labels,
        remarks: Vec::new(),
    }
}

/// Reads the records of a binary file, or the arrays of a Python batch, told by its first byte: no record begins so.
fn read(name: DatasetName, path: &Path, content: &mut dyn Read) -> Result<Batch> {
    let mut first = [0];
    let start = content.take(1).read(&mut first);
    let length = explain(path, start, "CIFAR data")?;
    let mut content = first[..length].chain(content);
    if length == 1 && python_batch::STARTS.contains(&first[0]) {
        let bytes = whole(path, &mut content, MOST_PYTHON)?;
        let (pixels, labels) = python_batch::read(path, &bytes, PIXELS)?;
        return batch(name, path, pixels, labels);
    }
    let record = head(name) + PIXELS;
    let most = MAX_IMAGES * record as u64;
    // one byte more than may be there tells a file that is too large
    let mut reader = content.take(most + 1);
    let (mut pixels, mut labels) = (Vec::new(), Vec::new());
    let mut image = Vec::with_capacity(record);
    let mut size = 0;
    loop {
        image.clear();
        let taken = (&mut reader).take(record as u64).read_to_end(&mut image);
        size += explain(path, taken, "CIFAR data")? as u64;
        if image.len() < record {
            break;
        }
        labels.push(u16::from(image[head(name) - 1]));
        pixels.extend_from_slice(&image[head(name)..]);
    }
    if !image.is_empty() || size == 0 || size > most {
        let expected = format!("1 to {MAX_IMAGES} records of {record} bytes");
        return Err(Error::input(path, expected, format!("{size} bytes")));
    }
    batch(name, path, pixels, labels)
}

/// Checks labels and looks whether the images are those of the JPEG copy.
fn batch(name: DatasetName, path: &Path, pixels: Vec<u8>, labels: Vec<u16>) -> Result<Batch> {
    let most = name.classes().unwrap_or(0) - 1;
    if let Some(place) = labels.iter().position(|label| usize::from(*label) > most) {
        let found = format!("{} at image {place}", labels[place]);
        let expected = format!("labels from 0 to {most}");
        return Err(Error::input(path, expected, found));
    }
    let mut hash = Sha256::new();
    if name == DatasetName::Cifar10 {
        for (image, label) in pixels.chunks_exact(PIXELS).zip(&labels) {
            hash.update([*label as u8]);
            hash.update(image);
        }
    }
    let checksum = store::hex(&hash.finalize());
    Ok(Batch {
        pixels,
        labels,
        jpeg_copy: JPEG_COPY_FILES.contains(&checksum.as_str()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(label: u8, shade: u8) -> Vec<u8> {
        let mut record = vec![label];
        record.extend((0..PIXELS).map(|i| shade.wrapping_add((i % 7) as u8)));
        record
    }

    fn load_bytes(bytes: &[u8]) -> Result<ImageSet> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.bin");
        store::write_bytes(&path, bytes).unwrap();
        super::super::load_cifar_file(&path, DatasetName::Cifar10)
    }

    #[test]
    fn records_are_a_label_and_three_planes() {
        let set = load_bytes(&[record(3, 10), record(9, 200)].concat()).unwrap();
        assert_eq!(
            (set.len(), set.channels, set.height, set.width),
            (2, 3, 32, 32)
        );
        assert_eq!(set.labels, [3, 9]);
        assert_eq!(set.image(1), &record(9, 200)[1..]);
        assert_eq!(set.title, "CIFAR-10");
    }

    #[test]
    fn the_training_set_is_its_five_files_in_order() {
        let folder = tempfile::tempdir().unwrap();
        for (label, name) in TRAINING.iter().enumerate() {
            let path = folder.path().join(FOLDER).join(name);
            store::write_bytes(&path, &record(label as u8, 0)).unwrap();
        }
        assert_eq!(
            load(DatasetName::Cifar10, Split::Training, folder.path())
                .unwrap()
                .labels,
            [0, 1, 2, 3, 4]
        );
        let error = load(DatasetName::Cifar10, Split::Test, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("test_batch.bin: not found"), "{error}");
        assert!(
            error.contains("`wcat-explore data fetch cifar10`") && error.contains("--data-dir"),
            "{error}"
        );
    }

    #[test]
    fn records_of_cifar_100_have_a_superclass_before_the_label() {
        let folder = tempfile::tempdir().unwrap();
        let name = DatasetName::Cifar100;
        let path = &folder.path().join("cifar-100-binary/test.bin");
        let with_superclass = |label, shade| [vec![19], record(label, shade)].concat();
        store::write_bytes(
            path,
            &[with_superclass(99, 10), with_superclass(7, 200)].concat(),
        )
        .unwrap();
        let set = load(name, Split::Test, folder.path()).unwrap();
        assert_eq!(
            (set.labels.as_slice(), set.classes, set.title.as_str()),
            (&[99, 7][..], 100, "CIFAR-100")
        );
        assert_eq!(set.image(1), &record(7, 200)[1..]);
        assert_eq!(super::super::load_cifar_file(path, name).unwrap(), set);
        store::write_bytes(path, &with_superclass(100, 10)).unwrap();
        let error = load(name, Split::Test, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("labels from 0 to 99, found 100"), "{error}");
        let error = load(name, Split::Training, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("cifar-100-binary.tar.gz") && error.contains("--data-dir"),
            "{error}"
        );
    }

    #[test]
    fn damaged_files_are_refused() {
        for (bytes, message) in [
            (vec![], "found 0 bytes"),
            (
                record(1, 1)[..3000].to_vec(),
                "expected 1 to 1000000 records of 3073 bytes, found 3000 bytes",
            ),
            (
                [record(1, 1), record(10, 1)].concat(),
                "expected labels from 0 to 9, found 10 at image 1",
            ),
        ] {
            let error = load_bytes(&bytes).unwrap_err();
            assert!(error.is_wrong_input());
            assert!(error.to_string().contains(message), "{error}");
        }
    }

    #[test]
    fn only_cifar_comes_as_one_file() {
        let error = super::super::load_cifar_file(Path::new("x"), DatasetName::Mnist).unwrap_err();
        assert!(error.to_string().contains("`cifar10`"), "{error}");
    }

    #[test]
    fn archives_that_are_not_unpacked_are_read_in_the_order_of_the_batches() {
        let folder = tempfile::tempdir().unwrap();
        let mut archive = tar::Builder::new(Vec::new());
        for (label, name) in TRAINING.iter().enumerate().rev() {
            let content = record(label as u8, 0);
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            let name = format!("{FOLDER}/{name}");
            archive
                .append_data(&mut header, name, content.as_slice())
                .unwrap();
        }
        let plain = archive.into_inner().unwrap();
        let packed = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            std::io::Write::write_all(&mut encoder, bytes).unwrap();
            encoder.finish().unwrap()
        };
        let path = folder.path().join("cifar-10-binary.tar.gz");
        let name = DatasetName::Cifar10;
        for bytes in [plain.clone(), packed(&plain)] {
            store::write_bytes(&path, &bytes).unwrap();
            let set = load(name, Split::Training, folder.path()).unwrap();
            assert_eq!(set.labels, [0, 1, 2, 3, 4]);
        }
        let error = load(name, Split::Test, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("test_batch.bin, test_batch"), "{error}");
        for bytes in [&packed(&plain)[..200], &plain[..2000], &[7; 5000]] {
            store::write_bytes(&path, bytes).unwrap();
            let error = load(name, Split::Training, folder.path()).unwrap_err();
            assert!(error.is_wrong_input(), "{error}");
        }
    }
}
