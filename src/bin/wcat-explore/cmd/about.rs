//! `completions` and `man`: what shells and manuals are told of the command line.

use crate::args::{Arguments, CompletionsArgs, ManArgs};
use crate::show;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use std::path::Path;
use wcat_explore::error::Error;
use wcat_explore::store;

const NAME: &str = "wcat-explore";
/// How clap_mangen begins the examples, which stand last on a page, and how they keep their lines.
const AFTER_HELP: &str = ".SH EXTRA\nExamples:\n";
const EXAMPLES: &str = ".SH EXAMPLES\n.nf\n";

pub(crate) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    show::result(script(args.shell)?.trim_end())
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), NAME, &mut script);
    // clap_complete 4.6 writes the hyphen of the program's name in two ways for bash, so that nothing is completed behind a
    // command (clap's issue 6421)
    Ok(String::from_utf8(script)?.replace("wcat__subcmd__explore", "wcat__explore"))
}

pub(crate) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let mut command = Arguments::command();
    // commands get the flags of all commands, and their full names
    command.build();
    if let Some(folder) = &args.out {
        store::create_folder(folder)?;
        return pages(&command, NAME, folder);
    }
    let (mut command, mut page) = (&command, NAME.to_owned());
    for name in &args.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            let known: Vec<&str> = command.get_subcommands().map(Command::get_name).collect();
            Error::argument("man", format!("one of {}", known.join(", ")), name.as_str())
        })?;
        page = format!("{page}-{}", command.get_name());
    }
    show::result(rendered(command, &page)?.trim_end())
}

/// Writes the pages of a command and of those under it.
fn pages(command: &Command, page: &str, folder: &Path) -> anyhow::Result<()> {
    let path = folder.join(format!("{page}.1"));
    store::write_bytes(&path, rendered(command, page)?.as_bytes())?;
    for below in command.get_subcommands() {
        if below.get_name() != "help" {
            pages(below, &format!("{page}-{}", below.get_name()), folder)?;
        }
    }
    Ok(())
}

fn rendered(command: &Command, page: &str) -> anyhow::Result<String> {
    let mut text = Vec::new();
    // a page is a whole help: what `-h` leaves out has its words there too
    let command = command.clone().mut_args(|flag| flag.hide_short_help(false));
    Man::new(command)
        .title(page.to_uppercase())
        .source(concat!("wcat-explore ", env!("CARGO_PKG_VERSION")))
        .render(&mut text)?;
    Ok(String::from_utf8(text)?.replace(AFTER_HELP, EXAMPLES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_keep_their_lines_in_manual_pages() {
        let mut command = Arguments::command();
        command.build();
        for below in command.get_subcommands() {
            let page = rendered(below, "page").unwrap();
            assert!(!page.contains(".SH EXTRA"), "{page}");
            if below.get_after_help().is_some() {
                assert!(page.contains(EXAMPLES), "{page}");
            }
        }
    }

    #[test]
    fn bash_completes_behind_every_command_that_it_recognises() {
        let script = script(Shell::Bash).unwrap();
        let recognised: Vec<&str> = script
            .lines()
            .filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"'))
            .filter(|command| !command.is_empty())
            .collect();
        assert!(recognised.len() > 20);
        for command in recognised {
            let case = format!("{command})");
            assert!(script.lines().any(|line| line.trim() == case), "{case}");
        }
    }
}
