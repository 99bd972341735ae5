//! What may be typed after `quantize`.

use super::{Format, Places};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore quantize --model a.th --method wcat --init mse --bits 4 --out a4.safetensors
  wcat-explore quantize --model a.th --bits 8 --out a8.safetensors --dataset cifar10
  wcat-explore quantize --model a.th --method wclip --set quantizer.wclip=0.3 --bits 4 --out c.safetensors

Nothing is trained: ranges stay where they start. The result is a model file for eval, sweep and inspect.
Both models are evaluated where the data set is known: from the model's own training, or by --dataset.")]
pub(crate) struct QuantizeArgs {
    /// Float model file (safetensors, or a checkpoint of PyTorch)
    #[arg(long, value_name = "FILE")]
    pub(crate) model: PathBuf,
    /// Method: normal, lsq, wcat, wclip or plclip; the last two need quantizer.wclip or quantizer.plclip [default: normal]
    #[arg(long, value_name = "NAME")]
    pub(crate) method: Option<String>,
    /// Bits of a stored weight, 1 to 8
    #[arg(long, value_name = "N")]
    pub(crate) bits: Option<u64>,
    /// Where the range starts, with wcat: max_abs, sawb, mse or noisy_mse [default: max_abs]
    #[arg(long, value_name = "NAME")]
    pub(crate) init: Option<String>,
    /// Layers left float, and out of the memory; may be repeated
    #[arg(long, value_name = "GLOB")]
    pub(crate) skip: Vec<String>,
    /// The quantised model file, *.safetensors
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace a file that is there
    #[arg(long)]
    pub(crate) overwrite: bool,
    /// Name of the quantised model [default: that of the float model with method and bits]
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[command(flatten)]
    pub(crate) places: Places,
    /// Test images, a seeded subset with the classes in proportion [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) images: Option<u64>,
    /// Evaluate nothing
    #[arg(long, conflicts_with_all = ["dataset", "data_dir", "data_file", "images"])]
    pub(crate) no_eval: bool,
    /// Print one row per layer, with its range and error, instead of one for the model
    #[arg(long)]
    pub(crate) layers: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
