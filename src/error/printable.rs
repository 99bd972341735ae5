//! Foreign text as messages show it: cut to a length, what no terminal should get written out.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::path::Path;

/// Room for the words on what is left out.
const WORDS: usize = 40;

/// Text of a file, a name or a setting as messages show it: at most `most` characters (at least 80), where it is longer
/// with `...` and the number of characters left out. Control characters, line breaks, marks that turn the direction of
/// writing, and characters that cannot be seen stand as `\n` or `\u{..}`. What is shown already stays as it is.
///
/// ```
/// use wcat_explore::error::printable;
/// assert_eq!(printable("a\u{1b}[31mb\n", 80), r"a\u{1b}[31mb\n");
/// assert!(printable(&"x".repeat(100), 80).ends_with("x... (60 characters left out)"));
/// ```
pub fn printable(text: &str, most: usize) -> Cow<'_, str> {
    let written = |c: char| {
        if is_printable(c) {
            1
        } else {
            c.escape_debug().len()
        }
    };
    let (mut length, mut kept, mut kept_chars, mut plain) = (0, 0, 0, true);
    for (n, (at, c)) in text.char_indices().enumerate() {
        length += written(c);
        plain &= is_printable(c);
        if length <= most.saturating_sub(WORDS) {
            (kept, kept_chars) = (at + c.len_utf8(), n + 1);
        }
        if length > most {
            break;
        }
    }
    match (length > most, plain) {
        (false, true) => Cow::Borrowed(text),
        (false, false) => Cow::Owned(escaped(text)),
        (true, _) => {
            let left_out = text[kept..].chars().count();
            debug_assert_eq!(kept_chars + left_out, text.chars().count());
            Cow::Owned(format!(
                "{}... ({left_out} characters left out)",
                escaped(&text[..kept])
            ))
        }
    }
}

/// A path as messages show it: as [`printable`], but the end is kept, which has the file's name. Bytes that are no UTF-8
/// stand as `\xff`.
pub fn printable_path(path: &Path, most: usize) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        text += &escaped(chunk.valid());
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    let length = text.chars().count();
    if length <= most {
        return text;
    }
    let left_out = length - most.saturating_sub(WORDS);
    let end: String = text.chars().skip(left_out).collect();
    format!("({left_out} characters left out) ...{end}")
}

/// True for what a terminal shows as something that can be seen, and for the space.
pub fn is_printable(c: char) -> bool {
    if c.is_ascii() {
        return c == ' ' || c.is_ascii_graphic();
    }
    // letters and marks by their class, but nothing that can be seen: fillers, joiners, variation selectors
    let unseen = matches!(c,
        '\u{34f}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{ffa0}' | '\u{e0100}'..='\u{e01ef}');
    // behind a letter, where an accent of its own is no reason to write it out
    let mut behind_a_letter = String::from("a");
    behind_a_letter.push(c);
    !unseen && behind_a_letter.escape_debug().nth(1) == Some(c)
}

/// An argument as a shell reads it back, quoted where that is needed; what is no text, or cannot be seen, in the form
/// `$'..\xff'` of bash and others.
///
/// ```
/// use wcat_explore::error::shell_quoted;
/// assert_eq!(shell_quoted("my model.th".as_ref()), "'my model.th'");
/// ```
pub fn shell_quoted(argument: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    match argument.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_owned(),
        Some(text) if text.chars().all(is_printable) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let mut quoted = String::from("$'");
            for byte in argument.as_encoded_bytes() {
                match byte {
                    b'\'' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
                    b' '..=b'~' => quoted.push(char::from(*byte)),
                    byte => quoted += &format!("\\x{byte:02x}"),
                }
            }
            quoted + "'"
        }
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            out.push(c);
        } else if c.is_ascii() {
            out.extend(c.escape_debug());
        } else {
            out.extend(c.escape_unicode());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_written_out() {
        for (text, shown) in [
            (
                "plain text, ü, 漢字, é, e\u{301}, ✓",
                "plain text, ü, 漢字, é, e\u{301}, ✓",
            ),
            ("\"a\" 'b' \\", "\"a\" 'b' \\"),
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("a\r\nb\tc\0", r"a\r\nb\tc\0"),
            ("\u{202e}gpj.exe", r"\u{202e}gpj.exe"),
            ("a\u{200b}b\u{feff}\u{2066}", r"a\u{200b}b\u{feff}\u{2066}"),
            ("\u{9b}31m\u{85}\u{2028}", r"\u{9b}31m\u{85}\u{2028}"),
            ("\u{3164}\u{e0041}\u{fe0f}", r"\u{3164}\u{e0041}\u{fe0f}"),
        ] {
            assert_eq!(printable(text, 200), shown);
            assert_eq!(printable(shown, 200), shown, "shown twice");
        }
    }

    #[test]
    fn long_text_is_cut_and_says_by_how_much() {
        for text in [
            "x".repeat(100_000),
            "\u{1b}".repeat(100_000),
            "漢".repeat(100_000),
        ] {
            for most in [80, 400] {
                let shown = printable(&text, most).into_owned();
                assert!(shown.chars().count() <= most, "{shown}");
                assert!(shown.ends_with(" characters left out)"), "{shown}");
                assert_eq!(printable(&shown, most), shown, "shown twice");
            }
        }
        assert_eq!(printable(&"x".repeat(80), 80), "x".repeat(80));
        let cut = printable(&"x".repeat(81), 80).into_owned();
        assert_eq!(
            cut,
            format!("{}... (41 characters left out)", "x".repeat(40))
        );
    }

    #[test]
    fn a_path_keeps_its_file_name() {
        let long = Path::new("/a").join("b".repeat(5000)).join("model.pth");
        let shown = printable_path(&long, 100);
        assert!(
            shown.ends_with("b/model.pth") && shown.chars().count() <= 100,
            "{shown}"
        );
        assert!(
            shown.starts_with("(4953 characters left out) ..."),
            "{shown}"
        );
        assert_eq!(printable_path(Path::new("a/\u{1b}b"), 100), r"a/\u{1b}b");
    }

    #[test]
    fn arguments_are_quoted_where_a_shell_needs_it() {
        for (argument, shown) in [
            ("--model", "--model"),
            ("a b's ü", r"'a b'\''s ü'"),
            ("", "''"),
            ("a\nb'c\\", r"$'a\x0ab\'c\\'"),
        ] {
            assert_eq!(shell_quoted(OsStr::new(argument)), shown);
        }
    }

    #[cfg(unix)]
    #[test]
    fn bytes_that_are_no_text_stand_as_numbers() {
        use std::os::unix::ffi::OsStrExt;
        let path = Path::new(std::ffi::OsStr::from_bytes(b"n\xff\xfe\xc3.pth"));
        assert_eq!(printable_path(path, 100), r"n\xff\xfe\xc3.pth");
        assert_eq!(
            shell_quoted(OsStr::from_bytes(b"n\xff.pth")),
            r"$'n\xff.pth'"
        );
    }
}
