//! What the remarks on the numbers need: trainings, test images, and whether rates were extrapolated.

use crate::analysis::Summary;
use crate::figure::percent;
use crate::quant::MethodLabel;
use crate::units::Bits;
use std::collections::{BTreeMap, BTreeSet};

/// What is remarked of the design points.
pub(super) struct Remarks {
    /// Method, width and number of trainings.
    pub(super) trainings: Vec<(MethodLabel, String, usize)>,
    /// Sizes of the subsets of test images, `500 of 10000`.
    pub(super) subsets: BTreeSet<String>,
    /// Widest half of an interval from the sampling of images in per cent, and the fewest images.
    pub(super) images: Option<(String, u64)>,
    pub(super) extrapolated: bool,
    pub(super) memories: usize,
}

impl Remarks {
    pub(super) fn of(summaries: &[Summary]) -> Self {
        let mut models =
            BTreeMap::<(MethodLabel, Option<Bits>), BTreeSet<(&str, Option<u64>)>>::new();
        let (mut subsets, mut memories) = (BTreeSet::new(), BTreeSet::new());
        for summary in summaries {
            let d = &summary.design;
            let own = models.entry((d.method, d.bits)).or_default();
            own.insert((&d.model, d.training_seed));
            memories.insert(d.memory.as_str());
            let sample = summary.image_sample();
            if !sample.is_whole() {
                subsets.insert(format!("{} of {}", sample.used, sample.all));
            }
        }
        let trainings = models.into_iter().map(|((method, bits), own)| {
            let width = bits.map_or("mixed bits".into(), |bits| format!("{bits} bit"));
            (method, width, own.len())
        });
        let half_widths = summaries.iter().filter_map(|s| s.image_half_width);
        let fewest = summaries.iter().map(|s| s.image_sample().used).min();
        Self {
            trainings: trainings.collect(),
            subsets,
            images: half_widths.reduce(f64::max).map(percent).zip(fewest),
            extrapolated: summaries.iter().any(Summary::is_extrapolated),
            memories: memories.len(),
        }
    }

    /// True where a method at a width was trained once.
    pub(super) fn is_alone(&self) -> bool {
        self.trainings.iter().any(|(.., trainings)| *trainings == 1)
    }

    pub(super) fn all_subsets(&self) -> String {
        let subsets: Vec<&str> = self.subsets.iter().map(String::as_str).collect();
        subsets.join(", ")
    }
}
