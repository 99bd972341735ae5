//! serde's messages and YAML values in the words of our errors: what was expected, what was found.

use super::document::describe;
use serde_yaml::Value;

/// What one of serde's messages says.
#[derive(Debug, PartialEq)]
pub(super) struct Said {
    /// A key below the place of the error, where the message names one.
    pub(super) below: Option<String>,
    /// The key is missing, so no layer sets it.
    pub(super) missing: bool,
    pub(super) expected: String,
    pub(super) found: String,
}

/// Rewrites a message of serde; `value` is what stands at the place of the error.
pub(super) fn rewrite(message: &str, value: Option<&Value>) -> Said {
    let said = |expected: String, found: String| Said {
        below: None,
        missing: false,
        expected,
        found,
    };
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let (name, known) = name_and_known(rest);
        let expected = match known.len() {
            0 => "no key".into(),
            1 => format!("the key {}", list(&known)),
            _ => format!("one of the keys {}", list(&known)),
        };
        return Said {
            below: Some(name.to_owned()),
            ..said(expected, guess(name, &known))
        };
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let (name, known) = name_and_known(rest);
        let one_of = if known.len() > 1 { "one of " } else { "" };
        return said(format!("{one_of}{}", list(&known)), guess(name, &known));
    }
    if let Some(rest) = message.strip_prefix("missing field ") {
        let below = Some(rest.trim_matches('`').to_owned());
        return Said {
            below,
            missing: true,
            ..said("a value".into(), "none".into())
        };
    }
    for head in ["invalid type: ", "invalid value: "] {
        if let Some((found, expected)) = message
            .strip_prefix(head)
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            let found = value.map_or_else(|| found.to_owned(), describe);
            return said(type_name(expected), found);
        }
    }
    if let Some((count, expected)) = message
        .strip_prefix("invalid length ")
        .and_then(|rest| rest.split_once(", expected "))
    {
        let found = value.map_or_else(|| format!("{count} items"), describe);
        return said(type_name(expected), found);
    }
    // our own checked types: `<what>: expected <expected>, found <found>`
    if let Some((what, rest)) = message.split_once(": expected ") {
        if let Some((expected, found)) = rest.rsplit_once(", found ") {
            let expected = if expected.contains(what) {
                expected.to_owned()
            } else {
                format!("{expected} ({what})")
            };
            return said(expected, found.to_owned());
        }
    }
    let found = value.map_or_else(|| "another value".into(), describe);
    if let Some(name) = message.strip_prefix("data did not match any variant of untagged enum ") {
        return said(format!("a value of one of the forms of {name}"), found);
    }
    said(format!("a valid value ({message})"), found)
}

/// `` `name`, expected one of `a`, `b` `` apart. The name is a stranger's, with commas and quotes of its own perhaps.
fn name_and_known(text: &str) -> (&str, Vec<&str>) {
    let text = text.strip_prefix('`').unwrap_or(text);
    let (name, known) = text
        .rsplit_once("`, expected ")
        .or_else(|| text.rsplit_once("`, there are no "))
        .unwrap_or((text, ""));
    (name, known.split('`').skip(1).step_by(2).collect())
}

fn list(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The unknown name, with the known one that it may have been meant for.
pub fn guess(name: &str, known: &[&str]) -> String {
    if name.len() > 100 {
        return format!("`{name}`"); // nobody meant a known one, and the distance costs the product of the lengths
    }
    let most = (name.chars().count() / 3).max(1);
    let begun = known.iter().find(|other| other.starts_with(name));
    let nearest = known.iter().map(|&other| (distance(name, other), other));
    match begun.map(|&other| (0, other)).or_else(|| nearest.min()) {
        Some((d, other)) if d <= most => format!("`{name}` (did you mean `{other}`?)"),
        _ => format!("`{name}`"),
    }
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// What serde calls a type, in plain words.
fn type_name(name: &str) -> String {
    let plain = match name {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, 0 or more",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "`true` or `false`",
        "a string" | "a borrowed string" | "path string" | "a character" => "text",
        "a sequence" => "a list",
        "fewer elements in sequence" => "a shorter list",
        "a map" => "keys with values",
        "a nonzero u8" | "a nonzero u16" | "a nonzero u32" | "a nonzero u64"
        | "a nonzero usize" => "a whole number, 1 or more",
        _ => return compound_name(name),
    };
    plain.into()
}

fn compound_name(name: &str) -> String {
    let size = ["a tuple of size ", "an array of length "]
        .iter()
        .find_map(|head| name.strip_prefix(head));
    if let Some(size) = size {
        let items = if size == "1" { "item" } else { "items" };
        return format!("a list of {size} {items}");
    }
    if let Some(kind) = name.strip_prefix("tuple struct ") {
        return kind
            .split_once(" with ")
            .map_or("a list".into(), |(_, count)| format!("a list with {count}"));
    }
    if name.starts_with("struct ") || name.starts_with("internally tagged enum ") {
        return "keys with values".into();
    }
    if name.starts_with("enum ")
        || name.starts_with("string or map")
        || name.ends_with(" enum")
        || name == "variant identifier"
    {
        return "a name".into();
    }
    name.into()
}
