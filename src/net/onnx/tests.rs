//! Networks and operators of ONNX files against the outputs that other programs give for them.

use super::import::import_operator;
use super::*;
use crate::net::{Design, Imported};
use crate::quant::QuantizerSpec;
use candle_core::{DType, Device};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

/// Networks and operator tests: the folder that `WCAT_ONNX_DIR` names, else all of them where they lie beside the project,
/// else a few of them.
fn folder() -> PathBuf {
    let all = PathBuf::from("../shared/networks/onnx");
    let named = std::env::var_os("WCAT_ONNX_DIR").map(PathBuf::from);
    let beside = Some(all).filter(|folder| folder.is_dir());
    named
        .or(beside)
        .unwrap_or_else(|| PathBuf::from("tests/onnx"))
}

/// The folders of the networks.
pub(super) fn networks() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    folders.retain(|path| path.join("meta.json").is_file());
    folders.sort();
    folders
}

/// Arrays of an npz, as double precision.
fn arrays(path: &Path) -> BTreeMap<String, Tensor> {
    let mut file = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut all = BTreeMap::new();
    for at in 0..file.len() {
        let mut entry = file.by_index(at).unwrap();
        let name = entry.name().trim_end_matches(".npy").to_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        let start = if bytes[6] == 1 { 10 } else { 12 };
        let length = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
        let header = String::from_utf8_lossy(&bytes[start..start + length]).into_owned();
        let kind = header
            .split("'descr': '")
            .nth(1)
            .unwrap()
            .split('\'')
            .next()
            .unwrap()
            .to_owned();
        let dims = header
            .split("'shape': (")
            .nth(1)
            .unwrap()
            .split(')')
            .next()
            .unwrap()
            .to_owned();
        let mut dims: Vec<usize> = dims
            .split(',')
            .filter_map(|dim| dim.trim().parse().ok())
            .collect();
        let columns_first = header.contains("'fortran_order': True");
        if columns_first {
            dims.reverse();
        }
        let data = &bytes[start + length..];
        fn each<const N: usize>(data: &[u8], value: impl Fn([u8; N]) -> f64) -> Vec<f64> {
            data.as_chunks::<N>()
                .0
                .iter()
                .map(|bytes| value(*bytes))
                .collect()
        }
        let values = match &kind[1..] {
            "f4" => each(data, |b| f64::from(f32::from_le_bytes(b))),
            "f2" => each(data, |b| half::f16::from_le_bytes(b).to_f64()),
            "f8" => each(data, f64::from_le_bytes),
            "i1" => each(data, |b| f64::from(i8::from_le_bytes(b))),
            "u1" | "b1" => each(data, |[b]| f64::from(b)),
            "i4" => each(data, |b| f64::from(i32::from_le_bytes(b))),
            "i8" => each(data, |b| i64::from_le_bytes(b) as f64),
            other => panic!("{other}"),
        };
        let order: Vec<usize> = (0..dims.len()).rev().collect();
        let tensor = Tensor::from_vec(values, dims, &Device::Cpu).unwrap();
        let tensor = if columns_first {
            tensor.permute(order).unwrap().contiguous().unwrap()
        } else {
            tensor
        };
        all.insert(name, tensor);
    }
    all
}

/// What an import gives of images [batch, ...] by the plain operations; `given` holds other values of its tensors.
fn run(import: &Import, given: &BTreeMap<String, Tensor>, images: &Tensor) -> Result<Tensor> {
    let design = Design::Imported(Arc::new(Imported {
        name: "n".into(),
        sha256: String::new(),
        input_shape: [1, 1, 1],
        graph: import.graph.clone(),
    }));
    let quantizer = QuantizerSpec::default();
    let (mut network, _) = Network::new(design, 2, &quantizer, Seed(0), &Device::Cpu)?;
    let mut state = import.state.clone();
    for (name, values) in &mut state {
        if let Some(given) = given.get(name) {
            *values = given.clone();
        }
    }
    network.load_state(&state)?;
    let images = images.to_dtype(DType::F32)?;
    network.logits(&images, &network.effective_weights()?)
}

/// Whether all but a tenth of the values are near, and the greatest is the same.
fn mostly(found: &Tensor, expected: &Tensor, tolerance: f64) -> bool {
    let rows = |t: &Tensor| {
        t.to_dtype(DType::F64)
            .unwrap()
            .flatten_from(1)
            .unwrap()
            .to_vec2::<f64>()
            .unwrap()
    };
    let greatest = |row: &[f64]| (0..row.len()).max_by(|a, b| row[*a].total_cmp(&row[*b]));
    let (found, expected) = (rows(found), rows(expected));
    let far = found.iter().flatten().zip(expected.iter().flatten());
    let far = far.filter(|(a, b)| (*a - *b).abs() > tolerance).count();
    let classes = found
        .iter()
        .zip(&expected)
        .all(|(a, b)| greatest(a) == greatest(b));
    classes && far * 10 <= found.len() * found[0].len()
}

