//! `memory import`, `memory combine`, and `memory show` of a macro.

use super::naming;
use crate::args::{CombineArgs, Format, ImportArgs, LawFlags};
use crate::progress::Progress;
use crate::show;
use serde_json::{json, Value};
use wcat_explore::error::{refuse, Error};
use wcat_explore::memory::{
    self, parse_voltage, parse_voltages, CactiChoice, Combination, ImportSpec, Law, Laws,
    MacroModel, MacroPoint, MemoryModel, Variant, VoltageMap,
};
use wcat_explore::report::Grid;
use wcat_explore::run::Monitor;
use wcat_explore::store;
use wcat_explore::table::SCHEMA;
use wcat_explore::units::{Voltage, VoltageUnit};

pub(super) fn import(args: &ImportArgs, monitor: &Progress) -> anyhow::Result<()> {
    let naming = naming(&args.named)?;
    let spec = ImportSpec {
        laws: laws(&args.laws)?,
        extrapolate: args.laws.extrapolate,
        cacti: CactiChoice {
            rows: chosen(&args.rows)?,
            vdd: volts("--vdd", args.vdd.as_deref())?,
            device: args.device_class.clone(),
        },
    };
    let model = memory::import(&args.files, &spec, &naming)?;
    store::write_bytes(&args.named.out, model.text.as_bytes())?;
    monitor.note(&format!("macro: {}", args.named.out.display()));
    show(&model, None, None, false, args.output.format)?;
    if args.output.format == Format::Table {
        show_laws(&model)?;
    }
    Ok(())
}

/// Columns with the value that a row must have.
fn chosen(rows: &[String]) -> Result<Vec<(String, String)>, Error> {
    let pair = |text: &String| match text.split_once('=') {
        Some((column, value)) => Ok((column.trim().to_owned(), value.trim().to_owned())),
        None => refuse("--where", "COLUMN=VALUE", format!("`{text}`")),
    };
    rows.iter().map(pair).collect()
}

/// The combined model, written.
pub(super) fn combine(args: &CombineArgs, monitor: &Progress) -> anyhow::Result<MemoryModel> {
    let naming = naming(&args.named)?;
    let failures = memory::load(&args.failures)?;
    let energy = memory::open(&args.energy)?.sram()?;
    let vmin = volts("--vmin", args.vmin.as_deref())?;
    let margin = volts("--margin", args.margin.as_deref())?;
    let combination = Combination {
        failures: &failures,
        energy: &energy,
        variant: args.variant.as_deref(),
        map: vmin.map_or(VoltageMap::Volts, VoltageMap::Vmin),
        laws: laws(&args.laws)?,
        extrapolate: args.laws.extrapolate,
        margin: margin.map_or(0.0, Voltage::get),
    };
    let model = combination.build(&naming, &args.named.out)?;
    store::write_bytes(&args.named.out, model.text.as_bytes())?;
    monitor.note(&format!("memory model: {}", args.named.out.display()));
    Ok(model)
}

/// A voltage in volts, where one is given.
fn volts(flag: &str, text: Option<&str>) -> Result<Option<Voltage>, Error> {
    let Some(text) = text else {
        return Ok(None);
    };
    match parse_voltage(text)? {
        (voltage, None | Some(VoltageUnit::Volt)) => Ok(Some(voltage)),
        (voltage, Some(unit)) => {
            let found = format!("{voltage} `{}`", unit.name());
            refuse(flag, "volts, such as `0.8V`", found)
        }
    }
}

/// The built-in macros.
pub(super) fn list(format: Format) -> anyhow::Result<()> {
    let names = memory::macro_names().into_iter();
    let macros: Vec<MacroModel> = names
        .map(|name| memory::open(name)?.sram())
        .collect::<Result<_, _>>()?;
    if format != Format::Table {
        let rows = macros.iter().map(|m| {
            json!({
                "schema": SCHEMA, "macro": m.file.name, "title": m.file.title, "words": m.file.sram.words,
                "bits": m.file.sram.bits, "variants": m.file.sram.variants.len(), "source": m.file.source,
                "sha256": m.checksum,
            })
        });
        return show::records(&Value::Array(rows.collect()), format);
    }
    let grid = Grid::of(&macros)
        .text("macro", |m| &m.file.name)
        .text("title", |m| &m.file.title)
        .number("words", |m| m.file.sram.words)
        .number("bits", |m| m.file.sram.bits)
        .number("variants", |m| m.file.sram.variants.len());
    show::table(&grid.grid())
}

/// The laws that flags stand for.
pub(super) fn laws(flags: &LawFlags) -> Result<Laws, Error> {
    let given = flags.law_source.as_deref().unwrap_or("given by the user");
    if let Some(name) = &flags.laws_of {
        return memory::open(name)?.sram()?.laws();
    }
    let power = |exponent: Option<f64>| exponent.map(|exponent| Law::power(exponent, given));
    let access = power(flags.access_exponent);
    let delay = flags.threshold.zip(flags.alpha);
    Ok(Laws {
        read: access.clone(),
        write: access,
        leakage: power(flags.leakage_exponent),
        delay: delay.map(|(threshold, alpha)| Law::alpha_power(threshold, alpha, given)),
    })
}

/// A variant at a voltage.
struct Row<'a> {
    variant: &'a Variant,
    point: MacroPoint,
}

