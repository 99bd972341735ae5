//! What is known of a data set and what of it is in the data folder; printing is for the program.

use super::{cifar, fetch, idx, load, DatasetName, DatasetSpec, ImageSet, Split};
use crate::error::{refuse, Error, IoContext, Result};
use crate::store;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A data set as it is in the data folder.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataInfo {
    /// Which data set.
    pub name: DatasetName,
    /// Its name for tables; says where the images are a lossy copy.
    pub title: String,
    /// True where both halves are there; the glyphs always are.
    pub present: bool,
    /// The folder where its files are looked for; `None` for the glyphs.
    pub folder: Option<PathBuf>,
    /// Its files that are there.
    pub files: Vec<DataFile>,
    /// Number of classes.
    pub classes: usize,
    /// Channels, rows and columns of an image.
    pub shape: [usize; 3],
    /// The training images; `None` where they are not there.
    pub training: Option<SplitInfo>,
    /// The test images; `None` where they are not there.
    pub test: Option<SplitInfo>,
}

/// One half of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SplitInfo {
    /// Number of images.
    pub images: usize,
    /// Images of each class.
    pub class_counts: Vec<usize>,
    /// [`ImageSet::checksum`].
    pub checksum: String,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DataFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal.
    pub sha256: String,
    /// Whether its content is the published one.
    pub as_published: bool,
}

/// Looks a data set up in the data folder, reads what is there and checksums it.
///
/// # Errors
/// [`Error::Input`] where a file is there but damaged, [`Error::Io`] where it cannot be read. A file that is
/// not there is no error. [`Error::Argument`] for `folder` and `file`, whose images depend on their settings.
pub fn info(name: DatasetName, folder: &Path) -> Result<DataInfo> {
    let Some(classes) = name.classes() else {
        let expected =
            "a data set of known images: those of `folder` and `file` are the user's own";
        return refuse("dataset", expected, format!("`{name}`"));
    };
    let mut title = name.title().to_owned();
    let mut half = |split| match load(&DatasetSpec::of(name), split, folder) {
        Ok(set) => {
            title.clone_from(&set.title);
            Ok(Some(SplitInfo::of(&set)))
        }
        Err(Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    };
    let (training, test) = (half(Split::Training)?, half(Split::Test)?);
    let halves = [Split::Training, Split::Test];
    let (places, wanted) = match name {
        DatasetName::Glyphs | DatasetName::Folder | DatasetName::File => (None, vec![]),
        DatasetName::Cifar10 | DatasetName::Cifar100 => (
            Some(cifar::places(name, folder)),
            halves.map(|split| cifar::wanted(name, split)).to_vec(),
        ),
        _ => (
            Some(idx::places(name, folder)),
            halves
                .map(|split| idx::wanted(name, split).to_vec())
                .to_vec(),
        ),
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for path in places
        .iter()
        .flat_map(|places| wanted.iter().flat_map(|names| places.files(names)))
    {
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    // where they were found, else where they are looked for first
    let within = places.as_ref().map(|places| match paths.first() {
        Some(path) => store::folder_of(path).to_owned(),
        None => places.root.join(places.folders[0]),
    });
    let files = paths
        .iter()
        .map(|path| file(name, path))
        .collect::<Result<_>>()?;
    Ok(DataInfo {
        name,
        title,
        present: training.is_some() && test.is_some(),
        folder: within,
        files,
        classes,
        shape: [name.channels(), name.side(), name.side()],
        training,
        test,
    })
}

fn file(name: DatasetName, path: &Path) -> Result<DataFile> {
    // the published checksums of CIFAR-100 are not known here
    let source = fetch::FetchSource::built_in(name).ok();
    Ok(DataFile {
        path: path.to_owned(),
        bytes: path.metadata().at("inspect", path)?.len(),
        sha256: store::sha256_of_file(path)?,
        as_published: match source.as_ref().and_then(|source| source.content(path)) {
            Some(content) => fetch::holds(path, content)?,
            None => false,
        },
    })
}

impl SplitInfo {
    fn of(set: &ImageSet) -> Self {
        Self {
            images: set.len(),
            class_counts: set.class_counts(),
            checksum: set.checksum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glyphs_are_always_there() {
        let info = info(DatasetName::Glyphs, Path::new("/nowhere")).unwrap();
        assert!(info.present && info.folder.is_none() && info.files.is_empty());
        let (training, test) = (info.training.unwrap(), info.test.unwrap());
        assert_eq!((training.images, test.images), (12_000, 2_000));
        assert_eq!(test.class_counts, [200; 10]);
        assert_eq!(test.checksum.len(), 64);
    }

    #[test]
    fn missing_data_are_no_error_and_damaged_data_are() {
        let folder = tempfile::tempdir().unwrap();
        let absent = info(DatasetName::Cifar10, folder.path()).unwrap();
        assert!(!absent.present && absent.training.is_none() && absent.files.is_empty());
        assert_eq!(
            absent.folder.unwrap(),
            folder.path().join("cifar-10-batches-bin")
        );
        let path = folder.path().join("cifar-10-batches-bin/test_batch.bin");
        store::write_bytes(&path, &[7; 3073]).unwrap();
        let half = info(DatasetName::Cifar10, folder.path()).unwrap();
        assert!(!half.present && half.training.is_none());
        assert_eq!(half.test.unwrap().class_counts[7], 1);
        assert_eq!(
            (half.files[0].bytes, half.files[0].as_published),
            (3073, false)
        );
        store::write_bytes(&path, &[7; 3000]).unwrap();
        assert!(info(DatasetName::Cifar10, folder.path())
            .unwrap_err()
            .is_wrong_input());
    }
}
