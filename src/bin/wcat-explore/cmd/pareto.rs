//! `pareto`: figures and report again from stored runs.

use crate::args::{Format, ParetoArgs};
use crate::progress::Progress;
use crate::show::{self, Column};
use std::path::Path;
use wcat_explore::analysis::FrontierPoint;
use wcat_explore::run::{redraw, Monitor};
use wcat_explore::table;

pub(crate) fn run(args: &ParetoArgs, monitor: &Progress) -> anyhow::Result<()> {
    let (drawn, pareto) = redraw(&args.runs, Path::new("reports"), args.out.as_deref())?;
    drawn
        .warnings
        .iter()
        .for_each(|warning| monitor.warn(warning));
    drawn
        .unchecked
        .iter()
        .for_each(|unchecked| monitor.note(unchecked));
    match args.output.format {
        Format::Table => {
            let all: Vec<FrontierPoint> = pareto
                .frontiers
                .first()
                .map(|f| f.points.clone())
                .unwrap_or_default();
            let unit = all
                .first()
                .map_or("voltage", |p| p.summary.design.voltage_unit.symbol());
            show::table(&[
                Column::text("frontier of all: model", &all, |p| {
                    p.summary.design.model.clone()
                }),
                Column::number(unit, &all, |p| show::optional(p.summary.design.voltage)),
                Column::text("source", &all, |p| {
                    p.summary.design.ber_source.name().into()
                }),
                Column::number("energy", &all, |p| {
                    format!("{:.4}", p.summary.design.energy_relative)
                }),
                Column::number("accuracy %", &all, |p| show::percent(p.summary.mean)),
                Column::number("probability", &all, |p| format!("{:.3}", p.probability)),
            ])?;
        }
        other => show::records(&table::json(&pareto.rows())?, other)?,
    }
    monitor.note(&format!("report: {}", drawn.report.display()));
    Ok(())
}
