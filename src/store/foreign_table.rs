//! Tables of numbers as laboratories write them: finds delimiter, decimal sign, header, comments and rows of a text.
//! What the columns mean is left to the readers of measurements and fault maps.
//!
//! Read are UTF-8, UTF-16 with its mark, and single bytes (Latin-1); line ends of any system; cells parted by commas,
//! semicolons, tabs, bars or blanks, with or without quotes; Excel's line `sep=;`; comments behind `#`, `%` or `//`
//! anywhere; a header that is itself a comment, as `numpy.savetxt` writes it; a row of units under the header.

mod number;
mod voltage;

pub use number::{Number, Size};
pub use voltage::VoltageColumn;

use crate::error::{printable, Error, Result};
use number::Marks;
use std::borrow::Cow;
use std::path::Path;

/// Longest line, in bytes.
const LONGEST_LINE: usize = 1 << 16;
/// Longest cell, in bytes.
const LONGEST_CELL: usize = 1000;
/// Most columns.
const MOST_COLUMNS: usize = 1000;
/// Most comment lines.
const MOST_COMMENTS: usize = 100_000;
/// Most characters of foreign text in a message.
const SHOWN: usize = 80;

/// A table whose rows are not yet read.
#[derive(Debug)]
pub struct ForeignTable<'a> {
    path: &'a Path,
    comments: Vec<(usize, &'a str)>,
    delimiter: Delimiter,
    marks: Marks,
    columns: Vec<String>,
    header_line: usize,
    /// The text, and the last line that is not yet a row.
    text: &'a str,
    before_rows: usize,
}

/// One row: its line and its cells, without blanks around them and quotes; as many as the header has, or fewer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignRow<'a> {
    /// Line number from 1.
    pub line: usize,
    /// Its cells.
    pub cells: Vec<Cow<'a, str>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    Character(char),
    Blanks,
}

impl ForeignRow<'_> {
    /// A cell; `None` where there is none or it is empty.
    pub fn cell(&self, column: usize) -> Option<&str> {
        let cell = self.cells.get(column)?;
        Some(cell.as_ref()).filter(|cell| !cell.is_empty())
    }
}

/// Foreign text for a message: cut and printable, in backquotes; `nothing` where it is empty.
pub fn excerpt(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "nothing".into();
    }
    format!("`{}`", printable(text, SHOWN))
}

/// The word of a header for comparison: small letters and digits, without what parts them; `%` is `pct`.
pub fn word(header: &str) -> String {
    let plain = header.to_lowercase().replace('%', " pct ");
    let plain = plain.replace(['µ', 'μ'], " micro");
    let words = plain.split(|c: char| !c.is_alphanumeric());
    words
        .filter(|word| !["in", "of", "the", "per"].contains(word))
        .collect()
}

