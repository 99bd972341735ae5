//! One number of a foreign table: decimal point or comma, separators of thousands, an exponent, a unit behind it.

/// What may part groups of three digits beside point and comma.
const GROUPING: [char; 7] = ['\'', '’', '_', ' ', '\u{a0}', '\u{2009}', '\u{202f}'];
/// Greatest exponent that is read, either way.
const GREATEST_EXPONENT: i32 = 400;

const A_NUMBER: &str = "a number";
const ONE_READING: &str =
    "a number that has one reading: leave separators of thousands out, or write decimals with a point";

/// How large the numbers of a column can be: what `1,000` may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// Below a thousand: a single point or comma is a decimal sign.
    Small,
    /// Any: a single point is a decimal sign unless the file shows decimal commas.
    Any,
    /// Whole numbers: a single point or comma before three digits is read only where the file shows what it is.
    Count,
}

/// The decimal signs that the cells of a file show.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks {
    point: bool,
    comma: bool,
}

/// A number as it is written, in plain digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number<'t> {
    digits: String,
    exponent: i32,
    /// What stands behind it, without blanks around it; empty where nothing does.
    pub unit: &'t str,
}

impl Marks {
    /// Decimal points alone.
    pub(super) const POINT: Self = Self {
        point: true,
        comma: false,
    };

    /// Takes in what a cell shows, if it is a number.
    pub(super) fn look_at(&mut self, cell: &str) {
        let Some(parts) = Parts::of(cell) else { return };
        let sign = parts.decimal_sign().flatten();
        // dates and versions have signs too
        if parts.plain(sign).is_some() {
            self.point |= sign == Some('.');
            self.comma |= sign == Some(',');
        }
    }

    fn only(self) -> Option<char> {
        match (self.point, self.comma) {
            (true, false) => Some('.'),
            (false, true) => Some(','),
            _ => None,
        }
    }
}

impl<'t> Number<'t> {
    pub(super) fn read(text: &'t str, size: Size, marks: Marks) -> Result<Self, &'static str> {
        let parts = Parts::of(text).ok_or(A_NUMBER)?;
        let sign = match parts.decimal_sign() {
            Some(sign) => sign,
            None => parts.one_reading(size, marks).ok_or(ONE_READING)?,
        };
        Ok(Self {
            digits: parts.plain(sign).ok_or(A_NUMBER)?,
            exponent: parts.exponent,
            unit: parts.unit,
        })
    }

    /// The number times a power of ten, rounded once; never infinite.
    pub fn times_ten_to(&self, power: i32) -> Option<f64> {
        let text = format!("{}e{}", self.digits, self.exponent + power);
        text.parse().ok().filter(|x: &f64| x.is_finite())
    }

    /// The number where it is whole, 0 or more and at most `most`, itself at most 2^53.
    pub fn whole(&self, most: u64) -> Option<u64> {
        if self.exponent == 0 && self.digits.bytes().all(|b| b.is_ascii_digit()) {
            return self.digits.parse().ok().filter(|n| *n <= most);
        }
        let x = self.times_ten_to(0)?;
        let is_whole = x >= 0.0 && x.fract() == 0.0 && x <= most as f64;
        is_whole.then_some(x as u64)
    }
}

/// A number's text, taken apart.
struct Parts<'t> {
    negative: bool,
    mantissa: &'t str,
    exponent: i32,
    has_exponent: bool,
    unit: &'t str,
}

