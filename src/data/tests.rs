//! The real data sets, where they are in the cache folder; with WCAT_REQUIRE_DATA=1 they must be there.

use super::*;
use crate::store;
use std::path::PathBuf;

/// The cache folder where it has the data set.
fn folder_with(name: DatasetName) -> Option<PathBuf> {
    let folder = store::cache_folder().unwrap();
    let found = match name {
        DatasetName::Glyphs => true,
        DatasetName::Cifar10 | DatasetName::Cifar100 => {
            let wanted = cifar::wanted(name, Split::Test);
            !cifar::places(name, &folder).files(&wanted).is_empty()
        }
        DatasetName::Folder => false,
        _ => {
            let wanted = idx::wanted(name, Split::Training);
            !idx::places(name, &folder).files(&wanted).is_empty()
        }
    };
    if !found {
        skip(&format!("{name} in {}", folder.display()));
    }
    found.then_some(folder)
}

/// Says what is not there.
fn skip(what: &str) {
    let required = std::env::var("WCAT_REQUIRE_DATA").is_ok_and(|value| value == "1");
    assert!(!required, "WCAT_REQUIRE_DATA=1, but no {what}");
    eprintln!("skipped: no {what}");
}

/// Mean and standard deviation of all pixels of each channel, pixels in [0, 1].
fn moments(set: &ImageSet) -> Vec<(f64, f64)> {
    let plane = set.height * set.width;
    (0..set.channels)
        .map(|channel| {
            let pixels = || {
                set.pixels
                    .bytes()
                    .chunks_exact(plane)
                    .skip(channel)
                    .step_by(set.channels)
                    .flatten()
                    .map(|&p| f64::from(p))
            };
            let n = (set.len() * plane) as f64;
            let mean = pixels().sum::<f64>() / n;
            let variance = pixels().map(|p| (p - mean).powi(2)).sum::<f64>() / n;
            (mean / 255.0, variance.sqrt() / 255.0)
        })
        .collect()
}

fn default_normalization_is_that_of(set: &ImageSet, name: DatasetName, tolerance: f64) {
    let normalization = name.default_normalization();
    normalization.for_channels(set.channels).unwrap();
    for (channel, (mean, std)) in moments(set).into_iter().enumerate() {
        assert!(
            (mean - f64::from(normalization.mean[channel])).abs() < tolerance,
            "{channel}: mean {mean}"
        );
        assert!(
            (std - f64::from(normalization.std[channel])).abs() < tolerance,
            "{channel}: std {std}"
        );
    }
}

#[test]
fn glyphs_have_the_default_normalisation() {
    let set = load(&DatasetSpec::default(), Split::Training, Path::new("")).unwrap();
    assert_eq!((set.len(), set.title.as_str()), (12_000, "glyphs"));
    default_normalization_is_that_of(&set, DatasetName::Glyphs, 5e-4);
}

#[test]
fn mnist_is_what_was_published() {
    let Some(folder) = folder_with(DatasetName::Mnist) else {
        return;
    };
    let spec = DatasetSpec::of(DatasetName::Mnist);
    let training = load(&spec, Split::Training, &folder).unwrap();
    assert_eq!((training.len(), training.image_size()), (60_000, 784));
    assert_eq!(training.labels[..5], [5, 0, 4, 1, 9]);
    assert_eq!(
        training.class_counts(),
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    );
    default_normalization_is_that_of(&training, DatasetName::Mnist, 5e-5);
    let test = load(&spec, Split::Test, &folder).unwrap();
    assert_eq!((test.len(), test.title.as_str()), (10_000, "MNIST"));
    assert_eq!(test.labels[..5], [7, 2, 1, 0, 4]);
    assert_eq!(test.class_counts().iter().sum::<usize>(), 10_000);
    let info = info(DatasetName::Mnist, &folder).unwrap();
    assert!(info.present && info.files.len() == 4);
    assert!(
        info.files.iter().all(|file| file.as_published),
        "{:?}",
        info.files
    );
    assert_eq!(info.test.unwrap().checksum, test.checksum());
    let source = fetch::FetchSource::built_in(DatasetName::Mnist).unwrap();
    assert!(!fetch::fetch(&source, &folder, &mut |_| Ok(())).unwrap());
}

