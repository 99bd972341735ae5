//! Arrays of numbers of any usual type, read in pieces from an archive or from bytes; what they mean is their user's.

use super::header::{refused, Header, Refusal, Takes};
use super::{archive, damaged, short_name, MAGIC};
use crate::error::{Error, Result};
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use zip::read::ZipFile;

/// Bytes that are read at a time; a multiple of every width.
const PIECE: usize = 1 << 16;
/// Names of arrays that a message lists.
const MOST_LISTED: usize = 8;

/// Numbers in the types that are read.
#[derive(Clone, Debug, PartialEq)]
pub enum Numbers {
    /// Of `uint8`.
    Bytes(Vec<u8>),
    /// Of `float32`, or of `float64` rounded to it.
    Floats(Vec<f32>),
    /// Of every other integer type; `uint64` above the largest `int64` wraps.
    Whole(Vec<i64>),
}

/// An array of numbers in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct NumberArray {
    /// Name.
    pub name: String,
    /// Length of each dimension.
    pub shape: Vec<usize>,
    /// Row-major values, as many as the shape has.
    pub numbers: Numbers,
}

/// Type of a stored number, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberType {
    /// `uint8`.
    Byte,
    /// Floating point of 4 or 8 bytes.
    Float {
        /// True for 8.
        double: bool,
    },
    /// Integers of 1, 2, 4 or 8 bytes.
    Whole {
        /// Whether the highest bit is the sign.
        signed: bool,
        /// Bytes of a number.
        width: usize,
    },
}

impl NumberType {
    /// Bytes of a number.
    pub fn width(self) -> usize {
        match self {
            Self::Byte => 1,
            Self::Float { double } => 4 + 4 * usize::from(double),
            Self::Whole { width, .. } => width,
        }
    }

    /// Reads so many numbers. Memory grows with what is there, not with what is asked for.
    ///
    /// # Errors
    /// What reading returns; [`ErrorKind::UnexpectedEof`] where there are fewer.
    pub fn read(self, content: &mut dyn Read, count: usize) -> std::io::Result<Numbers> {
        let mut numbers = match self {
            Self::Byte => Numbers::Bytes(Vec::new()),
            Self::Float { .. } => Numbers::Floats(Vec::new()),
            Self::Whole { .. } => Numbers::Whole(Vec::new()),
        };
        let mut buffer = vec![0; PIECE];
        let most = PIECE / self.width();
        let mut left = count;
        while left > 0 {
            let piece = &mut buffer[..left.min(most) * self.width()];
            content.read_exact(piece)?;
            match &mut numbers {
                Numbers::Bytes(bytes) => bytes.extend_from_slice(piece),
                Numbers::Floats(floats) if self.width() == 4 => {
                    floats.extend(piece.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)));
                }
                Numbers::Floats(floats) => {
                    let doubles = piece.as_chunks().0.iter();
                    floats.extend(doubles.map(|b| f64::from_le_bytes(*b) as f32));
                }
                Numbers::Whole(whole) => {
                    whole.extend(piece.chunks_exact(self.width()).map(|raw| self.whole(raw)));
                }
            }
            left -= left.min(most);
        }
        Ok(numbers)
    }

    /// An integer from its bytes.
    fn whole(self, raw: &[u8]) -> i64 {
        let signed = matches!(self, Self::Whole { signed: true, .. });
        let negative = signed && raw.last().is_some_and(|high| *high > 127);
        // the sign is carried into the bytes that a narrower number lacks
        let mut bytes = if negative { [255; 8] } else { [0; 8] };
        bytes[..raw.len()].copy_from_slice(raw);
        i64::from_le_bytes(bytes)
    }

    /// The type that a header says.
    fn of(header: &Header) -> Result<Self, Refusal> {
        let types = "an array of float32, float64, uint8 or other integers";
        let advice = "make it so in NumPy with `numpy.ascontiguousarray(x, dtype=...)`";
        if header.boolean {
            return refused(format!("{types}: {advice}"), "booleans");
        }
        if header.big_endian {
            return refused(
                format!("little-endian numbers: {advice}"),
                "big-endian ones",
            );
        }
        if header.fortran_order {
            return refused(format!("an array in C order: {advice}"), "Fortran order");
        }
        Ok(match (header.float, header.signed, header.width) {
            (true, _, width) => Self::Float { double: width == 8 },
            (false, false, 1) => Self::Byte,
            (false, signed, width) => Self::Whole { signed, width },
        })
    }
}

