//! Conditions of Liberty (`when : "!CEN & (WEN[0] | GWEN)"`) with the pins that are known; what a pin means is said by
//! whoever asks.
//!
//! Operators by falling strength, as in the Liberty User Guide: `!` or `~` before and `'` behind; `^`; `&`, `*` or a
//! blank; `|` or `+`. Doubled `&&` and `||` are taken for the single ones.

/// Most parentheses inside each other.
const DEEPEST: usize = 32;
/// Longest condition, in bytes.
const LONGEST: usize = 1 << 16;

/// Truth of a condition; `None` where it depends on pins that are not known.
///
/// # Errors
/// What is expected, where it is no condition.
pub(super) fn truth(
    text: &str,
    level: &dyn Fn(&str) -> Option<bool>,
) -> Result<Option<bool>, String> {
    if text.len() > LONGEST {
        return Err(format!("a condition of at most {LONGEST} bytes"));
    }
    let mut condition = Condition { rest: text, level };
    let value = condition.any(0)?;
    if condition.next() != '\0' {
        return Err(format!("an operator before `{}`", condition.rest));
    }
    Ok(value)
}

struct Condition<'a> {
    rest: &'a str,
    level: &'a dyn Fn(&str) -> Option<bool>,
}

impl Condition<'_> {
    /// The next character that is no blank; NUL at the end.
    fn next(&mut self) -> char {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\r', '\n', '\\']);
        self.rest.chars().next().unwrap_or('\0')
    }

    /// Passes an operator, once or twice.
    fn pass(&mut self, operators: &[char]) -> bool {
        let next = self.next();
        if !operators.contains(&next) {
            return false;
        }
        self.rest = &self.rest[next.len_utf8()..];
        self.rest = self.rest.strip_prefix(next).unwrap_or(self.rest);
        true
    }

    fn any(&mut self, depth: usize) -> Result<Option<bool>, String> {
        let mut value = self.all(depth)?;
        while self.pass(&['|', '+']) {
            value = or(value, self.all(depth)?);
        }
        Ok(value)
    }

    fn all(&mut self, depth: usize) -> Result<Option<bool>, String> {
        let mut value = self.odd(depth)?;
        // a term behind a blank is joined by an `and` too
        while self.pass(&['&', '*']) || !")|+^\0".contains(self.next()) {
            value = not(or(not(value), not(self.odd(depth)?)));
        }
        Ok(value)
    }

    fn odd(&mut self, depth: usize) -> Result<Option<bool>, String> {
        let mut value = self.one(depth)?;
        while self.next() == '^' {
            self.rest = &self.rest[1..];
            let other = self.one(depth)?;
            value = value.zip(other).map(|(a, b)| a != b);
        }
        Ok(value)
    }

    fn one(&mut self, depth: usize) -> Result<Option<bool>, String> {
        let mut inverted = false;
        while matches!(self.next(), '!' | '~') {
            self.rest = &self.rest[1..];
            inverted = !inverted;
        }
        let mut value = if self.next() == '(' {
            if depth >= DEEPEST {
                return Err(format!("parentheses at most {DEEPEST} deep"));
            }
            self.rest = &self.rest[1..];
            let value = self.any(depth + 1)?;
            if self.next() != ')' {
                return Err("a closing parenthesis".into());
            }
            self.rest = &self.rest[1..];
            value
        } else {
            self.pin()?
        };
        while self.next() == '\'' {
            self.rest = &self.rest[1..];
            inverted = !inverted;
        }
        if inverted {
            value = not(value);
        }
        Ok(value)
    }

    fn pin(&mut self) -> Result<Option<bool>, String> {
        let is_name = |c: char| c.is_alphanumeric() || "_[]:.$<>".contains(c);
        let end = self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        match name {
            "" => Err("the name of a pin".into()),
            "0" => Ok(Some(false)),
            "1" => Ok(Some(true)),
            name => Ok((self.level)(name)),
        }
    }
}

fn not(a: Option<bool>) -> Option<bool> {
    a.map(|a| !a)
}

fn or(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(true), _) | (_, Some(true)) => Some(true),
        (Some(false), Some(false)) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `A` is 1, `B` is 0, others are not known.
    fn of(text: &str) -> Option<bool> {
        let level = |name: &str| match name {
            "A" | "A[3]" => Some(true),
            "B" => Some(false),
            _ => None,
        };
        truth(text, &level).unwrap()
    }

    #[test]
    fn operators_bind_as_liberty_says() {
        for (text, value) in [
            ("A", true),
            ("!A", false),
            ("A'", false),
            ("!A'", true),
            ("~B", true),
            ("A & B", false),
            ("A B", false),
            ("A !B", true),
            ("A*B'", true),
            ("A && !B || B", true),
            ("A | B & B", true),
            ("(A | B) & B", false),
            ("A ^ A & B", false),
            ("B | A ^ B", true),
            ("((!B) & (A[3]))", true),
            ("A & 1 + 0", true),
        ] {
            assert_eq!(of(text), Some(value), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_matters_only_where_it_decides() {
        assert_eq!(of("A | C"), Some(true));
        assert_eq!(of("B & C"), Some(false));
        assert_eq!(of("C & A"), None);
        assert_eq!(of("!C ^ A"), None);
        assert_eq!(of("!C | B"), None);
    }

    #[test]
    fn what_is_no_condition_says_what_is_missing() {
        for (text, expected) in [
            ("", "the name of a pin"),
            ("A &", "the name of a pin"),
            ("(A", "a closing parenthesis"),
            ("A)", "an operator before `)`"),
            ("A = 1", "the name of a pin"),
        ] {
            assert_eq!(truth(text, &|_| None), Err(expected.to_owned()), "{text}");
        }
        let deep = "(".repeat(10_000);
        assert_eq!(
            truth(&deep, &|_| None),
            Err("parentheses at most 32 deep".into())
        );
    }
}
