//! What may be typed after `answer`.

use super::{
    ActivationFlags, FaultArgs, Judged, MemoryFlags, ModelFiles, Places, RunOutput, Settings,
    VoltageList,
};
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use wcat_explore::config::Layer;
use wcat_explore::error::{refuse, Error};
use wcat_explore::units::Accuracy;

/// The settings that flags of the question are.
const KEYS: [(&str, &str); 5] = [
    ("budget", "answer.budget"),
    ("evaluations", "answer.evaluations"),
    ("max-loss", "answer.max_loss"),
    ("step", "answer.step"),
    ("yield", "answer.yield"),
];

/// The question.
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "What to answer")]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Question {
    /// Most loss of accuracy; 0.01 is one point [default: 0.01]
    ///
    /// Of the mean over chips, or with --yield of single chips.
    #[arg(long, value_name = "LOSS")]
    max_loss: Option<f64>,
    /// Fraction of chips that must lose no more [default: the mean over chips must]
    #[arg(long = "yield", value_name = "FRACTION")]
    #[serde(rename = "yield")]
    yield_share: Option<f64>,
    /// What losses are counted from: best, own, or an accuracy [default: best]
    ///
    /// best: the clean accuracy of the best model given, one floor for all. own: that of each model, so that a worse
    /// network gets a lower floor.
    #[arg(long, value_name = "FROM", value_parser = from)]
    #[serde(skip)]
    pub(crate) loss_from: Option<CountedFrom>,
    /// Time to spend, such as 90s, 10m or 2h [default: 10m]
    ///
    /// Turned into a number of image evaluations when the run begins, so that it is the same answer however fast it goes.
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    budget: Option<f64>,
    /// Most image evaluations, in place of --budget: the same on every machine
    #[arg(long, value_name = "N", conflicts_with = "budget")]
    evaluations: Option<u64>,
    /// Finished run of the same models whose losses tell the search where to begin
    ///
    /// The folder of a sweep, an exploration or another answer. Nothing is claimed from it: the check sees fresh chips.
    #[arg(long, value_name = "RUN", hide_short_help = true)]
    #[serde(skip)]
    pub(crate) from: Option<PathBuf>,
    /// Step of the voltages that are tried between the ends of --voltages, in the memory's unit [default: 0.005]
    #[arg(long, value_name = "STEP", hide_short_help = true)]
    step: Option<f64>,
    /// What faults in each layer and each bit plane alone cost
    ///
    /// Of the cheapest candidate, its codes unprotected: at the voltage of the answer and at a bit error rate of 1e-2. Takes
    /// the same budget once more at most.
    #[arg(long)]
    #[serde(skip)]
    pub(crate) sensitivity: bool,
    /// The same of each bit plane of each layer
    #[arg(long, hide_short_help = true)]
    #[serde(skip)]
    pub(crate) layers_by_bits: bool,
    /// Widths for layers of further candidates, such as 4,6,8
    ///
    /// Of a float model one with each width for all layers; of every model some with a width for each layer.
    #[arg(long, value_name = "BITS", value_delimiter = ',')]
    #[serde(skip)]
    pub(crate) widths: Vec<u64>,
}

impl Question {
    /// The flags as settings.
    ///
    /// # Errors
    /// As [`Layer::of_flags`].
    pub(crate) fn layers(&self) -> Result<Vec<Layer>, Error> {
        Layer::of_flags(self, &KEYS)
    }
}

/// What losses are counted from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum CountedFrom {
    /// The best model given.
    Best,
    /// Each model.
    Own,
    /// An accuracy.
    Accuracy(Accuracy),
}

fn from(text: &str) -> Result<CountedFrom, Error> {
    let accuracy = |text: &str| {
        let number: Option<f64> = text.parse().ok();
        number.and_then(|number| Accuracy::new(number).ok())
    };
    match (text, accuracy(text)) {
        ("best", _) => Ok(CountedFrom::Best),
        ("own", _) => Ok(CountedFrom::Own),
        (_, Some(accuracy)) => Ok(CountedFrom::Accuracy(accuracy)),
        _ => refuse(
            "--loss-from",
            "best, own, or an accuracy from 0 to 1",
            format!("`{text}`"),
        ),
    }
}

/// `90s`, `10m`, `2h`, or seconds.
fn seconds(text: &str) -> Result<f64, Error> {
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    let seconds = number.parse().ok().map(|number: f64| number * unit);
    seconds
        .filter(|seconds| *seconds > 0.0 && seconds.is_finite())
        .ok_or_else(|| {
            Error::argument(
                "--budget",
                "a time such as 90s, 10m or 2h",
                format!("`{text}`"),
            )
        })
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  wcat-explore answer --model wcat.safetensors --max-loss 0.01
  wcat-explore answer --model a.safetensors --model b.safetensors --protection none,msb:1,secded
  wcat-explore answer --model wcat.safetensors --yield 0.99 --budget 1h

Exit code 4: no candidate is shown to hold at any voltage.")]
pub(crate) struct AnswerArgs {
    #[command(flatten)]
    pub(crate) question: Question,
    #[command(flatten)]
    pub(crate) voltages: VoltageList,
    #[command(flatten)]
    pub(crate) memory: MemoryFlags,
    #[command(flatten)]
    pub(crate) activations: ActivationFlags,
    #[command(flatten)]
    pub(crate) files: ModelFiles,
    #[command(flatten)]
    pub(crate) places: Places,
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
    pub(crate) settings: Settings,
}
