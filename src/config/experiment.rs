//! The settings of an experiment: the rooms' specs put together, and the checks across them.

use super::preset::PARTS;
use crate::answer::AnswerSpec;
use crate::attack::AttackSpec;
use crate::data::{DatasetName, DatasetSpec};
use crate::device::DeviceSpec;
use crate::error::{refuse, Error, Result};
use crate::explore::{DomainSpec, ExploreSpec, FORMER_KEYS};
use crate::fault::FaultSpec;
use crate::memory::{self, parse_voltage, parse_voltages, EnergySpec, MemoryModel};
use crate::net::{Architecture, NetworkSpec, Trained};
use crate::quant::QuantizerSpec;
use crate::seed::Seed;
use crate::sweep::{ActivationSpec, SweepSpec};
use crate::train::TrainerSpec;
use crate::units::check_name;
use crate::yaml::{resolve_to, wrong_key, Layer};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Everything that one command may be configured with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Experiment {
    /// Name of the configuration: 1 to 64 letters, digits, `.`, `_`, `-`, a letter or digit first. Run folders begin
    /// with it.
    pub name: String,
    /// Root seed of trainings and chips. Not of the glyphs.
    pub seed: Seed,
    /// Where tensors are computed: `cpu`, `cuda:N`. `cuda:N` needs a build with the feature `cuda`.
    pub device: DeviceSpec,
    /// Data set.
    pub dataset: DatasetSpec,
    /// Network to train.
    pub network: NetworkSpec,
    /// Quantiser to train with.
    pub quantizer: QuantizerSpec,
    /// Training.
    pub trainer: TrainerSpec,
    /// Memory model: a built-in name, or the path of a YAML file.
    pub memory: String,
    /// Fault options beside the memory model.
    pub faults: FaultSpec,
    /// How weights are read in an inference, for energies.
    pub energy: EnergySpec,
    /// The memory of stored activations; a supply of its own makes them fail too.
    #[serde(skip_serializing_if = "ActivationSpec::is_default")]
    pub activations: ActivationSpec,
    /// Sweep.
    pub sweep: SweepSpec,
    /// Exploration.
    pub explore: ExploreSpec,
    /// Question of `answer`; absent in other commands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerSpec>,
    /// Attack.
    pub attack: AttackSpec,
    /// Models that `sweep` trains where no model file is given: a list of `{ name, quantizer }`, each name once, by
    /// the rule of `name`.
    pub models: Vec<ModelSpec>,
    /// Model files that `sweep`, `explore` and `attack` take where none is given on the command line; relative paths
    /// start in the working folder. Not beside `models`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub model_files: Vec<PathBuf>,
}

/// A model of a comparison: the experiment's training under a quantiser of its own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSpec {
    /// Its name, unique in the list: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Its quantiser.
    pub quantizer: QuantizerSpec,
}

/// One training: everything that can change the numbers of a trained model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// Name of the model.
    pub name: String,
    /// Root seed.
    pub seed: Seed,
    /// Data set, every default written out.
    pub dataset: DatasetSpec,
    /// Network.
    pub network: NetworkSpec,
    /// Quantiser.
    pub quantizer: QuantizerSpec,
    /// Training.
    pub trainer: TrainerSpec,
}

impl Default for Experiment {
    fn default() -> Self {
        Self {
            name: "custom".into(),
            seed: Seed(1),
            device: DeviceSpec::Cpu,
            dataset: DatasetSpec::default(),
            network: NetworkSpec {
                architecture: Architecture::Lenet5.into(),
                weights: None,
                requantize: false,
            },
            quantizer: QuantizerSpec::default(),
            trainer: TrainerSpec::default(),
            memory: "sram-14nm-chandramoorthy2019".into(),
            faults: FaultSpec::default(),
            energy: EnergySpec::default(),
            activations: ActivationSpec::default(),
            sweep: SweepSpec::default(),
            explore: ExploreSpec::default(),
            answer: None,
            attack: AttackSpec::default(),
            models: Vec::new(),
            model_files: Vec::new(),
        }
    }
}

/// Configurations that are compiled in, by name.
const BUILT_IN: [(&str, &str); 4] = [
    ("quickstart", include_str!("../../configs/quickstart.yaml")),
    (
        "mnist_lenet5",
        include_str!("../../configs/mnist_lenet5.yaml"),
    ),
    ("mnist_mlp", include_str!("../../configs/mnist_mlp.yaml")),
    (
        "cifar10_resnet20",
        include_str!("../../configs/cifar10_resnet20.yaml"),
    ),
];

/// Names of everything that is compiled in: whole configurations, then parts.
pub(super) fn built_in_names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().chain(&PARTS).map(|(name, _)| *name)
}

