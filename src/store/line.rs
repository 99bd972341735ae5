//! Where in a YAML text something is wrong: the line of a key, for values that parse but are wrong,
//! and the reader's own messages put into our form. Reading YAML is the affair of others.

use crate::error::Error;
use std::path::Path;

/// The error for a text that the YAML reader refused, from its message and line: key, what was
/// expected and what was found, as far as the message tells them apart.
pub fn yaml_error(path: &Path, message: &str, line: Option<usize>) -> Error {
    let place = message.rfind(" at line ").unwrap_or(message.len());
    let (mut key, mut text) = (None, message[..place].trim());
    if let Some((before, after)) = text.split_once(": ") {
        if !before.contains(' ') {
            (key, text) = (Some(before.to_owned()), after);
        }
    }
    let within = |name: &str| match &key {
        Some(parent) => format!("{parent}.{name}"),
        None => name.to_owned(),
    };
    let quoted = |start: &str| {
        text.strip_prefix(start)?
            .split_once('`')
            .map(|(name, _)| name)
    };
    let wanted = text
        .split_once(", expected ")
        .map(|(found, expected)| (expected.to_owned(), found.to_owned()));
    let (key, expected, found) = if let Some(name) = quoted("missing field `") {
        (Some(within(name)), "this key".into(), "no such key".into())
    } else if let Some(name) = quoted("duplicate field `") {
        (
            Some(within(name)),
            "this key once".into(),
            "it twice".into(),
        )
    } else if let Some((expected, found)) = wanted {
        let found = ["invalid type: ", "invalid value: ", "invalid "]
            .iter()
            .find_map(|start| found.strip_prefix(start))
            .map_or_else(
                || found.replace("unknown field", "unknown key"),
                str::to_owned,
            );
        (key, in_words(expected), found)
    } else {
        (key, "valid YAML".into(), message.to_owned())
    };
    Error::Input {
        path: path.to_owned(),
        line,
        key,
        expected,
        found,
    }
}

/// The names of number types, in words.
fn in_words(expected: String) -> String {
    match expected.as_str() {
        "f32" | "f64" => "a number".into(),
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number, 0 or more".into(),
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number".into(),
        _ => expected,
    }
}

/// Line number, from 1, of a key or list item given by its path: `["energy", "access"]`, or
/// `["bit_error_rate", "points", "3"]` for item 3, from 0, of a list. `None` where the text has no
/// such key. Understands nested blocks, lists and flow collections (`{..}`, `[..]`) over any
/// number of lines; not anchors, merges, or several documents.
pub fn line_of_key(text: &str, path: &[&str]) -> Option<usize> {
    search(text, path, &mut None)
}

/// The line of a key, or of the nearest one above it where the text does not show the key itself (an alias).
pub fn nearest_line(text: &str, path: &[&str]) -> Option<usize> {
    let mut nearest = None;
    search(text, path, &mut nearest);
    nearest
}

/// Looks for a path; `nearest` becomes the line of the last key or item on it that is there.
fn search(text: &str, path: &[&str], nearest: &mut Option<usize>) -> Option<usize> {
    let lines: Vec<Line> = (1..)
        .zip(text.lines())
        .filter_map(|(n, line)| Line::of(n, line))
        .collect();
    let (first, rest) = lines.split_first()?;
    in_block(text, *first, rest, path, nearest)
}

/// One line that is neither blank nor a comment.
#[derive(Clone, Copy, Debug)]
struct Line<'a> {
    number: usize,
    indent: usize,
    /// From the first character on.
    content: &'a str,
}

impl<'a> Line<'a> {
    fn of(number: usize, line: &'a str) -> Option<Self> {
        let content = line.trim_start_matches(' ');
        let empty = content.is_empty() || content.starts_with('#') || content.starts_with("---");
        (!empty).then_some(Self {
            number,
            indent: line.len() - content.len(),
            content,
        })
    }

    /// What follows the dash of a list item, as a line of its own.
    fn item(self) -> Option<Self> {
        let rest = self
            .content
            .strip_prefix('-')
            .filter(|rest| rest.is_empty() || rest.starts_with(' '))?;
        let content = rest.trim_start_matches(' ');
        Some(Self {
            indent: self.indent + self.content.len() - content.len(),
            content,
            ..self
        })
    }

    /// Key and what follows its colon.
    fn key(self) -> Option<(&'a str, &'a str)> {
        let quote = self
            .content
            .chars()
            .next()
            .filter(|c| matches!(c, '"' | '\''));
        let end = match quote {
            Some(quote) => 2 + self.content[1..].find(quote)?,
            None => self
                .content
                .find(": ")
                .or_else(|| self.content.trim_end().strip_suffix(':').map(str::len))?,
        };
        let rest = self.content[end..].trim_start().strip_prefix(':')?;
        Some((
            self.content[..end].trim_end().trim_matches(['"', '\'']),
            rest,
        ))
    }
}

