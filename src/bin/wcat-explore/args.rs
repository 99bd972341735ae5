//! What may be typed: commands and flags with their help. What is meant by it is resolved in each command.

mod answer;
mod explore;
mod groups;
mod memory;
mod models;
mod runs;
mod shards;
mod slurm;
mod sweep;
#[cfg(test)]
mod tests;

pub(crate) use answer::{AnswerArgs, CountedFrom};
pub(crate) use explore::{taken_over, ExploreArgs};
pub(crate) use groups::{
    data_folder, layers, ActivationFlags, ActivationMemoryFlags, FaultArgs, Format, Images, Judged,
    MemoryFlags, ModelFiles, Output, Places, RunOutput, Settings, VoltageList, Voltages,
};
pub(crate) use memory::{
    CombineArgs, FitArgs, FitCurve, ImportArgs, LawFlags, MemoryArgs, MemoryCommand, NamedModel,
    Unit,
};
pub(crate) use models::{
    DataArgs, DataCommand, ExportArgs, ExportForm, InspectArgs, PackArgs, QuantizeArgs, TrainArgs,
};
pub(crate) use runs::{AttackArgs, CompletionsArgs, EvalArgs, ManArgs, ParetoArgs, PublishArgs};
pub(crate) use shards::{RunShards, ShardFlags};
pub(crate) use slurm::SlurmArgs;
pub(crate) use sweep::SweepArgs;

use clap::{ArgAction, Args, Parser, Subcommand};
use std::path::PathBuf;

const ABOUT: &str =
    "How far can the supply voltage of a network's weight SRAM fall, and what does each joule saved \
                     cost in accuracy?";

const EXAMPLES: &str = "\
Examples:
  wcat-explore sweep --voltages 0.75:1.0:0.025
      trains the quick-start models on built-in data, sweeps them, writes tables and a report
  wcat-explore train --config mnist_lenet5 --set quantizer.method=wcat
  wcat-explore quantize --model resnet20.th --bits 4 --out resnet20-4bit.safetensors
  wcat-explore sweep --model resnet20-4bit.safetensors --dataset cifar10
  wcat-explore memory list

Flags of a command: `wcat-explore sweep -h` those of daily use, `--help` all.

--out has one meaning: where the command writes. A path is taken as it is; a bare name stands in the
command's own folder, which is results/ for `sweep`, `explore`, `answer` and `attack`, reports/ for
`pareto`, else the current folder.

Exit codes: 0 done, 1 the run failed, 2 wrong usage or wrong input file, 3 a --merge of which parts
are missing, 4 an answer that establishes nothing, 75 interrupted (Ctrl-C, TERM, HUP) or in use by
another process: the same command goes on.";

/// The command line.
#[derive(Debug, Parser)]
#[command(name = "wcat-explore", version, about = ABOUT, after_help = EXAMPLES)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub command: Command,
    #[command(flatten)]
    pub general: General,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version)]
    version: Option<bool>,
}

