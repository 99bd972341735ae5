//! What a sweep shows of the voltage that keeps an accuracy, beyond what its means suggest: that alone which intervals
//! decide.

use super::{series_key, Answer, Question, SeriesKey, Summary};
use crate::stats::ROUNDING;
use std::collections::BTreeMap;

/// Between which voltages the limit of a series lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown<'a> {
    /// The lowest voltage shown to keep the accuracy, as every higher one is: what it saves is the least.
    pub holding: &'a Summary,
    /// The lowest voltage that may keep it, above the highest that is shown not to: what it saves is the most. `None` where
    /// none is shown not to.
    pub possible: Option<&'a Summary>,
}

/// Design points by voltage series, falling in voltage; without those whose rate is extrapolated.
#[derive(Debug)]
pub struct SeriesPoints<'a>(BTreeMap<SeriesKey<'a>, Vec<&'a Summary>>);

impl<'a> SeriesPoints<'a> {
    /// Sorts design points into their series.
    pub fn of(summaries: &'a [Summary]) -> Self {
        let mut all: BTreeMap<SeriesKey<'a>, Vec<&'a Summary>> = BTreeMap::new();
        for point in summaries {
            if point.design.voltage.is_some() && !point.is_extrapolated() {
                all.entry(series_key(point)).or_default().push(point);
            }
        }
        for points in all.values_mut() {
            points.sort_by(|a, b| b.design.by_voltage(&a.design));
        }
        Self(all)
    }

    /// What the points of the series of an answer show of its accuracy loss: that a mean over chips reaches the target, where
    /// the lower end of its 95 % interval does, and that it misses it, where the upper end does. `None` where no voltage is
    /// shown to hold, and of a yield.
    pub fn shown(&self, answer: &Answer) -> Option<Shown<'a>> {
        let Question::Loss { target, .. } = answer.question else {
            return None;
        };
        // where no mean reaches the target none is shown to
        let points = self.0.get(&series_key(answer.point.as_ref()?))?;
        let holding = points
            .iter()
            .take_while(|point| point.shows(target))
            .last()?;
        let failing = points.iter().position(|point| point.shows_less(target));
        let possible = failing.map(|failing| points[failing.saturating_sub(1)]);
        Some(Shown { holding, possible })
    }
}

impl Summary {
    /// Whether it shows that its mean accuracy reaches a target: where no cell can fail every chip is like those that were
    /// seen, else the lower end of the 95 % interval must.
    pub fn shows(&self, target: f64) -> bool {
        let least = if self.design.can_fail() {
            self.student.map(|interval| interval.low)
        } else {
            Some(self.mean)
        };
        least.is_some_and(|least| least >= target - ROUNDING)
    }

    fn shows_less(&self, target: f64) -> bool {
        let most = self.student.map_or(1.0, |interval| interval.high);
        most < target
    }
}
