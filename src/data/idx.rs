//! MNIST and the sets in its form: IDX files or NumPy arrays, plain or gzip; every size is checked before memory is taken.

use super::places::{explain, open, sized, whole, Names, Places, Sized};
use super::{how_to_get, DatasetName, ImageSet, Split, MAX_IMAGES};
use crate::error::{Error, Result};
use crate::store;
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// The folder of MNIST's files in the data folder.
pub(super) const FOLDER: &str = "mnist";
/// The files of both halves of MNIST: images, labels.
pub(super) const FILES: [[&str; 2]; 2] = [
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
];
/// The arrays of Keras' `mnist.npz`, likewise.
const ARRAYS: [[&str; 2]; 2] = [["x_train.npy", "y_train.npy"], ["x_test.npy", "y_test.npy"]];

/// First four bytes of an IDX file of unsigned bytes with three dimensions.
const MAGIC_IMAGES: u32 = 0x0000_0803;
/// The same with one dimension.
const MAGIC_LABELS: u32 = 0x0000_0801;
/// First bytes of a NumPy array.
const NUMPY: [u8; 4] = *b"\x93NUM";
/// Rows and columns of an image.
const SIDE: usize = 28;

/// Where the files of a set may lie: folders as `data fetch`, torchvision, Keras and the archives make them.
pub(super) fn places(name: DatasetName, root: &Path) -> Places {
    let (folders, archives): (&[&str], &[&str]) = match name {
        DatasetName::FashionMnist => (
            &[
                "fashion-mnist",
                "FashionMNIST/raw",
                "FashionMNIST",
                "fashion_mnist",
                "raw",
                "",
            ],
            &[
                "fashion-mnist.npz",
                "fashion_mnist.npz",
                "fashion-mnist.zip",
            ],
        ),
        DatasetName::Kmnist => (
            &["kmnist", "KMNIST/raw", "KMNIST", "raw", ""],
            &["kmnist.npz", "kmnist.zip"],
        ),
        DatasetName::Mnist => (
            &[FOLDER, "MNIST/raw", "MNIST", "raw", ""],
            &["mnist.npz", "mnist.zip"],
        ),
        _ => (
            &["emnist", "EMNIST/raw", "EMNIST", "gzip", "raw", ""],
            &["gzip.zip", "emnist.zip"],
        ),
    };
    Places {
        name,
        root: root.to_owned(),
        folders,
        archives,
    }
}

/// The files of one half: images, labels.
pub(super) fn wanted(name: DatasetName, split: Split) -> [Names; 2] {
    // `emnist-letters-test-images-idx3-ubyte`
    let emnist = name.name().starts_with("emnist-");
    [0, 1].map(|file| {
        let usual = FILES[split as usize][file];
        let mut names = if emnist {
            vec![format!("{name}-{}", usual.replace("t10k", "test"))]
        } else {
            vec![usual.to_owned()]
        };
        names.push(names[0].replace("-idx", ".idx"));
        if !emnist {
            names.push(ARRAYS[split as usize][file].to_owned());
        }
        names
    })
}

/// Loads one half from the first place that has it.
pub(super) fn load(name: DatasetName, split: Split, folder: &Path) -> Result<ImageSet> {
    let mut images = (folder.to_owned(), Vec::new());
    let mut labels = images.clone();
    let mut take = |number: usize, path: &Path, content: &mut dyn Read| {
        if number == 0 {
            images = (path.to_owned(), read(path, content, &[SIDE, SIDE])?);
        } else {
            labels = (path.to_owned(), read(path, content, &[])?);
        }
        Ok(())
    };
    places(name, folder).read(&wanted(name, split), &mut take)?;
    let title = title(name, split, &images.0, &images.1);
    set(name, title, (&images.0, images.1), (&labels.0, &labels.1))
}

/// Loads a pair of IDX files of 28x28 grey images and labels 0 to 9, plain or gzip.
///
/// # Errors
/// [`Error::Missing`] where a file is not there, [`Error::Input`] where a magic number, a size, a
/// label or the number of images is wrong.
pub fn load_mnist_files(images: &Path, labels: &Path) -> Result<ImageSet> {
    let name = DatasetName::Mnist;
    let expected = how_to_get(name);
    let pixels = read(images, &mut open(images, &expected)?, &[SIDE, SIDE])?;
    let classes = read(labels, &mut open(labels, &expected)?, &[])?;
    let title = title(name, Split::Test, images, &pixels);
    set(name, title, (images, pixels), (labels, &classes))
}

