//! The check: how many fresh chips each level is judged on, fixed before it begins, and which levels are asked for what.
//!
//! The chips of a level are looked at several times, each time more of them, and a test ends at the look that shows it, or
//! where the rest is very unlikely to. Each look has a share of the risk (the bounds of all looks hold together whatever
//! they have in common), so that it may end so.

use super::search::Searched;
use super::{Candidate, Chips, Phase, Place, Question, Target};
use crate::error::Result;
use crate::stats::{self, plan_images, Interval, Judged, Risks, StratifiedModel, Stratum};
use std::collections::BTreeMap;

/// Probability with which a test shows what is as far from the goal as it is planned for.
const POWER: f64 = 0.96;
/// What the variances of a search, and fractions of failing chips, are taken for: they are from few chips.
const MARGIN: f64 = 1.25;
/// Most levels beyond the first of a sequence.
const BEYOND: usize = 3;
/// Shares of the risk of a sequence: of its first level, which those beyond it take over, and of those behind it.
const FIRST: f64 = 0.5;
const BEHIND: [f64; 3] = [0.25, 0.125, 0.125];
/// Most chips that a yield is judged on.
const MOST_CHIPS: u64 = 5_000;
/// Chips that each look sees, as a fraction of those planned, and its share of the risk.
const LOOKS: [(f64, f64); 5] = [
    (0.25, 1.0 / 16.0),
    (0.5, 2.0 / 16.0),
    (1.0, 9.0 / 16.0),
    (2.0, 3.0 / 16.0),
    (4.0, 1.0 / 16.0),
];
/// The look at the chips that are planned. Later ones are for levels whose plan rests on a wrong curve.
const PLANNED: usize = 2;
/// Fewest chips of a look before the last: bounds of fewer would lean on the normal distribution too far out.
const FEWEST: u64 = 64;
/// Probability below which the looks that are left are not taken.
const HOPELESS: f64 = 0.05;

/// Chips of a level of the check, and images of each stratum on each; of a yield as many as judging takes.
#[derive(Clone, Debug, Default, PartialEq)]
struct Plan {
    images: Vec<u64>,
    chips: u64,
    evaluations: f64,
}

/// What the check showed at a level.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The level.
    pub level: usize,
    /// Mean accuracy over chips, estimated on all test images, or the fraction of good chips.
    pub value: f64,
    /// One-sided bounds of it, each of the confidence of a statement.
    pub bounds: Interval,
    /// Fraction of the test images whose answers faults change, mean over chips, where a mean is asked for.
    pub changed: Option<f64>,
    /// Fresh chips; none where it is known without any.
    pub chips: u64,
    /// Those of them that reach the floor, where a yield is asked for.
    pub good: Option<u64>,
    /// Evaluations of an image.
    pub evaluations: u64,
}

impl Evidence {
    /// Whether it shows that the level holds.
    pub fn holds(&self, goal: f64) -> bool {
        self.bounds.low >= goal - stats::ROUNDING
    }

    /// Whether it shows that it does not.
    pub fn fails(&self, goal: f64) -> bool {
        self.bounds.high < goal
    }
}

/// What a sequence of tests asks of its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Whether they hold: it goes on to lower voltages.
    Holds,
    /// Whether they do not: it goes on to higher ones.
    Fails,
}

impl Side {
    fn is_shown(self, evidence: &Evidence, goal: f64) -> bool {
        match self {
            Self::Holds => evidence.holds(goal),
            Self::Fails => evidence.fails(goal),
        }
    }

    /// How far the estimate is on this side of the goal, and the half-width of its bound.
    fn margin(self, evidence: &Evidence, goal: f64) -> (f64, f64) {
        match self {
            Self::Holds => (evidence.value - goal, evidence.value - evidence.bounds.low),
            Self::Fails => (goal - evidence.value, evidence.bounds.high - evidence.value),
        }
    }
}

/// Levels that are asked whether they are on a side: first one that very likely is. Where that is shown, the levels beyond
/// it, each with the share of the risk that the one before hands on; where it is not, those behind it, with shares of their
/// own (the fallback procedure of Wiens, Pharmaceutical Statistics 2, 2003).
#[derive(Clone, Debug, Default)]
struct Sequence {
    first: Option<usize>,
    beyond: Vec<usize>,
    behind: Vec<usize>,
}

