//! Named tensors with text metadata in a safetensors file, sealed by a checksum; what they mean is the model's affair.

use crate::error::{Error, Result};
use crate::store;
use candle_core::{DType, Device, Tensor};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::path::Path;

/// Largest tensor file that is read: 4 GiB.
const LIMIT: u64 = 1 << 32;

/// Content of a tensor file.
#[derive(Clone, Debug)]
pub struct Tensors {
    /// Tensors by name on the CPU: bytes (U8) as they are, other whole numbers and booleans as i64, the rest as f32.
    pub tensors: Vec<(String, Tensor)>,
    /// Text metadata.
    pub metadata: BTreeMap<String, String>,
    /// SHA-256 of the file.
    pub checksum: String,
    /// True where the file holds a seal, and the seal is right; others of ours were written before there were seals.
    pub sealed: bool,
}

/// Reads a safetensors file. Sizes, offsets and the seal of our own files are checked before any tensor is made.
///
/// # Errors
/// [`Error::Missing`] or [`Error::Input`] with the path.
pub fn read_tensors(path: &Path) -> Result<Tensors> {
    let bytes = store::read_bytes(path, "a safetensors file", LIMIT)?;
    tensors_of(path, &bytes)
}

/// The same of the bytes of a file.
pub(super) fn tensors_of(path: &Path, bytes: &[u8]) -> Result<Tensors> {
    let damaged = |e: String| {
        Error::input(
            path,
            "a whole safetensors file",
            format!("{} bytes: {e}", bytes.len()),
        )
    };
    let (_, header) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(e.to_string()))?;
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(e.to_string()))?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let metadata: BTreeMap<String, String> = metadata.into_iter().collect();
    let sealed = is_sealed(bytes, &metadata).map_err(|found| {
        let expected =
            "the content that the file was sealed with (restore it from a copy, or make it anew)";
        Error::input(path, expected, found)
    })?;
    let mut tensors = Vec::with_capacity(file.len());
    for (name, view) in file.iter() {
        tensors.push((
            name.to_owned(),
            tensor(&view).map_err(|e| damaged(format!("tensor `{name}`: {e}")))?,
        ));
    }
    tensors.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Tensors {
        tensors,
        metadata,
        checksum: store::sha256(bytes),
        sealed,
    })
}

fn tensor(view: &TensorView) -> Result<Tensor, String> {
    let raw = |dtype: DType, read: DType| {
        Tensor::from_raw_buffer(view.data(), dtype, view.shape(), &Device::Cpu)
            .and_then(|tensor| tensor.to_dtype(read))
            .map_err(|e| e.to_string())
    };
    match view.dtype() {
        Dtype::F32 => raw(DType::F32, DType::F32),
        Dtype::F64 => raw(DType::F64, DType::F32),
        Dtype::F16 => raw(DType::F16, DType::F32),
        Dtype::BF16 => raw(DType::BF16, DType::F32),
        Dtype::I64 => raw(DType::I64, DType::I64),
        Dtype::U8 => raw(DType::U8, DType::U8),
        Dtype::BOOL => whole(view, |[b]: [u8; 1]| b.into()),
        Dtype::I8 => whole(view, |b| i8::from_le_bytes(b).into()),
        Dtype::I16 => whole(view, |b| i16::from_le_bytes(b).into()),
        Dtype::U16 => whole(view, |b| u16::from_le_bytes(b).into()),
        Dtype::I32 => whole(view, |b| i32::from_le_bytes(b).into()),
        Dtype::U32 => whole(view, |b| u32::from_le_bytes(b).into()),
        // beyond the largest i64 they wrap: no weight is of this type
        Dtype::U64 => whole(view, |b| u64::from_le_bytes(b) as i64),
        other => Err(format!(
            "expected numbers of F16, BF16, F32, F64 or a whole type, found {other:?}"
        )),
    }
}

fn whole<const N: usize>(
    view: &TensorView,
    read: impl Fn([u8; N]) -> i64,
) -> Result<Tensor, String> {
    let chunks = view.data().as_chunks::<N>().0;
    let values: Vec<i64> = chunks.iter().map(|chunk| read(*chunk)).collect();
    Tensor::from_vec(values, view.shape(), &Device::Cpu).map_err(|e| e.to_string())
}

/// Writes tensors (bytes as they are, other numbers as f32) and metadata, sealed, whole or not at all. The same content
/// gives the same bytes.
///
/// # Errors
/// [`Error::Io`] with the path, or a tensor failure.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<()> {
    store::write_bytes(path, &file_bytes(path, tensors, metadata)?)
}

