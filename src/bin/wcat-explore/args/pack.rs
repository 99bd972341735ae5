//! What may be typed after `pack`.

use super::{Format, ModelFiles};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore pack --model results/mnist_lenet5-wcat-4bit-0123456789ab/best.safetensors --out models
  wcat-explore pack --models a.safetensors,b.safetensors --out models

A packed model file holds the stored codes of its quantised layers in place of their float weights, so at 4 bits an
eighth of them. Every command takes it, and evaluations, sweeps and attacks give the same numbers, as words and steps
are the same bit for bit. The float weights are lost, so keep the file from which a training or another width starts.
Files keep their names; best.safetensors is called after its training, last.safetensors likewise with -last.")]
pub(crate) struct PackArgs {
    #[command(flatten)]
    pub(crate) files: ModelFiles,
    /// Folder of the packed files, not that of the models; files of the same names are replaced
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
