//! The page: order of its parts, headings, figures, configuration and commands.

use super::{answer, differences, drawn, energy, interactive, protection, remarks, tables, Report};
use crate::figure::escape;

const STYLE: &str = include_str!("style.css");

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let mut body = String::new();
    body += &format!("<header><h1>{}</h1>", escape(&report.title));
    body += &format!(
        "<p class=\"run\">Run <code>{}</code>, wcat-explore {}</p></header>\n",
        escape(&report.run),
        escape(&report.version)
    );
    body += &section("answer", "Answer", &answer::answer(report));
    let explored = !report.summaries.is_empty();
    if explored {
        let content = interactive::section(&report.summaries);
        body +=
            &section("explore", "Explore the design points", &content).replacen('>', " hidden>", 1);
    }
    if !report.figures.is_empty() {
        body += &section("figures", "Figures", &figures(report));
    }
    body += &section(
        "savings",
        "Least energy at an accuracy loss",
        &tables::savings(report),
    );
    let protections = protection::protections(&report.summaries);
    if !protections.is_empty() {
        body += &section("protection", "Protections compared", &protections);
    }
    let differences = differences::differences(report);
    if !differences.is_empty() {
        body += &section("differences", "Methods compared chip by chip", &differences);
    }
    body += &section("frontier", "Pareto frontiers", &tables::frontiers(report));
    body += &section(
        "memory",
        "Memory and bit error rates",
        &(tables::memory(&report.summaries) + &drawn::drawn(&report.fault_counts)),
    );
    body += &section(
        "energy",
        "What the energies are made of",
        &energy::energies(report),
    );
    body += &section(
        "remarks",
        "What these numbers do and do not say",
        &remarks::remarks(report),
    );
    body += &section(
        "points",
        "All design points",
        &tables::summaries(&report.summaries),
    );
    body += &section("reproduce", "How to reproduce", &reproduce(report));
    let style = format!("{STYLE}{}", interactive::STYLE);
    let scripts = if explored {
        interactive::scripts(report)
    } else {
        String::new()
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{}</title>\n<style>{style}</style>\n</head>\n<body>\n<main>\n{body}</main>\n{scripts}</body>\n</html>\n",
        interactive::policy(&style),
        escape(&report.title)
    )
}

fn section(id: &str, heading: &str, content: &str) -> String {
    format!(
        "<section id=\"{id}\">\n<h2>{}</h2>\n{content}</section>\n",
        escape(heading)
    )
}

fn figures(report: &Report) -> String {
    let figure = |(i, figure): (usize, &crate::figure::Figure)| {
        format!(
            "<figure id=\"figure-{}\">\n<div class=\"scroll\">{}</div>\n<figcaption><b>Figure {}. {}.</b> {}</figcaption>\n</figure>\n",
            escape(figure.name),
            figure.svg,
            i + 1,
            escape(&figure.title),
            escape(&figure.caption)
        )
    };
    report.figures.iter().enumerate().map(figure).collect()
}

fn reproduce(report: &Report) -> String {
    let mut out = String::new();
    if !report.commands.is_empty() {
        let lines: Vec<String> = report.commands.iter().map(|line| escape(line)).collect();
        out += &format!(
            "<p>With wcat-explore {} these commands compute the run again. Given the same program on the same \
             instruction set, the tables come out byte for byte the same, whatever the threads and interruptions:</p>\n\
             <pre>{}</pre>\n",
            escape(&report.version),
            lines.join("\n")
        );
    }
    out += &format!(
        "<details><summary>Resolved configuration</summary>\n<pre>{}</pre>\n</details>\n",
        escape(report.configuration.trim_end())
    );
    out
}
