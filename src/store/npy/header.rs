//! The header of a `.npy` file: a Python dictionary of three keys, read without Python.

/// Longest header, in bytes: NumPy itself reads no more than 10,000 characters unasked.
pub(super) const LONGEST: usize = 1 << 16;
/// Most dimensions that are read.
const MOST_DIMENSIONS: usize = 8;

/// Why an array was not read: what was expected, what was found.
pub(super) type Refusal = (String, String);

pub(super) fn refused<T>(
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Result<T, Refusal> {
    Err((expected.into(), found.into()))
}

/// Types of values that a reader takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    /// Booleans and integers.
    Integers,
    /// Those and floating-point numbers of 4 and 8 bytes.
    Numbers,
}

/// What the header says of the array.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) boolean: bool,
    pub(super) float: bool,
    pub(super) signed: bool,
    /// Bytes of a value: 1, 2, 4 or 8.
    pub(super) width: usize,
    pub(super) big_endian: bool,
    /// The first dimension runs fastest.
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Header and data of what follows the magic bytes.
    pub(super) fn split(rest: &[u8], takes: Takes) -> Result<(Self, &[u8]), Refusal> {
        let (length, rest) = match rest {
            [1, _, a, b, rest @ ..] => (usize::from(u16::from_le_bytes([*a, *b])), rest),
            [2 | 3, _, a, b, c, d, rest @ ..] => {
                (u32::from_le_bytes([*a, *b, *c, *d]) as usize, rest)
            }
            _ => {
                return refused(
                    "version 1, 2 or 3 of the NumPy format",
                    "another version, or a torn file",
                )
            }
        };
        let Some((header, data)) = rest.split_at_checked(length).filter(|_| length <= LONGEST)
        else {
            return refused("a whole header", "a torn file");
        };
        Ok((Self::read(&String::from_utf8_lossy(header), takes)?, data))
    }

    fn read(text: &str, takes: Takes) -> Result<Self, Refusal> {
        let value = |key: &str| {
            let mut quoted = ["'", "\""]
                .iter()
                .map(|quote| format!("{quote}{key}{quote}"));
            let (_, rest) = quoted.find_map(|quoted| text.split_once(&quoted))?;
            Some(rest.trim_start().strip_prefix(':')?.trim_start())
        };
        let (Some(descr), Some(order), Some(shape)) =
            (value("descr"), value("fortran_order"), value("shape"))
        else {
            return refused(
                "a header with descr, fortran_order and shape",
                "another header",
            );
        };
        let fortran_order = order.starts_with("True");
        if !fortran_order && !order.starts_with("False") {
            return refused("`fortran_order` of True or False", shown(order));
        }
        let element = Self {
            boolean: false,
            float: false,
            signed: false,
            width: 1,
            big_endian: false,
            fortran_order,
            shape: lengths(shape)?,
        };
        element.of_type(descr, takes)
    }

    /// The header with the type that `descr` names, as `'<i8'`.
    fn of_type(self, descr: &str, takes: Takes) -> Result<Self, Refusal> {
        let expected = match takes {
            Takes::Integers => "an array of booleans or integers",
            Takes::Numbers => "an array of float32, float64, uint8 or other integers",
        };
        let quote = descr.chars().next().filter(|c| ['\'', '"'].contains(c));
        let Some(name) = quote.and_then(|quote| Some(descr[1..].split_once(quote)?.0)) else {
            return refused(expected, format!("a structured array, {}", shown(descr)));
        };
        let plain = name.trim_start_matches(['<', '>', '|', '=']);
        let width = plain.get(1..).and_then(|width| width.parse().ok());
        let integer = |signed| Self {
            signed,
            width: width.unwrap_or(1),
            big_endian: name.starts_with('>'),
            ..self
        };
        Ok(match plain {
            "b1" | "?" => Self {
                boolean: true,
                ..integer(false)
            },
            "u1" | "u2" | "u4" | "u8" => integer(false),
            "i1" | "i2" | "i4" | "i8" => integer(true),
            "f4" | "f8" if takes == Takes::Numbers => Self {
                float: true,
                ..integer(true)
            },
            _ => {
                let kind = match plain.chars().next() {
                    Some('f' | 'c') => "floating-point numbers",
                    Some('O') => "Python objects, which are not loaded",
                    Some('U' | 'S' | 'a') => "text",
                    _ => "another type",
                };
                let advice = "; make it one in NumPy with `.astype`";
                return refused(
                    format!("{expected}{advice}"),
                    format!("{kind}, {}", shown(&format!("'{name}'"))),
                );
            }
        })
    }

    /// Number of values; `None` where it passes every memory.
    pub(super) fn cells(&self) -> Option<usize> {
        self.shape
            .iter()
            .try_fold(1usize, |cells, length| cells.checked_mul(*length))
    }
}

/// The numbers of a tuple, as `(3, 4)`, `(3,)` or `()`; Python 2 wrote `3L`.
fn lengths(text: &str) -> Result<Vec<usize>, Refusal> {
    let inside = text
        .strip_prefix('(')
        .and_then(|rest| rest.split_once(')'))
        .map(|(inside, _)| inside);
    let lengths = inside.and_then(|inside| {
        let numbers = inside.split(',').map(str::trim).filter(|n| !n.is_empty());
        numbers
            .map(|number| number.trim_end_matches('L').parse().ok())
            .collect::<Option<Vec<usize>>>()
    });
    match lengths.filter(|lengths| lengths.len() <= MOST_DIMENSIONS) {
        Some(lengths) => Ok(lengths),
        None => refused("a shape of at most 8 dimensions", shown(text)),
    }
}

/// The start of a header's text, printable.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(20).collect();
    format!("{}...", start.escape_debug())
}
