//! One exploration in its folder: the grid of single voltages as in a sweep, domains searched and verified, all in one
//! frontier.

use super::journal::{Journal, Replay, SearchEvaluation};
use super::models::TestImages;
use super::monitor::Monitor;
use super::prepared::Prepared;
use super::request::RunRequest;
use super::sampling::Clean;
use super::sweeping::{lock, Grid, SweepResult, Sweeping};
use crate::analysis::names;
use crate::config::Experiment;
use crate::error::{refuse, Result};
use crate::explore::{
    check_arrays, explore as search_domains, ActivationDomain, Evaluation, ExplorePoint,
    ExploredPoint, Outcome, Sensitivity, Simulation, Verified,
};
use crate::memory::{CellKind, EnergyTerm};
use crate::sweep::{Design, EnergyRow, Sampling, SweptModel, Trial};
use crate::table;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// What stands for a layer in the table of energies where the cost of rails does.
const RAILS: &str = "supply rails beyond the first";

/// A finished exploration.
#[derive(Clone, Debug)]
pub struct ExploreResult {
    /// Its folder, figures and report, with the design points of single voltages.
    pub sweep: SweepResult,
    /// Points of domains and best single voltages, verified or refuted.
    pub points: Vec<ExploredPoint>,
    /// The answers in words.
    pub answers: Vec<String>,
}

/// Sweeps single voltages, then searches what the options ask for: a voltage for each domain, models with a width for
/// each layer. What is finished is reused.
///
/// # Errors
/// As [`super::sweep`]; [`crate::error::Error::Argument`] where a tolerance is asked for, because searched points are
/// compared on the same chips, or nothing to search.
pub fn explore(
    experiment: &Experiment,
    request: &RunRequest,
    monitor: &dyn Monitor,
) -> Result<ExploreResult> {
    check_exploration(experiment)?;
    let makes_models = !request.merge;
    let exploring = Sweeping::new(experiment, request, monitor, true, makes_models)?;
    let (sweep, searched) = exploring.finish()?;
    Ok(ExploreResult {
        sweep,
        points: searched.points,
        answers: searched.answers,
    })
}

/// What [`explore`] would do, with its estimated cost.
#[derive(Clone, Debug)]
pub struct ExplorePlan {
    /// Its folder.
    pub folder: PathBuf,
    /// Design points of single voltages.
    pub designs: usize,
    /// Their trials.
    pub trials: usize,
    /// Those to compute.
    pub owed: usize,
    /// Evaluations of an image of the trials to compute.
    pub trial_evaluations: u64,
    /// Most evaluations of an image of the searches over domains, verification included.
    pub search_evaluations: u64,
    /// Evaluations of a search that an earlier call has made, each on all its chips.
    pub known: usize,
    /// Seconds of an evaluation of an image on all threads, as measured now.
    pub seconds: f64,
}

/// What [`explore`] would do; nothing is trained, no model of other widths is made, and nothing is written.
///
/// # Errors
/// As [`explore`]; [`crate::error::Error::Missing`] for models that are yet to be made.
pub fn plan_explore(
    experiment: &Experiment,
    request: &RunRequest,
    monitor: &dyn Monitor,
) -> Result<ExplorePlan> {
    check_exploration(experiment)?;
    Sweeping::new(experiment, request, monitor, true, false)?.plan_explore()
}

/// What an exploration cannot be asked for.
pub(super) fn check_exploration(experiment: &Experiment) -> Result<()> {
    if experiment.sweep.tolerance.is_some() {
        let expected = "to be left out: points are compared on the same chips, `--chips` of them";
        return refuse("sweep.tolerance", expected, "a value");
    }
    if experiment.sweep.sampling != Sampling::AllImages {
        let expected = "`all_images`: points are compared chip by chip on all images of a trial";
        let found = format!("`{}`", experiment.sweep.sampling);
        return refuse("sweep.sampling", expected, found);
    }
    let spec = &experiment.explore;
    if spec.domains.is_none() && spec.widths.is_empty() {
        let expected = "something to search: `--domains layers` (or bits, weights,activations, groups:FILE) or `--widths 2,4,8`; single \
                        voltages are a `sweep`, the lowest of them is an `answer`";
        return refuse("explore", expected, "none of them");
    }
    // a search takes energies as sums over domains that rise with each voltage
    let memory = experiment.memory_model()?;
    if memory.sram.is_some() {
        let expected = "a memory model without a macro: domains share its words and its clock, so their energies do not add up; \
                        `sweep` and `answer` take one";
        return refuse("memory", expected, format!("`{}`", memory.name));
    }
    Ok(())
}

/// What searches came to.
#[derive(Debug, Default)]
pub(super) struct Searched {
    points: Vec<ExploredPoint>,
    sensitivities: Vec<Sensitivity>,
    /// In words.
    pub(super) answers: Vec<String>,
}

