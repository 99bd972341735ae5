//! A pickle machine that only builds data: no import, no call, no recursion; leaves the meaning of
//! what it built to `state`.
//!
//! Values lie in one arena and refer to each other by index, so aliases and self-references cost
//! nothing. Opcodes: Python's `pickletools`, the binary ones of protocols 2 to 5.

use crate::error::{printable, Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// Most values of one pickle; real checkpoints have about ten per tensor.
const MOST_VALUES: usize = 1 << 21;

/// Index of a value in its pickle.
pub(super) type Id = usize;

/// Element type of a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Double,
    Float,
    Half,
    BFloat16,
    Long,
    Int,
    Short,
    Char,
    Byte,
    Bool,
}

impl Kind {
    /// Bytes of one element.
    pub(super) fn size(self) -> u64 {
        match self {
            Self::Double | Self::Long => 8,
            Self::Float | Self::Int => 4,
            Self::Half | Self::BFloat16 | Self::Short => 2,
            Self::Char | Self::Byte | Self::Bool => 1,
        }
    }
}

/// The functions and classes that a state dict needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(Kind),
}

impl Global {
    fn find(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", "DoubleStorage") => Self::Storage(Kind::Double),
            ("torch", "FloatStorage") => Self::Storage(Kind::Float),
            ("torch", "HalfStorage") => Self::Storage(Kind::Half),
            ("torch", "BFloat16Storage") => Self::Storage(Kind::BFloat16),
            ("torch", "LongStorage") => Self::Storage(Kind::Long),
            ("torch", "IntStorage") => Self::Storage(Kind::Int),
            ("torch", "ShortStorage") => Self::Storage(Kind::Short),
            ("torch", "CharStorage") => Self::Storage(Kind::Char),
            ("torch", "ByteStorage") => Self::Storage(Kind::Byte),
            ("torch", "BoolStorage") => Self::Storage(Kind::Bool),
            _ => return None,
        })
    }
}

/// Part of a named storage, as a tensor refers to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct StorageRef<'a> {
    /// Name of the storage in its container.
    pub(super) key: &'a str,
    pub(super) kind: Kind,
    /// Elements of the whole storage.
    pub(super) elements: u64,
    /// First element of the part.
    pub(super) start: u64,
    /// Elements of the part; `start + len <= elements`.
    pub(super) len: u64,
}

/// One value.
#[derive(Debug)]
pub(super) enum Node<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 8 bytes, little-endian two's complement.
    Big(&'a [u8]),
    Float,
    Text(&'a str),
    Bytes,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(StorageRef<'a>),
    /// The arguments of the function that would rebuild the tensor: a tuple.
    Tensor(Id),
}

/// What a pickle held.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    nodes: Vec<Node<'a>>,
    /// The value that the pickle stands for.
    pub(super) top: Id,
    /// Where the pickle ended.
    pub(super) end: usize,
}

impl<'a> Pickle<'a> {
    /// Reads the pickle that starts at `start`. `bytes` may go on behind it.
    pub(super) fn read(path: &Path, bytes: &'a [u8], start: usize) -> Result<Self> {
        let mut machine = Machine {
            path,
            bytes,
            at: start,
            nodes: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
        };
        while machine.step()? {}
        let top = machine.pop()?;
        Ok(Self {
            nodes: machine.nodes,
            top,
            end: machine.at,
        })
    }

    /// A value. Every id in a node of this pickle is valid; another one reads as `None`.
    pub(super) fn get(&self, id: Id) -> &Node<'a> {
        self.nodes.get(id).unwrap_or(&Node::None)
    }

    /// A value as text.
    pub(super) fn text(&self, id: Id) -> Option<&'a str> {
        match self.get(id) {
            Node::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The items of a tuple or list.
    pub(super) fn items(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Node::Tuple(items) | Node::List(items) => Some(items),
            _ => None,
        }
    }

    /// A value as an integer that is not negative.
    pub(super) fn count(&self, id: Id) -> Option<u64> {
        match self.get(id) {
            Node::Int(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// All storages that the pickle refers to.
    pub(super) fn storages(&self) -> impl Iterator<Item = &StorageRef<'a>> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Storage(storage) => Some(storage),
            _ => None,
        })
    }
}

/// What a value is, in the words of an error message.
pub(super) fn describe(node: &Node<'_>) -> String {
    match node {
        Node::None => "None".into(),
        Node::Bool(flag) => flag.to_string(),
        Node::Int(n) => n.to_string(),
        Node::Big(_) | Node::Float => "a number".into(),
        Node::Text(text) => format!("the text `{}`", shorten(text)),
        Node::Bytes => "bytes".into(),
        Node::List(items) => format!("a list of {}", items.len()),
        Node::Tuple(items) => format!("a tuple of {}", items.len()),
        Node::Dict(items) => format!("a dictionary of {}", items.len()),
        Node::Global(global) => format!("{global:?}"),
        Node::Storage(_) => "a storage".into(),
        Node::Tensor(_) => "a tensor".into(),
    }
}

