//! CSV text (RFC 4180, line feeds) of rows and back to cells of text; what the cells mean is said elsewhere.

use super::field::{check_rows, Cell, Field};
use super::{MAX_ROWS, SCHEMA};
use crate::error::{Error, Result};
use std::borrow::Borrow;
use std::fmt::Write;
use std::path::Path;

/// The rows as CSV, the schema version first. Numbers are the shortest text that reads back as
/// the same number.
///
/// # Errors
/// [`Error::Argument`] that names the column of a value outside its range, or for too many rows.
pub(super) fn to_csv<T: 'static, R: Borrow<T>>(fields: &[Field<T>], rows: &[R]) -> Result<String> {
    check_rows(rows.len())?;
    let mut csv = String::from("schema");
    for field in fields {
        csv.push(',');
        csv.push_str(field.name);
    }
    csv.push('\n');
    for row in rows {
        push(&mut csv, Cell::Count(SCHEMA));
        for field in fields {
            csv.push(',');
            push(&mut csv, field.cell(row.borrow())?);
        }
        csv.push('\n');
    }
    Ok(csv)
}

fn push(csv: &mut String, cell: Cell<'_>) {
    // writing to a String cannot fail
    let _ = match cell {
        Cell::Null => Ok(()),
        Cell::Count(n) => write!(csv, "{n}"),
        Cell::Number(x) => write!(csv, "{x:?}"),
        Cell::Text(text) if text.contains([',', '"', '\n', '\r']) => {
            write!(csv, "\"{}\"", text.replace('"', "\"\""))
        }
        Cell::Text(text) => csv.write_str(text),
    };
}

/// One record and the line it starts on, from 1. Cells are `None` where nothing stands between the commas.
#[derive(Debug, PartialEq)]
pub(super) struct Record {
    /// Line of its first character.
    pub(super) line: usize,
    /// Its cells.
    pub(super) cells: Vec<Option<String>>,
}

/// Splits CSV text into its header, which `check` may refuse, and records, each as wide as the header.
///
/// # Errors
/// [`Error::Input`] with path and line: empty text, no line feed at the end (a truncated file), an
/// open or misplaced quote, a record of another width, too many records.
pub(super) fn from_csv(
    path: &Path,
    text: &str,
    check: impl FnOnce(&[&str]) -> Result<()>,
) -> Result<(Vec<String>, Vec<Record>)> {
    if text.is_empty() {
        return Err(Error::input(path, "a table in CSV", "an empty file"));
    }
    if !text.ends_with('\n') {
        return Err(Error::input(path, "a line feed at the end", "none: the file is truncated"));
    }
    let mut splitter = Splitter { path, rest: text, line: 1 };
    let header = splitter.record()?;
    let header: Vec<String> = header.cells.into_iter().map(Option::unwrap_or_default).collect();
    check(&header.iter().map(String::as_str).collect::<Vec<_>>())?;
    let mut records = Vec::new();
    while !splitter.rest.is_empty() {
        let record = splitter.record()?;
        if record.cells.len() != header.len() {
            let found = record.cells.len().to_string();
            return Err(wrong(
                path,
                record.line,
                &format!("{} cells as in the header", header.len()),
                &found,
            ));
        }
        if records.len() == MAX_ROWS {
            return Err(wrong(path, record.line, &format!("at most {MAX_ROWS} rows"), "more"));
        }
        records.push(record);
    }
    Ok((header, records))
}

fn wrong(path: &Path, line: usize, expected: &str, found: &str) -> Error {
    let (path, expected, found) = (path.to_owned(), expected.to_owned(), found.to_owned());
    Error::Input { path, line: Some(line), key: None, expected, found }
}

struct Splitter<'a> {
    path: &'a Path,
    rest: &'a str,
    line: usize,
}

