//! Reading and writing files with the path in every error, whole or not at all; folders and their lock.

mod checksums;
mod entered;
mod foreign_table;
mod lock;
mod npy;
mod partial;

pub use checksums::{check_beside, Checksums, CHECKSUMS};
pub use entered::Entered;
pub use foreign_table::{
    decode_text, excerpt, word, ForeignRow, ForeignTable, Number, Size, VoltageColumn, Words,
};
pub use lock::{check_lock, no_locks, Lock};
pub use npy::{
    is_npy, is_npz, npy_start, parse_npy, parse_npy_element, parse_npz, read_npz_numbers,
    write_npy, ByteArray, Element, NamedArray, NumberArray, NumberType, Numbers,
};
pub use partial::{abandon_writes, remove_partial_files};

use crate::error::{Error, IoContext, Result};
use partial::Partial;
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

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
        let expected = format!("{expected} of at most {limit} bytes");
        return Err(Error::input(path, expected, format!("{size} bytes")));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    // a file may grow while it is read, and what is no plain file has no size
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
/// then renamed. Its rights are those that the umask leaves.
///
/// # Errors
/// [`Error::Io`] with the final path, which is untouched then; as [`check_lock`].
pub fn write_whole(
    path: &Path,
    fill: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let folder = folder_of(path);
    // a folder that is locked and gone is not made again
    check_lock(folder)?;
    create_folder(folder)?;
    let mut partial = Partial::create(folder).at("create a file beside", path)?;
    let mut buffer = std::io::BufWriter::new(partial.file());
    fill(&mut buffer)
        .and_then(|()| buffer.flush())
        .at("write", path)?;
    drop(buffer);
    partial.file().sync_all().at("flush", path)?;
    partial.rename(path).at("rename to", path)?;
    flush_folder(folder)
}

/// Flushes a folder to the disk: the names in it, which the flush of a file leaves out.
///
/// # Errors
/// [`Error::Io`] with the path.
#[cfg(unix)]
pub fn flush_folder(folder: &Path) -> Result<()> {
    use std::io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        // some file systems cannot, and need not; a folder may be for writing only
        Err(e) if [InvalidInput, PermissionDenied, Unsupported].contains(&e.kind()) => Ok(()),
        other => other.at("flush", folder),
    }
}

/// Elsewhere folders are not flushed by hand.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn flush_folder(_: &Path) -> Result<()> {
    Ok(())
}

/// True where a path still leads to an open file or folder.
#[cfg(unix)]
pub fn leads_to(path: &Path, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (fs::metadata(path), file.metadata()) {
        (Ok(there), Ok(own)) => (there.dev(), there.ino()) == (own.dev(), own.ino()),
        _ => false,
    }
}

/// True where there is something at the path: elsewhere files have no number to compare.
#[cfg(not(unix))]
pub fn leads_to(path: &Path, _: &File) -> bool {
    path.exists()
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
/// [`Error::Input`] where a file stands in its place, [`Error::Io`] with the path.
pub fn create_folder(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if path.exists() {
        return Err(Error::input(path, "a folder, or nothing yet", "a file"));
    }
    fs::create_dir_all(path).at("create the folder", path)?;
    flush_folder(folder_of(path))
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
    fs::rename(from, to).at("rename to", to)?;
    flush_folder(folder_of(to))
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

/// The name of a file without its folder, for texts.
pub fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
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
            let expected = "the variable XDG_CACHE_HOME or HOME";
            Error::argument("cache folder", expected, "neither")
        })
}

/// SHA-256 in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of parts in a row.
pub fn sha256_of_parts(parts: &[&[u8]]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hex(&hash.finalize())
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

    #[cfg(unix)]
    #[test]
    fn files_have_the_rights_that_the_umask_leaves() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        write_bytes(&path, b"a").unwrap();
        let plain = folder.path().join("b");
        open_to_append(&plain).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }
}
