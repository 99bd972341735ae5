//! `slurm`: a script that spreads a command over a job array; nothing is submitted.

use crate::args::{Arguments, Command, General, SlurmArgs};
use crate::progress::Progress;
use crate::show;
use clap::Parser;
use std::ffi::OsStr;
use wcat_explore::error::{shell_quoted, Error};
use wcat_explore::run::Monitor;
use wcat_explore::sweep::Shard;
use wcat_explore::units::count_of;

/// Flags that the script adds itself, or that would undo what it does.
const OWN: [&str; 6] = [
    "--shard",
    "--merge",
    "--prepare",
    "--fresh",
    "--threads",
    "--dry-run",
];
/// Commands that can be spread.
const SPREAD: [&str; 4] = ["sweep", "explore", "attack", "train"];
/// Processors of a task, where `--threads` does not say.
const PROCESSORS: usize = 4;
/// What the script does before the shards, where there are models to prepare.
const PREPARE: &str =
    "  prepare) run @COMMAND@ --prepare --shard auto/@MODELS@ --threads \"$SLURM_CPUS_PER_TASK\" ;;
";
const SUBMIT_PREPARE: &str =
    "    prepare=$(sbatch --parsable --array=0-@LAST_MODEL@ \"$0\" prepare) || exit
    submit --dependency=afterok:$prepare --kill-on-invalid-dep=yes ;;";
const SUBMIT: &str = "    submit ;;";
/// The script. Where a shard never runs, a merge that says which beats a dependency that is never satisfied.
const SCRIPT: &str = include_str!("slurm.sh");
/// What an adaptive sweep does where a merge asks for more trials.
const ROUND: &str = r#"         [ $code != 3 ] || [ $rounds -le 1 ] || { rounds=$((rounds - 1)); submit; }
"#;

pub(crate) fn run(args: &SlurmArgs, general: &General, monitor: &Progress) -> anyhow::Result<()> {
    let (script, note) = script(args, general.threads)?;
    if let Some(note) = note {
        monitor.note(&note);
    }
    show::result(script.trim_end())
}

/// The script with tasks of so many threads (0: as many as it says itself), and a remark on it.
fn script(args: &SlurmArgs, threads: usize) -> anyhow::Result<(String, Option<String>)> {
    let work = work(&args.command)?;
    let asked = args.shards.ok_or_else(|| {
        let expected = "the number of tasks, such as `--shards 100`";
        Error::argument("--shards", expected, "nothing")
    })?;
    Shard::new(0, asked).map_err(|_| {
        let found = format!("`{asked}`");
        Error::argument("--shards", "a number from 1 to 1000000", found)
    })?;
    for word in &args.command {
        let flag = word.split('=').next().unwrap_or(word);
        if OWN.contains(&flag) {
            let expected = "to be left out: the script says it where it belongs";
            return Err(Error::argument(flag, expected, "it in the command").into());
        }
    }
    let (mut shards, mut note) = (asked, None);
    if let Some((pieces, piece)) = work.pieces {
        shards = asked.min(u32::try_from(pieces).unwrap_or(asked));
        note = (shards < asked).then(|| {
            let pieces = count_of(pieces, piece);
            let tasks = count_of(shards as usize, "task");
            format!(
                "{tasks} in place of {asked}: the command is of {pieces}, and each is one task's"
            )
        });
    }
    let mut command = "wcat-explore".to_owned();
    for word in &args.command {
        command.push(' ');
        command += &shell_quoted(OsStr::new(word));
    }
    let models = work.models;
    let (submit, prepare, steps) = if models > 0 {
        let steps = "the preparation, the tasks and the merge";
        (SUBMIT_PREPARE, PREPARE, steps)
    } else {
        (SUBMIT, "", "the tasks and the merge")
    };
    let processors = if threads == 0 { PROCESSORS } else { threads };
    let script = SCRIPT
        .replace("@SUBMIT@", submit)
        .replace("@PREPARE@", prepare)
        .replace("@ROUND@", if work.adaptive { ROUND } else { "" })
        .replace("@STEPS@", steps)
        .replace("@COMMAND@", &command)
        .replace("@PROCESSORS@", &processors.to_string())
        .replace("@SHARDS@", &shards.to_string())
        .replace("@LAST@", &(shards - 1).to_string())
        .replace("@MODELS@", &models.to_string())
        .replace("@LAST_MODEL@", &models.saturating_sub(1).to_string());
    Ok((script, note))
}

