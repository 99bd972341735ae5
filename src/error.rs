//! What can go wrong, sorted by what the reader of the message can do about it.

use std::path::{Path, PathBuf};

/// Result of everything in this library that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of the library. Messages say what was expected, what was found and where.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file that the user named is not there. Mend: correct the path, or fetch the data.
    #[error("{}: not found (expected {expected})", path.display())]
    Missing {
        /// The path as it was looked for.
        path: PathBuf,
        /// What should have been there, and where it can be had.
        expected: String,
    },
    /// The content of a file that the user named is wrong. Mend: correct the file.
    #[error("{}: {}expected {expected}, found {found}", place(path, *line), key.as_ref().map(|k| format!("`{k}`: ")).unwrap_or_default())]
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
    #[error("{what}: expected {expected}, found {found}")]
    Argument {
        /// The flag, key or parameter.
        what: String,
        /// What would be accepted.
        expected: String,
        /// What was given.
        found: String,
    },
    /// Another process writes the same folder. Mend: wait for it, or stop it.
    #[error("{}: in use by another process{}; wait until it ends", path.display(), holder.as_ref().map(|h| format!(" ({h})")).unwrap_or_default())]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// What the lock file says of its holder.
        holder: Option<String>,
    },
    /// The operating system refused. Mend: free space, rights, or the medium.
    #[error("cannot {action} {}", path.display())]
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
    /// The tensor library failed: a shape, device or memory problem.
    #[error("tensor operation failed: {context}")]
    Tensor {
        /// What was being computed.
        context: String,
        /// The tensor library's error.
        source: Box<candle_core::Error>,
    },
    /// The table library failed on a file.
    #[error("table {}: {message}", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// What the table library said.
        message: String,
    },
}

fn place(path: &Path, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{}:{line}", path.display()),
        None => path.display().to_string(),
    }
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
    fn a_lock_is_not_wrong_input() {
        let error = Error::Locked {
            path: "r/.lock".into(),
            holder: None,
        };
        assert!(!error.is_wrong_input());
        assert!(error.can_go_on());
    }
}
