//! Shards: parts of a sweep or an exploration that several processes compute, each into a journal of its own, and what
//! is said when they are put together.

use super::difference::and_more;
use super::exploring::check_exploration;
use super::journal::{journals_of, replay_run, Asked, Attempt, Journal, Replay, ReplayedAttempt};
use super::monitor::Monitor;
use super::prepared::Prepared;
use super::request::RunRequest;
use super::sampling::{Clean, Sampled};
use super::sweeping::{close, lock, Sweeping};
use crate::config::Experiment;
use crate::error::{Error, Result};
use crate::store;
use crate::sweep::{shards_of, Part, Shard};
use crate::units::{count_of, ChipId};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Mutex;

/// Shards that a message names one by one.
const NAMED: usize = 200;
/// Journals that a message names one by one.
const FEW: usize = 5;

/// What a shard came to.
#[derive(Clone, Debug)]
pub struct ShardResult {
    /// The folder of the run.
    pub folder: PathBuf,
    /// The journal that this shard made.
    pub journal: PathBuf,
    /// Trials that this call computed.
    pub computed: usize,
    /// Trials of other shards that were not there when it began. Under a tolerance a merge says whether more follow.
    pub of_others: usize,
}

/// Computes the trials of a shard of [`super::sweep`] that no journal has, into a journal of its own. Models must be
/// trained. Nothing else is written and no lock is taken.
///
/// # Errors
/// Wrong input, [`Error::Missing`] where a model is not trained, [`Error::Interrupted`] (what is finished is kept),
/// [`Error::Io`].
pub fn sweep_shard(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Shard,
    monitor: &dyn Monitor,
) -> Result<ShardResult> {
    Sweeping::new(experiment, request, monitor, false, false)?.shard(shard)
}

/// The same of [`super::explore`]: the trials of a shard, and the searches of its models.
///
/// # Errors
/// As [`sweep_shard`] and [`super::explore`].
pub fn explore_shard(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Shard,
    monitor: &dyn Monitor,
) -> Result<ShardResult> {
    check_exploration(experiment)?;
    Sweeping::new(experiment, request, monitor, true, false)?.shard(shard)
}

impl Prepared {
    /// An attempt of this process at a shard, or at the whole.
    pub(super) fn attempt(&self, shard: Option<Shard>, request: &RunRequest) -> Attempt {
        Attempt::here(&self.run, shard, Some(self.asked()), &request.command)
    }
}

