//! One answer in its folder: candidates made of models and protections, their chips simulated and journalled, verdicts
//! and evidence written.

use super::exploring::rounded;
use super::journal::{Journal, Replay, SeenChip};
use super::monitor::Monitor;
use super::prepared::Prepared;
use super::request::RunRequest;
use super::sampling::Clean;
use super::sweeping::{lock, Sweeping};
use crate::analysis::names;
use crate::answer::{
    answer as find, Answer, AnswerRow, AnswerSpec, Candidate, Cheapest, Chips, EvidenceRow, Found,
    Level, LossFrom, Phase, Place, Question, Rank, Target, Verdict,
};
use crate::config::Experiment;
use crate::engine::Answers;
use crate::error::{Error, Result};
use crate::fault::Protection;
use crate::seed::{Purpose, Seed};
use crate::stats::{self, Judged, Judgement, Stratum};
use crate::sweep::{
    exposed_cells, Comparison, Design, DesignPoint, Sampling, Sight, Supply, SweptModel,
};
use crate::table;
use crate::units::{BerSource, ChipId, Voltage};
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Mutex;
use std::time::Instant;

/// Probability that any statement of an answer is wrong.
const RISK: f64 = 0.05;
/// Bit error rate at which the cost of a chip beside its images is counted.
const TYPICAL_RATE: f64 = 1e-3;
/// Images that the speed is measured on.
const TIMED_IMAGES: u64 = 512;

/// A finished answer.
#[derive(Clone, Debug)]
pub struct AnswerResult {
    /// Its folder with the tables.
    pub folder: PathBuf,
    /// A verdict for each model under each protection.
    pub rows: Vec<AnswerRow>,
    /// What the check showed of each voltage.
    pub evidence: Vec<EvidenceRow>,
    /// Images of the test set, and most evaluations that the answer could take.
    pub images: u64,
    /// Most evaluations of an image that it could take.
    pub budget: u64,
}

/// The lowest voltage of each model under each protection that keeps an accuracy, shown on fresh chips; goes on with what
/// an earlier call of the same has computed.
///
/// # Errors
/// As [`super::sweep`]; [`Error::Argument`] where images or a tolerance are given: an answer chooses them itself.
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

/// The experiment with the images of an answer: those of each chip its own, stratified.
fn as_asked(experiment: &Experiment) -> Result<Experiment> {
    let mut experiment = experiment.clone();
    let chosen = [
        ("sweep.images", experiment.sweep.images.is_some()),
        ("sweep.tolerance", experiment.sweep.tolerance.is_some()),
        ("sweep.floor", experiment.sweep.floor.is_some()),
    ];
    if let Some((key, _)) = chosen.into_iter().find(|(_, given)| *given) {
        let expected = "to be left out: an answer chooses chips and images itself";
        return Err(Error::argument(key, expected, "a value"));
    }
    if !experiment.sweep.bit_error_rates.is_empty() {
        let expected = "to be left out: an answer searches voltages";
        return Err(Error::argument(
            "sweep.bit_error_rates",
            expected,
            "a value",
        ));
    }
    experiment.sweep.sampling = Sampling::Stratified;
    experiment.answer.get_or_insert_default();
    Ok(experiment)
}

/// A model under a protection, and what it takes at each voltage.
struct Pair {
    model: usize,
    protection: Protection,
    designs: Vec<Design>,
}

