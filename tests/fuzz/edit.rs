//! Structured edits of files: lengths, counts, names and numbers are changed and checksums made right again, so that
//! what stands behind the checksums is reached.

use std::io::{Cursor, Read, Write};
use wcat_explore::seed::{Purpose, Seed, Stream};

/// Chance of one input, from its target and number alone.
pub(crate) struct Rng(Stream);

impl Rng {
    pub(crate) fn new(target: &str, number: u64) -> Self {
        let target = u64::from(crc32fast::hash(target.as_bytes()));
        Self(Seed(16).stream(Purpose::Test, &[target, number]))
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.below(n.max(1) as u64) as usize
    }

    pub(crate) fn chance(&mut self, p: f64) -> bool {
        self.0.chance(p)
    }

    pub(crate) fn pick<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}

const BIG: [u64; 18] = [
    0,
    1,
    2,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0x8000,
    0xffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 40,
    1 << 53,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX,
];
const NUMBERS: [&str; 32] = [
    "0",
    "-0",
    "1",
    "-1",
    "2",
    "1e308",
    "-1e308",
    "5e-324",
    "1e999",
    "nan",
    ".nan",
    "inf",
    "-.inf",
    "255",
    "256",
    "65536",
    "4294967295",
    "4294967296",
    "9223372036854775808",
    "18446744073709551616",
    "99999999999999999999999999",
    "0x10",
    "1_000",
    "0.5",
    "0.9999999999999999",
    "100000",
    "1000001",
    "null",
    "true",
    "[]",
    "{}",
    "\"x\"",
];
const WORDS: [&str; 34] = [
    "",
    " ",
    "x",
    "'",
    "\"",
    "\\",
    "\n",
    "\r",
    "\t",
    "\0",
    "\u{1b}[31m",
    "\u{202e}",
    "\u{feff}",
    "=1+1",
    "../../etc/passwd",
    "#",
    "&a",
    "*a",
    "<<: *a",
    "!!binary aGk=",
    "|",
    ">",
    "---",
    "...",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "? ",
    "\u{1F600}",
    "schema",
    "<img src=x>",
];

/// How many edits an input has.
fn times(rng: &mut Rng) -> usize {
    rng.pick(&[1, 1, 1, 2, 4])
}

/// Some edits of bytes, most of them between two places.
pub(crate) fn bytes_within(rng: &mut Rng, data: &[u8], low: usize, high: usize) -> Vec<u8> {
    let mut data = data.to_vec();
    for _ in 0..times(rng) {
        if data.is_empty() {
            break;
        }
        let (low, high) = if rng.chance(0.8) {
            (low.min(data.len() - 1), high.min(data.len()))
        } else {
            (0, data.len())
        };
        let at = (low + rng.below(high.saturating_sub(low))).min(data.len() - 1);
        let end = |n: usize| (at + n).min(data.len());
        match rng.below(9) {
            0 | 1 => data[at] ^= 1 << rng.below(8),
            2 => data[at] = rng.pick(&[0, 1, 0x7f, 0x80, 0xff]),
            3 => {
                let (width, up) = (rng.pick(&[2, 4, 8]), rng.pick(&[0, 0, 1, u64::MAX]));
                let value = rng.pick(&BIG).wrapping_add(up);
                let little = value.to_le_bytes()[..width].to_vec();
                let big = value.to_be_bytes()[8 - width..].to_vec();
                let own = if rng.chance(0.5) { little } else { big };
                data.splice(at..end(width), own);
            }
            4 => data.truncate(at),
            5 => {
                let n = rng.pick(&[1, 2, 4, 8, 100]);
                data.drain(at..end(n));
            }
            6 => {
                let n = rng.pick(&[1, 2, 4, 8, 100]);
                let new: Vec<u8> = (0..n).map(|_| rng.below(256) as u8).collect();
                data.splice(at..at, new);
            }
            7 => {
                let (n, from) = (rng.pick(&[1, 4, 16, 256]), rng.below(data.len()));
                let own = data[from..(from + n).min(data.len())].to_vec();
                data.splice(at..at, own);
            }
            _ => {
                let (n, from) = (rng.pick(&[4, 16, 64]), rng.below(data.len()));
                let own = data[from..(from + n).min(data.len())].to_vec();
                data.splice(at..end(n), own);
            }
        }
    }
    data
}

pub(crate) fn bytes(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    bytes_within(rng, data, 0, data.len())
}

pub(crate) fn first_bytes(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    bytes_within(rng, data, 0, 16)
}

/// Ends of the runs of letters that `of` holds for.
fn spans(text: &[u8], of: fn(u8) -> bool) -> Vec<(usize, usize)> {
    let mut all = Vec::new();
    let mut start = None;
    for (i, &byte) in text.iter().chain([&0]).enumerate() {
        match (start, of(byte)) {
            (None, true) => start = Some(i),
            (Some(from), false) => {
                all.push((from, i));
                start = None;
            }
            _ => (),
        }
    }
    all
}

fn is_number(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)
}

