//! What may be typed after commands about models and data: `train`, `quantize`, `pack`, `inspect`, `data`.

use super::{Images, ModelFiles, Output, Places, Settings, ShardFlags};
use clap::{Args, Subcommand, ValueEnum};
use serde::Serialize;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use wcat_explore::net::{ImportChoices, RangeRule};
use wcat_explore::run::Calibration;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore train --config mnist_lenet5 --config methods/wcat --config bits/4
  wcat-explore train --config mnist_lenet5 --sweep-methods normal,lsq,wcat --bits 4,8
  wcat-explore train --set network.architecture=mlp --set trainer.epochs=3 --out results/mine
  wcat-explore train --config mnist_lenet5 --config methods/wcat --config bits/4 \\
    --weights net.onnx --set trainer.epochs=2")]
#[command(next_help_heading = "What to train")]
pub(crate) struct TrainArgs {
    /// Train each of these methods: normal, lsq, wclip, plclip, randbet, wcat
    ///
    /// Their settings, those of configs/methods/, lie over --config and under --set.
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub sweep_methods: Vec<String>,
    /// Bits of a stored weight; of several, comma-separated, each is trained; 32: float weights
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    pub bits: Vec<u64>,
    /// Train this network on: an ONNX file, or a model file, from its weights
    ///
    /// It stands for network.weights; network.architecture is then that of the file. Quantisation ranges of
    /// weights start anew; stored activations stay stored, and their ranges are learned from where they are.
    #[arg(long, value_name = "FILE", help_heading = "Models and data")]
    pub weights: Option<String>,
    /// Train integer codes that came with the file of --weights too, by what they read as
    #[arg(long, requires = "weights", help_heading = "Models and data")]
    pub requantize: bool,
    /// Your own training data: inputs `x` and classes `y` in one .npz or .safetensors file, or CIFAR-10 records (.bin)
    ///
    /// The share `dataset.validation` of them is held out, as of every data set. Floating-point inputs are taken as they
    /// are, uint8 as pixels, see dataset.normalization.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with = "data_dir",
        help_heading = "Models and data"
    )]
    pub data: Option<String>,
    /// Folder of the data sets [default: the cache folder, see `data info`]
    #[arg(long, value_name = "DIR", help_heading = "Models and data")]
    pub data_dir: Option<PathBuf>,
    /// Folder in which the folder of each training is made
    #[arg(
        long,
        value_name = "PATH",
        default_value = "results",
        help_heading = "Output"
    )]
    pub out: PathBuf,
    /// Throw away what is finished and begin again
    #[arg(long, help_heading = "Output")]
    pub fresh: bool,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub shards: ShardFlags,
    #[command(flatten)]
    pub settings: Settings,
}

/// The quantiser.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "How to quantise")]
pub(crate) struct Quantizer {
    /// normal, lsq, wcat, wclip or plclip [default: normal]
    ///
    /// The last two need quantizer.wclip or quantizer.plclip.
    #[arg(long, value_name = "NAME")]
    method: Option<String>,
    /// Bits of a stored weight, 1 to 8
    #[arg(long, value_name = "N")]
    bits: Option<u64>,
    /// Where the range starts, with wcat: max_abs, sawb, mse or noisy_mse [default: max_abs]
    #[arg(long, value_name = "NAME")]
    init: Option<String>,
    /// Layers left float, and out of the memory; may be repeated
    #[arg(long, value_name = "GLOB")]
    skip: Vec<String>,
}

/// One model, with or without its flag.
#[derive(Debug, Args)]
pub(crate) struct OneModel {
    /// The model file, without its flag
    #[arg(value_name = "FILE", conflicts_with = "model")]
    file: Option<PathBuf>,
    /// Model file: safetensors, ONNX or a PyTorch checkpoint
    #[arg(long, value_name = "FILE", required_unless_present_any = ["file", "list_operators"])]
    model: Option<PathBuf>,
}

impl OneModel {
    pub(crate) fn path(&self) -> &Path {
        let path = self.model.as_deref().or(self.file.as_deref());
        path.unwrap_or(Path::new(""))
    }
}

/// What an ONNX file may leave open.
#[derive(Debug, Args)]
pub(crate) struct Import {
    /// Of an ONNX file: dimensions of its input behind the batch, where it leaves them open, such as 3,32,32
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    input_shape: Option<Vec<usize>>,
    /// Of an ONNX file: the output that is scored [default: the first]
    #[arg(long = "output", value_name = "NAME")]
    scored: Option<String>,
}

