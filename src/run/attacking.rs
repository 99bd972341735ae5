//! Attacks on models in their run folder: batches drawn, finished attacks kept and reused, tables and figure written.

use super::folder::RunFolder;
use super::identity::{check_out, report_folder};
use super::journal::{
    journals_of, remove_journals, replay_run, Attempt, Journal, Known, ReplayedAttempt, Run,
};
use super::models::{chosen, dataset_for, load_half, load_models, Loaded, ModelImages, TestSource};
use super::monitor::{AttackProgress, Monitor, Stages};
use super::normalization::{changes, normalize, recorded};
use super::record::{now, run_folder, Input, Machine, Record};
use super::request::RunRequest;
use super::sealed;
use super::sharding::{who_owes, ShardResult};
use crate::analysis::names;
use crate::attack::{
    bit_search, random_flips, summarize_attacks, AttackRow, AttackSpec, AttackSummary, AttackUnit,
    Flip, FlipRow, Outcome, Stop, Target,
};
use crate::code::CodeFormat;
use crate::config::Experiment;
use crate::data::{DatasetName, ImageSet, Normalization, Split};
use crate::error::{refuse, Error, Result};
use crate::figure;
use crate::kernel::Arithmetic;
use crate::seed::Purpose;
use crate::store::{self, Lock};
use crate::sweep::Shard;
use crate::table;
use crate::units::{count_of, Bits, Metric};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Folder of finished attacks in a run folder.
const UNITS: &str = "units";
/// What a file there holds, for messages.
const UNIT: &str = "a finished attack";
/// Model, by its place, and restart of an attack.
type Key = (usize, u32);
/// Name of the figure.
const FIGURE: &str = "attack";

/// Finished attacks.
#[derive(Clone, Debug)]
pub struct AttackResult {
    /// Run folder with the tables.
    pub folder: PathBuf,
    /// The figure as SVG; a PNG lies beside it.
    pub figure: PathBuf,
    /// One row per attack, model after model.
    pub attacks: Vec<AttackRow>,
    /// One row per model.
    pub summaries: Vec<AttackSummary>,
    /// Attacks that this call computed.
    pub computed: usize,
    /// Attacks that were finished before.
    pub reused: usize,
}

/// Everything that can change a number of an attack; further restarts extend a run.
#[derive(Serialize)]
struct Identity<'a> {
    attack: AttackSpec,
    seed: u64,
    dataset: &'a str,
    attack_data: Option<&'a str>,
    images: u64,
    models: Vec<(&'a str, &'a str)>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metric: Option<Metric>,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalization: Option<Vec<(&'a str, &'a Normalization)>>,
}

/// Attacks every model as the configuration says, as often as it says. Each finished attack is kept and not computed
/// again; one that was interrupted begins anew.
///
/// # Errors
/// Wrong input, [`Error::Locked`], [`Error::Interrupted`] (finished attacks are kept), [`Error::Io`].
pub fn attack(
    experiment: &Experiment,
    request: &RunRequest,
    monitor: &dyn Monitor,
) -> Result<AttackResult> {
    Attacking::new(experiment, request, monitor)?.finish()
}

/// Makes the attacks of a shard (attack k is shard k mod N's) that are not there. Nothing but their files and the
/// journal of the attempt is written, and no lock is taken.
///
/// # Errors
/// As [`attack`].
pub fn attack_shard(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Shard,
    monitor: &dyn Monitor,
) -> Result<ShardResult> {
    Attacking::new(experiment, request, monitor)?.shard(shard)
}

/// Inputs of attacks, loaded and checked.
struct Prepared {
    experiment: Experiment,
    models: Vec<Loaded>,
    test: ImageSet,
    metric: Metric,
    /// Indices of the test images in use.
    chosen: Vec<u32>,
    /// The training images, where batches come from them.
    training: Option<ImageSet>,
    /// The test images of each model, where no batch is taken from them.
    images: Option<ModelImages>,
    checksums: (String, Option<String>),
    run: Run,
    notes: Vec<String>,
}

