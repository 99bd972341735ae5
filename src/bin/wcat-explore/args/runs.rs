//! What may be typed after the other commands: those that evaluate, attack, read stored runs, and tell of the program.

use super::{
    FaultArgs, Images, Judged, MemoryFlags, ModelFiles, Output, Places, RunOutput, Settings,
    ShardFlags,
};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use wcat_explore::units::{Accuracy, Ber};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore eval --model resnet20.th --dataset cifar10
  wcat-explore eval --model resnet50.pth --dataset folder --data-dir imagenet-val
  wcat-explore eval --model wcat.safetensors --voltage 0.85 --chip 3 --format json
  wcat-explore eval --model wcat.safetensors --voltage 0.8 --layers 'conv*' --export-masks masks")]
#[command(next_help_heading = "Voltages and memory")]
pub(crate) struct EvalArgs {
    /// Faults at this supply voltage
    #[arg(long, value_name = "V", allow_hyphen_values = true)]
    pub voltage: Option<String>,
    /// Faults at this bit error rate
    #[arg(
        long,
        value_name = "P",
        conflicts_with = "voltage",
        allow_hyphen_values = true
    )]
    pub ber: Option<Ber>,
    /// Faults in stored activations at this bit error rate
    ///
    /// Of a model that stores them as codes (`quantize --activation-bits`), in a memory of their own whose cells fail as the
    /// memory model says.
    #[arg(long, value_name = "P", allow_hyphen_values = true)]
    pub activation_ber: Option<Ber>,
    /// The simulated chip [default: 0]
    #[arg(long, value_name = "N")]
    pub chip: Option<u32>,
    #[command(flatten)]
    pub memory: MemoryFlags,
    /// Model file: safetensors, ONNX or a PyTorch checkpoint
    #[arg(long, value_name = "FILE", help_heading = "Models and data")]
    pub(crate) model: PathBuf,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub images: Images,
    #[command(flatten)]
    pub judged: Judged,
    #[command(flatten)]
    pub faults: FaultArgs,
    /// Folder for the fault masks of the chip
    ///
    /// A NumPy file for each layer: word read = stored word XOR mask.
    #[arg(
        long,
        value_name = "DIR",
        help_heading = "Output",
        hide_short_help = true
    )]
    pub export_masks: Option<PathBuf>,
    #[command(flatten)]
    pub output: Output,
    #[command(flatten)]
    pub settings: Settings,
}

/// The attack.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Attack")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Attack {
    /// Most bits flipped in one attack [default: 200]
    #[arg(long, value_name = "N")]
    flips: Option<u64>,
    /// End where the test accuracy is at most this [default: chance, 1 / classes]
    #[arg(long, value_name = "ACCURACY")]
    until_accuracy: Option<Accuracy>,
    /// Attacks on each model, each with a batch of its own, the same for all models [default: 5]
    #[arg(long, value_name = "N")]
    restarts: Option<u32>,
    /// Images whose loss is attacked [default: 128]
    #[arg(long, value_name = "N")]
    batch: Option<u32>,
    /// Weights of greatest gradient that each layer offers [default: 100]
    #[arg(long, value_name = "N", hide_short_help = true)]
    k_top: Option<u32>,
    /// Where batches come from: training or test; test images of a batch are left out of the accuracy
    /// [default: training]
    #[arg(long, value_name = "SPLIT", hide_short_help = true)]
    attack_data: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore attack --model normal.safetensors --model wcat.safetensors
  wcat-explore attack --model wcat.safetensors --flips 50 --restarts 10 --until-accuracy 0.2")]
pub(crate) struct AttackArgs {
    #[command(flatten)]
    pub attack: Attack,
    #[command(flatten)]
    pub files: ModelFiles,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub images: Images,
    #[command(flatten)]
    pub judged: Judged,
    #[command(flatten)]
    pub run: RunOutput,
    #[command(flatten)]
    pub shards: ShardFlags,
    #[command(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore pareto results/quickstart-0123456789ab
  wcat-explore pareto results/mnist-a results/mnist-b --out mnist")]
pub(crate) struct ParetoArgs {
    /// Run folders; several are drawn together
    #[arg(required = true, value_name = "RUN")]
    pub runs: Vec<PathBuf>,
    /// Name of the report in reports/, or a path [default: the name of the run]
    #[arg(long, value_name = "NAME|PATH", help_heading = "Output")]
    pub out: Option<String>,
    #[command(flatten)]
    pub output: Output,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore publish results/a results/a-attack --out docs/results.md
  wcat-explore publish results/a --out a.md --title \"Accuracy by voltage\" --cards")]
#[command(next_help_heading = "Output")]
pub(crate) struct PublishArgs {
    /// Run folders of sweeps and attacks
    #[arg(required = true, value_name = "RUN", help_heading = "Arguments")]
    pub runs: Vec<PathBuf>,
    /// The document, in Markdown
    #[arg(long, value_name = "PATH")]
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
Examples:
  wcat-explore completions bash > ~/.local/share/bash-completion/completions/wcat-explore
  wcat-explore completions zsh > ~/.zfunc/_wcat-explore
  wcat-explore completions fish > ~/.config/fish/completions/wcat-explore.fish")]
pub(crate) struct CompletionsArgs {
    /// bash, zsh, fish, elvish or powershell
    #[arg(value_enum, hide_possible_values = true)]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore man memory fit | man -l -
  wcat-explore man --out ~/.local/share/man/man1")]
pub(crate) struct ManArgs {
    /// A command, such as `sweep` or `memory fit` [default: the program]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// Folder for the pages of all commands
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "command",
        help_heading = "Output"
    )]
    pub out: Option<PathBuf>,
}
