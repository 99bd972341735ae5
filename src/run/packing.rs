//! Model files to packed ones, which hold stored codes in place of float weights.

use super::identity::check_plain_name;
use super::models::{base_name, name_apart, same_model, stem};
use super::monitor::Monitor;
use super::training::{BEST, LAST};
use crate::device::DeviceSpec;
use crate::error::{refuse, Error, IoContext, Result};
use crate::net::{Model, ModelInfo};
use crate::quant::MethodLabel;
use crate::store;
use crate::table::SCHEMA;
use crate::units::Bits;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A packed model file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PackedRow {
    /// Version of the columns.
    pub schema: u64,
    /// Name of the model.
    pub model: String,
    /// Quantisation method.
    pub method: MethodLabel,
    /// Bits per stored weight; null where layers have several widths.
    pub bits: Option<u32>,
    /// The packed file.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Size of the file that it was made of.
    pub bytes_before: u64,
}

/// Writes the packed form of each model file into a folder, one row each. A file keeps its name, but what a training
/// calls `best.safetensors` takes the name of the model, `last.safetensors` the same with `-last`; names that are alike
/// are told apart by training seed or number. Files of these names are replaced, never one of the models. Everything
/// is read before anything is written.
///
/// # Errors
/// [`Error::Argument`] or [`Error::Input`] for no model, a float one, a name that cannot be a file's, a folder where
/// the result would replace a model; as [`Model::load`] and [`Model::save_packed`].
pub fn pack(models: &[PathBuf], out: &Path, monitor: &dyn Monitor) -> Result<Vec<PackedRow>> {
    if models.is_empty() {
        return refuse("--model", "at least one model file", "none");
    }
    let device = DeviceSpec::Cpu.open()?;
    let (mut loaded, mut names, mut files) =
        (Vec::new(), Vec::<String>::new(), Vec::<String>::new());
    for path in models {
        let model = Model::load(path, &device)?;
        monitor.warn_all(&model.warnings);
        if model
            .network
            .layers()
            .iter()
            .all(|layer| layer.format().is_none())
        {
            return Err(Error::input(
                path,
                "a quantised model, whose weights are codes",
                "float weights",
            ));
        }
        let base = base_name(&model.info, path)?;
        if let Some(place) = loaded
            .iter()
            .position(|other: &Model| other.checksum == model.checksum)
        {
            monitor.warn(&same_model(&models[place], path));
        }
        let file = file_name(&model.info, path, &base)?;
        files.push(name_apart(&file, &model.info, |file| {
            files.iter().any(|other| other == file)
        }));
        names.push(name_apart(&base, &model.info, |name| {
            names.iter().any(|other| other == name)
        }));
        loaded.push(model);
    }
    let targets: Vec<PathBuf> = files
        .iter()
        .map(|file| out.join(format!("{file}.safetensors")))
        .collect();
    check_targets(&targets, models)?;
    store::create_folder(out)?;
    let mut rows = Vec::new();
    for (((model, name), from), to) in loaded.iter().zip(names).zip(models).zip(&targets) {
        let bytes_before = size(from)?;
        Model::save_packed(to, &model.network, &model.info)?;
        rows.push(PackedRow {
            schema: SCHEMA,
            model: name,
            method: model.network.method_label(),
            bits: model.network.width().map(Bits::get),
            path: to.display().to_string(),
            bytes: size(to)?,
            bytes_before,
        });
    }
    Ok(rows)
}

/// Name of the packed file, without its ending.
fn file_name(info: &ModelInfo, path: &Path, base: &str) -> Result<String> {
    let called = |name: &str| path.file_name().is_some_and(|file| file == name);
    let name = match (called(BEST), called(LAST), info.training.is_some()) {
        (true, _, true) => base.to_owned(),
        (_, true, true) => format!("{base}-last"),
        _ => stem(path),
    };
    // the description of a foreign file may say anything
    check_plain_name(&format!("packed file of {}", path.display()), &name)?;
    Ok(name)
}

/// No result may replace a model: its floats would be lost.
fn check_targets(targets: &[PathBuf], models: &[PathBuf]) -> Result<()> {
    let models: Vec<PathBuf> = models
        .iter()
        .filter_map(|path| path.canonicalize().ok())
        .collect();
    let replaced = targets
        .iter()
        .find(|path| path.canonicalize().is_ok_and(|path| models.contains(&path)));
    match replaced {
        Some(path) => {
            let expected = "a folder in which no model would be replaced by its packed form";
            refuse("--out", expected, format!("`{}`", path.display()))
        }
        None => Ok(()),
    }
}

