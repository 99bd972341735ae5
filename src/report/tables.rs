//! The tables of the page, one row per line of the stored tables, per cent where a reader expects it.

use super::grid::Grid;
use super::words::{
    accuracy, bit_error_rate, column_voltage, energy, four_decimals, mean, mean_interval, points,
    signed, source, source_name, span, width,
};
use super::Report;
use crate::analysis::{
    metric, Frontier, MethodDifference, Objectives, ProtectedLoss, Saving, Summary,
};
use crate::fault::{ArrayLabel, FaultLabel, KindName};
use crate::figure::{evenly, number, percent, rate, series_labels, MOST_SHOWN};
use crate::quant::MethodLabel;
use crate::stats::Interval;
use crate::sweep::{ActivationSupply, EnergyRow};

/// Least energy per loss and method.
pub(super) fn savings(report: &Report) -> Grid {
    let baseline = report.pareto.baseline.map_or("baseline", MethodLabel::name);
    let mut rows: Vec<&Saving> = report.pareto.savings.iter().collect();
    let spent = |s: &Saving| {
        s.ground()
            .map_or(f64::INFINITY, |p| p.design.energy_relative)
    };
    rows.sort_by(|a, b| {
        a.loss
            .total_cmp(&b.loss)
            .then(spent(a).total_cmp(&spent(b)))
    });
    let same = |a: &&Saving, b: &&Saving| a.loss == b.loss;
    Grid::of(&rows)
        .groups(|s| s.loss.to_bits())
        .marked(|row| is_least(&rows, row, same, |s| spent(s)))
        .text("Method", |s| &s.method)
        .number("Loss", |s| points(s.loss))
        .number("Saving to 8 bit (%)", |s| {
            on_ground(s, s.saving_to_reference)
        })
        .number(format!("Saving to {baseline} (%)"), |s| {
            on_ground(s, s.saving_to_baseline)
        })
        .number("Energy", |s| s.ground().map(energy))
        .number("Voltage", |s| s.ground().map(column_voltage))
        .number("Mean (%)", |s| s.ground().map(mean))
        .number("95 % interval (%)", |s| s.ground().and_then(mean_interval))
        .text("Shown", |s| s.ground().map(|p| yes(p.shows(s.target))))
        .number("Target (%)", |s| percent(s.target))
        .text("Design point", |s| s.ground().map(|p| &p.design.design_id))
        .grid()
}

/// True for a row that needs the least energy of those with the `same` question, where another one needs more;
/// the energy of a row that reaches nothing is infinite.
pub(super) fn is_least<R>(
    rows: &[R],
    row: &R,
    same: impl Fn(&R, &R) -> bool,
    energy: impl Fn(&R) -> f64,
) -> bool {
    let others = || rows.iter().filter(|other| same(row, other)).map(&energy);
    let own = energy(row);
    own.is_finite() && others().all(|other| other >= own) && others().any(|other| other > own)
}

fn on_ground(saving: &Saving, fraction: Option<f64>) -> Option<String> {
    saving.ground().and(fraction).map(percent)
}

fn yes(is_so: bool) -> &'static str {
    if is_so {
        "yes"
    } else {
        "no"
    }
}

/// Protections side by side.
pub(super) fn protections(rows: &[ProtectedLoss<'_>]) -> Grid {
    let mut rows: Vec<&ProtectedLoss<'_>> = rows.iter().collect();
    let spent = |r: &ProtectedLoss<'_>| {
        let point = r.cheapest;
        point.map_or(f64::INFINITY, |point| point.design.energy_relative)
    };
    for group in rows.chunk_by_mut(|a, b| (&a.name, a.loss) == (&b.name, b.loss)) {
        group.sort_by(|a, b| spent(a).total_cmp(&spent(b)));
    }
    let same =
        |a: &&ProtectedLoss<'_>, b: &&ProtectedLoss<'_>| (&a.name, a.loss) == (&b.name, b.loss);
    let measured = metric(rows.iter().filter_map(|r| r.cheapest)).title();
    Grid::of(&rows)
        .groups(|r| (&r.name, r.loss.to_bits()))
        .marked(|row| is_least(&rows, row, same, |r| spent(r)))
        .text("Model", |r| &r.name)
        .text("Protection", |r| r.protection)
        .number("Loss", |r| points(r.loss))
        .number("Energy", |r| {
            let point = r.cheapest?;
            Some(energy(point) + mark(r.beyond.is_some()))
        })
        .number("Area", |r| {
            r.cheapest.map(|p| number(p.design.area_relative))
        })
        .number("Voltage", |r| match r.cheapest {
            Some(point) => column_voltage(point),
            None => format!("not reached{}", mark(r.beyond.is_some())),
        })
        .number(format!("{measured} (%)"), |r| r.cheapest.map(mean))
        .number("95 % interval (%)", |r| r.cheapest.and_then(mean_interval))
        .text("Shown", |r| r.cheapest.map(|p| yes(p.shows(r.target))))
        .number("Target (%)", |r| percent(r.target))
        .number("Bit error rate", |r| r.cheapest.map(bit_error_rate))
        .grid()
}

