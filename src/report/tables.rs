//! The tables of the page, one row per line of the stored tables, per cent where a reader expects it.

use super::{answer, Report};
use crate::analysis::{FrontierPoint, Summary};
use crate::fault::KindName;
use crate::figure::{
    escape, evenly, extrapolated, interval, number, percent, rate, series_labels, MOST_SHOWN,
};
use crate::quant::MethodLabel;
use crate::units::BerSource;

/// One cell.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// Words, to the left.
    Text(String),
    /// A number, to the right.
    Number(String),
    /// Nothing was measured.
    None,
}

/// A row; `first` of a group has a line above.
pub(super) fn row(cells: &[Cell], first: bool) -> String {
    let cell = |cell: &Cell| match cell {
        Cell::Text(text) => format!("<td class=\"text\">{}</td>", escape(text)),
        Cell::Number(text) => format!("<td>{}</td>", escape(text)),
        Cell::None => "<td class=\"none\">–</td>".to_owned(),
    };
    let cells: String = cells.iter().map(cell).collect();
    format!(
        "<tr{}>{cells}</tr>\n",
        if first { " class=\"first\"" } else { "" }
    )
}

/// The head of a table: titles, and whether words stand under them.
pub(super) fn head(titles: &[(&str, bool)]) -> String {
    let cell = |(title, text): &(&str, bool)| {
        format!(
            "<th{} scope=\"col\">{}</th>",
            if *text { " class=\"text\"" } else { "" },
            escape(title)
        )
    };
    format!(
        "<thead><tr>{}</tr></thead>\n",
        titles.iter().map(cell).collect::<String>()
    )
}

/// `0.85 V/Vmin`; `0.8 to 0.9 V/Vmin` where domains have their own.
pub(super) fn voltage(summary: &Summary) -> String {
    format!(
        "{} {}",
        voltages(summary, number),
        summary.design.voltage_unit.symbol()
    )
}

/// A voltage, or the span of several.
fn voltages(summary: &Summary, text: impl Fn(f64) -> String) -> String {
    let design = &summary.design;
    let all = design
        .voltage
        .into_iter()
        .chain(design.domain_voltages.iter().map(|d| d.voltage));
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    if low < high {
        format!("{} to {}", text(low), text(high))
    } else {
        text(low)
    }
}

/// A bit error rate in words.
pub(super) fn bit_error_rate(summary: &Summary) -> String {
    summary.design.ber.map_or("by domain".into(), rate)
}

/// The voltage with three decimals, so that a column lines up.
pub(super) fn column_voltage(summary: &Summary) -> Cell {
    let text = voltages(summary, |voltage| format!("{voltage:.3}"));
    Cell::Number(format!("{text} {}", summary.design.voltage_unit.symbol()))
}

/// An energy relative to its reference, with four decimals.
pub(super) fn energy(relative: f64) -> Cell {
    Cell::Number(format!("{relative:.4}"))
}

/// `0.5 points`.
pub(super) fn points(loss: f64) -> String {
    let value = number(100.0 * loss);
    format!("{value} {}", if value == "1" { "point" } else { "points" })
}

/// Where a rate comes from, in a word.
pub(super) fn source(source: BerSource) -> &'static str {
    match source {
        BerSource::Measured => "measured",
        BerSource::Censored => "censored",
        BerSource::ErrorFree => "error-free",
        BerSource::Extrapolated => "extrapolated",
    }
}

/// The ends of an interval of accuracies in per cent.
pub(super) fn span(low: f64, high: f64) -> Cell {
    Cell::Number(format!("{} to {}", accuracy(low), accuracy(high)))
}

/// An accuracy in per cent with two decimals: intervals of many chips are narrower than a tenth.
pub(super) fn accuracy(fraction: f64) -> String {
    format!("{:.2}", 100.0 * fraction)
}

/// A table with a caption under it.
pub(super) fn table(head: &str, rows: &[String], caption: &str) -> String {
    let (rows, left_out) = thinned(rows, MOST_SHOWN);
    let caption = escape(caption);
    format!(
        "<div class=\"scroll\"><table>\n{head}{rows}</table></div>\n<p class=\"caption\">{caption}</p>\n{left_out}"
    )
}

/// At most so many rows, evenly spread, and a paragraph that says so where they are not all.
pub(super) fn thinned(rows: &[String], most: usize) -> (String, String) {
    let shown = evenly(rows.len(), most);
    let left_out = match shown.len() < rows.len() {
        true => format!(
            "<p class=\"caption\">Shown are {} of {} rows, evenly spread; all are in the tables of the run \
             (<code>summary.csv</code> for design points).</p>\n",
            shown.len(),
            rows.len()
        ),
        false => String::new(),
    };
    let text = shown.into_iter().map(|place| rows[place].as_str());
    (text.collect(), left_out)
}

