//! Data sets: which ones there are, their images in memory, batches and splits; training and network shapes are for others.

mod batch;
mod cifar;
mod class_folders;
pub mod fetch;
mod file;
mod folder;
mod glyphs;
mod idx;
mod images;
mod info;
mod jpeg;
mod normalization;
mod packed;
mod picture;
mod places;
mod python_batch;
mod resample;
mod spec;
mod split;

pub use batch::Augment;
pub use folder::fingerprint;
pub use idx::load_mnist_files;
pub use images::{ImageSet, Pixels};
pub use info::{info, DataFile, DataInfo, SplitInfo};
pub use normalization::Normalization;
pub use packed::{read_packed, write_packed};
pub use spec::{Augmentation, DatasetName, DatasetSpec, FileSpec, FolderSpec, GlyphSpec};
pub use split::{epoch_order, validation_split};

use crate::error::{refuse, Result};
use crate::table::words;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The most images that any file or setting may ask for; above it a file is taken to be damaged.
pub const MAX_IMAGES: u64 = 1_000_000;

/// Half of a data set.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Images to learn from, validation images among them.
    #[default]
    Training,
    /// Images that no training sees.
    Test,
}

words!(Split: Training "training", Test "test");

/// Loads one half of a data set. `folder` is the data folder, which holds `mnist/`, `cifar-10-batches-bin/` or another
/// of the usual forms, or the folder of class folders itself for `folder`, or that in which relative paths of `file`
/// start; the built-in glyphs read no file.
///
/// # Errors
/// [`crate::error::Error::Argument`] where the spec is wrong ([`DatasetSpec::check`]), [`crate::error::Error::Missing`] where a
/// file is not there, [`crate::error::Error::Input`] where one is damaged.
pub fn load(spec: &DatasetSpec, split: Split, folder: &Path) -> Result<ImageSet> {
    spec.check()?;
    match spec.name {
        DatasetName::Glyphs => Ok(glyphs::render(&spec.glyph_spec(), split)),
        DatasetName::Cifar10 | DatasetName::Cifar100 => cifar::load(spec.name, split, folder),
        DatasetName::Folder => folder::load(&spec.folder_spec(), split, folder),
        DatasetName::File => file::load(&spec.file_spec(), split, folder),
        name => idx::load(name, split, folder),
    }
}

/// Loads a single binary file of CIFAR-10 or CIFAR-100 (`--data-file`): records of 1 label (after the superclass, for
/// CIFAR-100) and 3072 pixel bytes; or a Python batch of the same.
/// `name` is the data set that the file is said to hold.
///
/// # Errors
/// [`crate::error::Error::Argument`] for any other data set, which has no single-file form; else as [`load`].
pub fn load_cifar_file(path: &Path, name: DatasetName) -> Result<ImageSet> {
    match name {
        DatasetName::Cifar10 | DatasetName::Cifar100 => cifar::load_file(name, path),
        _ => refuse(
            "data file",
            "the data set `cifar10` or `cifar100`: only their images come as one file",
            format!("`{name}`"),
        ),
    }
}

/// Where CIFAR-100 is published; its checksums are not known here, so `data fetch` does not take it.
const CIFAR_100: &str = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz";

/// What a file of a data set is, and where it can be had.
fn how_to_get(name: DatasetName) -> String {
    let title = name.title();
    match name {
        DatasetName::Mnist | DatasetName::Cifar10 => format!(
            "a file of {title}: get it with `wcat-explore data fetch {name}`, or name its folder with --data-dir"
        ),
        DatasetName::Cifar100 => format!(
            "a file of {title}: put {CIFAR_100} into the data folder, or name the folder that holds {} with --data-dir",
            cifar::FOLDER_100
        ),
        _ => format!(
            "a file of {title}: put its IDX files into the data folder, or name their folder with --data-dir"
        ),
    }
}

#[cfg(test)]
mod tests;
