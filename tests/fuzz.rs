//! Hostile files for every reader of the library: the answer is what was read, or an error that names the file;
//! never a panic, never an exhausted memory. `WCAT_FUZZ_COUNT` sets the inputs of each reader, `WCAT_FUZZ_TARGET` one
//! of them; an input is made from its number alone, so that a finding can be made again.
#![allow(clippy::unwrap_used, clippy::print_stderr)] // a test may stop at once, and says what it found
#![allow(clippy::disallowed_methods)] // files are damaged on purpose here

#[path = "fuzz/edit.rs"]
mod edit;
#[path = "program/mod.rs"]
mod program;
#[path = "fuzz/seeds.rs"]
mod seeds;
#[path = "fuzz/targets.rs"]
mod targets;

use cpu_time::ThreadTime;
use edit::Rng;
use std::error::Error as _;
use std::fs;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use targets::{Target, TARGETS};
use wcat_explore::error::{Error, Result};

/// Address space of a process that reads hostile files, in KiB: the program itself, and room for what small files may
/// take. A file that wants more ends the process, and its number is known.
const ADDRESS_SPACE: u64 = 3 << 20;
/// Longest message.
const LONGEST: usize = 2000;
/// Longest time for a file of a few kilobytes, on this thread.
const PATIENCE: Duration = Duration::from_secs(5);
/// Findings of a reader that are said.
const MOST_SAID: usize = 8;

/// How long the process whose memory is limited has worked, by its files in a folder.
struct Work {
    folder: PathBuf,
}

impl Work {
    fn number(&self) -> PathBuf {
        self.folder.join("number")
    }

    fn report(&self) -> PathBuf {
        self.folder.join("report")
    }
}

/// A message with its causes, as the program prints them.
fn message(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(own) = cause {
        text += &format!("\ncaused by: {own}");
        cause = own.source();
    }
    text
}

/// What is wrong with an answer.
fn wrong(answer: Result<()>, path: &Path) -> Option<String> {
    let error = answer.err()?;
    let text = message(&error);
    let said: String = text.chars().take(300).collect();
    if !error.is_wrong_input() {
        return Some(format!("not called wrong input: {said:?}"));
    }
    if text.len() >= LONGEST {
        return Some(format!("a message of {} bytes: {said:?}", text.len()));
    }
    if text.chars().any(|c| c.is_control() && c != '\n') {
        return Some(format!("a control character: {said:?}"));
    }
    let folder = path.parent().unwrap().display().to_string();
    (!text.contains(&folder)).then(|| format!("the file is not named: {said:?}"))
}

/// Reads one file; what is wrong with the answer.
fn tried(target: &Target, path: &Path) -> Option<String> {
    let started = ThreadTime::now();
    let found = match catch_unwind(AssertUnwindSafe(|| (target.read)(path))) {
        Ok(answer) => wrong(answer, path),
        Err(cause) => {
            let text = cause.downcast_ref::<String>().cloned();
            let text = text.or_else(|| cause.downcast_ref::<&str>().map(|s| (*s).to_owned()));
            Some(format!("a panic: {}", text.unwrap_or_default()))
        }
    };
    let took = started.elapsed();
    found.or_else(|| (took > PATIENCE).then(|| format!("it took {took:?}")))
}

