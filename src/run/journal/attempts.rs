//! Journals of shards: one for each attempt at one, in a folder of the run, written by the process that made it alone.

use crate::analysis::names;
use crate::error::{refuse, Error, IoContext, Result};
use crate::kernel::{Arithmetic, Isa};
use crate::run::difference::difference;
use crate::run::identity::{folder_name, settings};
use crate::run::numerics::numerics;
use crate::run::record::{now, Record};
use crate::store;
use crate::sweep::Shard;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// How the name of a journal ends.
const ENDING: &str = "journal";
/// Variables that say which job of a cluster this is.
const JOBS: [&str; 3] = ["SLURM_JOB_ID", "AWS_BATCH_JOB_ID", "HQ_JOB_ID"];
/// Variables that name the machine.
const HOSTS: [&str; 3] = ["SLURMD_NODENAME", "HOSTNAME", "COMPUTERNAME"];
/// Where Linux keeps its name.
const HOST_FILE: &str = "/proc/sys/kernel/hostname";
/// Most characters of it.
const LONGEST_HOST: usize = 40;

/// A run, as the journals of its shards name it.
#[derive(Clone, Debug)]
pub(in crate::run) struct Run {
    /// See [`crate::run::record::Record`].
    pub(in crate::run) identity: String,
    /// See [`crate::run::numerics()`].
    pub(in crate::run) numerics: &'static str,
    /// What the identity is the hash of, by name.
    settings: Value,
}

impl Run {
    /// A run by its name and everything that can change a number of it.
    ///
    /// # Errors
    /// As [`folder_name`] and [`crate::run::numerics()`].
    pub(in crate::run) fn of(name: &str, identity: &impl Serialize) -> Result<Self> {
        let arithmetic = Arithmetic::current();
        Ok(Self {
            identity: folder_name(name, identity, arithmetic)?,
            numerics: numerics()?,
            settings: settings(name, identity, arithmetic),
        })
    }

    /// Refuses the journal of another run, and that of other numerics.
    pub(super) fn check(&self, path: &Path, attempt: Option<&Attempt>) -> Result<()> {
        let wrong = |key: &str, expected: &str, found: &str| {
            Err(Error::input_at(path, Some(1), Some(key), expected, found))
        };
        let Some(attempt) = attempt else {
            return wrong("attempt", "the journal of a shard", "one that says no run");
        };
        if attempt.identity != self.identity {
            let (mut expected, mut found) = (self.identity.clone(), attempt.identity.clone());
            let theirs = attempt.settings.as_ref();
            if let Some((own, other)) = theirs.and_then(|theirs| difference(&self.settings, theirs))
            {
                expected += &format!(" ({own})");
                found += &format!(" ({other})");
            }
            return wrong("identity", &expected, &found);
        }
        if attempt.numerics != self.numerics {
            return wrong("numerics", self.numerics, &attempt.numerics);
        }
        Ok(())
    }
}

/// What an attempt is to compute, of that which may grow from one command to the next without another identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Voltages in the unit of the memory.
    pub voltages: Vec<f64>,
    /// Voltages of stored activations, where they have a supply of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub activation_voltages: Vec<f64>,
    /// Protections by their words.
    pub protections: Vec<String>,
    /// Chips per design point.
    pub chips: u32,
}

impl Asked {
    /// What is asked for here and by none of the others, in words; `None` where there is no such thing.
    pub(in crate::run) fn beyond(&self, others: &[&Self]) -> Option<String> {
        let of = |asked: &Self| -> BTreeSet<String> {
            let voltages = asked.voltages.iter().map(|own| format!("voltage {own}"));
            let of_activations = asked.activation_voltages.iter();
            let of_activations = of_activations.map(|own| format!("activation voltage {own}"));
            let protections = asked.protections.iter();
            let protections = protections.map(|own| format!("protection {own}"));
            voltages.chain(of_activations).chain(protections).collect()
        };
        let mut more = of(self);
        others.iter().for_each(|other| {
            let known = of(other);
            more.retain(|own| !known.contains(own));
        });
        let chips = others.iter().map(|other| other.chips).max().unwrap_or(0);
        let chips = (self.chips > chips).then(|| format!("{} chips, not {chips}", self.chips));
        let all: Vec<String> = more.into_iter().chain(chips).collect();
        (!all.is_empty()).then(|| all.join(", "))
    }
}

/// One process at work on a part of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// Name and hash of everything that can change a number.
    pub identity: String,
    /// What the bits of the program hash to.
    pub numerics: String,
    /// Version of the program.
    pub version: String,
    /// First digits of the SHA-256 of the program's file.
    pub build: String,
    /// Vector instructions.
    pub isa: String,
    /// The shard, such as `3/16`; `None`: a whole run in a folder that could not be locked.
    pub shard: Option<String>,
    /// Name of the machine.
    pub host: String,
    /// Job of the cluster, where there is one.
    pub job: Option<String>,
    /// The command line.
    pub command: String,
    /// Seconds since 1970 when it began.
    pub started_unix: u64,
    /// What the identity is the hash of, by name; `None` in a journal that does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Value>,
    /// The design points and chips that it was to compute; an attack has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Asked>,
}

