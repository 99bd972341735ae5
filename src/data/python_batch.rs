//! The pickled batches of CIFAR: an array of bytes and lists of labels; nothing in a file is executed.
//!
//! A pickle is a program for a stack machine (CPython, `pickletools`). Only what builds the dictionary of a batch is
//! understood, in protocols 1 to 5: numbers, texts, lists, tuples, dictionaries, and NumPy arrays of integers, which
//! are recognised by the names of their constructors. All else becomes a value without content.

use crate::error::{Error, Result};
use std::borrow::Cow;
use std::path::Path;

/// First bytes of a pickle: a protocol's number, an empty dictionary, a mark.
pub(super) const STARTS: [u8; 3] = [0x80, b'}', b'('];
/// Most values that a file may make: images, labels of two kinds and names.
const MOST_VALUES: usize = 8_000_000;
/// Longest piece of the stack machine's own text: a name of a module, a number.
const LONGEST_LINE: usize = 200;

/// Images, image after image, channel after channel, row after row, and their labels.
type Batch = (Vec<u8>, Vec<u16>);

/// Number of a value in the machine's store.
type Place = usize;

#[derive(Clone, Debug)]
enum Value<'a> {
    Other,
    Mark,
    Number(i64),
    Bytes(Cow<'a, [u8]>),
    List(Vec<Place>),
    Dictionary(Vec<(Place, Place)>),
    /// Module and name.
    Name(String),
    /// A NumPy type such as `u1`, and whether its bytes stand in the order of a big-endian machine.
    Type(String, bool),
    /// Shape, type, whether the first index runs fastest, content.
    Array(Option<(Place, Place, bool, Place)>),
}

#[derive(Default)]
struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Place>,
    memo: Vec<Option<Place>>,
}

/// Reads a batch whose images have `size` bytes: `data`, with `labels`, or `fine_labels` for CIFAR-100.
///
/// # Errors
/// [`Error::Input`] with the path where the file is damaged or no such batch.
pub(super) fn read(path: &Path, bytes: &[u8], size: usize) -> Result<Batch> {
    let mut machine = Machine {
        bytes,
        ..Machine::default()
    };
    let batch = machine.run().and_then(|top| machine.batch(top, size));
    batch.map_err(|found| {
        let expected = format!(
            "a Python batch of CIFAR: a dictionary of `data` (N x {size}, uint8) and `labels` or `fine_labels`"
        );
        Error::input(path, expected, found)
    })
}

/// A number from its bytes, the highest first.
fn whole<'b>(bytes: impl Iterator<Item = &'b u8>) -> u64 {
    bytes.fold(0, |n, byte| n << 8 | u64::from(*byte))
}

type Found<T> = std::result::Result<T, String>;