/// What the script spreads.
struct Work {
    /// Models that are prepared before the shards, 0 where there is no such step.
    models: usize,
    /// Merges may ask for more.
    adaptive: bool,
    /// How many pieces there are, and what each is, where a shard has whole ones.
    pieces: Option<(usize, &'static str)>,
}

/// The work of a command. Where its flags are wrong, or its help is asked for, the error is that of the command itself.
fn work(command: &[String]) -> anyhow::Result<Work> {
    let name = command.first().map_or("", String::as_str);
    if !SPREAD.contains(&name) {
        return Err(not_spread(name).into());
    }
    let words = std::iter::once("wcat-explore").chain(command.iter().map(String::as_str));
    let of_pieces = |pieces| Work {
        models: 0,
        adaptive: false,
        pieces: Some(pieces),
    };
    let (experiment, request) = match &Arguments::try_parse_from(words)?.command {
        Command::Sweep(args) => super::sweep::asked(args)?,
        Command::Explore(args) => super::explore::asked(args)?,
        Command::Attack(args) => {
            let (experiment, request) = super::attack::asked(args)?;
            let attacks = request.models.len() * experiment.attack.restarts as usize;
            return Ok(of_pieces((attacks.max(1), "attack")));
        }
        Command::Train(args) => {
            let trainings = super::train::trainings(args)?.0.len();
            return Ok(of_pieces((trainings, "training")));
        }
        _ => return Err(not_spread(name).into()),
    };
    let models = match request.models.len() {
        0 => experiment.trainings()?.len().max(1),
        models => models,
    };
    Ok(Work {
        models,
        adaptive: experiment.sweep.tolerance.is_some(),
        pieces: None,
    })
}

fn not_spread(name: &str) -> Error {
    let known = SPREAD.join(", ");
    let expected = format!("one of {known} with its flags, as it runs on one machine");
    Error::argument("command of slurm", expected, format!("`{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(shards: u32, line: &str) -> anyhow::Result<String> {
        Ok(with_note(shards, line, 0)?.0)
    }

    fn with_note(
        shards: u32,
        line: &str,
        threads: usize,
    ) -> anyhow::Result<(String, Option<String>)> {
        let command = line.split(' ').map(str::to_owned).collect();
        let shards = Some(shards);
        script(&SlurmArgs { shards, command }, threads)
    }

    #[test]
    fn scripts_are_the_shells_and_say_every_step() {
        for (line, steps) in [
            ("sweep --voltages 0.8:1.0:0.1", "--prepare --shard auto/2"),
            ("sweep --model a.safetensors --tolerance 0.01", "submit; }"),
            ("explore --domains layers", "--merge"),
            (
                "attack --model a.safetensors --restarts 7",
                "--shard auto/7",
            ),
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
    fn there_are_no_more_tasks_than_pieces_and_each_has_the_threads_asked_for() {
        for (line, pieces) in [
            ("attack --model a.safetensors --restarts 3", 3),
            ("train --sweep-methods wcat,normal --bits 4,8", 4),
            ("train --config mnist_lenet5", 1),
        ] {
            let (script, note) = with_note(100, line, 2).unwrap();
            assert!(script.contains(&format!("auto/{pieces} ")), "{script}");
            assert!(script.contains("--cpus-per-task=2\n"), "{script}");
            let note = note.unwrap();
            let tasks = count_of(pieces as usize, "task");
            assert!(
                note.starts_with(&format!("{tasks} in place of 100")),
                "{note}"
            );
            assert!(with_note(pieces, line, 0).unwrap().1.is_none());
        }
        let (script, note) = with_note(100, "sweep --voltages 0.8", 0).unwrap();
        assert!(script.contains("auto/100 ") && note.is_none());
        assert!(script.contains("--cpus-per-task=4\n"), "{script}");
    }

    #[test]
    fn help_and_errors_are_those_of_the_command_that_is_spread() {
        let help = work(&["sweep".into(), "--help".into()]).err().unwrap();
        let help = help.downcast::<clap::Error>().unwrap();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
        let wrong = of(3, "sweep --voltage").unwrap_err();
        assert!(wrong.downcast::<clap::Error>().unwrap().use_stderr());
        let other = of(3, "pareto").unwrap_err().to_string();
        assert_eq!(
            other,
            "command of slurm: expected one of sweep, explore, attack, train with its flags, as it runs on one \
             machine, found `pareto`"
        );
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
