//! What a model file is, by its content; its name says nothing.

/// Forms of model files that are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    Safetensors,
    /// A message of ONNX.
    Onnx,
    /// Of `torch.save`, in either form.
    Checkpoint,
}

impl Content {
    /// The form of a file of these bytes; else what it is instead, in words, where that is known.
    pub(super) fn of(bytes: &[u8]) -> Result<Self, Option<&'static str>> {
        // the length of a header in JSON, then the header
        if bytes.get(8) == Some(&b'{') && !bytes.starts_with(b"version ") {
            return Ok(Self::Safetensors);
        }
        let pickled = matches!(bytes, [0x80, 0..=5, ..]) || bytes.starts_with(b"L1195470371460388");
        if pickled || bytes.starts_with(b"PK\x03\x04") {
            return Ok(Self::Checkpoint);
        }
        // the version of the format comes first
        if matches!(bytes, [0x08, 1..=64, ..]) {
            return Ok(Self::Onnx);
        }
        Err(other(bytes))
    }
}

/// Kinds of files that stand where a model was meant, by their first bytes.
const OTHERS: [(&[u8], &str); 10] = [
    (
        b"version https://git-lfs.github.com/spec/",
        "a Git LFS pointer, which stands for a file that was not fetched (`git lfs pull`)",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes it"),
    (b"\x1f\x8b", "a gzip file: unpack it first"),
    (b"BZh", "a bzip2 file: unpack it first"),
    (b"\xfd7zXZ\0", "an xz file: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"GGUF", "a GGUF file"),
    (b"%PDF", "a PDF"),
];

fn other(bytes: &[u8]) -> Option<&'static str> {
    if let Some((_, name)) = OTHERS.iter().find(|(start, _)| bytes.starts_with(start)) {
        return Some(name);
    }
    if bytes.get(257..262) == Some(b"ustar") {
        return Some("a tar archive: unpack it first");
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let head = text.trim_ascii_start();
    let head = head[..head.len().min(512)].to_ascii_lowercase();
    let begins = |start: &str| head.starts_with(start.as_bytes());
    if begins("<!doctype") || begins("<html") || begins("<head") || begins("<!--") {
        return Some("an HTML page, such as a site gives in place of a download");
    }
    if begins("<?xml") {
        return Some("an XML text, such as a site gives in place of a download");
    }
    (begins("{") || begins("["))
        .then_some("a JSON text, such as a site gives in place of a download")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_known_by_their_content() {
        let header = [b"\x10\0\0\0\0\0\0\0".as_slice(), b"{\"a\":{}}"].concat();
        assert_eq!(Content::of(&header), Ok(Content::Safetensors));
        for checkpoint in [
            b"PK\x03\x04a".as_slice(),
            b"\x80\x02\x8a\x0al",
            b"L119547037146038801333356L\n.",
        ] {
            assert_eq!(Content::of(checkpoint), Ok(Content::Checkpoint));
        }
        for (bytes, word) in [
            (
                b"version https://git-lfs.github.com/spec/v1\noid sha256:0".as_slice(),
                "Git LFS",
            ),
            (b"\n <!DOCTYPE html><html>", "HTML"),
            (b"\xef\xbb\xbf<HTML>", "HTML"),
            (b"{\"error\": \"no such file\"}", "JSON"),
            (b"\x1f\x8b\x08", "gzip"),
        ] {
            let found = Content::of(bytes).unwrap_err().unwrap();
            assert!(found.contains(word), "{found}");
        }
        assert_eq!(Content::of(b""), Err(None));
        assert_eq!(Content::of(b"text"), Err(None));
    }
}
