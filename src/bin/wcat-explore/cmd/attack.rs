//! `attack`: the bit-flip attack on one or more models.

use super::sweep::{chosen, command_line};
use crate::args::{layers, AttackArgs, Format};
use crate::progress::Progress;
use crate::show::{self, Column};
use wcat_explore::attack::AttackSummary;
use wcat_explore::config::Layer;
use wcat_explore::run::{attack, Monitor, RunRequest};
use wcat_explore::table;

pub(crate) fn run(args: &AttackArgs, monitor: &Progress) -> anyhow::Result<()> {
    let default = Layer::built_in("defaults of `attack`", "name: attack")?;
    let flags = [layers(&args.attack)?, layers(&args.images)?].concat();
    let (experiment, dataset_given) =
        args.settings
            .experiment(&args.places, Some(default), &flags)?;
    let request = RunRequest {
        models: chosen(args.files.all(), &experiment),
        dataset_given,
        data_folder: args.places.data_dir.clone(),
        data_file: args.places.data_file.clone(),
        out: args.run.out.clone(),
        fresh: args.run.fresh,
        command: command_line(),
        ..RunRequest::default()
    };
    let result = attack(&experiment, &request, monitor)?;
    match args.run.output.format {
        Format::Table => table(&result.summaries)?,
        Format::Json => show::records(&table::json(&result.summaries)?, Format::Json)?,
        Format::Csv => show::result(table::csv_string(&result.summaries)?.trim_end())?,
    }
    monitor.note(&format!(
        "{} attacks computed, {} reused; tables: {}; figure: {}",
        result.computed,
        result.reused,
        result.folder.display(),
        result.figure.display()
    ));
    Ok(())
}

/// The summary as aligned text; accuracies in per cent.
fn table(summaries: &[AttackSummary]) -> anyhow::Result<()> {
    let spread = |std: Option<f64>, factor: f64| {
        std.map_or("-".into(), |std| format!("{:.2}", factor * std))
    };
    show::table(&[
        Column::text("model", summaries, |s| s.first.model.clone()),
        Column::number("bits", summaries, |s| s.first.bits.to_string()),
        Column::number("clean %", summaries, |s| show::percent(s.clean_mean)),
        Column::number("target %", summaries, |s| show::percent(s.first.target)),
        Column::text("reached", summaries, |s| {
            format!("{} of {}", s.reached, s.restarts)
        }),
        Column::number("flips", summaries, |s| {
            // attacks that did not reach the target would have needed more
            let least = if s.reached < s.restarts { ">= " } else { "" };
            format!("{least}{:.1}", s.flips_mean)
        }),
        Column::number("std", summaries, |s| spread(s.flips_std, 1.0)),
        Column::text("min .. max", summaries, |s| {
            format!("{} .. {}", s.flips_min, s.flips_max)
        }),
        Column::number("accuracy %", summaries, |s| show::percent(s.accuracy_mean)),
        Column::number("std", summaries, |s| spread(s.accuracy_std, 100.0)),
        Column::number("random flips: accuracy %", summaries, |s| {
            show::percent(s.random_mean)
        }),
    ])
}
