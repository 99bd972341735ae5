//! Where the files of a data set may lie: folders and archives not yet unpacked; what is in them is for the formats.

use super::DatasetName;
use crate::error::{Error, IoContext, Result};
use crate::store;
use flate2::bufread::MultiGzDecoder;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};
use tar::Archive;
use zip::ZipArchive;

/// Most bytes that an archive may unpack to, 1 GiB: those of the published sets hold at most 0.6.
const MOST_UNPACKED: u64 = 1 << 30;
/// Most entries of an archive.
const MOST_ENTRIES: usize = 10_000;
/// First bytes of a gzip file and of a zip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];
const ZIP: [u8; 4] = *b"PK\x03\x04";

/// A file of a data set: the names it may have, the usual one first; each may end in `.gz` too.
pub(super) type Names = Vec<String>;

/// Takes a file that was found: its number among those wanted, its path for messages, its content unpacked.
pub(super) type Taker<'a> = &'a mut dyn FnMut(usize, &Path, &mut dyn Read) -> Result<()>;

/// A data set's places in a data folder, in the order in which they are looked at.
pub(super) struct Places {
    pub(super) name: DatasetName,
    /// The data folder.
    pub(super) root: PathBuf,
    /// Its subfolders; an empty name is the data folder itself.
    pub(super) folders: &'static [&'static str],
    /// Archives in those and in the data folder.
    pub(super) archives: &'static [&'static str],
}

impl Places {
    /// Reads files from the first place that has any of them; gives where each was found.
    ///
    /// # Errors
    /// [`Error::Missing`] that lists the places where no file was found, or names the one that is not beside the
    /// others; [`Error::Input`] for a damaged file; whatever `take` returns.
    pub(super) fn read(&self, wanted: &[Names], take: Taker<'_>) -> Result<Vec<PathBuf>> {
        for folder in self.folders {
            let folder = self.root.join(folder);
            let found = in_folder(&folder, wanted);
            if found.iter().all(Option::is_none) {
                continue;
            }
            let found = self.all(&folder, wanted, found)?;
            for (number, path) in found.iter().enumerate() {
                take(number, path, &mut open(path, &self.how_to_get())?)?;
            }
            return Ok(found);
        }
        for path in self.archives_there() {
            let found = in_archive(&path, wanted, take)?;
            if found.iter().any(Option::is_some) {
                return self.all(&path, wanted, found);
            }
        }
        Err(self.missing(wanted))
    }

    /// Files on the disk that hold what is wanted: an archive, or the files themselves so far as they are there.
    pub(super) fn files(&self, wanted: &[Names]) -> Vec<PathBuf> {
        for folder in self.folders {
            let found = in_folder(&self.root.join(folder), wanted);
            if found.iter().any(Option::is_some) {
                return found.into_iter().flatten().collect();
            }
        }
        self.archives_there().take(1).collect()
    }

    fn archives_there(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let all = self.folders.iter().flat_map(move |folder| {
            self.archives
                .iter()
                .map(move |name| self.root.join(folder).join(name))
        });
        all.filter(|path| path.is_file())
    }

    fn all(
        &self,
        place: &Path,
        wanted: &[Names],
        found: Vec<Option<PathBuf>>,
    ) -> Result<Vec<PathBuf>> {
        let named = found.into_iter().zip(wanted);
        named
            .map(|(found, names)| {
                found.ok_or_else(|| Error::Missing {
                    path: place.join(&names[0]),
                    expected: self.how_to_get(),
                })
            })
            .collect()
    }

    fn missing(&self, wanted: &[Names]) -> Error {
        let folders: Vec<&str> = self
            .folders
            .iter()
            .map(|folder| {
                if folder.is_empty() {
                    "the folder itself"
                } else {
                    folder
                }
            })
            .collect();
        let names = wanted
            .first()
            .map(|names| names.join(", "))
            .unwrap_or_default();
        Error::Missing {
            path: self.root.join(self.folders[0]).join(&wanted[0][0]),
            expected: format!(
                "{}; looked in {} below {} for {names}, plain or gzip, and for {}",
                self.how_to_get(),
                folders.join(", "),
                self.root.display(),
                self.archives.join(", ")
            ),
        }
    }

    /// What a file of the data set is, and where it can be had.
    pub(super) fn how_to_get(&self) -> String {
        super::how_to_get(self.name)
    }
}

/// Where each of the files is in a folder.
fn in_folder(folder: &Path, wanted: &[Names]) -> Vec<Option<PathBuf>> {
    let find = |names: &Names| {
        let mut all = names
            .iter()
            .flat_map(|name| [name.clone(), format!("{name}.gz")]);
        all.find(|name| folder.join(name).is_file())
            .map(|name| folder.join(name))
    };
    wanted.iter().map(find).collect()
}

/// Opens a file and unpacks it where its first bytes say that it is gzip, of one or several members.
pub(super) fn open(path: &Path, expected: &str) -> Result<Box<dyn Read>> {
    let file = BufReader::with_capacity(1 << 18, store::open(path, expected)?);
    unpacked(file).at("read", path)
}

