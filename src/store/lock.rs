//! One writer per folder: a lock that the system drops when its process ends, however it ends.
//!
//! What is locked is the folder itself, so that a lock file that somebody removes lets nobody in, and the file `.lock`
//! in it, which says who holds it and is all there is where a file system cannot lock folders.

use super::leads_to;
use crate::error::{Error, IoContext, Result};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks of this process, by folder.
static HELD: Mutex<BTreeMap<PathBuf, Held>> = Mutex::new(BTreeMap::new());

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Held {
    /// `None` where the file system cannot lock folders.
    folder: Option<File>,
    file: File,
}

/// Name of the lock file.
pub(super) const FILE: &str = ".lock";

/// Holds a folder's lock until it is dropped.
#[derive(Debug)]
pub struct Lock {
    folder: PathBuf,
    real: bool,
}

impl Lock {
    /// Takes the lock of a folder that exists, and removes what a killed predecessor left half-written.
    ///
    /// # Errors
    /// [`Error::Locked`] where another process holds it, [`Error::Io`] where the lock file cannot be made.
    pub fn take(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let locked = |path: &Path| Error::Locked {
            path: path.to_owned(),
            holder: holder(path),
        };
        let own = match File::open(folder).map(|own| (own.try_lock(), own)) {
            Ok((Ok(()), own)) => Some(own),
            Ok((Err(TryLockError::WouldBlock), _)) => return Err(locked(&path)),
            Ok((Err(TryLockError::Error(_)), _)) | Err(_) => None,
        };
        let mut file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            .at("open the lock file", &path)?;
        let real = match file.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => return Err(locked(&path)),
            // some shared file systems have no locks
            Err(TryLockError::Error(e)) if has_no_locks(&e) => false,
            Err(TryLockError::Error(e)) => return Err(e).at("lock", &path),
        };
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "process {}", std::process::id())
        };
        write(&mut file).at("write", &path)?;
        if real {
            super::remove_partial_files(folder)?;
        }
        let folder = folder.to_owned();
        let entry = Held { folder: own, file };
        held().insert(folder.clone(), entry);
        Ok(Self { folder, real })
    }

    /// False where the file system has no locks, and another process may hold this one too.
    pub fn is_real(&self) -> bool {
        self.real
    }
}

/// What to say of a folder that cannot be locked.
pub fn no_locks(folder: &Path) -> String {
    format!(
        "{}: its file system has no locks; two processes that write the same files here at once could disturb each other",
        folder.display()
    )
}

/// True for the errors of a file system without locks.
fn has_no_locks(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::Unsupported;
    // NFS without its lock service
    let no_service = cfg!(unix) && error.raw_os_error() == Some(NO_LOCKS_LEFT);
    error.kind() == Unsupported || no_service
}

/// `ENOLCK`: what NFS says where its lock service does not run.
const NO_LOCKS_LEFT: i32 = if cfg!(target_os = "linux") { 37 } else { 77 };

impl Drop for Lock {
    fn drop(&mut self) {
        held().remove(&self.folder);
    }
}

/// What a lock file says of its holder.
fn holder(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let text = text.lines().next()?.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Where this process holds the lock of a folder or of one above it: checks that it is still the one at its path.
///
/// # Errors
/// [`Error::Io`] where the folder was removed, moved or replaced, or, where only the lock file can be locked, that file.
pub fn check_lock(folder: &Path) -> Result<()> {
    let held = held();
    let locked = folder
        .ancestors()
        .find_map(|above| Some((above, held.get(above)?)));
    let Some((folder, entry)) = locked else {
        return Ok(());
    };
    let (same, what) = match &entry.folder {
        Some(own) => (leads_to(folder, own), "the folder"),
        None => (
            leads_to(&folder.join(FILE), &entry.file),
            "its file `.lock`",
        ),
    };
    if same {
        return Ok(());
    }
    let found = format!("{what} was removed, moved or replaced while this process worked in it");
    Err(std::io::Error::other(found)).at("go on in", folder)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // folders are damaged on purpose here
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

    #[test]
    fn a_removed_lock_file_lets_nobody_in() {
        let folder = tempfile::tempdir().unwrap();
        let _first = Lock::take(folder.path()).unwrap();
        fs::remove_file(folder.path().join(".lock")).unwrap();
        let error = Lock::take(folder.path()).unwrap_err();
        assert!(matches!(error, Error::Locked { .. }), "{error}");
        check_lock(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_is_removed_or_replaced_is_noticed() {
        let above = tempfile::tempdir().unwrap();
        let folder = above.path().join("run");
        fs::create_dir(&folder).unwrap();
        let _lock = Lock::take(&folder).unwrap();
        check_lock(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let said = check_lock(&folder).unwrap_err().to_string();
        assert!(said.ends_with("run"), "{said}");
        fs::create_dir(&folder).unwrap();
        assert!(check_lock(&folder).is_err());
        assert!(crate::store::write_bytes(&folder.join("units/a.json"), b"a").is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    }

    #[test]
    fn where_folders_cannot_be_locked_the_lock_file_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let _lock = Lock::take(folder.path()).unwrap();
        held().get_mut(folder.path()).unwrap().folder = None;
        check_lock(folder.path()).unwrap();
        fs::remove_file(folder.path().join(".lock")).unwrap();
        assert!(check_lock(folder.path()).is_err());
    }
}
