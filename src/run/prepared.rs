//! The inputs of a sweep or an exploration, checked before anything is computed: memory, faults, voltages, models and images.

use super::activations::ActivationInput;
use super::clock;
use super::identity::{SweepIdentity, Verification};
use super::journal::{journals_of, replay_run, Asked, Replay, Run};
use super::kept::{KeptAnswers, KEPT};
use super::least_energy::{feasible, lost_in_words};
use super::models::{
    check_held_out, check_untrained, dataset_for, load_models, Loaded, TestImages, TestSource,
};
use super::monitor::{Monitor, Quiet, Stages};
use super::normalization::{changes, normalize, recorded};
use super::record::{now, Input, Machine, Record};
use super::request::RunRequest;
use super::sampling::{self, Clean, Sampled};
use super::training::Workshop;
use crate::analysis::{cells_key, names};
use crate::answer::AnswerSpec;
use crate::config::{Experiment, Training};
use crate::data::{self, DatasetName, ImageSet};
use crate::engine::{Answers, Score, ACCESS_IMAGES};
use crate::error::{refuse, Error, Result};
use crate::fault::Protection;
use crate::kernel::Arithmetic;
use crate::memory::{Faults, MemoryModel, OperatingPoint};
use crate::stats::ImageSample;
use crate::store;
use crate::sweep::{
    exposed_cells, Comparison, DesignPoint, Sampling, SweptModel, TestSplit, TwoLevel,
};
use crate::units::{count_of, Ber, BerSource, Voltage};
use candle_core::Device;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

/// Inputs of a sweep, loaded and checked.
pub(super) struct Prepared {
    pub(super) experiment: Experiment,
    pub(super) memory: MemoryModel,
    pub(super) faults: Faults,
    /// Voltages asked for, with their bit error rates.
    pub(super) grid: Vec<OperatingPoint>,
    pub(super) activations: Option<ActivationInput>,
    pub(super) protections: Vec<Protection>,
    pub(super) models: Vec<Loaded>,
    /// As in the record.
    pub(super) exposed_cells: BTreeMap<String, u64>,
    pub(super) images: TestImages,
    /// The file of groups of layers.
    pub(super) groups: Option<Input>,
    /// Folder of answers without faults, where there may be one.
    kept: Option<PathBuf>,
    pub(super) run: Run,
    pub(super) notes: Vec<String>,
    /// Where energies are least, of memories with a macro, in words.
    pub(super) least_energy: Vec<String>,
}

/// The inputs that can be checked before anything is computed.
pub(super) struct Inputs {
    pub(super) memory: MemoryModel,
    pub(super) faults: Faults,
    pub(super) grid: Vec<OperatingPoint>,
    pub(super) activations: Option<ActivationInput>,
    pub(super) protections: Vec<Protection>,
    /// What is said of voltages that cannot be used.
    left_out: Vec<String>,
}

pub(super) fn inputs(
    experiment: &Experiment,
    request: &RunRequest,
    explores: bool,
) -> Result<Inputs> {
    let memory = experiment.memory_model()?;
    let faults = Faults::new(&experiment.faults, &memory)?;
    if request.models.is_empty() {
        check_untrained(&experiment.trainings()?, &faults)?;
    }
    let sweep = &experiment.sweep;
    let list = sweep.voltages.as_deref();
    let activations = ActivationInput::of(experiment, explores)?;
    let beside = activations.as_ref().map_or(&memory, |own| &own.side.memory);
    experiment.energy.check_memories(&memory, beside)?;
    if activations.is_some() && request.models.is_empty() {
        let expected =
            "model files that store their activations (`quantize --activation-bits 8` makes them)";
        return refuse("voltages of activations", expected, "models to train");
    }
    let grid = if activations
        .as_ref()
        .is_some_and(ActivationInput::fail_alone)
    {
        vec![faults.at(&memory, memory.error_free)?]
    } else {
        faults.settings(&memory, list, &sweep.bit_error_rates)?
    };
    let activations = match activations {
        Some(own) => Some(own.with_voltages(experiment, &memory, &grid)?),
        None => None,
    };
    let protections = experiment.sweep.protections()?;
    let lost = list.map_or(Ok(Vec::new()), |list| faults.lost(&memory, list))?;
    let (grid, slow) = feasible(grid, &memory, &experiment.energy)?;
    let left_out = lost_in_words(&lost).into_iter().chain(slow).collect();
    Ok(Inputs {
        memory,
        faults,
        grid,
        activations,
        protections,
        left_out,
    })
}