impl Searched {
    /// Writes the tables of the searches themselves.
    ///
    /// # Errors
    /// As [`table::write`].
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        if !self.points.is_empty() {
            table::write(&folder.join(names::EXPLORED_CSV), &self.points)?;
            table::write(&folder.join(names::SENSITIVITY_CSV), &self.sensitivities)?;
        }
        Ok(())
    }

    fn add(&mut self, model: &str, outcome: &Outcome) {
        self.points
            .extend(outcome.points.iter().map(|point| ExploredPoint {
                model: model.to_owned(),
                point: point.clone(),
            }));
        self.sensitivities
            .extend(outcome.sensitivities.iter().map(|row| Sensitivity {
                model: model.to_owned(),
                row: row.clone(),
            }));
        let answer = outcome.answer.text();
        self.answers.push(format!("{model}: {answer}"));
    }
}

/// What a search over the domains of one model came to.
pub(super) struct Explored {
    model: String,
    outcome: Outcome,
    verified: Vec<Verified>,
}

impl Sweeping<'_> {
    /// Searches what the options ask for, beyond a grid of single voltages. Verified points with several voltages
    /// become design points of the grid.
    pub(super) fn search(
        &self,
        grid: &mut Grid,
        swept_models: &[SweptModel],
        replay: &Replay,
        journal: &Mutex<Journal>,
        chips: u32,
    ) -> Result<Searched> {
        let all = |_| true;
        let explored =
            self.search_models(swept_models, &grid.trials, replay, journal, chips, &all)?;
        let mut searched = Searched::default();
        for explored in &explored {
            add_verified(explored, grid);
            searched.add(&explored.model, &explored.outcome);
        }
        Ok(searched)
    }

    fn plan_explore(&self) -> Result<ExplorePlan> {
        let prepared = &self.prepared;
        self.check_searches()?;
        let replay = prepared.replay(self.request, &self.folder)?;
        let Clean { scores, .. } = prepared.clean(&replay, self.cancel())?;
        let swept_models = prepared.swept_models(&scores);
        let points = prepared.points(&replay, &self.folder)?;
        let comparison = prepared.comparison(&swept_models, &points, prepared.chips(&replay));
        let (designs, owed) = (
            comparison.designs()?.len(),
            comparison.count_owed(&replay.trials)?,
        );
        Ok(ExplorePlan {
            folder: self.folder.clone(),
            designs,
            trials: designs * comparison.chips as usize,
            owed,
            trial_evaluations: owed as u64 * prepared.images.count,
            search_evaluations: self.most_evaluations()?,
            known: replay.searches.len(),
            seconds: self.seconds_of_image(&swept_models)?,
        })
    }

    /// Most evaluations of an image of the searches over domains: each domain alone and all together at every voltage, joint
    /// evaluations, and what is verified of each attempt.
    fn most_evaluations(&self) -> Result<u64> {
        let prepared = &self.prepared;
        let (spec, images) = (&prepared.experiment.explore, prepared.images.count);
        let Some(domains) = &spec.domains else {
            return Ok(0);
        };
        let search_images = spec.search_images.map_or(images, |asked| asked.min(images));
        let attempts = u64::from(spec.attempts);
        let mut all = 0;
        for model in &prepared.models {
            let parts = domains.parts(&model.evaluator)?.len() as u64;
            let voltages = prepared.grid.len() as u64;
            let joint = attempts * u64::from(spec.evaluations);
            let searched = voltages * (parts + 1) + joint;
            all += searched * u64::from(spec.search_chips) * search_images;
            all += attempts * u64::from(prepared.experiment.sweep.chips) * images;
        }
        Ok(all)
    }

    /// Checks what the searches ask of models and memory, before the grid of single voltages is computed.
    pub(super) fn check_searches(&self) -> Result<()> {
        let prepared = &self.prepared;
        if let Some(domains) = &prepared.experiment.explore.domains {
            check_arrays(&prepared.faults)?;
            for model in &prepared.models {
                domains.parts(&model.evaluator)?;
            }
        }
        Ok(())
    }

    /// Searches the domains of those models that are `owned`, by their places, their codes unprotected, where it is asked
    /// to.
    pub(super) fn search_models(
        &self,
        swept_models: &[SweptModel],
        trials: &[Trial],
        replay: &Replay,
        journal: &Mutex<Journal>,
        chips: u32,
        owned: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<Explored>> {
        let (prepared, monitor) = (&self.prepared, self.monitor);
        let spec = &prepared.experiment.explore;
        let Some(domains) = &spec.domains else {
            return Ok(Vec::new());
        };
        let images = self.search_images()?;
        self.stages.begin("voltages for domains", 1);
        let (mut all, mut missing) = (Vec::new(), BTreeSet::new());
        let models = swept_models.iter().zip(&prepared.models).enumerate();
        for (place, (swept, loaded)) in models.filter(|(place, _)| owned(*place)) {
            let (mut search_images, mut search_clean) = (swept.images, swept.clean);
            if let Some(images) = &images {
                search_images = images.of(place);
                search_clean = swept.evaluator.clean(search_images)?;
                loaded.check_finite(search_clean.not_finite, search_clean.images)?;
            }
            let search_model = SweptModel {
                images: search_images,
                clean: search_clean,
                ..swept.clone()
            };
            let parts = domains.parts(&loaded.evaluator)?;
            monitor.note(&format!(
                "{}: searching voltages for {} domains",
                swept.name,
                parts.len()
            ));
            let mut sink = |design: &Design, trial: &Trial| {
                let mut journal = lock(journal);
                journal.append_design(design)?;
                journal.append_trial(trial)
            };
            let activations = match &prepared.activations {
                Some(own) => Some(ActivationDomain {
                    grid: &own.grid,
                    error_free: own.error_free()?,
                }),
                None => None,
            };
            let mut simulation = Simulation {
                verification: prepared.comparison(std::slice::from_ref(swept), &[], chips),
                search_model: &search_model,
                activations,
                parts: &parts,
                grid: &prepared.grid,
                search_chips: spec.search_chips,
                cancel: self.cancel(),
                sink: &mut sink,
                done: trials.iter().chain(&replay.trials).cloned().collect(),
                verified: Vec::new(),
            };
            let space = simulation.space(spec)?;
            let of_model = replay
                .searches
                .iter()
                .filter(|search| search.model == swept.name);
            let done: Vec<_> = of_model.map(|search| search.evaluation.clone()).collect();
            let mut keep = |evaluation: &Evaluation| {
                let (model, evaluation) = (swept.name.clone(), evaluation.clone());
                lock(journal).append_search(&SearchEvaluation { model, evaluation })
            };
            let searched = search_domains(&space, spec, &mut simulation, &done, &mut keep);
            let Some(outcome) = self.unless_owed(searched)? else {
                missing.insert(place);
                continue;
            };
            let verified = std::mem::take(&mut simulation.verified);
            all.push(Explored {
                model: swept.name.clone(),
                outcome,
                verified,
            });
        }
        self.check_searched(&missing, replay)?;
        Ok(all)
    }

    /// Images of the search; `None` where they are those of the verification.
    fn search_images(&self) -> Result<Option<TestImages>> {
        let Prepared {
            experiment,
            models,
            images,
            ..
        } = &self.prepared;
        let Some(asked) = experiment
            .explore
            .search_images
            .filter(|asked| *asked < images.count)
        else {
            return Ok(None);
        };
        let set = self.prepared.test_set(self.request)?;
        TestImages::new(&set, models, experiment, Some(asked)).map(Some)
    }
}

