//! The files of run folders are checked by their `checksums` before they are read, and `checksums` is true at every
//! instant while they are rewritten: a process may be killed at any.

use super::record::{ACTIVATION_MEMORY, MEMORY, RECORD};
use crate::analysis::names;
use crate::error::Result;
use crate::store::{self, Checksums, CHECKSUMS};
use std::path::Path;

/// What the checksum of a record leaves out.
const TIMES: &str = "started_unix,finished_unix";
/// How a damaged file of a run is mended.
const REMEDY: &str = "the command of the run once more writes it anew";
/// How a damaged record is mended.
const REMEDY_OF_RECORD: &str = "removed, the command of the run once more writes it anew";
/// Tables that figures and reports of a sweep are drawn from.
const TABLES: [&str; 3] = [names::SUMMARY, names::TRIALS, names::ENERGY_CSV];

/// What was read without being checked.
#[derive(Debug, Default)]
pub(super) struct Unchecked {
    folders: Vec<String>,
    files: Vec<String>,
}

impl Unchecked {
    /// Checks what is read of a run: its record, and the tables of an attack or those of a sweep with its memory model.
    ///
    /// # Errors
    /// [`crate::error::Error::Input`] with the damaged file.
    pub(super) fn check(&mut self, folder: &Path) -> Result<()> {
        let Some(checksums) = Checksums::read(folder)? else {
            self.folders.push(folder.display().to_string());
            return Ok(());
        };
        let mut check = |name: &str, remedy| -> Result<()> {
            if !checksums.check(folder, name, remedy)? && folder.join(name).exists() {
                self.files.push(folder.join(name).display().to_string());
            }
            Ok(())
        };
        check(RECORD, REMEDY_OF_RECORD)?;
        if folder.join(names::ATTACKS).exists() {
            return [names::ATTACKS, names::FLIPS]
                .iter()
                .try_for_each(|name| check(name, REMEDY));
        }
        check(MEMORY, REMEDY)?;
        check(ACTIVATION_MEMORY, REMEDY)?;
        TABLES.iter().try_for_each(|name| check(name, REMEDY))
    }

    /// What the user should hear; `None` where everything was checked.
    pub(super) fn note(&self) -> Option<String> {
        let (folders, files) = (self.folders.join(", "), self.files.join(", "));
        let mut notes = Vec::new();
        if !folders.is_empty() {
            notes.push(format!(
                "no `{CHECKSUMS}` in {folders}: damage of the files there would go unnoticed"
            ));
        }
        if !files.is_empty() {
            notes.push(format!("no checksum of {files}: not checked"));
        }
        (!notes.is_empty()).then(|| notes.join("; "))
    }
}

/// What the user should hear of a begun run whose record has no checksum.
pub(super) fn unchecked(folder: &Path) -> String {
    let path = folder.join(CHECKSUMS);
    format!("{}: no checksum of {RECORD}: not checked", path.display())
}

/// Checks the record of a run; true where it has a checksum.
///
/// # Errors
/// As [`Unchecked::check`].
pub(super) fn check_record(folder: &Path) -> Result<bool> {
    match Checksums::read(folder)? {
        Some(checksums) => checksums.check(folder, RECORD, REMEDY_OF_RECORD),
        None => Ok(false),
    }
}

/// Writes the record or the memory model of a run; killed at any instant, it leaves a file that `checksums` allows.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub(super) fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let mut checksums = Checksums::read(folder)?.unwrap_or_default();
    let left_out = if name == RECORD { TIMES } else { "" };
    checksums.allow(folder, name, left_out, text.as_bytes())?;
    checksums.write(folder)?;
    store::write_bytes(&folder.join(name), text.as_bytes())
}

/// Takes the tables out of `checksums`: they are about to be rewritten.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub(super) fn forget_tables(folder: &Path) -> Result<()> {
    let Some(mut checksums) = Checksums::read(folder)? else {
        return Ok(());
    };
    checksums.keep([RECORD, MEMORY, ACTIVATION_MEMORY]);
    checksums.write(folder)
}

/// Writes the `checksums` of a finished run: of its record, its tables and these other files.
///
/// # Errors
/// [`crate::error::Error::Io`].
pub(super) fn record_all(folder: &Path, others: &[String]) -> Result<()> {
    let mut checksums = Checksums::default();
    checksums.record_without(folder, RECORD, TIMES)?;
    checksums.record(folder, [MEMORY, ACTIVATION_MEMORY])?;
    checksums.record(folder, names::TABLES)?;
    checksums.record(folder, others)?;
    checksums.write(folder)
}
