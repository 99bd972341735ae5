//! `trials.journal`: finished design points and trials, one checksummed line each, appended as they come.
//!
//! A line is the CRC-32 of its JSON in 8 hexadecimal digits, a space, the JSON, a line feed; the
//! first line holds the version. Each line is handed to the operating system in one piece before
//! the call returns, so a killed process loses no finished trial; it is flushed to the medium
//! about once a second and on [`Journal::close`], so a power failure loses about the last second.
//! One process at a time: the caller holds the lock of the run folder.

mod damage;

use crate::error::{Error, IoContext, Result};
use crate::explore::Evaluation;
use crate::store;
use crate::sweep::{CleanAnswers, Design, Strata, Trial, TrialStatus};
use crate::table::MAX_ROWS;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Version of the format of lines.
const VERSION: u32 = 1;
/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;
/// Time between two flushes to the medium.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Header {
    version: u32,
}

/// What a line holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Journal(Header),
    Design(Box<Design>),
    Trial(Trial),
    Search(Box<SearchEvaluation>),
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

/// What a journal held when it was opened, in the order of writing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Design points.
    pub designs: Vec<Design>,
    /// Finished trials, each of a design point above.
    pub trials: Vec<Trial>,
    /// Evaluations of searches.
    pub searches: Vec<SearchEvaluation>,
    /// True where the last line was torn; it does not count.
    pub dropped_torn_line: bool,
    /// Damaged lines, and trials whose design point stood in one, each as `line 7 (what it held)`; they do not count.
    pub damaged: Vec<String>,
}

/// What is known of a design point: the point, and what was found on its chips.
type Known = BTreeMap<String, (Design, BTreeMap<u32, Found>)>;
/// Faults, images, correct, not finite, the clean network, strata, status.
type Found = (
    u64,
    u64,
    u64,
    u64,
    Option<CleanAnswers>,
    Option<Strata>,
    TrialStatus,
);

/// The open journal of a run.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    length: u64,
    /// True after a write that failed and could not be undone.
    broken: bool,
    /// Time of the last flush.
    flushed: Instant,
    /// True where something is not flushed.
    dirty: bool,
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
        let path = path.as_ref().to_owned();
        let open = || {
            let mut options = OpenOptions::new();
            let file = options.read(true).append(true).create(true).open(&path);
            file.at("open", &path)
        };
        let mut file = open()?;
        let mut read = read(&path, &file)?;
        if !read.aside.is_empty() {
            damage::set_aside(&path, &read.aside)?;
            let damaged = std::mem::take(&mut read.replay.damaged);
            file = open()?;
            read = self::read(&path, &file)?;
            read.replay.damaged = damaged;
        }
        let dirty = read.replay.dropped_torn_line;
        if dirty {
            file.set_len(read.length)
                .at("cut the torn line off", &path)?;
        }
        store::flush_folder(store::folder_of(&path))?;
        let (length, known) = (read.length, read.known);
        let flushed = Instant::now();
        let mut journal = Self {
            path,
            file,
            length,
            broken: false,
            flushed,
            dirty,
            known,
        };
        if length == 0 {
            journal.write(&Record::Journal(Header { version: VERSION }))?;
        }
        journal.flush()?;
        Ok((journal, read.replay))
    }

    /// Appends a design point. Nothing is written where it is there already.
    ///
    /// # Errors
    /// [`Error::Argument`] where another point has its identifier or a number is not finite,
    /// [`Error::Io`] with the path (no space, for one); the journal stays whole then.
    pub fn append_design(&mut self, design: &Design) -> Result<()> {
        if let Some((known, _)) = self.known.get(&design.design_id) {
            if known == design {
                return Ok(());
            }
            let what = format!("design point `{}`", design.design_id);
            return Err(Error::argument(
                what,
                "the content it was written with",
                "another",
            ));
        }
        let record = Record::Design(Box::new(design.clone()));
        self.write(&record)?;
        self.known
            .insert(design.design_id.clone(), (design.clone(), BTreeMap::new()));
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
        let what = || format!("trial of `{}` on chip {}", trial.design_id, trial.chip);
        match check_trial(&self.known, trial) {
            Ok(true) => self.write(&Record::Trial(trial.clone()))?,
            Ok(false) => return Ok(()),
            Err((expected, found)) => return Err(Error::argument(what(), expected, found)),
        }
        remember(&mut self.known, trial);
        Ok(())
    }

    /// Appends an evaluation of a search.
    ///
    /// # Errors
    /// [`Error::Io`] with the path; the journal stays whole then.
    pub fn append_search(&mut self, search: &SearchEvaluation) -> Result<()> {
        self.write(&Record::Search(Box::new(search.clone())))
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
        let line = line_of(record)?;
        if self.broken {
            let source = std::io::Error::other("an earlier write failed and could not be undone");
            return Err(source).at("write", &self.path);
        }
        store::check_lock(store::folder_of(&self.path))?;
        if let Err(error) = self.file.write_all(&line) {
            // no line may follow a part of one
            self.broken = self.file.set_len(self.length).is_err();
            return Err(error).at("write", &self.path);
        }
        self.length += line.len() as u64;
        self.dirty = true;
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush()?;
        }
        Ok(())
    }
}

