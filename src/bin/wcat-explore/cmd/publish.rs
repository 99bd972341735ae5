//! `publish`: one document of the results of several runs.

use super::sweep::command_line;
use crate::args::PublishArgs;
use crate::progress::Progress;
use crate::show;
use wcat_explore::run::{publish, Monitor, PublishRequest};

pub(crate) fn run(args: &PublishArgs, monitor: &Progress) -> anyhow::Result<()> {
    let request = PublishRequest {
        runs: args.runs.clone(),
        out: args.out.clone(),
        title: args.title.clone(),
        preface: args.preface.clone(),
        cards: args.cards,
        command: command_line(),
    };
    let published = publish(&request)?;
    for model in &published.missing {
        monitor.warn(&format!(
            "the model {model} is not below this folder where the run had it, or is another"
        ));
    }
    let unchecked = published.unchecked.iter();
    unchecked.for_each(|unchecked| monitor.note(unchecked));
    let cards = match published.cards.len() {
        0 => String::new(),
        n => format!(", {n} model cards beside their models"),
    };
    monitor.note(&format!("{} figures{cards}", published.figures.len()));
    show::path(&published.document)
}
