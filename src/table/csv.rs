//! CSV text (RFC 4180, line feeds) of cells and back through the `csv` crate; what the cells mean is said elsewhere.

use super::MAX_ROWS;
use crate::error::{Error, Result};
use std::path::Path;

/// CSV text, line by line.
pub(crate) struct Lines(csv::Writer<Vec<u8>>);

impl Lines {
    pub(crate) fn new() -> Self {
        Self(csv::Writer::from_writer(Vec::new()))
    }

    /// Appends a record; all are as wide as the first.
    pub(crate) fn push<C: AsRef<[u8]>>(
        &mut self,
        cells: impl IntoIterator<Item = C>,
    ) -> Result<()> {
        self.0
            .write_record(cells)
            .map_err(|e| unwritable(&e.to_string()))
    }

    pub(crate) fn finish(self) -> Result<String> {
        let bytes = self
            .0
            .into_inner()
            .map_err(|e| unwritable(&e.to_string()))?;
        String::from_utf8(bytes).map_err(|e| unwritable(&e.to_string()))
    }
}

fn unwritable(found: &str) -> Error {
    Error::argument("table", "records of one width", found)
}

/// One record and the line it starts on, from 1. Cells are `None` where nothing stands between the commas.
#[derive(Debug, PartialEq)]
pub(crate) struct Record {
    /// Line of its first character.
    pub(crate) line: usize,
    /// Its cells.
    pub(crate) cells: Vec<Option<String>>,
}

/// Splits CSV text into its header, which `check` may refuse, and records, each as wide as the header.
///
/// # Errors
/// [`Error::Input`] with path and line: empty text, no line feed at the end (a truncated file), a
/// record of another width (an open quote, for one), too many records.
pub(crate) fn from_csv(
    path: &Path,
    text: &str,
    check: impl FnOnce(&[&str]) -> Result<()>,
) -> Result<(Vec<String>, Vec<Record>)> {
    if text.is_empty() {
        return Err(Error::input(path, "a table in CSV", "an empty file"));
    }
    if !text.ends_with('\n') {
        return Err(Error::input(
            path,
            "a line feed at the end",
            "none: the file is truncated",
        ));
    }
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        // records of another width are refused below, with their line
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut all = reader
        .records()
        .map(|record| record.map_err(|e| Error::input(path, "CSV", e.to_string())));
    let header = all.next().transpose()?.unwrap_or_default();
    check(&header.iter().collect::<Vec<_>>())?;
    let header: Vec<String> = header.iter().map(str::to_owned).collect();
    let mut records = Vec::new();
    for record in all {
        let record = record?;
        let line = record
            .position()
            .map_or(0, |position| position.line() as usize);
        if record.len() != header.len() {
            let expected = format!("{} cells as in the header", header.len());
            return Err(wrong(path, line, &expected, &record.len().to_string()));
        }
        if records.len() == MAX_ROWS {
            return Err(wrong(
                path,
                line,
                &format!("at most {MAX_ROWS} rows"),
                "more",
            ));
        }
        records.push(Record {
            line,
            cells: record
                .iter()
                .map(|cell| (!cell.is_empty()).then(|| cell.to_owned()))
                .collect(),
        });
    }
    Ok((header, records))
}

fn wrong(path: &Path, line: usize, expected: &str, found: &str) -> Error {
    Error::input_at(path, Some(line), None, expected, found)
}

#[cfg(test)]
mod tests {
    use super::super::{csv_string, Columns};
    use super::*;
    use crate::seed::{Purpose, Seed};

    #[derive(Clone, Debug, Default)]
    struct Row(Option<String>, f64);

    impl super::super::Record for Row {
        const WHAT: &'static str = "a table of a test";

        fn columns<C: Columns>(&mut self, c: &mut C) -> Result<()> {
            c.column("name", &mut self.0)?;
            c.column("x", &mut self.1)
        }
    }

    #[test]
    fn any_text_and_any_finite_number_reads_back() {
        let mut stream = Seed(1).stream(Purpose::Test, &[]);
        let letters = ['a', ',', '"', '\n', '\r', 'é', ' '];
        let mut rows: Vec<Row> = vec![
            Row(None, 0.1),
            Row(Some("plain".into()), -0.0),
            Row(None, f64::MIN_POSITIVE),
        ];
        while rows.len() < 2000 {
            let name: String = (0..1 + stream.below(6))
                .map(|_| letters[stream.below(7) as usize])
                .collect();
            let bits = stream.below(u64::MAX);
            rows.extend(
                Some(f64::from_bits(bits))
                    .filter(|x| x.is_finite())
                    .map(|x| Row(Some(name), x)),
            );
        }
        let csv = csv_string(&rows).unwrap();
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
        let cells =
            |a: Option<&str>, b: Option<&str>| vec![a.map(String::from), b.map(String::from)];
        let read = |text: &str| from_csv(Path::new("t.csv"), text, |_| Ok(())).unwrap().1;
        let records = read("a,b\n1,\n\"x\ny\",2\n3,4\n");
        assert_eq!(
            records[0],
            Record {
                line: 2,
                cells: cells(Some("1"), None)
            }
        );
        assert_eq!(
            records[1],
            Record {
                line: 3,
                cells: cells(Some("x\ny"), Some("2"))
            }
        );
        assert_eq!(records[2].line, 5);
        assert_eq!(read("a,b\r\n1,\r\n")[0].cells, cells(Some("1"), None));
    }

    #[test]
    fn damaged_text_is_refused_with_its_line() {
        for (text, message) in [
            ("", "t.csv: expected a table in CSV, found an empty file"),
            (
                "a,b\n1,2",
                "t.csv: expected a line feed at the end, found none: the file is truncated",
            ),
            (
                "a,b\n1\n",
                "t.csv:2: expected 2 cells as in the header, found 1",
            ),
            (
                "a,b\n1,2,3\n",
                "t.csv:2: expected 2 cells as in the header, found 3",
            ),
            (
                "a,b\n\"1,2\n",
                "t.csv:2: expected 2 cells as in the header, found 1",
            ),
        ] {
            assert_eq!(
                from_csv(Path::new("t.csv"), text, |_| Ok(()))
                    .unwrap_err()
                    .to_string(),
                message
            );
        }
    }

    #[test]
    fn numbers_that_are_not_finite_are_not_written() {
        for x in [f64::NAN, f64::INFINITY] {
            let error = csv_string(&[Row(None, x)]).unwrap_err().to_string();
            assert!(
                error.starts_with("column `x`: expected a finite number, found"),
                "{error}"
            );
        }
    }
}