impl Prepared {
    fn new(experiment: &Experiment, request: &RunRequest) -> Result<Self> {
        if request.models.is_empty() {
            return refuse("--model", "at least one model file", "none");
        }
        let device = experiment.device.open()?;
        let mut experiment = experiment.clone();
        let mut models = load_models(&request.models, &device)?;
        models.iter().try_for_each(Loaded::check_stored)?;
        let normalization = experiment.dataset.normalization.clone();
        experiment.dataset = dataset_for(&models, &experiment.dataset, request.dataset_given)?;
        let spec = &experiment.attack;
        let (dataset, file) = (&experiment.dataset, request.data_file.as_deref());
        let of_file = dataset.name == DatasetName::File;
        if of_file && spec.data == Split::Training && dataset.file_spec().training.is_none() {
            return refuse(
                "--attack-data",
                "`test`, or a file of training data (`dataset.file.training` of a configuration)",
                "`training`, and test data alone",
            );
        }
        let test = TestSource {
            spec: dataset,
            folder: request.data_folder.as_deref(),
            file,
            held_out: None,
        }
        .load()?;
        normalize(&mut models, dataset.name, &test, normalization.as_ref())?;
        let metric = experiment.sweep.metric(test.has_labels())?;
        let chosen = chosen(&test, &experiment, experiment.sweep.images)?;
        let training = match spec.data {
            Split::Training => Some(load_half(
                dataset,
                Split::Training,
                request.data_folder.as_deref(),
            )?),
            Split::Test => {
                test.check_labels("an attack with batches of test data (`attack.data`)")?;
                None
            }
        };
        let most = training
            .as_ref()
            .map_or(chosen.len().saturating_sub(1), ImageSet::len);
        if spec.batch as usize > most {
            let expected = match spec.data {
                Split::Training => format!("at most the {most} training images"),
                Split::Test => format!("at most {most}, so that one test image is left"),
            };
            return refuse("attack.batch", expected, spec.batch.to_string());
        }
        let images = match spec.data {
            Split::Training => Some(ModelImages::new(&test, &models, dataset, &chosen, metric)?),
            Split::Test => {
                // every attack takes images of its own; whether the models take such images is checked now
                ModelImages::new(&test, &models, dataset, &chosen[..1], metric)?;
                None
            }
        };
        let checksums = (test.checksum(), training.as_ref().map(ImageSet::checksum));
        let identity = Identity {
            attack: AttackSpec {
                restarts: 1,
                ..spec.clone()
            },
            seed: experiment.seed.0,
            dataset: &checksums.0,
            attack_data: checksums.1.as_deref(),
            images: chosen.len() as u64,
            models: models
                .iter()
                .map(|model| (model.name.as_str(), model.checksum.as_str()))
                .collect(),
            metric: Some(metric).filter(|own| !own.is_default()),
            normalization: changes(&models),
        };
        let run = Run::of(&experiment.name, &identity)?;
        let mut notes: Vec<String> = models
            .iter()
            .flat_map(|model| model.warnings.clone())
            .chain(test.remarks.clone())
            .chain(training.iter().flat_map(|set| set.remarks.clone()))
            .chain(metric.note())
            .collect();
        if chosen.len() < test.len() {
            notes.push(format!(
                "{} of {} test images are used",
                chosen.len(),
                test.len()
            ));
        }
        Ok(Self {
            experiment,
            models,
            test,
            metric,
            chosen,
            training,
            images,
            checksums,
            run,
            notes,
        })
    }

