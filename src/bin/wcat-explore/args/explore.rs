//! What may be typed after `explore`.

use super::{
    ActivationMemoryFlags, FaultArgs, Judged, MemoryFlags, ModelFiles, Places, RunOutput,
    RunShards, Settings, Voltages,
};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use wcat_explore::error::Error;

/// Flags of before, each with what `answer` has in its place.
const TAKEN_OVER: [(&str, &str); 3] = [
    (
        "--yield",
        "`wcat-explore answer --yield FRACTION`: the lowest voltage at which this fraction of chips loses at most \
         --max-loss",
    ),
    (
        "--floor",
        "`wcat-explore answer --yield FRACTION --loss-from ACCURACY --max-loss LOSS`, whose floor is ACCURACY less LOSS \
         (the floor of the tables is `--set sweep.floor=ACCURACY`)",
    ),
    (
        "--fresh-chips",
        "`wcat-explore answer --yield FRACTION`, which checks on as many fresh chips as it needs",
    ),
];

/// What to type in place of a flag of `explore` that `answer` took over; `None` where another thing is wrong.
pub(crate) fn taken_over(error: &clap::Error) -> Option<Error> {
    let (Some(ContextValue::String(given)), Some(usage)) = (
        error.get(ContextKind::InvalidArg),
        error.get(ContextKind::Usage),
    ) else {
        return None;
    };
    let (flag, instead) = TAKEN_OVER.iter().find(|(flag, _)| flag == given)?;
    let of_explore = usage.to_string().contains("wcat-explore explore ");
    (of_explore && error.kind() == ErrorKind::UnknownArgument)
        .then(|| Error::argument(*flag, *instead, "it behind `explore`"))
}

/// What is searched.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "What to search")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Search {
    /// What gets a voltage of its own: layers, bits, groups:FILE or weights,activations
    ///
    /// `bits` are the bit planes of the codes; `weights,activations` the memory of the weights and that of stored
    /// activations. The file of `groups:` lists globs over layer names: `early: [conv*]` on
    /// one line, `late: [fc*]` on the next.
    #[arg(long, value_name = "DOMAINS")]
    #[serde(skip)]
    pub(crate) domains: Option<String>,
    /// Most loss of mean accuracy of a point with several voltages [default: 0.01]
    ///
    /// Against the same model without faults.
    #[arg(long, value_name = "LOSS")]
    max_loss: Option<f64>,
    /// Most distinct voltages [default: one for each domain]
    #[arg(long, value_name = "N")]
    max_rails: Option<u32>,
    /// Energy that each supply rail beyond the first adds [default: 0.01, an assumption]
    ///
    /// Rail and level shifters, relative to the network at 8 bits and the error-free voltage.
    #[arg(long, value_name = "ENERGY", hide_short_help = true)]
    domain_cost: Option<f64>,
    /// Widths that a layer may have, such as 2,3,4,6,8
    ///
    /// Models with a width for each layer are made by a greedy search, without training, and explored beside the others.
    #[arg(long, value_name = "BITS", value_delimiter = ',')]
    widths: Vec<u64>,
}

/// Chips and images of the sweep and of the search.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Sampling")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct SearchSampling {
    /// Simulated chips of the sweep and of each verification [default: 50]
    #[arg(long, value_name = "N")]
    chips: Option<u32>,
    /// Test images per trial, a random subset [default: all]
    ///
    /// The subset follows from the seed and has the classes in proportion.
    #[arg(long, value_name = "N")]
    images: Option<u64>,
    /// Chips of the search [default: 8]
    #[arg(long, value_name = "N", hide_short_help = true)]
    search_chips: Option<u32>,
    /// Test images of the search, a seeded subset with the classes in proportion [default: 500]
    #[arg(long, value_name = "N", hide_short_help = true)]
    search_images: Option<u64>,
    /// Most joint evaluations of one search, each on all its chips [default: 100]
    #[arg(long, value_name = "N", hide_short_help = true)]
    evaluations: Option<u32>,
}

impl Search {
    /// The file of `--domains groups:FILE`.
    pub(crate) fn groups_file(&self) -> Option<PathBuf> {
        let file = self.domains.as_ref()?.strip_prefix("groups:")?;
        Some(PathBuf::from(file))
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore explore --model wcat.safetensors --domains layers --max-loss 0.01
  wcat-explore explore --model wcat.safetensors --domains groups:groups.yaml --max-rails 2
  wcat-explore explore --model q.safetensors --domains weights,activations --max-loss 0.01
  wcat-explore explore --model resnet20.th --dataset cifar10 --widths 2,4,8 \\
    --set quantizer.method=wcat")]
pub(crate) struct ExploreArgs {
    #[command(flatten)]
    pub(crate) search: Search,
    #[command(flatten)]
    pub(crate) voltages: Voltages,
    #[command(flatten)]
    pub(crate) memory: MemoryFlags,
    #[command(flatten)]
    pub(crate) activations: ActivationMemoryFlags,
    #[command(flatten)]
    pub(crate) files: ModelFiles,
    #[command(flatten)]
    pub(crate) places: Places,
    #[command(flatten)]
    pub(crate) sampling: SearchSampling,
    #[command(flatten)]
    pub(crate) judged: Judged,
    #[command(flatten)]
    pub(crate) faults: FaultArgs,
    #[command(flatten)]
    pub(crate) run: RunOutput,
    /// Only say what would be computed, and its estimated cost
    #[arg(long, help_heading = "Output", hide_short_help = true)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) shards: RunShards,
    #[command(flatten)]
    pub(crate) settings: Settings,
}
