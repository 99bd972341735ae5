//! Journals as they are read: the lines of one or of several put together, equal ones once, unequal ones refused.

use super::attempts::{Attempt, Run};
use super::{damage, Header, Record, SearchEvaluation, SeenChip, VERSION};
use crate::analysis::names;
use crate::error::{Error, IoContext, Result};
use crate::run::difference::difference;
use crate::store;
use crate::sweep::{CleanAnswers, Design, Strata, Trial, TrialStatus};
use crate::table::MAX_ROWS;
use serde::Serialize;
use serde_json::{json, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// Longest line, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// What the journals of a run held when they were opened, in the order of writing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Replay {
    /// Design points.
    pub designs: Vec<Design>,
    /// Finished trials, each of a design point above.
    pub trials: Vec<Trial>,
    /// Evaluations of searches.
    pub searches: Vec<SearchEvaluation>,
    /// Chips of an answer.
    pub seen: Vec<SeenChip>,
    /// Most evaluations of an image that an answer may take.
    pub evaluations: Option<u64>,
    /// True where the last line was torn; it does not count.
    pub dropped_torn_line: bool,
    /// Damaged lines, and trials whose design point stood in one, each as `line 7 (what it held)`; they do not count.
    pub damaged: Vec<String>,
    /// Attempts at parts of the run, in the order of their journals' names.
    pub attempts: Vec<ReplayedAttempt>,
}

/// An attempt at a part of a run, and what its journal holds.
#[derive(Clone, Debug, PartialEq)]
pub struct ReplayedAttempt {
    /// The journal.
    pub path: PathBuf,
    /// Who wrote it.
    pub attempt: Attempt,
    /// Its trials.
    pub trials: u64,
    /// Those that another journal has too.
    pub duplicates: u64,
    /// Seconds that all of them took.
    pub seconds: f64,
}

/// A design point, and what was found on its chips.
#[derive(Clone, Debug)]
pub(in crate::run) struct KnownDesign {
    pub(super) design: Design,
    place: Place,
    chips: BTreeMap<u32, (Found, Place)>,
}

/// What is known, by design point.
pub(in crate::run) type Known = BTreeMap<String, KnownDesign>;

/// The result of a trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Found {
    faults: u64,
    images: u64,
    correct: u64,
    not_finite: u64,
    clean: Option<CleanAnswers>,
    strata: Option<Strata>,
    status: TrialStatus,
}

/// A line of one of the files; line 0: of the file that is being written.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Place {
    file: u32,
    line: u32,
}

/// A record that does not fit.
pub(super) struct Wrong {
    pub(super) expected: String,
    pub(super) found: String,
    /// Where the record stands that it does not go with.
    beside: Option<Place>,
}

impl Wrong {
    fn new(expected: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            expected: expected.into(),
            found: found.into(),
            beside: None,
        }
    }

    /// Two records of one thing that differ; `beside`: where the one stands that was read before.
    fn unequal(
        of: impl std::fmt::Display,
        (known, beside): (&impl Serialize, Place),
        new: &impl Serialize,
    ) -> Self {
        let differ = difference(known, new);
        let (known, new) = differ.unwrap_or(("as before".into(), "another".into()));
        Self {
            beside: Some(beside),
            ..Self::new(format!("one {of}: {known}"), new)
        }
    }
}

/// Reads a journal without changing it.
///
/// # Errors
/// [`Error::Missing`], and as [`super::Journal::open`].
pub fn replay(path: impl AsRef<Path>) -> Result<Replay> {
    let path = path.as_ref();
    let file = store::open(path, "the journal of a sweep")?;
    let mut contents = Contents::default();
    contents.add(path, &file, None)?;
    Ok(contents.replay)
}

