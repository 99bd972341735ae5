//! `attack`: the bit-flip attack on one or more models.

use super::sweep::{request, say_shard};
use crate::args::{layers, AttackArgs, Format};
use crate::progress::Progress;
use crate::show;
use wcat_explore::attack::AttackSummary;
use wcat_explore::config::{Experiment, Layer};
use wcat_explore::error::Result;
use wcat_explore::report::Grid;
use wcat_explore::run::{attack, attack_shard, Monitor, RunRequest};
use wcat_explore::table;
use wcat_explore::units::count_of;

pub(crate) fn run(args: &AttackArgs, monitor: &Progress) -> anyhow::Result<()> {
    let (experiment, request) = asked(args)?;
    if let Some(shard) = args.shards.shard()? {
        let done = attack_shard(&experiment, &request, shard, monitor)?;
        say_shard(&done, shard, "attacks", monitor);
        return Ok(());
    }
    let result = attack(&experiment, &request, monitor)?;
    match args.run.output.format {
        Format::Table => show::table(&table(&result.summaries))?,
        Format::Json => show::records(&table::json(&result.summaries)?, Format::Json)?,
        Format::Csv => show::result(table::csv_string(&result.summaries)?.trim_end())?,
    }
    monitor.note(&format!(
        "{} computed, {} reused; tables: {}; figure: {}",
        count_of(result.computed, "attack"),
        result.reused,
        result.folder.display(),
        result.figure.display()
    ));
    Ok(())
}

/// What an attack is asked.
pub(super) fn asked(args: &AttackArgs) -> Result<(Experiment, RunRequest)> {
    let flags = [
        layers(&args.attack)?,
        layers(&args.images)?,
        layers(&args.judged)?,
    ];
    let default = Layer::built_in("defaults of `attack`", "name: attack")?;
    let settings = &args.settings;
    let (experiment, given) = settings.experiment(&args.places, Some(default), &flags.concat())?;
    let request = RunRequest {
        merge: args.shards.merge,
        ..request(&experiment, &args.files, given, &args.places, &args.run)
    };
    Ok((experiment, request))
}

/// The summary as aligned text; accuracies in per cent.
fn table(summaries: &[AttackSummary]) -> Grid {
    let metric = summaries.first().map(|s| s.first.metric);
    let measured = show::measured(metric.unwrap_or_default());
    Grid::of(summaries)
        .text("model", |s| &s.first.model)
        .number("bits", |s| s.first.bits)
        .number("clean %", |s| show::percent(s.clean_mean))
        .number("target %", |s| show::percent(s.first.target))
        .text("reached", |s| format!("{} of {}", s.reached, s.restarts))
        .number("flips", |s| {
            // attacks that did not reach the target would have needed more
            let least = if s.reached < s.restarts { ">= " } else { "" };
            format!("{least}{:.1}", s.flips_mean)
        })
        .number("std", |s| s.flips_std.map(|std| format!("{std:.2}")))
        .text("min .. max", |s| {
            format!("{} .. {}", s.flips_min, s.flips_max)
        })
        .number(measured.as_str(), |s| show::percent(s.accuracy_mean))
        .number("std", |s| s.accuracy_std.map(show::percent))
        .number(format!("random flips: {measured}"), |s| {
            show::percent(s.random_mean)
        })
        .grid()
}