impl Sweeping<'_> {
    fn shard(&self, shard: Shard) -> Result<ShardResult> {
        let prepared = &self.prepared;
        let shards = journals_of(&self.folder, &self.request.from)?;
        let (replay, known) = replay_run(&self.folder, &shards, &prepared.run)?;
        self.say_damage(&replay);
        self.say_other_points(&replay);
        let Clean { scores, answers } = prepared.clean(&replay, self.monitor.cancel())?;
        let points = prepared.points(&replay, &self.folder)?;
        let swept_models = prepared.swept_models(&scores);
        let chips = prepared.chips(&replay);
        let comparison = prepared.comparison(&swept_models, &points, chips);
        let designs = comparison.designs()?;
        let sampled = prepared.sampled(&comparison, &answers);
        if self.explores {
            self.check_searches()?;
        }
        // nothing is written before all is checked
        let attempt = prepared.attempt(Some(shard), self.request);
        let journal = Journal::of_attempt(&self.folder, attempt, known)?;
        let path = journal.path().to_owned();
        let journal = Mutex::new(journal);
        designs
            .iter()
            .try_for_each(|design| lock(&journal).append_design(design))?;
        let done = &replay.trials;
        let owed = sampled.owed_by_all(done)?;
        let own = own_of(shard, &owed);
        self.stages.begin(&count_of(own, "trial"), 1);
        let mut computed = 0;
        let mut sink = self.trial_sink(&journal, own, &mut computed);
        let outcome = sampled.run(Part::Shard(shard), done, self.cancel(), &mut sink)?;
        drop(sink);
        if self.explores {
            let owns = |model| shard.owns(model);
            self.search_models(
                &swept_models,
                &outcome.trials,
                &replay,
                &journal,
                chips,
                &owns,
            )?;
        }
        close(journal)?;
        Ok(ShardResult {
            folder: self.folder.clone(),
            journal: path,
            computed,
            of_others: owed.len() - own,
        })
    }

    /// Checks that shards have computed all trials that this run needs, as far as can be known: under a tolerance those
    /// of the next round.
    pub(super) fn check_complete(&self, sampled: &Sampled, replay: &Replay) -> Result<()> {
        let all = sampled.owed_by_all(&replay.trials)?;
        if all.is_empty() {
            return Ok(());
        }
        let owed = all.len();
        let round = match self.prepared.experiment.sweep.tolerance {
            Some(_) if !replay.trials.is_empty() => " (a tolerance goes in rounds)",
            _ => "",
        };
        let what = format!(
            "{} {}",
            count_of(owed, "trial"),
            if owed == 1 { "is" } else { "are" }
        );
        Err(Error::Owed {
            folder: self.folder.clone(),
            what,
            by: who_owes(&replay.attempts, |count| shards_of(count, &all)) + round,
        })
    }

    /// The result of a search; `None` where it stopped in a merge, because it would have to compute: a shard owes it.
    pub(super) fn unless_owed<R>(&self, result: Result<R>) -> Result<Option<R>> {
        match result {
            Err(Error::Interrupted) if self.request.merge => Ok(None),
            other => other.map(Some),
        }
    }

    /// Checks that shards have made the searches of all models; `missing`: the places of those that lack some.
    pub(super) fn check_searched(&self, missing: &BTreeSet<usize>, replay: &Replay) -> Result<()> {
        if missing.is_empty() {
            return Ok(());
        }
        let owing = |count| missing.iter().map(|place| *place as u32 % count).collect();
        Err(Error::Owed {
            folder: self.folder.clone(),
            what: format!("searches of {} are", count_of(missing.len(), "model")),
            by: who_owes(&replay.attempts, owing),
        })
    }

    /// Warns where other attempts ask for other points than this one: the run has the points of all.
    fn say_other_points(&self, replay: &Replay) {
        let own = self.prepared.asked();
        let mut said = BTreeSet::new();
        for seen in &replay.attempts {
            let Some(asked) = &seen.attempt.asked else {
                continue;
            };
            let here = own.beyond(&[asked]);
            let there = asked.beyond(&[&own]);
            if here.is_none() && there.is_none() || !said.insert((here.clone(), there.clone())) {
                continue;
            }
            let here = here.map(|more| format!("only this one asks for {more}"));
            let there = there.map(|more| format!("only {} asks for {more}", seen.name()));
            let both: Vec<String> = here.into_iter().chain(there).collect();
            self.monitor.warn(&format!(
                "{} is of a shard that was asked for other points than this one, and the run gets those of both: {}",
                seen.name(),
                both.join("; ")
            ));
        }
    }

    /// Names the attempts that asked for points that no other did: a warning where this command does not either.
    pub(super) fn say_points_of_few(&self, replay: &Replay) {
        let own = self.prepared.asked();
        let mut distinct: Vec<(&Asked, Vec<String>)> = Vec::new();
        for seen in &replay.attempts {
            let Some(asked) = &seen.attempt.asked else {
                continue;
            };
            match distinct.iter_mut().find(|(known, _)| *known == asked) {
                Some((_, names)) => names.push(seen.name()),
                None => distinct.push((asked, vec![seen.name()])),
            }
        }
        for (asked, names) in &distinct {
            let others = distinct.iter().map(|(other, _)| *other);
            let others: Vec<&Asked> = others.filter(|other| other != asked).collect();
            let Some(more) = asked.beyond(&others).filter(|_| !others.is_empty()) else {
                continue;
            };
            let named: Vec<&str> = names.iter().take(FEW).map(String::as_str).collect();
            let rest = and_more(names.len(), FEW);
            let text = format!(
                "of {}, only these ask for {more}: {}{rest}",
                count_of(replay.attempts.len(), "attempt"),
                named.join(", ")
            );
            if asked.beyond(&[&own]).is_some() {
                self.monitor.warn(&format!(
                    "{text}; this command does not, yet the run has it"
                ));
            } else {
                self.monitor.note(&text);
            }
        }
    }

    /// Says how even the work of shards was, what was computed twice, and by which builds.
    pub(super) fn say_attempts(&self, replay: &Replay) -> Result<()> {
        let attempts = &replay.attempts;
        let mut seconds: BTreeMap<&str, f64> = BTreeMap::new();
        for seen in attempts {
            let shard = seen.attempt.shard.as_deref().unwrap_or("whole run");
            *seconds.entry(shard).or_default() += seen.seconds;
        }
        let all = seconds.values().copied();
        let (least, most) = (
            all.clone().fold(f64::INFINITY, f64::min),
            all.clone().fold(0.0, f64::max),
        );
        if seconds.is_empty() {
            return Ok(());
        }
        let mean = all.sum::<f64>() / seconds.len() as f64;
        let twice: u64 = attempts.iter().map(|seen| seen.duplicates).sum();
        self.monitor.note(&format!(
            "{} in {}: seconds of trials from {least:.1} to {most:.1}, {mean:.1} on average; {twice} trials computed \
             more than once",
            count_of(seconds.len(), "shard"),
            count_of(attempts.len(), "attempt"),
        ));
        let builds: BTreeSet<&str> = attempts
            .iter()
            .map(|seen| seen.attempt.build.as_str())
            .collect();
        if builds.len() > 1 {
            let builds: Vec<&str> = builds.into_iter().collect();
            self.monitor.warn(&format!(
                "shards ran different builds of the program, of the same numerics: {}",
                builds.join(", ")
            ));
        }
        Ok(())
    }
}

