//! Foreign text in Markdown: names, titles, remarks, paths and commands stand as what they are, whatever is in them.

use askama::filters::Escaper;
use std::fmt;

/// Makes every text in a template of Markdown stand as what it is.
#[derive(Clone, Copy)]
pub(super) struct Markdown;

impl Escaper for Markdown {
    fn write_escaped_str<W: fmt::Write>(&self, mut out: W, text: &str) -> fmt::Result {
        out.write_str(&words(text))
    }
}

/// Text as it stands in a line of Markdown: nothing in it is markup, a tag, a link or the end of the line.
pub(super) fn words(text: &str) -> String {
    escaped(text, true)
}

/// The same where the text cannot be at the beginning of a line, as in a table.
pub(super) fn inline(text: &str) -> String {
    escaped(text, false)
}

fn escaped(text: &str, begins: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let letters: Vec<char> = text.chars().map(visible).collect();
    let word = |place: Option<usize>| {
        let letter = place.and_then(|place| letters.get(place));
        letter.is_some_and(|letter| letter.is_alphanumeric())
    };
    for (i, &letter) in letters.iter().enumerate() {
        let means = match letter {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '&' | '~' | '$' => true,
            // inside a word it is a letter
            '_' => !(word(i.checked_sub(1)) && word(Some(i + 1))),
            // at the beginning it would make a heading or a list
            '#' | '+' | '-' | '=' => begins && i == 0,
            '.' | ')' if begins => {
                let ends = letters.get(i + 1).is_none_or(|next| *next == ' ');
                ends && i > 0 && letters[..i].iter().all(char::is_ascii_digit)
            }
            _ => false,
        };
        if means {
            out.push('\\');
        }
        out.push(letter);
    }
    out
}

/// A control character as a blank or a sign that something stood there.
fn visible(letter: char) -> char {
    match letter {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        // invisible, or turns the direction of what follows
        '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}' => char::REPLACEMENT_CHARACTER,
        control if control.is_control() => char::REPLACEMENT_CHARACTER,
        other => other,
    }
}

/// Text in the type of code; where it holds what ends such a span, as plain words.
pub(super) fn code(text: &str) -> String {
    let plain = |letter: char| visible(letter) == letter && !matches!(letter, '`' | '|');
    if !text.trim().is_empty() && text.chars().all(plain) {
        format!("`{text}`")
    } else {
        words(text)
    }
}

/// A remark of a run: words, with what stands between two backquotes in the type of code.
pub(super) fn remark(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        return words(text);
    }
    let part = |(i, part): (usize, &&str)| match i % 2 {
        0 => words(part),
        _ => code(part),
    };
    parts.iter().enumerate().map(part).collect()
}

/// Lines in the type of code, in a fence that is longer than any in them; without the end of its last line.
pub(super) fn fence(language: &str, text: &str) -> String {
    let (mut longest, mut run) = (2, 0);
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        run = if letter == '`' { run + 1 } else { 0 };
        longest = longest.max(run);
        shown.push(if letter == '\n' {
            letter
        } else {
            visible(letter)
        });
    }
    let fence = "`".repeat(longest + 1);
    format!("{fence}{language}\n{shown}\n{fence}")
}

/// The target of a link: a path, with every letter that means something there written as its bytes.
pub(super) fn target(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'.'
            | b'_'
            | b'/'
            | b'+'
            | b','
            | b'='
            | b'@' => {
                out.push(char::from(byte));
            }
            other => out += &format!("%{other:02X}"),
        }
    }
    out
}

/// A link with its words.
pub(super) fn link(text: &str, path: &str) -> String {
    format!("[{}]({})", inline(text), target(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_is_markup() {
        let evil = "a|b`c`<img src=x>[l](u)*x* _y_ z_z &lt; $m$\n# h\u{202e}\u{1b}[31m";
        let written = words(evil);
        assert_eq!(
            written,
            "a|b\\`c\\`\\<img src=x\\>\\[l\\](u)\\*x\\* \\_y\\_ z_z \\&lt; \\$m\\$ # h\u{fffd}\u{fffd}\\[31m"
        );
        assert_eq!(words("- x"), "\\- x");
        assert_eq!(words("12. x"), "12\\. x");
        assert_eq!(words("0.1.0"), "0.1.0");
        assert_eq!(
            words("sram-14nm, 0.5 V (wcat_x)"),
            "sram-14nm, 0.5 V (wcat_x)"
        );
    }

    #[test]
    fn code_and_fences_cannot_be_left() {
        assert_eq!(code("run-1"), "`run-1`");
        assert_eq!(code("a`b"), "a\\`b");
        assert_eq!(code("a|b"), "a|b");
        assert_eq!(code("a\nb"), "a b");
        assert_eq!(remark("2 of `a_b` <x>"), "2 of `a_b` \\<x\\>");
        assert_eq!(remark("a`b"), "a\\`b");
        assert_eq!(fence("sh", "x"), "```sh\nx\n```");
        assert_eq!(fence("sh", "x\n```\n# y"), "````sh\nx\n```\n# y\n````");
    }

    #[test]
    fn the_target_of_a_link_is_a_path() {
        assert_eq!(target("../models/a_b-4.md"), "../models/a_b-4.md");
        assert_eq!(
            target("javascript:x(1) <\n"),
            "javascript%3Ax%281%29%20%3C%0A"
        );
    }
}
