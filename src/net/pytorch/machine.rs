//! A pickle machine that only builds data: no import, no call, no recursion.
//!
//! Opcodes: Python's `pickletools`, all of protocols 0 to 5.

use super::pickle::{describe, shorten, Global, Id, Node, Object, Pickle, StorageRef, MOST_VALUES};
use super::wrong;
use crate::error::{Error, Result};
use std::collections::BTreeMap;

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// What was built so far.
    pickle: Pickle<'a>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
    /// Entries that were copied into dictionaries.
    copied: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that starts at `start`. `bytes` may go on behind it.
    pub(super) fn read(bytes: &'a [u8], start: usize) -> Result<Self> {
        let mut machine = Machine {
            bytes,
            at: start,
            pickle: Self::default(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
            copied: 0,
        };
        while machine.step()? {}
        machine.pickle.top = machine.pop()?;
        machine.pickle.end = machine.at;
        Ok(machine.pickle)
    }
}

impl<'a> Machine<'a> {
    fn wrong(&self, expected: impl Into<String>, found: impl std::fmt::Display) -> Error {
        wrong(expected, format!("{found} near byte {}", self.at))
    }

    // ---- bytes ----

    fn take(&mut self, n: u64) -> Result<&'a [u8]> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        match usize::try_from(n).ok().and_then(|n| left.get(..n)) {
            Some(taken) => {
                self.at += taken.len();
                Ok(taken)
            }
            None => Err(self.wrong(
                format!("{n} more bytes of the checkpoint's pickle (is the file truncated?)"),
                left.len(),
            )),
        }
    }

    /// Little-endian unsigned integer of up to 8 bytes.
    fn number(&mut self, width: u64) -> Result<u64> {
        let bytes = self.take(width)?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |sum, &byte| sum << 8 | u64::from(byte)))
    }

    fn sized(&mut self, width: u64) -> Result<&'a [u8]> {
        let n = self.number(width)?;
        self.take(n)
    }

    /// Text; what is no UTF-8 (byte strings of Python 2, lone surrogates) is bytes.
    fn text(&mut self, width: u64) -> Result<Node<'a>> {
        let bytes = self.sized(width)?;
        Ok(std::str::from_utf8(bytes).map_or(Node::Bytes, Node::Text))
    }

    /// The bytes up to the end of the line.
    fn raw_line(&mut self) -> Result<&'a [u8]> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let end = left
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap_or(left.len());
        Ok(&self.take(end as u64 + 1)?[..end])
    }

    fn line(&mut self) -> Result<&'a str> {
        let bytes = self.raw_line()?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("a name in UTF-8", "other bytes"))
    }

    /// A whole number that stands in a line.
    fn line_number(&mut self) -> Result<u64> {
        let line = self.line()?;
        line.trim()
            .parse()
            .map_err(|_| self.wrong("a whole number", format!("`{}`", shorten(line))))
    }

    // ---- stack ----

    fn push(&mut self, node: Node<'a>) -> Result<()> {
        if self.pickle.nodes.len() >= MOST_VALUES {
            return Err(self.too_many());
        }
        self.stack.push(self.pickle.nodes.len());
        self.pickle.nodes.push(node);
        Ok(())
    }

    fn too_many(&self) -> Error {
        let expected = format!("a checkpoint's pickle of at most {MOST_VALUES} values");
        self.wrong(expected, "more")
    }

    fn pop(&mut self) -> Result<Id> {
        let floor = self.marks.last().copied().unwrap_or(0);
        match self.stack.pop() {
            Some(id) if self.stack.len() >= floor => Ok(id),
            _ => Err(self.wrong("a value on the pickle's stack", "none")),
        }
    }

    fn peek(&mut self) -> Result<Id> {
        let id = self.pop()?;
        self.stack.push(id);
        Ok(id)
    }

    fn pop_mark(&mut self) -> Result<Vec<Id>> {
        match self.marks.pop() {
            Some(height) => Ok(self.stack.split_off(height.min(self.stack.len()))),
            None => Err(self.wrong("a mark on the pickle's stack", "none")),
        }
    }

    fn pop_many(&mut self, n: usize) -> Result<Vec<Id>> {
        let mut items = (0..n).map(|_| self.pop()).collect::<Result<Vec<_>>>()?;
        items.reverse();
        Ok(items)
    }

    // ---- opcodes ----

    /// Carries out one opcode; false at the end of the pickle.
    fn step(&mut self) -> Result<bool> {
        let op = self.number(1)? as u8;
        match op {
            b'.' => return Ok(false),
            0x80 => match self.number(1)? {
                0..=5 => {}
                other => return Err(self.wrong("pickle protocol 0 to 5", other)),
            },
            // the length of a frame: how a file is cut into frames changes nothing
            0x95 => drop(self.number(8)?),
            b'(' => self.marks.push(self.stack.len()),
            // where a mark is on top it takes that away, as Python's own reader does
            b'0' if self.marks.last() == Some(&self.stack.len()) => drop(self.marks.pop()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let id = self.peek()?;
                self.stack.push(id);
            }
            b'p' | b'q' | b'r' => {
                let slot = self.slot(op)?;
                self.remember(slot)?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'g' | b'h' | b'j' => {
                let slot = self.slot(op)?;
                self.recall(slot)?;
            }
            // the buffer on top of the stack may not be written to
            0x98 => drop(self.peek()?),
            _ => return self.object(op),
        }
        Ok(true)
    }

    /// Opcodes that make objects.
    fn object(&mut self, op: u8) -> Result<bool> {
        match op {
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => self.stack_global()?,
            // registered in the process that wrote the pickle
            0x82..=0x84 => {
                self.number(1 << (op - 0x82))?;
                self.inert("copyreg", "extension", false)?;
            }
            b'R' => self.reduce()?,
            0x81 => {
                let pair = self.pop_many(2)?;
                self.make(pair[0], None)?;
            }
            0x92 => {
                let three = self.pop_many(3)?;
                self.make(three[0], None)?;
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                self.pop_mark()?;
                self.inert(module, name, true)?;
            }
            b'o' => match self.pop_mark()?.first() {
                Some(&class) => self.make(class, None)?,
                None => return Err(self.wrong("a class", "none")),
            },
            b'b' => self.build()?,
            b'Q' => self.storage()?,
            b'P' => {
                self.raw_line()?;
                self.inert("pickle", "persistent_load", true)?;
            }
            _ => return self.literal(op).and(Ok(true)),
        }
        Ok(true)
    }

    fn inert(&mut self, module: &'a str, name: &'a str, made: bool) -> Result<()> {
        self.push(Node::Object(Box::new(Object {
            module,
            name,
            made,
            entries: Vec::new(),
            state: None,
        })))
    }

    fn literal(&mut self, op: u8) -> Result<()> {
        let node = match op {
            b'N' => Node::None,
            0x88 => Node::Bool(true),
            0x89 => Node::Bool(false),
            b'J' => Node::Int(i64::from(self.number(4)? as u32 as i32)),
            b'K' => Node::Int(self.number(1)? as i64),
            b'M' => Node::Int(self.number(2)? as i64),
            0x8a => long(self.sized(1)?),
            0x8b => long(self.sized(4)?),
            b'G' => {
                self.take(8)?;
                Node::Float
            }
            b'I' | b'L' => {
                integer(self.line()?).ok_or_else(|| self.wrong("a number", "other text"))?
            }
            b'F' => self.raw_line().map(|_| Node::Float)?,
            b'S' => quoted(self.raw_line()?),
            b'V' => plain(self.raw_line()?),
            // the short ones of Python 2 are byte strings, text there
            b'X' | b'T' => self.text(4)?,
            0x8c | b'U' => self.text(1)?,
            0x8d => self.text(8)?,
            b'B' => self.sized(4).map(|_| Node::Bytes)?,
            b'C' => self.sized(1).map(|_| Node::Bytes)?,
            0x8e | 0x96 => self.sized(8).map(|_| Node::Bytes)?,
            // its content lies outside the pickle
            0x97 => Node::Bytes,
            // a set
            0x8f => Node::List(Vec::new()),
            b')' => Node::Tuple(Vec::new()),
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            _ => return self.collection(op),
        };
        self.push(node)
    }

    fn collection(&mut self, op: u8) -> Result<()> {
        let items = match op {
            b'a' => self.pop_many(1)?,
            b's' => self.pop_many(2)?,
            0x85..=0x87 => self.pop_many(usize::from(op - 0x84))?,
            b't' | 0x91 | b'l' | b'd' | b'e' | 0x90 | b'u' => self.pop_mark()?,
            _ => {
                return Err(self.wrong(
                    "an opcode of a checkpoint's pickle (is this a file of torch.save?)",
                    format!("the byte 0x{op:02x}"),
                ))
            }
        };
        match op {
            // a tuple, a frozen set
            b't' | 0x85..=0x87 | 0x91 => self.push(Node::Tuple(items)),
            b'l' => self.push(Node::List(items)),
            b'a' | b'e' | 0x90 => self.append(items),
            b'd' => {
                self.push(Node::Dict(Vec::new()))?;
                self.set_items(items)
            }
            _ => self.set_items(items),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let target = self.peek()?;
        match self.pickle.nodes.get_mut(target) {
            Some(Node::List(list)) => {
                list.extend(items);
                Ok(())
            }
            Some(Node::Object(_)) => Ok(()),
            _ => Err(self.wrong("a list to append to", "another value")),
        }
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let target = self.peek()?;
        if !items.len().is_multiple_of(2) {
            return Err(self.wrong("keys with values", format!("{} items", items.len())));
        }
        let pairs = items.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        match self.pickle.nodes.get_mut(target) {
            Some(Node::Dict(dict)) => {
                dict.extend(pairs);
                Ok(())
            }
            Some(Node::Object(object)) => {
                object.entries.extend(pairs);
                Ok(())
            }
            _ => Err(self.wrong("a dictionary to fill", "another value")),
        }
    }

    /// The number of a place in the memo: in a line, in one byte, or in four.
    fn slot(&mut self, op: u8) -> Result<u64> {
        match op {
            b'p' | b'g' => self.line_number(),
            b'q' | b'h' => self.number(1),
            _ => self.number(4),
        }
    }

    fn remember(&mut self, slot: u64) -> Result<()> {
        let id = self.peek()?;
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, slot: u64) -> Result<()> {
        match self.memo.get(&slot) {
            Some(&id) => {
                self.stack.push(id);
                Ok(())
            }
            None => Err(self.wrong(
                "a value that was remembered",
                format!("the empty slot {slot}"),
            )),
        }
    }

    fn stack_global(&mut self) -> Result<()> {
        let pair = self.pop_many(2)?;
        match (self.pickle.text(pair[0]), self.pickle.text(pair[1])) {
            (Some(module), Some(name)) => self.global(module, name),
            _ => Err(self.wrong("the name of a class or function", "another value")),
        }
    }

    fn global(&mut self, module: &'a str, name: &'a str) -> Result<()> {
        match Global::find(module, name) {
            Some(global) => self.push(Node::Global(global)),
            None => self.inert(module, name, false),
        }
    }

    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Node::Tuple(items) = self.pickle.get(arguments) else {
            return Err(self.wrong("a tuple of arguments", "another value"));
        };
        match (self.pickle.get(function), &items[..]) {
            (Node::Global(Global::RebuildTensor), _) => self.push(Node::Tensor(arguments)),
            (Node::Global(Global::RebuildParameter), &[tensor, ..]) => {
                self.stack.push(tensor);
                Ok(())
            }
            (Node::Global(Global::RebuildFromType), &[function, _, inner, ..]) => {
                match (self.pickle.get(function), self.pickle.get(inner)) {
                    (Node::Global(Global::RebuildTensor), Node::Tuple(_)) => {
                        self.push(Node::Tensor(inner))
                    }
                    (Node::Global(Global::RebuildParameter), Node::Tuple(inner))
                        if !inner.is_empty() =>
                    {
                        self.stack.push(inner[0]);
                        Ok(())
                    }
                    _ => self.make(function, None),
                }
            }
            (_, items) => {
                let first = items.first().copied();
                self.make(function, first)
            }
        }
    }

    /// What a class or function would make of arguments, of which the first counts: a dictionary, or an inert object.
    fn make(&mut self, class: Id, argument: Option<Id>) -> Result<()> {
        let (module, name) = match self.pickle.get(class) {
            Node::Global(Global::Dict) => {
                let entries = self.copied_entries(argument)?;
                return self.push(Node::Dict(entries));
            }
            Node::Global(Global::Storage(_)) => ("torch", "Storage"),
            Node::Global(_) => ("torch._utils", "_rebuild"),
            Node::Object(object) => {
                // what a constructor of another class would make is of that class
                let base = match (object.module, object.name, argument) {
                    ("copyreg" | "copy_reg", "_reconstructor", Some(class)) => class,
                    _ => class,
                };
                match self.pickle.get(base) {
                    Node::Object(base) => (base.module, base.name),
                    _ => (object.module, object.name),
                }
            }
            other => return Err(self.wrong("a class or function", describe(other))),
        };
        self.inert(module, name, true)
    }

    /// Entries of a dictionary that is made of another one, or of a list of pairs.
    fn copied_entries(&mut self, argument: Option<Id>) -> Result<Vec<(Id, Id)>> {
        let argument = argument.map_or(&Node::None, |id| self.pickle.get(id));
        self.copied += match argument {
            Node::Dict(entries) => entries.len(),
            Node::List(pairs) | Node::Tuple(pairs) => pairs.len(),
            _ => 0,
        };
        // copies of copies would double with every few bytes of the pickle
        if self.copied > MOST_VALUES {
            return Err(self.too_many());
        }
        let pair = |id: &Id| match self.pickle.items(*id) {
            Some(&[key, value]) => Some((key, value)),
            _ => None,
        };
        Ok(match argument {
            Node::Dict(entries) => entries.clone(),
            Node::List(pairs) | Node::Tuple(pairs) => pairs.iter().filter_map(pair).collect(),
            _ => Vec::new(),
        })
    }

    /// Attributes of objects are kept; those of a dictionary (`_metadata`: versions of the modules) are dropped.
    fn build(&mut self) -> Result<()> {
        let state = self.pop()?;
        let target = self.peek()?;
        if let Some(Node::Object(object)) = self.pickle.nodes.get_mut(target) {
            object.state = Some(state);
        }
        Ok(())
    }

    /// `('storage', class, key, location, elements)` and, in the legacy form, the part that is
    /// meant: None or `(key, first element, elements)`. `('module', class, file, source)`: the class of a whole module.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        if let Node::Tuple(items) = self.pickle.get(id) {
            let word = items.first().and_then(|id| self.pickle.text(*id));
            match (word, items.get(1)) {
                (Some("module"), Some(&class)) => {
                    self.stack.push(class);
                    return Ok(());
                }
                (Some("storage"), _) => {}
                _ => return self.inert("pickle", "persistent_load", true),
            }
        }
        match self.storage_of(id) {
            Some(storage) => self.push(Node::Storage(storage)),
            None => Err(self.wrong(
                "a reference to a storage that agrees with itself",
                "another value",
            )),
        }
    }

    fn storage_of(&self, id: Id) -> Option<StorageRef<'a>> {
        let pickle = &self.pickle;
        let items = |id: Id| match pickle.get(id) {
            Node::Tuple(items) => Some(items.as_slice()),
            _ => None,
        };
        let (head, view) = match *items(id)? {
            [word, class, key, _, elements] => ([word, class, key, elements], None),
            [word, class, key, _, elements, view] => {
                let part = match pickle.get(view) {
                    Node::None => None,
                    _ => Some(items(view)?),
                };
                ([word, class, key, elements], part)
            }
            _ => return None,
        };
        let Node::Global(Global::Storage(kind)) = pickle.get(head[1]) else {
            return None;
        };
        let elements = pickle.count(head[3])?;
        let (start, len) = match view {
            None => (0, elements),
            Some(&[_, start, len]) => (pickle.count(start)?, pickle.count(len)?),
            Some(_) => return None,
        };
        let fits = start.checked_add(len).is_some_and(|end| end <= elements);
        (pickle.text(head[0])? == "storage" && fits).then_some(StorageRef {
            key: pickle.text(head[2])?,
            kind: *kind,
            elements,
            start,
            len,
        })
    }
}