/// Words of a header that mean the same, with blanks between them.
#[derive(Clone, Copy, Debug)]
pub struct Words(pub &'static str);

impl Words {
    /// True for one of them, as [`word`] makes it of a header.
    pub fn has(self, word: &str) -> bool {
        self.0.split(' ').any(|known| known == word)
    }
}

/// Decodes the bytes of a text file.
///
/// # Errors
/// [`Error::Input`] for archives (Excel files are such) and other data that are no text.
pub fn decode_text(path: &Path, expected: &str, bytes: Vec<u8>) -> Result<String> {
    let wrong = |found: &str| Error::input(path, format!("{expected} as text"), found);
    if bytes.starts_with(b"PK\x03\x04") {
        return Err(wrong("an archive (an Excel file is one: save it as CSV)"));
    }
    let text = match bytes.as_slice() {
        [0xff, 0xfe, rest @ ..] => from_utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => from_utf16(rest, u16::from_be_bytes),
        _ => match String::from_utf8(bytes) {
            Ok(text) => Some(text.trim_start_matches('\u{feff}').to_owned()),
            // single bytes: numbers and delimiters are the same in all such codes
            Err(error) => Some(
                error
                    .as_bytes()
                    .iter()
                    .map(|byte| char::from(*byte))
                    .collect(),
            ),
        },
    };
    text.filter(|text| !text.contains('\0'))
        .ok_or_else(|| wrong("other bytes"))
}

fn from_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Option<String> {
    let pairs = bytes.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    let units = pairs.map(|pair| unit([pair[0], pair[1]]));
    char::decode_utf16(units)
        .collect::<Result<String, _>>()
        .ok()
}

impl<'a> ForeignTable<'a> {
    /// Finds header, comments and form of a text; `path` is for errors, `expected` says which header it should have.
    ///
    /// # Errors
    /// [`Error::Input`] with its line for a text without header, and for lines, cells or columns beyond every use.
    pub fn new(path: &'a Path, text: &'a str, expected: &str) -> Result<Self> {
        let mut comments = Vec::new();
        let (mut content, mut said): (Vec<(usize, &str)>, Option<char>) = (Vec::new(), None);
        for (number, line) in lines(text) {
            if line.len() > LONGEST_LINE {
                let expected = format!("lines of at most {LONGEST_LINE} bytes");
                return Err(wrong(path, number, None, &expected, "a longer one"));
            }
            if let Some(comment) = comment_of(line) {
                comments.push((number, comment));
                if comments.len() > MOST_COMMENTS {
                    let expected = format!("at most {MOST_COMMENTS} comment lines");
                    return Err(wrong(path, number, None, &expected, "more"));
                }
            } else if content.is_empty() && said.is_none() && separator(line).is_some() {
                said = separator(line);
            } else if content.len() < 3 && !line.trim().is_empty() {
                content.push((number, line));
            }
        }
        let no_header = |found: &str| Error::input(path, expected, found);
        let Some(&(first_line, first)) = content.first() else {
            return Err(no_header(if text.trim().is_empty() {
                "an empty file"
            } else {
                "no header"
            }));
        };
        let mut table = Self {
            path,
            comments,
            delimiter: Delimiter::Character(','),
            marks: Marks::default(),
            columns: Vec::new(),
            header_line: first_line,
            text,
            before_rows: first_line,
        };
        let mut header = first;
        if !has_word(first) {
            // a row, whose header may be a comment
            let above = table
                .comments
                .iter()
                .rev()
                .find(|(line, _)| *line < first_line);
            let Some(&(line, comment)) = above else {
                return Err(wrong(path, first_line, None, expected, &excerpt(first)));
            };
            (header, table.header_line, table.before_rows) = (comment, line, first_line - 1);
            content.insert(0, (line, comment));
        }
        let row = content.get(1).map_or(header, |(_, row)| row);
        table.delimiter = match said {
            Some(said) => Delimiter::Character(said),
            None => delimiter(header, row),
        };
        table.read_header(header, content.get(1..).unwrap_or_default())?;
        table.read_marks()?;
        Ok(table)
    }

    fn read_header(&mut self, header: &str, below: &[(usize, &str)]) -> Result<()> {
        let cells = self.cells(self.header_line, header)?;
        if cells.len() > MOST_COLUMNS {
            let expected = format!("at most {MOST_COLUMNS} columns");
            return Err(self.wrong(self.header_line, None, &expected, &cells.len().to_string()));
        }
        self.columns = cells.into_iter().map(Cow::into_owned).collect();
        while self.columns.last().is_some_and(String::is_empty) {
            self.columns.pop();
        }
        let Some(&(line, units)) = below.first().filter(|_| below.len() > 1) else {
            return Ok(());
        };
        let has = |of: fn(char) -> bool| units.chars().any(of);
        if line > self.header_line && has(char::is_alphabetic) && !has(|c| c.is_ascii_digit()) {
            // a row of units
            let units = self.cells(line, units)?;
            for (column, unit) in self.columns.iter_mut().zip(units) {
                if unit.chars().any(|c| c.is_alphabetic() || c == '%') {
                    *column = format!("{column} ({unit})");
                }
            }
            self.before_rows = line;
        }
        Ok(())
    }

    /// Looks which decimal signs the cells show.
    fn read_marks(&mut self) -> Result<()> {
        if self.delimiter == Delimiter::Character(',') && !self.text.contains('"') {
            self.marks = Marks::POINT;
            return Ok(());
        }
        let mut marks = Marks::default();
        for row in self.rows() {
            row?.cells.iter().for_each(|cell| marks.look_at(cell));
        }
        self.marks = marks;
        Ok(())
    }

    /// Comment lines without their signs, and their numbers.
    pub fn comments(&self) -> &[(usize, &'a str)] {
        &self.comments
    }

    /// Names of the columns as they are written.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Line of the header.
    pub fn header_line(&self) -> usize {
        self.header_line
    }

    /// Rows in the order of the file, empty ones and repetitions of the header left out.
    ///
    /// # Errors
    /// Each row: [`Error::Input`] with its line where it has more cells than the header, one that is too long, or
    /// quotes that do not end.
    pub fn rows(&self) -> impl Iterator<Item = Result<ForeignRow<'a>>> + '_ {
        lines(self.text)
            .skip(self.before_rows)
            .filter(|(_, line)| !line.trim().is_empty() && comment_of(line).is_none())
            .map(|(line, text)| self.row(line, text))
            .filter(|row| !matches!(row, Ok(row) if row.cells.is_empty()))
    }

    fn row(&self, line: usize, text: &'a str) -> Result<ForeignRow<'a>> {
        let mut cells = self.cells(line, text)?;
        while cells.len() > self.columns.len() && cells.last().is_some_and(|cell| cell.is_empty()) {
            cells.pop();
        }
        if cells.len() > self.columns.len() {
            let advice = match self.delimiter {
                Delimiter::Character(',') => " (with decimal commas, part cells by `;` or tabs)",
                _ => "",
            };
            let expected = format!("{} fields as in the header{advice}", self.columns.len());
            return Err(self.wrong(line, None, &expected, &excerpt(text)));
        }
        let repeated = cells.len() == self.columns.len() && cells.iter().eq(&self.columns);
        if repeated || cells.iter().all(|cell| cell.is_empty()) {
            cells.clear();
        }
        Ok(ForeignRow { line, cells })
    }

    /// Cells of a line.
    fn cells<'t>(&self, line: usize, text: &'t str) -> Result<Vec<Cow<'t, str>>> {
        let cells = split(text, self.delimiter).ok_or_else(|| {
            let found = format!("{}, whose quotes do not", excerpt(text));
            self.wrong(line, None, "cells whose quotes end on their line", &found)
        })?;
        match cells.iter().find(|cell| cell.len() > LONGEST_CELL) {
            None => Ok(cells),
            Some(cell) => {
                let expected = format!("cells of at most {LONGEST_CELL} bytes");
                Err(self.wrong(line, None, &expected, &excerpt(cell)))
            }
        }
    }

    /// The number in a text of this table, with the unit behind it.
    ///
    /// # Errors
    /// What was expected, for a message.
    pub fn number<'t>(&self, text: &'t str, size: Size) -> Result<Number<'t>, &'static str> {
        Number::read(text, size, self.marks)
    }

    /// What is wrong on a line of the table.
    pub fn wrong(&self, line: usize, key: Option<&str>, expected: &str, found: &str) -> Error {
        wrong(self.path, line, key, expected, found)
    }
}

