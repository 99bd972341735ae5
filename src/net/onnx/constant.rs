//! Tensors of an ONNX file: every number type, inside the file or beside it.

use super::proto::TensorProto;
use crate::error::{refuse, Error, Result};
use crate::net::shape::checked_count;
use crate::store;
use candle_core::{Device, Tensor};
use half::{bf16, f16};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

/// Most values of a constant: 2³¹.
pub(super) const MOST_VALUES: usize = 1 << 31;
/// Largest file of external data that is read: 4 GiB.
const LARGEST_FILE: u64 = 1 << 32;

/// What kind of numbers a tensor holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
    /// Floating point of any width.
    Float,
    /// Whole numbers of some bits.
    Integer { bits: u32, signed: bool },
    /// 0 and 1.
    Bool,
}

impl Element {
    pub(super) const UINT8: Self = Self::Integer {
        bits: 8,
        signed: false,
    };
    pub(super) const INT32: Self = Self::Integer {
        bits: 32,
        signed: true,
    };
    pub(super) const INT64: Self = Self::Integer {
        bits: 64,
        signed: true,
    };

    /// By its number in the schema, with the bits of a value; `None` for text, complex numbers and the small floats.
    pub(super) fn of(number: i32) -> Option<(Self, u32)> {
        let integer = |bits, signed| Some((Self::Integer { bits, signed }, bits));
        match number {
            1 => Some((Self::Float, 32)),
            2 => integer(8, false),
            3 => integer(8, true),
            4 => integer(16, false),
            5 => integer(16, true),
            6 => integer(32, true),
            7 => integer(64, true),
            9 => Some((Self::Bool, 8)),
            10 | 16 => Some((Self::Float, 16)),
            11 => Some((Self::Float, 64)),
            12 => integer(32, false),
            13 => integer(64, false),
            21 => integer(4, false),
            22 => integer(4, true),
            25 => integer(2, false),
            26 => integer(2, true),
            _ => None,
        }
    }

    /// The lowest and the highest number; `None` for floating point.
    pub(super) fn bounds(self) -> Option<(f64, f64)> {
        match self {
            Self::Float => None,
            Self::Bool => Some((0.0, 1.0)),
            Self::Integer { bits, signed: true } => {
                let half = 2f64.powi(bits as i32 - 1);
                Some((-half, half - 1.0))
            }
            Self::Integer {
                bits,
                signed: false,
            } => Some((0.0, 2f64.powi(bits as i32) - 1.0)),
        }
    }

    pub(super) fn is_float(self) -> bool {
        self == Self::Float
    }
}

/// Reads tensors; files beside the model are read once.
pub(super) struct Tensors {
    folder: PathBuf,
    files: BTreeMap<String, Vec<u8>>,
}

impl Tensors {
    /// Of the model at this path.
    pub(super) fn beside(path: &Path) -> Self {
        Self {
            folder: path.parent().unwrap_or(Path::new("")).to_owned(),
            files: BTreeMap::new(),
        }
    }

    /// The values in double precision, with their kind.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the tensor, where its size, type or place is wrong.
    pub(super) fn read(&mut self, tensor: &TensorProto) -> Result<(Tensor, Element)> {
        let wrong = |expected: &str, found: String| {
            let what = format!("tensor `{}`", tensor.name);
            refuse(what, expected, found)
        };
        let Some((element, bits)) = Element::of(tensor.data_type) else {
            let found = format!("type {} of the schema", tensor.data_type);
            return wrong("numbers: floats of 16 to 64 bits, integers or bools", found);
        };
        let Some((dims, count)) = sizes(&tensor.dims) else {
            let found = format!("{:?}", tensor.dims);
            return wrong("dimensions of at most 2³¹ values together", found);
        };
        let bytes = (count * bits as usize).div_ceil(8);
        let raw = match tensor.data_location {
            0 if !tensor.raw_data.is_empty() => Some(&tensor.raw_data[..]),
            0 => None,
            1 => Some(self.external(tensor, bytes)?),
            other => return wrong("a data location of 0 or 1", other.to_string()),
        };
        let values = match raw {
            Some(raw) if raw.len() != bytes => {
                let expected = format!("{bytes} bytes for {dims:?}");
                return wrong(&expected, raw.len().to_string());
            }
            Some(raw) => from_bytes(raw, tensor.data_type, count),
            None => from_fields(tensor, count),
        };
        if values.len() != count {
            let expected = format!("{count} values for {dims:?}");
            return wrong(&expected, values.len().to_string());
        }
        let values = Tensor::from_vec(values, dims, &Device::Cpu)?;
        Ok((values, element))
    }

