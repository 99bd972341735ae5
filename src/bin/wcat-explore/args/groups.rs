//! Groups of flags that several commands take, each under one heading of the help, and flags as layers of settings.

use clap::{Args, ValueEnum};
use serde::Serialize;
use std::path::PathBuf;
use wcat_explore::config::{named_or_file, Experiment, Layer};
use wcat_explore::data::DatasetName;
use wcat_explore::device::DeviceSpec;
use wcat_explore::error::Result;
use wcat_explore::kernel::{Arithmetic, Isa};
use wcat_explore::units::Ber;
use wcat_explore::yaml::text_at;

/// The settings that flags stand for, by the flags' names.
pub(super) const KEYS: [(&str, &str); 36] = [
    ("activation-memory", "activations.memory"),
    ("activation-protection", "activations.protection"),
    ("activation-words", "activations.words"),
    ("array", "faults.arrays"),
    ("attack-data", "attack.data"),
    ("batch", "attack.batch"),
    ("bits", "quantizer.bits"),
    ("chips", "sweep.chips"),
    ("dataflow", "energy.dataflow"),
    ("domain-cost", "explore.domain_cost"),
    ("evaluations", "explore.evaluations"),
    ("fault-map", "faults.map"),
    ("flips", "attack.flips"),
    ("floor", "sweep.floor"),
    ("images", "sweep.images"),
    ("init", "quantizer.init"),
    ("k-top", "attack.k_top"),
    ("layers", "faults.layers"),
    ("margin", "faults.margin"),
    ("max-loss", "explore.max_loss"),
    ("max-rails", "explore.max_rails"),
    ("memory", "memory"),
    ("method", "quantizer.method"),
    ("metric", "sweep.metric"),
    ("noise", "faults.noise"),
    ("profile", "faults.profile"),
    ("protection", "sweep.protection"),
    ("restarts", "attack.restarts"),
    ("sampling", "sweep.sampling"),
    ("search-chips", "explore.search_chips"),
    ("search-images", "explore.search_images"),
    ("skip", "quantizer.skip"),
    ("split", "sweep.split"),
    ("tolerance", "sweep.tolerance"),
    ("until-accuracy", "attack.until_accuracy"),
    ("widths", "explore.widths"),
];

/// A group of flags as settings.
///
/// # Errors
/// As [`Layer::of_flags`].
pub(crate) fn layers(group: &impl Serialize) -> Result<Vec<Layer>> {
    Layer::of_flags(group, &KEYS)
}

/// Configuration, seed and machine.
#[derive(Debug, Args)]
#[command(next_help_heading = "Settings")]
pub(crate) struct Settings {
    /// Configuration: a file or a built-in name; may be repeated
    ///
    /// Built-in names are mnist_lenet5, methods/wcat, bits/4, ...; of several configurations, later ones override
    /// earlier ones key by key.
    #[arg(long, value_name = "NAME|FILE")]
    pub config: Vec<PathBuf>,
    /// One setting, such as quantizer.bits=4; may be repeated
    ///
    /// It lies over the configurations. The value is YAML.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Root seed of trainings and chips
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Where tensors are computed: cpu or cuda:N
    #[arg(long, value_name = "DEVICE", hide_short_help = true)]
    pub device: Option<DeviceSpec>,
    /// Vector instructions: avx512, avx2 or portable [default: the fastest that this machine has]
    ///
    /// For reproducing the numbers of a lesser machine.
    #[arg(long, value_name = "ISA", hide_short_help = true)]
    pub isa: Option<Isa>,
    /// How convolutions are computed: winograd or direct [default: winograd]
    ///
    /// Winograd takes less than half of the time on networks of 3x3 convolutions. Its logits differ by some 1e-6 of the
    /// largest one, so a run that was begun with one is not gone on with by the other.
    #[arg(long, value_name = "ARITHMETIC", hide_short_help = true)]
    pub arithmetic: Option<Arithmetic>,
}

impl Settings {
    /// Makes vector instructions and arithmetic the choice of the process, before its first kernel runs.
    pub(crate) fn choose_kernels(&self) -> Result<()> {
        if let Some(isa) = self.isa {
            isa.choose()?;
        }
        self.arithmetic.map_or(Ok(()), Arithmetic::choose)
    }