fn wrong(path: &Path, line: usize, key: Option<&str>, expected: &str, found: &str) -> Error {
    let key = key.map(|key| excerpt(key).trim_matches('`').to_owned());
    Error::input_at(path, Some(line), key.as_deref(), expected, found)
}

/// Lines with their numbers from 1, ended by a line feed, a carriage return or both.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = if text.contains('\n') { '\n' } else { '\r' };
    (1..).zip(text.split(end).map(|line| line.trim_end_matches('\r')))
}

/// True where a line has a word in it: numbers alone, exponents included, are no header.
fn has_word(line: &str) -> bool {
    let mut words = line.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word.starts_with(char::is_alphabetic))
}

/// The text of a comment line; a spreadsheet quotes it and adds the delimiters of its other columns.
fn comment_of(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches('"');
    let comment = ["#", "%", "//"]
        .iter()
        .find_map(|sign| line.strip_prefix(sign))?;
    let comment = comment.trim_start_matches(['#', '%']);
    Some(comment.trim().trim_end_matches([',', ';', '\t', '"', ' ']))
}

/// The delimiter that a line `sep=;` says.
fn separator(line: &str) -> Option<char> {
    let line = line.trim_matches(['"', ' ', '\r']);
    let (word, rest) = line.split_at_checked(4)?;
    let mut rest = rest.chars();
    let found = rest.next().filter(|c| [',', ';', '\t', '|'].contains(c))?;
    (word.eq_ignore_ascii_case("sep=") && rest.next().is_none()).then_some(found)
}

