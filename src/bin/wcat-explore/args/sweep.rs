//! What may be typed after `sweep`.

use super::{Format, ModelFiles, Places};
use crate::fault_args::FaultArgs;
use clap::{Args, ValueEnum};
use wcat_explore::config::Layer;
use wcat_explore::sweep::{Sampling, TestSplit};
use wcat_explore::units::{Accuracy, Ber};

/// Images of the chips of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SamplingWay {
    /// The same for all.
    AllImages,
    /// Few for each, drawn for it alone.
    TwoLevel,
}

impl From<SamplingWay> for Sampling {
    fn from(way: SamplingWay) -> Self {
        match way {
            SamplingWay::AllImages => Self::AllImages,
            SamplingWay::TwoLevel => Self::TwoLevel,
        }
    }
}

/// What a sweep goes through.
#[derive(Debug, Args)]
pub(crate) struct Settings {
    /// Voltages: start:stop:step, a comma-separated list, or both; a unit may follow (0.85vmin, 0.56V, 560mV)
    #[arg(long, value_name = "LIST", allow_hyphen_values = true)]
    voltages: Option<String>,
    /// Bit error rates in place of voltages, comma-separated; each stands at the voltage where the memory has it
    #[arg(
        long,
        value_name = "LIST",
        value_delimiter = ',',
        conflicts_with = "voltages"
    )]
    bers: Vec<Ber>,
}

impl Settings {
    /// One replaces the other where a configuration has it.
    pub(crate) fn layers(&self) -> Vec<Layer> {
        let (voltages, rates) = ("sweep.voltages", "sweep.bit_error_rates");
        if let Some(list) = &self.voltages {
            return vec![
                Layer::flag("--voltages", voltages, list.as_str()),
                Layer::flag("--voltages", rates, Vec::<f64>::new()),
            ];
        }
        if self.bers.is_empty() {
            return Vec::new();
        }
        let asked: Vec<f64> = self.bers.iter().map(|rate| rate.get()).collect();
        vec![
            Layer::unset("--bers", voltages),
            Layer::flag("--bers", rates, asked),
        ]
    }
}

/// Images that a model is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum SplitName {
    /// The test half of the data set.
    Test,
    /// The training images that the trainings held out.
    Validation,
}

impl From<SplitName> for TestSplit {
    fn from(name: SplitName) -> Self {
        match name {
            SplitName::Test => Self::Test,
            SplitName::Validation => Self::Validation,
        }
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore sweep --voltages 0.75:1.0:0.025
  wcat-explore sweep --model a.safetensors --model b.safetensors --chips 50 --voltages 0.8:1.0:0.02
  wcat-explore sweep --memory sram-28nm-kc705b-salami2018 --voltages 0.53:0.59:0.01 --array independent,model
  wcat-explore sweep --model wcat.safetensors --voltages 0.75:1.0:0.025 --protection none,msb:1,secded,parity_zero

Without --model the models of the configuration (default: the built-in quick start) are trained if they are not
in the cache. A killed sweep goes on where it stopped; further voltages or chips extend it.")]
pub(crate) struct SweepArgs {
    #[command(flatten)]
    pub settings: Settings,
    #[command(flatten)]
    pub files: ModelFiles,
    /// Memory model: a built-in name (see `memory list`) or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub memory: Option<String>,
    /// How often a weight is read per inference: uniform (once), weight_stationary, output_stationary or
    /// input_stationary; the last two need --set energy.array.rows=N and energy.array.columns=N [default: uniform]
    #[arg(long, value_name = "DATAFLOW")]
    pub dataflow: Option<String>,
    /// Simulated chips per model and voltage [default: 50]
    #[arg(long, value_name = "N")]
    pub chips: Option<u32>,
    /// Test images per trial, a seeded subset with the classes in proportion [default: all]
    #[arg(long, value_name = "N")]
    pub images: Option<u64>,
    /// Images of the trials: those of the test half, or those that the trainings held out, to choose settings by
    /// [default: test]
    #[arg(long, value_name = "SPLIT")]
    pub split: Option<SplitName>,
    /// Add chips until every 95 % half-width is at most this (0.005 is half a point), the choice of --images
    /// included; --chips is the most
    #[arg(long, value_name = "T")]
    pub tolerance: Option<f64>,
    /// `all-images`: the same for every chip. `two-level`: few test images for each chip, drawn for it alone, and more
    /// chips; needs --tolerance. The mean accuracy with fewer image evaluations, at most those of --chips on all
    /// images; no quantiles over chips and no yield
    #[arg(long, value_name = "WAY")]
    pub sampling: Option<SamplingWay>,
    /// Accuracy floor of the yield [default: clean accuracy less 0.05]
    #[arg(long, value_name = "ACCURACY")]
    pub floor: Option<Accuracy>,
    #[command(flatten)]
    pub places: Places,
    #[command(flatten)]
    pub faults: FaultArgs,
    /// Name of the run folder [default: <configuration>-<hash>]
    #[arg(long, value_name = "NAME")]
    pub out: Option<String>,
    /// Throw away what this run has finished, trained models too, and begin again
    #[arg(long)]
    pub fresh: bool,
    /// Only say what would be computed, and its estimated cost
    #[arg(long)]
    pub dry_run: bool,
    /// Go on with what is finished (the default)
    #[arg(long, overrides_with = "no_resume")]
    pub resume: bool,
    /// Refuse a run that was begun before
    #[arg(long, overrides_with = "resume")]
    pub no_resume: bool,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}
