//! The models of a sweep or an attack with their images: loaded, checked against each other, named apart.

use super::normalization::Taken;
use crate::code::CodeFormat;
use crate::config::{Experiment, Training};
use crate::data::{
    self, validation_split, DatasetName, DatasetSpec, ImageSet, Normalization, Split,
};
use crate::engine::{Evaluator, Images};
use crate::error::{refuse, shell_quoted, Error, Result};
use crate::fault::Exposure;
use crate::memory::Faults;
use crate::net::{Model, ModelInfo, Network};
use crate::seed::Seed;
use crate::stats::ImageSample;
use crate::store;
use crate::sweep::exposure;
use crate::units::{check_name, Metric};
use candle_core::Device;
use std::path::{Path, PathBuf};

/// Where test images come from.
#[derive(Clone, Debug)]
pub(super) struct TestSource<'a> {
    pub(super) spec: &'a DatasetSpec,
    /// As for [`load_half`].
    pub(super) folder: Option<&'a Path>,
    pub(super) file: Option<&'a Path>,
    /// Seed of the validation split, where its images stand in for the test images.
    pub(super) held_out: Option<Seed>,
}

impl TestSource<'_> {
    /// Where the decoded images are kept, if they are of class folders and there is a cache.
    ///
    /// # Errors
    /// As [`data::fingerprint`].
    pub(super) fn kept(&self) -> Result<Option<PathBuf>> {
        let plain = self.file.is_none() && self.held_out.is_none();
        let (true, Some(folder), Ok(cache)) = (
            plain && self.spec.name == DatasetName::Folder,
            self.folder,
            store::cache_folder(),
        ) else {
            return Ok(None);
        };
        let name = data::fingerprint(&self.spec.folder_spec(), Split::Test, folder)?;
        Ok(Some(cache.join("images").join(&name[..16])))
    }

    pub(super) fn load(&self) -> Result<ImageSet> {
        if let Some(seed) = self.held_out {
            return self.held_out_images(seed);
        }
        match self.file {
            Some(file) => data::load_cifar_file(file, self.spec.name),
            None => load_half(self.spec, Split::Test, self.folder),
        }
    }

    fn held_out_images(&self, seed: Seed) -> Result<ImageSet> {
        let wrong = |expected: &str, found: &str| refuse("sweep.split", expected, found);
        if self.file.is_some() {
            return wrong("`test` beside --data-file", "`validation`");
        }
        let set = load_half(self.spec, Split::Training, self.folder)?;
        let (_, held_out) = validation_split(&set.labels, self.spec.validation, seed);
        if held_out.is_empty() {
            return wrong(
                "`test`, or a share that was held out (`dataset.validation`)",
                "`validation` with none",
            );
        }
        let mut set = set.selected(&held_out);
        set.title = format!("{}, validation split", set.title);
        Ok(set)
    }
}

/// One half of a data set; without a folder, from the cache folder, which glyphs and the user's own file do not need.
///
/// # Errors
/// As [`data::load`]; as [`store::cache_folder`] where one is needed.
pub(super) fn load_half(
    spec: &DatasetSpec,
    split: Split,
    folder: Option<&Path>,
) -> Result<ImageSet> {
    match folder {
        Some(folder) => data::load(spec, split, folder),
        None if matches!(spec.name, DatasetName::Glyphs | DatasetName::File) => {
            data::load(spec, split, Path::new(""))
        }
        None => data::load(spec, split, &store::cache_folder()?),
    }
}

/// A loaded model.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) checksum: String,
    pub(super) info: ModelInfo,
    pub(super) evaluator: Evaluator,
    pub(super) warnings: Vec<String>,
    /// True where the file has no description of ours.
    pub(super) foreign: bool,
    /// How its images are normalised, once that is decided; `None`: as its data set says.
    pub(super) normalization: Option<Taken>,
}

impl Loaded {
    /// What faults reach of the model's memory.
    ///
    /// # Errors
    /// As [`Self::check_stored`]; fault options that do not go with the model.
    pub(super) fn exposure(&self, faults: &Faults) -> Result<Exposure> {
        self.check_stored()?;
        exposure(&self.evaluator, &self.name, faults)
    }

