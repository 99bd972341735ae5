//! One training in its folder: resumed where it stopped, its checkpoints and history saved epoch by epoch.

use super::clock;
use super::identity::{folder_name, VERSION};
use super::models::load_half;
use super::monitor::Monitor;
use super::normalization::check_floats;
use super::numerics::{self, numerics_of};
use super::request::RunRequest;
use super::start::Start;
use crate::config::Training;
use crate::data::{validation_split, ImageSet, Normalization, Split};
use crate::error::{refuse, Error, Result};
use crate::kernel::Arithmetic;
use crate::net::{
    read_tensors, write_tensors, Activations, DatasetTag, Design, Model, ModelInfo, Network, Route,
    TrainingRecord,
};
use crate::store::{self, Checksums, Lock, CHECKSUMS};
use crate::train::write_history;
use crate::train::{train, EpochRow, Observer, StepProgress, TrainState, Trainer};
use crate::yaml::to_yaml;
use candle_core::Device;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Model file of the best epoch on the validation split (of the last one without a split).
pub const BEST: &str = "best.safetensors";
/// Model file of the last epoch.
pub const LAST: &str = "last.safetensors";
/// History of the training.
pub const HISTORY: &str = "history.csv";
/// State for resuming.
const STATE: &str = "state.safetensors";
/// Key of the numerics in the text of a state.
const NUMERICS: &str = "numerics";
/// Resolved configuration.
const CONFIG: &str = "config.yaml";
/// Time between two looks at a lock that another process holds.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// After so long a holder that does not say who it is is waited for without a name.
const UNNAMED: Duration = Duration::from_secs(1);

/// A finished training.
#[derive(Clone, Debug)]
pub struct TrainedModel {
    /// Name of the model.
    pub name: String,
    /// Its architecture, or the name of an imported network.
    pub architecture: String,
    /// Folder of the training.
    pub folder: PathBuf,
    /// Model file of the best epoch.
    pub best: PathBuf,
    /// Rows of all epochs.
    pub history: Vec<EpochRow>,
    /// Epochs that this call computed; 0 where the training was finished already.
    pub computed_epochs: usize,
}

/// Where models are trained.
pub struct Workshop<'a> {
    /// Folder in which each training has one of its own.
    pub parent: PathBuf,
    /// Folder of the data sets; `None`: the cache folder.
    pub data_folder: Option<PathBuf>,
    /// Where tensors are computed.
    pub device: &'a Device,
    /// Hears of every training.
    pub monitor: &'a dyn Monitor,
}

impl<'a> Workshop<'a> {
    /// That of a run.
    ///
    /// # Errors
    /// As [`RunRequest::models_folder`].
    pub(super) fn of(
        request: &RunRequest,
        device: &'a Device,
        monitor: &'a dyn Monitor,
    ) -> Result<Self> {
        Ok(Self {
            parent: request.models_folder()?,
            data_folder: request.data_folder.clone(),
            device,
            monitor,
        })
    }
}