/// Some edits of text: numbers, words and lines.
pub(crate) fn text(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let mut text = data.to_vec();
    for _ in 0..times(rng) {
        let at = rng.below(text.len() + 1);
        match rng.below(9) {
            0..=2 => {
                let numbers = spans(&text, is_number);
                if !numbers.is_empty() {
                    let (a, b) = rng.pick(&numbers);
                    text.splice(a..b, rng.pick(&NUMBERS).bytes());
                }
            }
            3 => {
                let word = rng.pick(&WORDS);
                let long = "a".repeat(300);
                let word = if rng.chance(0.05) {
                    long.as_str()
                } else {
                    word
                };
                text.splice(at..at, word.bytes());
            }
            4 | 5 => {
                let mut lines: Vec<&[u8]> = text.split(|b| *b == b'\n').collect();
                let (line, place) = (rng.below(lines.len()), rng.below(lines.len()));
                if rng.chance(0.5) {
                    lines.remove(line);
                } else {
                    lines.insert(place, lines[line]);
                }
                text = lines.join(&b'\n');
            }
            6 => {
                let words = spans(&text, is_word);
                if words.len() > 1 {
                    let ((a, b), (c, d)) = (rng.pick(&words), rng.pick(&words));
                    let other = text[c..d].to_vec();
                    text.splice(a..b, other);
                }
            }
            7 => text.truncate(at),
            _ => {
                let depth = rng.pick(&[1, 10, 200, 2000]);
                let open = rng.pick(&["[", "{a: ", "- ", "(", "{\"a\":"]).repeat(depth);
                text.splice(at..at, open.bytes());
            }
        }
    }
    if rng.chance(0.1) {
        return bytes(rng, &text);
    }
    text
}

/// A safetensors file of a header and data.
pub(crate) fn with_header(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header, data].concat()
}

fn header_length(data: &[u8]) -> usize {
    u64::from_le_bytes(data[..8].try_into().unwrap()) as usize
}

/// The header as text, its length made right; or bytes of it.
pub(crate) fn safetensors(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let end = 8 + header_length(data);
    if rng.chance(0.2) {
        return bytes_within(rng, data, 0, end);
    }
    with_header(&text(rng, &data[8..end]), &data[end..])
}

/// The header of packed images as text, its length and the checksum made right; or other bytes of the file.
pub(crate) fn packed(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    if rng.chance(0.1) {
        return bytes(rng, data);
    }
    let content = &data[..data.len() - 64];
    let edited = if rng.chance(0.3) {
        safetensors_data(rng, content)
    } else {
        safetensors(rng, content)
    };
    let sum = wcat_explore::store::sha256(&edited);
    [&edited, sum.as_bytes()].concat()
}

/// The data of a safetensors file.
pub(crate) fn safetensors_data(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    bytes_within(rng, data, 8 + header_length(data), data.len())
}

/// The description of the model inside the header: JSON within JSON.
pub(crate) fn description(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let end = 8 + header_length(data);
    let mut header: serde_json::Value = serde_json::from_slice(&data[8..end]).unwrap();
    let own = header["__metadata__"].as_object_mut().unwrap();
    let keys: Vec<String> = own.keys().cloned().collect();
    let key = &keys[rng.below(keys.len())];
    let inner = own[key].as_str().unwrap_or_default().to_owned();
    let parsed = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&inner);
    let edited = match parsed {
        // a part of it, which may be JSON as text again
        Ok(mut parts) if rng.chance(0.7) && !parts.is_empty() => {
            let names: Vec<String> = parts.keys().cloned().collect();
            let name = &names[rng.below(names.len())];
            let part = match &parts[name] {
                serde_json::Value::String(part) => part.clone(),
                other => other.to_string(),
            };
            let part = String::from_utf8_lossy(&text(rng, part.as_bytes())).into_owned();
            let part = serde_json::from_str(&part).unwrap_or(serde_json::Value::String(part));
            parts.insert(name.clone(), part);
            serde_json::to_string(&parts).unwrap()
        }
        _ => String::from_utf8_lossy(&text(rng, inner.as_bytes())).into_owned(),
    };
    own.insert(key.clone(), edited.into());
    with_header(&serde_json::to_vec(&header).unwrap(), &data[end..])
}

