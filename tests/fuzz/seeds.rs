//! Small whole files of every kind that a reader takes, made here.

use super::edit::{gzipped, zipped};
use super::program::Place;
use candle_core::Device;
use std::path::Path;
use wcat_explore::data::{write_packed, ImageSet};
use wcat_explore::net::Model;
use wcat_explore::train::EpochRow;

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A file of the repository.
pub(crate) fn stored(name: &str) -> Vec<u8> {
    read(Path::new(env!("CARGO_MANIFEST_DIR")).join(name))
}

/// Model files of floats and of 4-bit codes.
pub(crate) fn models() -> Vec<Vec<u8>> {
    let place = Place::new();
    let of = |bits| {
        place.write_model("m.safetensors", bits);
        place.read("m.safetensors")
    };
    vec![of(32), of(4)]
}

pub(crate) fn packed() -> Vec<Vec<u8>> {
    let place = Place::new();
    place.write_model("m.safetensors", 4);
    let model = Model::load(&place.path("m.safetensors"), &Device::Cpu).unwrap();
    Model::save_packed(&place.path("p.safetensors"), &model.network, &model.info).unwrap();
    vec![place.read("p.safetensors")]
}

/// A pickle of one tensor of 2 x 3 floats called `weight`; legacy files say more of its storage.
fn pickle(legacy: bool) -> Vec<u8> {
    let word = |word: &str| {
        let mut out = vec![b'X'];
        out.extend((word.len() as u32).to_le_bytes());
        out.extend(word.bytes());
        out
    };
    let storage = [
        b"(".to_vec(),
        word("storage"),
        b"ctorch\nFloatStorage\n".to_vec(),
        word("0"),
        word("cpu"),
        if legacy {
            b"K\x06N".to_vec()
        } else {
            b"K\x06".to_vec()
        },
        b"tQ".to_vec(),
    ]
    .concat();
    [
        b"\x80\x02}(".to_vec(),
        word("weight"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(".to_vec(),
        storage,
        b"K\0(K\x02K\x03t(K\x03K\x01t\x89ccollections\nOrderedDict\n)RtRu.".to_vec(),
    ]
    .concat()
}

fn floats() -> Vec<u8> {
    (0..6).flat_map(|i| (i as f32).to_le_bytes()).collect()
}

pub(crate) fn checkpoint() -> Vec<Vec<u8>> {
    let files = [
        ("archive/data.pkl".to_owned(), pickle(false)),
        ("archive/data/0".to_owned(), floats()),
        ("archive/version".to_owned(), b"3\n".to_vec()),
    ];
    vec![zipped(&files, false)]
}

pub(crate) fn legacy_checkpoint() -> Vec<Vec<u8>> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.".to_vec();
    let version = b"\x80\x02M\xe9\x03.".to_vec();
    let system = b"\x80\x02}(X\x0d\0\0\0little_endian\x88u.".to_vec();
    let keys = b"\x80\x02](X\x01\0\0\x000e.".to_vec();
    let count = 6u64.to_le_bytes().to_vec();
    vec![[magic, version, system, pickle(true), keys, count, floats()].concat()]
}

/// Networks of ONNX files, small ones.
pub(crate) fn networks() -> Vec<Vec<u8>> {
    let names = [
        "brevitas_qcdq",
        "dscnn_kws",
        "dscnn_mnist",
        "resnet8_qlinear",
    ];
    let model = |name: &str| stored(&format!("tests/onnx/{name}/model.onnx"));
    names.into_iter().map(model).collect()
}

/// ONNX files of one operator, those that are networks: one input whose first dimension is the batch.
pub(crate) fn operators() -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir("tests/onnx/nodes").unwrap();
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "onnx"));
    paths.retain(|path| Model::load(path, &Device::Cpu).is_ok());
    assert!(paths.len() > 5, "{paths:?}");
    paths.sort();
    paths.into_iter().map(read).collect()
}

pub(crate) fn idx_images() -> Vec<u8> {
    let head = [0x803u32, 2, 28, 28].map(u32::to_be_bytes).concat();
    [head, vec![7; 2 * 28 * 28]].concat()
}

