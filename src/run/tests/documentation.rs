//! Test: `docs/results-tables.md` lists the columns that the rows have.
//!
//! Names, order, types and words of every table come from its row; units and meanings are written by hand into the
//! same page and kept. `WCAT_RENEW_DOCS=1` writes the page anew; a column without a meaning fails.

use crate::analysis::{Answer, MethodDifference, MethodMean, ParetoRow, Summary};
use crate::answer::{AnswerRow, EvidenceRow, PartLoss};
use crate::attack::{AttackRow, AttackSummary, FlipRow};
use crate::explore::{ExploredPoint, Sensitivity};
use crate::sweep::{Design, EnergyRow, Timing, TrialRow};
use crate::table::{columns_of, Column, Kind, Record};
use std::collections::BTreeMap;
use std::path::Path;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/results-tables.md");
const HEAD: &str = "| column | type | unit or values | meaning |\n|---|---|---|---|\n";

/// Unit or values, and meaning, of a column.
type Words = (String, String);

fn of<R: Record>() -> Vec<Column> {
    columns_of::<R>().unwrap()
}

/// Columns that stand together in several tables, each named by its last one: what is said of them once.
fn shared() -> Vec<(&'static str, Vec<Column>)> {
    let design = of::<Design>();
    let costs = design.len() - 3;
    let attacked = of::<AttackRow>();
    vec![
        ("keys", design[..costs - 3].to_vec()),
        ("costs", design[costs..].to_vec()),
        ("attacked", attacked[..13].to_vec()),
    ]
}

/// Every table by the name of its block in the page.
fn tables() -> Vec<(&'static str, Vec<Column>)> {
    let mut tables = shared();
    tables.extend([
        ("designs", of::<Design>()),
        ("energy", of::<EnergyRow>()),
        ("summary", of::<Summary>()),
        ("trials", of::<TrialRow>()),
        ("pareto", of::<ParetoRow>()),
        ("answers", of::<Answer>()),
        ("methods", of::<MethodMean>()),
        ("differences", of::<MethodDifference>()),
        ("explored", of::<ExploredPoint>()),
        ("sensitivity", of::<Sensitivity>()),
        ("verdicts", of::<AnswerRow>()),
        ("evidence", of::<EvidenceRow>()),
        ("part_losses", of::<PartLoss>()),
        ("timing", of::<Timing>()),
        ("flips", of::<FlipRow>()),
        ("attacks", of::<AttackRow>()),
        ("attack_summary", of::<AttackSummary>()),
    ]);
    tables
}

fn type_of(column: &Column) -> String {
    let name = match column.kind {
        Kind::Text | Kind::Word(_) => "text",
        Kind::Count => "u64",
        Kind::Integer => "i64",
        Kind::Number(_) => "f64",
    };
    let mark = if column.optional { "?" } else { "" };
    format!("{name}{mark}")
}

/// The rows of a block by hand: what they say of each name.
fn words_of(block: &str) -> BTreeMap<String, Words> {
    let mut words = BTreeMap::new();
    for line in block.lines().skip(2) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", names, _, unit, meaning, ""] = cells[..] else {
            panic!("a row of four cells, found {line}")
        };
        for name in names.split(", ") {
            let name = name.trim_matches('`').to_owned();
            words.insert(name, (unit.to_owned(), meaning.to_owned()));
        }
    }
    words
}

/// The block of a table: columns that follow each other and have the same words share a row.
fn block(name: &str, columns: &[Column], words: &BTreeMap<String, Words>) -> String {
    let mut rows: Vec<(Vec<String>, Vec<String>, Words)> = Vec::new();
    let mut rest = columns;
    while let Some((column, others)) = rest.split_first() {
        let group = shared().into_iter().find(|(group, of_group)| {
            *group != name
                && rest.len() >= of_group.len()
                && rest.iter().zip(of_group).all(|(a, b)| a.name == b.name)
        });
        if let Some((group, of_group)) = group {
            let names = vec![format!("[{group}](#{group})")];
            rows.push((names, Vec::new(), (String::new(), String::new())));
            rest = &rest[of_group.len()..];
            continue;
        }
        rest = others;
        let (unit, meaning) = words.get(column.name).cloned().unwrap_or_default();
        assert!(
            !meaning.is_empty(),
            "`{}` of `{name}` has no meaning in {PAGE}",
            column.name
        );
        let unit = match column.kind {
            Kind::Word(words) => listed(words),
            _ => unit,
        };
        let (named, of_type) = (format!("`{}`", column.name), type_of(column));
        match rows.last_mut() {
            Some((names, types, said)) if *said == (unit.clone(), meaning.clone()) => {
                names.push(named);
                if types.last() != Some(&of_type) {
                    types.push(of_type);
                }
            }
            _ => rows.push((vec![named], vec![of_type], (unit, meaning))),
        }
    }
    let mut text = HEAD.to_owned();
    for (names, types, (unit, meaning)) in rows {
        let (names, types) = (names.join(", "), types.join(", "));
        let line = format!("| {names} | {types} | {unit} | {meaning} |\n");
        text += &line.replace("|  |", "| |").replace("|  |", "| |");
    }
    text
}

/// Words as code, with commas.
fn listed(words: &[&str]) -> String {
    let all: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    all.join(", ")
}

#[test]
fn the_page_of_tables_lists_the_columns_of_the_rows() {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let mut renewed = page.clone();
    for (name, columns) in tables() {
        let mark = format!("<!-- columns: {name} -->\n");
        let start = renewed.find(&mark).expect(&mark) + mark.len();
        let end = start + renewed[start..].find("\n\n").unwrap() + 1;
        let text = block(name, &columns, &words_of(&renewed[start..end]));
        renewed.replace_range(start..end, &text);
    }
    if std::env::var_os("WCAT_RENEW_DOCS").is_some() {
        crate::store::write_bytes(Path::new(PAGE), renewed.as_bytes()).unwrap();
    } else {
        assert!(
            renewed == page,
            "{PAGE} is not what the code says: WCAT_RENEW_DOCS=1 renews it"
        );
    }
}
