//! The line of a key in a YAML text, for error messages; leaves reading the text to a YAML parser.

/// Line number, from 1, of the key that `path` leads to; list items are named by their index from 0.
///
/// Works on the text by indentation: block mappings, lists (`- key:`), quoted keys, comments and
/// block scalars. What lies inside a flow collection (`{...}`, `[...]`) resolves to the line of its
/// own key where that starts a line, else to the line on which the collection begins. None where
/// there is no such key, or where it comes through an alias. An empty path is the first line with content.
pub fn line_of_key(text: &str, path: &[&str]) -> Option<usize> {
    find(&entries(text), path)
}

/// A list item's dash, a key with what follows on its line, or another value.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind<'t> {
    Item,
    Key { name: &'t str, value: &'t str },
    Value(&'t str),
}

#[derive(Clone, Copy, Debug)]
struct Entry<'t> {
    line: usize,
    indent: usize,
    kind: Kind<'t>,
}

fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut found = Vec::new();
    let mut scalar: Option<usize> = None;
    for (number, line) in text.lines().enumerate() {
        let mut rest = line.trim_start_matches(' ');
        let mut indent = line.len() - rest.len();
        if rest.trim().is_empty() || scalar.is_some_and(|outer| indent > outer) {
            continue;
        }
        scalar = None;
        let outside = indent == 0 && ["---", "...", "%"].iter().any(|mark| rest.starts_with(mark));
        if outside || rest.starts_with('#') {
            continue;
        }
        let mut parent = indent;
        let mut push = |indent, kind| found.push(Entry { line: number + 1, indent, kind });
        while let Some(after) =
            rest.strip_prefix('-').filter(|after| after.is_empty() || after.starts_with(' '))
        {
            push(indent, Kind::Item);
            parent = indent;
            let inner = after.trim_start_matches(' ');
            indent += rest.len() - inner.len();
            rest = inner;
        }
        if rest.is_empty() || rest.starts_with('#') {
            continue;
        }
        let value = match split_key(rest) {
            Some((name, value)) => {
                push(indent, Kind::Key { name, value });
                parent = indent;
                value
            }
            None => {
                push(indent, Kind::Value(rest));
                rest
            }
        };
        if bare(value).starts_with(['|', '>']) {
            scalar = Some(parent);
        }
    }
    found
}

/// `name: value` apart; the name without its quotes.
fn split_key(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    if let Some(quote) = quote {
        let inner = &text[1..];
        let (name, after) = inner.split_once(quote)?;
        let value = after.trim_start().strip_prefix(':')?;
        return Some((name, value.trim()));
    }
    if text.starts_with(['{', '[', '}', ']', '#']) {
        return None;
    }
    let end = text
        .match_indices(':')
        .map(|(at, _)| at)
        .find(|at| matches!(text.as_bytes().get(at + 1), None | Some(b' ' | b'\t' | b'\r')))?;
    let name = text[..end].trim_end();
    (!name.contains(" #")).then(|| (name, text[end + 1..].trim()))
}

/// A value without its anchor and tag.
fn bare(mut value: &str) -> &str {
    while value.starts_with(['&', '!']) {
        value = value.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    }
    value
}

fn is_flow(value: &str) -> bool {
    bare(value).starts_with(['{', '['])
}

fn find(block: &[Entry<'_>], path: &[&str]) -> Option<usize> {
    let first = block.first()?;
    let Some((name, deeper)) = path.split_first() else { return Some(first.line) };
    let mine = |entry: &Entry<'_>| entry.indent == first.indent;
    let (at, value) =
        match first.kind {
            Kind::Value(value) => return is_flow(value).then_some(first.line),
            Kind::Item => {
                let index: usize = name.parse().ok()?;
                let is_item = |entry: &Entry<'_>| mine(entry) && entry.kind == Kind::Item;
                (block.iter().enumerate().filter(|(_, entry)| is_item(entry)).nth(index)?.0, "")
            }
            Kind::Key { .. } => block.iter().enumerate().filter(|(_, entry)| mine(entry)).find_map(
                |(at, entry)| match entry.kind {
                    Kind::Key { name: key, value } if key == *name => Some((at, value)),
                    _ => None,
                },
            )?,
        };
    let line = block[at].line;
    if deeper.is_empty() {
        return Some(line);
    }
    // a list may stand at the same indentation as its key
    let under_key = first.kind != Kind::Item;
    let inside = |entry: &&Entry<'_>| {
        entry.indent > first.indent || (under_key && mine(entry) && entry.kind == Kind::Item)
    };
    let children = &block[at + 1..];
    let children = &children[..children.iter().take_while(inside).count()];
    find(children, deeper).or_else(|| is_flow(value).then_some(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a comment: with a colon
---
name: sweep   # trailing
quantizer:
  method: wcat

  \"bits\": 4
  range: {init: mse, decay: 0.01}
note: |
  quantizer: not a key
  bits: neither
models:
- name: a
  layers: [1, 2]
- name: b
  layers:
    - skip: x
    -
      skip: y
grid:
  - - 1
    - 2
  - {voltage: 0.8}
flow: {
    inner: 1,
    other: 2 }
url: http://a:80
";

    fn line(path: &str) -> Option<usize> {
        let path: Vec<&str> = path.split('.').filter(|name| !name.is_empty()).collect();
        line_of_key(TEXT, &path)
    }

    #[test]
    fn keys_are_found_by_indentation() {
        for (path, expected) in [
            ("", 3),
            ("name", 3),
            ("quantizer", 4),
            ("quantizer.method", 5),
            ("quantizer.bits", 7),
            ("note", 9),
            ("url", 27),
        ] {
            assert_eq!(line(path), Some(expected), "{path}");
        }
        for path in ["bits", "method", "quantizer.name", "note.quantizer", "name.x", "url.http", "none"] {
            assert_eq!(line(path), None, "{path}");
        }
    }

    #[test]
    fn list_items_are_found_by_index() {
        for (path, expected) in [
            ("models", 12),
            ("models.0", 13),
            ("models.0.name", 13),
            ("models.1.name", 15),
            ("models.1.layers", 16),
            ("models.1.layers.0.skip", 17),
            ("models.1.layers.1", 18),
            ("models.1.layers.1.skip", 19),
            ("grid.0.1", 22),
        ] {
            assert_eq!(line(path), Some(expected), "{path}");
        }
        assert_eq!(line("models.2"), None);
        assert_eq!(line("models.name"), None);
    }

    #[test]
    fn flow_collections_resolve_to_a_line() {
        for (path, expected) in [
            ("quantizer.range.init", 8),
            ("models.0.layers.1", 14),
            ("grid.1.voltage", 23),
            ("flow.inner", 25),
            ("flow.other", 26),
            ("flow.third", 24),
        ] {
            assert_eq!(line(path), Some(expected), "{path}");
        }
        assert_eq!(line_of_key("{a: {b: 1}}", &["a", "b"]), Some(1));
    }

    #[test]
    fn any_text_is_survived() {
        for text in ["", "\n", "-", "- - -", ":", "\"", "'a", "\t- a:\r\n", "é: ü\n ß", "a: &x", "? b\n: c"]
        {
            let _ = line_of_key(text, &["a", "0"]);
        }
        assert_eq!(line_of_key("", &["a"]), None);
        assert_eq!(line_of_key("größe: 1\nä: &x !t {b: 1}\n", &["ä", "b"]), Some(2));
        assert_eq!(line_of_key("a:\r\n  b: 1\r\n", &["a", "b"]), Some(2));
    }
}