/// What the journal of a run, where there is one, and those of its shards hold; none is changed.
///
/// # Errors
/// As [`replay`]; [`Error::Input`] for a journal of another run.
pub(in crate::run) fn replay_run(
    folder: &Path,
    shards: &[PathBuf],
    run: &Run,
) -> Result<(Replay, Known)> {
    let mut contents = Contents::default();
    let path = folder.join(names::JOURNAL);
    if path.exists() {
        let file = store::open(&path, "the journal of a run")?;
        contents.add(&path, &file, None)?;
    }
    contents.add_shards(shards, Some(run))?;
    Ok((contents.replay, contents.known))
}

/// Journals as they were read.
#[derive(Default)]
pub(super) struct Contents {
    pub(super) replay: Replay,
    pub(super) known: Known,
    /// The files, in the order of reading.
    pub(super) files: Vec<PathBuf>,
    /// Numbers of the lines of the last file to set aside.
    pub(super) aside: BTreeSet<usize>,
    /// Bytes of whole lines of the last file.
    pub(super) length: u64,
    /// What steps of searches found, with its place, by what was asked.
    steps: BTreeMap<String, (Value, Place)>,
}

impl Contents {
    /// Reads the journals of shards. Another process may be writing them: a torn end is left out.
    pub(super) fn add_shards(&mut self, shards: &[PathBuf], run: Option<&Run>) -> Result<()> {
        let torn = self.replay.dropped_torn_line;
        for path in shards {
            let file = store::open(path, "the journal of a shard")?;
            let before = self.replay.damaged.len();
            self.add(path, &file, run)?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            for damaged in &mut self.replay.damaged[before..] {
                *damaged = format!("{name} {damaged}");
            }
        }
        self.replay.dropped_torn_line = torn;
        Ok(())
    }

    /// Reads all lines of a file; one at a time, so that memory follows what is really there. With a `run` it must be of
    /// a shard of that run.
    pub(super) fn add(&mut self, path: &Path, file: &File, run: Option<&Run>) -> Result<()> {
        let mut reader = BufReader::new(file);
        self.files.push(path.to_owned());
        (self.aside, self.length) = (BTreeSet::new(), 0);
        let held = self.count();
        let mut line = Vec::new();
        for number in 1.. {
            next_line(path, &mut reader, &mut line)?;
            if line.is_empty() {
                break;
            }
            let Some(json) = json_of(&line) else {
                let last = reader.fill_buf().at("read", path)?.is_empty();
                if last && !line.ends_with(b"\n") && (number > 1 || is_torn_header(&line, run)?) {
                    self.replay.dropped_torn_line = true;
                    break;
                }
                self.set_aside(number, damage::legible(&line));
                if number == 1 && run.is_some() {
                    // of which run it is cannot be known
                    return Ok(());
                }
                continue;
            };
            if number == 1 {
                self.take_header(path, json, run)?;
            } else {
                self.take_line(path, number, json)?;
            }
            if self.replay.trials.len() > MAX_ROWS {
                let expected = format!("at most {MAX_ROWS} trials");
                return Err(at_line(path, number, expected, "more".into()));
            }
            self.length += line.len() as u64;
        }
        if self.aside.contains(&1) && self.count() == held {
            let found = "a damaged one, and no whole one after it (`--fresh` begins anew)";
            let expected = "a whole line of a trial journal".into();
            return Err(at_line(path, 1, expected, found.into()));
        }
        Ok(())
    }

    /// Takes the first line of a file.
    fn take_header(&mut self, path: &Path, json: &[u8], run: Option<&Run>) -> Result<()> {
        let header = match serde_json::from_slice(json) {
            Ok(Record::Journal(header)) if header.version == VERSION => header,
            _ => {
                let expected = format!("a trial journal of version {VERSION}");
                return Err(at_line(path, 1, expected, shown(json)));
            }
        };
        if let Some(run) = run {
            run.check(path, header.attempt.as_deref())?;
        }
        if let Some(attempt) = header.attempt {
            self.replay.attempts.push(ReplayedAttempt {
                path: path.to_owned(),
                attempt: *attempt,
                trials: 0,
                duplicates: 0,
                seconds: 0.0,
            });
        }
        Ok(())
    }

