//! Readers of the library with the files that they are tried on and how those are edited.

use super::edit::{self, Rng};
use super::seeds;
use candle_core::Device;
use std::path::Path;
use std::sync::OnceLock;
use wcat_explore::config::{Experiment, Layer};
use wcat_explore::data::{self, DatasetName, DatasetSpec, FileSpec, FolderSpec, Split};
use wcat_explore::error::Result;
use wcat_explore::explore::groups;
use wcat_explore::fault::{ArraySpec, FaultMap};
use wcat_explore::memory::{self, CactiChoice, Corner, ImportSpec, Measurements, Naming};
use wcat_explore::net::{read_state_dict, Model};
use wcat_explore::run::redraw;
use wcat_explore::units::Voltage;
use wcat_explore::{store, table};

/// A reader.
pub(crate) struct Target {
    pub(crate) name: &'static str,
    /// Name of the file, which decides how it is read.
    pub(crate) file: &'static str,
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    pub(crate) edit: fn(&mut Rng, &[u8]) -> Vec<u8>,
    pub(crate) read: fn(&Path) -> Result<()>,
    /// Inputs in `cargo test`, where it is slow.
    pub(crate) count: u64,
}

const COUNT: u64 = 2000;

const fn target(
    name: &'static str,
    file: &'static str,
    seeds: fn() -> Vec<Vec<u8>>,
    edit: fn(&mut Rng, &[u8]) -> Vec<u8>,
    read: fn(&Path) -> Result<()>,
) -> Target {
    Target {
        name,
        file,
        seeds,
        edit,
        read,
        count: COUNT,
    }
}

fn model(path: &Path) -> Result<()> {
    Model::load(path, &Device::Cpu).map(drop)
}

fn checkpoint(path: &Path) -> Result<()> {
    read_state_dict(path).map(drop)
}

fn config(path: &Path) -> Result<()> {
    Experiment::of_layers(&[Layer::file(path)?]).map(drop)
}

fn memory_model(path: &Path) -> Result<()> {
    let model = memory::load(&path.display().to_string())?;
    model.curve(20).map(drop)
}

/// A macro, and what it says at every voltage that it names.
fn macro_model(path: &Path) -> Result<()> {
    let model = memory::open(&path.display().to_string())?.sram()?;
    for variant in &model.file.sram.variants {
        let [low, high] = variant.reach(true);
        for voltage in [low, 0.5 * (low + high), high] {
            Voltage::new(voltage)
                .and_then(|voltage| variant.at(voltage))
                .ok();
        }
    }
    Ok(())
}

/// A file of CACTI as a macro.
fn imported(path: &Path) -> Result<()> {
    let cacti = CactiChoice {
        vdd: Voltage::new(0.8).ok(),
        ..CactiChoice::default()
    };
    let spec = ImportSpec {
        cacti,
        ..ImportSpec::default()
    };
    let naming = Naming {
        name: "cacti".into(),
        ..Naming::default()
    };
    let file = memory::import(&[path.to_owned()], &spec, &naming);
    file.map_err(|error| error.in_file(path)).map(drop)
}

/// The array that maps are laid over.
fn array() -> Result<ArraySpec> {
    Ok(memory::builtin("sram-28nm-vc707-salami2018")?.array)
}

fn fault_map(path: &Path) -> Result<()> {
    FaultMap::read(&[path.display().to_string()], &array()?).map(drop)
}

fn fault_array(path: &Path) -> Result<()> {
    FaultMap::read(&[format!("0.56={}", path.display())], &array()?).map(drop)
}

/// Labels that go with the images; they stand beside them.
fn idx_images(path: &Path) -> Result<()> {
    let labels = path.with_file_name("labels");
    if !labels.exists() {
        store::write_bytes(&labels, &seeds::idx_labels())?;
    }
    data::load_mnist_files(path, &labels).map(drop)
}

fn idx_labels(path: &Path) -> Result<()> {
    let images = path.with_file_name("images");
    if !images.exists() {
        store::write_bytes(&images, &seeds::idx_images())?;
    }
    data::load_mnist_files(&images, path).map(drop)
}

fn cifar(path: &Path) -> Result<()> {
    data::load_cifar_file(path, DatasetName::Cifar10).map(drop)
}

/// The only picture of the only class of a folder.
fn picture(path: &Path) -> Result<()> {
    let spec = DatasetSpec {
        name: DatasetName::Folder,
        folder: Some(FolderSpec {
            size: Some(8),
            resize: Some(8),
        }),
        ..DatasetSpec::default()
    };
    let root = path.parent().and_then(Path::parent).unwrap();
    data::load(&spec, Split::Test, root).map(drop)
}