impl<'a> Machine<'a> {
    fn take(&mut self, length: usize) -> Found<&'a [u8]> {
        let piece = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.get(..length));
        let piece = piece.ok_or_else(|| format!("an end after {} bytes", self.bytes.len()))?;
        self.at += length;
        Ok(piece)
    }

    /// A little-endian number of up to 8 bytes.
    fn number(&mut self, length: usize) -> Found<usize> {
        let number = whole(self.take(length)?.iter().rev());
        usize::try_from(number).map_err(|_| format!("a length of {number}"))
    }

    fn sized(&mut self, length: usize) -> Found<&'a [u8]> {
        let size = self.number(length)?;
        self.take(size)
    }

    fn line(&mut self) -> Found<String> {
        let rest = &self.bytes[self.at.min(self.bytes.len())..];
        let end = rest
            .iter()
            .take(LONGEST_LINE)
            .position(|byte| *byte == b'\n');
        let line = self.take(end.ok_or("a line without an end")?)?;
        self.at += 1;
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    fn push(&mut self, value: Value<'a>) -> Found<()> {
        if self.values.len() == MOST_VALUES || self.stack.len() == MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        self.stack.push(self.values.len());
        self.values.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Found<Place> {
        self.stack.pop().ok_or_else(|| "an empty stack".to_owned())
    }

    /// What was put on the stack since the last mark.
    fn since_mark(&mut self) -> Found<Vec<Place>> {
        let is_mark = |place: &Place| matches!(self.values[*place], Value::Mark);
        let mark = self.stack.iter().rposition(is_mark).ok_or("no mark")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn top(&mut self) -> Found<&mut Value<'a>> {
        let place = self.stack.last().ok_or("an empty stack")?;
        Ok(&mut self.values[*place])
    }

    fn tuple(&mut self, length: usize) -> Found<()> {
        let from = self
            .stack
            .len()
            .checked_sub(length)
            .ok_or("an empty stack")?;
        let items = self.stack.split_off(from);
        self.push(Value::List(items))
    }

    fn put(&mut self, place: usize) -> Found<()> {
        let top = *self.stack.last().ok_or("an empty stack")?;
        if place >= MOST_VALUES {
            return Err(format!("the memo {place}"));
        }
        if self.memo.len() <= place {
            self.memo.resize(place + 1, None);
        }
        self.memo[place] = Some(top);
        Ok(())
    }

    fn get(&mut self, place: usize) -> Found<()> {
        let known = self.memo.get(place).copied().flatten();
        if self.stack.len() == MOST_VALUES {
            return Err(format!("more than {MOST_VALUES} values"));
        }
        self.stack
            .push(known.ok_or_else(|| format!("no memo {place}"))?);
        Ok(())
    }

    fn extend(&mut self, items: Vec<Place>) -> Found<()> {
        match self.top()? {
            Value::List(list) => list.extend(items),
            Value::Dictionary(entries) => {
                let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
                entries.extend(pairs);
            }
            _ => {}
        }
        Ok(())
    }

    fn decimal(&mut self) -> Found<()> {
        let line = self.line()?;
        let number = line.trim_end_matches('L').parse();
        self.push(number.map_or(Value::Other, Value::Number))
    }

    fn run(&mut self) -> Found<Place> {
        loop {
            let code = self.take(1)?[0];
            match code {
                0x80 => drop(self.take(1)?),
                0x95 => drop(self.take(8)?),
                b'.' => return self.pop(),
                b'(' => self.push(Value::Mark)?,
                b'0' => drop(self.pop()?),
                b'1' => drop(self.since_mark()?),
                b'2' => {
                    let top = *self.stack.last().ok_or("an empty stack")?;
                    self.stack.push(top);
                }
                b'N' => self.push(Value::Other)?,
                0x88 => self.push(Value::Number(1))?,
                0x89 => self.push(Value::Number(0))?,
                b'J' => {
                    let bits = self.number(4)? as u32;
                    self.push(Value::Number(i64::from(bits as i32)))?;
                }
                b'K' => self.whole_number(1)?,
                b'M' => self.whole_number(2)?,
                b'I' | b'L' => self.decimal()?,
                0x8a => {
                    let bytes = self.sized(1)?;
                    self.push(match bytes.len() {
                        0..8 => Value::Number(whole(bytes.iter().rev()) as i64),
                        _ => Value::Other,
                    })?;
                }
                b'G' => {
                    self.take(8)?;
                    self.push(Value::Other)?;
                }
                b'U' | b'C' | 0x8c => self.text(1)?,
                b'T' | b'B' | b'X' => self.text(4)?,
                0x8d | 0x8e | 0x96 => self.text(8)?,
                b')' | b']' => self.push(Value::List(Vec::new()))?,
                b'}' => self.push(Value::Dictionary(Vec::new()))?,
                b'l' | b't' => {
                    let items = self.since_mark()?;
                    self.push(Value::List(items))?;
                }
                b'd' => {
                    let items = self.since_mark()?;
                    self.push(Value::Dictionary(Vec::new()))?;
                    self.extend(items)?;
                }
                0x85..=0x87 => self.tuple(usize::from(code - 0x84))?,
                b'a' => {
                    let item = self.pop()?;
                    self.extend(vec![item])?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.extend(vec![key, value])?;
                }
                b'e' | b'u' => {
                    let items = self.since_mark()?;
                    self.extend(items)?;
                }
                b'c' => {
                    let name = format!("{} {}", self.line()?, self.line()?);
                    self.push(Value::Name(name))?;
                }
                0x93 => {
                    let name = self.pop()?;
                    let module = self.pop()?;
                    let text =
                        |place: Place| String::from_utf8_lossy(self.content(place)).into_owned();
                    let name = format!("{} {}", text(module), text(name));
                    self.push(Value::Name(name.chars().take(LONGEST_LINE).collect()))?;
                }
                b'R' | 0x81 => {
                    let arguments = self.pop()?;
                    let callee = self.pop()?;
                    let made = self.made(callee, arguments);
                    self.push(made)?;
                }
                b'b' => {
                    let state = self.pop()?;
                    self.build(state)?;
                }
                b'p' | b'q' | b'r' => {
                    let place = self.memo_place(code)?;
                    self.put(place)?;
                }
                0x94 => self.put(self.memo.len())?,
                b'g' | b'h' | b'j' => {
                    let place = self.memo_place(code)?;
                    self.get(place)?;
                }
                other => return Err(format!("the pickle code {other:#04x}")),
            }
        }
    }

    /// The place in the memo that follows a code: a line of text, one byte or four.
    fn memo_place(&mut self, code: u8) -> Found<usize> {
        match code {
            b'p' | b'g' => {
                let place = self.line()?;
                place.parse().map_err(|_| format!("the memo {place}"))
            }
            b'q' | b'h' => self.number(1),
            _ => self.number(4),
        }
    }

    fn whole_number(&mut self, length: usize) -> Found<()> {
        let number = self.number(length)?;
        self.push(Value::Number(number as i64))
    }

    fn text(&mut self, length: usize) -> Found<()> {
        let text = self.sized(length)?;
        self.push(Value::Bytes(Cow::Borrowed(text)))
    }

    fn content(&self, place: Place) -> &[u8] {
        match &self.values[place] {
            Value::Bytes(bytes) => bytes,
            _ => &[],
        }
    }

    fn items(&self, place: Place) -> &[Place] {
        match &self.values[place] {
            Value::List(items) => items,
            _ => &[],
        }
    }

    /// What a call of a known constructor makes; any other call makes a value without content.
    fn made(&self, callee: Place, arguments: Place) -> Value<'a> {
        let Value::Name(name) = &self.values[callee] else {
            return Value::Other;
        };
        let arguments = self.items(arguments);
        match (name.as_str(), arguments) {
            // bytes in protocol 2 of Python 3: a text of which each character is a byte
            ("_codecs encode", [text, ..]) => {
                let text = String::from_utf8_lossy(self.content(*text));
                let bytes = text
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'));
                Value::Bytes(Cow::Owned(bytes.collect()))
            }
            ("__builtin__ bytearray" | "builtins bytearray", [bytes, ..]) => {
                self.values[*bytes].clone()
            }
            ("numpy dtype", [kind, ..]) => {
                let kind = String::from_utf8_lossy(self.content(*kind));
                Value::Type(kind.chars().take(8).collect(), false)
            }
            ("numpy.core.multiarray _reconstruct" | "numpy._core.multiarray _reconstruct", _) => {
                Value::Array(None)
            }
            (
                "numpy.core.numeric _frombuffer" | "numpy._core.numeric _frombuffer",
                [content, kind, shape, order],
            ) => {
                let fortran = self.content(*order) == b"F";
                Value::Array(Some((*shape, *kind, fortran, *content)))
            }
            ("collections OrderedDict", _) => Value::Dictionary(Vec::new()),
            _ => Value::Other,
        }
    }

    /// Fills the value on top of the stack, an array or a type, from its state.
    fn build(&mut self, state: Place) -> Found<()> {
        let state = self.items(state).to_vec();
        // of a type: version, byte order, ...; of an array: version, shape, type, order of the indices, content
        let big = state
            .get(1)
            .is_some_and(|order| self.content(*order) == b">");
        let fortran = state.get(3);
        let fortran = fortran.is_some_and(|flag| matches!(self.values[*flag], Value::Number(1)));
        match (self.top()?, state.as_slice()) {
            (Value::Array(array), [_, shape, kind, _, content]) => {
                *array = Some((*shape, *kind, fortran, *content));
            }
            (Value::Type(_, swapped), _) => *swapped = big,
            _ => {}
        }
        Ok(())
    }

    fn integer(&self, place: Place) -> Option<usize> {
        match self.values[place] {
            Value::Number(number) => usize::try_from(number).ok(),
            _ => None,
        }
    }

    /// An array's shape and its numbers in C order, all in the range of `T`.
    fn array<T: TryFrom<u64> + Copy>(&self, place: Place) -> Found<(Vec<usize>, Vec<T>)> {
        let Value::Array(Some((shape, kind, fortran, content))) = &self.values[place] else {
            return Err("no array".to_owned());
        };
        let Value::Type(kind, big) = &self.values[*kind] else {
            return Err("an array without a type".to_owned());
        };
        let width = match kind.trim_start_matches(['|', '<', '>', '=']) {
            "u1" | "i1" => 1,
            "u2" | "i2" => 2,
            "u4" | "i4" => 4,
            "u8" | "i8" => 8,
            _ => return Err(format!("an array of {kind}")),
        };
        let lengths = self
            .items(*shape)
            .iter()
            .map(|length| self.integer(*length));
        let shape: Vec<usize> = lengths
            .collect::<Option<_>>()
            .ok_or("an array without a shape")?;
        let content = self.content(*content);
        let cells = shape
            .iter()
            .try_fold(width, |n: usize, length| n.checked_mul(*length));
        if shape.is_empty() || shape.len() > 2 || cells != Some(content.len()) {
            return Err(format!(
                "an array of shape {shape:?} in {} bytes",
                content.len()
            ));
        }
        let number = |cell: &[u8]| {
            let whole = if *big {
                whole(cell.iter())
            } else {
                whole(cell.iter().rev())
            };
            T::try_from(whole).map_err(|_| "an array with numbers out of range".to_owned())
        };
        let mut numbers: Vec<T> = content
            .chunks_exact(width)
            .map(number)
            .collect::<Found<_>>()?;
        if let ([rows, columns], true) = (shape.as_slice(), *fortran) {
            let places =
                (0..*rows).flat_map(|row| (0..*columns).map(move |column| column * rows + row));
            numbers = places.map(|place| numbers[place]).collect();
        }
        Ok((shape, numbers))
    }

    fn batch(&self, top: Place, size: usize) -> Found<Batch> {
        let Value::Dictionary(entries) = &self.values[top] else {
            return Err("another object".to_owned());
        };
        let entry = |name: &str| {
            let found = entries
                .iter()
                .rev()
                .find(|(key, _)| self.content(*key) == name.as_bytes());
            found.map(|(_, value)| *value)
        };
        let data = entry("data").ok_or("a dictionary without `data`")?;
        let labels = entry("fine_labels").or_else(|| entry("labels"));
        let labels = labels.ok_or("a dictionary without labels")?;
        let (shape, pixels) = self.array(data)?;
        if shape.len() != 2 || shape[1] != size {
            return Err(format!("`data` of shape {shape:?}"));
        }
        let labels: Vec<u16> = match &self.values[labels] {
            Value::List(items) => {
                let all = items
                    .iter()
                    .map(|item| self.integer(*item).and_then(|n| u16::try_from(n).ok()))
                    .collect::<Option<_>>();
                all.ok_or("labels that are no whole numbers")?
            }
            _ => self.array(labels)?.1,
        };
        if labels.len() != shape[0] || labels.is_empty() {
            return Err(format!("{} labels and {} images", labels.len(), shape[0]));
        }
        Ok((pixels, labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{b"data": arange(12).reshape(2, 6), b"labels": [7, 1]}` as Python 2 writes it, and Python 3 with NumPy 2 in
    /// protocols 1 to 5.
    const BATCHES: [&[u8]; 6] = [
        b"\x80\x02}q\x01(U\x0bbatch_labelq\x02U\x0btest batch1U\x06labelsq\x04]q\x05(K\x07K\x01eU\x04dataq\
          \x06cnumpy.core.multiarray\n_reconstruct\nq\x07cnumpy\nndarray\nq\x08K\x00\x85U\x01b\x87Rq\x09(K\
          \x01K\x02K\x06\x86cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87Rq\x0b(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\
          \xff\xff\xff\xffK\x00tb\x89U\x0c\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\n\x0btbU\x09filenamesq\
          \x0c]q\x0d(U\x05a.pngU\x05b.pngeu.",
        b"}q\x00(c_codecs\nencode\nq\x01(X\x04\x00\x00\x00dataq\x02X\x06\x00\x00\x00latin1q\x03tq\x04Rq\
          \x05cnumpy._core.multiarray\n_reconstruct\nq\x06(cnumpy\nndarray\nq\x07(K\x00tq\x08h\x01(X\x01\
          \x00\x00\x00bq\x09h\x03tq\nRq\x0btq\x0cRq\x0d(K\x01(K\x02K\x06tq\x0ecnumpy\ndtype\nq\x0f(X\x02\
          \x00\x00\x00u1q\x10I00\nI01\ntq\x11Rq\x12(K\x03X\x01\x00\x00\x00|q\x13NNNJ\xff\xff\xff\xffJ\xff\
          \xff\xff\xffK\x00tq\x14bI00\nh\x01(X\x0c\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\n\
          \x0bq\x15h\x03tq\x16Rq\x17tq\x18bh\x01(X\x06\x00\x00\x00labelsq\x19h\x03tq\x1aRq\x1b]q\x1c(K\x07\
          K\x01eu.",
        b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x04\x00\x00\x00dataq\x02X\x06\x00\x00\x00latin1q\x03\x86\
          q\x04Rq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08h\x01\
          X\x01\x00\x00\x00bq\x09h\x03\x86q\nRq\x0b\x87q\x0cRq\x0d(K\x01K\x02K\x06\x86q\x0ecnumpy\ndtype\n\
          q\x0fX\x02\x00\x00\x00u1q\x10\x89\x88\x87q\x11Rq\x12(K\x03X\x01\x00\x00\x00|q\x13NNNJ\xff\xff\
          \xff\xffJ\xff\xff\xff\xffK\x00tq\x14b\x89h\x01X\x0c\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\x07\
          \x08\x09\n\x0bq\x15h\x03\x86q\x16Rq\x17tq\x18bh\x01X\x06\x00\x00\x00labelsq\x19h\x03\x86q\x1aRq\
          \x1b]q\x1c(K\x07K\x01eu.",
        b"\x80\x03}q\x00(C\x04dataq\x01cnumpy._core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\
          \x00\x85q\x04C\x01bq\x05\x87q\x06Rq\x07(K\x01K\x02K\x06\x86q\x08cnumpy\ndtype\nq\x09X\x02\x00\
          \x00\x00u1q\n\x89\x88\x87q\x0bRq\x0c(K\x03X\x01\x00\x00\x00|q\x0dNNNJ\xff\xff\xff\xffJ\xff\xff\
          \xff\xffK\x00tq\x0eb\x89C\x0c\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\n\x0bq\x0ftq\x10bC\x06labe\
          lsq\x11]q\x12(K\x07K\x01eu.",
        b"\x80\x04\x95\xb3\x00\x00\x00\x00\x00\x00\x00}\x94(C\x04data\x94\x8c\x16numpy._core.multiarray\
          \x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\
          \x01b\x94\x87\x94R\x94(K\x01K\x02K\x06\x86\x94h\x05\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\
          \x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94b\x89C\x0c\
          \x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\n\x0b\x94t\x94bC\x06labels\x94]\x94(K\x07K\x01eu.",
        b"\x80\x05\x95\x9e\x00\x00\x00\x00\x00\x00\x00}\x94(C\x04data\x94\x8c\x13numpy._core.numeric\x94\
          \x8c\x0b_frombuffer\x94\x93\x94(\x96\x0c\x00\x00\x00\x00\x00\x00\x00\x00\x01\x02\x03\x04\x05\x06\
          \x07\x08\x09\n\x0b\x94\x8c\x05numpy\x94\x8c\x05dtype\x94\x93\x94\x8c\x02u1\x94\x89\x88\x87\x94R\
          \x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t\x94bK\x02K\x06\x86\x94\x8c\
          \x01C\x94t\x94R\x94C\x06labels\x94]\x94(K\x07K\x01eu.",
    ];
    /// `fine_labels` as an array `[99, 5]` of int64, and of big-endian int32; `data` with the first index fastest.
    const FINE: [&[u8]; 2] = [
        b"\x80\x04\x952\x01\x00\x00\x00\x00\x00\x00}\x94(C\x0dcoarse_labels\x94]\x94(K\x00K\x03eC\x0bfine_\
          labels\x94\x8c\x16numpy._core.multiarray\x94\x8c\x0c_reconstruct\x94\x93\x94\x8c\x05numpy\x94\
          \x8c\x07ndarray\x94\x93\x94K\x00\x85\x94C\x01b\x94\x87\x94R\x94(K\x01K\x02\x85\x94h\x07\x8c\x05d\
          type\x94\x93\x94\x8c\x02i8\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01<\x94NNNJ\xff\xff\xff\xffJ\xff\
          \xff\xff\xffK\x00t\x94b\x89C\x10c\x00\x00\x00\x00\x00\x00\x00\x05\x00\x00\x00\x00\x00\x00\x00\
          \x94t\x94bC\x04data\x94h\x06h\x09K\x00\x85\x94h\x0b\x87\x94R\x94(K\x01K\x02K\x06\x86\x94h\x10\
          \x8c\x02u1\x94\x89\x88\x87\x94R\x94(K\x03\x8c\x01|\x94NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00\
          t\x94b\x88C\x0c\x00\x06\x01\x07\x02\x08\x03\x09\x04\n\x05\x0b\x94t\x94bC\x09filenames\x94]\x94(C\
          \x01x\x94C\x01y\x94eu.",
        b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x0b\x00\x00\x00fine_labelsq\x02X\x06\x00\x00\x00latin1q\
          \x03\x86q\x04Rq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\
          \x08h\x01X\x01\x00\x00\x00bq\x09h\x03\x86q\nRq\x0b\x87q\x0cRq\x0d(K\x01K\x02\x85q\x0ecnumpy\ndty\
          pe\nq\x0fX\x02\x00\x00\x00i4q\x10\x89\x88\x87q\x11Rq\x12(K\x03X\x01\x00\x00\x00>q\x13NNNJ\xff\
          \xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x14b\x89h\x01X\x08\x00\x00\x00\x00\x00\x00c\x00\x00\x00\x05\
          q\x15h\x03\x86q\x16Rq\x17tq\x18bh\x01X\x04\x00\x00\x00dataq\x19h\x03\x86q\x1aRq\x1bh\x06h\x07K\
          \x00\x85q\x1ch\x0b\x87q\x1dRq\x1e(K\x01K\x02K\x06\x86q\x1fh\x0fX\x02\x00\x00\x00u1q \x89\x88\x87\
          q!Rq\x22(K\x03X\x01\x00\x00\x00|q#NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq$b\x88h\x01X\x0c\
          \x00\x00\x00\x00\x06\x01\x07\x02\x08\x03\x09\x04\n\x05\x0bq%h\x03\x86q&Rq'tq(bu.",
    ];
    /// `data` of float32.
    const FLOATS: &[u8] = b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x04\x00\x00\x00dataq\x02X\x06\x00\x00\x00latin1q\x03\x86\
          q\x04Rq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85q\x08h\x01\
          X\x01\x00\x00\x00bq\x09h\x03\x86q\nRq\x0b\x87q\x0cRq\x0d(K\x01K\x02K\x06\x86q\x0ecnumpy\ndtype\n\
          q\x0fX\x02\x00\x00\x00f4q\x10\x89\x88\x87q\x11Rq\x12(K\x03X\x01\x00\x00\x00<q\x13NNNJ\xff\xff\
          \xff\xffJ\xff\xff\xff\xffK\x00tq\x14b\x89h\x01X5\x00\x00\x00\x00\x00\x00\x00\x00\x00\xc2\x80?\
          \x00\x00\x00@\x00\x00@@\x00\x00\xc2\x80@\x00\x00\xc2\xa0@\x00\x00\xc3\x80@\x00\x00\xc3\xa0@\x00\
          \x00\x00A\x00\x00\x10A\x00\x00 A\x00\x000Aq\x15h\x03\x86q\x16Rq\x17tq\x18bh\x01X\x06\x00\x00\x00\
          labelsq\x19h\x03\x86q\x1aRq\x1b]q\x1c(K\x07K\x01eu.";

    #[test]
    fn batches_of_every_protocol_are_read() {
        for bytes in BATCHES {
            let batch = read(Path::new("b"), bytes, 6).unwrap();
            assert_eq!(batch.1, [7, 1]);
            assert_eq!(batch.0, (0..12).collect::<Vec<u8>>());
        }
        for bytes in FINE {
            let batch = read(Path::new("b"), bytes, 6).unwrap();
            assert_eq!(batch.1, [99, 5]);
            assert_eq!(batch.0, (0..12).collect::<Vec<u8>>());
        }
    }

    #[test]
    fn other_and_damaged_pickles_are_refused_and_named() {
        let error = |bytes: &[u8], size| match read(Path::new("some/batch"), bytes, size) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("read"),
        };
        for bytes in BATCHES {
            for length in 0..bytes.len() {
                assert!(
                    error(&bytes[..length], 6).starts_with("some/batch: expected a Python batch")
                );
            }
            for place in 0..bytes.len() {
                let mut other = bytes.to_vec();
                other[place] ^= 0xff;
                // read as something or refused, without a panic
                drop(read(Path::new("b"), &other, 6));
            }
        }
        assert!(error(BATCHES[0], 3072).ends_with("found `data` of shape [2, 6]"));
        assert!(error(FLOATS, 6).ends_with("found an array of f4"));
        assert!(
            error(b"\x80\x02cposix\nsystem\nU\x02ls\x85R.", 6).ends_with("found another object")
        );
        assert!(error(b"\x80\x02}U\x06labels]s.", 6).ends_with("without `data`"));
    }

    #[test]
    fn lengths_that_promise_too_much_take_no_memory() {
        for bytes in [
            &b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f."[..],
            b"\x80\x02T\xff\xff\xff\xff.",
            b"\x80\x02Nr\xff\xff\xff\xff.",
        ] {
            assert!(read(Path::new("b"), bytes, 6).is_err());
        }
    }
}