impl Workshop<'_> {
    /// Trains a model in `<parent>/<name>-<hash>/`, or resumes or reuses what lies there. The configuration is
    /// written first, then after every epoch `last.safetensors`, `best.safetensors` and `history.csv`. `fresh`
    /// throws away what lies there. A model that was finished under other numerics is used, with a warning.
    ///
    /// # Errors
    /// Wrong data or configuration, a training that was begun under other numerics, [`Error::Locked`], [`Error::Diverged`], [`Error::Interrupted`] (what is
    /// finished is kept), [`Error::Io`].
    pub fn train(&self, training: &Training, fresh: bool) -> Result<TrainedModel> {
        let monitor = self.monitor;
        let Begun {
            start,
            identity,
            route,
            folder,
        } = self.begin(training)?;
        let training = &start.training;
        let own = numerics_of(route.arithmetic())?;
        // wrong data and weights that do not fit are found before anything is written
        let early = if fresh || !folder.join(STATE).exists() {
            Some(self.inputs(&start)?)
        } else {
            None
        };
        store::create_folder(&folder)?;
        let lock = Lock::take(&folder)?;
        if !lock.is_real() {
            monitor.warn(&store::no_locks(&folder));
        }
        if fresh {
            for file in [CHECKSUMS, STATE, BEST, LAST, HISTORY] {
                store::remove_file(&folder.join(file))?;
            }
        }
        store::write_bytes(&folder.join(CONFIG), to_yaml(training)?.as_bytes())?;
        let (resume, begun) = read_state(&folder, monitor)?.unzip();
        let begun = begun.flatten();
        let before = resume.as_ref().map_or(0, |state| state.epoch);
        if let Some(state) = resume
            .as_ref()
            .filter(|state| state.epoch >= training.trainer.epochs)
        {
            let checked = if settle_checksums(training, &folder, &state.history, monitor)? {
                ""
            } else {
                ", which has no checksums: not checked"
            };
            if begun.as_deref() != Some(own) {
                monitor.warn(&format!(
                    "{}: trained under other numerics ({}) than those of this program ({own}); the model is used as \
                     it is, `--fresh` trains it again",
                    training.name,
                    begun.as_deref().unwrap_or("none recorded")
                ));
            }
            monitor.note(&format!(
                "{}: already trained in {}{checked}",
                training.name,
                folder.display()
            ));
            monitor.trained(&training.name);
            return Ok(trained(&start, folder.clone(), state.history.clone(), 0));
        }
        if before > 0 {
            let way_out = "`--fresh` trains again from the start";
            numerics::check(&folder.join(STATE), begun.as_deref(), own, way_out)?;
            let epochs = training.trainer.epochs;
            monitor.note(&format!(
                "{}: going on after epoch {before} of {epochs}",
                training.name
            ));
        }
        let Inputs {
            images,
            normalization,
            mut network,
            warnings,
        } = match early {
            Some(early) => early,
            None => self.inputs(&start)?,
        };
        monitor.warn_all(&images.remarks);
        warnings
            .iter()
            .for_each(|warning| monitor.warn(&format!("{}: {warning}", training.name)));
        let (indices, validation) =
            validation_split(&images.labels, training.dataset.validation, training.seed);
        let info = info(
            &identity,
            network.architecture(),
            &images,
            normalization.clone(),
            route,
        )?;
        let info = ModelInfo {
            activations: start.activations().cloned(),
            ..info
        };
        // floats have none, and none is asked for
        let normalization = normalization.unwrap_or(training.dataset.normalization());
        let trainer = Trainer {
            spec: &training.trainer,
            route,
            images: &images,
            training: &indices,
            validation: &validation,
            augmentation: &training.dataset.augmentation,
            normalization: &normalization,
            seed: training.seed,
            clock: clock::seconds,
        };
        let mut keeper = Keeper {
            training,
            folder: &folder,
            info,
            numerics: own,
            monitor,
        };
        let state = train(&mut network, &trainer, resume, &mut keeper);
        monitor.trained(&training.name);
        let state = state?;
        Ok(trained(&start, folder, state.history, state.epoch - before))
    }

    /// A model that [`Self::train`] has finished; nothing is written.
    ///
    /// # Errors
    /// [`Error::Missing`] where it is not finished.
    pub(super) fn finished(&self, training: &Training) -> Result<TrainedModel> {
        let Begun { start, folder, .. } = self.begin(training)?;
        let state = read_state(&folder, self.monitor)?.map(|(state, _)| state);
        match state.filter(|state| state.epoch >= training.trainer.epochs) {
            Some(state) => Ok(trained(&start, folder, state.history, 0)),
            None => Err(Error::Missing {
                path: folder.join(BEST),
                expected: format!(
                    "the trained model `{}`; shards and merges train none, the same command with `--prepare` in \
                     place of `--shard` or `--merge` does",
                    training.name
                ),
            }),
        }
    }

    /// A model that another process was making: waits for it, then takes what it made or makes it. No training may run here
    /// meanwhile: two processes that each wait for a model that the other makes would never end.
    ///
    /// # Errors
    /// [`Error::Interrupted`] while it waits; as [`Self::train`].
    pub(super) fn after_the_other(
        &self,
        training: &Training,
        mut result: Result<TrainedModel>,
    ) -> Result<TrainedModel> {
        while let Err(Error::Locked { path, .. }) = &result {
            let folder = store::folder_of(path);
            drop(wait_for_lock(folder, &training.name, self.monitor)?);
            // what another process has just made is fresh
            result = self.train(training, false);
        }
        result
    }

    fn begin(&self, training: &Training) -> Result<Begun> {
        let start = Start::of(training, self.device)?;
        let identity = start.identity(self.data_folder.as_deref())?;
        let mut route = Route::of(&start.design, self.device);
        if start.activations().is_some() {
            route = route.storing_activations();
        }
        let folder = folder_name(&training.name, &identity, route.arithmetic())?;
        Ok(Begun {
            start,
            identity,
            route,
            folder: self.parent.join(folder),
        })
    }

    fn inputs(&self, start: &Start) -> Result<Inputs> {
        let training = &start.training;
        let data = self.data_folder.as_deref();
        let images = load_half(&training.dataset, Split::Training, data)?;
        let normalization = normalization(training, &images)?;
        let (network, warnings) = start.network(&images, normalization.as_ref(), self.device)?;
        Ok(Inputs {
            images,
            normalization,
            network,
            warnings,
        })
    }
}

