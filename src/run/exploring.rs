//! One exploration in its folder: the grid of single voltages as in a sweep, domains and yields searched and verified,
//! all in one frontier.

use super::monitor::{Monitor, SweepProgress};
use super::prepared::Prepared;
use super::redraw::Drawn;
use super::sampling;
use super::subjects::TestImages;
use super::sweeping::{SweepRequest, Sweeping, Tables};
use crate::config::Experiment;
use crate::error::{Error, Result};
use crate::explore::{
    check_arrays, explore as search_domains, lowest_voltage, DomainSpec, Evaluation, Evidence,
    ExplorePoint, Lowest, Outcome, Plan, SensitivityRow, Simulation, Target, Verified, CONFIDENCE,
};
use crate::fault::Protection;
use crate::memory::{CellKind, EnergyTerm};
use crate::stats;
use crate::store::{self, Entered};
use crate::sweep::{Design, DesignPoint, EnergyRow, Sampling, Subject, Supply, Trial};
use crate::table::{
    self, names, ExploredPoint, Journal, Pareto, Replay, SearchEvaluation, Sensitivity, Summary,
    VoltageEvidence,
};
use crate::units::{count_of, Accuracy, ChipId, Voltage};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

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
    request: &SweepRequest,
    monitor: &dyn Monitor,
) -> Result<ExploreResult> {
    if experiment.sweep.tolerance.is_some() {
        let expected = "to be left out: points are compared on the same chips, `--chips` of them";
        return Err(Error::argument("sweep.tolerance", expected, "a value"));
    }
    if experiment.sweep.sampling != Sampling::AllImages {
        let expected = "`all_images`: points are compared chip by chip on all images of a trial";
        return Err(Error::argument("sweep.sampling", expected, "`two_level`"));
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
    let sweeping = Sweeping::new(experiment, request, monitor, true)?;
    Exploring {
        sweeping: &sweeping,
    }
    .finish()
}

/// An exploration with its folder.
struct Exploring<'a> {
    sweeping: &'a Sweeping<'a>,
}

/// What a search over the domains of one model came to.
struct Explored {
    model: String,
    outcome: Outcome,
    verified: Vec<Verified>,
}