    fn record(&self, command: &str) -> Record {
        let name = self.experiment.dataset.name.name();
        let models = self.models.iter().map(Input::of_model);
        let training = self.training.as_ref().zip(self.checksums.1.as_ref());
        Record {
            version: Record::version(),
            numerics: Some(self.run.numerics.to_owned()),
            arithmetic: Arithmetic::current().to_string(),
            identity: self.run.identity.clone(),
            commands: vec![command.to_owned()],
            attempts: Vec::new(),
            seed: self.experiment.seed.0,
            metric: self.metric,
            chance: self.chance(),
            images: (self.chosen.len() - self.left_out()) as u64,
            dataset: Input::new(name, self.test.title.clone(), &self.checksums.0),
            memory: None,
            activation_memory: None,
            attack_data: training
                .map(|(set, checksum)| Input::new(name, set.title.clone(), checksum)),
            groups: None,
            models: models.collect(),
            exposed_cells: std::collections::BTreeMap::new(),
            accesses: 1,
            started_unix: now(),
            finished_unix: None,
            machine: Machine::here(),
            notes: self.notes.clone(),
            least_energy: Vec::new(),
            configuration: recorded(&self.experiment, &self.models),
        }
    }

    /// Accuracy of guessing.
    fn chance(&self) -> f64 {
        self.metric.chance(self.test.classes)
    }

    /// Test images that a batch takes away.
    fn left_out(&self) -> usize {
        match self.experiment.attack.data {
            Split::Training => 0,
            Split::Test => self.experiment.attack.batch as usize,
        }
    }

    /// Indices of the batch of a restart, ascending, and of the test images that are left to measure on.
    fn batch(&self, restart: u32) -> (Vec<u32>, Vec<u32>) {
        let mut pool = match &self.training {
            Some(training) => (0..training.len() as u32).collect(),
            None => self.chosen.clone(),
        };
        self.experiment
            .seed
            .stream(Purpose::AttackBatch, &[restart.into()])
            .shuffle(&mut pool);
        let rest = pool.split_off(self.experiment.attack.batch as usize);
        pool.sort_unstable();
        let mut measured = if self.training.is_some() {
            self.chosen.clone()
        } else {
            rest
        };
        measured.sort_unstable();
        (pool, measured)
    }

    /// Computes one attack of a run in a folder that this process has locked.
    fn unit(
        &self,
        (model, restart): Key,
        folder: &Path,
        monitor: &dyn Monitor,
    ) -> Result<AttackUnit> {
        let spec = &self.experiment.attack;
        let loaded = std::slice::from_ref(&self.models[model]);
        let (batch, measured) = self.batch(restart);
        let source = self.training.as_ref().unwrap_or(&self.test);
        let dataset = &self.experiment.dataset;
        let batch = ModelImages::new(source, loaded, dataset, &batch, Metric::Top1)?;
        let rest;
        let test = match &self.images {
            Some(images) => images.of(model),
            None => {
                rest = ModelImages::new(&self.test, loaded, dataset, &measured, self.metric)?;
                rest.of(0)
            }
        };
        let target = Target {
            evaluator: &loaded[0].evaluator,
            batch: batch.of(0),
            test,
        };
        let name = &loaded[0].name;
        let tell = |flip: &Flip, random, most| {
            let (flips, accuracy) = (flip.flip, flip.accuracy);
            monitor.flip(&AttackProgress {
                model: name,
                restart,
                random,
                flips,
                most,
                accuracy,
            });
        };
        let (mut search, mut random) = (Vec::new(), Vec::new());
        let mut sink = |step: &[Flip]| {
            step.last()
                .into_iter()
                .for_each(|flip| tell(flip, false, spec.flips));
            search.extend_from_slice(step);
            store::check_lock(folder)
        };
        // what is wrong with an argument of the search is wrong with the model
        let of_model = |error| match error {
            Error::Argument {
                expected, found, ..
            } => Error::input(&loaded[0].path, expected, found),
            other => other,
        };
        let outcome = bit_search(&target, spec, monitor.cancel(), &mut sink).map_err(of_model)?;
        let mut stream = self
            .experiment
            .seed
            .stream(Purpose::RandomFlips, &[restart.into()]);
        let mut sink = |flip: &Flip| {
            tell(flip, true, outcome.flips);
            random.push(flip.clone());
            store::check_lock(folder)
        };
        random_flips(
            &target,
            outcome.flips,
            &mut stream,
            monitor.cancel(),
            &mut sink,
        )?;
        let random_accuracy = random
            .last()
            .and_then(|flip| flip.accuracy)
            .unwrap_or(outcome.accuracy);
        let row = self.row(model, restart, &outcome, random_accuracy, test.len());
        Ok(AttackUnit {
            row,
            search,
            random,
        })
    }

