//! YAML text to a plain value: bounded in depth and size, keys are text and each there once, `<<` merged; leaves types
//! to others.
//!
//! serde_yaml bounds how often aliases are followed, but not what they multiply to (aliases of one long list unpack to
//! the square of the file), hence the count here.

use super::line::line_of_key;
use super::nesting::{too_deep, DEEPEST};
use crate::error::printable;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_yaml::{Mapping, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Most values and characters of text that a document unpacks to.
const ROOM: usize = 1 << 22;

/// The key whose mapping, or whose list of mappings, gives what the keys beside it do not set.
const MERGE: &str = "<<";

/// Why a text is not read.
#[derive(Debug)]
pub struct Fault {
    /// Keys and indices that lead there.
    pub key: Vec<String>,
    /// Line from 1, where the parser knows it better than the key does.
    pub line: Option<usize>,
    /// What would be read.
    pub expected: String,
    /// What is there.
    pub found: String,
}

/// Refuses a text whose collections lie too deep in each other. For every reader of YAML, before its parser: what that
/// needs grows with the square of the depth.
///
/// # Errors
/// A [`Fault`] with the line.
pub fn check_nesting(text: &str) -> Result<(), Fault> {
    match too_deep(text) {
        None => Ok(()),
        line => Err(Fault {
            key: Vec::new(),
            line,
            expected: format!("at most {DEEPEST} lists and mappings in each other"),
            found: "more".into(),
        }),
    }
}

/// Reads one YAML document; the empty text is null. What a `<<` beside other keys gives is merged under them: its mapping,
/// or of a list of mappings the first that has the key.
///
/// # Errors
/// A [`Fault`] for what is no YAML, nests or unpacks without measure, has a tag, a key twice or one that is no text.
pub fn read_yaml(text: &str) -> Result<Value, Fault> {
    check_nesting(text)?;
    let reader = Reader {
        path: RefCell::default(),
        room: Cell::new(ROOM),
        fault: RefCell::default(),
    };
    let read = reader.deserialize(serde_yaml::Deserializer::from_str(text));
    let Reader { path, fault, .. } = reader;
    let key = path.into_inner();
    let error = match (read, fault.into_inner()) {
        (Ok(value), _) => return Ok(value),
        (Err(_), Some((expected, found))) => {
            let line = if found == TWICE {
                second_line(text, &key)
            } else {
                None
            };
            return Err(Fault {
                key,
                line,
                expected,
                found,
            });
        }
        (Err(error), None) => error,
    };
    if text.trim().is_empty() || error.to_string() == "EOF while parsing a value" {
        return Ok(Value::Null);
    }
    let line = error.location().map(|place| place.line());
    let message = error.to_string();
    let found = message.split(" at line ").next().unwrap_or_default();
    Err(Fault {
        key: Vec::new(),
        line,
        expected: "YAML".into(),
        found: found.to_owned(),
    })
}

/// Most characters of a text that [`describe`] shows.
const LONGEST_SHOWN: usize = 120;

const TWICE: &str = "this key twice";

/// The line on which a key stands again.
fn second_line(text: &str, key: &[String]) -> Option<usize> {
    let path: Vec<&str> = key.iter().map(String::as_str).collect();
    let first = line_of_key(text, &path)?;
    let name = path.last()?;
    // the first one is made another key of the same width, so that the search goes on to the second
    let other: String = name.chars().map(|_| '\u{1}').collect();
    let lines: Vec<String> = text
        .lines()
        .enumerate()
        .map(|(n, line)| {
            if n + 1 == first {
                line.replacen(name, &other, 1)
            } else {
                line.to_owned()
            }
        })
        .collect();
    line_of_key(&lines.join("\n"), &path).or(Some(first))
}

/// Keys that are not there yet.
fn fill(mapping: &mut Mapping, base: Mapping) {
    for (key, value) in base {
        mapping.entry(key).or_insert(value);
    }
}

/// A value in the words of an error message.
pub fn describe(value: &Value) -> String {
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

/// Builds a [`Value`], counting.
struct Reader {
    /// Where it is; after an error, where that arose.
    path: RefCell<Vec<String>>,
    room: Cell<usize>,
    /// What it refused itself: expected, found.
    fault: RefCell<Option<(String, String)>>,
}

impl Reader {
    fn refuse<E: serde::de::Error>(&self, expected: &str, found: impl Into<String>) -> E {
        *self.fault.borrow_mut() = Some((expected.to_owned(), found.into()));
        E::custom("refused")
    }

    fn spend<E: serde::de::Error>(&self, n: usize) -> Result<(), E> {
        match self.room.get().checked_sub(n) {
            Some(left) => {
                self.room.set(left);
                Ok(())
            }
            None => Err(self.refuse(
                "a configuration",
                "aliases that unpack to millions of values",
            )),
        }
    }

    fn plain<E: serde::de::Error>(&self, value: impl Into<Value>) -> Result<Value, E> {
        self.spend(1)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for &Reader {
    type Value = Value;
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &Reader {
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
        self.spend(value.len())?;
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
        self.spend(1)?;
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
        self.spend(1)?;
        let mut mapping = Mapping::new();
        while let Some(key) = access.next_key_seed(self)? {
            let Value::String(name) = &key else {
                return Err(self.refuse("keys that are text", describe(&key)));
            };
            self.path.borrow_mut().push(name.clone());
            if mapping.contains_key(&key) {
                return Err(self.refuse("each key once", TWICE));
            }
            let value = access.next_value_seed(self)?;
            self.path.borrow_mut().pop();
            mapping.insert(key, value);
        }
        match mapping.shift_remove(MERGE) {
            None => {}
            Some(Value::Mapping(base)) => fill(&mut mapping, base),
            Some(Value::Sequence(bases)) if bases.iter().all(Value::is_mapping) => {
                let bases = bases.into_iter().filter_map(|base| match base {
                    Value::Mapping(base) => Some(base),
                    _ => None,
                });
                bases.for_each(|base| fill(&mut mapping, base));
            }
            Some(other) => {
                self.path.borrow_mut().push(MERGE.to_owned());
                return Err(self.refuse("a mapping or a list of mappings", describe(&other)));
            }
        }
        Ok(Value::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (tag, _) = access.variant::<String>().map_err(A::Error::custom)?;
        Err(self.refuse("a value without a tag", format!("the tag `!{tag}`")))
    }
}
