//! `memory list`, `memory show` and, in files of their own, `memory fit` and what is done with macros.

mod fit;
mod sram;

use crate::args::{Format, MemoryArgs, MemoryCommand, NamedModel};
use crate::progress::Progress;
use crate::show;
use serde_json::{json, Value};
use std::path::Path;
use wcat_explore::error::{refuse, Error};
use wcat_explore::memory::{self, Memory, MemoryModel, Naming, OperatingPoint};
use wcat_explore::report::Grid;
use wcat_explore::table::SCHEMA;
use wcat_explore::units::check_name;

pub(crate) fn run(args: &MemoryArgs, monitor: &Progress) -> anyhow::Result<()> {
    match &args.command {
        MemoryCommand::Fit(args) => fit::run(args, monitor),
        MemoryCommand::List {
            macros: true,
            output,
        } => sram::list(output.format),
        MemoryCommand::List { output, .. } => list(output.format),
        MemoryCommand::Import(args) => sram::import(args, monitor),
        MemoryCommand::Combine(args) => {
            let model = sram::combine(args, monitor)?;
            show_points(&model, &model.curve(11)?, true, args.output.format)
        }
        MemoryCommand::Show {
            model,
            at_ber,
            at_voltage,
            variant,
            extrapolate,
            output,
        } => {
            let model = match memory::open(model)? {
                Memory::Model(model) => model,
                Memory::Macro(_) if at_ber.is_some() => {
                    let expected = "a model with a failure curve, or `--at-voltage`";
                    return Err(Error::argument(
                        "--at-ber",
                        expected,
                        format!("the macro `{model}`"),
                    )
                    .into());
                }
                Memory::Macro(model) => {
                    let voltages = at_voltage.as_deref();
                    return sram::show(
                        &model,
                        variant.as_deref(),
                        voltages,
                        *extrapolate,
                        output.format,
                    );
                }
            };
            if variant.is_some() || *extrapolate {
                let expected = "a macro, as `memory import` writes it";
                let found = format!("the memory model `{}`", model.name);
                return Err(Error::argument("--variant and --extrapolate", expected, found).into());
            }
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

/// Refuses a name that is no model file or is taken; returns the name of the model.
fn name_of_out(out: &Path, overwrite: bool, name: Option<&String>) -> Result<String, Error> {
    let shown = || format!("`{}`", out.display());
    if !out
        .extension()
        .is_some_and(|ending| ending == "yaml" || ending == "yml")
    {
        return refuse("--out", "a file that ends in .yaml", shown());
    }
    if out.exists() && !overwrite {
        return refuse(
            "--out",
            "a file that is not there yet, or --overwrite",
            shown(),
        );
    }
    let stem = out.file_stem().unwrap_or_default();
    let name = name
        .cloned()
        .unwrap_or_else(|| stem.to_string_lossy().into_owned());
    check_name(&name).map_err(|(expected, found)| {
        Error::argument("--name, or the file of --out", expected, found)
    })?;
    Ok(name)
}

/// What a model to be written is called.
fn naming(named: &NamedModel) -> Result<Naming, Error> {
    Ok(Naming {
        name: name_of_out(&named.out, named.overwrite, named.name.as_ref())?,
        title: named.title.clone(),
        source: named.source.clone(),
        license: named.license.clone(),
    })
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
    let grid = Grid::of(&models)
        .text("memory model", |m| &m.name)
        .text("title", |m| &m.title)
        .text("unit", |m| m.unit.symbol())
        .number("error-free", |m| m.error_free.to_string())
        .text("array", |m| m.array.label());
    show::table(&grid.grid())
}

fn show_points(
    model: &MemoryModel,
    points: &[OperatingPoint],
    whole: bool,
    format: Format,
) -> anyhow::Result<()> {
    if format != Format::Table {
        let rows = points.iter().map(|p| {
            let mut record = json!({
                "schema": SCHEMA, "memory": model.name, "voltage": p.voltage.get(),
                "voltage_unit": model.unit.name(), "ber": p.ber.get(), "ber_source": p.ber_source.name(),
                "access_energy_relative": p.access_energy_relative,
                "access_energy_pj": model.access_energy_pj(p.voltage),
            });
            if let Some(own) = model.sram_at(p.voltage) {
                record["read_pj"] = json!(own.read_pj);
                record["write_pj"] = json!(own.write_pj);
                record["leakage_nw"] = json!(own.leakage_nw);
                record["delay_ns"] = json!(own.delay_ns);
                record["known_as"] = json!(own.standing.name());
            }
            record
        });
        return show::records(&Value::Array(rows.collect()), format);
    }
    if whole {
        show::text(&about(model))?;
    }
    let grid = Grid::of(points)
        .number(model.unit.symbol(), |p| format!("{:.4}", p.voltage.get()))
        .number("bit error rate", |p| rate(p.ber.get()))
        .text("source", |p| p.ber_source.name())
        .number("access energy, relative", |p| {
            format!("{:.4}", p.access_energy_relative)
        })
        .number("read, pJ", |p| {
            Some(sram::number(model.sram_at(p.voltage)?.read_pj))
        })
        .only_if(model.sram.is_some())
        .number("leakage, nW", |p| {
            Some(sram::number(model.sram_at(p.voltage)?.leakage_nw))
        })
        .only_if(model.sram.is_some())
        .number("delay, ns", |p| {
            model.sram_at(p.voltage)?.delay_ns.map(sram::number)
        })
        .only_if(model.sram.is_some())
        .text("known as", |p| {
            model.sram_at(p.voltage).map(|own| own.standing.name())
        })
        .only_if(model.sram.is_some());
    show::table(&grid.grid())
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
    let standby = model.standby.iter();
    lines.extend(standby.map(|standby| format!("  standby: {}", standby.in_words())));
    lines.push(format!(
        "  faults: {}; array: {}\n",
        model.fault_kind.name(),
        model.array.label()
    ));
    lines.join("\n")
}
