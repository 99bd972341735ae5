//! Models with a width for each layer, made without training for an exploration and kept in the cache.

use super::identity::folder_name;
use super::models::{dataset_for, load_half, load_models, Loaded, ModelImages};
use super::monitor::Monitor;
use super::normalization::normalize;
use super::numerics::numerics;
use super::request::RunRequest;
use super::training::wait_for_lock;
use crate::config::Experiment;
use crate::data::{Normalization, Split};
use crate::error::{refuse, Error, Result};
use crate::explore::{PrecisionSearch, Widths};
use crate::kernel::Arithmetic;
use crate::net::{read_tensors, Model};
use crate::quant::{Method, QuantizerSpec};
use crate::store::{self, Checksums, CHECKSUMS};
use crate::units::{check_name, Bits, Metric};
use candle_core::Device;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::path::{Path, PathBuf};

/// List of the models of a search; without it the folder is not finished.
const DONE: &str = "models.json";

/// Everything that can change the models made of one model.
#[derive(Serialize)]
struct Identity<'a> {
    seed: u64,
    model: &'a str,
    dataset: &'a str,
    quantizer: &'a QuantizerSpec,
    widths: &'a [Bits],
    mixed: u32,
    images: u64,
    #[serde(skip_serializing_if = "Metric::is_default")]
    metric: Metric,
    #[serde(skip_serializing_if = "Option::is_none")]
    normalization: Option<&'a Normalization>,
}

/// The models of an exploration: quantised ones as they are; of each, models with a width for each layer, found by a
/// greedy search that judges on training images; of a float one, with every width for all layers too. Unless it
/// `makes_models`, all must have been made before.
///
/// # Errors
/// [`Error::Argument`] for `lsq`, whose range is a step that belongs to its width; wrong data; [`Error::Interrupted`];
/// [`Error::Io`].
pub(super) fn add_mixed_models(
    experiment: &Experiment,
    request: &RunRequest,
    paths: &[PathBuf],
    device: &Device,
    makes_models: bool,
    monitor: &dyn Monitor,
) -> Result<Vec<PathBuf>> {
    let mut loaded = load_models(paths, device)?;
    let given = request.models.is_empty() || request.dataset_given;
    let dataset = dataset_for(&loaded, &experiment.dataset, given)?;
    let set = load_half(&dataset, Split::Training, request.data_folder.as_deref())?;
    let normalization = experiment.dataset.normalization.as_ref();
    normalize(&mut loaded, dataset.name, &set, normalization)?;
    monitor.warn_all(&set.remarks);
    let spec = &experiment.explore;
    let count = usize::try_from(spec.width_images)
        .unwrap_or(usize::MAX)
        .min(set.len());
    let indices = set.subset(count, experiment.seed)?;
    let metric = experiment.sweep.metric(set.has_labels())?;
    let images = ModelImages::new(&set, &loaded, &dataset, &indices, metric)?;
    let mut all = Vec::new();
    for (place, (path, own)) in paths.iter().zip(&loaded).enumerate() {
        let mut model = Model::load(path, device)?;
        model.info.normalization.clone_from(&own.info.normalization);
        let float = model.info.quantizer.bits.is_float();
        if !float {
            all.push(path.clone());
        }
        if model.packed {
            let message =
                "packed model file: widths are tried on its codes' weights, not on trained floats";
            monitor.warn(&format!("{}: {message}", own.name));
        }
        let quantizer = if float {
            &experiment.quantizer
        } else {
            &model.info.quantizer
        };
        if quantizer.method == Method::Lsq {
            let what = format!("widths of model `{}`", own.name);
            let expected = "another method than `lsq`, whose step belongs to its width";
            return refuse(what, expected, "`lsq`");
        }
        // the longest of the names that its models get
        let longest = format!("{}-{}-mixed8.00bit", own.name, experiment.quantizer.method);
        check_name(&longest).map_err(|(expected, found)| {
            let what = format!("names of the models made of {}", own.path.display());
            Error::argument(
                what,
                format!("{expected}: give the model a shorter one"),
                found,
            )
        })?;
        let checksum = set.checksum();
        let identity = Identity {
            seed: experiment.seed.0,
            model: &own.checksum,
            dataset: &checksum,
            quantizer,
            widths: &spec.widths,
            mixed: spec.mixed,
            images: count as u64,
            metric,
            normalization: own
                .normalization
                .as_ref()
                .filter(|taken| taken.changed)
                .map(|taken| &taken.normalization),
        };
        let folder = request.models_folder()?.join(folder_name(
            &format!("{}-widths", own.name),
            &identity,
            Arithmetic::current(),
        )?);
        let search = PrecisionSearch {
            model: &model,
            quantizer: &experiment.quantizer,
            widths: &spec.widths,
            images: images.of(place),
            cancel: monitor.cancel(),
            ranges: std::cell::RefCell::default(),
        };
        if !makes_models {
            if !folder.join(DONE).exists() {
                return Err(Error::Missing {
                    path: folder.join(DONE),
                    expected: format!(
                        "the models of other widths of `{}`; shards and merges make none, the same command with \
                         `--prepare` in place of `--shard` or `--merge` does",
                        own.name
                    ),
                });
            }
            all.extend(known_models(&folder)?.1);
            continue;
        }
        monitor.note(&format!("{}: searching a width for each layer", own.name));
        all.extend(models_of(
            &search,
            &folder,
            own,
            float,
            spec.mixed as usize,
            monitor,
        )?);
    }
    Ok(all)
}

/// What a finished search left: its models, and the numerics under which they were found.
#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    numerics: Option<String>,
    models: Vec<String>,
}

