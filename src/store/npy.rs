//! NumPy's file formats for arrays of small whole numbers: `.npy` of versions 1 to 3, and `.npz`, archives of them.
//!
//! Source: numpy.lib.format. Magic `\x93NUMPY`, version, length of the header (u16, from version 2 on u32), a Python
//! dictionary with `descr`, `fortran_order` and `shape`, padded by blanks to a multiple of 64 and ended by a line feed,
//! the data. Read are booleans and integers of any width, byte order and memory order whose values fit into a byte;
//! written is `u1` alone. An `.npz` is a zip archive of `NAME.npy`; [`numbers`] reads arrays of any numbers from it.

mod header;
mod numbers;

use crate::error::{refuse, Error, Result};
use header::{Header, Takes};
pub use numbers::{read_npz_numbers, NumberArray, NumberType, Numbers};
use std::io::{Cursor, Read, Seek};
use std::path::Path;
use zip::ZipArchive;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Most arrays of an archive.
const MOST_ARRAYS: usize = 10_000;

/// An array of bytes in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteArray {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// Row-major values; booleans as 0 and 1.
    pub values: Vec<u8>,
}

/// What an array held in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element {
    /// `b1`.
    Boolean,
    /// `u1`: numbers, or the packed bits of `numpy.packbits`.
    Byte,
    /// An integer of another type.
    Integer,
}

/// An array of an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedArray {
    /// Name, without `.npy`.
    pub name: String,
    /// Its values.
    pub array: ByteArray,
    /// What it was.
    pub element: Element,
}

/// True where a file begins as a NumPy array does.
pub fn is_npy(bytes: &[u8]) -> bool {
    bytes.starts_with(MAGIC)
}

/// True where a file begins as a zip archive does: `.npz` is one.
pub fn is_npz(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// Writes an array of `u1`, whole or not at all.
///
/// # Errors
/// [`Error::Argument`] where the values do not fill the shape, [`Error::Io`] with the path.
pub fn write_npy(path: &Path, array: &ByteArray) -> Result<()> {
    super::write_bytes(path, &to_npy(array)?)
}

fn to_npy(array: &ByteArray) -> Result<Vec<u8>> {
    let cells: usize = array.shape.iter().product();
    if cells != array.values.len() {
        let expected = format!("{cells} values for the shape {:?}", array.shape);
        return refuse("array", expected, array.values.len());
    }
    let shape: String = array
        .shape
        .iter()
        .map(|length| format!("{length}, "))
        .collect();
    // NumPy itself writes (3, 4) and (3,)
    let shape = if array.shape.len() == 1 {
        shape.trim_end()
    } else {
        shape.trim_end_matches(", ")
    };
    let mut header = format!("{{'descr': '|u1', 'fortran_order': False, 'shape': ({shape}), }}");
    let padding = 63 - (MAGIC.len() + 4 + header.len()) % 64;
    header.extend(std::iter::repeat_n(' ', padding));
    header.push('\n');
    let mut bytes = [MAGIC, &[1, 0]].concat();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(&array.values);
    Ok(bytes)
}

/// The start of a NumPy file up to its data, and the shape of these where they are bytes in C order and stay as they
/// are. Of other files the start may be shorter: they are read whole ([`parse_npy`]), which says what is wrong.
///
/// # Errors
/// What reading returns.
pub fn npy_start(content: &mut dyn Read) -> std::io::Result<(Vec<u8>, Option<Vec<usize>>)> {
    let mut start = Vec::new();
    (&mut *content).take(10).read_to_end(&mut start)?;
    let length = match start.strip_prefix(MAGIC) {
        Some([1, _, low, high]) => u16::from_le_bytes([*low, *high]),
        _ => return Ok((start, None)),
    };
    content.take(length.into()).read_to_end(&mut start)?;
    let header = Header::split(&start[MAGIC.len()..], Takes::Integers).map(|(header, _)| header);
    let bytes = header.ok().filter(|header| {
        header.width == 1 && !header.boolean && !header.signed && !header.fortran_order
    });
    Ok((start, bytes.map(|header| header.shape)))
}

/// Reads an array from the bytes of a file; `path` is for errors alone.
///
/// # Errors
/// [`Error::Input`] for another type, a value that does not fit into a byte, a damaged header, and data that do not fill
/// the shape.
pub fn parse_npy(path: &Path, bytes: &[u8]) -> Result<ByteArray> {
    Ok(parse_npy_element(path, bytes)?.0)
}

/// As [`parse_npy`], with what the array held.
///
/// # Errors
/// [`Error::Input`] as [`parse_npy`].
pub fn parse_npy_element(path: &Path, bytes: &[u8]) -> Result<(ByteArray, Element)> {
    parse(bytes).map_err(|(expected, found)| Error::input(path, expected, found))
}

/// Reads the arrays of an archive's bytes, in its order, that unpack to at most `limit` bytes together.
///
/// # Errors
/// [`Error::Input`] for a damaged or encrypted archive, one over the limit, one without arrays, and as [`parse_npy`] with
/// the name of the array.
pub fn parse_npz(path: &Path, bytes: &[u8], limit: u64) -> Result<Vec<NamedArray>> {
    let mut archive = archive(path, Cursor::new(bytes))?;
    let (mut arrays, mut room) = (Vec::new(), limit);
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| damaged(path, &e))?;
        let Some(name) = entry.name().strip_suffix(".npy").map(str::to_owned) else {
            continue;
        };
        let size = entry.size();
        if size > room {
            let expected = format!("an archive that unpacks to at most {limit} bytes");
            return Err(Error::input(path, expected, "more"));
        }
        room -= size;
        let mut unpacked = Vec::new();
        entry
            .take(size + 1)
            .read_to_end(&mut unpacked)
            .map_err(|e| damaged(path, &e))?;
        let (array, element) = parse(&unpacked).map_err(|(expected, found)| {
            Error::input_at(path, None, Some(&short_name(&name)), expected, found)
        })?;
        arrays.push(NamedArray {
            name,
            array,
            element,
        });
    }
    if arrays.is_empty() {
        return Err(Error::input(
            path,
            "an archive of NumPy arrays (.npz)",
            "no array in it",
        ));
    }
    Ok(arrays)
}