/// The delimiter of a header and the row below it: one by which they have equally many fields, the most.
fn delimiter(header: &str, row: &str) -> Delimiter {
    let fields = |line, delimiter| split(line, delimiter).map_or(0, |cells| cells.len());
    let (mut best, mut most, mut alike) = (Delimiter::Character(','), 1, false);
    for sign in ['\t', ';', '|', ','] {
        let sign = Delimiter::Character(sign);
        let (above, below) = (fields(header, sign), fields(row, sign));
        let equal = above == below && above > 1;
        if (equal, above) > (alike, most) {
            (best, most, alike) = (sign, above, equal);
        }
    }
    let blanks = fields(header, Delimiter::Blanks);
    if most == 1 && blanks > 1 {
        return Delimiter::Blanks;
    }
    best
}

/// Cells of a line; `None` where quotes do not end.
fn split(line: &str, delimiter: Delimiter) -> Option<Vec<Cow<'_, str>>> {
    let Delimiter::Character(sign) = delimiter else {
        let cells = line.split_whitespace().map(|cell| cell.trim_matches('"'));
        return Some(joined_units(cells));
    };
    if !line.contains('"') {
        return Some(line.split(sign).map(|cell| cell.trim().into()).collect());
    }
    let mut cells = Vec::new();
    let mut rest = line;
    loop {
        let start = rest.trim_start_matches(|c: char| c.is_whitespace() && c != sign);
        let Some(inside) = start.strip_prefix('"') else {
            let (cell, more) = match rest.split_once(sign) {
                Some((cell, more)) => (cell, Some(more)),
                None => (rest, None),
            };
            cells.push(cell.trim().into());
            match more {
                Some(more) => rest = more,
                None => return Some(cells),
            }
            continue;
        };
        // up to a quote that is not doubled
        let mut end = 0;
        loop {
            end += inside[end..].find('"')?;
            if !inside[end + 1..].starts_with('"') {
                break;
            }
            end += 2;
        }
        cells.push(inside[..end].trim().replace("\"\"", "\"").into());
        let after = &inside[end + 1..];
        match after.split_once(sign) {
            Some((between, more)) if between.trim().is_empty() => rest = more,
            None if after.trim().is_empty() => return Some(cells),
            _ => return None,
        }
    }
}

/// Words between blanks; a unit in brackets belongs to the word before it.
fn joined_units<'t>(words: impl Iterator<Item = &'t str>) -> Vec<Cow<'t, str>> {
    let mut cells: Vec<Cow<'t, str>> = Vec::new();
    for word in words {
        match cells.last_mut() {
            Some(last) if word.starts_with(['(', '[']) => *last = format!("{last} {word}").into(),
            _ => cells.push(word.into()),
        }
    }
    cells
}

#[cfg(test)]
mod tests;