/// A configuration, or a part of one (`methods/wcat`, `bits/4`), that is compiled in, as a layer.
///
/// # Errors
/// [`Error::Argument`] for an unknown name, with the known ones.
pub fn built_in(name: &str) -> Result<Layer> {
    match BUILT_IN
        .iter()
        .chain(&PARTS)
        .find(|(known, _)| *known == name)
    {
        Some((name, text)) => Layer::built_in(&format!("configs/{name}.yaml"), text),
        None => {
            let known: Vec<&str> = built_in_names().collect();
            let expected = format!("one of {}", known.join(", "));
            refuse("built-in configuration", expected, format!("`{name}`"))
        }
    }
}

impl Experiment {
    /// Merges layers, reads them and checks every value; what is wrong is reported with its layer and line.
    ///
    /// # Errors
    /// [`Error::Input`] or [`Error::Argument`], see [`resolve_to`].
    pub fn of_layers(layers: &[Layer]) -> Result<Self> {
        for key in FORMER_KEYS {
            if layers.iter().any(|layer| layer.sets(key)) {
                let expected = "to be left out: `wcat-explore answer --yield FRACTION` (`answer.yield`) makes that search";
                return Err(wrong_key(layers, key, expected, "a value"));
            }
        }
        resolve_to(layers, |mut experiment: Self| {
            experiment.check()?;
            // what the user says of the normalisation is for models that do not say their own
            let normalization = experiment.dataset.normalization.take();
            experiment.dataset = DatasetSpec {
                normalization,
                ..experiment.dataset.resolved()
            };
            Ok(experiment)
        })
    }

    /// The memory model, with the margin of `faults.margin` where there is one.
    ///
    /// # Errors
    /// As [`memory::load`] and [`MemoryModel::with_margin`].
    pub fn memory_model(&self) -> Result<MemoryModel> {
        self.load(&self.memory)
    }

    /// The memory model of stored activations, as that of the weights where it is not said.
    ///
    /// # Errors
    /// As [`Self::memory_model`].
    pub fn activation_model(&self) -> Result<MemoryModel> {
        self.load(self.activations.memory.as_ref().unwrap_or(&self.memory))
    }

    fn load(&self, memory: &str) -> Result<MemoryModel> {
        let model = memory::load(memory)?;
        match &self.faults.margin {
            Some(margin) => model.with_margin(margin),
            None => Ok(model),
        }
    }

    fn check(&self) -> Result<()> {
        check_plain("name", &self.name)?;
        self.dataset.check()?;
        self.network.check()?;
        self.quantizer.check()?;
        self.trainer.check()?;
        self.faults.check()?;
        let searched = self.explore.domains == Some(DomainSpec::Memories);
        self.activations.check()?;
        self.energy.check(searched || self.activations.is_swept())?;
        self.sweep.check()?;
        self.explore.check()?;
        if let Some(answer) = &self.answer {
            answer.check()?;
        }
        self.attack.check()?;
        for (key, text) in [
            ("sweep.voltages", &self.sweep.voltages),
            ("activations.voltages", &self.activations.voltages),
        ] {
            if let Some(text) = text {
                parse_voltages(text).map_err(|error| of_key(key, error))?;
            }
        }
        if let Some(text) = &self.faults.margin {
            parse_voltage(text).map_err(|error| of_key("faults.margin", error))?;
        }
        if !self.models.is_empty() && !self.model_files.is_empty() {
            return refuse(
                "model_files",
                "to be left out beside models to train",
                "both",
            );
        }
        for (i, model) in self.models.iter().enumerate() {
            let key = format!("models.{i}");
            check_plain(&format!("{key}.name"), &model.name)?;
            if self.models[..i]
                .iter()
                .any(|other| other.name == model.name)
            {
                let found = format!("`{}` twice", model.name);
                return refuse(format!("{key}.name"), "each name once", found);
            }
            model.quantizer.check().map_err(|error| match error {
                Error::Argument {
                    what,
                    expected,
                    found,
                } => Error::argument(format!("{key}.{what}"), expected, found),
                other => other,
            })?;
        }
        Ok(())
    }

    /// The training of this experiment's own quantiser, named `<name>-<label>` with the quantiser's
    /// [`label`](QuantizerSpec::label).
    ///
    /// # Errors
    /// [`Error::Argument`] where the network does not take images of the data set's shape.
    pub fn training(&self) -> Result<Training> {
        self.training_of(
            format!("{}-{}", self.name, self.quantizer.label()),
            self.quantizer.clone(),
        )
    }

    /// The trainings of the model list.
    ///
    /// # Errors
    /// As [`Self::training`].
    pub fn trainings(&self) -> Result<Vec<Training>> {
        self.models
            .iter()
            .map(|model| self.training_of(model.name.clone(), model.quantizer.clone()))
            .collect()
    }

    fn training_of(&self, name: String, quantizer: QuantizerSpec) -> Result<Training> {
        let dataset = match self.network.architecture {
            Trained::Known(architecture) => self.dataset.for_input(architecture.input_shape()),
            Trained::Imported => self.dataset.clone(),
        };
        let dataset = dataset.resolved();
        // what is in a file is found when it is read
        if dataset.name != DatasetName::File {
            if let Some(architecture) = self.network.architecture.known() {
                check_shapes(&dataset, architecture)?;
            }
            let normalization = dataset.normalization();
            normalization.for_channels(dataset.name.channels())?;
        }
        check_name(&name).map_err(|(expected, found)| {
            let expected = format!("{expected}: give the configuration a shorter `name`");
            Error::argument("name of the model to train", expected, found)
        })?;
        Ok(Training {
            name,
            seed: self.seed,
            dataset,
            network: self.network.clone(),
            quantizer,
            trainer: self.trainer.clone(),
        })
    }
}