    /// The configuration: files over `default`, which only stands where there is none, then settings and flags, with
    /// the data set of `places`, whose settings replace those of another one in the files. A network that does not fit
    /// its images is no error here: models bring their own. The second value is true where the user chose a data set.
    pub(crate) fn experiment(
        &self,
        places: &Places,
        default: Option<Layer>,
        flags: &[Layer],
    ) -> Result<(Experiment, bool)> {
        let mut flags = flags.to_vec();
        let normalize = places.normalize.as_deref();
        flags.extend(
            normalize.map(|text| Layer::flag("--normalize", "dataset.normalization", text)),
        );
        let presets = if let Some(path) = &places.data {
            flags.push(Layer::flag("--data", "dataset.file.test", path.as_str()));
            self.dataset_presets("--data", DatasetName::File)?
        } else if let Some(dataset) = &places.dataset {
            self.dataset_presets("--dataset", dataset.parse()?)?
        } else {
            return self.experiment_over(default, &[], &flags);
        };
        flags.extend(presets.last().cloned());
        let (experiment, _) = self.experiment_over(default, &presets, &flags)?;
        Ok((experiment, true))
    }

    /// The data set of a flag over the files, its name last; the settings of another one in the files are left out.
    pub(crate) fn dataset_presets(&self, flag: &str, name: DatasetName) -> Result<Vec<Layer>> {
        let files = self.files()?;
        let before = text_at(&files, "dataset.name")?.unwrap_or(DatasetName::default().to_string());
        let mut presets = Vec::new();
        if before != name.name() {
            presets.push(Layer::unset(flag, "dataset"));
        }
        presets.push(Layer::flag(flag, "dataset.name", name.name()));
        Ok(presets)
    }

    /// The configuration with presets over the files and under the settings. The second value is true where files or
    /// settings choose the data set.
    pub(crate) fn experiment_over(
        &self,
        default: Option<Layer>,
        presets: &[Layer],
        flags: &[Layer],
    ) -> Result<(Experiment, bool)> {
        let mut layers = self.files()?;
        layers.extend_from_slice(presets);
        for set in &self.set {
            layers.push(Layer::set(set)?);
        }
        // the normalisation is a property of a model, not of the data set
        let keys = [
            "name",
            "validation",
            "augmentation",
            "glyphs",
            "folder",
            "file",
        ];
        let chooses = |layer: &Layer| keys.iter().any(|key| layer.sets(&format!("dataset.{key}")));
        let chooses_dataset = layers.iter().any(chooses);
        if self.config.is_empty() {
            layers.splice(0..0, default);
        }
        layers.extend(self.seed.map(|seed| Layer::flag("--seed", "seed", seed)));
        let device = self.device.map(|device| device.to_string());
        layers.extend(device.map(|device| Layer::flag("--device", "device", device)));
        layers.extend_from_slice(flags);
        Ok((Experiment::of_layers(&layers)?, chooses_dataset))
    }

    fn files(&self) -> Result<Vec<Layer>> {
        self.config.iter().map(|path| named_or_file(path)).collect()
    }
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Aligned text
    #[default]
    Table,
    /// An array of objects with the column names of the result tables
    Json,
    /// Comma-separated values
    Csv,
}

/// How a result is printed.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct Output {
    /// The result as table, json or csv
    #[arg(long, value_enum, default_value_t, hide_possible_values = true)]
    pub format: Format,
}

/// Where a run goes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct RunOutput {
    /// Name of the run in results/, or a path [default: <configuration>-<hash>]
    ///
    /// A bare name stands in results/, the report of the run in reports/. With a path the run is that folder, and its
    /// report the folder `report` in it.
    #[arg(long, value_name = "NAME|PATH")]
    pub out: Option<String>,
    /// Throw away what this run has finished and begin again
    ///
    /// Models of the configuration that were trained for it are trained again too.
    #[arg(long)]
    pub fresh: bool,
    #[command(flatten)]
    pub output: Output,
}

/// Model files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models and data")]
pub(crate) struct ModelFiles {
    /// Model file: safetensors, ONNX or a PyTorch checkpoint; may be repeated
    ///
    /// Where --config is taken, its `model_files` are the default.
    #[arg(long = "model", value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Model files, comma-separated
    #[arg(
        long,
        value_name = "FILES",
        value_delimiter = ',',
        hide_short_help = true
    )]
    models: Vec<PathBuf>,
}

impl ModelFiles {
    /// Those of both flags, in their order.
    pub(crate) fn all(&self) -> Vec<PathBuf> {
        self.model.iter().chain(&self.models).cloned().collect()
    }
}

