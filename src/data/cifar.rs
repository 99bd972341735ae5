//! CIFAR-10 and CIFAR-100 from their binary files; knows the lossy JPEG copy by its checksums, so that results can say so.

use super::{missing, DatasetName, ImageSet, Split, MAX_IMAGES};
use crate::error::{Error, IoContext, Result};
use crate::store;
use sha2::{Digest, Sha256};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

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

/// Bytes of a record: CIFAR-100 has the number of the superclass before the label.
fn record(name: DatasetName) -> usize {
    if name == DatasetName::Cifar100 {
        RECORD + 1
    } else {
        RECORD
    }
}

/// The files of one half.
pub(super) fn files(name: DatasetName, split: Split, folder: &Path) -> Vec<PathBuf> {
    if name == DatasetName::Cifar100 {
        return vec![folder.join(FOLDER_100).join(FILES_100[split as usize])];
    }
    let folder = folder.join(FOLDER);
    match split {
        Split::Training => TRAINING.iter().map(|name| folder.join(name)).collect(),
        Split::Test => vec![folder.join(TEST)],
    }
}

/// Loads the binary files of one half, `<folder>/cifar-10-batches-bin/*.bin` or `<folder>/cifar-100-binary/*.bin`.
pub(super) fn load(name: DatasetName, split: Split, folder: &Path) -> Result<ImageSet> {
    load_files(name, &files(name, split, folder))
}

/// Loads binary files one after the other into one set.
pub(super) fn load_files(name: DatasetName, paths: &[PathBuf]) -> Result<ImageSet> {
    if let Some(path) = paths.iter().find(|path| !path.exists()) {
        return Err(missing(path, name));
    }
    let counts = paths
        .iter()
        .map(|path| count(name, path))
        .collect::<Result<Vec<usize>>>()?;
    let total: usize = counts.iter().sum();
    let (mut pixels, mut labels) = (
        Vec::with_capacity(total * PIXELS),
        Vec::with_capacity(total),
    );
    let mut jpeg_copy = false;
    for (path, count) in paths.iter().zip(counts) {
        let checksum = read_records(name, path, count, &mut pixels, &mut labels)?;
        jpeg_copy |= JPEG_COPY_FILES.contains(&checksum.as_str());
    }
    Ok(ImageSet {
        title: if jpeg_copy { JPEG_COPY } else { name.title() }.into(),
        channels: 3,
        height: 32,
        width: 32,
        classes: if name == DatasetName::Cifar100 {
            100
        } else {
            10
        },
        pixels,
        labels,
    })
}

/// Number of records that the size of a file allows for.
fn count(name: DatasetName, path: &Path) -> Result<usize> {
    let file = store::open(path, &super::how_to_get(name))?;
    let size = file.metadata().at("inspect", path)?.len();
    let record = record(name) as u64;
    let count = size / record;
    if size % record != 0 || !(1..=MAX_IMAGES).contains(&count) {
        let expected = format!("1 to {MAX_IMAGES} records of {record} bytes");
        return Err(Error::input(path, expected, format!("{size} bytes")));
    }
    Ok(count as usize)
}

/// Appends the records of a file; gives its SHA-256.
fn read_records(
    name: DatasetName,
    path: &Path,
    count: usize,
    pixels: &mut Vec<u8>,
    labels: &mut Vec<u16>,
) -> Result<String> {
    let expected = format!("{} binary data", name.title());
    let mut reader = BufReader::with_capacity(1 << 18, store::open(path, &expected)?);
    let (mut record, mut hash) = (vec![0; record(name)], Sha256::new());
    let most = if name == DatasetName::Cifar100 { 99 } else { 9 };
    for place in 0..count {
        reader.read_exact(&mut record).at("read", path)?;
        let (head, image) = record.split_at(record.len() - PIXELS);
        let label = head[head.len() - 1];
        if label > most {
            let found = format!("{label} at image {place}");
            return Err(Error::input(
                path,
                format!("labels from 0 to {most}"),
                found,
            ));
        }
        labels.push(u16::from(label));
        pixels.extend_from_slice(image);
        hash.update(&record);
    }
    Ok(store::hex(&hash.finalize()))
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
        for (label, path) in files(DatasetName::Cifar10, Split::Training, folder.path())
            .iter()
            .enumerate()
        {
            store::write_bytes(path, &record(label as u8, 0)).unwrap();
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
        let path = &files(name, Split::Test, folder.path())[0];
        assert!(path.ends_with("cifar-100-binary/test.bin"));
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
}