/// The sign of what stands on extrapolated ground.
pub(super) fn mark(extrapolated: bool) -> &'static str {
    if extrapolated {
        " †"
    } else {
        ""
    }
}

/// Paired differences of methods where there are faults.
pub(super) fn differences(rows: &[&MethodDifference]) -> Grid {
    let places: [fn(&MethodDifference) -> &str; 3] = [
        |row| &row.setting.memory,
        |row| row.setting.array.as_str(),
        |row| row.setting.protection.name(),
    ];
    let varying = places
        .into_iter()
        .filter(|of| rows.windows(2).any(|pair| of(pair[0]) != of(pair[1])));
    let varying: Vec<_> = varying.collect();
    let setting = |row: &MethodDifference| {
        let words = row
            .setting
            .activations
            .as_ref()
            .map(ActivationSupply::in_words);
        let parts = varying.iter().map(|of| of(row).to_owned()).chain(words);
        let parts: Vec<String> = parts.collect();
        Some(parts.join(", ")).filter(|_| !parts.is_empty())
    };
    let interval =
        |i: Option<Interval>| i.map(|i| format!("{} to {}", signed(i.low), signed(i.high)));
    Grid::of(rows)
        .groups(|row| {
            let own = &row.setting;
            (setting(row), own.bits, own.voltage.to_bits())
        })
        .text("Setting", |row| setting(row))
        .number("Bits", |row| width(row.setting.bits))
        .number("Voltage", |row| {
            let unit = row.setting.voltage_unit.symbol();
            format!("{} {unit}", number(row.setting.voltage))
        })
        .number("Bit error rate", |row| rate(row.setting.ber))
        .text("Methods", |row| {
            format!("{} less {}", row.method, row.other)
        })
        .number("Accuracies (%)", |row| {
            format!("{} and {}", accuracy(row.mean), accuracy(row.other_mean))
        })
        .number("Difference (points)", |row| signed(row.difference))
        .number("95 %, chips", |row| interval(row.student))
        .number("95 %, chips and trainings", |row| {
            interval(row.of_trainings)
        })
        .grid()
}

/// At most so many points of a frontier, evenly spread.
pub(super) fn frontier(frontier: &Frontier, most: usize) -> Grid {
    let shown = evenly(frontier.points.len(), most);
    let points: Vec<_> = shown.iter().map(|&i| &frontier.points[i]).collect();
    Grid::of(&points)
        .text("Design point", |p| &p.summary.design.design_id)
        .number("Voltage", |p| column_voltage(&p.summary))
        .number("Bit error rate", |p| bit_error_rate(&p.summary))
        .text("Source", |p| source(&p.summary))
        .number("Energy", |p| energy(&p.summary))
        .number("Mean (%)", |p| mean(&p.summary))
        .number("95 % interval (%)", |p| mean_interval(&p.summary))
        .number("On the frontier (%)", |p| percent(p.probability))
        .grid()
}

/// A memory with its rates at the swept voltages, and where the rates come from.
pub(super) struct MemoryRates<'a> {
    pub(super) memory: &'a str,
    pub(super) fault_kind: &'a FaultLabel,
    pub(super) meaning: &'static str,
    pub(super) array: &'a ArrayLabel,
    pub(super) rates: Grid,
}

/// Rates of stored activations at their own voltages.
pub(super) fn of_activations(summaries: &[Summary]) -> Grid {
    let mut supplies: Vec<&ActivationSupply> = summaries
        .iter()
        .filter_map(|s| s.design.activations.as_ref())
        .collect();
    supplies.sort();
    supplies.dedup();
    Grid::of(&supplies)
        .text("Memory of activations", |own| &own.memory)
        .number("Voltage", |own| {
            format!("{:.3} {}", own.voltage, own.voltage_unit.symbol())
        })
        .number("Bit error rate", |own| rate(own.ber))
        .text("Source", |own| source_name(own.ber_source))
        .text("Protection", |own| own.protection)
        .grid()
}

