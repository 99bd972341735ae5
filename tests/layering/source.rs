//! A source file as words and signs without comments, strings and characters. What they may say is
//! left to the rules.

/// A word (identifier, keyword, number) or a single sign; comments, strings and characters are gone.
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Modules between the crate root and here; 1 in `src/net.rs`.
    pub(crate) depth: usize,
    /// In a `tests` file or under `#[cfg(test)]`.
    pub(crate) test: bool,
}

/// A source file: its path under `src/` with `/`, its text, its tokens.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) text: String,
    pub(crate) tokens: Vec<Token>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let mut modules: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        if path == "lib.rs" || modules.last() == Some(&"mod") {
            modules.pop();
        }
        let test = modules.contains(&"tests");
        let mut tokens = lex(text);
        place(&mut tokens, modules.len(), test);
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            tokens,
        }
    }

    /// The top module that the file belongs to; `bin` for the program, `lib` for the crate root.
    pub(crate) fn room(&self) -> &str {
        self.path.split('/').next().unwrap().trim_end_matches(".rs")
    }

    pub(crate) fn at(&self, line: usize, what: &str) -> String {
        format!("src/{}:{line}: {what}", self.path)
    }

    pub(crate) fn word(&self, at: usize) -> &str {
        self.tokens.get(at).map_or("", |token| &token.text)
    }

    /// Whether the words at `at` are exactly these.
    pub(crate) fn is(&self, at: usize, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(i, word)| self.word(at + i) == *word)
    }

    /// Whether a path segment stands before `at`, so that the word at `at` does not start its path.
    pub(crate) fn continues(&self, at: usize) -> bool {
        let before = |back: usize| at.checked_sub(back).map_or("", |i| self.word(i));
        before(1) == "."
            || before(1) == ":"
                && before(2) == ":"
                && before(3).starts_with(|c| is_word(c) || c == '>')
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// End of a string that opens at `from` (`"` or `#`), with escapes unless raw.
fn string_end(chars: &[char], from: usize, raw: bool) -> usize {
    let hashes = chars[from..].iter().take_while(|c| **c == '#').count();
    let mut at = from + hashes + 1;
    while at < chars.len() {
        match chars[at] {
            '\\' if !raw => at += 1,
            '"' if chars[at + 1..].iter().take_while(|c| **c == '#').count() >= hashes => {
                return at + 1 + hashes
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// End of a comment that opens at `from`; block comments nest.
fn comment_end(chars: &[char], from: usize) -> usize {
    if chars[from + 1] == '/' {
        return from + chars[from..].iter().take_while(|c| **c != '\n').count();
    }
    let (mut at, mut open) = (from, 0);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => open += 1,
            ('*', Some('/')) => open -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if open == 0 {
            break;
        }
    }
    at
}

/// End of a character or byte, or of a lifetime's tick, at `from`.
fn tick_end(chars: &[char], from: usize) -> usize {
    match (chars.get(from + 1), chars.get(from + 2)) {
        (Some('\\'), _) => {
            let closing = chars[from + 3..].iter().position(|c| *c == '\'');
            closing.map_or(chars.len(), |i| from + 3 + i + 1)
        }
        (_, Some('\'')) => from + 3,
        _ => from + 1,
    }
}

fn lex(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let (mut tokens, mut at, mut line) = (vec![], 0, 1);
    while at < chars.len() {
        let (c, next) = (chars[at], chars.get(at + 1).copied());
        let mut word = None;
        let end = match c {
            '/' if matches!(next, Some('/' | '*')) => comment_end(&chars, at),
            '"' => string_end(&chars, at, false),
            '\'' => tick_end(&chars, at),
            c if c.is_whitespace() => at + 1,
            c if is_word(c) => {
                let end = at + chars[at..].iter().take_while(|c| is_word(**c)).count();
                let text: String = chars[at..end].iter().collect();
                let hashes = chars[end..].iter().take_while(|c| **c == '#').count();
                let quoted = chars.get(end + hashes) == Some(&'"');
                match text.as_str() {
                    "r" | "br" | "cr" if quoted => string_end(&chars, end, true),
                    "b" | "c" if quoted && hashes == 0 => string_end(&chars, end, false),
                    "b" if chars.get(end) == Some(&'\'') => tick_end(&chars, end),
                    _ => {
                        word = Some(text);
                        end
                    }
                }
            }
            c => {
                word = Some(c.to_string());
                at + 1
            }
        };
        tokens.extend(word.map(|text| Token {
            text,
            line,
            depth: 0,
            test: false,
        }));
        let end = end.min(chars.len());
        line += chars[at..end].iter().filter(|c| **c == '\n').count();
        at = end;
    }
    tokens
}

/// Fills in the depth of modules and what is test code.
fn place(tokens: &mut [Token], depth: usize, test: bool) {
    const CFG_TEST: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut open, mut coming) = (vec![(depth, test)], false);
    for at in 0..tokens.len() {
        let (depth, test) = *open.last().unwrap_or(&(depth, test));
        coming |= (0..7).all(|i| tokens.get(at + i).is_some_and(|t| t.text == CFG_TEST[i]));
        (tokens[at].depth, tokens[at].test) = (depth, test || coming);
        match tokens[at].text.as_str() {
            "{" => {
                let module = at >= 2 && tokens[at - 2].text == "mod";
                open.push((depth + usize::from(module), test || coming));
                coming = false;
            }
            "}" => drop(open.pop()),
            ";" => coming = false,
            _ => {}
        }
    }
}
