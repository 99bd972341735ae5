//! Parts of the work on the machines of a cluster: which one a process does, and which is only put together.

use clap::Args;
use std::path::PathBuf;
use wcat_explore::error::{refuse, Error, Result};
use wcat_explore::sweep::Shard;

/// Variables in which job arrays say which task this is: Slurm, Kubernetes Indexed Jobs, AWS Batch, HyperQueue.
const TASKS: [&str; 4] = [
    "SLURM_ARRAY_TASK_ID",
    "JOB_COMPLETION_INDEX",
    "AWS_BATCH_JOB_ARRAY_INDEX",
    "HQ_TASK_ID",
];

/// Which part of the work this process does.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ShardFlags {
    /// Compute part I of N (I from 0), as one of several processes; auto/N: I is the task of a job array
    ///
    /// Each part goes to a journal of its own in the run folder; --merge puts all together. Tasks of Slurm, Kubernetes,
    /// AWS Batch and HyperQueue are known. `wcat-explore slurm` prints a script.
    #[arg(
        long,
        value_name = "I/N",
        conflicts_with = "fresh",
        hide_short_help = true
    )]
    shard: Option<String>,
    /// Compute nothing: make the tables from what all parts have computed
    ///
    /// Exit code 3 where some is missing: the message says which parts to run.
    #[arg(long, conflicts_with_all = ["shard", "fresh"], hide_short_help = true)]
    pub(crate) merge: bool,
}

/// The same of commands whose models and journals are shared.
#[derive(Debug, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct RunShards {
    #[command(flatten)]
    pub(crate) flags: ShardFlags,
    /// Only make what all parts share: trained models, their answers without faults, decoded images
    ///
    /// With --shard I/N, model k is part k mod N's. Images of class folders are kept in one file of the cache.
    #[arg(long, conflicts_with = "merge", hide_short_help = true)]
    pub(crate) prepare: bool,
    /// Folders with journals of parts that ran without a common disk: copies of the run folder or of its `journals`
    #[arg(
        long,
        value_name = "DIR",
        value_delimiter = ',',
        hide_short_help = true
    )]
    pub(crate) from: Vec<PathBuf>,
}

impl ShardFlags {
    /// The part, where there is one.
    pub(crate) fn shard(&self) -> Result<Option<Shard>> {
        let Some(text) = self.shard.as_deref() else {
            return Ok(None);
        };
        let Some(count) = text.strip_prefix("auto/") else {
            return text.parse().map(Some);
        };
        let set: Vec<(&str, String)> = TASKS
            .iter()
            .filter_map(|name| Some((*name, std::env::var(name).ok()?)))
            .collect();
        let [(name, index)] = set.as_slice() else {
            let found: Vec<&str> = set.iter().map(|(name, _)| *name).collect();
            let found = if found.is_empty() {
                "none of them".into()
            } else {
                found.join(" and ")
            };
            let expected = format!("exactly one of {} to be set", TASKS.join(", "));
            return refuse(format!("--shard {text}"), expected, found);
        };
        let parsed = format!("{index}/{count}").parse().map_err(|error: Error| {
            let found = format!("`{index}` in {name}");
            Error::argument(format!("--shard {text}"), error.expected(), found)
        })?;
        Ok(Some(parsed))
    }
}