impl Sequence {
    fn levels(&self) -> impl Iterator<Item = usize> + '_ {
        let others = self.beyond.iter().chain(&self.behind);
        self.first.into_iter().chain(others.copied())
    }

    /// The share of the risk that a level's bound is given.
    fn share(&self, level: usize) -> f64 {
        if self.first == Some(level) || self.beyond.contains(&level) {
            return FIRST;
        }
        let behind = self.behind.iter().position(|own| *own == level);
        // a level that is not asked claims nothing: its bound is no less careful than any other
        behind.map_or(BEHIND[BEHIND.len() - 1], |place| BEHIND[place])
    }
}

/// What was seen at a level so far.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Looks taken.
    looks: usize,
    seen: Vec<Vec<Stratum>>,
    judged: Vec<Judged>,
    /// What the last look showed.
    evidence: Option<Evidence>,
}

/// The check of one candidate.
pub(super) struct Check<'a> {
    candidate: &'a Candidate,
    place: usize,
    target: Target,
    /// Confidence of all bounds of a side.
    confidence: f64,
    /// How far from the goal a level is that is to be told from it.
    clear: f64,
    /// Of every level that may be judged.
    plans: BTreeMap<usize, Plan>,
    /// Levels that are asked whether they hold, and whether they do not.
    sequences: [Sequence; 2],
    progress: BTreeMap<usize, Progress>,
}

impl<'a> Check<'a> {
    /// Plans the check from what a search found; so many candidates share the risk.
    pub(super) fn plan(
        candidate: &'a Candidate,
        place: usize,
        searched: &Searched,
        question: &Question,
        candidates: usize,
    ) -> Self {
        let mut check = Self {
            candidate,
            place,
            target: candidate.target,
            confidence: 1.0 - question.risk / (2.0 * candidates as f64),
            clear: (0.8 * question.resolution).min(0.7 * candidate.allowed()),
            plans: BTreeMap::new(),
            sequences: Default::default(),
            progress: BTreeMap::new(),
        };
        check.choose_levels(searched);
        let levels: Vec<usize> = check.sequences.iter().flat_map(Sequence::levels).collect();
        for level in levels {
            let plan = match candidate.target {
                Target::Mean(_) => check.plan_mean(level, searched, question.resolution),
                Target::Yield { fraction, .. } => {
                    check.plan_yield(level, searched, fraction, question.resolution)
                }
            };
            check.plans.insert(level, plan);
        }
        check
    }

    /// The first level that is asked whether it holds is the lowest one that very likely does, and the same of those that do
    /// not.
    fn choose_levels(&mut self, searched: &Searched) {
        let allowed = self.candidate.allowed();
        let loss = |level: &usize| searched.loss(self.candidate.levels[*level].ber);
        let levels = self.candidate.levels.len();
        let clear = self.clear;
        let below = |level: usize| (level.saturating_sub(BEYOND)..level).rev();
        let above = |level: usize| level + 1..(level + 1 + BEYOND).min(levels);
        if let Some(first) = (0..levels).find(|level| loss(level) <= allowed - clear) {
            self.sequences[Side::Holds as usize] = Sequence {
                first: Some(first),
                beyond: below(first)
                    .take_while(|level| loss(level) < allowed)
                    .collect(),
                behind: above(first).take(BEHIND.len()).collect(),
            };
        }
        if let Some(first) = (0..levels).rfind(|level| loss(level) >= allowed + clear) {
            self.sequences[Side::Fails as usize] = Sequence {
                first: Some(first),
                beyond: above(first)
                    .take_while(|level| loss(level) > allowed)
                    .collect(),
                behind: below(first).take(BEHIND.len()).collect(),
            };
        }
    }