/// A data set of one file.
fn data_file(path: &Path) -> Result<()> {
    let file = FileSpec {
        test: Some(path.display().to_string()),
        ..FileSpec::default()
    };
    let spec = DatasetSpec {
        file: Some(file),
        ..DatasetSpec::of(DatasetName::File)
    };
    data::load(&spec, Split::Test, Path::new("")).map(drop)
}

/// The record is read before the tables, which are not there.
fn record(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap();
    redraw(&[folder.to_owned()], &folder.join("reports"), None).map(drop)
}

fn summaries() -> &'static [wcat_explore::analysis::Summary] {
    static SUMMARIES: OnceLock<Vec<wcat_explore::analysis::Summary>> = OnceLock::new();
    SUMMARIES.get_or_init(|| {
        let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/cifar10-resnet20-1-percent");
        wcat_explore::table::read::<wcat_explore::analysis::Summary>(&run.join("summary.parquet"))
            .unwrap()
    })
}

fn stored_run(name: &str) -> Vec<Vec<u8>> {
    vec![seeds::stored(&format!(
        "results/cifar10-resnet20-1-percent/{name}"
    ))]
}

/// The first lines of a stored CSV table.
fn stored_csv(name: &str, lines: usize) -> Vec<Vec<u8>> {
    let whole = stored_run(name).remove(0);
    let ends = whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n');
    let end = ends
        .map(|(at, _)| at + 1)
        .nth(lines - 1)
        .unwrap_or(whole.len());
    vec![whole[..end].to_vec()]
}

macro_rules! table {
    ($name:literal, $file:literal, $kind:literal, $place:literal, $edit:expr, $row:ty) => {
        target(
            $name,
            $file,
            || vec![seeds::tables($kind)[$place].clone()],
            $edit,
            |path| table::read::<$row>(path).map(drop),
        )
    };
}