/// Reads a journal without changing it.
///
/// # Errors
/// [`Error::Missing`], and as [`Journal::open`].
pub fn replay(path: impl AsRef<Path>) -> Result<Replay> {
    let path = path.as_ref();
    let file = store::open(path, "the journal of a sweep")?;
    Ok(read(path, &file)?.replay)
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

/// The JSON of a line, if the line is whole.
fn json_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (crc, rest) = line.split_at_checked(8)?;
    let json = rest.strip_prefix(b" ")?;
    (format!("{:08x}", crc32fast::hash(json)).as_bytes() == crc).then_some(json)
}

/// True where a trial is new, false where the same result is known; else what was expected and found.
fn check_trial(known: &Known, trial: &Trial) -> Result<bool, (String, String)> {
    let Some((_, chips)) = known.get(&trial.design_id) else {
        return Err(("its design point written before it".into(), "none".into()));
    };
    if trial.images == 0 || trial.correct > trial.images {
        let found = format!("{} of {} images correct", trial.correct, trial.images);
        return Err(("at least one image, and at most all correct".into(), found));
    }
    if trial.not_finite > trial.images - trial.correct {
        let found = format!("{} beside {} correct", trial.not_finite, trial.correct);
        return Err((
            "images that are not finite among the wrong ones".into(),
            found,
        ));
    }
    if let Some(clean) = trial
        .clean
        .filter(|c| c.difference(trial.images, trial.correct).is_none())
    {
        let found = format!(
            "{clean:?} beside {} of {} images",
            trial.correct, trial.images
        );
        return Err((
            "answers of the clean network that go with those of the chip".into(),
            found,
        ));
    }
    let off =
        |strata: &&Strata| trial.clean.is_none() || !strata.add_up_to(trial.images, trial.correct);
    if let Some(strata) = trial.strata.as_ref().filter(off) {
        let found = format!("{strata} of {} images", trial.images);
        return Err(("strata that add up, beside the clean network".into(), found));
    }
    let new = found(trial);
    match chips.get(&trial.chip.0) {
        None => Ok(true),
        Some(old) if *old == new => Ok(false),
        Some(old) => {
            let of = format!("`{}` on chip {}", trial.design_id, trial.chip);
            Err((format!("one result of {of}: {old:?}"), format!("{new:?}")))
        }
    }
}

fn found(trial: &Trial) -> Found {
    (
        trial.faults,
        trial.images,
        trial.correct,
        trial.not_finite,
        trial.clean,
        trial.strata.clone(),
        trial.status,
    )
}

fn remember(known: &mut Known, trial: &Trial) {
    if let Some((_, chips)) = known.get_mut(&trial.design_id) {
        chips.insert(trial.chip.0, found(trial));
    }
}

/// A journal as it was read.
struct Contents {
    replay: Replay,
    known: Known,
    /// Numbers of the lines to set aside.
    aside: BTreeSet<usize>,
    /// Bytes of whole lines.
    length: u64,
}

impl Contents {
    fn set_aside(&mut self, number: usize, held: String) {
        self.aside.insert(number);
        self.replay.damaged.push(format!("line {number} ({held})"));
    }

    fn holds_nothing(&self) -> bool {
        let Replay {
            designs,
            trials,
            searches,
            ..
        } = &self.replay;
        designs.is_empty() && trials.is_empty() && searches.is_empty()
    }