impl Exploring<'_> {
    fn finish(&self) -> Result<ExploreResult> {
        let Sweeping {
            prepared,
            folder,
            monitor,
            ..
        } = self.sweeping;
        let mut entered = Entered::folder(folder)?;
        let journal_path = folder.join(names::JOURNAL);
        let (journal, replay) = self.sweeping.resumed(&journal_path)?;
        let clean = prepared.clean(&replay)?.scores;
        let points = prepared.points(&replay)?;
        let subjects = prepared.subjects(&clean);
        let chips = prepared.chips(&replay);
        let comparison = prepared.comparison(&subjects, &points, chips);
        let mut designs = comparison.designs()?;
        let owed = comparison.count_owed(&replay.trials)?;
        self.check()?;
        // nothing is written before all is checked
        let (mut record, journal) = self.sweeping.begin(&journal_path, journal)?;
        entered.keep();
        let journal = Mutex::new(journal);
        designs
            .iter()
            .try_for_each(|design| lock(&journal).append_design(design))?;
        self.sweeping.stages.begin(&count_of(owed, "trial"), 1);
        let started = Instant::now();
        let mut done = 0;
        let mut sink = |trial: &Trial| {
            lock(&journal).append_trial(trial)?;
            done += 1;
            monitor.trial(&SweepProgress { done, owed });
            Ok(())
        };
        let grid = comparison.run(&replay.trials, monitor.cancel(), &mut sink)?;
        let mut energies = comparison.energies()?;
        let mut trials = grid.trials;
        let explored = match &prepared.experiment.explore.domains {
            Some(domains) => self.domains(domains, &subjects, &trials, &replay, &journal, chips)?,
            None => Vec::new(),
        };
        for explored in &explored {
            add_verified(explored, &mut designs, &mut trials, &mut energies);
        }
        let (evidence, yields) = self.yields(&subjects)?;
        journal
            .into_inner()
            .unwrap_or_else(|poisoned| poisoned.into_inner())
            .close()?;
        let answers: Vec<String> = explored
            .iter()
            .map(|explored| format!("{}: {}", explored.model, explored.outcome.answer.text()))
            .chain(yields)
            .collect();
        let seconds = started.elapsed().as_secs_f64();
        let summaries = self
            .sweeping
            .summarize(&designs, &trials, grid.stopped_by)?;
        let points = self.write(&explored, &evidence)?;
        if let Some(note) = sampling::not_finite(&summaries) {
            monitor.warn(&note);
            record.notes.push(note);
        }
        record.notes.extend(answers.iter().cloned());
        let tables = Tables {
            designs: &designs,
            trials: &trials,
            summaries: &summaries,
            energies: &energies,
        };
        let (drawn, pareto) = self.sweeping.conclude(record, &tables, seconds)?;
        Ok(ExploreResult {
            folder: folder.clone(),
            drawn,
            points,
            evidence,
            answers,
            summaries,
            pareto,
        })
    }

    /// Checks what the searches ask of models and memory, before the grid of single voltages is computed.
    fn check(&self) -> Result<()> {
        let Sweeping { prepared, .. } = self.sweeping;
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

    /// Searches the domains of every model, its codes unprotected.
    fn domains(
        &self,
        domains: &DomainSpec,
        subjects: &[Subject],
        trials: &[Trial],
        replay: &Replay,
        journal: &Mutex<Journal>,
        chips: u32,
    ) -> Result<Vec<Explored>> {
        let Sweeping {
            prepared, monitor, ..
        } = self.sweeping;
        let spec = &prepared.experiment.explore;
        let grid = &prepared.grid;
        let images = self.search_images()?;
        self.sweeping.stages.begin("voltages for domains", 1);
        let mut all = Vec::new();
        for (place, (subject, loaded)) in subjects.iter().zip(&prepared.models).enumerate() {
            let (mut search_images, mut search_clean) = (subject.images, subject.clean);
            if let Some(images) = &images {
                search_images = images.of(place);
                search_clean = subject.evaluator.clean(search_images)?;
                loaded.check_finite(search_clean.not_finite, search_clean.images)?;
            }
            let search_subject = Subject {
                name: subject.name.clone(),
                dataset: subject.dataset.clone(),
                training_seed: subject.training_seed,
                evaluator: subject.evaluator,
                images: search_images,
                clean: search_clean,
            };
            let parts = domains.parts(&loaded.evaluator)?;
            monitor.note(&format!(
                "{}: searching voltages for {} domains",
                subject.name,
                parts.len()
            ));
            let mut sink = |design: &Design, trial: &Trial| {
                let mut journal = lock(journal);
                journal.append_design(design)?;
                journal.append_trial(trial)
            };
            let mut simulation = Simulation {
                subject,
                search_subject: &search_subject,
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
                cancel: monitor.cancel(),
                sink: &mut sink,
                done: trials.iter().chain(&replay.trials).cloned().collect(),
                verified: Vec::new(),
            };
            let space = simulation.space(spec)?;
            let of_model = replay
                .searches
                .iter()
                .filter(|search| search.model == subject.name);
            let done: Vec<_> = of_model.map(|search| search.evaluation.clone()).collect();
            let mut keep = |evaluation: &Evaluation| {
                let (model, evaluation) = (subject.name.clone(), evaluation.clone());
                lock(journal).append_search(&SearchEvaluation { model, evaluation })
            };
            let outcome = search_domains(&space, spec, &mut simulation, &done, &mut keep)?;
            let verified = std::mem::take(&mut simulation.verified);
            all.push(Explored {
                model: subject.name.clone(),
                outcome,
                verified,
            });
        }
        Ok(all)
    }

    /// Images of the search; `None` where they are those of the verification.
    fn search_images(&self) -> Result<Option<TestImages>> {
        let Prepared {
            experiment,
            models,
            images,
            ..
        } = &self.sweeping.prepared;
        let Some(asked) = experiment
            .explore
            .search_images
            .filter(|asked| *asked < images.count)
        else {
            return Ok(None);
        };
        let set = self.sweeping.prepared.test_set(self.sweeping.request)?;
        TestImages::new(&set, models, experiment, Some(asked)).map(Some)
    }

    /// The lowest voltage for a yield, of every model under every protection, with what it rests on and in words.
    fn yields(&self, subjects: &[Subject]) -> Result<(Vec<VoltageEvidence>, Vec<String>)> {
        let prepared = &self.sweeping.prepared;
        let (explore, sweep) = (&prepared.experiment.explore, &prepared.experiment.sweep);
        let (Some(share), Some(floor)) = (explore.yield_share, sweep.floor) else {
            return Ok((Vec::new(), Vec::new()));
        };
        self.sweeping.stages.begin("lowest voltages for a yield", 1);
        let plan = Plan {
            voltages: self.fine_grid()?,
            target: Target::Yield {
                share,
                floor: floor.get(),
            },
            chips: explore.yield_chips.unwrap_or_else(|| {
                // so many that one may fail
                (1.6 * stats::least_without_failure(share, CONFIDENCE) as f64).ceil() as u32
            }),
            fresh_chips: explore.fresh_chips,
            images: prepared.images.sample(),
        };
        let (mut rows, mut words) = (Vec::new(), Vec::new());
        for (place, subject) in subjects.iter().enumerate() {
            for &protection in &prepared.protections {
                self.sweeping.monitor.note(&format!(
                    "{}, {protection}: lowest voltage for a yield of {share} at {floor}",
                    subject.name
                ));
                let point = |voltage| -> Result<DesignPoint> {
                    let supply = Supply::One(prepared.faults.at(&prepared.memory, voltage)?);
                    Ok(DesignPoint {
                        subject: place,
                        protection,
                        supply,
                    })
                };
                let cancel = self.sweeping.monitor.cancel();
                let mut evaluate = |voltage: Voltage, chips: &[ChipId]| {
                    if cancel.load(std::sync::atomic::Ordering::Relaxed) {
                        return Err(Error::Interrupted);
                    }
                    store::check_lock(&self.sweeping.folder)?;
                    let point = point(voltage)?;
                    prepared
                        .comparison(subjects, std::slice::from_ref(&point), 1)
                        .correct(0, chips)
                };
                let lowest = lowest_voltage(&plan, &mut evaluate)?;
                let energy = |voltage| -> Result<f64> {
                    let point = point(voltage)?;
                    let designs = prepared
                        .comparison(subjects, std::slice::from_ref(&point), 1)
                        .designs()?;
                    Ok(designs
                        .first()
                        .map_or(f64::NAN, |design| design.energy_relative))
                };
                let target = format!("yield {share} at {floor}");
                for (phase, evidence) in
                    [("search", &lowest.search), ("verification", &lowest.checks)]
                {
                    for evidence in evidence {
                        rows.push(VoltageEvidence {
                            model: subject.name.clone(),
                            protection: protection.to_string(),
                            target: target.clone(),
                            phase,
                            evidence: *evidence,
                            energy_relative: energy(evidence.voltage)?,
                        });
                    }
                }
                let energy = lowest.voltage.map(energy).transpose()?;
                let name = match protection {
                    Protection::None => subject.name.clone(),
                    other => format!("{} with {other}", subject.name),
                };
                let unit = prepared.memory.unit.symbol();
                words.push(format!(
                    "{name}: {}",
                    yield_text(&plan, share, floor, &lowest, energy, unit)
                ));
            }
        }
        Ok((rows, words))
    }

    /// Voltages that are tried for a yield: from the lowest swept voltage to the error-free one.
    fn fine_grid(&self) -> Result<Vec<Voltage>> {
        let prepared = &self.sweeping.prepared;
        let step = prepared.experiment.explore.step;
        let low = prepared
            .grid
            .iter()
            .map(|point| point.voltage.get())
            .fold(f64::INFINITY, f64::min);
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

    /// Writes the tables of the exploration itself.
    fn write(
        &self,
        explored: &[Explored],
        evidence: &[VoltageEvidence],
    ) -> Result<Vec<ExploredPoint>> {
        let folder = &self.sweeping.folder;
        let (mut points, mut sensitivities) = (Vec::new(), Vec::new());
        for Explored { model, outcome, .. } in explored {
            let point = |point: &ExplorePoint| ExploredPoint {
                model: model.clone(),
                point: point.clone(),
            };
            points.extend(outcome.points.iter().map(point));
            let row = |row: &SensitivityRow| Sensitivity {
                model: model.clone(),
                row: row.clone(),
            };
            sensitivities.extend(outcome.sensitivities.iter().map(row));
        }
        if !points.is_empty() {
            table::write_explored(&folder.join(names::EXPLORED_CSV), &points)?;
            table::write_sensitivities(&folder.join(names::SENSITIVITY_CSV), &sensitivities)?;
        }
        if !evidence.is_empty() {
            table::write_evidence(&folder.join(names::YIELDS_CSV), evidence)?;
        }
        Ok(points)
    }
}

/// A journal that a panicked thread held is as good as any.
fn lock(journal: &Mutex<Journal>) -> std::sync::MutexGuard<'_, Journal> {
    journal
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Voltages without the rounding of sums.
fn rounded(voltage: f64) -> f64 {
    (voltage * 1e9).round() / 1e9
}

/// Verified points with several voltages become design points, the cost of their rails in their energy.
fn add_verified(
    explored: &Explored,
    designs: &mut Vec<Design>,
    trials: &mut Vec<Trial>,
    energies: &mut Vec<EnergyRow>,
) {
    for verified in &explored.verified {
        let mut design = verified.design.clone();
        let known = designs
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
        energies.extend(verified.energies.iter().cloned());
        if rails > 0.0 {
            energies.push(rail_row(&design, rails, picojoule, point.rails));
        }
        design.energy_relative += rails;
        design.energy_pj = design
            .energy_pj
            .zip(picojoule)
            .map(|(own, rails)| own + rails);
        designs.push(design);
        trials.extend(verified.trials.iter().cloned());
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
    share: f64,
    floor: Accuracy,
    lowest: &Lowest,
    energy: Option<f64>,
    unit: &str,
) -> String {
    let asked = format!("yield of at least {share} at an accuracy of {floor}");
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
        .find(|evidence| evidence.voltage == voltage);
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
