//! What a training starts from: its network, known or imported, and the weights of a file.

use crate::config::Training;
use crate::data::{DatasetName, FileSpec, ImageSet, Normalization};
use crate::error::{refuse, Result};
use crate::net::{Activations, Design, Model, Network, Trained};
use crate::store;
use crate::train::ActivationRanges;
use candle_core::Device;
use std::path::Path;

/// A training whose network is known.
pub(super) struct Start {
    /// Images of a folder take the size, and classes of a file the number, that an imported network takes.
    pub(super) training: Training,
    pub(super) design: Design,
    /// The weights that it starts from.
    model: Option<Model>,
}

impl Start {
    /// Reads the file of the weights, where there is one.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where those weights are of another network, are codes that are not to be
    /// changed, or do not take the images of the data set, as far as these are known before they are read; as
    /// [`Model::load`].
    pub(super) fn of(training: &Training, device: &Device) -> Result<Self> {
        let mut training = training.clone();
        let spec = &training.network;
        let Some(path) = &spec.weights else {
            spec.check()?;
            let (design, _) = spec.design(device)?;
            return Ok(Self {
                training,
                design,
                model: None,
            });
        };
        let model = Model::load(Path::new(path), device)?;
        let design = model.info.architecture.clone();
        match spec.architecture {
            Trained::Known(wanted) if design != wanted => {
                let found = match &design {
                    Design::Known(found) => found.to_string(),
                    Design::Imported(found) => format!(
                        "`{}`, which `network.architecture: imported` trains",
                        found.name
                    ),
                };
                let expected = format!("weights of {wanted}");
                return refuse("network.weights", expected, found);
            }
            Trained::Known(_) => {}
            Trained::Imported => {
                let dataset = training.dataset.for_input(model.info.input_shape);
                training.dataset = dataset.for_classes(model.info.classes);
                let name = training.dataset.name;
                if name != DatasetName::File {
                    let classes = name.classes().unwrap_or(model.info.classes);
                    check_images(&model, name.title(), training.dataset.shape(), classes)?;
                }
            }
        }
        if !training.network.requantize {
            for layer in model.network.layers() {
                layer.check_trainable()?;
            }
        }
        Ok(Self {
            training,
            design,
            model: Some(model),
        })
    }

    /// How activations are stored, where the weights that it starts from are of a model that stores some.
    pub(super) fn activations(&self) -> Option<&Activations> {
        self.model.as_ref()?.info.activations.as_ref()
    }

    /// What can change the numbers of the training: the file that it learns from and the weights that it starts from by
    /// their content, not by their path. Test data change none.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub(super) fn identity(&self, data_folder: Option<&Path>) -> Result<Training> {
        let mut identity = self.training.clone();
        let file = identity.dataset.file_spec();
        if let Some(path) = file.training {
            let path = data_folder.unwrap_or(Path::new("")).join(path);
            let sha256 = store::sha256_of_file(&path)?;
            identity.dataset.file = Some(FileSpec {
                training: Some(format!("sha256:{sha256}")),
                test: None,
                classes: file.classes,
            });
        }
        if let Some(model) = &self.model {
            // activations that stay stored were dropped once
            let stored = self.activations().map_or("", |_| ", activations stored");
            identity.network.weights = Some(format!("sha256:{}{stored}", model.checksum));
            // a known one is the same whether it is named or found in the file
            if let Some(architecture) = self.design.known() {
                identity.network.architecture = architecture.into();
            }
        }
        Ok(identity)
    }

    /// The network at the start of its training, for these images, with warnings; ranges start from the weights.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the network does not take such images or has other classes.
    pub(super) fn network(
        &self,
        images: &ImageSet,
        normalization: Option<&Normalization>,
        device: &Device,
    ) -> Result<(Network, Vec<String>)> {
        let shape = [images.channels, images.height, images.width];
        let imported = |model: &&Model| model.info.architecture.known().is_none();
        if let Some(model) = self.model.as_ref().filter(imported) {
            check_images(model, &images.title, shape, images.classes)?;
        }
        let (network, mut warnings) = Network::new(
            self.design.clone(),
            images.classes,
            &self.training.quantizer,
            self.training.seed,
            device,
        )?;
        let mut network = network.with_input_shape(shape)?;
        if let Some(model) = &self.model {
            warnings = model.warnings.clone();
            warnings.extend(network.load_state(&model.float_state()?)?);
            warnings.extend(other_normalization(model, normalization));
            if let Some(activations) = self.activations() {
                network = match self.training.trainer.activation_ranges {
                    ActivationRanges::Learned => network.learning_activations(activations)?,
                    ActivationRanges::Fixed => network.with_activations(activations)?,
                };
            }
        }
        Ok((network, warnings))
    }
}

/// An imported network takes images of one shape and has so many classes.
fn check_images(model: &Model, title: &str, shape: [usize; 3], classes: usize) -> Result<()> {
    let info = &model.info;
    if info.input_shape == shape && info.classes == classes {
        return Ok(());
    }
    refuse(
        "dataset",
        format!(
            "images of {:?} in {} classes, which `{}` takes",
            info.input_shape, info.classes, info.architecture
        ),
        format!("images of {shape:?} in {classes} classes ({title})"),
    )
}

/// What to say where the weights to start from expect, or may expect, images normalised in another way.
fn other_normalization(model: &Model, own: Option<&Normalization>) -> Option<String> {
    let own = own?;
    let taken = format!(
        "the training takes {:?} and {:?} (`dataset.normalization`)",
        own.mean, own.std
    );
    match &model.info.normalization {
        Some(other) if other != own => Some(format!(
            "the weights to start from expect images normalised by mean {:?} and std {:?}, {taken}",
            other.mean, other.std
        )),
        None if model.foreign && model.info.architecture.known().is_none() => Some(format!(
            "the file of the weights to start from does not say how images are normalised; by mean and std, {taken}"
        )),
        _ => None,
    }
}