    /// As many chips and images as tell a mean from the goal where the curve is right.
    fn plan_mean(&self, level: usize, searched: &Searched, resolution: f64) -> Plan {
        let Some((reference, components, pilot_chips)) = &searched.reference else {
            return Plan::default();
        };
        let loss = |level: usize| {
            let image = 1.0 / self.candidate.strata.iter().sum::<u64>() as f64;
            let loss = searched.mean_loss(self.candidate.levels[level].ber);
            loss.max(image)
        };
        let model = StratifiedModel {
            sizes: self.candidate.strata.clone(),
            designs: vec![components.scaled(MARGIN * loss(level) / loss(*reference))],
        };
        let gap = (loss(level) - self.candidate.allowed()).abs();
        let z = stats::probit(self.planned_confidence(level)) + stats::probit(POWER);
        let half_width = stats::probit(0.975) * gap.max(resolution) / z;
        let pilot_chips = *pilot_chips as u64;
        let plan = plan_images(&[model], pilot_chips, self.candidate.chip_cost, half_width);
        let images = plan.images.into_iter().next().unwrap_or_default();
        Plan {
            evaluations: (plan.chips * images.iter().sum::<u64>()) as f64,
            images,
            chips: plan.chips,
        }
    }

    /// As many chips as show a yield, or that it is missed, where the curve is right.
    fn plan_yield(
        &self,
        level: usize,
        searched: &Searched,
        fraction: f64,
        resolution: f64,
    ) -> Plan {
        let ber = self.candidate.levels[level].ber;
        let failing = searched.loss(ber);
        let allowed = 1.0 - fraction;
        let chips = if failing < allowed {
            let failing = (MARGIN * failing).min(allowed - resolution);
            chips_that_show(fraction, failing, self.planned_confidence(level))
        } else {
            let failing = (failing / MARGIN).max(allowed + resolution);
            chips_that_refute(fraction, failing, self.planned_confidence(level))
        };
        let judgement = self.candidate.judgement(Risks::of_yield(fraction));
        let ranks = [0.1, 0.3, 0.5, 0.7, 0.9];
        let images = ranks.map(|rank| judgement.expected_images(searched.chip_loss(ber, rank)));
        let images = images.iter().sum::<u64>() as f64 / ranks.len() as f64;
        Plan {
            images: Vec::new(),
            chips,
            evaluations: chips as f64 * images,
        }
    }

    /// Confidence of a level's bound on a side at a look.
    fn confidence_at(&self, level: usize, side: Side, look: usize) -> f64 {
        let share = LOOKS[look].1 * self.sequences[side as usize].share(level);
        1.0 - share * (1.0 - self.confidence)
    }

    /// The greater one of both sides at the planned look, of those that ask the level.
    fn planned_confidence(&self, level: usize) -> f64 {
        let mut greatest = 0.0f64;
        for side in [Side::Holds, Side::Fails] {
            if self.sequences[side as usize]
                .levels()
                .any(|own| own == level)
            {
                greatest = greatest.max(self.confidence_at(level, side, PLANNED));
            }
        }
        greatest
    }

    /// The furthest level of a sequence that is shown to be on its side. Looks that `left` evaluations do not suffice for are
    /// not taken: what their level would take comes back too.
    pub(super) fn run(
        &mut self,
        side: Side,
        left: &mut u64,
        chips: &mut dyn Chips,
    ) -> Result<(Option<usize>, Option<u64>)> {
        let sequence = self.sequences[side as usize].clone();
        let mut furthest = None;
        for level in sequence.first.into_iter().chain(sequence.beyond) {
            match self.shows(level, side, left, chips)? {
                Some(true) => furthest = Some(level),
                Some(false) => break,
                None => return Ok((furthest, self.lacking(level))),
            }
        }
        if furthest.is_some() {
            return Ok((furthest, None));
        }
        for level in sequence.behind {
            match self.shows(level, side, left, chips)? {
                Some(true) => return Ok((Some(level), None)),
                Some(false) => {}
                None => return Ok((None, self.lacking(level))),
            }
        }
        Ok((None, None))
    }

    /// Evaluations that a level takes.
    fn lacking(&self, level: usize) -> Option<u64> {
        let plan = self.plans.get(&level);
        plan.map(|plan| plan.evaluations as u64)
    }

    /// Evaluations of an image of all levels that may be judged.
    pub(super) fn evaluations(&self) -> u64 {
        let unknown = self
            .plans
            .iter()
            .filter(|(level, _)| self.known(**level).is_none());
        unknown.map(|(_, plan)| plan.evaluations as u64).sum()
    }

