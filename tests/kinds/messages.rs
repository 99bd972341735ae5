//! Foreign text in messages is short and printable.

use crate::program::{Ended, Place};
use wcat_explore::error::is_printable;

const ESCAPES: &str = "\u{1b}[31m\u{1b}]0;title\u{7}\u{202e}\u{200b}";

#[track_caller]
fn refused(place: &Place, args: &[&str], named: &[&str]) -> Ended {
    let ended = place.run(args);
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.chars().count() < 2000,
        "{} characters",
        ended.stderr.chars().count()
    );
    let lines = ended.stderr.lines();
    assert!(
        lines.flat_map(str::chars).all(is_printable),
        "{}",
        ended.stderr
    );
    for name in named {
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
    }
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    ended
}

#[test]
fn foreign_text_of_every_reader_is_cut_and_escaped() {
    let place = Place::new();
    for foreign in ["x".repeat(100_000), ESCAPES.repeat(5_000)] {
        place.write("cells.csv", format!("voltage,faults,{foreign}\n0.5,1,2\n"));
        refused(
            &place,
            &["memory", "fit", "cells.csv", "--out", "a.yaml"],
            &["cells.csv:1"],
        );
        let quoted = foreign
            .escape_default()
            .to_string()
            .replace("\\u{1b}", "\\e")
            .replace("\\u{7}", "\\a");
        let quoted = quoted
            .replace("\\u{202e}", "\\u202e")
            .replace("\\u{200b}", "\\u200b");
        place.write("key.yaml", format!("sweep:\n  ? \"{quoted}\"\n  : 1\n"));
        refused(
            &place,
            &["sweep", "--dry-run", "--config", "key.yaml"],
            &["key.yaml:", "sweep"],
        );
        place.write("value.yaml", format!("seed: \"{quoted}\"\n"));
        refused(
            &place,
            &["sweep", "--dry-run", "--config", "value.yaml"],
            &["value.yaml:1", "`seed`"],
        );
        place.write("memory.yaml", format!("name: \"{quoted}\"\n"));
        refused(&place, &["memory", "show", "memory.yaml"], &["memory.yaml"]);
        let short: String = foreign.chars().take(20_000).collect();
        let set = format!("seed={short}");
        refused(
            &place,
            &["sweep", "--dry-run", "--set", &set],
            &["--set seed="],
        );
        refused(
            &place,
            &["sweep", "--dry-run", "--voltages", &short],
            &["--voltages"],
        );
        refused(&place, &["sweep", "--format", &short], &["--format"]);
        refused(&place, &["inspect", "--model", &short[..60]], &["error: "]);
        let header =
            serde_json::json!({ short: { "dtype": "F32", "shape": [1], "data_offsets": [0, 4] } })
                .to_string();
        let mut file = (header.len() as u64).to_le_bytes().to_vec();
        file.extend(header.as_bytes());
        file.extend([0; 4]);
        place.write("model.safetensors", file);
        refused(
            &place,
            &["inspect", "--model", "model.safetensors"],
            &["model.safetensors"],
        );
    }
}

#[test]
fn tables_are_printable_and_records_as_they_are() {
    let place = Place::new();
    let text = include_str!("../../memory_models/sram-14nm-chandramoorthy2019.yaml");
    let titled: String = text
        .split_inclusive('\n')
        .map(|line| {
            if line.starts_with("title:") {
                "title: \"a \\e[31mred\\e[0m title\"\n".to_owned()
            } else {
                line.to_owned()
            }
        })
        .collect();
    place.write("memory.yaml", titled);
    let shown = place.done(&["memory", "show", "memory.yaml"]).stdout;
    assert!(shown.contains(r"a \u{1b}[31mred\u{1b}[0m title"), "{shown}");
    assert!(
        shown.lines().flat_map(str::chars).all(is_printable),
        "{shown}"
    );
}