/// Least energy per loss and method.
pub(super) fn savings(report: &Report) -> String {
    let savings = &report.pareto.savings;
    if savings.is_empty() {
        return "<p>No target accuracy was set.</p>\n".into();
    }
    let baseline = report.pareto.baseline;
    let to = format!(
        "Saving to {} (%)",
        baseline.map_or("baseline", MethodLabel::name)
    );
    let head = head(&[
        ("Loss", false),
        ("Target (%)", false),
        ("Method", true),
        ("Design point", true),
        ("Voltage", false),
        ("Mean (%)", false),
        ("95 % interval (%)", false),
        ("Energy", false),
        (&to, false),
        ("Saving to 8 bit (%)", false),
    ]);
    let mut rows = Vec::new();
    let mut last = None;
    for saving in savings {
        let first = last.is_some_and(|loss| loss != saving.loss);
        last = Some(saving.loss);
        let point = answer::ground(saving);
        let of = |f: &dyn Fn(&Summary) -> Cell| point.map_or(Cell::None, f);
        let share = |share: Option<f64>| match (point, share) {
            (Some(_), Some(share)) => Cell::Number(percent(share)),
            _ => Cell::None,
        };
        rows.push(row(
            &[
                Cell::Number(points(saving.loss)),
                Cell::Number(percent(saving.target)),
                Cell::Text(saving.method.to_string()),
                of(&|p| Cell::Text(p.design.design_id.clone())),
                of(&|p| column_voltage(p)),
                of(&|p| Cell::Number(accuracy(p.mean))),
                of(&|p| interval(p).map_or(Cell::None, |i| span(i.low, i.high))),
                of(&|p| energy(p.design.energy_relative)),
                share(saving.saving_to_baseline),
                share(saving.saving_to_reference),
            ],
            first,
        ));
    }
    let caption =
        "The cheapest swept point of each method whose mean accuracy reaches the target, on measured \
                   ground only. Energy: accesses to the weight memory per inference, relative to the same \
                   architecture at 8 bits, unprotected, at the error-free voltage. – : no such point.";
    table(&head, &rows, caption)
}

/// The frontiers, all methods first.
pub(super) fn frontiers(report: &Report) -> String {
    let mut out = String::new();
    for frontier in &report.pareto.frontiers {
        let all = || "All methods together".to_owned();
        let name = frontier
            .method
            .as_ref()
            .map_or_else(all, ToString::to_string);
        out += &format!("<h3>{}</h3>\n", escape(&name));
        let head = head(&[
            ("Design point", true),
            ("Voltage", false),
            ("Bit error rate", false),
            ("Source", true),
            ("Energy", false),
            ("Mean (%)", false),
            ("95 % interval (%)", false),
            ("On the frontier (%)", false),
        ]);
        let points = &frontier.points;
        let each = (MOST_SHOWN / report.pareto.frontiers.len()).max(20);
        let shown = evenly(points.len(), each);
        let rows: Vec<String> = shown.iter().map(|&i| frontier_row(&points[i])).collect();
        let mut caption = format!(
            "Hypervolume {} against energy 1 and chance ({} %). Last column: share of paired bootstrap resamples \
             of the chips in which the point is on this frontier.",
            number(frontier.hypervolume),
            percent(report.pareto.chance)
        );
        if rows.len() < points.len() {
            caption += &format!(
                " Shown are {} of {} points, evenly spread; all are in pareto.csv of the run.",
                rows.len(),
                points.len()
            );
        }
        out += &table(&head, &rows, &caption);
    }
    if out.is_empty() {
        out += "<p>No frontier was computed.</p>\n";
    }
    out
}

fn frontier_row(point: &FrontierPoint) -> String {
    let s = &point.summary;
    let cells = [
        Cell::Text(s.design.design_id.clone()),
        column_voltage(s),
        Cell::Number(bit_error_rate(s)),
        Cell::Text(source(s.design.ber_source).into()),
        energy(s.design.energy_relative),
        Cell::Number(accuracy(s.mean)),
        interval(s).map_or(Cell::None, |i| span(i.low, i.high)),
        Cell::Number(percent(point.probability)),
    ];
    row(&cells, false)
}

/// Memories with their rates at the swept voltages, and where the rates come from.
pub(super) fn memory(summaries: &[Summary]) -> String {
    let mut names: Vec<_> = summaries
        .iter()
        .map(|s| (&s.design.memory, &s.design.fault_kind, &s.design.array))
        .collect();
    names.sort();
    names.dedup();
    let mut out = String::new();
    for (memory, kind, array) in names {
        let meaning = match kind.kind() {
            Some(KindName::Flip) => "a failing cell inverts its bit",
            Some(KindName::Stuck) => "a failing cell reads a fixed value",
            Some(KindName::Biased) => {
                "failing cells invert their bit, stored 0s and 1s at different rates"
            }
            None => "measured statistics of a chip: biased flips, of which a part is persistent",
        };
        out += &format!(
            "<h3>{}</h3>\n<p>Faults: {} ({meaning}). Failing cells: {}.</p>\n",
            escape(memory),
            escape(kind.as_str()),
            escape(array.as_str())
        );
        let own = summaries.iter().filter(|s| {
            (&s.design.memory, &s.design.fault_kind, &s.design.array) == (memory, kind, array)
        });
        out += &rates(own);
    }
    out
        + "<p>Where a rate comes from: <b>measured</b>: inside the measured span, interpolated in probit space; \
           <b>censored</b>: between the lowest measured rate and the error-free voltage, the probit line continued; \
           <b>error-free</b>: at or above the error-free voltage, rate 0; <b>extrapolated</b>: below the measured \
           span, the last slope continued, so no saving is claimed there.</p>\n"
}