    /// Takes a whole line that is not the first.
    fn take_line(&mut self, path: &Path, number: usize, json: &[u8]) -> Result<()> {
        let record: Record = serde_json::from_slice(json).map_err(|e| {
            let expected = format!("a record of version {VERSION} ({e})");
            at_line(path, number, expected, shown(json))
        })?;
        if let Record::Trial(trial) = &record {
            // its design point stood in a damaged line
            if !self.aside.is_empty() && !self.known.contains_key(&trial.design_id) {
                let what = damage::words(&record);
                self.set_aside(number, format!("{what}, whose design point is damaged"));
                return Ok(());
            }
        }
        let place = Place {
            file: (self.files.len() - 1) as u32,
            line: number as u32,
        };
        self.take(record, place).map_err(|wrong| {
            let mut expected = wrong.expected;
            if let Some(at) = wrong.beside {
                let file = self.files.get(at.file as usize);
                expected += &match file.filter(|_| at.file != place.file) {
                    Some(file) => format!(" (as {}:{} has it)", file.display(), at.line),
                    None => format!(" (as line {} has it)", at.line),
                };
            }
            at_line(path, number, expected, wrong.found)
        })
    }

    fn set_aside(&mut self, number: usize, held: String) {
        self.aside.insert(number);
        self.replay.damaged.push(format!("line {number} ({held})"));
    }

    /// Number of records.
    fn count(&self) -> usize {
        let replay = &self.replay;
        let all = [
            replay.designs.len(),
            replay.trials.len(),
            replay.searches.len(),
            replay.seen.len(),
        ];
        all.iter().sum()
    }

    /// Takes a record that is not the first of its file.
    fn take(&mut self, record: Record, place: Place) -> Result<(), Wrong> {
        match record {
            Record::Journal(_) => {
                return Err(Wrong::new(
                    "a design point or a trial",
                    "a second first line",
                ));
            }
            Record::Design(design) => match self.known.get(&design.design_id) {
                Some(known) if known.design == *design => {}
                Some(known) => {
                    let of = format!("content of design point `{}`", design.design_id);
                    let known = (&known.design, known.place);
                    return Err(Wrong::unequal(of, known, &design));
                }
                None => {
                    remember_design(&mut self.known, &design, place);
                    self.replay.designs.push(*design);
                }
            },
            Record::Search(search) => {
                let of = format!("result of a step of the search of `{}`", search.model);
                let found = json!({ "correct": search.evaluation.correct });
                if self.is_new_step(asked(&search), of, found, place)? {
                    self.replay.searches.push(*search);
                }
            }
            Record::Yield(_) => {
                return Err(Wrong::new(
                    "no chip of `explore --yield`, whose searches `wcat-explore answer --yield` makes now",
                    "one; `--fresh` begins the run again",
                ));
            }
            Record::Seen(seen) => {
                let of = format!("result of {}", damage::words_of_seen(&seen));
                let found = json!({ "strata": seen.strata, "judged": seen.judged });
                if self.is_new_step(of.clone(), of, found, place)? {
                    self.replay.seen.push(seen);
                }
            }
            Record::Evaluations(most) => self.replay.evaluations = Some(most),
            Record::Trial(trial) => {
                let new = check_trial(&self.known, &trial)?;
                if let Some(attempt) = self.replay.attempts.last_mut() {
                    attempt.trials += 1;
                    attempt.duplicates += u64::from(!new);
                    attempt.seconds += trial.seconds;
                }
                if new {
                    remember_trial(&mut self.known, &trial, place);
                    self.replay.trials.push(trial);
                }
            }
        }
        Ok(())
    }

    /// True where what a step of a search found is new, false where the same is known.
    fn is_new_step(
        &mut self,
        asked: String,
        of: String,
        step: Value,
        place: Place,
    ) -> Result<bool, Wrong> {
        match self.steps.get(&asked) {
            Some((known, beside)) if *known != step => {
                Err(Wrong::unequal(of, (known, *beside), &step))
            }
            Some(_) => Ok(false),
            None => {
                self.steps.insert(asked, (step, place));
                Ok(true)
            }
        }
    }
}

