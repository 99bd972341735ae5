//! `data info` and `data fetch`.

use crate::args::{data_folder, DataArgs, DataCommand, Format};
use crate::progress::Progress;
use crate::show;
use std::path::Path;
use std::sync::atomic::Ordering;
use wcat_explore::data::fetch::{fetch, FetchProgress, FetchSource};
use wcat_explore::data::{info, DataInfo, DatasetName, SplitInfo};
use wcat_explore::error::Error;
use wcat_explore::report::Grid;
use wcat_explore::run::Monitor;
use wcat_explore::table::SCHEMA;

pub(crate) fn run(args: &DataArgs, monitor: &Progress) -> anyhow::Result<()> {
    match &args.command {
        DataCommand::Info {
            dataset,
            data_dir,
            output,
        } => {
            let folder = data_folder(data_dir.as_ref())?;
            let names = match dataset {
                Some(name) => vec![name.parse::<DatasetName>()?],
                None => DatasetName::ALL
                    .into_iter()
                    .filter(|name| name.classes().is_some())
                    .collect(),
            };
            let mut all: Vec<DataInfo> = names
                .into_iter()
                .map(|name| info(name, &folder))
                .collect::<Result<_, _>>()?;
            if dataset.is_none() {
                all.retain(|info| {
                    COMMON.contains(&info.name)
                        || !info.files.is_empty() && has_own_folder(info, &folder)
                });
            }
            if output.format != Format::Table {
                let mut rows = serde_json::to_value(&all)?;
                for row in rows.as_array_mut().into_iter().flatten() {
                    row["schema"] = SCHEMA.into();
                }
                return show::records(&rows, output.format);
            }
            show::table(&table(&all))?;
            monitor.note(&format!("data folder: {}", folder.display()));
            Ok(())
        }
        DataCommand::Fetch {
            dataset,
            data_dir,
            from,
        } => {
            let folder = data_folder(data_dir.as_ref())?;
            let mut source = FetchSource::built_in(dataset.parse()?)?;
            if let Some(url) = from {
                source = source.from_base(url)?;
            }
            let changed = fetch(&source, &folder, &mut |progress| listen(&progress, monitor))?;
            monitor.note(if changed {
                "fetched and checked"
            } else {
                "already there, checked"
            });
            show::path(&folder.join(&source.folder))
        }
    }
}

/// Listed where they are not there too.
const COMMON: [DatasetName; 4] = [
    DatasetName::Glyphs,
    DatasetName::Mnist,
    DatasetName::Cifar10,
    DatasetName::Cifar100,
];

/// False where the files lie in the data folder itself or in `raw`, where any set in the form of MNIST may lie.
fn has_own_folder(info: &DataInfo, folder: &Path) -> bool {
    info.folder
        .as_ref()
        .is_some_and(|own| own != folder && *own != folder.join("raw"))
}

fn listen(progress: &FetchProgress, monitor: &Progress) -> wcat_explore::error::Result<()> {
    if monitor.cancel().load(Ordering::Relaxed) {
        return Err(Error::Interrupted);
    }
    let fraction = progress.received as f64 / progress.total.max(1) as f64;
    let message = format!(
        "{:?} {}/{} kB",
        progress.step,
        progress.received / 1000,
        progress.total / 1000
    );
    monitor.show(&progress.file, fraction.min(1.0), &message.to_lowercase());
    Ok(())
}

fn table(all: &[DataInfo]) -> Grid {
    let images = |split: &Option<SplitInfo>| split.as_ref().map(|split| split.images.to_string());
    Grid::of(all)
        .text("dataset", |d| d.name.to_string())
        .text("title", |d| &d.title)
        .text("present", |d| if d.present { "yes" } else { "no" })
        .text("images", |d| d.shape.map(|side| side.to_string()).join("x"))
        .number("classes", |d| d.classes.to_string())
        .number("training", |d| images(&d.training))
        .number("test", |d| images(&d.test))
        .grid()
}
