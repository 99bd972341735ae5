//! Reading and writing files with the path in every error, whole or not at all; folders and their lock.

mod foreign_table;
pub mod line;
mod lock;
mod npy;

pub use foreign_table::{
    decode_text, excerpt, word, ForeignRow, ForeignTable, Number, Size, VoltageColumn,
};
pub use line::line_of_key;
pub use lock::Lock;
pub use npy::{
    is_npy, is_npz, parse_npy, parse_npy_element, parse_npz, read_npy, write_npy, ByteArray,
    Element, NamedArray,
};

use crate::error::{Error, IoContext, Result};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Prefix of temporary names; what carries it after a crash is rubbish.
const PARTIAL: &str = ".partial-";

/// Reads a text file of at most `limit` bytes. `expected` says what the file should be.
///
/// # Errors
/// [`Error::Missing`] where there is no such file, [`Error::Input`] where it is too large or not
/// UTF-8, [`Error::Io`] where it cannot be read.
pub fn read_text(path: &Path, expected: &str, limit: u64) -> Result<String> {
    String::from_utf8(read_bytes(path, expected, limit)?)
        .map_err(|_| Error::input(path, format!("{expected} as UTF-8 text"), "other bytes"))
}

/// Reads a file of at most `limit` bytes.
///
/// # Errors
/// As [`read_text`].
pub fn read_bytes(path: &Path, expected: &str, limit: u64) -> Result<Vec<u8>> {
    let file = open(path, expected)?;
    let size = file.metadata().at("inspect", path)?.len();
    if size > limit {
        return Err(Error::input(
            path,
            format!("{expected} of at most {limit} bytes"),
            format!("{size} bytes"),
        ));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(limit + 1)
        .read_to_end(&mut bytes)
        .at("read", path)?;
    Ok(bytes)
}

/// Opens a file for reading.
///
/// # Errors
/// [`Error::Missing`] where there is no such file or it is a folder, [`Error::Io`] where it cannot be opened.
pub fn open(path: &Path, expected: &str) -> Result<File> {
    if path.is_dir() {
        return Err(Error::input(path, expected, "a folder"));
    }
    match File::open(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Error::Missing {
            path: path.to_owned(),
            expected: expected.to_owned(),
        }),
        other => other.at("open", path),
    }
}

/// Writes a file whole or not at all: a temporary name in the same folder, flushed to the disk,
/// then renamed.
///
/// # Errors
/// [`Error::Io`] with the final path; the final name is untouched then.
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let folder = folder_of(path);
    create_folder(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(PARTIAL)
        .tempfile_in(folder)
        .at("create a file beside", path)?;
    let mut buffer = std::io::BufWriter::new(file.as_file_mut());
    fill(&mut buffer)
        .and_then(|()| buffer.flush())
        .at("write", path)?;
    drop(buffer);
    file.as_file().sync_all().at("flush", path)?;
    make_readable(file.as_file()).at("set the rights of", path)?;
    file.persist(path)
        .map(|_| ())
        .map_err(|e| e.error)
        .at("rename to", path)
}

/// Temporary files are made for their owner alone; results are for everybody the umask allows.
#[cfg(unix)]
fn make_readable(file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    file.set_permissions(fs::Permissions::from_mode(0o644))
}

#[cfg(not(unix))]
fn make_readable(_: &File) -> std::io::Result<()> {
    Ok(())
}

/// Writes bytes whole or not at all, see [`write_whole`].
///
/// # Errors
/// As [`write_whole`].
pub fn write_bytes(path: &Path, bytes: &[u8]) -> Result<()> {
    write_whole(path, |file| file.write_all(bytes))
}

/// Creates a folder and those above it.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn create_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at("create the folder", path)
}

/// Removes temporary files that a killed process left in a folder. Call it under the folder's lock only.
///
/// # Errors
/// [`Error::Io`] where the folder cannot be read.
pub fn remove_partial_files(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).at("list", folder)? {
        let entry = entry.at("list", folder)?;
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            fs::remove_file(entry.path()).at("remove", &entry.path())?;
        }
    }
    Ok(())
}

/// Opens a file to add at its end, for what arrives in pieces (a download, a journal). The name must
/// say that the content is unfinished, or the content must be checksummed piece by piece.
///
/// # Errors
/// [`Error::Io`] with the path.
pub fn open_to_append(path: &Path) -> Result<File> {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .at("open", path)
}

/// Gives a finished file its final name.
///
/// # Errors
/// [`Error::Io`] with the final path.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).at("rename to", to)
}

/// Removes a file if it is there.
///
/// # Errors
/// [`Error::Io`] where it is there and cannot be removed.
pub fn remove_file(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        other => other.at("remove", path),
    }
}

/// The folder that holds a path; `.` for a bare name.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// The user's cache folder of this program: `$XDG_CACHE_HOME/wcat-explore`, else `~/.cache/wcat-explore`.
///
/// # Errors
/// [`Error::Argument`] where neither variable is set.
pub fn cache_folder() -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|cache| cache.join("wcat-explore"))
        .ok_or_else(|| {
            Error::argument(
                "cache folder",
                "the variable XDG_CACHE_HOME or HOME",
                "neither",
            )
        })
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of a file, read in pieces.
///
/// # Errors
/// As [`open`].
pub fn sha256_of_file(path: &Path) -> Result<String> {
    let mut file = open(path, "a file to checksum")?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 1 << 16];
    loop {
        let n = file.read(&mut piece).at("read", path)?;
        if n == 0 {
            return Ok(hex(&hash.finalize()));
        }
        hash.update(&piece[..n]);
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_write_that_fails_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.txt");
        write_bytes(&path, b"old").unwrap();
        let failed = write_whole(&path, |file| {
            file.write_all(b"half of the n")?;
            Err(std::io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("a.txt"));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn missing_files_say_what_was_expected() {
        let error = read_text(Path::new("no/such.yaml"), "a memory model", 10).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no/such.yaml: not found (expected a memory model)"
        );
    }

    #[test]
    fn files_over_the_limit_are_refused_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("big");
        write_bytes(&path, &[0; 100]).unwrap();
        assert!(read_bytes(&path, "something small", 99)
            .unwrap_err()
            .is_wrong_input());
        assert_eq!(
            read_bytes(&path, "something small", 100).unwrap().len(),
            100
        );
    }

    #[test]
    fn checksum_of_abc() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(b"abc"), abc);
    }

    #[test]
    fn only_partial_files_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".partial-x", "keep"] {
            write_bytes(&folder.path().join(name), b"").unwrap();
        }
        remove_partial_files(folder.path()).unwrap();
        assert!(folder.path().join("keep").exists());
        assert!(!folder.path().join(".partial-x").exists());
    }
}
