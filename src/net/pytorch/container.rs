//! The two containers of `torch.save`, legacy stream and zip archive: finds the pickle and the bytes
//! of its storages; leaves what they mean to `state`.

use super::pickle::{describe, shorten, Kind, Node, Pickle, StorageRef};
use super::state;
use super::{wrong, StateDict, EXPECTED};
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use zip::result::ZipError;
use zip::ZipArchive;

/// First integer of a legacy stream, 0x1950a86a20f9469cfc6c, little-endian (`torch.serialization.MAGIC_NUMBER`).
pub(super) const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// Version of the legacy stream (`torch.serialization.PROTOCOL_VERSION`).
const PROTOCOL: i64 = 1001;

/// [`MAGIC`] in decimal digits, as protocols 0 and 1 write it.
const MAGIC_DIGITS: &str = "119547037146038801333356";

/// Most bytes that a file of `len` bytes may unpack to. Weights hardly compress, and PyTorch does
/// not compress at all; sixteen times is room for models of mostly zeros.
pub(super) fn room(len: usize) -> u64 {
    (len as u64).saturating_mul(16).saturating_add(1 << 20)
}

/// State dict of a checkpoint that lies in memory.
pub(super) fn read(bytes: &[u8]) -> Result<StateDict> {
    if bytes.starts_with(b"PK") {
        read_zip(bytes)
    } else {
        read_legacy(bytes)
    }
}

/// Where tensors find the bytes of their storages.
pub(super) enum Storages<'a> {
    /// Slices of the stream.
    Legacy(BTreeMap<&'a str, &'a [u8]>),
    /// Entries of the archive, unpacked once each.
    Zip(Box<Entries<'a>>),
}

impl Storages<'_> {
    /// All bytes of a whole storage, `elements · size` of them.
    pub(super) fn bytes(&mut self, storage: &StorageRef<'_>) -> Result<&[u8]> {
        let expected = byte_count(storage)?;
        let bytes: &[u8] = match self {
            Self::Legacy(slices) => slices.get(storage.key).copied().ok_or_else(|| {
                wrong(
                    format!("storage `{}`", shorten(storage.key)),
                    "no such storage",
                )
            })?,
            Self::Zip(entries) => entries.storage(storage.key, expected)?,
        };
        if bytes.len() as u64 == expected {
            Ok(bytes)
        } else {
            Err(size_error(storage.key, expected, bytes.len() as u64))
        }
    }
}

fn byte_count(storage: &StorageRef<'_>) -> Result<u64> {
    storage
        .elements
        .checked_mul(storage.kind.size())
        .ok_or_else(|| {
            wrong(
                "a storage that fits into the file",
                format!("{} elements", storage.elements),
            )
        })
}

fn size_error(key: &str, expected: u64, found: u64) -> Error {
    wrong(
        format!(
            "{expected} bytes in storage `{}` (is the file damaged?)",
            shorten(key)
        ),
        format!("{found} bytes"),
    )
}

// ---- legacy stream ----

/// Five pickles (magic number, protocol, system, object, storage keys), then for each key a u64
/// element count and the elements.
fn read_legacy(bytes: &[u8]) -> Result<StateDict> {
    let no_checkpoint = |found: &str| {
        wrong(
            format!(
                "{EXPECTED}: a zip archive, or a stream that begins with PyTorch's magic number"
            ),
            found,
        )
    };
    if bytes.is_empty() {
        return Err(no_checkpoint("an empty file"));
    }
    let magic =
        Pickle::read(bytes, 0).map_err(|_| no_checkpoint("a file that begins otherwise"))?;
    match magic.get(magic.top) {
        Node::Big(number) if *number == MAGIC => {}
        Node::Digits(MAGIC_DIGITS) => {}
        _ => return Err(no_checkpoint("a pickle that torch.save did not write")),
    }
    let protocol = Pickle::read(bytes, magic.end)?;
    if !matches!(protocol.get(protocol.top), Node::Int(PROTOCOL)) {
        return Err(wrong(
            format!("checkpoint protocol {PROTOCOL}"),
            describe(protocol.get(protocol.top)),
        ));
    }
    let system = Pickle::read(bytes, protocol.end)?;
    refuse_big_endian(&system)?;
    let object = Pickle::read(bytes, system.end)?;
    let keys = Pickle::read(bytes, object.end)?;
    let slices = legacy_storages(bytes, &object, &keys)?;
    state::collect(&object, &mut Storages::Legacy(slices), room(bytes.len()))
}