/// Where a training begins and where it is kept.
struct Begun {
    start: Start,
    identity: Training,
    route: Route,
    folder: PathBuf,
}

/// The lock of a folder of models; a process that holds it is named and waited for.
///
/// # Errors
/// [`Error::Interrupted`] while it waits; [`Error::Io`].
pub(super) fn wait_for_lock(folder: &Path, model: &str, monitor: &dyn Monitor) -> Result<Lock> {
    let (started, mut said) = (Instant::now(), false);
    loop {
        let holder = match Lock::take(folder) {
            Err(Error::Locked { holder, .. }) => holder,
            other => return other,
        };
        if monitor.cancel().load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        // a process that has just taken the lock has not yet written who it is
        if !said && (holder.is_some() || started.elapsed() > UNNAMED) {
            said = true;
            let holder = holder.unwrap_or("another process".into());
            monitor.note(&format!(
                "{model}: waiting for {holder}, which makes it in {}",
                folder.display()
            ));
        }
        std::thread::sleep(ASK_EVERY);
    }
}

/// What a training begins with.
struct Inputs {
    images: ImageSet,
    normalization: Option<Normalization>,
    network: Network,
    warnings: Vec<String>,
}

/// How the images of a training are normalised; `None` for floats.
///
/// # Errors
/// [`Error::Argument`] where statistics or a variation are given for floats, or statistics of other channels.
fn normalization(training: &Training, images: &ImageSet) -> Result<Option<Normalization>> {
    let spec = &training.dataset;
    if !images.pixels.are_floats() {
        return Ok(Some(spec.normalization().for_channels(images.channels)?));
    }
    check_floats(images, spec.normalization.as_ref())?;
    if spec.augmentation.is_none() {
        return Ok(None);
    }
    refuse(
        "dataset.augmentation",
        format!(
            "to be left out: {} holds floating-point inputs, which need not be images",
            images.title
        ),
        "one",
    )
}

fn trained(
    start: &Start,
    folder: PathBuf,
    history: Vec<EpochRow>,
    computed_epochs: usize,
) -> TrainedModel {
    TrainedModel {
        name: start.training.name.clone(),
        architecture: start.design.to_string(),
        best: folder.join(BEST),
        folder,
        history,
        computed_epochs,
    }
}

fn info(
    training: &Training,
    design: &Design,
    images: &ImageSet,
    normalization: Option<Normalization>,
    route: Route,
) -> Result<ModelInfo> {
    // a file without it is of direct convolutions
    let winograd = Some(route.arithmetic()).filter(|own| *own == Arithmetic::Winograd);
    Ok(ModelInfo {
        quantizer: training.quantizer.clone(),
        input_shape: [images.channels, images.height, images.width],
        normalization,
        dataset: Some(DatasetTag {
            name: training.dataset.name.to_string(),
            title: images.title.clone(),
            checksum: images.checksum(),
        }),
        training: Some(TrainingRecord {
            version: Some(VERSION.to_owned()),
            arithmetic: winograd.map(|arithmetic| arithmetic.name().to_owned()),
            ..TrainingRecord::of(training)?
        }),
        training_seed: Some(training.seed.0),
        ..ModelInfo::of(design.clone(), images.classes)
    })
}

