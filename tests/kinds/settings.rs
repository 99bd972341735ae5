//! The key lists of `docs/configuration.md` are those of the settings' own types: names and meaning from their source,
//! what a key takes from the message that a wrong value gets, the default from the default.
//!
//! `WCAT_RENEW_DOCS=1 cargo test --release --test kinds settings` writes them anew.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use wcat_explore::answer::AnswerSpec;
use wcat_explore::config::{Experiment, Layer};
use wcat_explore::error::Error;

/// A list stands between the mark with the name of its key (none for those beside `name`) and the end.
const MARK: &str = "<!-- keys of: ";
const END: &str = "<!-- end of keys, made by tests/kinds/settings.rs -->";

/// A public field of a struct: its name in files, its type and its documentation.
struct Field {
    name: String,
    kind: String,
    meaning: String,
}

impl Field {
    /// Its type, where it has a value.
    fn some(&self) -> &str {
        self.kind
            .trim_start_matches("Option<")
            .trim_end_matches('>')
    }
}

/// The public fields of every struct of settings, by its name: those that refuse unknown keys.
fn structs(folder: &Path, all: &mut BTreeMap<String, Vec<Field>>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            structs(&path, all);
            continue;
        }
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let mut of: Option<String> = None;
        let (mut meaning, mut renamed, mut is_setting) = (String::new(), None, false);
        for line in text.lines() {
            if let Some(name) = line
                .strip_prefix("pub struct ")
                .and_then(|l| l.strip_suffix(" {"))
            {
                of = Some(name.to_owned()).filter(|_| is_setting);
            } else if line.starts_with("#[serde(") {
                is_setting = line.contains("deny_unknown_fields");
            } else if line == "}" {
                (of, is_setting) = (None, false);
            }
            let (Some(of), Some(line)) = (&of, line.strip_prefix("    ")) else {
                continue;
            };
            if let Some(words) = line.strip_prefix("/// ") {
                let space = if meaning.is_empty() { "" } else { " " };
                meaning += &format!("{space}{words}");
            } else if let Some(name) = line.strip_prefix("#[serde(rename = \"") {
                renamed = Some(name.trim_end_matches("\")]").to_owned());
            } else if let Some((name, kind)) =
                line.strip_prefix("pub ").and_then(|l| l.split_once(": "))
            {
                all.entry(of.clone()).or_default().push(Field {
                    name: renamed.take().unwrap_or_else(|| name.to_owned()),
                    kind: kind.trim_end_matches(',').to_owned(),
                    meaning: std::mem::take(&mut meaning),
                });
            }
        }
    }
}

/// What a key takes, as the message says that refuses another value; `None` where the message is about something else.
fn expected(key: &str, wrong: &str) -> Option<String> {
    let layers = [
        Layer::built_in("none", "").unwrap(),
        Layer::set(&format!("{key}={wrong}")).unwrap(),
    ];
    match Experiment::of_layers(&layers).err()? {
        Error::Argument { what, expected, .. }
            if what == format!("--set {key}={wrong}")
                && !expected.starts_with("to be left out") =>
        {
            Some(expected)
        }
        _ => None,
    }
}

/// The type in the words of the messages, with the range where a number beyond it tells one.
fn takes(key: &str) -> String {
    let kind = expected(key, "'?'").unwrap_or_else(|| "text".into());
    let beyond: &[&str] = match kind.as_str() {
        kind if kind.starts_with("a number") => &[".nan"],
        kind if kind.starts_with("a whole number") => &["0", "4294967295"],
        _ => &[],
    };
    let range = beyond.iter().find_map(|wrong| expected(key, wrong));
    let words = range.unwrap_or(kind);
    let words = match words.rsplit_once(" (") {
        // what the number is, which the name of the key says
        Some((words, what)) if what.ends_with(')') => words,
        _ => &words,
    };
    let whole = [
        "a whole number, 0 or more",
        "a whole number from 0 to 4294967295",
    ];
    let words = if whole.contains(&words) {
        "a whole number"
    } else {
        words
    };
    words.to_owned()
}

/// Rows of the keys below `prefix`, those of nested mappings behind them.
fn rows(
    all: &BTreeMap<String, Vec<Field>>,
    of: &str,
    prefix: &str,
    defaults: &serde_json::Value,
) -> String {
    let mut text = String::new();
    for field in &all[of] {
        let key = format!("{prefix}{}", field.name);
        let default = defaults
            .get(&field.name)
            .unwrap_or(&serde_json::Value::Null);
        let kind = field.some();
        if all.contains_key(kind) {
            // those with a list of their own in the document
            if !prefix.is_empty() {
                text += &rows(all, kind, &format!("{key}."), default);
            }
            continue;
        }
        let shown = match default {
            serde_json::Value::Null => String::new(),
            value if value == &serde_json::json!([]) => "empty".into(),
            value => format!("`{}`", value.to_string().trim_matches('"')),
        };
        let cell = |text: &str| {
            text.replace('|', "\\|")
                .replace("[`", "`")
                .replace("`]", "`")
        };
        let short = key.split_once('.').map_or(key.as_str(), |(_, rest)| rest);
        let row = [
            format!("`{short}`"),
            takes(&key),
            shown,
            field.meaning.clone(),
        ];
        let row: Vec<String> = row.iter().map(|text| cell(text)).collect();
        writeln!(text, "| {} |", row.join(" | ")).unwrap();
    }
    text
}

#[test]
fn the_lists_of_keys_are_those_of_the_settings() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let document = root.join("docs/configuration.md");
    let text = std::fs::read_to_string(&document).unwrap();
    let mut all = BTreeMap::new();
    structs(&root.join("src"), &mut all);
    let mut defaults = serde_json::to_value(Experiment::default()).unwrap();
    // absent but in the command that reads it
    defaults["answer"] = serde_json::to_value(AnswerSpec::default()).unwrap();
    let mut parts = text.split(MARK);
    let mut made = parts.next().unwrap().to_owned();
    let mut listed = Vec::new();
    for part in parts {
        let (name, rest) = part.split_once(" -->").unwrap();
        let (_, rest) = rest.split_once(END).unwrap();
        let list = if name == "the top level" {
            rows(&all, "Experiment", "", &defaults)
        } else {
            let field = all["Experiment"].iter().find(|field| field.name == name);
            rows(
                &all,
                field.unwrap().some(),
                &format!("{name}."),
                &defaults[name],
            )
        };
        let head = "| key | takes | default | meaning |\n|---|---|---|---|\n";
        write!(made, "{MARK}{name} -->\n{head}{list}{END}{rest}").unwrap();
        listed.push(name);
    }
    for field in &all["Experiment"] {
        let is_mapping = all.contains_key(field.some());
        assert!(
            !is_mapping || listed.contains(&field.name.as_str()),
            "{}",
            field.name
        );
    }
    assert!(listed.contains(&"the top level"));
    if std::env::var_os("WCAT_RENEW_DOCS").is_some() {
        wcat_explore::store::write_bytes(&document, made.as_bytes()).unwrap();
    }
    let now = std::fs::read_to_string(&document).unwrap();
    assert!(
        now == made,
        "docs/configuration.md: the lists of keys are old; WCAT_RENEW_DOCS=1 renews them"
    );
}
