//! One answer in its folder: candidates made of models and protections, their chips simulated and journalled, verdicts
//! and evidence written.

mod parts;
mod rows;
mod simulated;

use super::identity::report_folder;
use super::journal::{Journal, Replay};
use super::monitor::Monitor;
use super::prepared::Prepared;
use super::redraw::{draw_answer, holds_answer, DrawnAnswer};
use super::request::RunRequest;
use super::sampling::Clean;
use super::sweeping::{close, lock, Sweeping};
use crate::analysis::{self, names};
use crate::answer::{
    answer as find, most_search_evaluations, AnswerRow, AnswerSpec, Candidate, EvidenceRow,
    Finding, Level, LossFrom, Question, Seen, Target,
};
use crate::config::Experiment;
use crate::engine::Answers;
use crate::error::{refuse, Result};
use crate::fault::Protection;
use crate::memory::OperatingPoint;
use crate::sweep::{
    exposed_cells, ActivationSupply, Comparison, Design, DesignPoint, Sampling, Sight, Supply,
    SweptModel,
};
use crate::table;
use crate::units::{BerSource, Voltage, VoltageUnit};
use rows::Rows;
use simulated::{known, Simulated};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::sync::Mutex;
use std::time::Instant;

/// Probability that any statement of an answer is wrong.
const RISK: f64 = 0.05;
/// Bit error rate at which the cost of a chip beside its images is counted.
const TYPICAL_RATE: f64 = 1e-3;
/// Images that the speed is measured on.
const TIMED_IMAGES: u64 = 512;
/// Standard errors on either side of a 95 % interval.
const NORMAL_95: f64 = 1.96;

/// A finished answer.
#[derive(Clone, Debug)]
pub struct AnswerResult {
    /// Its folder with the tables.
    pub folder: PathBuf,
    /// What was found, and its report.
    pub answer: DrawnAnswer,
}

/// The lowest voltage of each model under each protection that keeps an accuracy, shown on fresh chips; goes on with what
/// an earlier call of the same has computed.
///
/// # Errors
/// As [`super::sweep`]; [`crate::error::Error::Argument`] where images or a tolerance are given: an answer chooses them
/// itself.
pub fn answer(
    experiment: &Experiment,
    request: &RunRequest,
    monitor: &dyn Monitor,
) -> Result<AnswerResult> {
    let experiment = as_asked(experiment)?;
    let widths = !experiment.explore.widths.is_empty();
    let sweeping = Sweeping::new(&experiment, request, monitor, widths, true)?;
    sweeping.answer()
}

/// What [`answer`] would do, with its estimated cost.
#[derive(Clone, Debug)]
pub struct AnswerPlan {
    /// Its folder.
    pub folder: PathBuf,
    /// Models under protections.
    pub candidates: usize,
    /// Voltages that may be tried, rising.
    pub voltages: Vec<Voltage>,
    /// Unit of the voltages.
    pub unit: VoltageUnit,
    /// Most evaluations of an image that the search takes.
    pub search: u64,
    /// Most that the whole takes.
    pub budget: u64,
    /// Seconds of an evaluation on all threads, as measured now.
    pub seconds: f64,
    /// Chips that an earlier call has seen.
    pub known: usize,
}

/// What [`answer`] would do; nothing is trained and nothing written.
///
/// # Errors
/// As [`answer`]; [`crate::error::Error::Missing`] for models that are yet to be trained.
pub fn plan_answer(
    experiment: &Experiment,
    request: &RunRequest,
    monitor: &dyn Monitor,
) -> Result<AnswerPlan> {
    let experiment = as_asked(experiment)?;
    let widths = !experiment.explore.widths.is_empty();
    Sweeping::new(&experiment, request, monitor, widths, false)?.plan_answer()
}