impl Sweeping<'_> {
    fn answer(&self) -> Result<AnswerResult> {
        let (prepared, folder, monitor) = (&self.prepared, &self.folder, self.monitor);
        let spec = prepared.experiment.answer.clone().unwrap_or_default();
        let mut run = self.enter()?;
        let (resumed, replay) = self.resumed(run.is_locked())?;
        let Clean { scores, answers } = prepared.clean(&replay, monitor.cancel())?;
        let swept_models = prepared.swept_models(&scores);
        let voltages = self.answer_grid(&spec)?;
        let pairs = self.pairs(&swept_models, &voltages)?;
        let reference = reference(&spec, &answers);
        let candidates = self.candidates(&spec, &pairs, &swept_models, &answers, reference)?;
        let journal = Mutex::new(self.begin(&mut run, resumed, &replay)?);
        let budget = self.evaluations(&spec, &swept_models, &replay, &journal)?;
        let mut chips = Simulated {
            prepared,
            swept_models: &swept_models,
            answers: &answers,
            pairs: &pairs,
            candidates: &candidates,
            voltages: &voltages,
            known: known(&replay),
            journal: &journal,
            cancel: self.cancel(),
            monitor,
            told: None,
        };
        let question = Question {
            risk: RISK,
            resolution: spec.resolution(),
            evaluations: budget,
        };
        self.stages.begin("search and check on chips", 1);
        let found = find(&candidates, &question, &mut chips)?;
        let (rows, evidence) = Rows {
            spec: &spec,
            candidates: &candidates,
            pairs: &pairs,
            voltages: &voltages,
            reference,
            prepared,
        }
        .of(&found);
        let journal = journal.into_inner();
        journal
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .close()?;
        self.stages.begin("tables", 1);
        let write = || {
            table::write(&folder.join(names::VERDICTS_CSV), &rows)?;
            table::write(&folder.join(names::EVIDENCE_CSV), &evidence)
        };
        run.finish(write, &[])?;
        Ok(AnswerResult {
            folder: folder.clone(),
            rows,
            evidence,
            images: prepared.images.all,
            budget,
        })
    }

    /// Multiples of the step from the lowest voltage asked for, and the error-free one: those whose rates are measured.
    fn answer_grid(&self, spec: &AnswerSpec) -> Result<Vec<Voltage>> {
        let (prepared, mut known) = (&self.prepared, Vec::new());
        let lowest = prepared.lowest_voltage();
        let highest = prepared.memory.error_free;
        let mut place = (lowest / spec.step - 1e-9).ceil();
        while place * spec.step < highest.get() - 1e-9 {
            let voltage = Voltage::new(rounded(place * spec.step))?;
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
        let mut pairs = Vec::new();
        for model in 0..swept_models.len() {
            for &protection in &prepared.protections {
                let mut points = Vec::new();
                for voltage in voltages {
                    points.push(prepared.design_point(model, protection, *voltage)?);
                }
                pairs.push(Pair {
                    model,
                    protection,
                    designs: prepared.comparison(swept_models, &points, 1).designs()?,
                });
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
            let level = |design: &Design| {
                let ber = design.ber.unwrap_or(0.0);
                Level {
                    ber,
                    faults: ber * cells as f64,
                    energy: design.energy_relative,
                }
            };
            let clean = own.correct() as f64 / own.right.len() as f64;
            let floor = match spec.loss_from {
                LossFrom::Best => reference - spec.max_loss,
                LossFrom::Own => clean - spec.max_loss,
            };
            let target = match spec.yield_share {
                None => Target::Mean(floor),
                Some(fraction) => Target::Yield { fraction, floor },
            };
            let points =
                [
                    prepared.design_point(
                        pair.model,
                        pair.protection,
                        prepared.memory.error_free,
                    )?,
                ];
            let comparison = prepared.comparison(swept_models, &points, 1);
            let sight = Sight::new(&comparison, own)?;
            candidates.push(Candidate {
                clean,
                chance: 1.0 / prepared.images.classes as f64,
                strata: sight.sizes().to_vec(),
                levels: pair.designs.iter().map(level).collect(),
                chip_cost: sight.chip_cost(TYPICAL_RATE * cells as f64)?,
                target,
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
        let mut seconds = 0.0;
        for swept in swept_models {
            let places: Vec<u32> = (0..swept.images.len().min(TIMED_IMAGES) as u32).collect();
            let images = swept.images.select(&places)?;
            swept.evaluator.clean_answers(&images, self.cancel())?;
            let started = Instant::now();
            swept.evaluator.clean_answers(&images, self.cancel())?;
            seconds += started.elapsed().as_secs_f64() / places.len() as f64;
        }
        let each = seconds / swept_models.len() as f64;
        // a cautious half: chips cost beside their images, and few images take longer than many
        let evaluations = (0.5 * spec.budget / each).max(1.0) as u64;
        self.monitor.note(&format!(
            "budget of {} s: at most {evaluations} evaluations of an image",
            spec.budget
        ));
        lock(journal).append_evaluations(evaluations)?;
        Ok(evaluations)
    }
}

/// The accuracy that losses are counted from.
fn reference(spec: &AnswerSpec, answers: &[Answers]) -> f64 {
    let clean = |own: &Answers| own.correct() as f64 / own.right.len() as f64;
    match spec.reference_accuracy {
        Some(accuracy) => accuracy.get(),
        None => answers.iter().map(clean).fold(0.0, f64::max),
    }
}

/// What a journal holds, by model, protection, voltage, phase and chip.
type Known = BTreeMap<(String, Protection, u64, bool, u32), SeenChip>;

fn known(replay: &Replay) -> Known {
    let seen = replay.seen.iter();
    seen.map(|seen| (seen.key(), seen.clone())).collect()
}

/// Chips of the candidates, simulated where the journal does not hold them.
struct Simulated<'a> {
    prepared: &'a Prepared,
    swept_models: &'a [SweptModel<'a>],
    answers: &'a [Answers],
    pairs: &'a [Pair],
    candidates: &'a [Candidate],
    voltages: &'a [Voltage],
    known: Known,
    journal: &'a Mutex<Journal>,
    cancel: &'a AtomicBool,
    monitor: &'a dyn Monitor,
    /// What was told last.
    told: Option<(usize, Phase)>,
}

impl Simulated<'_> {
    /// The chips at a place, each as `look` sees it unless the journal has it as `fits` says.
    fn each(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        fits: &(dyn Fn(&SeenChip) -> bool + Sync),
        look: &(dyn Fn(&Sight<'_>, ChipId) -> Result<SeenChip> + Sync),
    ) -> Result<Vec<SeenChip>> {
        let (pair, voltage) = (&self.pairs[place.candidate], self.voltages[place.level]);
        let swept = &self.swept_models[pair.model];
        self.tell(place, phase);
        let points = [self
            .prepared
            .design_point(pair.model, pair.protection, voltage)?];
        let comparison = Comparison {
            seed: seed_of(self.prepared.experiment.seed, phase),
            ..self.prepared.comparison(self.swept_models, &points, 1)
        };
        let sight = Sight::new(&comparison, &self.answers[pair.model])?;
        let (journal, cancel, known) = (self.journal, self.cancel, &self.known);
        let see = |chip: u32| {
            let key = (
                swept.name.clone(),
                pair.protection,
                voltage.get().to_bits(),
                phase == Phase::Check,
                chip,
            );
            if let Some(known) = known.get(&key).filter(|known| fits(known)) {
                return Ok(known.clone());
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Interrupted);
            }
            let seen = SeenChip {
                model: swept.name.clone(),
                protection: pair.protection,
                voltage: voltage.get(),
                check: phase == Phase::Check,
                chip: ChipId(chip),
                ..look(&sight, ChipId(chip))?
            };
            lock(journal).append_seen(&seen)?;
            Ok(seen)
        };
        chips.into_par_iter().with_max_len(1).map(see).collect()
    }

    fn tell(&mut self, place: Place, phase: Phase) {
        if self.told == Some((place.candidate, phase)) {
            return;
        }
        self.told = Some((place.candidate, phase));
        let pair = &self.pairs[place.candidate];
        let what = match phase {
            Phase::Search => "search",
            Phase::Check => "check on fresh chips",
        };
        self.monitor.note(&format!(
            "{} of {}, {}: {what}",
            place.candidate + 1,
            self.pairs.len(),
            named(&self.swept_models[pair.model].name, pair.protection)
        ));
    }
}

impl Chips for Simulated<'_> {
    fn see(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        images: &[u64],
    ) -> Result<Vec<Vec<Stratum>>> {
        let sizes = self.candidates[place.candidate].strata.clone();
        let fits = |seen: &SeenChip| {
            let strata = seen.strata.as_ref();
            strata.is_some_and(|strata| strata.have(&sizes, images))
        };
        let cancel = self.cancel;
        let look = |sight: &Sight<'_>, chip| {
            Ok(SeenChip {
                strata: Some(sight.see(chip, images, cancel)?),
                ..SeenChip::default()
            })
        };
        let seen = self.each(place, phase, chips, &fits, &look)?;
        let strata = seen.into_iter().filter_map(|seen| seen.strata);
        Ok(strata.map(|strata| strata.as_ref().to_vec()).collect())
    }

    fn judge(
        &mut self,
        place: Place,
        phase: Phase,
        chips: Range<u32>,
        judgement: &Judgement,
    ) -> Result<Vec<Judged>> {
        let cancel = self.cancel;
        let fits = |seen: &SeenChip| seen.judged.is_some();
        let look = |sight: &Sight<'_>, chip| {
            Ok(SeenChip {
                judged: Some(sight.judge(chip, judgement, cancel)?),
                ..SeenChip::default()
            })
        };
        let seen = self.each(place, phase, chips, &fits, &look)?;
        Ok(seen.into_iter().filter_map(|seen| seen.judged).collect())
    }
}