fn set(
    name: DatasetName,
    title: String,
    (images, pixels): (&Path, Vec<u8>),
    (labels, classes): (&Path, &[u8]),
) -> Result<ImageSet> {
    let count = pixels.len() / (SIDE * SIDE);
    if count != classes.len() {
        let found = format!(
            "{} labels, {count} images in {}",
            classes.len(),
            images.display()
        );
        return Err(Error::input(labels, "as many labels as images", found));
    }
    let most = name.classes().unwrap_or(0);
    if let Some(place) = classes.iter().position(|&label| usize::from(label) >= most) {
        let expected = format!("labels from 0 to {}", most - 1);
        let found = format!("{} at image {place}", classes[place]);
        return Err(Error::input(labels, expected, found));
    }
    Ok(ImageSet {
        title,
        channels: 1,
        height: SIDE,
        width: SIDE,
        classes: most,
        pixels: pixels.into(),
        labels: classes.iter().copied().map(u16::from).collect(),
        remarks: Vec::new(),
    })
}

/// MNIST is what has its published images. Another set in its form is called by the names of its files and folders;
/// where they say nothing, by the data set that was asked for, and what is no MNIST by its folder.
fn title(name: DatasetName, split: Split, images: &Path, pixels: &[u8]) -> String {
    let count = (pixels.len() / (SIDE * SIDE)) as u32;
    let mut hash = Sha256::new();
    for word in [MAGIC_IMAGES, count, SIDE as u32, SIDE as u32] {
        hash.update(word.to_be_bytes());
    }
    hash.update(pixels);
    if super::fetch::mnist_images(split) == store::hex(&hash.finalize()) {
        return DatasetName::Mnist.title().to_owned();
    }
    let whole = std::fs::canonicalize(images).unwrap_or_else(|_| images.to_owned());
    let names: Vec<String> = whole
        .iter()
        .rev()
        .take(4)
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let said = |word: &str| names.iter().any(|name| name.to_lowercase().contains(word));
    for (word, other) in [
        ("fashion", "Fashion-MNIST"),
        ("kmnist", "KMNIST"),
        ("kuzushiji", "KMNIST"),
        ("qmnist", "QMNIST"),
    ] {
        if said(word) {
            return other.to_owned();
        }
    }
    if name == DatasetName::Mnist && said("emnist") {
        return "EMNIST".to_owned();
    }
    if name != DatasetName::Mnist {
        return name.title().to_owned();
    }
    // `raw` and `mnist` say nothing: the folder above them does
    let plain = |name: &&String| {
        let name = name.to_lowercase();
        name != "raw" && !name.contains("mnist")
    };
    let folders = &names[1..];
    let place = folders.iter().position(|name| plain(&name));
    let telling = place.map_or(folders.len(), |place| place + 1);
    let folders: Vec<&str> = folders[..telling]
        .iter()
        .rev()
        .map(String::as_str)
        .collect();
    let title = folders.join("/");
    let begins_well = title.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    if !begins_well || title.len() > 64 || title.contains(char::is_control) {
        return "IDX images".to_owned();
    }
    title
}

/// The data of an IDX file or a NumPy array of bytes whose first dimension is free and whose others are `shape`.
fn read(path: &Path, content: &mut dyn Read, shape: &[usize]) -> Result<Vec<u8>> {
    let mut start = [0; 4];
    explain(path, content.read_exact(&mut start), "an IDX header")?;
    if start == NUMPY {
        return read_array(path, &mut start.chain(content), shape);
    }
    let magic = if shape.is_empty() {
        MAGIC_LABELS
    } else {
        MAGIC_IMAGES
    };
    let found = u32::from_be_bytes(start);
    if found != magic {
        return Err(Error::input(
            path,
            format!("the magic number {magic:#010x}"),
            format!("{found:#010x}"),
        ));
    }
    let mut header = vec![0; 4 + 4 * shape.len()];
    explain(path, content.read_exact(&mut header), "an IDX header")?;
    let mut words = header
        .chunks_exact(4)
        .map(|word| word.iter().fold(0, |n, &byte| n << 8 | usize::from(byte)));
    let count = words.next().unwrap_or(0);
    check_shape(path, count, &words.collect::<Vec<_>>(), shape)?;
    body(path, content, count * shape.iter().product::<usize>())
}

