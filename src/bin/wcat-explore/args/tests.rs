//! The command line as a whole: headings, examples, and who takes which flag.

use super::groups::KEYS;
use super::Arguments;
use clap::{Command, CommandFactory, Parser};

/// Flags by the heading that says what they do.
const HEADINGS: &[(&str, &str)] = &[
    ("Voltages and memory", "voltages bers voltage ber activation-ber activation-voltages activation-bers activation-memory activation-words activation-protection chip at-ber at-voltage memory protection dataflow"),
    (
        "Models and data",
        "model models weights requantize dataset data data-dir data-file normalize name no-eval compare history from input-shape output \
         list-operators",
    ),
    ("Sampling", "chips images metric tolerance sampling split floor search-chips search-images evaluations"),
    ("Faults", "noise layers array profile fault-map margin"),
    ("What to search", "domains max-loss max-rails domain-cost widths"),
    ("What to train", "sweep-methods bits"),
    ("What to answer", "max-loss yield loss-from budget evaluations step from sensitivity layers-by-bits widths"),
    ("How to quantise", "method bits init skip requantize activation-bits activation-range activation-images activation-data activation-input"),
    ("Attack", "flips until-accuracy restarts batch k-top attack-data"),
    ("Measurements", "unit reference error-free copies"),
    ("Memory model", "name title source license curve robust-energy robust-area robust-source"),
    ("Macro", "macros where vdd device-class failures energy vmin map margin variant extrapolate laws-of access-exponent leakage-exponent alpha threshold law-source"),
    (
        "Output",
        "out to fresh resume no-resume dry-run format overwrite layers figures export-masks title preface cards",
    ),
    ("Settings", "config set seed device isa arithmetic"),
    ("Cluster", "shard shards merge prepare from"),
    ("General", "threads quiet verbose help version"),
];

/// Every command with its words, the program first; not the built-in `help`.
fn commands() -> Vec<(String, Command)> {
    let mut root = Arguments::command();
    root.build();
    let mut all = vec![("wcat-explore".to_owned(), root)];
    let mut next = 0;
    while let Some((name, command)) = all.get(next).cloned() {
        let below = command.get_subcommands().filter(|c| c.get_name() != "help");
        all.extend(below.map(|c| (format!("{name} {}", c.get_name()), c.clone())));
        next += 1;
    }
    all
}

#[test]
fn every_flag_stands_under_the_heading_of_what_it_does() {
    for (name, command) in commands() {
        for argument in command.get_arguments() {
            let Some(flag) = argument.get_long() else {
                continue;
            };
            let heading = argument.get_help_heading().unwrap_or("none");
            let right = HEADINGS.iter().any(|(known, flags)| {
                *known == heading && flags.split(' ').any(|known| known == flag)
            });
            assert!(right, "{name}: --{flag} under {heading}");
        }
    }
}

#[test]
fn a_command_takes_only_the_flags_that_it_reads() {
    let compute = "answer sweep explore train quantize eval attack";
    for (name, command) in commands() {
        let computes = compute
            .split(' ')
            .any(|c| name == format!("wcat-explore {c}"));
        for flag in "config set seed device isa arithmetic".split(' ') {
            let takes = command.get_arguments().any(|a| a.get_long() == Some(flag));
            assert_eq!(takes, computes, "{name}: --{flag}");
        }
    }
}

#[test]
fn every_command_has_examples_that_it_takes() {
    for (name, command) in commands() {
        let after = command.get_after_help().expect(&name).to_string();
        // a line that the terminal breaks is no longer one command where it is pasted
        assert!(after.lines().all(|line| line.len() <= 100), "{name}");
        let after = after.replace("\\\n", "");
        let examples: Vec<&str> = after
            .lines()
            .filter_map(|line| line.strip_prefix("  wcat-explore "))
            .collect();
        let own = name.strip_prefix("wcat-explore").unwrap_or_default().trim();
        assert!(examples.iter().any(|line| line.starts_with(own)), "{name}");
        for example in examples {
            let typed = example
                .split(['>', '|'])
                .next()
                .unwrap()
                .replace(['\'', '"'], "");
            // words of a quoted title are no arguments
            let typed = typed.replace("Accuracy by voltage", "title");
            let words = ["wcat-explore"].into_iter().chain(typed.split_whitespace());
            let read = Arguments::try_parse_from(words);
            assert!(read.is_ok(), "{example}: {}", read.unwrap_err());
        }
    }
}

#[test]
fn every_flag_that_is_a_setting_is_a_flag_of_a_command() {
    for (flag, _) in KEYS {
        let known = commands()
            .iter()
            .any(|(_, c)| c.get_arguments().any(|a| a.get_long() == Some(flag)));
        assert!(known, "--{flag}");
    }
}
