//! The first sentence of the page: what is shown of the cheapest design at the usual loss, else what would show it.

use super::answers::label;
use super::page::usual_loss;
use super::words::{bit_error_rate, mean, mean_interval, percents, points, voltage};
use super::Report;
use crate::analysis::{energy_scope, metric, Answer, Saving, SeriesPoints, Shown, Summary};
use crate::figure::percent;

/// What the tables hold at a loss of one point, or at the loss nearest to it.
pub(super) struct Lead<'a> {
    /// The point that the sentence is about; `None` where no mean keeps the accuracy.
    pub(super) point: Option<&'a Summary>,
    /// What is shown, in words.
    pub(super) sentence: String,
}

impl<'a> Lead<'a> {
    pub(super) fn of(report: &'a Report, points: &SeriesPoints<'a>) -> Option<Self> {
        let saving = *usual_loss(report).first()?;
        let at_loss = |answer: &&Answer| answer.loss() == Some(saving.loss);
        let asked: Vec<&Answer> = report.answers.iter().filter(at_loss).collect();
        let target = target(report, saving);
        let best = asked.iter().filter_map(|answer| {
            let shown = points.shown(answer)?;
            shown.holding.design.can_fail().then_some((answer, shown))
        });
        if let Some((answer, shown)) = best.min_by(|(_, a), (_, b)| a.holding.by_energy(b.holding))
        {
            return Some(Self {
                point: Some(shown.holding),
                sentence: holds(report, answer, shown, &target),
            });
        }
        let reached = asked.iter().filter_map(|answer| {
            let point = answer
                .point
                .as_ref()
                .filter(|point| point.design.can_fail())?;
            Some((answer, point))
        });
        if let Some((answer, point)) = reached.min_by(|(_, a), (_, b)| a.by_energy(b)) {
            return Some(Self {
                point: Some(point),
                sentence: not_established(report, answer, point, &target),
            });
        }
        Some(Self {
            point: None,
            sentence: format!(
                "No method keeps {target} at any swept voltage whose bit error rate was measured."
            ),
        })
    }
}

/// `96.1 % accuracy (1 point less than normal without faults)`.
fn target(report: &Report, saving: &Saving) -> String {
    let accuracy = percent(saving.target);
    let measured = metric(&report.summaries).words();
    match report.pareto.baseline {
        Some(baseline) => {
            let loss = points(saving.loss);
            format!("{accuracy} % {measured} ({loss} less than {baseline} without faults)")
        }
        None => format!("{accuracy} % {measured}"),
    }
}

/// A design that is shown to keep the accuracy, and what it saves.
fn holds(report: &Report, answer: &Answer, shown: Shown<'_>, target: &str) -> String {
    let point = shown.holding;
    let against = against(answer).map_or(String::new(), |against| {
        let baseline = report.pareto.baseline.unwrap_or_default();
        format!(", and {against} against the cheapest {baseline} point that keeps it")
    });
    format!(
        "{} keeps {target} down to {} (bit error rate {}); the 95 % interval of its mean over {} chips there is {} %. It \
         saves {} of {} against 8 bit at the error-free voltage{against}.",
        label(answer, &report.answers),
        voltage(point),
        bit_error_rate(point),
        point.chips,
        mean_interval(point).unwrap_or_default(),
        saved(shown),
        energy_scope(&report.summaries)
    )
}

/// A design whose mean alone keeps the accuracy, and what would show it.
fn not_established(report: &Report, answer: &Answer, point: &Summary, target: &str) -> String {
    let interval = mean_interval(point).map_or(String::new(), |interval| {
        format!(", with a 95 % interval of {interval} %")
    });
    format!(
        "Not established: no voltage at which cells fail is shown to keep {target}. {} seems to, down to {}: its mean over \
         {} chips and {} of {} test images is {} %{interval}. `wcat-explore answer` with these models decides it; so does a \
         sweep with `--sampling stratified --tolerance 0.002`.",
        label(answer, &report.answers),
        voltage(point),
        point.chips,
        point.images,
        point.test_images,
        mean(point)
    )
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