/// The experiment with the images of an answer: those of each chip its own, stratified.
fn as_asked(experiment: &Experiment) -> Result<Experiment> {
    let mut experiment = experiment.clone();
    let (sweep, itself) = (&experiment.sweep, "chooses chips and images itself");
    let rates = !sweep.bit_error_rates.is_empty();
    let left_out = [
        ("sweep.images", sweep.images.is_some(), itself),
        ("sweep.tolerance", sweep.tolerance.is_some(), itself),
        ("sweep.floor", sweep.floor.is_some(), itself),
        ("sweep.bit_error_rates", rates, "searches voltages"),
    ];
    if let Some((key, _, why)) = left_out.into_iter().find(|(_, given, _)| *given) {
        let expected = format!("to be left out: an answer {why}");
        return refuse(key, expected, "a value");
    }
    experiment.sweep.sampling = Sampling::Stratified;
    experiment.answer.get_or_insert_default();
    Ok(experiment)
}

/// A model under a protection, its stored activations at a voltage where they have a supply of their own, and what it takes
/// at each voltage of the weights.
struct Pair {
    model: usize,
    protection: Protection,
    activations: Option<OperatingPoint>,
    designs: Vec<Design>,
    /// Relative energy of the model without protection at the error-free voltages.
    nominal: f64,
}

/// A question about candidates, each a pair, at voltages.
struct AnswerInput {
    spec: AnswerSpec,
    voltages: Vec<Voltage>,
    pairs: Vec<Pair>,
    /// Accuracy that losses are counted from.
    reference: f64,
    /// Of each pair.
    candidates: Vec<Candidate>,
}