/// Where data are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Models and data")]
pub(crate) struct Places {
    /// mnist, cifar10, folder, ... [default: that of the model's training]
    ///
    /// A configuration may say it too. One of glyphs, mnist, fashion-mnist, kmnist, emnist-balanced (-byclass, -bymerge, -letters, -digits, -mnist),
    /// cifar10, cifar100 or folder (class folders of PNG or JPEG images in --data-dir).
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// Your own test data: inputs `x` and classes `y`, if known, in one .npz or .safetensors file, or CIFAR-10 records (.bin)
    ///
    /// The batch is the first dimension of `x` (or `inputs`), one to three follow. Floating-point inputs are taken as they
    /// are, uint8 as pixels, see --normalize. `y` (or `labels`) are integers; without them --metric is
    /// agreement.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = ["dataset", "data_dir", "data_file"]
    )]
    pub data: Option<String>,
    /// Folder of the data sets [default: the cache folder, see `data info`]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// One file of CIFAR-10 or CIFAR-100 records, or a Python batch, as test images
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "data_dir",
        hide_short_help = true
    )]
    pub data_file: Option<PathBuf>,
    /// How images are normalised for a model whose file does not say it
    ///
    /// imagenet, cifar10, half (0.5/0.5), none (0/1), raw (0 to 255 as they are), or MEAN/STD of pixels as 0 to 1, such as
    /// 0.5,0.5,0.5/0.25,0.25,0.25 [default: imagenet for colour, else that of the data set; either is warned of]
    #[arg(long, value_name = "STATISTICS", hide_short_help = true)]
    pub normalize: Option<String>,
}

/// Images of an evaluation.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Images {
    /// Test images, a random subset with the classes in proportion [default: all]
    #[arg(long, value_name = "N")]
    images: Option<u64>,
}

/// What accuracies are the share of.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Sampling")]
pub(crate) struct Judged {
    /// What accuracy counts: top1, top5, agreement or snr:DECIBELS [default: top1; on data without classes agreement]
    ///
    /// top1: inputs whose class has the greatest logit; top5: one of the five greatest; agreement: inputs that are given
    /// the class that the same network gives them without faults; snr:20: inputs whose outputs differ from those without
    /// faults by an error of at most 1 % of their power (20 dB), for networks that do not classify. The last two need no
    /// classes.
    #[arg(long, value_name = "METRIC", hide_short_help = true)]
    metric: Option<String>,
}

/// Voltages alone.
#[derive(Debug, Args)]
#[command(next_help_heading = "Voltages and memory")]
pub(crate) struct VoltageList {
    /// Voltages: start:stop:step, a list, or both; in vmin, V or mV
    ///
    /// Such as 0.75:1.0:0.025 (both ends included) or 0.8,0.85:0.95:0.05. A unit may follow (0.85vmin, 0.56V, 560mV); without one it is that
    /// of the memory model.
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    voltages: Option<String>,
}

/// Voltages replace rates where a configuration has them, and rates voltages. Of weights or activations: the flags and the
/// settings that they are.
fn voltages_or_rates(
    flags: [&str; 2],
    keys: [&str; 2],
    voltages: Option<&str>,
    rates: &[Ber],
) -> Vec<Layer> {
    let rates: Vec<f64> = rates.iter().map(|rate| rate.get()).collect();
    match voltages {
        Some(list) => vec![
            Layer::flag(flags[0], keys[0], list),
            Layer::flag(flags[0], keys[1], Vec::<f64>::new()),
        ],
        None if rates.is_empty() => Vec::new(),
        None => vec![
            Layer::unset(flags[1], keys[0]),
            Layer::flag(flags[1], keys[1], rates),
        ],
    }
}

/// [`voltages_or_rates`] of weights.
fn of_weights(voltages: Option<&str>, rates: &[Ber]) -> Vec<Layer> {
    const KEYS: [&str; 2] = ["sweep.voltages", "sweep.bit_error_rates"];
    voltages_or_rates(["--voltages", "--bers"], KEYS, voltages, rates)
}

impl VoltageList {
    pub(crate) fn layers(&self) -> Vec<Layer> {
        of_weights(self.voltages.as_deref(), &[])
    }
}

/// What a sweep goes through.
#[derive(Debug, Args)]
#[command(next_help_heading = "Voltages and memory")]
pub(crate) struct Voltages {
    #[command(flatten)]
    list: VoltageList,
    /// Bit error rates in place of voltages, comma-separated
    ///
    /// Each stands at the voltage where the memory has it.
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "voltages"
    )]
    bers: Vec<Ber>,
}

impl Voltages {
    pub(crate) fn layers(&self) -> Vec<Layer> {
        of_weights(self.list.voltages.as_deref(), &self.bers)
    }
}

/// The memory and what guards its words.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Voltages and memory")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct MemoryFlags {
    /// Memory model: a name from `memory list`, or a file
    #[arg(long, value_name = "NAME|FILE")]
    memory: Option<String>,
    /// none, msb:K, secded or parity_zero; a sweep compares several
    ///
    /// msb:K puts the K most significant bits in cells that do not fail; secded makes words of 64 data and 8 check bits;
    /// with parity_zero a code whose parity fails reads as zero. Comma-separated or repeated.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    protection: Vec<String>,
}