/// Files of a zip archive.
pub(crate) fn zipped(files: &[(String, Vec<u8>)], packed: bool) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let way = if packed {
        zip::CompressionMethod::Deflated
    } else {
        zip::CompressionMethod::Stored
    };
    let options = zip::write::SimpleFileOptions::default().compression_method(way);
    for (name, content) in files {
        archive.start_file(name.as_str(), options).unwrap();
        archive.write_all(content).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

/// One entry of a zip archive, its checksum made right; or the archive's own structure.
pub(crate) fn zip(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    if rng.chance(0.25) {
        let end = data.len();
        let (low, high) = rng.pick(&[(end.saturating_sub(600), end), (0, 300)]);
        return bytes_within(rng, data, low, high);
    }
    let mut files = unzipped(data);
    let edited = if rng.chance(0.8) {
        0
    } else {
        rng.below(files.len())
    };
    files[edited].1 = bytes(rng, &files[edited].1);
    zipped(&files, rng.chance(0.3))
}

/// The header of an array of an archive, its checksum made right.
pub(crate) fn npz(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let mut files = unzipped(data);
    let edited = rng.below(files.len());
    files[edited].1 = npy(rng, &files[edited].1);
    zipped(&files, rng.chance(0.3))
}

/// Names and content of the entries of a zip archive.
fn unzipped(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut archive = zip::ZipArchive::new(Cursor::new(data)).unwrap();
    let mut files = Vec::new();
    for i in 0..archive.len() {
        let mut file = archive.by_index(i).unwrap();
        let mut content = Vec::new();
        file.read_to_end(&mut content).unwrap();
        files.push((file.name().to_owned(), content));
    }
    files
}

pub(crate) fn gzipped(data: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(data).unwrap();
    out.finish().unwrap()
}

/// The content of a gzip file packed again, or its bytes.
pub(crate) fn gzip(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    if rng.chance(0.4) {
        return bytes(rng, data);
    }
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(data)
        .read_to_end(&mut plain)
        .unwrap();
    gzipped(&first_bytes(rng, &plain))
}

const SEAL: &[u8] = b"CRC-32 of this file with zeros here: ";

/// A table whose seal is made right again, or that has none; its description or its pages.
pub(crate) fn parquet(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let end = data.len() - 8;
    let footer = u32::from_le_bytes(data[end..end + 4].try_into().unwrap()) as usize;
    let (low, high) = rng.pick(&[(end - footer, end), (4, end - footer)]);
    let mut data = bytes_within(rng, data, low, high);
    let seal = data.windows(SEAL.len()).rposition(|part| part == SEAL);
    if let Some(seal) = seal.filter(|seal| seal + SEAL.len() + 8 <= data.len()) {
        let place = seal + SEAL.len()..seal + SEAL.len() + 8;
        if rng.chance(0.1) {
            data[seal] ^= 1;
        } else {
            data[place.clone()].copy_from_slice(b"00000000");
            let sum = format!("{:08x}", crc32fast::hash(&data));
            data[place].copy_from_slice(sum.as_bytes());
        }
    }
    data
}

/// Lines of a journal with the right checksum, or its bytes.
pub(crate) fn journal(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    if rng.chance(0.2) {
        return bytes(rng, data);
    }
    let mut lines: Vec<Vec<u8>> = data.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    for _ in 0..rng.pick(&[1, 1, 2]) {
        let at = rng.below(lines.len());
        if let Some(blank) = lines[at].iter().position(|b| *b == b' ') {
            let own = text(rng, &lines[at][blank + 1..]);
            let own: Vec<u8> = own.into_iter().filter(|b| *b != b'\n').collect();
            lines[at] = format!("{:08x} ", crc32fast::hash(&own)).into_bytes();
            lines[at].extend(own);
        }
        if rng.chance(0.2) {
            let (from, to) = (rng.below(lines.len()), rng.below(lines.len()));
            lines.insert(to, lines[from].clone());
        }
    }
    lines.join(&b'\n')
}

/// The body of one chunk of a PNG, its length and checksum made right; or bytes.
pub(crate) fn png(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    if rng.chance(0.25) {
        return bytes_within(rng, data, 0, 64);
    }
    let mut chunks = Vec::new();
    let mut at = 8;
    while at + 12 <= data.len() {
        let length = u32::from_be_bytes(data[at..at + 4].try_into().unwrap()) as usize;
        chunks.push((
            data[at + 4..at + 8].to_vec(),
            data[at + 8..at + 8 + length].to_vec(),
        ));
        at += 12 + length;
    }
    let which = rng.below(chunks.len());
    match rng.below(8) {
        0 => {
            chunks.remove(which);
        }
        1 => {
            let to = rng.below(chunks.len());
            chunks.insert(to, chunks[which].clone());
        }
        _ => chunks[which].1 = bytes(rng, &chunks[which].1),
    }
    let mut out = data[..8].to_vec();
    for (kind, body) in chunks {
        out.extend((body.len() as u32).to_be_bytes());
        let sum = crc32fast::hash(&[kind.as_slice(), &body].concat());
        out.extend([kind, body].concat());
        out.extend(sum.to_be_bytes());
    }
    out
}

pub(crate) fn jpeg(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let high = rng.pick(&[40, 200, 700, data.len()]);
    bytes_within(rng, data, 2, high)
}

/// The header of a NumPy file as text, its length made right; or bytes.
pub(crate) fn npy(rng: &mut Rng, data: &[u8]) -> Vec<u8> {
    let length = usize::from(u16::from_le_bytes([data[8], data[9]]));
    if rng.chance(0.3) {
        return bytes_within(rng, data, 0, 10 + length);
    }
    let header = text(rng, &data[10..10 + length]);
    let length = (header.len().min(0xffff) as u16).to_le_bytes();
    [
        &data[..8],
        &length,
        &header,
        &data[10 + usize::from(u16::from_le_bytes([data[8], data[9]]))..],
    ]
    .concat()
}