    /// What was judged, by level.
    pub(super) fn into_evidence(self) -> Vec<Evidence> {
        let seen = self.progress.into_values();
        seen.filter_map(|progress| progress.evidence).collect()
    }

    /// Whether a level is shown to be on a side; `None` where the next look would take more evaluations than are left.
    fn shows(
        &mut self,
        level: usize,
        side: Side,
        left: &mut u64,
        chips: &mut dyn Chips,
    ) -> Result<Option<bool>> {
        let mut progress = self.progress.remove(&level).unwrap_or_default();
        let shown = match self.known(level) {
            Some(known) => {
                let shown = side.is_shown(&known, self.target.goal());
                progress.evidence = Some(known);
                Some(shown)
            }
            None => self.look(level, side, &mut progress, left, chips)?,
        };
        if progress.evidence.is_some() {
            self.progress.insert(level, progress);
        }
        Ok(shown)
    }

    /// [`Self::shows`] of a level that must be looked at, look by look.
    fn look(
        &self,
        level: usize,
        side: Side,
        progress: &mut Progress,
        left: &mut u64,
        chips: &mut dyn Chips,
    ) -> Result<Option<bool>> {
        let plan = self.plans.get(&level).cloned().unwrap_or_default();
        loop {
            let look = progress.looks;
            if let Some(evidence) = &progress.evidence {
                if side.is_shown(evidence, self.target.goal()) {
                    return Ok(Some(true));
                }
                if look == LOOKS.len() || self.is_hopeless(evidence, side, look - 1, &plan) {
                    return Ok(Some(false));
                }
            }
            let before = (progress.seen.len() + progress.judged.len()) as u64;
            let all = chips_of(&plan, look);
            let cost = plan.evaluations * (all - before) as f64 / plan.chips.max(1) as f64;
            if cost > *left as f64 {
                return Ok(None);
            }
            progress.looks += 1;
            let range = before as u32..all as u32;
            let at = self.at(level);
            let spent = match self.target {
                Target::Mean(_) => {
                    let new = chips.see(at, Phase::Check, range, &plan.images)?;
                    progress.seen.extend(new);
                    (all - before) * plan.images.iter().sum::<u64>()
                }
                Target::Yield { fraction, .. } => {
                    let judgement = self.candidate.judgement(Risks::of_yield(fraction));
                    let new = chips.judge(at, Phase::Check, range, &judgement)?;
                    let images = new.iter().map(|chip| chip.images).sum();
                    progress.judged.extend(new);
                    images
                }
            };
            *left = left.saturating_sub(spent);
            if all > before || look + 1 == LOOKS.len() {
                progress.evidence = Some(self.evidence_of(level, progress, look));
            }
        }
    }

    /// True where the looks that are left very unlikely show what this one does not, if the rest is as what was seen. More
    /// chips than planned are worth it only for a level that seems clear of the goal.
    fn is_hopeless(&self, evidence: &Evidence, side: Side, look: usize, plan: &Plan) -> bool {
        let (margin, half_width) = side.margin(evidence, self.target.goal());
        if look >= PLANNED && margin < self.clear {
            return true;
        }
        let last = if look < PLANNED {
            PLANNED
        } else {
            LOOKS.len() - 1
        };
        let seen = evidence.chips as f64 / chips_of(plan, last).max(1) as f64;
        let probit = |look| stats::probit(self.confidence_at(evidence.level, side, look));
        let deviation = half_width / probit(look);
        let needed = probit(last) * deviation * seen.sqrt();
        let left = deviation * (seen * (1.0 - seen)).sqrt();
        stats::normal_cdf((margin - needed) / left.max(f64::MIN_POSITIVE)) < HOPELESS
    }

    /// Where no cell fails nothing is lost, and where one hardly ever does, at most its probability times all there is:
    /// enough to show that the level holds.
    fn known(&self, level: usize) -> Option<Evidence> {
        let all = match self.target {
            Target::Mean(_) => self.candidate.clean,
            Target::Yield { .. } => 1.0,
        };
        let low = all - self.candidate.levels[level].faults.min(1.0) * all;
        (low >= self.target.goal()).then_some(Evidence {
            level,
            value: all,
            bounds: Interval { low, high: all },
            changed: None,
            chips: 0,
            good: None,
            evaluations: 0,
        })
    }