fn refuse_big_endian(system: &Pickle<'_>) -> Result<()> {
    let Node::Dict(entries) = system.get(system.top) else {
        return Err(wrong(
            "a dictionary on the system that wrote the checkpoint",
            describe(system.get(system.top)),
        ));
    };
    let big = entries.iter().any(|&(key, value)| {
        system.text(key) == Some("little_endian") && matches!(system.get(value), Node::Bool(false))
    });
    if big {
        return Err(wrong("little-endian numbers", "big-endian ones"));
    }
    Ok(())
}

fn legacy_storages<'a>(
    bytes: &'a [u8],
    object: &Pickle<'a>,
    keys: &Pickle<'a>,
) -> Result<BTreeMap<&'a str, &'a [u8]>> {
    let known = declared(object)?;
    let list = keys
        .items(keys.top)
        .ok_or_else(|| wrong("the list of storage keys", describe(keys.get(keys.top))))?;
    let mut slices = BTreeMap::new();
    let mut at = keys.end;
    for &id in list {
        let storage = keys
            .text(id)
            .and_then(|key| known.get(key))
            .ok_or_else(|| {
                wrong(
                    "the key of a storage that a tensor uses",
                    describe(keys.get(id)),
                )
            })?;
        let header = bytes.get(at..).and_then(|left| left.first_chunk::<8>());
        let elements = header.map(|count| u64::from_le_bytes(*count));
        if elements != Some(storage.elements) {
            return Err(wrong(
                format!(
                    "{} elements in storage `{}` (is the file truncated?)",
                    storage.elements,
                    shorten(storage.key)
                ),
                elements.map_or("the end of the file".into(), |n| n.to_string()),
            ));
        }
        let left = bytes.get(at + 8..).unwrap_or_default();
        if storage.kind == Kind::Other(0) {
            let key = shorten(storage.key);
            let expected = format!("a known type of number in storage `{key}`");
            return Err(wrong(expected, "another one"));
        }
        let size = byte_count(storage)?;
        let slice = usize::try_from(size)
            .ok()
            .and_then(|size| left.get(..size))
            .ok_or_else(|| size_error(storage.key, size, left.len() as u64))?;
        at += 8 + slice.len();
        if slices.insert(storage.key, slice).is_some() {
            return Err(wrong(
                "each storage once",
                format!("storage `{}` twice", shorten(storage.key)),
            ));
        }
    }
    if at != bytes.len() {
        let rest = bytes.len() - at;
        return Err(wrong(
            "the end of the file after the last storage",
            format!("{rest} bytes"),
        ));
    }
    Ok(slices)
}

/// The storages that a pickle refers to, by key; references to one key must agree.
fn declared<'p, 'a>(object: &'p Pickle<'a>) -> Result<BTreeMap<&'a str, &'p StorageRef<'a>>> {
    let mut known: BTreeMap<&str, &StorageRef<'_>> = BTreeMap::new();
    for storage in object.storages() {
        let first = known.entry(storage.key).or_insert(storage);
        if (first.kind, first.elements) != (storage.kind, storage.elements) {
            let say = |kind: Kind, n: u64| format!("{n} elements of type {kind:?}");
            return Err(wrong(
                format!(
                    "{} in storage `{}`",
                    say(first.kind, first.elements),
                    shorten(storage.key)
                ),
                say(storage.kind, storage.elements),
            ));
        }
    }
    Ok(known)
}

// ---- zip archive ----

