//! Remarks on what the numbers cover: trainings, test images, intervals, the scope of energy, and
//! the run's own notes.

use super::Report;
use crate::analysis::Summary;
use crate::figure::{escape, extrapolated, percent};
use crate::quant::MethodLabel;
use crate::units::Bits;
use std::collections::{BTreeMap, BTreeSet};

/// The remarks as a list.
pub(super) fn remarks(report: &Report) -> String {
    let summaries = &report.summaries;
    let mut remarks: Vec<String> = Vec::new();
    remarks.extend(trainings(summaries));
    remarks.extend(subsets(summaries));
    remarks.extend(images(summaries));
    remarks.push(
        "Intervals of the mean are about one network each: they say nothing about what another training would \
         have given."
            .into(),
    );
    remarks.push(
        "Energy is that of the accesses to the weight memory of one inference. Arithmetic, activation memory, \
         periphery and level shifters are not in it unless the memory model gives them, so the saving of a whole \
         chip is smaller."
            .into(),
    );
    if summaries.iter().any(extrapolated) {
        remarks.push(
            "Some points lie below the measured span of the memory model: their bit error rate is extrapolated, \
             they are hollow or hatched in the figures, and no saving rests on them."
                .into(),
        );
    }
    let memories: BTreeSet<&str> = summaries.iter().map(|s| s.design.memory.as_str()).collect();
    if memories.len() > 1 {
        remarks.push(
            "Several memory models are shown. Their voltages have different references, so points of different \
             memories are not comparable at equal voltage."
                .into(),
        );
    }
    remarks.extend(report.notes.iter().cloned());
    let items: String = remarks
        .iter()
        .map(|text| format!("<li>{}</li>\n", escape(text)))
        .collect();
    format!("<ul>\n{items}</ul>\n")
}

/// How many trainings stand behind each method and width.
fn trainings(summaries: &[Summary]) -> Option<String> {
    let mut models = BTreeMap::<(MethodLabel, Option<Bits>), BTreeSet<(&str, Option<u64>)>>::new();
    for d in summaries.iter().map(|s| &s.design) {
        let own = models.entry((d.method, d.bits)).or_default();
        own.insert((&d.model, d.training_seed));
    }
    let counts: Vec<String> = models
        .iter()
        .map(|((method, bits), own)| {
            let trainings = if own.len() == 1 {
                "training"
            } else {
                "trainings"
            };
            let width = bits.map_or("mixed bits".into(), |bits| format!("{bits} bit"));
            format!("{method} at {width}: {} {trainings}", own.len())
        })
        .collect();
    let alone = models.values().any(|own| own.len() == 1);
    let verdict = if alone {
        "A difference between methods that rests on one training of each may be chance: a claim about methods \
         needs several trainings."
    } else {
        "Differences between methods must be judged against the spread between trainings, not only over chips."
    };
    (!counts.is_empty()).then(|| format!("{}. {verdict}", counts.join("; ")))
}

/// What the choice of a part of the test images means for the numbers.
fn subsets(summaries: &[Summary]) -> Option<String> {
    let subset = summaries
        .iter()
        .map(Summary::image_sample)
        .filter(|sample| !sample.is_whole());
    let subsets: BTreeSet<String> = subset
        .map(|sample| format!("{} of {}", sample.used, sample.all))
        .collect();
    (!subsets.is_empty()).then(|| {
        format!(
            "Not all test images were used ({}). Intervals of the mean are those of the mean accuracy on all test \
             images: they include the choice of images, with the largest variance that it can have at such an \
             accuracy. Points on the same images share that choice, so they are told apart better than \
             their intervals say. Quantiles over chips, yields and their intervals are those on the images used.",
            subsets.into_iter().collect::<Vec<_>>().join(", ")
        )
    })
}

/// What the sampling of test images adds.
fn images(summaries: &[Summary]) -> Option<String> {
    let widest = summaries
        .iter()
        .filter_map(|s| s.image_half_width)
        .reduce(f64::max)?;
    let fewest = summaries.iter().map(|s| s.image_sample().used).min()?;
    Some(format!(
        "The test images are a sample too: as an estimate for images outside the test set, a mean has a 95 % \
         half-width of up to {} points from the sampling of {fewest} images alone. All points on the same images \
         share this part, and it is not in the bands.",
        percent(widest)
    ))
}
