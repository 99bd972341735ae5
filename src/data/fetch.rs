//! Downloads of data sets: resumable, checked by SHA-256, unpacked entry by entry; reading images is for the formats.

mod transfer;
mod unpack;

use super::places::open;
use super::{cifar, idx, DatasetName, Split};
use crate::error::{refuse, Error, IoContext, Result};
use crate::store::{self, Lock};
use sha2::{Digest, Sha256};
use std::io::Read;
use std::path::{Path, PathBuf};

/// What is told of a download while it runs. An error from the callback stops it; what has arrived is
/// kept for the next call.
pub type Progress<'a> = &'a mut dyn FnMut(FetchProgress) -> Result<()>;

/// A file on a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// `http://` or `https://`.
    pub url: String,
    /// Its name in the data folder.
    pub name: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Its size; more is never taken.
    pub bytes: u64,
    /// The files packed in it.
    pub contents: Vec<Content>,
}

/// A file of a data set, unpacked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    /// Its name in the data folder.
    pub name: String,
    /// SHA-256 in lower-case hexadecimal.
    pub sha256: String,
    /// Its exact size.
    pub bytes: u64,
}

/// Where a data set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchSource {
    /// Which data set.
    pub name: DatasetName,
    /// The folder inside the data folder that its files go to.
    pub folder: String,
    /// The files to download.
    pub files: Vec<RemoteFile>,
    /// True where the files are `.tar.gz` archives to be unpacked, whose entries lie below a folder
    /// named as `folder`; false where they are `.gz` files of one content each, kept as they are.
    pub unpack: bool,
}

/// What is being done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchStep {
    /// It is there already, with the right checksum.
    Present,
    /// It is arriving.
    Downloading,
    /// Its content is being unpacked.
    Unpacking,
    /// It is there, checked.
    Done,
}

/// How far a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchProgress {
    /// Name of the file.
    pub file: String,
    /// What is being done.
    pub step: FetchStep,
    /// Bytes that are there.
    pub received: u64,
    /// Bytes of the whole file.
    pub total: u64,
}

impl RemoteFile {
    fn progress(&self, step: FetchStep, received: u64) -> FetchProgress {
        FetchProgress {
            file: self.name.clone(),
            step,
            received,
            total: self.bytes,
        }
    }
}

impl FetchSource {
    /// The published source of a data set.
    ///
    /// # Errors
    /// [`Error::Argument`] for the others, with where they come from.
    pub fn built_in(name: DatasetName) -> Result<Self> {
        let found = match name {
            DatasetName::Mnist => return Ok(Self::mnist()),
            DatasetName::Cifar10 => return Ok(Self::cifar10()),
            DatasetName::Glyphs => "`glyphs`, which is built in".into(),
            DatasetName::Cifar100 => {
                let address = super::CIFAR_100;
                format!("`cifar100`: unpack {address} into the data folder")
            }
            DatasetName::Folder => "`folder`, which is the user's own".into(),
            other => format!("`{other}`: {}", super::how_to_get(other)),
        };
        refuse("data set to fetch", "`mnist` or `cifar10`", found)
    }

    /// Names, sizes and checksums of the files as Y. LeCun published them; the mirror is PyTorch's.
    fn mnist() -> Self {
        let base = "https://ossci-datasets.s3.amazonaws.com/mnist";
        let file = |(published, name): (&Published, &&str)| RemoteFile {
            url: format!("{base}/{name}.gz"),
            name: format!("{name}.gz"),
            sha256: published.packed.1.into(),
            bytes: published.packed.0,
            contents: vec![Content {
                name: (*name).into(),
                sha256: published.content.1.into(),
                bytes: published.content.0,
            }],
        };
        Self {
            name: DatasetName::Mnist,
            folder: idx::FOLDER.into(),
            files: MNIST
                .iter()
                .zip(idx::FILES.iter().flatten())
                .map(file)
                .collect(),
            unpack: false,
        }
    }

    /// A. Krizhevsky's archive.
    fn cifar10() -> Self {
        let name = "cifar-10-binary.tar.gz";
        let names = cifar::TRAINING.into_iter().chain([cifar::TEST]);
        let content = |(name, sha256): (&str, &str)| Content {
            name: name.into(),
            sha256: sha256.into(),
            bytes: 10_000 * cifar::RECORD as u64,
        };
        Self {
            name: DatasetName::Cifar10,
            folder: cifar::FOLDER.into(),
            files: vec![RemoteFile {
                url: format!("https://www.cs.toronto.edu/~kriz/{name}"),
                name: name.into(),
                sha256: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd".into(),
                bytes: 170_052_171,
                contents: names.zip(CIFAR10).map(content).collect(),
            }],
            unpack: true,
        }
    }

    /// The same files from another server: each at `<base>/<name>`.
    ///
    /// # Errors
    /// [`Error::Argument`] where `base` is not an `http` or `https` address.
    pub fn from_base(mut self, base: &str) -> Result<Self> {
        if !["http://", "https://"]
            .iter()
            .any(|scheme| base.len() > scheme.len() && base.starts_with(scheme))
        {
            let expected = "an address that starts with http:// or https://";
            return refuse("source address", expected, format!("`{base}`"));
        }
        for file in &mut self.files {
            file.url = format!("{}/{}", base.trim_end_matches('/'), file.name);
        }
        Ok(self)
    }

    /// The published content of a file name, with or without `.gz`.
    pub(super) fn content(&self, path: &Path) -> Option<&Content> {
        let name = path.file_name()?.to_str()?;
        let name = name.strip_suffix(".gz").unwrap_or(name);
        let name = name.replace(".idx", "-idx");
        self.files
            .iter()
            .flat_map(|file| &file.contents)
            .find(|content| content.name == name)
    }
}

