//! What can go wrong, sorted by what the reader of the message can do about it.

mod printable;

pub use printable::{is_printable, printable, printable_path, shell_quoted};

use std::path::{Path, PathBuf};

/// Result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Most characters that a message shows of each of its parts; together fewer than 2,000.
const PATH: usize = 300;
const KEY: usize = 200;
const WHAT: usize = 300;
const EXPECTED: usize = 700;
const FOUND: usize = 400;

/// Every failure of the library. Messages say what was expected, what was found and where; foreign text in them is
/// [`printable`] and cut.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the user named is not there. Mend: correct the path, or fetch the data.
    #[error(
        "{}: not found (expected {})",
        shown(path),
        printable(expected, EXPECTED)
    )]
    Missing {
        /// The path as it was looked for.
        path: PathBuf,
        /// What should have been there, and where it can be had.
        expected: String,
    },
    /// The content of a file that the user named is wrong. Mend: correct the file.
    #[error("{}: {}expected {}, found {}", place(path, *line), in_key(key), printable(expected, EXPECTED), in_words(found))]
    Input {
        /// The file.
        path: PathBuf,
        /// Line number from 1, where it is known.
        line: Option<usize>,
        /// The key or field inside the file, where there is one.
        key: Option<String>,
        /// What the file should have held.
        expected: String,
        /// What it held.
        found: String,
    },
    /// An argument or setting is wrong. Mend: correct the command line or the configuration.
    #[error(
        "{}: expected {}, found {}",
        printable(what, WHAT),
        printable(expected, EXPECTED),
        in_words(found)
    )]
    Argument {
        /// The flag, key or parameter.
        what: String,
        /// What would be accepted.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Another process writes the same folder. Mend: wait for it, or stop it.
    #[error(
        "{}: in use by another process{}; wait until it ends",
        shown(path),
        of_holder(holder)
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: Option<String>,
    },
    /// The operating system refused. Mend: free space, rights, or the medium.
    #[error("cannot {action} {}", shown(path))]
    Io {
        /// What was being done, as a verb.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Training left the finite numbers. Mend: a smaller learning rate, gradient clipping.
    #[error("the loss is {loss} in epoch {epoch}, step {step}: training stopped; try a smaller `trainer.optimizer.learning_rate` or `trainer.grad_clip`")]
    Diverged {
        /// Epoch, from 1.
        epoch: usize,
        /// Step within the epoch, from 1.
        step: usize,
        /// The loss as it was computed.
        loss: f64,
    },
    /// The user asked to stop. What was finished is kept; the same command continues.
    #[error("interrupted; what is finished is kept, the same command continues")]
    Interrupted,
    /// Shards have not computed all that is put together. Mend: run those that are named.
    #[error(
        "{}: {} missing; {}",
        shown(folder),
        printable(what, WHAT),
        printable(by, EXPECTED)
    )]
    Owed {
        /// The run.
        folder: PathBuf,
        /// What is missing, such as `1,204 trials are`.
        what: String,
        /// Who owes it, and how that is computed.
        by: String,
    },
    /// The tensor library failed: a shape, device or memory problem.
    #[error("tensor operation failed: {}", printable(context, EXPECTED))]
    Tensor {
        /// What was being computed.
        context: String,
        /// The tensor library's error.
        source: Box<candle_core::Error>,
    },
    /// The table library failed on a file.
    #[error("table {}: {}", shown(path), printable(message, EXPECTED))]
    Table {
        /// The file.
        path: PathBuf,
        /// What the table library said.
        message: String,
    },
}

/// Refuses an argument or a setting: [`Error::Argument`] in place of a value.
///
/// # Errors
/// Always.
pub fn refuse<T>(
    what: impl Into<String>,
    expected: impl Into<String>,
    found: impl ToString,
) -> Result<T> {
    Err(Error::argument(what, expected, found.to_string()))
}

impl Error {
    /// What an argument should have been; of other failures the message.
    pub fn expected(self) -> String {
        match self {
            Self::Argument { expected, .. } => expected,
            other => other.to_string(),
        }
    }
}

fn shown(path: &Path) -> String {
    printable_path(path, PATH)
}

fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", shown(path)),
        None => shown(path),
    }
}

fn in_key(key: &Option<String>) -> String {
    key.as_ref()
        .map(|key| format!("`{}`: ", printable(key, KEY)))
        .unwrap_or_default()
}

fn of_holder(holder: &Option<String>) -> String {
    holder
        .as_ref()
        .map(|holder| format!(" ({})", printable(holder, KEY)))
        .unwrap_or_default()
}

/// What was found, behind the word `found`. Messages of other libraries begin with words of their own.
fn in_words(found: &str) -> String {
    let found = found.strip_prefix("found ").unwrap_or(found);
    let shown = printable(found, FOUND);
    if ["expected ", "did not "]
        .iter()
        .any(|start| found.starts_with(start))
    {
        return format!("something else ({shown})");
    }
    shown.into_owned()
}

