//! House rules that the compiler does not know, held by reading `src/` as text.
//!
//! The floors of the library, the crates that belong to one room, where may be printed, where
//! `unsafe` may stand, and the form of files. Every rule has a test that shows it can fail.
//! Rules that clippy knows stand in `Cargo.toml` and `clippy.toml`.

#![allow(clippy::unwrap_used)] // a test may stop at once

#[path = "layering/readme.rs"]
mod readme;
#[path = "layering/source.rs"]
mod source;

use source::{File, Token};
use std::path::Path;

/// Floors of the library from the ground up. A module may use modules on lower floors only, never a
/// floor-mate. The two lowest floors have steps of their own: `units` fails through `error`, and what
/// draws or tests by chance draws from `seed`.
const FLOORS: &[&[&str]] = &[
    // F0: failures; numbers that check themselves.
    &["error"],
    &["units"],
    // F1: chance; integer codes, statistics, matrix kernels, CPU or GPU, files.
    &["seed"],
    &["code", "stats", "kernel", "device", "store"],
    // rows to and from CSV and Parquet: which columns is said by the rooms that own the rows
    &["table"],
    // F2: which bits fail; YAML to layers and typed values.
    &["fault", "yaml"],
    // F3: quantisers with gradients; data sets.
    &["quant", "data"],
    // F4: networks of quantised layers and model files; memory models.
    &["net", "memory"],
    // F5: a trained network compiled for fast evaluation.
    &["engine"],
    // F6: the procedures and their row types.
    &["train", "sweep", "attack"],
    // F7: searches that call sweeps.
    &["explore", "answer"],
    // F8: what the rows of a run come to.
    &["analysis"],
    // F9: tables to SVG and PNG.
    &["figure"],
    // F10: every printed table; pages and documents from templates.
    &["report"],
    // F11: the rooms' specs as one experiment, and presets.
    &["config"],
    // F12: a configuration to folders: trains, sweeps, writes tables, figures, report.
    &["run"],
];

/// Where each dependency may be named; `bin` is the program. The longer of two names that begin alike comes first. A
/// dependency that is not here may be named nowhere.
const CRATES: &[(&str, &[&str])] = &[
    ("anyhow", &["bin"]),
    ("anstream", &["bin"]),
    ("argmin", &["memory"]),
    ("askama", &["report"]),
    ("base64", &["report"]),
    ("bytemuck", &["kernel"]),
    (
        "candle",
        &[
            "quant", "data", "net", "engine", "train", "attack", "seed", "device", "kernel", "run",
            "error", "explore", "sweep",
        ],
    ),
    ("clap", &["bin"]),
    ("crc32fast", &["table", "run"]),
    ("csv", &["table", "fault", "bin"]),
    ("ctrlc", &["bin"]),
    ("flate2", &["data"]),
    ("gemm", &[]),
    ("globset", &["fault", "quant", "explore"]),
    ("half", &["net"]),
    ("indicatif", &["bin"]),
    ("jpeg_decoder", &["data"]),
    ("mimalloc", &["bin"]),
    ("plotters", &["figure"]),
    ("png", &["data", "figure"]),
    ("polars", &["table"]),
    ("prost", &["net"]),
    ("pulp", &["kernel"]),
    ("rand", &["seed"]),
    (
        "rayon",
        &[
            "attack", "data", "engine", "kernel", "run", "sweep", "train", "bin",
        ],
    ),
    ("resvg", &["figure"]),
    ("safetensors", &["data", "net"]),
    (
        "serde_json",
        &[
            "data", "memory", "net", "report", "run", "sweep", "table", "train", "bin",
        ],
    ),
    ("serde_path_to_error", &["yaml"]),
    ("serde_yaml", &["yaml"]),
    (
        "serde",
        &[
            "units", "seed", "device", "stats", "store", "fault", "quant", "data", "net", "memory",
            "train", "sweep", "attack", "answer", "explore", "analysis", "figure", "report",
            "config", "run", "yaml", "bin",
        ],
    ),
    ("sha2", &["data", "report", "seed", "store"]),
    ("signal_hook", &["bin"]),
    ("statrs", &["memory", "stats"]),
    ("tar", &["data"]),
    ("tempfile", &["store", "data"]),
    ("thiserror", &["error"]),
    ("ureq", &["data"]),
    ("zip", &["data", "net", "store"]),
];

