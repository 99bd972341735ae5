//! Files under temporary names: written, then renamed; removed where their writer was killed or ends on a signal.

use super::leads_to;
use crate::error::{IoContext, Result};
use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tempfile::NamedTempFile;

/// Prefix of temporary names.
const PREFIX: &str = ".partial-";
/// Characters that follow it.
const RANDOM: usize = 6;
/// An ending process waits so long for a file that is just being created or renamed.
const LAST_WAIT: Duration = Duration::from_millis(300);

/// Temporary files that this process is writing, and folders that it has looked through for those of dead ones.
static WRITING: Mutex<Writing> = Mutex::new(Writing {
    files: BTreeSet::new(),
    tidied: BTreeSet::new(),
});

struct Writing {
    files: BTreeSet<PathBuf>,
    tidied: BTreeSet<PathBuf>,
}

fn writing() -> MutexGuard<'static, Writing> {
    WRITING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a temporary name; dropped before [`Partial::rename`], it is gone.
pub(super) struct Partial {
    file: NamedTempFile,
    _name: Name,
}

/// The entry of a file in [`WRITING`].
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        writing().files.remove(&self.0);
    }
}

impl Partial {
    /// Creates the file. The first one in a folder removes what dead processes left there.
    pub(super) fn create(folder: &Path) -> io::Result<Self> {
        let mut writing = writing();
        if writing.tidied.insert(folder.to_owned()) {
            // what cannot be read or removed is no reason not to write
            let _ = remove_dead(folder, false);
        }
        loop {
            let mut builder = tempfile::Builder::new();
            builder.prefix(PREFIX).rand_bytes(RANDOM);
            // not for its owner alone, as temporary files are by default: for everybody the umask allows
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
            let file = builder.tempfile_in(folder)?;
            // locked as long as it is open: who finds it unlocked knows that its writer is dead. Where the file system
            // has no locks, nobody finds it unlocked.
            let _ = file.as_file().lock();
            // another process may have taken it for a dead one's before it was locked
            if leads_to(file.path(), file.as_file()) {
                writing.files.insert(file.path().to_owned());
                let name = Name(file.path().to_owned());
                return Ok(Self { file, _name: name });
            }
        }
    }

    /// The file.
    pub(super) fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Gives the file its final name.
    pub(super) fn rename(self, to: &Path) -> io::Result<()> {
        let writing = writing();
        let renamed = self.file.persist(to).map(|_| ()).map_err(|e| e.error);
        drop(writing);
        renamed
    }
}

/// Ends all writing, for a process that ends at once: removes what it has under temporary names. Whoever creates or
/// renames a file from now on waits for ever.
pub fn abandon_writes() {
    let started = Instant::now();
    while started.elapsed() < LAST_WAIT {
        let writing = match WRITING.try_lock() {
            Ok(writing) => writing,
            Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(std::sync::TryLockError::WouldBlock) => {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            }
        };
        for file in &writing.files {
            let _ = fs::remove_file(file);
        }
        std::mem::forget(writing);
        return;
    }
}

/// Removes temporary files that killed processes left in a folder. Call it under the folder's lock only.
///
/// # Errors
/// [`crate::error::Error::Io`] where the folder cannot be read.
pub fn remove_partial_files(folder: &Path) -> Result<()> {
    remove_dead(folder, true).at("remove half-written files in", folder)
}

/// `own`: the folder is the program's own and locked; every file with the prefix there is one of its temporary files.
/// In another folder only names of exactly the form count, and only where the writer is known to be dead.
fn remove_dead(folder: &Path, own: bool) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else {
            continue;
        };
        let of_the_form = rest.len() == RANDOM && rest.bytes().all(|b| b.is_ascii_alphanumeric());
        if !(own || of_the_form) || !entry.file_type()?.is_file() {
            continue;
        }
        // locked until it is removed, so that no new writer can have just taken the name
        let Ok(file) = File::open(entry.path()) else {
            continue;
        };
        let dead = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => false,
            Err(TryLockError::Error(_)) => own,
        };
        if dead {
            match fs::remove_file(entry.path()) {
                Err(e) if own && e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files of dead processes are made by hand
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_partial_files_of_dead_writers_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let alive = Partial::create(folder).unwrap();
        for name in [".partial-x", "keep"] {
            fs::write(folder.join(name), b"").unwrap();
        }
        remove_partial_files(folder).unwrap();
        let own = alive.file.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(names(folder), [own, "keep"]);
        alive.rename(&folder.join("written")).unwrap();
        assert_eq!(names(folder), ["keep", "written"]);
    }

    #[test]
    fn the_first_write_into_a_folder_removes_what_a_dead_one_left_and_nothing_of_others() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        for name in [".partial-aB3xY9", ".partial-of-a-user", ".partial-12345"] {
            fs::write(folder.join(name), b"").unwrap();
        }
        let held = File::create(folder.join(".partial-zzzzzz")).unwrap();
        held.lock().unwrap();
        drop(Partial::create(folder).unwrap());
        let left = [".partial-12345", ".partial-of-a-user", ".partial-zzzzzz"];
        assert_eq!(names(folder), left);
    }

    #[test]
    fn a_file_that_is_dropped_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        drop(Partial::create(folder.path()).unwrap());
        assert_eq!(names(folder.path()), [""; 0]);
    }
}
