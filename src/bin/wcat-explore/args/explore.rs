//! What may be typed after `explore`.

use super::{Format, ModelFiles, Places, Settings};
use crate::fault_args::FaultArgs;
use clap::Args;
use wcat_explore::units::Accuracy;

#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  wcat-explore explore --model wcat.safetensors --domains layers --max-loss 0.01
  wcat-explore explore --model wcat.safetensors --domains groups:groups.yaml --max-rails 2
  wcat-explore explore --model wcat.safetensors --yield 0.99 --floor 0.9
  wcat-explore explore --model resnet20.th --dataset cifar10 --widths 2,3,4,6,8 --set quantizer.method=wcat
  wcat-explore explore --model normal.safetensors --model wcat.safetensors --protection none,msb:1,secded

Every model is swept at single voltages, on --chips chips. Then voltages for domains are searched on other chips and
verified on those of the sweep; all verified points share one frontier. Estimates of the search stand in
sensitivity.csv and explored.csv, and enter no frontier. A killed exploration goes on where it stopped.

A groups file lists globs over layer names: `early: [conv*]` on one line, `late: [fc*]` on the next.")]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    pub(crate) files: ModelFiles,
    /// What gets a voltage of its own: layers, bits (bit planes of the codes), or groups:FILE (groups of layers)
    #[arg(long, value_name = "DOMAINS")]
    pub(crate) domains: Option<String>,
    /// Most loss of mean accuracy of a point with several voltages, against the same model without faults
    /// [default: 0.01]
    #[arg(long, value_name = "LOSS")]
    pub(crate) max_loss: Option<f64>,
    /// Energy that each supply rail beyond the first adds (rail and level shifters), relative to the network at 8 bits
    /// and the error-free voltage [default: 0.01, an assumption]
    #[arg(long, value_name = "ENERGY")]
    pub(crate) domain_cost: Option<f64>,
    /// Most distinct voltages [default: one for each domain]
    #[arg(long, value_name = "N")]
    pub(crate) max_rails: Option<u32>,
    /// Chips of the search [default: 8]
    #[arg(long, value_name = "N")]
    pub(crate) search_chips: Option<u32>,
    /// Test images of the search, a seeded subset with the classes in proportion [default: 500]
    #[arg(long, value_name = "N")]
    pub(crate) search_images: Option<u64>,
    /// Most joint evaluations of one search, each on all its chips [default: 100]
    #[arg(long, value_name = "N")]
    pub(crate) evaluations: Option<u32>,
    /// Lowest voltage at which this share of chips reaches --floor, with one-sided 95 % confidence
    #[arg(long = "yield", value_name = "SHARE", requires = "floor")]
    pub(crate) yield_share: Option<f64>,
    /// Accuracy that a chip must reach for the yield
    #[arg(long, value_name = "ACCURACY")]
    pub(crate) floor: Option<Accuracy>,
    /// Fresh chips that the answer for the yield is verified on [default: 200]
    #[arg(long, value_name = "N")]
    pub(crate) fresh_chips: Option<u32>,
    /// Widths that a layer may have: models with a width for each layer are made by a greedy search, without training,
    /// and explored beside the others
    #[arg(long, value_name = "BITS", value_delimiter = ',')]
    pub(crate) widths: Vec<u64>,
    #[command(flatten)]
    pub(crate) settings: Settings,
    /// Memory model: a built-in name (see `memory list`) or a file
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) memory: Option<String>,
    /// Simulated chips of the sweep and of each verification [default: 50]
    #[arg(long, value_name = "N")]
    pub(crate) chips: Option<u32>,
    /// Test images per trial, a seeded subset with the classes in proportion [default: all]
    #[arg(long, value_name = "N")]
    pub(crate) images: Option<u64>,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) faults: FaultArgs,
    /// Name of the run folder [default: <configuration>-<hash>]
    #[arg(long, value_name = "NAME")]
    pub(crate) out: Option<String>,
    /// Throw away what this run has finished and begin again
    #[arg(long)]
    pub(crate) fresh: bool,
    /// How the explored points are printed
    #[arg(long, value_enum, default_value_t)]
    pub(crate) format: Format,
}
