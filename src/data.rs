//! Data sets: which ones there are, their images in memory, batches and splits; training and network shapes are for others.

mod batch;
mod cifar;
pub mod fetch;
mod folder;
mod glyphs;
mod images;
mod info;
mod mnist;
mod normalization;
mod picture;
mod resample;
mod spec;
mod split;

pub use batch::Augment;
pub use images::ImageSet;
pub use info::{info, DataFile, DataInfo, SplitInfo};
pub use mnist::load_mnist_files;
pub use normalization::Normalization;
pub use spec::{Augmentation, DatasetName, DatasetSpec, FolderSpec, GlyphSpec};
pub use split::{epoch_order, validation_split};

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The most images that any file or setting may ask for; above it a file is taken to be damaged.
pub const MAX_IMAGES: u64 = 1_000_000;

/// Half of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// Images to learn from, validation images among them.
    Training,
    /// Images that no training sees.
    Test,
}

impl Split {
    /// The word used in messages and files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Training => "training",
            Self::Test => "test",
        }
    }
}

/// Loads one half of a data set. `folder` is the data folder, which holds `mnist/` and
/// `cifar-10-batches-bin/` and `cifar-100-binary/`, or the folder of class folders itself for `folder`; the
/// built-in glyphs read no file.
///
/// # Errors
/// [`Error::Argument`] where the spec is wrong ([`DatasetSpec::check`]), [`Error::Missing`] where a
/// file is not there, [`Error::Input`] where one is damaged.
pub fn load(spec: &DatasetSpec, split: Split, folder: &Path) -> Result<ImageSet> {
    spec.check()?;
    match spec.name {
        DatasetName::Glyphs => Ok(glyphs::render(&spec.glyph_spec(), split)),
        DatasetName::Mnist => mnist::load(split, folder),
        DatasetName::Cifar10 | DatasetName::Cifar100 => cifar::load(spec.name, split, folder),
        DatasetName::Folder => folder::load(&spec.folder_spec(), split, folder),
    }
}

/// Loads a single binary file of CIFAR-10 or CIFAR-100 (`--data-file`): records of 1 label (after the superclass, for
/// CIFAR-100) and 3072 pixel bytes.
/// `name` is the data set that the file is said to hold.
///
/// # Errors
/// [`Error::Argument`] for any other data set, which has no single-file form; else as [`load`].
pub fn load_cifar_file(path: &Path, name: DatasetName) -> Result<ImageSet> {
    match name {
        DatasetName::Cifar10 | DatasetName::Cifar100 => cifar::load_files(name, &[path.to_owned()]),
        _ => Err(Error::argument(
            "data file",
            "the data set `cifar10` or `cifar100`: only their images come as one file",
            format!("`{name}`"),
        )),
    }
}

/// Where CIFAR-100 is published; its checksums are not known here, so `data fetch` does not take it.
const CIFAR_100: &str = "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz";

/// The error for a data file that is not there: how to get it.
fn missing(path: &Path, name: DatasetName) -> Error {
    Error::Missing {
        path: path.to_owned(),
        expected: how_to_get(name),
    }
}

/// What a file of a data set is, and where it can be had.
fn how_to_get(name: DatasetName) -> String {
    if name == DatasetName::Cifar100 {
        return format!(
            "a file of CIFAR-100: unpack {CIFAR_100} into the data folder, or name the folder that holds {} with \
             --data-dir",
            cifar::FOLDER_100
        );
    }
    format!(
        "a file of {}: get it with `wcat-explore data fetch {name}`, or name its folder with --data-dir",
        name.title()
    )
}

#[cfg(test)]
mod tests;