impl MemoryFlags {
    /// A memory was named.
    pub(crate) fn names_one(&self) -> bool {
        self.memory.is_some()
    }
}

/// The memory of stored activations.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Voltages and memory")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ActivationMemoryFlags {
    /// Memory model of stored activations [default: that of the weights]
    ///
    /// Another one needs absolute energies in both, or --set activations.energy_ratio=R: what an access of a bit costs there,
    /// over that of the weights, each at its error-free voltage.
    #[arg(long, value_name = "NAME|FILE", hide_short_help = true)]
    activation_memory: Option<String>,
    /// Words of that memory, one for an element of 8 bits (of 16 for wider codes) [default: as many as are needed]
    #[arg(long, value_name = "N", hide_short_help = true)]
    activation_words: Option<u64>,
    /// Protection of stored activations: none, msb:K, secded or parity_zero [default: none]
    #[arg(long, value_name = "PROTECTION", hide_short_help = true)]
    activation_protection: Option<String>,
}

/// The memory of stored activations and its voltages.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Voltages and memory")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct ActivationFlags {
    /// Voltages of stored activations, each beside each of the weights'
    ///
    /// Written as those of --voltages. Where a sweep has none of those, the weights stay at their error-free voltage; an
    /// answer searches theirs. For models whose activations are stored: `quantize --activation-bits 8` makes them.
    #[arg(
        long,
        value_name = "LIST",
        allow_hyphen_values = true,
        hide_short_help = true
    )]
    #[serde(skip)]
    activation_voltages: Option<String>,
    /// Bit error rates of stored activations in place of voltages, comma-separated
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "activation_voltages",
        hide_short_help = true
    )]
    #[serde(skip)]
    activation_bers: Vec<Ber>,
    #[command(flatten)]
    #[serde(flatten)]
    memory: ActivationMemoryFlags,
}

impl ActivationFlags {
    /// # Errors
    /// As [`layers`].
    pub(crate) fn layers(&self) -> Result<Vec<Layer>> {
        const FLAGS: [&str; 2] = ["--activation-voltages", "--activation-bers"];
        const KEYS: [&str; 2] = ["activations.voltages", "activations.bit_error_rates"];
        let (list, rates) = (self.activation_voltages.as_deref(), &self.activation_bers);
        let mut all = layers(self)?;
        all.extend(voltages_or_rates(FLAGS, KEYS, list, rates));
        Ok(all)
    }
}

/// How the cells of the memory fail, beside what the memory model says.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Faults")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct FaultArgs {
    /// Which bits fail: random (any) or msb (only the most significant bit of each code)
    #[arg(long, value_name = "KIND", hide_short_help = true)]
    noise: Option<String>,
    /// Only these layers lie in the unreliable memory: globs over layer names, comma-separated or repeated
    #[arg(
        long,
        value_name = "GLOBS",
        value_delimiter = ',',
        hide_short_help = true
    )]
    layers: Vec<String>,
    /// Arrays: independent, model (the memory model's own), column=R,bank=R (correlations); a sweep compares several,
    /// after commas or repeated
    #[arg(long, value_name = "ARRAYS", hide_short_help = true)]
    array: Vec<String>,
    /// A profiled 14 nm chip, at the bit error rates it was measured at: chip1, chip2, chip3
    #[arg(long, value_name = "CHIP", hide_short_help = true)]
    profile: Option<String>,
    /// A measured fault map in place of a model
    ///
    /// A CSV file (its rows name the chips, `# chips: N` those without a failing cell too), or VOLTAGE=FILE.npy, repeated
    /// (0 and 1 for each cell, no packed bits), or an .npz file of arrays named by voltage.
    #[arg(long, value_name = "MAP", hide_short_help = true)]
    fault_map: Vec<String>,
    /// Every cell is taken to fail earlier by so much, such as 0.05 (in the memory's unit) or 50mV; energies stay
    #[arg(long, value_name = "VOLT", hide_short_help = true)]
    margin: Option<String>,
}

impl FaultArgs {
    /// The files of the fault map.
    pub(crate) fn maps(&self) -> impl Iterator<Item = PathBuf> + '_ {
        let path = |entry: &String| {
            let (_, path) = entry.split_once('=').unwrap_or(("", entry));
            PathBuf::from(path)
        };
        self.fault_map.iter().map(path)
    }
}

/// The folder given, or the cache folder.
pub(crate) fn data_folder(given: Option<&PathBuf>) -> Result<PathBuf> {
    match given {
        Some(folder) => Ok(folder.clone()),
        None => wcat_explore::store::cache_folder(),
    }
}
