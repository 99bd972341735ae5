//! Which statistics the images of a model are normalised by: its own, those that the user says, or assumed ones.

use super::models::Loaded;
use crate::config::Experiment;
use crate::data::{DatasetName, DatasetSpec, ImageSet, Normalization};
use crate::error::{refuse, Result};
use crate::net::ModelInfo;

/// Where statistics come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The model file.
    File,
    /// The user.
    Given,
    /// Nobody: those usual for such a model are taken.
    Assumed,
}

/// The statistics that a model's images are normalised by.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    pub(super) normalization: Normalization,
    pub(super) source: Source,
    /// True where they are not those that would be taken without a word of the user.
    pub(super) changed: bool,
}

impl Taken {
    /// A name, or the numbers.
    pub(super) fn label(&self) -> String {
        self.normalization.to_string()
    }

    /// Given statistics must not be without effect on a model.
    ///
    /// # Errors
    /// [`crate::error::Error::Argument`] where the model's file has others.
    pub(super) fn check_given(&self, model: &str, given: Option<&Normalization>) -> Result<()> {
        let channels = self.normalization.mean.len();
        let other = given.filter(|given| given.spread(channels) != self.normalization);
        let (Some(given), Source::File) = (other, self.source) else {
            return Ok(());
        };
        let own = self.label();
        refuse(
            "--normalize (dataset.normalization)",
            format!("to be left out: the file of `{model}` has its own normalisation, {own}"),
            format!("`{given}`, which would have no effect"),
        )
    }

    /// What the user should hear about it.
    pub(super) fn warning(&self, model: &str) -> Option<String> {
        let Normalization { mean, std } = &self.normalization;
        (self.source == Source::Assumed).then(|| {
            format!(
                "{model}: its file does not say how images are normalised; assumed: {} (mean {mean:?}, std {std:?}); \
                 --normalize imagenet|cifar10|half|none|raw|MEAN/STD says it",
                self.label()
            )
        })
    }
}

/// Decides on the statistics of a model and puts them into its description. `None` where a training of ours without
/// statistics in its file takes those of its data set, as ever. `foreign` is [`crate::net::Model::foreign`]; `dataset`
/// gives the statistics of grey models that do not say their own, where it is known.
///
/// # Errors
/// [`crate::error::Error::Argument`] where given statistics do not go with the model's channels.
pub(super) fn take(
    info: &mut ModelInfo,
    foreign: bool,
    given: Option<&Normalization>,
    dataset: Option<DatasetName>,
) -> Result<Option<Taken>> {
    let channels = info.input_shape[0];
    let trained = info.training_seed.is_some();
    if let Some(own) = info.normalization.as_ref().filter(|_| !foreign) {
        return Ok(Some(Taken {
            normalization: own.clone(),
            source: Source::File,
            changed: false,
        }));
    }
    let usual = dataset.and_then(|dataset| dataset.usual_normalization(channels));
    let assumed = info.normalization.clone().or(usual);
    let taken = match given {
        Some(given) => {
            let normalization = given.for_channels(channels)?;
            let changed = assumed.as_ref() != Some(&normalization);
            Taken {
                normalization,
                source: Source::Given,
                changed,
            }
        }
        None if trained => return Ok(None),
        None => match assumed {
            Some(normalization) => Taken {
                normalization,
                source: Source::Assumed,
                changed: false,
            },
            None => return Ok(None),
        },
    };
    info.normalization = Some(taken.normalization.clone());
    Ok(Some(taken))
}

/// [`take`] for the models of a run on images of this set; what the user should hear goes to their warnings. Floats are
/// what networks take, whatever the files of the models say.
///
/// # Errors
/// As [`take`]; [`crate::error::Error::Argument`] where given statistics have an effect on none of the models.
pub(super) fn normalize(
    models: &mut [Loaded],
    dataset: DatasetName,
    set: &ImageSet,
    given: Option<&Normalization>,
) -> Result<()> {
    check_floats(set, given)?;
    if set.pixels.are_floats() {
        for model in models {
            let own = model.info.normalization.take();
            model.warnings.extend(own.filter(|_| !model.foreign).map(|own| {
                format!(
                    "{}: the normalisation of its file, {own}, is not applied: {} holds floating-point inputs, which \
                     are taken as they are",
                    model.name, set.title
                )
            }));
        }
        return Ok(());
    }
    let mut unheeding = Vec::new();
    for (place, model) in models.iter_mut().enumerate() {
        let taken = take(&mut model.info, model.foreign, given, Some(dataset))?;
        if let Some(taken) = &taken {
            model.warnings.extend(taken.warning(&model.name));
            if taken.check_given(&model.name, given).is_err() {
                unheeding.push(place);
            }
        }
        model.normalization = taken;
    }
    let (Some(given), Some(&first)) = (given, unheeding.first()) else {
        return Ok(());
    };
    if unheeding.len() == models.len() {
        let model = &models[first];
        if let Some(taken) = &model.normalization {
            taken.check_given(&model.name, Some(given))?;
        }
    }
    for place in unheeding {
        let model = &mut models[place];
        let own = model
            .normalization
            .as_ref()
            .map_or(String::new(), Taken::label);
        let name = &model.name;
        model.warnings.push(format!(
            "{name}: keeps the normalisation of its file, {own}"
        ));
    }
    Ok(())
}

/// Floats are not normalised.
///
/// # Errors
/// [`crate::error::Error::Argument`] where statistics are given for them.
pub(super) fn check_floats(set: &ImageSet, given: Option<&Normalization>) -> Result<()> {
    match given.filter(|_| set.pixels.are_floats()) {
        None => Ok(()),
        Some(given) => refuse(
            "--normalize (dataset.normalization)",
            format!(
                "to be left out: {} holds floating-point inputs, which are taken as they are",
                set.title
            ),
            format!("`{given}`"),
        ),
    }
}

/// What of the normalisation makes a run another one: given statistics that are not the assumed ones, by model.
pub(super) fn changes(models: &[Loaded]) -> Option<Vec<(&str, &Normalization)>> {
    let changed: Vec<(&str, &Normalization)> = models
        .iter()
        .filter_map(|model| {
            let taken = model.normalization.as_ref().filter(|taken| taken.changed)?;
            Some((model.name.as_str(), &taken.normalization))
        })
        .collect();
    (!changed.is_empty()).then_some(changed)
}

/// The configuration as a record holds it: with the normalisation of its data set written out, unless models bring
/// statistics that are not of a training.
pub(super) fn recorded(experiment: &Experiment, models: &[Loaded]) -> Experiment {
    if models.iter().any(|model| model.said().is_some()) {
        return experiment.clone();
    }
    let dataset = DatasetSpec {
        normalization: experiment.dataset.resolved().normalization,
        ..experiment.dataset.clone()
    };
    Experiment {
        dataset,
        ..experiment.clone()
    }
}

impl Loaded {
    /// The normalisation of a model that is not of a training of ours, for records and tables.
    pub(super) fn said(&self) -> Option<String> {
        let taken = self.normalization.as_ref()?;
        let trained = self.info.training_seed.is_some() && taken.source == Source::File;
        (!trained).then(|| match taken.source {
            Source::Assumed => format!("{} (assumed)", taken.label()),
            Source::File | Source::Given => taken.label(),
        })
    }
}