/// The bytes of the file that [`write_tensors`] writes.
pub(super) fn file_bytes(
    path: &Path,
    tensors: &[(String, Tensor)],
    metadata: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let mut raw: BTreeMap<&str, (Dtype, Vec<usize>, Vec<u8>)> = BTreeMap::new();
    for (name, tensor) in tensors {
        let flat = tensor.flatten_all()?.to_device(&Device::Cpu)?;
        let (dtype, bytes) = match flat.dtype() {
            DType::U8 => (Dtype::U8, flat.to_vec1::<u8>()?),
            _ => {
                let values = flat.to_dtype(DType::F32)?.to_vec1::<f32>()?;
                (
                    Dtype::F32,
                    values.iter().flat_map(|x| x.to_le_bytes()).collect(),
                )
            }
        };
        raw.insert(name, (dtype, tensor.dims().to_vec(), bytes));
    }
    let wrong = |e: safetensors::SafeTensorError| {
        Error::input(path, "tensors that can be stored", e.to_string())
    };
    let views = raw.iter().map(|(name, (dtype, shape, bytes))| {
        Ok((
            *name,
            TensorView::new(*dtype, shape.clone(), bytes).map_err(wrong)?,
        ))
    });
    let views: Vec<(&str, TensorView)> = views.collect::<Result<_>>()?;
    // the crate writes its metadata map in hash order: one entry alone keeps the bytes the same
    let mut metadata = metadata.clone();
    metadata.insert(SEAL.to_owned(), "0".repeat(DIGITS));
    let text = serde_json::to_string(&metadata)
        .map_err(|e| Error::argument("metadata", "text", e.to_string()))?;
    let one = HashMap::from([(METADATA_KEY.to_owned(), text)]);
    let mut bytes = safetensors::serialize(views, Some(one)).map_err(wrong)?;
    let place = seal_place(&bytes)
        .ok_or_else(|| Error::argument("metadata", "a place for the seal", "none"))?;
    let seal = sealed_content(&bytes, &place);
    bytes[place].copy_from_slice(seal.as_bytes());
    Ok(bytes)
}

/// Key under which all of our metadata stands, as one JSON object.
const METADATA_KEY: &str = "wcat-explore";
/// Key of the seal in that object.
const SEAL: &str = "seal";
/// What stands before the seal in the header, where the object is a text in quotes.
const BEFORE_SEAL: &[u8] = br#"\"seal\":\""#;
/// Hexadecimal digits of a seal.
const DIGITS: usize = 64;

/// The header of a safetensors file, after the eight bytes of its length.
fn header_of(bytes: &[u8]) -> Option<Range<usize>> {
    let length = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    let end = usize::try_from(length).ok()?.checked_add(8)?;
    (end <= bytes.len()).then_some(8..end)
}

/// Where the digits of the seal stand.
fn seal_place(bytes: &[u8]) -> Option<Range<usize>> {
    let header = header_of(bytes)?;
    let at = bytes[header.clone()]
        .windows(BEFORE_SEAL.len())
        .position(|window| window == BEFORE_SEAL)?;
    let start = header.start + at + BEFORE_SEAL.len();
    (start + DIGITS <= header.end).then_some(start..start + DIGITS)
}

/// SHA-256 of the header but for the seal, the padding and wall seconds, then of the tensors: files of equal trainings
/// have equal seals.
fn sealed_content(bytes: &[u8], place: &Range<usize>) -> String {
    let end = header_of(bytes).map_or(place.end, |header| header.end);
    let parts = [
        &bytes[8..place.start],
        bytes[place.end..end].trim_ascii_end(),
    ];
    let header = parts.map(without_seconds);
    store::sha256_of_parts(&[&header[0], &header[1], &bytes[end..]])
}

/// Text without the numbers after `seconds` as a key, however deep its quotes are escaped.
fn without_seconds(text: &[u8]) -> Vec<u8> {
    const KEY: &[u8] = b"seconds";
    let mut kept = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(KEY.len()).position(|window| window == KEY) {
        let (before, after) = rest.split_at(at + KEY.len());
        kept.extend_from_slice(before);
        let quotes = after
            .iter()
            .take_while(|byte| br#"\":"#.contains(byte))
            .count();
        let number = after[quotes..]
            .iter()
            .take_while(|byte| byte.is_ascii_digit() || b".eE+-".contains(byte))
            .count();
        kept.extend_from_slice(&after[..quotes]);
        rest = &after[quotes + number..];
    }
    kept.extend_from_slice(rest);
    kept
}

/// True where a file has its seal and the seal is right, false for files without; else what was found.
fn is_sealed(bytes: &[u8], metadata: &BTreeMap<String, String>) -> Result<bool, String> {
    let damaged = || Err("another: a damaged file".to_owned());
    let Some(text) = metadata.get(METADATA_KEY) else {
        // the name of our metadata may be what was damaged
        return if metadata.values().any(|text| text.contains("\"seal\":")) {
            damaged()
        } else {
            Ok(false)
        };
    };
    let Ok(own) = serde_json::from_str::<BTreeMap<String, String>>(text) else {
        return Ok(false); // said with more words by `own_metadata`
    };
    let is_digest =
        |text: &str| text.len() == DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit());
    match (own.get(SEAL), seal_place(bytes)) {
        (Some(seal), Some(place)) if *seal == sealed_content(bytes, &place) => Ok(true),
        (Some(_), _) => damaged(),
        (None, _) if own.values().any(|text| is_digest(text)) => damaged(),
        (None, _) => Ok(false),
    }
}