/// Verified points with several voltages become design points, the cost of their rails in their energy.
fn add_verified(explored: &Explored, grid: &mut Grid) {
    for verified in &explored.verified {
        let mut design = verified.design.clone();
        let known = grid
            .designs
            .iter()
            .any(|known| known.design_id == design.design_id);
        let point = explored
            .outcome
            .points
            .iter()
            .find(|p| p.domain_voltages == verified.domain_voltages);
        let Some(point) = point.filter(|_| !known) else {
            continue;
        };
        let rails = point.rail_energy_relative;
        // relative energies of a design share a reference, so rails cost in pJ what they cost in proportion
        let picojoule = design
            .energy_pj
            .map(|pj| pj / design.energy_relative * rails);
        grid.energies.extend(verified.energies.iter().cloned());
        if rails > 0.0 {
            grid.energies
                .push(rail_row(&design, rails, picojoule, point));
        }
        design.energy_relative += rails;
        design.energy_pj = design
            .energy_pj
            .zip(picojoule)
            .map(|(own, rails)| own + rails);
        grid.designs.push(design);
        grid.trials.extend(verified.trials.iter().cloned());
    }
}

/// The term of the supply rails.
fn rail_row(
    design: &Design,
    energy: f64,
    picojoule: Option<f64>,
    point: &ExplorePoint,
) -> EnergyRow {
    let highest = point
        .domain_voltages
        .iter()
        .map(|d| d.voltage)
        .fold(0.0, f64::max);
    EnergyRow {
        design_id: design.design_id.clone(),
        voltage_unit: design.voltage_unit,
        term: EnergyTerm {
            layer: RAILS.into(),
            cells: CellKind::Usual,
            weights: 0,
            bits: 0.0,
            overhead_bits: 0.0,
            reads: f64::from(point.rails - 1),
            voltage: highest,
            access_energy_relative: 0.0,
            energy_factor: 1.0,
            energy_relative: energy,
            access_pj: picojoule,
            leakage_pj: None,
        },
    }
}
