//! YAML text to a plain value: bounded in depth and size, keys are text and each there once, `<<` merged; and the line
//! on which a key stands. Leaves types to others.
//!
//! serde_yaml bounds how often aliases are followed, but not what they multiply to (aliases of one long list unpack to
//! the square of the file), hence the count here.

use super::nesting::{too_deep, DEEPEST};
use crate::error::printable;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess,
    Visitor,
};
use serde::Deserialize;
use serde_yaml::{Mapping, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Most values and characters of text that a document unpacks to: twice what the largest file without aliases has.
const ROOM: usize = 1 << 21;

/// The key whose mapping, or whose list of mappings, gives what the keys beside it do not set.
const MERGE: &str = "<<";

/// What keys must be.
const KEYS: &str = "keys that are text";

/// Why a text is not read.
#[derive(Debug)]
pub(super) struct Fault {
    /// Keys and indices that lead there.
    pub(super) key: Vec<String>,
    /// Line from 1, where the parser knows it.
    pub(super) line: Option<usize>,
    /// What would be read.
    pub(super) expected: String,
    /// What is there.
    pub(super) found: String,
}

/// Reads one YAML document; the empty text is null. What a `<<` beside other keys gives is merged under them: its mapping,
/// or of a list of mappings the first that has the key.
///
/// # Errors
/// A [`Fault`] for what is no YAML, nests or unpacks without measure, has a tag, a key twice or one that is no text.
pub(super) fn read_yaml(text: &str) -> Result<Value, Fault> {
    let fault = |key, line, expected: &str, found: &str| {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        Err(Fault {
            key,
            line,
            expected,
            found,
        })
    };
    // before the parser: what that needs grows with the square of the depth
    if let Some(line) = too_deep(text) {
        let expected = format!("at most {DEEPEST} lists and mappings in each other");
        return fault(Vec::new(), Some(line), &expected, "more");
    }
    let reader = Reader::default();
    let error = match reader.deserialize(serde_yaml::Deserializer::from_str(text)) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    let (message, line) = (error.to_string(), line(&error));
    let key = reader.path.into_inner();
    if let Some((expected, found)) = reader.fault.into_inner() {
        // a merge is refused at the end of its mapping
        let line = match key.last() {
            Some(last) if last == MERGE => {
                let key: Vec<&str> = key.iter().map(String::as_str).collect();
                Some(line_of(text, &key))
            }
            _ => line,
        };
        return fault(key, line, &expected, &found);
    }
    if text.trim().is_empty() || message == "EOF while parsing a value" {
        return Ok(Value::Null);
    }
    let found = message.split(" at line ").next().unwrap_or_default();
    match found.split_once(", expected ") {
        Some((found, KEYS)) => {
            let found = found.rsplit("invalid type: ").next().unwrap_or(found);
            fault(key, line, KEYS, found)
        }
        _ => fault(Vec::new(), line, "YAML", found),
    }
}

/// Line, from 1, of a key or list item of a text that [`read_yaml`] reads, given by its path: `["energy", "access"]`, or
/// `["points", "3"]` for item 3, from 0, of a list. Where the text has no such key, that of the nearest one above it.
pub(super) fn line_of(text: &str, path: &[&str]) -> usize {
    let line_at = |depth: usize| {
        let reader = Reader {
            sought: Some(&path[..depth]),
            ..Reader::default()
        };
        let error = reader
            .deserialize(serde_yaml::Deserializer::from_str(text))
            .err()?;
        line(&error).filter(|_| reader.is_there())
    };
    (0..=path.len()).rev().find_map(line_at).unwrap_or(1)
}

fn line(error: &serde_yaml::Error) -> Option<usize> {
    error.location().map(|place| place.line())
}

/// Most characters of a text that [`describe`] shows.
const LONGEST_SHOWN: usize = 120;

/// A value in the words of an error message.
pub(super) fn describe(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(flag) => format!("`{flag}`"),
        Value::Number(number) => format!("`{number}`"),
        Value::String(text) => format!("the text `{}`", printable(text, LONGEST_SHOWN)),
        Value::Sequence(items) if items.len() == 1 => "a list of 1 item".into(),
        Value::Sequence(items) => format!("a list of {} items", items.len()),
        Value::Mapping(_) => "keys with values".into(),
        Value::Tagged(tagged) => format!("a value with the tag `{}`", tagged.tag),
    }
}

/// Builds a [`Value`], counting; or ends with an error at the place that is sought, whose location serde_yaml then tells.
#[derive(Default)]
struct Reader<'s> {
    /// Where it is; after an error, where that arose.
    path: RefCell<Vec<String>>,
    spent: Cell<usize>,
    /// What it refused itself: expected, found.
    fault: RefCell<Option<(String, String)>>,
    sought: Option<&'s [&'s str]>,
}

