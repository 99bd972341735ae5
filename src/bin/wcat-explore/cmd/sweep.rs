//! `sweep`: the main job.

use crate::args::{layers, Format, ModelFiles, Places, RunOutput, RunShards, SweepArgs};
use crate::progress::Progress;
use crate::show;
use wcat_explore::analysis::{metric, Summary};
use wcat_explore::config::{built_in, Experiment, Layer};
use wcat_explore::error::{shell_quoted, Result};
use wcat_explore::report::Grid;
use wcat_explore::run::{
    explore_shard, plan, prepare_run, sweep, sweep_shard, Monitor, RunRequest, ShardResult,
    SweepResult,
};
use wcat_explore::sweep::Shard;
use wcat_explore::table as tables;
use wcat_explore::units::count_of;

pub(crate) fn run(args: &SweepArgs, monitor: &Progress) -> anyhow::Result<()> {
    let (experiment, request) = asked(args)?;
    if args.dry_run {
        let shard = args.shards.flags.shard()?;
        return dry_run(&experiment, &request, shard);
    }
    if part(&args.shards, &experiment, &request, false, monitor)? {
        return Ok(());
    }
    let result = sweep(&experiment, &request, monitor)?;
    match args.run.output.format {
        Format::Table => show::table(&table(&result.summaries))?,
        Format::Json => show::records(&tables::json(&result.summaries)?, Format::Json)?,
        Format::Csv => show::result(tables::csv_string(&result.summaries)?.trim_end())?,
    }
    say_where(&result, monitor);
    Ok(())
}

/// What a sweep is asked.
pub(super) fn asked(args: &SweepArgs) -> Result<(Experiment, RunRequest)> {
    let flags = [
        args.voltages.layers(),
        layers(&args.memory)?,
        args.activations.layers()?,
        layers(&args.reads)?,
        layers(&args.sampling)?,
        layers(&args.judged)?,
        layers(&args.faults)?,
    ];
    let default = default_layer("sweep", &args.files)?;
    let settings = &args.settings;
    let (experiment, given) = settings.experiment(&args.places, Some(default), &flags.concat())?;
    let request = RunRequest {
        resume: !args.no_resume,
        merge: args.shards.flags.merge,
        from: args.shards.from.clone(),
        ..request(&experiment, &args.files, given, &args.places, &args.run)
    };
    Ok((experiment, request))
}

/// Does the part of a sweep or an exploration that is asked for; false where it is the whole.
pub(super) fn part(
    shards: &RunShards,
    experiment: &Experiment,
    request: &RunRequest,
    explores: bool,
    monitor: &Progress,
) -> anyhow::Result<bool> {
    let shard = shards.flags.shard()?;
    if shards.prepare {
        let shard = shard.unwrap_or(Shard::new(0, 1)?);
        let made = prepare_run(experiment, request, shard, explores, monitor)?;
        monitor.note(&format!(
            "{} trained; answers without faults are kept of {}",
            count_of(made.trained, "model"),
            count_of(made.models.len(), "model")
        ));
        return Ok(true);
    }
    let Some(shard) = shard else {
        return Ok(false);
    };
    if explores {
        let done = explore_shard(experiment, request, shard, monitor)?;
        say_shard(&done, shard, "trials of the grid", monitor);
    } else {
        let done = sweep_shard(experiment, request, shard, monitor)?;
        say_shard(&done, shard, "trials", monitor);
    }
    Ok(true)
}

/// What a shard computed, and where.
pub(super) fn say_shard(done: &ShardResult, shard: Shard, what: &str, monitor: &Progress) {
    monitor.note(&format!(
        "shard {shard}: {} {what} computed, {} of other shards are still missing; journal: {}",
        done.computed,
        done.of_others,
        done.journal.display()
    ));
}

/// What stands under the settings: the quick start without model files, else a name for the run.
pub(super) fn default_layer(command: &str, files: &ModelFiles) -> Result<Layer> {
    if files.all().is_empty() {
        return built_in("quickstart");
    }
    Layer::built_in(
        &format!("defaults of `{command} --model`"),
        &format!("name: {command}"),
    )
}