/// Names that folders are made of: stricter than [`check_name`].
fn check_plain(key: &str, name: &str) -> Result<()> {
    if (1..=64).contains(&name.len())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
        && !name.starts_with(['.', '-'])
    {
        return Ok(());
    }
    refuse(
        key,
        "1 to 64 letters, digits, `.`, `_` or `-`, a letter or digit first",
        format!("`{name}`"),
    )
}

/// Images of a data set must have the shape that the network takes.
fn check_shapes(dataset: &DatasetSpec, architecture: Architecture) -> Result<()> {
    let images = dataset.shape();
    if architecture.takes(images) {
        return Ok(());
    }
    let fitting: Vec<String> = Architecture::all()
        .into_iter()
        .filter(|a| a.takes(images))
        .map(|a| format!("`{a}`"))
        .collect();
    let expected = format!(
        "a network for images of {images:?} ({}): {}",
        dataset.name,
        fitting.join(", ")
    );
    refuse(
        "network.architecture",
        expected,
        format!("`{architecture}`"),
    )
}

/// The error as one of a key.
fn of_key(key: &str, error: Error) -> Error {
    match error {
        Error::Argument {
            expected, found, ..
        } => Error::argument(key, expected, found),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn every_configuration_in_the_folder_parses_and_is_its_built_in_copy() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/configs"));
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue; // parts to lay over these, see `preset`
            }
            let from_file = Experiment::of_layers(&[Layer::file(&path).unwrap()]).unwrap();
            let name = path.file_stem().unwrap().to_str().unwrap();
            assert_eq!(
                from_file,
                Experiment::of_layers(&[built_in(name).unwrap()]).unwrap()
            );
            assert_eq!(from_file.name, name);
        }
    }

    #[test]
    fn every_reference_configuration_parses_and_bears_its_name() {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/configs/reference"));
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "yaml")
            {
                let experiment = Experiment::of_layers(&[Layer::file(&path).unwrap()]).unwrap();
                assert_eq!(
                    Some(experiment.name.as_str()),
                    path.file_stem().unwrap().to_str()
                );
                experiment.training().unwrap();
                seen += 1;
            }
        }
        assert!(seen >= 2, "{seen}");
    }

    #[test]
    fn a_wrong_value_is_blamed_on_its_line_or_its_set() {
        let layer = Layer::built_in(
            "a.yaml",
            "name: a\nquantizer:\n  method: normal\n  bits: 4\n",
        )
        .unwrap();
        let set = |text| {
            Experiment::of_layers(&[layer.clone(), Layer::set(text).unwrap()])
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            set("quantizer.init=mse"),
            "--set quantizer.init=mse: expected to be left out (only `wcat` reads it), found a value, with method `normal`"
        );
        assert!(set("trainer.optimizer.learning_rate=.nan").contains("learning_rate"));
        assert!(set("name=../x").contains("letters, digits"));
        assert_eq!(
            set("sweep.voltages=0.9:0.8:0.1"),
            "--set sweep.voltages=0.9:0.8:0.1: expected start:stop:step with the stop at or above the start, \
             found `0.9:0.8:0.1`"
        );
    }

    #[test]
    fn a_wrong_flag_is_called_by_its_own_name() {
        let flag = |layer| Experiment::of_layers(&[layer]).unwrap_err().to_string();
        let chips = flag(Layer::flag("--chips", "sweep.chips", 0_u32));
        assert_eq!(chips, "--chips: expected 1 to 1000000, found 0");
        let tolerance = flag(Layer::flag("--tolerance", "sweep.tolerance", f64::NAN));
        assert_eq!(
            tolerance,
            "--tolerance: expected a number from 1e-6 to 0.5, found NaN"
        );
    }

    #[test]
    fn a_network_that_does_not_take_the_images_is_not_trained() {
        let layers = [
            built_in("quickstart").unwrap(),
            Layer::set("network.architecture=resnet20").unwrap(),
        ];
        let error = Experiment::of_layers(&layers)
            .unwrap()
            .trainings()
            .unwrap_err()
            .to_string();
        assert!(error.contains("`mlp`, `lenet5`"), "{error}");
    }

    #[test]
    fn a_resolved_configuration_reads_back_as_itself() {
        let experiment = Experiment::of_layers(&[built_in("quickstart").unwrap()]).unwrap();
        let text = crate::yaml::to_yaml(&experiment).unwrap();
        let again = Experiment::of_layers(&[Layer::built_in("resolved", &text).unwrap()]).unwrap();
        assert_eq!(experiment, again);
    }
}