impl Reader<'_> {
    fn refuse<E: serde::de::Error>(&self, expected: &str, found: impl Into<String>) -> E {
        *self.fault.borrow_mut() = Some((expected.to_owned(), found.into()));
        E::custom("refused")
    }

    fn is_there(&self) -> bool {
        self.sought
            .is_some_and(|sought| *self.path.borrow() == *sought)
    }

    /// True where the way to the place that is sought does not lead through here.
    fn is_astray(&self) -> bool {
        let path = self.path.borrow();
        self.sought
            .is_some_and(|sought| sought.get(..path.len()).is_none_or(|way| *path != *way))
    }

    /// A key or value of so many characters or items begins.
    fn begin<E: serde::de::Error>(&self, size: usize) -> Result<(), E> {
        if self.is_there() {
            return Err(E::custom("found"));
        }
        self.spent.set(self.spent.get() + size);
        if self.spent.get() > ROOM {
            let found = "aliases that unpack to millions of values";
            return Err(self.refuse("a configuration", found));
        }
        Ok(())
    }

    fn plain<E: serde::de::Error>(&self, value: impl Into<Value>) -> Result<Value, E> {
        self.begin(1)?;
        Ok(value.into())
    }
}

/// Reads a key of a mapping whose other keys so far are known, and enters it.
struct Key<'r> {
    reader: &'r Reader<'r>,
    before: &'r Mapping,
}

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Key<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KEYS)
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Value, E> {
        self.reader.path.borrow_mut().push(name.to_owned());
        self.reader.begin(name.len() + 1)?;
        if self.before.contains_key(name) {
            return Err(self.reader.refuse("each key once", "this key twice"));
        }
        Ok(name.into())
    }
}

impl<'de> DeserializeSeed<'de> for &Reader<'_> {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.is_astray() {
            // aliases are not unpacked then
            IgnoredAny::deserialize(deserializer)?;
            return Ok(Value::Null);
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Value, E> {
        self.plain(value)
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        self.plain(value)
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        self.plain(value)
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Value, E> {
        Err(self.refuse("a number of at most 64 bits", value.to_string()))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Value, E> {
        Err(self.refuse("a number of at most 64 bits", value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        self.plain(value)
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Value, E> {
        self.begin(value.len())?;
        self.plain(value)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Value, E> {
        self.plain(Value::Null)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Value, E> {
        self.visit_unit()
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.begin(1)?;
        let mut items = Vec::new();
        loop {
            self.path.borrow_mut().push(items.len().to_string());
            let item = access.next_element_seed(self)?;
            self.path.borrow_mut().pop();
            match item {
                Some(item) => items.push(item),
                None => return Ok(Value::Sequence(items)),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        self.begin(1)?;
        let mut mapping = Mapping::new();
        while let Some(key) = access.next_key_seed(Key {
            reader: self,
            before: &mapping,
        })? {
            let value = access.next_value_seed(self)?;
            self.path.borrow_mut().pop();
            mapping.insert(key, value);
        }
        let bases = match mapping.shift_remove(MERGE) {
            None => Vec::new(),
            Some(Value::Sequence(bases)) => bases,
            Some(base) => vec![base],
        };
        for base in bases {
            let Value::Mapping(base) = base else {
                self.path.borrow_mut().push(MERGE.to_owned());
                return Err(self.refuse("a mapping or a list of mappings", describe(&base)));
            };
            for (key, value) in base {
                mapping.entry(key).or_insert(value);
            }
        }
        Ok(Value::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (tag, _) = access.variant::<String>().map_err(A::Error::custom)?;
        Err(self.refuse("a value without a tag", format!("the tag `!{tag}`")))
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
            assert_eq!(line_of(TEXT, &keys), line, "{path}");
        }
    }

    #[test]
    fn what_is_not_there_has_the_line_of_what_would_hold_it() {
        for (path, line) in [
            ("nothing", 2),
            ("voltage.y", 4),
            ("rate.points.3", 8),
            ("rate.points.1.2", 9),
            ("layers.2", 12),
            ("energy.access.name", 20),
            ("name.x", 2),
        ] {
            let keys: Vec<&str> = path.split('.').collect();
            assert_eq!(line_of(TEXT, &keys), line, "{path}");
        }
        assert_eq!(line_of(TEXT, &[]), 2);
        assert_eq!((line_of("", &["a"]), line_of("a: {", &["a", "b"])), (1, 1));
    }

    #[test]
    fn what_an_alias_stands_for_has_the_line_where_it_is_written() {
        let text = "a: &a\n  b: 1\nc: *a\nd: { <<: *a, e: 2 }\n";
        assert_eq!(line_of(text, &["c"]), 3);
        assert_eq!(line_of(text, &["c", "b"]), 2);
        assert_eq!(line_of(text, &["d", "b"]), 4);
        assert_eq!(
            line_of("{ a: 1,\n  b: { c: [1,\n 2] } }", &["b", "c", "1"]),
            3
        );
    }
}
