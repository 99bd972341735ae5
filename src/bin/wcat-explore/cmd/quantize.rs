//! `quantize`: a float model to a quantised one, without training.

use crate::args::{layers, Format, QuantizeArgs};
use crate::progress::Progress;
use crate::show::{self, Column};
use wcat_explore::run::{quantize, QuantizationRequest, QuantizationRow, QuantizedLayer};

pub(crate) fn run(args: &QuantizeArgs, monitor: &Progress) -> anyhow::Result<()> {
    let flags = [layers(&args.quantizer)?, layers(&args.images)?].concat();
    let (experiment, dataset_given) = args.settings.experiment(&args.places, None, &flags)?;
    let request = QuantizationRequest {
        model: args.model.clone(),
        out: args.out.clone(),
        overwrite: args.overwrite,
        name: args.name.clone(),
        dataset_given,
        evaluate: !args.no_eval,
        data_folder: args.places.data_dir.clone(),
        data_file: args.places.data_file.clone(),
    };
    let result = quantize(&experiment, &request, monitor)?;
    match (args.output.format, args.layers) {
        (Format::Table, false) => model_table(&result.row),
        (Format::Table, true) => layer_table(&result.layers),
        (other, false) => show::records(&serde_json::to_value([&result.row])?, other),
        (other, true) => show::records(&serde_json::to_value(&result.layers)?, other),
    }
}

fn model_table(row: &QuantizationRow) -> anyhow::Result<()> {
    let rows = [row];
    let mut columns = vec![
        Column::text("model", &rows, |r| r.model.clone()),
        Column::text("method", &rows, |r| r.method.to_string()),
        Column::number("bits", &rows, |r| r.bits.to_string()),
        Column::number("layers", &rows, |r| r.layers.to_string()),
        Column::number("weights", &rows, |r| r.weights.to_string()),
        Column::number("relative error", &rows, |r| {
            format!("{:.3e}", r.relative_error)
        }),
    ];
    if row.accuracy.is_some() {
        let share = |x: Option<f64>| x.map_or("-".into(), show::percent);
        columns.push(Column::text("dataset", &rows, |r| {
            r.dataset.clone().unwrap_or_default()
        }));
        columns.push(Column::number("images", &rows, |r| {
            r.images.unwrap_or_default().to_string()
        }));
        columns.push(Column::number("accuracy %", &rows, |r| share(r.accuracy)));
        columns.push(Column::number("float accuracy %", &rows, |r| {
            share(r.float_accuracy)
        }));
    }
    if let Some(normalization) = &row.normalization {
        columns.push(Column::text("normalised by", &rows, |_| {
            normalization.clone()
        }));
    }
    columns.push(Column::text("path", &rows, |r| r.path.clone()));
    show::table(&columns)
}

fn layer_table(layers: &[QuantizedLayer]) -> anyhow::Result<()> {
    let range = |x: Option<f32>| x.map_or("-".into(), |x| format!("{x:.5}"));
    let error = |x: Option<f64>| x.map_or("-".into(), |x| format!("{x:.3e}"));
    show::table(&[
        Column::text("layer", layers, |l| l.layer.clone()),
        Column::number("weights", layers, |l| l.weights.to_string()),
        Column::number("bits", layers, |l| l.bits.to_string()),
        Column::number("range", layers, |l| range(l.range)),
        Column::number("step", layers, |l| {
            l.step.map_or("-".into(), |x| format!("{x:.6}"))
        }),
        Column::number("squared error", layers, |l| error(l.squared_error)),
        Column::number("relative error", layers, |l| error(l.relative_error)),
    ])
}
