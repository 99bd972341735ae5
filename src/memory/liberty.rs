//! A Liberty file as a tree of groups and attributes: form alone. What the groups of a memory mean is read in
//! `liberty/memory_cell.rs`, the conditions in `liberty/condition.rs`.
//!
//! Liberty (Synopsys, Liberty User Guide) is made of `name : value;`, `name(values);` and `name(values) { ... }`.
//! Foundries leave semicolons out at the end of a line, so a line's end closes a plain value too.

mod condition;
mod memory_cell;
mod pins;

pub use memory_cell::{Corner, Traced};

use crate::error::{Error, Result};
use crate::store::excerpt;
use std::path::Path;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 1 << 23;

/// Most groups inside each other; a table of a pin of a bus of a cell is the sixth.
const DEEPEST: usize = 16;

/// `kind(names) { ... }`.
#[derive(Debug, Default)]
struct Group<'a> {
    kind: &'a str,
    names: Vec<&'a str>,
    line: usize,
    attributes: Vec<Attribute<'a>>,
    groups: Vec<Group<'a>>,
}

/// `name : value;` or `name(values);`. Quotes are taken off, nothing else is.
#[derive(Debug)]
struct Attribute<'a> {
    name: &'a str,
    values: Vec<&'a str>,
    line: usize,
}

impl<'a> Group<'a> {
    /// The attribute of this name; the last one, where it is set again.
    fn attribute(&self, name: &str) -> Option<&Attribute<'a>> {
        self.attributes
            .iter()
            .rev()
            .find(|known| known.name == name)
    }

    /// The first value of an attribute.
    fn text(&self, name: &str) -> Option<&'a str> {
        self.attribute(name)?.values.first().map(|text| text.trim())
    }

    /// The groups of a kind.
    fn of_kind(&self, kind: &'static str) -> impl Iterator<Item = &Group<'a>> {
        self.groups.iter().filter(move |group| group.kind == kind)
    }

    /// The name in parentheses; empty where there is none.
    fn name(&self) -> &'a str {
        self.names.first().copied().unwrap_or_default()
    }
}

impl<'a> Attribute<'a> {
    /// The first value; empty where there is none.
    fn first(&self) -> &'a str {
        self.values.first().copied().unwrap_or_default()
    }
}

/// A place in the text.
struct Cursor<'a> {
    path: &'a Path,
    text: &'a str,
    at: usize,
    line: usize,
}

/// Reads the text of a library; `path` is for errors alone.
///
/// # Errors
/// [`Error::Input`] with the line where it is no Liberty text.
fn parse<'a>(path: &'a Path, text: &'a str) -> Result<Group<'a>> {
    let mut cursor = Cursor {
        path,
        text,
        at: 0,
        line: 1,
    };
    let mut outside = Group::default();
    cursor.skip()?;
    while cursor.peek().is_some() {
        cursor.statement(&mut outside, 0)?;
        cursor.skip()?;
    }
    match outside.groups.pop() {
        Some(library) if library.kind == "library" && outside.groups.is_empty() => Ok(library),
        _ => Err(Error::input(
            path,
            "one `library(...) { ... }`, as Liberty files have",
            "none, or more",
        )),
    }
}