/// Reads the arrays of an archive (`.npz`) that have one of these names, which unpack to at most `limit` bytes together;
/// others are passed over. The second value lists the names of all arrays, for messages.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] for a damaged or encrypted archive, one over the limit; with the name of the array
/// for booleans, big-endian numbers, Fortran order, other types, and data that do not fill the shape.
pub fn read_npz_numbers(
    path: &Path,
    names: &[&str],
    limit: u64,
) -> Result<(Vec<NumberArray>, String)> {
    let file = BufReader::new(crate::store::open(path, "an archive of NumPy arrays")?);
    let mut archive = archive(path, file)?;
    let (mut arrays, mut listed) = (Vec::<NumberArray>::new(), Vec::new());
    let mut room = limit;
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|e| damaged(path, &e))?;
        let Some(name) = entry.name().strip_suffix(".npy").map(str::to_owned) else {
            continue;
        };
        if listed.len() < MOST_LISTED {
            listed.push(format!("`{}`", short_name(&name)));
        }
        if !names.contains(&name.as_str()) || arrays.iter().any(|other| other.name == name) {
            continue;
        }
        if entry.size() > room {
            let expected = format!("arrays that unpack to at most {limit} bytes");
            return Err(Error::input(path, expected, "more"));
        }
        room -= entry.size();
        let (shape, numbers) = read_entry(entry).map_err(|(expected, found)| {
            Error::input_at(path, None, Some(&name), expected, found)
        })?;
        arrays.push(NumberArray {
            name,
            shape,
            numbers,
        });
    }
    Ok((arrays, listed.join(", ")))
}

/// Shape and numbers of an array of an archive. The archive's claim of its size is held against the header before any
/// number is read.
fn read_entry(mut entry: ZipFile<BufReader<File>>) -> Result<(Vec<usize>, Numbers), Refusal> {
    let claimed = entry.size();
    let start = read_start(&mut entry).map_err(torn)?;
    let Some(rest) = start.strip_prefix(MAGIC) else {
        return refused("a NumPy array (.npy)", "another format");
    };
    let (header, _) = Header::split(rest, Takes::Numbers)?;
    let kind = NumberType::of(&header)?;
    let cells = header.cells();
    let bytes = cells.and_then(|cells| cells.checked_mul(kind.width()));
    let data = claimed.checked_sub(start.len() as u64);
    let (Some(cells), true) = (cells, data.is_some() && bytes.map(|b| b as u64) == data) else {
        let expected = format!("{} bytes for each cell of {:?}", kind.width(), header.shape);
        return refused(expected, format!("{} bytes", data.unwrap_or(0)));
    };
    let numbers = kind.read(&mut entry, cells).map_err(torn)?;
    // the archive's checksum is compared at the end
    match entry.read(&mut [0]).map_err(torn)? {
        0 => Ok((header.shape, numbers)),
        _ => refused(format!("{claimed} bytes, as the archive says"), "more"),
    }
}

/// The magic bytes and the header of an array.
fn read_start(content: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut start = vec![0; MAGIC.len() + 4];
    content.read_exact(&mut start)?;
    let length = match start[MAGIC.len()..] {
        [1, _, a, b] => u64::from(u16::from_le_bytes([a, b])),
        [2 | 3, _, a, b] => {
            let mut high = [0; 2];
            content.read_exact(&mut high)?;
            start.extend(high);
            u64::from(u32::from_le_bytes([a, b, high[0], high[1]]))
        }
        _ => 0,
    };
    // one that is longer is refused as torn
    let longest = super::header::LONGEST as u64;
    content.take(length.min(longest)).read_to_end(&mut start)?;
    Ok(start)
}

/// What to say of an entry that cannot be read to its end.
fn torn(e: std::io::Error) -> Refusal {
    let found = match e.kind() {
        ErrorKind::UnexpectedEof => "a torn one".to_owned(),
        _ => e.to_string(),
    };
    ("an undamaged array".to_owned(), found)
}