    /// Refuses a model that answers some images with what is no number though no bit fails.
    ///
    /// # Errors
    /// [`Error::Input`] with the file where the logits of some images are not all finite.
    pub(super) fn check_finite(&self, not_finite: u64, images: u64) -> Result<()> {
        if not_finite == 0 {
            return Ok(());
        }
        let expected = "a network whose logits without faults are finite numbers for every image";
        let found = format!("NaN or infinity among the logits of {not_finite} of {images} images");
        Err(Error::input(&self.path, expected, found))
    }

    /// How its codes are stored, by the first layer that has some; `None` for float weights.
    pub(super) fn format(&self) -> Option<CodeFormat> {
        let stored = self.evaluator.stored().iter().flatten().next();
        stored.map(|stored| stored.format)
    }

    /// Refuses a model without stored codes.
    ///
    /// # Errors
    /// [`Error::Argument`] that names the file for float weights: they store no codes that a fault could hit.
    pub(super) fn check_stored(&self) -> Result<()> {
        if self.format().is_some() {
            return Ok(());
        }
        let mut name = self.path.file_stem().unwrap_or_default().to_owned();
        name.push("-8bit.safetensors");
        let (from, to) = (self.path.as_os_str(), self.path.with_file_name(name));
        let expected = format!(
            "a quantised model, which stores codes in the memory (`wcat-explore quantize --model {} --bits 8 --out {}` \
             makes one)",
            shell_quoted(from),
            shell_quoted(to.as_os_str())
        );
        let what = format!("model {}", self.path.display());
        refuse(what, expected, "float weights (bits: 32)")
    }
}

/// Loads model files; names come from the files' own descriptions or from their paths, numbered where two are
/// alike. A model that is given twice is warned of.
pub(super) fn load_models(paths: &[PathBuf], device: &Device) -> Result<Vec<Loaded>> {
    let mut all: Vec<Loaded> = Vec::new();
    for path in paths {
        let model = Model::load(path, device)?;
        let base = base_name(&model.info, path)?;
        let name = name_apart(&base, &model.info, |name| {
            all.iter().any(|other| other.name == name)
        });
        let twice = all
            .iter()
            .find(|other| other.checksum == model.checksum)
            .map(|other| same_model(&other.path, path));
        let Model {
            network,
            info,
            checksum,
            mut warnings,
            foreign,
            ..
        } = model;
        warnings.extend(twice);
        let evaluator = Evaluator::new(network)?;
        all.push(Loaded {
            name,
            path: path.clone(),
            checksum,
            info,
            evaluator,
            warnings,
            foreign,
            normalization: None,
        });
    }
    Ok(all)
}

/// What to say of two files that hold one model.
pub(super) fn same_model(first: &Path, second: &Path) -> String {
    format!(
        "the same model twice: {} and {} hold the same bytes",
        first.display(),
        second.display()
    )
}

/// Images that trainings held out are new to those trainings alone whose seed and fraction were the same.
///
/// # Errors
/// [`Error::Argument`] that names a model which may have learned from them.
pub(super) fn check_held_out(models: &[Loaded], dataset: &DatasetSpec, seed: Seed) -> Result<()> {
    for model in models {
        let fraction = model.info.dataset_spec().map(|spec| spec.validation);
        if model.info.training_seed != Some(seed.0) || fraction != Some(dataset.validation) {
            return refuse(
                format!("model {}", model.path.display()),
                format!(
                    "a training with seed {} that held out {} of the images",
                    seed.0, dataset.validation
                ),
                match (model.info.training_seed, fraction) {
                    (Some(seed), Some(fraction)) => format!("seed {seed}, {fraction} held out"),
                    _ => "a model that does not say".into(),
                },
            );
        }
    }
    Ok(())
}

/// What a model is called: by its own description, which was checked, else by its file.
///
/// # Errors
/// [`Error::Argument`] for a file whose name is none for a model.
pub(super) fn base_name(info: &ModelInfo, path: &Path) -> Result<String> {
    if let Some(name) = info.name() {
        return Ok(name.to_owned());
    }
    let name = stem(path);
    check_name(&name).map_err(|(expected, found)| {
        let what = format!("name of the model in {}", path.display());
        Error::argument(what, format!("{expected}: rename the file"), found)
    })?;
    Ok(name)
}