/// The test images where they are known before the models are: wrong ones end a sweep before its trainings.
pub(super) fn early_set(experiment: &Experiment, request: &RunRequest) -> Result<Option<ImageSet>> {
    let follows = experiment.dataset.follows_the_network();
    let counted = follows && experiment.dataset.name == DatasetName::File;
    if !request.models.is_empty() && (!request.dataset_given || follows) {
        return Ok(None);
    }
    let mut experiment = experiment.clone();
    if follows {
        let (design, _) = experiment.network.design(&Device::Cpu)?;
        experiment.dataset = experiment.dataset.for_input(design.input_shape());
    }
    let set = test_set(&experiment, request)?;
    if let Some(images) = experiment.sweep.images {
        set.subset(
            usize::try_from(images).unwrap_or(usize::MAX),
            experiment.seed,
        )?;
    }
    experiment.sweep.check_tolerance(set.len() as u64)?;
    // the classes of a file are those of the network, which is yet to be trained
    Ok(Some(set).filter(|_| !counted))
}

fn test_set(experiment: &Experiment, request: &RunRequest) -> Result<ImageSet> {
    let (spec, file) = (&experiment.dataset, request.data_file.as_deref());
    let held_out = (experiment.sweep.split == TestSplit::Validation).then_some(experiment.seed);
    let source = TestSource {
        spec,
        folder: request.data_folder.as_deref(),
        file,
        held_out,
    };
    let Some(kept) = source.kept()? else {
        return source.load();
    };
    if kept.exists() {
        match data::read_packed(&kept) {
            Err(error) if error.is_wrong_input() => {} // damaged: as if it were not there
            other => return other,
        }
    }
    let set = source.load()?;
    if request.keeps_images {
        store::create_folder(store::folder_of(&kept))?;
        data::write_packed(&kept, &set)?;
    }
    Ok(set)
}

/// The trainings of the configuration, whose models can be swept.
pub(super) fn trainings_of(experiment: &Experiment) -> Result<Vec<Training>> {
    let trainings = experiment.trainings()?;
    if trainings.is_empty() {
        return refuse(
            "sweep",
            "`--model FILE`, or a configuration with `models` to train",
            format!("neither (configuration `{}`)", experiment.name),
        );
    }
    if let Some(float) = trainings
        .iter()
        .find(|training| training.quantizer.bits.is_float())
    {
        return refuse(
            format!("model `{}`", float.name),
            "a quantised model, which stores codes in the memory",
            "`bits: 32`",
        );
    }
    Ok(trainings)
}

pub(super) fn train_all(
    experiment: &Experiment,
    request: &RunRequest,
    device: &Device,
    stages: &Stages,
    monitor: &dyn Monitor,
) -> Result<(Vec<PathBuf>, usize)> {
    let trainings = trainings_of(experiment)?;
    let workshop = Workshop::of(request, device, monitor)?;
    stages.begin(&count_of(trainings.len(), "training"), trainings.len());
    let trained = workshop.train_or_fail(&trainings, request.fresh)?;
    let computed = trained.iter().map(|model| model.computed_epochs).sum();
    Ok((
        trained.into_iter().map(|model| model.best).collect(),
        computed,
    ))
}

/// The models of the configuration, all of which must have been trained before.
pub(super) fn trained_before(
    experiment: &Experiment,
    request: &RunRequest,
    device: &Device,
    monitor: &dyn Monitor,
) -> Result<Vec<PathBuf>> {
    let workshop = Workshop::of(request, device, monitor)?;
    let find = |training| Ok(workshop.finished(training)?.best);
    trainings_of(experiment)?.iter().map(find).collect()
}

