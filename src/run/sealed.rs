//! Small results in files of their own, each a JSON with its checksum.

use crate::error::{Error, Result};
use crate::store;
use serde::de::DeserializeOwned;
use serde::Serialize;
use std::path::Path;

/// Largest file.
const LARGEST: u64 = 1 << 30;

/// Writes a result; `what` it is, for messages.
///
/// # Errors
/// [`Error::Io`].
pub(super) fn write(path: &Path, what: &str, result: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string(result)
        .map_err(|e| Error::argument(what, "something JSON can hold", e.to_string()))?;
    store::write_bytes(path, sealed(&json).as_bytes())
}

/// Reads a result.
///
/// # Errors
/// [`Error::Missing`]; [`Error::Input`] for a damaged file, and for one of something else.
pub(super) fn read<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T> {
    let text = store::read_text(path, what, LARGEST)?;
    let json = unsealed(&text).ok_or_else(|| {
        let expected = format!("{what} with the checksum of its content");
        Error::input(path, expected, "a damaged file")
    })?;
    serde_json::from_str(json).map_err(|e| Error::input(path, what, e.to_string()))
}

/// A JSON with its checksum, as one JSON object.
fn sealed(unit: &str) -> String {
    format!(
        "{{\"sha256\":\"{}\",\"unit\":{unit}}}",
        store::sha256(unit.as_bytes())
    )
}

/// The JSON inside; `None` where its checksum is another. An attack without one was written before there were checksums.
fn unsealed(text: &str) -> Option<&str> {
    let Some(rest) = text.strip_prefix("{\"sha256\":\"") else {
        return text.starts_with("{\"row\":").then_some(text);
    };
    let (_, rest) = rest.split_once("\",\"unit\":")?;
    let unit = rest.strip_suffix('}')?;
    (sealed(unit) == text).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_of_a_finished_attack_is_noticed() {
        let unit = "{\"row\":{\"a\":1},\"search\":[]}";
        let text = sealed(unit);
        assert_eq!((unsealed(&text), unsealed(unit)), (Some(unit), Some(unit)));
        for place in 0..text.len() {
            for bit in 0..7 {
                let mut bytes = text.clone().into_bytes();
                bytes[place] ^= 1 << bit;
                let flipped = String::from_utf8(bytes).unwrap();
                assert_eq!(unsealed(&flipped), None, "{flipped}");
            }
        }
    }
}