impl Attempt {
    /// An attempt of this process.
    pub(in crate::run) fn here(
        run: &Run,
        shard: Option<Shard>,
        asked: Option<Asked>,
        command: &str,
    ) -> Self {
        Self {
            identity: run.identity.clone(),
            numerics: run.numerics.to_owned(),
            version: Record::version(),
            build: build(),
            isa: Isa::current().name().to_owned(),
            shard: shard.map(|shard| shard.to_string()),
            host: host(),
            job: JOBS.iter().find_map(|name| std::env::var(name).ok()),
            command: command.to_owned(),
            started_unix: now(),
            settings: Some(run.settings.clone()),
            asked,
        }
    }

    /// Makes the file of its journal. Names of machines and numbers of processes repeat in containers: the name is
    /// whichever is free.
    pub(super) fn create_journal(&self, folder: &Path) -> Result<(PathBuf, File)> {
        let folder = folder.join(names::JOURNALS);
        store::create_folder(&folder)?;
        let part = match self.shard.as_deref().and_then(|shard| shard.parse().ok()) {
            Some(shard) => part_of_name(shard),
            None => "whole".into(),
        };
        let (process, time) = (std::process::id(), self.started_unix);
        let stem = format!("{part}.{}-{process}-{time}", self.host);
        let mut name = format!("{stem}.{ENDING}");
        for number in 2.. {
            let path = folder.join(&name);
            match File::options().append(true).create_new(true).open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                    name = format!("{stem}-{number}.{ENDING}");
                }
                other => return Ok((path.clone(), other.at("create", &path)?)),
            }
        }
        refuse("journals", "a free name", "none")
    }
}

fn part_of_name(shard: Shard) -> String {
    format!("{:04}-of-{:04}", shard.index(), shard.count())
}

/// Journals of shards in the folder of a run, and in folders that were copied from elsewhere, in the order of their
/// names.
///
/// # Errors
/// [`Error::Missing`] where one of the `copies` holds no journal, [`Error::Io`].
pub(in crate::run) fn journals_of(folder: &Path, copies: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = journals_in(&folder.join(names::JOURNALS))?;
    for copy in copies {
        let mut found = journals_in(&copy.join(names::JOURNALS))?;
        if found.is_empty() {
            found = journals_in(copy)?;
        }
        if found.is_empty() {
            return Err(no_journals(copy));
        }
        all.extend(found);
    }
    all.sort_by(|a, b| a.file_name().cmp(&b.file_name()).then_with(|| a.cmp(b)));
    Ok(all)
}

/// Why a folder of `--from` is none.
fn no_journals(copy: &Path) -> Error {
    let expected = format!(
        "a copy of a run folder (such as results/NAME) or of its folder `{}`, with files `*.{ENDING}` of shards",
        names::JOURNALS
    );
    let path = copy.to_owned();
    if !copy.is_dir() {
        return Error::Missing { path, expected };
    }
    let found = if copy.join(names::JOURNAL).exists() {
        format!(
            "only {}, the journal of a run without shards",
            names::JOURNAL
        )
    } else {
        format!(
            "none of them there, nor in {}",
            copy.join(names::JOURNALS).display()
        )
    };
    Error::input(path, expected, found)
}

fn journals_in(folder: &Path) -> Result<Vec<PathBuf>> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).at("read", folder)? {
        let path = entry.at("read", folder)?.path();
        let is_run = path.file_name().is_some_and(|name| name == names::JOURNAL);
        if path.extension().is_some_and(|ending| ending == ENDING) && !is_run {
            found.push(path);
        }
    }
    Ok(found)
}

/// Removes the journals of shards from the folder of a run.
///
/// # Errors
/// [`Error::Io`].
pub(in crate::run) fn remove_journals(folder: &Path) -> Result<()> {
    for path in journals_in(&folder.join(names::JOURNALS))? {
        store::remove_file(&path)?;
    }
    Ok(())
}

/// First digits of the SHA-256 of the program's file; `unknown` where it cannot be read.
fn build() -> String {
    let sha = std::env::current_exe()
        .ok()
        .and_then(|path| store::sha256_of_file(&path).ok());
    sha.map_or("unknown".into(), |sha| sha[..16].to_owned())
}

/// The name of this machine, as it may stand in a file name.
fn host() -> String {
    let named = HOSTS.iter().find_map(|name| std::env::var(name).ok());
    let host = named
        .or_else(|| store::read_text(Path::new(HOST_FILE), "a name", 1 << 10).ok())
        .unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || *c == '-' || *c == '_';
    let host: String = host.chars().filter(plain).take(LONGEST_HOST).collect();
    if host.is_empty() {
        return "host".into();
    }
    host
}
