//! `trials.journal`: finished design points and trials, one checksummed line each, appended as they come.
//!
//! A line is the CRC-32 of its JSON in 8 hexadecimal digits, a space, the JSON, a line feed; the
//! first line holds the version. Each line is handed to the operating system in one piece before
//! the call returns, so a killed process loses no finished trial; it is flushed to the medium
//! about once a second and on [`Journal::close`], so a power failure loses about the last second.
//! One process at a time: the caller holds the lock of the run folder, or, of a shard, made the file.

mod attempts;
mod contents;
mod damage;

pub(super) use attempts::{journals_of, remove_journals, Run};
pub use attempts::{Asked, Attempt};
pub use contents::{replay, Replay, ReplayedAttempt};
pub(super) use contents::{replay_run, Known};

use crate::analysis::names;
use crate::error::{refuse, Error, IoContext, Result};
use crate::explore::Evaluation;
use crate::fault::Protection;
use crate::stats::Judged;
use crate::store;
use crate::sweep::{Design, Strata, Trial};
use crate::units::ChipId;
use contents::{Contents, Place};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Version of the format of lines.
const VERSION: u32 = 1;
/// Time between two flushes to the medium.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// The same of a shard: its medium is one that many share.
const FLUSH_SHARD_EVERY: Duration = Duration::from_secs(30);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    version: u32,
    /// Who writes the journal, where it is not the process that holds the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    attempt: Option<Box<Attempt>>,
}

impl Header {
    /// The first line of the journal of a run, and of a shard.
    fn line(attempt: Option<Attempt>) -> Result<Vec<u8>> {
        line_of(&Record::Journal(Self {
            version: VERSION,
            attempt: attempt.map(Box::new),
        }))
    }
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Journal(Header),
    Design(Box<Design>),
    Trial(Trial),
    Search(Box<SearchEvaluation>),
    /// A chip of a search that `explore` made for a yield before `answer` did: read to be refused, never written.
    Yield(Value),
    Seen(SeenChip),
    /// Most evaluations of an image that an answer may take.
    Evaluations(u64),
}

/// An evaluation of a search with its model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchEvaluation {
    /// The model.
    pub model: String,
    /// The evaluation.
    pub evaluation: Evaluation,
}

/// One chip of one model under one protection at one voltage, as an answer saw it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeenChip {
    /// The model.
    pub model: String,
    /// The protection of its codes.
    pub protection: Protection,
    /// Voltage of stored activations, where they have a supply of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activation_voltage: Option<f64>,
    /// Supply voltage in the unit of the memory.
    pub voltage: f64,
    /// Whether the chip is one of the check; else it is one of the search.
    pub check: bool,
    /// The part of the network that faults reach; absent: all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// The chip.
    pub chip: ChipId,
    /// What it showed in each stratum of the test images, where a mean is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strata: Option<Strata>,
    /// What it was judged to be, where a yield is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judged: Option<Judged>,
}

/// What tells a [`SeenChip`] from others.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SeenKey {
    model: String,
    protection: Protection,
    activations: Option<u64>,
    voltage: u64,
    check: bool,
    part: Option<String>,
    chip: ChipId,
}

impl SeenChip {
    /// Evaluations of an image that it took.
    pub(super) fn images(&self) -> u64 {
        let strata = self.strata.as_ref().map_or(0, |strata| {
            strata.as_ref().iter().map(|stratum| stratum.images).sum()
        });
        strata + self.judged.map_or(0, |judged| judged.images)
    }

    /// What tells it from others, beside what it showed.
    pub(super) fn key(&self) -> SeenKey {
        SeenKey {
            model: self.model.clone(),
            protection: self.protection,
            activations: self.activation_voltage.map(f64::to_bits),
            voltage: self.voltage.to_bits(),
            check: self.check,
            part: self.part.clone(),
            chip: self.chip,
        }
    }
}