fn size(path: &Path) -> Result<u64> {
    Ok(path.metadata().at("inspect", path)?.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::{Evaluator, Images};
    use crate::net::{Architecture, Network, TrainingRecord};
    use crate::quant::{Method, QuantizerSpec};
    use crate::run::Quiet;
    use crate::seed::{Purpose, Seed};
    use crate::units::Bits;
    use candle_core::Device;

    fn write(path: &Path, quantizer: &QuantizerSpec, name: &str, seed: u64) -> Network {
        let architecture = Architecture::Lenet5;
        let network = Network::new(architecture, 10, quantizer, Seed(seed), &Device::Cpu)
            .unwrap()
            .0;
        let info = ModelInfo {
            quantizer: quantizer.clone(),
            training: Some(TrainingRecord {
                name: Some(name.to_owned()),
                ..TrainingRecord::default()
            }),
            training_seed: Some(seed),
            ..ModelInfo::of(architecture.into(), 10)
        };
        Model::save(path, &network, &info).unwrap();
        network
    }

    fn quantizer(method: Method, bits: u64) -> QuantizerSpec {
        QuantizerSpec {
            method,
            bits: Bits::new(bits).unwrap(),
            wclip: (method == Method::Wclip).then_some(0.1),
            plclip: (method == Method::Plclip).then_some(0.1),
            ..QuantizerSpec::default()
        }
    }

    #[test]
    fn the_evaluator_gives_the_same_losses_bit_for_bit_clean_and_with_faults() {
        let folder = tempfile::tempdir().unwrap();
        let pixels = Seed(2)
            .stream(Purpose::Test, &[])
            .normal_tensor(1.0, (8, 1, 28, 28))
            .unwrap();
        let pixels = pixels.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for method in Method::ALL {
            for bits in [1, 2, 4, 8] {
                let path = folder.path().join("a.safetensors");
                let network = write(&path, &quantizer(method, bits), "a", 1);
                let out = folder.path().join("out");
                let row = pack(std::slice::from_ref(&path), &out, &Quiet::default())
                    .unwrap()
                    .remove(0);
                let packed = Model::load(Path::new(&row.path), &Device::Cpu)
                    .unwrap()
                    .network;
                let (own, other) = (
                    Evaluator::new(network).unwrap(),
                    Evaluator::new(packed).unwrap(),
                );
                assert_eq!(own.words(), other.words(), "{method} {bits}");
                let faults: Vec<_> = (0..40)
                    .map(|i| (1000 * i + 7, own.words()[1000 * i + 7] ^ 1))
                    .collect();
                // the loss of one image for each class holds all its logits
                for (image, pixels) in pixels.chunks(28 * 28).enumerate() {
                    for class in 0..10 {
                        let images =
                            Images::new(pixels.to_vec(), [1, 28, 28], vec![class], &Device::Cpu)
                                .unwrap();
                        let scores = |e: &Evaluator| {
                            [
                                e.clean(&images).unwrap(),
                                e.faulty(&faults, &images).unwrap(),
                            ]
                            .map(|s| s.loss.to_bits())
                        };
                        assert_eq!(
                            scores(&own),
                            scores(&other),
                            "{method} {bits} {image} {class}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn files_are_named_as_their_models_where_a_training_calls_them_best() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let wcat = quantizer(Method::Wcat, 4);
        for (path, name, seed) in [
            (
                "lenet-wcat-4bit-0123/best.safetensors",
                "lenet-wcat-4bit",
                1,
            ),
            (
                "lenet-wcat-4bit-4567/best.safetensors",
                "lenet-wcat-4bit",
                2,
            ),
            (
                "lenet-wcat-4bit-0123/last.safetensors",
                "lenet-wcat-4bit",
                1,
            ),
            ("mine.safetensors", "lenet-wcat-4bit", 1),
        ] {
            std::fs::create_dir_all(at(path).parent().unwrap()).unwrap();
            write(&at(path), &wcat, name, seed);
        }
        let models = [
            "lenet-wcat-4bit-0123/best.safetensors",
            "lenet-wcat-4bit-4567/best.safetensors",
            "lenet-wcat-4bit-0123/last.safetensors",
            "mine.safetensors",
        ]
        .map(at);
        let rows = pack(&models, &at("out"), &Quiet::default()).unwrap();
        let files: Vec<_> = rows.iter().map(|row| stem(Path::new(&row.path))).collect();
        assert_eq!(
            files,
            [
                "lenet-wcat-4bit",
                "lenet-wcat-4bit-s2",
                "lenet-wcat-4bit-last",
                "mine"
            ]
        );
        let names: Vec<&str> = rows.iter().map(|row| row.model.as_str()).collect();
        assert_eq!(
            names,
            [
                "lenet-wcat-4bit",
                "lenet-wcat-4bit-s2",
                "lenet-wcat-4bit-s1",
                "lenet-wcat-4bit-2"
            ]
        );
        for row in &rows {
            assert_eq!(row.bytes, size(Path::new(&row.path)).unwrap());
            assert!(row.bytes < row.bytes_before / 6, "{row:?}");
        }
    }

    #[test]
    fn a_description_cannot_lead_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("best.safetensors");
        for name in ["../x", "/x", "a/b", "..", "", ".x"] {
            write(&path, &quantizer(Method::Wcat, 4), name, 1);
            let error = pack(
                std::slice::from_ref(&path),
                &folder.path().join("out"),
                &Quiet::default(),
            )
            .unwrap_err();
            assert!(
                error.is_wrong_input() && error.to_string().contains("best.safetensors"),
                "{error}"
            );
            assert!(!folder.path().join("out").exists());
        }
    }
}
