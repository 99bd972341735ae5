//! Captions: what a figure shows, on how many chips and images, what intervals and shading mean.

use super::curves::{self, Intervals};
use super::memory_model::occurs;
use super::scene::Scene;
use super::{text, MemoryCurve};
use crate::analysis::{accessed, counts_activations, metric, Averaged, Pareto, Summary};
use crate::quant::MethodLabel;
use crate::units::BerSource;
use std::collections::BTreeSet;

/// Caption of `pareto`.
pub(super) fn pareto(points: &Averaged, scene: &Scene<'_>, frontiers: &Pareto) -> String {
    let summaries = &points.summaries;
    let intervals = curves::intervals(&scene.facets(), false);
    let mut words = vec![
        format!(
            "Mean {} against the energy of {}; one marker per supply voltage.",
            measured(summaries),
            counted(summaries)
        ),
        sample(points),
        means(points, intervals),
        "The heavy line is the frontier of all methods together: no design point above it or to its left was found."
            .to_owned(),
    ];
    words.extend(scene.focus.words());
    if summaries.iter().any(|s| s.design.voltage.is_none()) {
        words.push(
            "Markers that no line joins: design points with a voltage for each domain.".to_owned(),
        );
    }
    if !frontiers.savings.is_empty() {
        let baseline = frontiers.baseline.map_or("baseline", MethodLabel::name);
        words.push(format!(
            "Dashed lines: the clean accuracy of {baseline} less the points named at the right."
        ));
    }
    words.push(format!(
        "Reference point of the hypervolume: energy 1 at chance accuracy ({} %), drawn where the axes reach it.",
        text::percent(frontiers.chance)
    ));
    words.extend(hollow(summaries));
    words.join(" ")
}

/// Caption of `overview`.
pub(super) fn overview(points: &Averaged, first: MethodLabel) -> String {
    let mut words = vec![
        format!(
            "Mean {} against the supply voltage of {}, of {first}, of the baseline, and of the \
             other method with the highest mean over these voltages, where they were swept. Above stands the energy of the accesses to \
             {} per inference, relative to the same architecture at 8 bits and the error-free voltage.",
            measured(&points.summaries),
            swept_memory(&points.summaries),
            accessed(&points.summaries)
        ),
        sample(points),
        means(points, Intervals::Bands { whiskers: false }),
    ];
    words.extend(hatched(&points.summaries));
    words.join(" ")
}

/// Caption of `accuracy_voltage`.
pub(super) fn accuracy_voltage(points: &Averaged, scene: &Scene<'_>) -> String {
    let summaries = &points.summaries;
    let intervals = over_voltage(scene);
    let mut words = vec![
        format!(
            "Mean {} against the supply voltage of {}; the bit error rate at that voltage stands above where all points \
             share one memory model.",
            measured(summaries),
            swept_memory(summaries)
        ),
        sample(points),
        means(points, intervals),
    ];
    words.extend(whiskers(summaries, intervals));
    words.extend(scene.focus.words());
    words.extend(hatched(summaries));
    words.join(" ")
}

/// Caption of `accuracy_ber`.
pub(super) fn accuracy_ber(points: &Averaged, scene: &Scene<'_>) -> String {
    let summaries = &points.summaries;
    let intervals = over_voltage(scene);
    let mut words = vec![format!(
        "Mean {} against the bit error rate of {}.",
        measured(summaries),
        swept_memory(summaries)
    )];
    if summaries.iter().any(|s| s.design.ber == Some(0.0)) {
        words.push("The axis is broken: 0 stands for the error-free voltage and above.".to_owned());
    }
    words.extend([sample(points), means(points, intervals)]);
    words.extend(whiskers(summaries, intervals));
    words.extend(scene.focus.words());
    words.extend(hollow(summaries));
    words.join(" ")
}

/// What the energy of an inference is of, and what it is relative to: with a macro whole macros are counted, and what the
/// settings add.
fn counted(summaries: &[Summary]) -> &'static str {
    if summaries
        .iter()
        .any(|s| s.design.inference_seconds.is_some())
    {
        return "the weight memory per inference, accesses and leakage of whole macros, and of the rest of the chip where \
                its power was given, relative to the same architecture at 8 bits, unprotected, at the error-free voltage";
    }
    if counts_activations(summaries) {
        return "the accesses to the memories of weights and of stored activations per inference, each activation written once \
                and read as the dataflow says, relative to the same architecture with both at 8 bits, unprotected, at their \
                error-free voltages (arithmetic and periphery are not in it)";
    }
    "the accesses to the weight memory per inference, relative to the same architecture at 8 bits, unprotected, at the \
     error-free voltage (arithmetic, activation memory and periphery are not in it)"
}

/// Which memory has the voltages of these points.
fn swept_memory(summaries: &[Summary]) -> &'static str {
    let of_activations = |s: &Summary| s.design.fault_kind.is_of_activations();
    if !summaries.is_empty() && summaries.iter().all(of_activations) {
        "the memory of stored activations"
    } else {
        "the weight memory"
    }
}

/// `accuracy`, or what else the metric says.
fn measured(summaries: &[Summary]) -> String {
    metric(summaries).words()
}

/// Caption of `yield_voltage`.
pub(super) fn yield_voltage(points: &Averaged, scene: &Scene<'_>) -> String {
    let summaries = &points.summaries;
    let mut words = vec![
        "Fraction of chips whose accuracy is at or above the floor named at its curve, against supply voltage."
            .to_owned(),
        sample(points),
    ];
    if points.trainings > 1 {
        words.push("Each training has a floor of its own; the name has their mean.".into());
    }
    words.push(if points.trainings == 1 {
        "Bars: 95 % Clopper-Pearson interval of the fraction; the series stand side by side at each voltage.".into()
    } else {
        "Bars: from the lowest to the highest end of the trainings' 95 % Clopper-Pearson intervals; the series stand \
         side by side at each voltage."
            .into()
    });
    words.extend(scene.focus.words());
    words.extend(hatched(summaries));
    words.join(" ")
}

