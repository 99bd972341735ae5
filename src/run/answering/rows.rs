//! The tables of an answer.

use super::{AnswerInput, Pair, RISK};
use crate::answer::{Answer, AnswerRow, Cheapest, EvidenceRow, Found, LossFrom, Rank, Verdict};
use crate::fault::Protection;
use crate::run::prepared::Prepared;
use crate::stats;

/// What makes tables of an answer.
pub(super) struct Rows<'a> {
    pub(super) input: &'a AnswerInput,
    pub(super) budget: u64,
    pub(super) prepared: &'a Prepared,
}

impl Rows<'_> {
    pub(super) fn of(&self, answer: &Answer) -> (Vec<AnswerRow>, Vec<EvidenceRow>) {
        let (mut rows, mut evidence) = (Vec::new(), Vec::new());
        for (place, found) in answer.found.iter().enumerate() {
            rows.push(self.row(place, found, rank(&answer.cheapest, place)));
            evidence.extend(self.evidence(place, found));
        }
        (rows, evidence)
    }

    fn voltage(&self, level: Option<usize>) -> Option<f64> {
        self.input.voltages.get(level?).map(|voltage| voltage.get())
    }

    fn row(&self, place: usize, found: &Found, rank: Rank) -> AnswerRow {
        let (pair, candidate) = (&self.input.pairs[place], &self.input.candidates[place]);
        let lowest = found.lowest.filter(|_| found.verdict == Verdict::Holds);
        let design = lowest.and_then(|level| pair.designs.get(level));
        let shown = found
            .evidence
            .iter()
            .find(|evidence| Some(evidence.level) == lowest);
        let of_mean = shown.filter(|_| self.input.spec.yield_share.is_none());
        let of_yield = shown.filter(|_| self.input.spec.yield_share.is_some());
        let from = match self.input.spec.loss_from {
            LossFrom::Own => candidate.clean,
            LossFrom::Best => self.input.reference,
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
            activations: pair.supply().cloned(),
            target: self.target(),
            metric: self.prepared.images.metric,
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
            loss_from: match (
                self.input.spec.reference_accuracy,
                self.input.spec.loss_from,
            ) {
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
            test_images: self.prepared.images.all,
            budget: self.budget,
            population: "chips of this memory, on the given test images".to_owned(),
        }
    }

    /// What width, voltage and protection save of the energy at 8 bits, in this order.
    fn split(&self, pair: &Pair, lowest: Option<usize>) -> [Option<f64>; 3] {
        let bare = self.input.pairs.iter().find(|other| {
            (other.model, other.activations) == (pair.model, pair.activations)
                && other.protection == Protection::None
        });
        let energy = |pair: Option<&Pair>, level: Option<usize>| {
            Some(pair?.designs.get(level?)?.energy_relative)
        };
        let width = bare.map(|bare| bare.nominal);
        let volts = energy(bare, lowest);
        let whole = energy(Some(pair), lowest);
        let less = |from: Option<f64>, to: Option<f64>| Some(from? - to?);
        [
            less(lowest.map(|_| 1.0), width),
            less(width, volts),
            less(volts, whole),
        ]
    }

    fn target(&self) -> String {
        let loss = self.input.spec.max_loss;
        match self.input.spec.yield_share {
            None => format!("loss {loss}"),
            Some(share) => format!("yield {share} at loss {loss}"),
        }
    }

    fn evidence(&self, place: usize, found: &Found) -> Vec<EvidenceRow> {
        let (pair, goal) = (
            &self.input.pairs[place],
            self.input.candidates[place].target.goal(),
        );
        let mut rows = Vec::new();
        for seen in &found.evidence {
            let Some(design) = pair.designs.get(seen.level) else {
                continue;
            };
            rows.push(EvidenceRow {
                model: design.model.clone(),
                protection: pair.protection,
                activations: design.activations.clone(),
                voltage: self.input.voltages[seen.level].get(),
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
