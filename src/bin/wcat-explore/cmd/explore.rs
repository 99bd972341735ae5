//! `explore`: voltages for domains, lowest voltages for a yield, widths for layers; one frontier.

use super::sweep::{chosen, default_layer, request};
use crate::args::{Common, ExploreArgs, Format};
use crate::progress::Progress;
use crate::show::{self, Column};
use std::path::{Path, PathBuf};
use wcat_explore::config::Layer;
use wcat_explore::error::Error;
use wcat_explore::explore::{groups, DomainSpec};
use wcat_explore::run::{explore, ExploreResult, Monitor, SweepRequest};
use wcat_explore::table::{evidence_records, explored_records, ExploredPoint};

pub(crate) fn run(common: &Common, args: &ExploreArgs, monitor: &Progress) -> anyhow::Result<()> {
    let models = args.files.all();
    let default = default_layer("explore", &models)?;
    let (mut experiment, dataset_given) =
        common.experiment(&args.places, Some(default), &flags(args))?;
    let mut groups_file = None;
    if let Some(text) = &args.domains {
        experiment.explore.domains = Some(domains(text)?);
        groups_file = text.strip_prefix("groups:").map(PathBuf::from);
    }
    let request = SweepRequest {
        groups_file,
        out: args.out.clone(),
        fresh: args.fresh,
        ..request(chosen(models, &experiment), dataset_given, &args.places)?
    };
    let result = explore(&experiment, &request, monitor)?;
    match args.format {
        Format::Table => table(&result)?,
        other => {
            let mut rows = explored_records(&result.points)?;
            let evidence = evidence_records(&result.evidence)?;
            if result.points.is_empty() {
                rows = evidence;
            }
            show::records(&rows, other)?;
        }
    }
    monitor.note(&format!(
        "tables: {}; report: {}",
        result.folder.display(),
        result.drawn.report.display()
    ));
    result
        .drawn
        .warnings
        .iter()
        .for_each(|warning| monitor.warn(warning));
    Ok(())
}

/// Flags of this command as settings.
fn flags(args: &ExploreArgs) -> Vec<Layer> {
    let all = [
        args.memory
            .as_deref()
            .map(|memory| Layer::flag("--memory", "memory", memory)),
        args.chips
            .map(|chips| Layer::flag("--chips", "sweep.chips", chips)),
        args.images
            .map(|images| Layer::flag("--images", "sweep.images", images)),
        args.floor
            .map(|floor| Layer::flag("--floor", "sweep.floor", floor.get())),
        args.max_loss
            .map(|loss| Layer::flag("--max-loss", "explore.max_loss", loss)),
        args.domain_cost
            .map(|cost| Layer::flag("--domain-cost", "explore.domain_cost", cost)),
        args.max_rails
            .map(|rails| Layer::flag("--max-rails", "explore.max_rails", rails)),
        args.search_chips
            .map(|chips| Layer::flag("--search-chips", "explore.search_chips", chips)),
        args.search_images
            .map(|images| Layer::flag("--search-images", "explore.search_images", images)),
        args.evaluations
            .map(|n| Layer::flag("--evaluations", "explore.evaluations", n)),
        args.yield_share
            .map(|share| Layer::flag("--yield", "explore.yield", share)),
        args.fresh_chips
            .map(|chips| Layer::flag("--fresh-chips", "explore.fresh_chips", chips)),
        (!args.widths.is_empty())
            .then(|| Layer::flag("--widths", "explore.widths", args.widths.clone())),
    ];
    let settings = args.settings.layers().into_iter();
    settings
        .chain(all.into_iter().flatten())
        .chain(args.faults.layers())
        .collect()
}

/// `layers`, `bits` or `groups:FILE`.
fn domains(text: &str) -> Result<DomainSpec, Error> {
    match (text, text.strip_prefix("groups:")) {
        ("layers", _) => Ok(DomainSpec::Layers),
        ("bits", _) => Ok(DomainSpec::Bits),
        (_, Some(file)) => Ok(DomainSpec::Groups(groups(Path::new(file))?)),
        _ => Err(Error::argument(
            "--domains",
            "layers, bits or groups:FILE",
            format!("`{text}`"),
        )),
    }
}

/// The explored points and the answers in words.
fn table(result: &ExploreResult) -> anyhow::Result<()> {
    let points = &result.points;
    if !points.is_empty() {
        let share = |x: Option<f64>| x.map_or("-".into(), |x| format!("{:.2}", 100.0 * x));
        let interval =
            |p: &ExploredPoint| match (p.point.verified_loss.low, p.point.verified_loss.high) {
                (Some(low), Some(high)) => format!("{:.2} .. {:.2}", 100.0 * low, 100.0 * high),
                _ => "-".into(),
            };
        show::table(&[
            Column::text("model", points, |p| p.model.clone()),
            Column::text("kind", points, |p| p.point.kind.name().into()),
            Column::text("status", points, |p| p.point.status.name().into()),
            Column::number("rails", points, |p| p.point.rails.to_string()),
            Column::text("voltages", points, voltages),
            Column::number("energy", points, |p| {
                format!("{:.4}", p.point.energy_relative)
            }),
            Column::number("with rails", points, |p| {
                format!("{:.4}", p.point.cost_relative)
            }),
            Column::number("estimated loss", points, |p| {
                share(p.point.search_loss.or(p.point.estimated_loss))
            }),
            Column::number("verified loss", points, |p| {
                share(Some(p.point.verified_loss.mean))
            }),
            Column::text("95 % interval", points, interval),
            Column::number("chips", points, |p| p.point.verified_loss.chips.to_string()),
        ])?;
    }
    let answers: Vec<&str> = result.answers.iter().map(String::as_str).collect();
    if answers.is_empty() {
        return super::sweep::table(&result.summaries);
    }
    show::text(&answers.join("\n"))
}

/// `0.8 to 0.9`, or the one.
fn voltages(point: &ExploredPoint) -> String {
    let all = point.point.domain_voltages.iter().map(|own| own.voltage);
    let (low, high) = all.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
        (l.min(v), h.max(v))
    });
    if low < high {
        format!("{low} to {high}")
    } else {
        low.to_string()
    }
}