impl Found {
    /// Lists of programs before the numerics are bare.
    fn read(path: &Path) -> Result<Self> {
        let text = store::read_text(path, "the list of models of a search over widths", 1 << 20)?;
        let bare = |_| {
            serde_json::from_str(&text).map(|models| Self {
                numerics: None,
                models,
            })
        };
        serde_json::from_str(&text)
            .or_else(bare)
            .map_err(|e| Error::input(path, "a list of model files", e.to_string()))
    }
}

/// The models of one search, from the cache where they are there.
fn models_of(
    search: &PrecisionSearch,
    folder: &Path,
    own: &Loaded,
    float: bool,
    most: usize,
    monitor: &dyn Monitor,
) -> Result<Vec<PathBuf>> {
    store::create_folder(folder)?;
    let name = &own.name;
    let _lock = wait_for_lock(folder, name, monitor)?;
    let list = folder.join(DONE);
    if list.exists() {
        match known_models(folder) {
            Err(error) if error.is_wrong_input() => {
                monitor.warn(&format!("{name}: {error}; the search is made again"));
            }
            Err(error) => return Err(error),
            Ok((found, paths)) => {
                if found.as_deref() != Some(numerics()?) {
                    monitor.warn(&format!(
                        "{}: models found under other numerics ({}) than those of this program ({}); they are used as \
                         they are",
                        folder.display(),
                        found.as_deref().unwrap_or("none recorded"),
                        numerics()?
                    ));
                }
                return Ok(paths);
            }
        }
        store::remove_file(&folder.join(CHECKSUMS))?;
    }
    let clean = own.evaluator.clean(search.images)?;
    own.check_finite(clean.not_finite, clean.images)?;
    let path = search.run()?;
    let mut chosen: Vec<(String, Widths)> = Vec::new();
    if float {
        let uniform = |widths: &&Widths| widths.bits.windows(2).all(|pair| pair[0].1 == pair[1].1);
        for widths in path
            .iter()
            .filter(uniform)
            .chain(search.uniform(&path)?.iter())
        {
            let bits = widths.bits.first().map_or(0, |(_, bits)| bits.get());
            let name = format!("{name}-{}-{bits}bit", search.quantizer.method);
            if chosen.iter().all(|(known, _)| *known != name) {
                chosen.push((name, widths.clone()));
            }
        }
    }
    for widths in spread(&path, most) {
        let mean = widths.mean_bits();
        chosen.push((format!("{name}-mixed{mean:.2}bit"), widths.clone()));
    }
    let mut files = Vec::new();
    for (name, widths) in &chosen {
        let mut model = search.model(widths)?;
        let record = model.info.training.get_or_insert_default();
        record.name = Some(name.clone());
        record.widths_from = Some(search.model.checksum.clone());
        let file = format!("{name}.safetensors");
        Model::save(&folder.join(&file), &model.network, &model.info)?;
        files.push(file);
    }
    let found = json!({ "numerics": numerics()?, "models": files });
    store::write_bytes(&list, found.to_string().as_bytes())?;
    let mut checksums = Checksums::default();
    checksums.record(folder, [DONE])?;
    checksums.record(folder, &files)?;
    checksums.write(folder)?;
    Ok(files.into_iter().map(|file| folder.join(file)).collect())
}

/// The numerics of a finished search, and the models that it left, each whole.
fn known_models(folder: &Path) -> Result<(Option<String>, Vec<PathBuf>)> {
    let list = folder.join(DONE);
    store::check_beside(&list)?;
    let found = Found::read(&list)?;
    let paths: Vec<PathBuf> = found.models.iter().map(|name| folder.join(name)).collect();
    for path in &paths {
        store::check_beside(path)?;
        read_tensors(path)?;
    }
    Ok((found.numerics, paths))
}

/// At most `most` entries with several widths, spread evenly over the stored bits.
fn spread(path: &[Widths], most: usize) -> Vec<&Widths> {
    let mixed: Vec<&Widths> = path
        .iter()
        .filter(|w| w.bits.windows(2).any(|pair| pair[0].1 != pair[1].1))
        .collect();
    let (Some(first), Some(last)) = (mixed.first(), mixed.last()) else {
        return Vec::new();
    };
    let (high, low) = (first.stored_bits as f64, last.stored_bits as f64);
    let mut places: Vec<usize> = (0..most)
        .map(|i| high + (low - high) * (i as f64 + 0.5) / most as f64)
        .filter_map(|target| {
            let away = |place: &usize| (mixed[*place].stored_bits as f64 - target).abs();
            (0..mixed.len()).min_by(|a, b| away(a).total_cmp(&away(b)).then(a.cmp(b)))
        })
        .collect();
    places.dedup();
    places.into_iter().map(|place| mixed[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_models_are_mixed_and_spread_over_the_stored_bits() {
        let widths = |a: u64, b: u64| Widths {
            bits: [("a", a), ("b", b)]
                .map(|(name, bits)| (name.to_owned(), Bits::new(bits).unwrap()))
                .into(),
            weights: 200,
            stored_bits: 100 * (a + b),
            loss: 0.0,
            accuracy: 1.0,
        };
        let path =
            [(8, 8), (8, 6), (6, 6), (6, 4), (4, 4), (4, 2), (2, 2)].map(|(a, b)| widths(a, b));
        let bits =
            |most| -> Vec<u64> { spread(&path, most).iter().map(|w| w.stored_bits).collect() };
        assert_eq!(bits(3), [1400, 1000, 600]);
        assert_eq!(bits(1), [1000]);
        assert_eq!(bits(9), [1400, 1000, 600]);
        assert!(spread(&path[..1], 3).is_empty());
    }
}
