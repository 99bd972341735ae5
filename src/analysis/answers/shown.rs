//! What a sweep shows of the voltage that keeps an accuracy, beyond what its means suggest: that alone which intervals
//! decide.

use super::{Answer, Question, Summary};
use crate::stats::ROUNDING;

/// Between which voltages the limit of a series lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shown<'a> {
    /// The lowest voltage shown to keep the accuracy, as every higher one is: what it saves is the least.
    pub holding: &'a Summary,
    /// The lowest voltage that may keep it, above the highest that is shown not to: what it saves is the most. `None` where
    /// none is shown not to.
    pub possible: Option<&'a Summary>,
}

/// What the points of the series of an answer show of its accuracy loss: that a mean over chips reaches the target, where the
/// lower end of its 95 % interval does, and that it misses it, where the upper end does. `None` where no voltage is shown
/// to hold, and of a yield.
pub fn shown<'a>(answer: &Answer, summaries: &'a [Summary]) -> Option<Shown<'a>> {
    let Question::Loss { target, .. } = answer.question else {
        return None;
    };
    let of_series = summaries.iter().filter(|point| is_of(answer, point));
    let mut points: Vec<&Summary> = of_series.collect();
    points.sort_by(|a, b| {
        b.design
            .voltage
            .unwrap_or(0.0)
            .total_cmp(&a.design.voltage.unwrap_or(0.0))
    });
    let holding = points
        .iter()
        .take_while(|point| point.shows(target))
        .last()?;
    let failing = points.iter().position(|point| point.shows_less(target));
    let possible = failing.map(|failing| points[failing.saturating_sub(1)]);
    Some(Shown { holding, possible })
}

fn is_of(answer: &Answer, point: &Summary) -> bool {
    let (series, design) = (&answer.series, &point.design);
    design.voltage.is_some()
        && !point.is_extrapolated()
        && (&design.model, design.method, design.bits)
            == (&series.model, series.method, series.bits)
        && (&design.memory, &design.array) == (&series.memory, &series.array)
        && (design.protection, point.floor) == (series.protection, series.floor)
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
