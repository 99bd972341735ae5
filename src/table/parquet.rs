//! Columns of a Parquet file: flat ones, in plain and dictionary pages, in every compression. Every size that a file
//! states is compared with what it can hold before memory is taken, so that no content can exhaust it.

use super::thrift::{take, varint, Fields};
use super::MAX_ROWS;
use polars_parquet::parquet::compression::{decompress, Compression, DecompressionContext};
use std::sync::Arc;

/// Largest description of a file.
const LARGEST_FOOTER: usize = 1 << 24;
/// Largest description of a page.
const LARGEST_HEADER: usize = 1 << 16;
/// Rows that any file may claim, and how many more for each of its bytes.
const ROWS: (usize, usize) = (1 << 16, 16);
/// Bytes of text that any file may hold, and how many more for each of its bytes.
const TEXT: (usize, usize) = (1 << 27, 256);

/// What a column holds that is not there.
pub(super) const ABSENT: &str = "nothing";

/// Why a file is not read: what was found, for a message.
pub(super) type Found = String;

/// A file with its description.
pub(super) struct Parquet<'a> {
    bytes: &'a [u8],
    rows: usize,
    columns: Vec<Column<'a>>,
    /// Bytes of text that may still be unpacked.
    text: usize,
}

/// A column.
struct Column<'a> {
    name: &'a str,
    holds: &'static str,
    optional: bool,
    chunks: Vec<Chunk>,
}

/// The part of a column in a group of rows.
#[derive(Clone, Copy)]
struct Chunk {
    start: usize,
    end: usize,
    codec: i64,
    rows: usize,
}

/// A file that is not as its writer left it.
fn damaged(what: impl std::fmt::Display) -> Found {
    format!("a damaged file ({what})")
}

/// How a type of values is read: its bytes from the front of a plain page.
type Plain<V> = fn(&mut &[u8]) -> Option<V>;

impl<'a> Parquet<'a> {
    /// Reads the description at the end of a file.
    pub(super) fn open(bytes: &'a [u8]) -> Result<Self, Found> {
        let inside = bytes
            .strip_prefix(b"PAR1")
            .and_then(|rest| rest.strip_suffix(b"PAR1"));
        let Some((before, length)) = inside.and_then(|inside| inside.split_last_chunk::<4>())
        else {
            return Err("a truncated file, or one of another kind".into());
        };
        let length = u32::from_le_bytes(*length) as usize;
        if length > before.len().min(LARGEST_FOOTER) {
            return Err(damaged(format_args!("a description of {length} bytes")));
        }
        let end = 4 + before.len() - length;
        let description = Fields::take(&mut &before[before.len() - length..])
            .ok_or_else(|| damaged("its description"))?;
        let rows = description
            .size(3)
            .ok_or_else(|| damaged("its number of rows"))?;
        let fitting = (ROWS.0 + ROWS.1 * bytes.len()).min(MAX_ROWS);
        if rows > fitting {
            let found = format!("{rows} rows; {} bytes hold {fitting} at most", bytes.len());
            return Err(damaged(found));
        }
        let mut columns =
            columns(&description).ok_or_else(|| damaged("the description of its columns"))?;
        let groups = description.list(4).unwrap_or_default();
        let mut counted = 0usize;
        for group in groups {
            let of_group = group
                .size(3)
                .filter(|n| *n <= rows - counted)
                .ok_or_else(|| damaged("the rows of a group"))?;
            counted += of_group;
            let chunks = group.list(1).unwrap_or_default();
            if chunks.len() != columns.len() {
                return Err(damaged("a group of rows with other columns"));
            }
            for (column, chunk) in columns.iter_mut().zip(chunks) {
                let chunk = self::chunk(chunk, of_group, end).ok_or_else(|| {
                    damaged(format_args!("the place of column `{}`", column.name))
                })?;
                column.chunks.push(chunk);
            }
        }
        if counted != rows {
            return Err(damaged(format_args!(
                "groups of {counted} rows in all, not {rows}"
            )));
        }
        Ok(Self {
            bytes,
            rows,
            columns,
            text: TEXT.0.saturating_add(TEXT.1.saturating_mul(bytes.len())),
        })
    }

