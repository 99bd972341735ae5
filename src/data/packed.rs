//! Images packed into one file: decoded once, read whole by many processes, and no larger in memory than their pixels.
//!
//! The file is the length of a header (64 bits, little-endian), the header as JSON, the labels (16 bits each,
//! little-endian), the pixels in the order of [`ImageSet::pixels`], and SHA-256 of all that in 64 hexadecimal digits.

use super::{ImageSet, MAX_IMAGES};
use crate::error::{refuse, Error, IoContext, Result};
use crate::store;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::Path;

/// What the header says first.
const FORMAT: &str = "wcat-explore images 1";
/// Most bytes of a header.
const MOST_HEADER: u64 = 1 << 20;
/// Digits of the checksum.
const DIGITS: usize = 64;
/// Bytes that are read at a time: they are hashed while they lie in the cache.
const PIECE: usize = 1 << 18;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    format: String,
    title: String,
    images: u64,
    channels: u64,
    height: u64,
    width: u64,
    classes: u64,
    remarks: Vec<String>,
}

impl Header {
    fn of(set: &ImageSet) -> Self {
        Self {
            format: FORMAT.into(),
            title: set.title.clone(),
            images: set.len() as u64,
            channels: set.channels as u64,
            height: set.height as u64,
            width: set.width as u64,
            classes: set.classes as u64,
            remarks: set.remarks.clone(),
        }
    }

    /// Bytes of labels and of pixels; `None` where the header is of no set of images.
    fn sizes(&self) -> Option<(u64, u64)> {
        let shape = [self.channels, self.height, self.width];
        let sound = self.format == FORMAT
            && (1..=MAX_IMAGES).contains(&self.images)
            && (1..=1 << 16).contains(&self.classes)
            && shape.iter().all(|side| *side > 0);
        let mut pixels = self.images;
        for side in shape {
            pixels = pixels.checked_mul(side)?;
        }
        sound.then_some((2 * self.images, pixels))
    }
}

/// Writes images into one file, whole or not at all, as [`store::write_whole`].
///
/// # Errors
/// [`Error::Argument`] where there are no images, floats, or not as many pixels and labels as their sizes say;
/// [`Error::Io`].
pub fn write_packed(path: &Path, set: &ImageSet) -> Result<()> {
    let (header, pixels) = (Header::of(set), set.pixels.bytes());
    let own = (2 * set.labels.len() as u64, pixels.len() as u64);
    let header = serde_json::to_vec(&header)
        .ok()
        .filter(|text| header.sizes() == Some(own) && text.len() as u64 <= MOST_HEADER);
    let Some(header) = header else {
        let expected = format!("1 to {MAX_IMAGES} images with all their pixels");
        let found = format!("{} labels and {} pixels", set.len(), pixels.len());
        return refuse("images to pack", expected, found);
    };
    let labels: Vec<u8> = set
        .labels
        .iter()
        .flat_map(|own| own.to_le_bytes())
        .collect();
    store::write_whole(path, |file| {
        let mut hash = Sha256::new();
        let length = (header.len() as u64).to_le_bytes();
        for part in [&length[..], &header, &labels, pixels] {
            for piece in part.chunks(PIECE) {
                hash.update(piece);
                file.write_all(piece)?;
            }
        }
        file.write_all(store::hex(&hash.finalize()).as_bytes())
    })
}

