//! Values in Thrift's compact protocol, in which Parquet describes its content. What a value takes in memory is
//! bounded by the bytes it is read from, whatever lengths they claim.

/// Deepest nesting that is read; Parquet's own descriptions have 7 levels.
const DEEPEST: usize = 16;

/// A value.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    Flag(bool),
    Integer(i64),
    Double(f64),
    Bytes(&'a [u8]),
    /// A list or a set; a map as keys and values in turn.
    List(Vec<Value<'a>>),
    Fields(Fields<'a>),
}

impl<'a> Value<'a> {
    fn as_fields(&self) -> Option<&Fields<'a>> {
        match self {
            Self::Fields(fields) => Some(fields),
            _ => None,
        }
    }
}

/// A struct: its fields by number.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Fields<'a>(Vec<(i16, Value<'a>)>);

impl<'a> Fields<'a> {
    /// Takes a struct from the front of some bytes; `None` where they are none, or end too early.
    pub(super) fn take(bytes: &mut &'a [u8]) -> Option<Self> {
        fields(bytes, 0)
    }

    /// A field of any kind.
    pub(super) fn get(&self, number: i16) -> Option<&Value<'a>> {
        let mut all = self.0.iter();
        all.find(|(own, _)| *own == number).map(|(_, value)| value)
    }

    /// A whole number.
    pub(super) fn integer(&self, number: i16) -> Option<i64> {
        match self.get(number)? {
            Value::Integer(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number from 0.
    pub(super) fn size(&self, number: i16) -> Option<usize> {
        usize::try_from(self.integer(number)?).ok()
    }

    /// A truth value.
    pub(super) fn flag(&self, number: i16) -> Option<bool> {
        match self.get(number)? {
            Value::Flag(value) => Some(*value),
            _ => None,
        }
    }

    /// Text.
    pub(super) fn text(&self, number: i16) -> Option<&'a str> {
        match self.get(number)? {
            Value::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// A struct.
    pub(super) fn fields(&self, number: i16) -> Option<&Fields<'a>> {
        self.get(number)?.as_fields()
    }

    /// The structs of a list.
    pub(super) fn list(&self, number: i16) -> Option<Vec<&Fields<'a>>> {
        let Value::List(all) = self.get(number)? else {
            return None;
        };
        all.iter().map(Value::as_fields).collect()
    }
}

/// Takes `count` bytes from the front.
pub(super) fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (front, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(front)
}

fn byte(bytes: &mut &[u8]) -> Option<u8> {
    take(bytes, 1).map(|one| one[0])
}

/// Takes an unsigned number of 7 bits a byte, the lowest first.
pub(super) fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(bytes)?;
        value |= u64::from(next & 0x7f) << shift;
        if next < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Takes a number of either sign: 0, -1, 1, -2 and so on.
fn signed(bytes: &mut &[u8]) -> Option<i64> {
    let value = varint(bytes)?;
    Some((value >> 1) as i64 ^ -((value & 1) as i64))
}

fn fields<'a>(bytes: &mut &'a [u8], depth: usize) -> Option<Fields<'a>> {
    let mut all = Vec::new();
    let mut number = 0i16;
    loop {
        let head = byte(bytes)?;
        if head == 0 {
            return Some(Fields(all));
        }
        number = match head >> 4 {
            0 => i16::try_from(signed(bytes)?).ok()?,
            step => number.checked_add(i16::from(step))?,
        };
        let value = match head & 15 {
            1 => Value::Flag(true),
            2 => Value::Flag(false),
            kind => value(bytes, kind, depth)?,
        };
        all.push((number, value));
    }
}

/// Takes a value of a kind as it stands in lists, where a truth value is a byte.
fn value<'a>(bytes: &mut &'a [u8], kind: u8, depth: usize) -> Option<Value<'a>> {
    if depth > DEEPEST {
        return None;
    }
    Some(match kind {
        1 | 2 => Value::Flag(byte(bytes)? == 1),
        3 => Value::Integer(i64::from(byte(bytes)? as i8)),
        4..=6 => Value::Integer(signed(bytes)?),
        7 => Value::Double(f64::from_le_bytes(take(bytes, 8)?.try_into().ok()?)),
        8 => {
            let count = usize::try_from(varint(bytes)?).ok()?;
            Value::Bytes(take(bytes, count)?)
        }
        9 | 10 => {
            let head = byte(bytes)?;
            let count = match head >> 4 {
                15 => varint(bytes)?,
                few => u64::from(few),
            };
            // grows as elements are found, each of a byte at least
            let mut all = Vec::new();
            for _ in 0..count {
                all.push(value(bytes, head & 15, depth + 1)?);
            }
            Value::List(all)
        }
        11 => {
            let count = varint(bytes)?;
            let mut all = Vec::new();
            if count > 0 {
                let kinds = byte(bytes)?;
                for _ in 0..count {
                    all.push(value(bytes, kinds >> 4, depth + 1)?);
                    all.push(value(bytes, kinds & 15, depth + 1)?);
                }
            }
            Value::List(all)
        }
        12 => Value::Fields(fields(bytes, depth + 1)?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_by_number_and_kind() {
        // 1: i32 -3; 2: true; 17 (written out): "ab"; 18: list of two i64; 19: struct with 1: i8
        let bytes = [
            0x15, 5, 0x11, 0x08, 34, 2, b'a', b'b', 0x19, 0x26, 2, 4, 0x1c, 0x13, 7, 0, 0,
        ];
        let fields = Fields::take(&mut bytes.as_slice()).unwrap();
        assert_eq!(fields.integer(1), Some(-3));
        assert_eq!((fields.size(1), fields.flag(2)), (None, Some(true)));
        assert_eq!(fields.text(17), Some("ab"));
        let list = Value::List(vec![Value::Integer(1), Value::Integer(2)]);
        assert_eq!(fields.get(18), Some(&list));
        assert_eq!(fields.fields(19).unwrap().integer(1), Some(7));
        assert_eq!(fields.get(3), None);
    }

    #[test]
    fn lengths_beyond_the_bytes_and_deep_nesting_give_nothing() {
        let huge_list = [0x19, 0xf5, 0xff, 0xff, 0xff, 0xff, 0x0f, 0];
        let huge_bytes = [0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
        let nested = [0x1c; 100];
        for bytes in [&huge_list[..], &huge_bytes, &nested, &[0x15, 0xff], &[]] {
            assert_eq!(Fields::take(&mut &*bytes), None, "{bytes:?}");
        }
    }
}
