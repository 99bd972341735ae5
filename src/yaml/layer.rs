//! One layer of settings with the place it comes from; leaves merging to `merge`.

use super::document::{describe, line_of, read_yaml, Fault};
use crate::error::{Error, Result};
use crate::store;
use serde_yaml::{Mapping, Value};
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
pub const LARGEST_FILE: u64 = 1 << 20;

/// Most keys in the path of a `--set`.
const DEEPEST_SET: usize = 32;

/// Where a layer comes from.
#[derive(Clone, Debug)]
pub(super) enum Origin {
    /// A file, or text inside the program; with what it holds.
    Text(PathBuf, String),
    /// The argument of a `--set`.
    Set(String),
    /// A flag of its own, by its name (`--chips`).
    Flag(String),
}

impl Origin {
    /// The error that `key` is wrong here: with the line in a text, with the argument of a `--set`.
    pub(super) fn wrong(&self, key: &[&str], expected: String, found: String) -> Error {
        let line = match self {
            Self::Text(_, text) => Some(line_of(text, key)),
            Self::Set(_) | Self::Flag(_) => None,
        };
        self.wrong_on(line, &key.join("."), expected, found)
    }

    fn wrong_on(&self, line: Option<usize>, key: &str, expected: String, found: String) -> Error {
        match self {
            Self::Text(path, _) => Error::Input {
                path: path.clone(),
                line,
                key: (!key.is_empty()).then(|| key.to_owned()),
                expected,
                found,
            },
            Self::Flag(flag) => Error::argument(flag, expected, found),
            Self::Set(set) => {
                let own = set.split_once('=').map(|(path, _)| path.trim());
                let what = if key.is_empty() || own == Some(key) {
                    format!("--set {set}")
                } else {
                    format!("--set {set}: `{key}`")
                };
                Error::argument(what, expected, found)
            }
        }
    }

    fn fault(&self, fault: Fault) -> Error {
        self.wrong_on(
            fault.line,
            &fault.key.join("."),
            fault.expected,
            fault.found,
        )
    }
}

/// Settings of one origin.
#[derive(Clone, Debug)]
pub struct Layer {
    pub(super) origin: Origin,
    /// The key that `value` belongs to; empty for a whole document.
    pub(super) at: Vec<String>,
    pub(super) value: Value,
}

impl Layer {
    /// Reads a configuration file of at most [`LARGEST_FILE`] bytes. An empty file is an empty layer.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such file; as [`Layer::text`].
    pub fn file(path: &Path) -> Result<Self> {
        let text = store::read_text(path, "a configuration file", LARGEST_FILE)?;
        Self::text(path, &text)
    }

    /// Reads YAML text of the program; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Layer::text`].
    pub fn built_in(name: &str, text: &str) -> Result<Self> {
        Self::text(Path::new(&format!("{name} (built in)")), text)
    }

    /// Reads YAML text; `path` is for errors alone.
    ///
    /// # Errors
    /// [`Error::Input`], with the line, where it is no YAML, no mapping, has a key twice, a key that is not text, a tag,
    /// or (through aliases) grows beyond any configuration.
    pub fn text(path: &Path, text: &str) -> Result<Self> {
        let origin = Origin::Text(path.to_owned(), text.to_owned());
        let value = match read_yaml(text).map_err(|fault| origin.fault(fault))? {
            Value::Null => Value::Mapping(Mapping::new()),
            value @ Value::Mapping(_) => value,
            other => {
                let expected = "keys with values at the top level".to_owned();
                return Err(origin.wrong(&[], expected, describe(&other)));
            }
        };
        Ok(Self {
            origin,
            at: Vec::new(),
            value,
        })
    }

    /// Reads the argument of a `--set`, `key.path=value`. The value is YAML: a scalar, a list or a
    /// mapping; nothing stands for null. A number in the path is the index of a list's item.
    ///
    /// # Errors
    /// [`Error::Argument`] where there is no `=`, an empty key, or a value that is no YAML.
    pub fn set(text: &str) -> Result<Self> {
        let wrong =
            |expected: &str, found: &str| Error::argument(format!("--set {text}"), expected, found);
        let (path, value) = text
            .split_once('=')
            .ok_or_else(|| wrong("key.path=value", "no `=`"))?;
        let at: Vec<String> = path.split('.').map(|key| key.trim().to_owned()).collect();
        if at.iter().any(String::is_empty) {
            return Err(wrong("key.path=value", "an empty key"));
        }
        if at.len() > DEEPEST_SET {
            let expected = format!("a path of at most {DEEPEST_SET} keys");
            return Err(wrong(&expected, &format!("{} keys", at.len())));
        }
        let origin = Origin::Set(text.to_owned());
        let value = read_yaml(value).map_err(|mut fault| {
            if !fault.key.is_empty() {
                fault.key.splice(0..0, at.iter().cloned());
            }
            origin.fault(fault)
        })?;
        Ok(Self { origin, at, value })
    }

    /// A flag that takes a setting back to its default, because it stands for another one in its place.
    pub fn unset(flag: &str, key: &str) -> Self {
        Self::flag(flag, key, Value::Null)
    }

    /// The value of a flag that stands for the setting `key`; messages call it by the flag's name.
    pub fn flag(name: &str, key: &str, value: impl Into<Value>) -> Self {
        let at = key.split('.').map(str::to_owned).collect();
        Self {
            origin: Origin::Flag(name.to_owned()),
            at,
            value: value.into(),
        }
    }

    /// True where the layer sets a key, such as `dataset`, or something below it.
    pub fn sets(&self, key: &str) -> bool {
        super::merge::sets(self, &key.split('.').collect::<Vec<_>>())
    }

    /// The layer of a document without a key, such as `explore.step`.
    pub fn without(mut self, key: &str) -> Self {
        let path: Vec<&str> = key.split('.').collect();
        super::merge::remove(&mut self.value, &path);
        self
    }

    /// Keys at the top level, in their order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let mapping = self.value.as_mapping().into_iter();
        mapping.flat_map(|mapping| mapping.keys().filter_map(Value::as_str))
    }
}
