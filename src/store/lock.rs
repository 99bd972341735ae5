//! One writer per folder: a lock that the system drops when its process ends, however it ends.

use crate::error::{Error, IoContext, Result};
use std::fs::{self, File, TryLockError};
use std::io::{Seek, Write};
use std::path::Path;

/// Name of the lock file.
pub(super) const FILE: &str = ".lock";

/// Holds a folder's lock until it is dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a folder that exists, and removes what a killed predecessor left half-written.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process holds it, [`Error::Io`] where the lock file cannot be made.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .at("open the lock file", &path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let holder = fs::read_to_string(&path)
                    .ok()
                    .map(|text| text.trim().to_owned());
                return Err(Error::Locked {
                    path,
                    holder: holder.filter(|text| !text.is_empty()),
                });
            }
            Err(TryLockError::Error(e)) => return Err(e).at("lock", &path),
        }
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "process {}", std::process::id())
        };
        write(&mut file).at("write", &path)?;
        super::remove_partial_files(folder)?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        let process = format!("process {}", std::process::id());
        assert!(error.to_string().contains(&process), "{error}");
        assert!(!error.is_wrong_input());
        drop(first);
        Lock::take(folder.path()).unwrap();
    }
}