impl Sweeping<'_> {
    fn answer(&self) -> Result<AnswerResult> {
        let (prepared, folder, monitor) = (&self.prepared, &self.folder, self.monitor);
        let mut run = self.enter()?;
        let (resumed, replay) = self.resumed(run.is_locked())?;
        let Clean { scores, answers } = prepared.clean(&replay, monitor.cancel())?;
        let swept_models = prepared.swept_models(&scores);
        let input = self.input(&swept_models, &answers)?;
        let journal = Mutex::new(self.begin(&mut run, resumed, &replay)?);
        let budget = self.evaluations(&input.spec, &swept_models, &replay, &journal)?;
        let mut chips = Simulated {
            sweeping: self,
            swept_models: &swept_models,
            answers: &answers,
            input: &input,
            known: known(&replay),
            journal: &journal,
            told: None,
            progress: (AtomicUsize::new(0), 0),
        };
        let question = Question {
            risk: RISK,
            resolution: input.spec.resolution(),
            evaluations: budget,
        };
        let found = find(&input.candidates, &question, &mut chips)?;
        let (rows, evidence) = Rows {
            input: &input,
            budget,
            prepared,
        }
        .of(&found);
        let mut losses = Vec::new();
        if input.spec.asks_for_parts() {
            losses = chips.part_losses(budget, &rows)?;
        }
        close(journal)?;
        let write = || {
            table::write(&folder.join(names::VERDICTS_CSV), &rows)?;
            table::write(&folder.join(names::EVIDENCE_CSV), &evidence)?;
            if input.spec.asks_for_parts() {
                table::write(&folder.join(names::PART_LOSSES_CSV), &losses)?;
            }
            Ok(())
        };
        run.finish(write, &[])?;
        let (reports, out) = (&self.request.reports, self.request.out.as_deref());
        Ok(AnswerResult {
            folder: folder.clone(),
            answer: draw_answer(folder, &report_folder(reports, folder, out))?,
        })
    }

    fn plan_answer(&self) -> Result<AnswerPlan> {
        let prepared = &self.prepared;
        let replay = prepared.replay(self.request, &self.folder)?;
        // those that are kept are read, but none are written
        let Clean { scores, answers } = prepared.clean(&replay, self.cancel())?;
        let swept_models = prepared.swept_models(&scores);
        let input = self.input(&swept_models, &answers)?;
        let seconds = self.seconds_of_image(&swept_models)?;
        let spec = &input.spec;
        let evaluations = spec.evaluations.or(replay.evaluations);
        Ok(AnswerPlan {
            folder: self.folder.clone(),
            candidates: input.candidates.len(),
            unit: prepared.memory.unit,
            search: most_search_evaluations(&input.candidates),
            budget: evaluations.unwrap_or_else(|| affordable(spec, seconds)),
            voltages: input.voltages,
            seconds,
            known: replay.seen.len(),
        })
    }

    /// What is asked, with all that follows before a chip is seen.
    fn input(&self, swept_models: &[SweptModel], answers: &[Answers]) -> Result<AnswerInput> {
        let spec = self.prepared.experiment.answer.clone().unwrap_or_default();
        if spec.asks_for_parts() {
            parts::check(&self.prepared, swept_models)?;
        }
        let voltages = self.answer_grid(&spec)?;
        let pairs = self.pairs(swept_models, &voltages)?;
        let reference = reference(&spec, answers);
        let candidates = self.candidates(&spec, &pairs, swept_models, answers, reference)?;
        let guided = candidates.iter().any(|own| !own.known.is_empty());
        if let (Some(finding), false) = (spec.findings.first(), guided) {
            let metric = self.prepared.images.metric;
            let expected = format!("a run of these models under these protections, by {metric}");
            let name = named(&finding.model, finding.protection);
            let found = format!("one of {name}, by {}", finding.metric);
            return refuse("--from (answer.findings)", expected, found);
        }
        Ok(AnswerInput {
            spec,
            voltages,
            pairs,
            reference,
            candidates,
        })
    }

    /// Multiples of the step from the lowest voltage asked for, and the error-free one: those whose rates are measured.
    fn answer_grid(&self, spec: &AnswerSpec) -> Result<Vec<Voltage>> {
        let (prepared, mut known) = (&self.prepared, Vec::new());
        let lowest = prepared.lowest_voltage();
        let highest = prepared.memory.error_free;
        // a multiple that rounding puts just below the lowest voltage is that voltage
        let mut place = (lowest / spec.step - 1e-9).ceil();
        while place * spec.step < highest.get() - 1e-9 {
            // without the rounding of the product
            let voltage = Voltage::new((place * spec.step * 1e9).round() / 1e9)?;
            let point = prepared.faults.at(&prepared.memory, voltage)?;
            if point.ber_source != BerSource::Extrapolated {
                known.push(voltage);
            }
            place += 1.0;
        }
        known.push(highest);
        Ok(known)
    }

    /// Every model under every protection, with its design points at the voltages.
    fn pairs(&self, swept_models: &[SweptModel], voltages: &[Voltage]) -> Result<Vec<Pair>> {
        let prepared = &self.prepared;
        let designs =
            |points: &[DesignPoint]| prepared.comparison(swept_models, points, 1).designs();
        let bare = prepared.activations.as_ref().map(|own| own.side.bare());
        let (supplies, error_free) = match &prepared.activations {
            Some(own) => {
                let supplies = own.grid.iter().copied().map(Some).collect();
                (supplies, Some(own.error_free()?))
            }
            None => (vec![None], None),
        };
        let mut pairs = Vec::new();
        for model in 0..swept_models.len() {
            let at = |protection, voltage, activations| {
                prepared.design_point(model, protection, voltage, activations)
            };
            let nominal = at(Protection::None, prepared.memory.error_free, error_free)?;
            let nominal = [nominal];
            let nominal = Comparison {
                activations: bare.as_ref(),
                ..prepared.comparison(swept_models, &nominal, 1)
            };
            let nominal = nominal.designs()?[0].energy_relative;
            for &protection in &prepared.protections {
                for &activations in &supplies {
                    let points = voltages.iter().map(|own| at(protection, *own, activations));
                    let points: Vec<DesignPoint> = points.collect::<Result<_>>()?;
                    pairs.push(Pair {
                        model,
                        protection,
                        activations,
                        designs: designs(&points)?,
                        nominal,
                    });
                }
            }
        }
        Ok(pairs)
    }

    fn candidates(
        &self,
        spec: &AnswerSpec,
        pairs: &[Pair],
        swept_models: &[SweptModel],
        answers: &[Answers],
        reference: f64,
    ) -> Result<Vec<Candidate>> {
        let prepared = &self.prepared;
        let mut candidates = Vec::new();
        for pair in pairs {
            let (swept, own) = (&swept_models[pair.model], &answers[pair.model]);
            let cells = exposed_cells(
                swept.evaluator,
                &swept.name,
                pair.protection,
                &prepared.faults,
            )?;
            let (bits, beside) = match (pair.activations, &prepared.activations) {
                (Some(point), Some(own)) => {
                    let memory = own.side.of(swept.evaluator, &swept.name)?;
                    let bits = memory.bits_of_elements() as f64;
                    (bits, point.ber.get() * bits)
                }
                _ => (0.0, 0.0),
            };
            // what fails of activations counts as if it were among the weights
            let rate = |ber: f64| match pair.activations {
                Some(_) => (ber * cells as f64 + beside) / (cells as f64 + bits),
                None => ber,
            };
            // a chip whose accesses differ may lose each of its images to another fault
            let draws = if spec.yield_share.is_some() && prepared.faults.is_transient() {
                prepared.images.count as f64
            } else {
                1.0
            };
            let level = |design: &Design| {
                let ber = design.ber.unwrap_or(0.0);
                Level {
                    ber: rate(ber),
                    faults: draws * (ber * cells as f64 + beside),
                    energy: design.energy_relative,
                }
            };
            let clean = own.correct() as f64 / own.right.len() as f64;
            let floor = match spec.loss_from {
                LossFrom::Best => reference - spec.max_loss,
                LossFrom::Own => clean - spec.max_loss,
            }
            .max(0.0);
            let target = match spec.yield_share {
                None => Target::Mean(floor),
                Some(fraction) => Target::Yield { fraction, floor },
            };
            let points = [prepared.design_point(
                pair.model,
                pair.protection,
                prepared.memory.error_free,
                pair.activations,
            )?];
            let comparison = prepared.comparison(swept_models, &points, 1);
            let sight = Sight::new(&comparison, own)?;
            candidates.push(Candidate {
                clean,
                chance: prepared.images.chance,
                strata: sight.sizes().to_vec(),
                levels: pair.designs.iter().map(level).collect(),
                chip_cost: sight.chip_cost(TYPICAL_RATE * cells as f64)?,
                target,
                known: known_losses(spec, pair, &rate),
            });
        }
        Ok(candidates)
    }

    /// Most evaluations of an image: those asked for or recorded, else as many as the budget is good for at the speed that
    /// is measured now.
    fn evaluations(
        &self,
        spec: &AnswerSpec,
        swept_models: &[SweptModel],
        replay: &Replay,
        journal: &Mutex<Journal>,
    ) -> Result<u64> {
        if let Some(evaluations) = spec.evaluations.or(replay.evaluations) {
            return Ok(evaluations);
        }
        let evaluations = affordable(spec, self.seconds_of_image(swept_models)?);
        self.monitor.note(&format!(
            "budget of {} s: at most {evaluations} evaluations of an image",
            spec.budget
        ));
        lock(journal).append_evaluations(evaluations)?;
        Ok(evaluations)
    }

    /// Seconds of an evaluation of an image on all threads, mean over the models.
    pub(super) fn seconds_of_image(&self, swept_models: &[SweptModel]) -> Result<f64> {
        let mut seconds = 0.0;
        for swept in swept_models {
            let places: Vec<u32> = (0..swept.images.len().min(TIMED_IMAGES) as u32).collect();
            let images = swept.images.select(&places)?;
            swept.evaluator.clean_answers(&images, self.cancel())?;
            let started = Instant::now();
            swept.evaluator.clean_answers(&images, self.cancel())?;
            seconds += started.elapsed().as_secs_f64() / places.len() as f64;
        }
        Ok(seconds / swept_models.len() as f64)
    }
}

