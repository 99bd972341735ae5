//! `pack`: model files to packed ones.

use crate::args::{Format, PackArgs};
use crate::progress::Progress;
use crate::show::{self, Column};
use wcat_explore::run::pack;

pub(crate) fn run(args: &PackArgs, monitor: &Progress) -> anyhow::Result<()> {
    let rows = pack(&args.files.all(), &args.out, monitor)?;
    if args.output.format != Format::Table {
        return show::records(&serde_json::to_value(&rows)?, args.output.format);
    }
    show::table(&[
        Column::text("model", &rows, |r| r.model.clone()),
        Column::text("method", &rows, |r| r.method.to_string()),
        Column::number("bits", &rows, |r| {
            r.bits.map_or("mixed".into(), |bits| bits.to_string())
        }),
        Column::text("file", &rows, |r| r.path.clone()),
        Column::number("bytes", &rows, |r| r.bytes.to_string()),
        Column::number("bytes before", &rows, |r| r.bytes_before.to_string()),
    ])
}