/// Little-endian two's complement.
fn long(bytes: &[u8]) -> Node<'_> {
    if bytes.len() > 8 {
        return Node::Big(bytes);
    }
    let sign = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) {
        -1
    } else {
        0
    };
    Node::Int(
        bytes
            .iter()
            .rev()
            .fold(sign, |sum, &byte| sum << 8 | i64::from(byte)),
    )
}

/// A number in text: `01` and `00` are the booleans of protocol 0.
fn integer(text: &str) -> Option<Node<'_>> {
    match text.trim() {
        "01" => return Some(Node::Bool(true)),
        "00" => return Some(Node::Bool(false)),
        _ => {}
    }
    let digits = text.trim().trim_end_matches('L');
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    match digits.parse() {
        Ok(number) => Some(Node::Int(number)),
        Err(_) if !unsigned.is_empty() && unsigned.bytes().all(|b| b.is_ascii_digit()) => {
            Some(Node::Digits(digits))
        }
        Err(_) => None,
    }
}

/// Text in quotes.
fn quoted(line: &[u8]) -> Node<'_> {
    match line.trim_ascii() {
        [b'\'', inner @ .., b'\''] | [b'"', inner @ .., b'"'] => plain(inner),
        _ => Node::Bytes,
    }
}

/// Text without escapes; another one is no name of ours.
fn plain(line: &[u8]) -> Node<'_> {
    match std::str::from_utf8(line) {
        Ok(text) if text.is_ascii() && !text.contains('\\') => Node::Text(text),
        _ => Node::Bytes,
    }
}
