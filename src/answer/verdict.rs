//! What search and check come to: a verdict for each candidate, and which one is cheapest.

use super::check::{Check, Evidence, Side};
use super::search::{most_evaluations, search};
use super::{Candidate, Chips, Phase, Question, Target};
use crate::error::Result;
use crate::stats::{Judgement, Risks};

/// Whether a candidate has a voltage that holds, below the error-free one where no cell fails there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verdict {
    /// The bound of a voltage reaches the floor.
    Holds,
    /// No voltage can: the clean accuracy is below the floor, or the highest one is shown to fail.
    DoesNotHold,
    /// The bounds decide neither.
    #[default]
    NotEstablished,
}

/// What was found of a candidate.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// Whether it holds at `lowest`.
    pub verdict: Verdict,
    /// The lowest level that is shown to hold.
    pub lowest: Option<usize>,
    /// The highest level that is shown not to hold.
    pub highest_failing: Option<usize>,
    /// Where the search saw the limit: the lowest level that seems to hold.
    pub estimate: Option<usize>,
    /// What the check showed.
    pub evidence: Vec<Evidence>,
    /// Evaluations of an image.
    pub evaluations: u64,
    /// Evaluations that a level would have taken, where the budget did not suffice for it.
    pub lacking: Option<u64>,
}

/// Which candidate takes least energy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cheapest {
    /// None was shown to hold.
    None,
    /// This one, whatever the truth within the bounds.
    Established(usize),
    /// This one seems to be; these may be cheaper.
    NotEstablished(usize, Vec<usize>),
}

/// Verdicts on all candidates.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// By candidate.
    pub found: Vec<Found>,
    /// The cheapest.
    pub cheapest: Cheapest,
}

/// Answers a question. The same chips give the same answer.
///
/// # Errors
/// What [`Chips::see`] returns.
pub fn answer(
    candidates: &[Candidate],
    question: &Question,
    chips: &mut dyn Chips,
) -> Result<Answer> {
    let mut found = vec![Found::default(); candidates.len()];
    let mut checks = Vec::new();
    let mut left = question.evaluations;
    chips.begin(Phase::Search, most_search_evaluations(candidates));
    for (place, candidate) in candidates.iter().enumerate() {
        let own = &mut found[place];
        if !candidate.is_clean() {
            own.verdict = Verdict::DoesNotHold;
            continue;
        }
        let searched = search(candidate, place, chips)?;
        own.evaluations = searched.evaluations;
        left = left.saturating_sub(searched.evaluations);
        let allowed = candidate.allowed();
        let mut levels = candidate.levels.iter();
        own.estimate = levels.position(|level| searched.loss(level.ber) <= allowed);
        let check = Check::plan(candidate, place, &searched, question, candidates.len());
        checks.push((place, check));
    }
    // the cheapest come first: where evaluations run out, it is the others that stay open
    let energy = |place: usize| {
        let level = found[place].estimate.unwrap_or(0);
        candidates[place].levels[level].energy
    };
    checks.sort_by(|(a, _), (b, _)| energy(*a).total_cmp(&energy(*b)).then(a.cmp(b)));
    let planned = checks.iter().map(|(_, check)| check.evaluations()).sum();
    chips.begin(Phase::Check, left.min(planned));
    for (place, check) in &mut checks {
        let own = &mut found[*place];
        (own.lowest, own.lacking) = check.run(Side::Holds, &mut left, chips)?;
        // that nothing is lost at the highest voltage is no finding where nothing fails there
        let levels = &candidates[*place].levels;
        let is_found = |level: usize| level + 1 < levels.len() || levels[level].faults > 0.0;
        if own.lowest.is_some_and(is_found) {
            own.verdict = Verdict::Holds;
        }
    }
    for (place, mut check) in checks {
        let own = &mut found[place];
        let (highest, lacking) = check.run(Side::Fails, &mut left, chips)?;
        own.highest_failing = highest;
        if highest.is_some_and(|level| level + 1 == candidates[place].levels.len()) {
            own.verdict = Verdict::DoesNotHold;
        }
        own.lacking = own.lacking.or(lacking);
        own.evidence = check.into_evidence();
        own.evaluations += own
            .evidence
            .iter()
            .map(|seen| seen.evaluations)
            .sum::<u64>();
    }
    let cheapest = cheapest(candidates, &found);
    Ok(Answer { found, cheapest })
}

/// Most evaluations of an image that the searches of an answer take.
pub fn most_search_evaluations(candidates: &[Candidate]) -> u64 {
    let within = candidates.iter().filter(|candidate| candidate.is_clean());
    within.map(most_evaluations).sum()
}

fn cheapest(candidates: &[Candidate], found: &[Found]) -> Cheapest {
    let shown = |place: &usize| {
        let own = &found[*place];
        let lowest = own.lowest.filter(|_| own.verdict == Verdict::Holds)?;
        Some(candidates[*place].levels[lowest].energy)
    };
    let holding = (0..candidates.len()).filter(|place| shown(place).is_some());
    let energy = |place: &usize| shown(place).unwrap_or(f64::INFINITY);
    let Some(best) = holding.min_by(|a, b| energy(a).total_cmp(&energy(b))) else {
        return Cheapest::None;
    };
    let may_be_cheaper = |place: &usize| {
        let own = &found[*place];
        if *place == best || own.verdict == Verdict::DoesNotHold {
            return false;
        }
        let least = own.highest_failing.map_or(0, |level| level + 1);
        let levels = &candidates[*place].levels;
        levels
            .get(least)
            .is_some_and(|level| level.energy < energy(&best))
    };
    let rivals: Vec<usize> = (0..candidates.len()).filter(may_be_cheaper).collect();
    if rivals.is_empty() {
        Cheapest::Established(best)
    } else {
        Cheapest::NotEstablished(best, rivals)
    }
}

impl Candidate {
    /// Whether it reaches the floor without faults.
    fn is_clean(&self) -> bool {
        self.clean >= self.target.floor()
    }

    /// What may be lost: accuracy, or a fraction of the chips.
    pub(super) fn allowed(&self) -> f64 {
        match self.target {
            Target::Mean(floor) => self.clean - floor,
            Target::Yield { fraction, .. } => 1.0 - fraction,
        }
    }

    /// How a chip of it is judged.
    pub fn judgement(&self, risks: Risks) -> Judgement {
        let all: u64 = self.strata.iter().sum();
        let right = (self.clean * all as f64).round() as u64;
        Judgement {
            right,
            wrong: all - right,
            floor: self.target.floor(),
            risks,
        }
    }

    /// Least and greatest bit error rate above 0.
    pub(super) fn rates(&self) -> Option<(f64, f64)> {
        let rates = self.levels.iter().map(|level| level.ber);
        let rates: Vec<f64> = rates.filter(|ber| *ber > 0.0).collect();
        let least = rates.iter().copied().reduce(f64::min)?;
        Some((least, rates.into_iter().reduce(f64::max)?))
    }
}
