//! `eval`: accuracy and loss of one model.

use crate::args::{layers, EvalArgs, Format};
use crate::progress::Progress;
use crate::show::{self, Column};
use wcat_explore::run::{evaluate, EvaluationRow, FaultSetting, Monitor};
use wcat_explore::units::ChipId;

pub(crate) fn run(args: &EvalArgs, monitor: &Progress) -> anyhow::Result<()> {
    let flags = [
        layers(&args.memory)?,
        layers(&args.images)?,
        layers(&args.faults)?,
    ];
    let (experiment, dataset_given) =
        args.settings
            .experiment(&args.places, None, &flags.concat())?;
    let chip = ChipId(args.chip);
    let faults = match (args.ber, &args.voltage) {
        (Some(ber), _) => FaultSetting::Ber(ber, chip),
        (None, Some(voltage)) => FaultSetting::Voltage(voltage, chip),
        (None, None) => FaultSetting::Clean,
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
    warnings.iter().for_each(|warning| monitor.warn(warning));
    match args.output.format {
        Format::Table => table(&row),
        other => show::records(&serde_json::json!([row]), other),
    }
}

fn table(row: &EvaluationRow) -> anyhow::Result<()> {
    let rows = [row];
    let mut columns = vec![
        Column::text("model", &rows, |r| r.model.clone()),
        Column::text("dataset", &rows, |r| r.dataset.clone()),
        Column::number("images", &rows, |r| r.images.to_string()),
        Column::number("accuracy %", &rows, |r| show::percent(r.accuracy)),
        Column::number("loss", &rows, |r| {
            r.loss
                .map_or("not finite".into(), |loss| format!("{loss:.4}"))
        }),
    ];
    if let Some(normalization) = &row.normalization {
        let column = Column::text("normalised by", &rows, |_| normalization.clone());
        columns.insert(2, column);
    }
    if row.not_finite > 0 {
        columns.push(Column::number("not finite", &rows, |r| {
            r.not_finite.to_string()
        }));
    }
    if row.ber.is_some() {
        let unit = row.voltage_unit.unwrap_or_default();
        columns.push(Column::number("voltage", &rows, |r| {
            r.voltage.map_or("-".into(), |v| format!("{v} {unit}"))
        }));
        columns.push(Column::number("bit error rate", &rows, |r| {
            format!("{:.3e}", r.ber.unwrap_or_default())
        }));
        columns.push(Column::number("chip", &rows, |r| {
            r.chip.unwrap_or_default().to_string()
        }));
        columns.push(Column::number("faults", &rows, |r| {
            r.faults.unwrap_or_default().to_string()
        }));
    }
    if let (Some(kind), Some(array)) = (&row.fault_kind, &row.array) {
        columns.push(Column::text("fault kind", &rows, |_| kind.to_string()));
        columns.push(Column::text("array", &rows, |_| array.to_string()));
    }
    show::table(&columns)
}