pub(super) fn show(
    model: &MacroModel,
    variant: Option<&str>,
    list: Option<&str>,
    extrapolate: bool,
    format: Format,
) -> anyhow::Result<()> {
    let sram = &model.file.sram;
    let mut variants: Vec<Variant> = match variant {
        Some(_) => vec![sram.variant(variant)?.clone()],
        None => sram.variants.clone(),
    };
    variants
        .iter_mut()
        .for_each(|variant| variant.extrapolate |= extrapolate);
    let rows = rows(&variants, list)?;
    if format != Format::Table {
        return show::records(
            &Value::Array(rows.iter().map(|row| record(model, row)).collect()),
            format,
        );
    }
    if list.is_none() {
        show::text(&about(model))?;
    }
    let grid = Grid::of(&rows)
        .text("variant", |row| &row.variant.name)
        .number("V", |row| format!("{:.3}", row.point.voltage))
        .number("read, pJ", |row| number(row.point.read_pj))
        .number("write, pJ", |row| number(row.point.write_pj))
        .number("leakage, nW", |row| number(row.point.leakage_nw))
        .number("delay, ns", |row| row.point.delay_ns.map(number))
        .text("known as", |row| row.point.standing.name());
    show::table(&grid.grid())
}

/// Variants at the voltages at which they are known: those of a list, else the characterised ones.
fn rows<'a>(variants: &'a [Variant], list: Option<&str>) -> Result<Vec<Row<'a>>, Error> {
    let mut rows = Vec::new();
    let Some(list) = list else {
        for variant in variants {
            for point in &variant.read_pj.points {
                rows.push(Row {
                    variant,
                    point: variant.at(point.at)?,
                });
            }
        }
        return Ok(rows);
    };
    for (voltage, unit) in parse_voltages(list)? {
        if unit == Some(VoltageUnit::Vmin) {
            let found = format!("{voltage} `vmin`");
            return refuse("unit of voltage", "`volt`, that of macros", found);
        }
        rows.extend(at(variants, voltage)?);
    }
    Ok(rows)
}

/// The variants that are known at a voltage; where none is, why the first is not.
fn at(variants: &[Variant], voltage: Voltage) -> Result<Vec<Row<'_>>, Error> {
    let (mut rows, mut refused) = (Vec::new(), None);
    for variant in variants {
        match variant.at(voltage) {
            Ok(point) => rows.push(Row { variant, point }),
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    match refused {
        Some(error) if rows.is_empty() => Err(error),
        _ => Ok(rows),
    }
}

fn record(model: &MacroModel, row: &Row<'_>) -> Value {
    let (sram, variant, point) = (&model.file.sram, row.variant, &row.point);
    let numbers = [&variant.read_pj, &variant.leakage_nw, &variant.delay_ns];
    let [read, leakage, delay] = numbers.map(|number| number.law.as_ref());
    json!({
        "schema": SCHEMA, "macro": model.file.name, "variant": variant.name, "process": variant.process,
        "temperature_c": variant.temperature_c, "words": sram.words, "bits": sram.bits,
        "voltage": point.voltage, "voltage_unit": "volt", "read_pj": point.read_pj, "write_pj": point.write_pj,
        "leakage_nw": point.leakage_nw, "delay_ns": point.delay_ns, "known_as": point.standing.name(),
        "access_exponent": read.map(|law| law.exponent),
        "access_worst_residual": read.and_then(|law| law.worst_residual),
        "leakage_exponent": leakage.map(|law| law.exponent),
        "leakage_worst_residual": leakage.and_then(|law| law.worst_residual),
        "threshold_v": delay.map(|law| law.threshold), "alpha": delay.map(|law| law.alpha),
        "delay_worst_residual": delay.and_then(|law| law.worst_residual),
        "sha256": model.checksum,
    })
}

/// A number to five digits.
pub(super) fn number(number: f64) -> String {
    let digits = (4 - number.abs().log10().floor() as i32).clamp(0, 8) as usize;
    format!("{number:.digits$}")
}

fn about(model: &MacroModel) -> String {
    let (file, sram) = (&model.file, &model.file.sram);
    let mut lines = vec![
        file.name.clone(),
        format!("  {}", file.title),
        format!("  source: {}", file.source),
        format!("  {} words of {} bits", sram.words, sram.bits),
    ];
    let area = sram
        .area_um2
        .map(|area| format!("{area:.0} square micrometres"));
    for (what, text) in [("area", &area), ("measured", &file.measured)] {
        lines.extend(text.iter().map(|text| format!("  {what}: {}", text.trim())));
    }
    lines.push("  no failure curve: `memory combine` adds one, for sweeps\n".into());
    lines.join("\n")
}

/// Laws over voltage with their evidence.
fn show_laws(model: &MacroModel) -> anyhow::Result<()> {
    let variants = model.file.sram.variants.iter();
    let numbers = variants.flat_map(|variant| {
        variant
            .numbers()
            .map(|(key, number)| (&variant.name, key, number))
    });
    let laws: Vec<_> = numbers
        .filter_map(|(name, key, number)| Some((name, key, number.law.as_ref()?)))
        .collect();
    if laws.is_empty() {
        return show::result("\nno law over voltage: each variant has one voltage\n");
    }
    show::result("")?;
    let grid = Grid::of(&laws)
        .text("variant", |row| row.0)
        .text("number", |row| row.1)
        .text("goes with", |row| row.2.in_words())
        .text("evidence", |row| &row.2.source);
    show::table(&grid.grid())
}