/// Opens an archive of arrays.
fn archive<R: Read + Seek>(path: &Path, content: R) -> Result<ZipArchive<R>> {
    let archive = ZipArchive::new(content).map_err(|e| damaged(path, &e))?;
    if archive.len() > MOST_ARRAYS {
        let expected = format!("an archive of at most {MOST_ARRAYS} arrays");
        return Err(Error::input(path, expected, archive.len().to_string()));
    }
    Ok(archive)
}

fn damaged(path: &Path, found: &dyn std::fmt::Display) -> Error {
    let expected = "an archive of NumPy arrays (.npz), undamaged";
    Error::input(path, expected, found.to_string())
}

/// The start of an array's name, printable.
fn short_name(name: &str) -> String {
    let start: String = name.chars().take(40).collect();
    start.escape_debug().to_string()
}

fn parse(bytes: &[u8]) -> Result<(ByteArray, Element), header::Refusal> {
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        let found = match bytes {
            [] => "an empty file",
            _ => "another format",
        };
        return header::refused("a NumPy file (.npy)", found);
    };
    let (header, data) = Header::split(rest, Takes::Integers)?;
    let whole = header
        .cells()
        .and_then(|cells| cells.checked_mul(header.width));
    if whole != Some(data.len()) {
        let unit = match header.width {
            1 => "one byte".to_owned(),
            width => format!("{width} bytes"),
        };
        return header::refused(
            format!("{unit} for each cell of {:?}", header.shape),
            format!("{} bytes", data.len()),
        );
    }
    let mut values = Vec::with_capacity(data.len() / header.width);
    for (at, raw) in data.chunks_exact(header.width).enumerate() {
        values.push(small(raw, &header, at)?);
    }
    if header.fortran_order {
        values = in_c_order(&values, &header.shape);
    }
    let element = match (header.boolean, header.signed, header.width) {
        (true, ..) => Element::Boolean,
        (false, false, 1) => Element::Byte,
        _ => Element::Integer,
    };
    let shape = header.shape;
    Ok((ByteArray { shape, values }, element))
}

/// A value from its bytes; `at` is its place in the file.
fn small(raw: &[u8], header: &Header, at: usize) -> Result<u8, header::Refusal> {
    let most: u8 = if header.boolean { 1 } else { 255 };
    let (low, high) = if header.big_endian {
        (raw[raw.len() - 1], &raw[..raw.len() - 1])
    } else {
        (raw[0], &raw[1..])
    };
    let negative = header.signed && header.width == 1 && low > 127;
    if !negative && low <= most && high.iter().all(|byte| *byte == 0) {
        return Ok(low);
    }
    let expected = if header.boolean {
        "booleans of 0 and 1"
    } else {
        "values from 0 to 255"
    };
    header::refused(expected, format!("another one at place {at} of the array"))
}

/// Values whose first dimension runs fastest, with the last one fastest.
fn in_c_order(values: &[u8], shape: &[usize]) -> Vec<u8> {
    if values.is_empty() {
        return Vec::new();
    }
    // step in the file from one index of a dimension to the next
    let mut steps = vec![1; shape.len()];
    for dimension in 1..shape.len() {
        steps[dimension] = steps[dimension - 1] * shape[dimension - 1];
    }
    let (mut index, mut from) = (vec![0; shape.len()], 0);
    let mut ordered = Vec::with_capacity(values.len());
    for _ in 0..values.len() {
        ordered.push(values[from]);
        for dimension in (0..shape.len()).rev() {
            index[dimension] += 1;
            from += steps[dimension];
            if index[dimension] < shape[dimension] {
                break;
            }
            from -= steps[dimension] * shape[dimension];
            index[dimension] = 0;
        }
    }
    ordered
}

#[cfg(test)]
mod tests;
