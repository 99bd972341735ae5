//! One sweep in its folder: models trained or loaded, trials journalled and resumed, tables and report written.

use super::checked;
use super::exploring::Searched;
use super::folder::RunFolder;
use super::identity::{check_out, report_folder};
use super::journal::{journals_of, remove_journals, replay_run, Journal, Known, Replay};
use super::kept::KeptAnswers;
use super::monitor::{Monitor, Stages, SweepProgress};
use super::prepared::{
    early_set, finished_trainings, inputs, prepare, train_all, trained_before, Prepared,
};
use super::record::{run_folder, ACTIVATION_MEMORY, MEMORY};
use super::redraw::{draw, Drawn};
use super::request::RunRequest;
use super::sampling::{self, Clean};
use super::sharding::own_of;
use super::widths::add_mixed_models;
use crate::analysis::{self, names, Analysis, FloorSpec, Pareto, Summary};
use crate::answer::AnswerSpec;
use crate::config::Experiment;
use crate::error::{refuse, Result};
use crate::store;
use crate::sweep::{Design, EnergyRow, Part, Phase, Shard, StoppedBy, Timing, Trial, TrialRow};
use crate::table;
use crate::units::count_of;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a sweep would compute.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepPlan {
    /// Models of the configuration that are trained already.
    pub trained: Vec<String>,
    /// Models that would be trained first; then what is finished of the rest is not known yet.
    pub to_train: Vec<String>,
    /// Epochs of their trainings in all, of those that are begun too.
    pub epochs: usize,
    /// Run folder; `None` while models are to be trained.
    pub folder: Option<PathBuf>,
    /// Design points.
    pub designs: usize,
    /// Trials in all.
    pub trials: usize,
    /// Trials to compute.
    pub owed: usize,
    /// Those of them that are a shard's, where it is one that is asked for: under a tolerance those of its next round.
    pub of_shard: Option<usize>,
    /// CPU seconds of the trials to compute, of a shard its own, from one timed evaluation; `None` where nothing could be timed.
    pub cpu_seconds: Option<f64>,
    /// Damaged lines of the journal, whose trials would be computed again; `None` where there are none.
    pub damage: Option<String>,
}

/// A finished sweep.
#[derive(Clone, Debug)]
pub struct SweepResult {
    /// Name of the run.
    pub run: String,
    /// Its folder with the tables.
    pub folder: PathBuf,
    /// Its figures and report.
    pub drawn: Drawn,
    /// One row per design point.
    pub summaries: Vec<Summary>,
    /// Frontiers and savings.
    pub pareto: Pareto,
    /// Trials that this call computed.
    pub computed: usize,
    /// Trials that were finished before.
    pub reused: usize,
}

/// Trains the models of the configuration where none is given, sweeps, and leaves tables, figures and report.
/// Finished trainings and trials are reused; a killed sweep goes on where it stopped.
///
/// # Errors
/// Wrong input, [`crate::error::Error::Locked`], [`crate::error::Error::Interrupted`] (what is finished is kept),
/// [`crate::error::Error::Owed`] (a merge of which trials are missing), [`crate::error::Error::Io`].
pub fn sweep(
    experiment: &Experiment,
    request: &RunRequest,
    monitor: &dyn Monitor,
) -> Result<SweepResult> {
    let makes_models = !request.merge;
    let sweeping = Sweeping::new(experiment, request, monitor, false, makes_models)?;
    Ok(sweeping.finish()?.0)
}

