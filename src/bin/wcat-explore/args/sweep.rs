//! What may be typed after `sweep`.

use super::{
    ActivationFlags, FaultArgs, Judged, MemoryFlags, ModelFiles, Places, RunOutput, RunShards,
    Settings, Voltages,
};
use clap::{Args, ValueEnum};
use serde::Serialize;
use wcat_explore::units::Accuracy;

/// Images of the chips of a sweep.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum SamplingWay {
    /// The same for all.
    AllImages,
    /// Few for each, drawn for it alone.
    TwoLevel,
    /// The same, most of them where answers change.
    Stratified,
}

/// Images that a model is judged by.
#[derive(Clone, Copy, Debug, Serialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
enum SplitName {
    /// The test half of the data set.
    Test,
    /// The training images that the trainings held out.
    Validation,
}

/// Chips and images of a sweep.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Sampling")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SamplingFlags {
    /// Simulated chips per model and voltage [default: 50]
    #[arg(long, value_name = "N")]
    chips: Option<u32>,
    /// Test images per trial, a random subset [default: all]
    ///
    /// The subset follows from the seed and has the classes in proportion.
    #[arg(long, value_name = "N")]
    images: Option<u64>,
    /// Add chips until every 95 % half-width is at most this
    ///
    /// 0.005 is half a point. The choice of --images is included; --chips is the most.
    #[arg(long, value_name = "T")]
    tolerance: Option<f64>,
    /// all-images: the same for every chip; two-level, stratified: few for each chip
    ///
    /// Two-level sampling draws few test images for each chip, for it alone, and more chips; it needs --tolerance. It
    /// gives the mean accuracy with fewer image evaluations, at most those of --chips on all images; no quantiles over
    /// chips and no yield. stratified is two-level with most images where faults change answers: fewer still.
    /// [default: all-images]
    #[arg(
        long,
        value_name = "WAY",
        hide_short_help = true,
        hide_possible_values = true
    )]
    sampling: Option<SamplingWay>,
    /// Images of the trials: test, or validation (those that the trainings held out) to choose settings by
    /// [default: test]
    #[arg(
        long,
        value_name = "SPLIT",
        hide_short_help = true,
        hide_possible_values = true
    )]
    split: Option<SplitName>,
    /// Accuracy floor of the yield [default: clean accuracy less 0.05]
    #[arg(long, value_name = "ACCURACY", hide_short_help = true)]
    floor: Option<Accuracy>,
}

/// How often weights are read.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Voltages and memory")]
pub(crate) struct Reads {
    /// How often a weight is read per inference
    ///
    /// uniform (once), weight_stationary, output_stationary or input_stationary; the last two need --set
    /// energy.array.rows=N and energy.array.columns=N [default: uniform]
    #[arg(long, value_name = "DATAFLOW", hide_short_help = true)]
    dataflow: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore sweep --voltages 0.75:1.0:0.025
  wcat-explore sweep --model a.safetensors --model b.safetensors --voltages 0.8:1.0:0.02 --out ab
  wcat-explore sweep --model a.safetensors --protection none,msb:1,secded --voltages 0.75:1.0:0.05
  wcat-explore sweep --model q.safetensors --voltages 0.8:1.0:0.05 --activation-voltages 0.8:1.0:0.1
  wcat-explore sweep --memory sram-28nm-vc707-salami2018 --voltages 0.54V:0.60V:0.02 --chips 5")]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub voltages: Voltages,
    #[command(flatten)]
    pub memory: MemoryFlags,
    #[command(flatten)]
    pub activations: ActivationFlags,
    #[command(flatten)]
    pub reads: Reads,
    #[command(flatten)]
    pub files: ModelFiles,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub sampling: SamplingFlags,
    #[command(flatten)]
    pub judged: Judged,
    #[command(flatten)]
    pub faults: FaultArgs,
    #[command(flatten)]
    pub run: RunOutput,
    /// Only say what would be computed, and its estimated cost
    #[arg(long, help_heading = "Output")]
    pub dry_run: bool,
    /// Go on with what is finished (the default)
    #[arg(
        long,
        conflicts_with = "fresh",
        overrides_with = "no_resume",
        help_heading = "Output",
        hide_short_help = true
    )]
    pub resume: bool,
    /// Refuse a run that was begun before
    #[arg(
        long,
        conflicts_with = "shard",
        overrides_with = "resume",
        help_heading = "Output",
        hide_short_help = true
    )]
    pub no_resume: bool,
    #[command(flatten)]
    pub shards: RunShards,
    #[command(flatten)]
    pub settings: Settings,
}