/// Seed of the chips of a phase: those of the search are never those of the check, nor those of a sweep.
fn seed_of(seed: Seed, phase: Phase) -> Seed {
    let purpose = match phase {
        Phase::Search => Purpose::SearchChips,
        Phase::Check => Purpose::CheckChips,
    };
    Seed(seed.stream(purpose, &[]).below(u64::MAX))
}

/// A model under a protection in words.
pub(super) fn named(model: &str, protection: Protection) -> String {
    match protection {
        Protection::None => model.to_owned(),
        other => format!("{model} with {other}"),
    }
}

/// What makes tables of an answer.
struct Rows<'a> {
    spec: &'a AnswerSpec,
    candidates: &'a [Candidate],
    pairs: &'a [Pair],
    voltages: &'a [Voltage],
    reference: f64,
    prepared: &'a Prepared,
}

impl Rows<'_> {
    fn of(&self, answer: &Answer) -> (Vec<AnswerRow>, Vec<EvidenceRow>) {
        let (mut rows, mut evidence) = (Vec::new(), Vec::new());
        for (place, found) in answer.found.iter().enumerate() {
            rows.push(self.row(place, found, rank(&answer.cheapest, place)));
            evidence.extend(self.evidence(place, found));
        }
        (rows, evidence)
    }

    fn voltage(&self, level: Option<usize>) -> Option<f64> {
        self.voltages.get(level?).map(|voltage| voltage.get())
    }

    fn row(&self, place: usize, found: &Found, rank: Rank) -> AnswerRow {
        let (pair, candidate) = (&self.pairs[place], &self.candidates[place]);
        let lowest = found.lowest.filter(|_| found.verdict == Verdict::Holds);
        let design = lowest.and_then(|level| pair.designs.get(level));
        let shown = found
            .evidence
            .iter()
            .find(|evidence| Some(evidence.level) == lowest);
        let of_mean = shown.filter(|_| self.spec.yield_share.is_none());
        let of_yield = shown.filter(|_| self.spec.yield_share.is_some());
        let from = match self.spec.loss_from {
            LossFrom::Own => candidate.clean,
            LossFrom::Best => self.reference,
        };
        let saving = design.map(|design| 1.0 - design.energy_relative);
        let least = found.highest_failing.map_or(0, |level| level + 1);
        let cheapest = pair.designs.get(least);
        AnswerRow {
            model: pair
                .designs
                .first()
                .map_or_else(String::new, |d| d.model.clone()),
            protection: pair.protection,
            target: self.target(),
            verdict: found.verdict,
            rank,
            voltage: self.voltage(lowest),
            voltage_unit: self.prepared.memory.unit,
            voltage_failing: self.voltage(found.highest_failing),
            voltage_lower: self.voltage(lowest.and_then(|level| level.checked_sub(1))),
            voltage_estimate: self.voltage(found.estimate),
            ber: design.and_then(|design| design.ber),
            clean_accuracy: candidate.clean,
            reference_accuracy: from,
            loss_from: match (self.spec.reference_accuracy, self.spec.loss_from) {
                (Some(_), LossFrom::Best) => "accuracy".to_owned(),
                (_, from) => from.name().to_owned(),
            },
            loss: of_mean.map(|shown| from - shown.value),
            loss_high: of_mean.map(|shown| from - shown.bounds.low),
            loss_of_images: of_mean.and_then(|shown| {
                let images = candidate.strata.iter().sum::<u64>() as f64;
                Some(stats::normal_half_width(shown.changed? / images))
            }),
            yield_share: of_yield.map(|shown| shown.value),
            yield_low: of_yield.map(|shown| shown.bounds.low),
            failing_chips: of_yield.and_then(|shown| Some(shown.chips - shown.good?)),
            energy_relative: design.map(|design| design.energy_relative),
            energy_pj: design.and_then(|design| design.energy_pj),
            saving,
            saving_low: saving,
            saving_high: saving
                .and(cheapest)
                .map(|design| 1.0 - design.energy_relative),
            saving_split: self.split(pair, lowest),
            level: 1.0 - RISK,
            chips: shown.map_or(0, |shown| shown.chips),
            images: shown.map_or(0, |shown| shown.evaluations),
            evaluations: found.evaluations,
            lacking_evaluations: found.lacking,
            population: "chips of this memory, on the given test images".to_owned(),
        }
    }

    /// What width, voltage and protection save of the energy at 8 bits, in this order.
    fn split(&self, pair: &Pair, lowest: Option<usize>) -> [Option<f64>; 3] {
        let bare = self
            .pairs
            .iter()
            .find(|other| other.model == pair.model && other.protection == Protection::None);
        let energy = |pair: Option<&Pair>, level: Option<usize>| {
            Some(pair?.designs.get(level?)?.energy_relative)
        };
        let highest = self.voltages.len().checked_sub(1);
        let (width, volts) = (energy(bare, highest), energy(bare, lowest));
        let whole = energy(Some(pair), lowest);
        let less = |from: Option<f64>, to: Option<f64>| Some(from? - to?);
        [
            less(lowest.map(|_| 1.0), width),
            less(width, volts),
            less(volts, whole),
        ]
    }

    fn target(&self) -> String {
        let loss = self.spec.max_loss;
        match self.spec.yield_share {
            None => format!("loss {loss}"),
            Some(share) => format!("yield {share} at loss {loss}"),
        }
    }

    fn evidence(&self, place: usize, found: &Found) -> Vec<EvidenceRow> {
        let (pair, goal) = (&self.pairs[place], self.candidates[place].target.goal());
        let mut rows = Vec::new();
        for seen in &found.evidence {
            let Some(design) = pair.designs.get(seen.level) else {
                continue;
            };
            rows.push(EvidenceRow {
                model: design.model.clone(),
                protection: pair.protection,
                voltage: self.voltages[seen.level].get(),
                ber: design.ber.unwrap_or(0.0),
                value: seen.value,
                value_low: seen.bounds.low,
                value_high: seen.bounds.high,
                goal,
                verdict: if seen.holds(goal) {
                    Verdict::Holds
                } else if seen.fails(goal) {
                    Verdict::DoesNotHold
                } else {
                    Verdict::NotEstablished
                },
                chips: seen.chips,
                good_chips: seen.good,
                evaluations: seen.evaluations,
            });
        }
        rows
    }
}

fn rank(cheapest: &Cheapest, place: usize) -> Rank {
    match cheapest {
        Cheapest::Established(best) if *best == place => Rank::Cheapest,
        Cheapest::NotEstablished(best, _) if *best == place => Rank::SeemsCheapest,
        Cheapest::NotEstablished(_, rivals) if rivals.contains(&place) => Rank::MayBeCheaper,
        _ => Rank::Other,
    }
}

impl Prepared {
    /// A model under a protection at one voltage.
    fn design_point(
        &self,
        model: usize,
        protection: Protection,
        voltage: Voltage,
    ) -> Result<DesignPoint> {
        Ok(DesignPoint {
            model,
            protection,
            supply: Supply::One(self.faults.at(&self.memory, voltage)?),
        })
    }
}