    /// Names of the columns in their order.
    pub(super) fn names(&self) -> Vec<&'a str> {
        self.columns.iter().map(|column| column.name).collect()
    }

    /// Rows of every column.
    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// What a column holds: `str`, `u64`, `i64`, `f64`, or something that is in no table of ours.
    pub(super) fn holds(&self, name: &str) -> &'static str {
        let mut all = self.columns.iter();
        all.find(|column| column.name == name)
            .map_or(ABSENT, |column| column.holds)
    }

    /// The cells of a column that holds `str`.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<Option<Arc<str>>>, Found> {
        let text = |bytes: &mut &[u8]| {
            let length = u32::from_le_bytes(take(bytes, 4)?.try_into().ok()?);
            let text = std::str::from_utf8(take(bytes, length as usize)?).ok()?;
            Some(Arc::from(text))
        };
        self.cells(name, "str", text)
    }

    /// The cells of a column that holds `u64`.
    pub(super) fn counts(&mut self, name: &str) -> Result<Vec<Option<u64>>, Found> {
        self.cells(name, "u64", |bytes| Some(u64::from_le_bytes(eight(bytes)?)))
    }

    /// The cells of a column that holds `i64`.
    pub(super) fn integers(&mut self, name: &str) -> Result<Vec<Option<i64>>, Found> {
        self.cells(name, "i64", |bytes| Some(i64::from_le_bytes(eight(bytes)?)))
    }

    /// The cells of a column that holds `f64`.
    pub(super) fn numbers(&mut self, name: &str) -> Result<Vec<Option<f64>>, Found> {
        self.cells(name, "f64", |bytes| Some(f64::from_le_bytes(eight(bytes)?)))
    }

    fn cells<V: Clone>(
        &mut self,
        name: &str,
        holds: &str,
        plain: Plain<V>,
    ) -> Result<Vec<Option<V>>, Found> {
        let mut all = self.columns.iter();
        let column = all.find(|column| column.name == name && column.holds == holds);
        let Some(column) = column else {
            return Err(format!("no column `{name}` of {holds}"));
        };
        let mut cells = Vec::new();
        for chunk in &column.chunks {
            let mut pages = Pages {
                rest: &self.bytes[chunk.start..chunk.end],
                chunk,
                optional: column.optional,
                text: (holds == "str").then_some(&mut self.text),
                context: DecompressionContext::Unset,
            };
            let whole = cells.len() + chunk.rows;
            pages.read(plain, &mut cells)?;
            if cells.len() != whole {
                return Err(damaged(format_args!("the rows of column `{name}`")));
            }
        }
        Ok(cells)
    }
}

/// Takes the bytes of a number from the front.
fn eight(bytes: &mut &[u8]) -> Option<[u8; 8]> {
    take(bytes, 8)?.try_into().ok()
}

/// The columns of a description, without their chunks: the leaves under the root, which must be all it has.
fn columns<'a>(description: &Fields<'a>) -> Option<Vec<Column<'a>>> {
    let elements = description.list(2)?;
    let (root, leaves) = elements.split_first()?;
    if root.size(5)? != leaves.len() {
        // groups within groups, or a wrong number
        let nested = leaves.iter().find(|leaf| leaf.get(5).is_some())?;
        let name = nested.text(4)?;
        return Some(vec![Column {
            name,
            holds: "groups",
            optional: false,
            chunks: Vec::new(),
        }]);
    }
    let column = |leaf: &&Fields<'a>| {
        Some(Column {
            name: leaf.text(4)?,
            holds: holds(leaf),
            optional: leaf.integer(3) == Some(1),
            chunks: Vec::new(),
        })
    };
    leaves.iter().map(column).collect()
}