/// Name of a file without its ending.
pub(super) fn stem(path: &Path) -> String {
    path.file_stem()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// A name that is not taken: itself, with the seed of the training, or numbered.
pub(super) fn name_apart(base: &str, info: &ModelInfo, taken: impl Fn(&str) -> bool) -> String {
    let seeded = info.training_seed.map(|seed| format!("{base}-s{seed}"));
    let numbered = (2..).map(|n| format!("{base}-{n}"));
    let mut names = std::iter::once(base.to_owned())
        .chain(seeded)
        .chain(numbered);
    names
        .find(|name| !taken(name))
        .unwrap_or_else(|| base.to_owned())
}

/// Checks fault options against networks that are yet to be trained: before the trainings, not after.
///
/// # Errors
/// As [`exposure`] and [`NetworkSpec::design`](crate::net::NetworkSpec::design).
pub(super) fn check_untrained(trainings: &[Training], faults: &Faults) -> Result<()> {
    for training in trainings.iter().filter(|_| faults.changes().is_some()) {
        // a folder's classes are not known yet; the checks look at layers, not at their sizes
        let (design, classes) = training.network.design(&Device::Cpu)?;
        let classes = classes.or(training.dataset.name.classes()).unwrap_or(10);
        let (quantizer, seed) = (&training.quantizer, training.seed);
        let (network, _) = Network::new(design, classes, quantizer, seed, &Device::Cpu)?;
        exposure(&Evaluator::new(network)?, &training.name, faults)?;
    }
    Ok(())
}

/// The data set of model files, where the user names none: that of their training, all alike.
///
/// # Errors
/// [`Error::Argument`] where the files do not say one, or say different ones.
pub(super) fn dataset_of_models(models: &[Loaded]) -> Result<DatasetSpec> {
    let mut found: Option<DatasetSpec> = None;
    for model in models {
        let Some(spec) = model.info.dataset_spec() else {
            let known: Vec<&str> = DatasetName::ALL.iter().map(|name| name.name()).collect();
            return refuse(
                "--dataset",
                format!(
                    "one of {}, because {} does not say its own",
                    known.join(", "),
                    model.path.display()
                ),
                "nothing",
            );
        };
        if found
            .as_ref()
            .is_some_and(|other| other.name != spec.name || other.glyphs != spec.glyphs)
        {
            let expected = "models trained on one data set";
            let found = format!("`{}` in {}", spec.name, model.path.display());
            return refuse("models of a sweep", expected, found);
        }
        found.get_or_insert_with(|| spec.clone());
    }
    found.ok_or_else(|| Error::argument("--model", "at least one model file", "none"))
}

/// The data set to run models on: the user's where `given`, else their own; images of a folder whose size is not set
/// take that of the first model, and a file has its classes.
///
/// # Errors
/// As [`dataset_of_models`].
pub(super) fn dataset_for(
    models: &[Loaded],
    dataset: &DatasetSpec,
    given: bool,
) -> Result<DatasetSpec> {
    let dataset = if given {
        dataset.clone()
    } else {
        dataset_of_models(models)?
    };
    Ok(match models.first() {
        Some(model) => dataset
            .for_input(model.info.input_shape)
            .for_classes(model.info.classes),
        None => dataset,
    })
}

/// Images as each model takes them; all share the pixels of their set, models of the same normalisation the rest, but
/// for what each is to agree with.
pub(super) struct ModelImages {
    sets: Vec<(Normalization, Images)>,
    of_model: Vec<usize>,
}

impl ModelImages {
    /// Takes the images of these indices for a metric. `dataset` has the normalisation of models that say none.
    ///
    /// # Errors
    /// [`Error::Argument`] where a model does not take such images; as [`Images::judged_by`].
    pub(super) fn new(
        set: &ImageSet,
        models: &[Loaded],
        dataset: &DatasetSpec,
        indices: &[u32],
        metric: Metric,
    ) -> Result<Self> {
        let shape = [set.channels, set.height, set.width];
        let (mut sets, mut of_model) = (Vec::<(Normalization, Images)>::new(), Vec::new());
        for model in models {
            if model.info.input_shape != shape || model.info.classes != set.classes {
                return refuse(
                    format!("model {}", model.path.display()),
                    format!(
                        "a network for {} ({} classes, images of {shape:?})",
                        set.title, set.classes
                    ),
                    format!(
                        "{} classes, images of {:?}",
                        model.info.classes, model.info.input_shape
                    ),
                );
            }
            let own = model.info.normalization.clone();
            let normalization = own.unwrap_or_else(|| dataset.name.default_normalization());
            let normalization = normalization.for_channels(set.channels)?;
            let known = sets.iter().position(|(known, _)| *known == normalization);
            let at = match known.filter(|_| metric.needs_labels()) {
                Some(at) => at,
                None => {
                    let device = model.evaluator.network().device();
                    let images = Images::of(set, indices, &normalization, device)?;
                    sets.push((normalization, images.judged_by(metric, &model.evaluator)?));
                    sets.len() - 1
                }
            };
            of_model.push(at);
        }
        Ok(Self { sets, of_model })
    }

    /// The images of a model, by its place in the list.
    pub(super) fn of(&self, model: usize) -> &Images {
        &self.sets[self.of_model[model]].1
    }
}

/// The test images of an evaluation or a sweep.
pub(super) struct TestImages {
    images: ModelImages,
    /// Title of the data set.
    pub(super) title: String,
    /// SHA-256 of images and labels.
    pub(super) checksum: String,
    /// Number of images used.
    pub(super) count: u64,
    /// Number of images of the test set.
    pub(super) all: u64,
    /// What makes an answer right.
    pub(super) metric: Metric,
    /// Share of right answers by guessing.
    pub(super) chance: f64,
    /// What was left out of the data set.
    pub(super) remarks: Vec<String>,
}

impl TestImages {
    /// Chooses the images.
    ///
    /// # Errors
    /// [`Error::Argument`] where a model does not take such images, or more are asked for than there are.
    pub(super) fn new(
        set: &ImageSet,
        models: &[Loaded],
        experiment: &Experiment,
        subset: Option<u64>,
    ) -> Result<Self> {
        let indices = chosen(set, experiment, subset)?;
        let metric = experiment.sweep.metric(set.has_labels())?;
        Ok(Self {
            images: ModelImages::new(set, models, &experiment.dataset, &indices, metric)?,
            title: set.title.clone(),
            checksum: set.checksum(),
            count: indices.len() as u64,
            all: set.len() as u64,
            metric,
            chance: metric.chance(set.classes),
            remarks: set.remarks.clone(),
        })
    }

    /// The metric, where it is not [`Metric::default`].
    pub(super) fn unusual_metric(&self) -> Option<Metric> {
        Some(self.metric).filter(|metric| !metric.is_default())
    }

    /// How many images of how many.
    pub(super) fn sample(&self) -> ImageSample {
        ImageSample {
            used: self.count,
            all: self.all,
        }
    }

    /// The images of a model, by its place in the list.
    pub(super) fn of(&self, model: usize) -> &Images {
        self.images.of(model)
    }
}

/// Ascending indices of all images, or of a subset drawn by the seed.
///
/// # Errors
/// [`Error::Argument`] where more are asked for than there are.
pub(super) fn chosen(
    set: &ImageSet,
    experiment: &Experiment,
    subset: Option<u64>,
) -> Result<Vec<u32>> {
    match subset {
        Some(n) => set.subset(usize::try_from(n).unwrap_or(usize::MAX), experiment.seed),
        None => Ok((0..set.len() as u32).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::DatasetName;
    use crate::net::Architecture;
    use crate::quant::QuantizerSpec;

    #[test]
    fn images_of_a_folder_take_the_size_that_the_models_take_unless_one_is_set() {
        let architecture = Architecture::Resnet {
            blocks: 3,
            projection: false,
        };
        let quantizer = QuantizerSpec::default();
        let (network, _) =
            Network::new(architecture, 2, &quantizer, Seed(1), &Device::Cpu).unwrap();
        let mut model = Loaded {
            name: "a".into(),
            path: "a.safetensors".into(),
            checksum: String::new(),
            info: ModelInfo {
                quantizer,
                ..ModelInfo::of(architecture.into(), 2)
            },
            evaluator: Evaluator::new(network).unwrap(),
            warnings: Vec::new(),
            foreign: true,
            normalization: None,
        };
        let free = DatasetSpec::of(DatasetName::Folder);
        let found = dataset_for(std::slice::from_ref(&model), &free, true).unwrap();
        assert_eq!(found.folder_spec().size(), 32);
        assert_eq!(dataset_for(&[], &found, true).unwrap(), found);
        model.info.input_shape = [3, 64, 64];
        let models = [model];
        assert_eq!(dataset_for(&models, &found, true).unwrap(), found);
        assert!(dataset_for(&models, &free, false)
            .unwrap_err()
            .is_wrong_input());
    }
}