/// What [`sweep`] would do, or [`super::sweep_shard`], with its estimated cost; nothing is trained and nothing written.
///
/// # Errors
/// Wrong input.
pub fn plan(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Option<Shard>,
) -> Result<SweepPlan> {
    let inputs = inputs(experiment, request, false)?;
    check_out(request.out.as_deref())?;
    let early = early_set(experiment, request)?;
    let device = experiment.device.open()?;
    let (mut paths, mut trained) = (request.models.clone(), Vec::new());
    if paths.is_empty() {
        let mut to_train = Vec::new();
        for (training, path) in finished_trainings(experiment, request, &device)? {
            match path {
                Some(path) => {
                    trained.push(training.name);
                    paths.push(path);
                }
                None => to_train.push(training.name),
            }
        }
        if !to_train.is_empty() {
            let settings = inputs.grid.len() * inputs.protections.len() * inputs.faults.count();
            let designs = settings * (trained.len() + to_train.len());
            let trials = designs * inputs.faults.chips(experiment.sweep.chips) as usize;
            return Ok(SweepPlan {
                epochs: to_train.len() * experiment.trainer.epochs,
                trained,
                to_train,
                folder: None,
                designs,
                trials,
                owed: trials,
                of_shard: None,
                cpu_seconds: None,
                damage: None,
            });
        }
    }
    let prepared = prepare(experiment, request, inputs, &paths, early, &device, false)?;
    let asked = prepared.record(&request.command);
    let folder = run_folder(request, &asked)?;
    let replay = prepared.replay(request, &folder)?;
    let started = Instant::now();
    // timed, so neither known scores nor kept answers are taken
    let kept = KeptAnswers {
        folder: None,
        ..prepared.kept_answers()
    };
    let never = AtomicBool::new(false);
    let clean = Clean::of(&prepared, &Replay::default(), &kept, &never)?;
    let seconds = started.elapsed().as_secs_f64() / prepared.models.len() as f64;
    let points = prepared.points(&replay, &folder)?;
    let swept_models = prepared.swept_models(&clean.scores);
    let comparison = prepared.comparison(&swept_models, &points, prepared.chips(&replay));
    let designs = comparison.designs()?.len();
    let sampled = prepared.sampled(&comparison, &clean.answers);
    let owed = sampled.owed(&replay.trials)?;
    let of_shard = match shard {
        Some(shard) => Some(own_of(shard, &sampled.owed_by_all(&replay.trials)?)),
        None => None,
    };
    let two_level = experiment.sweep.sampling.is_two_level();
    let computed = of_shard.unwrap_or(owed) as f64;
    Ok(SweepPlan {
        trained,
        to_train: Vec::new(),
        epochs: 0,
        folder: Some(folder),
        designs,
        trials: sampled.owed(&[])?,
        owed,
        of_shard,
        // how many more chips and images there will be is known when the first have spoken
        cpu_seconds: (!two_level).then_some(seconds * computed),
        damage: replay.damage(),
    })
}

/// Trainings and widths where there are any, trials, the searches of an exploration, and what is written at the end.
fn count_stages(experiment: &Experiment, request: &RunRequest, explores: bool) -> usize {
    let explore = &experiment.explore;
    let searches = [!explore.widths.is_empty(), explore.domains.is_some()];
    let searches = searches.into_iter().filter(|asked| explores && *asked);
    let parts = experiment
        .answer
        .as_ref()
        .is_some_and(AnswerSpec::asks_for_parts);
    2 + usize::from(request.models.is_empty()) + usize::from(parts) + searches.count()
}

/// A sweep with its folder.
pub(super) struct Sweeping<'a> {
    pub(super) prepared: Prepared,
    pub(super) request: &'a RunRequest,
    pub(super) folder: PathBuf,
    pub(super) monitor: &'a dyn Monitor,
    pub(super) stages: Stages<'a>,
    training_seconds: Option<f64>,
    /// True where it searches further: an exploration.
    pub(super) explores: bool,
}

/// What was computed: design points with their trials and the terms of their energies.
pub(super) struct Grid {
    pub(super) designs: Vec<Design>,
    pub(super) trials: Vec<Trial>,
    pub(super) energies: Vec<EnergyRow>,
}

/// What a run that was begun before goes on with.
pub(super) enum Resumed {
    /// Its journal.
    Own(Box<Journal>),
    /// What other journals hold: its own is yet to be made.
    Others(Known),
}

/// A journal that a panicked thread held is as good as any.
pub(super) fn lock(journal: &Mutex<Journal>) -> MutexGuard<'_, Journal> {
    journal.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes a journal that no thread uses any more.