/// Reads so many bytes, which end the content, into memory of that size.
fn body(path: &Path, content: &mut dyn Read, size: usize) -> Result<Vec<u8>> {
    let found = match sized(path, content, size)? {
        Sized::Whole(body) => return Ok(body),
        Sized::EndAfter(byte) => format!("an end after byte {byte}"),
        Sized::More => "more".to_owned(),
    };
    let expected = format!("{size} bytes of data, as its header says");
    Err(Error::input(path, expected, found))
}

fn check_shape(path: &Path, count: usize, found: &[usize], shape: &[usize]) -> Result<()> {
    if found == shape && (1..=MAX_IMAGES as usize).contains(&count) {
        return Ok(());
    }
    let expected = format!("1 to {MAX_IMAGES} entries of size {shape:?}");
    Err(Error::input(
        path,
        expected,
        format!("{count} of size {found:?}"),
    ))
}

fn read_array(path: &Path, content: &mut dyn Read, shape: &[usize]) -> Result<Vec<u8>> {
    let (start, bytes) = explain(path, store::npy_start(content), "whole data")?;
    if let Some([count, sizes @ ..]) = bytes.as_deref() {
        check_shape(path, *count, sizes, shape)?;
        return body(path, content, count * shape.iter().product::<usize>());
    }
    let content = &mut start.as_slice().chain(content);
    let most = MAX_IMAGES * shape.iter().product::<usize>() as u64 + (1 << 16);
    let array = store::parse_npy(path, &whole(path, content, most)?)?;
    let (count, sizes) = match array.shape.as_slice() {
        [count, sizes @ ..] => (*count, sizes),
        [] => (0, &[][..]),
    };
    check_shape(path, count, sizes, shape)?;
    Ok(array.values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::{write::GzEncoder, Compression};
    use std::io::Write;

    fn idx(magic: u32, sizes: &[u32], body: &[u8]) -> Vec<u8> {
        let mut bytes = magic.to_be_bytes().to_vec();
        sizes
            .iter()
            .for_each(|size| bytes.extend(size.to_be_bytes()));
        bytes.extend(body);
        bytes
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn load_bytes(suffix: &str, images: &[u8], labels: &[u8]) -> Result<ImageSet> {
        let folder = tempfile::tempdir().unwrap();
        let mnist = folder.path().join("mnist");
        store::write_bytes(
            &mnist.join(format!("t10k-images-idx3-ubyte{suffix}")),
            images,
        )
        .unwrap();
        store::write_bytes(
            &mnist.join(format!("t10k-labels-idx1-ubyte{suffix}")),
            labels,
        )
        .unwrap();
        load(DatasetName::Mnist, Split::Test, folder.path())
    }

    fn good() -> (Vec<u8>, Vec<u8>) {
        let pixels: Vec<u8> = (0..2 * 784).map(|i| (i % 256) as u8).collect();
        (
            idx(MAGIC_IMAGES, &[2, 28, 28], &pixels),
            idx(MAGIC_LABELS, &[2], &[9, 0]),
        )
    }

    #[test]
    fn plain_and_gzip_files_give_the_same_images() {
        let (images, labels) = good();
        let plain = load_bytes("", &images, &labels).unwrap();
        assert_eq!(plain.labels, [9, 0]);
        assert_eq!(plain.pixels.bytes(), &images[16..]);
        assert_eq!(
            load_bytes(".gz", &gzip(&images), &gzip(&labels)).unwrap(),
            plain
        );
    }

    #[test]
    fn damaged_files_are_refused_and_named() {
        let (images, labels) = good();
        let cases: Vec<(Vec<u8>, Vec<u8>, &str)> = vec![
            (images[..8].to_vec(), labels.clone(), "IDX header"),
            (
                images[..1000].to_vec(),
                labels.clone(),
                "1568 bytes of data, as its header says, found an end after byte 984",
            ),
            (
                [images.clone(), vec![0]].concat(),
                labels.clone(),
                "as its header says, found more",
            ),
            (
                idx(MAGIC_LABELS, &[2, 28, 28], &images[16..]),
                labels.clone(),
                "magic number 0x00000803, found 0x00000801",
            ),
            (
                idx(MAGIC_IMAGES, &[2, 56, 14], &images[16..]),
                labels.clone(),
                "of size [56, 14]",
            ),
            (
                idx(MAGIC_IMAGES, &[u32::MAX, 28, 28], &[]),
                labels.clone(),
                "found 4294967295",
            ),
            (
                idx(MAGIC_IMAGES, &[0, 28, 28], &[]),
                labels.clone(),
                "found 0",
            ),
            (
                images.clone(),
                idx(MAGIC_LABELS, &[3], &[1, 2, 3]),
                "3 labels, 2 images",
            ),
            (
                images.clone(),
                idx(MAGIC_LABELS, &[2], &[1, 10]),
                "found 10 at image 1",
            ),
        ];
        for (images, labels, message) in cases {
            let error = load_bytes("", &images, &labels).unwrap_err();
            assert!(error.is_wrong_input());
            assert!(error.to_string().contains(message), "{message}: {error}");
            assert!(error.to_string().contains("t10k-"), "{error}");
        }
    }

    #[test]
    fn damaged_gzip_files_are_refused() {
        let (images, labels) = good();
        let packed = gzip(&images);
        let mut flipped = packed.clone();
        let middle = flipped.len() / 2;
        flipped[middle] ^= 0xff;
        for bad in [packed[..packed.len() / 2].to_vec(), flipped, vec![]] {
            let error = load_bytes(".gz", &bad, &gzip(&labels)).unwrap_err();
            assert!(error.is_wrong_input(), "{error:?}");
        }
    }

    #[test]
    fn a_gzip_bomb_stops_at_the_size_of_its_header() {
        let bomb = gzip(&idx(MAGIC_IMAGES, &[1, 28, 28], &vec![0; 50_000_000]));
        let error = load_bytes(".gz", &bomb, &gzip(&good().1))
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("expected 784 bytes of data, as its header says, found more"),
            "{error}"
        );
        let liar = gzip(&idx(MAGIC_IMAGES, &[1_000_000, 28, 28], &[1, 2, 3]));
        let error = load_bytes(".gz", &liar, &gzip(&good().1))
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("found an end after byte 3"), "{error}");
    }

    #[test]
    fn a_missing_file_says_how_to_get_it_and_where_it_was_looked_for() {
        let error = load(DatasetName::Mnist, Split::Training, Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "/nowhere/mnist/train-images-idx3-ubyte: not found (expected a file of MNIST: get it with \
             `wcat-explore data fetch mnist`, or name its folder with --data-dir; looked in mnist, MNIST/raw, MNIST, raw, \
             the folder itself below /nowhere for train-images-idx3-ubyte, train-images.idx3-ubyte, x_train.npy, plain or \
             gzip, and for mnist.npz, mnist.zip)"
        );
    }

    /// Writes a pair of files for testing; `names` are those of images and labels.
    fn write_pair(folder: &Path, names: [&str; 2], images: &[u8], labels: &[u8]) {
        store::write_bytes(&folder.join(names[0]), images).unwrap();
        store::write_bytes(&folder.join(names[1]), labels).unwrap();
    }

    #[test]
    fn every_usual_place_and_form_gives_the_same_images() {
        let (images, labels) = good();
        let members = [gzip(&images[..700]), gzip(&images[700..])].concat();
        let array = |shape: Vec<usize>, values: &[u8]| {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("a.npy");
            let values = values.to_vec();
            store::write_npy(&path, &store::ByteArray { shape, values }).unwrap();
            std::fs::read(path).unwrap()
        };
        let arrays = [
            array(vec![2, 28, 28], &images[16..]),
            array(vec![2], &[9, 0]),
        ];
        let dashes = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
        let dots = ["t10k-images.idx3-ubyte", "t10k-labels.idx1-ubyte"];
        for (place, names, images, labels) in [
            ("mnist", dashes, &members, &labels),
            ("MNIST/raw", dots, &images, &gzip(&labels)),
            ("MNIST", dashes, &images, &labels),
            ("raw", dots, &images, &labels),
            ("", dashes, &images, &labels),
            (
                "mnist",
                ["x_test.npy", "y_test.npy"],
                &arrays[0],
                &arrays[1],
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            write_pair(&folder.path().join(place), names, images, labels);
            let set = load(DatasetName::Mnist, Split::Test, folder.path()).unwrap();
            assert_eq!(set.labels, [9, 0], "{place}");
            assert_eq!(set.pixels.bytes(), &good().0[16..], "{place}");
            assert_ne!(set.title, "MNIST");
        }
    }

    #[test]
    fn archives_that_are_not_unpacked_are_read() {
        let (images, labels) = good();
        for (archive, names) in [
            ("mnist.npz", ["x_test.npy", "y_test.npy"]),
            (
                "mnist.zip",
                ["t10k-images.idx3-ubyte", "t10k-labels-idx1-ubyte"],
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let mut bytes = std::io::Cursor::new(Vec::new());
            let mut zip = zip::ZipWriter::new(&mut bytes);
            for (name, content) in names.into_iter().zip([&images, &labels]) {
                zip.start_file(name, zip::write::SimpleFileOptions::default())
                    .unwrap();
                zip.write_all(content).unwrap();
            }
            zip.finish().unwrap();
            let bytes = bytes.into_inner();
            store::write_bytes(&folder.path().join(archive), &bytes).unwrap();
            let set = load(DatasetName::Mnist, Split::Test, folder.path()).unwrap();
            assert_eq!(set.pixels.bytes(), &images[16..]);
            let error = load(DatasetName::Mnist, Split::Training, folder.path()).unwrap_err();
            assert!(matches!(error, Error::Missing { .. }), "{error}");
            store::write_bytes(&folder.path().join(archive), &bytes[..bytes.len() / 2]).unwrap();
            let error = load(DatasetName::Mnist, Split::Test, folder.path()).unwrap_err();
            assert!(error.is_wrong_input() && error.to_string().contains(archive));
        }
    }

    #[test]
    fn titles_say_what_the_images_are() {
        let (images, labels) = good();
        let names = ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"];
        for (name, place, title) in [
            (DatasetName::Mnist, "letters/mnist", "letters/mnist"),
            (DatasetName::Mnist, "letters/MNIST/raw", "letters/MNIST/raw"),
            (DatasetName::Mnist, "letters", "letters"),
            (DatasetName::Mnist, "FashionMNIST/raw", "Fashion-MNIST"),
            (DatasetName::Mnist, "KMNIST/raw", "KMNIST"),
            (
                DatasetName::FashionMnist,
                "x/fashion-mnist",
                "Fashion-MNIST",
            ),
            (
                DatasetName::FashionMnist,
                "x/FashionMNIST/raw",
                "Fashion-MNIST",
            ),
            (DatasetName::Kmnist, "x", "KMNIST"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            write_pair(&folder.path().join(place), names, &images, &labels);
            let root = place.split('/').next().unwrap();
            let set = load(name, Split::Test, &folder.path().join(root)).unwrap();
            assert_eq!(set.title, title, "{place}");
        }
    }

    #[test]
    fn the_sets_of_emnist_are_told_apart_by_their_files() {
        let folder = tempfile::tempdir().unwrap();
        let (images, _) = good();
        let names = [
            "emnist-letters-test-images-idx3-ubyte",
            "emnist-letters-test-labels-idx1-ubyte",
        ];
        let labels = idx(MAGIC_LABELS, &[2], &[26, 1]);
        write_pair(&folder.path().join("EMNIST/raw"), names, &images, &labels);
        let set = load(DatasetName::EmnistLetters, Split::Test, folder.path()).unwrap();
        assert_eq!((set.classes, set.title.as_str()), (27, "EMNIST letters"));
        assert_eq!(set.labels, [26, 1]);
        let error = load(DatasetName::EmnistDigits, Split::Test, folder.path()).unwrap_err();
        assert!(error
            .to_string()
            .contains("emnist-digits-test-images-idx3-ubyte"));
    }
}
