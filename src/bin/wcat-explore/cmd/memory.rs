//! `memory list`, `memory show` and, in a file of its own, `memory fit`.

mod fit;

use crate::args::{Format, MemoryArgs, MemoryCommand};
use crate::progress::Progress;
use crate::show::{self, Column};
use serde_json::{json, Value};
use wcat_explore::memory::{self, MemoryModel, OperatingPoint};
use wcat_explore::table::SCHEMA;

pub(crate) fn run(args: &MemoryArgs, monitor: &Progress) -> anyhow::Result<()> {
    match &args.command {
        MemoryCommand::Fit(args) => fit::run(args, monitor),
        MemoryCommand::List(output) => list(output.format),
        MemoryCommand::Show {
            model,
            at_ber,
            at_voltage,
            output,
        } => {
            let model = memory::load(model)?;
            let points = match (at_ber, at_voltage) {
                (Some(ber), _) => vec![model.at(model.voltage_at_ber(*ber)?)?],
                (None, Some(list)) => model
                    .voltages(list)?
                    .into_iter()
                    .map(|v| model.at(v))
                    .collect::<Result<_, _>>()?,
                (None, None) => model.curve(21)?,
            };
            let whole = at_ber.is_none() && at_voltage.is_none();
            show_points(&model, &points, whole, output.format)
        }
    }
}

fn list(format: Format) -> anyhow::Result<()> {
    let models: Vec<MemoryModel> = memory::names()
        .into_iter()
        .map(memory::builtin)
        .collect::<Result<_, _>>()?;
    if format != Format::Table {
        let rows = models.iter().map(|m| {
            json!({
                "schema": SCHEMA, "memory": m.name, "title": m.title, "voltage_unit": m.unit.name(),
                "error_free": m.error_free.get(), "fault_kind": m.fault_kind.name(), "array": m.array.label(),
                "source": m.source, "sha256": m.checksum,
            })
        });
        return show::records(&Value::Array(rows.collect()), format);
    }
    show::table(&[
        Column::text("memory model", &models, |m| m.name.clone()),
        Column::text("title", &models, |m| m.title.clone()),
        Column::text("unit", &models, |m| m.unit.symbol().into()),
        Column::number("error-free", &models, |m| m.error_free.to_string()),
        Column::text("array", &models, |m| m.array.label().to_string()),
    ])
}

fn show_points(
    model: &MemoryModel,
    points: &[OperatingPoint],
    whole: bool,
    format: Format,
) -> anyhow::Result<()> {
    if format != Format::Table {
        let rows = points.iter().map(|p| {
            json!({
                "schema": SCHEMA, "memory": model.name, "voltage": p.voltage.get(),
                "voltage_unit": model.unit.name(), "ber": p.ber.get(), "ber_source": p.ber_source.name(),
                "access_energy_relative": p.access_energy_relative,
                "access_energy_pj": model.access_energy_pj(p.voltage),
            })
        });
        return show::records(&Value::Array(rows.collect()), format);
    }
    if whole {
        show::text(&about(model))?;
    }
    show::table(&[
        Column::number(model.unit.symbol(), points, |p| {
            format!("{:.4}", p.voltage.get())
        }),
        Column::number("bit error rate", points, |p| rate(p.ber.get())),
        Column::text("source", points, |p| p.ber_source.name().into()),
        Column::number("access energy, relative", points, |p| {
            format!("{:.4}", p.access_energy_relative)
        }),
    ])
}

fn rate(rate: f64) -> String {
    match rate {
        0.0 => "0".into(),
        rate => format!("{rate:.4e}"),
    }
}

fn about(model: &MemoryModel) -> String {
    let mut lines = vec![
        model.name.clone(),
        format!("  {}", model.title),
        format!("  source: {}", model.source),
    ];
    for (what, text) in [("measured", &model.measured), ("inferred", &model.inferred)] {
        lines.extend(text.iter().map(|text| format!("  {what}: {}", text.trim())));
    }
    lines.push(format!(
        "  voltage: {} ({}), error-free at {}",
        model.unit.symbol(),
        model.voltage_reference,
        model.error_free
    ));
    lines.push(format!(
        "  faults: {}; array: {}\n",
        model.fault_kind.name(),
        model.array.label()
    ));
    lines.join("\n")
}