/// What a leaf holds, from its physical type and its annotations.
fn holds(leaf: &Fields<'_>) -> &'static str {
    let logical = leaf.fields(10);
    let integer = logical.and_then(|logical| logical.fields(10));
    let converted = leaf.integer(6);
    if !matches!(leaf.integer(3), Some(0 | 1)) || leaf.get(5).is_some() {
        return "lists";
    }
    match leaf.integer(1) {
        Some(0) => "bool",
        Some(1) => "32-bit integers",
        Some(2) => match (integer.and_then(|kind| kind.flag(2)), converted) {
            (Some(true), _) | (None, Some(18)) => "i64",
            (Some(false), _) | (None, Some(14)) => "u64",
            (None, None) if logical.is_none() => "i64",
            _ => "times or decimals",
        },
        Some(4) => "f32",
        Some(5) => "f64",
        Some(6) => {
            let text = converted == Some(0) || logical.is_some_and(|l| l.get(1).is_some());
            if text {
                "str"
            } else {
                "binary"
            }
        }
        _ => "another type",
    }
}

/// Where the part of a column in a group of `rows` rows stands, before the description at `end`.
fn chunk(chunk: &Fields<'_>, rows: usize, end: usize) -> Option<Chunk> {
    let meta = chunk.fields(3).filter(|_| chunk.get(1).is_none())?;
    let data = meta.size(9)?;
    let dictionary = meta.size(11).filter(|place| *place > 0);
    let start = dictionary.map_or(data, |place| place.min(data));
    let stop = start.checked_add(meta.size(7)?)?;
    let fits = start >= 4 && stop <= end && meta.size(5)? == rows;
    fits.then_some(Chunk {
        start,
        end: stop,
        codec: meta.integer(4)?,
        rows,
    })
}

/// The pages of a chunk.
struct Pages<'a> {
    rest: &'a [u8],
    chunk: &'a Chunk,
    optional: bool,
    /// Bytes that may still be unpacked, where the column holds text.
    text: Option<&'a mut usize>,
    context: DecompressionContext,
}

impl Pages<'_> {
    /// Appends the cells of all pages.
    fn read<V: Clone>(&mut self, plain: Plain<V>, cells: &mut Vec<Option<V>>) -> Result<(), Found> {
        let mut dictionary: Option<Vec<V>> = None;
        let mut left = self.chunk.rows;
        while left > 0 {
            let window = self.rest.len().min(LARGEST_HEADER);
            let mut after = &self.rest[..window];
            let head = Fields::take(&mut after).ok_or_else(|| damaged("a page's description"))?;
            self.rest = &self.rest[window - after.len()..];
            let sizes = head.size(2).zip(head.size(3));
            let (unpacked, packed) = sizes.ok_or_else(|| damaged("the size of a page"))?;
            let body = take(&mut self.rest, packed).ok_or_else(|| damaged("a page cut short"))?;
            match head.integer(1) {
                Some(0) => {
                    let own = head.fields(5).ok_or_else(|| damaged("a page's kind"))?;
                    let body = self.unpack(body, unpacked)?;
                    let mut values = body.as_slice();
                    let count = number_of(own, left)?;
                    let levels = if self.optional {
                        let length = take(&mut values, 4).and_then(|n| n.try_into().ok());
                        let length = length.map_or(usize::MAX, |n| u32::from_le_bytes(n) as usize);
                        Some(take(&mut values, length).ok_or_else(|| damaged("its nulls"))?)
                    } else {
                        None
                    };
                    data(
                        own.integer(2),
                        values,
                        levels,
                        count,
                        dictionary.as_deref(),
                        plain,
                        cells,
                    )?;
                    left -= count;
                }
                Some(2) => {
                    let own = head.fields(7).ok_or_else(|| damaged("a page's kind"))?;
                    let count = number_of(own, self.chunk.rows)?;
                    let body = self.unpack(body, unpacked)?;
                    let all = plainly(&mut body.as_slice(), count, plain);
                    dictionary = Some(all.ok_or_else(|| damaged("a dictionary"))?);
                }
                Some(3) => {
                    let own = head.fields(8).ok_or_else(|| damaged("a page's kind"))?;
                    let count = number_of(own, left)?;
                    let levels = own.size(5).filter(|_| own.size(6) == Some(0));
                    let mut values = body;
                    let levels = levels.and_then(|length| take(&mut values, length));
                    let levels = levels.ok_or_else(|| damaged("its nulls"))?;
                    let unpacked = unpacked.saturating_sub(levels.len());
                    let values = if own.flag(7) == Some(false) {
                        values.to_vec()
                    } else {
                        self.unpack(values, unpacked)?
                    };
                    let levels = self.optional.then_some(levels);
                    data(
                        own.integer(4),
                        &values,
                        levels,
                        count,
                        dictionary.as_deref(),
                        plain,
                        cells,
                    )?;
                    left -= count;
                }
                _ => (), // an index
            }
        }
        Ok(())
    }

    /// The content of a page; its claimed size is checked against what the rows of the chunk can need.
    fn unpack(&mut self, body: &[u8], size: usize) -> Result<Vec<u8>, Found> {
        let most = match &mut self.text {
            Some(text) => {
                let most = **text;
                **text -= size.min(most);
                most
            }
            // eight bytes a number, and nulls in the most wasteful form
            None => LARGEST_HEADER + 16 * self.chunk.rows,
        };
        if size > most {
            return Err(damaged(format_args!("a page of {size} bytes")));
        }
        let codec = match self.chunk.codec {
            0 => {
                return if body.len() == size {
                    Ok(body.to_vec())
                } else {
                    Err(damaged("the size of a page"))
                }
            }
            1 => Compression::Snappy,
            2 => Compression::Gzip,
            4 => Compression::Brotli,
            5 => Compression::Lz4,
            6 => Compression::Zstd,
            7 => Compression::Lz4Raw,
            other => return Err(format!("pages of an unknown compression ({other})")),
        };
        let mut content = vec![0; size];
        if size > 0 {
            decompress(codec, body, &mut content, &mut self.context)
                .map_err(|e| damaged(format_args!("a page: {e}")))?;
        }
        Ok(content)
    }
}