#[cfg(test)]
mod tests {
    use super::super::tests::npy;
    use super::*;
    use std::io::{Cursor, Write};

    fn archive(method: zip::CompressionMethod, entries: &[(&str, Vec<u8>)]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in entries {
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// What reading the arrays `x` and `y` of an archive gives.
    fn read(bytes: &[u8]) -> Result<(Vec<NumberArray>, String)> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npz");
        crate::store::write_bytes(&path, bytes).unwrap();
        read_npz_numbers(&path, &["x", "y"], 1 << 20)
    }

    fn one(descr: &str, order: &str, shape: &str, data: &[u8]) -> Result<NumberArray> {
        let x = npy(descr, order, shape, data);
        let method = zip::CompressionMethod::Deflated;
        Ok(read(&archive(method, &[("x.npy", x)]))?.0.remove(0))
    }

    #[test]
    fn numbers_of_every_type_are_read_stored_and_deflated() {
        let floats: Vec<u8> = [1.5f32, -2.0]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let doubles: Vec<u8> = [0.1f64, 1e300]
            .iter()
            .flat_map(|x| x.to_le_bytes())
            .collect();
        let whole: Vec<u8> = [-3i16, 300].iter().flat_map(|x| x.to_le_bytes()).collect();
        for (descr, data, numbers) in [
            ("'<f4'", floats, Numbers::Floats(vec![1.5, -2.0])),
            ("'<f8'", doubles, Numbers::Floats(vec![0.1, f32::INFINITY])),
            ("'<i2'", whole, Numbers::Whole(vec![-3, 300])),
            ("'|i1'", vec![255, 5], Numbers::Whole(vec![-1, 5])),
            (
                "'<u2'",
                vec![255, 255, 1, 0],
                Numbers::Whole(vec![65535, 1]),
            ),
            ("'|u1'", vec![255, 5], Numbers::Bytes(vec![255, 5])),
        ] {
            let x = npy(descr, "False", "(2, 1)", &data);
            for method in [
                zip::CompressionMethod::Stored,
                zip::CompressionMethod::Deflated,
            ] {
                let entries = [("a.txt", vec![]), ("z.npy", vec![1]), ("x.npy", x.clone())];
                let (arrays, listed) = read(&archive(method, &entries)).unwrap();
                assert_eq!(listed, "`z`, `x`");
                assert_eq!(
                    (&arrays[0].shape[..], &arrays[0].numbers),
                    (&[2, 1][..], &numbers),
                    "{descr}"
                );
            }
        }
    }

    #[test]
    fn what_is_not_read_is_refused_by_its_name() {
        for (descr, order, shape, found) in [
            ("'<f4'", "True", "(2, 1)", "Fortran order"),
            ("'>f4'", "False", "(2, 1)", "big-endian"),
            ("'|b1'", "False", "(8,)", "booleans"),
            ("'|O'", "False", "(1,)", "Python objects"),
            ("'<f2'", "False", "(4,)", "floating-point numbers"),
            (
                "'<f4'",
                "False",
                "(3, 1)",
                "4 bytes for each cell of [3, 1]",
            ),
            (
                "'<f4'",
                "False",
                "(4611686018427387905, 1)",
                "found 8 bytes",
            ),
        ] {
            let error = one(descr, order, shape, &[0; 8]).unwrap_err().to_string();
            assert!(
                error.contains("set.npz: `x`: ") && error.contains(found),
                "{error}"
            );
        }
    }

    #[test]
    fn claims_of_an_archive_take_no_memory_and_damage_is_found() {
        let zeros = npy("'|u1'", "False", "(2000000,)", &vec![0; 2_000_000]);
        let method = zip::CompressionMethod::Deflated;
        let error = read(&archive(method, &[("x.npy", zeros)])).unwrap_err();
        assert!(
            error.to_string().contains("at most 1048576 bytes"),
            "{error}"
        );
        let x = npy("'|u1'", "False", "(600,)", &[7; 600]);
        let whole = archive(zip::CompressionMethod::Stored, &[("x.npy", x)]);
        let at = whole.len() - 400;
        let mut changed = whole.clone();
        changed[at] ^= 1;
        assert!(read(&changed).is_err());
        for length in 0..whole.len() {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
    }
}
