//! `sweep`: the main job.

use crate::args::{layers, Format, Places, SweepArgs};
use crate::progress::Progress;
use crate::show::{self, Column};
use std::path::PathBuf;
use wcat_explore::analysis::{Spread, Summary};
use wcat_explore::config::{built_in, Experiment, Layer};
use wcat_explore::error::{shell_quoted, Result};
use wcat_explore::run::{plan, sweep, Monitor, RunRequest, SweepResult};
use wcat_explore::sweep::Sampling;
use wcat_explore::table as tables;

pub(crate) fn run(args: &SweepArgs, monitor: &Progress) -> anyhow::Result<()> {
    let models = args.files.all();
    let default = default_layer("sweep", &models)?;
    let (experiment, dataset_given) =
        args.settings
            .experiment(&args.places, Some(default), &flags(args)?)?;
    let request = RunRequest {
        out: args.run.out.clone(),
        fresh: args.run.fresh,
        resume: !args.no_resume,
        ..request(chosen(models, &experiment), dataset_given, &args.places)?
    };
    if args.dry_run {
        return dry_run(&experiment, &request);
    }
    let result = sweep(&experiment, &request, monitor)?;
    match args.run.output.format {
        Format::Table => table(&result.summaries)?,
        Format::Json => show::records(&tables::json(&result.summaries)?, Format::Json)?,
        Format::Csv => show::result(tables::csv_string(&result.summaries)?.trim_end())?,
    }
    say_where(&result, monitor);
    Ok(())
}

/// Flags of this command as settings.
fn flags(args: &SweepArgs) -> Result<Vec<Layer>> {
    let groups = [
        args.voltages.layers(),
        layers(&args.memory)?,
        layers(&args.reads)?,
        layers(&args.sampling)?,
        layers(&args.faults)?,
    ];
    Ok(groups.concat())
}

/// The model files of the command line, else those of the configuration.
pub(super) fn chosen(typed: Vec<PathBuf>, experiment: &Experiment) -> Vec<PathBuf> {
    if typed.is_empty() {
        return experiment.model_files.clone();
    }
    typed
}

/// What stands under the settings: the quick start without model files, else a name for the run.
pub(super) fn default_layer(command: &str, models: &[PathBuf]) -> Result<Layer> {
    if models.is_empty() {
        return built_in("quickstart");
    }
    Layer::built_in(
        &format!("defaults of `{command} --model`"),
        &format!("name: {command}"),
    )
}

/// A request for the usual folders that goes on with what is finished.
pub(super) fn request(
    models: Vec<PathBuf>,
    dataset_given: bool,
    places: &Places,
) -> anyhow::Result<RunRequest> {
    Ok(RunRequest {
        models,
        dataset_given,
        data_folder: places.data_dir.clone(),
        data_file: places.data_file.clone(),
        command: command_line(),
        ..RunRequest::default()
    })
}

/// The command line as it was typed, quoted where a shell needs it.
pub(super) fn command_line() -> String {
    let mut line = "wcat-explore".to_owned();
    for argument in std::env::args_os().skip(1) {
        line.push(' ');
        line += &shell_quoted(&argument);
    }
    line
}

fn dry_run(experiment: &Experiment, request: &RunRequest) -> anyhow::Result<()> {
    let plan = plan(experiment, request)?;
    let mut lines = Vec::new();
    if !plan.to_train.is_empty() {
        let names = plan.to_train.join(", ");
        lines.push(format!(
            "train, unless in the cache: {names} ({} epochs in all)",
            plan.epochs
        ));
    }
    if let Some(folder) = &plan.folder {
        lines.push(format!("run folder: {}", folder.display()));
    }
    lines.push(format!("design points: {}", plan.designs));
    let least = if experiment.sweep.sampling == Sampling::TwoLevel {
        " at least"
    } else {
        ""
    };
    lines.push(format!(
        "trials:{least} {}, to compute: {}",
        plan.trials, plan.owed
    ));
    if let Some(seconds) = plan.cpu_seconds {
        lines.push(format!("estimated cost: at most {seconds:.0} CPU-seconds"));
    }
    if let Some(damage) = &plan.damage {
        lines.push(format!("journal: {damage}; among those to compute"));
    }
    show::text(&lines.join("\n"))
}

fn say_where(result: &SweepResult, monitor: &Progress) {
    monitor.note(&format!(
        "{} trials computed, {} reused; tables: {}; report: {}",
        result.computed,
        result.reused,
        result.folder.display(),
        result.drawn.report.display()
    ));
    let sum = |of: fn(&Summary) -> u64| result.summaries.iter().map(of).sum::<u64>();
    let (made, all) = (
        sum(|s| s.image_evaluations),
        sum(|s| s.chips * s.test_images),
    );
    if made < all {
        monitor.note(&format!(
            "{made} image evaluations; all images on as many chips are {all}"
        ));
    }
    result
        .drawn
        .warnings
        .iter()
        .for_each(|warning| monitor.warn(warning));
}

/// The summary as aligned text; accuracies in per cent.
pub(crate) fn table(summaries: &[Summary]) -> anyhow::Result<()> {
    let interval = |s: &Summary| match s.student {
        Some(interval) => {
            format!(
                "{} .. {}",
                show::percent(interval.low.max(0.0)),
                show::percent(interval.high.min(1.0))
            )
        }
        None => "-".into(),
    };
    let unit = summaries
        .first()
        .map_or("voltage", |s| s.design.voltage_unit.symbol());
    let array = |s: &Summary| s.design.array.to_string();
    let several = summaries.iter().any(|s| array(s) != array(&summaries[0]));
    let mut columns = vec![
        Column::text("model", summaries, |s| s.design.model.clone()),
        Column::number("bits", summaries, |s| show::optional(s.design.bits)),
        Column::number(unit, summaries, |s| show::optional(s.design.voltage)),
        Column::number("bit error rate", summaries, |s| match s.design.ber {
            None => "-".into(),
            Some(0.0) => "0".into(),
            Some(ber) => format!("{ber:.2e}"),
        }),
        Column::text("source", summaries, |s| s.design.ber_source.name().into()),
        Column::number("energy", summaries, |s| {
            format!("{:.4}", s.design.energy_relative)
        }),
        Column::number("chips", summaries, |s| s.chips.to_string()),
        Column::number("accuracy %", summaries, |s| show::percent(s.mean)),
        Column::text("95 % interval", summaries, interval),
    ];
    if summaries.iter().all(|s| s.spread.is_some()) {
        let share = |of: fn(&Spread) -> f64| {
            move |s: &Summary| {
                s.spread
                    .as_ref()
                    .map_or(String::new(), |spread| show::percent(of(spread)))
            }
        };
        columns.push(Column::number("min", summaries, share(|s| s.min)));
        columns.push(Column::number(
            "yield %",
            summaries,
            share(|s| s.yield_share),
        ));
    } else {
        let percent = |std: Option<f64>| std.map_or(String::new(), show::percent);
        columns.push(Column::number("std of chips", summaries, move |s| {
            percent(s.std)
        }));
        columns.push(Column::number("std of images", summaries, move |s| {
            percent(s.image_std)
        }));
        columns.push(Column::number("image evaluations", summaries, |s| {
            s.image_evaluations.to_string()
        }));
    }
    if several {
        columns.insert(1, Column::text("array", summaries, array));
    }
    if summaries
        .iter()
        .any(|s| s.design.protection != summaries[0].design.protection)
    {
        columns.insert(
            1,
            Column::text("protection", summaries, |s| s.design.protection.to_string()),
        );
    }
    show::table(&columns)
}