/// How many of these trials are a shard's.
pub(super) fn own_of(shard: Shard, trials: &[(String, ChipId)]) -> usize {
    let own = trials
        .iter()
        .filter(|(id, chip)| shard.owns_trial(id, *chip));
    own.count()
}

/// Which shards owe something, and the line that submits them. How many shards there are is known from the attempt that
/// began last.
pub(super) fn who_owes(
    attempts: &[ReplayedAttempt],
    owing: impl Fn(u32) -> BTreeSet<u32>,
) -> String {
    let latest = attempts
        .iter()
        .filter_map(|seen| {
            let shard: Shard = seen.attempt.shard.as_deref()?.parse().ok()?;
            Some((seen.attempt.started_unix, shard.count()))
        })
        .max();
    let Some((_, count)) = latest else {
        return "no shard has run; `--shard I/N` computes one, the command without `--merge` all"
            .into();
    };
    let owing = owing(count);
    let list: Vec<String> = owing.iter().take(NAMED).map(u32::to_string).collect();
    let list = list.join(",");
    let more = and_more(owing.len(), NAMED);
    let shards = if owing.len() == 1 { "shard" } else { "shards" };
    format!("{shards} {list}{more} of {count} to run: `--array={list}`")
}

impl ReplayedAttempt {
    /// The name of its journal.
    fn name(&self) -> String {
        store::file_name(&self.path)
    }

    /// The attempt in words, by the name of its journal.
    pub(super) fn text(&self) -> String {
        let name = self.name();
        let Attempt {
            host, job, shard, ..
        } = &self.attempt;
        let shard = shard.as_deref().unwrap_or("whole run");
        let job = job
            .as_ref()
            .map(|job| format!(", job {job}"))
            .unwrap_or_default();
        format!("{name}: {shard} on {host}{job}")
    }
}