/// Rooms that open files of the system.
const FILES: &[&str] = &["store", "data", "run", "bin"];

/// Rooms that read the clock: what others take as long as is measured there.
const CLOCK: &[&str] = &["store", "run", "bin"];

/// Names that say nothing about what a file owns.
const EMPTY_NAMES: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "base", "misc", "types",
];

/// Most lines of a file, with its tests.
const MAX_LINES: usize = 800;

/// Most lines of the program's `main.rs`.
const MAX_MAIN_LINES: usize = 60;

// ---- the rules; each gives its breaches ----

fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// Names in the crate root that the path or group at `at` leads to; `*` and `self` as they stand.
fn names(file: &File, at: usize) -> Vec<&Token> {
    if file.word(at) != "{" {
        return file.tokens.get(at).into_iter().collect();
    }
    let (mut out, mut open, mut first) = (vec![], 0, true);
    for token in &file.tokens[at..] {
        match token.text.as_str() {
            "{" => open += 1,
            "}" => open -= 1,
            "," if open == 1 => first = true,
            _ if open == 1 && first => {
                out.push(token);
                first = false;
            }
            _ => {}
        }
        if open == 0 {
            break;
        }
    }
    out
}

/// Where paths of the crate root continue: after `crate::`, or after as many `super::` as there are
/// modules above.
fn roots(file: &File) -> Vec<usize> {
    let mut out = vec![];
    for at in 0..file.tokens.len() {
        if file.is(at, &["crate", ":", ":"]) {
            out.push(at + 3);
        }
        if file.word(at) == "super" && !file.continues(at) {
            let supers = (0..)
                .take_while(|i| file.is(at + 3 * i, &["super", ":", ":"]))
                .count();
            if supers == file.tokens[at].depth && supers > 0 {
                out.push(at + 3 * supers);
            }
        }
    }
    out
}

/// A module uses modules on lower floors only, in its tests too.
fn floors(file: &File) -> Vec<String> {
    let room = file.room();
    if room == "lib" || room == "bin" {
        return vec![];
    }
    let Some(here) = floor(room) else {
        return vec![file.at(1, &format!("`{room}` has no floor: add it to FLOORS"))];
    };
    let mut bad = vec![];
    for at in (0..file.tokens.len()).filter(|at| file.is(*at, &["crate", "as"])) {
        bad.push(file.at(
            file.tokens[at].line,
            "names the crate root: name the module",
        ));
    }
    for token in roots(file).into_iter().flat_map(|at| names(file, at)) {
        let used = token.text.as_str();
        let breach = match floor(used) {
            _ if used == room => continue,
            None if used == "*" || used == "self" => {
                "takes in the crate root: name the module".to_owned()
            }
            None => format!("`{used}` has no floor: add it to FLOORS, or name its module"),
            Some(there) if there < here => continue,
            Some(_) => format!("`{room}` uses `{used}`, which is not on a lower floor"),
        };
        bad.push(file.at(token.line, &breach));
    }
    bad
}