/// The trainings of the configuration, each with its model where it is finished and is not to be made afresh.
pub(super) fn finished_trainings(
    experiment: &Experiment,
    request: &RunRequest,
    device: &Device,
) -> Result<Vec<(Training, Option<PathBuf>)>> {
    let quiet = Quiet::default();
    // without a home there is no cache, and nothing is finished
    let workshop = Workshop::of(request, device, &quiet).ok();
    let workshop = workshop.filter(|_| !request.fresh);
    let mut all = Vec::new();
    for training in experiment.trainings()? {
        let found = workshop.as_ref().map(|shop| shop.finished(&training));
        let path = match found.transpose() {
            Ok(model) => model.map(|model| model.best),
            Err(Error::Missing { .. }) => None,
            Err(error) => return Err(error),
        };
        all.push((training, path));
    }
    Ok(all)
}

pub(super) fn prepare(
    experiment: &Experiment,
    request: &RunRequest,
    inputs: Inputs,
    paths: &[PathBuf],
    early: Option<ImageSet>,
    device: &Device,
    explores: bool,
) -> Result<Prepared> {
    let Inputs {
        memory,
        faults,
        grid,
        activations,
        protections,
        left_out,
    } = inputs;
    let mut experiment = experiment.clone();
    let mut models = load_models(paths, device)?;
    let alone = activations
        .as_ref()
        .is_some_and(ActivationInput::fail_alone);
    // before a data set is asked for: without codes there is nothing to judge on it
    if !alone {
        models.iter().try_for_each(Loaded::check_stored)?;
    }
    let given = request.models.is_empty() || request.dataset_given;
    let normalization = experiment.dataset.normalization.clone();
    experiment.dataset = dataset_for(&models, &experiment.dataset, given)?;
    if experiment.sweep.split == TestSplit::Validation {
        check_held_out(&models, &experiment.dataset, experiment.seed)?;
    }
    let set = match early {
        Some(set) => set,
        None => test_set(&experiment, request)?,
    };
    let name = experiment.dataset.name;
    normalize(&mut models, name, &set, normalization.as_ref())?;
    let images = TestImages::new(&set, &models, &experiment, experiment.sweep.images)?;
    experiment.sweep.check_tolerance(images.all)?;
    let planned = |sampling: Sampling| {
        let voltages = values(&grid);
        let protections = protections.iter().map(|own| own.to_string()).collect();
        (experiment.sweep.sampling == sampling).then_some((voltages, protections))
    };
    let identity = SweepIdentity {
        seed: experiment.seed.0,
        dataset: &images.checksum,
        images: images.count,
        memory: &memory.checksum,
        activations: activations.as_ref().map(|own| own.identity(&experiment)),
        models: models
            .iter()
            .map(|model| (model.name.as_str(), model.checksum.as_str()))
            .collect(),
        tolerance: experiment.sweep.tolerance,
        floor: experiment.sweep.floor.map(|floor| floor.get()),
        metric: images.unusual_metric(),
        normalization: changes(&models),
        faults: faults.changes(),
        by_rate: (!experiment.sweep.bit_error_rates.is_empty()).then_some(true),
        explore: explores.then_some(Verification {
            verified_by: "intervals",
            spec: &experiment.explore,
        }),
        answer: experiment.answer.as_ref().map(AnswerSpec::of_verdicts),
        energy: experiment.energy.changes(),
        two_level: planned(Sampling::TwoLevel),
        stratified: planned(Sampling::Stratified),
    };
    let run = Run::of(&experiment.name, &identity)?;
    let mut prepared = Prepared {
        experiment,
        memory,
        faults,
        grid,
        activations,
        protections,
        models,
        exposed_cells: BTreeMap::new(),
        images,
        groups: groups_file(request)?,
        // without a home there is no cache
        kept: request.models_folder().ok().map(|models| models.join(KEPT)),
        run,
        notes: Vec::new(),
        least_energy: Vec::new(),
    };
    prepared.notes = prepared.remarks()?;
    prepared.notes.extend(left_out);
    prepared.check_activations()?;
    prepared.least_energy = prepared.least_energy()?;
    prepared.exposed_cells = prepared.count_cells()?;
    Ok(prepared)
}