    /// What the chips seen so far show, with the bounds of a look.
    fn evidence_of(&self, level: usize, progress: &Progress, look: usize) -> Evidence {
        let [low, high] =
            [Side::Holds, Side::Fails].map(|side| self.confidence_at(level, side, look));
        let Target::Yield { fraction, .. } = self.target else {
            let seen = &progress.seen;
            let sum: f64 = seen.iter().map(|chip| stats::accuracy(chip)).sum();
            let bounds = |confidence| stats::Difference::bounds_of_strata(seen, confidence);
            let images = seen.iter().flatten().map(|stratum| stratum.images);
            return Evidence {
                level,
                value: sum / seen.len() as f64,
                bounds: Interval {
                    low: bounds(low).map_or(0.0, |bounds| bounds.low),
                    high: bounds(high).map_or(1.0, |bounds| bounds.high),
                },
                changed: Some(self.changed(seen)),
                chips: seen.len() as u64,
                good: None,
                evaluations: images.sum(),
            };
        };
        let judged = &progress.judged;
        let all = judged.len() as u64;
        let good = judged.iter().filter(|chip| chip.good).count() as u64;
        let bounds = |confidence| Risks::of_yield(fraction).bounds(confidence, good, all);
        Evidence {
            level,
            value: good as f64 / all.max(1) as f64,
            bounds: Interval {
                low: bounds(low).low,
                high: bounds(high).high,
            },
            changed: None,
            chips: all,
            good: Some(good),
            evaluations: judged.iter().map(|chip| chip.images).sum(),
        }
    }

    /// Fraction of the test images whose answers differ from those without faults, mean over chips.
    fn changed(&self, chips: &[Vec<Stratum>]) -> f64 {
        let all: u64 = self.candidate.strata.iter().sum();
        let right = (self.candidate.clean * all as f64).round() as u64;
        let mut changed = 0.0;
        for chip in chips {
            let mut before = 0;
            for stratum in chip {
                let correct = stratum.correct as f64 / stratum.images as f64;
                // strata of images that are right without faults come first
                let differ = if before < right {
                    1.0 - correct
                } else {
                    correct
                };
                changed += differ * stratum.all as f64 / all as f64;
                before += stratum.all;
            }
        }
        changed / chips.len().max(1) as f64
    }

    fn at(&self, level: usize) -> Place {
        Place {
            candidate: self.place,
            level,
        }
    }
}

/// Chips that a look of a plan has seen.
fn chips_of(plan: &Plan, look: usize) -> u64 {
    let chips = (plan.chips as f64 * LOOKS[look].0).ceil() as u64;
    if look < PLANNED && chips < FEWEST {
        return 0;
    }
    chips
}

/// Least number of chips that show a yield with the power asked for, where so large a fraction fails.
fn chips_that_show(fraction: f64, failing: f64, confidence: f64) -> u64 {
    let risks = Risks::of_yield(fraction);
    let mut chips = stats::least_without_failure(fraction, confidence);
    for bad in 0.. {
        while risks.bounds(confidence, chips - bad, chips).low < fraction {
            chips += 1 + chips / 64;
        }
        if chips >= MOST_CHIPS || stats::binomial_cdf(bad, chips, failing) >= POWER {
            break;
        }
    }
    chips.min(MOST_CHIPS)
}

/// The same that a yield is missed.
fn chips_that_refute(fraction: f64, failing: f64, confidence: f64) -> u64 {
    let risks = Risks::of_yield(fraction);
    let mut chips = 8;
    while chips < MOST_CHIPS {
        let refutes = |bad: &u64| risks.bounds(confidence, chips - bad, chips).high < fraction;
        let least = (0..=chips).find(refutes);
        // fewer than that must be improbable
        if let Some(least) = least.filter(|least| *least > 0) {
            if stats::binomial_cdf(least - 1, chips, failing) <= 1.0 - POWER {
                break;
            }
        }
        chips += 1 + chips / 8;
    }
    chips.min(MOST_CHIPS)
}
