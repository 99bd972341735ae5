//! A run in its folder: locked, its record written before the first result and again when the tables are there.

use super::checked;
use super::journal::ReplayedAttempt;
use super::monitor::Monitor;
use super::record::{now, Record, RECORD};
use crate::error::Result;
use crate::store::{self, Entered};
use std::path::PathBuf;

/// A run whose folder this process holds.
pub(super) struct RunFolder<'a> {
    path: PathBuf,
    entered: Entered,
    record: Record,
    fresh: bool,
    monitor: &'a dyn Monitor,
}

impl<'a> RunFolder<'a> {
    /// Locks the folder of a run that is asked for. `fresh`: what is finished there does not count.
    ///
    /// # Errors
    /// As [`Entered::folder`].
    pub(super) fn enter(
        path: PathBuf,
        asked: Record,
        fresh: bool,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        Ok(Self {
            entered: Entered::folder(&path)?,
            path,
            record: asked,
            fresh,
            monitor,
        })
    }

    /// False where the file system has no locks: other processes may work here too.
    pub(super) fn is_locked(&self) -> bool {
        self.entered.is_locked()
    }

    /// Writes `run.yaml`, once everything is checked. A resumed run keeps its beginning and gains this command. Shards
    /// whose trials it has are named.
    ///
    /// # Errors
    /// A record that does not read or is damaged, [`crate::error::Error::Io`].
    pub(super) fn begin(&mut self, attempts: &[ReplayedAttempt]) -> Result<()> {
        if !self.is_locked() {
            self.monitor.warn(&store::no_locks(&self.path));
        }
        self.record.attempts = attempts.iter().map(ReplayedAttempt::text).collect();
        let (path, record) = (&self.path, &mut self.record);
        if !self.fresh && path.join(RECORD).exists() {
            let mut before = Record::read(path)?;
            if !checked::check_record(path)? {
                self.monitor.note(&checked::unchecked(path));
            }
            before
                .commands
                .retain(|command| !record.commands.contains(command));
            record.commands.splice(0..0, before.commands);
            record.started_unix = before.started_unix;
            record.machine = before.machine;
        }
        record.write(path)?;
        self.entered.keep();
        Ok(())
    }

    /// A remark that the record keeps.
    pub(super) fn keep_note(&mut self, note: String) {
        self.record.notes.push(note);
    }

    /// A warning that the record keeps.
    pub(super) fn warn(&mut self, note: String) {
        self.monitor.warn(&note);
        self.keep_note(note);
    }

    /// Has the tables written, then the finished record and the checksums of both and of these other files.
    ///
    /// # Errors
    /// Those of `write_tables`, [`crate::error::Error::Io`].
    pub(super) fn finish(
        mut self,
        write_tables: impl FnOnce() -> Result<()>,
        others: &[String],
    ) -> Result<()> {
        checked::forget_tables(&self.path)?;
        write_tables()?;
        self.record.finished_unix = Some(now());
        self.record.write(&self.path)?;
        checked::record_all(&self.path, others)
    }
}