    fn row(
        &self,
        model: usize,
        restart: u32,
        outcome: &Outcome,
        random_accuracy: f64,
        images: u64,
    ) -> AttackRow {
        let (loaded, spec) = (&self.models[model], &self.experiment.attack);
        let network = loaded.evaluator.network();
        AttackRow {
            model: loaded.name.clone(),
            architecture: network.architecture().to_string(),
            dataset: self.test.title.clone(),
            metric: self.metric,
            method: network.method_label(),
            bits: loaded.format().map_or(Bits::FLOAT, CodeFormat::width),
            training_seed: loaded.info.training_seed,
            restart,
            attack_data: spec.data,
            batch: spec.batch,
            k_top: spec.k_top,
            images,
            most_flips: spec.flips,
            target: spec.target(self.chance()),
            clean_accuracy: outcome.clean_accuracy,
            clean_loss: outcome.clean_loss,
            flips: outcome.flips,
            hamming: outcome.hamming,
            accuracy: outcome.accuracy,
            loss: outcome.loss,
            stopped_by: outcome.stopped_by,
            random_accuracy,
            not_finite: Some(outcome.not_finite),
        }
    }
}

/// Attacks with their folder.
struct Attacking<'a> {
    prepared: Prepared,
    request: &'a RunRequest,
    folder: PathBuf,
    monitor: &'a dyn Monitor,
}

impl<'a> Attacking<'a> {
    fn new(
        experiment: &Experiment,
        request: &'a RunRequest,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        check_out(request.out.as_deref())?;
        let prepared = Prepared::new(experiment, request)?;
        monitor.warn_all(&prepared.notes);
        let asked = prepared.record(&request.command);
        let folder = run_folder(request, &asked)?;
        Ok(Self {
            prepared,
            request,
            folder,
            monitor,
        })
    }

    fn keys(&self) -> Vec<Key> {
        let restarts = self.prepared.experiment.attack.restarts;
        (0..self.prepared.models.len())
            .flat_map(|model| (0..restarts).map(move |restart| (model, restart)))
            .collect()
    }

    /// The attempts whose journals lie in the folder, all at this run.
    fn attempts(&self) -> Result<Vec<ReplayedAttempt>> {
        let shards = journals_of(&self.folder, &[])?;
        let (replay, _) = replay_run(&self.folder, &shards, &self.prepared.run)?;
        Ok(replay.attempts)
    }

    fn shard(&self, shard: Shard) -> Result<ShardResult> {
        self.attempts()?;
        let attempt = Attempt::here(&self.prepared.run, Some(shard), None, &self.request.command);
        let journal = Journal::of_attempt(&self.folder, attempt, Known::new())?;
        let path = journal.path().to_owned();
        let all = self.keys().into_iter().enumerate();
        let (own, others): (Vec<_>, Vec<_>) = all.partition(|(k, _)| shard.owns(*k));
        let own: Vec<Key> = own.into_iter().map(|(_, key)| key).collect();
        let (_, computed) = self.units(&own, &Stages::new(self.monitor, 1))?;
        journal.close()?;
        let missing = others.iter().filter(|(_, key)| self.is_missing(key));
        Ok(ShardResult {
            folder: self.folder.clone(),
            journal: path,
            computed,
            of_others: missing.count(),
        })
    }

    /// These attacks, each from its file or computed, and how many were computed.
    fn units(&self, keys: &[Key], stages: &Stages) -> Result<(Vec<AttackUnit>, usize)> {
        store::create_folder(&self.folder.join(UNITS))?;
        let owed = keys.iter().filter(|key| self.is_missing(key)).count();
        stages.begin(&count_of(owed, "attack"), owed);
        let units = each(keys.len(), |i| self.unit(keys[i]))?;
        let computed = units.iter().filter(|(_, computed)| *computed).count();
        Ok((units.into_iter().map(|(unit, _)| unit).collect(), computed))
    }