/// Content as it is, or unpacked where it is gzip.
fn unpacked<'a>(mut content: impl BufRead + 'a) -> std::io::Result<Box<dyn Read + 'a>> {
    Ok(if content.fill_buf()?.starts_with(&GZIP) {
        Box::new(MultiGzDecoder::new(content))
    } else {
        Box::new(content)
    })
}

fn wanted_number(wanted: &[Names], entry: &Path) -> Option<usize> {
    let name = entry.file_name().and_then(OsStr::to_str)?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    wanted
        .iter()
        .position(|names| names.iter().any(|wanted| wanted == name))
}

/// Reads what is wanted of an archive, told by its first bytes: zip, or tar, plain or gzip.
fn in_archive(path: &Path, wanted: &[Names], take: Taker<'_>) -> Result<Vec<Option<PathBuf>>> {
    let mut file = BufReader::with_capacity(1 << 18, store::open(path, "an archive")?);
    if file.fill_buf().at("read", path)?.starts_with(&ZIP) {
        return in_zip(path, file, wanted, take);
    }
    let mut found = vec![None; wanted.len()];
    let whole = unpacked(file).at("read", path)?.take(MOST_UNPACKED);
    let mut archive = Archive::new(whole);
    let expected = "a .tar or .tar.gz archive";
    let entries = explain(path, archive.entries(), expected)?;
    for (number, entry) in entries.enumerate() {
        if number == MOST_ENTRIES {
            let expected = format!("at most {MOST_ENTRIES} files in an archive");
            return Err(Error::input(path, expected, "more"));
        }
        let entry = explain(path, entry, expected)?;
        let within = explain(path, entry.path(), expected)?.into_owned();
        let number = wanted_number(wanted, &within).filter(|number| found[*number].is_none());
        let (Some(number), true) = (number, entry.header().entry_type().is_file()) else {
            continue;
        };
        let mut content = unpacked(BufReader::new(entry)).at("read", path)?;
        take(number, &path.join(&within), &mut content)?;
        found[number] = Some(path.to_owned());
    }
    Ok(found)
}

fn in_zip(
    path: &Path,
    file: BufReader<File>,
    wanted: &[Names],
    take: Taker<'_>,
) -> Result<Vec<Option<PathBuf>>> {
    let damaged = |error: zip::result::ZipError| {
        Error::input(path, "a whole .zip archive", error.to_string())
    };
    let mut archive = ZipArchive::new(file).map_err(damaged)?;
    let mut found = vec![None; wanted.len()];
    for index in 0..archive.len().min(MOST_ENTRIES) {
        let entry = archive.by_index(index).map_err(damaged)?;
        let within = PathBuf::from(entry.name());
        let number = wanted_number(wanted, &within).filter(|number| found[*number].is_none());
        let (Some(number), true) = (number, entry.is_file()) else {
            continue;
        };
        let content = BufReader::new(entry.take(MOST_UNPACKED));
        let mut content = unpacked(content).at("read", path)?;
        take(number, &path.join(&within), &mut content)?;
        found[number] = Some(path.to_owned());
    }
    Ok(found)
}

/// A damaged or short file is the file's fault; the rest is the system's.
pub(super) fn explain<T>(path: &Path, read: std::io::Result<T>, expected: &str) -> Result<T> {
    match read {
        Err(e) if e.raw_os_error().is_none() && e.kind() != ErrorKind::OutOfMemory => Err(
            Error::input(path, expected, format!("a damaged or truncated file ({e})")),
        ),
        other => other.at("read", path),
    }
}

/// Content whose size is said before it.
pub(super) enum Sized {
    /// As much as was said.
    Whole(Vec<u8>),
    /// Less.
    EndAfter(usize),
    More,
}

/// Reads content that is said to be of this size, into memory of no more than that. Until a 64th has arrived memory
/// grows with it: a size may lie.
///
/// # Errors
/// [`Error::Input`] for a damaged file; [`Error::Io`] where there is not so much memory.
pub(super) fn sized(path: &Path, content: &mut dyn Read, size: usize) -> Result<Sized> {
    let mut bytes = Vec::new();
    let mut read = |most: usize, bytes: &mut Vec<u8>| {
        let taken = (&mut *content).take(most as u64).read_to_end(bytes);
        explain(path, taken, "whole data")
    };
    let start = size / 64;
    let mut arrived = read(start, &mut bytes)?;
    if arrived == start {
        let room = bytes.try_reserve_exact(size - arrived);
        explain(
            path,
            room.map_err(|_| ErrorKind::OutOfMemory.into()),
            "memory",
        )?;
        arrived += read(size - arrived, &mut bytes)?;
    }
    if arrived < size {
        return Ok(Sized::EndAfter(arrived));
    }
    Ok(match read(1, &mut Vec::new())? {
        0 => Sized::Whole(bytes),
        _ => Sized::More,
    })
}

/// The whole content, at most `most` bytes. Memory grows with what arrives.
///
/// # Errors
/// [`Error::Input`] for a damaged file or one that holds more.
pub(super) fn whole(path: &Path, content: &mut dyn Read, most: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = content.take(most + 1).read_to_end(&mut bytes);
    explain(path, read, "whole data")?;
    if bytes.len() as u64 > most {
        let expected = format!("at most {most} bytes");
        return Err(Error::input(path, expected, "more"));
    }
    Ok(bytes)
}
