//! `pack`: model files to packed ones.

use crate::args::{Format, PackArgs};
use crate::progress::Progress;
use crate::show;
use wcat_explore::report::Grid;
use wcat_explore::run::pack;

pub(crate) fn run(args: &PackArgs, monitor: &Progress) -> anyhow::Result<()> {
    let files = [args.typed.clone(), args.files.all()].concat();
    let rows = pack(&files, &args.out, monitor)?;
    if args.output.format != Format::Table {
        return show::records(&serde_json::to_value(&rows)?, args.output.format);
    }
    let grid = Grid::of(&rows)
        .text("model", |r| &r.model)
        .text("method", |r| r.method)
        .number("bits", |r| {
            r.bits.map_or("mixed".into(), |bits| bits.to_string())
        })
        .text("file", |r| &r.path)
        .number("bytes", |r| r.bytes)
        .number("bytes before", |r| r.bytes_before);
    show::table(&grid.grid())
}