/// Values of a page, which may be no more than there are.
fn number_of(page: &Fields<'_>, most: usize) -> Result<usize, Found> {
    page.size(1)
        .filter(|count| *count <= most)
        .ok_or_else(|| damaged("the number of values of a page"))
}

/// `count` values of a plain page.
fn plainly<V>(bytes: &mut &[u8], count: usize, plain: Plain<V>) -> Option<Vec<V>> {
    (0..count).map(|_| plain(bytes)).collect()
}

/// Appends the cells of a data page.
fn data<V: Clone>(
    encoding: Option<i64>,
    mut values: &[u8],
    levels: Option<&[u8]>,
    count: usize,
    dictionary: Option<&[V]>,
    plain: Plain<V>,
    cells: &mut Vec<Option<V>>,
) -> Result<(), Found> {
    let there = match levels {
        None => vec![1; count],
        Some(levels) => runs(levels, 1, count).ok_or_else(|| damaged("its nulls"))?,
    };
    let present = there.iter().filter(|level| **level == 1).count();
    let values = match encoding {
        Some(0) => plainly(&mut values, present, plain),
        Some(2 | 8) => dictionary.and_then(|all| chosen(values, present, all)),
        other => {
            let other = other.map_or("unknown".into(), |number| format!("number {number}"));
            return Err(format!(
                "pages in another encoding than plain and dictionary ({other})"
            ));
        }
    };
    let mut values = values
        .ok_or_else(|| damaged("a page's values"))?
        .into_iter();
    cells.extend(there.into_iter().map(|level| match level {
        1 => values.next(),
        _ => None,
    }));
    Ok(())
}

/// Values by their places in a dictionary; the first byte is the width of a place.
fn chosen<V: Clone>(mut places: &[u8], count: usize, dictionary: &[V]) -> Option<Vec<V>> {
    if count == 0 {
        return Some(Vec::new());
    }
    let width = u32::from(take(&mut places, 1)?[0]);
    let places = match width {
        0 => vec![0; count],
        _ => runs(places, width, count)?,
    };
    places
        .into_iter()
        .map(|place| dictionary.get(place as usize).cloned())
        .collect()
}

/// `count` numbers of `width` bits in Parquet's hybrid of repeated and packed runs.
fn runs(mut bytes: &[u8], width: u32, count: usize) -> Option<Vec<u32>> {
    if width > 32 {
        return None;
    }
    let mut all = Vec::new();
    while all.len() < count {
        let left = count - all.len();
        let head = varint(&mut bytes)?;
        let claimed = usize::try_from(head >> 1).ok()?;
        if head & 1 == 0 {
            let own = take(&mut bytes, width.div_ceil(8) as usize)?;
            let value = own
                .iter()
                .rev()
                .fold(0, |value, b| value << 8 | u32::from(*b));
            all.resize(all.len() + claimed.min(left), value);
            continue;
        }
        // groups of eight, the last of which may be cut off behind the last value
        let whole = claimed.saturating_mul(width as usize).min(bytes.len());
        let mut packed = take(&mut bytes, whole)?.iter();
        let (mut held, mut bits) = (0u64, 0);
        for _ in 0..claimed.saturating_mul(8).min(left) {
            while bits < width {
                held |= u64::from(*packed.next()?) << bits;
                bits += 8;
            }
            all.push((held & ((1 << width) - 1)) as u32);
            held >>= width;
            bits -= width;
        }
    }
    Some(all)
}