    /// Bytes of a tensor in a file beside the model.
    fn external(&mut self, tensor: &TensorProto, bytes: usize) -> Result<&[u8]> {
        let what = || format!("tensor `{}`", tensor.name);
        let entry = |key: &str| {
            let entry = tensor.external_data.iter().find(|entry| entry.key == key);
            entry.map(|entry| entry.value.as_str())
        };
        let location = entry("location").unwrap_or_default().to_owned();
        let inside = Path::new(&location)
            .components()
            .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if location.is_empty() || !inside {
            let expected = "external data in the folder of the model";
            return refuse(what(), expected, format!("`{location}`"));
        }
        let number = |key: &str| match entry(key) {
            None => Ok(None),
            Some(text) => text.parse::<usize>().map(Some).map_err(|_| {
                let expected = format!("a whole number for `{key}`");
                Error::argument(what(), expected, format!("`{text}`"))
            }),
        };
        let start = number("offset")?.unwrap_or(0);
        let length = number("length")?.unwrap_or(bytes);
        if !self.files.contains_key(&location) {
            let path = self.folder.join(&location);
            let content = store::read_bytes(&path, "external data of the model", LARGEST_FILE)?;
            self.files.insert(location.clone(), content);
        }
        let content = &self.files[&location];
        let range = start
            .checked_add(length)
            .and_then(|end| content.get(start..end));
        range.filter(|range| range.len() == bytes).ok_or_else(|| {
            let expected = format!("{bytes} bytes from {start} on in `{location}`");
            let found = format!("{length} of {}", content.len());
            Error::argument(what(), expected, found)
        })
    }
}

/// Dimensions with the number of values.
pub(super) fn sizes(dims: &[i64]) -> Option<(Vec<usize>, usize)> {
    let dims: Vec<usize> = dims
        .iter()
        .map(|dim| usize::try_from(*dim).ok())
        .collect::<Option<_>>()?;
    let count = checked_count(&dims)?;
    (count <= MOST_VALUES && dims.len() <= 8).then_some((dims, count))
}

/// Values in little-endian order, those of fewer than 8 bits from the lowest bit on.
fn from_bytes(raw: &[u8], data_type: i32, count: usize) -> Vec<f64> {
    fn each<const N: usize>(raw: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
        let (chunks, _) = raw.as_chunks::<N>();
        chunks.iter().map(|bytes| value(*bytes)).collect()
    }
    match data_type {
        1 => each(raw, |b| f64::from(f32::from_le_bytes(b))),
        2 | 9 => each(raw, |[b]| f64::from(b)),
        3 => each(raw, |b| f64::from(i8::from_le_bytes(b))),
        4 => each(raw, |b| f64::from(u16::from_le_bytes(b))),
        5 => each(raw, |b| f64::from(i16::from_le_bytes(b))),
        6 => each(raw, |b| f64::from(i32::from_le_bytes(b))),
        7 => each(raw, |b| i64::from_le_bytes(b) as f64),
        10 => each(raw, |b| f16::from_le_bytes(b).to_f64()),
        11 => each(raw, f64::from_le_bytes),
        12 => each(raw, |b| f64::from(u32::from_le_bytes(b))),
        13 => each(raw, |b| u64::from_le_bytes(b) as f64),
        16 => each(raw, |b| bf16::from_le_bytes(b).to_f64()),
        21 | 22 => small(raw, 4, data_type == 22, count),
        25 | 26 => small(raw, 2, data_type == 26, count),
        _ => Vec::new(),
    }
}

/// Whole numbers of less than a byte.
fn small(raw: &[u8], bits: u32, signed: bool, count: usize) -> Vec<f64> {
    let share = 8 / bits as usize;
    let value = |place: usize| {
        let word = raw[place / share] >> (bits as usize * (place % share)) & ((1 << bits) - 1);
        let own = f64::from(word);
        if signed && word >> (bits - 1) == 1 {
            own - f64::from(1u8 << bits)
        } else {
            own
        }
    };
    (0..count).map(value).collect()
}

/// Values in the fields for their type.
fn from_fields(tensor: &TensorProto, count: usize) -> Vec<f64> {
    let words = || tensor.int32_data.iter();
    match tensor.data_type {
        1 => tensor.float_data.iter().map(|v| f64::from(*v)).collect(),
        11 => tensor.double_data.clone(),
        7 => tensor.int64_data.iter().map(|v| *v as f64).collect(),
        12 | 13 => tensor.uint64_data.iter().map(|v| *v as f64).collect(),
        10 => words()
            .map(|v| f16::from_bits(*v as u16).to_f64())
            .collect(),
        16 => words()
            .map(|v| bf16::from_bits(*v as u16).to_f64())
            .collect(),
        21 | 22 | 25 | 26 => {
            let raw: Vec<u8> = words().map(|v| *v as u8).collect();
            let (bits, signed) = (
                if tensor.data_type < 25 { 4 } else { 2 },
                tensor.data_type % 2 == 0,
            );
            let room = raw.len() * (8 / bits as usize);
            small(&raw, bits, signed, count.min(room))
        }
        _ => words().map(|v| f64::from(*v)).collect(),
    }
}
