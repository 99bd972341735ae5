//! MNIST from its IDX files, plain or gzip: every size is checked before memory is taken.

use super::{missing, DatasetName, ImageSet, Split, MAX_IMAGES};
use crate::error::{Error, IoContext, Result};
use crate::store;
use flate2::read::GzDecoder;
use std::cmp::Ordering;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The folder of the files in the data folder.
pub(super) const FOLDER: &str = "mnist";
/// The files of both halves: images, labels.
pub(super) const FILES: [[&str; 2]; 2] = [
    ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"],
    ["t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"],
];

/// First four bytes of an IDX file of unsigned bytes with three dimensions.
const MAGIC_IMAGES: u32 = 0x0000_0803;
/// The same with one dimension.
const MAGIC_LABELS: u32 = 0x0000_0801;

/// Loads `<folder>/mnist/<name>` or `<name>.gz`.
pub(super) fn load(split: Split, folder: &Path) -> Result<ImageSet> {
    let [images, labels] = &FILES[split as usize];
    load_mnist_files(&find(folder, images)?, &find(folder, labels)?)
}

/// The plain file where it is there, else the `.gz` one.
pub(super) fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = folder.join(FOLDER).join(name);
    let gzip = plain.with_extension("gz");
    match (plain.is_file(), gzip.is_file()) {
        (true, _) => Ok(plain),
        (false, true) => Ok(gzip),
        (false, false) => Err(missing(&gzip, DatasetName::Mnist)),
    }
}

/// Loads a pair of IDX files of 28x28 grey images and labels 0 to 9. A name that ends in `.gz` is unpacked.
///
/// # Errors
/// [`Error::Missing`] where a file is not there, [`Error::Input`] where a magic number, a size, a
/// label or the number of images is wrong.
pub fn load_mnist_files(images: &Path, labels: &Path) -> Result<ImageSet> {
    let name = DatasetName::Mnist;
    let (height, width) = (name.side(), name.side());
    let pixels = read_idx(images, MAGIC_IMAGES, &[height as u32, width as u32])?;
    let classes = read_idx(labels, MAGIC_LABELS, &[])?;
    if pixels.len() != classes.len() * height * width {
        let found = format!(
            "{} images in {}",
            pixels.len() / (height * width),
            images.display()
        );
        return Err(Error::input(
            labels,
            "as many labels as images",
            format!("{} labels, {found}", classes.len()),
        ));
    }
    if let Some(place) = classes.iter().position(|&label| label > 9) {
        let found = format!("{} at image {place}", classes[place]);
        return Err(Error::input(labels, "labels from 0 to 9", found));
    }
    Ok(ImageSet {
        title: name.title().into(),
        channels: 1,
        height,
        width,
        classes: 10,
        pixels,
        labels: classes.into_iter().map(u16::from).collect(),
    })
}

/// The data of an IDX file of unsigned bytes whose first dimension is free and whose others are `shape`.
fn read_idx(path: &Path, magic: u32, shape: &[u32]) -> Result<Vec<u8>> {
    let file = store::open(path, &super::how_to_get(DatasetName::Mnist))?;
    let size = file.metadata().at("inspect", path)?.len();
    let gzip = path.extension().is_some_and(|extension| extension == "gz");
    let mut reader: Box<dyn Read> = if gzip {
        Box::new(GzDecoder::new(BufReader::new(file)))
    } else {
        Box::new(file)
    };

    let mut header = vec![0; 8 + 4 * shape.len()];
    let read = reader.read_exact(&mut header);
    explain(path, read, "an IDX header")?;
    let mut words = header
        .chunks_exact(4)
        .map(|word| word.iter().fold(0, |n, &byte| n << 8 | u32::from(byte)));
    let found = words.next().unwrap_or(0);
    if found != magic {
        return Err(Error::input(
            path,
            format!("the magic number {magic:#010x}"),
            format!("{found:#010x}"),
        ));
    }
    let count = u64::from(words.next().unwrap_or(0));
    let sizes: Vec<u32> = words.collect();
    if sizes != shape || !(1..=MAX_IMAGES).contains(&count) {
        let expected = format!("1 to {MAX_IMAGES} entries of size {shape:?}");
        return Err(Error::input(
            path,
            expected,
            format!("{count} of size {sizes:?}"),
        ));
    }
    let expected = count * shape.iter().map(|&side| u64::from(side)).product::<u64>();
    let whole = header.len() as u64 + expected;
    if !gzip && size != whole {
        return Err(Error::input(
            path,
            format!("{whole} bytes, as its header says"),
            size.to_string(),
        ));
    }
    read_body(path, reader, expected)
}

/// Exactly `expected` bytes up to the end. Memory grows with what arrives, so a header that lies
/// about a small file takes none.
fn read_body(path: &Path, reader: impl Read, expected: u64) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    let read = reader.take(expected + 1).read_to_end(&mut body);
    explain(path, read, "whole data")?;
    let found = match (body.len() as u64).cmp(&expected) {
        Ordering::Equal => return Ok(body),
        Ordering::Less => format!("an end after byte {}", body.len()),
        Ordering::Greater => "more".to_owned(),
    };
    Err(Error::input(
        path,
        format!("{expected} bytes of data, as its header says"),
        found,
    ))
}

/// A damaged or short file is the file's fault; the rest is the system's.
fn explain<T>(path: &Path, read: std::io::Result<T>, expected: &str) -> Result<T> {
    match read {
        Err(e)
            if matches!(
                e.kind(),
                ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput
            ) =>
        {
            Err(Error::input(
                path,
                expected,
                format!("a damaged or truncated file ({e})"),
            ))
        }
        other => other.at("read", path),
    }
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
        load(Split::Test, folder.path())
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
        assert_eq!(plain.pixels, images[16..]);
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
                "1584 bytes, as its header says, found 1000",
            ),
            (
                [images.clone(), vec![0]].concat(),
                labels.clone(),
                "found 1585",
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
        for bad in [
            packed[..packed.len() / 2].to_vec(),
            flipped,
            images.clone(),
            vec![],
        ] {
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
    fn a_missing_file_says_how_to_get_it() {
        let error = load(Split::Training, Path::new("/nowhere"))
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "/nowhere/mnist/train-images-idx3-ubyte.gz: not found (expected a file of MNIST: get it with \
             `wcat-explore data fetch mnist`, or name its folder with --data-dir)"
        );
    }
}