    /// Takes a record that is not the first; an error says what was expected and found.
    fn take(&mut self, record: Record) -> Result<(), (String, String)> {
        match record {
            Record::Journal(_) => Err((
                "a design point or a trial".into(),
                "a second first line".into(),
            )),
            Record::Design(design) => {
                let id = &design.design_id;
                match self.known.get(id) {
                    Some((known, _)) if *known == *design => return Ok(()),
                    Some(_) => {
                        let expected = format!("one content of design point `{id}`");
                        return Err((expected, "another than before".into()));
                    }
                    None => self
                        .known
                        .insert(id.clone(), ((*design).clone(), BTreeMap::new())),
                };
                self.replay.designs.push(*design);
                Ok(())
            }
            Record::Search(search) => {
                self.replay.searches.push(*search);
                Ok(())
            }
            Record::Trial(trial) => {
                if check_trial(&self.known, &trial)? {
                    remember(&mut self.known, &trial);
                    self.replay.trials.push(trial);
                }
                Ok(())
            }
        }
    }
}

/// Reads the next line, or the next piece of one that is too long for a line; empty at the end.
fn next_line(path: &Path, reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<()> {
    line.clear();
    let mut piece = reader.by_ref().take(MAX_LINE + 1);
    piece.read_until(b'\n', line).at("read", path).map(drop)
}

/// Reads all lines; one at a time, so that memory follows what is really there.
fn read(path: &Path, file: &File) -> Result<Contents> {
    let mut reader = BufReader::new(file);
    let mut contents = Contents {
        replay: Replay::default(),
        known: Known::new(),
        aside: BTreeSet::new(),
        length: 0,
    };
    let mut line = Vec::new();
    for number in 1.. {
        next_line(path, &mut reader, &mut line)?;
        if line.is_empty() {
            break;
        }
        let wrong = |expected: String, found: String| Error::Input {
            path: path.to_owned(),
            line: Some(number),
            key: None,
            expected,
            found,
        };
        let Some(json) = json_of(&line) else {
            let last = reader.fill_buf().at("read", path)?.is_empty();
            if last && !line.ends_with(b"\n") && (number > 1 || is_torn_header(&line)?) {
                contents.replay.dropped_torn_line = true;
                break;
            }
            contents.set_aside(number, damage::legible(&line));
            continue;
        };
        let record = |what: &str| {
            wrong(
                what.into(),
                String::from_utf8_lossy(json).chars().take(200).collect(),
            )
        };
        let parsed: Result<Record, _> = serde_json::from_slice(json);
        if number == 1 {
            match parsed {
                Ok(Record::Journal(Header { version: VERSION })) => {}
                _ => return Err(record(&format!("a trial journal of version {VERSION}"))),
            }
        } else {
            let parsed =
                parsed.map_err(|e| record(&format!("a record of version {VERSION} ({e})")))?;
            match parsed {
                // its design point stood in a damaged line
                Record::Trial(trial)
                    if !contents.aside.is_empty()
                        && !contents.known.contains_key(&trial.design_id) =>
                {
                    let what = damage::words(&Record::Trial(trial));
                    contents.set_aside(number, format!("{what}, whose design point is damaged"));
                    continue;
                }
                other => contents
                    .take(other)
                    .map_err(|(expected, found)| wrong(expected, found))?,
            }
        }
        if contents.replay.trials.len() > MAX_ROWS {
            return Err(wrong(format!("at most {MAX_ROWS} trials"), "more".into()));
        }
        contents.length += line.len() as u64;
    }
    if contents.aside.contains(&1) && contents.holds_nothing() {
        return Err(Error::Input {
            path: path.to_owned(),
            line: Some(1),
            key: None,
            expected: "a whole line of a trial journal".into(),
            found: "a damaged one, and no whole one after it (`--fresh` begins anew)".into(),
        });
    }
    Ok(contents)
}

/// True where a first line is the start of ours or empty space, and not another kind of file.
fn is_torn_header(line: &[u8]) -> Result<bool> {
    let header = line_of(&Record::Journal(Header { version: VERSION }))?;
    Ok(header.starts_with(line) || line.iter().all(|&byte| byte == 0))
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files are damaged on purpose here
mod tests {
    use super::*;
    use crate::analysis::tests::{design, trials};
    use std::fs;

    /// A folder with a journal of two design points and three trials, and what it holds.
    pub(super) fn written() -> (tempfile::TempDir, PathBuf, Vec<Design>, Vec<Trial>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trials.journal");
        let designs = vec![design("a", "wcat", 0.1 + 0.2), design("b", "normal", 1.0)];
        let all = [
            trials(&designs[0], 100, &[80]),
            trials(&designs[1], 100, &[95, 95]),
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
        let mut all = trials(&design, 100, &[80, 99]);
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
            "j:7: expected one content of design point `b@1vmin`, found another than before"
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
        let mut trial = trials(&design("a", "wcat", 0.9), 10, &[5]).remove(0);
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
