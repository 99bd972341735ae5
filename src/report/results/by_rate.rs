//! Tables by bit error rate: mean accuracies, and the first method less each other one.

use super::super::grid::{Cell, Grid};
use super::super::words::{accuracy, signed, width};
use super::{first_less_others, means_at, Place, ResultSweep};
use crate::analysis::{MethodDifference, MethodMean, Summary, Verdict};
use crate::figure::rate;
use crate::stats::Interval;
use crate::units::{BerSource, Bits};
use std::collections::{BTreeMap, BTreeSet};

/// A table with a column for each bit error rate.
pub(super) struct RateTable {
    pub(super) grid: Grid,
    /// Whether a rate is extrapolated.
    pub(super) extrapolated: bool,
}

/// Width and name of a line, or array and model: what it is sorted by.
type Line<'a> = (Option<Bits>, &'a str, &'a str);

/// Cells by line and bit error rate.
#[derive(Default)]
struct Cells<'a> {
    /// By the bits of the rate, which sort like the numbers: rates are not negative.
    rates: BTreeMap<u64, String>,
    cells: BTreeMap<(Line<'a>, u64), String>,
    extrapolated: bool,
}

impl<'a> Cells<'a> {
    fn add(&mut self, line: Line<'a>, (ber, source): (f64, BerSource), cell: String) {
        let extrapolated = source == BerSource::Extrapolated;
        let mark = if extrapolated { " †" } else { "" };
        self.extrapolated |= extrapolated;
        self.rates
            .insert(ber.to_bits(), format!("{}{mark}", rate(ber)));
        self.cells.insert((line, ber.to_bits()), cell);
    }

    /// The table, with two cells that name each line under `names`.
    fn table(&self, names: [&str; 2], named: fn(&Line<'_>) -> [String; 2]) -> RateTable {
        let lines: BTreeSet<Line<'_>> = self.cells.keys().map(|(line, _)| *line).collect();
        let lines: Vec<Line<'_>> = lines.into_iter().collect();
        let mut grid = Grid::of(&lines)
            .text(names[0], |line| Cell::from(&named(line)[0]))
            .text(names[1], |line| Cell::from(&named(line)[1]));
        for (bits, title) in &self.rates {
            grid = grid.number(title, |line| self.cells.get(&(*line, *bits)));
        }
        RateTable {
            grid: grid.grid(),
            extrapolated: self.extrapolated,
        }
    }
}

/// A mean with half of its interval.
fn plus_minus(mean: f64, interval: Option<Interval>) -> String {
    let mut text = accuracy(mean);
    if let Some(interval) = interval {
        text += &format!(" ± {}", accuracy((interval.high - interval.low) / 2.0));
    }
    text
}

/// Mean accuracy of each model.
pub(super) fn by_model(summaries: &[Summary]) -> RateTable {
    let mut cells = Cells::default();
    for Summary {
        design,
        mean,
        student,
        ..
    } in summaries
    {
        let Some(ber) = design.ber else { continue };
        let line = (None, design.model.as_str(), design.array.as_str());
        cells.add(line, (ber, design.ber_source), plus_minus(*mean, *student));
    }
    cells.table(["Model", "Array"], |(_, model, array)| {
        [(*model).to_owned(), (*array).to_owned()]
    })
}

fn method_and_width((bits, method, _): &Line<'_>) -> [String; 2] {
    [(*method).to_owned(), width(*bits)]
}

/// Methods at one place: their means, and what can be said of the first of them.
pub(super) struct Means<'a> {
    pub(super) place: String,
    pub(super) means: RateTable,
    /// Most trainings of a method.
    pub(super) trainings: u64,
    pub(super) differences: Option<Differences<'a>>,
}

/// The first method less each other one.
pub(super) struct Differences<'a> {
    pub(super) table: RateTable,
    pub(super) verdicts: Vec<Verdicts<'a>>,
    /// Fewest trainings that a difference rests on.
    pub(super) trainings: u64,
}

/// The rates at which the first method is better, worse or neither than another one at a width.
pub(super) struct Verdicts<'a> {
    pub(super) other: &'a str,
    pub(super) width: String,
    /// Verdict and rates in words, without those that hold nowhere.
    pub(super) rates: Vec<String>,
}

impl<'a> Means<'a> {
    pub(super) fn of(sweep: &'a ResultSweep, place: &Place<'_>, compared: bool) -> Self {
        let means = means_at(sweep, place);
        let mut cells = Cells::default();
        for mean in &means {
            let MethodMean {
                setting,
                method,
                student,
                of_trainings,
                ..
            } = mean;
            let text = plus_minus(mean.mean, of_trainings.or(*student));
            let line = (setting.bits, method.name(), "");
            cells.add(line, (setting.ber, setting.ber_source), text);
        }
        let rows = first_less_others(sweep, place);
        Self {
            place: place.name(),
            means: cells.table(["Method", "Width"], method_and_width),
            trainings: means.iter().map(|mean| mean.trainings).max().unwrap_or(1),
            differences: (compared && !rows.is_empty()).then(|| Differences::of(&rows)),
        }
    }
}

impl<'a> Differences<'a> {
    fn of(rows: &[&'a MethodDifference]) -> Self {
        let mut cells = Cells::default();
        let mut lines: BTreeMap<(Option<Bits>, &str), Vec<&MethodDifference>> = BTreeMap::new();
        for row in rows {
            let mut text = signed(row.difference);
            if let Some(i) = row.interval() {
                text += &format!(" ({} to {})", signed(i.low), signed(i.high));
            }
            let (setting, other) = (&row.setting, row.other.name());
            let line = (setting.bits, other, "");
            cells.add(line, (setting.ber, setting.ber_source), text);
            lines.entry((setting.bits, other)).or_default().push(row);
        }
        let mut verdicts = Vec::new();
        for ((bits, other), mut rows) in lines {
            rows.sort_by(|a, b| a.setting.ber.total_cmp(&b.setting.ber));
            verdicts.push(Verdicts {
                other,
                width: width(bits),
                rates: verdict_rates(&rows),
            });
        }
        Self {
            table: cells.table(["Compared with", "Width"], method_and_width),
            verdicts,
            trainings: rows.iter().map(|row| row.trainings).min().unwrap_or(1),
        }
    }
}

fn verdict_rates(rows: &[&MethodDifference]) -> Vec<String> {
    let mut parts = Vec::new();
    for (verdict, words) in [
        (Verdict::Better, "better at"),
        (Verdict::Worse, "worse at"),
        (Verdict::Indistinguishable, "indistinguishable at"),
    ] {
        let own = rows.iter().filter(|row| row.verdict() == Some(verdict));
        let rates: Vec<String> = own.map(|row| rate(row.setting.ber)).collect();
        if !rates.is_empty() {
            parts.push(format!("{words} {}", rates.join(", ")));
        }
    }
    parts
}