fn rates<'a>(own: impl Iterator<Item = &'a Summary>) -> String {
    let mut points: Vec<&Summary> = own.filter(|s| s.design.voltage.is_some()).collect();
    points.sort_by(|a, b| a.design.by_voltage(&b.design));
    points.dedup_by(|a, b| a.design.voltage == b.design.voltage);
    let head = head(&[
        ("Voltage", false),
        ("Bit error rate", false),
        ("Source", true),
        (
            "Energy per access, relative to the error-free voltage",
            false,
        ),
    ]);
    let line = |s: &&Summary| {
        let cells = [
            column_voltage(s),
            Cell::Number(bit_error_rate(s)),
            Cell::Text(source(s.design.ber_source).into()),
            s.design.access_energy_relative.map_or(Cell::None, energy),
        ];
        row(&cells, false)
    };
    let rows: Vec<String> = points.iter().map(line).collect();
    let (rows, left_out) = thinned(&rows, MOST_SHOWN);
    format!("<div class=\"scroll\"><table>\n{head}{rows}</table></div>\n{left_out}")
}

/// Every design point, by series and rising voltage.
pub(super) fn summaries(summaries: &[Summary]) -> String {
    let mut points: Vec<(String, &Summary)> = series_labels(summaries)
        .into_iter()
        .zip(summaries)
        .collect();
    points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.design.by_voltage(&b.1.design)));
    let absolute = summaries.iter().any(|s| s.design.energy_pj.is_some());
    let mut titles = vec![
        ("Series", true),
        ("Voltage", false),
        ("Bit error rate", false),
        ("Mean (%)", false),
        ("95 % interval (%)", false),
        ("5 to 95 % of chips (%)", false),
        ("Min (%)", false),
        ("Yield (%)", false),
        ("95 % interval (%)", false),
        ("Floor (%)", false),
        ("Energy", false),
    ];
    if absolute {
        titles.push(("Energy (pJ)", false));
    }
    titles.extend([("Area", false), ("Chips", false), ("Stopped by", true)]);
    let mut rows = Vec::new();
    let mut last: Option<&str> = None;
    for (label, s) in &points {
        let first = last.is_some_and(|l| l != label);
        last = Some(label);
        rows.push(row(&summary_cells(label, s, absolute), first));
    }
    let subset = summaries.iter().any(|s| !s.image_sample().is_whole());
    let caption = format!(
        "By series and rising voltage. † : the bit error rate is extrapolated. The interval of the mean is Student's \
         over chips (bootstrap where there is none){}; that of the yield is Clopper and Pearson's. Energy and area \
         are relative to the same architecture at 8 bits, unprotected, energy at the error-free voltage.",
        if subset { ", with the choice of test images included" } else { "" }
    );
    table(&head(&titles), &rows, &caption)
}

fn summary_cells(label: &str, s: &Summary, absolute: bool) -> Vec<Cell> {
    let mark = if extrapolated(s) { " †" } else { "" };
    let mut cells = vec![
        Cell::Text(label.to_owned()),
        column_voltage(s),
        Cell::Number(format!("{}{mark}", bit_error_rate(s))),
        Cell::Number(accuracy(s.mean)),
        interval(s).map_or(Cell::None, |i| span(i.low, i.high)),
        s.spread.map_or(Cell::None, |s| span(s.p05, s.p95)),
        s.spread
            .map_or(Cell::None, |s| Cell::Number(accuracy(s.min))),
        s.spread
            .map_or(Cell::None, |s| Cell::Number(percent(s.yield_share))),
        s.spread.map_or(Cell::None, |s| {
            Cell::Number(format!(
                "{} to {}",
                percent(s.yield_interval.low),
                percent(s.yield_interval.high)
            ))
        }),
        Cell::Number(percent(s.floor)),
        energy(s.design.energy_relative),
    ];
    if absolute {
        cells.push(
            s.design
                .energy_pj
                .map_or(Cell::None, |e| Cell::Number(format!("{e:.1}"))),
        );
    }
    let stopped = s.stopped_by.name().to_owned();
    cells.extend([
        Cell::Number(number(s.design.area_relative)),
        Cell::Number(s.chips.to_string()),
        Cell::Text(stopped),
    ]);
    cells
}
