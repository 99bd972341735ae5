//! `explore`: voltages for domains, widths for layers; one frontier.

use super::sweep::{default_layer, part, request};
use crate::args::{layers, ExploreArgs, Format};
use crate::progress::Progress;
use crate::show;
use std::path::Path;
use wcat_explore::config::Experiment;
use wcat_explore::error::{refuse, Error};
use wcat_explore::explore::{groups, DomainSpec, ExploredPoint, MEMORIES};
use wcat_explore::figure::number;
use wcat_explore::report::Grid;
use wcat_explore::run::{explore, plan_explore, ExplorePlan, ExploreResult, Monitor, RunRequest};
use wcat_explore::table as tables;

pub(crate) fn run(args: &ExploreArgs, monitor: &Progress) -> anyhow::Result<()> {
    let (experiment, request) = asked(args)?;
    if args.dry_run {
        return dry_run(&plan_explore(&experiment, &request, monitor)?);
    }
    if part(&args.shards, &experiment, &request, true, monitor)? {
        return Ok(());
    }
    let result = explore(&experiment, &request, monitor)?;
    match args.run.output.format {
        Format::Table => print(&result)?,
        other => show::records(&tables::json(&result.points)?, other)?,
    }
    monitor.note(&format!(
        "tables: {}; report: {}",
        result.sweep.folder.display(),
        result.sweep.drawn.report.display()
    ));
    monitor.warn_all(&result.sweep.drawn.warnings);
    Ok(())
}

/// What an exploration is asked.
pub(super) fn asked(args: &ExploreArgs) -> Result<(Experiment, RunRequest), Error> {
    let flags = [
        args.voltages.layers(),
        layers(&args.search)?,
        layers(&args.memory)?,
        layers(&args.activations)?,
        layers(&args.sampling)?,
        layers(&args.judged)?,
        layers(&args.faults)?,
    ];
    let default = default_layer("explore", &args.files)?;
    let settings = &args.settings;
    let (mut experiment, given) =
        settings.experiment(&args.places, Some(default), &flags.concat())?;
    if let Some(text) = &args.search.domains {
        experiment.explore.domains = Some(domains(text)?);
    }
    let request = RunRequest {
        groups_file: args.search.groups_file(),
        merge: args.shards.flags.merge,
        from: args.shards.from.clone(),
        ..request(&experiment, &args.files, given, &args.places, &args.run)
    };
    Ok((experiment, request))
}

/// `layers`, `bits`, `weights,activations` or `groups:FILE`.
fn domains(text: &str) -> Result<DomainSpec, Error> {
    match (text, text.strip_prefix("groups:")) {
        (MEMORIES, _) => Ok(DomainSpec::Memories),
        ("layers", _) => Ok(DomainSpec::Layers),
        ("bits", _) => Ok(DomainSpec::Bits),
        (_, Some(file)) => Ok(DomainSpec::Groups(groups(Path::new(file))?)),
        _ => refuse(
            "--domains",
            "layers, bits, weights,activations or groups:FILE",
            format!("`{text}`"),
        ),
    }
}

fn dry_run(plan: &ExplorePlan) -> anyhow::Result<()> {
    let seconds = |evaluations| show::duration(evaluations, plan.seconds);
    show::text(&format!(
        "run folder: {}\n\
         single voltages: {} design points, {} trials, to compute: {}, about {}\n\
         search over domains: at most {} evaluations of an image, about {} on this machine\n\
         evaluations of the search made by an earlier call: {}",
        plan.folder.display(),
        plan.designs,
        plan.trials,
        plan.owed,
        seconds(plan.trial_evaluations),
        plan.search_evaluations,
        seconds(plan.search_evaluations),
        plan.known
    ))
}

/// The explored points and the answers in words.
fn print(result: &ExploreResult) -> anyhow::Result<()> {
    if !result.points.is_empty() {
        show::table(&table(&result.points))?;
    }
    let answers: Vec<&str> = result.answers.iter().map(String::as_str).collect();
    if answers.is_empty() {
        return show::table(&super::sweep::table(&result.sweep.summaries));
    }
    show::text(&answers.join("\n"))
}

fn table(points: &[ExploredPoint]) -> Grid {
    Grid::of(points)
        .text("model", |p| &p.model)
        .text("kind", |p| p.point.kind.name())
        .text("status", |p| p.point.status.name())
        .number("rails", |p| p.point.rails.to_string())
        .text("voltages", voltages)
        .number("energy", |p| format!("{:.4}", p.point.energy_relative))
        .number("with rails", |p| format!("{:.4}", p.point.cost_relative))
        .number("estimated loss", |p| {
            let loss = p.point.search_loss.or(p.point.estimated_loss);
            loss.map(show::percent)
        })
        .number("verified loss", |p| {
            show::percent(p.point.verified_loss.mean)
        })
        .text("95 % interval", |p| {
            let (low, high) = (p.point.verified_loss.low?, p.point.verified_loss.high?);
            Some(format!("{} .. {}", show::percent(low), show::percent(high)))
        })
        .number("chips", |p| p.point.verified_loss.chips)
        .grid()
}

/// That of each domain, where there are few; else their span, `0.8 to 0.9`, or the one.
fn voltages(point: &ExploredPoint) -> String {
    let domains = &point.point.domain_voltages;
    if point.point.rails > 1 && domains.len() <= 3 {
        let each = domains
            .iter()
            .map(|own| format!("{} {}", own.domain, number(own.voltage)));
        return each.collect::<Vec<_>>().join(", ");
    }
    let all = point.point.domain_voltages.iter().map(|own| own.voltage);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    if low < high {
        format!("{} to {}", number(low), number(high))
    } else {
        number(low)
    }
}