impl Splitter<'_> {
    fn record(&mut self) -> Result<Record> {
        let (line, mut cells) = (self.line, Vec::new());
        loop {
            cells.push(self.cell()?);
            let more = self.rest.starts_with(',');
            let end = if self.rest.starts_with("\r\n") { 2 } else { 1 };
            self.rest = self.rest.get(end..).unwrap_or_default();
            if !more {
                self.line += 1;
                return Ok(Record { line, cells });
            }
        }
    }

    /// One cell; the rest then starts with a comma or the end of the line.
    fn cell(&mut self) -> Result<Option<String>> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find([',', '\n']).unwrap_or(self.rest.len());
            let cell = &self.rest[..end];
            let cell = if self.rest[end..].starts_with('\n') {
                cell.strip_suffix('\r').unwrap_or(cell)
            } else {
                cell
            };
            self.rest = &self.rest[cell.len()..];
            return Ok((!cell.is_empty()).then(|| cell.to_owned()));
        };
        self.rest = quoted;
        let (start, mut cell) = (self.line, String::new());
        loop {
            let Some(end) = self.rest.find('"') else {
                return Err(wrong(self.path, start, "a closing quote", "none: the file is truncated"));
            };
            cell.push_str(&self.rest[..end]);
            self.line += self.rest[..end].matches('\n').count();
            self.rest = &self.rest[end + 1..];
            if !self.rest.starts_with('"') {
                break;
            }
            cell.push('"');
            self.rest = &self.rest[1..];
        }
        if [",", "\n", "\r\n"].iter().any(|end| self.rest.starts_with(end)) {
            return Ok(Some(cell));
        }
        Err(wrong(self.path, self.line, "a comma or the end of the line after a quote", "something else"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::field::{number, optional_text, FINITE};
    use super::*;
    use crate::seed::{Purpose, Seed};

    type Row = (Option<String>, f64);

    fn fields() -> Vec<Field<Row>> {
        vec![optional_text("name", |row: &Row| row.0.as_deref()), number("x", FINITE, |row: &Row| row.1)]
    }

    #[test]
    fn any_text_and_any_finite_number_reads_back() {
        let mut stream = Seed(1).stream(Purpose::Test, &[]);
        let letters = ['a', ',', '"', '\n', '\r', 'é', ' '];
        let mut rows: Vec<Row> = vec![(None, 0.1), (Some("plain".into()), -0.0), (None, f64::MIN_POSITIVE)];
        while rows.len() < 2000 {
            let name: String = (0..1 + stream.below(6)).map(|_| letters[stream.below(7) as usize]).collect();
            let bits = stream.below(u64::MAX);
            rows.extend(Some(f64::from_bits(bits)).filter(|x| x.is_finite()).map(|x| (Some(name), x)));
        }
        let csv = to_csv(&fields(), &rows).unwrap();
        let (header, records) = from_csv(Path::new("t.csv"), &csv, |_| Ok(())).unwrap();
        assert_eq!(header, ["schema", "name", "x"]);
        assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            assert_eq!(record.cells[1], row.0);
            let x: f64 = record.cells[2].as_ref().unwrap().parse().unwrap();
            assert_eq!(x.to_bits(), row.1.to_bits());
        }
    }

    #[test]
    fn both_kinds_of_line_ends_are_read_and_lines_counted() {
        let (_, records) =
            from_csv(Path::new("t.csv"), "a,b\r\n1,\r\n\"x\ny\",2\n3,4\n", |_| Ok(())).unwrap();
        let cells = |a: Option<&str>, b: Option<&str>| vec![a.map(String::from), b.map(String::from)];
        assert_eq!(records[0], Record { line: 2, cells: cells(Some("1"), None) });
        assert_eq!(records[1], Record { line: 3, cells: cells(Some("x\ny"), Some("2")) });
        assert_eq!(records[2].line, 5);
    }

    #[test]
    fn damaged_text_is_refused_with_its_line() {
        for (text, message) in [
            ("", "t.csv: expected a table in CSV, found an empty file"),
            ("a,b\n1,2", "t.csv: expected a line feed at the end, found none: the file is truncated"),
            ("a,b\n1\n", "t.csv:2: expected 2 cells as in the header, found 1"),
            ("a,b\n1,2,3\n", "t.csv:2: expected 2 cells as in the header, found 3"),
            ("a,b\n1,\"2\n", "t.csv:2: expected a closing quote, found none: the file is truncated"),
            (
                "a\n\"2\"x\n",
                "t.csv:2: expected a comma or the end of the line after a quote, found something else",
            ),
        ] {
            assert_eq!(from_csv(Path::new("t.csv"), text, |_| Ok(())).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_not_written() {
        for x in [f64::NAN, f64::INFINITY] {
            let error = to_csv(&fields(), &[(None, x)]).unwrap_err().to_string();
            assert!(error.starts_with("column `x`: expected a finite number, found"), "{error}");
        }
    }
}