#[test]
fn cifar10_has_a_thousand_test_images_of_each_class() {
    let Some(folder) = folder_with(DatasetName::Cifar10) else {
        return;
    };
    let spec = DatasetSpec::of(DatasetName::Cifar10);
    let test = load(&spec, Split::Test, &folder).unwrap();
    assert_eq!((test.len(), test.image_size()), (10_000, 3072));
    assert_eq!(test.class_counts(), [1000; 10]);
    let training = load(&spec, Split::Training, &folder).unwrap();
    assert_eq!(
        (training.len(), training.class_counts()),
        (50_000, vec![5000; 10])
    );
    // the JPEG copy differs from the original by less than that
    default_normalization_is_that_of(&training, DatasetName::Cifar10, 5e-3);
    let info = info(DatasetName::Cifar10, &folder).unwrap();
    let original = info.files.iter().all(|file| file.as_published);
    let title = if original {
        "CIFAR-10"
    } else {
        "CIFAR-10 (JPEG copy)"
    };
    assert_eq!(
        (
            test.title.as_str(),
            training.title.as_str(),
            info.title.as_str()
        ),
        (title, title, title)
    );
    // the JPEG copy has its own order
    let first = if original {
        [3, 8, 8, 0, 6]
    } else {
        [4, 8, 5, 6, 1]
    };
    assert_eq!(test.labels[..5], first);
}

/// Pixels of the images of one class.
fn of_class(set: &ImageSet, class: u16) -> Vec<&[u8]> {
    let images = set
        .pixels
        .bytes()
        .chunks_exact(set.image_size())
        .zip(&set.labels);
    images
        .filter(|(_, label)| **label == class)
        .map(|(image, _)| image)
        .collect()
}

#[test]
fn our_jpeg_decoder_differs_from_the_prepared_copy_by_roundings_alone() {
    let Some(data) = folder_with(DatasetName::Cifar10) else {
        return;
    };
    let folder = data.join("cifar10-jpeg");
    if !folder.is_dir() {
        return skip(&folder.display().to_string());
    }
    let cifar = DatasetSpec {
        name: DatasetName::Cifar10,
        ..DatasetSpec::default()
    };
    let prepared = load(&cifar, Split::Test, &data).unwrap();
    let spec = DatasetSpec {
        name: DatasetName::Folder,
        ..DatasetSpec::default()
    }
    .for_input([3, 32, 32]);
    let ours = load(&spec, Split::Test, &folder).unwrap();
    assert_eq!((ours.len(), prepared.len()), (10_000, 10_000));
    let distance = |a: &[u8], b: &[u8], every: usize| {
        let pairs = a.iter().step_by(every).zip(b.iter().step_by(every));
        pairs.map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>()
    };
    let (mut differing, mut most, mut pixels) = (0usize, 0u8, 0usize);
    for class in 0..10 {
        let candidates = of_class(&prepared, class);
        for image in of_class(&ours, class) {
            // the copy is shuffled: the same image is the nearest one
            let nearest = candidates
                .iter()
                .min_by_key(|other| distance(image, other, 61))
                .unwrap();
            pixels += image.len();
            differing += image.iter().zip(*nearest).filter(|(a, b)| a != b).count();
            most = most.max(
                image
                    .iter()
                    .zip(*nearest)
                    .map(|(a, b)| a.abs_diff(*b))
                    .max()
                    .unwrap(),
            );
        }
    }
    let fraction = differing as f64 / pixels as f64;
    println!(
        "{differing} of {pixels} values differ ({:.2} %), by at most {most}",
        100.0 * fraction
    );
    assert!(most <= 16 && fraction < 0.5, "{fraction} {most}");
}