/// The state to resume from, and the numerics under which it was computed. A state or a best model that cannot be read or
/// is damaged is named, and the training starts again.
fn read_state(
    folder: &Path,
    monitor: &dyn Monitor,
) -> Result<Option<(TrainState, Option<String>)>> {
    let path = folder.join(STATE);
    if !path.exists() {
        return Ok(None);
    }
    let read = || -> Result<_> {
        let file = read_tensors(&path)?;
        let own = file.own_metadata(&path)?.unwrap_or_default();
        let best = folder.join(BEST);
        if best.exists() {
            store::check_beside(&best)?;
            read_tensors(&best)?;
        }
        let state = TrainState::from_parts(&file.tensors, &own);
        Ok(state.map(|state| (state, own.get(NUMERICS).cloned())))
    };
    match read() {
        Ok(Some(state)) if folder.join(BEST).exists() => Ok(Some(state)),
        Ok(_) => {
            monitor.warn(&format!(
                "{}: no training state, training starts again",
                path.display()
            ));
            Ok(None)
        }
        Err(error) if error.is_wrong_input() => {
            monitor.warn(&format!("{error}; training starts again"));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The `checksums` of a finished training, whose best model is checked: written where a killed process or damage left
/// none, with a history that is written anew from the state where it is not as recorded. False where the model was
/// written by a program without seals, and nothing is checked.
fn settle_checksums(
    training: &Training,
    folder: &Path,
    history: &[EpochRow],
    monitor: &dyn Monitor,
) -> Result<bool> {
    let known = Checksums::read(folder).transpose();
    let remedy = "the training state has what it held";
    match known.map(|known| known?.check(folder, HISTORY, remedy)) {
        Some(Ok(_)) => return Ok(true),
        Some(Err(error)) if error.is_wrong_input() => {
            monitor.warn(&format!("{}: {error}; it is written anew", training.name));
        }
        Some(Err(error)) => return Err(error),
        None if !read_tensors(&folder.join(BEST))?.sealed => return Ok(false),
        None => {}
    }
    store::remove_file(&folder.join(CHECKSUMS))?;
    write_history(&folder.join(HISTORY), history)?;
    write_checksums(training, folder, history.len())?;
    Ok(true)
}

/// Writes the `checksums` of a training after an epoch. The state is sealed itself; its seal leaves out wall seconds, as
/// does the checksum of the history.
fn write_checksums(training: &Training, folder: &Path, epoch: usize) -> Result<()> {
    let mut checksums = Checksums::default();
    checksums.record(folder, [BEST, LAST])?;
    let kept = epoch.saturating_sub(training.trainer.keep) + 1..=epoch;
    checksums.record(folder, kept.map(epoch_file))?;
    checksums.record_without(folder, HISTORY, "seconds")?;
    checksums.write(folder)
}

fn epoch_file(epoch: usize) -> String {
    format!("epoch-{epoch:05}.safetensors")
}

/// Saves epochs and passes news on.
struct Keeper<'a> {
    training: &'a Training,
    folder: &'a Path,
    info: ModelInfo,
    numerics: &'static str,
    monitor: &'a dyn Monitor,
}

impl Keeper<'_> {
    fn save(&self, file: &str, row: &EpochRow, network: &Network) -> Result<()> {
        let learned = |own: &Activations| network.learned_activations(own);
        let info = ModelInfo {
            epoch: Some(row.epoch),
            validation_accuracy: row.validation_accuracy,
            activations: self.info.activations.as_ref().map(learned).transpose()?,
            ..self.info.clone()
        };
        Model::save(&self.folder.join(file), network, &info)
    }
}

impl Observer for Keeper<'_> {
    fn step(&mut self, progress: &StepProgress) -> Result<()> {
        self.monitor.step(&self.training.name, progress);
        store::check_lock(self.folder)?;
        if self.monitor.cancel().load(Ordering::Relaxed) {
            return Err(Error::Interrupted);
        }
        Ok(())
    }

    fn epoch(&mut self, row: &EpochRow, network: &Network, state: &TrainState) -> Result<()> {
        // nothing is recorded of files that are about to be rewritten
        store::remove_file(&self.folder.join(CHECKSUMS))?;
        self.save(LAST, row, network)?;
        if row.best {
            self.save(BEST, row, network)?;
        }
        let keep = self.training.trainer.keep;
        if keep > 0 {
            self.save(&epoch_file(row.epoch), row, network)?;
            if let Some(old) = row.epoch.checked_sub(keep).filter(|old| *old > 0) {
                store::remove_file(&self.folder.join(epoch_file(old)))?;
            }
        }
        write_history(&self.folder.join(HISTORY), &state.history)?;
        // the state last: whatever is killed before it is done again, with the same numbers
        let (tensors, mut metadata) = state.to_parts()?;
        metadata.insert(NUMERICS.to_owned(), self.numerics.to_owned());
        write_tensors(&self.folder.join(STATE), &tensors, &metadata)?;
        write_checksums(self.training, self.folder, row.epoch)?;
        self.monitor.epoch(&self.training.name, row);
        Ok(())
    }

    fn warn(&mut self, message: &str) {
        self.monitor
            .warn(&format!("{}: {message}", self.training.name));
    }
}