    fn is_missing(&self, key: &Key) -> bool {
        !self.unit_file(*key).exists()
    }

    fn finish(&self) -> Result<AttackResult> {
        let asked = self.prepared.record(&self.request.command);
        let fresh = self.request.fresh;
        let mut run = RunFolder::enter(self.folder.clone(), asked, fresh, self.monitor)?;
        if fresh {
            self.forget()?;
        }
        let attempts = self.attempts()?;
        let keys = self.keys();
        if self.request.merge {
            self.check_complete(&keys, &attempts)?;
        }
        run.begin(&attempts)?;
        let stages = Stages::new(self.monitor, 2);
        let (units, computed) = self.units(&keys, &stages)?;
        stuck(&units).into_iter().for_each(|note| run.warn(note));
        let attacks: Vec<AttackRow> = units.iter().map(|unit| unit.row.clone()).collect();
        let flips: Vec<FlipRow> = units.iter().flat_map(FlipRow::of).collect();
        let summaries = summarize_attacks(&attacks);
        stages.begin("tables and figure", 1);
        let figure = self.draw(&attacks, &flips)?;
        let files: Vec<String> = keys.into_iter().map(unit_name).collect();
        run.finish(|| self.write_tables(&attacks, &flips, &summaries), &files)?;
        let reused = units.len() - computed;
        Ok(AttackResult {
            folder: self.folder.clone(),
            figure,
            attacks,
            summaries,
            computed,
            reused,
        })
    }