pub(super) fn close(journal: Mutex<Journal>) -> Result<()> {
    let journal = journal.into_inner();
    journal.unwrap_or_else(PoisonError::into_inner).close()
}

impl<'a> Sweeping<'a> {
    /// Trains or loads the models and finds the folder. An exploration makes models of other widths too, where it is asked
    /// for them. Unless it `makes_models`, all must have been made before.
    pub(super) fn new(
        experiment: &Experiment,
        request: &'a RunRequest,
        monitor: &'a dyn Monitor,
        explores: bool,
        makes_models: bool,
    ) -> Result<Self> {
        let inputs = inputs(experiment, request, explores)?;
        check_out(request.out.as_deref())?;
        let device = experiment.device.open()?;
        let early = early_set(experiment, request)?;
        let stages = Stages::new(monitor, count_stages(experiment, request, explores));
        let started = Instant::now();
        let (mut paths, computed) = if !request.models.is_empty() {
            (request.models.clone(), 0)
        } else if makes_models {
            train_all(experiment, request, &device, &stages, monitor)?
        } else {
            (trained_before(experiment, request, &device, monitor)?, 0)
        };
        if explores && !experiment.explore.widths.is_empty() {
            stages.begin("a width for each layer", 1);
            paths = add_mixed_models(experiment, request, &paths, &device, makes_models, monitor)?;
        }
        let training_seconds = (computed > 0).then(|| started.elapsed().as_secs_f64());
        let prepared = prepare(
            experiment, request, inputs, &paths, early, &device, explores,
        )?;
        monitor.warn_all(&prepared.notes);
        let asked = prepared.record(&request.command);
        let folder = run_folder(request, &asked)?;
        Ok(Self {
            prepared,
            request,
            folder,
            monitor,
            stages,
            training_seconds,
            explores,
        })
    }

    /// Computes what is owed, searches further where it is asked to, and leaves tables, figures and report. A merge
    /// computes nothing.
    pub(super) fn finish(&self) -> Result<(SweepResult, Searched)> {
        let (prepared, folder, monitor) = (&self.prepared, &self.folder, self.monitor);
        let mut run = self.enter()?;
        let (resumed, replay) = self.resumed(run.is_locked())?;
        let Clean { scores, answers } = prepared.clean(&replay, monitor.cancel())?;
        let points = prepared.points(&replay, folder)?;
        let swept_models = prepared.swept_models(&scores);
        let chips = prepared.chips(&replay);
        let comparison = prepared.comparison(&swept_models, &points, chips);
        let designs = comparison.designs()?;
        let sampled = prepared.sampled(&comparison, &answers);
        let owed = sampled.owed(&replay.trials)?;
        if self.explores {
            self.check_searches()?;
        } else {
            self.say_extension(&replay, &designs, chips);
        }
        self.say_points_of_few(&replay);
        if self.request.merge {
            self.check_complete(&sampled, &replay)?;
            self.say_attempts(&replay)?;
        }
        // nothing is written before all is checked
        let journal = Mutex::new(self.begin(&mut run, resumed, &replay)?);
        let clean = designs.iter().map(|design| design.clean_accuracy.get());
        let beyond = prepared.beyond_tolerance(clean);
        monitor.warn_all(beyond.as_slice());
        designs
            .iter()
            .try_for_each(|design| lock(&journal).append_design(design))?;
        self.stages.begin(&count_of(owed, "trial"), 1);
        let started = Instant::now();
        let mut done = 0;
        let mut sink = self.trial_sink(&journal, owed, &mut done);
        let all = Part::Everything;
        let outcome = sampled.run(all, &replay.trials, self.cancel(), &mut sink)?;
        drop(sink);
        let computed = done;
        let reused = outcome.trials.len().saturating_sub(computed);
        let mut grid = Grid {
            designs,
            trials: outcome.trials,
            energies: comparison.energies()?,
        };
        let searched = if self.explores {
            self.search(&mut grid, &swept_models, &replay, &journal, chips)?
        } else {
            Searched::default()
        };
        close(journal)?;
        let seconds = started.elapsed().as_secs_f64();
        let trials = TrialRow::in_order(&grid.trials);
        let summaries = self.summarize(&grid.designs, &trials, outcome.stopped_by)?;
        if let Some(note) = prepared.beyond_tolerance(summaries.iter().map(|summary| summary.mean))
        {
            if beyond.as_ref() == Some(&note) {
                run.keep_note(note); // said before
            } else {
                run.warn(note);
            }
        }
        let two_level = sampling::two_level(&summaries, prepared.experiment.sweep.sampling);
        two_level.into_iter().for_each(|note| run.keep_note(note));
        if let Some(note) = sampling::not_finite(&summaries) {
            run.warn(note);
        }
        let answers = searched.answers.iter().cloned();
        answers.for_each(|answer| run.keep_note(answer));
        let chance = prepared.images.chance;
        let seed = prepared.experiment.seed;
        let analysis = Analysis::of(&summaries, &trials, chance, seed)?;
        self.stages.begin("tables, figures and report", 1);
        let write = || {
            searched.write(folder)?;
            self.write_tables(&grid, &trials, &summaries, &analysis, seconds)
        };
        run.finish(write, &[])?;
        let folders = std::slice::from_ref(folder);
        let (reports, out) = (&self.request.reports, self.request.out.as_deref());
        let report = report_folder(reports, folder, out);
        let (drawn, pareto) = draw(folders, |_| report, Some(analysis))?;
        let result = SweepResult {
            run: analysis::run_name(folder),
            folder: folder.clone(),
            drawn,
            summaries,
            pareto,
            computed,
            reused,
        };
        Ok((result, searched))
    }

