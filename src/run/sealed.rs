//! Small results in files of their own, each a JSON with its checksum.

use crate::store;

/// A JSON with its checksum, as one JSON object.
pub(super) fn sealed(unit: &str) -> String {
    format!(
        "{{\"sha256\":\"{}\",\"unit\":{unit}}}",
        store::sha256(unit.as_bytes())
    )
}

/// The JSON inside; `None` where its checksum is another. An attack without one was written before there were checksums.
pub(super) fn unsealed(text: &str) -> Option<&str> {
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