impl Pair {
    fn supply(&self) -> Option<&ActivationSupply> {
        self.designs.first()?.activations.as_ref()
    }
}

/// What an earlier run saw of a candidate.
fn known_losses(spec: &AnswerSpec, pair: &Pair, rate: &dyn Fn(f64) -> f64) -> Vec<Seen> {
    let Some(design) = pair.designs.first() else {
        return Vec::new();
    };
    let own = |finding: &&Finding| {
        (&finding.model, finding.protection, finding.metric)
            == (&design.model, design.protection, design.metric)
            && finding.activations == design.activations
    };
    let seen = |finding: &Finding| Seen {
        ber: rate(finding.ber),
        loss: finding.loss,
        error: finding.error,
    };
    spec.findings.iter().filter(own).map(seen).collect()
}

/// Mean losses that a finished run of the same models saw, for [`AnswerSpec::findings`]: of a sweep or an exploration its
/// design points, of an answer what its check showed.
///
/// # Errors
/// As [`super::redraw`] for a folder without finished tables; [`crate::error::Error::Argument`] where no design point
/// has an interval.
pub fn findings(run: &Path) -> Result<Vec<Finding>> {
    let mut all = Vec::new();
    if holds_answer(run) {
        let verdicts: Vec<AnswerRow> = table::read(&run.join(names::VERDICTS_CSV))?;
        let evidence: Vec<EvidenceRow> = table::read(&run.join(names::EVIDENCE_CSV))?;
        for row in evidence.iter().filter(|row| row.good_chips.is_none()) {
            let own = |of: &&AnswerRow| {
                (&of.model, of.protection, &of.activations)
                    == (&row.model, row.protection, &row.activations)
            };
            if let Some(of) = verdicts.iter().find(own) {
                all.push(Finding {
                    model: row.model.clone(),
                    protection: row.protection,
                    activations: row.activations.clone(),
                    metric: of.metric,
                    ber: row.ber,
                    loss: of.clean_accuracy - row.value,
                    error: (row.value_high - row.value_low) / (2.0 * NORMAL_95),
                });
            }
        }
    } else {
        for point in analysis::read_run(run)?.summaries {
            let design = &point.design;
            if design.fault_kind.is_of_activations() {
                continue;
            }
            if let (Some(ber), Some(interval)) = (design.ber, point.student) {
                all.push(Finding {
                    model: design.model.clone(),
                    protection: design.protection,
                    activations: design.activations.clone(),
                    metric: design.metric,
                    ber,
                    loss: design.clean_accuracy.get() - point.mean,
                    error: (interval.high - interval.low) / (2.0 * NORMAL_95),
                });
            }
        }
    }
    all.retain(|finding| finding.ber > 0.0 && finding.error > 0.0);
    if all.is_empty() {
        let expected = "a run with mean accuracies and their intervals where cells fail";
        let found = format!("none in `{}`", run.display());
        return refuse("--from", expected, found);
    }
    Ok(all)
}

