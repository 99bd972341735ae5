//! `pareto`: figures and report again from stored runs.

use super::answer::say;
use crate::args::{Format, ParetoArgs};
use crate::progress::Progress;
use crate::show;
use std::path::Path;
use wcat_explore::analysis::FrontierPoint;
use wcat_explore::report::Grid;
use wcat_explore::run::{holds_answer, redraw, redraw_answer, Monitor};
use wcat_explore::table as tables;

pub(crate) fn run(args: &ParetoArgs, monitor: &Progress) -> anyhow::Result<()> {
    if let [run] = args.runs.as_slice() {
        if holds_answer(run) {
            let answer = redraw_answer(run, Path::new("reports"), args.out.as_deref())?;
            let unchecked = answer.drawn.unchecked.iter();
            unchecked.for_each(|unchecked| monitor.note(unchecked));
            return say(&answer, args.output.format, monitor);
        }
    }
    let (drawn, pareto) = redraw(&args.runs, Path::new("reports"), args.out.as_deref())?;
    monitor.warn_all(&drawn.warnings);
    let unchecked = drawn.unchecked.iter();
    unchecked.for_each(|unchecked| monitor.note(unchecked));
    match args.output.format {
        Format::Table => {
            let all = pareto.frontiers.first();
            show::table(&table(all.map_or(&[], |frontier| &frontier.points)))?;
        }
        other => show::records(&tables::json(&pareto.rows())?, other)?,
    }
    drawn.lead.iter().for_each(|lead| monitor.note(lead));
    monitor.note(&format!("report: {}", drawn.report.display()));
    Ok(())
}

fn table(points: &[FrontierPoint]) -> Grid {
    let unit = points
        .first()
        .map(|p| p.summary.design.voltage_unit.symbol());
    let metric = points.first().map(|p| p.summary.design.metric);
    let measured = show::measured(metric.unwrap_or_default());
    Grid::of(points)
        .text("frontier of all: model", |p| &p.summary.design.model)
        .number(unit.unwrap_or("voltage"), |p| p.summary.design.voltage)
        .number("of activations", |p| {
            let own = p.summary.design.activations.as_ref()?;
            Some(format!("{} {}", own.voltage, own.voltage_unit.symbol()))
        })
        .only_if(
            points
                .iter()
                .any(|p| p.summary.design.activations.is_some()),
        )
        .text("source", |p| p.summary.design.source().name())
        .number("energy", |p| {
            format!("{:.4}", p.summary.design.energy_relative)
        })
        .number(measured.as_str(), |p| show::percent(p.summary.mean))
        .number("probability", |p| format!("{:.3}", p.probability))
        .grid()
}
