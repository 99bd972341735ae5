//! `quantize`: a float model to a quantised one, without training.

use crate::args::{layers, Format, QuantizeArgs};
use crate::progress::Progress;
use crate::show;
use wcat_explore::report::Grid;
use wcat_explore::run::{quantize, QuantizationRequest, QuantizationRow, QuantizedLayer};

pub(crate) fn run(args: &QuantizeArgs, monitor: &Progress) -> anyhow::Result<()> {
    let flags = [layers(&args.quantizer)?, layers(&args.images)?].concat();
    let (experiment, dataset_given) = args.settings.experiment(&args.places, None, &flags)?;
    let request = QuantizationRequest {
        model: args.file.path().to_owned(),
        choices: args.import.choices(),
        out: args.out.clone(),
        overwrite: args.overwrite,
        name: args.name.clone(),
        dataset_given,
        requantize: args.requantize,
        evaluate: !args.no_eval,
        data_folder: args.places.data_dir.clone(),
        data_file: args.places.data_file.clone(),
        activations: args.activations.calibration(),
    };
    let result = quantize(&experiment, &request, monitor)?;
    match (args.output.format, args.layers) {
        (Format::Table, false) => show::table(&model_table(&result.row)),
        (Format::Table, true) => show::table(&layer_table(&result.layers)),
        (other, false) => show::records(&serde_json::to_value([&result.row])?, other),
        (other, true) => show::records(&serde_json::to_value(&result.layers)?, other),
    }
}

fn model_table(row: &QuantizationRow) -> Grid {
    let evaluated = row.accuracy.is_some();
    Grid::of(&[row])
        .text("model", |r| &r.model)
        .text("method", |r| r.method)
        .number("bits", |r| r.bits.to_string())
        .number("activation bits", |r| {
            r.activation_bits.map(|b| b.to_string())
        })
        .only_if(row.activation_bits.is_some())
        .number("layers", |r| r.layers.to_string())
        .number("weights", |r| r.weights.to_string())
        .number("relative error", |r| format!("{:.3e}", r.relative_error))
        .text("dataset", |r| r.dataset.as_ref())
        .only_if(evaluated)
        .number("images", |r| r.images.unwrap_or_default().to_string())
        .only_if(evaluated)
        .number("accuracy %", |r| r.accuracy.map(show::percent))
        .only_if(evaluated)
        .number("float accuracy %", |r| r.float_accuracy.map(show::percent))
        .only_if(evaluated)
        .text("normalised by", |r| r.normalization.as_ref())
        .only_if(row.normalization.is_some())
        .text("path", |r| &r.path)
        .grid()
}

fn layer_table(layers: &[QuantizedLayer]) -> Grid {
    let error = |x: Option<f64>| x.map(|x| format!("{x:.3e}"));
    Grid::of(layers)
        .text("layer", |l| &l.layer)
        .number("weights", |l| l.weights.to_string())
        .number("bits", |l| l.bits.to_string())
        .number("range", |l| l.range.map(|range| format!("{range:.5}")))
        .number("step", |l| l.step.map(|step| format!("{step:.6}")))
        .number("squared error", |l| error(l.squared_error))
        .number("relative error", |l| error(l.relative_error))
        .grid()
}
