//! `eval`: accuracy and loss of one model.

use crate::args::{layers, EvalArgs, Format};
use crate::progress::Progress;
use crate::show;
use wcat_explore::error::{refuse, Result};
use wcat_explore::report::Grid;
use wcat_explore::run::{evaluate, EvaluationRow, FaultSetting, Monitor, WeightFaults};
use wcat_explore::units::ChipId;

pub(crate) fn run(args: &EvalArgs, monitor: &Progress) -> anyhow::Result<()> {
    let flags = [
        layers(&args.memory)?,
        layers(&args.images)?,
        layers(&args.judged)?,
        layers(&args.faults)?,
    ];
    let (experiment, dataset_given) =
        args.settings
            .experiment(&args.places, None, &flags.concat())?;
    check_used(args)?;
    let weights = match (args.ber, &args.voltage) {
        (Some(ber), _) => WeightFaults::Ber(ber),
        (None, Some(voltage)) => WeightFaults::Voltage(voltage),
        (None, None) => WeightFaults::None,
    };
    let faults = FaultSetting {
        chip: ChipId(args.chip.unwrap_or(0)),
        weights,
        activations: args.activation_ber,
    };
    let (row, warnings) = evaluate(
        &experiment,
        &args.model,
        dataset_given,
        args.places.data_dir.as_deref(),
        args.places.data_file.as_deref(),
        faults,
        args.export_masks.as_deref(),
    )?;
    monitor.warn_all(&warnings);
    match args.output.format {
        Format::Table => show::table(&table(&row)),
        other => show::records(&serde_json::json!([row]), other),
    }
}

/// Refuses a chip or a memory where no bit fails.
fn check_used(args: &EvalArgs) -> Result<()> {
    if args.ber.is_some() || args.voltage.is_some() || args.activation_ber.is_some() {
        return Ok(());
    }
    let flag = match args.chip {
        Some(_) => "--chip",
        None if args.memory.names_one() => "--memory",
        None => return Ok(()),
    };
    let expected = "`--voltage`, `--ber` or `--activation-ber` beside it: without, no bit fails and it has no effect";
    refuse(flag, expected, "none of them")
}

fn table(row: &EvaluationRow) -> Grid {
    let faulty = row.ber.is_some();
    let unit = row.voltage_unit.unwrap_or_default();
    let described = row.fault_kind.is_some() && row.array.is_some();
    Grid::of(&[row])
        .text("model", |r| &r.model)
        .text("dataset", |r| &r.dataset)
        .text("normalised by", |r| r.normalization.as_ref())
        .only_if(row.normalization.is_some())
        .number("images", |r| r.images)
        .number(show::measured(row.metric), |r| show::percent(r.accuracy))
        .number("loss", |r| {
            let loss = r.loss.map(|loss| format!("{loss:.4}"));
            loss.unwrap_or("not finite".into())
        })
        .only_if(row.loss.is_some() || row.not_finite > 0)
        .number("not finite", |r| r.not_finite)
        .only_if(row.not_finite > 0)
        .number("voltage", |r| r.voltage.map(|v| format!("{v} {unit}")))
        .only_if(faulty)
        .number("bit error rate", |r| r.ber.map(|ber| format!("{ber:.3e}")))
        .only_if(faulty)
        .number("activation error rate", |r| {
            r.activation_ber.map(|ber| format!("{ber:.3e}"))
        })
        .only_if(row.activation_ber.is_some())
        .number("chip", |r| r.chip.unwrap_or_default())
        .only_if(row.chip.is_some())
        .number("faults", |r| r.faults.unwrap_or_default())
        .only_if(faulty)
        .text("fault kind", |r| r.fault_kind.as_ref())
        .only_if(described)
        .text("array", |r| r.array.as_ref())
        .only_if(described)
        .grid()
}