impl Error {
    /// Wrong content of a file, without line or key.
    pub fn input(
        path: impl Into<PathBuf>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Input {
            path: path.into(),
            line: None,
            key: None,
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The same with the line from 1, the key, or both.
    pub fn input_at(
        path: impl Into<PathBuf>,
        line: Option<usize>,
        key: Option<&str>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Input {
            path: path.into(),
            line,
            key: key.map(str::to_owned),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// A wrong argument or setting.
    pub fn argument(
        what: impl Into<String>,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Self {
        Self::Argument {
            what: what.into(),
            expected: expected.into(),
            found: found.into(),
        }
    }

    /// The same fault of what is made of a file, as a fault of that file. Flags (`--title`) are at fault themselves.
    pub fn in_file(self, path: &std::path::Path) -> Self {
        let (key, expected, found) = match self {
            Self::Argument {
                what,
                expected,
                found,
            } if !what.starts_with("--") => (Some(what), expected, found),
            Self::Input {
                key,
                expected,
                found,
                ..
            } => (key, expected, found),
            other => return other,
        };
        Self::Input {
            path: path.to_owned(),
            line: None,
            key,
            expected,
            found,
        }
    }

    /// True where the user's input or usage is at fault (the program exits with 2), false where
    /// the run failed (1) or can go on ([`Self::can_go_on`]).
    pub fn is_wrong_input(&self) -> bool {
        matches!(
            self,
            Self::Missing { .. } | Self::Input { .. } | Self::Argument { .. }
        )
    }

    /// True where nothing is wrong and the same command goes on later (the program exits with 75, as `EX_TEMPFAIL` of
    /// sysexits.h).
    pub fn can_go_on(&self) -> bool {
        matches!(self, Self::Interrupted | Self::Locked { .. })
    }
}

impl From<candle_core::Error> for Error {
    fn from(source: candle_core::Error) -> Self {
        Self::Tensor {
            context: "see below".into(),
            source: Box::new(source),
        }
    }
}

/// Adds what was being done to a failure of the system, with the path.
pub trait IoContext<T> {
    /// `action` is a verb: "read", "write", "create".
    fn at(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn at(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io {
            action,
            path: path.to_owned(),
            source,
        })
    }
}

/// Adds what was being computed to a failure of the tensor library.
pub trait TensorContext<T> {
    /// `context` says what was being computed.
    fn during(self, context: impl FnOnce() -> String) -> Result<T>;
}

impl<T> TensorContext<T> for candle_core::Result<T> {
    fn during(self, context: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Tensor {
            context: context(),
            source: Box::new(source),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_errors_name_file_line_and_key() {
        let error = Error::Input {
            path: "m.yaml".into(),
            line: Some(7),
            key: Some("voltage.error_free".into()),
            expected: "a number".into(),
            found: "abc".into(),
        };
        assert_eq!(
            error.to_string(),
            "m.yaml:7: `voltage.error_free`: expected a number, found abc"
        );
        assert!(error.is_wrong_input());
    }

    #[test]
    fn foreign_text_is_cut_and_printable_and_names_stay() {
        let foreign = "\u{1b}[31m".repeat(20_000);
        let path = Path::new("folder")
            .join("f".repeat(100_000))
            .join("model.pth");
        let input = Error::Input {
            path: path.clone(),
            line: Some(7),
            key: Some(format!("conv1.weight{foreign}")),
            expected: foreign.clone(),
            found: foreign.clone(),
        };
        let all = [
            input,
            Error::argument(format!("--model {foreign}"), &foreign, &foreign),
            Error::Missing {
                path: path.clone(),
                expected: foreign.clone(),
            },
            Error::Locked {
                path: path.clone(),
                holder: Some(foreign.clone()),
            },
            Error::Table {
                path,
                message: foreign.clone(),
            },
            Error::Tensor {
                context: foreign,
                source: Box::new(candle_core::Error::Msg(String::new())),
            },
        ];
        for error in &all {
            let message = error.to_string();
            assert!(
                message.chars().count() < 2000,
                "{} characters",
                message.chars().count()
            );
            assert!(message.chars().all(is_printable), "{message}");
        }
        let message = all[0].to_string();
        assert!(message.contains("/model.pth:7: `conv1.weight"), "{message}");
    }

    #[test]
    fn no_message_says_found_twice() {
        for (found, shown) in [
            (
                "found character that cannot start any token",
                "found character that cannot start any token",
            ),
            (
                "did not find expected node content",
                "found something else (did not find expected node content)",
            ),
            (
                "expected value at line 1",
                "found something else (expected value at line 1)",
            ),
            ("12", "found 12"),
        ] {
            let error = Error::input("m.yaml", "valid YAML", found);
            assert_eq!(
                error.to_string(),
                format!("m.yaml: expected valid YAML, {shown}")
            );
        }
    }

    #[test]
    fn a_lock_is_not_wrong_input() {
        let error = Error::Locked {
            path: "r/.lock".into(),
            holder: None,
        };
        assert!(!error.is_wrong_input());
        assert!(error.can_go_on());
    }
}