pub(crate) fn idx_labels() -> Vec<u8> {
    [[0x801u32, 2].map(u32::to_be_bytes).concat(), vec![3, 9]].concat()
}

pub(crate) fn idx_packed() -> Vec<u8> {
    gzipped(&idx_images())
}

pub(crate) fn packed_images() -> Vec<u8> {
    let set = ImageSet {
        title: "fuzz".into(),
        channels: 3,
        height: 4,
        width: 5,
        classes: 300,
        pixels: vec![9; 3 * 60].into(),
        labels: vec![0, 299, 7],
        remarks: vec!["one was left out".into()],
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("packed");
    write_packed(&path, &set).unwrap();
    std::fs::read(path).unwrap()
}

/// Pictures of 12 x 9 pixels: colours, a palette with transparency, 16-bit greys.
pub(crate) fn pngs() -> Vec<Vec<u8>> {
    let (width, height) = (12u32, 9u32);
    let picture = |color: png::ColorType, depth, bytes: usize| {
        let mut out = Vec::new();
        let mut encoder = png::Encoder::new(&mut out, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        if color == png::ColorType::Indexed {
            encoder.set_palette((0..12).collect::<Vec<u8>>());
            encoder.set_trns(vec![0, 255]);
        }
        let pixels: Vec<u8> = (0..height as usize * bytes)
            .map(|i| (i % 4) as u8)
            .collect();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&pixels).unwrap();
        writer.finish().unwrap();
        out
    };
    vec![
        picture(png::ColorType::Rgb, png::BitDepth::Eight, 36),
        picture(png::ColorType::Indexed, png::BitDepth::Eight, 12),
        picture(png::ColorType::Grayscale, png::BitDepth::Sixteen, 24),
    ]
}

pub(crate) fn npy() -> Vec<Vec<u8>> {
    let bits: Vec<u8> = (0..256).map(|i| u8::from(i % 50 == 0)).collect();
    ["|b1", "|u1"]
        .map(|descr| array(descr, "(2, 8, 16)", &bits))
        .to_vec()
}

/// An array in NumPy's format.
fn array(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((header.len() as u16).to_le_bytes());
    out.extend(header.bytes());
    out.extend(data);
    out
}

/// Inputs of floats and of bytes with their classes.
pub(crate) fn data_npz() -> Vec<Vec<u8>> {
    let floats: Vec<u8> = (0..24u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let of = |x: Vec<u8>| {
        let y = array(
            "<i8",
            "(4,)",
            &[1i64, 0, 2, 11].map(i64::to_le_bytes).concat(),
        );
        zipped(&[("x.npy".into(), x), ("y.npy".into(), y)], false)
    };
    vec![
        of(array("<f4", "(4, 1, 2, 3)", &floats)),
        of(array("|u1", "(4, 6)", &floats[..24])),
    ]
}

/// The same floats and classes as tensors.
pub(crate) fn data_safetensors() -> Vec<Vec<u8>> {
    let header = r#"{"inputs":{"dtype":"F32","shape":[4,2,3],"data_offsets":[0,96]},"labels":{"dtype":"I16","shape":[4],"data_offsets":[96,104]}}"#;
    let length = (header.len() as u64).to_le_bytes();
    vec![[&length[..], header.as_bytes(), &[0; 104]].concat()]
}

/// The first rows of stored tables, written anew: trials, designs and summary as Parquet, then as CSV.
pub(crate) fn tables(kind: &str) -> [Vec<u8>; 5] {
    let place = Place::new();
    let at = |name: &str| place.path(&format!("{name}.{kind}"));
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/cifar10-resnet20-1-percent");
    let attack = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/mnist-lenet5-attack");
    let trials =
        wcat_explore::table::read::<wcat_explore::sweep::TrialRow>(&run.join("trials.parquet"))
            .unwrap();
    wcat_explore::table::write(&at("trials"), &trials[..6]).unwrap();
    let designs =
        wcat_explore::table::read::<wcat_explore::sweep::Design>(&run.join("designs.parquet"))
            .unwrap();
    wcat_explore::table::write(&at("designs"), &designs[..3]).unwrap();
    let summary =
        wcat_explore::table::read::<wcat_explore::analysis::Summary>(&run.join("summary.parquet"))
            .unwrap();
    wcat_explore::table::write(&at("summary"), &summary[..3]).unwrap();
    let attacks = wcat_explore::table::read::<wcat_explore::attack::AttackRow>(
        &attack.join("attacks.parquet"),
    )
    .unwrap();
    wcat_explore::table::write(&at("attacks"), &attacks[..3]).unwrap();
    let flips =
        wcat_explore::table::read::<wcat_explore::attack::FlipRow>(&attack.join("flips.parquet"))
            .unwrap();
    wcat_explore::table::write(&at("flips"), &flips[..6]).unwrap();
    ["trials", "designs", "summary", "attacks", "flips"].map(|name| read(at(name)))
}

pub(crate) fn journal() -> Vec<Vec<u8>> {
    let place = Place::new();
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("results/cifar10-resnet20-1-percent");
    let design =
        wcat_explore::table::read::<wcat_explore::sweep::Design>(&run.join("designs.parquet"))
            .unwrap()
            .remove(0);
    let (mut journal, _) = wcat_explore::run::Journal::open(place.path("trials.journal")).unwrap();
    journal.append_design(&design).unwrap();
    for chip in 0..3 {
        let trial = serde_json::json!({
            "design_id": design.design_id, "chip": chip, "faults": 5, "images": 100, "correct": 90,
            "status": "evaluated", "seconds": 0.5,
        });
        journal
            .append_trial(&serde_json::from_value(trial).unwrap())
            .unwrap();
    }
    journal.close().unwrap();
    vec![place.read("trials.journal")]
}

pub(crate) fn measurements() -> Vec<Vec<u8>> {
    vec![
        b"# counted\nvoltage,cells,faults\n0.60,1000000,0\n0.58,1000000,12\n0.56,1000000,300\n0.54,1000000,9000\n"
            .to_vec(),
        b"voltage,ber,energy\n0.60,1e-6,1\n0.58,1e-5,0.9\n0.56,1e-4,0.8\n".to_vec(),
    ]
}

/// Two runs of one macro at two temperatures.
pub(crate) fn cacti_table() -> Vec<Vec<u8>> {
    let text = "\
node_nm,device,vdd_v,temp_k,objective,capacity_bytes,word_bits,read_pj,write_pj,leakage_mw,gate_leak_mw,access_ns
22,hp,0.8,300,energy,32768,64,1.77718,9.34202,2.87484,0.0215508,0.871118
22,hp,0.8,350,energy,32768,64,1.77718,9.34202,5.0877,0.0215508,0.871118
";
    vec![text.into()]
}

pub(crate) fn cacti_printed() -> Vec<Vec<u8>> {
    let text = "\
Temperature                   : 300
Cache Parameters:
    Total cache size (bytes): 32768
    Number of banks: 1
    Block size (bytes): 8
    Technology size (nm): 22

    Access time (ns): 0.871118
    Total dynamic read energy per access (nJ): 0.00177718
    Total dynamic write energy per access (nJ): 0.00934202
    Total leakage power of a bank (mW): 2.87484
";
    vec![text.into()]
}

pub(crate) fn fault_map() -> Vec<Vec<u8>> {
    vec![
        b"# cells: 4096\n# unit: volt\n# voltages: 0.6, 0.56, 0.54\nchip,voltage,address,reads\n0,0.56,17,1\n0,0.54,17,1\n0,0.54,99,0\n1,0.54,5,1\n"
            .to_vec(),
    ]
}

pub(crate) fn history() -> Vec<Vec<u8>> {
    let row = |epoch: usize| EpochRow {
        epoch,
        learning_rate: 0.1,
        training_loss: 1.5,
        training_accuracy: 0.5,
        validation_loss: Some(1.25),
        validation_accuracy: Some(0.5),
        best: epoch == 1,
        seconds: 2.0,
        ranges: vec![("conv1".into(), 0.5), ("fc1".into(), 0.25)],
    };
    vec![wcat_explore::train::history_csv_string(&[row(1), row(2)])
        .unwrap()
        .into_bytes()]
}
