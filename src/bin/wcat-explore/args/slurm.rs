//! What may be typed after `slurm`.

use clap::Args;

#[derive(Debug, Args)]
#[command(override_usage = "wcat-explore slurm --shards <N> [OPTIONS] <COMMAND>...")]
#[command(after_help = "\
Examples:
  wcat-explore slurm --shards 100 sweep --voltages 0.75:1.0:0.025 > run.slurm.sh
  bash run.slurm.sh
  wcat-explore slurm --shards 20 attack --model a.safetensors --restarts 100 > attack.slurm.sh")]
pub(crate) struct SlurmArgs {
    /// Tasks of the job array
    #[arg(long, value_name = "N", help_heading = "Cluster")]
    pub(crate) shards: Option<u32>,
    /// The command that is spread: sweep, explore, attack or train, with its flags; its --help shows them
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "COMMAND"
    )]
    pub(crate) command: Vec<String>,
}