/// Every reader.
pub(crate) const TARGETS: &[Target] = &[
    target(
        "model_header",
        "m.safetensors",
        seeds::models,
        edit::safetensors,
        model,
    ),
    target(
        "model_description",
        "m.safetensors",
        seeds::models,
        edit::description,
        model,
    ),
    target(
        "packed_description",
        "m.safetensors",
        seeds::packed,
        edit::description,
        model,
    ),
    target(
        "packed_data",
        "m.safetensors",
        seeds::packed,
        edit::safetensors_data,
        model,
    ),
    target(
        "checkpoint_zip",
        "m.pth",
        seeds::checkpoint,
        edit::zip,
        checkpoint,
    ),
    target(
        "checkpoint_legacy",
        "m.pth",
        seeds::legacy_checkpoint,
        edit::bytes,
        checkpoint,
    ),
    target("onnx", "m.onnx", seeds::networks, edit::bytes, model),
    target(
        "onnx_operator",
        "m.onnx",
        seeds::operators,
        edit::bytes,
        model,
    ),
    target(
        "config",
        "c.yaml",
        || {
            vec![
                seeds::stored("configs/quickstart.yaml"),
                seeds::stored("configs/mnist_lenet5.yaml"),
            ]
        },
        edit::text,
        config,
    ),
    target(
        "memory_model",
        "m.yaml",
        || {
            vec![
                seeds::stored("memory_models/sram-28nm-vc707-salami2018.yaml"),
                seeds::stored("memory_models/exponential-henwood2020.yaml"),
                seeds::stored("memory_models/combination-14nm-cacti-22nm-hp.yaml"),
            ]
        },
        edit::text,
        memory_model,
    ),
    target(
        "macro",
        "m.yaml",
        || {
            vec![
                seeds::stored("memory_models/ihp-sg13g2-256x32.yaml"),
                seeds::stored("memory_models/gf180-512x8.yaml"),
            ]
        },
        edit::text,
        macro_model,
    ),
    target(
        "liberty",
        "m.lib",
        || {
            vec![
                seeds::stored("tests/liberty/active_low.lib"),
                seeds::stored("tests/liberty/two_ports.lib"),
            ]
        },
        edit::text,
        |path| Corner::read(path).map(drop),
    ),
    target(
        "cacti_table",
        "c.csv",
        seeds::cacti_table,
        edit::text,
        imported,
    ),
    target(
        "cacti_printed",
        "c.out",
        seeds::cacti_printed,
        edit::text,
        imported,
    ),
    target(
        "groups",
        "g.yaml",
        || vec![b"first: [conv1, 'conv*']\nrest:\n  - fc?\n  - \"*\"\n".to_vec()],
        edit::text,
        |path| groups(path).map(drop),
    ),
    target(
        "measurements",
        "m.csv",
        seeds::measurements,
        edit::text,
        |path| Measurements::read(path).map(drop),
    ),
    target(
        "fault_map_csv",
        "f.csv",
        seeds::fault_map,
        edit::text,
        fault_map,
    ),
    target("fault_map_npy", "f.npy", seeds::npy, edit::npy, fault_array),
    target(
        "idx_images",
        "i-ubyte",
        || vec![seeds::idx_images()],
        edit::first_bytes,
        idx_images,
    ),
    target(
        "idx_labels",
        "l-ubyte",
        || vec![seeds::idx_labels()],
        edit::bytes,
        idx_labels,
    ),
    target(
        "idx_gzip",
        "i-ubyte.gz",
        || vec![seeds::idx_packed()],
        edit::gzip,
        idx_images,
    ),
    target(
        "cifar",
        "c.bin",
        || vec![vec![3; 2 * 3073]],
        edit::bytes,
        cifar,
    ),
    target("data_npz", "d.npz", seeds::data_npz, edit::zip, data_file),
    target(
        "data_npz_arrays",
        "d.npz",
        seeds::data_npz,
        edit::npz,
        data_file,
    ),
    target(
        "data_safetensors",
        "d.safetensors",
        seeds::data_safetensors,
        edit::safetensors,
        data_file,
    ),
    target(
        "packed_images",
        "set.images",
        || vec![seeds::packed_images()],
        edit::packed,
        |path| data::read_packed(path).map(drop),
    ),
    target("png", "set/class/x.png", seeds::pngs, edit::png, picture),
    target(
        "jpeg",
        "set/class/x.jpg",
        || {
            vec![
                seeds::stored("tests/fuzz/data/one_scan.jpg"),
                seeds::stored("tests/fuzz/data/scans.jpg"),
            ]
        },
        edit::jpeg,
        picture,
    ),
    table!(
        "trials_parquet",
        "t.parquet",
        "parquet",
        0,
        edit::parquet,
        wcat_explore::sweep::TrialRow
    ),
    table!(
        "designs_parquet",
        "t.parquet",
        "parquet",
        1,
        edit::parquet,
        wcat_explore::sweep::Design
    ),
    table!(
        "summary_parquet",
        "t.parquet",
        "parquet",
        2,
        edit::parquet,
        wcat_explore::analysis::Summary
    ),
    table!(
        "attacks_parquet",
        "t.parquet",
        "parquet",
        3,
        edit::parquet,
        wcat_explore::attack::AttackRow
    ),
    table!(
        "flips_parquet",
        "t.parquet",
        "parquet",
        4,
        edit::parquet,
        wcat_explore::attack::FlipRow
    ),
    table!(
        "trials_csv",
        "t.csv",
        "csv",
        0,
        edit::text,
        wcat_explore::sweep::TrialRow
    ),
    table!(
        "designs_csv",
        "t.csv",
        "csv",
        1,
        edit::text,
        wcat_explore::sweep::Design
    ),
    table!(
        "summary_csv",
        "t.csv",
        "csv",
        2,
        edit::text,
        wcat_explore::analysis::Summary
    ),
    table!(
        "attacks_csv",
        "t.csv",
        "csv",
        3,
        edit::text,
        wcat_explore::attack::AttackRow
    ),
    table!(
        "flips_csv",
        "t.csv",
        "csv",
        4,
        edit::text,
        wcat_explore::attack::FlipRow
    ),
    target(
        "energy_csv",
        "energy.csv",
        || stored_csv("energy.csv", 6),
        edit::text,
        |path| wcat_explore::table::read::<wcat_explore::sweep::EnergyRow>(path).map(drop),
    ),
    target(
        "pareto_csv",
        "pareto.csv",
        || stored_csv("pareto.csv", 40),
        edit::text,
        |path| wcat_explore::analysis::read_pareto(path, summaries()).map(drop),
    ),
    target(
        "answers_csv",
        "answers.csv",
        || stored_csv("answers.csv", 6),
        edit::text,
        |path| wcat_explore::analysis::read_answers(path, summaries()).map(drop),
    ),
    target(
        "history",
        "history.csv",
        seeds::history,
        edit::text,
        |path| wcat_explore::train::read_history(path).map(drop),
    ),
    target(
        "journal",
        "trials.journal",
        seeds::journal,
        edit::journal,
        |path| wcat_explore::run::replay(path).map(drop),
    ),
    target(
        "run_yaml",
        "run.yaml",
        || stored_run("run.yaml"),
        edit::text,
        record,
    ),
];
