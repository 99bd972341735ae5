//! What may be typed: commands and flags with their help. What is meant by it is resolved in each command.

mod explore;
mod pack;
mod quantize;
mod sweep;

pub(crate) use explore::ExploreArgs;
pub(crate) use pack::PackArgs;
pub(crate) use quantize::QuantizeArgs;
pub(crate) use sweep::{Settings, SweepArgs};

use crate::fault_args::FaultArgs;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use wcat_explore::config::{named_or_file, Experiment, Layer};
use wcat_explore::data::DatasetName;
use wcat_explore::device::DeviceSpec;
use wcat_explore::kernel::Isa;
use wcat_explore::units::{Accuracy, Ber, Voltage};
use wcat_explore::yaml::text_at;

const ABOUT: &str =
    "How far can the supply voltage of a network's weight SRAM fall, and what does each joule saved \
                     cost in accuracy?";

const EXAMPLES: &str = "\
Examples:
  wcat-explore sweep --voltages 0.75:1.0:0.025
      train the quick-start models on built-in data, sweep them, write tables and report
  wcat-explore train --config configs/mnist_lenet5.yaml --set quantizer.method=wcat
  wcat-explore sweep --model a.safetensors --model b.safetensors --voltages 0.8:1.0:0.02
  wcat-explore memory show sram-14nm-chandramoorthy2019 --at-ber 0.01