/// Reads what [`write_packed`] wrote. Memory is taken once the sizes in the header are those of the file.
///
/// # Errors
/// [`Error::Missing`] where there is no such file, [`Error::Input`] where it is another or damaged, [`Error::Io`].
pub fn read_packed(path: &Path) -> Result<ImageSet> {
    let file = store::open(path, "packed images")?;
    let size = file.metadata().at("inspect", path)?.len();
    let wrong = |expected: &str, found: String| Err(Error::input(path, expected, found));
    let mut from = Hashed {
        file,
        hash: Sha256::new(),
        path,
    };
    let around = (8 + DIGITS) as u64;
    if size < around {
        return wrong("packed images", format!("{size} bytes"));
    }
    let mut length = [0; 8];
    from.fill(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > MOST_HEADER.min(size - around) {
        return wrong(
            "packed images",
            "another file, or one that is cut off".into(),
        );
    }
    let mut header = vec![0; length as usize];
    from.fill(&mut header)?;
    let header: Header = match serde_json::from_slice(&header) {
        Ok(header) => header,
        Err(error) => return wrong("the header of packed images", error.to_string()),
    };
    let Some((labels, pixels)) = header.sizes() else {
        let found = format!(
            "`{}` with {} images of [{}, {}, {}] in {} classes",
            header.format,
            header.images,
            header.channels,
            header.height,
            header.width,
            header.classes
        );
        return wrong(&format!("`{FORMAT}` with sizes of images"), found);
    };
    if u128::from(around + length + labels) + u128::from(pixels) != u128::from(size) {
        let expected =
            format!("{labels} bytes of labels and {pixels} of pixels, as the header says");
        return wrong(&expected, format!("{size} bytes in all"));
    }
    let mut bytes = vec![0; labels as usize];
    from.fill(&mut bytes)?;
    let labels: Vec<u16> = bytes
        .as_chunks()
        .0
        .iter()
        .map(|own| u16::from_le_bytes(*own))
        .collect();
    let mut all = vec![0; pixels as usize];
    from.fill(&mut all)?;
    let sum = store::hex(&std::mem::take(&mut from.hash).finalize());
    let mut digits = [0; DIGITS];
    from.fill(&mut digits)?;
    if digits != sum.as_bytes() {
        return wrong(
            "the content that the checksum at its end is of",
            "another: the file is damaged; the command that wrote it makes it anew".into(),
        );
    }
    if let Some(label) = labels.iter().find(|own| u64::from(**own) >= header.classes) {
        let expected = format!("labels below {}", header.classes);
        return wrong(&expected, label.to_string());
    }
    Ok(ImageSet {
        title: header.title,
        channels: header.channels as usize,
        height: header.height as usize,
        width: header.width as usize,
        classes: header.classes as usize,
        pixels: all.into(),
        labels,
        remarks: header.remarks,
    })
}

/// A file of which all that is read is hashed.
struct Hashed<'a, F> {
    file: F,
    hash: Sha256,
    path: &'a Path,
}

impl<F: Read> Hashed<'_, F> {
    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        for piece in bytes.chunks_mut(PIECE) {
            self.file.read_exact(piece).at("read", self.path)?;
            self.hash.update(&*piece);
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files are damaged on purpose here
mod tests {
    use super::super::images::tests::counting;
    use super::*;
    use std::fs;

    #[test]
    fn a_set_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.images");
        let mut set = counting(300, 3, 20);
        set.remarks = vec!["one file was left out".into()];
        (set.classes, set.labels[7]) = (1000, 999);
        write_packed(&path, &set).unwrap();
        assert_eq!(read_packed(&path).unwrap(), set);
        assert_eq!(read_packed(&path).unwrap().checksum(), set.checksum());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        set.pixels = vec![1u8; 5].into();
        assert!(write_packed(&path, &set).is_err());
        let none = set.selected(&[]);
        assert!(write_packed(&path, &none).unwrap_err().is_wrong_input());
    }

    #[test]
    fn a_changed_byte_anywhere_and_a_cut_are_refused_with_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.images");
        write_packed(&path, &counting(5, 1, 3)).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            fs::write(&path, bytes).unwrap();
            let error = read_packed(&path).unwrap_err();
            assert!(error.is_wrong_input(), "byte {at}: {error}");
            assert!(error.to_string().contains("set.images"), "{error}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(
                read_packed(&path).unwrap_err().is_wrong_input(),
                "cut at {at}"
            );
        }
        let missing = read_packed(&folder.path().join("none")).unwrap_err();
        assert!(matches!(missing, Error::Missing { .. }));
    }

    #[test]
    fn sizes_that_the_file_has_not_are_refused_before_memory_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.images");
        for (images, side) in [(1_000_000, 1 << 13), (1_000_000, 1 << 31), (1, u64::MAX)] {
            let mut header = Header::of(&counting(5, 1, 3));
            (header.images, header.width) = (images, side);
            let header = serde_json::to_vec(&header).unwrap();
            let length = (header.len() as u64).to_le_bytes();
            let bytes = [&length[..], &header, &[0; 100]].concat();
            fs::write(&path, bytes).unwrap();
            assert!(read_packed(&path).unwrap_err().is_wrong_input());
        }
    }

    #[test]
    fn pixels_beyond_32_bits_are_counted_right() {
        let mut header = Header::of(&counting(5, 1, 3));
        (header.images, header.channels, header.height, header.width) = (50_000, 3, 224, 224);
        assert_eq!(header.sizes(), Some((100_000, 7_526_400_000)));
        header.images = MAX_IMAGES + 1;
        assert_eq!(header.sizes(), None);
    }
}