/// Largest difference between two tensors, beside the largest of the second; infinite where one holds NaN alone.
fn difference(found: &Tensor, expected: &Tensor) -> (f64, f64) {
    let values = |t: &Tensor| {
        t.to_dtype(DType::F64)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f64>()
            .unwrap()
    };
    let (found, expected) = (values(found), values(expected));
    let mut most = (0.0f64, 0.0f64);
    for (a, b) in found.iter().zip(&expected) {
        let far = if a == b || (a.is_nan() && b.is_nan()) {
            0.0
        } else {
            (a - b).abs()
        };
        let far = if far.is_nan() { f64::INFINITY } else { far };
        most = (
            most.0.max(far),
            most.1.max(if b.is_finite() { b.abs() } else { 0.0 }),
        );
    }
    most
}

/// Operator tests of what no network needs.
const NOT_SUPPORTED: &[&str] = &[
    // its expected values are rounded to four digits
    "test_averagepool_2d_ceil_last_window_starts_on_pad",
    // a shape that is computed from the input
    "test_constantofshape_float_ones",
    "test_constantofshape_int_shape_zero",
    "test_constantofshape_int_zeros",
    // a scale over the whole batch
    "test_dynamicquantizelinear",
    "test_dynamicquantizelinear_max_adjusted",
    "test_dynamicquantizelinear_min_adjusted",
    // the maximum of nothing
    "test_reduce_max_empty_set",
    "test_reduce_max_empty_set_bool",
];