/// Flags of every command.
#[derive(Debug, Args)]
#[command(next_help_heading = "General")]
pub(crate) struct General {
    /// Threads; 0 takes every core
    #[arg(long, value_name = "N", default_value_t = 0, global = true)]
    pub threads: usize,
    /// No progress and no remarks, only warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// More remarks on standard error: versions, stages, seconds, epochs
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Print help: -h the flags of daily use, --help all
    #[arg(short, long, global = true, action = ArgAction::Help)]
    help: Option<bool>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Sweep the supply voltage with simulated chips: tables, Pareto figures, report
    ///
    /// Without --model the models of the configuration (default: the built-in quick start) are trained if they are not
    /// in the cache. A killed sweep goes on where it stopped; further voltages or chips extend it.
    Sweep(SweepArgs),
    /// The lowest voltage that keeps an accuracy, with its bound and what it saves
    ///
    /// Each model under each protection is a candidate. A search finds where its limit lies, and claims nothing; what is
    /// printed is shown on fresh chips, whose number is fixed before they are seen. All statements of an answer hold
    /// together with a probability of 95 %. A killed answer goes on where it stopped. Without --model the models of the
    /// configuration (default: the built-in quick start) are trained if they are not in the cache.
    Answer(AnswerArgs),
    /// Search voltages for domains, and widths for layers
    ///
    /// Every model is swept at single voltages, on --chips chips. Then voltages for domains are searched on other chips
    /// and verified on those of the sweep; all verified points share one frontier. Estimates of the search stand in
    /// sensitivity.csv and explored.csv, and enter no frontier. A killed exploration goes on where it stopped.
    Explore(ExploreArgs),
    /// Train a model, or several methods; goes on where an earlier call stopped
    ///
    /// Prints the path of the best model; with --sweep-methods or --bits a table of all models. The folder
    /// <name>-<hash>/ of each holds best.safetensors, last.safetensors, history.csv and config.yaml. The same command
    /// goes on where it was stopped, and skips what is finished.
    Train(TrainArgs),
    /// Quantise a float model without training
    ///
    /// Ranges stay where they start. The result is a model file for eval, sweep and inspect. Both models are evaluated
    /// where the data set is known: from the model's own training, or by --dataset.
    Quantize(QuantizeArgs),
    /// Model files to packed ones, which hold stored codes in place of float weights
    ///
    /// A packed model file holds the stored codes of its quantised layers in place of their float weights, so at 4 bits
    /// an eighth of them. Every command takes it, and evaluations, sweeps and attacks give the same numbers, as words
    /// and steps are the same bit for bit. The float weights are lost, so keep the file from which a training or another
    /// width starts. Files keep their names; best.safetensors is called after its training, last.safetensors likewise
    /// with -last.
    Pack(PackArgs),
    /// A model as a file for other programs: ONNX, with the memory's codes
    ///
    /// Standard operators of opset 21, the batch free; `input` as the network takes it, images already normalised, to
    /// `logits`. A quantised layer is an initialiser of the codes that its memory holds (INT8 or UINT8, of 4 bits INT4 or
    /// UINT4, of other widths behind a Clip to their bounds) with DequantizeLinear behind it, the rest is float. How images
    /// are normalised stands in the file's metadata, which `eval` reads.
    Export(ExportArgs),
    /// Accuracy and loss of a model: clean, at a bit error rate, or at a voltage
    Eval(EvalArgs),
    /// Bit-flip attack: how few chosen flips bring a model's accuracy down to chance
    ///
    /// The progressive bit search (BFA, Rakin et al., ICCV 2019), each restart with a batch of its own, and beside it as
    /// many flips of bits drawn at random. Writes every flip, every attack and a summary to the run folder, and the
    /// figure `attack` to that of the report. Finished restarts are not computed again; one that was interrupted begins
    /// anew.
    Attack(AttackArgs),
    /// Memory models: what is known, their curves, fits to measurements
    Memory(MemoryArgs),
    /// Pareto tables, figures and report again from stored runs
    Pareto(ParetoArgs),
    /// One document of the results of several runs, with figures and model cards
    ///
    /// Reads stored tables alone: neither data nor models are needed, nothing is evaluated. Figures go to a folder of
    /// the document's name beside it. With --cards, each model file of the runs that is below this folder where it was,
    /// and unchanged, gets a card beside it, in place of the one that was there.
    Publish(PublishArgs),
    /// Layers, bits, ranges and weights of a model; bits in which two differ
    Inspect(InspectArgs),
    /// Data sets: fetch, info
    Data(DataArgs),
    /// A script that spreads a command over a Slurm job array, on standard output
    ///
    /// It prepares what all tasks share, runs the tasks (--shard) and puts their results together (--merge). Nothing is
    /// submitted: edit account, partition, modules and limits first.
    Slurm(SlurmArgs),
    /// Completions of this command line for a shell, on standard output
    Completions(CompletionsArgs),
    /// The manual page of the program or of a command, on standard output
    Man(ManArgs),
}

impl Command {
    /// True where what is finished is saved as it comes, so that it is worth a moment's wait at the end.
    pub(crate) fn saves(&self) -> bool {
        match self {
            Self::Sweep(args) => !args.dry_run,
            Self::Answer(args) => !args.dry_run,
            Self::Explore(args) => !args.dry_run,
            Self::Train(_) | Self::Attack(_) => true,
            Self::Data(args) => matches!(args.command, DataCommand::Fetch { .. }),
            _ => false,
        }
    }

    /// Files of settings that were given: configurations, fault maps, groups of layers.
    pub(crate) fn sources(&self) -> Vec<PathBuf> {
        let configured = self.settings().map(|settings| settings.config.as_slice());
        let mut sources = configured.unwrap_or_default().to_vec();
        let faults = match self {
            Self::Sweep(args) => Some(&args.faults),
            Self::Answer(args) => Some(&args.faults),
            Self::Explore(args) => Some(&args.faults),
            Self::Eval(args) => Some(&args.faults),
            _ => None,
        };
        sources.extend(faults.into_iter().flat_map(FaultArgs::maps));
        if let Self::Explore(args) = self {
            sources.extend(args.search.groups_file());
        }
        sources.retain(|path| path.is_file());
        sources
    }

    /// Configuration, seed and machine of the commands that compute with networks; the others take no such flag.
    pub(crate) fn settings(&self) -> Option<&Settings> {
        match self {
            Self::Sweep(args) => Some(&args.settings),
            Self::Answer(args) => Some(&args.settings),
            Self::Explore(args) => Some(&args.settings),
            Self::Train(args) => Some(&args.settings),
            Self::Quantize(args) => Some(&args.settings),
            Self::Eval(args) => Some(&args.settings),
            Self::Attack(args) => Some(&args.settings),
            _ => None,
        }
    }
}