/// What to tell of voltages below the measured span of a memory.
fn extrapolated(points: &[OperatingPoint], memory: &MemoryModel) -> Option<String> {
    let is_guess = |point: &&OperatingPoint| point.ber_source == BerSource::Extrapolated;
    let guessed = points.iter().filter(is_guess).count();
    (guessed > 0).then(|| {
        format!(
            "{guessed} of {} voltages lie below the measured span of `{}`: their bit error rates are extrapolated",
            points.len(),
            memory.name
        )
    })
}

/// Each voltage once, rising.
fn by_voltage(mut points: Vec<OperatingPoint>) -> Vec<OperatingPoint> {
    points.sort_by(|a, b| a.voltage.get().total_cmp(&b.voltage.get()));
    points.dedup_by_key(|point| point.voltage);
    points
}

/// Voltages of operating points.
fn values(points: &[OperatingPoint]) -> Vec<f64> {
    points.iter().map(|point| point.voltage.get()).collect()
}

/// The file of groups of layers, where there is one.
fn groups_file(request: &RunRequest) -> Result<Option<Input>> {
    let Some(path) = &request.groups_file else {
        return Ok(None);
    };
    let checksum = store::sha256_of_file(path)?;
    Ok(Some(Input::new(
        "groups",
        path.display().to_string(),
        &checksum,
    )))
}

/// A memory at the voltage of a design point that is known, found from its rate where it was asked for.
fn known_point(
    faults: &Faults,
    memory: &MemoryModel,
    (voltage, ber): (f64, f64),
    by_rate: bool,
) -> Result<OperatingPoint> {
    if by_rate {
        faults.at_rate(memory, Ber::new(ber)?)
    } else {
        faults.at(memory, Voltage::new(voltage)?)
    }
}

impl Prepared {
    /// What the reader of the results should know.
    fn remarks(&self) -> Result<Vec<String>> {
        let mut notes: Vec<String> = self
            .models
            .iter()
            .flat_map(|model| model.warnings.iter().cloned())
            .chain(self.images.remarks.iter().cloned())
            .chain(self.images.metric.note())
            .collect();
        let ImageSample { used, all } = self.images.sample();
        if used < all {
            let images = self.experiment.sweep.split.images();
            notes.push(format!("{used} of {all} {images} are used in each trial"));
        }
        notes.extend(self.faults.notes(&self.memory));
        let words: u64 = self
            .models
            .iter()
            .map(|model| model.evaluator.words().len() as u64)
            .sum();
        let rate: f64 = self.grid.iter().map(|point| point.ber.get()).sum();
        // less than half a failing cell is to be expected on all chips at all voltages
        let shows_none = rate * words as f64 * f64::from(self.experiment.sweep.chips) < 0.5;
        if shows_none && self.activations.is_none() {
            notes.push(format!(
                "no voltage of this sweep can show a fault: the memory `{}` is error-free, or nearly so, at all of them",
                self.memory.name
            ));
        }
        notes.extend(extrapolated(&self.grid, &self.memory));
        let of_activations = self.activations.as_ref();
        notes.extend(of_activations.and_then(|own| extrapolated(&own.grid, &own.side.memory)));
        Ok(notes)
    }

    /// Settings of each model that are asked for.
    pub(super) fn settings_asked(&self) -> usize {
        let of_activations = match &self.activations {
            Some(own) if !own.is_searched => own.grid.len(),
            _ => 1,
        };
        self.grid.len() * of_activations * self.protections.len() * self.faults.count()
    }

    /// Refuses models and memories that voltages of activations do not go with, before anything is evaluated.
    fn check_activations(&self) -> Result<()> {
        let (Some(own), Some(lowest)) = (&self.activations, self.grid.first()) else {
            return Ok(());
        };
        let swept_models = self.swept_models(&self.no_scores());
        let points = DesignPoint::grid(self.models.len(), &[*lowest], &self.protections);
        let points = DesignPoint::beside(&points, &own.grid[..own.grid.len().min(1)]);
        self.comparison(&swept_models, &points, 1).designs()?;
        Ok(())
    }

