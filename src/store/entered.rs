//! A folder that a process works in alone, and that goes again where nothing came of the work.

use super::{create_folder, Lock};
use crate::error::Result;
use std::fs;
use std::path::{Path, PathBuf};

/// A folder under its lock. Until [`Self::keep`], what was made for it is taken away when this is dropped: a refused
/// command leaves nothing behind that could be in the way of the mended one.
#[derive(Debug)]
pub struct Entered {
    /// The folder and those above it that were not there, from the inside.
    made: Vec<PathBuf>,
    /// The lock file, where it was not there.
    new: Option<PathBuf>,
    kept: bool,
    lock: Option<Lock>,
}

impl Entered {
    /// Makes a folder where it is not there, and takes its lock.
    ///
    /// # Errors
    /// As [`create_folder`] and [`Lock::take`].
    pub fn folder(folder: &Path) -> Result<Self> {
        let made = folder
            .ancestors()
            .take_while(|path| !path.as_os_str().is_empty() && !path.exists());
        let file = folder.join(super::lock::FILE);
        let mut entered = Self {
            made: made.map(Path::to_owned).collect(),
            new: (!file.exists()).then_some(file),
            kept: false,
            lock: None,
        };
        create_folder(folder)?;
        entered.lock = Some(Lock::take(folder)?);
        Ok(entered)
    }

    /// False where the file system has no locks.
    pub fn is_locked(&self) -> bool {
        self.lock.as_ref().is_some_and(Lock::is_real)
    }

    /// The work has begun: the folder stays, whatever comes of it.
    pub fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let (Some(file), Some(_)) = (&self.new, &self.lock) {
            let _ = fs::remove_file(file);
        }
        // those that are empty; whatever another process put there stays
        for folder in &self.made {
            let _ = fs::remove_dir(folder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_made_goes_unless_it_is_kept() {
        let place = tempfile::tempdir().unwrap();
        let (results, run) = (place.path().join("results"), place.path().join("results/a"));
        drop(Entered::folder(&run).unwrap());
        assert!(!results.exists() && place.path().exists());
        let mut entered = Entered::folder(&run).unwrap();
        entered.keep();
        drop(entered);
        assert!(run.exists());
        drop(Entered::folder(&run).unwrap());
        let lock = run.join(super::super::lock::FILE);
        assert!(run.exists() && lock.exists(), "they were there before");
        fs::remove_file(&lock).unwrap();
        drop(Entered::folder(&run).unwrap());
        assert!(run.exists() && !lock.exists());
        drop(Entered::folder(&results.join("b")).unwrap());
        assert!(!results.join("b").exists() && run.exists());
    }

    #[test]
    fn what_others_put_there_stays() {
        let place = tempfile::tempdir().unwrap();
        let run = place.path().join("a");
        let entered = Entered::folder(&run).unwrap();
        crate::store::write_bytes(&run.join("file"), b"x").unwrap();
        drop(entered);
        assert!(run.join("file").exists());
    }
}
