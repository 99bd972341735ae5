//! Lines of a journal that are damaged: what they held as far as it can be read, and where they are moved to.

use super::contents::next_line;
use super::{Header, Record, Replay, SeenChip};
use crate::analysis::names;
use crate::error::{IoContext, Result};
use crate::run::difference::and_more;
use crate::store;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Write};
use std::path::Path;

/// Damaged lines that a message names.
const NAMED: usize = 5;

impl Replay {
    /// What is damaged, for the reader; `None` where nothing is.
    pub fn damage(&self) -> Option<String> {
        let count = self.damaged.len();
        let lines = match count {
            1 => "1 line is".to_owned(),
            _ => format!("{count} lines are"),
        };
        let named = self.damaged.iter().take(NAMED).cloned().collect::<Vec<_>>();
        let more = and_more(count, NAMED);
        (count > 0).then(|| {
            format!(
                "{lines} damaged, or of a damaged design point: {}{more}",
                named.join(", ")
            )
        })
    }
}

/// What a damaged line seems to have held.
pub(super) fn legible(line: &[u8]) -> String {
    let start = line.iter().position(|&byte| byte == b'{');
    let json = start.map(|start| line[start..].trim_ascii_end());
    let record = json.and_then(|json| serde_json::from_slice::<Record>(json).ok());
    match record {
        Some(record) => format!("it reads as {}", words(&record)),
        None => "not legible".into(),
    }
}

/// What a record is.
pub(super) fn words(record: &Record) -> String {
    match record {
        Record::Journal(_) => "the first line".into(),
        Record::Design(design) => format!("design point `{}`", design.design_id),
        Record::Trial(trial) => format!("trial of `{}` on chip {}", trial.design_id, trial.chip),
        Record::Search(search) => format!("a step of the search of `{}`", search.model),
        Record::Yield(_) => "a chip of `explore --yield`".into(),
        Record::Seen(seen) => words_of_seen(seen),
        Record::Evaluations(_) => "the budget of an answer".into(),
    }
}

/// What a chip of an answer is.
pub(super) fn words_of_seen(seen: &SeenChip) -> String {
    let part = seen.part.as_deref();
    let part = part.map_or(String::new(), |part| {
        format!(" with faults in {part} alone")
    });
    let beside = seen.activation_voltage;
    let beside = beside.map_or(String::new(), |own| format!(", activations at {own},"));
    format!(
        "the {} of an answer on `{}`{part} at {}{beside} with protection {} on chip {}",
        if seen.check { "check" } else { "search" },
        seen.model,
        seen.voltage,
        seen.protection,
        seen.chip
    )
}

/// Moves lines to the file of damaged ones: there first, so that a process that is killed in between loses none.
pub(super) fn set_aside(path: &Path, numbers: &BTreeSet<usize>) -> Result<()> {
    let beside = path.with_file_name(names::DAMAGED);
    let mut file = store::open_to_append(&beside)?;
    each_line(path, |number, line| {
        if !numbers.contains(&number) {
            return Ok(());
        }
        let end: &[u8] = if line.ends_with(b"\n") { b"" } else { b"\n" };
        let text = [format!("line {number}: ").as_bytes(), line, end].concat();
        file.write_all(&text).at("write", &beside)
    })?;
    file.sync_all().at("flush", &beside)?;
    let header = Header::line(None)?;
    let mut failed = None;
    store::write_whole(path, |new| {
        let copied = each_line(path, |number, line| {
            let line = match numbers.contains(&number) {
                true if number == 1 => header.as_slice(),
                true => return Ok(()),
                false => line,
            };
            new.write_all(line).at("write", path)
        });
        copied.map_err(|error| {
            let message = error.to_string();
            failed = Some(error);
            std::io::Error::other(message)
        })
    })
    .map_err(|error| failed.unwrap_or(error))
}

