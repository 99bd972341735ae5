//! YAML of any nesting is answered at once.

use std::path::Path;
use std::time::{Duration, Instant};
use wcat_explore::config::Layer;
use wcat_explore::explore::groups;
use wcat_explore::memory::MemoryModel;

const SIZE: usize = 1 << 20;
/// A second on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(6);

/// Every reader of YAML on a text; the message of the first.
#[track_caller]
fn refusals(text: &str, names: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    wcat_explore::store::write_bytes(&path, text.as_bytes()).unwrap();
    let started = Instant::now();
    let message = Layer::file(&path).unwrap_err().to_string();
    groups(&path).unwrap_err();
    MemoryModel::parse(&path, text).unwrap_err();
    let took = started.elapsed();
    assert!(took < 3 * PATIENCE, "{names}: {took:?}");
    assert!(
        message.contains("a.yaml") && message.chars().count() < 2000,
        "{message}"
    );
    message
}

#[test]
fn a_megabyte_of_brackets_dashes_or_indentation_is_refused_at_once() {
    for (piece, name) in [
        ("[", "brackets"),
        ("{a: ", "braces"),
        ("- ", "dashes"),
        ("? ", "complex keys"),
        ("[\n", "brackets on lines"),
        ("&a [", "anchors"),
        ("!!seq [", "tags"),
        ("- {a: [", "all of them"),
    ] {
        for head in ["", "a: 1 # [\nb:\n  "] {
            let text = format!("{head}{}", piece.repeat((SIZE - head.len()) / piece.len()));
            let message = refusals(&text, name);
            assert!(
                message
                    .ends_with("expected at most 100 lists and mappings in each other, found more"),
                "{message}"
            );
        }
        let set = format!("a={}", piece.repeat(10_000));
        let message = Layer::set(&set).unwrap_err().to_string();
        assert!(
            message.starts_with("--set a=") && message.contains("in each other"),
            "{message}"
        );
    }
    for piece in ["a:", "-", "?"] {
        let lines = (0..1400).map(|i| " ".repeat(i) + piece + "\n");
        let message = refusals(&lines.collect::<String>(), piece);
        assert!(message.contains("in each other"), "{message}");
    }
}

#[test]
fn aliases_that_multiply_and_long_texts_are_answered_at_once() {
    let billion: String = std::iter::once("a: &a [x, x, x, x, x, x, x, x, x]\n".to_owned())
        .chain((b'b'..=b'z').map(|c| {
            let (this, before) = (char::from(c), char::from(c - 1));
            format!(
                "{this}: &{this} [{}]\n",
                vec![format!("*{before}"); 9].join(", ")
            )
        }))
        .collect();
    let merged: String = std::iter::once("a: &a {k: 1}\n".to_owned())
        .chain((1..5000).map(|i| format!("b{i}: &b{i} {{<<: *a, k{i}: 1}}\n")))
        .collect();
    let keys: String = (0..90_000).map(|i| format!("k{i}: 1\n")).collect();
    for (text, name) in [
        (billion, "billion laughs"),
        (merged, "merges"),
        (
            format!(
                "a: &a [{}]\nb: [{}]",
                "x, ".repeat(SIZE / 6),
                "*a, ".repeat(SIZE / 9)
            ),
            "square",
        ),
        (
            format!(
                "a: [{}]",
                (0..60_000).map(|i| format!("&a{i} 1,")).collect::<String>()
            ),
            "anchors",
        ),
        (keys, "keys"),
        (format!("{}: 1", "x".repeat(SIZE - 10)), "one key"),
        (
            format!("? {}\n: 1", "x".repeat(SIZE - 10)),
            "one complex key",
        ),
        (
            format!("a: \"{}", "\\n".repeat(SIZE / 2 - 10)),
            "open quote",
        ),
        ("a: 1\n".repeat(SIZE / 5), "one key again and again"),
        (
            format!("models:\n{}", "- {name: a}\n".repeat(SIZE / 13)),
            "list",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        wcat_explore::store::write_bytes(&path, text.as_bytes()).unwrap();
        let started = Instant::now();
        let _ = Layer::file(&path)
            .map(|layer| wcat_explore::config::Experiment::of_layers(&[layer]).unwrap_err());
        MemoryModel::parse(&path, &text).unwrap_err();
        let took = started.elapsed();
        assert!(took < 2 * PATIENCE, "{name}: {took:?}");
    }
}

#[test]
fn brackets_in_text_and_lists_of_any_length_still_load() {
    let many = "[{".repeat(10_000);
    let good = include_str!("../../memory_models/sram-14nm-chandramoorthy2019.yaml");
    for source in [
        format!("source: \"{many}\""),
        format!("source: '{many}'"),
        format!("# {many}\nsource: x # {many}"),
        format!("source: x{many}"),
        format!("source: |\n  {many}\n  {many}"),
    ] {
        let text: String = good
            .split_inclusive('\n')
            .map(|line| {
                if line.starts_with("source:") {
                    format!("{source}\n")
                } else {
                    line.to_owned()
                }
            })
            .collect();
        MemoryModel::parse(Path::new("m.yaml"), &text).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups.yaml");
    let text = format!("a: [{}]\nb: |\n  {many}\n", "x, ".repeat(10_000));
    wcat_explore::store::write_bytes(&path, text.as_bytes()).unwrap();
    assert!(groups(&path).unwrap_err().to_string().contains(":2: `b`"));
    let deep = format!("a: {}{}", "[".repeat(64), "]".repeat(64));
    wcat_explore::store::write_bytes(&path, deep.as_bytes()).unwrap();
    Layer::file(&path).unwrap();
}