/// What a file calls itself goes into messages: as [`printable`].
pub(super) fn shorten(text: &str) -> String {
    printable(text, 120).into_owned()
}

struct Machine<'a, 'p> {
    path: &'p Path,
    bytes: &'a [u8],
    at: usize,
    nodes: Vec<Node<'a>>,
    stack: Vec<Id>,
    /// Heights of the stack at the open marks.
    marks: Vec<usize>,
    memo: BTreeMap<u64, Id>,
}

impl<'a> Machine<'a, '_> {
    fn wrong(&self, expected: impl Into<String>, found: impl std::fmt::Display) -> Error {
        Error::input(
            self.path,
            expected,
            format!("{found} near byte {}", self.at),
        )
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

    fn text(&mut self, width: u64) -> Result<&'a str> {
        let bytes = self.sized(width)?;
        std::str::from_utf8(bytes).map_err(|_| self.wrong("text in UTF-8", "other bytes"))
    }

    fn line(&mut self) -> Result<&'a str> {
        let left = self.bytes.get(self.at..).unwrap_or_default();
        let end = left
            .iter()
            .position(|&byte| byte == b'\n')
            .unwrap_or(left.len());
        let bytes = self.take(end as u64 + 1)?;
        std::str::from_utf8(&bytes[..end]).map_err(|_| self.wrong("a name in UTF-8", "other bytes"))
    }

    // ---- stack ----

    fn push(&mut self, node: Node<'a>) -> Result<()> {
        if self.nodes.len() >= MOST_VALUES {
            return Err(self.wrong(
                format!("a checkpoint's pickle of at most {MOST_VALUES} values"),
                "more",
            ));
        }
        self.stack.push(self.nodes.len());
        self.nodes.push(node);
        Ok(())
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
                2..=5 => {}
                other => return Err(self.wrong("pickle protocol 2 to 5", other)),
            },
            0x95 => drop(self.number(8)?),
            b'(' => self.marks.push(self.stack.len()),
            b'0' => drop(self.pop()?),
            b'1' => drop(self.pop_mark()?),
            b'2' => {
                let id = self.peek()?;
                self.stack.push(id);
            }
            b'q' => self.remember(1)?,
            b'r' => self.remember(4)?,
            0x94 => {
                let (slot, id) = (self.memo.len() as u64, self.peek()?);
                self.memo.insert(slot, id);
            }
            b'h' => self.recall(1)?,
            b'j' => self.recall(4)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => self.stack_global()?,
            b'R' => self.reduce()?,
            b'b' => self.build()?,
            b'Q' => self.storage()?,
            _ => return self.literal(op).and(Ok(true)),
        }
        Ok(true)
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
            b'X' => Node::Text(self.text(4)?),
            0x8c => Node::Text(self.text(1)?),
            0x8d => Node::Text(self.text(8)?),
            // byte strings of Python 2, text there
            b'T' => Node::Text(self.text(4)?),
            b'U' => Node::Text(self.text(1)?),
            b'B' => self.sized(4).map(|_| Node::Bytes)?,
            b'C' => self.sized(1).map(|_| Node::Bytes)?,
            0x8e => self.sized(8).map(|_| Node::Bytes)?,
            b')' => Node::Tuple(Vec::new()),
            b']' => Node::List(Vec::new()),
            b'}' => Node::Dict(Vec::new()),
            _ => return self.collection(op),
        };
        self.push(node)
    }

    fn collection(&mut self, op: u8) -> Result<()> {
        match op {
            b't' => {
                let items = self.pop_mark()?;
                self.push(Node::Tuple(items))
            }
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(op - 0x84))?;
                self.push(Node::Tuple(items))
            }
            b'l' => {
                let items = self.pop_mark()?;
                self.push(Node::List(items))
            }
            b'd' => {
                let items = self.pop_mark()?;
                self.push(Node::Dict(Vec::new()))?;
                self.set_items(items)
            }
            b'a' => {
                let items = self.pop_many(1)?;
                self.append(items)
            }
            b'e' => {
                let items = self.pop_mark()?;
                self.append(items)
            }
            b's' => {
                let items = self.pop_many(2)?;
                self.set_items(items)
            }
            b'u' => {
                let items = self.pop_mark()?;
                self.set_items(items)
            }
            _ => Err(self.wrong(
                "an opcode of a checkpoint's pickle (is this a file of torch.save?)",
                format!("the byte 0x{op:02x}"),
            )),
        }
    }

    fn append(&mut self, items: Vec<Id>) -> Result<()> {
        let target = self.peek()?;
        match self.nodes.get_mut(target) {
            Some(Node::List(list)) => {
                list.extend(items);
                Ok(())
            }
            _ => Err(self.wrong("a list to append to", "another value")),
        }
    }

    fn set_items(&mut self, items: Vec<Id>) -> Result<()> {
        let target = self.peek()?;
        if !items.len().is_multiple_of(2) {
            return Err(self.wrong("keys with values", format!("{} items", items.len())));
        }
        match self.nodes.get_mut(target) {
            Some(Node::Dict(dict)) => {
                dict.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
                Ok(())
            }
            _ => Err(self.wrong("a dictionary to fill", "another value")),
        }
    }

    fn remember(&mut self, width: u64) -> Result<()> {
        let (slot, id) = (self.number(width)?, self.peek()?);
        self.memo.insert(slot, id);
        Ok(())
    }

    fn recall(&mut self, width: u64) -> Result<()> {
        let slot = self.number(width)?;
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
        let text = |id: &Id| match self.nodes.get(*id) {
            Some(Node::Text(text)) => Some(*text),
            _ => None,
        };
        match (text(&pair[0]), text(&pair[1])) {
            (Some(module), Some(name)) => self.global(module, name),
            _ => Err(self.wrong("the name of a class or function", "another value")),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Result<()> {
        match Global::find(module, name) {
            Some(global) => self.push(Node::Global(global)),
            None => Err(self.wrong(
                "a state dict, torch.save(model.state_dict(), ...), that names nothing but tensors",
                format!("`{}.{}`", shorten(module), shorten(name)),
            )),
        }
    }

    fn reduce(&mut self) -> Result<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let items = match self.nodes.get(arguments) {
            Some(Node::Tuple(items)) => items.as_slice(),
            _ => return Err(self.wrong("a tuple of arguments", "another value")),
        };
        match (self.nodes.get(function), items) {
            (Some(Node::Global(Global::OrderedDict)), []) => self.push(Node::Dict(Vec::new())),
            (Some(Node::Global(Global::RebuildTensor)), _) => self.push(Node::Tensor(arguments)),
            (Some(Node::Global(Global::RebuildParameter)), &[tensor, ..]) => {
                self.stack.push(tensor);
                Ok(())
            }
            (Some(node), _) => {
                let found = format!("{} with {} arguments", describe(node), items.len());
                Err(self.wrong(
                    "an empty OrderedDict, a tensor or a parameter to rebuild",
                    found,
                ))
            }
            (None, _) => Err(self.wrong("a function", "none")),
        }
    }

    /// Attributes of a dictionary (`_metadata`: versions of the modules) are dropped.
    fn build(&mut self) -> Result<()> {
        self.pop()?;
        let target = self.peek()?;
        match self.nodes.get(target) {
            Some(Node::Dict(_)) => Ok(()),
            _ => Err(self.wrong("attributes of an OrderedDict", "those of another value")),
        }
    }

    /// `('storage', class, key, location, elements)` and, in the legacy form, the part that is
    /// meant: None or `(key, first element, elements)`.
    fn storage(&mut self) -> Result<()> {
        let id = self.pop()?;
        match self.storage_of(id) {
            Some(storage) => self.push(Node::Storage(storage)),
            None => Err(self.wrong(
                "a reference to a storage that agrees with itself",
                "another value",
            )),
        }
    }

    fn storage_of(&self, id: Id) -> Option<StorageRef<'a>> {
        let items = |id: Id| match self.nodes.get(id) {
            Some(Node::Tuple(items)) => Some(items.as_slice()),
            _ => None,
        };
        let count = |id: Id| match self.nodes.get(id) {
            Some(Node::Int(n)) => u64::try_from(*n).ok(),
            _ => None,
        };
        let text = |id: Id| match self.nodes.get(id) {
            Some(Node::Text(text)) => Some(*text),
            _ => None,
        };
        let (head, view) = match *items(id)? {
            [word, class, key, _, elements] => ([word, class, key, elements], None),
            [word, class, key, _, elements, view] => {
                let part = match self.nodes.get(view) {
                    Some(Node::None) => None,
                    _ => Some(items(view)?),
                };
                ([word, class, key, elements], part)
            }
            _ => return None,
        };
        let Some(Node::Global(Global::Storage(kind))) = self.nodes.get(head[1]) else {
            return None;
        };
        let elements = count(head[3])?;
        let (start, len) = match view {
            None => (0, elements),
            Some(&[_, start, len]) => (count(start)?, count(len)?),
            Some(_) => return None,
        };
        let fits = start.checked_add(len).is_some_and(|end| end <= elements);
        (text(head[0])? == "storage" && fits).then_some(StorageRef {
            key: text(head[2])?,
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
