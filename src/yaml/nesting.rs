//! How deep the collections of a YAML text lie in each other, found before a parser sees it: libyaml looks at every
//! open bracket for every token, so its time is the square of what nests.

/// Most collections that lie in each other, blocks and brackets together.
pub(super) const DEEPEST: usize = 100;

/// The line, from 1, on which a text passes [`DEEPEST`]. Linear in the text: one pass over its tokens as libyaml parts
/// them, which keeps no values. Brackets in comments, in quotes and in other scalars are none.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    let mut scanner = Scanner {
        bytes: text.as_bytes(),
        line: 1,
        ..Scanner::default()
    };
    scanner.passes(DEEPEST).then_some(scanner.line)
}

#[derive(Default)]
struct Scanner<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    column: usize,
    /// Open `[` and `{`.
    brackets: usize,
    /// Columns of the open blocks, ascending.
    blocks: Vec<usize>,
    /// Line and column of what may turn out to be a key.
    key: Option<(usize, usize)>,
}

impl Scanner<'_> {
    /// True where the collections at the cursor pass a depth; the cursor stays there.
    fn passes(&mut self, most: usize) -> bool {
        while self.skip_to_token() {
            let column = self.column;
            if self.brackets == 0 {
                while self.blocks.last().is_some_and(|block| *block > column) {
                    self.blocks.pop();
                }
            }
            let indicator = self.brackets > 0 || self.blank(1);
            match self.peek(0) {
                b'%' if column == 0 => self.skip_line(),
                b'-' | b'.' if self.at_document() => {
                    self.blocks.clear();
                    (0..3).for_each(|_| self.skip());
                }
                b'[' | b'{' => {
                    self.may_be_key();
                    self.brackets += 1;
                    self.skip();
                }
                b']' | b'}' => {
                    self.brackets = self.brackets.saturating_sub(1);
                    self.skip();
                }
                b',' if self.brackets > 0 => self.skip(),
                b'-' if self.blank(1) => self.enter(column),
                b'?' if indicator => self.enter(column),
                b':' if indicator => {
                    let key = self.key.filter(|(line, _)| *line == self.line);
                    self.enter(key.map_or(column, |(_, column)| column));
                }
                b'*' | b'&' => {
                    self.may_be_key();
                    self.skip();
                    while self.peek(0).is_ascii_alphanumeric()
                        || matches!(self.peek(0), b'_' | b'-')
                    {
                        self.skip();
                    }
                }
                b'!' => self.tag(),
                b'|' | b'>' if self.brackets == 0 => self.block_scalar(),
                quote @ (b'"' | b'\'') => self.quoted(quote),
                _ => self.plain(),
            }
            if self.brackets + self.blocks.len() > most {
                return true;
            }
        }
        false
    }

    /// The byte so far behind the cursor; 0 behind the end.
    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// Bytes of the line break so far behind the cursor; 0 where there is none.
    fn line_break(&self, ahead: usize) -> usize {
        match self.bytes.get(self.at + ahead..).unwrap_or_default() {
            [b'\r', b'\n', ..] | [0xc2, 0x85, ..] => 2,
            [b'\n' | b'\r', ..] => 1,
            [0xe2, 0x80, 0xa8 | 0xa9, ..] => 3,
            _ => 0,
        }
    }

    /// True where a space, a line break or the end stands so far behind the cursor.
    fn blank(&self, ahead: usize) -> bool {
        let ended = self.at + ahead >= self.bytes.len();
        ended || matches!(self.peek(ahead), b' ' | b'\t') || self.line_break(ahead) > 0
    }

    fn ended(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Moves by one byte, or over a whole line break.
    fn skip(&mut self) {
        match self.line_break(0) {
            0 => {
                // columns count characters: bytes that continue one have none
                self.column += usize::from(self.peek(0) & 0xc0 != 0x80);
                self.at += 1;
            }
            length => {
                self.at += length;
                self.line += 1;
                self.column = 0;
            }
        }
    }

    fn skip_line(&mut self) {
        while !self.ended() && self.line_break(0) == 0 {
            self.skip();
        }
    }

    /// Moves over spaces, line breaks and comments; false at the end of the text.
    fn skip_to_token(&mut self) -> bool {
        loop {
            match self.peek(0) {
                b' ' | b'\t' => self.skip(),
                b'#' => self.skip_line(),
                // a byte order mark is a space at the start of a line, nothing at the start of the text
                0xef if self.column == 0 && self.bytes[self.at..].starts_with(b"\xef\xbb\xbf") => {
                    self.column = usize::from(self.at > 0);
                    self.at += 3;
                }
                _ if self.line_break(0) > 0 => self.skip(),
                _ => return !self.ended(),
            }
        }
    }

    fn at_document(&self) -> bool {
        let start = &self.bytes[self.at..];
        self.column == 0
            && (start.starts_with(b"---") || start.starts_with(b"..."))
            && self.blank(3)
    }

    /// A key may begin at the cursor, unless one began before it on this line.
    fn may_be_key(&mut self) {
        if self.brackets == 0 && self.key.is_none_or(|(line, _)| line != self.line) {
            self.key = Some((self.line, self.column));
        }
    }

    /// An indicator that begins or continues a block at a column.
    fn enter(&mut self, column: usize) {
        if self.brackets == 0 && self.blocks.last().is_none_or(|block| *block < column) {
            self.blocks.push(column);
        }
        self.key = None;
        self.skip();
    }

    fn tag(&mut self) {
        self.may_be_key();
        self.skip();
        if self.peek(0) == b'<' {
            while !self.blank(0) && self.peek(0) != b'>' {
                self.skip();
            }
        }
        while !self.blank(0) && !matches!(self.peek(0), b',' | b'[' | b']' | b'{' | b'}') {
            self.skip();
        }
    }

    fn quoted(&mut self, quote: u8) {
        self.may_be_key();
        self.skip();
        while !self.ended() {
            let byte = self.peek(0);
            self.skip();
            if byte == b'\\' && quote == b'"'
                || byte == quote && quote == b'\'' && self.peek(0) == quote
            {
                self.skip();
            } else if byte == quote {
                return;
            }
        }
    }

    /// A scalar without quotes: to `: `, ` #`, in brackets to one of their signs, or to a line that is indented less.
    fn plain(&mut self) {
        self.may_be_key();
        let indent = self.blocks.last().map_or(0, |block| block + 1);
        let mut first = true;
        loop {
            if !first && (self.at_document() || self.peek(0) == b'#') {
                return;
            }
            while !self.blank(0) {
                let byte = self.peek(0);
                let ends = byte == b':' && self.blank(1)
                    || self.brackets > 0 && matches!(byte, b',' | b'[' | b']' | b'{' | b'}')
                    || self.brackets > 0 && byte == b':' && b",?[]{}".contains(&self.peek(1));
                if ends && !first {
                    return;
                }
                first = false;
                self.skip();
            }
            while !self.ended() && self.blank(0) {
                self.skip();
            }
            if self.ended() || self.brackets == 0 && self.column < indent {
                return;
            }
        }
    }

    /// A literal or folded scalar: every line that is indented as its first one.
    fn block_scalar(&mut self) {
        self.skip();
        let parent = self.blocks.last().copied();
        let mut indent = None;
        while matches!(self.peek(0), b'+' | b'-' | b'1'..=b'9') {
            if self.peek(0).is_ascii_digit() {
                indent = Some(parent.unwrap_or(0) + usize::from(self.peek(0) - b'0'));
            }
            self.skip();
        }
        self.skip_line();
        if !self.ended() {
            self.skip();
        }
        let (mut widest, least) = (0, parent.map_or(1, |parent| parent + 1));
        loop {
            while self.peek(0) == b' ' && indent.is_none_or(|indent| self.column < indent) {
                self.skip();
            }
            widest = widest.max(self.column);
            if self.line_break(0) > 0 {
                self.skip();
                continue;
            }
            let indent = *indent.get_or_insert(widest.max(least));
            if self.ended() || self.column != indent {
                return;
            }
            self.skip_line();
            if !self.ended() {
                self.skip();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The deepest nesting of a text.
    fn depth(text: &str) -> usize {
        let deeper = |most: &usize| {
            let mut scanner = Scanner {
                bytes: text.as_bytes(),
                at: 0,
                line: 1,
                column: 0,
                brackets: 0,
                blocks: Vec::new(),
                key: None,
            };
            scanner.passes(*most)
        };
        (0..1000).find(|most| !deeper(most)).unwrap()
    }

    #[test]
    fn brackets_and_blocks_count_together() {
        for (text, wanted) in [
            ("", 0),
            ("a", 0),
            ("a: 1\nb: 2", 1),
            ("a: [1, {b: 2}]", 3),
            ("a:\n  b:\n    c: 1\nd:\n  e: 1", 3),
            // a list that stands where its key stands counts with it
            ("a:\n- b:\n  - c: 1", 3),
            ("- - - 1", 3),
            ("? ? ? 1", 3),
            ("- - a: 1\n    b: 2\n  - c\n- d", 3),
            ("&x a: !!map {b: *x}", 2),
            ("[a, b]: [c]", 2),
            ("\"a\": 'b'\n'c': \"d\"", 1),
            // to libyaml a byte order mark is a column
            ("é: 1\n\u{feff}ü: 2", 2),
            ("a: [\n[\n[\n]]]", 4),
            ("a: 1\r\nb:\r\n  c: [1]\r\n", 3),
            ("a: 1\n--- \nb: [1]", 2),
            ("{a: b, ? c : d, \"e\":f}", 1),
        ] {
            assert_eq!(depth(text), wanted, "{text}");
        }
    }

    #[test]
    fn brackets_that_are_text_do_not_count() {
        let many = "[{".repeat(500);
        for text in [
            format!("a: \"{many}\""),
            format!("a: \"\\\"{many}\\\\\"\nb: 1"),
            format!("a: '{many}''{many}'"),
            format!("a: '\n\n {many}\n {many}'"),
            format!("# {many}\na: 1 # {many}\n"),
            format!("a: x{many}\n"),
            format!("a: x\n  {many}\n  y\nb: 1"),
            format!("a: |\n  {many}\n\n    {many}\nb: 1"),
            format!("a: >-  # {many}\n  {many}\n  # {many}\nb: 1"),
            format!("a:\n  b: |1\n   {many}\n   {many}\n  c: 1"),
            format!("- |+\n {many}\n- 1"),
            format!("a: !<{many}> x"),
        ] {
            assert!(depth(&text) <= 2, "{} in {text}", depth(&text));
        }
    }

    #[test]
    fn every_way_to_nest_is_bounded() {
        let n = 10_000;
        let growing =
            |piece: &str| -> String { (0..300).map(|i| " ".repeat(i) + piece + "\n").collect() };
        for text in [
            "[".repeat(n),
            "{a: ".repeat(n),
            format!("a: \"[\" # [\nb: {}", "[".repeat(n)),
            "- ".repeat(n),
            "? ".repeat(n),
            "- ? ".repeat(n),
            "!!seq [".repeat(n),
            "&a [".repeat(n),
            "[\n".repeat(n),
            growing("a:"),
            growing("-"),
            growing("?"),
            format!("a: |\n  x\n{}", growing("b:")),
            format!("'it''s': {}", "[".repeat(n)),
            format!("\"\\\"\": {}", "[".repeat(n)),
            format!("a: x\n# comment\nb: {}", "[".repeat(n)),
        ] {
            assert!(too_deep(&text).is_some(), "{}", &text[..40.min(text.len())]);
        }
        assert_eq!(
            too_deep(&format!("{}{}", "[".repeat(DEEPEST), "]".repeat(DEEPEST))),
            None
        );
        assert_eq!(
            too_deep(&format!("a: 1\n\nb: {}", "[".repeat(DEEPEST))),
            Some(3)
        );
    }
}