    /// Locks the folder.
    pub(super) fn enter(&self) -> Result<RunFolder<'_>> {
        let asked = self.prepared.record(&self.request.command);
        RunFolder::enter(self.folder.clone(), asked, self.request.fresh, self.monitor)
    }

    /// Takes finished trials: to the journal, and told.
    pub(super) fn trial_sink<'s>(
        &'s self,
        journal: &'s Mutex<Journal>,
        owed: usize,
        done: &'s mut usize,
    ) -> impl FnMut(&Trial) -> Result<()> + Send + use<'s, 'a> {
        move |trial| {
            lock(journal).append_trial(trial)?;
            *done += 1;
            self.monitor.trial(&SweepProgress {
                done: *done,
                owed: owed.max(*done),
            });
            Ok(())
        }
    }

    /// Raised where nothing is computed: by the user, and from the start in a merge.
    pub(super) fn cancel(&self) -> &AtomicBool {
        static MERGE: AtomicBool = AtomicBool::new(true);
        if self.request.merge {
            &MERGE
        } else {
            self.monitor.cancel()
        }
    }

    /// The journal of a run that was begun before and goes on, and what it and those of shards hold. Of a folder that
    /// cannot be locked every process has a journal of its own.
    pub(super) fn resumed(&self, locked: bool) -> Result<(Resumed, Replay)> {
        let path = self.folder.join(names::JOURNAL);
        let shards = journals_of(&self.folder, &self.request.from)?;
        if self.request.fresh || (!path.exists() && shards.is_empty()) {
            return Ok((Resumed::Others(Known::new()), Replay::default()));
        }
        if !self.request.resume {
            let found = format!("a begun run in {}", self.folder.display());
            return refuse(
                "--no-resume",
                "a run that is new, or `--fresh` to begin again",
                found,
            );
        }
        let run = &self.prepared.run;
        let (resumed, replay) = if locked && path.exists() {
            let (journal, replay) = Journal::resume(&path, &shards, Some(run))?;
            (Resumed::Own(Box::new(journal)), replay)
        } else {
            let (replay, known) = replay_run(&self.folder, &shards, run)?;
            (Resumed::Others(known), replay)
        };
        self.say_damage(&replay);
        Ok((resumed, replay))
    }

    /// Writes `run.yaml` and the memory model, and opens the journal where it does not go on.
    pub(super) fn begin(
        &self,
        run: &mut RunFolder<'_>,
        resumed: Resumed,
        replay: &Replay,
    ) -> Result<Journal> {
        if self.request.fresh {
            store::remove_file(&self.folder.join(names::JOURNAL))?;
            store::remove_file(&self.folder.join(names::DAMAGED))?;
            remove_journals(&self.folder)?;
        }
        run.begin(&replay.attempts)?;
        checked::write(&self.folder, MEMORY, &self.prepared.memory.text)?;
        if let Some(own) = &self.prepared.activations {
            checked::write(&self.folder, ACTIVATION_MEMORY, &own.side.memory.text)?;
        }
        match resumed {
            Resumed::Own(journal) => Ok(*journal),
            Resumed::Others(known) if run.is_locked() => Journal::of_run(&self.folder, known),
            Resumed::Others(known) => {
                let attempt = self.prepared.attempt(None, self.request);
                Journal::of_attempt(&self.folder, attempt, known)
            }
        }
    }

    /// Says which lines of the journal are damaged.
    pub(super) fn say_damage(&self, replay: &Replay) {
        let Some(damage) = replay.damage() else {
            return;
        };
        // lines of shards go by the names of their journals, which are not changed
        let own = replay.damaged.iter().any(|line| line.starts_with("line "));
        let (place, kept) = if own {
            (names::JOURNAL, format!("kept in {}", names::DAMAGED))
        } else {
            (names::JOURNALS, "left as they are".to_owned())
        };
        self.monitor.warn(&format!(
            "{}: {damage}; {kept}, and computed again where this command asks for them",
            self.folder.join(place).display()
        ));
    }

    fn say_extension(&self, replay: &Replay, designs: &[Design], chips: u32) {
        let prepared = &self.prepared;
        let points = prepared.settings_asked() * prepared.models.len();
        let asked = (points, prepared.chips(&Replay::default()));
        if !replay.trials.is_empty() && (designs.len(), chips) != asked {
            self.monitor.note(&format!(
                "the run in {} holds more already: {} design points on {chips} chips in all",
                self.folder.display(),
                designs.len()
            ));
        }
    }

    /// Summaries of all design points with the floor asked for.
    fn summarize(
        &self,
        designs: &[Design],
        trials: &[TrialRow],
        stopped_by: StoppedBy,
    ) -> Result<Vec<Summary>> {
        let Prepared {
            experiment, images, ..
        } = &self.prepared;
        let floor = experiment
            .sweep
            .floor
            .map_or(FloorSpec::default(), FloorSpec::Fixed);
        analysis::summarize(
            designs,
            trials,
            floor,
            stopped_by,
            images.all,
            experiment.seed,
        )
    }

    fn write_tables(
        &self,
        grid: &Grid,
        trials: &[TrialRow],
        summaries: &[Summary],
        analysis: &Analysis,
        sweep_seconds: f64,
    ) -> Result<()> {
        let at = |name: &str| self.folder.join(name);
        let mut designs = grid.designs.clone();
        designs.sort_by(Design::in_order);
        table::write(&at(names::ENERGY_CSV), &grid.energies)?;
        table::write(&at(names::DESIGNS), &designs)?;
        table::write(&at(names::DESIGNS_CSV), &designs)?;
        table::write(&at(names::TRIALS), trials)?;
        table::write(&at(names::SUMMARY), summaries)?;
        table::write(&at(names::SUMMARY_CSV), summaries)?;
        table::write(&at(names::PARETO_CSV), &analysis.pareto.rows())?;
        table::write(&at(names::ANSWERS_CSV), &analysis.answers)?;
        table::write(&at(names::METHODS_CSV), &analysis.means)?;
        table::write(&at(names::DIFFERENCES_CSV), &analysis.differences)?;
        let whole = |phase, seconds| Timing {
            phase,
            seconds,
            ..Timing::default()
        };
        let mut timings: Vec<Timing> = grid.trials.iter().map(Timing::from).collect();
        let training = self.training_seconds;
        timings.extend(training.map(|seconds| whole(Phase::Training, seconds)));
        timings.push(whole(Phase::Sweep, sweep_seconds));
        table::write(&at(names::TIMING_CSV), &timings)
    }
}