impl<'a> Cursor<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong<T>(&self, expected: &str) -> Result<T> {
        let line = self.rest().lines().next().unwrap_or_default();
        let found = if self.rest().is_empty() {
            "the end of the file".to_owned()
        } else {
            excerpt(line)
        };
        Err(Error::input_at(
            self.path,
            Some(self.line),
            None,
            expected,
            found,
        ))
    }

    /// Goes on by so many bytes, counting lines.
    fn advance(&mut self, bytes: usize) -> &'a str {
        let passed = &self.text[self.at..self.at + bytes];
        self.line += passed.bytes().filter(|byte| *byte == b'\n').count();
        self.at += bytes;
        passed
    }

    /// Passes blanks, comments, semicolons and the backslash that continues a line.
    fn skip(&mut self) -> Result<()> {
        loop {
            let rest = self.rest();
            let blank = rest.len()
                - rest
                    .trim_start_matches([' ', '\t', '\r', '\n', '\\', ';', '\u{feff}'])
                    .len();
            self.advance(blank);
            let rest = self.rest();
            if let Some(comment) = rest.strip_prefix("/*") {
                let Some(end) = comment.find("*/") else {
                    return self.wrong("a comment that ends in `*/`");
                };
                self.advance(end + 4);
            } else if rest.starts_with("//") {
                self.advance(rest.find('\n').unwrap_or(rest.len()));
            } else {
                return Ok(());
            }
        }
    }

    /// Text up to the first character that ends it.
    fn until(&mut self, ends: &[char]) -> &'a str {
        let rest = self.rest();
        self.advance(rest.find(ends).unwrap_or(rest.len()))
    }

    /// Text between quotes, which stand here.
    fn quoted(&mut self) -> Result<&'a str> {
        let mut end = self.at + 1;
        let bytes = self.text.as_bytes();
        while bytes.get(end).is_some_and(|byte| *byte != b'"') {
            end += if bytes[end] == b'\\' { 2 } else { 1 };
        }
        match self.text.get(self.at + 1..end) {
            Some(text) if end < bytes.len() => {
                self.advance(end + 1 - self.at);
                Ok(text)
            }
            _ => self.wrong("a text that ends in a quote"),
        }
    }

    /// Values in parentheses, which open here.
    fn values(&mut self) -> Result<Vec<&'a str>> {
        self.advance(1);
        let mut values = Vec::new();
        loop {
            self.skip()?;
            match self.peek() {
                Some(b')') => {
                    self.advance(1);
                    return Ok(values);
                }
                Some(b',') => {
                    self.advance(1);
                }
                Some(b'"') => values.push(self.quoted()?),
                None | Some(b'{' | b'}' | b'(') => return self.wrong("values that end in `)`"),
                Some(_) => {
                    let word = self.until(&[
                        ',', ')', '(', '{', '}', '"', ' ', '\t', '\r', '\n', ';', '\\',
                    ]);
                    values.push(word);
                }
            }
        }
    }

    /// One attribute or group of `into`, which lies so deep.
    fn statement(&mut self, into: &mut Group<'a>, depth: usize) -> Result<()> {
        let line = self.line;
        let name = self.until(&[
            ':', '(', ')', '{', '}', ';', ',', '"', ' ', '\t', '\r', '\n', '\\',
        ]);
        if name.is_empty() {
            return self.wrong("the name of an attribute or group");
        }
        self.skip()?;
        match self.peek() {
            Some(b':') => {
                self.advance(1);
                self.skip()?;
                let value = match self.peek() {
                    Some(b'"') => self.quoted()?,
                    _ => self.until(&[';', '\n', '}']).trim(),
                };
                into.attributes.push(Attribute {
                    name,
                    values: vec![value],
                    line,
                });
                Ok(())
            }
            Some(b'(') => {
                let names = self.values()?;
                self.skip()?;
                if self.peek() != Some(b'{') {
                    into.attributes.push(Attribute {
                        name,
                        values: names,
                        line,
                    });
                    return Ok(());
                }
                if depth >= DEEPEST {
                    return self.wrong(&format!("groups at most {DEEPEST} deep"));
                }
                self.advance(1);
                let mut group = Group {
                    kind: name,
                    names,
                    line,
                    ..Group::default()
                };
                self.body(&mut group, depth + 1)?;
                into.groups.push(group);
                Ok(())
            }
            _ => self.wrong(&format!("`:` or `(` after {}", excerpt(name))),
        }
    }

    /// What stands in a group, up to its brace.
    fn body(&mut self, group: &mut Group<'a>, depth: usize) -> Result<()> {
        loop {
            self.skip()?;
            match self.peek() {
                Some(b'}') => {
                    self.advance(1);
                    return Ok(());
                }
                None => return self.wrong(&format!("`}}` for the group of line {}", group.line)),
                Some(_) => self.statement(group, depth)?,
            }
        }
    }
}

#[cfg(test)]
mod tests;