/// Looks for a path in lines that form one block: the first and the rest.
fn in_block(
    text: &str,
    first: Line,
    rest: &[Line],
    path: &[&str],
    nearest: &mut Option<usize>,
) -> Option<usize> {
    let (name, deeper) = path.split_first()?;
    if first.content.starts_with(['{', '[']) {
        return in_flow(text, first.content, first.number, path, nearest);
    }
    if first.item().is_some() {
        return in_list(text, first, rest, path, nearest);
    }
    let is_key = |line: &Line| {
        line.indent == first.indent && line.key().is_some_and(|(key, _)| key == *name)
    };
    let (line, below) = if is_key(&first) {
        (first, rest)
    } else {
        let place = rest.iter().position(is_key)?;
        (rest[place], &rest[place + 1..])
    };
    *nearest = Some(line.number);
    if deeper.is_empty() {
        return Some(line.number);
    }
    let (_, after) = line.key()?;
    let value = after.trim_start();
    if value.starts_with(['{', '[']) {
        return in_flow(text, value, line.number, deeper, nearest);
    }
    // a list may stand at the indentation of its key
    let inside =
        |l: &&Line| l.indent > line.indent || (l.indent == line.indent && l.item().is_some());
    let (first, rest) = below[..below.iter().take_while(inside).count()].split_first()?;
    in_block(text, *first, rest, deeper, nearest)
}

/// Looks for an item of a list of dashes, and for what the path says in it.
fn in_list(
    text: &str,
    first: Line,
    rest: &[Line],
    path: &[&str],
    nearest: &mut Option<usize>,
) -> Option<usize> {
    let (name, deeper) = path.split_first()?;
    let index: usize = name.parse().ok()?;
    let dashes = |l: &(usize, &Line)| l.1.indent == first.indent && l.1.item().is_some();
    let (line, below) = match index.checked_sub(1) {
        None => (first, rest),
        Some(before) => {
            let (place, line) = rest.iter().enumerate().filter(dashes).nth(before)?;
            (*line, &rest[place + 1..])
        }
    };
    *nearest = Some(line.number);
    if deeper.is_empty() {
        return Some(line.number);
    }
    let inside = below.iter().take_while(|l| l.indent > first.indent).count();
    let below = &below[..inside];
    match line.item().filter(|item| !item.content.is_empty()) {
        Some(item) => in_block(text, item, below, deeper, nearest),
        None => {
            let (first, rest) = below.split_first()?;
            in_block(text, *first, rest, deeper, nearest)
        }
    }
}

/// Looks for a path in the flow collection that starts with `start`, a piece of `text` on line `number`.
fn in_flow(
    text: &str,
    start: &str,
    number: usize,
    path: &[&str],
    nearest: &mut Option<usize>,
) -> Option<usize> {
    let offset = start.as_ptr() as usize - text.as_ptr() as usize;
    Flow {
        bytes: text.get(offset..)?.as_bytes(),
        at: 0,
        line: number,
    }
    .find(path, nearest)
}

/// A cursor in a flow collection.
struct Flow<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
}