    /// Checks that shards have made all attacks.
    fn check_complete(&self, keys: &[Key], attempts: &[ReplayedAttempt]) -> Result<()> {
        let mut missing = Vec::new();
        for (k, key) in keys.iter().enumerate() {
            if self.finished_unit(*key)?.is_none() {
                missing.push(k as u32);
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let what = format!("{} of {} attacks are", missing.len(), keys.len());
        let owing = |count| missing.iter().map(|k| k % count).collect();
        Err(Error::Owed {
            folder: self.folder.clone(),
            what,
            by: who_owes(attempts, owing),
        })
    }

    /// Removes the finished attacks.
    fn forget(&self) -> Result<()> {
        remove_journals(&self.folder)?;
        let asked = self.prepared.experiment.attack.restarts;
        for model in 0..self.prepared.models.len() {
            // an earlier call may have made more attacks
            let more = |restart| !self.is_missing(&(model, restart));
            for restart in (0..).take_while(|restart| *restart < asked || more(*restart)) {
                store::remove_file(&self.unit_file((model, restart)))?;
            }
        }
        Ok(())
    }

    fn unit_file(&self, key: Key) -> PathBuf {
        self.folder.join(unit_name(key))
    }

    /// An attack from its file, where it is there and whole.
    fn finished_unit(&self, (model, restart): Key) -> Result<Option<AttackUnit>> {
        let path = self.unit_file((model, restart));
        if !path.exists() {
            return Ok(None);
        }
        let name = &self.prepared.models[model].name;
        match sealed::read::<AttackUnit>(&path, UNIT) {
            Ok(unit) if (&unit.row.model, unit.row.restart) == (name, restart) => {
                return Ok(Some(unit));
            }
            Ok(_) => self.monitor.warn(&format!(
                "{}: another attack; it is made again",
                path.display()
            )),
            Err(error) if error.is_wrong_input() => {
                self.monitor
                    .warn(&format!("{error}; this attack is made again"));
            }
            Err(error) => return Err(error),
        }
        Ok(None)
    }

    /// An attack from its file, or computed and then kept; true where it was computed.
    fn unit(&self, key: Key) -> Result<(AttackUnit, bool)> {
        if let Some(unit) = self.finished_unit(key)? {
            return Ok((unit, false));
        }
        let prepared = &self.prepared;
        let unit = prepared.unit(key, &self.folder, self.monitor);
        self.monitor.attacked(&prepared.models[key.0].name, key.1);
        let unit = unit?;
        sealed::write(&self.unit_file(key), UNIT, &unit)?;
        Ok((unit, true))
    }

    fn write_tables(
        &self,
        attacks: &[AttackRow],
        flips: &[FlipRow],
        summaries: &[AttackSummary],
    ) -> Result<()> {
        let at = |name: &str| self.folder.join(name);
        table::write(&at(names::FLIPS), flips)?;
        table::write(&at(names::FLIPS_CSV), flips)?;
        table::write(&at(names::ATTACKS), attacks)?;
        table::write(&at(names::ATTACKS_CSV), attacks)?;
        table::write(&at(names::ATTACK_SUMMARY), summaries)?;
        table::write(&at(names::ATTACK_SUMMARY_CSV), summaries)
    }

    fn draw(&self, attacks: &[AttackRow], flips: &[FlipRow]) -> Result<PathBuf> {
        let out = self.request.out.as_deref();
        let folder = report_folder(&self.request.reports, &self.folder, out);
        store::create_folder(&folder)?;
        let _lock = Lock::take(&folder)?;
        let path = folder.join(format!("{FIGURE}.svg"));
        figure::write(&figure::attack(attacks, flips), &path)?;
        Ok(path)
    }
}

/// Results of `work` for 0 to `count`, in order; none begins after one has failed. Every thread takes the next as soon
/// as it is free, and helps with what is left where there is none: with rayon's own splitting a thread that waits for
/// a part of its work would begin another attack in between.
fn each<R: Send>(count: usize, work: impl Fn(usize) -> Result<R> + Sync) -> Result<Vec<R>> {
    let next = AtomicUsize::new(0);
    let take = || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|i| *i < count);
    let on_a_thread = || {
        let mut own: Vec<(usize, Result<R>)> = Vec::new();
        while let Some(i) = take() {
            let result = work(i);
            if result.is_err() {
                next.store(count, Ordering::Relaxed);
            }
            own.push((i, result));
        }
        own
    };
    let mut all: Vec<(usize, Result<R>)> = rayon::broadcast(|_| on_a_thread())
        .into_iter()
        .flatten()
        .collect();
    all.sort_by_key(|(i, _)| *i);
    all.into_iter().map(|(_, result)| result).collect()
}

/// File of a finished attack. Models go by their place in the run: a name may hold what a file name must not.
fn unit_name((model, restart): Key) -> String {
    format!("{UNITS}/model{model}-restart{restart}.json")
}

/// A message for each attack that found no flip to go on with.
fn stuck(units: &[AttackUnit]) -> Vec<String> {
    let stuck = units
        .iter()
        .map(|unit| &unit.row)
        .filter(|row| row.stopped_by == Stop::Stuck);
    stuck
        .map(|row| {
            format!(
                "{}, restart {}: no offer of up to {} bits of a layer raises the loss; the attack ended after {} \
                 flips at an accuracy of {:.2} %",
                row.model,
                row.restart,
                u64::from(row.k_top) * u64::from(row.bits),
                row.flips,
                100.0 * row.accuracy
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_attack_is_made_once_and_none_begins_after_a_failure() {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(3)
            .build()
            .unwrap();
        let all = pool.install(|| each(50, |i| Ok(i * i))).unwrap();
        assert_eq!(all, (0..50).map(|i| i * i).collect::<Vec<_>>());
        assert!(pool.install(|| each(0, Ok)).unwrap().is_empty());
        let begun = AtomicUsize::new(0);
        let failed = pool.install(|| {
            each(1000, |i| match begun.fetch_add(1, Ordering::SeqCst) {
                0 => Err(Error::Interrupted),
                _ => {
                    std::thread::sleep(std::time::Duration::from_millis(2));
                    Ok(i)
                }
            })
        });
        assert!(matches!(failed, Err(Error::Interrupted)));
        assert!(begun.load(Ordering::SeqCst) < 1000);
    }
}
