//! Images in class folders, PNG or JPEG: found, decoded in parallel, scaled and cut to one size, kept in memory.

use super::class_folders::{Half, Listing};
use super::picture::Picture;
use super::resample::{resample, Axis};
use super::{FolderSpec, ImageSet, Split, MAX_IMAGES};
use crate::error::{Error, Result};
use crate::store;
use crate::units::check_name;
use rayon::prelude::*;
use std::path::Path;

/// Most bytes that the decoded images may take, 8 GiB: 57,065 of 224x224.
const MOST_BYTES: u64 = 8 << 30;
/// Most classes: a label takes 16 bits.
const MOST_CLASSES: usize = 1 << 16;
/// Loads one half of a folder, see [`Half::find`]. Images come class by class and in the order of their names. Classes
/// are the subfolders in the order of their names: those of the training half where it is there.
///
/// # Errors
/// [`Error::Missing`] where a folder is not there, [`Error::Input`] that names the folder or file where there are no
/// images, too many, a class that training has not, one whose images are all of other kinds, or a damaged image.
pub(super) fn load(spec: &FolderSpec, split: Split, folder: &Path) -> Result<ImageSet> {
    let (size, resize) = (spec.size(), spec.resize());
    let title = title(folder)?;
    let half = Half::find(split, folder)?;
    let (root, classes) = (&half.root, &half.classes);
    if classes.is_empty() || classes.len() > MOST_CLASSES {
        let expected = format!("1 to {MOST_CLASSES} subfolders, one a class");
        return Err(Error::input(root, expected, classes.len().to_string()));
    }
    let Listing {
        images,
        labels,
        remarks,
    } = half.list()?;
    let paths = images;
    let image = 3 * size * size;
    let most = (MOST_BYTES / image as u64).min(MAX_IMAGES);
    if !(1..=most).contains(&(paths.len() as u64)) {
        let expected =
            format!("1 to {most} images of {size}x{size} (`dataset.folder.size`) in class folders");
        return Err(Error::input(root, expected, paths.len().to_string()));
    }
    let mut pixels = vec![0; paths.len() * image];
    let places = paths.par_iter().zip(pixels.par_chunks_exact_mut(image));
    // the first of the damaged files in the order of the set, however many threads decode
    let damaged = places.find_map_first(|(path, place)| decode(path, size, resize, place).err());
    if let Some(error) = damaged {
        return Err(error);
    }
    Ok(ImageSet {
        title,
        channels: 3,
        height: size,
        width: size,
        classes: classes.len(),
        pixels: pixels.into(),
        labels,
        remarks,
    })
}

/// A name for the decoded images of a half of a folder: another where a file was added, removed or changed, or where
/// they are scaled otherwise. No image is opened.
///
/// # Errors
/// [`Error::Missing`] where a folder is not there, [`Error::Input`] for a name that cannot be one, [`Error::Io`].
pub fn fingerprint(spec: &FolderSpec, split: Split, folder: &Path) -> Result<String> {
    let seen = Half::find(split, folder)?.fingerprint()?;
    let text = format!(
        "{seen} {} {} {}",
        spec.size(),
        spec.resize(),
        title(folder)?
    );
    Ok(store::sha256(text.as_bytes()))
}

/// The name of a data set: that of its folder or file.
///
/// # Errors
/// [`Error::Input`] for a name that cannot be one.
pub(super) fn title(folder: &Path) -> Result<String> {
    // `.` and `..` have no name of their own
    let whole = match folder.file_name() {
        Some(_) => folder.to_owned(),
        None => folder.canonicalize().unwrap_or_default(),
    };
    let Some(name) = whole.file_name() else {
        return Ok("folder".into());
    };
    let name = name.to_string_lossy().into_owned();
    check_name(&name).map_err(|(expected, found)| {
        let expected = format!(
            "{expected}, for the folder or file of a data set: rename it, or name a link to it"
        );
        Error::input(folder, expected, found)
    })?;
    Ok(name)
}