/// The open journal of a run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// True after a write that failed and could not be undone.
    broken: bool,
    /// Time between two flushes.
    flush_every: Duration,
    /// Time of the last flush.
    flushed: Instant,
    /// True where something is not flushed.
    dirty: bool,
    /// Design points in this file, which stands for itself.
    written: BTreeSet<String>,
    known: Known,
}

impl Journal {
    /// Opens the journal, creates it where there is none, and replays it. A torn last line is cut off. Damaged lines
    /// are set aside, with the trials of design points that stood in them: moved to `trials.damaged`.
    ///
    /// # Errors
    /// [`Error::Input`] with path and line: no journal, an unknown version, a whole record that does
    /// not fit, a design point or trial that was written before with another content; [`Error::Io`]
    /// with the path.
    pub fn open(path: impl AsRef<Path>) -> Result<(Self, Replay)> {
        Self::resume(path.as_ref(), &[], None)
    }

    /// [`Self::open`], and the journals of shards beside it, which are read and not changed.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Input`] for a journal of another run.
    pub(super) fn resume(
        path: &Path,
        shards: &[PathBuf],
        run: Option<&Run>,
    ) -> Result<(Self, Replay)> {
        let path = path.to_owned();
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.read(true).append(true).create(true).open(&path);
            file.at("open", &path)
        };
        let mut file = open()?;
        let mut read = Contents::default();
        read.add(&path, &file, None)?;
        if !read.aside.is_empty() {
            damage::set_aside(&path, &read.aside)?;
            let damaged = std::mem::take(&mut read.replay.damaged);
            // the lines that are left have other numbers, and the file is another one
            file = open()?;
            read = Contents::default();
            read.add(&path, &file, None)?;
            read.replay.damaged = damaged;
        }
        let dirty = read.replay.dropped_torn_line;
        if dirty {
            file.set_len(read.length)
                .at("cut the torn line off", &path)?;
        }
        store::flush_folder(store::folder_of(&path))?;
        let (length, written) = (read.length, read.known.keys().cloned().collect());
        read.add_shards(shards, run)?;
        let mut journal = Self::empty(path, file, read.known, FLUSH_EVERY);
        (journal.length, journal.dirty, journal.written) = (length, dirty, written);
        if length == 0 {
            journal.write_line(&Header::line(None)?)?;
        }
        journal.flush()?;
        Ok((journal, read.replay))
    }

    /// Makes the journal of a run that has none. What other journals hold is `known`.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(super) fn of_run(folder: &Path, known: Known) -> Result<Self> {
        let path = folder.join(names::JOURNAL);
        let file = store::open_to_append(&path)?;
        Self::empty(path, file, known, FLUSH_EVERY).begun(None)
    }

    /// Makes the journal of an attempt at a part of a run, under a name that no other process has.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub(super) fn of_attempt(folder: &Path, attempt: Attempt, known: Known) -> Result<Self> {
        let (path, file) = attempt.create_journal(folder)?;
        Self::empty(path, file, known, FLUSH_SHARD_EVERY).begun(Some(attempt))
    }

    fn empty(path: PathBuf, file: File, known: Known, flush_every: Duration) -> Self {
        Self {
            path,
            file,
            length: 0,
            broken: false,
            flush_every,
            flushed: Instant::now(),
            dirty: true,
            written: BTreeSet::new(),
            known,
        }
    }

    /// The same with its first line, on the medium.
    fn begun(mut self, attempt: Option<Attempt>) -> Result<Self> {
        self.write_line(&Header::line(attempt)?)?;
        self.flush()?;
        store::flush_folder(store::folder_of(&self.path))?;
        Ok(self)
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a design point. Nothing is written where it is there already.
    ///
    /// # Errors
    /// [`Error::Argument`] where another point has its identifier or a number is not finite,
    /// [`Error::Io`] with the path (no space, for one); the journal stays whole then.
    pub fn append_design(&mut self, design: &Design) -> Result<()> {
        match self.known.get(&design.design_id) {
            Some(known) if known.design != *design => {
                let what = format!("design point `{}`", design.design_id);
                let expected = "the content it was written with";
                return refuse(what, expected, "another");
            }
            Some(_) if self.written.contains(&design.design_id) => return Ok(()),
            _ => {}
        }
        self.write(&Record::Design(Box::new(design.clone())))?;
        self.written.insert(design.design_id.clone());
        contents::remember_design(&mut self.known, design, Place::default());
        Ok(())
    }

    /// Appends a finished trial; its design point comes first. Nothing is written where the same
    /// result is there already.
    ///
    /// # Errors
    /// [`Error::Argument`] where the design point is unknown, the trial is there with another
    /// result, or contradicts itself; [`Error::Io`] with the path (no space, for one); the journal
    /// stays whole then.
    pub fn append_trial(&mut self, trial: &Trial) -> Result<()> {
        match contents::check_trial(&self.known, trial) {
            Ok(true) => self.write(&Record::Trial(trial.clone()))?,
            Ok(false) => return Ok(()),
            Err(wrong) => {
                let what = format!("trial of `{}` on chip {}", trial.design_id, trial.chip);
                return refuse(what, wrong.expected, wrong.found);
            }
        }
        contents::remember_trial(&mut self.known, trial, Place::default());
        Ok(())
    }

    /// Appends an evaluation of a search.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; the journal stays whole then.
    pub fn append_search(&mut self, search: &SearchEvaluation) -> Result<()> {
        self.write(&Record::Search(Box::new(search.clone())))
    }

    /// Appends a chip of an answer.
    ///
    /// # Errors
    /// As [`Self::append_search`].
    pub fn append_seen(&mut self, seen: &SeenChip) -> Result<()> {
        self.write(&Record::Seen(seen.clone()))
    }

    /// Appends the most evaluations of an image that an answer may take.
    ///
    /// # Errors
    /// As [`Self::append_search`].
    pub fn append_evaluations(&mut self, evaluations: u64) -> Result<()> {
        self.write(&Record::Evaluations(evaluations))
    }

    /// Flushes everything to the medium.
    ///
    /// # Errors
    /// [`Error::Io`] with the path, where the file was removed or replaced too.
    pub fn flush(&mut self) -> Result<()> {
        if !store::leads_to(&self.path, &self.file) {
            let source = std::io::Error::other("it was removed or replaced meanwhile");
            return Err(source).at("go on with", &self.path);
        }
        if self.dirty {
            self.file.sync_data().at("flush", &self.path)?;
        }
        (self.flushed, self.dirty) = (Instant::now(), false);
        Ok(())
    }

    /// Flushes everything to the medium and closes.
    ///
    /// # Errors
    /// [`Error::Io`] with the path.
    pub fn close(mut self) -> Result<()> {
        self.flush()
    }

    fn write(&mut self, record: &Record) -> Result<()> {
        self.write_line(&line_of(record)?)
    }

    fn write_line(&mut self, line: &[u8]) -> Result<()> {
        if self.broken {
            let source = std::io::Error::other("an earlier write failed and could not be undone");
            return Err(source).at("write", &self.path);
        }
        store::check_lock(store::folder_of(&self.path))?;
        if let Err(error) = self.file.write_all(line) {
            // no line may follow a part of one
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error).at("write", &self.path);
        }
        self.length += line.len() as u64;
        self.dirty = true;
        if self.flushed.elapsed() >= self.flush_every {
            self.flush()?;
        }
        Ok(())
    }
}

