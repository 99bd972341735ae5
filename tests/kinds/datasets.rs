//! Data sets are found in the forms in which they are commonly stored.

use crate::program::{records, Place};
use std::io::{Cursor, Write};
use wcat_explore::store;

/// Pixels of 20 grey images and their labels.
fn digits() -> (Vec<u8>, Vec<u8>) {
    let pixels = (0..20 * 784u32).map(|i| (i * i / 7) as u8).collect();
    (pixels, (0..20).map(|i| i % 10).collect())
}

/// An IDX file.
fn idx(kind: u8, sizes: &[u32], body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 8, kind];
    sizes
        .iter()
        .for_each(|size| bytes.extend(size.to_be_bytes()));
    bytes.extend(body);
    bytes
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Accuracy, loss and title that `eval` gives.
fn evaluated(place: &Place, dataset: &str, folder: &str) -> (String, String) {
    let args = [
        "eval",
        "--model",
        "net.safetensors",
        "--dataset",
        dataset,
        "--data-dir",
        folder,
    ];
    let row = &records(place, &args)[0];
    assert_eq!(row["images"], 20, "{folder}");
    let numbers = format!("{} {}", row["accuracy"], row["loss"]);
    (numbers, row["dataset"].as_str().unwrap().to_owned())
}

#[test]
fn sets_in_the_form_of_mnist_give_the_same_numbers_in_every_usual_form() {
    let place = Place::new();
    place.write_model("net.safetensors", 8);
    let (pixels, labels) = digits();
    let (images, classes) = (idx(3, &[20, 28, 28], &pixels), idx(1, &[20], &labels));
    let members = [gzip(&images[..5000]), gzip(&images[5000..])].concat();
    place.write("plain/mnist/t10k-images-idx3-ubyte", &images);
    place.write("plain/mnist/t10k-labels-idx1-ubyte", &classes);
    place.write("torch/MNIST/raw/t10k-images-idx3-ubyte.gz", gzip(&images));
    place.write("torch/MNIST/raw/t10k-labels-idx1-ubyte.gz", gzip(&classes));
    place.write("dots/t10k-images.idx3-ubyte", &images);
    place.write("dots/t10k-labels.idx1-ubyte", &classes);
    place.write("members/mnist/t10k-images-idx3-ubyte", &members);
    place.write("members/mnist/t10k-labels-idx1-ubyte", gzip(&classes));
    place.write("clothes/FashionMNIST/raw/t10k-images-idx3-ubyte", &images);
    place.write("clothes/FashionMNIST/raw/t10k-labels-idx1-ubyte", &classes);
    let letters = "letters/EMNIST/raw/emnist-digits-test";
    place.write(&format!("{letters}-images-idx3-ubyte"), &images);
    place.write(&format!("{letters}-labels-idx1-ubyte"), &classes);
    let mut keras = Cursor::new(Vec::new());
    let mut zip = zip::ZipWriter::new(&mut keras);
    for (name, shape, values) in [
        ("x_test", vec![20, 28, 28], pixels),
        ("y_test", vec![20], labels),
    ] {
        let path = place.path(name);
        store::write_npy(&path, &store::ByteArray { shape, values }).unwrap();
        let options = zip::write::SimpleFileOptions::default();
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(&place.read(name)).unwrap();
    }
    zip.finish().unwrap();
    place.write("keras/mnist.npz", keras.into_inner());

    let (numbers, title) = evaluated(&place, "mnist", "plain");
    assert_eq!(title, "plain/mnist");
    for (dataset, folder, title) in [
        ("mnist", "torch", "torch/MNIST/raw"),
        ("mnist", "dots", "dots"),
        ("mnist", "members", "members/mnist"),
        ("mnist", "keras", "keras/mnist.npz"),
        ("mnist", "clothes/FashionMNIST", "Fashion-MNIST"),
    ] {
        let found = evaluated(&place, dataset, folder);
        assert_eq!(found, (numbers.clone(), title.to_owned()), "{folder}");
    }
    // the model says no normalisation: that of the data set is taken
    assert_eq!(
        evaluated(&place, "fashion-mnist", "clothes").1,
        "Fashion-MNIST"
    );
    assert_eq!(
        evaluated(&place, "emnist-digits", "letters").1,
        "EMNIST digits"
    );
}