/// What a step of a search asks.
fn asked(search: &SearchEvaluation) -> String {
    let evaluation = &search.evaluation;
    format!(
        "{:?}",
        (
            &search.model,
            &evaluation.domain_voltages,
            evaluation.images,
            evaluation.correct.len()
        )
    )
}

pub(super) fn remember_design(known: &mut Known, design: &Design, place: Place) {
    let new = || KnownDesign {
        design: design.clone(),
        place,
        chips: BTreeMap::new(),
    };
    known.entry(design.design_id.clone()).or_insert_with(new);
}

/// True where a trial is new, false where the same result is known.
pub(super) fn check_trial(known: &Known, trial: &Trial) -> Result<bool, Wrong> {
    let Some(design) = known.get(&trial.design_id) else {
        return Err(Wrong::new("its design point written before it", "none"));
    };
    if trial.images == 0 || trial.correct > trial.images {
        let found = format!("{} of {} images correct", trial.correct, trial.images);
        return Err(Wrong::new(
            "at least one image, and at most all correct",
            found,
        ));
    }
    if trial.not_finite > trial.images - trial.correct {
        let found = format!("{} beside {} correct", trial.not_finite, trial.correct);
        return Err(Wrong::new(
            "images that are not finite among the wrong ones",
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
        return Err(Wrong::new(
            "answers of the clean network that go with those of the chip",
            found,
        ));
    }
    let off =
        |strata: &&Strata| trial.clean.is_none() || !strata.add_up_to(trial.images, trial.correct);
    if let Some(strata) = trial.strata.as_ref().filter(off) {
        let found = format!("{strata} of {} images", trial.images);
        return Err(Wrong::new(
            "strata that add up, beside the clean network",
            found,
        ));
    }
    let new = found(trial);
    match design.chips.get(&trial.chip.0) {
        None => Ok(true),
        Some((old, _)) if *old == new => Ok(false),
        Some((old, beside)) => {
            let of = format!("result of `{}` on chip {}", trial.design_id, trial.chip);
            Err(Wrong::unequal(of, (old, *beside), &new))
        }
    }
}

fn found(trial: &Trial) -> Found {
    Found {
        faults: trial.faults,
        images: trial.images,
        correct: trial.correct,
        not_finite: trial.not_finite,
        clean: trial.clean,
        strata: trial.strata.clone(),
        status: trial.status,
    }
}

pub(super) fn remember_trial(known: &mut Known, trial: &Trial, place: Place) {
    if let Some(design) = known.get_mut(&trial.design_id) {
        design.chips.insert(trial.chip.0, (found(trial), place));
    }
}

fn at_line(path: &Path, number: usize, expected: String, found: String) -> Error {
    Error::input_at(path, Some(number), None, expected, found)
}

/// The start of a line.
fn shown(json: &[u8]) -> String {
    String::from_utf8_lossy(json).chars().take(200).collect()
}

/// The JSON of a line, if the line is whole.
pub(super) fn json_of(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_suffix(b"\n")?;
    let (crc, rest) = line.split_at_checked(8)?;
    let json = rest.strip_prefix(b" ")?;
    (format!("{:08x}", crc32fast::hash(json)).as_bytes() == crc).then_some(json)
}

/// Reads the next line, or the next piece of one that is too long for a line; empty at the end.
pub(super) fn next_line(path: &Path, reader: &mut impl BufRead, line: &mut Vec<u8>) -> Result<()> {
    line.clear();
    let mut piece = reader.by_ref().take(MAX_LINE + 1);
    piece.read_until(b'\n', line).at("read", path).map(drop)
}

/// True where a first line is the start of ours or empty space, and not another kind of file. That of a shard may be
/// seen while it is written.
fn is_torn_header(line: &[u8], run: Option<&Run>) -> Result<bool> {
    let header = Header::line(None)?;
    Ok(run.is_some() || header.starts_with(line) || line.iter().all(|&byte| byte == 0))
}
