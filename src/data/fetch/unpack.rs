//! The files of a `.tar.gz` archive: only those expected, each of its exact size and checksum.

use super::{Content, RemoteFile};
use crate::error::{Error, IoContext, Result};
use crate::store;
use flate2::read::GzDecoder;
use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::path::Path;
use tar::{Archive, Entry};

/// Entries that an archive may hold besides, which are left where they are.
const ASIDE: [&str; 2] = ["batches.meta.txt", "readme.html"];
/// Most bytes of such an entry, and of all the archive's own bookkeeping.
const ASIDE_BYTES: u64 = 1 << 20;

/// Unpacks the contents of `archive` into `folder`. Each of its entries lies below a folder named `root`.
///
/// # Errors
/// [`Error::Input`] where an entry is not expected, twice there, missing, no plain file, or of another size or
/// checksum. [`Error::Io`] where a file cannot be written.
pub(super) fn unpack(file: &RemoteFile, root: &str, archive: &Path, folder: &Path) -> Result<()> {
    // each with its header and padding, and what lies aside
    let contents = file.contents.iter().map(|content| content.bytes + 1024);
    let most = contents.sum::<u64>() + 4 * ASIDE_BYTES;
    let packed = BufReader::new(store::open(archive, "an archive")?);
    let mut tar = Archive::new(GzDecoder::new(packed).take(most));
    let mut done = BTreeSet::new();
    let damaged = |e: std::io::Error| {
        Error::input(archive, "a .tar.gz archive", format!("a damaged one ({e})"))
    };
    for entry in tar.entries().map_err(damaged)? {
        let mut entry = entry.map_err(damaged)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let unexpected = |found: &str| {
            let expected = "only the files of the data set";
            Err(Error::input(archive, expected, found))
        };
        if entry.header().entry_type().is_dir() && path.trim_end_matches('/') == root {
            continue;
        }
        let name = path
            .strip_prefix(root)
            .and_then(|rest| rest.strip_prefix('/'))
            .unwrap_or_default();
        if !entry.header().entry_type().is_file() {
            return unexpected(&format!("`{path}`, which is no plain file"));
        }
        if ASIDE.contains(&name) && entry.size() <= ASIDE_BYTES {
            continue;
        }
        match file.contents.iter().find(|content| content.name == name) {
            Some(content) if done.insert(name.to_owned()) => {
                write(&mut entry, content, archive, folder)?
            }
            Some(_) => return unexpected(&format!("`{path}` twice")),
            None => return unexpected(&format!("`{path}`")),
        }
    }
    let mut contents = file.contents.iter();
    match contents.find(|content| !done.contains(&content.name)) {
        Some(content) => {
            let expected = format!("`{root}/{}`", content.name);
            Err(Error::input(archive, expected, "an archive without it"))
        }
        None => Ok(()),
    }
}

fn write(
    entry: &mut Entry<'_, impl Read>,
    content: &Content,
    archive: &Path,
    folder: &Path,
) -> Result<()> {
    let wrong = |expected: String, found: String| {
        let key = Some(content.name.as_str());
        Err(Error::input_at(archive, None, key, expected, found))
    };
    let (size, bytes) = (entry.size(), content.bytes);
    if size != bytes {
        return wrong(format!("{bytes} bytes"), format!("{size} bytes"));
    }
    let path = folder.join(&content.name);
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).at("unpack", &path)?;
    let found = store::sha256(&bytes);
    if found != content.sha256 {
        return wrong(format!("SHA-256 {}", content.sha256), found);
    }
    store::write_bytes(&path, &bytes)
}
