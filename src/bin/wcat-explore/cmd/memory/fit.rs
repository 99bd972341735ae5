//! `memory fit`: a memory model and its figure from measurements.

use super::{name_of_out, rate};
use crate::args::{FitArgs, FitCurve, Format, Unit};
use crate::progress::Progress;
use crate::show;
use serde_json::json;
use std::path::Path;
use wcat_explore::error::Error;
use wcat_explore::figure;
use wcat_explore::memory::{
    Fit, FitMethod, FittedCurve, FittedModel, Measurements, MemoryModel, Parameter, RobustCell,
};
use wcat_explore::report::Grid;
use wcat_explore::run::Monitor;
use wcat_explore::stats::Interval;
use wcat_explore::store;
use wcat_explore::table::SCHEMA;
use wcat_explore::units::VoltageUnit;

pub(super) fn run(args: &FitArgs, monitor: &Progress) -> anyhow::Result<()> {
    let name = name_of_out(&args.out, args.overwrite, args.name.as_ref())?;
    let measurements = Measurements::read(&args.measurements)?;
    let of_file = |error: Error| error.in_file(&args.measurements);
    let fit = Fit::new(&measurements, args.copies).map_err(of_file)?;
    let fitted = FittedModel {
        measurements: &measurements,
        fit: &fit,
        name: &name,
        title: args.title.as_deref(),
        source: args.source.as_deref(),
        unit: match args.unit {
            Unit::Volt => VoltageUnit::Volt,
            Unit::Vmin => VoltageUnit::Vmin,
        },
        reference: args.reference.as_deref(),
        error_free: args.error_free,
        curve: match args.curve {
            FitCurve::Gaussian => FittedCurve::Gaussian,
            FitCurve::Measured => FittedCurve::Measured,
        },
        robust_cell: robust_cell(args),
    };
    let (model, warnings) = fitted.build(&args.out).map_err(of_file)?;
    let figure = figure::memory_fit(&name, model.unit, &fit);
    figure::write(&figure.svg, &args.out.with_extension("svg"))?;
    store::write_bytes(&args.out, model.text.as_bytes())?;
    let remarks = measurements.remarks.iter();
    remarks.for_each(|remark| monitor.note(remark));
    monitor.warn_all(&warnings);
    print(&model, &measurements, &fit, args.output.format)?;
    let (path, drawn) = (args.out.display(), args.out.with_extension("svg"));
    monitor.note(&format!(
        "memory model: {path}; figure: {} and .png",
        drawn.display()
    ));
    if model.robust_cell.is_none() {
        monitor.note(
            "no robust cell in it: protection msb:k needs `--robust-energy` and `--robust-area`",
        );
    }
    Ok(())
}

/// The cell of protection `msb:k`, where both of its factors are given.
fn robust_cell(args: &FitArgs) -> Option<RobustCell> {
    let (energy_factor, area_factor) = args.robust_energy.zip(args.robust_area)?;
    Some(RobustCell {
        energy_factor,
        area_factor,
        leakage_factor: None,
        source: args
            .robust_source
            .clone()
            .unwrap_or_else(|| "given by the user".into()),
    })
}

fn print(
    model: &MemoryModel,
    measurements: &Measurements,
    fit: &Fit,
    format: Format,
) -> anyhow::Result<()> {
    if format != Format::Table {
        return show::records(&json!([record(model, measurements, fit)]), format);
    }
    let ends = |i: Option<Interval>| i.map(|i| format!("{:.5} .. {:.5}", i.low, i.high));
    let parameters = [("μ", fit.mu), ("σ", fit.sigma)];
    let unit = model.unit.symbol();
    let widened = match fit.method {
        FitMethod::PooledBinomial => "widened by dispersion",
        _ => "widened by misfit",
    };
    let grid = Grid::of(&parameters)
        .text(unit, |p| p.0)
        .number("estimate", |p| format!("{:.5}", p.1.value))
        .number("95 % interval", |p| ends(p.1.interval))
        .number(widened, |p| ends(p.1.widened))
        .only_if(fit.mu.widened.is_some());
    show::table(&grid.grid())?;
    show::result(&match fit.goodness {
        Some(g) => format!(
            "\nchi-square {:.2}, {} degrees of freedom, p = {:.2e}\n",
            g.chi_square, g.degrees_of_freedom, g.p_value
        ),
        None if fit.mu.interval.is_none() => {
            "\nleast squares: without numbers of cells there is no likelihood and \
                                              no interval\n"
                .into()
        }
        None => "\nno degree of freedom is left to test the line\n".into(),
    })?;
    let grid = Grid::of(&fit.points)
        .number(unit, |p| p.voltage.to_string())
        .number("measured", |p| rate(p.measured))
        .number("fitted", |p| rate(p.fitted))
        .number("measured / fitted", |p| {
            let factor = p.decades.map(|decades| 10f64.powf(decades));
            factor.map(|factor| format!("{factor:.3}"))
        });
    show::table(&grid.grid())
}

fn record(model: &MemoryModel, measurements: &Measurements, fit: &Fit) -> serde_json::Value {
    let low = |i: Option<Interval>| i.map(|i| i.low);
    let high = |i: Option<Interval>| i.map(|i| i.high);
    let (mu, sigma): (Parameter, Parameter) = (fit.mu, fit.sigma);
    let worst = fit.worst();
    let name = |path: &Path| path.display().to_string();
    json!({
        "schema": SCHEMA, "memory": model.name, "measurements": name(&measurements.path),
        "method": fit.method.name(), "voltage_unit": model.unit.name(), "voltages": fit.points.len(),
        "cells": measurements.cells, "copies": fit.copies,
        "mu": mu.value, "mu_low": low(mu.interval), "mu_high": high(mu.interval),
        "mu_widened_low": low(mu.widened), "mu_widened_high": high(mu.widened),
        "sigma": sigma.value, "sigma_low": low(sigma.interval), "sigma_high": high(sigma.interval),
        "sigma_widened_low": low(sigma.widened), "sigma_widened_high": high(sigma.widened),
        "chi_square": fit.goodness.map(|g| g.chi_square),
        "degrees_of_freedom": fit.goodness.map(|g| g.degrees_of_freedom),
        "p_value": fit.goodness.map(|g| g.p_value), "dispersion": fit.goodness.map(|g| g.dispersion),
        "worst_voltage": worst.map(|w| w.0), "worst_decades": worst.map(|w| w.1),
        "error_free": model.error_free.get(), "sha256": model.checksum,
    })
}