Exit codes: 0 done, 1 the run failed, 2 wrong usage or wrong input file, 75 interrupted (Ctrl-C, TERM, HUP) or in use by
another process: the same command goes on.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "wcat-explore", version, about = ABOUT, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub common: Common,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Common {
    /// Configuration: a file, or a built-in name (mnist_lenet5, methods/wcat, bits/4, ...); may be repeated, later ones
    /// override earlier ones key by key
    #[arg(long, value_name = "NAME|FILE", global = true)]
    pub config: Vec<PathBuf>,
    /// One setting over the configuration, such as quantizer.bits=4; may be repeated
    #[arg(long, value_name = "KEY.PATH=VALUE", global = true)]
    pub set: Vec<String>,
    /// Root seed of trainings and chips
    #[arg(long, value_name = "N", global = true)]
    pub seed: Option<u64>,
    /// Threads; 0 takes every core
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub threads: usize,
    /// Where tensors are computed: cpu or cuda:N
    #[arg(long, value_name = "DEVICE", global = true)]
    pub device: Option<DeviceSpec>,
    /// Vector instructions: avx512, avx2 or portable, for reproducing the numbers of a lesser machine; default: the
    /// fastest that this machine has
    #[arg(long, value_name = "ISA", global = true)]
    pub isa: Option<Isa>,
    /// More remarks on standard error
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// No progress and no remarks, only warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl Common {
    /// The configuration: files over `default`, which only stands where there is none, then settings and flags, with
    /// the data set of `places`, whose settings replace those of another one in the files. A network that does not fit
    /// its images is no error here: models bring their own. The second value is true where the user chose a data set.
    pub(crate) fn experiment(
        &self,
        places: &Places,
        default: Option<Layer>,
        flags: &[Layer],
    ) -> wcat_explore::error::Result<(Experiment, bool)> {
        let mut flags = flags.to_vec();
        flags.extend(places.layer());
        let Some(dataset) = places.dataset.as_deref() else {
            return self.experiment_over(default, &[], &flags);
        };
        let name: DatasetName = dataset.parse()?;
        let files: Vec<Layer> = self
            .config
            .iter()
            .map(|path| named_or_file(path))
            .collect::<wcat_explore::error::Result<_>>()?;
        let before = text_at(&files, "dataset.name")?.unwrap_or(DatasetName::default().to_string());
        let named = Layer::flag("--dataset", "dataset.name", name.name());
        let mut presets = Vec::new();
        if before != name.name() {
            presets.push(Layer::unset("--dataset", "dataset"));
        }
        presets.push(named.clone());
        flags.push(named);
        let (experiment, _) = self.experiment_over(default, &presets, &flags)?;
        Ok((experiment, true))
    }

    /// The configuration with presets over the files and under the settings. The second value is true where files or
    /// settings choose the data set.
    pub(crate) fn experiment_over(
        &self,
        default: Option<Layer>,
        presets: &[Layer],
        flags: &[Layer],
    ) -> wcat_explore::error::Result<(Experiment, bool)> {
        let mut layers: Vec<Layer> = Vec::new();
        for path in &self.config {
            layers.push(named_or_file(path)?);
        }
        layers.extend_from_slice(presets);
        for set in &self.set {
            layers.push(Layer::set(set)?);
        }
        // the normalisation is a property of a model, not of the data set
        let keys = ["name", "validation", "augmentation", "glyphs", "folder"];
        let chooses = |layer: &Layer| keys.iter().any(|key| layer.sets(&format!("dataset.{key}")));
        let chooses_dataset = layers.iter().any(chooses);
        if self.config.is_empty() {
            layers.splice(0..0, default);
        }
        layers.extend(self.seed.map(|seed| Layer::flag("--seed", "seed", seed)));
        layers.extend(
            self.device
                .map(|device| Layer::flag("--device", "device", device.to_string())),
        );
        layers.extend_from_slice(flags);
        Ok((Experiment::of_layers(&layers)?, chooses_dataset))
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sweep the supply voltage with simulated chips: tables, Pareto figures, report
    Sweep(SweepArgs),
    /// The cheapest designs at a loss or a yield: protections, voltage domains, widths
    Explore(ExploreArgs),
    /// Train a model, or several methods; goes on where an earlier call stopped
    Train(TrainArgs),
    /// Quantise a float model without training
    Quantize(QuantizeArgs),
    /// Model files to packed ones, which hold stored codes in place of float weights
    Pack(PackArgs),
    /// Accuracy and loss of a model: clean, at a bit error rate, or at a voltage
    Eval(EvalArgs),
    /// Bit-flip attack: how few chosen flips bring a model's accuracy down to chance
    Attack(AttackArgs),
    /// Memory models: what is known, their curves, fits to measurements
    Memory(MemoryArgs),
    /// Pareto tables, figures and report again from stored runs
    Pareto(ParetoArgs),
    /// One document of the results of several runs, with figures and model cards
    Publish(PublishArgs),
    /// Layers, bits, ranges and weights of a model; bits in which two differ
    Inspect(InspectArgs),
    /// Data sets: fetch, info
    Data(DataArgs),
}

impl Command {
    /// True where what is finished is saved as it comes, so that it is worth a moment's wait at the end.
    pub(crate) fn saves(&self) -> bool {
        match self {
            Self::Sweep(args) => !args.dry_run,
            Self::Explore(_) | Self::Train(_) | Self::Attack(_) => true,
            Self::Data(args) => matches!(args.command, DataCommand::Fetch { .. }),
            _ => false,
        }
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

/// Model files.
#[derive(Debug, Args)]
pub(crate) struct ModelFiles {
    /// Model file (safetensors, or a checkpoint of PyTorch); may be repeated; default, where --config is taken: its `model_files`
    #[arg(long = "model", value_name = "FILE")]
    model: Vec<PathBuf>,
    /// Model files, comma-separated
    #[arg(long, value_name = "FILES", value_delimiter = ',')]
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
pub(crate) struct Places {
    /// Data set: glyphs, mnist, fashion-mnist, kmnist, emnist-balanced (-byclass, -bymerge, -letters, -digits, -mnist),
    /// cifar10, cifar100 or folder (class folders of PNG or JPEG images in --data-dir);
    /// default: that of the configuration or of the model's training
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<String>,
    /// How images are normalised for a model whose file does not say it: imagenet, cifar10, half (0.5/0.5), none (0/1),
    /// or MEAN/STD of pixels as 0 to 1, such as 0.5,0.5,0.5/0.25,0.25,0.25 [default: imagenet for colour, else that of
    /// the data set; either is warned of]
    #[arg(long, value_name = "STATISTICS")]
    pub normalize: Option<String>,
    /// Folder of the data sets; default: the cache folder, see `data info`
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// One file of CIFAR-10 or CIFAR-100 records, or a Python batch, as test images
    #[arg(long, value_name = "FILE", conflicts_with = "data_dir")]
    pub data_file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore train --config mnist_lenet5 --config methods/wcat --config bits/4
  wcat-explore train --config mnist_lenet5 --sweep-methods normal,lsq,wcat --bits 4,8

Prints the path of the best model; with --sweep-methods or --bits a table of all models. The folder
results/<name>-<hash>/ of each holds best.safetensors, last.safetensors, history.csv and config.yaml. The same command
goes on where it was stopped, and skips what is finished.")]
pub(crate) struct TrainArgs {
    /// Train each of these methods: normal, lsq, wclip, plclip, randbet, wcat. Their settings, those of configs/methods/,
    /// lie over --config and under --set
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub sweep_methods: Vec<String>,
    /// Bits of a stored weight; with several, comma-separated, each is trained; 32: float weights
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub bits: Vec<u64>,
    /// Folder under which the training's own folder is made
    #[arg(long, value_name = "DIR", default_value = "results")]
    pub out: PathBuf,
    /// Folder of the data sets; default: the cache folder, see `data info`
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Throw away what is finished and begin again
    #[arg(long)]
    pub fresh: bool,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore eval --model resnet20.th --dataset cifar10
  wcat-explore eval --model resnet50.pth --dataset folder --data-dir imagenet-val
  wcat-explore eval --model wcat.safetensors --voltage 0.85 --chip 3 --format json
  wcat-explore eval --model wcat.safetensors --voltage 0.8 --noise msb --layers 'conv*' --export-masks masks")]
pub(crate) struct EvalArgs {
    /// Model file (safetensors, or a checkpoint of PyTorch)
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub places: Places,
    /// Faults at this bit error rate
    #[arg(
        long,
        value_name = "P",
        conflicts_with = "voltage",
        allow_hyphen_values = true
    )]
    pub ber: Option<Ber>,
    /// Faults at this supply voltage
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub voltage: Option<String>,
    /// The simulated chip
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub chip: u32,
    /// Memory model: a built-in name or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub memory: Option<String>,
    /// Test images, a seeded subset with the classes in proportion [default: all]
    #[arg(long, value_name = "N")]
    pub images: Option<u64>,
    #[command(flatten)]
    pub faults: FaultArgs,
    /// Folder for the fault masks of the chip: a NumPy file for each layer, word read = stored word XOR mask
    #[arg(long, value_name = "FOLDER")]
    pub export_masks: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore attack --model normal.safetensors --model wcat.safetensors
  wcat-explore attack --model wcat.safetensors --flips 50 --restarts 10 --until-accuracy 0.2

The progressive bit search (BFA, Rakin et al., ICCV 2019), each restart with a batch of its own, and beside it as many
flips of bits drawn at random. Writes every flip, every attack and a summary to results/<run>/, and the figure `attack`
to reports/<run>/. Finished restarts are not computed again; one that was interrupted begins anew.")]
pub(crate) struct AttackArgs {
    #[command(flatten)]
    pub files: ModelFiles,
    /// Most bits flipped in one attack [default: 200]
    #[arg(long, value_name = "N")]
    pub flips: Option<u64>,
    /// End where the test accuracy is at most this [default: chance, 1 / classes]
    #[arg(long, value_name = "ACCURACY")]
    pub until_accuracy: Option<Accuracy>,
    /// Weights of greatest gradient that each layer offers [default: 100]
    #[arg(long, value_name = "N")]
    pub k_top: Option<u32>,
    /// Images whose loss is attacked [default: 128]
    #[arg(long, value_name = "N")]
    pub batch: Option<u32>,
    /// Attacks on each model, each with a batch of its own, the same for all models [default: 5]
    #[arg(long, value_name = "N")]
    pub restarts: Option<u32>,
    /// Where batches come from: training or test; test images of a batch are left out of the accuracy
    /// [default: training]
    #[arg(long, value_name = "SPLIT")]
    pub attack_data: Option<String>,
    /// Test images that the accuracy is measured on, a seeded subset with the classes in proportion [default: all]
    #[arg(long, value_name = "N")]
    pub images: Option<u64>,
    #[command(flatten)]
    pub places: Places,
    /// Name of the run folder [default: <configuration>-<hash>]
    #[arg(long, value_name = "NAME")]
    pub out: Option<String>,
    /// Throw away the finished restarts of this run and begin again
    #[arg(long)]
    pub fresh: bool,
    /// How the summary is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore memory list
  wcat-explore memory show sram-14nm-chandramoorthy2019 --at-ber 0.01
  wcat-explore memory fit counts.csv --out my-sram.yaml")]
pub(crate) struct MemoryArgs {
    #[command(subcommand)]
    pub command: MemoryCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum MemoryCommand {
    /// The built-in memory models
    #[command(after_help = "\
Example:
  wcat-explore memory list --format json")]
    List {
        /// How the table is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// A memory model: where it comes from, its curve, one point of it
    #[command(after_help = "\
Example:
  wcat-explore memory show sram-14nm-chandramoorthy2019
  wcat-explore memory show sram-14nm-chandramoorthy2019 --at-ber 0.01 --format json")]
    Show {
        /// Built-in name or file
        model: String,
        /// Only the lowest voltage whose bit error rate is at most this
        #[arg(
            long,
            value_name = "P",
            conflicts_with = "at_voltage",
            allow_hyphen_values = true
        )]
        at_ber: Option<Ber>,
        /// Only the points at these voltages
        #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
        at_voltage: Option<String>,
        /// How the table is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// A memory model from measurements in CSV: a probit line by maximum likelihood, its figure beside it
    Fit(Box<FitArgs>),
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore memory fit counts.csv --out my-sram.yaml
  wcat-explore memory fit rates.csv --out my-sram.yaml --unit vmin --curve measured

Columns of the table: `voltage, faults, cells` (cells that fail at all among cells) or `voltage, ber` (their share); and
perhaps `energy` of an access, in any unit, or `access_energy_pj`. Usual other words are known (`Vdd [mV]`, `fail_count`,
`n_cells`, `ber_%`), so are `;`, tabs and decimal commas; other columns are named and not read. Counts of the same cells at
every voltage are fitted by their increments; repeated or rising ones as independent, with wider intervals. A row without
failures marks the error-free voltage; rates may rise to 1, the model goes up to 0.5.")]
pub(crate) struct FitArgs {
    /// Measurements
    #[arg(value_name = "FILE")]
    pub measurements: PathBuf,
    /// The memory-model file to write; its figure (SVG, PNG) goes beside it
    #[arg(long, value_name = "MODEL.yaml")]
    pub out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub overwrite: bool,
    /// Short name of the model [default: that of the file]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// One line for people
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
    /// Where the numbers come from [default: the file of measurements]
    #[arg(long, value_name = "TEXT")]
    pub source: Option<String>,
    /// Unit of the voltages
    #[arg(long, value_enum, default_value_t)]
    pub unit: Unit,
    /// What the unit is relative to, in words
    #[arg(long, value_name = "TEXT")]
    pub reference: Option<String>,
    /// Lowest voltage without failures [default: the lowest measured without one; else 1 for vmin; else where the
    /// line expects half a failing cell, or one step above the highest with failures]
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub error_free: Option<Voltage>,
    /// Times that each cell is in the counts: 2 where a published map holds every byte twice
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub copies: u64,
    /// What the file holds: the line, or the measurements, between which the probit is linear
    #[arg(long, value_enum, default_value_t)]
    pub curve: FitCurve,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// Unit of measured voltages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Unit {
    /// Volts
    #[default]
    #[value(alias = "v")]
    Volt,
    /// Multiples of the lowest voltage without failures
    Vmin,
}

/// Curve of a fitted model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum FitCurve {
    /// The fitted line
    #[default]
    Gaussian,
    /// The measured rates or counts
    Measured,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore publish results/cifar10-resnet20 results/cifar10-resnet20-attack --out docs/results.md

Reads stored tables alone: neither data nor models are needed, nothing is evaluated. Figures go to a folder of the
document's name beside it. With --cards, each model file of the runs that is below
this folder where it was, and unchanged, gets a card beside it, in place of the one
that was there.")]
pub(crate) struct PublishArgs {
    /// Run folders of sweeps and attacks
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// The document, in Markdown
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Its title
    #[arg(long, value_name = "TEXT", default_value = "Results")]
    pub title: String,
    /// Markdown that goes under the title
    #[arg(long, value_name = "FILE")]
    pub preface: Option<PathBuf>,
    /// Also write a card (Markdown) beside each model file, over the one that is there
    #[arg(long)]
    pub cards: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore pareto results/quickstart-0123456789ab
  wcat-explore pareto results/mnist-a results/mnist-b --out mnist")]
pub(crate) struct ParetoArgs {
    /// Run folders; several are drawn together
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Name of the report folder [default: that of the run]
    #[arg(long, value_name = "NAME")]
    pub out: Option<String>,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore inspect --model wcat.safetensors
  wcat-explore inspect --model wcat.safetensors --figures figures/wcat
  wcat-explore inspect --model wcat.safetensors --compare attacked.safetensors")]
pub(crate) struct InspectArgs {
    /// Model file (safetensors, or a checkpoint of PyTorch)
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Draw weights (histograms, violins) and the ranges over the training's epochs into this folder (SVG, PNG)
    #[arg(long, value_name = "DIR")]
    pub figures: Option<PathBuf>,
    /// History of the training, for the figure of ranges [default: history.csv beside the model, if it is there]
    #[arg(long, value_name = "FILE", requires = "figures")]
    pub history: Option<PathBuf>,
    /// Instead of the layers: the stored bits in which this model of the same layers differs
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore data fetch mnist
  wcat-explore data info")]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Which data sets there are and where they lie
    #[command(after_help = "\
Example:
  wcat-explore data info mnist --format json")]
    Info {
        /// Only this one
        dataset: Option<String>,
        /// Folder of the data sets
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// How the table is printed
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Download a data set, check it, unpack it; goes on with what an earlier call left
    #[command(after_help = "\
Example:
  wcat-explore data fetch mnist")]
    Fetch {
        /// mnist or cifar10
        dataset: String,
        /// Folder of the data sets
        #[arg(long, value_name = "DIR")]
        data_dir: Option<PathBuf>,
        /// A mirror: the folder of the files, as an URL
        #[arg(long, value_name = "URL")]
        from: Option<String>,
    },
}

impl Places {
    /// `--normalize` as a setting.
    fn layer(&self) -> Option<Layer> {
        let text = self.normalize.as_deref()?;
        Some(Layer::flag("--normalize", "dataset.normalization", text))
    }
}

/// The folder given, or the cache folder.
pub(crate) fn data_folder(given: Option<&PathBuf>) -> wcat_explore::error::Result<PathBuf> {
    given.map_or_else(wcat_explore::store::cache_folder, |folder| {
        Ok(folder.clone())
    })
}