/// A request for the usual folders that goes on with what is finished: of the model files of the command line, else those
/// of the configuration.
pub(super) fn request(
    experiment: &Experiment,
    files: &ModelFiles,
    dataset_given: bool,
    places: &Places,
    run: &RunOutput,
) -> RunRequest {
    let mut models = files.all();
    if models.is_empty() {
        models.clone_from(&experiment.model_files);
    }
    RunRequest {
        models,
        dataset_given,
        data_folder: places.data_dir.clone(),
        data_file: places.data_file.clone(),
        out: run.out.clone(),
        fresh: run.fresh,
        command: command_line(),
        ..RunRequest::default()
    }
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

fn dry_run(
    experiment: &Experiment,
    request: &RunRequest,
    shard: Option<Shard>,
) -> anyhow::Result<()> {
    let plan = plan(experiment, request, shard)?;
    let mut lines = Vec::new();
    if !plan.trained.is_empty() {
        lines.push(format!(
            "trained, in the cache: {}",
            plan.trained.join(", ")
        ));
    }
    if !plan.to_train.is_empty() {
        let names = plan.to_train.join(", ");
        let epochs = plan.epochs;
        lines.push(match shard {
            Some(_) => format!("to train by `--prepare`, before shards: {names}"),
            None => format!("to train: {names} (at most {epochs} epochs in all)"),
        });
    }
    if let Some(folder) = &plan.folder {
        lines.push(format!("run folder: {}", folder.display()));
    }
    lines.push(format!("design points: {}", plan.designs));
    let least = if experiment.sweep.sampling.is_two_level() {
        " at least"
    } else {
        ""
    };
    lines.push(format!(
        "trials:{least} {}, to compute: {}",
        plan.trials, plan.owed
    ));
    if let (Some(shard), Some(own)) = (shard, plan.of_shard) {
        let round = match experiment.sweep.tolerance {
            Some(_) => " in the next round",
            None => "",
        };
        lines.push(format!("shard {shard} would compute{round}: {own}"));
    }
    if let Some(seconds) = plan.cpu_seconds {
        lines.push(format!("estimated cost: at most {seconds:.0} CPU-seconds"));
    }
    if let Some(damage) = &plan.damage {
        lines.push(format!("journal: {damage}; among those to compute"));
    }
    show::text(&lines.join("\n"))
}

fn say_where(result: &SweepResult, monitor: &Progress) {
    let sentences = result.drawn.lead.iter().chain(&result.drawn.least_energy);
    sentences.for_each(|sentence| monitor.note(sentence));
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
    monitor.warn_all(&result.drawn.warnings);
}

fn rate(ber: f64) -> String {
    match ber {
        0.0 => "0".into(),
        ber => format!("{ber:.2e}"),
    }
}

/// The summary as aligned text; accuracies in per cent.
pub(crate) fn table(summaries: &[Summary]) -> Grid {
    let differ = |of: fn(&Summary) -> &str| summaries.iter().any(|s| of(s) != of(&summaries[0]));
    let unit = summaries.first().map(|s| {
        let unit = s.design.voltage_unit.symbol();
        if s.design.fault_kind.is_of_activations() {
            format!("activations {unit}")
        } else {
            unit.to_owned()
        }
    });
    let measured = show::measured(metric(summaries));
    let beside = summaries.iter().any(|s| s.design.activations.is_some());
    let single_chips = summaries.iter().all(|s| s.quantiles.is_some());
    Grid::of(summaries)
        .text("model", |s| &s.design.model)
        .text("protection", |s| s.design.protection)
        .only_if(differ(|s| s.design.protection.name()))
        .text("array", |s| &s.design.array)
        .only_if(differ(|s| s.design.array.as_str()))
        .number("bits", |s| s.design.bits)
        .number(unit.as_deref().unwrap_or("voltage"), |s| s.design.voltage)
        .number("bit error rate", |s| s.design.ber.map(rate))
        .number("of activations", |s| {
            let own = s.design.activations.as_ref()?;
            Some(format!("{} {}", own.voltage, own.voltage_unit.symbol()))
        })
        .only_if(beside)
        .number("their bit error rate", |s| {
            Some(rate(s.design.activations.as_ref()?.ber))
        })
        .only_if(beside)
        .text("source", |s| s.design.source().name())
        .number("energy", |s| format!("{:.4}", s.design.energy_relative))
        .number("ns", |s| {
            let seconds = s.design.inference_seconds;
            seconds.map(|seconds| format!("{:.0}", 1e9 * seconds))
        })
        .only_if(
            summaries
                .iter()
                .any(|s| s.design.inference_seconds.is_some()),
        )
        .number("chips", |s| s.chips)
        .number(measured.as_str(), |s| show::percent(s.mean))
        .text("95 % interval", |s| {
            let (low, high) = (s.student?.low.max(0.0), s.student?.high.min(1.0));
            Some(format!("{} .. {}", show::percent(low), show::percent(high)))
        })
        .number("min", |s| s.quantiles.map(|of| show::percent(of.min)))
        .only_if(single_chips)
        .number("yield %", |s| {
            s.quantiles.map(|of| show::percent(of.yield_share))
        })
        .only_if(single_chips)
        .number("std of chips", |s| {
            s.std.map(show::percent).unwrap_or_default()
        })
        .only_if(!single_chips)
        .number("std of images", |s| {
            s.image_std.map(show::percent).unwrap_or_default()
        })
        .only_if(!single_chips)
        .number("image evaluations", |s| s.image_evaluations)
        .only_if(!single_chips)
        .grid()
}