/// The memories of the design points.
pub(super) fn memories(summaries: &[Summary]) -> Vec<MemoryRates<'_>> {
    let mut sorted: Vec<&Summary> = summaries.iter().collect();
    sorted.sort_by(|a, b| {
        let memories = memory_of(a).cmp(&memory_of(b));
        memories.then(a.design.by_voltage(&b.design))
    });
    let groups = sorted.chunk_by(|a, b| memory_of(a) == memory_of(b));
    groups
        .map(|group| {
            let first = &group[0].design;
            let mut points: Vec<&Summary> = group.to_vec();
            points.retain(|s| s.design.voltage.is_some());
            points.dedup_by(|a, b| a.design.voltage == b.design.voltage);
            MemoryRates {
                memory: &first.memory,
                fault_kind: &first.fault_kind,
                meaning: meaning(&first.fault_kind),
                array: &first.array,
                rates: rates(&points),
            }
        })
        .collect()
}

fn memory_of(summary: &Summary) -> (&str, &FaultLabel, &ArrayLabel) {
    let design = &summary.design;
    (&design.memory, &design.fault_kind, &design.array)
}

fn meaning(fault_kind: &FaultLabel) -> &'static str {
    match fault_kind.kind() {
        Some(KindName::Flip) => "a failing cell inverts its bit",
        Some(KindName::Stuck) => "a failing cell reads a fixed value",
        Some(KindName::Biased) => {
            "failing cells invert their bit, stored 0s and 1s at different rates"
        }
        None => "measured statistics of a chip: biased flips, of which a part is persistent",
    }
}

fn rates(points: &[&Summary]) -> Grid {
    let access = "Energy per access, relative to the error-free voltage";
    Grid::of(points)
        .number("Voltage", |s| {
            let (own, unit) = (s.design.voltage?, s.design.voltage_unit.symbol());
            Some(format!("{own:.3} {unit}"))
        })
        .number("Bit error rate", |s| s.design.ber.map(rate))
        .text("Source", |s| source_name(s.design.ber_source))
        .number(access, |s| {
            s.design.access_energy_relative.map(four_decimals)
        })
        .grid()
}

/// Failing cells as they were drawn, beside the bit error rate of the curve.
pub(super) fn drawn(report: &Report) -> Grid {
    // four digits: intervals of many cells are narrow
    let digits = |rate: f64| format!("{rate:.3e}");
    Grid::of(&report.fault_counts)
        .groups(|c| (&c.model, c.voltage.0.to_bits()))
        .text("Model", |c| &c.model)
        .text("Protection", |c| c.protection)
        .text("Array", |c| &c.array)
        .number("Voltage", |c| format!("{:.3} {}", c.voltage.0, c.voltage.1))
        .number("Bit error rate of the curve", |c| digits(c.ber))
        .number("Failing cells", |c| c.failing)
        .number("of cells", |c| c.cells)
        .number("Bit error rate as drawn", |c| digits(c.rate()))
        .number("95 % interval", |c| {
            format!("{} to {}", digits(c.interval.low), digits(c.interval.high))
        })
        .text(
            "holds the curve's",
            |c| if c.holds() { "yes" } else { "no" },
        )
        .grid()
}

/// Design points by accuracy, energy and time, those that are unbeaten on most chips first.
pub(super) fn objectives(report: &Report) -> Grid {
    let known = report
        .objectives
        .iter()
        .filter_map(|own| Some((own, report.summaries.get(own.place)?)));
    let mut rows: Vec<(&Objectives, &Summary)> = known.collect();
    rows.sort_by(|(a, _), (b, _)| {
        let unbeaten = b.unbeaten.total_cmp(&a.unbeaten);
        unbeaten.then_with(|| a.energy_pj.total_cmp(&b.energy_pj))
    });
    let measured = metric(&report.summaries).title();
    Grid::of(&rows)
        .text("Model", |(_, s)| &s.design.model)
        .text("Protection", |(_, s)| s.design.protection)
        .number("V", |(_, s)| s.design.voltage.map(number))
        .number(format!("{measured} (%)"), |(_, s)| mean(s))
        .number("Energy (pJ)", |(own, _)| picojoules(own.energy_pj))
        .number("Time (ns)", |(own, _)| format!("{:.0}", 1e9 * own.seconds))
        .number("Unbeaten on (% of chips)", |(own, _)| {
            format!("{:.0}", 100.0 * own.unbeaten)
        })
        .grid()
}

