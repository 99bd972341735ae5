//! `slurm`: a script that spreads a command over a job array; nothing is submitted.

use crate::args::{Arguments, Command, SlurmArgs};
use crate::show;
use clap::Parser;
use std::ffi::OsStr;
use wcat_explore::error::{shell_quoted, Error, Result};
use wcat_explore::sweep::Shard;

/// Flags that the script adds itself, or that would undo what it does.
const OWN: [&str; 6] = [
    "--shard",
    "--merge",
    "--prepare",
    "--fresh",
    "--threads",
    "--dry-run",
];
/// What the script does before the shards, where there are models to prepare.
const PREPARE: &str = "\
  prepare) run @COMMAND@ --prepare --shard auto/@MODELS@ --threads \"$SLURM_CPUS_PER_TASK\" ;;
";
const SUBMIT_PREPARE: &str = "\
    prepare=$(sbatch --parsable --array=0-@LAST_MODEL@ \"$0\" prepare) || exit
    submit --dependency=afterok:$prepare --kill-on-invalid-dep=yes ;;";
const SUBMIT: &str = "\
    submit ;;";
/// The script. Where a shard never runs, a merge that says which beats a dependency that is never satisfied.
const SCRIPT: &str = r##"#!/bin/bash
# @COMMAND@
# as @SHARDS@ tasks of a job array: `bash FILE` submits @STEPS@.
# Edit these lines for your site (account, partition, modules, limits):
#SBATCH --job-name=wcat-explore
#SBATCH --time=4:00:00
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
#SBATCH --requeue --open-mode=append --signal=B:TERM@120
#SBATCH --output=slurm-%x-%A_%a.txt
rounds=${ROUNDS:-8}  # of an adaptive sweep: merges that may ask for more trials

# Runs a command. Interrupted (exit code 75), it goes on in a requeued task.
run() {
  "$@" & child=$!
  trap 'kill -TERM $child 2>/dev/null' TERM
  wait $child; code=$?
  while [ $code -gt 128 ] && kill -0 $child 2>/dev/null; do wait $child; code=$?; done
  [ $code -le 128 ] || { wait $child; code=$?; }
  [ $code != 75 ] || scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}"
  return $code
}
# Submits the shards, and the merge after them, however they end.
submit() {
  shards=$(sbatch --parsable --array=0-@LAST@ "$@" "$0" shard) || exit
  merge=$(ROUNDS=$rounds sbatch --parsable --dependency=afterany:$shards "$0" merge) || exit
  echo "shards: job $shards; merge: job $merge"
}
case ${1:-submit} in
  submit)
@SUBMIT@
@PREPARE@  shard) run @COMMAND@ --shard auto/@SHARDS@ --threads "$SLURM_CPUS_PER_TASK" ;;
  merge) run @COMMAND@ --merge --threads "$SLURM_CPUS_PER_TASK"; code=$?
@ROUND@         exit $code ;;
  *) echo "usage: bash $0 [submit|shard|merge]" >&2; exit 2 ;;
esac
"##;
/// What an adaptive sweep does where a merge asks for more trials.
const ROUND: &str = r#"         [ $code != 3 ] || [ $rounds -le 1 ] || { rounds=$((rounds - 1)); submit; }
"#;

pub(crate) fn run(args: &SlurmArgs) -> anyhow::Result<()> {
    let script = script(args)?;
    show::result(script.trim_end())
}

fn script(args: &SlurmArgs) -> Result<String> {
    Shard::new(0, args.shards).map_err(|_| {
        let found = format!("`{}`", args.shards);
        Error::argument("--shards", "a number from 1 to 1000000", found)
    })?;
    for word in &args.command {
        let flag = word.split('=').next().unwrap_or(word);
        if OWN.contains(&flag) {
            let expected = "to be left out: the script says it where it belongs";
            return Err(Error::argument(flag, expected, "it in the command"));
        }
    }
    let (models, adaptive) = models(&args.command)?;
    let mut command = "wcat-explore".to_owned();
    for word in &args.command {
        command.push(' ');
        command += &shell_quoted(OsStr::new(word));
    }
    let (submit, prepare, steps) = if models > 0 {
        let steps = "the preparation, the tasks and the merge";
        (SUBMIT_PREPARE, PREPARE, steps)
    } else {
        (SUBMIT, "", "the tasks and the merge")
    };
    Ok(SCRIPT
        .replace("@SUBMIT@", submit)
        .replace("@PREPARE@", prepare)
        .replace("@ROUND@", if adaptive { ROUND } else { "" })
        .replace("@STEPS@", steps)
        .replace("@COMMAND@", &command)
        .replace("@SHARDS@", &args.shards.to_string())
        .replace("@LAST@", &(args.shards - 1).to_string())
        .replace("@MODELS@", &models.to_string())
        .replace("@LAST_MODEL@", &models.saturating_sub(1).to_string()))
}

/// Models that are prepared before the shards, 0 where there is no such step; and whether merges may ask for more.
fn models(command: &[String]) -> Result<(usize, bool)> {
    let words = std::iter::once("wcat-explore").chain(command.iter().map(String::as_str));
    let wrong = |found: String| {
        let expected = "sweep, explore, attack or train with its flags, as it runs on one machine";
        Error::argument("slurm", expected, found)
    };
    let parsed = Arguments::try_parse_from(words).map_err(|error| {
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        wrong(first.trim_start_matches("error: ").to_owned())
    })?;
    let (experiment, models) = match &parsed.command {
        Command::Sweep(args) => super::sweep::experiment(args)?,
        Command::Explore(args) => super::explore::experiment(args)?,
        Command::Attack(_) | Command::Train(_) => return Ok((0, false)),
        _ => {
            let name = command.first().map_or("", String::as_str);
            return Err(wrong(format!("`{name}`")));
        }
    };
    let adaptive = experiment.sweep.tolerance.is_some();
    if models.is_empty() {
        return Ok((experiment.trainings()?.len().max(1), adaptive));
    }
    Ok((models.len(), adaptive))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shards: u32, line: &str) -> Result<String> {
        script(&SlurmArgs {
            shards,
            command: line.split(' ').map(str::to_owned).collect(),
        })
    }

    #[test]
    fn scripts_are_the_shells_and_say_every_step() {
        for (line, steps) in [
            ("sweep --voltages 0.8:1.0:0.1", "--prepare --shard auto/2"),
            ("sweep --model a.safetensors --tolerance 0.01", "submit; }"),
            ("explore --domains layers", "--merge"),
            ("attack --model a.safetensors", "--shard auto/7"),
            ("train --sweep-methods wcat,normal --bits 4", "--merge"),
        ] {
            let script = of(7, line).unwrap();
            assert!(script.contains(steps), "{script}");
            assert!(
                !script.contains("@COMMAND") && !script.contains("@S"),
                "{script}"
            );
            let checked = std::process::Command::new("bash")
                .args(["-n", "-c", &script])
                .status();
            assert!(checked.unwrap().success(), "{script}");
        }
        let attack = of(7, "attack --model a.safetensors").unwrap();
        assert!(!attack.contains("--prepare"), "{attack}");
    }

    #[test]
    fn what_cannot_be_spread_is_refused() {
        for line in [
            "eval --model a.safetensors",
            "sweep --shard 0/3",
            "sweep --fresh",
            "sweep --voltage",
            "sweep --merge",
        ] {
            assert!(of(3, line).is_err(), "{line}");
        }
        assert!(of(0, "sweep").is_err());
    }
}
