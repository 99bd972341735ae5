//! One layer of settings with the place it comes from; leaves merging to `merge`.

use crate::error::{Error, Result};
use crate::store;
use crate::store::line::nearest_line;
use crate::store::yaml::{describe, read_yaml, Fault};
use serde_yaml::{Mapping, Value};
use std::path::{Path, PathBuf};

/// Largest configuration file, in bytes.
const LARGEST_FILE: u64 = 1 << 20;

/// Most keys in the path of a `--set`.
const DEEPEST_SET: usize = 32;

/// Where a layer comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file of the user.
    File {
        /// As it was given.
        path: PathBuf,
        /// What it holds.
        text: String,
    },
    /// Text inside the program.
    BuiltIn {
        /// What messages call it.
        name: String,
        /// What it holds.
        text: String,
    },
    /// The argument of a `--set`.
    Set(String),
    /// A flag of its own, by its name (`--chips`).
    Flag(String),
}

impl Origin {
    /// The error that `key` is wrong here: with the line in a file, with the argument of a `--set`.
    pub(super) fn wrong(&self, key: &[&str], expected: String, found: String) -> Error {
        let name = (!key.is_empty()).then(|| key.join("."));
        let (path, text) = match self {
            Self::File { path, text } => (path.clone(), text),
            Self::BuiltIn { name, text } => (PathBuf::from(format!("{name} (built in)")), text),
            Self::Flag(flag) => return Error::argument(flag, expected, found),
            Self::Set(set) => {
                let own = set.split_once('=').map(|(path, _)| path.trim());
                let what = match name.filter(|name| own != Some(name.as_str())) {
                    Some(name) => format!("--set {set}: `{name}`"),
                    None => format!("--set {set}"),
                };
                return Error::Argument {
                    what,
                    expected,
                    found,
                };
            }
        };
        Error::Input {
            path,
            line: nearest_line(text, key),
            key: name,
            expected,
            found,
        }
    }

    fn fault(&self, fault: Fault) -> Error {
        let key: Vec<&str> = fault.key.iter().map(String::as_str).collect();
        let mut error = self.wrong(&key, fault.expected, fault.found);
        if let Error::Input { line, .. } = &mut error {
            *line = fault.line.or(*line);
        }
        error
    }
}

/// Line, from 1, on which the content of a document begins.
fn first_line(text: &str) -> Option<usize> {
    let empty = |line: &str| line.is_empty() || line.starts_with('#') || line.starts_with("---");
    text.lines()
        .position(|line| !empty(line.trim()))
        .map(|before| before + 1)
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
    /// Reads a YAML file of at most 1 MiB. An empty file is an empty layer.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such file; [`Error::Input`], with the line, where it is
    /// no YAML, no mapping, has a key twice, a key that is not text, a tag, or (through aliases)
    /// grows beyond any configuration.
    pub fn file(path: &Path) -> Result<Self> {
        let text = store::read_text(path, "a configuration file", LARGEST_FILE)?;
        Self::document(
            Origin::File {
                path: path.to_owned(),
                text: text.clone(),
            },
            &text,
        )
    }

    /// Reads YAML text of the program; `name` is what messages call it.
    ///
    /// # Errors
    /// As [`Layer::file`].
    pub fn built_in(name: &str, text: &str) -> Result<Self> {
        Self::document(
            Origin::BuiltIn {
                name: name.to_owned(),
                text: text.to_owned(),
            },
            text,
        )
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

    /// Where the layer comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    fn document(origin: Origin, text: &str) -> Result<Self> {
        let value = match read_yaml(text).map_err(|fault| origin.fault(fault))? {
            Value::Null => Value::Mapping(Mapping::new()),
            value @ Value::Mapping(_) => value,
            other => {
                let found = describe(&other);
                let mut error =
                    origin.wrong(&[], "keys with values at the top level".into(), found);
                if let Error::Input { line, .. } = &mut error {
                    *line = first_line(text);
                }
                return Err(error);
            }
        };
        Ok(Self {
            origin,
            at: Vec::new(),
            value,
        })
    }
}