/// The terms of a design point's energy with their sum.
pub(super) fn terms(own: &[&EnergyRow]) -> Grid {
    let total = own.iter().map(|row| row.term.energy_relative).sum();
    let sum =
        |of: fn(&EnergyRow) -> Option<f64>| own.iter().map(|row| of(row)).sum::<Option<f64>>();
    let (access, leakage) = (
        sum(|row| row.term.access_pj),
        sum(|row| row.term.leakage_pj),
    );
    let first = own.first().map(|row| &row.term);
    let rows: Vec<Option<&EnergyRow>> = own.iter().copied().map(Some).chain([None]).collect();
    Grid::of(&rows)
        .groups(Option::is_none)
        .text("Layer", |row| row.map_or("sum", |row| &row.term.layer))
        .text("Cells", |row| row.map(|row| row.term.cells.name()))
        .number("n", |row| row.map(|row| row.term.weights))
        .number("b", |row| row.map(|row| number(row.term.bits)))
        .number("c", |row| row.map(|row| number(row.term.overhead_bits)))
        .number("r", |row| row.map(|row| number(row.term.reads)))
        .number("V", |row| {
            row.map(|row| format!("{} {}", number(row.term.voltage), row.voltage_unit.symbol()))
        })
        .number("e(V)", |row| {
            row.map(|row| four_decimals(row.term.access_energy_relative))
        })
        .number("f", |row| row.map(|row| number(row.term.energy_factor)))
        .number("Energy", |row| {
            four_decimals(row.map_or(total, |row| row.term.energy_relative))
        })
        .number("Accesses (pJ)", |row| {
            row.map_or(access, |row| row.term.access_pj).map(picojoules)
        })
        .only_if(first.is_some_and(|term| term.access_pj.is_some()))
        .number("Leakage (pJ)", |row| {
            row.map_or(leakage, |row| row.term.leakage_pj)
                .map(picojoules)
        })
        .only_if(first.is_some_and(|term| term.leakage_pj.is_some()))
        .grid()
}

fn picojoules(energy: f64) -> String {
    // four decimals would show it as 0
    if energy < 1e-3 {
        format!("{energy:.2e}")
    } else {
        number(energy)
    }
}

/// Every design point, by series and rising voltage.
pub(super) fn summaries(summaries: &[Summary]) -> Grid {
    let labels = series_labels(summaries);
    let mut rows: Vec<(String, &Summary)> = labels.into_iter().zip(summaries).collect();
    rows.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.design.by_voltage(&b.1.design)));
    let absolute = summaries.iter().any(|s| s.design.energy_pj.is_some());
    Grid::of(&rows)
        .groups(|(label, _)| label)
        .text("Series", |(label, _)| label)
        .number("Voltage", |(_, s)| column_voltage(s))
        .number("Bit error rate", |(_, s)| {
            bit_error_rate(s) + mark(s.is_extrapolated())
        })
        .number("Mean (%)", |(_, s)| mean(s))
        .number("95 % interval (%)", |(_, s)| mean_interval(s))
        .number("5 to 95 % of chips (%)", |(_, s)| {
            s.quantiles.map(|of| span(of.p05, of.p95))
        })
        .number("Min (%)", |(_, s)| s.quantiles.map(|of| accuracy(of.min)))
        .number("Yield (%)", |(_, s)| {
            s.quantiles.map(|of| percent(of.yield_share))
        })
        .number("95 % interval (%)", |(_, s)| {
            let ends = s.quantiles?.yield_interval;
            Some(format!("{} to {}", percent(ends.low), percent(ends.high)))
        })
        .number("Floor (%)", |(_, s)| percent(s.floor))
        .number("Energy", |(_, s)| energy(s))
        .number("Energy (pJ)", |(_, s)| {
            s.design.energy_pj.map(|energy| format!("{energy:.1}"))
        })
        .only_if(absolute)
        .number("Area", |(_, s)| number(s.design.area_relative))
        .number("Chips", |(_, s)| s.chips)
        .text("Stopped by", |(_, s)| s.stopped_by.name())
        .grid()
}

/// Most points of each frontier that the page shows.
pub(super) fn most_of_each(frontiers: &[Frontier]) -> usize {
    (MOST_SHOWN / frontiers.len().max(1)).max(20)
}