/// Evaluations of an image that a budget is good for: a cautious half of those that fit, as chips cost beside their images
/// and few images take longer than many.
fn affordable(spec: &AnswerSpec, seconds_of_image: f64) -> u64 {
    (0.5 * spec.budget / seconds_of_image).max(1.0) as u64
}

/// The accuracy that losses are counted from.
fn reference(spec: &AnswerSpec, answers: &[Answers]) -> f64 {
    let clean = |own: &Answers| own.correct() as f64 / own.right.len() as f64;
    match spec.reference_accuracy {
        Some(accuracy) => accuracy.get(),
        None => answers.iter().map(clean).fold(0.0, f64::max),
    }
}

/// A model under a protection in words.
fn named(model: &str, protection: Protection) -> String {
    match protection {
        Protection::None => model.to_owned(),
        other => format!("{model} with {other}"),
    }
}

impl Prepared {
    /// A model under a protection at one voltage, its stored activations at theirs.
    fn design_point(
        &self,
        model: usize,
        protection: Protection,
        voltage: Voltage,
        activations: Option<OperatingPoint>,
    ) -> Result<DesignPoint> {
        Ok(DesignPoint {
            model,
            protection,
            supply: Supply::One(self.faults.at(&self.memory, voltage)?),
            activations,
        })
    }
}
