//! One exploration in its folder: the grid of single voltages as in a sweep, domains and yields searched and verified,
//! all in one frontier.

use super::answering::named;
use super::clock;
use super::journal::{Journal, Replay, SearchEvaluation, YieldTrial};
use super::models::TestImages;
use super::monitor::Monitor;
use super::prepared::Prepared;
use super::redraw::Drawn;
use super::request::RunRequest;
use super::sampling::Clean;
use super::sweeping::{lock, Grid, Sweeping};
use crate::analysis::{names, Pareto, Summary};
use crate::config::Experiment;
use crate::error::{Error, Result};
use crate::explore::{
    check_arrays, explore as search_domains, lowest_voltage, Evaluation, Evidence, ExploredPoint,
    Lowest, Outcome, Phase, Plan, Sensitivity, Simulation, Verified, VoltageEvidence, CONFIDENCE,
};
use crate::fault::Protection;
use crate::memory::{CellKind, EnergyTerm};
use crate::stats::{self, Target};
use crate::sweep::{Design, DesignPoint, EnergyRow, Sampling, Supply, SweptModel, Trial};
use crate::table;
use crate::units::{Accuracy, ChipId, Voltage};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::Mutex;

/// What stands for a layer in the table of energies where the cost of rails does.
const RAILS: &str = "supply rails beyond the first";

/// A finished exploration.
#[derive(Clone, Debug)]
pub struct ExploreResult {
    /// Its folder with the tables.
    pub folder: PathBuf,
    /// Its figures and report.
    pub drawn: Drawn,
    /// Points of domains and best single voltages, verified or refuted.
    pub points: Vec<ExploredPoint>,
    /// What was seen of yields.
    pub evidence: Vec<VoltageEvidence>,
    /// The answers in words.
    pub answers: Vec<String>,
    /// One row per design point.
    pub summaries: Vec<Summary>,
    /// Frontiers and savings.
    pub pareto: Pareto,
}

/// Sweeps single voltages, then searches what the options ask for: a voltage for each domain, the lowest voltage for a
/// yield, models with a width for each layer. What is finished is reused.
///
/// # Errors
/// As [`super::sweep`]; [`Error::Argument`] where a tolerance is asked for, because searched points are compared on the
/// same chips, or a yield without a floor.
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
        folder: sweep.folder,
        drawn: sweep.drawn,
        points: searched.points,
        evidence: searched.evidence,
        answers: searched.answers,
        summaries: sweep.summaries,
        pareto: sweep.pareto,
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
/// As [`explore`]; [`Error::Missing`] for models that are yet to be made.
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
        return Err(Error::argument("sweep.tolerance", expected, "a value"));
    }
    if experiment.sweep.sampling != Sampling::AllImages {
        let expected = "`all_images`: points are compared chip by chip on all images of a trial";
        let found = format!("`{}`", experiment.sweep.sampling);
        return Err(Error::argument("sweep.sampling", expected, found));
    }
    if experiment.explore.yield_share.is_some() && experiment.sweep.floor.is_none() {
        let expected = "the accuracy that a chip must reach, beside `--yield`";
        return Err(Error::argument(
            "--floor (sweep.floor)",
            expected,
            "nothing",
        ));
    }
    let spec = &experiment.explore;
    if spec.domains.is_none() && spec.yield_share.is_none() && spec.widths.is_empty() {
        let expected = "something to search: `--domains layers` (or bits, groups:FILE), `--yield 0.99 --floor 0.9`, or \
                        `--widths 2,4,8`; single voltages are a `sweep`";
        return Err(Error::argument("explore", expected, "none of them"));
    }
    Ok(())
}

/// What searches came to.
#[derive(Debug, Default)]
pub(super) struct Searched {
    points: Vec<ExploredPoint>,
    sensitivities: Vec<Sensitivity>,
    evidence: Vec<VoltageEvidence>,
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
        if !self.evidence.is_empty() {
            table::write(&folder.join(names::YIELDS_CSV), &self.evidence)?;
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
        let (explored, evidence, answers) =
            self.search_models(swept_models, &grid.trials, replay, journal, chips, &all)?;
        let mut searched = Searched::default();
        for explored in &explored {
            add_verified(explored, grid);
            searched.add(&explored.model, &explored.outcome);
        }
        searched.evidence = evidence;
        searched.answers.extend(answers);
        Ok(searched)
    }

    /// The searches of those models that are `owned`, by their places: over domains, and for a yield with its answers in
    /// words.
    pub(super) fn search_models(
        &self,
        swept_models: &[SweptModel],
        trials: &[Trial],
        replay: &Replay,
        journal: &Mutex<Journal>,
        chips: u32,
        owned: &dyn Fn(usize) -> bool,
    ) -> Result<(Vec<Explored>, Vec<VoltageEvidence>, Vec<String>)> {
        let (explored, mut missing) =
            self.domains(swept_models, trials, replay, journal, chips, owned)?;
        let (evidence, answers, others) = self.yields(swept_models, replay, journal, owned)?;
        missing.extend(others);
        self.check_searched(&missing, replay)?;
        Ok((explored, evidence, answers))
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
        let spec = &prepared.experiment.explore;
        if let Some(domains) = &spec.domains {
            check_arrays(&prepared.faults)?;
            for model in &prepared.models {
                domains.parts(&model.evaluator)?;
            }
        }
        if spec.yield_share.is_some() {
            self.fine_grid()?;
        }
        Ok(())
    }