/// Size and SHA-256 of a file as published (`.gz`) and of its content.
struct Published {
    packed: (u64, &'static str),
    content: (u64, &'static str),
}

/// The MNIST files: training images and labels, test images and labels.
const MNIST: [Published; 4] = [
    Published {
        packed: (
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        content: (
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
    },
    Published {
        packed: (
            28_881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        content: (
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    },
    Published {
        packed: (
            1_648_877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        content: (
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
    },
    Published {
        packed: (
            4_542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
        content: (
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    },
];

/// SHA-256 of the published images of one half of MNIST, unpacked.
pub(super) fn mnist_images(split: Split) -> &'static str {
    MNIST[2 * split as usize].content.1
}

/// SHA-256 of the published CIFAR-10 files: the five of the training set, then the test set.
const CIFAR10: [&str; 6] = [
    "cee916563c9f80d84e3cc88e17fdc0941787f1244f00a67874d45b261883ada5",
    "a591ca11fa1708a91ee40f54b3da4784ccd871ecf2137de63f51ada8b3fa57ed",
    "bbe8596564c0f86427f876058170b84dac6670ddf06d79402899d93ceea26f67",
    "014e562d6e23c72197cc727519169a60359f5eccd8945ad5a09d710285ff4e48",
    "755304fc0b379caeae8c14f0dac912fbc7d6cd469eb67a1029a08a39453a9add",
    "8e2eb146ae340b09e24670f29cabc6326dba54da8789dab6768acf480273f65b",
];

/// Brings a data set into the data folder. True where something was done, false where all was there already,
/// with the right content.
///
/// A file arrives under a name that ends in `.partial`, is continued where an earlier call broke off, and gets
/// its name once its checksum is right. Where a resumed file turns out wrong, it is fetched once more from the
/// start. An archive that already lies in the folder, with the right checksum, is unpacked without a download.
///
/// # Errors
/// [`Error::Io`] with the address where the server cannot be reached, refuses or breaks off;
/// [`Error::Input`] where size or checksum is wrong (what arrived is removed) or an archive holds what it
/// should not; [`Error::Locked`] where another process fetches the same; whatever `progress` returns.
pub fn fetch(source: &FetchSource, folder: &Path, progress: Progress<'_>) -> Result<bool> {
    let folder = folder.join(&source.folder);
    let wanted = absent(source, &folder)?;
    for file in source.files.iter().filter(|file| !wanted.contains(file)) {
        progress(file.progress(FetchStep::Present, file.bytes))?;
    }
    if wanted.is_empty() {
        return Ok(false);
    }
    store::create_folder(&folder)?;
    let _lock = Lock::take(&folder)?;
    // again, under the lock: another process may just have brought them
    for file in absent(source, &folder)? {
        let (path, partial) = (
            folder.join(&file.name),
            folder.join(format!("{}.partial", file.name)),
        );
        if !source.unpack {
            transfer::download(file, &partial, progress)?;
            store::rename(&partial, &path)?;
        } else if path.is_file() && store::sha256_of_file(&path)? == file.sha256 {
            progress(file.progress(FetchStep::Unpacking, file.bytes))?;
            unpack::unpack(file, &source.folder, &path, &folder)?;
        } else {
            transfer::download(file, &partial, progress)?;
            progress(file.progress(FetchStep::Unpacking, file.bytes))?;
            unpack::unpack(file, &source.folder, &partial, &folder)?;
            store::remove_file(&partial)?;
        }
        progress(file.progress(FetchStep::Done, file.bytes))?;
    }
    Ok(true)
}

/// The files whose contents are not all in the folder.
fn absent<'a>(source: &'a FetchSource, folder: &Path) -> Result<Vec<&'a RemoteFile>> {
    let mut absent = vec![];
    for file in &source.files {
        for content in &file.contents {
            if !is_there(content, folder, source.unpack)? {
                absent.push(file);
                break;
            }
        }
    }
    Ok(absent)
}

/// Whether a content is in the folder, as it is or as `.gz`.
///
/// # Errors
/// [`Error::Input`] where a file that a download does not replace, but a reader prefers, has another content.
fn is_there(content: &Content, folder: &Path, unpack: bool) -> Result<bool> {
    let plain = folder.join(&content.name);
    let gzip = folder.join(format!("{}.gz", content.name));
    if !plain.is_file() {
        return Ok(!unpack && gzip.is_file() && holds(&gzip, content)?);
    }
    let right = holds(&plain, content)?;
    if !right && !unpack {
        let expected = format!(
            "the published content (SHA-256 {}), or no such file",
            content.sha256
        );
        return Err(Error::input(&plain, expected, "another content"));
    }
    Ok(right)
}

/// Whether a file, unpacked where it is gzip, has that content.
pub(super) fn holds(path: &Path, content: &Content) -> Result<bool> {
    // one byte over the right size is enough to tell
    let mut unpacked = open(path, "a data file")?.take(content.bytes + 1);
    let (mut hash, mut piece) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match unpacked.read(&mut piece) {
            Ok(0) => break,
            Ok(read) => hash.update(&piece[..read]),
            Err(e) if e.raw_os_error().is_some() => return Err(e).at("read", path),
            // damaged
            Err(_) => return Ok(false),
        }
    }
    Ok(store::hex(&hash.finalize()) == content.sha256)
}

/// Size of a file, 0 where there is none.
fn size(path: &Path) -> Result<u64> {
    match path.metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(0),
        other => Ok(other.at("inspect", path)?.len()),
    }
}

/// A download that failed for a reason outside this program.
fn failed(url: &str, reason: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Io {
        action: "download",
        path: PathBuf::from(url),
        source: std::io::Error::other(reason),
    }
}

#[cfg(test)]
mod tests;