/// Caption of `memory_model`.
pub(super) fn memory_model(curves: &[MemoryCurve]) -> String {
    let names: Vec<_> = curves
        .iter()
        .map(|c| format!("{} ({})", c.name, c.title))
        .collect();
    let mut words = vec![format!(
        "Bit error rate, and energy of one bit access relative to the error-free voltage, against supply voltage: {}.",
        names.join("; ")
    )];
    if curves.iter().any(|c| !c.measured.is_empty()) {
        words.push("Markers: measured points.".into());
    }
    for (source, meaning) in [
        (
            BerSource::Measured,
            "Solid: inside the measured span, interpolated in probit space.",
        ),
        (
            BerSource::Censored,
            "Dashed: between the lowest measured rate and the error-free voltage, the probit line continued.",
        ),
        (
            BerSource::Extrapolated,
            "Dotted: below the measured span, the last slope continued; not measured.",
        ),
        (
            BerSource::ErrorFree,
            "The vertical line is the error-free voltage: no failing cell from there upwards.",
        ),
    ] {
        if occurs(curves, source) {
            words.push(meaning.into());
        }
    }
    words.join(" ")
}

/// Trainings, chips and images of the points.
fn sample(points: &Averaged) -> String {
    let summaries = &points.summaries;
    let span = |of: &dyn Fn(&Summary) -> u64, one: &str, many: &str| {
        let (low, high) = summaries
            .iter()
            .map(of)
            .fold((u64::MAX, 0), |(l, h), n| (l.min(n), h.max(n)));
        match (low, high) {
            (1, 1) => format!("1 {one}"),
            (low, high) if low == high => format!("{low} {many}"),
            (low, high) => format!("{low} to {high} {many}"),
        }
    };
    let samples: BTreeSet<(u64, u64)> = summaries
        .iter()
        .map(|s| (s.images, s.test_images))
        .collect();
    let own = summaries
        .iter()
        .any(|s| s.is_two_level() && s.images < s.test_images);
    let images = match samples.iter().next() {
        Some((used, all)) if samples.len() == 1 && used < all => {
            format!("{used} of {all} test images")
        }
        _ => span(&|s| s.images, "test image", "test images"),
    };
    let datasets: BTreeSet<&str> = summaries
        .iter()
        .map(|s| s.design.dataset.as_str())
        .collect();
    format!(
        "Each point: {}{}, {images} of {}{}.",
        match points.trainings {
            1 => String::new(),
            most => format!("mean of up to {most} trainings of the method on "),
        },
        span(&|s| s.chips, "simulated chip", "simulated chips"),
        datasets.into_iter().collect::<Vec<_>>().join(", "),
        if own { ", drawn for each chip" } else { "" }
    )
}

/// How the intervals of the figures over voltage and rate are drawn.
fn over_voltage(scene: &Scene<'_>) -> Intervals {
    curves::intervals(&scene.facets_over_voltage(|s| s.name.clone()), true)
}

/// What the intervals of means are; as bars they are those of some points alone.
fn means(points: &Averaged, intervals: Intervals) -> String {
    let words = bands(points);
    match intervals {
        Intervals::Bands { .. } => words,
        Intervals::Bars => words.replacen("Bands:", "Bars, at some points of each curve:", 1),
    }
}

fn bands(points: &Averaged) -> String {
    let summaries = &points.summaries;
    if points.trainings > 1 {
        return "Bands: 95 % interval of the mean accuracy of the method, trainings and chips as random effects; where a \
                method has one training, over its chips."
            .into();
    }
    let student = summaries.iter().any(|s| s.student.is_some());
    let bootstrap = summaries
        .iter()
        .any(|s| s.student.is_none() && s.bootstrap.is_some());
    let bands = match (student, bootstrap) {
        (true, false) => "Bands: 95 % Student-t interval of the mean over chips",
        (true, true) => {
            "Bands: 95 % interval of the mean over chips, Student-t where there is one, else percentile bootstrap"
        }
        (false, true) => "Bands: 95 % percentile bootstrap interval of the mean over chips",
        (false, false) => return "One chip gives no interval over chips, so no band is drawn.".into(),
    };
    let subset = summaries.iter().any(|s| !s.image_sample().is_whole());
    let own = summaries.iter().any(Summary::is_two_level);
    format!(
        "{bands}{}{}.",
        if subset {
            ", widened by the choice of test images"
        } else {
            ""
        },
        if own {
            ", in which the choice of each chip's images is included"
        } else {
            ""
        }
    )
}

fn whiskers(summaries: &[Summary], intervals: Intervals) -> Option<String> {
    let known = |s: &Summary| s.chips > 1 && s.quantiles.is_some();
    let is_drawn = intervals == Intervals::Bands { whiskers: true } && summaries.iter().any(known);
    is_drawn.then(|| "Bars: 5 to 95 % quantiles over chips, series side by side.".into())
}

fn hollow(summaries: &[Summary]) -> Option<String> {
    summaries.iter().any(Summary::is_extrapolated).then(|| {
        "Hollow markers: the bit error rate is extrapolated below the measured span.".into()
    })
}

fn hatched(summaries: &[Summary]) -> Option<String> {
    let words =
        "Hatched, with hollow markers: below the measured span, where the bit error rate is extrapolated.";
    summaries
        .iter()
        .any(Summary::is_extrapolated)
        .then(|| words.into())
}