#[test]
fn operators_give_what_the_tests_of_onnx_expect() {
    let folder = folder();
    if !folder.join("nodes").is_dir() {
        return;
    }
    let mut wrong = Vec::new();
    let mut right = 0;
    let mut names: Vec<PathBuf> = std::fs::read_dir(folder.join("nodes"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|e| e == "onnx"));
    names.sort();
    for path in names {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let arrays = arrays(&path.with_extension("npz"));
        match check_operator(&path, &arrays) {
            Ok(()) => right += 1,
            Err(_) if NOT_SUPPORTED.contains(&name.as_str()) => {}
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    println!("{right} right");
    assert!(
        wrong.is_empty(),
        "{right} right, {} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn check_operator(path: &Path, arrays: &BTreeMap<String, Tensor>) -> Result<(), String> {
    let bytes = std::fs::read(path).unwrap();
    let model = proto::Model::decode(&bytes[..]).unwrap();
    let graph = model.graph.as_ref().unwrap();
    // all but the first input are parameters
    let inputs = arrays.iter();
    let given = inputs.filter_map(|(name, values)| Some((name.strip_prefix("in.")?, values)));
    let given = given
        .map(|(name, values)| (name.to_owned(), values.clone()))
        .collect();
    for output in &graph.output {
        let import = import_operator(path, &model, &output.name).map_err(|e| e.to_string())?;
        let images = graph
            .input
            .first()
            .and_then(|input| arrays.get(&format!("in.{}", input.name)));
        let images = images
            .cloned()
            .unwrap_or_else(|| Tensor::zeros(1, DType::F64, &Device::Cpu).unwrap());
        let found = run(&import, &given, &images).map_err(|e| {
            format!(
                "{e} {:?}",
                std::error::Error::source(&e).map(ToString::to_string)
            )
        })?;
        let expected = &arrays[&format!("out.{}", output.name)];
        if found.dims() != expected.dims() {
            return Err(format!(
                "{}: shape {:?}, expected {:?}",
                output.name,
                found.dims(),
                expected.dims()
            ));
        }
        let (far, largest) = difference(&found, expected);
        if far > 1e-5 * largest.max(1e-3) {
            return Err(format!("{}: {far} of {largest}", output.name));
        }
    }
    Ok(())
}

/// What a network's folder says of it.
#[derive(serde::Deserialize)]
struct Meta {
    tolerance: f64,
    weights: Vec<MetaWeight>,
    #[serde(default)]
    faults: Vec<MetaFault>,
    #[serde(default)]
    quantised: BTreeMap<String, String>,
}

#[derive(serde::Deserialize)]
struct MetaWeight {
    constant: String,
    shape: Vec<usize>,
}

#[derive(serde::Deserialize)]
struct MetaFault {
    constant: String,
    flips: Vec<[usize; 2]>,
}

#[test]
fn networks_give_the_outputs_of_their_files() {
    let mut wrong = Vec::new();
    for path in networks() {
        let meta = std::fs::read_to_string(path.join("meta.json")).unwrap();
        let meta: Meta = serde_json::from_str(&meta).unwrap();
        if let Err(error) = check_network(&path, &meta) {
            wrong.push(format!("{}: {error}", path.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn check_network(path: &Path, meta: &Meta) -> Result<(), String> {
    let arrays = arrays(&path.join("io.npz"));
    let model = path.join("model.onnx");
    let bytes = std::fs::read(&model).unwrap();
    let images = arrays
        .iter()
        .find(|(name, _)| name.starts_with("in."))
        .unwrap()
        .1;
    let outputs = arrays.keys().filter_map(|name| name.strip_prefix("out."));
    for output in outputs {
        let choices = ImportChoices {
            output: Some(output.to_owned()),
            input_shape: Some(images.dims()[1..].to_vec()),
        };
        let import = read(&model, &bytes, &choices).map_err(|e| e.to_string())?;
        println!("{:?}", import.warnings);
        let found: Vec<&str> = import.sources.iter().map(String::as_str).collect();
        let mut expected: Vec<&str> = Vec::new();
        for weight in &meta.weights {
            // one that is used twice is one layer
            if !expected.contains(&weight.constant.as_str()) {
                expected.push(&weight.constant);
            }
        }
        if found != expected {
            return Err(format!("layers {found:?}, expected {expected:?}"));
        }
        let text = serde_json::to_string(&import.graph).unwrap();
        let back: crate::net::graph::Graph = serde_json::from_str(&text).unwrap();
        assert_eq!(back, import.graph);
        let compare = |what: &str, inputs: &BTreeMap<String, Tensor>, expected: &Tensor| {
            let found = run(&import, inputs, images).map_err(|e| e.to_string())?;
            let (far, largest) = difference(&found, expected);
            println!("{} {what}: {far:.2e} of {largest}", path.display());
            // of quantised activations one may round the other way
            let steps = !meta.faults.is_empty() && mostly(&found, expected, meta.tolerance);
            if found.dims() != expected.dims() || (far > meta.tolerance && !steps) {
                return Err(format!("{what}: {far} of {largest}, {:?}", found.dims()));
            }
            Ok(())
        };
        compare(output, &BTreeMap::new(), &arrays[&format!("out.{output}")])?;
        for (number, fault) in meta.faults.iter().enumerate() {
            let layer = found
                .iter()
                .position(|name| *name == fault.constant)
                .unwrap();
            let weight = flipped(&import, layer, &meta.weights[layer].shape, &fault.flips);
            let name = format!("{}.weight", import.graph.layers[layer].name);
            compare(
                &format!("fault {number}"),
                &BTreeMap::from([(name, weight)]),
                &arrays[&format!("fault{number}")],
            )?;
        }
        if meta.quantised.contains_key("normal8") {
            let layers = import.graph.layers.iter();
            let weights = layers.map(|slot| {
                let name = format!("{}.weight", slot.name);
                let weight = &import.state.iter().find(|(own, _)| *own == name).unwrap().1;
                (name, normal8(weight))
            });
            compare("normal8", &weights.collect(), &arrays["normal8"])?;
        }
    }
    Ok(())
}

/// The weight of a layer after flips of bits of its codes, by their places in the constant as it is stored.
fn flipped(import: &Import, layer: usize, stored: &[usize], flips: &[[usize; 2]]) -> Tensor {
    let codes = &import.codes[&layer];
    let shape = codes.codes.dims().to_vec();
    let mut words = codes.codes.flatten_all().unwrap().to_vec1::<f64>().unwrap();
    // a matrix of a product stands transposed
    let turned = shape.len() == 2 && shape != stored;
    for [at, bit] in flips {
        let at = if turned {
            at % stored[1] * stored[0] + at / stored[1]
        } else {
            *at
        };
        let mask = (1i64 << codes.bits) - 1;
        let word = ((words[at] as i64) & mask) ^ (1 << bit);
        let negative = codes.signed && word >> (codes.bits - 1) == 1;
        words[at] = (if negative { word - mask - 1 } else { word }) as f64;
    }
    let per_step = words.len() / codes.steps.len();
    let value =
        |(at, code): (usize, f64)| (code - codes.zeros[at / per_step]) * codes.steps[at / per_step];
    let values: Vec<f64> = words.into_iter().enumerate().map(value).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// The nearest of 256 codes in steps of max|w| / 128.
fn normal8(weight: &Tensor) -> Tensor {
    let values = weight.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let step = values.iter().fold(0f32, |most, w| most.max(w.abs())) / 128.0;
    let code = |w: &f32| (w / step).round_ties_even().clamp(-128.0, 127.0) * step;
    let values: Vec<f32> = values.iter().map(code).collect();
    Tensor::from_vec(values, weight.dims(), &Device::Cpu).unwrap()
}