    /// True where stored activations alone fail.
    fn fail_alone(&self) -> bool {
        let activations = self.activations.as_ref();
        activations.is_some_and(ActivationInput::fail_alone)
    }

    pub(super) fn beyond_tolerance(&self, means: impl Iterator<Item = f64>) -> Option<String> {
        sampling::beyond_tolerance(
            self.experiment.sweep.tolerance?,
            self.images.sample(),
            means,
        )
    }

    /// What is finished of the run, as a dry run reads it: without the lock, and nothing is set aside.
    pub(super) fn replay(&self, request: &RunRequest, folder: &Path) -> Result<Replay> {
        if request.fresh {
            return Ok(Replay::default());
        }
        let others = journals_of(folder, &request.from)?;
        Ok(replay_run(folder, &others, &self.run)?.0)
    }

    pub(super) fn clean(&self, replay: &Replay, cancel: &AtomicBool) -> Result<Clean> {
        Clean::of(self, replay, &self.kept_answers(), cancel)
    }

    /// Where answers without faults are kept.
    pub(super) fn kept_answers(&self) -> KeptAnswers {
        let sample = (self.images.count < self.images.all).then_some(self.experiment.seed);
        KeptAnswers {
            folder: self.kept.clone(),
            numerics: self.run.numerics,
            dataset: self.images.checksum.clone(),
            images: self.images.count,
            metric: self.images.unusual_metric(),
            sample,
        }
    }

    /// Cells that faults reach, by model and protection; none where counts do not have the rate of the curve.
    fn count_cells(&self) -> Result<BTreeMap<String, u64>> {
        let mut cells = BTreeMap::new();
        if !self.faults.counts_have_the_rate() || self.fail_alone() {
            return Ok(cells);
        }
        for model in &self.models {
            for &protection in &self.protections {
                let name = &model.name;
                let exposed = exposed_cells(&model.evaluator, name, protection, &self.faults)?;
                cells.insert(cells_key(name, protection), exposed);
            }
        }
        Ok(cells)
    }

    /// Every model at the voltages and under the protections asked for, and those that the run in `folder` has already; each
    /// beside every voltage of stored activations.
    pub(super) fn points(&self, replay: &Replay, folder: &Path) -> Result<Vec<DesignPoint>> {
        let (mut points, mut protections) = (self.grid.clone(), self.protections.clone());
        let mut of_activations: Vec<OperatingPoint> = Vec::new();
        // what the run has was read from its journals
        let in_journal = |error: Error| error.in_file(&folder.join(names::JOURNAL));
        for design in &replay.designs {
            let mut place = design.voltage.zip(design.ber);
            if let Some(activations) = &self.activations {
                let side = &activations.side;
                let beside = design.activations.as_ref();
                let own = if activations.fail_alone() {
                    place.take()
                } else {
                    beside.map(|own| (own.voltage, own.ber))
                };
                let by_rate = !self.experiment.activations.bit_error_rates.is_empty();
                let known = own.map(|own| known_point(&side.faults, &side.memory, own, by_rate));
                of_activations.extend(known.transpose().map_err(in_journal)?);
            }
            let by_rate = !self.experiment.sweep.bit_error_rates.is_empty();
            let known = place.map(|own| known_point(&self.faults, &self.memory, own, by_rate));
            points.extend(known.transpose().map_err(in_journal)?);
            if !protections.contains(&design.protection) {
                protections.push(design.protection);
            }
        }
        let points = by_voltage(points);
        let grid =
            |points: &[OperatingPoint]| DesignPoint::grid(self.models.len(), points, &protections);
        let Some(own) = &self.activations else {
            return Ok(grid(&points));
        };
        of_activations.extend_from_slice(&own.grid);
        own.points(&self.memory, &points, &by_voltage(of_activations), &grid)
    }

    /// The lowest voltage asked for.
    pub(super) fn lowest_voltage(&self) -> f64 {
        let voltages = self.grid.iter().map(|point| point.voltage.get());
        voltages.fold(f64::INFINITY, f64::min)
    }

    /// The test images, as they come.
    pub(super) fn test_set(&self, request: &RunRequest) -> Result<ImageSet> {
        test_set(&self.experiment, request)
    }