impl Flow<'_> {
    /// Line of the path in the collection that opens at the cursor.
    fn find(mut self, path: &[&str], nearest: &mut Option<usize>) -> Option<usize> {
        for (depth, name) in path.iter().enumerate() {
            self.enter(name)?;
            *nearest = Some(self.line);
            if depth + 1 == path.len() {
                return Some(self.line);
            }
            self.enter_value();
        }
        None
    }

    /// Moves from an opening bracket to the key or item of that name.
    fn enter(&mut self, name: &str) -> Option<()> {
        let is_map = match self.next()? {
            b'{' => true,
            b'[' => false,
            _ => return None,
        };
        for index in 0.. {
            self.skip_space();
            if matches!(self.peek()?, b'}' | b']') {
                return None;
            }
            if if is_map {
                self.key_is(name)
            } else {
                name.parse() == Ok(index)
            } {
                return Some(());
            }
            self.skip_value()?;
        }
        None
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    fn skip_space(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' => {
                    while self.peek().is_some_and(|b| b != b'\n') {
                        self.at += 1
                    }
                }
                b if b.is_ascii_whitespace() => {
                    self.next();
                }
                _ => return,
            }
        }
    }

    /// True where the key at the cursor has this name; the cursor stays.
    fn key_is(&self, name: &str) -> bool {
        let rest = &self.bytes[self.at..];
        let quoted = matches!(rest.first(), Some(b'"' | b'\''));
        let key = &rest[usize::from(quoted)..];
        key.strip_prefix(name.as_bytes()).is_some_and(|after| {
            let after = if quoted {
                after.get(1..).unwrap_or_default()
            } else {
                after
            };
            after.trim_ascii_start().starts_with(b":")
        })
    }

    /// Moves from a key or an item to its value.
    fn enter_value(&mut self) {
        if matches!(self.peek(), Some(b'{' | b'[')) {
            return;
        }
        while self
            .peek()
            .is_some_and(|b| !matches!(b, b':' | b',' | b'}' | b']'))
        {
            self.next();
        }
        if self.peek() == Some(b':') {
            self.next();
        }
        self.skip_space();
    }

    /// Moves behind the comma that ends the present key or item, or onto the closing bracket.
    fn skip_value(&mut self) -> Option<()> {
        let mut depth = 0;
        loop {
            match self.peek()? {
                b',' if depth == 0 => {
                    self.next();
                    return Some(());
                }
                b'}' | b']' if depth == 0 => return Some(()),
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                quote @ (b'"' | b'\'') => {
                    self.next();
                    while self.peek()? != quote {
                        self.next();
                    }
                }
                _ => {}
            }
            self.next();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# a comment: 1
name: model
"title": "a: b"
voltage: { unit: vmin, error_free: 1.0,
           reference: "x, {y}: z" }   # trailing
rate:
  # inside
  points: [[0.7, 1e-1],
    [0.8, 1e-2],   # error_free: 3
    [0.9, 1e-3]]
  other: 2
layers:
- name: a
  bits: [4, 8]
- name: b
  inner:
    - 1
    - { k: 2 }
energy:
  access:
    at: 1.0
  name: deep
"#;

    #[test]
    fn messages_of_the_reader_are_taken_apart() {
        for (message, expected) in [
            (
                "a.b: invalid type: string \"x\", expected f64 at line 3 column 4",
                "f:3: `a.b`: expected a number, found string \"x\"",
            ),
            (
                "a: missing field `b` at line 3 column 4",
                "f:3: `a.b`: expected this key, found no such key",
            ),
            (
                "missing field `b`",
                "f:3: `b`: expected this key, found no such key",
            ),
            (
                "duplicate field `b` at line 3 column 4",
                "f:3: `b`: expected this key once, found it twice",
            ),
            (
                "unknown field `x`, expected `y` or `z`",
                "f:3: expected `y` or `z`, found unknown key `x`",
            ),
            (
                "did not find expected node content",
                "f:3: expected valid YAML, found something else (did not find expected node content)",
            ),
        ] {
            assert_eq!(
                yaml_error(Path::new("f"), message, Some(3)).to_string(),
                expected
            );
        }
    }

    #[test]
    fn every_kind_of_key_is_found_on_its_line() {
        for (path, line) in [
            ("name", 2),
            ("title", 3),
            ("voltage", 4),
            ("voltage.error_free", 4),
            ("voltage.reference", 5),
            ("rate.points", 8),
            ("rate.points.0", 8),
            ("rate.points.1", 9),
            ("rate.points.2.1", 10),
            ("rate.other", 11),
            ("layers.0", 13),
            ("layers.0.name", 13),
            ("layers.0.bits.1", 14),
            ("layers.1.name", 15),
            ("layers.1.inner.1.k", 18),
            ("energy.access.at", 21),
            ("energy.name", 22),
        ] {
            let keys: Vec<&str> = path.split('.').collect();
            assert_eq!(line_of_key(TEXT, &keys), Some(line), "{path}");
        }
    }

    #[test]
    fn what_is_not_there_has_no_line() {
        for path in [
            "nothing",
            "error_free",
            "voltage.y",
            "voltage.unit.x",
            "rate.points.3",
            "rate.points.0.2",
            "rate.points.x",
            "layers.2",
            "energy.access.name",
            "name.x",
            "inside",
            "",
        ] {
            let keys: Vec<&str> = path.split('.').collect();
            assert_eq!(line_of_key(TEXT, &keys), None, "{path}");
        }
        assert_eq!(line_of_key(TEXT, &[]), None);
        assert_eq!(line_of_key("", &["a"]), None);
    }

    #[test]
    fn torn_text_has_no_line_and_ends() {
        for text in [
            "a: {",
            "a: [1, 2",
            "a: { b: \"",
            "a:\n  -",
            "- ",
            "{",
            "a: { b",
            "\"a",
            "a: [[[[",
        ] {
            for path in [&["a", "b", "c"][..], &["a", "1", "2"], &["0", "0"]] {
                assert_eq!(line_of_key(text, path), None, "{text} {path:?}");
            }
        }
    }

    #[test]
    fn a_document_in_flow_style_is_read() {
        let text = "{ a: 1,\n  b: { c: [1,\n 2] } }";
        assert_eq!(line_of_key(text, &["b"]), Some(2));
        assert_eq!(line_of_key(text, &["b", "c", "1"]), Some(3));
    }
}