/// All whole lines with their numbers, damaged ones included; not the torn last one.
fn each_line(path: &Path, mut each: impl FnMut(usize, &[u8]) -> Result<()>) -> Result<()> {
    let mut reader = BufReader::new(File::open(path).at("open", path)?);
    let mut line = Vec::new();
    for number in 1.. {
        next_line(path, &mut reader, &mut line)?;
        if line.is_empty() {
            return Ok(());
        }
        each(number, &line)?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // files are damaged on purpose here
mod tests {
    use super::super::contents::json_of;
    use super::super::tests::{lines, written};
    use super::super::{replay, Journal};
    use super::*;
    use std::fs;

    /// Opens a journal of these lines; what it replays, its bytes, and those set aside.
    fn opened(path: &Path, lines: &[Vec<u8>]) -> (Replay, Vec<u8>, String) {
        fs::write(path, lines.concat()).unwrap();
        let before = fs::read(path).unwrap();
        let read_only = replay(path).unwrap();
        assert_eq!(fs::read(path).unwrap(), before, "a reader changed it");
        let (journal, replay) = Journal::open(path).unwrap();
        journal.close().unwrap();
        assert_eq!(read_only, replay);
        let beside = path.with_file_name(names::DAMAGED);
        let aside = fs::read(&beside).unwrap_or_default();
        let _ = fs::remove_file(beside);
        let aside = String::from_utf8_lossy(&aside).into_owned();
        (replay, fs::read(path).unwrap(), aside)
    }

    #[test]
    fn a_flipped_bit_costs_its_line_and_the_trials_of_its_design_point() {
        let (_folder, path, designs, trials) = written();
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            let (replay, now, aside) = opened(&path, &[bytes.clone()]);
            // every record that is left is one of those written, in their order
            let mut left = trials.iter();
            assert!(
                replay.trials.iter().all(|trial| left.any(|t| t == trial)),
                "{place}"
            );
            let mut left = designs.iter();
            assert!(replay
                .designs
                .iter()
                .all(|design| left.any(|d| d == design)));
            let lost = designs.len() + trials.len() - replay.designs.len() - replay.trials.len();
            assert!(lost <= 4, "{place}: {lost}");
            // the repaired journal is whole, and nothing is lost of the lines that were damaged
            let (again, same, nothing) = opened(&path, std::slice::from_ref(&now));
            assert_eq!((again.trials, &same), (replay.trials, &now), "{place}");
            assert!(again.damaged.is_empty() && nothing.is_empty(), "{place}");
            assert_eq!(replay.damaged.is_empty(), aside.is_empty());
        }
    }

    #[test]
    fn damaged_lines_are_named_by_what_they_seem_to_hold() {
        let (_folder, path, ..) = written();
        let mut all = lines(&path);
        all[2][0] ^= 1; // the checksum of a trial
        all[3][0] ^= 1; // that of a design point with two trials
        let (replay, _, aside) = opened(&path, &all);
        assert_eq!(
            replay.damaged,
            [
                "line 3 (it reads as trial of `a@0.30000000000000004vmin` on chip 0)",
                "line 4 (it reads as design point `b@1vmin`)",
                "line 5 (trial of `b@1vmin` on chip 0, whose design point is damaged)",
                "line 6 (trial of `b@1vmin` on chip 1, whose design point is damaged)",
            ]
        );
        assert_eq!(aside.lines().count(), 4);
        assert!(aside.starts_with("line 3: "), "{aside}");
        assert!(replay.damage().unwrap().starts_with("4 lines are damaged"));
        assert_eq!(Replay::default().damage(), None);
    }

    #[test]
    fn a_damaged_first_line_is_written_anew() {
        let (_folder, path, _, trials) = written();
        let whole = fs::read(&path).unwrap();
        let mut all = lines(&path);
        all[0][12] ^= 1;
        let (replay, now, _) = opened(&path, &all);
        assert_eq!((replay.trials, now), (trials, whole));
    }

    #[test]
    fn a_lost_line_feed_costs_both_lines_and_a_line_of_rubbish_itself() {
        let (_folder, path, _, trials) = written();
        let mut all = lines(&path);
        *all[4].last_mut().unwrap() = b'x';
        all.insert(1, vec![0; 3 << 20]);
        all[1].push(b'\n');
        let (replay, now, aside) = opened(&path, &all);
        assert_eq!(replay.trials, trials[..1]);
        assert!(json_of(now.split_inclusive(|&b| b == b'\n').next().unwrap()).is_some());
        assert!(aside.len() > 3 << 20);
    }
}