/// Reads one image, scales it so that its shorter side is `resize`, and cuts the central `size` x `size` pixels out.
fn decode(path: &Path, size: usize, resize: usize, target: &mut [u8]) -> Result<()> {
    let picture = Picture::read(path)?;
    let (height, width) = (picture.height, picture.width);
    let short = height.min(width);
    // the longer side is cut down and the start of the cut rounded half to even, as torchvision does
    let axis = |side: usize| {
        let length = if side == short {
            resize
        } else {
            resize * side / short
        };
        let start = ((length - size) as f64 / 2.0).round_ties_even() as usize;
        Axis::new(0..side, length, start..start + size)
    };
    let (down, across) = (axis(height), axis(width));
    let planes = picture
        .planes
        .chunks_exact(height * width)
        .zip(target.chunks_exact_mut(size * size));
    planes.for_each(|(plane, target)| resample(plane, width, &down, &across, target));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{load, DatasetName, DatasetSpec};
    use crate::store;

    /// A PNG of one shade that rises by one from row to row.
    fn write_png(path: &Path, width: u32, height: u32, shade: u8, colour: png::ColorType) {
        let mut bytes = Vec::new();
        let mut encoder = png::Encoder::new(&mut bytes, width, height);
        encoder.set_color(colour);
        encoder.set_depth(png::BitDepth::Eight);
        let samples = colour.samples() as u32;
        let pixels: Vec<u8> = (0..height)
            .flat_map(|y| (0..width * samples).map(move |_| shade + y as u8))
            .collect();
        encoder
            .write_header()
            .unwrap()
            .write_image_data(&pixels)
            .unwrap();
        store::write_bytes(path, &bytes).unwrap();
    }

    fn spec(size: usize, resize: Option<usize>) -> DatasetSpec {
        let folder = Some(FolderSpec {
            size: Some(size),
            resize,
        });
        DatasetSpec {
            folder,
            ..DatasetSpec::of(DatasetName::Folder)
        }
    }

    #[test]
    fn classes_are_the_sorted_subfolders_and_images_come_in_the_order_of_their_names() {
        let folder = tempfile::Builder::new().prefix("set").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        write_png(&at("b/2.PNG"), 4, 4, 20, png::ColorType::Rgb);
        write_png(&at("b/10.png"), 4, 4, 10, png::ColorType::Grayscale);
        write_png(&at("a/x.jpg"), 4, 4, 30, png::ColorType::Rgba);
        store::write_bytes(&at("a/notes.txt"), b"no image").unwrap();
        store::write_bytes(&at("a/.hidden.png"), b"no image").unwrap();
        let set = load(&spec(4, None), Split::Test, folder.path()).unwrap();
        assert_eq!(
            (set.classes, set.channels, set.height, set.width),
            (2, 3, 4, 4)
        );
        assert_eq!(set.labels, [0, 1, 1]);
        assert_eq!(
            [set.image(0)[0], set.image(1)[16], set.image(2)[47]],
            [30, 10, 23]
        );
        let error = load(&spec(4, None), Split::Training, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("train: not found"), "{error}");
    }

    #[test]
    fn halves_share_the_classes_of_training_and_an_unknown_class_is_refused() {
        let folder = tempfile::Builder::new().prefix("set").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for class in ["a", "b", "c"] {
            write_png(
                &at(&format!("train/{class}/0.png")),
                8,
                8,
                1,
                png::ColorType::Rgb,
            );
        }
        let error = load(&spec(8, None), Split::Test, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("test: not found") && error.contains("`val`"),
            "{error}"
        );
        write_png(&at("val/c/0.png"), 8, 8, 1, png::ColorType::Rgb);
        let set = load(&spec(8, None), Split::Test, folder.path()).unwrap();
        assert_eq!((set.classes, set.labels.as_slice()), (3, &[2][..]));
        assert_eq!(
            load(&spec(8, None), Split::Training, folder.path())
                .unwrap()
                .labels,
            [0, 1, 2]
        );
        write_png(&at("val/d/0.png"), 8, 8, 1, png::ColorType::Rgb);
        let error = load(&spec(8, None), Split::Test, folder.path())
            .unwrap_err()
            .to_string();
        assert!(error.contains("val/d: expected a class of"), "{error}");
    }

    #[test]
    fn the_centre_is_cut_out_after_scaling_the_shorter_side() {
        let folder = tempfile::Builder::new().prefix("set").tempdir().unwrap();
        // 8 wide, 16 high; row y has shade 100 + y
        write_png(
            &folder.path().join("a/0.png"),
            8,
            16,
            100,
            png::ColorType::Rgb,
        );
        let set = load(&spec(4, Some(8)), Split::Test, folder.path()).unwrap();
        let column: Vec<u8> = set.image(0)[..16].iter().step_by(4).copied().collect();
        assert_eq!(column, [106, 107, 108, 109]);
        // scaled by a half first: pairs of rows, smoothed by their neighbours
        let set = load(&spec(4, Some(4)), Split::Test, folder.path()).unwrap();
        let column: Vec<u8> = set.image(0)[..16].iter().step_by(4).copied().collect();
        assert!(
            column.windows(2).all(|rows| rows[1] - rows[0] == 2),
            "{column:?}"
        );
    }

    #[test]
    fn the_first_damaged_file_is_named() {
        let folder = tempfile::Builder::new().prefix("set").tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in 0..20 {
            write_png(
                &at(&format!("a/{name:02}.png")),
                8,
                8,
                1,
                png::ColorType::Rgb,
            );
        }
        let whole = std::fs::read(at("a/00.png")).unwrap();
        for damaged in [
            whole[..whole.len() / 2].to_vec(),
            b"GIF89a".to_vec(),
            vec![],
            vec![0xff, 0xd8, 0xff, 0xe0],
        ] {
            store::write_bytes(&at("a/07.png"), &damaged).unwrap();
            store::write_bytes(&at("a/11.png"), &damaged).unwrap();
            let error = load(&spec(8, None), Split::Test, folder.path()).unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().contains("07.png"),
                "{error}"
            );
        }
    }

    #[test]
    fn headers_that_promise_too_much_take_no_memory() {
        let folder = tempfile::Builder::new().prefix("set").tempdir().unwrap();
        let path = folder.path().join("a/0.png");
        let mut bytes = Vec::new();
        let encoder = png::Encoder::new(&mut bytes, 60_000, 60_000);
        encoder
            .write_header()
            .unwrap()
            .write_chunk(png::chunk::IDAT, &[])
            .unwrap();
        store::write_bytes(&path, &bytes).unwrap();
        let error = load(&spec(8, None), Split::Test, folder.path())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("0.png") && error.contains("60000x60000"),
            "{error}"
        );
    }

    #[test]
    fn folders_without_images_are_refused() {
        let folder = tempfile::Builder::new().prefix("set").tempdir().unwrap();
        let error = |path: &Path| {
            load(&spec(8, None), Split::Test, path)
                .unwrap_err()
                .to_string()
        };
        assert!(error(folder.path()).contains("one a class"));
        assert!(error(&folder.path().join("nowhere")).contains("--data-dir"));
        store::create_folder(&folder.path().join("a")).unwrap();
        assert!(error(folder.path()).contains("in class folders, found 0"));
    }
}
