//! The first sentence of the page: what is shown of the cheapest design at the usual loss, else what would show it.

use super::answers::label;
use super::page::usual_loss;
use super::words::{mean_interval, percents};
use super::Report;
use crate::analysis::{shown, Answer, Saving, Shown, Summary};
use crate::figure::percent;

/// What the tables hold at a loss of one point, or at the loss nearest to it.
pub(super) struct Lead<'a> {
    /// The loss, with the accuracy to be kept.
    pub(super) saving: &'a Saving,
    /// The design of least energy that is shown to keep it.
    pub(super) best: Option<Best<'a>>,
    /// The design of least energy whose mean keeps it.
    pub(super) nearest: Option<Nearest<'a>>,
}

/// A design that is shown to keep the accuracy.
pub(super) struct Best<'a> {
    pub(super) name: String,
    pub(super) shown: Shown<'a>,
    /// What it saves against 8 bits at the error-free voltage.
    pub(super) saving: String,
    /// What it saves against the baseline's cheapest point that keeps it; `None` of the baseline itself, and where that has no
    /// interval.
    pub(super) against: Option<String>,
}

/// A design whose mean alone keeps it.
pub(super) struct Nearest<'a> {
    pub(super) name: String,
    pub(super) point: &'a Summary,
    pub(super) interval: Option<String>,
}

impl<'a> Lead<'a> {
    pub(super) fn of(report: &'a Report) -> Option<Self> {
        let saving = *usual_loss(report).first()?;
        let at_loss = |answer: &&Answer| answer.loss() == Some(saving.loss);
        let asked: Vec<&Answer> = report.answers.iter().filter(at_loss).collect();
        let best = asked.iter().filter_map(|answer| {
            let shown = shown(answer, &report.summaries)?;
            shown.holding.design.can_fail().then_some((answer, shown))
        });
        let best = best.min_by(|(_, a), (_, b)| a.holding.by_energy(b.holding));
        let points = asked.iter().filter_map(|answer| {
            let point = answer
                .point
                .as_ref()
                .filter(|point| point.design.can_fail())?;
            Some((answer, point))
        });
        let nearest = points.min_by(|(_, a), (_, b)| a.by_energy(b));
        Some(Self {
            saving,
            best: best.map(|(answer, shown)| Best {
                name: label(answer, &report.answers),
                shown,
                saving: saved(shown),
                against: against(answer),
            }),
            nearest: nearest.map(|(answer, point)| Nearest {
                name: label(answer, &report.answers),
                point,
                interval: mean_interval(point),
            }),
        })
    }

    /// The point that the sentence is about.
    pub(super) fn point(&self) -> Option<&'a Summary> {
        let best = self.best.as_ref().map(|best| best.shown.holding);
        best.or(self.nearest.as_ref().map(|nearest| nearest.point))
    }
}

/// `59.3 to 60.1 %`, `at least 59.3 %` where the most is open.
fn saved(shown: Shown<'_>) -> String {
    let saving = |point: &Summary| 1.0 - point.design.energy_relative;
    let least = saving(shown.holding);
    match shown.possible {
        Some(possible) => percents(least, saving(possible)),
        None => format!("at least {} %", percent(least)),
    }
}

fn against(answer: &Answer) -> Option<String> {
    let own = answer.baseline == Some(answer.series.method);
    let ends = answer.saving_to_baseline_ends;
    let (low, high) = ends.low.zip(ends.high).filter(|_| !own)?;
    Some(percents(low, high))
}