/// What was written is on the medium, however the work ends.
impl Drop for Journal {
    fn drop(&mut self) {
        let _ = self.flush();
    }
}

/// The line of a record. What would not read back the same is refused.
fn line_of(record: &Record) -> Result<Vec<u8>> {
    let refused = |found: String| Error::argument("record of the journal", "finite numbers", found);
    let json = serde_json::to_string(record).map_err(|e| refused(e.to_string()))?;
    if serde_json::from_str::<Record>(&json).ok().as_ref() != Some(record) {
        return Err(refused(json));
    }
    Ok(format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files are damaged on purpose here
mod tests {
    use super::contents::json_of;
    use super::*;
    use crate::analysis::tests::{design, timed_trials};
    use serde_json::json;
    use std::fs;

    /// A folder with a journal of two design points and three trials, and what it holds.
    pub(super) fn written() -> (tempfile::TempDir, PathBuf, Vec<Design>, Vec<Trial>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.journal");
        let designs = vec![design("a", "wcat", 0.1 + 0.2), design("b", "normal", 1.0)];
        let all = [
            timed_trials(&designs[0], 100, &[80]),
            timed_trials(&designs[1], 100, &[95, 95]),
        ]
        .concat();
        let (mut journal, replay) = Journal::open(&path).unwrap();
        assert_eq!(replay, Replay::default());
        for design in &designs {
            journal.append_design(design).unwrap();
            for trial in all
                .iter()
                .filter(|trial| trial.design_id == design.design_id)
            {
                journal.append_trial(trial).unwrap();
            }
        }
        journal.close().unwrap();
        (folder, path, designs, all)
    }

    /// The lines of a file, each with its line feed.
    pub(super) fn lines(path: &Path) -> Vec<Vec<u8>> {
        fs::read(path)
            .unwrap()
            .split_inclusive(|&b| b == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    }

    #[test]
    fn images_that_are_not_finite_are_counted_in_the_lines_that_have_some() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.journal");
        let design = design("m", "wcat", 0.8);
        let mut all = timed_trials(&design, 100, &[80, 99]);
        (all[0].not_finite, all[1].not_finite) = (20, 0);
        let mut journal = Journal::open(&path).unwrap().0;
        journal.append_design(&design).unwrap();
        all.iter()
            .for_each(|trial| journal.append_trial(trial).unwrap());
        journal.close().unwrap();
        assert_eq!(replay(&path).unwrap().trials, all);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text.matches("not_finite").count(), 1, "{text}");
    }

    #[test]
    fn a_journal_replays_what_was_appended_bit_for_bit() {
        let (_folder, path, designs, trials) = written();
        let expected = Replay {
            designs,
            trials,
            ..Replay::default()
        };
        assert_eq!(Journal::open(&path).unwrap().1, expected);
        assert_eq!(replay(&path).unwrap(), expected);
    }

    #[test]
    fn only_trials_of_two_level_sampling_say_what_the_clean_network_answers() {
        let (folder, path, designs, trials) = written();
        assert!(!String::from_utf8(fs::read(&path).unwrap())
            .unwrap()
            .contains("clean\""));
        let mut trial = trials[0].clone();
        trial.clean = Some(crate::sweep::CleanAnswers {
            correct: 90,
            changed: 12,
        });
        let path = folder.path().join("other.journal");
        let mut journal = Journal::open(&path).unwrap().0;
        journal.append_design(&designs[0]).unwrap();
        journal.append_trial(&trial).unwrap();
        assert_eq!(replay(&path).unwrap().trials, [trial.clone()]);
        // 80 right and 90 right of 100 differ in 10 to 30 images, an even number
        for changed in [8, 11, 32] {
            trial.chip.0 += 1;
            trial.clean = Some(crate::sweep::CleanAnswers {
                correct: 90,
                changed,
            });
            let error = journal.append_trial(&trial).unwrap_err().to_string();
            assert!(
                error.contains("answers of the clean network that go with"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_journal_cut_at_any_byte_replays_its_whole_lines_and_goes_on() {
        let (_folder, path, designs, trials) = written();
        let (whole, lines) = (fs::read(&path).unwrap(), lines(&path));
        for length in 0..=whole.len() {
            fs::write(&path, &whole[..length]).unwrap();
            let mut end = 0;
            let kept = lines
                .iter()
                .take_while(|line| {
                    end += line.len();
                    end <= length
                })
                .count();
            let torn = lines[..kept].concat().len() < length;
            let (mut journal, replay) = Journal::open(&path).unwrap();
            assert_eq!(replay.dropped_torn_line, torn, "{length}");
            assert_eq!(
                replay.designs.len() + replay.trials.len(),
                kept.saturating_sub(1),
                "{length}"
            );
            assert_eq!(replay.designs, designs[..replay.designs.len()]);
            assert_eq!(replay.trials, trials[..replay.trials.len()]);
            // writing everything again adds what is missing, and nothing else
            for design in &designs {
                journal.append_design(design).unwrap();
                trials
                    .iter()
                    .filter(|trial| trial.design_id == design.design_id)
                    .for_each(|trial| journal.append_trial(trial).unwrap());
            }
            journal.close().unwrap();
            assert_eq!(fs::read(&path).unwrap(), whole, "{length}");
        }
    }

    fn refused(path: &Path, lines: &[Vec<u8>]) -> String {
        fs::write(path, lines.concat()).unwrap();
        let error = Journal::open(path).unwrap_err();
        assert!(error.is_wrong_input());
        error.to_string().replace(&path.display().to_string(), "j")
    }

    fn line(json: &str) -> Vec<u8> {
        format!("{:08x} {json}\n", crc32fast::hash(json.as_bytes())).into_bytes()
    }

    #[test]
    fn whole_lines_that_do_not_fit_are_refused_with_their_number_even_at_the_end() {
        let (_folder, path, designs, trials) = written();
        let good = lines(&path);
        let with = |last: Vec<u8>| [good.clone(), vec![last]].concat();
        let mut other = trials[0].clone();
        other.correct -= 1;
        let found = refused(&path, &with(line_of(&Record::Trial(other)).unwrap()));
        assert!(
            found.ends_with("on chip 0: correct 80 (as line 3 has it), found correct 79"),
            "{found}"
        );
        assert!(
            found.starts_with("j:7: expected one result of `a@0.30000000000000004vmin` on chip 0"),
            "{found}"
        );
        let mut other = designs[1].clone();
        other.ber = Some(0.25);
        let found = refused(
            &path,
            &with(line_of(&Record::Design(Box::new(other))).unwrap()),
        );
        assert_eq!(
            found,
            "j:7: expected one content of design point `b@1vmin`: ber 0.0 (as line 4 has it), found ber 0.25"
        );
        assert!(refused(&path, &with(line("{\"note\":1}")))
            .starts_with("j:7: expected a record of version 1 ("));
        assert!(refused(&path, &with(good[0].clone())).contains("found a second first line"));
        assert!(refused(&path, &[good[0].clone(), good[2].clone()])
            .starts_with("j:2: expected its design point"));
        assert_eq!(
            refused(&path, &[line("{\"journal\":{\"version\":2,\"new\":0}}"), good[1].clone()]),
            "j:1: expected a trial journal of version 1, found {\"journal\":{\"version\":2,\"new\":0}}"
        );
        assert!(refused(&path, &[good[1].clone()])
            .starts_with("j:1: expected a trial journal of version 1"));
        assert_eq!(
            refused(&path, &[b"my notes, not a journal".to_vec()]),
            "j:1: expected a whole line of a trial journal, found a damaged one, and no whole one after it (`--fresh` \
             begins anew)"
        );
    }

    #[test]
    fn the_same_result_twice_counts_once() {
        let (_folder, path, _, trials) = written();
        let mut again = trials[0].clone();
        again.seconds += 1.0;
        let good = lines(&path);
        fs::write(
            &path,
            [
                good.clone(),
                vec![line_of(&Record::Trial(again)).unwrap(), good[1].clone()],
            ]
            .concat()
            .concat(),
        )
        .unwrap();
        let (mut journal, replay) = Journal::open(&path).unwrap();
        assert_eq!(replay.trials, trials);
        let size = fs::metadata(&path).unwrap().len();
        journal.append_trial(&trials[0]).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), size);
    }

    #[test]
    fn a_chip_of_an_answer_has_one_result_in_all_journals() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (
            folder.path().join("a.journal"),
            folder.path().join("b.journal"),
        );
        let seen = |good| SeenChip {
            model: "m".into(),
            protection: Protection::Secded,
            voltage: 0.85,
            chip: ChipId(3),
            judged: Some(Judged { good, images: 80 }),
            ..SeenChip::default()
        };
        let append = |path: &Path, good| {
            let mut journal = Journal::open(path).unwrap().0;
            journal.append_seen(&seen(good)).unwrap();
            journal.close().unwrap();
        };
        append(&one, true);
        append(&other, true);
        let shards = std::slice::from_ref(&other);
        let (_, replay) = Journal::resume(&one, shards, None).unwrap();
        assert_eq!(replay.seen, [seen(true)]);
        append(&other, false);
        let refused = Journal::resume(&one, shards, None).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "{}:3: expected one result of the search of an answer on `m` at 0.85 with protection secded on chip 3: \
                 judged.good true (as {}:2 has it), found judged.good false",
                other.display(),
                one.display()
            )
        );
    }

    #[test]
    fn chips_of_searches_that_answer_took_over_are_refused_with_what_makes_them_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.journal");
        let chip = json!({ "model": "m", "protection": "none", "voltage": 0.85, "chip": 3, "correct": 80 });
        let lines = [
            Header::line(None).unwrap(),
            line_of(&Record::Yield(chip)).unwrap(),
        ];
        fs::write(&path, lines.concat()).unwrap();
        let refused = replay(&path).unwrap_err().to_string();
        assert_eq!(
            refused,
            format!(
                "{}:2: expected no chip of `explore --yield`, whose searches `wcat-explore answer --yield` makes now, \
                 found one; `--fresh` begins the run again",
                path.display()
            )
        );
    }

    #[test]
    fn records_that_do_not_fit_are_not_appended() {
        let (_folder, path, designs, trials) = written();
        let (mut journal, _) = Journal::open(&path).unwrap();
        let before = fs::read(&path).unwrap();
        let mut other = trials[0].clone();
        other.faults += 1;
        assert!(journal
            .append_trial(&other)
            .unwrap_err()
            .to_string()
            .contains("on chip 0: expected one result"));
        other.chip.0 = 9;
        other.seconds = f64::NAN;
        assert!(journal
            .append_trial(&other)
            .unwrap_err()
            .to_string()
            .contains("expected finite numbers"));
        other.design_id = "x".into();
        assert!(journal
            .append_trial(&other)
            .unwrap_err()
            .to_string()
            .contains("its design point written before"));
        let mut changed = designs[0].clone();
        changed.bits = None;
        assert!(journal.append_design(&changed).is_err());
        changed.design_id = "new".into();
        changed.energy_pj = Some(f64::INFINITY);
        assert!(journal
            .append_design(&changed)
            .unwrap_err()
            .to_string()
            .contains("expected finite numbers"));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_that_names_the_file() {
        let (_folder, path, _, trials) = written();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut new = trials[0].clone();
        new.chip.0 = 7;
        let error = journal.append_trial(&new).unwrap_err();
        assert!(
            matches!(&error, Error::Io { path: named, .. } if *named == path),
            "{error:?}"
        );
        // /dev/full cannot be cut, so nothing may follow what may be half a line
        journal.file = OpenOptions::new().append(true).open(&path).unwrap();
        let error = journal.append_trial(&new).unwrap_err();
        assert!(std::error::Error::source(&error)
            .unwrap()
            .to_string()
            .contains("could not be undone"));
        assert_eq!(replay(&path).unwrap().trials, trials);
    }

    #[test]
    fn floats_come_back_with_every_bit() {
        use crate::seed::{Purpose, Seed};
        let mut stream = Seed(9).stream(Purpose::Test, &[]);
        let mut trial = timed_trials(&design("a", "wcat", 0.9), 10, &[5]).remove(0);
        for _ in 0..20_000 {
            trial.seconds = Some(f64::from_bits(stream.below(u64::MAX)))
                .filter(|x| x.is_finite())
                .unwrap_or(0.5);
            let text = line_of(&Record::Trial(trial.clone())).unwrap();
            match serde_json::from_slice(json_of(&text).unwrap()).unwrap() {
                Record::Trial(back) => assert_eq!(back.seconds.to_bits(), trial.seconds.to_bits()),
                other => panic!("{other:?}"),
            }
        }
    }
}