/// `<name>/data.pkl` and one entry `<name>/data/<key>` for each storage.
fn read_zip(bytes: &[u8]) -> Result<StateDict> {
    let archive = ZipArchive::new(Cursor::new(bytes)).map_err(|error| {
        wrong(
            "a complete zip archive (is the file truncated?)",
            zip_message(&error),
        )
    })?;
    let scripted = |name: &str| name.ends_with("/constants.pkl") || name == "constants.pkl";
    if archive.file_names().any(scripted) {
        return Err(wrong("a state dict; in Python: torch.save(torch.jit.load(\"model.pt\").state_dict(), \"weights.pth\")",
            "a TorchScript archive (torch.jit.save), which is a program",
        ));
    }
    let folder = archive
        .file_names()
        .filter_map(|name| name.strip_suffix("data.pkl"))
        .find(|folder| folder.is_empty() || folder.ends_with('/'))
        .map(str::to_owned)
        .ok_or_else(|| {
            wrong(
                "an entry `data.pkl` in the archive, as torch.save writes it",
                "none",
            )
        })?;
    let mut entries = Entries {
        archive,
        folder,
        room: room(bytes.len()),
        unpacked: BTreeMap::new(),
    };
    if entries
        .archive
        .index_for_name(&format!("{}byteorder", entries.folder))
        .is_some()
        && entries.unpack("byteorder")?.trim_ascii() != b"little"
    {
        return Err(wrong("little-endian numbers", "another byte order"));
    }
    let text = entries.unpack("data.pkl")?;
    let object = Pickle::read(&text, 0)?;
    declared(&object)?;
    state::collect(
        &object,
        &mut Storages::Zip(Box::new(entries)),
        room(bytes.len()),
    )
}

/// The entries of an archive.
pub(super) struct Entries<'a> {
    archive: ZipArchive<Cursor<&'a [u8]>>,
    /// What stands before `data.pkl` in the entries' names.
    folder: String,
    /// Bytes that may still be unpacked.
    room: u64,
    unpacked: BTreeMap<String, Vec<u8>>,
}

impl Entries<'_> {
    /// A storage of `size` bytes.
    fn storage(&mut self, key: &str, size: u64) -> Result<&[u8]> {
        if !self.unpacked.contains_key(key) {
            let bytes = self.unpack_checked(&format!("data/{key}"), Some((key, size)))?;
            self.unpacked.insert(key.to_owned(), bytes);
        }
        Ok(&self.unpacked[key])
    }

    fn unpack(&mut self, name: &str) -> Result<Vec<u8>> {
        self.unpack_checked(name, None)
    }

    /// Unpacks an entry; its declared size is checked before memory is taken, its checksum after.
    fn unpack_checked(&mut self, name: &str, storage: Option<(&str, u64)>) -> Result<Vec<u8>> {
        let full = format!("{}{name}", self.folder);
        let damaged = |found: String| {
            let expected = format!("the archive's entry `{}`, undamaged", shorten(&full));
            wrong(expected, found)
        };
        let entry = self
            .archive
            .by_name(&full)
            .map_err(|error| damaged(zip_message(&error)))?;
        let size = entry.size();
        if let Some((key, expected)) = storage.filter(|(_, expected)| *expected != size) {
            return Err(size_error(key, expected, size));
        }
        if size > self.room {
            return Err(wrong(
                "an archive that unpacks to at most 16 times its size",
                format!("{size} more bytes in `{}`", shorten(&full)),
            ));
        }
        let mut bytes = Vec::new();
        // one byte more shows an entry that is longer than it says
        entry
            .take(size + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| damaged(error.to_string()))?;
        if bytes.len() as u64 != size {
            return Err(damaged(format!("{} of its {size} bytes", bytes.len())));
        }
        self.room -= size;
        Ok(bytes)
    }
}

fn zip_message(error: &ZipError) -> String {
    match error {
        ZipError::FileNotFound => "no such entry".into(),
        other => other.to_string(),
    }
}
