//! `export`: a model as a file for other programs.

use crate::args::{ExportArgs, ExportForm};
use crate::progress::Progress;
use crate::show;
use wcat_explore::run::export;

pub(crate) fn run(args: &ExportArgs, monitor: &Progress) -> anyhow::Result<()> {
    let ExportForm::Onnx = args.to;
    let choices = args.import.choices();
    export(
        args.file.path(),
        &choices,
        &args.out,
        args.overwrite,
        monitor,
    )?;
    show::path(&args.out)
}