/// All inputs of a reader in this process. Numbers are written before an input is tried.
fn try_all(target: &Target, count: u64, work: &Work) {
    let seeds = (target.seeds)();
    let path = work.folder.join("files").join(target.file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    for (i, seed) in seeds.iter().enumerate() {
        fs::write(&path, seed).unwrap();
        let answer = (target.read)(&path).map_err(|error| message(&error));
        // a record stands without the tables of its run
        let whole = answer.is_ok() || target.name == "run_yaml";
        assert!(whole, "{}: seed {i} is refused: {answer:?}", target.name);
    }
    std::panic::set_hook(Box::new(|_| ()));
    let (mut findings, mut accepted) = (Vec::new(), 0);
    for number in 0..count {
        let mut rng = Rng::new(target.name, number);
        let seed = &seeds[rng.below(seeds.len())];
        let input = (target.edit)(&mut rng, seed);
        fs::write(work.number(), number.to_string()).unwrap();
        fs::write(&path, &input).unwrap();
        match tried(target, &path) {
            Some(found) => findings.push(format!("{} {number}: {found}", target.name)),
            None => accepted += 1,
        }
    }
    let _ = std::panic::take_hook();
    // what an answer says weighs less than that there was none
    findings
        .sort_by_key(|found| found.contains(": a message of ") || found.contains(": a control "));
    findings.truncate(MOST_SAID);
    let said = format!("{accepted} of {count} are well\n{}", findings.join("\n"));
    fs::write(work.report(), said).unwrap();
}

/// Tries a reader in a process of limited memory; what it found.
fn of_target(target: &Target, count: u64) -> Option<String> {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    };
    let work = Work {
        folder: folder.path().to_owned(),
    };
    let line = format!("ulimit -v {ADDRESS_SPACE}; ulimit -c 0; exec \"$0\" \"$@\"");
    let started = std::time::Instant::now();
    let output = Command::new("sh")
        .args(["-c", &line])
        .arg(std::env::current_exe().unwrap())
        .args(["in_a_process_of_its_own", "--exact", "--nocapture"])
        .env("WCAT_FUZZ_CHILD", target.name)
        .env("WCAT_FUZZ_COUNT", count.to_string())
        .env("WCAT_FUZZ_FOLDER", &work.folder)
        .env("RAYON_NUM_THREADS", "1")
        .output()
        .unwrap();
    let report = fs::read_to_string(work.report()).unwrap_or_default();
    let words = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || report.is_empty() {
        let number = fs::read_to_string(work.number()).unwrap_or_default();
        return Some(format!(
            "{} {number}: the process ended with {}: {words}",
            target.name, output.status
        ));
    }
    let (first, findings) = report.split_once('\n').unwrap_or_default();
    eprintln!(
        "{}: {first}, {:.1} s",
        target.name,
        started.elapsed().as_secs_f64()
    );
    (!findings.is_empty()).then(|| findings.to_owned())
}

fn count() -> Option<u64> {
    std::env::var("WCAT_FUZZ_COUNT").ok()?.parse().ok()
}

/// Tries the readers whose place is `part` of `parts`.
fn hold(part: usize, parts: usize) {
    if std::env::var_os("WCAT_FUZZ_CHILD").is_some() {
        return;
    }
    let only = std::env::var("WCAT_FUZZ_TARGET").ok();
    let own = TARGETS.iter().enumerate().filter(|(i, target)| {
        i % parts == part
            && only
                .as_ref()
                .is_none_or(|only| target.name.contains(only.as_str()))
    });
    let found: Vec<String> = own
        .filter_map(|(_, target)| of_target(target, count().unwrap_or(target.count)))
        .collect();
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

#[test]
fn in_a_process_of_its_own() {
    let Ok(name) = std::env::var("WCAT_FUZZ_CHILD") else {
        return;
    };
    let mut all = TARGETS.iter().chain([&CREDULOUS]);
    let target = all.find(|target| target.name == name).unwrap();
    let folder = PathBuf::from(std::env::var("WCAT_FUZZ_FOLDER").unwrap());
    try_all(target, count().unwrap_or(target.count), &Work { folder });
}

#[test]
fn hostile_files_give_errors_that_name_them() {
    hold(0, 2);
}

#[test]
fn hostile_files_give_errors_that_name_them_in_the_other_readers() {
    hold(1, 2);
}

/// A reader that believes what a file claims.
const CREDULOUS: Target = Target {
    name: "credulous",
    file: "claim",
    seeds: || vec![vec![0; 8]],
    edit: |_, _| vec![0, 0, 0, 0, 1, 0, 0, 0],
    read: |path| {
        let claim = fs::read(path).unwrap().try_into().unwrap();
        let memory = vec![1u8; u64::from_le_bytes(claim) as usize];
        assert_ne!(memory.first(), Some(&2));
        Ok(())
    },
    count: 3,
};

#[test]
fn a_claim_on_more_memory_than_there_is_ends_the_process_and_is_found() {
    if std::env::var_os("WCAT_FUZZ_CHILD").is_none() {
        let found = of_target(&CREDULOUS, 3).unwrap();
        assert!(
            found.starts_with("credulous 0: the process ended"),
            "{found}"
        );
    }
}