impl Tensors {
    /// Our metadata without the seal; `None` in a file that another program wrote.
    ///
    /// # Errors
    /// [`Error::Input`] where it is there and is not an object of texts.
    pub fn own_metadata(&self, path: &Path) -> Result<Option<BTreeMap<String, String>>> {
        let Some(text) = self.metadata.get(METADATA_KEY) else {
            return Ok(None);
        };
        let mut parsed: BTreeMap<String, String> = serde_json::from_str(text)
            .map_err(|e| Error::input(path, "metadata of wcat-explore", e.to_string()))?;
        parsed.remove(SEAL);
        Ok(Some(parsed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path) {
        let a = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let b = Tensor::new(5f32, &Device::Cpu).unwrap();
        let c = Tensor::new(&[0u8, 7, 255], &Device::Cpu).unwrap();
        let metadata = BTreeMap::from([("x".into(), "1".into()), ("y".into(), "2".into())]);
        write_tensors(
            path,
            &[("c".into(), c), ("b".into(), b), ("a".into(), a)],
            &metadata,
        )
        .unwrap();
    }

    #[test]
    fn tensors_and_metadata_read_back_and_bytes_repeat() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("1"), folder.path().join("2"));
        write(&one);
        write(&two);
        assert_eq!(std::fs::read(&one).unwrap(), std::fs::read(&two).unwrap());
        let file = read_tensors(&one).unwrap();
        assert_eq!(file.tensors[0].0, "a");
        assert_eq!(
            file.tensors[0].1.to_vec2::<f32>().unwrap(),
            [[1.0, 2.0], [3.0, 4.0]]
        );
        assert_eq!(file.tensors[2].1.to_vec1::<u8>().unwrap(), [0, 7, 255]);
        assert_eq!(file.own_metadata(&one).unwrap().unwrap()["y"], "2");
    }

    #[test]
    fn a_file_cut_anywhere_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let (path, cut) = (
            folder.path().join("whole"),
            folder.path().join("cut.safetensors"),
        );
        write(&path);
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            store::write_bytes(&cut, &bytes[..length]).unwrap();
            let error = read_tensors(&cut).unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().contains("cut.safetensors"),
                "{length}: {error}"
            );
        }
    }

    #[test]
    fn any_flipped_bit_of_our_file_is_noticed_and_the_file_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("whole");
        let tensor = Tensor::new(&[0.5f32, -1.25], &Device::Cpu).unwrap();
        let model = r#"{"history":[{"seconds":0.25}],"format":1}"#;
        let metadata = BTreeMap::from([("model".into(), model.into())]);
        write_tensors(&path, &[("a.weight".into(), tensor)], &metadata).unwrap();
        let file = read_tensors(&path).unwrap();
        assert!(file.sealed);
        assert_eq!(file.own_metadata(&path).unwrap().unwrap(), metadata);
        let (whole, flipped) = (std::fs::read(&path).unwrap(), folder.path().join("flipped"));
        for place in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[place] ^= 1 << bit;
                store::write_bytes(&flipped, &bytes).unwrap();
                let read = read_tensors(&flipped)
                    .and_then(|file| file.own_metadata(&flipped).map(|own| (file, own)));
                match read {
                    Err(error) => assert!(error.to_string().contains("flipped"), "{error}"),
                    // nothing but wall seconds and the padding may differ
                    Ok((other, own)) => {
                        let text = |own: &BTreeMap<String, String>| {
                            String::from_utf8(without_seconds(own["model"].as_bytes())).unwrap()
                        };
                        assert_eq!(text(&own.unwrap()), text(&metadata), "{place} {bit}");
                        let values = |file: &Tensors| file.tensors[0].1.to_vec1::<f32>().unwrap();
                        assert_eq!(values(&other), values(&file));
                    }
                }
            }
        }
    }

    #[test]
    fn seals_of_equal_files_are_equal_whatever_seconds_they_took() {
        let folder = tempfile::tempdir().unwrap();
        let seal = |seconds: &str| {
            let path = folder.path().join(seconds);
            let text = format!("{{\"seconds\":{seconds},\"loss\":1.5}}");
            write_tensors(&path, &[], &BTreeMap::from([("training".into(), text)])).unwrap();
            let own = &read_tensors(&path).unwrap().metadata[METADATA_KEY];
            serde_json::from_str::<BTreeMap<String, String>>(own).unwrap()[SEAL].clone()
        };
        assert_eq!(seal("0.25"), seal("1.5e-3"));
    }

    #[test]
    fn files_of_ours_without_a_seal_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("before");
        let one = HashMap::from([(METADATA_KEY.to_owned(), r#"{"model":"x"}"#.to_owned())]);
        let none: [(&str, TensorView); 0] = [];
        store::write_bytes(&path, &safetensors::serialize(none, Some(one)).unwrap()).unwrap();
        assert!(!read_tensors(&path).unwrap().sealed);
    }
}
