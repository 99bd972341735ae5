//! NumPy's file format for arrays of bytes: `.npy` version 1.0, types `u1` (numbers) and `b1` (booleans).
//!
//! Source: numpy.lib.format. Magic `\x93NUMPY`, version, length of the header as u16, a Python dictionary with
//! `descr`, `fortran_order` and `shape`, padded by blanks to a multiple of 64 and ended by a line feed, the data.

use crate::error::{Error, Result};
use std::path::Path;

const MAGIC: &[u8] = b"\x93NUMPY";
/// Most dimensions that are read.
const MOST_DIMENSIONS: usize = 8;

/// An array of bytes in C order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByteArray {
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// Row-major values; booleans as 0 and 1.
    pub values: Vec<u8>,
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
        return Err(Error::argument(
            "array",
            expected,
            array.values.len().to_string(),
        ));
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

/// Reads an array of `u1` or `b1` from a file of at most `limit` bytes.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] for another type or order, a damaged header, data that do not fill the
/// shape, a file over the limit.
pub fn read_npy(path: &Path, expected: &str, limit: u64) -> Result<ByteArray> {
    parse_npy(path, &super::read_bytes(path, expected, limit)?)
}

/// The same of a file's bytes; `path` is for errors alone.
///
/// # Errors
/// [`Error::Input`] as [`read_npy`].
pub fn parse_npy(path: &Path, bytes: &[u8]) -> Result<ByteArray> {
    parse(bytes).map_err(|(expected, found)| Error::input(path, expected, found))
}

fn parse(bytes: &[u8]) -> Result<ByteArray, (String, String)> {
    let wrong = |expected: &str, found: &str| Err((expected.to_owned(), found.to_owned()));
    let Some(rest) = bytes.strip_prefix(MAGIC) else {
        return wrong("a NumPy file (.npy)", "another format");
    };
    let (header, data) = match rest {
        [1, _, a, b, rest @ ..] => split(rest, u64::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d, rest @ ..] => {
            split(rest, u64::from(u32::from_le_bytes([*a, *b, *c, *d])))
        }
        _ => {
            return wrong(
                "version 1, 2 or 3 of the NumPy format",
                "another version, or a torn file",
            )
        }
    }
    .ok_or_else(|| ("a whole header".to_owned(), "a torn file".to_owned()))?;
    let header = String::from_utf8_lossy(header);
    let text = |key: &str| {
        let (_, rest) = header.split_once(&format!("'{key}':"))?;
        Some(rest.trim_start())
    };
    let (Some(descr), Some(order), Some(shape)) =
        (text("descr"), text("fortran_order"), text("shape"))
    else {
        return wrong(
            "a header with descr, fortran_order and shape",
            "another header",
        );
    };
    let boolean = descr.starts_with("'|b1'");
    if !boolean && !descr.starts_with("'|u1'") {
        return wrong(
            "an array of type bool or uint8",
            &format!("{}...", start(descr)),
        );
    }
    if !order.starts_with("False") {
        return wrong(
            "an array in C order (numpy.ascontiguousarray)",
            "one in Fortran order",
        );
    }
    let numbers = shape
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map(|(inside, _)| inside);
    let lengths = numbers.and_then(|numbers| {
        let numbers = numbers
            .split(',')
            .map(str::trim)
            .filter(|number| !number.is_empty());
        numbers
            .map(|number| number.parse::<usize>().ok())
            .collect::<Option<Vec<usize>>>()
    });
    let Some(shape) = lengths.filter(|lengths| lengths.len() <= MOST_DIMENSIONS) else {
        return wrong(
            "a shape of at most 8 dimensions",
            &format!("{}...", start(shape)),
        );
    };
    let cells = shape
        .iter()
        .try_fold(1usize, |cells, length| cells.checked_mul(*length));
    if cells != Some(data.len()) {
        return wrong(
            &format!("one byte for each cell of {shape:?}"),
            &format!("{} bytes", data.len()),
        );
    }
    if boolean && data.iter().any(|value| *value > 1) {
        return wrong("booleans of 0 and 1", "another byte");
    }
    Ok(ByteArray {
        shape,
        values: data.to_vec(),
    })
}

fn split(bytes: &[u8], header: u64) -> Option<(&[u8], &[u8])> {
    bytes.split_at_checked(usize::try_from(header).ok()?)
}

fn start(text: &str) -> String {
    text.chars().take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back_and_is_numpys_own_form() {
        for shape in [vec![6], vec![2, 3], vec![1, 2, 3], vec![0, 4]] {
            let cells = shape.iter().product::<usize>() as u8;
            let array = ByteArray {
                shape,
                values: (0..cells).collect(),
            };
            let bytes = to_npy(&array).unwrap();
            assert_eq!((bytes.len() - array.values.len()) % 64, 0);
            assert_eq!(parse(&bytes).unwrap(), array);
        }
        let bytes = to_npy(&ByteArray {
            shape: vec![2, 3],
            values: vec![7; 6],
        })
        .unwrap();
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";
        assert_eq!(&bytes[..10], b"\x93NUMPY\x01\x00\x76\x00");
        assert!(bytes[10..].starts_with(header.as_bytes()));
        let one = to_npy(&ByteArray {
            shape: vec![3],
            values: vec![7; 3],
        })
        .unwrap();
        assert!(String::from_utf8_lossy(&one).contains("'shape': (3,), }"));
    }

    #[test]
    fn damaged_and_foreign_arrays_are_refused() {
        let whole = to_npy(&ByteArray {
            shape: vec![2, 3],
            values: vec![1; 6],
        })
        .unwrap();
        for length in 0..whole.len() {
            assert!(parse(&whole[..length]).is_err(), "{length}");
        }
        let with = |from: &str, to: &str| {
            let at = whole
                .windows(from.len())
                .position(|part| part == from.as_bytes())
                .unwrap();
            let mut bytes = whole.clone();
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            parse(&bytes).unwrap_err().0
        };
        assert_eq!(with("'|u1'", "'<f4'"), "an array of type bool or uint8");
        assert_eq!(
            with("False", "True "),
            "an array in C order (numpy.ascontiguousarray)"
        );
        assert_eq!(with("(2, 3)", "(9, 9)"), "one byte for each cell of [9, 9]");
        assert!(to_npy(&ByteArray {
            shape: vec![2],
            values: vec![]
        })
        .is_err());
    }
}