impl Import {
    pub(crate) fn choices(&self) -> ImportChoices {
        ImportChoices {
            input_shape: self.input_shape.clone(),
            output: self.scored.clone(),
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore quantize net.onnx --bits 8 --out net8.safetensors --data test.npz
  wcat-explore quantize --model a.th --bits 8 --out a8.safetensors --dataset cifar10
  wcat-explore quantize net.onnx --bits 8 --activation-bits 8 --activation-data x.npz \\
    --out net88.safetensors --data test.npz
  wcat-explore quantize --model a.th --method wcat --init mse --bits 4 --out a4.safetensors
  wcat-explore quantize --model a.th --method wclip --set quantizer.wclip=0.3 --bits 4 \\
    --out c.safetensors")]
#[command(next_help_heading = "Models and data")]
pub(crate) struct QuantizeArgs {
    #[command(flatten)]
    pub(crate) file: OneModel,
    #[command(flatten)]
    pub(crate) import: Import,
    /// Name of the quantised model [default: that of the float model with method and bits]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Quantise weights that came as integer codes too, by what they read as
    ///
    /// Without it layers whose codes came with the file (an ONNX file with DequantizeLinear) keep these codes.
    #[arg(long, help_heading = "How to quantise")]
    pub(crate) requantize: bool,
    /// Evaluate nothing
    #[arg(long, conflicts_with_all = ["dataset", "data", "data_dir", "data_file", "images"])]
    pub(crate) no_eval: bool,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) quantizer: Quantizer,
    #[command(flatten)]
    pub(crate) activations: StoredActivations,
    #[command(flatten)]
    pub(crate) images: Images,
    /// The quantised model file, *.safetensors
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Replace a file that is there
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
    /// Print one row per layer, with its range and error, instead of one for the model
    #[arg(long, help_heading = "Output")]
    pub(crate) layers: bool,
    #[command(flatten)]
    pub(crate) output: Output,
    #[command(flatten)]
    pub(crate) settings: Settings,
}

/// How activations are stored.
#[derive(Debug, Args)]
#[command(next_help_heading = "How to quantise")]
pub(crate) struct StoredActivations {
    /// Store activations as codes of so many bits, 4 to 16 [default: as floats]
    ///
    /// What each convolution, linear layer and product reads is rounded once, where it is computed. Ranges are found by running
    /// the network on images.
    #[arg(long, value_name = "BITS")]
    activation_bits: Option<u32>,
    /// How the range of an activation follows: max, mse, or percentile:P
    #[arg(
        long,
        value_name = "RULE",
        default_value = "max",
        requires = "activation_bits"
    )]
    activation_range: RangeRule,
    /// Images that ranges are found over
    #[arg(
        long,
        value_name = "N",
        default_value = "512",
        requires = "activation_bits"
    )]
    activation_images: NonZeroU64,
    /// Your own file of these images, `x` in .npz or .safetensors [default: training images of the data set]
    #[arg(long, value_name = "FILE", requires = "activation_bits")]
    activation_data: Option<String>,
    /// Store the input image as codes too
    #[arg(long, requires = "activation_bits")]
    activation_input: bool,
}

impl StoredActivations {
    /// What was asked for.
    pub(crate) fn calibration(&self) -> Option<Calibration> {
        self.activation_bits.map(|bits| Calibration {
            bits,
            rule: self.activation_range,
            images: self.activation_images.get(),
            data: self.activation_data.clone(),
            input: self.activation_input,
        })
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore pack --model results/mnist-wcat-0123456789ab/best.safetensors --out models
  wcat-explore pack a.safetensors b.safetensors --out models")]
pub(crate) struct PackArgs {
    /// Model files, without their flag
    #[arg(value_name = "FILE")]
    pub(crate) typed: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) files: ModelFiles,
    /// Folder of the packed files, not that of the models; files of the same names are replaced
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub(crate) out: PathBuf,
    #[command(flatten)]
    pub(crate) output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore export --model wcat.safetensors --to onnx --out wcat.onnx")]
#[command(next_help_heading = "Models and data")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    pub(crate) file: OneModel,
    #[command(flatten)]
    pub(crate) import: Import,
    /// Form of the file: onnx
    #[arg(
        long,
        value_enum,
        default_value_t,
        hide_possible_values = true,
        help_heading = "Output"
    )]
    pub(crate) to: ExportForm,
    /// The file to write, *.onnx
    #[arg(long, value_name = "PATH", help_heading = "Output")]
    pub(crate) out: PathBuf,
    /// Replace a file that is there
    #[arg(long, help_heading = "Output")]
    pub(crate) overwrite: bool,
}

/// Form of an exported file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExportForm {
    /// Operators of ONNX, opset 21
    #[default]
    Onnx,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore inspect wcat.safetensors
  wcat-explore inspect net.onnx
  wcat-explore inspect --model wcat.safetensors --figures figures/wcat
  wcat-explore inspect --model wcat.safetensors --compare attacked.safetensors")]
#[command(next_help_heading = "Models and data")]
pub(crate) struct InspectArgs {
    #[command(flatten)]
    pub(crate) file: OneModel,
    #[command(flatten)]
    pub(crate) import: Import,
    /// Instead of a model: the operators of ONNX files that are known
    #[arg(long, exclusive = true)]
    pub list_operators: bool,
    /// Instead of the layers: the stored bits in which this model of the same layers differs
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// History of the training, for the figure of ranges [default: history.csv beside the model, if it is there]
    #[arg(long, value_name = "FILE", requires = "figures")]
    pub history: Option<PathBuf>,
    /// Draw weights (histograms, violins) and the ranges over the training's epochs into this folder (SVG, PNG)
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub figures: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore data info
  wcat-explore data fetch mnist")]
pub(crate) struct DataArgs {
    #[command(subcommand)]
    pub command: DataCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Which data sets there are and where they lie
    #[command(after_help = "\
Examples:
  wcat-explore data info
  wcat-explore data info mnist --format json")]
    Info {
        /// Only this one
        dataset: Option<String>,
        /// Folder of the data sets [default: the cache folder]
        #[arg(long, value_name = "DIR", help_heading = "Models and data")]
        data_dir: Option<PathBuf>,
        #[command(flatten)]
        output: Output,
    },
    /// Download a data set, check it, unpack it; goes on with what an earlier call left
    #[command(after_help = "\
Examples:
  wcat-explore data fetch mnist
  wcat-explore data fetch cifar10 --data-dir data")]
    Fetch {
        /// mnist or cifar10
        dataset: String,
        /// Folder of the data sets [default: the cache folder]
        #[arg(long, value_name = "DIR", help_heading = "Models and data")]
        data_dir: Option<PathBuf>,
        /// A mirror: the folder of the files, as an URL
        #[arg(long, value_name = "URL", help_heading = "Models and data")]
        from: Option<String>,
    },
}