impl<'t> Parts<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let text = text.trim();
        let unsigned = text.strip_prefix(['+', '-', '−']).unwrap_or(text);
        let ends = |c: char| !(c.is_ascii_digit() || ".,".contains(c) || GROUPING.contains(&c));
        let (mantissa, rest) = unsigned.split_at(unsigned.find(ends).unwrap_or(unsigned.len()));
        let mantissa = mantissa.trim_end();
        let begins = mantissa.starts_with(|c: char| c.is_ascii_digit() || ".,".contains(c));
        if !begins || !mantissa.contains(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (exponent, unit) = match exponent(rest) {
            Some((exponent, unit)) => (Some(exponent), unit),
            None => (None, rest),
        };
        let reach = -GREATEST_EXPONENT..=GREATEST_EXPONENT;
        Some(Self {
            negative: text.starts_with(['-', '−']),
            mantissa,
            exponent: exponent.or(Some(0)).filter(|e| reach.contains(e))?,
            has_exponent: exponent.is_some(),
            unit: unit.trim(),
        })
    }

    /// The decimal sign, `None` inside where there is none; `None` where a single sign may part thousands as well.
    fn decimal_sign(&self) -> Option<Option<char>> {
        let count = |sign| self.mantissa.matches(sign).count();
        let sign = match (count('.'), count(',')) {
            (0, 0) => return Some(None),
            (1, 0) => '.',
            (0, 1) => ',',
            // several of one sign part thousands; of both, the last one is the decimal sign
            (_, 0) => return Some(Some(',')),
            (0, _) => return Some(Some('.')),
            _ => {
                return Some(
                    self.mantissa
                        .rfind(['.', ','])
                        .and_then(|at| self.mantissa[at..].chars().next()),
                )
            }
        };
        let grouped = self.mantissa.contains(GROUPING);
        let (before, after) = self.mantissa.split_once(sign)?;
        let like_thousands =
            (1..=3).contains(&before.len()) && !before.starts_with('0') && after.len() == 3;
        if like_thousands && !grouped && !self.has_exponent {
            None
        } else {
            Some(Some(sign))
        }
    }

    /// The decimal sign where it may part thousands: what the file shows, else what the size of the column allows.
    fn one_reading(&self, size: Size, marks: Marks) -> Option<Option<char>> {
        let sign = self.mantissa.chars().find(|c| ".,".contains(*c));
        match (marks.only(), size) {
            (Some(shown), _) => Some(Some(shown)),
            (None, Size::Small) => Some(sign),
            (None, Size::Any) if sign == Some('.') && !marks.comma => Some(sign),
            _ => None,
        }
    }

    /// Digits with a decimal point, `None` where groups have not three digits each.
    fn plain(&self, decimal: Option<char>) -> Option<String> {
        let (whole, fraction) = match decimal.and_then(|sign| self.mantissa.rsplit_once(sign)) {
            Some((whole, fraction)) => (whole, fraction),
            None => (self.mantissa, ""),
        };
        let groups: Vec<&str> = whole
            .split(|c| ".,".contains(c) || GROUPING.contains(&c))
            .collect();
        let signs: Vec<char> = whole.chars().filter(|c| !c.is_ascii_digit()).collect();
        let (first, others) = groups.split_first()?;
        let right = others.is_empty()
            || ((1..=3).contains(&first.len()) && others.iter().all(|group| group.len() == 3));
        // one sign for all groups
        let alike =
            signs.windows(2).all(|pair| pair[0] == pair[1]) && signs.first().copied() != decimal;
        if !right || (!signs.is_empty() && !alike) || !fraction.bytes().all(|b| b.is_ascii_digit())
        {
            return None;
        }
        let sign = if self.negative { "-" } else { "" };
        let point = if fraction.is_empty() { "" } else { "." };
        Some(format!("{sign}{}{point}{fraction}", groups.concat()))
    }
}

/// Exponent at the begin of a text, as `e-3`, and what follows.
fn exponent(text: &str) -> Option<(i32, &str)> {
    let rest = text.strip_prefix(['e', 'E'])?;
    let unsigned = rest.strip_prefix(['+', '-', '−']).unwrap_or(rest);
    let end = unsigned
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(unsigned.len());
    let (digits, unit) = unsigned.split_at(end);
    let value: i32 = digits.parse().ok()?;
    if rest.starts_with(['-', '−']) {
        Some((-value, unit))
    } else {
        Some((value, unit))
    }
}