    /// Searches the domains of models, their codes unprotected, where it is asked to; in a merge, and the places of those
    /// whose search a shard owes.
    fn domains(
        &self,
        swept_models: &[SweptModel],
        trials: &[Trial],
        replay: &Replay,
        journal: &Mutex<Journal>,
        chips: u32,
        owned: &dyn Fn(usize) -> bool,
    ) -> Result<(Vec<Explored>, BTreeSet<usize>)> {
        let (prepared, monitor) = (&self.prepared, self.monitor);
        let spec = &prepared.experiment.explore;
        let Some(domains) = &spec.domains else {
            return Ok((Vec::new(), BTreeSet::new()));
        };
        let grid = &prepared.grid;
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
                name: swept.name.clone(),
                dataset: swept.dataset.clone(),
                training_seed: swept.training_seed,
                evaluator: swept.evaluator,
                images: search_images,
                clean: search_clean,
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
            let mut simulation = Simulation {
                swept,
                search_model: &search_model,
                test_images: prepared.images.all,
                memory: &prepared.memory,
                faults: &prepared.faults,
                energy: &prepared.experiment.energy,
                protection: Protection::None,
                parts: &parts,
                grid,
                seed: prepared.experiment.seed,
                search_chips: spec.search_chips,
                chips,
                clock: clock::seconds,
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
        Ok((all, missing))
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

    /// The lowest voltage for a yield, of every model under every protection, with what it rests on and in words; in a merge, and
    /// the places of those whose search a shard owes.
    fn yields(
        &self,
        swept_models: &[SweptModel],
        replay: &Replay,
        journal: &Mutex<Journal>,
        owned: &dyn Fn(usize) -> bool,
    ) -> Result<(Vec<VoltageEvidence>, Vec<String>, BTreeSet<usize>)> {
        let prepared = &self.prepared;
        let (explore, sweep) = (&prepared.experiment.explore, &prepared.experiment.sweep);
        let (Some(fraction), Some(floor)) = (explore.yield_share, sweep.floor) else {
            return Ok((Vec::new(), Vec::new(), BTreeSet::new()));
        };
        self.stages.begin("lowest voltages for a yield", 1);
        let plan = Plan {
            voltages: self.fine_grid()?,
            target: Target::Yield {
                fraction,
                floor: floor.get(),
            },
            chips: explore.yield_chips.unwrap_or_else(|| {
                // so many that one may fail
                (1.6 * stats::least_without_failure(fraction, CONFIDENCE) as f64).ceil() as u32
            }),
            fresh_chips: explore.fresh_chips,
            images: prepared.images.sample(),
        };
        let (mut rows, mut words, mut missing) = (Vec::new(), Vec::new(), BTreeSet::new());
        let models = swept_models.iter().enumerate();
        for (place, swept) in models.filter(|(place, _)| owned(*place)) {
            for &protection in &prepared.protections {
                self.monitor.note(&format!(
                    "{}, {protection}: lowest voltage for a yield of {fraction} at {floor}",
                    swept.name
                ));
                let point = |voltage| -> Result<DesignPoint> {
                    let supply = Supply::One(prepared.faults.at(&prepared.memory, voltage)?);
                    Ok(DesignPoint {
                        model: place,
                        protection,
                        supply,
                    })
                };
                let mut known: BTreeMap<(u64, u32), u64> = replay
                    .yields
                    .iter()
                    .filter(|seen| seen.model == swept.name && seen.protection == protection)
                    .map(|seen| ((seen.voltage.to_bits(), seen.chip.0), seen.correct))
                    .collect();
                let mut evaluate = |voltage: Voltage, chips: &[ChipId]| {
                    let key = |chip: &ChipId| (voltage.get().to_bits(), chip.0);
                    let new = chips.iter().filter(|chip| !known.contains_key(&key(chip)));
                    let new: Vec<ChipId> = new.copied().collect();
                    if !new.is_empty() {
                        if self.cancel().load(Ordering::Relaxed) {
                            return Err(Error::Interrupted);
                        }
                        let point = point(voltage)?;
                        let correct = prepared
                            .comparison(swept_models, std::slice::from_ref(&point), 1)
                            .correct(0, &new, self.cancel())?;
                        for (&chip, correct) in new.iter().zip(correct) {
                            lock(journal).append_yield(&YieldTrial {
                                model: swept.name.clone(),
                                protection,
                                voltage: voltage.get(),
                                chip,
                                correct,
                            })?;
                            known.insert(key(&chip), correct);
                        }
                    }
                    Ok(chips.iter().map(|chip| known[&key(chip)]).collect())
                };
                let found = self.unless_owed(lowest_voltage(&plan, &mut evaluate))?;
                let Some(lowest) = found else {
                    missing.insert(place);
                    continue;
                };
                let energy = |voltage| -> Result<f64> {
                    let point = point(voltage)?;
                    let designs = prepared
                        .comparison(swept_models, std::slice::from_ref(&point), 1)
                        .designs()?;
                    Ok(designs
                        .first()
                        .map_or(f64::NAN, |design| design.energy_relative))
                };
                let target = format!("yield {fraction} at {floor}");
                let phases = [
                    (Phase::Search, &lowest.search),
                    (Phase::Verification, &lowest.checks),
                ];
                for (phase, of_phase) in phases {
                    for evidence in of_phase {
                        rows.push(VoltageEvidence {
                            model: swept.name.clone(),
                            protection,
                            target: target.clone(),
                            phase,
                            energy_relative: energy(Voltage::new(evidence.voltage)?)?,
                            evidence: *evidence,
                        });
                    }
                }
                let energy = lowest.voltage.map(energy).transpose()?;
                let name = named(&swept.name, protection);
                let unit = prepared.memory.unit.symbol();
                words.push(format!(
                    "{name}: {}",
                    yield_text(&plan, fraction, floor, &lowest, energy, unit)
                ));
            }
        }
        Ok((rows, words, missing))
    }

    /// Voltages that are tried for a yield: from the lowest swept voltage to the error-free one.
    fn fine_grid(&self) -> Result<Vec<Voltage>> {
        let prepared = &self.prepared;
        let step = prepared.experiment.explore.step;
        let low = prepared.lowest_voltage();
        let high = prepared.memory.error_free.get().max(low);
        let count = ((high - low) / step + 1e-9).floor() as usize;
        let mut grid: Vec<Voltage> = (0..=count)
            .map(|i| Voltage::new(rounded(low + step * i as f64)))
            .collect::<Result<_>>()?;
        if grid.last().is_none_or(|last| last.get() < high - 1e-9) {
            grid.push(Voltage::new(high)?);
        }
        Ok(grid)
    }
}

/// Voltages without the rounding of sums.
pub(super) fn rounded(voltage: f64) -> f64 {
    (voltage * 1e9).round() / 1e9
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
            .find(|p| p.domain_voltages == design.domain_voltages);
        let Some(point) = point.filter(|_| !known && !design.domain_voltages.is_empty()) else {
            continue;
        };
        let rails = point.rail_energy_relative;
        let picojoule = design
            .energy_pj
            .map(|pj| pj / design.energy_relative * rails);
        grid.energies.extend(verified.energies.iter().cloned());
        if rails > 0.0 {
            grid.energies
                .push(rail_row(&design, rails, picojoule, point.rails));
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
fn rail_row(design: &Design, energy: f64, picojoule: Option<f64>, rails: u32) -> EnergyRow {
    let highest = design
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
            reads: f64::from(rails - 1),
            voltage: highest,
            access_energy_relative: 0.0,
            energy_factor: 1.0,
            energy_relative: energy,
            access_pj: picojoule,
            leakage_pj: None,
        },
    }
}

/// The answer for a yield in words.
fn yield_text(
    plan: &Plan,
    fraction: f64,
    floor: Accuracy,
    lowest: &Lowest,
    energy: Option<f64>,
    unit: &str,
) -> String {
    let asked = format!("yield of at least {fraction} at an accuracy of {floor}");
    let (Some(voltage), Some(energy)) = (lowest.voltage, energy) else {
        return format!(
            "no voltage from {} to {} {unit} is shown to give a {asked} ({} evaluations)",
            plan.voltages.first().map_or(f64::NAN, |v| v.get()),
            plan.voltages.last().map_or(f64::NAN, |v| v.get()),
            lowest.evaluations
        );
    };
    let seen = |evidence: Option<&Evidence>| match evidence {
        Some(Evidence {
            chips,
            good: Some(good),
            bounds: Some(bounds),
            ..
        }) => {
            format!(
                "{good} of {chips} chips good, one-sided 95 % bounds {:.4} to {:.4}",
                bounds.low, bounds.high
            )
        }
        _ => "not evaluated to the end".into(),
    };
    let search = lowest
        .search
        .iter()
        .find(|evidence| evidence.voltage == voltage.get());
    format!(
        "{asked} down to {}{voltage} {unit} (energy {energy:.4}, a saving of {:.1} % against 8 bit at the error-free \
         voltage): search: {}; fresh chips: {}; {} evaluations",
        if lowest.at_or_below { "or below " } else { "" },
        100.0 * (1.0 - energy),
        seen(search),
        seen(lowest.checks.last()),
        lowest.evaluations
    )
}