/// Crates are named in their rooms only; tests may use any.
fn crates(file: &File) -> Vec<String> {
    let mut bad = vec![];
    for (at, token) in file
        .tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !token.test)
    {
        let owner = CRATES.iter().find(|(name, _)| {
            token
                .text
                .strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        let Some((name, rooms)) = owner else { continue };
        let before = at.checked_sub(1).map_or("", |i| file.word(i));
        let named = !file.continues(at)
            && (file.is(at + 1, &[":", ":"]) || ["use", "crate"].contains(&before));
        if named && !rooms.contains(&file.room()) {
            bad.push(file.at(
                token.line,
                &format!("names `{name}`, which belongs to {}", rooms.join(" and ")),
            ));
        }
    }
    bad
}

/// The library does not go round the floors by its own name.
fn own_name(file: &File) -> Vec<String> {
    let mut bad = vec![];
    for (at, token) in file.tokens.iter().enumerate() {
        let named = token.text == "wcat_explore" && !file.continues(at);
        let renamed = file.is(at, &["extern", "crate", "self"]);
        if (named || renamed) && !["bin", "lib"].contains(&file.room()) {
            bad.push(file.at(token.line, "names the crate by its own name: write `crate`"));
        }
    }
    bad
}

/// Files of the system and the clock are touched in few rooms; tests may touch both.
fn system(file: &File) -> Vec<String> {
    let mut bad = vec![];
    for (at, token) in file
        .tokens
        .iter()
        .enumerate()
        .filter(|(_, token)| !token.test)
    {
        let word = token.text.as_str();
        let std_fs = file.is(at, &["std", ":", ":"])
            && names(file, at + 3).iter().any(|name| name.text == "fs");
        if (std_fs || word == "OpenOptions") && !FILES.contains(&file.room()) {
            let rooms = FILES.join(", ");
            bad.push(file.at(token.line, &format!("opens files: only {rooms} do")));
        }
        if ["Instant", "SystemTime"].contains(&word) && !CLOCK.contains(&file.room()) {
            let rooms = CLOCK.join(", ");
            bad.push(file.at(token.line, &format!("reads the clock: only {rooms} do")));
        }
    }
    bad
}

/// Dependencies of the manifest that have no rooms.
fn without_rooms(manifest: &str) -> Vec<String> {
    let mut of_library = false;
    let mut bad = vec![];
    for line in manifest.lines() {
        if line.starts_with('[') {
            of_library = line.ends_with("dependencies]") && !line.contains("dev-");
            continue;
        }
        let Some((name, _)) = line.split_once(" = ").filter(|_| of_library) else {
            continue;
        };
        let name = name.replace('-', "_");
        let known = CRATES.iter().any(|(known, _)| {
            name.strip_prefix(known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        });
        if !name.starts_with('#') && !known {
            bad.push(format!("`{name}` has no rooms: add it to CRATES"));
        }
    }
    bad
}

/// Only the program prints or ends the process. A skipped test may say so.
fn printing(file: &File) -> Vec<String> {
    if file.room() == "bin" {
        return vec![];
    }
    let mut bad = vec![];
    for (at, token) in file.tokens.iter().enumerate() {
        let word = token.text.as_str();
        let macros = ["println", "eprintln", "print", "eprint", "dbg"];
        let prints = macros.contains(&word) && file.word(at + 1) == "!";
        let streams =
            file.is(at, &["io", ":", ":", "stdout"]) || file.is(at, &["io", ":", ":", "stderr"]);
        let ends = file.is(at, &["process", ":", ":"])
            && names(file, at + 3)
                .iter()
                .any(|name| ["exit", "abort"].contains(&name.text.as_str()));
        if (prints || streams) && !token.test {
            bad.push(file.at(
                token.line,
                &format!("prints (`{word}`): only the program does"),
            ));
        }
        if ends {
            bad.push(file.at(token.line, "ends the process: only the program does"));
        }
    }
    bad
}

/// `unsafe`, and leave for it, stand nowhere.
fn unsafety(file: &File) -> Vec<String> {
    let words = file
        .tokens
        .iter()
        .filter(|token| ["unsafe", "unsafe_code"].contains(&token.text.as_str()));
    words
        .map(|token| file.at(token.line, &format!("`{}`: no file may", token.text)))
        .collect()
}

/// A file opens with a sentence on what it is for, has a telling name, and is not long.
fn form(file: &File) -> Vec<String> {
    let mut bad = vec![];
    let opening: Vec<&str> = file
        .text
        .lines()
        .map_while(|line| line.strip_prefix("//! "))
        .collect();
    let opening = opening.join(" ");
    if opening.split_whitespace().count() < 3 || !opening.contains('.') {
        bad.push(file.at(1, "does not open with a `//!` sentence on what it is for"));
    }
    let count = file.text.lines().count();
    let most = if file.path == "bin/wcat-explore/main.rs" {
        MAX_MAIN_LINES
    } else {
        MAX_LINES
    };
    if count > most {
        bad.push(file.at(count, &format!("{count} lines, {most} at most")));
    }
    for name in file
        .path
        .trim_end_matches(".rs")
        .split('/')
        .filter(|name| EMPTY_NAMES.contains(name))
    {
        bad.push(file.at(1, &format!("`{name}` does not say what the file owns")));
    }
    bad
}

/// Every room with a floor has code.
fn rooms(files: &[File]) -> Vec<String> {
    let without = FLOORS
        .concat()
        .into_iter()
        .filter(|room| !files.iter().any(|file| file.room() == *room));
    without
        .map(|room| format!("`{room}` has a floor, but src/ has no such module"))
        .collect()
}

// ---- the rules on the code as it is ----

fn walk(folder: &Path, prefix: &str, files: &mut Vec<File>) {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    for path in paths {
        let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
        if path.is_dir() {
            walk(&path, &format!("{name}/"), files);
        } else if name.ends_with(".rs") {
            files.push(File::new(&name, &std::fs::read_to_string(&path).unwrap()));
        }
    }
}

fn sources() -> Vec<File> {
    let mut files = vec![];
    walk(
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src")),
        "",
        &mut files,
    );
    assert!(
        files.iter().any(|file| file.path == "lib.rs"),
        "src/ was not read"
    );
    files
}

fn hold(rule: fn(&File) -> Vec<String>) {
    let bad: Vec<String> = sources().iter().flat_map(rule).collect();
    assert!(
        bad.is_empty(),
        "{} breaches:\n{}",
        bad.len(),
        bad.join("\n")
    );
}

#[test]
fn modules_use_only_lower_floors() {
    hold(floors);
}

#[test]
fn every_floor_is_inhabited() {
    let bad = rooms(&sources());
    assert!(bad.is_empty(), "\n{}", bad.join("\n"));
}

#[test]
fn crates_stay_in_their_rooms() {
    hold(crates);
}

#[test]
fn every_dependency_has_rooms() {
    let manifest = include_str!("../Cargo.toml");
    assert_eq!(without_rooms(manifest), Vec::<String>::new());
    let foreign = manifest.replace("[dependencies]", "[dependencies]\nforeign-crate = \"1\"");
    assert_eq!(without_rooms(&foreign).len(), 1);
}

#[test]
fn the_crate_is_not_named_by_its_own_name() {
    hold(own_name);
}

#[test]
fn files_and_the_clock_stay_in_their_rooms() {
    hold(system);
}

#[test]
fn only_the_program_prints_or_exits() {
    hold(printing);
}

#[test]
fn unsafe_stands_nowhere() {
    hold(unsafety);
}

#[test]
fn files_open_with_a_sentence_and_stay_short_and_well_named() {
    hold(form);
}

// ---- the rules can fail ----

/// Number of breaches of a rule in a text at a path.
fn breaches(rule: fn(&File) -> Vec<String>, path: &str, text: &str) -> usize {
    rule(&File::new(path, text)).len()
}

#[test]
fn a_use_of_the_same_or_a_higher_floor_is_a_breach() {
    for (path, text) in [
        ("net.rs", "use crate::train::Spec;"),
        ("net/mlp.rs", "fn f() { crate::memory::list() }"),
        ("code.rs", "pub use crate::{error::Error, stats};"),
        (
            "quant/layer.rs",
            "use crate::{\n    code::{self, Code},\n    error::Result,\n    net::{Model, Layer},\n};",
        ),
        ("net.rs", "use super::engine;"),
        ("net/mlp.rs", "use super::super::{units, engine::Net};"),
        ("net/mlp.rs", "mod a { mod b { fn f() { super::super::super::super::sweep::run() } } }"),
        ("store.rs", "#[cfg(test)] mod tests { use crate::stats::mean; }"),
        ("store.rs", "macro_rules! m { () => { $crate::sweep::f() } }"),
    ] {
        assert_eq!(breaches(floors, path, text), 1, "{path}: {text}");
    }
}

#[test]
fn a_use_of_a_lower_floor_or_of_the_own_module_is_none() {
    for (path, text) in [
        (
            "net.rs",
            "use crate::{code, quant::{Layer, engine}, error::{Error, Result}};\nuse crate::net::mlp;",
        ),
        ("net/mlp.rs", "use super::{train, Spec}; mod tests { use super::super::train; use super::*; }"),
        ("net.rs", "mod tests { use super::train; }"),
        ("net.rs", "pub(crate) fn f<'a>(x: &'a str) -> char { 'a' }"),
        ("bin/wcat-explore/main.rs", "use crate::args; use wcat_explore::run;"),
    ] {
        assert_eq!(breaches(floors, path, text), 0, "{path}: {text}");
    }
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = r####"
        /// See [`crate::train`]. // crate::run
        /* crate::sweep /* crate::run */ unsafe crate::train::f() */
        fn f() -> &'static str { "crate::sweep \" unsafe crate::run::f()" }
        const A: &str = r#"crate::train::f() " println!("")"#;
        const B: (&[u8], u8, char, char) = (b"crate::run::f()", b'"', '"', '\'');
        const C: &str = "polars::x";
    "####;
    for rule in [floors, crates, printing, unsafety] {
        assert_eq!(breaches(rule, "net.rs", text), 0);
    }
    assert_eq!(
        breaches(floors, "net.rs", &format!("{text} use crate::train;")),
        1,
        "code after them is read"
    );
}

#[test]
fn an_unknown_module_or_the_crate_root_is_a_breach() {
    assert_eq!(breaches(floors, "pytorch.rs", ""), 1);
    for text in [
        "use crate::pytorch::read;",
        "use crate::*;",
        "use crate::{self as root};",
        "use crate as root;",
    ] {
        assert_eq!(breaches(floors, "net.rs", text), 1, "{text}");
    }
}

#[test]
fn an_empty_floor_is_a_breach() {
    let all = |without: &str| {
        let rooms = FLOORS.concat().into_iter().filter(|room| *room != without);
        rooms
            .map(|room| File::new(&format!("{room}/x.rs"), ""))
            .collect::<Vec<_>>()
    };
    assert_eq!(rooms(&all("")).len(), 0);
    assert_eq!(rooms(&all("run")).len(), 1);
}

#[test]
fn a_crate_outside_its_room_is_a_breach() {
    for (name, homes) in CRATES {
        for text in [
            format!("use {name}::X;"),
            format!("use {name};"),
            format!("fn f() {{ ::{name}::f() }}"),
            format!("extern crate {name};"),
            format!("use {name}_core::X;"),
        ] {
            assert_eq!(breaches(crates, "nowhere/mlp.rs", &text), 1, "{text}");
            for home in *homes {
                assert_eq!(
                    breaches(crates, &format!("{home}/a.rs"), &text),
                    0,
                    "{text} in {home}"
                );
            }
        }
    }
    assert_eq!(
        breaches(
            crates,
            "net.rs",
            "let tar = x.tar; tar.finish(); crate::data::tar::f()"
        ),
        0
    );
}

#[test]
fn each_mutation_is_caught_by_its_rule() {
    for (rule, path, text) in [
        (
            crates as fn(&File) -> Vec<String>,
            "fault/map.rs",
            "use candle_core::Tensor;",
        ),
        (
            crates,
            "table/file.rs",
            "use candle_core::{Device, Tensor};",
        ),
        (crates, "report/page.rs", "use rayon::prelude::*;"),
        (
            crates,
            "sweep/monte_carlo.rs",
            "fn f() { rand::random::<u8>() }",
        ),
        (crates, "stats.rs", "use rand_chacha::ChaCha8Rng;"),
        (crates, "stats.rs", "use polars::prelude as p;"),
        (system, "sweep/row.rs", "use std::fs;"),
        (
            system,
            "sweep/row.rs",
            "use std::{collections::BTreeMap, fs::File};",
        ),
        (system, "sweep/row.rs", "fn f() { std::fs::read(path) }"),
        (system, "sweep/row.rs", "fn f(o: OpenOptions) {}"),
        (
            system,
            "fault/chip.rs",
            "use std::time::{Duration, Instant};",
        ),
        (
            system,
            "fault/chip.rs",
            "fn f() { std::time::SystemTime::now() }",
        ),
        (own_name, "net/mlp.rs", "use wcat_explore::train::Trainer;"),
        (
            own_name,
            "net/mlp.rs",
            "fn f() { wcat_explore::run::sweep() }",
        ),
        (own_name, "net/mlp.rs", "extern crate self as me;"),
        (floors, "net/mlp.rs", "fn f() { crate::run::sweep() }"),
        (floors, "net/mlp.rs", "use super::super::run;"),
        (
            floors,
            "net/mlp.rs",
            "use crate::{quant::Layer, run::{self, Quiet}};",
        ),
        (floors, "net/mlp.rs", "use crate::run as lower;"),
        (floors, "net/mlp.rs", "use crate::memory::MemoryModel;"), // on the same floor
        (printing, "net/mlp.rs", "fn f() { println!(\"x\") }"),
    ] {
        assert_eq!(breaches(rule, path, text), 1, "{path}: {text}");
    }
    let time = "fn f(clock: fn() -> f64, wait: std::time::Duration) {}";
    assert_eq!(breaches(system, "fault/chip.rs", time), 0);
    let test = "#[cfg(test)] mod tests { use std::fs; use std::time::Instant; use rand::Rng; }";
    assert_eq!(breaches(system, "fault/chip.rs", test), 0);
    assert_eq!(breaches(crates, "fault/chip.rs", test), 0);
}

#[test]
fn printing_and_exiting_outside_the_program_are_breaches() {
    for text in [
        "fn f() { println!(\"x\") }",
        "fn f() { std::eprint!(\"x\") }",
        "fn f() { std::process::exit(1) }",
        "use std::process::{exit, Command};",
        "#[cfg(test)] fn f() {} fn g() { print!(\"x\") }",
        "fn f() { std::io::stderr().flush() }",
    ] {
        assert_eq!(breaches(printing, "net.rs", text), 1, "{text}");
        assert_eq!(
            breaches(printing, "bin/wcat-explore/show.rs", text),
            0,
            "{text}"
        );
    }
    assert_eq!(
        breaches(
            printing,
            "net.rs",
            "#[cfg(test)] mod tests { fn f() { println!(\"skipped\") } }"
        ),
        0
    );
    assert_eq!(
        breaches(printing, "net/tests.rs", "fn f() { println!(\"skipped\") }"),
        0
    );
}

#[test]
fn unsafe_is_a_breach() {
    assert_eq!(
        breaches(unsafety, "kernel/conv.rs", "fn f() { unsafe { g() } }"),
        1
    );
    assert_eq!(
        breaches(
            unsafety,
            "bin/wcat-explore/main.rs",
            "#![allow(unsafe_code)]"
        ),
        1
    );
    assert_eq!(breaches(unsafety, "kernel/conv.rs", "fn unsafely() {}"), 0);
}

#[test]
fn a_file_without_sentence_too_long_or_badly_named_is_a_breach() {
    let opening = "//! What it is for.\n";
    assert_eq!(breaches(form, "net.rs", opening), 0);
    assert_eq!(breaches(form, "net.rs", "use std::fs;"), 1);
    assert_eq!(breaches(form, "net.rs", "//! net\n"), 1);
    assert_eq!(
        breaches(
            form,
            "net.rs",
            &format!("{opening}{}", "\n".repeat(MAX_LINES - 1))
        ),
        0
    );
    assert_eq!(
        breaches(
            form,
            "net.rs",
            &format!("{opening}{}", "\n".repeat(MAX_LINES))
        ),
        1
    );
    let main = "bin/wcat-explore/main.rs";
    assert_eq!(
        breaches(
            form,
            main,
            &format!("{opening}{}", "\n".repeat(MAX_MAIN_LINES))
        ),
        1
    );
    for name in EMPTY_NAMES {
        assert_eq!(breaches(form, &format!("net/{name}.rs"), opening), 1);
        assert_eq!(breaches(form, &format!("{name}/net.rs"), opening), 1);
    }
}