#[test]
fn a_set_that_is_not_found_lists_the_places_looked_in() {
    let place = Place::new();
    place.write_model("net.safetensors", 8);
    place.write("empty/readme.txt", "nothing");
    for (dataset, places) in [
        (
            "mnist",
            "MNIST/raw, MNIST, raw, the folder itself below empty",
        ),
        ("fashion-mnist", "FashionMNIST/raw"),
        ("kmnist", "KMNIST/raw"),
        ("emnist-letters", "EMNIST/raw"),
        (
            "cifar10",
            "cifar-10-batches-py, the folder itself below empty",
        ),
        ("cifar100", "cifar-100-python.tar.gz"),
    ] {
        let ended = place.run(&[
            "eval",
            "--model",
            "net.safetensors",
            "--dataset",
            dataset,
            "--data-dir",
            "empty",
        ]);
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(
            ended.stderr.contains("looked in") && ended.stderr.contains(places),
            "{dataset}: {}",
            ended.stderr
        );
    }
}

/// A batch as Python 2 pickled it: `data` of one image, `fine_labels` or `labels`.
fn python_batch(labels: &str, label: u8, shade: u8) -> Vec<u8> {
    let mut bytes = b"\x80\x02}q\x01(U".to_vec();
    bytes.push(labels.len() as u8);
    bytes.extend(labels.as_bytes());
    bytes.extend([b']', b'(', b'K', label, b'e']);
    bytes.extend(
        b"U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R",
    );
    bytes.extend(b"(K\x01K\x01M\x00\x0c\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R");
    bytes.extend(b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T\x00\x0c\x00\x00");
    bytes.extend([shade; 3072]);
    bytes.extend(b"tbu.");
    bytes
}

#[test]
fn cifar_is_read_from_python_batches_and_from_archives() {
    let place = Place::new();
    let binary = [vec![7], vec![9; 3072]].concat();
    place.write("binary/cifar-10-batches-bin/test_batch.bin", &binary);
    let python = python_batch("labels", 7, 9);
    place.write("python/cifar-10-batches-py/test_batch", &python);
    let fine = python_batch("fine_labels", 99, 9);
    place.write("hundred/cifar-100-python/test", &fine);
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(python.len() as u64);
    archive
        .append_data(
            &mut header,
            "cifar-10-batches-py/test_batch",
            python.as_slice(),
        )
        .unwrap();
    let packed = gzip(&archive.into_inner().unwrap());
    place.write("packed/cifar-10-python.tar.gz", packed);
    let checksum = |dataset: &str, folder: &str| {
        let info = records_of_data(&place, dataset, folder);
        assert_eq!(info["test"]["images"], 1, "{folder}: {info}");
        info["test"]["checksum"].as_str().unwrap().to_owned()
    };
    let wanted = checksum("cifar10", "binary");
    assert_eq!(checksum("cifar10", "python"), wanted);
    assert_eq!(checksum("cifar10", "packed"), wanted);
    let info = records_of_data(&place, "cifar100", "hundred");
    assert_eq!(info["test"]["class_counts"][99], 1);
}

/// What `data info` says of one data set.
fn records_of_data(place: &Place, dataset: &str, folder: &str) -> serde_json::Value {
    records(place, &["data", "info", dataset, "--data-dir", folder])[0].clone()
}

/// A PNG image of 8x8 pixels of one shade.
fn png(shade: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 8, 8);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&[shade; 64]).unwrap();
    writer.finish().unwrap();
    bytes
}

#[test]
fn class_folders_may_be_nested_and_halves_may_have_any_usual_name() {
    use wcat_explore::data::{load, DatasetName, DatasetSpec, Split};
    let spec = DatasetSpec::of(DatasetName::Folder).for_input([3, 8, 8]);
    for half in ["test", "val", "Val", "valid", "validation", "VALIDATION"] {
        let place = Place::new();
        place.write("set/Train/a/images/x.png", png(1));
        place.write("set/Train/b/images/x.png", png(2));
        place.write("set/Train/b/images/b_boxes.txt", "x.png");
        place.write(&format!("set/{half}/b/images/y.png"), png(3));
        let training = load(&spec, Split::Training, &place.path("set")).unwrap();
        assert_eq!(training.labels, [0, 1]);
        let test = load(&spec, Split::Test, &place.path("set")).unwrap();
        assert_eq!(
            (test.labels.as_slice(), test.image(0)[0]),
            (&[1][..], 3),
            "{half}"
        );
    }
    // Tiny ImageNet as it is published: test images without classes, validation images with a list of theirs
    let place = Place::new();
    place.write("set/train/a/images/x.png", png(1));
    place.write("set/train/b/images/x.png", png(2));
    place.write("set/test/images/t.png", png(9));
    place.write("set/val/images/v_0.png", png(3));
    place.write("set/val/images/v_1.png", png(4));
    place.write(
        "set/val/val_annotations.txt",
        "v_0.png\tb\t0\t0\t7\t7\nv_1.png\ta\t0\t0\t7\t7\n",
    );
    let test = load(&spec, Split::Test, &place.path("set")).unwrap();
    assert_eq!(test.labels, [1, 0]);
    assert!(
        test.remarks[0].contains("test has no class folders"),
        "{:?}",
        test.remarks
    );
}
