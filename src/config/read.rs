//! YAML text to a plain value whose size is bounded and whose keys are text, each once; leaves types
//! to `resolve`.
//!
//! serde_yaml bounds the depth of a document and how often aliases are followed, but not what they
//! multiply to (aliases of one long list unpack to the square of the file), hence the count here.

use crate::store::line_of_key;
use serde::de::{
    DeserializeSeed, Deserializer, EnumAccess, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_yaml::{Mapping, Value};
use std::cell::{Cell, RefCell};
use std::fmt;

/// Most values and characters of text that a document unpacks to.
const ROOM: usize = 1 << 22;

/// Why a text is no configuration.
#[derive(Debug)]
pub(super) struct Fault {
    /// Keys and indices that lead there.
    pub(super) key: Vec<String>,
    /// Line from 1, where the parser knows it better than the key does.
    pub(super) line: Option<usize>,
    pub(super) expected: String,
    pub(super) found: String,
}

/// Reads one YAML document; the empty text is null.
pub(super) fn read_yaml(text: &str) -> Result<Value, Fault> {
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
                return Err(self.refuse("keys that are text", super::message::describe(&key)));
            };
            self.path.borrow_mut().push(name.clone());
            if mapping.contains_key(&key) {
                return Err(self.refuse("each key once", TWICE));
            }
            let value = access.next_value_seed(self)?;
            self.path.borrow_mut().pop();
            mapping.insert(key, value);
        }
        Ok(Value::Mapping(mapping))
    }

    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<Value, A::Error> {
        let (tag, _) = access.variant::<String>().map_err(A::Error::custom)?;
        Err(self.refuse("a value without a tag", format!("the tag `!{tag}`")))
    }
}
