//! In which settings two things differ that should be alike.

use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Settings that a message names.
const NAMED: usize = 4;
/// Most characters of a value.
const LONGEST: usize = 40;

/// The settings that differ as both have them, such as `seed 7` and `seed 8`; `None` where none does.
pub(super) fn difference(one: &impl Serialize, other: &impl Serialize) -> Option<(String, String)> {
    let (one, other) = (settings(one), settings(other));
    let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differ: Vec<&String> = keys
        .into_iter()
        .filter(|key| one.get(*key) != other.get(*key))
        .collect();
    if differ.is_empty() {
        return None;
    }
    let more = and_more(differ.len(), NAMED);
    let text = |all: &BTreeMap<String, String>| {
        let named = differ.iter().take(NAMED).map(|key| named(key, all));
        named.collect::<Vec<_>>().join(", ") + &more
    };
    Some((text(&one), text(&other)))
}

/// ` and 3 more`, where only so many of all are named.
pub(super) fn and_more(all: usize, named: usize) -> String {
    match all.saturating_sub(named) {
        0 => String::new(),
        more => format!(" and {more} more"),
    }
}

fn named(key: &str, all: &BTreeMap<String, String>) -> String {
    let Some(value) = all.get(key) else {
        return format!("no {key}");
    };
    let start: String = value.chars().take(LONGEST).collect();
    let cut = if start.len() < value.len() { "..." } else { "" };
    format!("{key} {start}{cut}")
}

/// Every setting by its path, such as `sweep.floor`; those that are null are none.
fn settings(of: &impl Serialize) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    // what JSON cannot hold has no settings to name
    flatten("", &serde_json::to_value(of).unwrap_or_default(), &mut all);
    all
}

fn flatten(path: &str, value: &Value, all: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (key, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(&format!("{path}{dot}{key}"), value, all);
            }
        }
        Value::String(text) => drop(all.insert(path.to_owned(), text.clone())),
        other => drop(all.insert(path.to_owned(), other.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_named_by_its_path_and_as_both_have_it() {
        let one = json!({"seed": 7, "floor": null, "sweep": {"chips": 4, "images": [1, 2]}});
        assert_eq!(difference(&one, &one.clone()), None);
        let other = json!({"seed": 8, "floor": 0.5, "sweep": {"chips": 4, "images": [1]}});
        assert_eq!(
            difference(&one, &other),
            Some((
                "no floor, seed 7, sweep.images [1,2]".into(),
                "floor 0.5, seed 8, sweep.images [1]".into()
            ))
        );
        let long = |last: char| json!({ "sha": format!("{}{last}", "é".repeat(60)) });
        let cut = format!("sha {}...", "é".repeat(40));
        assert_eq!(difference(&long('a'), &long('b')), Some((cut.clone(), cut)));
        let many = |n: u32| json!({"a": n, "b": n, "c": n, "d": n, "e": n, "f": n});
        let (one, _) = difference(&many(1), &many(2)).unwrap();
        assert_eq!(one, "a 1, b 1, c 1, d 1 and 2 more");
    }
}