    /// The chips asked for, or as many as the run has already. A tolerance decides by itself.
    pub(super) fn chips(&self, replay: &Replay) -> u32 {
        let asked = self.faults.chips(self.experiment.sweep.chips);
        match self.experiment.sweep.tolerance {
            Some(_) => asked,
            None => replay
                .trials
                .iter()
                .map(|trial| trial.chip.0 + 1)
                .fold(asked, u32::max),
        }
    }

    /// What the command asks for, whatever the run has already.
    pub(super) fn asked(&self) -> Asked {
        Asked {
            voltages: values(&self.grid),
            activation_voltages: self
                .activations
                .as_ref()
                .map_or(Vec::new(), |own| values(&own.grid)),
            protections: self.protections.iter().map(|own| own.to_string()).collect(),
            chips: self.faults.chips(self.experiment.sweep.chips),
        }
    }

    pub(super) fn swept_models<'a>(&'a self, clean: &[Score]) -> Vec<SweptModel<'a>> {
        let pairs = self.models.iter().zip(clean).enumerate();
        pairs
            .map(|(i, (model, clean))| SweptModel {
                name: model.name.clone(),
                dataset: self.images.title.clone(),
                training_seed: model.info.training_seed,
                evaluator: &model.evaluator,
                images: self.images.of(i),
                clean: *clean,
            })
            .collect()
    }

    pub(super) fn comparison<'a>(
        &'a self,
        swept_models: &'a [SweptModel<'a>],
        points: &'a [DesignPoint],
        chips: u32,
    ) -> Comparison<'a> {
        Comparison {
            swept_models,
            memory: &self.memory,
            faults: &self.faults,
            activations: self.activations.as_ref().map(|own| &own.side),
            energy: &self.experiment.energy,
            points,
            seed: self.experiment.seed,
            chips,
            tolerance: self.experiment.sweep.tolerance,
            test_images: self.images.all,
            clock: clock::seconds,
        }
    }

    pub(super) fn sampled<'a>(
        &self,
        comparison: &'a Comparison<'a>,
        clean: &'a [Answers],
    ) -> Sampled<'a> {
        let sampling = self.experiment.sweep.sampling;
        if !sampling.is_two_level() {
            return Sampled::AllImages(comparison);
        }
        Sampled::TwoLevel(TwoLevel {
            comparison,
            clean,
            stratified: sampling == Sampling::Stratified,
        })
    }

    pub(super) fn record(&self, command: &str) -> Record {
        let models = self.models.iter().map(Input::of_model);
        let accesses = self.images.count.div_ceil(ACCESS_IMAGES as u64);
        Record {
            version: Record::version(),
            numerics: Some(self.run.numerics.to_owned()),
            arithmetic: Arithmetic::current().to_string(),
            identity: self.run.identity.clone(),
            commands: vec![command.to_owned()],
            attempts: Vec::new(),
            seed: self.experiment.seed.0,
            metric: self.images.metric,
            chance: self.images.chance,
            images: self.images.count,
            dataset: Input::new(
                self.experiment.dataset.name.name(),
                self.images.title.clone(),
                &self.images.checksum,
            ),
            memory: Some(Input::new(
                &self.memory.name,
                self.experiment.memory.clone(),
                &self.memory.checksum,
            )),
            activation_memory: self.activations.as_ref().map(|own| {
                let side = &own.side;
                let asked = &self.experiment.activations.memory;
                let asked = asked.as_ref().unwrap_or(&self.experiment.memory);
                Input::new(&side.memory.name, asked.clone(), &side.memory.checksum)
            }),
            attack_data: None,
            groups: self.groups.clone(),
            models: models.collect(),
            exposed_cells: self.exposed_cells.clone(),
            accesses: if self.faults.is_transient() {
                accesses
            } else {
                1
            },
            started_unix: now(),
            finished_unix: None,
            machine: Machine::here(),
            notes: self.notes.clone(),
            least_energy: self.least_energy.clone(),
            configuration: recorded(&self.experiment, &self.models),
        }
    }
}
