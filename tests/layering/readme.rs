//! What README and `docs/` promise their readers: a first page that is short, and links that lead somewhere.

use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Most lines and words of the README, and the line by which both commands have been shown.
const MOST_LINES: usize = 200;
const MOST_WORDS: usize = 1400;
const COMMANDS_BY: usize = 40;
const COMMANDS: [&str; 2] = [
    "cargo run --release -- sweep --voltages 0.75:1.0:0.025",
    "cargo test --release",
];

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// Where the Markdown links and images of a text lead, web addresses and places on the same page left out.
fn local_links(text: &str) -> Vec<&str> {
    let ends = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let files = ends.map(|link| link.split('#').next().unwrap_or_default());
    files
        .filter(|file| !file.is_empty() && !file.contains("://"))
        .collect()
}

/// README, and every page of `docs/`.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![Path::new(ROOT).join("README.md")];
    for entry in std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            pages.push(path);
        }
    }
    pages
}

#[test]
fn the_readme_is_short_and_shows_both_commands_at_once() {
    let readme = text("README.md");
    let (lines, words) = (readme.lines().count(), readme.split_whitespace().count());
    assert!(lines <= MOST_LINES, "{lines} lines");
    assert!(words <= MOST_WORDS, "{words} words");
    let first: Vec<&str> = readme.lines().take(COMMANDS_BY).collect();
    for command in COMMANDS {
        let shown = first.iter().any(|line| line.starts_with(command));
        assert!(shown, "`{command}` is not in the first {COMMANDS_BY} lines");
    }
}

#[test]
fn badges_say_what_the_manifest_says() {
    let manifest = text("Cargo.toml");
    let value = |key: &str| {
        let line = manifest
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap_or_default();
        line.split('"').nth(1).unwrap_or_default().to_owned()
    };
    let rust = format!("Rust {} or newer", value("rust-version"));
    assert!(text("docs/images/badge-rust.svg").contains(&rust), "{rust}");
    assert!(text("README.md").contains(&rust), "{rust}");
    let licence = value("license").replace(" OR ", " or ");
    assert!(
        text("docs/images/badge-licence.svg").contains(&licence),
        "{licence}"
    );
}

#[test]
fn links_of_readme_and_docs_lead_to_files() {
    let mut broken = Vec::new();
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        let folder = page.parent().unwrap();
        for link in local_links(&text) {
            if !folder.join(link).exists() {
                broken.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn a_link_to_a_file_is_told_from_one_to_the_web_or_to_the_page() {
    let text = "![a](x/a.svg) [b](#b) [c](https://c.org/d) [d](d.md#e)";
    assert_eq!(local_links(text), ["x/a.svg", "d.md"]);
}
